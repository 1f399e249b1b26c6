# SPDX-License-Identifier: Apache-2.0
"""What the repository keeps of the full table: it is of the workloads that there are."""

import numpy as np
import pytest
from hif8.analysis import learning
from hif8.analysis.workloads.harness import publish, results, runs, table
from hif8.analysis.workloads.harness.runs import Result, Setting


def test_what_is_kept_of_the_workloads_is_what_they_say():
    """If not: make workloads, or, if only texts have changed, the last command of that."""
    kept = learning.read().systems
    assert list(kept.values()) == publish.systems()


def test_all_asked_for_is_paired():
    settings = publish.settings()
    assert len(settings) == len(set(settings))
    full = [s for s in settings if s.scaling in ("recipe", "none")]
    assert len(full) == 9 * 7 * 2 * 8
    for setting in settings:
        assert setting._replace(format="fp32") in settings
        assert not setting.quick


def test_results_that_are_missing_are_told_in_a_line(tmp_path):
    count = len(publish.settings())
    with pytest.raises(ValueError, match=rf"^{tmp_path} lacks {count:,} runs of these: hif8 work"):
        publish.renew(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def result(seed: int, losses: list[float], **more) -> Result:
    setting = Setting("dynamic_vit", "e4m3", "none", seed, False)
    kept = {"curve": np.array([[50, 90 + seed], [100, 95 + seed]], np.float32)}
    own = {"steps": 4, "skipped": seed, "diverged": "", "seconds": 1.0, "weights": ""}
    return Result(setting=setting, metrics={"flushed": 2.5}, kept=kept, losses=losses, **own | more)


def test_curves_are_means_over_seeds_as_far_as_runs_go():
    found = {r.setting: r for r in (result(0, [4.0, 2.0]), result(1, [2.0], steps=2))}
    loss, curve = publish.curves(found)
    assert loss == ("dynamic_vit", "none", "e4m3", "loss", [1.0, 3.0], [3.0, 2.0])
    assert curve == ("dynamic_vit", "none", "e4m3", "curve", [90.5, 95.5], [50.0, 100.0])


def test_numbers_are_those_of_runs():
    found = {r.setting: r for r in (result(0, [1.0]), result(1, [1.0]))}
    rows = list(publish.numbers(found))
    assert [row[:5] for row in rows if row.metric == "skipped"] == [
        ("dynamic_vit", "none", "e4m3", seed, "skipped") for seed in (0, 1)
    ]
    assert [row.value for row in rows if row.metric == "skipped"] == [0, 1]
    assert [row.value for row in rows if row.metric == "flushed"] == [2.5, 2.5]


def test_what_is_written_can_be_read(monkeypatch, tmp_path):
    """Two quick runs of a workload, as if they were all."""
    plan = runs.plan(["acmix"], ["fp32", "hif8_ta"], ["recipe", "none"], 2, quick=True)
    short = {setting: runs.run(setting, steps=2) for setting in plan}
    for one in short.values():
        results.save(tmp_path / "runs", one)
    monkeypatch.setattr(publish, "settings", lambda: plan)
    paths = publish.renew(tmp_path / "runs", tmp_path / "out")
    measured = learning.read(paths[0], paths[2])
    assert measured.runs == len(plan) == 8
    assert measured.steps == 16
    assert measured.systems["acmix"].loss_scale == 2**12
    expected = [row for row in table.rows(short, publish.FORMATS) if row.seeds]
    assert [row for row in measured.rows if row.seeds] == expected
    assert len(expected) == 2 * 2 * 6
    lines = paths[1].read_text().splitlines()
    assert len(lines) == 1 + 8 * 7  # six metrics and the skipped steps of each run
    assert {verdict.format for verdict in measured.verdicts} == {"hif8_ta"}
    assert {curve.scaling for curve in measured.curves} == {"recipe", "none"}
