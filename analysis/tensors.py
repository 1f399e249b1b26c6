# SPDX-License-Identifier: Apache-2.0
"""What becomes of a tensor's values in each format of 8 bits: noise, best scale, lost values.

Imports `golden.decode`, `golden.encode`, `golden.format`, `golden.nearest` and `analysis.formats`.
A tensor is read once, chunk by chunk, and only sums over *cells* are kept. No format rounds two
values inside of a cell apart, at whatever power-of-two scale, so that the sums give the noise of
every format at every scale as the values themselves would.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..golden import format as f
from ..golden.decode import dot_field
from ..golden.encode import encode
from ..golden.nearest import quantize
from .formats import EIGHT_BITS, Format, exponent_of

Floats = npt.NDArray[np.float64]

FRACTION_WIDTH = 7
"""Leading fraction bits that tell cells apart: INT8 rounds at 126.5, which has as many."""
_BELOW = f.FP64.fraction_width - FRACTION_WIDTH
_LOW_BITS = np.uint64((1 << _BELOW) - 1)
_INSIDE = np.uint64(1 << _BELOW - 1)
_CELLS = 2 * (f.FP64.inf_bits >> _BELOW)
"""Two for each leading part of a finite FP64 magnitude: that value alone, and what is above it."""

_SMALLEST = np.finfo(np.float64).smallest_normal

CLIPPED = 16
"""Binades: the scales that are tried move the largest magnitude to each binade that the format has,
and up to so many above."""
_FAR = 2.0**500
"""Its square is finite; an error as large as that is infinite in all but name."""
ZERO = "zero"
"""What takes the place of a dot field's name for values whose code is zero."""
FIELDS = (*(field.name for field in reversed(f.DOT_FIELDS[:-1])), f.DOT_FIELDS[-1].name, ZERO)
"""The dot fields from the middle outwards, denormals, zero."""
TOTAL = "all tensors"


class Row(NamedTuple):
    """One tensor in one format, or all tensors of a file together.

    Attributes
    ----------
    tensor, format : str
        Name of the tensor, and key of `EIGHT_BITS`.
    values : int
        How many the tensor has. Those that are not finite count here and in the next two alone.
    nan, infinite : int
        How many of them are so.
    zeros : int
        How many are zero, subnormals of FP64 included.
    mean_square : float
        Of the finite values.
    snr_db : float
        Mean square over that of the rounding error, cast as it is; beyond the largest finite value
        values become that. Infinite if no value is rounded, NaN if all are zero.
    scaled_db : float
        The same if the tensor is multiplied by the best power of two before, and divided after.
    log2_scale : int, optional
        The exponent of that power, of equally good ones that nearest to 0; of all tensors None, for
        each has its own.
    flushed, saturated : int
        How many values become zero without being it, and how many are beyond the largest finite
        value, cast as they are.
    flushed_scaled, saturated_scaled : int
        The same at the best scale.
    """

    tensor: str
    format: str
    values: int
    nan: int
    infinite: int
    zeros: int
    mean_square: float
    snr_db: float
    scaled_db: float
    log2_scale: int | None
    flushed: int
    saturated: int
    flushed_scaled: int
    saturated_scaled: int

    @property
    def finite(self) -> int:
        """How many values are neither NaN nor infinite."""
        return self.values - self.nan - self.infinite


class Binade(NamedTuple):
    """The values of one tensor in one binade.

    Attributes
    ----------
    tensor : str
        Name of the tensor.
    exponent : int
        E of the binade [2^E, 2^(E+1)).
    values : int
        How many have a magnitude in it.
    share : float
        The same over all that are finite and not zero, from 0 to 1.
    """

    tensor: str
    exponent: int
    values: int
    share: float


class Field(NamedTuple):
    """The values of one tensor whose HiF8 codes have one dot field, cast as they are.

    Attributes
    ----------
    tensor, dot_field : str
        Name of the tensor, and one of `FIELDS`.
    values : int
        How many.
    share : float
        The same over all that are finite, from 0 to 1.
    """

    tensor: str
    dot_field: str
    values: int
    share: float


class Summary(NamedTuple):
    """One tensor, or several.

    Attributes
    ----------
    rows : list of Row
        One a format, tensor by tensor.
    binades : list of Binade
        Those that have values, exponents ascending, tensor by tensor.
    fields : list of Field
        All `FIELDS`, tensor by tensor.
    """

    rows: list[Row]
    binades: list[Binade]
    fields: list[Field]


class Moments:
    """Sums over the cells of a tensor's magnitudes, to which chunks are added in any order.

    With c the cell's lower end and E its binade, a magnitude is c + t * 2^E, and the cell's sums
    are those of 1, t and t^2: small numbers, whatever the tensor's scale.

    Attributes
    ----------
    nan, infinite, zeros : int
        How many values were so; the sums are without them. Subnormals of FP64 count as zeros.
    sums : numpy.ndarray of float64
        Three a cell.
    """

    def __init__(self) -> None:
        self.nan = self.infinite = self.zeros = 0
        self.sums = np.zeros((3, _CELLS))

    def add(self, chunk: npt.ArrayLike) -> None:
        """Add values.

        Parameters
        ----------
        chunk : array_like of floating point
            Any shape.
        """
        with np.errstate(invalid="ignore"):  # signalling NaNs
            magnitudes = np.abs(np.asarray(chunk).astype(np.float64).ravel())
        ordinary = (magnitudes >= _SMALLEST) & (magnitudes < np.inf)
        if not ordinary.all():
            self.nan += int(np.isnan(magnitudes).sum())
            self.infinite += int(np.isinf(magnitudes).sum())
            self.zeros += int((magnitudes < _SMALLEST).sum())
            magnitudes = magnitudes[ordinary]
        if not magnitudes.size:
            return
        words = magnitudes.view(np.uint64)
        low = words & _LOW_BITS
        cells = (words >> np.uint64(_BELOW) << np.uint64(1) | (low > 0)).astype(np.intp)
        t = low * 2.0**-f.FP64.fraction_width
        first = cells.min()
        cells -= first
        for sums, weights in zip(self.sums, (None, t, t * t), strict=True):
            found = np.bincount(cells, weights)
            sums[first : first + found.size] += found

    def merge(self, other: "Moments") -> None:
        """Add the values that another one was given."""
        self.nan += other.nan
        self.infinite += other.infinite
        self.zeros += other.zeros
        self.sums += other.sums


class _Cells(NamedTuple):
    """The cells that have values; magnitudes in units of 2^top, the binade of the largest.

    Attributes
    ----------
    inside : numpy.ndarray of float64
        A magnitude of each cell, in ones: any, for all are rounded alike.
    ends, widths : numpy.ndarray of float64
        c and 2^E.
    count, first, second : numpy.ndarray of float64
        The sums of 1, t and t^2.
    top : int
        0 if all values are zero, and no cell has any.
    """

    inside: Floats
    ends: Floats
    widths: Floats
    count: Floats
    first: Floats
    second: Floats
    top: int

    @classmethod
    def of(cls, sums: Floats) -> "_Cells":
        """Return the cells of sums that have any."""
        occupied = np.flatnonzero(sums[0])
        words = (occupied >> 1).astype(np.uint64) << np.uint64(_BELOW)
        inside = (words | np.where(occupied & 1, _INSIDE, np.uint64(0))).view(np.float64)
        ends = words.view(np.float64)
        exponents = (occupied >> FRACTION_WIDTH + 1) - f.FP64.bias
        top = int(exponent_of(inside[-1])) if inside.size else 0
        widths = np.ldexp(1.0, exponents - top)
        return cls(inside, np.ldexp(ends, -top), widths, *sums[:, occupied], top)

    def squares(self, about: Floats | float = 0.0) -> float:
        """Return the sum of the squared distances from a magnitude for each cell."""
        d = self.ends - about
        w = self.widths
        return float(np.sum(self.count * d**2 + 2 * d * w * self.first + w**2 * self.second))


class _Rounded(NamedTuple):
    """What rounding does to a tensor at one scale."""

    snr_db: float
    log2_scale: int
    flushed: int
    saturated: int


def _round(cells: _Cells, entry: Format, log2_scale: int) -> _Rounded:
    """Round to the nearest finite value of a format."""
    with np.errstate(over="ignore"):  # float64 goes far beyond the range of any format
        scaled = np.ldexp(cells.inside, log2_scale)
        rounded = quantize(scaled, entry.name, saturate=True)
        back = np.ldexp(rounded, -log2_scale - cells.top)
        noise = cells.squares(np.minimum(back, _FAR))
    return _Rounded(
        decibels(cells.squares(), noise),
        log2_scale,
        int(cells.count[rounded == 0].sum()),
        int(cells.count[scaled > entry.positive[-1]].sum()),
    )


def decibels(signal: float, noise: float) -> float:
    """Return a ratio in dB: infinite without noise, NaN without signal."""
    if signal == 0:
        return math.nan
    return 10 * (math.log10(signal) - math.log10(noise)) if noise else math.inf


def scales(entry: Format, top: int) -> list[int]:
    """Return the exponents of the scales that are tried: 0 first, of others those nearest to it.

    Parameters
    ----------
    entry : Format
        What is rounded to.
    top : int
        The binade of the tensor's largest magnitude.
    """
    lowest, highest = min(entry.binades), max(entry.binades)
    return sorted({0, *range(lowest - top, highest + CLIPPED - top + 1)}, key=lambda k: (abs(k), k))


def summarise(name: str, moments: Moments) -> Summary:
    """Return what becomes of a tensor's values in every format.

    Parameters
    ----------
    name : str
        Of the tensor.
    moments : Moments
        Of all its values.
    """
    cells = _Cells.of(moments.sums)
    finite = int(cells.count.sum()) + moments.zeros
    with np.errstate(over="ignore"):
        mean_square = float(np.ldexp(cells.squares() / finite, 2 * cells.top)) if finite else 0.0
    rows = []
    for entry in EIGHT_BITS.values():
        tried = [_round(cells, entry, k) for k in scales(entry, cells.top)]
        plain, best = tried[0], max(tried, key=lambda found: round(found.snr_db, 9))
        rows.append(
            Row(
                tensor=name,
                format=entry.name,
                values=finite + moments.nan + moments.infinite,
                nan=moments.nan,
                infinite=moments.infinite,
                zeros=moments.zeros,
                mean_square=mean_square,
                snr_db=plain.snr_db,
                scaled_db=best.snr_db,
                log2_scale=best.log2_scale,
                flushed=plain.flushed,
                saturated=plain.saturated,
                flushed_scaled=best.flushed,
                saturated_scaled=best.saturated,
            )
        )
    return Summary(rows, _binades(name, cells), _fields(name, cells, moments.zeros))


def _binades(name: str, cells: _Cells) -> list[Binade]:
    """Count the values in every binade."""
    counts: dict[int, int] = defaultdict(int)
    exponents = exponent_of(cells.inside).tolist()
    for E, count in zip(exponents, cells.count.tolist(), strict=True):
        counts[E] += int(count)
    total = sum(counts.values())
    return [Binade(name, E, count, count / total) for E, count in counts.items()]


def _fields(name: str, cells: _Cells, zeros: int) -> list[Field]:
    """Count the values in every dot field."""
    counts = dict.fromkeys(FIELDS, 0) | {ZERO: zeros}
    codes = encode(cells.inside, saturate=True).tolist()
    for code, count in zip(codes, cells.count.tolist(), strict=True):
        counts[ZERO if code == f.ZERO else dot_field(code).name] += int(count)
    total = sum(counts.values())
    return [
        Field(name, key, count, count / total if total else 0.0) for key, count in counts.items()
    ]


def of_array(name: str, array: npt.ArrayLike) -> Summary:
    """Return what becomes of an array's values in every format."""
    moments = Moments()
    moments.add(array)
    return summarise(name, moments)


def kind(name: str) -> str:
    """Return the name of a tensor without its numbers: what layers' tensors of a kind share."""
    return re.sub(r"[ ._-]?\d+", "", name)


def joined(summaries: Iterable[Summary]) -> Summary:
    """Return several summaries as one."""
    return Summary(*([*chain(*parts)] for parts in zip(*summaries, strict=True)))


def total(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of all tensors together: squares and counts added, each at its own scale.

    Parameters
    ----------
    rows : sequence of Row
        Of at least one tensor.
    """
    return [_total([row for row in rows if row.format == name]) for name in EIGHT_BITS]


def _total(rows: list[Row]) -> Row:
    """Return the rows of one format as one."""
    with np.errstate(over="ignore"):
        signal = sum(_square(row) for row in rows)
    finite = sum(row.finite for row in rows)
    noises = [
        sum(_square(row) * 10 ** (-getattr(row, ratio) / 10) for row in rows if row.mean_square)
        for ratio in ("snr_db", "scaled_db")
    ]
    added = {
        name: sum(getattr(row, name) for row in rows)
        for name in Row._fields
        if isinstance(getattr(rows[0], name), int)
    }
    plain, scaled = (decibels(signal, noise) for noise in noises)
    return rows[0]._replace(
        **added
        | {
            "tensor": TOTAL,
            "mean_square": signal / finite if finite else 0.0,
            "snr_db": plain,
            "scaled_db": scaled,
            "log2_scale": None,
        }
    )


def _square(row: Row) -> float:
    """Return the sum of the squares of a tensor's values."""
    return row.mean_square * row.finite
