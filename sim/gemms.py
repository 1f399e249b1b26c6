# SPDX-License-Identifier: Apache-2.0
"""Captured matrix products for a unit that adds products up: which dot products of them to run.

Imports `golden.gemms` and `hdl.configs`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..golden.gemms import DIRECTIONS, Gemm, load
from ..hdl.configs import Unit
from .bench import Arrays

PRODUCTS = 1 << 20
"""How many products are run at most, about: of files with more, dot products are drawn."""


class Chosen(NamedTuple):
    """Dot products of captured operands.

    Attributes
    ----------
    tensors : dict of numpy.ndarray
        For each length ``a0`` and ``b0`` and so on, codes of shape (dot products, length).
    gemms : dict of str to int
        How many matrix products they are of, by direction.
    sums, products : int
        How many dot products there are, and products of two codes in them.
    """

    tensors: Arrays
    gemms: dict[str, int]
    sums: int
    products: int


def read(path: Path, unit: Unit, *, seed: int, products: int = PRODUCTS) -> Chosen:
    """Choose dot products from a file: all, or of each matrix product an equal share by chance.

    Parameters
    ----------
    path : Path
        A file of `golden.gemms`.
    unit : Unit
        What is to compute them, a MAC or a dot product.
    seed : int
        Draws them.
    products : int
        How many products there may be before that is done.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no such file, or the unit is none that adds products up.
    """
    if unit.bench != "sum":
        raise ValueError(f"--gemms takes a MAC or a dot product of HiF8 codes, not {unit.name}")
    found = load(path)
    limit = unit.max_products
    for gemm in found:
        if limit is not None and gemm.a.shape[1] > limit:
            raise ValueError(
                f"{path}: {gemm.name} has sums of {gemm.a.shape[1]} products, "
                f"{unit.name} takes up to {limit}"
            )
    share = None if sum(gemm.products for gemm in found) <= products else products // len(found)
    rng = np.random.default_rng(seed)
    pairs: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}
    for gemm in found:
        pairs.setdefault(gemm.a.shape[1], []).append(_rows(gemm, share, rng))
    tensors = {}
    for k, (_, parts) in enumerate(sorted(pairs.items())):
        for name, column in zip("ab", zip(*parts, strict=True), strict=True):
            tensors[f"{name}{k}"] = np.concatenate(column)
    left = [codes for name, codes in tensors.items() if name.startswith("a")]
    return Chosen(
        tensors,
        {way: sum(gemm.direction == way for gemm in found) for way in DIRECTIONS},
        sum(len(codes) for codes in left),
        sum(codes.size for codes in left),
    )


def _rows(gemm: Gemm, share: int | None, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of a and columns of b for the dot products of one matrix product."""
    rows, columns = len(gemm.a), gemm.b.shape[1]
    places = np.arange(rows * columns)
    if share is not None:
        count = max(1, share // gemm.a.shape[1])
        places = rng.choice(places, min(count, places.size), replace=False)
    return gemm.a[places // columns], gemm.b.T[places % columns]


def groups(tensors: Arrays) -> Sequence[tuple[np.ndarray, np.ndarray]]:
    """Return the codes of each length, as the bench reads them back."""
    return [(tensors[f"a{k}"], tensors[f"b{k}"]) for k in range(len(tensors) // 2)]
