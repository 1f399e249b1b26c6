# SPDX-License-Identifier: Apache-2.0
"""The harness: rules, results as files, what is run again and what is not, errors in a line."""

import json
import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from hif8.analysis.training.casts import Cast
from hif8.analysis.workloads import harness
from hif8.analysis.workloads.harness import Metric, Outcome, Workload, results, rules, runs, table
from hif8.analysis.workloads.harness.trainer import Trainer, cosine, one_cycle
from torch import nn


class Toy(Workload):
    """A tenth workload, that no file holds."""

    title = "Toy"
    reference = "none"
    simplified = "Everything."
    loss_scale = 8.0
    metrics: ClassVar = {"error": Metric("error"), "same": Metric("same", "%")}
    criterion = (rules.near("error", 1.0), rules.at_least("same", 50.0))

    def __init__(self, trainer):
        self.trainer = trainer
        self.steps = trainer.choose(full=300, quick=5)
        self.model = trainer.convert(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1)))
        self.x = torch.randn(16, 4, generator=trainer.generator)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01)

    def loss(self):
        return (self.model(self.x) - self.x.sum(dim=1, keepdim=True)).square().mean()

    def step(self, k):
        self.trainer.minimise(self.loss() * (math.nan if k == self.spoiled else 1), self.optimizer)

    spoiled = -1

    def evaluate(self):
        signs = np.sign(self.model(self.x).detach().numpy())
        return Outcome({"error": self.loss().item()}, {"signs": signs})

    @staticmethod
    def compare(kept, reference):
        return {"same": 100 * float((kept["signs"] == reference["signs"]).mean())}


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setattr(runs, "system", lambda _name: Toy)
    monkeypatch.setattr(table, "system", lambda _name: Toy)
    monkeypatch.setattr(results, "digest", lambda _name: "one")
    return Toy


def setting(form="hif8_ta", seed=0, scaling="recipe", *, quick=True):
    return runs.Setting("toy", form, scaling, seed, quick)


def values(**columns):
    """Metrics by format and seed, of one metric."""
    return {
        name: {k: {"m": value, "flushed": 0.1} for k, value in enumerate(column)}
        for name, column in columns.items()
    }


JUDGED = [
    (rules.accuracy("m"), [90, 91, 92], [90, 91, 91], True),
    (rules.accuracy("m"), [90, 91, 92], [89.4, 90.4, 91.4], False),
    (rules.accuracy("m"), [90, 91, 92], [90, 88, 92.5], True),
    (rules.accuracy("m"), [90], [89.6], True),
    (rules.near("m", 0.05), [1.0, 2.0], [1.04, 2.05], True),
    (rules.near("m", 0.05), [1.0, 2.0], [0.9, 1.95], False),
    (rules.ratio("m", 1.1), [1.0, 2.0], [1.0, 2.2], True),
    (rules.ratio("m", 1.1, 0.9), [1.0, 2.0], [0.8, 1.8], False),
    (rules.at_least("m", 93), [1, 2], [93, 93], True),
    (rules.at_least("m", 93), [1, 2], [93, 92], False),
    (rules.within_spread("m"), [1.0, 2.0, 3.0], [4.0, 4.0, 4.0], True),
    (rules.within_spread("m"), [1.0, 2.0, 3.0], [4.0, 4.0, 4.1], False),
    (rules.same_sign("m"), [1.0, -0.5], [0.1, 0.1], True),
    (rules.same_sign("m"), [1.0, -0.5], [-0.1, 0.0], False),
    (rules.flushed(), [0, 0], [0, 0], True),
    (rules.flushed(0.1), [0, 0], [0, 0], False),
]


@pytest.mark.parametrize(("rule", "reference", "own", "met"), JUDGED)
def test_rules_are_met_or_not(rule, reference, own, met):
    judgement = rule.judge(values(fp32=reference, hif8_ta=own), "hif8_ta")
    assert judgement.met is met, judgement.text


def test_a_format_is_not_below_another_where_that_was_run():
    every = values(fp32=[1, 1], hif8_ta=[2, 2], e5m2=[3, 2])
    assert not rules.not_below("m", "e5m2").judge(every, "hif8_ta").met
    del every["e5m2"]
    assert rules.not_below("m", "e5m2").judge(every, "hif8_ta").met


def test_differences_are_of_equal_seeds():
    every = {"fp32": {0: {"m": 1.0}, 1: {"m": 5.0}}, "e4m3": {1: {"m": 4.0}, 2: {"m": 9.0}}}
    assert rules.paired(every, "e4m3", "m")[:3] == (4.0, 5.0, -1.0)
    pair = rules.paired(values(fp32=[1.0, 5.0, 2.0], e4m3=[2.0, 5.0, 4.0]), "e4m3", "m")
    assert pair.difference == 1.0
    assert pair.error == pytest.approx(1 / math.sqrt(3))


def test_results_come_back_from_their_files(toy, tmp_path):
    first = runs.run(setting())
    results.save(tmp_path, first)
    found, stale = results.load(tmp_path, [setting(), setting(seed=1)])
    assert stale == 0
    assert list(found) == [setting()]
    again = found[setting()]
    assert again._replace(kept={}) == first._replace(kept={})
    assert np.array_equal(again.kept["signs"], first.kept["signs"])


def test_results_of_another_version_or_damaged_are_left_aside(toy, tmp_path, monkeypatch):
    for seed in range(3):
        path = results.save(tmp_path, runs.run(setting(seed=seed)))
    path.write_text(path.read_text()[:-9])
    every = [setting(seed=seed) for seed in range(3)]
    assert results.load(tmp_path, every)[1] == 1
    monkeypatch.setattr(results, "digest", lambda _name: "two")
    assert results.load(tmp_path, every) == ({}, 3)


def test_a_digest_is_of_code_and_not_of_what_it_says():
    text = '"""One."""\n\ndef f(x):\n    """Two."""\n    return x + 1  # three\n'
    other = '"""1."""\ndef f(x):\n\n    """2."""\n    return (x + 1)\n'
    assert runs._code(text) == runs._code(other)
    assert runs._code(text) != runs._code(text.replace("+ 1", "+ 2"))
    told = 'class System:\n    title = "One"\n    metrics: ClassVar = {}\n    rate = 1\n'
    retold = told.replace("One", "Two").replace("{}", "{1: 2}")
    assert (
        runs._code(told) == runs._code(retold) != runs._code(told.replace("rate = 1", "rate = 2"))
    )


def test_a_digest_changes_with_the_data_beside_a_workload(monkeypatch, tmp_path):
    before = {name: runs.digest.__wrapped__(name) for name in ("rise", "w2d")}
    (tmp_path / "rise_texts.npy").write_bytes(b"other")
    monkeypatch.setattr(runs, "FOLDER", tmp_path)
    assert runs.digest.__wrapped__("rise") != before["rise"]
    assert runs.digest.__wrapped__("w2d") == before["w2d"]


def test_a_run_whose_loss_is_not_finite_ends_and_says_so(toy, monkeypatch, tmp_path):
    monkeypatch.setattr(Toy, "spoiled", 3)
    result = runs.run(setting())
    assert result.diverged == "the loss is nan after 3 steps: training diverged"
    assert (result.steps, len(result.losses)) == (3, 3)
    assert math.isfinite(result.metrics["error"])
    results.save(tmp_path, result)
    found, _ = results.load(tmp_path, [setting()])
    lines = list(table.texts(found, ["fp32", "hif8_ta"]))
    assert lines == [
        "DIVERGED: toy hif8_ta recipe 0: the loss is nan after 3 steps: training diverged"
    ]


def test_the_table_has_means_differences_and_verdicts(toy):
    every = [setting(form, seed) for form in ("fp32", "hif8_ta", "e4m3") for seed in range(3)]
    found = {one: runs.run(one) for one in every}
    rows = list(table.rows(found, ["fp32", "hif8_ta", "e4m3"]))
    assert len(rows) == 3 * 4
    errors = {s.seed: r.metrics["error"] for s, r in found.items() if s.format == "hif8_ta"}
    exact = {s.seed: r.metrics["error"] for s, r in found.items() if s.format == "fp32"}
    [row] = [r for r in rows if (r.format, r.metric) == ("hif8_ta", "error")]
    assert row.mean == pytest.approx(np.mean(list(errors.values())))
    assert row.difference == pytest.approx(np.mean([errors[k] - exact[k] for k in range(3)]))
    assert (row.seeds, row.diverged, row.skipped) == (3, 0, 0)
    verdicts = table.verdicts(found, ["fp32", "hif8_ta", "e4m3"])
    assert [(v.format, v.met) for v in verdicts] == [("hif8_ta", True), ("e4m3", True)]
    shown = table.table(found, ["fp32", "hif8_ta", "e4m3"])
    assert shown.columns[2].header == "FP32"
    assert [len(list(column.cells)) for column in shown.columns] == [shown.row_count] * 5
    assert list(shown.columns[4].cells)[-1] == "met"


def test_loss_curves_are_thinned_out():
    assert runs._thinned([1.0, 2.0]) == [1.0, 2.0]
    assert runs._thinned([]) == []
    thin = runs._thinned([float(k) for k in range(401)])
    assert len(thin) <= 200
    assert thin[0] == 1.0


def test_a_loss_curve_is_that_of_the_optimizer_that_steps_first():
    weights = [nn.Parameter(torch.tensor(value)) for value in (1.0, 10.0)]
    first, second = (torch.optim.SGD([weight], lr=0.0) for weight in weights)
    trainer = Trainer(1, "fp32", "none")
    for weight, optimizer in zip([*weights, weights[0]], [first, second, first], strict=True):
        trainer.minimise(weight * 1, optimizer)
    assert trainer.losses == [1, 1]


def test_input_gradients_are_scaled_on_the_way_and_unscaled():
    made = Trainer(1, "hif8_ta", "recipe", loss_scale=2.0**20)
    x = torch.tensor([3.0], requires_grad=True)
    (gradient,) = made.gradient((x**2).sum(), x)
    assert gradient.item() == 6
    scale = 1e-7
    layer = made.convert(nn.Conv1d(1, 1, 1, bias=False))
    plain = Trainer(1, "hif8_ta", "none").convert(nn.Conv1d(1, 1, 1, bias=False))
    plain.load_state_dict(layer.state_dict())
    for part, lost in ((layer, False), (plain, True)):
        x = torch.ones(1, 1, 1, requires_grad=True)
        trainer = made if part is layer else Trainer(1, "hif8_ta", "none")
        (gradient,) = trainer.gradient(part(x).sum() * scale, x)
        assert (gradient.item() == 0) == lost


def test_learning_rates_go_up_and_down():
    whole = [one_cycle(k, 100) for k in range(100)]
    assert whole[0] == 0
    assert whole.index(max(whole)) == 30
    assert max(whole) == 1
    assert whole[-1] < 0.01
    assert [cosine(0, 10), cosine(5, 10)] == [1, 0.5]
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=9.0)
    Trainer(1, "fp32", "recipe").minimise(weight.sum(), optimizer, 0.25)
    assert weight.item() == -0.25


def test_only_an_adaptive_scale_lets_gradients_overflow():
    for scaling, saturates in (("recipe", True), ("als", False), ("pts", True), ("64", True)):
        model = Trainer(1, "e5m2", scaling).convert(nn.Conv1d(1, 1, 1))
        assert model.gemm.config.backward == Cast("e5m2", saturate=saturates)


WRONG = [
    (lambda: runs.select(["nothing"]), r"workload must be one of .*acmix.*, not 'nothing'"),
    (
        lambda: runs.plan(["toy"], ["fp7"], ["none"], 1, quick=True),
        r"format must be one of fp32, .*, not 'fp7'",
    ),
    (
        lambda: runs.plan(["toy"], ["fp32"], ["some"], 1, quick=True),
        r"scaling must be recipe, none, als, pts or a number, not 'some'",
    ),
    (lambda: Trainer(1, "fp32", "-2"), r"scaling must be .* or a number, not '-2'"),
]


@pytest.mark.parametrize(("call", "line"), WRONG)
def test_unknown_names_are_refused_in_a_line(call, line):
    with pytest.raises(ValueError, match=f"^{line}$"):
        call()


def test_plans_go_seed_by_seed():
    plan = runs.plan(["a", "b"], ["fp32", "e4m3"], ["none"], 2, quick=False)
    assert [s.seed for s in plan] == [0] * 4 + [1] * 4
    assert len(set(plan)) == len(plan) == 8


def test_the_harness_knows_no_workload():
    from pathlib import Path

    text = "".join(p.read_text() for p in Path(harness.__file__).parent.glob("*.py"))
    for name in runs.names():
        assert name not in text.lower()


def test_results_are_json(toy, tmp_path):
    path = results.save(tmp_path, runs.run(setting()))
    row = json.loads(path.read_text())
    assert row["digest"] == "one"
    assert row["setting"]["format"] == "hif8_ta"
