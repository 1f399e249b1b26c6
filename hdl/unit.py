# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""What units have in common: combinational logic that a pipeline may cut, and the pipeline.

Imports `hdl.layouts`.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from operator import or_
from types import MappingProxyType

from amaranth.hdl import (
    Cat,
    ClockDomain,
    Const,
    Elaboratable,
    Module,
    Shape,
    Signal,
    Value,
)
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, PureInterface

from .layouts import Port, signature

CLOCKED = {
    "clk": Port(In(1), "clock, rising edge"),
    "rst": Port(In(1), "synchronous reset, active high: empties the pipeline"),
}
"""The ports of a clock domain, which Amaranth adds to a module that has registers."""

HANDSHAKE = (*CLOCKED, "i_valid", "i_ready", "o_valid", "o_ready")
"""The ports of a unit between streams that carry no item."""

Values = dict[str, Value]
Stage = Callable[[Values], Values]
"""Where logic may be cut: hands its values through, or their registered copies."""


class Combinational(wiring.Component):
    """A unit without registers, its logic in a form that `Streamed` can cut into stages.

    A subclass says in `stages` how often its `logic` calls `stage`, the last time with its outputs.

    Parameters
    ----------
    inputs, outputs : dict of Port
        By name.

    Attributes
    ----------
    ports : dict of Port
        Inputs, then outputs.
    latency : int
        0.
    initiation_interval : None
        There is no clock to count in.
    max_products : int, optional
        How many products a sum may have, if it reads one that has a limit.
    """

    latency = 0
    initiation_interval = None
    max_products: int | None = None
    stages = 1

    def __init__(self, inputs: dict[str, Port], outputs: dict[str, Port]) -> None:
        self.ports = inputs | outputs
        super().__init__(signature(self.ports))

    def logic(self, m: Module, inputs: Values, stage: Stage) -> Values:
        """Add the logic to a module and return the outputs.

        Parameters
        ----------
        m : Module
            Receives the logic.
        inputs : dict of Value
            A value for every input.
        stage : callable
            To be called on the values at every possible cut.

        Returns
        -------
        dict of Value
            A value for every output.
        """
        raise TypeError(f"{type(self).__name__} must define its logic")

    @property
    def inputs(self) -> dict[str, Port]:
        """The inputs alone."""
        return {n: port for n, port in self.ports.items() if port.member.flow == In}

    @property
    def outputs(self) -> dict[str, Port]:
        """The outputs alone."""
        return {n: port for n, port in self.ports.items() if port.member.flow == Out}

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the logic without a cut."""
        m = Module()
        inputs = {name: getattr(self, name) for name in self.inputs}
        for name, value in self.logic(m, inputs, lambda values: values).items():
            m.d.comb += getattr(self, name).eq(value)
        return m


def payload(ports: dict[str, Port]) -> data.StructLayout:
    """Return the layout of a stream's payload that carries the given ports, the first lowest."""
    return data.StructLayout({name: port.member.shape for name, port in ports.items()})


class Pipeline:
    """Register stages after a stream, with full back-pressure and no bubbles.

    A stage moves on if the next one is empty or moves on itself: one beat a cycle while nothing
    stalls, nothing lost or repeated while something does. `valid` never waits for `ready`.

    Parameters
    ----------
    m : Module
        Receives the logic.
    i : stream interface
        What comes in; its `ready` is driven here.

    Attributes
    ----------
    valid : Value
        Whether there is a beat before the next stage.
    """

    def __init__(self, m: Module, i: PureInterface) -> None:
        self.valid: Value = i.valid
        self._m = m
        self._ready = i.ready
        self._stages = 0

    def advance(self, emits: Value | int = 1) -> tuple[Signal, Value]:
        """Add a stage that holds whether it has a beat, and nothing else.

        Parameters
        ----------
        emits : Value
            Whether the beat that enters comes out again; if not, it ends in this stage.

        Returns
        -------
        moves : Signal
            Whether the stage takes what is before it, be that a beat or none.
        taken : Value
            Whether it takes a beat: what accumulates must take no other.
        """
        self._stages += 1
        valid, ready, moves = (
            Signal(name=f"{name}_{self._stages}") for name in ("valid", "ready", "moves")
        )
        before = self.valid
        self._m.d.comb += [moves.eq(~valid | ready), self._ready.eq(moves)]
        with self._m.If(moves):
            self._m.d.sync += valid.eq(before & emits)
        self.valid, self._ready = valid, ready
        return moves, moves & before

    def register(self, values: Values) -> Values:
        """Add a stage that holds values, and return those it holds."""
        moves, _ = self.advance()
        return held(self._m, moves, values, self._stages)

    def end(self, accepts: Value) -> Value:
        """End here, where a beat is taken if it is accepted; return whether one is taken."""
        self._m.d.comb += self._ready.eq(accepts)
        return self.valid & accepts

    def finish(self, o: PureInterface, values: Values) -> None:
        """Connect what is after the last stage to a stream."""
        self._m.d.comb += [o.valid.eq(self.valid), self._ready.eq(o.ready)]
        self._m.d.comb += [o.payload[name].eq(value) for name, value in values.items()]


def named(m: Module, values: Values, suffix: str) -> Values:
    """Return signals of values: what is used more than once is then built but once."""
    signals = {
        name: Signal(Shape.cast(value.shape()), name=f"{name}_{suffix}")
        for name, value in values.items()
    }
    m.d.comb += [signals[name].eq(value) for name, value in values.items()]
    return signals


def picked(choices: Iterable[tuple[Value, Values]]) -> Values:
    """Return the values whose select is set, of selects of which one always is."""
    choices = list(choices)
    if len(choices) == 1:
        return choices[0][1]
    return {
        name: reduce(
            or_,
            (
                values[name].as_unsigned() & select.replicate(len(values[name]))
                for select, values in choices
            ),
        )
        for name in choices[0][1]
    }


def held(m: Module, moves: Value, values: Values, stage: int) -> Values:
    """Return registers of values, taken where a stage moves; they are named after its number.

    A constant needs none.
    """
    varying = {name: value for name, value in values.items() if not isinstance(value, Const)}
    registers = {
        name: Signal(Shape.cast(value.shape()), name=f"{name}_{stage}", reset_less=True)
        for name, value in varying.items()
    }
    with m.If(moves):
        m.d.sync += [registers[name].eq(value) for name, value in varying.items()]
    return values | registers


class StreamUnit(wiring.Component):
    """A unit between two streams.

    Parameters
    ----------
    inputs, outputs : dict of Port
        The fields of the streams' payloads, by name.
    latency : int
        Clock edges from an accepted input to its output with no stall.

    Attributes
    ----------
    inputs, outputs, latency
        As given.
    initiation_interval : int
        Clock cycles from one accepted input to the next with no stall.
    waits : str
        What waits longer than that, though the receiver is ready.
    max_products : int, optional
        How many products a sum may have, if it is one that has a limit.
    """

    initiation_interval = 1
    waits = ""
    max_products: int | None = None

    def __init__(self, inputs: dict[str, Port], outputs: dict[str, Port], latency: int) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self.latency = latency
        super().__init__(
            {
                "i": In(stream.Signature(payload(inputs))),
                "o": Out(stream.Signature(payload(outputs))),
            }
        )

    def flow(self, m: Module, i: PureInterface, o: PureInterface) -> None:
        """Add the logic between two streams to a module.

        Parameters
        ----------
        m : Module
            Receives the logic.
        i, o : stream interface
            Payloads as `payload` lays them out.
        """
        raise TypeError(f"{type(self).__name__} must define its flow")

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the logic between the unit's own streams."""
        m = Module()
        self.flow(m, self.i, self.o)
        return m


class Streamed(StreamUnit):
    """A combinational unit between two streams.

    Latency: `latency` cycles, initiation interval 1.

    Parameters
    ----------
    unit : Combinational
        What is computed.
    latency : int
        0 to the unit's `stages`: registers at the output first, then further in.

    Members
    -------
    i : In(stream.Signature(...))
        A field of the payload for every input of the unit.
    o : Out(stream.Signature(...))
        A field of the payload for every output of the unit.
    """

    def __init__(self, *, unit: Combinational, latency: int) -> None:
        if latency not in range(unit.stages + 1):
            raise ValueError(f"latency must be in 0..{unit.stages}, not {latency!r}")
        self.unit = unit
        super().__init__(unit.inputs, unit.outputs, latency)

    def flow(self, m: Module, i: PureInterface, o: PureInterface) -> None:
        """Build the pipeline: of the unit's possible cuts the last `latency` are registers."""
        pipe = Pipeline(m, i)
        cuts = iter(range(self.latency - self.unit.stages, self.latency))

        def stage(values: Values) -> Values:
            return values if next(cuts) < 0 else pipe.register(values)

        fields = {name: i.payload[name] for name in self.unit.inputs}
        pipe.finish(o, self.unit.logic(m, fields, stage))


def made(
    unit: Callable[..., Combinational | StreamUnit],
    latency: int | None,
    parameters: dict[str, object],
    within: Callable[[Combinational], Combinational] = lambda core: core,
) -> StreamUnit:
    """Return a unit between streams, made of its class; a combinational one is `Streamed`.

    Parameters
    ----------
    unit : callable
        The class.
    latency : int, optional
        As for `Streamed`, or as the unit takes it.
    parameters : dict
        Other keyword arguments of the unit.
    within : callable
        Puts a combinational unit into another.
    """
    if isinstance(unit, type) and issubclass(unit, Combinational):
        return Streamed(unit=within(unit(**parameters)), latency=latency or 0)
    return unit(**parameters) if latency is None else unit(latency=latency, **parameters)


class StreamPorts(wiring.Component):
    """A unit between two streams with a port for every field, as Verilog users want it.

    Latency: that of the unit.

    Parameters
    ----------
    unit : callable
        The class of a `StreamUnit`, or of a combinational unit to be `Streamed`.
    latency : int, optional
        As for `Streamed` or for the unit.
    **parameters
        Other keyword arguments of the unit.

    Members
    -------
    i_valid, i_ready
        Handshake of the inputs, which are named as the unit's.
    o_valid, o_ready
        Handshake of the outputs, which are named as the unit's.
    """

    def __init__(
        self,
        *,
        unit: Callable[..., Combinational | StreamUnit],
        latency: int | None = None,
        **parameters: object,
    ) -> None:
        self.unit = made(unit, latency, parameters)
        self.latency = self.unit.latency
        self.ports = {
            **CLOCKED,
            "i_valid": Port(In(1), "1: the inputs are valid"),
            "i_ready": Port(Out(1), "1: they are accepted at this clock edge if valid"),
            **self.unit.inputs,
            "o_valid": Port(Out(1), "1: the outputs are valid"),
            "o_ready": Port(In(1), "1: they are taken at this clock edge if valid"),
            **self.unit.outputs,
        }
        named = {name: port for name, port in self.ports.items() if name not in CLOCKED}
        super().__init__(signature(named))

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the unit between streams made of the ports."""
        m = Module()
        i = self.unit.i.signature.flip().create(path=("i",))
        o = self.unit.o.signature.create(path=("o",))
        m.d.comb += [
            i.valid.eq(self.i_valid),
            self.i_ready.eq(i.ready),
            i.payload.eq(Cat(getattr(self, name) for name in self.unit.inputs)),
            self.o_valid.eq(o.valid),
            o.ready.eq(self.o_ready),
            Cat(getattr(self, name) for name in self.unit.outputs).eq(o.payload),
        ]
        self.unit.flow(m, i, o)
        return m


class Core(wiring.Component):
    """A unit between two streams without its handshakes: a beat in every cycle, none is a last one.

    What a sum costs by itself is measured of it, and where every cycle brings a beat it is all that
    is needed: there is no reset, and the outputs are those after the beats so far.

    Latency: that of the unit.

    Parameters
    ----------
    unit : callable
        The class of a `StreamUnit`.
    constant : dict of int
        Inputs that are no ports, with what they are.
    **parameters
        Keyword arguments of the unit.

    Members
    -------
    clk : In(1)
        Clock, rising edge.
    others
        Named as the unit's inputs and outputs.
    """

    def __init__(
        self,
        *,
        unit: Callable[..., StreamUnit],
        constant: Mapping[str, int] = MappingProxyType({"last": 1, "acc": 0}),
        **parameters: object,
    ) -> None:
        self.unit = unit(**parameters)
        self.constant = constant
        self.latency = self.unit.latency
        inputs = {name: port for name, port in self.unit.inputs.items() if name not in constant}
        self.ports = {"clk": CLOCKED["clk"], **inputs, **self.unit.outputs}
        super().__init__(signature(self.ports))

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the unit, always offered a beat and relieved of its sum."""
        m = Module()
        m.domains.sync = domain = ClockDomain(reset_less=True)
        domain.clk = self.clk
        i = self.unit.i.signature.flip().create(path=("i",))
        o = self.unit.o.signature.create(path=("o",))
        m.d.comb += [i.valid.eq(1), o.ready.eq(1)]
        for name in self.unit.inputs:
            value = self.constant.get(name)
            m.d.comb += i.payload[name].eq(getattr(self, name) if value is None else value)
        m.d.comb += [getattr(self, name).eq(o.payload[name]) for name in self.unit.outputs]
        self.unit.flow(m, i, o)
        return m
