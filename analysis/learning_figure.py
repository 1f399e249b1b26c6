# SPDX-License-Identifier: Apache-2.0
"""Figure: nine published systems trained in seven formats, with the loss scales of their recipes.

Imports `analysis.formats`, `analysis.learning` and `analysis.plot`.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter

from . import learning, plot
from .formats import E4M3, E5M2, FP16, HIF8, Style
from .learning import HIF8S, LABELS, RECIPE, REFERENCE, UNSCALED, Measured, Row

FLUSHED = "flushed"
STYLES = {
    "fp32": Style("#000000", (0, (1, 1)), "|"),
    "fp16": FP16.style,
    "hif8_ta": HIF8.style,
    "hif8_hr": Style("#882255", (0, (2, 1)), "v"),
    "e4m3": E4M3.style,
    "e5m2": E5M2.style,
    "hybrid": Style("#CC79A7", (0, (3, 1, 1, 1)), "D"),
}
COMPARED = tuple(name for name in STYLES if name != REFERENCE)
FLUSHED_IN_TABLE = ("hif8_ta", "e4m3", "e5m2")
IN_README = ("hif8_ta", "hif8_hr", "e4m3")
SIGNIFICANT = 2
"""Standard errors."""
LINEAR = 2.0
"""Points up to which the axis of differences is linear; beyond, it is logarithmic."""
TICKS = (-100, -20, -5, -2, -1, 0, 1, 2, 10)
LEAST, MOST = 1e-4, 100.0
"""The ends of the axis of flushed gradients, in percent."""
MINUS = "\N{MINUS SIGN}"
PER_CENT = "\N{NO-BREAK SPACE}%"


def compute() -> list[Row]:
    """Return what was measured with loss scales."""
    return rows_of(RECIPE)


def rows_of(scaling: str) -> list[Row]:
    """Return the most telling metric of every system, and its flushed gradients."""
    measured = learning.read()
    return [
        row
        for row in measured.rows
        if row.scaling == scaling
        and row.seeds
        and row.metric in (measured.systems[row.workload].main, FLUSHED)
    ]


def finding(rows: list[Row]) -> str:
    """Say what the figure shows, with the numbers it rests on."""
    measured = learning.read()
    return " ".join(
        (
            _criteria(measured),
            _shortfalls(measured),
            differences(rows),
            behind(rows),
            flushed(rows),
        )
    )


def _criteria(measured: Measured) -> str:
    """Say how many criteria are met."""
    total = len(measured.systems)
    counts = {
        name: sum(measured.met(workload, RECIPE, name) for workload in measured.systems)
        for name in COMPARED
    }
    listed = ", ".join(f"{LABELS[name]} {count}" for name, count in counts.items())
    return f"Criteria met, of {total}: {listed}."


def differences(rows: list[Row]) -> str:
    """Say how far the formats are from FP32, over all systems."""
    found = {}
    for name in COMPARED:
        own = [row for row in rows if row.format == name and row.metric != FLUSHED]
        if own:
            mean = float(np.mean([row.difference for row in own]))
            error = float(np.sqrt(np.sum([row.standard_error**2 for row in own]))) / len(own)
            found[name] = f"{LABELS[name]} {signed(mean)} ± {error:.2f}"
    return (
        "The mean difference from FP32 of all systems' first metric, in points and with its "
        f"standard error, is {'; '.join(found.values())}."
    )


def behind(rows: list[Row]) -> str:
    """Say which systems are behind FP32 by more than chance."""
    systems = learning.read().systems
    found = []
    for name in COMPARED:
        own = [row for row in rows if row.format == name and row.metric != FLUSHED]
        worse = [row for row in own if row.difference < -SIGNIFICANT * row.standard_error]
        if own:
            listed = [f"{systems[r.workload].title} {signed(r.difference)}" for r in worse]
            found.append(f"{LABELS[name]} in {', '.join(listed) or 'none'}")
    return f"Behind FP32 by more than two standard errors are: {'; '.join(found)}."


def flushed(rows: list[Row]) -> str:
    """Say how many gradients become zero."""
    found = []
    for name in ("fp16", "hif8_ta", "e4m3", "e5m2"):
        own = [row.mean for row in rows if row.format == name and row.metric == FLUSHED]
        if own:
            found.append(f"{LABELS[name]} {percent(min(own))} to {percent(max(own))}")
    return f"Of the gradients that are not zero, casts flush to zero: {'; '.join(found)}."


def _shortfalls(measured: Measured) -> str:
    """Name every rule that HiF8 does not meet, and whether FP16 does."""
    found = []
    for system in measured.systems.values():
        also = {verdict.rule for verdict in measured.unmet(system.name, RECIPE, "fp16")}
        for name in HIF8S:
            for verdict in measured.unmet(system.name, RECIPE, name):
                what = f"{verdict.text}, as does FP16" if verdict.rule in also else verdict.text
                found.append(f"{system.title} in {LABELS[name]} ({what})")
    if not found:
        return "HiF8 misses no rule."
    return f"HiF8 misses: {'; '.join(found)}."


def signed(number: float, digits: int = 2) -> str:
    """Return a number with its sign."""
    return f"{number:+.{digits}f}".replace("-", MINUS)


def percent(number: float) -> str:
    """Return a share in percent, to two digits."""
    if 0 < number < LEAST:
        return f"<{LEAST:g}{PER_CENT}"
    return f"{number:.2g}{PER_CENT}" if number < MOST - 0.5 else f"{number:.0f}{PER_CENT}"


def table(rows: list[Row]) -> list[dict[str, str]]:
    """Return the table in the manner of the paper's Table 5."""
    return table_of(rows, RECIPE)


def table_of(rows: list[Row], scaling: str) -> list[dict[str, str]]:
    """Return a line for every system: FP32's mean, and the others' differences from it."""
    measured = learning.read()
    every = {(row.workload, row.format, row.metric): row for row in rows}
    lines = []
    for workload, system in measured.systems.items():
        main = system.main
        line = {
            "system, first metric": f"{system.title}: {system.metrics[main][0]}",
            "FP32": f"{every[workload, REFERENCE, main].mean:.2f}",
        }
        for name in COMPARED:
            row = every[workload, name, main]
            line[LABELS[name]] = f"{signed(row.difference)} ± {row.standard_error:.2f}"
        for name in FLUSHED_IN_TABLE:
            line[f"flushed, {LABELS[name]}"] = percent(every[workload, name, FLUSHED].mean)
        for name in HIF8S:
            met = measured.met(workload, scaling, name)
            line[f"criterion, {LABELS[name]}"] = "met" if met else "NOT MET"
        lines.append(line)
    return lines


def markdown(rows: list[Row]) -> str:
    """Return FP32's means and differences from them, with loss scales and without, as a table."""
    systems = learning.read().systems
    scaled, unscaled = (
        {(row.workload, row.format, row.metric): row for row in own}
        for own in (rows, rows_of(UNSCALED))
    )
    columns = {
        **{LABELS[name]: (scaled, name) for name in IN_README},
        **{f"{LABELS[name]}, no loss scale": (unscaled, name) for name in IN_README},
    }
    lines = [["system, first metric", LABELS[REFERENCE], *columns], ["---"] * (2 + len(columns))]
    for workload, system in systems.items():
        own = (table[workload, name, system.main] for table, name in columns.values())
        cells = [f"{signed(row.difference)} ± {row.standard_error:.2f}" for row in own]
        title = f"{system.title}: {system.metrics[system.main][0]}"
        lines.append([title, f"{scaled[workload, REFERENCE, system.main].mean:.2f}", *cells])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def draw(rows: list[Row], path: Path) -> None:
    """Draw differences from FP32, and flushed gradients, of every system in every format.

    Parameters
    ----------
    rows : list of Row
        From `compute`.
    path : Path
        To ``.svg`` or ``.png``.
    """
    systems = learning.read().systems
    titles = {workload: systems[workload].title for workload in dict.fromkeys(r[0] for r in rows)}
    with plot.canvas(path, width=10.4, height=7.6) as figure:
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.6, 1))
        for place, name in enumerate(COMPARED):
            shift = (place - (len(COMPARED) - 1) / 2) * 0.13
            _differences(left, rows, titles, name, shift)
            _flushed(right, rows, titles, name, shift)
        for axes in (left, right):
            for edge in np.arange(len(titles) - 1) + 0.5:
                axes.axhline(edge, color="#BBBBBB", linewidth=0.6)
            axes.grid(visible=False, axis="y")
        left.axvline(0, color="black", linewidth=0.8)
        _scale_differences(left)
        left.set_yticks(range(len(titles)), titles.values())
        left.set_ylim(len(titles) - 0.5, -0.5)
        left.tick_params(axis="y", length=0)
        left.set_title("First metric less FP32's", loc="left")
        left.set_xlabel("points, and two standard errors of the paired difference")
        right.set_xscale("log")
        right.set_xlim(LEAST / 1.6, MOST * 1.6)
        right.set_title("Gradients flushed to zero", loc="left")
        right.set_xlabel("% of those that are not zero")
        figure.legend(
            *left.get_legend_handles_labels(), loc="outside upper center", ncols=len(COMPARED)
        )


def _scale_differences(axes: Axes) -> None:
    axes.set_xscale("symlog", linthresh=LINEAR, linscale=1.2)
    low, high = (1.15 * end for end in axes.get_xlim())
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in TICKS if low <= tick <= high]))
    axes.xaxis.set_minor_locator(FixedLocator([]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:+g}".replace("-", MINUS)))
    axes.set_xlim(low, high)


def _of(rows: Iterable[Row], name: str, *, shares: bool) -> dict[str, Row]:
    return {
        row.workload: row
        for row in rows
        if row.format == name and (row.metric == FLUSHED) == shares
    }


def _differences(
    axes: Axes, rows: list[Row], titles: dict[str, str], name: str, shift: float
) -> None:
    """Draw the differences of a format, one a system, with what two standard errors are."""
    own = _of(rows, name, shares=False)
    style = STYLES[name]
    axes.errorbar(
        [own[workload].difference for workload in titles],
        np.arange(len(titles)) + shift,
        xerr=[2 * own[workload].standard_error for workload in titles],
        linestyle="none",
        marker=style.marker,
        color=style.color,
        markersize=5,
        elinewidth=1.0,
        label=LABELS[name],
    )


def _flushed(axes: Axes, rows: list[Row], titles: dict[str, str], name: str, shift: float) -> None:
    own = _of(rows, name, shares=True)
    style = STYLES[name]
    axes.plot(
        [max(own[workload].mean, LEAST) for workload in titles],
        np.arange(len(titles)) + shift,
        linestyle="none",
        marker=style.marker,
        color=style.color,
        markersize=5,
        clip_on=False,
    )
