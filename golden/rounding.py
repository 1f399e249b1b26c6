# SPDX-License-Identifier: Apache-2.0
"""The rounding modes of an encoder, and what each means.

Imports `golden.format`. An encoder cuts a significand into kept and discarded bits; a mode decides
from the discarded ones whether the kept ones are incremented.
"""

from enum import Enum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from . import format as f


class Rounding(Enum):
    """How `encode` chooses between the two HiF8 values next to its argument.

    Attributes
    ----------
    TA
        Round half away from zero (paper, section 3; the vendor's CAST_ROUND): up in magnitude
        exactly if the leading discarded bit is 1. This is the value nearest to the argument, ties
        going away from zero, also where the number of mantissa bits changes.
    HR
        Hybrid rounding (paper, section 3; the vendor's CAST_HYBRID), for the backward pass: as TA
        where |E| < 4. Elsewhere up exactly if F >= T, where F is the leading discarded bits, 14 for
        FP32 and 2 for FP16 and BF16, and T is a threshold from the low bits of the mantissa field
        itself: its 14 low bits, or its lowest bit followed by a 1. Overflow is that of TA.
        **An exact FP32 value with |E| >= 4 has F = T = 0 and moves up:** 16 becomes 20.
        `keep_exact` leaves it; FP16 and BF16 sources never show it, for their T is not 0. FP64 has
        no HR.
    TE
        Round half to even, for analysis: to the nearest value, of two equally near the one whose
        code is even.
    SR
        Stochastic rounding, for analysis: up with a probability of the discarded part's share of
        the step, so that the mean is the argument, between the smallest value and the largest.
    """

    TA = "ta"
    HR = "hr"
    TE = "te"
    SR = "sr"

    @classmethod
    def named(cls, rounding: "Rounding | str") -> "Rounding":
        """Return the mode itself or the mode of that name.

        Raises
        ------
        ValueError
            If there is no such mode.
        """
        try:
            return cls(rounding.lower() if isinstance(rounding, str) else rounding)
        except ValueError:
            known = ", ".join(repr(mode.value) for mode in cls)
            raise ValueError(f"rounding must be one of {known}, not {rounding!r}") from None


class Cut(NamedTuple):
    """Significands cut into kept and discarded bits; all arrays of one shape.

    Attributes
    ----------
    source : FloatFormat
        What the values were.
    exponent : numpy.ndarray of int64
        E, not beyond 15.
    significand : numpy.ndarray of int64
        Normalised, with its hidden bit.
    kept_width : numpy.ndarray of int64
        n, the fraction bits kept. In the binade below the smallest denormal, where not even the
        hidden bit is kept, n is -1, and one less for each binade below.
    raw : numpy.ndarray of int64
        The mantissa field as it stands in the source, not normalised.
    """

    source: f.FloatFormat
    exponent: npt.NDArray[np.int64]
    significand: npt.NDArray[np.int64]
    kept_width: npt.NDArray[np.int64]
    raw: npt.NDArray[np.int64]

    @property
    def discarded_width(self) -> npt.NDArray[np.int64]:
        """How many bits are discarded."""
        return self.source.fraction_width - self.kept_width

    @property
    def kept(self) -> npt.NDArray[np.int64]:
        """The kept bits as an integer, with the hidden one if it is kept."""
        return self.significand >> np.minimum(self.discarded_width, 63)

    def leading(self, count: int) -> npt.NDArray[np.int64]:
        """Return the `count` leading discarded bits as an integer; zeros follow the last."""
        short = np.maximum(count - self.discarded_width, 0)
        down = np.minimum(np.maximum(self.discarded_width - count, 0), 63)
        return self.significand << short >> down & (1 << count) - 1


def _away(cut: Cut) -> npt.NDArray[np.bool_]:
    return cut.leading(1) == 1


def _hybrid(cut: Cut, keep_exact: bool) -> npt.NDArray[np.bool_]:
    width = cut.source.hybrid_width
    discarded = cut.leading(width)
    low = cut.raw & (1 << width) - 1
    threshold = low if width == f.FP32.hybrid_width else (low & 1) << 1 | 1
    up = (discarded >= threshold) & (cut.exponent >= f.MIN_EXPONENT - 1)
    if keep_exact:
        up &= discarded > 0
    overflow = (cut.exponent == f.MAX_EXPONENT) & _away(cut)
    return np.where(np.abs(cut.exponent) < f.HYBRID_FROM, _away(cut), up | overflow)


def _even(cut: Cut) -> npt.NDArray[np.bool_]:
    # A code ends in the mantissa's last bit, a denormal's in that of E + 23; zero is even.
    denormal = np.where(cut.kept_width == 0, cut.exponent + f.DENORMAL_BIAS, 0)
    odd = np.where(cut.kept_width > 0, cut.kept, denormal) & 1
    rest = cut.significand & (1 << np.clip(cut.discarded_width - 1, 0, 62)) - 1
    return _away(cut) & ((rest > 0) | (odd == 1))


def _stochastic(cut: Cut, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    width = np.minimum(cut.discarded_width, 62)
    discarded = (cut.significand & (1 << width) - 1).astype(np.float64)
    drawn = rng.random(cut.significand.shape) < np.ldexp(discarded, -cut.discarded_width)
    return np.where(cut.exponent == f.MAX_EXPONENT, _away(cut), drawn)


def rounds_up(
    cut: Cut,
    rounding: Rounding,
    *,
    keep_exact: bool = False,
    rng: np.random.Generator | None = None,
) -> npt.NDArray[np.bool_]:
    """Tell where a rounding mode increments the kept bits.

    Parameters
    ----------
    cut : Cut
        The kept and the discarded bits.
    rounding : Rounding
        How to round.
    keep_exact : bool
        For HR: never where the leading discarded bits are all zero.
    rng : numpy.random.Generator, optional
        For SR, which needs it.

    Returns
    -------
    numpy.ndarray of bool
        Of the shape of `cut`.

    Raises
    ------
    ValueError
        If the source has no hybrid rounding, or SR has no generator.
    """
    if rounding is Rounding.HR and not cut.source.hybrid_width:
        raise ValueError(f"x must be float16, bfloat16 or float32 for HR, not {cut.source.dtype}")
    if rounding is Rounding.SR and rng is None:
        raise ValueError("rng must be a numpy.random.Generator for SR, not None")
    return {
        Rounding.TA: lambda: _away(cut),
        Rounding.HR: lambda: _hybrid(cut, keep_exact),
        Rounding.TE: lambda: _even(cut),
        Rounding.SR: lambda: _stochastic(cut, rng),
    }[rounding]()
