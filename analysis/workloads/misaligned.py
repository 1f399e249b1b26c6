# SPDX-License-Identifier: Apache-2.0
"""Misaligned features: what predicts the label in training, and that nobody would call the digit.

Imports `analysis.training` and `harness`. A pattern is blended with each digit. In training it goes
with the label, in the test with none. Four arms learn of the same batches: plainly, of the worst
pattern for each digit, with features from which a second head cannot tell the pattern, and both.
"""

import math
from copy import deepcopy
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .harness import Metric, Outcome, Trainer, Workload, cosine, data, rules

CLASSES = 10
PREDICTS = 0.9
"""How likely the pattern of a training image is that of its label."""
WEIGHT = 0.55
"""Of the pattern in an image; the digit has the rest."""
PATTERNS = CLASSES

BATCH = 64
CHANNELS = (16, 32)
FEATURES = 64
RATE, MOMENTUM = 0.05, 0.9
STRENGTH = 0.1
"""Of the reversal at the end of training."""
STEEPNESS = 10.0
"""How fast it grows to that."""


class Method(NamedTuple):
    """What an arm does against the misaligned feature.

    Attributes
    ----------
    worst : bool
        Learn of the pattern with the highest loss.
    reverse : bool
        Have a head with a reversed gradient.
    """

    worst: bool
    reverse: bool


METHODS = {
    "plain": Method(worst=False, reverse=False),
    "worst": Method(worst=True, reverse=False),
    "reverse": Method(worst=False, reverse=True),
    "both": Method(worst=True, reverse=True),
}


def patterns_of(rng: np.random.Generator) -> Tensor:
    """Return one random pattern of black and white a class, of shape (patterns, 1, 8, 8)."""
    pixels = rng.integers(2, size=(PATTERNS, 1, data.SIZE, data.SIZE))
    return torch.from_numpy(pixels.astype(np.float32))


def aligned(labels: Tensor, rng: np.random.Generator) -> Tensor:
    """Return which pattern is on which training image: mostly that of its label."""
    shift = rng.integers(1, PATTERNS, size=len(labels)) * (rng.random(len(labels)) >= PREDICTS)
    return (labels + torch.from_numpy(shift)) % PATTERNS


def unrelated(labels: Tensor, rng: np.random.Generator) -> Tensor:
    """Return which pattern is on which test image: any."""
    return torch.from_numpy(rng.integers(PATTERNS, size=len(labels)))


def blend(images: Tensor, patterns: Tensor) -> Tensor:
    """Return digits with patterns."""
    return (1 - WEIGHT) * images + WEIGHT * patterns


class Reversal(torch.autograd.Function):
    """Pass values, and gradients times a negative factor."""

    @staticmethod
    def forward(ctx: object, x: Tensor, strength: float) -> Tensor:
        """Return the values as they came."""
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[Tensor, None]:
        """Return the gradient times minus the strength."""
        return -ctx.strength * gradient, None


def strength_at(progress: float) -> float:
    """Return the strength of the reversal at a share of training, from 0 to nearly `STRENGTH`."""
    return STRENGTH * (2 / (1 + math.exp(-STEEPNESS * progress)) - 1)


class Network(nn.Module):
    """A convolutional network with a head for digits."""

    def __init__(self) -> None:
        super().__init__()
        first, second = CHANNELS
        self.features = nn.Sequential(
            nn.Conv2d(1, first, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(second * (data.SIZE // 2) ** 2, FEATURES),
            nn.ReLU(),
        )
        self.head = nn.Linear(FEATURES, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of the digits."""
        return self.head(self.features(x))


def pattern_head() -> nn.Sequential:
    """Return a head that tells the pattern from features."""
    return nn.Sequential(nn.Linear(FEATURES, FEATURES), nn.ReLU(), nn.Linear(FEATURES, PATTERNS))


def losses_of_all(model: nn.Module, images: Tensor, labels: Tensor, patterns: Tensor) -> Tensor:
    """Return the loss of each image with each pattern, of shape (images, patterns)."""
    count = len(patterns)
    every = blend(images[:, None], patterns[None]).flatten(0, 1)
    with torch.no_grad():
        losses = functional.cross_entropy(
            model(every), labels.repeat_interleave(count), reduction="none"
        )
    return losses.view(-1, count)


class Arm:
    """A network that learns by one of the methods.

    Parameters
    ----------
    trainer : Trainer
        Of the run.
    method : Method
        What is done against the misaligned feature.
    network : Network
        What to begin with.
    patterns : torch.Tensor
        All of them.
    """

    def __init__(
        self, trainer: Trainer, method: Method, network: Network, patterns: Tensor
    ) -> None:
        self._trainer, self._method, self._patterns = trainer, method, patterns
        self.model = trainer.convert(deepcopy(network))
        parameters = [*self.model.parameters()]
        if method.reverse:
            self._side = trainer.convert(pattern_head())
            parameters += self._side.parameters()
        self._optimizer = torch.optim.SGD(parameters, lr=RATE, momentum=MOMENTUM)

    def learn(
        self, images: Tensor, labels: Tensor, patterns: Tensor, strength: float, rate: float
    ) -> None:
        """Train one step.

        Parameters
        ----------
        images, labels : torch.Tensor
            Digits without patterns.
        patterns : torch.Tensor of int64
            Which pattern is on which.
        strength : float
            Of the reversal.
        rate : float
            Of learning.
        """
        if self._method.worst:
            patterns = losses_of_all(self.model, images, labels, self._patterns).argmax(dim=1)
        features = self.model.features(blend(images, self._patterns[patterns]))
        loss = functional.cross_entropy(self.model.head(features), labels)
        if self._method.reverse:
            told = self._side(Reversal.apply(features, strength))
            loss = loss + functional.cross_entropy(told, patterns)
        self._trainer.minimise(loss, self._optimizer, rate)

    def accuracy(self, images: Tensor, labels: Tensor) -> float:
        """Return how many images are classified right, in percent."""
        with torch.no_grad():
            return data.percent_right(self.model(images), labels)


class System(Workload):
    """Learning that a misaligned feature would mislead, four ways."""

    title = "Misaligned features"
    reference = (
        "Wang et al., Toward Learning Human-aligned Cross-domain Robust Models by Countering "
        "Misaligned Features (arXiv 2111.03740)"
    )
    simplified = (
        "Reconstructed from the abstract, for the repository that it names holds no code: which "
        "techniques follow from the bound is our reading. The worst case is found by trying every "
        "pattern; the reversed gradient and its schedule are those of Ganin et al. "
        "(arXiv 1505.07818), with a tenth of their strength, for at full strength the label, which "
        "the pattern predicts, is unlearned with it. The data are digits of 8 x 8 pixels blended "
        "with random patterns, in place of photographs, so that it is known what is misaligned."
    )
    metrics: ClassVar = {
        "accuracy": Metric("accuracy out of distribution, three methods", "%"),
        "plain": Metric("plain", "%"),
        "worst": Metric("worst case", "%"),
        "reverse": Metric("reversed gradient", "%"),
        "both": Metric("both", "%"),
        "inside": Metric("plain, in distribution", "%"),
        "worst_gain": Metric("gain by worst case", "%"),
        "reverse_gain": Metric("gain by reversed gradient", "%"),
        "both_gain": Metric("gain by both", "%"),
    }
    criterion = (
        rules.accuracy("accuracy"),
        rules.same_sign("worst_gain"),
        rules.same_sign("reverse_gain"),
        rules.same_sign("both_gain"),
        rules.flushed(),
    )

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.steps = trainer.choose(full=600, quick=100)
        self.data = data.digits(trainer.seed)
        self.patterns = patterns_of(trainer.rng)
        self.on_train = aligned(self.data.train_labels, trainer.rng)
        self.on_test = unrelated(self.data.test_labels, trainer.rng)
        self.inside = aligned(self.data.test_labels, trainer.rng)
        self.batches = data.batches(data.TRAIN_IMAGES, BATCH, self.steps, trainer.rng)
        network = Network()
        self.arms = {
            name: Arm(trainer, method, network, self.patterns) for name, method in METHODS.items()
        }
        self.models = nn.ModuleList(trainer.models)

    def step(self, k: int) -> None:
        """Train every arm on a batch."""
        batch = self.batches[k]
        images, labels = self.data.train_images[batch], self.data.train_labels[batch]
        strength, rate = strength_at(k / self.steps), RATE * cosine(k, self.steps)
        for arm in self.arms.values():
            arm.learn(images, labels, self.on_train[batch], strength, rate)

    def evaluate(self) -> Outcome:
        """Classify digits under patterns that tell nothing."""
        images, labels = self.data.test_images, self.data.test_labels
        outside = blend(images, self.patterns[self.on_test])
        inside = blend(images, self.patterns[self.inside])
        reached = {name: arm.accuracy(outside, labels) for name, arm in self.arms.items()}
        methods = [name for name in METHODS if name != "plain"]
        gains = {f"{name}_gain": reached[name] - reached["plain"] for name in methods}
        others = {
            "accuracy": float(np.mean([reached[name] for name in methods])),
            "inside": self.arms["plain"].accuracy(inside, labels),
        }
        return Outcome(reached | gains | others)
