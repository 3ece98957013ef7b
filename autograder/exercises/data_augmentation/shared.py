"""Images made so that they tell what was done to them, and other things that the checks of assignment 08 have in common."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograder.checks import equals
from autograder.compare import Share
from autograder.exercise import Check, Functions, Misconception, Observations

Array = np.ndarray
Generator = np.random.Generator

EXACT = 1e-5
"""Pixels that should be one and the same differ by less than this, in float32 too; different ones by far more."""


# --- shared ---------------------------------------------------------------------------------------------------------


def generator_of_its_own(rng: Generator) -> Generator:
    """A generator to hand out, so that what is drawn from it does not move the scenario's own."""
    return np.random.default_rng(int(rng.integers(2**32)))


def mistake(name: str, id: str, message: str, wrong: Callable[..., Any]) -> Misconception:
    return Misconception(id, message, {name: wrong})


def for_each_image(factor: Any) -> Array:
    return np.asarray(factor, dtype=float).reshape(-1, 1, 1, 1)


def share_of(flags: Array, expected: float) -> Share:
    return Share(int(np.count_nonzero(flags)), int(np.size(flags)), expected)


def uniform_numbers(what: str, values: Array, low: float, high: float) -> Observations:
    """Whether draws (n,) are uniform between low and high: none outside, a quarter in the first and in the last quarter.
    An amount that could not be read is NaN and counts as outside."""
    quarter, tiny = (high - low) / 4, EXACT * (high - low)
    inside = (values >= low - tiny) & (values <= high + tiny)
    return {
        f"share of {what} from {low:.4g} to {high:.4g}": share_of(inside, 1.0),
        f"share of {what} in the first quarter of that": share_of(inside & (values < low + quarter), 0.25),
        f"share of {what} in the last quarter of that": share_of(inside & (values > high - quarter), 0.25),
    }


def all_alike(values: Array) -> bool:
    return bool(np.all(np.abs(values - values[0]) < EXACT))


def in_small_batches(x: Array, rng: Generator, call: Callable[[Array, Generator], Any], count: int = 4) -> Array:
    """What ``call`` makes of x, in ``count`` equal parts: one draw for a whole batch then is not one draw for all that is
    seen."""
    return np.concatenate([np.asarray(call(part, generator_of_its_own(rng))) for part in np.split(x, count)])


def from_its_generator(
    points: float, call: Callable[[Functions, Array, Generator], Any], shape: Sequence[int]
) -> Check:
    """Everything random comes from the generator that is given: its state decides the result. Where little is drawn, two
    generators may agree by chance: up to 30 others are tried."""

    def observe(play: Functions, rng: Generator) -> Observations:
        x = rng.uniform(0.2, 0.8, tuple(shape))
        one, *others = (int(seed) for seed in rng.integers(2**32, size=31))

        def result(seed: int) -> Array:
            return np.asarray(call(play, x, np.random.default_rng(seed)), dtype=float)

        first = result(one)
        return {
            "equal generators give equal results": bool(np.array_equal(first, result(one))),
            "another generator gives another result": any(not np.array_equal(first, result(seed)) for seed in others),
        }

    return equals("draws from the generator it is given", points, observe)


def careless_about(reference: Callable[..., Any]) -> tuple[Misconception, Misconception]:
    """What can go wrong with any generator: it is not used, or made anew from a constant."""
    name, position = reference.__name__, list(inspect.signature(reference).parameters).index("rng")

    def with_generator(make: Callable[[], Generator]) -> Callable[..., Any]:
        return lambda *given: reference(*given[:position], make(), *given[position + 1 :])

    return (
        mistake(
            name,
            "generator-ignored",
            "Two calls with equal generators differ: something is drawn from elsewhere. Draw everything from rng, so "
            "that an experiment can be repeated.",
            with_generator(np.random.default_rng),
        ),
        mistake(
            name,
            "seed-fixed",
            "Two different generators give the same result: a seed is fixed inside. Every mini-batch would be changed "
            "in the same way. Draw from rng as it comes.",
            with_generator(lambda: np.random.default_rng(0)),
        ),
    )


def one_draw_for_all(reference: Callable[..., Any]) -> Callable[..., Any]:
    """The reference with the same draw for all images of a batch."""
    position = list(inspect.signature(reference).parameters).index("rng")

    def for_all(x: Array, *given: Any) -> Array:
        seed = int(given[position - 1].integers(2**32))

        def alone(image: Array) -> Array:
            return np.asarray(
                reference(image[None], *given[: position - 1], np.random.default_rng(seed), *given[position:])[0]
            )

        return np.stack([alone(image) for image in x])

    return for_all


def by_its_channel(reference: Callable[..., Any]) -> Callable[..., Any]:
    """The reference with draws of their own for the channels of an image."""

    def each(x: Array, *given: Any) -> Array:
        out = reference(x.reshape(-1, 1, *x.shape[2:]), *given)
        return np.asarray(out).reshape(*x.shape[:2], *out.shape[2:])

    return each
