# SPDX-License-Identifier: Apache-2.0
"""Files: what is read is right or refused in a line, what is written is whole."""

import numpy as np
import pytest
from hif8 import files


def test_an_array_survives(tmp_path):
    array = np.arange(6, dtype=np.float16).reshape(2, 3)
    back = files.load_array(files.save_array(tmp_path / "a.npy", array))
    assert back.dtype == array.dtype
    assert np.array_equal(back, array)


def bad_files(folder):
    (folder / "empty.npy").write_bytes(b"")
    (folder / "text.npy").write_text("1 2 3")
    np.save(folder / "objects.npy", np.array([1, None], object), allow_pickle=True)
    np.save(folder / "nothing.npy", np.zeros((0, 3), np.float32))
    np.savez(folder / "several.npz", a=np.zeros(2), b=np.zeros(3))
    whole = folder / "whole.npy"
    np.save(whole, np.zeros(1000, np.float32))
    (folder / "torn.npy").write_bytes(whole.read_bytes()[:-9])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty.npy", "is empty"),
        ("text.npy", "is damaged or no .npy file"),
        ("objects.npy", "holds objects"),
        ("nothing.npy", "holds no element"),
        ("several.npz", "holds several arrays"),
        ("torn.npy", "is damaged or no .npy file"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path, name, message):
    bad_files(tmp_path)
    with pytest.raises(ValueError, match=message) as error:
        files.load_array(tmp_path / name)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = files.write(tmp_path / "a.txt", b"old")
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        files.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
