# SPDX-License-Identifier: Apache-2.0
"""What the benches of sums feed: vectors of codes, directed at what may go wrong, then random.

Imports `golden` and NumPy. Vectors of one length go in a batch, so that golden takes them at once:
arrays of shape (vectors, beats, columns, lanes). The columns are the copies of the unit, all with
vectors of their own; the lanes are the products of a beat.
"""

from collections.abc import Iterator
from itertools import combinations, combinations_with_replacement, product

import numpy as np
import numpy.typing as npt

from ..golden import format as f
from ..golden.decode import VALUES
from ..golden.encode import encode

Codes = npt.NDArray[np.uint8]
Pair = tuple[Codes, Codes]

FINITE = np.flatnonzero(np.isfinite(VALUES)).astype(np.uint8)
_POSITIVE = np.array([code for code in FINITE if VALUES[code] > 0], np.uint8)
SPECIALS = np.array(
    [f.ZERO, f.NAN, f.INF, f.INF | f.SIGN_BIT, 0x08, 0x88, f.MAX, 0x01, 0x81], np.uint8
)
"""Zero, NaN, infinities, one and minus one, the largest value, the smallest of either sign."""
_ONE = np.uint8(0x08)
_SIGN = np.uint8(f.SIGN_BIT)


def _products() -> dict[int, list[tuple[int, int]]]:
    """Return pairs of positive codes by the exponent of their product's leading bit."""
    pairs: dict[int, list[tuple[int, int]]] = {}
    for a, b in product(_POSITIVE.tolist(), repeat=2):
        exponent = int(np.frexp(VALUES[a] * VALUES[b])[1]) - 1
        pairs.setdefault(exponent, []).append((a, b))
    return dict(sorted(pairs.items()))


BINADES = [
    _POSITIVE[np.frexp(VALUES[_POSITIVE])[1] - 1 == exponent]
    for exponent in range(f.MIN_EXPONENT, f.MAX_EXPONENT + 1)
]
"""The positive codes of every exponent, -22 to 15."""
PRODUCTS = _products()
"""All pairs of positive codes, by the exponents -44 to 30 of their products."""
POWERS = {
    exponent: next(pair for pair in pairs if np.prod(VALUES[list(pair)]) == 2.0**exponent)
    for exponent, pairs in PRODUCTS.items()
}
"""A pair of positive codes whose product is two to the exponent."""


def random_codes(rng: np.random.Generator, shape: tuple[int, ...]) -> Codes:
    """Draw codes: for each of the first axis all codes, finite ones, or codes near one."""
    draws = (
        lambda size: rng.integers(0, 256, size, np.uint8),
        lambda size: FINITE[rng.integers(0, len(FINITE), size, np.uint8)],
        lambda size: encode(rng.standard_normal(size, np.float32)),
    )
    codes = np.empty(shape, np.uint8)
    kinds = rng.choice(3, shape[0], p=(0.2, 0.3, 0.5))
    for kind, draw in enumerate(draws):
        chosen = np.flatnonzero(kinds == kind)
        codes[chosen] = draw((len(chosen), *shape[1:]))
    return codes


def exponent_pairs(rng: np.random.Generator) -> Iterator[Pair]:
    """Yield vectors of two products, for every two exponents, of equal and of opposite signs."""
    exponents = list(PRODUCTS)
    for negate in (0, f.SIGN_BIT):
        rows = []
        for high, low in product(exponents, repeat=2):
            (a, b), (c, d) = (PRODUCTS[e][rng.integers(len(PRODUCTS[e]))] for e in (high, low))
            rows.append(((a, c), (b, d | negate)))
        both = np.array(rows, np.uint8)
        yield both[:, 0], both[:, 1]


def cancellations(rng: np.random.Generator) -> Iterator[Pair]:
    """Yield vectors whose products cancel: to nothing, and to the smallest product of all."""
    for rest in (0, 1):
        x, y = rng.choice(_POSITIVE, (2, 600))
        tiny = np.full(600, rest, np.uint8)
        yield (
            np.stack([x, y, y | _SIGN, x | _SIGN, tiny], axis=1),
            np.stack([y, y, y, y, tiny], axis=1),
        )


def carries(rng: np.random.Generator) -> Pair:
    """Return vectors whose sums are runs of ones, from any exponent to any, of either sign.

    The third product's bit falls into the run, so that a carry goes from there to the run's end.
    """
    rows = []
    for high, low in combinations(reversed(PRODUCTS), 2):
        into = int(rng.integers(low, high))
        a, b = np.array([POWERS[exponent] for exponent in (high, low, into)], np.uint8).T
        rows += [(a | _SIGN * np.uint8(signs), b) for signs in ((0, 1, 0), (1, 0, 1))]
    both = np.array(rows, np.uint8)
    return both[:, 0], both[:, 1]


def overflows(rng: np.random.Generator) -> Iterator[Pair]:
    """Yield vectors whose sums outgrow a product to a run of ones, through which a carry then goes.

    Of two to the k of the largest products, of either sign, as one more makes a carry of k bits
    above a product's; what is subtracted first, and added then, lets it come from any bit below.
    """
    low, high = min(PRODUCTS), max(PRODUCTS)
    for k in range(1, 7):
        rows = []
        for sign in range(2):
            for _ in range(32):
                lowest = int(rng.integers(low, high - 1))
                into = int(rng.integers(lowest, high))
                powers = [POWERS[high]] * (1 << k) + [POWERS[lowest], POWERS[into]]
                a, b = np.array(powers, np.uint8).T
                minus = np.full(len(a), sign, np.uint8)
                minus[-2] ^= 1
                rows.append((a | minus * _SIGN, b))
        both = np.array(rows, np.uint8)
        yield both[:, 0], both[:, 1]


def alternations() -> Iterator[Pair]:
    """Yield the largest and the smallest product in turn, of all signs; sums that cross zero."""
    for first, second in product((0, f.SIGN_BIT), repeat=2):
        a = np.tile(np.uint8([f.MAX | first, 1 | second]), 32)
        yield a[None], np.tile(np.uint8([f.MAX, 1]), 32)[None]
    crossing = np.tile(np.uint8([0x01, 0x81, 0x81, 0x01]), 16)
    yield crossing[None], np.full((1, 64), 1, np.uint8)
    yield (crossing ^ np.uint8(0x6F))[None], np.full((1, 64), f.MAX, np.uint8)


def specials() -> Iterator[Pair]:
    """Yield all pairs of products of special codes, one after the other, and a one after them."""
    pairs = np.array(list(product(SPECIALS, repeat=2)), np.uint8)
    i, j = np.divmod(np.arange(len(pairs) ** 2), len(pairs))
    one = np.full(i.size, _ONE)
    yield (
        np.stack([pairs[i, 0], pairs[j, 0], one], axis=1),
        np.stack([pairs[i, 1], pairs[j, 1], one], axis=1),
    )


def rounding_patterns(rng: np.random.Generator) -> tuple[Pair, npt.NDArray[np.uint32]]:
    """Return single products and FP32 words to add them to: every distance, ties and beside.

    For distances of -40 to 40 between the exponents, with every significand that a product may
    have: so its last bits fall on the guard bit and below, at every place.
    """
    ones = [code for code in _POSITIVE if 1 <= VALUES[code] < 2]
    rows, words = [], []
    pairs = list(combinations_with_replacement(ones, 2))
    for distance, (a, b), fraction, signs in product(
        range(-40, 41), pairs, (0, 0x7FFFFF), range(4)
    ):
        exponent = f.FP32.bias + distance + int(VALUES[a] * VALUES[b] >= 2)
        rows.append((a | (signs & 1) << 7, b))
        words.append((signs >> 1) << 31 | exponent << 23 | fraction ^ int(rng.integers(4)))
    both = np.array(rows, np.uint8)
    return (both[:, :1], both[:, 1:]), np.array(words, np.uint32)


def rounding_runs(rng: np.random.Generator) -> tuple[Pair, npt.NDArray[np.uint32]]:
    """Return single products and FP32 words whose sums end in runs of equal bits, then are rounded.

    For every distance of -4 to 28 of the product below the word, every length of a run at the end
    of the word's fraction, ones or zeros, under nothing, all ones or anything, added or subtracted:
    so what rounds up, or is borrowed, goes through every run, to its end or out of the word. Half
    of the products are powers of two, ties then.
    """
    rows, words = [], []
    fractions = (0, (1 << 23) - 1, None)
    for distance, length, ones, above, minus in product(
        range(-4, 29), range(24), (0, 1), fractions, (0, 1)
    ):
        sign, power = (int(bit) for bit in rng.integers(2, size=2))
        exponent = int(rng.integers(max(-44 + distance, -40), min(30 + distance, 40) + 1))
        run = (1 << length) - 1
        fraction = int(rng.integers(1 << 23)) if above is None else above
        fraction = (fraction | run) ^ (0 if ones else run)
        pairs = PRODUCTS[exponent - distance]
        a, b = POWERS[exponent - distance] if power else pairs[rng.integers(len(pairs))]
        rows.append((a | (sign ^ minus) << 7, b))
        words.append(sign << 31 | (f.FP32.bias + exponent) << 23 | fraction)
    both = np.array(rows, np.uint8)
    return (both[:, :1], both[:, 1:]), np.array(words, np.uint32)


def broken_ties(rng: np.random.Generator) -> tuple[Pair, npt.NDArray[np.uint32]]:
    """Return four products for one beat, and the word to add them to: a tie, and what breaks it.

    A power of two, its last bit or none, half of that, and a push up or down, so that a tie that
    goes down alone is pushed up, and one that goes up is pushed down. For every two exponents of
    tie and push in the products, the rest in the word; where it can be, all in the products; and
    for every tie a push in the word, by any of the 60 exponents below, by one far below those, and
    by none, a word of zero. Then a larger product that the word takes away again, so that what is
    left is shifted to the front; a word above a product above the tie, at every two distances, so
    that the push is shifted with the product; and a word that is a power of two, above a tie in the
    binade below.
    """
    last, none = f.FP32.fraction_width, (f.ZERO, f.ZERO)
    rows, words = [], []

    def word(exponent: int, fraction: int, sign: int) -> int:
        return sign << 31 | f.FP32.bias + exponent << 23 | fraction

    def add(tie: int, push: int, odd: int, where: str, below: int = 0) -> None:
        sign = int(rng.integers(2))
        high, against = tie + last + 1, sign ^ odd
        powers = [high, high - last if odd else None, tie, push]
        minus = [sign, sign, sign, against]
        if where == "cancelled":
            powers[1] = int(rng.integers(high, max(PRODUCTS))) + 1
        if where == "high":
            powers[:2] = None, None
            words.append(word(high, odd, sign))
        elif where == "push":
            powers[3] = None
            words.append(word(push, 0, against))
        elif where == "alone":
            powers[3] = None
            words.append(sign << 31)
        elif where == "cancelled":
            words.append(word(powers[1], 0, 1 - sign))
        elif where == "above":
            powers[:2] = high - below, None
            minus[0] = int(rng.integers(2))
            words.append(word(high, 1 << last - 1 | odd, sign))
        elif where == "binade":
            powers[:2] = None, None
            minus[2:] = 1 - sign, 1 - sign
            words.append(word(high + 1, 0, sign))
        else:
            words.append(0)
        pairs = [none if power is None else POWERS[power] for power in powers]
        signed = zip(pairs, minus, strict=True)
        rows.append([(a | negative * f.SIGN_BIT if a else a, b) for (a, b), negative in signed])

    for push, tie in combinations(PRODUCTS, 2):
        add(tie, push, int(rng.integers(2)), "high")
    fitting = [tie for tie in PRODUCTS if tie + last + 1 <= max(PRODUCTS)]
    for tie, odd in product(fitting, (0, 1)):
        for push in range(min(PRODUCTS), tie):
            add(tie, push, odd, "")
    for tie, below in product(fitting, range(1, 61)):
        add(tie, tie - below, int(rng.integers(2)), "push")
    for tie, odd in product(fitting, (0, 1)):
        add(tie, int(rng.integers(1 - f.FP32.bias, tie - 60)), odd, "push")
        add(tie, min(PRODUCTS), odd, "alone")
    for tie in fitting[:-1]:
        for push in range(min(PRODUCTS), tie):
            add(tie, push, 0, "cancelled")
    low, most = min(PRODUCTS), max(PRODUCTS)
    for below in range(1, last + 1):
        highest = most - (last + 1 - below)
        for gap in range(1, highest - low + 1):
            tie = int(rng.integers(low + gap, highest + 1))
            add(tie, tie - gap, int(rng.integers(2)), "above", below)
    for gap in range(1, most - low + 1):
        tie = int(rng.integers(low + gap, most + 1))
        add(tie, tie - gap, 0, "binade")
    both = np.array(rows, np.uint8)
    return (both[..., 0], both[..., 1]), np.array(words, np.uint32)


def remainders(rng: np.random.Generator) -> tuple[Pair, npt.NDArray[np.uint32]]:
    """Return three products for one beat, and a word that takes one of them away again.

    For every two exponents of the first, a power of two, and of the second, any product there, each
    is taken once. Without the first, what is left begins at any bit of the sum; the third product
    is then any as large as the second or smaller. Without the second, of a sign of its own, and
    with no third, a carry or a borrow has gone through all bits between the two.
    """
    rows, words = [], []
    for (low, high), taken in product(combinations(PRODUCTS, 2), (0, 1)):
        third = int(rng.integers(min(PRODUCTS), low + 1))
        rest = [PRODUCTS[e][rng.integers(len(PRODUCTS[e]))] for e in (low, third)]
        pairs = [POWERS[high], rest[0], (f.ZERO, f.ZERO) if taken else rest[1]]
        signs = rng.integers(2, size=3) * f.SIGN_BIT
        value = np.float32(np.prod(VALUES[list(pairs[taken])]))
        words.append(int(value.view(np.uint32)) | (0 if signs[taken] else 1 << 31))
        rows.append(
            [(a | minus if a else a, b) for minus, (a, b) in zip(signs, pairs, strict=True)]
        )
    both = np.array(rows, np.uint8)
    return (both[..., 0], both[..., 1]), np.array(words, np.uint32)


def lone_bits() -> tuple[Pair, npt.NDArray[np.uint32]]:
    """Return the product zero, and FP32 words to add it to in which one bit makes the difference.

    Of either sign: none is zero, none of one bit above infinity is anything but NaN, and none with
    one bit of infinity's missing is NaN.
    """
    inf, fraction = f.FP32.inf_bits, (1 << f.FP32.fraction_width) - 1
    lone = [1 << bit for bit in range(31)]
    beside = [inf | bit if bit <= fraction else inf ^ bit | fraction for bit in lone]
    words = [sign << 31 | word for sign in (0, 1) for word in lone + beside]
    zeros = np.zeros((len(words), 1), np.uint8)
    return (zeros, zeros), np.array(words, np.uint32)


def random_words(rng: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.uint32]:
    """Draw FP32 words to start from: any, near the products, subnormal, and special ones."""
    near = rng.standard_normal(shape) * np.exp2(rng.integers(-60, 60, shape))
    special = np.array(
        [0, 0x80000000, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFF800001, 0x7F7FFFFF, 0x00800000],
        np.uint32,
    )
    draws = np.array(
        [
            rng.integers(0, 1 << 32, shape, np.uint32),
            near.astype(np.float32).view(np.uint32),
            rng.integers(0, 1 << 23, shape, np.uint32) | rng.integers(0, 2, shape, np.uint32) << 31,
            rng.choice(special, shape),
        ]
    )
    return np.take_along_axis(draws, rng.choice(4, (1, *shape), p=(0.2, 0.6, 0.1, 0.1)), axis=0)[0]


def packed(
    high: npt.NDArray[np.int64],
    low: npt.NDArray[np.uint64] | npt.NDArray[np.int64],
    dtype: np.dtype,
) -> npt.NDArray[np.void]:
    """Return integers of 128 bits, given in halves, as words of fewer bytes that hold them."""
    halves = np.stack([low.view(np.uint64), high.view(np.uint64)], axis=-1).astype("<u8")
    cut = halves.view(np.uint8)[..., : dtype.itemsize]
    return np.ascontiguousarray(cut).view(dtype)[..., 0]


def unpacked(words: npt.NDArray[np.void]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """Return the halves, the higher first, of signed integers in words of some bytes."""
    raw = words.view(np.uint8).reshape(words.size, -1)
    full = np.repeat(-(raw[:, -1:] >> 7), 16, axis=1)
    full[:, : raw.shape[1]] = raw
    halves = full.view("<u8").astype(np.uint64)
    return halves[:, 1].astype(np.int64), halves[:, 0]
