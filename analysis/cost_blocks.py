# SPDX-License-Identifier: Apache-2.0
"""Figure: the same blocks for every format, and their areas.

Imports `analysis.cost`, `analysis.formats` and `analysis.plot`.
"""

from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes

from . import cost, plot
from .formats import HIF8


class Block(NamedTuple):
    """What every format has.

    Attributes
    ----------
    title : str
        For people.
    ours : str
        HiF8's unit; the others' are named after the block and the format.
    lanes : int
        Products a cycle, among which the area is divided.
    """

    title: str
    ours: str
    lanes: int = 1


BLOCKS = {
    "decoder": Block("decoder", "decoder"),
    "encoder_fp32": Block("encoder from FP32, nearest (HiF8: TA)", "encoder_fp32_ta"),
    "multiplier": Block("multiplier, exact product", "multiplier"),
    "mac_fp32": Block("MAC core, FP32 sum", "mac_fp32_hif8"),
    "mac_exact": Block("MAC core, exact sum (INT8: 32 bits)", "mac_exact_hif8"),
    "dot16_exact": Block("dot product of 16, exact, each lane", "dot16_exact_hif8", 16),
}
"""By what their units' names begin with."""
COLOURS = {HIF8.label: HIF8.style.color}
"""Bars are grey, but for these."""


class Row(NamedTuple):
    """One block of one format.

    Attributes
    ----------
    block, format, unit : str
        Which one.
    ge : float
        Its area in gate equivalents; of a dot product that of a lane.
    delay_ns : float
        The longest path.
    """

    block: str
    format: str
    unit: str
    ge: float
    delay_ns: float


def units_of(block: str, rows: dict[str, cost.Row]) -> dict[str, cost.Row]:
    """Return the rows of a block by format. INT8 has one kind of sum, which no name tells."""
    found = {}
    for key, label in cost.FORMATS.items():
        names = (
            [BLOCKS[block].ours]
            if key == "hif8"
            else [f"{block}_{key}", f"{block.replace('_exact', '')}_{key}"]
        )
        for name in names:
            if name in rows:
                found[label] = rows[name]
    return found


def compute(results: Path = cost.MEASURED) -> list[Row]:
    """Return what was measured of the blocks that more than one format has."""
    rows = cost.read(results).by_name
    found = {block: units_of(block, rows) for block in BLOCKS}
    return [
        Row(block, label, row.unit, row.ge / BLOCKS[block].lanes, row.delay_ns)
        for block, formats in found.items()
        if len(formats) > 1
        for label, row in formats.items()
    ]


def markdown(rows: list[Row]) -> str:
    """Return area and delay of every block and format as a table for the README."""
    formats = [label for label in cost.FORMATS.values() if label in {row.format for row in rows}]
    cells = {(row.block, row.format): f"{row.ge:,.0f} · {row.delay_ns:.1f}" for row in rows}
    blocks = dict.fromkeys(row.block for row in rows)
    lines = [
        ["GE · ns", *formats],
        ["---"] * (1 + len(formats)),
        *([BLOCKS[b].title, *(cells.get((b, label), "-") for label in formats)] for b in blocks),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def finding(rows: list[Row]) -> str:
    """Say in a sentence what the figure shows, with the numbers it rests on."""
    by = {(row.block, row.format): row.ge for row in rows}
    ours, both, int8 = (by[("mac_exact", name)] for name in ("HiF8", "FP8, both", "INT8"))
    return (
        f"With an exact sum HiF8's MAC takes {ours:,.0f} GE, {ours / both:.2f} times that of both "
        f"FP8 formats with a select ({both:,.0f}) and {ours / int8:.2f} times INT8's "
        f"({int8:,.0f})."
    )


def draw(rows: list[Row], path: Path) -> None:
    """Draw a panel of bars for every block.

    Parameters
    ----------
    rows : list of Row
        From `compute`.
    path : Path
        To ``.svg`` or ``.png``.
    """
    blocks = list(dict.fromkeys(row.block for row in rows))
    lines = -(-len(blocks) // 2)
    with plot.canvas(path, width=9.6, height=2.3 * lines) as figure:
        panels = figure.subplots(lines, 2, squeeze=False).ravel()
        for axes, block in zip(panels, blocks, strict=False):
            _draw_block(axes, BLOCKS[block].title, [row for row in rows if row.block == block])
        for axes in panels[len(blocks) :]:
            axes.set_axis_off()


def _draw_block(axes: Axes, title: str, rows: list[Row]) -> None:
    """Draw the bars of one block, each with its numbers."""
    labels = [row.format for row in rows]
    bars = axes.barh(
        labels,
        [row.ge for row in rows],
        color=[COLOURS.get(label, "#AAAAAA") for label in labels],
        edgecolor="#444444",
        height=0.7,
    )
    axes.bar_label(bars, [f"{row.ge:,.0f}  ({row.delay_ns:.1f} ns)" for row in rows], padding=4)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.45 * max(row.ge for row in rows))
    axes.set_title(title, loc="left")
    axes.set_xlabel("GE")
    axes.grid(visible=False, axis="y")
