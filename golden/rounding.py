# SPDX-License-Identifier: Apache-2.0
"""The rounding modes of an encoder, and what each means.

Imports nothing of the project.
"""

from enum import Enum


class Rounding(Enum):
    """How `encode` chooses between the two HiF8 values next to its argument.

    Attributes
    ----------
    TA
        Round half away from zero (paper, section 3; the vendor's CAST_ROUND): up in magnitude
        exactly if the leading discarded bit is 1. This is the value nearest to the argument, ties
        going away from zero, also where the number of mantissa bits changes.
    """

    TA = "ta"

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
