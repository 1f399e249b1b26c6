# SPDX-License-Identifier: Apache-2.0
"""Operands of a model's products, in both directions, as HiF8 codes: real cases for the hardware.

Imports `golden.gemms` and `encode`, and `analysis.training.audit`. Convolutions are captured as the
matrix products that they are: of the weights with the columns that each place sees, and in the
backward pass of the gradients with either.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import log2
from pathlib import Path

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

from ...golden.decode import decode
from ...golden.encode import encode
from ...golden.gemms import Gemm, save
from .audit import Product, Tag, Watch

Pair = tuple[int, Tensor, int, Tensor]
"""A batch of matrices on the left and one on the right, each after the number of its operand."""


BATCH = 16
"""Matrices of a batch that are captured, unless more are asked for."""


class Captured:
    """Matrix products that were executed, as codes.

    Parameters
    ----------
    batch : int
        Of a batch of matrices, or of the groups of a convolution, how many to take.

    Attributes
    ----------
    gemms : list of Gemm
        In the order of their execution; of a batch each by itself.
    left_out : int
        How many products had an operand that was not cast to HiF8, or are of no captured kind.
    """

    def __init__(self, batch: int = BATCH) -> None:
        self._batch = batch
        self.gemms: list[Gemm] = []
        self.left_out = 0

    def save(self, path: Path) -> Path:
        """Write them to a file for ``hif8 verify --gemms``; `golden.gemms` has its layout."""
        return save(Path(path), self.gemms)

    def add(self, product: Product, args: tuple) -> None:
        """Take the operands of a product."""
        kind = KINDS.get(product.operator)
        hif8 = product.is_cast and all(tag.cast.format == "hif8" for tag in product.tags)
        if kind is None or not hif8:
            self.left_out += 1
            return
        for i, left, k, right in kind(*args):
            tags = product.tags[i], product.tags[k]
            scales = tuple(-round(log2(tag.factor)) for tag in tags)
            some = left[: self._batch], right[: self._batch]
            codes = (_codes(x, tag) for x, tag in zip(some, tags, strict=True))
            for a, b in zip(*codes, strict=True):
                self.gemms.append(Gemm(product.where, product.direction, a, b, scales))


def _codes(x: Tensor, tag: Tag) -> Tensor:
    """Return the codes of values that a cast made.

    Raises
    ------
    RuntimeError
        If a value is none of the format, for then the tag is wrong.
    """
    values = (x.detach() * tag.factor).contiguous().cpu().numpy()
    codes = encode(values)
    if not ((decode(codes) == values) | np.isnan(values)).all():
        raise RuntimeError(f"an operand of {tag.name} has values that HiF8 has not")
    return codes


def _matrices(left: Tensor, right: Tensor) -> Iterator[Pair]:
    yield 0, left[None], 1, right[None]


def _added(_sum: Tensor, left: Tensor, right: Tensor, **_how: float) -> Iterator[Pair]:
    yield 0, left[None], 1, right[None]


def _batches(left: Tensor, right: Tensor) -> Iterator[Pair]:
    yield 0, left, 1, right


def _added_batches(_sum: Tensor, left: Tensor, right: Tensor, **_how: float) -> Iterator[Pair]:
    yield 0, left, 1, right


def _wide(weight: Tensor, groups: int) -> Tensor:
    """Return weights as matrices, a row for each channel that they begin with."""
    return weight.reshape(groups, len(weight) // groups, -1)


def _flat(x: Tensor, groups: int) -> Tensor:
    """Return images as matrices, a row for each channel and a column for each place of each."""
    n, channels = x.shape[:2]
    rows = x.reshape(n, groups, channels // groups, -1)
    return rows.permute(1, 2, 0, 3).reshape(groups, channels // groups, -1)


def _seen(
    x: Tensor, weight: Tensor, how: tuple[list[int], list[int], list[int]], groups: int
) -> Tensor:
    """Return images as matrices, a column for each place, of what the kernel sees there."""
    stride, padding, dilation = how
    kernel = list(weight.shape[2:])
    if x.dim() == 3:
        x, kernel = x.unsqueeze(2), [1, *kernel]
        stride, padding, dilation = [1, *stride], [0, *padding], [1, *dilation]
    columns = functional.unfold(x, kernel, dilation, padding, stride)
    n, _, places = columns.shape
    rows = columns.reshape(n, groups, -1, places)
    return rows.permute(1, 2, 0, 3).reshape(groups, -1, n * places)


def _convolution(
    x: Tensor,
    weight: Tensor,
    _bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    _more: list[int],
    groups: int,
) -> Iterator[Pair]:
    if transposed:
        yield 1, _wide(weight, groups).transpose(1, 2), 0, _flat(x, groups)
    else:
        yield 1, _wide(weight, groups), 0, _seen(x, weight, (stride, padding, dilation), groups)


def _convolution_backward(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    _bias: list[int] | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    _more: list[int],
    groups: int,
    wanted: list[bool],
) -> Iterator[Pair]:
    how = stride, padding, dilation
    small, image = (1, x), (0, gradient)
    if not transposed:
        small, image = image, small
    if wanted[0] and transposed:
        yield 2, _wide(weight, groups), 0, _seen(gradient, weight, how, groups)
    elif wanted[0]:
        yield 2, _wide(weight, groups).transpose(1, 2), 0, _flat(gradient, groups)
    if wanted[1]:
        columns = _seen(image[1], weight, how, groups).transpose(1, 2)
        yield small[0], _flat(small[1], groups), image[0], columns


KINDS: dict[str, Callable[..., Iterator[Pair]]] = {
    "mm": _matrices,
    "addmm": _added,
    "bmm": _batches,
    "baddbmm": _added_batches,
    "convolution": _convolution,
    "convolution_backward": _convolution_backward,
}
"""The matrix products that an operator computes, by its name, from its arguments."""


@contextmanager
def capture_gemms(
    model: nn.Module, path: Path | None = None, *, batch: int = BATCH
) -> Iterator[Captured]:
    """Capture the operands of every product of a model that is executed inside and cast to HiF8.

    Parameters
    ----------
    model : torch.nn.Module
        A converted model.
    path : Path, optional
        A file to write them to at the end.
    batch : int
        Of a batch of matrices, or of the groups of a convolution, how many to take.

    Yields
    ------
    Captured
        What has been captured so far.

    Raises
    ------
    ValueError
        At the end, if there is a path and nothing was captured.
    """
    captured = Captured(batch)
    with Watch(model, captured.add).watching():
        yield captured
    if path is not None:
        captured.save(path)
