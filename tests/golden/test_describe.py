# SPDX-License-Identifier: Apache-2.0
"""Descriptions of single codes, and the limits of the format, against the paper's values.

Imports hif8, paper and NumPy.
"""

import math
from itertools import pairwise

import hif8
import numpy as np
import paper
import pytest
from hif8.golden.format import DOT_FIELDS

DESCRIPTIONS = [hif8.describe(code) for code in range(256)]
FINITE = [c for c in range(256) if math.isfinite(paper.value(c))]


def test_describe_value_of_all_256_codes() -> None:
    assert [described.code for described in DESCRIPTIONS] == list(range(256))
    np.testing.assert_array_equal(
        [described.value for described in DESCRIPTIONS],
        [float(paper.value(code)) for code in range(256)],
    )


def test_describe_bits_are_the_fields_and_join_to_the_code() -> None:
    for code, described in enumerate(DESCRIPTIONS):
        assert int(described.bits.replace(" ", ""), 2) == code
        pattern = paper.fields(code).pattern
        prefix = pattern.rstrip("sxm")
        exponent_width = pattern.count("s") + pattern.count("x")
        widths = [1, len(prefix), exponent_width, pattern.count("m")]
        fields = described.bits.split(" ")
        assert [len(field) for field in fields] == [width for width in widths if width]
        assert fields[1] == prefix
    assert len(DESCRIPTIONS) == 256


def test_describe_kind_sign_and_dot_field_of_all_256_codes() -> None:
    rows = dict(zip(paper.PATTERNS, DOT_FIELDS, strict=True))
    for code, described in enumerate(DESCRIPTIONS):
        value, pattern = paper.value(code), paper.fields(code).pattern
        if math.isnan(value):
            kind = "NaN"
        elif math.isinf(value):
            kind = "infinite"
        elif value == 0:
            kind = "zero"
        else:
            kind = "denormal" if pattern == paper.DENORMAL else "normal"
        assert described.kind == kind
        assert described.sign == code // 128
        assert described.dot_field == rows[pattern]
    kinds = [described.kind for described in DESCRIPTIONS]
    counts = {kind: kinds.count(kind) for kind in kinds}
    assert counts == {"zero": 1, "denormal": 14, "normal": 238, "infinite": 2, "NaN": 1}


def test_describe_exponent_is_the_binade_of_the_value() -> None:
    compared = 0
    for code in FINITE:
        if code:
            exponent = paper.Fraction(2) ** DESCRIPTIONS[code].exponent
            assert exponent <= abs(paper.value(code)) < 2 * exponent
            compared += 1
    assert compared == 252


def test_describe_neighbours_are_in_the_order_of_the_values() -> None:
    order = sorted((c for c in range(256) if c != paper.NAN), key=paper.value)
    for below, above in pairwise(order):
        assert DESCRIPTIONS[below].above == above
        assert DESCRIPTIONS[above].below == below
    assert len(order) == 255
    assert (order[0], order[-1]) == (0xEF, 0x6F)
    assert DESCRIPTIONS[0xEF].below is None
    assert DESCRIPTIONS[0x6F].above is None
    assert (DESCRIPTIONS[paper.NAN].below, DESCRIPTIONS[paper.NAN].above) == (None, None)


def test_describe_ulp_is_the_spacing_in_the_binade() -> None:
    binades: dict[int, list[paper.Fraction]] = {}
    for value, _ in paper.POSITIVE:
        exponent = value.numerator.bit_length() - value.denominator.bit_length()
        binades.setdefault(exponent, []).append(value)
    assert len(binades) == 38
    compared = 0
    for exponent, values in binades.items():
        spacings = {b - a for a, b in pairwise(values)} or {paper.Fraction(2) ** exponent}
        if exponent == 15:  # the next value of the binade is the slot that infinity took
            spacings = {paper.Fraction(2) ** 14}
        for code in FINITE:
            if abs(paper.value(code)) in values:
                assert {paper.Fraction(DESCRIPTIONS[code].ulp)} == spacings
                compared += 1
    assert compared == 252
    assert DESCRIPTIONS[paper.ZERO].ulp == 2.0**-22
    for code in (0x80, 0x6F, 0xEF):
        assert math.isnan(DESCRIPTIONS[code].ulp)


def test_describe_takes_numpy_s_integers() -> None:
    assert hif8.describe(np.uint8(0x6E)) == DESCRIPTIONS[0x6E] == hif8.describe(np.int64(0x6E))


@pytest.mark.parametrize("code", [-1, 256, 1000, np.int8(-1)])
def test_describe_refuses_what_is_no_code(code: int) -> None:
    with pytest.raises(ValueError, match=rf"^code must be in 0\.\.255, not {code}$"):
        hif8.describe(code)


@pytest.mark.parametrize("code", [1.0, np.float32(1), True, "0x10", None])
def test_describe_refuses_what_is_no_integer(code: object) -> None:
    with pytest.raises(TypeError, match=r"^code must be integers of dtype uint8, not '\w+'$"):
        hif8.describe(code)


def test_finfo_has_the_numbers_of_the_specification() -> None:
    assert hif8.finfo.bits == 8
    assert hif8.finfo.eps == 2**-3
    assert hif8.finfo.epsneg == 2**-4
    assert hif8.finfo.max == 2**15
    assert hif8.finfo.min == -(2**15)
    assert hif8.finfo.maxexp == 16
    assert hif8.finfo.minexp == -15
    assert hif8.finfo.smallest_normal == 2**-15
    assert hif8.finfo.smallest_subnormal == 2**-22


def test_finfo_is_what_the_values_say() -> None:
    values = sorted(paper.value(code) for code in FINITE)
    normal = [v for v, c in paper.POSITIVE if paper.fields(c).pattern != paper.DENORMAL]
    one = values.index(1)
    assert hif8.finfo.eps == values[one + 1] - 1
    assert hif8.finfo.epsneg == 1 - values[one - 1]
    assert hif8.finfo.max == values[-1] == -values[0] == -hif8.finfo.min
    assert 2**hif8.finfo.maxexp > values[-1] >= 2 ** (hif8.finfo.maxexp - 1)
    assert hif8.finfo.smallest_normal == min(normal) == paper.Fraction(2) ** hif8.finfo.minexp
    assert hif8.finfo.smallest_subnormal == min(v for v in values if v > 0)


def test_finfo_reads_the_same_from_the_class_and_from_an_instance() -> None:
    for name in ("bits", "eps", "epsneg", "max", "min", "maxexp", "minexp"):
        assert getattr(hif8.finfo(), name) == getattr(hif8.finfo, name)
