# SPDX-License-Identifier: Apache-2.0
"""All figures are built, whole, the same every time.

Imports hif8.analysis.
"""

import csv
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hif8 import files
from hif8.analysis import code_map, figures
from hif8.analysis.figures import FIGURES

NAMES = pytest.mark.parametrize("name", FIGURES)
COMPUTED_AGAIN = [name for name in FIGURES if name not in ("accumulation", "ptq", "rounding")]
"""Those that are computed in less than half a second."""
DRAWN_AGAIN = {name: figure.pictures[:1] for name, figure in FIGURES.items()}
DRAWN_AGAIN["precision"] = FIGURES["precision"].pictures
"""The pictures that are drawn twice: all SVGs, and one PNG."""


def test_build_writes_picture_and_data_of_every_figure(built: Path) -> None:
    expected = {
        f"{name}{suffix}" for name in FIGURES for suffix in (".svg", ".png", ".csv", ".json")
    }
    expected -= {"mac_timing.png"}
    assert {path.name for path in built.iterdir()} == expected


@NAMES
def test_a_second_drawing_has_equal_bytes_and_a_line_of_data_per_row(
    name: str, built: Path, rows_of: Callable, tmp_path: Path
) -> None:
    rows = rows_of(name)
    with (built / f"{name}.csv").open(newline="") as file:
        header, *lines = csv.reader(file)
    assert header == list(rows[0]._fields)
    assert lines == [["" if cell is None else str(cell) for cell in row] for row in rows]
    for suffix in DRAWN_AGAIN[name]:
        picture = tmp_path / f"{name}{suffix}"
        FIGURES[name].module.draw(rows, picture)
        assert picture.read_bytes() == (built / picture.name).read_bytes(), suffix


@pytest.mark.parametrize("name", COMPUTED_AGAIN)
def test_a_second_computation_has_equal_rows(name: str, built: Path, tmp_path: Path) -> None:
    data = files.write_csv(tmp_path / f"{name}.csv", FIGURES[name].module.compute())
    assert data.read_bytes() == (built / data.name).read_bytes()


def test_build_draws_again_only_what_changed(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    drawn: list[str] = []
    before = {path.name: path.read_bytes() for path in built.iterdir()}
    figures.build(tmp_path, step=drawn.append)
    assert drawn == []
    (tmp_path / "snr.png").unlink()
    texts = json.loads((tmp_path / "hybrid.json").read_text())
    (tmp_path / "hybrid.json").write_text(json.dumps(texts | {"made_of": "something else"}))
    (tmp_path / "code_map.json").write_text("damaged")
    renamed = replace(FIGURES["precision"], title="Another title")
    monkeypatch.setitem(FIGURES, "precision", renamed)
    figures.build(tmp_path, step=drawn.append)
    assert drawn == [FIGURES[name].title for name in ("code_map", "hybrid", "snr")]
    assert figures.read(tmp_path)[0]["title"] == "Another title"
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    del before["precision.json"], after["precision.json"]
    assert after == before


def test_the_gallery_of_the_readme_equals_fresh_drawings(built: Path) -> None:
    """If not: python -c 'from hif8.analysis import figures; figures.draw_gallery()'."""
    names = sorted(path.name for path in figures.GALLERY.iterdir())
    assert names == sorted(f"{name}.svg" for name in figures.GALLERY_FIGURES)
    for name in names:
        assert (figures.GALLERY / name).read_bytes() == (built / name).read_bytes(), name


def test_a_gallery_is_drawn_of_the_figures_that_it_names(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "GALLERY_FIGURES", ("mac_timing", "mac_blocks"))
    paths = figures.draw_gallery(tmp_path)
    assert [path.name for path in paths] == ["mac_timing.svg", "mac_blocks.svg"]
    for path in paths:
        assert path.read_bytes() == (built / path.name).read_bytes(), path.name


@NAMES
def test_svg_names_no_date_no_version_and_no_address_to_load(name: str, built: Path) -> None:
    svg = (built / f"{name}.svg").read_text()
    assert "Matplotlib" not in svg
    assert "metadata" not in svg
    assert set(re.findall(r'href="(.)', svg)) <= {"#"}


@NAMES
def test_finding_is_one_sentence_with_a_number(name: str, built: Path) -> None:
    (entry,) = (entry for entry in figures.read(built) if entry["name"] == name)
    assert entry["finding"].endswith(".")
    assert re.search(r"\d", entry["finding"])
    assert entry["svg"].startswith(b"<?xml")
    assert entry["alt"] != entry["caption"] != entry["title"]
    assert len(entry["alt"]) > 80


def test_code_map_counts_what_the_codes_are() -> None:
    text = code_map.finding(code_map.compute())
    assert "Of 256 codes 238 are normal" in text
    assert "14 are denormal" in text


def test_build_into_no_folder_is_an_oserror(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        figures.build(tmp_path / "file" / "figures")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_broken_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = files.write(tmp_path / "a.txt", b"old")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        files.write(path, b"new")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.txt", b"old")]
