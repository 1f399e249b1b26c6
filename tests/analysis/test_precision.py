# SPDX-License-Identifier: Apache-2.0
"""The precision figure: its rows, its sentence, its bytes.

Imports hif8.analysis.
"""

import math
from pathlib import Path

import pytest
from hif8.analysis import precision
from hif8.analysis.dynamic_range import TABLED
from hif8.analysis.formats import BF16


def test_rows_hold_every_binade_of_every_format_once() -> None:
    rows = precision.compute()
    assert len({(row.format, row.exponent) for row in rows}) == len(rows)
    assert {row.format for row in rows} == set(TABLED)
    for entry in TABLED.values():
        found = [row for row in rows if row.format == entry.name]
        assert sum(row.values for row in found) == entry.positive.size
        assert [row.exponent for row in found] == sorted(entry.binades)
    assert all(row.significand_bits == 1 + math.log2(row.values) for row in rows)


def test_only_bf16_leaves_the_axis() -> None:
    low, high = precision.SHOWN
    outside = {row.format for row in precision.compute() if not low <= row.exponent <= high}
    assert outside == {BF16.name}


def test_finding_rests_on_the_rows() -> None:
    rows = precision.compute()
    text = precision.finding(rows)
    assert "38 binades, 2⁻²² to 2¹⁵" in text
    assert "FP16 has them in 40" in text
    fewer = [row for row in rows if (row.format, row.exponent) != ("hif8", 15)]
    assert "37 binades, 2⁻²² to 2¹⁴" in precision.finding(fewer)


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_two_drawings_have_equal_bytes(suffix: str, tmp_path: Path, built: Path) -> None:
    again = tmp_path / f"again{suffix}"
    precision.draw(precision.compute(), again)
    assert again.read_bytes() == (built / f"precision{suffix}").read_bytes()


def test_worst_error_is_that_of_the_values_half_way_above_a_power_of_two() -> None:
    for row in precision.compute():
        if row.values > 1 and (row.values & (row.values - 1)) == 0:
            values = TABLED[row.format].positive
            first, second = values[values >= 2.0**row.exponent][:2]
            middle = (first + second) / 2
            assert precision.worst_error(row.significand_bits) == (middle - first) / middle


def test_the_table_has_a_line_for_every_format() -> None:
    lines = precision.table(precision.compute())
    assert [line["format"] for line in lines] == [entry.label for entry in TABLED.values()]
    ours = lines[0]
    assert (ours["smallest"], ours["largest"], ours["binades"]) == ("2⁻²²", "2¹⁵", "38")
    assert ours["of them with > 3, 3, 2, 1, 0 mantissa bits"] == "0, 7, 8, 16, 7"
