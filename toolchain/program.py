# SPDX-License-Identifier: Apache-2.0
"""Programs: whether they are there, which version, and how they are run to their end.

A program leads a process group of its own, so that whatever ends it early ends all that it started.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_POLL = 0.1
"""Seconds between two looks at what runs."""

_task = threading.local()
_groups: set[int] = set()


class ToolError(RuntimeError):
    """A tool is missing, failed, gave no answer, or could not be asked."""


class OutOfTimeError(ToolError):
    """A tool was stopped because its time was over."""


@dataclass(frozen=True)
class Program:
    """A program.

    Attributes
    ----------
    name : str
        As it is called on a command line, and on PATH or beside Python.
    install : str
        What to do where it is missing.
    asked : tuple of str
        The options that make it say its version; none for a Python package of its name, which
        runs in WebAssembly and sees only its folder.
    module : str
        The module that such a package is run by if it has no script beside Python.
    """

    name: str
    install: str
    asked: tuple[str, ...] = ()
    module: str = ""

    @property
    def command(self) -> list[str]:
        """What a command line begins with."""
        if self.module:
            return [sys.executable, "-m", self.module]
        return [self.name if self.asked else str(Path(sys.executable).with_name(self.name))]

    def version(self) -> str:
        """Return its version.

        Raises
        ------
        ToolError
            If it is not installed.
        """
        if self.asked:
            path = shutil.which(self.name)
            found = _says(path, self.asked) if path else ""
        else:
            found = package_version(self.name)
        if not found:
            raise ToolError(f"{self.name} is not installed: {self.install}")
        return found

    @property
    def missing(self) -> str:
        """What to do to have it; empty if it is installed."""
        try:
            self.version()
        except ToolError as error:
            return str(error)
        return ""

    def run(self, folder: Path, *arguments: str, timeout: float | None = None) -> str:
        """Run it in a folder.

        Parameters
        ----------
        folder : Path
            Where it runs.
        *arguments : str
            The rest of the command line.
        timeout : float, optional
            Seconds that it may take.

        Returns
        -------
        str
            All that it printed.

        Raises
        ------
        OutOfTimeError
            If it takes longer.
        ToolError
            If it is missing, fails, or the task that runs it is stopped.
        """
        self.version()
        with tempfile.TemporaryFile("w+", errors="replace") as output:
            child = subprocess.Popen(
                [*self.command, *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                wait(child, timeout=timeout)
            except OutOfTimeError as error:
                raise OutOfTimeError(f"{self.name} gave {error}") from None
            output.seek(0)
            said = output.read()
        if child.returncode:
            reason = telling_line(said) or f"exit status {child.returncode}"
            raise ToolError(f"{self.name} failed: {reason}")
        return said


@cache
def _says(path: str, asked: tuple[str, ...]) -> str:
    """Return the version that a program says it has."""
    run = subprocess.run([path, *asked], capture_output=True, text=True, check=False)
    found = re.search(r"\d[\w.+-]*", run.stdout)
    return found[0] if found else "unknown"


def package_version(name: str) -> str:
    """Return the version of a Python package; empty if there is no such package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def telling_line(text: str) -> str:
    """Return the line of an output that says most about why it ended; empty if there is none."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for sign in ("error:", "error"):
        for line in lines:
            if sign in line.lower():
                return line
    return lines[-1] if lines else ""


@contextmanager
def folder_of(texts: Mapping[str, str]) -> Iterator[Path]:
    """Give a folder with files of the given names and texts, and remove it when its block ends."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in texts.items():
            (folder / file).write_text(text)
        yield folder


def wait(
    child: subprocess.Popen[bytes] | subprocess.Popen[str],
    look: Callable[[], None] = lambda: None,
    *,
    timeout: float | None = None,
) -> None:
    """Wait for a child process that leads a group; when the wait ends, so has all of the group.

    Parameters
    ----------
    child : subprocess.Popen
        Started with ``start_new_session=True``.
    look : callable
        Called while waiting; what it raises ends the wait.
    timeout : float, optional
        Seconds to wait.

    Raises
    ------
    OutOfTimeError
        If it takes longer.
    ToolError
        If the task that waits is stopped.
    """
    end = time.monotonic() + (float("inf") if timeout is None else timeout)
    _groups.add(child.pid)
    try:
        while True:
            with suppress(subprocess.TimeoutExpired):
                child.wait(min(_POLL, max(end - time.monotonic(), 0)))
                return
            if time.monotonic() >= end:
                raise OutOfTimeError(f"no answer within {timeout:g} s")
            go_on()
            look()
    finally:
        _kill(child.pid)
        child.wait()
        _groups.discard(child.pid)


def pause() -> None:
    """Sleep for a moment, unless the task is stopped.

    Raises
    ------
    ToolError
        If it is.
    """
    go_on()
    time.sleep(_POLL)


def go_on() -> None:
    """Do nothing, unless the task that this thread runs is stopped.

    Raises
    ------
    ToolError
        If it is.
    """
    if hasattr(_task, "stop") and _task.stop.is_set():
        raise ToolError("stopped")


@contextmanager
def stopped_by(stop: threading.Event) -> Iterator[None]:
    """Let an event stop what this thread waits for in a block."""
    _task.stop = stop
    try:
        yield
    finally:
        del _task.stop


def end_all() -> None:
    """Kill all that this process waits for; for a process that is about to end itself."""
    for group in list(_groups):
        _kill(group)


def _kill(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # there is none left
        os.killpg(group, signal.SIGKILL)
