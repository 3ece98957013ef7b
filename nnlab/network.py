"""A network as a list of layers, its loss, and builders for the two kinds of network that the experiments train."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nnlab.layers import Affine, Array, Conv2d, GlobalAveragePool, Layer, MaxPool2d, Mode, ReLU, Seed
from nnlab.norm import NormFactory, Pair, norm_layer

Labels = NDArray[np.integer]


def softmax_loss(scores: Array, y: Labels) -> tuple[float, Array]:
    """Mean cross-entropy of softmax(scores) against the right classes, and its gradient by the scores.

    `scores` (N, K), `y` (N,) integers in 0..K-1; the gradient has the shape and dtype of `scores`. Scores of any size
    are safe, because the largest of each row is subtracted before exp.
    """
    rows = np.arange(len(y))
    shifted = scores - scores.max(axis=1, keepdims=True)
    dscores: Array = np.exp(shifted)
    total: Array = dscores.sum(axis=1, keepdims=True)
    loss = float(np.mean(np.log(total[:, 0]) - shifted[rows, y]))
    dscores /= total
    dscores[rows, y] -= 1
    dscores /= len(y)
    return loss, dscores


class Sequential:
    """Layers one after another.

    All parameters lie in one vector, `weights`, and all gradients in another, `gradient`; `params` and `grads` name
    the parts of them ("0.W", "0.b", "1.gamma", ...) as views. So `net.weights -= 0.1 * net.gradient` is a step of
    gradient descent, and writing into `net.params["0.W"]` changes the network. `copy.deepcopy` and pickle work.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = list(layers)
        parts = [value for layer in self.layers for value in layer.params.values()]
        size = sum(part.size for part in parts)
        dtype = parts[0].dtype if parts else np.dtype(np.float32)
        self.weights: Array = np.zeros(size, dtype)
        self.gradient: Array = np.zeros(size, dtype)
        self.params: dict[str, Array] = {}
        self.grads: dict[str, Array] = {}
        start = 0
        for index, layer in enumerate(self.layers):
            for name, value in layer.params.items():
                part = slice(start, start + value.size)
                start += value.size
                self.weights[part] = value.ravel()
                layer.params[name] = self.params[f"{index}.{name}"] = self.weights[part].reshape(value.shape)
                layer.grads[name] = self.grads[f"{index}.{name}"] = self.gradient[part].reshape(value.shape)
        self._lowest = next((i for i, layer in enumerate(self.layers) if layer.params), 0)

    def __reduce__(self) -> tuple[type["Sequential"], tuple[list[Layer]]]:
        return Sequential, (self.layers,)  # a copy lays its own vectors out anew

    @property
    def dtype(self) -> np.dtype[np.floating]:
        return self.weights.dtype

    def forward(self, x: Array, mode: Mode = "train") -> Array:
        """Scores (N, K) of the inputs."""
        for layer in self.layers:
            x = layer.forward(x, mode)
        return x

    def backward(self, dout: Array) -> Array:
        """Gradient of the loss by the input of the last `forward`; fills `grads`."""
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        return dout

    def loss_and_grads(self, x: Array, y: Labels, mode: Mode = "train") -> tuple[float, dict[str, Array]]:
        """Mean cross-entropy and its gradients by all parameters (views: the next call overwrites them)."""
        loss, dout = softmax_loss(self.forward(x, mode), y)
        for layer in reversed(self.layers[self._lowest + 1 :]):
            dout = layer.backward(dout)
        lowest = self.layers[self._lowest]  # nobody needs the gradient by the images
        getattr(lowest, "weight_gradients", lowest.backward)(dout)
        return loss, self.grads

    def predict(self, x: Array, mode: Mode = "test", batch_size: int = 500) -> Labels:
        """The class with the highest score, (N,). With `mode="train"` batches of `batch_size` are normalised with their
        own statistics, as if somebody had forgotten to switch; this network's running statistics stay as they are."""
        net = self.copy() if mode == "train" else self
        x = x.astype(self.dtype, copy=False)
        starts = range(0, len(x), batch_size)
        labels: Labels = np.concatenate([net.forward(x[i : i + batch_size], mode).argmax(axis=1) for i in starts])
        return labels

    def accuracy(self, x: Array, y: Labels, mode: Mode = "test", batch_size: int = 500) -> float:
        """The share of inputs that `predict` gets right."""
        return float(np.mean(self.predict(x, mode, batch_size) == y))

    def activations(self, x: Array, mode: Mode = "test", after: type | None = None) -> list[tuple[str, Array]]:
        """The output of every layer as (name, array), bottom up; `after=ReLU` keeps those of one kind."""
        net = self.copy() if mode == "train" else self
        x = x.astype(self.dtype, copy=False)
        found = []
        for index, layer in enumerate(net.layers):
            x = layer.forward(x, mode)
            if after is None or isinstance(layer, after):
                found.append((f"{index} {getattr(layer, 'name', type(layer).__name__)}", x))
        return found

    def copy(self) -> "Sequential":
        """An independent network with the same parameters and running statistics."""
        from copy import deepcopy

        return deepcopy(self)

    def load(self, params: dict[str, Array]) -> None:
        """Take over parameter values: a dict like `params`, such as one kept from an earlier step (of copies)."""
        if params.keys() != self.params.keys():
            odd = sorted(params.keys() ^ self.params.keys())
            raise ValueError(f"these parameters are only in one of the two: {', '.join(odd)}")
        for name, value in params.items():
            self.params[name][...] = value


def mlp(
    sizes: Sequence[int],
    norm: Pair | NormFactory | None = None,
    rng: Seed = None,
    init_scale: float = 1.0,
    activation: Callable[[], Layer] = ReLU,
    dtype: DTypeLike = np.float32,
) -> Sequential:
    """A fully connected network: affine, norm, activation for each hidden layer, and an affine one at the end.

    `sizes` are the numbers of units, inputs first: [64, 100, 100, 10]. `norm` is None, a pair (forward, backward) or a
    function from the number of features to a layer. Weights are He's times `init_scale`.
    """
    rng = np.random.default_rng(rng)
    *hidden, outputs = sizes[1:]
    layers: list[Layer] = []
    for inputs, units in zip(sizes, hidden, strict=False):
        layers += [Affine(inputs, units, rng, init_scale, dtype), *norm_layer(norm, units, dtype), activation()]
    return Sequential([*layers, Affine(sizes[-2], outputs, rng, init_scale, dtype)])


def small_convnet(
    channels: Sequence[int] = (16, 32),
    classes: int = 10,
    norm: Pair | NormFactory | None = None,
    rng: Seed = None,
    in_channels: int = 1,
    kernel: int = 3,
    init_scale: float = 1.0,
    activation: Callable[[], Layer] = ReLU,
    dtype: DTypeLike = np.float32,
) -> Sequential:
    """A small convolutional network for images of any size: a convolution, norm, activation for each number in
    `channels`, a 2 × 2 max pool between them, then the mean over all pixels and an affine layer."""
    rng = np.random.default_rng(rng)
    layers: list[Layer] = []
    for inputs, filters in zip((in_channels, *channels), channels, strict=False):
        layers += [MaxPool2d(2)] if layers else []
        layers += [Conv2d(inputs, filters, kernel, rng, init_scale, dtype), *norm_layer(norm, filters, dtype)]
        layers += [activation()]
    return Sequential([*layers, GlobalAveragePool(), Affine(channels[-1], classes, rng, init_scale, dtype)])
