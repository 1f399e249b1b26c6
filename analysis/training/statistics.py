# SPDX-License-Identifier: Apache-2.0
"""What casts do to tensors: what is flushed and saturated, signal to noise, where exponents lie.

Imports `analysis.training.gemm`.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from .gemm import Event, observing

EXPONENTS = range(-60, 40)
"""Binades of the histogram; what is beyond counts at its ends."""


@dataclass
class Statistics:
    """Of all that was cast as one tensor of one product.

    Attributes
    ----------
    values, nonzero : int
        How many were cast, and how many of them were not zero.
    flushed : int
        How many of those became zero.
    saturated : int
        How many finite ones were too large.
    signal, noise : float
        Sums of the squares of finite values, and of what the cast changed of them.
    exponents : torch.Tensor of int64
        How many values, times their factor, lie in each of the binades `EXPONENTS`.
    """

    values: int = 0
    nonzero: int = 0
    flushed: int = 0
    saturated: int = 0
    signal: float = 0.0
    noise: float = 0.0
    exponents: torch.Tensor = field(
        default_factory=lambda: torch.zeros(len(EXPONENTS), dtype=torch.int64)
    )

    @property
    def flushed_share(self) -> float:
        """The share of values, not zero, that became zero."""
        return self.flushed / self.nonzero if self.nonzero else 0.0

    @property
    def saturated_share(self) -> float:
        """The share of values that were too large."""
        return self.saturated / self.values if self.values else 0.0

    @property
    def sqnr(self) -> float:
        """Signal to noise in dB; infinite where nothing was changed."""
        if not self.signal or not self.noise:
            return math.inf
        return 10 * math.log10(self.signal / self.noise)

    def add(self, event: Event) -> None:
        """Count a tensor that was cast."""
        before, after = event.before.detach().flatten(), event.after.detach().flatten()
        scaled = before * event.factor if event.factor != 1 else before
        finite, nonzero = scaled.isfinite(), before != 0
        kept = finite & after.isfinite()
        self.values += before.numel()
        self.nonzero += int(nonzero.sum())
        self.flushed += int((nonzero & (after == 0)).sum())
        self.saturated += int((finite & (scaled.abs() > event.cast.beyond)).sum())
        wide = before[kept].double()
        self.signal += wide.square().sum().item()
        self.noise += (after[kept].double() - wide).square().sum().item()
        binades = torch.frexp(scaled[finite & nonzero])[1] - 1 - EXPONENTS[0]
        places = binades.clamp(0, len(EXPONENTS) - 1).long()
        self.exponents += torch.bincount(places, minlength=len(EXPONENTS)).cpu()


@contextmanager
def collecting(*roles: str) -> Iterator[dict[tuple[str, str], Statistics]]:
    """Collect the statistics of every tensor that is cast.

    Parameters
    ----------
    *roles : str
        Of `gemm.ROLES`, which to look at; all by default.

    Yields
    ------
    dict of (str, str) to Statistics
        By the name of the product and the role of the tensor, as far as it has come.
    """
    found: dict[tuple[str, str], Statistics] = {}

    def add(event: Event) -> None:
        if not roles or event.role in roles:
            found.setdefault((event.gemm.name, event.role), Statistics()).add(event)

    with observing(add):
        yield found
