# SPDX-License-Identifier: Apache-2.0
"""Training in a format: what a workload is handed, so that it need not know of casts or scales.

Imports `analysis.training`.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ...training.configs import CastConfig
from ...training.convert import Filter, convert_to_hif8_training, last_linear
from ...training.recipes import AdaptiveLossScaling, LossScaling, PerTensorScaling

ADAPTIVE, PER_TENSOR, RECIPE, NONE = "als", "pts", "recipe", "none"
SCALINGS = (RECIPE, NONE, ADAPTIVE, PER_TENSOR)
"""How gradients are scaled, by name: the workload's own constant, 1, ALS, PTS; or a number."""


class Trainer:
    """The format, the scaling and the seed of one run.

    Attributes
    ----------
    seed : int
        Of everything random.
    quick : bool
        Whether a few seconds must do.
    rng : numpy.random.Generator
    generator : torch.Generator
        Both seeded; draws from them do not depend on the format.
    losses : list of float
        Of every step of the optimizer that stepped first; others train other models.
    models, left : list of torch.nn.Module
        The converted models, and those of their layers that were left, for they are the last.
    """

    def __init__(
        self, seed: int, name: str, scaling: str, *, loss_scale: float = 1.0, quick: bool = False
    ) -> None:
        self.seed, self.quick = seed, quick
        self.rng = np.random.default_rng(seed)
        self.generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        self._adaptive = scaling == ADAPTIVE
        self._per_tensor = PerTensorScaling() if scaling == PER_TENSOR else None
        self._scale = constant(scaling, loss_scale)
        self._config = CastConfig.named(name, saturate=not self._adaptive, scaling=self._per_tensor)
        self._scalers: dict[int, LossScaling] = {}
        self.losses: list[float] = []
        self.models: list[nn.Module] = []
        self.left: list[nn.Module] = []

    def choose(self, *, full: int, quick: int) -> int:
        """Return a number for runs of full size, or one for quick runs."""
        return quick if self.quick else full

    def convert(self, model: nn.Module, module_filter_fn: Filter | None = None) -> nn.Module:
        """Give a model the casts of the run, in place; by default all but its last linear layer."""
        head = last_linear(model)
        if module_filter_fn is None and head is not None:
            self.left.append(model.get_submodule(head))
        self.models.append(model)
        return convert_to_hif8_training(
            model, module_filter_fn=module_filter_fn, config=self._config
        )

    def minimise(self, loss: Tensor, optimizer: Optimizer, rate: float | None = None) -> None:
        """Go backwards from a loss, and let the optimizer step; gradients are zero after.

        Parameters
        ----------
        loss : torch.Tensor
            Of no axis.
        optimizer : torch.optim.Optimizer
            Of what is trained.
        rate : float, optional
            The learning rate of this step, for all parameters; by default the optimizer's own.

        Raises
        ------
        DivergedError
            If the loss is not finite.
        """
        for group in optimizer.param_groups if rate is not None else ():
            group["lr"] = rate
        scaler = self._scaler(optimizer)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        if scaler is next(iter(self._scalers.values())):
            self.losses.append(loss.item())

    def gradient(self, loss: Tensor, inputs: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return the gradients of a loss with respect to inputs, scaled on the way as in training.

        The constant scale, or 1: what is adaptive belongs to an optimizer.
        """
        found = torch.autograd.grad(loss * self._scale, inputs)
        return tuple(gradient / self._scale for gradient in found)

    def end_step(self) -> None:
        """End a step of the workload, whatever it has minimised in it."""
        if self._per_tensor:
            self._per_tensor.update()

    @property
    def skipped(self) -> int:
        """How many steps were skipped, for a gradient was not finite."""
        return sum(scaler.skipped for scaler in self._scalers.values())

    def _scaler(self, optimizer: Optimizer) -> LossScaling:
        key = id(optimizer)
        if key not in self._scalers:
            self._scalers[key] = (
                AdaptiveLossScaling() if self._adaptive else LossScaling(self._scale)
            )
        return self._scalers[key]


def cosine(k: int, steps: int) -> float:
    """Return the share of a learning rate at a step, from 1 to nearly 0 along half a cosine."""
    return 0.5 + 0.5 * math.cos(math.pi * k / steps)


def one_cycle(k: int, steps: int, warm: float = 0.3) -> float:
    """Return the share of a learning rate at a step: up to 1 in a share of the steps, then down."""
    top = warm * steps
    return 1 - cosine(k, top) if k < top else cosine(k - top, steps - top)


def constant(scaling: str, loss_scale: float) -> float:
    """Return the constant loss scale that a way of scaling means.

    Raises
    ------
    ValueError
        If there is no such way.
    """
    if scaling in SCALINGS:
        return loss_scale if scaling == RECIPE else 1.0
    try:
        return LossScaling(float(scaling)).get_scale()
    except ValueError:
        known = ", ".join(SCALINGS)
        raise ValueError(f"scaling must be {known} or a number, not {scaling!r}") from None
