# SPDX-License-Identifier: Apache-2.0
"""Check an implementation of HiF8 in Python, hif8 itself, against the conformance vectors.

Run it as ``python check_vectors.py FOLDER``.
"""

import re
import sys
from pathlib import Path

import hif8
import ml_dtypes
import numpy as np

SOURCES = {"fp16": np.float16, "bf16": ml_dtypes.bfloat16, "fp32": np.float32}


def load(path: Path) -> np.ndarray:
    """Return the columns of a file of vectors, one row of the array each."""
    columns = np.loadtxt(
        path, np.uint32, comments="//", delimiter="_", converters=lambda text: int(text, 16)
    ).T
    announced = int(re.search(r"// (\d+) rows of", path.read_text())[1])
    if columns.shape[1] != announced:
        raise SystemExit(f"FAIL: {path} has {columns.shape[1]} rows of {announced}")
    return columns


def decode_rows(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of ``decode.hex``, and what they must be."""
    codes = np.arange(256, dtype=np.uint8)
    fields = hif8.unpack(codes)
    words = [
        hif8.decode(codes, kind).view(f"u{np.dtype(kind).itemsize}")
        for kind in (np.float32, np.float16, ml_dtypes.bfloat16)
    ]
    made = [codes, fields.sign, fields.exponent.view(np.uint8), *fields[2:], *words]
    return load(path), np.array(made, np.uint32)


def encode_rows(path: Path, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of a file of encoded words, and what they must be."""
    x, *columns = load(path)
    values = x.astype(f"u{np.dtype(dtype).itemsize}").view(dtype)
    made = [x]
    for rounding, keep_exact in (("ta", False), ("hr", False), ("hr", True)):
        options = [
            hif8.encode(values, rounding, saturate=s, nan_to_zero=n, keep_exact=keep_exact)
            for s in (False, True)
            for n in (False, True)
        ]
        made.append(sum(codes.astype(np.uint32) << 8 * k for k, codes in enumerate(options)))
    return np.array([x, *columns]), np.array(made)


def main(folder: Path) -> int:
    """Check every file; return how many rows are wrong."""
    rows = wrong = 0
    pairs = [decode_rows(folder / "decode.hex")]
    pairs += [encode_rows(folder / f"encode_{n}.hex", d) for n, d in SOURCES.items()]
    for got, expected in pairs:
        rows += got.shape[1]
        wrong += int(np.count_nonzero((got != expected).any(axis=0)))
    print(f"{'FAIL' if wrong else 'PASS'}: {rows} rows, {wrong} wrong")
    return wrong


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])) != 0)
