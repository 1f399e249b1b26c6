# SPDX-License-Identifier: Apache-2.0
"""Whether a fault in a netlist changes anything, by SAT."""

import re

from amaranth.lib.wiring import In

from ..toolchain import abc, yosys
from ..toolchain.program import OutOfTimeError, ToolError, folder_of
from .bench_mutants import SELECT, Mutated
from .faults import Faulty, bits_of
from .lanes import HANDSHAKES
from .proofs.registers import everted, widths

_TIMEOUT = 60
"""Seconds a solver may think of one fault: the process is stopped, for `sat -timeout` is not
heeded in a solver compiled to WASM."""
UNDECIDED = "nothing"
"""What begins the answer if neither an input was found nor that there is none."""
_NOTHING = f"{UNDECIDED} that was found within {_TIMEOUT} s"
_PROVED = "no model found: SUCCESS!"
_REFUTED = "model found: FAIL!"


_MITER = """
read_verilog faulty.v
hierarchy -check -top faulty
proc -norom
opt_clean
dffunmap
opt_clean
rename faulty gate
copy gate gold
cd gold
rename {select} fixed
delete -input w:fixed
connect -set fixed {width}'b{zero}
cd
add -input {select} {width} gold
miter -equiv -flatten -make_outputs gold gate miter
cd miter
opt -full
"""
_PROVE = "tee -o proof_{number}.txt sat -set in_{select} {number} -prove trigger 0 -show-ports"

_STEP = """
read_verilog steps.v
hierarchy -check -top steps
proc -norom
flatten
opt_clean
opt_expr
opt_merge
opt_clean
"""
_PROVE_STEP = "tee -o proof_{number}.txt sat -set {select} {number} -prove differs 0"

# A pipeline that is not stalled forgets its first state, so that any may stand for all: zero.
_SEQUENCE = """
read_verilog sequence.v
hierarchy -check -top sequence
proc -norom
flatten
opt -full
dffunmap
techmap
opt -full
setundef -undriven -zero
zinit -all
aigmap
opt_clean
write_aiger -zinit sequence.aig
"""
_REACH = f"read_aiger sequence.aig; scorr; pdr -T {_TIMEOUT}"
_REACHED = {
    "Property proved": "",
    "Property UNDECIDED": _NOTHING,
    "was asserted in frame": "some sequence of inputs",
}
"""What ABC says, and what it means."""


def judge(faulty: Faulty, numbers: list[int]) -> dict[int, str]:
    """Ask a SAT solver whether faults change anything.

    Parameters
    ----------
    faulty : Faulty
        A unit's netlist with faults.
    numbers : list of int
        The faults in question.

    Returns
    -------
    dict of str
        For every fault nothing if no input tells it from the unit without a fault, of a stream no
        sequence of inputs; else those that do, or what begins with `UNDECIDED`.

    Raises
    ------
    ToolError
        If the solver said neither.
    """
    width = faulty.row.width
    miter = _MITER.format(select=SELECT, width=width, zero="0" * width)
    if not faulty.row.streams:
        return _ask(faulty, numbers, miter, _PROVE)
    said = {}
    fill = 1 + faulty.row.latency + faulty.row.parameters.get("interleave", 1)  # a reset before
    for steps in (_steps(faulty, 0), _steps(faulty, fill)):
        for number in (number for number in numbers if said.get(number, "?")):
            said |= _ask(faulty, [number], _STEP, _PROVE_STEP, steps)
    return said | {number: _reach(faulty, number) for number, note in said.items() if note}


def _reach(faulty: Faulty, number: int) -> str:
    """Return what sequence of inputs, of any length, makes a fault of a stream seen, if any does.

    ABC looks for what always holds of the registers of a unit with the fault and of one without,
    and keeps the difference from where it is seen.
    """
    if abc.ABC.missing:
        return f"{UNDECIDED}, and no way to look further, because {abc.ABC.missing}"
    with folder_of({"sequence.v": _sequence(faulty, number)}) as folder:
        try:
            yosys.run(yosys.PYPI, folder, _SEQUENCE, timeout=_TIMEOUT)
            said = abc.run(folder, _REACH, timeout=2 * _TIMEOUT)
        except OutOfTimeError:
            return _NOTHING
    for words, meaning in _REACHED.items():
        if words in said:
            return meaning
    raise ToolError(f"{abc.ABC.name} did not say whether fault {number} is equivalent")


def _sequence(faulty: Faulty, number: int) -> str:
    """Return Verilog of a unit with a fault and one without, and whether that is seen."""
    inputs, outputs = _bits(faulty.row)
    chosen = bits_of(SELECT, faulty.row.ports[SELECT])
    body = []
    for kind, which in (("gold", 0), ("gate", number)):
        nets = {bit: f"1'b{which >> k & 1}" for k, bit in enumerate(chosen)}
        nets |= {bit: bit for bit in ("clk", *inputs)} | {bit: f"{kind}_{bit}" for bit in outputs}
        body.append(f"faulty {kind} ({', '.join(f'.{pin}({net})' for pin, net in nets.items())});")
    body.append(f"assign seen = |{{{', '.join(_seen(outputs))}}};")
    lines = "\n  ".join(body)
    return (
        f"{faulty.bits}\nmodule sequence (input clk, {', '.join(inputs)}, output seen);\n"
        f"  {lines}\nendmodule\n"
    )


def _steps(faulty: Faulty, past: int) -> str:
    """Return Verilog that says whether a fault makes the next step of a stream another.

    Without a past, from any state at all. With one: until the first step that differs, registers
    hold what they hold without the fault, and that is what items have put there that came before.
    Stalls change when they came, not what they put there: a reset, and then as many cycles without
    a stall as fill the pipeline, with anything at the inputs and at first anything in a sum, lead
    to every state that there can be. A step differs if the next bit of a register, a handshake or,
    while valid, an output does.
    """
    row, registers = faulty.row, widths(faulty.bits)
    inputs, outputs = _bits(row)
    body = []

    def copy(kind: str, cycle: int, before: str = "", **stated: str) -> None:
        """Add a cycle of a copy, whose registers hold what those of `before` do."""
        chosen = bits_of(SELECT, row.ports[SELECT])
        nets = {b: f"{SELECT}[{k}]" if kind == "gate" else "1'b0" for k, b in enumerate(chosen)}
        nets |= {bit: f"{bit}_at_{cycle}" for bit in inputs} | {"clk": "1'b0"} | stated
        nets |= {f"{r}__now": f"{before or kind}_{r}_{cycle}" for r in registers}
        nets |= {f"{r}__next": f"{kind}_{r}_{cycle + 1}" for r in registers}
        nets |= {bit: f"{kind}_{bit}" for bit in outputs if kind != "past"}
        pins = ", ".join(f".{pin}({net})" for pin, net in nets.items())
        body.append(f"faulty {kind}_{cycle} ({pins});")

    for cycle in range(past):
        copy("past", cycle, rst=f"1'b{int(cycle == 0)}", o_ready="1'b1")
    for kind in ("gold", "gate"):
        copy(kind, past, before="past")
    free = [f"past_{r}_0" for r in registers]
    free += [f"{bit}_at_{cycle}" for cycle in range(past + 1) for bit in inputs]
    unlike = [f"(gold_{r}_{past + 1} ^ gate_{r}_{past + 1})" for r in registers]
    body.append(f"assign differs = |{{{', '.join([*unlike, *_seen(outputs)])}}};")
    lines = "\n  ".join(body)
    return (
        f"{everted(faulty.bits)}\nmodule steps (input [{row.width - 1}:0] {SELECT}, "
        f"input {', '.join(free)}, output differs);\n  {lines}\nendmodule\n"
    )


def _bits(row: Mutated) -> tuple[list[str], list[str]]:
    """Return the bits of a stream's inputs, but for the clock and the choice, and its outputs."""
    sides = {True: [], False: []}
    for name, port in row.ports.items():
        if name not in ("clk", SELECT):
            sides[port.member.flow == In] += bits_of(name, port)
    return sides[True], sides[False]


def _seen(outputs: list[str]) -> list[str]:
    """Return for every output bit whether it differs where that is seen: while it is valid."""
    return [
        f"(gold_{bit} ^ gate_{bit})" + ("" if bit in HANDSHAKES else " & gold_o_valid")
        for bit in outputs
    ]


def _ask(
    faulty: Faulty, numbers: list[int], script: str, prove: str, steps: str = ""
) -> dict[int, str]:
    """Ask the solver about each fault in one way."""
    proofs = [prove.format(number=n, select=SELECT) for n in numbers]
    said = {}
    with folder_of({"faulty.v": faulty.netlist, "steps.v": steps}) as folder:
        asked = "\n".join([script, *proofs])
        try:
            yosys.run(yosys.PYPI, folder, asked, timeout=_TIMEOUT * len(numbers))
        except OutOfTimeError:
            return dict.fromkeys(numbers, _NOTHING)
        for number in numbers:
            answer = (folder / f"proof_{number}.txt").read_text()
            if _PROVED in answer:
                said[number] = ""
            elif _REFUTED in answer:
                said[number] = _model(faulty.row, answer)
            else:
                raise ToolError(
                    f"{yosys.PYPI.name} did not say whether fault {number} is equivalent"
                )
    return said


def _model(row: Mutated, answer: str) -> str:
    """Return what the solver found: inputs, and which outputs differ."""
    nets = {net: int(bits, 2) for net, bits in re.findall(r"(?m)^ +\\(\w+) .* ([01]+)$", answer)}

    def word(name: str, value: int) -> str:
        return f"0x{value:0{-(-row.ports[name].width // 4)}X}"

    inputs = [
        f"{name} = {word(name, nets[f'in_{name}'])}"
        for name in row.ports
        if f"in_{name}" in nets and name != SELECT
    ]
    outputs = [
        f"{name} is {word(name, nets[f'gate_{name}'])}, not {word(name, nets[f'gold_{name}'])}"
        for name in row.ports
        if nets.get(f"gate_{name}") != nets.get(f"gold_{name}")
    ]
    return f"{', '.join(inputs)}: {', '.join(outputs)}"
