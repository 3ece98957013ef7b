"""Residual branches that are lost at random in training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from autograder.checks import equals, leaves_inputs, shaped
from autograder.compare import Share
from autograder.exercise import Exercise, Functions, Misconception, Observations
from autograder.exercises.regularization.dropout import RNG_IGNORED, fresh_draws
from autograder.exercises.regularization.shared import (
    Array,
    Generator,
    both_signs,
    extremes,
    generator_of_its_own,
    mistake,
    stays_the_same,
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
    generator, weights = generator_of_its_own(rng), np.empty((calls, *shape))
    for call in range(calls):
        branch_out = both_signs(rng, *shape)
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
        **extremes("out / branch_out in training where x is 0, at survival=0.5", weights),
    }


def _skip(play: Functions, rng: Generator) -> Observations:
    """In each of 20 calls out is x where the branch is 0, whether the branch is dropped or not."""
    generator, quotients, branch_alone = generator_of_its_own(rng), [], False
    for _ in range(20):
        x, branch_out = both_signs(rng, 2, 3), both_signs(rng, 2, 3) * (np.arange(3) > 0)
        out = shaped("out", play.stochastic_depth_forward(x, branch_out, 0.5, "train", generator)[0], x)
        quotients.append(out[:, 0] / x[:, 0])
        branch_alone |= np.allclose(out, branch_out, atol=1e-5)
    return {
        **extremes("out / x in training where the branch is 0", np.array(quotients)),
        "out is the branch alone in some calls": branch_alone,
    }


def _depth_test_time(play: Functions, rng: Generator) -> Observations:
    """16 calls, so that a branch that is dropped at random shows as such, and one for the skip."""
    weights = _branch_weights(play, rng, 16, (2, 1, 2, 2), 0.4, "test")
    x = both_signs(rng, 4, 3)
    out, _ = play.stochastic_depth_forward(x, np.zeros((4, 3)), 0.4, "test", generator_of_its_own(rng))
    return {
        **extremes("out / branch_out at test time where x is 0, at survival=0.4", weights),
        **extremes("out / x at test time where the branch is 0, at survival=0.4", shaped("out", out, x) / x),
    }


def _fates_from_rng(play: Functions, rng: Generator) -> Observations:
    """36 calls at survival 0.5: two sequences of fates are the same, or one never changes, with probability below 6e-11."""
    x, branch_out, seeds = both_signs(rng, 1, 2), both_signs(rng, 1, 2), rng.choice(2**32, 2, replace=False)

    def sequence(seed: int) -> Array:
        generator, outs = np.random.default_rng(seed), []
        for _ in range(36):
            out, _ = play.stochastic_depth_forward(x, branch_out, 0.5, "train", generator)
            outs.append(shaped("out", out, x))
        return np.array(outs)

    first, again, other = (sequence(int(seeds[k])) for k in (0, 0, 1))
    return {
        "two generators of one seed give the same fates": stays_the_same(first, again),
        "generators of two seeds give the same fates": stays_the_same(first, other),
        "all calls with one generator have the same fate": bool((first == first[0]).all()),
    }


def _depth_both_modes(play: Functions, rng: Generator) -> Observations:
    for mode in ("train", "test"):
        play.stochastic_depth_forward(both_signs(rng, 2, 3), both_signs(rng, 2, 3), 1.0, mode, generator_of_its_own(rng))
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
        mistake("stochastic_depth_forward", *idea)
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
            ("rng-ignored", RNG_IGNORED, _depth(generator=fresh_draws)),
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
    generator, caches, weights = generator_of_its_own(rng), [], []
    for _ in range(calls):
        x, branch_out = both_signs(rng, 2, 3), both_signs(rng, 2, 3)
        out, cache = play.stochastic_depth_forward(x, branch_out, survival, "train", generator)
        weights.append((shaped("out", out, x) - x) / branch_out)
        caches.append(cache)
    of_x, of_branch = np.empty((2, calls, 2, 3))
    for number, cache in enumerate(caches):
        dout = both_signs(rng, 2, 3)
        dx, dbranch_out = play.stochastic_depth_backward(dout, cache)
        of_x[number], of_branch[number] = shaped("dx", dx, dout) / dout, shaped("dbranch_out", dbranch_out, dout) / dout
    return of_x, of_branch, np.array(weights)


def _through_the_skip(play: Functions, rng: Generator) -> Observations:
    """16 calls at survival 0.2, most of which drop the branch: all keep it with probability 7e-12."""
    return extremes("dx / dout in training", _depth_gradients(play, rng, 16, 0.2)[0])


def _through_the_branch(play: Functions, rng: Generator) -> Observations:
    """36 calls at survival 0.5, some of which drop the branch and some do not with probability 1 - 3e-11."""
    _, of_branch, weights = _depth_gradients(play, rng, 36, 0.5)
    survived = np.abs(weights) > 1e-3
    return {
        **extremes("dbranch_out / dout where the branch survived", of_branch[survived]),
        **extremes("dbranch_out / dout where the branch was dropped", of_branch[~survived]),
    }


def _depth_consistent(play: Functions, rng: Generator) -> bool:
    _, of_branch, weights = _depth_gradients(play, rng, 36, 0.5)
    return bool(np.allclose(of_branch, weights, atol=1e-4))


def _depth_backward_at_test_time(play: Functions, rng: Generator) -> Observations:
    found: Observations = {}
    for shape, survival in (((4, 3), 0.3), ((2, 3, 4, 5), 0.8)):
        x, branch_out, dout = (both_signs(rng, *shape) for _ in range(3))
        _, cache = play.stochastic_depth_forward(x, branch_out, survival, "test", generator_of_its_own(rng))
        dx, dbranch_out = play.stochastic_depth_backward(dout, cache)
        found |= extremes(f"dx / dout at test time, survival={survival}", shaped("dx", dx, dout) / dout)
        of_branch = shaped("dbranch_out", dbranch_out, dout) / dout
        found |= extremes(f"dbranch_out / dout at test time, survival={survival}", of_branch)
    return found


def _depth_backward_played(play: Functions, rng: Generator) -> Observations:
    for mode in ("train", "test"):
        _, cache = play.stochastic_depth_forward(both_signs(rng, 2, 3), both_signs(rng, 2, 3), 0.5, mode, generator_of_its_own(rng))
        play.stochastic_depth_backward(both_signs(rng, 2, 3), cache)
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

    return mistake("stochastic_depth_backward", id, message, backward)


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
        mistake(
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
