# SPDX-License-Identifier: Apache-2.0
"""Figure: nine published systems trained in seven formats without any loss scale.

Imports `analysis.learning` and `analysis.learning_figure`.
"""

from . import learning, learning_figure
from .learning import LABELS, PER_TENSOR, UNSCALED, Row
from .learning_figure import COMPARED, FLUSHED, draw

__all__ = ["compute", "draw", "finding", "table"]

BEHIND = 5.0
"""Points by which a format that trains badly is behind FP32."""


def compute() -> list[Row]:
    """Return what was measured without loss scales."""
    return learning_figure.rows_of(UNSCALED)


def finding(rows: list[Row]) -> str:
    """Say what the figure shows, with the numbers it rests on."""
    parts = _behind(rows), learning_figure.flushed(rows), _scaled_tensors()
    return " ".join(part for part in parts if part)


def _behind(rows: list[Row]) -> str:
    """Say how often each format is far behind FP32, and where it is farthest."""
    systems = learning.read().systems
    found = []
    for name in COMPARED:
        own = [row for row in rows if row.format == name and row.metric != FLUSHED]
        if not own:
            continue
        count = sum(row.difference < -BEHIND for row in own)
        worst = min(own, key=lambda row: row.difference)
        farthest = learning_figure.signed(worst.difference, 1)
        found.append(
            f"{LABELS[name]} in {count} (at worst {farthest}, {systems[worst.workload].title})"
        )
    return (
        f"Without a loss scale, more than {BEHIND:g} points behind FP32 are, of "
        f"{len({row.workload for row in rows})} systems: {'; '.join(found)}. Here E4M3 has no "
        "scale of any kind."
    )


def _scaled_tensors() -> str:
    """Say what scales per tensor, in place of a loss scale, make of that."""
    measured = learning.read()
    found = []
    for name in ("e4m3", "hif8_ta"):
        own = [
            row
            for row in measured.rows
            if (row.scaling, row.format) == (PER_TENSOR, name)
            and row.metric == measured.systems[row.workload].main
            and row.seeds
        ]
        if own:
            worst = min(own, key=lambda row: row.difference)
            count = sum(row.difference < -BEHIND for row in own)
            found.append(
                f"{LABELS[name]} in {count} of {len(own)} "
                f"(at worst {learning_figure.signed(worst.difference, 1)}, "
                f"{measured.systems[worst.workload].title})"
            )
    if not found:
        return ""
    return f"With a scale for each tensor, the usual remedy, that is {'; '.join(found)}."


def table(rows: list[Row]) -> list[dict[str, str]]:
    """Return the table without loss scaling."""
    return learning_figure.table_of(rows, UNSCALED)
