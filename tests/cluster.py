# SPDX-License-Identifier: Apache-2.0
"""Dask clusters of processes on this machine, for tests of what runs on one."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from tasks import wait_until

DASK = str(Path(sys.executable).with_name("dask"))


@contextmanager
def dask(*arguments: object, log: Path):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    with log.open("wb") as output:
        child = subprocess.Popen(
            [DASK, *map(str, arguments)], stdout=output, stderr=output, env=environment
        )
    try:
        yield child
    finally:
        child.kill()
        child.wait()


@contextmanager
def scheduler_in(folder: Path):
    """Give the address of a scheduler that has no worker yet."""
    file = folder / "scheduler.json"
    options = ("--host", "127.0.0.1", "--port", 0, "--no-dashboard", "--scheduler-file", file)
    with dask("scheduler", *options, log=folder / "scheduler.log"):
        wait_until(file.exists)
        yield json.loads(file.read_text())["address"]


def worker(number: int, scheduler: str, folder: Path):
    own = folder / f"worker{number}"
    options = ("--host", "127.0.0.1", "--no-nanny", "--no-dashboard", "--nthreads", 1)
    return dask(
        "worker", scheduler, *options, "--local-directory", own, log=own.with_suffix(".log")
    )
