# SPDX-License-Identifier: Apache-2.0
"""Figure: what hybrid rounding (HR) does to exact values, and to BF16 values widened to FP32.

Imports `golden`, `analysis.formats` and `analysis.plot`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from ..golden import format as f
from ..golden.decode import VALUES, decode
from ..golden.encode import KEPT_WIDTHS, quantize
from ..golden.rounding import Rounding
from . import plot
from .formats import Style, exponent_of

WORDS = range(f.MIN_EXPONENT, f.MAX_EXPONENT)
"""The binades whose bias is measured: nothing in them becomes zero or infinite."""
DRAWN = 1 << 16
"""Random FP32 values for each of these binades."""
SEED = 16626
FINITE = np.flatnonzero(np.isfinite(VALUES) & (VALUES != 0)).astype(np.uint8)
"""The finite codes that are not zero."""


def _exact(source: f.FloatFormat) -> np.ndarray:
    """Return the value of every finite code that is not zero."""
    return decode(FINITE, source.dtype)


def _every_bf16() -> np.ndarray:
    """Return all BF16 values in `WORDS`, of either sign."""
    values = np.arange(1 << f.BF16.width, dtype=f.BF16.word).view(f.BF16.dtype)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        magnitudes = np.abs(values.astype(np.float64))
    inside = (magnitudes >= 2.0 ** WORDS[0]) & (magnitudes < 2.0 ** (WORDS[-1] + 1))
    return values[inside]


def _widened() -> np.ndarray:
    """Return the same values as FP32."""
    return _every_bf16().astype(np.float32)


def _random() -> np.ndarray:
    """Return random positive FP32 values, `DRAWN` in each binade of `WORDS`."""
    m = f.FP32.fraction_width
    fractions = np.random.default_rng(SEED).integers(0, 1 << m, (len(WORDS), DRAWN))
    biased = np.array(WORDS)[:, np.newaxis] + f.FP32.bias
    return (biased << m | fractions).astype(np.uint32).view(np.float32).ravel()


class Experiment(NamedTuple):
    """Values, and how they are rounded.

    Attributes
    ----------
    label : str
        For people.
    values : callable
        Returns the values.
    rounding : Rounding
        By what mode.
    keep_exact : bool
        As for `golden.encode.encode`.
    style : Style, optional
        How the bias is drawn; None for exact values, of which those that move are counted.
    """

    label: str
    values: Callable[[], np.ndarray]
    rounding: Rounding = Rounding.HR
    keep_exact: bool = False
    style: Style | None = None


EXPERIMENTS = {
    "exact fp32": Experiment("FP32", lambda: _exact(f.FP32)),
    "exact fp32 keep_exact": Experiment(
        "FP32, keep_exact", lambda: _exact(f.FP32), keep_exact=True
    ),
    "exact fp16": Experiment("FP16", lambda: _exact(f.FP16)),
    "exact bf16": Experiment("BF16", lambda: _exact(f.BF16)),
    "bf16 widened": Experiment(
        "BF16 widened to FP32, HR", _widened, style=Style("#D55E00", "-", "o", 2.0)
    ),
    "bf16 widened keep_exact": Experiment(
        "BF16 widened to FP32, HR with keep_exact",
        _widened,
        keep_exact=True,
        style=Style("#882255", (0, (5, 1.5)), "v"),
    ),
    "bf16 ta": Experiment(
        "BF16 itself, TA", _every_bf16, Rounding.TA, style=Style("#009E73", "-", "s", 2.6)
    ),
    "bf16": Experiment("BF16 itself, HR", _every_bf16, style=Style("#000000", (0, (1, 1)), "+")),
    "fp32 random": Experiment(
        "random FP32, HR", _random, style=Style("#0072B2", (0, (6, 1.5, 1, 1.5)), "x")
    ),
}
"""What is measured; first the exact values."""


class Row(NamedTuple):
    """One binade of one experiment.

    Attributes
    ----------
    experiment : str
        Which values were rounded, and how.
    exponent : int
        E of the binade [2^E, 2^(E+1)) they are from.
    values : int
        How many.
    moved : int
        How many of them became another value.
    power_becomes : float
        What 2^E became; NaN if it was not among them.
    bias_ulp : float
        Mean of the results' magnitude less the values', in ulp of the binade.
    bias_relative : float
        The same mean in parts of the value.
    """

    experiment: str
    exponent: int
    values: int
    moved: int
    power_becomes: float
    bias_ulp: float
    bias_relative: float


def compute() -> list[Row]:
    """Round the values of every experiment and compare, binade by binade.

    Returns
    -------
    list of Row
        Experiment by experiment, exponents ascending.
    """
    return [row for name in EXPERIMENTS for row in _measure(name, EXPERIMENTS[name])]


def _measure(name: str, experiment: Experiment) -> list[Row]:
    """Return the rows of one experiment."""
    values = experiment.values()
    rounded = quantize(values, experiment.rounding, keep_exact=experiment.keep_exact)
    before, after = (np.abs(array.astype(np.float64)) for array in (values, rounded))
    exponents = exponent_of(before)
    rows = []
    for E in np.unique(exponents).tolist():
        here = exponents == E
        x, y = before[here], after[here]
        powers = y[x == 2.0**E]
        rows.append(
            Row(
                experiment=name,
                exponent=E,
                values=x.size,
                moved=int((x != y).sum()),
                power_becomes=float(powers[0]) if powers.size else np.nan,
                bias_ulp=float(((y - x) / 2.0 ** (E - KEPT_WIDTHS[E])).mean()),
                bias_relative=float(((y - x) / x).mean()),
            )
        )
    return rows


def moved(rows: list[Row], experiment: str) -> tuple[int, int]:
    """Return how many values of an experiment moved, and of how many."""
    own = [row for row in rows if row.experiment == experiment]
    return sum(row.moved for row in own), sum(row.values for row in own)


def bias(rows: list[Row], experiment: str, unit: str = "bias_ulp") -> float:
    """Return the mean bias of an experiment where HR is not TA; binades count the same."""
    return float(
        np.mean(
            [
                getattr(row, unit)
                for row in rows
                if row.experiment == experiment and abs(row.exponent) >= f.HYBRID_FROM
            ]
        )
    )


def finding(rows: list[Row]) -> str:
    """Say in a sentence what the figure shows, with the numbers it rests on."""
    becomes = {row.exponent: row.power_becomes for row in rows if row.experiment == "exact fp32"}
    some, every = moved(rows, "exact fp32")
    kept, *narrow = (
        moved(rows, f"exact {name}")[0] for name in ("fp32 keep_exact", "fp16", "bf16")
    )
    ulp = {name: _signed(f"{bias(rows, name):+.3f}") for name in EXPERIMENTS}
    share = _signed(f"{100 * bias(rows, 'bf16 widened', 'bias_relative'):+.0f}")
    return (
        f"HR moves {some} of the {every} exact non-zero values of FP32 (16 becomes "
        f"{_named(becomes[4])}, 32,768 becomes {_named(becomes[f.MAX_EXPONENT])}), {kept} with "
        f"keep_exact; {narrow[0]} of FP16's and {narrow[1]} of BF16's. Where |E| ≥ "
        f"{f.HYBRID_FROM}, BF16 values widened to FP32 before HR come out larger by "
        f"{ulp['bf16 widened']} ulp on average, {share}\N{NO-BREAK SPACE}% of the value, and "
        f"keep_exact does not help "
        f"({ulp['bf16 widened keep_exact']} ulp); encoded from BF16 itself they are off by "
        f"{ulp['bf16']} ulp under HR and by {ulp['bf16 ta']} under TA, random FP32 values by "
        f"{ulp['fp32 random']} under HR."
    )


def _signed(number: str) -> str:
    """Return a number's text with a proper minus sign."""
    return number.replace("-", "\N{MINUS SIGN}")


def _named(value: float) -> str:
    """Return a value for people."""
    return "infinity" if np.isinf(value) else f"{value:,g}"


def draw(rows: list[Row], path: Path) -> None:
    """Draw where exact values move, and below it the bias of values that are not exact.

    Parameters
    ----------
    rows : list of Row
        From `compute`.
    path : Path
        To ``.svg`` or ``.png``.
    """
    with plot.canvas(path, width=9.6, height=7.0) as figure:
        counts, biases = figure.subplots(2, sharex=True, height_ratios=(1, 2.2))
        _draw_counts(counts, rows)
        _draw_biases(biases, rows)
        ticks = range(f.MIN_EXPONENT // 4 * 4 + 4, f.MAX_EXPONENT + 1, 4)
        biases.set_xticks(ticks, [str(E).replace("-", "\N{MINUS SIGN}") for E in ticks])
        biases.set_xlim(f.MIN_EXPONENT - 1, f.MAX_EXPONENT + 1)
        biases.set_xlabel("exponent E of the binade [2$^E$, 2$^{E+1}$)")
        figure.legend(loc="outside lower center", ncols=2, handlelength=3.6, columnspacing=3)


def _draw_counts(axes: Axes, rows: list[Row]) -> None:
    """Write into a cell a binade how many of its exact values move, dark where any does."""
    exact = [name for name, experiment in EXPERIMENTS.items() if experiment.style is None]
    for line, name in enumerate(exact):
        for row in (row for row in rows if row.experiment == name):
            axes.bar(
                row.exponent,
                height=0.8,
                bottom=line - 0.4,
                width=0.9,
                color="#B34700" if row.moved else "#EEEEEE",
            )
            axes.text(
                row.exponent,
                line,
                str(row.moved),
                ha="center",
                va="center_baseline",
                fontsize=7.5,
                color="white" if row.moved else "#666666",
            )
        axes.text(
            1.01,
            line,
            "{} of {}".format(*moved(rows, name)),
            va="center_baseline",
            transform=axes.get_yaxis_transform(),
        )
    axes.set_yticks(range(len(exact)), [EXPERIMENTS[name].label for name in exact])
    axes.set_ylim(len(exact) - 0.5, -0.5)
    axes.set_title("Exact values that HR moves: how many in each binade", loc="left")
    axes.grid(visible=False)
    axes.tick_params(axis="both", length=0, labelbottom=False)
    axes.spines[:].set_visible(False)


def _draw_biases(axes: Axes, rows: list[Row]) -> None:
    """Draw the bias over the binades, and shade where HR is TA."""
    edge = f.HYBRID_FROM - 0.5
    axes.axvspan(-edge, edge, color="#EEEEEE", linewidth=0)
    axes.text(0, 0.25, "HR is TA here", ha="center", va="center")
    for name, experiment in EXPERIMENTS.items():
        if experiment.style is None:
            continue
        own = [row for row in rows if row.experiment == name]
        axes.plot(
            [row.exponent for row in own],
            [row.bias_ulp for row in own],
            label=_signed(f"{experiment.label}: {bias(rows, name):+.3f} ulp"),
            color=experiment.style.color,
            linestyle=experiment.style.linestyle,
            linewidth=experiment.style.linewidth,
            marker=experiment.style.marker,
            markersize=5,
        )
    axes.set_title(
        "Bias of all BF16 and of random FP32 values: mean of result less value", loc="left"
    )
    axes.set_ylabel("bias away from zero (ulp)")
