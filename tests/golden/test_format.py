# SPDX-License-Identifier: Apache-2.0
"""The format's tables against the paper's, and the IEEE formats against NumPy.

Imports hif8.golden.format, paper, NumPy and ml_dtypes.
"""

import math

import ml_dtypes
import numpy as np
import paper
import pytest
from hif8.golden import format as f


def test_every_dot_field_is_a_row_of_the_paper() -> None:
    rows = [
        (format(row.prefix, f"0{row.prefix_width}b"), row.exponent_width, row.mantissa_width)
        for row in f.DOT_FIELDS
    ]
    assert rows == [
        (p.rstrip("sxm"), p.count("s") + p.count("x"), p.count("m")) for p in paper.PATTERNS
    ]
    assert [row.name for row in f.DOT_FIELDS] == ["D4", "D3", "D2", "D1", "D0", "DML"]
    assert [row.denormal for row in f.DOT_FIELDS] == [p == paper.DENORMAL for p in paper.PATTERNS]


def test_dot_fields_fill_eight_bits_and_cover_every_code_once() -> None:
    owners = [0] * 128
    for row in f.DOT_FIELDS:
        rest = row.exponent_width + row.mantissa_width
        assert 1 + row.prefix_width + rest == f.WIDTH
        for code in range(row.prefix << rest, (row.prefix + 1) << rest):
            owners[code] += 1
    assert owners == [1] * 128


@pytest.mark.parametrize(("row", "pattern"), list(zip(f.DOT_FIELDS, paper.PATTERNS, strict=True)))
def test_magnitudes_are_those_that_codes_of_the_row_have(row: f.DotField, pattern: str) -> None:
    seen = {abs(paper.fields(c).exponent) for c in range(128) if paper.fields(c).pattern == pattern}
    assert set(row.magnitudes) == (set() if row.denormal else seen)


def test_named_codes_are_the_special_values() -> None:
    values = {code: paper.value(code) for code in range(256)}
    finite = {code: value for code, value in values.items() if math.isfinite(value)}
    assert [code for code, value in values.items() if value == 0] == [f.ZERO]
    assert [code for code, value in values.items() if math.isnan(value)] == [f.NAN]
    assert [code for code, v in values.items() if v == math.inf] == [f.INF]
    assert [code for code, v in values.items() if v == -math.inf] == [f.SIGN_BIT | f.INF]
    assert max(finite, key=finite.__getitem__) == f.MAX
    assert len(finite) == 253


def test_exponent_limits_are_those_of_the_values() -> None:
    normal = [c for c in range(128) if paper.fields(c).pattern != paper.DENORMAL]
    assert max(paper.fields(c).exponent for c in normal) == f.MAX_EXPONENT == 15
    assert min(paper.fields(c).exponent for c in normal) == f.MIN_NORMAL_EXPONENT == -15
    assert paper.value(1) == 2**f.MIN_EXPONENT
    assert f.MIN_EXPONENT == -22
    assert f.DENORMAL_BIAS == 23
    assert f.SIGNIFICAND_WIDTH == 1 + max(p.count("m") for p in paper.PATTERNS) == 4


@pytest.mark.parametrize("source", f.FLOAT_FORMATS, ids=lambda source: source.name)
def test_float_formats_are_those_of_numpy(source: f.FloatFormat) -> None:
    limits = ml_dtypes.finfo(source.dtype)
    assert (source.exponent_width, source.fraction_width) == paper.FORMATS[source.dtype.name]
    assert (source.exponent_width, source.fraction_width) == (limits.nexp, limits.nmant)
    assert source.width == limits.bits == 8 * source.word.itemsize == 8 * source.dtype.itemsize
    assert source.bias == limits.maxexp - 1
    assert source.inf_bits == paper.ieee_word(math.inf, source.dtype.name)
    assert source.nan_bits == paper.ieee_word(math.nan, source.dtype.name)
    assert source.word.kind == "u"


def test_there_are_four_float_formats() -> None:
    assert [source.dtype.name for source in f.FLOAT_FORMATS] == list(paper.FORMATS)
    assert [source.name for source in f.FLOAT_FORMATS] == ["fp16", "bf16", "fp32", "fp64"]
    assert (f.FP16, f.BF16, f.FP32, f.FP64) == f.FLOAT_FORMATS


@pytest.mark.parametrize("order", "=<>")
@pytest.mark.parametrize("name", paper.FORMATS)
def test_float_format_is_found_whatever_the_byte_order(name: str, order: str) -> None:
    assert f.float_format(np.dtype(name).newbyteorder(order)).dtype == np.dtype(name)


@pytest.mark.parametrize(
    "dtype",
    [
        np.int32,
        np.uint8,
        np.bool_,
        np.complex64,
        np.longdouble,
        ml_dtypes.float8_e4m3fn,
        object,
        "S4",
        "U2",
        "f4,f4",
    ],
)
def test_other_types_are_refused(dtype: object) -> None:
    with pytest.raises(
        TypeError, match=r"^dtype must be float16, bfloat16, float32 or float64, not '\w+'$"
    ):
        f.float_format(dtype)
