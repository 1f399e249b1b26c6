# SPDX-License-Identifier: Apache-2.0
"""The main job's network on RTL: bit-exact, and noticed where it is not."""

from hif8 import demo
from hif8.sim import verify


def test_the_digits_network_is_bit_exact_on_rtl(builds):
    result = demo.classify(builds)
    assert result.bit_exact
    # Images 397 x 64 and 64 x 32 weights, hidden 397 x 32 and 32 x 10 weights; then all again.
    assert result.encodes == 2 * (397 * 64 + 64 * 32 + 397 * 32 + 32 * 10)
    assert result.decodes == 40_480
    assert result.products == 397 * (64 * 32 + 32 * 10)
    assert result.images == 397
    assert result.accuracy_hif8 > 0.9


def test_a_faulty_multiplier_is_noticed(builds, monkeypatch):
    right = verify.exported

    def wrong(unit):
        text = right(unit)
        assert unit.name != "multiplier" or text.count("} * {") == 1
        return text.replace("} * {", "} + {")

    monkeypatch.setattr(verify, "exported", wrong)
    assert not demo.classify(builds).bit_exact
