# SPDX-License-Identifier: Apache-2.0
"""The digits network: training, the HiF8 forward pass against exact arithmetic, the tensors.

Imports hif8, hif8.analysis.digits and paper.
"""

from fractions import Fraction

import hif8
import numpy as np
import paper
import pytest
from hif8.analysis import digits, digits_figure
from hif8.analysis.digits import Network
from sklearn.datasets import load_digits

SAMPLES = 3


def exact_forward(network: Network, image: np.ndarray) -> list[np.float32]:
    """One image with sums in exact fractions, each rounded to FP32 once."""
    activations = list(image)
    for layer, (weights, biases) in enumerate(zip(network.weights, network.biases, strict=True)):
        a = [paper.value(code) for code in hif8.encode(np.array(activations, np.float32)).tolist()]
        w = [[paper.value(code) for code in row] for row in hif8.encode(weights).tolist()]
        sums = [
            sum((x * row[j] for x, row in zip(a, w, strict=True)), Fraction(0))
            for j in range(len(biases))
        ]
        words = np.array([paper.ieee_word(total, "float32") for total in sums], np.uint32)
        outputs = words.view(np.float32) + biases
        last = layer == len(network.weights) - 1
        activations = list(outputs if last else np.maximum(outputs, np.float32(0)))
    return activations


def test_network_has_the_stated_shapes(network: Network) -> None:
    assert [w.shape for w in network.weights] == [(64, 32), (32, 10)]
    assert [b.shape for b in network.biases] == [(32,), (10,)]
    assert {t.dtype for t in (*network.weights, *network.biases)} == {np.dtype(np.float32)}
    for images, labels, count in (
        (network.train_images, network.train_labels, 1400),
        (network.test_images, network.test_labels, 397),
    ):
        assert images.shape == (count, 64)
        assert images.dtype == np.float32
        assert images.min() == 0
        assert images.max() == 1
        assert labels.shape == (count,)


def test_the_network_is_tested_on_images_that_it_was_not_trained_on(network: Network) -> None:
    images = np.concatenate([network.train_images, network.test_images])
    assert len(np.unique(images, axis=0)) == len(load_digits().data) == 1797


def test_training_twice_gives_equal_networks(network: Network) -> None:
    again = digits.train.__wrapped__(seed=0)
    for one, other in zip(network.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(network.test_labels, again.test_labels)


def test_accuracy_in_fp32_and_in_hif8_is_that_of_a_trained_network(network: Network) -> None:
    fp32 = digits.accuracy(digits.forward_fp32(network), network.test_labels)
    hif8_inputs = digits.forward(network, encode=hif8.encode, matmul=hif8.matmul)
    assert 0.95 < fp32 < 1
    assert digits.accuracy(hif8_inputs, network.test_labels) > fp32 - 0.02


def test_accuracy_counts_the_right_ones() -> None:
    logits = np.eye(4, dtype=np.float32)
    assert digits.accuracy(logits, np.array([0, 1, 2, 0])) == 0.75


def test_forward_equals_exact_fractions(network: Network) -> None:
    logits = digits.forward(network, encode=hif8.encode, matmul=hif8.matmul)
    assert logits.dtype == np.float32
    for image, row in zip(network.test_images[:SAMPLES], logits[:SAMPLES], strict=True):
        np.testing.assert_array_equal(row, exact_forward(network, image))


def test_forward_hands_over_every_value_and_every_matrix_once(network: Network) -> None:
    encoded, multiplied = [], []

    def encode(x: np.ndarray) -> np.ndarray:
        assert x.ndim == 1
        assert x.dtype == np.float32
        encoded.append(x.size)
        return hif8.encode(x)

    def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        assert a.dtype == b.dtype == np.uint8
        multiplied.append((a.shape, b.shape))
        return hif8.matmul(a, b)

    digits.forward(network, encode=encode, matmul=matmul)
    assert encoded == [397 * 64, 64 * 32, 397 * 32, 32 * 10]
    assert multiplied == [((397, 64), (64, 32)), ((397, 32), (32, 10))]


def test_tensors_are_those_of_the_matrix_products(network: Network) -> None:
    found = digits.tensors(network)
    assert list(found) == ["weights1", "weights2", "images", "hidden1"]
    assert {t.dtype for t in found.values()} == {np.dtype(np.float32)}
    assert found["hidden1"].shape == (397, 32)
    assert (found["hidden1"] >= 0).all()
    logits = found["hidden1"] @ found["weights2"] + network.biases[1]
    np.testing.assert_array_equal(logits, digits.forward_fp32(network))


def test_figure_counts_every_non_zero_value(network: Network) -> None:
    rows = digits_figure.compute()
    for name, tensor in digits.tensors(network).items():
        found = [row for row in rows if row.tensor == name]
        assert sum(row.values for row in found) == np.count_nonzero(tensor)
        assert sum(row.share for row in found) == pytest.approx(1)
        lost = np.count_nonzero(tensor) - np.count_nonzero(hif8.quantize(tensor))
        assert sum(row.flushed for row in found) == lost
    assert set(digits_figure.STYLES) == {row.tensor for row in rows}


def test_figure_flushes_whole_binades_or_none() -> None:
    assert all(row.flushed in (0, row.values) for row in digits_figure.compute())
