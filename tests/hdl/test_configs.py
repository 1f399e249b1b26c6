# SPDX-License-Identifier: Apache-2.0
"""The rows of units: what commands may rely on, whatever rows there are."""

import importlib
import re

import cocotb
import pytest
from amaranth.lib.wiring import In, Out
from hif8.hdl.configs import UNITS, select
from hif8.sim.verify import bench_module

EVERY = pytest.mark.parametrize("unit", UNITS.values(), ids=lambda unit: unit.name)
KEYWORDS = set(
    "always and assign begin buf case default disable edge else end event for force fork function "
    "generate if initial inout input integer join localparam module nand negedge nor not or output "
    "parameter posedge real reg release repeat signed supply0 supply1 table task time tri unsigned "
    "vectored wait wand while wire wor xnor xor".split()
)


async def idle(dut):
    """Stand for any bench."""


def test_the_first_units_are_there():
    assert {"decoder", "encoder_fp32_ta", "to_fp32", "multiplier"} <= set(UNITS)


def test_no_name_selects_every_row_in_order():
    assert select() == select([]) == list(UNITS.values())


def test_names_select_rows_in_their_order_and_once():
    names = ["multiplier", "decoder", "multiplier"]
    assert [unit.name for unit in select(names)] == ["multiplier", "decoder"]


@pytest.mark.parametrize("name", ["adder", "", "Decoder", "hif8_decoder"])
def test_another_name_is_refused_and_told_which_there_are(name):
    with pytest.raises(ValueError, match=r"^unit must be one of decoder, .*, not ") as error:
        select(["decoder", name])
    assert str(error.value).endswith(f"not {name!r}")
    assert all(known in str(error.value) for known in UNITS)


@EVERY
def test_names_are_plain_verilog(unit):
    assert unit.module == f"hif8_{unit.name}"
    for name in (unit.module, *unit.ports):
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert name not in KEYWORDS
    assert "\n" not in unit.summary
    assert unit.summary


@EVERY
def test_every_port_is_an_input_an_option_or_an_output(unit):
    directions = {name: port.member.flow for name, port in unit.ports.items()}
    assert set(directions.values()) == {In, Out}
    inputs = {name for name, flow in directions.items() if flow == In}
    assert set(unit.data_inputs) | set(unit.options) == inputs
    assert not set(unit.data_inputs) & set(unit.options)
    assert set(unit.outputs) == set(directions) - inputs
    assert all(unit.ports[name].width == 1 for name in unit.options)
    assert all(port.bits and "\n" not in port.bits for port in unit.ports.values())


@EVERY
def test_every_build_is_a_fresh_component_with_the_ports_of_the_row(unit):
    first, second = unit._component, unit.build()
    assert first is not second
    assert list(second.ports) == list(unit.ports)
    assert second.latency == unit.latency >= 0


@EVERY
def test_every_row_has_a_bench(unit):
    bench = importlib.import_module(bench_module(unit))
    assert callable(bench.count)
    made_by_cocotb = [v for v in vars(bench).values() if type(v) is type(cocotb.test()(idle))]
    assert len(made_by_cocotb) == 1
