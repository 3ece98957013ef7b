"""Where a pixel goes, by given numbers: flips, crops, resizing, affine maps, the ten crops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autograder.checks import equals, leaves_inputs, shaped
from autograder.exercise import Exercise, Functions, Misconception, Observations
from autograder.exercises.data_augmentation.shared import Array, Generator, mistake

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

    return mistake("horizontal_flip", id, message, flip)


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
        mistake(
            "horizontal_flip",
            "all-flipped",
            "You mirror all images. Only those where which is true are to be mirrored.",
            lambda x, which: x[..., ::-1],
        ),
        mistake(
            "horizontal_flip",
            "which-inverted",
            "You mirror the images where which is false, and leave those where it is true.",
            lambda x, which: horizontal_flip(x, ~which),
        ),
        mistake(
            "horizontal_flip",
            "none-flipped",
            "Nothing is mirrored: the images come back as they were.",
            lambda x, which: x.copy(),
        ),
        mistake(
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

    return mistake("crop", id, message, wrong)


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
        mistake(
            "crop",
            "one-too-large",
            "Your squares have a side of size + 1. A slice ends before its upper limit.",
            lambda x, top, left, size: crop(np.pad(x, ((0, 0), (0, 0), (0, 1), (0, 1))), top, left, size + 1),
        ),
        mistake(
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


def positions_of(length: int, size: int) -> Array:
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
    return _along_rows_and_columns(x, positions_of(x.shape[2], size), positions_of(x.shape[3], size))


def _enlarged(border: bool) -> Callable[[Functions, Generator], Observations]:
    """The pixels whose four neighbours exist, or the others."""

    def observe(play: Functions, rng: Generator) -> Observations:
        found: Observations = {}
        for n, c, h, w, size in ((2, 3, 4, 6, 9), (3, 1, 5, 3, 8), *(((2, 2, 1, 4, 5), (2, 1, 3, 1, 4)) if border else ())):
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
        position = positions_of(length, size)
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
        mistake(
            "resize_bilinear",
            "corners-aligned",
            "You stretch the grid so that the corner pixels' centres fall on one another (PyTorch's "
            "align_corners=True). Here the pixels are areas: output pixel i has its centre at (i + 1/2) H / size - "
            "1/2.",
            _resize_by(lambda length, size: np.arange(size) * (length - 1) / max(size - 1, 1)),
        ),
        mistake(
            "resize_bilinear",
            "no-half-pixel",
            "Output pixel i looks at position i H / size: all is moved towards the upper left corner. Pixel centres "
            "lie half a pixel in: (i + 1/2) H / size - 1/2.",
            _resize_by(lambda length, size: np.arange(size) * length / size),
        ),
        mistake(
            "resize_bilinear",
            "half-pixel-not-taken-off",
            "Output pixel i looks at position (i + 1/2) H / size. Take the half pixel of the input off again.",
            _resize_by(lambda length, size: (np.arange(size) + 0.5) * length / size),
        ),
        mistake(
            "resize_bilinear",
            "nearest",
            "You take the nearest pixel: edges become steps. Mix the four nearest, by how near they are.",
            _resize_by(lambda length, size: np.floor((np.arange(size) + 0.5) * length / size)),
        ),
        mistake(
            "resize_bilinear",
            "zero-outside",
            "At the border your images turn dark: neighbours outside count as 0. Keep the position between the first "
            "and the last pixel's centre.",
            _resized_beyond(lambda x: np.pad(x, _TWO_AROUND)),
        ),
        mistake(
            "resize_bilinear",
            "wrapped-around",
            "At the border your images show the opposite border: an index of -1 is the last pixel. Keep the position "
            "between the first and the last pixel's centre.",
            _resized_beyond(lambda x: np.pad(x, _TWO_AROUND, mode="wrap")),
        ),
        mistake(
            "resize_bilinear",
            "extrapolated",
            "At the border your weights are negative or above 1: the slope goes on outside. Keep the position between "
            "the first and the last pixel's centre.",
            _extrapolated,
        ),
        mistake(
            "resize_bilinear",
            "shares-swapped",
            "The two neighbours' weights have changed places: the nearer one must count more.",
            _shares_swapped,
        ),
        mistake(
            "resize_bilinear",
            "smoothed-when-shrinking",
            "When shrinking, you average over all pixels that an output pixel covers (antialiasing). Here only the "
            "four nearest centres count.",
            _area_average,
        ),
        mistake(
            "resize_bilinear",
            "one-factor-for-both",
            "Rows and columns are resized by the same factor, that of the height: a wide image is cut off or repeats "
            "its border. Each axis has its own factor.",
            lambda x, size: _resize_by(
                positions_of, lambda length, size: (np.arange(size) + 0.5) * x.shape[2] / size - 0.5
            )(x, size),
        ),
        mistake(
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


# --- affine_warp ----------------------------------------------------------------------------------------------------


def centred_on(length: int) -> Array:
    return np.arange(length) - (length - 1) / 2


def _sources(matrix: Array, h: int, w: int) -> tuple[Array, Array]:
    """Rows and columns (N, H, W) of the input, from its upper left pixel, at which each output pixel looks."""
    x_out, y_out = centred_on(w)[None, :], centred_on(h)[:, None]
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
    return mistake("affine_warp", id, message, lambda x, matrix: fetched(x, *sources(np.asarray(matrix), *x.shape[2:])))


def _warp_with(change: Callable[[Array, int, int], Array]) -> Callable[[Array, int, int], tuple[Array, Array]]:
    """The sources of a changed matrix."""
    return lambda matrix, h, w: _sources(change(matrix, h, w), h, w)


def inverse_of(matrix: Array, h: int = 0, w: int = 0) -> Array:
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
            _warp_with(inverse_of),
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
    return mistake("ten_crop", id, message, wrong)


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
