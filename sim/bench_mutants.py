# SPDX-License-Identifier: Apache-2.0
"""Bench of benches: a unit with switchable faults goes through its own bench, fault by fault.

Imports `hdl`, `sim.bench` and `sim.lanes`, and by its name the bench of a combinational unit, whose
cases and whose golden function it takes. Input `mutsel` says which fault is active; 0 is none, and
then every case must pass.
"""

import importlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from types import ModuleType

import cocotb
import numpy as np
from amaranth.lib.wiring import In

from ..hdl.configs import UNITS, Unit
from ..hdl.layouts import Port
from . import lanes
from .bench import BATCH, Arrays, Job, Tally

SELECT = "mutsel"
"""The input that chooses the fault."""

_FIRST = 32
"""Cases a setting that every fault gets; those that live get twice as many, and so on."""


@dataclass(frozen=True, eq=False)
class Mutated(Unit):
    """The row of a unit whose netlist has faults in it, and an input that chooses one.

    Its module is the simulated top.

    Attributes
    ----------
    width : int
        Bits of that input.
    """

    width: int = 1

    @classmethod
    def of(cls, unit: Unit, width: int) -> "Mutated":
        """Return a unit's row with the further input."""
        own = {f.name: getattr(unit, f.name) for f in fields(unit)}
        return cls(**own | {"core": unit.core or unit}, width=width)

    @property
    def module(self) -> str:
        """The name of the Verilog module."""
        return lanes.TOP

    @property
    def ports(self) -> dict[str, Port]:
        """The unit's ports, and the one that chooses."""
        which = Port(In(self.width), "the active fault, from 1 on; 0: none")
        return super().ports | {SELECT: which}


@dataclass(frozen=True)
class MutantsJob(Job):
    """What a simulation with faults is asked to do.

    Attributes
    ----------
    bench : str
        Full name of the module with the unit's bench.
    width : int
        Bits of the input that chooses a fault.
    alive : list of int
        Those of them that are to be run.
    limit : int
        How many cases a fault gets for each setting of the options; 0 for all.
    """

    bench: str = ""
    width: int = 1
    alive: tuple[int, ...] = ()
    limit: int = 0


@dataclass
class Outcome:
    """What the benches said.

    Attributes
    ----------
    healthy : Tally
        The unit without a fault, in every case.
    killed : dict of int
        For every fault that was noticed, in how many cases it was.
    expected : int
        How many cases the bench must run.
    """

    healthy: Tally
    killed: dict[int, int]
    expected: int = 0


def _joined(parts: Iterable[Arrays]) -> Arrays:
    """Return all of a bench's cases as one array a column."""
    parts = list(parts)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


async def _lanes(dut: object, job: MutantsJob, bench: ModuleType) -> Outcome:
    """Give every lane a fault of its own: all faults the first cases, the living ones more."""
    unit = UNITS[job.unit]
    row = Mutated.of(unit, job.width)
    types = {name: lanes.lane_dtype(port) for name, port in row.ports.items()}
    rng = np.random.default_rng(job.seed)
    healthy = Tally()
    work = []
    for options in job.settings:
        columns = _joined(bench.cases(job))
        order = rng.permutation(len(next(iter(columns.values()))))
        inputs = {n: np.ascontiguousarray(v[order], types[n]) for n, v in columns.items()}
        expected = {
            name: column.astype(types[name])
            for name, column in bench.expect(unit, inputs, options).items()
        }
        work.append((options, inputs, expected))
        none = {SELECT: np.zeros(len(order), types[SELECT])}
        got = await lanes.run(dut, row, job.lanes, inputs | none, options)
        healthy.compare(inputs, options, expected, {name: got[name] for name in expected})

    alive = np.array(job.alive, types[SELECT])
    most = max(len(inputs[name]) for _, inputs, _ in work for name in inputs)
    most = min(most, job.limit or most)
    killed: dict[int, int] = {}
    done, start, size = 0, 0, _FIRST
    while len(alive) and not healthy.mismatches and start < most:
        part = slice(start, min(start + size, most))
        for options, inputs, expected in work:
            cases = {name: column[part] for name, column in inputs.items()}
            n = len(next(iter(cases.values())))
            tiled = {name: np.tile(column, len(alive)) for name, column in cases.items()}
            tiled[SELECT] = np.repeat(alive, n)
            got = await lanes.run(dut, row, job.lanes, tiled, options)
            wrong = np.zeros((len(alive), n), bool)
            for name, column in expected.items():
                wrong |= got[name].reshape(wrong.shape) != column[part]
            hit = wrong.any(axis=1)
            firsts = wrong[hit].argmax(axis=1)
            killed |= dict(zip(alive[hit].tolist(), (done + firsts + 1).tolist(), strict=True))
            alive, done = alive[~hit], done + n
            job.file("progress").write_text(str(len(killed)))
            if not len(alive):
                break
        start, size = part.stop, min(2 * size, BATCH)
    return Outcome(healthy, killed)


@cocotb.test()
async def finds_the_faults(dut: object) -> None:
    """Run every fault until the bench notices it, and write down when it did."""
    job = MutantsJob.load()
    bench = importlib.import_module(job.bench)
    outcome = await _lanes(dut, job, bench)
    outcome.expected = bench.count(job) * len(job.settings)
    job.file("results.json").write_text(json.dumps(asdict(outcome)))
