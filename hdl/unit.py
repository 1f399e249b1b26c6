# SPDX-License-Identifier: Apache-2.0
"""What units have in common: combinational logic that a pipeline may cut, and the pipeline.

Imports `hdl.layouts`.
"""

from collections.abc import Callable

from amaranth.hdl import Cat, Elaboratable, Fragment, Module, Shape, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, PureInterface

from .layouts import Port, signature

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
    """

    latency = 0
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


def pipeline(
    m: Module, unit: Combinational, latency: int, i: PureInterface, o: PureInterface
) -> None:
    """Add a unit between two streams, with full back-pressure and no bubbles.

    A stage moves on if the next one is empty or moves on itself: one result a cycle while nothing
    stalls, nothing lost or repeated while something does. `o.valid` never waits for `o.ready`.

    Parameters
    ----------
    m : Module
        Receives the logic.
    unit : Combinational
        What is computed.
    latency : int
        How many of its possible cuts, the last ones, are registers.
    i, o : stream interface
        Payloads as `payload` lays them out.
    """
    valid = [i.valid, *(Signal(name=f"valid_{k}") for k in range(1, latency + 1))]
    moves = [*(Signal(name=f"moves_{k}") for k in range(1, latency + 1)), o.ready]
    for k in range(latency):
        m.d.comb += moves[k].eq(~valid[k + 1] | moves[k + 1])
        with m.If(moves[k]):
            m.d.sync += valid[k + 1].eq(valid[k])
    m.d.comb += [i.ready.eq(moves[0]), o.valid.eq(valid[-1])]

    calls = iter(range(latency - unit.stages, latency))

    def stage(values: Values) -> Values:
        k = next(calls)
        if k < 0:
            return values
        held = {
            name: Signal(Shape.cast(value.shape()), name=f"{name}_{k + 1}", reset_less=True)
            for name, value in values.items()
        }
        with m.If(moves[k]):
            m.d.sync += [held[name].eq(value) for name, value in values.items()]
        return held

    Fragment.get(unit, None)  # or Amaranth would call a unit unused that lends its logic alone
    fields = {name: i.payload[name] for name in unit.inputs}
    for name, value in unit.logic(m, fields, stage).items():
        m.d.comb += o.payload[name].eq(value)


def _check_latency(unit: Combinational, latency: int) -> None:
    if latency not in range(unit.stages + 1):
        raise ValueError(f"latency must be in 0..{unit.stages}, not {latency!r}")


class Streamed(wiring.Component):
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
        _check_latency(unit, latency)
        self.unit = unit
        self.latency = latency
        super().__init__(
            {
                "i": In(stream.Signature(payload(unit.inputs))),
                "o": Out(stream.Signature(payload(unit.outputs))),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the pipeline."""
        m = Module()
        pipeline(m, self.unit, self.latency, self.i, self.o)
        return m


class StreamPorts(wiring.Component):
    """`Streamed` with a port for every field, as Verilog users want it.

    Latency: `latency` cycles, initiation interval 1.

    Parameters
    ----------
    unit : callable
        The combinational unit's class.
    latency : int
        As for `Streamed`.
    **parameters
        Keyword arguments of the unit.

    Members
    -------
    i_valid, i_ready
        Handshake of the inputs, which are named as the unit's.
    o_valid, o_ready
        Handshake of the outputs, which are named as the unit's.
    """

    def __init__(
        self, *, unit: Callable[..., Combinational], latency: int, **parameters: object
    ) -> None:
        self.unit = unit(**parameters)
        _check_latency(self.unit, latency)
        self.latency = latency
        self.ports = {
            "clk": Port(In(1), "clock, rising edge"),
            "rst": Port(In(1), "synchronous reset, active high: empties the pipeline"),
            "i_valid": Port(In(1), "1: the inputs are valid"),
            "i_ready": Port(Out(1), "1: they are accepted at this clock edge if valid"),
            **self.unit.inputs,
            "o_valid": Port(Out(1), "1: the outputs are valid"),
            "o_ready": Port(In(1), "1: they are taken at this clock edge if valid"),
            **self.unit.outputs,
        }
        named = {name: port for name, port in self.ports.items() if name not in ("clk", "rst")}
        super().__init__(signature(named))

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the pipeline between streams made of the ports."""
        m = Module()
        i = stream.Signature(payload(self.unit.inputs)).create(path=("i",))
        o = stream.Signature(payload(self.unit.outputs)).create(path=("o",))
        m.d.comb += [
            i.valid.eq(self.i_valid),
            self.i_ready.eq(i.ready),
            i.payload.eq(Cat(getattr(self, name) for name in self.unit.inputs)),
            self.o_valid.eq(o.valid),
            o.ready.eq(self.o_ready),
            Cat(getattr(self, name) for name in self.unit.outputs).eq(o.payload),
        ]
        pipeline(m, self.unit, self.latency, i, o)
        return m
