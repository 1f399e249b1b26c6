# SPDX-License-Identifier: Apache-2.0
"""The audit sees every product in both directions, and none that is cast is refused."""

import pytest
import torch
from hif8.analysis.training.audit import CoverageError, audit
from hif8.analysis.training.configs import CONFIGS, CastConfig
from hif8.analysis.training.convert import convert_to_hif8_training
from hif8.analysis.training.layers import MatMul
from torch import nn
from torch.nn import functional


class Wrong(nn.Module):
    """A model with a layer that is converted, a head, and between them what a test puts there."""

    def __init__(self, between):
        super().__init__()
        self.hidden = nn.Linear(8, 8)
        self.between = between
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.between(self.hidden(x)))


class FunctionalLinear(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 8))

    def forward(self, x):
        return functional.linear(x, self.weight)


class Einsum(nn.Module):
    def forward(self, x):
        return torch.einsum("btc,bsc,bsd->btd", x, x, x)


class Fused(nn.Module):
    def forward(self, x):
        return functional.scaled_dot_product_attention(x, x, x)


class Heads(nn.Module):
    def forward(self, x):
        heads = x.unsqueeze(1)
        return functional.scaled_dot_product_attention(heads, heads, heads).squeeze(1)


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.layer = kind(8, 8, batch_first=True)

    def forward(self, x):
        return self.layer(x)[0]


class Operator(nn.Module):
    def forward(self, x):
        return x @ x.transpose(1, 2) @ x


class Normal(nn.Module):
    def forward(self, x):
        return functional.layer_norm(x.softmax(dim=-1), (8,)) * 2


CAUGHT = {
    "functional linear": (FunctionalLinear, {"mm", "addmm"}),
    "einsum": (Einsum, {"bmm"}),
    "scaled_dot_product_attention": (Fused, {"attention", "bmm"}),
    "fused attention of heads": (Heads, {"attention"}),
    "lstm": (lambda: Recurrent(nn.LSTM), {"rnn"}),
    "gru": (lambda: Recurrent(nn.GRU), {"mm"}),
    "bilinear": (lambda: nn.Sequential(Doubled()), {"trilinear"}),
    "operator": (Operator, {"bmm"}),
    "a subclass of a layer": (lambda: Own(8, 8), {"mm"}),
}


class Own(nn.Linear):
    pass


class Doubled(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Bilinear(8, 8, 8)

    def forward(self, x):
        return self.layer(x, x)


def run(model):
    model(torch.randn(2, 4, 8)).square().sum().backward()


@pytest.mark.parametrize("what", CAUGHT)
def test_an_uncast_product_is_refused_in_both_directions(what):
    make, operators = CAUGHT[what]
    model = convert_to_hif8_training(Wrong(make()))
    with pytest.raises(CoverageError, match=r"not cast: between") as caught, audit(model) as found:
        run(model)
    assert "\n" not in str(caught.value)
    wrong = [product for product in found.uncast if product.where.startswith("between")]
    assert {product.direction for product in wrong} == {"forward", "backward"}
    for product in wrong:
        assert any(name in product.operator for name in operators)
    with audit(model, allow=("between", "head")):
        run(model)


@pytest.mark.parametrize("what", CAUGHT)
def test_an_uncast_product_is_refused_in_inference(what):
    model = convert_to_hif8_training(Wrong(CAUGHT[what][0]())).eval()
    with (
        pytest.raises(CoverageError, match=r"not cast: between"),
        torch.inference_mode(),
        audit(model),
    ):
        model(torch.randn(2, 4, 8))


@pytest.mark.parametrize("config", CONFIGS)
def test_what_is_converted_passes(config):
    model = nn.Sequential(
        nn.Conv1d(4, 4, 3, padding=1, padding_mode="circular"),
        Normal(),
        nn.TransformerEncoderLayer(8, 2, 16, dropout=0, batch_first=True),
        nn.ConvTranspose1d(4, 4, 1),
        nn.Linear(8, 3),
    )
    convert_to_hif8_training(model, config=CastConfig.named(config))
    with audit(model) as found:
        run(model)
    counts = {}
    for product in found.products:
        counts.setdefault(product.where, []).append(product.direction)
    attention = [f"2.self_attn.{name}" for name in ("q", "k", "v", "scores", "values", "out")]
    assert set(counts) == {"0", "2.linear1", "2.linear2", "3", "4", *attention}
    for directions in counts.values():
        assert "forward" in directions
        assert "backward" in directions
    assert {product.where for product in found.uncast} == {"4"}


def test_every_product_of_a_linear_layer_is_listed_with_its_shapes():
    model = convert_to_hif8_training(nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 3)))
    with audit(model) as found:
        model(torch.randn(4, 6, requires_grad=True)).sum().backward()
    first = [p for p in found.products if p.where == "0"]
    assert [(p.direction, p.shapes) for p in first] == [
        ("forward", ((4, 6), (6, 5))),
        ("backward", ((5, 4), (4, 6))),
        ("backward", ((4, 5), (5, 6))),
    ]
    assert {tag.role for p in first for tag in p.tags} == {"left", "right", "gradient"}


class Touched(nn.Module):
    """What is cast, and then changed before it is multiplied."""

    def __init__(self):
        super().__init__()
        self.product = MatMul()
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        gemm = getattr(self.product, "gemm", None)
        y = x if gemm is None else gemm.cast(x, "left").mul_(3)
        return self.head(torch.matmul(y, y.transpose(1, 2)) @ x)


def test_what_is_changed_in_place_after_the_cast_counts_as_uncast():
    model = convert_to_hif8_training(Touched())
    with pytest.raises(CoverageError, match="Touched"), audit(model) as found:
        run(model)
    assert all(product.tags == (None, None) for product in found.products)


def test_values_that_the_format_has_by_chance_are_no_casts():
    model = convert_to_hif8_training(Wrong(FunctionalLinear()))
    model.between.weight.data.fill_(1)
    with pytest.raises(CoverageError), audit(model):
        model(torch.zeros(2, 4, 8)).sum().backward()


def test_an_audit_that_saw_nothing_fails():
    model = convert_to_hif8_training(Wrong(Normal()))
    with pytest.raises(CoverageError, match=r"^the audit saw no product"), audit(model):
        pass


def test_the_head_is_allowed_only_while_it_is_the_last_layer():
    model = convert_to_hif8_training(Wrong(Normal()), module_filter_fn=lambda _, n: n == "hidden")
    with audit(model):
        run(model)
    with pytest.raises(CoverageError, match="not cast: head"), audit(model, allow=()):
        run(model)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "nearest"])
def test_enlarging_an_image_is_no_product(mode):
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.Upsample(scale_factor=2, mode=mode), nn.Conv2d(2, 1, 3)
    )
    convert_to_hif8_training(model)
    with audit(model) as found:
        model(torch.randn(2, 1, 6, 6)).square().sum().backward()
    assert {product.operator for product in found.products} == {
        "convolution",
        "convolution_backward",
    }
