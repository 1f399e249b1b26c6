# SPDX-License-Identifier: Apache-2.0
"""Sums of products against exact fractions: accumulators, read-out, dot and matrix products.

Imports hif8, paper and NumPy.
"""

import math
from fractions import Fraction
from itertools import cycle, islice, pairwise

import hif8
import numpy as np
import paper
import pytest

SEED = 2409_16626
UNIT = Fraction(1, 2**44)
FINITE = np.array([c for c in range(256) if isinstance(paper.value(c), Fraction)], np.uint8)
SMALL = np.array([c for c in FINITE if abs(paper.value(c)) < Fraction(1, 2**10)], np.uint8)
ONE, HALF, SMALLEST, LARGEST, INF, NAN = 0x08, 0x18, 0x01, 0x6E, 0x6F, 0x80
MINUS = 0x80


def test_the_named_codes_are_what_they_are_called() -> None:
    named = (ONE, HALF, SMALLEST, LARGEST)
    assert [paper.value(c) for c in named] == [1, Fraction(1, 2), Fraction(1, 2**22), 2**15]


def words(values: np.ndarray) -> list[int]:
    """Return the bits of FP32 results."""
    assert values.dtype == np.float32
    return np.asarray(values).view(np.uint32).ravel().tolist()


def floats(bits: list[int] | np.ndarray) -> np.ndarray:
    return np.array(bits, np.uint32).view(np.float32)


def as_sum(integers: list[int]) -> hif8.ExactSum:
    """Return finite sums from Python integers, in units of 2^-44."""
    no = np.zeros(len(integers), bool)
    high = np.array([n >> 64 for n in integers], np.int64)
    low = np.array([n % 2**64 for n in integers], np.uint64)
    return hif8.ExactSum(high, low, no, no, no)


def power(exponent: int) -> tuple[int, int]:
    """Return two codes with the product 2^exponent, -44 to 30."""
    half = exponent // 2
    first, second = (paper.encode(Fraction(2) ** e) for e in (half, exponent - half))
    assert paper.product(first, second) == Fraction(2) ** exponent
    return first, second


def check_sums(a: np.ndarray, b: np.ndarray) -> dict[str, int]:
    """Compare exact sums of rows with the fractions, and count what they are."""
    total = hif8.exact_sum(a, b)
    assert [x.dtype.name for x in total] == ["int64", "uint64", "bool", "bool", "bool"]
    assert all(x.shape == a.shape[:-1] for x in total)
    counts = dict.fromkeys(("finite", "nan", "inf", "-inf"), 0)
    columns = (total.integers.tolist(), *(x.tolist() for x in total[2:]))
    for row, other, integer, nan, plus, minus in zip(a.tolist(), b.tolist(), *columns, strict=True):
        finite, value = paper.exact_sum(row, other)
        assert integer * UNIT == finite
        assert (nan, plus, minus) == (math.isnan(value), value == math.inf, value == -math.inf)
        counts["finite" if math.isfinite(value) else str(value)] += 1
    return counts


# Exact sums


@pytest.mark.parametrize("terms", [1, 2, 3, 8, 33])
def test_exact_sum_of_random_codes(terms: int) -> None:
    rng = np.random.default_rng(SEED + terms)
    any_codes = rng.integers(0, 256, (2, 500, terms)).astype(np.uint8)
    finite = rng.choice(FINITE, (2, 500, terms))
    assert sum(check_sums(*any_codes).values()) == 500
    assert check_sums(*finite)["finite"] == 500


def test_exact_sum_of_special_products_in_every_combination() -> None:
    codes = [0x00, ONE, MINUS | ONE, INF, MINUS | INF, NAN]
    a, b, c, d = (x.ravel() for x in np.meshgrid(*[np.array(codes, np.uint8)] * 4))
    counts = check_sums(np.stack([a, c], 1), np.stack([b, d], 1))
    assert sum(counts.values()) == 6**4
    assert all(counts.values())


def test_exact_sum_of_every_product_2_to_the_14_times() -> None:
    """The sums of slices come as near to 2^53 as they can."""
    codes = np.broadcast_to(FINITE[:, None], (253, 2**14))
    compared = 0
    for start in range(0, 253, 32):
        few = codes[start : start + 32, None]
        total = hif8.exact_sum(few, codes[start : start + 32][None])
        values = [paper.value(int(c)) for c in FINITE[start : start + 32]]
        expected = [[x * y * 2**14 / UNIT for y in values] for x in values]
        np.testing.assert_array_equal(total.integers, np.array(expected, object))
        compared += total.high.size
    assert compared == 7 * 32**2 + 29**2


@pytest.mark.parametrize("terms", [1, 2**14 - 1, 2**14, 2**14 + 1, 3 * 2**14 + 5])
def test_exact_sum_across_blocks(terms: int) -> None:
    rng = np.random.default_rng(SEED)
    a, b = rng.choice(FINITE, (2, 3, terms))
    a[1, -1], b[1, -1] = INF, ONE
    a[2, 0], b[2, 0] = MINUS | INF, ONE
    units = np.array(
        [int(paper.value(c) * 2**22) if c in FINITE else 0 for c in range(256)], object
    )
    total = hif8.exact_sum(a, b)
    assert total.integers.tolist() == (units[a] * units[b]).sum(axis=1).tolist()
    assert total.plus_inf.tolist() == [False, True, False]
    assert total.minus_inf.tolist() == [False, False, True]
    assert not total.nan.any()


def test_exact_sum_keeps_one_beside_the_largest_sums_of_slices() -> None:
    """More than 2^14 of these at once would pass 2^53, and lose the last product."""
    terms = 2**18
    for value in (Fraction(7, 2**6), Fraction(15, 2**6), Fraction(2) ** 15):
        a = np.full(terms + 1, paper.encode(value), np.uint8)
        a[-1] = SMALLEST
        assert hif8.exact_sum(a, a).integers == value**2 * terms / UNIT + 1


def test_exact_sum_of_a_million_largest_products_does_not_overflow() -> None:
    terms = 2**20
    a = np.full((2, terms), LARGEST, np.uint8)
    b = np.array([[LARGEST], [MINUS | LARGEST]], np.uint8)
    total = hif8.exact_sum(a, b)
    assert total.integers.tolist() == [2**94, -(2**94)]
    assert hif8.readout(total).tolist() == [2.0**50, -(2.0**50)]


def test_exact_sum_keeps_the_smallest_beside_the_largest() -> None:
    for terms in (2, 3, 1000, 1001):
        a = np.array([list(islice(cycle([LARGEST, SMALLEST]), terms))], np.uint8)
        assert check_sums(a, a) == {"finite": 1, "nan": 0, "inf": 0, "-inf": 0}


def test_exact_sum_does_not_depend_on_the_order() -> None:
    rng = np.random.default_rng(SEED)
    a, b = rng.choice(FINITE, (2, 5000))
    first = hif8.exact_sum(a, b)
    for _ in range(20):
        order = rng.permutation(5000)
        assert hif8.exact_sum(a[order], b[order]) == first


def test_exact_sum_broadcasts() -> None:
    rng = np.random.default_rng(SEED)
    a, b = rng.choice(FINITE, (4, 1, 6)), rng.choice(FINITE, (5, 6))
    total = hif8.exact_sum(a, b)
    one = hif8.exact_sum(a[2, 0], b[3])
    assert total.high.shape == (4, 5)
    assert total.integers[2, 3] == one.integers
    assert hif8.exact_sum(a, [ONE]).integers[2, 0] == hif8.exact_sum(a[2, 0], [ONE] * 6).integers


# Read-out


def hard_integers(count: int) -> list[int]:
    """Return sums of all lengths: random, at FP32's half ways, beside them, and about zero."""
    rng = np.random.default_rng(SEED)
    integers = [0, 1, -1, 2**64, -(2**64), 2**64 - 1, 2**127 - 1, -(2**127)]
    while len(integers) < count:
        length = int(rng.integers(1, 127))
        random = int.from_bytes(rng.bytes(16), "little") >> 128 - length
        leading = int(rng.integers(2**23, 2**24)) * 2 + 1 << max(0, length - 25)
        gap = 1 << int(rng.integers(0, max(1, length - 25)))
        found = [random, leading, leading + 1, leading - 1, leading + gap, leading - gap]
        # Bits far apart, that digits of 48, and parts of 53, cannot hold together.
        found.append(sum(1 << int(e) for e in set(rng.integers(0, 126, 3))))
        found.append((1 << length) - (1 << int(rng.integers(0, length))))
        integers += [n if rng.random() < 0.5 else -n for n in found if n < 2**127]
    return integers


INTEGERS = hard_integers(12_000)


def test_readout_to_fp32_rounds_once_at_every_scale() -> None:
    scales = [s % 64 - 32 for s in range(len(INTEGERS))]
    got = hif8.readout(as_sum(INTEGERS), scale=scales)
    expected = [
        paper.nearest_float32(n * UNIT * Fraction(2) ** s)
        for n, s in zip(INTEGERS, scales, strict=True)
    ]
    assert len(expected) >= 12_000
    assert words(got) == expected


@pytest.mark.parametrize("saturate", [False, True])
def test_readout_to_codes_rounds_once_at_every_scale(saturate: bool) -> None:
    scales = [s % 64 - 32 for s in range(len(INTEGERS))]
    got = hif8.readout(as_sum(INTEGERS), scale=scales, rounding="ta", saturate=saturate)
    expected = [
        paper.encode(n * UNIT * Fraction(2) ** s, saturate=saturate)
        for n, s in zip(INTEGERS, scales, strict=True)
    ]
    assert len(expected) >= 12_000
    assert len(set(expected)) > 200
    assert got.dtype == np.uint8
    assert got.tolist() == expected


@pytest.mark.parametrize("keep_exact", [False, True])
def test_readout_to_hybrid_codes_goes_through_fp32(keep_exact: bool) -> None:
    scales = [s % 64 - 32 for s in range(len(INTEGERS))]
    got = hif8.readout(as_sum(INTEGERS), scale=scales, rounding="hr", keep_exact=keep_exact)
    expected = [
        paper.encode_hybrid(
            paper.nearest_float32(n * UNIT * Fraction(2) ** s), "float32", keep_exact=keep_exact
        )
        for n, s in zip(INTEGERS, scales, strict=True)
    ]
    assert len(expected) >= 12_000
    assert got.tolist() == expected


@pytest.mark.parametrize("sign", [0, MINUS])
def test_readout_to_codes_at_every_boundary_built_from_products(sign: int) -> None:
    """Half of one value and half of the next are a tie, which 2^-44 more or less decides."""
    pairs = [(low, HALF, high, HALF) for low, high in pairwise(paper.CODES[:-1])]
    pairs.append((LARGEST, paper.encode(Fraction(5, 4)), 0x00, 0x00))
    rows = []
    for x, half_x, y, half_y in pairs:
        for tiny in (0x00, SMALLEST, MINUS | SMALLEST):
            rows.append((x, half_x, y, half_y, tiny, SMALLEST))
    codes = np.array(rows, np.uint8)
    a, b = codes[:, ::2] ^ np.uint8(sign) * (codes[:, ::2] != 0), codes[:, 1::2]
    total = hif8.exact_sum(a, b)
    got = hif8.readout(total, rounding="ta").tolist()
    sums = [paper.exact_sum(x, y)[0] for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert [abs(x) for x in sums[::3]] == paper.BOUNDARIES
    assert got == [paper.encode(x) for x in sums]
    assert len(got) == 3 * 127
    # Through FP32 the lower of the three would often be a tie, and round away.
    assert hif8.encode(hif8.readout(total)).tolist() != got


def test_readout_of_special_sums() -> None:
    total = hif8.exact_sum(
        np.array([[NAN, ONE], [INF, ONE], [MINUS | INF, ONE], [ONE, MINUS | ONE]]), [[ONE, ONE]]
    )
    assert words(hif8.readout(total, scale=5)) == [0x7FC00000, 0x7F800000, 0xFF800000, 0]
    for rounding in ("ta", "hr"):
        codes = hif8.readout(total, rounding=rounding)
        assert codes.tolist() == [NAN, INF, MINUS | INF, 0x00]
        codes = hif8.readout(total, rounding=rounding, saturate=True, nan_to_zero=True)
        assert codes.tolist() == [0x00, LARGEST, MINUS | LARGEST, 0x00]


def test_readout_of_one_sum_is_one_number() -> None:
    total = hif8.exact_sum([ONE, ONE], [ONE, MINUS | LARGEST])
    assert hif8.readout(total) == np.float32(-32767)
    assert type(hif8.readout(total)) is np.float32
    assert hif8.readout(total, scale=[0, 1, 2]).tolist() == [-32767, -65534, -131068]
    assert type(hif8.readout(total, rounding="ta")) is np.uint8


# FP32 accumulators


def near(total: Fraction, rng: np.random.Generator) -> int:
    """Return the word of an accumulator that nearly cancels a sum."""
    word = paper.nearest_float32(-total)
    return word + int(rng.integers(-2, 3)) if 0 < word % 2**31 < 0x7F000000 else word


def hard_beat(lanes: int, rng: np.random.Generator) -> tuple[int, list[int], list[int]]:
    """Return an accumulator and products whose sum is a half way of FP32, or next to one."""
    top = int(rng.integers(-18, 31))
    exponents = [top, top - 24, *rng.integers(-44, top - 22, 30).tolist()][:lanes]
    a, b = (list(column) for column in zip(*map(power, exponents), strict=True))
    for lane in range(1, lanes):
        a[lane] ^= MINUS * int(rng.integers(0, 2))
        if lane > 1 and rng.random() < 0.7:
            a[lane] = 0x00
    total = paper.exact_sum(a, b)[0]
    kind = rng.integers(0, 4)
    if kind == 0:  # the accumulator decides alone, by a trace far below
        word = int(rng.integers(0, 127 + top - 30)) << 23 | int(rng.integers(0, 2**23))
    elif kind == 1:  # a trace just below what 53 bits hold
        word = int(rng.integers(127 + top - 60, 127 + top - 48)) << 23 | int(rng.integers(0, 8))
    elif kind == 2:  # the products decide: the first of them is half a place of the accumulator
        word = 127 + top + 24 << 23 | int(rng.integers(0, 2**23))
    else:
        word = near(total, rng)
    if kind != 3:
        word |= int(rng.integers(0, 2)) << 31
    order = rng.permutation(lanes)
    return word, [a[i] for i in order], [b[i] for i in order]


def beats(lanes: int, count: int) -> list[tuple[int, list[int], list[int]]]:
    """Return accumulators and products: any, finite, small, cancelling, and hard ones."""
    rng = np.random.default_rng(SEED + lanes)
    cases = []
    for i in range(count):
        codes = (np.arange(256), FINITE, SMALL, FINITE)[i % 4]
        a, b = rng.choice(codes, (2, lanes)).tolist()
        word = int(rng.integers(0, 2**32))
        if i % 4 == 3:
            word = near(paper.exact_sum(a, b)[0], rng)
        cases += [(word, a, b), hard_beat(lanes, rng)]
    for word in (
        0,
        2**31,
        1,
        2**31 + 1,
        0x7F7FFFFF,
        0xFF7FFFFF,
        0x7F800000,
        0xFF800000,
        0x7F800001,
    ):
        for code in (0x00, ONE, MINUS | ONE, LARGEST, INF, MINUS | INF, NAN):
            cases.append((word, [code] * lanes, [ONE] * lanes))
            cases.append((word, [code] + [0x00] * (lanes - 1), [LARGEST] * lanes))
    return cases


@pytest.mark.parametrize("lanes", [1, 2, 3, 4, 8, 32])
def test_accumulate_rounds_a_beat_once(lanes: int) -> None:
    cases = beats(lanes, 4_000)
    accs, a, b = (list(column) for column in zip(*cases, strict=True))
    got = words(hif8.accumulate(floats(accs), np.array(a), np.array(b)))
    assert len(got) == len(cases) == 8_126
    expected = [paper.accumulate(*case) for case in cases]
    assert got == expected
    finite = [word for word in expected if word % 2**31 < 0x7F800000]
    assert len(finite) > 6_000
    assert any(0 < word % 2**31 < 0x800000 for word in finite)


def test_accumulate_of_one_product_is_float32_addition() -> None:
    rng = np.random.default_rng(SEED)
    count = 1_000_000
    acc = floats(rng.integers(0, 2**32, count, dtype=np.uint32))
    a, b = rng.integers(0, 256, (2, count), dtype=np.uint8)
    acc[: count // 2] = rng.standard_normal(count // 2) * 2.0 ** rng.integers(-46, 34, count // 2)
    table = [
        paper.ieee_word(paper.product(x, y), "float32") for x in range(256) for y in range(256)
    ]
    product = floats(table).reshape(256, 256)[a, b]
    with np.errstate(invalid="ignore", over="ignore"):
        expected = acc + product
    expected[np.isnan(expected)] = floats([0x7FC00000])[0]
    got = hif8.accumulate(acc, a[:, None], b[:, None])
    np.testing.assert_array_equal(got.view(np.uint32), expected.view(np.uint32))
    assert got.size == count
    # One product beside a zero one is the other way to compute it.
    pair = hif8.accumulate(acc, np.stack([a, 0 * a], 1), np.stack([b, b], 1)[:, ::-1][:, ::-1])
    kept = np.isin(b, FINITE)  # zero times the others is NaN
    np.testing.assert_array_equal(pair[kept].view(np.uint32), expected[kept].view(np.uint32))
    assert kept.sum() > 0.9 * count


def test_accumulate_makes_no_minus_zero() -> None:
    for acc, a in [(-0.0, [0x00]), (-0.0, [0x00] * 3), (1.0, [MINUS | ONE]), (1.0, [0x88, 0x00])]:
        assert words(hif8.accumulate(np.float32(acc), a, [ONE] * len(a))) == [0]
    assert words(hif8.accumulate(np.float32(-0.0), [0x00], [MINUS | ONE])) == [0]
    assert words(hif8.accumulate(np.float32(-0.0), [ONE, MINUS | ONE], [ONE, ONE])) == [0]


# Dot and matrix products

ROWS, TERMS, COLUMNS = 7, 21, 5
MODES = [("exact", 1), ("fp32", 1), *(("fused", lanes) for lanes in (1, 2, 4, 8, 21, 32))]


def operands(specials: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(SEED)
    a, b = rng.choice(FINITE, (ROWS, TERMS)), rng.choice(FINITE, (TERMS, COLUMNS))
    if specials:
        a[1, 3], a[2, 4], a[3, 5], b[6, 1], b[7, 2] = INF, MINUS | INF, NAN, INF, NAN
        a[:, 6] |= 1  # not zero beside the infinity
    return a, b


def one_dot(
    a: list[int], b: list[int], accumulator: str, lanes: int, start: int = 0
) -> paper.Value:
    """Return a dot product by the fractions, before it is scaled and rounded to its format."""
    if accumulator == "exact":
        return paper.exact_sum(a, b)[1]
    word = start
    for k in range(0, len(a), lanes):
        word = paper.accumulate(word, a[k : k + lanes], b[k : k + lanes])
    return paper.ieee_value(word, "float32")


@pytest.mark.parametrize("specials", [False, True])
@pytest.mark.parametrize(("accumulator", "lanes"), MODES)
def test_matmul_is_dot_and_both_are_the_fractions(
    accumulator: str, lanes: int, specials: bool
) -> None:
    a, b = operands(specials)
    options = {"accumulator": accumulator, "lanes": lanes}
    exact = [
        one_dot(row, column, accumulator, lanes) for row in a.tolist() for column in b.T.tolist()
    ]
    scale = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) % 64 - 32
    factors = [Fraction(2) ** s for s in scale.ravel().tolist()]
    scaled = [x * s if isinstance(x, Fraction) else x for x, s in zip(exact, factors, strict=True)]
    nearest = [paper.nearest_float32(x) for x in scaled]
    expected = {
        None: nearest,
        "ta": [paper.encode(x) for x in scaled],
        "hr": [paper.encode_hybrid(word, "float32") for word in nearest],
    }
    assert len(exact) == 35
    for rounding, values in expected.items():
        products = hif8.matmul(a, b, scale=scale, rounding=rounding, **options)
        dots = hif8.dot(a[:, None], b.T, scale=scale, rounding=rounding, **options)
        assert products.shape == dots.shape == (ROWS, COLUMNS)
        for got in (products, dots):
            bits = words(got) if rounding is None else got.ravel().tolist()
            assert bits == values


@pytest.mark.parametrize(("accumulator", "lanes"), MODES[1:])
def test_dot_starts_at_any_initial_value(accumulator: str, lanes: int) -> None:
    a, b = operands(specials=False)
    starts = [0x80000000, 1, 0x7F7FFFFF, 0xFF800000, 0x7F800001, 0x47800000, 0xC0490FDB]
    got = hif8.dot(a, b[:, 0], accumulator=accumulator, lanes=lanes, initial=floats(starts))
    expected = [
        paper.nearest_float32(one_dot(row, b[:, 0].tolist(), accumulator, lanes, start))
        for row, start in zip(a.tolist(), starts, strict=True)
    ]
    assert words(got) == expected
    number = hif8.dot(a, b[:, 0], accumulator=accumulator, lanes=lanes, initial=1)
    array = hif8.dot(a, b[:, 0], accumulator=accumulator, lanes=lanes, initial=np.float32(1))
    assert words(number) == words(array)


def test_scaling_an_fp32_accumulator_is_ieee_subnormals_and_overflow_included() -> None:
    rng = np.random.default_rng(SEED)
    starts = rng.integers(0, 2**32, 5_000, dtype=np.uint32)
    scale = rng.integers(-32, 32, 5_000)
    zero = np.zeros((5_000, 1), np.uint8)
    got = hif8.dot(zero, zero, accumulator="fp32", initial=floats(starts), scale=scale)
    expected = []
    for start, s in zip(starts.tolist(), scale.tolist(), strict=True):
        value = paper.ieee_value(start, "float32")
        expected.append(
            paper.nearest_float32(
                value * Fraction(2) ** s if isinstance(value, Fraction) else value
            )
        )
    assert words(got) == expected
    kinds = [word % 2**31 for word in expected]
    assert any(0 < x < 0x800000 for x in kinds)
    assert kinds.count(0x7F800000) > 100
    codes = hif8.dot(
        zero, zero, accumulator="fp32", initial=floats(starts), scale=scale, rounding="hr"
    )
    assert codes.tolist() == [paper.encode_hybrid(word, "float32") for word in expected]


def test_exact_and_fp32_accumulators_differ_where_they_must() -> None:
    a = np.array([LARGEST, SMALLEST, MINUS | LARGEST], np.uint8)
    b = np.array([LARGEST, SMALLEST, LARGEST], np.uint8)
    assert hif8.dot(a, b) == np.float32(2.0**-44)
    assert hif8.dot(a, b, accumulator="fp32") == 0
    assert hif8.dot(a, b, accumulator="fused", lanes=3) == np.float32(2.0**-44)
    assert hif8.dot(a, b, accumulator="fused", lanes=2) == 0


def test_matmul_of_many_rows_is_that_of_each() -> None:
    rng = np.random.default_rng(SEED)
    a, b = rng.integers(0, 256, (300, 9), np.uint8), rng.integers(0, 256, (9, 400), np.uint8)
    a, b = np.where(rng.random(a.shape) < 0.99, a & 0x5F, a), b & 0x5F  # few specials
    for options in ({}, {"accumulator": "fp32"}, {"accumulator": "fused", "lanes": 4}):
        whole = hif8.matmul(a, b, **options)
        rows = [hif8.matmul(row[None], b, **options)[0] for row in a]
        np.testing.assert_array_equal(whole.view(np.uint32), np.array(rows).view(np.uint32))
        assert np.isnan(whole).any(axis=1).sum() < 100
        assert whole.size == 120_000


def test_matmul_takes_leading_axes_and_odd_layouts() -> None:
    rng = np.random.default_rng(SEED)
    a, b = rng.choice(FINITE, (4, 1, 3, 9)), rng.choice(FINITE, (2, 9, 6))
    for options in ({}, {"accumulator": "fp32"}, {"accumulator": "fused", "lanes": 4}):
        whole = hif8.matmul(a, b, **options)
        assert whole.shape == (4, 2, 3, 6)
        np.testing.assert_array_equal(whole[3, 1], hif8.matmul(a[3, 0], b[1], **options))
        flipped = hif8.matmul(np.asfortranarray(a)[..., ::-1], b[:, ::-1], **options)
        assert flipped.shape == whole.shape
    assert hif8.matmul(np.zeros((0, 4), np.uint8), np.zeros((4, 2), np.uint8)).shape == (0, 2)
    assert hif8.matmul(np.zeros((2, 4), np.uint8), np.zeros((4, 0), np.uint8)).shape == (2, 0)
    assert hif8.dot(np.zeros((0, 4), np.uint8), [ONE] * 4, accumulator="fp32").shape == (0,)


# Refusals


@pytest.mark.parametrize("function", [hif8.exact_sum, hif8.dot])
@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([], [], "a must have 1 to 16777216 products to sum, not 0"),
        (np.zeros((3, 0), np.uint8), [[1]], "a must have 1 to 16777216 products to sum, not 0"),
        ([1, 2], [1, 2, 3], r"a and b must have shapes that broadcast, not \(2,\) and \(3,\)"),
        (1, [1], r"a and b must have an axis to sum over, not \(\) and \(1,\)"),
        ([256], [1], r"a must be in 0\.\.255, not 256"),
        ([1], [-1], r"b must be in 0\.\.255, not -1"),
        (
            np.broadcast_to(np.uint8(1), 2**24 + 1),
            [1],
            "a must have 1 to 16777216 products to sum, not 16777217",
        ),
    ],
)
def test_sums_refuse_operands_that_do_not_fit(
    a: object, b: object, message: str, function: object
) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        function(a, b)


@pytest.mark.parametrize("function", [hif8.exact_sum, hif8.dot, hif8.matmul])
def test_sums_refuse_operands_that_are_no_codes(function: object) -> None:
    for a, b in (([[1.0]], [[1]]), ([[1]], [[1.0]])):
        with pytest.raises(TypeError, match=r"must be integers of dtype uint8, not 'float64'$"):
            function(a, b)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"accumulator": "fp16"}, ValueError, "one of 'exact', 'fp32', 'fused', not 'fp16'"),
        ({"accumulator": "fused", "lanes": 0}, ValueError, r"lanes must be in 1\.\.32, not 0"),
        ({"accumulator": "fused", "lanes": 33}, ValueError, r"lanes must be in 1\.\.32, not 33"),
        ({"lanes": 2.0}, ValueError, r"lanes must be in 1\.\.32, not 2\.0"),
        (
            {"accumulator": "fp32", "lanes": 2},
            ValueError,
            "lanes must be 1 for the fp32 accumulator, not 2",
        ),
        ({"initial": 1.0}, ValueError, r"initial must be 0 for the exact accumulator, not 1\.0"),
        (
            {"accumulator": "fp32", "initial": np.zeros(2)},
            TypeError,
            "initial must be float32, not 'float64'",
        ),
        (
            {"accumulator": "fp32", "initial": np.zeros((2, 2), np.float32), "scale": [0, 1, 2]},
            ValueError,
            "must have shapes that broadcast, not ",
        ),
        ({"scale": 32}, ValueError, r"scale must be in -32\.\.31, not 32"),
        ({"scale": [0, -33]}, ValueError, r"scale must be in -32\.\.31, not -33"),
        ({"scale": 0.5}, TypeError, "scale must be integers, not 'float64'"),
        ({"scale": True}, TypeError, "scale must be integers, not 'bool'"),
        ({"rounding": "te"}, ValueError, "rounding must be 'ta', 'hr' or None, not 'te'"),
        ({"rounding": hif8.Rounding.SR}, ValueError, "must be 'ta', 'hr' or None, not 'sr'"),
        ({"rounding": "up"}, ValueError, "rounding must be one of .*, not 'up'"),
    ],
)
def test_dot_and_matmul_refuse_options(options: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        hif8.dot([ONE, ONE], [ONE, ONE], **options)
    with pytest.raises(error, match=message):
        hif8.matmul([[ONE, ONE]], [[ONE], [ONE]], **options)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([1], [[1]], r"a must have two axes or more, not shape \(1,\)"),
        ([[1]], [1], r"b must have two axes or more, not shape \(1,\)"),
        ([[1, 2]], [[1], [2], [3]], "b must have 2 rows, not 3"),
        (np.zeros((2, 0), int), np.zeros((0, 2), int), "a must have 1 to .* to sum, not 0"),
        (np.ones((2, 1, 1), int), np.ones((3, 1, 1), int), "a and b must have shapes that .*"),
    ],
)
def test_matmul_refuses_shapes_that_do_not_match(a: object, b: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        hif8.matmul(a, b)


@pytest.mark.parametrize(
    ("acc", "a", "error", "message"),
    [
        (np.zeros(1), [[1]], TypeError, "acc must be float32, not 'float64'"),
        (np.zeros(1, np.float16), [[1]], TypeError, "acc must be float32, not 'float16'"),
        ([0], [[1]], TypeError, "acc must be float16, bfloat16, float32 or float64, not 'int64'"),
        (0.0, [1] * 33, ValueError, "a must have 1 to 32 products a beat, not 33"),
        (0.0, [], ValueError, "a must have 1 to 16777216 products to sum, not 0"),
        (
            np.zeros(2, np.float32),
            [[1]] * 3,
            ValueError,
            r"acc and a and b must have shapes that broadcast, not \(2,\) and \(3,\) and \(\)",
        ),
    ],
)
def test_accumulate_refuses(acc: object, a: object, error: type, message: str) -> None:
    with pytest.raises(error, match=f"^{message}$"):
        hif8.accumulate(acc, a, [1])
