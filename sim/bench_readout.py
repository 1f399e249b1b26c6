# SPDX-License-Identifier: Apache-2.0
"""Bench of the read-outs of exact sums: every leading bit, tie and scale, then random sums.

Imports `golden`, `sim.bench`, `sim.bench_encoder`, `sim.lanes` and `sim.programs`. A sum is rounded
to FP32, to HiF8, or to HiF8 by way of FP32: what lies near a boundary of any of the three is run,
in sums with one bit more, or less, at any place below. The state is any that an accumulator may
have; and NaN must win over infinities.
"""

from collections.abc import Iterator
from itertools import product

import cocotb
import numpy as np

from ..golden import format as f
from ..golden.accumulate import SCALES, UNIT_EXPONENT, ExactSum, readout
from ..golden.rounding import Rounding
from ..hdl.configs import UNITS, Unit
from ..hdl.layouts import SUM_FLAGS
from . import programs
from .bench import BATCH, Arrays, Job, check
from .bench_encoder import boundaries, ties_of_hybrid
from .lanes import lane_dtype

FRACTION = f.FP32.fraction_width
GUARD = FRACTION + 1
"""How far below a sum's leading bit the first one lies that FP32 has no place for."""
TAILS = 6
"""What may follow an FP32 word: nothing, half an ulp, nearly an ulp, and a unit beside them."""
_DRAWS = 2
"""Pairs of a leading bit and a lower one, for every place of either and every distance."""
_HYBRID_DRAWS = 12
"""Pairs of F and T for each exponent."""
_SCALED = 24
"""Sums for each scale."""
_FLAGS = [
    (nan, plus, minus) for nan, plus, minus in product((0, 1), repeat=3) if nan or not plus & minus
]
_PLAIN = 57
"""Random sums without a flag for seven with any setting of them."""
_HALF = (1 << 64) - 1


def _tops(unit: Unit) -> list[int]:
    """Return the magnitudes of one bit."""
    return [1 << lead for lead in range(unit.ports["sum"].width - 1)]


def _pairs(places: int, gap: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Return leading bits and lower ones, `gap` apart at least: each of either, each distance."""
    n = np.repeat(np.arange(places - gap), _DRAWS)
    some = rng.integers(0, n + 1)
    leads = np.concatenate([n + gap, places - 1 - some, places - 1 - some])
    lows = np.concatenate([some, places - 1 - gap - n, n - some])
    return list(zip(leads.tolist(), lows.tolist(), strict=True))


def _patterns(places: int, rng: np.random.Generator) -> Iterator[int]:
    """Yield magnitudes that show what sways the rounding to FP32, at every place.

    A bit alone; with any other below it, and a tie's guard bit if FP32 has no place for that other;
    with all down to another. And where FP32 rounds, the ties that go down and up, and those that
    would go up with a unit of a lower place less.
    """
    for lead in range(places):
        yield 1 << lead
        for low in range(lead):
            yield 1 << lead | 1 << low | (1 << lead - GUARD if low < lead - GUARD else 0)
    for lead, low in _pairs(places, 1, rng):
        yield (2 << lead) - (1 << low)
    for lead, odd in product(range(GUARD, places), (0, 2)):
        yield 1 << lead | (odd | 1) << lead - GUARD
    for lead, low in _pairs(places, GUARD + 1, rng):
        yield (1 << lead | 3 << lead - GUARD) - (1 << low)


def _leads(fixed: np.ndarray, lowest: int, places: int, rng: np.random.Generator) -> np.ndarray:
    """Draw leading bits, none below `lowest`, that scales take to `fixed` places above bit 0."""
    low = np.maximum(fixed - SCALES[-1], lowest)
    return rng.integers(low, np.minimum(fixed - SCALES[0], places - 1) + 1)


def _into_range(leads: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw scales that take sums of the given leading bits into HiF8's range, as far as they go."""
    exponents = rng.integers(f.MIN_EXPONENT - 4, f.MAX_EXPONENT + 4, len(leads))
    return np.clip(exponents - UNIT_EXPONENT - leads, SCALES[0], SCALES[-1])


def _near(places: int, words: np.ndarray, rng: np.random.Generator) -> tuple[list[int], np.ndarray]:
    """Return magnitudes and scales that give FP32 words or lie above them by one of the tails."""
    fixed = (words >> FRACTION).astype(int) - f.FP32.bias - UNIT_EXPONENT
    leads = _leads(fixed, FRACTION + 3, places, rng)
    sums = []
    for place, (word, lead) in enumerate(zip(words.tolist(), leads.tolist(), strict=True)):
        ulp = 1 << lead - FRACTION
        half = ulp >> 1
        tail = (0, 1, half - 1, half, half + 1, ulp - 1)[place % TAILS]
        sums.append((word & (1 << FRACTION) - 1 | 1 << FRACTION) * ulp + tail)
    return sums, fixed - leads


def _directed(unit: Unit, rng: np.random.Generator) -> Arrays:
    """Return the cases that are run whatever the effort."""
    tops = _tops(unit)
    places = len(tops)
    sums = list(_patterns(places, rng))
    scales = [_into_range(np.array([m.bit_length() - 1 for m in sums]), rng)]
    near = [np.repeat(boundaries(f.FP32, (-1, 0)), TAILS)]
    if "hybrid" in unit.options:
        near.append(ties_of_hybrid(f.FP32, rng, _HYBRID_DRAWS))
    for words in near:
        magnitudes, exponents = _near(places, words, rng)
        sums += magnitudes
        scales.append(exponents)
    carried = np.arange(GUARD + SCALES[0], places + SCALES[-1])
    leads = _leads(carried, GUARD, places, rng)
    sums += [(2 << lead) - 1 for lead in leads.tolist()]
    scales.append(carried - leads)
    for exponent in SCALES:
        some = rng.choice(places, _SCALED, replace=False)
        sums += [tops[k] | int.from_bytes(rng.bytes(16), "little") % tops[k] for k in some]
        scales.append(np.full(_SCALED, exponent))
    signs = rng.choice((1, -1), len(sums)).tolist()
    sums = [sign * magnitude for sign, magnitude in zip(signs, sums, strict=True)]
    cases = [(*case, (0, 0, 0)) for case in zip(sums, np.concatenate(scales).tolist(), strict=True)]
    ends = (0, 1, -1, 2 * tops[-1] - 1, -2 * tops[-1])
    cases += product(ends, (SCALES[0], -1, 0, SCALES[-1]), _FLAGS)
    cases += product((0, 1 << -UNIT_EXPONENT), SCALES, [(0, 0, 0)])

    totals, scales, flags = zip(*cases, strict=True)
    dtype = lane_dtype(unit.ports["sum"])
    raw = b"".join(total.to_bytes(dtype.itemsize, "little", signed=True) for total in totals)
    return {
        "sum": np.frombuffer(raw, dtype),
        **dict(zip(SUM_FLAGS, np.array(flags, np.uint8).T, strict=True)),
        "scale": np.array(scales, np.int8),
    }


def _random(unit: Unit, size: int, rng: np.random.Generator) -> Arrays:
    """Draw sums of any leading bit, half of them with scales that take them into HiF8's range.

    A few have flags.
    """
    tops = _tops(unit)
    leads = rng.integers(0, len(tops), size)
    flip = -rng.integers(0, 2, size)  # all bits of a half, of which one's complement makes negative
    halves = []
    for start in (64, 0):
        bits, leading = (
            np.array([value >> start & _HALF for value in values], np.uint64)[leads]
            for values in ([top - 1 for top in tops], tops)
        )
        halves.append((rng.integers(0, 1 << 64, size, np.uint64) & bits | leading).view(int) ^ flip)
    scales = rng.integers(SCALES[0], SCALES[-1] + 1, size)
    flags = np.array([*_FLAGS, *[(0, 0, 0)] * _PLAIN], np.uint8)
    chosen = flags[rng.integers(0, len(flags), size)]
    return {
        "sum": programs.packed(*halves, lane_dtype(unit.ports["sum"])),
        **dict(zip(SUM_FLAGS, chosen.T, strict=True)),
        "scale": np.where(rng.integers(0, 2, size), _into_range(leads, rng), scales).astype(
            np.int8
        ),
    }


def _random_cases(job: Job) -> int:
    """Return how many random sums there are for each setting of the options, which share them."""
    return job.random_cases // len(job.settings)


def count(job: Job) -> int:
    """Return how many cases the bench must run for each setting of the options.

    A sum has 95 leading bits: each alone and with each below it; 1 to 94 places apart two pairs for
    each place of either and each distance; where FP32 rounds, every tie twice, and two pairs more
    than it has places apart. Six tails for each of 126 values and 127 midpoints and its lower
    neighbour; for HR 12 pairs of F and T for each of 32 exponents three times. All ones for each
    exponent that rounding may carry into; for each of 64 scales 24 sums, zero and one; for four of
    them seven settings of the flags with five sums. Of these the job's share; then the random ones.
    """
    unit = UNITS[job.unit]
    places = len(_tops(unit))
    rounded = places - GUARD
    patterns = places * (places + 1) // 2 + 6 * (places - 1) + 2 * rounded + 6 * (rounded - 1)
    patterns += rounded + 63
    near = 6 * 2 * (126 + 127) + (32 * 12 * 3 if "hybrid" in unit.options else 0)
    directed = patterns + near + 64 * (24 + 2) + 4 * 7 * 5
    return job.part(directed) + _random_cases(job)


def cases(job: Job) -> Iterator[Arrays]:
    """Yield the directed sums, then random ones."""
    unit = UNITS[job.unit]
    rng = np.random.default_rng(job.seed)
    directed = _directed(unit, rng)
    some = job.some(len(directed["sum"]), rng)
    yield {name: column[some] for name, column in directed.items()}
    left = _random_cases(job)
    for start in range(0, left, BATCH):
        yield _random(unit, min(BATCH, left - start), rng)


def expect(unit: Unit, inputs: Arrays, options: dict[str, int]) -> Arrays:
    """Return what golden reads out."""
    how = {name: bool(value) for name, value in options.items()}
    if "hybrid" in how:
        how["rounding"] = Rounding.HR if how.pop("hybrid") else Rounding.TA
    flags = (inputs[name].astype(bool) for name in SUM_FLAGS)
    total = ExactSum(*programs.unpacked(inputs["sum"]), *flags)
    [output] = unit.outputs
    words = readout(total, scale=inputs["scale"], **how)
    return {output: words.view(lane_dtype(unit.ports[output]))}


@cocotb.test()
async def reads_out_as_golden(dut: object) -> None:
    """Compare the word or code with golden for every sum, under every setting of the options."""
    await check(dut, cases, expect)
