# SPDX-License-Identifier: Apache-2.0
"""FP8 as operands: E4M3, E5M2, and both with a select; they exist for comparison alone.

Imports `hdl.layouts`, `hdl.unit` and `hdl.baselines.fields`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Value
from amaranth.lib import data
from amaranth.lib.wiring import PureInterface

from ..layouts import Operand, signature
from ..unit import named, picked
from .fields import WIDTH, unpacked

MAGNITUDE = WIDTH - 1
"""Bits below the sign."""


@dataclass(frozen=True)
class Minifloat:
    """A format of 8 bits with an exponent, a fraction and subnormals.

    Attributes
    ----------
    name : str
        In lower case.
    exponent_width, fraction_width : int
        Widths of the two fields, in bits.
    infinite : bool
        Whether the highest exponent is kept for infinity and NaNs, as in IEEE 754. If not, there is
        no infinity, and NaN is ones in all bits below the sign.
    """

    name: str
    exponent_width: int
    fraction_width: int
    infinite: bool

    @property
    def bias(self) -> int:
        """What is subtracted from the exponent field."""
        return (1 << self.exponent_width - 1) - 1

    @property
    def beyond(self) -> int:
        """The lowest magnitude above the finite ones: infinity's, or NaN's if there is none."""
        return (1 << MAGNITUDE) - (1 << self.fraction_width if self.infinite else 1)

    @property
    def nan(self) -> int:
        """The magnitude of the NaN that a NaN is encoded as, a quiet one."""
        return self.beyond | (1 << self.fraction_width - 1 if self.infinite else 0)

    @property
    def layout(self) -> data.StructLayout:
        """The fields of a code, from bit 0 up."""
        return data.StructLayout(
            {"fraction": self.fraction_width, "exponent": self.exponent_width, "sign": 1}
        )


E4M3 = Minifloat("e4m3", 4, 3, infinite=False)
E5M2 = Minifloat("e5m2", 5, 2, infinite=True)


def selects(select: Value | None) -> list[Value]:
    """Return a select for each format, of one or of two."""
    return [Const(1, 1)] if select is None else [~select, select]


def decoder(*formats: Minifloat) -> Callable[[Module, Value, str], PureInterface]:
    """Return a decoder, as `Operand.decode` must be, of one format or of two with a select.

    Whatever the format, its fields become those of the wider exponent and the wider fraction; then
    subnormals are normalised.
    """
    width = max(one.fraction_width for one in formats)
    exponent_width = max(one.exponent_width for one in formats)
    narrow = min(one.exponent_width for one in formats)
    bias = max(one.bias for one in formats)
    ports = unpacked(width + 1, 1 - bias - width, bias + 1)

    def fields(one: Minifloat, code: Value) -> dict[str, Value]:
        """Return the fields of a code as they are in the wider format, and its flags."""
        own = data.View(one.layout, code[:WIDTH])
        top, something = own.exponent.all(), own.fraction.any()
        # A wider bias is larger by ones, below the leading bit: where that is 0 they add up to it.
        wider = (~own.exponent[-1]).replicate(exponent_width - one.exponent_width)
        return {
            "exponent": Cat(own.exponent[:-1], wider, own.exponent[-1]),
            "fraction": Cat(Const(0, width - one.fraction_width), own.fraction),
            "normal": own.exponent.any(),
            "nan": top & (something if one.infinite else own.fraction.all()),
            "inf": top & ~something if one.infinite else Const(0, 1),
        }

    def decode(m: Module, code: Value, name: str) -> PureInterface:
        """Add the decoder to a module."""
        select = code[WIDTH] if len(formats) > 1 else None
        choices = zip(selects(select), (fields(one, code) for one in formats), strict=True)
        exponent, fraction, normal, nan, inf = named(m, picked(choices), name).values()
        something = fraction.any()
        significand, zeros = normal_form(normal, fraction)
        value = signature(ports).create(path=(name,))
        m.d.comb += [
            value.sign.eq(code[WIDTH - 1]),
            value.exponent.eq(without_bias(exponent, zeros, narrow)),
            value.significand.eq(Cat(significand, normal | something) & ~nan.replicate(width + 1)),
            value.zero.eq(~normal & ~something),
            value.inf.eq(inf),
            value.nan.eq(nan),
        ]
        return value

    return decode


def normal_form(normal: Value, fraction: Value) -> tuple[Value, Value]:
    """Return the fraction under a leading one, and how far that was below the first bit.

    Parameters
    ----------
    normal : Value
        Whether it is there already.
    fraction : Value
        Of a subnormal, the leading one is in it.
    """
    width = len(fraction)
    at, above = [], normal
    for bit in reversed(fraction):
        at.append(~above & bit)
        above = above | bit
    shifted = picked(
        [(normal, {"fraction": fraction})]
        + [(here, {"fraction": (fraction << k + 1)[:width]}) for k, here in enumerate(at)]
    )["fraction"]
    zeros = Cat(
        Cat(here for k, here in enumerate(at) if k >> bit & 1).any()
        for bit in range((width - 1).bit_length())
    )
    return shifted, zeros


def without_bias(exponent: Value, zeros: Value, narrow: int) -> Value:
    """Return an exponent field less its bias and less the zeros of a subnormal, up to two.

    The bias is one less than the weight of the leading bit, whose inverse is a sign: so one less
    the zeros is left to be added, which is one, nothing, or minus one. Minus one goes to a
    subnormal number of the narrower exponent, whose bits below the sign are so many zeros.
    """
    field = Cat(exponent[:-1], ~exponent[-1], ~exponent[-1])
    up, down = ~zeros.any(), zeros[1:].any()
    flips = [up & field[:k].all() | (down if k < narrow else 0) for k in range(len(field))]
    return (field ^ Cat(flips)).as_signed()


def operand(name: str, *formats: Minifloat) -> Operand:
    """Return one format as an operand, or two, whose codes have a select above them."""
    widest = max(formats, key=lambda one: one.bias)  # has the largest value of all
    width = max(one.fraction_width for one in formats)
    exponent, fraction = divmod(widest.beyond - 1, 1 << widest.fraction_width)
    significand = 1 << widest.fraction_width | fraction
    return Operand(
        name=name,
        width=WIDTH + len(formats) - 1,
        significand_width=width + 1,
        min_exponent=min(1 - one.bias - one.fraction_width for one in formats),
        max_exponent=exponent - widest.bias,
        max_significand=significand << width - widest.fraction_width,
        decode=decoder(*formats),
    )
