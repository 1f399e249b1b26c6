# SPDX-License-Identifier: Apache-2.0
"""The shapes that bits take: HiF8 codes, IEEE words, unpacked values, products.

Imports `golden.format`. This is the only place where a bit position is written down.
"""

from typing import NamedTuple

from amaranth.hdl import Shape, signed
from amaranth.lib import data
from amaranth.lib.wiring import Flow, Member, Out, Signature

from ..golden.format import WIDTH, DotField, FloatFormat


class Port(NamedTuple):
    """A port of an exported module.

    Attributes
    ----------
    member : Member
        Its direction and shape.
    bits : str
        What its bits mean.
    carries : str
        The name of the number format whose words it carries, ``hif8`` or that of a `FloatFormat`;
        empty for anything else.
    """

    member: Member
    bits: str
    carries: str = ""

    @property
    def width(self) -> int:
        """Bits of the port."""
        return Shape.cast(self.member.shape).width

    @property
    def signed(self) -> bool:
        """Whether its bits are two's complement."""
        return Shape.cast(self.member.shape).signed


def code_port(flow: Flow) -> Port:
    """Return the port that carries HiF8 codes."""
    return Port(flow(WIDTH), "HiF8 code", "hif8")


def signature(ports: dict[str, Port]) -> Signature:
    """Return the interface made of a table of ports."""
    return Signature({name: port.member for name, port in ports.items()})


def word_port(word: FloatFormat, flow: Flow) -> Port:
    """Return the port that carries words of an IEEE format."""
    sign, fraction = word.width - 1, word.fraction_width
    return Port(
        flow(word.width),
        f"{word.name.upper()} word: sign [{sign}], exponent [{sign - 1}:{fraction}], "
        f"fraction [{fraction - 1}:0]",
        word.name,
    )


def code_layout(field: DotField) -> data.StructLayout:
    """Return the fields of a code with the given dot field, from bit 0 up.

    ``exponent`` holds the stored magnitude bits, the hidden leading one left out; it has no width
    where D is 0 or 1.
    """
    stored = field.exponent_width > 0
    return data.StructLayout(
        {
            "mantissa": field.mantissa_width,
            "exponent": max(field.exponent_width - 1, 0),
            "exponent_sign": 1 if stored else 0,
            "prefix": field.prefix_width,
            "sign": 1,
        }
    )


def code_pattern(field: DotField) -> str:
    """Return the `Switch` pattern that a code with the given dot field matches."""
    after = WIDTH - 1 - field.prefix_width
    return "-" + format(field.prefix, f"0{field.prefix_width}b") + "-" * after


def float_layout(source: FloatFormat) -> data.StructLayout:
    """Return the fields of an IEEE word, from bit 0 up."""
    return data.StructLayout(
        {"fraction": source.fraction_width, "exponent": source.exponent_width, "sign": 1}
    )


SIGN_MAGNITUDE = data.StructLayout({"magnitude": WIDTH - 1, "sign": 1})
"""A code as its sign and the seven bits below it."""

UNPACKED = {
    "sign": Port(Out(1), "bit 7 of the code"),
    "exponent": Port(Out(signed(6)), "two's complement E, -22 to 15; -23 for zero and NaN"),
    "significand": Port(
        Out(4), "unsigned, hidden bit first: value = significand * 2^(exponent - 3)"
    ),
    "zero": Port(Out(1), "the code is 0x00"),
    "inf": Port(Out(1), "the code is 0x6F or 0xEF"),
    "nan": Port(Out(1), "the code is 0x80"),
}
"""A decoded HiF8 value: (-1)^sign * significand * 2^(exponent - 3), unless a flag is set."""

PRODUCT = {
    "sign": Port(Out(1), "sign of the product; 0 for zero and NaN"),
    "exponent": Port(Out(signed(7)), "two's complement sum of the exponents, -46 to 30"),
    "significand": Port(Out(8), "unsigned, 64 to 225 or 0: value = significand * 2^(exponent - 6)"),
    "inf": Port(Out(1), "the product is infinite"),
    "nan": Port(Out(1), "the product is NaN"),
}
"""An exact product: (-1)^sign * significand * 2^(exponent - 6), unless a flag is set."""
