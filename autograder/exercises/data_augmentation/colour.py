"""What a pixel's value becomes: brightness, contrast, light along the colours' principal axes, and jitter drawn at random."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from autograder.checks import equals, leaves_inputs, shaped
from autograder.exercise import Exercise, Functions, Misconception, Observations
from autograder.exercises.data_augmentation.shared import (
    EXACT,
    Array,
    Generator,
    all_alike,
    by_its_channel,
    careless_about,
    for_each_image,
    from_its_generator,
    generator_of_its_own,
    in_small_batches,
    mistake,
    one_draw_for_all,
    share_of,
    uniform_numbers,
)

# --- adjust_brightness ----------------------------------------------------------------------------------------------


def adjust_brightness(x: Array, factor: Any) -> Array:
    """factor * x, clipped to [0, 1]. factor: a number or one for each image (N,)."""
    return np.minimum(np.maximum(for_each_image(factor) * x, 0.0), 1.0)


def _brightness_by_a_number(play: Functions, rng: Generator) -> Observations:
    return {
        f"out with factor {factor}": play.adjust_brightness(rng.uniform(0, 0.6, (3, 2, 4, 5)), factor)
        for factor in (1.5, 0.3, 0.0)
    }


def _brightness_by_image(play: Functions, rng: Generator) -> Observations:
    """As many images as there are columns, or rows: a factor that meets the wrong axis does not raise."""
    found: Observations = {}
    for n, c, h, w in ((4, 2, 3, 4), (5, 3, 5, 2)):
        x, factor = rng.uniform(0, 0.6, (n, c, h, w)), rng.permutation(np.linspace(0.2, 1.6, n))
        found[f"out with a factor for each of {n} images, x {x.shape}"] = play.adjust_brightness(x, factor)
    return found


def _brightness_clipped(play: Functions, rng: Generator) -> Observations:
    x = rng.uniform(0, 1, (3, 2, 5, 4))
    return {
        "out with factor 2.5": play.adjust_brightness(x, 2.5),
        "out with factors 4, 1 and 1.5": play.adjust_brightness(x, np.array([4.0, 1.0, 1.5])),
    }


def _brightness_idea(id: str, message: str, wrong: Callable[[Array, Array], Array]) -> Misconception:
    """``wrong`` gets x and the factors (N, 1, 1, 1), or (1, 1, 1, 1)."""
    return mistake("adjust_brightness", id, message, lambda x, factor: wrong(x, for_each_image(factor)))


def _over_the_columns(x: Array, factor: Any) -> Array:
    """The factors meet the last axis, as NumPy's broadcasting has it."""
    factor = np.asarray(factor)
    return factor if factor.size in (1, x.shape[3]) else np.resize(factor, x.shape[3])


ADJUST_BRIGHTNESS = Exercise(
    name="adjust_brightness",
    asks="Multiply the light of each image by a factor.",
    reference=adjust_brightness,
    returns=("out",),
    checks=(
        equals("multiplies every pixel by the factor", 1, _brightness_by_a_number),
        equals("gives each image its own factor where there is one for each", 2, _brightness_by_image),
        equals("clips to [0, 1]", 1, _brightness_clipped),
        leaves_inputs(1, _brightness_clipped),
    ),
    misconceptions=(
        _brightness_idea(
            "added",
            "You add the factor. A factor multiplies: black stays black.",
            lambda x, factor: np.clip(x + factor, 0, 1),
        ),
        _brightness_idea(
            "added-less-one",
            "You add factor - 1 to every pixel. A factor multiplies: black stays black.",
            lambda x, factor: np.clip(x + factor - 1, 0, 1),
        ),
        _brightness_idea(
            "not-clipped",
            "Your result leaves [0, 1]. Clip it: no pixel is brighter than white.",
            lambda x, factor: factor * x,
        ),
        _brightness_idea(
            "wraps-around",
            "Pixels that become too bright turn dark: they wrap around. Clip them to 1.",
            lambda x, factor: factor * x % 1.0,
        ),
        _brightness_idea(
            "rescaled-to-fit",
            "You divide by the largest value where it exceeds 1, and so darken the whole batch. Clip instead.",
            lambda x, factor: factor * x / max(1.0, float((factor * x).max())),
        ),
        _brightness_idea(
            "gamma",
            "You raise the pixels to a power (a gamma correction). Multiply by the factor.",
            lambda x, factor: np.where(factor > 0, x ** (1 / np.maximum(factor, 1e-9)), 0.0),
        ),
        _brightness_idea(
            "first-factor-for-all",
            "All images get the first one's factor.",
            lambda x, factor: np.clip(factor[:1] * x, 0, 1),
        ),
        mistake(
            "adjust_brightness",
            "factor-for-each-column",
            "Your factors go along the columns: (N,) meets the last axis of (N, C, H, W). Give it the shape (N, 1, 1, "
            "1).",
            lambda x, factor: np.clip(_over_the_columns(x, factor) * x, 0, 1),
        ),
    ),
    hints=(
        "With which axis of (N, C, H, W) does an array of shape (N,) meet when you multiply?",
        "np.reshape(factor, (-1, 1, 1, 1)) works for a number, too. np.clip keeps to a range.",
        "Reshape the factor, multiply, clip to 0 and 1.",
    ),
)


# --- adjust_contrast ------------------------------------------------------------------------------------------------


def adjust_contrast(x: Array, factor: Any) -> Array:
    """mean + factor * (x - mean), clipped to [0, 1]; the mean is one number an image, over its channels and pixels."""
    mean = np.array([image.mean() for image in x]).reshape(-1, 1, 1, 1)
    return np.minimum(np.maximum(mean + for_each_image(factor) * (x - mean), 0.0), 1.0)


def _with_means(rng: Generator, shape: tuple[int, int, int, int], means: Any, spread: float) -> Array:
    """Images whose channels have just these means, (N, C) or a number for all, and values within +-spread of them."""
    z = rng.uniform(-0.5, 0.5, shape)
    z -= z.mean(axis=(2, 3), keepdims=True)  # now within +-1
    return np.asarray(np.broadcast_to(means, shape[:2])[:, :, None, None] + spread * z)


def _contrast_around_one_mean(play: Functions, rng: Generator) -> Observations:
    """All channels of all images have the mean 0.4: whichever mean is taken, it is right."""
    return {
        f"out with factor {factor}": play.adjust_contrast(_with_means(rng, (3, 2, 4, 5), 0.4, 0.2), factor)
        for factor in (1.6, 0.3, 0.0)
    }


def _spread_means(rng: Generator, n: int, c: int) -> Array:
    """Means (n, c) between 0.25 and 0.75, no two alike."""
    return rng.permutation(np.linspace(0.25, 0.75, n * c)).reshape(n, c)


def _contrast_around_each_mean(play: Functions, rng: Generator) -> Observations:
    found: Observations = {}
    for n, c, h, w in ((3, 3, 4, 5), (4, 2, 6, 3)):
        x = _with_means(rng, (n, c, h, w), _spread_means(rng, n, c), 0.1)
        for factor in (1.3, 0.4):
            found[f"out with factor {factor}, x {x.shape}"] = play.adjust_contrast(x, factor)
    return found


def _contrast_by_image(play: Functions, rng: Generator) -> Observations:
    found: Observations = {}
    for n, c, h, w in ((4, 2, 3, 4), (5, 3, 5, 2)):
        x, factor = _with_means(rng, (n, c, h, w), 0.45, 0.25), rng.permutation(np.linspace(0.2, 1.5, n))
        found[f"out with a factor for each of {n} images, x {x.shape}"] = play.adjust_contrast(x, factor)
    return found


def _contrast_clipped(play: Functions, rng: Generator) -> Observations:
    x = _with_means(rng, (3, 2, 5, 4), 0.5, 0.45)
    return {
        "out with factor 3": play.adjust_contrast(x, 3.0),
        "out with factors 8, 1 and 2.5": play.adjust_contrast(x, np.array([8.0, 1.0, 2.5])),
    }


def _contrast_idea(id: str, message: str, centre: Callable[[Array], Any]) -> Misconception:
    """Another centre than the image's mean."""

    def wrong(x: Array, factor: Any) -> Array:
        c = centre(x)
        return np.clip(c + for_each_image(factor) * (x - c), 0, 1)

    return mistake("adjust_contrast", id, message, wrong)


def _luminance(x: Array) -> Array:
    weights = np.array([0.299, 0.587, 0.114]) if x.shape[1] == 3 else np.full(x.shape[1], 1 / x.shape[1])
    return np.tensordot(x.mean(axis=(2, 3)), weights, 1)[:, None, None, None]


def _image_mean(x: Array) -> Array:
    return x.mean(axis=(1, 2, 3), keepdims=True)


ADJUST_CONTRAST = Exercise(
    name="adjust_contrast",
    asks="Stretch or squeeze each image's values around its mean.",
    reference=adjust_contrast,
    returns=("out",),
    checks=(
        equals("multiplies the distance from the mean by the factor", 2, _contrast_around_one_mean),
        equals("takes the mean over all channels and pixels of one image", 2, _contrast_around_each_mean),
        equals("gives each image its own factor where there is one for each", 1, _contrast_by_image),
        equals("clips to [0, 1]", 1, _contrast_clipped),
        leaves_inputs(1, _contrast_clipped),
    ),
    misconceptions=(
        _contrast_idea(
            "mean-of-each-channel",
            "Your mean is that of each channel: the image's colour cast is kept out. Here one image has one mean.",
            lambda x: x.mean(axis=(2, 3), keepdims=True),
        ),
        _contrast_idea(
            "mean-of-the-batch",
            "Your mean is over the whole batch: what an image becomes then depends on its neighbours. Each image has "
            "its own.",
            lambda x: x.mean(),
        ),
        _contrast_idea(
            "mean-of-each-pixel",
            "Your mean is over the channels of each pixel: that changes colours, not contrast.",
            lambda x: x.mean(axis=1, keepdims=True),
        ),
        _contrast_idea(
            "around-mid-grey",
            "You stretch around 0.5. Stretch around the image's own mean, so that its brightness stays.",
            lambda x: 0.5,
        ),
        _contrast_idea(
            "luminance",
            "Your mean weighs the channels by 0.299, 0.587 and 0.114 (that of the grey image, as in torchvision). Here "
            "it is the plain mean.",
            _luminance,
        ),
        _contrast_idea(
            "median",
            "You stretch around the median. Stretch around the mean.",
            lambda x: np.median(x, axis=(1, 2, 3), keepdims=True),
        ),
        mistake(
            "adjust_contrast",
            "mean-not-added-back",
            "The mean is taken off but not added back: the images turn dark.",
            lambda x, factor: np.clip(for_each_image(factor) * (x - _image_mean(x)), 0, 1),
        ),
        mistake(
            "adjust_contrast",
            "factor-and-rest-swapped",
            "A factor of 1 gives you a grey image and 0 the image itself: the weights of image and mean have changed "
            "places.",
            lambda x, factor: np.clip(x + for_each_image(factor) * (_image_mean(x) - x), 0, 1),
        ),
        mistake(
            "adjust_contrast",
            "not-clipped",
            "Your result leaves [0, 1]. Clip it.",
            lambda x, factor: _image_mean(x) + for_each_image(factor) * (x - _image_mean(x)),
        ),
        mistake(
            "adjust_contrast",
            "only-multiplied",
            "You multiply the pixels themselves: that is brightness. Contrast multiplies their distance from the mean.",
            lambda x, factor: adjust_brightness(x, factor),
        ),
        mistake(
            "adjust_contrast",
            "standardised",
            "You divide by the standard deviation, too. The factor alone says how far the values are spread.",
            lambda x, factor: np.clip(
                _image_mean(x) + for_each_image(factor) * (x - _image_mean(x)) / x.std(axis=(1, 2, 3), keepdims=True), 0, 1
            ),
        ),
        mistake(
            "adjust_contrast",
            "first-factor-for-all",
            "All images get the first one's factor.",
            lambda x, factor: adjust_contrast(x, for_each_image(factor)[:1]),
        ),
        mistake(
            "adjust_contrast",
            "factor-for-each-column",
            "Your factors go along the columns: (N,) meets the last axis of (N, C, H, W). Give it the shape (N, 1, 1, "
            "1).",
            lambda x, factor: np.clip(_image_mean(x) + _over_the_columns(x, factor) * (x - _image_mean(x)), 0, 1),
        ),
    ),
    hints=(
        "What must a factor of 1 give, and what a factor of 0?",
        "x.mean over three axes with keepdims=True leaves one mean an image, ready to broadcast.",
        "mean + factor (x - mean), the factor as (N, 1, 1, 1), clipped to 0 and 1.",
    ),
)


# --- pca_lighting ---------------------------------------------------------------------------------------------------


def pca_lighting(x: Array, alphas: Array, eigenvalues: Array, eigenvectors: Array) -> Array:
    """eigenvectors @ (alphas[n] * eigenvalues) added to every pixel of image n, clipped to [0, 1] (Krizhevsky et al.
    2012)."""
    shifts = [eigenvectors @ (alpha * eigenvalues) for alpha in alphas]
    return np.stack([np.clip(image + shift[:, None, None], 0, 1) for image, shift in zip(x, shifts, strict=True)])


def _colour_axes(rng: Generator) -> tuple[Array, Array]:
    """Eigenvalues (3,), falling and far from 1, and orthonormal eigenvectors in columns, far from symmetric."""
    turn = rng.uniform(0.4, 0.9, 3) * rng.choice([-1.0, 1.0])
    vectors = np.eye(3)
    for (i, j), angle in zip(((0, 1), (1, 2), (0, 2)), turn, strict=True):
        plane = np.eye(3)
        plane[[i, j], [i, j]] = math.cos(angle)
        plane[i, j], plane[j, i] = -math.sin(angle), math.sin(angle)
        vectors = vectors @ plane
    return np.array([0.5, 0.2, 0.1]) * rng.uniform(0.9, 1.1, 3), vectors


def _lighting(play: Functions, rng: Generator) -> Observations:
    found: Observations = {}
    for n, h, w in ((3, 4, 5), (4, 6, 3), (1, 2, 4)):
        values, vectors = _colour_axes(rng)
        x, alphas = (
            rng.uniform(0.45, 0.55, (n, 3, h, w)),
            rng.uniform(0.2, 0.5, (n, 3)) * rng.choice([-1.0, 1.0], (n, 3)),
        )
        found[f"out for x {x.shape}"] = play.pca_lighting(x, alphas, values, vectors)
    return found


def _lighting_clipped(play: Functions, rng: Generator) -> Observations:
    values, vectors = _colour_axes(rng)
    x, alphas = rng.uniform(0, 1, (5, 3, 3, 4)), 2 * rng.standard_normal((5, 3))
    return {"out near black and white": play.pca_lighting(x, alphas, values, vectors)}


def _lighting_idea(id: str, message: str, shifts: Callable[[Array, Array, Array], Array]) -> Misconception:
    """Other shifts (N, 3) than eigenvectors @ (alpha * eigenvalues)."""

    def wrong(x: Array, alphas: Array, eigenvalues: Array, eigenvectors: Array) -> Array:
        return np.clip(x + shifts(alphas, eigenvalues, eigenvectors)[:, :, None, None], 0, 1)

    return mistake("pca_lighting", id, message, wrong)


PCA_LIGHTING = Exercise(
    name="pca_lighting",
    asks="Shift each image's colour along the principal axes of the colours of the training set.",
    reference=pca_lighting,
    returns=("out",),
    checks=(
        equals(
            "adds eigenvectors @ (alphas * eigenvalues) to every pixel, each image with its own alphas", 3, _lighting
        ),
        equals("clips to [0, 1]", 1, _lighting_clipped),
        leaves_inputs(1, _lighting),
    ),
    misconceptions=(
        _lighting_idea(
            "eigenvectors-in-rows",
            "You take the eigenvectors from the rows. They are the columns, as np.linalg.eigh returns them.",
            lambda a, v, p: (a * v) @ p,
        ),
        _lighting_idea(
            "roots-of-eigenvalues",
            "You multiply by the roots of the eigenvalues (standard deviations). The paper multiplies by the "
            "eigenvalues.",
            lambda a, v, p: (a * np.sqrt(v)) @ p.T,
        ),
        _lighting_idea(
            "eigenvalues-missing",
            "The eigenvalues play no part: all three axes are shifted alike, though colours hardly vary along the "
            "last.",
            lambda a, v, p: a @ p.T,
        ),
        _lighting_idea(
            "eigenvalues-on-the-channels",
            "The eigenvalues scale the red, green and blue of the sum. They belong to the axes: multiply them with the "
            "alphas, before the eigenvectors.",
            lambda a, v, p: (a @ p.T) * v,
        ),
        _lighting_idea(
            "first-alphas-for-all",
            "All images get the first one's alphas.",
            lambda a, v, p: np.repeat((a[:1] * v) @ p.T, len(a), axis=0),
        ),
        _lighting_idea(
            "one-grey-shift",
            "All three channels are shifted by the same amount: that is brightness. The shift is a colour, (3,) an "
            "image.",
            lambda a, v, p: np.repeat(((a * v) @ p.T).mean(axis=1, keepdims=True), 3, axis=1),
        ),
        _lighting_idea(
            "subtracted",
            "The shift has the wrong sign: add it.",
            lambda a, v, p: -(a * v) @ p.T,
        ),
        mistake(
            "pca_lighting",
            "not-clipped",
            "Your result leaves [0, 1]. Clip it.",
            lambda x, a, v, p: x + ((a * v) @ p.T)[:, :, None, None],
        ),
        mistake(
            "pca_lighting",
            "multiplied",
            "You multiply the pixels by 1 + shift. The shift is added, the same to dark and bright pixels.",
            lambda x, a, v, p: np.clip(x * (1 + ((a * v) @ p.T)[:, :, None, None]), 0, 1),
        ),
    ),
    hints=(
        "How many numbers is an image's shift made of?",
        "For one image: eigenvectors @ (alpha * eigenvalues), (3, 3) times (3,). For all at once: (alphas * "
        "eigenvalues) times the transpose.",
        "The shift (N, 3) becomes (N, 3, 1, 1); add it to x and clip.",
    ),
)


# --- color_jitter ---------------------------------------------------------------------------------------------------


def color_jitter(x: Array, brightness: float, contrast: float, rng: Generator) -> Array:
    """Brightness, then contrast, by factors of its own for each image, uniform in [max(0, 1 - strength), 1 + strength]."""
    out = []
    for image in x:
        bright = rng.uniform(max(0.0, 1 - brightness), 1 + brightness)
        stretch = rng.uniform(max(0.0, 1 - contrast), 1 + contrast)
        out.append(adjust_contrast(adjust_brightness(image[None], bright), stretch)[0])
    return np.stack(out)


def _dim(rng: Generator, n: int, c: int, h: int, w: int, level: float = 0.3) -> Array:
    """Images far from black and white, so that moderate factors clip nothing; every channel has a mean of its own."""
    means = level * np.linspace(0.9, 1.1, c)
    return _with_means(rng, (n, c, h, w), np.tile(means, (n, 1)), level / 5)


def _factors(x: Array, out: Any) -> tuple[Array, Array, Array]:
    """Brightness and contrast factors (N,) that were applied, where nothing was clipped, and whether that is all."""
    found = shaped("out", out, x)
    mean, seen = _image_mean(x), _image_mean(found)
    bright = seen / mean
    slope = np.sum((found - seen) * (x - mean), axis=(1, 2, 3)) / np.sum((x - mean) ** 2, axis=(1, 2, 3))
    explained = np.all(np.abs(seen + slope[:, None, None, None] * (x - mean) - found) < EXACT, axis=(1, 2, 3))
    bright = bright.ravel()
    with np.errstate(divide="ignore", invalid="ignore"):
        stretch = np.where(bright > 0, slope / bright, np.nan)
    return np.where(explained, bright, np.nan), np.where(explained, stretch, np.nan), explained


def _jitter_whole(play: Functions, rng: Generator) -> Observations:
    x = _dim(rng, 30, 3, 3, 4)
    bright, stretch, explained = _factors(x, play.color_jitter(x, 0.5, 0.4, generator_of_its_own(rng)))
    return {
        "share of images changed by one brightness and one contrast factor": share_of(explained, 1.0),
        "brightness and contrast change": not (all_alike(bright) and all_alike(stretch)),
    }


def _jitter_amounts(play: Functions, rng: Generator) -> Observations:
    """300 factors of each kind. Right answers are rejected with probability below 8e-10."""
    x = _dim(rng, 300, 1, 2, 3)
    bright, stretch, _ = _factors(x, in_small_batches(x, rng, lambda part, own: play.color_jitter(part, 0.6, 0.3, own)))
    together = (bright > 1) == (stretch > 1)
    outer = np.concatenate([np.abs(bright - 1) > 0.3, np.abs(stretch - 1) > 0.15])
    return {
        **uniform_numbers("brightness factors", bright, 0.4, 1.6),
        **uniform_numbers("contrast factors", stretch, 0.7, 1.3),
        "share of factors nearer to the ends of their range than to 1": share_of(outer, 0.5),
        "share of images with both factors above 1 or both below": share_of(together & np.isfinite(stretch), 0.5),
    }


def _jitter_strong(play: Functions, rng: Generator) -> Observations:
    """Strength 1.5: factors from 0 to 2.5, not from -0.5. Right answers are rejected with probability below 5e-10."""
    x = _dim(rng, 200, 1, 2, 3)
    bright, _, _ = _factors(x, in_small_batches(x, rng, lambda part, own: play.color_jitter(part, 1.5, 0.2, own)))
    _, stretch, _ = _factors(x, in_small_batches(x, rng, lambda part, own: play.color_jitter(part, 0.2, 1.5, own)))
    return {
        "share of contrast factors below 0 with strength 1.5": share_of(stretch < -1e-3, 0.0),
        "share of contrast factors below 0.4 with strength 1.5": share_of(stretch < 0.4, 0.4 / 2.5),
        "share of brightness factors below 0.02 with strength 1.5": share_of(bright < 0.02, 0.02 / 2.5),
        "share of brightness factors below 0.4 with strength 1.5": share_of(bright < 0.4, 0.4 / 2.5),
        "share of brightness factors above 1.25 with strength 1.5": share_of(bright > 1.25, 0.5),
    }


def _jitter_in_order(play: Functions, rng: Generator) -> Observations:
    """Equal generators draw equal factors: they are read from dim images and applied to bright ones."""
    seed, n = int(rng.integers(2**32)), 100
    dim, bright = _dim(rng, n, 2, 2, 3, level=0.25), rng.uniform(0, 1, (n, 2, 2, 3))
    factors, stretches, _ = _factors(dim, play.color_jitter(dim, 0.9, 0.5, np.random.default_rng(seed)))
    out = shaped("out", play.color_jitter(bright, 0.9, 0.5, np.random.default_rng(seed)), bright)

    def equal(wanted: Array) -> Array:
        return np.asarray(np.all(np.abs(out - wanted) < 10 * EXACT, axis=(1, 2, 3)))

    right = equal(adjust_contrast(adjust_brightness(bright, factors), stretches))
    return {
        "share of images that are made brighter, clipped, stretched and clipped, in this order": share_of(right, 1.0),
        "share of images within [0, 1]": share_of(np.all((out >= 0) & (out <= 1), axis=(1, 2, 3)), 1.0),
        "contrast comes first": bool(equal(adjust_brightness(adjust_contrast(bright, stretches), factors)).all()),
    }


def _jitter_alone(play: Functions, rng: Generator) -> Observations:
    x = _dim(rng, 30, 1, 2, 3)
    bright, stretch, _ = _factors(x, play.color_jitter(x, 0.5, 0.4, generator_of_its_own(rng)))
    return {
        "all 30 images of a batch get the same brightness": all_alike(bright),
        "all 30 images of a batch get the same contrast": all_alike(stretch),
    }


def _jitter_inputs(play: Functions, rng: Generator) -> Observations:
    return {"out": play.color_jitter(_dim(rng, 3, 2, 3, 4), 0.3, 0.3, generator_of_its_own(rng))}


def _jitter_by(
    factors: Callable[[Generator, float, float], tuple[float, float]],
    apply: Callable[[Array, float, float], Array] = lambda x, b, c: adjust_contrast(adjust_brightness(x, b), c),
) -> Callable[..., Array]:
    """Other factors, ``factors(rng, brightness, contrast)`` for one image, or other uses of them."""
    return lambda x, brightness, contrast, rng: np.concatenate(
        [apply(image[None], *factors(rng, brightness, contrast)) for image in x]
    )


def _right_factors(rng: Generator, b: float, c: float) -> tuple[float, float]:
    return rng.uniform(max(0.0, 1 - b), 1 + b), rng.uniform(max(0.0, 1 - c), 1 + c)


def _one_number(rng: Generator, b: float, c: float) -> tuple[float, float]:
    u = rng.random()
    first, second = ((max(0.0, 1 - s), 1 + s) for s in (b, c))
    return first[0] + u * (first[1] - first[0]), second[0] + u * (second[1] - second[0])


def _jitter_with(play: Functions) -> Callable[..., Array]:
    """Both adjustments by factors for all images at once."""

    def jitter(x: Array, brightness: float, contrast: float, rng: Generator) -> Array:
        bright, stretch = (rng.uniform(max(0.0, 1 - s), 1 + s, len(x)) for s in (brightness, contrast))
        return np.asarray(play.adjust_contrast(np.asarray(play.adjust_brightness(x, bright)), stretch))

    return jitter


COLOR_JITTER = Exercise(
    name="color_jitter",
    asks="Change brightness and contrast of each image by random factors.",
    reference=color_jitter,
    returns=("out",),
    checks=(
        equals("changes an image by one brightness and one contrast factor, all channels alike", 2, _jitter_whole),
        equals("draws both factors uniformly between 1 - strength and 1 + strength, independently", 2, _jitter_amounts),
        equals("draws no factor below 0", 1, _jitter_strong),
        equals("adjusts brightness first, then contrast, and stays in [0, 1]", 1, _jitter_in_order),
        equals("draws factors of its own for each image", 2, _jitter_alone),
        from_its_generator(1, lambda play, x, rng: play.color_jitter(x, 0.4, 0.4, rng), (4, 2, 2, 3)),
        leaves_inputs(1, _jitter_inputs),
    ),
    misconceptions=(
        mistake(
            "color_jitter",
            "contrast-first",
            "You adjust contrast before brightness. Where values are clipped, the order matters: brightness first.",
            _jitter_by(_right_factors, lambda x, b, c: adjust_brightness(adjust_contrast(x, c), b)),
        ),
        mistake(
            "color_jitter",
            "factors-for-the-batch",
            "All images of a batch get the same factors. Draw factors for each image.",
            one_draw_for_all(color_jitter),
        ),
        mistake(
            "color_jitter",
            "factors-for-each-channel",
            "The channels of an image get different factors: its colours change. Draw one pair of factors an image.",
            by_its_channel(color_jitter),
        ),
        mistake(
            "color_jitter",
            "one-number-for-both",
            "One random number decides both factors: brighter images are always those with more contrast. Draw two.",
            _jitter_by(_one_number),
        ),
        mistake(
            "color_jitter",
            "around-zero",
            "Your factors lie between -strength and +strength. A factor of 1 leaves an image as it is: add 1.",
            _jitter_by(lambda rng, b, c: (rng.uniform(-b, b), rng.uniform(-c, c))),
        ),
        mistake(
            "color_jitter",
            "upwards-only",
            "Your factors are never below 1: images only become brighter. They go from 1 - strength to 1 + strength.",
            _jitter_by(lambda rng, b, c: (rng.uniform(1, 1 + b), rng.uniform(1, 1 + c))),
        ),
        mistake(
            "color_jitter",
            "negative-factors",
            "With a strength above 1 some of your factors are negative, and the images black. Begin at max(0, 1 - "
            "strength).",
            _jitter_by(lambda rng, b, c: (rng.uniform(1 - b, 1 + b), rng.uniform(1 - c, 1 + c))),
        ),
        mistake(
            "color_jitter",
            "strengths-exchanged",
            "The strengths have changed places: brightness comes before contrast in the arguments.",
            _jitter_by(lambda rng, b, c: _right_factors(rng, c, b)),
        ),
        mistake(
            "color_jitter",
            "normal-factors",
            "Your factors are normally distributed: some lie far outside 1 +- strength. Draw them uniformly.",
            _jitter_by(lambda rng, b, c: (max(0.0, rng.normal(1, b)), max(0.0, rng.normal(1, c)))),
        ),
        mistake(
            "color_jitter",
            "brightness-only",
            "Contrast stays as it was.",
            _jitter_by(lambda rng, b, c: (_right_factors(rng, b, c)[0], 1.0)),
        ),
        mistake(
            "color_jitter",
            "not-clipped",
            "Your result leaves [0, 1]. adjust_brightness and adjust_contrast both clip.",
            _jitter_by(_right_factors, lambda x, b, c: b * _image_mean(x) + c * (b * x - b * _image_mean(x))),
        ),
        mistake(
            "color_jitter",
            "clipped-at-the-end-only",
            "You clip once, at the end. Brightness clips first, and contrast goes by the mean of what is left.",
            _jitter_by(
                _right_factors, lambda x, b, c: np.clip(b * _image_mean(x) + c * (b * x - b * _image_mean(x)), 0, 1)
            ),
        ),
        *careless_about(color_jitter),
    ),
    hints=(
        "Which factor leaves an image as it is, and how far from it may yours be?",
        "rng.uniform(max(0, 1 - brightness), 1 + brightness, N) draws one factor for each image.",
        "adjust_brightness with the first factors, adjust_contrast of its result with the second.",
    ),
    builds_on=("adjust_brightness", "adjust_contrast"),
    composed=_jitter_with,
)
