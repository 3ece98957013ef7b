"""The verdict: play every check of an exercise with a student's functions and hold it against the reference.

Knows nothing of notebooks, files or processes; all it needs is a `Student`. The same function serves the notebook, the
command and nbgrader.
"""

from __future__ import annotations

import copy
import functools
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autograder.compare import describe, matches
from autograder.diagnosis import Trial, diagnose, remembered
from autograder.exercise import (
    Answer,
    Check,
    CheckResult,
    Diagnosis,
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
COMES_FROM = "comes-from-another-function"
"""The id of a diagnosis that names the function to mend first, in place of a mistake that is named there."""

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
    """A copy of data; a callable as it is, since the scenario may count its calls; a random generator as it is, since it goes
    on where a call has left it; what a handle stands for."""
    if isinstance(argument, Handle):
        return argument.key
    return argument if callable(argument) or isinstance(argument, np.random.Generator) else copy.deepcopy(argument)


class Play:
    """Plays functions by name (see `autograder.exercise.Functions`) and watches what happens to their arguments."""

    def __init__(self, student: Student) -> None:
        self._student = student
        self.changed: list[str] = []
        self.unset: list[str] = []
        """The results, of several, that came back as None: not written yet, it seems."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in COURSE.exercises:
            raise AttributeError(name)
        return functools.partial(self._play, COURSE.exercises[name])

    def _play(self, exercise: Exercise, *arguments: Any) -> Any:
        keep = tuple(k for k, result in enumerate(exercise.returns) if result in KEPT)
        try:
            answer = self._student.call(exercise.name, arguments, keep)
            self._watch(exercise, arguments, answer.arguments)
            value = self._in_form(exercise, answer.value, arguments)
        except StudentError as error:
            error.function = error.function or exercise.name
            raise
        return self._function(value) if exercise.returns == ("schedule",) else value

    def _in_form(self, exercise: Exercise, value: Any, arguments: Sequence[Any]) -> Any:
        """The value as the exercise's tuple of results; a StudentError where it is none, or nothing at all."""
        parts, wanted = value if isinstance(value, (tuple, list)) else (value,), exercise.returns
        empty = [part is None for part in parts]
        if any(empty) and all(part is None or isinstance(part, Handle) for part in parts):
            if len(parts) != len(wanted) or all(empty):
                raise _Unwritten(RETURNED_NONE)
            if self._swapped(exercise, arguments):
                raise StudentError("form", f"returned None, then an array; wanted {' and '.join(wanted)}, in this order")
            raise _Unwritten(_not_written(wanted[empty.index(True)]))
        if len(wanted) == 1:
            return value
        if not isinstance(value, (tuple, list)) or len(value) != len(wanted):
            raise StudentError("form", f"returned {describe(value)}, wanted {len(wanted)} results: {', '.join(wanted)}")
        self.unset += [name for name, none in zip(wanted, empty, strict=True) if none]
        return tuple(value)

    def _swapped(self, exercise: Exercise, arguments: Sequence[Any]) -> bool:
        """Whether what stands second, where the cache should be, is an array that was computed: no stub has one."""
        try:
            _, second = self._student.call(exercise.name, arguments).value
        except (StudentError, TypeError, ValueError):
            return False
        given = [argument for argument in arguments if isinstance(argument, np.ndarray)]
        return isinstance(second, np.ndarray) and not any(_identical(array, second) for array in given)

    def _function(self, kept: Any) -> Callable[..., Any]:
        """A function that the student returned, ready to be called."""
        if not isinstance(kept, Handle):
            raise StudentError("form", f"returned {describe(kept)}, wanted a function of t")
        return lambda *arguments: self._student.call(kept, arguments).value

    def _watch(self, exercise: Exercise, before: Sequence[Any], after: Sequence[Any]) -> None:
        for name, given, left in zip(exercise.parameters, before, after, strict=False):
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
    if np.array_equal(given, left):
        return True  # nearly always so, and far quicker than what follows
    size = float(np.max(np.abs(given[np.isfinite(given)]), initial=0.0))
    return bool(np.allclose(given, left, rtol=0, atol=1e-12 * size, equal_nan=True))


class _Unwritten(StudentError):
    """A result is None where there should be one; unlike a stub's own exception, this is worth telling."""

    def __init__(self, message: str) -> None:
        super().__init__("not_started", message)


def _references() -> dict[str, Callable[..., Any]]:
    return {name: exercise.reference for name, exercise in COURSE.exercises.items()}


def _not_written(name: str) -> str:
    return f"{name} is None: not written yet, or not returned"


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

    outcomes: list[Outcome] = []
    for number in range(len(exercise.checks)):
        last = outcomes[-1].error if outcomes else None
        if last is not None and last.kind in ("timeout", "crash"):
            break
        outcomes.append(try_check(exercise, number, student, seed))

    lost = Evidence(False, "not run: an earlier call did not come back")
    evidence = [outcome.evidence for outcome in outcomes] + [lost] * (len(exercise.checks) - len(outcomes))
    results = [_result(check, each) for check, each in zip(exercise.checks, evidence, strict=True)]
    if not any(r.points > 0 for r, check in zip(results, exercise.checks, strict=True) if not check.supporting):
        results = [
            _result(c, _unsupported(r)) if c.supporting else r for c, r in zip(exercise.checks, results, strict=True)
        ]
    status = _status(exercise, results, outcomes)
    first = next((outcome.error for outcome in outcomes if outcome.error), None)
    if first is not None and status == "error" and (lower := _unwritten_below(exercise, first, student, seed)):
        return _unanswered(exercise, "not_started", f"it needs your {lower} first")
    if first is not None and status == "not_started":
        return _unanswered(exercise, status, _explain(exercise, first))

    diagnosis: tuple[Diagnosis, ...] = ()
    if status == "failed":
        diagnosis = diagnose(exercise, [outcome.trial for outcome in outcomes], Play(student), play_misconception)
    if status in ("failed", "error") and len(outcomes) == len(exercise.checks):
        diagnosis = _from_below(exercise, outcomes, diagnosis, student, seed) or diagnosis
    remarks = [remark for result in results for remark in result.evidence.remarks]
    if status in ("passed", "failed"):
        remarks += [remark for outcome in outcomes if outcome.trial.passed for remark in _remarks(outcome.trial, student)]
    message = _explain(exercise, first) if first is not None and status in ("error", "timeout") else ""
    return Result(exercise.name, status, tuple(results), diagnosis, _briefly(remarks), message)


@dataclass(frozen=True)
class Outcome:
    """How one check went: what it saw, what it makes of that, and why there was nothing to see."""

    trial: Trial
    evidence: Evidence
    error: StudentError | None = None


def try_check(exercise: Exercise, number: int, student: Student, seed: int = 0) -> Outcome:
    """One check of an exercise by itself, as `grade` plays it with that seed."""
    return _try(exercise.checks[number], student, (seed, zlib.crc32(exercise.name.encode()), number))


def _try(check: Check, student: Student, key: tuple[int, ...]) -> Outcome:
    """Run one check, or its alternatives where it does not hold; the first that holds counts, else the first of all."""
    first: Outcome | None = None
    for variant in (check, *check.alternatives):
        outcome = _try_one(variant, student, key)
        if outcome.evidence.passed:
            return outcome
        if first is None or (first.trial.seen is None and outcome.trial.seen is not None):
            first = outcome
        if outcome.error is not None and outcome.error.kind in ("timeout", "crash"):
            break
    assert first is not None
    return first


def _try_one(check: Check, student: Student, key: tuple[int, ...]) -> Outcome:
    wanted = remembered(check, key, None, play_reference)
    assert wanted is not None
    play, seen = Play(student), None
    error: StudentError | None = None
    try:
        seen = check.observe(play, np.random.default_rng(key))
        with np.errstate(all="ignore"):
            evidence = check.judge(seen, wanted, np.random.default_rng(key))
        if not evidence.passed and play.unset and any(seen[name] is None and wanted[name] is not None for name in wanted):
            error = _Unwritten(_not_written(play.unset[0]))
    except StudentError as problem:
        seen, error, evidence = None, problem, Evidence(False, problem.message)
    except Exception as problem:  # the reference went through this scenario: what came back is to blame
        unusable = StudentError("form", f"what it returned cannot be used ({type(problem).__name__})")
        error = _Unwritten(_not_written(play.unset[0])) if play.unset else unusable
        seen, evidence = None, Evidence(False, error.message)
    raised = error is not None and error.kind == "raised"
    return Outcome(Trial(check, key, wanted, seen, evidence.passed, raised), evidence, error)


def _remarks(trial: Trial, student: Student) -> tuple[str, ...]:
    """What else there is to say of a function whose claim holds; nothing where playing it once more fails."""
    if trial.check.remarks is None:
        return ()
    try:
        return trial.check.remarks(Play(student), trial.seed())
    except Exception:
        return ()


def _briefly(remarks: Sequence[str]) -> tuple[str, ...]:
    """Each remark once; of those that say the same of several values only the first, with how many there are."""
    alike: dict[str, list[str]] = {}
    for remark in dict.fromkeys(remarks):
        about = next((part for part in (" came back as ", " has shape ") if part in remark), "")
        alike.setdefault(about + remark.partition(about)[2] if about else remark, []).append(remark)
    return tuple(first + (f" ({len(more)} more like it.)" if more else "") for first, *more in alike.values())


def _result(check: Check, evidence: Evidence) -> CheckResult:
    points = check.points if evidence.passed else round(check.points * evidence.credit, 1)
    return CheckResult(check.claim, points, check.points, evidence)


def _unsupported(result: CheckResult) -> Evidence:
    return Evidence(False, "counts as soon as another claim holds") if result.evidence.passed else result.evidence


def _status(exercise: Exercise, results: Sequence[CheckResult], outcomes: Sequence[Outcome]) -> Status:
    kinds = {outcome.error.kind for outcome in outcomes if outcome.error}
    if all(result.evidence.passed for result in results):
        return "passed"
    if "timeout" in kinds:
        return "timeout"
    if "crash" in kinds:
        return "error"
    proper = [o.error for o, check in zip(outcomes, exercise.checks, strict=True) if not check.supporting]
    if all(error is not None and error.kind in ("not_started", "missing") for error in proper):
        return "not_started"
    return "error" if all(outcome.error for outcome in outcomes) else "failed"


# --- one mistake, named once ------------------------------------------------------------------------------------------


class _Direct(Play):
    """Plays functions as one function calls another: an array that is changed is changed for the caller, too."""

    def _watch(self, exercise: Exercise, before: Sequence[Any], after: Sequence[Any]) -> None:
        super()._watch(exercise, before, after)
        for given, left in zip(before, after, strict=False):
            if isinstance(given, np.ndarray) and not _identical(given, left) and np.shape(left) == given.shape:
                given[...] = left


class _Rebuilt:
    """A student's functions, but where the course knows how to build one of them from the others, it is built so."""

    def __init__(self, student: Student) -> None:
        self._student = student

    def defines(self, name: str) -> bool:
        return self._student.defines(name)

    def call(self, function: str | Handle, arguments: Sequence[Any], keep: Sequence[int] = ()) -> Answer:
        exercise = COURSE.exercises.get(function) if isinstance(function, str) else None
        built = exercise is not None and all(self._student.defines(name) for name in exercise.builds_on)
        if exercise is None or exercise.composed is None or not built:
            return self._student.call(function, arguments, keep)
        given = [argument.copy() if isinstance(argument, (dict, np.ndarray)) else argument for argument in arguments]
        try:
            with np.errstate(all="ignore"):
                value = exercise.composed(_Direct(self._student))(*given)
        except StudentError:
            raise
        except Exception as problem:  # what the function below returned cannot be used
            raise StudentError("raised", type(problem).__name__) from problem
        return Answer(value, tuple(given))


def _from_below(
    exercise: Exercise, outcomes: Sequence[Outcome], named: Sequence[Diagnosis], student: Student, seed: int
) -> tuple[Diagnosis, ...]:
    """The function to mend first, where what is wrong here comes from one that is wrong and that this one builds on.

    It does where a right function, built from the student's own, fails in the same claims with the same numbers or the
    same exception. That is found out from outside: nothing of the course's goes to where the student's code is. Where the
    course cannot build the function so, the same known mistake in both must do, or none here.
    """
    lost = [outcome for outcome in outcomes if not outcome.evidence.passed]
    if not exercise.builds_on or not all(student.defines(name) for name in exercise.builds_on):
        return ()
    rebuilt = _Rebuilt(student)
    if exercise.composed is not None and not all(
        _same_failure(outcome, _try_one(outcome.trial.check, rebuilt, outcome.trial.key)) for outcome in lost
    ):
        return ()
    for name in exercise.builds_on:
        below = grade(name, student, seed)
        if below.status in ("passed", "not_started"):
            continue
        cause = next((diagnosis.cause for diagnosis in below.diagnosis if diagnosis.cause), name)
        if exercise.composed is not None:
            message = f"Comes from your {cause}, or is the same mistake as there: mend {cause} first."
        elif not named or {diagnosis.id for diagnosis in named} & {diagnosis.id for diagnosis in below.diagnosis}:
            message = f"Your {cause} is not right yet, and this may come from there: mend {cause} first."
        else:
            continue
        return (Diagnosis(COMES_FROM, message, cause),)
    return ()


def _same_failure(one: Outcome, other: Outcome) -> bool:
    if one.trial.seen is None or other.trial.seen is None:
        if one.error is None or other.error is None or one.trial.seen is not other.trial.seen:
            return False
        kinds = [(error.kind, error.message.partition(":")[0]) for error in (one.error, other.error)]
        return kinds[0] == kinds[1]  # of exceptions the type: one of two places may have raised it
    return not other.evidence.passed and matches(one.trial.seen, other.trial.seen)


def _unwritten_below(exercise: Exercise, error: StudentError, student: Student, seed: int) -> str:
    """The function that this one stumbled over, because it calls it and it is not written yet; empty if there is none."""
    if error.kind != "raised" or "NoneType" not in error.message:
        return ""
    called = [exercise, *(COURSE.exercises[name] for name in exercise.needs)]
    waiting = (name for each in called for name in each.builds_on if student.defines(name))
    return next((name for name in waiting if grade(name, student, seed).status == "not_started"), "")


# --- words ------------------------------------------------------------------------------------------------------------


def _explain(exercise: Exercise, error: StudentError) -> str:
    """What to say of the whole function when nothing of it could be judged."""
    elsewhere = error.function not in ("", exercise.name)
    if error.kind in ("not_started", "missing"):
        if elsewhere:
            return f"it needs your {error.function} first"
        return error.message if isinstance(error, _Unwritten) else ""
    return f"{error.function}: {error.message}" if elsewhere else error.message


def _unanswered(exercise: Exercise, status: Status, message: str) -> Result:
    return Result(
        exercise.name, status, tuple(_result(check, Evidence(False)) for check in exercise.checks), message=message
    )
