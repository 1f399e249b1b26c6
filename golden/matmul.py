# SPDX-License-Identifier: Apache-2.0
"""Dot products and matrix products of HiF8 codes, with the accumulators that hardware may have.

Imports `golden.accumulate`, `decode` and `rounding`.
"""

import numpy as np
import numpy.typing as npt

from .accumulate import (
    MAX_LANES,
    Finish,
    add_beat,
    as_accumulator,
    check_terms,
    common_shape,
    readout,
    row_tiles,
    rows_and_columns,
    sum_matrix,
)
from .decode import as_codes
from .rounding import Rounding

ACCUMULATORS = ("exact", "fp32", "fused")


def dot(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    accumulator: str = "exact",
    lanes: int = 1,
    initial: npt.ArrayLike = 0.0,
    scale: npt.ArrayLike = 0,
    rounding: Rounding | str | None = None,
    saturate: bool = False,
    nan_to_zero: bool = False,
    keep_exact: bool = False,
) -> np.ndarray:
    """Return dot products of HiF8 codes over the last axis.

    Parameters
    ----------
    a, b : array_like of uint8
        Codes; shapes broadcast.
    accumulator : {'exact', 'fp32', 'fused'}
        ``exact`` adds without rounding (`exact_sum`). ``fp32`` adds one product after the other to
        an FP32 accumulator, in index order, and rounds each time. ``fused`` adds `lanes` products
        a beat to it and rounds once a beat; what the last beat lacks are zeros.
    lanes : int
        Products a beat, 1 to 32; for ``fused`` alone: ``exact`` has no order, ``fp32`` takes one.
    initial : array_like of float32
        What an FP32 accumulator starts at; the shape broadcasts with the result's.
    scale, rounding, saturate, nan_to_zero, keep_exact
        As for `readout`. TA rounds the FP32 accumulator's value times 2^scale, once; the other
        results round that to FP32 first, where it may be subnormal or overflow.

    Returns
    -------
    numpy.ndarray of float32 or uint8
        Of the broadcast shape without its last axis.

    Raises
    ------
    TypeError
        If `a` or `b` are not integers, or `initial` is not float32.
    ValueError
        If shapes, codes or options are none that fit.
    """
    left, right = rows_and_columns(a, b)
    return matmul(
        left,
        right,
        accumulator=accumulator,
        lanes=lanes,
        initial=as_accumulator(initial, "initial")[..., None, None],
        scale=np.asarray(scale)[..., None, None],
        rounding=rounding,
        saturate=saturate,
        nan_to_zero=nan_to_zero,
        keep_exact=keep_exact,
    )[..., 0, 0]


def matmul(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    accumulator: str = "exact",
    lanes: int = 1,
    initial: npt.ArrayLike = 0.0,
    scale: npt.ArrayLike = 0,
    rounding: Rounding | str | None = None,
    saturate: bool = False,
    nan_to_zero: bool = False,
    keep_exact: bool = False,
) -> np.ndarray:
    """Return the matrix product of HiF8 codes: `dot` of every row and every column.

    Parameters
    ----------
    a, b : array_like of uint8
        Codes, of shapes (..., M, K) and (..., K, N); leading axes broadcast.
    accumulator, lanes, initial, scale, rounding, saturate, nan_to_zero, keep_exact
        As for `dot`.

    Returns
    -------
    numpy.ndarray of float32 or uint8
        Of shape (..., M, N).

    Raises
    ------
    TypeError, ValueError
        As for `dot`.
    """
    left, right = _matrices(a, b)
    lanes = _check_lanes(accumulator, lanes)
    start = as_accumulator(initial, "initial")
    finish = Finish.checked(scale, rounding, saturate, nan_to_zero, keep_exact)
    batch = common_shape(a=left.shape[:-2], b=right.shape[:-2])
    shape = common_shape(
        result=(*batch, left.shape[-2], right.shape[-1]),
        initial=start.shape,
        scale=finish.scale.shape,
    )
    if accumulator == "exact":
        wrong = start[start != 0]
        if wrong.size:
            raise ValueError(f"initial must be 0 for the exact accumulator, not {wrong[0]}")
        total = sum_matrix(left, right)
        return readout(total, scale=finish.scale, rounding=finish.mode, **finish.options)
    start, exponents = (np.broadcast_to(x, shape) for x in (start, finish.scale))
    out = np.empty(shape, finish.dtype)
    for row in row_tiles(shape):
        acc = start[..., row, :]
        for k in range(0, left.shape[-1], lanes):
            acc = add_beat(acc, left[..., row, k : k + lanes], right[..., k : k + lanes, :])
        out[..., row, :] = finish.apply(acc.astype(np.float64), exponents[..., row, :])
    return out


def _matrices(
    a: npt.ArrayLike, b: npt.ArrayLike
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return the operands of a matrix product, refusing what is none."""
    left, right = as_codes(a, "a"), as_codes(b, "b")
    for name, operand in (("a", left), ("b", right)):
        if operand.ndim < 2:
            raise ValueError(f"{name} must have two axes or more, not shape {operand.shape}")
    check_terms(left.shape[-1])
    if right.shape[-2] != left.shape[-1]:
        raise ValueError(f"b must have {left.shape[-1]} rows, not {right.shape[-2]}")
    return left, right


def _check_lanes(accumulator: str, lanes: int) -> int:
    """Return the products a beat, refusing what the accumulator cannot have."""
    if accumulator not in ACCUMULATORS:
        known = ", ".join(map(repr, ACCUMULATORS))
        raise ValueError(f"accumulator must be one of {known}, not {accumulator!r}")
    if not isinstance(lanes, int | np.integer) or not 1 <= lanes <= MAX_LANES:
        raise ValueError(f"lanes must be in 1..{MAX_LANES}, not {lanes!r}")
    if accumulator == "fp32" and lanes != 1:
        raise ValueError(f"lanes must be 1 for the fp32 accumulator, not {lanes!r}")
    return int(lanes)
