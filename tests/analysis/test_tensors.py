# SPDX-License-Identifier: Apache-2.0
"""What becomes of a tensor in each format: by hand on a few values, by plain NumPy on many.

Imports hif8.analysis and hif8.golden.nearest.
"""

import math

import ml_dtypes
import numpy as np
import pytest
from hif8.analysis import tensors
from hif8.analysis.formats import EIGHT_BITS
from hif8.analysis.tensors import Moments, Row
from hif8.golden.nearest import quantize

FORMATS = pytest.mark.parametrize("name", EIGHT_BITS)
LARGEST = {"hif8": 2.0**15, "e4m3": 448, "e5m2": 57344, "posit8": 2.0**24, "int8": 127}
SMALLEST = {"hif8": -22, "e4m3": -9, "e5m2": -16, "posit8": -24, "int8": 0}
"""Binades of the smallest positive values."""


def row(summary: tensors.Summary, name: str) -> Row:
    (found,) = (row for row in summary.rows if row.format == name)
    return found


def plain_db(x: np.ndarray, name: str, log2_scale: int = 0) -> float:
    """Multiply, round, divide, and add up the squares: the definition."""
    x = x.astype(np.float64)
    y = np.ldexp(quantize(np.ldexp(x, log2_scale), name, saturate=True), -log2_scale)
    signal, noise = np.sum(x**2), np.sum((x - y) ** 2)
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(signal / noise))


def spread(rng: np.random.Generator) -> np.ndarray:
    """Return values over more binades than any format has."""
    return rng.choice([-1, 1], 3000) * np.exp2(rng.uniform(-40, 30, 3000))


def grid(rng: np.random.Generator) -> np.ndarray:
    """Return values and ties of every format, with their neighbours."""
    ties = np.arange(1, 512) / 4 * np.exp2(rng.integers(-30, 20, (40, 1)))
    return np.concatenate([ties, np.nextafter(ties, 0), np.nextafter(ties, np.inf)])


TENSORS = {
    "normal": lambda rng: rng.standard_normal((40, 50)) * 0.04,
    "spread": spread,
    "grid": grid,
    "huge": lambda rng: rng.standard_normal(500) * 2.0**90,
    "tiny": lambda rng: rng.standard_normal(500) * 2.0**-90,
}
KINDS = pytest.mark.parametrize("kind", TENSORS)


def test_a_few_values_by_hand():
    """TA rounds 1.0625 to 1.125 and 2^16 to 2^15; 2^-24 is below half of the smallest value."""
    x = np.float32([0, 1, -1.0625, 2.0**16, -(2.0**-24), np.nan, np.inf, -np.inf, 2.0**-18])
    summary = tensors.of_array("x", x)
    found = row(summary, "hif8")
    signal = 1 + 1.0625**2 + 2.0**32 + 2.0**-48 + 2.0**-36
    noise = 0.0625**2 + 2.0**30 + 2.0**-48
    assert (found.values, found.nan, found.infinite, found.zeros, found.finite) == (9, 1, 2, 1, 6)
    assert (found.flushed, found.saturated) == (1, 1)
    assert found.snr_db == pytest.approx(10 * math.log10(signal / noise), abs=1e-9)
    assert found.mean_square == pytest.approx(signal / 6)
    exponents = {binade.exponent: binade.values for binade in summary.binades}
    assert exponents == {-24: 1, -18: 1, 0: 2, 16: 1}
    assert [binade.share for binade in summary.binades] == [0.2, 0.2, 0.4, 0.2]
    fields = {field.dot_field: field.values for field in summary.fields}
    assert fields == {"D0": 2, "D1": 0, "D2": 0, "D3": 0, "D4": 1, "DML": 1, "zero": 2}
    assert sum(field.share for field in summary.fields) == pytest.approx(1)


def test_integers_by_hand():
    """Half to even: 0.5 becomes 0 and 2.5 becomes 2; 200 becomes 127."""
    found = row(tensors.of_array("x", np.array([0.5, 2.5, -200.0])), "int8")
    noise = 0.25 + 0.25 + 73.0**2
    assert found.snr_db == pytest.approx(10 * math.log10((0.25 + 6.25 + 40000) / noise))
    assert (found.flushed, found.saturated) == (1, 1)


@KINDS
@FORMATS
def test_the_ratio_is_that_of_the_definition(kind, name):
    x = TENSORS[kind](np.random.default_rng(1))
    found = row(tensors.of_array("x", x), name)
    assert found.values == x.size > 400
    assert found.snr_db == pytest.approx(plain_db(x, name), abs=1e-6)
    assert found.scaled_db == pytest.approx(plain_db(x, name, found.log2_scale), abs=1e-6)


@KINDS
@FORMATS
def test_no_scale_is_better_than_the_best(kind, name):
    x = TENSORS[kind](np.random.default_rng(2))
    found = row(tensors.of_array("x", x), name)
    top = int(np.log2(np.abs(x).max()))
    tried = range(-60 - top, 61 - top)
    every = [plain_db(x, name, k) for k in tried]
    assert found.scaled_db == pytest.approx(max(every), abs=1e-6)
    assert found.scaled_db >= found.snr_db - 1e-9
    best = [k for k, db in zip(tried, every, strict=True) if db > max(every) - 1e-10]
    assert abs(found.log2_scale) == min(map(abs, best))


@KINDS
@FORMATS
def test_lost_values_are_counted(kind, name):
    x = TENSORS[kind](np.random.default_rng(3))
    found = row(tensors.of_array("x", x), name)
    for scale, flushed, saturated in (
        (0, found.flushed, found.saturated),
        (found.log2_scale, found.flushed_scaled, found.saturated_scaled),
    ):
        scaled = np.ldexp(x, scale)
        assert flushed == np.sum((quantize(scaled, name, saturate=True) == 0) & (x != 0))
        assert saturated == np.sum(np.abs(scaled) > LARGEST[name])


@FORMATS
def test_scales_take_the_largest_magnitude_through_the_whole_range(name):
    tried = tensors.scales(EIGHT_BITS[name], 5)
    assert tried[0] == 0
    highest = int(np.log2(LARGEST[name]))
    wanted = range(SMALLEST[name] - 5, highest - 5 + tensors.CLIPPED + 1)
    assert set(wanted) <= set(tried) <= {0, *wanted}


@pytest.mark.parametrize(
    "dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64, ">f4", ">f8"]
)
def test_every_type_counts_as_its_values(dtype):
    x = np.random.default_rng(4).standard_normal((30, 40)).astype(dtype)
    found, wide = tensors.of_array("x", x), tensors.of_array("x", x.astype(np.float64))
    assert found == wide
    assert found.rows[0].values == 1200


def test_chunks_in_any_order_give_what_the_whole_gives():
    rng = np.random.default_rng(5)
    x = np.concatenate([grid(rng).ravel(), spread(rng), [np.nan, np.inf, 0]])
    whole = tensors.of_array("x", x)
    one, other = Moments(), Moments()
    for moments, part in zip((other, one, other), np.array_split(x, 3), strict=True):
        moments.add(part)
    one.merge(other)
    parts = tensors.summarise("x", one)
    assert parts.binades == whole.binades
    assert parts.fields == whole.fields
    for a, b in zip(parts.rows, whole.rows, strict=True):
        assert a[:2] == b[:2]
        assert a[2:] == pytest.approx(b[2:], rel=1e-12)
        assert a.values == x.size


@FORMATS
def test_exact_values_have_no_noise_and_zeros_no_ratio(name):
    ones = row(tensors.of_array("x", np.ones(5)), name)
    assert (ones.snr_db, ones.scaled_db, ones.log2_scale) == (math.inf, math.inf, 0)
    zeros = row(tensors.of_array("x", np.zeros(5)), name)
    assert math.isnan(zeros.snr_db)
    assert math.isnan(zeros.scaled_db)
    assert (zeros.zeros, zeros.flushed, zeros.mean_square) == (5, 0, 0)


@FORMATS
def test_a_tensor_without_a_finite_value_is_counted(name):
    summary = tensors.of_array("x", np.float32([np.nan, -np.inf, np.inf]))
    found = row(summary, name)
    assert (found.values, found.nan, found.infinite, found.finite) == (3, 1, 2, 0)
    assert math.isnan(found.snr_db)
    assert summary.binades == []
    assert all(field.share == 0 for field in summary.fields)


@FORMATS
def test_signalling_nans_subnormals_and_extremes_of_float64_are_counted(name):
    bits = np.array([0x7F800001, 0x00000001, 0x3F800000], np.uint32).view(np.float32)
    found = row(tensors.of_array("x", bits), name)
    assert (found.nan, found.finite) == (1, 2)
    assert {binade.exponent: binade.values for binade in tensors.of_array("x", bits).binades} == {
        -149: 1,
        0: 1,
    }
    for x in (1e308, 3e-308):
        summary = tensors.of_array("x", np.array([x, 5e-324, -1e-310]))
        found = row(summary, name)
        assert (found.finite, found.zeros) == (3, 2)
        assert found.scaled_db > 19
        assert found.snr_db < 1
        assert [binade.values for binade in summary.binades] == [1]


@FORMATS
def test_the_total_adds_squares_and_counts_of_all_tensors(name):
    rng = np.random.default_rng(6)
    xs = [rng.standard_normal(300) * scale for scale in (0.01, 1, 3000)]
    xs += [np.zeros(4), np.array([np.nan, 1])]
    parts = [tensors.of_array(str(k), x) for k, x in enumerate(xs)]
    found = row(tensors.Summary(tensors.total(tensors.joined(parts).rows), [], []), name)
    every = np.concatenate([x[np.isfinite(x)] for x in xs])
    assert found.tensor == tensors.TOTAL
    assert (found.values, found.nan, found.zeros) == (906, 1, 4)
    assert found.snr_db == pytest.approx(plain_db(every, name), abs=1e-6)
    assert found.mean_square == pytest.approx(np.mean(every**2))
    rounded = np.concatenate(
        [
            np.ldexp(quantize(np.ldexp(x, k), name, saturate=True), -k)
            for x, k in zip(xs, (row(part, name).log2_scale for part in parts), strict=True)
        ]
    )
    noise = np.nansum((np.concatenate(xs) - rounded) ** 2)
    assert found.scaled_db == pytest.approx(10 * math.log10(np.sum(every**2) / noise), abs=1e-6)
    assert found.log2_scale is None
