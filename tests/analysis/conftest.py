# SPDX-License-Identifier: Apache-2.0
"""What several tests of this room need once: the trained network and the drawn figures."""

import os
from pathlib import Path

import pytest
from hif8.analysis import accumulation, digits, figures
from hif8.toolchain.lock import alone


@pytest.fixture(scope="session", autouse=True)
def shorter_sums() -> None:
    """Let the figure of accumulators end at 2^14 products: half a minute less a drawing."""
    accumulation.LENGTHS = [n for n in accumulation.LENGTHS if n <= 1 << 14]


@pytest.fixture(scope="session")
def network() -> digits.Network:
    return digits.train()


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All figures; processes that share the tests share them, too."""
    base = tmp_path_factory.getbasetemp()
    out = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "figures"
    with alone(out.with_suffix(".lock")):
        figures.build(out)
    return out
