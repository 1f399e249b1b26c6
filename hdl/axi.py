# SPDX-License-Identifier: Apache-2.0
"""Units as AXI4-Stream peripherals.

Imports `hdl.layouts` and `hdl.unit`.
"""

from collections.abc import Callable, Iterable

from amaranth.hdl import Cat, Const, Elaboratable, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .layouts import Port, signature
from .unit import CLOCKED, Combinational, Stage, StreamUnit, Values, made

_FRAMED = "frame_last"


class Framed(Combinational):
    """A combinational unit that hands on, beside what it computes, which item ends a packet.

    Parameters
    ----------
    unit : Combinational
        What is computed.
    """

    def __init__(self, unit: Combinational) -> None:
        self.unit = unit
        self.stages = unit.stages
        super().__init__(
            unit.inputs | {"last": Port(In(1), "1: the last item of a packet")},
            unit.outputs | {_FRAMED: Port(Out(1), "1: the last item of a packet")},
        )

    def logic(self, m: Module, inputs: Values, stage: Stage) -> Values:
        """Build the unit's logic; at every cut the mark goes with the values."""
        last = inputs["last"]

        def both(values: Values) -> Values:
            nonlocal last
            cut = dict(stage({**values, _FRAMED: last}))
            last = cut.pop(_FRAMED)
            return cut

        outputs = self.unit.logic(m, inputs, both)
        return outputs | {_FRAMED: last}


def _bytes(ports: dict[str, Port]) -> dict[str, int]:
    """Return how many bits of `tdata` each port takes: whole bytes."""
    return {name: -(-port.width // 8) * 8 for name, port in ports.items()}


def _layout(ports: dict[str, Port]) -> str:
    """Say where in `tdata` each port lies."""
    parts, start = [], 0
    for name, width in _bytes(ports).items():
        top = start + ports[name].width - 1
        parts.append(f"{name} [{top}:{start}]" if top > start else f"{name} [{start}]")
        start += width
    return ", ".join(parts)


def _padded(value: Value, port: Port, width: int) -> Value:
    """Return a value extended to a width, its sign if it has one."""
    fill = value[-1] if port.signed else Const(0, 1)
    return Cat(value, fill.replicate(width - port.width))


class AxiStream(wiring.Component):
    """A unit with AXI4-Stream ports: `tdata`, `tvalid`, `tready`, `tlast`.

    A packet is a vector of a MAC or a dot product, a tile of a matrix engine; each begins after
    the end of the one before, or a reset. A conversion hands packets on as they are. Payload fields
    lie in `tdata` in the order of the unit's ports, the first lowest, each extended to whole bytes;
    run-time options are ports of their own, read with the beat that they belong to.

    Latency: that of the unit.

    Parameters
    ----------
    unit : callable
        The class of a `StreamUnit`, or of a combinational unit to be `Streamed`.
    latency : int, optional
        As for `Streamed` or for the unit, 1 at least.
    options : iterable of str
        Inputs of the unit that become ports; those fixed at zero are left out of both.
    fixed : iterable of str
        Inputs of the unit that are zero.
    **parameters
        Keyword arguments of the unit.

    Members
    -------
    s_axis_tdata, s_axis_tvalid, s_axis_tready, s_axis_tlast
        Items in.
    m_axis_tdata, m_axis_tvalid, m_axis_tready, m_axis_tlast
        Items out.
    """

    def __init__(
        self,
        *,
        unit: Callable[..., Combinational | StreamUnit],
        latency: int | None = None,
        options: Iterable[str] = (),
        fixed: Iterable[str] = (),
        **parameters: object,
    ) -> None:
        self.unit = made(unit, latency, parameters, within=Framed)
        self.latency = self.unit.latency
        if not self.latency:
            raise ValueError("latency must be at least 1 between AXI4-Stream ports, not 0")
        turns = getattr(self.unit, "interleave", 1)
        if turns > 1:  # which packet a beat belongs to would not show
            raise ValueError(f"interleave must be 1 between AXI4-Stream ports, not {turns}")
        self.options, marks = tuple(options), {"first", "last"}
        for name in (*self.options, *fixed):
            if name not in self.unit.inputs.keys() - marks:
                raise ValueError(f"options and fixed must be inputs of the unit, not {name!r}")
        apart = {*self.options, *fixed, *marks}
        self._in = {name: port for name, port in self.unit.inputs.items() if name not in apart}
        ending = {"last_row", _FRAMED}
        self._out = {name: port for name, port in self.unit.outputs.items() if name not in ending}
        self._mark = next((name for name in self.unit.outputs if name in ending), None)
        ends = {None: "1: every beat is a packet", "last_row": "1: the last row of a tile"}
        self.ports = {
            **CLOCKED,
            "s_axis_tdata": Port(In(sum(_bytes(self._in).values())), _layout(self._in)),
            "s_axis_tvalid": Port(In(1), "1: s_axis_tdata is valid"),
            "s_axis_tready": Port(Out(1), "1: it is accepted at this clock edge if valid"),
            "s_axis_tlast": Port(In(1), "1: the last beat of a packet"),
            **{name: self.unit.inputs[name] for name in self.options},
            "m_axis_tdata": Port(Out(sum(_bytes(self._out).values())), _layout(self._out)),
            "m_axis_tvalid": Port(Out(1), "1: m_axis_tdata is valid"),
            "m_axis_tready": Port(In(1), "1: it is taken at this clock edge if valid"),
            "m_axis_tlast": Port(Out(1), ends.get(self._mark, "1: the last beat of a packet")),
        }
        named = {name: port for name, port in self.ports.items() if name not in CLOCKED}
        super().__init__(signature(named))

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the unit between streams made of the ports."""
        m = Module()
        i = self.unit.i.signature.flip().create(path=("i",))
        o = self.unit.o.signature.create(path=("o",))
        m.d.comb += [
            i.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(i.ready),
            self.m_axis_tvalid.eq(o.valid),
            o.ready.eq(self.m_axis_tready),
            self.m_axis_tlast.eq(o.payload[self._mark] if self._mark else 1),
        ]
        start = 0
        for name, width in _bytes(self._in).items():
            piece = self.s_axis_tdata[start : start + self._in[name].width]
            m.d.comb += i.payload[name].eq(piece)
            start += width
        for name in self.options:
            m.d.comb += i.payload[name].eq(getattr(self, name))
        if "last" in self.unit.inputs:
            m.d.comb += i.payload["last"].eq(self.s_axis_tlast)
        if "first" in self.unit.inputs:
            first = Signal(init=1)
            m.d.comb += i.payload["first"].eq(first)
            with m.If(i.valid & i.ready):
                m.d.sync += first.eq(self.s_axis_tlast)
        m.d.comb += self.m_axis_tdata.eq(
            Cat(_padded(o.payload[n], self._out[n], w) for n, w in _bytes(self._out).items())
        )
        self.unit.flow(m, i, o)
        return m
