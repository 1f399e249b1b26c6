# SPDX-License-Identifier: Apache-2.0
"""The speed of benches beside a bare loop: its results are golden's, and the ratio is of both."""

import numpy as np
import pytest
from conftest import need
from hif8.hdl.configs import UNITS
from hif8.sim import speed
from hif8.toolchain.program import ToolError

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["mac_exact", "matrix4x4_exact_to_hif8"])
def test_the_bare_loop_gives_what_golden_says(name, builds):
    need("verilator")
    cycles, results, seconds, cpu = speed.bare(UNITS[name], 0.01, builds)
    assert cycles > results > 0
    assert seconds > 0
    assert cpu > 0


def test_a_loop_with_a_wrong_result_is_refused(builds, monkeypatch):
    need("verilator")
    beats, golden = speed.traffic(UNITS["mac_exact"])
    wrong = golden | {"nan": golden["nan"] ^ (np.arange(len(golden["nan"])) == 7)}
    monkeypatch.setattr(speed, "traffic", lambda unit: (beats, wrong))
    with pytest.raises(ToolError, match="the bare loop's nan of mac_exact is not golden's"):
        speed.bare(UNITS["mac_exact"], 0.01, builds)


def test_a_bench_and_a_loop_are_measured(builds):
    need("verilator")
    row = speed.measure(UNITS["mac_exact"], 0.5, builds)
    assert row.unit == "mac_exact"
    assert row.lanes > 1
    assert row.bare_cycles > row.bare_results > 0
    assert row.ratio == row.results / row.bare_results > 0
    assert row.cpu_ratio == row.cpu_results / row.bare_cpu_results > 0


def test_sums_and_engines_are_measured_and_no_others():
    assert [unit.name for unit in speed.chosen([])] == list(speed.MEASURED)
    with pytest.raises(ValueError, match=r"unit must be one of .*, not 'decoder'"):
        speed.chosen(["decoder"])
