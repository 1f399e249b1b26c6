# SPDX-License-Identifier: Apache-2.0
"""The other formats' tables against their definitions, written apart in exact fractions.

Imports hif8.analysis.formats, hif8.golden and paper.
"""

import math
from collections import Counter
from fractions import Fraction
from itertools import combinations, pairwise

import numpy as np
import paper
import pytest
from hif8.analysis import formats
from hif8.analysis.formats import BF16, E4M3, E5M2, FORMATS, FP16, HIF8, POSIT8
from hif8.golden.decode import unpack
from hif8.golden.others import posit_value

ALL = pytest.mark.parametrize("entry", FORMATS.values(), ids=FORMATS)


def ieee_value(code: int, exponent_width: int, fraction_width: int) -> Fraction | float:
    """IEEE 754-2019, section 3.4."""
    bias = (1 << exponent_width - 1) - 1
    sign = -1 if code >> exponent_width + fraction_width else 1
    biased = code >> fraction_width & (1 << exponent_width) - 1
    fraction = Fraction(code & (1 << fraction_width) - 1, 1 << fraction_width)
    if biased == (1 << exponent_width) - 1:
        return math.nan if fraction else sign * math.inf
    if biased == 0:
        return sign * fraction * Fraction(2) ** (1 - bias)
    return sign * (1 + fraction) * Fraction(2) ** (biased - bias)


def e4m3_value(code: int) -> Fraction | float:
    """OCP 8-bit floating point, section 5.2: the last exponent is an ordinary one but for NaN."""
    if code & 0x7F == 0x7F:
        return math.nan
    if code & 0x78 == 0x78:
        sign = -1 if code & 0x80 else 1
        return sign * (1 + Fraction(code & 7, 8)) * 256
    return ieee_value(code, 4, 3)


def posit_ring() -> list[Fraction]:
    """The positive posit(8,2)s in ascending order, by inserting values between those of 7 bits.

    Between neighbours with a ratio above two comes their geometric mean, else the arithmetic one;
    beyond either end the next power of 16.
    """
    useed = Fraction(2) ** 2**2
    positive = [Fraction(1)]  # posits of two bits
    for _ in range(8 - 2):
        ends = [positive[0] / useed, *positive, positive[-1] * useed]
        positive = [ends[0]]
        for low, high in pairwise(ends):
            if low != ends[0] and high != ends[-1]:
                positive.append(between(low, high))
            positive.append(high)
    return positive


def between(low: Fraction, high: Fraction) -> Fraction:
    if high / low <= 2:
        return (low + high) / 2
    exponents = [x.numerator.bit_length() - x.denominator.bit_length() for x in (low, high)]
    assert [Fraction(2) ** E for E in exponents] == [low, high]
    return Fraction(2) ** (sum(exponents) // 2)


DEFINITIONS = {
    HIF8: paper.value,
    E4M3: e4m3_value,
    E5M2: lambda code: ieee_value(code, 5, 2),
    FP16: lambda code: ieee_value(code, 5, 10),
    BF16: lambda code: ieee_value(code, 8, 7),
}


@pytest.mark.parametrize("entry", DEFINITIONS, ids=lambda entry: entry.name)
def test_table_equals_the_definition_for_every_code(entry: formats.Format) -> None:
    expected = [float(DEFINITIONS[entry](code)) for code in range(1 << entry.width)]
    assert len(expected) == entry.table.size
    np.testing.assert_array_equal(entry.table, expected)


def test_posit_table_equals_the_exact_enumeration() -> None:
    ring = posit_ring()
    assert len(ring) == 127
    positive = [float(value) for value in ring]
    np.testing.assert_array_equal(POSIT8.table[1:128], positive)
    np.testing.assert_array_equal(POSIT8.table[129:], [-value for value in reversed(positive)])
    assert POSIT8.table[0] == 0
    assert np.isnan(POSIT8.table[128])


def test_posit_sixteen_bits_wide_orders_as_its_codes_do() -> None:
    values = [posit_value(code, 16) for code in range(1, 1 << 15)]
    assert all(a < b for a, b in pairwise(values))
    assert values[0] == 2.0**-56
    assert values[-1] == 2.0**56


@ALL
def test_values_are_distinct_finite_and_sorted(entry: formats.Format) -> None:
    assert np.isfinite(entry.values).all()
    assert (np.diff(entry.values) > 0).all()
    np.testing.assert_array_equal(entry.values, -entry.values[::-1])
    assert sum(entry.binades.values()) == entry.positive.size == entry.values.size // 2


@ALL
def test_binades_count_the_values_in_their_bounds(entry: formats.Format) -> None:
    for E, count in entry.binades.items():
        inside = (entry.values >= 2.0**E) & (entry.values < 2.0 ** (E + 1))
        assert inside.sum() == count
        assert entry.significand_bits[E] == 1 + math.log2(count)


@pytest.mark.parametrize(
    ("entry", "lowest", "highest", "with_values"),
    [
        (HIF8, -22, 15, 38),
        (FP16, -24, 15, 40),
        (E4M3, -9, 8, 18),
        (E5M2, -16, 15, 32),
        (BF16, -133, 127, 261),
        (POSIT8, -24, 24, 39),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_range_is_the_published_one(
    entry: formats.Format, lowest: int, highest: int, with_values: int
) -> None:
    assert (min(entry.binades), max(entry.binades)) == (lowest, highest)
    assert len(entry.binades) == with_values


def test_hif8_has_7_8_16_exponents_with_3_2_1_mantissa_bits() -> None:
    codes = unpack(np.arange(1, 128))  # the infinity's slot belongs to its exponent
    contents = Counter(codes.exponent.tolist())
    widths = Counter(math.log2(count) for count in contents.values())
    assert widths == {3: 7, 2: 8, 1: 16, 0: 7}


def test_posit_has_24_exponents_with_at_least_one_mantissa_bit() -> None:
    assert sum(count >= 2 for count in POSIT8.binades.values()) == 24


@pytest.mark.parametrize("names", [("color",), ("marker",), ("linestyle", "linewidth")])
def test_styles_differ_in_colour_in_marker_and_in_line(names: tuple[str, ...]) -> None:
    looks = [tuple(getattr(entry.style, name) for name in names) for entry in FORMATS.values()]
    assert all(a != b for a, b in combinations(looks, 2))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1, "2⁰"), (-3.5, "-1.75·2¹"), (2.0**-22, "2⁻²²"), (65504, "1.9990234375·2¹⁵")],
)
def test_exact_text_is_exact(value: float, text: str) -> None:
    assert formats.exact_text(value) == text
