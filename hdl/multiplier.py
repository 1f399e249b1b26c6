# SPDX-License-Identifier: Apache-2.0
"""Two HiF8 codes to their exact product.

Imports `hdl.decoder` and `hdl.layouts`.
"""

from amaranth.hdl import Elaboratable, Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .decoder import decode
from .layouts import Port, code_port, signature


class Multiplier(wiring.Component):
    """Multiply two HiF8 codes exactly.

    The product is (-1)^sign * significand * 2^(exponent - 6), unless `inf` or `nan` is set. It is
    NaN if an operand is NaN and for zero times infinity, else infinite if an operand is. A zero
    product is +0. Every output is defined for every pair: `exponent` and `significand` are the sum
    and the product of what `Decoder` gives, whatever the flags.

    Latency: 0 cycles, combinational.

    Members
    -------
    a, b : In(8)
        HiF8 codes.
    sign : Out(1)
        Sign of the product; 0 for zero and NaN.
    exponent : Out(signed(7))
        Sum of the exponents, -46 to 30; -44 to 30 unless an operand is zero or NaN.
    significand : Out(8)
        64 to 225; 0 for zero and NaN.
    inf, nan : Out(1)
        What the product is, at most one of them set.
    """

    latency = 0

    def __init__(self) -> None:
        self.ports = {
            "a": code_port(In),
            "b": code_port(In),
            "sign": Port(Out(1), "sign of the product; 0 for zero and NaN"),
            "exponent": Port(Out(signed(7)), "two's complement sum of the exponents, -46 to 30"),
            "significand": Port(
                Out(8), "unsigned, 64 to 225 or 0: value = significand * 2^(exponent - 6)"
            ),
            "inf": Port(Out(1), "the product is infinite"),
            "nan": Port(Out(1), "the product is NaN"),
        }
        super().__init__(signature(self.ports))

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the multiplier: two decoders, one small product, one sum."""
        m = Module()
        left = decode(m, self.a, "left")
        right = decode(m, self.b, "right")
        m.d.comb += [
            self.nan.eq(left.nan | right.nan | left.zero & right.inf | left.inf & right.zero),
            self.inf.eq((left.inf | right.inf) & ~self.nan),
            # A value is neither zero nor NaN exactly if its hidden bit is set.
            self.sign.eq((left.sign ^ right.sign) & left.significand[-1] & right.significand[-1]),
            self.exponent.eq(left.exponent + right.exponent),
            self.significand.eq(left.significand * right.significand),
        ]
        return m
