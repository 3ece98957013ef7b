"""Answers to assignment 01, right and wrong."""

from __future__ import annotations

import warnings

import numpy as np

# --- batchnorm_forward and its two backwards, right; each pair keeps something else in its cache -------------------------


def forward_plain(x, gamma, beta, bn_param):
    """The layout of the public course's starter file; no cache at test time."""
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    momentum = bn_param.get("momentum", 0.9)
    N, D = x.shape
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))
    out, cache = None, None
    if mode == "train":
        sample_mean = np.mean(x, axis=0)
        sample_var = np.var(x, axis=0)
        x_hat = (x - sample_mean) / np.sqrt(sample_var + eps)
        out = gamma * x_hat + beta
        cache = (x, x_hat, sample_mean, sample_var, gamma, eps)
        running_mean = momentum * running_mean + (1 - momentum) * sample_mean
        running_var = momentum * running_var + (1 - momentum) * sample_var
    elif mode == "test":
        out = gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta
    else:
        raise ValueError(f"Invalid forward batchnorm mode {mode!r}")
    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return out, cache


def backward_graph(dout, cache):
    """Node by node, the mean's path through the variance included."""
    x, x_hat, mean, var, gamma, eps = cache
    N = x.shape[0]
    dx_hat = dout * gamma
    dvar = np.sum(dx_hat * (x - mean) * -0.5 * (var + eps) ** -1.5, axis=0)
    dmean = np.sum(-dx_hat / np.sqrt(var + eps), axis=0) + dvar * np.mean(-2 * (x - mean), axis=0)
    dx = dx_hat / np.sqrt(var + eps) + dvar * 2 * (x - mean) / N + dmean / N
    return dx, np.sum(dout * x_hat, axis=0), np.sum(dout, axis=0)


def forward_by_moments(x, gamma, beta, bn_param):
    """E[x^2] - E[x]^2, statistics of shape (1, D), a dict for a cache, a list for the results, noise on all channels."""
    print("batch norm of", x)
    warnings.warn("a student's own warning", stacklevel=1)
    np.log(np.zeros(1))
    eps, momentum = bn_param.setdefault("eps", 1e-5), bn_param.setdefault("momentum", 0.9)
    for name in ("running_mean", "running_var"):
        bn_param.setdefault(name, np.zeros((1, x.shape[1])))
    if bn_param["mode"] == "train":
        mean = np.ones((1, len(x))) @ x / len(x)
        var = (x**2).mean(0, keepdims=True) - mean**2
        bn_param["running_mean"] = bn_param["running_mean"] * momentum + mean * (1 - momentum)
        bn_param["running_var"] = bn_param["running_var"] * momentum + var * (1 - momentum)
    else:
        mean, var = bn_param["running_mean"], bn_param["running_var"]
    std = np.sqrt(var + eps)
    normed = (x - mean) / std
    return [normed * gamma + beta, {"normed": normed, "std": std, "gamma": gamma}]


def backward_by_projection(dout, cache):
    """Takes the mean, and the part along the normalised x, out of the gradient; parameters' gradients of shape (1, D)."""
    normed, std = cache["normed"], cache["std"]
    g = dout * cache["gamma"]
    dx = (g - g.mean(0) - normed * (g * normed).mean(0)) / std
    return [dx, (dout * normed).sum(0, keepdims=True), dout.sum(0, keepdims=True)]


def forward_looping(x, gamma, beta, bn_param):
    """One feature after another; the cache is a list of lists, the running average is moved in place."""
    n, d = x.shape
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    out, cache = np.empty((n, d)), []
    running = [bn_param.get(name, np.zeros(d)) for name in ("running_mean", "running_var")]
    for j in range(d):
        column = x[:, j].tolist()
        if bn_param["mode"] == "train":
            mean = sum(column) / n
            var = sum((value - mean) ** 2 for value in column) / n
            running[0][j] += (1 - momentum) * (mean - running[0][j])
            running[1][j] += (1 - momentum) * (var - running[1][j])
        else:
            mean, var = running[0][j], running[1][j]
        for i in range(n):
            out[i, j] = gamma[j] * (column[i] - mean) / (var + eps) ** 0.5 + beta[j]
        cache.append([column, mean, var + eps, gamma[j]])
    bn_param["running_mean"], bn_param["running_var"] = running
    return out, cache


def backward_looping(dout, cache):
    n, d = dout.shape
    dx, dgamma, dbeta = np.zeros((n, d)), [0.0] * d, [0.0] * d
    for j, (column, mean, shifted, gamma) in enumerate(cache):
        std = shifted**0.5
        hats = [(value - mean) / std for value in column]
        dgamma[j] = sum(dout[i, j] * hats[i] for i in range(n))
        dbeta[j] = sum(dout[i, j] for i in range(n))
        for i in range(n):
            dx[i, j] = gamma / (n * std) * (n * dout[i, j] - dbeta[j] - hats[i] * dgamma[j])
    return dx, dgamma, dbeta


def forward_in_float32(x, gamma, beta, bn_param):
    """Computes in single precision and gives it back."""
    narrow = {name: np.asarray(value, np.float32) if isinstance(value, np.ndarray) else value
              for name, value in bn_param.items()}  # fmt: skip
    out, cache = forward_plain(x.astype(np.float32), gamma.astype(np.float32), beta.astype(np.float32), narrow)
    bn_param.update(narrow)
    return out, cache


def backward_in_float32(dout, cache):
    return tuple(part.astype(np.float32) for part in backward_graph(dout.astype(np.float32), cache))


def forward_with_jacobian(x, gamma, beta, bn_param):
    """The forward of `forward_plain` with a matrix for each feature kept: out[:, j] = A_j x[:, j] to first order."""
    out, cache = forward_plain(x, gamma, beta, bn_param)
    if cache is None:
        return out, None
    x, x_hat, _, var, gamma, eps = cache
    n = len(x)
    jacobians = [
        gamma[j] / np.sqrt(var[j] + eps) * (np.eye(n) - 1 / n - np.outer(x_hat[:, j], x_hat[:, j]) / n)
        for j in range(x.shape[1])
    ]
    return out, {"jacobians": jacobians, "x_hat": x_hat}


def backward_with_jacobian(dout, cache):
    dx = np.stack([A.T @ dout[:, j] for j, A in enumerate(cache["jacobians"])], axis=1)
    return dx, np.einsum("nd,nd->d", dout, cache["x_hat"]), np.ones(len(dout)) @ dout


BATCH_PAIRS = {
    "plain": (forward_plain, backward_graph),
    "by-moments": (forward_by_moments, backward_by_projection),
    "looping": (forward_looping, backward_looping),
    "in-float32": (forward_in_float32, backward_in_float32),
    "with-jacobians": (forward_with_jacobian, backward_with_jacobian),
}

# --- spatial batch norm, right --------------------------------------------------------------------------------------


def spatial_forward_calling(x, gamma, beta, bn_param):
    N, C, H, W = x.shape
    out, cache = forward_plain(x.transpose(0, 2, 3, 1).reshape(N * H * W, C), gamma, beta, bn_param)
    return out.reshape(N, H, W, C).transpose(0, 3, 1, 2), cache


def spatial_backward_calling(dout, cache):
    N, C, H, W = dout.shape
    dx, dgamma, dbeta = backward_graph(dout.transpose(0, 2, 3, 1).reshape(N * H * W, C), cache)
    return dx.reshape(N, H, W, C).transpose(0, 3, 1, 2), dgamma, dbeta


def spatial_forward_channels_first(x, gamma, beta, bn_param):
    """Moves the channels to the front, calls a batch norm, and leaves a view of another memory order."""
    n, c, h, w = x.shape
    out, cache = forward_by_moments(np.swapaxes(x, 0, 1).reshape(c, -1).T, gamma, beta, bn_param)
    return out.T.reshape(c, n, h, w).swapaxes(0, 1), cache


def spatial_backward_channels_first(dout, cache):
    n, c, h, w = dout.shape
    dx, dgamma, dbeta = backward_by_projection(np.swapaxes(dout, 0, 1).reshape(c, -1).T, cache)
    return dx.T.reshape(c, n, h, w).swapaxes(0, 1), dgamma, dbeta


def spatial_forward_on_images(x, gamma, beta, bn_param):
    """Works on the four axes as they are; running statistics are (C,) in the dict."""
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    if bn_param["mode"] == "train":
        mean, var = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
        for name, new in (("running_mean", mean), ("running_var", var)):
            bn_param[name] = momentum * bn_param.get(name, np.zeros_like(new)) + (1 - momentum) * new
    else:
        mean, var = bn_param["running_mean"], bn_param["running_var"]
    scale = gamma / np.sqrt(var + eps)
    out = x * scale[:, None, None] + (beta - mean * scale)[:, None, None]
    return out, [x, mean.copy(), var.copy(), gamma, eps]


def spatial_backward_on_images(dout, cache):
    x, mean, var, gamma, eps = cache
    m = x.size // x.shape[1]
    std = np.sqrt(var + eps)[None, :, None, None]
    x_hat = (x - mean[None, :, None, None]) / std
    dgamma, dbeta = np.einsum("nchw,nchw->c", dout, x_hat), np.einsum("nchw->c", dout)
    dx = dout - (dbeta / m)[:, None, None] - x_hat * (dgamma / m)[:, None, None]
    return dx * gamma[:, None, None] / std, dgamma.reshape(1, -1, 1, 1), dbeta.reshape(1, -1, 1, 1)


def spatial_forward_of_four_axes(x, gamma, beta, bn_param):
    """Keeps the running statistics in the shape (1, C, 1, 1), and expects them so."""
    c = x.shape[1]
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    running_mean = bn_param.get("running_mean", np.zeros((1, c, 1, 1)))
    running_var = bn_param.get("running_var", np.zeros((1, c, 1, 1)))
    if bn_param["mode"] == "train":
        mean, var = x.mean(axis=(0, 2, 3), keepdims=True), x.var(axis=(0, 2, 3), keepdims=True)
        bn_param["running_mean"] = momentum * running_mean + (1 - momentum) * mean
        bn_param["running_var"] = momentum * running_var + (1 - momentum) * var
    else:
        mean, var = running_mean, running_var
    return gamma.reshape(1, c, 1, 1) * (x - mean) / np.sqrt(var + eps) + beta.reshape(1, c, 1, 1), None


SPATIAL_PAIRS = {
    "calling": (spatial_forward_calling, spatial_backward_calling),
    "channels-first": (spatial_forward_channels_first, spatial_backward_channels_first),
    "on-images": (spatial_forward_on_images, spatial_backward_on_images),
}

# --- fold_batchnorm, right ------------------------------------------------------------------------------------------


def fold_by_formula(W, b, gamma, beta, running_mean, running_var, eps=1e-5):
    std = np.sqrt(running_var + eps)
    return W * gamma / std, gamma * (b - running_mean) / std + beta


def fold_by_probing(W, b, gamma, beta, running_mean, running_var, eps=1e-5):
    """The layer is affine: what it does to zero and to the unit vectors says everything."""

    def layer(x):
        return gamma * (x @ W + b - running_mean) / np.sqrt(running_var + eps) + beta

    shift = layer(np.zeros((1, len(W))))
    return [layer(np.eye(len(W))) - shift, shift]


def fold_by_a_matrix(W, b, gamma, beta, running_mean, running_var, eps=1e-5):
    scale = np.diag((running_var + eps) ** -0.5) @ np.diag(gamma)
    return (W @ scale).tolist(), (b @ scale + beta - running_mean @ scale).tolist()


def fold_looping_in_float32(W, b, gamma, beta, running_mean, running_var, eps=1e-5):
    W2, b2 = np.zeros(W.shape, np.float32), np.zeros(b.shape, np.float32)
    for j in range(len(b)):
        scale = gamma[j] / (running_var[j] + eps) ** 0.5
        W2[:, j] = W[:, j] * scale
        b2[j] = (b[j] - running_mean[j]) * scale + beta[j]
    return W2, b2


def pair(forward, backward, names):
    return dict(zip(names, (forward, backward), strict=True))


RIGHT = {
    "batchnorm_forward": {id: forward for id, (forward, _) in BATCH_PAIRS.items()},
    "batchnorm_backward": {
        id: pair(*both, ("batchnorm_forward", "batchnorm_backward")) for id, both in BATCH_PAIRS.items()
    },
    "batchnorm_backward_alt": {
        id: pair(*both, ("batchnorm_forward", "batchnorm_backward_alt")) for id, both in BATCH_PAIRS.items()
    },
    "spatial_batchnorm_forward": {
        **{id: forward for id, (forward, _) in SPATIAL_PAIRS.items()},
        "of-four-axes": spatial_forward_of_four_axes,
    },
    "spatial_batchnorm_backward": {
        id: pair(*both, ("spatial_batchnorm_forward", "spatial_batchnorm_backward"))
        for id, both in SPATIAL_PAIRS.items()
    },
    "fold_batchnorm": {
        "by-formula": fold_by_formula,
        "by-probing": fold_by_probing,
        "by-a-matrix": fold_by_a_matrix,
        "looping-in-float32": fold_looping_in_float32,
    },
}

# --- batchnorm_forward, wrong: each deviates from `forward_plain` in one thing ------------------------------------------


def with_params(change):
    """`forward_plain`, given a changed copy of the dict; what it stores is stored."""

    def forward(x, gamma, beta, bn_param):
        given = {**bn_param, **change(x, bn_param)}
        out, cache = forward_plain(x, gamma, beta, given)
        bn_param.update(running_mean=given["running_mean"], running_var=given["running_var"])
        return out, cache

    return forward


def storing(change):
    """`forward_plain`, whose stored statistics are tampered with in training: change(x, before, after) -> entries."""

    def forward(x, gamma, beta, bn_param):
        before = dict(bn_param)
        out, cache = forward_plain(x, gamma, beta, bn_param)
        if bn_param["mode"] == "train":
            bn_param.update(change(x, before, bn_param))
        return out, cache

    return forward


def at_test_time(output):
    """`forward_plain` in training, output(x, gamma, beta, mean, var, eps) at test time."""

    def forward(x, gamma, beta, bn_param):
        out, cache = forward_plain(x, gamma, beta, bn_param)
        if bn_param["mode"] == "test":
            mean, var = bn_param["running_mean"], bn_param["running_var"]
            out = output(x, gamma, beta, mean, var, bn_param.get("eps", 1e-5))
        return out, cache

    return forward


def in_training(output):
    """`forward_plain` at test time, output(x, gamma, beta, eps) in training."""

    def forward(x, gamma, beta, bn_param):
        out, cache = forward_plain(x, gamma, beta, bn_param)
        if bn_param["mode"] == "train":
            out = output(x, gamma, beta, bn_param.get("eps", 1e-5))
        return out, cache

    return forward


def by_running_statistics_from_the_second_step(x, gamma, beta, bn_param):
    second = "running_mean" in bn_param
    out, cache = forward_plain(x, gamma, beta, bn_param)
    if second and bn_param["mode"] == "train":
        std = np.sqrt(bn_param["running_var"] + bn_param.get("eps", 1e-5))
        out = gamma * (x - bn_param["running_mean"]) / std + beta
    return out, cache


def eps_taken_out_of_the_dict(x, gamma, beta, bn_param):
    out, cache = forward_plain(x, gamma, beta, bn_param)
    bn_param.pop("eps", None)
    return out, cache


def momentum_taken_out_of_the_dict(x, gamma, beta, bn_param):
    out, cache = forward_plain(x, gamma, beta, bn_param)
    bn_param.pop("momentum", None)
    return out, cache


def centring_in_place(x, gamma, beta, bn_param):
    out, cache = forward_plain(x.copy(), gamma, beta, bn_param)
    if bn_param["mode"] == "train":
        x -= x.mean(axis=0)
    return out, cache


def centring_in_place_at_test_time(x, gamma, beta, bn_param):
    out, cache = forward_plain(x.copy(), gamma, beta, bn_param)
    if bn_param["mode"] == "test":
        x -= bn_param["running_mean"]
    return out, cache


def beta_added_in_place(x, gamma, beta, bn_param):
    out, cache = forward_plain(x, gamma, beta.copy(), bn_param)
    beta += x.mean(axis=0)
    return out, cache


def statistics_in_a_global(store):
    def forward(x, gamma, beta, bn_param):
        given = {**bn_param, **store}
        out, cache = forward_plain(x, gamma, beta, given)
        store.update(running_mean=given["running_mean"], running_var=given["running_var"])
        return out, cache

    return forward


def stored_only_where_they_are(x, gamma, beta, bn_param):
    given = dict(bn_param)
    out, cache = forward_plain(x, gamma, beta, given)
    for name in ("running_mean", "running_var"):
        if name in bn_param:
            bn_param[name] = given[name]
    return out, cache


def square_only(x, gamma, beta, bn_param):
    """gamma and beta meet the rows: for N == D nobody sees an error."""
    out, cache = forward_plain(x, np.ones(x.shape[1]), np.zeros(x.shape[1]), bn_param)
    return np.resize(gamma, len(x))[:, None] * out + np.resize(beta, len(x))[:, None], cache


def one_number_an_example(x, gamma, beta, bn_param):
    out, cache = forward_plain(x, gamma, beta, bn_param)
    return out.mean(axis=1, keepdims=True), cache


def deviation(x):
    return np.abs(x - x.mean(axis=0)).mean(axis=0)


def old(before, name):
    return before.get(name, 0.0)


def momentum_of(before):
    return before.get("momentum", 0.9)


FORWARD_WRONG = {
    "gamma-and-beta-swapped": lambda x, gamma, beta, p: forward_plain(x, beta, gamma, p),
    "beta-subtracted": lambda x, gamma, beta, p: forward_plain(x, gamma, -beta, p),
    "divided-by-gamma": lambda x, gamma, beta, p: forward_plain(x, 1 / gamma, beta, p),
    "scaled-twice": lambda x, gamma, beta, p: forward_plain(x, gamma * gamma, beta, p),
    "its-input": lambda x, gamma, beta, p: (x, forward_plain(x, gamma, beta, p)[1]),
    "a-view-of-its-input": lambda x, gamma, beta, p: (x[:], forward_plain(x, gamma, beta, p)[1]),
    "right-only-for-square-x": square_only,
    "one-number-an-example": one_number_an_example,
    "by-the-median": in_training(lambda x, g, b, eps: g * (x - np.median(x, 0)) / np.sqrt(x.var(0) + eps) + b),
    "by-the-mean-deviation": in_training(
        lambda x, g, b, eps: g * (x - x.mean(0)) / np.sqrt(deviation(x) ** 2 + eps) + b
    ),
    "variance-about-zero": in_training(lambda x, g, b, eps: g * (x - x.mean(0)) / np.sqrt((x**2).mean(0) + eps) + b),
    "shifted-before-it-is-scaled": in_training(
        lambda x, g, b, eps: g * ((x - x.mean(0)) / np.sqrt(x.var(0) + eps) + b)
    ),
    "eps-squared": in_training(lambda x, g, b, eps: g * (x - x.mean(0)) / np.sqrt(x.var(0) + eps**2) + b),
    "eps-below-and-above": in_training(lambda x, g, b, eps: g * (x - x.mean(0) + eps) / np.sqrt(x.var(0) + eps) + b),
    "variance-kept-above-eps": in_training(
        lambda x, g, b, eps: g * (x - x.mean(0)) / np.sqrt(np.maximum(x.var(0), eps)) + b
    ),
    "another-default-eps": with_params(lambda x, p: {"eps": p.get("eps", 1e-8)}),
    "another-default-momentum": with_params(lambda x, p: {"momentum": p.get("momentum", 0.99)}),
    "momentum-squared": with_params(lambda x, p: {"momentum": p.get("momentum", 0.9) ** 2}),
    "eps-hard-coded-at-test-time": with_params(lambda x, p: {"eps": 1e-5} if p["mode"] == "test" else {}),
    "by-running-statistics-from-the-second-step": by_running_statistics_from_the_second_step,
    "eps-taken-out-of-the-dict": eps_taken_out_of_the_dict,
    "momentum-taken-out-of-the-dict": momentum_taken_out_of_the_dict,
    "centring-in-place": centring_in_place,
    "centring-in-place-at-test-time": centring_in_place_at_test_time,
    "beta-added-in-place": beta_added_in_place,
    "statistics-in-a-global": statistics_in_a_global({}),
    "stored-only-where-they-are": stored_only_where_they_are,
    "running-statistics-swapped": storing(
        lambda x, before, now: {"running_mean": now["running_var"], "running_var": now["running_mean"]}
    ),
    "running-mean-negated": storing(lambda x, before, now: {"running_mean": -now["running_mean"]}),
    "running-mean-of-the-squares": storing(
        lambda x, before, now: {
            "running_var": momentum_of(before) * old(before, "running_var") + (1 - momentum_of(before)) * (x**2).mean(0)
        }
    ),
    "running-variance-about-the-running-mean": storing(
        lambda x, before, now: {
            "running_var": momentum_of(before) * old(before, "running_var")
            + (1 - momentum_of(before)) * ((x - now["running_mean"]) ** 2).mean(0)
        }
    ),
    "running-mean-divided-by-N-minus-1": storing(
        lambda x, before, now: {
            "running_mean": momentum_of(before) * old(before, "running_mean")
            + (1 - momentum_of(before)) * x.sum(0) / (len(x) - 1)
        }
    ),
    "running-average-starts-at-one": storing(
        lambda x, before, now: (
            {} if "running_var" in before else {"running_var": now["running_var"] + momentum_of(before)}
        )
    ),
    "updated-twice": storing(
        lambda x, before, now: {
            "running_mean": momentum_of(before) * now["running_mean"] + (1 - momentum_of(before)) * x.mean(0)
        }
    ),
    "one-running-mean-for-all": storing(lambda x, before, now: {"running_mean": now["running_mean"].mean()}),
    "running-mean-as-a-list-of-texts": storing(
        lambda x, before, now: {"running_mean": [str(v) for v in now["running_mean"]]}
    ),
    "running-variance-beyond-all-floats": storing(lambda x, before, now: {"running_var": 2**4000}),
    "running-mean-and-batch-variance": at_test_time(
        lambda x, g, b, mean, var, eps: g * (x - mean) / np.sqrt(x.var(0) + eps) + b
    ),
    "batch-mean-and-running-variance": at_test_time(
        lambda x, g, b, mean, var, eps: g * (x - x.mean(0)) / np.sqrt(var + eps) + b
    ),
    "running-variance-for-a-standard-deviation": at_test_time(
        lambda x, g, b, mean, var, eps: g * (x - mean) / (var + eps) + b
    ),
    "nothing-done-at-test-time": at_test_time(lambda x, g, b, mean, var, eps: x),
    "beta-forgotten-at-test-time": at_test_time(lambda x, g, b, mean, var, eps: g * (x - mean) / np.sqrt(var + eps)),
    "wrong-sign-at-test-time": at_test_time(lambda x, g, b, mean, var, eps: g * (x + mean) / np.sqrt(var + eps) + b),
    "right-at-test-time-for-one-example-only": at_test_time(
        lambda x, g, b, mean, var, eps: np.repeat(g * (x[:1] - mean) / np.sqrt(var + eps) + b, len(x), axis=0)
    ),
}

# --- backward passes, wrong -----------------------------------------------------------------------------------------


def rows_of(x):
    return x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1])


def images_of(rows, like):
    n, c, h, w = like.shape
    return rows.reshape(n, h, w, c).transpose(0, 3, 1, 2)


def unscaled(rule):
    """A backward for the cache of `forward_plain` whose dx is rule(g, x_hat, var, eps, n)."""

    def backward(dout, cache):
        x, x_hat, _, var, gamma, eps = cache
        return rule(dout * gamma, x_hat, var, eps, len(x)), (dout * x_hat).sum(0), dout.sum(0)

    return backward


def also(change):
    """`backward_graph` with its results changed: change(dx, dgamma, dbeta, dout, cache)."""
    return lambda dout, cache: change(*backward_graph(dout, cache), dout, cache)


def closed(g, x_hat, n, std, a=1.0, b=1.0):
    return (g - a * g.sum(0) / n - b * x_hat * (g * x_hat).sum(0) / n) / std


def mean_gamma(dout, cache):
    x, x_hat, mean, var, gamma, eps = cache
    dx, _, _ = backward_graph(dout, (x, x_hat, mean, var, np.full_like(gamma, gamma.mean()), eps))
    return dx, (dout * x_hat).sum(0), dout.sum(0)


def scaling_dout_in_place(dout, cache):
    kept = dout.copy()
    dout *= cache[4]
    return backward_graph(kept, cache)


BACKWARD_WRONG = {
    "wrong-sign": also(lambda dx, dgamma, dbeta, dout, cache: (-dx, dgamma, dbeta)),
    "its-input": also(lambda dx, dgamma, dbeta, dout, cache: (dout, dgamma, dbeta)),
    "dx-of-another-layout": also(lambda dx, dgamma, dbeta, dout, cache: (dx.reshape(dx.shape[::-1]), dgamma, dbeta)),
    "dx-transposed": also(lambda dx, dgamma, dbeta, dout, cache: (dx.T, dgamma, dbeta)),
    "dx-backwards": also(lambda dx, dgamma, dbeta, dout, cache: (dx[::-1], dgamma, dbeta)),
    "dx-averaged-over-the-batch": also(lambda dx, dgamma, dbeta, dout, cache: (dx / len(dx), dgamma, dbeta)),
    "dx-summed-over-the-batch": also(lambda dx, dgamma, dbeta, dout, cache: (dx.sum(0, keepdims=True), dgamma, dbeta)),
    "dx-with-an-axis-more": also(lambda dx, dgamma, dbeta, dout, cache: (dx[None], dgamma, dbeta)),
    "dx-rounded": also(lambda dx, dgamma, dbeta, dout, cache: (np.round(dx, 2), dgamma, dbeta)),
    "one-entry-of-dx-missing": also(
        lambda dx, dgamma, dbeta, dout, cache: (
            np.where(np.arange(dx.size).reshape(dx.shape) == 3, 0, dx),
            dgamma,
            dbeta,
        )
    ),
    "half-the-variance-path": unscaled(lambda g, h, var, eps, n: closed(g, h, n, np.sqrt(var + eps), b=0.5)),
    "twice-the-variance-path": unscaled(lambda g, h, var, eps, n: closed(g, h, n, np.sqrt(var + eps), b=2)),
    "mean-path-with-the-wrong-sign": unscaled(lambda g, h, var, eps, n: closed(g, h, n, np.sqrt(var + eps), a=-1)),
    "eps-hard-coded": unscaled(lambda g, h, var, eps, n: closed(g, h, n, np.sqrt(var + 1e-5))),
    "eps-outside-the-root": unscaled(lambda g, h, var, eps, n: closed(g, h, n, np.sqrt(var) + eps)),
    "divided-by-N-minus-1": unscaled(lambda g, h, var, eps, n: closed(g, h, n - 1, np.sqrt(var + eps))),
    "divided-by-D": unscaled(lambda g, h, var, eps, n: closed(g, h, g.shape[1], np.sqrt(var + eps))),
    "divided-by-the-variance": unscaled(lambda g, h, var, eps, n: closed(g, h, n, var + eps)),
    "normalised-x-without-eps": unscaled(
        lambda g, h, var, eps, n: closed(g, h * np.sqrt((var + eps) / var), n, np.sqrt(var + eps))
    ),
    "gamma-averaged": mean_gamma,
    "gamma-squared": lambda dout, cache: (backward_graph(dout * cache[4], cache)[0], *backward_graph(dout, cache)[1:]),
    "dgamma-not-summed": also(lambda dx, dgamma, dbeta, dout, cache: (dx, dout * cache[1], dbeta)),
    "dgamma-of-the-absolute-values": also(
        lambda dx, dgamma, dbeta, dout, cache: (dx, np.abs(dout * cache[1]).sum(0), dbeta)
    ),
    "dgamma-weighed-by-gamma": also(lambda dx, dgamma, dbeta, dout, cache: (dx, dgamma * cache[4], dbeta)),
    "dgamma-summed-to-a-number": also(lambda dx, dgamma, dbeta, dout, cache: (dx, dgamma.sum(), dbeta)),
    "dgamma-is-none": also(lambda dx, dgamma, dbeta, dout, cache: (dx, None, dbeta)),
    "dbeta-not-summed": also(lambda dx, dgamma, dbeta, dout, cache: (dx, dgamma, dout)),
    "dbeta-weighed-by-gamma": also(lambda dx, dgamma, dbeta, dout, cache: (dx, dgamma, dbeta * cache[4])),
    "dbeta-negated": also(lambda dx, dgamma, dbeta, dout, cache: (dx, dgamma, -dbeta)),
    "dbeta-is-one": also(lambda dx, dgamma, dbeta, dout, cache: (dx, dgamma, np.ones_like(dbeta))),
    "scaling-dout-in-place": scaling_dout_in_place,
}

# --- spatial batch norm, wrong --------------------------------------------------------------------------------------


def lifted(forward):
    def spatial(x, gamma, beta, bn_param):
        out, cache = forward(rows_of(x), gamma, beta, bn_param)
        return images_of(out, x), cache

    return spatial


def lifted_back(backward):
    def spatial(dout, cache):
        dx, *others = backward(rows_of(dout), cache)
        return images_of(dx, dout), *others

    return spatial


def rows_and_columns_swapped(x, gamma, beta, bn_param):
    """Height and width change places on the way back: right for images of one colour, and for none that is square."""
    n, c, h, w = x.shape
    out, cache = forward_plain(rows_of(x), gamma, beta, bn_param)
    return out.reshape(n, w, h, c).transpose(0, 3, 2, 1), cache


def on_the_images_as_if_square(x, gamma, beta, bn_param):
    """Counts H * H pixels: right for square images."""
    n, c, h, w = x.shape
    out, cache = spatial_forward_calling(x, gamma, beta, bn_param)
    if bn_param["mode"] == "train":
        mean = x.sum(axis=(0, 2, 3), keepdims=True) / (n * h * h)
        var = ((x - mean) ** 2).sum(axis=(0, 2, 3), keepdims=True) / (n * h * h)
        std = np.sqrt(var + bn_param.get("eps", 1e-5))
        out = gamma[:, None, None] * (x - mean) / std + beta[:, None, None]
    return out, cache


def images_after_a_change(change):
    """`spatial_forward_calling` on a changed x: change(x) must keep the shape."""
    return lambda x, gamma, beta, bn_param: spatial_forward_calling(change(x), gamma, beta, bn_param)


def one_gamma_a_column(x, gamma, beta, bn_param):
    """gamma meets the last axis wherever it can."""
    out, cache = spatial_forward_calling(x, np.ones_like(gamma), np.zeros_like(beta), bn_param)
    w = x.shape[3]
    return np.resize(gamma, w) * out + np.resize(beta, w), cache


def of_the_first_image(x, gamma, beta, bn_param):
    out, cache = spatial_forward_calling(x, gamma, beta, bn_param)
    if bn_param["mode"] == "train":
        first = x[:1]
        mean, var = first.mean((0, 2, 3), keepdims=True), first.var((0, 2, 3), keepdims=True)
        out = gamma[:, None, None] * (x - mean) / np.sqrt(var + bn_param.get("eps", 1e-5)) + beta[:, None, None]
    return out, cache


def mean_of_the_images_variances(x, gamma, beta, bn_param):
    """The variance of the batch is more than the mean of its images' variances."""
    out, cache = spatial_forward_calling(x, gamma, beta, bn_param)
    if bn_param["mode"] == "train":
        mean = x.mean((0, 2, 3), keepdims=True)
        var = x.var((2, 3), keepdims=True).mean(0, keepdims=True)
        out = gamma[:, None, None] * (x - mean) / np.sqrt(var + bn_param.get("eps", 1e-5)) + beta[:, None, None]
    return out, cache


def counting(count):
    """A spatial backward that divides by count(dout) instead of N * H * W."""

    def backward(dout, cache):
        x, x_hat, _, var, gamma, eps = cache
        g = rows_of(dout) * gamma
        dx = closed(g, x_hat, count(dout), np.sqrt(var + eps))
        return images_of(dx, dout), (rows_of(dout) * x_hat).sum(0), rows_of(dout).sum(0)

    return backward


def spatial_scaling_dout_in_place(dout, cache):
    results = spatial_backward_calling(dout, cache)
    dout *= cache[4][:, None, None]
    return results


SPATIAL_BACKWARD_WRONG = {
    "scaling-dout-in-place": spatial_scaling_dout_in_place,
    "divided-by-N": counting(lambda dout: len(dout)),
    "divided-by-the-pixels": counting(lambda dout: dout.shape[2] * dout.shape[3]),
    "divided-by-an-example's-size": counting(lambda dout: dout[0].size),
    "divided-as-if-square": counting(lambda dout: len(dout) * dout.shape[3] ** 2),
    "dx-flat": lambda dout, cache: (rows_of(spatial_backward_calling(dout, cache)[0]), *spatial_backward_calling(dout, cache)[1:]),
    "dx-with-its-channels-last": lambda dout, cache: (
        spatial_backward_calling(dout, cache)[0].transpose(0, 2, 3, 1), *spatial_backward_calling(dout, cache)[1:]
    ),
    "rows-and-columns-turned-over": lambda dout, cache: (
        spatial_backward_calling(dout, cache)[0][:, :, ::-1, ::-1], *spatial_backward_calling(dout, cache)[1:]
    ),
    "images-and-rows-swapped": lambda dout, cache: (
        spatial_backward_calling(dout, cache)[0]
        .transpose(0, 2, 3, 1).reshape(dout.shape[2], len(dout), dout.shape[3], -1).transpose(2, 0, 1, 3).reshape(dout.shape),
        *spatial_backward_calling(dout, cache)[1:],
    ),
    "dgamma-for-each-image": lambda dout, cache: (
        spatial_backward_calling(dout, cache)[0],
        (dout * images_of(cache[1], dout)).sum((2, 3)),
        dout.sum((2, 3)),
    ),
    "dbeta-over-the-batch-only": lambda dout, cache: (*spatial_backward_calling(dout, cache)[:2], dout.sum(0)),
}  # fmt: skip

# --- fold_batchnorm, wrong ------------------------------------------------------------------------------------------


def folded(change):
    """`fold_by_formula` given other arguments: change(W, b, gamma, beta, mean, var, eps) -> all seven."""
    return lambda W, b, gamma, beta, mean, var, eps=1e-5: fold_by_formula(*change(W, b, gamma, beta, mean, var, eps))


def folding_in_place(W, b, gamma, beta, running_mean, running_var, eps=1e-5):
    scale = gamma / np.sqrt(running_var + eps)
    shift = (b - running_mean) * scale + beta
    W *= scale
    return W, shift


WRONG = {
    "batchnorm_forward": FORWARD_WRONG,
    "batchnorm_backward": {
        id: {"batchnorm_forward": forward_plain, "batchnorm_backward": wrong} for id, wrong in BACKWARD_WRONG.items()
    },
    "batchnorm_backward_alt": {
        id: {"batchnorm_forward": forward_plain, "batchnorm_backward_alt": BACKWARD_WRONG[id]}
        for id in ("wrong-sign", "half-the-variance-path", "divided-by-D", "divided-by-the-variance", "eps-hard-coded",
                   "gamma-averaged", "dgamma-not-summed", "dbeta-weighed-by-gamma", "scaling-dout-in-place")
    },
    "spatial_batchnorm_forward": {
        **{
            id: lifted(FORWARD_WRONG[id])
            for id in (
                "gamma-and-beta-swapped", "scaled-twice", "by-the-median", "variance-kept-above-eps", "another-default-eps",
                "another-default-momentum", "by-running-statistics-from-the-second-step", "running-statistics-swapped",
                "running-mean-and-batch-variance", "stored-only-where-they-are", "wrong-sign-at-test-time",
            )
        },
        "rows-and-columns-swapped": rows_and_columns_swapped,
        "counted-as-if-square": on_the_images_as_if_square,
        "images-transposed": images_after_a_change(lambda x: x.transpose(0, 1, 3, 2).reshape(x.shape)),
        "images-upside-down": images_after_a_change(lambda x: x[:, :, ::-1]),
        "channels-in-reverse-order": images_after_a_change(lambda x: x[:, ::-1]),
        "one-gamma-a-column": one_gamma_a_column,
        "of-the-first-image": of_the_first_image,
        "mean-of-the-images-variances": mean_of_the_images_variances,
        "channels-last": lambda x, gamma, beta, p: (
            spatial_forward_calling(x, gamma, beta, p)[0].transpose(0, 2, 3, 1), None
        ),
        "its-input": lambda x, gamma, beta, p: (x, spatial_forward_calling(x, gamma, beta, p)[1]),
    },
    "spatial_batchnorm_backward": {
        id: {"spatial_batchnorm_forward": spatial_forward_calling, "spatial_batchnorm_backward": wrong}
        for id, wrong in {
            **{
                id: lifted_back(BACKWARD_WRONG[id])
                for id in ("wrong-sign", "dx-backwards", "half-the-variance-path", "eps-hard-coded", "dgamma-not-summed",
                           "divided-by-N-minus-1", "divided-by-D", "dbeta-negated", "gamma-averaged")
            },
            **SPATIAL_BACKWARD_WRONG,
        }.items()
    },
    "fold_batchnorm": {
        "each-row-scaled": lambda W, b, gamma, beta, mean, var, eps=1e-5: (
            W * np.resize(gamma / np.sqrt(var + eps), len(W))[:, None], fold_by_formula(W, b, gamma, beta, mean, var, eps)[1]
        ),
        "transposed": lambda *layer: (fold_by_formula(*layer)[0].T, fold_by_formula(*layer)[1]),
        "gamma-and-beta-swapped": folded(lambda W, b, g, be, m, v, e: (W, b, be, g, m, v, e)),
        "mean-and-variance-swapped": folded(lambda W, b, g, be, m, v, e: (W, b, g, be, v, np.abs(m), e)),
        "mean-added": folded(lambda W, b, g, be, m, v, e: (W, b, g, be, -m, v, e)),
        "beta-subtracted": folded(lambda W, b, g, be, m, v, e: (W, b, g, -be, m, v, e)),
        "beta-scaled-too": folded(lambda W, b, g, be, m, v, e: (W, b + be, g, 0 * be, m, v, e)),
        "eps-squared": folded(lambda W, b, g, be, m, v, e: (W, b, g, be, m, v, e**2)),
        "multiplied-by-the-root": folded(lambda W, b, g, be, m, v, e: (W, b, g, be, m, 1 / (v + e), 0.0)),
        "another-default-eps": lambda W, b, g, be, m, v, eps=1e-3: fold_by_formula(W, b, g, be, m, v, eps),
        "weights-as-they-were": lambda W, b, *others: (W, fold_by_formula(W, b, *others)[1]),
        "bias-as-it-was": lambda W, b, *others: (fold_by_formula(W, b, *others)[0], b),
        "bias-for-each-weight": lambda *layer: (
            fold_by_formula(*layer)[0], np.tile(fold_by_formula(*layer)[1], (len(layer[0]), 1))
        ),
        "folding-in-place": folding_in_place,
    },
}  # fmt: skip

DEFECTS: dict[tuple[str, str], str] = {}
