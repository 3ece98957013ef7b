"""Max pooling by a factor between 1 and 2, over regions of one or two pixels drawn at random."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from autograder.checks import equals, leaves_inputs, shaped
from autograder.compare import Share
from autograder.exercise import Check, Exercise, Functions, Observations, Observe
from autograder.exercises.regularization.dropout import RNG_IGNORED, SEED_INSIDE, always_the_same, fresh_draws
from autograder.exercises.regularization.shared import (
    Array,
    Generator,
    both_signs,
    draws_from_rng,
    generator_of_its_own,
    mistake,
)
from autograder.gradients import along

# --- fractional max pooling -----------------------------------------------------------------------------------------


def fractional_pool_regions(size: int, out: int, rng: Generator) -> Array:
    """Boundaries (out + 1,) of ``out`` regions of 1 or 2 pixels that cover 0..size, in an order drawn from all orders alike
    (Graham 2014, arXiv:1412.6071: his "random" regions). out <= size <= 2 * out."""
    steps = np.array([2] * (size - out) + [1] * (2 * out - size))
    return np.concatenate([[0], np.cumsum(rng.permutation(steps))])


_SIZES = ((7, 5), (10, 6), (13, 8), (9, 9), (8, 4))
"""(size, out): between one and two pixels a region, and both extremes."""


def _boundaries(play: Functions, generator: Generator, size: int, out: int) -> Array:
    found = play.fractional_pool_regions(size, out, generator)
    return shaped(f"boundaries for size={size}, out={out}", found, np.zeros(out + 1))


def _cover(play: Functions, rng: Generator) -> Observations:
    found: Observations = {}
    for size, out in _SIZES:
        boundaries = _boundaries(play, generator_of_its_own(rng), size, out)
        found |= {f"first boundary for size={size}, out={out}": boundaries[0]}
        found |= {f"last boundary for size={size}, out={out}": boundaries[-1]}
    return found


def _steps_of_one_or_two(play: Functions, rng: Generator) -> Observations:
    found: Observations = {}
    for size, out in _SIZES:
        steps = np.diff(_boundaries(play, generator_of_its_own(rng), size, out))
        found[f"regions of 1 pixel for size={size}, out={out}"] = int(np.sum(steps == 1))
        found[f"regions of 2 pixels for size={size}, out={out}"] = int(np.sum(steps == 2))
    return found


_ORDERS = ((1, 1, 2, 2), (1, 2, 1, 2), (1, 2, 2, 1), (2, 1, 1, 2), (2, 1, 2, 1), (2, 2, 1, 1))
"""All orders of two ones and two twos."""


def _order(play: Functions, rng: Generator) -> Observations:
    """140 draws of 4 regions for 6 pixels. A binomial count for each order; right answers fail with probability 6e-10 in
    all, and an order that never comes is always noticed."""
    generator = generator_of_its_own(rng)
    steps = np.array([np.diff(_boundaries(play, generator, 6, 4)) for _ in range(140)])
    return {
        f"share of draws with regions of {order} pixels, for size=6, out=4": Share(
            int((steps == order).all(axis=1).sum()), 140, 1 / 6
        )
        for order in _ORDERS
    }


def _regions_repeat(rng: Generator) -> Callable[[Functions, Generator], Any]:
    """Two of the orders of 23 ones and 37 twos are the same with probability below 1e-16."""
    return lambda play, generator: play.fractional_pool_regions(97, 60, generator)


def _regions_from(steps: Callable[[int, int, Generator], Any]) -> Callable[..., Array]:
    return lambda size, out, rng: np.concatenate([[0], np.cumsum(steps(size, out, rng))])


def _twos_and_ones(size: int, out: int) -> Array:
    return np.array([2] * (size - out) + [1] * (2 * out - size))


def _pseudorandom(size: int, out: int, rng: Generator) -> Array:
    """Graham's other kind: ceil(alpha * (i + u)) with one u, moved so that it begins at 0."""
    alpha, u = size / out, rng.random()
    boundaries = np.ceil(alpha * (np.arange(out + 1) + u)).astype(int)
    return boundaries - boundaries[0]


def _any_boundaries(size: int, out: int, rng: Generator) -> Array:
    inner = np.sort(rng.choice(np.arange(1, size), out - 1, replace=False))
    return np.concatenate([[0], inner, [size]])


FRACTIONAL_POOL_REGIONS = Exercise(
    name="fractional_pool_regions",
    asks="Random pooling regions of one or two pixels that cover an image's side.",
    reference=fractional_pool_regions,
    returns=("boundaries",),
    checks=(
        equals("runs from 0 to size", 1, _cover),
        equals("has regions of 1 or 2 pixels", 1, _steps_of_one_or_two),
        equals("puts them in random order, all orders alike", 2, _order),
        equals("draws from rng, anew at each call", 1, draws_from_rng(_regions_repeat)),
    ),
    misconceptions=tuple(
        mistake("fractional_pool_regions", *idea)
        for idea in (
            (
                "evenly-spread",
                "Your regions are spread as evenly as possible, the same every time. Their order should be random.",
                lambda size, out, rng: np.arange(out + 1) * size // out,
            ),
            (
                "twos-first",
                "Your regions of 2 always come first. Their order should be random.",
                _regions_from(lambda size, out, rng: _twos_and_ones(size, out)),
            ),
            (
                "twos-last",
                "Your regions of 1 always come first. The order should be random.",
                _regions_from(lambda size, out, rng: _twos_and_ones(size, out)[::-1]),
            ),
            (
                "pseudorandom",
                "Your regions are spread evenly from a random start (the paper calls them pseudorandom). Here ones and "
                "twos come in any order: shuffle them.",
                _pseudorandom,
            ),
            (
                "rotated",
                "You rotate one fixed order by a random number of places. All orders of ones and twos should be alike.",
                _regions_from(lambda size, out, rng: np.roll(_twos_and_ones(size, out), rng.integers(out))),
            ),
            (
                "any-boundaries",
                "Your boundaries are random places, so some regions are larger than 2 pixels. Shuffle ones and twos and "
                "add up.",
                _any_boundaries,
            ),
            (
                "one-based",
                "Your boundaries run from 1 to size + 1. Here they are indices of NumPy slices: from 0 to size.",
                lambda size, out, rng: 1 + fractional_pool_regions(size, out, rng),
            ),
            ("rng-ignored", RNG_IGNORED, lambda size, out, rng: fractional_pool_regions(size, out, fresh_draws(rng))),
            ("seed-inside", SEED_INSIDE, lambda size, out, rng: fractional_pool_regions(size, out, always_the_same(rng))),
        )
    ),
    hints=(
        "How many regions of 2 are there, if `out` regions of 1 or 2 cover `size` pixels?",
        "rng.permutation shuffles an array.",
        "size - out twos and 2 * out - size ones, shuffled; 0 and their running sum (np.cumsum).",
    ),
)


def fractional_max_pool_forward(x: Array, rows: Array, cols: Array, overlapping: bool = False) -> tuple[Array, Any]:
    """out[n, c, i, j] = the maximum of x[n, c, rows[i]:rows[i + 1], cols[j]:cols[j + 1]]; where overlapping, of one more row
    and column at the end, as far as the image goes. x (N, C, H, W) (Graham 2014, arXiv:1412.6071)."""
    more = 1 if overlapping else 0
    out = np.empty((*x.shape[:2], len(rows) - 1, len(cols) - 1), x.dtype)
    for i in range(len(rows) - 1):
        for j in range(len(cols) - 1):
            out[:, :, i, j] = x[:, :, rows[i] : rows[i + 1] + more, cols[j] : cols[j + 1] + more].max(axis=(2, 3))
    return out, (x, rows, cols, more, out)


def fractional_max_pool_backward(dout: Array, cache: Any) -> Array:
    """dx (N, C, H, W): each entry of dout at its region's maximum; where regions overlap they add up."""
    x, rows, cols, more, out = cache
    dx = np.zeros_like(x)
    for i in range(len(rows) - 1):
        for j in range(len(cols) - 1):
            window = np.s_[:, :, rows[i] : rows[i + 1] + more, cols[j] : cols[j + 1] + more]
            dx[window] += (x[window] == out[:, :, i, j, None, None]) * dout[:, :, i, j, None, None]
    return dx


def _distinct(rng: Generator, *shape: int) -> Array:
    """Images below 0 and above, whose entries are 0.05 apart at least: no ties, not within a step of "
    "differentiation either."""
    size = math.prod(shape)
    return (0.1 * (rng.permutation(size) - size / 3) + rng.uniform(0, 0.05, size)).reshape(shape)


def _pooled_inputs(
    rng: Generator, overlapping: bool | None, shape: tuple[int, ...] = (2, 3, 9, 7), sizes: tuple[int, int] = (6, 5)
) -> tuple[Any, ...]:
    """Images that are not square, with ones and twos in both directions."""
    x = _distinct(rng, *shape)
    rows, cols = (fractional_pool_regions(shape[2 + k], sizes[k], rng) for k in (0, 1))
    return (x, rows, cols) if overlapping is None else (x, rows, cols, overlapping)


def _pooled(overlapping: bool | None) -> Observe:
    def observe(play: Functions, rng: Generator) -> Observations:
        found: Observations = {}
        for shape, sizes in (((2, 3, 9, 7), (6, 5)), ((3, 1, 5, 8), (5, 6))):
            x, *given = _pooled_inputs(rng, overlapping, shape, sizes)
            found[f"out for x of shape {shape}"] = play.fractional_max_pool_forward(x, *given)[0]
            found[f"out for x of shape {shape}, all below 0"] = play.fractional_max_pool_forward(x - 100, *given)[0]
        return found

    return observe


Window = Callable[[Array, int, int], slice]


def _pool(
    window: Callable[[Array, int, int, int], tuple[int, int]] = lambda edges, i, more, size: (edges[i], edges[i + 1] + more),
    reduce: Callable[[Array], Array] = lambda region: region.max(axis=(2, 3)),
    more_rows: Callable[[bool], int] = int,
    more_cols: Callable[[bool], int] = int,
) -> Callable[..., tuple[Array, Any]]:
    """A fractional_max_pool_forward that goes wrong in the one way that an argument says."""

    def forward(x: Array, rows: Array, cols: Array, overlapping: bool = False) -> tuple[Array, Any]:
        out = np.empty((*x.shape[:2], len(rows) - 1, len(cols) - 1))
        for i in range(len(rows) - 1):
            top, bottom = window(rows, i, more_rows(overlapping), x.shape[2])
            for j in range(len(cols) - 1):
                left, right = window(cols, j, more_cols(overlapping), x.shape[3])
                out[:, :, i, j] = reduce(x.take(range(top, bottom), 2, mode="clip").take(range(left, right), 3, mode="clip"))
        return out, None

    return forward


def _wrapped_pool(x: Array, rows: Array, cols: Array, overlapping: bool = False) -> tuple[Array, Any]:
    more = int(overlapping)
    out = np.empty((*x.shape[:2], len(rows) - 1, len(cols) - 1))
    for i in range(len(rows) - 1):
        for j in range(len(cols) - 1):
            strip = x.take(range(rows[i], rows[i + 1] + more), 2, mode="wrap")
            out[:, :, i, j] = strip.take(range(cols[j], cols[j + 1] + more), 3, mode="wrap").max(axis=(2, 3))
    return out, None


FRACTIONAL_MAX_POOL_FORWARD = Exercise(
    name="fractional_max_pool_forward",
    asks="The maximum of every region between the given row and column boundaries.",
    reference=fractional_max_pool_forward,
    returns=("out", "cache"),
    checks=(
        equals("takes the maximum of each region", 2, _pooled(None)),
        equals("takes one more row and column where regions overlap", 2, _pooled(True)),
        leaves_inputs(1, _pooled(True)),
    ),
    misconceptions=tuple(
        mistake("fractional_max_pool_forward", *idea)
        for idea in (
            (
                "mean",
                "You average each region. Take its maximum.",
                _pool(reduce=lambda region: region.mean(axis=(2, 3))),
            ),
            (
                "largest-size",
                "You take the entry that is largest in SIZE, sign aside or kept. The maximum of negative numbers is the "
                "one nearest to 0.",
                _pool(reduce=lambda region: np.where(
                    np.abs(region.min(axis=(2, 3))) > np.abs(region.max(axis=(2, 3))),
                    region.min(axis=(2, 3)), region.max(axis=(2, 3)))),
            ),
            (
                "never-below-zero",
                "Your maximum starts at 0: a region of negative numbers gives 0. Its maximum is the largest of them.",
                _pool(reduce=lambda region: np.maximum(region.max(axis=(2, 3)), 0)),
            ),
            (
                "over-the-channels",
                "You take the maximum over the channels as well. Each channel is pooled by itself.",
                _pool(reduce=lambda region: np.broadcast_to(region.max(axis=(1, 2, 3), keepdims=True)[:, :, 0, 0],
                                                            region.shape[:2])),
            ),
            (
                "always-overlapping",
                "Your regions always overlap. They do only where `overlapping` is true.",
                _pool(more_rows=lambda overlapping: 1, more_cols=lambda overlapping: 1),
            ),
            (
                "never-overlapping",
                "`overlapping` is not used: every region should then reach one row and one column further.",
                _pool(more_rows=lambda overlapping: 0, more_cols=lambda overlapping: 0),
            ),
            (
                "overlapping-in-rows-only",
                "Your regions overlap in rows, but not in columns.",
                _pool(more_cols=lambda overlapping: 0),
            ),
            (
                "overlapping-in-columns-only",
                "Your regions overlap in columns, but not in rows.",
                _pool(more_rows=lambda overlapping: 0),
            ),
            (
                "overlapping-at-the-front",
                "Your regions reach back by one row and column. The row and column more are at the end.",
                _pool(lambda edges, i, more, size: (max(edges[i] - more, 0), edges[i + 1])),
            ),
            (
                "overlapping-by-two",
                "Your regions reach two rows and columns further. It is one.",
                _pool(lambda edges, i, more, size: (edges[i], edges[i + 1] + 2 * more)),
            ),
            (
                "wrapped-around",
                "Your last regions go on at the other side of the image. They are cut off at the border.",
                _wrapped_pool,
            ),
            (
                "always-two-pixels",
                "You take two pixels from every boundary. Where a region has one, that reaches into the next: go to the "
                "next boundary.",
                _pool(lambda edges, i, more, size: (edges[i], edges[i] + 2 + more)),
            ),
            (
                "boundaries-ignored",
                "You pool over a regular grid. The regions lie between the boundaries in rows and cols.",
                _pool(
                    lambda edges, i, more, size: (
                        i * size // (len(edges) - 1), (i + 1) * size // (len(edges) - 1) + more
                    )
                ),
            ),
        )
    ),
    hints=(
        "Which rows belong to region i?",
        "Two loops over the regions are fine; inside, all images and channels at once.",
        "out[:, :, i, j] = x[:, :, rows[i]:rows[i+1], cols[j]:cols[j+1]].max(axis=(2, 3)); + 1 at both ends where "
        "overlapping.",
    ),
)


def _pool_backward(assign: Callable[[Array, Any, Array, Array, Array], None]) -> Callable[..., Array]:
    """A backward pass that does ``assign(dx, window, x[window], out of the region, dout of the region)`` for each "
    "region."""

    def backward(dout: Array, cache: Any) -> Array:
        x, rows, cols, more, out = cache
        dx = np.zeros_like(x)
        for i in range(len(rows) - 1):
            for j in range(len(cols) - 1):
                window = np.s_[:, :, rows[i] : rows[i + 1] + more, cols[j] : cols[j + 1] + more]
                assign(dx, window, x[window], out[:, :, i, j, None, None], dout[:, :, i, j, None, None])
        return dx

    return backward


def _overwriting(dx: Array, window: Any, region: Array, best: Array, dout: Array) -> None:
    dx[window] = np.where(region == best, dout, dx[window])


def _overwriting_all(dx: Array, window: Any, region: Array, best: Array, dout: Array) -> None:
    dx[window] = (region == best) * dout


def _spreading(dx: Array, window: Any, region: Array, best: Array, dout: Array) -> None:
    dx[window] += dout / region[0, 0].size


def _to_all(dx: Array, window: Any, region: Array, best: Array, dout: Array) -> None:
    dx[window] += dout


def _to_the_first(dx: Array, window: Any, region: Array, best: Array, dout: Array) -> None:
    dx[window][:, :, 0, 0] += dout[:, :, 0, 0]


def _to_the_smallest(dx: Array, window: Any, region: Array, best: Array, dout: Array) -> None:
    dx[window] += (region == region.min(axis=(2, 3), keepdims=True)) * dout


def _times_the_maximum(dx: Array, window: Any, region: Array, best: Array, dout: Array) -> None:
    dx[window] += (region == best) * dout * best


def _one_maximum_for_all(dx: Array, window: Any, region: Array, best: Array, dout: Array) -> None:
    dx[window] += (region == region.max()) * dout


def _disjoint_backward(dout: Array, cache: Any) -> Array:
    x, rows, cols, _, _ = cache
    return fractional_max_pool_backward(dout, fractional_max_pool_forward(x, rows, cols)[1])


def _pool_backward_in_place(dout: Array, cache: Any) -> Array:
    dx = fractional_max_pool_backward(dout, cache)
    dout *= 0
    return dx


def _pool_backward_played(play: Functions, rng: Generator) -> Observations:
    x, rows, cols, overlapping = _pooled_inputs(rng, True)
    _, cache = play.fractional_max_pool_forward(x, rows, cols, overlapping)
    play.fractional_max_pool_backward(both_signs(rng, 2, 3, 6, 5), cache)
    return {}


_HIGH_AND_WIDE = (((2, 3, 11, 5), (8, 4)), ((3, 2, 4, 9), (3, 7)))
"""Shapes and numbers of regions: more than one has in the other direction, so rows and columns cannot stand in for each other."""


def _pool_gradient(claim: str, points: float, overlapping: bool | None) -> Check:
    """dx against the reference's, which is the only one as no region has ties. It is the gradient of the student's own
    forward where its slope along three random directions is that of numerical differentiation."""

    def played(
        play: Functions, rng: Generator, shape: tuple[int, ...], sizes: tuple[int, int]
    ) -> tuple[tuple[Any, ...], Array, Any]:
        arguments, dout = _pooled_inputs(rng, overlapping, shape, sizes), both_signs(rng, *shape[:2], *sizes)
        x = arguments[0]
        x[:, :, [0, 0, -1], [0, -1, 0]] = x.max() + 0.1  # one number in three regions is no tie: no two of them are one
        _, cache = play.fractional_max_pool_forward(*arguments)
        return arguments, dout, play.fractional_max_pool_backward(dout, cache)

    def observe(play: Functions, rng: Generator) -> Observations:
        return {f"dx of shape {case[0]}": played(play, rng, *case)[2] for case in _HIGH_AND_WIDE}

    def consistent(play: Functions, rng: Generator) -> bool:
        (x, *regions), dout, dx = played(play, rng, *_HIGH_AND_WIDE[0])
        directions = rng.standard_normal((3, *x.shape))
        slopes = [
            along(lambda value: shaped("out", play.fractional_max_pool_forward(value, *regions)[0], dout), x, dout, v)
            for v in directions
        ]
        return bool(np.allclose([np.sum(shaped("dx", dx, x) * v) for v in directions], slopes, rtol=1e-6, atol=1e-6))

    return replace(equals(claim, points, observe), consistent=consistent)


FRACTIONAL_MAX_POOL_BACKWARD = Exercise(
    name="fractional_max_pool_backward",
    asks="The gradient through fractional max pooling: to the maximum of each region.",
    reference=fractional_max_pool_backward,
    returns=("dx",),
    checks=(
        _pool_gradient("dx is the gradient with respect to x: dout goes to each region's maximum", 2, overlapping=None),
        _pool_gradient("adds up where one entry is the maximum of several regions", 2, overlapping=True),
        leaves_inputs(1, _pool_backward_played),
    ),
    misconceptions=tuple(
        mistake("fractional_max_pool_backward", *idea)
        for idea in (
            (
                "overwritten",
                "Where an entry is the maximum of two regions that overlap, you keep the gradient of one. They add up.",
                _pool_backward(_overwriting),
            ),
            (
                "regions-overwritten",
                "A region that overlaps another one writes zeros over its gradient. Add to what is there.",
                _pool_backward(_overwriting_all),
            ),
            (
                "spread-evenly",
                "You spread dout evenly over the region: that is the gradient of a mean. It belongs to the maximum alone.",
                _pool_backward(_spreading),
            ),
            (
                "to-all",
                "Every entry of a region gets all of dout. Only the maximum had a part in the output.",
                _pool_backward(_to_all),
            ),
            (
                "to-the-first",
                "dout goes to the first entry of each region. It belongs to the maximum.",
                _pool_backward(_to_the_first),
            ),
            (
                "to-the-smallest",
                "dout goes to the smallest entry of each region. It belongs to the largest.",
                _pool_backward(_to_the_smallest),
            ),
            (
                "times-the-maximum",
                "You multiply by the maximum itself. The output IS that entry of x: its derivative is 1.",
                _pool_backward(_times_the_maximum),
            ),
            (
                "one-maximum-for-all",
                "You look for one maximum over all images and channels. Each has a maximum of its own in every region.",
                _pool_backward(_one_maximum_for_all),
            ),
            (
                "overlap-forgotten",
                "Your backward pass looks for the maximum in regions that do not overlap, where the forward's did.",
                _disjoint_backward,
            ),
            (
                "in-place",
                "You change dout. The caller still needs it: make a new array.",
                _pool_backward_in_place,
            ),
        )
    ),
    hints=(
        "If an entry is not the maximum of its region, how does the output change when it is moved a little?",
        "The same loops as in the forward pass; x == its region's maximum is a mask.",
        "dx starts at 0; for each region add dout[:, :, i, j] where the mask is true. Add: regions may overlap.",
    ),
    needs=("fractional_max_pool_forward",),
)
