# SPDX-License-Identifier: Apache-2.0
"""The other formats' encoding, fields and sums against definitions written apart.

Values are checked in `tests/analysis/test_formats.py`, against exact fractions.
"""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import paper
import pytest
from hif8.golden import others
from hif8.golden.accumulate import exact_sum
from hif8.golden.matmul import dot

FLOATS = ("e4m3", "e5m2", "posit8")
WIDTHS = {"e4m3": (4,), "e5m2": (3, 4), "posit8": (4,)}


def signed(fields, point):
    return np.where(fields["sign"], -1.0, 1.0) * np.ldexp(
        fields["significand"].astype(float), fields["exponent"] - point
    )


@pytest.mark.parametrize("name", FLOATS)
def test_fields_are_the_values_of_all_codes(name):
    values = others.VALUES[name]
    finite = np.isfinite(values)
    for width in WIDTHS[name]:
        fields = others.fields(name, width)
        assert np.array_equal(signed(fields, width - 1)[finite], values[finite])
        assert np.array_equal(fields["nan"], np.isnan(values))
        assert np.array_equal(fields["inf"], np.isinf(values))
        assert np.array_equal(fields["zero"], values == 0)
        hidden = fields["significand"] >> width - 1
        assert np.array_equal(hidden, (values != 0) & ~np.isnan(values))


@pytest.mark.parametrize("name", FLOATS)
def test_fields_of_products_are_the_products_of_all_65536_pairs(name):
    a, b = (codes.ravel() for codes in np.mgrid[:256, :256].astype(np.uint8))
    with np.errstate(invalid="ignore"):
        exact = others.VALUES[name][a] * others.VALUES[name][b]  # a double holds each
    for width in WIDTHS[name]:
        fields = others.multiply_fields(name, width, a, b)
        finite = np.isfinite(exact)
        assert np.array_equal(signed(fields, 2 * width - 2)[finite], exact[finite])
        assert np.array_equal(fields["nan"], np.isnan(exact))
        assert np.array_equal(fields["inf"], np.isinf(exact))
        assert np.array_equal(fields["sign"][np.isinf(exact)], exact[np.isinf(exact)] < 0)
        assert not fields["sign"][exact == 0].any()
    assert exact.size == 65_536


def nearest_code(x, values, saturate, nan_to_zero):
    """Half to even among the codes, as OCP 8-bit floating point, section 5.2, and IEEE 754 have it.

    The largest value has a follower, whose code stands for what is beyond.
    """
    negative = 0x80 * (math.copysign(1, x) < 0)
    top = max(range(0x80), key=lambda code: values[code] if math.isfinite(values[code]) else -1)
    quiet = 0x7F if math.isnan(values[top + 1]) else top + 3
    if math.isnan(x):
        return negative | (0 if nan_to_zero else quiet)
    ladder = [Fraction(values[code]) for code in range(top + 1)]
    ladder.append(2 * ladder[-1] - ladder[-2])
    code = top + 1
    if math.isfinite(x) and abs(Fraction(x)) < ladder[-1]:
        size = abs(Fraction(x))
        low = max(code for code, value in enumerate(ladder) if value <= size)
        middle = (ladder[low] + ladder[low + 1]) / 2
        code = low + (size > middle or (size == middle and low % 2 == 1))
    return negative | (top if saturate and code > top else code)


@pytest.mark.parametrize("saturate", [False, True])
@pytest.mark.parametrize("name", ["e4m3", "e5m2"])
def test_encoding_is_to_the_nearest_code_of_two_the_even_one(name, saturate):
    values = others.VALUES[name].tolist()
    finite = sorted({v for v in values if math.isfinite(v) and v >= 0})
    finite.append(2 * finite[-1] - finite[-2])
    exact = [*finite, *((x + y) / 2 for x, y in pairwise(finite))]
    near = np.float32(exact).view(np.uint32)[:, None] + np.arange(-1, 2)
    words = np.concatenate([near.ravel() % (1 << 32), [0x7F800000, 0x7FC00000, 0x7F800001, 1]])
    words = np.unique(np.concatenate([words, words ^ 0x80000000])).astype(np.uint32)
    x = words.view(np.float32)
    for nan_to_zero in (False, True):
        got = others.encode(x, name, saturate=saturate, nan_to_zero=nan_to_zero)
        expected = [nearest_code(v, values, saturate, nan_to_zero) for v in x.tolist()]
        assert got.tolist() == expected
    assert len(words) > 1400


def random_beats(name, cycles, columns, products):
    rng = np.random.default_rng(len(name))
    a, b = rng.integers(0, 256, (2, cycles, columns, products), np.uint8)
    for codes in (a, b):  # mostly finite: a NaN spoils all that follows
        bad = ~np.isfinite(others.VALUES[name][codes]) & (rng.random(codes.shape) < 0.95)
        codes[bad] = 0
    return a, b, rng.random(cycles) < 0.1


def running(name, a, b, first, *, fp32):
    unit = 2 * others.smallest_exponent(name)
    sums = others.running(others.beats(name, a, b, unit), first, fp32=fp32)
    return unit, list(sums)


@pytest.mark.parametrize("name", [*FLOATS, "hif8"])
def test_fp32_sums_of_single_products_are_those_of_numpy(name):
    a, b, first = random_beats(name, 400, 20, 1)
    unit, sums = running(name, a, b, first, fp32=True)
    values = others.VALUES[name].astype(np.float32)
    acc, special = np.zeros(20, np.float32), 0
    with np.errstate(invalid="ignore"):
        for x, y, start, total in zip(a, b, first, sums, strict=True):
            acc = np.where(start, np.float32(0), acc) + (values[x] * values[y] + 0)[:, 0]
            word = np.where(np.isnan(acc), np.uint32(0x7FC00000), acc.view(np.uint32))
            assert np.array_equal(others.fp32_words(total, unit), word)
            special += np.count_nonzero(~np.isfinite(acc))
    assert 0 < special < 4000


def test_sums_of_hif8_are_those_of_golden():
    a, b, first = random_beats("hif8", 60, 8, 4)
    first[:] = False
    _, sums = running("hif8", a, b, first, fp32=False)
    unit, words = running("hif8", a, b, first, fp32=True)
    for k, (total, word) in enumerate(zip(sums, words, strict=True), start=1):
        flat = [codes[:k].swapaxes(0, 1).reshape(8, -1) for codes in (a, b)]
        golden = exact_sum(*flat)
        assert total.integer.tolist() == golden.integers.tolist()
        for flag in ("nan", "plus_inf", "minus_inf"):
            assert np.array_equal(getattr(total, flag), getattr(golden, flag))
        fused = dot(*flat, accumulator="fused", lanes=4).view(np.uint32)
        assert np.array_equal(others.fp32_words(word, unit), fused)


def test_nearest_is_that_of_fractions():
    rng = np.random.default_rng(24)
    for bits in rng.integers(1, 100, 2000).tolist():
        n = int.from_bytes(rng.bytes(13), "little") >> 104 - bits
        n = n >> 40 << 40 | n % 2 if bits > 60 else n  # ties and beside
        word = paper.nearest_float32(Fraction(-n))
        assert paper.ieee_value(word, "float32") == others.nearest(-n, 24)
