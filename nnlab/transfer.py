"""The course's own transfer learning, with the names, signatures and conventions of the exercises, and the small network
that it starts from: trained on drawn letters, kept in `data/`.

A network's parameters are a dict, "INDEX.NAME" to array, as in `Sequential.params`; the head is the layer with the highest
index. What these functions return shares no memory with what they were given.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from nnlab import norms
from nnlab.datasets.files import DATA, verified
from nnlab.layers import Affine, Array, Conv2d, GlobalAveragePool, MaxPool2d, ReLU, Seed
from nnlab.network import Labels, Sequential, softmax_loss
from nnlab.norm import Norm
from nnlab.second_order import lbfgs_minimize

Params = dict[str, Array]

LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"  # the source's classes: those of `glyphs` that are not digits
SIZE = 12  # pixels a side of all images here
CHANNELS = (12, 24, 48)
PRETRAINED = DATA / "pretrained-letters.npz"

STRATEGIES = (
    "train a linear classifier on the top features",
    "fine-tune a few layers",
    "train a linear classifier on features of several stages",
    "fine-tune many layers",
)


def _layer(name: str) -> int:
    return int(name.partition(".")[0])


def reinitialize_head(params: Mapping[str, Array], num_classes: int, rng: np.random.Generator) -> Params:
    """Copies of all parameters, but for the head, which starts anew for `num_classes` classes: W (D, num_classes) normal
    with standard deviation 1/sqrt(D), b zeros."""
    head = max(map(_layer, params))
    fresh = {name: np.array(value) for name, value in params.items()}
    old = params[f"{head}.W"]
    inputs = len(old)
    fresh[f"{head}.W"] = (rng.standard_normal((inputs, num_classes)) / np.sqrt(inputs)).astype(old.dtype)
    fresh[f"{head}.b"] = np.zeros(num_classes, old.dtype)
    return fresh


def split_frozen(params: Mapping[str, Array], trainable_layers: Collection[int]) -> tuple[Params, Params]:
    """The parameters in two dicts, (frozen, trainable): a layer whose index is in `trainable_layers` is trainable with all
    that it has, every other one is frozen."""
    wanted = set(trainable_layers)
    parts: tuple[Params, Params] = ({}, {})
    for name, value in params.items():
        parts[_layer(name) in wanted][name] = np.array(value)
    return parts


def extract_features(forward_to: Callable[[Array], Array], x: Array, batch_size: int) -> Array:
    """`forward_to` of all images x (N, ...), at most `batch_size` at a time, each image's features in one row: (N, D)."""
    features = [forward_to(x[start : start + batch_size]) for start in range(0, len(x), batch_size)]
    return np.concatenate([part.reshape(len(part), -1) for part in features])


def linear_probe(features: Array, y: Labels, l2: float, num_classes: int | None = None) -> tuple[Array, Array]:
    """W (D, K) and b (K,) of the softmax classifier on features (N, D) with the lowest mean cross-entropy plus
    l2/2 · sum(W²); the bias is not penalised. K is `num_classes`, or one more than the largest label `y` (N,).

    Found by L-BFGS, which moves V = L'W with a Cholesky factor L of a bound of the curvature: so features of very different
    scales take no more steps than others.
    """
    classes = int(y.max()) + 1 if num_classes is None else num_classes
    x = np.asarray(features, dtype=np.float64)
    dim = x.shape[1]
    mean = x.mean(axis=0)
    moments = (
        (x - mean).T @ (x - mean) / (2 * len(x))
    )  # (D, D), no less than the cross-entropy's curvature in any column
    moments += max(l2, 1e-6 * float(np.trace(moments)) / dim, 1e-12) * np.eye(dim)
    root = np.linalg.inv(np.linalg.cholesky(moments)).T  # W = root @ V
    seen = (x - mean) @ root

    def unpacked(vector: Array) -> tuple[Array, Array]:
        return vector[: dim * classes].reshape(dim, classes), vector[dim * classes :]

    def objective(vector: Array) -> tuple[float, Array]:
        v, b = unpacked(vector)
        w = root @ v
        loss, dscores = softmax_loss(seen @ v + b, y)
        dv = seen.T @ dscores + l2 * (root.T @ w)
        return loss + l2 / 2 * float(np.sum(w * w)), np.concatenate([dv.ravel(), dscores.sum(axis=0)])

    best, _ = lbfgs_minimize(objective, np.zeros((dim + 1) * classes), max_iter=500, tol=1e-7)
    v, b = unpacked(best)
    w = root @ v
    return w.astype(features.dtype), (b - mean @ w).astype(features.dtype)


def layerwise_learning_rates(names: Iterable[str], lr: float, decay: float) -> dict[str, float]:
    """A rate for each name: `lr` for the last layer, and for each layer below `decay` times that of the one above it; only
    layers with parameters count (Howard & Ruder 2018, arXiv:1801.06146, section 3.2, "discriminative fine-tuning")."""
    names = list(names)
    layers = sorted({_layer(name) for name in names}, reverse=True)
    return {name: lr * decay ** layers.index(_layer(name)) for name in names}


def fine_tune_step(
    params: Mapping[str, Array], grads: Mapping[str, Array], rates: Mapping[str, float], trainable: Collection[str]
) -> Params:
    """New parameters: one step of gradient descent, each name in `trainable` at its own rate; copies of all others."""
    return {
        name: value - rates[name] * grads[name] if name in trainable else np.array(value)
        for name, value in params.items()
    }


def transfer_strategy(similar: bool, much_data: bool) -> str:
    """The lecture's advice (CS231n, lecture 7, "Transfer Learning with CNNs"), one of `STRATEGIES`, for a target that is
    `similar` to the source or not, with `much_data` or little."""
    top, few, stages, many = STRATEGIES
    if similar:
        return few if much_data else top
    return many if much_data else stages


# --- the network that the experiments start from ----------------------------------------------------------------------


def source_net(classes: int, rng: Seed = None, in_channels: int = 1) -> Sequential:
    """The network of notebook 09 for images of `SIZE` pixels a side: three convolutions (the first 5 × 5) with batch norm
    and ReLU, the mean over the pixels, a head. Layers with parameters: 0, 1, 4, 5, 8, 9 and the head, 12."""
    rng = np.random.default_rng(rng)
    low, middle, high = CHANNELS

    def batchnorm(channels: int) -> Norm:
        return Norm(norms.spatial_batchnorm_forward, norms.spatial_batchnorm_backward, channels)

    return Sequential(
        [
            *(Conv2d(in_channels, low, 5, rng), batchnorm(low), ReLU(), MaxPool2d(2)),
            *(Conv2d(low, middle, 3, rng), batchnorm(middle), ReLU(), MaxPool2d(2)),
            *(Conv2d(middle, high, 3, rng), batchnorm(high), ReLU(), GlobalAveragePool()),
            Affine(high, classes, rng, scale=np.sqrt(0.5)),  # no ReLU behind it: 1/sqrt(D)
        ]
    )


def state(net: Sequential) -> Params:
    """Copies of all that a network has learned: its parameters, and batch norm's running statistics."""
    found = {name: value.copy() for name, value in net.params.items()}
    for index, layer in enumerate(net.layers):
        if isinstance(layer, Norm):
            found |= {f"{index}.{name}": layer.param[name].copy() for name in ("running_mean", "running_var")}
    return found


def load_state(net: Sequential, values: Mapping[str, ArrayLike]) -> None:
    """Take over what `state` gave. Raises ValueError where names differ."""
    statistics = {name for name in values if ".running_" in name}
    net.load({name: np.asarray(value) for name, value in values.items() if name not in statistics})
    for name in statistics:
        layer = net.layers[_layer(name)]
        assert isinstance(layer, Norm)
        layer.param[name.partition(".")[2]] = np.array(values[name], dtype=net.dtype)


def pretrained(file: Path = PRETRAINED) -> Sequential:
    """The network that was trained on drawn letters, `LETTERS`, by `data/make_pretrained.py`: the same on every machine.

    Raises DataError if the file is missing or does not have its checksum.
    """
    net = source_net(len(LETTERS), rng=0)
    with np.load(verified(file), allow_pickle=False) as stored:
        load_state(net, dict(stored))
    return net
