# SPDX-License-Identifier: Apache-2.0
"""Rounding to the nearest value of any format that HiF8 is compared with.

Imports `golden.encode`, which rounds to HiF8, and `others`, which knows posits. The tables of the
other formats are made of their fields, so that `ml_dtypes` is an oracle for them.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .encode import as_floats
from .encode import quantize as to_hif8
from .others import posit_value

Values = npt.NDArray[np.float64]


class Fields(NamedTuple):
    """The fields of a float of sign, biased exponent and fraction, with subnormals.

    Attributes
    ----------
    exponent_width, fraction_width : int
        In bits.
    infinities : bool
        Whether the highest exponent is that of infinities and NaN, as IEEE 754 has it; otherwise
        the highest code alone is NaN (Open Compute Project, 8-bit Floating Point Specification).
    """

    exponent_width: int
    fraction_width: int
    infinities: bool = True


FLOATS = {
    "e4m3": Fields(4, 3, infinities=False),
    "e5m2": Fields(5, 2),
    "fp16": Fields(5, 10),
    "bf16": Fields(8, 7),
}
NAMES = ("hif8", "posit8", "int8", *FLOATS)
"""The formats that `quantize` knows."""


def magnitudes(name: str) -> Values:
    """Return the value of every code with sign 0, exact, in the order of the codes.

    Parameters
    ----------
    name : str
        ``posit8``, ``int8`` or one of `FLOATS`. Infinity and NaN come last.
    """
    if name == "int8":
        return np.arange(128.0)
    if name == "posit8":
        return np.array([posit_value(code) for code in range(128)])
    e, m, infinities = FLOATS[name]
    codes = np.arange(1 << e + m)
    exponent, fraction = codes >> m, codes & (1 << m) - 1
    significand = (fraction + (exponent > 0) * (1 << m)).astype(np.float64)
    values = np.ldexp(significand, np.maximum(exponent, 1) - ((1 << e - 1) - 1) - m)
    if infinities:
        values[-1 << m] = np.inf
        values[1 - (1 << m) :] = np.nan
    else:
        values[-1] = np.nan
    return values


class _Steps(NamedTuple):
    """Numbers above edges[k - 1], and not above edges[k], become values[k]."""

    edges: Values
    values: Values


@cache
def _steps(name: str, *, saturate: bool) -> _Steps:
    """Return a format's staircase above zero; ties go to even codes."""
    values = magnitudes(name)
    if name == "posit8":
        # Between two posits lies a posit of one bit more, where the standard's rounding of the bit
        # string goes from one to the other; nothing but zero becomes zero, nothing NaR.
        edges = np.array([0, *(posit_value(2 * code + 1, width=9) for code in range(1, 127))])
    else:
        finite = values[np.isfinite(values)]
        saturate = saturate or name == "int8"
        last, beyond = finite[-1], 2 * finite[-1] - finite[-2]
        steps = np.append(finite, beyond)
        edges = (steps[1:] + steps[:-1]) / 2
        values = np.append(finite, last if saturate else values[finite.size])
    odd = np.arange(edges.size) % 2 == 1
    return _Steps(np.where(odd, np.nextafter(edges, 0), edges), values)


def quantize(x: npt.ArrayLike, name: str, *, saturate: bool = False) -> np.ndarray:
    """Round values to the nearest that a format has.

    Parameters
    ----------
    x : array_like of float16, bfloat16, float32 or float64
        Any shape.
    name : str
        One of `NAMES`. ``hif8`` rounds ties away from zero (TA), the others to even codes;
        ``posit8``, posit(8,2), by its bit string, as its standard has it; ``int8`` to whole numbers
        of magnitude 127 or less.
    saturate : bool
        Give the largest finite value for what is beyond it, infinity included. Otherwise that is
        infinity, or NaN in E4M3, which has none; posits and integers always saturate.

    Returns
    -------
    numpy.ndarray of float32 or float64
        Of the shape of `x`; float64 for float64. NaN stays NaN, and zero keeps its sign but in
        HiF8, posits and integers, which have one zero.

    Raises
    ------
    TypeError
        If `x` is not floating point.
    ValueError
        If there is no such format.
    """
    if name not in NAMES:
        raise ValueError(f"name must be one of {', '.join(NAMES)}, not {name!r}")
    array, source = as_floats(x)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        array = array.astype(np.float64 if source.width == 64 else np.float32, copy=False)
        if name == "hif8":
            return to_hif8(array, saturate=saturate)
        edges, values = _steps(name, saturate=saturate)
        size = np.abs(array)
        rounded = values.astype(array.dtype)[np.searchsorted(edges, size)]
        rounded = np.where(np.isnan(size), array, np.copysign(rounded, array))
        return rounded if name in FLOATS else rounded + 0  # their one zero is positive
