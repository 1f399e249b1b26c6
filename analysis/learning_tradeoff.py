# SPDX-License-Identifier: Apache-2.0
"""Figure: curves of systems that trade one metric for another, in the formats of the forward pass.

Imports `analysis.learning`, `analysis.learning_figure` and `analysis.plot`.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import learning, plot
from .learning import HIF8S, LABELS, RECIPE, REFERENCE
from .learning_figure import STYLES, signed

SHOWN = (REFERENCE, *HIF8S, "e4m3", "e5m2")


class Row(NamedTuple):
    """A point of a curve, the mean over the seeds.

    Attributes
    ----------
    workload, format : str
        Of which runs.
    x, y : float
        What it takes, and what is gained: the two metrics that the system names.
    """

    workload: str
    format: str
    x: float
    y: float


def compute() -> list[Row]:
    """Return all points of runs with loss scales."""
    return [
        Row(curve.workload, curve.format, x, y)
        for curve in learning.read().curves
        if curve.kind == "curve" and curve.scaling == RECIPE and curve.format in SHOWN
        for x, y in zip(curve.x, curve.y, strict=True)
    ]


def finding(rows: list[Row]) -> str:
    """Say how far curves are from FP32's, point by point."""
    systems = learning.read().systems
    texts = []
    for workload in dict.fromkeys(row.workload for row in rows):
        points = {
            name: np.array([r[2:] for r in rows if (r.workload, r.format) == (workload, name)])
            for name in SHOWN
        }
        differences = {
            name: own[:, 1] - np.interp(own[:, 0], *_ordered(points[REFERENCE]))
            for name, own in points.items()
            if name != REFERENCE
        }
        listed = "; ".join(
            f"{LABELS[name]} {signed(own.min())} to {signed(own.max())}"
            for name, own in differences.items()
        )
        y, x = (systems[workload].metrics[name][0] for name in systems[workload].curve)
        texts.append(
            f"{systems[workload].title}, {y} at equal {x}, less FP32's, in points: {listed}."
        )
    return " ".join(texts)


def _ordered(points: np.ndarray) -> np.ndarray:
    """Return x and y in the order of x."""
    return points[np.argsort(points[:, 0], kind="stable")].T


def draw(rows: list[Row], path: Path) -> None:
    """Draw a panel for every system with a curve, a line for every format.

    Parameters
    ----------
    rows : list of Row
        From `compute`.
    path : Path
        To ``.svg`` or ``.png``.
    """
    systems = learning.read().systems
    names = list(dict.fromkeys(row.workload for row in rows))
    with plot.canvas(path, width=8.4, height=4.8) as figure:
        panels = figure.subplots(1, len(names), squeeze=False)[0]
        for workload, axes in zip(names, panels, strict=True):
            for name in SHOWN:
                own = [row for row in rows if (row.workload, row.format) == (workload, name)]
                style = STYLES[name]
                axes.plot(
                    [row.x for row in own],
                    [row.y for row in own],
                    label=LABELS[name],
                    color=style.color,
                    linestyle=style.linestyle,
                    linewidth=style.linewidth,
                    marker=style.marker,
                    markevery=8,
                    markersize=5,
                )
            y, x = (systems[workload].metrics[name] for name in systems[workload].curve)
            axes.set_xlabel(f"{x[0]} ({x[1]})")
            axes.set_ylabel(f"{y[0]} ({y[1]})")
            axes.set_title(systems[workload].title, loc="left")
        lines = panels[0].get_legend_handles_labels()
        figure.legend(*lines, loc="outside upper center", ncols=len(SHOWN), handlelength=3)
