# SPDX-License-Identifier: Apache-2.0
"""The modules of a Verilog file as Yosys writes it, and which of them has instances of which."""

import re
from collections import Counter
from dataclasses import dataclass

from .program import ToolError

_MODULE = re.compile(r"(?ms)^module (\w+)\(.*?^endmodule\n")
_INSTANCE = re.compile(r"(?m)^  (\w+) (\w+) +\(\n((?:    \..*\n)+)  \);\n")
_PIN = re.compile(r"(?m)^    \.(\w+)\((.*)\),?$")
_PORT = re.compile(r"(?m)^  (input|output) (?:\[(\d+):0\] )?(\w+);")


@dataclass(frozen=True)
class Module:
    """A module of a file.

    Attributes
    ----------
    name, text : str
        The module's name, and its Verilog.
    ports : dict of (str, int)
        ``input`` or ``output``, and the width of each port, by name.
    instances : dict of str
        The modules of the same file that it has instances of, by the instances' names. Cells of a
        library are none.
    """

    name: str
    text: str
    ports: dict[str, tuple[str, int]]
    instances: dict[str, str]


def modules(text: str) -> dict[str, Module]:
    """Return the modules of a file by name, in its order."""
    texts = {found[1]: found[0] for found in _MODULE.finditer(text)}
    return {
        name: Module(
            name,
            body,
            {port: (flow, int(high or 0) + 1) for flow, high, port in _PORT.findall(body)},
            {place: kind for kind, place, _ in _INSTANCE.findall(body) if kind in texts},
        )
        for name, body in texts.items()
    }


def copies(tree: dict[str, Module], top: str) -> Counter[str]:
    """Return how often each module is in a circuit, the circuit's own one once."""
    count = Counter({top: 1})
    for kind in tree[top].instances.values():
        count.update(copies(tree, kind))
    return count


def opened(tree: dict[str, Module], name: str) -> Module:
    """Return a module of which every instance is taken out, and its pins are ports.

    What an instance gives is an input, and what it takes is an output, named
    ``<instance>__<pin>``.

    Raises
    ------
    ToolError
        If an instance has other pins than its module has ports, or an input that is not connected.
    """
    module = tree[name]
    ports = dict(module.ports)

    def pins(found: re.Match) -> str:
        kind, place, connections = found.groups()
        if kind not in tree:
            return found[0]
        nets = dict(_PIN.findall(connections))
        takes = {pin for pin, (flow, _) in tree[kind].ports.items() if flow == "input"}
        if set(nets) != set(tree[kind].ports) or not all(nets[pin] for pin in takes):
            raise ToolError(f"{place} of {name} is not connected as {kind} has ports")
        text = ""
        for pin, (_, width) in tree[kind].ports.items():
            port, net = f"{place}__{pin}", nets[pin]
            flow, ends = ("output", (port, net)) if pin in takes else ("input", (net, port))
            ports[port] = flow, width
            text += f"  {flow} [{width - 1}:0] {port};\n"
            text += f"  assign {ends[0]} = {ends[1]};\n" if net else ""
        return text

    text = _INSTANCE.sub(pins, module.text)
    header = f"module {name}({', '.join(ports)});\n"
    return Module(name, re.sub(r"\Amodule .*\n", header, text), ports, {})
