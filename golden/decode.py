# SPDX-License-Identifier: Apache-2.0
"""HiF8 codes to their fields and values.

Imports `golden.format` and `golden.kernels`. Every table is computed at import from the dot-field
table.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from . import format as f
from . import kernels


class Unpacked(NamedTuple):
    """Codes taken apart, exactly as the decoder's ports carry them; all arrays of one shape.

    The value is (-1)^sign * significand * 2^(exponent - 3), unless `inf` or `nan` is set.

    Attributes
    ----------
    sign : numpy.ndarray of uint8
        Bit 7 of the code, for NaN too.
    exponent : numpy.ndarray of int8
        E, from -22 to 15; -23 for zero and NaN; 15 for the infinities.
    significand : numpy.ndarray of uint8
        Four bits with the hidden one: 8 to 15, 8 for a denormal, 0 for zero and NaN, and 12, the
        contents of their slot, for the infinities.
    zero, inf, nan : numpy.ndarray of bool
        What the code stands for.
    """

    sign: npt.NDArray[np.uint8]
    exponent: npt.NDArray[np.int8]
    significand: npt.NDArray[np.uint8]
    zero: npt.NDArray[np.bool_]
    inf: npt.NDArray[np.bool_]
    nan: npt.NDArray[np.bool_]


def dot_field(code: int) -> f.DotField:
    """Return the row of the dot-field table that a code's prefix selects."""
    below_sign = f.WIDTH - 1
    return next(
        field
        for field in f.DOT_FIELDS
        if (code & ~f.SIGN_BIT) >> below_sign - field.prefix_width == field.prefix
    )


def _unpack_code(code: int) -> tuple[int, int, int, bool, bool, bool]:
    """Take one code apart by the paper's equations 1 and 2."""
    field = dot_field(code)
    n = field.mantissa_width
    mantissa = code & (1 << n) - 1
    magnitude_code = code & ~f.SIGN_BIT
    sign = code >> f.WIDTH - 1
    if field.denormal:
        exponent = mantissa - f.DENORMAL_BIAS
        significand = 1 << f.SIGNIFICAND_WIDTH - 1 if mantissa else 0
    else:
        stored = code >> n & (1 << field.exponent_width) - 1
        hidden = 1 << field.exponent_width >> 1
        magnitude = stored & hidden - 1 | hidden if hidden else 0
        exponent = -magnitude if stored & hidden else magnitude
        significand = ((1 << n) + mantissa) << f.SIGNIFICAND_WIDTH - 1 - n
    return (
        sign,
        exponent,
        significand,
        code == f.ZERO,
        magnitude_code == f.INF,
        code == f.NAN,
    )


_FIELDS = Unpacked(
    *(
        np.array(column, dtype)
        for column, dtype in zip(
            zip(*map(_unpack_code, range(1 << f.WIDTH)), strict=True),
            (np.uint8, np.int8, np.uint8, np.bool_, np.bool_, np.bool_),
            strict=True,
        )
    )
)


def _values() -> npt.NDArray[np.float64]:
    """Return the value of every code, exact in FP64."""
    magnitude = np.ldexp(_FIELDS.significand.astype(np.float64), _FIELDS.exponent - 3)
    magnitude[_FIELDS.inf] = np.inf
    values = np.where(_FIELDS.sign == 1, -magnitude, magnitude)
    values[_FIELDS.nan] = np.nan
    return values


VALUES = _values()
"""The value of every code; 256 of FP64, NaN at 0x80. Read-only."""
VALUES.setflags(write=False)

_TABLES = {source.dtype: VALUES.astype(source.dtype) for source in f.FLOAT_FORMATS}


def as_codes(codes: npt.ArrayLike, name: str = "codes") -> npt.NDArray[np.uint8]:
    """Return codes as a uint8 array, refusing what is none.

    Raises
    ------
    TypeError
        If `codes` is not of an integer type.
    ValueError
        If a code is outside 0..255.
    """
    array = np.asarray(codes)
    if array.dtype == np.uint8:
        return array
    if array.size == 0 and not isinstance(codes, np.ndarray | np.generic):
        return array.astype(np.uint8)  # an empty list has no type of its own
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers of dtype uint8, not {array.dtype.name!r}")
    if array.size and not (array.min() >= 0 and array.max() <= 0xFF):
        worst = array.min() if array.min() < 0 else array.max()
        raise ValueError(f"{name} must be in 0..255, not {int(worst)}")
    return array.astype(np.uint8)


def unpack(codes: npt.ArrayLike) -> Unpacked:
    """Take HiF8 codes apart into sign, exponent, significand and flags.

    Parameters
    ----------
    codes : array_like of uint8
        Any shape.

    Returns
    -------
    Unpacked
        Arrays of the shape of `codes`.
    """
    index = as_codes(codes)
    return Unpacked(*(column[index] for column in _FIELDS))


def decode(codes: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> np.ndarray:
    """Return the values of HiF8 codes, exactly (paper, equations 1 and 2).

    Parameters
    ----------
    codes : array_like of uint8
        Any shape and memory layout. Other integer types are taken if every code is in 0..255.
    dtype : float16, bfloat16 (of ml_dtypes), float32 or float64
        Each of them holds every HiF8 value; float16 needs its subnormals for the smallest.

    Returns
    -------
    numpy.ndarray of `dtype`
        Of the shape of `codes`. Code 0x80 is the positive quiet NaN.

    Raises
    ------
    TypeError
        If `codes` are not integers or `dtype` is none of the four.
    ValueError
        If a code is outside 0..255.
    """
    table = _TABLES[f.float_format(dtype).dtype]
    codes = as_codes(codes)
    if codes.ndim == 0:
        return table[codes]
    steps = np.nditer(
        [codes, None],
        flags=["external_loop", "buffered", "zerosize_ok"],
        op_flags=[["readonly", "contig"], ["writeonly", "allocate", "contig"]],
        op_dtypes=[np.uint8, table.dtype],
        buffersize=kernels.CHUNK,
    )
    loops = kernels.choose(codes.size)
    with steps:
        for chunk, out in steps:
            loops.lookup(chunk, 0, table, out)
        return steps.operands[1]
