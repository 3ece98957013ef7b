"""Where a pixel goes, by chance: flips, crops and affine maps, drawn for each image."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograder.checks import equals, leaves_inputs, shaped
from autograder.compare import Share
from autograder.exercise import Exercise, Functions, Misconception, Observations
from autograder.exercises.data_augmentation.geometry import (
    affine_warp,
    centred_on,
    crop,
    horizontal_flip,
    inverse_of,
    positions_of,
    resize_bilinear,
)
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
    uniform_numbers,
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
    mirrored, same = _flips(mixed, play.random_flip(mixed, generator_of_its_own(rng), 0.6))
    return {
        "out with p=1": play.random_flip(x, generator_of_its_own(rng), 1.0),
        "out with p=0": play.random_flip(x, generator_of_its_own(rng), 0.0),
        "share of images that are mirrored or as they were": share_of(mirrored | same, 1.0),
    }


def _flip_share(play: Functions, rng: Generator) -> Observations:
    """How many of 300 images are mirrored, for three p. Right answers are rejected with probability below 3e-10. The
    default is compared with p = 0.5 besides, by equal generators: one of 0.55 treats 5% of 600 images otherwise."""
    x, many, seed = _numbered(300, 1, 1, 3), _numbered(600, 1, 1, 3), int(rng.integers(2**32))
    left_out = play.random_flip(many, np.random.default_rng(seed))
    given = play.random_flip(many, np.random.default_rng(seed), 0.5)
    by_default = in_small_batches(x, rng, lambda part, own: play.random_flip(part, own))
    rarely = in_small_batches(x, rng, lambda part, own: play.random_flip(part, own, 0.2))
    often = in_small_batches(x, rng, lambda part, own: play.random_flip(part, own, 0.9))
    return {
        "share mirrored with the default p": share_of(_flips(x, by_default)[0], 0.5),
        "share mirrored with p=0.2": share_of(_flips(x, rarely)[0], 0.2),
        "share mirrored with p=0.9": share_of(_flips(x, often)[0], 0.9),
        "the default and p=0.5 mirror the same images": bool(
            np.array_equal(_flips(many, left_out)[0], _flips(many, given)[0])
        ),
    }


def _flip_alone(play: Functions, rng: Generator) -> Observations:
    """60 images all alike happen by chance with probability 2e-18; 45 batches of two show whether the two are independent.
    Right answers are rejected with probability below 2e-10."""
    many, two = _numbered(60, 1, 1, 3), _numbered(2, 1, 1, 3)
    mirrored, _ = _flips(many, play.random_flip(many, generator_of_its_own(rng)))
    pairs = np.array([_flips(two, play.random_flip(two, generator_of_its_own(rng)))[0] for _ in range(45)])
    return {
        "60 images of one batch are all treated alike": bool(mirrored.all() or not mirrored.any()),
        "share of batches of two in which both are treated alike": share_of(pairs[:, 0] == pairs[:, 1], 0.5),
    }


def _flip_random_inputs(play: Functions, rng: Generator) -> Observations:
    return {"out": play.random_flip(rng.standard_normal((6, 2, 3, 5)), generator_of_its_own(rng), 1.0)}


def _random_flip_idea(id: str, message: str, wrong: Callable[[Array, Generator, float], Array]) -> Misconception:
    return mistake("random_flip", id, message, lambda x, rng, p=0.5: wrong(x, rng, p))


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
        from_its_generator(1, lambda play, x, rng: play.random_flip(x, rng), (40, 1, 2, 3)),
        leaves_inputs(1, _flip_random_inputs),
    ),
    misconceptions=(
        _random_flip_idea(
            "one-toss-for-the-batch",
            "All images of a batch are mirrored or none is: one coin is tossed for all. Toss one for each image.",
            one_draw_for_all(random_flip),
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
        *careless_about(random_flip),
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
    for n, c, h, w, size, padding in ((40, 3, 4, 6, 5, 2), (40, 2, 6, 5, 3, 0), (40, 1, 3, 4, 2, 3)):
        x = 1 + rng.permutation(_numbered(n, c, h, w))
        rows, _ = _crop_places(x, play.random_crop(x, size, padding, generator_of_its_own(rng)), size, padding)
        found[f"share of crops with padding {padding} that are one square of their image and zeros"] = share_of(
            rows >= 0, 1.0
        )
    return found


def places_uniform(what: str, rows: Array, columns: Array, heights: int, widths: int) -> Observations:
    """Whether places are uniform over ``heights`` rows and ``widths`` columns, and the two independent. Places are -1 where
    they could not be read."""
    found: Observations = {}
    for name, place, count in (("row", rows, heights), ("column", columns, widths)):
        found[f"share of {what} at the first {name}"] = share_of(place == 0, 1 / count)
        found[f"share of {what} at the last possible {name}"] = share_of(place == count - 1, 1 / count)
    upper, lower = (rows >= 0) & (rows < heights // 2), rows >= heights - heights // 2
    before, after = (columns >= 0) & (columns < widths // 2), columns >= widths - widths // 2
    expected = 2 * (heights // 2) * (widths // 2) / (heights * widths)
    return found | {
        f"share of {what} at the upper right or the lower left": share_of((upper & after) | (lower & before), expected)
    }


def _crop_uniform(play: Functions, rng: Generator) -> Observations:
    """400 places of 3 rows and 4 columns, and 800 of 3 and 3 without padding. Right answers are rejected with probability
    below 2e-9, a place that never comes up is missed with probability below 1e-15."""
    x, small = _numbered(400, 1, 5, 6), _numbered(800, 1, 3, 3)
    padded = _crop_places(x, in_small_batches(x, rng, lambda part, own: play.random_crop(part, 5, 1, own)), 5, 1)
    plain = _crop_places(small, in_small_batches(small, rng, lambda part, own: play.random_crop(part, 1, 0, own)), 1, 0)
    return {
        **places_uniform("padded crops", *padded, 3, 4),
        **places_uniform("crops without padding", *plain, 3, 3),
        "share of crops without padding in the middle of three rows or columns": share_of(
            np.concatenate(plain) == 1, 1 / 3
        ),
    }


def _crop_alone(play: Functions, rng: Generator) -> Observations:
    """40 images at the same of 20 places happen by chance with probability below 1e-50."""
    x = _numbered(40, 1, 6, 7)
    rows, columns = _crop_places(x, play.random_crop(x, 5, 1, generator_of_its_own(rng)), 5, 1)
    return {"all 40 images of a batch are cut at the same place": all_alike(np.stack([rows, columns], axis=1))}


def _random_crop_inputs(play: Functions, rng: Generator) -> Observations:
    return {"crops": play.random_crop(rng.standard_normal((3, 2, 5, 6)), 4, 1, generator_of_its_own(rng))}


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
        from_its_generator(1, lambda play, x, rng: play.random_crop(x, 3, 1, rng), (12, 1, 4, 5)),
        leaves_inputs(1, _random_crop_inputs),
    ),
    misconceptions=(
        mistake(
            "random_crop",
            "last-place-missing",
            "The last possible row and column never come up. rng.integers(low, high) stops before high, and there are "
            "H + 2 padding - size + 1 places.",
            _crop_by(lambda rng, count, padding: rng.integers(max(count - 1, 1))),
        ),
        mistake(
            "random_crop",
            "first-place-missing",
            "Row 0 and column 0 of the padded image never come up. Places begin at 0.",
            _crop_by(lambda rng, count, padding: rng.integers(min(1, count - 1), count)),
        ),
        mistake(
            "random_crop",
            "as-if-size-were-the-image",
            "Your places go from 0 to 2 padding. That is right only where size is the image's side; in general there "
            "are H + 2 padding - size + 1.",
            _crop_by(lambda rng, count, padding: rng.integers(2 * padding + 1)),
        ),
        mistake(
            "random_crop",
            "places-of-the-unpadded-image",
            "Your places are those of the image before padding: its lower and right frame is never seen.",
            _crop_by(lambda rng, count, padding: rng.integers(max(count - 2 * padding, 1))),
        ),
        mistake(
            "random_crop",
            "rounded-places",
            "The first and the last place come up half as often as the others: a uniform number was rounded. Draw "
            "whole numbers.",
            _crop_by(lambda rng, count, padding: round(rng.uniform(0, count - 1))),
        ),
        mistake(
            "random_crop",
            "row-and-column-from-one-draw",
            "One random number decides the row and the column: squares move along the diagonal only. Draw two.",
            _crop_same_for_both,
        ),
        mistake(
            "random_crop",
            "one-place-for-the-batch",
            "All images of a batch are cut at the same place. Draw a place for each image.",
            one_draw_for_all(random_crop),
        ),
        mistake(
            "random_crop",
            "a-place-for-each-channel",
            "The channels of an image are cut at different places: the colours come apart. Draw one place an image.",
            by_its_channel(random_crop),
        ),
        mistake(
            "random_crop",
            "frame-not-zero",
            "Your frame holds pixels of the image, repeated or mirrored. Pad with zeros.",
            _crop_by(lambda rng, count, padding: rng.integers(count), mode="edge"),
        ),
        mistake(
            "random_crop",
            "centre-only",
            "Your squares are always the centre. Draw their place.",
            _crop_by(lambda rng, count, padding: (count - 1) // 2),
        ),
        *careless_about(random_crop),
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
    places = np.array([positions_of(side, size) for side in sides])  # (sides, size), from the square's first pixel
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
        x, own = _ramps(n, c, h, w), 600.0 * np.arange(n)[:, None, None, None]  # what tells one image from another
        out = play.random_resized_crop(x + own, size, (0.2, 1.0), generator_of_its_own(rng))
        sides, _, _ = _resized_from(x, shaped("out", out, np.zeros((n, c, size, size))) - own, size)
        found[f"share of outputs of side {size} that are a resized square of ({h}, {w})"] = share_of(sides > 0, 1.0)
    return found


def _side_chance(side: int, largest: int, low: float, high: float) -> float:
    """The probability of sides up to ``side``: those whose share is below ((side + 1/2) / largest)^2."""
    return min(max((((side + 0.5) / largest) ** 2 - low) / (high - low), 0.0), 1.0)


def _resized_areas(play: Functions, rng: Generator) -> Observations:
    """The largest square has side 6: shares from 0.3 to 0.5 give sides 3 and 4, and from 0.01 to 1 a third are at most 3.
    Right answers are rejected with probability below 4e-10."""
    narrow, wide = _ramps(200, 1, 6, 12), _ramps(800, 1, 6, 9)
    few = in_small_batches(narrow, rng, lambda part, own: play.random_resized_crop(part, 3, (0.3, 0.5), own))
    all_ = in_small_batches(wide, rng, lambda part, own: play.random_resized_crop(part, 3, (0.01, 1.0), own))
    few, all_ = _resized_from(narrow, few, 3)[0], _resized_from(wide, all_, 3)[0]
    return {
        "share of sides 3 and 4 where the share of the area is 0.3 to 0.5": share_of((few == 3) | (few == 4), 1.0),
        "share of side 3 among them": share_of(few == 3, _side_chance(3, 6, 0.3, 0.5)),
        "share of sides 1 to 3 where the share of the area is 0.01 to 1": share_of(
            (all_ > 0) & (all_ <= 3), _side_chance(3, 6, 0.01, 1.0)
        ),
        "share of side 6 among them": share_of(all_ == 6, 1 - _side_chance(5, 6, 0.01, 1.0)),
    }


def _resized_tiny(play: Functions, rng: Generator) -> Observations:
    x = _ramps(20, 1, 6, 7)
    sides, _, _ = _resized_from(x, play.random_resized_crop(x, 3, (0.0005, 0.001), generator_of_its_own(rng)), 3)
    return {"share of squares of one pixel where the share of the area is below 0.001": share_of(sides == 1, 1.0)}


def _resized_places(play: Functions, rng: Generator) -> Observations:
    """Side 4 always: 3 rows and 4 columns where it can lie. Right answers are rejected with probability below 5e-10."""
    x = _ramps(360, 1, 6, 7)
    out = in_small_batches(x, rng, lambda part, own: play.random_resized_crop(part, 3, (0.4, 0.48), own))
    _, rows, columns = _resized_from(x, out, 3)
    return places_uniform("squares", rows, columns, 3, 4)


def _resized_alone(play: Functions, rng: Generator) -> Observations:
    """40 images with one side, or at one place, happen by chance with probability below 1e-10."""
    x = _ramps(60, 1, 8, 9)
    sides, rows, columns = _resized_from(x, play.random_resized_crop(x, 3, (0.05, 0.9), generator_of_its_own(rng)), 3)
    return {
        "all 60 images of a batch are cut with the same side": all_alike(sides),
        "all 60 images of a batch are cut at the same place": all_alike(np.stack([rows, columns], axis=1)),
    }


def _random_resized_inputs(play: Functions, rng: Generator) -> Observations:
    return {"out": play.random_resized_crop(rng.standard_normal((3, 2, 5, 6)), 4, (0.3, 1.0), generator_of_its_own(rng))}


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
        from_its_generator(1, lambda play, x, rng: play.random_resized_crop(x, 3, (0.1, 1.0), rng), (12, 1, 7, 8)),
        leaves_inputs(1, _random_resized_inputs),
    ),
    misconceptions=(
        mistake(
            "random_resized_crop",
            "share-of-the-side",
            "You multiply the side by the share. scale is about areas: the side goes with the root of the share.",
            _resized_by(lambda rng, low, high, h, w: round(rng.uniform(low, high) * min(h, w))),
        ),
        mistake(
            "random_resized_crop",
            "uniform-in-the-side",
            "Your sides are uniform between the roots of the two shares. Draw the share of the area, then take its "
            "root: large squares come up more often.",
            _resized_by(lambda rng, low, high, h, w: round(rng.uniform(math.sqrt(low), math.sqrt(high)) * min(h, w))),
        ),
        mistake(
            "random_resized_crop",
            "share-of-the-whole-image",
            "Your share is of the image's area H W. Here it is of the largest square's, min(H, W)^2, so that a share "
            "of 1 fits.",
            _resized_by(lambda rng, low, high, h, w: round(math.sqrt(rng.uniform(low, high) * h * w))),
        ),
        mistake(
            "random_resized_crop",
            "side-rounded-down",
            "Your sides are rounded down: the largest one never comes up. Round to the nearest whole number.",
            _resized_by(lambda rng, low, high, h, w: math.floor(math.sqrt(rng.uniform(low, high)) * min(h, w))),
        ),
        mistake(
            "random_resized_crop",
            "side-rounded-up",
            "Your sides are rounded up. Round to the nearest whole number.",
            _resized_by(lambda rng, low, high, h, w: math.ceil(math.sqrt(rng.uniform(low, high)) * min(h, w))),
        ),
        mistake(
            "random_resized_crop",
            "scale-ignored",
            "Your squares are as large as they can be, whatever scale is.",
            _resized_by(lambda rng, low, high, h, w: min(h, w)),
        ),
        mistake(
            "random_resized_crop",
            "last-place-missing",
            "The last possible row and column never come up. rng.integers(low, high) stops before high, and a side s "
            "has H - s + 1 places.",
            _resized_by(_right_side, lambda rng, count: int(rng.integers(max(count - 1, 1)))),
        ),
        mistake(
            "random_resized_crop",
            "centre-only",
            "Your squares always lie in the centre. Draw their place, too.",
            _resized_by(_right_side, lambda rng, count: (count - 1) // 2),
        ),
        mistake(
            "random_resized_crop",
            "one-square-for-the-batch",
            "All images of a batch are cut alike. Draw a square for each image.",
            one_draw_for_all(random_resized_crop),
        ),
        mistake(
            "random_resized_crop",
            "a-square-for-each-channel",
            "The channels of an image are cut differently: the colours come apart. Draw one square an image.",
            by_its_channel(random_resized_crop),
        ),
        mistake(
            "random_resized_crop",
            "resized-otherwise",
            "Your squares are not resized bilinearly between half-pixel centres. Use resize_bilinear.",
            _resized_by(_right_side, resize=_nearest_resized),
        ),
        *careless_about(random_resized_crop),
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
        back.append(inverse_of(_there(angle, lean, grow, right, down)[None])[0])
    return affine_warp(x, np.stack(back))


def _there(angle: float, lean: float, grow: float, right: float, down: float) -> Array:
    """Where a point of the input goes: (2, 3)."""
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    shearing = np.array([[1.0, math.tan(lean)], [0.0, 1.0]])
    return np.column_stack([grow * rotation @ shearing, [right, down]])


def _coordinates(n: int, h: int, w: int) -> Array:
    """Images of odd sides whose two channels tell x and y, from the centre."""
    y, x = np.meshgrid(centred_on(h), centred_on(w), indexing="ij")
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
    return share_of(np.abs(values - wanted) < 100 * EXACT, 1.0)


_STILL = {"degrees": 0.0, "translate": 0.0, "scale": (1.0, 1.0), "shear": 0.0}
_AFFINE = 100
"""Images a call: a share of a quarter that is never met is found out with certainty, half a range as well."""


def _affine_by(
    play: Functions, rng: Generator, n: int, h: int, w: int, brightest: float = 1.0, **amounts: Any
) -> dict[str, Array]:
    """``brightest`` times as bright is the last image as the first, which tells them apart."""
    x, bright = _coordinates(n, h, w), np.linspace(1, brightest, n)[:, None, None, None]
    chosen = (_STILL | amounts).values()
    out = in_small_batches(x * bright, rng, lambda part, own: play.random_affine(part, *chosen, own))
    return _amounts(x, shaped("out", out, x) / bright)


def _affine_angles(play: Functions, rng: Generator) -> Observations:
    """The scenarios of this exercise read 100 images each. Right answers are rejected with probability below 4e-10 each."""
    seen = _affine_by(play, rng, _AFFINE, 5, 7, degrees=60.0)
    return {
        "share of images that are only turned, about their centre": share_of(
            (np.abs(seen["right"]) + np.abs(seen["down"]) + np.abs(seen["scale"] - 1) + np.abs(seen["shear"]))
            < 100 * EXACT,
            1.0,
        ),
        **uniform_numbers("angles in degrees", seen["angle"], -60, 60),
    }


def _affine_shifts(play: Functions, rng: Generator) -> Observations:
    seen = _affine_by(play, rng, _AFFINE, 5, 11, translate=0.15)
    return {
        **uniform_numbers("shifts to the right in pixels", seen["right"], -0.15 * 11, 0.15 * 11),
        **uniform_numbers("shifts down in pixels", seen["down"], -0.15 * 5, 0.15 * 5),
        "share of images shifted right and down, or left and up": share_of(seen["right"] * seen["down"] > 0, 0.5),
    }


def _affine_scales(play: Functions, rng: Generator) -> Observations:
    seen = _affine_by(play, rng, _AFFINE, 5, 7, scale=(0.6, 0.8))
    return uniform_numbers("scales", seen["scale"], 0.6, 0.8) | {
        "share of images whose height is scaled like their width": _near(seen["height"], 1.0)
    }


def _affine_shears(play: Functions, rng: Generator) -> Observations:
    seen = _affine_by(play, rng, _AFFINE, 5, 9, shear=70.0)
    return uniform_numbers("angles of shear in degrees", seen["shear"], -70, 70) | {
        "share of angles of shear beyond 52 degrees, either way": share_of(np.abs(seen["shear"]) > 52, 18 / 70),
        "share of images whose rows are moved along, not turned": share_of(
            np.abs(seen["height"] - 1) + np.abs(seen["angle"]) < 100 * EXACT, 1.0
        ),
    }


def _affine_together(play: Functions, rng: Generator) -> Observations:
    """Everything at once tells the order: had the shift come earlier, it would be turned and scaled; had the shear come
    after the rotation, heights would not fit."""
    seen = _affine_by(play, rng, 60, 9, 11, brightest=3.0, degrees=90.0, translate=0.1, scale=(1.2, 1.5), shear=30.0)
    right, down = np.abs(seen["right"]) <= 1.1 + EXACT, np.abs(seen["down"]) <= 0.9 + EXACT
    inside = (seen["scale"] >= 1.2 - EXACT) & (seen["scale"] <= 1.5 + EXACT) & (np.abs(seen["shear"]) <= 30 + EXACT)
    return {
        "share of images that are one affine view of what came in at their place, margins included": share_of(np.isfinite(seen["angle"]), 1.0),
        "share of images that were sheared before they were turned": _near(seen["height"], 1.0),
        "share of images whose shift is within its limits, undistorted by the rest": share_of(right & down, 1.0),
        "share of images whose scale and shear are within their limits": share_of(inside, 1.0),
    }


def _affine_alone(play: Functions, rng: Generator) -> Observations:
    x = _coordinates(20, 9, 11)
    seen = _amounts(x, play.random_affine(x, 40.0, 0.1, (1.1, 1.5), 20.0, generator_of_its_own(rng)))
    return {
        f"all 20 images of a batch get the same {what}": all_alike(seen[name])
        for what, name in (("angle", "angle"), ("scale", "scale"), ("shear", "shear"), ("shift", "right"))
    }


def _random_affine_inputs(play: Functions, rng: Generator) -> Observations:
    x = rng.standard_normal((3, 2, 4, 5))
    return {"out": play.random_affine(x, 20.0, 0.1, (0.9, 1.1), 10.0, generator_of_its_own(rng))}


def _affine_with(
    build: Callable[..., Array] = _there,
    draw: Callable[..., tuple[float, ...]] | None = None,
    warp: Callable[[Array, Array], Array] = lambda x, there: affine_warp(x, inverse_of(there)),
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
        x = affine_warp(x, inverse_of(np.stack(step)))
    return x


def _about_the_corner(x: Array, there: Array) -> Array:
    h, w = x.shape[2:]
    corner = np.array([-(w - 1) / 2, -(h - 1) / 2])
    moved = there.copy()
    moved[:, :, 2] += corner - there[:, :, :2] @ corner
    return affine_warp(x, inverse_of(moved))


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
        from_its_generator(
            1, lambda play, x, rng: play.random_affine(x, 30.0, 0.1, (0.8, 1.2), 10.0, rng), (3, 1, 5, 6)
        ),
        leaves_inputs(1, _random_affine_inputs),
    ),
    misconceptions=(
        mistake(
            "random_affine",
            "matrix-not-inverted",
            "affine_warp is given the way from input to output. It asks for the way back: where each output pixel "
            "comes from. A scale of 2 then makes images smaller.",
            _affine_with(warp=affine_warp),
        ),
        mistake(
            "random_affine",
            "degrees-taken-for-radians",
            "Your angles go far beyond their limits: sine and cosine take radians. np.deg2rad converts.",
            _affine_with(draw=_changed(angle=lambda rng, degrees, *_: rng.uniform(-degrees, degrees))),
        ),
        mistake(
            "random_affine",
            "one-way-only",
            "Your images turn one way only. The angle lies between -degrees and +degrees.",
            _affine_with(draw=_changed(angle=lambda rng, degrees, *_: np.deg2rad(rng.uniform(0, degrees)))),
        ),
        mistake(
            "random_affine",
            "half-the-angle",
            "Your angles only reach half of degrees. degrees is the largest angle either way, not the whole range.",
            _affine_with(draw=_changed(angle=lambda rng, degrees, *_: np.deg2rad(rng.uniform(-degrees, degrees) / 2))),
        ),
        mistake(
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
        mistake(
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
        mistake(
            "random_affine",
            "one-number-for-both-shifts",
            "One random number decides both shifts: images move along a diagonal only. Draw two.",
            _affine_with(draw=_one_number_shift),
        ),
        mistake(
            "random_affine",
            "scaled-one-way",
            "Only the width is scaled. Scale both directions alike.",
            _affine_with(_scaled_one_way),
        ),
        mistake(
            "random_affine",
            "shear-without-tangent",
            "You move rows by the angle itself. A shear by an angle moves them by its tangent.",
            _affine_with(
                draw=_changed(lean=lambda rng, d, t, sc, shear, *_: math.atan(np.deg2rad(rng.uniform(-shear, shear))))
            ),
        ),
        mistake(
            "random_affine",
            "shear-downwards",
            "You move columns up and down. The shear here is horizontal: x moves by tan(angle) y.",
            _affine_with(_shear_down),
        ),
        mistake(
            "random_affine",
            "shift-before-the-rest",
            "Your shift comes first, and is scaled and turned with the image. It comes last.",
            _affine_with(_shift_first),
        ),
        mistake(
            "random_affine",
            "shear-after-the-rotation",
            "You turn first and shear then. The order is scale, shear, rotation, shift.",
            _affine_with(_shear_last),
        ),
        mistake(
            "random_affine",
            "several-warps",
            "You warp several times: each time the image is interpolated anew, and what left it on the way is lost. "
            "Multiply the matrices and warp once.",
            _in_several_warps,
        ),
        mistake(
            "random_affine",
            "about-the-corner",
            "You turn about the upper left corner. Coordinates count from the centre already.",
            _affine_with(warp=_about_the_corner),
        ),
        mistake(
            "random_affine",
            "amounts-for-the-batch",
            "All images of a batch are warped alike. Draw amounts for each image.",
            one_draw_for_all(random_affine),
        ),
        *careless_about(random_affine),
    ),
    hints=(
        "A point goes from the input to the output by scale, shear, rotation and shift. What does affine_warp want to "
        "know?",
        "forward = rotation @ shearing * scale takes a point p to forward @ p + shift. So p = inverse @ (output - "
        "shift).",
        "Draw (N,) amounts, stack (N, 2, 2) matrices, np.linalg.inv, and -inverse @ shift as the last column.",
    ),
    builds_on=("affine_warp",),
    composed=lambda play: _affine_with(warp=lambda x, there: play.affine_warp(x, inverse_of(there))),
)
