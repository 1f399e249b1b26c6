# SPDX-License-Identifier: Apache-2.0
"""Handwritten digits in four domains, for workloads that generalise from three to the fourth.

Imports no other room. The way of MNIST-M: a colour photograph minus the digit, without its sign.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from sklearn.datasets import load_sample_image
from torch import Tensor, nn

from . import data
from .data import SIZE

SOURCES = ("plain", "inverted", "china.jpg")
"""What is trained on."""
HELD_OUT = "flower.jpg"
"""What is not."""
FLAT = {"plain": 0.0, "inverted": 1.0}
"""Domains whose background is of one grey; that of the others is a photograph."""

CLASSES = 10
CHANNELS = 3
COPIES = 2
"""How often each digit is in a domain, elsewhere in the photograph each time."""
BLOCK = 8
"""Pixels of a photograph that one of a digit covers, each way."""
FEATURES, MAP = 64, 4
"""Channels of the last features, and their rows and columns."""

Images = npt.NDArray[np.float32]


@cache
def photograph(name: str) -> Images:
    """Return one of scikit-learn's, from 0 to 1, of shape (3, rows, columns), a mean a block."""
    pixels = load_sample_image(name).astype(np.float32).transpose(2, 0, 1) / 255
    rows, columns = (length // BLOCK for length in pixels.shape[1:])
    pixels = pixels[:, : rows * BLOCK, : columns * BLOCK]
    return pixels.reshape(CHANNELS, rows, BLOCK, columns, BLOCK).mean(axis=(2, 4))


def patches(name: str, count: int, rng: np.random.Generator) -> Images:
    """Return patches of a photograph from random places, of shape (count, 3, 8, 8)."""
    windows = np.lib.stride_tricks.sliding_window_view(photograph(name), (SIZE, SIZE), (1, 2))
    rows, columns = (rng.integers(length, size=count) for length in windows.shape[1:3])
    return windows[:, rows, columns].swapaxes(0, 1)


def over(background: npt.ArrayLike, digits: Tensor) -> Tensor:
    """Return |background - digit|, of shape (digits, 3, 8, 8)."""
    return (torch.as_tensor(background, dtype=torch.float32) - digits).abs()


def rendered(domain: str, digits: Tensor, rng: np.random.Generator) -> Tensor:
    """Return digits as they look in a domain.

    Parameters
    ----------
    domain : str
        One of `SOURCES`, or `HELD_OUT`.
    digits : torch.Tensor of float32
        Of shape (digits, 1, 8, 8), from 0 to 1.
    rng : numpy.random.Generator
        Chooses the places in a photograph.

    Returns
    -------
    torch.Tensor of float32
        Of shape (digits, 3, 8, 8), from 0 to 1.
    """
    if domain in FLAT:
        return over(np.full((CHANNELS, 1, 1), FLAT[domain]), digits)
    return over(patches(domain, len(digits), rng), digits)


class Task:
    """To learn digits in the three source domains, and know them in the fourth.

    Parameters
    ----------
    seed : int
        Of the split of the digits.
    rng : numpy.random.Generator
        Chooses the places in photographs.

    Attributes
    ----------
    images : torch.Tensor of float32
        All training images, domain by domain, of shape (images, 3, 8, 8).
    labels : torch.Tensor of int64
        What they show.
    """

    def __init__(self, seed: int, rng: np.random.Generator) -> None:
        digits = data.digits(seed)
        train, test = (x.repeat(COPIES, 1, 1, 1) for x in (digits.train_images, digits.test_images))
        self._each = len(train)
        self.images = torch.cat([rendered(name, train, rng) for name in SOURCES])
        self.labels = digits.train_labels.repeat(COPIES * len(SOURCES))
        self._tests = {name: rendered(name, test, rng) for name in (*SOURCES, HELD_OUT)}
        self._test_labels = digits.test_labels.repeat(COPIES)

    def draw(self, rng: np.random.Generator, each: int) -> Tensor:
        """Return places of training images, so many of each domain."""
        starts = self._each * np.arange(len(SOURCES))[:, None]
        return torch.from_numpy(
            (starts + rng.integers(self._each, size=(len(starts), each))).ravel()
        )

    @torch.no_grad()
    def accuracies(self, classify: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """Return in percent how often the largest logit is right, by domain."""
        return {
            name: data.percent_right(classify(images), self._test_labels)
            for name, images in self._tests.items()
        }


def summary(accuracies: dict[str, float]) -> dict[str, float]:
    """Return the accuracy of the held-out domain, and the mean of the sources', as metrics."""
    sources = float(np.mean([accuracies[name] for name in SOURCES]))
    return {"accuracy": accuracies[HELD_OUT], "sources": sources}


def trunk() -> nn.Sequential:
    """Return convolutions from an image to a map of `FEATURES` by 4 by 4."""
    return nn.Sequential(
        nn.Conv2d(CHANNELS, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, FEATURES, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(FEATURES, FEATURES, 3, padding=1),
        nn.ReLU(),
    )
