# SPDX-License-Identifier: Apache-2.0
"""The worst transform is the one of the largest loss, and the regulariser pulls logits together."""

import copy
import math

import numpy as np
import pytest
import torch
from hif8.analysis.workloads import align_reg
from hif8.analysis.workloads.harness import Trainer

IMAGES, WAYS, CLASSES = 6, 4, 10
NEAR = {"rtol": 1e-5, "atol": 1e-6}


@pytest.fixture
def logits():
    return 3 * torch.randn(IMAGES, WAYS, CLASSES, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def labels():
    return torch.tensor([3, 1, 4, 1, 5, 9])


def cross_entropy(logits, label):
    """What it is by definition, of one image and in double precision."""
    powers = [math.exp(logit) for logit in logits.tolist()]
    return -math.log(powers[label] / sum(powers))


def test_the_worst_transform_has_the_largest_loss(logits, labels):
    choice = align_reg.worst(logits, labels)
    for image in range(IMAGES):
        losses = [cross_entropy(logits[image, way], labels[image]) for way in range(WAYS)]
        assert losses.index(max(losses)) == choice[image]
    assert len(set(choice.tolist())) > 1


def test_of_equal_losses_the_first_is_the_worst(labels):
    assert (align_reg.worst(torch.zeros(IMAGES, WAYS, CLASSES), labels) == 0).all()


def test_what_is_picked_belongs_to_the_image_and_its_choice(logits):
    choice = torch.tensor([0, 3, 1, 1, 2, 0])
    picked = align_reg.pick(logits, choice)
    for image, way in enumerate(choice.tolist()):
        assert torch.equal(picked[image], logits[image, way])


def test_the_objective_is_both_losses_and_the_weighted_squared_distance(logits, labels):
    own, others = logits[:, 0], logits[:, 1]
    terms = [
        cross_entropy(own[k], labels[k])
        + cross_entropy(others[k], labels[k])
        + 0.7 * sum((a - b) ** 2 for a, b in zip(own[k].tolist(), others[k].tolist(), strict=True))
        for k in range(IMAGES)
    ]
    loss = align_reg.objective(own, others, labels, weight=0.7)
    torch.testing.assert_close(loss.item(), sum(terms) / IMAGES, **NEAR)


def test_the_regulariser_has_a_gradient_that_pulls_both_logits_together(logits, labels):
    own, others = (logits[:, k].clone().requires_grad_() for k in (0, 1))
    gradients = [
        torch.autograd.grad(align_reg.objective(own, others, labels, weight=w), (own, others))
        for w in (0.7, 0.0)
    ]
    pull = 2 * 0.7 * (own - others).detach() / IMAGES
    torch.testing.assert_close(gradients[0][0] - gradients[1][0], pull, **NEAR)
    torch.testing.assert_close(gradients[0][1] - gradients[1][1], -pull, **NEAR)


def test_the_weights_of_the_network_learn_from_the_regulariser():
    torch.manual_seed(2)
    model = align_reg.network()
    images = torch.rand(2, 1, 8, 8)
    logits, others = model(torch.cat((images, 1 - images))).chunk(2)
    align_reg.misalignment(logits, others).backward()
    assert all(weight.grad.any() for weight in model.parameters() if weight.dim() > 1)


def test_a_step_trains_on_the_images_and_the_transforms_of_the_largest_loss():
    system = align_reg.System(Trainer(3, "fp32", "none", quick=True))
    before, seen = copy.deepcopy(system.model), []
    system.model.register_forward_hook(lambda _model, args, _y: seen.append(args[0]))
    system.step(0)
    batch = system.batches[0]
    images, labels = system.data.train_images[batch], system.data.train_labels[batch]
    taken = seen[-1]
    assert torch.equal(taken[: len(batch)], images)
    with torch.no_grad():
        for image, label, chosen in zip(images, labels, taken[len(batch) :], strict=True):
            ways = [
                torch.from_numpy(make(image.numpy()[None]))
                for make in align_reg.TRANSFORMS.values()
            ]
            losses = [cross_entropy(before(way)[0], label) for way in ways]
            torch.testing.assert_close(chosen[None], ways[losses.index(max(losses))])


def test_a_quarter_turn_is_exact():
    image = np.random.default_rng(4).random((1, 1, 8, 8), np.float32)
    turned = align_reg.rotated(image, 90)
    np.testing.assert_allclose(turned, np.rot90(image, axes=(-2, -1)), atol=1e-6)


@pytest.mark.parametrize(("factor", "expected"), [(0.5, [0, 0.25, 0.5]), (-0.5, [1, 0.75, 0.5])])
def test_contrast_scales_grey_levels_and_a_negative_one_inverts(factor, expected):
    levels = np.array([0, 0.5, 1], np.float32)
    assert align_reg.contrasted(levels, factor).tolist() == expected


def test_every_transform_changes_an_image_in_its_own_way_and_keeps_to_grey_levels():
    system = align_reg.System(Trainer(0, "fp32", "none", quick=True))
    ways = torch.cat((system.data.train_images[:1], system.transforms[0]))
    assert len(ways) == len(align_reg.TRANSFORMS) + 1
    assert ways.min() >= 0
    assert ways.max() <= 1
    distances = torch.cdist(ways.flatten(1), ways.flatten(1))
    assert (distances + torch.eye(len(ways)) > 0.1).all()


def test_choices_are_compared_image_by_image():
    kept = {"choices": np.array([0, 1, 2, 3])}
    reference = {"choices": np.array([0, 1, 2, 0])}
    assert align_reg.System.compare(kept, reference) == {"choices": 75.0}
