# SPDX-License-Identifier: Apache-2.0
"""Quantizers of other formats: floats against `ml_dtypes`, posits against an exact table."""

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hif8.golden.decode import VALUES
from hif8.golden.nearest import FLOATS, NAMES, magnitudes, quantize

DTYPES = {
    "e4m3": ml_dtypes.float8_e4m3fn,
    "e5m2": ml_dtypes.float8_e5m2,
    "fp16": np.float16,
    "bf16": ml_dtypes.bfloat16,
}
SOURCES = {"fp16": np.float16, "bf16": ml_dtypes.bfloat16}

pytestmark = pytest.mark.filterwarnings(
    "ignore:invalid value:RuntimeWarning", "ignore:overflow:RuntimeWarning"
)


def every(dtype):
    """Return the value of every code of a type."""
    width = np.dtype(dtype).itemsize
    return np.arange(1 << 8 * width, dtype=f"u{width}").view(dtype)


def around(name):
    """Return all values of a format, what lies midway, and the neighbours of those, as float64."""
    values = magnitudes(name)
    finite = values[np.isfinite(values)]
    beyond = 2 * finite[-1] - finite[-2]
    steps = np.concatenate(
        [finite, (finite[1:] + finite[:-1]) / 2, [beyond, (finite[-1] + beyond) / 2]]
    )
    near = np.concatenate(
        [np.nextafter(steps, -np.inf), steps, np.nextafter(steps, np.inf), [np.inf]]
    )
    return np.concatenate([near, -near])


def same(got, expected):
    """Assert that values are equal to the sign of zero; NaN equals NaN."""
    got, expected = (np.asarray(x, np.float64) for x in (got, expected))
    np.testing.assert_array_equal(got, expected)
    number = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got[number]), np.signbit(expected[number]))


@pytest.mark.parametrize("name", FLOATS)
def test_magnitudes_of_all_codes_are_those_of_ml_dtypes(name):
    expected = every(DTYPES[name]).astype(np.float64)
    half = expected.size // 2
    same(magnitudes(name), expected[:half])
    assert magnitudes(name).size == half in (128, 32768)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", FLOATS)
def test_quantize_rounds_every_16_bit_value_as_ml_dtypes(name, source):
    x = every(SOURCES[source])
    assert x.size == 65_536
    same(quantize(x, name), x.astype(np.float32).astype(DTYPES[name]))


@pytest.mark.parametrize("name", ["e4m3", "e5m2", "bf16"])
def test_quantize_rounds_ties_and_their_float32_neighbours_as_ml_dtypes(name):
    x = around(name).astype(np.float32)
    assert x.size > 750
    same(quantize(x, name), x.astype(DTYPES[name]))


def test_quantize_rounds_float64_ties_and_neighbours_to_fp16_as_numpy():
    x = around("fp16")
    assert x.size == 2 * (3 * (2 * 31_744 + 1) + 1)
    same(quantize(x, "fp16"), x.astype(np.float16))


@pytest.mark.parametrize("name", FLOATS)
def test_quantize_saturates_to_the_largest_finite_value(name):
    x = around(name)
    largest = float(ml_dtypes.finfo(DTYPES[name]).max)
    expected = np.clip(x, -largest, largest)
    beyond = np.abs(x) >= largest
    assert beyond.sum() >= 10
    same(quantize(x[beyond], name, saturate=True), expected[beyond])
    inside = np.abs(x) <= largest
    same(quantize(x[inside], name, saturate=True), quantize(x[inside], name))


def posit_of_bits(text):
    """Return the exact value of a posit above zero, es = 2, its bits read one by one."""
    body = text[1:]
    run = len(body) - len(body.lstrip(body[0]))
    rest = body[run + 1 :]
    regime = run - 1 if body[0] == "1" else -run
    exponent = int((rest[:2] + "00")[:2], 2)
    fraction = Fraction(int(rest[2:] or "0", 2), 2 ** len(rest[2:]))
    return (1 + fraction) * Fraction(2) ** (4 * regime + exponent)


def test_quantize_rounds_to_posits_by_an_exact_table():
    values = [Fraction(0), *(posit_of_bits(f"{code:08b}") for code in range(1, 128))]
    middles = [posit_of_bits(f"{code:08b}1") for code in range(1, 127)]
    cases = {0.0: 0.0, 2.0**-60: float(values[1]), 2.0**60: float(values[127]), np.inf: 2.0**24}
    for code, middle in enumerate(middles, start=1):
        assert values[code] < middle < values[code + 1]
        tie = float(middle)
        cases[tie] = float(values[code + code % 2])
        cases[float(np.nextafter(tie, 0))] = float(values[code])
        cases[float(np.nextafter(tie, np.inf))] = float(values[code + 1])
    cases |= {float(value): float(value) for value in values}
    assert len(cases) == 128 + 3 * 126 + 3
    x, expected = np.array(list(cases)), np.array(list(cases.values()))
    same(quantize(x, "posit8"), expected)
    same(quantize(-x, "posit8"), np.where(expected == 0, 0, -expected))


def test_quantize_rounds_to_integers_half_to_even():
    x = np.arange(-200, 200.25, 0.25)
    same(quantize(x, "int8"), np.clip(np.rint(x), -127, 127) + 0)


def test_quantize_rounds_to_hif8_by_ta():
    finite = VALUES[np.isfinite(VALUES)]
    same(quantize(finite, "hif8"), finite)
    assert quantize(1.0625, "hif8") == 1.125
    assert quantize(2.0**16, "hif8", saturate=True) == 2.0**15


@pytest.mark.parametrize("name", NAMES)
def test_quantize_keeps_nan_shape_and_width(name):
    for dtype in (np.float32, np.float64):
        got = quantize(np.array([[np.nan, 1]], dtype), name)
        assert got.dtype == dtype
        same(got, [[np.nan, 1]])
    assert quantize(np.ones((2, 0), np.float16), name).dtype == np.float32


def test_quantize_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match=r"name must be one of hif8, .* not 'fp4'"):
        quantize(1.0, "fp4")
    with pytest.raises(TypeError, match=r"x must be float16, .* not 'int64'"):
        quantize(np.arange(3), "e4m3")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", NAMES)
def test_quantize_takes_signalling_nans_in_silence(name):
    for word, dtype in ((0x7F800001, np.float32), (0x7FF0000000000001, np.float64)):
        signalling = np.array([word], f"u{np.dtype(dtype).itemsize}").view(dtype)
        assert np.isnan(quantize(signalling, name)).all()
