# SPDX-License-Identifier: Apache-2.0
"""Bench of the MACs and the dot products: vectors through lanes of the unit, every bit of a sum.

Imports `golden`, `sim.bench`, `sim.gemms`, `sim.lanes`, `sim.programs` and `sim.streams`. The lanes
go in step and have data of their own; whatever `a`, `b` and `acc` are between the beats that read
them is random.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cocotb
import numpy as np

from ..golden.accumulate import exact_sum
from ..golden.matmul import dot
from ..hdl.configs import UNITS, Unit
from . import programs
from .bench import FURTHER, Arrays, Job, Tally, beside, clocks, while_time
from .effort import PRODUCTS
from .gemms import groups
from .lanes import lane_dtype
from .streams import STEADY, TRAFFIC, Streams, Traffic, cut_short

LENGTHS = (1, 2, 3, 5, 8, 16, 33, 64)
"""Beats of random vectors; equally many beats go to each."""
SHORT = 12
"""Random vectors of each length in the traffics after the first."""


@dataclass(frozen=True)
class Batch:
    """Vectors of one length.

    Attributes
    ----------
    a, b : numpy.ndarray of uint8
        Codes, of shape (vectors, beats, columns, lanes).
    acc : numpy.ndarray of uint32
        FP32 words to start from, of shape (vectors, columns).
    random_products : int
        How many of the products were drawn from the whole space.
    count : int, optional
        How many vectors are to be compared, the first ones; by default all.
    """

    a: np.ndarray
    b: np.ndarray
    acc: np.ndarray
    random_products: int = 0
    count: int | None = None


def _interleave(unit: Unit) -> int:
    return unit.parameters.get("interleave", 1)


def _is_exact(unit: Unit) -> bool:
    return unit.parameters["accumulator"] == "exact"


def _columns(job: Job) -> int:
    """Return how many vectors go side by side: in every lane as many as take turns."""
    return job.lanes * _interleave(UNITS[job.unit])


def _vectors(job: Job, beats: int) -> int:
    """Return how many random vectors of a length the first traffic has in each column."""
    each = job.random_cases * PRODUCTS / len(LENGTHS) / _columns(job) / UNITS[job.unit].products
    return max(job.part(SHORT), math.ceil(each / beats))


def _random(unit: Unit, columns: int, beats: int, vectors: int, rng: np.random.Generator) -> Batch:
    """Draw vectors of so many beats."""
    shape = vectors, beats, columns, unit.products
    a, b = (programs.random_codes(rng, shape) for _ in range(2))
    return Batch(a, b, programs.random_words(rng, (vectors, columns)), a.size)


def _spread(
    unit: Unit, columns: int, pair: programs.Pair, rng: np.random.Generator, words: np.ndarray
) -> Batch:
    """Lay vectors of a product a beat out in the columns; each goes to a lane of its own choice."""
    count, beats = pair[0].shape
    vectors = -(-count // columns)
    chosen = np.arange(vectors * columns) % count
    lane = rng.integers(0, unit.products, (vectors, columns))
    place = np.broadcast_to(lane[:, None, :, None], (vectors, beats, columns, 1))

    def laid_out(codes: np.ndarray) -> np.ndarray:
        full = np.zeros((vectors, beats, columns, unit.products), np.uint8)
        rows = codes[chosen].reshape(vectors, columns, beats).transpose(0, 2, 1)
        np.put_along_axis(full, place, rows[..., None], axis=-1)
        return full

    return Batch(*map(laid_out, pair), words[chosen].reshape(vectors, columns))


def _together(
    unit: Unit, columns: int, pair: programs.Pair, rng: np.random.Generator, words: np.ndarray
) -> Batch:
    """Lay vectors out in the columns, all products of each in one beat, in lanes by chance."""
    count, products = pair[0].shape
    vectors = -(-count // columns)
    chosen = np.arange(vectors * columns) % count
    shape = vectors, 1, columns, unit.products
    lanes = np.argsort(rng.random(shape), axis=-1)[..., :products]

    def laid_out(codes: np.ndarray) -> np.ndarray:
        full = np.zeros(shape, np.uint8)
        rows = codes[chosen].reshape(*shape[:-1], products)
        np.put_along_axis(full, lanes, rows, axis=-1)
        return full

    return Batch(*map(laid_out, pair), words[chosen].reshape(vectors, columns))


def _directed(job: Job, columns: int, rng: np.random.Generator) -> Iterator[Batch]:
    """Yield the share of every kind of directed vectors that the job runs."""
    unit = UNITS[job.unit]
    for lay_out, (a, b), words in _kinds(unit, rng):
        some = job.some(len(a), rng)
        yield lay_out(unit, columns, (a[some], b[some]), rng, words[some])


def _kinds(
    unit: Unit, rng: np.random.Generator
) -> Iterator[tuple[Callable[..., Batch], programs.Pair, np.ndarray]]:
    """Yield every kind of directed vectors, what lays them out, and the words they start from."""
    for pair in (
        *programs.exponent_pairs(rng),
        *programs.cancellations(rng),
        *programs.alternations(),
        *programs.specials(),
    ):
        words = np.zeros(len(pair[0]), np.uint32)
        if pair[0].shape[1] == 3:  # of the specials half start from anything
            words = programs.random_words(rng, words.shape) * rng.integers(0, 2, words.shape)
        yield _spread, pair, words.astype(np.uint32)
    if _is_exact(unit):
        for pair in (programs.carries(rng), *programs.overflows(rng)):
            yield _spread, pair, np.zeros(len(pair[0]), np.uint32)
        return
    for pair, words in (
        programs.rounding_patterns(rng),
        programs.rounding_runs(rng),
        programs.lone_bits(),
    ):
        yield _spread, pair, words
    if unit.products >= 4:
        for pair, words in (programs.broken_ties(rng), programs.remainders(rng)):
            yield _together, pair, words


def _program(job: Job, name: str, rng: np.random.Generator) -> Iterator[list[Batch]]:
    """Yield the vectors of one kind of traffic, in blocks that are simulated in one go."""
    unit, columns = UNITS[job.unit], _columns(job)
    if name == FURTHER:
        yield from while_time(job, lambda beats: block(job, beats, rng), LENGTHS)
        return
    if name != "steady":
        yield [_random(unit, columns, beats, job.part(SHORT), rng) for beats in LENGTHS]
        return
    yield list(_directed(job, columns, rng))
    for beats in LENGTHS:
        left = _vectors(job, beats)
        while left:
            vectors = min(left, _most(job, beats))
            yield [_random(unit, columns, beats, vectors, rng)]
            left -= vectors


def block(job: Job, beats: int, rng: np.random.Generator) -> list[Batch]:
    """Draw a block of vectors of so many beats."""
    return [_random(UNITS[job.unit], _columns(job), beats, _most(job, beats), rng)]


def _most(job: Job, beats: int) -> int:
    """Return how many vectors of a length make a block."""
    return max(1, job.block // beats // _interleave(UNITS[job.unit]))


def _given(job: Job) -> list[Batch]:
    """Return a user's own dot products; the last vectors are again the first, and not counted."""
    unit, columns = UNITS[job.unit], _columns(job)
    with np.load(job.file("tensors.npz")) as tensors:
        pairs = groups(dict(tensors))
    batches = []
    for pair in pairs:
        count, terms = pair[0].shape
        vectors, beats = -(-count // columns), -(-terms // unit.products)
        chosen = np.arange(vectors * columns) % count
        missing = beats * unit.products - terms

        def laid_out(
            codes: np.ndarray,
            missing: int = missing,
            shape: tuple[int, ...] = (vectors, columns, beats, unit.products),
            chosen: np.ndarray = chosen,
        ) -> np.ndarray:
            full = np.pad(codes, ((0, 0), (0, missing)))  # with code 0: their products are zero
            return full[chosen].reshape(shape).transpose(0, 2, 1, 3)

        acc = np.zeros((vectors, columns), np.uint32)
        batches.append(Batch(*map(laid_out, pair), acc, count=count))
    return batches


def count(job: Job) -> int:
    """Return how many sums the bench must compare.

    Directed: for each two of 75 exponents and either sign a sum, 600 that cancel twice, 6
    alternations, 81 x 81 pairs of special products. For exact sums 75 x 74 runs of ones and 6 x 64
    that outgrow a product; for FP32 81 distances x 36 significands x 8, 33 distances x 24 lengths
    of runs x 12, 124 words in which one bit makes the difference and, where they fit in a beat,
    2,775, 2 x 1,275, 51 x 60, 51 x 4, 1,225, 1,426 and 74 ties, and 2 x 2,775 remainders.
    Each kind is padded to all columns. Then the random ones, as `_program` draws them. Of each kind
    the job's share.
    """
    columns = _columns(job)
    kinds = [75 * 75] * 2 + [600] * 2 + [1] * 6 + [81 * 81]
    if _is_exact(UNITS[job.unit]):
        kinds += [75 * 74] + [64] * 6
    else:
        kinds += [81 * 36 * 8, 33 * 24 * 12, 4 * 31]
        fused = [2775 + 2 * 1275 + 51 * (60 + 4) + 1225 + 1426 + 74, 2 * 2775]
        kinds += fused if UNITS[job.unit].products >= 4 else []
    vectors = sum(-(-job.part(kind) // columns) for kind in kinds)
    vectors += sum(_vectors(job, beats) for beats in LENGTHS)
    return columns * (vectors + (len(TRAFFIC) - 1) * job.part(SHORT) * len(LENGTHS))


def expect(unit: Unit, batch: Batch) -> Arrays:
    """Return golden's sums of a batch, of shape (vectors, columns)."""
    a, b = (
        codes.transpose(0, 2, 1, 3).reshape(*batch.acc.shape, -1) for codes in (batch.a, batch.b)
    )
    if not _is_exact(unit):
        kind = {"accumulator": "fp32"}
        if unit.products > 1:
            kind = {"accumulator": "fused", "lanes": unit.products}
        return {"sum": dot(a, b, initial=batch.acc.view(np.float32), **kind).view(np.uint32)}
    total = exact_sum(a, b)
    words = programs.packed(total.high, total.low, lane_dtype(unit.ports["sum"]))
    return {"sum": words, **{n: getattr(total, n).astype(np.uint8) for n in unit.outputs[1:]}}


def stimulus(unit: Unit, batches: list[Batch], rng: np.random.Generator) -> Arrays:
    """Return what the ports are at every beat, batch after batch, turn after turn."""
    turns = _interleave(unit)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in unit.data_inputs}
    for batch in batches:
        vectors, beats, columns, _ = batch.a.shape
        steps = vectors * beats * turns
        for name in ("a", "b"):
            parts[name].append(getattr(batch, name).reshape(steps, -1))
        marks = np.zeros((vectors, beats, turns), np.uint8)
        marks[:, 0] = 1
        parts["first"].append(marks.reshape(steps, 1))
        parts["last"].append(marks[:, ::-1].reshape(steps, 1))
        if "acc" in parts:
            words = rng.integers(0, 1 << 32, (vectors, beats, columns), np.uint32)
            words[:, 0] = batch.acc
            parts["acc"].append(words.reshape(steps, -1))
    return {name: np.concatenate(rows) for name, rows in parts.items()}


def _shown(unit: Unit, batch: Batch) -> Arrays:
    """Return for every sum what is shown of a wrong one: its last beat and what it started from."""
    shown = {
        name: np.ascontiguousarray(codes[:, -1]).view(lane_dtype(unit.ports[name])).ravel()
        for name, codes in (("a", batch.a), ("b", batch.b))
    }
    return shown if _is_exact(unit) else shown | {"acc": batch.acc.ravel()}


def _broken(unit: Unit, name: str, traffic: Traffic, last: np.ndarray, sums: int) -> list[str]:
    """Return in what the traffic was not as a stream of that latency must be."""
    broken = [f"{name}: {text}" for text in traffic.broken]
    if len(traffic.accepted) != len(last) or len(traffic.emitted) != sums:
        return [*broken, f"{name}: {len(traffic.accepted)} in, {len(traffic.emitted)} out"]
    delays = _delays(traffic, last)
    gap, stall = TRAFFIC.get(name, STEADY)
    if stall == 0 and not (delays == unit.latency).all():
        broken.append(f"{name}: latency {delays.min()} to {delays.max()}, not {unit.latency}")
    if delays.min() < unit.latency:
        broken.append(f"{name}: a sum came out after {delays.min()} cycles")
    cycles = traffic.accepted[-1] - traffic.accepted[0] + 1
    if gap == stall == 0 and cycles != len(last):
        broken.append(f"{name}: {cycles} cycles for {len(last)} beats")
    return broken


def _delays(traffic: Traffic, last: np.ndarray) -> np.ndarray:
    """Return the cycles from the last beat of every vector to its sum."""
    return traffic.emitted - traffic.accepted[np.flatnonzero(last)]


@cocotb.test()
async def sums_as_golden(dut: object) -> None:
    """Send vectors under every kind of traffic and compare each sum that comes out, in order."""
    job = Job.load()
    unit = UNITS[job.unit]
    rng = np.random.default_rng(job.seed)
    tally = Tally(random_products=0)
    streams = Streams(dut, unit, job.lanes, Path(job.folder))
    begin = time.perf_counter()
    if job.tensors:
        batches = _given(job)
        items = stimulus(unit, batches, rng)
        traffic = await streams.transact(items, int(items["last"].sum()), rng=rng, reset=True)
        tally.broken += _broken(unit, "steady", traffic, items["last"], int(items["last"].sum()))
        got = compare(tally, unit, batches, traffic, expected(unit, batches))
        np.savez(job.file("outputs.npz"), **got)
        tally.report(job, begin)
        tally.save(job)
        return
    for name, (gap, stall) in (
        *TRAFFIC.items(),
        *[(FURTHER, TRAFFIC["steady"])] * (job.seconds > 0),
    ):
        start, pauses = clocks(), np.random.default_rng(job.seed)
        how = {"gap": gap, "stall": stall, "rng": pauses, "reset": True}
        blocks = ((part, stimulus(unit, part, rng)) for part in _program(job, name, rng))
        for (batches, items), golden in beside(blocks, lambda block: expected(unit, block[0])):
            sums = int(items["last"].sum())
            before = None
            if "reset" in name:  # what is inside then must not come out, nor stay in a sum
                depth = unit.latency
                brief = stimulus(unit, [_random(unit, _columns(job), 1, depth + 2, pauses)], pauses)
                tally.broken += await streams.reset_when_full(brief, depth=depth, rng=pauses)
                before = await streams.transact(items, sums - 9, **how)
            traffic = await streams.transact(items, sums, linger=2 * unit.latency, **how)
            if before:
                tally.broken += cut_short(before, traffic)
            tally.broken += _broken(unit, name, traffic, items["last"], sums)
            compare(tally, unit, batches, traffic, golden.result())
            if not tally.broken:
                tally.random_products += sum(batch.random_products for batch in batches)
                if name == "steady":
                    tally.measured(int(_delays(traffic, items["last"]).min()), traffic.interval)
            if name == FURTHER:
                tally.further(sum(batch.acc.size for batch in batches), start)
            tally.report(job, begin)
    tally.save(job)


def expected(unit: Unit, batches: list[Batch]) -> Arrays:
    """Return golden's sums of batches, one after the other, as the ports carry them."""
    joined = concatenated(expect(unit, batch) for batch in batches)
    return {
        name: column.astype(lane_dtype(unit.ports[name]), copy=False)
        for name, column in joined.items()
    }


def compare(
    tally: Tally, unit: Unit, batches: list[Batch], traffic: Traffic, golden: Arrays
) -> Arrays:
    """Compare the sums that came out with golden's, and return those that count."""
    shown = concatenated(_shown(unit, batch) for batch in batches)
    counted = np.concatenate([np.arange(b.acc.size) < (b.count or b.acc.size) for b in batches])
    done = min(len(counted), len(traffic.outputs["sum"]))
    came = np.flatnonzero(counted[:done])
    parts = [
        {name: column[came] for name, column in columns.items()}
        for columns in (shown, golden, traffic.outputs)
    ]
    tally.compare(parts[0], {}, *parts[1:])
    return parts[2]


def concatenated(parts: Iterable[Arrays]) -> Arrays:
    """Return columns that are flat, and one after the other."""
    parts = list(parts)
    return {name: np.concatenate([part[name].ravel() for part in parts]) for name in parts[0]}
