# SPDX-License-Identifier: Apache-2.0
"""Two HiF8 codes to their exact product.

Imports `hdl.decoder` and `hdl.layouts`.
"""

import itertools

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.wiring import PureInterface

from .decoder import HIF8
from .layouts import Operand, signature
from .unit import Combinational, Stage, Values


def add_columns(m: Module, columns: list[list[Value]], name: str) -> Value:
    """Add the logic that adds up bits that stand in columns.

    A full adder takes three bits of a column, or two, and leaves their sum there and a carry in the
    next column. Sums are taken again first and carries last, when they have had the time.

    Parameters
    ----------
    m : Module
        Receives the logic.
    columns : list of list of Value
        The bits of each weight, 1 first; as many columns as the sum has bits.
    name : str
        Ends the names of the signals made.

    Returns
    -------
    Value
        The sum.
    """
    columns = [list(column) for column in columns]
    for weight, column in enumerate(columns):
        while len(column) > 1:
            a, b, c = [*column, Const(0, 1)][:3]
            step = f"{weight}_{len(column)}_{name}"
            half, total, carry = (Signal(name=f"{x}_{step}") for x in ("half", "sum", "carry"))
            m.d.comb += [half.eq(a ^ b), total.eq(half ^ c), carry.eq(a & b | half & c)]
            column[:3] = [total]
            columns[weight + 1].append(carry)
    return Cat(columns)


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
    # (1 + p) * (1 + q) = p + q + p * q + 1, p and q being what is below the hidden ones.
    point = operand.significand_width - 1
    p, q = a.significand[:point], b.significand[:point]
    columns: list[list[Value]] = [[] for _ in range(2 * point + 2)]
    for place in range(point):
        columns[point + place] += [p[place], q[place]]
    for i, j in itertools.product(range(point), repeat=2):
        columns[i + j].append(p[i] & q[j])
    columns[2 * point].append(Const(1, 1))
    bits = add_columns(m, columns, name)

    # A value is neither zero nor NaN exactly if its hidden bit is set. If it is zero, so is p * q.
    something = Signal(name=f"{name}_something")
    product = signature(operand.product()).create(path=(name,))
    m.d.comb += [
        something.eq(a.significand[-1] & b.significand[-1]),
        product.sign.eq((a.sign ^ b.sign) & something),
        product.exponent.eq(a.exponent + b.exponent),
        product.significand.eq(Cat(bits[:point], bits[point:] & something.replicate(point + 2))),
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

    Notes
    -----
    With the hidden ones taken out, (1 + p)(1 + q) = 1 + p + q + pq, a multiplier of n bits becomes
    one of n - 1 bits and needs no product for them; where a factor is zero, what they and the sum
    give is struck out at the end.
    """

    def __init__(self) -> None:
        super().__init__({"a": HIF8.port(), "b": HIF8.port()}, HIF8.product())

    def logic(self, m: Module, inputs: Values, stage: Stage) -> Values:
        """Build the multiplier: two decoders, one small product, one sum."""
        a, b = (HIF8.decode(m, inputs[name], f"decoded_{name}") for name in ("a", "b"))
        product = multiply(m, a, b, HIF8, "product")
        return stage({name: getattr(product, name) for name in self.outputs})
