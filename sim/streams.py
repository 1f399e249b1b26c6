# SPDX-License-Identifier: Apache-2.0
"""Driver and monitor of a unit between two valid/ready streams, a whole segment of beats at a time.

The clock cycles are the simulator's alone: `streams.v` beside this file sends, pauses, receives and
watches the handshakes; cocotb hands it a file of beats and takes back a file of results, and NumPy
does the rest. It is the same Verilog under every simulator.
"""

from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
from amaranth.lib import wiring
from cocotb.clock import Clock

from ..hdl.configs import Unit
from . import lanes

TOP = "bench"
"""The simulated top: the unit in lanes, and `streams.v` around them."""

SOURCE = Path(__file__).with_suffix(".v")

STEADY = (0.0, 0.0)
TRAFFIC = {
    "steady": STEADY,
    "gaps": (0.5, 0.0),
    "stalls": (0.0, 0.5),
    "gaps and stalls": (0.3, 0.6),
    "after a reset in the middle": (0.0, 0.3),
}
"""How often, from 0 to 1, sender and receiver pause, by what the traffic is called."""

_RULES = (
    "outputs changed before o_ready",
    "o_valid fell before o_ready",
    "i_ready is not 1 exactly while there is room",
    "o_valid is not 1 exactly while there is an output",
    "a handshake differs between the lanes",
    "a handshake, or an output, is unknown",
)
"""What the monitor says that is broken, in the order of its bits."""

HANDSHAKES = ("i_valid", "i_ready", "o_valid", "o_ready")
AXI = ("s_axis_tvalid", "s_axis_tready", "m_axis_tvalid", "m_axis_tready")
"""The handshakes of streams, and of streams in AXI4-Stream's words."""

PATIENCE = 1000
"""Cycles in a row in which nothing goes in or comes out, after which a unit is given up."""

_CONTROLS = {
    **dict.fromkeys(("segment", "beats", "results", "limit", "resets", "linger", "seed"), 32),
    "cut": 1,
    "gap": 17,
    "stall": 17,
}
_ANSWERS = {"finished": 32, "cycles": 32, "broken": 192}
"""What a bench tells `streams.v`, and what it reads of it, with their bits."""

_REPEATS = 4
"""Bytes of a record that say how often its beat is sent."""


@dataclass
class Traffic:
    """What went through a unit.

    Attributes
    ----------
    accepted, emitted : numpy.ndarray of int
        In which clock cycle each item went in, and each came out.
    outputs : dict of numpy.ndarray
        What came out of every output, lane after lane, result after result.
    cycles : int
        How many clock cycles it took.
    broken : list of str
        Which rules of the handshake were broken, and when first.
    """

    accepted: np.ndarray
    emitted: np.ndarray
    outputs: dict[str, np.ndarray]
    cycles: int = 0
    broken: list[str] = field(default_factory=list)

    @property
    def interval(self) -> int:
        """The most cycles from one accepted item to the next."""
        return int(np.diff(self.accepted).max(initial=0))


def cut_short(before: Traffic, whole: Traffic) -> list[str]:
    """Return where traffic that a reset cut off was broken, or was not as the whole begins."""
    other = [
        f"{name} was another before a reset"
        for name, values in before.outputs.items()
        if not np.array_equal(values, whole.outputs[name][: len(values)])
    ]
    return before.broken + other


@dataclass(frozen=True)
class Ends:
    """The ports of a unit with a clock, by what they are for.

    Attributes
    ----------
    i_valid, i_ready, o_valid, o_ready : str
        The handshakes; empty for a unit without.
    inputs, outputs : tuple of str
        The ports that carry items, in the order in which they lie in a record.
    last : str
        The input that marks the beats that come out again; empty if all do.
    stages : int
        How many register stages there are that each move on as soon as they can; 0 if it is not so.
    """

    i_valid: str
    i_ready: str
    o_valid: str
    o_ready: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    last: str
    stages: int

    @classmethod
    def of(cls, unit: Unit) -> "Ends":
        """Return those of a unit."""
        axi = "s_axis_tvalid" in unit.ports
        names = AXI if axi else HANDSHAKES if "i_valid" in unit.ports else ("",) * 4
        sides: dict[bool, list[str]] = {True: [], False: []}
        for name, port in unit.ports.items():
            if name not in (*names, "clk", "rst"):
                sides[port.member.flow == wiring.In].append(name)
        engine = "rows" in unit.parameters
        sums = "accumulator" in unit.parameters and not engine
        return cls(
            *names,
            inputs=tuple(sides[True]),
            outputs=tuple(sides[False]),
            last=("s_axis_tlast" if axi else "last") if sums and names[0] else "",
            stages=0 if engine or not names[0] else unit.latency,
        )


def layout(unit: Unit, copies: int, names: tuple[str, ...]) -> dict[str, slice]:
    """Return the bytes of each port in a record: those of all lanes, or of one if they share it."""
    places, start = {}, 0
    for name in names:
        size = lanes.lane_dtype(unit.ports[name]).itemsize
        size *= 1 if name in lanes.shared(unit) else copies
        places[name] = slice(start, start + size)
        start += size
    return places


def record_size(places: dict[str, slice]) -> int:
    """Return how many bytes a record has."""
    return max((place.stop for place in places.values()), default=0)


def packed(unit: Unit, copies: int, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Return the records of items, a row of bytes each: what every input is, lane after lane."""
    side = layout(unit, copies, Ends.of(unit).inputs)
    items = len(next(iter(inputs.values())))
    records = np.empty((items, record_size(side)), np.uint8)
    for name, place in side.items():
        records[:, place] = np.ascontiguousarray(inputs[name]).reshape(items, -1).view(np.uint8)
    return records


def top(unit: Unit, copies: int, shown: int = 0) -> str:
    """Return Verilog of the simulated top of a unit with a clock: lanes, and `streams` around them.

    Parameters
    ----------
    unit : Unit
        A row with a clock: between streams, with AXI4-Stream ports, or without a handshake, which
        then takes a beat in every cycle and shows in the next what it has come to.
    copies : int
        How many lanes.
    shown : int
        Bits of a further output of the lanes, ``shown``, which the top hands through.

    Returns
    -------
    str
        The module `TOP`. AXI4-Stream ports are the top's too, and its input ``outside`` says that
        they are driven from there.
    """
    ends = Ends.of(unit)
    places = {name: layout(unit, copies, getattr(ends, name)) for name in ("inputs", "outputs")}
    bits = {name: 8 * record_size(side) for name, side in places.items()}
    words = -(-bits["outputs"] // 32) * 32
    ports, body = [], []
    handshakes = ("i_valid", "i_ready", "o_valid", "o_ready")
    pins = {"clk": "clk"}
    if ends.i_valid:
        pins |= {"rst": "reset"} | {getattr(ends, name): name for name in handshakes}
    else:
        body += [
            "reg after = 0;",
            "always @(posedge clk) after <= i_valid;",
            f"assign i_ready = {{{copies}{{1'b1}}}};",
            f"assign o_valid = {{{copies}{{after}}}};",
        ]
    for vector, side in places.items():
        for name, place in side.items():
            pins[name] = f"{vector}[{8 * place.stop - 1}:{8 * place.start}]"
    if words > bits["outputs"]:
        body.append(f"assign outputs[{words - 1}:{bits['outputs']}] = 0;")
    if ends.i_valid == AXI[0]:
        ports.append("input wire outside")
        for name, net in list(pins.items())[1:]:
            port = unit.ports[name]
            wire = f"wire {_range(port.width)}{name}"
            if port.member.flow == wiring.In:
                ports.append(f"input {wire}")
                pins[name] = f"outside ? {name} : {net}"
            else:
                ports.append(f"output {wire}")
                body.append(f"assign {name} = {net};")
    if shown:
        ports.append(f"output wire [{shown - 1}:0] shown")
        pins["shown"] = "shown"
    last = places["inputs"][ends.last] if ends.last else None
    parameters = {
        "IN": bits["inputs"],
        "OUT": words,
        "LANES": copies,
        "STAGES": ends.stages,
        "IDLE_UNKNOWN": int(bool(ends.i_valid)),
        "PATIENCE": PATIENCE,
    }
    given = ", ".join(f".{name}({value})" for name, value in parameters.items())
    both = ("clk", *_CONTROLS, *_ANSWERS, *handshakes, "inputs", "emits", "outputs")
    connected = "".join(f", .{name}({name})" for name in both)
    controls = "".join(f"  input wire {_range(w)}{name},\n" for name, w in _CONTROLS.items())
    answers = "".join(f"  output wire {_range(w)}{name},\n" for name, w in _ANSWERS.items())
    more = "".join(f"  {port},\n" for port in ports)
    lines = "".join(f"  {line}\n" for line in body)
    return f"""module {TOP} (
{controls}{answers}{more}  input wire clk
);
  wire reset, i_valid, o_ready;
  wire [{copies - 1}:0] i_ready, o_valid;
  wire [{bits["inputs"] - 1}:0] inputs;
  wire [{words - 1}:0] outputs;
  wire emits = {f"inputs[{8 * last.start}]" if last else "1'b1"};
{lines}  streams #({given})
    ends (.rst(reset){connected});
  {lanes.TOP} lanes ({", ".join(f".{name}({net})" for name, net in pins.items())});
endmodule
"""


def _range(width: int) -> str:
    """Return a range of bits as Verilog writes it; nothing for a single bit."""
    return f"[{width - 1}:0] " if width > 1 else ""


class Streams:
    """A simulated unit between the ends of its streams.

    Parameters
    ----------
    dut : cocotb handle
        The simulated top, from `top`.
    unit : Unit
        What is in the lanes.
    copies : int
        How many lanes.
    folder : Path
        Where the simulator runs and its files are.
    """

    def __init__(self, dut: object, unit: Unit, copies: int, folder: Path) -> None:
        ends = Ends.of(unit)
        self._dut, self._unit, self._copies, self._folder = dut, unit, copies, folder
        self._outputs = layout(unit, copies, ends.outputs)
        self._segment = 0
        self._clock = Clock(dut.clk, 2, "ns", impl="gpi")

    async def transact(
        self,
        inputs: dict[str, np.ndarray],
        results: int,
        *,
        rng: np.random.Generator,
        gap: float = 0.0,
        stall: float = 0.0,
        repeats: np.ndarray | int = 1,
        reset: bool = False,
        limit: int = 0,
        cut: bool = False,
        linger: int = 0,
    ) -> Traffic:
        """Send items into a stream until so many have come out of another.

        Parameters
        ----------
        inputs : dict of numpy.ndarray
            What every input is at every item: a row for each, of as many bytes as the lanes take.
        results : int
            How many items must come out.
        rng : numpy.random.Generator
            Seeds the pauses.
        gap, stall : float
            How often, from 0 to 1, the sender pauses and the receiver is not ready.
        repeats : numpy.ndarray of int, optional
            How many times each item is sent.
        reset : bool
            Reset the unit before.
        limit : int
            After how many clock cycles to stop at the latest; 0 for any number.
        cut : bool
            Reset the unit at the end.
        linger : int
            For how many cycles to see whether more comes out: it is in the traffic, too.

        Returns
        -------
        Traffic
            What went in and out, and when.
        """
        beats = packed(self._unit, self._copies, inputs)
        items = len(beats)
        counts = np.broadcast_to(np.asarray(repeats, "<u4"), items)[:, None]
        records = np.concatenate([np.ascontiguousarray(counts).view(np.uint8), beats], axis=1)
        (self._folder / "stimulus.bin").write_bytes(records[:, ::-1].tobytes())

        dut = self._dut
        self._segment += 1
        controls = {
            "segment": self._segment,
            "beats": items,
            "results": results,
            "limit": limit,
            "resets": int(reset),
            "cut": int(cut),
            "linger": linger,
            "seed": int(rng.integers(1, 1 << 32)),
            "gap": round(gap * 65536),
            "stall": round(stall * 65536),
        }
        for name, value in controls.items():
            getattr(dut, name).value = value
        self._clock.start(start_high=False)
        while dut.finished.value != self._segment:
            await dut.finished.value_change
        self._clock.stop()
        return self._traffic()

    def _traffic(self) -> Traffic:
        """Return what the segment left in its files."""
        words = np.fromfile(self._folder / "marks.bin", "<u4")
        marks = np.unpackbits(words.view(np.uint8), bitorder="little").reshape(-1, 2)
        size = -(-record_size(self._outputs) // 4) * 4
        raw = np.fromfile(self._folder / "responses.bin", np.uint8).reshape(-1, size)
        outputs = {
            name: np.ascontiguousarray(raw[:, place])
            .view(lanes.lane_dtype(self._unit.ports[name]))
            .ravel()
            for name, place in self._outputs.items()
        }
        broken = int(self._dut.broken.value)
        firsts = [broken >> 32 * k & 0xFFFFFFFF for k in range(len(_RULES))]
        return Traffic(
            accepted=np.flatnonzero(marks[:, 0]),
            emitted=np.flatnonzero(marks[:, 1]),
            outputs=outputs,
            cycles=int(self._dut.cycles.value),
            broken=[
                f"cycle {first - 1}: {rule}"
                for rule, first in zip(_RULES, firsts, strict=True)
                if first
            ],
        )

    async def reset_when_full(
        self, inputs: dict[str, np.ndarray], *, depth: int, rng: np.random.Generator
    ) -> list[str]:
        """Reset a unit at every moment while it fills up: nothing of what is inside may come out.

        Parameters
        ----------
        inputs, rng
            As for `transact`; every input item should come out, for only those can be seen to.
        depth : int
            After how many cycles it is full, the receiver taking nothing. It is also reset after as
            many in which the receiver takes some.

        Returns
        -------
        list of str
            What came out.
        """
        broken = []
        for stall, limit in product((1.0, 0.5), range(1, depth + 2)):
            how = {"stall": stall, "limit": limit, "cut": True, "linger": 2 * depth, "rng": rng}
            traffic = await self.transact(inputs, depth, **how)
            broken += traffic.broken
            if (traffic.emitted >= traffic.cycles).any():
                broken.append(f"an item came out after a reset in cycle {limit}")
        return broken
