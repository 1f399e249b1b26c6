# SPDX-License-Identifier: Apache-2.0
"""The mechanism of misaligned features: what predicts in training alone, and what counters it."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hif8.analysis.training.audit import audit
from hif8.analysis.workloads import misaligned
from hif8.analysis.workloads.harness.trainer import Trainer
from torch import nn
from torch.nn import functional

IMAGES = 12


@pytest.fixture(scope="module")
def system():
    return misaligned.System(Trainer(2, "fp32", "recipe", quick=True))


def some():
    rng = np.random.default_rng(4)
    images = torch.from_numpy(rng.random((IMAGES, 1, 8, 8), np.float32))
    return images, torch.arange(IMAGES) % 10, misaligned.patterns_of(rng)


def arm(name, *, network=None, form="fp32", scaling="none"):
    trainer = Trainer(3, form, scaling)
    network = network or misaligned.Network()
    return misaligned.Arm(trainer, misaligned.METHODS[name], network, some()[2])


def test_the_pattern_predicts_the_label_in_training_and_not_in_the_test(system):
    train = (system.on_train == system.data.train_labels).float().mean().item()
    inside = (system.inside == system.data.test_labels).float().mean().item()
    outside = (system.on_test == system.data.test_labels).float().mean().item()
    assert train == pytest.approx(0.9, abs=0.03)
    assert inside == pytest.approx(0.9, abs=0.05)
    assert outside == pytest.approx(0.1, abs=0.05)


def test_a_pattern_of_another_label_is_any_other_one():
    labels = torch.zeros(20000, dtype=torch.int64)
    rng = np.random.default_rng(1)
    shares = torch.bincount(misaligned.aligned(labels, rng), minlength=10) / 20000
    assert shares.tolist() == pytest.approx([0.9] + [0.1 / 9] * 9, abs=0.01)
    shares = torch.bincount(misaligned.unrelated(labels, rng), minlength=10) / 20000
    assert shares.tolist() == pytest.approx([0.1] * 10, abs=0.01)


def test_patterns_are_all_different(system):
    assert len({tuple(pattern.flatten().tolist()) for pattern in system.patterns}) == 10


def test_a_digit_and_its_pattern_are_blended():
    image, pattern = torch.full((1, 1, 8, 8), 0.5), torch.ones(1, 1, 8, 8)
    assert torch.allclose(misaligned.blend(image, pattern), torch.full((1, 1, 8, 8), 0.775))
    assert 0.5 <= misaligned.WEIGHT <= 0.6


def test_the_reversed_gradient_has_the_opposite_sign():
    x = torch.randn(5, requires_grad=True)
    y = misaligned.Reversal.apply(x, 0.25)
    assert torch.equal(y, x)
    (2 * y).sum().backward()
    assert torch.equal(x.grad, torch.full((5,), -0.5))


def test_the_reversal_grows_from_nothing_to_its_full_strength():
    strengths = [misaligned.strength_at(k / 20) for k in range(21)]
    assert strengths[0] == 0
    assert all(a < b for a, b in pairwise(strengths))
    assert strengths[10] == pytest.approx(misaligned.STRENGTH * np.tanh(2.5))
    assert strengths[-1] == pytest.approx(misaligned.STRENGTH, rel=1e-3)


def test_features_unlearn_what_the_pattern_head_learns():
    images, labels, patterns = some()
    learner = arm("reverse")
    x = misaligned.blend(images, patterns[labels])

    def pattern_loss():
        return functional.cross_entropy(learner._side(learner.model.features(x)), labels)

    body, side = [*learner.model.features.parameters()], [*learner._side.parameters()]
    plain = torch.autograd.grad(pattern_loss(), body + side)
    digits = torch.autograd.grad(functional.cross_entropy(learner.model(x), labels), body)
    start = [p.detach().clone() for p in body + side]
    learner._optimizer = torch.optim.SGD(body + side, lr=1.0)
    learner.learn(images, labels, labels, 0.5)
    steps = [a - b.detach() for a, b in zip(start, body + side, strict=True)]
    for k, step in enumerate(steps):
        expected = digits[k] - 0.5 * plain[k] if k < len(body) else plain[k]
        assert torch.allclose(step, expected, atol=1e-6)
        assert plain[k].abs().sum() > 0


class Lookup(nn.Module):
    """A model whose logits are what a table says of the pattern that it recognises."""

    def __init__(self, patterns, table):
        super().__init__()
        self.patterns, self.table = patterns.flatten(1), table

    def forward(self, x):
        apart = torch.cdist(x.flatten(1), misaligned.WEIGHT * self.patterns)
        return self.table[apart.argmin(dim=1)]


def test_every_pattern_is_tried_with_every_digit():
    labels, patterns = torch.arange(IMAGES) % 10, some()[2]
    table = torch.randn(10, 10)
    model = Lookup(patterns, table)
    losses = misaligned.losses_of_all(model, torch.zeros(IMAGES, 1, 8, 8), labels, patterns)
    expected = -table.double().log_softmax(dim=1)[:, labels].T
    assert losses.shape == (IMAGES, 10)
    assert torch.allclose(losses.double(), expected, atol=1e-5)
    assert not losses.requires_grad


@pytest.mark.parametrize("name", misaligned.METHODS)
def test_the_worst_pattern_is_learned_of_where_the_method_says_so(name, monkeypatch):
    images, labels, patterns = some()
    learner = arm(name)
    with torch.no_grad():
        each = torch.stack(
            [
                functional.cross_entropy(
                    learner.model(misaligned.blend(images, p)), labels, reduction="none"
                )
                for p in patterns
            ]
        )
    worst = misaligned.METHODS[name].worst
    chosen = each.argmax(dim=0) if worst else labels
    assert not torch.equal(each.argmax(dim=0), labels)
    seen = []
    blend = misaligned.blend
    monkeypatch.setattr(misaligned, "blend", lambda *a: seen.append(blend(*a)) or seen[-1])
    learner.learn(images, labels, labels, 0.1)
    assert torch.equal(seen[-1], blend(images, patterns[chosen]))
    assert len(seen) == 1 + worst


def test_arms_begin_alike_and_learn_apart(system):
    first = [arm.model.head.weight for arm in system.arms.values()]
    assert all(torch.equal(first[0], weight) for weight in first)
    assert len({id(weight) for weight in first}) == len(misaligned.METHODS) == 4


def test_products_behind_the_reversal_are_cast():
    images, labels, _ = some()
    learner = arm("both", form="hif8_ta")
    models = nn.ModuleDict({"model": learner.model, "side": learner._side})
    with audit(models, allow=["model.head", "side.2"]) as found:
        learner.learn(images, labels, labels, 0.1)
    cast = {(p.where, p.direction) for p in found.products if p.is_cast}
    assert {("features.5", "backward"), ("0", "forward"), ("0", "backward")} <= cast
