# SPDX-License-Identifier: Apache-2.0
"""Floating-point values to HiF8 codes.

Imports `golden.format`, `decode`, `kernels` and `rounding`. `encode_words` is the definition, step
by step; `encode` is fast because few bits of a word decide, so that a shift and a table, filled by
the definition, give the same codes.
"""

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import numpy.typing as npt

from . import format as f
from . import kernels
from .decode import VALUES, decode
from .rounding import Cut, Rounding, hybrid_compares, refuse, rounds_up

_FINITE = np.array([c for c in range(f.SIGN_BIT) if np.isfinite(VALUES[c])], np.uint8)
_CODES = _FINITE[np.argsort(VALUES[_FINITE])]
"""The 127 finite codes that are not negative, in the order of their values."""
_MAGNITUDES = VALUES[_CODES]

_LOWEST = f.MIN_EXPONENT - 1
"""The binade below the smallest denormal, half of which still rounds up to it."""

KEPT_WIDTHS = {_LOWEST: -1} | {
    exponent: next((d.mantissa_width for d in f.DOT_FIELDS if abs(exponent) in d.magnitudes), 0)
    for exponent in range(f.MIN_EXPONENT, f.MAX_EXPONENT + 1)
}
"""n, the fraction bits kept, for each exponent from -23 to 15.

Below the denormals' lowest binade not even the hidden bit is kept: n is -1.
"""
_KEPT_WIDTHS = np.array(list(KEPT_WIDTHS.values()))


def _leading_shift(source: f.FloatFormat) -> int:
    """Return how many low bits of a word TA does not depend on, NaN-ness apart.

    At most four fraction bits decide: three kept ones, and one to round by. A 16-bit word needs no
    shift.
    """
    return source.fraction_width - f.SIGNIFICAND_WIDTH if source.width > 16 else 0


def _leading_words(source: f.FloatFormat) -> npt.NDArray[np.uint64]:
    """Return every word whose low bits, those of `_leading_shift`, are zero."""
    shift = np.uint64(_leading_shift(source))
    return np.arange(1 << source.width - int(shift), dtype=np.uint64) << shift


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
    """Return the code of every word of `source`, indexed by its leading bits.

    For TA, and for HR from words short enough to be an index.
    """
    codes = encode_words(_leading_words(source), source, rounding, keep_exact=keep_exact)
    return _replace(codes, saturate, nan_to_zero)


@cache
def _hybrid_table(saturate: bool, nan_to_zero: bool) -> npt.NDArray[np.uint32]:
    """Return what `Loops.hybrid` must know of every FP32 word, indexed by its leading bits."""
    words = _leading_words(f.FP32)
    cut = _cut(words, f.FP32)
    compares, away = hybrid_compares(cut), rounds_up(cut, Rounding.TA)
    below, reached = (
        _replace(_finish(words, cut, np.where(compares, up, away)), saturate, nan_to_zero)
        for up in (False, True)
    )
    shift = np.where(compares, f.FP32.width - cut.discarded_width, 0)
    return (
        below | reached.astype(np.uint32) << np.uint32(8) | shift.astype(np.uint32) << np.uint32(16)
    )


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
    Paper, section 3. But for SR, |x| below 2^-23 gives 0x00 for either sign; but for TE, |x| from
    1.25 * 2^15 on gives infinity. Beyond input and output TA and HR need less than 2 MB of memory.
    """
    rounding = Rounding.named(rounding)
    values, source = as_floats(x)
    refuse(rounding, source, rng)
    options = bool(saturate), bool(nan_to_zero)
    convert = _converter(values.size, source, rounding, bool(keep_exact), options, rng)
    steps = np.nditer(
        [values, None],
        flags=["external_loop", "buffered", "zerosize_ok"],
        op_flags=[["readonly", "contig", "aligned"], ["writeonly", "allocate", "contig"]],
        op_dtypes=[source.dtype, np.uint8],
        order="C" if rounding is Rounding.SR else "K",  # draws go by index, not by place in memory
        buffersize=kernels.CHUNK,
    )
    with steps:
        for chunk, out in steps:
            convert(chunk.view(source.word), out=out)
            if _leading_shift(source):  # a NaN may have its only payload in the bits shifted out
                nan = np.isnan(chunk)
                if nan.any():
                    out[nan] = f.ZERO if nan_to_zero else f.NAN
        codes = steps.operands[1]
    return codes[()]


def _converter(
    elements: int,
    source: f.FloatFormat,
    rounding: Rounding,
    keep_exact: bool,
    options: tuple[bool, bool],
    rng: np.random.Generator | None,
) -> Callable[..., None]:
    """Return what takes words and writes their codes, those of NaN apart, into `out`."""
    if rounding in (Rounding.TE, Rounding.SR):
        return partial(_define, source=source, rounding=rounding, options=options, rng=rng)
    loops, shift = kernels.choose(elements), _leading_shift(source)
    if rounding is Rounding.HR and source == f.FP32:
        table = _hybrid_table(*options)
        return partial(loops.hybrid, shift=shift, table=table, least=int(keep_exact))
    table = _word_table(source, rounding, keep_exact, *options)
    return partial(loops.lookup, shift=shift, table=table)


def _define(
    words: npt.NDArray[np.unsignedinteger],
    source: f.FloatFormat,
    rounding: Rounding,
    options: tuple[bool, bool],
    rng: np.random.Generator | None,
    out: npt.NDArray[np.uint8],
) -> None:
    """Write the codes of words by the definition."""
    out[:] = _replace(encode_words(words, source, rounding, rng=rng), *options)


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
