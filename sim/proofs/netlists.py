# SPDX-License-Identifier: Apache-2.0
"""Whether a netlist of standard cells is its RTL, for all inputs and all states.

The proof goes module by module: the netlist has the modules of the RTL, and each is compared by
itself, its instances taken out. What an instance gives is then an input, which may be anything, and
what it takes is an output, which is compared. `hierarchy.opened` does that to both alike, and
`_apart` sees that both have the same modules with the same ports, and in each the same instances of
the same modules, of which every pin is a port. So both circuits are the same tree of places, and at
each place stands a module that makes the same of the same. All that flows between the places then
solves the same equations in both: they have the same solutions, of which there is one, because no
unit has a loop of logic. So the circuits never differ.

In a module registers are turned into ports too, so that one step is logic alone. A netlist's
registers keep their names, but for those of which another always holds the same, or a constant is:
whatever the registers of the netlist hold, the RTL begins with the same in its own, and after a
step, whatever the inputs, both must show the same at every output and in every register. Then they
never differ, by induction.

Yosys from PyPI, not the version that made the netlist, makes both steps graphs of ANDs and
inverters, with the functions that the liberty file states for the cells; ABC compares the graphs.
"""

import json
import re
import time
from dataclasses import dataclass, field
from functools import cache

from amaranth.lib import wiring

from ...hdl.configs import Unit
from ...hdl.layouts import Port
from ...toolchain import abc, hierarchy, yosys
from ...toolchain.hierarchy import Module
from ...toolchain.program import OutOfTimeError, ToolError, folder_of, telling_line
from ...toolchain.synthesis import Library, Netlist
from .. import verify
from .prover import TIMEOUT, tool
from .registers import everted, widths, wrapper

_MATCH = """
read_verilog rtl.v
synth -flatten -noabc -top {top}
write_json rtl.json
"""

_READ = """
read_liberty -ignore_miss_func cells.lib
read_verilog rtl.v gate.v steps.v
design -save both
"""

# What is undefined is made another on either side, so that no output may depend on it.
_GRAPH = """
design -load both
hierarchy -check -top {side}
synth -flatten
setundef -undriven -{undefined}
setundef -{undefined}
opt_expr
opt_merge
opt_clean
aigmap
opt_clean
write_aiger -symbols {side}.aig
"""
_SIDES = {"rtl_step": "zero", "gate_step": "one"}


@dataclass(frozen=True)
class Equivalence:
    """What was said of a netlist and its RTL.

    Attributes
    ----------
    unit : str
        Whose netlist.
    equivalent : bool
        Whether they are the same circuit.
    registers : int
        Bits of the RTL's registers that were compared, in all copies of its modules: all that
        matter.
    seconds : float
        What the answer took.
    tool : str
        What gave it.
    difference : str
        If they are not, an output or a register that differs, and the inputs and states for which;
        or in which modules, ports or instances they differ.
    decided : bool
        Whether the answer came in time; if not, it is not said that they are equivalent.
    modules : dict of float
        Seconds that each module took that was proved, by its name.
    """

    unit: str
    equivalent: bool
    registers: int
    seconds: float
    tool: str
    difference: str = ""
    decided: bool = True
    modules: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Answer:
    """What was said of one module: as for `Equivalence`."""

    equivalent: bool
    decided: bool
    registers: int
    difference: str


@cache
def checker() -> str:
    """Return what compares graphs, and what makes them, having seen that it is there.

    Raises
    ------
    ToolError
        If either is missing.
    """
    abc.ABC.version()
    return f"cec of {abc.ABC.name}, {tool()}"


def _pins(library: Library, cell: str) -> tuple[str, str, str]:
    """Return the clock, the input and the output of a register that takes its input, no more."""
    text = library.cells[cell]
    state = re.search(r'\bff *\( *"?(\w+)', text)
    clock, data = (re.search(rf'\b{key} *: *"(\w+)"', text) for key in ("clocked_on", "next_state"))
    if not (state and clock and data) or re.search(r"\b(clear|preset) *:", text):
        raise ToolError(f"{cell} of {library.name} is no plain register on a rising edge")
    parts = re.split(r"\bpin *\( *\"?(\w+)\"? *\)", text)[1:]
    outputs = [
        pin
        for pin, rest in zip(parts[::2], parts[1::2], strict=True)
        if re.search(rf'\bfunction *: *"{state[1]}"', rest)
    ]
    if len(outputs) != 1:
        raise ToolError(f"{cell} of {library.name} must have one output, not {len(outputs)}")
    return clock[1], data[1], outputs[0]


def _everted(module: Module, library: Library) -> tuple[str, list[str]]:
    """Return a netlist whose registers are ports, what they hold and will hold, and their nets."""
    text, driven = module.text, []
    for cell in filter(library.is_register, library.cells):
        if not re.search(rf"\b{cell}\b", text):
            continue
        clock, data, output = _pins(library, cell)

        def turned(found: re.Match, pins: tuple[str, ...] = (clock, data, output)) -> str:
            nets = dict(re.findall(r"\.(\w+)\((.*)\)", found[1]))
            if nets.get(pins[0]) != "clk":
                raise ToolError(f"a register of {module.name} is not clocked by clk")
            now, after = f"now[{len(driven)}]", f"next[{len(driven)}]"
            # A net within a part is written as an escaped name, `\part.net [0]`.
            driven.append(re.sub(r"^\\(\S+) *", r"\1", nets[pins[2]].strip()))
            return f"  assign {nets[pins[2]]} = {now};\n  assign {after} = {nets[pins[1]]};\n"

        text = re.sub(rf"(?m)^  {cell} \S+ +\(\n((?:    \..*\n)+)  \);\n", turned, text)
        if re.search(rf"\b{cell}\b", text):
            raise ToolError(f"not all registers of {module.name} are written as Yosys writes them")
    last = max(len(driven), 1) - 1
    ports = f"  input [{last}:0] now;\n  output [{last}:0] next;\n"
    header = rf"module \1_gate(\2, now, next);\n{ports}"
    return re.sub(r"(?m)\Amodule (\w+)\((.*)\);\n", header, text), driven


def _bits(held: dict[str, int]) -> list[str]:
    """Return the bits of registers, as a netlist names them."""
    return [
        f"{name}[{k}]" if width > 1 else name for name, width in held.items() for k in range(width)
    ]


def _matched(module: Module, held: dict[str, int], driven: list[str]) -> list[str]:
    """Return for each bit of the RTL's registers what it should be in the netlist.

    That is a place among its registers, a constant as ``1'b0``, or nothing. The bit of the same
    name, or else, as Yosys merges in the RTL what must be equal, one that is then the same. This is
    but a guess, which the proof checks.
    """
    place = {net: str(k) for k, net in enumerate(driven)}
    bits = _bits(held)
    if all(bit in place for bit in bits):
        return [place[bit] for bit in bits]
    with folder_of({"rtl.v": module.text}) as folder:
        yosys.run(yosys.PYPI, folder, _MATCH.format(top=module.name))
        nets = json.loads((folder / "rtl.json").read_text())["modules"][module.name]["netnames"]
    joined = {
        bit: net
        for name, row in nets.items()
        for bit, net in zip(_bits({name: len(row["bits"])}), row["bits"], strict=True)
    }
    known = {joined[bit]: where for bit, where in place.items() if bit in joined}
    known |= {value: f"1'b{value}" for value in "01"}
    return [place.get(bit) or known.get(joined.get(bit), "") for bit in bits]


def _steps(module: Module, held: dict[str, int], count: int, matched: list[str]) -> str:
    """Return a step of the netlist, and one of the RTL that begins where the netlist's does.

    Both are modules whose input `now` is what the netlist's registers hold, and whose output
    `shown` what the RTL's will hold. What matches nothing is an input of the RTL, `free`, so that
    nothing else may depend on it, and is not shown.
    """
    matched = matched or ["1'b0"]
    state, bits = max(count, 1), len(matched)
    flows = {"input": wiring.In, "output": wiring.Out}
    ports = {n: Port(flows[flow](width), "") for n, (flow, width) in module.ports.items()} | {
        "now": Port(wiring.In(state), "what the netlist's registers hold"),
        "free": Port(wiring.In(bits), "what registers of the RTL alone hold"),
        "shown": Port(wiring.Out(bits), "what the RTL's registers will hold"),
    }
    pins = ", ".join(f".{name}({name})" for name in module.ports)

    def picked(vector: str, other: str) -> str:
        places = (
            m if "'" in m else f"{vector}[{m}]" if m else other.format(k)
            for k, m in reversed(list(enumerate(matched)))
        )
        return f"{{{', '.join(places)}}}"

    registers, low = "", 0
    for name, width in held.items():
        part = f"[{low + width - 1}:{low}]"
        registers += f", .{name}__now(before{part}), .{name}__next(after{part})"
        low += width
    zero = "1'b0"
    known = "".join(str(int(m != "")) for m in reversed(matched))
    after = "after" if held else "before"
    return wrapper(
        "gate_step",
        ports,
        f"  wire [{state - 1}:0] next;\n"
        f"  {module.name}_gate gate ({pins}, .now(now), .next(next));\n"
        f"  assign shown = {picked('next', zero)};\n",
    ) + wrapper(
        "rtl_step",
        ports,
        f"  wire [{bits - 1}:0] before = {picked('now', 'free[{}]')};\n"
        f"  wire [{bits - 1}:0] after;\n"
        f"  {module.name} rtl ({pins}{registers});\n"
        f"  assign shown = {after} & {bits}'b{known};\n",
    )


def equivalent(
    unit: Unit, netlist: Netlist, library: Library, *, timeout: int = TIMEOUT
) -> Equivalence:
    """Prove or refute that a netlist is what was exported of its unit.

    Parameters
    ----------
    unit : Unit
        The unit.
    netlist : Netlist
        Its netlist, as Yosys writes it.
    library : Library
        The cells.
    timeout : int
        Seconds to give each of both tools; what ABC has not decided then stays undecided.

    Raises
    ------
    ToolError
        If a tool is missing or gives no answer, or the registers cannot be matched.
    """
    which, begun = checker(), time.perf_counter()
    rtl, gates = hierarchy.modules(verify.exported(unit)), hierarchy.modules(netlist.text)
    difference = _apart(rtl, gates)
    equivalent, decided, registers, modules = not difference, True, 0, {}
    count = hierarchy.copies(rtl, unit.module)
    for name in rtl if equivalent else ():
        started = time.perf_counter()
        answer = _compare(
            hierarchy.opened(rtl, name), hierarchy.opened(gates, name), library, timeout
        )
        registers += answer.registers * count[name]
        if not answer.equivalent:
            equivalent, decided = False, answer.decided
            difference = f"in {name} {answer.difference}" if decided else ""
            break
        modules[name] = time.perf_counter() - started
    return Equivalence(
        unit=unit.name,
        equivalent=equivalent,
        registers=registers,
        seconds=time.perf_counter() - begun,
        tool=which,
        difference=difference,
        decided=decided,
        modules=modules,
    )


def _apart(rtl: dict[str, Module], gates: dict[str, Module]) -> str:
    """Return where the trees of two circuits differ: empty if they are the same."""
    alone = rtl.keys() ^ gates.keys()
    if alone:
        return f"module {min(alone)} is in one of both alone"
    for name, ours in rtl.items():
        theirs = gates[name]
        for kind in ("ports", "instances"):
            differ = getattr(ours, kind).items() ^ getattr(theirs, kind).items()
            if differ:
                return f"{kind} of {name} differ: {', '.join(sorted({key for key, _ in differ}))}"
    return ""


def _compare(rtl: Module, gates: Module, library: Library, timeout: int) -> _Answer:
    """Prove or refute that a module without instances is another of cells."""
    held = widths(rtl.text)
    gate, driven = _everted(gates, library)
    matched = _matched(rtl, held, driven)
    texts = {
        "cells.lib": library.text,
        "rtl.v": everted(rtl.text) if held else rtl.text,
        "gate.v": gate,
        "steps.v": _steps(rtl, held, len(driven), matched),
    }
    sides = "".join(_GRAPH.format(side=s, undefined=u) for s, u in _SIDES.items())
    graphs = " ".join(f"{side}.aig" for side in _SIDES)
    with folder_of(texts) as folder:
        try:
            yosys.run(yosys.PYPI, folder, _READ + sides, timeout=timeout)
        except ToolError as error:
            raise ToolError(f"no graph of {rtl.name} or its netlist: {error}") from None
        try:
            answer = abc.run(folder, f"cec -T {timeout} {graphs}", timeout=timeout + 10)
        except OutOfTimeError:
            answer = "UNDECIDED"  # as it says itself, if it heeds its limit
    proved, refuted = "Networks are equivalent" in answer, "NOT EQUIVALENT" in answer
    undecided = "UNDECIDED" in answer
    if proved + refuted + undecided != 1:
        last = telling_line(answer) or "no output"
        raise ToolError(f"{abc.ABC.name} did not say whether {rtl.name} is its netlist: {last}")
    return _Answer(
        equivalent=proved,
        decided=not undecided,
        registers=sum(m != "" for m in matched),
        difference=_difference(answer, held, driven) if refuted else "",
    )


def _difference(answer: str, held: dict[str, int], driven: list[str]) -> str:
    """Return an output that differs, and for which inputs and registers, by their own names."""
    own = {f"now[{k}]": f"register {net}" for k, net in enumerate(driven)}
    for k, bit in enumerate(_bits(held)):
        own |= {f"shown[{k}]": f"what register {bit} takes", f"free[{k}]": f"register {bit}"}
    found = re.search(r"Output (\S+): Value in Network1 = (\d)\. Value in Network2 = (\d)", answer)
    if not found:
        raise ToolError(f"{abc.ABC.name} did not say what differs: {answer.strip()[-200:]}")
    ones = re.findall(r"(\S+)=1\b", answer.partition("Input pattern:")[2])
    where = ", ".join(own.get(bit, bit) for bit in ones) or "no input or register"
    output, rtl, gate = found.groups()
    return f"{own.get(output, output)} is {gate}, not {rtl}, where of all that matters {where} is 1"
