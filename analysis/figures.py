# SPDX-License-Identifier: Apache-2.0
"""All figures: their titles and captions, and how they are built, what ``hif8 figures`` does.

Imports the figures' modules, `analysis.origin` and `hif8.files`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from .. import files
from . import (
    accumulation,
    code_map,
    cost,
    cost_blocks,
    cost_growth_figure,
    cost_precision,
    digits_figure,
    encoder,
    encoder_ptq,
    encoder_ptq_figure,
    gradients_figure,
    hybrid,
    learning,
    learning_curves,
    learning_figure,
    learning_tradeoff,
    learning_unscaled,
    mac_blocks,
    mac_timing,
    origin,
    precision,
    ptq_figure,
    real_binades,
    real_tensors,
    rounding_figure,
    snr_figure,
)

COMMAND = "hif8 figures"
GALLERY = Path(__file__).parent / "gallery"
"""Where the pictures of the README lie, as part of the repository."""
GALLERY_FIGURES = ("precision", "mac_blocks", "mac_timing", "cost_precision", "snr", "learning")
MEASURED = (cost.MEASURED / cost.RESULTS,)
"""The costs that the repository keeps."""
LEARNED = (learning.TABLE, learning.TOLD)
"""What it keeps of training."""


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes
    ----------
    title : str
        A few words.
    caption : str
        How to read it.
    alt : str
        What it shows, for those who cannot see it.
    module : module
        With the functions ``compute() -> rows``, ``draw(rows, path)`` and ``finding(rows) -> str``,
        and maybe ``table(rows)``, lines of text by the names of their columns.
    pictures : tuple of str
        The suffixes of the files that it is drawn to.
    data : tuple of Path
        The files that it reads.
    """

    title: str
    caption: str
    alt: str
    module: ModuleType
    pictures: tuple[str, ...] = (".svg", ".png")
    data: tuple[Path, ...] = ()


FIGURES = {
    "precision": Figure(
        title="Precision over magnitude",
        caption=(
            "Significand bits are 1 + log2 of the number of values in the binade, counted in each "
            "format's table of codes; the axis at the right says how far a value may be from the "
            "nearest one there. A line is interrupted where a binade has no value. Lines of "
            "8-bit formats with the same number of bits are drawn side by side, slightly apart. "
            "After figure 1 of arXiv 2409.16626, extended."
        ),
        alt=(
            "Step lines of significand bits over the binary exponent, 16-bit formats above and "
            "8-bit formats below. HiF8 is highest around exponent zero and falls off to both sides."
        ),
        module=precision,
    ),
    "code_map": Figure(
        title="The codes and their values",
        caption=(
            "Every code with sign 0; a leading 1 negates the value, except that 10000000 is NaN. "
            "Above each value its code in hexadecimal. Colours change with the dot field; grey "
            "cells are denormal."
        ),
        alt=(
            "A grid of 8 by 16 cells, one per code without sign, each with the value that the code "
            "stands for, and the dot field and its number of mantissa bits beside each line."
        ),
        module=code_map,
    ),
    "hybrid": Figure(
        title="What hybrid rounding (HR) does to exact and to widened values",
        caption=(
            "Above: every finite non-zero code is decoded to the type at the left and encoded "
            "again; a cell counts, for both signs, the values that come back as others. Below: all "
            "BF16 values and 65,536 random FP32 values for each binade, the mean of the result's "
            "magnitude less the value's, in ulp (the spacing of HiF8 values in the binade); the "
            "legend gives the mean over the binades where |E| is 4 or more, each counting the "
            "same. A widened value has no low bits, so that the threshold T of HR is 0 and every "
            "value rounds away from zero. The two lines of BF16 itself coincide."
        ),
        alt=(
            "Four lines of cells, one a binade: only in that of FP32 without keep_exact do values "
            "move, wherever |E| is 4 or more. Below, five lines of the bias over the exponent: "
            "those of widened BF16 lie near half an ulp but for the middle, the others near zero."
        ),
        module=hybrid,
    ),
    "rounding": Figure(
        title="What the rounding modes do to means",
        caption=(
            "TA rounds ties away from zero, TE to even codes, SR by random numbers; HR is TA where "
            "|E| is less than 4, and elsewhere compares discarded bits with the value's own low "
            "bits. Random FP32 values, FP16 where it is said; errors in ulp (the spacing of HiF8 "
            "values in the binade). Upper left, even significands. The other panels are of binade "
            f"{rounding_figure.COARSE}, where HR is not TA: upper right, "
            f"{rounding_figure.PER_CENTRE:,} values evenly about each of "
            f"{rounding_figure.CENTRES} centres; below, how the mean of ever more values nears "
            "their own. A mean that does not near it is biased. TA and TE coincide."
        ),
        alt=(
            "Four panels. The error of HR is that of TA in the middle binades and that of SR "
            "elsewhere. Over the width of values HR falls from above TA to SR at 2 to the -8 ulp. "
            "Means of even values near nought in all modes, TA ahead; means of crowded values only "
            "in SR and HR, while TA stays at 0.3 ulp."
        ),
        module=rounding_figure,
    ),
    "snr": Figure(
        title="Signal to noise over the scale of values",
        caption=(
            "The mean square of the values over that of the rounding error, for values that are "
            "cast as they are, to the nearest finite value of the format; INT8 counts in ones. A "
            "scale of the tensor's own, a power of two, moves them along the axis to the highest "
            f"place. The line at {snr_figure.USABLE:.0f} dB is what the text counts from. Nothing "
            "is sampled: the error is integrated between neighbouring values."
        ),
        alt=(
            "Four panels, one a distribution, of the signal to noise ratio over the logarithm of "
            "the scale: HiF8 a hill with wide steps to both sides, E4M3 as high and half as wide, "
            "E5M2 lower and as wide as HiF8, posit between, INT8 a narrow peak."
        ),
        module=snr_figure,
    ),
    "accumulation": Figure(
        title="What accumulators lose",
        caption=(
            "Dot products of random HiF8 values: the root mean square of the error over that of "
            f"the exact sums, of {accumulation.DRAWS} dot products for each point. The grey line "
            "is what rounding the operands to HiF8 changes, whatever adds the products up: an "
            "accumulator well below it costs no accuracy. BF16 and FP16 round to nearest after "
            "every product. Where a line begins late, all shorter sums were without error."
        ),
        alt=(
            "Three panels, one a kind of data, of the relative error over the number of products: "
            "BF16 and FP16 rise to the size of the sum, FP32 stays thousands of times lower, the "
            "exact sum is flat at the bottom."
        ),
        module=accumulation,
    ),
    "digits": Figure(
        title="Where real tensors lie",
        caption=(
            "Weights and activations of a small perceptron trained on scikit-learn's digits, all "
            "that enters its matrix products: the share of each tensor's non-zero values "
            "in each binade, on a logarithmic axis. No scale is applied. Values that HiF8 rounds "
            "to zero are gathered at the left; those just outside of the first band round up into "
            "it."
        ),
        alt=(
            "Lines of the share of values over the binary exponent for two weight matrices, the "
            "images and the hidden activations, over bands shaded by HiF8's significand bits."
        ),
        module=digits_figure,
    ),
    "ptq": Figure(
        title="After training: the digits network cast to 8 bits",
        caption=(
            f"Perceptrons as in the figure above, from {len(ptq_figure.SEEDS)} seeds, their images "
            "and weights cast to the nearest value of a format; sums, biases and ReLU are not. "
            "Scales are powers of two but for those by the largest magnitude, and are chosen layer "
            f"by layer on {ptq_figure.CALIBRATION} training images for the least mean square error "
            "of the layer's products, which is algorithm 1 of arXiv 2409.16626, with its range of "
            "scales; the wider one is ours. Scales per tensor are one for the inputs and one for "
            "the weights. Shown are test images; markers are means over the networks, lines go "
            "from the lowest to the highest."
        ),
        alt=(
            "Three panels with a line for each format and scheme. In both layers HiF8 and E4M3 lie "
            "together, E5M2 lies lower, and INT8 lies lowest without and highest with scales; at "
            "the right, the images that are not told as in FP32, and the accuracy."
        ),
        module=ptq_figure,
    ),
    "gradients": Figure(
        title="What becomes of gradients under a loss scale",
        caption=(
            f"Gradients of the mean cross-entropy of {gradients_figure.BATCH} of the digits that "
            "the network of the figures above learns from, in FP32, multiplied by the loss scale "
            "and cast: those by sums before ReLU and by the logits, which enter the matrix "
            "products of the backward pass. Above, what becomes zero (at the left) or infinite (at "
            "the right) of what is not zero; a line ends where that is nothing, and posit(8,2) has "
            "no line. Below, the mean square of the gradients over that of the error, with "
            "saturation; FP16 lies above the axis."
        ),
        alt=(
            "Six panels. Above, falling lines of the lost share over the loss scale: FP16 "
            "leftmost, HiF8 close to it, E5M2 some binades later, E4M3 last and soon overflowing. "
            "Below, HiF8 a stepped hill, E4M3 as high with steep sides, E5M2 a lower, wide plateau."
        ),
        module=gradients_figure,
    ),
    "real_tensors": Figure(
        title="Signal to noise of real tensors",
        caption=real_tensors.CAPTION,
        alt=(
            "Two panels with a line for every kind of tensor and dots for five formats. Cast as "
            "they are, weights are a few dB better in E4M3 than in HiF8, most activations equal, "
            "INT8 far behind; with a scale HiF8, E4M3 and posit nearly coincide, E5M2 is about 6 "
            "dB lower, and INT8 scatters to both sides."
        ),
        module=real_tensors,
        data=(encoder.MEASURED,),
    ),
    "real_binades": Figure(
        title="Where real tensors lie, by kind",
        caption=real_binades.CAPTION,
        alt=(
            "Steps of significand bits over the exponent, and below them a line of grey cells for "
            "every kind of tensor: weights are darkest around 2 to the minus 5, left of HiF8's "
            "most precise binades, activations around 2 to the minus 1, within them."
        ),
        module=real_binades,
        data=(encoder.MEASURED,),
    ),
    "encoder_ptq": Figure(
        title="After training: the sentence encoder cast to 8 bits",
        caption=encoder_ptq_figure.CAPTION,
        alt=(
            "Three panels with a line for each format and scheme: products of the layers, "
            "embeddings, similarities. HiF8 and E4M3 lie close together, but for the direct cast, "
            "where E4M3 is ahead; E5M2 is worse, INT8 far behind without scales and still last "
            "with them. Hollow markers, with attention cast too, are a little worse."
        ),
        module=encoder_ptq_figure,
        data=(encoder_ptq.MEASURED,),
    ),
    "learning": Figure(
        title="Nine published systems trained in 8 bits",
        caption=(
            "Small versions of published systems, trained with both operands and the gradient of "
            "every matrix product cast, all but those of last layers; HiF8 HR is TA forward and HR "
            "backward, E4M3/E5M2 is one forward and the other backward. 8 pairs of runs with the "
            "same initialisation and batches; the loss is multiplied by the recipe's constant. FP8 "
            "has no other scale and saturates. First metrics are accuracies in percent; left, "
            f"beyond {learning_figure.LINEAR:g} points the axis is logarithmic; markers at the "
            f"left edge of the right panel are below {learning_figure.LEAST:g}. By hif8 workloads; "
            "all metrics are in analysis/measured/workloads.csv, all runs in workloads_runs.csv."
        ),
        alt=(
            "A line of markers for every system. Left, differences from FP32, most of them within "
            "a point and their error bars across zero; right, the share of gradients flushed to "
            "zero, on a logarithmic axis, least in FP16, then HiF8, more in E5M2 and most in E4M3."
        ),
        module=learning_figure,
        data=LEARNED,
    ),
    "learning_unscaled": Figure(
        title="The same without a loss scale",
        caption=(
            "As in the figure above, with gradients cast as they come. E4M3 is unscaled here; the "
            "text says what a power-of-two scale for each tensor, renewed every ten steps after "
            "the paper, makes of it."
        ),
        alt=(
            "A line of markers for every system. Left, most formats near zero, E4M3 far to the "
            "left in several systems; right, the share of gradients flushed to zero, near all of "
            "them in E4M3."
        ),
        module=learning_unscaled,
        data=LEARNED,
    ),
    "learning_curves": Figure(
        title="Loss curves laid over each other",
        caption=(
            "Training losses in all formats, means over 8 seeds and over up to ten steps, of the "
            "optimizer that steps first where a system has several: at the left of each pair with "
            "the recipe's loss scale, at the right without; the axis of losses is logarithmic, one "
            f"for both, and ends at {learning_curves.HIGHEST:g} times FP32's highest."
        ),
        alt=(
            "Pairs of panels, one a system, of the loss over the step: with a loss scale the lines "
            "of all formats coincide but for noise; without, those of E4M3 stay above in several."
        ),
        module=learning_curves,
        data=LEARNED,
    ),
    "learning_tradeoff": Figure(
        title="Accuracy against computation",
        caption=(
            "A cascade whose exits take more or fewer of the images, thresholds from the training "
            "images; the recipe's loss scale; markers are at every eighth budget, a mean over 8 "
            "seeds in both directions."
        ),
        alt=(
            "Lines of accuracy over the share of multiplications, one a format. All begin at about "
            "97 percent, fall by one to two points as more is computed, and are level from half "
            "on; HiF8 HR and FP32 are highest there, HiF8 TA and E5M2 lowest."
        ),
        module=learning_tradeoff,
        data=LEARNED,
    ),
    "mac_blocks": Figure(
        title="What a multiply-accumulate unit is made of",
        caption=(
            "Logic is grey, registers are black; their bits include the marks of a beat, and its "
            "valid. Every stage moves on as soon as the next is empty or moves on itself. In "
            "mac_fp32 the word that a sum begins at, acc, goes along with the product. The exact "
            "sum is rounded once, by a unit after it; the FP32 sum once a product, in the adder."
        ),
        alt=(
            "Block diagram: two decoders, a multiplier and a register; from there either a shift, "
            "a register, an exact adder and the register of the sum, which is read out by a unit "
            "of its own, or the same with a floating-point adder that rounds."
        ),
        module=mac_blocks,
    ),
    "mac_timing": Figure(
        title="A multiply-accumulate unit clock by clock",
        caption=(
            f"The ports of {mac_timing.UNIT.module} in Amaranth's simulator, a, b and sum as "
            "values; hatched is what does not count, for it is not valid. A beat is accepted at "
            "the rising edge that ends a cycle in which i_valid and i_ready are 1, a sum is taken "
            "likewise. Drawn with WaveDrom."
        ),
        alt=(
            "Timing diagram of clk, i_valid, i_ready, a, b, first, last, o_valid, o_ready and sum: "
            "three vectors of three, two and one beats, a gap in the input, and a stall of the "
            "output, during which i_ready falls as soon as the pipeline is full."
        ),
        module=mac_timing,
        pictures=(".svg",),
    ),
    "cost_precision": Figure(
        title="What precision and range cost",
        caption=(
            "Above: normally distributed values rounded to the nearest finite value of the format, "
            "signal over rounding noise. Below: the area of a MAC core on standard cells against "
            "that ratio at the best scale, and against the width of the scales at which it is at "
            f"least {cost_precision.USABLE:.0f} dB: how far a tensor may be from its best scale, "
            "or its parts from one another. With both FP8 formats each tensor is in the better "
            "one. INT8's sum has 32 bits. Measured by hif8 cost."
        ),
        alt=(
            "Lines of the signal to noise ratio over the scale, INT8 a narrow peak, HiF8 a wide "
            "step; below, two scatter plots of area against precision and against range."
        ),
        module=cost_precision,
        data=MEASURED,
    ),
    "cost_blocks": Figure(
        title="What the blocks cost, by format",
        caption=(
            "Area on standard cells in gate equivalents, and the longest path. All formats go "
            "through one datapath; cores are without handshakes, their sum the only register. "
            "HiF8 is coloured. Measured by hif8 cost."
        ),
        alt=(
            "Panels of bars, one for each block: decoder, encoder, multiplier, MAC with an FP32 "
            "and with an exact sum, and dot product; in each a bar for every format."
        ),
        module=cost_blocks,
        data=MEASURED,
    ),
    "cost_growth": Figure(
        title="How cost grows with latency, lanes and arrays",
        caption=(
            "Above: area over the longest path, left and low is better; the lines go from the "
            "lowest latency to the highest. Below: area divided by the products a cycle. All but "
            "the encoder of latency 0 are streams with their handshakes. Measured by hif8 cost."
        ),
        alt=(
            "Above, three lines of area over delay, which go left and up as registers are added. "
            "Below, lines of the area for each product a cycle over lanes and over array size."
        ),
        module=cost_growth_figure,
        data=MEASURED,
    ),
}
"""All figures by the name of their files, in the order of the report."""


def build(out: Path, step: Callable[[str], None] = lambda text: None) -> list[Path]:
    """Draw every figure, and write its data; what is there, and would become the same, is left.

    Parameters
    ----------
    out : Path
        Folder; made if missing.
    step : callable
        Told the title of each figure before it is computed.

    Returns
    -------
    list of Path
        The files: for each figure ``<name>.svg``, ``<name>.png`` and ``<name>.csv``, and a
        ``<name>.json`` with its texts, which `read` reads.

    Raises
    ------
    OSError
        If the folder cannot be made or written to.
    """
    paths = []
    for name, figure in FIGURES.items():
        made_of = origin.digest(figure.module.__name__, figure.data)
        found = _found(name, out, made_of)
        if found is None:
            step(figure.title)
            rows = figure.module.compute()
            _write(name, rows, out)
            table = getattr(figure.module, "table", lambda rows: [])
            found = {"finding": figure.module.finding(rows), "table": table(rows)}
        texts = {
            "name": name,
            "title": figure.title,
            **found,
            "caption": figure.caption,
            "alt": figure.alt,
            "command": COMMAND,
            "made_of": made_of,
        }
        text = json.dumps(texts, indent=2, ensure_ascii=False) + "\n"
        paths += [*_files(name, out), files.write(out / f"{name}.json", text.encode())]
    return paths


def _found(name: str, out: Path, made_of: str) -> dict[str, Any] | None:
    """Return what a figure that is there shows, if all of it is there and of the same origin."""
    try:
        texts = json.loads((out / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = texts.get("made_of") == made_of and all(path.exists() for path in _files(name, out))
    return {key: texts[key] for key in ("finding", "table")} if same else None


def _files(name: str, out: Path) -> list[Path]:
    """Return the files of a figure: its pictures, then its data."""
    return [out / f"{name}{suffix}" for suffix in (*FIGURES[name].pictures, ".csv")]


def _write(name: str, rows: list[Any], out: Path) -> list[Path]:
    """Draw a figure in every way that it is drawn, and write its data."""
    *pictures, data = _files(name, out)
    for path in pictures:
        FIGURES[name].module.draw(rows, path)
    return [*pictures, files.write_csv(data, rows)]


def draw_cost(results: Path) -> list[Path]:
    """Draw the figures of cost from results that `analysis.cost.save` wrote, beside them.

    Returns
    -------
    list of Path
        What was written.
    """
    names = [name for name in FIGURES if name.startswith("cost_")]
    return [
        path
        for name in names
        for path in _write(name, FIGURES[name].module.compute(results), results)
    ]


def read(folder: Path) -> list[dict[str, Any]]:
    """Return what `build` wrote, as the report takes it.

    Parameters
    ----------
    folder : Path
        That `build` was given.

    Returns
    -------
    list of dict
        Per figure ``name``, ``title``, ``finding``, ``table``, ``caption``, ``alt``, ``command``
        and ``svg``, the bytes of the picture.

    Raises
    ------
    OSError
        If a file is missing.
    """
    found = []
    for name in FIGURES:
        texts = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        found.append(texts | {"svg": (folder / f"{name}.svg").read_bytes()})
    return found


def draw_gallery(folder: Path = GALLERY) -> list[Path]:
    """Draw the pictures that the README shows; a test keeps the committed ones up to date.

    Returns
    -------
    list of Path
        What was written.
    """
    paths = [folder / f"{name}.svg" for name in GALLERY_FIGURES]
    for name, path in zip(GALLERY_FIGURES, paths, strict=True):
        module = FIGURES[name].module
        module.draw(module.compute(), path)
    return paths
