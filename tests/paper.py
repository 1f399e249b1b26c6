# SPDX-License-Identifier: Apache-2.0
"""The paper's equations in exact `fractions.Fraction` arithmetic: what golden is checked against.

Imports the standard library alone. Scalar, slow, and written apart from golden: nothing of hif8.

A value is a `Fraction`, or one of the floats inf, -inf and nan. There is one zero: HiF8 has no
negative one, and a negative zero of an IEEE format is `Fraction(0)` here.
"""

import math
from bisect import bisect_left, bisect_right
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import NamedTuple

Value = Fraction | float

PATTERNS = ("11sxxxm", "10sxxmm", "01sxmmm", "001smmm", "0001mmm", "0000mmm")
"""Tables 1-3: the bits after the sign; s and x of the exponent, m of the mantissa."""
DENORMAL = PATTERNS[-1]

ZERO, NAN, INF, MAX = 0x00, 0x80, 0x6F, 0x6E


class Fields(NamedTuple):
    """A code, read by its row of the table."""

    pattern: str
    sign: int
    exponent: int
    mantissa: int
    mantissa_width: int


def fields(code: int) -> Fields:
    """Take a code apart, without regard to zero, the infinities and NaN."""
    sign, *rest = f"{code:08b}"
    pattern = next(
        p for p in PATTERNS if all(b == c for b, c in zip(rest, p, strict=True) if c in "01")
    )

    def bits(letter: str) -> str:
        return "".join(b for b, c in zip(rest, pattern, strict=True) if c == letter)

    mantissa = int(bits("m"), 2)
    if pattern == DENORMAL:
        exponent = mantissa - 23
    elif bits("s"):
        exponent = int("1" + bits("x"), 2) * (-1 if bits("s") == "1" else 1)
    else:
        exponent = 0
    return Fields(pattern, int(sign), exponent, mantissa, len(bits("m")))


@cache
def value(code: int) -> Value:
    """Return what a code stands for: equation 1 for normals, 2 for denormals."""
    special = {ZERO: Fraction(0), NAN: math.nan, INF: math.inf, 0x80 | INF: -math.inf}
    if code in special:
        return special[code]
    pattern, sign, exponent, mantissa, n = fields(code)
    fraction = Fraction(0) if pattern == DENORMAL else Fraction(mantissa, 2**n)
    return (-1) ** sign * Fraction(2) ** exponent * (1 + fraction)


POSITIVE = sorted((value(code), code) for code in range(1, 0x80) if code != INF)
"""The 126 positive finite values with their codes, in order."""
CODES = [ZERO, *(code for _, code in POSITIVE), INF]
"""Every code that TA can give to a positive number, in the order of the values."""
MAGNITUDES = [Fraction(0), *(v for v, _ in POSITIVE)]
"""The finite values that those codes stand for: all but the last."""
BOUNDARIES = [(a + b) / 2 for a, b in pairwise(MAGNITUDES)]
"""Half way between neighbours, and last where infinity begins: between CODES[i] and [i + 1]."""
BOUNDARIES.append(Fraction(5, 4) * 2**15)


def encode(x: Value, *, saturate: bool = False, nan_to_zero: bool = False) -> int:
    """Return the code under TA: of the nearest value; of two, the one further from zero."""
    if math.isnan(x):
        return ZERO if nan_to_zero else NAN
    code = CODES[bisect_right(BOUNDARIES, abs(x))]
    if code == INF and saturate:
        code = MAX
    return code if x >= 0 or code == ZERO else 0x80 | code


def encode_even(x: Value) -> int:
    """Return the code under TE: of the nearest value; of two, the one whose code is even."""
    if math.isnan(x):
        return NAN
    here = bisect_left(BOUNDARIES, abs(x))
    tie = here < len(BOUNDARIES) and BOUNDARIES[here] == abs(x)
    code = CODES[here + (tie and CODES[here] % 2)]
    return code if x >= 0 or code == ZERO else 0x80 | code


def neighbours(x: Fraction) -> tuple[int, int]:
    """Return the codes whose magnitudes enclose a magnitude up to 2^15; twice the one it has."""
    return CODES[bisect_right(MAGNITUDES, x) - 1], CODES[bisect_left(MAGNITUDES, x)]


class Ieee(NamedTuple):
    """The field widths of a binary format."""

    exponent_width: int
    fraction_width: int

    @property
    def width(self) -> int:
        """All bits of a word."""
        return 1 + self.exponent_width + self.fraction_width


FORMATS = {
    "float16": Ieee(5, 10),
    "bfloat16": Ieee(8, 7),
    "float32": Ieee(8, 23),
    "float64": Ieee(11, 52),
}


def ieee_value(word: int, name: str) -> Value:
    """Return what a word of the named format stands for."""
    w, m = FORMATS[name]
    fraction, biased = word % 2**m, word // 2**m % 2**w
    sign = -1 if word >> (w + m) else 1
    if biased == 2**w - 1:
        return math.nan if fraction else sign * math.inf
    significand = fraction + 2**m if biased else fraction
    exponent = max(biased, 1) - (2 ** (w - 1) - 1) - m
    if exponent >= 0:
        return Fraction(sign * significand * 2**exponent)
    return Fraction(sign * significand, 2**-exponent)


def ieee_word(x: Value, name: str) -> int:
    """Return the word of the named format for a value that it holds exactly.

    NaN gives the positive quiet NaN without payload, zero gives +0.
    """
    w, m = FORMATS[name]
    bias = 2 ** (w - 1) - 1
    infinity = (2**w - 1) * 2**m
    if math.isnan(x):
        return infinity + 2 ** (m - 1)
    sign = 2 ** (w + m) if x < 0 else 0
    x = abs(x)
    if x == math.inf:
        return sign + infinity
    if x == 0:
        return 0
    # The binade of x: a binary fraction has a power of two below the line.
    exponent = max(x.numerator.bit_length() - x.denominator.bit_length(), 1 - bias)
    significand = x / Fraction(2) ** (exponent - m)
    if significand.denominator != 1 or exponent > bias:
        raise ValueError(f"{x} must be exact in {name}")
    # A significand without bit m is subnormal, and its exponent field is one less.
    return sign + (exponent + bias - 1) * 2**m + int(significand)


VALUE_CODES = {Fraction(0): ZERO} | dict(POSITIVE)


@cache
def step(exponent: int, kept: str) -> tuple[int, int]:
    """Return the codes of a magnitude cut to its kept fraction bits, and of the next larger one.

    In the binade of -23 nothing is kept, and the two are zero and the smallest value.
    """
    ulp = Fraction(2) ** (exponent - len(kept))
    down = Fraction(2) ** exponent + int("0" + kept, 2) * ulp
    if exponent == -23:
        down, ulp = Fraction(0), Fraction(2) ** -22
    return VALUE_CODES.get(down, INF), VALUE_CODES.get(down + ulp, INF)


def hybrid_magnitude(exponent: int, fraction: str, raw: str, keep_exact: bool) -> int:
    """Return the code under HR of a positive finite number.

    Takes its exponent and fraction bits, subnormals normalised, and the raw mantissa field.
    """
    if exponent < -23:
        return ZERO
    if exponent > 15 or (exponent == 15 and fraction[:2] != "00"):
        return INF  # from 1.25 * 2^15 on
    size = abs(exponent)
    n = 0 if exponent < -15 else 3 if size <= 3 else 2 if size <= 7 else 1
    kept, discarded = fraction[:n], fraction[n:]
    if exponent == -23:
        discarded = "1" + fraction
    if size <= 3:
        up = discarded[0] == "1"
    else:
        sr14 = len(raw) == 23
        found, threshold = (discarded[:14], raw[-14:]) if sr14 else (discarded[:2], raw[-1] + "1")
        up = found >= threshold  # strings of bits, as long as one another
        if keep_exact and "1" not in found:
            up = False
    return step(exponent, kept)[up]


def encode_hybrid(
    word: int,
    name: str,
    *,
    saturate: bool = False,
    nan_to_zero: bool = False,
    keep_exact: bool = False,
) -> int:
    """Return the code under HR of a word of float16, bfloat16 or float32, from its bits."""
    w, m = FORMATS[name]
    bits = f"{word:0{1 + w + m}b}"
    sign, biased, raw = bits[0], bits[1 : 1 + w], bits[1 + w :]
    bias = 2 ** (w - 1) - 1
    if biased == "1" * w:
        if "1" in raw:
            return ZERO if nan_to_zero else NAN
        code = INF
    elif "1" in biased:
        code = hybrid_magnitude(int(biased, 2) - bias, raw, raw, keep_exact)
    elif "1" in raw:
        leading = raw.index("1") + 1  # the place of the bit that normalising makes the hidden one
        code = hybrid_magnitude(1 - bias - leading, raw[leading:] + "0" * leading, raw, keep_exact)
    else:
        code = ZERO
    if code == INF and saturate:
        code = MAX
    return 0x80 | code if sign == "1" and code != ZERO else code


def product(a: int, b: int) -> Value:
    """Return the exact product of the values of two codes."""
    x, y = value(a), value(b)
    if math.isnan(x) or math.isnan(y):
        return math.nan
    if math.isinf(x) or math.isinf(y):
        if 0 in (x, y):
            return math.nan
        return math.inf if (x > 0) == (y > 0) else -math.inf
    return x * y


def exact_sum(a: list[int], b: list[int]) -> tuple[Fraction, Value]:
    """Return the sum of the finite products of codes, and the sum of all products.

    Infinities of both signs give NaN, as a NaN product does.
    """
    products = [product(x, y) for x, y in zip(a, b, strict=True)]
    finite = sum((p for p in products if isinstance(p, Fraction)), Fraction(0))
    special = [p for p in products if not isinstance(p, Fraction)]
    return finite, sum(special) if special else finite


def nearest_float32(x: Value) -> int:
    """Return the binary32 word nearest to a value; of two, the one that ends in 0.

    NaN gives the positive quiet NaN, zero +0; what rounds to zero keeps its sign.
    """
    if math.isnan(x) or math.isinf(x) or x == 0:
        return ieee_word(x, "float32")
    size = abs(x)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    if Fraction(2) ** exponent > size:
        exponent -= 1
    exponent = max(exponent, -126)  # subnormals have the last place of the smallest normals
    # A carry out of the significand is one more in the exponent field, as it should be.
    word = round(size / Fraction(2) ** (exponent - 23)) + (exponent + 126) * 2**23
    return (x < 0) * 2**31 + min(word, 0xFF * 2**23)


def accumulate(acc: int, a: list[int], b: list[int]) -> int:
    """Return the binary32 word of an accumulator, a word too, after one beat of products."""
    start, total = ieee_value(acc, "float32"), exact_sum(a, b)[1]
    if isinstance(start, Fraction) != isinstance(total, Fraction):
        return nearest_float32(total if isinstance(start, Fraction) else start)
    return nearest_float32(start + total)
