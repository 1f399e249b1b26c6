# SPDX-License-Identifier: Apache-2.0
"""What is captured of a model is what it multiplied, and the hardware multiplies it too."""

import numpy as np
import pytest
import torch
from hif8.analysis.training.capture import capture_gemms
from hif8.analysis.training.casts import Cast
from hif8.analysis.training.configs import HIF8, CastConfig
from hif8.analysis.training.convert import convert_to_hif8_training
from hif8.analysis.training.layers import MatMul
from hif8.analysis.training.recipes import PerTensorScaling
from hif8.golden.decode import decode
from torch import nn
from torch.nn import functional


def everything(_part, _name):
    return True


def values(gemm):
    return [
        torch.from_numpy(decode(codes) * np.float32(2.0**scale))
        for codes, scale in zip((gemm.a, gemm.b), gemm.scales, strict=True)
    ]


@pytest.mark.parametrize("config", [HIF8, CastConfig(Cast(), Cast(), PerTensorScaling())])
def test_products_of_a_linear_layer_are_its_output_and_its_gradients(config):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 3))
    convert_to_hif8_training(model, config=config)
    x = torch.randn(4, 6, requires_grad=True)
    with capture_gemms(model) as captured:
        y = model[0](x)
        (y**2).sum().backward()
    forward, dw, dx = (a @ b for a, b in map(values, captured.gemms))
    assert [gemm.direction for gemm in captured.gemms] == ["forward", "backward", "backward"]
    assert {gemm.name for gemm in captured.gemms} == {"0"}
    near = {"rtol": 1e-5, "atol": 1e-6}
    assert torch.allclose(forward + model[0].bias, y, **near)
    assert torch.allclose(dw, model[0].weight.grad, **near)
    assert torch.allclose(dx, x.grad, **near)


LAYERS = {
    "conv1d": (lambda: nn.Conv1d(4, 6, 3, padding=1, groups=2, bias=False), (2, 4, 7)),
    "conv2d": (
        lambda: nn.Conv2d(4, 6, 3, stride=2, dilation=2, groups=2, bias=False),
        (3, 4, 9, 8),
    ),
    "transpose1d": (lambda: nn.ConvTranspose1d(3, 4, 3, padding=1, bias=False), (2, 3, 5)),
    "transpose2d": (
        lambda: nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2, bias=False),
        (2, 4, 3, 3),
    ),
}


def folded(columns, image, layer):
    """Return what columns of kernel places add up to: the image that they were taken of."""
    columns = columns.reshape(columns.shape[0], len(image), -1).transpose(0, 1)
    flat = image.dim() == 3

    def both(sizes, first):
        return [first, *sizes] if flat else list(sizes)

    how = (both(layer.dilation, 1), both(layer.padding, 0), both(layer.stride, 1))
    size, kernel = both(image.shape[2:], 1), both(layer.kernel_size, 1)
    return functional.fold(columns, size, kernel, *how).reshape(image.shape)


@pytest.mark.parametrize("kind", LAYERS)
def test_products_of_convolutions_are_their_outputs_and_gradients(kind):
    make, shape = LAYERS[kind]
    torch.manual_seed(2)
    layer, x = make(), torch.randn(shape, requires_grad=True)
    convert_to_hif8_training(layer)
    with capture_gemms(layer) as captured:
        y = layer(x)
        y.backward(torch.randn_like(y))
    made = [a @ b for a, b in map(values, captured.gemms)]
    groups = layer.groups
    assert len(made) == 3 * groups
    forward, dx, dw = (torch.cat(made[k * groups : (k + 1) * groups]) for k in range(3))
    near = {"rtol": 1e-4, "atol": 1e-4}
    assert torch.allclose(dw.reshape(layer.weight.shape), layer.weight.grad, **near)
    flat, image = (y, x.grad) if not layer.transposed else (x.grad, y)
    across, fold = (forward, dx) if not layer.transposed else (dx, forward)
    places = across.reshape(flat.shape[1], flat.shape[0], -1).transpose(0, 1)
    assert torch.allclose(places.reshape(flat.shape), flat, **near)
    assert torch.allclose(folded(fold, image, layer), image, **near)


def test_batches_are_captured_one_by_one():
    layer = convert_to_hif8_training(MatMul())
    a, b = torch.randn(3, 2, 4, requires_grad=True), torch.randn(3, 4, 5)
    with capture_gemms(layer) as captured:
        y = layer(a, b)
        y.sum().backward()
    assert len(captured.gemms) == 6
    for k in range(3):
        left, right = values(captured.gemms[k])
        assert torch.allclose(left @ right, y[k], atol=1e-5)
    with capture_gemms(layer, batch=2) as captured:
        layer(a, b)
    assert len(captured.gemms) == 2


def test_what_is_not_hif8_is_left_out_and_counted(tmp_path):
    model = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 3))
    convert_to_hif8_training(model, config=CastConfig.named("e4m3"))
    with (
        pytest.raises(ValueError, match=r"would hold no GEMM"),
        capture_gemms(model, tmp_path / "gemms.npz") as captured,
    ):
        model(torch.randn(4, 6)).sum().backward()
    assert captured.gemms == []
    assert captured.left_out == 5
