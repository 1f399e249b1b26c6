# SPDX-License-Identifier: Apache-2.0
"""How figures look and are saved: one canvas, equal bytes for equal drawings.

Imports `hif8.files`.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from .. import files

SETTINGS = {
    "font.family": "DejaVu Sans",  # comes with Matplotlib: the same outlines everywhere
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.hashsalt": "hif8",
    "svg.fonttype": "path",
    "path.simplify": False,
}
"""On top of Matplotlib's defaults, whatever a user's own matplotlibrc says."""

NO_METADATA = {
    ".svg": dict.fromkeys(("Creator", "Date", "Format", "Type")),
    ".png": {"Software": None},
}
"""Nothing in the files but the picture: no date and no version."""


@contextmanager
def canvas(path: Path, *, width: float = 9.0, height: float = 5.0) -> Iterator[Figure]:
    """Give an empty white figure, and write it when its block ends.

    Parameters
    ----------
    path : Path
        Where to; the suffix ``.svg`` or ``.png`` says as what. Equal drawings give equal bytes.
    width, height : float
        In inches.

    Yields
    ------
    matplotlib.figure.Figure
        To draw on; laid out so that labels never overlap axes.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    suffix = path.suffix
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)
        figure = Figure(figsize=(width, height), dpi=144, layout="constrained", facecolor="white")
        yield figure
        stream = io.BytesIO()
        figure.savefig(stream, format=suffix[1:], metadata=NO_METADATA[suffix])
    files.write(path, stream.getvalue())
