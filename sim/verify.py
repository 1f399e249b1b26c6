# SPDX-License-Identifier: Apache-2.0
"""Build, run, count, report: one verdict for a unit under a simulator.

Imports `hif8.files`, `golden`, `hdl` and the rest of `sim`. What is simulated is the exported
Verilog, or other Verilog of the same module put in its place.
"""

import hashlib
import importlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from .. import files
from ..golden.describe import describe
from ..golden.format import FLOAT_FORMATS
from ..hdl.configs import Unit
from ..hdl.export import kept_verilog
from ..hdl.layouts import Port
from ..toolchain import pool, program
from ..toolchain.cache import kept_folder
from ..toolchain.program import ToolError, telling_line
from ..toolchain.simulators import simulator, start
from . import coverage, lanes, streams
from .bench import JOB_VARIABLE, Arrays, Job
from .effort import budget

SEED = 2409_16626
"""Seeds every random case, unless the user gives another."""

_TALLIED = (
    *("coverage", "latency", "interval", "random_products"),
    *("extra", "extra_seconds", "extra_cpu_seconds"),
)
"""What a verdict has as the bench says it."""

_LATER = 1 << 32
"""A time in seconds that no file is newer than."""


@dataclass(frozen=True)
class Verdict:
    """What a bench said of a unit under a simulator.

    Attributes
    ----------
    unit, simulator, simulator_version : str
        What was run, and in what.
    status : str
        ``pass``, ``fail`` or ``not run``.
    cases, expected : int
        How many cases were compared, and how many the bench must compare.
    mismatches : int
        In how many of them any output bit differed from golden.
    seconds : float
        From the first case made to the last compared: without building and starting up.
    rate : float
        Cases a second in that time.
    note : str
        Why it was not run or how it failed; else which cases they were.
    command : str
        The command that gives this verdict again.
    first : dict, optional
        The first mismatch: its inputs, options, expected and got outputs as integers.
    coverage : dict, optional
        Which bins the bench's cases hit, from `Coverage.result`; if any that must be was not, the
        bench is too weak, and has failed.
    latency, interval, random_products : int, optional
        What the bench measured and counted, as `Tally` has it.
    verilog : str
        SHA-256 of what was simulated, as the manifest has that of what is exported.
    effort : str
        How much was run, one of `sim.effort.EFFORTS`.
    extra : int
        How many of the cases were run because there was time.
    extra_seconds, extra_cpu_seconds : float
        How long these took, and in how much time of processors.
    """

    unit: str
    simulator: str
    simulator_version: str
    status: str
    cases: int = 0
    expected: int = 0
    mismatches: int = 0
    seconds: float = 0.0
    rate: float = 0.0
    note: str = ""
    command: str = ""
    first: dict[str, dict[str, int]] | None = None
    coverage: dict[str, object] | None = None
    latency: int | None = None
    interval: int | None = None
    random_products: int | None = None
    verilog: str = ""
    effort: str = ""
    extra: int = 0
    extra_seconds: float = 0.0
    extra_cpu_seconds: float = 0.0


def bench_module(unit: Unit) -> str:
    """Return the full name of the module with a unit's bench."""
    return f"{__package__}.bench_{unit.bench}"


def top(unit: Unit) -> str:
    """Return the top module of a unit's simulation: its lanes, or the streams around them."""
    return streams.TOP if unit.streams else lanes.TOP


def lane_count(unit: Unit, name: str, *, long: bool = False) -> int:
    """Return how many lanes a unit is simulated in: the fewer, the more it computes itself.

    Parameters
    ----------
    unit : Unit
        What is simulated.
    name : str
        The simulator.
    long : bool
        Whether the run takes far longer than a build.
    """
    chosen = simulator(name)
    if unit.core or "rows" in unit.parameters:
        return 1
    if unit.streams:
        return max(1, (chosen.long_lanes if long else chosen.stream_lanes) // unit.products)
    widest = max(unit.ports[name].width for name in unit.data_inputs)
    return max(1, chosen.lanes * 32 // max(widest, 32))


@cache
def exported(unit: Unit) -> str:
    """Return a unit's exported Verilog, read once a process."""
    return kept_verilog(unit)


def digest(unit: Unit, text: str = "") -> str:
    """Return the sha256 of the Verilog that a result is about, by default the unit's exported."""
    return hashlib.sha256((text or exported(unit)).encode()).hexdigest()


def build(
    unit: Unit,
    name: str,
    *,
    root: Path,
    text: str = "",
    copies: int = 0,
    laned: bool = False,
    shown: int = 0,
    waves: bool = False,
    look: Callable[[], None] = lambda: None,
) -> Path:
    """Build a unit for a simulator, unless the same has been built before.

    Parameters
    ----------
    unit : Unit
        What to build.
    name : str
        The simulator.
    root : Path
        Folder of all builds.
    text : str
        Verilog to take in place of the exported one.
    copies : int
        How many lanes; by default as many as suit the simulator.
    laned : bool
        The Verilog is that of all lanes: it has their module, `lanes.TOP`.
    shown : int
        As for `streams.top`.
    waves : bool
        Build to record a waveform.
    look : callable
        Called while waiting; what it raises ends the build.

    Returns
    -------
    Path
        The folder of the build, named after what went into it.

    Raises
    ------
    ToolError
        If the simulator is missing or refuses the sources.
    """
    chosen = simulator(name)
    missing = chosen.missing()
    if missing:
        raise ToolError(missing)
    copies = copies or lane_count(unit, name)
    sources = {f"{unit.module}.v": text or exported(unit)}
    if not laned:
        sources[f"{lanes.TOP}.v"] = lanes.wrapper(unit, copies)
    if unit.streams:
        sources[f"{streams.TOP}.v"] = streams.top(unit, copies, shown)
        sources[streams.SOURCE.name] = streams.SOURCE.read_text()
    recipe = [*chosen.recipe(waves), *sources.values()]

    def make(folder: Path) -> None:
        for file, content in sources.items():
            (folder / file).write_text(content)
        for file in chosen.runtime:
            copied = shutil.copyfile(_runtime(name, root, waves, look) / file, folder / file)
            # make would compile again what is older than its makefile
            os.utime(copied, (_LATER, _LATER))
        paths = [folder / file for file in sources]
        child = start(name, build=folder, top=top(unit), sources=paths, waves=waves)
        wait(child, folder, look)

    return kept_folder(root, f"{unit.module}-{name}", recipe, make, look)


def _runtime(name: str, root: Path, waves: bool, look: Callable[[], None]) -> Path:
    """Return the build of a module with nothing in it, for its simulator's own compiled files."""

    def make(folder: Path) -> None:
        source = folder / "nothing.v"
        source.write_text("module nothing; endmodule\n")
        wait(start(name, build=folder, top="nothing", sources=[source], waves=waves), folder, look)

    recipe = simulator(name).recipe(waves)
    return kept_folder(root, f"nothing-{name}", recipe, make, look)


def run_folder(root: Path, name: str) -> Path:
    """Make a folder for one run: runs of the same name at the same time have one each."""
    runs = (root / "runs").absolute()
    runs.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=runs))


def run(
    unit: Unit,
    name: str,
    *,
    root: Path,
    tensors: Arrays | None = None,
    cases: int | None = None,
    options: dict[str, int] | None = None,
    seed: int = SEED,
    effort: str = "full",
    random_cases: int | None = None,
    seconds: float | None = None,
    text: str = "",
    copies: int = 0,
    waves: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Verdict, Arrays]:
    """Simulate a unit's bench and compare every case with golden.

    Parameters
    ----------
    unit : Unit
        What to check.
    name : str
        The simulator.
    root : Path
        Folder of builds and runs.
    tensors : dict of numpy.ndarray, optional
        Cases of the user's own in place of the bench's: input words for every data input, all of
        one length.
    cases : int, optional
        How many cases the tensors are; by default one an item.
    options : dict of int, optional
        One setting of the run-time options in place of all.
    seed : int
        Seeds the random cases.
    effort : str
        How much is run, one of `sim.effort.EFFORTS`.
    random_cases : int, optional
        How many random cases there are, if the unit's input space is too large to exhaust; by
        default the effort's.
    seconds : float, optional
        For how long sums and engines go on with random cases; by default as long as the effort
        says, and not at all if `random_cases` are given.
    text : str
        Verilog to take in place of the exported one.
    copies : int
        How many lanes; by default as many as suit the simulator.
    waves : bool
        Record a waveform.
    progress : callable
        Told now and then how many cases of how many are done; what it raises ends the run.

    Returns
    -------
    Verdict
        Never ``pass`` unless as many cases were compared as expected, and one at least, and every
        bin of coverage was hit.
    dict of numpy.ndarray
        With `tensors`, what came out of every output; else nothing.

    Raises
    ------
    ToolError
        If the simulator could not be run to the end.
    """
    chosen = simulator(name)
    copies = copies or lane_count(unit, name, long=effort == "soak")
    how = {"root": root, "text": text, "copies": copies, "waves": waves}
    built = build(unit, name, look=lambda: progress(0, 0), **how)
    folder = run_folder(root, f"{unit.name}-{name}")
    spend = budget(unit, name, effort)
    if seconds is None:
        seconds = spend.seconds if random_cases is None else 0.0
    job = Job(
        unit=unit.name,
        folder=str(folder),
        lanes=copies,
        seed=seed,
        random_cases=spend.random_cases if random_cases is None else random_cases,
        share=float(spend.share),
        seconds=seconds,
        block=spend.block,
        tensors=tensors is not None,
        options=options,
    )
    if tensors is not None:
        np.savez(job.file("tensors.npz"), **tensors)
        each = len(next(iter(tensors.values()))) if cases is None else cases
    else:
        each = importlib.import_module(bench_module(unit)).count(job)
    expected = each * len(job.settings)

    child = start(
        name,
        build=built,
        top=top(unit),
        bench=bench_module(unit),
        folder=folder,
        variables={JOB_VARIABLE: str(job.save())},
        waves=waves,
    )
    passed = wait(child, folder, lambda: progress(_progress(job), expected), fatal=False)
    if not job.file("results.json").exists():
        raise ToolError(f"{name} did not finish {unit.name}: {_last_line(folder)}")
    tally = json.loads(job.file("results.json").read_text())
    expected += tally["extra"]
    progress(tally["cases"], expected)

    note = ""
    if tally["mismatches"]:
        note = f"{tally['mismatches']} of {tally['cases']} cases differ from golden"
    elif tally["cases"] != expected:
        note = f"{tally['cases']} cases were compared where {expected} must be"
    elif tally["coverage"] and coverage.fault(tally["coverage"]):
        note = coverage.fault(tally["coverage"])
    elif tally["broken"]:
        note = tally["broken"][0]
    elif not passed:
        note = f"cocotb reports a failure: {_last_line(folder)}"
    verdict = Verdict(
        unit=unit.name,
        simulator=name,
        simulator_version=chosen.version(),
        status="fail" if note or not tally["cases"] else "pass",
        cases=tally["cases"],
        expected=expected,
        mismatches=tally["mismatches"],
        seconds=tally["seconds"],
        rate=tally["cases"] / tally["seconds"] if tally["seconds"] else 0.0,
        note=note,
        command=_command(unit, name, effort, seed, random_cases),
        first=tally["first"],
        verilog=digest(unit, text),
        effort=effort,
        **{key: tally[key] for key in _TALLIED},
    )
    outputs: Arrays = {}
    if tensors is not None:
        with np.load(job.file("outputs.npz")) as saved:
            outputs = dict(saved)
    if not waves and (passed or tally["mismatches"]):  # else a waveform, or the log of the note
        shutil.rmtree(folder)
    return verdict, outputs


def _command(unit: Unit, name: str, effort: str, seed: int, random_cases: int | None) -> str:
    """Return the command that runs a unit's bench again in the same way."""
    command = f"hif8 verify {unit.name} --sim {name} --effort {effort} --seed {seed}"
    return command if random_cases is None else f"{command} --random {random_cases}"


def run_all(
    pairs: list[tuple[Unit, str]],
    *,
    progress: Callable[[Unit, str, int, int], None] = lambda unit, name, done, total: None,
    **how: object,
) -> list[Verdict]:
    """Run units under simulators, as many at a time as there are processors.

    Parameters
    ----------
    pairs : list of (Unit, str)
        What to run, and in which simulator. Where that is missing the verdict is ``not run``.
    progress : callable
        As for `run`, told which run it is.
    **how
        Further arguments of `run`.

    Returns
    -------
    list of Verdict
        In the order of `pairs`.

    Raises
    ------
    ToolError
        If a simulator could not be run to the end; the others are stopped.
    """

    def one(pair: tuple[Unit, str]) -> Verdict:
        unit, name = pair
        reason = simulator(name).missing()
        if reason:
            return Verdict(unit.name, name, "", "not run", note=reason)
        return run(unit, name, progress=partial(progress, unit, name), **how)[0]

    return list(pool.in_order(pool.threads(one, pairs)))


def save(verdict: Verdict, folder: Path) -> Path:
    """Write a verdict where the report finds it, and return the file."""
    path = folder / f"{verdict.unit}-{verdict.simulator}.json"
    return files.write(path, (json.dumps(asdict(verdict), indent=2) + "\n").encode())


def waveform(unit: Unit, name: str, root: Path) -> Path | None:
    """Return the waveform of a unit's last run, if it recorded one."""
    found = root.glob(f"runs/{unit.name}-{name}-*/{simulator(name).waveform}")
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def explain(unit: Unit, first: dict[str, dict[str, int]]) -> list[tuple[str, str, str]]:
    """Put a mismatch into words.

    Parameters
    ----------
    unit : Unit
        The unit that was wrong.
    first : dict
        `Verdict.first`.

    Returns
    -------
    list of (str, str, str)
        A row a port: its name, what was expected or put in, and what was got. The third is empty
        for inputs, and for outputs that agree it equals the second.
    """
    rows = [
        (name, meaning(unit.ports[name], value), "")
        for name, value in (first["inputs"] | first["options"]).items()
    ]
    for name, value in first["expected"].items():
        port = unit.ports[name]
        rows.append((name, meaning(port, value), meaning(port, first["got"][name])))
    return rows


def meaning(port: Port, value: int) -> str:
    """Return a port's bits, and the value they stand for."""
    bits = value & (1 << port.width) - 1
    if port.carries == "hif8":
        what = describe(bits)
        return f"0x{bits:02X} = {what.bits} ({what.dot_field.name}) = {what.value:g}"
    for word in FLOAT_FORMATS:
        if port.carries == word.name:
            with np.errstate(invalid="ignore"):  # a signalling NaN
                number = np.array(bits, word.word).view(word.dtype).astype(np.float64)
            return f"0x{bits:0{word.width // 4}X} = {float(number):.9g}"
    return f"{value} = {port.width}'b{bits:0{port.width}b}" if port.width > 1 else str(value)


def _progress(job: Job) -> int:
    """Return how many cases a running bench has compared."""
    try:
        return int(job.file("progress").read_text() or 0)
    except FileNotFoundError:
        return 0


def _last_line(folder: Path) -> str:
    """Return the line of a log that says most about why it ended."""
    log = folder / "run.log"
    return f"{telling_line(log.read_text(errors='replace')) or 'no output'} (log: {log})"


def wait(
    child: subprocess.Popen[bytes],
    folder: Path,
    look: Callable[[], None] = lambda: None,
    *,
    fatal: bool = True,
) -> bool:
    """Wait for a child process; whatever ends the wait, none of its processes is left behind."""
    program.wait(child, look)
    if fatal and child.returncode:
        raise ToolError(f"the build failed: {_last_line(folder)}")
    return child.returncode == 0
