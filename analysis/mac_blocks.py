# SPDX-License-Identifier: Apache-2.0
"""Figure: what the multiply-accumulate units are made of, and where their registers stand.

Imports `analysis.plot`, `hdl.configs` and `hdl.decoder`. The widths are read from the netlists.
"""

import re
from pathlib import Path
from typing import NamedTuple

from amaranth.back import rtlil
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, Polygon, Rectangle

from ..hdl.configs import UNITS
from ..hdl.decoder import HIF8
from . import plot

MACS = ("mac_exact", "mac_fp32")
INK, PAPER, PANEL = "#1B1F23", "#FFFFFF", "#E9ECEF"


class Row(NamedTuple):
    """A register of a unit.

    Attributes
    ----------
    unit : str
        Name of the unit.
    place : int
        The register is the so-manieth on the way from the inputs to the sum.
    register : str
        Its name in the netlist.
    bits : int
        How wide it is.
    """

    unit: str
    place: int
    register: str
    bits: int


def compute() -> list[Row]:
    """Read the registers of both units from their netlists.

    Returns
    -------
    list of Row
        Unit by unit, in the order of the netlist.
    """
    return [
        Row(name, _place(register, UNITS[name].latency), register, bits)
        for name in MACS
        for register, bits in registers(rtlil.convert(UNITS[name].build(), emit_src=False))
    ]


def registers(netlist: str) -> list[tuple[str, int]]:
    """Return the name and the width of every flip-flop cell of an RTLIL text."""
    cells = re.findall(r"(?ms)^  cell \$a?s?dff.*?^  end$", netlist)
    return [
        (re.search(r"connect \\Q \\(\S+)", cell)[1], int(re.search(r"WIDTH (\d+)", cell)[1]))
        for cell in cells
    ]


def _place(register: str, last: int) -> int:
    """Return where a register stands: pipelines number theirs, the sum has the last place."""
    numbered = re.fullmatch(r"\w+?_(\d+)", register.partition("_of_")[0])
    return int(numbered[1]) if numbered else last


def widths(rows: list[Row]) -> dict[str, list[int]]:
    """Return for each unit the bits of the registers at each place."""
    return {
        unit: [
            sum(row.bits for row in rows if (row.unit, row.place) == (unit, place))
            for place in range(1, UNITS[unit].latency + 1)
        ]
        for unit in MACS
    }


def finding(rows: list[Row]) -> str:
    """Say in a sentence what the figure shows, with the numbers it rests on."""
    every = widths(rows)
    sums = " and ".join(
        f"{' + '.join(map(str, bits))} = {sum(bits)} bits in {unit}" for unit, bits in every.items()
    )
    return (
        f"From a pair of codes to its sum there are {len(every[MACS[0]])} register stages, of "
        f"{sums}."
    )


def draw(rows: list[Row], path: Path) -> None:
    """Draw both units: a common front, and an accumulator each.

    Parameters
    ----------
    rows : list of Row
        From `compute`.
    path : Path
        To ``.svg`` or ``.png``.
    """
    every = widths(rows)
    exact, fp32 = (every[name] for name in MACS)
    sums = {name: UNITS[name].ports["sum"].width for name in MACS}
    with plot.canvas(path, width=11.0, height=5.2) as figure:
        axes = figure.subplots()
        axes.set_axis_off()
        axes.set_xlim(0, 110)
        axes.set_ylim(0, 52)
        for y, name in ((31, "a"), (17, "b")):
            axes.text(0, y, f"{name}\n8 bits", va="center", size=9)
            _arrow(axes, (5, y), (8, y))
            _box(axes, (8, y), 9, "decode")
            _arrow(axes, (17, y), (20, 24 + (y - 24) / 3))
        _box(axes, (20, 24), 12, "multiply\n4 x 4 bits\nexact")
        _arrow(axes, (32, 24), (35, 24))
        _register(axes, (35, 24), "")
        text = f"{exact[0]} bits\n({MACS[1]}: {fp32[0]})"
        axes.text(37.2, 18.4, text, ha="right", va="top", size=8)
        lanes = (
            (
                40,
                exact,
                "turn within\na frame",
                f"place, add\nin units of\n2$^{{{HIF8.product_unit}}}$",
            ),
            (8, fp32, "normalise", "align, add,\nround to FP32"),
        )
        for (y, bits, before, adder), name in zip(lanes, MACS, strict=True):
            _arrow(axes, (37, 24), (42, y))
            axes.text(42, y + 7.5, name, weight="bold")
            _box(axes, (42, y), 15, before)
            _arrow(axes, (57, y), (60, y))
            _register(axes, (60, y), f"{bits[1]} bits")
            _arrow(axes, (62, y), (66, y))
            _box(axes, (66, y), 13, adder)
            _arrow(axes, (79, y), (83, y))
            _register(axes, (83, y), f"{bits[2]} bits")
            _loop(axes, y)
            _arrow(axes, (85, y), (91, y))
            axes.text(88.7, y - 0.6, "sum", ha="center", va="top", size=8)
        axes.text(72.5, 49.2, "first: begins at 0", ha="center", size=8)
        axes.text(72.5, 17.2, "first: begins at acc", ha="center", size=8)
        _box(
            axes, (91, 40), 17, "read-out\ntimes 2$^s$, rounded\nonce to FP32\nor HiF8", dashed=True
        )
        text = f"FP32 word, {sums[MACS[1]]} bits,\nrounded once a product"
        axes.text(91.5, 8, text, va="center", size=9)
        axes.text(91, 30.2, f"from {sums[MACS[0]]} bits and flags;\na unit of its own", size=8)
        _register(axes, (60, 24), "")
        axes.text(64, 24, "register, its bits below", va="center", size=9)


def _box(
    axes: Axes, left: tuple[float, float], width: float, text: str, *, dashed: bool = False
) -> None:
    """Draw logic, given the middle of its left side."""
    x, y = left
    style = {"boxstyle": "round,pad=0,rounding_size=0.8", "edgecolor": INK, "linewidth": 1.2}
    style |= {"facecolor": PAPER if dashed else PANEL, "linestyle": "--" if dashed else "-"}
    height = 12 if text.count("\n") > 2 else 10
    axes.add_patch(FancyBboxPatch((x, y - height / 2), width, height, **style))
    axes.text(x + width / 2, y, text, ha="center", va="center", size=9)


def _register(axes: Axes, left: tuple[float, float], text: str) -> None:
    """Draw a register, given the middle of its left side, with its clock's triangle."""
    x, y = left
    axes.add_patch(Rectangle((x, y - 5), 2, 10, facecolor=INK, edgecolor=INK))
    triangle = [(x + 0.3, y - 4.8), (x + 1.7, y - 4.8), (x + 1, y - 3.2)]
    axes.add_patch(Polygon(triangle, facecolor=PAPER, edgecolor=PAPER))
    axes.text(x + 1, y - 5.6, text, ha="center", va="top", size=8)


def _arrow(axes: Axes, begin: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw a connection."""
    style = {"arrowstyle": "-|>", "color": INK, "lw": 1.2, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, begin, arrowprops=style)


def _loop(axes: Axes, y: float) -> None:
    """Draw the way of a sum back to its adder."""
    axes.plot([86.5, 86.5, 64.5, 64.5], [y, y + 8.2, y + 8.2, y + 2.5], color=INK, lw=1.2)
    _arrow(axes, (64.5, y + 2.5), (66, y + 2.5))
