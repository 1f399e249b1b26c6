# SPDX-License-Identifier: Apache-2.0
"""ACmix's mechanism: exact shifts at first, local attention, both branches of one projection."""

import pytest
import torch
from hif8.analysis.training.configs import CONFIGS, CastConfig
from hif8.analysis.training.convert import convert_to_hif8_training
from hif8.analysis.workloads.acmix import HEADS, KERNEL, ACmix, Net, neighbours
from torch.nn import functional


def layer():
    torch.manual_seed(1)
    return ACmix(6, 8)


def shifted(x, row, column):
    """Move an image so that each place has what was so far off, zeros beyond the edge."""
    padded = functional.pad(x, [1, 1, 1, 1])
    return padded[..., row : row + x.shape[-2], column : column + x.shape[-1]]


@pytest.mark.parametrize("config", CONFIGS)
def test_the_convolution_starts_as_exact_shifts_in_every_format(config):
    mixed = layer()
    convert_to_hif8_training(mixed, config=CastConfig.named(config))
    cast = mixed.shifts.gemm.config.forward
    x = torch.randn(2, KERNEL**2 * mixed.size, 5, 5)
    made = mixed.shifts(x).view(2, mixed.size, HEADS, 5, 5)
    parts = cast(x).view(2, mixed.size, KERNEL**2, 5, 5)
    expected = sum(
        shifted(parts[:, :, place], *divmod(place, KERNEL)) for place in range(KERNEL**2)
    )
    for head in range(HEADS):
        assert torch.allclose(made[:, :, head], expected, atol=1e-5)


def test_attention_is_over_the_neighbourhood_alone():
    mixed = layer()
    q, k, v = (torch.randn(2, 8, 5, 6) for _ in range(3))
    far = v.clone()
    far[..., 4, 5] += 100.0
    changed = (mixed.attend(q, k, far) != mixed.attend(q, k, v)).any(dim=1).any(dim=0)
    assert changed.nonzero().tolist() == [[3, 4], [3, 5], [4, 4], [4, 5]]


def test_attention_equals_sums_written_place_by_place():
    mixed = layer()
    q, k, v = (torch.randn(1, 8, 4, 4) for _ in range(3))
    with torch.no_grad():
        got = mixed.attend(q, k, v)
        where = mixed.position(torch.stack(_grid(4))[None])[0]
        edge = [1, 0, 1, 2, 3, 2]
        for head in range(HEADS):
            part = slice(head * mixed.size, (head + 1) * mixed.size)
            for y in range(4):
                for x in range(4):
                    places = [(edge[y + i], edge[x + j]) for i in range(3) for j in range(3)]
                    query = q[0, part, y, x] * mixed.size**-0.5
                    keys = [k[0, part, i, j] + where[:, y, x] - where[:, i, j] for i, j in places]
                    weights = torch.stack([query @ key for key in keys]).softmax(dim=0)
                    values = torch.stack([v[0, part, i, j] for i, j in places])
                    assert torch.allclose(weights @ values, got[0, part, y, x], atol=1e-5)


def _grid(size):
    line = torch.linspace(-1, 1, size)
    return line.expand(size, size), line[:, None].expand(size, size)


def test_the_convolution_maps_the_projections_of_all_heads():
    mixed = layer()
    q, k, v = (torch.randn(1, 8, 4, 4) for _ in range(3))
    with torch.no_grad():
        every = torch.cat([x.view(1, HEADS, mixed.size, 16) for x in (q, k, v)], dim=1)
        weight = mixed.to_shifts.weight.view(KERNEL**2, 3 * HEADS)
        mapped = torch.einsum("pc,nchs->nhps", weight, every)
        expected = mixed.shifts(mapped.reshape(1, -1, 4, 4))
        assert torch.allclose(mixed.convolve(q, k, v), expected, atol=1e-5)


def test_both_branches_share_the_projections_and_are_mixed_by_rates():
    mixed = layer()
    x = torch.randn(2, 6, 5, 5)
    with torch.no_grad():
        mixed.attention_rate.fill_(0)
        mixed.convolution_rate.fill_(2)
        q, k, v = mixed.q(x), mixed.k(x), mixed.v(x)
        assert torch.equal(mixed(x), 2 * mixed.convolve(q, k, v))
        mixed.attention_rate.fill_(3)
        mixed.convolution_rate.fill_(0)
        assert torch.equal(mixed(x), 3 * mixed.attend(q, k, v))


def test_neighbours_are_those_of_a_reflected_image():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    around = neighbours(x)
    assert around.shape == (1, 1, 9, 16)
    assert around[0, 0, :, 5].tolist() == [0, 1, 2, 4, 5, 6, 8, 9, 10]
    assert around[0, 0, :, 0].tolist() == [5, 4, 5, 1, 0, 1, 5, 4, 5]


def test_every_parameter_of_the_network_has_a_gradient():
    torch.manual_seed(2)
    model = convert_to_hif8_training(Net())
    functional.cross_entropy(model(torch.rand(8, 1, 8, 8)), torch.arange(8)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
