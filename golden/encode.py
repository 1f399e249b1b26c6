# SPDX-License-Identifier: Apache-2.0
"""Floating-point values to HiF8 codes.

Imports `golden.format`, `golden.decode`, `golden.rounding`. `encode_words` is the definition, step
by step; `encode` is fast because TA depends on few leading bits of a word, so that a shift and a
table, filled by the definition, give the same codes.
"""

from functools import cache

import numpy as np
import numpy.typing as npt

from . import format as f
from .decode import CHUNK, VALUES, decode
from .rounding import Rounding

_FINITE = np.array([c for c in range(f.SIGN_BIT) if np.isfinite(VALUES[c])], np.uint8)
_CODES = _FINITE[np.argsort(VALUES[_FINITE])]
"""The 127 finite codes that are not negative, in the order of their values."""
_MAGNITUDES = VALUES[_CODES]

_LOWEST = f.MIN_EXPONENT - 1
"""The binade below the smallest denormal, half of which still rounds up to it."""


def _kept_widths() -> npt.NDArray[np.int64]:
    """Return n, the fraction bits kept, for each exponent from -23 to 15.

    Below the denormals' lowest binade not even the hidden bit is kept: n is -1.
    """
    widths = np.full(f.MAX_EXPONENT - _LOWEST + 1, -1)
    widths[f.MIN_EXPONENT - _LOWEST :] = 0
    for field in f.DOT_FIELDS:
        for magnitude in field.magnitudes:
            for exponent in (-magnitude, magnitude):
                widths[exponent - _LOWEST] = field.mantissa_width
    return widths


_KEPT_WIDTHS = _kept_widths()

_INDEX_SHIFT = {f.FP16: 0, f.BF16: 0, f.FP32: 23 - 4, f.FP64: 52 - 4}
"""Low bits of a word that TA does not depend on, NaN-ness apart.

At most four fraction bits decide (three kept, one to round by); a 16-bit word needs no shift.
"""


def encode_words(words: npt.NDArray[np.integer], source: f.FloatFormat) -> npt.NDArray[np.uint8]:
    """Encode the bit patterns of floating-point values: the definition, one step a line.

    Parameters
    ----------
    words : numpy.ndarray of unsigned integers
        Words of the format `source`, any shape.
    source : FloatFormat
        What the words mean.

    Returns
    -------
    numpy.ndarray of uint8
        TA codes without saturation, NaN as 0x80.

    Notes
    -----
    Paper, section 3. The kept bits are an integer k with k * 2^(E-n) the result; a carry out of
    them lands on the next binade's first value, so no case distinction follows the increment.
    """
    words = np.asarray(words, np.uint64)
    m = source.fraction_width
    sign = (words >> np.uint64(source.width - 1)).astype(np.uint8)
    magnitude = (words & np.uint64((1 << source.width - 1) - 1)).astype(np.int64)
    biased = magnitude >> m
    fraction = magnitude & (1 << m) - 1

    # Subnormals are normalised: the leading one moves to bit m and the exponent follows.
    significand = np.where(biased == 0, fraction, fraction | 1 << m)
    exponent = np.maximum(biased, 1) - source.bias
    shift = np.where(significand == 0, 0, m + 1 - np.frexp(significand.astype(np.float64))[1])
    significand, exponent = significand << shift, exponent - shift

    inside = np.clip(exponent, _LOWEST, f.MAX_EXPONENT)
    n = _KEPT_WIDTHS[inside - _LOWEST]
    leading_discarded = significand >> m - n - 1 & 1
    kept = (significand >> m - n) + leading_discarded
    result = np.ldexp(kept.astype(np.float64), inside - n)

    code = _CODES[np.minimum(np.searchsorted(_MAGNITUDES, result), _CODES.size - 1)]
    code[exponent < _LOWEST] = f.ZERO
    code[(exponent > f.MAX_EXPONENT) | (result > VALUES[f.MAX])] = f.INF
    code = np.where(code == f.ZERO, f.ZERO, code | sign << 7).astype(np.uint8)
    code[magnitude > source.inf_bits] = f.NAN
    return code


@cache
def _table(source: f.FloatFormat, saturate: bool, nan_to_zero: bool) -> npt.NDArray[np.uint8]:
    """Return the code of every word of `source`, indexed by its leading bits."""
    shift = _INDEX_SHIFT[source]
    table = encode_words(np.arange(1 << source.width - shift, dtype=np.uint64) << shift, source)
    if nan_to_zero:
        table[table == f.NAN] = f.ZERO
    if saturate:
        table[table & ~np.uint8(f.SIGN_BIT) == f.INF] -= f.INF - f.MAX
    return table


def as_floats(x: npt.ArrayLike, name: str = "x") -> tuple[np.ndarray, f.FloatFormat]:
    """Return floating-point values as an array and its format, refusing what is none.

    A Python number counts as FP64, as it does in NumPy beside no array.

    Raises
    ------
    TypeError
        If `x` is not of a floating-point type that HiF8 encodes from.
    ValueError
        If it is a Python integer beyond FP64.
    """
    python_number = isinstance(x, int | float) and not isinstance(x, bool)
    try:
        array = np.asarray(x, np.float64) if python_number else np.asarray(x)
    except OverflowError:
        raise ValueError(f"{name} must be within the range of float64") from None
    try:
        return array, f.float_format(array.dtype)
    except TypeError:
        raise TypeError(
            f"{name} must be float16, bfloat16, float32 or float64, not {array.dtype.name!r}"
        ) from None


def encode(
    x: npt.ArrayLike,
    rounding: Rounding | str = Rounding.TA,
    *,
    saturate: bool = False,
    nan_to_zero: bool = False,
) -> npt.NDArray[np.uint8]:
    """Return the HiF8 codes nearest to floating-point values.

    Parameters
    ----------
    x : array_like of float16, bfloat16 (of ml_dtypes), float32 or float64
        Any shape, memory layout and byte order. Each format is rounded once, from its own bits.
    rounding : Rounding
        How to round.
    saturate : bool
        Give the largest finite value in place of an infinity, whatever produced it.
    nan_to_zero : bool
        Give zero in place of NaN.

    Returns
    -------
    numpy.ndarray of uint8
        Of the shape of `x`.

    Raises
    ------
    TypeError
        If `x` is not floating-point.
    ValueError
        If there is no such rounding mode.

    Notes
    -----
    Paper, section 3. |x| below 2^-23 gives 0x00 for either sign, |x| from 1.25 * 2^15 on gives
    infinity. Beyond input and output it needs less than 1 MB of memory.
    """
    Rounding.named(rounding)
    values, source = as_floats(x)
    table = _table(source, bool(saturate), bool(nan_to_zero))
    shift = _INDEX_SHIFT[source]
    nan_code = f.ZERO if nan_to_zero else f.NAN
    steps = np.nditer(
        [values, None],
        flags=["external_loop", "buffered", "zerosize_ok"],
        op_flags=[["readonly", "contig", "aligned"], ["writeonly", "allocate", "contig"]],
        op_dtypes=[source.dtype, np.uint8],
        buffersize=CHUNK,
    )
    with steps:
        for chunk, out in steps:
            words = chunk.view(source.word)
            table.take(words >> shift if shift else words, out=out, mode="clip")
            if shift:  # a NaN may have its only payload in the bits shifted out
                nan = np.isnan(chunk)
                if nan.any():
                    out[nan] = nan_code
        codes = steps.operands[1]
    return codes[()]


def quantize(
    x: npt.ArrayLike, rounding: Rounding | str = Rounding.TA, **options: bool
) -> np.ndarray:
    """Return floating-point values rounded to HiF8, in their own type.

    Parameters
    ----------
    x : array_like of float16, bfloat16, float32 or float64
        Any shape.
    rounding : Rounding
        How to round.
    **options : bool
        `saturate` and `nan_to_zero`, as for `encode`.

    Returns
    -------
    numpy.ndarray
        Of the shape and the type of `x`, in native byte order: every HiF8 value is exact in each of
        the four types.
    """
    values, source = as_floats(x)
    return decode(encode(values, rounding, **options), source.dtype)
