# SPDX-License-Identifier: Apache-2.0
"""What the commands have left in the build folder of units: verdicts, proofs, faults, costs.

Imports nothing of the project: the files are all that analysis knows of simulations.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

DIGITS = "digits.json"
"""In the build folder: the result of ``hif8 demo``."""


class Results(NamedTuple):
    """What is known of the units, by their names; a unit of which nothing is known has no entry.

    Attributes
    ----------
    verdicts : dict of list of dict
        Of ``hif8 verify``, one a simulator.
    proofs : dict of list of dict
        Of ``hif8 prove``, one a property.
    faults : dict of dict
        Of ``hif8 mutate``.
    netlists : dict of dict
        Of ``hif8 netlist``.
    costs : dict of dict
        Of ``hif8 cost``: the unit's row.
    cost_tools : dict of str
        What it was measured with: versions by name, the cells' library among them.
    digits : dict, optional
        Of ``hif8 demo``: what the network on RTL gave.
    soaked : list of dict
        Of ``hif8 soak``: a verdict a check.
    """

    verdicts: dict[str, list[dict[str, Any]]]
    proofs: dict[str, list[dict[str, Any]]]
    faults: dict[str, dict[str, Any]]
    netlists: dict[str, dict[str, Any]]
    costs: dict[str, dict[str, Any]]
    cost_tools: dict[str, str]
    digits: dict[str, Any] | None = None
    soaked: Sequence[dict[str, Any]] = ()


def read(build: Path) -> Results:
    """Read all results there are.

    Parameters
    ----------
    build : Path
        Folder of everything made.

    Raises
    ------
    ValueError
        If a file is damaged.
    """
    verdicts: dict[str, list[dict[str, Any]]] = {}
    for verdict in _files(build / "verify"):
        verdicts.setdefault(verdict["unit"], []).append(verdict)
    proofs = {rows[0]["unit"]: rows for rows in _files(build / "prove")}
    faults, netlists = (
        {result["unit"]: result for result in _files(build / folder)}
        for folder in ("mutate", "netlists")
    )
    path = build / "cost" / "cost.json"
    cost = _load(path) if path.exists() else {"rows": [], "tools": {}, "library": "none"}
    return Results(
        verdicts,
        proofs,
        faults,
        netlists,
        costs={row["unit"]: row for row in cost["rows"]},
        cost_tools={"cells of": cost["library"], **cost["tools"]},
        digits=_load(build / DIGITS) if (build / DIGITS).exists() else None,
        soaked=_files(build / "soak"),
    )


def _files(folder: Path) -> list[dict[str, Any]]:
    """Return what the JSON files of a folder hold, in the order of their names."""
    return [_load(path) for path in sorted(folder.glob("*.json"))]


def _load(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds."""
    try:
        return json.loads(path.read_text())
    except ValueError:
        raise ValueError(f"{path} is damaged: remove it, and run what made it again") from None
