# SPDX-License-Identifier: Apache-2.0
"""How files, models, netlists and proofs grow: the kept results, and one unit measured anew."""

import json
from dataclasses import asdict

import pytest
from conftest import need
from hif8.analysis import growth
from hif8.hdl import export
from hif8.hdl.configs import UNITS
from hif8.sim import growth as job


@pytest.fixture(scope="module")
def kept() -> dict:
    return json.loads(growth.RESULTS.read_text())


def test_the_kept_results_are_of_every_size(kept):
    assert [row["unit"] for row in kept["rows"]] == list(job.SIZES)
    for row in kept["rows"]:
        assert (row["ge_flat"] is None) == (row["products"] > job.FLAT)
        assert (row["build_s"] is None) == (row["products"] > job.BUILT)
        assert row["proof_s"] > 0
        if row["ge_flat"] is not None:
            assert row["ge"] == pytest.approx(row["ge_flat"], rel=0.1)


def test_the_page_shows_every_row_and_the_tools(kept):
    page = growth.page()
    assert page["command"] == job.COMMAND
    assert [line[0] for line in page["lines"]] == list(job.SIZES)
    assert {len(line) for line in page["lines"]} == {len(page["heads"])}
    for name, version in kept["tools"].items():
        assert f"{name} {version}" in page["note"]


@pytest.mark.slow
@pytest.mark.usefixtures("prover")
def test_a_unit_is_measured_and_proved(library, tmp_path, monkeypatch):
    need("verilator")
    monkeypatch.setenv("CCACHE_DISABLE", "1")
    unit = UNITS["dot4_exact"]
    row = job.measure(unit, library, tmp_path)
    text = export.verilog(unit)
    assert (row.size, row.lines) == (len(text), len(text.splitlines()))
    assert row.modules == 1 + len(export.entry(unit, text)["parts"])
    assert min(row.export_s, row.build_s, row.cycles_per_s, row.map_s, row.proof_s) > 0
    [line] = growth.table([asdict(row)])
    assert line[0] == unit.name
