# SPDX-License-Identifier: Apache-2.0
"""Files written whole or not at all.

Imports nothing of the project.
"""

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def write(path: Path, content: bytes) -> Path:
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
