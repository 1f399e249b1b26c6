# SPDX-License-Identifier: Apache-2.0
"""How what is made of dot products and engines grows with their size, as a table.

The rows are kept results of ``hif8 growth``.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from . import cost

RESULTS = cost.MEASURED / "growth.json"


def _number(key: str, digits: int = 0) -> Callable[[dict[str, Any]], str]:
    """Return what shows a number of a row, or that there is none."""

    def shown(row: dict[str, Any]) -> str:
        return "-" if row[key] is None else f"{row[key]:,.{digits}f}"

    return shown


def _difference(row: dict[str, Any]) -> str:
    """Return how much more the area is by module, in per cent of the flat one."""
    return "-" if row["ge_flat"] is None else f"{100 * (row['ge'] / row['ge_flat'] - 1):+.1f} %"


COLUMNS: dict[str, Callable[[dict[str, Any]], str]] = {
    "kB": lambda row: f"{row['size'] / 1000:,.0f}",
    "lines": _number("lines"),
    "export s": _number("export_s", 1),
    "Verilator s": _number("build_s", 1),
    "cycles/s": _number("cycles_per_s"),
    "GE by module": _number("ge"),
    "GE flat": _number("ge_flat"),
    "difference": _difference,
    "modules": _number("modules"),
    "mapping s": _number("map_s", 1),
    "proof s": _number("proof_s", 1),
}
"""What is shown of a row, by the head of its column."""


def table(rows: Iterable[dict[str, Any]]) -> list[list[str]]:
    """Return a line of text for each row: the unit, and all columns."""
    return [[row["unit"], *(shown(row) for shown in COLUMNS.values())] for row in rows]


def page(path: Path = RESULTS) -> dict[str, Any]:
    """Return the kept results as the report takes them: the table, and what measured it.

    Raises
    ------
    OSError
        If there are none.
    """
    said = json.loads(path.read_text())
    return {
        "heads": ["unit", *COLUMNS],
        "lines": table(said["rows"]),
        "command": said["command"],
        "note": f"Seconds are of one processor, with nothing kept from before. Cells of "
        f"{said['library']}; with "
        + ", ".join(f"{name} {version}" for name, version in said["tools"].items()),
    }
