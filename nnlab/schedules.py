"""The course's own learning-rate schedules: the rate as a function of the step `t`, which counts from 0.

`linear_warmup` takes a schedule and gives one; `learning_rate_range_test` reads a good rate off a short run. An
experiment uses these where the reader's function does not pass its check yet.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Schedule = Callable[[int], float]


def step_decay(t: int, lr0: float, drop: float, every: int) -> float:
    """`lr0`, multiplied by `drop` after every `every` steps: at t = every, 2 every, ..."""
    return lr0 * drop ** (t // every)


def exponential_decay(t: int, lr0: float, k: float) -> float:
    """lr0 exp(-k t): the same factor in every step."""
    return lr0 * math.exp(-k * t)


def inverse_time_decay(t: int, lr0: float, k: float) -> float:
    """lr0 / (1 + k t): half of lr0 at t = 1/k."""
    return lr0 / (1 + k * t)


def inverse_sqrt_decay(t: int, lr0: float) -> float:
    """lr0 / √(t + 1)."""
    return lr0 / math.sqrt(t + 1)


def linear_decay(t: int, lr0: float, T: int) -> float:
    """A straight line from lr0 at t = 0 to 0 at t = T."""
    return lr0 * (T - t) / T


def cosine_decay(t: int, lr0: float, T: int, lr_min: float = 0.0) -> float:
    """Half a period of a cosine, from lr0 at t = 0 to lr_min at t = T (Loshchilov & Hutter 2017, arXiv:1608.03983)."""
    height = (1 + math.cos(math.pi * t / T)) / 2  # 1 at t = 0, 0 at t = T
    return lr_min + (lr0 - lr_min) * height


def linear_warmup(schedule: Schedule, warmup: int) -> Schedule:
    """`warmup` equal steps up to schedule(0), then `schedule` from its own start (Goyal et al. 2017, arXiv:1706.02677)."""

    def warmed(t: int) -> float:
        if t < warmup:
            return schedule(0) * (t + 1) / warmup
        return schedule(t - warmup)

    return warmed


def cosine_restarts(t: int, lr0: float, T0: int, mult: int) -> float:
    """Cosine decay from lr0 to 0 in cycles of T0, mult T0, mult² T0, ... steps (SGDR, arXiv:1608.03983)."""
    start, length = 0, T0
    while start + length <= t:
        start, length = start + length, length * mult
    return cosine_decay(t - start, lr0, length)


def learning_rate_range_test(losses: ArrayLike, lrs: ArrayLike) -> float:
    """The rate at which the smoothed loss falls fastest, per factor of the rate (Smith 2017, arXiv:1506.01186).

    `losses` and `lrs`, both (n,): the loss at each step of a run whose rate grows exponentially. Losses that are not
    finite are left out, and so is what comes after the lowest smoothed loss: there the run is about to diverge.
    """
    seen, rates = np.asarray(losses, dtype=float), np.asarray(lrs, dtype=float)
    finite = np.isfinite(seen)
    places = np.log(rates[finite])  # (m,)
    smooth = _moving_average(seen[finite], max(3, len(places) // 12))
    margin = len(places) // 20  # the ends are averages over fewer losses
    last = max(int(np.argmin(smooth)), margin + 1)
    slopes = np.gradient(smooth, places)[margin : last + 1]
    return float(np.exp(places[margin + np.argmin(slopes)]))


def _moving_average(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Means over `width` neighbours, (m,) -> (m,); at the ends over those that are there."""
    window = np.ones(width)
    return np.convolve(values, window, "same") / np.convolve(np.ones_like(values), window, "same")
