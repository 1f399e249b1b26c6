# SPDX-License-Identifier: Apache-2.0
"""The rules of the house: who may import whom, and what every file must or must not hold."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")
RUFF = Path(sys.executable).with_name("ruff")


def tracked(*patterns: str) -> list[Path]:
    run = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [ROOT / line for line in run.stdout.splitlines() if (ROOT / line).is_file()]
    assert paths
    return paths


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    # Another checkout must be found before the installed package: a folder named `hif8` that is it.
    return subprocess.run(
        [LINT_IMPORTS, "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_imports_flow_one_way():
    run = lint_imports(ROOT)
    assert run.returncode == 0, run.stdout
    assert "4 kept, 0 broken" in run.stdout


def test_a_planted_import_is_caught(tmp_path):
    copy = tmp_path / "hif8"
    for path in tracked("*.py"):
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    assert lint_imports(tmp_path).returncode == 0
    decoder = copy / "hdl" / "decoder.py"
    decoder.write_text(decoder.read_text() + "\nfrom ..golden import encode\n")
    run = lint_imports(tmp_path)
    assert run.returncode == 1
    assert "hif8.hdl.decoder -> hif8.golden.encode" in run.stdout


def test_importing_hif8_loads_nothing_heavy():
    code = "import hif8, sys; print(*sorted(m.split('.')[0] for m in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert "numpy" in loaded
    assert not loaded & {"amaranth", "cocotb", "matplotlib", "sklearn", "numba", "torch", "typer"}


def test_every_source_file_names_its_licence():
    sources = tracked(
        "*.py", "*.vlt", "*.v", "*.sv", "*.c", "*.cpp", "*.j2", "Makefile", ".ci/run", "*.toml"
    )
    assert len(sources) > 50
    for path in sources:
        assert "SPDX-License-Identifier: Apache-2.0" in path.read_text()[:300], path


def test_no_file_names_a_machine():
    for path in tracked():
        if path.name in ("LICENSE", "requirements.lock", "test_house.py", "test_export.py"):
            continue
        text = path.read_bytes().decode(errors="ignore")
        assert not re.search(r"/(work|root|home|farm)/\w", text), path


def test_the_lock_has_hashes_and_no_host():
    text = (ROOT / "requirements.lock").read_text()
    pins = re.findall(r"(?m)^\S+==", text)
    assert len(pins) > 40
    assert "://" not in text
    assert all("--hash=sha256:" in part for part in re.split(r"(?m)^(?=\S+==)", text)[1:])


@pytest.mark.parametrize("command", [("check",), ("format", "--check")])
def test_ruff_is_content(command):
    run = subprocess.run(
        [RUFF, *command, "."], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout


def test_no_test_is_skipped_without_a_reason():
    for path in tracked("tests/*.py"):
        if path.name != "test_house.py":
            assert not re.search(r"mark\.(skip|xfail)|\bskip\(\)", path.read_text()), path
