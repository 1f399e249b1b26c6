# SPDX-License-Identifier: Apache-2.0
"""INT8: an exact product, and 32-bit sums of them; they exist for comparison alone.

Imports `hdl.layouts`, `hdl.mac`, `hdl.unit` and `hdl.baselines.fields`.
"""

from functools import reduce

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out, PureInterface
from amaranth.utils import ceil_log2

from ..layouts import Port
from ..mac import MARKERS
from ..unit import Combinational, Pipeline, Stage, StreamUnit, Values
from .fields import WIDTH

SUM_WIDTH = 32


def codes(count: int) -> Port:
    """Return the port that carries so many numbers side by side, the first lowest."""
    return Port(In(WIDTH * count), f"{count} INT8 in two's complement, the first lowest", "int8")


def lifted(m: Module, a: Value, b: Value, name: str) -> Value:
    """Add the logic of a product plus 2^15, which is unsigned, and return it.

    In two's complement the last bit counts negative, and so do products with one last bit, but
    -xy is (1 - xy) - 1, an inverted bit and a constant (Baugh and Wooley): no sign is extended.
    """
    last = WIDTH - 1
    x, y = a[:last], b[:last]
    rows = [
        x * y,
        Cat(~(x & b[last].replicate(last)), a[last] & b[last]) << last,
        ~(y & a[last].replicate(last)) << last,
        Const(1 << WIDTH),
    ]
    number = Signal(2 * WIDTH, name=name)
    m.d.comb += number.eq(sum(rows))
    return number


def total(m: Module, a: Value, b: Value, *, plain: bool) -> Value:
    """Add the logic that adds up the products of numbers side by side, and return the sum.

    What lifts the products is made up to the value of the highest bit, which then is the sign
    inverted.
    """
    pairs = [(a[k : k + WIDTH], b[k : k + WIDTH]) for k in range(0, len(a), WIDTH)]
    if plain:
        return sum(x.as_signed() * y.as_signed() for x, y in pairs)
    width = 2 * WIDTH + ceil_log2(len(pairs))
    short = (1 << width - 1) - (len(pairs) << 2 * WIDTH - 1)  # 0 for a power of two of pairs
    numbers = [lifted(m, x, y, f"lifted_{k}") for k, (x, y) in enumerate(pairs)]
    raised = Signal(width, name="raised")
    m.d.comb += raised.eq(reduce(lambda x, y: (x + y)[:width], numbers) + short)
    return Cat(raised[:-1], ~raised[-1]).as_signed()


class IntegerMultiply(Combinational):
    """Multiply two INT8 numbers exactly.

    Latency: 0 cycles, combinational.

    Parameters
    ----------
    plain : bool
        Leave multiplication to the synthesiser.

    Members
    -------
    a, b : In(8)
        Two's complement.
    product : Out(signed(16))
        Their product.
    """

    def __init__(self, *, plain: bool = False) -> None:
        self.plain = plain
        outputs = {"product": Port(Out(signed(2 * WIDTH)), "two's complement product")}
        super().__init__({"a": codes(1), "b": codes(1)}, outputs)

    def logic(self, m: Module, inputs: Values, stage: Stage) -> Values:
        """Build the multiplier."""
        return stage({"product": total(m, inputs["a"], inputs["b"], plain=self.plain)})


class IntegerSums(StreamUnit):
    """Add up the products of two vectors of INT8 numbers, so many elements a beat, in 32 bits.

    Latency: 1 cycle from the last beat of a vector to its sum, initiation interval 1.
    Largest K: 2^17 - 1 products a vector; with more it may wrap around.

    Parameters
    ----------
    lanes : int
        Products a beat.
    plain : bool
        Leave multiplication to the synthesiser. Yosys then carries every partial product's sign
        through all bits of the accumulator, which makes almost twice the gates.

    Members
    -------
    i : In(stream.Signature(...))
        `a` and `b`, the elements; `first`, `last`.
    o : Out(stream.Signature(...))
        `sum`, in two's complement.
    """

    max_products = (1 << SUM_WIDTH - 1 - 2 * (WIDTH - 1)) - 1

    def __init__(self, *, lanes: int = 1, plain: bool = False) -> None:
        self.plain = plain
        outputs = {"sum": Port(Out(signed(SUM_WIDTH)), "two's complement sum")}
        inputs = dict.fromkeys(("a", "b"), codes(lanes))
        super().__init__(inputs | MARKERS, outputs, latency=1)

    def flow(self, m: Module, i: PureInterface, o: PureInterface) -> None:
        """Build the datapath: multiply, add up, accumulate."""
        pipe = Pipeline(m, i)
        beat = total(m, i.payload["a"], i.payload["b"], plain=self.plain)
        acc = Signal(signed(SUM_WIDTH), reset_less=True)
        _, taken = pipe.advance(emits=i.payload.last)
        with m.If(taken):
            m.d.sync += acc.eq(Mux(i.payload.first, 0, acc) + beat)
        pipe.finish(o, {"sum": acc})
