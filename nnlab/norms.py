"""The course's own normalisations, with the names, signatures and conventions of the exercises.

An experiment uses them where the reader's function does not pass its check yet. All four are one idea: subtract a mean
and divide by a standard deviation; they differ only in which numbers share a mean (Wu & He 2018, arXiv:1803.08494).
"""

from typing import Any

import numpy as np

from nnlab.layers import Array, channels_first, channels_last
from nnlab.sums import column_sums, row_sums

Cache = tuple[Any, ...]


def batchnorm_forward(x: Array, gamma: Array, beta: Array, bn_param: dict[str, Any]) -> tuple[Array, Cache]:
    """Batch normalisation of x (N, D) (Ioffe & Szegedy 2015, arXiv:1502.03167); gamma, beta (D,).

    `bn_param`: `mode` ("train" or "test"), `eps` (1e-5), `momentum` (0.9), `running_mean`, `running_var` (zeros).
    """
    mode, eps, momentum = bn_param["mode"], bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    running_mean = bn_param.get("running_mean", np.zeros(x.shape[1], x.dtype))
    running_var = bn_param.get("running_var", np.zeros(x.shape[1], x.dtype))
    if mode == "train":
        mean = column_sums(x) / len(x)
        centred = x - mean
        var = column_sums(centred * centred) / len(x)
        bn_param["running_mean"] = momentum * running_mean + (1 - momentum) * mean
        bn_param["running_var"] = momentum * running_var + (1 - momentum) * var
    elif mode == "test":
        var, centred = running_var, x - running_mean
        bn_param["running_mean"], bn_param["running_var"] = running_mean, running_var
    else:
        raise ValueError(f'bn_param["mode"] is {mode!r}; it should be "train" or "test"')
    inv_std = 1 / np.sqrt(var + eps)
    xhat = np.multiply(centred, inv_std, out=centred)
    out = xhat * gamma
    out += beta
    return out, (mode, xhat, gamma, inv_std)


def batchnorm_backward(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Gradients dx (N, D), dgamma (D,), dbeta (D,) of `batchnorm_forward`, in whichever mode that ran."""
    mode, xhat, gamma, inv_std = cache
    dbeta = column_sums(dout)
    dgamma = column_sums(dout * xhat)
    if mode == "test":  # the statistics are constants: the layer is affine
        return dout * (gamma * inv_std), dgamma, dbeta
    # gamma is the same for the whole column, so the means that the gradient needs are dbeta and dgamma over N.
    dx = dout - dbeta / len(dout)
    dx -= xhat * (dgamma / len(dout))
    dx *= gamma * inv_std
    return dx, dgamma, dbeta


def spatial_batchnorm_forward(x: Array, gamma: Array, beta: Array, bn_param: dict[str, Any]) -> tuple[Array, Cache]:
    """Batch normalisation of images x (N, C, H, W), one mean a channel, over axes (0, 2, 3); gamma, beta (C,)."""
    n, channels, height, width = x.shape
    rows = channels_last(x).reshape(-1, channels)  # (N·H·W, C): a pixel counts like an example
    out, cache = batchnorm_forward(rows, gamma, beta, bn_param)
    return channels_first(out.reshape(n, height, width, channels)), cache


def spatial_batchnorm_backward(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Gradients dx (N, C, H, W), dgamma (C,), dbeta (C,)."""
    n, channels, height, width = dout.shape
    dx, dgamma, dbeta = batchnorm_backward(channels_last(dout).reshape(-1, channels), cache)
    return channels_first(dx.reshape(n, height, width, channels)), dgamma, dbeta


def layernorm_forward(x: Array, gamma: Array, beta: Array, ln_param: dict[str, Any]) -> tuple[Array, Cache]:
    """Layer normalisation of x (N, D), one mean an example (Ba et al. 2016, arXiv:1607.06450); gamma, beta (D,).

    `ln_param`: `eps` (1e-5). Training and test time do not differ.
    """
    features = x.shape[1]
    centred = x - row_sums(x) / features
    var = row_sums(centred * centred) / features  # (N, 1)
    inv_std = 1 / np.sqrt(var + ln_param.get("eps", 1e-5))
    xhat = np.multiply(centred, inv_std, out=centred)
    out = xhat * gamma
    out += beta
    return out, (xhat, gamma, inv_std)


def layernorm_backward(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Gradients dx (N, D), dgamma (D,), dbeta (D,)."""
    xhat, gamma, inv_std = cache
    features = xhat.shape[1]
    dxhat = dout * gamma
    # Shifting or scaling an example does not change xhat: take out the mean of dxhat and its part along xhat.
    dx = dxhat - row_sums(dxhat) / features
    dx -= xhat * (row_sums(dxhat * xhat) / features)
    dx *= inv_std
    return dx, column_sums(dout * xhat), column_sums(dout)


def _group_means(x: Array, G: int) -> Array:
    """The mean over the pixels and channels of each group: (N, P, C) -> (N, 1, C), the same for a group's channels."""
    n, pixels, channels = x.shape
    means = row_sums(column_sums(x).reshape(n, G, channels // G)) / (pixels * (channels // G))  # (N, G, 1)
    return np.repeat(means.reshape(n, 1, G), channels // G, axis=2)


def spatial_groupnorm_forward(
    x: Array, gamma: Array, beta: Array, G: int, gn_param: dict[str, Any]
) -> tuple[Array, Cache]:
    """Group normalisation of images x (N, C, H, W): one mean for each example and each of `G` groups of neighbouring
    channels (Wu & He 2018, arXiv:1803.08494); gamma, beta (1, C, 1, 1) or (C,). `gn_param`: `eps` (1e-5)."""
    n, channels, height, width = x.shape
    if channels % G:
        raise ValueError(f"{channels} channels cannot be split into {G} groups of equal size")
    pixels = channels_last(x).reshape(n, -1, channels)  # (N, C, H, W) -> (N, H·W, C)
    centred = pixels - _group_means(pixels, G)
    inv_std = 1 / np.sqrt(_group_means(centred * centred, G) + gn_param.get("eps", 1e-5))  # (N, 1, C)
    xhat = np.multiply(centred, inv_std, out=centred)
    out = xhat * gamma.reshape(-1)
    out += beta.reshape(-1)
    return channels_first(out.reshape(n, height, width, channels)), (xhat, gamma, inv_std, G)


def spatial_groupnorm_backward(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Gradients dx (N, C, H, W), dgamma and dbeta in gamma's shape."""
    xhat, gamma, inv_std, G = cache
    n, channels, height, width = dout.shape
    pixels = channels_last(dout).reshape(n, -1, channels)  # (N, C, H, W) -> (N, H·W, C)
    products = pixels * xhat
    dgamma, dbeta = (column_sums(part.reshape(-1, channels)) for part in (products, pixels))
    # From here as in layer norm, with dxhat = dout * gamma.
    dxhat = pixels * gamma.reshape(-1)
    products *= gamma.reshape(-1)
    dx = dxhat - _group_means(dxhat, G)
    dx -= xhat * _group_means(products, G)
    dx *= inv_std
    dx = channels_first(dx.reshape(n, height, width, channels))
    return dx, dgamma.reshape(gamma.shape), dbeta.reshape(gamma.shape)


def instancenorm_forward(x: Array, gamma: Array, beta: Array, in_param: dict[str, Any]) -> tuple[Array, Cache]:
    """Instance normalisation of images x (N, C, H, W): one mean for each channel of each example (Ulyanov et al. 2016,
    arXiv:1607.08022), which is group norm with as many groups as channels; gamma, beta (C,)."""
    return spatial_groupnorm_forward(x, gamma, beta, x.shape[1], in_param)


def instancenorm_backward(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Gradients dx (N, C, H, W), dgamma (C,), dbeta (C,)."""
    return spatial_groupnorm_backward(dout, cache)
