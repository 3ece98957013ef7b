"""What every data set of the course comes as: images and labels split in three, and how to get back to pixels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nnlab.layers import Array
from nnlab.network import Labels

Bytes = NDArray[np.uint8]
Part = tuple[Bytes, Labels]  # images (N, C, H, W), labels (N,)


class DataError(Exception):
    """Data that can't be had, or is damaged: the message says what to do. A notebook shows the message alone."""

    def _render_traceback_(self) -> list[str]:  # IPython asks for this; the reader's code is not to blame
        return [f"DataError: {self}"]


@dataclass(frozen=True)
class Data:
    """Images (N, C, H, W) and labels (N,), split in three. The arrays are read-only.

    `classes` names the labels 0..K-1. `mean` and `std`, (C, 1, 1), are what the pixels in [0, 1] were standardized
    with: x = (pixel - mean) / std; None if they were left as they are.
    """

    x_train: Array
    y_train: Labels
    x_val: Array
    y_val: Labels
    x_test: Array
    y_test: Labels
    name: str
    classes: tuple[str, ...] = ()
    mean: Array | None = None
    std: Array | None = None

    def __post_init__(self) -> None:
        for value in vars(self).values():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False

    @property
    def flat(self) -> "Data":
        """The same with the images as rows, (N, C·H·W): views, not copies. `mean` and `std` become (C·H·W,)."""
        shape = self.x_train.shape[1:]
        parts = {part: getattr(self, part) for part in ("x_train", "x_val", "x_test")}
        rows = {part: images.reshape(len(images), math.prod(shape)) for part, images in parts.items()}
        for part in ("mean", "std"):
            if getattr(self, part) is not None:
                rows[part] = np.broadcast_to(getattr(self, part), shape).reshape(-1)
        return replace(self, **rows)

    def first(self, count: int) -> "Data":
        """The same with the first `count` training examples only (they are in random order)."""
        return replace(self, x_train=self.x_train[:count], y_train=self.y_train[:count])

    def pixels(self, x: Array) -> Array:
        """Images of this data, (N, C, H, W), or rows of its `flat`, back in [0, 1] to be shown."""
        if self.mean is None or self.std is None:
            return np.clip(x, 0, 1)
        return np.clip(x * self.std + self.mean, 0, 1)

    def __str__(self) -> str:
        parts = f"{len(self.x_train)} train, {len(self.x_val)} validation, {len(self.x_test)} test"
        return f"{self.name}: {parts}, images {self.x_train.shape[1:]}"


def part_sizes(count: int, validation: int | float, test: int | float) -> tuple[int, int, int]:
    """How many of `count` images are for training, validation and test; the last two are numbers or shares.

    Raises ValueError if nothing is left to train on.
    """
    sizes = [round(part * count) if isinstance(part, float) else part for part in (validation, test)]
    left = count - sum(sizes)
    if left < 1 or min(sizes) < 0:
        raise ValueError(f"count={count} with validation={validation} and test={test} leaves {left} images to train on")
    return left, sizes[0], sizes[1]


def from_pixels(
    parts: Sequence[Part],
    name: str,
    classes: Sequence[str],
    standardize: bool,
    dtype: DTypeLike,
) -> Data:
    """Data from the pixels 0..255 of three parts (training, validation, test): over 255 and, with `standardize`, less the training pixels' mean of each channel, over
    their standard deviation."""
    levels = np.arange(256) / 255
    train = parts[0][0]
    channels = train.shape[1]
    mean, std = np.zeros((channels, 1, 1)), np.ones((channels, 1, 1))
    if standardize:
        for channel in range(channels):  # exact, and no copy of the images in floating point
            shares = np.bincount(train[:, channel].ravel(), minlength=256) / train[:, channel].size
            mean[channel] = shares @ levels
            std[channel] = np.sqrt(shares @ (levels - mean[channel, 0]) ** 2) or 1.0
    values = ((levels - mean[:, 0]) / std[:, 0]).astype(dtype)  # (C, 256)

    def scaled(images: Bytes) -> Array:
        out: Array = np.empty(images.shape, values.dtype)
        for channel in range(channels):
            out[:, channel] = values[channel][images[:, channel]]
        return out

    (x_train, y_train), (x_val, y_val), (x_test, y_test) = ((scaled(images), labels) for images, labels in parts)
    whole = Data(x_train, y_train, x_val, y_val, x_test, y_test, name, tuple(classes))
    return replace(whole, mean=mean.astype(dtype), std=std.astype(dtype)) if standardize else whole
