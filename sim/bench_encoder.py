# SPDX-License-Identifier: Apache-2.0
"""Bench of the encoders: all 16-bit words; of FP32 every word that could be special, then random.

Imports `golden`, `sim.bench` and `sim.coverage`. TA depends on the 13 leading bits of an FP32 word
and on whether it is NaN: all of those are run, and what lies near every boundary between two codes.
HR compares leading discarded bits F with low bits T: F = T and F = T +- 1 are run for every
exponent.
"""

from collections.abc import Iterable, Iterator

import cocotb
import numpy as np

from ..golden.decode import VALUES
from ..golden.encode import encode
from ..golden.format import HYBRID_FROM, MAX_EXPONENT, MIN_EXPONENT, FloatFormat
from ..golden.rounding import Rounding
from ..hdl.configs import UNITS, Unit
from .bench import BATCH, Arrays, Job, check
from .coverage import Coverage

_NEIGHBOURS = range(-3, 4)
_LEADING = 13
"""Sign, eight exponent bits and four fraction bits of an FP32 word."""
_EXHAUSTED = 16
"""Bits of the widest word that is run exhaustively."""
_SAMPLES = 96
"""Pairs of F and T for each sign and exponent."""
_HYBRID_EXPONENTS = [e for e in range(MIN_EXPONENT - 1, MAX_EXPONENT + 1) if abs(e) >= HYBRID_FROM]


def boundaries(source: FloatFormat, near: Iterable[int] = _NEIGHBOURS) -> np.ndarray:
    """Return the words of every value and every midpoint between two, so many ulp off each.

    The last midpoint is that of 2^15 and the 1.5 * 2^15 in whose place infinity stands.
    """
    values = np.sort(VALUES[np.isfinite(VALUES) & (VALUES >= 0)])
    slots = np.append(values, 1.5 * values[-1])
    exact = np.concatenate([values[1:], (slots[1:] + slots[:-1]) / 2])
    words = exact.astype(source.dtype).view(source.word)
    return np.add.outer(words, np.array(near).astype(source.word)).ravel()


def ties_of_hybrid(
    source: FloatFormat, rng: np.random.Generator, samples: int = _SAMPLES
) -> np.ndarray:
    """Return positive words in which F is T, T + 1 and T - 1, so many for each exponent.

    F lies `apart` bits above T, so that they are equal if the significand repeats itself with that
    period; one more or less in the lowest bits then moves T alone. Ones or zeros at the end carry
    that on, so that each bit in turn is the highest in which F and T differ.
    """
    m, width = source.fraction_width, source.hybrid_width
    kept = {e: 2 if abs(e) < 8 else 1 if abs(e) < 16 else 0 for e in _HYBRID_EXPONENTS}
    kept[MIN_EXPONENT - 1] = -1
    words = []
    for exponent, n in kept.items():
        apart = m - n - width
        end = (1 << rng.integers(0, apart, samples)) - 1
        low = rng.integers(0, 1 << apart, samples)
        low = np.where(rng.integers(0, 2, samples), low | end, low & ~end)
        if n < 0:  # the hidden bit leads F, and so the pattern
            low |= 1 << m % apart
        periodic = sum(low << start for start in range(0, m, apart))
        free = rng.integers(0, 1 << m, samples) >> m - max(n, 0) << m - max(n, 0)
        window = (1 << m - max(n, 0)) - 1
        for delta in (0, -1, 1):
            moved = (low + delta) % (1 << apart)
            fraction = (periodic & window & -(1 << apart)) | moved | free
            words.append((exponent + source.bias << m) + fraction)
    return np.concatenate(words).astype(source.word)


def _directed(unit: Unit, rng: np.random.Generator) -> np.ndarray:
    """Return the words that are run whatever the effort."""
    source: FloatFormat = unit.parameters["source"]
    if source.width <= _EXHAUSTED:
        return np.arange(1 << source.width, dtype=source.word)
    low = source.width - _LEADING
    leading = np.arange(1 << _LEADING, dtype=source.word) << low
    fills = (0, 1, (1 << low) - 1, rng.integers(0, 1 << low, leading.size, source.word))
    payloads = source.inf_bits | 1 << np.arange(low, dtype=source.word)
    subnormals = 1 << np.arange(source.fraction_width, dtype=source.word)
    positive = [boundaries(source), payloads, subnormals]
    if "hybrid" in unit.options:
        positive.append(ties_of_hybrid(source, rng))
    sign = source.word.type(1 << source.width - 1)
    mirrored = np.concatenate(positive)
    return np.concatenate([*(leading | fill for fill in fills), mirrored, mirrored | sign])


def corners(unit: Unit, rng: np.random.Generator) -> list[Arrays]:
    """Return groups of words that a few words drawn from all would miss, each of either sign.

    The values and boundaries with their neighbours; zero, infinity, subnormals and NaNs with one
    bit of fraction; the range of HiF8, and the binades at its ends; F near T.
    """
    source: FloatFormat = unit.parameters["source"]
    bits = 1 << np.arange(source.fraction_width, dtype=source.word)
    ends = np.array([0, source.inf_bits], source.word)
    groups = [boundaries(source), np.concatenate([ends, bits, source.inf_bits | bits])]
    lowest, highest = MIN_EXPONENT - 1, MAX_EXPONENT
    for low, high in ((lowest - 1, highest), (lowest, lowest), (highest, highest)):
        with np.errstate(over="ignore"):  # to FP16's infinity
            limits = np.exp2([low, high + 1]).astype(source.dtype).view(source.word)
        groups.append(rng.integers(*limits, 1 << 10, source.word))
    if "hybrid" in unit.options and source.width > _EXHAUSTED:
        groups.append(ties_of_hybrid(source, rng))
    sign = source.word.type(1 << source.width - 1)
    return [{"x": np.concatenate([words, words | sign])} for words in groups]


def count(job: Job) -> int:
    """Return how many cases the bench must run for each setting of the options.

    All words of 16 bits. Of 32: all leading bits four times; on either side of zero 126 values and
    127 midpoints with three neighbours either side, 19 NaNs with one bit of payload, 23 subnormals
    of one bit; for HR, on either side and for each of 32 exponents, 96 pairs of F and T three
    times; and the random words.
    """
    unit = UNITS[job.unit]
    if unit.parameters["source"].width <= _EXHAUSTED:
        return 1 << 16
    hybrid = 32 * 96 * 3 if "hybrid" in unit.options else 0
    return 4 * 8192 + 2 * (7 * (126 + 127) + 19 + 23 + hybrid) + job.random_cases


def cases(job: Job) -> Iterator[Arrays]:
    """Yield the directed words, then random ones."""
    unit = UNITS[job.unit]
    source = unit.parameters["source"]
    rng = np.random.default_rng(job.seed)
    yield {"x": _directed(unit, rng)}
    random_cases = 0 if source.width <= _EXHAUSTED else job.random_cases
    for start in range(0, random_cases, BATCH):
        size = min(BATCH, random_cases - start)
        yield {"x": rng.integers(0, 1 << source.width, size, source.word)}


def expect(unit: Unit, inputs: Arrays, options: dict[str, int]) -> Arrays:
    """Return the codes that golden encodes to."""
    values = inputs["x"].view(unit.parameters["source"].dtype)
    return {
        "code": encode(
            values,
            Rounding.HR if options.get("hybrid") else Rounding.TA,
            saturate=bool(options["saturate"]),
            nan_to_zero=bool(options["nan_to_zero"]),
            keep_exact=bool(unit.parameters.get("keep_exact", False)),
        )
    }


def cover(unit: Unit, settings: list[dict[str, int]]) -> Coverage:
    """Return what counts the cases in bins."""
    keep_exact = bool(unit.parameters.get("keep_exact", False))
    return Coverage(unit.parameters["source"], settings, keep_exact=keep_exact)


@cocotb.test()
async def encodes_as_golden(dut: object) -> None:
    """Compare the code with golden for every word, under every setting of the options."""
    await check(dut, cases, expect, cover)
