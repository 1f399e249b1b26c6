# SPDX-License-Identifier: Apache-2.0
"""Signal to noise is what random values have; plateaus are where they were found.

Imports hif8.analysis.
"""

import math

import numpy as np
import pytest
from hif8.analysis import snr_figure
from hif8.analysis.formats import E4M3, EIGHT_BITS, HIF8
from hif8.analysis.snr import DISTRIBUTIONS, SCALES, USABLE, snr
from scipy import stats

COUNT = 400_000
DRAWN = {
    "normal": lambda rng: rng.standard_normal(COUNT),
    "laplace": lambda rng: rng.laplace(size=COUNT),
    "student": lambda rng: rng.standard_t(3, COUNT),
    "log_normal": lambda rng: np.exp(rng.standard_normal(COUNT)) * rng.choice([-1, 1], COUNT),
}
DENSITIES = {
    "normal": stats.norm.pdf,
    "laplace": stats.laplace.pdf,
    "student": lambda t: stats.t.pdf(t, 3),
    "log_normal": lambda t: stats.lognorm.pdf(np.abs(t), 1) / 2,
}


def _nearest(v: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the nearest value by comparing the two neighbours."""
    above = np.clip(np.searchsorted(v, x), 1, len(v) - 1)
    low, high = v[above - 1], v[above]
    return np.where(x - low < high - x, low, high)


@pytest.mark.parametrize("log2_scale", [-18, -3, 0, 9])
@pytest.mark.parametrize("name", ["normal", "laplace", "log_normal"])
def test_the_noise_is_that_of_random_values(name, log2_scale):
    distribution, scale = DISTRIBUTIONS[name], 2.0**log2_scale
    x = DRAWN[name](np.random.default_rng(1)) * scale / math.sqrt(distribution.square)
    for entry in (HIF8, E4M3):
        noise = ((x - _nearest(entry.values, x)) ** 2).mean()
        ratio = 10 * math.log10((x**2).mean() / noise)
        assert snr(entry, scale, distribution) == pytest.approx(ratio, abs=0.15)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_moments_are_the_integrals_of_the_density(name):
    edges = np.array([-7.5, -1.25, 0.0, 0.5, 3.0])
    t = np.linspace(edges[:-1], edges[1:], 200_001)
    found = DISTRIBUTIONS[name].moments(edges)
    for power, moment in enumerate(found):
        parts = np.trapezoid(DENSITIES[name](t) * t**power, t, axis=0)
        assert np.diff(moment) == pytest.approx(parts, rel=1e-4)
    ends = [m.tolist() for m in DISTRIBUTIONS[name].moments(np.array([-np.inf, np.inf]))]
    expected = [[0, 1], [0, 0], [0, DISTRIBUTIONS[name].square]]
    assert ends == [pytest.approx(pair, abs=1e-12) for pair in expected]


def test_a_scale_gives_the_best_of_all_scales_a_power_of_two_away():
    rows = snr_figure.compute()
    assert len(rows) == len(DISTRIBUTIONS) * len(EIGHT_BITS) * len(SCALES)
    by = {(row.distribution, row.format, row.log2_scale): row for row in rows}
    for row in rows:
        assert row.scaled_db >= row.snr_db
        moved = by.get((row.distribution, row.format, row.log2_scale + 1))
        assert moved is None or moved.scaled_db == row.scaled_db


def test_a_plateau_ends_where_the_ratio_falls():
    rows = snr_figure.compute()
    found = snr_figure.plateaus(rows)
    ratios = {(row.distribution, row.format, row.log2_scale): row.snr_db for row in rows}
    for key, place in found.items():
        if not math.isnan(place.width):
            step = SCALES[1] - SCALES[0]
            assert ratios[*key, place.first] >= USABLE > ratios[*key, place.first - step]
            assert ratios[*key, place.last] >= USABLE > ratios[*key, place.last + step]
    assert math.isnan(found["student", "int8"].width)
    for row in rows:
        place = found[row.distribution, row.format]
        assert row.snr_db <= place.best_db
        if row.snr_db >= USABLE:
            assert place.first <= row.log2_scale <= place.last


def test_the_table_has_a_line_for_every_distribution_and_format():
    rows = snr_figure.compute()
    table = snr_figure.table(rows)
    found = snr_figure.plateaus(rows)
    assert len(table) == len(DISTRIBUTIONS) * len(EIGHT_BITS) == 20
    first, plateau = table[0], found["normal", "hif8"]
    assert (first["values"], first["format"]) == ("normal", "HiF8")
    assert [first["to"], first["binades"]] == [f"{plateau.last:g}", f"{plateau.width:g}"]
    never = [line for line in table if line["binades"] == "never"]
    assert len(never) == sum(math.isnan(plateau.width) for plateau in found.values())
