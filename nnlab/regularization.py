"""The course's own regularization: penalties on the weights, and noise that trains a network and is averaged out at test
time. An experiment uses these functions where the reader's do not pass their checks yet.

Every layer with noise is one idea (lecture 7): in training out = f(x, noise) with noise drawn anew at each call, at test
time its mean, exactly or nearly. `p` is the probability to KEEP. `mode` is "train" or "test". Arrays keep their dtype.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from nnlab.layers import Array

Generator = np.random.Generator
Cache = Any

# --- penalties ------------------------------------------------------------------------------------------------------


def l2_penalty(w: Array, strength: float) -> tuple[float, Array]:
    """½ · strength · Σ w² and its gradient, for `w` of any shape."""
    return 0.5 * strength * float(np.vdot(w, w)), strength * w


def l1_penalty(w: Array, strength: float) -> tuple[float, Array]:
    """strength · Σ |w| and its gradient, for `w` of any shape; where w is 0 the subgradient 0."""
    return strength * float(np.abs(w).sum()), strength * np.sign(w)


def elastic_net_penalty(w: Array, l1: float, l2: float) -> tuple[float, Array]:
    """l1 · Σ |w| + ½ · l2 · Σ w² and its gradient, for `w` of any shape (Zou & Hastie 2005)."""
    sparse, sparse_grad = l1_penalty(w, l1)
    small, small_grad = l2_penalty(w, l2)
    return sparse + small, sparse_grad + small_grad


# --- dropout --------------------------------------------------------------------------------------------------------


def dropout_forward(x: Array, dropout_param: dict[str, Any]) -> tuple[Array, Cache]:
    """Inverted dropout of `x`, of any shape (Srivastava et al. 2014; divided by p in training: lecture 7).

    `dropout_param`: `p` (the probability to keep an entry), `mode`, and optionally `seed`, which makes a call repeatable.
    Raises ValueError for any other mode.
    """
    p, mode = dropout_param["p"], dropout_param["mode"]
    if not _trains(mode):
        return x.copy(), None
    scaled_mask = _kept(x, p, np.random.default_rng(dropout_param.get("seed"))) / x.dtype.type(p)
    return x * scaled_mask, scaled_mask


def dropout_backward(dout: Array, cache: Cache) -> Array:
    """Gradient by the input of `dropout_forward`, in whichever mode that ran."""
    return dout.copy() if cache is None else dout * cache


def vanilla_dropout_forward(x: Array, p: float, mode: str, rng: Generator) -> tuple[Array, Cache]:
    """Dropout as first published: entries of `x` dropped in training and left unscaled, all times p at test time
    (Hinton et al. 2012, arXiv:1207.0580)."""
    if not _trains(mode):
        return x * x.dtype.type(p), None
    mask = _kept(x, p, rng)
    return x * mask, mask


def dropconnect_forward(x: Array, W: Array, b: Array, p: float, mode: str, rng: Generator) -> tuple[Array, Cache]:
    """x @ (W · M / p) + b in training, x @ W + b at test time; x (N, D), W (D, M), b (M,) -> (N, M).

    M keeps each weight with probability p and is drawn once a call, for the whole mini-batch. Wan et al. (2013) draw a
    mask for each example and sample a Gaussian at test time; dividing by p in training makes the plain mean right.
    """
    scaled_mask: Array | None = _kept(W, p, rng) / W.dtype.type(p) if _trains(mode) else None
    used = W if scaled_mask is None else W * scaled_mask
    return x @ used + b, (x, used, scaled_mask)


def dropconnect_backward(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Gradients dx (N, D), dW (D, M), db (M,) of `dropconnect_forward`, in whichever mode that ran."""
    x, used, scaled_mask = cache
    dW = x.T @ dout
    if scaled_mask is not None:
        dW *= scaled_mask
    return dout @ used.T, dW, dout.sum(axis=0)


# --- noise added ----------------------------------------------------------------------------------------------------


def gaussian_noise_forward(x: Array, sigma: float, mode: str, rng: Generator) -> tuple[Array, Cache]:
    """x + sigma · z with z standard normal, new for every entry and call; `x` itself at test time (Bishop 1995)."""
    if not _trains(mode):
        return x.copy(), None
    return x + x.dtype.type(sigma) * rng.standard_normal(x.shape, dtype=_drawn_as(x)).astype(x.dtype), None


def gaussian_noise_backward(dout: Array, cache: Cache) -> Array:
    """Gradient by the input: the noise is a constant that is added, so it is `dout`."""
    return dout.copy()


def stochastic_depth_forward(
    x: Array, branch_out: Array, survival: float, mode: str, rng: Generator
) -> tuple[Array, Cache]:
    """A residual block that loses its branch: x + B · branch_out in training, x + survival · branch_out at test time.

    B is 1 with probability `survival` and 0 otherwise, drawn once a call for the whole mini-batch (Huang et al. 2016,
    arXiv:1603.09382). `x` and `branch_out` have one shape, any.
    """
    weight = float(rng.random() < survival) if _trains(mode) else float(survival)
    return x + x.dtype.type(weight) * branch_out, weight


def stochastic_depth_backward(dout: Array, cache: Cache) -> tuple[Array, Array]:
    """Gradients dx and dbranch_out: all of `dout` goes through the skip, the branch's share through the branch."""
    return dout.copy(), dout.dtype.type(cache) * dout


# --- fractional pooling ---------------------------------------------------------------------------------------------


def fractional_pool_regions(size: int, out: int, rng: Generator) -> Array:
    """Boundaries (out + 1,) of `out` regions of 1 or 2 that cover `size` pixels, the ones and twos in random order
    (Graham 2014, arXiv:1412.6071). Raises ValueError unless out <= size <= 2 · out."""
    if not out <= size <= 2 * out:
        raise ValueError(f"{out} regions of 1 or 2 pixels cover {out} to {2 * out} pixels, not {size}")
    lengths = np.ones(out, dtype=int)
    lengths[rng.permutation(out)[: size - out]] = 2
    return np.concatenate([[0], np.cumsum(lengths)])


def fractional_max_pool_forward(x: Array, rows: Array, cols: Array, overlapping: bool = False) -> tuple[Array, Cache]:
    """The maximum of each region of images `x` (N, C, H, W) -> (N, C, len(rows) - 1, len(cols) - 1).

    Region (i, j) is x[:, :, rows[i]:rows[i + 1], cols[j]:cols[j + 1]]; with `overlapping` it is a row and a column larger
    at its end, where the image goes on (Graham 2014). Regions hold 1 or 2 rows and columns, or one more.
    """
    picked_rows, picked_cols = _picked(rows, x.shape[2], overlapping), _picked(cols, x.shape[3], overlapping)
    windows = x[:, :, picked_rows[:, None, :, None], picked_cols[None, :, None, :]]  # (N, C, h, w, rows, columns)
    n, channels, h, w = windows.shape[:4]
    windows = windows.reshape(n, channels, h, w, -1)
    best = windows.argmax(axis=-1)
    out = np.take_along_axis(windows, best[..., None], axis=-1)[..., 0]
    row, col = np.divmod(best, picked_cols.shape[1])
    where = picked_rows[np.arange(h)[:, None], row] * x.shape[3] + picked_cols[np.arange(w), col]
    return out, (where, x.shape)


def fractional_max_pool_backward(dout: Array, cache: Cache) -> Array:
    """Gradient (N, C, H, W): each entry of `dout` goes to its region's maximum; where regions overlap they add up."""
    where, shape = cache
    images, pixels = shape[0] * shape[1], shape[2] * shape[3]
    places = where.reshape(images, -1) + pixels * np.arange(images)[:, None]
    dx = np.bincount(places.ravel(), weights=dout.ravel(), minlength=images * pixels)
    return dx.reshape(shape).astype(dout.dtype)


def _picked(boundaries: Array, size: int, overlapping: bool) -> Array:
    """The indices (regions, longest region) that each region looks at; a short region looks at its last one twice."""
    starts, ends = np.asarray(boundaries)[:-1], np.asarray(boundaries)[1:]
    if overlapping:
        ends = np.minimum(ends + 1, size)
    return np.minimum(starts[:, None] + np.arange((ends - starts).max()), ends[:, None] - 1)


# --- test time ------------------------------------------------------------------------------------------------------


def predict_marginalized(forward: Callable[[Array, Generator], Array], x: Array, samples: int, rng: Generator) -> Array:
    """The mean (N, K) of `samples` predictions forward(x, rng), each with noise of its own (Gal & Ghahramani 2016)."""
    total = np.asarray(forward(x, rng)).copy()
    for _ in range(samples - 1):
        total += forward(x, rng)
    return total / samples


def _trains(mode: str) -> bool:
    if mode not in ("train", "test"):
        raise ValueError(f'mode is {mode!r}; it should be "train" or "test"')
    return mode == "train"


def _drawn_as(x: Array) -> Any:
    return np.float32 if x.dtype == np.float32 else np.float64


def _kept(x: Array, p: float, rng: Generator) -> Array:
    """1 with probability p and 0 otherwise, each entry by itself, in the shape and dtype of `x`."""
    return (rng.random(x.shape, dtype=_drawn_as(x)) < p).astype(x.dtype)
