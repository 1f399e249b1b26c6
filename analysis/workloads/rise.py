# SPDX-License-Identifier: Apache-2.0
"""RISE: a student learns from a teacher of images and text, and from sentences themselves.

Imports `files` and `harness`; `analysis.encoder` only to make the sentences' embeddings anew.
"""

from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ... import files
from .harness import Metric, Outcome, Trainer, Workload, data, domains, rules
from .harness.trainer import cosine

TEXTS = Path(__file__).parent / "rise_texts.npy"
"""Embeddings of sentences, as part of the repository: what `embedded` gives. To make it anew:
``make encoder`` and ``python -c 'from hif8.analysis.workloads import rise; rise.renew()'``."""

CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEMPLATES = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)
"""Of which a class has the mean embedding; they are the paper's, out of CLIP's."""
DOMAIN_TEMPLATES = ("a drawing of a {}", "a negative of a {}", "a collage of a {}")
"""For `domains.SOURCES`: the paper's ``a sketch of a dog``, with the names of these."""

TEMPERATURE = 3.0
LOGIT_SCALE = 100.0
"""Of the cosines of the teacher's images and texts, as in CLIP."""
RELATIVE_SCALE = 10.0
RATE, LATE = 3e-2, 0.8
"""The learning rate, and after which share of the steps it is a tenth of that."""
DISTILL, CLASSIFY, DISTANCE = 0.9, 0.1, 1.0
"""Weights of the losses, within the ranges that the paper searched."""

OCTAVES = (1, 2, 4, 8)
TEACHER_RATE, TEACHER_BATCH = 3e-3, 96
NOTES = 10
"""How often, over a run, the gradient of the relative distance is measured."""


def embedded() -> np.ndarray:
    """Return the embeddings of sentences by a pretrained encoder, of shape (4, classes, 384).

    First those of the classes, a mean over `TEMPLATES`; then one for each of `DOMAIN_TEMPLATES`.
    """
    from .. import encoder

    weights, tokens = encoder.load(), encoder.tokenizer()

    def of(template: str) -> np.ndarray:
        sentences = [tokens(template.format(f"digit {name}")) for name in CLASSES]
        return encoder.embed(weights, sentences)

    means = np.mean([of(template) for template in TEMPLATES], axis=0)
    return np.stack([means, *map(of, DOMAIN_TEMPLATES)]).astype(np.float32)


def renew() -> Path:
    """Embed the sentences, and keep the embeddings."""
    return files.save_array(TEXTS, embedded())


def distillation(logits: Tensor, teacher: Tensor) -> Tensor:
    """Return the divergence of softened probabilities from the teacher's, times T^2."""
    return TEMPERATURE**2 * functional.kl_div(
        (logits / TEMPERATURE).log_softmax(dim=1),
        (teacher / TEMPERATURE).log_softmax(dim=1),
        reduction="batchmean",
        log_target=True,
    )


def absolute_distance(embeddings: Tensor, texts: Tensor) -> Tensor:
    """Return the mean of 1 - cosine of images and the texts of what they show."""
    return (1 - functional.cosine_similarity(embeddings, texts)).mean()


def relative_distance(embeddings: Tensor, texts: Tensor, domain_texts: Tensor) -> Tensor:
    """Return by how much images lie otherwise than texts towards the texts of the domains.

    Parameters
    ----------
    embeddings, texts : torch.Tensor
        Of shape (images, width): of the images, and of the classes that they show.
    domain_texts : torch.Tensor
        Of shape (images, domains, width): of the same classes in each domain.
    """
    student, teacher = (
        functional.cosine_similarity(x.unsqueeze(1), domain_texts, dim=2).softmax(dim=1)
        for x in (embeddings, texts)
    )
    return RELATIVE_SCALE * functional.mse_loss(student, teacher)


class Student(nn.Module):
    """A small convolutional network that embeds images as texts are, and classifies embeddings."""

    def __init__(self, texts: Tensor) -> None:
        super().__init__()
        self.embed = nn.Sequential(
            domains.trunk(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(domains.FEATURES, texts.shape[1]),
        )
        self.head = nn.Linear(texts.shape[1], len(texts))
        with torch.no_grad():
            self.head.weight.copy_(functional.normalize(texts))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of images."""
        return self.head(self.embed(x))


def textures(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return random backgrounds, noise of several scales, of shape (count, 3, 8, 8)."""
    made = 0.5
    for cells in OCTAVES:
        noise = rng.normal(size=(count, domains.CHANNELS, cells, cells))
        noise *= rng.uniform(0, 0.5 / cells**0.5, (count, 1, 1, 1))
        made = made + np.kron(noise, np.ones((data.SIZE // cells,) * 2))
    return np.clip(made, 0, 1).astype(np.float32)


def class_texts() -> Tensor:
    """Return the embeddings of the classes, of shape (10, 384)."""
    return torch.from_numpy(files.load_array(TEXTS)[0])


@cache
def teacher(seed: int, steps: int) -> nn.Module:
    """Return a network trained to embed images as the texts of what they show, in FP32.

    It has seen many domains, of random backgrounds, but no photograph: as CLIP, it knows more
    domains than the student, but not the one that is held out. Its random numbers are its own, so
    that a run is the same whether it was there before or not.
    """
    rng, digits, texts = np.random.default_rng([seed, steps]), data.digits(seed), class_texts()
    width = domains.FEATURES * (domains.MAP // 2) ** 2
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(
            domains.trunk(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(width, texts.shape[1])
        )
    optimizer = torch.optim.Adam(model.parameters())
    for k in range(steps):
        optimizer.param_groups[0]["lr"] = TEACHER_RATE * cosine(k, steps)
        places = rng.integers(len(digits.train_images), size=TEACHER_BATCH)
        images = domains.over(textures(len(places), rng), digits.train_images[places])
        logits = compared(model(images), texts)
        functional.cross_entropy(logits, digits.train_labels[places]).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.requires_grad_(False)


def compared(embeddings: Tensor, texts: Tensor) -> Tensor:
    """Return logits: the cosines of images and texts, scaled as CLIP does."""
    return LOGIT_SCALE * functional.normalize(embeddings) @ functional.normalize(texts).T


class System(Workload):
    """The workload."""

    title = "RISE"
    reference = (
        "Huang et al., A Sentence Speaks a Thousand Images: Domain Generalization through "
        "Distilling CLIP with Language Guidance, ICCV 2023 (arXiv 2309.12530)"
    )
    simplified = (
        "The texts are embedded by a real encoder of sentences, but the teacher of images is a "
        "small network, trained in FP32 to meet them on digits over random backgrounds; it has "
        "seen no photograph. The student learns from its initialisation and not from ImageNet's "
        "weights, so at a learning rate of 3e-2 in place of 1e-3. Images are not augmented, so "
        "that the teacher's logits are computed once."
    )
    metrics: ClassVar = {
        "accuracy": Metric("accuracy, held-out domain", "%"),
        "sources": Metric("accuracy, source domains", "%"),
        "relative_gradient": Metric("gradient norm of the relative distance", "", 5),
        "teacher": Metric("accuracy of the teacher, held-out domain", "%"),
    }
    criterion = (
        rules.accuracy("accuracy"),
        rules.flushed(),
        rules.ratio("relative_gradient", 1.1, 0.9),
    )

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.steps = trainer.choose(full=1200, quick=120)
        self.task = domains.Task(trainer.seed, trainer.rng)
        self.texts, *others = torch.from_numpy(files.load_array(TEXTS))
        self.domain_texts = torch.stack(others, dim=1)
        teach = teacher(trainer.seed, trainer.choose(full=500, quick=200))
        self.taught = compared(teach(self.task.images), self.texts)
        found = self.task.accuracies(lambda images: compared(teach(images), self.texts))
        self.teacher_accuracy = found[domains.HELD_OUT]
        self.model = trainer.convert(Student(self.texts))
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=RATE, momentum=0.9, weight_decay=5e-4
        )
        self.norms: list[float] = []

    def step(self, k: int) -> None:
        """Train on all four losses."""
        places = self.task.draw(self.trainer.rng, each=32)
        labels = self.task.labels[places]
        embeddings = self.model.embed(self.task.images[places])
        logits = self.model.head(embeddings)
        absolute = absolute_distance(embeddings, self.texts[labels])
        loss = (
            DISTILL * distillation(logits, self.taught[places])
            + CLASSIFY * functional.cross_entropy(logits, labels)
            + DISTANCE * (absolute + self.relative(embeddings, labels))
        )
        if k % (self.steps // NOTES) == 0:
            self.norms.append(self.norm(places))
        rate = RATE if k < LATE * self.steps else RATE / 10
        self.trainer.minimise(loss, self.optimizer, rate)

    def relative(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Return the relative distance of embeddings of images with these labels."""
        return relative_distance(embeddings, self.texts[labels], self.domain_texts[labels])

    def norm(self, places: Tensor) -> float:
        """Return the norm of the relative distance's gradient, of all weights that embed images."""
        embeddings = self.model.embed(self.task.images[places])
        loss = self.relative(embeddings, self.task.labels[places])
        gradients = self.trainer.gradient(loss, list(self.model.embed.parameters()))
        return torch.cat([gradient.flatten() for gradient in gradients]).norm().item()

    def evaluate(self) -> Outcome:
        """Measure the accuracy by domain, and the mean of the norms that were noted."""
        measured = domains.summary(self.task.accuracies(self.model))
        return Outcome(
            {
                **measured,
                "relative_gradient": float(np.mean(self.norms)),
                "teacher": self.teacher_accuracy,
            }
        )
