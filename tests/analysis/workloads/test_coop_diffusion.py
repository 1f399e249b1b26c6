# SPDX-License-Identifier: Apache-2.0
"""Two halves by time, DDIM, and models of other spaces and sizes that sample together."""

import math

import numpy as np
import pytest
import torch
from hif8.analysis.workloads import coop_diffusion as coop
from hif8.analysis.workloads.harness import Trainer
from scipy import linalg

COUNT = 5
TIMES = coop.path(20)
NEAR = {"rtol": 1e-3, "atol": 1e-3}


def normal(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def knowing(clean, space=coop.PIXELS):
    """A model that knows which latent is the clean one, and predicts the noise exactly."""

    def predict(z, time):
        a = math.prod(1 - (1e-4 + (0.02 - 1e-4) * k / 999) for k in range(time + 1))
        return (z - math.sqrt(a) * clean) / math.sqrt(1 - a)

    return coop.Model(predict, space)


def guessing(seed, size, space=coop.PIXELS):
    """A model of no use, that predicts something of the latent and the time."""
    mixing = normal(seed, size, size) / math.sqrt(size)

    def predict(z, time):
        return torch.tanh(z.flatten(1) @ mixing + time / 1000).view_as(z)

    return coop.Model(predict, space)


def turned(seed, size=64):
    """A space that is that of images turned and moved."""
    axes = torch.linalg.qr(normal(seed, size, size))[0]

    def decode(z):
        return (z @ axes.T).view(-1, 1, 8, 8) + 0.5

    return coop.Space(lambda images: (images - 0.5).flatten(1) @ axes, decode)


@pytest.fixture(scope="module")
def system():
    return coop.System(Trainer(3, "fp32", "none", quick=True))


def test_signal_is_kept_as_by_the_linear_schedule():
    betas = [1e-4 + (0.02 - 1e-4) * k / 999 for k in range(1000)]
    for time in (0, 1, 299, 999):
        kept = math.prod(1 - beta for beta in betas[: time + 1])
        assert math.isclose(coop.alpha(time), kept, rel_tol=1e-6)
    assert coop.alpha(-1) == 1


@pytest.mark.parametrize("time", [0, 300, 999])
def test_noise_and_clean_latent_are_found_from_each_other(time):
    clean, noise = normal(1, COUNT, 7).double(), normal(2, COUNT, 7).double()
    a = coop.alpha(time)
    z = math.sqrt(a) * clean + math.sqrt(1 - a) * noise
    torch.testing.assert_close(coop.cleaned(z, noise, time), clean)
    torch.testing.assert_close(coop.noise_between(z, clean, time), noise)
    torch.testing.assert_close(coop.noised(clean, noise, time), z, rtol=1e-6, atol=1e-6)


def test_each_example_is_noised_at_its_own_time():
    clean, noise, times = normal(1, 3, 2, 2), normal(2, 3, 2, 2), torch.tensor([0, 999, 500])
    z = coop.noised(clean, noise, times)
    for k, time in enumerate(times.tolist()):
        one = coop.noised(clean[k : k + 1], noise[k : k + 1], time)
        assert torch.equal(z[k : k + 1], one)


def test_errors_weigh_one_where_noise_prevails_and_less_where_it_does_not():
    weights = coop.weights(torch.tensor([999, 500, 10, 0]))
    signal = [coop.alpha(time) / (1 - coop.alpha(time)) for time in (10, 0)]
    expected = torch.tensor([1, 1, coop.CAP / signal[0], coop.CAP / signal[1]])
    torch.testing.assert_close(weights, expected, rtol=1e-3, atol=0)
    assert signal[0] > coop.CAP


def test_a_path_visits_all_times_once_downwards():
    assert coop.path(1000) == [(time, time - 1) for time in range(999, -1, -1)]
    times, later = zip(*TIMES, strict=True)
    assert (times[0], later[-1]) == (999, -1)
    assert times[1:] == later[:-1]


def test_ddim_ends_at_the_image_that_is_predicted_all_along():
    clean = normal(1, COUNT, 1, 8, 8)
    found = coop.sample(knowing(clean).predict, normal(2, COUNT, 1, 8, 8), TIMES)
    torch.testing.assert_close(found, clean, **NEAR)


def test_the_fusion_recovers_the_plain_sampler_where_the_other_model_has_no_share():
    main, other = guessing(1, 64), guessing(2, 64, turned(3))
    z, other_z = normal(4, COUNT, 1, 8, 8), normal(5, COUNT, 64)
    alone = coop.sample(main.predict, z, TIMES)
    assert torch.equal(coop.coop_spaces(main, other, z, other_z, TIMES, share=0), alone)
    together = coop.coop_spaces(main, other, z, other_z, TIMES, share=0.5)
    assert (together - alone).abs().max() > 0.1


def test_the_fusion_is_the_other_model_s_sampler_where_it_has_all_and_both_share_a_space():
    main, other = guessing(1, 64), guessing(2, 64)
    z = normal(4, COUNT, 1, 8, 8)
    alone = coop.sample(other.predict, z, TIMES)
    together = coop.coop_spaces(main, other, z, z, TIMES, share=1)
    torch.testing.assert_close(together, alone, **NEAR)


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_models_of_two_spaces_that_know_their_images_make_the_mixed_image(share):
    space, images = turned(3), normal(1, 2, COUNT, 1, 8, 8)
    main, other = knowing(images[0]), knowing(space.encode(images[1]), space)
    z, other_z = normal(4, COUNT, 1, 8, 8), normal(5, COUNT, 64)
    made = coop.coop_spaces(main, other, z, other_z, TIMES, share=share)
    torch.testing.assert_close(made, share * images[1] + (1 - share) * images[0], **NEAR)


def test_high_resolution_goes_on_from_the_upscaled_prediction_at_the_handover():
    image, noise = normal(1, COUNT, 1, 4, 4), normal(2, COUNT, 1, 8, 8)
    low, target, seen = knowing(image), normal(3, COUNT, 1, 8, 8), []
    high = knowing(target)

    def watched(z, time):
        seen.append((time, z))
        return high.predict(z, time)

    z = normal(4, COUNT, 1, 4, 4)
    made = coop.coop_sizes(low, coop.Model(watched, coop.PIXELS), z, noise, TIMES)
    expected = [time for time, _ in TIMES if time < coop.HANDOVER]
    assert [time for time, _ in seen] == expected
    begun = coop.noised(coop.enlarged(image), noise, expected[0])
    torch.testing.assert_close(seen[0][1], begun, **NEAR)
    torch.testing.assert_close(made, target, **NEAR)


def test_components_are_orthogonal_and_nearest_to_the_images_of_all_such_spaces():
    images = normal(1, 200, 1, 8, 8) * torch.linspace(0.1, 2, 64).view(8, 8) + 0.3
    found = coop.Components(images)
    z = normal(2, COUNT, coop.COMPONENTS)
    torch.testing.assert_close(found.encode(found.decode(z)), z, **NEAR)
    lost = (found.decode(found.encode(images)) - images).square().sum().item()
    covariance = np.cov(images.flatten(1).double().numpy(), rowvar=False, bias=True)
    least = 200 * np.sort(np.linalg.eigvalsh(covariance))[: 64 - coop.COMPONENTS].sum()
    assert math.isclose(lost, least, rel_tol=1e-4)


def test_the_texture_generator_takes_images_of_any_size(system):
    condition, times = coop.one_hot(torch.tensor([1, 2])), torch.tensor([5.0, 250.0])
    for side in (4, 6, 8):
        z = normal(1, 2, 1, side, side)
        assert system.texture(z, times, condition).shape == z.shape


def test_one_generator_predicts_from_the_split_on_and_the_other_before(system):
    main, called = system.generator(system.labels[:2]), []
    handles = [
        getattr(system, name).register_forward_hook(lambda *_, name=name: called.append(name))
        for name in ("structure", "texture")
    ]
    for time in (999, coop.SPLIT, coop.SPLIT - 1, 0):
        main.predict(normal(1, 2, 1, 8, 8), time)
    for handle in handles:
        handle.remove()
    assert called == ["structure", "structure", "texture", "texture"]


def test_the_halves_learn_at_their_own_times_and_together_at_all(system):
    spans = {task.net: (task.first, task.end) for task in system.tasks}
    assert spans[system.structure] == (coop.SPLIT, 1000)
    assert spans[system.texture] == (0, coop.SPLIT)
    for task in system.tasks:
        times, _ = task.draw(20_000, torch.Generator().manual_seed(1))
        assert (times.min(), times.max()) == (task.first, task.end - 1)


def test_models_are_trained_apart(system):
    for task in system.tasks:
        task.loss(system.batches[0], torch.Generator().manual_seed(1)).backward()
        for other in system.tasks:
            reached = [p.grad is not None for p in other.net.parameters()]
            assert all(reached) if other is task else not any(reached)
        system.optimizer.zero_grad()


def test_structure_learns_from_high_and_upscaled_low_resolution_texture_from_parts(system):
    structure, texture = (task.latents for task in system.tasks[:2])
    images = 2 * coop.data.digits(3).train_images - 1
    half = len(images) // 2
    assert torch.equal(structure[half:], images[half:])
    means = images[:half].unfold(2, 2, 2).unfold(3, 2, 2).mean(dim=(-2, -1))
    again = torch.nn.functional.interpolate(means, scale_factor=2, mode="bicubic")
    torch.testing.assert_close(structure[:half], again, rtol=1e-4, atol=1e-5)
    parts = images.unfold(2, 6, 1).unfold(3, 6, 1).flatten(1, 3)
    same = (parts == texture).flatten(2).all(dim=2)
    assert same.any(dim=1).all()


def test_the_layout_is_the_ink_of_the_quadrants():
    image = torch.zeros(1, 1, 8, 8)
    image[..., :4, 4:] = 1
    image[..., 7, 0] = 1
    assert coop.layout(image).tolist() == [[0, 1, 1 / 16, 0]]


def test_the_frechet_distance_is_that_of_the_formula():
    rng = np.random.default_rng(1)
    a = rng.normal(size=(300, 4)) @ rng.normal(size=(4, 4))
    b = rng.normal(size=(200, 4)) @ rng.normal(size=(4, 4)) + 1
    ca, cb = np.cov(a.T), np.cov(b.T)
    root = linalg.sqrtm(ca @ cb).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca + cb - 2 * root)
    assert math.isclose(coop.frechet(a, b), expected, rel_tol=1e-6)
    assert abs(coop.frechet(a, a)) < 1e-9


def test_what_is_no_number_counts_as_wrong_and_can_be_measured(system):
    broken = torch.full_like(system.images, torch.nan)
    assert system.judge.right(system.images, system.labels) > 90
    assert system.judge.right(broken, system.labels) < 20
    real, features = (system.judge.features(x) for x in (system.images, broken))
    assert math.isfinite(coop.frechet(features, real))


def test_guidance_goes_beyond_the_prediction_with_the_condition(system):
    z, condition = normal(1, 3, 1, 8, 8), coop.one_hot(torch.tensor([7, 0, 2]))
    times = torch.full((3,), 400.0)
    with torch.no_grad():
        towards, free = (system.structure(z, times, c) for c in (condition, 0 * condition))
        guided = coop.predictor(system.structure, condition)(z, 400)
    difference = (towards - free).abs().max()
    assert difference > 0
    torch.testing.assert_close(guided, towards + (coop.GUIDANCE - 1) * (towards - free))


def test_a_share_of_examples_learns_without_its_condition(system):
    seen = []
    handle = system.small.register_forward_hook(lambda _net, args, _y: seen.append(args[2]))
    task = next(task for task in system.tasks if task.net is system.small)
    task.loss(torch.arange(1400), torch.Generator().manual_seed(1))
    handle.remove()
    without = (seen[0] == 0).all(dim=1)
    assert abs(without.float().mean() - coop.DROPPED) < 0.03
    assert torch.equal(seen[0][~without], task.condition[~without])
