# SPDX-License-Identifier: Apache-2.0
"""Errors of the rounding modes are what their definitions say, by hand and by theory.

Imports hif8.analysis.
"""

import numpy as np
import pytest
from hif8.analysis import rounding_figure
from hif8.analysis.rounding_figure import MODES, PANELS, PER_CENTRE, Row, errors

NEAREST, STOCHASTIC = 1 / np.sqrt(12), 1 / np.sqrt(6)
"""The root mean square errors of even fractions, in ulp."""


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return rounding_figure.compute()


def _of(rows: list[Row], panel: str, mode: str) -> dict[int, Row]:
    return {row.at: row for row in rows if (row.panel, row.mode) == (panel, mode)}


def test_rows_are_all_points_of_all_panels(rows):
    counts = {name: len([row for row in rows if row.panel == name]) for name in PANELS}
    assert counts == {
        "binades": 4 * 37,
        "spread": 5 * 15,
        "everywhere": 4 * 14,
        "crowded": 4 * 14,
    }
    assert len({row[:3] for row in rows}) == len(rows)
    for row in rows:
        if row.panel == "binades":
            assert row.values == row.means == 1 << 16
        elif row.panel == "spread":
            assert (row.values, row.means) == (64 << 12, 64)
        else:
            assert (row.values, row.means) == (1 << 19, 1 << 19 - row.at)


def test_errors_of_one_value_by_hand():
    # In [2^8, 2^9) the values are 256, 384 and 512.
    x = np.array([256 + 0.25 * 128, 320, 384 + 0.75 * 128, 448])
    assert errors(x, MODES["ta"], 128).tolist() == [-0.25, 0.5, 0.25, 0.5]
    assert errors(x, MODES["te"], 128).tolist() == [-0.25, -0.5, 0.25, 0.5]
    assert errors(x, MODES["hr"], 128).tolist() == [0.75, 0.5, 0.25, 0.5]  # T is 0


def test_errors_of_hybrid_rounding_go_by_the_low_bits():
    # Binade 8 keeps one bit: F is the 14 bits after it, T the 14 lowest. 0.25 ulp is F = 2^12.
    low = np.array([0, 2**12, 2**12 + 1, 2**14 - 1])  # F grows by low >> 8 with them
    x = 2.0**8 + (0.25 + low * 2.0**-22) * 2**7
    fraction = 0.25 + low * 2.0**-22
    up = 2**12 + (low >> 8) >= low
    assert up.tolist() == [True, True, True, False]
    assert errors(x, MODES["hr"], 128).tolist() == (up - fraction).tolist()


def test_errors_from_fp16_compare_with_its_last_bit():
    # Nine bits are discarded; F is the first two, T is 1 or 3 by the last.
    x = 2.0**8 + np.array([128, 129, 383, 64]) / 512 * 2**7
    fraction = np.array([128, 129, 383, 64]) / 512
    assert errors(x, MODES["hr fp16"], 128).tolist() == ([1, 0, 0, 0] - fraction).tolist()


def test_errors_are_of_the_value_that_the_source_holds():
    x = np.array([2.0**8 + 2**-6])  # FP16 has no room for the small part
    assert errors(x, MODES["hr fp16"], 128) == 0
    assert errors(x, MODES["ta"], 128) == -(2.0**-13)


def test_noise_of_a_binade_is_that_of_an_even_fraction(rows):
    for mode, expected in (("ta", NEAREST), ("te", NEAREST), ("sr", STOCHASTIC)):
        found = _of(rows, "binades", mode)
        assert list(found) == list(range(-22, 15))
        for row in found.values():
            assert row.rms_ulp == pytest.approx(expected, rel=0.01)
            assert abs(row.bias_ulp) < 4 * expected / 256
    for E, row in _of(rows, "binades", "hr").items():
        expected = NEAREST if abs(E) < 4 else STOCHASTIC
        assert row.rms_ulp == pytest.approx(expected, rel=0.01)


def test_unbiased_means_fall_with_the_root_of_their_number(rows):
    for panel, mode, one in (
        ("everywhere", "ta", NEAREST),
        ("everywhere", "te", NEAREST),
        ("everywhere", "sr", STOCHASTIC),
        ("everywhere", "hr", STOCHASTIC),
        ("crowded", "sr", np.sqrt(0.3 * 0.7)),
        ("crowded", "hr", np.sqrt(0.3 * 0.7)),
    ):
        found = _of(rows, panel, mode)
        for k in range(14):
            slack = 5 / np.sqrt(2 * found[k].means)  # five deviations of a root mean square
            assert found[k].rms_ulp == pytest.approx(one / 2 ** (k / 2), rel=slack + 0.01)


def test_ties_do_not_matter_to_random_values(rows):
    for panel in PANELS:
        away, even = (_of(rows, panel, mode) for mode in ("ta", "te"))
        assert len(away) > 10
        for at, row in away.items():
            assert row.rms_ulp == pytest.approx(even[at].rms_ulp, rel=1e-3)


def test_a_biased_mean_stays_where_it_is(rows):
    for row in _of(rows, "crowded", "ta").values():
        assert row.bias_ulp == pytest.approx(-0.3, abs=1e-3)
        assert row.rms_ulp == pytest.approx(0.3, abs=1e-3)


def test_spread_values_are_unbiased_and_near_ones_are_as_the_threshold_stands(rows):
    wide, narrow = (_of(rows, "spread", "hr")[k].rms_ulp for k in (-8, -14))
    floor = STOCHASTIC / np.sqrt(PER_CENTRE)
    assert wide == pytest.approx(floor, rel=0.5)
    assert narrow == pytest.approx(STOCHASTIC, rel=0.2)  # up or not at random, always alike
    assert _of(rows, "spread", "ta")[-14].rms_ulp == pytest.approx(NEAREST, rel=0.2)
    for row in _of(rows, "spread", "sr").values():
        assert row.rms_ulp == pytest.approx(floor, rel=0.5)
    # Two thresholds make steps of half an ulp, a quarter at most off.
    assert _of(rows, "spread", "hr fp16")[-8].rms_ulp == pytest.approx(NEAREST / 2, rel=0.2)
