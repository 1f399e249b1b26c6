# SPDX-License-Identifier: Apache-2.0
"""What tests of several rooms need: where builds are kept, and whether Icarus is there."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def builds() -> Path:
    """Builds are named after their contents, so that one run may use another's."""
    return ROOT / "build" / "sim"


def need(name: str) -> None:
    """Skip, with the reason, where a simulator is missing; in CI that is a failure."""
    from hif8.sim.simulators import SIMULATORS

    reason = SIMULATORS[name].missing()
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(f"NOT RUN: {reason}")


@pytest.fixture
def icarus() -> None:
    need("icarus")


def pytest_terminal_summary(terminalreporter) -> None:
    """Say in numbers what the co-simulations of this run compared."""
    ran = [
        dict(report.user_properties)
        for report in terminalreporter.stats.get("passed", [])
        if report.when == "call" and "cases" in dict(report.user_properties)
    ]
    if ran:
        cases = sum(properties["cases"] for properties in ran)
        terminalreporter.write_line(
            f"co-simulated: {cases:,} cases in {len(ran)} runs of a unit under a simulator, "
            "each compared with golden bit for bit, 0 mismatches"
        )
