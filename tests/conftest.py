# SPDX-License-Identifier: Apache-2.0
"""What tests of several rooms need: where builds are kept, whether Icarus is there, a summary.

Tests run in several processes, as `make test` does it, or in one.
"""

import contextlib
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def pytest_configure(config) -> None:
    """Let the prover compile itself, once a machine, before several processes would."""
    from hif8.sim import proofs
    from hif8.toolchain.program import ToolError

    if not hasattr(config, "workerinput"):
        with contextlib.suppress(ToolError):  # the tests that need it will say so
            proofs.tool()


@pytest.fixture(scope="session")
def builds() -> Path:
    """Builds are named after their contents, so that one run may use another's."""
    return ROOT / "build" / "sim"


def skip_if(reason: str | None) -> None:
    """Skip if there is a reason, which is printed; in CI that is a failure."""
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(f"NOT RUN: {reason}")


def need(name: str) -> None:
    """Skip, with the reason, where a simulator is missing."""
    from hif8.toolchain.simulators import SIMULATORS

    skip_if(SIMULATORS[name].missing())


@pytest.fixture(scope="session")
def library():
    """Return the standard cells, where they and what maps to them and times them are installed."""
    from hif8.toolchain import sta, synthesis, yosys

    skip_if(yosys.DEBIAN.missing or sta.STA.missing)
    skip_if(None if synthesis.OSU018.exists() else "qflow-tech-osu018 is not installed")
    return synthesis.Library.find()


@pytest.fixture
def icarus() -> None:
    need("icarus")


def pytest_terminal_summary(terminalreporter) -> None:
    """Say in numbers what the tests of this run covered, as they recorded it."""
    recorded = [
        dict(report.user_properties)
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if report.when == "call" and report.user_properties
    ]

    def total(name: str) -> str:
        return f"{sum(properties.get(name, 0) for properties in recorded):,}"

    def tests(name: str) -> int:
        return sum(name in properties for properties in recorded)

    lines = {
        "mismatches": f"co-simulated: {total('cases')} cases in {tests('cases')} runs of a unit "
        f"under a simulator, compared with golden bit for bit: {total('mismatches')} mismatches",
        "proved": f"proofs: {total('proved')} of {tests('proved')} properties proved for all "
        f"inputs, {total('refuted')} of {tests('refuted')} wrong variants refuted",
        "survived": f"faults in {tests('survived')} units: {total('killed')} killed, "
        f"{total('equivalent')} proved equivalent, {total('undecided')} undecided, "
        f"{total('survived')} survived",
    }
    for name, line in lines.items():
        if tests(name):
            terminalreporter.write_line(line)
