# SPDX-License-Identifier: Apache-2.0
"""Registers turned inside out: what a unit with a clock does in some cycles, as logic alone.

Imports `hdl`. A claim about one step of a unit is then one about copies of its logic, a copy a
cycle, and holds whatever the registers held before.
"""

import re

from amaranth.lib import wiring

from ...hdl.configs import Unit
from ...toolchain.program import ToolError

_WRITTEN = re.compile(r"always @\(posedge clk\)\n +(\w+) <= ")
_ALWAYS = {"clk": "1'b0", "rst": "1'b0", "o_ready": "1'b1"}
"""No reset, no stall."""


def widths(text: str) -> dict[str, int]:
    """Return the registers of exported Verilog, and how wide they are."""
    found = {}
    for name in _WRITTEN.findall(text):
        declared = re.search(rf"(?m)^  reg (?:\[(\d+):0\] )?{name}\b", text)
        found[name] = int(declared[1] or 0) + 1
    return found


def everted(text: str) -> str:
    """Return exported Verilog without registers: what they hold and will hold are ports.

    The unit's own module may have registers, its parts may not.

    Raises
    ------
    ToolError
        If a part has registers, or they are not written as they are exported.
    """
    text, end, parts = text.partition("endmodule\n")
    if "posedge" in parts:
        raise ToolError("registers within parts are not made ports: only those of the unit are")
    registers = widths(text)
    for name, width in registers.items():
        text = re.sub(
            rf"(?m)^  reg ((?:\[\d+:0\] )?){name}\b.*;",
            rf"  wire \1{name};\n  input [{width - 1}:0] {name}__now;\n"
            rf"  output [{width - 1}:0] {name}__next;\n  assign {name} = {name}__now;",
            text,
        )
    text = _WRITTEN.sub(r"assign \1__next = ", text)
    ports = "".join(f", {name}__now, {name}__next" for name in registers)
    text, count = re.subn(r"(?m)^(module \w+\([^)]*)\);", rf"\1{ports});", text)
    if count != 1 or "posedge" in text:
        raise ToolError("the registers of the Verilog are not written as they are exported")
    return text + end + parts


def unrolled(unit: Unit, text: str, cycles: int, given: dict[tuple[int, str], str]) -> str:
    """Return copies of an everted unit, one a cycle.

    Parameters
    ----------
    unit : Unit
        With registers.
    text : str
        Its Verilog, not yet everted.
    cycles : int
        How many, numbered from 0.
    given : dict of str
        What an input or a register is in a cycle, by cycle and name. Another register is what the
        cycle before leaves it, or anything in the first; another input is anything.

    Returns
    -------
    str
        Declarations and instances; ``<name>_in_<cycle>`` is an output, or a register, which is also
        there in the cycle after the last.
    """
    registers = widths(text)
    outputs = {n: unit.ports[n].width for n in unit.outputs if n not in registers}
    body = ""
    for name, width in registers.items():
        for cycle in range(cycles + 1):
            body += f"  wire [{width - 1}:0] {name}_in_{cycle}, {name}_after_{cycle};\n"
            before = given.get((cycle, name), f"{name}_after_{cycle - 1}" if cycle else "")
            body += f"  assign {name}_in_{cycle} = {before};\n" if before else ""
    for cycle in range(cycles):
        nets = {n: given.get((cycle, n), _ALWAYS.get(n, "")) for n in unit.ports}
        nets |= {name: f"{name}_in_{cycle}" for name in outputs}
        nets |= {f"{name}__now": f"{name}_in_{cycle}" for name in registers}
        nets |= {f"{name}__next": f"{name}_after_{cycle}" for name in registers}
        for name, width in outputs.items():
            body += f"  wire [{width - 1}:0] {name}_in_{cycle};\n"
        connected = ", ".join(f".{port}({net})" for port, net in nets.items() if net)
        body += f"  {unit.module} cycle_{cycle} ({connected});\n"
    return body


def wrapper(name: str, ports: dict[str, wiring.Member], body: str) -> str:
    """Return a module with the given ports."""
    header = ", ".join(
        f"{'input' if p.member.flow == wiring.In else 'output'} [{p.width - 1}:0] {n}"
        for n, p in ports.items()
    )
    return f"module {name}({header});\n{body}endmodule\n"
