# SPDX-License-Identifier: Apache-2.0
"""What holds for every workload there is: the folder is listed, none is named."""

import math

import pytest
import torch
from hif8.analysis.training.audit import audit
from hif8.analysis.workloads.harness import Metric, runs, trainer
from hif8.analysis.workloads.harness.rules import Rule
from torch import nn

STEPS = 2


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


@pytest.mark.parametrize("form", runs.FORMATS)
@pytest.mark.parametrize("name", runs.names())
def test_two_steps_are_the_same_twice_with_one_seed(name, form):
    first, second = (runs.run(setting(name, form), steps=STEPS, evaluate=False) for _ in range(2))
    assert first.steps == STEPS
    assert not first.diverged
    assert len(first.losses) >= 1
    assert first.losses == second.losses
    assert first.weights == second.weights
    assert all(math.isfinite(loss) for loss in first.losses)


@pytest.mark.parametrize("name", runs.names())
def test_seeds_and_formats_differ(name):
    one, other = setting(name), setting(name)._replace(seed=2)
    weights = [
        runs.run(which, steps=STEPS, evaluate=False).weights
        for which in (one, other, one._replace(format="fp32"))
    ]
    assert len(set(weights)) == 3


@pytest.mark.parametrize("name", runs.names())
def test_all_formats_begin_with_the_same_weights(name):
    weights = {
        runs.run(setting(name, form), steps=0, evaluate=False).weights for form in runs.FORMATS
    }
    assert len(weights) == 1


@pytest.mark.parametrize("scaling", ["als", "pts", "none"])
@pytest.mark.parametrize("name", runs.names())
def test_every_scaling_trains(name, scaling):
    result = runs.run(setting(name, scaling=scaling), steps=STEPS, evaluate=False)
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
