# SPDX-License-Identifier: Apache-2.0
"""Netlists, their areas and delays: counted again from the cells, and what is said if one fails."""

import re
from collections import Counter
from pathlib import Path

import pytest
from hif8.hdl.configs import UNITS
from hif8.hdl.export import verilog
from hif8.toolchain import abc, hierarchy, program, sta, synthesis, yosys
from hif8.toolchain.program import ToolError
from hif8.toolchain.synthesis import Library, Netlist, synthesise


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return {name: verilog(UNITS[name]) for name in ("decoder", "encoder_fp32_s1")}


@pytest.fixture(scope="module")
def netlists(library, texts, tmp_path_factory) -> dict[str, Netlist]:
    folder = tmp_path_factory.mktemp("kept")
    return {n: synthesise(text, f"hif8_{n}", library, folder) for n, text in texts.items()}


def instances(netlist: Netlist) -> Counter:
    """Return the cells that the netlist's text has, by reading it."""
    found = re.findall(r"(?m)^  (\w+) \w+ \(", netlist.text)
    return Counter(found)


def areas() -> dict[str, float]:
    """Return the cells' areas from the liberty file, read line by line."""
    found, cell = {}, None
    for line in synthesis.OSU018.read_text().splitlines():
        if match := re.match(r"cell \((\w+)\)", line.strip()):
            cell = match[1]
        elif cell and (match := re.match(r"area *: *([\d.]+);", line.strip())):
            found[cell] = float(match[1])
            cell = None
    return found


@pytest.mark.parametrize("name", ["decoder", "encoder_fp32_s1"])
def test_area_is_that_of_the_cells_in_the_netlist(netlists, library, name):
    netlist, area = netlists[name], areas()
    cells = instances(netlist)
    assert cells == netlist.cells
    assert sum(area[cell] * count for cell, count in cells.items()) == pytest.approx(netlist.area)
    assert netlist.gates(library) == pytest.approx(netlist.area / area["NAND2X1"])


@pytest.mark.parametrize("name", ["decoder", "encoder_fp32_s1"])
def test_flip_flops_are_the_registers_of_the_verilog(netlists, texts, library, name):
    bits = sum(
        1 + int(high or 0)
        for high, register in re.findall(
            r"(?m)^ *reg (?:\[(\d+):0\] )?(\w+)(?: =.*)?;", texts[name]
        )
        if re.search(rf"\b{register}\b[^\n]*<=", texts[name])
    )
    assert netlists[name].registers(library) == bits
    assert bool(bits) == ("clk" in UNITS[name].ports)


def test_modules_mapped_each_by_itself_count_as_often_as_they_are_there(library, tmp_path):
    unit = UNITS["dot4_exact"]
    text = verilog(unit)
    flat, apart = (
        synthesise(text, unit.module, library, tmp_path, flat=flat) for flat in (True, False)
    )
    tree, count = hierarchy.modules(apart.text), Counter()
    assert list(hierarchy.modules(flat.text)) == [unit.module]
    assert set(tree) == set(hierarchy.modules(text))
    for name, copies in hierarchy.copies(tree, unit.module).items():
        cells = Counter(re.findall(r"(?m)^  (\w+) \w+ \(", tree[name].text))
        count.update({cell: copies * n for cell, n in cells.items() if cell in library.cells})
    assert count == apart.cells
    area = areas()
    assert sum(area[cell] * n for cell, n in count.items()) == pytest.approx(apart.area)
    assert apart.registers(library) == flat.registers(library)
    assert apart.area == pytest.approx(flat.area, rel=0.1)
    print(f"{flat.gates(library):,.0f} GE flat, {apart.gates(library):,.0f} by module")


def test_the_same_verilog_gives_the_same_netlist(netlists, texts, library, tmp_path):
    again = synthesise(texts["decoder"], "hif8_decoder", library, tmp_path)
    assert again == netlists["decoder"]
    assert sta.longest_path(again, library, tmp_path / "a") == sta.longest_path(
        again, library, tmp_path / "b"
    )


def test_what_is_kept_is_not_made_again(texts, library, tmp_path, monkeypatch):
    made = synthesise(texts["decoder"], "hif8_decoder", library, tmp_path)
    monkeypatch.setattr(program.Program, "run", lambda *_, **__: pytest.fail("ran again"))
    assert synthesise(texts["decoder"], "hif8_decoder", library, tmp_path) == made
    with pytest.raises(pytest.fail.Exception, match="ran again"):
        synthesise(texts["decoder"] + "\n", "hif8_decoder", library, tmp_path)


def test_opensta_agrees_with_abc_on_the_load_that_abc_sees(
    netlists, library, tmp_path, monkeypatch
):
    loaded = sta.longest_path(netlists["decoder"], library, tmp_path)
    monkeypatch.setattr(sta, "SCRIPT", sta.SCRIPT.replace("set_load 0.05", "set_load 5e-5"))
    found = sta.longest_path(netlists["decoder"], library, tmp_path)
    assert found.delay == pytest.approx(netlists["decoder"].abc_delay, rel=1e-3)
    assert found.delay < loaded.delay
    assert (found.begins, found.ends) == ("port", "port")


def test_a_registers_own_times_are_part_of_the_delay(netlists, library, tmp_path):
    found = sta.longest_path(netlists["encoder_fp32_s1"], library, tmp_path)
    assert "register" in (found.begins, found.ends)
    assert found.delay > netlists["encoder_fp32_s1"].abc_delay


def test_a_run_without_statistics_is_an_error(texts, library, tmp_path, monkeypatch):
    monkeypatch.setattr(synthesis, "SCRIPT", "read_verilog unit.v # {top}\n")
    with pytest.raises(ToolError, match="gave no statistics of hif8_decoder"):
        synthesise(texts["decoder"], "hif8_decoder", library, tmp_path)
    assert not list(tmp_path.glob("*.json"))


def test_broken_verilog_is_an_error(library, tmp_path):
    with pytest.raises(ToolError, match=r"yosys failed: .*syntax error"):
        synthesise("module broken(", "broken", library, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no library"),
        ("library (empty) { }", "has no inverter"),
        ("library (few) { cell (INVX1) { area : 1; } }", "yosys failed"),
    ],
)
def test_a_broken_library_is_an_error(texts, tmp_path, text, message):
    path = tmp_path / "cells.lib"
    path.write_text(text)
    with pytest.raises(ToolError, match=message):
        synthesise(texts["decoder"], "hif8_decoder", Library.find(path), tmp_path / "kept")


def test_a_missing_library_is_an_error(tmp_path):
    with pytest.raises(ToolError, match="is no file"):
        Library.find(tmp_path / "none.lib")


@pytest.mark.parametrize("tool", [yosys.DEBIAN, abc.ABC, sta.STA])
def test_a_missing_tool_says_how_to_have_it(tool, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tool.missing == f"{tool.name} is not installed: {tool.install}"
    with pytest.raises(ToolError, match="apt-get install"):
        tool.version()
