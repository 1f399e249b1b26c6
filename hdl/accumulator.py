# SPDX-License-Identifier: Apache-2.0
"""Two ways to add up exact products: a fixed-point sum that never rounds, and an FP32 word.

Imports `golden.format`, `hdl.layouts`, `hdl.shifts`, `hdl.slots` and `hdl.unit`. Both are logic
without registers in the same parts, so that whatever multiplies and adds takes the one or the
other: `state` says what the state is, `addend` puts the products of a beat together, and `next`
adds that to a state. Where a part may be cut by registers it calls `stage`.
"""

from functools import reduce
from itertools import pairwise
from operator import or_
from typing import ClassVar

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out, PureInterface
from amaranth.utils import ceil_log2

from ..golden import format as f
from .layouts import SUM_FLAGS, Operand, Port, float_layout, word_port
from .shifts import normalise, shift_right
from .slots import placed, turned
from .unit import Stage, Values, named

MAX_PRODUCTS = 1 << 20
"""How many products an exact sum has room for, unless the user asks for another number."""


def exact_width(operand: Operand, max_products: int) -> int:
    """Return the bits of a two's complement sum of so many products, in units of the smallest.

    The largest product is below 2^product_width, so the magnitude of a sum is below
    2^(product_width + ceil(log2(max_products))): with one bit more, the sign's, it fits. For HiF8
    and 2^20 products that is 75 + 20 + 1 = 96 bits; the largest sum is 2^20 times 2^30, 2^94 units.
    """
    return operand.product_width + ceil_log2(max_products) + 1


def fixed_point(m: Module, operand: Operand, products: list[PureInterface]) -> Values:
    """Add the logic that adds up the finite products of a beat, exactly.

    Returns
    -------
    dict of Value
        ``total``, signed, in units of 2^product_unit.
    """
    terms = [
        placed(m, operand, turned(m, operand, product, f"product_{k}"), f"product_{k}")
        for k, product in enumerate(products)
    ]
    sign = 1 << operand.product_width
    total = Signal(signed(operand.product_width + 1 + ceil_log2(len(terms))), name="total")
    # Each number with its sign bit inverted is one without a sign, and greater by twice that bit.
    raised = [term["total"].as_unsigned() ^ sign for term in terms]
    m.d.comb += total.eq(sum(raised) + sum(term["carry"] for term in terms) - sign * len(terms))
    return {"total": total}


def any_flags(products: list[PureInterface]) -> Values:
    """Return what special products make of the sum of a beat, not yet of one another."""
    return {
        "nan": reduce(or_, (p.nan for p in products)),
        "plus_inf": reduce(or_, (p.inf & ~p.sign for p in products)),
        "minus_inf": reduce(or_, (p.inf & p.sign for p in products)),
    }


def join_flags(a: Values, b: Values) -> Values:
    """Return the flags of a sum of two: NaN stays, infinities stay, of both signs are NaN."""
    plus, minus = (a[name] | b[name] for name in ("plus_inf", "minus_inf"))
    nan = a["nan"] | b["nan"] | plus & minus
    return {"nan": nan, "plus_inf": plus & ~nan, "minus_inf": minus & ~nan}


class Exact:
    """A Kulisch accumulator: a fixed-point sum wide enough for every product, and sticky flags.

    Parameters
    ----------
    operand : Operand
        What is multiplied.
    lanes : int
        Products a beat.
    max_products : int
        How many products a sum may have; with more it may wrap around.

    Attributes
    ----------
    initial : dict of Port
        What a sum may start from, besides nothing: nothing.
    state : dict of Port
        ``sum``, the sum of the finite products in units of the smallest, and the flags.
    stages, adder_stages : int
        How often `addend` and `add` call `stage`.
    more_stages : int
        Whether `put` gives a further place for a register.
    most_segments : int
        In how many pieces the sum may be cut.
    """

    initial: ClassVar[dict[str, Port]] = {}
    stages = 1
    adder_stages = 0
    most_segments = 8

    def __init__(self, *, operand: Operand, lanes: int, max_products: int = MAX_PRODUCTS) -> None:
        if max_products < lanes:
            raise ValueError(f"max_products must be at least lanes, {lanes}, not {max_products!r}")
        self.operand = operand
        self.max_products = max_products
        self.more_stages = int(lanes == 1)
        width = exact_width(operand, max_products)
        unit = operand.product_unit
        self.state = {
            "sum": Port(
                Out(signed(width)),
                f"two's complement sum of the finite products, in units of 2^{unit}",
            ),
            **SUM_FLAGS,
        }

    def addend(self, m: Module, products: list[PureInterface], stage: Stage) -> Values:
        """Build the exact sum of a beat's products; of one alone, what `slots.placed` asks for."""
        if len(products) == 1:
            values = turned(m, self.operand, products[0], "product")
        else:
            values = fixed_point(m, self.operand, products)
        return stage({**values, **any_flags(products)})

    def put(self, m: Module, addend: Values) -> Values:
        """Return the addend of a single product in its place, for a register more."""
        flags = {key: addend[key] for key in SUM_FLAGS}
        return {**placed(m, self.operand, addend, "product"), **flags}

    def cut(self, segments: int) -> list[range]:
        """Return the bits of a sum in so many pieces."""
        width = self.state["sum"].width
        ends = [width * k // segments for k in range(segments + 1)]
        return [range(*pair) for pair in pairwise(ends)]

    def next(
        self,
        m: Module,
        state: Values,
        addend: Values,
        *,
        first: Value,
        taken: Value,
        name: str,
        bits: range | None = None,
    ) -> Values:
        """Build the adder: return what the registers of a state take at every clock edge.

        While no beat is taken nothing is added, which costs less than holding each bit.

        Parameters
        ----------
        m : Module
            Receives the logic.
        state : dict of Value
            ``sum``, and the flags or none of them.
        addend : dict of Value
            From `addend` or `put`; ``below`` is what the bits below carry, if there are any.
        first, taken : Value
            Whether the sum begins with this beat, and whether there is a beat.
        name : str
            Begins the names of the signals made.
        bits : range, optional
            Those of the whole sum that the state has, by default all.

        Returns
        -------
        dict of Value
            The next state, and ``carry``, which the bits above are to take.
        """
        adds, begins = (Signal(name=f"{name}_{what}") for what in ("adds", "begins"))
        m.d.comb += [adds.eq(taken), begins.eq(first & taken)]
        before = {key: value & ~begins.replicate(len(value)) for key, value in state.items()}
        if "frame" in addend:
            here = {key: addend[key] & adds for key in ("finite", "negative")}
            there = placed(m, self.operand, addend | named(m, here, name), name)
        else:
            total = addend["total"].as_unsigned() & adds.replicate(len(addend["total"]))
            there = {"total": total, "carry": addend.get("carry", Const(0, 1)) & adds}
        bits = bits or range(self.state["sum"].width)
        below = addend["below"] & adds if bits.start else there["carry"]
        total = Cat(there["total"], there["total"][-1].replicate(bits.stop))[bits.start : bits.stop]
        added = Signal(len(total) + 2, name=f"{name}_added")
        m.d.comb += added.eq(Cat(1, before["sum"]) + Cat(below, total))  # a carry is added below
        after = {"sum": added[1:-1], "carry": added[-1]}
        flags = [key for key in SUM_FLAGS if key in state]
        if flags:
            was = named(m, {key: before[key] for key in flags}, f"{name}_before")
            after |= join_flags(was, {key: addend[key] & adds for key in flags})
        return after


class Fp32:
    """An FP32 accumulator: acc + sum of products, rounded once a beat to nearest even.

    Bit-exact with IEEE binary32 addition of the beat's exact sum; a NaN is 0x7FC00000, a zero that
    comes of adding is +0. It never overflows: a beat adds less than 2^36, which no longer
    changes a word from 2^61 on.

    Parameters
    ----------
    operand : Operand
        What is multiplied. Its products must be normal numbers of FP32.
    lanes : int
        Products a beat.

    Attributes
    ----------
    initial : dict of Port
        ``acc``, the FP32 word that a sum starts from.
    state : dict of Port
        ``sum``, an FP32 word.
    stages, adder_stages : int
        How often `addend` and `add` call `stage`.
    """

    adder_stages = 2
    more_stages = 0
    most_segments = 1
    max_products = None

    def __init__(self, *, operand: Operand, lanes: int) -> None:
        self.operand = operand
        self.stages = 1 if lanes == 1 else 2
        acc = word_port(f.FP32, In)
        self.initial = {"acc": acc._replace(bits=f"{acc.bits}; what the sum starts from")}
        self.state = {"sum": word_port(f.FP32, Out)}

    def addend(self, m: Module, products: list[PureInterface], stage: Stage) -> Values:
        """Build the exact sum of a beat's products: sign, biased exponent, leading-one significand.

        Zero has exponent 0, below every other.
        """
        if len(products) == 1:
            [product] = products
            significand, zeros = normalise_product(m, product)
            exponent = product.exponent + (f.FP32.bias + 1) - zeros
            sign = product.sign
            flags = any_flags(products)
        else:
            cut = stage({**fixed_point(m, self.operand, products), **any_flags(products)})
            flags = {name: cut[name] for name in SUM_FLAGS}
            total = cut["total"]
            sign = total[-1]
            magnitude = Signal(len(total), name="total_magnitude")
            m.d.comb += magnitude.eq((total ^ sign.replicate(len(total))) + sign)
            significand, zeros = normalise(m, magnitude, "total")
            top = self.operand.product_unit + len(total) - 1 + f.FP32.bias
            exponent = Const(top, 8) - zeros
        field = Signal(8, name="addend_exponent")
        m.d.comb += field.eq(exponent[:8] & significand[-1].replicate(8))
        return stage({"sign": sign, "exponent": field, "significand": significand, **flags})

    def start(self, beat: Values) -> Values:
        """Return the state before the first product."""
        return {"sum": beat["acc"]}

    def next(
        self, m: Module, state: Values, addend: Values, *, first: Value, taken: Value, name: str
    ) -> Values:
        """Return what the registers of a state that starts from zero take at every clock edge."""
        zero = self.start({"acc": Const(0, 32)})
        before = {key: Mux(first, zero[key], value) for key, value in state.items()}
        added = self.add(m, named(m, before, f"{name}_before"), addend, lambda values: values)
        return {key: Mux(taken, added[key], value) for key, value in state.items()}

    def add(self, m: Module, state: Values, addend: Values, stage: Stage) -> Values:
        """Build the adder: order, align, add; normalise, round."""
        acc = data.View(float_layout(f.FP32), state["sum"])
        width = max(24, len(addend["significand"]))
        # With zero added a subnormal must come out as it is: with a hidden bit, which is then
        # dropped, it passes like a normal number. With more added it is too small to matter but for
        # being there, and may do without.
        nothing = ~addend["significand"][-1]
        hidden = acc.exponent.any() | nothing & acc.fraction.any()

        def key(exponent: Value, significand: Value) -> Value:
            """Return exponent over significand, which is in the order of the magnitudes."""
            return Cat(Const(0, width - len(significand)), significand, exponent)

        ours = key(acc.exponent, Cat(acc.fraction, hidden))
        theirs = key(addend["exponent"], addend["significand"])
        swap = Signal(name="swap")
        larger = Signal(len(ours), name="larger")
        smaller = Signal(len(ours), name="smaller")
        m.d.comb += [
            swap.eq(theirs > ours),
            larger.eq(Mux(swap, theirs, ours)),
            smaller.eq(Mux(swap, ours, theirs)),
        ]
        distance = (larger[width:] - smaller[width:])[:8]
        aligned, lost = shift_right(m, Cat(Const(0, 2), smaller[:width]), distance, "aligned")

        special = acc.exponent.all()
        own = {
            "nan": special & acc.fraction.any(),
            "plus_inf": special & ~acc.fraction.any() & ~acc.sign,
            "minus_inf": special & ~acc.fraction.any() & acc.sign,
        }
        cut = stage(
            {
                "larger": larger[:width],
                "aligned": Cat(lost, aligned),
                "exponent": larger[width:],
                "sign": Mux(swap, addend["sign"], acc.sign),
                "subtract": acc.sign ^ addend["sign"],
                **join_flags(own, {name: addend[name] for name in SUM_FLAGS}),
            }
        )
        subtract = cut["subtract"]
        other = Cat(cut["aligned"], 0) ^ subtract.replicate(width + 4)
        added = Signal(width + 4, name="added")
        m.d.comb += added.eq(Cat(Const(0, 3), cut["larger"]) + other + subtract)
        kept = ("exponent", "sign", *SUM_FLAGS)
        return {"sum": self._round(m, stage({"added": added} | {k: cut[k] for k in kept}))}

    @staticmethod
    def _round(m: Module, cut: Values) -> Value:
        """Normalise, round to nearest even, and put the word together."""
        normal, zeros = normalise(m, cut["added"], "added")
        something = normal[-1]
        fraction, guard, rest = normal[-24:-1], normal[-25], normal[:-25].any()
        exponent = (cut["exponent"] + 1 - zeros)[:8] & something.replicate(8)
        magnitude = Signal(31, name="rounded")
        m.d.comb += magnitude.eq(Cat(fraction, exponent) + (guard & (fraction[0] | rest)))
        word = Signal(32, name="next_sum")
        with m.If(cut["nan"]):
            m.d.comb += word.eq(f.FP32.nan_bits)
        with m.Elif(cut["plus_inf"] | cut["minus_inf"]):
            m.d.comb += word.eq(Cat(Const(f.FP32.inf_bits, 31), cut["minus_inf"]))
        with m.Else():
            m.d.comb += word.eq(Cat(magnitude, cut["sign"] & something))
        return word


def normalise_product(m: Module, product: PureInterface) -> tuple[Value, Value]:
    """Shift a finite product's significand, whose leading one is in either of two bits."""
    finite = product.significand & (~product.inf).replicate(len(product.significand))
    zeros = ~finite[-1]
    shifted = Signal(len(finite), name="product_significand")
    m.d.comb += shifted.eq(Mux(zeros, finite << 1, finite))
    return shifted, zeros


ACCUMULATORS = {"exact": Exact, "fp32": Fp32}
"""By the name that the `accumulator` parameters of units take."""


def choose(
    name: str, *, operand: Operand, lanes: int, max_products: int | None = None
) -> Exact | Fp32:
    """Return the accumulator of that name.

    Raises
    ------
    ValueError
        If there is none, or it has no such limit.
    """
    if name not in ACCUMULATORS:
        raise ValueError(f"accumulator must be one of {', '.join(ACCUMULATORS)}, not {name!r}")
    if name == "fp32":
        if max_products is not None:
            raise ValueError(f"max_products must be None for fp32, not {max_products!r}")
        return Fp32(operand=operand, lanes=lanes)
    limit = MAX_PRODUCTS if max_products is None else max_products
    return Exact(operand=operand, lanes=lanes, max_products=limit)
