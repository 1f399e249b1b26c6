# SPDX-License-Identifier: Apache-2.0
"""Casts in torch give what the golden model gives, bit for bit."""

from itertools import product

import numpy as np
import pytest
import torch
from hif8.analysis.training.casts import FORMATS, Cast
from hif8.golden import nearest
from hif8.golden.encode import quantize

VALUES = 1_000_000
HIF8 = [Cast(saturate=saturate) for saturate in (False, True)] + [
    Cast(rounding="hr", saturate=saturate, keep_exact=keep_exact)
    for saturate, keep_exact in product((False, True), repeat=2)
]
OTHERS = [Cast(name, saturate=saturate) for name in FORMATS[1:] for saturate in (False, True)]


def golden(cast, x):
    if cast.format == "fp32":
        return x
    if cast.format == "hif8":
        options = {"saturate": cast.saturate, "keep_exact": cast.keep_exact}
        return quantize(x, cast.rounding, **options)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        return nearest.quantize(x, cast.format, saturate=cast.saturate)


def boundaries():
    """Words at and beside every value and every tie of every format, and special ones."""
    ends = [np.array([np.inf, np.nan, 0, 2.0**-149, 2.0**-126])]
    for name in nearest.NAMES:
        values = np.exp2(np.arange(-24, 17.0)) if name == "hif8" else nearest.magnitudes(name)
        values = values[np.isfinite(values)]
        ends += [values, (values[1:] + values[:-1]) / 2, 2 * values[-1:] - values[-2:-1]]
    fractions = np.arange(16, 32) / 16
    ends.append(np.outer(np.exp2(np.arange(-25, 18.0)), fractions).ravel())
    every = np.concatenate(ends)
    every = every[~(np.isfinite(every) & (every > np.finfo(np.float32).max))]
    words = np.unique(every.astype(np.float32).view(np.uint32))
    near = (words[:, None] + np.arange(-2, 3, dtype=np.int64)).astype(np.uint32).ravel()
    payloads = np.uint32(0x7F800000) | np.uint32(1) << np.arange(23, dtype=np.uint32)
    words = np.concatenate([near, payloads])
    return np.concatenate([words, words ^ np.uint32(1 << 31)])


def random_words():
    """Words of which half have exponents that the formats have."""
    rng = np.random.default_rng(1)
    anywhere = rng.integers(0, 1 << 32, VALUES // 2, np.uint32)
    inside = rng.integers(103 << 23, 144 << 23, VALUES - VALUES // 2, np.uint32)
    return np.concatenate([anywhere, inside ^ (anywhere & np.uint32(1 << 31))])


@pytest.mark.parametrize("cast", [*HIF8, *OTHERS], ids=str)
def test_casts_equal_golden_on_a_million_values_and_all_boundaries(cast):
    words = np.concatenate([boundaries(), random_words()])
    assert words.size > VALUES
    x = words.view(np.float32)
    expected = golden(cast, x)
    got = cast(torch.from_numpy(x)).numpy()
    nan = np.isnan(expected)
    assert (np.isnan(got) == nan).all()
    differing = (got.view(np.uint32) != expected.view(np.uint32)) & ~nan
    assert not differing.any(), [x[differing][:3], expected[differing][:3], got[differing][:3]]


@pytest.mark.parametrize(("name", "dtype"), [("e4m3", "float8_e4m3fn"), ("e5m2", "float8_e5m2")])
def test_fp8_equals_the_casts_of_torch(name, dtype):
    x = torch.from_numpy(np.concatenate([boundaries(), random_words()]).view(np.float32))
    cast = Cast(name, saturate=True)
    native = x.clamp(-cast.largest, cast.largest).to(getattr(torch, dtype)).to(torch.float32)
    assert torch.equal(cast(x).nan_to_num(nan=7e4), native.nan_to_num(nan=7e4))


@pytest.mark.parametrize("cast", [*HIF8, *OTHERS], ids=str)
def test_shapes_and_strides_do_not_matter(cast):
    x = torch.randn(6, 5, 4)
    for view in (x, x.transpose(0, 2), x[1:, ::2], x[:0], x[0, 0, 0]):
        expected = golden(cast, view.contiguous().numpy())
        assert np.array_equal(cast(view).numpy(), expected)
        assert cast(view).shape == view.shape


def test_the_largest_value_is_that_of_the_format():
    for name in FORMATS:
        cast = Cast(name, saturate=True)
        assert cast(torch.tensor(torch.inf)).item() in (cast.largest, torch.inf)
        assert Cast(name)(torch.tensor(cast.largest)).item() == cast.largest


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ({"format": "fp7"}, "format must be one of hif8, e4m3, e5m2, fp16, bf16, fp32, not 'fp7'"),
        ({"rounding": "up"}, "rounding must be ta or hr, not 'up'"),
        ({"format": "e4m3", "rounding": "hr"}, "rounding must be ta for e4m3: hr is HiF8's alone"),
        ({"keep_exact": True}, "keep_exact needs rounding hr: ta keeps exact values anyway"),
    ],
)
def test_wrong_casts_are_refused_in_a_line(what, line):
    with pytest.raises(ValueError, match="^" + line.replace("(", r"\(") + "$"):
        Cast(**what)


def test_other_types_are_refused_in_a_line():
    with pytest.raises(TypeError, match=r"^x must be torch.float32, not torch.float64$"):
        Cast()(torch.zeros(3, dtype=torch.float64))
