"""A layer around a pair of functions with the course's signatures: this is how a reader's own batch norm, layer norm,
instance norm or group norm becomes part of a network that trains."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nnlab.layers import Array, Layer, Mode

Forward = Callable[..., tuple[Array, Any]]
Backward = Callable[[Array, Any], tuple[Array, Array, Array]]
Pair = tuple[Forward, Backward]
NormFactory = Callable[[int], Layer]


class Norm:
    """Normalisation by a pair of functions: `forward(x, gamma, beta, param) -> (out, cache)` and
    `backward(dout, cache) -> dx, dgamma, dbeta`.

    The layer learns `gamma` (from ones) and `beta` (from zeros), sets `param["mode"]` before each call and keeps
    `param` between calls, so running statistics live there. With groups `G` the call is that of group norm:
    `forward(x, gamma, beta, G, param)`. Results come back in the input's dtype, whatever the pair returns.

    `shape` is that of gamma and beta: a number of features or channels, or a tuple. A number means (1, C, 1, 1) for
    group norm, as in CS231n, and (D,) for all others. Everything else goes into `param`: `eps=1e-3`, `momentum=0.99`.
    """

    def __init__(
        self,
        forward: Forward,
        backward: Backward,
        shape: int | tuple[int, ...],
        *,
        G: int | None = None,
        dtype: DTypeLike = np.float32,
        **param: Any,
    ) -> None:
        if isinstance(shape, int):
            shape = (shape,) if G is None else (1, shape, 1, 1)
        self.params: dict[str, Array] = {"gamma": np.ones(shape, dtype), "beta": np.zeros(shape, dtype)}
        self.grads: dict[str, Array] = {"gamma": np.zeros(shape, dtype), "beta": np.zeros(shape, dtype)}
        self.param: dict[str, Any] = dict(param)
        self.groups: tuple[int, ...] = () if G is None else (G,)
        self._forward, self._backward = forward, backward
        self.name = getattr(forward, "__name__", "norm").removesuffix("_forward")

    def forward(self, x: Array, mode: Mode = "train") -> Array:
        self.param["mode"] = mode
        out, self._cache = self._forward(x, self.params["gamma"], self.params["beta"], *self.groups, self.param)
        return self._like(x, out, "forward")

    def backward(self, dout: Array) -> Array:
        dx, dgamma, dbeta = self._backward(dout, self._cache)
        for name, gradient in (("gamma", dgamma), ("beta", dbeta)):
            self.grads[name][...] = np.reshape(gradient, self.grads[name].shape)
        return self._like(dout, dx, "backward")

    def _like(self, given: Array, result: Array, which: str) -> Array:
        result = np.asarray(result)
        if result.shape != given.shape:
            raise ValueError(f"{self.name}_{which} was given an array {given.shape} and returned one {result.shape}")
        return result.astype(given.dtype, copy=False)


def norm_layer(norm: Pair | NormFactory | None, features: int, dtype: DTypeLike = np.float32) -> list[Layer]:
    """The layers that `norm` stands for: none, a `Norm` of the pair, or what the factory makes for `features`."""
    if norm is None:
        return []
    if isinstance(norm, tuple):
        return [Norm(*norm, features, dtype=dtype)]
    return [norm(features)]
