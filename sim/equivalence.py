# SPDX-License-Identifier: Apache-2.0
"""Whether a fault in a netlist changes anything, by SAT.

Imports `sim.bench_mutants`, `sim.faults`, `sim.lanes` and `sim.proofs`.
"""

import re
import subprocess
import tempfile
from pathlib import Path

from amaranth.lib.wiring import In

from .bench_mutants import SELECT, Mutated
from .faults import TOOL, Faulty, MutationError, bits_of, yosys
from .lanes import HANDSHAKES
from .proofs.registers import everted, widths

_TIMEOUT = 60
"""Seconds the solver may think of one fault: the process is stopped, for `sat -timeout` is not
heeded in a solver compiled to WASM."""
_PROVED = re.compile(r"(no model found|Induction step proven): SUCCESS!")
_REFUTED = re.compile(r"model found( for base case)?: FAIL!")
_UNDECIDED = re.compile(r"Reached maximum number of time steps")


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

# By induction over clock cycles: what goes wrong only in a state that never comes is no difference.
# A pipeline that is not stalled forgets its first state, so that any may stand for all: zero.
_INDUCE = _PROVE.replace("sat ", "sat -tempinduct -maxsteps 8 -set-init-zero ")

# Before that one step alone, which is quicker, and more often to the end.
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
        sequence of inputs; else those that do, or that none were found in time.

    Raises
    ------
    MutationError
        If the solver said neither.
    """
    width = faulty.row.width
    miter = _MITER.format(select=SELECT, width=width, zero="0" * width)
    if not faulty.row.streams:
        return _ask(faulty, numbers, miter, _PROVE)
    said = {}
    fill = 1 + faulty.row.latency + faulty.row.parameters.get("interleave", 1)  # a reset before
    for script, prove, steps in (
        (_STEP, _PROVE_STEP, _steps(faulty, 0)),
        (_STEP, _PROVE_STEP, _steps(faulty, fill)),
        (miter, _INDUCE, ""),
    ):
        for number in (number for number in numbers if said.get(number, "?")):
            said |= _ask(faulty, [number], script, prove, steps)
    return said


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
    inputs, outputs = (
        [bit for name, port in row.ports.items() if flows(port) for bit in bits_of(name, port)]
        for flows in (lambda port: port.member.flow == In, lambda port: port.member.flow != In)
    )
    chosen = bits_of(SELECT, row.ports[SELECT])
    inputs = [bit for bit in inputs if bit not in (*chosen, "clk")]
    free = [f"{r}_0" for r in registers]
    lines = [f"wire {', '.join(f'{r}_{c}' for r in registers)};" for c in range(1, past + 1)]

    def step(kind: str, cycle: int, select: dict[str, str], pins: dict[str, str]) -> str:
        held = {f"{r}__now": f"{r}_{cycle}" for r in registers}
        nets = {"clk": "1'b0"} | select | held | pins
        return f"faulty {kind}_{cycle} ({', '.join(f'.{p}({net})' for p, net in nets.items())});"

    none = dict.fromkeys(chosen, "1'b0")
    for cycle in range(past):
        after = {f"{r}__next": f"{r}_{cycle + 1}" for r in registers}
        came = {bit: f"past_{bit}_{cycle}" for bit in inputs}
        free += came.values()
        stated = {"rst": f"1'b{int(cycle == 0)}", "o_ready": "1'b1"}
        lines.append(step("past", cycle, none, after | came | stated))
    same = {bit: f"now_{bit}" for bit in inputs}
    free += same.values()
    seen = {bit: bit for bit in outputs} | {f"{r}__next": f"{r}__next" for r in registers}
    which = {bit: f"{SELECT}[{k}]" for k, bit in enumerate(chosen)}
    for kind, select in (("gold", none), ("gate", which)):
        mine = {pin: f"{kind}_{net}" for pin, net in seen.items()}
        lines += [f"wire {', '.join(mine.values())};", step(kind, past, select, same | mine)]
    unlike = [
        f"(gold_{net} ^ gate_{net})"
        + (" & gold_o_valid" if net in outputs and net not in HANDSHAKES else "")
        for net in seen.values()
    ]
    lines.append(f"assign differs = |{{{', '.join(unlike)}}};")
    body = "\n  ".join(lines)
    return (
        f"{everted(faulty.bits)}\nmodule steps (input [{row.width - 1}:0] {SELECT}, "
        f"input {', '.join(free)}, output differs);\n  {body}\nendmodule\n"
    )


def _ask(
    faulty: Faulty, numbers: list[int], script: str, prove: str, steps: str = ""
) -> dict[int, str]:
    """Ask the solver about each fault in one way."""
    proofs = [prove.format(number=n, select=SELECT) for n in numbers]
    said = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "faulty.v").write_text(faulty.netlist)
        (folder / "steps.v").write_text(steps)
        try:
            yosys(folder, "\n".join([script, *proofs, ""]), _TIMEOUT * len(numbers))
        except subprocess.TimeoutExpired:
            return dict.fromkeys(numbers, f"nothing that was found within {_TIMEOUT} s")
        for number in numbers:
            answer = (folder / f"proof_{number}.txt").read_text()
            if _PROVED.search(answer):
                said[number] = ""
            elif _REFUTED.search(answer):
                said[number] = _model(faulty.row, answer)
            elif _UNDECIDED.search(answer):
                said[number] = f"nothing that was found within {_TIMEOUT} s"
            else:
                raise MutationError(f"{TOOL} did not say whether fault {number} is equivalent")
    return said


def _model(row: Mutated, answer: str) -> str:
    """Return what the solver found: inputs, cycle by cycle, and which outputs differ at last."""
    cycles: dict[str, dict[str, int]] = {}
    for cycle, net, bits in re.findall(r"(?m)^ +(\d*) \\(\w+) .* ([01]+)$", answer):
        cycles.setdefault(cycle, {})[net] = int(bits, 2)

    def word(name: str, value: int) -> str:
        return f"0x{value:0{-(-row.ports[name].width // 4)}X}"

    inputs = [
        ", ".join(
            f"{name} = {word(name, nets[f'in_{name}'])}"
            for name in row.ports
            if f"in_{name}" in nets and name not in ("clk", SELECT)
        )
        for nets in cycles.values()
    ]
    last = list(cycles.values())[-1]
    outputs = [
        f"{name} is {word(name, last[f'gate_{name}'])}, not {word(name, last[f'gold_{name}'])}"
        for name in row.ports
        if last.get(f"gate_{name}") != last.get(f"gold_{name}")
    ]
    return f"{'; '.join(inputs)}: {', '.join(outputs)}"
