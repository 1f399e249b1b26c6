# SPDX-License-Identifier: Apache-2.0
"""HR, TE and SR against what `paper` writes down apart from golden, HR bit by bit.

Imports hif8, paper and NumPy. TA has test_encode.py.
"""

import math
from collections.abc import Iterator
from fractions import Fraction
from functools import cache

import hif8
import numpy as np
import paper
import pytest
from hif8.golden import encode as e
from hif8.golden import format as f

SOURCES = {"float16": f.FP16, "bfloat16": f.BF16, "float32": f.FP32, "float64": f.FP64}
BITS_16 = ("float16", "bfloat16")
HYBRID = (*BITS_16, "float32")
SEED = 20240916

every_option = pytest.mark.parametrize(
    "options",
    [
        {"saturate": bool(k & 1), "nan_to_zero": bool(k & 2), "keep_exact": bool(k & 4)}
        for k in range(8)
    ],
    ids=["-".join(s for i, s in enumerate("snk") if k & 1 << i) or "none" for k in range(8)],
)
keep_or_not = pytest.mark.parametrize("keep_exact", [False, True], ids=["move", "keep_exact"])


def floats(words: object, name: str) -> np.ndarray:
    """Return values of the named type from their words."""
    dtype = np.dtype(name)
    return np.asarray(words, f"u{dtype.itemsize}").view(dtype)


def words_of(x: np.ndarray) -> np.ndarray:
    return x.view(f"u{x.itemsize}")


def every_value(name: str) -> np.ndarray:
    """Return the values of the 252 finite non-zero codes."""
    codes = [s | code for _, code in paper.POSITIVE for s in (0, 0x80)]
    return floats([paper.ieee_word(paper.value(code), name) for code in codes], name)


# The binades where HR compares F with T in FP32, with n, and -1 for n where nothing is kept.
COMPARED = {E: -1 if E == -23 else 0 if E < -15 else 2 if abs(E) < 8 else 1 for E in range(-23, 16)}
COMPARED = {E: n for E, n in COMPARED.items() if abs(E) >= 4}


def words_by_difference(difference: int) -> Iterator[int]:
    """Yield every positive FP32 word whose F is T plus `difference`, of every binade compared.

    F is a window of the word `shift` above T, and overlaps it: choose the `shift` lowest bits of T,
    and F = T + difference gives the bits above them one after the other.
    """
    for exponent, n in COMPARED.items():
        shift = 23 - n - 14
        for low in range(1 << shift):
            bits = low
            for place in range(14):
                wanted = (bits % 2**14 + difference) >> place & 1  # of F; known as T is, so far
                bits |= wanted << place + shift
            if bits >> shift != bits % 2**14 + difference:
                continue  # F has no 15th bit, or is not negative
            if n < 0:
                if bits >> 23:  # the hidden bit leads F
                    yield (exponent + 127) << 23 | bits % 2**23
                continue
            for kept in range(2**n):
                yield (exponent + 127) << 23 | kept << 23 - n | bits


@cache
def float32_words() -> np.ndarray:
    """Return more than 10^6 FP32 words: all F = T and next to it, boundaries, values, random."""
    near = [
        paper.ieee_word(value, "float32") + k
        for value in [*paper.BOUNDARIES, *(v for v, _ in paper.POSITIVE), Fraction(3, 2) * 2**15]
        for k in range(-3, 4)
    ]
    chosen = [word for d in (-1, 0, 1) for word in words_by_difference(d)]
    special = [0, 1, 0x7FFFFF, 0x800000, 0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FC00000, 0x7FFFFFFF]
    positive = np.array(near + chosen + special, np.uint32)
    rng = np.random.default_rng(SEED)
    random = rng.integers(0, 1 << 32, 900_000, np.uint32)
    inside = random[300_000:]  # two thirds of them in the binades in and next to HiF8's
    exponents = rng.integers(127 - 25, 127 + 17, inside.size, np.uint32)
    inside[:] = inside & np.uint32(0x807FFFFF) | exponents << 23
    return np.concatenate([positive, positive | np.uint32(1 << 31), random])


@cache
def float32_codes(keep_exact: bool) -> np.ndarray:
    """Return the codes of `float32_words` under HR, by the paper."""
    return np.array(
        [
            paper.encode_hybrid(word, "float32", keep_exact=keep_exact)
            for word in float32_words().tolist()
        ],
        np.uint8,
    )


@every_option
@pytest.mark.parametrize("name", BITS_16)
def test_hybrid_of_all_65536_words_of_16_bits(name: str, options: dict) -> None:
    expected = [paper.encode_hybrid(word, name, **options) for word in range(1 << 16)]
    got = hif8.encode(floats(range(1 << 16), name), "hr", **options)
    assert got.size == len(expected) == 65_536
    np.testing.assert_array_equal(got, expected)


def test_words_by_difference_are_all_there_are() -> None:
    for difference in (-1, 0, 1):
        words = np.array(list(words_by_difference(difference)))
        assert np.unique(words).size == words.size
        for exponent, n in COMPARED.items():
            here = words[words >> 23 == exponent + 127]
            if exponent in (-23, -22, 4, 8):  # one of each n, by trying all words
                mantissa = np.arange(1 << 23)
                found = (1 << 23 | mantissa) >> 23 - n - 14 & 0x3FFF
                fitting = mantissa[found == (mantissa & 0x3FFF) + difference]
                np.testing.assert_array_equal(np.sort(here & 0x7FFFFF), fitting)
            assert here.size > 100


@keep_or_not
def test_hybrid_of_a_million_float32_words(keep_exact: bool) -> None:
    got = hif8.encode(float32_words().view(np.float32), "hr", keep_exact=keep_exact)
    assert got.size > 1_000_000
    assert np.unique(got).size == 256
    np.testing.assert_array_equal(got, float32_codes(keep_exact))


@keep_or_not
def test_hybrid_of_a_million_float32_words_by_the_definition(keep_exact: bool) -> None:
    words = float32_words()
    got = e.encode_words(words, f.FP32, hif8.Rounding.HR, keep_exact=keep_exact)
    assert got.size > 1_000_000
    np.testing.assert_array_equal(got, float32_codes(keep_exact))


@every_option
def test_hybrid_of_float32_under_every_option(options: dict) -> None:
    words = float32_words()[::20].copy()
    expected = [paper.encode_hybrid(word, "float32", **options) for word in words.tolist()]
    got = hif8.encode(words.view(np.float32), "hr", **options)
    assert got.size == len(expected) > 50_000
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("difference", [-1, 0, 1])
@pytest.mark.parametrize("sign", [0, 1 << 31], ids=["positive", "negative"])
def test_hybrid_goes_up_exactly_from_f_equal_to_t(sign: int, difference: int) -> None:
    words = np.array(list(words_by_difference(difference)), np.uint32)
    words = words[words < 142 << 23 | 1 << 21]  # from 1.25 * 2^15 on it is TA
    got = hif8.encode((words | np.uint32(sign)).view(np.float32), "hr")
    down = [
        paper.CODES.index(paper.neighbours(abs(paper.ieee_value(w, "float32")))[0])
        for w in words.tolist()
    ]
    went_up = [paper.CODES.index(code & 0x7F) for code in got.tolist()]
    assert len(down) > 15_000
    np.testing.assert_array_equal(np.subtract(went_up, down), difference >= 0)


@pytest.mark.parametrize("rounding", ["hr", "te"])
@pytest.mark.parametrize("name", HYBRID)
def test_rounding_is_symmetric_in_the_sign(name: str, rounding: str) -> None:
    words = float32_words() if name == "float32" else np.arange(1 << 16, dtype=np.uint16)
    sign = words.dtype.type(1 << 8 * words.itemsize - 1)
    one, other = (hif8.encode(w.view(np.dtype(name)), rounding) for w in (words, words ^ sign))
    signed = (one != paper.ZERO) & (one != paper.NAN)
    assert signed.sum() > 20_000
    np.testing.assert_array_equal(other, one ^ np.where(signed, 0x80, 0).astype(np.uint8))


@pytest.mark.parametrize(
    ("name", "keep_exact"), [(name, False) for name in HYBRID] + [("float32", True)]
)
def test_hybrid_gives_one_of_the_two_values_next_to_the_argument(
    name: str, keep_exact: bool
) -> None:
    words = float32_words()[::50] if name == "float32" else np.arange(1 << 16, dtype=np.uint16)
    got = hif8.encode(floats(words, name), "hr", keep_exact=keep_exact)
    compared = 0
    for word, code in zip(words.tolist(), got.tolist(), strict=True):
        x = paper.ieee_value(word, name)
        if not abs(x) < 2**15:
            continue
        down, up = paper.neighbours(abs(x))
        if down == up and name == "float32" and not keep_exact and abs(x) > 0:
            up = paper.CODES[paper.CODES.index(down) + 1]  # an exact value may move by one
        assert code & 0x7F in (down, up)
        compared += 1
    assert compared > 15_000


@keep_or_not
@pytest.mark.parametrize("name", HYBRID)
def test_hybrid_is_ta_in_the_middle(name: str, keep_exact: bool) -> None:
    words = float32_words() if name == "float32" else np.arange(1 << 16, dtype=np.uint16)
    w, m = paper.FORMATS[name]
    exponents = (words >> m) % 2**w - (2.0 ** (w - 1) - 1)
    x = floats(words[np.abs(exponents) < 4], name)
    assert x.size == 7 * 2 * 2**m if m < 23 else x.size > 100_000
    np.testing.assert_array_equal(hif8.encode(x, "hr", keep_exact=keep_exact), hif8.encode(x))


def test_140_of_the_252_exact_float32_values_move_and_keep_exact_keeps_them() -> None:
    x = every_value("float32")
    moved = hif8.quantize(x, "hr") != x
    assert x.size == 252
    assert moved.sum() == 140
    outer = (np.abs(x) >= 16) | (np.abs(x) < 0.125)
    np.testing.assert_array_equal(moved, outer)
    assert hif8.quantize(np.float32([16, -16, 2**15]), "hr").tolist() == [20, -20, math.inf]
    np.testing.assert_array_equal(hif8.quantize(x, "hr", keep_exact=True), x)


@keep_or_not
@pytest.mark.parametrize("name", BITS_16)
def test_no_exact_value_of_16_bits_moves(name: str, keep_exact: bool) -> None:
    x = every_value(name)
    assert x.size == 252
    np.testing.assert_array_equal(hif8.quantize(x, "hr", keep_exact=keep_exact), x)


@pytest.mark.parametrize("name", BITS_16)
def test_keep_exact_changes_nothing_for_16_bits(name: str) -> None:
    x = floats(range(1 << 16), name)
    np.testing.assert_array_equal(
        hif8.encode(x, "hr", keep_exact=True), hif8.encode(x, "hr", keep_exact=False)
    )


def test_keep_exact_makes_hybrid_idempotent() -> None:
    x = float32_words().view(np.float32)
    once = hif8.quantize(x, "hr", keep_exact=True)
    twice = hif8.quantize(once, "hr", keep_exact=True)
    assert once.size > 1_000_000
    np.testing.assert_array_equal(words_of(twice), words_of(once))
    climbing = [np.float32(16)]
    for _ in range(4):
        climbing.append(hif8.quantize(climbing[-1], "hr"))
    assert climbing == [16, 20, 24, 28, 32]


def ulps_of_error(x: np.ndarray, rounded: np.ndarray, ulp: float) -> float:
    """Return the mean error in magnitude; exact, for all are binary fractions of few bits."""
    return float(np.mean(np.abs(rounded.astype(np.float64)) - np.abs(x.astype(np.float64)))) / ulp


@pytest.mark.parametrize(
    ("exponent", "n"), [(E, n) for E, n in COMPARED.items() if -23 < E < 15], ids=str
)
def test_bfloat16_widened_before_hybrid_always_goes_up(exponent: int, n: int) -> None:
    low, high = (exponent + 127) << 7, (exponent + 128) << 7
    words = np.arange(low, high, dtype=np.uint16)
    words = np.concatenate([words, words | np.uint16(1 << 15)])
    x = floats(words, "bfloat16")
    assert x.size == 256
    widened = hif8.quantize(x.astype(np.float32), "hr")
    assert np.all(np.abs(widened) > np.abs(x.astype(np.float32)))
    # Always up is 1 - j/2^d in the mean over the 2^d values j of the discarded bits: half an ulp.
    d = 7 - n
    ulp = 2.0 ** (exponent - n)
    assert ulps_of_error(x, widened, ulp) == (1 + 2.0**-d) / 2
    assert abs(ulps_of_error(x, hif8.quantize(x, "hr"), ulp)) == 2.0 ** -(d + 1)


@pytest.mark.parametrize("x", [1.5, np.zeros(3), np.zeros(0), np.ones(2, ">f8")], ids=repr)
@pytest.mark.parametrize("function", [hif8.encode, hif8.quantize])
def test_hybrid_of_float64_is_refused(function: object, x: object) -> None:
    with pytest.raises(
        ValueError, match=r"^x must be float16, bfloat16 or float32 for HR, not float64$"
    ):
        function(x, "hr")


@pytest.mark.parametrize("name", BITS_16)
def test_ties_to_even_of_all_65536_words_of_16_bits(name: str) -> None:
    expected = [paper.encode_even(paper.ieee_value(word, name)) for word in range(1 << 16)]
    got = hif8.encode(floats(range(1 << 16), name), "te")
    assert got.size == len(expected) == 65_536
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", ["float32", "float64"])
def test_ties_to_even_at_every_boundary_and_next_to_it(name: str) -> None:
    at = [paper.ieee_word(boundary, name) for boundary in paper.BOUNDARIES]
    words = np.array([[word + k for k in range(-3, 4)] for word in at], SOURCES[name].word)
    signed = np.concatenate([words, words | words.dtype.type(1 << 8 * words.itemsize - 1)])
    expected = [paper.encode_even(paper.ieee_value(w, name)) for w in signed.ravel().tolist()]
    got = hif8.encode(signed.view(np.dtype(name)), "te")
    assert got.size == len(expected) == 127 * 7 * 2
    np.testing.assert_array_equal(got.ravel(), expected)
    ties = got[:127, 3]
    assert np.all(ties % 2 == 0)
    # Every other tie goes down, where TA goes up.
    assert np.count_nonzero(ties != hif8.encode(words[:, 3].copy().view(np.dtype(name)))) == 64


@pytest.mark.parametrize("name", ["float32", "float64"])
def test_ties_to_even_of_random_words(name: str) -> None:
    rng = np.random.default_rng(SEED)
    x = np.ldexp(rng.uniform(-2, 2, 50_000), rng.integers(-26, 17, 50_000)).astype(np.dtype(name))
    expected = [paper.encode_even(Fraction(value)) for value in x.tolist()]
    assert len(expected) == 50_000
    np.testing.assert_array_equal(hif8.encode(x, "te"), expected)


def test_ties_to_even_of_special_values() -> None:
    x = np.float32([0.0, -0.0, math.inf, -math.inf, math.nan, 1e30])
    assert hif8.encode(x, "te").tolist() == [0, 0, 0x6F, 0xEF, 0x80, 0x6F]
    saturated = hif8.encode(x, "te", saturate=True, nan_to_zero=True)
    assert saturated.tolist() == [0, 0, 0x6E, 0xEE, 0x00, 0x6E]


DRAWS = 50_000


@pytest.mark.parametrize("name", paper.FORMATS)
@pytest.mark.parametrize(
    "exponent", [*range(-30, -15), -15, -12, -8, -7, -4, -3, -1, 0, 1, 3, 4, 7, 8, 14], ids=str
)
def test_stochastic_is_unbiased(exponent: int, name: str) -> None:
    smallest = -24 if name == "float16" else -30  # there is none smaller
    if exponent < smallest:
        x = Fraction(2) ** smallest
    else:
        fraction = (
            Fraction(21, 64) if exponent > -15 else Fraction(0 if name == "float16" else 5, 8)
        )
        x = Fraction(2) ** exponent * (1 + fraction)
    low, high = (paper.value(code) for code in paper.neighbours(x))
    rng = np.random.default_rng([SEED, exponent + 100, *name.encode()])
    draws = np.full(DRAWS, float(x)).astype(np.dtype(name))
    assert Fraction(float(draws[0])) == x
    got = hif8.quantize(draws, "sr", rng=rng).astype(np.float64)
    assert got.size == DRAWS
    up = int(np.count_nonzero(got == float(high)))
    if low == high:
        assert up == DRAWS
        return
    assert np.count_nonzero(got == float(low)) == DRAWS - up
    share = (x - low) / (high - low)
    sigma = math.sqrt(DRAWS * share * (1 - share))
    assert abs(up - DRAWS * share) < 5 * sigma


@pytest.mark.parametrize("exponent", range(-28, 15))
def test_stochastic_of_a_spread_of_values_is_unbiased(exponent: int) -> None:
    rng = np.random.default_rng([SEED, exponent + 100])
    x = np.ldexp(rng.uniform(1, 2, 1_000), exponent).astype(np.float32)
    exact = [Fraction(number) for number in x.tolist()]
    low, high = np.array(
        [[float(paper.value(c)) for c in paper.neighbours(number)] for number in exact]
    ).T
    share = (x - low) / (high - low)
    got = np.stack([hif8.quantize(x, "sr", rng=rng) for _ in range(50)])
    assert got.size == 50_000
    assert np.all((got == low) | (got == high))
    sigma = math.sqrt(50 * np.sum(share * (1 - share)))
    assert abs(np.count_nonzero(got == high) - 50 * share.sum()) < 5 * sigma


@pytest.mark.parametrize("name", paper.FORMATS)
def test_stochastic_keeps_every_exact_value(name: str) -> None:
    x = np.resize(every_value(name), 252 * 100)
    np.testing.assert_array_equal(hif8.quantize(x, "sr", rng=np.random.default_rng(1)), x)


@pytest.mark.parametrize("name", BITS_16)
def test_stochastic_never_leaves_the_two_neighbours_of_any_word_of_16_bits(name: str) -> None:
    words = range(1 << 16)
    got = hif8.encode(floats(words, name), "sr", rng=np.random.default_rng(1)).tolist()
    compared = 0
    for word, code in zip(words, got, strict=True):
        x = paper.ieee_value(word, name)
        if abs(x) < 2**15:
            assert code & 0x7F in paper.neighbours(abs(x))
            assert code == 0 or code >> 7 == (x < 0)
        else:
            assert code == paper.encode(x)
        compared += 1
    assert compared == 65_536


def test_stochastic_is_reproducible_with_a_seed() -> None:
    x = float32_words()[:200_000].view(np.float32)
    first, again, other = (
        hif8.encode(x, "sr", rng=np.random.default_rng(seed)) for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(first, again)
    assert np.count_nonzero(first != other) > 1_000


def test_stochastic_draws_go_by_index_whatever_the_layout() -> None:
    x = float32_words()[:100_000].view(np.float32).reshape(4, 250, 100)
    expected = hif8.encode(x, "sr", rng=np.random.default_rng(7))
    for same in (np.asfortranarray(x), x.astype(">f4"), np.repeat(x, 2, axis=1)[:, ::2]):
        got = hif8.encode(same, "sr", rng=np.random.default_rng(7))
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("rng", [None, 7, np.random.RandomState(7), "seed"], ids=str)
@pytest.mark.parametrize("x", [1.5, np.ones(2, np.float16), np.zeros(0, np.float32)], ids=repr)
@pytest.mark.parametrize("function", [hif8.encode, hif8.quantize])
def test_stochastic_without_a_generator_is_refused(
    function: object, x: object, rng: object
) -> None:
    with pytest.raises(ValueError, match=r"^rng must be a numpy.random.Generator for SR, not "):
        function(x, "sr", rng=rng)


@pytest.mark.parametrize("rounding", ["stochastic", "", "ht", None, 2], ids=repr)
def test_unknown_mode_is_refused(rounding: object) -> None:
    with pytest.raises(ValueError, match=r"^rounding must be one of 'ta', 'hr', 'te', 'sr', not "):
        hif8.encode(np.float32([1]), rounding)


@pytest.mark.parametrize("rounding", list(hif8.Rounding), ids=str)
def test_every_mode_takes_every_shape(rounding: hif8.Rounding) -> None:
    for shape in [(), (0,), (3, 0), (2, 3)]:
        x = np.full(shape, 1.5, np.float32)
        got = hif8.encode(x, rounding, rng=np.random.default_rng(1))
        assert np.shape(got) == shape
        assert np.all(got == 0x0C)
