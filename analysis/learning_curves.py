# SPDX-License-Identifier: Apache-2.0
"""Figure: the loss curves of nine published systems in seven formats, laid over each other.

Imports `analysis.learning`, `analysis.learning_figure` and `analysis.plot`.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from . import learning, plot
from .learning import LABELS, RECIPE, REFERENCE, UNSCALED
from .learning_figure import COMPARED, STYLES, signed

PANELS = {RECIPE: "loss scale of the recipe", UNSCALED: "no loss scale"}
LAST = 0.1
"""The share of the steps at the end over which the text takes means."""
HIGHEST = 3.0
"""Times FP32's highest loss: where the axis ends."""


class Row(NamedTuple):
    """A point of a loss curve, the mean over the seeds.

    Attributes
    ----------
    workload, scaling, format : str
        Of which runs.
    step : float
        In the middle of the steps that it is the mean of.
    loss : float
        The training loss.
    """

    workload: str
    scaling: str
    format: str
    step: float
    loss: float


def compute() -> list[Row]:
    """Return all points."""
    return [
        Row(curve.workload, curve.scaling, curve.format, step, loss)
        for curve in learning.read().curves
        if curve.kind == "loss" and curve.scaling in PANELS
        for step, loss in zip(curve.x, curve.y, strict=True)
    ]


def ends(rows: list[Row], scaling: str, name: str) -> dict[str, float]:
    """Return by how much the loss at the end is above FP32's, in percent, for each system."""
    found: dict[tuple[str, str], dict[float, float]] = {}
    for row in rows:
        if row.scaling == scaling and row.format in (name, REFERENCE):
            found.setdefault((row.workload, row.format), {})[row.step] = row.loss

    def end(points: dict[float, float]) -> float:
        least = (1 - LAST) * max(points)
        return float(np.mean([loss for step, loss in points.items() if step >= least]))

    return {
        workload: 100 * (end(found[workload, name]) / end(points) - 1)
        for (workload, own), points in found.items()
        if own == REFERENCE
    }


def finding(rows: list[Row]) -> str:
    """Say what the figure shows, with the numbers it rests on."""
    systems = learning.read().systems
    parts = []
    for scaling, title in PANELS.items():
        texts = []
        for name in COMPARED:
            own = ends(rows, scaling, name)
            least, most = min(own, key=own.get), max(own, key=own.get)
            texts.append(
                f"{LABELS[name]} {signed(own[least], 0)} ({systems[least].title}) to "
                f"{signed(own[most], 0)} ({systems[most].title})"
            )
        parts.append(f"with {title}, {'; '.join(texts)}")
    last = round(100 * LAST)
    return (
        f"The training loss over the last {last}\N{NO-BREAK SPACE}% of the steps, less FP32's, in "
        f"percent of it: {'. '.join(parts)}."
    ).replace(". with", ". With")


def draw(rows: list[Row], path: Path) -> None:
    """Draw two panels a system, with a loss scale and without, on one axis of losses.

    Parameters
    ----------
    rows : list of Row
        From `compute`.
    path : Path
        To ``.svg`` or ``.png``.
    """
    systems = learning.read().systems
    names = list(dict.fromkeys(row.workload for row in rows))
    lines = -(-len(names) // 2)
    with plot.canvas(path, width=10.4, height=2.2 * lines + 0.6) as figure:
        panels = figure.subplots(lines, 4, squeeze=False)
        pairs = np.concatenate((panels[:, :2], panels[:, 2:]))
        for axes in pairs[len(names) :].flat:
            axes.set_axis_off()
        for workload, pair in zip(names, pairs, strict=False):
            for scaling, axes in zip(PANELS, pair, strict=True):
                own = [row for row in rows if (row.workload, row.scaling) == (workload, scaling)]
                _lines(axes, own)
            lows, highs = zip(*(axes.get_ylim() for axes in pair), strict=True)
            most = HIGHEST * max(
                row.loss for row in rows if (row.workload, row.format) == (workload, REFERENCE)
            )
            pair[1].sharey(pair[0])
            pair[0].set_ylim(min(lows), min(most, max(highs)))
            pair[0].set_title(systems[workload].title, loc="left", fontsize=9.5)
            pair[1].set_title(PANELS[UNSCALED], loc="left", fontsize=8.5, color="#555555")
            pair[1].tick_params(which="both", labelleft=False)
        figure.supxlabel("step", fontsize=10)
        figure.supylabel("training loss, mean over the seeds", fontsize=10)
        entries = panels[0, 0].get_legend_handles_labels()
        figure.legend(*entries, loc="outside upper center", ncols=len(STYLES), handlelength=3)


def _lines(axes: Axes, rows: list[Row]) -> None:
    """Draw a line for every format."""
    for name, style in STYLES.items():
        own = [row for row in rows if row.format == name]
        axes.plot(
            [row.step for row in own],
            [row.loss for row in own],
            label=LABELS[name],
            color=style.color,
            linestyle=style.linestyle,
            linewidth=0.6 * style.linewidth,
        )
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.tick_params(labelsize=7.5)
