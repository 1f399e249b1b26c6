# SPDX-License-Identifier: Apache-2.0
"""What a result is made of changes if, and only if, what is behind it does."""

from pathlib import Path

import pytest
from hif8.analysis import origin

MODULE = "hif8.analysis.snr_figure"


def test_digest_depends_on_what_is_imported_from_far_and_on_nothing_else(monkeypatch):
    same = origin.digest(MODULE)
    read = Path.read_bytes

    def changed(name):
        monkeypatch.setattr(
            Path, "read_bytes", lambda path: read(path) + b"#" * (path.name == name)
        )
        return origin.digest(MODULE) != same

    assert changed("snr_figure.py")
    assert changed("format.py")  # golden's, three imports away
    assert not changed("hybrid.py")
    assert not changed("encoder.py")


def test_digest_depends_on_data_and_versions(tmp_path, monkeypatch):
    path = tmp_path / "data.json"
    path.write_text("1")
    plain, first = origin.digest(MODULE), origin.digest(MODULE, [path])
    path.write_text("2")
    assert len({plain, first, origin.digest(MODULE, [path])}) == 3
    monkeypatch.setattr(origin, "_versions", lambda: "numpy==0")
    assert origin.digest(MODULE) != plain


def test_digest_of_data_that_is_missing_is_an_oserror(tmp_path):
    with pytest.raises(OSError, match="absent"):
        origin.digest(MODULE, [tmp_path / "absent"])
