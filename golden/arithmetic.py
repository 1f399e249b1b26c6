# SPDX-License-Identifier: Apache-2.0
"""Arithmetic on HiF8 codes.

Imports `golden.decode`. Products are exact: 4-bit by 4-bit significands, a sum of two exponents.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .decode import as_codes, unpack


class Product(NamedTuple):
    """Exact products, exactly as the multiplier's ports carry them; all arrays of one shape.

    The value is (-1)^sign * significand * 2^(exponent - 6), unless `inf` or `nan` is set.

    Attributes
    ----------
    sign : numpy.ndarray of uint8
        0 for a zero product (it is +0) and for NaN.
    exponent : numpy.ndarray of int8
        The sum of the operands' exponents as `Unpacked` gives them, -46 to 30, whatever the flags.
    significand : numpy.ndarray of uint8
        The product of the operands' significands as `Unpacked` gives them, whatever the flags:
        0 for a zero product and for NaN.
    inf, nan : numpy.ndarray of bool
        Never both. NaN if an operand is NaN, or for zero times infinity.
    """

    sign: npt.NDArray[np.uint8]
    exponent: npt.NDArray[np.int8]
    significand: npt.NDArray[np.uint8]
    inf: npt.NDArray[np.bool_]
    nan: npt.NDArray[np.bool_]


def multiply_fields(a: npt.ArrayLike, b: npt.ArrayLike) -> Product:
    """Multiply HiF8 codes into the fields of an exact product.

    Parameters
    ----------
    a, b : array_like of uint8
        Codes; shapes broadcast.

    Returns
    -------
    Product
        Arrays of the broadcast shape.
    """
    left, right = unpack(as_codes(a, "a")), unpack(as_codes(b, "b"))
    nan = left.nan | right.nan | left.inf & right.zero | left.zero & right.inf
    significand = left.significand * right.significand
    return Product(
        sign=(left.sign ^ right.sign) & (significand != 0),
        exponent=left.exponent + right.exponent,
        significand=significand,
        inf=(left.inf | right.inf) & ~nan,
        nan=nan,
    )


def multiply(a: npt.ArrayLike, b: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> np.ndarray:
    """Return the exact products of HiF8 codes as floating-point values.

    Parameters
    ----------
    a, b : array_like of uint8
        Codes; shapes broadcast.
    dtype : float32 or float64
        Either holds every product: 8 significand bits, exponents -44 to 30.

    Returns
    -------
    numpy.ndarray of `dtype`
        NaN if an operand is NaN and for zero times infinity; a zero product is +0.

    Raises
    ------
    TypeError
        If `dtype` is neither, or `a` or `b` are not integers.
    ValueError
        If a code is outside 0..255.
    """
    return product_values(multiply_fields(a, b), dtype)


def product_values(product: Product, dtype: npt.DTypeLike = np.float32) -> np.ndarray:
    """Return the values that the fields of products stand for.

    Parameters
    ----------
    product : Product
        Fields, from `multiply_fields` or read from the multiplier's ports.
    dtype : float32 or float64
        Either holds every product.

    Returns
    -------
    numpy.ndarray of `dtype`
        Of the shape of the fields.

    Raises
    ------
    TypeError
        If `dtype` is neither.
    """
    dtype = np.dtype(dtype).newbyteorder("=")
    if dtype not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, not {dtype.name!r}")
    magnitude = np.ldexp(
        np.asarray(product.significand).astype(dtype), product.exponent.astype(np.int32) - 6
    )
    magnitude = np.where(product.inf, dtype.type(np.inf), magnitude)
    signed = np.where(product.sign.astype(bool), -magnitude, magnitude)
    return np.where(product.nan, dtype.type(np.nan), signed)[()]
