"""Assignment 07, regularization and dropout: penalties on the weights, and noise that is averaged out at test time.

`p` is the probability to KEEP, `mode` is "train" or "test". What is random is judged by properties that hold however the
numbers are drawn: exact ones where there are any (what a kept entry is multiplied by), shares of many draws elsewhere.
Right answers are rejected with probability below 1e-9 an exercise: a share is judged at 1e-10, an exact property that
could fail by chance (two rows with one mask) fails with probability below 1e-11.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from autograder.checks import equals, leaves_inputs, shaped
from autograder.compare import Share, difference
from autograder.exercise import Check, Exercise, Functions, Misconception, Observations, Observe, StudentError
from autograder.gradients import along

Array = np.ndarray
Generator = np.random.Generator
Params = dict[str, Any]


def _idea(name: str, id: str, message: str, wrong: Callable[..., Any]) -> Misconception:
    return Misconception(id, message, {name: wrong})


def _signed(rng: Generator, *shape: int) -> Array:
    """Numbers of both signs, none near 0: what was dropped shows as a 0 and can be divided by what went in."""
    return rng.choice([-1.0, 1.0], shape) * rng.uniform(0.5, 2, shape)


def _own_generator(rng: Generator) -> Generator:
    """A generator for the student's function, which may draw from it what it likes."""
    return np.random.default_rng(int(rng.integers(2**32)))


def _range(of: str, values: Array) -> Observations:
    """The smallest and the largest of some numbers: what a wrong idea makes of every entry shows in them, whatever "
    "the mask."""
    smallest, largest = (values.min(), values.max()) if values.size else (math.nan, math.nan)
    return {f"smallest {of}": float(smallest), f"largest {of}": float(largest)}


# --- penalties ------------------------------------------------------------------------------------------------------


def l2_penalty(w: Array, strength: float) -> tuple[float, Array]:
    """1/2 * strength * sum of w**2, and its gradient strength * w. w of any shape."""
    return float(0.5 * strength * np.sum(w**2)), strength * w


def l1_penalty(w: Array, strength: float) -> tuple[float, Array]:
    """strength * sum of |w|, and its gradient strength * sign(w), 0 where w is 0. w of any shape."""
    return float(strength * np.sum(np.abs(w))), strength * np.sign(w)


def elastic_net_penalty(w: Array, l1: float, l2: float) -> tuple[float, Array]:
    """l1 * sum of |w| + 1/2 * l2 * sum of w**2, and its gradient (Zou & Hastie 2005). w of any shape."""
    loss = l1 * np.sum(np.abs(w)) + 0.5 * l2 * np.sum(w**2)
    return float(loss), l1 * np.sign(w) + l2 * w


_WEIGHTS = ((4, 3), (2, 3, 3, 2), (5,))


def _penalties(name: str, strengths: int) -> Observe:
    """Weights of several shapes, none of them 0, with strengths of their own."""

    def observe(play: Functions, rng: Generator) -> Observations:
        found: Observations = {}
        for shape in _WEIGHTS:
            w = _signed(rng, *shape)
            given = [float(s) for s in rng.uniform(0.1, 0.7, strengths) + 0.9 * np.arange(strengths)]
            loss, grad = getattr(play, name)(w, *given)
            found |= {f"loss for w of shape {shape}": loss, f"grad for w of shape {shape}": grad}
        return found

    return observe


def _only(part: str, scenario: Observe) -> Observe:
    """Those observations whose names contain the part."""
    return lambda play, rng: {name: value for name, value in scenario(play, rng).items() if part in name}


def _penalty_at_zeros(name: str, *strengths: float) -> Observe:
    def observe(play: Functions, rng: Generator) -> Observations:
        w = _signed(rng, 4, 5)
        w[:, 1] = w[2] = 0.0
        w[3, 4] = -0.0
        _, grad = getattr(play, name)(w, *strengths)
        return {"grad for w with zeros": grad}

    return observe


L2_PENALTY = Exercise(
    name="l2_penalty",
    asks="Half the strength times the sum of the squared weights, and its gradient (weight decay).",
    reference=l2_penalty,
    returns=("loss", "grad"),
    checks=(
        equals("the loss is half the strength times the sum of the squares", 1, _only("loss", _penalties("l2_penalty", 1))),
        equals("the gradient is the strength times w, in the shape of w", 1, _only("grad", _penalties("l2_penalty", 1))),
        leaves_inputs(1, _penalties("l2_penalty", 1)),
    ),
    misconceptions=(
        _idea(
            "l2_penalty",
            "no-half",
            "Loss and gradient are twice as large as asked. Here the penalty has a factor 1/2, so that its gradient has "
            "none.",
            lambda w, strength: (strength * np.sum(w**2), 2 * strength * w),
        ),
        _idea(
            "l2_penalty",
            "half-forgotten-in-the-loss",
            "Your loss is twice as large as asked; the gradient is right. The 1/2 belongs to the loss.",
            lambda w, strength: (strength * np.sum(w**2), strength * w),
        ),
        _idea(
            "l2_penalty",
            "gradient-doubled",
            "The derivative of w squared is 2w, and the 1/2 of the loss cancels the 2: your gradient is twice too large.",
            lambda w, strength: (0.5 * strength * np.sum(w**2), 2 * strength * w),
        ),
        _idea(
            "l2_penalty",
            "gradient-halved",
            "Your gradient still carries the 1/2 of the loss. It cancels with the 2 of the derivative.",
            lambda w, strength: (0.5 * strength * np.sum(w**2), 0.5 * strength * w),
        ),
        _idea(
            "l2_penalty",
            "mean-of-squares",
            "You average over the entries of w. The penalty is a sum: every weight pays for itself, in a large layer as "
            "in a small one.",
            lambda w, strength: (0.5 * strength * np.mean(w**2), strength * w / w.size),
        ),
        _idea(
            "l2_penalty",
            "norm-not-squared",
            "You penalise the norm of w. The penalty takes its square: no root.",
            lambda w, strength: (0.5 * strength * np.linalg.norm(w), 0.5 * strength * w / np.linalg.norm(w)),
        ),
        _idea(
            "l2_penalty",
            "strength-missing-in-the-gradient",
            "The gradient does not contain the strength.",
            lambda w, strength: (0.5 * strength * np.sum(w**2), w.copy()),
        ),
        _idea(
            "l2_penalty",
            "gradient-downhill",
            "Your gradient has the wrong sign. It points uphill; the optimizer takes the minus.",
            lambda w, strength: (0.5 * strength * np.sum(w**2), -strength * w),
        ),
    ),
    hints=(
        "How many numbers is the loss, and how many the gradient?",
        "Square the entries, add up all of them whatever the shape, times strength / 2.",
        "The derivative of w**2 / 2 is w.",
    ),
)

L1_PENALTY = Exercise(
    name="l1_penalty",
    asks="The strength times the sum of the weights' absolute values, and its (sub)gradient.",
    reference=l1_penalty,
    returns=("loss", "grad"),
    checks=(
        equals(
            "the loss is the strength times the sum of the absolute values", 1, _only("loss", _penalties("l1_penalty", 1))
        ),
        equals(
            "the gradient is the strength times the sign of w, in the shape of w",
            1,
            _only("grad", _penalties("l1_penalty", 1)),
        ),
        equals("the subgradient is 0 where w is 0", 1, _penalty_at_zeros("l1_penalty", 0.6)),
        leaves_inputs(1, _penalties("l1_penalty", 1)),
    ),
    misconceptions=(
        _idea(
            "l1_penalty",
            "absolute-value-missing",
            "You add up w itself, so that positive and negative weights cancel. Add up absolute values.",
            lambda w, strength: (strength * np.sum(w), strength * np.ones_like(w)),
        ),
        _idea(
            "l1_penalty",
            "gradient-without-sign",
            "Your gradient is the strength everywhere. For a negative weight |w| falls as w grows: take the sign of w.",
            lambda w, strength: (strength * np.sum(np.abs(w)), strength * np.ones_like(w)),
        ),
        _idea(
            "l1_penalty",
            "gradient-of-l2",
            "Your gradient is that of the L2 penalty. L1 pulls every weight alike, however large it is.",
            lambda w, strength: (strength * np.sum(np.abs(w)), strength * w),
        ),
        _idea(
            "l1_penalty",
            "subgradient-plus-one-at-zero",
            "Where w is 0 your gradient is +strength. A weight that has reached 0 should be left there: choose 0.",
            lambda w, strength: (strength * np.sum(np.abs(w)), strength * np.where(w >= 0, 1.0, -1.0)),
        ),
        _idea(
            "l1_penalty",
            "subgradient-minus-one-at-zero",
            "Where w is 0 your gradient is -strength. A weight that has reached 0 should be left there: choose 0.",
            lambda w, strength: (strength * np.sum(np.abs(w)), strength * np.where(w > 0, 1.0, -1.0)),
        ),
        _idea(
            "l1_penalty",
            "nan-at-zero",
            "Your gradient divides by |w|, which gives nan where w is 0. The subgradient asked for there is 0.",
            lambda w, strength: (strength * np.sum(np.abs(w)), strength * w / np.abs(w)),
        ),
        _idea(
            "l1_penalty",
            "half-too-many",
            "You carried the 1/2 of the L2 penalty over. L1 has none: the derivative of |w| brings no factor 2.",
            lambda w, strength: (0.5 * strength * np.sum(np.abs(w)), 0.5 * strength * np.sign(w)),
        ),
        _idea(
            "l1_penalty",
            "mean",
            "You average over the entries of w. The penalty is a sum.",
            lambda w, strength: (strength * np.mean(np.abs(w)), strength * np.sign(w) / w.size),
        ),
        _idea(
            "l1_penalty",
            "largest-column",
            "np.linalg.norm(w, 1) of a matrix is its largest column sum. The penalty adds up all entries.",
            lambda w, strength: (strength * float(np.abs(w).reshape(len(w), -1).sum(axis=0).max()), strength * np.sign(w)),
        ),
    ),
    hints=(
        "What is the slope of |w| to the right of 0, and to the left?",
        "np.sign gives +1, -1, and at 0 exactly what is wanted.",
        "strength times the sum of np.abs(w); strength times the signs.",
    ),
)

ELASTIC_NET_PENALTY = Exercise(
    name="elastic_net_penalty",
    asks="L1 and L2 together, each with a strength of its own.",
    reference=elastic_net_penalty,
    returns=("loss", "grad"),
    checks=(
        equals(
            "the loss is l1 times the absolute values plus half of l2 times the squares",
            1,
            _only("loss", _penalties("elastic_net_penalty", 2)),
        ),
        equals("the gradient is the sum of both gradients", 1, _only("grad", _penalties("elastic_net_penalty", 2))),
        equals("the gradient is 0 where w is 0", 1, _penalty_at_zeros("elastic_net_penalty", 0.4, 1.2)),
        leaves_inputs(1, _penalties("elastic_net_penalty", 2)),
    ),
    misconceptions=(
        _idea(
            "elastic_net_penalty",
            "strengths-swapped",
            "The strengths are swapped: l1 belongs to the absolute values, l2 to the squares.",
            lambda w, l1, l2: elastic_net_penalty(w, l2, l1),
        ),
        _idea(
            "elastic_net_penalty",
            "no-half",
            "Your L2 part lacks the factor 1/2, in the loss and in the gradient.",
            lambda w, l1, l2: elastic_net_penalty(w, l1, 2 * l2),
        ),
        _idea(
            "elastic_net_penalty",
            "half-forgotten-in-the-loss",
            "The L2 part of your loss lacks the factor 1/2; the gradient is right.",
            lambda w, l1, l2: (elastic_net_penalty(w, l1, 2 * l2)[0], elastic_net_penalty(w, l1, l2)[1]),
        ),
        _idea(
            "elastic_net_penalty",
            "l1-only",
            "The L2 part is missing.",
            lambda w, l1, l2: elastic_net_penalty(w, l1, 0.0),
        ),
        _idea(
            "elastic_net_penalty",
            "l2-only",
            "The L1 part is missing.",
            lambda w, l1, l2: elastic_net_penalty(w, 0.0, l2),
        ),
        _idea(
            "elastic_net_penalty",
            "strength-and-ratio",
            "You take the two numbers for a strength and a mixing ratio, as scikit-learn does. Here they are two "
            "strengths.",
            lambda w, l1, l2: elastic_net_penalty(w, l1 * l2, l1 * (1 - l2)),
        ),
        _idea(
            "elastic_net_penalty",
            "subgradient-plus-one-at-zero",
            "Where w is 0 your gradient is l1. The subgradient asked for there is 0.",
            lambda w, l1, l2: (elastic_net_penalty(w, l1, l2)[0], l1 * np.where(w >= 0, 1.0, -1.0) + l2 * w),
        ),
    ),
    hints=(
        "You have written both parts already.",
        "The gradient of a sum is the sum of the gradients.",
        "l1_penalty with l1 plus l2_penalty with l2: losses added, gradients added.",
    ),
    builds_on=("l1_penalty", "l2_penalty"),
    composed=lambda play: lambda w, l1, l2: tuple(
        one + other for one, other in zip(play.l1_penalty(w, l1), play.l2_penalty(w, l2), strict=True)
    ),
)

# --- what masks have in common --------------------------------------------------------------------------------------

Factors = Callable[[Functions, Generator, tuple[int, ...], float], Array]
"""Plays a forward in training with p on inputs of a shape: what each entry was multiplied by (0 where it was dropped)."""

Repeat = Callable[[Generator], Callable[[Functions, Generator], Any]]
"""Draws inputs, and gives a function that plays a forward in training on them with a student's generator."""


def _independent(values: Array) -> Array:
    """One row where all rows are equal, or one column: what is shared is wrong, but not because of its distribution."""
    if (values == values[:1]).all():
        return values[:1]
    return values[:, :1] if (values == values[:, :1]).all() else values


def _decided(kept: Array, p: float) -> Share:
    """How many entries were kept, of those that were decided by themselves."""
    if kept.any() and not kept.all():
        kept = _independent(kept)
    return Share(int(kept.sum()), kept.size, p)


def _kept_shares(factors: Factors, shape: tuple[int, int]) -> Observe:
    """How many entries are kept at p = 0.3 and 0.8: a binomial count each. Right answers fail with probability 2e-10.

    A mask from normal numbers keeps 62% and 79%: only a p far from 0.8 tells.
    """

    def observe(play: Functions, rng: Generator) -> Observations:
        found: Observations = {}
        for p in (0.3, 0.8):
            found[f"share of entries kept at p={p}"] = _decided(factors(play, rng, shape, p) != 0, p)
        return found

    return observe


def _kept_scale(factors: Factors, shape: tuple[int, int], what: str) -> Observe:
    """What kept entries are multiplied by. Deterministic: of 1,200 some are kept with probability 1 - 1e-185."""

    def observe(play: Functions, rng: Generator) -> Observations:
        found: Observations = {}
        for p in (0.3, 0.8):
            factor = factors(play, rng, shape, p)
            found |= _range(f"{what} of a kept entry at p={p}", factor[factor != 0])
        return found

    return observe


def _repeated_slices(kept: Array, axis: int) -> int:
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


def _entries_decide_alone(factors: Factors) -> Observe:
    """At p = 0.5, where every mask of (64, 50) entries is as likely as any other.

    Two rows of 50 have one mask with probability 64 * 63 / 2 / 2**50 < 2e-12. Half of 50, of 64 and of at least 72 entries
    are kept with probability 0.11, 0.10 and at most 0.094: a mask with a fixed number of kept entries does so every time.
    """

    def observe(play: Functions, rng: Generator) -> Observations:
        kept = factors(play, rng, (64, 50), 0.5) != 0
        masks = [factors(play, rng, shape, 0.5) != 0 for shape in _SMALL]
        exactly = sum(2 * int(mask.sum()) == mask.size for mask in masks)
        return {
            "rows that share their mask with another row": _repeated_slices(kept, 0),
            "columns that share their mask with another column": _repeated_slices(kept, 1),
            "share of rows that keep exactly half, at p=0.5": _halves(kept, 0),
            "share of columns that keep exactly half, at p=0.5": _halves(kept, 1),
            "share of calls that keep exactly half, at p=0.5": Share(exactly, len(masks), math.comb(72, 36) / 2**72),
        }

    return observe


def _any_shape(factors: Factors) -> Observe:
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


def _same(one: Any, other: Any) -> bool:
    return bool(np.array_equal(np.asarray(one), np.asarray(other), equal_nan=True))


def _draws_from_rng(repeat: Repeat) -> Observe:
    """Repeatable by the generator's seed, and new at each call. By chance two right results are equal with probability
    below 1e-11."""

    def observe(play: Functions, rng: Generator) -> Observations:
        call, seeds = repeat(rng), rng.choice(2**32, 2, replace=False)
        first, again, other = (np.random.default_rng(int(seeds[k])) for k in (0, 0, 1))
        results = [call(play, generator) for generator in (first, again, other, first)]
        return {
            "two generators of one seed give the same": _same(results[0], results[1]),
            "generators of two seeds give the same": _same(results[0], results[2]),
            "two calls with one generator give the same": _same(results[0], results[3]),
        }

    return observe


def _uniform(rng: Generator, shape: tuple[int, ...], p: float) -> Array:
    return rng.random(shape) < p


def _dropping(rng: Generator, shape: tuple[int, ...], p: float) -> Array:
    return rng.random(shape) < 1 - p


def _normal(rng: Generator, shape: tuple[int, ...], p: float) -> Array:
    return rng.standard_normal(shape) < p


def _for_all_rows(rng: Generator, shape: tuple[int, ...], p: float) -> Array:
    return np.broadcast_to(rng.random((1, *shape[1:])) < p, shape)


def _for_all_columns(rng: Generator, shape: tuple[int, ...], p: float) -> Array:
    return np.broadcast_to(rng.random((*shape[:-1], 1)) < p, shape)


def _for_all_pixels(rng: Generator, shape: tuple[int, ...], p: float) -> Array:
    return np.broadcast_to(rng.random(shape[:2] + (1,) * (len(shape) - 2)) < p, shape)


def _fixed_number(rng: Generator, shape: tuple[int, ...], p: float) -> Array:
    size = math.prod(shape)
    return (rng.permutation(size) < round(p * size)).reshape(shape)


Keep = Callable[[Generator, tuple[int, ...], float], Array]

_KEEP_MESSAGES = {
    "normal": "Your mask compares NORMAL random numbers with p. That looks right near p = 0.8 and is wrong elsewhere: at "
    "p = 0.3 it keeps 62%. Draw uniform numbers between 0 and 1.",
    "fixed-number": "Every mask of yours keeps the same number of entries. Each entry is kept or dropped by itself, so the "
    "number varies from call to call.",
    "rows": "All rows share one mask. Every entry of every example is decided by itself: draw a mask of the shape of x.",
    "columns": "All columns share one mask: an example is kept or dropped whole. Draw a mask of the shape of x.",
    "pixels": "A channel is kept or dropped as a whole (that is spatial dropout, another layer). Every entry is decided by "
    "itself: draw a mask of the shape of x.",
}

# --- dropout --------------------------------------------------------------------------------------------------------


def dropout_forward(x: Array, dropout_param: Params) -> tuple[Array, Any]:
    """Inverted dropout of x, any shape: in training x * M / p with M 1 with probability p and else 0; x at test time.

    dropout_param: "p" (keep), "mode", optionally "seed" (Srivastava et al. 2014; divided by p in training: lecture 7).
    """
    p, mode = dropout_param["p"], dropout_param["mode"]
    if mode == "test":
        return x.copy(), (mode, p, None)
    mask = np.random.default_rng(dropout_param.get("seed")).random(x.shape) < p
    return x * mask / p, (mode, p, mask)


def dropout_backward(dout: Array, cache: Any) -> Array:
    """dout * M / p in training, with the forward's mask; dout at test time."""
    mode, p, mask = cache[:3]
    return dout.copy() if mode == "test" else dout * mask / p


def _from_starter(probe: Callable[[Functions], None]) -> Callable[[Observe], Observe]:
    """Scenarios in which a starter file with its blanks left is "not started", even where it hands x through or has its
    test time written in already. The probe raises where training is not written yet; what else goes wrong in it shows in the
    scenario itself."""

    def wrapped(scenario: Observe) -> Observe:
        def observe(play: Functions, rng: Generator) -> Observations:
            try:
                probe(play)
            except StudentError as problem:
                if problem.kind not in ("raised", "form", "not_plain"):
                    raise
            return scenario(play, rng)

        return observe

    return wrapped


def _probe_forward(play: Functions) -> None:
    """Of 60 entries all are kept at p = 0.3 with probability 1e-31."""
    x = 1.0 + np.arange(60.0).reshape(4, 15)
    out, _ = play.dropout_forward(x, {"mode": "train", "p": 0.3})
    if _same(out, x) and _same(play.dropout_forward(x, {"mode": "test", "p": 0.3})[0], x):
        problem = StudentError("not_started", "returns x as it is, in both modes")
        problem.function = "dropout_forward"
        raise problem


def _probe_backward(play: Functions) -> None:
    _probe_forward(play)
    out, cache = play.dropout_forward(1.0 + np.arange(6.0).reshape(2, 3), {"mode": "train", "p": 0.5})
    play.dropout_backward(np.ones((2, 3)), cache)


_written = _from_starter(_probe_forward)
_backward_written = _from_starter(_probe_backward)


def _train_param(rng: Generator, p: float) -> Params:
    return {"mode": "train", "p": p, "seed": int(rng.integers(2**31))}


def _dropout_factors(play: Functions, rng: Generator, shape: tuple[int, ...], p: float) -> Array:
    x = _signed(rng, *shape)
    out, _ = play.dropout_forward(x, _train_param(rng, p))
    return shaped(f"out for x of shape {shape}", out, x) / x


def _test_time(play: Functions, rng: Generator) -> Observations:
    found: Observations = {}
    for shape, p, seeded in (((5, 6), 0.3, False), ((2, 3, 4, 5), 0.8, True)):
        x, seed = _signed(rng, *shape), int(rng.integers(2**31))
        out, _ = play.dropout_forward(x, {"mode": "test", "p": p, **({"seed": seed} if seeded else {})})
        found |= _range(f"out / x at test time at p={p}", shaped(f"out for x of shape {shape}", out, x) / x)
    return found


def _expected_output(play: Functions, rng: Generator) -> Observations:
    """The mean output in training is what kept entries are multiplied by, times the share that is kept. It agrees with the
    mean output at test time where the two are within 12%, or where that share could be the one that makes them equal: the
    first holds for right answers with probability 1 - 1e-10 (Chernoff, 8,000 entries), the second as in every share."""
    found: Observations = {}
    for p in (0.3, 0.8):
        factor, x = _dropout_factors(play, rng, (100, 80), p), _signed(rng, 100, 80)
        test = shaped("out at test time", play.dropout_forward(x, {"mode": "test", "p": p})[0], x) / x
        kept = factor != 0
        needed = float(test.mean() / factor[kept].mean()) if kept.any() else math.nan
        share = _decided(kept, needed)
        near = abs(kept.mean() - needed) <= 0.12 * needed
        by_chance = 0 <= needed <= 1 and difference("kept", share, share).same
        found[f"training and test time have the same mean output at p={p}"] = bool(near or by_chance)
    return found


def _everything_kept(play: Functions, rng: Generator) -> Observations:
    """Deterministic at p = 1; some entries of x are 0."""
    factor = _dropout_factors(play, rng, (20, 15), 1.0)
    kept = factor != 0
    x = _signed(rng, 4, 3) * (np.arange(3) != 1)
    out, _ = play.dropout_forward(x, _train_param(rng, 1.0))
    return {
        "share of entries kept at p=1": Share(int(kept.sum()), kept.size, 1.0),
        **_range("out / x of a kept entry at p=1", factor[kept]),
        "out at p=1 is 0 where x is 0": not np.any(shaped("out", out, x)[:, 1]),
    }


def _same_seed(play: Functions, rng: Generator) -> Observations:
    """Deterministic: 200 entries at p = 0.5, with other calls in between."""
    x = _signed(rng, 20, 10)
    found: Observations = {}
    for name, seed in (("some seed", int(rng.integers(1, 2**31))), ("seed 0", 0)):
        one, _ = play.dropout_forward(x, {"mode": "train", "p": 0.5, "seed": seed})
        play.dropout_forward(x, {"mode": "train", "p": 0.5, "seed": seed + 1})
        other, _ = play.dropout_forward(x, {"mode": "train", "p": 0.5, "seed": seed})
        found[f"two calls with {name} give the same mask"] = _same(one, other)
    return found


def _new_masks(play: Functions, rng: Generator) -> Observations:
    """Two masks of 600 entries are equal at p = 0.5 with probability 2**-600."""
    x, seeds = _signed(rng, 20, 30), rng.choice(2**31, 2, replace=False)
    seeded = [play.dropout_forward(x, {"mode": "train", "p": 0.5, "seed": int(seed)})[0] for seed in seeds]
    free = [play.dropout_forward(x, {"mode": "train", "p": 0.5})[0] for _ in range(2)]
    return {
        "two seeds give the same mask": _same(*seeded),
        "two calls without a seed give the same mask": _same(*free),
    }


def _both_dropout_modes(play: Functions, rng: Generator) -> Observations:
    for mode in ("train", "test"):
        play.dropout_forward(_signed(rng, 5, 4), {"mode": mode, "p": 0.6})
    return {}


def _dropout(
    keep: Keep = _uniform,
    train: Callable[[Array, Array, float], Array] = lambda x, mask, p: x * mask / p,
    test: Callable[[Array, float], Array] = lambda x, p: x.copy(),
    generator: Callable[[Params], Generator] = lambda param: np.random.default_rng(param.get("seed")),
    trains_in: Sequence[str] = ("train",),
) -> Callable[..., tuple[Array, Any]]:
    """A dropout_forward that goes wrong in the one way that an argument says."""

    def forward(x: Array, dropout_param: Params) -> tuple[Array, Any]:
        p, mode = dropout_param["p"], dropout_param["mode"]
        if mode not in trains_in:
            return test(x, p), (mode, p, None)
        mask = keep(generator(dropout_param), x.shape, p)
        return train(x, mask, p), (mode, p, mask)

    return forward


def _in_place(x: Array, mask: Array, p: float) -> Array:
    x *= mask / p
    return x


def _unscaled(x: Array, mask: Array, p: float) -> Array:
    return x * mask


def _scaled_by_dropped(x: Array, mask: Array, p: float) -> Array:
    return np.asarray(x * mask / np.float64(1 - p))


def _two_axes_only(x: Array, dropout_param: dict[str, Any]) -> tuple[Array, Any]:
    if dropout_param["mode"] == "train" and x.ndim != 2:
        raise ValueError("x has other than two axes")
    return dropout_forward(x, dropout_param)


_DROPOUT_IDEAS: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    (
        "p-is-dropped",
        "You take p for the probability to DROP: you keep an entry with probability 1 - p and divide by 1 - p. In this "
        "course p is the probability to KEEP (PyTorch's is the other one).",
        _dropout(keep=_dropping, train=_scaled_by_dropped),
    ),
    (
        "p-is-dropped-and-scaled-at-test-time",
        "You take p for the probability to DROP, and scale at test time instead of in training. Here p is the probability "
        "to KEEP, kept entries are divided by p in training, and at test time x passes as it is.",
        _dropout(keep=_dropping, train=_unscaled, test=lambda x, p: x * (1 - p)),
    ),
    (
        "mask-turned-round",
        "You keep an entry with probability 1 - p. p is the probability to KEEP: turn the comparison round.",
        _dropout(keep=_dropping),
    ),
    (
        "scaled-by-one-minus-p",
        "You keep an entry with probability p, but divide by 1 - p. Divide by the probability to keep, so that the mean "
        "stays as it was.",
        _dropout(train=_scaled_by_dropped),
    ),
    (
        "not-scaled",
        "Kept entries are not scaled. Divide them by p (inverted dropout), so that the mean output in training is that at "
        "test time.",
        _dropout(train=_unscaled),
    ),
    (
        "scaled-at-test-time-instead",
        "You scale by p at test time instead of in training. That is dropout as first published; here it is inverted: "
        "divide by p in training, and leave the test time alone.",
        _dropout(train=_unscaled, test=lambda x, p: x * p),
    ),
    (
        "scaled-at-test-time-too",
        "You divide by p in training and multiply by p at test time: one of the two is enough. At test time x passes as "
        "it is.",
        _dropout(test=lambda x, p: x * p),
    ),
    (
        "multiplied-by-p",
        "You multiply kept entries by p. They must grow to make up for those that are dropped: divide.",
        _dropout(train=lambda x, mask, p: x * mask * p),
    ),
    ("normal-numbers", _KEEP_MESSAGES["normal"], _dropout(keep=_normal)),
    ("fixed-number-kept", _KEEP_MESSAGES["fixed-number"], _dropout(keep=_fixed_number)),
    ("one-mask-for-all-rows", _KEEP_MESSAGES["rows"], _dropout(keep=_for_all_rows)),
    ("one-mask-for-all-columns", _KEEP_MESSAGES["columns"], _dropout(keep=_for_all_columns)),
    ("whole-channels", _KEEP_MESSAGES["pixels"], _dropout(keep=_for_all_pixels)),
    (
        "mode-ignored",
        "You drop entries at test time, too. The network that is used should not roll dice: at test time x passes as it "
        "is.",
        _dropout(trains_in=("train", "test")),
    ),
    (
        "modes-swapped",
        "The modes are swapped: you drop entries at test time and leave x alone in training.",
        _dropout(trains_in=("test",)),
    ),
    (
        "seed-ignored",
        "dropout_param['seed'] is not used: two calls with one seed should give one mask, or a gradient check cannot work.",
        _dropout(generator=lambda param: np.random.default_rng()),
    ),
    (
        "seed-zero-ignored",
        "Seed 0 is not used. 0 counts as false in a test like `if seed:`; ask whether the key is there.",
        _dropout(generator=lambda param: np.random.default_rng(param.get("seed") or None)),
    ),
    (
        "one-mask-forever",
        "Your mask is the same at every call, whatever the seed and without one. A new mask at each call makes the noise.",
        _dropout(generator=lambda param: np.random.default_rng(0)),
    ),
    (
        "in-place",
        "You write the result into x. The caller still needs it: make a new array.",
        _dropout(train=_in_place),
    ),
    (
        "two-axes-only",
        "Your function works for x of two axes only. Draw a mask of the shape of x, whatever its axes.",
        _two_axes_only,
    ),
)

DROPOUT_FORWARD = Exercise(
    name="dropout_forward",
    asks="Inverted dropout: keep each entry with probability p and divide by p in training; do nothing at test time.",
    reference=dropout_forward,
    returns=("out", "cache"),
    checks=(
        equals("keeps an entry with probability p", 1, _written(_kept_shares(_dropout_factors, (100, 80)))),
        equals("divides what it keeps by p", 1, _written(_kept_scale(_dropout_factors, (40, 50), "out / x"))),
        equals("decides on each entry by itself", 1, _written(_entries_decide_alone(_dropout_factors))),
        equals("works for x of any shape, entry by entry", 1, _written(_any_shape(_dropout_factors))),
        equals("is the identity at test time", 1, _written(_test_time)),
        equals("has the same expected output in training and at test time", 1, _written(_expected_output)),
        equals("keeps everything at p = 1", 1, _written(_everything_kept)),
        equals("gives the same mask for the same seed", 1, _written(_same_seed)),
        equals("gives another mask for another seed, and at each call without one", 1, _written(_new_masks)),
        leaves_inputs(1, _written(_both_dropout_modes)),
    ),
    misconceptions=tuple(_idea("dropout_forward", *idea) for idea in _DROPOUT_IDEAS),
    hints=(
        "How often does a uniform random number between 0 and 1 fall below p?",
        "A mask of x.shape from uniform numbers. Kept entries grow by 1/p, so that the mean stays x.",
        'In "train": seed where a seed is given, mask = (uniform numbers < p) / p, out = x * mask, and the mask goes into '
        'the cache. In "test": x.',
    ),
)


def _upstream(rng: Generator, x: Array) -> Array:
    return _signed(rng, *x.shape)


def _passed_on(play: Functions, rng: Generator) -> tuple[dict[str, tuple[Array, Array]], bool]:
    """For two shapes: what the forward multiplied each entry by, and the backward. And whether the two are the same.
    No seed is given: a mask that is drawn again in the backward pass is another one."""
    found, consistent = {}, True
    for shape, p in (((12, 15), 0.4), ((3, 4, 5, 6), 0.7)):
        x = _signed(rng, *shape)
        dout = _upstream(rng, x)
        out, cache = play.dropout_forward(x, {"mode": "train", "p": p})
        dx = play.dropout_backward(dout, cache)
        forth = shaped("out", out, x) / x
        back = shaped(f"dx for x of shape {shape}", dx, dout) / dout
        found[f"{shape} at p={p}"] = forth, back
        consistent &= bool(np.allclose(forth, back, rtol=1e-4, atol=1e-6))
    return found, consistent


def _where_kept(play: Functions, rng: Generator) -> Observations:
    """Deterministic: some of 180 entries are kept, and some are not, with probability 1 - 1e-27."""
    found: Observations = {}
    for when, (forth, back) in _passed_on(play, rng)[0].items():
        found |= _range(f"dx / dout of a kept entry of x of shape {when}", back[forth != 0])
    return found


def _where_dropped(play: Functions, rng: Generator) -> Observations:
    found: Observations = {}
    for when, (forth, back) in _passed_on(play, rng)[0].items():
        found |= _range(f"dx / dout of a dropped entry of x of shape {when}", back[forth == 0])
    return found


def _own_mask(play: Functions, rng: Generator) -> Observations:
    """Two forward passes, then both backward passes. A gradient has the zeros of its own output; that two masks of 180
    entries are the same happens with probability 2**-180, or to a forward that always has the same one."""
    x, dout = _signed(rng, 12, 15), _signed(rng, 12, 15)
    out, first = play.dropout_forward(x, {"mode": "train", "p": 0.5})
    later, second = play.dropout_forward(x, {"mode": "train", "p": 0.5})
    of_first, of_second = (shaped("dx", play.dropout_backward(dout, cache), dout) != 0 for cache in (first, second))
    kept, kept_later = (shaped("out", each, x) != 0 for each in (out, later))
    return {
        "dx of the first call has the mask of the second": _same(of_first, kept_later) and not _same(kept, kept_later),
        "dx of the second call has the mask of the first": _same(of_second, kept) and not _same(kept, kept_later),
    }


def _zeros_in_x(play: Functions, rng: Generator) -> Observations:
    """An x of zeros, as after a ReLU: its 1,000 outputs are 0 whatever the mask, and half of its gradients are not."""
    x = np.zeros((40, 25))
    dout = _upstream(rng, x)
    _, cache = play.dropout_forward(x, {"mode": "train", "p": 0.5})
    passed = shaped("dx", play.dropout_backward(dout, cache), dout) != 0
    return {"share of entries of x = 0 that pass their gradient, at p=0.5": _decided(passed, 0.5)}


def _backward_at_test_time(play: Functions, rng: Generator) -> Observations:
    found: Observations = {}
    for shape, p in (((5, 6), 0.3), ((2, 3, 4, 5), 0.8)):
        x = _signed(rng, *shape)
        dout = _upstream(rng, x)
        _, cache = play.dropout_forward(x, {"mode": "test", "p": p})
        found |= _range(f"dx / dout at test time at p={p}", shaped("dx", play.dropout_backward(dout, cache), dout) / dout)
    return found


def _backward_played(play: Functions, rng: Generator) -> Observations:
    for mode in ("train", "test"):
        x = _signed(rng, 5, 4)
        dout = _upstream(rng, x)
        play.dropout_backward(dout, play.dropout_forward(x, {"mode": mode, "p": 0.6})[1])
    return {}


def _remembering(x: Array, dropout_param: Params) -> tuple[Array, Any]:
    """The reference, with the output in the cache as well."""
    out, cache = dropout_forward(x, dropout_param)
    return out, (*cache, out)


def _sharing_masks() -> dict[str, Callable[..., Any]]:
    """A forward and a backward that keep the mask in one place for all calls."""
    place: list[Any] = [None]

    def forward(x: Array, dropout_param: Params) -> tuple[Array, Any]:
        out, place[0] = dropout_forward(x, dropout_param)
        return out, place[0]

    def backward(dout: Array, cache: Any) -> Array:
        return dropout_backward(dout, place[0])

    return {"dropout_forward": forward, "dropout_backward": backward}


def _in_training(passed: Callable[[Array, float, Array], Array]) -> Callable[..., Array]:
    """A dropout_backward that does ``passed(dout, p, mask)`` in training and is right at test time."""

    def backward(dout: Array, cache: Any) -> Array:
        mode, p, mask = cache[:3]
        return dout.copy() if mode == "test" else passed(dout, p, mask)

    return backward


def _at_test(passed: Callable[[Array, float], Array]) -> Callable[..., Array]:
    return lambda dout, cache: passed(dout, cache[1]) if cache[0] == "test" else dropout_backward(dout, cache)


def _backward_in_place(dout: Array, cache: Any) -> Array:
    mode, p, mask = cache[:3]
    if mode == "train":
        dout *= mask / p
    return dout


def _new_mask(p: float, like: Array) -> Array:
    return np.random.default_rng().random(like.shape) < p


_DROPOUT_BACKWARD_IDEAS: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    (
        "divided-by-p-again",
        "You divide by p twice: the mask that your forward kept has its 1/p already.",
        _in_training(lambda dout, p, mask: dout * mask / p**2),
    ),
    (
        "not-scaled",
        "The gradient is masked but not scaled. The forward multiplied by mask / p, so the gradient is multiplied by it, "
        "too.",
        _in_training(lambda dout, p, mask: dout * mask),
    ),
    (
        "multiplied-by-p",
        "You multiply by p where the forward divided. A product's derivative is its factor: mask / p.",
        _in_training(lambda dout, p, mask: dout * mask * p),
    ),
    (
        "divided-by-one-minus-p",
        "You divide by 1 - p. The forward divided by p, and so does the gradient.",
        _in_training(lambda dout, p, mask: dout * mask / (1 - p)),
    ),
    (
        "new-mask",
        "You draw a new mask in the backward pass. The gradient belongs to the mask of the forward pass: keep it in the "
        "cache.",
        _in_training(lambda dout, p, mask: dout * _new_mask(p, dout) / p),
    ),
    (
        "everything-passes",
        "Your gradient is dout, as if nothing had been dropped. What was dropped had no part in the output.",
        _in_training(lambda dout, p, mask: dout.copy()),
    ),
    (
        "scaled-but-not-masked",
        "You divide by p everywhere. Where the forward dropped an entry, its gradient is 0.",
        _in_training(lambda dout, p, mask: dout / p),
    ),
    (
        "mask-turned-round",
        "The gradient passes where the forward dropped, and stops where it kept. Use the mask as it is.",
        _in_training(lambda dout, p, mask: dout * ~mask / p),
    ),
    (
        "scaled-at-test-time",
        "You scale the gradient by p at test time. There the forward is the identity, and dx is dout.",
        _at_test(lambda dout, p: dout * p),
    ),
    (
        "divided-at-test-time",
        "You divide the gradient by p at test time. There the forward is the identity, and dx is dout.",
        _at_test(lambda dout, p: dout / p),
    ),
    (
        "masked-at-test-time",
        "At test time you drop parts of the gradient. There the forward is the identity, and dx is dout.",
        _at_test(lambda dout, p: dout * _new_mask(0.5, dout) / 0.5),
    ),
    (
        "zero-at-test-time",
        "At test time your gradient is 0. There the forward is the identity, and dx is dout.",
        _at_test(lambda dout, p: np.zeros_like(dout)),
    ),
    (
        "in-place",
        "You write the result into dout. The caller still needs it: make a new array.",
        _backward_in_place,
    ),
)

DROPOUT_BACKWARD = Exercise(
    name="dropout_backward",
    asks="The gradient through dropout, with the mask of the forward pass.",
    reference=dropout_backward,
    returns=("dx",),
    checks=(
        replace(
            equals("passes dout / p where the forward kept", 2, _backward_written(_where_kept)),
            consistent=lambda play, rng: _passed_on(play, rng)[1],
        ),
        equals("passes nothing where the forward dropped", 1, _backward_written(_where_dropped)),
        equals("uses the mask of its own forward call", 1, _backward_written(_own_mask)),
        equals("does not take a 0 in x for a dropped entry", 1, _backward_written(_zeros_in_x)),
        equals("is dout at test time", 1, _backward_written(_backward_at_test_time)),
        leaves_inputs(1, _backward_written(_backward_played)),
    ),
    misconceptions=(
        *(_idea("dropout_backward", *idea) for idea in _DROPOUT_BACKWARD_IDEAS),
        Misconception(
            "zeros-taken-for-dropped",
            "You look for zeros in the output to find what was dropped. After a ReLU many entries of x are 0 and kept all "
            "the same: keep the mask itself in the cache.",
            {
                "dropout_forward": _remembering,
                "dropout_backward": lambda dout, cache: (
                    dout.copy() if cache[0] == "test" else dout * (cache[3] != 0) / cache[1]
                ),
            },
        ),
        Misconception(
            "multiplied-by-the-output",
            "You multiply dout by the output. The derivative of x * mask / p by x is mask / p: x is not in it.",
            {
                "dropout_forward": _remembering,
                "dropout_backward": lambda dout, cache: dout * cache[3],
            },
        ),
        Misconception(
            "last-mask-only",
            "Your mask lives outside the cache, so a later forward pass overwrites it. A network has several dropout "
            "layers: keep the mask in the cache.",
            _sharing_masks(),
        ),
    ),
    hints=(
        "In training out = x * mask / p. What is the derivative of an entry of out by its x?",
        "The mask is in the cache; in test mode there is none, and none is needed.",
        "Train: dout times the factor that x was multiplied by. Test: dout.",
    ),
    needs=("dropout_forward",),
)

# --- vanilla dropout ------------------------------------------------------------------------------------------------


def vanilla_dropout_forward(x: Array, p: float, mode: str, rng: Generator) -> tuple[Array, Any]:
    """Dropout as first published (Hinton et al. 2012): x * M in training, M 1 with probability p; x * p at test time."""
    if mode == "test":
        return x * p, None
    mask = rng.random(x.shape) < p
    return x * mask, mask


def _vanilla_factors(play: Functions, rng: Generator, shape: tuple[int, ...], p: float) -> Array:
    x = _signed(rng, *shape)
    out, _ = play.vanilla_dropout_forward(x, p, "train", _own_generator(rng))
    return shaped(f"out for x of shape {shape}", out, x) / x


def _vanilla_test_time(play: Functions, rng: Generator) -> Observations:
    found: Observations = {}
    for shape, p in (((5, 6), 0.3), ((2, 3, 4, 5), 0.8)):
        x = _signed(rng, *shape)
        out, _ = play.vanilla_dropout_forward(x, p, "test", _own_generator(rng))
        found |= _range(f"out / x at test time at p={p}", shaped(f"out for x of shape {shape}", out, x) / x)
    return found


def _vanilla_repeat(rng: Generator) -> Callable[[Functions, Generator], Any]:
    x = _signed(rng, 20, 30)
    return lambda play, generator: play.vanilla_dropout_forward(x, 0.5, "train", generator)[0]


def _vanilla_both_modes(play: Functions, rng: Generator) -> Observations:
    for mode in ("train", "test"):
        play.vanilla_dropout_forward(_signed(rng, 5, 4), 0.6, mode, _own_generator(rng))
    return {}


def _vanilla(
    keep: Keep = _uniform,
    train: Callable[[Array, Array, float], Array] = _unscaled,
    test: Callable[[Array, float], Array] = lambda x, p: x * p,
    generator: Callable[[Generator], Generator] = lambda rng: rng,
    trains_in: Sequence[str] = ("train",),
) -> Callable[..., tuple[Array, Any]]:
    def forward(x: Array, p: float, mode: str, rng: Generator) -> tuple[Array, Any]:
        if mode not in trains_in:
            return test(x, p), None
        mask = keep(generator(rng), x.shape, p)
        return train(x, mask, p), mask

    return forward


def _fresh(rng: Generator) -> Generator:
    return np.random.default_rng()


def _always_the_same(rng: Generator) -> Generator:
    return np.random.default_rng(0)


_RNG_IGNORED = (
    "You draw from a generator of your own. Draw from rng: whoever calls the function can then repeat what it does."
)
_SEED_INSIDE = (
    "You make a generator with a fixed seed in the function: its noise is the same at every call. Draw from rng, which "
    "moves on."
)

VANILLA_DROPOUT_FORWARD = Exercise(
    name="vanilla_dropout_forward",
    asks="Dropout as first published: no scaling in training, all outputs times p at test time.",
    reference=vanilla_dropout_forward,
    returns=("out", "cache"),
    checks=(
        equals("keeps an entry with probability p", 1, _kept_shares(_vanilla_factors, (80, 50))),
        equals("leaves what it keeps as it is", 1, _kept_scale(_vanilla_factors, (40, 50), "out / x")),
        equals("decides on each entry of x by itself", 1, _entries_decide_alone(_vanilla_factors)),
        equals("works for x of any shape, entry by entry", 1, _any_shape(_vanilla_factors)),
        equals("multiplies by p at test time", 2, _vanilla_test_time),
        equals("draws from rng, anew at each call", 1, _draws_from_rng(_vanilla_repeat)),
        leaves_inputs(1, _vanilla_both_modes),
    ),
    misconceptions=tuple(
        _idea("vanilla_dropout_forward", *idea)
        for idea in (
            (
                "inverted",
                "That is inverted dropout: you divide by p in training. Here nothing is scaled in training, and the "
                "output is multiplied by p at test time.",
                _vanilla(train=lambda x, mask, p: x * mask / p, test=lambda x, p: x.copy()),
            ),
            (
                "scaled-in-training-too",
                "You divide by p in training AND multiply by p at test time. One of the two is enough; here it is the "
                "second.",
                _vanilla(train=lambda x, mask, p: x * mask / p),
            ),
            (
                "not-scaled-at-test-time",
                "At test time x passes as it is: it is then 1/p times as large as what the next layer saw in training. "
                "Multiply by p.",
                _vanilla(test=lambda x, p: x.copy()),
            ),
            (
                "divided-at-test-time",
                "You divide by p at test time. In training only a share p of x came through, so multiply.",
                _vanilla(test=lambda x, p: x / p),
            ),
            (
                "scaled-by-one-minus-p-at-test-time",
                "You multiply by 1 - p at test time. p is the probability to KEEP: multiply by p.",
                _vanilla(test=lambda x, p: x * (1 - p)),
            ),
            (
                "multiplied-by-p-in-training",
                "You multiply by p in training. The scaling belongs to the test time alone.",
                _vanilla(train=lambda x, mask, p: x * mask * p),
            ),
            (
                "p-is-dropped",
                "You take p for the probability to DROP, in training and at test time. Here p is the probability to KEEP.",
                _vanilla(keep=_dropping, test=lambda x, p: x * (1 - p)),
            ),
            (
                "mask-turned-round",
                "You keep an entry with probability 1 - p. p is the probability to KEEP: turn the comparison round.",
                _vanilla(keep=_dropping),
            ),
            ("normal-numbers", _KEEP_MESSAGES["normal"], _vanilla(keep=_normal)),
            ("fixed-number-kept", _KEEP_MESSAGES["fixed-number"], _vanilla(keep=_fixed_number)),
            ("one-mask-for-all-rows", _KEEP_MESSAGES["rows"], _vanilla(keep=_for_all_rows)),
            ("one-mask-for-all-columns", _KEEP_MESSAGES["columns"], _vanilla(keep=_for_all_columns)),
            ("whole-channels", _KEEP_MESSAGES["pixels"], _vanilla(keep=_for_all_pixels)),
            (
                "mode-ignored",
                "You drop entries at test time, too. There every entry passes, times p.",
                _vanilla(trains_in=("train", "test")),
            ),
            ("rng-ignored", _RNG_IGNORED, _vanilla(generator=_fresh)),
            ("seed-inside", _SEED_INSIDE, _vanilla(generator=_always_the_same)),
            (
                "in-place",
                "You write the result into x. The caller still needs it: make a new array.",
                _vanilla(train=lambda x, mask, p: np.multiply(x, mask, out=x)),
            ),
        )
    ),
    hints=(
        "If each of 100 inputs comes through with probability p, how large is their sum on average, and how large without "
        "dropout?",
        "In training only the mask; the mean is put right at test time.",
        "Train: x * (uniform numbers from rng < p). Test: x * p.",
    ),
)

# --- dropconnect ----------------------------------------------------------------------------------------------------


def dropconnect_forward(x: Array, W: Array, b: Array, p: float, mode: str, rng: Generator) -> tuple[Array, Any]:
    """x @ (W * M / p) + b in training, x @ W + b at test time; x (N, D), W (D, K), b (K,).

    M keeps each weight with probability p, one mask a call. (Wan et al. 2013 draw one for each example and sample a
    Gaussian at test time.)
    """
    mask = rng.random(W.shape) < p if mode == "train" else np.full(W.shape, p)
    return x @ (W * mask / p) + b, (x, W, mask, p)


def dropconnect_backward(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
    """dx = dout @ (W * M / p).T, dW = (x.T @ dout) * M / p, db the sum of dout over the examples; M / p is 1 at "
    "test time."""
    x, W, mask, p = cache[:4]
    return dout @ (W * mask / p).T, (x.T @ dout) * mask / p, dout.sum(axis=0)


def _connection_factors(play: Functions, rng: Generator, shape: tuple[int, ...], p: float) -> Array:
    """What each weight was multiplied by: with the identity for x and no bias, the output is the weights that were used."""
    d, k = shape
    W = _signed(rng, d, k)
    out, _ = play.dropconnect_forward(np.eye(d), W, np.zeros(k), p, "train", _own_generator(rng))
    return shaped("out", out, W) / W


def _one_mask_for_the_batch(play: Functions, rng: Generator) -> Observations:
    """The first 40 examples are the identity and show the weights; the other 10 must have been multiplied by the same. With
    masks of their own that happens with probability 2**-160, and 40 outputs are all kept with probability 2**-40."""
    W, mixed = _signed(rng, 40, 4), _signed(rng, 10, 40)
    x = np.concatenate([np.eye(40), mixed])
    out, _ = play.dropconnect_forward(x, W, np.zeros(4), 0.5, "train", _own_generator(rng))
    seen = shaped("out", out, np.zeros((50, 4)))
    wanted = mixed @ seen[:40]
    return {
        "all examples are multiplied by the same weights": bool(np.allclose(seen[40:], wanted, rtol=1e-4, atol=1e-3)),
        "outputs of some examples are dropped": bool(np.any((seen[40:] == 0) & (wanted != 0))),
    }


def _bias(play: Functions, rng: Generator) -> Observations:
    """With W = 0 the output is the bias. 60 outputs all have one fate with probability 2**-59."""
    b = _signed(rng, 60)
    out, _ = play.dropconnect_forward(_signed(rng, 7, 5), np.zeros((5, 60)), b, 0.5, "train", _own_generator(rng))
    return _range("out / b in training where W is 0", shaped("out", out, np.zeros((7, 60))) / b)


def _dropconnect_test_time(play: Functions, rng: Generator) -> Observations:
    found: Observations = {}
    for p in (0.3, 0.8):
        W, b = _signed(rng, 20, 12), _signed(rng, 12)
        of_weights, _ = play.dropconnect_forward(np.eye(20), W, 0 * b, p, "test", _own_generator(rng))
        of_bias, _ = play.dropconnect_forward(_signed(rng, 3, 20), 0 * W, b, p, "test", _own_generator(rng))
        found |= _range(f"weight used / weight of W at test time at p={p}", shaped("out", of_weights, W) / W)
        found |= _range(f"out / b at test time where W is 0, at p={p}", shaped("out", of_bias, np.zeros((3, 12))) / b)
    return found


def _dropconnect_repeat(rng: Generator) -> Callable[[Functions, Generator], Any]:
    x, W, b = _signed(rng, 3, 20), _signed(rng, 20, 10), _signed(rng, 10)
    return lambda play, generator: play.dropconnect_forward(x, W, b, 0.5, "train", generator)[0]


def _dropconnect_both_modes(play: Functions, rng: Generator) -> Observations:
    for mode in ("train", "test"):
        x, W, b = _signed(rng, 4, 3), _signed(rng, 3, 5), _signed(rng, 5)
        play.dropconnect_forward(x, W, b, 0.6, mode, _own_generator(rng))
    return {}


def _dropconnect(
    keep: Keep = _uniform,
    scale: Callable[[float], float] = lambda p: 1 / p,
    test_scale: Callable[[float], float] = lambda p: 1.0,
    generator: Callable[[Generator], Generator] = lambda rng: rng,
    trains_in: Sequence[str] = ("train",),
    combine: Callable[[Array, Array, Array, float, Generator], Array] = lambda x, W, b, p, rng: x @ W + b,
) -> Callable[..., tuple[Array, Any]]:
    """A dropconnect_forward that goes wrong in the one way that an argument says."""

    def forward(x: Array, W: Array, b: Array, p: float, mode: str, rng: Generator) -> tuple[Array, Any]:
        if mode not in trains_in:
            return x @ (W * test_scale(p)) + b, None
        mask = keep(generator(rng), W.shape, p) * scale(p)
        return combine(x, W * mask, b, p, rng), mask

    return forward


def _instead(wrong: Callable[[Array, Array, Array, float, Generator], Array]) -> Callable[..., tuple[Array, Any]]:
    """A dropconnect_forward that does something else in training and is right at test time."""

    def forward(x: Array, W: Array, b: Array, p: float, mode: str, rng: Generator) -> tuple[Array, Any]:
        return (wrong(x, W, b, p, rng) if mode == "train" else x @ W + b), None

    return forward


def _mask_for_each_example(x: Array, W: Array, b: Array, p: float, rng: Generator) -> Array:
    masks = rng.random((len(x), *W.shape)) < p
    return np.asarray(np.einsum("nd,ndk->nk", x, W * masks / p) + b)


DROPCONNECT_FORWARD = Exercise(
    name="dropconnect_forward",
    asks="Drop weights instead of outputs: a mask on W in training, all of W at test time.",
    reference=dropconnect_forward,
    returns=("out", "cache"),
    checks=(
        equals("keeps each weight with probability p", 1, _kept_shares(_connection_factors, (40, 60))),
        equals(
            "divides the weights it keeps by p", 1, _kept_scale(_connection_factors, (30, 40), "weight used / weight of W")
        ),
        equals("decides on each weight by itself", 1, _entries_decide_alone(_connection_factors)),
        equals("uses one mask for the whole mini-batch", 1, _one_mask_for_the_batch),
        equals("keeps the whole bias", 1, _bias),
        equals("uses all weights as they are at test time", 2, _dropconnect_test_time),
        equals("draws from rng, anew at each call", 1, _draws_from_rng(_dropconnect_repeat)),
        leaves_inputs(1, _dropconnect_both_modes),
    ),
    misconceptions=tuple(
        _idea("dropconnect_forward", *idea)
        for idea in (
            (
                "not-scaled",
                "The weights that are kept are not scaled: divide them by p, so that the mean output stays x @ W + b.",
                _dropconnect(scale=lambda p: 1.0),
            ),
            (
                "scaled-at-test-time-instead",
                "You multiply W by p at test time instead of dividing in training. Here it is inverted: all of W at test "
                "time.",
                _dropconnect(scale=lambda p: 1.0, test_scale=lambda p: p),
            ),
            (
                "scaled-at-test-time-too",
                "You divide by p in training and multiply by p at test time: one of the two is enough, here the first.",
                _dropconnect(test_scale=lambda p: p),
            ),
            (
                "multiplied-by-p",
                "You multiply the kept weights by p. They must grow to make up for those that are dropped: divide.",
                _dropconnect(scale=lambda p: p),
            ),
            (
                "p-is-dropped",
                "You take p for the probability to DROP: you keep a weight with probability 1 - p and divide by 1 - p. p "
                "is the probability to KEEP.",
                _dropconnect(keep=_dropping, scale=lambda p: 1 / (1 - p)),
            ),
            (
                "mask-turned-round",
                "You keep a weight with probability 1 - p. p is the probability to KEEP: turn the comparison round.",
                _dropconnect(keep=_dropping),
            ),
            ("normal-numbers", _KEEP_MESSAGES["normal"], _dropconnect(keep=_normal)),
            (
                "fixed-number-kept",
                "Every mask of yours keeps the same number of weights. Each weight is kept or dropped by itself, so the "
                "number varies from call to call.",
                _dropconnect(keep=_fixed_number),
            ),
            (
                "one-mask-for-all-inputs",
                "All rows of W share one mask. Every connection is decided by itself: draw a mask of the shape of W.",
                _dropconnect(keep=_for_all_rows),
            ),
            (
                "one-mask-for-all-outputs",
                "All columns of W share one mask: an input is dropped for every unit at once. That is dropout of x. Draw "
                "a mask of the shape of W.",
                _dropconnect(keep=_for_all_columns),
            ),
            (
                "mask-for-each-example",
                "Every example has a mask of its own (so do Wan et al. 2013). Here one mask is drawn a call, for the "
                "whole mini-batch: it has the shape of W.",
                _instead(_mask_for_each_example),
            ),
            (
                "outputs-dropped",
                "You drop outputs: that is dropout. DropConnect drops weights, before the product with x.",
                _instead(lambda x, W, b, p, rng: x @ W * (rng.random((len(x), W.shape[1])) < p) / p + b),
            ),
            (
                "outputs-dropped-with-their-bias",
                "You drop outputs, bias and all: that is dropout after the layer. DropConnect drops weights, before the "
                "product.",
                _instead(lambda x, W, b, p, rng: (x @ W + b) * (rng.random((len(x), W.shape[1])) < p) / p),
            ),
            (
                "inputs-dropped",
                "You drop inputs, each example's by themselves: that is dropout of x. DropConnect puts the mask on W.",
                _instead(lambda x, W, b, p, rng: (x * (rng.random(x.shape) < p) / p) @ W + b),
            ),
            (
                "bias-dropped",
                "Some of the bias is dropped, too. The mask is for W alone.",
                _dropconnect(combine=lambda x, W, b, p, rng: x @ W + b * (rng.random(b.shape) < p) / p),
            ),
            (
                "bias-divided-by-p",
                "You divide the bias by p as well. Nothing of it was dropped: divide W * M alone.",
                _dropconnect(combine=lambda x, W, b, p, rng: x @ W + b / p),
            ),
            (
                "bias-missing",
                "The bias is missing in training.",
                _dropconnect(combine=lambda x, W, b, p, rng: x @ W),
            ),
            (
                "mode-ignored",
                "You drop weights at test time, too. There the whole network is used.",
                _dropconnect(trains_in=("train", "test")),
            ),
            ("rng-ignored", _RNG_IGNORED, _dropconnect(generator=_fresh)),
            ("seed-inside", _SEED_INSIDE, _dropconnect(generator=_always_the_same)),
            (
                "in-place",
                "You change W in place: the dropped weights are lost for good. Make a new array.",
                _instead(lambda x, W, b, p, rng: x @ np.multiply(W, (rng.random(W.shape) < p) / p, out=W) + b),
            ),
        )
    ),
    hints=(
        "What has the shape of the mask: x, W, or the output?",
        "The same layer as always, with W * M / p in the place of W.",
        "Train: M = (uniform numbers from rng of W.shape < p); x @ (W * M / p) + b. Test: x @ W + b.",
    ),
)


def _connected(play: Functions, rng: Generator) -> tuple[Observations, bool]:
    """Two forward passes, then the backward pass of the first; twice. And whether the gradients fit the student's forward.

    The identity among the examples shows which weights the forward used. In the first run every upstream row reaches one
    output only, so that an entry of dx is one weight that was used times one number; in the second nothing cancels in
    x.T @ dout. The quotients are therefore exact. Of 45 weights some are kept and some are not with probability 1 - 2e-10.
    """
    (n, d, k), p = (12, 9, 5), 0.4
    W, b = _signed(rng, d, k), np.zeros(k)
    x = np.concatenate([np.eye(d), rng.uniform(0.5, 2, (n - d, d))])
    reached = rng.permutation(np.arange(n) % k)
    dense = rng.uniform(0.5, 2, (n, k)) * _signed(rng, k)
    sparse = np.where(reached[:, None] == np.arange(k), dense, 0)

    def played(dout: Array) -> tuple[Array, Any]:
        out, cache = play.dropconnect_forward(x, W, b, p, "train", _own_generator(rng))
        play.dropconnect_forward(x, W, b, p, "train", _own_generator(rng))
        return shaped("out", out, dout)[:d] / W, play.dropconnect_backward(dout, cache)

    used, results = played(sparse)
    weights, of_x = used.T[reached], shaped("dx", results[0], x) / (sparse @ W.T)  # (N, D)
    used, results = played(dense)
    of_W = shaped("dW", results[1], W) / (x.T @ dense)  # (D, K)
    found = {
        **_range("dx / (dout @ W.T) where the weight was kept", of_x[weights != 0]),
        **_range("dx / (dout @ W.T) where the weight was dropped", of_x[weights == 0]),
        **_range("dW / (x.T @ dout) where the weight was kept", of_W[used != 0]),
        **_range("dW / (x.T @ dout) where the weight was dropped", of_W[used == 0]),
    }
    consistent = np.allclose(of_x, weights, rtol=1e-4, atol=1e-6) and np.allclose(of_W, used, rtol=1e-4, atol=1e-6)
    return found, bool(consistent)


def _connected_part(name: str) -> Observe:
    return _only(f" {name} /", lambda play, rng: _connected(play, rng)[0])


def _dense_dropconnect(mode: str) -> Callable[[Functions, Generator], Observations]:
    def observe(play: Functions, rng: Generator) -> Observations:
        x, W, b = _signed(rng, 6, 4), _signed(rng, 4, 3), _signed(rng, 3)
        dout = _signed(rng, 6, 3)
        _, cache = play.dropconnect_forward(x, W, b, 0.6, mode, _own_generator(rng))
        dx, dW, db = play.dropconnect_backward(dout, cache)
        return {"dx": dx, "dW": dW, "db": db}

    return observe


def _dropconnect_db(play: Functions, rng: Generator) -> Observations:
    return {"db in training": _dense_dropconnect("train")(play, rng)["db"]}


def _dropconnect_backward_at_test_time(play: Functions, rng: Generator) -> Observations:
    return {f"{name} at test time": value for name, value in _dense_dropconnect("test")(play, rng).items()}


def _connected_idea(
    id: str, message: str, wrong: Callable[[Array, Array, Array, Array, float], tuple[Array, Array, Array]]
) -> Misconception:
    """A dropconnect_backward that returns ``wrong(dout, x, W, mask, p)`` in training and is right at test time."""

    def backward(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
        x, W, mask, p = cache[:4]
        return wrong(dout, x, W, mask, p) if mask.dtype == bool else dropconnect_backward(dout, cache)

    return _idea("dropconnect_backward", id, message, backward)


def _connected_at_test(scale: Callable[[float], float]) -> Callable[..., tuple[Array, Array, Array]]:
    def backward(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
        dx, dW, db = dropconnect_backward(dout, cache)
        factor = 1.0 if cache[2].dtype == bool else scale(cache[3])
        return dx * factor, dW * factor, db

    return backward


def _dropconnect_backward_in_place(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
    dx, dW, db = dropconnect_backward(dout, cache)
    dout /= cache[3]
    return dx, dW, db


DROPCONNECT_BACKWARD = Exercise(
    name="dropconnect_backward",
    asks="The gradients through DropConnect, with the mask of the forward pass.",
    reference=dropconnect_backward,
    returns=("dx", "dW", "db"),
    checks=(
        replace(
            equals("dx goes through the weights that were used", 2, _connected_part("dx")),
            consistent=lambda play, rng: _connected(play, rng)[1],
        ),
        equals("dW reaches the weights that were used, divided by p", 2, _connected_part("dW")),
        equals("db sums dout over the examples", 1, _dropconnect_db),
        equals("is the gradient of x @ W + b at test time", 1, _dropconnect_backward_at_test_time),
        leaves_inputs(1, _dense_dropconnect("train")),
    ),
    misconceptions=(
        _connected_idea(
            "dx-through-all-weights",
            "dx goes through all of W. The output came from W * M / p, so the gradient goes back through it.",
            lambda dout, x, W, mask, p: (dout @ W.T, x.T @ dout * mask / p, dout.sum(axis=0)),
        ),
        _connected_idea(
            "dW-not-masked",
            "dW reaches weights that were dropped. They had no part in the output: multiply by M / p.",
            lambda dout, x, W, mask, p: (dout @ (W * mask / p).T, x.T @ dout, dout.sum(axis=0)),
        ),
        _connected_idea(
            "mask-ignored",
            "Your gradients are those of a layer that drops nothing. Keep the mask in the cache and use it for dx and for "
            "dW.",
            lambda dout, x, W, mask, p: (dout @ W.T, x.T @ dout, dout.sum(axis=0)),
        ),
        _connected_idea(
            "dW-not-scaled",
            "dW is masked but not divided by p. The factor of each weight is M / p.",
            lambda dout, x, W, mask, p: (dout @ (W * mask / p).T, x.T @ dout * mask, dout.sum(axis=0)),
        ),
        _connected_idea(
            "dx-not-scaled",
            "dx goes through W * M. The forward used W * M / p.",
            lambda dout, x, W, mask, p: (dout @ (W * mask).T, x.T @ dout * mask / p, dout.sum(axis=0)),
        ),
        _connected_idea(
            "not-scaled",
            "Your gradients are masked but not divided by p. The factor of each weight is M / p.",
            lambda dout, x, W, mask, p: (dout @ (W * mask).T, x.T @ dout * mask, dout.sum(axis=0)),
        ),
        _connected_idea(
            "divided-by-p-again",
            "You divide by p twice: what your forward kept has its 1/p already.",
            lambda dout, x, W, mask, p: (dout @ (W * mask / p**2).T, x.T @ dout * mask / p**2, dout.sum(axis=0)),
        ),
        _connected_idea(
            "new-mask",
            "Your gradients have another mask than the output of their own forward call. Keep the mask in the cache.",
            lambda dout, x, W, mask, p: dropconnect_backward(dout, (x, W, _new_mask(p, W), p)),
        ),
        _connected_idea(
            "db-mean",
            "You average dout for db. Each example adds the bias once: sum.",
            lambda dout, x, W, mask, p: (dout @ (W * mask / p).T, x.T @ dout * mask / p, dout.mean(axis=0)),
        ),
        _connected_idea(
            "db-divided-by-p",
            "You divide db by p. The bias is not dropped, and not scaled.",
            lambda dout, x, W, mask, p: (dout @ (W * mask / p).T, x.T @ dout * mask / p, dout.sum(axis=0) / p),
        ),
        _idea(
            "dropconnect_backward",
            "scaled-at-test-time",
            "You multiply by p at test time. There the forward used W as it is.",
            _connected_at_test(lambda p: p),
        ),
        _idea(
            "dropconnect_backward",
            "divided-at-test-time",
            "You divide by p at test time. There the forward used W as it is.",
            _connected_at_test(lambda p: 1 / p),
        ),
        _idea(
            "dropconnect_backward",
            "in-place",
            "You change dout. The caller still needs it: make a new array.",
            _dropconnect_backward_in_place,
        ),
    ),
    hints=(
        "The layer is x @ V + b with V = W * M / p. What are the gradients of x @ V + b?",
        "dx needs V; dV is x.T @ dout. How does V depend on W?",
        "dx = dout @ V.T, dW = (x.T @ dout) * M / p, db = the sum over the examples; at test time without M / p.",
    ),
    needs=("dropconnect_forward",),
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
    x = 5 * _signed(rng, *shape)
    out, _ = play.gaussian_noise_forward(x, sigma, "train", _own_generator(rng))
    return (shaped(f"out for x of shape {shape}", out, x) - x) / sigma


def _normal_noise(play: Functions, rng: Generator) -> Observations:
    """Binomial counts of 4,000 standard normal numbers; right answers fail with probability 6e-10 in all."""
    found: Observations = {}
    for sigma in (0.2, 3.0):
        z = _independent(np.round(_noise_added(play, rng, (80, 50), sigma), 3))
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
            found[f"slices across axis {axis} of {shape} that repeat their noise"] = _repeated_slices(z, axis)
    found["channels with one noise for all pixels"] = int((np.ptp(z, axis=(2, 3)) < 0.02).sum())
    return found


def _noise_at_test_time(play: Functions, rng: Generator) -> Observations:
    found: Observations = {}
    for shape, sigma in (((5, 6), 0.5), ((2, 3, 4, 5), 2.0)):
        x = _signed(rng, *shape)
        out, _ = play.gaussian_noise_forward(x, sigma, "test", _own_generator(rng))
        changed = ~np.isclose(shaped(f"out for x of shape {shape}", out, x), x, rtol=1e-5, atol=0)
        found[f"share of entries that change at test time at sigma={sigma}"] = Share(int(changed.sum()), x.size, 0.0)
    return found


def _noise_repeat(rng: Generator) -> Callable[[Functions, Generator], Any]:
    x = _signed(rng, 4, 3)
    return lambda play, generator: play.gaussian_noise_forward(x, 0.7, "train", generator)[0]


def _noise_both_modes(play: Functions, rng: Generator) -> Observations:
    for mode in ("train", "test"):
        play.gaussian_noise_forward(_signed(rng, 5, 4), 0.6, mode, _own_generator(rng))
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
        equals("draws from rng, anew at each call", 1, _draws_from_rng(_noise_repeat)),
        leaves_inputs(1, _noise_both_modes),
    ),
    misconceptions=tuple(
        _idea("gaussian_noise_forward", *idea)
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
            ("rng-ignored", _RNG_IGNORED, _noise(generator=_fresh)),
            ("seed-inside", _SEED_INSIDE, _noise(generator=_always_the_same)),
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
            x, dout = _signed(rng, *shape), _signed(rng, *shape)
            _, cache = play.gaussian_noise_forward(x, sigma, mode, _own_generator(rng))
            dx = shaped(f"dx for x of shape {shape}", play.gaussian_noise_backward(dout, cache), dout)
            found |= _range(f"dx / dout in mode {mode}, sigma={sigma}", dx / dout)
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
        _idea(
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

# --- stochastic depth -----------------------------------------------------------------------------------------------


def stochastic_depth_forward(x: Array, branch_out: Array, survival: float, mode: str, rng: Generator) -> tuple[Array, Any]:
    """x + B * branch_out in training, B 1 with probability ``survival`` and else 0, one draw a call; x + survival *
    branch_out at test time (Huang et al. 2016, arXiv:1603.09382). x and branch_out of one shape, any."""
    weight = (1.0 if rng.random() < survival else 0.0) if mode == "train" else survival
    return x + weight * branch_out, (weight, mode, survival)


def stochastic_depth_backward(dout: Array, cache: Any) -> tuple[Array, Array]:
    """dx = dout, through the skip; dbranch_out = B * dout in training, survival * dout at test time."""
    return dout.copy(), cache[0] * dout


def _branch_weights(
    play: Functions, rng: Generator, calls: int, shape: tuple[int, ...], survival: float, mode: str = "train"
) -> Array:
    """(calls, *shape): what the branch was multiplied by in calls with one generator. x is 0: the skip is another claim."""
    generator, weights = _own_generator(rng), np.empty((calls, *shape))
    for call in range(calls):
        branch_out = _signed(rng, *shape)
        out, _ = play.stochastic_depth_forward(np.zeros(shape), branch_out, survival, mode, generator)
        weights[call] = shaped("out", out, branch_out) / branch_out
    return weights


def _survivals(play: Functions, rng: Generator) -> Observations:
    """A binomial count of 80 calls, for which 1 - survival and normal numbers are 18 standard deviations away and more; and
    20 calls with a branch that always survives, of which normal numbers drop some and 1 - survival all."""
    some, always = (_branch_weights(play, rng, calls, (1, 2), p)[:, 0, 0] != 0 for calls, p in ((80, 0.05), (20, 1.0)))
    return {
        "share of calls in which the branch survives, at survival=0.05": Share(int(some.sum()), 80, 0.05),
        "the branch survives every call at survival=1": bool(always.all()),
        "the branch survives no call at survival=1": not always.any(),
    }


def _all_or_nothing(play: Functions, rng: Generator) -> Observations:
    """Of 36 calls some drop the branch and some do not with probability 1 - 3e-11."""
    weights = _branch_weights(play, rng, 36, (3, 2, 2, 2), 0.5)
    of_examples, of_calls = np.ptp(weights.reshape(108, -1), axis=1), np.ptp(weights.reshape(36, -1), axis=1)
    return {
        "all entries of an example have one fate": bool((of_examples < 1e-3).all()),
        "all examples of a mini-batch have one fate": bool((of_calls < 1e-3).all()),
        **_range("out / branch_out in training where x is 0, at survival=0.5", weights),
    }


def _skip(play: Functions, rng: Generator) -> Observations:
    """In each of 20 calls out is x where the branch is 0, whether the branch is dropped or not."""
    generator, quotients, branch_alone = _own_generator(rng), [], False
    for _ in range(20):
        x, branch_out = _signed(rng, 2, 3), _signed(rng, 2, 3) * (np.arange(3) > 0)
        out = shaped("out", play.stochastic_depth_forward(x, branch_out, 0.5, "train", generator)[0], x)
        quotients.append(out[:, 0] / x[:, 0])
        branch_alone |= np.allclose(out, branch_out, atol=1e-5)
    return {
        **_range("out / x in training where the branch is 0", np.array(quotients)),
        "out is the branch alone in some calls": branch_alone,
    }


def _depth_test_time(play: Functions, rng: Generator) -> Observations:
    """16 calls, so that a branch that is dropped at random shows as such, and one for the skip."""
    weights = _branch_weights(play, rng, 16, (2, 1, 2, 2), 0.4, "test")
    x = _signed(rng, 4, 3)
    out, _ = play.stochastic_depth_forward(x, np.zeros((4, 3)), 0.4, "test", _own_generator(rng))
    return {
        **_range("out / branch_out at test time where x is 0, at survival=0.4", weights),
        **_range("out / x at test time where the branch is 0, at survival=0.4", shaped("out", out, x) / x),
    }


def _fates_from_rng(play: Functions, rng: Generator) -> Observations:
    """36 calls at survival 0.5: two sequences of fates are the same, or one never changes, with probability below 6e-11."""
    x, branch_out, seeds = _signed(rng, 1, 2), _signed(rng, 1, 2), rng.choice(2**32, 2, replace=False)

    def sequence(seed: int) -> Array:
        generator, outs = np.random.default_rng(seed), []
        for _ in range(36):
            out, _ = play.stochastic_depth_forward(x, branch_out, 0.5, "train", generator)
            outs.append(shaped("out", out, x))
        return np.array(outs)

    first, again, other = (sequence(int(seeds[k])) for k in (0, 0, 1))
    return {
        "two generators of one seed give the same fates": _same(first, again),
        "generators of two seeds give the same fates": _same(first, other),
        "all calls with one generator have the same fate": bool((first == first[0]).all()),
    }


def _depth_both_modes(play: Functions, rng: Generator) -> Observations:
    for mode in ("train", "test"):
        play.stochastic_depth_forward(_signed(rng, 2, 3), _signed(rng, 2, 3), 1.0, mode, _own_generator(rng))
    return {}


Bernoulli = Callable[[Generator, Array, float], Any]


def _survives(rng: Generator, x: Array, survival: float) -> Any:
    return float(rng.random() < survival)


def _depth(
    draw: Bernoulli = _survives,
    train: Callable[[Array, Array, Any, float], Array] = lambda x, branch, B, survival: x + B * branch,
    test: Callable[[Array, Array, float], Array] = lambda x, branch, survival: x + survival * branch,
    generator: Callable[[Generator], Generator] = lambda rng: rng,
    trains_in: Sequence[str] = ("train",),
) -> Callable[..., tuple[Array, Any]]:
    """A stochastic_depth_forward that goes wrong in the one way that an argument says."""

    def forward(x: Array, branch_out: Array, survival: float, mode: str, rng: Generator) -> tuple[Array, Any]:
        if mode not in trains_in:
            return test(x, branch_out, survival), None
        return train(x, branch_out, draw(generator(rng), x, survival), survival), None

    return forward


def _depth_in_place(x: Array, branch: Array, B: Any, survival: float) -> Array:
    x += B * branch
    return x


STOCHASTIC_DEPTH_FORWARD = Exercise(
    name="stochastic_depth_forward",
    asks="A residual block that loses its branch at random in training; the branch times its survival rate at test time.",
    reference=stochastic_depth_forward,
    returns=("out", "cache"),
    checks=(
        equals("keeps the branch with probability survival", 1, _survivals),
        equals("adds the branch whole or not at all, for the whole mini-batch", 2, _all_or_nothing),
        equals("lets x through at every call", 1, _skip),
        equals("adds the branch times survival at test time", 2, _depth_test_time),
        equals("draws from rng, anew at each call", 1, _fates_from_rng),
        leaves_inputs(1, _depth_both_modes),
    ),
    misconceptions=tuple(
        _idea("stochastic_depth_forward", *idea)
        for idea in (
            (
                "survival-is-dropped",
                "You drop the branch with probability survival. It SURVIVES with that probability: turn the comparison "
                "round.",
                _depth(lambda rng, x, survival: float(rng.random() < 1 - survival)),
            ),
            (
                "survival-is-dropped-in-both-modes",
                "You take survival for the probability to drop, in training and at test time. The branch SURVIVES with "
                "that probability.",
                _depth(
                    lambda rng, x, survival: float(rng.random() < 1 - survival),
                    test=lambda x, branch, survival: x + (1 - survival) * branch,
                ),
            ),
            (
                "inverted",
                "You divide the branch by survival in training, as inverted dropout does. In the paper it is added as it "
                "is, and scaled by survival at test time.",
                _depth(
                    train=lambda x, branch, B, survival: x + B * branch / survival,
                    test=lambda x, branch, survival: x + branch,
                ),
            ),
            (
                "scaled-in-training-too",
                "You divide by survival in training and multiply at test time. One of the two is enough; here it is the "
                "second.",
                _depth(train=lambda x, branch, B, survival: x + B * branch / survival),
            ),
            (
                "not-scaled-at-test-time",
                "At test time you add the whole branch. In training it was there only in a share `survival` of the calls: "
                "multiply by it.",
                _depth(test=lambda x, branch, survival: x + branch),
            ),
            (
                "skip-scaled-at-test-time",
                "At test time you multiply x by survival, too. x was never dropped: scale the branch alone.",
                _depth(test=lambda x, branch, survival: survival * (x + branch)),
            ),
            (
                "branch-left-out-at-test-time",
                "At test time the branch is missing.",
                _depth(test=lambda x, branch, survival: x.copy()),
            ),
            (
                "skip-dropped-too",
                "Where the branch is dropped, x is lost with it and nothing gets through. The skip stays: out = x.",
                _depth(train=lambda x, branch, B, survival: B * (x + branch)),
            ),
            (
                "skip-or-branch",
                "You take either x or the branch. It is x in any case, and the branch on top of it where it survives.",
                _depth(train=lambda x, branch, B, survival: B * branch + (1 - B) * x),
            ),
            (
                "draw-for-each-example",
                "Every example has a draw of its own. In the paper one draw decides for the whole mini-batch, so that the "
                "branch need not be computed at all.",
                _depth(lambda rng, x, survival: (rng.random((len(x),) + (1,) * (x.ndim - 1)) < survival).astype(float)),
            ),
            (
                "draw-for-each-entry",
                "You drop single entries of the branch: that is dropout. Here the branch is used or dropped as a whole.",
                _depth(lambda rng, x, survival: (rng.random(x.shape) < survival).astype(float)),
            ),
            (
                "normal-numbers",
                "You compare a NORMAL random number with survival. Draw a uniform one between 0 and 1.",
                _depth(lambda rng, x, survival: float(rng.standard_normal() < survival)),
            ),
            (
                "scaled-in-training-instead",
                "You add survival times the branch in training: nothing is dropped. Draw 0 or 1.",
                _depth(lambda rng, x, survival: survival),
            ),
            (
                "mode-ignored",
                "You drop the branch at test time, too. There it is always added, times survival.",
                _depth(trains_in=("train", "test")),
            ),
            ("rng-ignored", _RNG_IGNORED, _depth(generator=_fresh)),
            (
                "in-place",
                "You add the branch to x in place. The caller still needs x: make a new array.",
                _depth(train=_depth_in_place),
            ),
        )
    ),
    hints=(
        "How many random numbers does one call need?",
        "x is always there. The branch is multiplied by 0 or by 1 in training.",
        "Train: x + branch_out if a uniform number from rng is below survival, else x. Test: x + survival * branch_out.",
    ),
)


def _depth_gradients(play: Functions, rng: Generator, calls: int, survival: float) -> tuple[Array, Array, Array]:
    """dx / dout, dbranch_out / dout and what the forward multiplied the branch by, each (calls, 2, 3): first all forward
    passes with one generator, then their backward passes."""
    generator, caches, weights = _own_generator(rng), [], []
    for _ in range(calls):
        x, branch_out = _signed(rng, 2, 3), _signed(rng, 2, 3)
        out, cache = play.stochastic_depth_forward(x, branch_out, survival, "train", generator)
        weights.append((shaped("out", out, x) - x) / branch_out)
        caches.append(cache)
    of_x, of_branch = np.empty((2, calls, 2, 3))
    for number, cache in enumerate(caches):
        dout = _signed(rng, 2, 3)
        dx, dbranch_out = play.stochastic_depth_backward(dout, cache)
        of_x[number], of_branch[number] = shaped("dx", dx, dout) / dout, shaped("dbranch_out", dbranch_out, dout) / dout
    return of_x, of_branch, np.array(weights)


def _through_the_skip(play: Functions, rng: Generator) -> Observations:
    """16 calls at survival 0.2, most of which drop the branch: all keep it with probability 7e-12."""
    return _range("dx / dout in training", _depth_gradients(play, rng, 16, 0.2)[0])


def _through_the_branch(play: Functions, rng: Generator) -> Observations:
    """36 calls at survival 0.5, some of which drop the branch and some do not with probability 1 - 3e-11."""
    _, of_branch, weights = _depth_gradients(play, rng, 36, 0.5)
    survived = np.abs(weights) > 1e-3
    return {
        **_range("dbranch_out / dout where the branch survived", of_branch[survived]),
        **_range("dbranch_out / dout where the branch was dropped", of_branch[~survived]),
    }


def _depth_consistent(play: Functions, rng: Generator) -> bool:
    _, of_branch, weights = _depth_gradients(play, rng, 36, 0.5)
    return bool(np.allclose(of_branch, weights, atol=1e-4))


def _depth_backward_at_test_time(play: Functions, rng: Generator) -> Observations:
    found: Observations = {}
    for shape, survival in (((4, 3), 0.3), ((2, 3, 4, 5), 0.8)):
        x, branch_out, dout = (_signed(rng, *shape) for _ in range(3))
        _, cache = play.stochastic_depth_forward(x, branch_out, survival, "test", _own_generator(rng))
        dx, dbranch_out = play.stochastic_depth_backward(dout, cache)
        found |= _range(f"dx / dout at test time, survival={survival}", shaped("dx", dx, dout) / dout)
        of_branch = shaped("dbranch_out", dbranch_out, dout) / dout
        found |= _range(f"dbranch_out / dout at test time, survival={survival}", of_branch)
    return found


def _depth_backward_played(play: Functions, rng: Generator) -> Observations:
    for mode in ("train", "test"):
        _, cache = play.stochastic_depth_forward(_signed(rng, 2, 3), _signed(rng, 2, 3), 0.5, mode, _own_generator(rng))
        play.stochastic_depth_backward(_signed(rng, 2, 3), cache)
    return {}


def _depth_backward_idea(
    id: str,
    message: str,
    train: Callable[[Array, float, float], tuple[Array, Array]] = lambda dout, B, survival: (dout.copy(), B * dout),
    test: Callable[[Array, float], tuple[Array, Array]] = lambda dout, survival: (dout.copy(), survival * dout),
) -> Misconception:
    def backward(dout: Array, cache: Any) -> tuple[Array, Array]:
        weight, mode, survival = cache
        return train(dout, weight, survival) if mode == "train" else test(dout, survival)

    return _idea("stochastic_depth_backward", id, message, backward)


def _depth_backward_in_place(dout: Array, cache: Any) -> tuple[Array, Array]:
    dx, dbranch_out = stochastic_depth_backward(dout, cache)
    dout *= 0.5
    return dx, dbranch_out


def _new_fate(dout: Array, B: float, survival: float) -> tuple[Array, Array]:
    return dout.copy(), float(np.random.default_rng().random() < survival) * dout


STOCHASTIC_DEPTH_BACKWARD = Exercise(
    name="stochastic_depth_backward",
    asks="The gradients of a block with stochastic depth: always through the skip, through the branch if it survived.",
    reference=stochastic_depth_backward,
    returns=("dx", "dbranch_out"),
    checks=(
        equals("dx is dout, whether the branch survived or not", 2, _through_the_skip),
        replace(
            equals("dbranch_out is dout where the branch survived, and 0 where it was dropped", 2, _through_the_branch),
            consistent=_depth_consistent,
        ),
        equals("is dout and survival times dout at test time", 1, _depth_backward_at_test_time),
        leaves_inputs(1, _depth_backward_played),
    ),
    misconceptions=(
        _depth_backward_idea(
            "skip-blocked",
            "dx is 0 where the branch was dropped. The skip is what the gradient goes through then: dx = dout always.",
            lambda dout, B, survival: (B * dout, B * dout),
        ),
        _depth_backward_idea(
            "branch-added-to-dx",
            "You add the branch's gradient to dx. How the branch depends on x is not this function's business: dx is that "
            "of the skip alone.",
            lambda dout, B, survival: (dout + B * dout, B * dout),
            lambda dout, survival: (dout + survival * dout, survival * dout),
        ),
        _depth_backward_idea(
            "branch-always",
            "dbranch_out is dout even where the branch was dropped. It had no part in the output then: 0.",
            lambda dout, B, survival: (dout.copy(), dout.copy()),
        ),
        _depth_backward_idea(
            "scaled-in-training",
            "In training you multiply dbranch_out by survival. The branch was added whole: multiply by 1 or by 0.",
            lambda dout, B, survival: (dout.copy(), survival * B * dout),
        ),
        _depth_backward_idea(
            "divided-in-training",
            "In training you divide dbranch_out by survival. The branch was added as it is: multiply by 1 or by 0.",
            lambda dout, B, survival: (dout.copy(), B * dout / survival),
        ),
        _depth_backward_idea(
            "expected-in-training",
            "In training you multiply dbranch_out by survival whatever happened. Keep in the cache whether the branch "
            "survived.",
            lambda dout, B, survival: (dout.copy(), survival * dout),
        ),
        _depth_backward_idea(
            "new-draw",
            "You draw again in the backward pass. The gradient belongs to the forward's draw: keep it in the cache.",
            _new_fate,
        ),
        _depth_backward_idea(
            "not-scaled-at-test-time",
            "At test time the branch was added times survival, and its gradient is multiplied by it, too.",
            test=lambda dout, survival: (dout.copy(), dout.copy()),
        ),
        _depth_backward_idea(
            "skip-scaled-at-test-time",
            "At test time you multiply dx by survival. x passes whole: dx is dout.",
            test=lambda dout, survival: (survival * dout, survival * dout),
        ),
        _idea(
            "stochastic_depth_backward",
            "in-place",
            "You change dout. The caller still needs it: make a new array.",
            _depth_backward_in_place,
        ),
    ),
    hints=(
        "out = x + weight * branch_out. What are the two derivatives?",
        "The weight is 1 or 0 in training and survival at test time; the forward knows which.",
        "dx = dout; dbranch_out = weight * dout, with the weight from the cache.",
    ),
    needs=("stochastic_depth_forward",),
)

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
        boundaries = _boundaries(play, _own_generator(rng), size, out)
        found |= {f"first boundary for size={size}, out={out}": boundaries[0]}
        found |= {f"last boundary for size={size}, out={out}": boundaries[-1]}
    return found


def _steps_of_one_or_two(play: Functions, rng: Generator) -> Observations:
    found: Observations = {}
    for size, out in _SIZES:
        steps = np.diff(_boundaries(play, _own_generator(rng), size, out))
        found[f"regions of 1 pixel for size={size}, out={out}"] = int(np.sum(steps == 1))
        found[f"regions of 2 pixels for size={size}, out={out}"] = int(np.sum(steps == 2))
    return found


_ORDERS = ((1, 1, 2, 2), (1, 2, 1, 2), (1, 2, 2, 1), (2, 1, 1, 2), (2, 1, 2, 1), (2, 2, 1, 1))
"""All orders of two ones and two twos."""


def _order(play: Functions, rng: Generator) -> Observations:
    """140 draws of 4 regions for 6 pixels. A binomial count for each order; right answers fail with probability 6e-10 in
    all, and an order that never comes is always noticed."""
    generator = _own_generator(rng)
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
        equals("draws from rng, anew at each call", 1, _draws_from_rng(_regions_repeat)),
    ),
    misconceptions=tuple(
        _idea("fractional_pool_regions", *idea)
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
            ("rng-ignored", _RNG_IGNORED, lambda size, out, rng: fractional_pool_regions(size, out, _fresh(rng))),
            ("seed-inside", _SEED_INSIDE, lambda size, out, rng: fractional_pool_regions(size, out, _always_the_same(rng))),
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
        _idea("fractional_max_pool_forward", *idea)
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
    play.fractional_max_pool_backward(_signed(rng, 2, 3, 6, 5), cache)
    return {}


def _pool_gradient(claim: str, points: float, overlapping: bool | None) -> Check:
    """dx against the reference's, which is the only one as there are no ties. It is the gradient of the student's own
    forward where its slope along three random directions is that of numerical differentiation."""

    def played(play: Functions, rng: Generator) -> tuple[tuple[Any, ...], Array, Any]:
        arguments, dout = _pooled_inputs(rng, overlapping), _signed(rng, 2, 3, 6, 5)
        _, cache = play.fractional_max_pool_forward(*arguments)
        return arguments, dout, play.fractional_max_pool_backward(dout, cache)

    def consistent(play: Functions, rng: Generator) -> bool:
        (x, *regions), dout, dx = played(play, rng)
        directions = rng.standard_normal((3, *x.shape))
        slopes = [
            along(lambda value: shaped("out", play.fractional_max_pool_forward(value, *regions)[0], dout), x, dout, v)
            for v in directions
        ]
        return bool(np.allclose([np.sum(shaped("dx", dx, x) * v) for v in directions], slopes, rtol=1e-6, atol=1e-6))

    return replace(equals(claim, points, lambda play, rng: {"dx": played(play, rng)[2]}), consistent=consistent)


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
        _idea("fractional_max_pool_backward", *idea)
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

# --- test time ------------------------------------------------------------------------------------------------------


def predict_marginalized(forward: Callable[[Array, Generator], Array], x: Array, samples: int, rng: Generator) -> Array:
    """The mean (N, K) of ``samples`` calls of forward(x, rng): noise averaged out by drawing it (Gal & Ghahramani 2016)."""
    return np.mean([forward(x, rng) for _ in range(samples)], axis=0)


def _counted(rng: Generator, n: int, k: int, most: int) -> tuple[list[Array], list[Any], Callable[[Any, Any], Array]]:
    """Predictions, the inputs of each call, and a forward that answers its calls with one prediction after the other."""
    scores = np.exp(2 * rng.standard_normal((most, n, k)))
    predictions, inputs = list(scores / scores.sum(axis=2, keepdims=True)), []

    def forward(x: Any, generator: Any) -> Array:
        inputs.append(np.array(x))
        return predictions[min(len(inputs), most) - 1].copy()

    return predictions, inputs, forward


def _averaged(play: Functions, rng: Generator) -> Observations:
    found: Observations = {}
    for samples, n, k in ((5, 4, 3), (1, 2, 6), (12, 3, 2)):
        x = rng.standard_normal((n, 7))
        _, _, forward = _counted(rng, n, k, samples + 2)
        found[f"prediction from {samples} samples"] = play.predict_marginalized(forward, x, samples, _own_generator(rng))
    return found


def _calls(play: Functions, rng: Generator) -> Observations:
    found: Observations = {}
    for samples in (4, 9):
        x = rng.standard_normal((5, 3))
        _, inputs, forward = _counted(rng, 5, 2, samples)
        play.predict_marginalized(forward, x, samples, _own_generator(rng))
        found[f"calls of forward for {samples} samples"] = len(inputs)
        found[f"x as forward got it, {samples} samples"] = all(_same(given, x) for given in inputs)
    return found


def _handed_rng(play: Functions, rng: Generator) -> Observations:
    """forward draws one number at each call. Deterministic: numbers of 53 bits do not meet by chance."""
    x, drawn = rng.standard_normal((2, 3)), []

    def forward(given: Any, generator: Any) -> Array:
        drawn.append(float(generator.random()))
        return np.full((2, 2), drawn[-1])

    seeds = rng.choice(2**32, 2, replace=False)
    results = [play.predict_marginalized(forward, x, 6, np.random.default_rng(int(seeds[k]))) for k in (0, 0, 1)]
    return {
        "different draws in 6 calls of forward": len(set(drawn[:6])),
        "two generators of one seed give the same": _same(results[0], results[1]),
        "generators of two seeds give the same": _same(results[0], results[2]),
    }


def _marginal(combine: Callable[[Array], Array], samples: Callable[[int], int] = lambda n: n) -> Callable[..., Array]:
    return lambda forward, x, n, rng: combine(np.array([forward(x, rng) for _ in range(samples(n))]))


def _geometric(predictions: Array) -> Array:
    product = np.exp(np.mean(np.log(predictions), axis=0))
    return np.asarray(product / product.sum(axis=1, keepdims=True))


PREDICT_MARGINALIZED = Exercise(
    name="predict_marginalized",
    asks="At test time average the noise out by drawing it: the mean of several random predictions.",
    reference=predict_marginalized,
    returns=("probabilities",),
    checks=(
        equals("is the mean of the samples", 2, _averaged),
        equals("calls forward once for each sample, with x", 1, _calls),
        equals("hands rng on, so that each sample has noise of its own", 1, _handed_rng),
        leaves_inputs(1, _averaged),
    ),
    misconceptions=tuple(
        _idea("predict_marginalized", *idea)
        for idea in (
            (
                "one-sample",
                "You predict once. Call forward anew for each of the `samples`, and average what it returns.",
                lambda forward, x, samples, rng: np.array(forward(x, rng)),
            ),
            (
                "summed",
                "You add the samples up. Divide by their number.",
                _marginal(lambda predictions: predictions.sum(axis=0)),
            ),
            (
                "last-sample",
                "You return the last sample. Average all of them.",
                _marginal(lambda predictions: predictions[-1]),
            ),
            (
                "geometric-mean",
                "You average logarithms: that is the geometric mean. The marginal is the ordinary mean of the "
                "probabilities.",
                _marginal(_geometric),
            ),
            (
                "median",
                "You take the median. The marginal is the mean.",
                _marginal(lambda predictions: np.median(predictions, axis=0)),
            ),
            (
                "votes",
                "You count votes: each sample's favourite class. Average the probabilities.",
                _marginal(lambda predictions: np.mean(np.eye(predictions.shape[2])[predictions.argmax(axis=2)], axis=0)),
            ),
            (
                "one-too-many",
                "You draw one sample more than asked.",
                _marginal(lambda predictions: predictions.mean(axis=0), lambda n: n + 1),
            ),
            (
                "divided-by-one-less",
                "You divide by samples - 1. It is a mean: divide by samples.",
                _marginal(lambda predictions: predictions.sum(axis=0) / max(len(predictions) - 1, 1)),
            ),
            (
                "over-the-examples",
                "You average over the examples as well. Each example keeps a row of its own.",
                _marginal(lambda predictions: np.broadcast_to(predictions.mean(axis=(0, 1)), predictions.shape[1:])),
            ),
            (
                "same-noise-each-time",
                "Every sample has the same noise: you hand forward a generator that starts anew each time. Hand on rng "
                "itself.",
                lambda forward, x, samples, rng: np.mean(
                    [forward(x, np.random.default_rng(0)) for _ in range(samples)], axis=0
                ),
            ),
            (
                "rng-ignored",
                "You hand forward a generator of your own. Hand on rng: whoever calls the function can then repeat what "
                "it does.",
                lambda forward, x, samples, rng: predict_marginalized(forward, x, samples, _fresh(rng)),
            ),
        )
    ),
    hints=(
        "What changes from one call of forward(x, rng) to the next?",
        "It is the same mean as in an ensemble, over calls instead of networks.",
        "Collect forward(x, rng) `samples` times; the mean over the first axis.",
    ),
)


EXERCISES = (
    L2_PENALTY,
    L1_PENALTY,
    ELASTIC_NET_PENALTY,
    DROPOUT_FORWARD,
    DROPOUT_BACKWARD,
    VANILLA_DROPOUT_FORWARD,
    DROPCONNECT_FORWARD,
    DROPCONNECT_BACKWARD,
    GAUSSIAN_NOISE_FORWARD,
    GAUSSIAN_NOISE_BACKWARD,
    STOCHASTIC_DEPTH_FORWARD,
    STOCHASTIC_DEPTH_BACKWARD,
    FRACTIONAL_POOL_REGIONS,
    FRACTIONAL_MAX_POOL_FORWARD,
    FRACTIONAL_MAX_POOL_BACKWARD,
    PREDICT_MARGINALIZED,
)
