# SPDX-License-Identifier: Apache-2.0
"""Results kept under a digest of all that they are made of, so that each is made once.

Each is written whole or not at all, and made by one thread or process while others wait for it.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from .. import files
from .lock import alone

Made = TypeVar("Made")


def digest(*parts: str | bytes) -> str:
    """Return the digest of all that a result is made of, as short as file names have it."""
    found = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        found.update(b"%d:" % len(data) + data)
    return found.hexdigest()[:16]


def kept(folder: Path, name: str, made_of: Iterable[str], make: Callable[[], Made]) -> Made:
    """Return what `make` makes, or made before of the same.

    Parameters
    ----------
    folder : Path
        Folder of all results.
    name : str
        What the file's name begins with.
    made_of : iterable of str
        All that the result depends on.
    make : callable
        Returns what JSON can hold.
    """
    path = folder / f"{name}-{digest(*made_of)}.json"

    def write() -> None:
        files.write(path, json.dumps(make()).encode())

    _once(path, write)
    return json.loads(path.read_text())


def kept_folder(
    folder: Path,
    name: str,
    made_of: Iterable[str],
    make: Callable[[Path], None],
    look: Callable[[], None] = lambda: None,
) -> Path:
    """Return a folder that `make` fills, or filled before with the same.

    Parameters
    ----------
    folder, name, made_of
        As for `kept`.
    make : callable
        Given the folder, which is empty. It stands where it stays: what is built may name it.
    look : callable
        Called while another makes it; what it raises ends the wait.
    """
    path = (folder / f"{name}-{digest(*made_of)}").absolute()
    built = path / "built"

    def fill() -> None:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        make(path)
        built.touch()

    _once(built, fill, path.with_suffix(".lock"), look)
    return path


def _once(
    path: Path,
    make: Callable[[], None],
    lock: Path | None = None,
    look: Callable[[], None] = lambda: None,
) -> None:
    """Make a file unless it is there; one at a time."""
    if path.exists():
        return
    with alone(lock or path.with_suffix(".lock"), look):
        if not path.exists():
            make()
