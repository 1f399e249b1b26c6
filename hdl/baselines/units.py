# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The datapath's parts for any operand: decoder, multiplier, and sums under a select.

Imports `hdl.layouts`, `hdl.mac`, `hdl.multiplier`, `hdl.unit` and `hdl.baselines.fields`.
"""

from dataclasses import replace

from amaranth.hdl import Cat, Module, Value
from amaranth.lib.wiring import PureInterface

from ..layouts import Operand, Port
from ..mac import SumOfProducts
from ..multiplier import multiply
from ..unit import Combinational, Stage, StreamUnit, Values
from .fields import SELECT, WIDTH, unpacked


def inputs_of(operand: Operand, *names: str, count: int = 1) -> dict[str, Port]:
    """Return ports that carry so many codes each, and the select if they have two formats."""
    codes = replace(operand, width=WIDTH).port(count)
    return dict.fromkeys(names, codes) | ({"select": SELECT} if operand.width > WIDTH else {})


def selected(code: Value, inputs: Values) -> Value:
    """Return a code, with the select above it if there is one."""
    return Cat(code, inputs.get("select", Cat()))


class Decode(Combinational):
    """Take a code apart.

    Latency: 0 cycles, combinational.

    Parameters
    ----------
    operand : Operand
        The format.

    Members
    -------
    code : In(8)
        A code.
    select : In(1)
        Only with two formats: 1 for the second.
    sign, exponent, significand, zero, inf, nan
        As `unpacked` says.
    """

    def __init__(self, *, operand: Operand) -> None:
        self.operand = operand
        outputs = unpacked(operand.significand_width, operand.min_exponent, operand.max_exponent)
        super().__init__(inputs_of(operand, "code"), outputs)

    def logic(self, m: Module, inputs: Values, stage: Stage) -> Values:
        """Build the decoder."""
        value = self.operand.decode(m, selected(inputs["code"], inputs), "value")
        return stage({name: getattr(value, name) for name in self.outputs})


class Multiply(Combinational):
    """Multiply two codes exactly, as `Multiplier` does those of HiF8.

    Latency: 0 cycles, combinational.

    Parameters
    ----------
    operand : Operand
        The format of both.

    Members
    -------
    a, b : In(8)
        Codes.
    select : In(1)
        Only with two formats: 1 for the second.
    sign, exponent, significand, inf, nan
        As `Operand.product` says.
    """

    def __init__(self, *, operand: Operand) -> None:
        self.operand = operand
        super().__init__(inputs_of(operand, "a", "b"), operand.product())

    def logic(self, m: Module, inputs: Values, stage: Stage) -> Values:
        """Build the multiplier."""
        a, b = (
            self.operand.decode(m, selected(inputs[name], inputs), f"decoded_{name}")
            for name in "ab"
        )
        product = multiply(m, a, b, self.operand, "product")
        return stage({name: getattr(product, name) for name in self.outputs})


class Sums(StreamUnit):
    """`SumOfProducts` of elements whose format is chosen by an input, where there are two.

    Latency: `latency` cycles from the last beat of a vector to its sum, initiation interval 1.
    Largest K: as for `SumOfProducts`.

    Parameters
    ----------
    operand : Operand
        The format of the elements.
    lanes : int
        Products a beat.
    **how
        Further arguments of `SumOfProducts`.

    Members
    -------
    i : In(stream.Signature(...))
        As for `SumOfProducts`, and with two formats `select`.
    o : Out(stream.Signature(...))
        As for `SumOfProducts`.
    """

    def __init__(self, *, operand: Operand, lanes: int = 1, **how: object) -> None:
        self.sums = SumOfProducts(operand=operand, lanes=lanes, **how)
        self.initiation_interval = self.sums.initiation_interval
        self.max_products = self.sums.max_products
        inputs = inputs_of(operand, "a", "b", count=lanes)
        super().__init__(self.sums.inputs | inputs, self.sums.outputs, self.sums.latency)

    def flow(self, m: Module, i: PureInterface, o: PureInterface) -> None:
        """Put the select above every code."""
        inner = self.sums.i.signature.flip().create(path=("selected",))
        m.d.comb += [inner.valid.eq(i.valid), i.ready.eq(inner.ready)]
        inputs = {name: i.payload[name] for name in self.inputs}
        for name in self.sums.inputs:
            value = inputs[name]
            if name in ("a", "b"):
                codes = (value[k : k + WIDTH] for k in range(0, len(value), WIDTH))
                value = Cat(selected(code, inputs) for code in codes)
            m.d.comb += inner.payload[name].eq(value)
        self.sums.flow(m, inner, o)
