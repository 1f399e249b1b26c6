# SPDX-License-Identifier: Apache-2.0
"""Scales for inference: the paper's Algorithm 1 on any converted model.

Imports `analysis.training.convert` and `gemm`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product as pairs_of
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .convert import gemms
from .gemm import Gemm

EXPONENTS = tuple(range(-4, 6))
"""What Algorithm 1 tries as exponents of either scale."""

Multiply = Callable[[Tensor, Tensor], Tensor]


class Scales(NamedTuple):
    """What a product's operands are multiplied by before they are cast.

    Attributes
    ----------
    left, right : float
        Powers of two.
    """

    left: float
    right: float


def calibrate_(
    model: nn.Module, *inputs: Tensor, exponents: Sequence[int] = EXPONENTS
) -> dict[str, Scales]:
    """Choose the scales of every product of a converted model, and have it use them from now on.

    As in the paper's Algorithm 1, product by product in the order in which they are computed: the
    operands, as the products before give them with their casts, are multiplied by powers of two,
    cast, multiplied, and the scales divided out. The pair is kept whose mean square difference from
    the product in high precision is least; of equal ones, which are many where a format's precision
    does not change, those nearest to 1, the left one's first. A product that is computed several
    times is scaled as it is best the first time.

    Parameters
    ----------
    model : torch.nn.Module
        A model that `convert_to_hif8_training` has converted.
    *inputs : torch.Tensor
        What it is called with.
    exponents : sequence of int
        What is tried for either scale.

    Returns
    -------
    dict of str to Scales
        By the name of the product.

    Raises
    ------
    ValueError
        If the model has no product with casts.
    """
    found = gemms(model)
    if not found:
        raise ValueError("model must be converted first: none of its products is cast")
    order = sorted(exponents, key=lambda exponent: (abs(exponent), exponent))
    targets: dict[str, Tensor] = {}
    chosen: dict[str, Scales] = {}

    def exact(gemm: Gemm, product: Multiply, left: Tensor, right: Tensor) -> Tensor:
        y = product(left, right)
        targets.setdefault(gemm.name, y)
        return y

    def search(gemm: Gemm, product: Multiply, left: Tensor, right: Tensor) -> Tensor:
        if gemm.name not in chosen:
            target = targets[gemm.name]
            scales = [Scales(2.0**i, 2.0**k) for i, k in pairs_of(order, order)]
            errors = [_error(gemm, product, left, right, pair, target) for pair in scales]
            chosen[gemm.name] = scales[int(torch.tensor(errors).argmin())]
        return _multiply(gemm, product, left, right, chosen[gemm.name])

    with torch.no_grad():
        for instead in (exact, search):
            with _multiplying(found.values(), instead):
                model(*inputs)
    for name, scales in chosen.items():
        found[name].factors = scales._asdict()
    return chosen


def _multiply(gemm: Gemm, product: Multiply, left: Tensor, right: Tensor, pair: Scales) -> Tensor:
    cast = gemm.config.forward
    a, b = cast(left * pair.left) / pair.left, cast(right * pair.right) / pair.right
    return product(a, b)


def _error(
    gemm: Gemm, product: Multiply, left: Tensor, right: Tensor, pair: Scales, target: Tensor
) -> float:
    difference = _multiply(gemm, product, left, right, pair) - target
    return difference.double().square().mean().item()


@contextmanager
def _multiplying(found: Sequence[Gemm], instead: Callable[..., Tensor]) -> Iterator[None]:
    """Have products computed in another way."""
    for gemm in found:
        gemm.instead = instead
    try:
        yield
    finally:
        for gemm in found:
            gemm.instead = None
