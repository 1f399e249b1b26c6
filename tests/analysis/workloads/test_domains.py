# SPDX-License-Identifier: Apache-2.0
"""Digits in four domains: how they look, and that the fourth stays unseen."""

import numpy as np
import pytest
import torch
from hif8.analysis.workloads.harness import data, domains
from sklearn.datasets import load_sample_image


@pytest.fixture
def digits():
    return data.digits(3).train_images[:40]


def rng():
    return np.random.default_rng(5)


def test_a_plain_digit_is_grey_and_an_inverted_one_is_its_negative(digits):
    for channel in range(3):
        plain, inverted = (domains.rendered(name, digits, rng()) for name in ("plain", "inverted"))
        assert torch.equal(plain[:, channel], digits[:, 0])
        assert torch.equal(inverted[:, channel], 1 - digits[:, 0])


@pytest.mark.parametrize("name", ["china.jpg", "flower.jpg"])
def test_a_digit_over_a_photograph_is_the_difference_without_its_sign(name, digits):
    patches = domains.patches(name, len(digits), rng())
    seen = domains.rendered(name, digits, rng()).numpy()
    for image, patch, digit in zip(seen, patches, digits.numpy(), strict=True):
        for channel in range(3):
            assert np.array_equal(image[channel], np.abs(patch[channel] - digit[0]))
    assert len({patch.tobytes() for patch in patches}) > 30


def test_a_pixel_of_a_photograph_is_the_mean_of_a_block():
    pixels = load_sample_image("flower.jpg")
    block = pixels[16:24, 40:48, 2].astype(float)
    assert domains.photograph("flower.jpg")[2, 2, 5] == pytest.approx(block.mean() / 255, rel=1e-5)


def test_as_many_images_of_each_source_are_drawn_and_none_of_the_held_out():
    task = domains.Task(3, rng())
    assert domains.HELD_OUT not in domains.SOURCES
    assert len(task.images) == 3 * 1400 * domains.COPIES
    places = task.draw(rng(), 32)
    flat = [int(place) // (1400 * domains.COPIES) for place in places]
    assert [flat.count(domain) for domain in range(4)] == [32, 32, 32, 0]
    whites = task.images[places[32:64]].amin(dim=(1, 2, 3)), task.images[places[:32]]
    assert torch.equal(whites[1][:, 0], whites[1][:, 2])
    assert (whites[0] < 0.2).all()


def test_labels_belong_to_the_images_of_every_domain():
    task = domains.Task(3, rng())
    split = data.digits(3)
    for place in (0, 1399, 1400 * domains.COPIES + 7):
        digit = place % 1400
        image = task.images[place, 0]
        source = place // (1400 * domains.COPIES)
        expected = split.train_images[digit, 0]
        assert torch.equal(image, expected if source == 0 else 1 - expected)
        assert task.labels[place] == split.train_labels[digit]


def test_accuracies_are_of_test_images_by_domain():
    task = domains.Task(3, rng())
    labels = data.digits(3).test_labels
    sevens = 100 * (labels == 7).double().mean().item()
    found = task.accuracies(lambda images: torch.eye(10)[torch.full((len(images),), 7)])
    assert set(found) == {"plain", "inverted", "china.jpg", "flower.jpg"}
    assert all(value == pytest.approx(sevens, rel=1e-5) for value in found.values())


def test_a_summary_tells_the_held_out_domain_from_the_sources():
    made = {"plain": 90.0, "inverted": 80.0, "china.jpg": 70.0, "flower.jpg": 60.0}
    assert domains.summary(made) == {"accuracy": 60.0, "sources": 80.0}
