"""The few kinds of checks that exercises are made of.

Each builder turns a scenario into a `Check`. A scenario draws its inputs from a seeded generator and plays functions by
name; the same scenario is played with the reference, with the student and, to recognise a mistake, with misconceptions.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from autograder import gradients
from autograder.compare import FLOAT32_TOLERANCE, TOLERANCE, aligned, difference, same_as_reference
from autograder.exercise import Check, Evidence, Functions, Observations, Observe, StudentError

Draw = Callable[[np.random.Generator], tuple[Any, ...]]
"""Draws the positional arguments of a function."""

DIRECTIONS = 5
"""A gradient that is wrong by 1e-3 of its size passes one direction with probability below 1e-3, five with 1e-15."""


def equals(
    claim: str,
    points: float,
    observe: Observe,
    *alternatives: Observe,
    tolerance: float = TOLERANCE,
    loose: bool = False,
    supporting: bool = False,
    single: bool = False,
) -> Check:
    """The observations equal the reference's; with ``loose`` their shapes may have extra axes of length one. With ``single``
    a function that turns float32 into float64 is told so, at no cost."""
    judge = same_as_reference(tolerance, loose)

    def check(scenario: Observe, *others: Check) -> Check:
        remarks = _widens(scenario) if single else None
        return Check(claim, points, scenario, judge, others, supporting=supporting, remarks=remarks)

    return check(observe, *(check(other) for other in alternatives))


class _InSinglePrecision:
    """Plays functions with float32 in place of float64 arrays, and notes which of them give float64 back."""

    def __init__(self, play: Functions) -> None:
        self._play = play
        self.changed = play.changed
        self.widening: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            given = [_narrow(argument) for argument in arguments]
            value = getattr(self._play, name)(*given)
            for argument, left in zip(arguments, given, strict=True):
                if isinstance(argument, dict):
                    argument.clear()
                    argument.update(left)
            parts = value if isinstance(value, (tuple, list)) else (value,)
            if any(isinstance(part, np.ndarray) and part.dtype == np.float64 for part in parts):
                self.widening.append(name)
            return value

        return called


def _narrow(argument: Any) -> Any:
    if isinstance(argument, dict):
        return {key: _narrow(value) for key, value in argument.items()}
    wide = isinstance(argument, np.ndarray) and argument.dtype == np.float64
    return argument.astype(np.float32) if wide else argument


def _widens(scenario: Observe) -> Callable[[Functions, np.random.Generator], tuple[str, ...]]:
    """The first function of a scenario that makes float64 of float32: those after it are given float64 then."""

    def remarks(play: Functions, rng: np.random.Generator) -> tuple[str, ...]:
        single = _InSinglePrecision(play)
        scenario(single, rng)
        return tuple(f"Given float32 arrays, {name} returns float64: twice the memory." for name in single.widening[:1])

    return remarks


def shaped(name: str, value: Any, like: np.ndarray) -> np.ndarray:
    """The value as a float array of the shape of ``like``, for a scenario that computes something from it before it is
    compared. Raises StudentError where it is nothing of the kind; entries that are not finite pass through."""
    array, message, _ = aligned(name, value, like)
    if array is None:
        raise StudentError("form", message)
    return array.astype(float)


def leaves_inputs(points: float, observe: Observe, *alternatives: Observe) -> Check:
    """No array that the scenario hands over is changed. What the functions return does not matter here."""
    claim = "leaves its inputs as they were"

    def watched(scenario: Observe) -> Observe:
        def watch(play: Functions, rng: np.random.Generator) -> Observations:
            scenario(play, rng)
            return {"changed": tuple(dict.fromkeys(play.changed))}

        return watch

    def judge(seen: Observations, wanted: Observations, rng: np.random.Generator) -> Evidence:
        if not seen["changed"]:
            return Evidence(True)
        changed = ", ".join(seen["changed"])
        return Evidence(False, f"changed in place: {changed}. Work on a copy: the caller still needs its arrays.")

    others = tuple(Check(claim, points, watched(other), judge) for other in alternatives)
    return Check(claim, points, watched(observe), judge, others, supporting=True)


def gradients_of(
    forward: Callable[..., Any],
    backward_name: str,
    wrt: Sequence[str],
    draw: Draw,
    *alternative_draws: Draw,
    points: Sequence[float],
    claims: Sequence[str] | None = None,
) -> tuple[Check, ...]:
    """One check for each gradient that a backward pass returns; ``forward`` is the reference, named as the student's is.

    The student's forward makes the cache, the student's backward is given a random upstream gradient, and each result is
    held against numerical derivatives of the REFERENCE forward: along random directions first and, only where that fails,
    in every entry, to show where. The gradient of a wrong forward therefore does not pass, and is told what it is.
    dx must have the shape of x; gradients of parameters may carry axes of length one.
    """
    checks = []
    for number, name in enumerate(wrt):
        claim = claims[number] if claims else f"d{name} is the gradient with respect to {name}"
        first, *others = (
            _one_gradient(claim, points[number], forward, backward_name, number, name, each)
            for each in (draw, *alternative_draws)
        )
        checks.append(replace(first, alternatives=tuple(others)))
    return tuple(checks)


def _one_gradient(
    claim: str, points: float, forward: Callable[..., Any], backward: str, number: int, name: str, draw: Draw
) -> Check:
    output = "d" + name
    position = list(inspect.signature(forward).parameters).index(name)

    def drawn(rng: np.random.Generator) -> tuple[tuple[Any, ...], np.ndarray]:
        arguments = draw(rng)
        return arguments, rng.standard_normal(forward(*copy.deepcopy(arguments))[0].shape)

    def observe(play: Functions, rng: np.random.Generator) -> Observations:
        arguments, dout = drawn(rng)
        _, cache = getattr(play, forward.__name__)(*arguments)
        return {output: getattr(play, backward)(dout, cache)[number]}

    def varied(f: Callable[..., Any], arguments: tuple[Any, ...]) -> Callable[[np.ndarray], np.ndarray]:
        """The forward as a function of the one argument."""

        def of_one(value: np.ndarray) -> np.ndarray:
            given = list(copy.deepcopy(arguments))
            given[position] = value
            return np.asarray(f(*given)[0])

        return of_one

    def judge(seen: Observations, wanted: Observations, rng: np.random.Generator) -> Evidence:
        arguments, dout = drawn(rng)
        f = varied(forward, arguments)
        return judge_gradient(output, seen[output], f, arguments[position], dout, rng, loose=name != "x")

    def consistent(play: Functions, rng: np.random.Generator) -> bool:
        arguments, dout = drawn(rng)
        _, cache = getattr(play, forward.__name__)(*arguments)
        found = getattr(play, backward)(dout, cache)[number]
        f = varied(getattr(play, forward.__name__), arguments)
        return judge_gradient(output, found, f, arguments[position], dout, rng, loose=name != "x").passed

    def remarks(play: Functions, rng: np.random.Generator) -> tuple[str, ...]:
        """On all the gradients at once: a cache must survive a backward pass, and float32 stay float32."""
        arguments, dout = drawn(rng)
        _, cache = getattr(play, forward.__name__)(*arguments)
        first, second = (getattr(play, backward)(dout, cache) for _ in range(2))
        found = tuple(remark for remark in _widens(observe)(play, rng) if backward in remark)
        if all(np.array_equal(one, other) for one, other in zip(first, second, strict=True)):
            return found
        again = f"A second call of {backward} with the same cache gives other gradients: it changes what is in the cache."
        return (again, *found)

    return Check(claim, points, observe, judge, consistent=consistent, remarks=remarks if number == 0 else None)


def judge_gradient(
    output: str,
    seen: Any,
    f: Callable[[np.ndarray], np.ndarray],
    x: np.ndarray,
    df: np.ndarray,
    rng: np.random.Generator,
    loose: bool,
    tolerance: float = TOLERANCE,
) -> Evidence:
    """Hold a gradient against numerical derivatives of ``sum(f(x) * df)``.

    A right gradient is never rejected by chance: both sides are deterministic to 1e-10 of the scale, the directions only
    decide which errors are seen. A wrong one, off by 1e-3 of its norm, passes with probability below 1e-15.
    """
    array, message, remark = aligned(output, seen, np.asarray(x, dtype=float), loose)
    if array is None:
        return Evidence(False, message, tolerance=tolerance)
    if not np.all(np.isfinite(array)):
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        return Evidence(False, f"{output}[{', '.join(map(str, index))}] is {array[index]}, wanted a finite number")
    if array.dtype in (np.float16, np.float32):
        tolerance, remark = FLOAT32_TOLERANCE, remark or f"{output} came back as {array.dtype} from float64 inputs."

    directions = rng.standard_normal((DIRECTIONS, *x.shape))
    slopes = np.array([gradients.along(f, x, df, v) for v in directions])
    claimed = np.array([float(np.sum(array * v)) for v in directions])
    scale = np.sqrt(np.mean(slopes**2)) or 1.0
    error = float(np.max(np.abs(claimed - slopes)) / scale)
    remarks = (remark,) if remark else ()
    if error <= tolerance:
        return Evidence(True, error=error, tolerance=tolerance, remarks=remarks)
    place = difference(output, array, gradients.everywhere(f, x, df), tolerance)
    message = place.message or f"{output} is off along random directions by {error:.1e} of its size"
    return Evidence(False, message, error, tolerance, remarks, place.heat)
