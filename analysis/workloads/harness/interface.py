# SPDX-License-Identifier: Apache-2.0
"""What a workload is to the harness.

Imports `rules` and, for its type, `trainer`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from .rules import Rule

if TYPE_CHECKING:
    from .trainer import Trainer

Kept = Mapping[str, np.ndarray]


class Metric(NamedTuple):
    """A number that a run ends with.

    Attributes
    ----------
    label : str
        What the table calls it.
    unit : str
        ``%`` if it is a share in percent.
    digits : int
        After the point.
    """

    label: str
    unit: str = ""
    digits: int = 2


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run ends with.

    Attributes
    ----------
    metrics : dict of str to float
        Those of `Workload.metrics` but the ones that `Workload.compare` gives.
    kept : dict of str to numpy.ndarray
        What `Workload.compare` needs of the run: choices, masks; small arrays.
    """

    metrics: Mapping[str, float]
    kept: Kept = field(default_factory=dict)


class Workload(ABC):
    """A published system, made small, in training.

    Attributes
    ----------
    title, reference, simplified : str
        Its name; the paper; what was made smaller or left out, and why.
    loss_scale : float
        The recipe's constant backward loss scale.
    metrics : dict of str to Metric
        What is measured, the most telling first.
    criterion : tuple of Rule
        What HiF8 must meet.
    curve : tuple of str
        Which two metrics, if any, the array ``curve`` of `Outcome.kept` has pairs of: what is
        gained, and what it takes.
    uncast : dict of str to str
        Layers whose products need no cast, with the reason, beside the last linear layers.
    trainer : Trainer
        What the constructor was given.
    steps : int
        How many steps a run has.
    """

    title: ClassVar[str]
    reference: ClassVar[str]
    simplified: ClassVar[str]
    loss_scale: ClassVar[float] = 2.0**12
    metrics: ClassVar[Mapping[str, Metric]]
    criterion: ClassVar[tuple[Rule, ...]]
    curve: ClassVar[tuple[str, ...]] = ()
    uncast: ClassVar[Mapping[str, str]] = {}

    trainer: "Trainer"
    steps: int

    @abstractmethod
    def __init__(self, trainer: "Trainer") -> None:
        """Make data, models and optimizers, equal for every format."""

    @abstractmethod
    def step(self, k: int) -> None:
        """Train one step, the k-th from 0."""

    @abstractmethod
    def evaluate(self) -> Outcome:
        """Measure, in the casts of the format."""

    @staticmethod
    def compare(kept: Kept, reference: Kept) -> dict[str, float]:
        """Return metrics of a run beside the FP32 run of the same seed."""
        return {}
