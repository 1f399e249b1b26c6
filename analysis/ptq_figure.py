# SPDX-License-Identifier: Apache-2.0
"""Figure: the digits network after training, its operands cast to 8 bits with scales or without.

Imports `analysis.digits`, `analysis.formats`, `analysis.plot` and `analysis.ptq`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from threadpoolctl import threadpool_limits

from . import digits, plot, ptq
from .formats import E4M3, E5M2, HIF8, INT8, Format

SEEDS = range(8)
"""Of the networks: their splits of the images, and their first weights."""
CALIBRATION = 256
"""Training images that scales are chosen by; no test image is."""
FORMATS = {entry.name: entry for entry in (HIF8, E4M3, E5M2, INT8)}
UNUSUAL = {("hif8", "largest")}
"""HiF8's largest value is its least precise one: nobody brings tensors there."""
CONFIGURATIONS = [
    (name, scheme) for name in FORMATS for scheme in ptq.SCHEMES if (name, scheme) not in UNUSUAL
]
LOGITS = "logits"


class Row(NamedTuple):
    """One layer of one network, its operands in one format by one scheme, on the test images.

    Attributes
    ----------
    seed : int
        Of the network.
    layer : str
        The layer's name; `LOGITS` for the outcome of the network.
    format, scheme : str
        Keys of `FORMATS` and of `ptq.SCHEMES`.
    log2_inputs, log2_weights_least, log2_weights_most : float or None
        log2 of the scales of the layer.
    mean_square_error, snr_db : float
        Of the layer's products, by FP32's, all layers before it being cast too.
    images, correct, correct_fp32, as_fp32 : int or None
        How many test images there are; how many of them are told right, how many in FP32, and how
        many are told as in FP32.
    """

    seed: int
    layer: str
    format: str
    scheme: str
    log2_inputs: float | None
    log2_weights_least: float | None
    log2_weights_most: float | None
    mean_square_error: float
    snr_db: float
    images: int | None
    correct: int | None
    correct_fp32: int | None
    as_fp32: int | None


def layers(network: digits.Network) -> list[ptq.Layer]:
    """Return the network's layers as `ptq` takes them; biases and ReLU stay in FP32."""

    def finish(bias: ptq.Tensor, last: bool) -> Callable[[ptq.Tensor], ptq.Tensor]:
        return lambda sums: sums + bias if last else np.maximum(sums + bias, np.float32(0))

    last = len(network.weights) - 1
    return [
        ptq.Layer(f"layer {k + 1}", weights, finish(network.biases[k], k == last))
        for k, weights in enumerate(network.weights)
    ]


def compute() -> list[Row]:
    """Calibrate all networks in all formats by all schemes, and run them on their test images."""
    with threadpool_limits(1):  # threads wait for one another longer than products so small take
        return [
            row
            for seed in SEEDS
            for name, scheme in CONFIGURATIONS
            for row in _measure(seed, name, scheme)
        ]


def _measure(seed: int, name: str, scheme: str) -> Iterator[Row]:
    """Yield the rows of one network in one format by one scheme."""
    network = digits.train(seed)
    stack = layers(network)
    images, labels = network.test_images, network.test_labels
    scales = ptq.calibrate(
        stack, network.train_images[:CALIBRATION], name, ptq.SCHEMES[scheme].choose
    )
    found, target = ptq.run(stack, images, name, scales), ptq.run(stack, images)
    for k, layer in enumerate(stack):
        weights = np.log2(scales[k].weights)
        yield Row(
            seed,
            layer.name,
            name,
            scheme,
            float(np.log2(scales[k].inputs)),
            float(weights.min()),
            float(weights.max()),
            ptq.mean_square_error(found[k], target[k]),
            ptq.signal_to_noise(found[k], target[k]),
            *[None] * 4,
        )
    told, told_fp32 = (logits[-1].argmax(axis=1) for logits in (found, target))
    yield Row(
        seed,
        LOGITS,
        name,
        scheme,
        *[None] * 3,
        ptq.mean_square_error(found[-1], target[-1]),
        ptq.signal_to_noise(found[-1], target[-1]),
        len(labels),
        int((told == labels).sum()),
        int((told_fp32 == labels).sum()),
        int((told == told_fp32).sum()),
    )


class Outcome(NamedTuple):
    """What all networks together did in one format by one scheme.

    Attributes
    ----------
    images, correct, correct_fp32, otherwise : int
        Test images; those told right, those told right in FP32, those not told as in FP32.
    snr_db : float
        Of the logits, the mean over the networks.
    """

    images: int
    correct: int
    correct_fp32: int
    otherwise: int
    snr_db: float

    @property
    def accuracy(self) -> float:
        """In per cent."""
        return 100 * self.correct / self.images

    @property
    def accuracy_fp32(self) -> float:
        """In per cent."""
        return 100 * self.correct_fp32 / self.images


def outcomes(rows: list[Row]) -> dict[tuple[str, str], Outcome]:
    """Return the outcome of every format and scheme, in the order of `CONFIGURATIONS`."""
    made = {}
    for key in CONFIGURATIONS:
        own = [row for row in rows if (row.format, row.scheme) == key and row.layer == LOGITS]
        made[key] = Outcome(
            images=sum(row.images for row in own),
            correct=sum(row.correct for row in own),
            correct_fp32=sum(row.correct_fp32 for row in own),
            otherwise=sum(row.images - row.as_fp32 for row in own),
            snr_db=float(np.mean([row.snr_db for row in own])),
        )
    return made


def finding(rows: list[Row]) -> str:
    """Say in a sentence what the figure shows, with the numbers it rests on."""
    found = outcomes(rows)
    cast, tensor, channel = (found["hif8", name] for name in ("cast", "tensor", "channel_wide"))
    e4m3, e5m2, int8 = (found[name, "cast"] for name in ("e4m3", "e5m2", "int8"))
    int8_wide = found["int8", "tensor_wide"]
    scaled = [outcome for key, outcome in found.items() if key != ("int8", "cast")]
    most = max(abs(outcome.correct - outcome.correct_fp32) for outcome in scaled)
    return (
        f"Cast without scales, the logits of {len(SEEDS)} digits networks keep {cast.snr_db:.1f} "
        f"dB in HiF8, {e4m3.snr_db:.1f} in E4M3 and {e5m2.snr_db:.1f} in E5M2; the paper's search "
        f"of a scale per tensor gives HiF8 {tensor.snr_db - cast.snr_db:.1f} dB more, a scale for "
        f"each channel of the weights {channel.snr_db - cast.snr_db:.1f} dB. INT8, which cannot "
        f"do without ({int8.snr_db:.1f} dB), has {int8_wide.snr_db:.1f} dB with scales: these "
        f"tensors have no outliers. Accuracy, {cast.accuracy_fp32:.2f}\N{NO-BREAK SPACE}% in FP32, "
        f"is {cast.accuracy:.2f}\N{NO-BREAK SPACE}% in HiF8 as cast and {tensor.accuracy:.2f} "
        f"scaled, and hardly tells the rest apart: but for unscaled INT8, the number of the "
        f"{cast.images:,} images told right differs from FP32's by {most} or less."
    )


def draw(rows: list[Row], path: Path) -> None:
    """Draw a line of points for each format and scheme: both layers, and the classes.

    Parameters
    ----------
    rows : list of Row
        From `compute`.
    path : Path
        To ``.svg`` or ``.png``.
    """
    with plot.canvas(path, width=10.4, height=6.8) as figure:
        first, second, told = figure.subplots(1, 3, sharey=True, width_ratios=(1.15, 1.15, 1))
        for axes, layer in ((first, "layer 1"), (second, "layer 2")):
            _draw_ratios(axes, [row for row in rows if row.layer == layer])
            axes.set_title(f"Products of {layer}", loc="left")
            axes.set_xlabel("signal to noise (dB)")
            axes.set_xlim(0, 52)
        _draw_told(told, outcomes(rows))
        places = _places()
        first.set_yticks(list(places.values()), [ptq.SCHEMES[s].label for _, s in places])
        first.set_ylim(max(places.values()) + 0.8, -1.6)
        for axes in (first, second, told):
            axes.tick_params(axis="y", length=0)
            axes.grid(visible=False, axis="y")
            for name, entry in FORMATS.items():
                top = min(place for (key, _), place in places.items() if key == name)
                axes.axhline(top - 1.4, color="#AAAAAA", linewidth=0.6)
                _write(axes, 0.01, top - 0.8, entry.label, weight="bold", fontsize=9)


def _places() -> dict[tuple[str, str], float]:
    """Return the height of every configuration, its format's heading above the first."""
    names = list(FORMATS)
    return {key: place + 1.4 * names.index(key[0]) for place, key in enumerate(CONFIGURATIONS)}


def _write(axes: Axes, x: float, place: float, text: str, **style: str | float) -> None:
    """Write at a height of `_places`, x going from 0 to 1 across the axes."""
    axes.text(x, place, text, transform=axes.get_yaxis_transform(), va="center_baseline", **style)


def _draw_point(axes: Axes, entry: Format, x: float, place: float) -> None:
    """Draw a format's marker."""
    style = entry.style
    axes.plot(x, place, color=style.color, marker=style.marker, markersize=6, linestyle="none")


def _draw_ratios(axes: Axes, rows: list[Row]) -> None:
    """Draw the mean over the networks, and a line from the lowest to the highest."""
    for (name, scheme), place in _places().items():
        ratios = [row.snr_db for row in rows if (row.format, row.scheme) == (name, scheme)]
        ends = max(min(ratios), 0), max(ratios)
        axes.plot(ends, (place, place), color=FORMATS[name].style.color, linewidth=1.4)
        _draw_point(axes, FORMATS[name], float(np.mean(ratios)), place)


def _draw_told(axes: Axes, found: dict[tuple[str, str], Outcome]) -> None:
    """Draw how many images are told otherwise than in FP32, and write the accuracies."""
    for key, place in _places().items():
        _draw_point(axes, FORMATS[key[0]], found[key].otherwise, place)
        gain = found[key].accuracy - found[key].accuracy_fp32
        text = f"{found[key].accuracy:.2f}  {gain:+.2f}".replace("-", "\N{MINUS SIGN}")
        _write(axes, 1.02, place, text, fontsize=9)
    some = next(iter(found.values()))
    _write(axes, 1.02, -1.0, f"accuracy (%), gain\nFP32: {some.accuracy_fp32:.2f}", fontsize=8)
    axes.set_xscale("log")
    axes.set_xticks([10, 100, 1000], ["10", "100", "1,000"])
    axes.set_xlim(3, some.images)
    axes.set_title("Not told as in FP32", loc="left")
    axes.set_xlabel(f"of {some.images:,} test images")
