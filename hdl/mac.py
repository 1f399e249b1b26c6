# SPDX-License-Identifier: Apache-2.0
"""Multiply and accumulate: a stream of products, a sum for every marked vector."""

from collections.abc import Callable, Iterable

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, PureInterface

from .accumulator import choose
from .decoder import HIF8
from .layouts import UNPACKED, Operand, Port
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
        `interleave`, `segments` less one, and one for every register before the accumulator; by
        default all that pay where the clock is no aim. Further ones go behind the putting in place
        of a single exact product, and last behind the decoders.
    interleave : int
        Vectors that take turns, beat by beat: beat k after a reset belongs to vector k modulo
        `interleave`. Each then has as many cycles for an addition; only FP32's needs more than one.
    segments : int
        In how many pieces an exact sum is added up, each a cycle after the one below, whose carry
        it takes: for a faster clock, at one beat a cycle as ever.
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
        segments: int = 1,
        max_products: int | None = None,
        operand: Operand = HIF8,
    ) -> None:
        self.sum = choose(accumulator, operand=operand, lanes=lanes, max_products=max_products)
        most = self.sum.adder_stages + 1
        if interleave not in range(1, most + 1):
            raise ValueError(
                f"interleave must be in 1..{most} for {accumulator}, not {interleave!r}"
            )
        most = self.sum.most_segments
        if segments not in range(1, most + 1):
            raise ValueError(f"segments must be in 1..{most} for {accumulator}, not {segments!r}")
        self.segments = segments
        # Those after the multipliers pay first, those after the decoders last.
        self._places = [*range(1, 2 + self.sum.stages + self.sum.more_stages), 0]
        least = interleave + segments - 1
        latency = least + 1 + self.sum.stages if latency is None else latency
        most = least + len(self._places)
        if latency not in range(least, most + 1):
            raise ValueError(f"latency must be in {least}..{most}, not {latency!r}")
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

        before = self.latency - self.interleave - self.segments + 1
        registers = self._places[:before]
        stage = cut(place in registers for place in range(len(self._places)))
        addend = self.sum.addend(m, self._products(m, i, stage), stage)
        if before > 1 + self.sum.stages and self.sum.more_stages:
            addend = stage(self.sum.put(m, addend))

        if self.sum.adder_stages:
            self._in_turns(m, pipe, o, beat, addend, cut)
        else:
            self._in_segments(m, pipe, o, beat, addend)

    def _in_segments(
        self, m: Module, pipe: Pipeline, o: PureInterface, beat: Values, addend: Values
    ) -> None:
        """Build an accumulator without a register in its adder, but for those between pieces."""
        # To add nothing takes fewer gates than to hold every bit, but is slower.
        adds_nothing = self.segments == 1
        carry, done = Const(0, 1), {}
        for number, bits in enumerate(
            self.sum.cut(self.segments), self.latency - self.segments + 1
        ):
            final = number == self.latency
            moves, taken = pipe.advance(emits=beat["last"] if final else 1)
            state = self._registers(f"of_{number}", self.sum.state if final else ["sum"], bits)
            after = self.sum.next(
                m,
                state,
                addend | {"below": carry},
                first=beat["first"],
                taken=taken if adds_nothing else Const(1, 1),
                name=f"product_{number}",
                bits=bits,
            )
            with m.If(Const(1, 1) if adds_nothing else taken):
                m.d.sync += [value.eq(after[name]) for name, value in state.items()]
            # The pieces below wait for the rest, which needs the beat once more.
            done = held(m, moves, done, number) | {f"part_{number}": state["sum"]}
            if not final:
                passed = held(m, moves, {**addend, **beat, "carry": after["carry"]}, number)
                carry = passed.pop("carry")
                beat = {name: passed.pop(name) for name in beat}
                addend = passed
        pipe.finish(o, state | {"sum": Cat(done.values())})

    def _in_turns(
        self, m: Module, pipe: Pipeline, o: PureInterface, beat: Values, addend: Values, cut: Cut
    ) -> None:
        """Build accumulators that take turns."""
        # A sum is written at the end of the adder and read at its beginning `interleave` beats
        # later. By then it is written: the beats between fill the stages between.
        sums = [self._registers(f"of_{k}", self.sum.state) for k in range(self.interleave)]
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

    def _registers(
        self, suffix: str, names: Iterable[str], bits: range | None = None
    ) -> dict[str, Signal]:
        """Return registers for a state of the accumulator, or for some bits of its sum."""
        shapes = {name: self.sum.state[name].member.shape for name in names}
        if bits is not None:
            shapes["sum"] = len(bits)
        return {
            name: Signal(shape, name=f"{name}_{suffix}", reset_less=True)
            for name, shape in shapes.items()
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
        """Return the products of a beat, after the first two places for a register."""
        codes = {
            f"{name}_{k}": code
            for name in ("a", "b")
            for k, code in enumerate(self.operand.codes(i.payload[name]))
        }
        decoded = hold(
            {key: self.decode(m, code, f"decoded_{key}") for key, code in codes.items()},
            UNPACKED,
            stage,
        )
        lanes = range(len(codes) // 2)
        products = {
            str(k): self.multiply(m, decoded[f"a_{k}"], decoded[f"b_{k}"], f"product_{k}")
            for k in lanes
        }
        return list(hold(products, self.operand.product(), stage).values())

    def decode(self, m: Module, code: Value, name: str) -> PureInterface:
        """Decode an operand."""
        return self.operand.decode(m, code, name)

    def multiply(self, m: Module, a: PureInterface, b: PureInterface, name: str) -> PureInterface:
        """Multiply two decoded operands."""
        return multiply(m, a, b, self.operand, name)


class Fields:
    """Values by name, as the attributes of an interface are."""

    def __init__(self, values: Values) -> None:
        self.__dict__.update(values)


def hold(
    values: dict[str, PureInterface], fields: Iterable[str], stage: Stage
) -> dict[str, Fields]:
    """Return values of so many fields, by name, after a place for a register."""
    cut = stage({f"{f}_{k}": getattr(value, f) for k, value in values.items() for f in fields})
    return {k: Fields({f: cut[f"{f}_{k}"] for f in fields}) for k in values}


class Mac(SumOfProducts):
    """Multiply and accumulate, a product a beat.

    Latency: `latency` cycles from the last beat of a vector to its sum, initiation interval 1.
    Largest K: `max_products` products a vector for an exact sum, any number for an FP32 one.

    All else as for `SumOfProducts`.
    """

    def __init__(self, *, accumulator: str, **how: object) -> None:
        super().__init__(lanes=1, accumulator=accumulator, **how)
