# SPDX-License-Identifier: Apache-2.0
"""R-Mix and RL-Mix: images mixed by where the loss is sensitive to them.

Imports `analysis.training` and `harness`. Two classifiers learn of the same batches. The saliency
of an image is the gradient of the loss with respect to it, so that what a format does to the
backward pass becomes data. Of each image the patches above a quantile of its saliency are taken for
salient: a quantile drawn at random in R-Mix, one that an agent chooses in RL-Mix.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..training.configs import CastConfig
from ..training.convert import gemms
from .harness import Kept, Metric, Outcome, Trainer, Workload, data, one_cycle, rules

CLASSES = 10
BATCH = 100
EPISODE = data.TRAIN_IMAGES // BATCH
"""Steps of an epoch, after which the agent learns."""
LEVELS = torch.linspace(0.0, 0.99, 10)
"""The quantiles that there are to choose from."""
GRIDS = (2, 4, 8)
"""Patches along a side, of which a number is drawn each step."""
AGENT_GRID = 4
"""Patches along a side of the saliency that the agent sees, and is rewarded by."""
SMALLEST = torch.finfo(torch.float32).tiny

WIDTHS = (16, 32, 64)
PEAK_RATE = 0.3
SGD = {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-4}

AGENT_RATE = 3e-4
AGENT_PASSES = 10
HIDDEN = 64
DISCOUNT, TRACE = 0.99, 0.95
CLIP = 0.2
VALUE_WEIGHT = 0.5


class Block(nn.Module):
    """Two convolutions behind batch normalisation and ReLU, and a way past them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.before = nn.BatchNorm2d(inputs)
        self.first = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.between = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.past = (
            nn.Identity()
            if inputs == outputs and stride == 1
            else nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features of half the resolution if the stride is 2."""
        active = self.before(x).relu()
        past = x if isinstance(self.past, nn.Identity) else self.past(active)
        return past + self.second(self.between(self.first(active)).relu())


class Classifier(nn.Sequential):
    """A residual network of pre-activation blocks, for digits."""

    def __init__(self) -> None:
        first, second, third = WIDTHS
        super().__init__(
            nn.Conv2d(1, first, 3, padding=1, bias=False),
            Block(first, first, 1),
            Block(first, second, 2),
            Block(second, third, 2),
            nn.BatchNorm2d(third),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(third, CLASSES),
        )


def saliency_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the loss whose gradient is the saliency."""
    return 2 / CLASSES * functional.cross_entropy(logits, labels)


def saliency_of(gradient: Tensor) -> Tensor:
    """Return the root of the channels' mean of squares, of shape (images, rows, columns)."""
    largest = gradient.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=SMALLEST)
    # The squares of a gradient of 1e-23 are none of FP32's.
    return (gradient / largest).square().mean(dim=1).sqrt() * largest.squeeze(1)


def pooled(saliency: Tensor, grid: int) -> Tensor:
    """Return the mean of each of grid x grid patches."""
    return functional.avg_pool2d(saliency, saliency.shape[-1] // grid)


def normalised(saliency: Tensor) -> Tensor:
    """Return the saliency of each image with a sum of 1, or of 0 if it has none."""
    return saliency / saliency.sum(dim=(1, 2), keepdim=True).clamp(min=SMALLEST)


def masks_of(saliency: Tensor, choices: Tensor) -> Tensor:
    """Return which pixels are salient.

    Parameters
    ----------
    saliency : torch.Tensor
        Pooled, of shape (images, grid, grid).
    choices : torch.Tensor of int64
        Which of the `LEVELS` is each image's quantile.

    Returns
    -------
    torch.Tensor of bool
        Of shape (images, 8, 8): all of a patch whose saliency reaches the quantile.
    """
    quantiles = torch.quantile(saliency.flatten(1), LEVELS, dim=1)
    chosen = quantiles.gather(0, choices[None])[0]
    salient = saliency >= chosen[:, None, None]
    times = data.SIZE // saliency.shape[-1]
    return salient.repeat_interleave(times, dim=1).repeat_interleave(times, dim=2)


class Mixed(NamedTuple):
    """Mixed images and labels.

    Attributes
    ----------
    images : torch.Tensor
        Of shape (images, 1, 8, 8).
    labels : torch.Tensor
        Of shape (images, classes): what share of the image is of which class.
    """

    images: Tensor
    labels: Tensor


def mix(images: Tensor, labels: Tensor, masks: Tensor, order: Tensor, share: float) -> Mixed:
    """Mix each image with another one.

    Where both are salient, or none is, each has its share of the pixel. Elsewhere the pixel is that
    of the salient one. The labels are mixed by what the images have of the area.

    Parameters
    ----------
    images, labels : torch.Tensor
        Of shapes (images, 1, 8, 8) and (images,).
    masks : torch.Tensor of bool
        Which pixels are salient, of shape (images, 8, 8).
    order : torch.Tensor of int64
        Which other one.
    share : float
        Of the first image.
    """
    weight = torch.where(masks == masks[order], share, masks.float())
    area = weight.mean(dim=(1, 2))[:, None]
    weight = weight[:, None]
    targets = functional.one_hot(labels, CLASSES).float()
    return Mixed(
        weight * images + (1 - weight) * images[order],
        area * targets + (1 - area) * targets[order],
    )


class Draw(NamedTuple):
    """What is random in a step.

    Attributes
    ----------
    order : torch.Tensor of int64
        The permuted batch.
    share : float
        From Dirichlet(1, 1).
    grid : int
        Patches along a side.
    choices : torch.Tensor of int64
        Which of the `LEVELS`, image by image.
    noise : torch.Tensor
        Gumbel's, with which the largest logit is a draw from their softmax.
    """

    order: Tensor
    share: float
    grid: int
    choices: Tensor
    noise: Tensor


def draw(rng: np.random.Generator) -> Draw:
    """Draw what a step needs."""
    noise = rng.gumbel(size=(BATCH, len(LEVELS))).astype(np.float32)
    return Draw(
        torch.from_numpy(rng.permutation(BATCH)),
        float(rng.dirichlet((1.0, 1.0))[0]),
        int(rng.choice(GRIDS)),
        torch.from_numpy(rng.integers(len(LEVELS), size=BATCH)),
        torch.from_numpy(noise),
    )


class Learner:
    """A classifier that learns of mixed batches.

    Attributes
    ----------
    model : Classifier
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self.model = trainer.convert(Classifier())
        self._optimizer = torch.optim.SGD(self.model.parameters(), lr=PEAK_RATE, **SGD)

    def look(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the saliency of images, of shape (images, 8, 8), and their logits."""
        inputs = images.clone().requires_grad_()
        logits = self.model(inputs)
        (gradient,) = self._trainer.gradient(saliency_loss(logits, labels), [inputs])
        return saliency_of(gradient), logits.detach()

    def learn(self, mixed: Mixed, share: float) -> Tensor:
        """Train one step, and return the saliency of the mixed images but for a factor.

        Parameters
        ----------
        mixed : Mixed
            What to learn of.
        share : float
            Of the highest learning rate.
        """
        inputs = mixed.images.clone().requires_grad_()
        loss = functional.cross_entropy(self.model(inputs), mixed.labels)
        self._trainer.minimise(loss, self._optimizer, PEAK_RATE * share)
        return saliency_of(inputs.grad)

    def accuracy(self, images: Tensor, labels: Tensor) -> float:
        """Return how many images are classified right, in percent."""
        self.model.eval()
        with torch.no_grad():
            logits = self.model(images)
        self.model.train()
        return data.percent_right(logits, labels)


class Agent(nn.Module):
    """A policy and its value: from saliency and logits of a batch to a quantile for each image."""

    def __init__(self) -> None:
        super().__init__()
        self.saliency = nn.Sequential(
            nn.Conv2d(BATCH, HIDDEN, 3), nn.ReLU(), nn.Conv2d(HIDDEN, HIDDEN, 2), nn.ReLU()
        )
        self.logits = nn.Linear(CLASSES, CLASSES)
        self.joined = nn.Linear(HIDDEN + BATCH * CLASSES, HIDDEN)
        self.head = nn.Linear(HIDDEN, BATCH * len(LEVELS) + 1)

    def forward(self, saliency: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-probabilities and values.

        Parameters
        ----------
        saliency : torch.Tensor
            Of shape (steps, images, grid, grid).
        logits : torch.Tensor
            Of shape (steps, images, classes).

        Returns
        -------
        torch.Tensor
            Of shape (steps, images, levels).
        torch.Tensor
            Of shape (steps,).
        """
        parts = self.saliency(saliency).flatten(1), self.logits(logits).flatten(1)
        out = self.head(self.joined(torch.cat(parts, dim=1)).relu())
        policy = out[:, :-1].unflatten(1, (BATCH, len(LEVELS))).log_softmax(dim=-1)
        return policy, out[:, -1]


class Moment(NamedTuple):
    """A step of an episode.

    Attributes
    ----------
    saliency, logits : torch.Tensor
        What the agent saw.
    choices : torch.Tensor of int64
        What it did.
    likelihood, value : torch.Tensor
        The logarithm of how likely that was, and what it expected.
    reward : torch.Tensor
        What it got.
    """

    saliency: Tensor
    logits: Tensor
    choices: Tensor
    likelihood: Tensor
    value: Tensor
    reward: Tensor


def likelihood_of(policy: Tensor, choices: Tensor) -> Tensor:
    """Return the logarithm of how likely the choices of all images are together."""
    return policy.gather(-1, choices[..., None]).sum(dim=(-2, -1))


def similarity(before: Tensor, after: Tensor) -> Tensor:
    """Return the cosine between the saliencies of a whole batch; 0 if one is not finite."""
    before, after = (x.flatten() / x.abs().max().clamp(min=SMALLEST) for x in (before, after))
    return functional.cosine_similarity(before, after, dim=0).nan_to_num(0.0)


def advantages_of(rewards: Tensor, values: Tensor) -> Tensor:
    """Return generalised advantages of an episode, which ends after its last step."""
    found = torch.zeros(len(rewards))
    after = following = 0.0
    for k in reversed(range(len(rewards))):
        error = rewards[k] + DISCOUNT * following - values[k]
        after = error + DISCOUNT * TRACE * after
        found[k], following = after, values[k]
    return found


def clipped(ratio: Tensor, advantages: Tensor) -> Tensor:
    """Return PPO's loss of a policy, which gains nothing by going further from the old one."""
    near = ratio.clamp(1 - CLIP, 1 + CLIP)
    return -torch.minimum(ratio * advantages, near * advantages).mean()


class Chooser:
    """Chooses quantiles, and learns by proximal policy optimisation.

    Attributes
    ----------
    model : Agent
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self.model = trainer.convert(Agent())
        self._optimizer = torch.optim.Adam(self.model.parameters(), lr=AGENT_RATE)
        self._episode: list[Moment] = []

    def choose(self, saliency: Tensor, logits: Tensor, noise: Tensor) -> Moment:
        """Return choices for a batch, without a reward yet."""
        seen = normalised(saliency)
        with torch.no_grad():
            policy, value = self.model(seen[None], logits[None])
        choices = (policy[0] + noise).argmax(dim=-1)
        likelihood = likelihood_of(policy[0], choices)
        return Moment(seen, logits, choices, likelihood, value[0], torch.tensor(math.nan))

    def reward(self, moment: Moment, reward: Tensor) -> None:
        """Take a reward, and learn if the episode is over."""
        self._episode.append(moment._replace(reward=reward))
        if len(self._episode) == EPISODE:
            self._learn(Moment(*(torch.stack(part) for part in zip(*self._episode, strict=True))))
            self._episode.clear()

    def _learn(self, episode: Moment) -> None:
        advantages = advantages_of(episode.reward, episode.value)
        returns = advantages + episode.value
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        for _ in range(AGENT_PASSES):
            policy, values = self.model(episode.saliency, episode.logits)
            ratio = (likelihood_of(policy, episode.choices) - episode.likelihood).exp()
            loss = clipped(ratio, advantages)
            loss = loss + VALUE_WEIGHT * functional.mse_loss(values, returns)
            self._trainer.minimise(loss, self._optimizer)


@contextmanager
def uncast(model: nn.Module) -> Iterator[None]:
    """Let a model multiply in FP32 inside."""
    before = {gemm: gemm.config for gemm in gemms(model).values()}
    for gemm in before:
        gemm.config = CastConfig.named("fp32")
    try:
        yield
    finally:
        for gemm, config in before.items():
            gemm.config = config


class System(Workload):
    """R-Mix and RL-Mix on digits."""

    title = "R-Mix"
    reference = (
        "Luu et al., Expeditious Saliency-guided Mix-up through Random Gradient Thresholding "
        "(arXiv 2212.04875)"
    )
    simplified = (
        "A residual network of three blocks, on digits of 8 x 8 pixels, for 24 epochs, in place of "
        "PreActResNet-18 on CIFAR-100 for 300. Patches are of 1, 2 or 4 pixels, as there are no "
        "more. The cycle of the learning rate has none of the momentum. The agent is smaller, "
        "learns after every epoch, and without a bound on the norm of its gradients. In so few "
        "episodes it does not come to choose better than at random: its arm shows that its data, "
        "rewards and updates work. Masks are compared for the same trained weights, with casts and "
        "without; those of two runs, whose weights soon differ, agree little better than by chance "
        "(67 %) in any format, and are shown but not judged."
    )
    metrics: ClassVar = {
        "accuracy": Metric("R-Mix, test accuracy", "%"),
        "rl_accuracy": Metric("RL-Mix, test accuracy", "%"),
        "masks": Metric("mask agreement, of the same weights", "%"),
        "run_masks": Metric("mask agreement with FP32's run", "%"),
        "reward": Metric("RL-Mix, reward", digits=3),
    }
    criterion = (
        rules.accuracy("accuracy"),
        rules.accuracy("rl_accuracy"),
        rules.at_least("masks", 85.0),
        rules.not_below("masks", "e5m2"),
        rules.flushed(),
    )

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.steps = trainer.choose(full=24, quick=3) * EPISODE
        self.data = data.digits(trainer.seed)
        self.batches = data.batches(data.TRAIN_IMAGES, BATCH, self.steps, trainer.rng)
        self.random, self.chosen = Learner(trainer), Learner(trainer)
        self.chooser = Chooser(trainer)
        self.models = nn.ModuleList([self.random.model, self.chosen.model, self.chooser.model])
        self.rewards: list[float] = []

    def step(self, k: int) -> None:
        """Train both classifiers on a batch, and the agent after the last one of an epoch."""
        batch = self.batches[k]
        images, labels = self.data.train_images[batch], self.data.train_labels[batch]
        rate = one_cycle(k + 1, self.steps + 1)
        drawn = draw(self.trainer.rng)

        saliency, _ = self.random.look(images, labels)
        masks = masks_of(normalised(pooled(saliency, drawn.grid)), drawn.choices)
        self.random.learn(mix(images, labels, masks, drawn.order, drawn.share), rate)

        saliency, logits = self.chosen.look(images, labels)
        before = pooled(saliency, AGENT_GRID)
        moment = self.chooser.choose(before, logits, drawn.noise)
        masks = masks_of(normalised(pooled(saliency, drawn.grid)), moment.choices)
        after = self.chosen.learn(mix(images, labels, masks, drawn.order, drawn.share), rate)
        reward = similarity(before, pooled(after, AGENT_GRID))
        self.chooser.reward(moment, reward)
        self.rewards.append(reward.item())

    def evaluate(self) -> Outcome:
        """Classify the test images, and see which of their pixels are salient."""
        test = self.data.test_images, self.data.test_labels
        masks = self._all_masks()
        with uncast(self.random.model):
            reference = self._all_masks()
        metrics = {
            "accuracy": self.random.accuracy(*test),
            "rl_accuracy": self.chosen.accuracy(*test),
            "masks": agreement(masks, reference),
            "reward": float(np.mean(self.rewards[-EPISODE:])),
        }
        return Outcome(metrics, kept={"masks": masks})

    def _all_masks(self) -> np.ndarray:
        """Return R-Mix's masks of test images for every grid and level, eight pixels a byte."""
        images, labels = self.data.test_images[:BATCH], self.data.test_labels[:BATCH]
        self.random.model.eval()
        saliency, _ = self.random.look(images, labels)
        self.random.model.train()
        masks = [
            masks_of(pooled(saliency, grid), torch.full((BATCH,), level))
            for grid in GRIDS
            for level in range(len(LEVELS))
        ]
        return np.packbits(torch.stack(masks).numpy())

    @staticmethod
    def compare(kept: Kept, reference: Kept) -> dict[str, float]:
        """Return how many pixels are salient, or not, in both runs, in percent."""
        return {"run_masks": agreement(kept["masks"], reference["masks"])}


def agreement(masks: np.ndarray, others: np.ndarray) -> float:
    """Return how many bits of bytes are equal, in percent: 67 of masks that are drawn at random."""
    return 100 * (1 - float(np.unpackbits(masks ^ others).mean()))
