# SPDX-License-Identifier: Apache-2.0
"""ACmix: attention and convolution of one layer share their projections.

Imports `analysis.training.layers` and the harness. The softmax's probabilities, one-hot kernels
that drift from there, and two branches of the same projections, cast for each, are what it asks of
a format.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..training.layers import MatMul
from .harness import Metric, Outcome, Trainer, Workload, cosine, data, rules

HEADS = 4
KERNEL = 3
BATCH = 64
RATE = 0.1


class ACmix(nn.Module):
    """A layer of local attention and of a convolution, mixed by two learned rates.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.size = outputs // HEADS
        self.q, self.k, self.v = (nn.Conv2d(inputs, outputs, 1) for _ in range(3))
        self.position = nn.Conv2d(2, self.size, 1)
        self.scores, self.mix = MatMul(), MatMul()
        places = KERNEL**2
        self.to_shifts = nn.Conv2d(3 * HEADS, places, 1, bias=False)
        self.shifts = nn.Conv2d(
            places * self.size, outputs, KERNEL, padding=KERNEL // 2, groups=self.size
        )
        one_hot = torch.eye(places).view(places, KERNEL, KERNEL)
        with torch.no_grad():
            self.shifts.weight.copy_(one_hot.expand(outputs, -1, -1, -1))
            self.shifts.bias.zero_()
        self.attention_rate = nn.Parameter(torch.tensor(0.5))
        self.convolution_rate = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        """Return both branches of the projections of an image, mixed."""
        q, k, v = self.q(x), self.k(x), self.v(x)
        attended = self.attention_rate * self.attend(q, k, v)
        return attended + self.convolution_rate * self.convolve(q, k, v)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend from every place to the neighbourhood around it."""
        n, channels, height, width = q.shape
        here = self.position(positions(height, width, q.device))
        around = neighbours(here) - here.view(1, self.size, 1, -1)  # how far off, as learned
        heads = n * HEADS, self.size, height, width
        queries = q.reshape(*heads[:2], 1, -1).permute(0, 3, 2, 1) * self.size**-0.5
        keys = (neighbours(k.reshape(heads)) - around).permute(0, 3, 1, 2)
        values = neighbours(v.reshape(heads)).permute(0, 3, 2, 1)
        weights = self.scores(queries, keys).softmax(dim=-1)
        mixed = self.mix(weights, values)  # of shape (heads, places, 1, size)
        return mixed.squeeze(2).transpose(1, 2).reshape(n, channels, height, width)

    def convolve(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Map the projections of all heads to shifts, and shift each by its place of a kernel."""
        n, _, height, width = q.shape
        every = [x.view(n, HEADS, self.size, height * width) for x in (q, k, v)]
        mapped = self.to_shifts(torch.cat(every, dim=1))
        return self.shifts(mapped.transpose(1, 2).reshape(n, -1, height, width))


def positions(height: int, width: int, device: torch.device) -> Tensor:
    """Return the coordinates of every place, from -1 to 1, as an image of two channels."""
    y, x = (torch.linspace(-1, 1, size, device=device) for size in (height, width))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"))[None]


def neighbours(x: Tensor) -> Tensor:
    """Return what is around every place, reflected at the edges: (n, channels, k * k, places)."""
    padded = functional.pad(x, [KERNEL // 2] * 4, mode="reflect")
    return functional.unfold(padded, KERNEL).view(len(x), x.shape[1], KERNEL**2, -1)


class Net(nn.Module):
    """A classifier of digits with two layers of ACmix."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.first = ACmix(channels, channels)
        self.second = ACmix(channels, 2 * channels)
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(size) for size in (channels, channels, 2 * channels)
        )
        self.head = nn.Linear(2 * channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        x = self.norms[0](self.stem(x)).relu()
        x = x + self.norms[1](self.first(x)).relu()
        x = self.norms[2](self.second(functional.avg_pool2d(x, 2))).relu()
        return self.head(x.mean(dim=(2, 3)))


class System(Workload):
    """Classification of digits."""

    title = "ACmix"
    reference = "Pan et al., On the Integration of Self-Attention and Convolution, arXiv 2111.14556"
    simplified = (
        "Two layers of 16 and 32 channels on 8 x 8 digits in place of a ResNet on ImageNet, and "
        "neighbourhoods of 3 x 3 in place of 7 x 7, which such images do not have. Attention is "
        "written as matrix products, so that it is cast."
    )
    metrics: ClassVar = {
        "accuracy": Metric("test accuracy", "%"),
        "attention_rate": Metric("rate of attention", digits=3),
        "convolution_rate": Metric("rate of convolution", digits=3),
        "drift": Metric("drift of the shifts", digits=3),
    }
    criterion = (
        rules.accuracy("accuracy"),
        rules.near("attention_rate", 0.05),
        rules.near("convolution_rate", 0.05),
        rules.flushed(),
    )

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.steps = trainer.choose(full=400, quick=60)
        self.data = data.digits(trainer.seed)
        count = len(self.data.train_labels)
        self.batches = data.batches(count, BATCH, self.steps, trainer.rng)
        self.model = trainer.convert(Net())
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=RATE, momentum=0.9, weight_decay=1e-4, nesterov=True
        )

    def step(self, k: int) -> None:
        """Train on one batch."""
        batch = self.batches[k]
        logits = self.model(self.data.train_images[batch])
        loss = functional.cross_entropy(logits, self.data.train_labels[batch])
        self.trainer.minimise(loss, self.optimizer, RATE * cosine(k, self.steps))

    def evaluate(self) -> Outcome:
        """Measure the accuracy on the test images, and what the mixing layers have learned."""
        self.model.eval()
        with torch.no_grad():
            logits = self.model(self.data.test_images)
        layers = [self.model.first, self.model.second]
        start = torch.eye(KERNEL**2).view(-1, KERNEL, KERNEL)
        drifts = [(layer.shifts.weight - start).square().mean().sqrt() for layer in layers]
        return Outcome(
            {
                "accuracy": data.percent_right(logits, self.data.test_labels),
                "attention_rate": _mean([layer.attention_rate for layer in layers]),
                "convolution_rate": _mean([layer.convolution_rate for layer in layers]),
                "drift": _mean(drifts),
            }
        )


def _mean(numbers: list[Tensor]) -> float:
    return torch.stack(numbers).mean().item()
