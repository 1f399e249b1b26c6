# SPDX-License-Identifier: Apache-2.0
"""Whether the benches of streams and sums notice a register that a reset leaves as it is."""

import re

import numpy as np
import pytest
from conftest import need
from hif8.hdl.configs import UNITS
from hif8.sim import verify
from hif8.sim.streams import Traffic, cut_short

SPARED = [
    ("to_fp16_s2", "valid_1"),
    ("to_fp16_s2", "o_valid"),
    ("mac_exact", "valid_1"),
    ("mac_exact", "valid_2"),
    ("mac_exact", "o_valid"),
    ("matrix4x4_exact_to_hif8", "valid_1"),
    ("matrix4x4_exact_to_hif8", "left"),
    ("matrix4x4_exact_to_hif8", "valid_2"),
]


def sparing(name: str, register: str) -> str:
    """Return a unit's Verilog with a register that no reset sets but those before the first use."""
    text = verify.exported(UNITS[name])
    spared = rf"{register} <= rst & used ? {register} : \1;"
    text, count = re.subn(rf"\b{register} <= ([^;]+);", spared, text)
    assert count, f"{register} is not in the Verilog of {name}"
    used = "  reg used = 0;\n  always @(posedge clk) if (!rst) used <= 1;\nendmodule"
    return text.replace("endmodule", used)


@pytest.mark.parametrize(("name", "register"), SPARED)
def test_a_register_that_a_reset_in_the_middle_leaves_is_noticed(name, register, builds):
    need("icarus")
    text = sparing(name, register)
    root = builds / "faults"
    verdict, _ = verify.run(UNITS[name], "icarus", root=root, text=text, random_cases=0)
    assert verdict.status == "fail"
    assert verdict.note


def traffic(values, broken=()):
    none = np.zeros(0, int)
    return Traffic(none, none, {"x": np.array(values)}, broken=list(broken))


def test_what_came_before_a_reset_must_be_how_the_whole_begins():
    whole = traffic([1, 2, 3])
    assert cut_short(traffic([1, 2]), whole) == []
    assert cut_short(traffic([1, 3]), whole) == ["x was another before a reset"]
    broken = traffic([], ["cycle 4: i_ready is 1"])
    assert cut_short(broken, whole) == ["cycle 4: i_ready is 1"]
