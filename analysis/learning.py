# SPDX-License-Identifier: Apache-2.0
"""What HiF8 does to learning, as measured by ``hif8 workloads`` and kept in the repository.

Imports nothing of the project: torch, which measuring needs, is not on every machine.
"""

import csv
import json
from itertools import starmap
from pathlib import Path
from typing import Any, NamedTuple

MEASURED = Path(__file__).parent / "measured"
TABLE, RUNS, TOLD = (
    MEASURED / name for name in ("workloads.csv", "workloads_runs.csv", "workloads.json")
)

RECIPE, UNSCALED, PER_TENSOR = "recipe", "none", "pts"
SCALINGS = {RECIPE: "loss scaled", UNSCALED: "no loss scale"}
"""Of which the page has columns."""
REFERENCE = "fp32"
HIF8S = ("hif8_ta", "hif8_hr")
LABELS = {
    "fp32": "FP32",
    "fp16": "FP16",
    "bf16": "BF16",
    "hif8_ta": "HiF8 TA",
    "hif8_hr": "HiF8 HR",
    "e4m3": "FP8-E4M3",
    "e5m2": "FP8-E5M2",
    "hybrid": "E4M3/E5M2",
}
"""What the formats are called."""


class Row(NamedTuple):
    """A metric of a workload in a format, over all seeds.

    Attributes
    ----------
    workload, scaling, format, metric : str
        What it is of.
    mean, difference, standard_error : float
        Its mean, and that of its difference from FP32 with the same seeds.
    seeds, diverged, skipped : int
        How many runs there are, how many ended early, and how many steps they skipped.
    """

    workload: str
    scaling: str
    format: str
    metric: str
    mean: float
    difference: float
    standard_error: float
    seeds: int
    diverged: int
    skipped: int


class System(NamedTuple):
    """A published system, made small.

    Attributes
    ----------
    name, title, reference, simplified : str
        What it is called, its paper, and what was made smaller or left out.
    loss_scale : float
        Of its recipe.
    metrics : dict of str to list
        Label, unit and digits of each, the most telling first.
    rules : list of str
        Its criterion.
    curve : list of str
        The two metrics that its curve is of, if it has one: what is gained, and what it takes.
    """

    name: str
    title: str
    reference: str
    simplified: str
    loss_scale: float
    metrics: dict[str, list]
    rules: list[str]
    curve: list[str]

    @property
    def main(self) -> str:
        """The metric that tells most."""
        return next(iter(self.metrics))


class Verdict(NamedTuple):
    """What a rule says of a format.

    Attributes
    ----------
    workload, scaling, format : str
        Of which runs.
    rule, text : str
        What must be, and what is.
    met : bool
        Whether it is.
    """

    workload: str
    scaling: str
    format: str
    rule: str
    text: str
    met: bool


class Curve(NamedTuple):
    """A line, the mean over all seeds.

    Attributes
    ----------
    workload, scaling, format : str
        Of which runs.
    kind : str
        ``loss`` over steps, or ``curve``.
    x, y : list of float
        Its points.
    """

    workload: str
    scaling: str
    format: str
    kind: str
    x: list[float]
    y: list[float]


class Measured(NamedTuple):
    """All that is kept.

    Attributes
    ----------
    commands : list of str
        What measured it.
    versions : dict of str
        Of what.
    runs, steps, processor_seconds : int
        How many, and how long they took.
    systems : dict of str to System
        By name.
    rows : list of Row
        The table.
    verdicts : list of Verdict
        What the criteria say.
    curves : list of Curve
        What is drawn.
    """

    commands: list[str]
    versions: dict[str, str]
    runs: int
    steps: int
    processor_seconds: int
    systems: dict[str, System]
    rows: list[Row]
    verdicts: list[Verdict]
    curves: list[Curve]

    def met(self, workload: str, scaling: str, name: str) -> bool:
        """Tell whether a format meets all rules of a workload."""
        return not self.unmet(workload, scaling, name)

    def unmet(self, workload: str, scaling: str, name: str) -> list[Verdict]:
        """Return the rules that a format does not meet."""
        key = workload, scaling, name
        return [verdict for verdict in self.verdicts if verdict[:3] == key and not verdict.met]


def read(table: Path = TABLE, told: Path = TOLD) -> Measured:
    """Read what is kept.

    Raises
    ------
    OSError
        If there is no such file.
    """
    with table.open(newline="") as lines:
        rows = [
            Row(*row[:4], *map(float, row[4:7]), *map(int, row[7:]))
            for row in list(csv.reader(lines))[1:]
        ]
    said = json.loads(told.read_text())
    kinds = {"systems": System, "verdicts": Verdict, "curves": Curve}
    lists = {name: list(starmap(kind, said.pop(name))) for name, kind in kinds.items()}
    lists["systems"] = {system.name: system for system in lists["systems"]}
    return Measured(**said, **lists, rows=rows)


def page(measured: Measured) -> dict[str, Any]:
    """Return what is kept as the report takes it: every system with what HiF8 makes of its rules.

    Returns
    -------
    dict
        ``commands``, ``versions``, ``runs``, ``steps``, ``hours`` of one processor, ``columns``,
        the headers of judgements, and ``systems``: ``title``, ``reference``, ``simplified``,
        ``loss_scale`` and ``rules``, of each ``rule`` and ``cells``, verdicts in the columns.
    """
    columns = {
        (scaling, name): f"{LABELS[name]}, {SCALINGS[scaling]}"
        for scaling in SCALINGS
        for name in HIF8S
    }
    verdicts = {verdict[:4]: verdict for verdict in measured.verdicts}
    systems = [
        {
            "title": system.title,
            "reference": system.reference,
            "simplified": system.simplified,
            "loss_scale": system.loss_scale,
            "rules": [
                {
                    "rule": rule,
                    "cells": [verdicts[system.name, *column, rule] for column in columns],
                }
                for rule in system.rules
            ],
        }
        for system in measured.systems.values()
    ]
    return {
        "commands": measured.commands,
        "versions": measured.versions,
        "runs": measured.runs,
        "steps": measured.steps,
        "hours": measured.processor_seconds / 3600,
        "columns": list(columns.values()),
        "systems": systems,
    }
