# SPDX-License-Identifier: Apache-2.0
"""R-Mix's mechanism: saliency by the gradient, masks by quantiles, labels by area, an agent."""

import numpy as np
import pytest
import torch
from hif8.analysis.training.convert import convert_to_hif8_training, gemms
from hif8.analysis.workloads import r_mix
from hif8.analysis.workloads.harness.trainer import Trainer
from torch import nn

IMAGES = 6


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def images(rng):
    return torch.from_numpy(rng.random((IMAGES, 1, 8, 8), np.float32))


def linear(channels):
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * 64, r_mix.CLASSES))


def test_the_saliency_equals_the_explicit_gradient_of_a_linear_model(rng):
    model, labels = linear(3), torch.arange(IMAGES)
    learner = r_mix.Learner(Trainer(1, "fp32", "none"))
    learner.model = model
    images = torch.from_numpy(rng.random((IMAGES, 3, 8, 8), np.float32))
    saliency, logits = learner.look(images, labels)
    weight, bias = (p.detach().double().numpy() for p in model[1].parameters())
    x = images.double().numpy().reshape(IMAGES, -1)
    exact = x @ weight.T + bias
    odds = np.exp(exact)
    error = odds / odds.sum(axis=1, keepdims=True) - np.eye(10)[:IMAGES]
    gradient = (2 / 10 / IMAGES * error @ weight).reshape(IMAGES, 3, 8, 8)
    expected = np.sqrt((gradient**2).mean(axis=1))
    np.testing.assert_allclose(saliency.numpy(), expected, rtol=1e-4)
    np.testing.assert_allclose(logits.numpy(), exact, rtol=1e-4, atol=1e-6)


def test_a_loss_scale_does_not_change_the_saliency_in_fp32(images):
    found = []
    for scaling in ("none", "4096"):
        learner = r_mix.Learner(Trainer(1, "fp32", scaling))
        found.append(learner.look(images, torch.arange(IMAGES))[0])
    assert torch.equal(*found)


def test_the_saliency_of_the_smallest_gradients_is_not_zero():
    gradient = torch.full((1, 1, 8, 8), 1e-30)
    assert torch.allclose(r_mix.saliency_of(gradient) * 1e30, torch.ones(1, 8, 8))


@pytest.mark.parametrize("grid", r_mix.GRIDS)
def test_patches_are_means_and_sum_to_one(images, grid):
    pooled = r_mix.pooled(images[:, 0], grid)
    side = 8 // grid
    for row in range(grid):
        for column in range(grid):
            patch = images[
                :, 0, row * side : row * side + side, column * side : column * side + side
            ]
            assert torch.allclose(pooled[:, row, column], patch.mean(dim=(1, 2)))
    assert torch.allclose(r_mix.normalised(pooled).sum(dim=(1, 2)), torch.ones(IMAGES))


def test_without_a_gradient_everything_is_equally_salient():
    flushed = r_mix.normalised(torch.zeros(1, 4, 4))
    assert torch.equal(flushed, torch.zeros(1, 4, 4))
    assert r_mix.masks_of(flushed, torch.tensor([5])).all()


@pytest.mark.parametrize("grid", r_mix.GRIDS)
@pytest.mark.parametrize("choice", range(10))
def test_masks_hold_the_patches_that_reach_the_quantile(images, grid, choice):
    saliency = r_mix.pooled(images[:, 0], grid)
    masks = r_mix.masks_of(saliency, torch.full((IMAGES,), choice))
    for mask, image in zip(masks.numpy(), saliency.double().numpy(), strict=True):
        quantile = np.quantile(image, np.linspace(0, 0.99, 10)[choice])
        expected = np.kron(image >= quantile - 1e-7, np.ones((8 // grid, 8 // grid)))
        assert np.array_equal(mask, expected)


def test_every_image_has_a_quantile_of_its_own(images):
    choices = torch.tensor([0, 9, 0, 9, 4, 9])
    shares = r_mix.masks_of(images[:, 0], choices).float().mean(dim=(1, 2)).tolist()
    assert shares == [1, 1 / 64, 1, 1 / 64, 36 / 64, 1 / 64]


def test_equal_masks_are_mixed_by_the_share_and_else_the_salient_one_is_taken(rng, images):
    masks = torch.from_numpy(rng.random((IMAGES, 8, 8)) < 0.5)
    order, share = torch.tensor([1, 2, 0, 4, 3, 5]), 0.3
    mixed = r_mix.mix(images, torch.arange(IMAGES), masks, order, share).images
    cases = set()
    for k, other in enumerate(order.tolist()):
        for row in range(8):
            for column in range(8):
                own, its = images[k, 0, row, column].item(), images[other, 0, row, column].item()
                case = bool(masks[k, row, column]), bool(masks[other, row, column])
                expected = {(True, False): own, (False, True): its}.get(case, 0.3 * own + 0.7 * its)
                assert mixed[k, 0, row, column].item() == pytest.approx(expected, abs=1e-6)
                cases.add(case)
    assert len(cases) == 4


def test_labels_are_area_fractions(rng, images):
    masks = torch.from_numpy(rng.random((IMAGES, 8, 8)) < 0.5)
    order, share = torch.tensor([1, 2, 0, 4, 3, 5]), 0.3
    labels = torch.tensor([7, 3, 1, 7, 7, 2])
    mixed = r_mix.mix(images, labels, masks, order, share).labels
    for k, other in enumerate(order.tolist()):
        own, its = masks[k].numpy(), masks[other].numpy()
        equal, first, second = (x.sum() / 64 for x in (own == its, own & ~its, its & ~own))
        expected = np.zeros(10)
        expected[labels[k]] += first + 0.3 * equal
        expected[labels[other]] += second + 0.7 * equal
        np.testing.assert_allclose(mixed[k].numpy(), expected, atol=1e-6)


def test_labels_say_what_share_of_the_pixels_is_of_which_image(rng):
    # Images of one grey level each: what is left of them is what the labels say.
    images = torch.eye(IMAGES)[:, :, None, None].expand(-1, -1, 8, 8)
    masks = torch.from_numpy(rng.random((IMAGES, 8, 8)) < 0.3)
    mixed = r_mix.mix(images, torch.arange(IMAGES), masks, torch.randperm(IMAGES), 0.6)
    assert torch.allclose(mixed.images.mean(dim=(2, 3)), mixed.labels[:, :IMAGES], atol=1e-6)


def test_choices_and_shares_are_uniform():
    rng = np.random.default_rng(5)
    draws = [r_mix.draw(rng) for _ in range(300)]
    shares = np.array([drawn.share for drawn in draws])
    assert abs(shares.mean() - 1 / 2) < 0.05
    assert abs(shares.var() - 1 / 12) < 0.015
    counts = np.bincount(torch.cat([drawn.choices for drawn in draws]).numpy())
    assert len(counts) == 10
    assert (abs(counts - 3000) < 300).all()
    assert {drawn.grid for drawn in draws} == {2, 4, 8}
    for drawn in draws:
        assert sorted(drawn.order.tolist()) == list(range(r_mix.BATCH))


def test_noise_draws_from_the_softmax():
    rng, logits = np.random.default_rng(6), torch.log(torch.linspace(1, 10, 10) / 55)
    noise = torch.cat([r_mix.draw(rng).noise for _ in range(200)])
    counts = torch.bincount((logits + noise).argmax(dim=1), minlength=10)
    assert torch.allclose(counts / 20000, torch.linspace(1, 10, 10) / 55, atol=0.01)


def test_the_reward_is_the_cosine_of_both_saliencies_whatever_their_scale():
    before, after = torch.rand(4, 2, 2), torch.rand(4, 2, 2)
    a, b = (x.double().numpy().ravel() for x in (before, after))
    expected = a @ b / np.sqrt((a @ a) * (b @ b))
    for scale in (1.0, 2.0**-80, 2.0**80):
        assert r_mix.similarity(before, scale * after).item() == pytest.approx(expected, rel=1e-5)
    assert r_mix.similarity(before, before).item() == pytest.approx(1, rel=1e-6)
    assert r_mix.similarity(before, torch.full((4, 2, 2), torch.inf)) == 0
    assert r_mix.similarity(before, torch.zeros(4, 2, 2)) == 0


def test_the_saliency_after_is_the_gradient_of_the_mixed_images(images):
    trainer = Trainer(1, "fp32", "64")
    learner = r_mix.Learner(trainer)
    learner.model = linear(1)
    labels = torch.eye(10)[:IMAGES]
    weight = learner.model[1].weight.detach().double().numpy()
    logits = learner.model(images).detach().double().numpy()
    odds = np.exp(logits)
    error = odds / odds.sum(axis=1, keepdims=True) - labels.numpy()
    expected = abs(64 / IMAGES * error @ weight).reshape(IMAGES, 8, 8)
    learner._optimizer = torch.optim.SGD(learner.model.parameters(), lr=0.1)
    found = learner.learn(r_mix.Mixed(images, labels), 0.0)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-7)


def test_advantages_are_discounted_sums_of_errors():
    rewards, values = torch.tensor([1.0, 0.5, 2.0]), torch.tensor([0.3, -0.2, 0.7])
    following = [-0.2, 0.7, 0.0]
    errors = [
        r + 0.99 * n - v
        for r, n, v in zip(rewards.tolist(), following, values.tolist(), strict=True)
    ]
    trace = 0.99 * 0.95
    expected = [
        sum(trace**j * errors[k + j] for j in range(len(errors) - k)) for k in range(len(errors))
    ]
    assert r_mix.advantages_of(rewards, values).tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss"),
    [(1.5, 2.0, -2.4), (1.1, 2.0, -2.2), (0.5, 2.0, -1.0), (0.5, -1.0, 0.8), (1.5, -1.0, 1.5)],
)
def test_the_policy_gains_nothing_by_going_too_far(ratio, advantage, loss):
    found = r_mix.clipped(torch.tensor([ratio]), torch.tensor([advantage]))
    assert found.item() == pytest.approx(loss)


def test_rewarded_choices_become_likelier_and_others_less(monkeypatch):
    monkeypatch.setattr(r_mix, "DISCOUNT", 0.0)
    chooser = r_mix.Chooser(Trainer(1, "hif8_ta", "4096"))
    rng = np.random.default_rng(2)
    moments = []
    for k in range(r_mix.EPISODE):
        saliency = torch.from_numpy(rng.random((r_mix.BATCH, 4, 4), np.float32))
        moments.append(chooser.choose(saliency, torch.zeros(100, 10), r_mix.draw(rng).noise))
        chooser.reward(moments[-1], torch.tensor(float(k % 2)))
    seen = torch.stack([moment.saliency for moment in moments])
    with torch.no_grad():
        policy, values = chooser.model(seen, torch.zeros(len(seen), r_mix.BATCH, 10))
    for k, moment in enumerate(moments):
        now = sum(policy[k, image, choice] for image, choice in enumerate(moment.choices))
        assert (now > moment.likelihood) == k % 2
    expected = torch.stack([moment.value for moment in moments])
    assert abs(values.mean() - 0.5) < abs(expected.mean() - 0.5)


def test_choices_are_as_likely_as_the_product_of_all():
    policy = torch.rand(2, 3, 10).log_softmax(dim=-1)
    choices = torch.tensor([[1, 2, 3], [9, 0, 0]])
    found = r_mix.likelihood_of(policy, choices)
    for k in range(2):
        expected = np.prod([policy[k, j, choices[k, j]].exp().item() for j in range(3)])
        assert found[k].exp().item() == pytest.approx(expected, rel=1e-5)


def test_uncast_products_are_those_of_fp32_and_casts_come_back(images):
    torch.manual_seed(4)
    plain = r_mix.Classifier().eval()
    model = r_mix.Classifier().eval()
    model.load_state_dict(plain.state_dict())
    convert_to_hif8_training(model)
    before = {name: gemm.config for name, gemm in gemms(model).items()}
    with torch.no_grad():
        expected = plain(images)
        assert not torch.equal(model(images), expected)
        with r_mix.uncast(model):
            assert torch.equal(model(images), expected)
        assert not torch.equal(model(images), expected)
    assert {name: gemm.config for name, gemm in gemms(model).items()} == before


def test_the_agreement_is_the_share_of_equal_bits():
    masks, others = (np.packbits(np.array(bits)) for bits in ([1, 1, 0, 0] * 4, [1, 0, 0, 0] * 4))
    assert r_mix.agreement(masks, others) == 75
    assert r_mix.System.compare({"masks": masks}, {"masks": masks}) == {"run_masks": 100}


def test_masks_drawn_at_random_agree_in_two_thirds():
    rng = np.random.default_rng(8)
    every = [
        torch.stack(
            [
                r_mix.masks_of(
                    torch.from_numpy(rng.random((100, grid, grid), np.float32)),
                    torch.full((100,), level),
                )
                for grid in r_mix.GRIDS
                for level in range(10)
            ]
        )
        for _ in range(2)
    ]
    agreement = r_mix.agreement(*(np.packbits(masks.numpy()) for masks in every))
    assert agreement == pytest.approx(66.8, abs=1)
