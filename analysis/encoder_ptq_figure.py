# SPDX-License-Identifier: Apache-2.0
"""Figure: the sentence encoder after training, its operands cast to 8 bits with scales or without.

Imports `analysis.encoder`, `analysis.encoder_ptq`, `analysis.formats`, `analysis.plot` and
`analysis.ptq_layout`.
"""

from collections.abc import Callable
from pathlib import Path
from statistics import median

from matplotlib.axes import Axes

from . import encoder, encoder_ptq, plot, ptq_layout
from .encoder_ptq import EMBEDDINGS, Row
from .formats import E4M3, E5M2, HIF8, INT8, Format

FLOATS = (HIF8, E4M3, E5M2)
AHEAD = 0.1
"""In dB: ratios that are nearer than that count as equal."""
LARGEST = 0.3
"""The end of the axes of errors; means beyond it are written there."""


def compute() -> list[Row]:
    """Return what was measured in the encoder, as kept."""
    return encoder_ptq.read().rows


def outcomes(rows: list[Row], *, attention: bool = False) -> dict[tuple[str, str], Row]:
    """Return the row of the embeddings of every format and scheme.

    Parameters
    ----------
    rows : list of Row
        From `compute`.
    attention : bool
        Those with attention's operands cast too.
    """
    return {
        (row.format, row.scheme): row
        for row in rows
        if row.layer == EMBEDDINGS and row.attention == attention
    }


def layers(rows: list[Row]) -> dict[tuple[str, str], list[float]]:
    """Return the signal to noise ratios of the layers of every format and scheme."""
    found: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if row.layer != EMBEDDINGS:
            found.setdefault((row.format, row.scheme), []).append(row.snr_db)
    return found


def finding(rows: list[Row]) -> str:
    """Say in a sentence what the figure shows, with the numbers it rests on."""
    found, attended = (outcomes(rows, attention=cast) for cast in (False, True))

    def listed(scheme: str, value: Callable[[Row], float], digits: int) -> str:
        return _listed({x: f"{value(found[x.name, scheme]):.{digits}f}" for x in FLOATS})

    def ratios(scheme: str) -> str:
        return listed(scheme, lambda row: row.snr_db, 1)

    def best(entry: Format) -> float:
        return max(row.snr_db for (name, _), row in found.items() if name == entry.name)

    losses = {x: found[x.name, "cast"].snr_db - attended[x.name, "cast"].snr_db for x in FLOATS}
    integers = f"{found[INT8.name, 'cast'].snr_db:.1f}".replace("-", "\N{MINUS SIGN}")
    return (
        f"Cast without scales, embeddings have a mean cosine to FP32's of "
        f"{listed('cast', lambda row: row.cosine_mean, 4)}, and a signal to noise ratio in dB of "
        f"{ratios('cast')}: {_leader(found, 'cast')}. The paper's search of a scale per tensor "
        f"makes that {ratios('tensor')}: {_leader(found, 'tensor')}; the similarities of two "
        f"sentences are then off by {listed('tensor', lambda row: row.similarity_rms, 4)} (RMS). "
        f"Weights per channel give {ratios('channel_wide')}: {_leader(found, 'channel_wide')}. "
        f"Each at its best scheme, there are {_listed({x: f'{best(x):.1f}' for x in FLOATS})}; "
        f"INT8, which cannot do without scales ({integers}\N{NO-BREAK SPACE}dB), has "
        f"{best(INT8):.1f}. To cast attention's own operands too costs "
        f"{_listed({x: f'{loss:.1f}' for x, loss in losses.items()})}, unscaled."
    )


def _listed(texts: dict[Format, str]) -> str:
    """Return texts with their formats, as a list for people."""
    *first, last = (f"{text} in {entry.label}" for entry, text in texts.items())
    return f"{', '.join(first)} and {last}"


def _leader(found: dict[tuple[str, str], Row], scheme: str) -> str:
    """Say how far E4M3 is ahead of HiF8, or HiF8 of E4M3."""
    lead = found[E4M3.name, scheme].snr_db - found[HIF8.name, scheme].snr_db
    first, second = (E4M3, HIF8) if lead > 0 else (HIF8, E4M3)
    if abs(lead) < AHEAD:
        return f"{HIF8.label} and {E4M3.label} are level"
    return f"{first.label} is {abs(lead):.1f}\N{NO-BREAK SPACE}dB ahead of {second.label}"


def draw(rows: list[Row], path: Path) -> None:
    """Draw a line of points for each format and scheme: layers, embeddings, their similarities.

    Parameters
    ----------
    rows : list of Row
        From `compute`.
    path : Path
        To ``.svg`` or ``.png``.
    """
    with plot.canvas(path, width=10.4, height=6.8) as figure:
        panels = figure.subplots(1, 3, sharey=True, width_ratios=(1.15, 1.15, 1.05))
        products, angles, pairs = panels
        _draw_layers(products, rows)
        for attention in (False, True):
            own = outcomes(rows, attention=attention)
            _draw_angles(angles, own, hollow=attention)
            _draw_pairs(pairs, own, hollow=attention)
        for key, row in outcomes(rows).items():
            text = f"{row.spearman:.4f}  {row.nearest:>2}".replace("-", "\N{MINUS SIGN}")
            ptq_layout.write(pairs, 1.02, ptq_layout.PLACES[key], text, fontsize=9)
        ptq_layout.write(pairs, 1.02, -1.0, "rank correlation,\nsame nearest", fontsize=8)
        ptq_layout.line_up(panels)


def _draw_layers(axes: Axes, rows: list[Row]) -> None:
    """Draw the median over the layers, and a line from the lowest to the highest."""
    for key, ratios in layers(rows).items():
        ptq_layout.draw_range(axes, key, max(min(ratios), 0), max(ratios))
        ptq_layout.draw_point(axes, key, max(median(ratios), 0))
    axes.set_title("Products of the layers", loc="left")
    axes.set_xlabel("signal to noise (dB)")
    axes.set_xlim(0, 42)


def _draw_angles(axes: Axes, own: dict[tuple[str, str], Row], *, hollow: bool) -> None:
    """Draw how far embeddings are from FP32's on average, and a line to the farthest."""
    for key, row in own.items():
        _draw_error(axes, key, 1 - row.cosine_mean, 1 - row.cosine_least, hollow=hollow)
    axes.set_xscale("log")
    axes.set_xlim(1.5e-3, LARGEST)
    axes.set_title("Embeddings", loc="left")
    axes.set_xlabel("1 \N{MINUS SIGN} cosine to FP32's")


def _draw_pairs(axes: Axes, own: dict[tuple[str, str], Row], *, hollow: bool) -> None:
    """Draw the error of the similarities, and a line to the largest."""
    for key, row in own.items():
        _draw_error(axes, key, row.similarity_rms, row.similarity_most, hollow=hollow)
    axes.set_xscale("log")
    axes.set_xlim(3e-3, LARGEST)
    axes.set_title("Similarities of two sentences", loc="left")
    axes.set_xlabel("error of the cosine")


def _draw_error(
    axes: Axes, key: tuple[str, str], mean: float, most: float, *, hollow: bool
) -> None:
    """Draw a mean, and a filled one's line to the largest; write what is beyond the axis."""
    if mean < LARGEST:
        ptq_layout.draw_point(axes, key, mean, hollow=hollow)
    if not hollow and mean < LARGEST:
        ptq_layout.draw_range(axes, key, mean, min(most, LARGEST))
    elif not hollow:
        text = f"{mean:.2f} \N{RIGHTWARDS ARROW}"
        place = ptq_layout.PLACES[key]
        ptq_layout.write(axes, 0.98, place, text, fontsize=9, ha="right")


CAPTION = (
    "The six layers of all-MiniLM-L6-v2: inputs and weights of their 36 products with weight "
    "matrices are cast to the nearest value of a format; sums, biases, softmax, GELU and "
    "normalisations are not. Scales are chosen as for the digits network, layer by layer, on "
    f"{len(encoder_ptq.CALIBRATION)} sentences; shown are {len(encoder.SENTENCES)} others. Left, "
    "the median over the products, and lines from the lowest to the highest. Middle, the mean over "
    "the sentences, right, the root mean square over all pairs of them, both with lines to the "
    "worst. Hollow: the operands of attention's own products, queries by keys and attention by "
    "values, are cast too, without scales, in the last scheme by each sentence's largest. What is "
    "beyond the axes is written or, if hollow, left out. Far right, the rank correlation of the "
    "similarities with FP32's, and how many sentences have the same nearest one as in FP32. The "
    "encoder was measured by make tensors."
)
