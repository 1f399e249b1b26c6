# SPDX-License-Identifier: Apache-2.0
"""Netlists of standard cells against golden and against their RTL; and whether faults show."""

import re
import subprocess
from dataclasses import replace

import pytest
from conftest import need, skip_if
from depth import depth
from hif8.hdl import export
from hif8.hdl.configs import UNITS
from hif8.sim import netlists, verify
from hif8.sim.proofs.netlists import checker, equivalent
from hif8.toolchain import yosys
from hif8.toolchain.program import ToolError
from hif8.toolchain.synthesis import Library, synthesise

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prover")]
BRIEF = ("decoder", "to_fp32", "to_fp16", "to_bf16", "multiplier", "encoder_fp32_s2")
"""Units whose benches are brief enough for the vendor's models under Icarus."""
PROVED = [
    unit.name
    for unit in UNITS.values()
    if unit.bench in ("decoder", "encoder", "converter", "multiplier", "readout")
    or unit.name.startswith("mac_")
    or unit.name in BRIEF
]
BY_MODULE = ["dot4_exact", "dot32_exact", "dot32_fp32", "matrix8x8_exact_to_fp32"]
"""Units with parts: each of their modules is mapped and proved by itself."""
LONG = ("mac_exact_fast",)
"""Units whose benches take as long as those of all other MACs: `hif8 netlist` runs them."""
SIMULATED = {n: "icarus" if n in BRIEF else "verilator" for n in PROVED if n not in LONG}


@pytest.fixture(scope="module")
def library() -> Library:
    try:
        yosys.DEBIAN.version()
        checker()
        return Library.find()
    except ToolError as error:
        skip_if(str(error))


@pytest.fixture
def mapped(library, builds):
    def of(name: str):
        unit = UNITS[name]
        cached = builds.parent / "cost" / "kept"
        return unit, synthesise(verify.exported(unit), unit.module, library, cached, flat=False)

    return of


def test_all_conversions_and_macs_are_simulated():
    assert len(PROVED) == 1 + 7 + 3 + 1 + 2 + 4 + 1
    assert {"mac_exact", "mac_fp32", "mac_fp32_i3", "encoder_fp32", "readout_hif8"} <= set(
        SIMULATED
    )


@pytest.mark.parametrize("name", depth("netlists that are simulated") or [*SIMULATED, "dot4_exact"])
def test_a_netlist_equals_golden_bit_for_bit(name, mapped, library, builds, record_property):
    simulator = SIMULATED.get(name, "verilator")
    need(simulator)
    unit, netlist = mapped(name)
    how = {"root": builds, "random_cases": 0, "effort": "quick" if name in BY_MODULE else "full"}
    verdict = netlists.simulate(unit, netlist, library, simulator, **how)
    record_property("cases", verdict.cases)
    record_property("mismatches", verdict.mismatches)
    print(f"{name} under {simulator}: {verdict.cases:,} cases, {verdict.mismatches} mismatches")
    assert verdict.note == ""
    assert verdict.mismatches == 0
    assert verdict.cases == verdict.expected > 0
    assert verdict.status == "pass"
    if unit.streams:
        assert (verdict.latency, verdict.interval) == (unit.latency, 1)


@pytest.mark.parametrize(
    "name", PROVED + list(depth("large netlists that are proved to be their RTL") or BY_MODULE)
)
def test_a_netlist_is_its_rtl(name, mapped, library):
    unit, netlist = mapped(name)
    answer = equivalent(unit, netlist, library)
    print(f"{name}: {answer.modules}")
    assert answer.difference == ""
    assert answer.equivalent
    parts = [part["module"] for part in export.entry(unit, verify.exported(unit))["parts"]]
    assert list(answer.modules) == [unit.module, *parts]
    assert bool(parts) == (name in BY_MODULE)
    assert (answer.registers > 0) == unit.streams
    assert answer.registers >= netlist.registers(library)


def cell_ports(models: str) -> dict[str, tuple[list[str], list[str]]]:
    """Return the inputs and the outputs of every module."""
    modules = re.findall(r"(?ms)^module (\w+)\b(.*?)^endmodule", models)
    return {
        name: tuple(re.findall(rf"(?m)^ *{flow} +(\w+) *;", body) for flow in ("input", "output"))
        for name, body in modules
    }


def side_by_side(name: str, inputs: list[str], outputs: list[str], hold: bool) -> str:
    """Return Verilog that drives both models of a cell alike and counts where they differ.

    By all inputs; of what holds a value, by 4,096 random changes of one input at a time, from the
    first output that is known on.
    """
    wires = {kind: [f"{kind}_{name}_{pin}" for pin in outputs] for kind in ("vendors", "liberty")}
    put = [f"in_{name}[{k}]" for k in range(len(inputs))]
    instances = "".join(
        f"  wire {', '.join(nets)};\n  {name}{suffix} {kind}_{name} ("
        + ", ".join(f".{pin}({net})" for pin, net in zip(inputs + outputs, put + nets, strict=True))
        + ");\n"
        for (kind, nets), suffix in zip(wires.items(), ("", "_liberty"), strict=True)
    )
    vendors, liberty = (f"{{{', '.join(nets)}}}" for nets in wires.values())
    drive = f"in_{name} = in_{name} ^ (1 << $unsigned($random) % {len(inputs)})"
    steps, known = (4096, f"^{vendors} !== 1'bx") if hold else (1 << len(inputs), "1")
    return f"""
  reg [{len(inputs) - 1}:0] in_{name} = 0;
{instances}
  integer k_{name}, cases_{name} = 0, differ_{name} = 0;
  initial begin
    for (k_{name} = 0; k_{name} < {steps}; k_{name} = k_{name} + 1) begin
      {drive if hold else f"in_{name} = k_{name}"};
      #1 if ({known}) begin
        cases_{name} = cases_{name} + 1;
        if ({vendors} !== {liberty}) differ_{name} = differ_{name} + 1;
      end
    end
    $display("{name} %0d %0d", cases_{name}, differ_{name});
  end
"""


NOT_STATED = {"DFFSR", "TBUFX1", "TBUFX2"}
"""Cells that no netlist uses: both set and cleared, or with an output that floats."""


def test_the_cells_do_what_the_liberty_file_says(library, mapped, tmp_path):
    need("icarus")
    vendors, liberty = (netlists.models(library, name) for name in ("icarus", "verilator"))
    used = {cell for name in PROVED for cell in mapped(name)[1].cells}
    assert not used & NOT_STATED
    ports = {name: pins for name, pins in cell_ports(vendors).items() if any(pins)}
    assert set(ports) == set(library.cells) == set(cell_ports(liberty))
    cells = {name: pins for name, pins in ports.items() if name not in NOT_STATED}
    held = {name for name in cells if library.is_register(name)}
    pairs = "".join(side_by_side(name, *cells[name], name in held) for name in cells)
    renamed = re.sub(r"(?m)^module (\w+)", r"module \1_liberty", liberty)
    (tmp_path / "cells.v").write_text(f"{vendors}\n{renamed}\nmodule compared;{pairs}endmodule\n")
    build = ["iverilog", "-g2005", "-Ttyp", "-s", "compared", "-o", "compared", "cells.v"]
    subprocess.run(build, cwd=tmp_path, check=True)
    told = subprocess.check_output(["vvp", "-n", "compared"], cwd=tmp_path, text=True)
    said = {name: (int(a), int(b)) for name, a, b in map(str.split, told.splitlines())}
    print(f"{len(said)} cells, {sum(cases for cases, _ in said.values()):,} cases")
    assert set(said) == set(cells)
    for name, (cases, differ) in said.items():
        assert differ == 0
        assert cases > 4000 if name in held else cases == 1 << len(cells[name][0])


FAULTS = [
    ("decoder", "NAND2X1", "NOR2X1"),
    ("encoder_fp32", "XNOR2X1", "XOR2X1"),
    ("mac_exact", "AND2X2", "OR2X2"),
]


@pytest.mark.parametrize(("name", "cell", "other"), FAULTS)
def test_a_wrong_cell_is_refuted_and_told(name, cell, other, mapped, library):
    unit, netlist = mapped(name)
    text, count = re.subn(rf"\b{cell}\b", other, netlist.text, count=1)
    assert count == 1
    answer = equivalent(unit, replace(netlist, text=text), library)
    assert not answer.equivalent
    print(f"{name}: {answer.difference}")
    assert re.search(r" is ([01]), not (?!\1)[01], where .* is 1$", answer.difference)


def test_registers_that_swap_their_inputs_are_refuted(mapped, library):
    unit, netlist = mapped("encoder_fp32_s2")
    first, second = re.findall(r"\.D\((.*)\)", netlist.text)[:2]
    assert first != second
    text = re.sub(
        r"\.D\((.*)\)",
        lambda d: f".D({ {first: second, second: first}.get(d[1], d[1]) })",
        netlist.text,
    )
    assert not equivalent(unit, replace(netlist, text=text), library).equivalent


def wrong_in(module: str, pattern: str, new: str):
    """Return what replaces the first place of a pattern in one module of a netlist."""

    def change(text: str) -> str:
        before, begin, rest = text.partition(f"\nmodule {module}(")
        body, end, after = rest.partition("\nendmodule")
        body, count = re.subn(pattern, new, body, count=1)
        assert begin
        assert count == 1
        return before + begin + body + end + after

    return change


TOP = "hif8_dot4_exact"
WRONG_TREES = {
    "another cell in a part": (
        wrong_in(f"{TOP}__term", r"\bXNOR2X1\b", "XOR2X1"),
        f"in {TOP}__term .* is ([01]), not (?!\\1)[01], where .* is 1$",
    ),
    "two inputs of an instance, swapped": (
        wrong_in(TOP, r"\.a\((.*)\),\n    \.b\((.*)\)", r".a(\2),\n    .b(\1)"),
        f"in {TOP} product_\\d+__[ab]",
    ),
    "two outputs of an instance, swapped": (
        wrong_in(TOP, r"\.inf\((.*)\),\n    \.nan\((.*)\)", r".inf(\2),\n    .nan(\1)"),
        f"in {TOP} ",
    ),
    "an instance without one": (
        wrong_in(TOP, rf"  {TOP}__term term_2 \((?s:.*?)\);\n", ""),
        f"instances of {TOP} differ: term_2",
    ),
    "two instances, swapped": (
        wrong_in(TOP, r"\bterm_0 \((?s:(.*?))\bterm_1 \(", r"term_1 (\1term_0 ("),
        f"in {TOP} term_0__product",
    ),
    "an instance of another module": (
        wrong_in(TOP, rf"\b{TOP}__decoder\b", f"{TOP}__term"),
        f"instances of {TOP} differ: decoded_",
    ),
    "an input of an instance, tied": (
        wrong_in(TOP, r"\.code\(.*\)", ".code(8'h00)"),
        f"in {TOP} decoded_\\w+__code",
    ),
    "a module with another port": (
        wrong_in(f"{TOP}__term", r"(?m)^  output carry;", "  output carries;"),
        f"ports of {TOP}__term differ: carries, carry",
    ),
    "a module less": (
        lambda text: re.sub(rf"(?ms)^module {TOP}__term\(.*?^endmodule\n", "", text),
        f"module {TOP}__term is in one of both alone",
    ),
}


@pytest.mark.parametrize(("change", "told"), WRONG_TREES.values(), ids=WRONG_TREES)
def test_a_wrong_tree_of_modules_is_refuted_and_told(change, told, mapped, library):
    unit, netlist = mapped("dot4_exact")
    answer = equivalent(unit, replace(netlist, text=change(netlist.text)), library)
    print(answer.difference)
    assert not answer.equivalent
    assert answer.decided
    assert re.match(told, answer.difference)


def test_an_input_that_is_not_connected_is_an_error(mapped, library):
    unit, netlist = mapped("dot4_exact")
    text = wrong_in(TOP, r"\.code\(.*\)", ".code()")(netlist.text)
    with pytest.raises(ToolError, match=r"decoded_\w+ of \w+ is not connected as"):
        equivalent(unit, replace(netlist, text=text), library)


def test_a_wrong_cell_fails_the_bench(mapped, library, tmp_path):
    need("icarus")
    unit, netlist = mapped("decoder")
    text = re.sub(r"\bNAND2X1\b", "NOR2X1", netlist.text, count=1)
    wrong = replace(netlist, text=text)
    verdict = netlists.simulate(unit, wrong, library, "icarus", root=tmp_path)
    assert verdict.status == "fail"
    assert verdict.mismatches > 0
