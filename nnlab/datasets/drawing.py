"""What glyphs and textures have in common: streams of random numbers, balanced labels, colours, 8-bit pixels."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nnlab.datasets.parts import Bytes, Data, from_pixels, part_sizes
from nnlab.network import Labels

Floats = NDArray[np.floating]
SMALLEST = 8  # pixels a side; what is drawn smaller can't be told apart


def drawn_data(
    draw: Callable[[Labels, np.random.Generator], Bytes],
    count: int,
    seed: int,
    size: int,
    validation: int | float,
    test: int | float,
    name: str,
    classes: Sequence[str],
    standardize: bool,
    dtype: DTypeLike,
) -> Data:
    """Data whose three parts are drawn from three independent streams of `seed`, each class equally often in each part
    (give or take one image). `draw(labels, rng)` makes the images (N, C, H, W)."""
    if size < SMALLEST:
        raise ValueError(f"size={size}: images of at least {SMALLEST} × {SMALLEST} pixels can be drawn")
    if len(classes) < 2 or len(set(classes)) < len(classes):
        raise ValueError(f"these should be two or more different classes: {', '.join(classes)}")
    parts = []
    streams = np.random.SeedSequence(seed).spawn(3)
    for part, stream in zip(part_sizes(count, validation, test), streams, strict=True):
        rng = np.random.default_rng(stream)
        labels = rng.permutation(np.arange(part) % len(classes))
        parts.append((draw(labels, rng), labels))
    return from_pixels(parts, name, classes, standardize, dtype)


def painted(mask: Floats, noise: float, colour: bool, rng: np.random.Generator) -> Bytes:
    """Masks (N, H, W) from 0 (paper) to 1 (ink) as images (N, 3, H, W) in two random colours each, or without `colour`
    as they are, (N, 1, H, W); plus normal noise of standard deviation `noise`. Rounding to 256 levels makes the images
    the same on machines whose sines differ in the last bit."""
    images = mask[:, None]
    if colour:
        paper, ink = two_colours(len(mask), rng)
        images = paper[:, :, None, None] + (ink - paper)[:, :, None, None] * images
    if noise:
        images = images + noise * rng.standard_normal(images.shape, dtype=np.float32)
    return np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8)


def two_colours(count: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Two colours for each of `count` images, (count, 3) in [0, 1]: of four random pairs the most different one."""
    pairs = rng.random((count, 4, 2, 3), dtype=np.float32)
    distance = np.square(pairs[:, :, 0] - pairs[:, :, 1]).sum(axis=2)  # (count, 4)
    best = pairs[np.arange(count), distance.argmax(axis=1)]  # (count, 2, 3)
    return best[:, 0], best[:, 1]
