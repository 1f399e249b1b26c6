# SPDX-License-Identifier: Apache-2.0
"""Vectors of products and sums: what they say, against exact fractions.

Imports hif8 and paper.
"""

import math
import re
from fractions import Fraction

import paper
import pytest
from hif8.golden import product_vectors

UNIT = Fraction(1, 1 << 44)


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return product_vectors.texts()


def rows_of(text: str) -> list[list[int]]:
    lines = [line for line in text.splitlines() if not line.startswith("//")]
    assert len(lines) == int(re.search(r"// (\d+) rows of", text)[1])
    return [[int(column, 16) for column in line.split("_")] for line in lines]


def vectors_of(text: str) -> list[list[list[int]]]:
    """Return the rows of each vector."""
    vectors = []
    for row in rows_of(text):
        if row[2] & 1:
            vectors.append([])
        vectors[-1].append(row)
    return vectors


def test_products_are_those_of_every_pair(texts: dict[str, str]) -> None:
    rows = rows_of(texts["multiply.hex"])
    assert [(a, b) for a, b, *_ in rows] == [(a, b) for a in range(256) for b in range(256)]
    for a, b, sign, exponent, significand, inf, nan in rows:
        exact = paper.product(a, b)
        if isinstance(exact, Fraction):
            signed = exponent - 256 if exponent & 0x80 else exponent
            magnitude = significand * Fraction(2) ** (signed - 6)
            assert (not inf, not nan, (-magnitude if sign else magnitude)) == (1, 1, exact)
            assert sign == (exact < 0)
        else:
            assert (inf, nan) == (math.isinf(exact), math.isnan(exact))
            assert sign == (exact == -math.inf)


def test_sums_are_those_of_their_beats(texts: dict[str, str]) -> None:
    vectors = vectors_of(texts["mac.hex"])
    lengths = [len(rows) for rows in vectors]
    assert len(vectors) == 10 * 10 * 12 + 11 * 11 + 2 * 24 * len(product_vectors.LENGTHS)
    assert set(lengths) == set(product_vectors.LENGTHS)
    for rows in vectors:
        assert [row[2] >> 1 for row in rows] == [0] * (len(rows) - 1) + [1]
        assert not any(sum(row[4:]) for row in rows[:-1])
        a, b = ([row[side] for row in rows] for side in (0, 1))
        *_, fp32, exact, flags = rows[-1]
        finite, special = paper.exact_sum(a, b)
        signed = exact - (1 << 96) if exact >> 95 else exact
        assert signed * UNIT == finite
        assert flags == (
            math.isnan(special) | (special == math.inf) << 1 | (special == -math.inf) << 2
        )
        word = rows[0][3]
        for x, y in zip(a, b, strict=True):
            word = paper.accumulate(word, [x], [y])
        assert fp32 == word


def test_what_is_drawn_is_the_same_everywhere(texts: dict[str, str]) -> None:
    # The first outputs of splitmix64 seeded with 0.
    assert [hex(bits) for bits in product_vectors.Sequence().draw(2).tolist()] == [
        "0xe220a8397b1dcdaf",
        "0x6e789e6aa1b965f4",
    ]
    assert product_vectors.texts() == texts


def test_drawn_vectors_are_finite_first_and_then_anything(texts: dict[str, str]) -> None:
    drawn = vectors_of(texts["mac.hex"])[-2 * 24 * len(product_vectors.LENGTHS) :]
    half = len(drawn) // 2
    assert not any(rows[-1][6] for rows in drawn[:half])
    assert sum(rows[-1][6] != 0 for rows in drawn[half:]) > half // 8
