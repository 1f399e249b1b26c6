# SPDX-License-Identifier: Apache-2.0
"""Modules of Verilog files, their instances, and modules of which the instances are taken out."""

import pytest
from hif8.toolchain import hierarchy
from hif8.toolchain.program import ToolError

VERILOG = """
module top(a, y);
  input [3:0] a;
  wire [3:0] a;
  wire [1:0] b;
  output [1:0] y;
  wire [1:0] y;
  pair first (
    .i({ a[0], a[3] }),
    .o(b)
  );
  pair second (
    .i(b),
    .o(y)
  );
endmodule

// pair: a comment
module pair(i, o);
  input [1:0] i;
  wire [1:0] i;
  output [1:0] o;
  wire [1:0] o;
  CELL _0_ (
    .A(i[0]),
    .Y(o[1])
  );
  leaf only (
    .i(i[1]),
    .o()
  );
endmodule

module leaf(i, o);
  input i;
  wire i;
  output o;
  wire o;
  assign o = i;
endmodule
"""


def test_modules_have_ports_and_instances_of_one_another():
    tree = hierarchy.modules(VERILOG)
    assert list(tree) == ["top", "pair", "leaf"]
    assert tree["top"].ports == {"a": ("input", 4), "y": ("output", 2)}
    assert tree["top"].instances == {"first": "pair", "second": "pair"}
    assert tree["pair"].instances == {"only": "leaf"}
    assert tree["leaf"].instances == {}
    assert hierarchy.copies(tree, "top") == {"top": 1, "pair": 2, "leaf": 2}


def test_pins_of_instances_become_ports():
    opened = hierarchy.opened(hierarchy.modules(VERILOG), "top")
    assert opened.instances == {}
    assert opened.ports == {
        "a": ("input", 4),
        "y": ("output", 2),
        "first__i": ("output", 2),
        "first__o": ("input", 2),
        "second__i": ("output", 2),
        "second__o": ("input", 2),
    }
    assert opened.text.startswith(f"module top({', '.join(opened.ports)});\n")
    assert "  assign first__i = { a[0], a[3] };\n" in opened.text
    assert "  assign y = second__o;\n" in opened.text
    assert "pair" not in opened.text


def test_cells_stay_and_an_output_may_be_left_open():
    opened = hierarchy.opened(hierarchy.modules(VERILOG), "pair")
    assert "  CELL _0_ (\n" in opened.text
    assert "  input [0:0] only__o;\n" in opened.text
    assert "only__o = " not in opened.text
    assert "= only__o" not in opened.text


@pytest.mark.parametrize(
    ("old", "new"), [(".i(b)", ".i()"), (".i(b)", ".j(b)"), ("    .i(b),\n", "")]
)
def test_other_pins_than_the_ports_of_the_module_are_an_error(old, new):
    tree = hierarchy.modules(VERILOG.replace(old, new))
    with pytest.raises(ToolError, match="second of top is not connected as pair has ports"):
        hierarchy.opened(tree, "top")
