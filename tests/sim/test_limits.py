# SPDX-License-Identifier: Apache-2.0
"""Exact sums of as many of the largest products as they have room for, in the exported Verilog."""

import re
from dataclasses import replace

import numpy as np
import pytest
from conftest import need
from hif8.hdl.configs import SMALL, UNITS
from hif8.sim import bench_limits, bench_matrix, bench_sum, verify

LIMITED = [
    unit
    for unit in SMALL.values()
    if unit.bench in ("sum", "matrix")
    and unit.max_products
    and unit.parameters.get("output") != "hif8"  # which has no such numbers
]


@pytest.mark.parametrize("unit", LIMITED, ids=lambda unit: unit.name)
def test_a_sum_of_as_many_of_the_largest_products_as_stated_is_exact(unit, builds, record_property):
    need("verilator")
    copies = min(2, verify.lane_count(unit, "verilator"))  # the second has the other signs
    verdict, _ = verify.run(replace(unit, bench="limits"), "verilator", root=builds, copies=copies)
    record_property("cases", verdict.cases)
    record_property("mismatches", verdict.mismatches)
    # Limits, and the powers of two from 2^7 beats to half of the limit.
    limits, carries = {1: (2, 13), 4: (2, 11), 32: (3, 8)}.get(unit.products, (2, 0))
    columns = unit.parameters.get("rows") or copies
    assert (verdict.status, verdict.note) == ("pass", "")
    assert verdict.cases == verdict.expected == columns * (limits + carries)


def test_a_sum_one_bit_too_narrow_is_found(builds):
    need("verilator")
    unit = replace(UNITS["mac_exact"], bench="limits")
    narrow, count = re.subn(r"(\w+)\[96:1\]", r"{\1[95], \1[95:1]}", verify.exported(unit))
    assert count, "the sum's bits are not in the Verilog"
    root = builds / "faults"
    verdict, _ = verify.run(unit, "verilator", root=root, text=narrow, copies=2)
    assert verdict.status == "fail"
    assert verdict.mismatches == 1  # where +2^94 must be; -2^94 and less have room


def test_the_limits_are_the_integers():
    unit = UNITS["mac_exact"]
    sums = []
    for run in bench_limits.runs(unit, 4):
        assert sum(run.beats) == unit.max_products == 2**20
        [words] = bench_sum.expect(unit, bench_limits.as_batch(unit, 4, run))["sum"]
        sums.append([int.from_bytes(word.tobytes(), "little", signed=True) for word in words])
    most = 2**20 * 2**74  # 2^15 * 2^15 in units of 2^-44
    assert sums == [[most, -most, -most, most], [2] * 4]


def test_one_lane_has_the_limits_of_both_signs_in_turn():
    unit = UNITS["dot32_exact"]
    sums = []
    for run in bench_limits.runs(unit, 1):
        assert sum(run.beats) * 32 == unit.max_products
        [[word]] = bench_sum.expect(unit, bench_limits.as_batch(unit, 1, run))["sum"]
        sums.append(int.from_bytes(word.tobytes(), "little", signed=True))
    assert sums == [2**94, -(2**94), 2 * 32]


def test_the_limits_of_an_engine_are_the_integers():
    unit = UNITS["matrix8x8_exact_to_fp32"]
    signs = np.array([[1, -1] * 4] * 2 + [[-1, 1] * 4] * 2, np.float32)
    same = np.concatenate([signs, signs]) * np.float32(2.0**50)
    expected = [same, np.full((8, 8), 2.0**-43, np.float32)]
    for run, sums in zip(bench_limits.runs(unit, 1), expected, strict=True):
        assert sum(run.beats) == unit.max_products == 2**20
        rows = bench_matrix.expect(unit, bench_limits.as_batch(unit, 1, run))["c"]
        assert np.array_equal(rows.view(np.float32).reshape(8, 8), sums)
