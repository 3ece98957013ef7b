"""Real data that needs no download: scikit-learn's handwritten digits and its two photos."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from nnlab.datasets.parts import Data
from nnlab.layers import Array

PHOTO_NAMES = ("china", "flower")


def digits(
    dtype: DTypeLike = np.float32, validation: int | float = 300, test: int | float = 300, seed: int = 0
) -> Data:
    """1797 handwritten digits, 8 × 8 pixels, as (N, 1, 8, 8), less the training pixels' mean, over their standard
    deviation (Alpaydin & Kaynak 1998, UCI; shipped with scikit-learn).

    `validation` and `test` are numbers of examples or shares; each class has the same share in all three parts. `seed`
    fixes the split.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 1, 8, 8)
    if isinstance(test, float):
        test = round(test * len(images))
    if isinstance(validation, float):
        validation = round(validation * len(images))
    rest, x_test, y_rest, y_test = train_test_split(images, labels, test_size=test, stratify=labels, random_state=seed)
    x_train, x_val, y_train, y_val = train_test_split(
        rest, y_rest, test_size=validation, stratify=y_rest, random_state=seed
    )
    mean, std = x_train.mean(), x_train.std()
    x_train, x_val, x_test = (((part - mean) / std).astype(dtype) for part in (x_train, x_val, x_test))
    classes = tuple(str(digit) for digit in range(10))
    scale = (np.full((1, 1, 1), number / 16, x_train.dtype) for number in (mean, std))  # the levels are 0..16
    return Data(x_train, y_train, x_val, y_val, x_test, y_test, "digits", classes, *scale)


def photos(
    size: int | tuple[int, int] | None = None,
    crop: tuple[int, int, int, int] | None = None,
    square: bool = False,
    dtype: DTypeLike = np.float64,
) -> Array:
    """The photos that scikit-learn ships, `PHOTO_NAMES`, as (2, 3, H, W) in [0, 1]; 427 × 640 pixels to begin with.

    `crop` is (top, left, height, width); `square` takes the largest square in the middle instead. `size` is the side or
    (height, width) to scale to afterwards. Needs pillow, which comes with matplotlib.
    """
    from PIL import Image
    from sklearn.datasets import load_sample_images

    images: Sequence[np.ndarray] = load_sample_images().images  # each (427, 640, 3), uint8
    if square:
        height, width = images[0].shape[:2]
        side = min(height, width)
        crop = ((height - side) // 2, (width - side) // 2, side, side)
    found = []
    for pixels in images:
        if crop is not None:
            top, left, height, width = crop
            pixels = pixels[top : top + height, left : left + width]
        if size is not None:
            height, width = (size, size) if isinstance(size, int) else size
            pixels = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX))
        found.append(pixels)
    return np.stack(found).transpose(0, 3, 1, 2).astype(dtype) / 255  # (2, H, W, 3) -> (2, 3, H, W)
