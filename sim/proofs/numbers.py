# SPDX-License-Identifier: Apache-2.0
"""The format as exact numbers, made from the dot-field table and from nothing of golden's code.

Imports `golden.format` and `sim.proofs.prover`.
"""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from ...golden.format import (
    DENORMAL_BIAS,
    DOT_FIELDS,
    HYBRID_FROM,
    INF,
    MAX,
    MIN_EXPONENT,
    SIGN_BIT,
    FloatFormat,
)
from ...toolchain.program import ToolError


def _value(magnitude: int) -> Fraction:
    """Return what the seven bits below the sign stand for; the slot of infinity like any other."""
    dot = next(d for d in DOT_FIELDS if magnitude >> 7 - d.prefix_width == d.prefix)
    n, digits = dot.mantissa_width, max(dot.exponent_width - 1, 0)
    mantissa = magnitude % (1 << n)
    if dot.denormal:
        return Fraction(2) ** (mantissa - DENORMAL_BIAS) if mantissa else Fraction(0)
    size = 0
    if dot.exponent_width:
        size = 1 << digits | magnitude >> n & (1 << digits) - 1
    negative = dot.exponent_width and magnitude >> n + digits & 1
    return Fraction(2) ** (-size if negative else size) * (1 + Fraction(mantissa, 1 << n))


ORDER = sorted(range(SIGN_BIT), key=_value)
"""The codes without a sign in the order of their values: zero first, infinity last."""
VALUES = {magnitude: _value(magnitude) for magnitude in ORDER}
OVERFLOW = (VALUES[MAX] + VALUES[INF]) / 2
"""1.25 * 2^15: infinite from here on."""
_UNDERFLOW = Fraction(2) ** (MIN_EXPONENT - 1)


def exponent(value: Fraction) -> int:
    """Return E of a positive value with a power of two below the line."""
    return value.numerator.bit_length() - value.denominator.bit_length()


def word_value(word: int, source: FloatFormat) -> Fraction:
    """Return what a finite word without a sign stands for."""
    biased, fraction = divmod(word, 1 << source.fraction_width)
    significand = fraction | (1 << source.fraction_width if biased else 0)
    return significand * Fraction(2) ** (max(biased, 1) - source.bias - source.fraction_width)


def first_word(value: Fraction, source: FloatFormat) -> int:
    """Return the first word without a sign that is not below a value: words are in its order."""
    low, high = 0, source.inf_bits
    while low < high:
        middle = (low + high) // 2
        if word_value(middle, source) < value:
            low = middle + 1
        else:
            high = middle
    return low


def nearest_rows(source: FloatFormat) -> list[tuple[int, int, int]]:
    """Return where TA gives which code: first word, end, code without sign; in order, no gaps."""
    starts = [0] + [first_word((VALUES[a] + VALUES[b]) / 2, source) for a, b in pairwise(ORDER)]
    return list(zip(starts, [*starts[1:], source.inf_bits], ORDER, strict=True))


@dataclass(frozen=True)
class Step:
    """The words between two neighbouring values, or a part of them.

    Attributes
    ----------
    low, high : int
        First word, and the one past the last.
    below, above : int
        The neighbours' codes without sign: the value K not above these words, and the next one.
    hybrid : bool
        HR compares F with T; else it rounds as TA.
    middle : int
        First word not below the middle of the two.
    first, shift : int
        F of the first word, and how many of its last bits count one in F.
    """

    low: int
    high: int
    below: int
    above: int
    hybrid: bool = False
    middle: int = 0
    first: int = 0
    shift: int = 0


def hybrid_steps(source: FloatFormat) -> list[Step]:
    """Return where HR chooses between which codes, and how; in order, no gaps.

    F is how far a word is from K to the next value, in units of 2^-width of that way. So it is
    below the smallest value too, where K is zero. The words between two cuts are of one binade,
    and linear in value.
    """
    width = source.hybrid_width
    cuts = sorted({*VALUES.values(), _UNDERFLOW, OVERFLOW} - {VALUES[INF]})
    steps = []
    for low, high in pairwise(cuts):
        below = max((m for m in ORDER if VALUES[m] <= low), key=VALUES.__getitem__)
        above = ORDER[ORDER.index(below) + 1]
        start, end = first_word(low, source), first_word(high, source)
        if high == _UNDERFLOW:
            steps.append(Step(start, end, below, below))
            continue
        gap = VALUES[above] - VALUES[below]
        first = (low - VALUES[below]) / gap * (1 << width)
        counts = (high - low) / gap * (1 << width)
        per_count = Fraction(end - start) / counts
        if (
            first.denominator != 1
            or per_count.denominator != 1
            or per_count.numerator & (per_count.numerator - 1)
        ):
            raise ToolError(f"F is no bit field of {source.name} between {low} and {high}")
        steps.append(
            Step(
                start,
                end,
                below,
                above,
                hybrid=abs(exponent(low)) >= HYBRID_FROM,
                middle=first_word((VALUES[below] + VALUES[above]) / 2, source),
                first=int(first),
                shift=int(per_count).bit_length() - 1,
            )
        )
    steps.append(Step(steps[-1].high, source.inf_bits, INF, INF))
    return steps
