# SPDX-License-Identifier: Apache-2.0
"""Vectors of products, and of beats with their sums, for benches of multipliers and MACs.

Imports `golden.accumulate`, `arithmetic`, `encode`, `format`, `matmul` and `vectors`, whose files
these resemble. What is drawn comes from a fixed sequence of bits, the same under every NumPy.
"""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from . import format as f
from .accumulate import exact_sum
from .arithmetic import multiply_fields
from .encode import encode
from .matmul import dot
from .vectors import Column, lay_out

LENGTHS = (1, 2, 3, 5, 8, 16, 33, 64)
"""Beats of the drawn vectors."""
_EACH = 24
"""Drawn vectors of each length."""
_INFS = (f.INF, f.SIGN_BIT | f.INF)
_ONE, _LEAST = int(encode(np.float32(1))), int(encode(np.float32(2.0**f.MIN_EXPONENT)))
_CODES = (f.ZERO, f.NAN, *_INFS, *(s | m for m in (_ONE, _LEAST, f.MAX) for s in (0, f.SIGN_BIT)))
_PAIRS = ((f.ZERO, _ONE), (f.NAN, _ONE), *((inf, _ONE) for inf in _INFS), (f.INF, f.ZERO))
_PAIRS += tuple((s | m, m) for m in (_ONE, _LEAST, f.MAX) for s in (0, f.SIGN_BIT))
"""Products of every kind."""


class Vector(NamedTuple):
    """One sum of products.

    Attributes
    ----------
    a, b : numpy.ndarray of uint8
        Codes, one a beat.
    acc : int
        The FP32 word that the FP32 sum begins at; the exact one begins at 0.
    """

    a: npt.NDArray[np.uint8]
    b: npt.NDArray[np.uint8]
    acc: int


class Sequence:
    """Bits that look random and are the same everywhere (splitmix64, counted from 1)."""

    def __init__(self) -> None:
        self._taken = 0

    def draw(self, size: int) -> npt.NDArray[np.uint64]:
        """Return the next words of 64 bits."""
        index = np.arange(self._taken + 1, self._taken + 1 + size, dtype=np.uint64)
        self._taken += size
        bits = index * np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            bits = (bits ^ bits >> np.uint64(shift)) * np.uint64(factor)
        return bits ^ bits >> np.uint64(31)


def texts() -> dict[str, str]:
    """Return the content of every file under its name."""
    return {"multiply.hex": _multiply_text(), "mac.hex": _mac_text()}


def _multiply_text() -> str:
    """Return the fields of the product of every pair of codes."""
    codes = np.arange(1 << f.WIDTH, dtype=np.uint8)
    a, b = np.repeat(codes, codes.size), np.tile(codes, codes.size)
    fields = multiply_fields(a, b)
    columns = [
        Column("a", 8, "an HiF8 code"),
        Column("b", 8, "another; product = (-1)^sign significand 2^(exponent - 6)"),
        Column("sign", 4, "0 or 1; 0 for zero and NaN"),
        Column("exponent", 8, "two's complement"),
        Column("significand", 8, "0 for zero and NaN"),
        *(Column(flag, 4, "0 or 1") for flag in ("inf", "nan")),
    ]
    numbers = [a, b, fields.sign, fields.exponent.view(np.uint8), *fields[2:]]
    rows = list(zip(*(column.astype(int).tolist() for column in numbers), strict=True))
    return lay_out("products", columns, [("every pair", rows)])


def _mac_text() -> str:
    """Return beats of vectors, and what the sums are, exact and in FP32."""
    columns = [
        Column("a", 8, "an HiF8 code"),
        Column("b", 8, "another"),
        Column("marks", 4, "1: the first beat of a vector, 2: the last, 3: both"),
        Column("acc", 32, "the FP32 word that the FP32 sum begins at; anything after the first"),
        Column(
            "fp32",
            32,
            "the FP32 sum, rounded to nearest even after every product; 0 before the last",
        ),
        Column("exact", 96, "the exact sum in units of 2^-44, two's complement; 0 likewise"),
        Column(
            "flags", 4, "of the exact sum: 1 NaN, 2 plus infinity, 4 minus infinity; 0 likewise"
        ),
    ]
    drawn = Sequence()
    sections = {
        "every product of special codes, from every special word": _singles(),
        "two products of every kind": _doubles(),
        "drawn finite codes": list(_drawn(drawn, finite=True)),
        "drawn codes, the special ones too": list(_drawn(drawn, finite=False)),
    }
    filled = [
        (name, [row for vector in vectors for row in _beats(vector, drawn)])
        for name, vectors in sections.items()
    ]
    return lay_out("sums of products", columns, filled)


def _singles() -> list[Vector]:
    """Return vectors of one product."""
    top = f.FP32.inf_bits
    words = [0, 1, top - 1, top, f.FP32.nan_bits, f.FP32.bias << f.FP32.fraction_width]
    signed = [*words, *(1 << f.FP32.width - 1 | word for word in words)]
    return [
        Vector(np.uint8([a]), np.uint8([b]), acc)
        for (a, b), acc in product(product(_CODES, _CODES), signed)
    ]


def _doubles() -> list[Vector]:
    """Return vectors of two products."""
    return [Vector(*np.uint8(pairs).T, 0) for pairs in product(_PAIRS, _PAIRS)]


def _drawn(bits: Sequence, *, finite: bool) -> Iterator[Vector]:
    """Yield vectors of drawn codes, from FP32 words in the range of the products."""
    for length in (n for n in LENGTHS for _ in range(_EACH)):
        a, b = (_codes(bits.draw(length), finite) for _ in range(2))
        word = int(bits.draw(1)[0])
        exponent = f.FP32.bias - 44 + (word >> 32) % 80
        kept = word & ((1 << f.FP32.width - 1) | (1 << f.FP32.fraction_width) - 1)
        yield Vector(a, b, kept | exponent << f.FP32.fraction_width)


def _codes(bits: npt.NDArray[np.uint64], finite: bool) -> npt.NDArray[np.uint8]:
    """Return drawn bits as codes; the largest in place of those that are not finite."""
    codes = (bits >> np.uint64(56)).astype(np.uint8)
    infinite = (codes & ~np.uint8(f.SIGN_BIT)) == f.INF
    return np.where(finite & (infinite | (codes == f.NAN)), np.uint8(f.MAX), codes)


def _beats(vector: Vector, bits: Sequence) -> Iterator[tuple[int, ...]]:
    """Yield a vector's rows: its beats, the last with the sums."""
    last = len(vector.a) - 1
    start = np.array(vector.acc, np.uint32).view(np.float32)
    total = exact_sum(vector.a, vector.b)
    flags = sum(int(flag) << k for k, flag in enumerate(total[2:]))
    word = dot(vector.a, vector.b, accumulator="fp32", initial=start).view(np.uint32)
    sums = int(word), int(total.integers) % (1 << 96), flags
    acc = [vector.acc, *(bits.draw(last) >> np.uint64(32)).tolist()]
    for k, (a, b) in enumerate(zip(vector.a.tolist(), vector.b.tolist(), strict=True)):
        marks = int(k == 0) | int(k == last) << 1
        yield a, b, marks, acc[k], *(sums if k == last else (0, 0, 0))
