# SPDX-License-Identifier: Apache-2.0
"""A transformer block whose products are layers of their own, so that a format can cast them.

Imports `analysis.training.layers`. For workloads that are transformers; no workload itself.
"""

import torch
from torch import Tensor, nn

from ...training.layers import MatMul


class Attention(nn.Module):
    """Self-attention that takes something to add to its logits, and gives the logits away.

    Parameters
    ----------
    width : int
        Of tokens.
    heads : int
        Between which it is divided.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, 3 * width)
        self.scores, self.values = MatMul(), MatMul()
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, added: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return what tokens gather, and the logits, of shape (batch, heads, tokens, tokens)."""
        parts = self.project(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        queries, keys, values = parts
        logits = self.scores(queries, keys.transpose(-2, -1)) * queries.shape[-1] ** -0.5
        if added is not None:
            logits = logits + added
        gathered = self.values(logits.softmax(dim=-1), values)
        return self.out(gathered.transpose(1, 2).flatten(2)), logits


class Block(nn.Module):
    """Attention and a perceptron, each after a normalisation and added to what comes in.

    Parameters
    ----------
    width, heads : int
        As of `Attention`.
    ratio : int
        How many times wider the perceptron's hidden layer is.
    context : int
        Width of what is joined to the tokens before the perceptron; 0 for nothing.
    """

    def __init__(self, width: int, heads: int, ratio: int, context: int = 0) -> None:
        super().__init__()
        self.before = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.after = nn.LayerNorm(width + context)
        self.perceptron = perceptron(width + context, ratio * width, width)

    def forward(
        self, x: Tensor, added: Tensor | None = None, context: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the tokens after the block, and the logits of its attention."""
        gathered, logits = self.attention(self.before(x), added)
        x = x + gathered
        joined = x if context is None else torch.cat((x, context), dim=-1)
        return x + self.perceptron(self.after(joined)), logits


def perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Return two linear layers with a GELU between them."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, outputs))
