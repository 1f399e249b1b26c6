# SPDX-License-Identifier: Apache-2.0
"""Table: the typical values of HiF8 and of the other formats (paper, Table 4, extended).

Imports `analysis.formats`.
"""

import numpy as np
import numpy.typing as npt

from .formats import FORMATS, Format, exact_text

NONE = "none"


def compute() -> list[dict[str, str]]:
    """Look up the special and the extreme values in the code table of every format.

    Returns
    -------
    list of dict
        One row per quantity: its name under ``quantity``, then one cell per format under the
        format's label. A value and its code, or several ranges of codes, are lines of a cell.
        Codes of 8-bit formats are binary, S standing for either sign; those of 16-bit formats are
        hexadecimal.
    """
    return [
        {"quantity": quantity} | {entry.label: cell(entry) for entry in FORMATS.values()}
        for quantity, cell in QUANTITIES.items()
    ]


def _value_and_code(entry: Format, value: float) -> str:
    """Return a value and the code that stands for it, on two lines."""
    return f"{exact_text(value)}\n{codes_text(entry.table == value, entry.width)}"


def _smallest_subnormal(entry: Format) -> str:
    """Return the smallest positive value and its code, if it is not a normal one."""
    smallest = entry.positive[0]
    return NONE if smallest == entry.smallest_normal else _value_and_code(entry, smallest)


QUANTITIES = {
    "bits": lambda entry: str(entry.width),
    "zero": lambda entry: codes_text(entry.table == 0, entry.width),
    "NaN (posit: NaR)": lambda entry: codes_text(np.isnan(entry.table), entry.width),
    "infinity": lambda entry: codes_text(np.isinf(entry.table), entry.width),
    "largest finite": lambda entry: _value_and_code(entry, entry.positive[-1]),
    "smallest normal": lambda entry: _value_and_code(entry, entry.smallest_normal),
    "smallest subnormal or denormal": _smallest_subnormal,
    "distinct finite values": lambda entry: str(entry.values.size),
    "binades with values": lambda entry: str(len(entry.binades)),
}
"""What the rows show, each a function from a `Format` to the text of its cell."""


def codes_text(chosen: npt.NDArray[np.bool_], width: int) -> str:
    """Return a set of codes as text, runs of neighbours as ranges.

    Parameters
    ----------
    chosen : numpy.ndarray of bool
        For every code whether it belongs to the set; 2^width of them.
    width : int
        Bits of a code. Up to 8 the text is binary, with S as the leading bit if both signs belong
        to the set alike; above, it is hexadecimal.
    """
    positive, negative = np.split(chosen, 2)
    if width > 8:
        return _runs_text(chosen, "0x", f"0{width // 4}X")
    if positive.any() and np.array_equal(positive, negative):
        return _runs_text(positive, "S", f"0{width - 1}b")
    return _runs_text(chosen, "", f"0{width}b")


def _runs_text(chosen: npt.NDArray[np.bool_], prefix: str, layout: str) -> str:
    """Return the runs of true entries, first to last index of each, one a line."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], chosen, [False]))))
    runs = zip(edges[::2], edges[1::2] - 1, strict=True)
    texts = (
        "..".join(f"{prefix}{code:{layout}}" for code in dict.fromkeys((first, last)))
        for first, last in runs
    )
    return "\n".join(texts) or NONE
