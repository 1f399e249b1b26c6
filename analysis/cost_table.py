# SPDX-License-Identifier: Apache-2.0
"""What units cost, as tables for a terminal.

Imports `analysis.cost`.
"""

from rich.box import SIMPLE_HEAD
from rich.table import Table

from .cost import Cost

COLUMNS = {
    "GE": lambda row: f"{row.ge:,.0f}",
    "FF": lambda row: f"{row.flip_flops:,}",
    "ns": lambda row: f"{row.delay_ns:.2f}",
    "MHz": lambda row: f"{row.mhz_asic:,.0f}",
}
"""What is shown of a row, by the head of its column."""


def table(cost: Cost) -> Table:
    """Return the table of all rows, each kind of unit apart."""
    shown = Table("kind", "unit", "format", box=SIMPLE_HEAD)
    for column in COLUMNS:
        shown.add_column(column, justify="right")
    for kind in dict.fromkeys(row.kind for row in cost.rows):
        shown.add_section()
        label = kind
        for row in cost.rows:
            if row.kind == kind:
                shown.add_row(label, row.unit, row.format, *(of(row) for of in COLUMNS.values()))
                label = ""
    return shown


def tools(cost: Cost) -> str:
    """Return what the figures were made with, in a line."""
    return f"cells: {cost.library}; " + ", ".join(f"{n} {v}" for n, v in cost.tools.items())
