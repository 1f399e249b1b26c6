# SPDX-License-Identifier: Apache-2.0
"""Whether a netlist of standard cells is its RTL, for all inputs and all states.

Imports `hdl`, `sim.verify` and `sim.proofs`. The registers of both are turned into ports, so that
one step is logic alone. In a netlist the nets that were registers keep their names, though one may
hold what another does: whatever its registers hold, the RTL is given in its own what those nets
carry, and after a step, any inputs, both must show the same at every output, and in every register
what the nets then carry. Then they never differ, by induction.

Yosys from PyPI, not the version that made the netlist, makes both steps graphs of ANDs and
inverters, with the functions that the liberty file states for the cells; ABC compares the graphs.
"""

import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from amaranth.lib import wiring

from ...hdl.configs import Unit
from ...hdl.layouts import Port
from ...hdl.synthesis import Library, Netlist
from .. import verify
from .prover import TIMEOUT, ProofError, tool, yosys
from .registers import everted, widths, wrapper

_CHECKER = "yosys-abc"

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
        Bits of the RTL's registers, of which each was compared.
    seconds : float
        What the answer took.
    tool : str
        What gave it.
    difference : str
        If they are not, an output or a register that differs, and the inputs and states for which.
    decided : bool
        Whether the answer came in time; if not, it is not said that they are equivalent.
    """

    unit: str
    equivalent: bool
    registers: int
    seconds: float
    tool: str
    difference: str = ""
    decided: bool = True


@cache
def checker() -> str:
    """Return what compares graphs, and what makes them, having seen that it is there.

    Raises
    ------
    ProofError
        If either is missing.
    """
    if shutil.which(_CHECKER) is None:
        raise ProofError(f"{_CHECKER} is not installed: apt-get install yosys")
    return f"cec of {_CHECKER}, {tool()}"


def _pins(library: Library, cell: str) -> tuple[str, str, str]:
    """Return the clock, the input and the output of a register that takes its input, no more."""
    text = library.cells[cell]
    state = re.search(r'\bff *\( *"?(\w+)', text)
    clock, data = (re.search(rf'\b{key} *: *"(\w+)"', text) for key in ("clocked_on", "next_state"))
    if not (state and clock and data) or re.search(r"\b(clear|preset) *:", text):
        raise ProofError(f"{cell} of {library.name} is no plain register on a rising edge")
    parts = re.split(r"\bpin *\( *\"?(\w+)\"? *\)", text)[1:]
    outputs = [
        pin
        for pin, rest in zip(parts[::2], parts[1::2], strict=True)
        if re.search(rf'\bfunction *: *"{state[1]}"', rest)
    ]
    if len(outputs) != 1:
        raise ProofError(f"{cell} of {library.name} must have one output, not {len(outputs)}")
    return clock[1], data[1], outputs[0]


def _everted(netlist: Netlist, library: Library, shown: dict[str, int]) -> tuple[str, list[str]]:
    """Return a netlist without registers, and the nets that they drove.

    What they hold and will hold are ports; so is what the nets named in `shown` carry.
    """
    text, driven = netlist.text, []
    for cell in filter(library.is_register, netlist.cells):
        clock, data, output = _pins(library, cell)

        def turned(found: re.Match, pins: tuple[str, ...] = (clock, data, output)) -> str:
            nets = dict(re.findall(r"\.(\w+)\((.*)\)", found[1]))
            if nets.get(pins[0]) != "clk":
                raise ProofError(f"a register of {netlist.top} is not clocked by clk")
            now, after = f"now[{len(driven)}]", f"next[{len(driven)}]"
            driven.append(nets[pins[2]].strip())
            return f"  assign {nets[pins[2]]} = {now};\n  assign {after} = {nets[pins[1]]};\n"

        text = re.sub(rf"(?m)^  {cell} \S+ +\(\n((?:    \..*\n)+)  \);\n", turned, text)
    if len(driven) != netlist.registers(library):
        raise ProofError(f"not all registers of {netlist.top} are written as Yosys writes them")
    lost = [name for name in shown if not re.search(rf"(?m)^  wire .*\b{name};", text)]
    if lost:
        raise ProofError(f"{netlist.top} has no net for register {', '.join(lost)}")
    nets = ", ".join(reversed(shown)) or "1'b0"
    state = max(len(driven), 1)
    ports = (
        f"  input [{state - 1}:0] now;\n  output [{state - 1}:0] next;\n"
        f"  output [{max(sum(shown.values()), 1) - 1}:0] shown;\n  assign shown = {{{nets}}};\n"
    )
    text, modules = re.subn(
        r"(?m)^module (\w+)\((.*)\);\n", rf"module \1_gate(\2, now, next, shown);\n{ports}", text
    )
    if modules != 1:
        raise ProofError(f"the netlist of {netlist.top} must be one module, not {modules}")
    return text, driven


def _steps(unit: Unit, held: dict[str, int], count: int) -> str:
    """Return a step of the netlist, and one of the RTL that begins where the netlist's does.

    Both are modules whose input `now` is what the netlist's registers hold, and whose output
    `shown` what the RTL's will hold: by the netlist, what its nets carry a step later.
    """
    state, after = max(count, 1), max(sum(held.values()), 1)
    gate = f"{unit.module}_gate"
    outputs = {n: p for n, p in unit.ports.items() if p.member.flow == wiring.Out}
    both = ", ".join(f".{name}({name})" for name in unit.ports)
    places, low = {}, 0
    for name, width in held.items():
        places[name] = f"[{low + width - 1}:{low}]"
        low += width
    rtl = "".join(
        f", .{name}__now(before{place}), .{name}__next(shown{place})"
        for name, place in places.items()
    )
    inputs = ", ".join(f".{name}({name})" for name in unit.ports if name not in outputs)
    ports = unit.ports | {
        "now": Port(wiring.In(state), "what the netlist's registers hold"),
        "shown": Port(wiring.Out(after), "what the RTL's registers will hold"),
    }
    nothing = "" if held else "  assign shown = 0;\n"
    return wrapper(
        "gate_step",
        ports,
        f"  wire [{state - 1}:0] next;\n"
        f"  {gate} gate_now ({both}, .now(now), .next(next));\n"
        f"  {gate} gate_next ({inputs}, .now(next), .shown(shown));\n",
    ) + wrapper(
        "rtl_step",
        ports,
        f"  wire [{after - 1}:0] before;\n"
        f"  {gate} gate_now ({inputs}, .now(now), .shown(before));\n"
        f"  {unit.module} rtl_now ({both}{rtl});\n{nothing}",
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
    ProofError
        If a tool is missing or gives no answer, or the registers cannot be matched.
    """
    which, begun = checker(), time.perf_counter()
    text = verify.exported(unit)
    held = widths(text)
    gate, driven = _everted(netlist, library, held)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "cells.lib").write_text(library.text)
        (folder / "rtl.v").write_text(everted(text) if held else text)
        (folder / "gate.v").write_text(gate)
        (folder / "steps.v").write_text(_steps(unit, held, len(driven)))
        sides = "".join(_GRAPH.format(side=s, undefined=u) for s, u in _SIDES.items())
        (folder / "graphs.ys").write_text(_READ + sides)
        status, said = yosys("-q", "-s", "graphs.ys", folder=folder, timeout=timeout)
        graphs = [f"{side}.aig" for side in _SIDES]
        if status or not all((folder / graph).exists() for graph in graphs):
            raise ProofError(f"no graph of {unit.name} or its netlist: {said.strip()[-300:]}")
        command = f"cec -T {timeout} {' '.join(graphs)}"
        answer = _ask(folder, command, timeout)
    proved, refuted = "Networks are equivalent" in answer, "NOT EQUIVALENT" in answer
    undecided = "UNDECIDED" in answer
    if proved + refuted + undecided != 1:
        last = answer.strip().splitlines() or ["no output"]
        raise ProofError(f"{_CHECKER} did not say whether {unit.name} is its netlist: {last[-1]}")
    return Equivalence(
        unit=unit.name,
        equivalent=proved,
        registers=sum(held.values()),
        seconds=time.perf_counter() - begun,
        tool=which,
        difference=_difference(answer, held, driven) if refuted else "",
        decided=not undecided,
    )


def _difference(answer: str, held: dict[str, int], driven: list[str]) -> str:
    """Return an output that differs, and for which inputs and registers, by their own names."""
    bits = [f"{name}[{k}]" for name, width in held.items() for k in range(width)]
    own = {f"now[{k}]": f"register {net}" for k, net in enumerate(driven)}
    own |= {f"shown[{k}]": f"what register {bit} takes" for k, bit in enumerate(bits)}
    found = re.search(r"Output (\S+): Value in Network1 = (\d)\. Value in Network2 = (\d)", answer)
    if not found:
        raise ProofError(f"{_CHECKER} did not say what differs: {answer.strip()[-200:]}")
    pattern = answer.partition("Input pattern:")[2].split()
    given = [
        f"{own.get(bit, bit)} = {value}" for bit, _, value in (p.partition("=") for p in pattern)
    ]
    output, rtl, gate = found.groups()
    return f"{own.get(output, output)} is {gate}, not {rtl}, for {', '.join(given) or 'anything'}"


def _ask(folder: Path, command: str, timeout: float) -> str:
    """Return what ABC says to a command; as it does itself, that it is undecided if out of time."""
    try:
        run = subprocess.run(
            [_CHECKER, "-q", command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout + 10,
        )
    except subprocess.TimeoutExpired:
        return "UNDECIDED"
    return run.stdout + run.stderr
