# SPDX-License-Identifier: Apache-2.0
"""Runs spread over processes of one thread each, on this machine or a Dask cluster's."""

from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path

import torch

from ....toolchain import pool
from . import results
from .runs import Result, Setting, run


def run_all(
    settings: Sequence[Setting],
    folder: Path,
    *,
    jobs: int | None = None,
    scheduler: str | None = None,
) -> Generator[Result, None, None]:
    """Run settings and yield each result, which is saved.

    Parameters
    ----------
    settings : sequence of Setting
        What to run.
    folder : Path
        Where the results are kept.
    jobs, scheduler
        How many processes of this machine, or the address of a cluster's scheduler, as for
        `pool.spread`.
    """
    with closing(pool.spread(run_alone, settings, jobs=jobs, scheduler=scheduler)) as done:
        for _, result in done:
            results.save(folder, result)
            yield result


def run_alone(setting: Setting) -> Result:
    """Run a setting on one processor."""
    torch.set_num_threads(1)
    return run(setting)
