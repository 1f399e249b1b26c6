# SPDX-License-Identifier: Apache-2.0
"""Two ways to add up exact products: a fixed-point sum that never rounds, and an FP32 word.

Both are logic without registers with the same methods, so that whatever multiplies and adds takes
the one or the other: `state` says what the state is, `addend` puts the products of a beat together,
and `next` adds that to a state. Where a part may be cut by registers it calls `stage`.
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
from .parts import Part, packed
from .shifts import any_of_fours, normalise, shift_right
from .slots import placed, turned
from .unit import Stage, Values, named, payload

MAX_PRODUCTS = 1 << 20
"""How many products an exact sum has room for, unless the user asks for another number."""

GROUPS = range(8, 3, -1)
"""How many products may be added up in a part of their own, the best number first."""


def exact_width(operand: Operand, max_products: int) -> int:
    """Return the bits of a two's complement sum of so many products, in units of the smallest.

    The largest product is below 2^product_width, so the magnitude of a sum is below
    2^(product_width + ceil(log2(max_products))): with one bit more, the sign's, it fits. For HiF8
    and 2^20 products that is 75 + 20 + 1 = 96 bits; the largest sum is 2^20 times 2^30, 2^94 units.
    """
    return operand.product_width + ceil_log2(max_products) + 1


def fixed_point(m: Module, operand: Operand, products: list[PureInterface]) -> Values:
    """Add the logic that adds up the products of a beat, exactly: the finite ones, and the flags.

    A product at its place is a part. Where the products are many, so is a group of them, added up
    to two rows. All is added by `carry_save`, and one adder at the end: so hierarchy costs none,
    and two tools make the same sums of it, which makes netlists easy to compare.

    Returns
    -------
    dict of Value
        ``total``, signed, in units of 2^product_unit; and `any_flags`.
    """
    layout = payload(operand.product())
    sign = 1 << operand.product_width
    term = Part(
        "term",
        "a product at its place in the fixed-point sum",
        {"product": layout},
        {"raised": operand.product_width + 1, "carry": 1},
        lambda m, pins: _term(m, operand, pins["product"]),
    )

    def add(m: Module, products: list[PureInterface]) -> tuple[list[Value], list[Value]]:
        """Add up some products: each is raised by `sign`, and so is above zero."""
        terms = [
            term.place(m, f"term_{k}", {"product": packed(product, layout)})
            for k, product in enumerate(products)
        ]
        width = operand.product_width + 1 + ceil_log2(len(products))
        return carry_save(
            m, [one["raised"] for one in terms], [one["carry"] for one in terms], width
        )

    def add_group(m: Module, pins: Values) -> Values:
        """Add up a group."""
        products = [*pins["products"]]
        rows, carries = add(m, products)
        named_rows = dict(zip(pair, rows, strict=True))
        return {**named_rows, "carries": Cat(carries), **any_flags(products)}

    width = operand.product_width + 1 + ceil_log2(len(products))
    pair = ("row_0", "row_1")
    size = next((n for n in GROUPS if len(products) % n == 0 and n < len(products)), 0)
    if size:
        group = Part(
            "group",
            f"the exact sum of {size} products, as rows and carries that are yet to be added",
            {"products": data.ArrayLayout(layout, size)},
            {
                **dict.fromkeys(pair, operand.product_width + 1 + ceil_log2(size)),
                "carries": 2,
                **dict.fromkeys(SUM_FLAGS, 1),
            },
            add_group,
        )
        groups = [
            group.place(
                m,
                f"group_{k // size}",
                {"products": Cat(packed(product, layout) for product in products[k : k + size])},
            )
            for k in range(0, len(products), size)
        ]
        rows = [one[name] for one in groups for name in pair]
        carries = [carry for one in groups for carry in one["carries"]]
        flags = {flag: reduce(or_, (one[flag] for one in groups)) for flag in SUM_FLAGS}
    else:
        (rows, carries), flags = add(m, products), any_flags(products)
    # There is one carry more than there are places for: it makes a row.
    rows, _ = carry_save(m, [*rows, carries[0]], carries[1:], width, "last_")
    total = Signal(signed(width), name="total")
    m.d.comb += total.eq(sum(rows) - sign * len(products))
    return {"total": total, **flags}


def carry_save(
    m: Module, rows: list[Value], carries: list[Value], width: int, prefix: str = ""
) -> tuple[list[Value], list[Value]]:
    """Add up rows, three becoming two, without a carry that goes along a row.

    A row of carries has no lowest bit: one of the single carries takes its place.

    Parameters
    ----------
    m : Module
        Receives the logic.
    rows, carries : list of Value
        Numbers, and single bits, that are added.
    width : int
        Bits of their sum, which no row of the same sum exceeds.
    prefix : str
        Begins the names of the signals made.

    Returns
    -------
    list of Value
        Two rows.
    list of Value
        The single carries that found no place.
    """
    rows, carries = [*rows], [*carries]
    for k in range(len(rows) - 2):
        a, b, c, *rows = rows
        half, save, carry = (
            Signal(width, name=f"{prefix}{name}_{k}") for name in ("half", "save", "carry")
        )
        lowest = carries.pop() if carries else Const(0, 1)
        m.d.comb += [
            half.eq(a ^ b),
            save.eq(half ^ c),
            carry.eq(Cat(lowest, a & b | half & c)),
        ]
        rows += [save, carry]
    return rows, carries


def _term(m: Module, operand: Operand, product: PureInterface) -> Values:
    """Put a product in its place; with its sign bit inverted, it is greater by twice that bit."""
    term = placed(m, operand, turned(m, operand, product, "product"), "product")
    raised = term["total"].as_unsigned() ^ (1 << operand.product_width)
    return {"raised": raised, "carry": term["carry"]}


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
        How often `addend` and the adder call `stage`.
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
        if len(products) > 1:
            return stage(fixed_point(m, self.operand, products))
        values = turned(m, self.operand, products[0], "product")
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
        ``sum``, an FP32 word: never -0, and no NaN but 0x7FC00000.
    stages, adder_stages : int
        How often `addend` and the adder call `stage`.
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

        Zero has significand 0. What is special has exponent 255 and a significand as FP32 has it:
        added to any number, it comes out by itself.
        """
        if len(products) == 1:
            [product] = products
            sign, nan, inf = product.sign, product.nan, product.inf
            significand, exponent = normalise_product(m, product)
        else:
            cut = stage(fixed_point(m, self.operand, products))
            plus, minus = cut["plus_inf"], cut["minus_inf"]
            nan, inf = cut["nan"] | plus & minus, plus | minus
            total = cut["total"]
            magnitude = Signal(len(total), name="total_magnitude")
            m.d.comb += magnitude.eq((total ^ total[-1].replicate(len(total))) + total[-1])
            significand, zeros = normalise(m, magnitude, "total")
            top = self.operand.product_unit + len(total) - 1 + f.FP32.bias
            exponent = (Const(top, 8) - zeros)[:8]
            sign = Mux(inf, minus, total[-1])
        special, finite = named(
            m, {"special": nan | inf, "finite": ~(nan | inf)}, "addend"
        ).values()
        kept = significand & finite.replicate(len(significand))
        return stage(
            {
                "sign": sign & ~nan,
                "exponent": exponent | special.replicate(8),
                "significand": Cat(kept[:-2], kept[-2] | nan, kept[-1] | special),
                "special": special,
            }
        )

    def start(self, beat: Values) -> Values:
        """Return the state before the first product: acc, zero and NaN without what they may not.

        A sum is never -0, and no NaN but one: what adds to it can rely on that.
        """
        acc = data.View(float_layout(f.FP32), beat["acc"])
        magnitude = acc.as_value()[:-1]
        zero, nan = ~magnitude.any(), magnitude > f.FP32.inf_bits
        return {
            "sum": Mux(nan, f.FP32.nan_bits, Cat(magnitude, acc.sign & ~zero)),
        }

    def next(
        self, m: Module, state: Values, addend: Values, *, first: Value, taken: Value, name: str
    ) -> Values:
        """Return what the registers of a state that starts from zero take at every clock edge."""
        zero = self.start({"acc": Const(0, 32)})
        before = {key: Mux(first, zero[key], value) for key, value in state.items()}
        added = self.add(m, named(m, before, f"{name}_before"), addend, lambda values: values)
        return {key: Mux(taken, added[key], value) for key, value in state.items()}

    def add(self, m: Module, state: Values, addend: Values, stage: Stage) -> Values:
        """Build the adder: order, align, add; round, normalise."""
        acc = data.View(float_layout(f.FP32), state["sum"])
        product = addend["significand"]
        width = max(24, len(product))
        subtract, both = Signal(name="subtract"), Signal(name="both_special")
        theirs, ours = Signal(len(product), name="theirs"), Signal(24, name="ours")
        # With zero added a subnormal must come out as it is: with a hidden bit, which is then
        # dropped, it passes like a normal number, as does zero. With one product added, which fits
        # a word, neither matters. With many, a subnormal matters but for being there, and may do
        # without, as zero must.
        nothing = ~theirs[-1]
        hidden = acc.exponent.any() | nothing if width > 24 else Const(1)
        m.d.comb += [
            subtract.eq(acc.sign ^ addend["sign"]),
            both.eq(acc.exponent.all() & addend["special"]),
            # Of two that are special the sum is the accumulator, or NaN.
            theirs.eq(Cat(product[:-2], product[-2:] & ~both.replicate(2))),
            ours.eq(Cat(acc.fraction, hidden)),
        ]

        # The distance is the exponents' difference to the one side, and one more to the other: then
        # it is the product that is shifted, by that one beforehand.
        difference, distance = Signal(9, name="difference"), Signal(9, name="distance")
        above, equal = difference[-1], difference[:-1].all()
        larger, smaller = Signal(width, name="larger"), Signal(width + 1, name="smaller")
        acc_is_larger = Signal(name="acc_is_larger")
        wide_ours, wide_theirs = (Cat(Const(0, width - len(x)), x) for x in (ours, theirs))
        unused = width - len(product)
        m.d.comb += [
            difference.eq(acc.exponent + ~addend["exponent"]),
            distance.eq(Cat(difference[:-1] ^ ~above.replicate(8), addend["special"])),
            acc_is_larger.eq(above | nothing | equal & (wide_ours[unused:] >= theirs)),
            larger.eq(Mux(acc_is_larger, wide_ours, wide_theirs)),
            smaller.eq(
                Mux(
                    acc_is_larger,
                    Mux(above, Cat(wide_theirs, 0), Cat(0, wide_theirs)),
                    Cat(0, wide_ours),
                )
            ),
        ]
        aligned, lost = shift_right(m, Cat(Const(0, 1), smaller), distance, "aligned")
        if width > 24:  # else the larger one fits a word, which nothing from so far below changes
            lost |= (distance >= len(aligned)) & smaller.any()
        cut = stage(
            {
                "larger": larger,
                "aligned": Cat(lost, aligned),
                "exponent": Mux(acc_is_larger, acc.exponent, addend["exponent"]),
                "sign": Mux(acc_is_larger, acc.sign, addend["sign"]),
                "subtract": subtract,
                "nan": both & (subtract | product[-2]),
            }
        )
        subtract = cut["subtract"]
        other = Signal(width + 3, name="other")
        m.d.comb += other.eq(cut["aligned"] ^ subtract.replicate(width + 3))
        added = add_in_parts(m, Cat(Const(0, 3), cut["larger"]), other, subtract, "added")
        kept = {name: cut[name] for name in ("exponent", "sign", "nan")}
        total = Cat(added[:-1], added[-1] & ~subtract)
        return {"sum": self._word(m, stage({"added": total, **kept}))}

    def _word(self, m: Module, cut: Values) -> Value:
        """Round to nearest even, normalise, and put the word together.

        The sum's highest bit but one has the exponent. A sum of two words, not wider, with more
        than two zeros before its leading one is exact: the words' exponents then differ by one at
        most. So it can be rounded where it stands, in one of three places, and what carries is
        normalised with it. Others are normalised first.
        """
        added = named(m, {"added": cut["added"]}, "exactly")["added"]
        fits = len(added) == 28
        if fits:
            normal, zeros = normalise(m, nearest(m, added), "added", any_of_fours(added[2:]))
        else:
            normal, zeros = normalise(m, added, "added")
        # The exponent is one more, less the zeros: two more and their complement, without a chain.
        more = Signal(len(zeros), name="more")
        m.d.comb += more.eq(~zeros[1:] + 1)
        less = Cat(~zeros[0], more[:-1], ~more[-1]).as_signed()
        something = normal[-1]
        exponent = (cut["exponent"] + less)[:8] & something.replicate(8)
        magnitude = Cat(normal[-24:-1], exponent)
        if not fits:
            magnitude += normal[-25] & (normal[-24] | normal[:-25].any())
        # Of two that are special one has come so far: NaN is no more than a bit.
        nan, quiet = cut["nan"], f.FP32.fraction_width - 1
        word = data.View(float_layout(f.FP32), Signal(32, name="next_sum"))
        m.d.comb += [
            word.fraction.eq(Cat(magnitude[:quiet], magnitude[quiet] | nan)),
            word.exponent.eq(magnitude[quiet + 1 :]),
            word.sign.eq(cut["sign"] & something & ~nan),
        ]
        return word.as_value()


def normalise_product(m: Module, product: PureInterface) -> tuple[Value, Value]:
    """Return a finite product's significand, its leading one first, and its biased exponent."""
    leads = product.significand[-1]
    significand = Signal(len(product.significand), name="product_significand")
    exponent = Signal(8, name="product_exponent")
    m.d.comb += [
        significand.eq(Mux(leads, product.significand, product.significand << 1)),
        # The bias is a zero before ones alone, so that one more is its complement.
        exponent.eq(product.exponent + Cat((~leads).replicate(7), leads)),
    ]
    return significand, exponent


def add_in_parts(m: Module, a: Value, b: Value, carry: Value, name: str) -> Value:
    """Add two numbers of equal width and a carry: the upper part for both carries it may get.

    Then one of the two is chosen, and a carry has less far to go. Parts of three eighths to five
    eighths of the width differ by no more than a mapper's chance.
    """
    cut = 3 * len(a) // 8

    def plus(a: Value, b: Value, carry: Value, part: str) -> Value:
        """Add with the carry below the lowest bit: that is one adder, not two."""
        added = Signal(len(a) + 2, name=f"{name}_{part}")
        m.d.comb += added.eq(Cat(carry, a) + Cat(carry, b))
        return added[1:]

    low = plus(a[:cut], b[:cut], carry, "low")
    without = plus(a[cut:], b[cut:], Const(0, 1), "high")
    with_one = plus(a[cut:], b[cut:], Const(1, 1), "high_plus_1")
    return Cat(low[:-1], Mux(low[-1], with_one, without))


def nearest(m: Module, value: Value) -> Value:
    """Round to 24 bits, ties to even, a value whose leading one is in one of the three top bits.

    Below these it is exact, with zeros in its two lowest bits, which are left out of the result.
    """
    carries: list[Signal] = []
    for place in (2, 3, 4):
        below = value[place - 1]
        up = below & (value[place] | value[: place - 1].any())
        carry = Signal(name=f"carry_to_{place}")
        m.d.comb += carry.eq(Mux(value[place + 23], up, below & carries[-1]) if carries else up)
        carries.append(carry)
    # It goes on as far as there are ones: how far is known before there is a carry.
    ones, rounded = (Signal(len(value) - k, name=n) for k, n in ((4, "ones"), (2, "rounded")))
    m.d.comb += [
        ones.eq(Cat(1, *(value[4:top].all() for top in range(5, len(value))))),
        rounded.eq(value[2:] ^ Cat(carries[:-1], ones & carries[-1].replicate(len(ones)))),
    ]
    return rounded


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
