# SPDX-License-Identifier: Apache-2.0
"""Figure: the map of HiF8's codes, what each of them stands for.

Imports `golden.describe`, `golden.format`, `analysis.formats` and `analysis.plot`.
"""

from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from ..golden import format as f
from ..golden.describe import describe
from . import plot
from .formats import exact_text

COLUMNS = 16
TINTS = {"D4": "#FBE3D3", "D3": "#F3BE98", "D2": "#FBE3D3", "D1": "#F3BE98", "D0": "#FBE3D3"}
"""Of HiF8's own colour, light and dark in turn: neighbours differ in grey too."""
DENORMAL_TINT = "#D9D9D9"
SPECIAL_TINT = "#FFFFFF"


class Row(NamedTuple):
    """One code.

    Attributes
    ----------
    code : int
        From 0 to 255.
    bits : str
        Its bits, fields apart: sign, dot field, exponent, mantissa.
    dot_field : str
        Name of the row of the dot-field table.
    mantissa_width : int
        Stored mantissa bits of that row.
    kind : str
        ``normal``, ``denormal``, ``zero``, ``infinite`` or ``NaN``.
    value : float
        What the code stands for.
    """

    code: int
    bits: str
    dot_field: str
    mantissa_width: int
    kind: str
    value: float


def compute() -> list[Row]:
    """Describe all 256 codes.

    Returns
    -------
    list of Row
        In the order of the codes.
    """
    rows = []
    for code in range(1 << f.WIDTH):
        about = describe(code)
        field = about.dot_field
        rows.append(
            Row(code, about.bits, field.name, field.mantissa_width, about.kind, about.value)
        )
    return rows


def finding(rows: list[Row]) -> str:
    """Say in a sentence what the figure shows, with the numbers it rests on."""
    kinds = [row.kind for row in rows]
    widths = [row.mantissa_width for row in rows if row.kind == "normal"]
    normal = ", ".join(
        f"{widths.count(width)} with {width} mantissa bit{'s' if width > 1 else ''}"
        for width in sorted(set(widths), reverse=True)
    )
    return (
        f"Of {len(rows)} codes {len(widths)} are normal numbers ({normal}) and "
        f"{kinds.count('denormal')} are denormal powers of two; {kinds.count('zero')} is zero, "
        f"{kinds.count('NaN')} is NaN and {kinds.count('infinite')} are infinities."
    )


def draw(rows: list[Row], path: Path) -> None:
    """Draw the codes without sign as a grid, four high bits downwards, four low bits across.

    Parameters
    ----------
    rows : list of Row
        From `compute`.
    path : Path
        To ``.svg`` or ``.png``.
    """
    with plot.canvas(path, width=12.0, height=4.4) as figure:
        axes = figure.add_subplot()
        shown = [row for row in rows if not row.code & f.SIGN_BIT]
        for row in shown:
            _draw_cell(axes, row)
        lines = len(shown) // COLUMNS
        axes.grid(visible=False)
        axes.set_xlim(0, COLUMNS)
        axes.set_ylim(lines, 0)
        axes.set_xticks([x + 0.5 for x in range(COLUMNS)], [f"{x:04b}" for x in range(COLUMNS)])
        axes.set_yticks([y + 0.5 for y in range(lines)], [f"0{y:03b}" for y in range(lines)])
        axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("low four bits of the code", labelpad=6)
        axes.xaxis.set_label_position("top")
        axes.set_ylabel("high four bits")
        _label_fields(axes, shown)


def _draw_cell(axes: Axes, row: Row) -> None:
    """Draw one code: its hexadecimal number above its value."""
    y, x = divmod(row.code, COLUMNS)
    normal = TINTS.get(row.dot_field, DENORMAL_TINT)
    tint = normal if row.kind in ("normal", "denormal") else SPECIAL_TINT
    axes.add_patch(Rectangle((x, y), 1, 1, facecolor=tint, edgecolor="white", linewidth=1))
    text = "\N{INFINITY}" if row.kind == "infinite" else exact_text(row.value)
    axes.text(
        x + 0.5, y + 0.3, f"{row.code:02X}", ha="center", va="center", size=7, color="#444444"
    )
    axes.text(x + 0.5, y + 0.7, text, ha="center", va="center", size=8)


def _label_fields(axes: Axes, shown: list[Row]) -> None:
    """Write beside each line of the grid its dot fields, and how many mantissa bits they leave."""
    lines = {}
    for row in shown:
        lines.setdefault(row.code // COLUMNS, {})[row.dot_field] = row.mantissa_width
    for y, fields in lines.items():
        text = ", ".join(f"{name} ({width})" for name, width in fields.items())
        axes.text(COLUMNS + 0.15, y + 0.5, text, va="center", size=9)
    axes.text(COLUMNS + 0.15, -0.25, "dot field\n(mantissa bits)", va="center", size=9)
