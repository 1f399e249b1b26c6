# SPDX-License-Identifier: Apache-2.0
"""Figure: significand bits over exponent (paper, Fig. 1, extended to posit(8,2), BF16 and INT8).

Imports `analysis.dynamic_range`, `analysis.formats` and `analysis.plot`.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from . import dynamic_range, plot
from .dynamic_range import TABLED
from .formats import BF16, E4M3, E5M2, FP16, HIF8, POSIT8, Format, exact_text, power_of_two

_INSIDE = [E for entry in TABLED.values() if entry is not BF16 for E in entry.binades]
SHOWN = (min(_INSIDE) - 3, max(_INSIDE) + 3)
"""The exponents on the axis: all that the formats have, BF16's excepted, and some room."""
_STEP = 0.11
_OFFSETS = {E4M3: _STEP, E5M2: -_STEP, POSIT8: 2 * _STEP}
"""In bits: lines that would hide one another run side by side."""


class Row(NamedTuple):
    """One binade of one format.

    Attributes
    ----------
    format : str
        Name of the format.
    exponent : int
        E of the binade [2^E, 2^(E+1)).
    values : int
        How many values the format has in it.
    significand_bits : float
        1 + log2 of that number.
    """

    format: str
    exponent: int
    values: int
    significand_bits: float


def compute() -> list[Row]:
    """Count the values of every format in every binade that has any.

    Returns
    -------
    list of Row
        Format by format, exponents ascending.
    """
    return [
        Row(entry.name, E, count, entry.significand_bits[E])
        for entry in TABLED.values()
        for E, count in entry.binades.items()
    ]


def worst_error(bits: float) -> float:
    """Return the largest relative error of rounding to nearest in a binade, from 0 to 1.

    That is just above 2^E, half way to the next value.
    """
    return 1 / (1 + 2.0**bits)


def _percents(bits: Iterable[float]) -> list[str]:
    """Return what the axis of errors says beside so many significand bits."""
    return [f"{100 * worst_error(p):.2g}\N{NO-BREAK SPACE}%" for p in bits]


def table(rows: list[Row]) -> list[dict[str, str]]:
    """Return the dynamic range of every format, and in how many binades it has how many bits."""
    return [
        {
            "format": TABLED[row.format].label,
            "smallest": exact_text(row.smallest),
            "smallest normal": exact_text(row.smallest_normal),
            "largest": exact_text(row.largest),
            "range (dB)": f"{row.decibels:.0f}",
            "binades": str(row.binades),
            "of them with > 3, 3, 2, 1, 0 mantissa bits": ", ".join(
                map(str, (row.more, row.three, row.two, row.one, row.none))
            ),
            "largest error, normal values": f"{row.worst_error:.2%}",
            "where most precise": f"{row.best_error:.2%}",
        }
        for row in dynamic_range.compute()
    ]


def finding(rows: list[Row]) -> str:
    """Say in a sentence what the figure shows, with the numbers it rests on."""
    bits = {
        name: {row.exponent: row.significand_bits for row in rows if row.format == name}
        for name in TABLED
    }
    spans = {name: len(found) for name, found in bits.items()}
    best = max(bits[HIF8.name].values())
    reached = {name: sum(b == best for b in found.values()) for name, found in bits.items()}
    lowest, highest = min(bits[HIF8.name]), max(bits[HIF8.name])
    return (
        f"HiF8 has values in {spans[HIF8.name]} binades, {power_of_two(lowest)} to "
        f"{power_of_two(highest)}; FP16 has them in {spans[FP16.name]}, posit(8,2) in "
        f"{spans[POSIT8.name]}, FP8-E5M2 in {spans[E5M2.name]} and FP8-E4M3 in "
        f"{spans[E4M3.name]}. It keeps {best:.0f} significand bits in {reached[HIF8.name]} of "
        f"them, posit(8,2) in {reached[POSIT8.name]}, FP8-E4M3 in {reached[E4M3.name]}."
    )


def draw(rows: list[Row], path: Path) -> None:
    """Draw significand bits over exponent: the 16-bit formats, and below them the 8-bit ones.

    Parameters
    ----------
    rows : list of Row
        From `compute`.
    path : Path
        To ``.svg`` or ``.png``.
    """
    with plot.canvas(path, width=9.6, height=7.0) as figure:
        wide, narrow = figure.subplots(2, sharex=True, height_ratios=(1, 1.6))
        panels = {16: wide, 8: narrow}
        lines = [
            _draw_format(panels[entry.width], entry, [r for r in rows if r.format == entry.name])
            for entry in TABLED.values()
        ]
        _annotate_bf16(wide, [row for row in rows if row.format == BF16.name])
        narrow.set_xlim(SHOWN[0] - 1, SHOWN[1] + 1)
        narrow.set_xticks(range(SHOWN[0] // 4 * 4 + 4, SHOWN[1] + 1, 4))
        narrow.set_xlabel("exponent E of the binade [2$^E$, 2$^{E+1}$)")
        for width, axes in panels.items():
            most = max(
                max(f.significand_bits.values()) for f in TABLED.values() if f.width == width
            )
            axes.set_title(f"{width}-bit formats", loc="left")
            axes.set_ylim(0.5, most + 0.6)
            axes.set_yticks(np.arange(1, most + 1))
            axes.set_ylabel("significand (bits)")
            errors = axes.secondary_yaxis("right")
            errors.set_yticks(axes.get_yticks(), _percents(axes.get_yticks()))
            errors.set_ylabel("largest error / value")
        figure.legend(
            handles=lines, loc="outside upper center", ncols=7, handlelength=3.0, columnspacing=1.4
        )


def _draw_format(axes: Axes, entry: Format, rows: list[Row]) -> Line2D:
    """Draw one format as steps a binade wide, interrupted where a binade has no value."""
    bits = {row.exponent: row.significand_bits for row in rows}
    exponents = np.arange(SHOWN[0], SHOWN[1] + 1)
    heights = np.array([bits.get(int(E), np.nan) for E in exponents]) + _OFFSETS.get(entry, 0)
    (line,) = axes.plot(
        exponents,
        heights,
        label=entry.label,
        drawstyle="steps-mid",
        color=entry.style.color,
        linestyle=entry.style.linestyle,
        linewidth=entry.style.linewidth,
        marker=entry.style.marker,
        markersize=5,
        zorder=3 if entry is HIF8 else 2,
    )
    return line


def _annotate_bf16(axes: Axes, rows: list[Row]) -> None:
    """Say where BF16, the only format that leaves the picture, goes on to."""
    level = max(row.significand_bits for row in rows)
    ends = ((SHOWN[0], rows[0].exponent, "left"), (SHOWN[1], rows[-1].exponent, "right"))
    for end, target, align in ends:
        axes.annotate(
            "",
            (end + np.copysign(1, end), level),
            (end, level),
            arrowprops={"arrowstyle": "->", "color": BF16.style.color, "lw": 1.4},
        )
        text = f"BF16: to E = {target}".replace("-", "\N{MINUS SIGN}")
        axes.text(end, level + 0.4, text, ha=align)
