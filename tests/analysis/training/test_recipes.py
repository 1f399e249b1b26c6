# SPDX-License-Identifier: Apache-2.0
"""Scaling follows the paper's rules, step by step, and leaves the gradients what they are."""

import math

import pytest
import torch
from hif8.analysis.training import recipes
from hif8.analysis.training.casts import Cast
from hif8.analysis.training.configs import CastConfig
from hif8.analysis.training.convert import convert_to_hif8_training, gemms
from hif8.analysis.training.gemm import observing
from hif8.analysis.training.recipes import (
    AdaptiveLossScaling,
    DivergedError,
    LossScaling,
    PerTensorScaling,
)
from torch import nn

WINDOWS = [1, 20, 50, 100, 200, 500, 1000]


def parameter(*gradient):
    values = nn.Parameter(torch.zeros(len(gradient)))
    values.grad = torch.tensor(gradient)
    return values


def iterate(scaler, *, finite):
    weight = parameter(1.0, 2.0) if finite else parameter(1.0, math.inf)
    stepped = scaler.step(torch.optim.SGD([weight], lr=1.0))
    scaler.update()
    assert stepped == finite
    assert torch.equal(weight.data, torch.zeros(2)) != finite


class Paper:
    """The rules of ALS, written apart: a list of what has happened, looked at each time."""

    def __init__(self):
        self.log, self.scale, self.place = [], 2.0**32, 1
        self.moved = 0

    def step(self, finite):
        if finite:
            self.log.append("ok")
            run = 0
            for what in reversed(self.log):
                if what != "ok":
                    break
                run += 1
            if run == WINDOWS[self.place]:
                self.scale *= 2
                self.log.append("up")
        else:
            self.scale /= 2
            self.log.append("down")
        since = [what for what in self.log[self.moved :] if what != "ok"]
        if since.count("up") == 3:
            self._to(self.place + 1)
        elif since[-3:] == ["down"] * 3:
            self._to(self.place - 1)

    def _to(self, place):
        self.place, self.moved = min(max(place, 0), 6), len(self.log)


@pytest.mark.parametrize("seed", range(6))
def test_adaptive_scaling_follows_the_rules_in_any_weather(seed):
    torch.manual_seed(seed)
    scaler, paper = AdaptiveLossScaling(), Paper()
    chance = (0.02, 0.1, 0.5, 0.03, 0.01, 0.05)[seed]
    windows = set()
    for bad in (torch.rand(1500) < chance).tolist():
        iterate(scaler, finite=not bad)
        paper.step(not bad)
        assert (scaler.get_scale(), scaler.window) == (paper.scale, WINDOWS[paper.place])
        windows.add(scaler.window)
        if scaler.get_scale() < 2**-20:
            break
    assert len(windows) > 1


def test_adaptive_scaling_step_by_step():
    scaler = AdaptiveLossScaling()
    assert (scaler.get_scale(), scaler.window) == (2.0**32, 20)
    for expected in (2.0**31, 2.0**30, 2.0**29):
        iterate(scaler, finite=False)
        assert scaler.get_scale() == expected
    assert scaler.window == 1
    for expected in (2.0**30, 2.0**31, 2.0**32):
        iterate(scaler, finite=True)
        assert scaler.get_scale() == expected
    assert scaler.window == 20
    for _ in range(19):
        iterate(scaler, finite=True)
    assert scaler.get_scale() == 2.0**32
    iterate(scaler, finite=True)
    assert scaler.get_scale() == 2.0**33
    assert scaler.window == 20


def test_the_window_goes_up_the_whole_list_and_stays():
    scaler = AdaptiveLossScaling(scale=1.0)
    seen = [scaler.window]
    for _ in range(3 * sum(WINDOWS[1:]) + 3000):
        iterate(scaler, finite=True)
        if scaler.window != seen[-1]:
            seen.append(scaler.window)
    assert seen == WINDOWS[1:]
    assert scaler.get_scale() == 2.0 ** (3 * 6 + 3)


def test_gradients_that_are_finite_at_no_scale_end_in_a_line():
    scaler = AdaptiveLossScaling(scale=2.0**-31)
    iterate(scaler, finite=False)
    with pytest.raises(DivergedError, match=r"^gradients are not finite at any loss scale after 2"):
        iterate(scaler, finite=False)


@pytest.mark.parametrize("scaler", [LossScaling(), LossScaling(2.0**12), PerTensorScaling()])
def test_a_step_is_that_without_scaling(scaler):
    expected = nn.Linear(3, 2)
    model = nn.Linear(3, 2)
    model.load_state_dict(expected.state_dict())
    x = torch.randn(4, 3)
    for layer, scale in ((expected, LossScaling()), (model, scaler)):
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        scale.scale(layer(x).square().sum()).backward()
        scale.step(optimizer)
        scale.update()
    assert torch.equal(model.weight, expected.weight)
    assert scaler.steps == 1
    assert scaler.skipped == 0


def test_gradients_are_unscaled_once_and_may_be_looked_at():
    scaler, weight = LossScaling(8.0), parameter(16.0)
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scaler.unscale_(optimizer)
    scaler.unscale_(optimizer)
    assert weight.grad.item() == 2
    scaler.step(optimizer)
    assert weight.item() == -2


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_in_a_line(value):
    with pytest.raises(DivergedError, match=rf"^the loss is {value} after 0 steps: training div"):
        LossScaling().scale(torch.tensor(value))


def test_wrong_recipes_are_refused_in_a_line():
    with pytest.raises(ValueError, match=r"^scale must be a positive number, not 0$"):
        LossScaling(0)
    with pytest.raises(ValueError, match=r"^window must be one of 1, 20, .*, 1000, not 21$"):
        AdaptiveLossScaling(window=21)
    with pytest.raises(ValueError, match=r"^period must be 1 or more, not 0$"):
        PerTensorScaling(0)
    with pytest.raises(ValueError, match=r"^the optimizer's parameters must have gradients"):
        LossScaling().step(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0))


@pytest.mark.parametrize("top", [15.0, 448.0, 57344.0])
def test_a_factor_is_the_largest_power_of_two_that_fits(top):
    exponents = range(-150, 130)
    for largest in (1.0, 0.9999, 15.0, 14.999, 15.001, 448.0, 1e-30, 3e20, 7 / 4, 15 / 8, 2.0**-20):
        fitting = [e for e in exponents if largest * 2.0**e <= top]
        assert recipes.power_of_two(largest, top) == 2.0 ** min(max(*fitting, -126), 126)


def test_factors_are_renewed_in_every_tenth_iteration_for_all_three_kinds_of_tensors():
    torch.manual_seed(1)
    scaling = PerTensorScaling()
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    config = CastConfig(Cast(saturate=True), Cast(saturate=True), scaling)
    convert_to_hif8_training(model, config=config)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    history = []
    for iteration in range(25):
        seen = {}
        with observing(lambda event, seen=seen: seen.setdefault(event.role, event)):
            x = torch.randn(8, 4) * 2.0**iteration
            (model(x).sum() * 1e-6).backward()
        scaling.step(optimizer)
        scaling.update()
        assert set(seen) == {"left", "right", "gradient"}
        history.append(seen)
    for role in ("left", "right", "gradient"):
        for iteration, seen in enumerate(history):
            event, source = seen[role], history[iteration - iteration % 10][role]
            largest = source.before.abs().max().item()
            expected = recipes.power_of_two(largest, 15.0) if iteration >= 10 else 1.0
            assert event.factor == expected
            scaled = Cast(saturate=True)(event.before * event.factor) / event.factor
            assert torch.equal(event.after, scaled)
    assert len({seen["left"].factor for seen in history}) == 3


def due() -> PerTensorScaling:
    """Return a scaling in an iteration in which factors are renewed."""
    scaling = PerTensorScaling(period=1)
    scaling.update()
    return scaling


def test_a_tensor_of_zeros_has_no_factor_yet():
    scaling = due()
    model = convert_to_hif8_training(nn.Conv1d(1, 1, 1), config=CastConfig(scaling=scaling))
    (gemm,) = gemms(model).values()
    assert scaling.factor(gemm, "left", torch.zeros(3)) == 1
    assert scaling.factor(gemm, "left", torch.tensor([math.inf])) == 1
    assert scaling.factor(gemm, "left", torch.tensor([-60.0])) == 0.25


def test_what_is_not_cast_is_not_scaled():
    """It would overflow: FP32's largest value is the top of what the casts compute with."""
    scaling = due()
    config = CastConfig.named("fp32", scaling=scaling)
    (gemm,) = gemms(convert_to_hif8_training(nn.Conv1d(1, 1, 1), config=config)).values()
    for role in ("left", "right", "gradient"):
        assert scaling.factor(gemm, role, torch.tensor([1.0])) == 1


def test_models_whose_layers_are_named_alike_have_factors_of_their_own():
    scaling = due()
    config = CastConfig(scaling=scaling)
    small, large = (
        next(iter(gemms(convert_to_hif8_training(nn.Conv1d(1, 1, 1), config=config)).values()))
        for _ in range(2)
    )
    assert small.name == large.name
    assert scaling.factor(small, "left", torch.tensor([1.0])) == 8
    assert scaling.factor(large, "left", torch.tensor([60.0])) == 0.25
    assert scaling.factor(small, "left", torch.tensor([1.0])) == 8
