# SPDX-License-Identifier: Apache-2.0
"""What several tests of this room need once: the trained network and the drawn figures."""

import os
import pickle
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
    """All figures; processes that share the tests share them, too. Beside them lie their rows."""
    base = tmp_path_factory.getbasetemp()
    out = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "figures"
    with alone(out.with_suffix(".lock")), pytest.MonkeyPatch.context() as patch:
        rows = out.with_name("rows")
        rows.mkdir(exist_ok=True)
        for name, figure in figures.FIGURES.items():
            kept = keep(figure.module.compute, rows / name)
            patch.setattr(figure.module, "compute", kept)
        figures.build(out)
    return out


def keep(compute, path: Path):
    """Return a function that computes and writes what it returns to a file, too."""

    def computed():
        rows = compute()
        path.write_bytes(pickle.dumps(rows))
        return rows

    return computed


@pytest.fixture
def rows_of(built: Path):
    """Return a function that gives the rows from which a figure was drawn."""
    return lambda name: pickle.loads(built.with_name("rows").joinpath(name).read_bytes())
