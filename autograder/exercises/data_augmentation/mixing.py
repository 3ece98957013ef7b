"""Images with a hole, and images that are the mean of two."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from autograder.checks import equals, leaves_inputs, shaped
from autograder.exercise import Exercise, Functions, Observations
from autograder.exercises.data_augmentation.random_geometry import places_uniform
from autograder.exercises.data_augmentation.shared import (
    EXACT,
    Array,
    Generator,
    all_alike,
    by_its_channel,
    careless_about,
    from_its_generator,
    generator_of_its_own,
    in_small_batches,
    mistake,
    one_draw_for_all,
    share_of,
)

# --- cutout ---------------------------------------------------------------------------------------------------------


def cutout(x: Array, size: int, rng: Generator) -> Array:
    """A square of side ``size`` of each image set to zero in all channels; its centre is any pixel, it may stick out."""
    h, w = x.shape[2:]
    out = x.copy()
    for image in out:
        top, left = rng.integers(h) - size // 2, rng.integers(w) - size // 2
        image[:, max(top, 0) : top + size, max(left, 0) : left + size] = 0.0
    return out


def _bright(rng: Generator, n: int, c: int, h: int, w: int) -> Array:
    """Images without a zero."""
    return rng.uniform(1, 2, (n, c, h, w)) * rng.choice([-1.0, 1.0], (n, c, h, w))


def _holes(x: Array, out: Any) -> tuple[Array, Array, Array]:
    """Which pixels (N, H, W) have been changed in any channel; which images (N,) have a hole in every channel; and in which
    (N,) all that was changed is 0 in all channels."""
    found = shaped("out", out, x)
    changed = ~(np.abs(found - x) < EXACT)
    anywhere = changed.any(axis=1)
    zero = np.all(np.where(anywhere[:, None], found, 0.0) == 0, axis=(1, 2, 3))
    return anywhere, changed.any(axis=(2, 3)).all(axis=1), zero


def _hole_centres(x: Array, out: Any, size: int) -> tuple[Array, Array]:
    """Rows and columns (N,) of the pixels around which squares of an odd size were cut out; -1 where it was no such
    square."""
    changed, _, zero = _holes(x, out)
    h, w = x.shape[2:]
    near = [np.abs(np.subtract.outer(np.arange(k), np.arange(k))) <= size // 2 for k in (h, w)]
    masks = near[0][:, None, :, None] & near[1][None, :, None, :]  # (rows, columns, H, W)
    same = np.all(changed[:, None, None] == masks, axis=(3, 4)).reshape(len(x), -1)
    rows, columns = np.divmod(same.argmax(axis=1), w)
    right = same.any(axis=1) & zero
    return np.where(right, rows, -1), np.where(right, columns, -1)


def _cutout_squares(play: Functions, rng: Generator) -> Observations:
    found: Observations = {}
    for n, c, h, w, size in ((120, 2, 5, 6, 3), (20, 3, 8, 6, 5), (10, 1, 3, 4, 1)):
        x = _bright(rng, n, c, h, w)
        out = play.cutout(x, size, generator_of_its_own(rng))
        _, everywhere, zero = _holes(x, out)
        rows, _ = _hole_centres(x, out, size)
        found |= {
            f"share of ({h}, {w}) images with a hole in every channel": share_of(everywhere, 1.0),
            f"some ({h}, {w}) image has no hole": bool((~everywhere).any()),
            f"share of ({h}, {w}) images whose hole is 0 in all channels": share_of(zero, 1.0),
            f"share of ({h}, {w}) images with one hole of side {size}, as far as it lies inside": share_of(
                rows >= 0, 1.0
            ),
        }
    return found


def _cutout_even(play: Functions, rng: Generator) -> Observations:
    """Where no middle pixel exists, a square may lie half a pixel to either side; 100 holes that all stick out happen by
    chance with probability below 1e-15."""
    x = _bright(rng, 100, 1, 9, 8)
    changed, _, _ = _holes(x, in_small_batches(x, rng, lambda part, own: play.cutout(part, 4, own), count=10))
    areas = changed.sum(axis=(1, 2))
    return {
        "largest height of a hole of side 4": int(changed.any(axis=2).sum(axis=1).max()),
        "largest width of a hole of side 4": int(changed.any(axis=1).sum(axis=1).max()),
        "largest area of a hole of side 4": int(areas.max()),
    }


def _cutout_places(play: Functions, rng: Generator) -> Observations:
    """400 centres on 5 rows and 7 columns. Right answers are rejected with probability below 5e-10; a border that is never
    a centre is missed with probability below 1e-10."""
    x = _bright(rng, 400, 1, 5, 7)
    rows, columns = _hole_centres(x, in_small_batches(x, rng, lambda part, own: play.cutout(part, 3, own)), 3)
    return places_uniform("centres", rows, columns, 5, 7)


def _cutout_alone(play: Functions, rng: Generator) -> Observations:
    x = _bright(rng, 30, 1, 8, 9)
    changed, _, _ = _holes(x, play.cutout(x, 3, generator_of_its_own(rng)))
    return {"all 30 images of a batch have the same hole": bool(np.all(changed == changed[0]))}


def _cutout_inputs(play: Functions, rng: Generator) -> Observations:
    return {"out": play.cutout(_bright(rng, 3, 2, 5, 6), 3, generator_of_its_own(rng))}


def _cutout_by(
    place: Callable[[Generator, int, int], int] = lambda rng, length, size: int(rng.integers(length)) - size // 2,
    side: Callable[[int], int] = lambda size: size,
    fill: Callable[[Array, Array], Array] = lambda image, hole: np.where(hole, 0.0, image),
    slices: Callable[[int, int, int], slice] = lambda first, side, length: slice(max(first, 0), max(first + side, 0)),
) -> Callable[..., Array]:
    """Other places of the first row or column, another side, other contents, or other ways to cut off at the border."""

    def wrong(x: Array, size: int, rng: Generator) -> Array:
        h, w = x.shape[2:]
        out = []
        for image in x:
            hole = np.zeros((h, w), dtype=bool)
            firsts = [place(rng, length, size) for length in (h, w)]
            hole[slices(firsts[0], side(size), h), slices(firsts[1], side(size), w)] = True
            out.append(fill(image, hole))
        return np.stack(out)

    return wrong


def _cutout_in_place(x: Array, size: int, rng: Generator) -> Array:
    x[...] = cutout(x, size, rng)
    return x


CUTOUT = Exercise(
    name="cutout",
    asks="Black out a random square of each image.",
    reference=cutout,
    returns=("out",),
    checks=(
        equals("sets one square of side size to zero in all channels, cut off at the border", 3, _cutout_squares),
        equals("makes holes of an even side, too", 1, _cutout_even),
        equals("makes every pixel the centre equally often, those at the border too", 3, _cutout_places),
        equals("draws a square of its own for each image", 1, _cutout_alone),
        from_its_generator(1, lambda play, x, rng: play.cutout(x, 3, rng), (20, 1, 5, 6)),
        leaves_inputs(1, _cutout_inputs),
    ),
    misconceptions=(
        mistake(
            "cutout",
            "whole-squares-only",
            "Your squares always lie inside the image. Their centre may be any pixel; what sticks out is cut off, so "
            "that some images keep nearly all (DeVries & Taylor found this to matter).",
            _cutout_by(lambda rng, length, size: int(rng.integers(max(length - size + 1, 1)))),
        ),
        mistake(
            "cutout",
            "place-as-corner",
            "The drawn pixel is your square's upper left corner. It is to be the centre.",
            _cutout_by(lambda rng, length, size: int(rng.integers(length))),
        ),
        mistake(
            "cutout",
            "last-pixel-missing",
            "The last row and column are never the centre. rng.integers(k) stops before k already.",
            _cutout_by(lambda rng, length, size: int(rng.integers(length - 1)) - size // 2),
        ),
        mistake(
            "cutout",
            "negative-start",
            "Squares that would begin before row or column 0 are missing or elsewhere: a negative index counts from "
            "the end. Begin at max(0, ...).",
            _cutout_by(slices=lambda first, side, length: slice(first, first + side)),
        ),
        mistake(
            "cutout",
            "one-pixel-short",
            "Your squares of an odd side are one pixel too small: from centre - size // 2 to centre + size // 2 there "
            "are size - 1 pixels. Count size from the first.",
            _cutout_by(side=lambda size: 2 * (size // 2)),
        ),
        mistake(
            "cutout",
            "size-as-half-the-side",
            "Your squares reach size pixels to every side. size is the whole side.",
            _cutout_by(lambda rng, length, size: int(rng.integers(length)) - size, lambda size: 2 * size + 1),
        ),
        mistake(
            "cutout",
            "filled-with-the-mean",
            "Your squares are filled with the image's mean. Fill them with 0 (the mean of centred images).",
            _cutout_by(fill=lambda image, hole: np.where(hole, image.mean(), image)),
        ),
        mistake(
            "cutout",
            "first-channel-only",
            "Only the first channel has a hole. Set all channels to 0.",
            _cutout_by(fill=lambda image, hole: np.concatenate([np.where(hole, 0.0, image[:1]), image[1:]])),
        ),
        mistake(
            "cutout",
            "a-hole-for-each-channel",
            "The channels of an image have holes at different places. One square goes through all channels.",
            by_its_channel(cutout),
        ),
        mistake(
            "cutout",
            "all-but-the-square",
            "You keep the square and set the rest to 0. It is the other way round.",
            _cutout_by(fill=lambda image, hole: np.where(hole, image, 0.0)),
        ),
        mistake(
            "cutout",
            "one-hole-for-the-batch",
            "All images of a batch have the same hole. Draw a square for each image.",
            one_draw_for_all(cutout),
        ),
        mistake(
            "cutout",
            "in-place",
            "You cut holes into the caller's own images. Work on a copy: the next epoch needs them whole.",
            _cutout_in_place,
        ),
        *careless_about(cutout),
    ),
    hints=(
        "With side 3 and the centre in row 0: which rows become 0?",
        "From centre - size // 2, size rows; a slice must not begin below 0, and may end past the image.",
        "Copy x; for each image draw a row and a column, and set the slice of all channels to 0.",
    ),
)


# --- mixup ----------------------------------------------------------------------------------------------------------


def mixup(x: Array, y_onehot: Array, alpha: float, rng: Generator) -> tuple[Array, Array]:
    """lambda * image + (1 - lambda) * partner, labels alike; lambda from Beta(alpha, alpha), partners by a permutation."""
    weight = rng.beta(alpha, alpha)
    partners = rng.permutation(len(x))
    pairs = list(enumerate(partners))
    return (
        np.stack([weight * x[n] + (1 - weight) * x[m] for n, m in pairs]),
        np.stack([weight * y_onehot[n] + (1 - weight) * y_onehot[m] for n, m in pairs]),
    )


def _single_pixels(rng: Generator, n: int, c: int, h: int, w: int) -> tuple[Array, Array]:
    """Images with one bright pixel, each at its own place, and these places (n,): a mixed image tells who is in it."""
    places = rng.permutation(c * h * w)[:n]
    return np.eye(c * h * w)[places].reshape(n, c, h, w), places


def _mixed(
    play: Functions, rng: Generator, shape: tuple[int, int, int, int], alpha: float
) -> tuple[Array, Array, Array]:
    """How much of each image, and of each label, is in each result (N, N), and what no image accounts for (N,)."""
    x, places = _single_pixels(rng, *shape)
    y = np.eye(len(x))
    images, labels = play.mixup(x, y, alpha, generator_of_its_own(rng))
    flat = shaped("x_mixed", images, x).reshape(len(x), -1)
    weights = flat[:, places]
    return weights, shaped("y_mixed", labels, y), np.abs(flat).sum(axis=1) - np.abs(weights).sum(axis=1)


def _partners(weights: Array) -> Array:
    """Who is in each result (N,) besides itself; itself where nobody is."""
    others = np.where(np.eye(len(weights), dtype=bool), 0.0, weights)
    found = np.abs(others).argmax(axis=1)
    return np.where(np.abs(others).max(axis=1) > 0, found, np.arange(len(weights)))


def _mixup_pairs(play: Functions, rng: Generator) -> Observations:
    """Five batches of 24. That nobody has another partner than itself happens by chance with probability 1 / 24!."""
    batches = [_mixed(play, rng, (24, 2, 3, 5), 4.0) for _ in range(5)]
    weights, rest = (np.concatenate([batch[k] for batch in batches]) for k in (0, 2))
    two = (np.abs(weights) > EXACT).sum(axis=1) <= 2
    return {
        "share of images that are made of two at most": share_of(two & (np.abs(rest) < EXACT), 1.0),
        "share of images whose two weights sum to 1": share_of(np.abs(weights.sum(axis=1) - 1) < EXACT, 1.0),
        "share of images with weights from 0 to 1": share_of(
            np.all((weights > -EXACT) & (weights < 1 + EXACT), axis=1), 1.0
        ),
        "some images are mixed with another": bool(any((_partners(w) != np.arange(24)).any() for w, _, _ in batches)),
    }


def _mixup_labels(play: Functions, rng: Generator) -> Observations:
    """16 batches of 8 whose labels (N, K) with K = N tell the weights themselves; with few classes they must still follow
    the images. What is said to differ is equal by chance with probability below 1e-60."""
    batches = [_mixed(play, rng, (8, 1, 3, 4), 3.0) for _ in range(16)]
    pairs = [(images, labels, _partners(images) != np.arange(8)) for images, labels, _ in batches]
    images, labels = (np.concatenate([batch[k] for batch in batches]) for k in (0, 1))
    x, places = _single_pixels(rng, 12, 3, 2, 3)
    y = np.eye(5)[rng.integers(0, 5, 12)]
    x_mixed, y_mixed = play.mixup(x, y, 2.0, generator_of_its_own(rng))
    wanted = shaped("x_mixed", x_mixed, x).reshape(12, -1)[:, places] @ y
    own = np.concatenate([np.diag(b)[mixed] for _, b, mixed in pairs])  # the weights of their own class in mixed labels
    partners = np.concatenate([np.diag(a)[mixed] for a, _, mixed in pairs])
    return {
        "share of labels mixed with the images' weights and partners": share_of(
            np.all(np.abs(images - labels) < EXACT, axis=1), 1.0
        ),
        "share of labels of 5 classes that fit their images": share_of(
            np.all(np.abs(shaped("y_mixed", y_mixed, y) - wanted) < EXACT, axis=1), 1.0
        ),
        "share of labels with the partners of their images": share_of(
            np.concatenate([_partners(a) == _partners(b) for a, b, _ in pairs]), 1.0
        ),
        "share of labels in which their own class counts": share_of(
            np.concatenate([np.diag(b) for _, b, _ in pairs]) > 0, 1.0
        ),
        "some label is a blend of two": bool(np.any((labels > EXACT) & (labels < 1 - EXACT))),
        "weights in the labels differ from batch to batch": own.size > 0 and not all_alike(own),
        "weights in the labels are those of the partners": own.size > 0
        and bool(np.all(np.abs(own + partners - 1) < EXACT)),
    }


def _mixup_partners(play: Functions, rng: Generator) -> Observations:
    """Four batches of 20: the same partners twice happen by chance with probability 1 / 20!."""
    partners = np.array([_partners(_mixed(play, rng, (20, 1, 4, 5), 4.0)[0]) for _ in range(4)])
    return {
        "share of images that are somebody's partner": share_of(
            np.array([np.isin(np.arange(20), row) for row in partners]), 1.0
        ),
        "partners are drawn anew for each batch": bool(np.any(partners[0] != partners[1])),
    }


def _own_weights(play: Functions, rng: Generator, alpha: float, calls: int) -> Array:
    """The weight of its own in the first image of each of ``calls`` batches of six that has another partner."""
    found = []
    for _ in range(calls):
        weights, _, _ = _mixed(play, rng, (6, 1, 2, 3), alpha)
        mixed = np.flatnonzero(_partners(weights) != np.arange(6))
        if mixed.size:
            found.append(weights[mixed[0], mixed[0]])
    return np.array(found or [np.nan])


TENTH_TO_NINE_TENTHS = 0.326620443139886
"""The probability of 0.1 to 0.9 under Beta(0.2, 0.2): about as much lies below 0.1, and above 0.9."""


def beta_between(alpha: int, low: float) -> float:
    """The probability of low to 1 - low under Beta(alpha, alpha), for whole alpha: 2 alpha - 1 uniform draws in order."""
    n = 2 * alpha - 1
    below = sum(math.comb(n, k) * low**k * (1 - low) ** (n - k) for k in range(alpha, n + 1))
    return 1 - 2 * below


def _mixup_weights(play: Functions, rng: Generator) -> Observations:
    """48 batches for each alpha, as one may draw one weight a batch; a batch in 720 has no pair and is left out. Right
    answers are rejected with probability below 6e-10, uniform weights pass with probability below 1e-9."""
    rare, even = (_own_weights(play, rng, alpha, 48) for alpha in (0.2, 32.0))
    return {
        "share of weights from 0.1 to 0.9 with alpha=0.2": share_of((rare > 0.1) & (rare < 0.9), TENTH_TO_NINE_TENTHS),
        "share of weights above one half with alpha=0.2": share_of(rare > 0.5, 0.5),
        "share of weights from 0.3 to 0.7 with alpha=32": share_of((even > 0.3) & (even < 0.7), beta_between(32, 0.3)),
        "share of weights above one half with alpha=32": share_of(even > 0.5, 0.5),
        "share of weights above 0.7 with alpha=32": share_of(even > 0.7, (1 - beta_between(32, 0.3)) / 2),
        "share of weights above one half with either alpha": share_of(np.concatenate([rare, even]) > 0.5, 0.5),
    }


def _mixup_inputs(play: Functions, rng: Generator) -> Observations:
    """Twelve images: that each is its own partner, and nothing changes, happens with probability 1 / 12!."""
    x, y = rng.standard_normal((12, 2, 2, 3)), np.eye(3)[rng.integers(0, 3, 12)]
    return {"x_mixed": play.mixup(x, y, 1.0, generator_of_its_own(rng))[0]}


def _mixup_by(
    weight: Callable[[Generator, float], float] = lambda rng, alpha: rng.beta(alpha, alpha),
    partners: Callable[[Generator, int], Array] = lambda rng, n: rng.permutation(n),
    images: Callable[[Array, Array, float], Array] = lambda own, other, w: w * own + (1 - w) * other,
    labels: Callable[[Array, Array, float], Array] = lambda own, other, w: w * own + (1 - w) * other,
) -> Callable[..., tuple[Array, Array]]:
    def wrong(x: Array, y_onehot: Array, alpha: float, rng: Generator) -> tuple[Array, Array]:
        w, order = weight(rng, alpha), partners(rng, len(x))
        return images(x, x[order], w), labels(y_onehot, y_onehot[order], w)

    return wrong


def _mixup_other_partner(x: Array, y_onehot: Array, alpha: float, rng: Generator) -> tuple[Array, Array]:
    w, first, second = rng.beta(alpha, alpha), rng.permutation(len(x)), rng.permutation(len(x))
    return w * x + (1 - w) * x[first], w * y_onehot + (1 - w) * y_onehot[second]


def _mixup_other_weight(x: Array, y_onehot: Array, alpha: float, rng: Generator) -> tuple[Array, Array]:
    first, second, order = rng.beta(alpha, alpha), rng.beta(alpha, alpha), rng.permutation(len(x))
    return first * x + (1 - first) * x[order], second * y_onehot + (1 - second) * y_onehot[order]


def _mixup_in_place(x: Array, y_onehot: Array, alpha: float, rng: Generator) -> tuple[Array, Array]:
    x[...], y_onehot[...] = mixup(x, y_onehot, alpha, rng)
    return x, y_onehot


MIXUP = Exercise(
    name="mixup",
    asks="Blend pairs of images, and their labels in the same proportion.",
    reference=mixup,
    returns=("x_mixed", "y_mixed"),
    checks=(
        equals("blends each image with one partner, by weights that sum to 1", 2, _mixup_pairs),
        equals("blends the labels with the same weights and partners", 3, _mixup_labels),
        equals("pairs by a new random permutation: each image is a partner once", 1, _mixup_partners),
        equals("draws the weight from Beta(alpha, alpha)", 2, _mixup_weights),
        from_its_generator(1, lambda play, x, rng: play.mixup(x, np.eye(6)[: len(x)], 1.0, rng)[0], (6, 1, 2, 3)),
        leaves_inputs(1, _mixup_inputs),
    ),
    misconceptions=(
        mistake(
            "mixup",
            "labels-not-mixed",
            "The images are mixed, but the labels are as before. A blend of cat and dog is not all cat.",
            _mixup_by(labels=lambda own, other, w: own.copy()),
        ),
        mistake(
            "mixup",
            "label-weights-exchanged",
            "In the labels lambda and 1 - lambda have changed places: an image that is mostly its own has mostly its "
            "partner's label.",
            _mixup_by(labels=lambda own, other, w: (1 - w) * own + w * other),
        ),
        mistake(
            "mixup",
            "labels-of-another-partner",
            "Images and labels are mixed with different partners: one permutation serves both.",
            _mixup_other_partner,
        ),
        mistake(
            "mixup",
            "labels-with-another-lambda",
            "Images and labels are mixed with different weights: one lambda serves both.",
            _mixup_other_weight,
        ),
        mistake(
            "mixup",
            "partners-labels-only",
            "Your labels are the partners' alone. Mix them as the images.",
            _mixup_by(labels=lambda own, other, w: other),
        ),
        mistake(
            "mixup",
            "labels-halved",
            "Your labels are half one, half the other, whatever lambda is. They have the images' weights.",
            _mixup_by(labels=lambda own, other, w: (own + other) / 2),
        ),
        mistake(
            "mixup",
            "labels-of-the-larger-part",
            "Your labels are those of the image with the larger weight. Mix them as the images.",
            _mixup_by(labels=lambda own, other, w: own.copy() if w >= 0.5 else other),
        ),
        mistake(
            "mixup",
            "lambda-twice",
            "lambda is applied twice: the weights of image and partner do not sum to 1.",
            _mixup_by(
                images=lambda own, other, w: w * (w * own) + (1 - w) * other,
                labels=lambda own, other, w: w * (w * own) + (1 - w) * other,
            ),
        ),
        mistake(
            "mixup",
            "partner-added",
            "The partner is added to the whole image: the weights sum to more than 1. The image itself gets lambda.",
            _mixup_by(
                images=lambda own, other, w: own + (1 - w) * other, labels=lambda own, other, w: own + (1 - w) * other
            ),
        ),
        mistake(
            "mixup",
            "uniform-lambda",
            "Your lambda is uniform in [0, 1]: alpha plays no part. Draw it from Beta(alpha, alpha).",
            _mixup_by(lambda rng, alpha: rng.random()),
        ),
        mistake(
            "mixup",
            "lambda-is-alpha",
            "Your lambda is always the same. Draw it from Beta(alpha, alpha).",
            _mixup_by(lambda rng, alpha: min(alpha, 0.7)),
        ),
        mistake(
            "mixup",
            "beta-of-one-side",
            "Your lambda comes from Beta(alpha, 1), which is not symmetric. Both parameters are alpha.",
            _mixup_by(lambda rng, alpha: rng.beta(alpha, 1)),
        ),
        mistake(
            "mixup",
            "larger-part-its-own",
            "Your lambda is never below one half. (Some later methods do that; mixup does not.)",
            _mixup_by(lambda rng, alpha: max(w := rng.beta(alpha, alpha), 1 - w)),
        ),
        mistake(
            "mixup",
            "partners-fixed",
            "Partners are the same in each batch: the reverse order, say, or the neighbour. Pair by a random "
            "permutation.",
            _mixup_by(partners=lambda rng, n: np.arange(n)[::-1]),
        ),
        mistake(
            "mixup",
            "partners-with-repetition",
            "Some images are partners several times and others never. A permutation takes each one once.",
            _mixup_by(partners=lambda rng, n: rng.integers(n, size=n)),
        ),
        mistake(
            "mixup",
            "in-place",
            "You mix into the caller's own arrays. Return new ones: the next epoch needs the images as they were.",
            _mixup_in_place,
        ),
        *careless_about(mixup),
    ),
    hints=(
        "An image that is 70 per cent cat and 30 per cent dog: what is its label?",
        "x[rng.permutation(N)] holds a partner for each image; the same permutation gives the partners' labels.",
        "lambda = rng.beta(alpha, alpha); lambda a + (1 - lambda) b, once for images and once for labels.",
    ),
)
