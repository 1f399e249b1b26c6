# SPDX-License-Identifier: Apache-2.0
"""The pool: the same results wherever tasks run, and nothing that runs on after a failure."""

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from cluster import scheduler_in, worker
from hif8 import encode
from hif8.toolchain import lock, pool
from hif8.toolchain.program import ToolError
from tasks import DEADLINE, alive, code, kill_once, pids, sleep_or_fail, wait_until

TASKS = [0.0, 1.0, -2.5, 1e9, float("inf")]


def spreads(scheduler: str) -> list[dict]:
    return [{"jobs": 1}, {"jobs": 3}, {"scheduler": scheduler}]


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """The address of a Dask cluster of two workers."""
    folder = tmp_path_factory.mktemp("cluster")
    with scheduler_in(folder) as at, worker(1, at, folder), worker(2, at, folder):
        yield at


def test_threads_processes_and_a_cluster_give_the_same(scheduler):
    expected = {place: int(encode(value)) for place, value in enumerate(TASKS)}
    assert dict(pool.threads(code, TASKS)) == expected
    for how in spreads(scheduler):
        assert dict(pool.spread(code, TASKS, **how)) == expected
        assert list(pool.in_order(pool.spread(code, TASKS, **how))) == list(expected.values())


def test_nothing_to_do_is_nothing_done(scheduler):
    assert list(pool.threads(code, [])) == []
    for how in spreads(scheduler):
        assert list(pool.spread(code, [], **how)) == []


def test_the_first_failure_in_a_thread_stops_the_others(tmp_path):
    begin = time.monotonic()
    one = partial(sleep_or_fail, folder=tmp_path)
    with pytest.raises(ValueError, match="it fails"):
        list(pool.threads(one, ["sleep", "fail", "sleep", "sleep"], jobs=2))
    assert time.monotonic() - begin < DEADLINE
    assert len(pids(tmp_path)) == 2
    assert [pid for pid in pids(tmp_path) if alive(pid)] == [os.getpid()]


def test_the_first_failure_in_a_process_ends_the_others_and_their_children(tmp_path):
    one = partial(sleep_or_fail, folder=tmp_path)
    with pytest.raises(ValueError, match="it fails"):
        list(pool.spread(one, ["sleep", "fail", "sleep"], jobs=2))
    assert len(pids(tmp_path)) == 2
    wait_until(lambda: not any(map(alive, pids(tmp_path))))


def test_a_loop_that_ends_early_ends_the_others(tmp_path):
    with closing(pool.spread(code, TASKS, jobs=2)) as results:
        place, result = next(results)
    assert result == code(TASKS[place])
    with pytest.raises(StopIteration):
        next(results)


ASKING = """
import sys
from functools import partial
from pathlib import Path
from hif8.toolchain import pool
from tasks import sleep_or_fail

if __name__ == "__main__":
    list(pool.spread(partial(sleep_or_fail, folder=Path(sys.argv[1])), ["sleep"] * 2, jobs=2))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_processes_and_their_children_end_with_the_one_that_asks(how, tmp_path):
    script, folder = tmp_path / "asking.py", tmp_path / "tasks"
    script.write_text(ASKING)
    folder.mkdir()
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    child = subprocess.Popen(
        [sys.executable, script, folder], env=environment, stderr=subprocess.DEVNULL
    )
    wait_until(lambda: len(pids(folder)) == 4)
    child.send_signal(how)
    assert child.wait(DEADLINE) != 0
    wait_until(lambda: not any(map(alive, pids(folder))))


def test_a_worker_that_is_lost_loses_nothing(tmp_path):
    one = partial(kill_once, folder=tmp_path)
    assert dict(pool.spread(one, range(4), jobs=2)) == {n: n for n in range(4)}
    assert (tmp_path / "killed").exists()


def test_workers_that_are_lost_again_and_again_are_an_error(tmp_path):
    one = partial(kill_once, folder=tmp_path, always=True)
    with pytest.raises(ToolError, match="worker processes die again and again"):
        list(pool.spread(one, range(4), jobs=1))


def test_a_process_with_other_sources_refuses(monkeypatch):
    monkeypatch.setattr(pool, "origin", lambda: "another")
    with pytest.raises(ToolError, match="has another hif8 or other tools"):
        list(pool.spread(code, TASKS, jobs=1))


@pytest.mark.parametrize(
    ("how", "error", "line"),
    [
        ({"jobs": 2, "scheduler": "127.0.0.1:1"}, ValueError, "--jobs is for this machine"),
        ({"scheduler": "here"}, ValueError, "must be an address like tcp://HOST:PORT, not 'here'"),
        ({"scheduler": "127.0.0.1:1"}, ToolError, "no Dask scheduler answers at 127.0.0.1:1"),
    ],
)
def test_what_cannot_be_asked_of_a_cluster_is_said_at_once(how, error, line, monkeypatch):
    monkeypatch.setattr(pool, "_PATIENCE", 1)
    with pytest.raises(error, match=line):
        pool.spread(code, TASKS, **how)


def test_a_task_keeps_files_where_its_worker_does(scheduler, tmp_path):
    assert pool.folder(tmp_path) == tmp_path
    [here] = dict(pool.spread(pool.folder, [tmp_path], jobs=1)).values()
    [there] = dict(pool.spread(pool.folder, [tmp_path], scheduler=scheduler)).values()
    assert here == tmp_path
    assert there != tmp_path


def test_a_lock_is_held_by_one_and_a_stopped_task_waits_no_longer(tmp_path):
    order = []

    def hold(name: str) -> None:
        with lock.alone(tmp_path / "new" / "lock"):
            order.append(name)
            time.sleep(0.3)
            order.append(name)

    list(pool.threads(hold, "ab", jobs=2))
    assert "".join(order) in ("aabb", "bbaa")

    def wait_or_fail(task: str) -> None:
        if task == "fail":
            raise ValueError("it fails")
        with lock.alone(tmp_path / "new" / "lock"):
            pass

    with lock.alone(tmp_path / "new" / "lock"), pytest.raises(ValueError, match="it fails"):
        list(pool.threads(wait_or_fail, ["wait", "fail"], jobs=2))
