# SPDX-License-Identifier: Apache-2.0
"""Two HiF8 codes to their exact product.

Imports `hdl.decoder` and `hdl.layouts`.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import In

from .decoder import decode
from .layouts import PRODUCT, code_port
from .unit import Combinational, Stage, Values


class Multiplier(Combinational):
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

    def __init__(self) -> None:
        super().__init__({"a": code_port(In), "b": code_port(In)}, PRODUCT)

    def logic(self, m: Module, inputs: Values, stage: Stage) -> Values:
        """Build the multiplier: two decoders, one small product, one sum."""
        a = decode(m, inputs["a"], "left")
        b = decode(m, inputs["b"], "right")
        nan = Signal()
        m.d.comb += nan.eq(a.nan | b.nan | a.zero & b.inf | a.inf & b.zero)
        return stage(
            {
                # A value is neither zero nor NaN exactly if its hidden bit is set.
                "sign": (a.sign ^ b.sign) & a.significand[-1] & b.significand[-1],
                "exponent": a.exponent + b.exponent,
                "significand": a.significand * b.significand,
                "inf": (a.inf | b.inf) & ~nan,
                "nan": nan,
            }
        )
