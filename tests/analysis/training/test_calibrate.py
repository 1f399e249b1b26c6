# SPDX-License-Identifier: Apache-2.0
"""Calibration finds the scales that a search of all pairs finds, layer by layer."""

import copy

import numpy as np
import pytest
import torch
from hif8.analysis.training.calibrate import calibrate_
from hif8.analysis.training.configs import CastConfig
from hif8.analysis.training.convert import convert_to_hif8_training, gemms
from hif8.golden import nearest
from torch import nn


def everything(_part, _name):
    return True


def model_of(scales):
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 5)
    )
    with torch.no_grad():
        for layer, scale in zip(model[::2], scales, strict=True):
            layer.weight.mul_(scale)
    return model


def brute_force(model, x, name):
    """Algorithm 1 in NumPy, with golden's casts, for a chain of linear layers."""

    def cast(values, scale):
        return nearest.quantize(values.astype(np.float64) * scale, name, saturate=True) / scale

    exact = quantized = x.numpy()
    chosen = []
    for k in (0, 2, 4):
        weight = model[k].weight.detach().numpy()
        bias = model[k].bias.detach().numpy()
        after = model[k + 1] if k < 4 else nn.Identity()
        target = exact @ weight.T
        best = None
        for a in range(-4, 6):
            for b in range(-4, 6):
                y = cast(quantized, 2.0**a) @ cast(weight, 2.0**b).T
                error = np.mean((y - target) ** 2)
                rank = (error, abs(a), a, abs(b), b)
                if best is None or rank < best[0]:
                    best = rank, (2.0**a, 2.0**b), y
        chosen.append(best[1])
        quantized = after(torch.from_numpy((best[2] + bias).astype(np.float32))).numpy()
        exact = after(torch.from_numpy((target + bias).astype(np.float32))).numpy()
    return chosen


@pytest.mark.parametrize("name", ["hif8", "e4m3", "e5m2"])
@pytest.mark.parametrize("scales", [(1, 1, 1), (0.05, 30, 0.01), (20, 0.1, 400)])
def test_calibration_equals_a_search_of_all_pairs(name, scales):
    model, x = model_of(scales), torch.randn(64, 16) * 0.3
    expected = brute_force(model, x, name)
    config = CastConfig.named("hif8_ta" if name == "hif8" else name)
    converted = convert_to_hif8_training(
        copy.deepcopy(model), module_filter_fn=everything, config=config
    )
    chosen = calibrate_(converted, x)
    assert [tuple(pair) for pair in chosen.values()] == expected
    assert list(chosen) == ["0", "2", "4"]


def test_a_calibrated_model_uses_its_scales_and_errs_less():
    model, x = model_of((0.05, 30, 0.01)), torch.randn(64, 16)
    wanted = model(x)
    convert_to_hif8_training(model, module_filter_fn=everything, config=CastConfig.named("hif8_ta"))
    before = (model(x) - wanted).square().mean()
    chosen = calibrate_(model, x)
    assert {name: gemm.factors for name, gemm in gemms(model).items()} == {
        name: pair._asdict() for name, pair in chosen.items()
    }
    assert (model(x) - wanted).square().mean() < before


def test_calibration_needs_a_converted_model():
    with pytest.raises(ValueError, match=r"^model must be converted first"):
        calibrate_(nn.Linear(2, 2), torch.zeros(1, 2))
