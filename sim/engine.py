# SPDX-License-Identifier: Apache-2.0
"""Matrix products on a simulated engine: whole matrices in tiles, and whole matrices back.

Imports `golden`, `hdl.configs`, `sim.bench_matrix` and `sim.verify`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..golden.accumulate import SCALES
from ..golden.decode import as_codes
from ..hdl.configs import UNITS, Unit
from . import verify
from .bench_matrix import option_names, tile_size

ENGINES = sorted(
    (unit for unit in UNITS.values() if unit.bench == "matrix"),
    key=lambda unit: (unit.large, -unit.products),
)
"""The rows that are engines, the largest first, but those last that take minutes to build."""


@dataclass(frozen=True)
class Product:
    """What an engine made of two matrices.

    Attributes
    ----------
    c : numpy.ndarray of float32 or uint8
        Their product, as it came out of the engine.
    verdict : Verdict
        What golden says of every row of every tile.
    tiles, beats, cycles : int
        How many tiles it took, how many beats went in, and how many clock cycles that took.
    """

    c: np.ndarray
    verdict: verify.Verdict
    tiles: int
    beats: int
    cycles: int


def fitting(accumulator: str, output: str, name: str | None = None) -> Unit:
    """Return the engine with that accumulator and that output: of that name, or the first.

    Raises
    ------
    ValueError
        If there is none.
    """
    kinds: dict[tuple[str, str], dict[str, Unit]] = {}
    for unit in ENGINES:
        kind = unit.parameters["accumulator"], unit.parameters["output"]
        kinds.setdefault(kind, {})[unit.name] = unit
    if (accumulator, output) not in kinds:
        known = ", ".join(" to ".join(kind) for kind in sorted(kinds))
        raise ValueError(f"engine must be one of {known}, not {accumulator} to {output}")
    units = kinds[accumulator, output]
    if name is not None and name not in units:
        known = ", ".join(units)
        raise ValueError(f"unit must be {known} for {accumulator} to {output}, not {name!r}")
    return next(iter(units.values())) if name is None else units[name]


def multiply(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    unit: Unit = UNITS["matrix8x8_exact_to_fp32"],
    simulator: str = "verilator",
    root: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
    **options: int,
) -> Product:
    """Multiply matrices of HiF8 codes on a simulated engine, and compare with golden.

    Parameters
    ----------
    a, b : array_like of uint8
        Codes, of shapes (M, K) and (K, N); what tiles at the edges lack are zeros.
    unit : Unit
        The engine.
    simulator : str
        What simulates it.
    root : Path
        Folder of builds and runs.
    progress : callable
        As for `sim.verify.run`; the cases are the rows of all tiles.
    **options : int
        What the engine reads with the last beat of a tile: `scale` and, if it has them, `hybrid`,
        `saturate` and `nan_to_zero`. Those that are not given are 0.

    Returns
    -------
    Product
        The product, and whether it is bit-exact.

    Raises
    ------
    TypeError
        If `a` or `b` are not integers.
    ValueError
        If shapes, codes or options are none that fit.
    ToolError
        If the simulator could not be run to the end.
    """
    left, right = _matrices(a, b, unit)
    chosen = _chosen(options, unit)
    rows, cols = tile_size(unit)
    blocks = {"a": _blocks(left.T, rows), "b": _blocks(right, cols)}
    down, across = len(blocks["a"]), len(blocks["b"])
    tiles = down * across
    verdict, outputs = verify.run(
        unit,
        simulator,
        root=root,
        tensors=blocks,
        cases=tiles * rows,
        options=chosen,
        progress=progress,
    )
    dtype = np.dtype("<f4" if unit.parameters["output"] == "fp32" else "u1")
    words = np.zeros(tiles * rows * cols, dtype)  # of a faulty engine there may be fewer
    came = outputs["c"].view(dtype)
    words[: came.size] = came
    whole = words.reshape(down, across, rows, cols).transpose(0, 2, 1, 3)
    return Product(
        c=whole.reshape(down * rows, across * cols)[: left.shape[0], : right.shape[1]],
        verdict=verdict,
        tiles=tiles,
        beats=tiles * left.shape[1],
        cycles=int(outputs["cycles"]),
    )


def _blocks(matrix: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """Cut a matrix into blocks of so many columns, the last padded with zero codes."""
    missing = -matrix.shape[1] % size
    padded = np.pad(matrix, ((0, 0), (0, missing)))
    return padded.reshape(len(matrix), -1, size).transpose(1, 0, 2)


def _matrices(
    a: npt.ArrayLike, b: npt.ArrayLike, unit: Unit
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return the operands, refusing what the engine cannot multiply."""
    left, right = as_codes(a, "a"), as_codes(b, "b")
    for name, matrix in (("a", left), ("b", right)):
        if matrix.ndim != 2 or not matrix.size:
            raise ValueError(f"{name} must be a matrix with elements, not of shape {matrix.shape}")
    terms = left.shape[1]
    if len(right) != terms:
        raise ValueError(f"b must have {terms} rows, not {len(right)}")
    if unit.max_products is not None and terms > unit.max_products:
        raise ValueError(f"a must have 1 to {unit.max_products} columns, not {terms}")
    return left, right


def _chosen(options: dict[str, int], unit: Unit) -> dict[str, int]:
    """Return a value for each of the engine's options, refusing those that it lacks."""
    names = option_names(unit)
    for name, value in options.items():
        if name not in names:
            raise ValueError(f"option of {unit.name} must be {' or '.join(names)}, not {name!r}")
        allowed = SCALES if name == "scale" else range(2)
        if value not in allowed:
            raise ValueError(f"{name} must be in {allowed[0]}..{allowed[-1]}, not {value!r}")
    return dict.fromkeys(names, 0) | {name: int(value) for name, value in options.items()}
