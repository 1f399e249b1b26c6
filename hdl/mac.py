# SPDX-License-Identifier: Apache-2.0
"""Multiply and accumulate: a stream of products, a sum for every marked vector.

Imports `hdl.accumulator`, `hdl.decoder`, `hdl.multiplier`, `hdl.layouts` and `hdl.unit`.
"""

from collections.abc import Callable, Iterable

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, PureInterface

from .accumulator import choose
from .decoder import HIF8
from .layouts import Operand, Port
from .multiplier import multiply
from .unit import Pipeline, Stage, StreamUnit, Values, held, named, picked

Cut = Callable[[Iterable[bool]], Stage]
"""Returns a `Stage` whose calls are registers or not, also of what goes with a beat."""

MARKERS = {
    "first": Port(In(1), "1: the first beat of a vector, which begins a sum"),
    "last": Port(In(1), "1: the last beat of a vector, whose sum comes out"),
}


class SumOfProducts(StreamUnit):
    """Add up the products of two vectors, so many elements a beat.

    Latency: `latency` cycles from the last beat of a vector to its sum, initiation interval 1.
    Largest K: `max_products` products a vector for an exact sum, any number for an FP32 one.

    A vector is any number of beats, the first and the last marked; a vector may follow the other
    without a gap. After a reset the first beat must be marked, or its sum starts from anything.
    `first` decides where a sum starts, and what was not finished before is dropped.

    Parameters
    ----------
    lanes : int
        Products a beat.
    accumulator : str
        ``exact``: a fixed-point sum, never rounded. ``fp32``: an FP32 word, to which the exact sum
        of a beat's products is added with one rounding.
    latency : int, optional
        `interleave`, and one for every register before the accumulator; by default all there are
        places for.
    interleave : int
        Vectors that take turns, beat by beat: beat k after a reset belongs to vector k modulo
        `interleave`. Each then has as many cycles for an addition; only FP32's needs more than one.
    max_products : int, optional
        What an exact sum has room for; by default 2^20. An FP32 sum takes any number.
    operand : Operand
        The format of the elements.

    Members
    -------
    i : In(stream.Signature(...))
        `a` and `b`, the codes of the elements; `first`, `last`; for FP32 `acc`, the word that a
        sum starts from, any at all, read with `first`.
    o : Out(stream.Signature(...))
        `sum`, and for the exact one `nan`, `plus_inf`, `minus_inf`.
    """

    def __init__(
        self,
        *,
        lanes: int,
        accumulator: str,
        latency: int | None = None,
        interleave: int = 1,
        max_products: int | None = None,
        operand: Operand = HIF8,
    ) -> None:
        self.sum = choose(accumulator, operand=operand, lanes=lanes, max_products=max_products)
        most = self.sum.adder_stages + 1
        if interleave not in range(1, most + 1):
            raise ValueError(
                f"interleave must be in 1..{most} for {accumulator}, not {interleave!r}"
            )
        places = 1 + self.sum.stages
        if latency is None:
            latency = interleave + places
        if latency not in range(interleave, interleave + places + 1):
            raise ValueError(
                f"latency must be in {interleave}..{interleave + places}, not {latency!r}"
            )
        self.operand = operand
        self.interleave = interleave
        self.max_products = self.sum.max_products
        codes = operand.port(lanes)
        super().__init__(
            {"a": codes, "b": codes, **MARKERS, **self.sum.initial}, self.sum.state, latency
        )

    def flow(self, m: Module, i: PureInterface, o: PureInterface) -> None:
        """Build the datapath: decode, multiply, put a beat together, accumulate."""
        pipe = Pipeline(m, i)
        beat = {name: i.payload[name] for name in self.inputs if name not in ("a", "b")}
        beat["turn"] = self._turns(m, i.valid & i.ready)

        def cut(places: Iterable[bool]) -> Stage:
            """Return a `Stage` whose calls are registers or not, also of what goes with a beat."""
            calls = iter(places)

            def stage(values: Values) -> Values:
                if not next(calls):
                    return values
                registers = pipe.register({**values, **beat})
                beat.update({name: registers.pop(name) for name in beat})
                return registers

            return stage

        before = self.latency - self.interleave
        stage = cut(k < before for k in range(1 + self.sum.stages))
        addend = self.sum.addend(m, self._products(m, i, stage), stage)

        build = self._at_once if self.sum.adder_stages == 0 else self._in_turns
        build(m, pipe, o, beat, addend, cut)

    def _at_once(
        self, m: Module, pipe: Pipeline, o: PureInterface, beat: Values, addend: Values, cut: Cut
    ) -> None:
        """Build an accumulator that takes a beat a cycle."""
        state = self._registers("sum")
        _, taken = pipe.advance(emits=beat["last"])
        after = self.sum.next(m, state, addend, first=beat["first"], taken=taken, name="product")
        m.d.sync += [state[name].eq(value) for name, value in after.items()]
        pipe.finish(o, state)

    def _in_turns(
        self, m: Module, pipe: Pipeline, o: PureInterface, beat: Values, addend: Values, cut: Cut
    ) -> None:
        """Build accumulators that take turns."""
        # A sum is written at the end of the adder and read at its beginning `interleave` beats
        # later. By then it is written: the beats between fill the stages between.
        sums = [self._registers(f"of_{k}") for k in range(self.interleave)]
        started, before = self.sum.start(beat), picked(zip(beat["turn"], sums, strict=True))
        state = named(
            m, {name: Mux(beat["first"], started[name], before[name]) for name in before}, "before"
        )
        without = self.sum.adder_stages - (self.interleave - 1)
        stage = cut(k >= without for k in range(self.sum.adder_stages))
        added = self.sum.add(m, state, addend, stage)

        moves, taken = pipe.advance(emits=beat["last"])
        for one, turn in zip(sums, beat["turn"], strict=True):
            with m.If(taken & turn):
                m.d.sync += [one[name].eq(added[name]) for name in one]
        done = held(m, moves, {"done": beat["turn"]}, self.latency)["done"]
        pipe.finish(o, picked(zip(done, sums, strict=True)))

    def _registers(self, suffix: str) -> dict[str, Signal]:
        """Return registers for a state of the accumulator."""
        return {
            name: Signal(port.member.shape, name=f"{name}_{suffix}", reset_less=True)
            for name, port in self.sum.state.items()
        }

    def _turns(self, m: Module, moves: Value) -> Value:
        """Return whose turn it is, a bit for each vector."""
        if self.interleave == 1:
            return Const(1, 1)
        turn = Signal(self.interleave, init=1)
        with m.If(moves):
            m.d.sync += turn.eq(turn.rotate_left(1))
        return turn

    def _products(self, m: Module, i: PureInterface, stage: Stage) -> list[PureInterface]:
        """Return the products of a beat, after the first place for a register."""
        products = []
        pairs = zip(*(self.operand.codes(i.payload[name]) for name in ("a", "b")), strict=True)
        for k, pair in enumerate(pairs):
            a, b = (
                self.operand.decode(m, code, f"decoded_{name}_{k}")
                for name, code in zip("ab", pair, strict=True)
            )
            products.append(multiply(m, a, b, self.operand, f"product_{k}"))
        return hold(products, self.operand, stage)


class Fields:
    """Values by name, as the attributes of an interface are."""

    def __init__(self, values: Values) -> None:
        self.__dict__.update(values)


def hold(products: list[PureInterface], operand: Operand, stage: Stage) -> list[Fields]:
    """Return products after a place for a register."""
    fields = operand.product()
    cut = stage({f"{n}_{k}": getattr(p, n) for k, p in enumerate(products) for n in fields})
    return [Fields({n: cut[f"{n}_{k}"] for n in fields}) for k in range(len(products))]


class Mac(SumOfProducts):
    """Multiply and accumulate, a product a beat.

    Latency: `latency` cycles from the last beat of a vector to its sum, initiation interval 1.
    Largest K: `max_products` products a vector for an exact sum, any number for an FP32 one.

    All else as for `SumOfProducts`.
    """

    def __init__(self, *, accumulator: str, **how: object) -> None:
        super().__init__(lanes=1, accumulator=accumulator, **how)
