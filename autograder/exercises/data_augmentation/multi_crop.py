"""Test time: the average over ten crops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autograder.checks import equals, leaves_inputs
from autograder.exercise import Exercise, Functions, Misconception, Observations
from autograder.exercises.data_augmentation.geometry import ten_crop
from autograder.exercises.data_augmentation.shared import Array, Generator, mistake

# --- predict_multi_crop ---------------------------------------------------------------------------------------------


def predict_multi_crop(forward: Callable[[Array], Array], x: Array, size: int) -> Array:
    """The mean (N, K) of the probabilities that ``forward`` gives to the ten crops of each image."""
    return np.mean([forward(crops) for crops in ten_crop(x, size)], axis=0)


def _softmax(scores: Array) -> Array:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _classifier(rng: Generator, k: int) -> Callable[[Any], Array]:
    """A softmax that looks at every pixel, sure enough of itself that means of probabilities and of scores differ."""
    table = 0.4 * rng.standard_normal((3, 16, 16, k))

    def forward(crops: Any) -> Array:
        crops = np.asarray(crops, dtype=float)
        _, c, h, w = crops.shape
        return _softmax(np.tensordot(crops, table[:c, :h, :w], 3))

    return forward


def _multi_crop(play: Functions, rng: Generator) -> Observations:
    found: Observations = {}
    for n, c, h, w, size, k in ((3, 2, 7, 10, 5, 4), (4, 1, 8, 6, 3, 5)):
        x = rng.standard_normal((n, c, h, w))
        found[f"probabilities for crops of side {size} from {x.shape}"] = play.predict_multi_crop(
            _classifier(rng, k), x, size
        )
    return found


def _multi_crop_unsure(play: Functions, rng: Generator) -> Observations:
    """Probabilities far from 0 and 1, of a net that nearly always says the same; and one image alone."""
    k = 3
    lean = _softmax(rng.standard_normal((1, k)))

    def forward(crops: Any) -> Array:
        light = 1 / (1 + np.exp(-np.asarray(crops, dtype=float)[:, :, 0, 0].sum(axis=1, keepdims=True)))
        return lean * (1 - light / 2) + np.eye(k)[:1] * light / 2

    return {"probabilities for one image": play.predict_multi_crop(forward, rng.standard_normal((1, 2, 6, 7)), 4)}


def _multi_crop_inputs(play: Functions, rng: Generator) -> Observations:
    return {"probabilities": play.predict_multi_crop(_classifier(rng, 3), rng.standard_normal((2, 2, 6, 7)), 4)}


def _multi_idea(id: str, message: str, wrong: Callable[[Callable[[Array], Array], Array, int], Any]) -> Misconception:
    return mistake("predict_multi_crop", id, message, wrong)


def _each_crop(forward: Callable[[Array], Array], x: Array, size: int) -> Array:
    """The probabilities (10, N, K) of all crops."""
    return np.stack([forward(crops) for crops in ten_crop(x, size)])


def _normalised(p: Array) -> Array:
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def _rows_mixed(forward: Callable[[Array], Array], x: Array, size: int) -> Array:
    return _each_crop(forward, x, size).reshape(len(x), 10, -1).mean(axis=1)


PREDICT_MULTI_CROP = Exercise(
    name="predict_multi_crop",
    asks="Predict by averaging the probabilities over ten crops of each image.",
    reference=predict_multi_crop,
    returns=("probabilities",),
    checks=(
        equals("is the mean of the probabilities over the ten crops of each image", 3, _multi_crop),
        equals("serves a single image, too", 1, _multi_crop_unsure),
        leaves_inputs(1, _multi_crop_inputs),
    ),
    misconceptions=(
        _multi_idea(
            "average-of-the-crops",
            "You average the ten crops and predict once, for a blurred image. Predict each crop, then average.",
            lambda forward, x, size: forward(ten_crop(x, size).mean(axis=0)),
        ),
        _multi_idea(
            "five-crops",
            "Your mean is over the five plain crops. The five mirrored ones count as well.",
            lambda forward, x, size: _each_crop(forward, x, size)[:5].mean(axis=0),
        ),
        _multi_idea(
            "centre-and-its-mirror",
            "Your mean is over the centre and its mirrored version only. Take all ten crops.",
            lambda forward, x, size: _each_crop(forward, x, size)[[4, 9]].mean(axis=0),
        ),
        _multi_idea(
            "centre-only",
            "You predict from the centre alone.",
            lambda forward, x, size: _each_crop(forward, x, size)[4],
        ),
        _multi_idea(
            "summed",
            "You add the ten predictions up. Divide by ten, so that each row sums to 1.",
            lambda forward, x, size: _each_crop(forward, x, size).sum(axis=0),
        ),
        _multi_idea(
            "largest",
            "You take the largest probability among the crops. Take the mean.",
            lambda forward, x, size: _each_crop(forward, x, size).max(axis=0),
        ),
        _multi_idea(
            "geometric-mean",
            "You average the logarithms: that is the geometric mean. Here it is the ordinary one.",
            lambda forward, x, size: _normalised(np.exp(np.log(_each_crop(forward, x, size)).mean(axis=0))),
        ),
        _multi_idea(
            "votes",
            "You count votes: each crop's favourite class. Average the probabilities.",
            lambda forward, x, size: np.mean(
                [np.eye(p.shape[1])[p.argmax(axis=1)] for p in _each_crop(forward, x, size)], axis=0
            ),
        ),
        _multi_idea(
            "crops-of-different-images",
            "Your mean goes over crops of different images: (10 N, K) was taken apart as (N, 10, K). The crops come "
            "first: (10, N, K).",
            _rows_mixed,
        ),
        _multi_idea(
            "mean-over-the-images",
            "Your mean is over the images. Average over the crops, the first axis.",
            lambda forward, x, size: _each_crop(forward, x, size).mean(axis=1),
        ),
        _multi_idea(
            "whole-images",
            "You predict from the whole images. forward wants crops of side size.",
            lambda forward, x, size: forward(x),
        ),
    ),
    hints=(
        "How many predictions are there for one image, and along which axis do they lie?",
        "forward takes (M, C, size, size): one crop of all images at a time, or all 10 N at once.",
        "ten_crop, forward for each of the ten, np.mean over axis 0.",
    ),
    builds_on=("ten_crop", "crop", "horizontal_flip"),
    composed=lambda play: lambda forward, x, size: np.mean([forward(c) for c in play.ten_crop(x, size)], axis=0),
)
