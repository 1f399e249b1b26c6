# SPDX-License-Identifier: Apache-2.0
"""Faults that tests plant: around the exported Verilog, in a module of the unit's name."""

import re

from amaranth.lib import wiring
from hif8.sim import verify


def faulty(unit, body: str, *tapped: str, **pins: str) -> str:
    """Return Verilog of a unit's module that holds the exported one and a fault.

    The outputs that are `tapped` come out of the exported one as `inner_<name>`, to be driven by
    the `body`; `pins` are expressions for its inputs.
    """
    inner = f"{unit.module}_inner"
    ports, wires, connections = [], [], []
    for name, port in unit.ports.items():
        bits = f"[{port.width - 1}:0]"
        ports.append(f"{'input' if port.member.flow == wiring.In else 'output'} {bits} {name}")
        if name in tapped:
            wires.append(f"wire {bits} inner_{name};")
        wire = f"inner_{name}" if name in tapped else pins.get(name, name)
        connections.append(f".{name}({wire})")
    lines = [
        f"module {unit.module}({', '.join(ports)});",
        *wires,
        f"{inner} inner ({', '.join(connections)});",
        body,
        "endmodule",
    ]
    exported = re.sub(rf"\b{unit.module}\b", inner, verify.exported(unit))
    return exported + "\n" + "\n".join(lines) + "\n"
