# SPDX-License-Identifier: Apache-2.0
"""A matrix product with casts: two autograd functions, and who is told of what they cast.

Imports `analysis.training.casts` and `configs`. A product is ``CastBackward(product(CastForward(a),
CastForward(b))) + bias``: the one function casts values and passes gradients, the other passes
values and casts gradients. So the operands of the forward product are cast, and since autograd
keeps them, those of both products of the backward pass, beside the gradient, are too.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from .casts import Cast
from .configs import CastConfig

ROLES = ("left", "right", "gradient")
"""Of a tensor at a product: its first operand, its second, which is the weight if it has one, and
the gradient that comes back."""


class Event(NamedTuple):
    """A tensor that was cast.

    Attributes
    ----------
    gemm : Gemm
        At which product.
    role : str
        One of `ROLES`.
    cast : Cast
        To what.
    factor : float
        What it was multiplied by before, and divided by after.
    before, after : torch.Tensor
        The values.
    """

    gemm: "Gemm"
    role: str
    cast: Cast
    factor: float
    before: Tensor
    after: Tensor


Observer = Callable[[Event], None]
_OBSERVERS: list[Observer] = []


@contextmanager
def observing(observer: Observer) -> Iterator[None]:
    """Tell an observer of every tensor that is cast."""
    _OBSERVERS.append(observer)
    try:
        yield
    finally:
        _OBSERVERS.remove(observer)


class Gemm:
    """A matrix product with casts.

    Attributes
    ----------
    name : str
        The layer's name in its model, and which of its products this is if it has several.
    config : CastConfig
        How it is cast.
    factors : dict of str to float
        Fixed factors by role, as `recipes.calibrate_` chooses them; they come before those of
        `config.scaling`.
    instead : callable, optional
        Given the product, what multiplies, and the operands, in place of it all: for calibration.
    """

    def __init__(self, name: str, config: CastConfig) -> None:
        self.name = name
        self.config = config
        self.factors: dict[str, float] = {}
        self.instead: Callable[..., Tensor] | None = None

    def __call__(
        self,
        product: Callable[[Tensor, Tensor], Tensor],
        left: Tensor,
        right: Tensor,
        bias: Tensor | None = None,
    ) -> Tensor:
        """Return the product of cast operands, and a bias added to it, which is not cast."""
        if self.instead:
            y = self.instead(self, product, left, right)
        else:
            a = CastForward.apply(left, self, "left")
            b = CastForward.apply(right, self, "right")
            y = CastBackward.apply(product(a, b), self)
        # A view of a function of ours could not be written to in place, as some models do.
        return y.clone() if bias is None else y + bias

    def cast(self, x: Tensor, role: str) -> Tensor:
        """Return the values that a tensor's become here."""
        cast = self.config.cast(role)
        factor = self.factors.get(role)
        if factor is None:
            scaling = self.config.scaling
            factor = scaling.factor(self, role, x) if scaling else 1.0
        y = cast(x) if factor == 1 else cast(x * factor) / factor
        for observer in _OBSERVERS:
            observer(Event(self, role, cast, factor, x, y))
        return y


class CastForward(torch.autograd.Function):
    """Cast values, pass gradients."""

    @staticmethod
    def forward(_ctx: object, x: Tensor, gemm: Gemm, role: str) -> Tensor:
        """Return the cast values."""
        y = gemm.cast(x, role)
        return x.view_as(x) if y is x else y

    @staticmethod
    def backward(_ctx: object, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient as it came."""
        return gradient, None, None


class CastBackward(torch.autograd.Function):
    """Pass values, cast gradients."""

    @staticmethod
    def forward(ctx: object, y: Tensor, gemm: Gemm) -> Tensor:
        """Return the values as they came."""
        ctx.gemm = gemm
        return y.view_as(y)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[Tensor, None]:
        """Return the cast gradient."""
        # So a gradient of this gradient passes, as through any cast.
        return CastForward.apply(gradient, ctx.gemm, "gradient"), None
