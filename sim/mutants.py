# SPDX-License-Identifier: Apache-2.0
"""Faults: whether the benches notice what is wrong with a circuit.

A netlist holds all faults of a unit and an input
that chooses which one is active (`sim.faults`), so that one build simulates them all, in the cases
of the unit's own bench: a combinational unit's one after the other (`sim.bench_mutants`), a
stream's side by side, in the shadow of the unit without a fault (`sim.bench_shadows`). What a first
part of the cases leaves alive, of a stream's faults what all do, goes to a SAT solver
(`sim.equivalence`): a fault that changes no output for no input is equivalent; one that does must
fall to all of the cases, or it has survived and the bench lacks one. Undecided is what neither the
bench nor the solver, in its time, can tell from the unit without a fault.
"""

import importlib
import json
import re
import shutil
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

from amaranth.lib.wiring import In

from .. import files
from ..hdl.configs import UNITS, Unit
from ..toolchain import pool, yosys
from ..toolchain.program import ToolError
from ..toolchain.simulators import start
from . import bench_limits, bench_mutants, bench_shadows, verify
from .bench import JOB_VARIABLE, Job
from .bench_mutants import SELECT, MutantsJob, Mutated
from .effort import budget
from .equivalence import UNDECIDED, judge
from .faults import Fault, Faulty, bits_of, inject
from .lanes import HANDSHAKES, lane_dtype
from .lanes import shared as lanes_shared
from .proofs import tool

SIMULATOR = "verilator"
COUNT = 200
"""Faults a unit, unless the user asks for another number."""

LANES = 64
"""Cases, or copies of a stream, at a time: the bits of words that a simulator is fastest with."""

_WITHOUT_FAULTS = ("axi", "matrix")
"""Benches that do not look at every output in every cycle, which the shadows take for granted."""

_LIMIT = 1 << 12
"""Cases a setting before the solver is asked."""


@dataclass(frozen=True)
class Report:
    """What became of a unit's faults.

    Attributes
    ----------
    unit : str
        Whose faults.
    seed : int
        Chose them.
    healthy_cases : int
        Cases that the unit passed without a fault.
    seconds : float
        For all of it, building included.
    tool : str
        What made the faults.
    verilog : str
        The sha256 of the Verilog that they are in.
    faults : list of Fault
        All of them.
    """

    unit: str
    seed: int
    healthy_cases: int
    seconds: float
    tool: str
    verilog: str
    faults: list[Fault] = field(default_factory=list)

    def of(self, verdict: str) -> list[Fault]:
        """Return the faults with that verdict."""
        return [fault for fault in self.faults if fault.verdict == verdict]

    @property
    def median_cases(self) -> float:
        """In how many cases half of the killed faults were noticed."""
        return statistics.median([fault.cases for fault in self.of("killed")] or [0])


def select(names: Iterable[str] = ()) -> list[Unit]:
    """Return the units of the given names, all that faults can be put into if none is given.

    Raises
    ------
    ValueError
        If there is no such unit, or its bench cannot be run fault by fault.
    """
    known = {unit.name: unit for unit in UNITS.values() if unit.bench not in _WITHOUT_FAULTS}
    names = list(dict.fromkeys(names)) or list(known)
    for name in names:
        if name not in known:
            raise ValueError(f"unit must be one of {', '.join(known)}, not {name!r}")
    return [known[name] for name in names]


def _spread(row: Mutated, bits: str, lanes: int) -> str:
    """Return a netlist of single bits as one of words, a bit for each lane.

    It has wires of one bit, bitwise operators and registers alone, so that wires of as many bits as
    there are lanes make the same circuit once for each: far faster than copies of it, and fast to
    build. The clock alone stays one bit.
    """
    module = bits[bits.index("module ") :]
    words = rf"  \1 [{lanes - 1}:0] "
    body = re.sub(r"(?m)^  (input|output|wire|reg) (?!clk;)", words, module)
    body = re.sub(r"\b1'h([01])", rf"{{{lanes}{{1'b\1}}}}", body)
    rest = re.sub(r"(?m)^  always @\(posedge clk\)\n    \S.* <= .*;$", "", body)
    if re.search(r"\d'[hbd](?!\d\}\})|[?+]|\balways\b", rest):
        raise ToolError(f"{yosys.PYPI.name} left more than gates of one bit in {row.name}")
    return body


def _pins(row: Mutated) -> str:
    """Return the connections of a netlist of single bits to slices, one for each bit of a port."""
    pins = []
    for name, port in row.ports.items():
        slices = [name] if name == "clk" else [f"slice_{name}_{k}" for k in range(port.width)]
        pins += [f".{bit}({piece})" for bit, piece in zip(bits_of(name, port), slices, strict=True)]
    return ", ".join(pins)


def _slices(row: Mutated, bits: str) -> str:
    """Return Verilog of a top with the ports of `lanes.wrapper`, and one netlist for all lanes."""
    spread = f"[{LANES - 1}:0]"
    ports, inner = [], []
    for name, port in row.ports.items():
        width, stride = port.width, lane_dtype(port).itemsize * 8
        inner += [f"wire {spread} slice_{name}_{k};" for k in range(width)]
        wide = f"wire [{stride * LANES - 1}:0] {name}"
        if name in row.options:
            ports.append(f"input wire {name}")
            inner.append(f"assign slice_{name}_0 = {{{LANES}{{{name}}}}};")
        elif port.member.flow == In:
            ports.append(f"input {wide}")
            for k in range(width):
                picked = ", ".join(
                    f"{name}[{stride * lane + k}]" for lane in reversed(range(LANES))
                )
                inner.append(f"assign slice_{name}_{k} = {{{picked}}};")
        else:
            ports.append(f"output {wide}")
            for lane in range(LANES):
                lane_bits = [f"slice_{name}_{k}[{lane}]" for k in range(width)]
                fill = lane_bits[-1] if port.signed else "1'b0"
                lane_bits += [fill] * (stride - width)
                whole = ", ".join(reversed(lane_bits))
                inner.append(f"assign {name}[{stride * lane} +: {stride}] = {{{whole}}};")
    lines = "\n  ".join(inner)
    return (
        f"{_spread(row, bits, LANES)}\nmodule {row.module} ({', '.join(ports)});\n  {lines}\n"
        f"  faulty unit ({_pins(row)});\nendmodule\n"
    )


def _shadows(row: Mutated, bits: str, numbers: list[int], leader: int = 0) -> str:
    """Return Verilog of a top that is one unit without a fault, with faults in its shadow.

    Its ports are those of `lanes.wrapper` with a single lane, so that the unit's bench runs it as
    it is. Every fault has a copy that gets the same inputs; output `shown` has for each copy 32
    bits with the clock cycle in which a handshake or, while valid, an output was first another.
    That is when the bench would have noticed, which compares both in every cycle.
    """
    active = [leader, *numbers]
    lanes = len(active)
    spread, first = f"[{lanes - 1}:0]", f"{{{lanes}{{%s[0]}}}}"
    ports, inner, differs = [], [], []
    for name, port in row.ports.items():
        width, stride = port.width, lane_dtype(port).itemsize * 8
        slices = [f"slice_{name}_{k}" for k in range(width)]
        inner += [f"wire {spread} {piece};" for piece in slices if name != "clk"]
        if name == SELECT:
            for k, piece in enumerate(slices):
                word = "".join(str(number >> k & 1) for number in reversed(active))
                inner.append(f"assign {piece} = {lanes}'b{word};")
        elif port.member.flow == In:
            shared = name in lanes_shared(row)
            size = width if shared else stride
            ports.append(f"input wire [{size - 1}:0] {name}")
            if name != "clk":
                inner += [
                    f"assign {piece} = {{{lanes}{{{name}[{k}]}}}};"
                    for k, piece in enumerate(slices)
                ]
        else:
            size = 1 if name in HANDSHAKES else stride
            fill = f"{slices[-1]}[0]" if port.signed else "1'b0"
            whole = [f"{piece}[0]" for piece in slices] + [fill] * (size - width)
            ports.append(f"output wire [{size - 1}:0] {name}")
            inner.append(f"assign {name} = {{{', '.join(reversed(whole))}}};")
            unlike = [f"({piece} ^ {first % piece})" for piece in slices]
            gate = "" if name in HANDSHAKES else f"{first % 'slice_o_valid_0'} & "
            differs.append(f"{gate}({' | '.join(unlike)})")
    lines = "\n  ".join(inner)
    return f"""{_spread(row, bits, lanes)}
module {row.module} ({", ".join(ports)}, output reg [{32 * lanes - 1}:0] shown);
  {lines}
  faulty unit ({_pins(row)});
  wire {spread} differs = {" | ".join(differs)};
  reg {spread} caught;
  reg [31:0] cycle;
  integer k;
  initial begin cycle = 1; caught = 0; shown = 0; end
  always @(posedge clk) begin
    cycle <= cycle + 1;
    if (!rst) begin
      caught <= caught | differs;
      if (|(differs & ~caught))
        for (k = 0; k < {lanes}; k = k + 1)
          if (differs[k] & ~caught[k]) shown[32 * k +: 32] <= cycle;
    end
  end
endmodule
"""


def simulate(
    unit: Unit,
    faulty: Faulty,
    alive: list[int],
    *,
    root: Path,
    bench: str = "",
    limit: int = 0,
    random_cases: int = 0,
    seed: int = verify.SEED,
    look: Callable[[int], None] = lambda killed: None,
) -> tuple[int, dict[int, int]]:
    """Run a unit's bench on its netlist with faults.

    Parameters
    ----------
    unit : Unit
        The unit.
    faulty : Faulty
        Its netlist with faults.
    alive : list of int
        The faults to be run.
    root : Path
        Folder of builds and runs.
    bench : str
        Full name of a module to take in place of the unit's bench.
    limit, random_cases, seed : int
        As in the job.
    look : callable
        Told now and then how many faults have been noticed; what it raises ends the run.

    Returns
    -------
    int
        How many cases the unit passed without a fault.
    dict of int
        For every fault that was noticed, in how many cases it was.

    Raises
    ------
    ToolError
        If the simulator could not be run to the end, or the unit fails its bench without a fault,
        or has not run all of its cases.
    """
    size = LANES - 1 if unit.streams else len(alive)
    how = {"root": root, "limit": limit, "random_cases": random_cases, "seed": seed}
    healthy, killed = 0, {}
    for part in (alive[k : k + size] for k in range(0, len(alive), size)):

        def count(done: int, before: int = len(killed)) -> None:
            look(before + done)

        healthy, more = _simulate(unit, faulty, part, bench=bench, look=count, **how)
        killed |= more
    return healthy, killed


def _simulate(
    unit: Unit,
    faulty: Faulty,
    alive: list[int],
    *,
    root: Path,
    bench: str,
    limit: int,
    random_cases: int,
    seed: int,
    look: Callable[[int], None],
) -> tuple[int, dict[int, int]]:
    """Run those faults that go into one simulation, as `simulate` says."""
    row = faulty.row
    how = {"root": root, "laned": True, "copies": 1, "look": lambda: look(0)}
    if unit.streams:
        text, how["shown"] = _shadows(row, faulty.bits, alive), 32 * (len(alive) + 1)
        built = verify.build(unit, SIMULATOR, text=text, **how)
    else:
        built = verify.build(row, SIMULATOR, text=_slices(row, faulty.bits), **how)
    folder = verify.run_folder(root, f"{unit.name}-mutants")
    job = MutantsJob(
        unit=unit.name,
        folder=str(folder),
        lanes=LANES,
        seed=seed,
        random_cases=random_cases,
        bench=bench or verify.bench_module(unit),
        width=row.width,
        alive=tuple(alive),
        limit=limit,
    )
    benches = bench_mutants.__name__
    if unit.streams:
        benches = f"{job.bench},{bench_shadows.__name__}"
        job = Job(unit.name, str(folder), 1, seed=seed, random_cases=random_cases)
    child = start(
        SIMULATOR,
        build=built,
        top=verify.top(row),
        bench=benches,
        folder=folder,
        variables={JOB_VARIABLE: str(job.save())},
    )

    def watch() -> None:  # a bench in the shadows tells how many of its own cases it has run
        look(0 if unit.streams else verify._progress(job))

    passed = verify.wait(child, folder, watch, fatal=False)
    if not job.file("results.json").exists():
        last = verify._last_line(folder)
        raise ToolError(f"{SIMULATOR} did not finish the faults of {unit.name}: {last}")
    results = json.loads(job.file("results.json").read_text())
    if unit.streams:
        results = _from_shadows(job, bench, results, alive)
    _check_healthy(unit, results)
    if not passed:
        last = verify._last_line(folder)
        raise ToolError(f"{unit.name} fails its bench without any fault: {last}")
    shutil.rmtree(folder)
    return results["healthy"]["cases"], {int(n): cases for n, cases in results["killed"].items()}


def _from_shadows(
    job: Job, bench: str, tally: dict[str, object], alive: list[int]
) -> dict[str, object]:
    """Return the results of a bench with shadows as those of `bench_mutants` are."""
    module = importlib.import_module(bench or verify.bench_module(UNITS[job.unit]))
    shown = json.loads(job.file("shown.json").read_text())
    cycles = zip(alive, shown[1:], strict=True)
    killed = {number: cycle for number, cycle in cycles if cycle}
    return {"healthy": tally, "expected": module.count(job), "killed": killed}


def _check_healthy(unit: Unit, results: dict[str, object]) -> None:
    """Refuse what was found with a unit that fails its bench, or did not run all of it."""
    healthy = results["healthy"]
    if healthy["mismatches"] or not healthy["cases"]:
        raise ToolError(
            f"{unit.name} fails its bench without any fault: {healthy['mismatches']} of "
            f"{healthy['cases']} cases differ from golden"
        )
    if healthy["cases"] != results["expected"]:
        raise ToolError(
            f"{unit.name} without any fault was run in {healthy['cases']} cases where its bench "
            f"must run {results['expected']}"
        )


def run(
    unit: Unit,
    *,
    root: Path,
    count: int = COUNT,
    seed: int = verify.SEED,
    bench: str = "",
    random_cases: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Put faults into a unit and say what became of each.

    Parameters
    ----------
    unit : Unit
        The unit.
    root : Path
        Folder of builds and runs.
    count : int
        How many faults, if there are as many pins and ways.
    seed : int
        Chooses the faults and seeds the bench.
    bench : str
        Full name of a module to take in place of the unit's bench.
    random_cases : int, optional
        How many random cases the bench adds for faults that its others leave alive; by default as
        many as when verifying.
    progress : callable
        Told now and then how many faults of how many are noticed; what it raises ends the run.

    Returns
    -------
    Report
        Every fault with its verdict.

    Raises
    ------
    ToolError
        If a tool is missing or gives no answer, or the unit without a fault fails its bench.
    """
    begin = time.perf_counter()
    faulty = inject(unit, count, seed)
    how = {"root": root, "bench": bench, "seed": seed}

    def look(killed: int) -> None:
        progress(killed, len(faulty.faults))

    alive = [fault.number for fault in faulty.faults]
    healthy, killed = simulate(unit, faulty, alive, limit=_LIMIT, look=look, **how)

    def all_cases(numbers: list[int]) -> None:
        """Run faults in all there is: random cases, and carries to the top of a sum."""
        nonlocal healthy
        every = budget(unit, SIMULATOR, "full").random_cases
        every = every if random_cases is None else random_cases
        numbers = [number for number in numbers if number not in killed]
        if numbers:
            healthy, late = simulate(unit, faulty, numbers, random_cases=every, **how)
            killed.update(late)
        numbers = [number for number in numbers if number not in killed]
        if numbers and unit.streams and unit.max_products and not bench:
            limits = how | {"bench": bench_limits.__name__}
            killed.update(simulate(unit, faulty, numbers, **limits)[1])

    if unit.streams:  # of which a solver may think for minutes
        all_cases(alive)
    alive = [number for number in alive if number not in killed]
    notes = judge(faulty, alive) if alive else {}
    if not unit.streams:
        all_cases([number for number in alive if notes[number]])

    def verdict(number: int) -> dict[str, object]:
        if number in killed:
            return {"verdict": "killed", "cases": killed[number]}
        if notes[number]:
            undecided = notes[number].startswith(UNDECIDED)
            return {"verdict": "undecided" if undecided else "survived", "note": notes[number]}
        return {"verdict": "equivalent"}

    return Report(
        unit=unit.name,
        seed=seed,
        healthy_cases=healthy,
        seconds=time.perf_counter() - begin,
        tool=tool(),
        verilog=verify.digest(unit),
        faults=[replace(fault, **verdict(fault.number)) for fault in faulty.faults],
    )


def run_all(
    units: list[Unit],
    *,
    root: Path,
    scheduler: str | None = None,
    progress: Callable[[Unit, int, int], None] = lambda unit, done, total: None,
    **how: object,
) -> list[Report]:
    """Put faults into units, as many units at a time as there are processors, or on a cluster.

    Parameters
    ----------
    units : list of Unit
        The units.
    root : Path
        Folder of builds and runs; on a cluster each worker has its own.
    scheduler : str, optional
        The address of a Dask cluster's scheduler.
    progress : callable
        As for `run`, told which unit it is; not called on a cluster.
    **how
        Further arguments of `run`.

    Returns
    -------
    list of Report
        In the order of `units`.

    Raises
    ------
    ToolError
        As `run` does; the other units are stopped.
    """
    if scheduler:
        names = [unit.name for unit in units]
        one = partial(_run_named, root=root, **how)
        return list(pool.in_order(pool.spread(one, names, scheduler=scheduler)))
    tool()

    def run_here(unit: Unit) -> Report:
        return run(unit, root=root, progress=partial(progress, unit), **how)

    return list(pool.in_order(pool.threads(run_here, units)))


def _run_named(name: str, *, root: Path, **how: object) -> Report:
    """Put faults into the unit of that name, in whatever process this is."""
    return run(UNITS[name], root=pool.folder(root), **how)


def save(report: Report, folder: Path) -> Path:
    """Write a report as JSON and return the file."""
    content = json.dumps(asdict(report), indent=2) + "\n"
    return files.write(folder / f"{report.unit}.json", content.encode())
