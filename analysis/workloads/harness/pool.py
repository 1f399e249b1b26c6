# SPDX-License-Identifier: Apache-2.0
"""Runs spread over processes, of one thread each.

Imports `harness.runs` and `results`.
"""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from . import results
from .runs import Result, Setting, run


def _prepare() -> None:
    import torch

    torch.set_num_threads(1)


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
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_prepare)
    try:
        futures = [pool.submit(_one, setting, folder) for setting in settings]
        for future in as_completed(futures):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
