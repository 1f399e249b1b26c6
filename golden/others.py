# SPDX-License-Identifier: Apache-2.0
"""What is true of the formats that HiF8 is compared with: values, fields, encoding, sums.

Imports `golden.format` and `decode`; `ml_dtypes` knows FP8. Formats go by name: ``e4m3``, ``e5m2``,
``posit8``, ``int8``, and ``hif8`` for what is done to all alike.
"""

from collections.abc import Iterator
from typing import NamedTuple

import ml_dtypes
import numpy as np
import numpy.typing as npt

from .decode import VALUES as HIF8_VALUES
from .format import FP32

Codes = npt.NDArray[np.uint8]
Fields = dict[str, npt.NDArray[np.int64]]

DTYPES = {
    "e4m3": np.dtype(ml_dtypes.float8_e4m3fn),
    "e5m2": np.dtype(ml_dtypes.float8_e5m2),
    "int8": np.dtype(np.int8),
}
SIGN_BIT = 0x80


def posit_value(code: int, width: int = 8, exponent_width: int = 2) -> float:
    """Return the exact value of a posit, NaN for NaR.

    Parameters
    ----------
    code : int
        The posit as an unsigned integer.
    width, exponent_width : int
        n and es. Widths up to 16 are exact in FP64.

    Notes
    -----
    Standard for Posit Arithmetic (2022), section 3.3: with sign s, regime r, exponent e and
    fraction f read from the bits as they stand, the value is
    ((1 - 3s) + f) * 2^((1 - 2s)(4r + e + s)). Bits beyond the end of the word are zero.
    """
    sign_bit = 1 << width - 1
    if code & ~sign_bit == 0:
        return np.nan if code else 0.0
    s = code >> width - 1
    bits = f"{code & ~sign_bit:0{width - 1}b}"
    run = len(bits) - len(bits.lstrip(bits[0]))
    r = run - 1 if bits[0] == "1" else -run
    rest = bits[run + 1 :].ljust(exponent_width, "0")
    e = int(rest[:exponent_width], 2)
    f = int(rest[exponent_width:] or "0", 2) / (1 << len(rest) - exponent_width)
    return ((1 - 3 * s) + f) * 2.0 ** ((1 - 2 * s) * ((r << exponent_width) + e + s))


def _array_values(dtype: np.dtype) -> npt.NDArray[np.float64]:
    with np.errstate(invalid="ignore"):  # signalling NaNs
        return np.arange(256, dtype=np.uint8).view(dtype).astype(np.float64)


VALUES = {
    "hif8": HIF8_VALUES,
    "posit8": np.array([posit_value(code) for code in range(256)]),
    **{name: _array_values(dtype) for name, dtype in DTYPES.items()},
}
"""The value of every code, exact, by format."""


def exponent_of(x: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the binade of each value, and -1 for zero."""
    return np.frexp(x)[1].astype(np.int64) - 1


def smallest_exponent(*names: str) -> int:
    """Return the exponent of the smallest positive value of some formats."""
    return min(int(exponent_of(VALUES[n][VALUES[n] > 0].min())) for n in names)


def fields(name: str, width: int) -> Fields:
    """Return the fields that every code is decoded to.

    Zero, infinities and NaN have the exponent of a number with the same bits: one below the
    smallest normal number's, or, beyond the largest one, the highest. A posit's zero and NaR have
    that of a regime one longer than the smallest value's.

    Parameters
    ----------
    name : str
        The format.
    width : int
        Bits of the significand, the hidden one included; maybe more than the format has.
    """
    values = VALUES[name]
    number = np.isfinite(values) & (values != 0)
    if name in DTYPES:
        info = ml_dtypes.finfo(DTYPES[name])
        top = info.maxexp - (name == "e4m3")  # its highest exponent has numbers too
        exponent = np.where(values == 0, info.minexp - 1, top)
    else:
        exponent = np.full(256, smallest_exponent(name) - 4)
    exponent = np.where(number, exponent_of(np.where(number, values, 1)), exponent)
    magnitude = np.where(number, np.abs(values), np.isinf(values) * np.exp2(exponent))
    return {
        "sign": np.arange(256) >> 7,
        "exponent": exponent,
        "significand": np.ldexp(magnitude, width - 1 - exponent).astype(np.int64),
        "zero": (values == 0).astype(np.int64),
        "inf": np.isinf(values).astype(np.int64),
        "nan": np.isnan(values).astype(np.int64),
    }


def multiply_fields(name: str, width: int, a: Codes, b: Codes) -> Fields:
    """Return the fields of exact products.

    As for HiF8: exponent and significand are those of the operands added and multiplied, whatever
    the flags, and the sign is 0 for zero and NaN.
    """
    x, y = ({key: field[code] for key, field in fields(name, width).items()} for code in (a, b))
    nan = x["nan"] | y["nan"] | x["zero"] & y["inf"] | x["inf"] & y["zero"]
    significand = x["significand"] * y["significand"]
    return {
        "sign": (x["sign"] ^ y["sign"]) & (significand != 0),
        "exponent": x["exponent"] + y["exponent"],
        "significand": significand,
        "inf": (x["inf"] | y["inf"]) & ~nan,
        "nan": nan,
    }


def encode(
    x: npt.NDArray[np.float32], name: str, *, saturate: bool = False, nan_to_zero: bool = False
) -> Codes:
    """Return the FP8 codes of FP32 values, rounded half to even, always with the value's sign.

    Parameters
    ----------
    x : numpy.ndarray of float32
        Values.
    name : str
        ``e4m3`` or ``e5m2``.
    saturate : bool
        Give the largest finite code in place of what is beyond it, infinity included; otherwise
        that is infinity, or NaN in a format that has none.
    nan_to_zero : bool
        Give zero in place of a NaN that comes in.
    """
    dtype = DTYPES[name]
    with np.errstate(invalid="ignore", over="ignore"):
        codes = x.astype(dtype).view(np.uint8)
    sign = np.signbit(x) * np.uint8(SIGN_BIT)
    nan = np.isnan(x)
    if saturate:
        largest = np.array(ml_dtypes.finfo(dtype).max, dtype).view(np.uint8)
        codes = np.where(~np.isfinite(VALUES[name][codes]) & ~nan, sign | largest, codes)
    return np.where(nan, sign, codes) if nan_to_zero else codes


class Beat(NamedTuple):
    """The sum of a beat's products; all arrays of one shape.

    Attributes
    ----------
    integer : numpy.ndarray of object
        The finite ones, as Python integers in units of the smallest product.
    nan, plus_inf, minus_inf : numpy.ndarray of bool
        Whether there are such among the others.
    """

    integer: npt.NDArray[np.object_]
    nan: npt.NDArray[np.bool_]
    plus_inf: npt.NDArray[np.bool_]
    minus_inf: npt.NDArray[np.bool_]


def beats(name: str, a: Codes, b: Codes, unit: int) -> Beat:
    """Add up products over the last axis, exactly, in units of 2^unit."""
    values = VALUES[name]
    # An operand is an integer in units of half that exponent, and a Python integer has any size.
    finite = np.where(np.isfinite(values), values, 0)
    integers = np.array([int(n) for n in np.ldexp(finite, -(unit // 2))], object)
    with np.errstate(invalid="ignore"):
        products = values[a] * values[b]
    return Beat(
        (integers[a] * integers[b]).sum(axis=-1),
        np.isnan(products).any(axis=-1),
        (products == np.inf).any(axis=-1),
        (products == -np.inf).any(axis=-1),
    )


def running(beat: Beat, first: npt.NDArray[np.bool_], *, fp32: bool) -> Iterator[Beat]:
    """Yield what a sum is after every beat, along the first axis, begun anew where `first` is set.

    With `fp32` it is rounded to the 24 bits of an FP32 significand, half to even, after each: in
    exponents it has room for all of these formats' products, and it never is subnormal.
    """
    nothing = total = Beat(*(column[0] ^ column[0] for column in beat))
    for start, *now in zip(first, *beat, strict=True):
        one = Beat(*now)
        total = nothing if start else total
        integer = total.integer + one.integer
        plus, minus = total.plus_inf | one.plus_inf, total.minus_inf | one.minus_inf
        nan = total.nan | one.nan | plus & minus
        if fp32:
            integer = np.array([nearest(n, 24) for n in integer], object)
        total = Beat(integer, nan, plus & ~nan, minus & ~nan)
        yield total


def nearest(n: int, bits: int) -> int:
    """Return the integer with so many significant bits that is nearest, of two the even one."""
    below = max(abs(n).bit_length() - bits, 0)
    kept, rest = divmod(abs(n), 1 << below)
    half = 1 << below >> 1
    kept += rest > half or (rest == half > 0 and kept & 1)
    return (kept << below) * (-1 if n < 0 else 1)


def fp32_words(total: Beat, unit: int) -> npt.NDArray[np.uint32]:
    """Return sums that were rounded to 24 bits, in units of 2^unit, as FP32 words."""
    numbers = np.ldexp(total.integer.astype(np.float64), unit)
    numbers = np.where(total.plus_inf, np.inf, np.where(total.minus_inf, -np.inf, numbers))
    words = numbers.astype(np.float32).view(np.uint32)
    return np.where(total.nan, np.uint32(FP32.nan_bits), words)
