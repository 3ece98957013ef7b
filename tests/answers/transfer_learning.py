"""Answers to assignment 09, right and wrong."""

from __future__ import annotations

import copy

import numpy as np

# --- right ----------------------------------------------------------------------------------------------------------


def number(name):
    return int(name[: name.index(".")])


def head_copying(params, num_classes, rng):
    new = copy.deepcopy(params)
    last = str(max({int(name.split(".")[0]) for name in params}))
    inputs = params[last + ".W"].shape[0]
    new[last + ".W"] = rng.normal(scale=inputs**-0.5, size=(inputs, num_classes))
    new[last + ".b"] = np.zeros(num_classes)
    return new


def head_looping(params, num_classes, rng):
    """One entry at a time, with another way to make normal numbers (Box & Muller 1958)."""
    last = sorted(params, key=number)[-1].split(".")[0]
    new = {}
    for name, value in params.items():
        layer, _, kind = name.partition(".")
        if layer != last:
            new[name] = value + 0.0
        elif kind == "b":
            new[name] = np.array([0.0] * num_classes)
        else:
            first, second = 1 - rng.random((len(value), num_classes)), rng.random((len(value), num_classes))
            new[name] = np.sqrt(-2 * np.log(first) / len(value)) * np.cos(2 * np.pi * second)
    return new


def head_by_legacy_seed(params, num_classes, rng):
    """Draws a seed from rng and the rest from that."""
    generator = np.random.RandomState(rng.integers(2**31))
    last = max(number(name) for name in params)
    new = {name: value.copy() for name, value in params.items()}
    inputs = params[f"{last}.W"].shape[0]
    new.update({f"{last}.W": generator.randn(inputs, num_classes) / np.sqrt(inputs), f"{last}.b": np.zeros(num_classes)})
    return new


def split_looping(params, trainable_layers):
    frozen, trainable = {}, {}
    for name, value in params.items():
        part = trainable if number(name) in list(trainable_layers) else frozen
        part[name] = value.copy()
    return frozen, trainable


def split_by_prefix(params, trainable_layers):
    prefixes = tuple(f"{layer}." for layer in trainable_layers)
    trainable = {name: value for name, value in params.items() if name.startswith(prefixes)} if prefixes else {}
    return {name: value for name, value in params.items() if name not in trainable}, trainable


def features_filling(forward_to, x, batch_size):
    out = None
    start = 0
    while start < len(x):
        part = forward_to(x[start : start + batch_size].copy())
        if out is None:
            out = np.empty((len(x), part[0].size))
        for k, row in enumerate(part):
            out[start + k] = row.ravel()
        start += batch_size
    return out


def features_evenly(forward_to, x, batch_size):
    """Batches of nearly equal size."""
    batches = np.array_split(x, -(-len(x) // batch_size))
    return np.vstack([forward_to(batch).reshape(len(batch), -1) for batch in batches])


def softmax(scores):
    e = np.exp(scores - scores.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def probe_descending(features, y, l2, num_classes=None):
    """Nesterov's accelerated descent at a rate that the features allow, until the gradient is small."""
    k = num_classes or y.max() + 1
    n, d = features.shape
    x = np.hstack([features, np.ones((n, 1))])
    penalty = l2 * np.append(np.ones(d), 0.0)[:, None]
    onehot = np.eye(k)[y]
    rate = 1 / (np.linalg.norm(x, 2) ** 2 / (2 * n) + l2)
    w = old = np.zeros((d + 1, k))
    first = None
    for t in range(20_000):
        ahead = w + t / (t + 3) * (w - old)
        grad = x.T @ (softmax(x @ ahead) - onehot) / n + penalty * ahead
        first = np.abs(grad).max() if first is None else first
        if np.abs(grad).max() < 1e-4 * first:
            break
        old, w = w, ahead - rate * grad
    return ahead[:-1], ahead[-1]


def probe_newton(features, y, l2, num_classes=None):
    """Newton with the exact Hessian, a little damped."""
    k = int(max(y)) + 1 if num_classes is None else num_classes
    n, d = features.shape
    x = np.column_stack([features, np.ones(n)])
    penalty = np.repeat(np.append(np.full(d, l2), 0.0), k)
    w = np.zeros((d + 1) * k)

    def value(w):
        p = softmax(x @ w.reshape(d + 1, k))
        return -np.mean(np.log(p[np.arange(n), y])) + 0.5 * np.sum(penalty * w * w)

    for _ in range(50):
        p = softmax(x @ w.reshape(d + 1, k))
        grad = (x.T @ (p - np.eye(k)[y]) / n).ravel() + penalty * w
        if np.abs(grad).max() < 1e-8:
            break
        inner = np.einsum("na,ab->nab", p, np.eye(k)) - np.einsum("na,nb->nab", p, p)
        hessian = np.einsum("ni,nj,nab->iajb", x, x, inner).reshape((d + 1) * k, -1) / n + np.diag(penalty + 1e-9)
        step, share = np.linalg.solve(hessian, grad), 1.0
        while value(w - share * step) > value(w) and share > 1e-4:
            share /= 2
        w = w - share * step
    return w.reshape(d + 1, k)[:d], w.reshape(d + 1, k)[d]


def probe_plain_descent(features, y, l2, num_classes=None):
    """Gradient descent, nothing else: many steps. Scales the columns inside and takes the scales back at the end."""
    k = y.max() + 1 if num_classes is None else num_classes
    n, d = features.shape
    mean, std = features.mean(0), features.std(0)
    z = (features - mean) / std
    v, c = np.zeros((d, k)), np.zeros(k)
    rate = 1 / (np.linalg.norm(z, 2) ** 2 / (2 * n) + 0.5 + l2 / min(std) ** 2)
    for _ in range(6000):
        excess = (softmax(z @ v + c) - np.eye(k)[y]) / n
        grad = z.T @ excess + l2 * v / std[:, None] ** 2
        if max(np.abs(grad).max(), np.abs(excess.sum(0)).max()) < 1e-9:
            break
        v, c = v - rate * grad, c - rate * excess.sum(0)
    w = v / std[:, None]
    return w, c - mean @ w


def rates_downwards(names, lr, decay):
    names, rates = list(names), {}
    for layer in sorted({number(name) for name in names}, reverse=True):
        for name in names:
            if number(name) == layer:
                rates[name] = lr
        lr = lr * decay
    return rates


def rates_by_logarithm(names, lr, decay):
    layers = np.unique([number(name) for name in names])
    exponents = {n: len(layers) - 1 - np.searchsorted(layers, n) for n in layers}
    return {name: np.exp(np.log(lr) + exponents[number(name)] * np.log(decay)) for name in names}


def step_masked(params, grads, rates, trainable):
    new = {}
    for name in params:
        new[name] = params[name] - (rates[name] if name in set(trainable) else 0.0) * grads[name]
    return new


def step_copying(params, grads, rates, trainable):
    new = copy.deepcopy(dict(params))
    for name in trainable:
        new[name] -= rates[name] * grads[name]
    return new


def strategy_branching(similar, much_data):
    if not much_data:
        where = "the top features" if similar else "features of several stages"
        return f"train a linear classifier on {where}"
    return "fine-tune a few layers" if similar else "fine-tune many layers"


def strategy_list(similar, much_data):
    return (
        "train a linear classifier on features of several stages",
        "fine-tune many layers",
        "train a linear classifier on the top features",
        "fine-tune a few layers",
    )[2 * bool(similar) + bool(much_data)]


RIGHT = {
    "reinitialize_head": {"copying": head_copying, "looping": head_looping, "legacy-seed": head_by_legacy_seed},
    "split_frozen": {"looping": split_looping, "by-prefix": split_by_prefix},
    "extract_features": {"filling": features_filling, "evenly": features_evenly},
    "linear_probe": {"accelerated": probe_descending, "newton": probe_newton, "plain-descent": probe_plain_descent},
    "layerwise_learning_rates": {"downwards": rates_downwards, "by-logarithm": rates_by_logarithm},
    "fine_tune_step": {"masked": step_masked, "copying": step_copying},
    "transfer_strategy": {"branching": strategy_branching, "list": strategy_list},
}

# --- wrong ----------------------------------------------------------------------------------------------------------


def _changed_head(change):
    """A right new dict to which something was done: ``change(new, old, last, rng)``."""

    def answer(params, num_classes, rng):
        new = head_copying(params, num_classes, rng)
        change(new, params, max(map(number, params)), rng)
        return new

    return answer


def _transposed(new, old, last, rng):
    new[f"{last}.W"] = new[f"{last}.W"].T.copy()


def _bias_drawn(new, old, last, rng):
    new[f"{last}.b"] = rng.normal(0, 0.1, new[f"{last}.b"].shape)


def _old_added(new, old, last, rng):
    new[f"{last}.W"] += old[f"{last}.W"].mean(axis=1, keepdims=True)


def _noise_below(new, old, last, rng):
    for name in new:
        if number(name) != last:
            new[name] = new[name] + 1e-12


def _statistics_dropped(new, old, last, rng):
    for name in old:
        if name.endswith(("gamma", "beta")):
            new[name] = np.ones_like(old[name]) * name.endswith("gamma")


def _sorted_as_text(params, num_classes, rng):
    new = head_copying({**params}, num_classes, rng)
    return {name: new[name] for name in sorted(new, reverse=True)}


def _laplace(params, num_classes, rng):
    last = max(map(number, params))
    inputs = len(params[f"{last}.W"])
    new = head_copying(params, num_classes, rng)
    new[f"{last}.W"] = rng.laplace(0, (2 * inputs) ** -0.5, (inputs, num_classes))
    return new


def _old_size(params, num_classes, rng):
    return head_copying(params, len(params[f"{max(map(number, params))}.b"]), rng)


def _float32(part):
    return {name: value.astype(np.float32) for name, value in part.items()}


def _probe_then(change):
    def answer(features, y, l2, num_classes=None):
        return change(*probe_newton(features, y, l2, num_classes), features)

    return answer


def _nearest_mean(features, y, l2, num_classes=None):
    k = num_classes or y.max() + 1
    means = np.array([features[y == c].mean(0) if np.any(y == c) else np.zeros(features.shape[1]) for c in range(k)])
    return means.T, -0.5 * (means**2).sum(1)


WRONG = {
    "reinitialize_head": {
        "transposed": _changed_head(_transposed),
        "bias-drawn": _changed_head(_bias_drawn),
        "old-mean-added": _changed_head(_old_added),
        "noise-below": _changed_head(_noise_below),
        "batch-norm-reset": _changed_head(_statistics_dropped),
        "names-sorted-backwards": _sorted_as_text,
        "laplace": _laplace,
        "old-number-of-classes": _old_size,
        "a-list-of-arrays": lambda params, num_classes, rng: list(head_copying(params, num_classes, rng).values()),
    },
    "split_frozen": {
        "highest-only": lambda params, trainable_layers: split_looping(params, [max(map(number, params))]),
        "values-lost": lambda params, trainable_layers: tuple(
            {name: np.zeros_like(v) for name, v in part.items()} for part in split_looping(params, trainable_layers)
        ),
        "in-float32": lambda params, trainable_layers: tuple(map(_float32, split_looping(params, trainable_layers))),
        "names-without-numbers": lambda params, trainable_layers: tuple(
            {name.split(".")[1]: v for name, v in part.items()} for part in split_looping(params, trainable_layers)
        ),
        "names-alone": lambda params, trainable_layers: tuple(map(list, split_looping(params, trainable_layers))),
        "the-layer-above": lambda params, trainable_layers: split_looping(params, [k + 1 for k in trainable_layers]),
        "all-or-nothing": lambda params, trainable_layers: split_looping(params, range(99) if len(trainable_layers) else []),
    },
    "extract_features": {
        "transposed": lambda f, x, b: features_filling(f, x, b).T,
        "features-sorted": lambda f, x, b: np.sort(features_filling(f, x, b), axis=1),
        "standardised": lambda f, x, b: (lambda z: (z - z.mean(0)) / (z.std(0) + 1e-9))(features_filling(f, x, b)),
        "a-list-of-batches": lambda f, x, b: [f(x[k : k + b]) for k in range(0, len(x), b)],
        "twice-as-large": lambda f, x, b: features_filling(f, x, 2 * b),
        "half-as-large": lambda f, x, b: features_filling(f, x, max(1, b // 2)),
        "each-batch-twice": lambda f, x, b: [features_filling(f, x, b) for _ in range(2)][1],
        "images-scaled-first": lambda f, x, b: features_filling(f, x - x.mean(), b),
    },
    "linear_probe": {
        "nearest-mean": _nearest_mean,
        "nothing-learned": lambda features, y, l2, num_classes=None: (
            np.zeros((features.shape[1], num_classes or y.max() + 1)), np.zeros(num_classes or y.max() + 1)
        ),
        "class-shares-only": lambda features, y, l2, num_classes=None: (
            np.zeros((features.shape[1], num_classes or y.max() + 1)),
            np.log(np.bincount(y, minlength=num_classes or 0) / len(y) + 1e-12),
        ),
        "transposed": _probe_then(lambda W, b, x: (W.T, b)),
        "bias-left-out": _probe_then(lambda W, b, x: (W, 0 * b)),
        "normalised": _probe_then(lambda W, b, x: (W / np.linalg.norm(W), b)),
        "a-little-off": _probe_then(lambda W, b, x: (1.05 * W, b)),
        "half-the-examples": lambda features, y, l2, num_classes=None: probe_newton(
            features[::2], y[::2], l2, num_classes or int(y.max()) + 1
        ),
        "penalty-fixed": lambda features, y, l2, num_classes=None: probe_newton(features, y, 1e-3, num_classes),
        "features-centred-and-forgotten": lambda features, y, l2, num_classes=None: probe_newton(
            features - features.mean(0), y, l2, num_classes
        ),
    },
    "layerwise_learning_rates": {
        "all-lr": lambda names, lr, decay: dict.fromkeys(names, lr),
        "decay-fixed": lambda names, lr, decay: rates_downwards(names, lr, 0.5),
        "bias-twice": lambda names, lr, decay: {
            name: rate * (1 + name.endswith("b")) for name, rate in rates_downwards(names, lr, decay).items()
        },
        "lowest-frozen": lambda names, lr, decay: {
            name: rate * (number(name) != min(map(number, names)))
            for name, rate in rates_downwards(names, lr, decay).items()
        },
        "a-list": lambda names, lr, decay: list(rates_downwards(names, lr, decay).values()),
        "root": lambda names, lr, decay: {name: rate**0.5 for name, rate in rates_downwards(names, lr, decay).items()},
        "weights-only": lambda names, lr, decay: {
            name: rate for name, rate in rates_downwards(names, lr, decay).items() if name.endswith("W")
        },
    },
    "fine_tune_step": {
        "frozen-rounded": lambda params, grads, rates, trainable: {
            name: value if name in trainable else value.astype(np.float32).astype(float)
            for name, value in step_masked(params, grads, rates, trainable).items()
        },
        "frozen-drifting": lambda params, grads, rates, trainable: {
            name: value if name in trainable else value * (1 - 1e-9)
            for name, value in step_masked(params, grads, rates, trainable).items()
        },
        "two-steps": lambda params, grads, rates, trainable: step_masked(
            step_masked(params, grads, rates, trainable), grads, rates, trainable
        ),
        "steps-alone": lambda params, grads, rates, trainable: {
            name: -rates[name] * grads[name] * (name in trainable) for name in params
        },
        "with-weight-decay": lambda params, grads, rates, trainable: {
            name: value * (1 - 0.01 * (name in trainable))
            for name, value in step_masked(params, grads, rates, trainable).items()
        },
        "gradient-normalised": lambda params, grads, rates, trainable: step_masked(
            params, {name: g / np.linalg.norm(g) for name, g in grads.items()}, rates, trainable
        ),
        "first-name-only": lambda params, grads, rates, trainable: step_masked(params, grads, rates, list(trainable)[:1]),
        "gradients-cleared": lambda params, grads, rates, trainable: _clearing(params, grads, rates, trainable),
        "a-list-of-arrays": lambda params, grads, rates, trainable: list(
            step_masked(params, grads, rates, trainable).values()
        ),
    },
    "transfer_strategy": {
        "always-the-same": lambda similar, much_data: "fine-tune a few layers",
        "by-similarity-alone": lambda similar, much_data: strategy_branching(similar, True),
        "by-data-alone": lambda similar, much_data: strategy_branching(True, much_data),
        "in-other-words": lambda similar, much_data: strategy_branching(similar, much_data).title(),
        "top-and-stages-swapped": lambda similar, much_data: strategy_branching(similar != (not much_data), much_data),
        "one-short": lambda similar, much_data: strategy_branching(similar or not much_data, much_data),
        "numbers": lambda similar, much_data: 2 * similar + much_data,
        "a-list": lambda similar, much_data: [strategy_branching(similar, much_data)],
        "with-a-full-stop": lambda similar, much_data: strategy_branching(similar, much_data) + ".",
    },
}  # fmt: skip


def _clearing(params, grads, rates, trainable):
    new = step_masked(params, grads, rates, trainable)
    for gradient in grads.values():
        gradient[...] = 0
    return new


DEFECTS: dict[tuple[str, str], str] = {}
