"""Assignment 08, data augmentation: transforms of images by given amounts, by drawn ones, and crops at test time.

Images are (N, C, H, W). What is drawn is read back from images made for it: a ramp tells from where a pixel was fetched, a
single bright pixel which images were mixed. So a claim about chance is judged by places and amounts, never by pixels.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograder.checks import equals, leaves_inputs, shaped
from autograder.compare import Share
from autograder.exercise import Check, Exercise, Functions, Misconception, Observations

Array = np.ndarray
Generator = np.random.Generator

EXACT = 1e-5
"""Pixels that should be one and the same differ by less than this, in float32 too; different ones by far more."""

# --- shared ---------------------------------------------------------------------------------------------------------


def _own(rng: Generator) -> Generator:
    """A generator to hand out, so that what is drawn from it does not move the scenario's own."""
    return np.random.default_rng(int(rng.integers(2**32)))


def _idea(name: str, id: str, message: str, wrong: Callable[..., Any]) -> Misconception:
    return Misconception(id, message, {name: wrong})


def _per_image(factor: Any) -> Array:
    return np.asarray(factor, dtype=float).reshape(-1, 1, 1, 1)


def _share(flags: Array, expected: float) -> Share:
    return Share(int(np.count_nonzero(flags)), int(np.size(flags)), expected)


def _uniform(what: str, values: Array, low: float, high: float) -> Observations:
    """Whether draws (n,) are uniform between low and high: none outside, a quarter in the first and in the last quarter.
    An amount that could not be read is NaN and counts as outside."""
    quarter, tiny = (high - low) / 4, EXACT * (high - low)
    inside = (values >= low - tiny) & (values <= high + tiny)
    return {
        f"share of {what} from {low:.4g} to {high:.4g}": _share(inside, 1.0),
        f"share of {what} in the first quarter of that": _share(inside & (values < low + quarter), 0.25),
        f"share of {what} in the last quarter of that": _share(inside & (values > high - quarter), 0.25),
    }


def _all_alike(values: Array) -> bool:
    return bool(np.all(np.abs(values - values[0]) < EXACT))


def _in_batches(x: Array, rng: Generator, call: Callable[[Array, Generator], Any], count: int = 4) -> Array:
    """What ``call`` makes of x, in ``count`` equal parts: one draw for a whole batch then is not one draw for all that is
    seen."""
    return np.concatenate([np.asarray(call(part, _own(rng))) for part in np.split(x, count)])


def _from_its_generator(
    points: float, call: Callable[[Functions, Array, Generator], Any], shape: Sequence[int]
) -> Check:
    """Everything random comes from the generator that is given: its state decides the result. Where little is drawn, two
    generators may agree by chance: up to 30 others are tried."""

    def observe(play: Functions, rng: Generator) -> Observations:
        x = rng.uniform(0.2, 0.8, tuple(shape))
        one, *others = (int(seed) for seed in rng.integers(2**32, size=31))

        def result(seed: int) -> Array:
            return np.asarray(call(play, x, np.random.default_rng(seed)), dtype=float)

        first = result(one)
        return {
            "equal generators give equal results": bool(np.array_equal(first, result(one))),
            "another generator gives another result": any(not np.array_equal(first, result(seed)) for seed in others),
        }

    return equals("draws from the generator it is given", points, observe)


def _careless(reference: Callable[..., Any]) -> tuple[Misconception, Misconception]:
    """What can go wrong with any generator: it is not used, or made anew from a constant."""
    name, position = reference.__name__, list(inspect.signature(reference).parameters).index("rng")

    def with_generator(make: Callable[[], Generator]) -> Callable[..., Any]:
        return lambda *given: reference(*given[:position], make(), *given[position + 1 :])

    return (
        _idea(
            name,
            "generator-ignored",
            "Two calls with equal generators differ: something is drawn from elsewhere. Draw everything from rng, so "
            "that an experiment can be repeated.",
            with_generator(np.random.default_rng),
        ),
        _idea(
            name,
            "seed-fixed",
            "Two different generators give the same result: a seed is fixed inside. Every mini-batch would be changed "
            "in the same way. Draw from rng as it comes.",
            with_generator(lambda: np.random.default_rng(0)),
        ),
    )


def _one_draw(reference: Callable[..., Any]) -> Callable[..., Any]:
    """The reference with the same draw for all images of a batch."""
    position = list(inspect.signature(reference).parameters).index("rng")

    def for_all(x: Array, *given: Any) -> Array:
        seed = int(given[position - 1].integers(2**32))

        def alone(image: Array) -> Array:
            return np.asarray(
                reference(image[None], *given[: position - 1], np.random.default_rng(seed), *given[position:])[0]
            )

        return np.stack([alone(image) for image in x])

    return for_all


def _by_channel(reference: Callable[..., Any]) -> Callable[..., Any]:
    """The reference with draws of their own for the channels of an image."""

    def each(x: Array, *given: Any) -> Array:
        out = reference(x.reshape(-1, 1, *x.shape[2:]), *given)
        return np.asarray(out).reshape(*x.shape[:2], *out.shape[2:])

    return each


# --- horizontal_flip ------------------------------------------------------------------------------------------------


def horizontal_flip(x: Array, which: Array) -> Array:
    """The images for which ``which`` (N,) is true with their columns in reverse order, the others as they are."""
    out = x.copy()
    for n in np.flatnonzero(which):
        out[n] = x[n, :, :, ::-1]
    return out


def _flipped(flipped: bool) -> Callable[[Functions, Generator], Observations]:
    """Only the images that are to be mirrored, or only the others."""

    def observe(play: Functions, rng: Generator) -> Observations:
        found: Observations = {}
        for n, c, h, w in ((5, 2, 3, 4), (4, 3, 6, 5)):
            x, which = rng.standard_normal((n, c, h, w)), rng.permutation(np.arange(n) < 2)
            out = shaped("out", play.horizontal_flip(x, which), x)
            found[f"{'mirrored' if flipped else 'other'} images of {x.shape}"] = out[which == flipped]
        x = rng.standard_normal((3, 2, 4, 3))
        out = play.horizontal_flip(x, np.full(3, flipped))
        return found | {f"images where which is {flipped} for all": out}

    return observe


def _flip_inputs(play: Functions, rng: Generator) -> Observations:
    return {"out": play.horizontal_flip(rng.standard_normal((4, 2, 3, 5)), np.array([True, False, True, True]))}


def _flip_idea(id: str, message: str, turned: Callable[[Array], Array]) -> Misconception:
    """Turns the chosen images otherwise."""

    def flip(x: Array, which: Array) -> Array:
        return np.where(which[:, None, None, None], turned(x), x)

    return _idea("horizontal_flip", id, message, flip)


def _flip_in_place(x: Array, which: Array) -> Array:
    x[which] = x[which][..., ::-1]
    return x


HORIZONTAL_FLIP = Exercise(
    name="horizontal_flip",
    asks="Mirror the chosen images, left for right.",
    reference=horizontal_flip,
    returns=("out",),
    checks=(
        equals("mirrors the chosen images, left for right", 2, _flipped(True)),
        equals("returns the other images as they were", 1, _flipped(False), supporting=True),
        leaves_inputs(1, _flip_inputs),
    ),
    misconceptions=(
        _flip_idea(
            "upside-down",
            "Your images stand on their heads: the rows are reversed. Left for right means the columns, the last axis.",
            lambda x: x[:, :, ::-1],
        ),
        _flip_idea(
            "turned-by-half",
            "Both rows and columns are reversed: the image is turned by 180 degrees. Reverse the columns only.",
            lambda x: x[:, :, ::-1, ::-1],
        ),
        _flip_idea(
            "channels-reversed",
            "The channels are reversed: colours change, nothing is mirrored. The columns are the last axis.",
            lambda x: x[:, ::-1],
        ),
        _flip_idea(
            "order-of-the-batch",
            "The order of the images is reversed, not the columns within each image. The columns are the last axis.",
            lambda x: x[::-1],
        ),
        _idea(
            "horizontal_flip",
            "all-flipped",
            "You mirror all images. Only those where which is true are to be mirrored.",
            lambda x, which: x[..., ::-1],
        ),
        _idea(
            "horizontal_flip",
            "which-inverted",
            "You mirror the images where which is false, and leave those where it is true.",
            lambda x, which: horizontal_flip(x, ~which),
        ),
        _idea(
            "horizontal_flip",
            "none-flipped",
            "Nothing is mirrored: the images come back as they were.",
            lambda x, which: x.copy(),
        ),
        _idea(
            "horizontal_flip",
            "in-place",
            "You mirror the caller's own images. Work on a copy: the next epoch needs them as they were.",
            _flip_in_place,
        ),
    ),
    hints=(
        "Which of the four axes of (N, C, H, W) runs from left to right?",
        "x[..., ::-1] mirrors all images; a boolean array picks some of them.",
        "Copy x, and put the mirrored version of x[which] in its place.",
    ),
)

# --- crop -----------------------------------------------------------------------------------------------------------


def crop(x: Array, top: Array, left: Array, size: int) -> Array:
    """(N, C, size, size): of each image the square whose upper left corner is at row top[n], column left[n]."""
    return np.stack([image[:, t : t + size, k : k + size] for image, t, k in zip(x, top, left, strict=True)])


def _crops_within(play: Functions, rng: Generator) -> Observations:
    """The places of a batch all differ, in rows and in columns."""
    found: Observations = {}
    for n, c, h, w, size in ((4, 2, 9, 11, 3), (5, 3, 10, 12, 4)):
        x = rng.standard_normal((n, c, h, w))
        top, left = 1 + rng.permutation(h - size - 1)[:n], 1 + rng.permutation(w - size - 1)[:n]
        found[f"crops of side {size} from {x.shape}"] = play.crop(x, top, left, size)
    return found


def _crops_at_the_border(play: Functions, rng: Generator) -> Observations:
    x = rng.standard_normal((4, 2, 6, 8))
    top, left = np.array([0, 2, 0, 2]), np.array([0, 0, 4, 4])
    wide = rng.standard_normal((2, 3, 5, 7))
    return {
        "crops at the four corners": play.crop(x, top, left, 4),
        "crops as high as the image": play.crop(wide, np.array([0, 0]), np.array([2, 1]), 5),
        "crops of one pixel": play.crop(wide, np.array([4, 0]), np.array([6, 3]), 1),
    }


def _crop_idea(id: str, message: str, places: Callable[..., tuple[Array, Array]]) -> Misconception:
    """Cuts at other places than asked for, as far as they lie in the image."""

    def wrong(x: Array, top: Array, left: Array, size: int) -> Array:
        t, k = places(top, left, size, *x.shape[2:])
        return crop(x, np.clip(t, 0, x.shape[2] - size), np.clip(k, 0, x.shape[3] - size), size)

    return _idea("crop", id, message, wrong)


CROP = Exercise(
    name="crop",
    asks="Cut a square out of each image, each at its own place.",
    reference=crop,
    returns=("crops",),
    checks=(
        equals("cuts each image at its own row and column, all channels alike", 2, _crops_within),
        equals("reaches the first and last row and column, at any size", 1, _crops_at_the_border),
        leaves_inputs(1, _crops_within),
    ),
    misconceptions=(
        _crop_idea(
            "rows-and-columns-swapped",
            "top and left have changed places: top counts rows (axis 2), left counts columns (axis 3).",
            lambda top, left, size, h, w: (left, top),
        ),
        _crop_idea(
            "first-place-for-all",
            "All images are cut where the first one is. top and left hold a place for each image.",
            lambda top, left, size, h, w: (np.full_like(top, top[0]), np.full_like(left, left[0])),
        ),
        _crop_idea(
            "place-as-centre",
            "Your squares have their centre at (top, left). That is to be their upper left corner.",
            lambda top, left, size, h, w: (top - size // 2, left - size // 2),
        ),
        _crop_idea(
            "from-the-bottom",
            "Your rows are counted from the bottom. Row 0 is the uppermost.",
            lambda top, left, size, h, w: (h - size - top, left),
        ),
        _crop_idea(
            "top-for-both",
            "Your squares begin at column top, too. The column is left.",
            lambda top, left, size, h, w: (top, top),
        ),
        _crop_idea(
            "one-too-far",
            "Your squares begin one row and one column too late. Rows and columns count from 0.",
            lambda top, left, size, h, w: (top + 1, left + 1),
        ),
        _crop_idea(
            "place-ignored",
            "Your squares are the images' upper left corners, whatever top and left say.",
            lambda top, left, size, h, w: (np.zeros_like(top), np.zeros_like(left)),
        ),
        _idea(
            "crop",
            "one-too-large",
            "Your squares have a side of size + 1. A slice ends before its upper limit.",
            lambda x, top, left, size: crop(np.pad(x, ((0, 0), (0, 0), (0, 1), (0, 1))), top, left, size + 1),
        ),
        _idea(
            "crop",
            "as-one-image",
            "You return the first image's square only. Return one for each image.",
            lambda x, top, left, size: crop(x, top, left, size)[:1],
        ),
    ),
    hints=(
        "Which rows does the square of image n cover?",
        "Rows top[n] up to, but not including, top[n] + size; columns likewise with left[n]. A loop over n is fine.",
        "Stack the slices image[:, rows, columns] along a new first axis.",
    ),
)

# --- resize_bilinear ------------------------------------------------------------------------------------------------


def _positions(length: int, size: int) -> Array:
    """Where in an axis of ``length`` pixels the centres of ``size`` output pixels lie, kept between its outer centres."""
    return np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)


def _along_rows_and_columns(x: Array, rows: Array, columns: Array) -> Array:
    """x (N, C, H, W) at fractional rows (h,) and columns (w,) inside the image: (N, C, h, w)."""
    for axis, position in ((2, rows), (3, columns)):
        lower = np.clip(np.floor(position).astype(int), 0, max(x.shape[axis] - 2, 0))
        upper = np.minimum(lower + 1, x.shape[axis] - 1)
        share = np.expand_dims(position - lower, 1) if axis == 2 else position - lower
        x = np.take(x, lower, axis) * (1 - share) + np.take(x, upper, axis) * share
    return x


def resize_bilinear(x: Array, size: int) -> Array:
    """(N, C, size, size): bilinear interpolation with half-pixel centres, clamped at the border, no smoothing."""
    return _along_rows_and_columns(x, _positions(x.shape[2], size), _positions(x.shape[3], size))


def _enlarged(border: bool) -> Callable[[Functions, Generator], Observations]:
    """The pixels whose four neighbours exist, or the others."""

    def observe(play: Functions, rng: Generator) -> Observations:
        found: Observations = {}
        for n, c, h, w, size in ((2, 3, 4, 6, 9), (3, 1, 5, 3, 8)):
            x = rng.standard_normal((n, c, h, w))
            out = shaped("out", play.resize_bilinear(x, size), np.zeros((n, c, size, size)))
            rows, columns = ((np.arange(size) + 0.5) * length / size - 0.5 for length in (h, w))
            inside = np.outer((rows > 0) & (rows < h - 1), (columns > 0) & (columns < w - 1))
            part = "border" if border else "inner pixels"
            found[f"{part} of ({h}, {w}) enlarged to {size}"] = out[..., inside != border]
        return found

    return observe


def _shrunk(play: Functions, rng: Generator) -> Observations:
    return {
        f"({h}, {w}) shrunk to {size}": play.resize_bilinear(rng.standard_normal((n, c, h, w)), size)
        for n, c, h, w, size in ((2, 3, 9, 11, 4), (3, 2, 14, 10, 3))
    }


def _resize_by(
    rows: Callable[[int, int], Array], columns: Callable[[int, int], Array] | None = None
) -> Callable[..., Array]:
    """Resizing with other positions, (length, size) -> (size,), still kept inside the image."""

    def resized(x: Array, size: int) -> Array:
        return _along_rows_and_columns(
            x,
            np.clip(rows(x.shape[2], size), 0, x.shape[2] - 1),
            np.clip((columns or rows)(x.shape[3], size), 0, x.shape[3] - 1),
        )

    return resized


def _resized_beyond(frame: Callable[[Array], Array]) -> Callable[..., Array]:
    """Positions that are not clamped; what is outside comes from a frame of two pixels around the image."""

    def resized(x: Array, size: int) -> Array:
        rows, columns = (2 + (np.arange(size) + 0.5) * length / size - 0.5 for length in x.shape[2:])
        return _along_rows_and_columns(frame(x), rows, columns)

    return resized


def _extrapolated(x: Array, size: int) -> Array:
    for axis in (2, 3):
        length = x.shape[axis]
        position = (np.arange(size) + 0.5) * length / size - 0.5
        lower = np.clip(np.floor(position).astype(int), 0, length - 2)
        share = (position - lower).reshape(-1, *[1] * (3 - axis))
        x = np.take(x, lower, axis) * (1 - share) + np.take(x, lower + 1, axis) * share
    return x


def _shares_swapped(x: Array, size: int) -> Array:
    def swapped(length: int, size: int) -> Array:
        position = _positions(length, size)
        lower = np.clip(np.floor(position), 0, length - 2)
        return lower + 1 - (position - lower)

    return _resize_by(swapped)(x, size)


def _area_average(x: Array, size: int) -> Array:
    """Each output pixel is a mean over as many input pixels as it covers (a triangle twice as wide, as in antialiasing)."""

    def weights(length: int) -> Array:
        width = max(1.0, length / size)
        distance = np.abs((np.arange(size) + 0.5)[:, None] * length / size - 0.5 - np.arange(length))
        weight = np.maximum(0, 1 - distance / width)
        return np.asarray(weight / weight.sum(axis=1, keepdims=True))

    return np.asarray(weights(x.shape[2]) @ x @ weights(x.shape[3]).T)


_TWO_AROUND = ((0, 0), (0, 0), (2, 2), (2, 2))

RESIZE_BILINEAR = Exercise(
    name="resize_bilinear",
    asks="Bring images to another size by interpolating between pixel centres.",
    reference=resize_bilinear,
    returns=("out",),
    checks=(
        equals(
            "enlarges: each inner pixel is interpolated between the four nearest pixel centres", 3, _enlarged(False)
        ),
        equals("enlarges: at the border it looks no further than the outermost centres", 2, _enlarged(True)),
        equals("shrinks by the same rule, rows and columns each by their own factor", 2, _shrunk),
        leaves_inputs(1, _shrunk),
    ),
    misconceptions=(
        _idea(
            "resize_bilinear",
            "corners-aligned",
            "You stretch the grid so that the corner pixels' centres fall on one another (PyTorch's "
            "align_corners=True). Here the pixels are areas: output pixel i has its centre at (i + 1/2) H / size - "
            "1/2.",
            _resize_by(lambda length, size: np.arange(size) * (length - 1) / max(size - 1, 1)),
        ),
        _idea(
            "resize_bilinear",
            "no-half-pixel",
            "Output pixel i looks at position i H / size: all is moved towards the upper left corner. Pixel centres "
            "lie half a pixel in: (i + 1/2) H / size - 1/2.",
            _resize_by(lambda length, size: np.arange(size) * length / size),
        ),
        _idea(
            "resize_bilinear",
            "half-pixel-not-taken-off",
            "Output pixel i looks at position (i + 1/2) H / size. Take the half pixel of the input off again.",
            _resize_by(lambda length, size: (np.arange(size) + 0.5) * length / size),
        ),
        _idea(
            "resize_bilinear",
            "nearest",
            "You take the nearest pixel: edges become steps. Mix the four nearest, by how near they are.",
            _resize_by(lambda length, size: np.floor((np.arange(size) + 0.5) * length / size)),
        ),
        _idea(
            "resize_bilinear",
            "zero-outside",
            "At the border your images turn dark: neighbours outside count as 0. Keep the position between the first "
            "and the last pixel's centre.",
            _resized_beyond(lambda x: np.pad(x, _TWO_AROUND)),
        ),
        _idea(
            "resize_bilinear",
            "wrapped-around",
            "At the border your images show the opposite border: an index of -1 is the last pixel. Keep the position "
            "between the first and the last pixel's centre.",
            _resized_beyond(lambda x: np.pad(x, _TWO_AROUND, mode="wrap")),
        ),
        _idea(
            "resize_bilinear",
            "extrapolated",
            "At the border your weights are negative or above 1: the slope goes on outside. Keep the position between "
            "the first and the last pixel's centre.",
            _extrapolated,
        ),
        _idea(
            "resize_bilinear",
            "shares-swapped",
            "The two neighbours' weights have changed places: the nearer one must count more.",
            _shares_swapped,
        ),
        _idea(
            "resize_bilinear",
            "smoothed-when-shrinking",
            "When shrinking, you average over all pixels that an output pixel covers (antialiasing). Here only the "
            "four nearest centres count.",
            _area_average,
        ),
        _idea(
            "resize_bilinear",
            "one-factor-for-both",
            "Rows and columns are resized by the same factor, that of the height: a wide image is cut off or repeats "
            "its border. Each axis has its own factor.",
            lambda x, size: _resize_by(
                _positions, lambda length, size: (np.arange(size) + 0.5) * x.shape[2] / size - 0.5
            )(x, size),
        ),
        _idea(
            "resize_bilinear",
            "transposed",
            "Your result has rows and columns exchanged.",
            lambda x, size: resize_bilinear(x, size).swapaxes(2, 3),
        ),
    ),
    hints=(
        "Two pixels become four. Where, on the axis of the old pixels, are the centres of the new ones?",
        "At (i + 1/2) H / size - 1/2, kept within [0, H - 1]. Its floor is one neighbour, the next pixel the other; "
        "the fraction says how much the second one counts.",
        "Rows first, then columns by the same function: lower, upper, share; x[lower] (1 - share) + x[upper] share.",
    ),
)

# --- adjust_brightness ----------------------------------------------------------------------------------------------


def adjust_brightness(x: Array, factor: Any) -> Array:
    """factor * x, clipped to [0, 1]. factor: a number or one for each image (N,)."""
    return np.minimum(np.maximum(_per_image(factor) * x, 0.0), 1.0)


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
    return _idea("adjust_brightness", id, message, lambda x, factor: wrong(x, _per_image(factor)))


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
        _idea(
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
    return np.minimum(np.maximum(mean + _per_image(factor) * (x - mean), 0.0), 1.0)


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
        return np.clip(c + _per_image(factor) * (x - c), 0, 1)

    return _idea("adjust_contrast", id, message, wrong)


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
        _idea(
            "adjust_contrast",
            "mean-not-added-back",
            "The mean is taken off but not added back: the images turn dark.",
            lambda x, factor: np.clip(_per_image(factor) * (x - _image_mean(x)), 0, 1),
        ),
        _idea(
            "adjust_contrast",
            "factor-and-rest-swapped",
            "A factor of 1 gives you a grey image and 0 the image itself: the weights of image and mean have changed "
            "places.",
            lambda x, factor: np.clip(x + _per_image(factor) * (_image_mean(x) - x), 0, 1),
        ),
        _idea(
            "adjust_contrast",
            "not-clipped",
            "Your result leaves [0, 1]. Clip it.",
            lambda x, factor: _image_mean(x) + _per_image(factor) * (x - _image_mean(x)),
        ),
        _idea(
            "adjust_contrast",
            "only-multiplied",
            "You multiply the pixels themselves: that is brightness. Contrast multiplies their distance from the mean.",
            lambda x, factor: adjust_brightness(x, factor),
        ),
        _idea(
            "adjust_contrast",
            "standardised",
            "You divide by the standard deviation, too. The factor alone says how far the values are spread.",
            lambda x, factor: np.clip(
                _image_mean(x) + _per_image(factor) * (x - _image_mean(x)) / x.std(axis=(1, 2, 3), keepdims=True), 0, 1
            ),
        ),
        _idea(
            "adjust_contrast",
            "first-factor-for-all",
            "All images get the first one's factor.",
            lambda x, factor: adjust_contrast(x, _per_image(factor)[:1]),
        ),
        _idea(
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

    return _idea("pca_lighting", id, message, wrong)


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
        _idea(
            "pca_lighting",
            "not-clipped",
            "Your result leaves [0, 1]. Clip it.",
            lambda x, a, v, p: x + ((a * v) @ p.T)[:, :, None, None],
        ),
        _idea(
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

# --- affine_warp ----------------------------------------------------------------------------------------------------


def _centred(length: int) -> Array:
    return np.arange(length) - (length - 1) / 2


def _sources(matrix: Array, h: int, w: int) -> tuple[Array, Array]:
    """Rows and columns (N, H, W) of the input, from its upper left pixel, at which each output pixel looks."""
    x_out, y_out = _centred(w)[None, :], _centred(h)[:, None]
    m = matrix[:, :, :, None, None]
    columns = m[:, 0, 0] * x_out + m[:, 0, 1] * y_out + m[:, 0, 2] + (w - 1) / 2
    rows = m[:, 1, 0] * x_out + m[:, 1, 1] * y_out + m[:, 1, 2] + (h - 1) / 2
    return rows, columns


def _fetched(x: Array, rows: Array, columns: Array) -> Array:
    """Bilinear interpolation at rows and columns (N, H, W); a neighbour outside the image counts as 0."""
    n, c, h, w = x.shape
    above, before = np.floor(rows), np.floor(columns)
    out = np.zeros((n, *rows.shape[1:], c))
    for r, c_ in ((0, 0), (0, 1), (1, 0), (1, 1)):
        row, column = above + r, before + c_
        weight = (1 - np.abs(rows - row)) * (1 - np.abs(columns - column))
        inside = (row >= 0) & (row < h) & (column >= 0) & (column < w)
        i, j = (np.where(inside, index, 0).astype(int) for index in (row, column))
        values = x.transpose(0, 2, 3, 1)[np.arange(n)[:, None, None], i, j]  # (N, H, W, C)
        out += np.where(inside, weight, 0.0)[..., None] * values
    return out.transpose(0, 3, 1, 2)


def affine_warp(x: Array, matrix: Array) -> Array:
    """Output pixel (x_out, y_out) of image n shows the input at matrix[n] @ [x_out, y_out, 1]: in pixels from the centre,
    x to the right, y down; bilinear, zero outside. matrix (N, 2, 3)."""
    return _fetched(x, *_sources(matrix, *x.shape[2:]))


def _matrices(rng: Generator, n: int, shift: float) -> Array:
    """Turned, sheared and scaled by different amounts, shifted by up to ``shift`` pixels. (n, 2, 3)"""
    angle = rng.uniform(0.3, 0.8, n) * rng.choice([-1.0, 1.0], n)
    linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).transpose(2, 0, 1)
    linear = linear @ np.array([[1.0, 0.3], [0.0, 1.0]]) * rng.uniform(0.6, 0.9, (n, 1, 1))
    moved = rng.uniform(0.3, 1, (n, 2, 1)) * shift * rng.choice([-1.0, 1.0], (n, 2, 1))
    return np.concatenate([linear, moved], axis=2)


def _whole_shifts(n: int) -> Array:
    moves = np.array([[2, 0], [0, -1], [-3, 1], [0, 0], [1, 2]])[:n]
    return np.concatenate([np.tile(np.eye(2), (n, 1, 1)), moves[:, :, None]], axis=2)


def _warp_parts(x: Array, out: Any, matrix: Array, name: str, inside: bool = True) -> Observations:
    """The output pixels that look inside the image (all four neighbours exist), or all."""
    found = shaped("out", out, x)
    rows, columns = _sources(matrix, *x.shape[2:])
    h, w = x.shape[2:]
    seen = (rows >= 0) & (rows <= h - 1) & (columns >= 0) & (columns <= w - 1)
    return {name: np.where(seen[:, None], found, 0.0) if inside else found}


def _warp_shifts(play: Functions, rng: Generator) -> Observations:
    x, matrix = rng.standard_normal((5, 2, 6, 9)), _whole_shifts(5)
    return _warp_parts(
        x, play.affine_warp(x, matrix), matrix, "shifted by whole pixels, as far as it comes from inside"
    )


def _warp_inside(play: Functions, rng: Generator) -> Observations:
    found: Observations = {}
    for n, c, h, w in ((4, 2, 9, 12), (3, 3, 8, 7)):
        x, matrix = rng.standard_normal((n, c, h, w)), _matrices(rng, n, 1.0)
        warped = play.affine_warp(x, matrix)
        found |= _warp_parts(x, warped, matrix, f"warped images of {x.shape}, as far as they come from inside")
    return found


def _warp_outside(play: Functions, rng: Generator) -> Observations:
    x = rng.standard_normal((4, 2, 5, 7))
    matrix = _matrices(rng, 4, 2.5)
    matrix[0] = [[1, 0, 0.4], [0, 1, -0.3]]
    matrix[1] = [[1.6, 0.2, 0.5], [-0.3, 1.4, 0.1]]  # the whole image, with a margin
    matrix[3] = [[1, 0, 50.0], [0, 1, -70.0]]  # nothing of it
    return _warp_parts(x, play.affine_warp(x, matrix), matrix, "warped images with a margin", inside=False)


def _warp_idea(
    id: str,
    message: str,
    sources: Callable[[Array, int, int], tuple[Array, Array]],
    fetched: Callable[..., Array] = _fetched,
) -> Misconception:
    """Other sources than asked for, or other ways to fetch from them."""
    return _idea("affine_warp", id, message, lambda x, matrix: fetched(x, *sources(np.asarray(matrix), *x.shape[2:])))


def _warp_with(change: Callable[[Array, int, int], Array]) -> Callable[[Array, int, int], tuple[Array, Array]]:
    """The sources of a changed matrix."""
    return lambda matrix, h, w: _sources(change(matrix, h, w), h, w)


def _inverse(matrix: Array, h: int = 0, w: int = 0) -> Array:
    linear = np.linalg.inv(matrix[:, :, :2])
    return np.concatenate([linear, -linear @ matrix[:, :, 2:]], axis=2)


def _around(row: Callable[[int], float], offset: Callable[[int], float]) -> Callable[..., tuple[Array, Array]]:
    """Coordinates that are 0 at pixel ``row(length)``; positions are counted from ``offset(length)``."""

    def sources(matrix: Array, h: int, w: int) -> tuple[Array, Array]:
        x_out, y_out = (np.arange(w) - row(w))[None, :], (np.arange(h) - row(h))[:, None]
        m = matrix[:, :, :, None, None]
        columns = m[:, 0, 0] * x_out + m[:, 0, 1] * y_out + m[:, 0, 2] + offset(w)
        rows = m[:, 1, 0] * x_out + m[:, 1, 1] * y_out + m[:, 1, 2] + offset(h)
        return rows, columns

    return sources


def _exchanged(matrix: Array, h: int, w: int) -> Array:
    """The same map, written for [y, x, 1]."""
    return matrix[:, ::-1][:, :, [1, 0, 2]]


def _upwards(matrix: Array, h: int, w: int) -> Array:
    """The same map with y counted upwards."""
    return matrix * np.array([[1, -1, 1], [-1, 1, -1]])


def _nearest(x: Array, rows: Array, columns: Array) -> Array:
    return _fetched(x, np.floor(rows + 0.5), np.floor(columns + 0.5))


def _border_repeated(x: Array, rows: Array, columns: Array) -> Array:
    h, w = x.shape[2:]
    return _fetched(x, np.clip(rows, 0, h - 1), np.clip(columns, 0, w - 1))


def _wrapped(x: Array, rows: Array, columns: Array) -> Array:
    framed = np.pad(x, ((0, 0), (0, 0), (0, 1), (0, 1)), mode="wrap")
    return _fetched(framed, rows % x.shape[2], columns % x.shape[3])


def _all_or_nothing(x: Array, rows: Array, columns: Array) -> Array:
    h, w = x.shape[2:]
    inside = (rows >= 0) & (rows <= h - 1) & (columns >= 0) & (columns <= w - 1)
    return np.where(inside[:, None], _fetched(x, rows, columns), 0.0)


def _weights_exchanged(x: Array, rows: Array, columns: Array) -> Array:
    def other(position: Array) -> Array:
        fraction = position - np.floor(position)
        return np.floor(position) + np.where(fraction > 0, 1 - fraction, 0.0)

    return _fetched(x, other(rows), other(columns))


AFFINE_WARP = Exercise(
    name="affine_warp",
    asks="Turn, scale, shear and shift images: fetch each output pixel from where a matrix points to.",
    reference=affine_warp,
    returns=("out",),
    checks=(
        equals("shifts: each output pixel is fetched from where its image's matrix points to", 2, _warp_shifts),
        equals("turns, scales and shears about the centre, interpolating between four pixels", 3, _warp_inside),
        equals("counts every neighbour outside the image as 0", 2, _warp_outside),
        leaves_inputs(1, _warp_shifts),
    ),
    misconceptions=(
        _warp_idea(
            "forward-mapping",
            "You use the inverse of the matrix: it tells where an OUTPUT pixel comes from, not where an input pixel "
            "goes.",
            _warp_with(_inverse),
        ),
        _warp_idea(
            "about-the-corner",
            "You turn about the upper left pixel. Coordinates count from the image's centre ((W - 1)/2, (H - 1)/2).",
            _around(lambda length: 0.0, lambda length: 0.0),
        ),
        _warp_idea(
            "centre-half-a-pixel-off",
            "Your centre is (W/2, H/2). Pixels 0 to W - 1 have their centre at (W - 1)/2.",
            _around(lambda length: length / 2, lambda length: length / 2),
        ),
        _warp_idea(
            "centre-in-whole-pixels",
            "Your centre is rounded down to a whole pixel. With an even number of pixels it lies between two.",
            _around(lambda length: (length - 1) // 2, lambda length: (length - 1) // 2),
        ),
        _warp_idea(
            "centre-not-added-back",
            "You take the centre off the output's coordinates but do not add it to the input's.",
            _around(lambda length: (length - 1) / 2, lambda length: 0.0),
        ),
        _warp_idea(
            "x-and-y-exchanged",
            "x and y have changed places: the matrix meets [x, y, 1], and x counts columns.",
            _warp_with(_exchanged),
        ),
        _warp_idea(
            "y-upwards",
            "Your y counts upwards. In an image it counts down, as the rows do.",
            _warp_with(_upwards),
        ),
        _warp_idea(
            "transposed",
            "The linear part of the matrix is transposed: images turn the other way.",
            _warp_with(lambda m, h, w: np.concatenate([m[:, :, :2].swapaxes(1, 2), m[:, :, 2:]], axis=2)),
        ),
        _warp_idea(
            "shift-has-the-wrong-sign",
            "The shift, the matrix's last column, has the wrong sign.",
            _warp_with(lambda m, h, w: m * np.array([1.0, 1.0, -1.0])),
        ),
        _warp_idea(
            "shift-in-half-sizes",
            "The shift is taken as a share of half the image (PyTorch's coordinates from -1 to 1). Here it is in "
            "pixels.",
            _warp_with(lambda m, h, w: m * np.array([[1, 1, w / 2], [1, 1, h / 2]])),
        ),
        _warp_idea(
            "first-matrix-for-all",
            "All images are warped by the first one's matrix.",
            _warp_with(lambda m, h, w: np.repeat(m[:1], len(m), axis=0)),
        ),
        _warp_idea(
            "nearest",
            "You take the nearest pixel. Mix the four nearest, by how near they are.",
            _sources,
            _nearest,
        ),
        _warp_idea(
            "weights-exchanged",
            "The neighbours' weights have changed places: the nearer one must count more.",
            _sources,
            _weights_exchanged,
        ),
        _warp_idea(
            "border-repeated",
            "Outside, your images go on with their border pixels. What is outside is 0.",
            _sources,
            _border_repeated,
        ),
        _warp_idea(
            "wrapped-around",
            "Outside, your images begin anew on the other side: negative indices count from the end. What is outside "
            "is 0.",
            _sources,
            _wrapped,
        ),
        _warp_idea(
            "all-or-nothing",
            "A pixel that looks just past the border is 0 in yours. Only its neighbours outside count as 0; those "
            "inside keep their weights.",
            _sources,
            _all_or_nothing,
        ),
    ),
    hints=(
        "Take one output pixel. Where in the input does it look, in pixels from the centre, and in rows and columns?",
        "Its four neighbours are floor and floor + 1 of row and column; each counts by (1 - distance in rows) (1 - "
        "distance in columns). Clip the indices to be able to fetch, and give neighbours outside the weight 0.",
        "A grid of centred coordinates; matrix times it; the centre added back; four weighted lookups summed.",
    ),
)

# --- ten_crop -------------------------------------------------------------------------------------------------------


def ten_crop(x: Array, size: int) -> Array:
    """(10, N, C, size, size): upper left, upper right, lower left, lower right, centre, then those of the mirrored
    images."""
    h, w = x.shape[2:]
    places = [(0, 0), (0, w - size), (h - size, 0), (h - size, w - size), ((h - size) // 2, (w - size) // 2)]
    return np.stack([_cut(images, places[k], size) for images in (x, x[:, :, :, ::-1]) for k in range(5)])


def _cut(x: Array, place: tuple[int, int], size: int) -> Array:
    top, left = place
    return x[:, :, top : top + size, left : left + size]


def _ten(numbers: slice, what: str) -> Callable[[Functions, Generator], Observations]:
    def observe(play: Functions, rng: Generator) -> Observations:
        found: Observations = {}
        for n, c, h, w, size in ((3, 2, 8, 11, 5), (2, 3, 9, 6, 4), (2, 1, 5, 8, 5)):
            x = rng.standard_normal((n, c, h, w))
            crops = shaped("crops", play.ten_crop(x, size), np.zeros((10, n, c, size, size)))
            found[f"{what} of side {size} from {x.shape}"] = crops[numbers]
        return found

    return observe


def _ten_inputs(play: Functions, rng: Generator) -> Observations:
    return {"crops": play.ten_crop(rng.standard_normal((2, 2, 6, 7)), 4)}


def _ten_idea(id: str, message: str, wrong: Callable[[Array, int], Array]) -> Misconception:
    return _idea("ten_crop", id, message, wrong)


def _five_each(x: Array, size: int) -> tuple[Array, Array]:
    crops = ten_crop(x, size)
    return crops[:5], crops[5:]


def _other_centre(x: Array, size: int) -> Array:
    crops = ten_crop(x, size)
    place = (-(-(x.shape[2] - size) // 2), -(-(x.shape[3] - size) // 2))
    crops[4], crops[9] = _cut(x, place, size), _cut(x[..., ::-1], place, size)
    return crops


def _same_place_flipped(x: Array, size: int) -> Array:
    return np.concatenate([_five_each(x, size)[0], _five_each(x, size)[0][..., ::-1]])


def _ten_by(play: Functions) -> Callable[..., Array]:
    """Ten crops made with `crop` and `horizontal_flip`."""

    def ten(x: Array, size: int) -> Array:
        n, _, h, w = x.shape
        mirrored = play.horizontal_flip(x, np.ones(n, dtype=bool))
        places = [(0, 0), (0, w - size), (h - size, 0), (h - size, w - size), ((h - size) // 2, (w - size) // 2)]
        return np.stack(
            [
                play.crop(images, np.full(n, top), np.full(n, left), size)
                for images in (x, mirrored)
                for top, left in places
            ]
        )

    return ten


TEN_CROP = Exercise(
    name="ten_crop",
    asks="Ten views of an image for test time: four corners and the centre, plain and mirrored.",
    reference=ten_crop,
    returns=("crops",),
    checks=(
        equals(
            "begins with the corners: upper left, upper right, lower left, lower right", 2, _ten(slice(0, 4), "corners")
        ),
        equals("has the centre, rounded towards the upper left, as its fifth", 1, _ten(slice(4, 5), "centre")),
        equals("ends with the same five of the mirrored images", 2, _ten(slice(5, 10), "crops of mirrored images")),
        leaves_inputs(1, _ten_inputs),
    ),
    misconceptions=(
        _ten_idea(
            "crops-mirrored-in-their-order",
            "You mirror the five crops: the sixth is then the upper left corner, mirrored. Asked for are the corners "
            "of the mirrored image: its upper left is the mirrored upper RIGHT.",
            _same_place_flipped,
        ),
        _ten_idea(
            "columns-before-rows",
            "Upper right and lower left have changed places: the order is upper left, upper right, lower left, lower "
            "right.",
            lambda x, size: ten_crop(x, size)[[0, 2, 1, 3, 4, 5, 7, 6, 8, 9]],
        ),
        _ten_idea(
            "upside-down",
            "Your last five come from images that stand on their heads. Mirror left for right.",
            lambda x, size: np.concatenate([_five_each(x, size)[0], _five_each(x[:, :, ::-1], size)[0]]),
        ),
        _ten_idea(
            "centre-rounded-up",
            "Your centre is rounded to the lower right where it cannot be exact. Its corner is ((H - size) // 2, "
            "(W - size) // 2).",
            _other_centre,
        ),
        _ten_idea(
            "centre-first",
            "Your centre comes first. It is the fifth, after the corners.",
            lambda x, size: ten_crop(x, size)[[4, 0, 1, 2, 3, 9, 5, 6, 7, 8]],
        ),
        _ten_idea(
            "plain-and-mirrored-in-turn",
            "Each crop is followed by its mirrored one. First come all five plain ones, then the mirrored.",
            lambda x, size: np.stack(_five_each(x, size), axis=1).reshape(10, *x.shape[:2], size, size),
        ),
        _ten_idea(
            "not-mirrored",
            "Your last five are the first five again. Take them from the mirrored images.",
            lambda x, size: np.concatenate([_five_each(x, size)[0]] * 2),
        ),
        _ten_idea(
            "one-short-of-the-border",
            "Your right and lower corners stop one pixel before the border. The last place is at H - size and W - "
            "size.",
            lambda x, size: np.stack(
                [
                    _cut(images, place, size)
                    for images in (x, x[..., ::-1])
                    for h, w in [(max(x.shape[2] - size - 1, 0), max(x.shape[3] - size - 1, 0))]
                    for place in ((0, 0), (0, w), (h, 0), (h, w), ((x.shape[2] - size) // 2, (x.shape[3] - size) // 2))
                ]
            ),
        ),
    ),
    hints=(
        "In which row does the lower left square begin, and in which column the upper right?",
        "Five places: 0 or H - size for rows, 0 or W - size for columns, half of each for the centre.",
        "A loop over x and x mirrored, in it a loop over the five places; np.stack of the ten.",
    ),
    builds_on=("crop", "horizontal_flip"),
    composed=_ten_by,
)

# --- random_flip ----------------------------------------------------------------------------------------------------


def random_flip(x: Array, rng: Generator, p: float = 0.5) -> Array:
    """Each image by itself is mirrored, left for right, with probability p."""
    return np.stack([image[:, :, ::-1] if rng.random() < p else image for image in x])


def _numbered(n: int, c: int, h: int, w: int) -> Array:
    """Images without two equal pixels, none of them 0; whole numbers, so that float32 keeps them."""
    return np.arange(1.0, n * c * h * w + 1).reshape(n, c, h, w)


def _flips(x: Array, out: Any) -> tuple[Array, Array]:
    """Which images (N,) came back mirrored and which as they were; neither where it was something else."""
    found = shaped("out", out, x)
    mirrored, same = (np.all(np.abs(found - like) < EXACT, axis=(1, 2, 3)) for like in (x[..., ::-1], x))
    return mirrored, same


def _flip_whole(play: Functions, rng: Generator) -> Observations:
    """p = 1 and p = 0 leave nothing to chance; in between, an image is one or the other."""
    x, mixed = rng.standard_normal((5, 2, 4, 3)), rng.standard_normal((30, 3, 2, 5))
    mirrored, same = _flips(mixed, play.random_flip(mixed, _own(rng), 0.6))
    return {
        "out with p=1": play.random_flip(x, _own(rng), 1.0),
        "out with p=0": play.random_flip(x, _own(rng), 0.0),
        "share of images that are mirrored or as they were": _share(mirrored | same, 1.0),
    }


def _flip_share(play: Functions, rng: Generator) -> Observations:
    """How many of 300 images are mirrored, for three p. Right answers are rejected with probability below 3e-10."""
    x = _numbered(300, 1, 1, 3)
    by_default = _in_batches(x, rng, lambda part, own: play.random_flip(part, own))
    rarely = _in_batches(x, rng, lambda part, own: play.random_flip(part, own, 0.2))
    often = _in_batches(x, rng, lambda part, own: play.random_flip(part, own, 0.9))
    return {
        "share mirrored with the default p": _share(_flips(x, by_default)[0], 0.5),
        "share mirrored with p=0.2": _share(_flips(x, rarely)[0], 0.2),
        "share mirrored with p=0.9": _share(_flips(x, often)[0], 0.9),
    }


def _flip_alone(play: Functions, rng: Generator) -> Observations:
    """60 images all alike happen by chance with probability 2e-18; 45 batches of two show whether the two are independent.
    Right answers are rejected with probability below 2e-10."""
    many, two = _numbered(60, 1, 1, 3), _numbered(2, 1, 1, 3)
    mirrored, _ = _flips(many, play.random_flip(many, _own(rng)))
    pairs = np.array([_flips(two, play.random_flip(two, _own(rng)))[0] for _ in range(45)])
    return {
        "60 images of one batch are all treated alike": bool(mirrored.all() or not mirrored.any()),
        "share of batches of two in which both are treated alike": _share(pairs[:, 0] == pairs[:, 1], 0.5),
    }


def _flip_random_inputs(play: Functions, rng: Generator) -> Observations:
    return {"out": play.random_flip(rng.standard_normal((6, 2, 3, 5)), _own(rng), 0.8)}


def _random_flip_idea(id: str, message: str, wrong: Callable[[Array, Generator, float], Array]) -> Misconception:
    return _idea("random_flip", id, message, lambda x, rng, p=0.5: wrong(x, rng, p))


def _flip_exactly(x: Array, rng: Generator, p: float) -> Array:
    chosen = rng.permutation(len(x))[: round(p * len(x))]
    return horizontal_flip(x, np.isin(np.arange(len(x)), chosen))


def _random_flip_in_place(x: Array, rng: Generator, p: float) -> Array:
    which = rng.random(len(x)) < p
    x[which] = x[which][..., ::-1]
    return x


RANDOM_FLIP = Exercise(
    name="random_flip",
    asks="Mirror each image of a mini-batch by the toss of a coin.",
    reference=random_flip,
    returns=("out",),
    checks=(
        equals("mirrors whole images, left for right: all with p = 1, none with p = 0", 2, _flip_whole),
        equals("mirrors an image with probability p, by default one half", 2, _flip_share),
        equals("tosses a coin of its own for each image", 2, _flip_alone),
        _from_its_generator(1, lambda play, x, rng: play.random_flip(x, rng), (40, 1, 2, 3)),
        leaves_inputs(1, _flip_random_inputs),
    ),
    misconceptions=(
        _random_flip_idea(
            "one-toss-for-the-batch",
            "All images of a batch are mirrored or none is: one coin is tossed for all. Toss one for each image.",
            _one_draw(random_flip),
        ),
        _random_flip_idea(
            "a-toss-for-each-channel",
            "Some channels of an image are mirrored and others not: the colours come apart. Toss one coin for each "
            "image.",
            lambda x, rng, p: random_flip(x.reshape(-1, 1, *x.shape[2:]), rng, p).reshape(x.shape),
        ),
        _random_flip_idea(
            "p-inverted",
            "You mirror with probability 1 - p. p is the probability of being mirrored.",
            lambda x, rng, p: random_flip(x, rng, 1 - p),
        ),
        _random_flip_idea(
            "p-ignored",
            "You mirror half of the images whatever p is.",
            lambda x, rng, p: random_flip(x, rng, 0.5),
        ),
        _random_flip_idea(
            "upside-down",
            "Your images stand on their heads. Mirror left for right: the last axis.",
            lambda x, rng, p: np.where((rng.random(len(x)) < p)[:, None, None, None], x[:, :, ::-1], x),
        ),
        _random_flip_idea(
            "always-the-same-number",
            "You mirror exactly p N images of each batch. Toss a coin for each: the number is then left to chance.",
            _flip_exactly,
        ),
        _random_flip_idea(
            "normal-numbers",
            "You compare p with normally distributed numbers. A uniform number in [0, 1) is below p with probability "
            "p.",
            lambda x, rng, p: horizontal_flip(x, rng.standard_normal(len(x)) < p),
        ),
        _random_flip_idea(
            "in-place",
            "You mirror the caller's own images. Work on a copy: the next epoch needs them as they were.",
            _random_flip_in_place,
        ),
        *_careless(random_flip),
    ),
    hints=(
        "How many coins are tossed for a batch of N images?",
        "rng.random(N) < p is true with probability p, for each image by itself.",
        "Draw which, and call horizontal_flip.",
    ),
    builds_on=("horizontal_flip",),
    composed=lambda play: lambda x, rng, p=0.5: play.horizontal_flip(x, rng.random(len(x)) < p),
)

# --- random_crop ----------------------------------------------------------------------------------------------------


def random_crop(x: Array, size: int, padding: int, rng: Generator) -> Array:
    """``padding`` zeros on each side, then of each image a square (size, size) at a uniformly random place of its own."""
    n, c, h, w = x.shape
    framed = np.zeros((n, c, h + 2 * padding, w + 2 * padding))
    framed[:, :, padding : padding + h, padding : padding + w] = x
    out = []
    for image in framed:
        top, left = rng.integers(0, h + 2 * padding - size + 1), rng.integers(0, w + 2 * padding - size + 1)
        out.append(image[:, top : top + size, left : left + size])
    return np.stack(out)


def _crop_places(x: Array, out: Any, size: int, padding: int) -> tuple[Array, Array]:
    """Rows and columns (N,) in the padded images from which the crops are; -1 where one is no square of its image."""
    crops = shaped("crops", out, np.zeros((*x.shape[:2], size, size)))
    framed = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(framed, (size, size), axis=(2, 3))  # (N, C, P, Q, size, size)
    same = np.all(np.abs(windows - crops[:, :, None, None]) < EXACT, axis=(1, 4, 5))  # (N, P, Q)
    flat = same.reshape(len(x), -1)
    rows, columns = np.divmod(flat.argmax(axis=1), same.shape[2])
    found = flat.any(axis=1)
    return np.where(found, rows, -1), np.where(found, columns, -1)


def _crop_squares(play: Functions, rng: Generator) -> Observations:
    found: Observations = {}
    for n, c, h, w, size, padding in ((40, 3, 4, 6, 5, 2), (40, 2, 6, 5, 3, 0)):
        x = 1 + rng.permutation(_numbered(n, c, h, w))
        rows, _ = _crop_places(x, play.random_crop(x, size, padding, _own(rng)), size, padding)
        found[f"share of crops with padding {padding} that are one square of their image and zeros"] = _share(
            rows >= 0, 1.0
        )
    return found


def _places_uniform(what: str, rows: Array, columns: Array, heights: int, widths: int) -> Observations:
    """Whether places are uniform over ``heights`` rows and ``widths`` columns, and the two independent. Places are -1 where
    they could not be read."""
    found: Observations = {}
    for name, place, count in (("row", rows, heights), ("column", columns, widths)):
        found[f"share of {what} at the first {name}"] = _share(place == 0, 1 / count)
        found[f"share of {what} at the last possible {name}"] = _share(place == count - 1, 1 / count)
    upper, lower = (rows >= 0) & (rows < heights // 2), rows >= heights - heights // 2
    before, after = (columns >= 0) & (columns < widths // 2), columns >= widths - widths // 2
    expected = 2 * (heights // 2) * (widths // 2) / (heights * widths)
    return found | {
        f"share of {what} at the upper right or the lower left": _share((upper & after) | (lower & before), expected)
    }


def _crop_uniform(play: Functions, rng: Generator) -> Observations:
    """400 places of 3 rows and 4 columns, and 800 of 3 and 3 without padding. Right answers are rejected with probability
    below 2e-9, a place that never comes up is missed with probability below 1e-15."""
    x, small = _numbered(400, 1, 5, 6), _numbered(800, 1, 3, 3)
    padded = _crop_places(x, _in_batches(x, rng, lambda part, own: play.random_crop(part, 5, 1, own)), 5, 1)
    plain = _crop_places(small, _in_batches(small, rng, lambda part, own: play.random_crop(part, 1, 0, own)), 1, 0)
    return {
        **_places_uniform("padded crops", *padded, 3, 4),
        **_places_uniform("crops without padding", *plain, 3, 3),
        "share of crops without padding in the middle of three rows or columns": _share(
            np.concatenate(plain) == 1, 1 / 3
        ),
    }


def _crop_alone(play: Functions, rng: Generator) -> Observations:
    """40 images at the same of 20 places happen by chance with probability below 1e-50."""
    x = _numbered(40, 1, 6, 7)
    rows, columns = _crop_places(x, play.random_crop(x, 5, 1, _own(rng)), 5, 1)
    return {"all 40 images of a batch are cut at the same place": _all_alike(np.stack([rows, columns], axis=1))}


def _random_crop_inputs(play: Functions, rng: Generator) -> Observations:
    return {"crops": play.random_crop(rng.standard_normal((3, 2, 5, 6)), 4, 1, _own(rng))}


def _crop_by(place: Callable[[Generator, int, int], Any], mode: str = "constant") -> Callable[..., Array]:
    """Padding in another mode, or places by ``place(rng, how many there are, padding)`` for one axis, rows first."""

    def wrong(x: Array, size: int, padding: int, rng: Generator) -> Array:
        around = ((0, 0), (0, 0), (padding, padding), (padding, padding))
        framed = np.pad(x, around, mode=mode)  # type: ignore[call-overload]
        counts = [length - size + 1 for length in framed.shape[2:]]
        places = [[place(rng, count, padding) for count in counts] for _ in x]
        rows, columns = (np.clip([p[k] for p in places], 0, counts[k] - 1) for k in (0, 1))
        return crop(framed, rows, columns, size)

    return wrong


def _crop_same_for_both(x: Array, size: int, padding: int, rng: Generator) -> Array:
    """One uniform number decides the row and the column."""
    framed = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    drawn = rng.random(len(x))
    rows, columns = ((drawn * (length - size + 1)).astype(int) for length in framed.shape[2:])
    return crop(framed, rows, columns, size)


def _random_crop_by(play: Functions) -> Callable[..., Array]:
    """Random crops made with `crop`."""

    def random(x: Array, size: int, padding: int, rng: Generator) -> Array:
        framed = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
        rows, columns = (rng.integers(0, length - size + 1, len(x)) for length in framed.shape[2:])
        return np.asarray(play.crop(framed, rows, columns, size))

    return random


RANDOM_CROP = Exercise(
    name="random_crop",
    asks="Put a frame of zeros around each image and cut a square out at a random place.",
    reference=random_crop,
    returns=("crops",),
    checks=(
        equals(
            "cuts a square of side size out of each image and a frame of zeros, all channels alike", 2, _crop_squares
        ),
        equals("chooses every place equally often, the last row and column too", 3, _crop_uniform),
        equals("draws a place of its own for each image", 2, _crop_alone),
        _from_its_generator(1, lambda play, x, rng: play.random_crop(x, 3, 1, rng), (12, 1, 4, 5)),
        leaves_inputs(1, _random_crop_inputs),
    ),
    misconceptions=(
        _idea(
            "random_crop",
            "last-place-missing",
            "The last possible row and column never come up. rng.integers(low, high) stops before high, and there are "
            "H + 2 padding - size + 1 places.",
            _crop_by(lambda rng, count, padding: rng.integers(max(count - 1, 1))),
        ),
        _idea(
            "random_crop",
            "first-place-missing",
            "Row 0 and column 0 of the padded image never come up. Places begin at 0.",
            _crop_by(lambda rng, count, padding: rng.integers(min(1, count - 1), count)),
        ),
        _idea(
            "random_crop",
            "as-if-size-were-the-image",
            "Your places go from 0 to 2 padding. That is right only where size is the image's side; in general there "
            "are H + 2 padding - size + 1.",
            _crop_by(lambda rng, count, padding: rng.integers(2 * padding + 1)),
        ),
        _idea(
            "random_crop",
            "places-of-the-unpadded-image",
            "Your places are those of the image before padding: its lower and right frame is never seen.",
            _crop_by(lambda rng, count, padding: rng.integers(max(count - 2 * padding, 1))),
        ),
        _idea(
            "random_crop",
            "rounded-places",
            "The first and the last place come up half as often as the others: a uniform number was rounded. Draw "
            "whole numbers.",
            _crop_by(lambda rng, count, padding: round(rng.uniform(0, count - 1))),
        ),
        _idea(
            "random_crop",
            "row-and-column-from-one-draw",
            "One random number decides the row and the column: squares move along the diagonal only. Draw two.",
            _crop_same_for_both,
        ),
        _idea(
            "random_crop",
            "one-place-for-the-batch",
            "All images of a batch are cut at the same place. Draw a place for each image.",
            _one_draw(random_crop),
        ),
        _idea(
            "random_crop",
            "a-place-for-each-channel",
            "The channels of an image are cut at different places: the colours come apart. Draw one place an image.",
            _by_channel(random_crop),
        ),
        _idea(
            "random_crop",
            "frame-not-zero",
            "Your frame holds pixels of the image, repeated or mirrored. Pad with zeros.",
            _crop_by(lambda rng, count, padding: rng.integers(count), mode="edge"),
        ),
        _idea(
            "random_crop",
            "centre-only",
            "Your squares are always the centre. Draw their place.",
            _crop_by(lambda rng, count, padding: (count - 1) // 2),
        ),
        *_careless(random_crop),
    ),
    hints=(
        "An image of 5 rows with a frame of 1 has 7. At how many rows can a square of side 5 begin?",
        "rng.integers(k, size=N) draws N whole numbers from 0 to k - 1.",
        "Pad, draw top and left, one for each image, and call crop.",
    ),
    builds_on=("crop",),
    composed=_random_crop_by,
)

# --- random_resized_crop --------------------------------------------------------------------------------------------


def random_resized_crop(x: Array, size: int, scale: tuple[float, float], rng: Generator) -> Array:
    """Of each image a square whose area is a uniform share of that of the largest square, at a uniform place, resized."""
    h, w = x.shape[2:]
    squares = []
    for _ in x:
        side = max(1, round(math.sqrt(rng.uniform(scale[0], scale[1])) * min(h, w)))
        squares.append((side, rng.integers(0, h - side + 1), rng.integers(0, w - side + 1)))
    return _squares_resized(x, squares, size, resize_bilinear)


def _squares_resized(
    x: Array, squares: Sequence[tuple[int, int, int]], size: int, resize: Callable[[Array, int], Array]
) -> Array:
    """The square (side, top, left) of each image, resized; those of one side together."""
    sides, top, left = np.array(squares).T
    out = np.empty((*x.shape[:2], size, size))
    for side in np.unique(sides):
        those = np.flatnonzero(sides == side)
        out[those] = resize(crop(x[those], top[those], left[those], int(side)), size)
    return out


_ROW, _COLUMN, _CHANNEL = 16.0, 1.0, 200.0
"""How much a row, a column and a channel add to the ramp. It is linear, so that resizing keeps what it tells."""


def _ramps(n: int, c: int, h: int, w: int) -> Array:
    """Images whose pixel tells its row and column; the channels differ by a constant."""
    ramp = _ROW * np.arange(h)[:, None] + _COLUMN * np.arange(w)
    return np.asarray(np.tile(ramp, (n, c, 1, 1)) + _CHANNEL * np.arange(c)[:, None, None])


def _resized_from(x: Array, out: Any, size: int) -> tuple[Array, Array, Array]:
    """Sides, rows and columns (N,) of the squares of ramps that were resized to ``out``; all 0, -1, -1 where it is none."""
    h, w = x.shape[2:]
    found = shaped("out", out, np.zeros((*x.shape[:2], size, size)))
    sides = np.arange(1, min(h, w) + 1)
    places = np.array([_positions(side, size) for side in sides])  # (sides, size), from the square's first pixel
    spread = found[:, 0, 0, -1] - found[:, 0, 0, 0]
    which = np.argmin(np.abs((places[:, -1] - places[:, 0]) * _COLUMN - np.nan_to_num(spread)[:, None]), axis=1)
    side, place = sides[which], places[which]
    corner = np.nan_to_num(found[:, 0, 0, 0]) - (_ROW + _COLUMN) * place[:, 0]
    top, left = np.divmod(np.rint(np.clip(corner, -1e6, 1e6)).astype(int), int(_ROW))
    rebuilt = _ROW * (top[:, None] + place)[:, :, None] + _COLUMN * (left[:, None] + place)[:, None, :]
    rebuilt = rebuilt[:, None] + _CHANNEL * np.arange(x.shape[1])[:, None, None]
    right = np.all(np.abs(found - rebuilt) < 1e-2, axis=(1, 2, 3))
    right &= (top >= 0) & (left >= 0) & (top <= h - side) & (left <= w - side)
    return np.where(right, side, 0), np.where(right, top, -1), np.where(right, left, -1)


def _resized_squares(play: Functions, rng: Generator) -> Observations:
    found: Observations = {}
    for n, c, h, w, size in ((40, 3, 6, 9, 4), (30, 2, 8, 5, 7)):
        x = _ramps(n, c, h, w)
        sides, _, _ = _resized_from(x, play.random_resized_crop(x, size, (0.2, 1.0), _own(rng)), size)
        found[f"share of outputs of side {size} that are a resized square of ({h}, {w})"] = _share(sides > 0, 1.0)
    return found


def _side_chance(side: int, largest: int, low: float, high: float) -> float:
    """The probability of sides up to ``side``: those whose share is below ((side + 1/2) / largest)^2."""
    return min(max((((side + 0.5) / largest) ** 2 - low) / (high - low), 0.0), 1.0)


def _resized_areas(play: Functions, rng: Generator) -> Observations:
    """The largest square has side 6: shares from 0.3 to 0.5 give sides 3 and 4, and from 0.01 to 1 a third are at most 3.
    Right answers are rejected with probability below 4e-10."""
    narrow, wide = _ramps(200, 1, 6, 12), _ramps(800, 1, 6, 9)
    few = _in_batches(narrow, rng, lambda part, own: play.random_resized_crop(part, 3, (0.3, 0.5), own))
    all_ = _in_batches(wide, rng, lambda part, own: play.random_resized_crop(part, 3, (0.01, 1.0), own))
    few, all_ = _resized_from(narrow, few, 3)[0], _resized_from(wide, all_, 3)[0]
    return {
        "share of sides 3 and 4 where the share of the area is 0.3 to 0.5": _share((few == 3) | (few == 4), 1.0),
        "share of side 3 among them": _share(few == 3, _side_chance(3, 6, 0.3, 0.5)),
        "share of sides 1 to 3 where the share of the area is 0.01 to 1": _share(
            (all_ > 0) & (all_ <= 3), _side_chance(3, 6, 0.01, 1.0)
        ),
        "share of side 6 among them": _share(all_ == 6, 1 - _side_chance(5, 6, 0.01, 1.0)),
    }


def _resized_tiny(play: Functions, rng: Generator) -> Observations:
    x = _ramps(20, 1, 6, 7)
    sides, _, _ = _resized_from(x, play.random_resized_crop(x, 3, (0.0005, 0.001), _own(rng)), 3)
    return {"share of squares of one pixel where the share of the area is below 0.001": _share(sides == 1, 1.0)}


def _resized_places(play: Functions, rng: Generator) -> Observations:
    """Side 4 always: 3 rows and 4 columns where it can lie. Right answers are rejected with probability below 5e-10."""
    x = _ramps(360, 1, 6, 7)
    out = _in_batches(x, rng, lambda part, own: play.random_resized_crop(part, 3, (0.4, 0.48), own))
    _, rows, columns = _resized_from(x, out, 3)
    return _places_uniform("squares", rows, columns, 3, 4)


def _resized_alone(play: Functions, rng: Generator) -> Observations:
    """40 images with one side, or at one place, happen by chance with probability below 1e-10."""
    x = _ramps(60, 1, 8, 9)
    sides, rows, columns = _resized_from(x, play.random_resized_crop(x, 3, (0.05, 0.9), _own(rng)), 3)
    return {
        "all 60 images of a batch are cut with the same side": _all_alike(sides),
        "all 60 images of a batch are cut at the same place": _all_alike(np.stack([rows, columns], axis=1)),
    }


def _random_resized_inputs(play: Functions, rng: Generator) -> Observations:
    return {"out": play.random_resized_crop(rng.standard_normal((3, 2, 5, 6)), 4, (0.3, 1.0), _own(rng))}


def _resized_by(
    side: Callable[[Generator, float, float, int, int], float],
    place: Callable[[Generator, int], int] = lambda rng, count: int(rng.integers(count)),
    resize: Callable[[Array, int], Array] = resize_bilinear,
) -> Callable[..., Array]:
    """Other sides, ``side(rng, low, high, h, w)``, other places among ``count``, or another way to resize."""

    def wrong(x: Array, size: int, scale: tuple[float, float], rng: Generator) -> Array:
        h, w = x.shape[2:]
        squares = []
        for _ in x:
            s = int(np.clip(side(rng, scale[0], scale[1], h, w), 1, min(h, w)))
            squares.append((s, place(rng, h - s + 1), place(rng, w - s + 1)))
        return _squares_resized(x, squares, size, resize)

    return wrong


def _right_side(rng: Generator, low: float, high: float, h: int, w: int) -> float:
    return round(math.sqrt(rng.uniform(low, high)) * min(h, w))


def _nearest_resized(x: Array, size: int) -> Array:
    rows, columns = (((np.arange(size) + 0.5) * length / size).astype(int) for length in x.shape[2:])
    return x[:, :, rows][:, :, :, columns]


def _random_resized_by(play: Functions) -> Callable[..., Array]:
    """Random squares made with `crop` and `resize_bilinear`, one image after the other."""

    def random(x: Array, size: int, scale: tuple[float, float], rng: Generator) -> Array:
        out = []
        for image in x:
            h, w = image.shape[1:]
            side = max(1, round(math.sqrt(rng.uniform(*scale)) * min(h, w)))
            top, left = rng.integers(0, h - side + 1, 1), rng.integers(0, w - side + 1, 1)
            out.append(play.resize_bilinear(np.asarray(play.crop(image[None], top, left, side)), size))
        return np.concatenate(out)

    return random


RANDOM_RESIZED_CROP = Exercise(
    name="random_resized_crop",
    asks="Cut out a square of random size at a random place, and bring it to one size.",
    reference=random_resized_crop,
    returns=("out",),
    checks=(
        equals("resizes a square of each image, all channels alike", 2, _resized_squares),
        equals("draws the share of the AREA uniformly: its root is the share of the side", 3, _resized_areas),
        equals("keeps at least one pixel", 1, _resized_tiny),
        equals("chooses every place equally often, the last row and column too", 1, _resized_places),
        equals("draws a square of its own for each image", 1, _resized_alone),
        _from_its_generator(1, lambda play, x, rng: play.random_resized_crop(x, 3, (0.1, 1.0), rng), (12, 1, 7, 8)),
        leaves_inputs(1, _random_resized_inputs),
    ),
    misconceptions=(
        _idea(
            "random_resized_crop",
            "share-of-the-side",
            "You multiply the side by the share. scale is about areas: the side goes with the root of the share.",
            _resized_by(lambda rng, low, high, h, w: round(rng.uniform(low, high) * min(h, w))),
        ),
        _idea(
            "random_resized_crop",
            "uniform-in-the-side",
            "Your sides are uniform between the roots of the two shares. Draw the share of the area, then take its "
            "root: large squares come up more often.",
            _resized_by(lambda rng, low, high, h, w: round(rng.uniform(math.sqrt(low), math.sqrt(high)) * min(h, w))),
        ),
        _idea(
            "random_resized_crop",
            "share-of-the-whole-image",
            "Your share is of the image's area H W. Here it is of the largest square's, min(H, W)^2, so that a share "
            "of 1 fits.",
            _resized_by(lambda rng, low, high, h, w: round(math.sqrt(rng.uniform(low, high) * h * w))),
        ),
        _idea(
            "random_resized_crop",
            "side-rounded-down",
            "Your sides are rounded down: the largest one never comes up. Round to the nearest whole number.",
            _resized_by(lambda rng, low, high, h, w: math.floor(math.sqrt(rng.uniform(low, high)) * min(h, w))),
        ),
        _idea(
            "random_resized_crop",
            "side-rounded-up",
            "Your sides are rounded up. Round to the nearest whole number.",
            _resized_by(lambda rng, low, high, h, w: math.ceil(math.sqrt(rng.uniform(low, high)) * min(h, w))),
        ),
        _idea(
            "random_resized_crop",
            "scale-ignored",
            "Your squares are as large as they can be, whatever scale is.",
            _resized_by(lambda rng, low, high, h, w: min(h, w)),
        ),
        _idea(
            "random_resized_crop",
            "last-place-missing",
            "The last possible row and column never come up. rng.integers(low, high) stops before high, and a side s "
            "has H - s + 1 places.",
            _resized_by(_right_side, lambda rng, count: int(rng.integers(max(count - 1, 1)))),
        ),
        _idea(
            "random_resized_crop",
            "centre-only",
            "Your squares always lie in the centre. Draw their place, too.",
            _resized_by(_right_side, lambda rng, count: (count - 1) // 2),
        ),
        _idea(
            "random_resized_crop",
            "one-square-for-the-batch",
            "All images of a batch are cut alike. Draw a square for each image.",
            _one_draw(random_resized_crop),
        ),
        _idea(
            "random_resized_crop",
            "a-square-for-each-channel",
            "The channels of an image are cut differently: the colours come apart. Draw one square an image.",
            _by_channel(random_resized_crop),
        ),
        _idea(
            "random_resized_crop",
            "resized-otherwise",
            "Your squares are not resized bilinearly between half-pixel centres. Use resize_bilinear.",
            _resized_by(_right_side, resize=_nearest_resized),
        ),
        *_careless(random_resized_crop),
    ),
    hints=(
        "A square of half the side has which share of the area?",
        "share = rng.uniform(low, high); side = round(sqrt(share) * min(H, W)), at least 1. For it there are H - side "
        "+ 1 rows.",
        "A loop over the images: draw side, top and left; crop; resize_bilinear. Stack.",
    ),
    builds_on=("resize_bilinear", "crop"),
    composed=_random_resized_by,
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
    bright, stretch, explained = _factors(x, play.color_jitter(x, 0.5, 0.4, _own(rng)))
    return {
        "share of images changed by one brightness and one contrast factor": _share(explained, 1.0),
        "brightness and contrast change": not (_all_alike(bright) and _all_alike(stretch)),
    }


def _jitter_amounts(play: Functions, rng: Generator) -> Observations:
    """300 factors of each kind. Right answers are rejected with probability below 8e-10."""
    x = _dim(rng, 300, 1, 2, 3)
    bright, stretch, _ = _factors(x, _in_batches(x, rng, lambda part, own: play.color_jitter(part, 0.6, 0.3, own)))
    together = (bright > 1) == (stretch > 1)
    outer = np.concatenate([np.abs(bright - 1) > 0.3, np.abs(stretch - 1) > 0.15])
    return {
        **_uniform("brightness factors", bright, 0.4, 1.6),
        **_uniform("contrast factors", stretch, 0.7, 1.3),
        "share of factors nearer to the ends of their range than to 1": _share(outer, 0.5),
        "share of images with both factors above 1 or both below": _share(together & np.isfinite(stretch), 0.5),
    }


def _jitter_strong(play: Functions, rng: Generator) -> Observations:
    """Brightness 1.5: factors from 0 to 2.5, not from -0.5. Right answers are rejected with probability below 3e-10."""
    x = _dim(rng, 200, 1, 2, 3)
    bright, _, _ = _factors(x, _in_batches(x, rng, lambda part, own: play.color_jitter(part, 1.5, 0.2, own)))
    return {
        "share of brightness factors below 0.02 with strength 1.5": _share(bright < 0.02, 0.02 / 2.5),
        "share of brightness factors below 0.4 with strength 1.5": _share(bright < 0.4, 0.4 / 2.5),
        "share of brightness factors above 1.25 with strength 1.5": _share(bright > 1.25, 0.5),
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
        "share of images that are made brighter, clipped, stretched and clipped, in this order": _share(right, 1.0),
        "share of images within [0, 1]": _share(np.all((out >= 0) & (out <= 1), axis=(1, 2, 3)), 1.0),
        "contrast comes first": bool(equal(adjust_brightness(adjust_contrast(bright, stretches), factors)).all()),
    }


def _jitter_alone(play: Functions, rng: Generator) -> Observations:
    x = _dim(rng, 30, 1, 2, 3)
    bright, stretch, _ = _factors(x, play.color_jitter(x, 0.5, 0.4, _own(rng)))
    return {
        "all 30 images of a batch get the same brightness": _all_alike(bright),
        "all 30 images of a batch get the same contrast": _all_alike(stretch),
    }


def _jitter_inputs(play: Functions, rng: Generator) -> Observations:
    return {"out": play.color_jitter(_dim(rng, 3, 2, 3, 4), 0.3, 0.3, _own(rng))}


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
        _from_its_generator(1, lambda play, x, rng: play.color_jitter(x, 0.4, 0.4, rng), (4, 2, 2, 3)),
        leaves_inputs(1, _jitter_inputs),
    ),
    misconceptions=(
        _idea(
            "color_jitter",
            "contrast-first",
            "You adjust contrast before brightness. Where values are clipped, the order matters: brightness first.",
            _jitter_by(_right_factors, lambda x, b, c: adjust_brightness(adjust_contrast(x, c), b)),
        ),
        _idea(
            "color_jitter",
            "factors-for-the-batch",
            "All images of a batch get the same factors. Draw factors for each image.",
            _one_draw(color_jitter),
        ),
        _idea(
            "color_jitter",
            "factors-for-each-channel",
            "The channels of an image get different factors: its colours change. Draw one pair of factors an image.",
            _by_channel(color_jitter),
        ),
        _idea(
            "color_jitter",
            "one-number-for-both",
            "One random number decides both factors: brighter images are always those with more contrast. Draw two.",
            _jitter_by(_one_number),
        ),
        _idea(
            "color_jitter",
            "around-zero",
            "Your factors lie between -strength and +strength. A factor of 1 leaves an image as it is: add 1.",
            _jitter_by(lambda rng, b, c: (rng.uniform(-b, b), rng.uniform(-c, c))),
        ),
        _idea(
            "color_jitter",
            "upwards-only",
            "Your factors are never below 1: images only become brighter. They go from 1 - strength to 1 + strength.",
            _jitter_by(lambda rng, b, c: (rng.uniform(1, 1 + b), rng.uniform(1, 1 + c))),
        ),
        _idea(
            "color_jitter",
            "negative-factors",
            "With a strength above 1 some of your factors are negative, and the images black. Begin at max(0, 1 - "
            "strength).",
            _jitter_by(lambda rng, b, c: (rng.uniform(1 - b, 1 + b), rng.uniform(1 - c, 1 + c))),
        ),
        _idea(
            "color_jitter",
            "strengths-exchanged",
            "The strengths have changed places: brightness comes before contrast in the arguments.",
            _jitter_by(lambda rng, b, c: _right_factors(rng, c, b)),
        ),
        _idea(
            "color_jitter",
            "normal-factors",
            "Your factors are normally distributed: some lie far outside 1 +- strength. Draw them uniformly.",
            _jitter_by(lambda rng, b, c: (max(0.0, rng.normal(1, b)), max(0.0, rng.normal(1, c)))),
        ),
        _idea(
            "color_jitter",
            "brightness-only",
            "Contrast stays as it was.",
            _jitter_by(lambda rng, b, c: (_right_factors(rng, b, c)[0], 1.0)),
        ),
        _idea(
            "color_jitter",
            "not-clipped",
            "Your result leaves [0, 1]. adjust_brightness and adjust_contrast both clip.",
            _jitter_by(_right_factors, lambda x, b, c: b * _image_mean(x) + c * (b * x - b * _image_mean(x))),
        ),
        _idea(
            "color_jitter",
            "clipped-at-the-end-only",
            "You clip once, at the end. Brightness clips first, and contrast goes by the mean of what is left.",
            _jitter_by(
                _right_factors, lambda x, b, c: np.clip(b * _image_mean(x) + c * (b * x - b * _image_mean(x)), 0, 1)
            ),
        ),
        *_careless(color_jitter),
    ),
    hints=(
        "Which factor leaves an image as it is, and how far from it may yours be?",
        "rng.uniform(max(0, 1 - brightness), 1 + brightness, N) draws one factor for each image.",
        "adjust_brightness with the first factors, adjust_contrast of its result with the second.",
    ),
    builds_on=("adjust_brightness", "adjust_contrast"),
    composed=_jitter_with,
)

# --- random_affine --------------------------------------------------------------------------------------------------


def random_affine(
    x: Array, degrees: float, translate: float, scale: tuple[float, float], shear: float, rng: Generator
) -> Array:
    """output = shift(rotate(shear(scale(input)))), about the centre, by amounts of its own for each image; one warp.

    A point of the input goes to rotation @ shearing @ (scale * point) + shift; the warp asks for the way back.
    """
    h, w = x.shape[2:]
    back = []
    for _ in x:
        angle, lean = np.deg2rad(rng.uniform(-degrees, degrees)), np.deg2rad(rng.uniform(-shear, shear))
        grow = rng.uniform(scale[0], scale[1])
        right, down = rng.uniform(-translate, translate) * w, rng.uniform(-translate, translate) * h
        back.append(_inverse(_there(angle, lean, grow, right, down)[None])[0])
    return affine_warp(x, np.stack(back))


def _there(angle: float, lean: float, grow: float, right: float, down: float) -> Array:
    """Where a point of the input goes: (2, 3)."""
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    shearing = np.array([[1.0, math.tan(lean)], [0.0, 1.0]])
    return np.column_stack([grow * rotation @ shearing, [right, down]])


def _coordinates(n: int, h: int, w: int) -> Array:
    """Images of odd sides whose two channels tell x and y, from the centre."""
    y, x = np.meshgrid(_centred(h), _centred(w), indexing="ij")
    return np.tile(np.stack([x, y]), (n, 1, 1, 1))


def _views(x: Array, out: Any) -> tuple[Array, Array]:
    """The matrices (N, 2, 3) by which coordinate images were seen, read from the nine pixels around the centre; and whether
    that explains the whole output, margins too."""
    found = shaped("out", out, x)
    n, _, h, w = x.shape
    middle = found[:, :, h // 2 - 1 : h // 2 + 2, w // 2 - 1 : w // 2 + 2].reshape(n, 2, 9)
    y_out, x_out = np.divmod(np.arange(9), 3) - np.ones((2, 1))
    matrix = middle @ np.linalg.pinv(np.stack([x_out, y_out, np.ones(9)]))
    readable = np.isfinite(matrix).all(axis=(1, 2))
    matrix = np.clip(np.where(readable[:, None, None], matrix, 0.0), -1e6, 1e6)
    explained = np.all(np.abs(affine_warp(x, matrix) - found) < 10 * EXACT, axis=(1, 2, 3))
    return matrix, readable & explained


def _amounts(x: Array, out: Any) -> dict[str, Array]:
    """What each image (N,) went through, NaN where it was no affine view: angle and shear in degrees, scale, shift to the
    right and down in pixels; and by how much heights are not what angle, scale and shear alone can make of them."""
    matrix, explained = _views(x, out)
    with np.errstate(all="ignore"):
        determinant = matrix[:, 0, 0] * matrix[:, 1, 1] - matrix[:, 0, 1] * matrix[:, 1, 0]
        determinant = np.where(explained & (np.abs(determinant) > 1e-9), determinant, np.nan)
        a, b = matrix[:, 1, 1] / determinant, -matrix[:, 0, 1] / determinant
        c, d = -matrix[:, 1, 0] / determinant, matrix[:, 0, 0] / determinant  # the way there is [[a, b], [c, d]]
        grow = np.hypot(a, c)
        cos, sin = a / grow, c / grow
        return {
            "angle": np.rad2deg(np.arctan2(c, a)),
            "scale": grow,
            "shear": np.rad2deg(np.arctan((cos * b + sin * d) / grow)),
            "height": (cos * d - sin * b) / grow,
            "right": -(a * matrix[:, 0, 2] + b * matrix[:, 1, 2]),
            "down": -(c * matrix[:, 0, 2] + d * matrix[:, 1, 2]),
        }


def _near(values: Array, wanted: float) -> Share:
    return _share(np.abs(values - wanted) < 100 * EXACT, 1.0)


_STILL = {"degrees": 0.0, "translate": 0.0, "scale": (1.0, 1.0), "shear": 0.0}
_AFFINE = 100
"""Images a call: a share of a quarter that is never met is found out with certainty, half a range as well."""


def _affine_by(play: Functions, rng: Generator, n: int, h: int, w: int, **amounts: Any) -> dict[str, Array]:
    x = _coordinates(n, h, w)
    chosen = (_STILL | amounts).values()
    return _amounts(x, _in_batches(x, rng, lambda part, own: play.random_affine(part, *chosen, own)))


def _affine_angles(play: Functions, rng: Generator) -> Observations:
    """The scenarios of this exercise read 100 images each. Right answers are rejected with probability below 4e-10 each."""
    seen = _affine_by(play, rng, _AFFINE, 5, 7, degrees=60.0)
    return {
        "share of images that are only turned, about their centre": _share(
            (np.abs(seen["right"]) + np.abs(seen["down"]) + np.abs(seen["scale"] - 1) + np.abs(seen["shear"]))
            < 100 * EXACT,
            1.0,
        ),
        **_uniform("angles in degrees", seen["angle"], -60, 60),
    }


def _affine_shifts(play: Functions, rng: Generator) -> Observations:
    seen = _affine_by(play, rng, _AFFINE, 5, 11, translate=0.15)
    return {
        **_uniform("shifts to the right in pixels", seen["right"], -0.15 * 11, 0.15 * 11),
        **_uniform("shifts down in pixels", seen["down"], -0.15 * 5, 0.15 * 5),
        "share of images shifted right and down, or left and up": _share(seen["right"] * seen["down"] > 0, 0.5),
    }


def _affine_scales(play: Functions, rng: Generator) -> Observations:
    seen = _affine_by(play, rng, _AFFINE, 5, 7, scale=(0.6, 0.8))
    return _uniform("scales", seen["scale"], 0.6, 0.8) | {
        "share of images whose height is scaled like their width": _near(seen["height"], 1.0)
    }


def _affine_shears(play: Functions, rng: Generator) -> Observations:
    seen = _affine_by(play, rng, _AFFINE, 5, 9, shear=70.0)
    return _uniform("angles of shear in degrees", seen["shear"], -70, 70) | {
        "share of angles of shear beyond 52 degrees, either way": _share(np.abs(seen["shear"]) > 52, 18 / 70),
        "share of images whose rows are moved along, not turned": _share(
            np.abs(seen["height"] - 1) + np.abs(seen["angle"]) < 100 * EXACT, 1.0
        ),
    }


def _affine_together(play: Functions, rng: Generator) -> Observations:
    """Everything at once tells the order: had the shift come earlier, it would be turned and scaled; had the shear come
    after the rotation, heights would not fit."""
    seen = _affine_by(play, rng, 60, 9, 11, degrees=90.0, translate=0.1, scale=(1.2, 1.5), shear=30.0)
    right, down = np.abs(seen["right"]) <= 1.1 + EXACT, np.abs(seen["down"]) <= 0.9 + EXACT
    inside = (seen["scale"] >= 1.2 - EXACT) & (seen["scale"] <= 1.5 + EXACT) & (np.abs(seen["shear"]) <= 30 + EXACT)
    return {
        "share of images that are one affine view, margins included": _share(np.isfinite(seen["angle"]), 1.0),
        "share of images that were sheared before they were turned": _near(seen["height"], 1.0),
        "share of images whose shift is within its limits, undistorted by the rest": _share(right & down, 1.0),
        "share of images whose scale and shear are within their limits": _share(inside, 1.0),
    }


def _affine_alone(play: Functions, rng: Generator) -> Observations:
    x = _coordinates(20, 9, 11)
    seen = _amounts(x, play.random_affine(x, 40.0, 0.1, (1.1, 1.5), 20.0, _own(rng)))
    return {
        f"all 20 images of a batch get the same {what}": _all_alike(seen[name])
        for what, name in (("angle", "angle"), ("scale", "scale"), ("shear", "shear"), ("shift", "right"))
    }


def _random_affine_inputs(play: Functions, rng: Generator) -> Observations:
    x = rng.standard_normal((3, 2, 4, 5))
    return {"out": play.random_affine(x, 20.0, 0.1, (0.9, 1.1), 10.0, _own(rng))}


def _affine_with(
    build: Callable[..., Array] = _there,
    draw: Callable[..., tuple[float, ...]] | None = None,
    warp: Callable[[Array, Array], Array] = lambda x, there: affine_warp(x, _inverse(there)),
) -> Callable[..., Array]:
    """Another matrix from the same amounts, other amounts, or another use of the matrix."""

    def wrong(
        x: Array, degrees: float, translate: float, scale: tuple[float, float], shear: float, rng: Generator
    ) -> Array:
        h, w = x.shape[2:]
        there = [build(*(draw or _right_amounts)(rng, degrees, translate, scale, shear, h, w)) for _ in x]
        return warp(x, np.stack(there))

    return wrong


def _right_amounts(
    rng: Generator, degrees: float, translate: float, scale: tuple[float, float], shear: float, h: int, w: int
) -> tuple[float, ...]:
    angle, lean = np.deg2rad(rng.uniform(-degrees, degrees)), np.deg2rad(rng.uniform(-shear, shear))
    right, down = rng.uniform(-translate, translate, 2) * (w, h)
    return angle, lean, rng.uniform(*scale), right, down


def _changed(**change: Callable[..., float]) -> Callable[..., tuple[float, ...]]:
    """The right amounts but for those named; each is made from all arguments of `_right_amounts`."""

    def draw(*given: Any) -> tuple[float, ...]:
        found = dict(zip(("angle", "lean", "grow", "right", "down"), _right_amounts(*given), strict=True))
        return tuple((found | {name: make(*given) for name, make in change.items()}).values())

    return draw


def _one_number_shift(
    rng: Generator, degrees: float, translate: float, scale: tuple[float, float], shear: float, h: int, w: int
) -> tuple[float, ...]:
    share = rng.uniform(-translate, translate)
    return (*_right_amounts(rng, degrees, translate, scale, shear, h, w)[:3], share * w, share * h)


def _shift_first(angle: float, lean: float, grow: float, right: float, down: float) -> Array:
    linear = _there(angle, lean, grow, 0, 0)[:, :2]
    return np.column_stack([linear, linear @ [right, down]])


def _shear_last(angle: float, lean: float, grow: float, right: float, down: float) -> Array:
    turn, shearing = _there(angle, 0.0, grow, 0, 0)[:, :2], _there(0.0, lean, 1.0, 0, 0)[:, :2]
    return np.column_stack([shearing @ turn, [right, down]])


def _shear_down(angle: float, lean: float, grow: float, right: float, down: float) -> Array:
    turn = _there(angle, 0.0, grow, 0, 0)[:, :2]
    return np.column_stack([turn @ [[1.0, 0.0], [math.tan(lean), 1.0]], [right, down]])


def _scaled_one_way(angle: float, lean: float, grow: float, right: float, down: float) -> Array:
    linear = _there(angle, lean, 1.0, 0, 0)[:, :2] @ np.diag([grow, 1.0])
    return np.column_stack([linear, [right, down]])


def _in_several_warps(
    x: Array, degrees: float, translate: float, scale: tuple[float, float], shear: float, rng: Generator
) -> Array:
    h, w = x.shape[2:]
    drawn = [_right_amounts(rng, degrees, translate, scale, shear, h, w) for _ in x]
    steps = (
        [_there(0.0, 0.0, grow, 0.0, 0.0) for _, _, grow, _, _ in drawn],
        [_there(0.0, lean, 1.0, 0.0, 0.0) for _, lean, _, _, _ in drawn],
        [_there(angle, 0.0, 1.0, 0.0, 0.0) for angle, _, _, _, _ in drawn],
        [_there(0.0, 0.0, 1.0, right, down) for _, _, _, right, down in drawn],
    )
    for step in steps:
        x = affine_warp(x, _inverse(np.stack(step)))
    return x


def _about_the_corner(x: Array, there: Array) -> Array:
    h, w = x.shape[2:]
    corner = np.array([-(w - 1) / 2, -(h - 1) / 2])
    moved = there.copy()
    moved[:, :, 2] += corner - there[:, :, :2] @ corner
    return affine_warp(x, _inverse(moved))


RANDOM_AFFINE = Exercise(
    name="random_affine",
    asks="Scale, shear, turn and shift each image by random amounts, in one warp.",
    reference=random_affine,
    returns=("out",),
    checks=(
        equals("turns about the centre, uniformly between -degrees and +degrees", 2, _affine_angles),
        equals("shifts uniformly, by up to a share of the width and of the height", 2, _affine_shifts),
        equals("scales uniformly between the two limits; 2 is twice as large", 1, _affine_scales),
        equals("shears rows by the tangent of an angle, uniform between -shear and +shear degrees", 1, _affine_shears),
        equals("scales, shears, turns and shifts, in this order, interpolating once", 2, _affine_together),
        equals("draws amounts of its own for each image", 1, _affine_alone),
        _from_its_generator(
            1, lambda play, x, rng: play.random_affine(x, 30.0, 0.1, (0.8, 1.2), 10.0, rng), (3, 1, 5, 6)
        ),
        leaves_inputs(1, _random_affine_inputs),
    ),
    misconceptions=(
        _idea(
            "random_affine",
            "matrix-not-inverted",
            "affine_warp is given the way from input to output. It asks for the way back: where each output pixel "
            "comes from. A scale of 2 then makes images smaller.",
            _affine_with(warp=affine_warp),
        ),
        _idea(
            "random_affine",
            "degrees-taken-for-radians",
            "Your angles go far beyond their limits: sine and cosine take radians. np.deg2rad converts.",
            _affine_with(draw=_changed(angle=lambda rng, degrees, *_: rng.uniform(-degrees, degrees))),
        ),
        _idea(
            "random_affine",
            "one-way-only",
            "Your images turn one way only. The angle lies between -degrees and +degrees.",
            _affine_with(draw=_changed(angle=lambda rng, degrees, *_: np.deg2rad(rng.uniform(0, degrees)))),
        ),
        _idea(
            "random_affine",
            "half-the-angle",
            "Your angles only reach half of degrees. degrees is the largest angle either way, not the whole range.",
            _affine_with(draw=_changed(angle=lambda rng, degrees, *_: np.deg2rad(rng.uniform(-degrees, degrees) / 2))),
        ),
        _idea(
            "random_affine",
            "shift-in-pixels",
            "You shift by up to translate pixels. translate is a share of the width, and of the height.",
            _affine_with(
                draw=_changed(
                    right=lambda rng, d, translate, *_: rng.uniform(-translate, translate),
                    down=lambda rng, d, translate, *_: rng.uniform(-translate, translate),
                )
            ),
        ),
        _idea(
            "random_affine",
            "shift-by-the-wrong-side",
            "The shift to the right goes with the height, that down with the width: they have changed places.",
            _affine_with(
                draw=_changed(
                    right=lambda rng, d, translate, sc, sh, h, w: rng.uniform(-translate, translate) * h,
                    down=lambda rng, d, translate, sc, sh, h, w: rng.uniform(-translate, translate) * w,
                )
            ),
        ),
        _idea(
            "random_affine",
            "one-number-for-both-shifts",
            "One random number decides both shifts: images move along a diagonal only. Draw two.",
            _affine_with(draw=_one_number_shift),
        ),
        _idea(
            "random_affine",
            "scaled-one-way",
            "Only the width is scaled. Scale both directions alike.",
            _affine_with(_scaled_one_way),
        ),
        _idea(
            "random_affine",
            "shear-without-tangent",
            "You move rows by the angle itself. A shear by an angle moves them by its tangent.",
            _affine_with(
                draw=_changed(lean=lambda rng, d, t, sc, shear, *_: math.atan(np.deg2rad(rng.uniform(-shear, shear))))
            ),
        ),
        _idea(
            "random_affine",
            "shear-downwards",
            "You move columns up and down. The shear here is horizontal: x moves by tan(angle) y.",
            _affine_with(_shear_down),
        ),
        _idea(
            "random_affine",
            "shift-before-the-rest",
            "Your shift comes first, and is scaled and turned with the image. It comes last.",
            _affine_with(_shift_first),
        ),
        _idea(
            "random_affine",
            "shear-after-the-rotation",
            "You turn first and shear then. The order is scale, shear, rotation, shift.",
            _affine_with(_shear_last),
        ),
        _idea(
            "random_affine",
            "several-warps",
            "You warp several times: each time the image is interpolated anew, and what left it on the way is lost. "
            "Multiply the matrices and warp once.",
            _in_several_warps,
        ),
        _idea(
            "random_affine",
            "about-the-corner",
            "You turn about the upper left corner. Coordinates count from the centre already.",
            _affine_with(warp=_about_the_corner),
        ),
        _idea(
            "random_affine",
            "amounts-for-the-batch",
            "All images of a batch are warped alike. Draw amounts for each image.",
            _one_draw(random_affine),
        ),
        *_careless(random_affine),
    ),
    hints=(
        "A point goes from the input to the output by scale, shear, rotation and shift. What does affine_warp want to "
        "know?",
        "forward = rotation @ shearing * scale takes a point p to forward @ p + shift. So p = inverse @ (output - "
        "shift).",
        "Draw (N,) amounts, stack (N, 2, 2) matrices, np.linalg.inv, and -inverse @ shift as the last column.",
    ),
    builds_on=("affine_warp",),
    composed=lambda play: _affine_with(warp=lambda x, there: play.affine_warp(x, _inverse(there))),
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
        out = play.cutout(x, size, _own(rng))
        _, everywhere, zero = _holes(x, out)
        rows, _ = _hole_centres(x, out, size)
        found |= {
            f"share of ({h}, {w}) images with a hole in every channel": _share(everywhere, 1.0),
            f"share of ({h}, {w}) images whose hole is 0 in all channels": _share(zero, 1.0),
            f"share of ({h}, {w}) images with one hole of side {size}, as far as it lies inside": _share(
                rows >= 0, 1.0
            ),
        }
    return found


def _cutout_even(play: Functions, rng: Generator) -> Observations:
    """Where no middle pixel exists, a square may lie half a pixel to either side; 100 holes that all stick out happen by
    chance with probability below 1e-15."""
    x = _bright(rng, 100, 1, 9, 8)
    changed, _, _ = _holes(x, _in_batches(x, rng, lambda part, own: play.cutout(part, 4, own), count=10))
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
    rows, columns = _hole_centres(x, _in_batches(x, rng, lambda part, own: play.cutout(part, 3, own)), 3)
    return _places_uniform("centres", rows, columns, 5, 7)


def _cutout_alone(play: Functions, rng: Generator) -> Observations:
    x = _bright(rng, 30, 1, 8, 9)
    changed, _, _ = _holes(x, play.cutout(x, 3, _own(rng)))
    return {"all 30 images of a batch have the same hole": bool(np.all(changed == changed[0]))}


def _cutout_inputs(play: Functions, rng: Generator) -> Observations:
    return {"out": play.cutout(_bright(rng, 3, 2, 5, 6), 3, _own(rng))}


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
        _from_its_generator(1, lambda play, x, rng: play.cutout(x, 3, rng), (20, 1, 5, 6)),
        leaves_inputs(1, _cutout_inputs),
    ),
    misconceptions=(
        _idea(
            "cutout",
            "whole-squares-only",
            "Your squares always lie inside the image. Their centre may be any pixel; what sticks out is cut off, so "
            "that some images keep nearly all (DeVries & Taylor found this to matter).",
            _cutout_by(lambda rng, length, size: int(rng.integers(max(length - size + 1, 1)))),
        ),
        _idea(
            "cutout",
            "place-as-corner",
            "The drawn pixel is your square's upper left corner. It is to be the centre.",
            _cutout_by(lambda rng, length, size: int(rng.integers(length))),
        ),
        _idea(
            "cutout",
            "last-pixel-missing",
            "The last row and column are never the centre. rng.integers(k) stops before k already.",
            _cutout_by(lambda rng, length, size: int(rng.integers(length - 1)) - size // 2),
        ),
        _idea(
            "cutout",
            "negative-start",
            "Squares that would begin before row or column 0 are missing or elsewhere: a negative index counts from "
            "the end. Begin at max(0, ...).",
            _cutout_by(slices=lambda first, side, length: slice(first, first + side)),
        ),
        _idea(
            "cutout",
            "one-pixel-short",
            "Your squares of an odd side are one pixel too small: from centre - size // 2 to centre + size // 2 there "
            "are size - 1 pixels. Count size from the first.",
            _cutout_by(side=lambda size: 2 * (size // 2)),
        ),
        _idea(
            "cutout",
            "size-as-half-the-side",
            "Your squares reach size pixels to every side. size is the whole side.",
            _cutout_by(lambda rng, length, size: int(rng.integers(length)) - size, lambda size: 2 * size + 1),
        ),
        _idea(
            "cutout",
            "filled-with-the-mean",
            "Your squares are filled with the image's mean. Fill them with 0 (the mean of centred images).",
            _cutout_by(fill=lambda image, hole: np.where(hole, image.mean(), image)),
        ),
        _idea(
            "cutout",
            "first-channel-only",
            "Only the first channel has a hole. Set all channels to 0.",
            _cutout_by(fill=lambda image, hole: np.concatenate([np.where(hole, 0.0, image[:1]), image[1:]])),
        ),
        _idea(
            "cutout",
            "a-hole-for-each-channel",
            "The channels of an image have holes at different places. One square goes through all channels.",
            _by_channel(cutout),
        ),
        _idea(
            "cutout",
            "all-but-the-square",
            "You keep the square and set the rest to 0. It is the other way round.",
            _cutout_by(fill=lambda image, hole: np.where(hole, image, 0.0)),
        ),
        _idea(
            "cutout",
            "one-hole-for-the-batch",
            "All images of a batch have the same hole. Draw a square for each image.",
            _one_draw(cutout),
        ),
        _idea(
            "cutout",
            "in-place",
            "You cut holes into the caller's own images. Work on a copy: the next epoch needs them whole.",
            _cutout_in_place,
        ),
        *_careless(cutout),
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
    images, labels = play.mixup(x, y, alpha, _own(rng))
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
        "share of images that are made of two at most": _share(two & (np.abs(rest) < EXACT), 1.0),
        "share of images whose two weights sum to 1": _share(np.abs(weights.sum(axis=1) - 1) < EXACT, 1.0),
        "share of images with weights from 0 to 1": _share(
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
    x_mixed, y_mixed = play.mixup(x, y, 2.0, _own(rng))
    wanted = shaped("x_mixed", x_mixed, x).reshape(12, -1)[:, places] @ y
    own = np.concatenate([np.diag(b)[mixed] for _, b, mixed in pairs])  # the weights of their own class in mixed labels
    partners = np.concatenate([np.diag(a)[mixed] for a, _, mixed in pairs])
    return {
        "share of labels mixed with the images' weights and partners": _share(
            np.all(np.abs(images - labels) < EXACT, axis=1), 1.0
        ),
        "share of labels of 5 classes that fit their images": _share(
            np.all(np.abs(shaped("y_mixed", y_mixed, y) - wanted) < EXACT, axis=1), 1.0
        ),
        "share of labels with the partners of their images": _share(
            np.concatenate([_partners(a) == _partners(b) for a, b, _ in pairs]), 1.0
        ),
        "share of labels in which their own class counts": _share(
            np.concatenate([np.diag(b) for _, b, _ in pairs]) > 0, 1.0
        ),
        "weights in the labels differ from batch to batch": own.size > 0 and not _all_alike(own),
        "weights in the labels are those of the partners": own.size > 0
        and bool(np.all(np.abs(own + partners - 1) < EXACT)),
    }


def _mixup_partners(play: Functions, rng: Generator) -> Observations:
    """Four batches of 20: the same partners twice happen by chance with probability 1 / 20!."""
    partners = np.array([_partners(_mixed(play, rng, (20, 1, 4, 5), 4.0)[0]) for _ in range(4)])
    return {
        "share of images that are somebody's partner": _share(
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
    answers are rejected with probability below 5e-10, uniform weights pass with probability below 1e-9."""
    rare, even = (_own_weights(play, rng, alpha, 48) for alpha in (0.2, 32.0))
    return {
        "share of weights from 0.1 to 0.9 with alpha=0.2": _share((rare > 0.1) & (rare < 0.9), TENTH_TO_NINE_TENTHS),
        "share of weights above one half with alpha=0.2": _share(rare > 0.5, 0.5),
        "share of weights from 0.3 to 0.7 with alpha=32": _share((even > 0.3) & (even < 0.7), beta_between(32, 0.3)),
        "share of weights above one half with alpha=32": _share(even > 0.5, 0.5),
        "share of weights above 0.7 with alpha=32": _share(even > 0.7, (1 - beta_between(32, 0.3)) / 2),
    }


def _mixup_inputs(play: Functions, rng: Generator) -> Observations:
    x, y = rng.standard_normal((4, 2, 2, 3)), np.eye(3)[rng.integers(0, 3, 4)]
    return {"x_mixed": play.mixup(x, y, 1.0, _own(rng))[0]}


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
        _from_its_generator(1, lambda play, x, rng: play.mixup(x, np.eye(6)[: len(x)], 1.0, rng)[0], (6, 1, 2, 3)),
        leaves_inputs(1, _mixup_inputs),
    ),
    misconceptions=(
        _idea(
            "mixup",
            "labels-not-mixed",
            "The images are mixed, but the labels are as before. A blend of cat and dog is not all cat.",
            _mixup_by(labels=lambda own, other, w: own.copy()),
        ),
        _idea(
            "mixup",
            "label-weights-exchanged",
            "In the labels lambda and 1 - lambda have changed places: an image that is mostly its own has mostly its "
            "partner's label.",
            _mixup_by(labels=lambda own, other, w: (1 - w) * own + w * other),
        ),
        _idea(
            "mixup",
            "labels-of-another-partner",
            "Images and labels are mixed with different partners: one permutation serves both.",
            _mixup_other_partner,
        ),
        _idea(
            "mixup",
            "labels-with-another-lambda",
            "Images and labels are mixed with different weights: one lambda serves both.",
            _mixup_other_weight,
        ),
        _idea(
            "mixup",
            "partners-labels-only",
            "Your labels are the partners' alone. Mix them as the images.",
            _mixup_by(labels=lambda own, other, w: other),
        ),
        _idea(
            "mixup",
            "labels-halved",
            "Your labels are half one, half the other, whatever lambda is. They have the images' weights.",
            _mixup_by(labels=lambda own, other, w: (own + other) / 2),
        ),
        _idea(
            "mixup",
            "labels-of-the-larger-part",
            "Your labels are those of the image with the larger weight. Mix them as the images.",
            _mixup_by(labels=lambda own, other, w: own.copy() if w >= 0.5 else other),
        ),
        _idea(
            "mixup",
            "lambda-twice",
            "lambda is applied twice: the weights of image and partner do not sum to 1.",
            _mixup_by(
                images=lambda own, other, w: w * (w * own) + (1 - w) * other,
                labels=lambda own, other, w: w * (w * own) + (1 - w) * other,
            ),
        ),
        _idea(
            "mixup",
            "partner-added",
            "The partner is added to the whole image: the weights sum to more than 1. The image itself gets lambda.",
            _mixup_by(
                images=lambda own, other, w: own + (1 - w) * other, labels=lambda own, other, w: own + (1 - w) * other
            ),
        ),
        _idea(
            "mixup",
            "uniform-lambda",
            "Your lambda is uniform in [0, 1]: alpha plays no part. Draw it from Beta(alpha, alpha).",
            _mixup_by(lambda rng, alpha: rng.random()),
        ),
        _idea(
            "mixup",
            "lambda-is-alpha",
            "Your lambda is always the same. Draw it from Beta(alpha, alpha).",
            _mixup_by(lambda rng, alpha: min(alpha, 0.7)),
        ),
        _idea(
            "mixup",
            "beta-of-one-side",
            "Your lambda comes from Beta(alpha, 1), which is not symmetric. Both parameters are alpha.",
            _mixup_by(lambda rng, alpha: rng.beta(alpha, 1)),
        ),
        _idea(
            "mixup",
            "larger-part-its-own",
            "Your lambda is never below one half. (Some later methods do that; mixup does not.)",
            _mixup_by(lambda rng, alpha: max(w := rng.beta(alpha, alpha), 1 - w)),
        ),
        _idea(
            "mixup",
            "partners-fixed",
            "Partners are the same in each batch: the reverse order, say, or the neighbour. Pair by a random "
            "permutation.",
            _mixup_by(partners=lambda rng, n: np.arange(n)[::-1]),
        ),
        _idea(
            "mixup",
            "partners-with-repetition",
            "Some images are partners several times and others never. A permutation takes each one once.",
            _mixup_by(partners=lambda rng, n: rng.integers(n, size=n)),
        ),
        _idea(
            "mixup",
            "in-place",
            "You mix into the caller's own arrays. Return new ones: the next epoch needs the images as they were.",
            _mixup_in_place,
        ),
        *_careless(mixup),
    ),
    hints=(
        "An image that is 70 per cent cat and 30 per cent dog: what is its label?",
        "x[rng.permutation(N)] holds a partner for each image; the same permutation gives the partners' labels.",
        "lambda = rng.beta(alpha, alpha); lambda a + (1 - lambda) b, once for images and once for labels.",
    ),
)

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
    return _idea("predict_multi_crop", id, message, wrong)


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

EXERCISES = (
    HORIZONTAL_FLIP,
    CROP,
    RESIZE_BILINEAR,
    ADJUST_BRIGHTNESS,
    ADJUST_CONTRAST,
    PCA_LIGHTING,
    AFFINE_WARP,
    TEN_CROP,
    RANDOM_FLIP,
    RANDOM_CROP,
    RANDOM_RESIZED_CROP,
    COLOR_JITTER,
    RANDOM_AFFINE,
    CUTOUT,
    MIXUP,
    PREDICT_MULTI_CROP,
)
