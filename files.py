# SPDX-License-Identifier: Apache-2.0
"""Files: written whole or not at all, read with one clear line for whatever is wrong with them.

Imports nothing of the project; every room may use it.
"""

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


def write(path: Path, content: bytes | memoryview) -> Path:
    """Write a file whole or not at all; missing folders are made.

    Raises
    ------
    OSError
        If the folder cannot be made or written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


def write_csv(path: Path, rows: Sequence[Any]) -> Path:
    """Write named tuples as CSV, their field names as the header.

    Parameters
    ----------
    path : Path
        Where to.
    rows : sequence of named tuple
        At least one, all of one type.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(rows[0]._fields)
    table.writerows(rows)
    return write(path, text.getvalue().encode())


def load_array(path: Path) -> np.ndarray:
    """Read one array of numbers from a ``.npy`` file.

    Parameters
    ----------
    path : Path
        The file. NumPy stores bfloat16 of ml_dtypes as raw two-byte items, and so it is returned.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no such file, or holds objects or no element at all.
    """
    if path.is_file() and path.stat().st_size == 0:
        raise ValueError(f"{path} is empty: it must be a .npy file of numbers")
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, UnicodeDecodeError) as error:
        what = (
            "holds objects"
            if str(error).startswith("Object arrays")
            else "is damaged or no .npy file"
        )
        raise ValueError(f"{path} {what}: it must be a .npy file of numbers") from None
    if not isinstance(array, np.ndarray):
        array.close()
        raise ValueError(f"{path} holds several arrays: it must be a .npy file of one")
    if array.dtype.kind == "O":
        raise ValueError(f"{path} holds objects: it must be a .npy file of numbers")
    if array.size == 0:
        raise ValueError(f"{path} holds no element: its shape is {array.shape}")
    return array


def save_array(path: Path, array: np.ndarray) -> Path:
    """Write an array to a ``.npy`` file, whole or not at all.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return write(path, stream.getbuffer())
