# SPDX-License-Identifier: Apache-2.0
"""The figure of hybrid rounding: its rows against the paper's equations, its sentence, its bytes.

Imports hif8.analysis and paper.
"""

from fractions import Fraction
from pathlib import Path

import numpy as np
import paper
import pytest
from hif8.analysis import hybrid

VALUES = [(-1) ** sign * value for value, _ in paper.POSITIVE for sign in (0, 1)]
ROWS = hybrid.compute()
WIDENED = (("bf16 widened", False), ("bf16 widened keep_exact", True))


def of(experiment: str) -> dict[int, hybrid.Row]:
    return {row.exponent: row for row in ROWS if row.experiment == experiment}


def moves(name: str, keep_exact: bool) -> int:
    """Return how many exact values of a format come back from HR as others, by the paper."""
    words = [paper.ieee_word(value, name) for value in VALUES]
    codes = [paper.encode_hybrid(word, name, keep_exact=keep_exact) for word in words]
    return sum(paper.value(code) != value for code, value in zip(codes, VALUES, strict=True))


@pytest.mark.parametrize(
    ("experiment", "name", "keep_exact"),
    [
        ("exact fp32", "float32", False),
        ("exact fp32 keep_exact", "float32", True),
        ("exact fp16", "float16", False),
        ("exact bf16", "bfloat16", False),
    ],
)
def test_exact_values_that_move_are_those_of_the_paper(experiment, name, keep_exact) -> None:
    assert hybrid.moved(ROWS, experiment) == (moves(name, keep_exact), 252)


def test_16_becomes_20_and_the_largest_value_infinite_in_fp32_alone() -> None:
    assert (of("exact fp32")[4].power_becomes, of("exact fp32")[15].power_becomes) == (20, np.inf)
    for other in ("exact fp32 keep_exact", "exact fp16", "exact bf16"):
        assert all(row.power_becomes == 2.0**E for E, row in of(other).items())
        assert len(of(other)) == 38


def result(experiment: str, word: int) -> int:
    """Return the code of a BF16 word in an experiment, by the paper."""
    if experiment == "bf16":
        return paper.encode_hybrid(word, "bfloat16")
    if experiment == "bf16 ta":
        return paper.encode(paper.ieee_value(word, "bfloat16"))
    return paper.encode_hybrid(word << 16, "float32", keep_exact=dict(WIDENED)[experiment])


@pytest.mark.parametrize("experiment", ["bf16", "bf16 ta", *dict(WIDENED)])
def test_bias_of_bf16_is_that_of_the_paper_in_every_binade(experiment) -> None:
    rows = of(experiment)
    assert list(rows) == list(range(-22, 15))
    for E, row in rows.items():
        words = range((E + 127) << 7, (E + 128) << 7)
        n = 0 if E < -15 else 3 if abs(E) < 4 else 2 if abs(E) < 8 else 1
        before = [paper.ieee_value(word, "bfloat16") for word in words]
        after = [paper.value(result(experiment, word)) for word in words]
        pairs = list(zip(before, after, strict=True))
        assert (row.values, row.moved) == (256, 2 * sum(x != y for x, y in pairs))
        ulp = Fraction(2) ** (E - n)
        assert row.bias_ulp == float(sum((y - x) / ulp for x, y in pairs) / 128)
        assert row.bias_relative == pytest.approx(float(sum((y - x) / x for x, y in pairs) / 128))


def test_widened_values_all_move_away_and_keep_exact_spares_the_exact_ones_alone() -> None:
    compared = [E for E in of("bf16 widened") if abs(E) >= 4]
    moved = {name: sum(of(name)[E].moved for E in compared) for name in dict(WIDENED)}
    assert moved["bf16 widened"] == 256 * len(compared)
    assert moved["bf16 widened keep_exact"] == 256 * len(compared) - (140 - 2)  # 2^15 is beyond


def test_random_fp32_values_have_no_bias_to_speak_of() -> None:
    # One ulp's uniform error has a deviation below 1/2 ulp: five standard errors of the mean.
    count = sum(row.values for E, row in of("fp32 random").items() if abs(E) >= 4)
    assert count == 30 * hybrid.DRAWN
    assert abs(hybrid.bias(ROWS, "fp32 random")) < 5 * 0.5 / count**0.5


def test_finding_rests_on_the_rows() -> None:
    text = hybrid.finding(ROWS)
    assert "140 of the 252" in text
    assert "16 becomes 20, 32,768 becomes infinity" in text
    other = [
        row._replace(moved=0, bias_ulp=-1.0) if row.experiment == "bf16 widened" else row
        for row in ROWS
        if (row.experiment, row.exponent) != ("exact fp32", 5)
    ]
    assert "132 of the 244" in hybrid.finding(other)
    assert "\N{MINUS SIGN}1.000 ulp" in hybrid.finding(other)


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_two_drawings_have_equal_bytes(suffix: str, tmp_path: Path, built: Path) -> None:
    again = tmp_path / f"again{suffix}"
    hybrid.draw(ROWS, again)
    assert again.read_bytes() == (built / f"hybrid{suffix}").read_bytes()
