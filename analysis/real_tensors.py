# SPDX-License-Identifier: Apache-2.0
"""Figure: signal to quantisation noise of real tensors, cast as they are and at their best scale.

Imports `analysis.digits`, `analysis.encoder`, `analysis.formats`, `analysis.plot` and
`analysis.tensors`.
"""

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from statistics import median

from matplotlib.axes import Axes

from . import digits, encoder, plot
from .formats import E4M3, EIGHT_BITS, HIF8, INT8, Format
from .tensors import CLIPPED, Row, Summary, joined, kind, of_array

PANELS = {"snr_db": "cast as it is", "scaled_db": "at its best power-of-two scale"}
STEP = 0.16
"""Between the lines of a kind of tensors, one a format; kinds are 1 apart."""
AHEAD = 0.1
"""In dB: ratios that are nearer than that count as equal."""


@cache
def summary() -> Summary:
    """Return what becomes of the encoder's tensors, as kept, and of those of the digits network."""
    tensors = digits.tensors(digits.train())
    parts = (of_array(f"digits: {name}", tensor) for name, tensor in tensors.items())
    return joined([encoder.read().summary, *parts])


def compute() -> list[Row]:
    """Return every format's row of every tensor."""
    return summary().rows


def leads(rows: list[Row], entry: Format, ratio: str) -> dict[str, float]:
    """Return how far a format is ahead of HiF8 in each tensor, in dB.

    Parameters
    ----------
    rows : list of Row
        From `compute`.
    entry : Format
        The other format.
    ratio : str
        Which one: a key of `PANELS`.
    """
    by = {(row.tensor, row.format): getattr(row, ratio) for row in rows}
    pairs = {row.tensor: (by[row.tensor, entry.name], by[row.tensor, HIF8.name]) for row in rows}
    return {name: 0.0 if one == other else one - other for name, (one, other) in pairs.items()}


def finding(rows: list[Row]) -> str:
    """Say in a sentence what the figure shows, with the numbers it rests on."""

    def middle(entry: Format, ratio: str) -> str:
        return f"{median(getattr(r, ratio) for r in rows if r.format == entry.name):.1f}"

    plain, scaled = PANELS
    as_is, at_best = (leads(rows, E4M3, ratio) for ratio in PANELS)
    integers = leads(rows, INT8, scaled)
    return (
        f"Of {len(as_is)} tensors, cast as they are, E4M3 is ahead of HiF8 in {_count(as_is)}, by "
        f"up to {_extreme(as_is, max)}, and HiF8 of E4M3 in {_count(as_is, -1)}, by up to "
        f"{_extreme(as_is, min)}: the medians are {middle(HIF8, plain)}\N{NO-BREAK SPACE}dB in "
        f"HiF8 and {middle(E4M3, plain)} in E4M3. With a power-of-two scale for each tensor they "
        f"are {middle(HIF8, scaled)} and {middle(E4M3, scaled)}, E4M3 is ahead in "
        f"{_count(at_best)} by up to {_extreme(at_best, max)}, and INT8 with "
        f"{middle(INT8, scaled)} at the median is ahead in {_count(integers)} by up to "
        f"{_extreme(integers, max)}, and behind in {_count(integers, -1)} by up to "
        f"{_extreme(integers, min)}."
    )


def _count(leads: dict[str, float], sign: int = 1) -> int:
    """Return in how many tensors a format is ahead, or with a sign of -1 behind."""
    return sum(sign * lead > AHEAD for lead in leads.values())


def _extreme(leads: dict[str, float], choose: Callable) -> str:
    """Return the largest lead, or the largest arrears, and whose it is."""
    name = choose(leads, key=leads.get)
    return f"{abs(leads[name]):.1f}\N{NO-BREAK SPACE}dB ({name})"


def draw(rows: list[Row], path: Path) -> None:
    """Draw a line for every kind of tensor, in it every format's dots, one a tensor.

    Parameters
    ----------
    rows : list of Row
        From `compute`.
    path : Path
        To ``.svg`` or ``.png``.
    """
    kinds = list(dict.fromkeys(kind(row.tensor) for row in rows))
    finite = [getattr(row, ratio) for row in rows for ratio in PANELS]
    highest = max([10.0, *(db for db in finite if math.isfinite(db))])
    exact = 10 * math.ceil(highest / 10) + 10
    with plot.canvas(path, width=9.6, height=1.6 + 0.46 * len(kinds)) as figure:
        panels = figure.subplots(1, 2, sharex=True, sharey=True)
        for axes, (ratio, title) in zip(panels, PANELS.items(), strict=True):
            for place, entry in enumerate(EIGHT_BITS.values()):
                own = [row for row in rows if row.format == entry.name]
                dots = [(_place(getattr(row, ratio), exact), kind(row.tensor)) for row in own]
                _draw_format(axes, entry, dots, kinds, STEP * (place - 2))
            axes.set_title(title, loc="left")
            axes.set_xlabel("signal to noise (dB)")
            axes.grid(visible=False, axis="y")
            for line in range(1, len(kinds)):
                axes.axhline(line - 0.5, color="#DDDDDD", linewidth=0.6)
        ticks = [*range(0, exact, 10), exact]
        panels[0].set_xticks(ticks, [*map(str, ticks[:-1]), "exact"])
        panels[0].set_xlim(-1.5, exact + 1.5)
        panels[0].set_yticks(range(len(kinds)), kinds, parse_math=False)
        panels[0].set_ylim(len(kinds) - 0.5, -0.5)
        lines = panels[0].get_legend_handles_labels()
        figure.legend(*lines, loc="outside upper center", ncols=len(EIGHT_BITS))


def _place(db: float, exact: float) -> float:
    """Return where on the axis a ratio lies: infinite ones at its end, none below zero."""
    return exact if db == math.inf else max(db, 0.0)


def _draw_format(
    axes: Axes, entry: Format, dots: list[tuple[float, str]], kinds: list[str], offset: float
) -> None:
    """Draw the dots of one format, and through those of a kind a line."""
    for line, name in enumerate(kinds):
        found = [db for db, own in dots if own == name and not math.isnan(db)]
        axes.plot(
            found,
            [line + offset] * len(found),
            label=entry.label if not line else None,
            color=entry.style.color,
            linewidth=0.8,
            marker=entry.style.marker,
            markersize=5 if entry is HIF8 else 4,
            markeredgewidth=0.8,
            markerfacecolor=entry.style.color if entry is HIF8 else "white",
            zorder=3,
        )


CAPTION = (
    "Weights and activations of a pretrained sentence encoder (all-MiniLM-L6-v2, six layers, 40 "
    "sentences) and of the digits network, all that enters their matrix products; a dot a tensor, "
    "those of a kind on one line. Mean square over that of the rounding error, to the nearest "
    "finite value; INT8 counts in ones. Right, every format has for each tensor its best power "
    "of two, of all that move the largest magnitude into its range or up to "
    f"{CLIPPED} binades above. Ratios below 0 dB are drawn at 0. The encoder was measured by make "
    "tensors."
)
