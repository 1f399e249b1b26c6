# SPDX-License-Identifier: Apache-2.0
"""Floating-point values to HiF8 codes.

Imports `golden.format`, `golden.decode`, `golden.rounding`. `encode_words` is the definition, step
by step; `encode` is fast because few bits of a word decide, so that a shift and a table, filled by
the definition, give the same codes.
"""

from functools import cache

import numpy as np
import numpy.typing as npt

from . import format as f
from .decode import CHUNK, VALUES, decode
from .rounding import Cut, Rounding, rounds_up

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

_LEADING_SHIFT = {f.FP16: 0, f.BF16: 0, f.FP32: 23 - 4, f.FP64: 52 - 4}
"""Low bits of a word that TA does not depend on, NaN-ness apart.

At most four fraction bits decide (three kept, one to round by); a 16-bit word needs no shift.
"""


def _cut(words: npt.NDArray[np.integer], source: f.FloatFormat) -> Cut:
    """Take words apart, subnormals normalised, and tell how many bits of each are kept."""
    m = source.fraction_width
    magnitude = _magnitude(words, source)
    biased = magnitude >> m
    raw = magnitude & (1 << m) - 1
    significand = np.where(biased == 0, raw, raw | 1 << m)
    exponent = np.maximum(biased, 1) - source.bias
    shift = np.where(significand == 0, 0, m + 1 - np.frexp(significand.astype(np.float64))[1])
    exponent = np.minimum(exponent - shift, f.MAX_EXPONENT)
    n = np.where(
        exponent < _LOWEST,
        exponent - f.MIN_EXPONENT,
        _KEPT_WIDTHS[np.maximum(exponent - _LOWEST, 0)],
    )
    return Cut(source, exponent, significand << shift, n, raw)


def _magnitude(words: npt.NDArray[np.integer], source: f.FloatFormat) -> npt.NDArray[np.int64]:
    """Return words without their sign bits."""
    return (words & np.uint64((1 << source.width - 1) - 1)).astype(np.int64)


def _finish(
    words: npt.NDArray[np.integer], cut: Cut, up: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    """Round as told and return the codes, special values and all.

    The kept bits are an integer k with k * 2^(E-n) the result; a carry out of them lands on the
    next binade's first value, so no case distinction follows the increment.
    """
    source, magnitude = cut.source, _magnitude(words, cut.source)
    sign = (words >> np.uint64(source.width - 1)).astype(np.uint8)
    result = np.ldexp((cut.kept + up).astype(np.float64), cut.exponent - cut.kept_width)
    code = _CODES[np.minimum(np.searchsorted(_MAGNITUDES, result), _CODES.size - 1)]
    too_large = magnitude >= f.MAX_EXPONENT + 1 + source.bias << source.fraction_width
    code[too_large | (result > VALUES[f.MAX])] = f.INF
    code = np.where(code == f.ZERO, f.ZERO, code | sign << 7).astype(np.uint8)
    code[magnitude > source.inf_bits] = f.NAN
    return code


def encode_words(
    words: npt.NDArray[np.integer],
    source: f.FloatFormat,
    rounding: Rounding = Rounding.TA,
    *,
    keep_exact: bool = False,
    rng: np.random.Generator | None = None,
) -> npt.NDArray[np.uint8]:
    """Encode the bit patterns of floating-point values: the definition, step by step.

    Parameters
    ----------
    words : numpy.ndarray of unsigned integers
        Words of the format `source`, any shape.
    source : FloatFormat
        What the words mean.
    rounding, keep_exact, rng
        As for `encode`.

    Returns
    -------
    numpy.ndarray of uint8
        Codes without saturation, NaN as 0x80.

    Notes
    -----
    Paper, section 3.
    """
    words = np.asarray(words, np.uint64)
    cut = _cut(words, source)
    return _finish(words, cut, rounds_up(cut, rounding, keep_exact=keep_exact, rng=rng))


def _replace(
    codes: npt.NDArray[np.uint8], saturate: bool, nan_to_zero: bool
) -> npt.NDArray[np.uint8]:
    """Apply the options to codes, in place; saturation last."""
    if nan_to_zero:
        codes[codes == f.NAN] = f.ZERO
    if saturate:
        codes[codes & ~np.uint8(f.SIGN_BIT) == f.INF] -= f.INF - f.MAX
    return codes


@cache
def _word_table(
    source: f.FloatFormat, rounding: Rounding, keep_exact: bool, saturate: bool, nan_to_zero: bool
) -> npt.NDArray[np.uint8]:
    """Return the code of every word of `source`, indexed by its leading bits."""
    shift = _LEADING_SHIFT[source]
    words = np.arange(1 << source.width - shift, dtype=np.uint64) << shift
    codes = encode_words(words, source, rounding, keep_exact=keep_exact)
    return _replace(codes, saturate, nan_to_zero)


@cache
def _hybrid_table(saturate: bool, nan_to_zero: bool) -> npt.NDArray[np.uint8]:
    """Return the code of every FP32 word under HR.

    Indexed by the leading bits and, above them, by whether F >= T.
    """
    shift = _LEADING_SHIFT[f.FP32]
    words = np.arange(1 << f.FP32.width - shift, dtype=np.uint64) << shift
    cut = _cut(words, f.FP32)
    away = rounds_up(cut, Rounding.TA)
    inner = np.abs(cut.exponent) < f.HYBRID_FROM
    overflow = (cut.exponent == f.MAX_EXPONENT) & away
    compared = cut.exponent >= _LOWEST
    ups = [np.where(inner, away, overflow | compared & above) for above in (False, True)]
    halves = [_finish(words, cut, up) for up in ups]
    return _replace(np.concatenate(halves), saturate, nan_to_zero)


def _hybrid_shifts() -> npt.NDArray[np.uint32]:
    """Return, for every sign and exponent of FP32, how far F lies above bit 0 of the word."""
    words = np.arange(1 << 9, dtype=np.uint64) << f.FP32.fraction_width
    width = _cut(words, f.FP32).discarded_width - f.FP32.hybrid_width
    return np.clip(width, 0, 31).astype(np.uint32)


_HYBRID_SHIFTS = _hybrid_shifts()


def _hybrid_index(words: npt.NDArray[np.uint32], keep_exact: bool) -> npt.NDArray[np.uint32]:
    """Return the places of FP32 words in `_hybrid_table`.

    With the hidden bit in its place the 14 bits F are a window of the word itself. What lies in it
    matters only for 4 <= |E| and E from -23 on; in the binade of -23 the hidden bit leads it.
    """
    mask = np.uint32((1 << f.FP32.hybrid_width) - 1)
    shifts = _HYBRID_SHIFTS.take(words >> np.uint32(f.FP32.fraction_width), mode="clip")
    discarded = (words | np.uint32(1 << f.FP32.fraction_width)) >> shifts & mask
    up = discarded >= (words & mask)
    if keep_exact:
        up &= discarded > 0
    leading = np.uint32(f.FP32.width - _LEADING_SHIFT[f.FP32])
    return words >> np.uint32(_LEADING_SHIFT[f.FP32]) | up.astype(np.uint32) << leading


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
    keep_exact: bool = False,
    rng: np.random.Generator | None = None,
) -> npt.NDArray[np.uint8]:
    """Return the HiF8 codes of floating-point values.

    Parameters
    ----------
    x : array_like of float16, bfloat16 (of ml_dtypes), float32 or float64
        Any shape, memory layout and byte order. Each format is rounded once, from its own bits:
        what was widened before no longer has the low bits that HR compares with.
    rounding : Rounding or str
        How to round; HR is defined for float16, bfloat16 and float32.
    saturate : bool
        Give the largest finite value in place of an infinity, whatever produced it.
    nan_to_zero : bool
        Give zero in place of NaN.
    keep_exact : bool
        For HR: leave float32 values that HiF8 represents as they are. By default those with
        |E| >= 4 move up, as the paper and the vendor define it.
    rng : numpy.random.Generator, optional
        For SR, which needs it.

    Returns
    -------
    numpy.ndarray of uint8
        Of the shape of `x`.

    Raises
    ------
    TypeError
        If `x` is not floating-point.
    ValueError
        If there is no such rounding mode, or it is not defined for `x`.

    Notes
    -----
    Paper, section 3. |x| below 2^-23 gives 0x00 for either sign, |x| from 1.25 * 2^15 on gives
    infinity. Beyond input and output TA and HR need less than 2 MB of memory.
    """
    rounding = Rounding.named(rounding)
    values, source = as_floats(x)
    if rounding is Rounding.HR and not source.hybrid_width:
        raise ValueError(f"x must be float16, bfloat16 or float32 for HR, not {source.dtype}")
    options = bool(saturate), bool(nan_to_zero)
    leading_shift = _LEADING_SHIFT[source]
    by_definition = rounding in (Rounding.TE, Rounding.SR)
    hybrid = rounding is Rounding.HR and source is f.FP32
    if hybrid:
        table = _hybrid_table(*options)
    elif not by_definition:
        table = _word_table(source, rounding, keep_exact, *options)
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
            if by_definition:
                out[:] = _replace(encode_words(words, source, rounding, rng=rng), *options)
                continue
            if hybrid:
                index = _hybrid_index(words, keep_exact)
            else:
                index = words >> leading_shift if leading_shift else words
            table.take(index, out=out, mode="clip")
            if leading_shift:  # a NaN may have its only payload in the bits shifted out
                nan = np.isnan(chunk)
                if nan.any():
                    out[nan] = nan_code
        codes = steps.operands[1]
    return codes[()]


def quantize(
    x: npt.ArrayLike,
    rounding: Rounding | str = Rounding.TA,
    *,
    rng: np.random.Generator | None = None,
    **options: bool,
) -> np.ndarray:
    """Return floating-point values rounded to HiF8, in their own type.

    Parameters
    ----------
    x : array_like of float16, bfloat16, float32 or float64
        Any shape.
    rounding, rng
        As for `encode`.
    **options : bool
        `saturate`, `nan_to_zero` and `keep_exact`, as for `encode`.

    Returns
    -------
    numpy.ndarray
        Of the shape and the type of `x`, in native byte order: every HiF8 value is exact in each of
        the four types.
    """
    values, source = as_floats(x)
    return decode(encode(values, rounding, rng=rng, **options), source.dtype)
