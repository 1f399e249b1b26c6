# SPDX-License-Identifier: Apache-2.0
"""Casts of FP32 tensors to the values of a format, on any device, bit-exact with the golden model.

Imports `golden.encode`, `nearest` and `format`. The golden model fills tables and torch looks them
up: of an FP32 word the 14 leading bits decide, if the last of them is also set by any bit below it.
"""

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch
from torch import Tensor

from ...golden import nearest
from ...golden.encode import KEPT_WIDTHS, quantize
from ...golden.format import FP32
from ...golden.rounding import Rounding

FORMATS = ("hif8", "e4m3", "e5m2", "fp16", "bf16", "fp32")
"""The formats that `Cast` knows."""

_WORDS = {"fp16": torch.float16, "bf16": torch.bfloat16}
"""Those that torch casts to fast, and as golden does."""

_SHIFT = 18
"""Bits of a word below the leading 14."""
_BELOW = (1 << _SHIFT) - 1
_INDICES = 1 << FP32.width - _SHIFT

_WINDOW = 14
"""Bits that HR compares."""
_HIDDEN = 1 << FP32.fraction_width


@dataclass(frozen=True)
class Cast:
    """A cast of FP32 values to those of a format.

    Attributes
    ----------
    format : str
        One of `FORMATS`.
    rounding : str
        ``ta`` or ``hr`` for HiF8. The other formats round to nearest, ties to even.
    saturate : bool
        Give the largest finite value in place of what is beyond it, infinity included. Otherwise
        that is infinity, or NaN in E4M3, which has none.
    keep_exact : bool
        For HR: leave values that HiF8 represents as they are.

    Raises
    ------
    ValueError
        If there is no such format, or it does not round so.
    """

    format: str = "hif8"
    rounding: str = "ta"
    saturate: bool = False
    keep_exact: bool = False

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"format must be one of {', '.join(FORMATS)}, not {self.format!r}")
        if self.rounding not in ("ta", "hr"):
            raise ValueError(f"rounding must be ta or hr, not {self.rounding!r}")
        if self.rounding == "hr" and self.format != "hif8":
            raise ValueError(f"rounding must be ta for {self.format}: hr is HiF8's alone")
        if self.keep_exact and self.rounding != "hr":
            raise ValueError("keep_exact needs rounding hr: ta keeps exact values anyway")

    @cached_property
    def largest(self) -> float:
        """The largest finite value."""
        if self.format == "fp32":
            return float(np.finfo(np.float32).max)
        if self.format == "hif8":
            return 2.0**15
        values = nearest.magnitudes(self.format)
        return float(values[np.isfinite(values)].max())

    @property
    def beyond(self) -> float:
        """The largest number that is rounded to it: what is above is too large."""
        return _beyond(self)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the values that a tensor's become.

        Parameters
        ----------
        x : torch.Tensor of float32
            Any shape, on any device. Of `fp32` the tensor itself is returned.

        Raises
        ------
        TypeError
            If it is not float32.
        """
        if x.dtype != torch.float32:
            raise TypeError(f"x must be torch.float32, not {x.dtype}")
        if self.format == "fp32":
            return x
        if self.format in _WORDS:
            inside = x.clamp(-self.largest, self.largest) if self.saturate else x
            return inside.to(_WORDS[self.format]).to(torch.float32)
        words = x.detach().reshape(-1).view(torch.int32)
        place = _leading(words)
        if self.rounding == "hr":
            place = _next_to(words, place, self.keep_exact)
        return _table(self, x.device).index_select(0, place).view(x.shape)


@cache
def _beyond(cast: Cast) -> float:
    """Return the FP32 number below the first that overflows, by bisection over the words."""
    low, high = np.float32(cast.largest).view(np.uint32), np.uint32(FP32.inf_bits)
    plain = Cast(cast.format)
    while high - low > 1:
        middle = low + (high - low) // 2
        x = torch.from_numpy(np.array([middle], np.uint32).view(np.float32))
        low, high = (middle, high) if plain(x).isfinite() else (low, middle)
    return float(np.array(low, np.uint32).view(np.float32))


def _leading(words: Tensor) -> Tensor:
    """Return the 14 leading bits of words, the last of them set too if any bit below it is."""
    sticky = words & _BELOW
    sticky += _BELOW
    sticky |= words
    sticky >>= _SHIFT
    sticky &= _INDICES - 1
    return sticky


def _next_to(words: Tensor, place: Tensor, keep_exact: bool) -> Tensor:
    """Return where in the table of HR the value is: at 2 * place the lower one, then the upper."""
    shift = _window_shift(words.device).index_select(0, place)
    leading = words & _HIDDEN - 1
    leading |= _HIDDEN
    leading >>= shift
    leading &= (1 << _WINDOW) - 1
    threshold = words & (1 << _WINDOW) - 1
    if keep_exact:
        threshold.clamp_(min=1)
    return place.mul_(2).add_(leading >= threshold)


@cache
def _window_shift(device: torch.device) -> Tensor:
    """Return by how much a word is shifted for the 14 leading discarded bits to be its lowest."""
    exponent = (np.arange(_INDICES) >> FP32.fraction_width - _SHIFT) & 0xFF
    kept = np.array([KEPT_WIDTHS.get(int(e) - FP32.bias, 0) for e in exponent])
    shift = FP32.fraction_width - kept - _WINDOW
    return torch.tensor(shift, dtype=torch.int32, device=device)


@cache
def _table(cast: Cast, device: torch.device) -> Tensor:
    """Return the values of a format by the leading bits of a word, from the golden model."""
    words = np.arange(_INDICES, dtype=np.uint32) << np.uint32(_SHIFT)
    if cast.rounding == "hr":
        values = _hybrid_values(words, cast.saturate)
    elif cast.format == "hif8":
        values = quantize(words.view(np.float32), saturate=cast.saturate)
    else:
        values = nearest.quantize(words.view(np.float32), cast.format, saturate=cast.saturate)
    return torch.tensor(values, device=device)


def _hybrid_values(words: np.ndarray, saturate: bool) -> np.ndarray:
    """Return what HR makes of words whose discarded bits do not reach the threshold, and do.

    With its 14 low bits set, and no others below the leading ones, a word does not reach it; with
    none set it does. Where HR is TA, or the value is not finite, the two are one.
    """
    finite = np.isfinite(words.view(np.float32))
    leading = words >> np.uint32(_SHIFT + 1) << np.uint32(_SHIFT + 1)
    low = np.uint32((1 << _WINDOW) - 1)
    pair = [np.where(finite, leading | bits, words) for bits in (low, np.uint32(0))]
    values = quantize(np.stack(pair, axis=-1).view(np.float32), Rounding.HR, saturate=saturate)
    return values.ravel()
