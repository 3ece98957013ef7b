"""The laboratory's schedules, against PyTorch's and against rates worked out by hand."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnlab import schedules
from nnlab.schedules import (
    cosine_decay,
    cosine_restarts,
    exponential_decay,
    inverse_sqrt_decay,
    inverse_time_decay,
    learning_rate_range_test,
    linear_decay,
    linear_warmup,
    step_decay,
)

BY_HAND: dict[str, tuple[Callable[[int], float], dict[int, float]]] = {
    "step": (lambda t: step_decay(t, 8.0, 0.5, 3), {0: 8, 2: 8, 3: 4, 5: 4, 6: 2, 9: 1}),
    "exponential": (lambda t: exponential_decay(t, 3.0, math.log(2)), {0: 3, 1: 1.5, 3: 0.375}),
    "inverse time": (lambda t: inverse_time_decay(t, 6.0, 0.5), {0: 6, 2: 3, 4: 2, 10: 1}),
    "inverse root": (lambda t: inverse_sqrt_decay(t, 6.0), {0: 6, 3: 3, 8: 2}),
    "linear": (lambda t: linear_decay(t, 8.0, 4), {0: 8, 1: 6, 3: 2, 4: 0}),
    "cosine": (lambda t: cosine_decay(t, 8.0, 6), {0: 8, 2: 6, 3: 4, 4: 2, 6: 0}),
    "cosine with an end": (lambda t: cosine_decay(t, 9.0, 6, 1.0), {0: 9, 2: 7, 3: 5, 6: 1}),
    # cycles of 2, 6 and 18 steps: they begin at 0, 2 and 8
    "restarts": (lambda t: cosine_restarts(t, 4.0, 2, 3), {0: 4, 1: 2, 2: 4, 4: 3, 5: 2, 8: 4, 14: 3, 17: 2, 26: 4}),
    "restarts of one length": (lambda t: cosine_restarts(t, 4.0, 2, 1), {0: 4, 1: 2, 2: 4, 3: 2, 101: 2}),
    "warm-up": (linear_warmup(lambda t: 8.0 / (1 + t), 4), {0: 2, 1: 4, 3: 8, 4: 8, 5: 4, 7: 2}),
    "no warm-up": (linear_warmup(lambda t: 8.0 / (1 + t), 0), {0: 8, 1: 4}),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_rates_are_those_worked_out_by_hand(name: str) -> None:
    schedule, wanted = BY_HAND[name]
    for t, rate in wanted.items():
        assert schedule(t) == pytest.approx(rate, abs=1e-12), t
        assert type(schedule(t)) is float


FALLING: dict[str, Callable[[int], float]] = {
    "step_decay": lambda t: step_decay(t, 0.3, 0.2, 7),
    "exponential_decay": lambda t: exponential_decay(t, 0.3, 0.05),
    "inverse_time_decay": lambda t: inverse_time_decay(t, 0.3, 0.05),
    "inverse_sqrt_decay": lambda t: inverse_sqrt_decay(t, 0.3),
    "linear_decay": lambda t: linear_decay(t, 0.3, 50),
    "cosine_decay": lambda t: cosine_decay(t, 0.3, 50),
}


@pytest.mark.parametrize("name", FALLING)
def test_a_decay_starts_at_lr0_never_rises_and_stays_positive(name: str) -> None:
    rates = [FALLING[name](t) for t in range(50)]
    assert rates[0] == pytest.approx(0.3)
    assert all(later <= earlier for earlier, later in itertools.pairwise(rates))
    assert min(rates) > 0


def test_a_warm_up_of_a_cosine_is_as_high_as_the_cosine_and_no_higher() -> None:
    warmed = linear_warmup(lambda t: cosine_decay(t, 0.3, 20), 5)
    rates = [warmed(t) for t in range(25)]
    assert max(rates) == pytest.approx(0.3)
    np.testing.assert_allclose(np.diff(rates[:5]), 0.06)
    np.testing.assert_allclose(rates[5:], [cosine_decay(t, 0.3, 20) for t in range(20)])


def torch_rates(make: Callable[[Any, Any], Any], steps: int) -> list[float]:
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    scheduler = make(torch.optim.lr_scheduler, optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


TORCH: dict[str, tuple[Callable[[int], float], Callable[[Any, Any], Any]]] = {
    "StepLR": (FALLING["step_decay"], lambda lrs, opt: lrs.StepLR(opt, step_size=7, gamma=0.2)),
    "ExponentialLR": (FALLING["exponential_decay"], lambda lrs, opt: lrs.ExponentialLR(opt, gamma=math.exp(-0.05))),
    "LinearLR": (
        FALLING["linear_decay"],
        lambda lrs, opt: lrs.LinearLR(opt, start_factor=1.0, end_factor=0.0, total_iters=50),
    ),
    "CosineAnnealingLR": (
        lambda t: cosine_decay(t, 0.3, 50, 0.01),
        lambda lrs, opt: lrs.CosineAnnealingLR(opt, T_max=50, eta_min=0.01),
    ),
    "CosineAnnealingWarmRestarts": (
        lambda t: cosine_restarts(t, 0.3, 6, 2),
        lambda lrs, opt: lrs.CosineAnnealingWarmRestarts(opt, T_0=6, T_mult=2),
    ),
}


@pytest.mark.parametrize("name", TORCH)
def test_the_rates_of_45_steps_are_pytorchs(name: str) -> None:
    ours, theirs = TORCH[name]
    np.testing.assert_allclose([ours(t) for t in range(45)], torch_rates(theirs, 45), rtol=1e-9)


LRS = np.logspace(-5, 1, 120)


def curve(steepest: float) -> np.ndarray:
    """A loss that falls from 2 to 0.5, fastest at the rate `steepest`, and climbs near a rate of 1 and above."""
    place = np.log10(LRS)
    return 2 - 1.5 / (1 + np.exp(-(place - np.log10(steepest)) / 0.2)) + np.exp(4 * (place - 0.2))


@pytest.mark.parametrize("steepest", [1e-3, 1e-2, 3e-2])
def test_the_range_test_finds_the_steepest_place(steepest: float) -> None:
    assert learning_rate_range_test(curve(steepest), LRS) == pytest.approx(steepest, rel=0.3)


def test_the_range_test_is_not_misled_by_noise_divergence_or_a_fall_after_it() -> None:
    rng = np.random.default_rng(0)
    losses = curve(1e-2) + 0.05 * rng.uniform(-1, 1, len(LRS))
    losses[30] += 0.7
    losses[-8:] = (50.0, 1e4, 3e8, 2.3, 2.3, np.inf, np.nan, np.nan)
    assert 1e-2 / 3 < learning_rate_range_test(losses, LRS) < 3e-2


def test_the_range_test_takes_lists_and_leaves_arrays_as_they_are() -> None:
    losses, lrs = curve(1e-2), LRS.copy()
    before = losses.copy()
    assert learning_rate_range_test(list(losses), list(lrs)) == learning_rate_range_test(losses, lrs)
    np.testing.assert_array_equal(losses, before)
    np.testing.assert_array_equal(lrs, LRS)


def test_every_schedule_has_a_docstring() -> None:
    names = [name for name in vars(schedules) if name.endswith(("_decay", "_warmup", "_restarts", "_test"))]
    assert len(names) == 9
    assert all(getattr(schedules, name).__doc__ for name in names)
