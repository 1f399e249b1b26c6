# SPDX-License-Identifier: Apache-2.0
"""The formats as data: the HiF8 dot-field table, its named codes, and the IEEE source formats.

Imports nothing of the project. Everything else derives from the tables here, so that each fact is
written down once; `hdl` may read them, as it may read nothing else of `golden`.

Source: Luo et al., *Ascend HiFloat8 Format for Deep Learning*, arXiv 2409.16626, tables 1-4.
"""

from dataclasses import dataclass

import ml_dtypes
import numpy as np

WIDTH = 8
SIGN_BIT = 0x80


@dataclass(frozen=True)
class DotField:
    """One row of the dot-field table: what the bits after the sign mean (paper, tables 1-3).

    Attributes
    ----------
    name : str
        ``D4`` .. ``D0`` after the number of exponent bits, ``DML`` for the denormals.
    prefix, prefix_width : int
        The prefix code of the dot field itself.
    exponent_width : int
        D, the bits of the sign-magnitude exponent: its sign and D - 1 stored magnitude bits, which
        a leading 1 completes. Zero where no exponent is stored.
    mantissa_width : int
        n, the stored mantissa bits.
    """

    name: str
    prefix: int
    prefix_width: int
    exponent_width: int
    mantissa_width: int

    @property
    def denormal(self) -> bool:
        """Whether the mantissa M stands for 2^(M-23) instead of a fraction."""
        return self.name == "DML"

    @property
    def magnitudes(self) -> range:
        """Return the magnitudes |E| that the exponent field can hold."""
        if self.denormal:
            return range(0)
        return range(1 << self.exponent_width >> 1, 1 << self.exponent_width)


DOT_FIELDS = (
    DotField("D4", 0b11, 2, 4, 1),
    DotField("D3", 0b10, 2, 3, 2),
    DotField("D2", 0b01, 2, 2, 3),
    DotField("D1", 0b001, 3, 1, 3),
    DotField("D0", 0b0001, 4, 0, 3),
    DotField("DML", 0b0000, 4, 0, 3),
)
"""The dot-field table, in the order of the prefix code."""

ZERO = 0x00
NAN = 0x80
INF = 0x6F
"""The slot that 1.5 * 2^15 would have; `SIGN_BIT | INF` is minus infinity."""
MAX = 0x6E
"""The largest finite code, 2^15; `SIGN_BIT | MAX` is the most negative."""

MAX_EXPONENT = max(field.magnitudes[-1] for field in DOT_FIELDS if field.magnitudes)
MIN_NORMAL_EXPONENT = -MAX_EXPONENT
DENORMAL_BIAS = MAX_EXPONENT + (1 << DOT_FIELDS[-1].mantissa_width)
"""23: a denormal with mantissa M is 2^(M - DENORMAL_BIAS); M = 0 is zero."""
MIN_EXPONENT = 1 - DENORMAL_BIAS
"""-22, the exponent of the smallest denormal."""

HYBRID_FROM = 4
"""Hybrid rounding is TA where |E| is smaller."""

SIGNIFICAND_WIDTH = 1 + max(field.mantissa_width for field in DOT_FIELDS)
"""Bits of a decoded significand, hidden bit included: 4."""


@dataclass(frozen=True)
class FloatFormat:
    """An IEEE-754 style binary format: sign, biased exponent, fraction.

    Attributes
    ----------
    name : str
        The name users write, in lower case.
    exponent_width, fraction_width : int
        Widths of the two fields, in bits.
    dtype : numpy.dtype
        The array type that holds such values, in native byte order.
    hybrid_width : int
        Discarded bits that hybrid rounding compares with a threshold from the mantissa's own low
        bits: 14 (SR14) or 2 (SR2). Zero where the format has no hybrid rounding.
    """

    name: str
    exponent_width: int
    fraction_width: int
    dtype: np.dtype
    hybrid_width: int

    @property
    def width(self) -> int:
        """All bits of a word."""
        return 1 + self.exponent_width + self.fraction_width

    @property
    def bias(self) -> int:
        """What is subtracted from the exponent field."""
        return (1 << self.exponent_width - 1) - 1

    @property
    def inf_bits(self) -> int:
        """The word of plus infinity."""
        return (1 << self.exponent_width) - 1 << self.fraction_width

    @property
    def nan_bits(self) -> int:
        """The word of the positive quiet NaN that HiF8's NaN decodes to."""
        return self.inf_bits | 1 << self.fraction_width - 1

    @property
    def word(self) -> np.dtype:
        """The unsigned integer type of the same width."""
        return np.dtype(f"u{self.width // 8}")


FP16 = FloatFormat("fp16", 5, 10, np.dtype(np.float16), 2)
BF16 = FloatFormat("bf16", 8, 7, np.dtype(ml_dtypes.bfloat16), 2)
FP32 = FloatFormat("fp32", 8, 23, np.dtype(np.float32), 14)
FP64 = FloatFormat("fp64", 11, 52, np.dtype(np.float64), 0)
FLOAT_FORMATS = (FP16, BF16, FP32, FP64)


def float_format(dtype: np.dtype | type) -> FloatFormat:
    """Return the `FloatFormat` that an array type belongs to, whatever its byte order.

    Raises
    ------
    TypeError
        If `dtype` is none of float16, bfloat16, float32 and float64.
    """
    try:
        wanted = np.dtype(dtype)
    except TypeError:
        wanted = None
    if dtype is not None and wanted is not None:
        for candidate in FLOAT_FORMATS:
            if candidate.dtype in (wanted, wanted.newbyteorder("=")):
                return candidate
    shown = dtype if wanted is None or dtype is None else wanted.name
    raise TypeError(f"dtype must be float16, bfloat16, float32 or float64, not {shown!r}")
