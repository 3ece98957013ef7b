"""Dropout as it is done today (inverted: divided by p in training) and as it was done first (multiplied by p at test time)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from autograder.checks import equals, leaves_inputs, shaped
from autograder.compare import Share, difference
from autograder.exercise import Exercise, Functions, Misconception, Observations, Observe, StudentError
from autograder.exercises.regularization.shared import (
    KEEP_MESSAGES,
    Array,
    Generator,
    Keep,
    Params,
    any_shape,
    both_signs,
    decided_alone,
    draws_from_rng,
    dropping,
    entries_decide_alone,
    extremes,
    fixed_number,
    for_all_columns,
    for_all_pixels,
    for_all_rows,
    generator_of_its_own,
    kept_scale,
    kept_shares,
    mistake,
    normal_numbers,
    stays_the_same,
    uniform_numbers,
)

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
    if stays_the_same(out, x) and stays_the_same(play.dropout_forward(x, {"mode": "test", "p": 0.3})[0], x):
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
    x = both_signs(rng, *shape)
    out, _ = play.dropout_forward(x, _train_param(rng, p))
    return shaped(f"out for x of shape {shape}", out, x) / x


def _test_time(play: Functions, rng: Generator) -> Observations:
    found: Observations = {}
    for shape, p, seeded in (((5, 6), 0.3, False), ((2, 3, 4, 5), 0.8, True)):
        x, seed = both_signs(rng, *shape), int(rng.integers(2**31))
        out, _ = play.dropout_forward(x, {"mode": "test", "p": p, **({"seed": seed} if seeded else {})})
        found |= extremes(f"out / x at test time at p={p}", shaped(f"out for x of shape {shape}", out, x) / x)
    return found


def _expected_output(play: Functions, rng: Generator) -> Observations:
    """The mean output in training is what kept entries are multiplied by, times the share that is kept. It agrees with the
    mean output at test time where the two are within 12%, or where that share could be the one that makes them equal: the
    first holds for right answers with probability 1 - 1e-10 (Chernoff, 8,000 entries), the second as in every share."""
    found: Observations = {}
    for p in (0.3, 0.8):
        factor, x = _dropout_factors(play, rng, (100, 80), p), both_signs(rng, 100, 80)
        test = shaped("out at test time", play.dropout_forward(x, {"mode": "test", "p": p})[0], x) / x
        kept = factor != 0
        needed = float(test.mean() / factor[kept].mean()) if kept.any() else math.nan
        share = decided_alone(kept, needed)
        near = abs(kept.mean() - needed) <= 0.12 * needed
        by_chance = 0 <= needed <= 1 and difference("kept", share, share).same
        found[f"training and test time have the same mean output at p={p}"] = bool(near or by_chance)
    return found


def _everything_kept(play: Functions, rng: Generator) -> Observations:
    """Deterministic at p = 1; some entries of x are 0."""
    factor = _dropout_factors(play, rng, (20, 15), 1.0)
    kept = factor != 0
    x = both_signs(rng, 4, 3) * (np.arange(3) != 1)
    out, _ = play.dropout_forward(x, _train_param(rng, 1.0))
    return {
        "share of entries kept at p=1": Share(int(kept.sum()), kept.size, 1.0),
        **extremes("out / x of a kept entry at p=1", factor[kept]),
        "out at p=1 is 0 where x is 0": not np.any(shaped("out", out, x)[:, 1]),
    }


def _same_seed(play: Functions, rng: Generator) -> Observations:
    """Deterministic: 200 entries at p = 0.5, with other calls in between."""
    x = both_signs(rng, 20, 10)
    found: Observations = {}
    for name, seed in (("some seed", int(rng.integers(1, 2**31))), ("seed 0", 0)):
        one, _ = play.dropout_forward(x, {"mode": "train", "p": 0.5, "seed": seed})
        play.dropout_forward(x, {"mode": "train", "p": 0.5, "seed": seed + 1})
        other, _ = play.dropout_forward(x, {"mode": "train", "p": 0.5, "seed": seed})
        found[f"two calls with {name} give the same mask"] = stays_the_same(one, other)
    return found


def _new_masks(play: Functions, rng: Generator) -> Observations:
    """Two masks of 600 entries are equal at p = 0.5 with probability 2**-600."""
    x, seeds = both_signs(rng, 20, 30), rng.choice(2**31, 2, replace=False)
    seeded = [play.dropout_forward(x, {"mode": "train", "p": 0.5, "seed": int(seed)})[0] for seed in seeds]
    free = [play.dropout_forward(x, {"mode": "train", "p": 0.5})[0] for _ in range(2)]
    return {
        "two seeds give the same mask": stays_the_same(*seeded),
        "two calls without a seed give the same mask": stays_the_same(*free),
    }


def _both_dropout_modes(play: Functions, rng: Generator) -> Observations:
    for mode in ("train", "test"):
        play.dropout_forward(both_signs(rng, 5, 4), {"mode": mode, "p": 0.6})
    return {}


def _dropout(
    keep: Keep = uniform_numbers,
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
        _dropout(keep=dropping, train=_scaled_by_dropped),
    ),
    (
        "p-is-dropped-and-scaled-at-test-time",
        "You take p for the probability to DROP, and scale at test time instead of in training. Here p is the probability "
        "to KEEP, kept entries are divided by p in training, and at test time x passes as it is.",
        _dropout(keep=dropping, train=_unscaled, test=lambda x, p: x * (1 - p)),
    ),
    (
        "mask-turned-round",
        "You keep an entry with probability 1 - p. p is the probability to KEEP: turn the comparison round.",
        _dropout(keep=dropping),
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
    ("normal-numbers", KEEP_MESSAGES["normal"], _dropout(keep=normal_numbers)),
    ("fixed-number-kept", KEEP_MESSAGES["fixed-number"], _dropout(keep=fixed_number)),
    ("one-mask-for-all-rows", KEEP_MESSAGES["rows"], _dropout(keep=for_all_rows)),
    ("one-mask-for-all-columns", KEEP_MESSAGES["columns"], _dropout(keep=for_all_columns)),
    ("whole-channels", KEEP_MESSAGES["pixels"], _dropout(keep=for_all_pixels)),
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
        equals("keeps an entry with probability p", 1, _written(kept_shares(_dropout_factors, (100, 80)))),
        equals("divides what it keeps by p", 1, _written(kept_scale(_dropout_factors, (41, 49), "out / x"))),
        equals("decides on each entry by itself", 1, _written(entries_decide_alone(_dropout_factors))),
        equals("works for x of any shape, entry by entry", 1, _written(any_shape(_dropout_factors))),
        equals("is the identity at test time", 1, _written(_test_time)),
        equals("has the same expected output in training and at test time", 1, _written(_expected_output)),
        equals("keeps everything at p = 1", 1, _written(_everything_kept)),
        equals("gives the same mask for the same seed", 1, _written(_same_seed)),
        equals("gives another mask for another seed, and at each call without one", 1, _written(_new_masks)),
        leaves_inputs(1, _written(_both_dropout_modes)),
    ),
    misconceptions=tuple(mistake("dropout_forward", *idea) for idea in _DROPOUT_IDEAS),
    hints=(
        "How often does a uniform random number between 0 and 1 fall below p?",
        "A mask of x.shape from uniform numbers. Kept entries grow by 1/p, so that the mean stays x.",
        'In "train": seed where a seed is given, mask = (uniform numbers < p) / p, out = x * mask, and the mask goes into '
        'the cache. In "test": x.',
    ),
)


def _upstream(rng: Generator, x: Array) -> Array:
    return both_signs(rng, *x.shape)


def _passed_on(play: Functions, rng: Generator) -> tuple[dict[str, tuple[Array, Array]], bool]:
    """For two shapes: what the forward multiplied each entry by, and the backward. And whether the two are the same.
    No seed is given: a mask that is drawn again in the backward pass is another one."""
    found, consistent = {}, True
    for shape, p in (((12, 15), 0.4), ((3, 4, 5, 6), 0.7)):
        x = both_signs(rng, *shape)
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
        found |= extremes(f"dx / dout of a kept entry of x of shape {when}", back[forth != 0])
    return found


def _where_dropped(play: Functions, rng: Generator) -> Observations:
    found: Observations = {}
    for when, (forth, back) in _passed_on(play, rng)[0].items():
        found |= extremes(f"dx / dout of a dropped entry of x of shape {when}", back[forth == 0])
    return found


def _own_mask(play: Functions, rng: Generator) -> Observations:
    """Two forward passes, then both backward passes. A gradient has the zeros of its own output; that two masks of 180
    entries are the same happens with probability 2**-180, or to a forward that always has the same one."""
    x, dout = both_signs(rng, 12, 15), both_signs(rng, 12, 15)
    out, first = play.dropout_forward(x, {"mode": "train", "p": 0.5})
    later, second = play.dropout_forward(x, {"mode": "train", "p": 0.5})
    of_first, of_second = (shaped("dx", play.dropout_backward(dout, cache), dout) != 0 for cache in (first, second))
    kept, kept_later = (shaped("out", each, x) != 0 for each in (out, later))
    return {
        "dx of the first call has the mask of the second": stays_the_same(of_first, kept_later) and not stays_the_same(kept, kept_later),
        "dx of the second call has the mask of the first": stays_the_same(of_second, kept) and not stays_the_same(kept, kept_later),
    }


def _zeros_in_x(play: Functions, rng: Generator) -> Observations:
    """An x of zeros, as after a ReLU: its 1,000 outputs are 0 whatever the mask, and half of its gradients are not."""
    x = np.zeros((40, 25))
    dout = _upstream(rng, x)
    _, cache = play.dropout_forward(x, {"mode": "train", "p": 0.5})
    passed = shaped("dx", play.dropout_backward(dout, cache), dout) != 0
    return {"share of entries of x = 0 that pass their gradient, at p=0.5": decided_alone(passed, 0.5)}


def _backward_at_test_time(play: Functions, rng: Generator) -> Observations:
    found: Observations = {}
    for shape, p in (((5, 6), 0.3), ((2, 3, 4, 5), 0.8)):
        x = both_signs(rng, *shape)
        dout = _upstream(rng, x)
        _, cache = play.dropout_forward(x, {"mode": "test", "p": p})
        found |= extremes(f"dx / dout at test time at p={p}", shaped("dx", play.dropout_backward(dout, cache), dout) / dout)
    return found


def _backward_played(play: Functions, rng: Generator) -> Observations:
    for mode in ("train", "test"):
        x = both_signs(rng, 5, 4)
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


def new_mask(p: float, like: Array) -> Array:
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
        _in_training(lambda dout, p, mask: dout * new_mask(p, dout) / p),
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
        _at_test(lambda dout, p: dout * new_mask(0.5, dout) / 0.5),
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
        *(mistake("dropout_backward", *idea) for idea in _DROPOUT_BACKWARD_IDEAS),
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
    x = both_signs(rng, *shape)
    out, _ = play.vanilla_dropout_forward(x, p, "train", generator_of_its_own(rng))
    return shaped(f"out for x of shape {shape}", out, x) / x


def _vanilla_test_time(play: Functions, rng: Generator) -> Observations:
    found: Observations = {}
    for shape, p in (((5, 6), 0.3), ((2, 3, 4, 5), 0.8)):
        x = both_signs(rng, *shape)
        out, _ = play.vanilla_dropout_forward(x, p, "test", generator_of_its_own(rng))
        found |= extremes(f"out / x at test time at p={p}", shaped(f"out for x of shape {shape}", out, x) / x)
    return found


def _vanilla_repeat(rng: Generator) -> Callable[[Functions, Generator], Any]:
    x = both_signs(rng, 20, 30)
    return lambda play, generator: play.vanilla_dropout_forward(x, 0.5, "train", generator)[0]


def _vanilla_both_modes(play: Functions, rng: Generator) -> Observations:
    for mode in ("train", "test"):
        play.vanilla_dropout_forward(both_signs(rng, 5, 4), 0.6, mode, generator_of_its_own(rng))
    return {}


def _vanilla(
    keep: Keep = uniform_numbers,
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


def fresh_draws(rng: Generator) -> Generator:
    return np.random.default_rng()


def always_the_same(rng: Generator) -> Generator:
    return np.random.default_rng(0)


RNG_IGNORED = (
    "You draw from a generator of your own. Draw from rng: whoever calls the function can then repeat what it does."
)
SEED_INSIDE = (
    "You make a generator with a fixed seed in the function: its noise is the same at every call. Draw from rng, which "
    "moves on."
)

VANILLA_DROPOUT_FORWARD = Exercise(
    name="vanilla_dropout_forward",
    asks="Dropout as first published: no scaling in training, all outputs times p at test time.",
    reference=vanilla_dropout_forward,
    returns=("out", "cache"),
    checks=(
        equals("keeps an entry with probability p", 1, kept_shares(_vanilla_factors, (80, 50))),
        equals("leaves what it keeps as it is", 1, kept_scale(_vanilla_factors, (41, 49), "out / x")),
        equals("decides on each entry of x by itself", 1, entries_decide_alone(_vanilla_factors)),
        equals("works for x of any shape, entry by entry", 1, any_shape(_vanilla_factors)),
        equals("multiplies by p at test time", 2, _vanilla_test_time),
        equals("draws from rng, anew at each call", 1, draws_from_rng(_vanilla_repeat)),
        leaves_inputs(1, _vanilla_both_modes),
    ),
    misconceptions=tuple(
        mistake("vanilla_dropout_forward", *idea)
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
                _vanilla(keep=dropping, test=lambda x, p: x * (1 - p)),
            ),
            (
                "mask-turned-round",
                "You keep an entry with probability 1 - p. p is the probability to KEEP: turn the comparison round.",
                _vanilla(keep=dropping),
            ),
            ("normal-numbers", KEEP_MESSAGES["normal"], _vanilla(keep=normal_numbers)),
            ("fixed-number-kept", KEEP_MESSAGES["fixed-number"], _vanilla(keep=fixed_number)),
            ("one-mask-for-all-rows", KEEP_MESSAGES["rows"], _vanilla(keep=for_all_rows)),
            ("one-mask-for-all-columns", KEEP_MESSAGES["columns"], _vanilla(keep=for_all_columns)),
            ("whole-channels", KEEP_MESSAGES["pixels"], _vanilla(keep=for_all_pixels)),
            (
                "mode-ignored",
                "You drop entries at test time, too. There every entry passes, times p.",
                _vanilla(trains_in=("train", "test")),
            ),
            ("rng-ignored", RNG_IGNORED, _vanilla(generator=fresh_draws)),
            ("seed-inside", SEED_INSIDE, _vanilla(generator=always_the_same)),
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
