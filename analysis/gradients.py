# SPDX-License-Identifier: Apache-2.0
"""Gradients of the digits network, and what a format makes of them under a loss scale.

Imports `golden` and `analysis.digits`. Gradients are of the type of the arrays handed in.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..golden.encode import quantize as to_hif8
from ..golden.nearest import quantize
from ..golden.rounding import Rounding
from . import digits

Array = npt.NDArray[np.floating]
Labels = npt.NDArray[np.integer]


def initial(network: digits.Network, seed: int = 0) -> digits.Network:
    """Return a network as its training begins.

    Parameters
    ----------
    network : Network
        Whose shapes, images and labels it has.
    seed : int
        Of the weights, which are uniform between plus and minus sqrt(6 / (inputs + outputs)), after
        Glorot and Bengio. Biases are zero.
    """
    rng = np.random.default_rng(seed)
    ends = [(6 / sum(weights.shape)) ** 0.5 for weights in network.weights]
    drawn = [
        rng.uniform(-end, end, weights.shape).astype(np.float32)
        for end, weights in zip(ends, network.weights, strict=True)
    ]
    biases = tuple(np.zeros_like(bias) for bias in network.biases)
    return replace(network, weights=tuple(drawn), biases=biases)


def loss(network: digits.Network, images: Array, labels: Labels) -> float:
    """Return the mean cross-entropy of the softmax of the logits.

    Parameters
    ----------
    network : Network
        Its weights and biases count.
    images : numpy.ndarray of floating point
        A batch, of shape (images, inputs).
    labels : numpy.ndarray of integer
        What they show.
    """
    logits = digits.activations(network, images)[-1]
    shifted = logits - logits.max(axis=1, keepdims=True)
    chosen = shifted[np.arange(len(labels)), labels]
    return float((np.log(np.exp(shifted).sum(axis=1)) - chosen).mean())


def backward(network: digits.Network, images: Array, labels: Labels) -> dict[str, Array]:
    """Return the gradients of the loss.

    Parameters
    ----------
    network, images, labels
        As for `loss`.

    Returns
    -------
    dict of str to numpy.ndarray
        From the last layer to the first: ``sums2`` by the last layer's sums, the logits, and so on,
        which enter the matrix products of the backward pass; ``weights2`` and so on by the weights,
        which those products give.
    """
    *inputs, logits = digits.activations(network, images)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    gradient = powers / powers.sum(axis=1, keepdims=True)
    gradient[np.arange(len(labels)), labels] -= 1
    gradient /= len(labels)
    found = {}
    for layer in reversed(range(len(inputs))):
        found[f"sums{layer + 1}"] = gradient
        found[f"weights{layer + 1}"] = inputs[layer].T @ gradient
        # The ReLU before this layer passes nothing where it gave nothing.
        gradient = gradient @ network.weights[layer].T * (inputs[layer] > 0)
    return found


ROUNDINGS: dict[str, Callable[..., Array]] = {
    "hif8": to_hif8,
    "hif8 hr": partial(to_hif8, rounding=Rounding.HR),
} | {name: partial(quantize, name=name) for name in ("e4m3", "e5m2", "posit8", "fp16")}
"""What rounds a gradient, by format and, for HiF8, by mode; all take ``saturate``."""


class Loss(NamedTuple):
    """What rounding takes from a tensor.

    Attributes
    ----------
    values : int
        How many are not zero.
    flushed : int
        How many of them become zero.
    overflowed : int
        How many of them become infinite or NaN; they would saturate, if told to.
    snr_db : float
        The mean square of the values over that of the rounding error, in dB, with saturation; NaN
        if no value is left to compare.
    """

    values: int
    flushed: int
    overflowed: int
    snr_db: float


def measure(x: Array, rounding: str, log2_scale: int = 0) -> Loss:
    """Multiply a tensor by a power of two, round it, and count what is lost.

    Parameters
    ----------
    x : numpy.ndarray of float32
        The tensor.
    rounding : str
        A key of `ROUNDINGS`.
    log2_scale : int
        Of the loss scale. Scaling the loss scales its gradients.
    """
    scaled = np.ldexp(x[x != 0], log2_scale)
    rounded = ROUNDINGS[rounding](scaled)
    kept = ROUNDINGS[rounding](scaled, saturate=True).astype(np.float64)
    square, noise = (
        float((part.astype(np.float64) ** 2).sum()) for part in (scaled, kept - scaled)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = 10 * np.log10(np.float64(square) / np.float64(noise))
    return Loss(
        values=scaled.size,
        flushed=int((rounded == 0).sum()),
        overflowed=int((~np.isfinite(rounded)).sum()),
        snr_db=float(ratio),
    )
