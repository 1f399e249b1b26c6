# SPDX-License-Identifier: Apache-2.0
"""Bench of exact sums at their limit: as many of the largest products as a sum has room for.

Imports `golden.format`, `sim.bench`, `sim.bench_matrix`, `sim.bench_sum`, `sim.programs` and
`sim.streams`. It is no unit's own bench: a million cycles a sum are for a fast simulator.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cocotb
import numpy as np

from ..golden import format as f
from ..hdl.configs import UNITS, Unit
from . import bench_matrix, bench_sum, programs
from .bench import Arrays, Job, Tally
from .lanes import lane_dtype
from .streams import Streams

_TINY = 0x01


@dataclass(frozen=True)
class Run:
    """A vector or a tile whose codes stay the same for many beats.

    Attributes
    ----------
    a, b : numpy.ndarray of uint8
        A row of codes for every stretch of beats, as wide as the ports.
    beats : tuple of int
        How many beats each stretch has; the last has one.
    """

    a: np.ndarray
    b: np.ndarray
    beats: tuple[int, ...]

    def codes(self, name: str) -> np.ndarray:
        """Return the codes of `a` or `b` at every beat."""
        return np.repeat(getattr(self, name), self.beats, axis=0)


def runs(unit: Unit, lanes: int) -> Iterator[Run]:
    """Yield sums of as many products as there may be: of the largest, all of one sign, and of both.

    Neighbouring columns have sums of opposite signs; one column by itself has them in turn. The
    sum of both signs begins and ends with the smallest product of all: twice that is left of it.
    """
    if unit.bench == "matrix":
        left, right = map(np.arange, bench_matrix.tile_size(unit))
        beats = unit.max_products
    else:
        left = right = np.arange(lanes * unit.products) // unit.products
        beats = unit.max_products // unit.products
    largest = f.MAX | (right & 1) * f.SIGN_BIT
    for sign in (0,) if right.any() else (0, 1):
        same = f.MAX | (left // 2 + sign & 1) * f.SIGN_BIT
        yield Run(np.uint8([same] * 2), np.uint8([largest] * 2), (beats - 1, 1))
    a = np.array([_TINY, f.MAX, f.MAX | f.SIGN_BIT, _TINY], np.uint8)
    tiny = np.full_like(largest, _TINY)
    yield Run(
        np.repeat(a[:, None], left.size, axis=1),
        np.uint8([tiny, largest, largest, tiny]),
        (1, beats // 2 - 1, beats // 2 - 1, 1),
    )


def carries(unit: Unit, lanes: int) -> Iterator[Run]:
    """Yield vectors that come to a bit above a product, fall below it, and carry up to it again.

    Two to the k beats of the largest products for every k; then, in one lane, less any power of two
    and more another. Engines have none, for their cells are the same adders.
    """
    if unit.bench == "matrix":
        return
    beats = unit.max_products // unit.products
    rng = np.random.default_rng(beats)
    high = max(programs.POWERS)
    for k in range(7, beats.bit_length() - 1):
        codes = np.zeros((2, 3, lanes, unit.products), np.uint8)
        codes[:, 0] = f.MAX
        for lane in range(lanes):
            low = int(rng.integers(min(programs.POWERS), high))
            into = int(rng.integers(low, high))
            codes[:, 1, lane, 0] = programs.POWERS[low]
            codes[:, 2, lane, 0] = programs.POWERS[into]
        signs = (np.arange(lanes) + k & 1)[:, None] * f.SIGN_BIT
        signed = codes[0] | np.where(codes[0], signs, 0).astype(np.uint8)
        signed[1] ^= np.where(codes[0, 1], f.SIGN_BIT, 0).astype(np.uint8)
        a, b = (rows.reshape(3, -1) for rows in (signed, codes[1]))
        yield Run(a, b, (1 << k, 1, 1))


def as_batch(unit: Unit, lanes: int, run: Run) -> bench_sum.Batch | bench_matrix.Tiles:
    """Return a run as what the unit's own bench takes one at a time."""
    a, b = (run.codes(name)[None] for name in "ab")
    if unit.bench == "matrix":
        options = {name: np.zeros(1, int) for name in bench_matrix.option_names(unit)}
        return bench_matrix.Tiles(a, b, options)
    shape = 1, -1, lanes, unit.products
    return bench_sum.Batch(a.reshape(shape), b.reshape(shape), np.zeros((1, lanes), np.uint32))


def count(job: Job) -> int:
    """Return how many sums, or rows of sums, the bench must compare."""
    unit = UNITS[job.unit]
    each = unit.parameters["rows"] if unit.bench == "matrix" else job.lanes
    return each * len(_all(unit, job.lanes))


def _all(unit: Unit, lanes: int) -> list[Run]:
    """Return all that is run."""
    return [*runs(unit, lanes), *carries(unit, lanes)]


def _items(unit: Unit, run: Run) -> tuple[Arrays, np.ndarray]:
    """Return what the ports are at every beat that differs from the one before; and how often."""
    repeats = np.array([1, run.beats[0] - 1, *run.beats[1:]])
    rows = np.flatnonzero(repeats)  # of a stretch of one beat nothing is left
    stretch = np.repeat(np.arange(len(run.beats)), [2] + [1] * (len(run.beats) - 1))[rows]
    items = {
        name: np.zeros((len(rows), 1), lane_dtype(unit.ports[name])) for name in unit.data_inputs
    }
    items |= {"a": run.a[stretch], "b": run.b[stretch]}
    if "first" in items:
        items["first"][0] = 1
    items["last"][-1] = 1
    return items, repeats[rows]


@cocotb.test()
async def limits_as_golden(dut: object) -> None:
    """Send sums of as many products as there may be, and compare every bit of what comes out."""
    job = Job.load()
    unit = UNITS[job.unit]
    rng = np.random.default_rng(job.seed)
    streams = Streams(dut, unit, job.lanes, Path(job.folder))
    tally = Tally()
    matrix = "rows" in unit.parameters
    results = unit.parameters["rows"] if matrix else 1
    begin = time.perf_counter()
    for number, run in enumerate(_all(unit, job.lanes)):
        items, repeats = _items(unit, run)
        traffic = await streams.transact(
            items, results, repeats=repeats, rng=rng, reset=number == 0
        )
        assert not traffic.broken, traffic.broken[0]
        beats = len(traffic.accepted)
        assert beats == sum(run.beats), f"{beats} beats were accepted, not {sum(run.beats)}"
        batch = as_batch(unit, job.lanes, run)
        bench = bench_matrix if matrix else bench_sum
        bench.compare(tally, unit, [batch], traffic, bench.expected(unit, [batch]))
        tally.report(job, begin)
    tally.save(job)
