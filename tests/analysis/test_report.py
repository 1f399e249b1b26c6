# SPDX-License-Identifier: Apache-2.0
"""The report says what it was told, loudly where it must, and loads nothing.

Imports hif8.analysis.
"""

import base64
import re
from pathlib import Path
from typing import Any

import pytest
from hif8.analysis import figures, report, values
from html_page import Page
from jinja2 import UndefinedError

PASS = {
    "unit": "decoder",
    "simulator": "verilator",
    "simulator_version": "5.048",
    "cases": 65536,
    "expected": 65536,
    "mismatches": 0,
    "seconds": 0.5,
    "rate": 131072.0,
    "status": "pass",
    "note": "all of them",
    "command": "hif8 verify decoder --sim verilator",
    "coverage": None,
}
COVERAGE = {
    "bins": 4000,
    "hit": 3999,
    "unhit": ["E = -23 carry, negative"],
    "unexpected": [],
    "least": ["E = -23 carry, negative", 0],
    "columns": ["exact", "down"],
    "tables": {
        "TA": {"D0": [1500, 7], "zero": [1, None], "E > 15": [None, None]},
        "HR": {"D0": [None, 0], "zero": [2, None], "E > 15": [None, None]},
    },
}
MISMATCH = PASS | {"unit": "multiplier", "mismatches": 3, "status": "fail", "note": "a < b"}
NOT_RUN = PASS | {
    "simulator": "icarus",
    "simulator_version": "",
    "status": "not run",
    "note": "no iverilog here",
    "cases": 0,
    "expected": 0,
}
DEMO = {
    "accuracy_fp32": 0.97,
    "accuracy_hif8": 0.96,
    "encodes": 40480,
    "products": 940096,
    "tiles": 300,
    "cycles": 16055,
    "engine": "matrix8x8_exact_to_fp32",
    "bit_exact": True,
    "simulator": "verilator 5.048",
    "images": 100,
    "command": "hif8 demo",
}
PORT = {"direction": "input", "width": 8, "signed": False, "bits": "HiF8 code", "name": "code"}
MANIFEST = {
    "tool_versions": {"amaranth": "0.5.10"},
    "modules": [
        {
            "module": "hif8_decoder",
            "unit": "decoder",
            "file": "hif8_decoder.v",
            "latency": 0,
            "initiation_interval": 1,
            "max_products": 1 << 20,
            "sha256": "0123456789abcdef" * 4,
            "parameters": {"source": "fp32"},
            "ports": [
                PORT,
                PORT | {"name": "exponent", "direction": "output", "width": 6, "signed": True},
                PORT | {"name": "zero", "direction": "output", "width": 1},
            ],
        }
    ],
}
COST_ROW = {
    "unit": "decoder",
    "kind": "decoder",
    "format": "HiF8",
    "ge": 1234.4,
    "flip_flops": 0,
    "delay_ns": 0.5,
    "ecp5": {"luts": 2345, "ffs": 0, "mhz": 345.6},
    "ice40": None,
    "sha256": MANIFEST["modules"][0]["sha256"],
}
LEARNING = {
    "commands": ["hif8 workloads"],
    "versions": {"torch": "2.99"},
    "runs": 1234,
    "steps": 56789,
    "hours": 3.14,
    "columns": ["HiF8 TA, loss scaled", "HiF8 HR, loss scaled"],
    "systems": [
        {
            "title": "Some <System>",
            "reference": "Its paper",
            "simplified": "All of it.",
            "loss_scale": 4096.0,
            "rules": [
                {
                    "rule": "mean(m) >= 93",
                    "cells": [{"met": True, "text": "m 94"}, {"met": False, "text": "m 92"}],
                }
            ],
        }
    ],
}
COST = {"rows": [COST_ROW], "library": "some_cells", "notes": ["as <measured> once"]}


@pytest.fixture
def render(built: Path, tmp_path: Path) -> Any:
    def rendered(verdicts: list[dict], demo: dict | None = DEMO, **others: Any) -> str:
        arguments = {
            "figures": figures.read(built),
            "values_rows": values.compute(),
            "manifest": MANIFEST,
            "cost": COST,
            "learning": LEARNING,
        }
        page = report.render(tmp_path, verdicts=verdicts, demo=demo, **arguments | others)
        assert page == tmp_path / "index.html"
        return page.read_text(encoding="utf-8")

    return rendered


def test_page_of_passes_says_bit_exact_and_nothing_louder(render: Any) -> None:
    page = Page(render([PASS]))
    assert "all runs bit-exact" in page.words
    assert (
        "65,536 cases were compared with the golden model bit for bit: 0 mismatches" in page.words
    )
    for word in ("MISMATCH", "NOT RUN", "FAILED"):
        assert word not in page.text


def test_page_shows_a_mismatch_and_a_missing_run_loudly(render: Any) -> None:
    html = render([PASS, MISMATCH, NOT_RUN])
    page = Page(html)
    assert "MISMATCH: RTL and golden model differ" in page.words
    assert "multiplier under verilator: a < b" in page.words
    assert "decoder under icarus: no iverilog here" in page.words
    assert "1 run was not run" in page.words
    assert html.count('role="alert"') == 2
    assert "all runs bit-exact" not in page.text


def test_page_of_a_missing_run_alone_is_no_pass(render: Any) -> None:
    page = Page(render([PASS, NOT_RUN]))
    assert "INCOMPLETE: some runs were NOT RUN" in page.words
    assert "all runs bit-exact" not in page.text


def test_page_has_what_a_soak_compared_of_the_same_verilog(render: Any) -> None:
    digest = MANIFEST["modules"][0]["sha256"]
    soaked = PASS | {"random_products": 1_000_000_123, "verilog": digest}
    page = Page(render([PASS], soaked=[soaked]))
    assert "The deepest run" in page.words
    assert "1,000,000,123" in page.words
    assert "all runs bit-exact" in page.words
    assert "The deepest run" not in Page(render([PASS])).words
    old = Page(render([PASS], soaked=[soaked | {"verilog": "another", "mismatches": 1}]))
    assert "The deepest run" not in old.words
    failed = Page(render([PASS], soaked=[soaked | {"mismatches": 1}]))
    assert "MISMATCH" in failed.words
    assert "all runs bit-exact" not in failed.text


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({"mismatches": 1}, "MISMATCH"),
        ({"cases": 65535}, "FAILED"),
        ({"cases": 0, "expected": 0}, "FAILED"),
        ({"status": "fail"}, "FAILED"),
    ],
)
def test_page_trusts_counts_more_than_a_status(render: Any, changes: dict, label: str) -> None:
    page = Page(render([PASS | changes]))
    assert label in page.text
    assert "all runs bit-exact" not in page.text


def test_page_with_nothing_run_is_incomplete(render: Any) -> None:
    page = Page(render([], demo=None))
    assert "INCOMPLETE" in page.text
    assert "no unit was simulated" in page.words
    assert "Nothing was simulated." in page.words


def test_page_shows_a_wrong_demo_loudly(render: Any) -> None:
    page = Page(render([PASS], DEMO | {"bit_exact": False}))
    assert "MISMATCH: RTL and golden model differ" in page.words
    assert "the simulated forward pass differs from the golden model's" in page.words


@pytest.mark.parametrize(
    ("accuracy", "text"),
    [
        (0.97, "As many images are classified correctly with HiF8 as in FP32."),
        (0.96, "With HiF8, 1 image fewer of 100 is classified correctly than in FP32."),
        (0.99, "With HiF8, 2 images more of 100 are classified correctly than in FP32."),
    ],
)
def test_page_says_what_hif8_costs_in_images(render: Any, accuracy: float, text: str) -> None:
    assert text in Page(render([PASS], DEMO | {"accuracy_hif8": accuracy})).words


def test_page_says_what_the_engine_did(render: Any) -> None:
    html = render([PASS])
    for name, number in (("products by the engine", "940,096"), ("tiles", "300")):
        assert f"<dt>{name}</dt><dd>{number}</dd>" in html
    assert "<dt>clock cycles</dt><dd>16,055</dd>" in html
    assert "through the simulated engine matrix8x8_exact_to_fp32 under" in Page(html).words


def test_page_shows_modules_values_figures_and_commands(render: Any, built: Path) -> None:
    page = Page(render([PASS]))
    limit = "interval 1, up to 1,048,576 products in a sum"
    for text in ("code[7:0]", "exponent[5:0] signed", "0123456789ab…", "source = fp32", limit):
        assert text in page.words
    for row in values.compute():
        assert all(cell in page.text for cell in row.values() if cell != row["quantity"])
    for figure in figures.read(built):
        assert figure["finding"] in page.text
        assert figure["caption"] in page.text
    for command in ("hif8 demo", "hif8 figures", PASS["command"]):
        assert command in page.text


def test_page_shows_costs_with_their_notes(render: Any) -> None:
    html = render([PASS])
    for cell in ("1,234", "0.50", "617", "2,345", "346", "\N{EN DASH}"):
        assert f'<td class="number">{cell}</td>' in html
    assert "some_cells" in html
    assert "as <measured> once" in Page(html).text
    assert "make cost" not in html


def test_page_shows_what_hif8_does_to_learning(render: Any) -> None:
    html = render([PASS])
    page = Page(html)
    for text in ("1,234 runs, 56,789 steps, 3.1 hours", "torch 2.99", "loss scale is 4,096"):
        assert text in page.words
    assert "Some <System>" in page.text
    assert html.count('<span class="badge pass">met</span> m 94') == 1
    assert html.count('<span class="badge fail">NOT MET</span> m 92') == 1
    assert "HiF8 HR, loss scaled" in page.words


def test_page_says_which_units_changed_since_they_were_measured(render: Any) -> None:
    rows = [COST_ROW, COST_ROW | {"unit": "decoder", "sha256": "0"}, COST_ROW | {"unit": "other"}]
    html = render([PASS], cost=COST | {"rows": rows[1:]})
    assert "The Verilog of decoder is no longer what was measured" in Page(html).words


def cells(html: str, line: str) -> list[str]:
    """Return the text of a table's line, found by its header."""
    (found,) = re.findall(rf'<tr><th scope="row">{line}</th>(.*?)</tr>', html)
    return re.findall(r">([^<]*)</td>", found)


def test_page_adds_the_coverage_of_all_simulators_and_marks_what_is_not_hit(render: Any) -> None:
    other = COVERAGE | {"hit": 4000, "least": ["zero, positive", 3]}
    html = render([PASS, PASS | {"coverage": COVERAGE}, NOT_RUN | {"coverage": other}])
    page = Page(html)
    assert "verilator 5.048: 3,999 of 4,000 bins hit" in page.words
    assert "least often E = -23 carry, negative, in 0 cases" in page.words
    assert "icarus: 4,000 of 4,000 bins hit; least often zero, positive, in 3 cases" in page.words
    assert cells(html, "D0") == ["3,000", "14", "\N{EN DASH}", "0"]
    assert cells(html, "zero") == ["2", "\N{EN DASH}", "4", "\N{EN DASH}"]
    assert html.count('<td class="number fail">') == 1
    assert 'scope="row">E' not in html  # no case can be there


def test_page_without_coverage_does_not_speak_of_it(render: Any) -> None:
    assert "overage" not in Page(render([PASS])).text


def test_page_loads_nothing_and_embeds_every_picture(render: Any, built: Path) -> None:
    html = render([PASS | {"coverage": COVERAGE}, MISMATCH, NOT_RUN])
    page = Page(html)
    assert not re.search(r"https?:|@import|url\(|<script|<link", html)
    assert len(page.ids) == len(set(page.ids))
    prefix = "data:image/svg+xml;base64,"
    pictures = [address for address in page.addresses if address.startswith(prefix)]
    others = set(page.addresses) - set(pictures)
    assert others == {f"#{i}" for i in page.ids}
    drawn = [figure["svg"] for figure in figures.read(built)]
    assert [base64.b64decode(picture[len(prefix) :]) for picture in pictures] == drawn


def test_page_links_to_the_datasheets_that_there_are(render: Any) -> None:
    address = "datasheets/hif8_decoder.html"
    assert address in Page(render([PASS], datasheets={"decoder": address})).addresses
    assert "datasheet" not in Page(render([PASS])).text


def test_page_escapes_what_it_is_told(render: Any) -> None:
    html = render([PASS | {"note": "<script>alert(1)</script>"}])
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_page_is_made_for_dark_paper_and_phones(render: Any) -> None:
    html = render([PASS])
    for text in ("prefers-color-scheme: dark", "@media print", 'name="viewport"', 'lang="en"'):
        assert text in html


def test_rendering_twice_gives_equal_bytes(render: Any) -> None:
    assert render([PASS, NOT_RUN]) == render([PASS, NOT_RUN])


def test_unknown_status_is_refused(render: Any) -> None:
    with pytest.raises(ValueError, match="status must be one of pass, fail, not run, not 'fine'"):
        render([PASS | {"status": "fine"}])


def test_missing_field_is_refused_and_nothing_written(render: Any, tmp_path: Path) -> None:
    with pytest.raises(UndefinedError):
        render([PASS], manifest={"modules": []})
    assert not list(tmp_path.iterdir())


def test_unwritable_folder_is_an_oserror(built: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        report.render(
            tmp_path / "file",
            verdicts=[],
            demo=None,
            figures=[],
            values_rows=[],
            manifest=MANIFEST,
            cost=COST,
            learning=LEARNING,
        )
