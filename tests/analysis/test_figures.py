# SPDX-License-Identifier: Apache-2.0
"""All figures are built, whole, the same every time.

Imports hif8.analysis.
"""

import csv
import re
from pathlib import Path

import pytest
from hif8 import files
from hif8.analysis import code_map, figures
from hif8.analysis.figures import FIGURES

NAMES = pytest.mark.parametrize("name", FIGURES)


def test_build_writes_picture_and_data_of_every_figure(built: Path) -> None:
    expected = {f"{name}{suffix}" for name in FIGURES for suffix in (".svg", ".png", ".csv")}
    expected -= {"mac_timing.png"}
    assert {path.name for path in built.iterdir()} == expected | {figures.INDEX}


def test_build_twice_gives_equal_bytes(built: Path, tmp_path: Path) -> None:
    paths = figures.build(tmp_path)
    assert len(paths) == len(list(built.iterdir())) > 3 * len(FIGURES) - 1
    for path in paths:
        assert path.read_bytes() == (built / path.name).read_bytes(), path.name


def test_the_gallery_of_the_readme_equals_fresh_drawings(tmp_path: Path) -> None:
    """If not: python -c 'from hif8.analysis import figures; figures.draw_gallery()'."""
    fresh = figures.draw_gallery(tmp_path)
    assert sorted(path.name for path in fresh) == sorted(p.name for p in figures.GALLERY.iterdir())
    for path in fresh:
        assert (figures.GALLERY / path.name).read_bytes() == path.read_bytes(), path.name


@NAMES
def test_csv_has_a_line_per_row(name: str, built: Path) -> None:
    rows = FIGURES[name].module.compute()
    with (built / f"{name}.csv").open(newline="") as file:
        header, *lines = csv.reader(file)
    assert header == list(rows[0]._fields)
    assert lines == [["" if cell is None else str(cell) for cell in row] for row in rows]


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
