# SPDX-License-Identifier: Apache-2.0
"""What tests of several rooms need: markers, where builds are kept, what is there, a summary.

Tests run in several processes, as `make test` does it, or in one.
"""

import contextlib
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


TESTS = Path(__file__).parent
FOLDERS = {"hdl": "rtl", "sim": "rtl", "toolchain": "rtl"}
FIXTURES = dict.fromkeys(("builds", "icarus", "library", "packed", "prover"), "rtl")
FIXTURES["built"] = "figures"
"""What marks a test: the folder it is in, and the fixtures that it uses."""


def pytest_collection_modifyitems(items) -> None:
    """Mark tests by folder and fixtures, and let files with slow ones begin.

    A process that runs out of tests takes some of another's last ones: those must be short.
    """
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        fixtures = map(FIXTURES.get, item.fixturenames)
        for name in {FOLDERS.get(folder), *fixtures} - {None}:
            item.add_marker(name)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


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


@pytest.fixture(scope="session")
def prover(builds) -> None:
    """Let the prover compile itself, once a machine, before several processes would."""
    from hif8.sim import proofs
    from hif8.toolchain.lock import alone
    from hif8.toolchain.program import ToolError

    builds.mkdir(parents=True, exist_ok=True)
    with alone(builds / "prover.lock"), contextlib.suppress(ToolError):
        proofs.tool()  # the tests that need it will say so


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
