# SPDX-License-Identifier: Apache-2.0
"""Table: the dynamic range of every format, and where in it how much precision lies.

Imports `analysis.formats`. Everything is counted in the tables of codes.
"""

import math
from typing import NamedTuple

import numpy as np

from .formats import FORMATS, INT8, Format

TABLED = FORMATS | {INT8.name: INT8}


class Row(NamedTuple):
    """One format.

    Attributes
    ----------
    format : str
        Name of the format.
    bits : int
        Of a code.
    smallest, smallest_normal, largest : float
        The smallest positive value, the smallest that is neither subnormal nor denormal, and the
        largest finite one.
    binades : int
        How many binades have a value.
    decades : float
        log10 of the largest value over the smallest positive one.
    decibels : float
        The same in dB: 20 to the decade.
    significand_bits : int
        Of the most precise binade, the hidden bit counted.
    more, three, two, one, none : int
        How many binades have more than three mantissa bits, three, two, one and none. An infinity
        or a NaN counts as a value of the last binade if it takes the place of one.
    worst_error, best_error : float
        The largest relative error of rounding to the nearest value, from 0 to 1: between the
        smallest normal value and the largest one, and in the most precise binade. (At their ends
        posits round by the bit string, not to the nearest, and may be off by more.)
    """

    format: str
    bits: int
    smallest: float
    smallest_normal: float
    largest: float
    binades: int
    decades: float
    decibels: float
    significand_bits: int
    more: int
    three: int
    two: int
    one: int
    none: int
    worst_error: float
    best_error: float


def compute() -> list[Row]:
    """Return a row for every format, INT8 among them."""
    return [_row(entry) for entry in TABLED.values()]


def mantissa_bits(entry: Format) -> dict[int, int]:
    """Return log2 of the number of codes in the binade, for each binade E that has values.

    An infinity or a NaN counts in the last binade if it takes the place of a value there: if the
    binade has as many codes as the one below it only together with those.
    """
    counts = dict(entry.binades)
    last = max(counts)
    special = int((~np.isfinite(entry.table[: entry.table.size // 2])).sum())
    if counts[last] + special == counts.get(last - 1):
        counts[last] += special
    return {E: count.bit_length() - 1 for E, count in counts.items()}


def _row(entry: Format) -> Row:
    """Count in the table of one format."""
    smallest, largest = float(entry.positive[0]), float(entry.positive[-1])
    widths = mantissa_bits(entry)
    most = max(widths.values())
    binades = list(widths.values())
    best = next(E for E, width in widths.items() if width == most)
    decades = math.log10(largest) - math.log10(smallest)
    return Row(
        format=entry.name,
        bits=entry.width,
        smallest=smallest,
        smallest_normal=entry.smallest_normal,
        largest=largest,
        binades=len(binades),
        decades=decades,
        decibels=20 * decades,
        significand_bits=1 + most,
        more=sum(width > 3 for width in binades),
        three=binades.count(3),
        two=binades.count(2),
        one=binades.count(1),
        none=binades.count(0),
        worst_error=_error(entry, entry.smallest_normal, largest),
        best_error=_error(entry, 2.0**best, 2.0 ** (best + 1)),
    )


def _error(entry: Format, low: float, high: float) -> float:
    """Return the largest relative error between two values: midway between neighbours."""
    values = entry.positive[(entry.positive >= low) & (entry.positive <= high)]
    below, above = values[:-1], values[1:]
    return float(np.max((above - below) / (above + below)))
