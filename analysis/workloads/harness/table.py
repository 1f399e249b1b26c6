# SPDX-License-Identifier: Apache-2.0
"""The table of all runs, in the manner of the paper's Table 5, and its rows as CSV.

Imports `analysis.learning`, `harness.runs`, `rules` and `interface`, and rich.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from rich.table import Table

from ...learning import LABELS, Row
from .interface import Metric
from .rules import REFERENCE, Judgement, Runs, paired
from .runs import Result, Setting, system
from .trainer import RECIPE

SHARES = {
    "flushed": Metric("gradients flushed", "%", 3),
    "saturated": Metric("gradients saturated", "%", 3),
}
"""What every run has."""


class Verdict(NamedTuple):
    """Whether a format meets a workload's criterion, rule by rule.

    Attributes
    ----------
    workload, scaling, format : str
        What it is of.
    judgements : list of Judgement
        One a rule.
    """

    workload: str
    scaling: str
    format: str
    judgements: list[Judgement]

    @property
    def met(self) -> bool:
        """Whether all rules are met."""
        return all(judgement.met for judgement in self.judgements)


Results = Mapping[Setting, Result]


def blocks(results: Results) -> list[tuple[str, str]]:
    """Return the workloads and scalings that there are runs of, in order."""
    order = dict.fromkeys((s.scaling, s.workload) for s in sorted(results, key=_recipe_first))
    return [(workload, scaling) for scaling, workload in order]


def _recipe_first(setting: Setting) -> tuple[object, ...]:
    return setting.scaling != RECIPE, setting.scaling, setting.workload


def runs_of(results: Results, workload: str, scaling: str) -> Runs:
    """Return the metrics of a workload by format and seed, those of pairs among them."""
    own = {s: r for s, r in results.items() if (s.workload, s.scaling) == (workload, scaling)}
    references = {s.seed: r for s, r in own.items() if s.format == REFERENCE}
    found: dict[str, dict[int, dict[str, float]]] = {}
    for setting, result in own.items():
        metrics = dict(result.metrics)
        if setting.seed in references:
            metrics |= system(workload).compare(result.kept, references[setting.seed].kept)
        found.setdefault(setting.format, {})[setting.seed] = metrics
    return found


def metrics_of(workload: str) -> dict[str, Metric]:
    """Return what is measured of a workload."""
    return {**system(workload).metrics, **SHARES}


def rows(results: Results, formats: Sequence[str]) -> Iterator[Row]:
    """Yield every metric of every workload in every format."""
    for workload, scaling in blocks(results):
        runs = runs_of(results, workload, scaling)
        for name in formats:
            own = [
                r
                for s, r in results.items()
                if (s.workload, s.scaling, s.format) == (workload, scaling, name)
            ]
            counts = sum(bool(r.diverged) for r in own), sum(r.skipped for r in own)
            for metric in metrics_of(workload):
                pair = paired(runs, name, metric)
                numbers = pair.mean, pair.difference, pair.error
                yield Row(workload, scaling, name, metric, *numbers, pair.seeds, *counts)


def verdicts(results: Results, formats: Sequence[str]) -> list[Verdict]:
    """Return whether each format meets the criteria; FP32 is what they are measured by."""
    found = []
    for workload, scaling in blocks(results):
        runs = runs_of(results, workload, scaling)
        for name in formats:
            if name != REFERENCE and runs.get(name) and runs.get(REFERENCE):
                judged = [rule.judge(runs, name) for rule in system(workload).criterion]
                found.append(Verdict(workload, scaling, name, judged))
    return found


def table(results: Results, formats: Sequence[str]) -> Table:
    """Return the table: FP32's means, and the differences from them with standard errors."""
    shown = Table("workload", "", *(LABELS[name] for name in formats))
    every = {(r.workload, r.scaling, r.format, r.metric): r for r in rows(results, formats)}
    judged = {(v.workload, v.scaling, v.format): v for v in verdicts(results, formats)}
    for workload, scaling in blocks(results):
        title = f"{system(workload).title}\n{_scaling(workload, scaling)}"
        for metric, what in metrics_of(workload).items():
            cells = [_cell(every[workload, scaling, name, metric], what) for name in formats]
            if metric in SHARES and not any(float(c.split()[0]) for c in cells if c != "-"):
                continue
            shown.add_row(title, f"{what.label} {what.unit}".strip(), *cells)
            title = ""
        marks = [judged.get((workload, scaling, name)) for name in formats]
        shown.add_row(title, "criterion", *("-" if v is None else _mark(v) for v in marks))
        shown.add_section()
    return shown


def _scaling(workload: str, scaling: str) -> str:
    return f"loss x {system(workload).loss_scale:g}" if scaling == RECIPE else f"scaling {scaling}"


def _mark(verdict: Verdict) -> str:
    return "met" if verdict.met else "NOT MET"


def _cell(row: Row, what: Metric) -> str:
    if not row.seeds:
        return "-"
    digits = what.digits
    if row.format == REFERENCE or row.metric in SHARES or np.isnan(row.difference):
        text = f"{row.mean:.{digits}f}"
    else:
        error = "" if np.isnan(row.standard_error) else f" ±{row.standard_error:.{digits}f}"
        text = f"{row.difference:+.{digits}f}{error}"
    return f"{text} ({row.diverged} diverged)" if row.diverged else text


def texts(results: Results, formats: Sequence[str]) -> Iterator[str]:
    """Yield a line for each rule that HiF8 does not meet, and how many criteria it meets."""
    every = [v for v in verdicts(results, formats) if v.format.startswith("hif8")]
    for verdict in every:
        for judgement in verdict.judgements:
            if not judgement.met:
                where = f"{verdict.workload}, {LABELS[verdict.format]}, scaling {verdict.scaling}"
                yield f"NOT MET: {where}: {judgement.text}"
    for result in results.values():
        if result.diverged:
            yield f"DIVERGED: {' '.join(map(str, result.setting[:4]))}: {result.diverged}"
    if every:
        yield f"HiF8 meets {sum(v.met for v in every)} of {len(every)} criteria"
