"""Relative error and numerical derivatives, for the experiments of a reader whose own do not pass their checks yet."""

from collections.abc import Callable

import numpy as np

from nnlab.layers import Array


def relative_error(a: Array, b: Array) -> float:
    """The largest |a - b| / (|a| + |b|) over all entries, 0 where both are 0. ``a`` and ``b`` have one shape."""
    return float(np.max(np.abs(a - b) / np.maximum(1e-12, np.abs(a) + np.abs(b))))


def numerical_gradient(f: Callable[[Array], Array], x: Array, df: Array, h: float = 1e-5) -> Array:
    """The gradient of ``sum(f(x) * df)`` in every entry of ``x`` (any shape), by central differences."""
    grad = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        step = np.zeros(x.shape, dtype=x.dtype)
        step[index] = h
        grad[index] = np.sum((f(x + step) - f(x - step)) * df) / (2 * h)
    return grad


def directional_gradient(f: Callable[[Array], Array], x: Array, df: Array, v: Array, h: float = 1e-5) -> float:
    """The derivative of ``sum(f(x) * df)`` along ``v`` (shape of ``x``), by one central difference."""
    return float(np.sum((f(x + h * v) - f(x - h * v)) * df) / (2 * h))
