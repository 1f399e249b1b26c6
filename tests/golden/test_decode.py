# SPDX-License-Identifier: Apache-2.0
"""Decoding against the paper's equations: all codes, all types, every array layout.

Imports hif8, paper, NumPy and en_dtypes.
"""

import math
import tracemalloc

import en_dtypes
import hif8
import numpy as np
import paper
import pytest
from hif8.golden import decode as d
from hif8.golden import format as f

ALL = np.arange(256, dtype=np.uint8)


def words(values: np.ndarray) -> np.ndarray:
    return values.view(f"u{values.dtype.itemsize}")


@pytest.mark.parametrize("name", paper.FORMATS)
def test_decode_all_256_codes_bit_for_bit(name: str) -> None:
    expected = [paper.ieee_word(paper.value(code), name) for code in range(256)]
    got = hif8.decode(ALL, name)
    assert got.dtype == np.dtype(name)
    assert len(expected) == got.size == 256
    np.testing.assert_array_equal(words(got), expected)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("float16", 0x7E00),
        ("bfloat16", 0x7FC0),
        ("float32", 0x7FC00000),
        ("float64", 0x7FF8000000000000),
    ],
)
def test_decode_nan_is_the_positive_quiet_nan(name: str, word: int) -> None:
    assert words(hif8.decode(np.array([0x80], np.uint8), name)).tolist() == [word]


def test_decode_to_float16_keeps_its_subnormals() -> None:
    subnormal = [*range(0x01, 0x08), 0x7E, 0x7F]
    codes = np.array(subnormal + [0x80 | code for code in subnormal], np.uint8)
    got = hif8.decode(codes, np.float16)
    assert got.size == 18
    assert np.all(got != 0)
    assert np.all(np.abs(got) < np.finfo(np.float16).smallest_normal)
    assert got.astype(np.float64).tolist() == [float(paper.value(int(c))) for c in codes]


def test_decode_gives_float32_unless_told() -> None:
    assert hif8.decode(ALL).dtype == np.float32


def test_decode_agrees_with_en_dtypes_on_all_256_codes() -> None:
    theirs = ALL.view(en_dtypes.hifloat8).astype(np.float32)
    assert theirs.size == 256
    np.testing.assert_array_equal(words(hif8.decode(ALL)), words(theirs))


def test_table_of_values_is_the_paper_s_and_read_only() -> None:
    assert d.VALUES.dtype == np.float64
    assert d.VALUES.size == 256
    np.testing.assert_array_equal(d.VALUES, [float(paper.value(code)) for code in range(256)])
    with pytest.raises(ValueError, match="read-only"):
        d.VALUES[0] = 1


def test_decode_returns_memory_of_its_own() -> None:
    first = hif8.decode(ALL)
    expected = first.copy()
    first[:] = 7
    np.testing.assert_array_equal(hif8.decode(ALL), expected)


def test_unpack_all_256_codes() -> None:
    got = hif8.unpack(ALL)
    for code in range(256):
        _, sign, exponent, mantissa, n = paper.fields(code)
        zero_or_nan = code in (paper.ZERO, paper.NAN)
        if paper.fields(code).pattern == paper.DENORMAL:
            significand = 0 if zero_or_nan else 8
        else:
            significand = (2**n + mantissa) * 2 ** (3 - n)
        assert (got.sign[code], got.exponent[code]) == (sign, exponent)
        assert got.significand[code] == significand
        assert got.zero[code] == (code == paper.ZERO)
        assert got.inf[code] == (code & 0x7F == paper.INF)
        assert got.nan[code] == (code == paper.NAN)
    assert [column.size for column in got] == [256] * 6
    assert [column.dtype.name for column in got] == ["uint8", "int8", "uint8"] + ["bool"] * 3


def test_unpack_fields_make_the_value() -> None:
    got = hif8.unpack(ALL)
    finite = ~(got.inf | got.nan)
    assert finite.sum() == 253
    for code in ALL[finite].tolist():
        scaled = int(got.significand[code]) * (-1) ** int(got.sign[code])
        assert scaled * paper.Fraction(2) ** (int(got.exponent[code]) - 3) == paper.value(code)


def test_unpack_limits_are_those_documented() -> None:
    got = hif8.unpack(ALL)
    assert (got.exponent[0], got.exponent[0x80]) == (-23, -23)
    assert (got.exponent.min(), got.exponent.max()) == (-23, 15)
    for infinity in (0x6F, 0xEF):
        assert (got.exponent[infinity], got.significand[infinity]) == (15, 12)


def test_dot_field_of_all_256_codes() -> None:
    rows = dict(zip(paper.PATTERNS, f.DOT_FIELDS, strict=True))
    found = [d.dot_field(code) for code in range(256)]
    assert len(found) == 256
    assert found == [rows[paper.fields(code).pattern] for code in range(256)]


LAYOUTS = {
    "C order": lambda a: a,
    "Fortran order": np.asfortranarray,
    "transposed": lambda a: a.T,
    "negative strides": lambda a: a[::-1, ::-1],
    "every third": lambda a: a[:, ::3],
    "columns backwards by two": lambda a: a[1::2, ::-2].T,
    "three dimensions": lambda a: a.reshape(4, 4, 16).transpose(2, 0, 1),
    "broadcast": lambda a: np.broadcast_to(a[3], (5, 16)),
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype),
    "no rows": lambda a: a[:0],
    "no columns": lambda a: a[:, :0],
    "one element": lambda a: a[:1, :1],
}


@pytest.mark.parametrize("name", paper.FORMATS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_decode_keeps_shape_and_order_whatever_the_layout(layout: str, name: str) -> None:
    codes = LAYOUTS[layout](ALL.reshape(16, 16))
    got = hif8.decode(codes, name)
    assert got.shape == codes.shape
    assert got.dtype == np.dtype(name)
    for index, code in np.ndenumerate(codes):
        expected = float(paper.value(int(code)))
        assert float(got[index]) == expected or (math.isnan(expected) and np.isnan(got[index]))


@pytest.mark.parametrize("name", paper.FORMATS)
@pytest.mark.parametrize("code", [0x0C, np.uint8(0x0C), np.int64(0x0C), np.array(0x0C, np.uint8)])
def test_decode_of_one_code_is_a_scalar(code: object, name: str) -> None:
    got = hif8.decode(code, name)
    assert np.shape(got) == ()
    assert got.dtype == np.dtype(name)
    assert float(got) == float(paper.value(0x0C)) == 1.5


@pytest.mark.parametrize("codes", [[], [[]], np.zeros((0, 3), np.int64)])
def test_decode_of_nothing_is_nothing(codes: object) -> None:
    got = hif8.decode(codes)
    assert got.shape == np.shape(codes)
    assert got.dtype == np.float32


@pytest.mark.parametrize("dtype", ["i2", "u2", ">u2", "i4", ">i4", "u4", "i8", "u8", ">u8"])
def test_decode_takes_other_integers_that_are_codes(dtype: str) -> None:
    got = words(hif8.decode(ALL.astype(dtype)))
    np.testing.assert_array_equal(got, words(hif8.decode(ALL)))
    assert got.size == 256


def test_decode_takes_lists() -> None:
    got = hif8.decode([[0x00, 0x08], [0x6E, 0xEF]])
    assert got.tolist() == [[0.0, 1.0], [2.0**15, -math.inf]]


@pytest.mark.parametrize("function", [hif8.decode, hif8.unpack])
@pytest.mark.parametrize("code", [-1, 256, [-1], [0, 256], np.int8(-128), np.uint64(2**63)])
def test_codes_outside_0_to_255_are_refused(code: object, function: object) -> None:
    wrong = next(int(c) for c in np.ravel(code) if not 0 <= c <= 255)
    with pytest.raises(ValueError, match=rf"^codes must be in 0\.\.255, not {wrong}$"):
        function(code)


@pytest.mark.parametrize("function", [hif8.decode, hif8.unpack])
@pytest.mark.parametrize(
    "codes", [1.0, [1.0], np.zeros(0), np.zeros(2, np.float32), True, [False], "a", None, [1j]]
)
def test_codes_that_are_no_integers_are_refused(codes: object, function: object) -> None:
    name = np.asarray(codes).dtype.name
    with pytest.raises(TypeError, match=f"^codes must be integers of dtype uint8, not '{name}'$"):
        function(codes)


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.complex64, np.longdouble, object, "S4"])
def test_decode_refuses_other_types(dtype: object) -> None:
    name = np.dtype(dtype).name
    with pytest.raises(
        TypeError, match=f"^dtype must be float16, bfloat16, float32 or float64, not '{name}'$"
    ):
        hif8.decode(ALL, dtype)


@pytest.mark.parametrize("name", paper.FORMATS)
def test_decode_of_ten_million_needs_no_memory_beside_its_output(name: str) -> None:
    codes = np.resize(ALL, 10_000_000)
    tracemalloc.start()
    try:
        result = hif8.decode(codes, name)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.size == 10_000_000
    assert 0 <= peak - result.nbytes < 10_000_000
