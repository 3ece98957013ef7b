"""The references of assignment 08, and the laboratory's functions, against SciPy, PyTorch and values worked out by hand."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import ndimage, stats

from autograder.exercises import COURSE
from autograder.exercises.data_augmentation import mixing
from nnlab import augmentation

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")

NAMES = COURSE.assignments["08-data-augmentation"]
IMPLEMENTATIONS: dict[str, dict[str, Callable[..., Any]]] = {
    "course": {name: COURSE.exercises[name].reference for name in NAMES},
    "nnlab": {name: getattr(augmentation, name) for name in NAMES},
}
both = pytest.mark.parametrize("functions", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS)

SHAPES = [(3, 2, 7, 11), (2, 3, 12, 5), (1, 1, 6, 6)]


def some_images(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def some_matrices(n: int, seed: int = 0) -> np.ndarray:
    """(n, 2, 3): turned, stretched and shifted so far that a part comes from outside."""
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [np.eye(2) + 0.5 * rng.standard_normal((n, 2, 2)), 3 * rng.standard_normal((n, 2, 1))], axis=2
    )


# --- interpolation ----------------------------------------------------------------------------------------------------


@both
@needs_torch
@pytest.mark.parametrize("size", [1, 3, 6, 8, 17])
@pytest.mark.parametrize("shape", SHAPES)
def test_resizing_is_pytorchs_without_aligned_corners(functions: Any, shape: tuple[int, ...], size: int) -> None:
    import torch

    x = some_images(shape)
    theirs = torch.nn.functional.interpolate(
        torch.tensor(x), size=(size, size), mode="bilinear", align_corners=False, antialias=False
    )
    np.testing.assert_allclose(functions["resize_bilinear"](x, size), theirs.numpy(), atol=1e-12)


@both
@pytest.mark.parametrize("size", [3, 8, 17])
@pytest.mark.parametrize("shape", SHAPES)
def test_resizing_is_scipys_spline_of_first_order(functions: Any, shape: tuple[int, ...], size: int) -> None:
    x = some_images(shape)
    rows, columns = ((np.arange(size) + 0.5) * length / size - 0.5 for length in shape[2:])
    places = np.meshgrid(rows, columns, indexing="ij")
    theirs = [[ndimage.map_coordinates(channel, places, order=1, mode="nearest") for channel in image] for image in x]
    np.testing.assert_allclose(functions["resize_bilinear"](x, size), theirs, atol=1e-12)


@both
@needs_torch
@pytest.mark.parametrize("shape", SHAPES)
def test_an_affine_warp_is_pytorchs_grid_sample(functions: Any, shape: tuple[int, ...]) -> None:
    """PyTorch's coordinates go from -1 to 1, the outer edges of the border pixels."""
    import torch

    x, matrix = some_images(shape), some_matrices(shape[0])
    half = np.diag([shape[3] / 2, shape[2] / 2])
    theta = np.concatenate(
        [np.linalg.inv(half) @ matrix[:, :, :2] @ half, np.linalg.inv(half) @ matrix[:, :, 2:]], axis=2
    )
    grid = torch.nn.functional.affine_grid(torch.tensor(theta), list(shape), align_corners=False)
    theirs = torch.nn.functional.grid_sample(torch.tensor(x), grid, padding_mode="zeros", align_corners=False)
    np.testing.assert_allclose(functions["affine_warp"](x, matrix), theirs.numpy(), atol=1e-12)


@both
@pytest.mark.parametrize("shape", SHAPES)
def test_an_affine_warp_is_scipys_affine_transform(functions: Any, shape: tuple[int, ...]) -> None:
    """SciPy's coordinates are (row, column) from the upper left; its grid-constant mode has zeros all around."""
    x, matrix = some_images(shape), some_matrices(shape[0])
    centre = (np.array(shape[2:]) - 1) / 2
    out = functions["affine_warp"](x, matrix)
    for n, m in enumerate(matrix):
        linear, shift = m[::-1, 1::-1], m[::-1, 2]
        for c in range(shape[1]):
            theirs = ndimage.affine_transform(
                x[n, c], linear, centre + shift - linear @ centre, order=1, mode="grid-constant", cval=0.0
            )
            np.testing.assert_allclose(out[n, c], theirs, atol=1e-12)


@both
def test_warps_by_hand(functions: Any) -> None:
    x = np.arange(1.0, 7.0).reshape(1, 1, 2, 3)
    look_right = np.array([[[1.0, 0, 1], [0, 1, 0]]])
    np.testing.assert_array_equal(functions["affine_warp"](x, look_right)[0, 0], [[2, 3, 0], [5, 6, 0]])
    look_half_up = np.array([[[1.0, 0, 0], [0, 1, -0.5]]])
    np.testing.assert_allclose(functions["affine_warp"](x, look_half_up)[0, 0], [[0.5, 1, 1.5], [2.5, 3.5, 4.5]])
    turned = np.array([[[-1.0, 0, 0], [0, -1, 0]]])
    np.testing.assert_allclose(functions["affine_warp"](x, turned)[0, 0], [[6, 5, 4], [3, 2, 1]], atol=1e-12)


# --- places and colours -----------------------------------------------------------------------------------------------


@both
def test_flips_and_crops_by_hand(functions: Any) -> None:
    x = np.arange(2 * 2 * 3 * 4.0).reshape(2, 2, 3, 4)
    flipped = functions["horizontal_flip"](x, np.array([False, True]))
    np.testing.assert_array_equal(flipped[0], x[0])
    np.testing.assert_array_equal(flipped[1, 0], [[27, 26, 25, 24], [31, 30, 29, 28], [35, 34, 33, 32]])
    crops = functions["crop"](x, np.array([0, 1]), np.array([2, 0]), 2)
    np.testing.assert_array_equal(crops[0, 0], [[2, 3], [6, 7]])
    np.testing.assert_array_equal(crops[1, 1], [[40, 41], [44, 45]])


@both
def test_ten_crops_by_hand(functions: Any) -> None:
    x = np.arange(1.0, 16.0).reshape(1, 1, 3, 5)
    crops = functions["ten_crop"](x, 2)[:, 0, 0]
    upper_left = [crop[0, 0] for crop in crops]
    assert upper_left == [1, 4, 6, 9, 2, 5, 2, 10, 7, 4]
    np.testing.assert_array_equal(crops[3], [[9, 10], [14, 15]])
    np.testing.assert_array_equal(crops[5], [[5, 4], [10, 9]])


@both
def test_colours_by_hand(functions: Any) -> None:
    x = np.array([[[[0.2, 0.4]], [[0.6, 0.8]]], [[[0.0, 0.0]], [[1.0, 1.0]]]])  # (2, 2, 1, 2), both of mean 0.5
    np.testing.assert_allclose(functions["adjust_brightness"](x, 2)[0].ravel(), [0.4, 0.8, 1, 1])
    np.testing.assert_allclose(functions["adjust_brightness"](x, np.array([0, 0.5]))[:, 1, 0, 0], [0, 0.5])
    np.testing.assert_allclose(functions["adjust_contrast"](x, 0.5)[0].ravel(), [0.35, 0.45, 0.55, 0.65])
    np.testing.assert_allclose(functions["adjust_contrast"](x, np.array([2.0, 0.0]))[0].ravel(), [0, 0.3, 0.7, 1])
    np.testing.assert_allclose(functions["adjust_contrast"](x, np.array([2.0, 0.0]))[1], 0.5)
    grey = np.full((2, 3, 1, 1), 0.5)
    axes = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]])  # the first axis is green
    lit = functions["pca_lighting"](grey, np.array([[0.1, 0, 0], [0, -2, 9.0]]), np.array([2.0, 0.1, 0.1]), axes)
    np.testing.assert_allclose(lit[:, :, 0, 0], [[0.5, 0.7, 0.5], [0.3, 0.5, 1]])


@both
def test_lighting_follows_the_axes_that_numpy_finds(functions: Any) -> None:
    """Alphas of standard deviation 1 give shifts with the covariance eigenvectors @ diag(eigenvalues^2) @ its transpose."""
    rng = np.random.default_rng(0)
    pixels = rng.standard_normal((500, 3)) @ (0.05 * rng.standard_normal((3, 3)))
    values, vectors = np.linalg.eigh(np.cov(pixels.T))
    alphas = rng.standard_normal((20_000, 3))
    shifts = functions["pca_lighting"](np.full((20_000, 3, 1, 1), 0.5), alphas, values, vectors)[:, :, 0, 0] - 0.5
    wanted = vectors @ np.diag(values**2) @ vectors.T
    np.testing.assert_allclose(np.cov(shifts.T), wanted, atol=0.05 * np.abs(wanted).max())


# --- chance -----------------------------------------------------------------------------------------------------------


@both
def test_every_place_of_a_random_crop_is_equally_likely(functions: Any) -> None:
    """Pearson's chi-squared on the 12 places of a square of side 3 in 3 x 4 pixels with a frame of 1."""
    x = np.arange(1.0, 13.0).reshape(1, 1, 3, 4).repeat(3000, axis=0)
    crops = functions["random_crop"](x, 3, 1, np.random.default_rng(0))
    _, counts = np.unique(crops.reshape(3000, -1), axis=0, return_counts=True)
    assert len(counts) == 12
    assert stats.chisquare(counts).pvalue > 1e-3


@both
def test_the_share_of_a_random_resized_crop_is_uniform_in_area(functions: Any) -> None:
    """A ramp resized from a square of side s spreads over s (size - 1) / size pixels; areas against the uniform law."""
    side = 200
    x = np.broadcast_to(np.arange(float(side)), (400, 1, side, side))
    out = functions["random_resized_crop"](x, 4, (0.2, 0.9), np.random.default_rng(0))
    sides = (out[:, 0, 0, -1] - out[:, 0, 0, 0]) * 4 / 3
    assert stats.kstest((sides / side) ** 2, stats.uniform(0.2, 0.7).cdf).pvalue > 1e-3


@both
def test_random_affine_views_move_points_as_they_should(functions: Any) -> None:
    """A bright pixel right of the centre: twice as far with scale 2; its angle, and its shift, against the uniform law."""
    x = np.zeros((300, 1, 41, 41))
    x[:, :, 20, 28] = 1.0
    rows, columns = np.indices((41, 41)) - 20.0

    def centres(out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        light = out.sum(axis=(1, 2, 3))
        return (out[:, 0] * columns).sum(axis=(1, 2)) / light, (out[:, 0] * rows).sum(axis=(1, 2)) / light

    still = {"degrees": 0.0, "translate": 0.0, "scale": (1.0, 1.0), "shear": 0.0}

    def views(**amounts: Any) -> tuple[np.ndarray, np.ndarray]:
        return centres(functions["random_affine"](x, *(still | amounts).values(), np.random.default_rng(1)))

    np.testing.assert_allclose(views(scale=(2.0, 2.0)), [np.full(300, 16.0), np.zeros(300)], atol=1e-9)
    right, down = views(degrees=70.0)
    np.testing.assert_allclose(np.hypot(right, down), 8, atol=0.2)  # a turned pixel's centre of light is off a little
    angles = np.rad2deg(np.arctan2(down, right))
    assert stats.kstest(angles, stats.uniform(-70, 140).cdf).pvalue > 1e-3
    right, down = views(translate=0.2)
    for shifts in (right - 8, down):
        assert stats.kstest(shifts, stats.uniform(-8.2, 16.4).cdf).pvalue > 1e-3
    assert abs(stats.pearsonr(right, down).statistic) < 0.2


@both
@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_mixups_weights_are_beta(functions: Any, alpha: float) -> None:
    rng = np.random.default_rng(0)
    x, y = np.eye(2).reshape(2, 1, 1, 2), np.eye(2)
    weights = []
    while len(weights) < 400:
        mixed, labels = functions["mixup"](x, y, alpha, rng)
        np.testing.assert_allclose(mixed.reshape(2, 2), labels)
        if labels[0, 1] > 0:  # not its own partner
            weights.append(labels[0, 0])
    assert stats.kstest(weights, stats.beta(alpha, alpha).cdf).pvalue > 1e-3


@both
def test_color_jitters_factors_are_uniform_and_independent(functions: Any) -> None:
    x = np.array([0.2, 0.3]).reshape(1, 1, 1, 2).repeat(500, axis=0)
    out = functions["color_jitter"](x, 0.4, 0.8, np.random.default_rng(0))[:, 0, 0]
    bright = out.mean(axis=1) / 0.25
    stretch = (out[:, 1] - out[:, 0]) / (0.1 * bright)
    assert stats.kstest(bright, stats.uniform(0.6, 0.8).cdf).pvalue > 1e-3
    assert stats.kstest(stretch, stats.uniform(0.2, 1.6).cdf).pvalue > 1e-3
    assert abs(stats.pearsonr(bright, stretch).statistic) < 0.2


@both
def test_every_pixel_is_equally_often_the_centre_of_a_cutout(functions: Any) -> None:
    """How often a pixel is covered is then its share of centres nearby."""
    holes = functions["cutout"](np.ones((6000, 1, 4, 6)), 3, np.random.default_rng(0)) == 0
    near = ndimage.convolve(np.ones((4, 6)), np.ones((3, 3)), mode="constant") / 24
    np.testing.assert_allclose(holes.mean(axis=(0, 1)), near, atol=0.03)


def test_the_probabilities_that_the_checks_count_on_are_scipys() -> None:
    rare = stats.beta(0.2, 0.2)
    assert pytest.approx(rare.cdf(0.9) - rare.cdf(0.1), rel=1e-12) == mixing.TENTH_TO_NINE_TENTHS
    for alpha, low in ((16, 0.35), (16, 0.25), (3, 0.1)):
        law = stats.beta(alpha, alpha)
        assert mixing.beta_between(alpha, low) == pytest.approx(law.cdf(1 - low) - law.cdf(low), rel=1e-9)
