# SPDX-License-Identifier: Apache-2.0
"""Matrix engines of any size and latency against exact fractions."""

from fractions import Fraction

import numpy as np
import paper
import pytest
from hif8.hdl.matrix import MatrixEngine
from simulated import packed, stream

TILES = 10
ENGINES = [
    (1, 1, "exact", "fp32", 3),
    (1, 3, "fp32", "fp32", 3),
    (2, 3, "exact", "fp32", 4),
    (3, 2, "fp32", "hif8", 3),
    (3, 2, "fp32", "hif8", 4),
    (2, 2, "exact", "hif8", 3),
    (2, 2, "exact", "hif8", 4),
    (4, 1, "exact", "hif8", 5),
]
"""Rows, columns, accumulator, output, latency."""


def element(a, b, accumulator, output, scale):
    """Return what the engine makes of a row of A and a column of B, from the paper's equations."""
    total = paper.exact_sum(a, b)[1]
    if accumulator == "fp32":
        word = 0
        for x, y in zip(a, b, strict=True):
            word = paper.accumulate(word, [x], [y])
        total = paper.ieee_value(word, "float32")
    if isinstance(total, Fraction):
        total *= Fraction(2) ** scale
    return paper.encode(total) if output == "hif8" else paper.nearest_float32(total)


@pytest.mark.parametrize("beats", [1, 2, 6])
@pytest.mark.parametrize(("rows", "cols", "accumulator", "output", "latency"), ENGINES)
def test_engine_of_every_size_and_latency_is_exact(rows, cols, accumulator, output, latency, beats):
    unit = MatrixEngine(
        rows=rows, cols=cols, accumulator=accumulator, output=output, latency=latency
    )
    rng = np.random.default_rng(rows + 10 * beats)
    a, b = (rng.integers(0, 256, (TILES, beats, size)) for size in (rows, cols))
    near_one = rng.random(TILES) < 0.7
    a[near_one] = a[near_one] & 0x9F  # without infinities, sums that HiF8 has codes for
    b[near_one] = b[near_one] & 0x1F
    scales = rng.integers(-4, 5, TILES)
    items = [
        {"a": packed(x), "b": packed(y), "last": k == beats - 1, "scale": int(scale)}
        for left, right, scale in zip(a.tolist(), b.tolist(), scales, strict=True)
        for k, (x, y) in enumerate(zip(left, right, strict=True))
    ]
    width = 8 if output == "hif8" else 32
    expected = [
        {
            "c": sum(
                element(
                    a[t, :, r].tolist(), b[t, :, c].tolist(), accumulator, output, int(scales[t])
                )
                << width * c
                for c in range(cols)
            ),
            "last_row": r == rows - 1,
        }
        for t in range(TILES)
        for r in range(rows)
    ]
    steady = stream(unit, items, TILES * rows)
    assert steady.outputs == expected
    firsts, ends = steady.emitted[::rows], steady.accepted[beats - 1 :: beats]
    assert firsts[0] - ends[0] == latency
    assert np.diff(firsts).tolist() == [max(beats, rows)] * (TILES - 1)
    assert stream(unit, items, TILES * rows, gap=0.3, stall=0.5).outputs == expected


def test_latency_of_an_engine_is_by_default_the_longest():
    small = {"rows": 2, "cols": 2}
    assert MatrixEngine(accumulator="fp32", output="fp32", **small).latency == 3
    assert MatrixEngine(accumulator="exact", output="fp32", **small).latency == 4
