# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The shapes that bits take: HiF8 codes, IEEE words, unpacked values, products.

Imports `golden.format`. This is the only place where a bit position is written down.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from amaranth.hdl import Module, Shape, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import Flow, In, Member, Out, PureInterface, Signature

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

SUM_FLAGS = {
    "nan": Port(Out(1), "the sum is NaN"),
    "plus_inf": Port(Out(1), "the sum is plus infinity"),
    "minus_inf": Port(Out(1), "the sum is minus infinity"),
}
"""What a sum of products is besides a number; at most one is set."""


@dataclass(frozen=True)
class Operand:
    """A format of 8 bits or so that can be multiplied: what the datapath must know of it.

    A value is (-1)^sign * significand * 2^(exponent - significand_width + 1), and an integer
    multiple of 2^min_exponent.

    Attributes
    ----------
    name : str
        What `Port.carries` calls it.
    width : int
        Bits of a code.
    significand_width : int
        Bits of a significand, the hidden one included.
    min_exponent, max_exponent : int
        Exponents of the smallest and the largest finite magnitude.
    max_significand : int
        Significand of the largest finite magnitude.
    decode : callable
        ``decode(m, code, name)`` adds a decoder to a module and returns an interface with `sign`,
        `exponent`, `significand` (left-aligned: 0 for zero and NaN, and with its highest bit set
        for all else, infinities too), `zero` (of either sign), `inf` and `nan`.
    """

    name: str
    width: int
    significand_width: int
    min_exponent: int
    max_exponent: int
    max_significand: int
    decode: Callable[[Module, Value, str], PureInterface]

    @cached_property
    def unpacked(self) -> data.StructLayout:
        """The layout of a decoded value: `UNPACKED`, in the widths of the format's decoder."""
        value = self.decode(Module(), Signal(self.width), "value")
        return data.StructLayout({name: getattr(value, name).shape() for name in UNPACKED})

    @property
    def product_unit(self) -> int:
        """The exponent of two that every product is an integer multiple of."""
        return 2 * self.min_exponent

    @property
    def product_point(self) -> int:
        """How many bits of a product's significand are a fraction."""
        return 2 * (self.significand_width - 1)

    @property
    def product_width(self) -> int:
        """Bits of the largest finite product, in units of 2^product_unit."""
        largest = self.max_significand**2 << 2 * (self.max_exponent - self.min_exponent)
        return (largest >> self.product_point).bit_length()

    def port(self, count: int = 1) -> Port:
        """Return the port that carries so many codes side by side, the first lowest."""
        if count == 1:
            return Port(In(self.width), f"{self.title} code", self.name)
        return Port(
            In(self.width * count),
            f"{count} {self.title} codes, number k in [{self.width}k+{self.width - 1}:"
            f"{self.width}k]",
        )

    @property
    def title(self) -> str:
        """What prose calls it."""
        return {"hif8": "HiF8"}.get(self.name, self.name.upper())

    def codes(self, value: Value) -> list[Value]:
        """Return the codes that stand side by side in a value."""
        return [value[k : k + self.width] for k in range(0, len(value), self.width)]

    def product(self) -> dict[str, Port]:
        """Return the fields of an exact product: a value of twice the significand bits."""
        low, high = self.product_unit, 2 * self.max_exponent
        exponent = range(low - 2, high + 1)
        point = self.product_point
        top = (1 << self.significand_width) - 1
        return {
            "sign": Port(Out(1), "sign of the product; 0 for zero and NaN"),
            "exponent": Port(
                Out(Shape.cast(exponent)),
                f"two's complement sum of the exponents, {low - 2} to {high}",
            ),
            "significand": Port(
                Out(2 * self.significand_width),
                f"unsigned, {1 << point} to {top**2} or 0: value = significand * 2^(exponent - "
                f"{point})",
            ),
            "inf": Port(Out(1), "the product is infinite"),
            "nan": Port(Out(1), "the product is NaN"),
        }
