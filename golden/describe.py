# SPDX-License-Identifier: Apache-2.0
"""Facts about the format and about single codes, for people.

Imports `golden.format` and `golden.decode`.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from . import format as f
from .decode import VALUES, as_codes, dot_field, unpack

_ORDER = np.array(sorted((c for c in range(256) if c != f.NAN), key=VALUES.__getitem__), np.uint8)
"""All codes but NaN, in the order of their values: from minus to plus infinity."""


@dataclass(frozen=True)
class Description:
    """One code, explained.

    Attributes
    ----------
    code : int
        The code itself.
    sign : int
        Its leading bit.
    dot_field : DotField
        The row of the dot-field table that it belongs to.
    bits : str
        The eight bits, fields apart: sign, dot field, exponent, mantissa.
    kind : str
        ``normal``, ``denormal``, ``zero``, ``infinite`` or ``NaN``.
    exponent : int
        E of its value; see `Unpacked` for the special codes.
    value : float
        What it stands for.
    ulp : float
        The distance to the next value further from zero in the same binade, 2^(E-n); NaN for
        infinities and NaN.
    below, above : int or None
        The codes of the next smaller and the next larger value, if there is one.
    """

    code: int
    sign: int
    dot_field: f.DotField
    bits: str
    kind: str
    exponent: int
    value: float
    ulp: float
    below: int | None
    above: int | None


def describe(code: int) -> Description:
    """Explain one HiF8 code.

    Parameters
    ----------
    code : int
        0 to 255.

    Returns
    -------
    Description
        Its fields, value, ulp and neighbours.

    Raises
    ------
    TypeError
        If `code` is not an integer.
    ValueError
        If `code` is outside 0..255.
    """
    array = as_codes(code, "code")
    if array.ndim:
        raise TypeError(f"code must be a single integer, not {code!r}")
    code = int(array)
    field, fields = dot_field(code), unpack(code)
    text = f"{code:08b}"
    cuts = np.cumsum([0, 1, field.prefix_width, field.exponent_width, field.mantissa_width])
    special = {f.ZERO: "zero", f.NAN: "NaN", f.INF: "infinite", f.INF | f.SIGN_BIT: "infinite"}
    kind = special.get(code, "denormal" if field.denormal else "normal")
    exponent = int(fields.exponent)
    if kind in ("NaN", "infinite"):
        ulp = np.nan
    elif kind == "zero":
        ulp = 2.0**f.MIN_EXPONENT
    else:
        ulp = 2.0 ** (exponent - (0 if field.denormal else field.mantissa_width))
    if kind == "NaN":
        below = above = None
    else:
        place = int(np.flatnonzero(code == _ORDER)[0])
        below = int(_ORDER[place - 1]) if place else None
        above = int(_ORDER[place + 1]) if place + 1 < _ORDER.size else None
    return Description(
        code=code,
        sign=code >> f.WIDTH - 1,
        dot_field=field,
        bits=" ".join(text[a:b] for a, b in pairwise(cuts) if b > a),
        kind=kind,
        exponent=exponent,
        value=float(VALUES[code]),
        ulp=float(ulp),
        below=below,
        above=above,
    )


_FINITE = VALUES[np.isfinite(VALUES)]


@dataclass(frozen=True)
class finfo:  # noqa: N801 - NumPy's name for it
    """The limits of HiF8 under NumPy's names: `finfo.max` or `finfo().max`.

    Every figure is computed from the values of the codes.

    Attributes
    ----------
    bits : int
        Bits of a code.
    eps, epsneg : float
        The distance from 1 to the next larger and to the next smaller value.
    max, min : float
        The largest and the most negative finite value.
    maxexp, minexp : int
        The smallest power of two that overflows, and the smallest of a normal value.
    smallest_normal, smallest_subnormal : float
        The smallest positive value with a fraction, and the smallest of all.
    """

    bits: int = f.WIDTH
    eps: float = float(_FINITE[_FINITE > 1].min() - 1)
    epsneg: float = float(1 - _FINITE[_FINITE < 1].max())
    max: float = float(_FINITE.max())
    min: float = float(_FINITE.min())
    maxexp: int = int(np.frexp(_FINITE.max())[1])
    minexp: int = f.MIN_NORMAL_EXPONENT
    smallest_normal: float = 2.0**minexp
    smallest_subnormal: float = float(_FINITE[_FINITE > 0].min())
