# SPDX-License-Identifier: Apache-2.0
"""scikit-learn's handwritten digits as tensors, and the batches of a run.

Imports no other room.
"""

from typing import NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor

CLASSES = 10
SIDE = 8
TRAIN_IMAGES = 1400
WHITE = 16
"""The largest grey level of the data set; images are divided by it."""


class Digits(NamedTuple):
    """Images and what they show.

    Attributes
    ----------
    images : torch.Tensor of float32
        Of shape (images, 1, 8, 8), from 0 to 1.
    labels : torch.Tensor of int64
        Of shape (images,).
    """

    images: Tensor
    labels: Tensor


def split(rng: np.random.Generator) -> tuple[Digits, Digits]:
    """Return 1,400 digits to train with, and the other 397."""
    pixels, classes = load_digits(return_X_y=True)
    images = torch.from_numpy((pixels / WHITE).astype(np.float32)).view(-1, 1, SIDE, SIDE)
    labels = torch.from_numpy(classes.astype(np.int64))
    order = torch.from_numpy(rng.permutation(len(images)))
    train, test = order[:TRAIN_IMAGES], order[TRAIN_IMAGES:]
    return Digits(images[train], labels[train]), Digits(images[test], labels[test])


def batches(count: int, size: int, steps: int, rng: np.random.Generator) -> Tensor:
    """Return which samples are in which batch, of shape (steps, size), in a new order each epoch.

    Parameters
    ----------
    count : int
        Of the samples. What is left over at the end of an epoch is not used in it.
    size : int
        Of a batch.
    steps : int
        How many batches.
    rng : numpy.random.Generator
        Chooses the order.
    """
    each = count // size
    epochs = [rng.permutation(count)[: each * size] for _ in range(-(-steps // each))]
    return torch.from_numpy(np.concatenate(epochs).reshape(-1, size)[:steps])
