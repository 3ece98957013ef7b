"""What the random layers of assignment 07 have in common: how a mask is looked at without asking how it was drawn."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from autograder.compare import Share
from autograder.exercise import Functions, Misconception, Observations, Observe

Array = np.ndarray
Generator = np.random.Generator
Params = dict[str, Any]


def mistake(name: str, id: str, message: str, wrong: Callable[..., Any]) -> Misconception:
    return Misconception(id, message, {name: wrong})


def both_signs(rng: Generator, *shape: int) -> Array:
    """Numbers of both signs, none near 0: what was dropped shows as a 0 and can be divided by what went in."""
    return rng.choice([-1.0, 1.0], shape) * rng.uniform(0.5, 2, shape)


def generator_of_its_own(rng: Generator) -> Generator:
    """A generator for the student's function, which may draw from it what it likes."""
    return np.random.default_rng(int(rng.integers(2**32)))


def extremes(of: str, values: Array) -> Observations:
    """The smallest and the largest of some numbers: what a wrong idea makes of every entry shows in them, whatever
    the mask."""
    smallest, largest = (values.min(), values.max()) if values.size else (math.nan, math.nan)
    return {f"smallest {of}": float(smallest), f"largest {of}": float(largest)}


# --- what masks have in common --------------------------------------------------------------------------------------

Factors = Callable[[Functions, Generator, tuple[int, ...], float], Array]
"""Plays a forward in training with p on inputs of a shape: what each entry was multiplied by (0 where it was dropped)."""

Repeat = Callable[[Generator], Callable[[Functions, Generator], Any]]
"""Draws inputs, and gives a function that plays a forward in training on them with a student's generator."""


def independent_part(values: Array) -> Array:
    """One row where all rows are equal, or one column: what is shared is wrong, but not because of its distribution."""
    if (values == values[:1]).all():
        return values[:1]
    return values[:, :1] if (values == values[:, :1]).all() else values


def decided_alone(kept: Array, p: float) -> Share:
    """How many entries were kept, of those that were decided by themselves."""
    if kept.any() and not kept.all():
        kept = independent_part(kept)
    return Share(int(kept.sum()), kept.size, p)


def kept_shares(factors: Factors, shape: tuple[int, int]) -> Observe:
    """How many entries are kept at p = 0.3 and 0.8: a binomial count each. Right answers fail with probability 2e-10.

    A mask from normal numbers keeps 62% and 79%: only a p far from 0.8 tells.
    """

    def observe(play: Functions, rng: Generator) -> Observations:
        found: Observations = {}
        for p in (0.3, 0.8):
            found[f"share of entries kept at p={p}"] = decided_alone(factors(play, rng, shape, p) != 0, p)
        return found

    return observe


def kept_scale(factors: Factors, shape: tuple[int, int], what: str) -> Observe:
    """What kept entries are multiplied by. Deterministic: of 1,200 some are kept with probability 1 - 1e-185. No mask of
    (31, 41) or (41, 49) keeps exactly p of its entries: one divided by the share it happens to keep is never right."""

    def observe(play: Functions, rng: Generator) -> Observations:
        found: Observations = {}
        for p in (0.3, 0.8):
            factor = factors(play, rng, shape, p)
            found |= extremes(f"{what} of a kept entry at p={p}", factor[factor != 0])
        return found

    return observe


def repeated_slices(kept: Array, axis: int) -> int:
    """How many slices across an axis have the mask of an earlier one."""
    slices = np.moveaxis(kept, axis, 0).reshape(kept.shape[axis], -1)
    return int(len(slices) - len(np.unique(slices, axis=0)))


def _halves(kept: Array, axis: int) -> Share:
    """How many of the different masks across an axis keep exactly half of their entries."""
    slices = np.unique(np.moveaxis(kept, axis, 0).reshape(kept.shape[axis], -1), axis=0)
    n = slices.shape[1]
    return Share(int((2 * slices.sum(axis=1) == n).sum()), len(slices), math.comb(n, n // 2) / 2**n)


_SMALL = ((8, 9), (10, 8), (6, 14), (8, 11), (9, 10), (8, 12), (7, 14), (10, 10), (6, 17), (8, 13), (9, 12), (10, 11),
          (7, 16), (6, 19), (9, 14), (8, 16))  # fmt: skip
"""Sizes all different: a mask that is always the same does not keep the same number in each of them."""


def entries_decide_alone(factors: Factors) -> Observe:
    """At p = 0.5, where every mask of (64, 50) entries is as likely as any other.

    Two rows of 50 have one mask with probability 64 * 63 / 2 / 2**50 < 2e-12. Half of 50, of 64 and of at least 72 entries
    are kept with probability 0.11, 0.10 and at most 0.094: a mask with a fixed number of kept entries does so every time.
    """

    def observe(play: Functions, rng: Generator) -> Observations:
        kept = factors(play, rng, (64, 50), 0.5) != 0
        masks = [factors(play, rng, shape, 0.5) != 0 for shape in _SMALL]
        exactly = sum(2 * int(mask.sum()) == mask.size for mask in masks)
        return {
            "rows that share their mask with another row": repeated_slices(kept, 0),
            "columns that share their mask with another column": repeated_slices(kept, 1),
            "share of rows that keep exactly half, at p=0.5": _halves(kept, 0),
            "share of columns that keep exactly half, at p=0.5": _halves(kept, 1),
            "share of calls that keep exactly half, at p=0.5": Share(exactly, len(masks), math.comb(72, 36) / 2**72),
        }

    return observe


def any_shape(factors: Factors) -> Observe:
    """One, three and four axes, at p = 0.5. A mask does not change along an axis with probability below 2**-190, and a
    channel of 48 pixels is kept or dropped whole with probability below 1e-13."""

    def observe(play: Functions, rng: Generator) -> Observations:
        row = factors(play, rng, (300,), 0.5) != 0
        found: Observations = {"some entries of (300,) are kept and some are not": bool(row.any() and not row.all())}
        for shape in ((4, 10, 8), (4, 3, 8, 6)):
            kept = factors(play, rng, shape, 0.5) != 0
            for axis in range(len(shape)):
                constant = bool((kept == kept.take([0], axis)).all())
                found[f"the mask of {shape} is the same all along axis {axis}"] = constant
        of_channels = kept.reshape(12, 48)
        whole = of_channels.all(axis=1) | ~of_channels.any(axis=1)
        return found | {"channels of (4, 3, 8, 6) that are kept or dropped as a whole": int(whole.sum())}

    return observe


def stays_the_same(one: Any, other: Any) -> bool:
    return bool(np.array_equal(np.asarray(one), np.asarray(other), equal_nan=True))


def draws_from_rng(repeat: Repeat) -> Observe:
    """Repeatable by the generator's seed, and new at each call. By chance two right results are equal with probability
    below 1e-11."""

    def observe(play: Functions, rng: Generator) -> Observations:
        call, seeds = repeat(rng), rng.choice(2**32, 2, replace=False)
        first, again, other = (np.random.default_rng(int(seeds[k])) for k in (0, 0, 1))
        results = [call(play, generator) for generator in (first, again, other, first)]
        return {
            "two generators of one seed give the same": stays_the_same(results[0], results[1]),
            "generators of two seeds give the same": stays_the_same(results[0], results[2]),
            "two calls with one generator give the same": stays_the_same(results[0], results[3]),
        }

    return observe


def uniform_numbers(rng: Generator, shape: tuple[int, ...], p: float) -> Array:
    return rng.random(shape) < p


def dropping(rng: Generator, shape: tuple[int, ...], p: float) -> Array:
    return rng.random(shape) < 1 - p


def normal_numbers(rng: Generator, shape: tuple[int, ...], p: float) -> Array:
    return rng.standard_normal(shape) < p


def for_all_rows(rng: Generator, shape: tuple[int, ...], p: float) -> Array:
    return np.broadcast_to(rng.random((1, *shape[1:])) < p, shape)


def for_all_columns(rng: Generator, shape: tuple[int, ...], p: float) -> Array:
    return np.broadcast_to(rng.random((*shape[:-1], 1)) < p, shape)


def for_all_pixels(rng: Generator, shape: tuple[int, ...], p: float) -> Array:
    return np.broadcast_to(rng.random(shape[:2] + (1,) * (len(shape) - 2)) < p, shape)


def fixed_number(rng: Generator, shape: tuple[int, ...], p: float) -> Array:
    size = math.prod(shape)
    return (rng.permutation(size) < round(p * size)).reshape(shape)


Keep = Callable[[Generator, tuple[int, ...], float], Array]

KEEP_MESSAGES = {
    "normal": "Your mask compares NORMAL random numbers with p. That looks right near p = 0.8 and is wrong elsewhere: at "
    "p = 0.3 it keeps 62%. Draw uniform numbers between 0 and 1.",
    "fixed-number": "Every mask of yours keeps the same number of entries. Each entry is kept or dropped by itself, so the "
    "number varies from call to call.",
    "rows": "All rows share one mask. Every entry of every example is decided by itself: draw a mask of the shape of x.",
    "columns": "All columns share one mask: an example is kept or dropped whole. Draw a mask of the shape of x.",
    "pixels": "A channel is kept or dropped as a whole (that is spatial dropout, another layer). Every entry is decided by "
    "itself: draw a mask of the shape of x.",
}
