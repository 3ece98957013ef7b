"""The verdict: play every check of an exercise with a student's functions and hold it against the reference.

Knows nothing of notebooks, files or processes; all it needs is a `Student`. The same function serves the notebook, the
command and nbgrader.
"""

from __future__ import annotations

import copy
import functools
import inspect
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from autograder.compare import describe
from autograder.diagnosis import Trial, diagnose, remembered
from autograder.exercise import (
    Answer,
    Check,
    CheckResult,
    Evidence,
    Exercise,
    Handle,
    Misconception,
    Result,
    Status,
    Student,
    StudentError,
)
from autograder.exercises import COURSE

RETURNED_NONE = "it returns None: not written yet, or a return statement is missing"

KEPT = ("cache", "schedule")
"""Results that stay with the student: a cache is never looked into, a schedule is a function to be called."""


class Trusted:
    """The course's own functions, references and misconceptions, behind the same interface as a student's."""

    def __init__(self, functions: Mapping[str, Callable[..., Any]]) -> None:
        self._functions = functions

    def defines(self, name: str) -> bool:
        return name in self._functions

    def call(self, function: str | Handle, arguments: Sequence[Any], keep: Sequence[int] = ()) -> Answer:
        body = function.key if isinstance(function, Handle) else self._functions[function]
        given = [_handed_over(argument) for argument in arguments]
        with np.errstate(all="ignore"):
            value = body(*given)
        if keep and isinstance(value, tuple):
            value = tuple(Handle(part) if k in keep else part for k, part in enumerate(value))
        elif keep:
            value = Handle(value)
        return Answer(value, tuple(given))


def _handed_over(argument: Any) -> Any:
    """A copy of data; a callable as it is, since the scenario may count its calls; what a handle stands for."""
    if isinstance(argument, Handle):
        return argument.key
    return argument if callable(argument) else copy.deepcopy(argument)


class Play:
    """Plays functions by name (see `autograder.exercise.Functions`) and watches what happens to their arguments."""

    def __init__(self, student: Student) -> None:
        self._student = student
        self.changed: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in COURSE.exercises:
            raise AttributeError(name)
        return functools.partial(self._play, COURSE.exercises[name])

    def _play(self, exercise: Exercise, *arguments: Any) -> Any:
        keep = tuple(k for k, result in enumerate(exercise.returns) if result in KEPT)
        try:
            answer = self._student.call(exercise.name, arguments, keep)
            self._watch(exercise, arguments, answer.arguments)
            value = _in_form(exercise, answer.value)
        except StudentError as error:
            error.function = error.function or exercise.name
            raise
        return self._function(value) if exercise.returns == ("schedule",) else value

    def _function(self, kept: Any) -> Callable[..., Any]:
        """A function that the student returned, ready to be called."""
        if not isinstance(kept, Handle):
            raise StudentError("form", f"returned {describe(kept)}, wanted a function of t")
        return lambda *arguments: self._student.call(kept, arguments).value

    def _watch(self, exercise: Exercise, before: Sequence[Any], after: Sequence[Any]) -> None:
        names = list(inspect.signature(exercise.reference).parameters)
        for name, given, left in zip(names, before, after, strict=False):
            if isinstance(given, dict) and isinstance(left, dict):
                given.clear()
                given.update(left)
            elif not _identical(given, left):
                self.changed.append(name)


def _identical(given: Any, left: Any) -> bool:
    """Equal but for rounding: an entry that was stepped by h and back again counts as restored. Lists by their elements."""
    if isinstance(given, (list, tuple)):
        same_length = isinstance(left, (list, tuple)) and len(given) == len(left)
        return same_length and all(_identical(one, other) for one, other in zip(given, left, strict=True))
    if not isinstance(given, np.ndarray):
        return True  # numbers cannot be changed, functions and handles are not looked into
    if not isinstance(left, np.ndarray) or given.shape != left.shape:
        return False
    size = float(np.max(np.abs(given[np.isfinite(given)]), initial=0.0))
    return bool(np.allclose(given, left, rtol=0, atol=1e-12 * size, equal_nan=True))


def _in_form(exercise: Exercise, value: Any) -> Any:
    """The value as the exercise's tuple of results; a StudentError where it is none, or nothing at all."""
    parts = value if isinstance(value, (tuple, list)) else (value,)
    if all(part is None or isinstance(part, Handle) for part in parts) and any(part is None for part in parts):
        raise StudentError("not_started", RETURNED_NONE)
    wanted = exercise.returns
    if len(wanted) == 1:
        return value
    if not isinstance(value, (tuple, list)) or len(value) != len(wanted):
        raise StudentError("form", f"returned {describe(value)}, wanted {len(wanted)} results: {', '.join(wanted)}")
    return tuple(value)


@functools.cache
def _references() -> dict[str, Callable[..., Any]]:
    return {name: exercise.reference for name, exercise in COURSE.exercises.items()}


def play_reference() -> Play:
    """The course's own functions, ready to be played."""
    return Play(Trusted(_references()))


def play_misconception(misconception: Misconception) -> Play:
    """The course's own functions with one wrong idea among them."""
    return Play(Trusted({**_references(), **misconception.functions}))


def grade(exercise: Exercise | str, student: Student, seed: int = 0, trouble: str = "") -> Result:
    """Grade one exercise. Deterministic: the same student and seed give the same result.

    ``trouble`` is the reason why the function may be missing (the cell that defines it has a syntax error, say); it turns
    "not started" into "error". A call that hangs or ends the process costs this exercise's remaining checks, nothing else.
    """
    if isinstance(exercise, str):
        exercise = COURSE.exercises[exercise]
    if not student.defines(exercise.name):
        message = trouble or f"no function {exercise.name} here yet"
        return _unanswered(exercise, "error" if trouble else "not_started", message)

    trials: list[Trial] = []
    results: list[CheckResult] = []
    errors: list[StudentError] = []
    for number, check in enumerate(exercise.checks):
        if errors and errors[-1].kind in ("timeout", "crash"):
            results.append(_result(check, Evidence(False, "not run: an earlier call did not come back")))
            continue
        trial, evidence, error = _try(check, student, (seed, zlib.crc32(exercise.name.encode()), number))
        trials.append(trial)
        results.append(_result(check, evidence))
        if error:
            errors.append(error)

    if not any(r.points > 0 for r, check in zip(results, exercise.checks, strict=True) if not check.supporting):
        results = [
            _result(c, _unsupported(r)) if c.supporting else r for c, r in zip(exercise.checks, results, strict=True)
        ]
    status = _status(results, errors)
    if status == "not_started":
        return _unanswered(exercise, status, _explain(exercise, errors[0]))
    diagnosis = diagnose(exercise, trials, Play(student), play_misconception) if status == "failed" else ()
    remarks = tuple(dict.fromkeys(remark for result in results for remark in result.evidence.remarks))
    message = _explain(exercise, errors[0]) if status in ("error", "timeout") else ""
    return Result(exercise.name, status, tuple(results), diagnosis, remarks, message)


def _try(check: Check, student: Student, key: tuple[int, ...]) -> tuple[Trial, Evidence, StudentError | None]:
    """Run one check, or its alternatives where it does not hold; the first that holds counts, else the first of all."""
    first: tuple[Trial, Evidence, StudentError | None] | None = None
    for variant in (check, *check.alternatives):
        wanted = remembered(variant, key, None, play_reference)
        assert wanted is not None
        error = None
        try:
            seen = variant.observe(Play(student), np.random.default_rng(key))
            with np.errstate(all="ignore"):
                evidence = variant.judge(seen, wanted, np.random.default_rng(key))
        except StudentError as problem:
            seen, error = None, problem
            evidence = Evidence(False, problem.message)
        except Exception as problem:  # the reference went through this scenario: what came back is to blame
            seen, error = None, StudentError("form", f"what it returned cannot be used ({type(problem).__name__})")
            evidence = Evidence(False, error.message)
        outcome = Trial(variant, key, wanted, seen, evidence.passed), evidence, error
        if evidence.passed:
            return outcome
        if first is None or (first[2] is not None and error is None):
            first = outcome
        if error is not None and error.kind in ("timeout", "crash"):
            break
    assert first is not None
    return first


def _result(check: Check, evidence: Evidence) -> CheckResult:
    points = check.points if evidence.passed else round(check.points * evidence.credit, 1)
    return CheckResult(check.claim, points, check.points, evidence)


def _unsupported(result: CheckResult) -> Evidence:
    return Evidence(False, "counts as soon as another claim holds") if result.evidence.passed else result.evidence


def _status(results: Sequence[CheckResult], errors: Sequence[StudentError]) -> Status:
    if all(result.evidence.passed for result in results):
        return "passed"
    if any(error.kind == "timeout" for error in errors):
        return "timeout"
    if len(errors) < len(results) and not any(error.kind == "crash" for error in errors):
        return "failed"
    return "not_started" if all(error.kind in ("not_started", "missing") for error in errors) else "error"


def _explain(exercise: Exercise, error: StudentError) -> str:
    """What to say of the whole function when nothing of it could be judged."""
    elsewhere = error.function not in ("", exercise.name)
    if error.kind in ("not_started", "missing"):
        if elsewhere:
            return f"it needs your {error.function} first"
        return error.message if error.message == RETURNED_NONE else ""
    return f"{error.function}: {error.message}" if elsewhere else error.message


def _unanswered(exercise: Exercise, status: Status, message: str) -> Result:
    return Result(
        exercise.name, status, tuple(_result(check, Evidence(False)) for check in exercise.checks), message=message
    )
