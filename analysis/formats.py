# SPDX-License-Identifier: Apache-2.0
"""The number formats that HiF8 is compared with, as data: their values and how they are drawn.

Imports `golden`. Every table of values comes from decoding all codes of a format; nothing about a
format is typed in except its name and its drawing style.
"""

from dataclasses import dataclass
from functools import cached_property

import ml_dtypes
import numpy as np
import numpy.typing as npt

from ..golden.decode import VALUES
from ..golden.describe import finfo
from ..golden.others import VALUES as OTHERS


@dataclass(frozen=True)
class Style:
    """How a format is drawn, in every figure alike.

    The colours are those of Okabe and Ito, told apart by colour-blind readers; line style and
    marker tell them apart in grey.

    Attributes
    ----------
    color : str
        As ``#rrggbb``.
    linestyle : str or tuple
        In Matplotlib's notation.
    marker : str
        In Matplotlib's notation.
    linewidth : float
        In points.
    """

    color: str
    linestyle: str | tuple[int, tuple[float, ...]]
    marker: str
    linewidth: float = 1.4


@dataclass(frozen=True, eq=False)
class Format:
    """A number format as the values of its codes.

    Attributes
    ----------
    name : str
        For files and keys, in lower case.
    label : str
        For people.
    table : numpy.ndarray of float64
        The value of every code, exact, in the order of the codes; NaN and infinities included.
    smallest_normal : float
        The smallest positive value that is neither subnormal nor denormal.
    style : Style
        How it is drawn.
    """

    name: str
    label: str
    table: npt.NDArray[np.float64]
    smallest_normal: float
    style: Style

    @property
    def width(self) -> int:
        """Bits of a code."""
        return self.table.size.bit_length() - 1

    @cached_property
    def values(self) -> npt.NDArray[np.float64]:
        """All distinct finite values in ascending order; the two zeros are one."""
        return np.unique(self.table[np.isfinite(self.table)])

    @cached_property
    def positive(self) -> npt.NDArray[np.float64]:
        """All distinct finite values above zero, in ascending order."""
        return self.values[self.values > 0]

    @cached_property
    def binades(self) -> dict[int, int]:
        """The number of values in [2^E, 2^(E+1)) for each E that has any, in ascending order."""
        exponents, counts = np.unique(exponent_of(self.positive), return_counts=True)
        return dict(zip(exponents.tolist(), counts.tolist(), strict=True))

    @cached_property
    def significand_bits(self) -> dict[int, float]:
        """1 + log2(number of values in the binade), the hidden bit counted, for each binade E."""
        return {E: 1 + float(np.log2(count)) for E, count in self.binades.items()}


def exponent_of(x: npt.NDArray[np.floating]) -> npt.NDArray[np.int32]:
    """Return the binade E of each value: 2^E <= |x| < 2^(E+1).

    Parameters
    ----------
    x : numpy.ndarray of floating point
        Finite and not zero; any shape.

    Returns
    -------
    numpy.ndarray of int32
        Of the shape of `x`.
    """
    return np.frexp(x)[1] - 1


def _ieee(name: str, label: str, dtype: npt.DTypeLike, style: Style) -> Format:
    """Return a format that an array type holds: sign, exponent and fraction fields, subnormals."""
    dtype = np.dtype(dtype)
    word = np.dtype(f"u{dtype.itemsize}")
    words = np.arange(1 << 8 * dtype.itemsize).astype(word)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        table = words.view(dtype).astype(np.float64)
    first_normal_code = 1 << int(ml_dtypes.finfo(dtype).nmant)
    return Format(name, label, table, float(table[first_normal_code]), style)


def _posit(name: str, label: str, style: Style) -> Format:
    """Return posit(8,2), which has no subnormals: its smallest positive value is a normal one."""
    table = OTHERS[name]
    return Format(name, label, table, float(table[table > 0].min()), style)


HIF8 = Format("hif8", "HiF8", VALUES, finfo.smallest_normal, Style("#D55E00", "-", "o", 2.8))
E4M3 = _ieee("e4m3", "FP8-E4M3", ml_dtypes.float8_e4m3fn, Style("#0072B2", (0, (5, 1.5)), "s"))
E5M2 = _ieee("e5m2", "FP8-E5M2", ml_dtypes.float8_e5m2, Style("#56B4E9", (0, (1, 1)), "^", 1.8))
FP16 = _ieee("fp16", "FP16", np.float16, Style("#000000", "-", "x", 1.0))
BF16 = _ieee("bf16", "BF16", ml_dtypes.bfloat16, Style("#009E73", (0, (6, 1.5, 1, 1.5)), "+"))
POSIT8 = _posit("posit8", "posit(8,2)", Style("#CC79A7", (0, (3, 1, 1, 1, 1, 1)), "D"))
INT8 = Format("int8", "INT8", np.arange(-128.0, 128.0), 1.0, Style("#000000", "-", "P", 1.0))

FORMATS = {entry.name: entry for entry in (HIF8, E4M3, E5M2, POSIT8, FP16, BF16)}
"""All floating-point formats by name, in the order of legends and table columns."""
EIGHT_BITS = {entry.name: entry for entry in (HIF8, E4M3, E5M2, POSIT8, INT8)}
"""Those of 8 bits, and INT8, which needs a scale."""

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power_of_two(exponent: int) -> str:
    """Return a power of two as text, 2⁻²² for instance."""
    return "2" + str(exponent).translate(_SUPERSCRIPTS)


def exact_text(value: float) -> str:
    """Return a finite value exactly, as a significand in [1, 2) times a power of two.

    Parameters
    ----------
    value : float
        Finite.

    Returns
    -------
    str
        For instance ``1.75·2¹⁵``; ``2¹⁵`` for a power of two; ``0`` for zero.
    """
    if value == 0:
        return "0"
    exponent = int(exponent_of(np.float64(value)))
    significand = float(abs(value)) / 2.0**exponent
    sign = "-" if value < 0 else ""
    factor = "" if significand == 1 else f"{significand!r}·"
    return f"{sign}{factor}{power_of_two(exponent)}"
