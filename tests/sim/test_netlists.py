# SPDX-License-Identifier: Apache-2.0
"""Netlists of standard cells against golden and against their RTL; and whether faults show."""

import re
from dataclasses import replace

import pytest
from conftest import need, skip_if
from hif8.hdl.configs import UNITS
from hif8.hdl.synthesis import Library, SynthesisError, synthesise, yosys_version
from hif8.sim import netlists, verify
from hif8.sim.proofs.netlists import checker, equivalent
from hif8.sim.proofs.prover import ProofError

BRIEF = ("decoder", "to_fp32", "to_fp16", "to_bf16", "multiplier", "encoder_fp32_s2")
"""Units whose benches are brief enough for the vendor's models under Icarus."""
UNITS_OF_CI = [
    unit.name
    for unit in UNITS.values()
    if unit.bench in ("decoder", "encoder", "converter", "multiplier", "readout")
    or unit.name.startswith("mac_")
]
SIMULATED = {name: "icarus" if name in BRIEF else "verilator" for name in [*UNITS_OF_CI, BRIEF[-1]]}


@pytest.fixture(scope="module")
def library() -> Library:
    try:
        yosys_version()
        checker()
        return Library.find()
    except (SynthesisError, ProofError) as error:
        skip_if(str(error))


@pytest.fixture
def mapped(library, builds):
    def of(name: str):
        unit = UNITS[name]
        cached = builds.parent / "synthesis"
        return unit, synthesise(verify.exported(unit), unit.module, library, cached)

    return of


def test_all_conversions_and_macs_are_simulated():
    assert len(UNITS_OF_CI) == 1 + 7 + 3 + 1 + 2 + 4
    assert {"mac_exact", "mac_fp32", "mac_fp32_i3", "encoder_fp32", "readout_hif8"} <= set(
        SIMULATED
    )


@pytest.mark.parametrize("name", SIMULATED)
def test_a_netlist_equals_golden_bit_for_bit(name, mapped, library, builds, record_property):
    simulator = SIMULATED[name]
    need(simulator)
    unit, netlist = mapped(name)
    verdict = netlists.simulate(unit, netlist, library, simulator, root=builds, random_cases=0)
    record_property("cases", verdict.cases)
    record_property("mismatches", verdict.mismatches)
    print(f"{name} under {simulator}: {verdict.cases:,} cases, {verdict.mismatches} mismatches")
    assert verdict.note == ""
    assert verdict.mismatches == 0
    assert verdict.cases == verdict.expected > 0
    assert verdict.status == "pass"
    if unit.streams:
        assert (verdict.latency, verdict.interval) == (unit.latency, 1)


@pytest.mark.parametrize("name", SIMULATED)
def test_a_netlist_is_its_rtl(name, mapped, library):
    unit, netlist = mapped(name)
    answer = equivalent(unit, netlist, library)
    assert answer.difference == ""
    assert answer.equivalent
    assert (answer.registers > 0) == unit.streams
    assert answer.registers >= netlist.registers(library)


FAULTS = [
    ("decoder", "NAND2X1", "NOR2X1"),
    ("encoder_fp32", "XNOR2X1", "XOR2X1"),
    ("mac_exact", "AND2X2", "OR2X2"),
    ("mac_fp32", "XOR2X1", "XNOR2X1"),
]


@pytest.mark.parametrize(("name", "cell", "other"), FAULTS)
def test_a_wrong_cell_is_refuted_and_told(name, cell, other, mapped, library):
    unit, netlist = mapped(name)
    text, count = re.subn(rf"\b{cell}\b", other, netlist.text, count=1)
    assert count == 1
    answer = equivalent(unit, replace(netlist, text=text), library)
    assert not answer.equivalent
    print(f"{name}: {answer.difference}")
    assert re.match(
        r"(what register )?\w+(\[\d+\])?( takes)? is [01], not [01], for ", answer.difference
    )


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


def test_a_wrong_cell_fails_the_bench(mapped, library, tmp_path):
    need("icarus")
    unit, netlist = mapped("decoder")
    text = re.sub(r"\bNAND2X1\b", "NOR2X1", netlist.text, count=1)
    wrong = replace(netlist, text=text)
    verdict = netlists.simulate(unit, wrong, library, "icarus", root=tmp_path)
    assert verdict.status == "fail"
    assert verdict.mismatches > 0
