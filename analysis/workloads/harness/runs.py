# SPDX-License-Identifier: Apache-2.0
"""One run: a workload in a format with a scaling and a seed; and which runs there are to do.

Imports `analysis.training` and the rest of the harness. A workload is a module of the folder above,
found by listing it.
"""

import ast
import hashlib
import importlib
import pkgutil
import time
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from torch import nn

from ... import origin
from ...training.configs import CONFIGS
from ...training.gemm import Event, observing
from ...training.recipes import DivergedError
from . import rules
from .interface import Kept, Workload
from .trainer import Trainer, constant

PACKAGE = __name__.rsplit(".", 2)[0]
FOLDER = Path(__file__).parents[1]
PACKAGES = ("torch", "numpy", "scipy", "scikit-learn")
FORMATS = tuple(name for name in CONFIGS if name != "bf16")
"""The seven of the paper's Table 5, as the table shows them by default."""
TOLD = {"title", "reference", "simplified", "metrics", "criterion", "curve"}
"""What a workload says of itself, and how its runs are judged: runs are the same without."""
LOOKS = 50
"""In so many steps of a run, at most, it is counted what casts do to gradients."""
CURVE = 200
"""Points of a loss curve, at most."""


class Setting(NamedTuple):
    """What tells one run from another.

    Attributes
    ----------
    workload, format, scaling : str
        By name; the scaling is one of `trainer.SCALINGS`, or a number.
    seed : int
        Equal seeds are pairs.
    quick : bool
        Whether it is small.
    """

    workload: str
    format: str
    scaling: str
    seed: int
    quick: bool


class Result(NamedTuple):
    """What a run ended with.

    Attributes
    ----------
    setting : Setting
        Which run.
    metrics : dict of str to float
        The workload's, and `flushed` and `saturated` gradients in percent.
    kept : dict of str to numpy.ndarray
        What `Workload.compare` takes.
    losses : list of float
        The loss curve, thinned out.
    steps, skipped : int
        How many steps were trained, and in how many a gradient was not finite.
    diverged : str
        Why training ended early; else empty.
    seconds : float
        Of processor time.
    weights : str
        Digest of all parameters, for equal runs have equal ones.
    """

    setting: Setting
    metrics: dict[str, float]
    kept: Kept
    losses: list[float]
    steps: int
    skipped: int
    diverged: str
    seconds: float
    weights: str


def names() -> list[str]:
    """Return the names of all workloads: the modules of the folder."""
    return sorted(part.name for part in pkgutil.iter_modules([str(FOLDER)]) if not part.ispkg)


def select(wanted: Sequence[str]) -> list[str]:
    """Return the workloads of some names, or all.

    Raises
    ------
    ValueError
        If there is none of a name.
    """
    known = names()
    for name in wanted:
        if name not in known:
            raise ValueError(f"workload must be one of {', '.join(known)}, not {name!r}")
    return [name for name in known if name in wanted or not wanted]


@cache
def system(name: str) -> type[Workload]:
    """Return the class of a workload."""
    return importlib.import_module(f"{PACKAGE}.{name}").System


@cache
def digest(name: str) -> str:
    """Return the digest of all that a run of a workload depends on: code, data, packages.

    Comments, layout, and what is only told, do not count.
    """
    files = {*origin.sources(f"{PACKAGE}.{name}"), *origin.sources(__name__)}
    judges = Path(rules.__file__)
    code = [_code(path.read_text()) for path in sorted(files - {judges})]
    versions = [metadata.version(package) for package in PACKAGES]
    found = hashlib.sha256("\0".join([*versions, *code]).encode())
    for path in sorted(FOLDER.glob(f"{name}_*.npy")):
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def _code(text: str) -> str:
    """Return source without what it only tells."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [part for part in node.body if not _is_told(part)]
    return ast.dump(tree)


def _is_told(part: ast.stmt) -> bool:
    match part:
        case ast.Expr(ast.Constant(str())):
            return True
        case ast.Assign([ast.Name(name)]) | ast.AnnAssign(ast.Name(name)):
            return name in TOLD
    return False


def plan(
    workloads: Sequence[str],
    formats: Sequence[str],
    scalings: Sequence[str],
    seeds: int,
    *,
    quick: bool,
) -> list[Setting]:
    """Return all runs that are asked for, seed by seed, so that a part of them is paired too.

    Raises
    ------
    ValueError
        If there is no such format or scaling.
    """
    for name in formats:
        if name not in CONFIGS:
            raise ValueError(f"format must be one of {', '.join(CONFIGS)}, not {name!r}")
    for scaling in scalings:
        constant(scaling, 1.0)
    return [
        Setting(workload, name, scaling, seed, quick)
        for seed in range(seeds)
        for scaling in scalings
        for workload in workloads
        for name in formats
    ]


class _Gradients:
    """Counts, in some steps, what became of gradients that were cast."""

    def __init__(self) -> None:
        self.values = self.nonzero = self.flushed = self.saturated = 0

    def __call__(self, event: Event) -> None:
        if event.role != "gradient":
            return
        before, after = event.before, event.after
        zeros = int((before == 0).sum())
        self.values += before.numel()
        self.nonzero += before.numel() - zeros
        self.flushed += int((after == 0).sum()) - zeros
        beyond = event.cast.beyond / event.factor
        self.saturated += int((before.abs() > beyond).sum())

    def shares(self) -> dict[str, float]:
        """Return the shares in percent."""
        return {
            "flushed": 100 * self.flushed / max(self.nonzero, 1),
            "saturated": 100 * self.saturated / max(self.values, 1),
        }


def run(setting: Setting, *, steps: int | None = None, evaluate: bool = True) -> Result:
    """Train a workload and measure it.

    Parameters
    ----------
    setting : Setting
        Which run.
    steps : int, optional
        How many steps, in place of the workload's own number.
    evaluate : bool
        Whether to measure it at the end.
    """
    begin = time.process_time()
    kind = system(setting.workload)
    trainer = Trainer(
        setting.seed,
        setting.format,
        setting.scaling,
        loss_scale=kind.loss_scale,
        quick=setting.quick,
    )
    workload = kind(trainer)
    total = workload.steps if steps is None else steps
    gradients, diverged, done = _Gradients(), "", 0
    every = -(-total // LOOKS)
    try:
        for k in range(total):
            if k % every == 0:
                with observing(gradients):
                    workload.step(k)
            else:
                workload.step(k)
            trainer.end_step()
            done += 1
    except DivergedError as error:
        diverged = str(error)
    metrics, kept = gradients.shares(), {}
    if evaluate:
        outcome = workload.evaluate()
        metrics |= {name: float(value) for name, value in outcome.metrics.items()}
        kept = dict(outcome.kept)
    return Result(
        setting=setting,
        metrics=metrics,
        kept=kept,
        losses=_thinned(trainer.losses),
        steps=done,
        skipped=trainer.skipped,
        diverged=diverged,
        seconds=time.process_time() - begin,
        weights=_weights(trainer.models),
    )


def _thinned(losses: Sequence[float]) -> list[float]:
    """Return the means of as many equal parts of a curve as it may have points."""
    each = max(1, -(-len(losses) // CURVE))
    parts = [losses[start : start + each] for start in range(0, len(losses), each)]
    return [sum(part) / len(part) for part in parts]


def _weights(models: Iterable[nn.Module]) -> str:
    found = hashlib.sha256()
    for model in models:
        for parameter in model.parameters():
            found.update(parameter.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]
