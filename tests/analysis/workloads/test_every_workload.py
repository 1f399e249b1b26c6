# SPDX-License-Identifier: Apache-2.0
"""What holds for every workload there is: the folder is listed, none is named."""

import math
from functools import cache

import pytest
import torch
from hif8.analysis.training.audit import audit
from hif8.analysis.workloads.harness import Metric, runs, trainer
from hif8.analysis.workloads.harness.rules import Rule
from torch import nn

STEPS = 2
FORMATS = ("fp32", "hif8_ta", "hif8_hr")
PAIRS = [(name, form) for name in runs.names() for form in FORMATS]
PAIRS += [(runs.names()[0], form) for form in runs.FORMATS if form not in FORMATS]
"""Every workload in three formats, and one of them in all."""


def setting(name, form="hif8_ta", scaling="recipe"):
    return runs.Setting(name, form, scaling, seed=1, quick=True)


@pytest.mark.parametrize("name", runs.names())
def test_a_workload_says_what_it_is(name):
    kind = runs.system(name)
    for text in (kind.title, kind.reference, kind.simplified):
        assert text.strip() == text != ""
    assert kind.simplified.endswith(".")
    assert kind.loss_scale > 0
    assert kind.metrics
    assert all(isinstance(metric, Metric) for metric in kind.metrics.values())
    assert kind.criterion
    assert all(isinstance(rule, Rule) for rule in kind.criterion)


@cache
def begun_and_trained(one):
    """Return the weights that a run begins with, and its result; kept for the next test."""
    kind, begun = runs.system(one.workload), []

    class Watched(kind):
        def __init__(self, trainer):
            super().__init__(trainer)
            begun.append(runs._weights(trainer.models))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "system", lambda _name: Watched)
        result = runs.run(one, steps=STEPS, evaluate=False)
    assert len(begun) == 1
    return *begun, result


@pytest.mark.parametrize(("name", "form"), PAIRS)
def test_two_steps_train_and_begin_with_the_same_weights(name, form):
    weights, result = begun_and_trained(setting(name, form))
    assert result.steps == STEPS
    assert not result.diverged
    assert len(result.losses) >= 1
    assert all(math.isfinite(loss) for loss in result.losses)
    assert weights == begun_and_trained(setting(name))[0] != result.weights


@pytest.mark.parametrize("name", runs.names())
def test_two_steps_are_the_same_twice_with_one_seed(name):
    _, first = begun_and_trained(setting(name))
    second = runs.run(setting(name), steps=STEPS, evaluate=False)
    assert first.losses == second.losses
    assert first.weights == second.weights


@pytest.mark.parametrize("name", runs.names())
def test_seeds_and_formats_differ(name):
    one, other = setting(name), setting(name)._replace(seed=2)
    every = (one, other, one._replace(format="fp32"))
    assert len({begun_and_trained(each)[1].weights for each in every}) == 3


@pytest.mark.parametrize("scaling", ["als", "pts", "none"])
@pytest.mark.parametrize("name", runs.names())
def test_every_scaling_trains(name, scaling):
    _, result = begun_and_trained(setting(name, scaling=scaling))
    assert result.steps == STEPS
    assert not result.diverged


@pytest.mark.parametrize("name", runs.names())
def test_a_run_ends_with_the_metrics_that_are_declared(name):
    result = runs.run(setting(name), steps=STEPS)
    kind = runs.system(name)
    metrics = result.metrics | kind.compare(result.kept, result.kept)
    assert set(metrics) == {*kind.metrics, "flushed", "saturated"}
    assert all(isinstance(value, float) for value in metrics.values())


@pytest.mark.parametrize("name", runs.names())
def test_every_product_of_a_workload_is_cast(name):
    made = trainer.Trainer(1, "hif8_ta", "recipe", loss_scale=2.0**10, quick=True)
    workload = runs.system(name)(made)
    parts = {key: part for key, part in vars(workload).items() if isinstance(part, nn.Module)}
    every = nn.ModuleDict(parts)
    heads = [key for key, part in every.named_modules() if any(part is head for head in made.left)]
    with audit(every, allow=[*heads, *workload.uncast]) as found:
        workload.step(0)
        workload.evaluate()
    directions = {product.direction for product in found.products if product.is_cast}
    assert directions == {"forward", "backward"}


@pytest.mark.parametrize("name", runs.names())
def test_a_workload_uses_no_global_randomness(name):
    results = []
    for noise in (1, 2):
        made = trainer.Trainer(1, "fp32", "recipe", quick=True)
        workload = runs.system(name)(made)
        torch.manual_seed(noise)
        for k in range(STEPS):
            workload.step(k)
        results.append(made.losses)
    assert results[0] == results[1]
