# SPDX-License-Identifier: Apache-2.0
"""How figures of post-training quantisation are laid out: a line for each format and scheme.

Imports `analysis.formats` and `analysis.ptq`.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes

from .formats import EIGHT_BITS
from .ptq import CONFIGURATIONS, FORMATS, SCHEMES

HEADING = 1.4
"""The room of a format's heading; lines are 1 apart."""
PLACES = {key: place + HEADING * FORMATS.index(key[0]) for place, key in enumerate(CONFIGURATIONS)}
"""The height of every format and scheme, counted from above."""


def line_up(panels: Sequence[Axes]) -> None:
    """Write the schemes beside the first panel, and the formats above their lines in all."""
    panels[0].set_yticks(list(PLACES.values()), [SCHEMES[scheme].label for _, scheme in PLACES])
    panels[0].set_ylim(max(PLACES.values()) + 0.8, -1.6)
    for axes in panels:
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        for name in FORMATS:
            top = min(place for (key, _), place in PLACES.items() if key == name)
            axes.axhline(top - HEADING, color="#AAAAAA", linewidth=0.6)
            write(axes, 0.01, top - 0.8, EIGHT_BITS[name].label, weight="bold", fontsize=9)


def write(axes: Axes, x: float, place: float, text: str, **style: str | float) -> None:
    """Write at a height, x going from 0 to 1 across the axes."""
    axes.text(x, place, text, transform=axes.get_yaxis_transform(), va="center_baseline", **style)


def draw_point(axes: Axes, key: tuple[str, str], x: float, *, hollow: bool = False) -> None:
    """Draw the marker of a format on the line of a format and scheme, or hollow just below it."""
    style = EIGHT_BITS[key[0]].style
    axes.plot(
        x,
        PLACES[key] + (0.34 if hollow else 0),
        color=style.color,
        marker=style.marker,
        markersize=4.5 if hollow else 6,
        markerfacecolor="white" if hollow else style.color,
        linestyle="none",
    )


def draw_range(axes: Axes, key: tuple[str, str], least: float, most: float) -> None:
    """Draw a line from the lowest to the highest on the line of a format and scheme."""
    ends = (PLACES[key], PLACES[key])
    axes.plot((least, most), ends, color=EIGHT_BITS[key[0]].style.color, linewidth=1.4)
