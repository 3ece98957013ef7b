"""Answers to assignment 04, right and wrong."""

from __future__ import annotations

import math

import numpy as np

# --- right ----------------------------------------------------------------------------------------------------------


def step_looping(t, lr0, drop, every):
    rate = lr0
    for step in range(1, t + 1):
        if step % every == 0:
            rate *= drop
    return rate


def restarts_looping(t, lr0, T0, mult):
    into, length = 0, T0
    for _ in range(t):
        into += 1
        if into == length:
            into, length = 0, length * mult
    return 0.5 * lr0 * (1.0 + np.cos(np.pi * into / length))


def restarts_by_logarithm(t, lr0, T0, mult):
    if mult == 1:
        into, length = t % T0, T0
    else:
        n = math.floor(math.log(t / T0 * (mult - 1) + 1, mult) + 1e-12)
        into, length = t - T0 * (mult**n - 1) // (mult - 1), T0 * mult**n
    return lr0 / 2 * (1 + math.cos(math.pi * into / length))


def warmup_nested(schedule, warmup):
    def warmed(t):
        if t >= warmup:
            return schedule(t - warmup)
        return (t + 1) / warmup * schedule(0)

    return warmed


class Warmed:
    def __init__(self, schedule, warmup):
        self.schedule, self.warmup, self.top = schedule, warmup, schedule(0)

    def __call__(self, t):
        return float(self.top * (t + 1) / self.warmup if t < self.warmup else self.schedule(t - self.warmup))


def range_by_exponential_average(losses, lrs):
    """As the well-known tools do it: a trailing average with correction, then the steepest fall against log(lr)."""
    average, smooth, rates = 0.0, [], []
    for k, (loss, lr) in enumerate(zip(losses, lrs, strict=True)):
        if not np.isfinite(loss):
            break
        average = 0.85 * average + 0.15 * loss
        smooth.append(average / (1 - 0.85 ** (k + 1)))
        rates.append(lr)
    return rates[int(np.argmin(np.gradient(np.array(smooth)[5:], np.log(rates)[5:]))) + 5]


def range_by_means_of_three(losses, lrs):
    """Little smoothing, and the fall from one mean to the next but one."""
    usable = [k for k in range(len(losses)) if np.isfinite(losses[k])]
    smooth = [np.mean([losses[k - 1], losses[k], losses[k + 1]]) for k in usable[1:-1]]
    falls = [after - before for before, after in zip(smooth, smooth[2:], strict=False)]
    return float(lrs[usable[2 + int(np.argmin(falls))]])


def range_by_line_fits(losses, lrs):
    """The slope of a straight line through 15 neighbouring losses."""
    losses, place = np.asarray(losses, float), np.log(lrs)
    best, rate = 0.0, lrs[0]
    for k in range(len(losses) - 14):
        window = losses[k : k + 15]
        if np.all(np.isfinite(window)):
            slope = np.polyfit(place[k : k + 15], window, 1)[0]
            if slope < best:
                best, rate = slope, lrs[k + 7]
    return rate


RIGHT = {
    "step_decay": {
        "one-line": lambda t, lr0, drop, every: lr0 * drop ** math.floor(t / every),
        "looping": step_looping,
    },
    "exponential_decay": {
        "numpy": lambda t, lr0, k: lr0 * np.exp(-k * t),
        "repeated": lambda t, lr0, k: math.prod([lr0, *([math.exp(-k)] * t)]),
    },
    "inverse_time_decay": {
        "one-line": lambda t, lr0, k: lr0 / (1.0 + k * t),
        "as-a-power": lambda t, lr0, k: lr0 * (1 + t * k) ** -1,
    },
    "inverse_sqrt_decay": {
        "numpy": lambda t, lr0: lr0 / np.sqrt(t + 1),
        "as-a-power": lambda t, lr0: lr0 * (t + 1) ** -0.5,
    },
    "linear_decay": {
        "what-is-left": lambda t, lr0, T: lr0 * (T - t) / T,
        "interpolated": lambda t, lr0, T: np.interp(t, [0, T], [lr0, 0.0]),
    },
    "cosine_decay": {
        "numpy": lambda t, lr0, T, lr_min=0.0: lr_min + (lr0 - lr_min) / 2 * (1 + np.cos(t / T * np.pi)),
        "squared": lambda t, lr0, T, lr_min=0: lr_min + (lr0 - lr_min) * math.cos(math.pi * t / (2 * T)) ** 2,
    },
    "linear_warmup": {"nested": warmup_nested, "an-object": Warmed},
    "cosine_restarts": {"looping": restarts_looping, "by-logarithm": restarts_by_logarithm},
    "learning_rate_range_test": {
        "exponential-average": range_by_exponential_average,
        "line-fits": range_by_line_fits,
        "means-of-three": range_by_means_of_three,
    },
}

# --- wrong ----------------------------------------------------------------------------------------------------------

WRONG = {
    "step_decay": {
        "drop-from-every-on-only": lambda t, lr0, drop, every: lr0 * drop ** (t >= every),
        "every-from-zero": lambda t, lr0, drop, every: lr0 * drop ** (t % every == 0),
    },
    "exponential_decay": {"half-k": lambda t, lr0, k: lr0 * math.exp(-k * t / 2)},
    "inverse_time_decay": {"k-forgotten": lambda t, lr0, k: lr0 / (1 + t)},
    "inverse_sqrt_decay": {"cube-root": lambda t, lr0: lr0 / (t + 1) ** (1 / 3)},
    "linear_decay": {"never-below-a-tenth": lambda t, lr0, T: max(lr0 / 10, lr0 * (1 - t / T))},
    "cosine_decay": {"sine": lambda t, lr0, T, lr_min=0.0: lr0 * math.sin(math.pi / 2 * (1 - t / T))},
    "linear_warmup": {
        "a-number": lambda schedule, warmup: schedule(0),
        "quadratic": lambda schedule, warmup: lambda t: (
            schedule(0) * ((t + 1) / warmup) ** 2 if t < warmup else schedule(t - warmup)
        ),
    },
    "cosine_restarts": {"linear-cycles": lambda t, lr0, T0, mult: lr0 * (1 - (t % T0) / T0)},
    "learning_rate_range_test": {
        "first-rate": lambda losses, lrs: lrs[0],
        "an-early-rate": lambda losses, lrs: lrs[len(lrs) // 8],
        "index-not-rate": lambda losses, lrs: int(np.argmin(np.gradient(np.nan_to_num(losses, posinf=9.0, nan=9.0)))),
    },
}

DEFECTS: dict[tuple[str, str], str] = {}
