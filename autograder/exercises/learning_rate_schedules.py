"""Assignment 04, learning-rate schedules: pure functions of the step t (counted from 0) that return a float."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograder.checks import equals
from autograder.compare import aligned
from autograder.exercise import Check, Evidence, Exercise, Functions, Misconception, Observations

Schedule = Callable[..., float]

# --- the schedules --------------------------------------------------------------------------------------------------


def step_decay(t: int, lr0: float, drop: float, every: int) -> float:
    """lr0 times ``drop`` for each full ``every`` steps that have passed (CS231n notes; He et al. 2016)."""
    return lr0 * drop ** (t // every)


def exponential_decay(t: int, lr0: float, k: float) -> float:
    """lr0 exp(-k t)."""
    return lr0 * math.exp(-k * t)


def inverse_time_decay(t: int, lr0: float, k: float) -> float:
    """lr0 / (1 + k t)."""
    return lr0 / (1 + k * t)


def inverse_sqrt_decay(t: int, lr0: float) -> float:
    """lr0 / sqrt(t + 1)."""
    return lr0 / math.sqrt(t + 1)


def linear_decay(t: int, lr0: float, T: int) -> float:
    """From lr0 at t = 0 in a straight line to 0 at t = T."""
    return lr0 * (1 - t / T)


def cosine_decay(t: int, lr0: float, T: int, lr_min: float = 0.0) -> float:
    """Half a cosine from lr0 at t = 0 to lr_min at t = T (Loshchilov & Hutter 2017)."""
    return lr_min + 0.5 * (lr0 - lr_min) * (1 + math.cos(math.pi * t / T))


def linear_warmup(schedule: Schedule, warmup: int) -> Schedule:
    """A schedule that climbs to schedule(0) in ``warmup`` steps and then follows ``schedule`` (Goyal et al. 2017)."""

    def warmed(t: int) -> float:
        return schedule(0) * (t + 1) / warmup if t < warmup else schedule(t - warmup)

    return warmed


def cosine_restarts(t: int, lr0: float, T0: int, mult: int) -> float:
    """Cosine decay to 0, again and again: the first cycle has T0 steps, each next one ``mult`` times as many (SGDR)."""
    length = T0
    while t >= length:
        t -= length
        length *= mult
    return cosine_decay(t, lr0, length)


def _smoothed(values: np.ndarray, width: int) -> np.ndarray:
    """Centred moving averages; at the ends over what is there."""
    kernel = np.ones(width)
    return np.convolve(values, kernel, "same") / np.convolve(np.ones(len(values)), kernel, "same")


def learning_rate_range_test(losses: Sequence[float], lrs: Sequence[float]) -> float:
    """The rate where the smoothed loss falls fastest, per factor of the rate (Smith 2017). Both arguments (n,)."""
    usable = np.isfinite(losses)
    kept, rates = np.asarray(losses, dtype=float)[usable], np.asarray(lrs, dtype=float)[usable]
    smooth = _smoothed(kept, max(3, len(kept) // 12))
    slope = np.gradient(smooth, np.log(rates))
    # at the very start the average is one-sided; past its lowest value the loss explodes, and may fall back from there
    inner = slice(len(kept) // 20, max(int(np.argmin(smooth)), len(kept) // 20 + 1))
    return float(rates[inner][np.argmin(slope[inner])])


# --- checks ---------------------------------------------------------------------------------------------------------


def _at(
    name: str, steps: Sequence[int], draw: Callable[[np.random.Generator], tuple[Any, ...]]
) -> Callable[..., Observations]:
    def observe(play: Functions, rng: np.random.Generator) -> Observations:
        settings = draw(rng)
        return {f"rate at t={t}": getattr(play, name)(t, *settings) for t in steps}

    return observe


def _rate(rng: np.random.Generator) -> float:
    return float(rng.uniform(0.2, 3))


def _schedule(
    name: str,
    reference: Schedule,
    asks: str,
    checks: Sequence[Check],
    ideas: Sequence[tuple[str, str, Schedule]],
    hints: tuple[str, ...],
) -> Exercise:
    return Exercise(
        name=name,
        asks=asks,
        reference=reference,
        returns=("rate",),
        checks=tuple(checks),
        misconceptions=tuple(Misconception(id, message, {name: wrong}) for id, message, wrong in ideas),
        hints=hints,
    )


_EXACT = 1e-9

STEP_DECAY = _schedule(
    "step_decay",
    step_decay,
    "Multiply the rate by a factor every so many steps.",
    [
        equals(
            "multiplies by drop once for every full interval",
            2,
            _at("step_decay", (1, 3, 9, 17, 40), lambda rng: (_rate(rng), float(rng.uniform(0.2, 0.6)), 7)),
            tolerance=_EXACT,
        ),
        equals(
            "drops exactly at the multiples of every, and not at t = 0",
            1,
            _at("step_decay", (0, 4, 5, 9, 10, 11), lambda rng: (_rate(rng), float(rng.uniform(0.2, 0.6)), 5)),
            tolerance=_EXACT,
        ),
    ],
    [
        (
            "continuous",
            "Your rate falls in every step: use the number of FULL intervals, t // every.",
            lambda t, lr0, drop, every: lr0 * drop ** (t / every),
        ),
        (
            "one-step-late",
            "Your rate drops one step late: at t = every it has dropped already.",
            lambda t, lr0, drop, every: lr0 * drop ** (max(t - 1, 0) // every),
        ),
        (
            "one-step-early",
            "Your rate drops one step early. t counts from 0, so the first drop is at t = every.",
            lambda t, lr0, drop, every: lr0 * drop ** ((t + 1) // every),
        ),
        (
            "first-interval-dropped",
            "Your first interval is dropped already: the rate at t = 0 is lr0.",
            lambda t, lr0, drop, every: lr0 * drop ** (t // every + 1),
        ),
        (
            "dropped-once",
            "Your rate drops once and then stays. It drops again after each interval.",
            lambda t, lr0, drop, every: lr0 * (drop if t >= every else 1),
        ),
        (
            "multiplied-not-raised",
            "You multiply drop by the number of intervals. Each interval multiplies the rate by drop: raise it to that power.",
            lambda t, lr0, drop, every: lr0 * drop * (t // every) if t >= every else lr0,
        ),
        (
            "share-taken-away",
            "You take away the share drop. Here the rate is MULTIPLIED by drop.",
            lambda t, lr0, drop, every: lr0 * (1 - drop) ** (t // every),
        ),
        (
            "divided",
            "You divide by drop: the rate grows. Multiply by it.",
            lambda t, lr0, drop, every: lr0 / drop ** (t // every),
        ),
    ],
    (
        "How many drops have happened after 12 steps, if there is one every 5?",
        "// divides and forgets the rest. A factor applied n times is its n-th power.",
        "lr0 times drop to the power of the number of full intervals.",
    ),
)

EXPONENTIAL_DECAY = _schedule(
    "exponential_decay",
    exponential_decay,
    "Let the rate fall by the same factor in every step.",
    [
        equals(
            "is lr0 times e to the minus k t",
            2,
            _at("exponential_decay", (0, 1, 2, 7, 30), lambda rng: (_rate(rng), float(rng.uniform(0.02, 0.2)))),
            tolerance=_EXACT,
        )
    ],
    [
        ("growing", "Your rate grows: the exponent is negative.", lambda t, lr0, k: lr0 * math.exp(k * t)),
        ("base-k", "You raise k to the power t. The base is e: exp(-k t).", lambda t, lr0, k: lr0 * k**t),
        (
            "one-minus-k",
            "You multiply by 1 - k in each step, which is close to exp(-k) for small k, but not the same.",
            lambda t, lr0, k: lr0 * (1 - k) ** t,
        ),
        (
            "step-ahead",
            "Your t is one ahead: at t = 0 the rate is lr0.",
            lambda t, lr0, k: lr0 * math.exp(-k * (t + 1)),
        ),
        ("base-two", "Your base is 2. The exponential's base is e.", lambda t, lr0, k: lr0 * 2 ** (-k * t)),
        ("k-divides", "You divide t by k. The exponent is -k times t.", lambda t, lr0, k: lr0 * math.exp(-t / k)),
    ],
    (
        "What is the rate at t = 0, whatever k is?",
        "math.exp or np.exp, with a negative exponent.",
        "lr0 * exp(-k * t).",
    ),
)

INVERSE_TIME_DECAY = _schedule(
    "inverse_time_decay",
    inverse_time_decay,
    "Let the rate fall like one over time.",
    [
        equals(
            "is lr0 over 1 + k t",
            2,
            _at("inverse_time_decay", (0, 1, 2, 7, 30), lambda rng: (_rate(rng), float(rng.uniform(0.1, 0.5)))),
            tolerance=_EXACT,
        )
    ],
    [
        (
            "one-forgotten",
            "The 1 is missing below: at t = 0 you divide by 0.",
            lambda t, lr0, k: lr0 / (k * t) if t else math.inf,
        ),
        ("step-ahead", "Your t is one ahead: at t = 0 the rate is lr0.", lambda t, lr0, k: lr0 / (1 + k * (t + 1))),
        ("bracket-lost", "You divide by 1 first and then add k t: brackets.", lambda t, lr0, k: lr0 / 1 + k * t),
        ("squared", "Your denominator is squared.", lambda t, lr0, k: lr0 / (1 + k * t) ** 2),
        (
            "root-taken",
            "You divide by the root. This schedule divides by 1 + k t itself.",
            lambda t, lr0, k: lr0 / math.sqrt(1 + k * t),
        ),
        ("exponential", "That is exponential decay.", lambda t, lr0, k: exponential_decay(t, lr0, k)),
    ],
    (
        "When has the rate fallen to one half?",
        "The denominator is 1 at t = 0 and 2 at t = 1 / k.",
        "lr0 / (1 + k * t).",
    ),
)

INVERSE_SQRT_DECAY = _schedule(
    "inverse_sqrt_decay",
    inverse_sqrt_decay,
    "Let the rate fall like one over the root of time.",
    [
        equals(
            "is lr0 over the root of t + 1",
            2,
            _at("inverse_sqrt_decay", (0, 1, 3, 8, 50), lambda rng: (_rate(rng),)),
            tolerance=_EXACT,
        )
    ],
    [
        (
            "t-without-one",
            "You divide by the root of t: at t = 0 that is a division by 0. The steps count from 0, so take t + 1.",
            lambda t, lr0: lr0 / math.sqrt(t) if t else math.inf,
        ),
        ("root-forgotten", "The root is missing.", lambda t, lr0: lr0 / (t + 1)),
        ("one-outside", "The 1 belongs inside the root: sqrt(t + 1).", lambda t, lr0: lr0 / (math.sqrt(t) + 1)),
        ("squared", "You divide by the square. Take the root.", lambda t, lr0: lr0 / (t + 1) ** 2),
        ("rate-in-the-root", "The root covers the rate, too.", lambda t, lr0: math.sqrt(lr0 / (t + 1))),
    ],
    ("What is the rate in the very first step, t = 0?", "math.sqrt, of t + 1.", "lr0 / sqrt(t + 1)."),
)

LINEAR_DECAY = _schedule(
    "linear_decay",
    linear_decay,
    "Let the rate fall in a straight line to zero.",
    [
        equals(
            "falls in a straight line from lr0 at 0 to 0 at T",
            2,
            _at("linear_decay", (0, 1, 5, 11, 20), lambda rng: (_rate(rng), 20)),
            tolerance=_EXACT,
        )
    ],
    [
        ("climbing", "Your rate climbs from 0 to lr0.", lambda t, lr0, T: lr0 * t / T),
        ("last-step-zero", "Your line reaches 0 at T - 1. It does at T.", lambda t, lr0, T: lr0 * (1 - t / (T - 1))),
        ("step-ahead", "Your t is one ahead: at t = 0 the rate is lr0.", lambda t, lr0, T: lr0 * (1 - (t + 1) / T)),
        ("whole-numbers", "You divide with //, which forgets the rest.", lambda t, lr0, T: lr0 * (1 - t // T)),
        (
            "not-scaled",
            "You subtract t / T from lr0 itself: the line must reach 0 for any lr0.",
            lambda t, lr0, T: lr0 - t / T,
        ),
        ("squared", "Your decay is quadratic.", lambda t, lr0, T: lr0 * (1 - t / T) ** 2),
        ("cosine", "That is cosine decay.", lambda t, lr0, T: cosine_decay(t, lr0, T)),
    ],
    ("Which share of the steps is left at step t?", "t / T is the share that has passed.", "lr0 * (1 - t / T)."),
)

COSINE_DECAY = _schedule(
    "cosine_decay",
    cosine_decay,
    "Let the rate follow half a cosine.",
    [
        equals(
            "follows half a cosine from lr0 at 0 to 0 at T",
            2,
            _at("cosine_decay", (0, 1, 5, 13, 20), lambda rng: (_rate(rng), 20)),
            tolerance=_EXACT,
        ),
        equals(
            "ends at lr_min where one is given",
            1,
            _at("cosine_decay", (0, 1, 7, 13, 16), lambda rng: (_rate(rng), 16, float(rng.uniform(0.02, 0.1)))),
            tolerance=_EXACT,
        ),
    ],
    [
        (
            "half-forgotten",
            "Your rate starts at twice lr0: 1 + cos reaches 2, so take half of it.",
            lambda t, lr0, T, lr_min=0.0: lr_min + (lr0 - lr_min) * (1 + math.cos(math.pi * t / T)),
        ),
        (
            "whole-cosine",
            "Your cosine goes down and up again: half a period is pi t / T, not 2 pi t / T.",
            lambda t, lr0, T, lr_min=0.0: lr_min + 0.5 * (lr0 - lr_min) * (1 + math.cos(2 * math.pi * t / T)),
        ),
        (
            "quarter-cosine",
            "You follow a quarter of a cosine: its end is steep. Half a period, raised by 1 and halved, is flat at both ends.",
            lambda t, lr0, T, lr_min=0.0: lr_min + (lr0 - lr_min) * math.cos(math.pi * t / T / 2),
        ),
        (
            "minimum-ignored",
            "lr_min is not used. The cosine spans lr0 down to lr_min.",
            lambda t, lr0, T, lr_min=0.0: cosine_decay(t, lr0, T),
        ),
        (
            "minimum-only-added",
            "You add lr_min to the whole curve: it then starts above lr0. Scale the cosine to lr0 - lr_min first.",
            lambda t, lr0, T, lr_min=0.0: lr_min + cosine_decay(t, lr0, T),
        ),
        (
            "minimum-as-a-floor",
            "You cut the curve off at lr_min. It should glide down to it.",
            lambda t, lr0, T, lr_min=0.0: max(lr_min, cosine_decay(t, lr0, T)),
        ),
        (
            "climbing",
            "Your rate climbs: 1 + cos falls, 1 - cos climbs.",
            lambda t, lr0, T, lr_min=0.0: lr_min + 0.5 * (lr0 - lr_min) * (1 - math.cos(math.pi * t / T)),
        ),
        (
            "degrees",
            "math.cos takes radians: half a turn is pi, not 180.",
            lambda t, lr0, T, lr_min=0.0: lr_min + 0.5 * (lr0 - lr_min) * (1 + math.cos(180 * t / T)),
        ),
        (
            "last-step",
            "Your curve reaches its end at T - 1. It does at T.",
            lambda t, lr0, T, lr_min=0.0: cosine_decay(t, lr0, T - 1, lr_min),
        ),
    ],
    (
        "Between which two values does 1 + cos(x) move, as x goes from 0 to pi?",
        "Half of it goes from 1 to 0. Stretch that to the span from lr0 to lr_min.",
        "lr_min plus half of (lr0 - lr_min) times (1 + cos(pi t / T)).",
    ),
)

# --- warm-up: a function that makes a schedule ----------------------------------------------------------------------


def _warmed(steps: Sequence[int], warmup: int) -> Callable[[Functions, np.random.Generator], Observations]:
    def observe(play: Functions, rng: np.random.Generator) -> Observations:
        lr0, k = _rate(rng), float(rng.uniform(0.05, 0.2))
        schedule = play.linear_warmup(lambda t: lr0 / (1 + k * float(t)), warmup)
        return {f"rate at t={t}": schedule(t) for t in steps}

    return observe


def _warm(make: Callable[[Schedule, int], Schedule]) -> dict[str, Callable[..., Any]]:
    return {"linear_warmup": make}


LINEAR_WARMUP = Exercise(
    name="linear_warmup",
    asks="Put a linear warm-up before any schedule.",
    reference=linear_warmup,
    returns=("schedule",),
    checks=(
        equals("climbs in equal steps to schedule(0)", 2, _warmed((0, 1, 3, 4), 5), tolerance=_EXACT),
        equals("then follows the schedule from its own start", 2, _warmed((4, 5, 6, 9, 30), 4), tolerance=_EXACT),
    ),
    misconceptions=(
        Misconception(
            "starts-at-zero",
            "Your first rate is 0: that step is lost. The warm-up is schedule(0) * (t + 1) / warmup.",
            _warm(lambda schedule, warmup: lambda t: schedule(0) * t / warmup if t < warmup else schedule(t - warmup)),
        ),
        Misconception(
            "schedule-not-shifted",
            "After the warm-up you follow schedule(t): the steps of the warm-up are cut off it. Use t - warmup.",
            _warm(lambda schedule, warmup: lambda t: schedule(0) * (t + 1) / warmup if t < warmup else schedule(t)),
        ),
        Misconception(
            "schedule-scaled",
            "During the warm-up you scale schedule(t). The schedule has not begun yet: scale schedule(0).",
            _warm(
                lambda schedule, warmup: (
                    lambda t: schedule(t) * (t + 1) / warmup if t < warmup else schedule(t - warmup)
                )
            ),
        ),
        Misconception(
            "one-step-longer",
            "Your warm-up takes one step too many: at t = warmup the schedule begins.",
            _warm(
                lambda schedule, warmup: (
                    lambda t: schedule(0) * (t + 1) / (warmup + 1) if t <= warmup else schedule(t - warmup - 1)
                )
            ),
        ),
        Misconception(
            "no-warm-up",
            "Your schedule does not warm up: it holds schedule(0) until the schedule begins.",
            _warm(lambda schedule, warmup: lambda t: schedule(max(t - warmup, 0))),
        ),
    ),
    hints=(
        "What does your function return: a number, or a function of t?",
        "Define a function of t inside and return it. It has two cases.",
        "For t < warmup: schedule(0) times (t + 1) / warmup. Otherwise the schedule, at the steps since the warm-up.",
    ),
)


def _cycles(t: int, T0: int, grow: Callable[[int], int]) -> tuple[int, int, int]:
    """Number, first step and length of the cycle that holds step t."""
    number, start, length = 0, 0, T0
    while t >= start + length:
        number, start, length = number + 1, start + length, grow(length)
    return number, start, length


def _wrong_cycle(
    rate: Callable[[int, float, int, int, int], float],
    grow: Callable[[int, int, int], int] = lambda length, mult, T0: length * mult,
) -> Schedule:
    """A cosine_restarts that makes its rate of (steps into the cycle, lr0, number, length, T0)."""

    def schedule(t: int, lr0: float, T0: int, mult: int) -> float:
        number, start, length = _cycles(t, T0, lambda length: grow(length, mult, T0))
        return rate(t - start, lr0, number, length, T0)

    return schedule


def _late_restart(t: int, lr0: float, T0: int, mult: int) -> float:
    """The first step of a new cycle still belongs to the old one."""
    _, start, _ = _cycles(t, T0, lambda length: length * mult)
    return 0.0 if t and t == start else cosine_restarts(t, lr0, T0, mult)


COSINE_RESTARTS = _schedule(
    "cosine_restarts",
    cosine_restarts,
    "Cosine decay with warm restarts (SGDR, Loshchilov & Hutter 2017).",
    [
        equals(
            "follows the cosine to 0 within the first cycle",
            1,
            _at("cosine_restarts", (0, 1, 3, 5), lambda rng: (_rate(rng), 6, 2)),
            tolerance=_EXACT,
        ),
        equals(
            "starts again at lr0 after each cycle",
            2,
            _at("cosine_restarts", (4, 5, 6, 9, 10, 14, 15, 17), lambda rng: (_rate(rng), 5, 1)),
            tolerance=_EXACT,
        ),
        equals(
            "makes each cycle mult times as long as the one before",
            2,
            _at("cosine_restarts", (3, 4, 5, 11, 15, 16, 30, 51, 52), lambda rng: (_rate(rng), 4, 3)),
            tolerance=_EXACT,
        ),
    ],
    [
        (
            "cycles-of-one-length",
            "All your cycles have the length T0. Each is mult times as long as the one before.",
            lambda t, lr0, T0, mult: cosine_decay(t % T0, lr0, T0),
        ),
        (
            "no-restart",
            "Your rate does not start again after a cycle.",
            lambda t, lr0, T0, mult: cosine_decay(t, lr0, T0),
        ),
        (
            "stays-down",
            "After the first cycle your rate stays at 0. It starts again at lr0.",
            lambda t, lr0, T0, mult: cosine_decay(min(t, T0), lr0, T0),
        ),
        (
            "restart-one-step-late",
            "Your restart comes one step late: at t = T0 the next cycle has begun, and the rate is lr0.",
            _late_restart,
        ),
        (
            "length-added",
            "Your cycles grow by T0 each time. They grow by the factor mult.",
            _wrong_cycle(
                lambda into, lr0, number, length, T0: cosine_decay(into, lr0, length),
                lambda length, mult, T0: length + (T0 if mult > 1 else 0),
            ),
        ),
        (
            "peak-halved",
            "Your rate restarts lower each time. It restarts at lr0.",
            _wrong_cycle(lambda into, lr0, number, length, T0: cosine_decay(into, lr0, length) / 2**number),
        ),
        (
            "old-length-in-the-cosine",
            "The cycle is long enough, but its cosine still uses T0. Divide by the length of the cycle you are in.",
            _wrong_cycle(lambda into, lr0, number, length, T0: cosine_decay(into, lr0, T0)),
        ),
    ],
    (
        "In which cycle is step t, and how many steps into it?",
        "Take whole cycles away from t, making the length mult times larger each time, until t fits into one.",
        "Then it is cosine_decay with the steps into the cycle and the length of the cycle.",
    ),
)

# --- the range test -------------------------------------------------------------------------------------------------

WITHIN = math.log(6.0)
"""How far a rate may be from the steepest place: a factor of six. A trailing average comes half a decade late, and is right
all the same; the lowest loss and the outlier lie at least a decade and a quarter away."""


def _range_curve(rng: np.random.Generator, noisy: bool, diverges: bool) -> tuple[np.ndarray, np.ndarray, float]:
    """Losses over rates from 1e-6 to 10: flat, one steep fall at a drawn rate, flat, and up again at the end."""
    lrs = np.logspace(-6, 1, 140)
    steepest = float(rng.uniform(-3.6, -2.2))
    place = np.log10(lrs)
    losses = 2.3 - 1.8 / (1 + np.exp(-(place - steepest) / 0.22)) + np.exp(3.5 * (place - 0.2))
    if noisy:
        losses = losses + 0.03 * rng.uniform(-1, 1, len(lrs))
        # one unlucky batch: its step is four times the steepest of the curve, and the mean of three is well below that
        losses[np.argmin(np.abs(place - (steepest - 1.5)))] += 0.45
    if diverges:
        losses[-6:] = (40.0, 300.0, 1e5, np.inf, np.nan, np.nan)
    return losses, lrs, 10.0**steepest


def _range_check(claim: str, points: float, noisy: bool, diverges: bool) -> Check:
    name = "suggested rate"

    def observe(play: Functions, rng: np.random.Generator) -> Observations:
        losses, lrs, _ = _range_curve(rng, noisy, diverges)
        return {name: play.learning_rate_range_test(losses, lrs)}

    def judge(seen: Observations, wanted: Observations, rng: np.random.Generator) -> Evidence:
        """The steepest place is known from the drawing; bounded noise of this size cannot move a smoothed slope past `WITHIN`."""
        *_, steepest = _range_curve(rng, noisy, diverges)
        rate, message, _ = aligned(name, seen[name], np.zeros(()))
        if rate is None:
            return Evidence(False, message)
        value = float(rate)
        distance = abs(math.log(value / steepest)) if value > 0 and math.isfinite(value) else math.inf
        message = "" if distance <= WITHIN else f"{name}: {value:.2g}; the loss falls fastest near {steepest:.2g}"
        return Evidence(distance <= WITHIN, message, error=min(distance, 99.0), tolerance=WITHIN)

    return Check(claim, points, observe, judge)


def _slopes(losses: Sequence[float], places: Any, rates: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Slopes of the smoothed, finite losses against ``places``, and the rates that belong to them."""
    usable = np.isfinite(losses)
    kept = _smoothed(np.asarray(losses)[usable], 9)
    return np.gradient(kept, np.asarray(places)[usable]), np.asarray(rates)[usable]


def _steepest_per_rate(losses: Sequence[float], lrs: Sequence[float]) -> float:
    slope, rates = _slopes(losses, lrs, lrs)
    return float(rates[int(np.argmin(slope))])


def _steepest_climb(losses: Sequence[float], lrs: Sequence[float]) -> float:
    slope, rates = _slopes(losses, np.log(lrs), lrs)
    return float(rates[int(np.argmax(slope))])


def _steepest_raw_step(losses: Sequence[float], lrs: Sequence[float]) -> float:
    fall = np.diff(losses)
    return float(lrs[int(np.argmin(np.where(np.isfinite(fall), fall, np.inf)))])


LEARNING_RATE_RANGE_TEST = Exercise(
    name="learning_rate_range_test",
    asks="Read a good rate off a range test: where the smoothed loss falls fastest (Smith 2017).",
    reference=learning_rate_range_test,
    returns=("lr",),
    checks=(
        _range_check("finds where the loss falls fastest", 2, noisy=False, diverges=False),
        _range_check("is not fooled by noise and one bad batch", 2, noisy=True, diverges=False),
        _range_check("is not fooled by losses that diverge at the end", 1, noisy=False, diverges=True),
    ),
    misconceptions=(
        Misconception(
            "lowest-loss",
            "You take the rate with the lowest loss. There the loss is about to climb again: take the rate where it FALLS fastest.",
            {"learning_rate_range_test": lambda losses, lrs: float(lrs[int(np.nanargmin(losses))])},
        ),
        Misconception(
            "not-smoothed",
            "You take the steepest step of the raw losses: that finds the noise. Smooth the losses first.",
            {"learning_rate_range_test": _steepest_raw_step},
        ),
        Misconception(
            "slope-per-rate",
            "You divide by the difference of the rates, which is tiny at the left end. Take the slope per factor: against log(lr).",
            {"learning_rate_range_test": _steepest_per_rate},
        ),
        Misconception(
            "steepest-climb",
            "You take the place where the loss changes fastest or climbs. Look for the most negative slope.",
            {"learning_rate_range_test": _steepest_climb},
        ),
    ),
    hints=(
        "Where would you put your finger on the curve: at its lowest point, or where it goes down most steeply?",
        "np.convolve gives a moving average; np.gradient(loss, np.log(lrs)) a slope per factor of the rate.",
        "Drop what is not finite, smooth, differentiate against log(lr), and take the rate where that is smallest.",
    ),
)

EXERCISES = (
    STEP_DECAY,
    EXPONENTIAL_DECAY,
    INVERSE_TIME_DECAY,
    INVERSE_SQRT_DECAY,
    LINEAR_DECAY,
    COSINE_DECAY,
    LINEAR_WARMUP,
    COSINE_RESTARTS,
    LEARNING_RATE_RANGE_TEST,
)
