"""Colour textures, drawn from formulas: images as unlike letters as can be, for nets that must learn something else."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nnlab.datasets.drawing import Floats, drawn_data, painted
from nnlab.datasets.parts import Bytes, Data
from nnlab.network import Labels

Mask = NDArray[np.floating] | NDArray[np.bool_]  # (n, side, side) from 0, one colour, to 1, the other
_SAMPLES = 2  # points looked at in each pixel, along each side


def textures(
    count: int = 6000,
    seed: int = 0,
    size: int = 16,
    *,
    kinds: Sequence[str] | None = None,
    noise: float = 0.05,
    colour: bool = True,
    validation: int | float = 0.15,
    test: int | float = 0.15,
    standardize: bool = True,
    dtype: DTypeLike = np.float32,
) -> Data:
    """`count` images of ten kinds of texture, (N, 3, size, size), each kind equally often; `seed` fixes them all.

    Two colours, orientation, phase and the number of repeats (in the image, whatever its size) are drawn anew for each
    image; so only the pattern tells the class, never a colour or a place.

    kinds:  the classes, in the order of their labels, out of `TEXTURES`, which is also the default.
    noise:  standard deviation of the normal noise on pixels in [0, 1].
    colour: False gives (N, 1, size, size) in grey.
    validation, test: how many of the images, or which share of them; see `glyphs`.
    standardize: less the training pixels' mean of each channel, over their standard deviation; otherwise in [0, 1].

    Raises ValueError for a kind that there is not. Source: drawn by this function.
    """
    kinds = TEXTURES if kinds is None else tuple(kinds)
    unknown = [kind for kind in kinds if kind not in _PATTERNS]
    if unknown:
        raise ValueError(f"there is no texture {', '.join(unknown)}; there are {', '.join(TEXTURES)}")

    def draw(labels: Labels, rng: np.random.Generator) -> Bytes:
        mask = np.empty((len(labels), size, size), np.float32)
        for label, kind in enumerate(kinds):
            which = np.flatnonzero(labels == label)
            step = max(1, 2**18 // (size * _SAMPLES) ** 2)  # images at a time: the work stays in the processor's cache
            for start in range(0, len(which), step):
                some = which[start : start + step]
                fine = _PATTERNS[kind](_Plane(len(some), size * _SAMPLES, rng))
                blocks = fine.reshape(len(some), size, _SAMPLES, size, _SAMPLES)
                mask[some] = blocks.mean(axis=(2, 4), dtype=np.float32)
        flipped = rng.random((len(labels), 1, 1)) < 0.5  # without colour, which of the two is dark is random, too
        low, high = rng.uniform(0, 0.25, (2, len(labels), 1, 1)).astype(np.float32)
        if not colour:
            mask = low + (1 - low - high) * np.where(flipped, 1 - mask, mask)
        return painted(mask, noise, colour, rng)

    return drawn_data(draw, count, seed, size, validation, test, "textures", kinds, standardize, dtype)


class _Plane:
    """`count` square images of `side`² points with their coordinates x, y in [-1/2, 1/2], and the dice to draw them."""

    def __init__(self, count: int, side: int, rng: np.random.Generator) -> None:
        self.count, self.side, self.rng = count, side, rng
        middle = ((np.arange(side) + 0.5) / side - 0.5).astype(np.float32)
        self.x, self.y = middle[None, None, :], middle[None, :, None]

    def between(self, low: float, high: float) -> Floats:
        """One number for each image, (count, 1, 1)."""
        return self.rng.uniform(low, high, (self.count, 1, 1)).astype(np.float32)

    def turned(self, angle: Floats) -> tuple[Floats, Floats]:
        """Coordinates along and across the direction `angle`, (count, side, side) each."""
        cos, sin = np.cos(angle), np.sin(angle)
        return self.x * cos + self.y * sin, self.y * cos - self.x * sin

    def around(self, reach: float) -> tuple[Floats, Floats]:
        """Distance from, and angle about, a centre that lies within `reach` of the middle."""
        x, y = self.x - self.between(-reach, reach), self.y - self.between(-reach, reach)
        return np.sqrt(x * x + y * y), np.arctan2(y, x)

    def angle(self) -> Floats:
        return self.between(0, 2 * np.pi)


def _fraction(x: Floats) -> Floats:
    """x - floor(x), which is several times faster than x % 1."""
    return x - np.floor(x)


def _stripes(p: _Plane) -> Mask:
    u, _ = p.turned(p.angle())
    return _fraction(u * p.between(2, 4) + p.between(0, 1)) < p.between(0.35, 0.65)


def _zigzags(p: _Plane) -> Mask:
    u, v = p.turned(p.angle())
    bend = np.abs(_fraction(v * p.between(1.5, 2.5) + p.between(0, 1)) - 0.5)  # a triangle wave, 0..1/2
    return _fraction(u * p.between(2, 3.5) + bend * p.between(1.8, 2.6) + p.between(0, 1)) < 0.5


def _checks(p: _Plane) -> Mask:
    u, v = p.turned(p.angle())
    cells = p.between(3.5, 6)
    first, second = (_fraction((along * cells + p.between(0, 1)) / 2) < 0.5 for along in (u, v))
    return first != second


def _triangles(p: _Plane) -> Mask:
    """Three sets of parallel lines at 60° through common points: u + v + w = 0, the floors add up to -1 or -2."""
    angle, cells = p.angle(), p.between(2, 3.2)
    u = p.turned(angle)[0] * cells + p.between(0, 1)
    v = p.turned(angle + np.float32(2 * np.pi / 3))[0] * cells + p.between(0, 1)
    return np.floor(u) + np.floor(v) + np.floor(-u - v) == -1


def _dots(p: _Plane) -> Mask:
    u, v = p.turned(p.angle())
    cells = p.between(2.2, 4)
    u, v = (_fraction(along * cells + p.between(0, 1)) - 0.5 for along in (u, v))
    return u * u + v * v < p.between(0.25, 0.36) ** 2


def _rings(p: _Plane) -> Mask:
    distance, _ = p.around(0.2)
    return _fraction(distance * p.between(3, 5) + p.between(0, 1)) < p.between(0.4, 0.6)


def _spokes(p: _Plane) -> Mask:
    _, angle = p.around(0.2)
    number = np.floor(p.between(4, 8)) / np.float32(2 * np.pi)
    return _fraction(angle * number + p.between(0, 1)) < 0.5


def _gradients(p: _Plane) -> Mask:
    u, _ = p.turned(p.angle())
    return np.clip(0.5 + p.between(-0.2, 0.2) + u * p.between(0.7, 1.4), 0, 1)


def _clouds(p: _Plane) -> Mask:
    """Eight waves of random direction and length, added."""
    total = sum(np.sin(p.turned(p.angle())[0] * p.between(3, 14) + p.angle()) * p.between(0.5, 1) for _ in range(8))
    return np.clip(0.5 + 0.25 * np.asarray(total), 0, 1)


def _speckles(p: _Plane) -> Mask:
    """Every pixel for itself."""
    pixels = p.rng.random((p.count, p.side // _SAMPLES, p.side // _SAMPLES), dtype=np.float32) < p.between(0.35, 0.65)
    return pixels.repeat(_SAMPLES, axis=1).repeat(_SAMPLES, axis=2)


_PATTERNS: dict[str, Callable[[_Plane], Mask]] = {
    "stripes": _stripes,
    "zigzags": _zigzags,
    "checks": _checks,
    "triangles": _triangles,
    "dots": _dots,
    "rings": _rings,
    "spokes": _spokes,
    "gradients": _gradients,
    "clouds": _clouds,
    "speckles": _speckles,
}
TEXTURES = tuple(_PATTERNS)
