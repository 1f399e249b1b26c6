# SPDX-License-Identifier: Apache-2.0
"""Two HiF8 codes to their exact product.

Imports `hdl.decoder` and `hdl.layouts`.
"""

from amaranth.hdl import Module
from amaranth.lib.wiring import PureInterface

from .decoder import HIF8
from .layouts import Operand, signature
from .unit import Combinational, Stage, Values


def multiply(
    m: Module, a: PureInterface, b: PureInterface, operand: Operand, name: str
) -> PureInterface:
    """Add the logic that multiplies two decoded values exactly.

    Parameters
    ----------
    m : Module
        Receives the logic.
    a, b : interface
        What the operand's decoder gives.
    operand : Operand
        The format of both.
    name : str
        Begins the names of the signals made.

    Returns
    -------
    interface with the ports `Operand.product`
        The fields, as the ports of `Multiplier` carry them.
    """
    product = signature(operand.product()).create(path=(name,))
    m.d.comb += [
        # A value is neither zero nor NaN exactly if its hidden bit is set.
        product.sign.eq((a.sign ^ b.sign) & a.significand[-1] & b.significand[-1]),
        product.exponent.eq(a.exponent + b.exponent),
        product.significand.eq(a.significand * b.significand),
        product.nan.eq(a.nan | b.nan | a.zero & b.inf | a.inf & b.zero),
        product.inf.eq((a.inf | b.inf) & ~product.nan),
    ]
    return product


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
        super().__init__({"a": HIF8.port(), "b": HIF8.port()}, HIF8.product())

    def logic(self, m: Module, inputs: Values, stage: Stage) -> Values:
        """Build the multiplier: two decoders, one small product, one sum."""
        a, b = (HIF8.decode(m, inputs[name], f"decoded_{name}") for name in ("a", "b"))
        product = multiply(m, a, b, HIF8, "product")
        return stage({name: getattr(product, name) for name in self.outputs})
