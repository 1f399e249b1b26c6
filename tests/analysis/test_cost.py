# SPDX-License-Identifier: Apache-2.0
"""What units cost: rows, tables, commands that repeat them, and whether kept results are of now.

Imports hif8.analysis and hif8.hdl.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT, skip_if
from hif8 import cli
from hif8.analysis import cost, cost_blocks, cost_growth, cost_peers, cost_table
from hif8.analysis.formats import HIF8
from hif8.hdl.configs import UNITS
from hif8.toolchain import fpga, sta
from hif8.toolchain.synthesis import Library
from rich.console import Console

SMALL = ["decoder", "encoder_fp32_ta", "multiplier", "mac_exact"]

tools = pytest.mark.usefixtures("library")


@pytest.fixture(scope="module")
def build(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("build")


@pytest.fixture(scope="module")
def measured(build, library) -> cost.Cost:
    units = cost.select(SMALL)
    return cost.Cost.of(list(cost.measure(units, library, build)), units, library)


@pytest.fixture(scope="module")
def committed() -> cost.Cost:
    return cost.read(cost.MEASURED)


def printed(*parts: object) -> str:
    console = Console(width=160)
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    return capture.get()


@tools
def test_rows_are_in_the_order_asked_for_and_say_what_they_are(measured):
    assert [row.unit for row in measured.rows] == SMALL
    assert [row.kind for row in measured.rows] == ["decoder", "encoder", "multiplier", "MAC"]
    for row in measured.rows:
        assert row.ge * Library.find().gate == pytest.approx(row.area, rel=1e-3)
        assert row.mhz_asic == pytest.approx(1000 / row.delay_ns, rel=1e-2)
        assert bool(row.flip_flops) == ("clk" in UNITS[row.unit].ports)
        assert row.ecp5["ffs"] == row.ice40["ffs"] == row.flip_flops
        assert all(placed["mhz"] > 0 < placed["luts"] for placed in (row.ecp5, row.ice40))


@tools
def test_numbers_are_the_same_in_another_run_and_after_saving(measured, build, tmp_path):
    units, library = cost.select(["decoder"]), Library.find()
    again = list(cost.measure(units, library, tmp_path))
    assert again == measured.rows[:1]
    cost.save(measured, build / "saved")
    assert cost.read(build / "saved") == measured
    assert (build / "saved" / "cost.csv").read_text().count("\n") == 1 + len(SMALL)


@tools
def test_the_commands_give_the_figures_of_the_row(measured, build):
    commands = cost.write_files(UNITS["decoder"], Library.find(), build)
    beside = Path(sys.executable).parent
    run = subprocess.run(
        ["bash", "-e", "-c", "\n".join(commands)],
        env=os.environ | {"PATH": f"{beside}:{os.environ['PATH']}"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    row = measured.by_name["decoder"]
    said = run.stdout
    assert float(re.search(r"Chip area .*: ([\d.]+)", said)[1]) == pytest.approx(row.area)
    slack = float(re.search(r"(-?[\d.]+) +slack", said)[1])
    assert sta.PERIOD - slack == pytest.approx(row.delay_ns, abs=1e-3)
    clocks = [round(float(mhz), 1) for mhz in re.findall(r'"achieved": ([\d.]+)', said)]
    assert clocks == [row.ecp5["mhz"], row.ice40["mhz"]]
    luts = [int(count) for count in re.findall(r'"SB_LUT4": (\d+)', said)]
    assert set(luts) == {row.ice40["luts"]}


@tools
def test_without_opensta_the_delay_is_abcs_and_that_is_said(build, measured, monkeypatch):
    monkeypatch.setattr(sta, "STA", replace(sta.STA, name="no-such-sta"))
    units, library = cost.select(["decoder"]), Library.find()
    done = cost.Cost.of(list(cost.measure(units, library, build)), units, library)
    assert done.rows[0].delay_ns == done.rows[0].abc_ns < measured.rows[0].delay_ns
    said = " ".join(printed(*cost_table.notes(done)).split())
    assert "the longest path by ABC" in said
    assert "no-such-sta is not installed: apt-get install opensta" in said


@tools
def test_a_missing_yosys_is_one_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["hif8", "cost", "decoder", "--build", str(tmp_path)])
    assert cli.main() == 1
    assert capsys.readouterr().err == "hif8: yosys is not installed: apt-get install yosys\n"


def test_an_unknown_unit_is_refused():
    with pytest.raises(ValueError, match=r"one of decoder, .*, not 'adder'"):
        cost.select(["adder"])


def test_units_of_all_tables_have_names_of_their_own():
    tables = (UNITS, cost.BASELINES, cost_growth.UNEXPORTED)
    names = [name for table in tables for name in table]
    assert len(names) == len(set(names))
    assert {cost.kind(unit) for unit in cost.select(names)} <= {
        *cost.KINDS.values(),
        *(f"{kind} core" for kind in cost.KINDS.values()),
    }


def test_series_differ_in_their_number_alone():
    for series in cost_growth.SERIES.values():
        for number, unit in series.units.items():
            if series.number == "latency":
                assert unit.latency == number
            else:
                size = {"lanes": "lanes", "rows and columns": "rows"}[series.number]
                assert unit.parameters[size] == number


def test_the_harness_registers_every_bit_once():
    ports = [
        {"name": "clk", "direction": "input", "width": 1},
        {"name": "a", "direction": "input", "width": 8},
        {"name": "b", "direction": "input", "width": 3},
        {"name": "y", "direction": "output", "width": 5},
    ]
    text = fpga.harness("top", ports)
    assert "top unit(.clk(clk), .a(i[0 +: 8]), .b(i[8 +: 3]), .y(w[0 +: 5]));" in text
    assert "reg [10:0] i;" in text
    assert "reg [4:0] o, chain;" in text


def test_what_takes_minutes_is_measured_only_if_asked_for():
    names = {unit.name for unit in cost.select()}
    large = "matrix8x8_exact_to_fp32"
    assert {"decoder", "mac_fp32_posit8", "dot16_exact_hif8", "dot16_int8", "dot32_fp32"} <= names
    assert large not in names
    assert [unit.name for unit in cost.select([large])] == [large]
    assert large in {unit.name for unit in cost.select(slow=True)}


def test_large_engines_are_counted_by_module(committed):
    large = [unit.name for unit in UNITS.values() if unit.large]
    rows = [committed.by_name[name] for name in large]
    assert rows
    assert [row.unit for row in committed.rows if row.by_module] == large
    for row in rows:
        assert row.path == "within a module"
        assert row.delay_ns == row.abc_ns
        assert f"{row.unit} +" in printed(cost_table.table(committed))
    assert "each module mapped by itself" in " ".join(cost_table.notes(committed))


def test_the_kept_results_have_a_row_of_every_block_of_hif8(committed):
    names = set(committed.by_name)
    assert {unit.name for unit in cost.select()} <= names
    assert names <= {unit.name for unit in cost.select(slow=True)}
    for block in cost_blocks.BLOCKS:
        assert cost_blocks.units_of(block, committed.by_name)[HIF8.label].ge > 0


@pytest.mark.parametrize("name", SMALL)
def test_the_kept_results_are_of_the_verilog_of_now(committed, build, name):
    """If not: make cost."""
    entry = cost.verilog(UNITS[name])
    assert committed.by_name[name].sha256 == entry["sha256"]


@tools
def test_the_kept_results_are_what_is_measured(committed, measured):
    """If not: make cost."""
    other = committed.tools != measured.tools
    skip_if(f"measured with {committed.tools}, here are {measured.tools}" if other else None)
    assert [committed.by_name[name] for name in SMALL] == measured.rows


def test_int8_is_within_a_tenth_of_peers_or_explained(committed):
    compared = [
        (peer, row) for peer, row in cost_peers.compared(committed) if row.unit.endswith("_plain")
    ]
    assert len(compared) == 2
    for peer, row in compared:
        assert row.ge == pytest.approx(peer.ge, rel=cost_peers.CLOSE)


def test_the_table_shows_every_row_and_the_notes_every_tool(committed):
    text = printed(cost_table.table(committed))
    for row in committed.rows:
        assert f"{row.unit} " in text
    said = printed(*cost_table.texts(committed))
    for tool in ("yosys", "sta", "nextpnr-ecp5", "nextpnr-ice40"):
        assert f"{tool} " in said
    assert json.loads((cost.MEASURED / "cost.json").read_text())["rows"]
