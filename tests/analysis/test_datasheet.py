# SPDX-License-Identifier: Apache-2.0
"""Datasheets: what they say of special values, of results, and of what was not measured.

Imports hif8.analysis and hif8.hdl.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import paper
import pytest
from hif8.analysis import datasheet, results, specials
from hif8.hdl import export
from hif8.hdl.configs import UNITS
from html_page import Page

TOOLS = {"amaranth": "0.5.10"}
VERDICT = {
    "unit": "decoder",
    "simulator": "icarus",
    "simulator_version": "11.0",
    "status": "pass",
    "cases": 256,
    "expected": 256,
    "mismatches": 0,
    "command": "hif8 verify decoder --sim icarus",
}
PROOF = {"unit": "decoder", "tool": "sat 1.0", "claim": {"proved": 1}, "variant": {"proved": 0}}
FAULTS = {"unit": "decoder", "faults": [{"verdict": "killed"}] * 7 + [{"verdict": "equivalent"}]}
NETLIST = {
    "unit": "decoder",
    "library": "cells180",
    "yosys": "0.23",
    "cells": 1234,
    "verdicts": [VERDICT, VERDICT | {"status": "not run", "cases": 0}],
    "equivalence": {"equivalent": True, "tool": "sat 1.0"},
}
COST = {
    "rows": [
        {
            "unit": "decoder",
            "ge": 61.7,
            "flip_flops": 0,
            "delay_ns": 1.25,
            "path": "code to nan",
            "mhz_asic": 800.0,
            "command": "hif8 cost decoder --commands",
            "ice40": None,
            "ecp5": {"luts": 43, "ffs": 0, "mhz": 412.3},
        }
    ],
    "tools": {"yosys": "0.23"},
    "library": "cells180",
}


TEXT = "the Verilog"
for result in (VERDICT, PROOF, FAULTS, NETLIST):
    result["verilog"] = hashlib.sha256(TEXT.encode()).hexdigest()
COST["rows"][0]["sha256"] = hashlib.sha256(TEXT.encode()).hexdigest()


def entry(name: str) -> dict[str, Any]:
    return export.entry(UNITS[name], TEXT)


def page(name: str, build: Path) -> str:
    return datasheet.render(entry(name), results.read(build), TOOLS)


def put(build: Path, path: str, content: object) -> None:
    (build / path).parent.mkdir(parents=True, exist_ok=True)
    (build / path).write_text(json.dumps(content))


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """A build folder in which all is known of the decoder."""
    put(tmp_path, "verify/decoder-icarus.json", VERDICT)
    put(tmp_path, "prove/decoder.json", [PROOF, PROOF])
    put(tmp_path, "mutate/decoder.json", FAULTS)
    put(tmp_path, "netlists/decoder.json", NETLIST)
    put(tmp_path, "cost/cost.json", COST)
    return tmp_path


@pytest.mark.parametrize("name", UNITS)
def test_every_unit_has_a_page_that_is_whole_and_loads_nothing(name: str, tmp_path: Path) -> None:
    html = page(name, tmp_path)
    read = Page(html)
    assert not re.search(r"https?:|@import|url\(|<script|<link", html)
    assert "not measured Run hif8 cost" in read.words
    assert f"not run Run hif8 verify {name}" in read.words
    for port in entry(name)["ports"]:
        assert f">{port['name']}</text>" in html
        assert port["bits"] in read.text
    assert len(read.addresses) == len(datasheet.PICTURES.get(name, ()))


def test_a_page_tells_the_parts_of_its_file(tmp_path: Path) -> None:
    module = export.entry(UNITS["dot4_exact"], export.kept_verilog(UNITS["dot4_exact"]))
    words = Page(datasheet.render(module, results.read(tmp_path), TOOLS)).words
    assert "8 in hif8_dot4_exact" in words
    for part in module["parts"]:
        assert f"{part['module']}{part['summary']}" in words


@pytest.mark.parametrize("name", UNITS)
def test_every_row_of_special_values_has_all_its_cells(name: str) -> None:
    table = specials.compute(UNITS[name])
    assert len(table.rows) >= 7
    assert {len(cells) for _, cells in table.rows} == {len(table.inputs) + len(table.outputs)}
    assert len({what for what, _ in table.rows}) == len(table.rows)


@pytest.mark.parametrize(("source", "dtype"), [("fp32", np.float32), ("fp16", np.float16)])
def test_overflow_and_underflow_begin_where_the_paper_says(source: str, dtype: type) -> None:
    rows = dict(specials.compute(UNITS[f"encoder_{source}_ta"]).rows)
    for value, what, below in (
        (2.0**-23, "smallest that TA does not", "largest that TA rounds to zero"),
        (1.25 * 2**15, "smallest that TA makes infinite", "largest that TA keeps finite"),
    ):
        word = int(dtype(value).view(f"u{dtype().itemsize}"))
        assert int(rows[what][0].split()[0], 16) == word
        assert int(rows[below][0].split()[0], 16) == word - 1


def test_encoded_special_values_are_those_of_the_paper() -> None:
    names = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
    for source, name in names.items():
        for _, cells in specials.compute(UNITS[f"encoder_{source}_ta"]).rows:
            word, plain, saturated, zeroed = (int(cell.split()[0], 16) for cell in cells)
            x = paper.ieee_value(word, name)
            assert plain == paper.encode(x)
            assert saturated == paper.encode(x, saturate=True)
            assert zeroed == paper.encode(x, nan_to_zero=True)


def test_special_products_and_sums_are_those_of_the_paper() -> None:
    for what, (a, b, *_, value) in specials.compute(UNITS["multiplier"]).rows:
        exact = paper.product(*(int(cell.split()[0], 16) for cell in (a, b)))
        assert float(value) == pytest.approx(float(exact), nan_ok=True), what
    for what, (products, acc, total) in specials.compute(UNITS["mac_fp32"]).rows:
        word = int(acc.split()[0], 16)
        for pair in products.split(" + "):
            codes = ([int(code, 16)] for code in pair.split(" \N{MIDDLE DOT} "))
            word = paper.accumulate(word, *codes)
        assert int(total.split()[0], 16) == word, what


def test_a_page_shows_what_is_known(known: Path) -> None:
    words = Page(page("decoder", known).replace("</td>", " </td>")).words
    for text in (
        "simulated under icarus 11.0 256 of 256 cases compared bit for bit",
        "proved by sat 1.0 2 of 2 properties proved for all inputs, 2 of 2 wrong variants refuted",
        "8 faults, 7 noticed by the bench, 1 proved to change nothing, 0 undecided, 0 survived "
        "none survived",
        "netlist of 1,234 cells of cells180, by yosys 0.23 proved to be its RTL by sat 1.0; 256 "
        "cases in 1 run of the bench, 0 mismatches equivalent",
        "standard cells, cells180 62 GE 0 1.25 ns 800 MHz",
        "ECP5 43 LUTs 0 2.43 ns 412 MHz",
        "iCE40 not measured",
        "The longest path is code to nan.",
        "hif8 cost decoder --commands",
        "yosys 0.23",
    ):
        assert text in words


@pytest.mark.parametrize(
    ("path", "content", "label"),
    [
        ("verify/decoder-icarus.json", VERDICT | {"mismatches": 1}, "MISMATCH"),
        ("verify/decoder-icarus.json", VERDICT | {"cases": 255}, "FAILED"),
        ("verify/decoder-icarus.json", VERDICT | {"verilog": "another's"}, "OUTDATED"),
        ("prove/decoder.json", [PROOF | {"verilog": "another's"}], "OUTDATED"),
        ("mutate/decoder.json", FAULTS | {"verilog": "another's"}, "OUTDATED"),
        ("netlists/decoder.json", NETLIST | {"verilog": "another's"}, "OUTDATED"),
        ("prove/decoder.json", [PROOF | {"claim": {"proved": 0}}], "NOT PROVED"),
        ("prove/decoder.json", [PROOF | {"variant": {"proved": 1}}], "NOT PROVED"),
        (
            "mutate/decoder.json",
            FAULTS | {"faults": [{"verdict": "survived"}]},
            "some survived",
        ),
        ("mutate/decoder.json", FAULTS | {"faults": []}, "some survived"),
        (
            "netlists/decoder.json",
            NETLIST | {"equivalence": {"equivalent": 0, "tool": ""}},
            "FAILED",
        ),
        ("netlists/decoder.json", NETLIST | {"verdicts": [VERDICT | {"mismatches": 1}]}, "FAILED"),
    ],
)
def test_what_did_not_pass_is_said_so(known: Path, path: str, content: Any, label: str) -> None:
    assert label not in Page(page("decoder", known)).words
    put(known, path, content)
    assert label in Page(page("decoder", known)).words


def test_the_cost_of_other_verilog_is_not_shown(known: Path) -> None:
    assert "not measured Run hif8 cost" not in Page(page("decoder", known)).words
    put(known, "cost/cost.json", COST | {"rows": [COST["rows"][0] | {"sha256": "another's"}]})
    assert "not measured Run hif8 cost" in Page(page("decoder", known)).words


def test_a_damaged_result_is_named(known: Path) -> None:
    (known / "mutate" / "decoder.json").write_text("[")
    with pytest.raises(ValueError, match=r"decoder\.json is damaged"):
        results.read(known)


def test_pages_are_written_under_the_names_of_modules_and_equal_each_time(known: Path) -> None:
    manifest = {"tool_versions": TOOLS, "modules": [entry("decoder"), entry("mac_exact")]}
    found = results.read(known)
    paths = datasheet.build(known / "report" / datasheet.FOLDER, manifest, found)
    assert [str(path.relative_to(known / "report")) for path in paths] == [
        datasheet.address("decoder"),
        datasheet.address("mac_exact"),
    ]
    assert [path.read_text() for path in paths] == list(datasheet.pages(manifest, found).values())
