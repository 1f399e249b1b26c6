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
    views = {field: data.View(code_layout(field), code) for field in f.DOT_FIELDS}
    matches = {
        field.name: fields.prefix == field.prefix if field.prefix else ~fields.prefix.any()
        for field, fields in views.items()
    }
    matches = named(m, matches, name)
    choices = []
    for field, fields in views.items():
        if field.denormal:  # 2^(M - 23): the magnitude 23 - M is {1, 0, ~M}
            choice = {
                "magnitude": Cat(~fields.mantissa, Const(0b10, 2)),
                "negative": Const(1, 1),
                "mantissa": Const(0, 1),
            }
        else:
            hidden = Const(1, 1 if field.exponent_width else 0)
            below = Const(0, f.SIGNIFICAND_WIDTH - 1 - field.mantissa_width)
            choice = {
                "magnitude": Cat(fields.exponent, hidden),
                "negative": fields.exponent_sign,
                "mantissa": Cat(below, fields.mantissa),
            }
        choices.append((matches[field.name], choice))
    # The exponent as sign and magnitude: stored bits under a hidden leading one, no bias.
    magnitude, negative, mantissa = named(m, picked(choices), name).values()

    parts = data.View(SIGN_MAGNITUDE, code)
    something = parts.magnitude.any()
    unpacked = signature(UNPACKED).create(path=(name,))
    m.d.comb += [
        unpacked.sign.eq(parts.sign),
        unpacked.exponent.eq((Cat(magnitude, 0) ^ negative.replicate(6)) + negative),
        unpacked.significand.eq(Cat(mantissa, something)),
        unpacked.zero.eq(~something & ~parts.sign),
        unpacked.nan.eq(~something & parts.sign),
        unpacked.inf.eq(parts.magnitude == f.INF),
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
    """

    def __init__(self) -> None:
        super().__init__({"code": code_port(In)}, UNPACKED)

    def logic(self, m: Module, inputs: Values, stage: Stage) -> Values:
        """Build the decoder."""
        value = decode(m, inputs["code"], "value")
        return stage({name: getattr(value, name) for name in UNPACKED})
