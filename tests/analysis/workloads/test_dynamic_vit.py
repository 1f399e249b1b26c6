# SPDX-License-Identifier: Apache-2.0
"""The mechanism of the Dynamic Vision Transformer: reuse changes later exits, and early exit."""

import numpy as np
import pytest
import torch
from hif8.analysis.workloads import dynamic_vit as dvt
from hif8.analysis.workloads.harness import Trainer
from torch import nn


@pytest.fixture
def cascade():
    torch.manual_seed(1)
    return dvt.Cascade()


@pytest.fixture
def images():
    return torch.rand(5, 8, 8, generator=torch.Generator().manual_seed(2))


def silence(parts):
    for part in parts.modules():
        if isinstance(part, nn.Linear | nn.Conv2d):
            nn.init.zeros_(part.weight)
            nn.init.zeros_(part.bias)


def test_exits_see_4_16_and_64_tokens_and_one_of_the_class(cascade, images):
    _, features, relations = cascade.exits[0](images)
    assert features.shape == (5, 1 + 4, dvt.WIDTH)
    assert relations.shape == (5, dvt.DEPTH * dvt.HEADS, 5, 5)
    _, features, relations = cascade.exits[1](images, features, relations)
    assert features.shape[1] == relations.shape[-1] == 1 + 16
    _, features, relations = cascade.exits[2](images, features, relations)
    assert features.shape[1] == relations.shape[-1] == 1 + 64


def test_patches_are_the_squares_of_an_image():
    image = torch.arange(64.0).view(1, 8, 8)
    found = dvt.patches(image, 4)
    assert found.shape == (1, 4, 16)
    assert torch.equal(found[0, 1].view(4, 4), image[0, :4, 4:])
    assert torch.equal(found[0, 2].view(4, 4), image[0, 4:, :4])


@pytest.mark.parametrize("reused", ["features", "relations"])
def test_either_reuse_changes_the_second_exit(cascade, images, reused):
    _, *handed_on = cascade.exits[0](images)
    second = cascade.exits[1]
    before, *_ = second(images, *handed_on)
    silence(getattr(second, reused))
    after, *_ = second(images, *handed_on)
    assert (before - after).abs().max() > 1e-4


def test_without_either_reuse_the_second_exit_is_a_transformer_of_its_own(cascade, images):
    first, second = cascade.exits[:2]
    silence(second.features)
    silence(second.relations)
    _, *handed_on = first(images)
    _, *others = first(images.flip(0) + 1)
    found = [second(images, *parts)[0] for parts in (handed_on, others)]
    assert torch.equal(*found)


def test_the_loss_of_a_later_exit_trains_the_exits_before(cascade, images):
    cascade(images)[2].square().sum().backward()
    first = cascade.exits[0]
    assert first.embed.weight.grad.abs().max() > 0
    assert not first.head.weight.grad.any()


def test_upsampling_repeats_places_of_the_grid():
    coarse = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    expected = [1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4]
    assert dvt.upsample(coarse, 4).tolist() == [expected]


def test_relations_of_fine_tokens_are_those_of_the_coarse_ones_they_lie_in():
    reuse = dvt.RelationReuse(4)
    reuse.mix = nn.Identity()
    relations = torch.arange(25.0).view(1, 1, 5, 5)
    found = reuse(relations)[0, 0]
    assert found.shape == (17, 17)
    # The fine token 5 lies in the coarse one 0, and 14 in 3; the class token comes before all.
    assert found[1 + 5, 1 + 14] == relations[0, 0, 1 + 0, 1 + 3]
    assert found[1 + 14, 1 + 5] == relations[0, 0, 1 + 3, 1 + 0]
    assert found[0, 1 + 14] == relations[0, 0, 0, 1 + 3]
    assert found[1 + 14, 0] == relations[0, 0, 1 + 3, 0]
    assert found[0, 0] == relations[0, 0, 0, 0]


def test_an_image_leaves_at_the_first_confidence_that_reaches_the_threshold():
    confidences = np.array([[0.9, 0.4, 0.2, 0.8], [0.1, 0.7, 0.5, 0.9], [0.3, 0.9, 0.1, 0.1]])
    thresholds = np.array([0.8, 0.6, -np.inf])
    assert dvt.leave(confidences, thresholds).tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize("budget", [0.2, 0.5, 1.0, 2.5])
def test_thresholds_give_each_exit_its_share_of_the_images_they_were_chosen_by(budget):
    confidences = np.random.default_rng(3).permuted(
        np.tile(np.linspace(0.1, 1, 700, dtype=np.float32), (3, 1)), axis=1
    )
    wanted = dvt.shares(budget)
    assert wanted[1] / wanted[0] == pytest.approx(budget)
    assert sum(wanted) == pytest.approx(1)
    exits = dvt.leave(confidences, dvt.find_thresholds(confidences, wanted))
    counts = np.bincount(exits, minlength=3)
    assert np.abs(counts - 700 * wanted).max() <= 2


def test_the_first_exit_costs_what_its_layers_multiply():
    tokens, width, hidden = 5, dvt.WIDTH, dvt.WIDTH * dvt.RATIO
    linear = 4 * width**2 + 2 * width * hidden
    attention = 2 * tokens * width
    expected = dvt.DEPTH * tokens * (linear + attention) + 4 * 16 * width + 10 * width
    costs = dvt.multiplications()
    assert costs[0] == expected
    assert costs[0] < costs[1] / 3 < costs[2] / 9


def test_the_budget_moves_accuracy_and_cost_between_the_first_exit_and_the_last():
    confidences = np.random.default_rng(4).random((3, 500), np.float32)
    answers = dvt.Answers(confidences, np.arange(3)[:, None] == np.full((1, 500), 2))
    costs = np.array([10.0, 20.0, 40.0])
    budgets = (0.01, 0.5, 1.0, 3.0, 20.0)
    found = [dvt.measure(answers, answers, budget, costs) for budget in budgets]
    assert [part.cost for part in found] == sorted(part.cost for part in found)
    assert [part.accuracy for part in found] == sorted(part.accuracy for part in found)
    assert (found[0].cost, found[0].accuracy) < (26, 2)
    assert found[-1].cost > 90
    assert found[-1].accuracy > 90
    for part in found:
        assert part.cost == pytest.approx(costs[part.exits].mean() / 0.4)


def test_the_loss_of_a_step_is_the_sum_over_the_exits():
    trainer = Trainer(5, "fp32", "none", quick=True)
    system = dvt.System(trainer)
    images, labels = (part[system.batches[0]] for part in system.training)
    with torch.no_grad():
        logits = system.model(images).double()
    picked = logits.log_softmax(dim=-1)[:, torch.arange(len(labels)), labels]
    system.step(0)
    assert trainer.losses[0] == pytest.approx(-picked.mean(dim=1).sum().item(), rel=1e-5)
