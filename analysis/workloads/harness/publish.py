# SPDX-License-Identifier: Apache-2.0
"""What the repository keeps of the full table, for those who have no torch: CSV and JSON.

Imports `analysis.kept` and `learning`, `hif8.files` and the rest of the harness. The report reads
what is written here, by `analysis.learning`.
"""

import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .... import files
from ... import kept
from ...learning import RUNS, TABLE, TOLD, Curve, System, Verdict
from . import results, table
from .runs import FORMATS, PACKAGES, Setting, names, plan, system

SEEDS = 8
PLANS = {
    "hif8 workloads": (FORMATS, ("recipe", "none")),
    "hif8 workloads --formats hif8_ta,e4m3 --loss-scale pts": (
        ("fp32", "hif8_ta", "e4m3"),
        ("pts",),
    ),
}
"""The commands whose results are kept: which formats and scalings they run."""

DIGITS = 5
"""Significant digits of what is only drawn."""


class Number(NamedTuple):
    """A metric of a run.

    Attributes
    ----------
    workload, scaling, format, seed
        Which run.
    metric : str
        One of `Workload.metrics`, `flushed`, `saturated`, or `skipped` steps.
    value : float
        NaN of a run that diverged where it has none.
    """

    workload: str
    scaling: str
    format: str
    seed: int
    metric: str
    value: float


def settings() -> list[Setting]:
    """Return all runs whose results are kept."""
    return [
        setting
        for formats, scalings in PLANS.values()
        for setting in plan(names(), formats, scalings, SEEDS, quick=False)
    ]


def renew(folder: Path, out: Path) -> list[Path]:
    """Write what is kept, from the results of all runs.

    Parameters
    ----------
    folder : Path
        Of the results.
    out : Path
        Where to.

    Returns
    -------
    list of Path
        The table, the runs, and what they mean.

    Raises
    ------
    ValueError
        If the results of a run are missing, or of another version.
    """
    asked = settings()
    found, _ = results.load(folder, asked)
    if len(found) < len(asked):
        commands = "; ".join(PLANS)
        raise ValueError(f"{folder} lacks {len(asked) - len(found):,} runs of these: {commands}")
    return [
        files.write_csv(out / TABLE.name, list(table.rows(found, FORMATS))),
        files.write_csv(out / RUNS.name, list(numbers(found))),
        kept.write(
            out / TOLD.name,
            {
                "commands": list(PLANS),
                "versions": _versions(),
                "runs": len(found),
                "steps": sum(result.steps for result in found.values()),
                "processor_seconds": round(sum(result.seconds for result in found.values())),
            },
            {"systems": systems(), "verdicts": judged(found), "curves": curves(found)},
        ),
    ]


def _versions() -> dict[str, str]:
    """Return what the runs were made with."""
    found = {name: metadata.version(name) for name in (*PACKAGES, "vtracer")}
    return {"Python": platform.python_version(), **found}


def numbers(found: table.Results) -> Iterator[Number]:
    """Yield all metrics of all runs, those beside the FP32 run of the same seed among them."""
    skipped = {setting[:4]: result.skipped for setting, result in found.items()}
    for workload, scaling in table.blocks(found):
        for name, own in table.runs_of(found, workload, scaling).items():
            for seed, metrics in own.items():
                more = {"skipped": skipped[workload, name, scaling, seed]}
                for metric, value in (metrics | more).items():
                    yield Number(workload, scaling, name, seed, metric, value)


def systems() -> list[System]:
    """Return what each workload says of itself."""
    return [
        System(
            name,
            own.title,
            own.reference,
            own.simplified,
            own.loss_scale,
            {metric: list(what) for metric, what in own.metrics.items()},
            [rule.text for rule in own.criterion],
            list(own.curve),
        )
        for name, own in ((name, system(name)) for name in names())
    ]


def judged(found: table.Results) -> list[Verdict]:
    """Return every rule's judgement of every format."""
    return [
        Verdict(
            verdict.workload,
            verdict.scaling,
            verdict.format,
            rule.text,
            judgement.text,
            judgement.met,
        )
        for verdict in table.verdicts(found, FORMATS)
        for rule, judgement in zip(
            system(verdict.workload).criterion, verdict.judgements, strict=True
        )
    ]


def curves(found: table.Results) -> list[Curve]:
    """Return the loss curves, and those that workloads keep."""
    groups: dict[tuple[str, str, str], list] = {}
    for setting, result in found.items():
        groups.setdefault((setting.workload, setting.scaling, setting.format), []).append(result)
    made = []
    for key, own in groups.items():
        losses = _stacked([result.losses for result in own])
        steps = max(result.steps for result in own)
        x = (np.arange(losses.shape[1]) + 0.5) * steps / losses.shape[1]
        made.append(Curve(*key, "loss", _short(x), _short(np.nanmean(losses, axis=0))))
        if system(key[0]).curve:
            points = np.mean([result.kept["curve"] for result in own], axis=0)
            gain, cost = points.T
            made.append(Curve(*key, "curve", _short(cost), _short(gain)))
    return made


def _stacked(lines: list[list[float]]) -> np.ndarray:
    """Return lines of shape (lines, points); where a run ended early there is NaN."""
    stacked = np.full((len(lines), max(map(len, lines))), np.nan)
    for row, line in zip(stacked, lines, strict=True):
        row[: len(line)] = line
    return stacked


def _short(numbers: np.ndarray) -> list[float]:
    return [float(f"{number:.{DIGITS}g}") for number in numbers.tolist()]
