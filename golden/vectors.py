# SPDX-License-Identifier: Apache-2.0
"""Conformance vectors: what an implementation of HiF8 must give, as text that any tool reads.

Imports `golden.format`, `decode`, `encode`, `rounding` and `files`. A file is rows of hexadecimal
columns of fixed width, joined by underscores, below comments that begin with ``//``: a row is one
word to Verilog's ``$readmemh``, one ``sscanf`` to C and one line of a delimited file to NumPy.
`golden/examples` has a reader of each kind. The bytes are the same on every machine, and their
digests are kept in ``golden/vectors.sha256``.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .. import files
from . import format as f
from .decode import VALUES, decode, unpack
from .encode import KEPT_WIDTHS, encode
from .rounding import Rounding

DIGESTS = "vectors.sha256"
"""The file that lists the digests of the others, as ``sha256sum --check`` reads it."""

OPTIONS = [(saturate, nan_to_zero) for saturate in (False, True) for nan_to_zero in (False, True)]
"""Settings of `saturate` and `nan_to_zero`, in the order of their codes in a column."""

Section = tuple[str, npt.NDArray[np.unsignedinteger]]


class Column(NamedTuple):
    """One column of a file.

    Attributes
    ----------
    name : str
        What it is called in the file's comment.
    width : int
        Its width in bits, a multiple of four.
    meaning : str
        What it holds, in a line.
    """

    name: str
    width: int
    meaning: str


def texts() -> dict[str, str]:
    """Return the content of every file under its name, the digests last.

    Returns
    -------
    dict of str
        Four files of vectors, and `DIGESTS`.
    """
    made = {"decode.hex": _decode_text()}
    for source in (f.FP16, f.BF16, f.FP32):
        sections = fp32_sections() if source == f.FP32 else [("every word", _all_words(source))]
        made[f"encode_{source.name}.hex"] = _encode_text(source, sections)
    digests = [
        f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n" for name, text in made.items()
    ]
    return made | {DIGESTS: "".join(digests)}


def write(folder: Path) -> list[Path]:
    """Write every file, each whole or not at all.

    Parameters
    ----------
    folder : Path
        Where to; made if it is missing.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    OSError
        If the folder cannot be made or written to.
    """
    return [files.write(folder / name, text.encode()) for name, text in texts().items()]


def lay_out(
    title: str,
    columns: Sequence[Column],
    sections: Sequence[tuple[str, Sequence[tuple[int, ...]]]],
) -> str:
    """Return rows of integers, section by section, below a comment that explains them."""
    widest = max(len(f"{column.name}[{column.width - 1}:0]") for column in columns)
    bits = sum(column.width for column in columns)
    rows = sum(len(rows) for _, rows in sections)
    head = [
        "SPDX-License-Identifier: Apache-2.0",
        f"HiFloat8 (HiF8, arXiv 2409.16626) conformance vectors: {title}",
        f"{rows} rows of {bits} bits; columns in hexadecimal, the first the most significant:",
        *(
            f"  {f'{column.name}[{column.width - 1}:0]':{widest}}  {column.meaning}"
            for column in columns
        ),
    ]
    form = "_".join(f"{{:0{column.width // 4}X}}" for column in columns).format
    lines = [f"// {line}" for line in head]
    for name, section in sections:
        lines.append(f"// {name}: {len(section)} rows")
        lines += [form(*row) for row in section]
    return "\n".join(lines) + "\n"


def _decode_text() -> str:
    """Return the fields and the values of every code."""
    codes = np.arange(1 << f.WIDTH, dtype=np.uint8)
    fields = unpack(codes)
    targets = (f.FP32, f.FP16, f.BF16)
    columns = [
        Column("code", 8, "the HiF8 code; value = (-1)^sign significand 2^(exponent - 3)"),
        Column("sign", 4, "0 or 1; 1 for NaN"),
        Column("exponent", 8, "two's complement; -23 for zero and NaN"),
        Column("significand", 4, "with its hidden bit; 0 for zero and NaN"),
        *(Column(flag, 4, "0 or 1") for flag in ("zero", "inf", "nan")),
        *(Column(t.name, t.width, "the value as a word of this format, exact") for t in targets),
    ]
    values = [decode(codes, t.dtype).view(t.word) for t in targets]
    exponent = fields.exponent.view(np.uint8)
    numbers = [codes, fields.sign, exponent, *fields[2:], *values]
    rows = list(zip(*(column.astype(int).tolist() for column in numbers), strict=True))
    return lay_out("decoding", columns, [("every code", rows)])


def _encode_text(source: f.FloatFormat, sections: Sequence[Section]) -> str:
    """Return the codes of words under every mode and option."""
    options = "no option [7:0], nan_to_zero [15:8], saturate [23:16], both [31:24]"
    columns = [
        Column("x", source.width, f"the {source.name} word"),
        Column("ta", 32, f"its codes under TA: {options}"),
        Column("hr", 32, "its codes under HR, likewise"),
        Column("hr_keep_exact", 32, "its codes under HR with keep_exact, likewise"),
    ]
    modes = [(Rounding.TA, False), (Rounding.HR, False), (Rounding.HR, True)]
    filled = []
    for name, words in sections:
        numbers = [words, *(_codes(words, source, *mode) for mode in modes)]
        filled.append((name, list(zip(*(column.tolist() for column in numbers), strict=True))))
    return lay_out(f"encoding {source.name}", columns, filled)


def _codes(
    words: npt.NDArray[np.unsignedinteger],
    source: f.FloatFormat,
    rounding: Rounding,
    keep_exact: bool,
) -> npt.NDArray[np.uint32]:
    """Return the codes of words, those of `OPTIONS` side by side in the bytes of an integer."""
    column = np.zeros(words.shape, np.uint32)
    for place, (saturate, nan_to_zero) in enumerate(OPTIONS):
        codes = encode(
            words.view(source.dtype),
            rounding,
            saturate=saturate,
            nan_to_zero=nan_to_zero,
            keep_exact=keep_exact,
        )
        column |= codes.astype(np.uint32) << np.uint32(8 * place)
    return column


def _all_words(source: f.FloatFormat) -> npt.NDArray[np.unsignedinteger]:
    """Return every word of a 16-bit format."""
    return np.arange(1 << source.width).astype(source.word)


def fp32_sections() -> list[Section]:
    """Return the FP32 words that tell a right encoder from a wrong one, by what they are for.

    Returns
    -------
    list of (str, numpy.ndarray of uint32)
        Names, and words in ascending order without repetition.
    """
    values = np.sort(VALUES[(VALUES > 0) & np.isfinite(VALUES)])
    middles = (values + np.append(0, values[:-1])) / 2
    infinite = values[-1] * np.array([1.25, 1.5])  # where infinity begins, and its own slot
    payload = 1 << np.arange(f.FP32.fraction_width)
    infinity, all_ones = f.FP32.inf_bits, (1 << f.FP32.fraction_width) - 1
    special = [0, *payload, all_ones, infinity - 1, infinity, *(infinity | payload)]
    leading = np.arange(1 << 12)
    # The fractional part of multiples of the golden ratio spreads the other bits evenly.
    spread = leading * 0x9E3779B1 % 2**32 >> 13
    high = leading << 19
    return [
        _section("zero, subnormals, infinity, NaN", [*special, infinity | all_ones]),
        _section("every value, 3 units in the last place either side", _around(values)),
        _section(
            "every boundary, 3 units in the last place either side",
            _around(np.append(middles, infinite)),
        ),
        _section("HR: F = T, and F = T - 1 and T + 1 modulo 2^14", _f_near_t()),
        _section("every exponent and 4 leading fraction bits", [*high, *(high | spread)]),
    ]


def _section(name: str, positive: npt.ArrayLike) -> Section:
    """Return words with both signs."""
    words = np.asarray(positive, np.int64)
    return name, np.unique([words, words | 1 << 31]).astype(np.uint32)


def _around(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the FP32 words of positive values and of their neighbours."""
    words = values.astype(np.float32).view(np.uint32).astype(np.int64)
    return (words[:, np.newaxis] + np.arange(-3, 4)).ravel()


def _f_near_t() -> list[int]:
    """Return positive FP32 words whose F is T, T - 1 or T + 1, in every binade that compares them.

    F is a window of the word that lies `shift` above T. It overlaps T, so that the lowest bits of T
    determine the bits above them, `shift` at a time; 16 choices of the lowest are taken.
    """
    width = f.FP32.hybrid_width
    modulus = 1 << width
    words = []
    for exponent, n in KEPT_WIDTHS.items():
        if abs(exponent) < f.HYBRID_FROM:
            continue
        shift = f.FP32.fraction_width - n - width
        low = np.linspace(0, (1 << shift) - 1, 16).astype(np.int64)
        for difference in (-1, 0, 1):
            bits = low
            for _ in range(-(-width // shift)):
                bits = (bits + difference) % modulus << shift | low
            if n < 0:  # F is led by the hidden bit
                bits = bits[bits >> f.FP32.fraction_width == 1] % (1 << f.FP32.fraction_width)
            binade = exponent + f.FP32.bias << f.FP32.fraction_width
            for kept in range(1 << max(n, 0)):
                words += (binade | kept << shift + width | bits).tolist()
    return words
