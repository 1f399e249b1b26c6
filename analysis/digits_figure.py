# SPDX-License-Identifier: Apache-2.0
"""Figure: where the digits network's values lie on HiF8's precision profile.

Imports `golden.encode`, `analysis.digits`, `analysis.formats` and `analysis.plot`.
"""

from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from ..golden.encode import quantize
from . import digits, plot
from .formats import HIF8, Style, exponent_of

STYLES = {
    "weights1": ("weights, layer 1", Style("#332288", "-", "o")),
    "weights2": ("weights, layer 2", Style("#44AA99", (0, (5, 1.5)), "s")),
    "images": ("images", Style("#000000", (0, (1, 1)), "^", 1.8)),
    "hidden1": ("hidden activations", Style("#AA4466", (0, (6, 1.5, 1, 1.5)), "D")),
}
"""Label and drawing style of each tensor; the formats' own colours stay theirs."""

LOWEST, HIGHEST = min(HIF8.binades), max(HIF8.binades)
FLUSHED = LOWEST - 3
"""Where on the axis everything that becomes zero is gathered."""


class Row(NamedTuple):
    """One binade of one tensor.

    Attributes
    ----------
    tensor : str
        Name of the tensor.
    exponent : int
        E of the binade [2^E, 2^(E+1)).
    values : int
        How many of the tensor's values have a magnitude in it.
    share : float
        The same over all values of the tensor that are not zero, from 0 to 1.
    flushed : int
        How many of the values HiF8 rounds to zero.
    significand_bits : float
        What HiF8 keeps in the binade; 0 outside of its range.
    """

    tensor: str
    exponent: int
    values: int
    share: float
    flushed: int
    significand_bits: float


def compute() -> list[Row]:
    """Count the values of the tensors that enter the network's matrix products, by binade.

    Returns
    -------
    list of Row
        Tensor by tensor, exponents ascending, for the binades that have any.
    """
    rows = []
    for name, tensor in digits.tensors(digits.train()).items():
        nonzero = tensor[tensor != 0]
        exponents, flushed = exponent_of(nonzero), quantize(nonzero) == 0
        for E in np.unique(exponents).tolist():
            here = exponents == E
            count = int(here.sum())
            bits = HIF8.significand_bits.get(E, 0.0)
            rows.append(Row(name, E, count, count / nonzero.size, int(flushed[here].sum()), bits))
    return rows


def finding(rows: list[Row]) -> str:
    """Say in a sentence what the figure shows, with the numbers it rests on."""
    total = sum(row.values for row in rows)
    most = max(row.significand_bits for row in rows)
    best = sum(row.values for row in rows if row.significand_bits == most)
    flushed = {row.tensor: 0 for row in rows}
    for row in rows:
        flushed[row.tensor] += row.flushed
    where = " and ".join(STYLES[name][0] for name, count in flushed.items() if count)
    return (
        f"{100 * best / total:.1f}\N{NO-BREAK SPACE}% of the {total:,} non-zero values that enter "
        f"the digits network's matrix products lie where HiF8 keeps {most:.0f} significand bits; "
        f"{sum(flushed.values())} become zero{f' ({where})' if where else ''}; the largest lie in "
        f"binade {max(row.exponent for row in rows)}, and HiF8's last binade is {HIGHEST}."
    )


def draw(rows: list[Row], path: Path) -> None:
    """Draw the tensors' exponents over HiF8's significand bits.

    Parameters
    ----------
    rows : list of Row
        From `compute`.
    path : Path
        To ``.svg`` or ``.png``.
    """
    with plot.canvas(path, width=9.6, height=5.4) as figure:
        axes = figure.add_subplot()
        axes.set_yscale("log")
        axes.grid(visible=False)
        _shade(axes)
        for name, (label, style) in STYLES.items():
            _draw_tensor(axes, label, style, [row for row in rows if row.tensor == name])
        ticks = range(LOWEST // 4 * 4 + 4, HIGHEST + 1, 4)
        labels = [str(E).replace("-", "\N{MINUS SIGN}") for E in ticks]
        axes.set_xticks([FLUSHED, *ticks], ["to zero", *labels])
        axes.set_xlim(FLUSHED - 1, HIGHEST + 1.5)
        axes.set_ylim(50 * min(row.share for row in rows), 200)
        axes.set_yticks([0.01, 0.1, 1, 10, 100], ["0.01", "0.1", "1", "10", "100"])
        axes.set_xlabel("exponent E of the binade [2$^E$, 2$^{E+1}$)")
        axes.set_ylabel("share of the tensor's non-zero values (%)")
        axes.set_title("Shaded: significand bits that HiF8 keeps in a binade", fontsize=10)
        figure.legend(loc="outside upper center", ncols=len(STYLES), handlelength=3.6)


def _shade(axes: Axes) -> None:
    """Shade HiF8's range, the darker the more significand bits, and write how many."""
    for bits, run in groupby(HIF8.binades, HIF8.significand_bits.__getitem__):
        members = list(run)
        first, last = members[0], members[-1]
        axes.axvspan(first - 0.5, last + 0.5, color=str(1 - 0.055 * bits), linewidth=0)
        axes.text((first + last) / 2, 115, f"{bits:.0f}", ha="center", va="center")


def _draw_tensor(axes: Axes, label: str, style: Style, rows: list[Row]) -> None:
    """Draw the shares of one tensor, all binades that become zero as one point."""
    exponents = np.arange(FLUSHED, HIGHEST + 1)
    shares = np.zeros(exponents.size)
    for row in rows:
        place = FLUSHED if row.flushed else row.exponent
        shares[place - FLUSHED] += 100 * row.share
    axes.plot(
        exponents,
        np.where(shares == 0, np.nan, shares),
        label=label,
        color=style.color,
        linestyle=style.linestyle,
        linewidth=style.linewidth,
        marker=style.marker,
        markersize=5,
    )
