# SPDX-License-Identifier: Apache-2.0
"""What all formats of the comparison share: the fields of a decoded value, and the select of two.

Imports `hdl.layouts`.
"""

from amaranth.hdl import Shape
from amaranth.lib.wiring import In, Out

from ..layouts import Port

WIDTH = 8
"""Bits of a code, in every format."""

SELECT = Port(In(1), "which of two formats the codes have")


def unpacked(significand_width: int, low: int, high: int) -> dict[str, Port]:
    """Return the fields of a decoded value whose exponent is in low..high, or low - 1 for zero."""
    return {
        "sign": Port(Out(1), "bit 7 of the code"),
        "exponent": Port(Out(Shape.cast(range(low - 1, high + 1))), "two's complement"),
        "significand": Port(
            Out(significand_width),
            f"unsigned, hidden bit first: value = significand * 2^(exponent - "
            f"{significand_width - 1})",
        ),
        "zero": Port(Out(1), "the code is a zero"),
        "inf": Port(Out(1), "the code is an infinity"),
        "nan": Port(Out(1), "the code is NaN"),
    }
