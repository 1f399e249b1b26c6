# SPDX-License-Identifier: Apache-2.0
"""Sums of products of HiF8 codes: exact ones, and FP32 accumulators.

Imports `golden.format`, `decode`, `encode` and `rounding`. Every product is an integer times 2^-44,
so a sum of products is one too: `ExactSum` holds it in 128 bits, whatever the order.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from . import format as f
from .decode import VALUES, as_codes
from .encode import as_floats, encode
from .rounding import Rounding

UNIT_EXPONENT = 2 * f.MIN_EXPONENT
"""-44: the last place of an exact sum, and the exponent of the smallest product."""
MAX_TERMS = 1 << 24
"""The most products in one sum: an int64 holds 38 bits of each, were each a block of its own."""
MAX_LANES = 32
"""The most products that an FP32 accumulator takes in one beat."""
SCALES = range(-32, 32)
"""The exponents of the scales at read-out."""

# A finite value is an integer n times 2^-22, |n| <= 2^37. It is cut into two slices of its own
# sign, n = u * 2^19 + l, so |u| <= 2^18 and |l| < 2^19. Of a sum of products there are then
#     sum(u u') * 2^38 + (sum((u + l) (u' + l')) - sum(u u') - sum(l l')) * 2^19 + sum(l l').
# n has four significant bits, so u is 0, or l is 0, or |u| < 8: |u + l| < 2^19 + 8. Each of the
# three sums has terms below 2^38 + 2^24 in magnitude, and over 2^14 of them is an integer below
# 2^53, as is every part of it. So float64 holds whatever a matrix product adds up on the way, with
# fused operations or without, and the order in which BLAS goes does not matter.
_SLICE = 19
_SLICE_MASK = (1 << _SLICE) - 1
_DIGIT_MASK = (1 << 48) - 1
_BLOCK_TERMS = 1 << 14
TILE = 1 << 15
"""Elements of a result that are handled at a time, so that temporaries stay in the cache."""
_BLOCK_CODES = 1 << 22
"""Codes that are sliced at a time, so that the slices stay small beside a large operand."""

_UNITS = np.ldexp(np.where(np.isfinite(VALUES), VALUES, 0.0), -f.MIN_EXPONENT)
_UPPER = np.trunc(np.ldexp(_UNITS, -_SLICE))
_LOWER = _UNITS - np.ldexp(_UPPER, _SLICE)

_FP32_VALUES = VALUES.astype(np.float32)
_SIGN = np.where(np.isnan(VALUES), 0, np.sign(VALUES)).astype(np.float32)
_INFINITE = np.where(np.isinf(VALUES), _SIGN, np.float32(0))
_ZERO = (VALUES == 0).astype(np.float32)


class ExactSum(NamedTuple):
    """Exact sums of products; all arrays of one shape.

    Attributes
    ----------
    high : numpy.ndarray of int64
        Bits 127 to 64 of the sum of the finite products, in two's complement, in units of 2^-44.
    low : numpy.ndarray of uint64
        Bits 63 to 0. Infinite and NaN products add nothing to either.
    nan, plus_inf, minus_inf : numpy.ndarray of bool
        What the sum is, if it is no finite number; at most one of the three. NaN if a product is
        NaN, or if there are infinite ones of both signs.
    """

    high: npt.NDArray[np.int64]
    low: npt.NDArray[np.uint64]
    nan: npt.NDArray[np.bool_]
    plus_inf: npt.NDArray[np.bool_]
    minus_inf: npt.NDArray[np.bool_]

    @property
    def integers(self) -> npt.NDArray[np.object_]:
        """The sums of the finite products as Python integers, in units of 2^-44."""
        return self.high.astype(object) * (1 << 64) + self.low.astype(object)

    @property
    def special(self) -> npt.NDArray[np.float32]:
        """What to add to a finite number for the flags to show: NaN, an infinity or 0."""
        if not any(flag.any() for flag in self[2:]):
            return np.zeros(np.shape(self.high), np.float32)
        sign = self.plus_inf.astype(np.float32) - self.minus_inf
        special = np.where(sign == 0, np.float32(0), np.copysign(np.float32(np.inf), sign))
        return np.where(self.nan, np.float32(np.nan), special)


def exact_sum(a: npt.ArrayLike, b: npt.ArrayLike) -> ExactSum:
    """Sum the products of HiF8 codes over the last axis, exactly.

    Parameters
    ----------
    a, b : array_like of uint8
        Codes; shapes broadcast. Up to 2^24 of them on the last axis; the hardware is built for
        2^20.

    Returns
    -------
    ExactSum
        Arrays of the broadcast shape without its last axis.

    Raises
    ------
    TypeError
        If `a` or `b` are not integers.
    ValueError
        If a code is outside 0..255, the shapes do not broadcast, or the last axis has no codes or
        too many.
    """
    return ExactSum(*(x[..., 0, 0] for x in sum_matrix(*rows_and_columns(a, b))))


def readout(
    total: ExactSum,
    *,
    scale: npt.ArrayLike = 0,
    rounding: Rounding | str | None = None,
    saturate: bool = False,
    nan_to_zero: bool = False,
    keep_exact: bool = False,
) -> np.ndarray:
    """Round exact sums, times a power of two, to FP32 or to HiF8.

    Parameters
    ----------
    total : ExactSum
        The sums.
    scale : int or array_like of int
        Exponents s of the factors 2^s, -32 to 31; the shape broadcasts with that of the sums.
    rounding : Rounding or str, optional
        TA gives codes, the exact value rounded once. HR gives codes through FP32, because it is
        defined on the low bits of that. None gives FP32, to nearest, ties to even.
    saturate, nan_to_zero, keep_exact : bool
        As for `encode`; FP32 results have no use for them.

    Returns
    -------
    numpy.ndarray of float32 or uint8
        NaN is 0x7FC00000 in FP32; a zero sum is +0.

    Raises
    ------
    TypeError
        If `scale` is not of integers.
    ValueError
        If a scale is out of range or does not broadcast, or `rounding` is another mode.
    """
    finish = Finish.checked(scale, rounding, saturate, nan_to_zero, keep_exact)
    shape = common_shape(scale=finish.scale.shape, sums=np.shape(total.high))
    parts = [np.broadcast_to(part, shape).reshape(-1) for part in (finish.scale, *total)]
    out = np.empty(parts[0].shape, finish.dtype)
    for start in range(0, out.size, TILE):
        exponents, *tile = (part[start : start + TILE] for part in parts)
        out[start : start + TILE] = finish.apply(_round_to_odd(ExactSum(*tile)), exponents)
    return out.reshape(shape)[()]


def accumulate(
    acc: npt.ArrayLike, a: npt.ArrayLike, b: npt.ArrayLike
) -> npt.NDArray[np.float32] | np.float32:
    """Add sums of products to FP32 accumulators: one beat, with one rounding.

    Parameters
    ----------
    acc : array_like of float32
        Accumulators, any values. A Python number is rounded to FP32.
    a, b : array_like of uint8
        Codes, with one axis more than `acc`, the last: the products to be added at once, 1 to 32.
        Shapes broadcast.

    Returns
    -------
    numpy.ndarray of float32
        The exact sums of the products and `acc`, rounded to nearest, ties to even. NaN is
        0x7FC00000; a zero sum is +0, for a zero product and a zero sum of products are.

    Raises
    ------
    TypeError
        If `acc` is not float32, or `a` or `b` are not integers.
    ValueError
        If a code is outside 0..255, the shapes do not broadcast, or there are too many products.
    """
    acc = as_accumulator(acc, "acc")
    left, right = rows_and_columns(a, b)
    lanes = left.shape[-1]
    if lanes > MAX_LANES:
        raise ValueError(f"a must have 1 to {MAX_LANES} products a beat, not {lanes}")
    common_shape(acc=acc.shape, a=left.shape[:-2], b=right.shape[:-2])
    return canonical(add_beat(acc[..., None, None], left, right))[..., 0, 0]


def add_beat(
    acc: npt.NDArray[np.float32], a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float32]:
    """Add a matrix product of codes, its few products per element at once, to FP32 accumulators.

    As `accumulate`, but no accumulator is -0, and NaN may have any sign and payload.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if a.shape[-1] == 1:
            return acc + _FP32_VALUES[a] * _FP32_VALUES[b]
        total = sum_matrix(a, b)
        special = acc + total.special
        return np.where(np.isfinite(special), _add_rounded(acc, total), special)


def sum_matrix(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> ExactSum:
    """Return the exact matrix product of codes, of shapes (..., M, K) and (..., K, N)."""
    rows, terms, columns = a.shape[-2], a.shape[-1], b.shape[-1]
    shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), rows, columns)
    upper, lower = np.zeros((2, *shape), np.int64)  # the sums are upper * 2^38 + lower
    nan, plus, minus = np.zeros((3, *shape), np.bool_)
    block = min(_BLOCK_TERMS, max(1, _BLOCK_CODES * terms // max(1, a.size + b.size)))
    for k in range(0, terms, block):
        right = b[..., k : k + block, :]
        right_slices, right_special = _slices(right), _has_special(right)
        for row in row_tiles(shape):
            left = a[..., row, k : k + block]
            top, digits = _digits(_slices(left), right_slices)
            upper[..., row, :] += top
            lower[..., row, :] += digits
            if right_special or _has_special(left):
                for flag, found in zip((nan, plus, minus), _flags(left, right), strict=True):
                    flag[..., row, :] |= found
    for row in row_tiles(shape):
        u, t = upper[..., row, :], lower[..., row, :]
        u += t >> 2 * _SLICE
        t &= (1 << 2 * _SLICE) - 1
        t |= u << 2 * _SLICE
        u >>= 64 - 2 * _SLICE
    nan |= plus & minus
    return ExactSum(upper, lower.view(np.uint64), nan, plus & ~nan, minus & ~nan)


def row_tiles(shape: tuple[int, ...]) -> Iterator[slice]:
    """Cut the rows of a matrix product's result into parts of `TILE` elements or one row."""
    step = max(1, TILE * shape[-2] // max(1, math.prod(shape)))
    return (slice(row, row + step) for row in range(0, shape[-2], step))


def _digits(
    a: tuple[npt.NDArray[np.float64], ...], b: tuple[npt.NDArray[np.float64], ...]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the matrix product of sliced operands: what is above its 38 low bits, and those."""
    top, bottom, cross = (np.matmul(x, y).astype(np.int64) for x, y in zip(a, b, strict=True))
    cross -= top
    cross -= bottom
    cross += bottom >> _SLICE
    top += cross >> _SLICE
    cross &= _SLICE_MASK
    cross <<= _SLICE
    bottom &= _SLICE_MASK
    bottom |= cross
    return top, bottom


def _slices(
    codes: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the upper slices of codes, the lower ones, and the sums of the two."""
    index = codes.astype(np.intp)  # NumPy is faster with it
    upper, lower = _UPPER[index], _LOWER[index]
    return upper, lower, upper + lower


def _has_special(codes: npt.NDArray[np.uint8]) -> bool:
    """Tell whether there is an infinity or a NaN."""
    return bool(((codes & ~np.uint8(f.SIGN_BIT)) == f.INF).any() or (codes == f.NAN).any())


def _flags(
    a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Tell where a product is NaN, plus and minus infinity, in one block of a matrix product.

    Products are counted as sums of ones, which float32 holds exactly.
    """

    def count(x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.matmul(x[a], y[b]) + np.matmul(y[a], x[b])

    undefined = count(np.abs(_INFINITE), _ZERO)
    signed, unsigned = count(_INFINITE, _SIGN), count(np.abs(_INFINITE), np.abs(_SIGN))
    nan = (a == f.NAN).any(axis=-1)[..., :, None] | (b == f.NAN).any(axis=-2)[..., None, :]
    return nan | (undefined > 0), unsigned + signed > 0, unsigned - signed > 0


def _two_sum(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the sum rounded to nearest, and what it lacks (Knuth's TwoSum, exact)."""
    total = x + y
    part = total - x
    return total, (x - (total - part)) + (y - part)


def add_odd(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the sum rounded to odd: exact, or of its two neighbours the one that ends in a 1.

    Rounded again, to 51 bits or fewer, it gives what the exact sum gives: its last bit says that
    there was more, and on which side of every shorter number and of every half way it lay.
    """
    total, rest = _two_sum(x, y)
    words = total.view(np.int64)
    away = (words ^ rest.view(np.int64)) >> 63 | 1  # 1 if what is lacking has the sum's sign, or -1
    return (words + away * ((rest != 0) & ~words)).view(np.float64)


def _round_to_odd(total: ExactSum) -> npt.NDArray[np.float64]:
    """Return sums rounded to odd, in FP64, specials too.

    Its 53 bits suffice to round again: FP32 has 24, and TA needs the 16 leading bits of an FP64.
    """
    # Three digits of 48 bits, the highest with the sign, and upper + middle = h + t. If t is 0,
    # only the last addition rounds. If not, t is a multiple of 2^48, more than lower, and at most
    # half the way from h to its neighbour on that side. So t + lower, rounded to nearest or not,
    # ends between the two; and wherever that is, the odd one of them is the answer.
    low = total.low.view(np.int64)
    upper = (total.high >> 32) * 2.0 ** (UNIT_EXPONENT + 96)
    middle = (low >> 48 & 0xFFFF | total.high << 16 & _DIGIT_MASK) * 2.0 ** (UNIT_EXPONENT + 48)
    lower = (low & _DIGIT_MASK) * 2.0**UNIT_EXPONENT
    h, t = _two_sum(upper, middle)
    return add_odd(h, t + lower) + total.special


def _add_rounded(acc: npt.NDArray[np.float32], total: ExactSum) -> npt.NDArray[np.float32]:
    """Return the sum of finite FP32 numbers and a beat's finite sums, rounded once.

    Notes
    -----
    A beat's sum is below 2^81 units: two parts of float64 hold it, and TwoSum turns them into h + t
    with t at most half an ulp of h. It also gives acc + h = s + e, e at most half an ulp u of s.
    If t or e is 0, the last addition is the only one that rounds, to odd, and `astype` rounds that
    to FP32 as it would the exact sum. If neither is, acc and h did not cancel (a difference of
    numbers within a factor of two is exact), so |s| >= |h| / 2, |t| <= u and |e + t| <= 1.5 u.
    Rounded to odd, e + t stays on its side of 0, u and -u; and whatever FP32 rounding may turn on,
    the values and the half ways near s, are multiples of u.
    """
    low = total.low.view(np.int64)
    upper = total.high << 32 | (low >> 32 & 0xFFFFFFFF)
    lower = low & 0xFFFFFFFF
    h, t = _two_sum(
        upper.astype(np.float64) * 2.0 ** (UNIT_EXPONENT + 32),
        lower.astype(np.float64) * 2.0**UNIT_EXPONENT,
    )
    s, e = _two_sum(acc.astype(np.float64), h)
    return add_odd(s, add_odd(e, t)).astype(np.float32)


class Finish(NamedTuple):
    """How sums become results: the options of `readout`, checked.

    Attributes
    ----------
    scale : numpy.ndarray of int32
        The exponents of the factors.
    mode : Rounding or None
        TA or HR to codes, or None to FP32.
    options : dict
        What `encode` is told besides.
    """

    scale: npt.NDArray[np.int32]
    mode: Rounding | None
    options: dict[str, bool]

    @classmethod
    def checked(
        cls,
        scale: npt.ArrayLike,
        rounding: Rounding | str | None,
        saturate: bool,
        nan_to_zero: bool,
        keep_exact: bool,
    ) -> "Finish":
        """Return the options, refusing what is none.

        Raises
        ------
        TypeError, ValueError
            As `readout` does.
        """
        mode = None if rounding is None else Rounding.named(rounding)
        if mode not in (None, Rounding.TA, Rounding.HR):
            raise ValueError(f"rounding must be 'ta', 'hr' or None, not {mode.value!r}")
        exponents = np.asarray(scale)
        if exponents.dtype.kind not in "iu":
            raise TypeError(f"scale must be integers, not {exponents.dtype.name!r}")
        wrong = exponents[(exponents < SCALES[0]) | (exponents > SCALES[-1])]
        if wrong.size:
            raise ValueError(f"scale must be in {SCALES[0]}..{SCALES[-1]}, not {int(wrong[0])}")
        options = {"saturate": saturate, "nan_to_zero": nan_to_zero, "keep_exact": keep_exact}
        return cls(exponents.astype(np.int32), mode, options)

    @property
    def dtype(self) -> np.dtype:
        """The type of the results."""
        return np.dtype(np.float32 if self.mode is None else np.uint8)

    def apply(
        self, values: npt.NDArray[np.float64], scale: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.float32] | npt.NDArray[np.uint8]:
        """Return the results of values, exact or rounded to odd, each with its scale."""
        values = np.ldexp(values, scale)
        if self.mode is not Rounding.TA:
            with np.errstate(over="ignore"):
                values = values.astype(np.float32)
        return canonical(values) if self.mode is None else encode(values, self.mode, **self.options)


def canonical(values: np.ndarray) -> np.ndarray:
    """Return values with the positive quiet NaN, without payload, for every NaN."""
    nan = np.isnan(values)
    return np.where(nan, values.dtype.type(np.nan), values) if nan.any() else values


def as_accumulator(x: npt.ArrayLike, name: str) -> npt.NDArray[np.float32]:
    """Return FP32 values as an array, refusing other types; a Python number is rounded.

    Minus zero becomes +0, as any sum of products that is added would make it; no later sum is -0.

    Raises
    ------
    TypeError
        If `x` is not float32.
    ValueError
        If it is a Python integer beyond FP64.
    """
    array, source = as_floats(x, name)
    if source != f.FP32 and not isinstance(x, int | float):
        raise TypeError(f"{name} must be float32, not {array.dtype.name!r}")
    with np.errstate(over="ignore", invalid="ignore"):  # a signalling NaN is no error here
        return array.astype(np.float32) + np.float32(0)


def common_shape(**shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that named shapes broadcast to.

    Raises
    ------
    ValueError
        If they do not.
    """
    try:
        return np.broadcast_shapes(*shapes.values())
    except ValueError:
        names, found = " and ".join(shapes), " and ".join(map(str, shapes.values()))
        raise ValueError(f"{names} must have shapes that broadcast, not {found}") from None


def check_terms(terms: int) -> None:
    """Refuse sums of no products, or of too many.

    Raises
    ------
    ValueError
        If there are none, or more than `MAX_TERMS`.
    """
    if not 1 <= terms <= MAX_TERMS:
        raise ValueError(f"a must have 1 to {MAX_TERMS} products to sum, not {terms}")


def rows_and_columns(
    a: npt.ArrayLike, b: npt.ArrayLike
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return operands of sums over the last axis as rows and columns of matrix products.

    Raises
    ------
    TypeError, ValueError
        As `exact_sum` does.
    """
    left, right = as_codes(a, "a"), as_codes(b, "b")
    shape = common_shape(a=left.shape, b=right.shape)
    if not (left.ndim and right.ndim):
        raise ValueError(
            f"a and b must have an axis to sum over, not {left.shape} and {right.shape}"
        )
    check_terms(shape[-1])
    left, right = (np.broadcast_to(x, x.shape[:-1] + shape[-1:]) for x in (left, right))
    return left[..., None, :], right[..., None]
