# SPDX-License-Identifier: Apache-2.0
"""The sentence encoder: what is kept of it, and, where it is installed, that it is right.

Imports hif8.analysis. The published similarities are those of the Sentence Transformers manual's
first example.
"""

from itertools import chain

import numpy as np
import pytest
from hif8.analysis import encoder
from hif8.analysis.formats import EIGHT_BITS
from hif8.analysis.tensors import kind

PUBLISHED = {
    ("The weather is lovely today.", "It's so sunny outside!"): 0.6660,
    ("The weather is lovely today.", "He drove to the stadium."): 0.1046,
    ("It's so sunny outside!", "He drove to the stadium."): 0.1411,
}
ACTIVATIONS = {
    "layer inputs": 384,
    "contexts": 384,
    "up inputs": 384,
    "GELU outputs": 1536,
    "queries": 384,
    "keys": 384,
    "values": 384,
}
"""Elements for each token of a sentence; of "attention" there is one for each pair and head."""
WEIGHTS = {
    "word embeddings": 30522 * 384,
    "position embeddings": 512 * 384,
    "token type embeddings": 2 * 384,
    "query weights": 384 * 384,
    "key weights": 384 * 384,
    "value weights": 384 * 384,
    "output weights": 384 * 384,
    "up weights": 384 * 1536,
    "down weights": 384 * 1536,
    "pooler weights": 384 * 384,
}


@pytest.fixture(scope="module")
def weights():
    """Not even CI asks for 90 MB."""
    reason = encoder.missing()
    if reason:
        pytest.skip(f"NOT RUN: {reason}")
    return encoder.load()


def test_every_matrix_and_every_operand_of_all_layers_was_measured():
    result = encoder.read()
    assert result.sentences == len(encoder.SENTENCES) == 40
    rows = [row for row in result.summary.rows if row.format == "hif8"]
    assert len(rows) == 3 + 6 * 6 + 1 + 8 * 6
    assert len(result.summary.rows) == len(EIGHT_BITS) * len(rows)
    sizes = {row.tensor: row.values for row in rows}
    assert len(sizes) == len(rows)
    for name, size in sizes.items():
        if kind(name) == "attention":
            assert size % encoder.HEADS == 0
        else:
            per_token = ACTIVATIONS.get(kind(name))
            assert size == (per_token * result.tokens if per_token else WEIGHTS[kind(name)])
    assert all(row.nan == row.infinite == 0 for row in rows)


def test_histograms_count_what_the_rows_count():
    summary = encoder.read().summary
    for row in summary.rows:
        if row.format == "hif8":
            found = [binade for binade in summary.binades if binade.tensor == row.tensor]
            assert sum(binade.values for binade in found) == row.values - row.zeros
            fields = {x.dot_field: x.values for x in summary.fields if x.tensor == row.tensor}
            assert sum(fields.values()) == row.values
            assert fields["zero"] == row.zeros + row.flushed


def test_what_is_kept_survives(tmp_path):
    result = encoder.read()
    path = encoder.save(result, tmp_path / "again.json")
    assert path.read_bytes() == encoder.MEASURED.read_bytes()


def test_a_missing_model_is_one_line(monkeypatch):
    monkeypatch.setattr(encoder, "PACKAGE", "no_such_package")
    with pytest.raises(RuntimeError, match=r"^no_such_package.* not installed: make encoder$"):
        encoder.load()


def test_sentences_are_as_similar_as_published(weights):
    sentences = list(dict.fromkeys(chain(*PUBLISHED)))
    tokens = list(map(encoder.tokenizer(), sentences))
    found = dict(zip(sentences, encoder.embed(weights, tokens), strict=True))
    assert len(found) == 3
    for (one, other), similarity in PUBLISHED.items():
        assert found[one].dtype == np.float32
        assert found[one] @ found[other] == pytest.approx(similarity, abs=1e-4)


def test_sentences_do_not_see_one_another(weights):
    tokens = list(map(encoder.tokenizer(), encoder.SENTENCES[:4]))
    together = encoder.embed(weights, tokens)
    for sentence, row in zip(tokens, together, strict=True):
        assert encoder.embed(weights, [sentence])[0] == pytest.approx(row, abs=1e-5)


def test_measuring_again_gives_what_is_kept(weights):
    """If not: make tensors. Sums of products differ in their last bits from machine to machine."""
    kept, again = encoder.read(), encoder.measure()
    assert again.made_with[encoder.MODEL] == kept.made_with[encoder.MODEL]
    assert again.tokens == kept.tokens
    compared = 0
    for one, other in zip(kept.summary.rows, again.summary.rows, strict=True):
        assert one[:2] == other[:2]
        if kind(one.tensor) in WEIGHTS:
            assert one == other
            compared += 1
        else:
            assert one.values == other.values
            assert one.snr_db == pytest.approx(other.snr_db, abs=0.01)
            assert one.scaled_db == pytest.approx(other.scaled_db, abs=0.01)
    assert compared == len(EIGHT_BITS) * 40
