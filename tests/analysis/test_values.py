# SPDX-License-Identifier: Apache-2.0
"""The table of typical values against the published ones.

Imports hif8.analysis.values.
"""

import numpy as np
import pytest
from hif8.analysis import values
from hif8.analysis.formats import FORMATS

TABLE = {row["quantity"]: row for row in values.compute()}


def test_every_row_has_a_cell_for_every_format() -> None:
    labels = [entry.label for entry in FORMATS.values()]
    assert len(TABLE) == len(values.QUANTITIES)
    for row in TABLE.values():
        assert list(row) == ["quantity", *labels]
        assert all(row.values())


@pytest.mark.parametrize(
    ("quantity", "cells"),
    [
        ("zero", {"HiF8": "00000000", "FP8-E4M3": "S0000000", "FP8-E5M2": "S0000000"}),
        (
            "NaN (posit: NaR)",
            {
                "HiF8": "10000000",
                "FP8-E4M3": "S1111111",
                "FP8-E5M2": "S1111101..S1111111",
                "posit(8,2)": "10000000",
                "FP16": "0x7C01..0x7FFF\n0xFC01..0xFFFF",
            },
        ),
        ("infinity", {"HiF8": "S1101111", "FP8-E4M3": "none", "FP8-E5M2": "S1111100"}),
        (
            "largest finite",
            {
                "HiF8": "2¹⁵\n01101110",
                "FP8-E4M3": "1.75·2⁸\n01111110",
                "BF16": "1.9921875·2¹²⁷\n0x7F7F",
            },
        ),
        (
            "smallest normal",
            {"HiF8": "2⁻¹⁵\n01111110", "FP8-E4M3": "2⁻⁶\n00001000", "FP8-E5M2": "2⁻¹⁴\n00000100"},
        ),
        (
            "smallest subnormal or denormal",
            {"HiF8": "2⁻²²\n00000001", "posit(8,2)": "none", "FP16": "2⁻²⁴\n0x0001"},
        ),
        ("binades with values", {"HiF8": "38", "FP16": "40", "FP8-E4M3": "18", "FP8-E5M2": "32"}),
    ],
)
def test_cells_are_the_published_ones(quantity: str, cells: dict[str, str]) -> None:
    assert {label: TABLE[quantity][label] for label in cells} == cells


@pytest.mark.parametrize(
    ("codes", "width", "text"),
    [
        ([], 3, "none"),
        ([0], 3, "000"),
        ([4], 3, "100"),
        ([0, 4], 3, "S00"),
        ([1, 2, 3, 5, 6, 7], 3, "S01..S11"),
        ([1, 3, 4], 3, "001\n011..100"),
        ([0, 0x8000], 16, "0x0000\n0x8000"),
    ],
)
def test_codes_text_names_every_code(codes: list[int], width: int, text: str) -> None:
    assert values.codes_text(np.isin(np.arange(1 << width), codes), width) == text
