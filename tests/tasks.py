# SPDX-License-Identifier: Apache-2.0
"""Tasks that tests of the pool give to other processes, and what tells whether those are alive."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from hif8 import encode
from hif8.toolchain import program

DEADLINE = 120


def wait_until(met) -> None:
    deadline = time.monotonic() + DEADLINE
    while not met():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def pids(folder: Path) -> list[int]:
    """Return the processes that tasks have written down, themselves and their children."""
    return [int(path.name) for path in folder.glob("[0-9]*")]


def code(value: float) -> int:
    return int(encode(value))


def sleep_or_fail(task: str, folder: Path) -> None:
    """Wait for a child that sleeps, or fail once another task's child is there."""
    if task == "fail":
        wait_until(lambda: len(pids(folder)) >= 2)
        raise ValueError("it fails")
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    child = subprocess.Popen(sleep, start_new_session=True)
    for pid in (child.pid, os.getpid()):
        (folder / str(pid)).touch()
    program.wait(child)


def kill_once(task: int, folder: Path, always: bool = False) -> int:
    """Kill the process that runs this, the first time or each time that it comes to task 1."""
    mark = folder / "killed"
    if task == 1 and (always or not mark.exists()):
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return task
