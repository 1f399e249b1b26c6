# SPDX-License-Identifier: Apache-2.0
"""Speed of the benches: results a second, beside a bare C++ loop around the same Verilog.

Both run the bench's own random vectors and tiles, one after the other on the same machine. The loop
has one copy of the unit, and neither golden nor a comparison; its results are compared afterwards.
"""

import ctypes
import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..hdl.configs import UNITS, Unit, select
from ..toolchain.cache import kept_folder
from ..toolchain.program import ToolError
from ..toolchain.simulators import model_recipe, start_model
from . import streams, verify
from .bench import Arrays, Job

SIMULATOR = "verilator"

MEASURED = ("mac_fp32", "dot4_fp32", "dot32_exact", "matrix8x8_exact_to_fp32")
"""The units that are measured unless others are named: small and large, FP32 and exact."""

_DRIVER = Path(__file__).with_name("bare.cpp")
_MODEL = "model.so"


@dataclass(frozen=True)
class Row:
    """How fast a unit is simulated.

    Attributes
    ----------
    unit : str
        Which.
    lanes : int
        Copies of it that the bench simulates side by side.
    bare_cycles, bare_results : float
        Clock cycles, and results, a second in the bare loop.
    results : float
        Results a second in the bench: drawn, simulated and compared with golden's.
    cpu_results : float
        The bench's results a second of processor time, of all of its threads.
    bare_cpu_results : float
        The same of the loop, which has one thread.
    """

    unit: str
    lanes: int
    bare_cycles: float
    bare_results: float
    bare_cpu_results: float
    results: float
    cpu_results: float

    @property
    def ratio(self) -> float:
        """The bench's results a second as a part of the loop's."""
        return self.results / self.bare_results

    @property
    def cpu_ratio(self) -> float:
        """The same for a second of processor time, whatever else the machine does."""
        return self.cpu_results / self.bare_cpu_results


def chosen(names: list[str]) -> list[Unit]:
    """Return the units of the given names, `MEASURED` if there is none.

    Raises
    ------
    ValueError
        If one is none of the sums and engines, whose benches go on while there is time.
    """
    timed = {unit.name: unit for unit in UNITS.values() if unit.bench in ("sum", "matrix")}
    return select(names, timed, MEASURED)


def measure(unit: Unit, seconds: float, root: Path) -> Row:
    """Measure a unit's bench and the bare loop, in turn.

    Parameters
    ----------
    unit : Unit
        A sum or an engine.
    seconds : float
        How long each is measured.
    root : Path
        Folder of builds and runs.

    Raises
    ------
    ToolError
        If Verilator is missing, the bench fails, or the loop's results are not golden's.
    """
    cycles, results, taken, cpu = bare(unit, seconds, root)
    lanes = verify.lane_count(unit, SIMULATOR, long=True)
    verdict, _ = verify.run(
        unit, SIMULATOR, root=root, effort="quick", random_cases=0, seconds=seconds, copies=lanes
    )
    if verdict.status != "pass":
        raise ToolError(f"the bench of {unit.name} fails: {verdict.note}")
    return Row(
        unit.name,
        lanes,
        bare_cycles=cycles / taken,
        bare_results=results / taken,
        bare_cpu_results=results / cpu,
        results=verdict.extra / verdict.extra_seconds,
        cpu_results=verdict.extra / verdict.extra_cpu_seconds,
    )


def bare(unit: Unit, seconds: float, root: Path) -> tuple[int, int, float, float]:
    """Return cycles, results, seconds and processor seconds of the bare loop."""
    run = loop(unit, root)
    beats, golden = traffic(unit)
    expected = len(next(iter(golden.values())))
    places = streams.layout(unit, 1, streams.Ends.of(unit).outputs)
    out = np.zeros((expected, streams.record_size(places)), np.uint8)
    most = 10 * (len(beats) + expected) + streams.PATIENCE
    cycles = results = 0
    begin, cpu = time.perf_counter(), time.process_time()
    while results == 0 or time.perf_counter() - begin < seconds:
        cycles += run(beats.ctypes.data, len(beats), out.ctypes.data, expected, most)
        results += expected
    taken, cpu = time.perf_counter() - begin, time.process_time() - cpu
    for name, place in places.items():
        column = np.ascontiguousarray(out[:, place]).view(golden[name].dtype).ravel()
        if not np.array_equal(column, golden[name]):
            raise ToolError(f"the bare loop's {name} of {unit.name} is not golden's")
    return cycles, results, taken, cpu


def traffic(unit: Unit) -> tuple[np.ndarray, Arrays]:
    """Return the beats of a block of vectors or tiles of every length, and golden's results."""
    module = importlib.import_module(verify.bench_module(unit))
    job = Job(unit.name, "", lanes=1, seed=verify.SEED)
    rng = np.random.default_rng(job.seed)
    batches = [part for beats in module.LENGTHS for part in module.block(job, beats, rng)]
    return streams.packed(unit, 1, module.stimulus(unit, batches, rng)), module.expected(
        unit, batches
    )


def loop(unit: Unit, root: Path) -> Callable[..., int]:
    """Build the bare loop around a unit's exported Verilog, unless it has been built before."""
    sources = {
        f"{unit.module}.v": verify.exported(unit),
        _DRIVER.name: _DRIVER.read_text(),
    }
    header = _ports(unit)

    def make(folder: Path) -> None:
        for file, content in (sources | {"ports.h": header}).items():
            (folder / file).write_text(content)
        paths = [folder / file for file in sources]
        verify.wait(start_model(build=folder, top=unit.module, sources=paths), folder)

    recipe = [*model_recipe(), header, *sources.values()]
    folder = kept_folder(root, f"{unit.module}-bare", recipe, make)
    function = ctypes.CDLL(str(folder / _MODEL)).run
    function.argtypes = (
        *(ctypes.c_void_p, ctypes.c_uint64) * 2,
        ctypes.c_uint64,
    )
    function.restype = ctypes.c_uint64
    return function


def _ports(unit: Unit) -> str:
    """Return the C++ header that copies records to a unit's inputs, and its outputs to records."""
    ends = streams.Ends.of(unit)
    sides = {
        name: streams.layout(unit, 1, ports)
        for name, ports in (("BEAT", ends.inputs), ("RESULT", ends.outputs))
    }
    load, store = (
        "".join(
            f"  std::memcpy({way.format(name, place.start)}, {place.stop - place.start});\n"
            for name, place in side.items()
        )
        for side, way in zip(
            sides.values(), ("&top.{0}, from + {1}", "to + {1}, &top.{0}"), strict=True
        )
    )
    sizes = "".join(
        f"constexpr unsigned {name} = {streams.record_size(side)};\n"
        for name, side in sides.items()
    )
    return (
        f"{sizes}static void load(model &top, const uint8_t *from) {{\n{load}}}\n"
        f"static void store(model &top, uint8_t *to) {{\n{store}}}\n"
    )
