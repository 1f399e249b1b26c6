# SPDX-License-Identifier: Apache-2.0
"""Handwritten digits in four domains, for workloads that generalise from three to the fourth.

Imports no other room. The way of MNIST-M: a colour photograph minus the digit, without its sign.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from sklearn.datasets import load_digits, load_sample_image
from torch import Tensor, nn

SOURCES = ("plain", "inverted", "china.jpg")
"""What is trained on."""
HELD_OUT = "flower.jpg"
"""What is not."""
FLAT = {"plain": 0.0, "inverted": 1.0}
"""Domains whose background is of one grey; that of the others is a photograph."""

CLASSES = 10
SIDE = 8
CHANNELS = 3
TRAIN_IMAGES = 1400
COPIES = 4
"""How often each digit is in a domain, elsewhere in the photograph each time."""
WHITE = 16
"""The largest grey level of the data set; images are divided by it."""
BLOCK = 8
"""Pixels of a photograph that one of a digit covers, each way."""
FEATURES, MAP = 64, 4
"""Channels of the last features, and their rows and columns."""

Images = npt.NDArray[np.float32]


class Split(NamedTuple):
    """Digits to train with, and to test with.

    Attributes
    ----------
    train, test : numpy.ndarray of float32
        Of shape (images, 8, 8), from 0 to 1.
    train_labels, test_labels : torch.Tensor of int64
        What they show.
    """

    train: Images
    train_labels: Tensor
    test: Images
    test_labels: Tensor


def split(rng: np.random.Generator) -> Split:
    """Return 1,400 digits to train with, and the other 397, each `COPIES` times."""
    images, labels = load_digits(return_X_y=True)
    images = (images / WHITE).astype(np.float32).reshape(-1, SIDE, SIDE)
    order = rng.permutation(len(images))
    parts = (np.tile(part, COPIES) for part in (order[:TRAIN_IMAGES], order[TRAIN_IMAGES:]))
    train, test = ((images[part], torch.from_numpy(labels[part]).long()) for part in parts)
    return Split(*train, *test)


@cache
def photograph(name: str) -> Images:
    """Return one of scikit-learn's, from 0 to 1, of shape (3, rows, columns), a mean a block."""
    pixels = load_sample_image(name).astype(np.float32).transpose(2, 0, 1) / 255
    rows, columns = (length // BLOCK for length in pixels.shape[1:])
    pixels = pixels[:, : rows * BLOCK, : columns * BLOCK]
    return pixels.reshape(CHANNELS, rows, BLOCK, columns, BLOCK).mean(axis=(2, 4))


def patches(name: str, count: int, rng: np.random.Generator) -> Images:
    """Return patches of a photograph from random places, of shape (count, 3, 8, 8)."""
    windows = np.lib.stride_tricks.sliding_window_view(photograph(name), (SIDE, SIDE), (1, 2))
    rows, columns = (rng.integers(length, size=count) for length in windows.shape[1:3])
    return windows[:, rows, columns].swapaxes(0, 1)


def over(background: Images, images: Images) -> Tensor:
    """Return |background - digit|, of shape (images, 3, 8, 8)."""
    return torch.from_numpy(np.abs(background - images[:, None]).astype(np.float32))


def rendered(domain: str, images: Images, rng: np.random.Generator) -> Tensor:
    """Return digits as they look in a domain.

    Parameters
    ----------
    domain : str
        One of `SOURCES`, or `HELD_OUT`.
    images : numpy.ndarray of float32
        Of shape (images, 8, 8).
    rng : numpy.random.Generator
        Chooses the places in a photograph.

    Returns
    -------
    torch.Tensor of float32
        Of shape (images, 3, 8, 8), from 0 to 1.
    """
    if domain in FLAT:
        return over(np.full((1, CHANNELS, 1, 1), FLAT[domain], np.float32), images)
    return over(patches(domain, len(images), rng), images)


class Task:
    """To learn digits in the three source domains, and know them in the fourth.

    Attributes
    ----------
    images : torch.Tensor of float32
        All training images, domain by domain, of shape (images, 3, 8, 8).
    labels, domains : torch.Tensor of int64
        What each of them shows, and the place of its domain in `SOURCES`.
    digits : Split
        Before they were rendered.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.digits = split(rng)
        self.images = torch.cat([rendered(name, self.digits.train, rng) for name in SOURCES])
        self.labels = self.digits.train_labels.repeat(len(SOURCES))
        each = len(self.digits.train)
        self.domains = torch.arange(len(SOURCES)).repeat_interleave(each)
        self._tests = {name: rendered(name, self.digits.test, rng) for name in (*SOURCES, HELD_OUT)}

    def draw(self, rng: np.random.Generator, each: int) -> Tensor:
        """Return places of training images, so many of each domain."""
        size = len(self.digits.train)
        places = rng.integers(size, size=(len(SOURCES), each)) + size * np.arange(3)[:, None]
        return torch.from_numpy(places.ravel())

    def accuracies(self, classify: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """Return in percent how often the largest logit is right, by domain."""
        with torch.no_grad():
            right = {
                name: classify(images).argmax(dim=1) == self.digits.test_labels
                for name, images in self._tests.items()
            }
        return {name: 100 * found.float().mean().item() for name, found in right.items()}


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
