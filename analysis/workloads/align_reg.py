# SPDX-License-Identifier: Apache-2.0
"""AlignReg: the worst of several transforms of an image, and logits held near those of the image.

Imports the harness. Differences of logits that are nearly equal, and a choice among losses that are
nearly tied, are what it asks of a format.
"""

from collections.abc import Callable
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional

from .harness import Kept, Metric, Outcome, Trainer, Workload, cosine, data, rules

BATCH = 64
LEARNING_RATE = 0.05
MOMENTUM = 0.9
WEIGHT = 0.05
"""Of the regulariser: the paper's lambda."""


def rotated(images: np.ndarray, degrees: float) -> np.ndarray:
    """Return images turned about their centres, black where nothing comes from."""
    turned = ndimage.rotate(images, degrees, axes=(-2, -1), reshape=False, order=1)
    return turned.clip(0, 1).astype(np.float32)


def contrasted(images: np.ndarray, factor: float) -> np.ndarray:
    """Return images with a contrast multiplied by a factor; a negative one inverts them."""
    return np.float32(factor) * images + np.float32(factor < 0)


TRANSFORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    **{f"rotated {d}": partial(rotated, degrees=d) for d in (-45, -30, -15, 15, 30, 45)},
    **{f"contrast {c:g}": partial(contrasted, factor=c) for c in (0.5, 0.25, -1, -0.5)},
}
"""What images may be turned into, beside what they are."""


def transformed(images: Tensor) -> Tensor:
    """Return every transform of images, of shape (images, transforms, ...)."""
    pixels = images.numpy()
    return torch.from_numpy(np.stack([make(pixels) for make in TRANSFORMS.values()], axis=1))


def losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of every transform, from logits of (images, transforms, classes)."""
    every = labels[:, None].expand(logits.shape[:2])
    return functional.cross_entropy(logits.transpose(1, 2), every, reduction="none")


def worst(logits: Tensor, labels: Tensor) -> Tensor:
    """Return which transform of every image has the largest loss, the first of equal ones."""
    return losses(logits, labels).argmax(dim=1)


def pick(x: Tensor, choice: Tensor) -> Tensor:
    """Return of every image what belongs to the transform that was chosen for it."""
    return x[torch.arange(len(x)), choice]


def misalignment(logits: Tensor, others: Tensor) -> Tensor:
    """Return the mean over images of the squared distance between two logits."""
    return (logits - others).square().sum(dim=1).mean()


def objective(logits: Tensor, others: Tensor, labels: Tensor, weight: float = WEIGHT) -> Tensor:
    """Return the loss of images and of their worst transforms, and what holds both together."""
    both = functional.cross_entropy(logits, labels) + functional.cross_entropy(others, labels)
    return both + weight * misalignment(logits, others)


def network() -> nn.Module:
    """Return a small LeNet."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


class System(Workload):
    """AlignReg in training."""

    title = "AlignReg"
    reference = (
        "Wang et al., Toward Learning Robust and Invariant Representations with Alignment "
        "Regularization and Data Augmentation, KDD 2022 (arXiv 2206.01909)"
    )
    simplified = (
        "Digits of 8 x 8 pixels and a small LeNet stand for the paper's image sets and networks. "
        "One set of rotations and contrasts takes the place of its separate experiments by kind "
        "of transform. The released code's regulariser carries no gradient, for it is turned into "
        "a plain number before it is added; here it is what the paper says. The paper's invariance "
        "score is not measured; the mean squared distance of logits, which it regularises, is."
    )
    metrics: ClassVar = {
        "clean": Metric("test accuracy", "%"),
        "worst": Metric("accuracy under every transform", "%"),
        "misalignment": Metric("mean squared distance of logits", digits=3),
        "choices": Metric("worst transforms as FP32's", "%"),
    }
    criterion = (
        rules.accuracy("clean"),
        rules.accuracy("worst"),
        rules.ratio("misalignment", 1.1, 0.9),
        rules.flushed(),
    )

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.steps = trainer.choose(full=1000, quick=180)
        self.data = data.digits(trainer.seed)
        self.transforms = transformed(self.data.train_images)
        count = len(self.data.train_labels)
        self.batches = data.batches(count, BATCH, self.steps, trainer.rng)
        self.model = trainer.convert(network())
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM
        )

    def step(self, k: int) -> None:
        """Train with a batch of images and the worst transform of each."""
        batch = self.batches[k]
        images, labels = self.data.train_images[batch], self.data.train_labels[batch]
        candidates = self.transforms[batch]
        with torch.no_grad():
            choice = worst(self._logits(candidates), labels)
        logits, others = self.model(torch.cat((images, pick(candidates, choice)))).chunk(2)
        rate = LEARNING_RATE * cosine(k, self.steps)
        self.trainer.minimise(objective(logits, others, labels), self.optimizer, rate)

    def _logits(self, candidates: Tensor) -> Tensor:
        """Return the logits of all transforms of images, of shape (images, transforms, classes)."""
        return self.model(candidates.flatten(0, 1)).unflatten(0, candidates.shape[:2])

    @torch.no_grad()
    def evaluate(self) -> Outcome:
        """Classify the test images, and all of their transforms."""
        images, labels = self.data.test_images, self.data.test_labels
        logits, every = self.model(images), self._logits(transformed(images))
        choice = worst(every, labels)
        all_right = (every.argmax(dim=2) == labels[:, None]).all(dim=1)
        all_right &= logits.argmax(dim=1) == labels
        metrics = {
            "clean": data.percent_right(logits, labels),
            "worst": 100 * all_right.float().mean().item(),
            "misalignment": misalignment(logits, pick(every, choice)).item(),
        }
        return Outcome(metrics, {"choices": choice.numpy().astype(np.int8)})

    @staticmethod
    def compare(kept: Kept, reference: Kept) -> dict[str, float]:
        """Return for how many test images the same transform is the worst as in FP32."""
        return {"choices": float(100 * (kept["choices"] == reference["choices"]).mean())}
