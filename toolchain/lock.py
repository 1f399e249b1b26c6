# SPDX-License-Identifier: Apache-2.0
"""Lock files: one thread or process at a time does a thing, on this machine."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from . import program


@contextmanager
def alone(path: Path, look: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock file, so that no other thread or process does the same thing meanwhile.

    Parameters
    ----------
    path : Path
        The lock file; it and its folder are made if they are missing.
    look : callable
        Called while another holds it; what it raises ends the wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                look()
                program.pause()
        yield
