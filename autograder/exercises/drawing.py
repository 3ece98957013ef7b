"""Inputs that do not degenerate: features far from zero, of different spreads, with parameters far from 1 and 0."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def columns(rng: np.random.Generator, n: int, d: int, std: tuple[float, float], offset: float) -> Array:
    """(n, d) features. Each column's (biased) standard deviation is drawn from ``std``, its mean from half to all of
    +-``offset``, both exactly: an unlucky sample cannot make a variance vanish. (One row alone has no spread to set.)"""
    z = rng.standard_normal((n, d))
    if n > 1:
        z = (z - z.mean(axis=0)) / z.std(axis=0)
    return z * rng.uniform(*std, d) + rng.choice([-1.0, 1.0], d) * rng.uniform(0.5, 1, d) * offset


def images(rng: np.random.Generator, n: int, c: int, h: int, w: int, std: tuple[float, float], offset: float) -> Array:
    """(n, c, h, w) images whose channels have the spreads and offsets of `columns`; no two pixels are alike."""
    return columns(rng, n * h * w, c, std, offset).reshape(n, h, w, c).transpose(0, 3, 1, 2).copy()


def affine_parameters(rng: np.random.Generator, d: int) -> tuple[Array, Array]:
    """gamma and beta (d,): both signs, no two alike, nothing near 0 or 1."""
    gamma = rng.choice([-1.0, 1.0], d) * rng.permutation(np.linspace(1.5, 3, d) + rng.uniform(0, 0.3, d))
    return gamma, rng.permutation(np.linspace(-2, 2, d) + rng.uniform(0.1, 0.4, d))
