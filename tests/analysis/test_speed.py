# SPDX-License-Identifier: Apache-2.0
"""The table of speeds has its rows and units; no time is asserted.

Imports hif8.analysis.speed, hif8.golden.kernels and rich.
"""

import io
import sys
from collections.abc import Iterator

import pytest
from hif8.analysis import speed
from hif8.golden import kernels
from rich.console import Console

OPERATIONS = [
    "copy",
    "hif8 encode TA, NumPy",
    "hif8 encode HR, NumPy",
    "hif8 decode, NumPy",
    "hif8 encode TA, compiled",
    "hif8 encode HR, compiled",
    "hif8 decode, compiled",
    "en_dtypes hifloat8 astype",
    "en_dtypes hifloat8 back",
    "ml_dtypes float8_e4m3fn astype",
    "ml_dtypes float8_e4m3fn back",
    "ml_dtypes float8_e5m2 astype",
    "ml_dtypes float8_e5m2 back",
    "gfloat ocp_e4m3 encode",
    "gfloat ocp_e4m3 decode",
    "NumPy matmul float32",
    "hif8 matmul exact",
    "hif8 matmul fp32",
    "hif8 matmul fused, 8 lanes",
]


MATRIX = 64


@pytest.fixture(scope="module", autouse=True)
def small_matrices() -> Iterator[None]:
    """Let matrices be as large as a test needs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speed, "MATRIX", MATRIX)
        yield


@pytest.fixture(scope="module")
def rows() -> list[speed.Row]:
    return speed.measure(10_000, repeats=2)


def printed(rows: list[speed.Row]) -> list[str]:
    text = io.StringIO()
    Console(file=text, width=120).print(speed.table(rows))
    return text.getvalue().splitlines()


def test_measure_has_a_row_for_every_operation(rows: list[speed.Row]) -> None:
    assert [row.operation for row in rows] == OPERATIONS


def test_measure_times_every_operation_on_every_element(rows: list[speed.Row]) -> None:
    assert [row.elements for row in rows] == [10_000] * 15 + [MATRIX**2] * 4
    assert all(row.ns_per_element > 0 for row in rows)


def test_measure_has_the_extra_memory_of_hif8_alone(rows: list[speed.Row]) -> None:
    measured = [row.operation for row in rows if row.extra_bytes is not None]
    assert measured == OPERATIONS[1:7]
    assert all(0 <= row.extra_bytes < 10_000_000 for row in rows if row.operation in measured)


def test_matmul_is_compared_with_float32(rows: list[speed.Row]) -> None:
    numpy, *others = (row for row in rows if "matmul" in row.operation)
    assert numpy.note == f"{MATRIX} x {MATRIX} x {MATRIX}"
    for row in others:
        ratio = row.ns_per_element / numpy.ns_per_element
        assert row.note == f"{ratio:.1f} x NumPy matmul float32"
    assert len(others) == 3


def test_gfloat_is_given_fewer_elements_and_its_rows_say_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(speed, "GFLOAT_ELEMENTS", 1_000)
    rows = [row for row in speed.measure(10_000, repeats=1) if row.operation.startswith("gfloat")]
    assert [row.elements for row in rows] == [1_000, 1_000]
    assert [row.note for row in rows] == ["on 1,000 elements"] * 2


@pytest.mark.parametrize("library", ["en_dtypes", "gfloat"])
def test_a_missing_library_has_rows_that_say_so(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    rows = speed.measure(100, repeats=1)
    assert [row.operation for row in rows] == OPERATIONS
    missing = [row for row in rows if row.note == "not installed"]
    assert [row.operation.split()[0] for row in missing] == [library] * 2
    assert all(row.ns_per_element is None and row.elements == 0 for row in missing)
    assert sum("not installed" in line for line in printed(rows)) == 2


def test_without_numba_the_compiled_rows_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "compiled", lambda: None)
    rows = speed.measure(100, repeats=1)
    assert [row.operation for row in rows] == OPERATIONS
    missing = [row.operation for row in rows if row.note == "not installed"]
    assert missing == [operation for operation in OPERATIONS if operation.endswith("compiled")]


def test_table_has_a_line_for_every_row_and_units_in_its_heads(rows: list[speed.Row]) -> None:
    table = speed.table(rows)
    assert table.row_count == 19
    heads = [str(column.header) for column in table.columns]
    assert heads == ["operation", "elements", "ns/element", "extra KB", "note"]
    lines = printed(rows)
    for row in rows:
        line = next(line for line in lines if row.operation in line)
        assert f"{row.elements:,}" in line
        assert f"{row.ns_per_element:.2f}" in line


@pytest.mark.parametrize(
    ("arguments", "name"), [((0, 1), "elements"), ((-5, 1), "elements"), ((10, 0), "repeats")]
)
def test_measure_refuses_to_measure_nothing(arguments: tuple[int, int], name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must be positive, not -?\d+$"):
        speed.measure(*arguments)
