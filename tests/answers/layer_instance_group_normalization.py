"""Answers to assignment 02, right and wrong."""

from __future__ import annotations

import warnings

import numpy as np

from answers.batch_normalization import backward_by_projection, forward_by_moments, forward_plain

# --- which axes, right ----------------------------------------------------------------------------------------------


def axes_by_cases(kind):
    if kind == "batch":
        return (0, 2, 3)
    if kind == "layer":
        return (1, 2, 3)
    if kind == "instance":
        return (2, 3)
    raise ValueError(kind)


def axes_from_the_end(kind):
    return {"batch": [-1, -2, 0], "layer": [-1, -2, -3], "instance": [-1, -2]}[kind]


def axes_as_an_array(kind):
    shared = {"batch": "N..HW", "layer": "CHW", "instance": "HW"}[kind]
    return np.array([axis for axis, letter in enumerate("NCHW") if letter in shared])


def count_by_lengths(kind, shape, G=None):
    if kind == "group":
        return shape[1] * shape[2] * shape[3] / G
    return np.prod([shape[axis] for axis in axes_by_cases(kind)])


def count_by_formulas(kind, shape, G=None):
    N, C, H, W = shape
    print(kind, shape)
    if kind == "batch":
        return N * H * W
    if kind == "layer":
        return C * H * W
    if kind == "instance":
        return H * W
    return C // G * H * W


def count_by_counting(kind, shape, G=None):
    """Fills an array with the number of each entry's mean and counts how often the first one occurs."""
    n, c, h, w = shape
    example, channel = np.indices(shape)[:2]
    which = {"batch": channel, "layer": example, "instance": example * c + channel}
    if kind == "group":
        which["group"] = example * G + channel // (c // G)
    return np.array([np.count_nonzero(which[kind] == 0)])


# --- layer norm, right ----------------------------------------------------------------------------------------------


def layer_forward_plain(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    mean = np.mean(x, axis=1, keepdims=True)
    var = np.var(x, axis=1, keepdims=True)
    x_hat = (x - mean) / np.sqrt(var + eps)
    return gamma * x_hat + beta, (x, x_hat, mean, var, gamma, eps)


def layer_backward_graph(dout, cache):
    x, x_hat, mean, var, gamma, eps = cache
    D = x.shape[1]
    dx_hat = dout * gamma
    dvar = np.sum(dx_hat * (x - mean), axis=1, keepdims=True) * -0.5 * (var + eps) ** -1.5
    dmean = -np.sum(dx_hat, axis=1, keepdims=True) / np.sqrt(var + eps)
    dx = dx_hat / np.sqrt(var + eps) + dvar * 2 * (x - mean) / D + dmean / D
    return dx, np.sum(dout * x_hat, axis=0), np.sum(dout, axis=0)


def layer_forward_of_the_transpose(x, gamma, beta, ln_param):
    """Batch norm of x.T, which leaves its mode and its running statistics in the caller's dict."""
    ln_param["mode"] = "train"
    out, cache = forward_by_moments(x.T, np.ones((x.shape[1], 1)), 0.0, ln_param)
    return out.T * gamma + beta, {**cache, "gamma": gamma[:, None]}


def layer_backward_of_the_transpose(dout, cache):
    dx, _, _ = backward_by_projection(dout.T, cache)
    return dx.T, np.sum(dout * cache["normed"].T, axis=0, keepdims=True), dout.sum(axis=0)


def layer_forward_looping(x, gamma, beta, ln_param):
    eps, out, cache = ln_param.get("eps", 1e-5), [], []
    for row in x:
        mean = sum(row) / len(row)
        var = sum(value * value for value in row - mean) / len(row)
        out.append(gamma * (row - mean) / (var + eps) ** 0.5 + beta)
        cache.append([(row - mean) / (var + eps) ** 0.5, (var + eps) ** 0.5, gamma])
    return out, cache


def layer_backward_looping(dout, cache):
    dx, dgamma, dbeta = [], 0.0, 0.0
    for upstream, (x_hat, std, gamma) in zip(dout, cache, strict=True):
        g = upstream * gamma
        dx.append((g - g.mean() - x_hat * np.mean(g * x_hat)) / std)
        dgamma = dgamma + upstream * x_hat
        dbeta = dbeta + upstream
    return dx, dgamma, dbeta


def layer_forward_in_float32(x, gamma, beta, ln_param):
    warnings.warn("narrow", stacklevel=1)
    out, cache = layer_forward_plain(x.astype(np.float32), np.float32(gamma), np.float32(beta), ln_param)
    return out, cache


def layer_backward_in_float32(dout, cache):
    return [part.astype(np.float32) for part in layer_backward_graph(np.float32(dout), cache)]


LAYER_PAIRS = {
    "plain": (layer_forward_plain, layer_backward_graph),
    "of-the-transpose": (layer_forward_of_the_transpose, layer_backward_of_the_transpose),
    "looping": (layer_forward_looping, layer_backward_looping),
    "in-float32": (layer_forward_in_float32, layer_backward_in_float32),
}

# --- instance norm, right -------------------------------------------------------------------------------------------


def instance_forward_plain(x, gamma, beta, in_param):
    mean, var = x.mean(axis=(2, 3), keepdims=True), x.var(axis=(2, 3), keepdims=True)
    std = np.sqrt(var + in_param.get("eps", 1e-5))
    x_hat = (x - mean) / std
    return gamma[None, :, None, None] * x_hat + beta[None, :, None, None], (x_hat, std, gamma)


def instance_backward_plain(dout, cache):
    x_hat, std, gamma = cache
    g = dout * gamma[None, :, None, None]
    dx = (g - g.mean((2, 3), keepdims=True) - x_hat * (g * x_hat).mean((2, 3), keepdims=True)) / std
    return dx, (dout * x_hat).sum((0, 2, 3)), dout.sum((0, 2, 3))


def instance_forward_by_rows(x, gamma, beta, in_param):
    """Layer norm of the planes, (N*C, H*W)."""
    n, c, h, w = x.shape
    ones = np.ones(h * w)
    x_hat, cache = layer_forward_plain(x.reshape(n * c, h * w), ones, 0 * ones, in_param)
    out = x_hat * np.tile(gamma, n)[:, None] + np.tile(beta, n)[:, None]
    return out.reshape(x.shape), {"planes": cache, "x_hat": x_hat.reshape(x.shape), "gamma": gamma}


def instance_backward_by_rows(dout, cache):
    n, c, h, w = dout.shape
    g = (dout * cache["gamma"].reshape(1, c, 1, 1)).reshape(n * c, h * w)
    dx, _, _ = layer_backward_graph(g, cache["planes"])
    dgamma = np.einsum("nchw,nchw->c", dout, cache["x_hat"]).reshape(1, c, 1, 1)
    return dx.reshape(dout.shape), dgamma, np.einsum("nchw->c", dout)[None]


def instance_forward_looping(x, gamma, beta, in_param):
    out, cache = np.zeros_like(x), []
    for i, image in enumerate(x):
        for j, plane in enumerate(image):
            mean = plane.mean()
            std = np.sqrt((plane**2).mean() - mean**2 + in_param.get("eps", 1e-5))
            out[i, j] = gamma[j] * (plane - mean) / std + beta[j]
            cache.append([i, j, (plane - mean) / std, std, gamma[j]])
    return out, cache


def instance_backward_looping(dout, cache):
    dx, dgamma = np.zeros_like(dout), np.zeros(dout.shape[1])
    for i, j, x_hat, std, gamma in cache:
        g = gamma * dout[i, j]
        dx[i, j] = (g - g.mean() - x_hat * (g * x_hat).mean()) / std
        dgamma[j] += (dout[i, j] * x_hat).sum()
    return dx, dgamma, dout.sum(axis=0).sum(axis=(1, 2))


INSTANCE_PAIRS = {
    "plain": (instance_forward_plain, instance_backward_plain),
    "by-rows": (instance_forward_by_rows, instance_backward_by_rows),
    "looping": (instance_forward_looping, instance_backward_looping),
}

# --- group norm, right ----------------------------------------------------------------------------------------------


def group_forward_for_four_axes(x, gamma, beta, G, gn_param):
    """As in the public course: gamma and beta must come as (1, C, 1, 1)."""
    N, C, H, W = x.shape
    eps = gn_param.get("eps", 1e-5)
    grouped = x.reshape(N * G, C // G * H * W)
    mean, var = grouped.mean(axis=1, keepdims=True), grouped.var(axis=1, keepdims=True)
    x_hat = ((grouped - mean) / np.sqrt(var + eps)).reshape(N, C, H, W)
    if gamma.shape != (1, C, 1, 1):
        raise ValueError("gamma should have the shape (1, C, 1, 1)")
    return x_hat * gamma + beta, (G, x_hat, mean, var, gamma, eps)


def group_backward_for_four_axes(dout, cache):
    G, x_hat, mean, var, gamma, eps = cache
    N, C, H, W = dout.shape
    dgamma = np.sum(dout * x_hat, axis=(0, 2, 3), keepdims=True)
    dbeta = np.sum(dout, axis=(0, 2, 3), keepdims=True)
    g, h = (dout * gamma).reshape(N * G, -1), x_hat.reshape(N * G, -1)
    m = g.shape[1]
    dx = (m * g - g.sum(1, keepdims=True) - h * (g * h).sum(1, keepdims=True)) / (m * np.sqrt(var + eps))
    return dx.reshape(dout.shape), dgamma, dbeta


def group_forward_for_one_axis(x, gamma, beta, G, gn_param):
    """gamma and beta must come as (C,); five axes inside."""
    n, c, h, w = x.shape
    parts = x.reshape(n, G, c // G, h, w)
    mean = parts.mean((2, 3, 4), keepdims=True)
    var = (parts**2).mean((2, 3, 4), keepdims=True) - mean**2
    std = np.sqrt(var + gn_param.setdefault("eps", 1e-5))
    x_hat = ((parts - mean) / std).reshape(x.shape)
    (channels,) = gamma.shape
    return x_hat * gamma.reshape(channels, 1, 1) + beta[:, None, None], {"x_hat": x_hat, "std": std, "gamma": gamma}


def group_backward_for_one_axis(dout, cache):
    x_hat, std, gamma = cache["x_hat"], cache["std"], cache["gamma"]
    n, G = std.shape[:2]
    g = (dout * gamma[:, None, None]).reshape(n, G, -1, *dout.shape[2:])
    h = x_hat.reshape(g.shape)
    dx = (g - g.mean((2, 3, 4), keepdims=True) - h * (g * h).mean((2, 3, 4), keepdims=True)) / std
    return [dx.reshape(dout.shape), np.einsum("nchw,nchw->c", dout, x_hat), dout.sum((0, 2, 3))]


def group_forward_looping(x, gamma, beta, G, gn_param):
    """Group after group; takes both shapes of gamma."""
    size = x.shape[1] // G
    out, cache = np.empty(x.shape), []
    for k in range(G):
        part = slice(k * size, (k + 1) * size)
        shape, ones = (len(x), -1), np.ones(size * x.shape[2] * x.shape[3])
        x_hat, inner = layer_forward_plain(x[:, part].reshape(shape), ones, 0 * ones, gn_param)
        out[:, part] = x_hat.reshape(x[:, part].shape)
        cache.append((part, inner))
    x_hat = out.copy()
    out *= gamma.reshape(1, -1, 1, 1)
    out += beta.reshape(1, -1, 1, 1)
    return out, [cache, x_hat, gamma]


def group_backward_looping(dout, cache):
    groups, x_hat, gamma = cache
    dx, g = np.empty(dout.shape), dout * gamma.reshape(1, -1, 1, 1)
    for part, inner in groups:
        dx[:, part] = layer_backward_graph(g[:, part].reshape(len(g), -1), inner)[0].reshape(g[:, part].shape)
    return dx, (dout * x_hat).sum((0, 2, 3), keepdims=True), dout.sum((0, 2, 3))


GROUP_PAIRS = {
    "for-four-axes": (group_forward_for_four_axes, group_backward_for_four_axes),
    "for-one-axis": (group_forward_for_one_axis, group_backward_for_one_axis),
    "looping": (group_forward_looping, group_backward_looping),
}

# --- in a recurrent net, right --------------------------------------------------------------------------------------


def step_plain(x_t, h_prev, Wx, Wh, b, gamma, beta, eps=1e-5):
    a = x_t.dot(Wx) + h_prev.dot(Wh) + b
    a_hat = (a - a.mean(axis=1, keepdims=True)) / np.sqrt(a.var(axis=1, keepdims=True) + eps)
    return np.tanh(gamma * a_hat + beta)


def step_calling(x_t, h_prev, Wx, Wh, b, gamma, beta, eps=1e-5):
    a = np.hstack([x_t, h_prev]) @ np.vstack([Wx, Wh]) + b
    return np.tanh(layer_forward_of_the_transpose(a, gamma, beta, {"eps": eps})[0])


def step_looping(x_t, h_prev, Wx, Wh, b, gamma, beta, eps=1e-5):
    rows = []
    for x, h in zip(x_t, h_prev, strict=True):
        a = [sum(x * Wx[:, j]) + sum(h * Wh[:, j]) + b[j] for j in range(len(b))]
        mean = sum(a) / len(a)
        std = (sum(value**2 for value in a) / len(a) - mean**2 + eps) ** 0.5
        z = gamma * (np.array(a) - mean) / std + beta
        rows.append(((np.exp(2 * z) - 1) / (np.exp(2 * z) + 1)).tolist())
    return rows


def step_in_float32(*arguments):
    *arrays, eps = arguments if len(arguments) == 8 else (*arguments, 1e-5)
    return step_plain(*(np.float32(array) for array in arrays), np.float32(eps))


def pairs(table, names):
    return {id: dict(zip(names, both, strict=True)) for id, both in table.items()}


RIGHT = {
    "normalization_axes": {
        "by-cases": axes_by_cases,
        "from-the-end": axes_from_the_end,
        "as-an-array": axes_as_an_array,
    },
    "statistics_count": {
        "by-lengths": count_by_lengths,
        "by-formulas": count_by_formulas,
        "by-counting": count_by_counting,
    },
    "layernorm_forward": {id: forward for id, (forward, _) in LAYER_PAIRS.items()},
    "layernorm_backward": pairs(LAYER_PAIRS, ("layernorm_forward", "layernorm_backward")),
    "instancenorm_forward": {id: forward for id, (forward, _) in INSTANCE_PAIRS.items()},
    "instancenorm_backward": pairs(INSTANCE_PAIRS, ("instancenorm_forward", "instancenorm_backward")),
    "spatial_groupnorm_forward": {id: forward for id, (forward, _) in GROUP_PAIRS.items()},
    "spatial_groupnorm_backward": pairs(GROUP_PAIRS, ("spatial_groupnorm_forward", "spatial_groupnorm_backward")),
    "rnn_layernorm_step": {
        "plain": step_plain,
        "calling": step_calling,
        "looping": step_looping,
        "in-float32": step_in_float32,
    },
}

# --- which axes, wrong ----------------------------------------------------------------------------------------------

AXES = {kind: axes_by_cases(kind) for kind in ("batch", "layer", "instance")}

AXES_WRONG = {
    "all-of-them": lambda kind: (0, 1, 2, 3),
    "none-of-them": lambda kind: (),
    "the-last": lambda kind: 3,
    "batch-norm-for-all": lambda kind: (0, 2, 3),
    "instance-over-the-batch": lambda kind: (0, 2, 3) if kind == "instance" else AXES[kind],
    "layer-over-one-row": lambda kind: (1, 3) if kind == "layer" else AXES[kind],
    "channels-last": lambda kind: {"batch": (0, 1, 2), "layer": (1, 2, 3), "instance": (1, 2)}[kind],
    "counted-from-one": lambda kind: tuple(axis + 1 for axis in AXES[kind]),
    "twice-the-same": lambda kind: (*AXES[kind], AXES[kind][0]),
    "one-too-many": lambda kind: (*AXES[kind], 5),
    "axes-that-do-not-exist": lambda kind: tuple(axis + 4 for axis in AXES[kind]),
    "halves": lambda kind: tuple(axis + 0.5 for axis in AXES[kind]),
    "as-one-text": lambda kind: "".join(map(str, AXES[kind])),
    "as-texts": lambda kind: tuple(map(str, AXES[kind])),
    "as-a-dict": lambda kind: {str(axis): True for axis in AXES[kind]},
    "as-letters": lambda kind: tuple("NCHW"[axis] for axis in AXES[kind]),
    "as-a-matrix": lambda kind: np.array([AXES[kind]]),
    "as-a-tuple-of-arrays": lambda kind: (np.array(AXES[kind]), np.array([0, 1])),
    "infinite-axes": lambda kind: [np.inf, -np.inf],
    "as-a-mask": lambda kind: [axis in AXES[kind] for axis in range(4)],
}


def counted(change):
    return lambda kind, shape, G=None: change(kind, count_by_formulas(kind, shape, G), *shape, G)


COUNT_WRONG = {
    "of-the-whole-array": counted(lambda kind, right, n, c, h, w, G: n * c * h * w),
    "one-more": counted(lambda kind, right, n, c, h, w, G: right + 1),
    "one-less": counted(lambda kind, right, n, c, h, w, G: right - 1),
    "square-images": counted(lambda kind, right, n, c, h, w, G: right // w * h),
    "batch-without-pixels": counted(lambda kind, right, n, c, h, w, G: n if kind == "batch" else right),
    "layer-without-pixels": counted(lambda kind, right, n, c, h, w, G: c if kind == "layer" else right),
    "instance-over-the-batch": counted(lambda kind, right, n, c, h, w, G: n * h * w if kind == "instance" else right),
    "layer-over-the-batch": counted(lambda kind, right, n, c, h, w, G: n * right if kind == "layer" else right),
    "G-ignored": counted(lambda kind, right, n, c, h, w, G: c * h * w if kind == "group" else right),
    "G-multiplied": counted(lambda kind, right, n, c, h, w, G: c * G * h * w if kind == "group" else right),
    "G-divides-the-batch": counted(lambda kind, right, n, c, h, w, G: n // G * h * w if kind == "group" else right),
    "as-its-factors": lambda kind, shape, G=None: tuple(shape[axis] for axis in AXES.get(kind, (1, 2, 3))),
    "by-the-default-G": lambda kind, shape, G=None: count_by_formulas(kind, shape, 2),
}

# --- norms, wrong: one builder for all three, each wrong in one thing -----------------------------------------------------


def over_planes(x):
    """(N, D) -> (N, 1, D); (N, C, H, W) -> (N, C, H * W): one row is what one mean runs over."""
    return x.reshape(len(x), 1, -1) if x.ndim == 2 else x.reshape(*x.shape[:2], -1)


def normed(x, gamma, beta, rows, eps, normalise):
    r = x.reshape(rows)
    out = normalise(r, r.mean(-1, keepdims=True), r.var(-1, keepdims=True), eps).reshape(x.shape)
    if x.ndim == 4:
        gamma, beta = gamma.reshape(1, -1, 1, 1), beta.reshape(1, -1, 1, 1)
    return out * gamma + beta


def right_rule(r, mean, var, eps):
    return (r - mean) / np.sqrt(var + eps)


RULES = {
    "by-the-median": lambda r, mean, var, eps: (r - np.median(r, -1, keepdims=True)) / np.sqrt(var + eps),
    "variance-about-zero": lambda r, mean, var, eps: (r - mean) / np.sqrt(var + mean**2 + eps),
    "mean-added": lambda r, mean, var, eps: (r + mean) / np.sqrt(var + eps),
    "by-the-range": lambda r, mean, var, eps: (r - mean) / (r.max(-1, keepdims=True) - r.min(-1, keepdims=True) + eps),
    "variance-kept-above-eps": lambda r, mean, var, eps: (r - mean) / np.sqrt(np.maximum(var, eps)),
    "eps-squared": lambda r, mean, var, eps: (r - mean) / np.sqrt(var + eps**2),
    "divided-by-the-length": lambda r, mean, var, eps: (r - mean) / np.sqrt(r.shape[-1] * (var + eps)),
    "centred-only": lambda r, mean, var, eps: r - mean,
}


def forwards_wrong(rows):
    """Wrong forwards (x, gamma, beta, [G,] param) of a norm whose means run over the rows of x.reshape(rows(x, *G))."""

    def forward(change):
        """change(x, gamma, beta, eps) -> (x, gamma, beta, eps), and then all is right."""

        def wrong(x, gamma, beta, *rest):
            *G, param = rest
            x_, gamma_, beta_, eps = change(x, gamma, beta, param.get("eps", 1e-5))
            return normed(x_, gamma_, beta_, rows(x_, *G), eps, right_rule), None

        return wrong

    def by_rule(rule):
        def wrong(x, gamma, beta, *rest):
            *G, param = rest
            return normed(x, gamma, beta, rows(x, *G), param.get("eps", 1e-5), rule), None

        return wrong

    def another_default(x, gamma, beta, *rest):
        *G, param = rest
        return normed(x, gamma, beta, rows(x, *G), param.get("eps", 1e-8), right_rule), None

    def in_place(x, gamma, beta, *rest):
        *G, param = rest
        x[...] = normed(x, gamma, beta, rows(x, *G), param.get("eps", 1e-5), right_rule)
        return x, None

    def running_statistics_at_test_time(x, gamma, beta, *rest):
        *G, param = rest
        if param.get("mode", "train") == "test":
            mean, var = param.get("running_mean", 0.0), param.get("running_var", 1.0)
            if x.ndim == 4 and np.ndim(mean) == 1:
                mean, var = mean.reshape(1, -1, 1, 1), var.reshape(1, -1, 1, 1)
            spread = (lambda a: a.reshape(1, -1, 1, 1)) if x.ndim == 4 else (lambda a: a)
            return spread(gamma) * (x - mean) / np.sqrt(var + param.get("eps", 1e-5)) + spread(beta), None
        return normed(x, gamma, beta, rows(x, *G), param.get("eps", 1e-5), right_rule), None

    return {
        **{id: by_rule(rule) for id, rule in RULES.items()},
        "gamma-and-beta-swapped": forward(lambda x, g, b, eps: (x, b, g, eps)),
        "beta-subtracted": forward(lambda x, g, b, eps: (x, g, -b, eps)),
        "scaled-twice": forward(lambda x, g, b, eps: (x, g * g, b, eps)),
        "gamma-backwards": forward(lambda x, g, b, eps: (x, g.reshape(-1)[::-1], b, eps)),
        "examples-mixed": forward(lambda x, g, b, eps: (x[::-1], g, b, eps)),
        "first-example-for-all": forward(lambda x, g, b, eps: (np.repeat(x[:1], len(x), axis=0), g, b, eps)),
        "its-input": lambda x, *others: (x, None),
        "another-default-eps": another_default,
        "in-place": in_place,
        "running-statistics-at-test-time": running_statistics_at_test_time,
    }


def layer_rows(x):
    return (len(x), -1)


def instance_rows(x):
    return (len(x) * x.shape[1], -1)


def group_rows(x, G):
    return (len(x) * G, -1)


def gamma_for_the_rows(x, gamma, beta, ln_param):
    """gamma meets the examples: for N == D nobody sees an error."""
    out, _ = layer_forward_plain(x, np.ones(x.shape[1]), np.zeros(x.shape[1]), ln_param)
    return np.resize(gamma, len(x))[:, None] * out + np.resize(beta, len(x))[:, None], None


def of_the_batch_when_it_is_one(x, gamma, beta, ln_param):
    if len(x) > 1:
        return layer_forward_plain(x, gamma, beta, ln_param)
    return forward_plain(x, gamma, beta, {**ln_param, "mode": "train"})


def neighbours_in_pairs(x, gamma, beta, G, gn_param):
    """Groups of two channels, whatever G says."""
    return normed(x, gamma, beta, (len(x) * x.shape[1] // 2, -1), gn_param.get("eps", 1e-5), right_rule), None


def groups_of_pixels(x, gamma, beta, G, gn_param):
    """Groups the channels of the transposed image: rows mix channels."""
    moved = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    r = moved.reshape(len(x) * G, -1)
    out = right_rule(r, r.mean(1, keepdims=True), r.var(1, keepdims=True), gn_param.get("eps", 1e-5))
    out = out.reshape(moved.shape).transpose(0, 3, 1, 2)
    return out * gamma.reshape(1, -1, 1, 1) + beta.reshape(1, -1, 1, 1), None


def channels_left_over(x, gamma, beta, G, gn_param):
    """The last group is forgotten."""
    out = normed(x, gamma, beta, group_rows(x, G), gn_param.get("eps", 1e-5), right_rule)
    size = x.shape[1] // G
    if G > 1:
        out[:, -size:] = x[:, -size:]
    return out, None


def gamma_for_each_group(x, gamma, beta, G, gn_param):
    """One gamma for a whole group: right for G = C and where gamma is constant."""
    size = x.shape[1] // G
    return normed(x, np.repeat(gamma.reshape(-1)[::size], size), np.repeat(beta.reshape(-1)[::size], size),
                  group_rows(x, G), gn_param.get("eps", 1e-5), right_rule), None  # fmt: skip


def as_many_groups_as_images(dout, cache):
    """The number of groups taken for that of the images: right where both are the same."""
    x_hat, std, gamma, _ = cache
    n, c, h, w = dout.shape
    g, normed_x, s = (np.broadcast_to(a, dout.shape).reshape(n, n, c // n, h, w) for a in (dout * gamma, x_hat, std))
    mean, stretch = (a.mean(axis=(2, 3, 4), keepdims=True) for a in (g, g * normed_x))
    dx = ((g - mean - normed_x * stretch) / s).reshape(dout.shape)
    return dx, (dout * x_hat).sum((0, 2, 3)), dout.sum((0, 2, 3))


def backwards_wrong(rows, axes):
    """Wrong backwards for a cache (x_hat, std, gamma, *G), all broadcastable to dout; parameters are summed over ``axes``."""

    def backward(dx_of=None, dgamma_of=None, dbeta_of=None):
        def wrong(dout, cache):
            x_hat, std, gamma, *G = cache
            shape = rows(dout, *G)
            g, h, s = (np.broadcast_to(a, dout.shape).reshape(shape) for a in (dout * gamma, x_hat, std))
            dx = (dx_of or (lambda g, h, s, mean, dout: (g - mean(g) - h * mean(g * h)) / s))(
                g, h, s, lambda a: a.mean(1, keepdims=True), dout
            )
            dgamma, dbeta = (dout * x_hat).sum(axes), dout.sum(axes)
            return (
                dx.reshape(dout.shape),
                dgamma_of(dout, x_hat, gamma) if dgamma_of else dgamma,
                dbeta_of(dout, x_hat, gamma) if dbeta_of else dbeta,
            )

        return wrong

    def counted_otherwise(count):
        """Sums over the right elements, divided by a wrong number of them."""

        def dx_of(g, h, s, mean, dout):
            factor = g.shape[1] / count(dout)
            return (g - factor * mean(g) - factor * h * mean(g * h)) / s

        return backward(dx_of)

    def in_place(dout, cache):
        results = backward()(dout.copy(), cache)
        dout *= cache[2]
        return results

    def one_axis_more(dout, cache):
        dx, dgamma, dbeta = backward()(dout, cache)
        return dx[None], dgamma, dbeta

    found = {
        "wrong-sign": backward(lambda g, h, s, mean, dout: -(g - mean(g) - h * mean(g * h)) / s),
        "half-the-variance-path": backward(lambda g, h, s, mean, dout: (g - mean(g) - 0.5 * h * mean(g * h)) / s),
        "mean-path-with-the-wrong-sign": backward(lambda g, h, s, mean, dout: (g + mean(g) - h * mean(g * h)) / s),
        "variance-path-without-x": backward(lambda g, h, s, mean, dout: (g - mean(g) - mean(g * h)) / s),
        "divided-by-the-variance": backward(lambda g, h, s, mean, dout: (g - mean(g) - h * mean(g * h)) / s**2),
        "multiplied-by-the-deviation": backward(lambda g, h, s, mean, dout: (g - mean(g) - h * mean(g * h)) * s),
        "eps-hard-coded": backward(
            lambda g, h, s, mean, dout: (g - mean(g) - h * mean(g * h)) / np.sqrt(s**2 - 0.4 + 1e-5)
        ),
        "over-the-batch-too": backward(lambda g, h, s, mean, dout: (g - g.mean() - h * (g * h).mean()) / s),
        "dx-rounded": backward(lambda g, h, s, mean, dout: np.round((g - mean(g) - h * mean(g * h)) / s, 2)),
        "dx-is-dout": backward(lambda g, h, s, mean, dout: dout),
        "divided-by-one-less": counted_otherwise(lambda dout: dout[0].size - 1),
        "divided-by-the-whole": counted_otherwise(lambda dout: dout.size),
        "dgamma-not-summed": backward(dgamma_of=lambda dout, h, gamma: dout * h),
        "dgamma-weighed-by-gamma": backward(dgamma_of=lambda dout, h, gamma: (dout * h * gamma).sum(axes)),
        "dgamma-squared": backward(dgamma_of=lambda dout, h, gamma: (dout * h * h).sum(axes)),
        "dgamma-summed-to-a-number": backward(dgamma_of=lambda dout, h, gamma: (dout * h).sum()),
        "dgamma-is-none": backward(dgamma_of=lambda dout, h, gamma: None),
        "dbeta-weighed-by-gamma": backward(dbeta_of=lambda dout, h, gamma: (dout * gamma).sum(axes)),
        "dbeta-negated": backward(dbeta_of=lambda dout, h, gamma: -dout.sum(axes)),
        "dbeta-of-the-first-example": backward(dbeta_of=lambda dout, h, gamma: dout[:1].sum(axes)),
        "scaling-dout-in-place": in_place,
        "dx-with-an-axis-more": one_axis_more,
    }
    if axes != 0:
        found |= {
            "dgamma-for-each-image": backward(dgamma_of=lambda dout, h, gamma: (dout * h).sum((2, 3))),
            "dbeta-for-each-pixel": backward(dbeta_of=lambda dout, h, gamma: dout.sum((0, 1))),
            "divided-by-N": counted_otherwise(len),
            "divided-as-in-batch-norm": counted_otherwise(lambda dout: len(dout) * dout.shape[2] * dout.shape[3]),
            "divided-by-N-times-C": counted_otherwise(lambda dout: len(dout) * dout.shape[1]),
        }
    return found


def remembering(rows):
    """A right forward whose cache is (x_hat, std, gamma, *G), spread to the shape of x where need be."""

    def forward(x, gamma, beta, *rest):
        *G, param = rest
        r = x.reshape(rows(x, *G))
        std = np.sqrt(r.var(1, keepdims=True) + param.get("eps", 1e-5))
        x_hat = ((r - r.mean(1, keepdims=True)) / std).reshape(x.shape)
        std = np.broadcast_to(std, r.shape).reshape(x.shape)
        scale, shift = (gamma, beta) if x.ndim == 2 else (gamma.reshape(1, -1, 1, 1), beta.reshape(1, -1, 1, 1))
        return x_hat * scale + shift, (x_hat, std, scale, *G)

    return forward


def with_forward(prefix, rows, wrongs):
    return {id: {f"{prefix}_forward": remembering(rows), f"{prefix}_backward": wrong} for id, wrong in wrongs.items()}


# --- in a recurrent net, wrong --------------------------------------------------------------------------------------


def stepping(change):
    """`step_plain` given other arguments: change(x, h, Wx, Wh, b, gamma, beta, eps) -> all eight."""
    return lambda x, h, Wx, Wh, b, g, be, eps=1e-5: step_plain(*change(x, h, Wx, Wh, b, g, be, eps))


def statistics_of_the_first_step(memory):
    def step(x_t, h_prev, Wx, Wh, b, gamma, beta, eps=1e-5):
        a = x_t @ Wx + h_prev @ Wh + b
        mean, var = memory.setdefault(eps, (a.mean(1, keepdims=True), a.var(1, keepdims=True)))
        return np.tanh(gamma * (a - mean) / np.sqrt(var + eps) + beta)

    return step


def one_mean_for_all(x_t, h_prev, Wx, Wh, b, gamma, beta, eps=1e-5):
    a = x_t @ Wx + h_prev @ Wh + b
    return np.tanh(gamma * (a - a.mean()) / np.sqrt(a.var() + eps) + beta)


def logistic(x_t, h_prev, Wx, Wh, b, gamma, beta, eps=1e-5):
    return 1 / (1 + np.exp(-np.arctanh(step_plain(x_t, h_prev, Wx, Wh, b, gamma, beta, eps))))


def adding_to_the_state(x_t, h_prev, Wx, Wh, b, gamma, beta, eps=1e-5):
    h_t = step_plain(x_t, h_prev, Wx, Wh, b, gamma, beta, eps)
    h_prev += h_t
    return h_t


RNN_WRONG = {
    "state-forgotten": stepping(lambda x, h, Wx, Wh, b, g, be, e: (x, 0 * h, Wx, Wh, b, g, be, e)),
    "input-forgotten": stepping(lambda x, h, Wx, Wh, b, g, be, e: (0 * x, h, Wx, Wh, b, g, be, e)),
    "Wh-transposed": stepping(lambda x, h, Wx, Wh, b, g, be, e: (x, h, Wx, Wh.T, b, g, be, e)),
    "bias-subtracted": stepping(lambda x, h, Wx, Wh, b, g, be, e: (x, h, Wx, Wh, -b, g, be, e)),
    "gamma-and-beta-swapped": stepping(lambda x, h, Wx, Wh, b, g, be, e: (x, h, Wx, Wh, b, be, g, e)),
    "b-for-beta": stepping(lambda x, h, Wx, Wh, b, g, be, e: (x, h, Wx, Wh, be, g, b, e)),
    "state-squashed-again": stepping(lambda x, h, Wx, Wh, b, g, be, e: (x, np.tanh(h), Wx, Wh, b, g, be, e)),
    "squashed-twice": lambda *arguments: np.tanh(step_plain(*arguments)),
    "state-added": lambda *arguments: arguments[1] + step_plain(*arguments),
    "its-state": lambda *arguments: arguments[1],
    "another-default-eps": lambda x, h, Wx, Wh, b, g, be, eps=1e-8: step_plain(x, h, Wx, Wh, b, g, be, eps),
    "eps-squared": stepping(lambda x, h, Wx, Wh, b, g, be, e: (x, h, Wx, Wh, b, g, be, e**2)),
    "one-mean-for-all": one_mean_for_all,
    "statistics-of-the-first-step": statistics_of_the_first_step({}),
    "logistic": logistic,
    "adding-to-the-state": adding_to_the_state,
    "one-state-for-the-batch": lambda *arguments: step_plain(*arguments).mean(axis=0, keepdims=True),
}

WRONG = {
    "normalization_axes": AXES_WRONG,
    "statistics_count": COUNT_WRONG,
    "layernorm_forward": {
        **forwards_wrong(layer_rows),
        "gamma-for-the-rows": gamma_for_the_rows,
        "of-the-batch-when-it-is-one": of_the_batch_when_it_is_one,
    },
    "layernorm_backward": with_forward("layernorm", layer_rows, backwards_wrong(layer_rows, 0)),
    "instancenorm_forward": {
        **forwards_wrong(instance_rows),
        "rows-and-columns-swapped": lambda x, gamma, beta, in_param: (
            instance_forward_plain(x, gamma, beta, in_param)[0].swapaxes(2, 3).reshape(x.shape), None
        ),
        "channels-last": lambda x, gamma, beta, in_param: (
            instance_forward_plain(x, gamma, beta, in_param)[0].transpose(0, 2, 3, 1), None
        ),
    },
    "instancenorm_backward": with_forward("instancenorm", instance_rows, backwards_wrong(instance_rows, (0, 2, 3))),
    "spatial_groupnorm_forward": {
        **forwards_wrong(group_rows),
        "neighbours-in-pairs": neighbours_in_pairs,
        "groups-of-pixels": groups_of_pixels,
        "last-group-forgotten": channels_left_over,
        "gamma-for-each-group": gamma_for_each_group,
    },
    "spatial_groupnorm_backward": with_forward(
        "spatial_groupnorm",
        group_rows,
        {
            **backwards_wrong(group_rows, (0, 2, 3)),
            "as-many-groups-as-images": as_many_groups_as_images,
        },
    ),
    "rnn_layernorm_step": RNN_WRONG,
}  # fmt: skip

DEFECTS: dict[tuple[str, str], str] = {}
