# SPDX-License-Identifier: Apache-2.0
"""Bench of the comparison's sums without handshakes: what every beat leaves in the sum.

Imports `golden`, `hdl.baselines`, `sim.bench`, `sim.lanes`, `sim.programs` and `sim.streams`. The
lanes, copies of the unit, go in step and have data of their own.
"""

import math
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import cocotb
import numpy as np

from ..golden import others
from ..hdl.baselines import FP8, ROWS
from ..hdl.configs import Unit
from .bench import Arrays, Job, Tally
from .bench_baseline import format_of
from .lanes import lane_dtype
from .streams import Streams

RANDOM = 4
"""Random products for every random case that is asked for."""
LENGTHS = (1, 2, 3, 5, 8, 16, 33, 64)
"""Beats of random vectors; equally many products go to each."""
CANCELLED = 600
"""Vectors that cancel, to nothing and to the smallest product."""

Pair = tuple[np.ndarray, np.ndarray]


def _negative(name: str) -> np.ndarray:
    """Return for every code that of the negative value, or itself if there is none."""
    values = others.VALUES[name]
    codes = {value: code for code, value in enumerate(values.tolist())}
    return np.array([codes.get(-v, c) for c, v in enumerate(values.tolist())], np.uint8)


def _positive(name: str) -> np.ndarray:
    """Return the codes of finite values above zero, in their order."""
    values = others.VALUES[name]
    codes = np.flatnonzero(np.isfinite(values) & (values > 0))
    return codes[np.argsort(values[codes])].astype(np.uint8)


def _exponents(name: str) -> np.ndarray:
    """Return the exponents of all products of positive values."""
    values = others.VALUES[name][_positive(name)]
    return np.unique(others.exponent_of(np.multiply.outer(values, values)))


def _special_codes(name: str) -> np.ndarray:
    """Return the zeros, a NaN, the infinities, ones, and the extremes of either sign, if any."""
    values, positive = others.VALUES[name], _positive(name)
    finite = np.where(np.isfinite(values), values, 0)
    ends = positive[[0, -1]]
    return np.unique(
        [
            *np.flatnonzero((values == 0) | (np.abs(values) == 1) | np.isinf(values)),
            *np.flatnonzero(np.isnan(values))[:1],
            *(*ends, *_negative(name)[ends], np.argmin(finite)),
        ]
    ).astype(np.uint8)


def _directed(name: str, rng: np.random.Generator) -> Iterator[Pair]:
    """Yield vectors of a product a beat, of shape (vectors, beats).

    Two products of every two exponents, of equal and of opposite signs; some that cancel; the
    extremes in turn; all pairs of products of special codes, and after them a one.
    """
    values, positive, negative = others.VALUES[name], _positive(name), _negative(name)
    a, b = (codes.ravel() for codes in np.meshgrid(positive, positive))
    exponents = others.exponent_of(values[a] * values[b])
    of = [np.flatnonzero(exponents == e) for e in _exponents(name)]
    for opposite in (False, True):
        chosen = np.array([[rng.choice(x), rng.choice(y)] for x, y in product(of, repeat=2)])
        x, y = a[chosen], b[chosen]
        if opposite:
            y[:, 1] = negative[y[:, 1]]
        yield x, y
    for rest in (np.flatnonzero(values == 0)[0], positive[0]):
        x, y = rng.choice(positive, (2, CANCELLED))
        last = np.full(CANCELLED, rest, np.uint8)
        yield (
            np.stack([x, y, negative[y], negative[x], last], axis=1),
            np.stack([y, y, y, y, last], axis=1),
        )
    low, high = positive[[0, -1]]
    ends = np.array([low, high, negative[low], negative[high]], np.uint8)
    turns = np.array(list(product(ends, repeat=2)), np.uint8)
    yield np.tile(turns, 16), np.tile(np.array([low, high, high, low], np.uint8), (len(turns), 8))
    specials = _special_codes(name)
    one = np.flatnonzero(values == 1)[0]
    pairs = np.array(list(product(specials, repeat=2)), np.uint8)
    i, j = np.divmod(np.arange(len(pairs) ** 2), len(pairs))
    ones = np.full(i.size, one, np.uint8)
    yield (
        np.stack([pairs[i, 0], pairs[j, 0], ones], axis=1),
        np.stack([pairs[i, 1], pairs[j, 1], ones], axis=1),
    )


def _kinds(name: str) -> list[tuple[int, int]]:
    """Return how many vectors, of how many beats, `_directed` must yield."""
    pairs = len(_exponents(name)) ** 2
    return [(pairs, 2)] * 2 + [(CANCELLED, 5)] * 2 + [(16, 32), (len(_special_codes(name)) ** 4, 3)]


def _random_vectors(job: Job, beats: int) -> int:
    """Return how many random vectors of a length there are in each lane."""
    each = job.random_cases * RANDOM / len(LENGTHS) / job.lanes / ROWS[job.unit].products
    return math.ceil(each / beats)


def _random_codes(name: str, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw codes: for each of the first axis all codes, finite ones, or codes near one."""
    values = others.VALUES[name]
    near = np.flatnonzero((np.abs(values) >= 1 / 8) & (np.abs(values) <= 8))
    finite = np.flatnonzero(np.isfinite(values))
    sets = [np.arange(256), finite, near]
    draws = [rng.choice(sets[k], shape[1:]) for k in rng.choice(3, shape[0], p=(0.2, 0.4, 0.4))]
    return np.array(draws, np.uint8)


def _spread(pair: Pair, job: Job, rng: np.random.Generator) -> Pair:
    """Lay vectors of a product a beat out in the lanes; each goes to a place of its own choice."""
    count, beats = pair[0].shape
    products = ROWS[job.unit].products
    chosen = np.arange(-(-count // job.lanes) * job.lanes) % count
    place = rng.integers(0, products, chosen.size)

    def laid_out(codes: np.ndarray) -> np.ndarray:
        full = np.zeros((chosen.size, beats, products), np.uint8)
        full[np.arange(chosen.size), :, place] = codes[chosen]
        return full.reshape(-1, job.lanes, beats, products).swapaxes(1, 2)

    return laid_out(pair[0]), laid_out(pair[1])


def _program(job: Job, name: str, rng: np.random.Generator) -> Iterator[Pair]:
    """Yield vectors, of shape (vectors, beats, lanes, products)."""
    for pair in _directed(name, rng):
        yield _spread(pair, job, rng)
    for beats in LENGTHS:
        shape = _random_vectors(job, beats), beats, job.lanes, ROWS[job.unit].products
        yield _random_codes(name, rng, shape), _random_codes(name, rng, shape)


def count(job: Job) -> int:
    """Return how many sums the bench must compare for each setting of the options, on average.

    One a beat of every vector, directed ones padded to all lanes.
    """
    names = [format_of(ROWS[job.unit], options) for options in job.settings]
    beats = sum(-(-n // job.lanes) * length for name in names for n, length in _kinds(name))
    beats += len(names) * sum(_random_vectors(job, length) * length for length in LENGTHS)
    return beats * job.lanes // len(names)


def expect(unit: Unit, name: str, pair: Pair) -> Arrays:
    """Return what golden says of the sum after every beat, flat."""
    smallest = [one.name for one in FP8["fp8"]] if "select" in unit.options else [name]
    exponent = 2 * others.smallest_exponent(*smallest)
    a, b = (codes.reshape(-1, *codes.shape[2:]) for codes in pair)
    first = np.arange(len(a)) % pair[0].shape[1] == 0
    fp32 = unit.parameters.get("accumulator") == "fp32"
    sums = list(others.running(others.beats(name, a, b, exponent), first, fp32=fp32))
    total = others.Beat(*(np.concatenate(column) for column in zip(*sums, strict=True)))
    if fp32:
        return {"sum": others.fp32_words(total, exponent)}
    dtype = lane_dtype(unit.ports["sum"])
    if dtype.kind == "V":
        raw = b"".join(
            int(n).to_bytes(dtype.itemsize, "little", signed=True) for n in total.integer
        )
        words = np.frombuffer(raw, dtype)
    else:
        words = total.integer.astype(dtype)
    flags = {key: getattr(total, key).astype(np.uint8) for key in unit.outputs if key != "sum"}
    return {"sum": words} | flags


def _items(unit: Unit, pair: Pair, options: dict[str, int]) -> Arrays:
    """Return what the ports are at every beat."""
    vectors, beats = pair[0].shape[:2]
    steps = vectors * beats
    first = np.arange(steps, dtype=np.int64) % beats == 0
    codes = {name: column.reshape(steps, -1) for name, column in zip("ab", pair, strict=True)}
    return {
        **codes,
        "first": first.astype(np.uint8),
        **{name: np.full(steps, value, np.uint8) for name, value in options.items()},
    }


@cocotb.test()
async def sums_as_golden(dut: object) -> None:
    """Compare every output with golden after every beat, under every setting of the options."""
    job = Job.load()
    unit = ROWS[job.unit]
    streams = Streams(dut, unit, job.lanes, Path(job.folder))
    tally = Tally(random_products=0)
    begin = time.perf_counter()
    for options in job.settings:
        name = format_of(unit, options)
        rng = np.random.default_rng(job.seed)
        for pair in _program(job, name, rng):
            beats = math.prod(pair[0].shape[:2])
            traffic = await streams.transact(_items(unit, pair, options), beats, rng=rng)
            assert not traffic.broken, traffic.broken[0]
            shown = {
                key: np.ascontiguousarray(codes).view(lane_dtype(unit.ports[key])).ravel()
                for key, codes in zip("ab", pair, strict=True)
            }
            tally.compare(shown, options, expect(unit, name, pair), traffic.outputs)
            tally.report(job, begin)
        random = (_random_vectors(job, beats) * beats for beats in LENGTHS)
        tally.random_products += sum(random) * job.lanes * unit.products
    tally.save(job)
