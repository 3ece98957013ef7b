"""Assignment 00, gradient checking: the relative error of two gradients, and two numerical derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autograder.checks import equals, leaves_inputs
from autograder.exercise import Exercise, Functions, Misconception, Observations

Array = np.ndarray
Function = Callable[[Array], Array]

TINY = 1e-12

# --- relative_error -------------------------------------------------------------------------------------------------


def relative_error(a: Any, b: Any) -> float:
    """The largest |a - b| / max(tiny, |a| + |b|) over all entries; 0 where both are 0 (CS231n notes, Neural Networks 3)."""
    a, b = np.asarray(a), np.asarray(b)
    return float(np.max(np.abs(a - b) / np.maximum(TINY, np.abs(a) + np.abs(b))))


def _close_pair(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Two arrays of both signs whose entries span three decades and differ by up to a half of their size."""
    a = rng.choice([-1.0, 1.0], shape) * 10.0 ** rng.uniform(-1, 2, shape)
    return a, a * (1 + rng.uniform(-0.5, 0.5, shape))


def _pairs(play: Functions, rng: np.random.Generator) -> Observations:
    found = {}
    for number, shape in enumerate([(7,), (3, 5), (4, 2)]):
        a, b = _close_pair(rng, shape)
        b.flat[1] = a.flat[1] * 0.3  # below a: a positive or a negative difference is the largest, whatever the sign
        found[f"relative_error of pair {number + 1}"] = play.relative_error(a, b)
    return found | {"relative_error of pair 3, both times 1e-4": play.relative_error(1e-4 * a, 1e-4 * b)}


def _opposite_signs(play: Functions, rng: np.random.Generator) -> Observations:
    a, b = _close_pair(rng, (3, 4))
    b[1, 2] = -0.7 * a[1, 2]
    return {"relative_error with one sign turned": play.relative_error(a, b)}


def _zeros(play: Functions, rng: np.random.Generator) -> Observations:
    a, b = _close_pair(rng, (3, 4))
    a[0, 1] = b[0, 1] = 0.0
    zeros = np.zeros((2, 3))
    return {
        "relative_error with a zero in both": play.relative_error(a, b),
        "relative_error of zeros": play.relative_error(zeros, zeros),
        "relative_error of 0 and 2": play.relative_error(np.zeros(1), np.array([2.0])),
    }


def _numbers(play: Functions, rng: np.random.Generator) -> Observations:
    a, b = _close_pair(rng, (2, 3, 2))
    return {
        "relative_error(3.0, 1.0)": play.relative_error(3.0, 1.0),
        "relative_error in 3-D": play.relative_error(a, b),
    }


def _relative_error_idea(id: str, message: str, wrong: Callable[[Array, Array], Any]) -> Misconception:
    return Misconception(id, message, {"relative_error": lambda a, b: wrong(np.asarray(a), np.asarray(b))})


RELATIVE_ERROR = Exercise(
    name="relative_error",
    asks="The largest relative difference between two arrays, entry by entry, safe where both are zero.",
    reference=relative_error,
    returns=("error",),
    checks=(
        equals("gives the largest relative difference over all entries", 1, _pairs),
        equals("counts a turned sign as an error of 1", 1, _opposite_signs),
        equals("gives 0, not nan, where both entries are 0", 1, _zeros),
        equals("takes plain numbers and arrays with any number of axes", 1, _numbers),
        leaves_inputs(1, _pairs),
    ),
    misconceptions=(
        _relative_error_idea(
            "signed-difference",
            "Your error keeps the sign of a - b, so differences of one sign are lost. Take the absolute value first.",
            lambda a, b: np.max((a - b) / np.maximum(TINY, np.abs(a) + np.abs(b))),
        ),
        _relative_error_idea(
            "mean-instead-of-max",
            "Your error is the mean over the entries. One wrong entry among thousands would vanish in it: take the largest.",
            lambda a, b: np.mean(np.abs(a - b) / np.maximum(TINY, np.abs(a) + np.abs(b))),
        ),
        _relative_error_idea(
            "ratio-of-maxima",
            "You divide the largest difference by the largest size. Divide entry by entry, then take the largest ratio.",
            lambda a, b: np.max(np.abs(a - b)) / max(TINY, np.max(np.abs(a) + np.abs(b))),
        ),
        _relative_error_idea(
            "ratio-of-norms",
            "You divide the norm of the difference by the norms of the arrays: a small wrong entry beside large ones is lost.",
            lambda a, b: np.linalg.norm(a - b) / (TINY + np.linalg.norm(a) + np.linalg.norm(b)),
        ),
        _relative_error_idea(
            "zero-over-zero",
            "Where both entries are 0 you divide 0 by 0 and get nan. Keep the denominator above a tiny positive number.",
            lambda a, b: np.max(np.abs(a - b) / (np.abs(a) + np.abs(b))),
        ),
        _relative_error_idea(
            "absolute-value-of-the-sum",
            "Your denominator is |a + b|, which vanishes when the signs differ. It is |a| + |b|.",
            lambda a, b: np.max(np.abs(a - b) / np.maximum(TINY, np.abs(a + b))),
        ),
        _relative_error_idea(
            "one-of-the-two",
            "Your denominator holds only one of the two arrays. |a| + |b| treats both alike and never exceeds an error of 1.",
            lambda a, b: np.max(np.abs(a - b) / np.maximum(TINY, np.abs(b))),
        ),
        _relative_error_idea(
            "larger-of-the-two",
            "Your denominator is max(|a|, |b|). This course divides by |a| + |b| (see the convention card).",
            lambda a, b: np.max(np.abs(a - b) / np.maximum(TINY, np.maximum(np.abs(a), np.abs(b)))),
        ),
        _relative_error_idea(
            "absolute-error",
            "That is the absolute error: it grows with the size of the gradient. Divide by |a| + |b|.",
            lambda a, b: np.max(np.abs(a - b)),
        ),
    ),
    hints=(
        "Two gradients of size 1000 differ by 0.1, two of size 0.001 differ by 0.0005. Which pair is worse?",
        "Work entry by entry with np.abs, and let np.maximum keep the denominator away from 0.",
        "Numerator |a - b|; denominator the larger of a tiny number and |a| + |b|; then np.max of the quotient.",
    ),
)

# --- numerical_gradient ---------------------------------------------------------------------------------------------


def numerical_gradient(f: Function, x: Array, df: Array, h: float = 1e-5) -> Array:
    """The gradient of sum(f(x) * df) in every entry of x, by central differences of step h. x (any shape), df like f(x)."""
    grad = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        kept = x[index]
        x[index] = kept + h
        above = f(x)
        x[index] = kept - h
        below = f(x)
        x[index] = kept
        grad[index] = np.sum((above - below) * df) / (2 * h)
    return grad


class Probe:
    """A smooth function from arrays of one shape to arrays of another, which remembers how it was called."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...], out: tuple[int, ...]) -> None:
        self.x = rng.standard_normal(shape)
        self.df = rng.standard_normal(out)
        self._weights = rng.standard_normal((self.x.size, self.df.size)) / np.sqrt(self.x.size)
        self._bends = rng.uniform(0.5, 1.5, self.df.size)
        self.calls = 0
        self.lowest = self.highest = 0.0

    def __call__(self, x: Any) -> Array:
        x = np.asarray(x, dtype=float)
        self.calls += 1
        self.lowest = min(self.lowest, float(np.min(x - self.x)))
        self.highest = max(self.highest, float(np.max(x - self.x)))
        inner = x.reshape(-1) @ self._weights
        return (np.exp(0.5 * inner) + self._bends * inner**2).reshape(self.df.shape)


def _every_entry(play: Functions, rng: np.random.Generator) -> Observations:
    f = Probe(rng, (3, 2), (4,))
    return {"grad": play.numerical_gradient(f, f.x.copy(), f.df)}


def _large_step(play: Functions, rng: np.random.Generator) -> Observations:
    f = Probe(rng, (2, 3), (3,))
    return {f"grad with h={h}": play.numerical_gradient(f, f.x.copy(), f.df, h) for h in (0.2, 0.05)}


def _steps_taken(play: Functions, rng: np.random.Generator) -> Observations:
    f, g = Probe(rng, (2, 2), (3,)), Probe(rng, (3,), (2, 2))
    play.numerical_gradient(f, f.x.copy(), f.df)
    play.numerical_gradient(g, g.x.copy(), g.df, 0.03)
    return {
        "smallest step without h": f.lowest,
        "largest step without h": f.highest,
        "smallest step for h=0.03": g.lowest,
        "largest step for h=0.03": g.highest,
    }


def _any_axes(play: Functions, rng: np.random.Generator) -> Observations:
    found = {}
    for shape, out in (((5,), (2, 3)), ((2, 3, 2), (4,)), ((1, 4), (3, 1))):
        f = Probe(rng, shape, out)
        found[f"grad for x of shape {shape}"] = play.numerical_gradient(f, f.x.copy(), f.df, 1e-4)
    return found


def _one_sided(f: Function, x: Array, df: Array, h: float = 1e-5) -> Array:
    return _with_difference(f, x, df, h, lambda above, here, below: (above - here) / h)


def _with_difference(
    f: Function, x: Array, df: Array, h: float, quotient: Callable[[Array, Array, Array], Array]
) -> Array:
    """Every entry by a quotient of the values above, at and below it."""
    grad, here = np.zeros(x.shape), f(x)
    for index in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[index] = h
        grad[index] = np.sum(quotient(f(x + step), here, f(x - step)) * df)
    return grad


def _half(f: Function, x: Array, df: Array, h: float = 1e-5) -> Array:
    return _with_difference(f, x, df, h, lambda above, here, below: (above - below) / h)


def _without_df(f: Function, x: Array, df: Array, h: float = 1e-5) -> Array:
    return numerical_gradient(f, x, np.ones_like(df), h)


def _fixed_h(f: Function, x: Array, df: Array, h: float = 1e-5) -> Array:
    return numerical_gradient(f, x, df)


def _not_restored(f: Function, x: Array, df: Array, h: float = 1e-5) -> Array:
    grad = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        x[index] += h
        above = f(x)
        x[index] -= 2 * h
        grad[index] = np.sum((above - f(x)) * df) / (2 * h)
    return grad


NUMERICAL_GRADIENT = Exercise(
    name="numerical_gradient",
    asks="The gradient of sum(f(x) * df) by central differences, one entry of x at a time.",
    reference=numerical_gradient,
    returns=("grad",),
    checks=(
        equals("differentiates sum(f(x) * df) in every entry of x", 2, _every_entry, tolerance=1e-4),
        equals("uses the central difference", 2, _large_step, tolerance=1e-7),
        equals("steps by h to both sides, by 1e-5 where no h is given", 1, _steps_taken, tolerance=1e-4),
        equals("works for arrays with any number of axes", 1, _any_axes, tolerance=1e-3),
        leaves_inputs(1, _every_entry),
    ),
    misconceptions=(
        Misconception(
            "one-sided",
            "Your derivative equals (f(x+h) - f(x)) / h. Its error shrinks only like h; step to both sides.",
            {"numerical_gradient": _one_sided},
        ),
        Misconception(
            "divided-by-h",
            "Your gradient is twice the right one: the two points are 2h apart, not h.",
            {"numerical_gradient": _half},
        ),
        Misconception(
            "df-ignored",
            "Your gradient is that of sum(f(x)). Weigh each output by df before you sum: df is the gradient from above.",
            {"numerical_gradient": _without_df},
        ),
        Misconception(
            "h-ignored", "You always step by 1e-5. Use the h that you are given.", {"numerical_gradient": _fixed_h}
        ),
        Misconception(
            "x-not-restored",
            "An entry is not put back before the next one is stepped, so the point wanders away from x.",
            {"numerical_gradient": _not_restored},
        ),
    ),
    hints=(
        "How many numbers does the result hold, and how often must f be called for each of them?",
        "np.ndindex(x.shape) walks over all entries, whatever the number of axes. Remember the old value of the entry.",
        "For each entry: step up and call f, step down and call f, put the entry back; sum (up - down) * df; divide by 2h.",
    ),
)

# --- directional_gradient -------------------------------------------------------------------------------------------


def directional_gradient(f: Function, x: Array, df: Array, v: Array, h: float = 1e-5) -> float:
    """The derivative of sum(f(x) * df) along v, by one central difference: two calls of f whatever the size of x."""
    return float(np.sum((f(x + h * v) - f(x - h * v)) * df) / (2 * h))


def _along(play: Functions, rng: np.random.Generator) -> Observations:
    """Along v and against it: one of the two is negative."""
    f = Probe(rng, (3, 4), (5,))
    v = 2.0 * rng.standard_normal(f.x.shape)
    found = {"derivative": play.directional_gradient(f, f.x.copy(), f.df, v)}
    return found | {"derivative for -df": play.directional_gradient(f, f.x.copy(), -f.df, v)}


def _along_large_step(play: Functions, rng: np.random.Generator) -> Observations:
    """Three functions: of one the third derivative, which is what a step of this size adds, may happen to vanish."""
    found: Observations = {}
    for number, h in enumerate((0.1, 0.03, 0.1)):
        f = Probe(rng, (2, 3), (3,))
        v = 1.5 * rng.standard_normal(f.x.shape)
        found[f"derivative {number + 1} with h={h}"] = play.directional_gradient(f, f.x.copy(), f.df, v, h)
    g = Probe(rng, (3,), (2,))
    play.directional_gradient(g, g.x.copy(), g.df, np.array([1.0, -2.0, 0.5]))
    return found | {"longest step without h": max(g.highest, -g.lowest)}


def _calls(play: Functions, rng: np.random.Generator) -> Observations:
    found = {}
    for shape in ((3,), (6, 5)):
        f = Probe(rng, shape, (2,))
        play.directional_gradient(f, f.x.copy(), f.df, rng.standard_normal(shape))
        found[f"calls of f for x of shape {shape}"] = f.calls
    return found


def _unit_direction(f: Function, x: Array, df: Array, v: Array, h: float = 1e-5) -> float:
    return directional_gradient(f, x, df, v / np.linalg.norm(v), h)


def _forward_only(f: Function, x: Array, df: Array, v: Array, h: float = 1e-5) -> float:
    return float(np.sum((f(x + h * v) - f(x)) * df) / h)


DIRECTIONAL_GRADIENT = Exercise(
    name="directional_gradient",
    asks="The derivative of sum(f(x) * df) along one direction, with two calls of f.",
    reference=directional_gradient,
    returns=("derivative",),
    checks=(
        equals("gives the derivative of sum(f(x) * df) along v", 2, _along, tolerance=1e-4),
        equals(
            "uses the central difference with the step h, 1e-5 where none is given",
            1,
            _along_large_step,
            tolerance=1e-7,
        ),
        equals("calls f twice, whatever the size of x", 1, _calls),
        leaves_inputs(1, _along),
    ),
    misconceptions=(
        Misconception(
            "unit-direction",
            "You divide v by its length. The derivative along v grows with v: leave it as it is.",
            {"directional_gradient": _unit_direction},
        ),
        Misconception(
            "one-sided",
            "Your derivative equals (f(x+hv) - f(x)) / h. Its error shrinks only like h; step to both sides.",
            {"directional_gradient": _forward_only},
        ),
        Misconception(
            "divided-by-h",
            "Your derivative is twice the right one: the two points are 2h apart, not h.",
            {"directional_gradient": lambda f, x, df, v, h=1e-5: 2 * directional_gradient(f, x, df, v, h)},
        ),
        Misconception(
            "df-ignored",
            "Your derivative is that of sum(f(x)). Weigh each output by df before you sum.",
            {"directional_gradient": lambda f, x, df, v, h=1e-5: directional_gradient(f, x, np.ones_like(df), v, h)},
        ),
        Misconception(
            "h-ignored",
            "You always step by 1e-5. Use the h that you are given.",
            {"directional_gradient": lambda f, x, df, v, h=1e-5: directional_gradient(f, x, df, v)},
        ),
        Misconception(
            "entry-by-entry",
            "You compute the whole gradient and multiply it with v. Right, but it costs two calls for every entry.",
            {
                "directional_gradient": lambda f, x, df, v, h=1e-5: float(
                    np.sum(numerical_gradient(f, np.array(x, dtype=float), df, h) * v)
                )
            },
        ),
    ),
    hints=(
        "Along v, f is a function of one number: the distance walked.",
        "The two points are x + h * v and x - h * v. Do you need any loop?",
        "Difference of f at the two points, times df, summed, divided by 2h.",
    ),
)

EXERCISES = (RELATIVE_ERROR, NUMERICAL_GRADIENT, DIRECTIONAL_GRADIENT)
