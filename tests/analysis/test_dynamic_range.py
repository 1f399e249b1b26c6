# SPDX-License-Identifier: Apache-2.0
"""The table of dynamic ranges against published figures and against exact fractions.

Imports hif8.analysis, hif8.golden.nearest, ml_dtypes and paper.
"""

import math
from fractions import Fraction
from itertools import pairwise

import ml_dtypes
import numpy as np
import paper
import pytest
from hif8.analysis import dynamic_range
from hif8.analysis.formats import POSIT8
from hif8.golden.nearest import quantize

ROWS = {row.format: row for row in dynamic_range.compute()}


def test_every_format_has_a_row():
    assert list(ROWS) == ["hif8", "e4m3", "e5m2", "posit8", "fp16", "bf16", "int8"]


@pytest.mark.parametrize(
    ("name", "binades"),
    [("hif8", 38), ("fp16", 40), ("e4m3", 18), ("e5m2", 32), ("bf16", 261), ("int8", 7)],
)
def test_binades_are_the_published_ones(name, binades):
    assert ROWS[name].binades == binades


def test_hif8_has_7_8_16_exponents_with_3_2_1_mantissa_bits():
    """Table 2 of the paper; the seven denormals are powers of two, without mantissa bits."""
    row = ROWS["hif8"]
    assert (row.more, row.three, row.two, row.one, row.none) == (0, 7, 8, 16, 7)


def test_posit_has_24_exponents_with_at_least_one_mantissa_bit():
    row = ROWS["posit8"]
    assert row.more + row.three + row.two + row.one == 24
    assert row.more == 0


def test_fp8_has_its_mantissa_bits_in_every_normal_binade():
    assert (ROWS["e4m3"].three, ROWS["e4m3"].more) == (15, 0)  # 2^-6 to 2^8
    assert (ROWS["e5m2"].two, ROWS["e5m2"].three) == (30, 0)  # 2^-14 to 2^15


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("e4m3", ml_dtypes.float8_e4m3fn),
        ("e5m2", ml_dtypes.float8_e5m2),
        ("fp16", np.float16),
        ("bf16", ml_dtypes.bfloat16),
    ],
)
def test_limits_are_those_of_the_array_types(name, dtype):
    row, info = ROWS[name], ml_dtypes.finfo(dtype)
    assert row.smallest == float(info.smallest_subnormal)
    assert row.smallest_normal == float(info.smallest_normal)
    assert row.largest == float(info.max)
    assert row.significand_bits == 1 + info.nmant


def test_limits_of_hif8_are_those_of_the_paper():
    row = ROWS["hif8"]
    assert (row.smallest, row.smallest_normal, row.largest) == (2.0**-22, 2.0**-15, 2.0**15)
    assert row.decades == pytest.approx(37 * math.log10(2))
    assert row.decibels == pytest.approx(20 * row.decades)


def test_errors_of_hif8_are_those_of_exact_fractions():
    normal = [value for value, _ in paper.POSITIVE if value >= Fraction(1, 2**15)]
    assert len(normal) == 7 * 8 + 8 * 4 + 15 * 2 + 1
    errors = [(b - a) / (b + a) for a, b in pairwise(normal)]  # midway, over where that is
    assert max(errors) == Fraction(1, 5)
    assert ROWS["hif8"].worst_error == pytest.approx(0.2)
    assert ROWS["hif8"].best_error == pytest.approx(1 / 17)  # of 1.0625, between 1 and 1.125


@pytest.mark.parametrize("name", ["hif8", "e4m3", "e5m2", "fp16", "int8"])
def test_no_value_has_a_larger_error_than_the_worst(name):
    row = ROWS[name]
    x = np.geomspace(row.smallest_normal, row.largest, 200_001)
    errors = np.abs(quantize(x, name) - x) / x
    assert 0.9 * row.worst_error < errors.max() <= row.worst_error


def test_posits_of_the_ends_are_far_apart():
    largest, second = POSIT8.positive[-1], POSIT8.positive[-2]
    assert largest / second == 16
    assert ROWS["posit8"].worst_error == pytest.approx(15 / 17)
