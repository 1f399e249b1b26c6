# SPDX-License-Identifier: Apache-2.0
"""Figure: what formats lose of the digits network's gradients, over the loss scale.

Imports `analysis.digits`, `analysis.formats`, `analysis.gradients` and `analysis.plot`.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MultipleLocator

from . import digits, gradients, plot
from .formats import FORMATS, Style

BATCH = 128
"""Images of a batch, the first that the network is trained on."""
LOG2_SCALES = range(-8, 25)
"""Of the loss."""
HR = "hif8 hr"
STYLES = {name: (entry.label, entry.style) for name, entry in FORMATS.items()} | {
    "hif8": ("HiF8, TA", FORMATS["hif8"].style),
    HR: ("HiF8, HR", Style("#882255", (0, (2, 1)), "v")),
}
PANELS = {
    ("initial", "sums1"): "hidden sums, untrained",
    ("trained", "sums1"): "hidden sums, trained",
    ("trained", "sums2"): "logits, trained",
}
"""What is drawn: of which network by what."""
BEARABLE = 0.5
"""In per cent: a loss scale is of use if no more values than these become zero or infinite."""


class Row(NamedTuple):
    """One tensor of gradients at one loss scale in one format.

    Attributes
    ----------
    network : str
        ``initial`` or ``trained``.
    tensor : str
        By what the gradient is, as `gradients.backward` names it.
    rounding : str
        A key of `gradients.ROUNDINGS`.
    log2_scale : int
        Of the loss scale.
    values, flushed, overflowed : int
        How many gradients are not zero, become zero, become infinite or NaN.
    snr_db : float
        With saturation.
    """

    network: str
    tensor: str
    rounding: str
    log2_scale: int
    values: int
    flushed: int
    overflowed: int
    snr_db: float

    @property
    def lost(self) -> float:
        """What becomes zero or infinite, in per cent."""
        return 100 * (self.flushed + self.overflowed) / self.values


def tensors() -> dict[tuple[str, str], gradients.Array]:
    """Return the gradients of one batch, in FP32, by network and by what they are by."""
    trained = digits.train()
    networks = {"initial": gradients.initial(trained), "trained": trained}
    batch = trained.train_images[:BATCH], trained.train_labels[:BATCH]
    return {
        (state, name): gradient
        for state, network in networks.items()
        for name, gradient in gradients.backward(network, *batch).items()
    }


def compute() -> list[Row]:
    """Round all gradients at all loss scales in all formats."""
    return [
        Row(*key, rounding, k, *gradients.measure(gradient, rounding, k))
        for key, gradient in tensors().items()
        for rounding in gradients.ROUNDINGS
        for k in LOG2_SCALES
    ]


def bearable(rows: list[Row], rounding: str) -> list[int]:
    """Return the log2 of the loss scales at which little is lost, in all that is drawn."""
    own = [row for row in rows if row.rounding == rounding and (row.network, row.tensor) in PANELS]
    return [
        k for k in LOG2_SCALES if all(row.lost <= BEARABLE for row in own if row.log2_scale == k)
    ]


def finding(rows: list[Row]) -> str:
    """Say in a sentence what the figure shows, with the numbers it rests on."""
    at = {
        (row.rounding, row.log2_scale): row
        for row in rows
        if (row.network, row.tensor) == ("trained", "sums1")
    }
    lost = {name: f"{at[name, 0].lost:.1f}" for name in ("hif8", "e4m3", "e5m2", "fp16")}
    scales = {name: len(bearable(rows, name)) for name in ("hif8", "e4m3", "e5m2", "fp16")}
    best = {
        name: max(row.snr_db for (key, _), row in at.items() if key == name)
        for name in ("hif8", "e4m3", "e5m2")
    }
    worse = [at["hif8", k].snr_db - at[HR, k].snr_db for k in LOG2_SCALES]
    return (
        f"Without a loss scale HiF8 takes {lost['hif8']}\N{NO-BREAK SPACE}% of the trained digits "
        f"network's hidden gradients to zero, E4M3 {lost['e4m3']}\N{NO-BREAK SPACE}%, E5M2 "
        f"{lost['e5m2']}\N{NO-BREAK SPACE}% and FP16 {lost['fp16']}\N{NO-BREAK SPACE}%. "
        f"No more than {BEARABLE}\N{NO-BREAK SPACE}% of any of the three tensors is lost at "
        f"{scales['hif8']} of {len(LOG2_SCALES)} powers of two in HiF8, {scales['e4m3']} in E4M3, "
        f"{scales['e5m2']} in E5M2 and {scales['fp16']} in FP16; at its best one HiF8 has "
        f"{best['hif8']:.1f} dB, E4M3 {best['e4m3']:.1f} and E5M2 {best['e5m2']:.1f}, but without "
        f"a scale HiF8 {at['hif8', 0].snr_db:.1f} and E5M2 {at['e5m2', 0].snr_db:.1f}: it is the "
        f"large gradients that the ratio is made of. HR has up to {max(worse):.1f} dB less than TA."
    )


def draw(rows: list[Row], path: Path) -> None:
    """Draw what is lost, and the signal to noise ratio, of three tensors.

    Parameters
    ----------
    rows : list of Row
        From `compute`.
    path : Path
        To ``.svg`` or ``.png``.
    """
    with plot.canvas(path, width=10.4, height=6.6) as figure:
        panels = figure.subplots(2, len(PANELS), sharex=True, sharey="row")
        for (lost, ratio), (key, title) in zip(panels.T, PANELS.items(), strict=True):
            own = [row for row in rows if (row.network, row.tensor) == key]
            _lines(lost, own, "lost")
            _lines(ratio, own, "snr_db")
            lost.set_title(title, loc="left")
            ratio.set_xlabel("log2 of the loss scale")
            ratio.xaxis.set_major_locator(MultipleLocator(8))
            ratio.set_xlim(LOG2_SCALES[0], LOG2_SCALES[-1])
        panels[0, 0].set_yscale("log")
        panels[0, 0].set_ylim(0.02, 130)
        panels[0, 0].set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
        panels[0, 0].set_ylabel("to zero or infinity (%)")
        panels[1, 0].set_ylim(0, 40)
        panels[1, 0].set_ylabel("signal to noise (dB)")
        lines = panels[0, 0].get_legend_handles_labels()
        figure.legend(
            *lines, loc="outside upper center", ncols=len(gradients.ROUNDINGS), handlelength=3.2
        )


def _lines(axes: Axes, rows: list[Row], quantity: str) -> None:
    """Draw a line for every format; what is zero lies below a logarithmic axis."""
    for place, rounding in enumerate(gradients.ROUNDINGS):
        label, style = STYLES[rounding]
        own = [row for row in rows if row.rounding == rounding]
        numbers = np.array([getattr(row, quantity) for row in own])
        axes.plot(
            [row.log2_scale for row in own],
            np.where(numbers > 0, numbers, np.nan),
            label=label,
            color=style.color,
            linestyle=style.linestyle,
            linewidth=style.linewidth,
            marker=style.marker,
            markevery=(place, 4),
            markersize=5,
        )
