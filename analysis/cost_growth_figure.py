# SPDX-License-Identifier: Apache-2.0
"""Figure: how area and delay change with latency, lanes, rows and columns.

Imports `analysis.cost`, `analysis.cost_growth`, `analysis.formats` and `analysis.plot`.
"""

from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes

from . import cost, plot
from .cost_growth import SERIES
from .formats import Style

STYLES = {
    "encoder": Style("#332288", (0, (1, 1)), "^"),
    "exact": Style("#D55E00", "-", "o", 2.0),
    "fp32": Style("#0072B2", (0, (5, 1.5)), "s"),
}
"""By what a series' name has in it; the first that fits."""


class Row(NamedTuple):
    """One unit of one series.

    Attributes
    ----------
    series : str
        Key of `SERIES`.
    number : int
        Its latency, lanes, or rows.
    unit : str
        Its name.
    products : int
        A cycle.
    ge, delay_ns : float
        Area in gate equivalents, and the longest path.
    """

    series: str
    number: int
    unit: str
    products: int
    ge: float
    delay_ns: float


def compute(results: Path = cost.MEASURED) -> list[Row]:
    """Return the units of all series that were measured."""
    rows = cost.read(results).by_name
    return [
        Row(key, n, unit.name, unit.products, rows[unit.name].ge, rows[unit.name].delay_ns)
        for key, series in SERIES.items()
        for n, unit in series.units.items()
        if unit.name in rows
    ]


def finding(rows: list[Row]) -> str:
    """Say in a sentence what the figure shows, with the numbers it rests on."""
    series = {key: [row for row in rows if row.series == key] for key in SERIES}
    lanes = {row.number: row.ge / row.products for row in series["dot_exact"]}
    few, many = min(lanes), max(lanes)
    fastest = min(series["mac_fp32"], key=lambda row: row.delay_ns)
    slowest = max(series["mac_fp32"], key=lambda row: row.delay_ns)
    return (
        f"A lane of the exact dot product takes {lanes[few]:,.0f} GE with {few} lanes and "
        f"{lanes[many]:,.0f} with {many}. Registers take the FP32 MAC from "
        f"{slowest.delay_ns:.1f} ns and {slowest.ge:,.0f} GE at latency {slowest.number} to "
        f"{fastest.delay_ns:.1f} ns and {fastest.ge:,.0f} GE at latency {fastest.number}."
    )


def draw(rows: list[Row], path: Path) -> None:
    """Draw area over delay by latency, and area a product by lanes and by array size.

    Parameters
    ----------
    rows : list of Row
        From `compute`.
    path : Path
        To ``.svg`` or ``.png``.
    """
    with plot.canvas(path, width=9.6, height=7.6) as figure:
        latency, size = figure.subplots(2, 2)
        by_latency = [row for row in rows if SERIES[row.series].number == "latency"]
        _draw_latency(latency[0], [row for row in by_latency if row.series == "encoder_fp32"])
        _draw_latency(latency[1], [row for row in by_latency if row.series != "encoder_fp32"])
        for axes, number in zip(size, ("lanes", "rows and columns"), strict=True):
            measured = [row for row in rows if SERIES[row.series].number == number]
            _draw_size(axes, measured)
            axes.set_xlabel(number)


def _style(key: str) -> Style:
    """Return how a series is drawn."""
    return next(style for part, style in STYLES.items() if part in key)


def _line(axes: Axes, key: str, x: list[float], y: list[float]) -> None:
    """Draw one series."""
    style = _style(key)
    axes.plot(
        x,
        y,
        label=SERIES[key].title,
        color=style.color,
        linestyle=style.linestyle,
        linewidth=style.linewidth,
        marker=style.marker,
    )


def _draw_latency(axes: Axes, rows: list[Row]) -> None:
    """Draw area over delay, each point with its latency."""
    for key in dict.fromkeys(row.series for row in rows):
        own = [row for row in rows if row.series == key]
        _line(axes, key, [row.delay_ns for row in own], [row.ge for row in own])
        for row in own:
            axes.annotate(
                f"{row.number}",
                (row.delay_ns, row.ge),
                xytext=(-4, -15) if key == "mac_exact" else (6, 4),
                textcoords="offset points",
                fontweight="bold",
            )
    axes.set_title("Area over delay; beside each point its latency", loc="left")
    axes.set_xlabel("longest path (ns)")
    axes.set_ylabel("area (GE)")
    axes.set_xlim(0, 1.1 * max(row.delay_ns for row in rows))
    axes.set_ylim(0, 1.2 * max(row.ge for row in rows))
    axes.legend(loc="lower left")


def _draw_size(axes: Axes, rows: list[Row]) -> None:
    """Draw the area a product over the size."""
    for key in dict.fromkeys(row.series for row in rows):
        own = [row for row in rows if row.series == key]
        _line(axes, key, [row.number for row in own], [row.ge / row.products for row in own])
    axes.set_xscale("log", base=2)
    numbers = sorted({row.number for row in rows})
    axes.set_xticks(numbers, [str(n) for n in numbers])
    axes.minorticks_off()
    axes.set_title("Area for each product a cycle", loc="left")
    axes.set_ylabel("GE")
    axes.set_ylim(0, 1.1 * max(row.ge / row.products for row in rows))
    axes.legend(loc="lower left")
