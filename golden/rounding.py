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
        Round half to even, for analysis: to the nearest value; of two equally near, to the one
        whose code is even. Half way to infinity, at 1.25 * 2^15, that is the largest value.
    SR
        Stochastic rounding, for analysis: up with a probability of the discarded part's share of
        the step, so that the mean is the argument. From 2^15 on there is no step to a finite value:
        there it is TA, and nothing below 1.25 * 2^15 becomes infinite by chance.
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
        hidden bit is kept, n is -1, and one less for each binade below that.
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
        """Return the `count` leading discarded bits as an integer."""
        return self.significand >> np.minimum(self.discarded_width - count, 63) & (1 << count) - 1


def _away(cut: Cut) -> npt.NDArray[np.bool_]:
    return cut.leading(1) == 1


def hybrid_compares(cut: Cut) -> npt.NDArray[np.bool_]:
    """Tell where HR compares F with T; elsewhere it is TA (paper, section 3).

    It is TA where |E| < 4, below the binade of -23, where nothing rounds up, and from 1.25 * 2^15
    on: the paper is silent about overflow, and the vendor's simulator treats it so.
    """
    magnitude = np.abs(cut.exponent)
    overflow = (cut.exponent == f.MAX_EXPONENT) & _away(cut)
    return (magnitude >= f.HYBRID_FROM) & (cut.exponent >= f.MIN_EXPONENT - 1) & ~overflow


def _hybrid(cut: Cut, keep_exact: bool) -> npt.NDArray[np.bool_]:
    width = cut.source.hybrid_width
    sr14 = width == 14
    threshold = cut.raw & (1 << width) - 1 if sr14 else (cut.raw & 1) << 1 | 1
    if keep_exact:
        threshold = np.maximum(threshold, 1)  # F = 0 no longer reaches T = 0
    return np.where(hybrid_compares(cut), cut.leading(width) >= threshold, _away(cut))


def _even(cut: Cut) -> npt.NDArray[np.bool_]:
    # A code ends in the last kept bit, that of a denormal, which keeps none, in the last of E + 23.
    last = np.where(cut.kept_width == 0, cut.exponent + f.DENORMAL_BIAS, cut.kept) & 1
    rest = cut.significand & (1 << np.minimum(cut.discarded_width - 1, 62)) - 1
    return _away(cut) & ((rest > 0) | (last == 1))


def _stochastic(cut: Cut, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    width = np.minimum(cut.discarded_width, 62)
    discarded = (cut.significand & (1 << width) - 1).astype(np.float64)
    drawn = rng.random(cut.significand.shape) < np.ldexp(discarded, -cut.discarded_width)
    return np.where(cut.exponent == f.MAX_EXPONENT, _away(cut), drawn)


def refuse(
    rounding: Rounding, source: f.FloatFormat, rng: np.random.Generator | None = None
) -> None:
    """Refuse a mode that is not defined for a source, or that lacks its random numbers.

    Raises
    ------
    ValueError
        If HR is asked for FP64, or SR without a generator.
    """
    if rounding is Rounding.HR and not source.hybrid_width:
        raise ValueError(f"x must be float16, bfloat16 or float32 for HR, not {source.dtype}")
    if rounding is Rounding.SR and not isinstance(rng, np.random.Generator):
        raise ValueError(f"rng must be a numpy.random.Generator for SR, not {rng!r}")


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
    refuse(rounding, cut.source, rng)
    if rounding is Rounding.TA:
        return _away(cut)
    if rounding is Rounding.HR:
        return _hybrid(cut, keep_exact)
    if rounding is Rounding.TE:
        return _even(cut)
    return _stochastic(cut, rng)
