# SPDX-License-Identifier: Apache-2.0
"""Tasks side by side: in threads, in processes of this machine, or on a Dask cluster.

Each pool yields the place of a task among all, and its result, as soon as there is one. The first
failure, and whatever else ends the loop over the results, stops the other tasks.
"""

import logging
import multiprocessing
import os
import platform
import re
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from contextlib import closing, suppress
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from multiprocessing.connection import Connection, wait
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from . import program
from .cache import digest
from .program import ToolError

if TYPE_CHECKING:
    from distributed import Client

Task = TypeVar("Task")
Result = TypeVar("Result")
Results = Generator[tuple[int, Result], None, None]

_LOSSES = 3
"""How often workers may be lost without anything done in between."""

_PATIENCE = 10
"""Seconds that a scheduler may take to answer, workers to be there, and one to end."""


def in_order(results: Results[Result]) -> Generator[Result, None, None]:
    """Yield what a pool yields in the order of its tasks, each as soon as those before it."""
    early: dict[int, Result] = {}
    place = 0
    with closing(results):
        for at, result in results:
            early[at] = result
            while place in early:
                yield early.pop(place)
                place += 1


def threads(
    function: Callable[[Task], Result], tasks: Iterable[Task], jobs: int | None = None
) -> Results[Result]:
    """Run tasks in threads: those that wait for child processes, which end if they are stopped.

    Parameters
    ----------
    function : callable
        Runs a task.
    tasks : iterable
        What to run.
    jobs : int, optional
        How many at a time; by default as many as there are processors.

    Yields
    ------
    (int, result)
        As soon as there is one.
    """
    stop, failures = threading.Event(), []

    def run(task: Task) -> Result:
        with program.stopped_by(stop):
            program.go_on()
            try:
                return function(task)
            except BaseException as error:
                failures.append(error)
                stop.set()
                raise

    pool = ThreadPoolExecutor(jobs or os.cpu_count())
    try:
        futures = {pool.submit(run, task): place for place, task in enumerate(tasks)}
        for future in as_completed(futures):
            if failures:  # the first of them, of which others may be the consequence
                raise failures[0]
            yield futures[future], future.result()
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def spread(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    jobs: int | None = None,
    scheduler: str | None = None,
) -> Results[Result]:
    """Run tasks in processes of this machine, or of a Dask cluster.

    Parameters
    ----------
    function : callable
        Runs a task. It goes to other processes, as tasks and results do.
    tasks : sequence
        What to run.
    jobs : int, optional
        How many processes of this machine; by default as many as there are processors.
    scheduler : str, optional
        The address of a cluster's scheduler, which then decides how many there are.

    Returns
    -------
    generator of (int, result)
        As soon as there is one. Tasks of a worker that is lost are run again by others.

    Raises
    ------
    ValueError
        If both are given, or the address is none.
    ToolError
        If there is no cluster, or, while it runs, workers are lost again and again or have another
        version of this package.
    """
    check(jobs, scheduler)
    if scheduler:
        return _on_cluster(function, tasks, _connect(scheduler))
    return _locally(function, tasks, jobs or os.cpu_count() or 1)


def check(jobs: int | None, scheduler: str | None) -> None:
    """Refuse what `spread` would, before anything is made.

    Raises
    ------
    ValueError
        If both are given, or the address is none.
    """
    if jobs and scheduler:
        raise ValueError("--jobs is for this machine: with --scheduler the cluster decides")
    if scheduler and not re.fullmatch(r"((tcp|tls)://)?[^\s/]+:\d+", scheduler):
        raise ValueError(f"--scheduler must be an address like tcp://HOST:PORT, not {scheduler!r}")


def folder(default: Path) -> Path:
    """Return where a task keeps files: its worker's folder on a cluster, else as it is told."""
    distributed = sys.modules.get("distributed")
    try:
        return Path(distributed.get_worker().local_directory) if distributed else default
    except ValueError:
        return default


def worker() -> str:
    """Return which process this is, on whichever machine."""
    return f"{platform.node()}:{os.getpid()}"


@cache
def origin() -> str:
    """Return a digest of this package's sources, and of the versions of those that it uses."""
    root = Path(__file__).parents[1]
    rooms = [path.parent for path in root.glob("*/__init__.py")]
    paths = [path for room in rooms for kind in ("*.py", "*.cpp") for path in room.rglob(kind)]
    required = metadata.requires(__package__.partition(".")[0])
    used = (text for text in required if not re.search(r"extra == .dev", text))
    names = sorted({re.match(r"[\w.-]+", text)[0] for text in used})
    versions = [f"{name} {program.package_version(name)}" for name in names]
    return digest(*versions, *(path.read_bytes() for path in sorted([*root.glob("*.py"), *paths])))


def _run(function: Callable[[Task], Result], expected: str, task: Task) -> Result:
    """Run a task, if this process has the same sources as the one that asks for it."""
    if origin() != expected:
        raise ToolError(f"{worker()} has another hif8 or other tools than the one that asks it")
    return function(task)


def _locally(
    function: Callable[[Task], Result], tasks: Sequence[Task], jobs: int
) -> Results[Result]:
    """Run tasks in processes of this machine."""
    context = multiprocessing.get_context("spawn")
    waiting = deque(enumerate(tasks))
    running: dict[Connection, tuple[multiprocessing.Process, tuple[int, Task]]] = {}
    losses = 0

    def employ() -> None:
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, function, origin()))
        process.start()
        theirs.close()
        give(ours, process)

    def give(ours: Connection, process: multiprocessing.Process) -> None:
        running[ours] = process, waiting.popleft()
        with suppress(ConnectionError):  # it is lost, as the answer will show
            ours.send(running[ours][1][1])

    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                employ()
            for ours in wait(list(running)):
                process, (place, task) = running[ours]
                try:
                    result, error = ours.recv()
                except (EOFError, OSError):
                    losses += 1
                    if losses > _LOSSES:
                        raise ToolError("worker processes die again and again") from None
                    waiting.appendleft((place, task))
                    _end(ours, process)
                    del running[ours]
                    continue
                if error:
                    raise error
                losses = 0
                if waiting:
                    give(ours, process)
                else:
                    _end(ours, process)
                    del running[ours]
                yield place, result
    finally:
        for ours in running:
            ours.close()
        for ours, (process, _) in running.items():
            _end(ours, process)


def _end(ours: Connection, process: multiprocessing.Process) -> None:
    """End a worker: it does so by itself when its connection is closed, or is made to."""
    ours.close()
    process.join(_PATIENCE)
    if process.is_alive():
        process.kill()
        process.join()


def _serve(theirs: Connection, function: Callable[[Task], Result], expected: str) -> None:
    """Run the tasks that come, until the connection is closed or who has it has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    tasks: SimpleQueue[Task] = SimpleQueue()

    def listen() -> None:
        try:
            while True:
                tasks.put(theirs.recv())
        except (EOFError, OSError):
            program.end_all()
            os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        task = tasks.get()
        try:
            answer = _run(function, expected, task), None
        except Exception as error:
            answer = None, error
        theirs.send(answer)


def _connect(scheduler: str) -> "Client":
    """Return a client of a Dask cluster with at least one worker."""
    if find_spec("distributed") is None:
        raise ToolError("--scheduler needs Dask, run: pip install hif8[cluster]")
    from distributed import Client

    for name in ("distributed", "distributed.client"):  # what matters is raised, too
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = Client(scheduler, timeout=_PATIENCE)
    except OSError as error:
        raise ToolError(f"no Dask scheduler answers at {scheduler}: {error}") from None
    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
    except TimeoutError:
        client.close()
        raise ToolError(f"the Dask scheduler at {scheduler} has no worker") from None
    return client


def _on_cluster(
    function: Callable[[Task], Result], tasks: Sequence[Task], client: "Client"
) -> Results[Result]:
    """Run tasks by the workers of a Dask cluster, which finish those that they have begun.

    Dask gives the tasks of a lost worker to others; where it blames one for the loss, this does.
    """
    from distributed import KilledWorker
    from distributed import as_completed as completed

    def submit(place: int) -> object:
        return client.submit(_run, function, origin(), tasks[place], pure=False)

    losses = 0
    with client:
        places = {submit(place): place for place in range(len(tasks))}
        coming = completed(places)
        for future in coming:
            place = places.pop(future)
            try:
                result = future.result()
            except KilledWorker:
                losses += 1
                if losses > _LOSSES:
                    raise ToolError("Dask's workers are lost again and again") from None
                again = submit(place)
                places[again] = place
                coming.add(again)
                continue
            except CancelledError:
                raise ToolError("the Dask scheduler is gone; what is done is kept") from None
            losses = 0
            yield place, result
