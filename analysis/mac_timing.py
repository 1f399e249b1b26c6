# SPDX-License-Identifier: Apache-2.0
"""Figure: the handshakes of the multiply-accumulate unit, clock by clock, as simulated.

Imports `golden`, `hdl.configs` and `hif8.files`. Nothing in it is drawn by hand: Amaranth's own
simulator runs the unit, and WaveDrom draws what its ports were.
"""

import io
import json
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import wavedrom
from amaranth.sim import Simulator
from svgwrite.drawing import Drawing

from .. import files
from ..golden.accumulate import UNIT_EXPONENT
from ..golden.decode import decode
from ..golden.encode import encode
from ..hdl.configs import UNITS

UNIT = UNITS["mac_exact"]
VECTORS = (((1.0, 2.0), (1.5, 4.0), (-0.5, 3.0)), ((2.0, 2.0), (3.0, 0.5)), ((7.0, 1.0),))
"""The pairs of the vectors that are sent, one after the other."""
PAUSES = (0, 4)
"""In which cycles the sender has nothing new to offer."""
STALLS = (6, 7, 8)
"""In which cycles the receiver is not ready."""


class Row(NamedTuple):
    """One clock cycle: what the ports are just before the rising edge that ends it.

    Attributes
    ----------
    cycle : int
        Counted from 0.
    i_valid, i_ready, first, last : int
        The input's handshake, and the marks of the beat.
    a, b : float
        The values of the codes that are offered.
    o_valid, o_ready : int
        The output's handshake.
    sum : Fraction
        The value of the sum.
    """

    cycle: int
    i_valid: int
    i_ready: int
    first: int
    last: int
    a: float
    b: float
    o_valid: int
    o_ready: int
    sum: Fraction

    @property
    def accepted(self) -> bool:
        """Whether a beat goes in at the end of the cycle."""
        return bool(self.i_valid and self.i_ready)

    @property
    def taken(self) -> bool:
        """Whether a sum is taken at the end of the cycle."""
        return bool(self.o_valid and self.o_ready)


def compute() -> list[Row]:
    """Simulate the unit until the sum of every vector has been taken, and one cycle more.

    Returns
    -------
    list of Row
        Cycle by cycle.
    """
    beats = [
        {"a": a, "b": b, "first": k == 0, "last": k == len(vector) - 1}
        for vector in VECTORS
        for k, (a, b) in enumerate(vector)
    ]
    dut = UNIT.build()
    rows: list[Row] = []

    async def run(ctx: object) -> None:
        sent, offered = 0, False
        while sum(row.taken for row in rows) < len(VECTORS) or rows[-1].o_valid:
            cycle = len(rows)
            offered = sent < len(beats) and (offered or cycle not in PAUSES)
            ctx.set(dut.i_valid, offered)
            ctx.set(dut.o_ready, cycle not in STALLS)
            if offered:
                for name, value in beats[sent].items():
                    ctx.set(getattr(dut, name), int(encode(value) if name in "ab" else value))
            rows.append(_observe(ctx, dut, cycle))
            sent, offered = sent + rows[-1].accepted, offered and not rows[-1].accepted
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(run)
    simulator.run()
    return rows


def _observe(ctx: object, dut: object, cycle: int) -> Row:
    """Return what the ports are."""
    seen = {name: ctx.get(getattr(dut, name)) for name in Row._fields[1:]}
    for name in "ab":
        seen[name] = float(decode(seen[name]))
    seen["sum"] *= Fraction(2) ** UNIT_EXPONENT
    return Row(cycle, **seen)


def arrivals(rows: list[Row]) -> list[tuple[int, int, int]]:
    """Return for every vector when its last beat went in, when its sum showed, when it was taken.

    Sums come in the order of the vectors, so that no more than counting is needed.
    """
    ends = [row.cycle for row in rows if row.accepted and row.last]
    shown = [
        row.cycle
        for before, row in zip([None, *rows], rows, strict=False)
        if row.o_valid and (before is None or not before.o_valid or before.taken)
    ]
    taken = [row.cycle for row in rows if row.taken]
    return list(zip(ends, shown, taken, strict=True))


def finding(rows: list[Row]) -> str:
    """Say in a sentence what the figure shows, with the numbers it rests on."""
    every = arrivals(rows)
    latency = min(shown - end for end, shown, _ in every)
    stalled = max(taken - shown for _, shown, taken in every)
    held = sum(bool(row.i_valid and not row.i_ready) for row in rows)
    beats = sum(row.accepted for row in rows)
    return (
        f"{beats} beats of {len(every)} vectors: a sum stands at the output {latency} clock edges "
        f"after its last beat was accepted; while the receiver stalls it for {stalled} cycles, the "
        f"pipeline fills and i_ready is low for {held}, and nothing is lost."
    )


def source(rows: list[Row]) -> dict[str, object]:
    """Return the diagram as WaveDrom takes it: the ports, and an arrow for the latency.

    What is not valid is left out, though the ports have some value then.
    """
    sent = [bool(row.i_valid) for row in rows]
    shown = [bool(row.o_valid) for row in rows]
    (end, begin, _), *_ = arrivals(rows)
    lanes = [
        {"name": "clk", "wave": "p" + "." * (len(rows) - 1)},
        _levels("i_valid", [row.i_valid for row in rows]),
        _levels("i_ready", [row.i_ready for row in rows]),
        _items("a", [f"{row.a:g}" for row in rows], sent, [row.accepted for row in rows]),
        _items("b", [f"{row.b:g}" for row in rows], sent, [row.accepted for row in rows]),
        _levels("first", [row.first if row.i_valid else None for row in rows]),
        _levels("last", [row.last if row.i_valid else None for row in rows]) | _node("L", end),
        _levels("o_valid", [row.o_valid for row in rows]) | _node("S", begin),
        _levels("o_ready", [row.o_ready for row in rows]),
        _items("sum", [f"{float(row.sum):g}" for row in rows], shown, [row.taken for row in rows]),
    ]
    return {
        "signal": lanes,
        "edge": [f"L~>S {begin - end} clock edges"],
        "head": {"tock": rows[0].cycle},
        "config": {"hscale": 1},
    }


def _node(name: str, cycle: int) -> dict[str, str]:
    """Return what names the beginning of a cycle."""
    return {"node": "." * cycle + name}


def _levels(name: str, bits: list[int | None]) -> dict[str, object]:
    """Return the lane of a bit; None is where it does not matter."""
    marks = ["x" if bit is None else str(bit) for bit in bits]
    wave = (mark if k == 0 or mark != marks[k - 1] else "." for k, mark in enumerate(marks))
    return {"name": name, "wave": "".join(wave)}


def _items(name: str, texts: list[str], valid: list[bool], done: list[bool]) -> dict[str, object]:
    """Return the lane of a number that stays as long as it is valid and not yet accepted."""
    wave, data = "", []
    for k, text in enumerate(texts):
        begins = k == 0 or not valid[k - 1] or done[k - 1]
        if not valid[k]:
            wave += "x"
        elif begins or text != texts[k - 1]:
            wave += "="
            data.append(text)
        else:
            wave += "."
    return {"name": name, "wave": wave, "data": data}


def draw(rows: list[Row], path: Path) -> None:
    """Draw the diagram.

    Parameters
    ----------
    rows : list of Row
        From `compute`.
    path : Path
        To ``.svg``. Equal rows give equal bytes.
    """
    drawing: Drawing = wavedrom.render(json.dumps(source(rows)))
    paper = drawing.rect(size=("100%", "100%"), fill="white")
    drawing.elements.insert(1, paper)  # after the definitions: black lines need it in the dark
    text = io.StringIO()
    drawing.write(text)
    darker = text.getvalue().replace(".muted{fill:#aaa}", ".muted{fill:#555}")
    files.write(path, darker.encode())
