# SPDX-License-Identifier: Apache-2.0
"""What ``hif8 analyze`` measures in a file, prints and saves.

Imports `files`, `analysis.formats`, `analysis.tensor_files` and `analysis.tensors`; the figures'
modules once they are drawn.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from .. import files
from .formats import EIGHT_BITS, HIF8
from .tensor_files import Stored, TensorFile
from .tensors import CLIPPED, FIELDS, Moments, Row, Summary, joined, summarise, total

NOTES = (
    "Signal to noise: mean square of the finite values over that of the rounding error, cast as "
    "they are, and after the dot at the tensor's best power-of-two scale, of all that move its "
    f"largest magnitude into the format's range or up to {CLIPPED} binades above. What is beyond "
    "the largest finite value becomes that. INT8 counts in ones. Of all tensors the squares are "
    "added, each at its own scale.",
    "Dot fields are of the HiF8 codes without a scale, D4 with the fewest mantissa bits, DML "
    "denormal: shares of the finite values. To zero: values that are not zero and become it; "
    "beyond: those above the largest finite value.",
)


def measure(found: TensorFile, moved: Callable[[str, int], None]) -> Summary:
    """Return what becomes of all tensors of a file.

    Parameters
    ----------
    found : TensorFile
        From `tensor_files.look`.
    moved : callable
        Is told a tensor's name and the number of its elements after every chunk.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is damaged.
    """

    def one(stored: Stored) -> Summary:
        moments = Moments()
        for chunk in stored.chunks():
            moments.add(chunk)
            moved(stored.name, chunk.size)
        return summarise(stored.name, moments)

    return joined(map(one, found.tensors))


def tables(summary: Summary) -> list[Table]:
    """Return the ratios, and where HiF8's codes lie; a line a tensor, and one for all."""
    ratios, codes = Table(box=SIMPLE_HEAD), Table(box=SIMPLE_HEAD)
    for table in (ratios, codes):
        table.add_column("tensor", overflow="fold")
    for name in ("values", *(f"{entry.label} dB" for entry in EIGHT_BITS.values())):
        ratios.add_column(name, justify="right")
    for name in (
        "best scale",
        *(f"{name} %" for name in FIELDS),
        "to zero",
        "beyond",
        "NaN",
        "inf",
    ):
        codes.add_column(name, justify="right")
    for rows, shares in _lines(summary):
        (ours,) = (row for row in rows if row.format == HIF8.name)
        ratios.add_row(Text(ours.tensor), f"{ours.values:,}", *map(_ratios, rows))
        codes.add_row(
            Text(ours.tensor),  # brackets in a name are no markup
            "-" if ours.log2_scale is None else f"2^{ours.log2_scale}",
            *map(_percent, shares),
            *map(_count, (ours.flushed, ours.saturated, ours.nan, ours.infinite)),
        )
    return [ratios, codes]


def _lines(summary: Summary) -> Iterator[tuple[list[Row], list[float]]]:
    """Yield the rows and the shares of the dot fields, tensor by tensor; of several then of all."""
    every = dict.fromkeys(FIELDS, 0)
    formats, fields = len(EIGHT_BITS), len(FIELDS)
    tensors = len(summary.rows) // formats
    for k in range(tensors):
        found = summary.fields[k * fields : (k + 1) * fields]
        for field in found:
            every[field.dot_field] += field.values
        yield summary.rows[k * formats : (k + 1) * formats], [field.share for field in found]
    if tensors > 1:
        count = sum(every.values()) or 1
        yield total(summary.rows), [values / count for values in every.values()]


def _ratios(row: Row) -> str:
    """Return both ratios of a row."""
    return " · ".join(_decibels(db) for db in (row.snr_db, row.scaled_db))


def _decibels(db: float) -> str:
    return "-" if math.isnan(db) else "exact" if db == math.inf else f"{round(db, 1) + 0:.1f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}" if share >= 5e-4 else "<0.1" if share else "-"


def _count(count: int) -> str:
    return f"{count:,}" if count else "-"


def texts(path: Path, found: TensorFile, summary: Summary) -> list[str]:
    """Return what is to be said beside the tables: what was left out, and what the columns are."""
    lines = [f"{path}: {name} left out, {what}" for name, what in found.skipped.items()]
    for row in summary.rows:
        if row.format == HIF8.name and row.nan + row.infinite:
            lines.append(
                f"{path}: {row.tensor} has {row.nan:,} NaN and {row.infinite:,} infinite values, "
                "which no ratio takes in"
            )
    return [*lines, *NOTES]


def save(summary: Summary, folder: Path) -> list[Path]:
    """Write a summary's lists as CSV, and draw the figures of the ratios and of the binades.

    Parameters
    ----------
    summary : Summary
        Of at least one tensor.
    folder : Path
        Made if missing.

    Returns
    -------
    list of Path
        What was written. Of tensors of zeros alone there are no binades.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    from . import real_binades, real_tensors

    lists = {"ratios": summary.rows, "dot_fields": summary.fields, "binades": summary.binades}
    written = [
        files.write_csv(folder / f"{name}.csv", rows) for name, rows in lists.items() if rows
    ]
    figures = {"ratios": real_tensors, "binades": real_binades}
    for name, module in figures.items():
        for suffix in (".svg", ".png") if lists[name] else ():
            module.draw(lists[name], folder / f"{name}{suffix}")
            written.append(folder / f"{name}{suffix}")
    return written
