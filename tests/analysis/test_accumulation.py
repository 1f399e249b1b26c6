# SPDX-License-Identifier: Apache-2.0
"""Accumulators of the figure against sums of exact fractions, rounded one by one."""

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hif8.analysis import accumulation
from hif8.analysis.accumulation import ACCUMULATORS, DATA, OPERANDS, Row
from hif8.golden.decode import VALUES
from hif8.golden.encode import encode

SIGNIFICANDS = {"bf16": (8, -133), "fp16": (11, -24), "fp32": (24, -149)}
"""Bits of a significand, and the exponent of the smallest unit."""


def nearest(x: Fraction, name: str) -> Fraction:
    """Round to nearest, ties to even, by integers."""
    if not x:
        return x
    bits, least = SIGNIFICANDS[name]
    exponent = len(bin(int(abs(x) * 2**300))) - 303  # of the leading bit
    unit = Fraction(2) ** max(exponent - bits + 1, least)
    return round(x / unit) * unit  # Python's round is to even


@pytest.mark.parametrize("name", SIGNIFICANDS)
def test_a_step_rounds_after_every_product_as_fractions_do(name):
    rng = np.random.default_rng(3)
    spread = 8 if name == "fp32" else 2
    draws = rng.standard_normal((2, 4, 250)) * np.exp2(rng.uniform(-spread, spread, (2, 4, 250)))
    a, b = encode(draws)
    acc = np.zeros(4)
    got = ACCUMULATORS[name][1](
        ACCUMULATORS[name][1](acc, a[:, :100], b[:, :100]), a[:, 100:], b[:, 100:]
    )
    inexact = 0
    for row in range(4):
        total = Fraction(0)
        for x, y in zip(VALUES[a[row]], VALUES[b[row]], strict=True):
            whole = total + Fraction(x) * Fraction(y)
            total = nearest(whole, name)
            inexact += total != whole
        assert Fraction(got[row]) == total
    assert inexact > 200


def test_to_bf16_rounds_ties_and_their_neighbours_as_ml_dtypes():
    words = np.arange(0x3000, 0x5000, dtype=np.uint16)
    values = words.view(ml_dtypes.bfloat16).astype(np.float64)
    middles = (values[1:] + values[:-1]) / 2
    x = np.concatenate([values, middles, np.nextafter(middles, 0), np.nextafter(middles, 9e9)])
    expected = np.concatenate([values, values[:-1], values[:-1], values[1:]])
    ties = slice(values.size, values.size + middles.size)
    expected[ties] = np.where(words[:-1] % 2 == 0, values[:-1], values[1:])
    assert x.size == 4 * 0x2000 - 3
    np.testing.assert_array_equal(accumulation.to_bf16(x), expected)
    np.testing.assert_array_equal(accumulation.to_bf16(-x), -expected)


@pytest.fixture(scope="module")
def rows():
    return accumulation.compute()


def test_compute_gives_every_length_kind_and_accumulator(rows):
    assert len(rows) == len(accumulation.LENGTHS) * len(DATA) * (len(ACCUMULATORS) + 1)
    assert {(r.terms, r.data, r.accumulator) for r in rows} == {
        (n, d, a) for n in accumulation.LENGTHS for d in DATA for a in (*ACCUMULATORS, OPERANDS)
    }


def test_an_exact_sum_errs_by_its_one_rounding_at_most(rows):
    exact = [row.error for row in rows if row.accumulator == "exact"]
    assert 0 < max(exact) <= 2.0**-24


def test_the_wider_accumulator_errs_less(rows):
    at = {(r.data, r.accumulator, r.terms): r.error for r in rows}
    for data in DATA:
        for n in accumulation.LENGTHS[4:]:
            bf16, fp16, fp32 = (at[data, name, n] for name in ("bf16", "fp16", "fp32"))
            assert bf16 > fp16 > 64 * fp32


def test_finding_names_the_length_from_which_bf16_errs_more_than_the_operands():
    made = [
        Row(data, name, n, {"bf16": n / 64, OPERANDS: 1.0}.get(name, 1e-3))
        for n in accumulation.LENGTHS
        for data in DATA
        for name in (*ACCUMULATORS, OPERANDS)
    ]
    text = accumulation.finding(made)
    assert "BF16 errs more than the operands do from 128 products on" in text
    assert f"dot products of {accumulation.LENGTHS[-1]:,} normal values by 1e+02" in text
