# SPDX-License-Identifier: Apache-2.0
"""SVG-LLM: images as the text of vector graphics, which a language model reads and completes.

Imports the harness; images are traced by vtracer. What it asks of a format are the logits of
attention, and gradients that are spread over many characters.
"""

import re
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
import vtracer
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional

from .harness import Metric, Outcome, Trainer, Workload, data, one_cycle, rules
from .harness.transformer import Block

CLASSES = 10

CANVAS, MARGIN = 24, 2
"""Pixels along a side of what is traced, and of its empty border, so that the ground is one."""
ANGLE = 20
"""Degrees by which images are rotated to shift them."""

NUMBERS = tuple(str(number) for number in range(-CANVAS, CANVAS + 1))
BLACK, WHITE, MOVE, END, PAD = "k", "w", "m", "=", "_"
ALPHABET = (PAD, END, BLACK, WHITE, MOVE, *NUMBERS)
LONGEST = 60
"""Characters of a drawing; what is longer is cut."""

WIDTH, HEADS, DEPTH, RATIO = 64, 4, 2, 2
DEVIATION = 0.2
"""Of what is learnt of characters and places, at the start."""
BATCH, RATE, DECAY, WARM = 32, 3e-3, 0.05, 0.1
"""Drawings of a step; AdamW's highest rate and its decay; the share of steps that it rises."""
LANGUAGE = 0.3
"""Weight of the loss of the language model beside that of the classes."""

Canvas = npt.NDArray[np.bool_]
Point = tuple[int, int]
"""To the right, and down."""


def draw(image: npt.NDArray[np.float32], angle: float = 0.0) -> Canvas:
    """Return where an image, made larger and maybe rotated, is black."""
    inner = CANVAS - 2 * MARGIN
    large = ndimage.zoom(image, inner / data.SIZE, order=1, grid_mode=True, mode="nearest")
    if angle:
        large = ndimage.rotate(large, angle, reshape=False, order=1)
    return np.pad(large >= 0.5, MARGIN)


def trace(canvas: Canvas) -> str:
    """Return a drawing as SVG, in polygons one upon another, the first of them the ground."""
    grey = np.where(canvas, 0, 255).ravel()
    return vtracer.convert_pixels_to_svg(
        [(value, value, value, 255) for value in grey.tolist()],
        canvas.shape[::-1],
        colormode="color",
        hierarchical="stacked",
        mode="polygon",
        filter_speckle=2,
        layer_difference=128,
    )


def shorten(svg: str) -> str:
    """Return what differs from drawing to drawing of an SVG.

    Of every path but the ground it is a letter for the colour, and then path data as SVG has them,
    in relative coordinates: whole numbers, and an ``m`` before every further polygon.
    """
    pattern = r' d="([^"]*)" fill="#(..)[^"]*" transform="translate\(([-\d]+),([-\d]+)\)"'
    found = []
    for path, shade, *offset in re.findall(pattern, svg)[1:]:
        at = (0, 0)
        found.append(BLACK if int(shade, 16) < 128 else WHITE)
        for k, polygon in enumerate(path.split("Z")[:-1]):
            found += [MOVE] * (k > 0)
            for x, y in re.findall(r"([-\d]+),([-\d]+)", polygon):
                point = int(x) + int(offset[0]), int(y) + int(offset[1])
                found += [str(point[0] - at[0]), str(point[1] - at[1])]
                at = point
    return " ".join(found)


def encode(text: str) -> list[int]:
    """Return the places of a drawing's characters in the alphabet."""
    return [ALPHABET.index(character) for character in text.split()]


def decode(places: Sequence[int]) -> str:
    """Return the drawing up to its end."""
    characters = [ALPHABET[place] for place in places]
    return " ".join(characters[: characters.index(END)] if END in characters else characters)


def compact(text: str) -> str:
    """Return a drawing as its SVG would have it, without the blanks that say nothing."""
    letters = BLACK + WHITE + MOVE
    return re.sub(rf" (?=[-{letters}])|(?<=[{letters}]) ", "", text)


def polygons(text: str) -> list[tuple[str, list[list[Point]]]]:
    """Return the paths of a drawing: their colour, and the corners of their polygons.

    Raises
    ------
    ValueError
        If it is none.
    """
    found = []
    for fill, path in re.findall(rf"([{BLACK}{WHITE}])([^{BLACK}{WHITE}]*)", text):
        at, parts = (0, 0), []
        for part in path.split(MOVE):
            numbers = [int(number) for number in part.split()]
            corners = []
            for step in zip(numbers[::2], numbers[1::2], strict=True):
                at = at[0] + step[0], at[1] + step[1]
                corners.append(at)
            parts.append(corners)
        found.append((fill, parts))
    if not found:
        raise ValueError(f"text must be a drawing, not {text!r}")
    return found


def render(text: str) -> Canvas:
    """Return where a drawing is black: each path is filled, by the even-odd rule, on the last."""
    paths = polygons(text)
    canvas = np.full((CANVAS, CANVAS), paths[0][0] != BLACK)
    for fill, parts in paths:
        inside = np.zeros_like(canvas)
        for corners in parts:
            inside ^= _inside(corners)
        canvas[inside] = fill == BLACK
    return canvas


def _inside(corners: Sequence[Point]) -> Canvas:
    """Return which pixels have their centre in a polygon: edges to the right are an odd number."""
    middle = np.arange(CANVAS) + 0.5
    inside = np.zeros((CANVAS, CANVAS), bool)
    for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], *corners[:1]], strict=True):
        if y0 != y1:
            crossed = (y0 <= middle) != (y1 <= middle)
            place = x0 + (middle - y0) * (x1 - x0) / (y1 - y0)
            inside ^= crossed[:, None] & (middle[None] < place[:, None])
    return inside


class Drawings:
    """Drawings as text, with the digits that they show.

    Parameters
    ----------
    canvases : sequence of numpy.ndarray of bool
        What is black.
    labels : numpy.ndarray of int
        The digits.

    Attributes
    ----------
    tokens : torch.Tensor of int64
        The characters of each, its end, and its digit, padded.
    ends : torch.Tensor of int64
        Where the end is, after which the digit comes.
    labels : torch.Tensor of int64
    length : int
        Characters of all of them, as SVGs have them, but for the first of each, which is known;
        the ends count too.
    """

    def __init__(self, canvases: Sequence[Canvas], labels: npt.NDArray[np.int64]) -> None:
        texts = [encode(shorten(trace(canvas)))[:LONGEST] for canvas in canvases]
        self.length = sum(len(compact(decode(text))) for text in texts)
        self.labels = torch.tensor(labels)
        self.ends = torch.tensor([len(text) for text in texts])
        self.tokens = torch.full((len(texts), LONGEST + 2), ALPHABET.index(PAD))
        for row, text, label in zip(self.tokens, texts, labels, strict=True):
            whole = [*text, ALPHABET.index(END), ALPHABET.index(str(label))]
            row[: len(whole)] = torch.tensor(whole)


class Reader(nn.Module):
    """A causal transformer over characters."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(len(ALPHABET), WIDTH)
        self.places = nn.Parameter(torch.randn(LONGEST + 2, WIDTH))
        self.blocks = nn.ModuleList(Block(WIDTH, HEADS, RATIO) for _ in range(DEPTH))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, len(ALPHABET))
        for start in (self.embed.weight, self.places):
            nn.init.normal_(start, std=DEVIATION)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits of the character after each, of shape (texts, characters, alphabet)."""
        count = tokens.shape[1]
        x = self.embed(tokens) + self.places[:count]
        future = torch.full((count, count), -torch.inf).triu(1)
        for block in self.blocks:
            x, _ = block(x, future)
        return self.head(self.norm(x))


def losses(logits: Tensor, tokens: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean loss of the digits, and that of the characters up to the end.

    Parameters
    ----------
    logits : torch.Tensor
        Of all characters but the last.
    tokens : torch.Tensor
        All characters.
    ends : torch.Tensor
        Where the digit is to be told.
    """
    each = functional.cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none")
    place = torch.arange(each.shape[1])
    return each[place == ends[:, None]].mean(), each[place < ends[:, None]].mean()


def complete(model: Reader, drawings: Drawings, count: int) -> list[str]:
    """Return the first drawings, completed from the first half of their characters.

    The likeliest character is taken each time, until there is an end.
    """
    tokens = drawings.tokens[:count, :LONGEST].clone()
    length = drawings.ends[:count] // 2
    tokens[torch.arange(LONGEST) >= length[:, None]] = ALPHABET.index(PAD)
    going = torch.arange(count)
    with torch.no_grad():
        while going.numel():
            end = length[going]
            logits = model(tokens[going, : end.max()])
            likeliest = logits[torch.arange(len(going)), end - 1].argmax(dim=-1)
            tokens[going, end] = likeliest
            length[going] += 1
            going = going[(likeliest != ALPHABET.index(END)) & (end + 1 < LONGEST)]
    return [decode(row) for row in tokens.tolist()]


class Judge:
    """Tell digits by the nearest of the drawings that were trained on.

    Parameters
    ----------
    canvases : sequence of numpy.ndarray of bool
        Those.
    labels : numpy.ndarray of int
        Their digits.
    """

    def __init__(self, canvases: Sequence[Canvas], labels: npt.NDArray[np.int64]) -> None:
        self._known, self._labels = np.stack(canvases), labels

    def __call__(self, text: str) -> int:
        """Return the digit that a drawing shows, or -1 if it is none."""
        try:
            canvas = render(text)
        except ValueError:
            return -1
        return int(self._labels[(self._known ^ canvas).sum(axis=(1, 2)).argmin()])


class System(Workload):
    """A language model of drawings of handwritten digits."""

    title = "SVG-LLM"
    reference = (
        "Cai et al., An Investigation on LLMs' Visual Understanding Ability Using SVG for "
        "Image-Text Bridging (arXiv 2306.06094)"
    )
    simplified = (
        "A causal transformer of two blocks of width 64, trained from nothing, for Vicuna, and "
        "digits of 8x8 pixels, enlarged to 20 and traced, for MNIST. Of an SVG the model reads "
        "what differs between drawings: the colour and the path data, each number as one character "
        "of its alphabet, which halves the text; perplexity is of a character as SVG has them. The "
        "digit is the character after the end. What completes half a "
        "drawing is judged by the nearest drawing of the training."
    )
    loss_scale = 2.0**12
    metrics: ClassVar = {
        "accuracy": Metric("test accuracy", "%"),
        "perplexity": Metric("perplexity of a character", digits=3),
        "rotated": Metric(f"accuracy, rotated by {ANGLE} degrees", "%"),
        "inverted": Metric("accuracy, inverted", "%"),
        "completed": Metric("completions that show the digit", "%"),
    }
    criterion = (
        rules.accuracy("accuracy"),
        rules.near("perplexity", 0.15),
        rules.flushed(),
    )

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.steps = trainer.choose(full=400, quick=30)
        self.prompts = trainer.choose(full=64, quick=8)
        digits = data.digits(trainer.seed)
        labels, test_labels = digits.train_labels.numpy(), digits.test_labels.numpy()
        canvases = [draw(image) for image in digits.train_images.squeeze(1).numpy()]
        self.judge = Judge(canvases, labels)
        self.training = Drawings(canvases, labels)
        images = digits.test_images.squeeze(1).numpy()
        plain = [draw(image) for image in images]
        shown = {
            "accuracy": plain,
            "rotated": [draw(image, ANGLE) for image in images],
            "inverted": [~canvas for canvas in plain],
        }
        self.tests = {name: Drawings(part, test_labels) for name, part in shown.items()}
        self.batches = data.batches(data.TRAIN_IMAGES, BATCH, self.steps, trainer.rng)
        self.model = trainer.convert(Reader())
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=RATE, weight_decay=DECAY, fused=True
        )

    def step(self, k: int) -> None:
        """Train to tell the digit after a drawing, and less so to draw it."""
        ends = self.training.ends[self.batches[k]]
        tokens = self.training.tokens[self.batches[k], : ends.max() + 2]
        digit, language = losses(self.model(tokens[:, :-1]), tokens, ends)
        rate = RATE * one_cycle(k + 1, self.steps + 1, WARM)
        self.trainer.minimise(digit + LANGUAGE * language, self.optimizer, rate)

    def evaluate(self) -> Outcome:
        """Measure what is told, under shifts too, what is foreseen, and what is completed."""
        metrics = {}
        for name, test in self.tests.items():
            with torch.no_grad():
                logits = self.model(test.tokens[:, :-1])
            told = logits[torch.arange(len(logits)), test.ends]
            zero = ALPHABET.index("0")
            right = told[:, zero : zero + CLASSES].argmax(dim=-1) == test.labels
            metrics[name] = 100 * right.double().mean().item()
            if name == "accuracy":
                language = losses(logits, test.tokens, test.ends)[1] * test.ends.sum()
                metrics["perplexity"] = (language / test.length).exp().item()
        texts = complete(self.model, self.tests["accuracy"], self.prompts)
        shown = np.array([self.judge(text) for text in texts])
        right = shown == self.tests["accuracy"].labels[: self.prompts].numpy()
        return Outcome(metrics | {"completed": 100 * float(right.mean())})
