# SPDX-License-Identifier: Apache-2.0
"""Faults in a netlist: the benches notice every one that is not proved to change nothing."""

import pytest
from conftest import need
from hif8.hdl.configs import select
from hif8.sim import mutants


@pytest.mark.parametrize("name", ["decoder", "to_fp16"])
def test_no_fault_survives_the_bench(name, builds):
    need("verilator")
    [report] = mutants.run_all(
        select([name]), root=builds, count=20, seed=1, progress=lambda unit, done, total: None
    )
    killed, equivalent, survived = map(report.of, ("killed", "equivalent", "survived"))
    assert survived == []
    assert len(killed) > 0
    assert len(killed) + len(equivalent) == len(report.faults) == 20
