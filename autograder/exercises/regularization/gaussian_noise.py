"""Normal noise on what a layer sees, in training only."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograder.checks import equals, leaves_inputs, shaped
from autograder.compare import Share
from autograder.exercise import Exercise, Functions, Misconception, Observations, Observe
from autograder.exercises.regularization.dropout import RNG_IGNORED, SEED_INSIDE, always_the_same, fresh_draws
from autograder.exercises.regularization.shared import (
    Array,
    Generator,
    both_signs,
    draws_from_rng,
    extremes,
    generator_of_its_own,
    independent_part,
    mistake,
    repeated_slices,
)

# --- Gaussian noise -------------------------------------------------------------------------------------------------


def gaussian_noise_forward(x: Array, sigma: float, mode: str, rng: Generator) -> tuple[Array, Any]:
    """x + sigma * z in training, z standard normal for each entry and call; x at test time (Bishop 1995). x of any "
    "shape."""
    return (x + sigma * rng.standard_normal(x.shape) if mode == "train" else x.copy()), None


def gaussian_noise_backward(dout: Array, cache: Any) -> Array:
    """dout: the noise is added, and does not depend on x."""
    return dout.copy()


def _noise_added(play: Functions, rng: Generator, shape: tuple[int, ...], sigma: float) -> Array:
    """out - x in units of sigma."""
    x = 5 * both_signs(rng, *shape)
    out, _ = play.gaussian_noise_forward(x, sigma, "train", generator_of_its_own(rng))
    return (shaped(f"out for x of shape {shape}", out, x) - x) / sigma


def _normal_noise(play: Functions, rng: Generator) -> Observations:
    """Binomial counts of 4,000 standard normal numbers; right answers fail with probability 6e-10 in all."""
    found: Observations = {}
    for sigma in (0.2, 3.0):
        z = independent_part(np.round(_noise_added(play, rng, (80, 50), sigma), 3))
        for name, count, share in (
            ("below x", z < 0, 0.5),
            ("less than sigma from x", np.abs(z) < 1, math.erf(1 / math.sqrt(2))),
            ("more than 2 sigma from x", ~(np.abs(z) <= 2), math.erfc(2 / math.sqrt(2))),
        ):
            found[f"share of outputs {name} at sigma={sigma}"] = Share(int(count.sum()), z.size, share)
    return found


def _noise_of_its_own(play: Functions, rng: Generator) -> Observations:
    """Deterministic but for equal rows of 20 numbers to two digits, which do not happen by chance."""
    found: Observations = {}
    for shape in ((30, 20), (3, 4, 6, 5)):
        z = np.round(_noise_added(play, rng, shape, 1.0), 2)
        for axis in range(len(shape)):
            found[f"slices across axis {axis} of {shape} that repeat their noise"] = repeated_slices(z, axis)
    found["channels with one noise for all pixels"] = int((np.ptp(z, axis=(2, 3)) < 0.02).sum())
    return found


def _noise_at_test_time(play: Functions, rng: Generator) -> Observations:
    found: Observations = {}
    for shape, sigma in (((5, 6), 0.5), ((2, 3, 4, 5), 2.0)):
        x = both_signs(rng, *shape)
        out, _ = play.gaussian_noise_forward(x, sigma, "test", generator_of_its_own(rng))
        changed = ~np.isclose(shaped(f"out for x of shape {shape}", out, x), x, rtol=1e-5, atol=0)
        found[f"share of entries that change at test time at sigma={sigma}"] = Share(int(changed.sum()), x.size, 0.0)
    return found


def _noise_repeat(rng: Generator) -> Callable[[Functions, Generator], Any]:
    x = both_signs(rng, 4, 3)
    return lambda play, generator: play.gaussian_noise_forward(x, 0.7, "train", generator)[0]


def _noise_both_modes(play: Functions, rng: Generator) -> Observations:
    for mode in ("train", "test"):
        play.gaussian_noise_forward(both_signs(rng, 5, 4), 0.6, mode, generator_of_its_own(rng))
    return {}


def _noise(
    noise: Callable[[Generator, Array, float], Array] = lambda rng, x, sigma: x + sigma * rng.standard_normal(x.shape),
    generator: Callable[[Generator], Generator] = lambda rng: rng,
    trains_in: Sequence[str] = ("train",),
) -> Callable[..., tuple[Array, Any]]:
    def forward(x: Array, sigma: float, mode: str, rng: Generator) -> tuple[Array, Any]:
        return (noise(generator(rng), x, sigma) if mode in trains_in else x.copy()), None

    return forward


def _noise_of_shape(shape: Callable[[tuple[int, ...]], tuple[int, ...]]) -> Callable[..., tuple[Array, Any]]:
    return _noise(lambda rng, x, sigma: x + sigma * rng.standard_normal(shape(x.shape)))


def _noise_in_place(rng: Generator, x: Array, sigma: float) -> Array:
    x += sigma * rng.standard_normal(x.shape)
    return x


GAUSSIAN_NOISE_FORWARD = Exercise(
    name="gaussian_noise_forward",
    asks="Add normal noise to every entry in training; nothing at test time.",
    reference=gaussian_noise_forward,
    returns=("out", "cache"),
    checks=(
        equals("adds normal noise with standard deviation sigma", 2, _normal_noise),
        equals("gives each entry noise of its own", 1, _noise_of_its_own),
        equals("is the identity at test time", 1, _noise_at_test_time),
        equals("draws from rng, anew at each call", 1, draws_from_rng(_noise_repeat)),
        leaves_inputs(1, _noise_both_modes),
    ),
    misconceptions=tuple(
        mistake("gaussian_noise_forward", *idea)
        for idea in (
            (
                "uniform",
                "Your noise is uniform between -sigma and sigma. Asked for is normal noise with standard deviation sigma.",
                _noise(lambda rng, x, sigma: x + sigma * rng.uniform(-1, 1, x.shape)),
            ),
            (
                "uniform-from-zero",
                "Your noise lies between 0 and sigma: rng.random draws uniform numbers. Normal noise has both signs.",
                _noise(lambda rng, x, sigma: x + sigma * rng.random(x.shape)),
            ),
            (
                "sigma-is-the-variance",
                "You take sigma for the variance. It is the standard deviation: multiply standard normal numbers by sigma "
                "itself.",
                _noise(lambda rng, x, sigma: x + math.sqrt(sigma) * rng.standard_normal(x.shape)),
            ),
            (
                "sigma-squared",
                "You multiply standard normal numbers by sigma squared, the variance. Multiply by sigma.",
                _noise(lambda rng, x, sigma: x + sigma**2 * rng.standard_normal(x.shape)),
            ),
            (
                "sigma-ignored",
                "Your noise does not depend on sigma.",
                _noise(lambda rng, x, sigma: x + rng.standard_normal(x.shape)),
            ),
            (
                "multiplied",
                "Your noise grows with x: you multiply by 1 + sigma * z. Here the noise is added.",
                _noise(lambda rng, x, sigma: x * (1 + sigma * rng.standard_normal(x.shape))),
            ),
            (
                "noise-alone",
                "Your output is the noise. Add it to x.",
                _noise(lambda rng, x, sigma: sigma * rng.standard_normal(x.shape)),
            ),
            (
                "one-noise-for-all-rows",
                "All rows get the same noise. Draw numbers of the shape of x.",
                _noise_of_shape(lambda shape: (1, *shape[1:])),
            ),
            (
                "one-noise-for-all-columns",
                "All columns get the same noise. Draw numbers of the shape of x.",
                _noise_of_shape(lambda shape: (*shape[:-1], 1)),
            ),
            (
                "one-number",
                "One number is added to all entries. Draw numbers of the shape of x.",
                _noise_of_shape(lambda shape: (1,) * len(shape)),
            ),
            (
                "noise-for-whole-channels",
                "All pixels of a channel get the same noise. Draw numbers of the shape of x.",
                _noise_of_shape(lambda shape: shape[:2] + (1,) * (len(shape) - 2)),
            ),
            (
                "mode-ignored",
                "You add noise at test time, too. There x passes as it is: the mean of the noise is 0.",
                _noise(trains_in=("train", "test")),
            ),
            (
                "modes-swapped",
                "The modes are swapped: you add noise at test time and none in training.",
                _noise(trains_in=("test",)),
            ),
            ("rng-ignored", RNG_IGNORED, _noise(generator=fresh_draws)),
            ("seed-inside", SEED_INSIDE, _noise(generator=always_the_same)),
            (
                "in-place",
                "You write the result into x. The caller still needs it: make a new array.",
                _noise(_noise_in_place),
            ),
        )
    ),
    hints=(
        "What is the standard deviation of 3 z, if that of z is 1?",
        "rng.standard_normal(x.shape) draws a number for each entry.",
        "Train: x + sigma * those numbers. Test: x.",
    ),
)


def _noise_backward(mode: str) -> Observe:
    def observe(play: Functions, rng: Generator) -> Observations:
        found: Observations = {}
        for shape, sigma in (((4, 3), 0.4), ((2, 3, 4, 5), 2.0)):
            x, dout = both_signs(rng, *shape), both_signs(rng, *shape)
            _, cache = play.gaussian_noise_forward(x, sigma, mode, generator_of_its_own(rng))
            dx = shaped(f"dx for x of shape {shape}", play.gaussian_noise_backward(dout, cache), dout)
            found |= extremes(f"dx / dout in mode {mode}, sigma={sigma}", dx / dout)
        return found

    return observe


def _noting(x: Array, sigma: float, mode: str, rng: Generator) -> tuple[Array, Any]:
    """The reference, with its noise and sigma in the cache."""
    out, _ = gaussian_noise_forward(x, sigma, mode, rng)
    return out, (x, out, sigma, mode)


def _noise_backward_idea(id: str, message: str, passed: Callable[[Array, Array, Array, float, str], Array]) -> Misconception:
    """A gaussian_noise_backward that returns ``passed(dout, x, out, sigma, mode)``."""
    backward: Callable[..., Array] = lambda dout, cache: passed(dout, *cache)  # noqa: E731
    return Misconception(id, message, {"gaussian_noise_forward": _noting, "gaussian_noise_backward": backward})


def _scale_in_place(dout: Array, cache: Any) -> Array:
    dx = dout.copy()
    dout *= 0
    return dx


GAUSSIAN_NOISE_BACKWARD = Exercise(
    name="gaussian_noise_backward",
    asks="The gradient through added noise.",
    reference=gaussian_noise_backward,
    returns=("dx",),
    checks=(
        equals("passes dout on in training", 1, _noise_backward("train")),
        equals("passes dout on at test time", 1, _noise_backward("test")),
        leaves_inputs(1, lambda play, rng: _noise_backward("train")(play, rng) | _noise_backward("test")(play, rng)),
    ),
    misconceptions=(
        _noise_backward_idea(
            "multiplied-by-sigma",
            "You multiply by sigma. The derivative of x + sigma * z by x is 1.",
            lambda dout, x, out, sigma, mode: dout * sigma if mode == "train" else dout.copy(),
        ),
        _noise_backward_idea(
            "multiplied-by-sigma-in-both-modes",
            "You multiply by sigma in both modes. The derivative of x + sigma * z by x is 1, and that of x is 1.",
            lambda dout, x, out, sigma, mode: dout * sigma,
        ),
        _noise_backward_idea(
            "one-plus-sigma",
            "You multiply by 1 + sigma. The noise does not depend on x, so the derivative of x + sigma * z by x is 1.",
            lambda dout, x, out, sigma, mode: dout * (1 + sigma) if mode == "train" else dout.copy(),
        ),
        _noise_backward_idea(
            "zero-at-test-time",
            "At test time your gradient is 0. There the forward is the identity, and dx is dout.",
            lambda dout, x, out, sigma, mode: dout.copy() if mode == "train" else 0 * dout,
        ),
        _noise_backward_idea(
            "zero-in-training",
            "In training your gradient is 0. The noise is random, but x passes through with it.",
            lambda dout, x, out, sigma, mode: 0 * dout if mode == "train" else dout.copy(),
        ),
        mistake(
            "gaussian_noise_backward",
            "in-place",
            "You change dout. The caller still needs it.",
            _scale_in_place,
        ),
    ),
    hints=(
        "out = x + something that does not depend on x.",
        "What is the derivative of out by x?",
        "It is 1, in both modes.",
    ),
    needs=("gaussian_noise_forward",),
)
