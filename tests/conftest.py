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
