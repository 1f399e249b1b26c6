# SPDX-License-Identifier: Apache-2.0
"""Tensor files are read whole, chunk by chunk, as NumPy and safetensors write them, or refused.

Imports hif8.analysis.tensor_files, ml_dtypes and safetensors.
"""

import json
import random
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hif8.analysis import tensor_files
from safetensors import numpy as safetensors

FLOATS = (np.float16, ml_dtypes.bfloat16, np.float32, np.float64)
WRITERS = {
    "a.npz": np.savez,
    "b.npz": np.savez_compressed,
    "c.safetensors": lambda path, **tensors: safetensors.save_file(tensors, path),
}


def save(path: Path, x: np.ndarray) -> None:
    np.save(path, x)


def every(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return a tensor of each type, one of them of more than two chunks, one a scalar."""
    made = {np.dtype(t).name: rng.standard_normal((5, 7)).astype(t) for t in FLOATS}
    made["long"] = rng.standard_normal((3, tensor_files.CHUNK - 1)).astype(np.float16)
    made["scalar"] = np.array(2.5, np.float32)
    return made


def same(stored: tensor_files.Stored, array: np.ndarray) -> None:
    chunks = list(stored.chunks())
    assert all(chunk.ndim == 1 and 0 < chunk.size <= tensor_files.CHUNK for chunk in chunks)
    back = stored.read()
    assert back.shape == stored.shape == array.shape
    assert back.dtype == array.dtype
    assert back.tobytes() == array.tobytes()


@pytest.mark.parametrize("name", WRITERS)
def test_all_tensors_of_a_file_come_back_and_others_are_named(tmp_path, name):
    tensors = every(np.random.default_rng(1))
    others = {"ids": np.arange(9), "flags": np.array([True]), "none": np.zeros((0, 3), np.float32)}
    WRITERS[name](tmp_path / name, **tensors, **others)
    found = tensor_files.look(tmp_path / name)
    by_name = {stored.name: stored for stored in found.tensors}
    assert by_name.keys() == tensors.keys()
    for key, array in tensors.items():
        same(by_name[key], array)
    words = ["I64", "BOOL"] if name.endswith("safetensors") else ["int64", "bool"]
    assert found.skipped == dict(zip(others, [*words, "no element"], strict=True))


@pytest.mark.parametrize("dtype", [*FLOATS, ">f4", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_one_array_comes_back(tmp_path, dtype, order):
    array = np.asarray(np.arange(12).reshape(3, 4), dtype, order=order)
    np.save(tmp_path / "a.npy", array)
    [stored] = tensor_files.look(tmp_path / "a.npy").tensors
    assert stored.name == "a.npy"
    assert np.array_equal(stored.read(), array.T if order == "F" else array)


def test_archives_with_other_files_give_their_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones(3))
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
        archive.writestr("readme.txt", "hello")
    found = tensor_files.look(tmp_path / "a.npz")
    assert [stored.name for stored in found.tensors] == ["x"]
    assert found.skipped == {"readme.txt": "no array"}


def entry(**changes: object) -> bytes:
    """Return a safetensors file of one tensor of two elements, as it is or with changes."""
    said = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes
    header = json.dumps({"x": said}).encode()
    return len(header).to_bytes(8, "little") + header + np.float32([1, 2]).tobytes()


def test_safetensors_are_read_as_their_specification_says(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(entry())
    [stored] = tensor_files.look(path).tensors
    assert stored.read().tolist() == [1, 2]
    assert safetensors.load_file(path)["x"].tolist() == [1, 2]


BAD = {
    "empty.npy": (b"", "is empty"),
    "empty.npz": (b"", "is empty"),
    "empty.safetensors": (b"", "is empty"),
    "text.npy": (b"hello, world", "damaged or no .npy file"),
    "text.npz": (b"hello, world", "damaged or no .npz file"),
    "text.safetensors": (b"hello, world", "damaged or no .safetensors file"),
    "short.safetensors": (entry()[:-1], "lie in bytes 0 to 8 of 7"),
    "beyond.safetensors": (entry(data_offsets=[4, 12]), "lie in bytes 4 to 12 of 8"),
    "back.safetensors": (entry(data_offsets=[8, 0]), "lie in bytes 8 to 0"),
    "large.safetensors": (entry(shape=[3]), r"float32 of shape \(3,\) cannot be 8 bytes"),
    "minus.safetensors": (entry(shape=[-1, -2]), r"the shape of x is \(-1, -2\)"),
    "half.safetensors": (entry(shape=[0.5, 4]), r"the shape of x is \(0.5, 4\)"),
    "shapeless.safetensors": (entry(shape=None), "damaged or no .safetensors file"),
    "list.safetensors": ((2).to_bytes(8, "little") + b"[]", "damaged or no .safetensors file"),
    "none.safetensors": ((2).to_bytes(8, "little") + b"{}", "it holds no tensor"),
    "whole.safetensors": (entry(dtype="I32"), "must hold values of float16, .*; it holds I32"),
    "weights.bin": (b"hello", r"must be a .npy, .npz, .safetensors file, not '.bin'"),
}
WRITTEN = {
    "whole.npy": (lambda path: np.save(path, np.arange(3)), "it holds int64"),
    "whole.npz": (lambda path: np.savez(path, a=np.arange(3), b=[True]), "it holds int64, bool"),
    "nothing.npy": (lambda path: np.save(path, np.zeros((0, 2))), "it holds no element"),
    "complex.npy": (lambda path: np.save(path, np.zeros(3, complex)), "it holds complex128"),
    "objects.npy": (lambda path: np.save(path, np.array([None])), "it holds objects"),
    "quad.npy": (lambda path: np.save(path, np.zeros(3, np.longdouble)), "it holds (float|longd)"),
}


@pytest.mark.parametrize("name", [*BAD, *WRITTEN])
def test_a_bad_file_is_refused_in_one_line(tmp_path, name):
    path = tmp_path / name
    if name in BAD:
        content, message = BAD[name]
        path.write_bytes(content)
    else:
        write, message = WRITTEN[name]
        write(path)
    with pytest.raises(ValueError, match=message) as error:
        tensor_files.look(path)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_files_and_folders_are_an_oserror(tmp_path):
    (tmp_path / "folder.npy").mkdir()
    for name in ("missing.npz", "folder.npy"):
        with pytest.raises(OSError, match=name):
            tensor_files.look(tmp_path / name)


def read_all(path: Path) -> bool:
    """Return whether a file can be read whole; if not it is refused in one line."""
    try:
        for stored in tensor_files.look(path).tensors:
            assert sum(chunk.size for chunk in stored.chunks()) == stored.size
    except ValueError as error:
        assert path.name in str(error)
        assert "\n" not in str(error)
        return False
    return True


@pytest.mark.parametrize("name", ["x.npy", *WRITERS])
def test_a_torn_file_is_refused_wherever_it_is_torn(tmp_path, name):
    whole = tmp_path / name
    array = np.random.default_rng(2).standard_normal(40).astype(np.float32)
    WRITERS.get(name, save)(whole, x=array)
    assert read_all(whole)
    content, torn = whole.read_bytes(), tmp_path / f"torn{whole.suffix}"
    for length in range(len(content)):
        torn.write_bytes(content[:length])
        assert not read_all(torn), length


@pytest.mark.parametrize("name", ["x.npy", *WRITERS])
def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path, name):
    whole = tmp_path / name
    array = np.random.default_rng(3).standard_normal(40).astype(np.float32)
    WRITERS.get(name, save)(whole, x=array)
    content, rng, refused = whole.read_bytes(), random.Random(4), 0
    damaged = tmp_path / f"damaged{whole.suffix}"
    for _ in range(1500):
        changed = bytearray(content)
        changed[rng.randrange(len(content))] = rng.randrange(256)
        damaged.write_bytes(changed)
        refused += not read_all(damaged)
    assert refused > 300
