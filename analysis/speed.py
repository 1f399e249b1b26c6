# SPDX-License-Identifier: Apache-2.0
"""Time of golden's functions per element, against their peers and a plain copy.

Imports golden, NumPy, ml_dtypes and rich; en_dtypes, gfloat and numba inside `measure`, if
installed. The figure to compare with peers is that of golden in NumPy.
"""

import importlib
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import ml_dtypes
import numpy as np
from rich.table import Table

from ..golden import kernels
from ..golden.decode import decode
from ..golden.encode import encode
from ..golden.matmul import matmul

GFLOAT_ELEMENTS = 100_000
"""As many as gfloat is given at most: it is a reference by design, and takes its time."""

MATRIX = 512
"""Rows and columns of the matrices that are multiplied; the elements are those of the result."""

NOT_INSTALLED = "not installed"
SEED = 2409_16626


class Row(NamedTuple):
    """One operation and what it took.

    Attributes
    ----------
    operation : str
        The library, the type and the direction.
    elements : int
        How many elements it was timed on; 0 if it was not.
    ns_per_element : float or None
        Nanoseconds per element, the best of the repeats; None if it was not timed.
    extra_bytes : int or None
        Peak memory beyond input and output; None if it was not measured.
    note : str
        What the reader should know besides.
    """

    operation: str
    elements: int
    ns_per_element: float | None
    extra_bytes: int | None = None
    note: str = ""


class _Candidate(NamedTuple):
    """An operation to time: `run` is None if its library is not installed."""

    operation: str
    elements: int
    run: Callable[[], np.ndarray] | None
    traced: bool = False
    note: str = ""
    peer: str = ""
    """The operation whose time the note compares this one's with."""


def _golden(x: np.ndarray, way: str, loops: kernels.Loops | None) -> list[_Candidate]:
    """Return golden's encode in both modes and its decode, with loops of one kind."""
    codes = encode(x)
    operations = {
        "encode TA": lambda: encode(x, "ta"),
        "encode HR": lambda: encode(x, "hr"),
        "decode": lambda: decode(codes),
    }

    def with_loops(operation: Callable[[], np.ndarray]) -> Callable[[], np.ndarray]:
        def run() -> np.ndarray:
            with kernels.using(loops):
                return operation()

        return run

    if loops is None:
        return [_Candidate(f"hif8 {name}, {way}", 0, None) for name in operations]
    return [
        _Candidate(f"hif8 {name}, {way}", x.size, with_loops(operation), traced=True)
        for name, operation in operations.items()
    ]


def _casts(name: str, x: np.ndarray, dtype: np.dtype | type, note: str) -> list[_Candidate]:
    """Return the casts of `x` to a NumPy extension type and back."""
    narrow = x.astype(dtype)
    return [
        _Candidate(f"{name} astype", x.size, lambda: x.astype(dtype), note=note),
        _Candidate(f"{name} back", x.size, lambda: narrow.astype(x.dtype), note=note),
    ]


def _en_dtypes(x: np.ndarray) -> list[_Candidate]:
    name = "en_dtypes hifloat8"
    try:
        library = importlib.import_module("en_dtypes")
    except ImportError:
        return [_Candidate(f"{name} {way}", 0, None) for way in ("astype", "back")]
    return _casts(name, x, library.hifloat8, "the same format")


def _gfloat(x: np.ndarray) -> list[_Candidate]:
    name = "gfloat ocp_e4m3"
    try:
        library = importlib.import_module("gfloat")
        formats = importlib.import_module("gfloat.formats")
    except ImportError:
        return [_Candidate(f"{name} {way}", 0, None) for way in ("encode", "decode")]
    kind = formats.format_info_ocp_e4m3
    few = x[:GFLOAT_ELEMENTS].copy()

    def run() -> np.ndarray:
        return library.encode_ndarray(kind, library.round_ndarray(kind, few))

    codes = run()
    note = f"on {few.size:,} elements" if few.size < x.size else ""
    return [
        _Candidate(f"{name} encode", few.size, run, note=note),
        _Candidate(
            f"{name} decode", few.size, lambda: library.decode_ndarray(kind, codes), note=note
        ),
    ]


def _matmul(rng: np.random.Generator) -> list[_Candidate]:
    """Return the matrix products of codes, and NumPy's of as many float32."""
    a, b = rng.standard_normal((2, MATRIX, MATRIX), np.float32)
    codes = encode(a), encode(b)
    name, elements = "NumPy matmul float32", MATRIX**2
    ways = {
        "exact": {},
        "fp32": {"accumulator": "fp32"},
        "fused, 8 lanes": {"accumulator": "fused", "lanes": 8},
    }
    return [
        _Candidate(name, elements, lambda: a @ b, note=" x ".join([str(MATRIX)] * 3)),
        *(
            _Candidate(
                f"hif8 matmul {way}", elements, partial(matmul, *codes, **options), peer=name
            )
            for way, options in ways.items()
        ),
    ]


def _time(run: Callable[[], np.ndarray]) -> int:
    """Return the nanoseconds that one call takes, its output's allocation included."""
    start = time.perf_counter_ns()
    result = run()
    elapsed = time.perf_counter_ns() - start
    del result
    return elapsed


def _extra_bytes(run: Callable[[], np.ndarray]) -> int:
    """Return the peak memory of one call beyond its input, which exists already, and its output."""
    tracemalloc.start()
    try:
        result = run()
        return tracemalloc.get_traced_memory()[1] - result.nbytes
    finally:
        tracemalloc.stop()


def measure(elements: int = 10_000_000, repeats: int = 5) -> list[Row]:
    """Time encode and decode, their peers and a plain copy on one array, and matrix products.

    The numbers are FP32, of a standard normal distribution. The operations take turns, so that what
    else the machine does meanwhile falls on all of them; the best turn of each counts. A turn that
    does not count goes before, for what is loaded, compiled or computed only once.

    Parameters
    ----------
    elements : int
        The size of the array.
    repeats : int
        How many turns each operation has.

    Returns
    -------
    list of Row
        The copy first, then hif8 in NumPy and compiled, then the peers, then the matrix products. A
        library that is not installed has rows too, which say so.

    Raises
    ------
    ValueError
        If `elements` or `repeats` is not positive.
    """
    if elements < 1:
        raise ValueError(f"elements must be positive, not {elements!r}")
    if repeats < 1:
        raise ValueError(f"repeats must be positive, not {repeats!r}")
    rng = np.random.default_rng(SEED)
    x = rng.standard_normal(elements, np.float32)
    candidates = [
        _Candidate("copy", elements, x.copy, note="float32 to float32"),
        *_golden(x, "NumPy", kernels.NUMPY),
        *_golden(x, "compiled", kernels.compiled()),
        *_en_dtypes(x),
        *_casts("ml_dtypes float8_e4m3fn", x, ml_dtypes.float8_e4m3fn, ""),
        *_casts("ml_dtypes float8_e5m2", x, ml_dtypes.float8_e5m2, ""),
        *_gfloat(x),
        *_matmul(rng),
    ]
    runs = {c.operation: c.run for c in candidates if c.run is not None}
    for run in runs.values():
        run()
    turns = [{operation: _time(run) for operation, run in runs.items()} for _ in range(repeats)]
    best = {operation: min(turn[operation] for turn in turns) for operation in runs}
    return [
        Row(c.operation, 0, None, note=NOT_INSTALLED)
        if c.run is None
        else Row(
            operation=c.operation,
            elements=c.elements,
            ns_per_element=best[c.operation] / c.elements,
            extra_bytes=_extra_bytes(c.run) if c.traced else None,
            note=f"{best[c.operation] / best[c.peer]:.1f} x {c.peer}" if c.peer else c.note,
        )
        for c in candidates
    ]


def table(rows: list[Row]) -> Table:
    """Lay out rows for a terminal.

    Parameters
    ----------
    rows : list of Row
        From `measure`.

    Returns
    -------
    rich.table.Table
        One line a row, its units in the column heads; an empty cell is a figure not measured.
    """
    result = Table(title="golden against its peers")
    result.add_column("operation", no_wrap=True)
    for head in ("elements", "ns/element", "extra KB"):
        result.add_column(head, justify="right")
    result.add_column("note")
    for row in rows:
        result.add_row(
            row.operation,
            f"{row.elements:,}" if row.elements else "",
            "" if row.ns_per_element is None else f"{row.ns_per_element:.2f}",
            "" if row.extra_bytes is None else f"{row.extra_bytes / 1000:,.0f}",
            row.note,
        )
    return result
