"""The layers that the course's small networks are made of, each with a forward and a backward pass in plain NumPy.

A layer keeps what its backward pass needs from the last `forward`, and writes the gradients of its parameters into the
arrays of `grads` (in place, because `Sequential` lays all of them out in one vector). Images have the shape
(N, C, H, W); in memory the layers here keep their channels last, which convolutions, pools and norms like best.
"""

from typing import Literal, Protocol

import numpy as np
from numpy.typing import DTypeLike

from nnlab.sums import Array as Array
from nnlab.sums import column_sums

Mode = Literal["train", "test"]
Seed = np.random.Generator | int | None


class Layer(Protocol):
    """What `Sequential` asks of a layer."""

    params: dict[str, Array]
    grads: dict[str, Array]

    def forward(self, x: Array, mode: Mode = "train") -> Array: ...

    def backward(self, dout: Array) -> Array:
        """Gradient of the loss by the input, from `dout`, the gradient by the output; fills `grads`."""
        ...


def he_weights(rng: Seed, shape: tuple[int, ...], fan_in: int, scale: float, dtype: DTypeLike) -> Array:
    """Normal weights with standard deviation `scale * sqrt(2 / fan_in)` (He et al. 2015, arXiv:1502.01852)."""
    weights: Array = np.random.default_rng(rng).standard_normal(shape) * (scale * np.sqrt(2.0 / fan_in))
    return weights.astype(dtype)


def channels_last(x: Array) -> Array:
    """A view (N, H, W, C) of images (N, C, H, W)."""
    return x.transpose(0, 2, 3, 1)


def channels_first(x: Array) -> Array:
    """A view (N, C, H, W) of images (N, H, W, C)."""
    return x.transpose(0, 3, 1, 2)


class Affine:
    """`x @ W + b`, (N, D) -> (N, M). Inputs with more axes are flattened to (N, D) first."""

    def __init__(
        self, inputs: int, outputs: int, rng: Seed = None, scale: float = 1.0, dtype: DTypeLike = np.float32
    ) -> None:
        self.params = {
            "W": he_weights(rng, (inputs, outputs), inputs, scale, dtype),
            "b": np.zeros(outputs, dtype),
        }
        self.grads = {name: np.zeros_like(value) for name, value in self.params.items()}

    def forward(self, x: Array, mode: Mode = "train") -> Array:
        self._shape = x.shape
        self._x = x.reshape(len(x), -1)  # (N, ...) -> (N, D)
        out: Array = self._x @ self.params["W"]
        out += self.params["b"]
        return out

    def weight_gradients(self, dout: Array) -> None:
        """Fill `grads` only: all that the lowest layer of a network has to do."""
        np.matmul(self._x.T, dout, out=self.grads["W"], casting="same_kind")
        self.grads["b"][...] = column_sums(dout)

    def backward(self, dout: Array) -> Array:
        self.weight_gradients(dout)
        dx: Array = dout @ self.params["W"].T
        return dx.reshape(self._shape)


class ReLU:
    """`max(x, 0)`, any shape; the derivative at 0 is taken to be 0."""

    def __init__(self) -> None:
        self.params: dict[str, Array] = {}
        self.grads: dict[str, Array] = {}

    def forward(self, x: Array, mode: Mode = "train") -> Array:
        self._out: Array = np.maximum(x, 0)
        return self._out

    def backward(self, dout: Array) -> Array:
        return dout * (self._out > 0)


class Tanh:
    """`tanh(x)`, any shape."""

    def __init__(self) -> None:
        self.params: dict[str, Array] = {}
        self.grads: dict[str, Array] = {}

    def forward(self, x: Array, mode: Mode = "train") -> Array:
        self._out: Array = np.tanh(x)
        return self._out

    def backward(self, dout: Array) -> Array:
        return dout * (1 - self._out * self._out)  # d tanh(x) / dx = 1 - tanh(x)²


class Flatten:
    """(N, C, H, W) -> (N, C·H·W)."""

    def __init__(self) -> None:
        self.params: dict[str, Array] = {}
        self.grads: dict[str, Array] = {}

    def forward(self, x: Array, mode: Mode = "train") -> Array:
        self._shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, dout: Array) -> Array:
        return dout.reshape(self._shape)


class Conv2d:
    """Convolution with an odd kernel, stride 1 and zero padding that keeps the size: (N, C, H, W) -> (N, F, H, W).

    (As everywhere in deep learning it is a cross-correlation: the kernel is not flipped.) `W` has the shape
    (k, k, C, F), the order in which one matrix product of all k·k·C-long patches with it gives the output.
    """

    def __init__(
        self,
        channels: int,
        filters: int,
        kernel: int = 3,
        rng: Seed = None,
        scale: float = 1.0,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if kernel % 2 == 0:
            raise ValueError(f"kernel={kernel}: same padding needs an odd kernel, such as {kernel + 1}")
        shape = (kernel, kernel, channels, filters)
        self.params = {
            "W": he_weights(rng, shape, kernel * kernel * channels, scale, dtype),
            "b": np.zeros(filters, dtype),
        }
        self.grads = {name: np.zeros_like(value) for name, value in self.params.items()}
        self.kernel = kernel

    def _patches(self, x: Array) -> Array:
        """Every pixel's neighbourhood, one a row: (N, H, W, C) -> (N·H·W, k·k·C)."""
        n, height, width, channels = x.shape
        k, p = self.kernel, self.kernel // 2
        padded = np.zeros((n, height + 2 * p, width + 2 * p, channels), x.dtype)
        padded[:, p : p + height, p : p + width] = x
        windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k), (1, 2))
        rows: Array = windows.transpose(0, 1, 2, 4, 5, 3)  # (N, H, W, C, k, k) -> (N, H, W, k, k, C)
        return rows.reshape(n * height * width, k * k * channels)

    def forward(self, x: Array, mode: Mode = "train") -> Array:
        n, channels, height, width = x.shape
        weights = self.params["W"]
        if channels != weights.shape[2]:
            raise ValueError(f"these images have {channels} channels; this convolution takes {weights.shape[2]}")
        self._x_patches = self._patches(channels_last(x))
        out = self._x_patches @ weights.reshape(-1, weights.shape[3])  # (N·H·W, F)
        out += self.params["b"]
        return channels_first(out.reshape(n, height, width, -1))

    def _rows(self, dout: Array) -> Array:
        """(N, F, H, W) -> (N·H·W, F)"""
        return channels_last(dout).reshape(-1, dout.shape[1])

    def weight_gradients(self, dout: Array) -> None:
        """Fill `grads` only: all that the lowest layer of a network has to do."""
        rows = self._rows(dout)
        grad = self.grads["W"]
        np.matmul(self._x_patches.T, rows, out=grad.reshape(-1, grad.shape[3]), casting="same_kind")
        self.grads["b"][...] = column_sums(rows)

    def backward(self, dout: Array) -> Array:
        self.weight_gradients(dout)
        # The gradient by the input is the convolution of dout with the kernel turned by 180° and C, F exchanged.
        turned = self.params["W"][::-1, ::-1].transpose(0, 1, 3, 2)  # (k, k, F, C)
        dx = self._patches(channels_last(dout)) @ turned.reshape(-1, turned.shape[3])
        n, _, height, width = dout.shape
        return channels_first(dx.reshape(n, height, width, -1))


class MaxPool2d:
    """Maximum of each `size` × `size` square: (N, C, H, W) -> (N, C, H // size, W // size).

    Rows and columns that do not fill a square are left out. Where a square has several equal maxima the first one
    gets the gradient.
    """

    def __init__(self, size: int = 2) -> None:
        self.params: dict[str, Array] = {}
        self.grads: dict[str, Array] = {}
        self.size = size

    def _corners(self, x: Array) -> list[Array]:
        """The size·size views (N, H // size, W // size, C) that hold one pixel of every square each."""
        k, (_, height, width, _) = self.size, x.shape
        whole = x[:, : height - height % k, : width - width % k]
        return [whole[:, i::k, j::k] for i in range(k) for j in range(k)]

    def forward(self, x: Array, mode: Mode = "train") -> Array:
        self._x = channels_last(x)
        first, *others = self._corners(self._x)
        self._out: Array = np.array(first, order="C")
        for corner in others:
            np.maximum(self._out, corner, out=self._out)
        return channels_first(self._out)

    def backward(self, dout: Array) -> Array:
        dout = channels_last(dout)
        dx: Array = np.zeros(self._x.shape, dout.dtype)
        still_free = np.ones(self._out.shape, bool)
        for corner, dcorner in zip(self._corners(self._x), self._corners(dx), strict=True):
            wins = (corner == self._out) & still_free
            np.multiply(dout, wins, out=dcorner)
            still_free ^= wins
        return channels_first(dx)


class GlobalAveragePool:
    """The mean of each channel over its pixels: (N, C, H, W) -> (N, C)."""

    def __init__(self) -> None:
        self.params: dict[str, Array] = {}
        self.grads: dict[str, Array] = {}

    def forward(self, x: Array, mode: Mode = "train") -> Array:
        n, channels, *self._pixels = x.shape
        height, width = self._pixels
        out: Array = column_sums(channels_last(x).reshape(n, -1, channels)) / (height * width)
        return out

    def backward(self, dout: Array) -> Array:
        height, width = self._pixels
        share = dout / (height * width)
        n, channels = dout.shape
        every_pixel: Array = np.broadcast_to(share[:, None, None, :], (n, height, width, channels)).copy()
        return channels_first(every_pixel)
