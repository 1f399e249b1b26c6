# SPDX-License-Identifier: Apache-2.0
"""W2D's mechanism: what samples are trained on, and what features of which are dropped."""

import numpy as np
import pytest
import torch
from hif8.analysis.workloads import w2d
from hif8.analysis.workloads.harness import Trainer


@pytest.fixture
def system():
    return w2d.System(Trainer(4, "fp32", "recipe", loss_scale=2.0**12, quick=True))


def batch(system):
    places = system.task.draw(np.random.default_rng(6), 32)
    return system.task.images[places], system.task.labels[places]


def true_probabilities(logits, labels):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True))[np.arange(len(labels)), labels]


def by_hand(system, features, labels):
    """Return maps, and the fall of the true class's probability without their strongest quarter.

    The head takes the mean over positions, so the gradient at each of them is a row of its weights.
    """
    weights = system.model.head.weight.detach().double().numpy()
    bias = system.model.head.bias.detach().double().numpy()
    x = features.double().numpy()
    maps = np.stack(
        [(weights[y][:, None, None] * f).sum(0) for y, f in zip(labels, x, strict=True)]
    )
    kept = np.ones_like(maps)
    for sample, of_sample in enumerate(maps):
        for place in np.argsort(-of_sample.ravel())[:4]:
            kept[sample][np.unravel_index(place, (4, 4))] = 0
    before, after = (
        true_probabilities(f.mean(axis=(2, 3)) @ weights.T + bias, labels)
        for f in (x, x * kept[:, None])
    )
    return kept, before - after


def test_the_third_with_the_highest_losses_is_kept():
    losses = torch.tensor([0.1, 5.0, 2.0, 9.0, 0.4, 7.0, 3.0])
    assert w2d.hardest(losses).tolist() == [3, 5]


def test_of_a_batch_the_third_with_the_highest_cross_entropy_is_selected(system):
    for k in range(40):
        system.step(k)
    images, labels = batch(system)
    logits = system.model(images).detach().double().numpy()
    probabilities = true_probabilities(logits, labels.numpy())
    chosen = system._select(images, labels).tolist()
    assert sorted(chosen) == sorted(np.argsort(probabilities)[:32].tolist())


def test_the_map_weighs_features_by_the_mean_gradients_of_their_channels():
    torch.manual_seed(0)
    features, gradients = torch.randn(2, 3, 2, 2), torch.randn(2, 3, 2, 2)
    expected = np.zeros((2, 2, 2))
    for n in range(2):
        for c in range(3):
            mean = sum(gradients[n, c, i, j].item() for i in range(2) for j in range(2)) / 4
            expected[n] += mean * features[n, c].numpy()
    assert np.allclose(w2d.activations(features, gradients), expected, atol=1e-6)


def test_the_quarter_of_positions_with_the_highest_activation_is_dropped():
    maps = torch.tensor([[9.0, 1, 2, 3], [4, 8, 5, 6], [7, 0, 10, -1], [-2, -3, -4, 11]])
    mask = w2d.without_strongest(maps[None])
    assert mask.shape == (1, 1, 4, 4)
    dropped = (mask[0, 0] == 0).nonzero().tolist()
    assert dropped == [[0, 0], [1, 1], [2, 2], [3, 3]]
    assert mask.sum() == 12


def test_equal_activations_are_all_kept():
    assert w2d.without_strongest(torch.ones(2, 4, 4)).sum() == 32


def test_the_quarter_whose_true_probability_fell_most_is_masked():
    before = torch.tensor([0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9])
    after = torch.tensor([0.8, 0.1, 0.95, 0.5, 0.6, 0.2, 0.7, 0.9])
    assert w2d.fell_most(before, after).nonzero().flatten().tolist() == [1, 5]


def test_a_sample_whose_probability_did_not_fall_is_never_masked():
    before = torch.full((8,), 0.5)
    after = torch.tensor([0.4, 0.5, 0.6, 0.7, 0.49995, 0.5, 0.9, 0.8])
    assert w2d.fell_most(before, after).nonzero().flatten().tolist() == [0]


def test_features_are_masked_as_worked_out_by_hand(system):
    for k in range(40):
        system.step(k)
    images, labels = batch(system)
    features = system.model.features(images).detach()
    kept, falls = by_hand(system, features, labels.numpy())
    mask = system.mask(features, labels).numpy()
    worst = set(np.argsort(-falls)[:24].tolist())
    masked = [n for n in range(96) if (mask[n] == 0).any()]
    assert set(masked) == worst
    for n in masked:
        assert np.array_equal(mask[n, 0], kept[n])


def test_selecting_features_leaves_no_gradient_behind(system):
    images, labels = batch(system)
    system.mask(system.model.features(images).detach(), labels)
    assert all(parameter.grad is None for parameter in system.model.parameters())


def test_samples_are_selected_in_three_quarters_of_the_steps_and_features_in_all(system):
    sizes, masked = [], []
    system.model.features.register_forward_hook(lambda _, x, __: sizes.append(len(x[0])))
    original = system.mask
    system.mask = lambda features, labels: masked.append(len(labels)) or original(features, labels)
    system.steps = 8
    for k in range(8):
        system.step(k)
    assert sizes == [96, 32] * 6 + [96, 96]
    assert masked == [32] * 6 + [96] * 2


def test_overlap_is_the_share_of_selected_samples_that_both_runs_selected():
    kept = {"selected": np.array([[1, 2, 3, 4], [5, 6, 7, 8]])}
    other = {"selected": np.array([[4, 3, 9, 10], [8, 7, 6, 5]])}
    assert w2d.System.compare(kept, other) == {"overlap": 75.0}


def test_a_run_that_ended_early_is_compared_as_far_as_it_came():
    own, other = np.array([[1, 2], [3, 4]], np.uint8), np.array([[1, 5]], np.uint8)
    for pair in ((own, other), (other, own)):
        kept, reference = ({"selected": part} for part in pair)
        assert w2d.System.compare(kept, reference) == {"overlap": 50.0}
