# SPDX-License-Identifier: Apache-2.0
"""Models whose matrix products take 8-bit operands in both directions: layers are swapped.

Imports `analysis.training.configs`, `gemm` and `layers`.
"""

from collections.abc import Callable

import torch
from torch import nn

from .configs import HIF8, CastConfig
from .gemm import Gemm
from .layers import ATTENTION, CONVERTED

Filter = Callable[[nn.Module, str], bool]


def last_linear(model: nn.Module) -> str | None:
    """Return the name of the fully connected layer that a model has registered last, if any."""
    names = [name for name, part in model.named_modules() if type(part) is nn.Linear]
    return names[-1] if names else None


def convert_to_hif8_training(
    model: nn.Module,
    *,
    module_filter_fn: Filter | None = None,
    config: CastConfig = HIF8,
) -> nn.Module:
    """Make a model's layers cast what they multiply, in place.

    Parameters
    ----------
    model : torch.nn.Module
        Its parameters stay the same tensors, so that an optimizer may already have them.
    module_filter_fn : callable, optional
        From a layer and its name to whether it is converted. By default all are but the last fully
        connected one (paper, section 4.1).
    config : CastConfig
        How to cast, by default by TA both ways; any format, not HiF8 alone.

    Returns
    -------
    torch.nn.Module
        The model.

    Raises
    ------
    TypeError
        If it is no module.
    ValueError
        If there is nothing to convert, or attention has an option that is not supported.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, not {type(model).__name__}")
    last = last_linear(model)
    wanted = module_filter_fn or (lambda _, name: name != last)
    known = [(name, part) for name, part in model.named_modules() if type(part) in CONVERTED]
    chosen = [(name, part) for name, part in known if wanted(part, name)]
    if not chosen:
        kinds = ", ".join(kind.__name__ for kind in CONVERTED)
        left = f"; left out: {', '.join(name or 'itself' for name, _ in known)}" if known else ""
        raise ValueError(f"model must have a layer to convert ({kinds}){left}")
    for name, part in chosen:
        _convert(name, part, config)
    return model


def _convert(name: str, part: nn.Module, config: CastConfig) -> None:
    if isinstance(part, nn.MultiheadAttention):
        if part.bias_k is not None or part.add_zero_attn:
            raise ValueError(f"{name or 'model'} must have no bias_kv and no add_zero_attn")
        # In eval mode torch would go past the layers, to kernels that cast nothing.
        torch.backends.mha.set_fastpath_enabled(False)
        part.gemms = {
            product: Gemm(f"{name}.{product}".lstrip("."), config) for product in ATTENTION
        }
    else:
        part.gemm = Gemm(name, config)
    part.__class__ = CONVERTED[type(part)]


def gemms(model: nn.Module) -> dict[str, Gemm]:
    """Return all products with casts of a model, by name."""
    found: dict[str, Gemm] = {}
    for part in model.modules():
        own = vars(part)
        for gemm in (own.get("gemm"), *own.get("gemms", {}).values()):
            if isinstance(gemm, Gemm):
                found[gemm.name] = gemm
    return found
