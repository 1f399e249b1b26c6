# SPDX-License-Identifier: Apache-2.0
"""How products are cast: the formats of both passes, and the configurations that are compared.

Imports `analysis.training.casts`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from torch import Tensor

from .casts import Cast

if TYPE_CHECKING:
    from .gemm import Gemm

CONFIGS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "fp32": ({"format": "fp32"}, {"format": "fp32"}),
    "fp16": ({"format": "fp16"}, {"format": "fp16"}),
    "bf16": ({"format": "bf16"}, {"format": "bf16"}),
    "hif8_ta": ({"format": "hif8"}, {"format": "hif8"}),
    "hif8_hr": ({"format": "hif8"}, {"format": "hif8", "rounding": "hr"}),
    "e4m3": ({"format": "e4m3"}, {"format": "e4m3"}),
    "e5m2": ({"format": "e5m2"}, {"format": "e5m2"}),
    "hybrid": ({"format": "e4m3"}, {"format": "e5m2"}),
}
"""What the forward and the backward pass of each comparison cast to."""

_TA = Cast()


class Scaling(Protocol):
    """What gives a tensor the factor by which it is multiplied before it is cast."""

    def factor(self, gemm: "Gemm", role: str, x: Tensor) -> float:
        """Return it, a power of two."""


@dataclass(frozen=True)
class CastConfig:
    """How products are cast.

    Attributes
    ----------
    forward, backward : Cast
        Of both operands, and of the gradient that comes back.
    scaling : Scaling, optional
        Factors per tensor, as those of `recipes.PerTensorScaling`.
    """

    forward: Cast = _TA
    backward: Cast = _TA
    scaling: Scaling | None = None

    def cast(self, role: str) -> Cast:
        """Return the cast of a tensor in one of the roles of `gemm.ROLES`."""
        return self.backward if role == "gradient" else self.forward

    @classmethod
    def named(cls, name: str, *, saturate: bool = True, scaling: Scaling | None = None) -> Self:
        """Return one of the configurations that are compared.

        Parameters
        ----------
        name : str
            One of `CONFIGS`.
        saturate : bool
            Whether gradients that are too large become the largest value; operands always do. An
            adaptive loss scale needs them infinite, or it would not learn of them.
        scaling : Scaling, optional
            As in `CastConfig`.

        Raises
        ------
        ValueError
            If there is no such configuration.
        """
        if name not in CONFIGS:
            raise ValueError(f"format must be one of {', '.join(CONFIGS)}, not {name!r}")
        forward, backward = CONFIGS[name]
        return cls(
            Cast(**forward, saturate=True), Cast(**backward, saturate=saturate), scaling=scaling
        )


HIF8 = CastConfig()
"""TA both ways, without saturation, as the vendor's cast is by default."""
