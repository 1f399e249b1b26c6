# SPDX-License-Identifier: Apache-2.0
"""Runs spread over processes of one thread each, on this machine or a Dask cluster's.

Imports `harness.runs` and `results`; dask.distributed only if a cluster is asked for.
"""

import multiprocessing
import multiprocessing.process
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING

from . import results
from .runs import Result, Setting, digest, run

if TYPE_CHECKING:
    from distributed import Client


def _prepare() -> None:
    import torch

    torch.set_num_threads(1)


def _prepare_child() -> None:
    """Prepare a process that must not outlive the one that it works for, however that ends."""
    _prepare()
    threading.Thread(target=_follow, args=(multiprocessing.parent_process(),), daemon=True).start()


def _follow(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _one(setting: Setting, folder: Path) -> Result:
    result = run(setting)
    results.save(folder, result)
    return result


def locally(settings: Sequence[Setting], folder: Path, jobs: int) -> Iterator[Result]:
    """Run settings in processes of this machine, and yield each result, which is saved.

    Parameters
    ----------
    settings : sequence of Setting
        What to run.
    folder : Path
        Where the results are kept.
    jobs : int
        How many processes.
    """
    if not settings:
        return
    context = multiprocessing.get_context("spawn")
    count = min(jobs, len(settings))
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_prepare_child)
    try:
        futures = [pool.submit(_one, setting, folder) for setting in settings]
        for future in as_completed(futures):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _elsewhere(setting: Setting, expected: str) -> Result:
    """Run a setting on another machine, if that has the same code."""
    if digest(setting.workload) != expected:
        raise RuntimeError(f"a worker of the cluster has another version of {setting.workload}")
    _prepare()
    return run(setting)


def on_cluster(settings: Sequence[Setting], folder: Path, client: "Client") -> Iterator[Result]:
    """Run settings by the workers of a Dask cluster, and yield each result, which is saved here.

    Runs of a worker that is lost are run again by others: Dask sees to that.

    Parameters
    ----------
    settings, folder
        As for `locally`.
    client : distributed.Client
        Of the cluster; closed at the end.

    Raises
    ------
    RuntimeError
        If workers have another version, or are lost again and again, or the scheduler is.
    """
    from distributed import KilledWorker
    from distributed import as_completed as completed

    with client:
        futures = [
            client.submit(_elsewhere, setting, digest(setting.workload), pure=False)
            for setting in settings
        ]
        for future in completed(futures):
            try:
                result = future.result()
            except KilledWorker:
                raise RuntimeError("Dask's workers are lost again and again") from None
            except CancelledError:
                raise RuntimeError("the Dask scheduler is gone; what is done is kept") from None
            results.save(folder, result)
            yield result
