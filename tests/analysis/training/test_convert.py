# SPDX-License-Identifier: Apache-2.0
"""Converted layers compute what the explicit formula says, forwards and backwards."""

import numpy as np
import pytest
import torch
from hif8.analysis.training.casts import Cast
from hif8.analysis.training.configs import CONFIGS, CastConfig
from hif8.analysis.training.convert import convert_to_hif8_training, gemms, last_linear
from hif8.analysis.training.gemm import observing
from hif8.analysis.training.layers import MatMul
from torch import nn
from torch.nn import functional

FORMULA = {"rtol": 0, "atol": 1e-9}
"""How near what is summed in another order, of values near one, must be."""


def everything(_part, _name):
    return True


def cast_of(gemm, role):
    return gemm.config.backward if role == "gradient" else gemm.config.forward


LAYERS = {
    "linear": (lambda: nn.Linear(6, 5), (4, 6), functional.linear, {}),
    "conv1d": (lambda: nn.Conv1d(4, 6, 3, padding=1, groups=2), (2, 4, 7), functional.conv1d, {}),
    "conv2d": (lambda: nn.Conv2d(3, 4, 3, stride=2), (2, 3, 9, 9), functional.conv2d, {}),
    "transpose1d": (
        lambda: nn.ConvTranspose1d(3, 4, 3, stride=2, output_padding=1),
        (2, 3, 5),
        functional.conv_transpose1d,
        {"output_padding": 1},
    ),
    "transpose2d": (
        lambda: nn.ConvTranspose2d(3, 4, 2, stride=2),
        (2, 3, 4, 4),
        functional.conv_transpose2d,
        {},
    ),
}


def options(layer):
    names = ("stride", "padding", "dilation", "groups")
    return {name: getattr(layer, name) for name in names if hasattr(layer, name)}


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("kind", LAYERS)
def test_forward_dx_dw_and_bias_gradient_equal_the_formula(kind, config):
    make, shape, product, more = LAYERS[kind]
    torch.manual_seed(1)
    layer, x = make(), torch.randn(shape, requires_grad=True)
    config = CastConfig.named(config)
    forward, backward = config.forward, config.backward
    convert_to_hif8_training(layer, module_filter_fn=everything, config=config)
    y = layer(x)
    gradient = torch.randn_like(y)
    y.backward(gradient)

    cast_x, cast_w = (forward(t.detach()).double() for t in (x, layer.weight))
    cast_g = backward(gradient).double()
    how = options(layer) | more
    cast_x.requires_grad_()
    cast_w.requires_grad_()
    expected = product(cast_x, cast_w, **how)
    dx, dw = torch.autograd.grad(expected, (cast_x, cast_w), cast_g)
    bias = layer.bias.view(-1, *[1] * (x.dim() - 2)) if kind != "linear" else layer.bias
    near = {"rtol": 1e-5, "atol": 1e-5}
    assert torch.allclose(y.double(), expected.detach() + bias.double(), **near)
    assert torch.allclose(x.grad.double(), dx, **near)
    assert torch.allclose(layer.weight.grad.double(), dw, **near)
    axes = [axis for axis in range(y.dim()) if axis != (y.dim() - 1 if kind == "linear" else 1)]
    assert torch.allclose(layer.bias.grad, gradient.sum(dim=axes), rtol=0, atol=1e-5)


@pytest.mark.parametrize("config", CONFIGS)
def test_a_linear_layer_is_the_formula_bit_by_bit(config):
    torch.manual_seed(2)
    config = CastConfig.named(config)
    layer, x = nn.Linear(64, 32), torch.randn(16, 64, requires_grad=True)
    convert_to_hif8_training(layer, module_filter_fn=everything, config=config)
    y = layer(x)
    gradient = torch.randn_like(y) * 1e-3
    y.backward(gradient)
    with torch.no_grad():
        a, w, g = config.forward(x), config.forward(layer.weight), config.backward(gradient)
        assert torch.equal(y, functional.linear(a, w) + layer.bias)
        assert torch.equal(x.grad, g @ w)
        assert torch.allclose(layer.weight.grad, g.T @ a, **FORMULA)
        assert torch.equal(layer.bias.grad, gradient.sum(dim=0))


def test_matmul_casts_both_operands_and_the_gradient():
    torch.manual_seed(3)
    layer = MatMul()
    a, b = torch.randn(2, 3, 4, requires_grad=True), torch.randn(2, 4, 5, requires_grad=True)
    assert torch.equal(layer(a, b), a @ b)
    convert_to_hif8_training(layer)
    y = layer(a, b)
    gradient = torch.randn_like(y)
    y.backward(gradient)
    cast = Cast()
    with torch.no_grad():
        ca, cb, cg = (cast(t) for t in (a, b, gradient))
        assert torch.equal(y, ca @ cb)
        assert torch.equal(a.grad, cg @ cb.transpose(1, 2))
        assert torch.equal(b.grad, ca.transpose(1, 2) @ cg)


CASES = {
    "plain": {},
    "two widths": {"kdim": 6, "vdim": 10},
    "no bias": {"bias": False},
    "tokens first": {"batch_first": False},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("masked", [False, True])
def test_attention_in_fp32_is_that_of_torch(case, masked):
    torch.manual_seed(4)
    how = {"batch_first": True} | CASES[case]
    layer = nn.MultiheadAttention(8, 2, **how)
    sizes = {"q": 8, "k": layer.kdim, "v": layer.vdim}
    sources = [torch.randn(3, 5, size) for size in sizes.values()]
    if not layer.batch_first:
        sources = [x.transpose(0, 1) for x in sources]
    masks = {}
    if masked:
        padding = torch.zeros(3, 5, dtype=torch.bool)
        padding[1, 3:] = True
        masks = {"key_padding_mask": padding, "attn_mask": torch.ones(5, 5).triu(1).bool()}
    expected = layer(*sources, **masks)
    config = CastConfig.named("fp32")
    convert_to_hif8_training(layer, config=config)
    for got, wanted in zip(layer(*sources, **masks), expected, strict=True):
        assert torch.allclose(got, wanted, rtol=1e-5, atol=1e-6)
    per_head = layer(*sources, **masks, average_attn_weights=False)[1]
    assert torch.allclose(per_head.mean(dim=1), expected[1], rtol=1e-5, atol=1e-6)
    assert layer(*sources, **masks, need_weights=False)[1] is None


def test_attention_of_one_example_is_that_of_torch():
    torch.manual_seed(5)
    layer, x = nn.MultiheadAttention(8, 2), torch.randn(5, 8)
    expected = layer(x, x, x)
    convert_to_hif8_training(layer, config=CastConfig.named("fp32"))
    for got, wanted in zip(layer(x, x, x), expected, strict=True):
        assert torch.allclose(got, wanted, rtol=1e-5, atol=1e-6)


def test_attention_casts_all_six_products():
    torch.manual_seed(6)
    layer = convert_to_hif8_training(nn.MultiheadAttention(8, 2, batch_first=True))
    x = torch.randn(3, 5, 8, requires_grad=True)
    seen = []
    with observing(seen.append):
        layer(x, x, x)[0].sum().backward()
    expected = {(name, role) for name in gemms(layer) for role in ("left", "right", "gradient")}
    assert len(expected) == 18
    assert {(event.gemm.name, event.role) for event in seen} == expected
    for event in seen:
        assert torch.equal(event.after, cast_of(event.gemm, event.role)(event.before))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.ReLU(inplace=True))
        self.hidden = nn.Linear(4, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.hidden(self.body(x).mean(dim=(2, 3))))


def test_the_last_linear_layer_stays_as_it_is():
    model = Net()
    assert last_linear(model) == "head"
    before = dict(model.named_parameters())
    assert convert_to_hif8_training(model) is model
    assert set(gemms(model)) == {"body.0", "hidden"}
    assert type(model.head) is nn.Linear
    assert all(after is before[name] for name, after in model.named_parameters())
    model(torch.randn(2, 1, 6, 6)).sum().backward()


def test_a_filter_decides_alone():
    model = Net()
    convert_to_hif8_training(model, module_filter_fn=lambda part, name: name == "head")
    assert set(gemms(model)) == {"head"}


def test_attention_s_own_output_layer_is_not_the_last_linear_layer():
    model = nn.Sequential(nn.Linear(8, 8), nn.TransformerEncoderLayer(8, 2, 16, dropout=0))
    assert last_linear(model) == "1.linear2"
    model = nn.Sequential(nn.Linear(8, 8), nn.MultiheadAttention(8, 2))
    assert last_linear(model) == "0"


def test_a_gradient_of_a_gradient_passes_through_casts():
    layer = nn.Linear(3, 3)
    convert_to_hif8_training(layer, module_filter_fn=everything)
    x = torch.randn(2, 3, requires_grad=True)
    (first,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
    first.square().sum().backward()
    assert layer.weight.grad.abs().sum() > 0


def test_evaluation_casts_as_training_does():
    torch.manual_seed(7)
    model = nn.TransformerEncoderLayer(8, 2, 16, dropout=0, batch_first=True)
    convert_to_hif8_training(model)
    x = torch.randn(2, 4, 8)
    expected = model(x)
    model.eval()
    with torch.no_grad():
        assert torch.equal(model(x), expected)


@pytest.mark.parametrize(
    ("model", "line"),
    [
        (nn.ReLU(), "model must have a layer to convert"),
        (nn.Linear(2, 2), "left out: itself"),
        (nn.Sequential(nn.LSTM(2, 2)), "model must have a layer to convert"),
        (nn.MultiheadAttention(4, 2, add_bias_kv=True), "must have no bias_kv"),
    ],
)
def test_a_model_with_nothing_to_convert_is_refused_in_a_line(model, line):
    with pytest.raises(ValueError, match=line) as caught:
        convert_to_hif8_training(model)
    assert "\n" not in str(caught.value)


def test_no_model_is_refused_in_a_line():
    with pytest.raises(TypeError, match=r"^model must be a torch.nn.Module, not list$"):
        convert_to_hif8_training([])


def test_an_unknown_format_is_refused_in_a_line():
    with pytest.raises(ValueError, match=r"^format must be one of fp32, .*, not 'fp7'$"):
        CastConfig.named("fp7")


def test_gradients_overflow_only_where_they_may():
    x = torch.tensor([np.float32(1e30)])
    assert CastConfig.named("hif8_ta").backward(x).item() == 2**15
    assert CastConfig.named("hif8_ta", saturate=False).backward(x).isinf()
    assert CastConfig.named("hif8_ta", saturate=False).forward(x).item() == 2**15
