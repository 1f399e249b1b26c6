# SPDX-License-Identifier: Apache-2.0
"""How gradients are kept within a format's range: the paper's three ways of scaling.

Imports `analysis.training.casts` and `gemm`. All have the interface of `torch.amp.GradScaler`:
``scale(loss).backward(); step(optimizer); update()``. What the paper leaves open is said where it
is decided.
"""

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.optim import Optimizer

if TYPE_CHECKING:
    from .gemm import Gemm

INITIAL_SCALE = 2.0**32
WINDOWS = (1, 20, 50, 100, 200, 500, 1000)
INITIAL_WINDOW = 20
MOVES = 3
"""Increases, or decreases in a row, that move the window along the list."""
SMALLEST_SCALE = 2.0**-32
PERIOD = 10
"""Iterations between two renewals of a tensor's factor."""

TOPS = {"hif8": 15.0}
"""What the largest magnitude of a tensor is brought to, or below: in HiF8 the top of the values of
four significant bits, in the other formats their largest value. The paper does not say."""


class DivergedError(RuntimeError):
    """Training has come to where it cannot go on."""


class LossScaling:
    """Backward loss scaling (BLS): a constant factor of the loss, and of all gradients.

    Parameters
    ----------
    scale : float
        The factor; 1 for none.

    Attributes
    ----------
    steps, skipped : int
        How often `step` was called, and how often it left the optimizer alone, for a gradient was
        not finite.
    """

    def __init__(self, scale: float = 1.0) -> None:
        if not (math.isfinite(scale) and scale > 0):
            raise ValueError(f"scale must be a positive number, not {scale!r}")
        self._scale = float(scale)
        self._unscaled: set[int] = set()
        self._overflow = False
        self.steps = self.skipped = 0

    def get_scale(self) -> float:
        """Return the factor."""
        return self._scale

    def scale(self, loss: Tensor) -> Tensor:
        """Return the loss times the factor.

        Raises
        ------
        DivergedError
            If the loss is not finite, for which no scale is to blame.
        """
        if not torch.isfinite(loss.detach()).all():
            value = loss.detach().sum().item()
            raise DivergedError(f"the loss is {value} after {self.steps} steps: training diverged")
        return loss * self._scale

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the factor out of the gradients of an optimizer, once between two updates."""
        if id(optimizer) in self._unscaled:
            return
        self._unscaled.add(id(optimizer))
        parts = [p.grad for group in optimizer.param_groups for p in group["params"]]
        gradients = [gradient for gradient in parts if gradient is not None]
        if not gradients:
            raise ValueError("the optimizer's parameters must have gradients: call backward first")
        sums = torch.stack([gradient.sum(dtype=torch.float64) for gradient in gradients])
        self._overflow |= not bool(torch.isfinite(sums).all())
        if self._scale != 1:
            torch._foreach_mul_(gradients, 1 / self._scale)

    def step(self, optimizer: Optimizer) -> bool:
        """Let an optimizer step, unless a gradient is not finite; return whether it did."""
        self.unscale_(optimizer)
        self.steps += 1
        if self._overflow:
            self.skipped += 1
            return False
        optimizer.step()
        return True

    def update(self) -> None:
        """End an iteration."""
        self._adapt(self._overflow)
        self._overflow = False
        self._unscaled.clear()

    def _adapt(self, overflow: bool) -> None:
        """Change the factor after an iteration; a constant one stays."""


class AdaptiveLossScaling(LossScaling):
    """Adaptive loss scaling (ALS): as large a factor as keeps gradients finite.

    It is halved after an iteration with a gradient that is not finite, and doubled after as many
    without as the window says. Three increases move the window up `WINDOWS`, three decreases in a
    row, without an increase between them, down. A move begins both counts anew.

    The casts must leave gradients infinite that are too large, without saturation.

    Attributes
    ----------
    window : int
        After how many iterations in a row with finite gradients the factor grows.
    """

    def __init__(self, scale: float = INITIAL_SCALE, window: int = INITIAL_WINDOW) -> None:
        super().__init__(scale)
        if window not in WINDOWS:
            raise ValueError(f"window must be one of {', '.join(map(str, WINDOWS))}, not {window}")
        self._place = WINDOWS.index(window)
        self._finite = self._increases = self._decreases = 0

    @property
    def window(self) -> int:
        """After how many iterations in a row with finite gradients the factor grows."""
        return WINDOWS[self._place]

    def _adapt(self, overflow: bool) -> None:
        if overflow:
            self._scale /= 2
            self._finite = 0
            self._decreases += 1
            if self._scale < SMALLEST_SCALE:
                raise DivergedError(
                    f"gradients are not finite at any loss scale after {self.steps} steps"
                )
        else:
            self._finite += 1
            if self._finite == self.window:
                self._scale *= 2
                self._finite = self._decreases = 0
                self._increases += 1
        if self._increases == MOVES:
            self._move(1)
        elif self._decreases == MOVES:
            self._move(-1)

    def _move(self, places: int) -> None:
        self._place = min(max(self._place + places, 0), len(WINDOWS) - 1)
        self._increases = self._decreases = 0


class PerTensorScaling(LossScaling):
    """Per-tensor scaling (PTS): powers of two from the absolute maximum, renewed now and then.

    For activations, weights and the gradients of activations. All factors are 1 at first. In every
    tenth iteration that of a tensor becomes, when the tensor is first cast in it, the largest power
    of two that leaves its absolute maximum within `TOPS`; that of what is not cast, for its format
    is FP32, stays 1. The loss is not scaled.

    Parameters
    ----------
    period : int
        Iterations between two renewals.

    Attributes
    ----------
    factors : dict
        The current ones, by the product itself, for models may name theirs alike, and the role of
        the tensor.
    """

    def __init__(self, period: int = PERIOD) -> None:
        super().__init__(1.0)
        if period < 1:
            raise ValueError(f"period must be 1 or more, not {period}")
        self._period = period
        self._iteration = 0
        self._taken: dict[tuple[Gemm, str], int] = {}
        self.factors: dict[tuple[Gemm, str], float] = {}

    def factor(self, gemm: "Gemm", role: str, x: Tensor) -> float:
        """Return the factor of a tensor at a product."""
        key = gemm, role
        if self._due and self._taken.get(key) != self._iteration:
            cast = gemm.config.cast(role)
            largest = x.detach().abs().max().item() if x.numel() else 0.0
            if 0 < largest < math.inf and cast.format != "fp32":
                top = TOPS.get(cast.format, cast.largest)
                self.factors[key] = power_of_two(largest, top)
                self._taken[key] = self._iteration
        return self.factors.get(key, 1.0)

    @property
    def _due(self) -> bool:
        return self._iteration > 0 and self._iteration % self._period == 0

    def _adapt(self, overflow: bool) -> None:
        self._iteration += 1


def power_of_two(largest: float, top: float) -> float:
    """Return the largest power of two that takes a magnitude to the top or below, within FP32."""
    exponent = math.floor(math.log2(top / largest))
    exponent += (largest * 2.0 ** (exponent + 1) <= top) - (largest * 2.0**exponent > top)
    return 2.0 ** min(max(exponent, -126), 126)
