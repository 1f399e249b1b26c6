# SPDX-License-Identifier: Apache-2.0
"""Post-training quantisation by scales, as the HiF8 paper does it, for any layers and formats.

Imports `golden.nearest` and `analysis.formats`. The paper's Algorithm 1 goes through the layers in
order. It multiplies the layer's input, as the quantised layers before it give it, and its weights
by powers of two, casts both, multiplies, divides the scales out, and keeps the two exponents that
give the least mean square of the difference from what the layer gives in high precision. Biases and
what else is no matrix product follow in high precision.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..golden.nearest import quantize
from .formats import EIGHT_BITS, power_of_two

Tensor = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]
Multiply = Callable[[Values, Values], Values]

EXPONENTS = range(-4, 6)
"""What Algorithm 1 tries as exponents of either scale."""
WIDE = range(-12, 13)
"""A range of ours, wide enough for the scale of integers, which count in ones."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer whose two operands are cast.

    Attributes
    ----------
    name : str
        For people.
    weights : numpy.ndarray of float32
        The second operand. Its last axis is that of the channels, and the product's last axis too;
        how many there are must not matter to `multiply`.
    finish : callable
        From the product to the next layer's input, in FP32: bias, non-linearity and the like.
    multiply : callable
        Multiplies the operands, as float64; by default they are matrices.
    """

    name: str
    weights: Tensor
    finish: Callable[[Tensor], Tensor]
    multiply: Multiply = np.matmul


class Scales(NamedTuple):
    """What a layer's operands are multiplied by before they are cast.

    Attributes
    ----------
    inputs : float
        One for the tensor.
    weights : numpy.ndarray of float64
        One for the tensor, of no axis, or one for each channel.
    """

    inputs: float
    weights: Values


Choose = Callable[[Layer, Tensor, Tensor, str], Scales]
"""From a layer, its quantised input, its product in high precision and a format to its scales."""


def cast(x: npt.NDArray[np.floating], scale: float | Values, name: str) -> Values:
    """Return the values that a tensor times a scale becomes in a format.

    Parameters
    ----------
    x : numpy.ndarray of floating point
        The tensor.
    scale : float or numpy.ndarray
        What it is multiplied by.
    name : str
        Of the format, for `golden.nearest.quantize`. What is too large becomes the largest value.
    """
    return quantize(x.astype(np.float64) * scale, name, saturate=True)


def multiply_exactly(layer: Layer, inputs: Tensor) -> Tensor:
    """Return a layer's product in high precision, rounded to FP32 once."""
    weights = layer.weights.astype(np.float64)
    return layer.multiply(inputs.astype(np.float64), weights).astype(np.float32)


def multiply_cast(layer: Layer, inputs: Tensor, scales: Scales, name: str) -> Tensor:
    """Return a layer's product of operands in a format, the scales divided out, rounded once.

    The sum is of float64, in which sums of so small products are exact as hardware's exact sum is.
    """
    a, w = cast(inputs, scales.inputs, name), cast(layer.weights, scales.weights, name)
    return (layer.multiply(a, w) / (scales.inputs * scales.weights)).astype(np.float32)


def channel_errors(
    layer: Layer, inputs: Tensor, target: Tensor, name: str, exponents: Sequence[int]
) -> Values:
    """Return the mean square of the difference from a product, for all pairs of scales.

    Parameters
    ----------
    layer : Layer
        Whose weights are cast.
    inputs : numpy.ndarray of float32
        What is cast and multiplied by them.
    target : numpy.ndarray of float32
        What the product ought to be.
    name : str
        Of the format.
    exponents : sequence of int
        Of the scales, which are powers of two.

    Returns
    -------
    numpy.ndarray of float64
        Its axes are the exponent of the inputs' scale, that of the weights', and the channel.
    """
    factors = [2.0**exponent for exponent in exponents]
    # Channels do not touch one another: the weights at all scales are as many more of them.
    weights = np.concatenate([cast(layer.weights, k, name) / k for k in factors], axis=-1)
    errors = []
    for factor in factors:
        products = layer.multiply(cast(inputs, factor, name) / factor, weights).astype(np.float32)
        side_by_side = products.reshape(*target.shape[:-1], len(factors), target.shape[-1])
        errors.append(_mean_square(side_by_side - target[..., np.newaxis, :], kept=2))
    return np.array(errors)


def _mean_square(difference: Tensor, kept: int = 1) -> Values:
    """Return the mean over all axes but the last ones."""
    square = difference.astype(np.float64) ** 2
    return square.mean(axis=tuple(range(square.ndim - kept)))


def search(
    layer: Layer,
    inputs: Tensor,
    target: Tensor,
    name: str,
    *,
    exponents: Sequence[int] = EXPONENTS,
    per_channel: bool = False,
) -> Scales:
    """Choose a layer's scales: the inner loops of Algorithm 1.

    Parameters
    ----------
    layer, inputs, target, name
        As for `channel_errors`.
    exponents : sequence of int
        What is tried for either scale, by default what the paper tries. With 0 alone this is the
        direct cast.
    per_channel : bool
        Choose a scale of the weights for each channel, which the paper names as a step to come.
        Channels do not touch one another, so that the best is found without trying all.

    Returns
    -------
    Scales
        Those of the least mean square error. Of equal ones, which are many where a format's
        precision does not change, those nearest to 1, the inputs' first; the paper is silent here.
    """
    order = sorted(exponents, key=lambda exponent: (abs(exponent), exponent))
    errors = channel_errors(layer, inputs, target, name, order)
    if per_channel:
        best = int(errors.min(axis=1).mean(axis=-1).argmin())
        chosen = errors[best].argmin(axis=0)
    else:
        best, chosen = np.unravel_index(errors.mean(axis=-1).argmin(), errors.shape[:2])
    factors = 2.0 ** np.array(order)
    return Scales(float(factors[best]), factors[chosen])


def largest(layer: Layer, inputs: Tensor, _target: Tensor, name: str) -> Scales:
    """Choose scales that bring the largest magnitude to the format's largest value.

    This is what is usual for INT8 and FP8: one for the input, and one for each channel of weights.
    They are no powers of two.
    """
    top = EIGHT_BITS[name].positive[-1]
    columns = np.abs(layer.weights).reshape(-1, layer.weights.shape[-1]).max(axis=0)
    return Scales(_fill(top, np.abs(inputs).max()).item(), _fill(top, columns))


def _fill(top: float, magnitude: npt.ArrayLike) -> Values:
    """Return the scale from a magnitude to the top, 1 for zero."""
    magnitude = np.asarray(magnitude, np.float64)
    return top / np.where(magnitude == 0, top, magnitude)


class Scheme(NamedTuple):
    """A way to choose scales.

    Attributes
    ----------
    label : str
        For people.
    choose : callable
        As `search`.
    """

    label: str
    choose: Choose


def _span(exponents: Sequence[int]) -> str:
    """Return a range of scales as text."""
    return f"{power_of_two(exponents[0])} to {power_of_two(exponents[-1])}"


SCHEMES = {
    "cast": Scheme("direct cast", partial(search, exponents=(0,))),
    "tensor": Scheme(f"per tensor, {_span(EXPONENTS)}", search),
    "tensor_wide": Scheme(f"per tensor, {_span(WIDE)}", partial(search, exponents=WIDE)),
    "channel_wide": Scheme(
        f"weights per channel, {_span(WIDE)}", partial(search, exponents=WIDE, per_channel=True)
    ),
    "largest": Scheme("weights per channel, to the largest", largest),
}
"""By name: the paper's two, two of wider reach, and what is usual for INT8 and FP8."""


def calibrate(layers: Sequence[Layer], inputs: Tensor, name: str, choose: Choose) -> list[Scales]:
    """Choose the scales of all layers in order: the outer loop of Algorithm 1.

    Parameters
    ----------
    layers : sequence of Layer
        Each takes what the one before gives.
    inputs : numpy.ndarray of float32
        The first layer's, to calibrate with.
    name : str
        Of the format.
    choose : callable
        As `search`.

    Returns
    -------
    list of Scales
        One for each layer.
    """
    exact = cast_so_far = inputs
    chosen = []
    for layer in layers:
        target = multiply_exactly(layer, exact)
        chosen.append(choose(layer, cast_so_far, target, name))
        cast_so_far = layer.finish(multiply_cast(layer, cast_so_far, chosen[-1], name))
        exact = layer.finish(target)
    return chosen


def run(
    layers: Sequence[Layer], inputs: Tensor, name: str | None = None, scales: Sequence[Scales] = ()
) -> list[Tensor]:
    """Return the products of all layers, and last what the last one finishes with.

    Parameters
    ----------
    layers : sequence of Layer
        Each takes what the one before gives.
    inputs : numpy.ndarray of float32
        The first layer's.
    name : str, optional
        Of the format; by default nothing is cast.
    scales : sequence of Scales
        From `calibrate`; of no use if nothing is cast.
    """
    products, current = [], inputs
    for k, layer in enumerate(layers):
        products.append(
            multiply_exactly(layer, current)
            if name is None
            else multiply_cast(layer, current, scales[k], name)
        )
        current = layer.finish(products[-1])
    return [*products, current]


def mean_square_error(found: Tensor, target: Tensor) -> float:
    """Return the mean square of the difference."""
    return float(_mean_square(found - target).mean())


def signal_to_noise(found: Tensor, target: Tensor) -> float:
    """Return the mean square of the target over that of the difference, in dB."""
    with np.errstate(divide="ignore"):
        ratio = _mean_square(target).mean() / np.float64(mean_square_error(found, target))
        return float(10 * np.log10(ratio))
