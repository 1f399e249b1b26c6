# SPDX-License-Identifier: Apache-2.0
"""The deepest run: which checks it has, what it keeps, and when it fails."""

import json
import sys
from dataclasses import replace

import pytest
from conftest import need
from hif8 import cli
from hif8.hdl.baselines import ROWS
from hif8.hdl.configs import UNITS
from hif8.sim import effort, soak, verify
from hif8.toolchain.simulators import SIMULATORS

MACS = ("mac_exact", "mac_fp32", "mac_fp32_i3", "mac_exact_fast")


def least(name: str) -> int:
    """Random products that the bench of a unit draws in a soak under Verilator, at the least."""
    return effort.PRODUCTS * effort.budget(UNITS[name], "verilator", "soak").random_cases


def test_every_unit_is_checked_under_every_simulator_but_large_ones():
    asked = {(check.unit, check.simulator) for check in soak.checks()}
    small = {(name, simulator) for name in ROWS for simulator in SIMULATORS}
    large = {(name, "icarus") for name, unit in UNITS.items() if unit.large}
    names = ("encoder_fp32", "encoder_fp32_ta", "encoder_fp32_keep_exact")
    swept = {(name, soak.SWEPT) for name in names}
    assert len(large) == 2
    assert asked == small - large | swept


def test_both_modes_of_an_encoder_are_swept():
    of = [check.setting for check in soak.checks(["encoder_fp32"]) if check.simulator == soak.SWEPT]
    assert of == [0, 1]


def test_the_longest_check_begins():
    seconds = [check.seconds for check in soak.checks()]
    assert seconds == sorted(seconds, reverse=True)


def test_macs_have_a_thousand_million_products_and_others_a_tenth():
    assert all(least(name) >= 10**9 for name in MACS)
    others = [u.name for u in UNITS.values() if u.bench in ("sum", "matrix") and not u.large]
    assert all(least(name) >= 10**8 for name in others)
    assert len(others) == 12


def test_encoders_have_as_many_random_words_as_were_never_fewer():
    unit = UNITS["encoder_fp32"]
    assert effort.budget(unit, "verilator", "soak").random_cases == 2_500_000
    assert effort.budget(unit, "icarus", "soak").random_cases == 25_000


def test_too_few_random_products_are_a_failure():
    [check] = [c for c in soak.checks(["mac_fp32"]) if c.simulator == "verilator"]
    verdict = verify.Verdict("mac_fp32", "verilator", "5", "pass", random_products=10**9 - 1)
    assert soak.shortfall({check: verdict}) == [
        "mac_fp32: 999,999,999 random products, not 1,000,000,000"
    ]
    assert soak.shortfall({check: replace(verdict, random_products=10**9)}) == []


@pytest.fixture
def hif8(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["hif8", *arguments])
        status = cli.main()
        return status, " ".join(capsys.readouterr().out.split())

    return run


@pytest.fixture
def instant(monkeypatch):
    """Put verdicts in place of simulations, and return those and the checks that ran."""
    ran, parts = [], {"status": "pass", "cases": 256, "expected": 256}

    def run(check, *, root):
        ran.append(check)
        version = SIMULATORS[check.simulator].version()
        verilog = verify.digest(check.row)
        how = parts | {"verilog": verilog, "effort": soak.EFFORT}
        return verify.Verdict(check.unit, check.simulator, version, **how)

    def spread(function, tasks, **how):
        yield from ((k, function(task)) for k, task in enumerate(tasks))

    monkeypatch.setattr(soak, "_run", run)
    monkeypatch.setattr(soak.pool, "spread", spread)
    return ran, parts


def test_what_has_passed_is_kept_unless_it_is_to_run_again(hif8, instant, tmp_path):
    for simulator in SIMULATORS:
        need(simulator)
    ran, _ = instant
    status, out = hif8("soak", "decoder")
    assert status == 0
    assert "2 of 2 checks bit-exact: 512 cases" in out
    assert len(ran) == 2
    status, out = hif8("soak", "decoder")
    assert status == 0
    assert "0 checks, 2 more have passed before" in out
    assert "2 of 2 checks bit-exact" in out
    assert len(ran) == 2
    hif8("soak", "decoder", "--again")
    assert len(ran) == 4
    path = tmp_path / "build" / "soak" / "decoder-icarus.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"verilog": "another"}))
    hif8("soak", "decoder")
    assert len(ran) == 5
    path.write_text("{")
    hif8("soak", "decoder")
    assert len(ran) == 6


def test_a_failure_ends_with_1_and_runs_again(hif8, instant):
    for simulator in SIMULATORS:
        need(simulator)
    ran, parts = instant
    parts |= {"status": "fail", "note": "1 of 256 cases differ from golden"}
    status, out = hif8("soak", "decoder")
    assert status == 1
    assert "FAIL: decoder under icarus: 1 of 256 cases differ from golden" in out
    assert hif8("soak", "decoder")[0] == 1
    assert len(ran) == 4


def test_a_simulation_is_run_by_a_process_of_the_pool(hif8):
    for simulator in SIMULATORS:
        need(simulator)
    status, out = hif8("soak", "decoder")
    assert status == 0
    assert "2 of 2 checks bit-exact: 512 cases" in out


def test_a_unit_that_there_is_not_is_one_line(hif8):
    assert hif8("soak", "nothing")[0] == 1
