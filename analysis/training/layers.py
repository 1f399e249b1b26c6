# SPDX-License-Identifier: Apache-2.0
"""The layers that a model's own are swapped for: the same, with casts where they multiply.

Imports `analysis.training.gemm`.
"""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from .gemm import Gemm


class MatMul(nn.Module):
    """`torch.matmul` as a layer of its own, to be converted: for attention and the like.

    What a model multiplies by functions no swap of layers reaches, as the audit tells.
    """

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the product of matrices, or of batches of them."""
        return torch.matmul(left, right)


class CastMatMul(MatMul):
    """`MatMul` with casts."""

    gemm: Gemm

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the product of the cast operands."""
        return self.gemm(torch.matmul, left, right)


class CastLinear(nn.Linear):
    """`torch.nn.Linear` with casts."""

    gemm: Gemm

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output of the cast input and weight."""
        return self.gemm(functional.linear, x, self.weight, self.bias)


def _channels(bias: Tensor | None, axes: int) -> Tensor | None:
    """Return a bias with so many axes after that of the channels."""
    return None if bias is None else bias.view(-1, *[1] * axes)


class CastConv1d(nn.Conv1d):
    """`torch.nn.Conv1d` with casts."""

    gemm: Gemm

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        product = partial(super()._conv_forward, bias=None)
        return self.gemm(product, x, weight, _channels(bias, 1))


class CastConv2d(nn.Conv2d):
    """`torch.nn.Conv2d` with casts."""

    gemm: Gemm

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        product = partial(super()._conv_forward, bias=None)
        return self.gemm(product, x, weight, _channels(bias, 2))


def _transposed(
    layer: nn.Module, function: Callable[..., Tensor], x: Tensor, output_size: list[int] | None
) -> Tensor:
    axes = len(layer.kernel_size)
    more = layer._output_padding(
        x, output_size, layer.stride, layer.padding, layer.kernel_size, axes, layer.dilation
    )
    how = {"stride": layer.stride, "padding": layer.padding, "output_padding": more}
    product = partial(function, **how, groups=layer.groups, dilation=layer.dilation)
    return layer.gemm(product, x, layer.weight, _channels(layer.bias, axes))


class CastConvTranspose1d(nn.ConvTranspose1d):
    """`torch.nn.ConvTranspose1d` with casts."""

    gemm: Gemm

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Return the layer's output of the cast input and weight."""
        return _transposed(self, functional.conv_transpose1d, x, output_size)


class CastConvTranspose2d(nn.ConvTranspose2d):
    """`torch.nn.ConvTranspose2d` with casts."""

    gemm: Gemm

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Return the layer's output of the cast input and weight."""
        return _transposed(self, functional.conv_transpose2d, x, output_size)


class CastMultiheadAttention(nn.MultiheadAttention):
    """`torch.nn.MultiheadAttention` with casts of all its six products.

    The softmax between two of them stays FP32. Key and value biases and an added zero, which
    `convert_to_hif8_training` refuses, are the only options that it has not.
    """

    gemms: dict[str, Gemm]

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Return what torch's own layer does, its parameters and shapes the same."""
        if is_causal and attn_mask is None:
            raise ValueError("is_causal needs an attn_mask: it only says of what kind that is")
        batched = query.dim() == 3
        sources = [query, key, value]
        if not batched:
            sources = [x.unsqueeze(0) for x in sources]
        elif not self.batch_first:
            sources = [x.transpose(0, 1) for x in sources]
        q, k, v = (self._heads(name, x) for name, x in zip("qkv", sources, strict=True))
        scores = self.gemms["scores"](torch.matmul, q, k.transpose(-2, -1))
        scores = scores * self.head_dim**-0.5
        for mask in self._masks(attn_mask, key_padding_mask, scores):
            scores = scores + mask
        weights = functional.dropout(scores.softmax(dim=-1), self.dropout, self.training)
        mixed = self.gemms["values"](torch.matmul, weights, v)
        joined = mixed.transpose(1, 2).flatten(2)
        y = self.gemms["out"](functional.linear, joined, self.out_proj.weight, self.out_proj.bias)
        if not batched:
            y, weights = y.squeeze(0), weights.squeeze(0)
        elif not self.batch_first:
            y = y.transpose(0, 1)
        if not need_weights:
            return y, None
        return y, weights.mean(dim=-3) if average_attn_weights else weights

    def _heads(self, name: str, x: Tensor) -> Tensor:
        """Project queries, keys or values; return them of shape (batch, heads, tokens, size)."""
        place = "qkv".index(name)
        rows = slice(place * self.embed_dim, (place + 1) * self.embed_dim)
        bias = None if self.in_proj_bias is None else self.in_proj_bias[rows]
        if self.in_proj_weight is None:
            weight = getattr(self, f"{name}_proj_weight")
        else:
            weight = self.in_proj_weight[rows]
        y = self.gemms[name](functional.linear, x, weight, bias)
        return y.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)

    def _masks(
        self, attention: Tensor | None, padding: Tensor | None, scores: Tensor
    ) -> Iterator[Tensor]:
        """Yield what to add to the scores for the masks, which are true or -inf at what is not."""
        if attention is not None:
            if attention.dim() == 3:
                attention = attention.view(-1, self.num_heads, *attention.shape[1:])
            yield _additive(attention, scores)
        if padding is not None:
            yield _additive(padding.view(-1, 1, 1, padding.shape[-1]), scores)


def _additive(mask: Tensor, scores: Tensor) -> Tensor:
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=scores.dtype).masked_fill_(mask, -torch.inf)


CONVERTED: dict[type[nn.Module], type[nn.Module]] = {
    MatMul: CastMatMul,
    nn.Linear: CastLinear,
    nn.Conv1d: CastConv1d,
    nn.Conv2d: CastConv2d,
    nn.ConvTranspose1d: CastConvTranspose1d,
    nn.ConvTranspose2d: CastConvTranspose2d,
    nn.MultiheadAttention: CastMultiheadAttention,
}
"""What each layer becomes; subclasses, which may multiply in another way, are left."""

ATTENTION = ("q", "k", "v", "scores", "values", "out")
"""The products of attention."""
