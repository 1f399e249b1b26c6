# SPDX-License-Identifier: Apache-2.0
"""Sums of products with any lanes, latency and interleaving, against exact fractions."""

import math
import re
from fractions import Fraction

import numpy as np
import paper
import pytest
from depth import depth
from hif8.hdl.accumulator import exact_width
from hif8.hdl.decoder import HIF8
from hif8.hdl.dot import DotProduct
from hif8.hdl.mac import Mac
from simulated import stream, vector

LENGTHS = (1, 4, 2, 7, 1, 3)
FINITE = [code for code in range(256) if math.isfinite(paper.value(code))]
UNIT = Fraction(2) ** -44
MAX, SIGN = 0x6E, 0x80


def draw(rng, beats, lanes):
    """Draw the codes of a vector: mostly finite ones, for a special one spoils what follows."""
    codes = rng.choice(FINITE, (2, beats, lanes))
    hit = rng.random(codes.shape) < 0.02
    return np.where(hit, rng.integers(0, 256, codes.shape), codes).tolist()


def expected(a, b, acc=None):
    """Return what comes out of a vector, from the paper's equations."""
    if acc is not None:
        for x, y in zip(a, b, strict=True):
            acc = paper.accumulate(acc, x, y)
        return {"sum": acc}
    finite, total = paper.exact_sum(np.ravel(a).tolist(), np.ravel(b).tolist())
    return {
        "sum": finite / UNIT,
        "nan": math.isnan(total),
        "plus_inf": total == math.inf,
        "minus_inf": total == -math.inf,
    }


def program(unit, lanes, accumulator, rng):
    """Return items and what must come out: every turn has vectors of its own, of all lengths."""
    turns = []
    for _ in range(unit.interleave):
        beats = []
        for length in rng.permutation(LENGTHS):
            a, b = draw(rng, length, lanes)
            acc = int(rng.integers(1 << 32)) if accumulator == "fp32" else None
            items = vector(a, b, acc)
            beats += [(item, expected(a, b, acc) if item["last"] else None) for item in items]
        turns.append(beats)
    mixed = [beat for together in zip(*turns, strict=True) for beat in together]
    return [item for item, _ in mixed], [sums for _, sums in mixed if sums]


def check(unit, lanes, accumulator, seed):
    """Run a unit steadily and not, and compare what comes out and when."""
    items, sums = program(unit, lanes, accumulator, np.random.default_rng(seed))
    traffic = stream(unit, items, len(sums))
    ends = [cycle for item, cycle in zip(items, traffic.accepted, strict=True) if item["last"]]
    assert traffic.outputs == sums
    assert [out - end for out, end in zip(traffic.emitted, ends, strict=True)] == [
        unit.latency
    ] * len(sums)
    assert np.diff(traffic.accepted).tolist() == [unit.initiation_interval] * (len(items) - 1)
    assert stream(unit, items, len(sums), gap=0.3, stall=0.5, seed=seed).outputs == sums


@pytest.mark.parametrize("before", [0, 1, 2])
@pytest.mark.parametrize(
    ("accumulator", "interleave"), [("exact", 1), ("fp32", 1), ("fp32", 2), ("fp32", 3)]
)
def test_mac_of_every_latency_and_interleaving_is_exact(accumulator, interleave, before):
    latency = interleave + before  # registers before the accumulator
    unit = Mac(accumulator=accumulator, interleave=interleave, latency=latency)
    assert unit.latency == latency
    check(unit, 1, accumulator, seed=latency)


@pytest.mark.parametrize("lanes", depth("lanes of dot products that no unit has"))
@pytest.mark.parametrize(
    ("accumulator", "interleave", "latency"),
    [("exact", 1, 1), ("exact", 1, 3), ("fp32", 1, 1), ("fp32", 1, 4), ("fp32", 3, 5)],
)
def test_dot_product_of_other_lanes_and_latencies_is_exact(lanes, accumulator, interleave, latency):
    how = {"accumulator": accumulator, "interleave": interleave, "latency": latency}
    check(DotProduct(lanes=lanes, **how), lanes, accumulator, seed=lanes)


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("segments", [1, 2, 3, 8])
@pytest.mark.parametrize("before", [0, 1, 2, 3])
def test_a_sum_in_segments_is_exact(lanes, segments, before):
    how = {"accumulator": "exact", "segments": segments, "latency": segments + before}
    unit = Mac(**how) if lanes == 1 else DotProduct(lanes=lanes, **how)
    assert unit.latency == segments + before
    check(unit, lanes, "exact", seed=segments)


def test_a_register_behind_the_decoders_comes_last():
    check(Mac(accumulator="exact", latency=5), 1, "exact", seed=5)
    check(Mac(accumulator="fp32", latency=4), 1, "fp32", seed=4)


@pytest.mark.parametrize(
    ("accumulator", "how", "refused"),
    [
        ("exact", {"segments": 9}, "segments must be in 1..8 for exact, not 9"),
        ("fp32", {"segments": 2}, "segments must be in 1..1 for fp32, not 2"),
        ("exact", {"segments": 2, "latency": 7}, "latency must be in 2..6, not 7"),
        ("exact", {"segments": 2, "latency": 1}, "latency must be in 2..6, not 1"),
    ],
)
def test_what_segments_cannot_be_is_refused(accumulator, how, refused):
    with pytest.raises(ValueError, match=re.escape(refused)):
        Mac(accumulator=accumulator, **how)


def test_latency_is_by_default_that_of_the_registers_that_pay():
    assert [Mac(accumulator="fp32", interleave=k).latency for k in (1, 2, 3)] == [3, 4, 5]
    assert [Mac(accumulator="exact", segments=k).latency for k in (1, 2, 3)] == [3, 4, 5]
    assert Mac(accumulator="exact").latency == 3
    assert DotProduct(lanes=2, accumulator="fp32").latency == 4


@pytest.mark.parametrize("lanes", [1, 4])
def test_an_exact_sum_does_not_depend_on_the_order(lanes):
    rng = np.random.default_rng(7)
    unit = DotProduct(lanes=lanes, accumulator="exact") if lanes > 1 else Mac(accumulator="exact")
    items, sums = [], []
    for pool in (FINITE, range(256)):
        a, b = rng.choice(list(pool), (2, 24))
        if pool is not FINITE:  # of infinities and NaN only one NaN decides
            a, b = np.append(a[:-4], [0x6F] * 4), np.append(b[:-4], [0x08] * 4)
        for _ in range(6):
            order = rng.permutation(24)
            rows = [codes[order].reshape(-1, lanes).tolist() for codes in (a, b)]
            items += vector(*rows)
            sums.append(expected(a[:, None].tolist(), b[:, None].tolist()))
    assert stream(unit, items, 12).outputs == sums
    assert any(total["sum"] for total in sums)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8])
def test_an_exact_sum_has_room_for_as_many_of_the_largest_products_as_stated(count):
    unit = Mac(accumulator="exact", max_products=count)
    largest = 2**74  # 2^15 * 2^15 in units of 2^-44
    assert unit.max_products == count
    assert exact_width(HIF8, count) == len(unit.o.payload["sum"])
    items = []
    for sign in (0, SIGN):
        items += vector([[MAX | sign]] * count, [[MAX]] * count)
    sums = [word["sum"] for word in stream(unit, items, 2).outputs]
    assert sums == [count * largest, -count * largest]


def test_the_default_width_is_the_least_that_holds_a_million_of_the_largest_products():
    most = 2**20 * 2**74
    width = exact_width(HIF8, 2**20)
    assert width == len(Mac(accumulator="exact").o.payload["sum"]) == 96
    assert -(1 << width - 1) <= -most < most < 1 << width - 1
    assert not most < 1 << width - 2
