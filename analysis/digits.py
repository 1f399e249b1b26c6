# SPDX-License-Identifier: Apache-2.0
"""Real tensors: a small classifier of scikit-learn's handwritten digits, in FP32 and in HiF8.

Imports no other room. What encodes and multiplies matrices is handed in, so that one and the same
forward pass runs on the golden model and on simulated RTL.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

TRAIN_IMAGES = 1400
HIDDEN = 32
WHITE = 16
"""The largest grey level of the data set; images are divided by it."""
TOLERANCE = 1e-3
MAX_EPOCHS = 1000
"""Training ends when the loss stands still to within the tolerance, long before the last epoch."""

Tensor = npt.NDArray[np.float32]
Encode = Callable[[Tensor], npt.NDArray[np.uint8]]
Matmul = Callable[[npt.NDArray[np.uint8], npt.NDArray[np.uint8]], Tensor]


@dataclass(frozen=True, eq=False)
class Network:
    """A trained multilayer perceptron with ReLU, its images, and those it has not seen.

    Attributes
    ----------
    weights : tuple of numpy.ndarray of float32
        One per layer, of shape (inputs, outputs).
    biases : tuple of numpy.ndarray of float32
        One per layer, of shape (outputs,).
    train_images, test_images : numpy.ndarray of float32
        Of shape (images, 64), grey levels from 0 to 1.
    train_labels, test_labels : numpy.ndarray of int64
        The digits that the images show.
    """

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]
    train_images: Tensor
    train_labels: npt.NDArray[np.int64]
    test_images: Tensor
    test_labels: npt.NDArray[np.int64]


@cache
def train(seed: int = 0) -> Network:
    """Train a 64-32-10 perceptron on 1,400 of the 1,797 digits that scikit-learn ships.

    Parameters
    ----------
    seed : int
        Of the split and of the training. On one machine and one set of library versions equal
        seeds give equal weights.

    Returns
    -------
    Network
        With the 1,400 images, and the other 397.
    """
    digits = load_digits()
    images = (digits.data / WHITE).astype(np.float32)
    train_images, test_images, train_labels, test_labels = train_test_split(
        images, digits.target.astype(np.int64), train_size=TRAIN_IMAGES, random_state=seed
    )
    model = MLPClassifier((HIDDEN,), tol=TOLERANCE, max_iter=MAX_EPOCHS, random_state=seed)
    model.fit(train_images, train_labels)
    return Network(
        weights=tuple(weights.astype(np.float32) for weights in model.coefs_),
        biases=tuple(biases.astype(np.float32) for biases in model.intercepts_),
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
    )


def forward(network: Network, *, encode: Encode, matmul: Matmul) -> Tensor:
    """Classify the test images with HiF8 inputs to both matrix products.

    Parameters
    ----------
    network : Network
        From `train`.
    encode : callable
        From a float32 array of shape (n,) to its uint8 codes. Called twice per layer, for the
        activations and for the weights.
    matmul : callable
        From codes of shapes (images, inputs) and (inputs, outputs) to their matrix product, as
        float32. Called once per layer.

    Returns
    -------
    numpy.ndarray of float32
        Logits, of shape (images, 10).
    """

    def product_matrix(values: Tensor, weights: Tensor) -> Tensor:
        a = encode(values.ravel()).reshape(values.shape)
        b = encode(weights.ravel()).reshape(weights.shape)
        return matmul(a, b)

    return activations(network, network.test_images, product_matrix)[-1]


def forward_fp32(network: Network) -> Tensor:
    """Classify the test images in FP32.

    Returns
    -------
    numpy.ndarray of float32
        Logits, of shape (images, 10).
    """
    return activations(network, network.test_images)[-1]


def activations(
    network: Network, images: Tensor, product_matrix: Callable[[Tensor, Tensor], Tensor] = np.matmul
) -> list[Tensor]:
    """Return the input of every layer and, last, the logits.

    Parameters
    ----------
    network : Network
        Whose weights and biases count; their type is that of the result.
    images : numpy.ndarray of float32
        Of shape (images, 64).
    product_matrix : callable
        From activations and weights to their matrix product.
    """
    found = [images]
    for layer, (weights, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        sums = product_matrix(found[-1], weights) + bias
        last = layer == len(network.weights) - 1
        found.append(sums if last else np.maximum(sums, np.float32(0)))
    return found


def accuracy(logits: Tensor, labels: npt.NDArray[np.int64]) -> float:
    """Return the share of images whose largest logit is that of their label.

    Parameters
    ----------
    logits : numpy.ndarray of float32
        Of shape (images, classes).
    labels : numpy.ndarray of int64
        Of shape (images,).

    Returns
    -------
    float
        From 0 to 1.
    """
    return float(np.mean(logits.argmax(axis=1) == labels))


def tensors(network: Network) -> dict[str, Tensor]:
    """Return the real tensors that enter the matrix products, by name.

    Returns
    -------
    dict of str to numpy.ndarray of float32
        ``weights1`` and so on for the layers' weights, ``images``, and ``hidden1`` and so on for
        the activations between the layers, as FP32 computes them.
    """
    weights = {f"weights{k}": w for k, w in enumerate(network.weights, start=1)}
    images, *hidden, _ = activations(network, network.test_images)
    return weights | {"images": images} | {f"hidden{k}": a for k, a in enumerate(hidden, start=1)}
