# SPDX-License-Identifier: Apache-2.0
"""The main job's network on RTL: bit-exact, and noticed where it is not."""

import pytest
from conftest import need
from hif8 import demo
from hif8.sim import verify

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def result(builds):
    need(demo.SIMULATOR)
    return demo.classify(builds)


def test_the_digits_network_is_bit_exact_on_rtl(result):
    assert result.bit_exact
    # Images 397 x 64 and 64 x 32 weights, hidden 397 x 32 and 32 x 10 weights; then all again.
    assert result.encodes == 2 * (397 * 64 + 64 * 32 + 397 * 32 + 32 * 10)
    assert result.decodes == 40_480
    assert result.products == 397 * (64 * 32 + 32 * 10)
    # 50 x 4 and 50 x 2 tiles of 8 x 8, a beat for each of 64 and 32 products of a sum.
    assert result.tiles == 50 * (4 + 2)
    beats = 50 * (4 * 64 + 2 * 32)
    assert beats < result.cycles < 1.01 * beats
    assert result.images == 397


def test_hif8_classifies_as_well_as_fp32_to_within_half_a_point(result):
    assert result.accuracy_fp32 > 0.95
    assert abs(result.accuracy_hif8 - result.accuracy_fp32) < 0.005


def test_a_faulty_engine_is_noticed(builds, monkeypatch):
    need(demo.SIMULATOR)
    right = verify.exported

    def wrong(unit):
        text, product = right(unit), "half_5_5_product = a[9] ^ b[9]"
        assert unit != demo.ENGINE or text.count(product) == 1
        return text.replace(product, product.replace("^", "&"))

    monkeypatch.setattr(verify, "exported", wrong)
    assert not demo.classify(builds).bit_exact
