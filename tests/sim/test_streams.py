# SPDX-License-Identifier: Apache-2.0
"""The ends of the streams: each rule of theirs finds a fault that lives without that rule."""

import numpy as np
import pytest
from conftest import need
from hif8.hdl.configs import UNITS
from hif8.sim import streams, verify
from planted import faulty

pytestmark = pytest.mark.slow

_CHECK = "check({},", "if (0) check({},"
"""A check of `streams.v`, and what is left of it when it never runs."""


def unchecked(rule: str) -> tuple[str, str]:
    return tuple(text.format(rule) for text in _CHECK)


RULES = {
    "outputs stay while they wait": (
        unchecked("STABLE"),
        "to_fp32_s1",
        "reg waited = 0; always @(posedge clk) waited <= o_valid & ~o_ready;\n"
        "assign x = inner_x ^ (waited & ~o_ready);",
        ["x"],
    ),
    "o_valid stays until o_ready": (
        unchecked("HELD"),
        "matrix4x4_exact_to_hif8",
        "reg waited = 0; always @(posedge clk) waited <= inner_o_valid & ~o_ready & ~waited;\n"
        "assign o_valid = inner_o_valid & ~(waited & ~o_ready);",
        ["o_valid"],
    ),
    "i_ready is 1 while there is room": (
        unchecked("READY"),
        "to_fp32_s1",
        "assign i_ready = inner_i_ready & o_ready;",
        ["i_ready"],
        {"i_valid": "i_valid & o_ready"},
    ),
    "o_valid is 1 while there is an output": (
        unchecked("VALID"),
        "to_fp32_s1",
        "reg seen = 0; always @(posedge clk) seen <= inner_o_valid & ~o_ready;\n"
        "assign o_valid = inner_o_valid & (o_ready | seen);",
        ["o_valid"],
    ),
    "all lanes go in step": (
        unchecked("STEP"),
        "mac_fp32",
        "assign o_valid = inner_o_valid | (sum[7:0] === 8'hA5);",
        ["o_valid"],
    ),
    "outputs are known": (
        unchecked("KNOWN"),
        "to_fp32_s1",
        "assign x = {inner_x[31:1], 1'bx};",  # which is written as 0, and is 0 of every code
        ["x"],
    ),
    "nothing comes out at the end": (
        ("linger != 0 ? LINGER : CLOSE", "CLOSE"),
        "to_fp32_s1",
        "reg [9:0] taken = 0;\n"
        "always @(posedge clk) if (rst) taken <= 0; else taken <= taken + (i_valid & i_ready);\n"
        "assign o_valid = inner_o_valid | (taken == 1000);",
        ["o_valid"],
    ),
    "idle inputs are unknown": (
        ("i_valid || !IDLE_UNKNOWN ?", "1 ?"),
        "to_fp32_s1",
        "reg [7:0] kept = 0; always @(posedge clk) if (i_valid & i_ready) kept <= code;\n"
        "assign x = inner_x ^ (~i_valid & (code != kept));",
        ["x"],
    ),
}
"""Of each rule: what takes it out of `streams.v`, the unit with the fault, and the fault."""


@pytest.mark.parametrize("rule", RULES)
def test_a_fault_is_found_that_lives_without_the_rule(rule, builds, tmp_path, monkeypatch):
    need("icarus")
    (complete, none), name, body, tapped, *pins = RULES[rule]
    unit = UNITS[name]
    how = {
        "root": builds / "faults",
        "text": faulty(unit, body, *tapped, **dict(*pins)),
        "effort": "quick",
        "random_cases": 0,
    }
    verdict, _ = verify.run(unit, "icarus", **how)
    assert verdict.status == "fail"
    assert verdict.note
    text = streams.SOURCE.read_text()
    assert text.count(complete) == 1
    weaker = tmp_path / streams.SOURCE.name
    weaker.write_text(text.replace(complete, none))
    monkeypatch.setattr(streams, "SOURCE", weaker)
    verdict, _ = verify.run(unit, "icarus", **how)
    assert (verdict.status, verdict.note) == ("pass", "")


def test_records_have_what_every_lane_is_given_in_the_order_of_the_ports():
    unit = UNITS["mac_exact"]
    inputs = {
        "a": np.array([[1, 2], [3, 4]], np.uint8),
        "b": np.array([[5, 6], [7, 8]], np.uint8),
        "first": np.array([[1], [0]], np.uint8),
        "last": np.array([[0], [1]], np.uint8),
    }
    records = streams.packed(unit, 2, inputs)
    side = streams.layout(unit, 2, streams.Ends.of(unit).inputs)
    assert records.shape == (2, streams.record_size(side))
    for name, place in side.items():
        assert np.array_equal(records[:, place], inputs[name])
