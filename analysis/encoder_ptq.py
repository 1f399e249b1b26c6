# SPDX-License-Identifier: Apache-2.0
"""The sentence encoder after training, its operands cast to 8 bits with scales or without.

Imports `analysis.encoder`, `analysis.kept` and `analysis.ptq`. As the encoder is not on every
machine, what `measure` found is kept, and `read` gives that.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, starmap
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import pearsonr, spearmanr
from threadpoolctl import threadpool_limits

from . import encoder, kept, ptq

MEASURED = encoder.MEASURED.with_name("encoder_ptq.json")
"""What was found in the model, as part of the repository."""

CALIBRATION = (
    "Rain is expected by noon.",
    "The committee will meet again in March.",
    "Where did you put the spare keys?",
    "Photosynthesis stores the energy of light.",
    "He sold his bicycle for forty euros.",
    "A cache miss costs 200 cycles.",
    "Add the flour slowly and stir.",
    "The violinist missed her flight to Oslo.",
)
"""What scales are chosen by; what is measured is `encoder.SENTENCES`."""
EMBEDDINGS = "embeddings"
ATTENTION = dict.fromkeys(ptq.SCHEMES, ptq.unscaled) | {"largest": ptq.largest}
"""The scales of attention's operands, by schemes, chosen sentence by sentence."""


class Row(NamedTuple):
    """One layer of the encoder, its operands in one format by one scheme, or its embeddings.

    Attributes
    ----------
    layer : str
        The layer's name; `EMBEDDINGS` for the outcome.
    format, scheme : str
        One of `ptq.CONFIGURATIONS`.
    attention : bool
        Whether the operands of attention's products are cast too; of layers it is false.
    log2_inputs, log2_weights_least, log2_weights_most : float or None
        log2 of the scales of the layer.
    snr_db : float
        Of the layer's products, or of the embeddings, by FP32's.
    cosine_mean, cosine_least : float or None
        Of the angle between a sentence's embedding and FP32's of the same sentence.
    similarity_rms, similarity_most : float or None
        The difference from FP32's of the cosine between the embeddings of two sentences, of all
        pairs, the root mean square and the largest.
    pearson, spearman : float or None
        How these cosines correlate with FP32's.
    nearest : int or None
        How many sentences have the same nearest other sentence as in FP32.
    """

    layer: str
    format: str
    scheme: str
    attention: bool
    log2_inputs: float | None
    log2_weights_least: float | None
    log2_weights_most: float | None
    snr_db: float
    cosine_mean: float | None = None
    cosine_least: float | None = None
    similarity_rms: float | None = None
    similarity_most: float | None = None
    pearson: float | None = None
    spearman: float | None = None
    nearest: int | None = None


class Result(NamedTuple):
    """What was measured, and on what.

    Attributes
    ----------
    made_with : dict of str
        As `encoder.Result` has it.
    calibration_sentences, calibration_tokens : int
        How many scales are chosen by.
    sentences, tokens : int
        How many were measured.
    rows : list of Row
        For every format and scheme the layers in their order, then the embeddings with attention's
        operands as they are, and with these cast.
    """

    made_with: dict[str, str]
    calibration_sentences: int
    calibration_tokens: int
    sentences: int
    tokens: int
    rows: list[Row]


def measure(configurations: Sequence[tuple[str, str]] = ptq.CONFIGURATIONS) -> Result:
    """Calibrate the encoder on `CALIBRATION`, and run it on `encoder.SENTENCES`.

    Parameters
    ----------
    configurations : sequence of tuple of str
        Formats and schemes; by default all, which takes minutes.
    """
    weights, tokens_of = encoder.load(), encoder.tokenizer()
    calibration, sentences = (
        [tokens_of(sentence) for sentence in own] for own in (CALIBRATION, encoder.SENTENCES)
    )
    with threadpool_limits(1):
        calibrating, measuring = (
            partial(encoder.embed, weights, own) for own in (calibration, sentences)
        )
        rows = [*chain(*starmap(_measurer(calibrating, measuring), configurations))]
    return Result(
        encoder.made_with(),
        len(calibration),
        sum(map(len, calibration)),
        len(sentences),
        sum(map(len, sentences)),
        rows,
    )


def _measurer(
    calibrating: Callable[..., ptq.Tensor], measuring: Callable[..., ptq.Tensor]
) -> Callable[[str, str], Iterator[Row]]:
    """Return what yields the rows of a format and scheme, from the encoder on two sets."""

    def network(product: ptq.Product, attend: ptq.Product = encoder.multiply) -> ptq.Tensor:
        return measuring(product=product, attend=attend)

    target = ptq.run(network)

    def rows(name: str, scheme: str) -> Iterator[Row]:
        choose = ptq.SCHEMES[scheme].choose
        scales = ptq.calibrate(lambda product: calibrating(product=product), name, choose)
        product = ptq.casting(name, scales)
        found = ptq.run(network, product)
        for layer, values in found.products.items():
            log2_weights = np.log2(scales[layer].weights)
            yield Row(
                layer,
                name,
                scheme,
                attention=False,
                log2_inputs=float(np.log2(scales[layer].inputs)),
                log2_weights_least=float(log2_weights.min()),
                log2_weights_most=float(log2_weights.max()),
                snr_db=ptq.signal_to_noise(values, target.products[layer]),
            )
        outputs = {False: found.output, True: network(product, at_once(name, scheme))}
        for attention, output in outputs.items():
            compared = compare(output, target.output)
            yield Row(EMBEDDINGS, name, scheme, attention, *[None] * 3, *compared)

    return rows


def at_once(name: str, scheme: str) -> ptq.Product:
    """Return what multiplies operands in a format, at scales that are chosen by them alone.

    Parameters
    ----------
    name, scheme : str
        One of `ptq.CONFIGURATIONS`.
    """
    choose = ATTENTION[scheme]
    return lambda layer, inputs: ptq.multiply_cast(
        layer, inputs, choose(layer, inputs, inputs, name), name
    )


def compare(found: ptq.Tensor, target: ptq.Tensor) -> tuple[float, ...]:
    """Return how embeddings differ from FP32's: the fields of `Row` from `snr_db` on.

    Parameters
    ----------
    found, target : numpy.ndarray of float32
        An embedding of each sentence, of any length but zero.
    """
    units, units_fp32 = (
        x / np.linalg.norm(x, axis=-1, keepdims=True)
        for x in (found.astype(np.float64), target.astype(np.float64))
    )
    cosines = (units * units_fp32).sum(axis=-1)
    similarities, similarities_fp32 = (x @ x.T for x in (units, units_fp32))
    pairs = np.triu_indices(len(found), k=1)
    differences = (similarities - similarities_fp32)[pairs]
    nearest, nearest_fp32 = (
        np.where(np.eye(len(x), dtype=bool), -np.inf, x).argmax(axis=-1)
        for x in (similarities, similarities_fp32)
    )
    both = similarities[pairs], similarities_fp32[pairs]
    return (
        ptq.signal_to_noise(found, target),
        float(cosines.mean()),
        float(cosines.min()),
        float(np.sqrt((differences**2).mean())),
        float(np.abs(differences).max()),
        float(pearsonr(*both).statistic),
        float(spearmanr(*both).statistic),
        int((nearest == nearest_fp32).sum()),
    )


def renew() -> Path:
    """Measure, and keep what was found."""
    return save(measure(), MEASURED)


def save(result: Result, path: Path) -> Path:
    """Write what was measured as JSON, a row a line."""
    head = result._asdict()
    return kept.write(path, head, {"rows": head.pop("rows")})


def read(path: Path = MEASURED) -> Result:
    """Return what `save` wrote.

    Raises
    ------
    OSError
        If there is no such file.
    """
    said = json.loads(path.read_text())
    return Result(**said | {"rows": list(starmap(Row, said["rows"]))})
