# SPDX-License-Identifier: Apache-2.0
"""Bench of benches: a unit with switchable faults goes through its own bench, fault by fault.

Imports `hdl` and `sim.bench`, `sim.lanes`, `sim.streams`, and by its name the bench of the unit,
whose cases and whose golden function it takes. Input `mutsel` says which fault is active; 0 is
none, and then every case must pass.
"""

import copy
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
from .streams import exchange, reset

SELECT = "mutsel"
"""The input that chooses the fault."""

_GLANCE = 64
"""Items of the first traffic that every fault of a stream gets before all of the traffic."""

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
        For every fault that was noticed, in how many cases it was: of a stream, of the traffic
        that showed it.
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


@dataclass(frozen=True)
class Round:
    """One kind of traffic of the bench of streams.

    Attributes
    ----------
    name : str
        Which.
    items, expected : dict of numpy.ndarray
        What goes in, and what golden says of it.
    rng : numpy.random.Generator
        Decides when, from the state it had in the bench.
    """

    name: str
    items: Arrays
    expected: Arrays
    rng: np.random.Generator

    @property
    def size(self) -> int:
        """How many items there are."""
        return len(next(iter(self.items.values())))

    def first(self, items: int) -> "Round":
        """Return the round with its first items alone."""
        cut = (
            {n: v[:items] for n, v in columns.items()} for columns in (self.items, self.expected)
        )
        return Round(self.name, *cut, self.rng)


async def _stream(dut: object, job: MutantsJob, bench: ModuleType) -> Outcome:
    """Run the bench's traffic fault after fault, each until it is noticed.

    A fault that has not been noticed has let as many cycles pass as there would be without it: the
    items and the pauses after that are the same, and are drawn but once.
    """
    unit = UNITS[job.unit]
    outcome = Outcome(Tally(), {})
    rounds = []
    rng = np.random.default_rng(job.seed)
    dut.mutsel.value = 0
    for name in bench.TRAFFIC:
        items = bench._items(job, unit.core, rng)
        drawn = Round(name, items, bench._expect(unit.core, items), copy.deepcopy(rng))
        rounds.append(drawn)
        outcome.healthy.mismatches += await _traffic(dut, bench, unit, drawn, outcome.healthy, rng)
    # Nearly all faults show in the first of them.
    glance = rounds[0].first(_GLANCE)
    for fault in job.alive if not outcome.healthy.mismatches else ():
        for drawn in (glance, *rounds):
            dut.mutsel.value = 0  # or the fault before would leave its traces in the registers
            await reset(dut)
            dut.mutsel.value = fault
            tally = Tally()
            broken = await _traffic(dut, bench, unit, drawn, tally, copy.deepcopy(drawn.rng))
            if broken or tally.mismatches:
                outcome.killed[fault] = max(tally.cases, 1)
                job.file("progress").write_text(str(len(outcome.killed)))
                break
    return outcome


async def _traffic(
    dut: object,
    bench: ModuleType,
    unit: Unit,
    drawn: Round,
    tally: Tally,
    rng: np.random.Generator,
) -> bool:
    """Send a round's items through, count what comes out, and say whether the stream was broken."""
    gap, stall = bench.TRAFFIC[drawn.name]
    how = {"gap": gap, "stall": stall, "rng": rng}
    await reset(dut)
    if "reset" in drawn.name:  # as the bench does it
        await exchange(dut, unit, drawn.items, **how, leave=bench.ITEMS - 9)
        await reset(dut)
    traffic = await exchange(dut, unit, drawn.items, **how)
    done = len(traffic.emitted)
    expected = {name: column[:done] for name, column in drawn.expected.items()}
    got = {name: np.array(traffic.outputs[name], v.dtype) for name, v in expected.items()}
    inputs = {name: column[:done] for name, column in drawn.items.items()}
    tally.compare(inputs, {}, expected, got)
    if drawn.size < bench.ITEMS:
        return bool(traffic.broken) or done < drawn.size
    return bool(bench._broken(unit, drawn.name, traffic))


@cocotb.test()
async def finds_the_faults(dut: object) -> None:
    """Run every fault until the bench notices it, and write down when it did."""
    job = MutantsJob.load()
    bench = importlib.import_module(job.bench)
    walk = _stream if UNITS[job.unit].core else _lanes
    outcome = await walk(dut, job, bench)
    outcome.expected = bench.count(job) * len(job.settings)
    job.file("results.json").write_text(json.dumps(asdict(outcome)))
