# SPDX-License-Identifier: Apache-2.0
"""HiF8 code to sign, exponent, significand and flags.

Imports `golden.format`, `hdl.layouts` and `hdl.unit`.
"""

from amaranth.hdl import Cat, Const, Module, Value
from amaranth.lib import data
from amaranth.lib.wiring import In, PureInterface

from ..golden import format as f
from .layouts import (
    SIGN_MAGNITUDE,
    UNPACKED,
    Operand,
    code_layout,
    code_port,
    signature,
)
from .unit import Combinational, Stage, Values, named, picked


def take_apart(m: Module, code: Value, name: str) -> Values:
    """Add the logic that tells the fields of a code, its exponent as sign and magnitude.

    Parameters
    ----------
    m, code, name
        As for `decode`.

    Returns
    -------
    dict of Value
        ``magnitude``, |E| in five bits, and ``negative``, whether E < 0; ``mantissa``, three bits,
        left-aligned; ``denormal``, whether the dot field is that of denormals, zero and NaN;
        ``nothing``, whether the code is zero or NaN; ``inf``.
    """
    views = {field: data.View(code_layout(field), code) for field in reversed(f.DOT_FIELDS)}
    matches = {
        field.name: fields.prefix == field.prefix if field.prefix else ~fields.prefix.any()
        for field, fields in views.items()
    }
    matches = named(m, matches, name)
    denormal = matches[f.DOT_FIELDS[-1].name]

    # The exponent as it is stored: magnitude bits under a hidden leading one, no bias.
    exponents = []
    for field, fields in views.items():
        hidden = Const(1, 1 if field.exponent_width else 0)
        choice = {"magnitude": Cat(fields.exponent, hidden), "negative": fields.exponent_sign}
        if field.denormal:  # 2^(M - 23): the magnitude 23 - M is {1, 0, ~M}
            choice = {
                "magnitude": Cat(~fields.mantissa, Const(0b10, 2)),
                "negative": Const(1, 1),
            }
        exponents.append((matches[field.name], choice))

    # The mantissa is in the lowest bits; where it is as wide as it can be, it is all of them. The
    # prefix of fields with less begins with 1.
    width = f.SIGNIFICAND_WIDTH - 1
    narrow = {field: fields for field, fields in views.items() if field.mantissa_width < width}
    fewer = next(iter(narrow.values())).prefix[-1]
    mantissas = [(~(denormal | fewer), {"mantissa": code[:width]})]
    for field, fields in narrow.items():
        below = Const(0, width - field.mantissa_width)
        mantissas.append((matches[field.name], {"mantissa": Cat(below, fields.mantissa)}))

    magnitude = data.View(SIGN_MAGNITUDE, code).magnitude
    flags = {"nothing": ~magnitude.any(), "inf": magnitude == f.INF}
    fields = named(m, picked(exponents) | picked(mantissas) | flags, name)
    return fields | {"denormal": denormal}


def decode(m: Module, code: Value, name: str) -> PureInterface:
    """Add the logic that takes an HiF8 code apart.

    Parameters
    ----------
    m : Module
        Receives the logic.
    code : Value
        Eight bits.
    name : str
        Begins the names of the signals made.

    Returns
    -------
    interface with the ports `UNPACKED`
        The fields, as the ports of `Decoder` carry them.
    """
    fields = take_apart(m, code, name)
    magnitude, negative = fields["magnitude"], fields["negative"]
    # A negated number keeps its lowest one and what is below; all above is inverted. Of the two
    # highest bits, E < 0 has both set, but for denormals below 2^-16.
    inverted = (negative & magnitude[:k].any() for k in range(4))
    last = data.View(code_layout(f.DOT_FIELDS[-1]), code).mantissa.all()
    exponent = Cat(
        (bit ^ invert for invert, bit in zip(inverted, magnitude, strict=False)),
        negative & ~(fields["denormal"] & ~last),
        negative,
    )
    sign = data.View(SIGN_MAGNITUDE, code).sign
    unpacked = signature(UNPACKED).create(path=(name,))
    m.d.comb += [
        unpacked.sign.eq(sign),
        unpacked.exponent.eq(exponent),
        unpacked.significand.eq(Cat(fields["mantissa"], ~fields["nothing"])),
        unpacked.zero.eq(fields["nothing"] & ~sign),
        unpacked.nan.eq(fields["nothing"] & sign),
        unpacked.inf.eq(fields["inf"]),
    ]
    return unpacked


HIF8 = Operand(
    name="hif8",
    width=f.WIDTH,
    significand_width=f.SIGNIFICAND_WIDTH,
    min_exponent=f.MIN_EXPONENT,
    max_exponent=f.MAX_EXPONENT,
    max_significand=1 << f.SIGNIFICAND_WIDTH - 1,  # 2^15, for infinity has the slot of 1.5 * 2^15
    decode=decode,
)
"""HiF8 as what the datapath of products multiplies."""


class Decoder(Combinational):
    """Take an HiF8 code apart.

    The value is (-1)^sign * significand * 2^(exponent - 3), unless `inf` or `nan` is set. Every
    output is defined for every code: zero and NaN have exponent -23 and significand 0, infinities
    have the contents of their slot, exponent 15 and significand 12.

    Latency: 0 cycles, combinational.

    Members
    -------
    code : In(8)
        HiF8 code.
    sign : Out(1)
        Bit 7 of the code.
    exponent : Out(signed(6))
        E, -23 to 15.
    significand : Out(4)
        Hidden bit and three mantissa bits, left-aligned.
    zero, inf, nan : Out(1)
        What the code stands for, at most one of them set.

    Notes
    -----
    The exponent is stored as sign and magnitude, so it has no bias to take off. It is chosen among
    the dot fields first and negated then, once for all of them, by inverting what is above its
    lowest one: no carry runs.
    """

    def __init__(self) -> None:
        super().__init__({"code": code_port(In)}, UNPACKED)

    def logic(self, m: Module, inputs: Values, stage: Stage) -> Values:
        """Build the decoder."""
        value = decode(m, inputs["code"], "value")
        return stage({name: getattr(value, name) for name in UNPACKED})
