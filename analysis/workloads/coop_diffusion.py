# SPDX-License-Identifier: Apache-2.0
"""PanGu-Draw: two noise predictors split by time; Coop-Diffusion: models of other spaces together.

Imports the harness. Gradients of a small error at large times, its amplification when an image is
predicted from it, and errors that add up over the steps of a sampler, are what it asks of a format.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from sklearn.neural_network import MLPClassifier
from torch import Tensor, nn
from torch.nn import functional

from .harness import Metric, Outcome, Trainer, Workload, data, rules

TIMES = 1000
"""Steps of the forward process, with DDPM's linear schedule."""
SPLIT = 120
"""The structure generator predicts noise from here on, the texture generator before."""
HANDOVER = 500
"""Where the model of high resolution goes on with what that of low resolution has begun."""
SHARE = 0.5
"""Of the guiding model in the fused noise: the paper's delta."""
GUIDANCE = 2.0
"""How far predictions go from those without a condition towards, and beyond, those with it."""
DROPPED = 0.15
"""The share of examples whose condition is left out in training."""
CAP = 5.0
"""Of the ratio of signal to noise in the weights of the loss."""

SIZE, LOW, SMALL = data.SIZE, 6, 4
"""Sides of images, of the parts that the texture generator learns from, and of low resolution."""
COMPONENTS = 32
"""Dimensions of the second latent space."""
CLASSES, LAYOUT = 10, 5
"""Numbers of the two conditions: which digit; how much ink is in each quadrant, and a one. Zeros
stand for no condition."""
FREQUENCIES = 16
WIDTH, CHANNELS, BLOCKS = 192, 16, 2
"""Of the networks: numbers between layers, channels, and residual blocks."""

BATCH = 100
LEARNING_RATE = 2e-3

Predict = Callable[[Tensor, int], Tensor]
"""From a noisy latent and its time to the noise in it."""


def kept_signal() -> Tensor:
    """Return how much of the signal's variance is left at every time: the cumulative alphas."""
    betas = np.linspace(1e-4, 0.02, TIMES)
    return torch.from_numpy(np.cumprod(1 - betas).astype(np.float32))


ALPHAS = kept_signal()


def alpha(time: int) -> float:
    """Return how much of the signal's variance is left at a time; all before the first."""
    return ALPHAS[time].item() if time >= 0 else 1.0


def noised(clean: Tensor, noise: Tensor, times: Tensor | int) -> Tensor:
    """Return the latents of the forward process at some times."""
    a = ALPHAS[times].view(-1, *[1] * (clean.dim() - 1))
    return a.sqrt() * clean + (1 - a).sqrt() * noise


def cleaned(z: Tensor, noise: Tensor, time: int) -> Tensor:
    """Return the clean latent that a prediction of the noise means."""
    a = alpha(time)
    return (z - math.sqrt(1 - a) * noise) / math.sqrt(a)


def noise_between(z: Tensor, clean: Tensor, time: int) -> Tensor:
    """Return the noise that makes a clean latent the noisy one."""
    a = alpha(time)
    return (z - math.sqrt(a) * clean) / math.sqrt(1 - a)


def stepped(z: Tensor, noise: Tensor, time: int, later: int) -> Tensor:
    """Return the latent of DDIM's next step, at a smaller time; -1 is the clean one."""
    a = alpha(later)
    return math.sqrt(a) * cleaned(z, noise, time) + math.sqrt(1 - a) * noise


def path(steps: int) -> list[tuple[int, int]]:
    """Return the times of a sampler, each with the next one; the last is -1."""
    times = np.linspace(TIMES - 1, 0, steps).round().astype(int).tolist()
    return list(zip(times, [*times[1:], -1], strict=True))


def weights(times: Tensor) -> Tensor:
    """Return what squared errors of the noise weigh: less where there is little of it."""
    signal = ALPHAS[times] / (1 - ALPHAS[times])
    return signal.clamp(max=CAP) / signal


def sample(predict: Predict, z: Tensor, times: list[tuple[int, int]]) -> Tensor:
    """Return what DDIM makes of noise."""
    for time, later in times:
        z = stepped(z, predict(z, time), time, later)
    return z


class Space(NamedTuple):
    """A latent space.

    Attributes
    ----------
    encode, decode : callable
        From images to latents, and back.
    """

    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]


class Model(NamedTuple):
    """A diffusion model.

    Attributes
    ----------
    predict : callable
        Its prediction of the noise.
    space : Space
        Where it does so.
    """

    predict: Predict
    space: Space


def fuse(z: Tensor, main: Model, other_z: Tensor, other: Model, time: int, share: float) -> Tensor:
    """Return the noise in a latent that two models predict together, each in its space."""
    noise, other_noise = main.predict(z, time), other.predict(other_z, time)
    image = other.space.decode(cleaned(other_z, other_noise, time))
    carried = noise_between(z, main.space.encode(image), time)
    return share * carried + (1 - share) * noise


def coop_spaces(
    main: Model,
    other: Model,
    z: Tensor,
    other_z: Tensor,
    times: list[tuple[int, int]],
    share: float = SHARE,
) -> Tensor:
    """Return what two models of different latent spaces make together, in the main one's.

    Both step to where their fused prediction says, which is carried over to the other space by way
    of the image.
    """
    for time, later in times:
        noise = fuse(z, main, other_z, other, time, share)
        image = main.space.decode(cleaned(z, noise, time))
        other_noise = noise_between(other_z, other.space.encode(image), time)
        z = stepped(z, noise, time, later)
        other_z = stepped(other_z, other_noise, time, later)
    return z


def coop_sizes(
    low: Model, high: Model, z: Tensor, noise: Tensor, times: list[tuple[int, int]]
) -> Tensor:
    """Return what a model of high resolution makes of what one of low resolution has begun.

    They change at the first time before `HANDOVER`: the clean image that the one predicts is
    upscaled and mixed with noise of high resolution, and from there the other goes on.
    """
    cut = next(k for k, (time, _) in enumerate(times) if time < HANDOVER)
    at = times[cut][0]
    z = sample(low.predict, z, times[:cut])
    image = low.space.decode(cleaned(z, low.predict(z, at), at))
    begun = high.space.encode(enlarged(image))
    return sample(high.predict, noised(begun, noise, at), times[cut:])


def enlarged(images: Tensor) -> Tensor:
    """Return images of high resolution."""
    return functional.interpolate(images, size=(SIZE, SIZE), mode="bicubic", align_corners=False)


def shrunk(images: Tensor, size: int) -> Tensor:
    """Return images of low resolution, each pixel a mean."""
    return functional.interpolate(images, size=(size, size), mode="area")


def cropped(images: Tensor, size: int, rng: np.random.Generator) -> Tensor:
    """Return a square part of every image, from a random place."""
    places = rng.integers(SIZE - size + 1, size=(len(images), 2)).tolist()
    parts = [
        image[:, row : row + size, column : column + size]
        for image, (row, column) in zip(images, places, strict=True)
    ]
    return torch.stack(parts)


def layout(images: Tensor) -> Tensor:
    """Return the mean of every quadrant."""
    return shrunk(images, 2).flatten(1)


class Embedding(nn.Module):
    """Embed a time and a condition."""

    def __init__(self, conditions: int, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(2 * FREQUENCIES + conditions, width)
        self.second = nn.Linear(width, width)

    def forward(self, times: Tensor, condition: Tensor) -> Tensor:
        """Return one vector for each latent."""
        rates = torch.logspace(0, -3, FREQUENCIES)
        angles = times[:, None] * rates
        x = torch.cat((angles.sin(), angles.cos(), condition), dim=1)
        return functional.silu(self.second(functional.silu(self.first(x))))


class Dense(nn.Module):
    """A noise predictor for latents of one size, whose blocks see all of them.

    Parameters
    ----------
    size : int
        Numbers of a latent.
    conditions : int
        Numbers of the condition.
    """

    def __init__(self, size: int, conditions: int) -> None:
        super().__init__()
        self.embedding = Embedding(conditions, WIDTH)
        self.stem = nn.Linear(size, WIDTH)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(BLOCKS))
        self.inner = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(BLOCKS))
        self.outer = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(BLOCKS))
        self.head = nn.Linear(WIDTH, size)

    def forward(self, z: Tensor, times: Tensor, condition: Tensor) -> Tensor:
        """Return the noise in latents of any shape."""
        y = self.embedding(times, condition)
        x = self.stem(z.flatten(1))
        for norm, inner, outer in zip(self.norms, self.inner, self.outer, strict=True):
            x = x + outer(functional.silu(inner(norm(x) + y)))
        return self.head(x).view_as(z)


class Local(nn.Module):
    """A noise predictor for images of any size, by convolutions.

    Parameters
    ----------
    conditions : int
        Numbers of the condition.
    """

    def __init__(self, conditions: int) -> None:
        super().__init__()
        self.embedding = Embedding(conditions, CHANNELS)
        self.stem = nn.Conv2d(1, CHANNELS, 3, padding=1)
        self.norms = nn.ModuleList(nn.GroupNorm(1, CHANNELS) for _ in range(BLOCKS))
        self.inner = nn.ModuleList(
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1) for _ in range(BLOCKS)
        )
        self.outer = nn.ModuleList(
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1) for _ in range(BLOCKS)
        )
        self.head = nn.Linear(CHANNELS, 1)

    def forward(self, z: Tensor, times: Tensor, condition: Tensor) -> Tensor:
        """Return the noise in images of shape (images, 1, side, side)."""
        y = self.embedding(times, condition)[:, :, None, None]
        x = self.stem(z)
        for norm, inner, outer in zip(self.norms, self.inner, self.outer, strict=True):
            x = x + outer(functional.silu(inner(norm(x) + y)))
        return self.head(x.movedim(1, -1)).movedim(-1, 1)


class Components(nn.Module):
    """An orthogonal autoencoder: the principal components of images.

    Parameters
    ----------
    images : torch.Tensor
        Of shape (images, 1, 8, 8).
    """

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        pixels = images.flatten(1).double().numpy()
        mean = pixels.mean(axis=0)
        axes = np.linalg.svd(pixels - mean, full_matrices=False)[2][:COMPONENTS]
        self.encoder = nn.Linear(SIZE**2, COMPONENTS)
        self.decoder = nn.Linear(COMPONENTS, SIZE**2)
        with torch.no_grad():
            self.encoder.weight.copy_(torch.from_numpy(axes))
            self.encoder.bias.copy_(torch.from_numpy(-axes @ mean))
            self.decoder.weight.copy_(torch.from_numpy(axes.T))
            self.decoder.bias.copy_(torch.from_numpy(mean))
        self.requires_grad_(False)

    def encode(self, images: Tensor) -> Tensor:
        """Return latents."""
        return self.encoder(images.flatten(1))

    def decode(self, z: Tensor) -> Tensor:
        """Return images."""
        return self.decoder(z).view(-1, 1, SIZE, SIZE)


PIXELS = Space(encode=lambda images: images, decode=lambda z: z)
"""The space of images themselves."""


class Judge:
    """A classifier of digits, in NumPy and FP32, that says what was generated.

    Parameters
    ----------
    images, labels : torch.Tensor
        What it learns from.
    seed : int
        Of its training.
    """

    def __init__(self, images: Tensor, labels: Tensor, seed: int) -> None:
        self._model = MLPClassifier((32,), tol=1e-3, max_iter=1000, random_state=seed)
        self._model.fit(self._pixels(images), labels.numpy())

    def right(self, images: Tensor, labels: Tensor) -> float:
        """Return the share of images that look like their labels, in percent."""
        found = self._model.predict(self._pixels(images))
        return float(100 * (found == labels.numpy()).mean())

    def features(self, images: Tensor) -> np.ndarray:
        """Return the hidden layer's values."""
        weights, bias = self._model.coefs_[0], self._model.intercepts_[0]
        return np.maximum(self._pixels(images) @ weights + bias, 0).astype(np.float64)

    @staticmethod
    def _pixels(images: Tensor) -> np.ndarray:
        """Return images of which some may be no image at all."""
        return images.nan_to_num().clamp(-1, 1).flatten(1).numpy()


@cache
def judge(seed: int) -> Judge:
    """Return the judge of a seed."""
    digits = data.digits(seed)
    return Judge(2 * digits.train_images - 1, digits.train_labels, seed)


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Return the Frechet distance of two sets of features, each taken to be normal."""
    (one, other), shift = (np.cov(x, rowvar=False) for x in (a, b)), a.mean(axis=0) - b.mean(axis=0)
    values, vectors = np.linalg.eigh(one)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ other @ root).clip(0)).sum()
    return float(shift @ shift + np.trace(one) + np.trace(other) - 2 * cross)


class Task(NamedTuple):
    """What one of the models learns.

    Attributes
    ----------
    net : torch.nn.Module
        The model.
    latents, condition : torch.Tensor
        Of all examples.
    first, end : int
        The times that it is for, the last one left out.
    """

    net: nn.Module
    latents: Tensor
    condition: Tensor
    first: int
    end: int

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return times and noise for so many examples."""
        times = torch.randint(self.first, self.end, (count,), generator=generator)
        return times, torch.randn((count, *self.latents.shape[1:]), generator=generator)

    def errors(self, times: Tensor, noise: Tensor) -> Tensor:
        """Return the mean squared error of the noise that is predicted in each example."""
        predicted = self.net(noised(self.latents, noise, times), times.float(), self.condition)
        return (predicted - noise).square().flatten(1).mean(dim=1)

    def loss(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """Return the weighted error of some examples, a share of them without their condition."""
        times, noise = self.draw(len(batch), generator)
        stays = torch.rand(len(batch), 1, generator=generator) >= DROPPED
        condition = self.condition[batch] * stays
        drawn = self._replace(latents=self.latents[batch], condition=condition)
        return (weights(times) * drawn.errors(times, noise)).mean()


class System(Workload):
    """Training of all models, and sampling from them alone and together."""

    title = "PanGu-Draw with Coop-Diffusion"
    reference = (
        "Lu et al., PanGu-Draw: Advancing Resource-Efficient Text-to-Image Synthesis with "
        "Time-Decoupled Training and Reusable Coop-Diffusion, ECCV 2024 (arXiv 2312.16486)"
    )
    simplified = (
        "Digits of 8 x 8 pixels and their classes stand for images and texts, and the main latent "
        "space is that of pixels; the second one, of a model that knows the ink of each quadrant "
        "in place of a class, is that of 32 principal components. The structure generator and the "
        "other models without convolutions are dense residual networks; with so few pixels the "
        "generators change at time 120. Digits of still fewer pixels have other textures, so what "
        "the texture generator learns from at a low resolution are parts of 6 x 6 pixels, while "
        "half of the structure generator's images are upscaled from 4 x 4. The loss has the "
        "min-SNR weights of Hang et al. (arXiv 2303.09556), and sampling is guided without a "
        "classifier, as is usual for texts. One optimizer steps all models, which "
        "have no parameter in common. The second latent steps as the fused prediction says, so "
        "that both stay of one image. A classifier in FP32 judges what is generated."
    )
    metrics: ClassVar = {
        "accuracy": Metric("generated as wanted", "%"),
        "frechet": Metric("Frechet distance"),
        "structure": Metric("noise error, structure", digits=4),
        "texture": Metric("noise error, texture", digits=4),
        "spaces": Metric("generated as wanted, two spaces", "%"),
        "layout": Metric("error of the layout, two spaces", digits=4),
        "sizes": Metric("generated as wanted, two sizes", "%"),
    }
    criterion = (
        rules.accuracy("accuracy", 1.5),
        rules.within_spread("frechet"),
        rules.ratio("structure", 1.1),
        rules.ratio("texture", 1.1),
        rules.accuracy("spaces", 1.5),
        rules.accuracy("sizes", 1.5),
        rules.flushed(),
    )

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.steps = trainer.choose(full=900, quick=60)
        self.path = path(trainer.choose(full=25, quick=10))
        self.judge = judge(trainer.seed)
        digits = data.digits(trainer.seed)
        images, self.images = 2 * digits.train_images - 1, 2 * digits.test_images - 1
        self.labels = digits.test_labels
        self.batches = data.batches(len(images), BATCH, self.steps, trainer.rng)
        parts, self.parts = (cropped(x, LOW, trainer.rng) for x in (images, self.images))
        self.components = Components(images)
        latents = self.components.encode(images)
        trainer.convert(self.components, lambda *_: True)
        self.structure = trainer.convert(Dense(SIZE**2, CLASSES))
        self.texture = trainer.convert(Local(CLASSES))
        self.small = trainer.convert(Dense(SMALL**2, CLASSES))
        self.guide = trainer.convert(Dense(COMPONENTS, LAYOUT))
        digit = one_hot(digits.train_labels)
        self.tasks = (
            Task(self.structure, half_upscaled(images), digit, SPLIT, TIMES),
            Task(self.texture, parts, digit, 0, SPLIT),
            Task(self.small, shrunk(images, SMALL), digit, 0, TIMES),
            Task(self.guide, latents, of_layout(layout(images)), 0, TIMES),
        )
        parameters = [p for task in self.tasks for p in task.net.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE, fused=True)

    def step(self, k: int) -> None:
        """Train every model on one batch, at times of its own."""
        batch = self.batches[k]
        losses = [task.loss(batch, self.trainer.generator) for task in self.tasks]
        rate = LEARNING_RATE * (1 - k / self.steps)
        self.trainer.minimise(sum(losses), self.optimizer, rate)

    @torch.no_grad()
    def evaluate(self) -> Outcome:
        """Measure the errors of both halves, and what is generated in three ways."""
        generator = torch.Generator().manual_seed(self.trainer.seed)
        copies = self.trainer.choose(full=2, quick=1)
        labels, wanted = self.labels.repeat(copies), layout(self.images).repeat(copies, 1)
        main, small, guide = self.generator(labels), self.beginner(labels), self.guided(wanted)
        sides = (SIZE, SIZE), (SMALL, SMALL), (SIZE, SIZE)
        z, z_small, more = (torch.randn(len(labels), 1, *s, generator=generator) for s in sides)
        z_guide = torch.randn(len(labels), COMPONENTS, generator=generator)
        alone = sample(main.predict, z, self.path)
        spaces = coop_spaces(main, guide, z, z_guide, self.path)
        sizes = coop_sizes(small, main, z_small, more, self.path)
        real, features = (self.judge.features(x) for x in (self.images, alone))
        structure, texture = (
            self.error(task, latents, generator)
            for task, latents in zip(self.tasks[:2], (self.images, self.parts), strict=True)
        )
        return Outcome(
            {
                "accuracy": self.judge.right(alone, labels),
                "frechet": frechet(features, real),
                "structure": structure,
                "texture": texture,
                "spaces": self.judge.right(spaces, labels),
                "layout": (layout(spaces) - wanted).abs().mean().item(),
                "sizes": self.judge.right(sizes, labels),
            }
        )

    def generator(self, labels: Tensor) -> Model:
        """Return both halves as one model of wanted digits."""
        structure, texture = (
            predictor(net, one_hot(labels)) for net in (self.structure, self.texture)
        )
        return Model(lambda z, time: (structure if time >= SPLIT else texture)(z, time), PIXELS)

    def beginner(self, labels: Tensor) -> Model:
        """Return the model of low resolution."""
        return Model(predictor(self.small, one_hot(labels)), PIXELS)

    def guided(self, wanted: Tensor) -> Model:
        """Return the model of wanted layouts, in its own space."""
        space = Space(self.components.encode, self.components.decode)
        return Model(predictor(self.guide, of_layout(wanted)), space)

    def error(self, task: Task, latents: Tensor, generator: torch.Generator) -> float:
        """Return the mean squared error of the noise that a model predicts for test images."""
        test = task._replace(latents=latents, condition=one_hot(self.labels))
        times, noise = test.draw(len(latents), generator)
        return test.errors(times, noise).mean().item()


def predictor(net: nn.Module, condition: Tensor) -> Predict:
    """Return what a network predicts, with guidance free of classifiers to a condition of each."""
    both = torch.cat((condition, torch.zeros_like(condition)))

    def predict(z: Tensor, time: int) -> Tensor:
        times = torch.full((len(both),), float(time))
        towards, free = net(torch.cat((z, z)), times, both).chunk(2)
        return free + GUIDANCE * (towards - free)

    return predict


def one_hot(labels: Tensor) -> Tensor:
    """Return the condition that says which digits are wanted."""
    return functional.one_hot(labels, CLASSES).float()


def of_layout(wanted: Tensor) -> Tensor:
    """Return the condition that says which layouts are wanted."""
    return functional.pad(wanted, (0, 1), value=1.0)


def half_upscaled(images: Tensor) -> Tensor:
    """Return images of which the first half is upscaled from the smallest."""
    half = len(images) // 2
    return torch.cat((enlarged(shrunk(images[:half], SMALL)), images[half:]))
