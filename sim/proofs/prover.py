# SPDX-License-Identifier: Apache-2.0
"""The prover: claims in Verilog around a unit, and what SAT says of them.

It knows nothing of the format.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import ClassVar

from amaranth.lib import wiring

from ...hdl.configs import Unit
from ...hdl.layouts import Port
from ...toolchain import pool, yosys
from ...toolchain.program import ToolError, folder_of, telling_line
from .. import verify

TIMEOUT = 600
"""Seconds that one proof may take; on an idle machine none takes a tenth of it."""

_PROVED = "SAT proof finished - no model found: SUCCESS!"
_REFUTED = "SAT proof finished - model found: FAIL!"

_READ = """
read_verilog proof.v
hierarchy -check
proc -norom
flatten claim variant
setundef -undriven -anyseq claim variant
opt -full claim variant
"""
"""Undefined bits are made free: proved is what holds whatever they are."""
_SAT = "tee -q -o {module}.log sat -prove ok 1 -show {shown} -dump_json {module}.json {module}\n"
_MODULES = ("claim", "variant")


_SAME_KIND = {"y": "x"}
"""Inputs of claims that are no port: another word of the same kind as a port."""


@dataclass(frozen=True)
class Property:
    """What a unit must have for all inputs.

    Attributes
    ----------
    name, statement : str
        What it is called, and what it says.
    bench : str
        The kind of unit that it is about, by the name of the bench.
    claim : str
        Verilog that makes ``ok`` and, for every output, ``expected_<output>`` from the inputs and
        ``got_<output>``.
    wrong : tuple of (str, str, str)
        What in the claim is replaced by what, and what it then says, wrongly.
    relation : str
        What an output must be to the expected one, if not equal.
    words : tuple of str
        The inputs that are data: ``x`` and another word ``y``, or ``code``; by default all inputs
        that are no options.
    index : bool
        Whether it is claimed for every row of a table.
    fixed : dict of int
        Options that are not free; those that the unit has not are 0.
    holds_for : callable
        Whether it is claimed of a unit of this kind.
    expects : bool
        Whether the claim makes expected outputs; else it says of the outputs alone if they are ok.
    modules : dict of callable
        Modules that the claim may use, by the name under which it does.
    """

    name: str
    statement: str
    bench: str
    claim: str
    wrong: tuple[str, str, str]
    relation: str = ""
    words: tuple[str, ...] = ()
    index: bool = False
    fixed: dict[str, int] = field(default_factory=dict)
    holds_for: Callable[[Unit], bool] = lambda unit: True
    expects: bool = True
    modules: ClassVar[dict[str, Callable[[Unit], str]]] = {}

    def ports(self, unit: Unit) -> dict[str, Port]:
        """Return the ports of the circuit that it is about: those of the unit."""
        return unit.ports

    def circuit(self, unit: Unit, text: str) -> tuple[str, str]:
        """Return the name of that circuit, and its Verilog, made of the unit's."""
        return unit.module, text

    def preamble(self, unit: Unit) -> str:
        """Return what its claim may use besides the inputs."""
        return ""

    def free(self, unit: Unit) -> list[str]:
        """Return the options that it leaves free."""
        return [name for name in unit.options if name not in self.fixed]

    def inputs(self, unit: Unit) -> dict[str, Port]:
        """Return the inputs that are data: those that are free, then others of the circuit."""
        ports = self.ports(unit)
        into = [n for n, p in ports.items() if p.member.flow == wiring.In]
        names = [*self.words, *(n for n in into if n not in unit.options)]
        return {name: ports[_SAME_KIND.get(name, name)] for name in dict.fromkeys(names)}

    def outputs(self, unit: Unit) -> dict[str, Port]:
        """Return the outputs of the circuit."""
        return {n: p for n, p in self.ports(unit).items() if p.member.flow == wiring.Out}

    def data(self, unit: Unit) -> dict[str, int]:
        """Return the widths of the inputs that are data and free."""
        inputs = self.inputs(unit)
        return {name: inputs[name].width for name in self.words or inputs}


@dataclass(frozen=True)
class Answer:
    """What the prover said of a claim.

    Attributes
    ----------
    statement : str
        What was claimed.
    proved : bool
        Whether it holds for all inputs.
    counterexample : dict, optional
        If not, inputs for which it does not hold, as in `Verdict.first`: inputs, options, expected
        and got outputs as integers.
    """

    statement: str
    proved: bool
    counterexample: dict[str, dict[str, int]] | None = None


@dataclass(frozen=True)
class Proof:
    """What the prover said of a unit's property, and of its wrong variant.

    Attributes
    ----------
    unit, property : str
        What was claimed of what.
    claim, variant : Answer
        The property, which must be proved, and the wrong variant, which must be refuted.
    bits, settings : int
        Free bits of data, and free settings of the options: the cases that are covered are
        `settings` times 2^`bits`.
    seconds : float
        What both answers took, start of the prover included.
    tool : str
        Which prover gave them.
    verilog : str
        The sha256 of the Verilog that they are about.
    """

    unit: str
    property: str
    claim: Answer
    variant: Answer
    bits: int
    settings: int
    seconds: float
    tool: str
    verilog: str

    @property
    def passed(self) -> bool:
        """Whether the property holds, and a check that could fail has said so."""
        return self.claim.proved and not self.variant.proved


def _kinds(wanted: Property) -> tuple[str, ...]:
    return ("expected", "got") if wanted.expects else ("got",)


def _results(unit: Unit, wanted: Property) -> dict[str, int]:
    """Return the widths of a claim's outputs but ``ok``."""
    outputs = wanted.outputs(unit)
    return {f"{kind}_{n}": p.width for kind in _kinds(wanted) for n, p in outputs.items()}


def claim(unit: Unit, wanted: Property, *, text: str = "") -> str:
    """Return Verilog with a module ``claim`` whose output ``ok`` must be 1, and its ``variant``.

    Parameters
    ----------
    unit : Unit
        What is claimed of.
    wanted : Property
        What is claimed.
    text : str
        Verilog to take in place of the exported one.
    """
    old, new, wrongly = wanted.wrong
    if wanted.claim.count(old) != 1:
        raise ToolError(f"the wrong variant of {wanted.name} must replace one place")
    inputs = wanted.data(unit) | ({"index": 8} if wanted.index else {})
    inputs |= dict.fromkeys(wanted.free(unit), 1)
    ports = [f"input {_range(width)}{name}" for name, width in inputs.items()]
    ports += [f"output {_range(width)}{name}" for name, width in _results(unit, wanted).items()]
    circuit, verilog = wanted.circuit(unit, text or verify.exported(unit))
    outputs = wanted.outputs(unit)
    fixed = (n for n in wanted.fixed if n in unit.options)
    wires = "".join(f"  wire {name} = {wanted.fixed[name]};\n" for name in fixed)
    nets = {n: f"got_{n}" if n in outputs else n for n in wanted.ports(unit)}
    connected = ", ".join(f".{port}({net})" for port, net in nets.items())

    def module(name: str, statement: str, body: str) -> str:
        return (
            f"// {statement}\nmodule {name}({', '.join(ports)}, output ok);\n"
            f"{wires}{wanted.preamble(unit)}  {circuit} unit ({connected});\n{body}endmodule\n"
        )

    used = (n for n in wanted.modules if re.search(rf"\b{n} \w+ \(", wanted.claim + new))
    return "\n".join(
        [
            "`default_nettype none",
            verilog,
            *(wanted.modules[name](unit) for name in used),
            module("claim", wanted.statement, wanted.claim),
            module("variant", wrongly, wanted.claim.replace(old, new)),
        ]
    )


def _range(width: int) -> str:
    return f"[{width - 1}:0] "


@cache
def tool() -> str:
    """Return the prover's name and version, having seen it run.

    The first run on a machine compiles it, which must not happen twice at a time.

    Raises
    ------
    ToolError
        If it is missing or does not run.
    """
    with folder_of({}) as folder:
        yosys.run(yosys.PYPI, folder, "")
    return f"{yosys.PYPI.name} {yosys.PYPI.version()}"


def prove(unit: Unit, wanted: Property, *, text: str = "", timeout: int = TIMEOUT) -> Proof:
    """Prove or refute a property of a unit's exported Verilog, and its wrong variant.

    Parameters
    ----------
    unit, wanted, text
        As for `claim`.
    timeout : int
        Seconds to give the prover for both.

    Raises
    ------
    ToolError
        If the prover is missing or gives no answer.
    """
    prover = tool()
    inputs = wanted.inputs(unit)
    shown = ",".join([*inputs, *wanted.free(unit), *_results(unit, wanted)])
    unproved = f"{yosys.PYPI.name} neither proved nor refuted {wanted.name} of {unit.name}"
    with folder_of({"proof.v": claim(unit, wanted, text=text)}) as folder:
        runs = [_SAT.format(module=m, shown=shown) for m in _MODULES]
        begun = time.perf_counter()
        try:
            yosys.run(yosys.PYPI, folder, _READ + "".join(runs), timeout=timeout)
        except ToolError as error:
            raise ToolError(f"{unproved}: {error}") from None
        seconds = time.perf_counter() - begun
        models = []
        for module in _MODULES:
            log, model = folder / f"{module}.log", folder / f"{module}.json"
            answer = log.read_text() if log.exists() else ""
            proved, refuted = answer.count(_PROVED), answer.count(_REFUTED)
            if proved + refuted != 1 or model.exists() != bool(refuted):
                raise ToolError(f"{unproved}: {telling_line(answer) or 'no output'}")
            models.append(json.loads(model.read_text()) if refuted else None)

    def answer_of(statement: str, model: dict[str, list[dict[str, object]]] | None) -> Answer:
        if model is None:
            return Answer(statement, True)
        bits = {signal["name"]: _bits(signal) for signal in model["signal"]}
        outputs: dict[str, dict[str, int]] = {"expected": {}}
        for kind in _kinds(wanted):
            ports = wanted.outputs(unit).items()
            outputs[kind] = {n: _number(bits[f"{kind}_{n}"], port) for n, port in ports}
        options = {name: bits.get(name, wanted.fixed.get(name, 0)) for name in unit.options}
        given = {name: _number(bits[name], port) for name, port in inputs.items()}
        return Answer(statement, False, {"inputs": given, "options": options, **outputs})

    return Proof(
        unit=unit.name,
        property=wanted.name,
        claim=answer_of(wanted.statement, models[0]),
        variant=answer_of(wanted.wrong[2], models[1]),
        bits=sum(wanted.data(unit).values()),
        settings=1 << len(wanted.free(unit)),
        seconds=seconds,
        tool=prover,
        verilog=verify.digest(unit, text),
    )


def prove_all(claims: list[tuple[Unit, Property]]) -> Iterator[Proof]:
    """Prove properties of units, as many at a time as there are processors.

    Parameters
    ----------
    claims : list of (Unit, Property)
        What is claimed of what, as `properties` says.

    Yields
    ------
    Proof
        In their order.

    Raises
    ------
    ToolError
        If the prover is missing or gives no answer, or if nothing is claimed.
    """
    if not claims:
        raise ToolError("there is nothing to prove")
    tool()
    yield from pool.in_order(pool.threads(lambda pair: prove(*pair), claims))


def _number(bits: int, port: Port) -> int:
    """Return the number that a port's bits are, two's complement where it is signed."""
    return bits - (1 << port.width) if port.signed and bits >> port.width - 1 else bits


def _bits(signal: dict[str, object]) -> int:
    """Return a signal of a WaveJSON model: its bits are data or, if it has one, its wave."""
    data = signal.get("data")
    return int(data[0] if data else str(signal["wave"])[0], 2)
