# SPDX-License-Identifier: Apache-2.0
"""Files of matrix products come back as they were, and a wrong one is refused in a line."""

import numpy as np
import pytest
from hif8.golden.gemms import Gemm, load, save

RNG = np.random.default_rng(1)


def codes(*shape):
    return RNG.integers(0, 256, shape).astype(np.uint8)


GEMMS = [
    Gemm("hidden", "forward", codes(3, 4), codes(4, 5)),
    Gemm("attention.scores", "backward", codes(1, 7), codes(7, 1), (-3, 2)),
]


def test_products_come_back_as_they_were(tmp_path):
    path = save(tmp_path / "gemms.npz", GEMMS)
    found = load(path)
    assert len(found) == len(GEMMS)
    for got, wanted in zip(found, GEMMS, strict=True):
        assert (got.name, got.direction, got.scales) == (
            wanted.name,
            wanted.direction,
            wanted.scales,
        )
        assert np.array_equal(got.a, wanted.a)
        assert np.array_equal(got.b, wanted.b)
        assert got.a.dtype == got.b.dtype == np.uint8
    assert [gemm.products for gemm in found] == [60, 7]


def changed(path, **arrays):
    with np.load(save(path, GEMMS)) as file:
        whole = dict(file) | arrays
    np.savez(path, **{name: array for name, array in whole.items() if array is not None})


WRONG = {
    "must be of version 1, not 2": {"hif8_gemms": np.array(2)},
    "is damaged or no file of GEMMs: it must be one of capture_gemms": {"hif8_gemms": None},
    "lacks names, directions, scales$": {"names": None, "directions": None, "scales": None},
    "lacks b1": {"b1": None},
    "lacks any GEMM": {"names": np.array([], str)},
    "must have a direction and scales for each": {"directions": np.array(["forward"])},
    "direction 0 must be forward or backward, not 'up'": {
        "directions": np.array(["up", "forward"])
    },
    "a0 must be integers of dtype uint8, not 'float64'": {"a0": np.zeros((3, 4))},
    "a0 must be in 0..255, not 256": {"a0": np.full((3, 4), 256)},
    r"a0 and b0 of \(3, 5\) and \(4, 5\) are no matrix product": {"a0": codes(3, 5)},
    r"a1 and b1 of \(7,\) and \(7, 1\) are no matrix product": {"a1": codes(7)},
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_file_is_refused_in_a_line(tmp_path, line):
    path = tmp_path / "gemms.npz"
    changed(path, **WRONG[line])
    with pytest.raises(ValueError, match=line) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"not a file of arrays", b"\x80\x04K\x01."]
)
def test_a_file_of_another_kind_is_refused_in_a_line(tmp_path, content):
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"other is damaged or no file of GEMMs"):
        load(path)


def test_one_array_is_no_file_of_products(tmp_path):
    np.save(tmp_path / "a.npy", codes(3, 3))
    with pytest.raises(ValueError, match=r"is damaged or no file of GEMMs"):
        load(tmp_path / "a.npy")


def test_nothing_is_not_written(tmp_path):
    with pytest.raises(ValueError, match=r"would hold no GEMM: none was captured"):
        save(tmp_path / "gemms.npz", [])
