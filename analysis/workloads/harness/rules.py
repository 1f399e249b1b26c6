# SPDX-License-Identifier: Apache-2.0
"""Criteria: what the runs of a format must be, beside those of FP32 with the same seeds.

Imports no other room.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Runs = Mapping[str, Mapping[int, Mapping[str, float]]]
"""Metrics by format and seed; every run has `flushed`, in percent, too."""

REFERENCE = "fp32"


class Judgement(NamedTuple):
    """Whether a rule is met, and by how much.

    Attributes
    ----------
    met : bool
        Whether it is.
    text : str
        The numbers.
    """

    met: bool
    text: str


class Rule(NamedTuple):
    """One rule of a criterion.

    Attributes
    ----------
    text : str
        What must be.
    judge : callable
        From the runs and a format to a `Judgement`.
    """

    text: str
    judge: Callable[[Runs, str], Judgement]


class Paired(NamedTuple):
    """The mean of a metric, and that of its difference from FP32 over the seeds of both.

    Attributes
    ----------
    mean, reference : float
        Of the format and of FP32.
    difference, error : float
        The mean of the differences by seed, and its standard error; that is NaN for one seed.
    seeds : int
        How many there are.
    """

    mean: float
    reference: float
    difference: float
    error: float
    seeds: int


def column(runs: Runs, name: str, metric: str) -> npt.NDArray[np.float64]:
    """Return a metric of a format for every seed that FP32 has too."""
    own, other = runs.get(name, {}), runs.get(REFERENCE, {})
    return np.array([own[seed][metric] for seed in sorted(own) if seed in other], np.float64)


def paired(runs: Runs, name: str, metric: str) -> Paired:
    """Return the mean of a metric and of its difference from FP32."""
    own = column(runs, name, metric)
    seeds = [seed for seed in sorted(runs.get(name, {})) if seed in runs.get(REFERENCE, {})]
    other = np.array([runs[REFERENCE][seed].get(metric, np.nan) for seed in seeds], np.float64)
    if not own.size:
        return Paired(np.nan, np.nan, np.nan, np.nan, 0)
    difference = own - other
    error = difference.std(ddof=1) / np.sqrt(own.size) if own.size > 1 else np.nan
    means = own.mean(), other.mean(), difference.mean()
    return Paired(*(float(mean) for mean in means), float(error), own.size)


def accuracy(metric: str, points: float = 0.5) -> Rule:
    """Require a metric in percent not below FP32's by more than points, or two standard errors."""

    def judge(runs: Runs, name: str) -> Judgement:
        pair = paired(runs, name, metric)
        bound = -np.nanmax([points, 2 * pair.error])
        text = f"{metric} {pair.difference:+.2f}, at least {bound:.2f}"
        return Judgement(bool(pair.difference >= bound), text)

    return Rule(f"mean({metric} - FP32's) >= -max({points:g}, 2 standard errors)", judge)


def flushed(limit: float = 0.5) -> Rule:
    """Require that fewer of the gradients that are not zero, in percent, are flushed to zero."""

    def judge(runs: Runs, name: str) -> Judgement:
        mean = column(runs, name, "flushed").mean()
        return Judgement(bool(mean < limit), f"flushed {mean:.3g} %, below {limit:g} %")

    return Rule(f"flushed gradients < {limit:g} %", judge)


def near(metric: str, tolerance: float) -> Rule:
    """Require the mean difference from FP32 to be within a tolerance."""

    def judge(runs: Runs, name: str) -> Judgement:
        difference = paired(runs, name, metric).difference
        text = f"{metric} {difference:+.3g}, within {tolerance:g}"
        return Judgement(bool(abs(difference) <= tolerance), text)

    return Rule(f"|mean({metric} - FP32's)| <= {tolerance:g}", judge)


def ratio(metric: str, high: float, low: float = 0.0) -> Rule:
    """Require the mean over FP32's to be between two bounds, such as 1.1 and 0.9."""
    bounds = f"{low:g} to {high:g}"

    def judge(runs: Runs, name: str) -> Judgement:
        pair = paired(runs, name, metric)
        found = pair.mean / pair.reference if pair.reference else np.nan
        return Judgement(bool(low <= found <= high), f"{metric} {found:.3f} of FP32's, {bounds}")

    return Rule(f"mean({metric}) in {bounds} of FP32's", judge)


def at_least(metric: str, bound: float) -> Rule:
    """Require the mean to reach a bound."""

    def judge(runs: Runs, name: str) -> Judgement:
        mean = column(runs, name, metric).mean()
        return Judgement(bool(mean >= bound), f"{metric} {mean:.4g}, at least {bound:g}")

    return Rule(f"mean({metric}) >= {bound:g}", judge)


def not_below(metric: str, other: str) -> Rule:
    """Require the mean to be at least that of another format, where that was run."""

    def judge(runs: Runs, name: str) -> Judgement:
        means = [
            column(runs, which, metric).mean() if runs.get(which) else np.nan
            for which in (name, other)
        ]
        text = f"{metric} {means[0]:.4g}, at least the {means[1]:.4g} of {other}"
        return Judgement(bool(np.isnan(means[1]) or means[0] >= means[1]), text)

    return Rule(f"mean({metric}) >= that of {other}", judge)


def within_spread(metric: str, sigmas: float = 2.0) -> Rule:
    """Require the mean not above FP32's by more than so many of its standard deviations."""

    def judge(runs: Runs, name: str) -> Judgement:
        own, other = (column(runs, which, metric) for which in (name, REFERENCE))
        spread = other.std(ddof=1) if other.size > 1 else np.nan
        bound = other.mean() + sigmas * spread
        return Judgement(
            bool(own.mean() <= bound), f"{metric} {own.mean():.4g}, at most {bound:.4g}"
        )

    return Rule(f"mean({metric}) <= FP32's + {sigmas:g} standard deviations", judge)


def same_sign(metric: str) -> Rule:
    """Require the mean to have the sign of FP32's."""

    def judge(runs: Runs, name: str) -> Judgement:
        pair = paired(runs, name, metric)
        met = np.sign(pair.mean) == np.sign(pair.reference)
        return Judgement(bool(met), f"{metric} {pair.mean:+.3g}, FP32 {pair.reference:+.3g}")

    return Rule(f"mean({metric}) has the sign of FP32's", judge)
