"""The course's own data augmentation, with the names, signatures and conventions of the exercises. An experiment uses it
where the reader's function does not pass its check yet.

Images are x (N, C, H, W), float, square or not. Every function returns a new array of x's dtype and leaves x as it was; what
is random draws from a `numpy.random.Generator`, for each image by itself.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnlab.layers import Array

Integers = NDArray[np.integer]


# --- given parameters -----------------------------------------------------------------------------------------------


def horizontal_flip(x: Array, which: NDArray[np.bool_]) -> Array:
    """The images with `which` (N,) true are mirrored, left for right; the others are copied."""
    return np.where(_per_image(which), x[..., ::-1], x)


def crop(x: Array, top: Integers, left: Integers, size: int) -> Array:
    """A square (N, C, size, size) of each image, its upper left corner at row `top[n]`, column `left[n]` (both (N,)).

    Raises ValueError where a square does not lie inside its image.
    """
    top, left = np.asarray(top), np.asarray(left)
    height, width = x.shape[2:]
    if min(top.min(), left.min()) < 0 or top.max() > height - size or left.max() > width - size:
        raise ValueError(
            f"a crop of side {size} does not fit into an image of {height} x {width} at every place asked for"
        )
    places = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))  # (N, C, rows, columns, size, size)
    return places[np.arange(len(x)), :, top, left]


def resize_bilinear(x: Array, size: int) -> Array:
    """The images on a grid of size x size, by bilinear interpolation between pixel centres.

    Output pixel i looks at position (i + 1/2) · H / size - 1/2 of the input, kept between the first and the last centre.
    Shrinking does not smooth first. PyTorch: interpolate(mode="bilinear", align_corners=False, antialias=False).
    """
    zero = np.zeros(1, dtype=int)
    return _resized_squares(x, zero, zero, np.array([x.shape[2]]), np.array([x.shape[3]]), size)


def adjust_brightness(x: Array, factor: ArrayLike) -> Array:
    """factor · x, clipped to [0, 1]; `factor` is a number or (N,), one for each image."""
    return np.clip(_per_image(factor, x) * x, 0, 1)


def adjust_contrast(x: Array, factor: ArrayLike) -> Array:
    """mean + factor · (x - mean), clipped to [0, 1]; the mean is over all channels and pixels of one image.

    `factor` is a number or (N,), one for each image.
    """
    mean = x.mean(axis=(1, 2, 3), keepdims=True)
    return np.clip(mean + _per_image(factor, x) * (x - mean), 0, 1)


def pca_lighting(x: Array, alphas: Array, eigenvalues: Array, eigenvectors: Array) -> Array:
    """eigenvectors @ (alphas[n] · eigenvalues) added to every pixel of image n, clipped to [0, 1].

    x (N, 3, H, W), alphas (N, 3), eigenvalues (3,) and eigenvectors (3, 3), one a column: those of the covariance of the
    training set's colours (Krizhevsky et al. 2012, section 4.1; there alpha is normal with standard deviation 0.1).
    """
    colours = (alphas * eigenvalues) @ np.transpose(eigenvectors)  # (N, 3)
    return np.clip(x + colours[:, :, None, None].astype(x.dtype), 0, 1)


def affine_warp(x: Array, matrix: Array) -> Array:
    """Each image n seen through matrix[n] (2, 3), which tells every output pixel where in the input to look:

        [x_in, y_in] = matrix[n] @ [x_out, y_out, 1]

    in pixels from the image's centre, x to the right and y down. Bilinear; a neighbour outside the image counts as 0.
    """
    n, _, height, width = x.shape
    y_out, x_out = np.meshgrid(np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2, indexing="ij")
    homogeneous = np.stack([x_out.ravel(), y_out.ravel(), np.ones(height * width)])  # (3, H·W)
    source = np.asarray(matrix) @ homogeneous  # (N, 2, H·W)
    # A frame of zeros, one pixel wide, stands for all that is outside: positions further off are moved onto it.
    column = np.clip(source[:, 0] + (width - 1) / 2, -1, width)
    row = np.clip(source[:, 1] + (height - 1) / 2, -1, height)
    framed = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))).transpose(0, 2, 3, 1)  # (N, H + 2, W + 2, C)
    west = np.minimum(np.floor(column), width - 1).astype(int)
    north = np.minimum(np.floor(row), height - 1).astype(int)
    to_east = (column - west)[..., None].astype(x.dtype)  # (N, H·W, 1): the share of the eastern neighbour
    to_south = (row - north)[..., None].astype(x.dtype)
    image = np.arange(n)[:, None]

    def neighbour(down: int, right: int) -> Array:
        return framed[image, north + 1 + down, west + 1 + right]  # (N, H·W, C)

    upper = (1 - to_east) * neighbour(0, 0) + to_east * neighbour(0, 1)
    lower = (1 - to_east) * neighbour(1, 0) + to_east * neighbour(1, 1)
    out = (1 - to_south) * upper + to_south * lower
    return np.ascontiguousarray(out.transpose(0, 2, 1)).reshape(x.shape)


def ten_crop(x: Array, size: int) -> Array:
    """Ten squares (10, N, C, size, size) of every image: upper left, upper right, lower left, lower right, centre, then the
    same five of the mirrored images (Krizhevsky et al. 2012, section 4.1; torchvision's order).

    The centre's corner is at ((H - size) // 2, (W - size) // 2). Raises ValueError where an image is smaller than `size`.
    """
    down, right = x.shape[2] - size, x.shape[3] - size
    if min(down, right) < 0:
        raise ValueError(f"a crop of side {size} does not fit into an image of {x.shape[2]} x {x.shape[3]}")
    corners = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
    return np.stack(
        [images[:, :, top : top + size, left : left + size] for images in (x, x[..., ::-1]) for top, left in corners]
    )


# --- drawn parameters -----------------------------------------------------------------------------------------------


def random_flip(x: Array, rng: np.random.Generator, p: float = 0.5) -> Array:
    """Each image by itself is mirrored with probability p."""
    return horizontal_flip(x, rng.random(len(x)) < p)


def random_crop(x: Array, size: int, padding: int, rng: np.random.Generator) -> Array:
    """`padding` zeros on all four sides, then a square (N, C, size, size) at a place of its own for each image.

    All places inside the padded image are equally likely, the last one too.
    """
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    n, _, height, width = padded.shape
    return crop(padded, rng.integers(height - size + 1, size=n), rng.integers(width - size + 1, size=n), size)


def random_resized_crop(x: Array, size: int, scale: tuple[float, float], rng: np.random.Generator) -> Array:
    """A square of random size and place of each image, resized to (N, C, size, size).

    Its area is a share, uniform in `scale` = (low, high), 0 < low <= high <= 1, of that of the largest square; its side
    sqrt(share) · min(H, W) is rounded to whole pixels, at least 1. (Szegedy et al. 2015, "Going deeper with convolutions",
    draw the area as a share of the image and the aspect ratio, too.)
    """
    n, _, height, width = x.shape
    share = rng.uniform(scale[0], scale[1], n)
    side = np.maximum(1, np.rint(np.sqrt(share) * min(height, width)).astype(int))
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    return _resized_squares(x, top, left, side, side, size)


def color_jitter(x: Array, brightness: float, contrast: float, rng: np.random.Generator) -> Array:
    """`adjust_brightness`, then `adjust_contrast`, by factors of its own for each image.

    A factor is uniform in [max(0, 1 - strength), 1 + strength]; x in [0, 1], as the result.
    """
    for adjust, strength in ((adjust_brightness, brightness), (adjust_contrast, contrast)):
        x = adjust(x, rng.uniform(max(0.0, 1 - strength), 1 + strength, len(x)))
    return x


def random_affine(
    x: Array, degrees: float, translate: float, scale: tuple[float, float], shear: float, rng: np.random.Generator
) -> Array:
    """Each image scaled, sheared, turned and shifted, in this order, about its centre, by amounts of its own:

        output = shift(rotate(shear(scale(input))))

    Scale: uniform in `scale` = (low, high), 2 is twice as large. Shear: x moves by tan(angle) · y, angle uniform in
    +-`shear` degrees. Rotation: uniform in +-`degrees`. Shift: uniform in +-`translate` · W to the right and
    +-`translate` · H down. One `affine_warp` does it all, so that the image is interpolated once.
    """
    n, _, height, width = x.shape
    turn, lean = (np.deg2rad(rng.uniform(-most, most, n)) for most in (degrees, shear))
    grow = rng.uniform(scale[0], scale[1], (n, 1, 1))
    shift = rng.uniform(-translate, translate, (n, 2)) * (width, height)
    cos, sin, tan = np.cos(turn), np.sin(turn), np.tan(lean)
    rotation = np.stack([cos, -sin, sin, cos], axis=-1).reshape(n, 2, 2)
    shearing = np.stack([np.ones(n), tan, np.zeros(n), np.ones(n)], axis=-1).reshape(n, 2, 2)
    forward = grow * (rotation @ shearing)  # where a point of the input goes, but for the shift
    back = np.linalg.inv(forward)
    return affine_warp(x, np.concatenate([back, -back @ shift[:, :, None]], axis=2))


def cutout(x: Array, size: int, rng: np.random.Generator) -> Array:
    """A square of side `size` set to zero in all channels of each image (DeVries & Taylor 2017, arXiv:1708.04552).

    Its centre is any pixel of the image with equal probability; what sticks out is cut off.
    """
    n, _, height, width = x.shape

    def covered(length: int) -> NDArray[np.bool_]:
        """Which of `length` rows or columns lie in each image's square: (N, length)."""
        first = rng.integers(length, size=(n, 1)) - size // 2
        return (np.arange(length) >= first) & (np.arange(length) < first + size)

    hole = covered(height)[:, :, None] & covered(width)[:, None, :]
    return np.where(hole[:, None], np.zeros((), x.dtype), x)


def mixup(x: Array, y_onehot: Array, alpha: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """lambda · image + (1 - lambda) · partner, and the labels (N, K) alike (Zhang et al. 2018, arXiv:1710.09412).

    Partners by a random permutation of the mini-batch, one lambda from Beta(alpha, alpha) a call, as in the authors' code.
    """
    mix = rng.beta(alpha, alpha)
    partner = rng.permutation(len(x))
    return mix * x + (1 - mix) * x[partner], mix * y_onehot + (1 - mix) * y_onehot[partner]


# --- test time ------------------------------------------------------------------------------------------------------


def predict_multi_crop(forward: Callable[[Array], Array], x: Array, size: int) -> Array:
    """The mean (N, K) of forward(crops) over the ten crops; `forward` maps (M, C, size, size) to probabilities (M, K)."""
    crops = ten_crop(x, size)
    probabilities = forward(crops.reshape(-1, *crops.shape[2:]))
    return probabilities.reshape(10, len(x), -1).mean(axis=0)


# --- shared ---------------------------------------------------------------------------------------------------------


def _per_image(value: ArrayLike, like: Array | None = None) -> Array:
    """A number or (N,) numbers in a form that meets (N, C, H, W)."""
    return np.asarray(value, dtype=None if like is None else like.dtype).reshape(-1, 1, 1, 1)


def _resized_squares(x: Array, top: Integers, left: Integers, height: Integers, width: Integers, size: int) -> Array:
    """The window of `height` x `width` pixels at (`top`, `left`) of each image, resized to size x size. All of shape (N,) or
    (1,), the same window in all images. Separable: one product of matrices down the rows, one along the columns."""

    def weights(start: Integers, span: Integers, length: int) -> Array:
        """How much each of `length` pixels counts in each of `size` positions: (N, 1, size, length)."""
        within = (np.arange(size) + 0.5) * span[:, None] / size - 0.5
        position = start[:, None] + np.clip(within, 0, span[:, None] - 1)
        return np.maximum(0, 1 - np.abs(position[..., None] - np.arange(length)))[:, None].astype(x.dtype)

    down, along = weights(top, height, x.shape[2]), weights(left, width, x.shape[3])
    return down @ x @ along.swapaxes(-1, -2)
