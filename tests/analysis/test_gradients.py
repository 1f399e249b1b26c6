# SPDX-License-Identifier: Apache-2.0
"""Gradients are those of finite differences; what is lost of them is counted by hand.

Imports hif8.analysis.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hif8.analysis import digits, gradients, gradients_figure
from hif8.analysis.digits import Network
from hif8.analysis.gradients import ROUNDINGS, Loss, measure
from hif8.analysis.gradients_figure import LOG2_SCALES

STEP = 1e-6


@pytest.fixture
def small(network: Network) -> Network:
    """Three layers in float64."""
    rng = np.random.default_rng(7)
    shapes = [(6, 5), (5, 4), (4, 3)]
    return replace(
        network,
        weights=tuple(rng.standard_normal(shape) for shape in shapes),
        biases=tuple(rng.standard_normal(shape[1]) for shape in shapes),
    )


@pytest.fixture
def batch() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(8)
    return rng.standard_normal((9, 6)), rng.integers(0, 3, 9)


def _moved(network: Network, attribute: str, layer: int, place: tuple, step: float) -> Network:
    arrays = list(getattr(network, attribute))
    arrays[layer] = arrays[layer].copy()
    arrays[layer][place] += step
    return replace(network, **{attribute: tuple(arrays)})


def _slope(network, attribute, layer, place, batch) -> float:
    ends = (
        gradients.loss(_moved(network, attribute, layer, place, step), *batch)
        for step in (STEP, -STEP)
    )
    return (next(ends) - next(ends)) / (2 * STEP)


def test_gradients_by_weights_are_finite_differences(small, batch):
    found = gradients.backward(small, *batch)
    assert list(found) == ["sums3", "weights3", "sums2", "weights2", "sums1", "weights1"]
    compared = 0
    for layer, weights in enumerate(small.weights):
        gradient = found[f"weights{layer + 1}"]
        assert gradient.shape == weights.shape
        assert gradient.dtype == np.float64
        for place in np.ndindex(weights.shape):
            slope = _slope(small, "weights", layer, place, batch)
            assert gradient[place] == pytest.approx(slope, rel=1e-6, abs=1e-9)
            compared += slope != 0
    assert compared > 40


def test_gradients_by_sums_add_up_to_those_by_biases(small, batch):
    found = gradients.backward(small, *batch)
    for layer, biases in enumerate(small.biases):
        gradient = found[f"sums{layer + 1}"]
        assert gradient.shape == (9, len(biases))
        slopes = [_slope(small, "biases", layer, (k,), batch) for k in range(len(biases))]
        assert np.count_nonzero(slopes)
        assert gradient.sum(axis=0) == pytest.approx(slopes, rel=1e-6, abs=1e-9)


def test_gradients_by_sums_are_finite_differences_image_by_image(small, batch):
    images, labels = batch
    found = gradients.backward(small, images, labels)
    for k in range(len(labels)):
        alone = images[k : k + 1], labels[k : k + 1]
        for layer, biases in enumerate(small.biases):
            slopes = [_slope(small, "biases", layer, (j,), alone) for j in range(len(biases))]
            assert found[f"sums{layer + 1}"][k] * len(labels) == pytest.approx(
                slopes, rel=1e-6, abs=1e-9
            )


def test_loss_of_equal_logits_is_the_logarithm_of_their_number(network: Network):
    weights = tuple(np.zeros_like(w) for w in network.weights)
    blank = replace(
        network, weights=weights, biases=tuple(np.zeros_like(b) for b in network.biases)
    )
    images, labels = network.train_images[:5], network.train_labels[:5]
    assert gradients.loss(blank, images, labels) == pytest.approx(np.log(10))


def test_loss_of_the_trained_network_is_low_and_at_the_beginning_it_is_not(network: Network):
    batch = network.train_images, network.train_labels
    assert gradients.loss(network, *batch) < 0.1
    assert gradients.loss(gradients.initial(network), *batch) > 2


def test_initial_weights_are_bounded_and_repeat(network: Network):
    first, again = gradients.initial(network), gradients.initial(network)
    for one, other, trained in zip(first.weights, again.weights, network.weights, strict=True):
        assert one.shape == trained.shape
        assert one.dtype == np.float32
        bound = np.sqrt(6 / sum(one.shape))
        assert 0.9 * bound < np.abs(one).max() <= bound
        np.testing.assert_array_equal(one, other)
    assert not any(bias.any() for bias in first.biases)


TINY = np.float32([0, 1, 2**-10, -(2**-11), 2**-24, 600, -70000])


@pytest.mark.parametrize(
    ("rounding", "flushed", "overflowed"),
    [
        ("hif8", 1, 1),  # 2^-24; beyond 1.25 * 2^15
        ("e4m3", 3, 2),  # half of 2^-9 is a tie to even; 600 is beyond 464
        ("e5m2", 1, 1),  # beyond 61440
        ("fp16", 0, 1),  # 2^-24 is its smallest
        ("posit8", 0, 0),
    ],
)
def test_what_is_lost_is_counted_by_hand(rounding, flushed, overflowed):
    found = measure(TINY, rounding)
    assert found[:3] == (6, flushed, overflowed)


def test_hybrid_rounding_loses_what_it_must():
    # E = -23: F is 1 and the fraction, T the 14 low bits, which are zero here: up, to 2^-22.
    # E = -24 becomes zero. 15 * 2^11 goes up to 2^15, which is finite.
    found = measure(np.float32([2**-23, 2**-24, 15 * 2**11]), "hif8 hr")
    assert found[:2] == (3, 1)


def test_loss_scales_move_the_values_before_they_are_rounded():
    x = np.float32([2**-30, 2**-20, 3.0])
    assert measure(x, "hif8").flushed == 1
    assert measure(x, "hif8", 8) == measure(x * np.float32(256), "hif8")
    assert measure(x, "hif8", 8).flushed == 0
    assert measure(x, "hif8", 15).overflowed == 1


def test_signal_to_noise_is_with_saturation():
    assert measure(np.float32([896]), "e4m3") == Loss(1, 0, 1, pytest.approx(20 * np.log10(2)))
    assert measure(np.float32([1, 2]), "hif8").snr_db == np.inf
    found = measure(np.float32([1, 1.0625]), "e4m3")  # a tie, to even: to 1
    assert found.snr_db == pytest.approx(10 * np.log10((1 + 1.0625**2) / 0.0625**2))


@pytest.fixture(scope="module")
def rows() -> list[gradients_figure.Row]:
    return gradients_figure.compute()


def test_rows_are_all_tensors_scales_and_formats(rows):
    assert list(LOG2_SCALES) == list(range(-8, 25))
    keys = {(row.network, row.tensor, row.rounding, row.log2_scale) for row in rows}
    assert len(keys) == len(rows) == 2 * 4 * 33 * 6
    assert set(gradients_figure.STYLES) >= set(ROUNDINGS)
    assert set(gradients_figure.PANELS) <= {(row.network, row.tensor) for row in rows}


def test_less_is_flushed_and_more_overflows_as_the_scale_grows(rows):
    compared = 0
    for row, following in pairwise(rows):
        if following.log2_scale == row.log2_scale + 1:
            assert row.values == following.values > 300
            assert row.flushed >= following.flushed or row.rounding == "hif8 hr"
            assert row.overflowed <= following.overflowed or row.rounding == "hif8 hr"
            compared += 1
    assert compared == 2 * 4 * 32 * 6


def test_hif8_flushes_what_lies_below_its_last_half_step(rows):
    for key, tensor in gradients_figure.tensors().items():
        sizes = np.abs(tensor[tensor != 0]).astype(np.float64)
        for row in rows:
            if (row.network, row.tensor) == key and row.rounding == "hif8":
                assert row.flushed == (sizes * 2.0**row.log2_scale < 2.0**-23).sum()
                assert row.overflowed == (sizes * 2.0**row.log2_scale >= 1.25 * 2**15).sum()


def test_bearable_scales_are_those_at_which_no_tensor_drawn_loses_more(rows):
    drawn = set(gradients_figure.PANELS)
    assert len(drawn) == 3
    for rounding in ("hif8", "fp16", "e4m3", "posit8"):
        expected = [
            k
            for k in LOG2_SCALES
            if max(
                (row.flushed + row.overflowed) / row.values
                for row in rows
                if row.rounding == rounding
                and row.log2_scale == k
                and (row.network, row.tensor) in drawn
            )
            <= 0.005
        ]
        assert gradients_figure.bearable(rows, rounding) == expected
    assert gradients_figure.bearable(rows, "posit8") == list(LOG2_SCALES)


def test_activations_are_those_of_the_images_handed_in(network: Network):
    images = network.train_images[:4]
    first, hidden, logits = digits.activations(network, images)
    assert first is images
    np.testing.assert_array_equal(
        hidden, np.maximum(images @ network.weights[0] + network.biases[0], 0)
    )
    np.testing.assert_array_equal(logits, hidden @ network.weights[1] + network.biases[1])
