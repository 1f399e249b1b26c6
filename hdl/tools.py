# SPDX-License-Identifier: Apache-2.0
"""Programs that are run on Verilog: which version there is, and results kept by content.

Imports `files`. Each program runs in a folder of its own that is removed again; what it gave is
kept under a hash of all that it was made of, so that it is made once.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .. import files


class SynthesisError(RuntimeError):
    """A program or a library is missing, or gave no result."""


@dataclass(frozen=True)
class Tool:
    """A program.

    Attributes
    ----------
    name : str
        As it is called on a command line, and on PATH or beside Python.
    install : str
        What to do where it is missing.
    asked : str
        The option that makes it say its version; empty for a Python package of its name, which
        runs in WebAssembly and sees only its folder.
    """

    name: str
    install: str
    asked: str = ""

    def version(self) -> str:
        """Return its version.

        Raises
        ------
        SynthesisError
            If it is not installed.
        """
        path = shutil.which(self.name) if self.asked else ""
        found = _says(path, self.asked) if path else "" if self.asked else _package(self.name)
        if not found:
            raise SynthesisError(f"{self.name} is not installed: {self.install}")
        return found

    @property
    def missing(self) -> str:
        """What to do to have it; empty if it is installed."""
        try:
            self.version()
        except SynthesisError as error:
            return str(error)
        return ""

    def run(self, folder: Path, *arguments: str) -> str:
        """Run it in a folder.

        Returns
        -------
        str
            What it printed.

        Raises
        ------
        SynthesisError
            If it is missing or fails.
        """
        self.version()
        beside = Path(sys.executable).with_name(self.name)
        run = subprocess.run(
            [self.name if self.asked else str(beside), *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode:
            said = [line for line in (run.stderr + run.stdout).splitlines() if line.strip()]
            wrong = [line for line in said if "error" in line.lower()] or said[-1:]
            reason = wrong[0].strip() if wrong else f"exit status {run.returncode}"
            raise SynthesisError(f"{self.name} failed: {reason}")
        return run.stdout


@cache
def _says(path: str, asked: str) -> str:
    """Return the version that a program says it has."""
    run = subprocess.run([path, asked], capture_output=True, text=True, check=False)
    found = re.search(r"\d[\w.+-]*", run.stdout)
    return found[0] if found else "unknown"


def _package(name: str) -> str:
    """Return the version of a Python package; empty if there is no such package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


@contextmanager
def folder_of(texts: Mapping[str, str]) -> Iterator[Path]:
    """Give a folder with files of the given names and texts, and remove it when its block ends."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in texts.items():
            (folder / file).write_text(text)
        yield folder


def kept(
    cached: Path, name: str, made_of: Sequence[str], make: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Return what `make` makes, or made before of the same.

    Parameters
    ----------
    cached : Path
        Folder of all results.
    name : str
        What the file's name begins with.
    made_of : sequence of str
        All that the result depends on.
    make : callable
        Returns what JSON can hold.
    """
    content = hashlib.sha256("\0".join(made_of).encode()).hexdigest()
    path = cached / f"{name}-{content[:16]}.json"
    if path.exists():
        return json.loads(path.read_text())
    made = make()
    files.write(path, json.dumps(made).encode())
    return made
