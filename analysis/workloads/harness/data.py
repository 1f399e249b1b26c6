# SPDX-License-Identifier: Apache-2.0
"""Data that packages ship, and the order in which training sees it.

Imports scikit-learn. Everything is drawn from a seed, and equal for every format.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from sklearn.datasets import load_digits, load_sample_image
from sklearn.model_selection import train_test_split
from torch import Tensor

TRAIN_IMAGES = 1400
WHITE = 16
SIZE = 8
"""Pixels of a digit's side."""
PHOTOS = ("china.jpg", "flower.jpg")
"""The photographs that scikit-learn ships."""


class Digits(NamedTuple):
    """Handwritten digits, 1,400 to train with and 397 others.

    Attributes
    ----------
    train_images, test_images : torch.Tensor of float32
        Of shape (images, 1, 8, 8), grey levels from 0 to 1.
    train_labels, test_labels : torch.Tensor of int64
        What they show.
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


@cache
def digits(seed: int) -> Digits:
    """Return scikit-learn's digits, split by a seed, with equal shares of every digit."""
    data = load_digits()
    images = (data.images / WHITE).astype(np.float32)[:, None]
    labels = data.target.astype(np.int64)
    parts = train_test_split(
        images, labels, train_size=TRAIN_IMAGES, random_state=seed, stratify=labels
    )
    train_images, test_images, train_labels, test_labels = map(torch.from_numpy, parts)
    return Digits(train_images, train_labels, test_images, test_labels)


@cache
def photo(name: str) -> npt.NDArray[np.float32]:
    """Return a photograph of `PHOTOS` in grey levels from 0 to 1."""
    return (load_sample_image(name).mean(axis=2) / 255).astype(np.float32)


def patches(name: str, count: int, rng: np.random.Generator, size: int = SIZE) -> Tensor:
    """Return square patches of a photograph, of shape (count, 1, size, size)."""
    image = photo(name)
    rows = rng.integers(image.shape[0] - size + 1, size=count)
    columns = rng.integers(image.shape[1] - size + 1, size=count)
    cut = [image[r : r + size, c : c + size] for r, c in zip(rows, columns, strict=True)]
    return torch.from_numpy(np.stack(cut)[:, None])


def batches(count: int, size: int, steps: int, rng: np.random.Generator) -> Tensor:
    """Return which of `count` examples are in each step's batch: all before one is again.

    Returns
    -------
    torch.Tensor of int64
        Of shape (steps, size).
    """
    each = count // size
    epochs = [rng.permutation(count)[: each * size] for _ in range(-(-steps // each))]
    return torch.from_numpy(np.concatenate(epochs).reshape(-1, size)[:steps])


def percent_right(logits: Tensor, labels: Tensor) -> float:
    """Return the share of largest logits that are those of the labels, in percent."""
    return 100 * (logits.argmax(dim=1) == labels).float().mean().item()
