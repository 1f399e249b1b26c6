# SPDX-License-Identifier: Apache-2.0
"""What `hif8 analyze` prints and writes is what was measured; a large file needs little memory.

Imports hif8.analysis.
"""

import csv
import io
import subprocess
import sys

import numpy as np
import pytest
from hif8.analysis import tensor_files, tensor_table, tensors
from hif8.analysis.formats import EIGHT_BITS
from rich.console import Console

LARGE = 512
MOST = 250
"""In MB: of a file, and of the process that analyzes it, the interpreter and its modules included.
"""


def printed(table) -> list[list[str]]:
    """Return the cells of a table's lines."""
    console = Console(width=200, file=io.StringIO())
    console.print(table)
    lines = console.file.getvalue().splitlines()
    return [line.strip().split("   ") for line in lines if line.strip() and "─" not in line]


@pytest.fixture
def found(tmp_path):
    """Return a file of two tensors that count and one that does not."""
    x = np.random.default_rng(1).standard_normal((30, 40)).astype(np.float32)
    y = np.array([1, 2.0**20, 2.0**-30, np.nan, np.inf, -np.inf, 0, 1.0625])
    np.savez(tmp_path / "a.npz", x=x, y=y, ids=np.arange(3))
    return tensor_files.look(tmp_path / "a.npz")


def test_all_chunks_are_counted_and_told(found, monkeypatch):
    monkeypatch.setattr(tensor_files, "CHUNK", 500)
    told = []
    summary = tensor_table.measure(found, lambda *how: told.append(how))
    assert told == [("x", 500), ("x", 500), ("x", 200), ("y", 8)]
    alone = [tensors.of_array(stored.name, stored.read()) for stored in found.tensors]
    assert summary.fields == tensors.joined(alone).fields
    assert len(summary.rows) == 2 * len(EIGHT_BITS)


def test_tables_have_a_line_a_tensor_and_one_for_all(found):
    summary = tensor_table.measure(found, lambda *_: None)
    ratios, codes = map(printed, tensor_table.tables(summary))
    for table in (ratios, codes):
        assert [line[0].strip() for line in table] == ["tensor", "x", "y", "all tensors"]
    by = {(row.tensor, row.format): row for row in summary.rows}
    for line in ratios[1:3]:
        cells = [cell.strip() for cell in line[1:] if cell.strip()]
        assert cells[0] == f"{by[line[0].strip(), 'hif8'].values:,}"
        expected = [by[line[0].strip(), name] for name in EIGHT_BITS]
        assert cells[1:] == [f"{row.snr_db:.1f} · {row.scaled_db:.1f}" for row in expected]
    cells = [cell.strip() for cell in codes[2] if cell.strip()]
    # Five finite values: 1, 1.0625 (to 1.125), 2^20 (to 2^15), and two that are or become zero.
    assert cells[2:] == ["40.0", "-", "-", "-", "20.0", "-", "40.0", "1", "1", "1", "2"]


def test_one_tensor_has_no_line_for_all(tmp_path):
    np.save(tmp_path / "a.npy", np.float32([0.5, 1.5]))
    found = tensor_files.look(tmp_path / "a.npy")
    ratios, codes = tensor_table.tables(tensor_table.measure(found, lambda *_: None))
    for table in (ratios, codes):
        assert [line[0].strip() for line in printed(table)] == ["tensor", "a.npy"]
    assert "exact · exact" in " ".join(printed(ratios)[1])


def test_what_is_left_out_is_said(found, tmp_path):
    summary = tensor_table.measure(found, lambda *_: None)
    texts = tensor_table.texts(tmp_path / "a.npz", found, summary)
    path = tmp_path / "a.npz"
    assert texts[:2] == [
        f"{path}: ids left out, int64",
        f"{path}: y has 1 NaN and 2 infinite values, which no ratio takes in",
    ]
    assert tuple(texts[2:]) == tensor_table.NOTES


def test_lists_are_saved_as_csv_with_two_figures(found, tmp_path):
    summary = tensor_table.measure(found, lambda *_: None)
    paths = tensor_table.save(summary, tmp_path / "out")
    assert sorted(path.name for path in paths) == [
        "binades.csv",
        "binades.png",
        "binades.svg",
        "dot_fields.csv",
        "ratios.csv",
        "ratios.png",
        "ratios.svg",
    ]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in paths}
    lists = {"ratios": summary.rows, "dot_fields": summary.fields, "binades": summary.binades}
    for name, rows in lists.items():
        with (tmp_path / "out" / f"{name}.csv").open(newline="") as file:
            header, *lines = csv.reader(file)
        assert header == list(rows[0]._fields)
        assert lines == [["" if cell is None else str(cell) for cell in row] for row in rows]


def test_no_ratio_is_minus_nothing(tmp_path):
    np.save(tmp_path / "a.npy", np.float32([0.1, 0.2, 1 / 3]))
    found = tensor_files.look(tmp_path / "a.npy")
    [_, line] = printed(tensor_table.tables(tensor_table.measure(found, lambda *_: None))[0])
    assert line[-1].strip().startswith("0.0 · ")


@pytest.mark.parametrize("array", [np.zeros(4), np.float64([np.nan]), np.float64([1e300, 1e-300])])
def test_odd_tensors_are_shown_and_drawn(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    found = tensor_files.look(tmp_path / "a.npy")
    summary = tensor_table.measure(found, lambda *_: None)
    assert len(printed(tensor_table.tables(summary)[0])) == 2
    written = tensor_table.save(summary, tmp_path / "out")
    assert ("binades.csv" in {path.name for path in written}) == bool(summary.binades)


def test_a_large_file_needs_little_memory(tmp_path):
    path = tmp_path / "large.npy"
    block = np.random.default_rng(2).standard_normal(1 << 18).astype(np.float32).tobytes()
    with path.open("wb") as file:
        head = {"descr": "<f4", "fortran_order": False, "shape": (LARGE, 1 << 18)}
        np.lib.format.write_array_header_1_0(file, head)
        for _ in range(LARGE):
            file.write(block)
    command = [sys.executable, "-c", "import sys; from hif8.cli import main; sys.exit(main())"]
    limited = [*command, "analyze", str(path)]
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
        "print('peak', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *limited], capture_output=True, text=True, check=True
    )
    path.unlink()
    assert f"{LARGE << 18:,}" in run.stdout
    peak = int(run.stdout.split()[-1]) / 1024
    assert 20 < peak < MOST < LARGE
