# SPDX-License-Identifier: Apache-2.0
"""Dynamic Vision Transformer: a cascade that looks at an image closely only if it must.

Imports `analysis.training.layers` and the harness. What it asks of a format is that confidences
keep to the right side of thresholds, and that raw logits of attention can be handed on.
"""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..training.layers import MatMul
from .harness import Kept, Metric, Outcome, Trainer, Workload, data, one_cycle, rules
from .harness.transformer import Block, perceptron

CLASSES = 10
SIDES = (2, 4, 8)
"""Tokens along a side, of each exit: 4, 16 and 64 tokens."""
WIDTH, HEADS, DEPTH, RATIO = 32, 2, 2, 2
DEVIATION = 0.2
"""Of class tokens and of what is learnt of places, at the start."""
REUSED, REUSED_HIDDEN = 8, 16
"""Channels of the features that are handed on, and of the layer that makes them."""
WIDER = 3
"""How many times wider the hidden layer is that makes the relations."""

BATCH, RATE, DECAY, WARM = 32, 1.5e-3, 0.05, 0.1
"""Images of a step; AdamW's highest rate and its decay; the share of steps that it rises. At twice
this rate attention saturates, and HiF8 flushes 1 to 4 % of the gradients at any loss scale from
2^12 to 2^16, for they are spread over more binades than it has."""

CHUNK = 200
"""Images that are looked at together when it is not trained."""

BUDGETS = np.arange(1, 60) / 20
"""Of the curve: each exit takes so many times the share of images of the exit before."""
BUDGET = 0.5
"""Where the dynamic accuracy is measured."""

Floats = npt.NDArray[np.float32]


class Exit(nn.Module):
    """A vision transformer on square patches, which reuses what the exit before has found.

    Parameters
    ----------
    side : int
        Tokens along a side of the image.
    reuses : bool
        Whether there is an exit before.
    """

    def __init__(self, side: int, reuses: bool) -> None:
        super().__init__()
        self.patch = data.SIZE // side
        self.side = side
        self.embed = nn.Linear(self.patch**2, WIDTH)
        self.token = nn.Parameter(DEVIATION * torch.randn(1, 1, WIDTH))
        self.places = nn.Parameter(DEVIATION * torch.randn(1, side**2 + 1, WIDTH))
        context = REUSED if reuses else 0
        self.blocks = nn.ModuleList(Block(WIDTH, HEADS, RATIO, context) for _ in range(DEPTH))
        self.features = nn.ModuleList(FeatureReuse(side) for _ in range(DEPTH * reuses))
        self.relations = RelationReuse(side) if reuses else None
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(
        self, images: Tensor, features: Tensor | None = None, relations: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits of classes, and what the next exit may reuse.

        Parameters
        ----------
        images : torch.Tensor
            Of shape (images, 8, 8).
        features : torch.Tensor, optional
            Tokens of the exit before, after its last block.
        relations : torch.Tensor, optional
            Logits of all of its attention, of shape (images, blocks x heads, tokens, tokens).
        """
        tokens = self.embed(patches(images, self.patch))
        x = torch.cat((self.token.expand(len(images), -1, -1), tokens), dim=1) + self.places
        added = [None] * DEPTH if relations is None else self.relations(relations).chunk(DEPTH, 1)
        found = []
        for k, block in enumerate(self.blocks):
            context = None if features is None else self.features[k](features)
            x, logits = block(x, added[k], context)
            found.append(logits)
        return self.head(self.norm(x[:, 0])), x, torch.cat(found, dim=1)


class FeatureReuse(nn.Module):
    """What a block's perceptron is told of the tokens of the exit before.

    Parameters
    ----------
    side : int
        Tokens along a side, of this exit.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side
        self.norm = nn.LayerNorm(WIDTH)
        self.perceptron = perceptron(WIDTH, REUSED_HIDDEN, REUSED)

    def forward(self, features: Tensor) -> Tensor:
        """Return a context for every token; that of the class token is zero."""
        y = self.perceptron(self.norm(features))[:, 1:]
        y = upsample(y.transpose(1, 2), self.side).transpose(1, 2)
        return functional.pad(y, (0, 0, 1, 0))


class RelationReuse(nn.Module):
    """What is added to the logits of attention, from all of those of the exit before.

    Parameters
    ----------
    side : int
        Tokens along a side, of this exit.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side
        channels = DEPTH * HEADS
        self.mix = nn.Sequential(
            nn.Conv2d(channels, WIDER * channels, 1),
            nn.GELU(),
            nn.Conv2d(WIDER * channels, channels, 1),
        )

    def forward(self, relations: Tensor) -> Tensor:
        """Return them mixed, and as many as there are pairs of tokens here."""
        y = self.mix(relations)
        for _ in range(2):  # the tokens that are looked at, then those that look
            fine = upsample(y[..., 1:], self.side)
            y = torch.cat((y[..., :1], fine), dim=-1).transpose(-2, -1)
        return y


class Cascade(nn.Module):
    """All exits, coarse to fine."""

    def __init__(self) -> None:
        super().__init__()
        self.exits = nn.ModuleList(Exit(side, reuses=k > 0) for k, side in enumerate(SIDES))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of every exit, of shape (exits, images, classes)."""
        features = relations = None
        found = []
        for part in self.exits:
            logits, features, relations = part(images, features, relations)
            found.append(logits)
        return torch.stack(found)


def patches(images: Tensor, size: int) -> Tensor:
    """Return square patches of images, row by row, of shape (images, patches, pixels)."""
    count = images.shape[-1] // size
    parts = images.unflatten(2, (count, size)).unflatten(1, (count, size)).transpose(2, 3)
    return parts.flatten(3).flatten(1, 2)


def upsample(x: Tensor, side: int) -> Tensor:
    """Repeat what belongs to the places of a grid, the last axis, on a finer one."""
    old = round(x.shape[-1] ** 0.5)
    times = side // old
    grid = x.unflatten(-1, (old, old))
    return grid.repeat_interleave(times, -2).repeat_interleave(times, -1).flatten(-2)


def shares(budget: float) -> npt.NDArray[np.float64]:
    """Return what share of the images each exit shall take: a geometric series."""
    parts = budget ** np.arange(1, len(SIDES) + 1)
    return parts / parts.sum()


def find_thresholds(confidences: Floats, wanted: Sequence[float]) -> Floats:
    """Return the confidences at which images leave, for exits to take their shares of them.

    Parameters
    ----------
    confidences : numpy.ndarray
        Of training images, of shape (exits, images).
    wanted : sequence of float
        The share of each exit.

    Returns
    -------
    numpy.ndarray
        Of shape (exits,); the last exit lets all go.
    """
    left = np.ones(confidences.shape[1], bool)
    found = []
    for own, share in zip(confidences[:-1], wanted, strict=False):
        count = min(int(share * own.size), left.sum())
        found.append(np.sort(own[left])[-count] if count else np.inf)
        left &= own < found[-1]
    return np.array([*found, -np.inf], np.float32)


def leave(confidences: Floats, thresholds: Floats) -> npt.NDArray[np.int64]:
    """Return at which exit images leave: the first whose threshold they reach."""
    return (confidences >= thresholds[:, None]).argmax(axis=0)


def multiplications() -> npt.NDArray[np.float64]:
    """Return how many one image needs, all told, to each of the exits."""
    with torch.device("meta"):
        cascade, image = Cascade(), torch.zeros(1, data.SIZE, data.SIZE)
    counts: list[int] = []

    def count(part: nn.Module, operands: tuple[Tensor, ...], y: Tensor) -> None:
        terms = operands[0].shape[-1] if isinstance(part, MatMul) else part.weight[0].numel()
        counts[-1] += y.numel() * terms

    for part in cascade.modules():
        if isinstance(part, Exit):
            part.register_forward_pre_hook(lambda *_: counts.append(0))
        elif isinstance(part, nn.Linear | nn.Conv2d | MatMul):
            part.register_forward_hook(count)
    cascade(image)
    return np.cumsum(counts, dtype=np.float64)


class Measured(NamedTuple):
    """What a cascade does with images within a budget.

    Attributes
    ----------
    accuracy : float
        In percent.
    cost : float
        Multiplications per image, in percent of those of all exits.
    exits : numpy.ndarray of int
        Where each image leaves.
    """

    accuracy: float
    cost: float
    exits: npt.NDArray[np.int64]


class Answers(NamedTuple):
    """What every exit says of images.

    Attributes
    ----------
    confidences : numpy.ndarray of float32
        The largest probability, of shape (exits, images).
    right : numpy.ndarray of bool
        Whether it is that of the label.
    """

    confidences: Floats
    right: npt.NDArray[np.bool_]


def measure(training: Answers, test: Answers, budget: float, costs: Floats) -> Measured:
    """Choose thresholds by the training images, and let the test images through the cascade."""
    exits = leave(test.confidences, find_thresholds(training.confidences, shares(budget)))
    right = np.take_along_axis(test.right, exits[None], axis=0)
    return Measured(100 * right.mean(), 100 * costs[exits].mean() / costs[-1], exits)


class System(Workload):
    """A Dynamic Vision Transformer on handwritten digits."""

    title = "Dynamic Vision Transformer"
    reference = (
        "Wang et al., Not All Images are Worth 16x16 Words: Dynamic Transformers for Efficient "
        "Image Recognition, NeurIPS 2021 (arXiv 2105.15075)"
    )
    simplified = (
        "Digits of 8x8 pixels for ImageNet, and plain linear patches, as of DeiT, for T2T's. Three "
        "exits of two blocks of width 32, with 4, 16 and 64 tokens for 49, 100 and 196; so the "
        "finer grid is a multiple of the coarser, and upsampling by repetition is exact. No "
        "augmentation, label smoothing or stochastic depth."
    )
    loss_scale = 2.0**12
    metrics: ClassVar = {
        "accuracy": Metric("dynamic accuracy", "%"),
        "cost": Metric("multiplications, of those of all exits", "%"),
        "agreement": Metric("images that leave where FP32's do", "%"),
        "coarse": Metric("leave at exit 1", "%"),
        "middle": Metric("leave at exit 2", "%"),
        "fine": Metric("leave at exit 3", "%"),
        "accuracy1": Metric("accuracy of exit 1", "%"),
        "accuracy2": Metric("accuracy of exit 2", "%"),
        "accuracy3": Metric("accuracy of exit 3", "%"),
    }
    criterion = (
        rules.accuracy("accuracy"),
        rules.near("coarse", 3),
        rules.near("middle", 3),
        rules.near("fine", 3),
        rules.at_least("agreement", 93),
        rules.flushed(),
    )
    curve: ClassVar = ("accuracy", "cost")
    uncast: ClassVar = {
        f"model.exits.{k}.head": "the last layer of its exit" for k in range(len(SIDES))
    }

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.steps = trainer.choose(full=450, quick=30)
        digits = data.digits(trainer.seed)
        self.training = digits.train_images.squeeze(1), digits.train_labels
        self.test = digits.test_images.squeeze(1), digits.test_labels
        self.batches = data.batches(data.TRAIN_IMAGES, BATCH, self.steps, trainer.rng)
        self.costs = multiplications()
        self.model = trainer.convert(Cascade(), lambda _, name: not name.endswith("head"))
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=RATE, weight_decay=DECAY, fused=True
        )

    def step(self, k: int) -> None:
        """Train all exits alike: the loss is the sum of theirs."""
        images, labels = (part[self.batches[k]] for part in self.training)
        loss = sum(functional.cross_entropy(logits, labels) for logits in self.model(images))
        rate = RATE * one_cycle(k + 1, self.steps + 1, WARM)
        self.trainer.minimise(loss, self.optimizer, rate)

    def evaluate(self) -> Outcome:
        """Measure the cascade within its budget, every exit, and the curve over budgets."""
        training, test = (self.answers(*part) for part in (self.training, self.test))
        dynamic = measure(training, test, BUDGET, self.costs)
        curve = [measure(training, test, budget, self.costs)[:2] for budget in BUDGETS]
        left = 100 * np.bincount(dynamic.exits, minlength=len(SIDES)) / dynamic.exits.size
        accuracies = 100 * test.right.mean(axis=1)
        metrics = {
            "accuracy": dynamic.accuracy,
            "cost": dynamic.cost,
            **dict(zip(("coarse", "middle", "fine"), left, strict=True)),
            **{f"accuracy{k}": value for k, value in enumerate(accuracies, 1)},
        }
        kept = {"exits": dynamic.exits.astype(np.int8), "curve": np.array(curve, np.float32)}
        return Outcome({name: float(value) for name, value in metrics.items()}, kept)

    def answers(self, images: Tensor, labels: Tensor) -> Answers:
        """Return what every exit says of images."""
        with torch.no_grad():
            logits = torch.cat([self.model(part) for part in images.split(CHUNK)], dim=1)
        confidences, choices = logits.softmax(dim=-1).max(dim=-1)
        return Answers(confidences.numpy(), (choices == labels).numpy())

    @staticmethod
    def compare(kept: Kept, reference: Kept) -> dict[str, float]:
        """Return how many images leave where those of FP32 do."""
        return {"agreement": 100 * float((kept["exits"] == reference["exits"]).mean())}
