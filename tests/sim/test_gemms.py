# SPDX-License-Identifier: Apache-2.0
"""Captured matrix products through a simulated MAC: which of them are run, and all of those."""

import re

import numpy as np
import pytest
from conftest import need
from hif8.golden.gemms import Gemm, save
from hif8.golden.matmul import matmul
from hif8.hdl.baselines import ROWS
from hif8.hdl.configs import UNITS
from hif8.sim import gemms, verify

RNG = np.random.default_rng(1)
MAC = UNITS["mac_exact"]


def codes(*shape):
    return RNG.integers(0, 256, shape).astype(np.uint8)


GEMMS = [
    Gemm("hidden", "forward", codes(6, 33), codes(33, 5)),
    Gemm("hidden", "backward", codes(4, 7), codes(7, 3), (-2, 1)),
    Gemm("head", "backward", codes(2, 33), codes(33, 1)),
]


@pytest.fixture
def path(tmp_path):
    return save(tmp_path / "gemms.npz", GEMMS)


def test_small_files_are_run_whole(path):
    chosen = gemms.read(path, MAC, seed=1)
    assert chosen.gemms == {"forward": 1, "backward": 2}
    assert chosen.sums == 30 + 12 + 2
    assert chosen.products == 32 * 33 + 12 * 7
    short, long = gemms.groups(chosen.tensors)
    assert [pair.shape for pair in (*short, *long)] == [(12, 7)] * 2 + [(32, 33)] * 2
    products = matmul(GEMMS[0].a, GEMMS[0].b).ravel()
    for k in range(30):
        assert np.array_equal(
            matmul(long[0][k : k + 1], long[1][k][:, None])[0, 0], products[k], equal_nan=True
        )


def test_of_large_files_each_product_has_an_equal_share(path):
    chosen = gemms.read(path, MAC, seed=1, products=210)
    assert chosen.sums == 2 + 10 + 2
    assert chosen.products == 4 * 33 + 10 * 7
    again = gemms.read(path, MAC, seed=1, products=210)
    other = gemms.read(path, MAC, seed=2, products=210)
    assert all(np.array_equal(again.tensors[name], x) for name, x in chosen.tensors.items())
    assert any(not np.array_equal(other.tensors[name], x) for name, x in chosen.tensors.items())


@pytest.mark.parametrize("name", ["mac_exact", "mac_fp32_i3", "dot4_fp32"])
def test_units_compute_the_dot_products_bit_by_bit(name, path, builds):
    need("verilator")
    unit = UNITS[name]
    chosen = gemms.read(path, unit, seed=1)
    verdict, outputs = verify.run(
        unit, "verilator", root=builds, tensors=chosen.tensors, cases=chosen.sums
    )
    assert verdict.status == "pass", verdict.note
    assert verdict.cases == verdict.expected == chosen.sums == len(outputs["sum"])


def test_a_wrong_circuit_is_noticed(path, tmp_path):
    need("icarus")
    text, count = re.subn(r"(sum_4_4_product_0 = .*) \^", r"\1 &", verify.exported(MAC))
    assert count == 1
    chosen = gemms.read(path, MAC, seed=1)
    how = {"tensors": chosen.tensors, "cases": chosen.sums, "text": text}
    verdict, _ = verify.run(MAC, "icarus", root=tmp_path, **how)
    assert verdict.status == "fail"
    assert verdict.cases == chosen.sums
    assert 0 < verdict.mismatches <= chosen.sums
    assert verdict.first["expected"] != verdict.first["got"]


def test_other_units_are_refused_in_a_line(path):
    for name in ("multiplier", "matrix8x8_exact_to_fp32", "mac_fp32_e4m3"):
        with pytest.raises(ValueError, match=rf"^--gemms takes a MAC .*, not {name}$"):
            gemms.read(path, ROWS[name], seed=1)


def test_sums_that_a_unit_has_no_room_for_are_refused_in_a_line(tmp_path):
    size = MAC.max_products + 1
    long = Gemm("long", "forward", np.zeros((1, size), np.uint8), np.zeros((size, 1), np.uint8))
    path = save(tmp_path / "gemms.npz", [long])
    with pytest.raises(ValueError, match=rf"long has sums of {size} products, mac_exact takes up"):
        gemms.read(path, MAC, seed=1)
