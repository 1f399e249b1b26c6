# SPDX-License-Identifier: Apache-2.0
"""W2D: training on what is worst along two dimensions, samples and features.

Imports `harness`.
"""

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .harness import Kept, Metric, Outcome, Trainer, Workload, domains, rules

SAMPLES = 1 / 3
"""The share of a batch, of the highest loss, that is trained on."""
POSITIONS = 1 / 4
"""The share of positions, of the highest class activation, that is dropped."""
MASKED = 1 / 4
"""The share of samples for which they are."""
SELECTIVE = 3 / 4
"""The share of steps that select samples; the others train on all."""
LEAST_FALL = 1e-4
"""What a probability must fall by for its sample to be masked at all."""
NOTED_EVERY = 10
"""Steps between two whose selection is kept for `System.compare`."""


def hardest(losses: Tensor, share: float = SAMPLES) -> Tensor:
    """Return the places of the share of samples with the highest loss, the highest first."""
    return losses.argsort(descending=True, stable=True)[: int(len(losses) * share)]


def activations(features: Tensor, gradients: Tensor) -> Tensor:
    """Return the class activation map: features weighted by their channel's mean gradient.

    Parameters
    ----------
    features, gradients : torch.Tensor
        Of shape (samples, channels, rows, columns): the last features, and the gradients of the
        true class's logit with respect to them.

    Returns
    -------
    torch.Tensor
        Of shape (samples, rows, columns).
    """
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    return (features * weights).sum(dim=1)


def without_strongest(maps: Tensor, share: float = POSITIONS) -> Tensor:
    """Return masks of shape (samples, 1, rows, columns): 0 where a map is highest, 1 elsewhere.

    Positions as high as the first that stays do stay.
    """
    flat = maps.flatten(1)
    first_kept = flat.sort(dim=1, descending=True).values[:, int(flat.shape[1] * share), None]
    return (flat <= first_kept).to(maps.dtype).view_as(maps).unsqueeze(1)


def fell_most(before: Tensor, after: Tensor, share: float = MASKED) -> Tensor:
    """Tell for which samples the true class's probability fell most; not for ties with the next."""
    fall = (before - after - LEAST_FALL).clamp(min=0)
    return fall > fall.sort(descending=True).values[round(len(fall) * share)]


class Net(nn.Module):
    """A small convolutional network that is classified from the mean of its last features."""

    def __init__(self) -> None:
        super().__init__()
        self.features = domains.trunk()
        self.head = nn.Linear(domains.FEATURES, domains.CLASSES)

    def classify(self, features: Tensor) -> Tensor:
        """Return the logits of features."""
        return self.head(features.mean(dim=(2, 3)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of images."""
        return self.classify(self.features(x))


class System(Workload):
    """The workload."""

    title = "W2D"
    reference = (
        "Huang et al., The Two Dimensions of Worst-case Training and Their Integrated Effect for "
        "Out-of-domain Generalization, CVPR 2022 (arXiv 2204.04384)"
    )
    simplified = (
        "Digits of 8x8 pixels and a network of three convolutions trained from its initialisation "
        "stand for PACS and the like and a pretrained ResNet, so that a run takes seconds. Shares, "
        "schedule, optimizer and batch are those of the released code."
    )
    metrics: ClassVar = {
        "accuracy": Metric("accuracy, held-out domain", "%"),
        "sources": Metric("accuracy, source domains", "%"),
        "overlap": Metric("selected samples as in FP32", "%", 1),
    }
    criterion = (rules.accuracy("accuracy"), rules.flushed())

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.steps = trainer.choose(full=2000, quick=240)
        self.task = domains.Task(trainer.seed, trainer.rng)
        self.model = trainer.convert(Net())
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)
        self.noted: list[np.ndarray] = []

    def step(self, k: int) -> None:
        """Train on the worst samples and features; in the last quarter, on all samples."""
        places = self.task.draw(self.trainer.rng, each=32)
        images, labels = self.task.images[places], self.task.labels[places]
        if k < self.steps * SELECTIVE:
            chosen = self._select(images, labels)
            images, labels = images[chosen], labels[chosen]
            if k % NOTED_EVERY == 0:
                self.noted.append(chosen.numpy().astype(np.uint8))
        features = self.model.features(images)
        masked = features * self.mask(features.detach(), labels)
        loss = functional.cross_entropy(self.model.classify(masked), labels)
        self.trainer.minimise(loss, self.optimizer)

    @torch.no_grad()
    def _select(self, images: Tensor, labels: Tensor) -> Tensor:
        losses = functional.cross_entropy(self.model(images), labels, reduction="none")
        return hardest(losses)

    def mask(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return what to multiply features by: 0 at dropped positions of the worst samples."""
        features = features.requires_grad_()
        logits = self.model.classify(features)
        true = logits.gather(1, labels[:, None])
        (gradients,) = self.trainer.gradient(true.sum(), features)
        with torch.no_grad():
            masks = without_strongest(activations(features, gradients))
            before, after = (
                found.softmax(dim=1).gather(1, labels[:, None]).squeeze(1)
                for found in (logits, self.model.classify(features * masks))
            )
            worst = fell_most(before, after)
            return torch.where(worst.view(-1, 1, 1, 1), masks, 1.0)

    def evaluate(self) -> Outcome:
        """Measure the accuracy by domain; keep which samples were selected."""
        measured = domains.summary(self.task.accuracies(self.model))
        return Outcome(measured, kept={"selected": np.array(self.noted)})

    @staticmethod
    def compare(kept: Kept, reference: Kept) -> dict[str, float]:
        """Return how many of the selected samples the FP32 run selected in the same step."""
        pairs = zip(kept["selected"], reference["selected"], strict=False)  # as far as both came
        shares = [np.isin(own, other).mean() for own, other in pairs]
        return {"overlap": 100 * float(np.mean(shares))}
