"""The laboratory's augmentation: dtypes, shapes, errors, and what should hold whatever is drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnlab.augmentation import (
    adjust_brightness,
    adjust_contrast,
    affine_warp,
    color_jitter,
    crop,
    cutout,
    horizontal_flip,
    mixup,
    pca_lighting,
    predict_multi_crop,
    random_affine,
    random_crop,
    random_flip,
    random_resized_crop,
    resize_bilinear,
    ten_crop,
)

IDENTITY = np.array([[1.0, 0, 0], [0, 1, 0]])


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def some_images(n: int = 5, c: int = 3, h: int = 8, w: int = 10) -> np.ndarray:
    """Values in [0.1, 0.9]."""
    return np.random.default_rng(1).uniform(0.1, 0.9, (n, c, h, w)).astype(np.float32)


EACH: dict[str, tuple[Callable[[np.ndarray], Any], tuple[int, ...]]] = {
    "horizontal_flip": (lambda x: horizontal_flip(x, np.arange(5) > 2), (5, 3, 8, 10)),
    "crop": (lambda x: crop(x, np.arange(5), np.arange(5), 4), (5, 3, 4, 4)),
    "resize_bilinear": (lambda x: resize_bilinear(x, 13), (5, 3, 13, 13)),
    "adjust_brightness": (lambda x: adjust_brightness(x, 1.2), (5, 3, 8, 10)),
    "adjust_brightness, each its own": (lambda x: adjust_brightness(x, np.linspace(0, 2, 5)), (5, 3, 8, 10)),
    "adjust_contrast": (lambda x: adjust_contrast(x, np.linspace(0, 2, 5)), (5, 3, 8, 10)),
    "pca_lighting": (lambda x: pca_lighting(x, np.ones((5, 3)), np.ones(3), np.eye(3)), (5, 3, 8, 10)),
    "affine_warp": (lambda x: affine_warp(x, np.tile(1.1 * IDENTITY, (5, 1, 1))), (5, 3, 8, 10)),
    "ten_crop": (lambda x: ten_crop(x, 6), (10, 5, 3, 6, 6)),
    "random_flip": (lambda x: random_flip(x, generator()), (5, 3, 8, 10)),
    "random_crop": (lambda x: random_crop(x, 8, 2, generator()), (5, 3, 8, 8)),
    "random_resized_crop": (lambda x: random_resized_crop(x, 6, (0.1, 1.0), generator()), (5, 3, 6, 6)),
    "color_jitter": (lambda x: color_jitter(x, 0.5, 0.5, generator()), (5, 3, 8, 10)),
    "random_affine": (lambda x: random_affine(x, 30, 0.1, (0.8, 1.2), 10, generator()), (5, 3, 8, 10)),
    "cutout": (lambda x: cutout(x, 4, generator()), (5, 3, 8, 10)),
    "mixup": (lambda x: mixup(x, np.eye(5, dtype=np.float32), 0.5, generator())[0], (5, 3, 8, 10)),
}


@pytest.mark.parametrize("name", EACH)
def test_results_are_new_arrays_of_the_same_type_and_within_what_the_images_span(name: str) -> None:
    transform, shape = EACH[name]
    x = some_images()
    before = x.copy()
    out = transform(x)
    assert out.shape == shape and out.dtype == np.float32
    assert not np.shares_memory(out, x)
    np.testing.assert_array_equal(x, before)
    assert out.min() >= -1e-6 and out.max() <= 1 + 1e-6
    np.testing.assert_array_equal(transform(x), out)  # a generator in the same state


@pytest.mark.parametrize("name", EACH)
def test_float64_stays_float64(name: str) -> None:
    transform, _ = EACH[name]
    x = some_images().astype(np.float64)
    out = transform(x)
    assert out.dtype == np.float64
    np.testing.assert_allclose(transform(some_images()), out, atol=1e-5)


def test_what_changes_nothing() -> None:
    x = some_images(h=9, w=9).astype(float)
    np.testing.assert_array_equal(resize_bilinear(x, 9), x)
    np.testing.assert_allclose(affine_warp(x, np.tile(IDENTITY, (5, 1, 1))), x, atol=1e-12)
    np.testing.assert_allclose(random_affine(x, 0, 0, (1, 1), 0, generator()), x, atol=1e-12)
    np.testing.assert_allclose(color_jitter(x, 0, 0, generator()), x, atol=1e-12)
    np.testing.assert_array_equal(random_flip(x, generator(), p=0.0), x)
    np.testing.assert_array_equal(random_crop(x, 9, 0, generator()), x)
    np.testing.assert_array_equal(random_resized_crop(x, 9, (1.0, 1.0), generator()), x)


def test_a_crop_that_does_not_fit_is_refused() -> None:
    x = some_images()
    for top, left, size in ((5, 0, 4), (0, 7, 4), (-1, 0, 4), (0, 0, 9)):
        with pytest.raises(ValueError, match="does not fit"):
            crop(x, np.full(5, top), np.full(5, left), size)
    with pytest.raises(ValueError, match="does not fit"):
        ten_crop(x, 9)


def test_images_are_treated_independently() -> None:
    """In 200 copies of one image nearly all outcomes differ."""
    x = np.repeat(some_images(n=1), 200, axis=0)
    for transform in (
        lambda x: random_crop(x, 6, 2, generator()),
        lambda x: random_resized_crop(x, 5, (0.2, 1.0), generator()),
        lambda x: color_jitter(x, 0.3, 0.3, generator()),
        lambda x: random_affine(x, 30, 0.1, (0.8, 1.2), 10, generator()),
        lambda x: cutout(x, 4, generator()),
    ):
        assert len(np.unique(transform(x).reshape(200, -1), axis=0)) > 30
    assert len(np.unique(random_flip(x, generator()).reshape(200, -1), axis=0)) == 2


def test_the_flip_probability() -> None:
    x = np.tile([0.0, 1.0], (4000, 1, 1, 1))
    assert random_flip(x, generator(), 0.2)[:, 0, 0, 0].mean() == pytest.approx(0.2, abs=0.03)
    assert random_flip(x, generator())[:, 0, 0, 0].mean() == pytest.approx(0.5, abs=0.03)


def test_a_resized_crop_is_the_crop_resized() -> None:
    """With a fixed share the side is known: 6 of 8. Every output must be the resized square of one of the places."""
    x = some_images(n=40, c=2, h=8, w=9).astype(float)
    out = random_resized_crop(x, 5, (0.5625, 0.5625), generator())
    for image, found in zip(x, out, strict=True):
        squares = [image[None, :, t : t + 6, k : k + 6] for t in range(3) for k in range(4)]
        assert min(np.abs(resize_bilinear(square, 5)[0] - found).max() for square in squares) < 1e-12


def test_the_order_of_an_affine_view() -> None:
    """All amounts but the shift's sign are fixed at one end of a narrow range: a corner of the input must go to
    shift + rotation @ shearing @ scale, whose inverse the warp is given."""
    n, h, w = 50, 61, 61
    x = np.zeros((n, 1, h, w))
    y_in, x_in = np.meshgrid(np.arange(h) - 30, np.arange(w) - 30, indexing="ij")
    x[:] = np.exp(-((x_in - 8.0) ** 2 + (y_in - 5.0) ** 2) / 8)  # a spot at (8, 5)
    out = random_affine(x, 0.0, 0.1, (1.5, 1.5), 0.0, generator())
    light = out.sum(axis=(1, 2, 3))
    right, down = ((out[:, 0] * axis).sum(axis=(1, 2)) / light for axis in (x_in, y_in))
    assert np.all(np.abs(right - 12) <= 6.1 + 0.1) and np.all(np.abs(down - 7.5) <= 6.1 + 0.1)
    assert np.abs(right - 12).max() > 4 and np.abs(down - 7.5).max() > 4  # not multiplied by the scale, nor divided


def test_cutout_holes() -> None:
    x = np.ones((500, 2, 7, 9))
    holes = cutout(x, 3, generator()) == 0
    np.testing.assert_array_equal(holes[:, 0], holes[:, 1])
    assert set(holes[:, 0].sum(axis=(1, 2))) == {4, 6, 9}  # whole, cut off on one side, cut off in a corner
    assert set((cutout(x, 2, generator()) == 0)[:, 0].sum(axis=(1, 2))) == {1, 2, 4}


def test_mixup_keeps_the_mean_of_a_batch_and_its_labels() -> None:
    """Partners by a permutation: every image gives as much as it takes."""
    x, y = some_images().astype(float), np.eye(4)[[0, 1, 1, 3, 2]]
    for seed in range(5):
        mixed, labels = mixup(x, y, 0.7, np.random.default_rng(seed))
        np.testing.assert_allclose(mixed.mean(axis=0), x.mean(axis=0))
        np.testing.assert_allclose(labels.mean(axis=0), y.mean(axis=0))
        np.testing.assert_allclose(labels.sum(axis=1), 1)


def test_multi_crop_prediction_is_the_mean_over_the_crops() -> None:
    x = some_images()
    seen: list[tuple[int, ...]] = []

    def forward(crops: np.ndarray) -> np.ndarray:
        seen.append(crops.shape[1:])
        bright = crops.mean(axis=(1, 2, 3))
        return np.stack([bright, 1 - bright], axis=1)

    found = predict_multi_crop(forward, x, 6)
    np.testing.assert_allclose(found, np.mean([forward(c) for c in ten_crop(x, 6)], axis=0), rtol=1e-6)
    assert found.shape == (5, 2) and set(seen) == {(3, 6, 6)}
