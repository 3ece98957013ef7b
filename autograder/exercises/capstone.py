"""Assignment 10: everything together. One function is asked for, and it is graded on images that nobody has seen.

The hidden images go to the student's function, their labels never do: they are compared on this side. Which hidden set is used:
the file that AUTOGRADER_HIDDEN_SET names, else ``data/hidden/10-capstone.npz`` (an instructor's own, see
``data/make_capstone.py``), else the set that ships, which is for practice.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from autograder.checks import equals, leaves_inputs, shaped
from autograder.compare import aligned
from autograder.exercise import Check, Evidence, Exercise, Functions, Misconception, Observations

Array = np.ndarray

CLASSES = 20
BASELINE, TARGET = 0.5, 0.9
"""Shares of right answers where credit begins and is full. Softmax regression on the pixels reaches 0.48, a plain network 0.65,
one with batch norm, Adam, a falling rate and augmented images 0.90 to 0.93 within the budget (notebook 10 has the figures)."""

DATA = Path(__file__).resolve().parents[2] / "data"


class HiddenSetError(RuntimeError):
    """The hidden set or the reference's weights are not to be had: one line with what to do."""


def hidden_file() -> Path:
    """Where the hidden set comes from, see the module's head."""
    if named := os.environ.get("AUTOGRADER_HIDDEN_SET"):
        return Path(named)
    own = DATA / "hidden" / "10-capstone.npz"
    return own if own.is_file() else DATA / "capstone-hidden.npz"


def hidden_set() -> tuple[Array, Array]:
    """Images (N, 1, 16, 16) in [0, 1] and their labels (N,). Raises `HiddenSetError` where the file is not usable."""
    path = hidden_file()
    return _read(path, path.stat().st_mtime_ns if path.is_file() else 0)


@functools.lru_cache(maxsize=2)
def _read(path: Path, changed: int) -> tuple[Array, Array]:
    try:
        with np.load(path, allow_pickle=False) as file:
            images, labels = file["images"] / 15.0, file["labels"].astype(np.int64)
    except (OSError, ValueError, KeyError) as problem:
        raise HiddenSetError(
            f"the hidden set {path} cannot be read ({type(problem).__name__}): make one with "
            "`python data/make_capstone.py --hidden`, or unset AUTOGRADER_HIDDEN_SET"
        ) from None
    if images.shape != (len(labels), 1, 16, 16) or len(labels) < 100 or not 0 <= labels.min() <= labels.max() < CLASSES:
        raise HiddenSetError(
            f"the hidden set {path} holds images {images.shape} and labels {labels.shape}, expected (N, 1, 16, 16) with "
            f"grey levels 0..15 and (N,) with 0..{CLASSES - 1}, at least 100: make one with data/make_capstone.py"
        )
    images.flags.writeable = labels.flags.writeable = False
    return images, labels


@functools.cache
def _weights() -> dict[str, Array]:
    path = DATA / "capstone-reference.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name].astype(float) for name in file.files}
    except (OSError, ValueError) as problem:
        raise HiddenSetError(f"{path} cannot be read ({type(problem).__name__}): git checkout -- data") from None


def predict(images: Array) -> Array:
    """Labels (N,) of images (N, 1, 16, 16): a network that was trained for longer than a student's budget allows."""
    return _scores(images).argmax(axis=1)


def _scores(images: Array) -> Array:
    weights, x = _weights(), images.reshape(len(images), -1)
    for number in range(3):
        x = x @ weights[f"W{number}"] + weights[f"b{number}"]
        x = np.maximum(x, 0) if number < 2 else x
    return x


# --- what is looked at ------------------------------------------------------------------------------------------------


def _some(rng: np.random.Generator, count: int) -> Array:
    images, _ = hidden_set()
    return images[rng.permutation(len(images))[:count]].copy()


def _labels(play: Functions, images: Array) -> Array:
    return shaped("labels", play.predict(images), np.zeros(len(images)))


def _form(play: Functions, rng: np.random.Generator) -> Observations:
    images = _some(rng, 37)
    labels = play.predict(images)
    array, message, _ = aligned("labels", labels, np.zeros(len(images)))
    if array is None:
        kind = np.asarray(labels)
        scores = kind.dtype.kind in "fiu" and kind.shape == (len(images), CLASSES)
        letters = kind.dtype.kind in "US"
        return {"what comes back": "scores" if scores else "letters" if letters else message}
    whole = bool(np.all(np.isfinite(array)) and np.all(array == np.round(array)))
    inside = whole and bool(np.all((array >= 0) & (array < CLASSES)))
    return {"what comes back": "a label for each image" if inside else "numbers that are no labels"}


def _form_judge(seen: Observations, wanted: Observations, rng: np.random.Generator) -> Evidence:
    found = str(seen["what comes back"])
    said = {
        "scores": f"one row of {CLASSES} numbers for each image came back, wanted one whole number",
        "letters": "text came back, wanted the numbers of the classes",
        "numbers that are no labels": f"some entries are no whole numbers from 0 to {CLASSES - 1}",
    }
    right = found == wanted["what comes back"]
    return Evidence(True) if right else Evidence(False, said.get(found, found))


def _company(play: Functions, rng: np.random.Generator) -> Observations:
    """The same images in one batch, each alone, and in another order among others."""
    images, others = _some(rng, 60), _some(rng, 60)
    together = _labels(play, images)
    alone = np.array([_labels(play, image[None])[0] for image in images[:15]])
    order = rng.permutation(120)
    mixed = np.empty(120)
    mixed[order] = _labels(play, np.concatenate([images, others])[order])
    moved = bool(np.any(alone != together[:15])) or bool(np.any(mixed[:60] != together))
    return {"what an image's label depends on": "its batch, too" if moved else "the image alone"}


def _again(play: Functions, rng: np.random.Generator) -> Observations:
    images = _some(rng, 100)
    moved = bool(np.any(_labels(play, images) != _labels(play, images)))
    return {"what a second call gives": "other labels" if moved else "the same labels"}


def _shifted(play: Functions, rng: np.random.Generator) -> Observations:
    """By what the labels must be shifted to fit the truth best: 0 for whoever counts from 0, and for mere guesses."""
    images, truth = hidden_set()
    chosen = rng.permutation(len(images))[:200]
    labels = _labels(play, images[chosen])
    fits = {shift: float(np.mean(labels - shift == truth[chosen])) for shift in (0, 1, -1)}
    best = max(fits, key=lambda shift: fits[shift])
    return {"what the labels count from": best if fits[best] > 2 * fits[0] + 0.2 else 0}


def _inputs(play: Functions, rng: np.random.Generator) -> Observations:
    return {"labels": play.predict(_some(rng, 30))}


def _on_hidden(play: Functions, rng: np.random.Generator) -> Observations:
    images, _ = hidden_set()
    return {"labels": _labels(play, images[rng.permutation(len(images))])}


def _accuracy(seen: Observations, wanted: Observations, rng: np.random.Generator) -> Evidence:
    """The share of hidden images whose label is right. Their order is drawn anew, so that no position gives one away."""
    _, truth = hidden_set()
    truth = truth[rng.permutation(len(truth))]
    share = float(np.mean(seen["labels"] == truth))
    said = f"right on {share:.1%} of {len(truth):,} hidden images; credit begins at {BASELINE:.0%}"
    if share >= TARGET:
        return Evidence(True, remarks=(f"right on {share:.1%} of {len(truth):,} hidden images.",))
    return Evidence(False, said, credit=max(0.0, (share - BASELINE) / (TARGET - BASELINE)))


# --- what goes wrong --------------------------------------------------------------------------------------------------


def _idea(id: str, message: str, function: Callable[[Array], object]) -> Misconception:
    return Misconception(id, message, {"predict": function})


def _batch_statistics(images: Array) -> Array:
    """The first layer's features are normalised by the batch that happens to be there."""
    weights, x = _weights(), images.reshape(len(images), -1)
    x = x @ weights["W0"]
    x = np.maximum((x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5), 0)
    x = np.maximum(x @ weights["W1"] + weights["b1"], 0)
    return (x @ weights["W2"] + weights["b2"]).argmax(axis=1)


def _dropping(images: Array) -> Array:
    rng = np.random.default_rng()
    weights, x = _weights(), images.reshape(len(images), -1)
    for number in range(3):
        x = x @ weights[f"W{number}"] + weights[f"b{number}"]
        x = np.maximum(x, 0) * (rng.random(x.shape) < 0.2) / 0.2 if number < 2 else x
    return x.argmax(axis=1)


def _standardising_in_place(images: Array) -> Array:
    images -= 0.1
    images /= 0.3
    return predict(images * 0.3 + 0.1)


PREDICT = Exercise(
    name="predict",
    asks="The labels of images that nobody has seen, by the network that you designed and trained.",
    reference=predict,
    returns=("labels",),
    checks=(
        Check("gives one whole number from 0 to 19 for each image, (N,)", 1, _form, _form_judge),
        equals("counts the classes from 0", 1, _shifted),
        equals("gives an image the same label alone, in another batch and in another order", 2, _company),
        equals("gives the same labels when it is called again", 1, _again),
        Check(f"is right on at least {TARGET:.0%} of the hidden images", 10, _on_hidden, _accuracy),
        leaves_inputs(1, _inputs),
    ),
    misconceptions=(
        _idea(
            "scores-not-labels",
            "You return the network's scores. The label is the position of the largest in each row.",
            _scores,
        ),
        _idea(
            "letters-not-labels",
            "You return the characters themselves. A label is the number of the class.",
            lambda images: ["0123456789ABCDEFGHJK"[label] for label in predict(images)],
        ),
        _idea("labels-from-one", "Your labels are one too high: the classes count from 0.", lambda x: predict(x) + 1),
        _idea("labels-one-low", "Your labels are one too low: the classes count from 0.", lambda x: predict(x) - 1),
        _idea(
            "batch-statistics-at-test-time",
            "An image gets another label in other company. At test time nothing may come from the batch: use the running "
            "statistics of batch norm, and constants from training to standardise.",
            _batch_statistics,
        ),
        _idea(
            "noise-at-test-time",
            "Two calls give different labels: something random is still on. Switch dropout and augmentation off at test "
            "time, or average over fixed crops.",
            _dropping,
        ),
        _idea("in-place", "You standardise the images that you were given, in place. Work on a copy.", _standardising_in_place),
    ),
    hints=(
        "What did your network see in training: pixels in [0, 1], standardised ones, rows or images? predict must make the same.",
        "Load the weights that you saved, put the images through the layers in test mode, and take the largest score.",
        "Reshape or standardise as in training; the layers one after another with running statistics; argmax over axis 1.",
    ),
)

EXERCISES = (PREDICT,)
