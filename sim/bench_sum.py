# SPDX-License-Identifier: Apache-2.0
"""Bench of the MACs and the dot products: vectors through lanes of the unit, every bit of a sum.

Imports `golden`, `sim.bench`, `sim.gemms`, `sim.lanes`, `sim.programs` and `sim.streams`. The lanes
go in step and have data of their own; whatever `a`, `b` and `acc` are between the beats that read
them is random.
"""

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cocotb
import numpy as np

from ..golden.accumulate import exact_sum
from ..golden.matmul import dot
from ..hdl.configs import UNITS, Unit
from . import programs
from .bench import Arrays, Job, Tally
from .gemms import groups
from .lanes import lane_dtype
from .streams import TRAFFIC, Traffic, cut_short, reset, reset_when_full, transact

RANDOM = 4
"""Random products for every random case that is asked for."""
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
    each = job.random_cases * RANDOM / len(LENGTHS) / _columns(job) / UNITS[job.unit].products
    return max(SHORT, math.ceil(each / beats))


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


def _directed(unit: Unit, columns: int, rng: np.random.Generator) -> Iterator[Batch]:
    """Yield the vectors that are run whatever the effort."""
    pairs = [
        *programs.exponent_pairs(rng),
        *programs.cancellations(rng),
        *programs.alternations(),
        *programs.specials(),
    ]
    for pair in pairs:
        words = np.zeros(len(pair[0]), np.uint32)
        if pair[0].shape[1] == 3:  # of the specials half start from anything
            words = programs.random_words(rng, words.shape) * rng.integers(0, 2, words.shape)
        yield _spread(unit, columns, pair, rng, words.astype(np.uint32))
    if _is_exact(unit):
        for pair in (programs.carries(rng), *programs.overflows(rng)):
            yield _spread(unit, columns, pair, rng, np.zeros(len(pair[0]), np.uint32))
    else:
        for pair, words in (
            programs.rounding_patterns(rng),
            programs.rounding_runs(rng),
            programs.lone_bits(),
        ):
            yield _spread(unit, columns, pair, rng, words)
        if unit.products >= 4:
            for pair, words in (programs.broken_ties(rng), programs.remainders(rng)):
                yield _together(unit, columns, pair, rng, words)


def _program(job: Job, name: str, rng: np.random.Generator) -> list[Batch]:
    """Return the vectors of one kind of traffic."""
    unit = UNITS[job.unit]
    columns = _columns(job)
    if name != "steady":
        return [_random(unit, columns, beats, SHORT, rng) for beats in LENGTHS]
    batches = list(_directed(unit, columns, rng))
    return batches + [_random(unit, columns, n, _vectors(job, n), rng) for n in LENGTHS]


def _given(job: Job) -> list[Batch]:
    """Return the user's own dot products; the last vectors are again the first, and not counted."""
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
    2,775, 2 x 1,275, 51 x 60, 51 x 4 and 1,225 ties, and 2 x 2,775 remainders. Each kind is padded
    to all columns. Then the random ones, as `_program` draws them.
    """
    columns = _columns(job)
    kinds = [75 * 75] * 2 + [600] * 2 + [1] * 6 + [81 * 81]
    if _is_exact(UNITS[job.unit]):
        kinds += [75 * 74] + [64] * 6
    else:
        kinds += [81 * 36 * 8, 33 * 24 * 12, 4 * 31]
        fused = [2775 + 2 * 1275 + 51 * (60 + 4) + 1225, 2 * 2775]
        kinds += fused if UNITS[job.unit].products >= 4 else []
    vectors = sum(-(-kind // columns) for kind in kinds)
    vectors += sum(_vectors(job, beats) for beats in LENGTHS)
    return columns * (vectors + (len(TRAFFIC) - 1) * SHORT * len(LENGTHS))


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


def _items(
    unit: Unit, lanes: int, batches: list[Batch], rng: np.random.Generator
) -> dict[str, list[int]]:
    """Return what the ports are at every beat, batch after batch, turn after turn."""
    turns = _interleave(unit)
    items: dict[str, list[int]] = {name: [] for name in unit.data_inputs}
    for batch in batches:
        vectors, beats, _, _ = batch.a.shape
        steps = vectors * beats * turns
        items["a"] += _joined(batch.a, steps)
        items["b"] += _joined(batch.b, steps)
        marks = np.zeros((vectors, beats, turns), int)
        marks[:, 0] = 1
        items["first"] += marks.ravel().tolist()
        items["last"] += marks[:, ::-1].ravel().tolist()
        if "acc" in items:
            shape = vectors, beats, lanes * turns
            words = rng.integers(0, 1 << 32, shape, np.uint32)
            words[:, 0] = batch.acc
            items["acc"] += _joined(words, steps)
    return items


def _joined(array: np.ndarray, steps: int) -> list[int]:
    """Return an array cut in so many steps, each as the bits of a wide port."""
    rows = np.ascontiguousarray(array).reshape(steps, -1)
    return [int.from_bytes(row.tobytes(), "little") for row in rows]


def _shown(unit: Unit, batch: Batch) -> Arrays:
    """Return for every sum what is shown of a wrong one: its last beat and what it started from."""
    shown = {
        name: np.ascontiguousarray(codes[:, -1]).view(lane_dtype(unit.ports[name])).ravel()
        for name, codes in (("a", batch.a), ("b", batch.b))
    }
    return shown if _is_exact(unit) else shown | {"acc": batch.acc.ravel()}


def _broken(unit: Unit, name: str, traffic: Traffic, last: list[int], sums: int) -> list[str]:
    """Return in what the traffic was not as a stream of that latency must be."""
    broken = [f"{name}: {text}" for text in traffic.broken]
    if len(traffic.accepted) < len(last) or len(traffic.emitted) < sums:
        return [*broken, f"{name}: {len(traffic.accepted)} in, {len(traffic.emitted)} out"]
    delays = _delays(traffic, last)
    gap, stall = TRAFFIC[name]
    if stall == 0 and not (delays == unit.latency).all():
        broken.append(f"{name}: latency {delays.min()} to {delays.max()}, not {unit.latency}")
    if delays.min() < unit.latency:
        broken.append(f"{name}: a sum came out after {delays.min()} cycles")
    cycles = traffic.accepted[-1] - traffic.accepted[0] + 1
    if gap == stall == 0 and cycles != len(last):
        broken.append(f"{name}: {cycles} cycles for {len(last)} beats")
    return broken


def _delays(traffic: Traffic, last: list[int]) -> np.ndarray:
    """Return the cycles from the last beat of every vector to its sum."""
    return np.array(traffic.emitted) - np.array(traffic.accepted)[np.flatnonzero(last)]


@cocotb.test()
async def sums_as_golden(dut: object) -> None:
    """Send vectors under every kind of traffic and compare each sum that comes out, in order."""
    job = Job.load()
    unit = UNITS[job.unit]
    rng = np.random.default_rng(job.seed)
    tally = Tally(random_products=0)
    broken: list[str] = []
    every = (1 << job.lanes) - 1
    begin = time.perf_counter()
    for name, (gap, stall) in TRAFFIC.items():
        if job.tensors and name != "steady":
            continue
        await reset(dut)
        batches = _given(job) if job.tensors else _program(job, name, rng)
        items = _items(unit, job.lanes, batches, rng)
        sums = sum(items["last"])
        how = {"gap": gap, "stall": stall, "rng": rng, "every": every}
        how |= {"latency": unit.latency, "emits": items["last"]}
        if "reset" in name:  # what is inside then must not come out, nor stay in a sum
            depth = unit.latency
            brief = [_random(unit, _columns(job), 1, depth + 2, rng)]
            full = {"depth": depth, "rng": rng, "every": every}
            ones = _items(unit, job.lanes, brief, rng)
            broken += await reset_when_full(dut, ones, unit.outputs, **full)
            before = await transact(dut, items, unit.outputs, sums - 9, **how)
            await reset(dut)
        traffic = await transact(dut, items, unit.outputs, sums, **how)
        if "reset" in name:
            broken += cut_short(before, traffic)
        broken += _broken(unit, name, traffic, items["last"], sums)
        got = compare(tally, unit, job.lanes, batches, traffic)
        if job.tensors:
            np.savez(job.file("outputs.npz"), **got)
        if not broken:
            tally.random_products += sum(batch.random_products for batch in batches)
            if name == "steady":
                tally.latency = int(_delays(traffic, items["last"]).min())
                tally.interval = traffic.interval
        tally.seconds = time.perf_counter() - begin
        job.file("progress").write_text(str(tally.cases))
    tally.save(job)
    assert not broken, broken[0]


def compare(tally: Tally, unit: Unit, lanes: int, batches: list[Batch], traffic: Traffic) -> Arrays:
    """Compare the sums that came out with golden's, and return them."""
    expected = concatenated(expect(unit, batch) for batch in batches)
    shown = concatenated(_shown(unit, batch) for batch in batches)
    counted = np.concatenate([np.arange(b.acc.size) < (b.count or b.acc.size) for b in batches])
    got = {}
    for name in unit.outputs:
        dtype = lane_dtype(unit.ports[name])
        size = lanes * dtype.itemsize
        raw = b"".join(value.to_bytes(size, "little") for value in traffic.outputs[name])
        got[name] = np.frombuffer(raw, dtype)
        expected[name] = expected[name].astype(dtype, copy=False)
    came = counted[: len(got["sum"])]
    parts = [
        {name: column[: came.size][came] for name, column in columns.items()}
        for columns in (shown, expected, got)
    ]
    tally.compare(parts[0], {}, *parts[1:])
    return parts[2]


def concatenated(parts: Iterable[Arrays]) -> Arrays:
    """Return columns that are flat, and one after the other."""
    parts = list(parts)
    return {name: np.concatenate([part[name].ravel() for part in parts]) for name in parts[0]}
