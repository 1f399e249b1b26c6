# SPDX-License-Identifier: Apache-2.0
"""How measured rows are kept in the repository: JSON, a row a line, so that changes can be read.

Imports `hif8.files`.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .. import files


def write(path: Path, head: Mapping[str, Any], lists: Mapping[str, Iterable[tuple]]) -> Path:
    """Write an object.

    Parameters
    ----------
    path : Path
        Where to.
    head : mapping of str
        What it begins with, an entry a line.
    lists : mapping of str to iterable of tuple
        Its lists, a row a line.
    """
    parts = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
    for name, rows in lists.items():
        parts.append(f"{json.dumps(name)}: [\n" + ",\n".join(map(json.dumps, rows)) + "\n]")
    return files.write(path, ("{\n" + ",\n".join(parts) + "\n}\n").encode())
