# SPDX-License-Identifier: Apache-2.0
"""Figure: the binades of real tensors below the precision that formats have there.

Imports `analysis.formats`, `analysis.plot`, `analysis.real_tensors` and `analysis.tensors`.
"""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.ticker import FuncFormatter

from . import plot, real_tensors
from .formats import E4M3, E5M2, HIF8
from .tensors import Binade, kind

LEAST = 1e-5
"""The smallest share that is told from none, and the lightest grey."""
_ROOM = 4
SHOWN = range(min(HIF8.binades) - _ROOM, max(HIF8.binades) + _ROOM + 1)
"""The exponents on the axis; what lies beyond is gathered in the first and the last."""
TICKS = {
    SHOWN[0]: f"\N{LESS-THAN OR EQUAL TO}{SHOWN[0]}".replace("-", "\N{MINUS SIGN}"),
    **{E: f"{E}".replace("-", "\N{MINUS SIGN}") for E in SHOWN[3:-3] if E % 4 == 0},
    SHOWN[-1]: f"\N{GREATER-THAN OR EQUAL TO}{SHOWN[-1]}",
}
PROFILES = {HIF8: 0.0, E4M3: 0.1, E5M2: -0.1}
"""The formats whose precision is drawn, and how far apart, in bits, so that none hides another."""


def compute() -> list[Binade]:
    """Return the binades of the encoder's tensors and of those of the digits network."""
    return real_tensors.summary().binades


def shares(rows: list[Binade]) -> dict[str, dict[int, float]]:
    """Return the share of each binade that is shown, for every kind of tensor."""
    counts: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for row in rows:
        counts[kind(row.tensor)][min(max(row.exponent, SHOWN[0]), SHOWN[-1])] += row.values
    return {
        name: {E: count / sum(found.values()) for E, count in found.items()}
        for name, found in counts.items()
    }


def finding(rows: list[Binade]) -> str:
    """Say in a sentence what the figure shows, with the numbers it rests on."""
    total = sum(row.values for row in rows)
    bits = HIF8.significand_bits
    best = max(bits.values())

    def percent(chosen: Callable[[int], bool], digits: int = 1) -> str:
        count = sum(row.values for row in rows if chosen(row.exponent))
        return f"{100 * count / total:.{digits}f}\N{NO-BREAK SPACE}%"

    first, least, least_e4m3 = min(E for E in bits if bits[E] == best), min(bits), min(E4M3.binades)
    return (
        f"Of {total:,} non-zero values {percent(lambda E: bits.get(E) == best)} lie where HiF8 has "
        f"all {best:.0f} significand bits, {percent(lambda E: bits.get(E) == best - 1)} where it "
        f"has one less; {percent(lambda E: first > E)} are smaller than 2^{first}, where it begins "
        f"to have all. Smaller than E4M3's smallest value are "
        f"{percent(lambda E: least_e4m3 > E, 2)}, than HiF8's {percent(lambda E: least > E, 2)}."
    )


def draw(rows: list[Binade], path: Path) -> None:
    """Draw the precision over the exponent, and below it the shares of every kind of tensor.

    Parameters
    ----------
    rows : list of Binade
        From `compute`.
    path : Path
        To ``.svg`` or ``.png``.
    """
    found = shares(rows)
    cells = np.array([[kinds.get(E, 0.0) for E in SHOWN] for kinds in found.values()])
    height = 0.25 * max(len(found), 2)
    with plot.canvas(path, width=9.6, height=3.2 + height) as figure:
        profile, table = figure.subplots(2, sharex=True, height_ratios=(1.7, height))
        _draw_profiles(profile)
        picture = table.pcolormesh(
            np.append(SHOWN, SHOWN[-1] + 1) - 0.5,
            np.arange(len(found) + 1) - 0.5,
            100 * np.where(cells < LEAST, np.nan, cells),
            cmap="Greys",
            norm=LogNorm(100 * LEAST, 100),
            edgecolors="face",
            linewidth=0.2,
        )
        table.set_ylim(len(found) - 0.5, -0.5)
        _mark_steps(table)
        table.set_yticks(range(len(found)), found, parse_math=False)
        table.set_xticks(list(TICKS), TICKS.values())
        table.set_xlabel("exponent E of the binade [2$^E$, 2$^{E+1}$)")
        bar = figure.colorbar(picture, ax=table, pad=0.01)
        bar.solids.set(rasterized=False, edgecolor="face")  # no picture within the SVG
        bar.set_label("share of the values (%)")
        bar.formatter = FuncFormatter(lambda share, _: f"{share:g}")


def _draw_profiles(axes: Axes) -> None:
    """Draw the significand bits of formats over the exponent."""
    for entry, offset in PROFILES.items():
        bits = [entry.significand_bits.get(E, np.nan) for E in SHOWN]
        axes.plot(
            SHOWN,
            np.array(bits) + offset,
            label=entry.label,
            drawstyle="steps-mid",
            color=entry.style.color,
            linestyle=entry.style.linestyle,
            linewidth=entry.style.linewidth,
            marker=entry.style.marker,
            markersize=4,
        )
    axes.set_ylabel("significand (bits)")
    axes.set_yticks(range(1, 5))
    axes.set_ylim(0.5, 4.5)
    axes.grid(visible=False, axis="x")
    axes.legend(loc="upper left")


def _mark_steps(axes: Axes) -> None:
    """Draw lines down where the significand bits of HiF8 change."""
    bits = {E: HIF8.significand_bits.get(E, 0) for E in SHOWN}
    for E in SHOWN[1:]:
        if bits[E] != bits[E - 1]:
            axes.axvline(E - 0.5, color=HIF8.style.color, linewidth=0.8)
    axes.grid(visible=False)


CAPTION = (
    "Above, 1 + log2 of the number of values in the binade; E4M3 and E5M2 are drawn slightly off. "
    "Below, the tensors of the figure before, those of a kind together: the share of their "
    f"non-zero values in each binade on a logarithmic grey scale, white below {100 * LEAST:g} %. "
    "The columns at both ends gather all that lies beyond. Lines mark where HiF8's precision "
    "changes. No scale is applied; a scale of 2^k moves a row k to the right."
)
