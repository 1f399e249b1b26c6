# SPDX-License-Identifier: Apache-2.0
"""Figure: the error of dot products over their length, by the accumulator that adds them up.

Imports `golden`, `analysis.formats` and `analysis.plot`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MultipleLocator

from ..golden.accumulate import UNIT_EXPONENT, add_odd, exact_sum
from ..golden.decode import VALUES
from ..golden.encode import encode
from ..golden.matmul import dot
from . import plot
from .formats import BF16, FP16, HIF8, Style, power_of_two

LENGTHS = [1 << k for k in range(4, 19)]
"""Products in a dot product."""
LANES = 16
"""Products a beat of the fused accumulator."""
DRAWS = 16
"""Dot products of each kind, of which the error is the root mean square."""
SEED = 240916626

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.uint8]
Step = Callable[[Floats, Codes, Codes], Floats]


def _normal(rng: np.random.Generator, terms: int) -> Floats:
    return rng.standard_normal((DRAWS, terms))


DATA: dict[str, tuple[str, Callable[[np.random.Generator, int], Floats]]] = {
    "normal": ("normal values", _normal),
    "student": (
        "Student's t, 3 degrees of freedom",
        lambda rng, terms: rng.standard_t(3, (DRAWS, terms)),
    ),
    "positive": ("magnitudes of normal values", lambda rng, terms: np.abs(_normal(rng, terms))),
}
"""What is multiplied: the label, and a function that draws (draws, terms) values."""


def _by_golden(accumulator: str, lanes: int = 1) -> Step:
    """Return a step of the golden model: codes of shape (dots, terms) go on to FP32 sums."""

    def step(acc: Floats, a: Codes, b: Codes) -> Floats:
        start = acc.astype(np.float32)
        return dot(a, b, accumulator=accumulator, lanes=lanes, initial=start).astype(np.float64)

    return step


def _narrow(rounded: Callable[[Floats], Floats]) -> Step:
    """Return a step that rounds after every product; products are exact in float64."""

    def step(acc: Floats, a: Codes, b: Codes) -> Floats:
        for product in (VALUES[a] * VALUES[b]).T:
            acc = rounded(add_odd(acc, product))
        return acc

    return step


def to_fp16(x: Floats) -> Floats:
    """Round to FP16, to nearest, ties to even."""
    with np.errstate(over="ignore"):
        return x.astype(np.float16).astype(np.float64)


def to_bf16(x: Floats) -> Floats:
    """Round to BF16, to nearest, ties to even; to its precision, for sums never leave its range."""
    below = np.int64(52 - 7)
    words = x.view(np.int64)
    words = words + ((1 << below - 1) - 1) + (words >> below & 1) & np.int64(-1) << below
    return words.view(np.float64)


ACCUMULATORS: dict[str, tuple[str, Step | None, Style]] = {
    "bf16": ("BF16", _narrow(to_bf16), BF16.style),
    "fp16": ("FP16", _narrow(to_fp16), FP16.style),
    "fp32": ("FP32", _by_golden("fp32"), Style("#0072B2", (0, (5, 1.5)), "s")),
    "fused": (
        f"FP32, {LANES} products a beat",
        _by_golden("fused", LANES),
        Style("#56B4E9", (0, (1, 1)), "^", 1.8),
    ),
    "exact": ("exact, rounded once to FP32", None, HIF8.style),
}
"""The label, what goes on from a sum to a longer one, and how it is drawn."""
OPERANDS = "operands"
"""Stands for the error that rounding the operands to HiF8 makes, whatever adds them up."""


class Row(NamedTuple):
    """Dot products of one length.

    Attributes
    ----------
    data, accumulator : str
        Keys of `DATA` and `ACCUMULATORS`, or `OPERANDS` for the latter.
    terms : int
        Products in each.
    error : float
        Root mean square of the error, over that of the exact sums of products of codes.
    """

    data: str
    accumulator: str
    terms: int
    error: float


def compute() -> list[Row]:
    """Add up ever longer dot products of random codes in every accumulator.

    Returns
    -------
    list of Row
        By length, data and accumulator.
    """
    dots = DRAWS * len(DATA)
    sums = {name: np.zeros(dots) for name, (_, step, _) in ACCUMULATORS.items() if step}
    exact = np.zeros(dots, object)
    unrounded = np.zeros(dots)
    made = []
    for terms, a, b in _segments():
        x, y = encode(a), encode(b)
        sums = {name: ACCUMULATORS[name][1](acc, x, y) for name, acc in sums.items()}
        exact += exact_sum(x, y).integers
        unrounded += np.einsum("ij,ij->i", a, b)
        whole = np.ldexp(exact.astype(np.float64), UNIT_EXPONENT)
        found = sums | {"exact": whole.astype(np.float32), OPERANDS: unrounded}
        made += [
            _row(key, name, terms, found[name][own], whole[own])
            for place, key in enumerate(DATA)
            for own in [slice(place * DRAWS, (place + 1) * DRAWS)]
            for name in (*ACCUMULATORS, OPERANDS)
        ]
    return made


def _segments() -> Iterator[tuple[int, Floats, Floats]]:
    """Yield lengths, and the operands that dot products of them have more than the last had."""
    rng = np.random.default_rng(SEED)
    for before, terms in zip([0, *LENGTHS], LENGTHS, strict=False):
        a, b = (
            np.concatenate([draw(rng, terms - before) for _, draw in DATA.values()])
            for _ in range(2)
        )
        yield terms, a, b


def _row(data: str, accumulator: str, terms: int, found: Floats, exact: Floats) -> Row:
    """Return the root mean square error."""
    error = np.sqrt(np.mean((found - exact) ** 2) / np.mean(exact**2))
    return Row(data, accumulator, terms, float(error))


def finding(rows: list[Row]) -> str:
    """Say in a sentence what the figure shows, with the numbers it rests on."""
    errors = {(row.data, row.accumulator, row.terms): row.error for row in rows}
    longest = LENGTHS[-1]

    def percent(accumulator: str, data: str) -> str:
        return f"{100 * errors[data, accumulator, longest]:.2g}\N{NO-BREAK SPACE}%"

    def beyond(accumulator: str, data: str) -> str:
        """Say from which length on an accumulator errs more than the operands do."""
        within = [n for n in LENGTHS if errors[data, accumulator, n] <= errors[data, OPERANDS, n]]
        after = [n for n in LENGTHS if not within or n > within[-1]]
        return f"from {after[0]:,} products on" if after else "at none of these lengths"

    fp32 = max(
        errors[data, "fp32", n] / errors[data, OPERANDS, n] for data in DATA for n in LENGTHS
    )
    return (
        f"Rounding the operands to HiF8 changes dot products of {longest:,} normal values by "
        f"{percent(OPERANDS, 'normal')} of their size. An FP32 accumulator adds "
        f"{percent('fp32', 'normal')}, and over all these lengths and data never more than "
        f"{fp32:.0%} of what the operands make. BF16 errs more than the operands do "
        f"{beyond('bf16', 'normal')}, FP16 {beyond('fp16', 'normal')}; where all products are "
        f"positive BF16 does {beyond('bf16', 'positive')}, FP16 {beyond('fp16', 'positive')}: "
        f"their sums stand still in the end."
    )


def draw(rows: list[Row], path: Path) -> None:
    """Draw a panel for each kind of data.

    Parameters
    ----------
    rows : list of Row
        From `compute`.
    path : Path
        To ``.svg`` or ``.png``.
    """
    with plot.canvas(path, width=9.6, height=4.8) as figure:
        panels = figure.subplots(1, len(DATA), sharex=True, sharey=True)
        for axes, (key, (label, _)) in zip(panels, DATA.items(), strict=True):
            _panel(axes, [row for row in rows if row.data == key])
            axes.set_title(label, loc="left")
            axes.set_xlabel("products in the sum")
        panels[0].set_ylabel("root mean square error / sum")
        lines = panels[0].get_legend_handles_labels()
        figure.legend(*lines, loc="outside upper center", ncols=3, handlelength=3.6)


def _panel(axes: Axes, rows: list[Row]) -> None:
    """Draw the error over the length; where there is none, nothing."""
    drawn = {name: (label, style) for name, (label, _, style) in ACCUMULATORS.items()}
    drawn[OPERANDS] = "rounding of the operands to HiF8", Style("#666666", "-", "", 0.9)
    for name, (label, style) in drawn.items():
        own = [row for row in rows if row.accumulator == name and row.error > 0]
        axes.plot(
            [np.log2(row.terms) for row in own],
            [np.log2(row.error) for row in own],
            label=label,
            color=style.color,
            linestyle=style.linestyle,
            linewidth=style.linewidth,
            marker=style.marker,
            markersize=5,
            markevery=2,
        )
    axes.xaxis.set_major_locator(MultipleLocator(4))
    axes.yaxis.set_major_locator(MultipleLocator(4))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: power_of_two(round(value))))
