# SPDX-License-Identifier: Apache-2.0
"""The figures of real tensors show all of them, and say what is so.

Imports hif8.analysis.
"""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hif8.analysis import digits, encoder, real_binades, real_tensors, tensors
from hif8.analysis.formats import E4M3, EIGHT_BITS, HIF8, INT8

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def small(values: dict[str, dict[str, float]]) -> list[tensors.Row]:
    """Return rows of made-up ratios: by tensor and format, at the best scale 1 dB more."""
    row = tensors.of_array("x", np.ones(3)).rows[0]
    return [
        row._replace(tensor=name, format=entry, snr_db=db, scaled_db=db + 1)
        for name, ratios in values.items()
        for entry, db in ratios.items()
    ]


MADE_UP = small(
    {
        "a": {"hif8": 20.0, "e4m3": 25.0, "int8": 10.0},
        "b": {"hif8": 21.0, "e4m3": 18.5, "int8": 28.0},
        "c": {"hif8": math.inf, "e4m3": math.inf, "int8": math.inf},
    }
)


def test_every_tensor_of_both_networks_is_in_every_format():
    rows = real_tensors.compute()
    found = {(row.tensor, row.format) for row in rows}
    assert len(rows) == len(found) == (88 + 4) * len(EIGHT_BITS)
    own = {row.tensor for row in rows if row.tensor.startswith("digits: ")}
    assert own == {f"digits: {name}" for name in digits.tensors(digits.train())}
    assert rows[: 88 * len(EIGHT_BITS)] == encoder.read().summary.rows


def test_leads_are_differences_and_none_if_both_are_exact():
    assert real_tensors.leads(MADE_UP, E4M3, "snr_db") == {"a": 5, "b": -2.5, "c": 0}
    assert real_tensors.leads(MADE_UP, INT8, "scaled_db") == {"a": -10, "b": 7, "c": 0}


def test_most_weights_of_the_encoder_have_less_noise_in_e4m3_and_with_a_scale_in_int8():
    """As the README has it."""
    names = ("weights", "embeddings")
    rows = [row for row in encoder.read().summary.rows if tensors.kind(row.tensor).endswith(names)]
    assert len(rows) == 40 * len(EIGHT_BITS)
    for entry, ratio in ((E4M3, "snr_db"), (INT8, "scaled_db")):
        ahead = [lead > 0.1 for lead in real_tensors.leads(rows, entry, ratio).values()]
        assert sum(ahead) > len(ahead) / 2 == 20


def test_the_finding_says_where_others_are_ahead_and_by_how_much():
    text = real_tensors.finding(MADE_UP).replace("\N{NO-BREAK SPACE}", " ")
    assert "Of 3 tensors, cast as they are, E4M3 is ahead of HiF8 in 1, by up to 5.0 dB (a)" in text
    assert "and HiF8 of E4M3 in 1, by up to 2.5 dB (b)" in text
    assert "medians are 21.0 dB in HiF8 and 25.0 in E4M3" in text
    assert "they are 22.0 and 26.0, E4M3 is ahead in 1 by up to 5.0 dB (a)" in text
    assert "INT8 with 29.0 at the median is ahead in 1 by up to 7.0 dB (b)" in text
    assert "behind in 1 by up to 10.0 dB (a)" in text


def test_the_finding_of_binades_adds_up():
    rows = [
        tensors.Binade("x", E, count, 0.0)
        for E, count in {-30: 1, -23: 1, -10: 3, -9: 5, -4: 20, -3: 40, 3: 20, 4: 10}.items()
    ]
    text = real_binades.finding(rows).replace("\N{NO-BREAK SPACE}", " ")
    numbers = [float(number) for number in NUMBER.findall(text)]
    assert numbers == [100, 60, 8, 4, 30, 30, 2, -3, 4, 3, 5, 8, 2]


def test_kinds_of_tensors_share_a_line_and_ends_gather_what_is_beyond():
    rows = [
        tensors.Binade("query weights 0", -3, 2, 0.0),
        tensors.Binade("query weights 1", -3, 1, 0.0),
        tensors.Binade("query weights 1", -90, 1, 0.0),
        tensors.Binade("keys 0", 90, 4, 0.0),
    ]
    first, last = real_binades.SHOWN[0], real_binades.SHOWN[-1]
    assert first < min(HIF8.binades) < max(HIF8.binades) < last
    expected = {"query weights": {-3: 0.75, first: 0.25}, "keys": {last: 1.0}}
    assert real_binades.shares(rows) == expected


def test_numbers_alone_tell_tensors_of_a_kind_apart():
    names = {
        "query weights 5": "query weights",
        "encoder.layer.11.output.dense.weight": "encoder.layer.output.dense.weight",
        "digits: weights1": "digits: weights",
        "pooler weights": "pooler weights",
    }
    for name, kind in names.items():
        assert tensors.kind(name) == kind


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_few_and_odd_ratios_are_drawn(tmp_path: Path, suffix):
    odd = small({"a": dict.fromkeys(EIGHT_BITS, math.nan), "b": dict.fromkeys(EIGHT_BITS, -90.0)})
    real_tensors.draw([*odd, *MADE_UP], tmp_path / f"a{suffix}")
    assert (tmp_path / f"a{suffix}").stat().st_size > 1000
