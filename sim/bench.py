# SPDX-License-Identifier: Apache-2.0
"""What every bench shares inside the simulator: its job, its batches, the comparison, the count.

Imports `hdl.baselines`, `hdl.configs`, `sim.coverage` and `sim.lanes`. A bench, `sim.bench_<name>`,
holds what is its own: which cases, how many they must be, and what golden expects of them.
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from itertools import cycle, product
from pathlib import Path
from typing import TypeVar

import numpy as np

from ..hdl.baselines import ROWS
from ..hdl.configs import Unit
from . import lanes
from .coverage import Coverage

JOB_VARIABLE = "HIF8_JOB"
BATCH = 1 << 16
"""Cases between two comparisons, and two reports of progress."""

FURTHER = "steady, while there is time"
"""The traffic of the random cases beyond those that must be run."""

Arrays = dict[str, np.ndarray]
Expect = Callable[[Unit, Arrays, dict[str, int]], Arrays]
Block = TypeVar("Block")
Cover = Callable[[Unit, list[dict[str, int]]], Coverage]


@dataclass(frozen=True)
class Job:
    """What a simulation is asked to do; handed over as a JSON file.

    Attributes
    ----------
    unit : str
        Name of the unit, a row of `hdl.baselines.ROWS`.
    folder : str
        Where the files of this run are: results, outputs, progress, tensors.
    lanes : int
        How many copies of the unit the simulated top has.
    seed : int
        Seeds every random case.
    random_cases : int
        How many random cases a bench adds whose space is too large to exhaust.
    share : float
        How many of the directed vectors, tiles and sums to read out are run.
    seconds : float
        How long sums and engines go on with random cases.
    block : int
        Beats that sums and engines are given in one go.
    tensors : bool
        Take the cases from ``tensors.npz`` in the folder instead of the bench's own.
    options : dict of int, optional
        One setting of the run-time options instead of all.
    """

    unit: str
    folder: str
    lanes: int
    seed: int = 0
    random_cases: int = 0
    share: float = 1.0
    seconds: float = 0.0
    block: int = 1 << 14
    tensors: bool = False
    options: dict[str, int] | None = None

    def save(self) -> Path:
        """Write the job into its folder and return the file."""
        path = Path(self.folder, "job.json")
        path.write_text(json.dumps(asdict(self)))
        return path

    @classmethod
    def load(cls) -> "Job":
        """Read the job that the environment names."""
        return cls(**json.loads(Path(os.environ[JOB_VARIABLE]).read_text()))

    @property
    def settings(self) -> list[dict[str, int]]:
        """Every setting of the unit's run-time options that is to be run."""
        if self.options is not None:
            return [self.options]
        names = ROWS[self.unit].options
        return [dict(zip(names, bits, strict=True)) for bits in product((0, 1), repeat=len(names))]

    def part(self, count: int) -> int:
        """Return how many of so many directed cases are run."""
        return math.ceil(count * self.share)

    def some(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Draw those of so many directed cases that are run, in their order."""
        if self.share == 1:
            return np.arange(count)
        return np.sort(rng.choice(count, self.part(count), replace=False))

    def for_unit(self, name: str) -> "Job":
        """Return the same job for another unit."""
        return replace(self, unit=name)

    def file(self, name: str) -> Path:
        """Return a file in the job's folder."""
        return Path(self.folder, name)


@dataclass
class Tally:
    """What a bench found out so far.

    Attributes
    ----------
    cases, mismatches : int
        How many cases were compared, and how many of them differed.
    seconds : float
        From the first case made to the last compared.
    first : dict, optional
        The first mismatch.
    coverage : dict, optional
        From `Coverage.result`, if the bench keeps any.
    latency, interval : int, optional
        Clock cycles measured with neither gaps nor stalls: the fewest from an accepted item to what
        comes of it, and the most from one accepted item to the next.
    random_products : int, optional
        How many random products were in the sums compared.
    extra : int
        How many of the cases were run because there was time.
    extra_seconds, extra_cpu_seconds : float
        How long these took, and in how much time of processors.
    broken : list of str
        Where traffic was not as it must be.
    """

    cases: int = 0
    mismatches: int = 0
    seconds: float = 0.0
    first: dict[str, object] | None = None
    coverage: dict[str, object] | None = None
    latency: int | None = None
    interval: int | None = None
    random_products: int | None = None
    extra: int = 0
    extra_seconds: float = 0.0
    extra_cpu_seconds: float = 0.0
    broken: list[str] = field(default_factory=list)

    def measured(self, latency: int, interval: int) -> None:
        """Note a latency and an interval: of several the fewest, and the most cycles."""
        self.latency = min(latency, self.latency or latency)
        self.interval = max(interval, self.interval or interval)

    def further(self, cases: int, begin: tuple[float, float]) -> None:
        """Count cases that were run because there was time; `begin` is of `clocks`, before any."""
        self.extra += cases
        self.extra_seconds, self.extra_cpu_seconds = (
            now - then for now, then in zip(clocks(), begin, strict=True)
        )

    def report(self, job: Job, begin: float) -> None:
        """Write down how far the bench has come since `begin`, a time of `time.perf_counter`."""
        self.seconds = time.perf_counter() - begin
        job.file("progress").write_text(str(self.cases))

    def compare(
        self, inputs: Arrays, options: dict[str, int], expected: Arrays, got: Arrays
    ) -> None:
        """Count the cases of one batch and those whose outputs are not equal, bit for bit."""
        cases = {len(column) for column in (*inputs.values(), *expected.values(), *got.values())}
        if len(cases) != 1 or set(expected) != set(got):
            raise AssertionError(f"columns do not match: {cases}, {set(expected)}, {set(got)}")
        wrong = np.zeros(cases.pop(), bool)
        for name, column in expected.items():
            wrong |= column != got[name]
        self.cases += wrong.size
        self.mismatches += int(wrong.sum())
        if self.first is None and wrong.any():
            place = int(np.argmax(wrong))
            self.first = {
                key: {name: number(column[place]) for name, column in columns.items()}
                for key, columns in (("inputs", inputs), ("expected", expected), ("got", got))
            } | {"options": options}

    def save(self, job: Job) -> None:
        """Write the results where the parent process finds them.

        Raises
        ------
        AssertionError
            If any case differs, traffic was broken, or no case was run.
        """
        job.file("results.json").write_text(json.dumps(asdict(self)))
        assert self.cases > 0, "no case was run"
        assert self.mismatches == 0, f"{self.mismatches} of {self.cases} cases differ"
        assert not self.broken, self.broken[0]


def clocks() -> tuple[float, float]:
    """Return the time, and that of processors that this process has taken."""
    return time.perf_counter(), time.process_time()


def number(item: np.generic) -> int:
    """Return an item of a column as a Python integer; raw bytes are an unsigned one."""
    return int.from_bytes(item.tobytes(), "little") if item.dtype.kind == "V" else int(item)


def beside(
    blocks: Iterable[Block], expect: Callable[[Block], Arrays]
) -> Iterator[tuple[Block, Future[Arrays]]]:
    """Yield blocks of cases, and what golden will say of each.

    Both are computed in a thread, golden's answer and the next block while the caller simulates.
    """
    source = iter(blocks)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, source, None)
        while (block := coming.result()) is not None:
            expected = pool.submit(expect, block)
            coming = pool.submit(next, source, None)
            yield block, expected


def while_time(job: Job, draw: Callable[[int], Block], lengths: Iterable[int]) -> Iterator[Block]:
    """Yield blocks of random cases, of each length in turn, for as long as the job says."""
    end = time.perf_counter() + job.seconds
    for beats in cycle(lengths):
        if time.perf_counter() >= end:
            return
        yield draw(beats)


def batches(columns: Arrays) -> Iterator[Arrays]:
    """Cut columns of cases into batches."""
    cases = len(next(iter(columns.values())))
    for start in range(0, cases, BATCH):
        yield {name: column[start : start + BATCH] for name, column in columns.items()}


async def check(
    dut: object,
    cases: Callable[[Job], Iterable[Arrays]],
    expect: Expect,
    cover: Cover | None = None,
) -> None:
    """Run a bench: every case under every setting of the options, compared with golden.

    Parameters
    ----------
    dut : cocotb handle
        The simulated top, a wrapper of `sim.lanes`.
    cases : callable
        The bench's own cases: a job to columns of input words.
    expect : callable
        What golden says: unit, input words and options to columns of output words.
    cover : callable, optional
        Gives what counts the cases in bins, for the unit and the settings that are run; a user's
        own cases need not hit any.

    Raises
    ------
    AssertionError
        If any case differs, or none was run.
    """
    job = Job.load()
    unit = ROWS[job.unit]
    tally = Tally()
    kept: list[Arrays] = []
    coverage = cover(unit, job.settings) if cover and not job.tensors else None
    dtypes = {name: lanes.lane_dtype(port) for name, port in unit.ports.items()}
    begin = time.perf_counter()
    for options in job.settings:
        if job.tensors:
            with np.load(job.file("tensors.npz")) as tensors:
                source: Iterable[Arrays] = batches(
                    {name: tensors[name] for name in unit.data_inputs}
                )
        else:
            source = (part for columns in cases(job) for part in batches(columns))
        for columns in source:
            inputs = {name: np.ascontiguousarray(v, dtypes[name]) for name, v in columns.items()}
            got = await lanes.run(dut, unit, job.lanes, inputs, options)
            expected = expect(unit, inputs, options)
            tally.compare(inputs, options, {n: expected[n].astype(dtypes[n]) for n in got}, got)
            if coverage:
                coverage.count(inputs, options, got)
            tally.report(job, begin)
            if job.tensors:
                kept.append(got)
    if job.tensors:
        joined = {name: np.concatenate([part[name] for part in kept]) for name in unit.outputs}
        np.savez(job.file("outputs.npz"), **joined)
    if coverage:
        tally.coverage = coverage.result()
    tally.save(job)
