"""The picture of what a normalisation shares: a cube of (N, C, H×W) numbers, one colour for each mean."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from nnlab.palette import COLOURS, INK

Colour = tuple[float, float, float]
Vector = NDArray[np.float64]
# Where the steps of one example, one channel and one pixel lead on paper (an oblique drawing).
STEP_N, STEP_C, STEP_P = np.array([0.42, 0.36]), np.array([1.0, 0.0]), np.array([0.0, 1.0])


def shared_means(axes: tuple[int, ...], shape: tuple[int, int, int], G: int | None = None) -> NDArray[np.int64]:
    """Which mean each number belongs to, as ids (N, C, P) for P = H·W pixels: two entries have the same id if averaging
    over `axes` of (N, C, H, W) puts them into one mean. With `G` groups the channels are split into G parts first."""
    n, channels, pixels = shape
    groups = channels if G is None else G
    if channels % groups:
        raise ValueError(f"{channels} channels cannot be split into {groups} groups of equal size")
    if (2 in axes) != (3 in axes):
        raise ValueError(f"axes {axes}: the drawing has H and W on one edge, so both or neither can be averaged over")
    example, channel, pixel = np.indices(shape)
    if G is not None:
        key = [example, channel // (channels // groups), pixel]  # (N, C, ...) -> (N, G, C/G, ...): the group is kept
        averaged = [0 in axes, False, 2 in axes]
    else:
        key, averaged = [example, channel, pixel], [0 in axes, 1 in axes, 2 in axes]
    size = (n, groups, pixels)
    ids = np.ravel_multi_index([np.zeros_like(k) if over else k for k, over in zip(key, averaged, strict=True)], size)
    return np.unique(ids, return_inverse=True)[1].reshape(shape)


def norm_cube(
    axes: tuple[int, ...],
    title: str = "",
    G: int | None = None,
    shape: tuple[int, int, int] = (4, 6, 4),
    ax: Axes | None = None,
) -> Axes:
    """A cube of `shape` (N, C, H·W) in which the numbers that share one mean have one colour.

    `axes` are those that the norm averages over, of (N, C, H, W): batch (0, 2, 3), layer (1, 2, 3), instance (2, 3);
    for group norm (1, 2, 3) with `G` groups. Such as `norm_cube(normalization_axes("layer"), "Layer norm")`.
    """
    ax = plt.subplots(figsize=(3.2, 3.2))[1] if ax is None else ax
    ids = shared_means(axes, shape, G)
    n, channels, pixels = shape
    colours = _colours(ids)
    faces: list[tuple[Vector, Colour]] = []

    def cell(example: float, channel: float, pixel: float, along: Vector, up: Vector, of: int, shade: float) -> None:
        corner = example * STEP_N + channel * STEP_C + pixel * STEP_P
        square = np.array([corner, corner + along, corner + along + up, corner + up])
        red, green, blue = colours[of]
        faces.append((square, (red * shade, green * shade, blue * shade)))

    for c in range(channels):  # the front: the first example
        for p in range(pixels):
            cell(0, c, p, STEP_C, STEP_P, ids[0, c, p], 1.0)
    for e in range(n):
        for c in range(channels):  # the top: the last pixel
            cell(e, c, pixels, STEP_C, STEP_N, ids[e, c, -1], 1.0)
        for p in range(pixels):  # the right side: the last channel
            cell(e, channels, p, STEP_N, STEP_P, ids[e, -1, p], 0.86)
    ax.add_collection(
        PolyCollection(
            [square for square, _ in faces], facecolors=[c for _, c in faces], edgecolors="white", linewidths=0.8
        )
    )
    right, top = channels * STEP_C + n * STEP_N + pixels * STEP_P
    ax.set(xlim=(-0.8, right + 0.1), ylim=(-0.8, top + 0.1), aspect="equal")
    ax.axis("off")
    ax.text(channels / 2, -0.25, "C", ha="center", va="top", color=INK)
    ax.text(-0.2, pixels / 2, "H×W", ha="center", va="center", rotation=90, color=INK)
    middle = channels * STEP_C + n / 2 * STEP_N
    ax.text(middle[0] + 0.3, middle[1] - 0.15, "N", ha="left", va="top", color=INK)
    means = int(ids.max()) + 1
    ax.set_title(f"{title}\n{means} means of {ids.size // means} numbers".strip(), loc="center", fontsize=11, color=INK)
    return ax


def _colours(ids: NDArray[np.int64]) -> list[Colour]:
    """A colour for each id: a hue for each place along C (along N, if C is averaged), lighter step by step along N."""
    example, channel, _ = np.indices(ids.shape)
    count = int(ids.max()) + 1
    first = np.array([np.argmax(ids.ravel() == i) for i in range(count)])  # one entry of each mean
    columns = np.unique(channel.ravel()[first], return_inverse=True)[1]
    rows = np.unique(example.ravel()[first], return_inverse=True)[1]
    if columns.max() == 0:
        columns, rows = rows, columns
    steps = max(1, rows.max())
    return [_lighter(COLOURS[c % len(COLOURS)], 0.72 * r / steps) for c, r in zip(columns, rows, strict=True)]


def _lighter(colour: str, amount: float) -> Colour:
    red, green, blue = (part + (1 - part) * amount for part in to_rgb(colour))
    return red, green, blue
