# SPDX-License-Identifier: Apache-2.0
"""What a result is made of: the sources behind a module, data files, and the versions of packages.

Imports nothing of the project; it reads it.
"""

import hashlib
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import grimp

PACKAGE = "hif8"


def digest(module: str, data: Iterable[Path] = ()) -> str:
    """Return a digest that changes if what a module computes may have changed.

    Parameters
    ----------
    module : str
        Its full name. Whatever of the project it imports counts, and what that imports.
    data : iterable of Path
        Files that it reads.

    Returns
    -------
    str
        SHA-256 in hexadecimal, of these files' bytes and of the versions of the packages that the
        project requires.

    Raises
    ------
    OSError
        If a file is missing.
    """
    made = hashlib.sha256(_versions().encode())
    for path in (*sources(module), *data):
        made.update(hashlib.sha256(path.read_bytes()).digest())
    return made.hexdigest()


def sources(module: str) -> list[Path]:
    """Return the files of a module, and of all of the project that it imports, and they do."""
    names = sorted({module, *_graph().find_upstream_modules(module)})
    return [Path(find_spec(name).origin) for name in names]


@cache
def _graph() -> grimp.ImportGraph:
    """Return what imports what in the project."""
    return grimp.build_graph(PACKAGE, cache_dir=None)


@cache
def _versions() -> str:
    """Return the packages that the project requires, extras apart, with their versions."""
    required = [text for text in metadata.requires(PACKAGE) if "extra ==" not in text]
    names = sorted(text.partition("=")[0].partition(">")[0].strip() for text in required)
    return "\n".join(f"{name}=={metadata.version(name)}" for name in names)
