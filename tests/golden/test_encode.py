# SPDX-License-Identifier: Apache-2.0
"""Encoding under TA against the paper's equations, and against en_dtypes.

Imports hif8, paper, NumPy, hypothesis and en_dtypes. The last rounds FP64 twice, so it is asked
about the other types only.
"""

import math
import random
import tracemalloc
from functools import cache

import en_dtypes
import hif8
import numpy as np
import paper
import pytest
from hif8.golden import encode as e
from hif8.golden import format as f
from hypothesis import given, settings
from hypothesis import strategies as st

FORMATS = {source.dtype.name: source for source in f.FLOAT_FORMATS}
PROPERTY = settings(derandomize=True, deadline=None, max_examples=300)

every_setting = pytest.mark.parametrize(
    "options",
    [{"saturate": s, "nan_to_zero": n} for s in (False, True) for n in (False, True)],
    ids=["plain", "nan_to_zero", "saturate", "saturate-nan_to_zero"],
)


def floats(words: object, name: str) -> np.ndarray:
    """Return values of the named type from their words."""
    dtype = np.dtype(name)
    return np.asarray(words, f"u{dtype.itemsize}").view(dtype)


@cache
def values(words: tuple[int, ...] | range, name: str) -> list[paper.Value]:
    """Return what words stand for by the paper's arithmetic; kept for the next setting."""
    return [paper.ieee_value(word, name) for word in words]


def check(words: tuple[int, ...] | range, name: str, **options: bool) -> int:
    """Compare golden with the paper on words; return how many were compared."""
    expected = [paper.encode(value, **options) for value in values(words, name)]
    got = hif8.encode(floats(words, name), **options)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, expected)
    return got.size


def with_both_signs(words: list[int], name: str) -> tuple[int, ...]:
    sign = 1 << paper.FORMATS[name].width - 1
    return tuple(sign * s | word for word in words for s in (0, 1))


def random_words(name: str, count: int) -> tuple[int, ...]:
    """Return random words: half of them any, half of the binades in and next to HiF8's."""
    w, m = paper.FORMATS[name]
    rng = random.Random(20240916)
    bias = 2 ** (w - 1) - 1
    words = []
    for _ in range(count // 2):
        exponent = rng.randint(max(bias - 25, 0), min(bias + 18, 2**w - 1))
        sign_and_exponent = rng.getrandbits(1) << w | exponent
        words += [rng.getrandbits(1 + w + m), sign_and_exponent << m | rng.getrandbits(m)]
    return tuple(words)


@every_setting
@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_encode_all_65536_words_of_16_bits(name: str, options: dict) -> None:
    assert check(range(1 << 16), name, **options) == 65_536


@every_setting
@pytest.mark.parametrize("name", ["float32", "float64"])
def test_encode_every_boundary_and_three_ulp_around_it(name: str, options: dict) -> None:
    words = [
        paper.ieee_word(boundary, name) + k for boundary in paper.BOUNDARIES for k in range(-3, 4)
    ]
    assert check(with_both_signs(words, name), name, **options) == 127 * 7 * 2


@every_setting
@pytest.mark.parametrize("name", ["float32", "float64"])
def test_encode_every_value_and_three_ulp_around_it(name: str, options: dict) -> None:
    words = [paper.ieee_word(value, name) + k for value, _ in paper.POSITIVE for k in range(-3, 4)]
    assert check(with_both_signs(words, name), name, **options) == 126 * 7 * 2


@every_setting
@pytest.mark.parametrize("name", ["float32", "float64"])
def test_encode_random_words(name: str, options: dict) -> None:
    words = random_words(name, 20_000)
    assert check(words, name, **options) == 20_000


@pytest.mark.parametrize(("name", "leading"), [("float32", 13), ("float64", 16)])
def test_encode_all_leading_bits_with_low_bits_zero_one_and_ones(name: str, leading: int) -> None:
    low_width = paper.FORMATS[name].width - leading
    low = (0, 1, 2**low_width - 1)
    words = tuple(high << low_width | bits for high in range(2**leading) for bits in low)
    assert check(words, name) == 3 * 2**leading


@pytest.mark.parametrize("name", paper.FORMATS)
def test_encode_ties_away_at_every_midpoint(name: str) -> None:
    midpoints = [paper.ieee_word(boundary, name) for boundary in paper.BOUNDARIES]
    away = hif8.encode(floats(midpoints, name))
    below = hif8.encode(floats([word - 1 for word in midpoints], name))
    assert away.size == below.size == 127
    np.testing.assert_array_equal(away, paper.CODES[1:])
    np.testing.assert_array_equal(below, paper.CODES[:-1])
    negative = hif8.encode(-floats(midpoints, name))
    np.testing.assert_array_equal(negative, [0x80 | code for code in paper.CODES[1:]])


def test_encode_rounds_float64_once_where_float32_between_would_go_wrong() -> None:
    below = floats(
        [paper.ieee_word(boundary, "float64") - 1 for boundary in paper.BOUNDARIES], "f8"
    )
    x = np.concatenate([below, -below])
    once, twice = hif8.encode(x), hif8.encode(x.astype(np.float32))
    expected = [paper.encode(paper.Fraction(value)) for value in x.tolist()]
    np.testing.assert_array_equal(once, expected)
    assert np.count_nonzero(once != twice) == x.size == 254


@pytest.mark.parametrize("name", paper.FORMATS)
def test_encode_of_every_decoded_code_is_the_code(name: str) -> None:
    words = [paper.ieee_word(paper.value(code), name) for code in range(256)]
    got = hif8.encode(floats(words, name))
    assert got.size == 256
    np.testing.assert_array_equal(got, np.arange(256))


@pytest.mark.parametrize("name", paper.FORMATS)
@pytest.mark.parametrize("nan_to_zero", [False, True])
def test_encode_nan_whatever_its_sign_and_payload(nan_to_zero: bool, name: str) -> None:
    w, m = paper.FORMATS[name]
    infinity = (2**w - 1) << m
    payloads = [1 << bit for bit in range(m)] + [3, 2**m - 1, 2 ** (m - 1) + 1]
    words = with_both_signs([infinity | payload for payload in payloads], name)
    got = hif8.encode(floats(words, name), nan_to_zero=nan_to_zero)
    assert got.size == 2 * (m + 3)
    assert np.all(got == (0x00 if nan_to_zero else 0x80))


@pytest.mark.parametrize("name", paper.FORMATS)
def test_encode_finds_one_nan_of_low_payload_among_many_numbers(name: str) -> None:
    x = np.full(200_001, 1.5, np.dtype(name))
    x[131_072] = floats([paper.ieee_word(math.inf, name) | 1], name)[0]
    got = hif8.encode(x)
    assert np.flatnonzero(got != 0x0C).tolist() == [131_072]
    assert got[131_072] == 0x80


@pytest.mark.parametrize("name", paper.FORMATS)
def test_encode_of_negative_underflow_is_the_only_zero(name: str) -> None:
    smallest = paper.ieee_word(paper.BOUNDARIES[0], name)
    words = with_both_signs([0, 1, smallest // 2, smallest - 1], name)
    got = hif8.encode(floats(words, name))
    assert got.tolist() == [0x00] * 8


@pytest.mark.parametrize("name", paper.FORMATS)
@pytest.mark.parametrize(
    ("saturate", "expected"), [(False, [0x6F, 0xEF, 0x6F, 0xEF]), (True, [0x6E, 0xEE, 0x6E, 0xEE])]
)
def test_saturate_takes_the_place_of_every_infinity(
    saturate: bool, expected: list[int], name: str
) -> None:
    x = np.array([math.inf, -math.inf, 40960, -40960], np.dtype(name))
    assert hif8.encode(x, saturate=saturate).tolist() == expected


@pytest.mark.parametrize("name", paper.FORMATS)
def test_encode_words_is_the_paper_s_definition(name: str) -> None:
    words = random_words(name, 10_000)
    got = e.encode_words(np.array(words, np.uint64), FORMATS[name])
    assert got.size == 10_000
    np.testing.assert_array_equal(got, [paper.encode(value) for value in values(words, name)])


def en_dtypes_codes(x: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # NumPy warns of a NaN in any cast between float types
        return x.astype(en_dtypes.hifloat8).view(np.uint8)


def test_encode_agrees_with_en_dtypes_on_all_float16() -> None:
    x = floats(range(1 << 16), "float16")
    assert x.size == 65_536
    np.testing.assert_array_equal(hif8.encode(x), en_dtypes_codes(x))


def test_encode_agrees_with_en_dtypes_on_all_bfloat16() -> None:
    x = floats(range(1 << 16), "bfloat16")
    widened = floats(np.arange(1 << 16, dtype=np.uint32) << 16, "float32")
    assert x.size == 65_536
    np.testing.assert_array_equal(hif8.encode(x), en_dtypes_codes(widened))


def test_encode_agrees_with_en_dtypes_on_all_leading_bits_of_float32() -> None:
    high = np.arange(1 << 13, dtype=np.uint32) << 19
    x = floats(np.concatenate([high, high | 1, high | (1 << 19) - 1]), "float32")
    assert x.size == 24_576
    np.testing.assert_array_equal(hif8.encode(x), en_dtypes_codes(x))


def test_encode_agrees_with_en_dtypes_on_ten_million_random_float32() -> None:
    rng = np.random.default_rng(2409)
    compared, met = 0, np.zeros(256, np.int64)
    for _ in range(10):
        x = rng.integers(0, 1 << 32, 1 << 20, np.uint32).view(np.float32)
        theirs = en_dtypes_codes(x)
        np.testing.assert_array_equal(hif8.encode(x), theirs)
        compared += x.size
        met += np.bincount(theirs, minlength=256)
    assert compared >= 10_000_000
    assert np.all(met > 0)


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
    "unaligned": lambda a: np.frombuffer(b"?" + a.tobytes(), a.dtype, offset=1),
    "other byte order": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "other byte order, backwards": lambda a: a.astype(a.dtype.newbyteorder(">"))[::-2],
    "no rows": lambda a: a[:0],
    "no columns": lambda a: a[:, :0],
    "one element": lambda a: a[:1, :1],
}


def every_value(name: str) -> np.ndarray:
    """Return the values of all codes as a square array of the named type."""
    words = [paper.ieee_word(paper.value(code), name) for code in range(256)]
    return floats(words, name).reshape(16, 16)


@pytest.mark.parametrize("name", paper.FORMATS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_encode_keeps_shape_and_order_whatever_the_layout(layout: str, name: str) -> None:
    x = LAYOUTS[layout](every_value(name))
    before = x.tobytes()
    got = hif8.encode(x)
    assert isinstance(got, np.ndarray)
    assert got.dtype == np.uint8
    assert got.shape == x.shape
    for index, value in np.ndenumerate(x):
        number = float(value)
        exact = number if not math.isfinite(number) else paper.Fraction(number)
        assert got[index] == paper.encode(exact)
    assert x.tobytes() == before


@pytest.mark.parametrize("name", paper.FORMATS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_quantize_keeps_shape_and_type_whatever_the_layout(layout: str, name: str) -> None:
    x = LAYOUTS[layout](every_value(name))
    got = hif8.quantize(x)
    assert got.shape == x.shape
    assert got.dtype == np.dtype(name)  # in native byte order
    np.testing.assert_array_equal(got.astype(np.float64), x.astype(np.float64))


@pytest.mark.parametrize("x", [1.5, np.float64(1.5), np.float32(1.5), np.float16(1.5)])
def test_encode_and_quantize_of_one_number_are_scalars(x: float) -> None:
    for number in (x, np.array(x)):
        code, value = hif8.encode(number), hif8.quantize(number)
        assert np.shape(code) == np.shape(value) == ()
        assert (code.dtype, value.dtype) == (np.uint8, np.asarray(x).dtype)
        assert (int(code), float(value)) == (0x0C, 1.5)


def test_encode_of_a_python_number_is_that_of_float64() -> None:
    just_below = math.nextafter(1.0625, 0)
    assert (hif8.encode(just_below), hif8.encode(1.0625)) == (0x08, 0x09)
    assert hif8.encode(3) == hif8.encode(3.0)
    assert hif8.quantize(3).dtype == np.float64


def test_encode_takes_lists() -> None:
    assert hif8.encode([[0.0, 1.0], [2.0**15, -math.inf]]).tolist() == [[0x00, 0x08], [0x6E, 0xEF]]


@pytest.mark.parametrize("x", [[], [[]], np.zeros((0, 3), np.float16)])
def test_encode_of_nothing_is_nothing(x: object) -> None:
    got = hif8.encode(x)
    assert got.shape == np.shape(x)
    assert got.dtype == np.uint8


@every_setting
@pytest.mark.parametrize("name", paper.FORMATS)
def test_quantize_is_the_value_of_the_code_and_idempotent(name: str, options: dict) -> None:
    words = random_words(name, 4_000)
    x = floats(words, name)
    expected = [
        paper.ieee_word(paper.value(paper.encode(value, **options)), name)
        for value in values(words, name)
    ]
    once = hif8.quantize(x, **options)
    twice = hif8.quantize(once, **options)
    assert once.size == 4_000
    assert once.dtype == twice.dtype == np.dtype(name)
    np.testing.assert_array_equal(once.view(FORMATS[name].word), expected)
    np.testing.assert_array_equal(twice.view(FORMATS[name].word), expected)


@pytest.mark.parametrize("function", [hif8.encode, hif8.quantize])
@pytest.mark.parametrize(
    "x",
    [
        np.arange(3),
        np.zeros(2, np.uint8),
        np.int64(3),
        np.array([True]),
        True,
        np.array([1.0], object),
        None,
        np.array(["1.0"]),
        "1.0",
        b"1",
        np.array([1j]),
        1j,
        np.zeros(2, np.longdouble),
        np.zeros(2, "f4,f4"),
        np.zeros(2, en_dtypes.hifloat8),
    ],
    ids=repr,
)
def test_what_is_not_floating_point_is_refused(x: object, function: object) -> None:
    name = np.asarray(x).dtype.name
    with pytest.raises(
        TypeError, match=f"^x must be float16, bfloat16, float32 or float64, not '{name}'$"
    ):
        function(x)


@pytest.mark.parametrize("function", [hif8.encode, hif8.quantize])
@pytest.mark.parametrize("rounding", ["nearest", "", "t a", None, 1, [], b"ta"], ids=repr)
def test_unknown_rounding_is_refused(rounding: object, function: object) -> None:
    with pytest.raises(ValueError, match=r"^rounding must be one of 'ta'.*, not ") as caught:
        function(np.ones(2), rounding)
    assert str(caught.value).endswith(f", not {rounding!r}")


@pytest.mark.parametrize("rounding", [hif8.Rounding.TA, "ta", "TA"])
def test_rounding_goes_by_mode_or_name_and_ta_is_the_default(rounding: object) -> None:
    x = floats(random_words("float32", 1_000), "float32")
    np.testing.assert_array_equal(hif8.encode(x, rounding), hif8.encode(x))
    assert hif8.Rounding.named(rounding) is hif8.Rounding.TA


@pytest.mark.parametrize("options", [{}, {"saturate": True, "nan_to_zero": True}])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("name", paper.FORMATS)
def test_encode_of_ten_million_needs_no_memory_beside_its_output(
    name: str, order: str, options: dict
) -> None:
    some = every_value(name).ravel()
    x = np.resize(some.astype(some.dtype.newbyteorder(order)), 10_000_000)
    tracemalloc.start()
    try:
        result = hif8.encode(x, **options)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.size == 10_000_000
    assert 0 <= peak - result.nbytes < 10_000_000


ANY = st.floats(allow_nan=False)
NEAR = st.floats(min_value=-50_000, max_value=50_000)
SMALL = st.floats(min_value=-(2.0**-14), max_value=2.0**-14)
NUMBERS = ANY | NEAR | SMALL


@PROPERTY
@given(NUMBERS)
def test_encode_is_symmetric_in_the_sign(x: float) -> None:
    code = int(hif8.encode(x))
    assert int(hif8.encode(-x)) == (code if code == 0 else code ^ 0x80)


@PROPERTY
@given(NUMBERS, NUMBERS)
def test_quantize_is_monotone(x: float, y: float) -> None:
    low, high = sorted((x, y))
    assert hif8.quantize(low) <= hif8.quantize(high)


@PROPERTY
@given(NEAR | SMALL)
def test_no_value_is_nearer_than_the_one_quantize_gives(x: float) -> None:
    finite = paper.Fraction(float(hif8.quantize(x, saturate=True)))
    exact = paper.Fraction(x)
    everything = [paper.Fraction(0), *(s * v for v, _ in paper.POSITIVE for s in (1, -1))]
    assert abs(finite - exact) == min(abs(v - exact) for v in everything)


@PROPERTY
@given(NUMBERS)
def test_quantize_is_idempotent(x: float) -> None:
    once = hif8.quantize(x)
    assert hif8.quantize(once) == once


@PROPERTY
@given(NUMBERS)
def test_encode_is_the_paper_s(x: float) -> None:
    assert hif8.encode(x) == paper.encode(x if math.isinf(x) else paper.Fraction(x))
