# SPDX-License-Identifier: Apache-2.0
"""The loops over the words of an array: in NumPy, and compiled by numba.

Imports `golden.format`; numba (``pip install hif8[fast]``) only once that pays. Both ways give the
same codes from the same tables, and know nothing of rounding but what the tables tell.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from . import format as f

CHUNK = 1 << 16
"""Elements handled at a time: temporaries stay in the cache and out of the memory figure."""

PAYS_FROM = 1 << 31
"""Elements after which a process goes over to the compiled loops.

Loading numba takes about 2 s, compiling the first time 1 s more; a compiled loop saves about 1 ns
an element. So it is time to change when 2 * 10^9 elements have come, in one array or in many:
whatever follows, less time is lost than twice what loading takes.
"""

_HIDDEN = np.uint32(1 << f.FP32.fraction_width)
_THRESHOLD_SHIFT = np.uint32(f.FP32.width - f.FP32.hybrid_width)
_CODE_SHIFT = np.uint32(8)
_WINDOW_SHIFT = np.uint32(16)

Words = npt.NDArray[np.unsignedinteger]


class Loops(NamedTuple):
    """Two loops, each over contiguous words of one chunk.

    Attributes
    ----------
    lookup : callable
        ``lookup(words, shift, table, out)``: ``out = table[words >> shift]``.
    hybrid : callable
        ``hybrid(words, shift, table, least, out)``: FP32 words to codes under HR. The entry
        ``table[words >> shift]`` holds the code if F < T in bits 0 to 7, the code if F >= T in bits
        8 to 15, and above them how far to the left the significand must go for F to lead 32 bits.
        `least` is the least threshold T: 0, or 1 for `keep_exact`.
    """

    lookup: Callable[[Words, int, np.ndarray, np.ndarray], None]
    hybrid: Callable[[Words, int, npt.NDArray[np.uint32], int, npt.NDArray[np.uint8]], None]


def _numpy_lookup(words: Words, shift: int, table: np.ndarray, out: np.ndarray) -> None:
    table.take(words >> shift if shift else words, out=out, mode="clip")


def _numpy_hybrid(
    words: npt.NDArray[np.uint32],
    shift: int,
    table: npt.NDArray[np.uint32],
    least: int,
    out: npt.NDArray[np.uint8],
) -> None:
    # F and T lead 32 bits each: what follows F is less than the last place of T.
    entries = table.take(words >> shift, mode="clip")
    discarded = words | _HIDDEN
    discarded <<= entries >> _WINDOW_SHIFT
    threshold = words << _THRESHOLD_SHIFT
    if least:
        np.maximum(threshold, np.uint32(least) << _THRESHOLD_SHIFT, out=threshold)
    place = np.multiply(discarded >= threshold, _CODE_SHIFT, out=threshold)
    np.right_shift(entries, place, out=out, dtype=np.uint32, casting="unsafe")


def _compiled_lookup(words: Words, shift: np.unsignedinteger, table: Words, out: Words) -> None:
    for i in range(words.size):
        out[i] = table[words[i] >> shift]


def _compiled_hybrid(
    words: npt.NDArray[np.uint32],
    shift: np.uint32,
    table: npt.NDArray[np.uint32],
    least: np.uint32,
    out: npt.NDArray[np.uint8],
) -> None:
    for i in range(words.size):
        word = words[i]
        entry = table[word >> shift]
        discarded = np.uint32((word | _HIDDEN) << (entry >> _WINDOW_SHIFT))
        threshold = max(np.uint32(word << _THRESHOLD_SHIFT), least)
        # Without a branch, which would be mispredicted every other time.
        out[i] = np.uint8(entry >> np.uint32(discarded >= threshold) * _CODE_SHIFT)


NUMPY = Loops(_numpy_lookup, _numpy_hybrid)


@cache
def compiled() -> Loops | None:
    """Return the compiled loops, or None if numba is not installed or does not work here.

    numba compiles a loop when it first meets an array type, and keeps the result in a folder: that
    of this file, or the user's cache.
    """
    try:
        import numba
    except ImportError:
        return None

    def compile_(loop: Callable) -> Callable:
        try:
            return numba.njit(cache=True, nogil=True)(loop)
        except RuntimeError:  # no folder to keep it in
            return numba.njit(nogil=True)(loop)

    lookup, hybrid = compile_(_compiled_lookup), compile_(_compiled_hybrid)

    def typed_lookup(words: Words, shift: int, table: np.ndarray, out: np.ndarray) -> None:
        # numba does not know every float type, so values go by as words.
        word = f"u{table.itemsize}"
        lookup(words, words.dtype.type(shift), table.view(word), out.view(word))

    def typed_hybrid(
        words: npt.NDArray[np.uint32],
        shift: int,
        table: npt.NDArray[np.uint32],
        least: int,
        out: npt.NDArray[np.uint8],
    ) -> None:
        hybrid(words, np.uint32(shift), table, np.uint32(least) << _THRESHOLD_SHIFT, out)

    return Loops(typed_lookup, typed_hybrid)


@dataclass
class _State:
    """What decides which loops are used: how much has been done, and what `using` asks for."""

    elements: int = 0
    forced: Loops | None = None


_STATE = _State()


def choose(elements: int) -> Loops:
    """Return the loops for an array of so many elements, after all that came before it."""
    if _STATE.forced:
        return _STATE.forced
    _STATE.elements += elements
    return (_STATE.elements >= PAYS_FROM and compiled()) or NUMPY


@contextmanager
def using(loops: Loops) -> Iterator[None]:
    """Use the given loops, `NUMPY` or those of `compiled`, whatever the size of an array."""
    before, _STATE.forced = _STATE.forced, loops
    try:
        yield
    finally:
        _STATE.forced = before
