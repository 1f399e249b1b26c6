# SPDX-License-Identifier: Apache-2.0
"""The command: a table that was killed goes on, another version is left aside, errors in a line."""

import csv
import sys

import pytest
from cluster import scheduler_in, worker
from hif8 import cli
from hif8.analysis.workloads.harness import batch, results, runs

QUICK = ("acmix", "--quick", "--formats", "hif8_ta", "--jobs", "1")


@pytest.fixture
def workloads(monkeypatch, capsys, tmp_path):
    def call(*arguments):
        line = ["hif8", "workloads", *arguments, "--build", str(tmp_path)]
        monkeypatch.setattr(sys, "argv", line)
        status = cli.main()
        return status, *capsys.readouterr()

    return call


def test_a_table_goes_on_where_it_was_stopped(workloads, tmp_path):
    status, out, err = workloads(*QUICK, "--formats", "fp32")
    assert (status, err) == (0, "")
    assert "this run: 1 of 1 runs" in out
    assert "this run: 1 of 2 runs" in workloads(*QUICK)[1]
    assert "this run: 0 of 2 runs" in workloads(*QUICK)[1]
    kept = sorted((tmp_path / "workloads" / "runs").iterdir())
    assert [path.name for path in kept] == [
        "acmix-fp32-recipe-quick-0.json",
        "acmix-hif8_ta-recipe-quick-0.json",
    ]
    with (tmp_path / "workloads" / "quick.csv").open() as file:
        rows = list(csv.DictReader(file))
    metrics = {*runs.system("acmix").metrics, "flushed", "saturated"}
    assert {(r["format"], r["metric"]) for r in rows} == {
        (form, metric) for form in ("fp32", "hif8_ta") for metric in metrics
    }
    kept[0].write_text(kept[0].read_text().replace('"digest": "', '"digest": "0'))
    out = " ".join(workloads(*QUICK)[1].split())  # the folder may be a long word in a line
    assert "1 results of another version are left aside, and run anew" in out
    assert "this run: 1 of 2 runs" in out


def test_a_cluster_runs_what_processes_run(tmp_path):
    [setting] = runs.plan(["acmix"], ["hif8_ta"], ["none"], 1, quick=True)
    expected = runs.run(setting)
    with scheduler_in(tmp_path) as scheduler, worker(1, scheduler, tmp_path):
        [result] = batch.run_all([setting], tmp_path, scheduler=scheduler)
    assert result.weights == expected.weights
    assert result.metrics == expected.metrics
    assert list(results.load(tmp_path, [setting])[0]) == [setting]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nothing"], "workload must be one of "),
        (["--formats", "fp7"], "format must be one of fp32, "),
        (
            ["--loss-scale", "much"],
            "scaling must be recipe, none, als, pts or a number, not 'much'",
        ),
        (["--seeds", "0"], "--seeds"),
        (["--jobs", "2", "--scheduler", "127.0.0.1:1"], "--jobs is for this machine"),
        (["acmix", "--scheduler", "here"], "must be an address like tcp://HOST:PORT"),
    ],
)
def test_unknown_names_end_in_a_line(workloads, arguments, line):
    status, _, err = workloads(*arguments)
    assert status in (1, 2)
    assert line in err
    assert err.count("\n") == 1
