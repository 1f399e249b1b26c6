# SPDX-License-Identifier: Apache-2.0
"""Statistics count what casts did, as counted by hand."""

import math

import pytest
import torch
from hif8.analysis.training.casts import FORMATS, Cast
from hif8.analysis.training.configs import CastConfig
from hif8.analysis.training.convert import convert_to_hif8_training
from hif8.analysis.training.statistics import EXPONENTS, collecting
from torch import nn


def test_flushed_saturated_and_exponents_of_known_values():
    layer = convert_to_hif8_training(nn.Conv1d(1, 1, 1), config=CastConfig.named("hif8_ta"))
    values = [0.0, 1.0, -1.5, 2.0**-23, 2.0**-24, -(2.0**-30), 40000.0, -41000.0, 1e9, 1.1]
    with collecting("left") as found:
        layer(torch.tensor(values).view(1, 1, -1))
    (one,) = found.values()
    assert list(found) == [("", "left")]
    assert (one.values, one.nonzero, one.flushed, one.saturated) == (10, 9, 2, 2)
    assert one.flushed_share == 2 / 9
    assert one.saturated_share == 2 / 10
    binades = {EXPONENTS[k]: n for k, n in enumerate(one.exponents.tolist()) if n}
    assert binades == {0: 3, -23: 1, -24: 1, -30: 1, 15: 2, 29: 1}


def test_signal_to_noise_is_that_of_the_definition():
    torch.manual_seed(1)
    layer = convert_to_hif8_training(nn.Conv1d(1, 1, 1), config=CastConfig.named("e5m2"))
    x = torch.randn(1, 1, 1000)
    with collecting() as found:
        layer(x).sum().backward()
    noise = (Cast("e5m2")(x) - x).double().square().sum()
    expected = 10 * math.log10(x.double().square().sum() / noise)
    assert found["", "left"].sqnr == pytest.approx(expected)
    assert found["", "gradient"].sqnr == math.inf
    assert set(found) == {("", role) for role in ("left", "right", "gradient")}


@pytest.mark.parametrize("name", FORMATS)
def test_too_large_is_what_overflows(name):
    cast = Cast(name)
    last = torch.tensor(cast.beyond)
    assert cast(last).item() == cast.largest
    assert not cast(torch.nextafter(last, torch.tensor(math.inf))).isfinite()
