# SPDX-License-Identifier: Apache-2.0
"""Figure: what a format's arithmetic costs against how precise it is, and over how wide a range.

Imports `analysis.cost`, `analysis.cost_blocks`, `analysis.formats`, `analysis.plot` and
`analysis.snr`.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from . import cost, plot
from .cost_blocks import units_of
from .formats import E4M3, E5M2, HIF8, INT8, POSIT8, Format, Style
from .snr import SCALES, USABLE, snr

BOTH = Style("#009E73", (0, (6, 1.5, 1, 1.5)), "v")
CHOICES: dict[str, tuple[tuple[Format, ...], Style]] = {
    "HiF8": ((HIF8,), HIF8.style),
    "FP8-E4M3": ((E4M3,), E4M3.style),
    "FP8-E5M2": ((E5M2,), E5M2.style),
    "FP8, both": ((E4M3, E5M2), BOTH),
    "posit(8,2)": ((POSIT8,), POSIT8.style),
    "INT8": ((INT8,), INT8.style),
}
"""The formats that the hardware may take a tensor in, the better one each time; and the style."""


class Row(NamedTuple):
    """One format.

    Attributes
    ----------
    format : str
        Which one.
    snr_db : float
        Signal to rounding noise of normally distributed values, at the best scale.
    range_binades : float
        How wide the scales are, in powers of two, at which it is at least `USABLE`.
    ge_exact, ge_fp32 : float, optional
        Area of its MAC core in gate equivalents.
    """

    format: str
    snr_db: float
    range_binades: float
    ge_exact: float | None
    ge_fp32: float | None


def curve(formats: tuple[Format, ...]) -> npt.NDArray[np.float64]:
    """Return the ratio at all `SCALES`, that of the better format at each."""
    return np.max([[snr(entry, 2.0**k) for k in SCALES] for entry in formats], axis=0)


def compute(results: Path = cost.MEASURED) -> list[Row]:
    """Return precision, range and cost of every format whose MAC was measured."""
    rows = cost.read(results).by_name
    exact, fp32 = units_of("mac_exact", rows), units_of("mac_fp32", rows)
    made = []
    for name, (formats, _) in CHOICES.items():
        if name in exact:
            ratios = curve(formats)
            usable = float((ratios >= USABLE).sum() * (SCALES[1] - SCALES[0]))
            rounded = fp32[name].ge if name in fp32 else None
            made.append(Row(name, float(ratios.max()), usable, exact[name].ge, rounded))
    return made


def finding(rows: list[Row]) -> str:
    """Say in a sentence what the figure shows, with the numbers it rests on."""
    by = {row.format: row for row in rows}
    ours, both, int8 = by["HiF8"], by["FP8, both"], by["INT8"]
    return (
        f"Normally distributed values keep {USABLE:.0f} dB in HiF8 over scales of "
        f"{ours.range_binades:.0f} binades, {ours.snr_db:.1f} dB at the best one, for "
        f"{ours.ge_exact:,.0f} GE a MAC; both FP8 formats with a select keep them over "
        f"{both.range_binades:.0f} binades, {both.snr_db:.1f} dB, for {both.ge_exact:,.0f} GE; "
        f"INT8 over {int8.range_binades:.0f}, {int8.snr_db:.1f} dB, for {int8.ge_exact:,.0f} GE."
    )


def draw(rows: list[Row], path: Path) -> None:
    """Draw the ratio over the scale, and below it cost against precision and against range.

    Parameters
    ----------
    rows : list of Row
        From `compute`.
    path : Path
        To ``.svg`` or ``.png``.
    """
    with plot.canvas(path, width=9.6, height=8.2) as figure:
        grid = figure.add_gridspec(2, 2, height_ratios=(1, 1.2))
        scales = figure.add_subplot(grid[0, :])
        for row in rows:
            formats, style = CHOICES[row.format]
            if len(formats) == 1:
                _draw_curve(scales, curve(formats), style)
        scales.axhline(USABLE, color="#444444", linewidth=0.8)
        scales.set_ylim(0)
        scales.set_xlim(-32, 32)
        scales.set_xlabel("log2 of the values' standard deviation; mean 0")
        scales.set_ylabel("signal to noise (dB)")
        scales.set_title("How precise: rounding of normally distributed values", loc="left")
        figure.legend(handles=_legend(rows), loc="outside upper center", ncols=len(rows))
        _draw_points(figure.add_subplot(grid[1, 0]), rows, "snr_db", "dB at the best scale")
        _draw_points(
            figure.add_subplot(grid[1, 1]),
            rows,
            "range_binades",
            f"binades of scales with {USABLE:.0f} dB or more",
        )


def _draw_curve(axes: Axes, ratios: npt.NDArray[np.float64], style: Style) -> None:
    """Draw one format's ratio over the scale."""
    axes.plot(
        SCALES,
        ratios,
        color=style.color,
        linestyle=style.linestyle,
        linewidth=style.linewidth,
        marker=style.marker,
        markevery=16,
        markersize=5,
    )


def _legend(rows: list[Row]) -> list[Line2D]:
    """Return a line with its marker for every format; a choice of two has no line of its own."""
    return [
        Line2D(
            [],
            [],
            label=row.format,
            color=style.color,
            linestyle=style.linestyle if len(formats) == 1 else "none",
            linewidth=style.linewidth,
            marker=style.marker,
        )
        for row in rows
        for formats, style in [CHOICES[row.format]]
    ]


def _draw_points(axes: Axes, rows: list[Row], field: str, label: str) -> None:
    """Draw a point for each format: filled with an exact sum, hollow with an FP32 one."""
    for row in rows:
        style, y = CHOICES[row.format][1], getattr(row, field)
        axes.plot(row.ge_exact, y, style.marker, color=style.color, markersize=9)
        if row.ge_fp32:
            hollow = {"markerfacecolor": "white", "markeredgecolor": style.color}
            axes.plot(row.ge_fp32, y, style.marker, **hollow, markersize=9)
    areas = [area for row in rows for area in (row.ge_exact, row.ge_fp32) if area]
    axes.set_xlim(0, 1.1 * max(areas))
    axes.set_ylim(0, 1.1 * max(getattr(row, field) for row in rows))
    axes.set_title("MAC core: filled exact sum, hollow FP32", loc="left")
    axes.set_xlabel("area (GE)")
    axes.set_ylabel(label)
