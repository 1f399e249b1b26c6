# SPDX-License-Identifier: Apache-2.0
"""Every word there is through an encoder's exported Verilog, each code compared with golden.

The Verilog is compiled into a library that a
worker calls array by array, far faster than a bench, which Python takes step by step. The words are
cut into ranges, each a task that any process on any machine can run; a record of each is a file, so
that a sweep goes on where it was stopped.
"""

import ctypes
import json
import time
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import asdict, dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import files
from ..hdl.configs import UNITS, Unit
from ..toolchain import lock, pool
from ..toolchain.cache import digest as digest_of
from ..toolchain.cache import kept_folder
from ..toolchain.program import ToolError
from ..toolchain.simulators import model_recipe, start_model
from . import verify
from .bench import Tally
from .bench_encoder import expect

SIZE = 1 << 24
"""Words of a range, of all but the short sources: a tenth of a second's work or two."""

TOP = "sweep"
LANES = 16
"""Copies of the unit in the library: twice as many are 6 % faster and take twice as long to build.

All the word's bits above the lowest four are the same in every lane, which the compiler knows.
"""

_CHUNK = 1 << 18
"""Words between two comparisons: calls do not count, and the arrays stay in a large cache."""

_DRIVER = Path(__file__).with_suffix(".cpp")
_MODEL = "model.so"


class Range(NamedTuple):
    """Consecutive words under one setting of the options.

    Attributes
    ----------
    setting : tuple of (str, int)
        Every run-time option of the unit, and its value.
    first, count : int
        The first word, and how many.
    """

    setting: tuple[tuple[str, int], ...]
    first: int
    count: int

    @property
    def label(self) -> str:
        """What the setting is called: its mode, and the other options that are on."""
        on = [name for name, value in self.setting if value]
        mode = "HR" if "hybrid" in on else "TA"
        return " ".join([mode, *(name for name in on if name != "hybrid")])

    @property
    def file(self) -> str:
        """Name of its record's file."""
        bits = "-".join(f"{name}{value}" for name, value in self.setting)
        return f"{bits}-{self.first:08x}.json"


@dataclass(frozen=True)
class Record:
    """What was found in one range.

    Attributes
    ----------
    label : str
        The setting's.
    first, cases : int
        The first word, and how many were compared.
    mismatches : int
        How many codes differed from golden.
    crc32 : int
        Of the unit's codes.
    seconds, rtl_seconds : float
        Altogether, and in the compiled Verilog.
    worker : str
        Host and process.
    example : dict, optional
        The first mismatch, as `verify.explain` takes it.
    """

    label: str
    first: int
    cases: int
    mismatches: int
    crc32: int
    seconds: float
    rtl_seconds: float
    worker: str
    example: dict[str, dict[str, int]] | None = None


class Plan(NamedTuple):
    """A sweep that is asked for.

    Attributes
    ----------
    unit : Unit
        What is swept.
    text : str
        Its Verilog.
    digest : str
        Over all that the records depend on.
    folder : Path
        Where they are.
    ranges : list of Range
        All that are asked for, done or not, setting by setting.
    """

    unit: Unit
    text: str
    digest: str
    folder: Path
    ranges: list[Range]


def plan(
    name: str, root: Path, *, first: int = 0, last: int | None = None, every_setting: bool = False
) -> Plan:
    """Cut a sweep into ranges.

    Parameters
    ----------
    name : str
        The unit, a combinational encoder.
    root : Path
        Folder of all sweeps.
    first, last : int
        The first and the last word; all words by default. Ranges are not divided.
    every_setting : bool
        Take every setting of the options, not only either mode with all others off.

    Raises
    ------
    ValueError
        If there is no such encoder, or a range would be divided.
    """
    unit = UNITS.get(name)
    if unit is None or unit.bench != "encoder":
        encoders = ", ".join(each.name for each in UNITS.values() if each.bench == "encoder")
        raise ValueError(f"unit to sweep must be one of {encoders}, not {name!r}")
    width = unit.parameters["source"].width
    size = min(SIZE, 1 << width)
    last = (1 << width) - 1 if last is None else last
    if not 0 <= first <= last < 1 << width:
        raise ValueError(
            f"first to last must be in 0..{(1 << width) - 1:#x}, not {first:#x} to {last:#x}"
        )
    if first % size or (last + 1) % size:
        raise ValueError(
            f"first must be a multiple of {size:#x}, and last one less than a multiple, "
            f"not {first:#x} and {last:#x}"
        )
    settings = [
        tuple(zip(unit.options, bits, strict=True))
        for bits in product((0, 1), repeat=len(unit.options))
        if every_setting
        or not any(b for n, b in zip(unit.options, bits, strict=True) if n != "hybrid")
    ]
    ranges = [Range(s, start, size) for s in settings for start in range(first, last + 1, size)]
    text = verify.exported(unit)
    key = digest(unit.name, text)
    return Plan(unit, text, key, root / f"{unit.name}-{key}", ranges)


@cache
def digest(name: str, text: str) -> str:
    """Return a digest of all that a record depends on: the Verilog, golden, the tool, this file."""
    here = Path(__file__).parent
    sources = [*sorted((here.parent / "golden").glob("*.py"))]
    sources += [here / file for file in ("bench.py", "bench_encoder.py", "sweep.py", "sweep.cpp")]
    parts = [text, top(UNITS[name]), *model_recipe(), np.__version__]
    parts += [path.read_text() for path in sources]
    return digest_of(*parts)


def top(unit: Unit) -> str:
    """Return Verilog of `LANES` copies of an encoder, that encode consecutive words.

    The first of them is a multiple of `LANES`. The unit is instantiated by its module's name: what
    is swept is the exported file itself.
    """
    pins = ", ".join(f".{name}(options[{bit}])" for bit, name in enumerate(unit.options))
    return f"""module {TOP} (
  input wire [{unit.ports["x"].width - 1}:0] first,
  input wire [{len(unit.options) - 1}:0] options,
  output wire [{8 * LANES - 1}:0] code
);
  genvar k;
  generate for (k = 0; k < {LANES}; k = k + 1) begin : lane
    {unit.module} unit (.x(first | k), {pins}, .code(code[8 * k +: 8]));
  end endgenerate
endmodule
"""


def library(unit: Unit, text: str, root: Path) -> Path:
    """Build the library of a unit, unless it has been built before.

    Parameters
    ----------
    unit : Unit
        What to build.
    text : str
        Its Verilog.
    root : Path
        Folder of all builds.

    Raises
    ------
    ToolError
        If Verilator is missing or refuses the sources.
    """
    sources = {f"{unit.module}.v": text, f"{TOP}.v": top(unit), _DRIVER.name: _DRIVER.read_text()}

    def make(folder: Path) -> None:
        for file, content in sources.items():
            (folder / file).write_text(content)
        paths = [folder / file for file in sources]
        verify.wait(start_model(build=folder, top=TOP, sources=paths), folder)
        for path in folder.iterdir():
            if path.name != _MODEL:
                path.unlink()

    recipe = [*model_recipe(), *sources.values()]
    return kept_folder(root, f"{unit.module}-sweep", recipe, make) / _MODEL


@cache
def load(path: Path) -> Callable[[int, int, int, int], int]:
    """Return the function of a library."""
    function = ctypes.CDLL(str(path)).sweep
    function.argtypes = (ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p)
    function.restype = ctypes.c_uint64
    return function


def run_range(name: str, text: str, root: Path, part: Range) -> Record:
    """Sweep one range, in whatever process this is.

    Parameters
    ----------
    name : str
        The unit.
    text : str
        Its Verilog.
    root : Path
        Folder of builds; on a cluster each worker has its own.
    part : Range
        What to sweep.

    Raises
    ------
    ToolError
        If Verilator is missing or refuses the sources, or the library does not encode every word.
    """
    unit = UNITS[name]
    codes_of = load(library(unit, text, pool.folder(root)))
    options = dict(part.setting)
    bits = sum(value << place for place, value in enumerate(options.values()))
    word = unit.parameters["source"].word
    tally, crc, rtl, begin = Tally(), 0, 0.0, time.perf_counter()
    steps = np.arange(min(_CHUNK, part.count), dtype=word)
    codes = np.empty(steps.size, np.uint8)
    for start in range(part.first, part.first + part.count, steps.size):
        called = time.perf_counter()
        done = codes_of(start, codes.size, bits, codes.ctypes.data)
        rtl += time.perf_counter() - called
        if done != codes.size:
            raise ToolError(f"the library encoded {done} words where {codes.size} must be")
        words = {"x": steps + word.type(start)}
        tally.compare(words, options, expect(unit, words, options), {"code": codes})
        crc = zlib.crc32(codes, crc)
    return Record(
        label=part.label,
        first=part.first,
        cases=tally.cases,
        mismatches=tally.mismatches,
        crc32=crc,
        seconds=time.perf_counter() - begin,
        rtl_seconds=rtl,
        worker=pool.worker(),
        example=tally.first,
    )


def alone(folder: Path) -> AbstractContextManager[None]:
    """Keep a sweep's folder for this process while a block runs.

    Raises
    ------
    ToolError
        If another has it.
    """

    def refuse() -> None:
        raise ToolError(f"another sweep is running in {folder}")

    return lock.alone(folder / "lock", refuse)


def finished(asked: Plan) -> dict[Range, Record]:
    """Return the records that there are of the ranges asked for; a damaged one counts as none."""
    found = {}
    for part in asked.ranges:
        try:
            record = Record(**json.loads((asked.folder / part.file).read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            continue
        if (record.label, record.first, record.cases) == (part.label, part.first, part.count):
            found[part] = record
    return found


def forget(asked: Plan) -> None:
    """Remove the records of the ranges asked for."""
    for part in asked.ranges:
        (asked.folder / part.file).unlink(missing_ok=True)


def run(
    asked: Plan,
    done: dict[Range, Record],
    *,
    root: Path,
    jobs: int | None = None,
    scheduler: str | None = None,
    progress: Callable[[str, int, int], None] = lambda label, cases, total: None,
) -> dict[Range, Record]:
    """Sweep what is not done, keep records as they come, and see that in the end they are all.

    Parameters
    ----------
    asked : Plan
        The sweep.
    done : dict
        What there is already.
    root : Path
        Folder of builds.
    jobs, scheduler
        How many processes of this machine, or the address of a cluster's scheduler, as for
        `pool.spread`.
    progress : callable
        Told of a setting's label how many of how many words are done.

    Returns
    -------
    dict
        A record for every range that was asked for.

    Raises
    ------
    ToolError
        If the simulator is missing, workers are lost again and again, or the records do not cover
        what was asked for, each word exactly once.
    """
    left = [part for part in asked.ranges if part not in done]
    total = Counter()
    for part in asked.ranges:
        total[part.label] += part.count
    cases = Counter()
    for record in done.values():
        cases[record.label] += record.cases
    done = dict(done)
    for label in total:
        progress(label, cases[label], total[label])
    if left and not scheduler:
        library(asked.unit, asked.text, root)
    one = partial(run_range, asked.unit.name, asked.text, root.absolute())
    with closing(pool.spread(one, left, jobs=jobs, scheduler=scheduler)) as records:
        for place, record in records:
            part = left[place]
            content = json.dumps(asdict(record), indent=2) + "\n"
            files.write(asked.folder / part.file, content.encode())
            done[part] = record
            cases[part.label] += record.cases
            progress(part.label, cases[part.label], total[part.label])
    covered = [(r.label, r.first, r.cases) for r in map(done.get, asked.ranges) if r]
    if covered != [(part.label, part.first, part.count) for part in asked.ranges]:
        raise ToolError("the ranges done are not those asked for")
    return done
