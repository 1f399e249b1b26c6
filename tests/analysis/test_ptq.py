# SPDX-License-Identifier: Apache-2.0
"""Algorithm 1 finds what a search of all scales finds; the direct cast is golden's forward pass.

Imports hif8 and hif8.analysis.
"""

import itertools
from fractions import Fraction

import hif8
import ml_dtypes
import numpy as np
import pytest
from hif8.analysis import digits, ptq, ptq_figure
from hif8.analysis.digits import Network
from hif8.analysis.ptq import Layer, Scales

CASTS = {
    "hif8": lambda x: hif8.quantize(x, saturate=True),
    "e4m3": lambda x: np.clip(x, -448, 448).astype(ml_dtypes.float8_e4m3fn).astype(np.float64),
    "e5m2": lambda x: np.clip(x, -57344, 57344).astype(ml_dtypes.float8_e5m2).astype(np.float64),
    "int8": lambda x: np.clip(np.rint(x), -127, 127),
}
"""Written apart from `golden.nearest`, but for HiF8 itself."""


def _identity(x: np.ndarray) -> np.ndarray:
    return x


def _layer(seed: int, spread: float = 1.0) -> tuple[np.ndarray, Layer]:
    """Return inputs and a layer of which every format loses something at either end."""
    rng = np.random.default_rng(seed)
    sizes = np.exp(spread * rng.standard_normal((7, 5)))
    inputs = (rng.standard_normal((7, 5)) * sizes).astype(np.float32)
    weights = (rng.standard_normal((5, 3)) * [0.02, 1, 30]).astype(np.float32)
    return inputs, Layer("layer", weights, _identity)


def brute_error(
    inputs: np.ndarray, layer: Layer, name: str, input_exponent: int, weight_exponents: list[int]
) -> float:
    """Algorithm 1, lines 8 to 10, channel by channel."""
    total = 0.0
    for channel, exponent in enumerate(weight_exponents):
        a = CASTS[name](inputs.astype(np.float64) * 2.0**input_exponent)
        w = CASTS[name](layer.weights[:, channel].astype(np.float64) * 2.0**exponent)
        product = (a @ w * 2.0 ** -(input_exponent + exponent)).astype(np.float32)
        exact = (inputs.astype(np.float64) @ layer.weights[:, channel].astype(np.float64)).astype(
            np.float32
        )
        total += ((product - exact).astype(np.float64) ** 2).sum()
    return total / (len(inputs) * len(weight_exponents))


def _exponents(scales: Scales) -> tuple[int, list[int]]:
    logs = np.log2(np.broadcast_to(scales.weights, 3))
    assert (logs == np.rint(logs)).all()
    return int(np.log2(scales.inputs)), [int(e) for e in logs]


def test_the_paper_tries_ten_exponents_for_each_of_two_scales():
    assert list(ptq.EXPONENTS) == [-4, -3, -2, -1, 0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("name", CASTS)
@pytest.mark.parametrize("seed", range(3))
def test_search_finds_the_least_of_all_pairs(name, seed):
    inputs, layer = _layer(seed, spread=8.0)
    target = ptq.multiply_exactly(layer, inputs)
    found, weights = _exponents(ptq.search(layer, inputs, target, name))
    tried = {
        pair: brute_error(inputs, layer, name, pair[0], [pair[1]] * 3)
        for pair in itertools.product(range(-4, 6), repeat=2)
    }
    assert len(tried) == 100
    assert len(set(tried.values())) > 2
    least = min(tried.values())
    assert len(set(weights)) == 1
    assert tried[found, weights[0]] == pytest.approx(least, rel=1e-12)
    near = [abs(a) for (a, _), error in tried.items() if error == pytest.approx(least, rel=1e-12)]
    assert abs(found) == min(near)


@pytest.mark.parametrize("name", CASTS)
def test_search_per_channel_finds_the_least_of_all_combinations(name):
    inputs, layer = _layer(5)
    target = ptq.multiply_exactly(layer, inputs)
    found, weights = _exponents(
        ptq.search(layer, inputs, target, name, exponents=range(-2, 3), per_channel=True)
    )
    tried = {
        combination: brute_error(inputs, layer, name, combination[0], list(combination[1:]))
        for combination in itertools.product(range(-2, 3), repeat=4)
    }
    assert len(tried) == 625
    assert tried[found, *weights] == pytest.approx(min(tried.values()), rel=1e-12)


def test_of_equally_good_scales_those_nearest_to_one_are_chosen():
    inputs = np.float32([[1, 2], [0.5, 4]])  # exact at every scale
    layer = Layer("layer", np.float32([[1, 1], [2, 0.25]]), _identity)
    target = ptq.multiply_exactly(layer, inputs)
    for exponents, nearest in ((ptq.EXPONENTS, 1), ((-3, 2, 4), 4), ((-2, 3), 0.25)):
        for per_channel in (False, True):
            scales = ptq.search(
                layer, inputs, target, "hif8", exponents=exponents, per_channel=per_channel
            )
            assert scales.inputs == nearest
            assert (scales.weights == nearest).all()


def test_channel_errors_are_those_of_every_pair_and_channel():
    inputs, layer = _layer(2)
    target = ptq.multiply_exactly(layer, inputs)
    errors = ptq.channel_errors(layer, inputs, target, "e4m3", [-3, 0, 4])
    assert errors.shape == (3, 3, 3)
    for (i, a), (j, w) in itertools.product(enumerate([-3, 0, 4]), repeat=2):
        brute = brute_error(inputs, layer, "e4m3", a, [w] * 3)
        assert errors[i, j].mean() == pytest.approx(brute, rel=1e-12)


def test_a_tensor_beyond_the_range_is_brought_back_by_its_scale():
    inputs = np.float32([[1, 3], [5, 7]]) * np.float32(2**-14)
    layer = Layer("layer", np.eye(2, dtype=np.float32), _identity)
    target = ptq.multiply_exactly(layer, inputs)
    flushed = ptq.multiply_cast(layer, inputs, Scales(1.0, np.float64(1)), "e4m3")
    assert not flushed.any()
    scales = ptq.search(layer, inputs, target, "e4m3", exponents=ptq.WIDE)
    assert scales.inputs >= 2**5
    np.testing.assert_array_equal(ptq.multiply_cast(layer, inputs, scales, "e4m3"), target)


def test_a_later_layer_is_calibrated_on_what_the_cast_layers_before_it_give():
    seen = []

    def choose(layer: Layer, inputs: np.ndarray, target: np.ndarray, name: str) -> Scales:
        seen.append((layer.name, inputs, target, name))
        return Scales(1.0, np.float64(1))

    stack = [
        Layer("one", np.float32([[1.03]]), lambda x: x + np.float32(1)),
        Layer("two", np.float32([[1]]), _identity),
    ]
    inputs = np.float32([[1], [16.5]])
    ptq.calibrate(stack, inputs, "hif8", choose)
    assert [(name, entry) for name, _, _, entry in seen] == [("one", "hif8"), ("two", "hif8")]
    np.testing.assert_array_equal(seen[0][1], inputs)
    np.testing.assert_array_equal(seen[1][1], np.float32([[2], [17]]))  # 1 and 16 times 1, plus 1
    exact = [Fraction(float(np.float32(1.03))) * x for x in (1, Fraction(33, 2))]
    np.testing.assert_array_equal(seen[0][2], np.float32([[float(x)] for x in exact]))
    np.testing.assert_array_equal(seen[1][2], seen[0][2] + np.float32(1))


def test_largest_brings_every_channel_to_the_largest_value():
    inputs, layer = _layer(4)
    for name, top in (("e4m3", 448), ("e5m2", 57344), ("int8", 127)):
        scales = ptq.largest(layer, inputs, inputs, name)
        assert scales.weights.shape == (3,)
        assert np.abs(inputs).max() * scales.inputs == pytest.approx(top)
        columns = np.abs(layer.weights).max(axis=0)
        assert columns * scales.weights == pytest.approx([top] * 3)


def test_largest_leaves_a_channel_of_zeros():
    layer = Layer("layer", np.float32([[0, 1]]), _identity)
    assert ptq.largest(layer, np.float32([[0]]), np.float32([[0, 0]]), "int8").inputs == 1
    scales = ptq.largest(layer, np.float32([[1]]), np.float32([[0, 1]]), "int8")
    assert scales.weights.tolist() == [1, 127]


def test_layers_may_multiply_otherwise_than_matrices():
    def convolve(a: np.ndarray, w: np.ndarray) -> np.ndarray:
        return a[:, :-1, None] * w[0] + a[:, 1:, None] * w[1]

    rng = np.random.default_rng(1)
    layer = Layer("convolution", rng.random((2, 3), np.float32), _identity, convolve)
    inputs = rng.random((4, 6), np.float32)
    target = ptq.multiply_exactly(layer, inputs)
    assert target.shape == (4, 5, 3)
    single = ptq.search(layer, inputs, target, "hif8")
    channel = ptq.search(layer, inputs, target, "hif8", per_channel=True)
    assert channel.weights.shape == (3,)
    errors = [
        ((ptq.multiply_cast(layer, inputs, scales, "hif8") - target) ** 2).mean()
        for scales in (channel, single, Scales(1.0, np.float64(1)))
    ]
    assert errors == sorted(errors)
    assert errors[0] > 0


def test_signal_to_noise_of_values_by_hand():
    target, found = np.float32([[3, 4], [0, 5]]), np.float32([[3, 4], [0, 4]])
    assert ptq.mean_square_error(found, target) == 0.25
    assert ptq.signal_to_noise(found, target) == pytest.approx(10 * np.log10(50 / 1))
    assert ptq.signal_to_noise(target, target) == np.inf


def test_direct_cast_is_the_forward_pass_of_golden_bit_for_bit(network: Network):
    stack = ptq_figure.layers(network)
    scales = ptq.calibrate(stack, network.train_images[:32], "hif8", ptq.SCHEMES["cast"].choose)
    assert [_exponents(s) for s in scales] == [(0, [0] * 3)] * 2
    *_, logits = ptq.run(stack, network.test_images, "hif8", scales)
    expected = digits.forward(network, encode=hif8.encode, matmul=hif8.matmul)
    assert logits.shape == (397, 10)
    np.testing.assert_array_equal(logits, expected)


def test_without_a_format_the_layers_are_the_network_in_fp32(network: Network):
    *_, logits = ptq.run(ptq_figure.layers(network), network.test_images)
    np.testing.assert_allclose(logits, digits.forward_fp32(network), rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def rows() -> list[ptq_figure.Row]:
    return ptq_figure.compute()


def test_rows_are_all_formats_schemes_layers_and_networks(rows):
    assert len(ptq_figure.CONFIGURATIONS) == 4 * 5 - 1
    keys = {(row.seed, row.layer, row.format, row.scheme) for row in rows}
    assert len(keys) == len(rows) == 8 * 3 * 19


def test_the_search_never_does_worse_on_the_images_it_was_made_on():
    network = digits.train(3)
    stack, images = ptq_figure.layers(network), network.train_images[:64]
    first = stack[0]
    target = ptq.multiply_exactly(first, images)
    for name in ptq_figure.FORMATS:
        cast, tensor, wide, channel = (
            ptq.mean_square_error(ptq.multiply_cast(first, images, scales, name), target)
            for scales in (
                ptq.SCHEMES[scheme].choose(first, images, target, name)
                for scheme in ("cast", "tensor", "tensor_wide", "channel_wide")
            )
        )
        assert cast >= tensor >= wide >= channel > 0


def test_images_are_counted_over_all_networks(rows):
    found = ptq_figure.outcomes(rows)
    assert list(found) == ptq_figure.CONFIGURATIONS
    fp32 = 0
    for seed in ptq_figure.SEEDS:
        network = digits.train(seed)
        fp32 += int((digits.forward_fp32(network).argmax(axis=1) == network.test_labels).sum())
    for outcome in found.values():
        assert outcome.images == 8 * 397
        assert outcome.correct_fp32 == fp32
        assert 0 <= abs(outcome.correct - fp32) <= outcome.otherwise


def test_accuracy_of_hif8_as_cast_is_that_of_golden(rows):
    (row,) = (
        r for r in rows if (r.seed, r.layer, r.format, r.scheme) == (2, "logits", "hif8", "cast")
    )
    network = digits.train(2)
    logits = digits.forward(network, encode=hif8.encode, matmul=hif8.matmul)
    assert row.correct == (logits.argmax(axis=1) == network.test_labels).sum() > 350
