"""Answers to assignment 06, right and wrong."""

from __future__ import annotations

import math

import numpy as np

# --- right ----------------------------------------------------------------------------------------------------------


def average_looping(prob_list):
    total = prob_list[0].copy()
    for probabilities in prob_list[1:]:
        total += probabilities
    return total / len(prob_list)


def accuracy_looping(prob_list, y):
    right = 0
    for n, label in enumerate(y):
        right += int(sum(p[n] for p in prob_list).argmax() == label)
    return right / len(y)


def polyak_weighted(average, params, t):
    return {k: t / (t + 1) * average[k] + 1 / (t + 1) * v for k, v in params.items()}


def polyak_copying(average, params, t):
    new = {name: value.copy() for name, value in average.items()}
    for name in new:
        new[name] *= t
        new[name] += params[name]
        new[name] /= t + 1.0
    return new


def ema_by_weight(average, params, decay, t=None):
    """The weight of the new set: 1 - decay, or its share of all weights so far."""
    weight = 1 - decay if t is None else (1 - decay) / (1 - decay ** (t + 1))
    return {name: average[name] + weight * (params[name] - average[name]) for name in average}


def ema_by_sums(average, params, decay, t=None):
    old, new = (decay, 1 - decay) if t is None else (sum(decay**k for k in range(1, t + 1)), 1.0)
    total = 1.0 if t is None else old + new
    return {name: (old * average[name] + new * params[name]) / total for name in params}


def steps_by_range(T, cycles):
    return list(range(T // cycles - 1, T // cycles * cycles, T // cycles))


def rate_by_divmod(t, T, cycles, lr0):
    _, into = divmod(t, T // cycles)
    return lr0 * np.cos(np.pi * into / (T // cycles) / 2) ** 2


def recompute_by_sums(batches, forward):
    n, total, squares = 0, 0.0, 0.0
    for batch in batches:
        out = forward(batch)
        n, total, squares = n + len(out), total + out.sum(axis=0), squares + (out**2).sum(axis=0)
    return total / n, squares / n - (total / n) ** 2


def recompute_pooled(batches, forward):
    """Variance within the batches plus variance between them; in the shape (1, D)."""
    outs = [forward(batch) for batch in batches]
    weights = np.array([len(out) for out in outs]) / sum(len(out) for out in outs)
    means, variances = np.array([out.mean(0) for out in outs]), np.array([out.var(0) for out in outs])
    mean = weights @ means
    return mean[None], (weights @ variances + weights @ (means - mean) ** 2)[None]


RIGHT = {
    "average_probabilities": {"looping": average_looping, "sum": lambda prob_list: sum(prob_list) / len(prob_list)},
    "ensemble_accuracy": {
        "numpy": lambda prob_list, y: (np.mean(prob_list, axis=0).argmax(axis=1) == y).mean(),
        "looping": accuracy_looping,
    },
    "polyak_average": {"weighted": polyak_weighted, "copying": polyak_copying},
    "exponential_moving_average": {"by-weight": ema_by_weight, "by-sums": ema_by_sums},
    "snapshot_steps": {
        "range": steps_by_range,
        "array": lambda T, cycles: np.arange(1, cycles + 1) * (T // cycles) - 1,
    },
    "snapshot_learning_rate": {
        "squared-cosine": rate_by_divmod,
        "one-line": lambda t, T, cycles, lr0: 0.5 * lr0 * (1 + math.cos(math.pi * (t % (T // cycles)) / (T // cycles))),
    },
    "recompute_batchnorm_statistics": {"sums": recompute_by_sums, "pooled": recompute_pooled},
}

# --- wrong ----------------------------------------------------------------------------------------------------------

WRONG = {
    "average_probabilities": {
        "first-and-last": lambda prob_list: (prob_list[0] + prob_list[-1]) / 2,
        "normalised-by-column": lambda prob_list: average_looping(prob_list) / average_looping(prob_list).sum(axis=0),
        "softened": lambda prob_list: np.sqrt(average_looping(prob_list)),
    },
    "ensemble_accuracy": {
        "least-likely": lambda prob_list, y: float(np.mean(np.mean(prob_list, axis=0).argmin(axis=1) == y)),
        "first-member": lambda prob_list, y: float(np.mean(prob_list[0].argmax(axis=1) == y)),
        "all-members-right": lambda prob_list, y: float(np.mean(np.all([p.argmax(1) == y for p in prob_list], axis=0))),
    },
    "polyak_average": {
        "of-the-sums": lambda average, params, t: {k: (average[k] + params[k]) / (t + 1) for k in params},
        "one-name-only": lambda average, params, t: {"0.W": polyak_weighted(average, params, t)["0.W"]},
        "a-list": lambda average, params, t: list(polyak_weighted(average, params, t).values()),
        "spoils-params": lambda average, params, t: _spoiling(average, params, t),
        "always-zeros": lambda average, params, t: {k: 0 * v for k, v in params.items()},
        "names-mixed-up": lambda average, params, t: {
            k: average[k] + (params["1.W"].mean() - average[k]) / (t + 1) for k in params
        },
    },
    "exponential_moving_average": {
        "fixed-decay": lambda average, params, decay, t=None: ema_by_weight(average, params, 0.8, t),
        "warm-up-by-t": lambda average, params, decay, t=None: ema_by_weight(
            average, params, decay if t is None else min(decay, (1 + t) / (10 + t))
        ),
        "one-name-only": lambda average, params, decay, t=None: {"0.b": ema_by_weight(average, params, decay, t)["0.b"]},
    },
    "snapshot_steps": {
        "descending": lambda T, cycles: steps_by_range(T, cycles)[::-1],
        "last-step-of-all": lambda T, cycles: [T - 1],
        "middles": lambda T, cycles: [T // cycles * k + T // cycles // 2 for k in range(cycles)],
    },
    "snapshot_learning_rate": {
        "linear": lambda t, T, cycles, lr0: lr0 * (1 - (t % (T // cycles)) / (T // cycles)),
        "peaks-fall": lambda t, T, cycles, lr0: rate_by_divmod(t, T, cycles, lr0) / (1 + t // (T // cycles)),
    },
    "recompute_batchnorm_statistics": {
        "first-batch": lambda batches, forward: (forward(batches[0]).mean(0), forward(batches[0]).var(0)),
        "one-number": lambda batches, forward: (
            np.mean(recompute_by_sums(batches, forward)[0]), np.mean(recompute_by_sums(batches, forward)[1])
        ),
        "median": lambda batches, forward: (
            np.median(np.concatenate([forward(b) for b in batches]), axis=0), recompute_by_sums(batches, forward)[1]
        ),
    },
}  # fmt: skip


def _spoiling(average, params, t):
    result = polyak_weighted(average, params, t)
    for value in params.values():
        value *= 0
    return result


DEFECTS: dict[tuple[str, str], str] = {}
