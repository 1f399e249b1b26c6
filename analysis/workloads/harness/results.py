# SPDX-License-Identifier: Apache-2.0
"""Results of runs as files, one each, so that a table that was killed goes on.

Imports `hif8.files` and `harness.runs`.
"""

import base64
import json
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from .... import files
from .runs import Result, Setting, digest


def path(folder: Path, setting: Setting) -> Path:
    """Return the file of a run."""
    size = "quick" if setting.quick else "full"
    name = f"{setting.workload}-{setting.format}-{setting.scaling}-{size}-{setting.seed}.json"
    return folder / name


def save(folder: Path, result: Result) -> Path:
    """Write the result of a run, whole or not at all."""
    kept = {name: _packed(array) for name, array in result.kept.items()}
    row = result._asdict() | {"setting": result.setting._asdict(), "kept": kept}
    row["digest"] = digest(result.setting.workload)
    return files.write(path(folder, result.setting), json.dumps(row).encode())


def load(folder: Path, settings: Iterable[Setting]) -> tuple[dict[Setting, Result], int]:
    """Read the results of runs, as far as there are any of this version.

    Returns
    -------
    dict of Setting to Result
        Those there are.
    int
        How many there are of another version of the code, or damaged; they are left alone.
    """
    found, stale = {}, 0
    for setting in settings:
        file = path(folder, setting)
        if not file.exists():
            continue
        try:
            row = json.loads(file.read_text())
            current = row.pop("digest") == digest(setting.workload)
            row["kept"] = {name: _unpacked(text) for name, text in row["kept"].items()}
            result = Result(**row | {"setting": setting})
        except (ValueError, KeyError, TypeError, zlib.error):
            current = False
        if current:
            found[setting] = result
        else:
            stale += 1
    return found, stale


def _packed(array: np.ndarray) -> dict[str, object]:
    data = zlib.compress(np.ascontiguousarray(array).tobytes())
    text = base64.b85encode(data).decode()
    return {"dtype": array.dtype.str, "shape": array.shape, "data": text}


def _unpacked(row: dict[str, object]) -> np.ndarray:
    data = zlib.decompress(base64.b85decode(row["data"]))
    return np.frombuffer(data, row["dtype"]).reshape(row["shape"])
