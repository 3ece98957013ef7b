"""Test time done by drawing: the average over the noise, instead of one pass that stands for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autograder.checks import equals, leaves_inputs
from autograder.exercise import Exercise, Functions, Observations
from autograder.exercises.regularization.dropout import fresh_draws
from autograder.exercises.regularization.shared import Array, Generator, generator_of_its_own, mistake, stays_the_same

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
        found[f"prediction from {samples} samples"] = play.predict_marginalized(forward, x, samples, generator_of_its_own(rng))
    return found


def _calls(play: Functions, rng: Generator) -> Observations:
    found: Observations = {}
    for samples in (4, 9):
        x = rng.standard_normal((5, 3))
        _, inputs, forward = _counted(rng, 5, 2, samples)
        play.predict_marginalized(forward, x, samples, generator_of_its_own(rng))
        found[f"calls of forward for {samples} samples"] = len(inputs)
        found[f"x as forward got it, {samples} samples"] = all(stays_the_same(given, x) for given in inputs)
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
        "two generators of one seed give the same": stays_the_same(results[0], results[1]),
        "generators of two seeds give the same": stays_the_same(results[0], results[2]),
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
        mistake("predict_marginalized", *idea)
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
                lambda forward, x, samples, rng: predict_marginalized(forward, x, samples, fresh_draws(rng)),
            ),
        )
    ),
    hints=(
        "What changes from one call of forward(x, rng) to the next?",
        "It is the same mean as in an ensemble, over calls instead of networks.",
        "Collect forward(x, rng) `samples` times; the mean over the first axis.",
    ),
)
