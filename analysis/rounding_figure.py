# SPDX-License-Identifier: Apache-2.0
"""Figure: bias and noise of the rounding modes over magnitude, batch size and spread of the values.

Imports `golden`, `analysis.formats` and `analysis.plot`.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import MultipleLocator

from ..golden import format as f
from ..golden.encode import KEPT_WIDTHS, quantize
from ..golden.rounding import Rounding
from . import plot
from .formats import Style, power_of_two

Floats = npt.NDArray[np.floating]

SEED, DRAWS = 16626, 2409
"""Of the values, and of what SR compares them with: of one seed they would not be independent."""
BINADES = range(f.MIN_EXPONENT, f.MAX_EXPONENT)
"""Those whose values have a neighbour on either side: nothing becomes zero or infinite."""
COARSE = 8
"""The binade of the values for the other panels; HR is not TA there, one fraction bit is kept."""
ULP = 2.0 ** (COARSE - KEPT_WIDTHS[COARSE])
PER_BINADE = 1 << 16
LOG2_BATCHES = range(14)
"""Of the number of values that a mean is of."""
SOME = 10
"""Of those, the one that the text names where there is little to see."""
IN_BATCHES = 1 << 19
"""Values in all batches of a size together."""
CROWDED_AT, CROWDED_WIDTH = 0.3, 1 / 16
"""Where values crowd between two codes, and how widely, in ulp."""
LOG2_SPREADS = range(-14, 1)
"""Of the width, in ulp, of the values about one centre."""
CENTRES, PER_CENTRE = 64, 1 << 12


class Mode(NamedTuple):
    """A rounding mode and the type that it rounds from.

    Attributes
    ----------
    label : str
        For people.
    rounding : Rounding
        The mode.
    style : Style
        How it is drawn.
    source : FloatFormat
        The type.
    """

    label: str
    rounding: Rounding
    style: Style
    source: f.FloatFormat = f.FP32


MODES = {
    "ta": Mode("TA", Rounding.TA, Style("#D55E00", "-", "o", 2.8)),
    "te": Mode("TE", Rounding.TE, Style("#000000", (0, (1, 1)), "+")),
    "sr": Mode("SR", Rounding.SR, Style("#0072B2", (0, (5, 1.5)), "s")),
    "hr": Mode("HR", Rounding.HR, Style("#882255", (0, (6, 1.5, 1, 1.5)), "v")),
    "hr fp16": Mode("HR of FP16", Rounding.HR, Style("#CC79A7", (0, (3, 1)), "D"), f.FP16),
}
"""By name. Where not said otherwise values are of FP32."""


class Row(NamedTuple):
    """One point of a panel.

    Attributes
    ----------
    panel : str
        A key of `PANELS`.
    mode : str
        A key of `MODES`.
    at : int
        The exponent of the binade; log2 of the values in a batch; log2 of the spread in ulp.
    means : int
        How many means there are; in the first panel each is of one value.
    values : int
        How many values all of them are of.
    bias_ulp : float
        The mean of result less value, in ulp of the binade.
    rms_ulp : float
        The root of the mean square of the means of result less value.
    """

    panel: str
    mode: str
    at: int
    means: int
    values: int
    bias_ulp: float
    rms_ulp: float


def errors(x: npt.NDArray[np.float64], mode: Mode, ulp: float) -> npt.NDArray[np.float64]:
    """Return what values of one binade become less what they are, in ulp.

    Parameters
    ----------
    x : numpy.ndarray of float64
        Positive. What its type has no room for is cut off first.
    mode : Mode
        How it is rounded, and from what type. SR draws the same numbers every time.
    ulp : float
        What counts as one.
    """
    values = x.astype(mode.source.dtype)
    rounded = quantize(values, mode.rounding, rng=np.random.default_rng(DRAWS))
    return (rounded.astype(np.float64) - values.astype(np.float64)) / ulp


def _row(panel: str, mode: str, at: int, means: npt.NDArray[np.float64], values: int) -> Row:
    rms = float(np.sqrt((means**2).mean()))
    return Row(panel, mode, at, means.size, values, float(means.mean()), rms)


def _over_binades(panel: str, mode: str) -> Iterator[Row]:
    """Yield the rows of values spread evenly over each binade."""
    significands = 1 + np.random.default_rng(SEED).random(PER_BINADE)
    for E in BINADES:
        found = errors(significands * 2.0**E, MODES[mode], 2.0 ** (E - KEPT_WIDTHS[E]))
        yield _row(panel, mode, E, found, found.size)


def _over_batches(panel: str, mode: str, *, low: float, high: float) -> Iterator[Row]:
    """Yield the rows of means of ever more values, evenly from low to high, in ulp above 2^E."""
    places = np.random.default_rng(SEED).uniform(low, high, IN_BATCHES)
    found = errors(2.0**COARSE + places * ULP, MODES[mode], ULP)
    for k in LOG2_BATCHES:
        yield _row(panel, mode, k, found.reshape(-1, 1 << k).mean(axis=1), found.size)


def _over_spreads(panel: str, mode: str) -> Iterator[Row]:
    """Yield the rows of means of values that lie about a centre ever more widely."""
    rng = np.random.default_rng(SEED)
    centres = rng.uniform(0.5, 1.5, (CENTRES, 1))  # so that the widest stay in the binade
    offsets = rng.uniform(-0.5, 0.5, (CENTRES, PER_CENTRE))
    for k in LOG2_SPREADS:
        found = errors(2.0**COARSE + (centres + offsets * 2.0**k) * ULP, MODES[mode], ULP)
        yield _row(panel, mode, k, found.mean(axis=1), found.size)


class Panel(NamedTuple):
    """A panel of the figure.

    Attributes
    ----------
    title, xlabel, ylabel : str
        For people.
    measure : callable
        From the panel's and a mode's key to rows.
    modes : tuple of str
        What is drawn.
    """

    title: str
    xlabel: str
    ylabel: str
    measure: Callable[[str, str], Iterator[Row]]
    modes: tuple[str, ...]


FOUR = ("ta", "te", "sr", "hr")
OF_MEAN = "root mean square of the mean error (ulp)"
PANELS = {
    "binades": Panel(
        "Values all over a binade: each one's error",
        "exponent E of the binade [2$^E$, 2$^{E+1}$)",
        "root mean square error (ulp)",
        _over_binades,
        FOUR,
    ),
    "spread": Panel(
        "Values about a centre: what a mean keeps of the error",
        "log2 of the width of the values (ulp)",
        OF_MEAN,
        _over_spreads,
        tuple(MODES),
    ),
    "everywhere": Panel(
        "Means of values all over a binade",
        "log2 of the number of values",
        OF_MEAN,
        partial(_over_batches, low=0, high=2),
        FOUR,
    ),
    "crowded": Panel(
        f"Means of values {CROWDED_AT} ulp above a code",
        "log2 of the number of values",
        OF_MEAN,
        partial(
            _over_batches,
            low=CROWDED_AT - CROWDED_WIDTH / 2,
            high=CROWDED_AT + CROWDED_WIDTH / 2,
        ),
        FOUR,
    ),
}


def compute() -> list[Row]:
    """Round the values of all panels by their modes."""
    return [
        row
        for name, panel in PANELS.items()
        for mode in panel.modes
        for row in panel.measure(name, mode)
    ]


def finding(rows: list[Row]) -> str:
    """Say in a sentence what the figure shows, with the numbers it rests on."""
    bias = _largest_bias(rows)
    at = {(row.panel, row.mode, row.at): row.rms_ulp for row in rows}
    last, narrowest = LOG2_BATCHES[-1], LOG2_SPREADS[0]
    wide = min(k for k in LOG2_SPREADS if at["spread", "hr", k] < at["spread", "ta", k] / 10)
    return (
        f"Of values all over a binade no mode is biased by more than {bias:.3f} ulp, and where |E| "
        f"≥ {f.HYBRID_FROM} HR's error is {at['binades', 'hr', COARSE]:.2f} ulp to TA's "
        f"{at['binades', 'ta', COARSE]:.2f}, that of means of {1 << SOME:,} values "
        f"{at['everywhere', 'hr', SOME]:.3f} to {at['everywhere', 'ta', SOME]:.3f}. HR pays where "
        f"values crowd: {CROWDED_AT} ulp above a code TA is off by {at['crowded', 'ta', last]:.2f} "
        f"ulp however many there are, the mean of {1 << last:,} by HR by "
        f"{at['crowded', 'hr', last]:.3f}, by SR by {at['crowded', 'sr', last]:.3f}. But HR draws "
        f"no numbers, it compares with the value's own low bits: values within less than "
        f"{power_of_two(wide)} ulp it rounds too much alike, within {power_of_two(narrowest)} ulp "
        f"they are {at['spread', 'hr', narrowest]:.2f} ulp off to TA's "
        f"{at['spread', 'ta', narrowest]:.2f}; and from FP16, where it knows two thresholds, "
        f"{at['spread', 'hr fp16', wide]:.2f} ulp are left where from FP32 it has no bias."
    )


def _largest_bias(rows: list[Row]) -> float:
    """Return the largest magnitude of a binade's mean error, of any mode."""
    return max(abs(row.bias_ulp) for row in rows if row.panel == "binades")


def draw(rows: list[Row], path: Path) -> None:
    """Draw the four panels.

    Parameters
    ----------
    rows : list of Row
        From `compute`.
    path : Path
        To ``.svg`` or ``.png``.
    """
    with plot.canvas(path, width=9.8, height=8.0) as figure:
        axes = dict(zip(PANELS, figure.subplots(2, 2).flat, strict=True))
        for name, panel in PANELS.items():
            _panel(axes[name], panel, [row for row in rows if row.panel == name])
        for name in ("binades", "spread"):
            axes[name].set_ylim(0, 0.5)
        for name in ("everywhere", "crowded"):
            axes[name].set_yscale("log")
            axes[name].set_ylim(0.002, 0.7)
            axes[name].set_yticks([0.01, 0.1], ["0.01", "0.1"])
        axes["binades"].xaxis.set_major_locator(MultipleLocator(4))
        text = f"bias of every mode in every binade:\nwithin ±{_largest_bias(rows):.3f} ulp"
        axes["binades"].text(-3.5, 0.12, text, ha="center", va="center")
        lines = axes["spread"].get_legend_handles_labels()
        figure.legend(*lines, loc="outside upper center", ncols=len(MODES), handlelength=3.6)


def _panel(axes: Axes, panel: Panel, rows: list[Row]) -> None:
    """Draw a line for every mode."""
    for place, name in enumerate(panel.modes):
        mode = MODES[name]
        own = [row for row in rows if row.mode == name]
        axes.plot(
            [row.at for row in own],
            [row.rms_ulp for row in own],
            label=mode.label,
            color=mode.style.color,
            linestyle=mode.style.linestyle,
            linewidth=mode.style.linewidth,
            marker=mode.style.marker,
            markevery=(place % 3, 3),
            markersize=5,
        )
    axes.set_title(panel.title, loc="left", fontsize=10)
    axes.set_xlabel(panel.xlabel)
    axes.set_ylabel(panel.ylabel)
