# SPDX-License-Identifier: Apache-2.0
"""Figure: signal to quantisation noise over the scale of values, by distribution and format.

Imports `analysis.formats`, `analysis.plot` and `analysis.snr`.
"""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MultipleLocator

from . import plot
from .formats import EIGHT_BITS
from .snr import DISTRIBUTIONS, SCALES, USABLE, snr


class Row(NamedTuple):
    """One distribution in one format at one scale.

    Attributes
    ----------
    distribution, format : str
        Keys of `DISTRIBUTIONS` and `EIGHT_BITS`.
    log2_scale : float
        Of the root mean square.
    snr_db : float
        Cast as it is.
    scaled_db : float
        Multiplied by the best power of two before, and divided by it after.
    """

    distribution: str
    format: str
    log2_scale: float
    snr_db: float
    scaled_db: float


class Plateau(NamedTuple):
    """The scales at which a format is of use without a scale of the tensor's own.

    Attributes
    ----------
    first, last : float
        log2 of the root mean squares between which the ratio is at least `USABLE`; NaN if it never
        is.
    best_db : float
        The highest ratio.
    """

    first: float
    last: float
    best_db: float

    @property
    def width(self) -> float:
        """In binades."""
        return self.last - self.first


def compute() -> list[Row]:
    """Return the ratios of all distributions in all formats of 8 bits, at all scales."""
    made = []
    for key, distribution in DISTRIBUTIONS.items():
        for name, entry in EIGHT_BITS.items():
            ratios = np.array([snr(entry, 2.0**k, distribution) for k in SCALES])
            phases = round(1 / (SCALES[1] - SCALES[0]))  # a power of two leaves the phase
            best = [ratios[phase::phases].max() for phase in range(phases)]
            made += [
                Row(key, name, float(k), float(ratio), float(best[place % phases]))
                for place, (k, ratio) in enumerate(zip(SCALES, ratios, strict=True))
            ]
    return made


def plateaus(rows: list[Row]) -> dict[tuple[str, str], Plateau]:
    """Return the plateau of every distribution in every format."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.distribution, row.format), []).append(row)
    made = {}
    for key, own in groups.items():
        usable = [row.log2_scale for row in own if row.snr_db >= USABLE] or [math.nan]
        made[key] = Plateau(min(usable), max(usable), max(row.snr_db for row in own))
    return made


def table(rows: list[Row]) -> list[dict[str, str]]:
    """Say where the plateau of every distribution in every format begins and ends."""
    return [
        {
            "values": DISTRIBUTIONS[distribution].label,
            "format": EIGHT_BITS[name].label,
            f"{USABLE:.0f} dB from, log2": _number(plateau.first),
            "to": _number(plateau.last),
            "binades": _number(plateau.width),
            "best scale, dB": f"{plateau.best_db:.1f}",
        }
        for (distribution, name), plateau in plateaus(rows).items()
    ]


def _number(x: float) -> str:
    """Return a number for people; there is none where no scale is of use."""
    return "never" if math.isnan(x) else f"{x:g}"


def finding(rows: list[Row]) -> str:
    """Say in a sentence what the figure shows, with the numbers it rests on."""
    found = plateaus(rows)
    ours, e4m3, e5m2 = (found["normal", name] for name in ("hif8", "e4m3", "e5m2"))
    heavy, heavy_e4m3 = (found["log_normal", name] for name in ("hif8", "e4m3"))
    at = {(row.format, row.log2_scale): row for row in rows if row.distribution == "normal"}
    leads = {k: at["e4m3", k].snr_db - at["hif8", k].snr_db for k in SCALES.tolist()}
    most = max(leads, key=leads.get)
    return (
        f"Normal values have {USABLE:.0f} dB or more over {ours.width:.0f} binades of scales in "
        f"HiF8, {e4m3.width:.0f} in E4M3 and {e5m2.width:.0f} in E5M2, log-normal ones over "
        f"{heavy.width:.0f} and, in E4M3, {heavy_e4m3.width:.0f}. At its best scale E4M3 has "
        f"{e4m3.best_db:.1f} dB for normal values and HiF8 {ours.best_db:.1f}; without one E4M3 is "
        f"ahead by up to {leads[most]:.1f} dB, at a root mean square of 2^{most:g}."
    )


def draw(rows: list[Row], path: Path) -> None:
    """Draw a panel for each distribution.

    Parameters
    ----------
    rows : list of Row
        From `compute`.
    path : Path
        To ``.svg`` or ``.png``.
    """
    with plot.canvas(path, width=9.6, height=8.0) as figure:
        panels = figure.subplots(2, 2, sharex=True, sharey=True)
        for axes, (key, distribution) in zip(panels.flat, DISTRIBUTIONS.items(), strict=True):
            _panel(axes, [row for row in rows if row.distribution == key])
            axes.set_title(distribution.label, loc="left")
        for axes in panels[1]:
            axes.set_xlabel("log2 of the root mean square")
        for axes in panels[:, 0]:
            axes.set_ylabel("signal to noise (dB)")
        lines = panels[0, 0].get_legend_handles_labels()
        figure.legend(*lines, loc="outside upper center", ncols=len(EIGHT_BITS))


def _panel(axes: Axes, rows: list[Row]) -> None:
    """Draw every format's ratio over the scale."""
    for place, (name, entry) in enumerate(EIGHT_BITS.items()):
        own = [row for row in rows if row.format == name]
        axes.plot(
            [row.log2_scale for row in own],
            [row.snr_db for row in own],
            label=entry.label,
            color=entry.style.color,
            linestyle=entry.style.linestyle,
            linewidth=entry.style.linewidth,
            marker=entry.style.marker,
            markevery=(3 * place, 16),
            markersize=5,
        )
    axes.axhline(USABLE, color="#444444", linewidth=0.8)
    axes.set_xlim(-30, 30)
    axes.set_ylim(0)
    axes.xaxis.set_major_locator(MultipleLocator(10))
