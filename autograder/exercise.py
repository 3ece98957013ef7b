"""What an exercise is, what grading one gives back, and what a source of student functions must offer.

Everything else in the package is built from these few frozen records; this module imports nothing of the package.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np

Observations = dict[str, Any]
"""What a check looked at: a name for each value, in the order in which a reader should hear of them."""


class Functions(Protocol):
    """The functions of a course, played by name: ``play.batchnorm_forward(x, gamma, beta, bn_param)``.

    A check never knows whether it plays the reference, a misconception or a student. Arrays are handed over as copies,
    a dict argument is written back after the call, and a ``cache`` comes back as an opaque handle.
    """

    changed: list[str]
    """Names of the array arguments that some call so far has changed, as ``"function: argument"``."""

    def __getattr__(self, name: str) -> Callable[..., Any]: ...


Observe = Callable[[Functions, np.random.Generator], Observations]
"""Plays a scenario drawn from the generator and returns what is to be compared. Must draw the same whatever it sees."""


@dataclass(frozen=True)
class Evidence:
    """What one check saw.

    ``error`` and ``tolerance`` are relative to the scale of the wanted values; ``heat`` is the size of the error in every
    entry of a wrong gradient, for a picture of where it is wrong. ``credit`` is the share of the points that a claim of
    degree (an accuracy) earns although it does not hold in full.
    """

    passed: bool
    message: str = ""
    error: float | None = None
    tolerance: float | None = None
    remarks: tuple[str, ...] = ()
    heat: np.ndarray | None = None
    credit: float = 0.0


Judge = Callable[[Observations, Observations, np.random.Generator], Evidence]
"""Compares what was seen with what the reference shows. The generator is seeded as the scenario's was."""


@dataclass(frozen=True)
class Check:
    """One claim about a function, in plain words, and how to find out whether it holds.

    ``alternatives`` are further scenarios for the same claim, where more than one convention is right (gamma of shape
    (C,) or (1, C, 1, 1)): the claim holds when one of them does. ``consistent`` plays a student's functions and tells
    whether a wrong answer is at least right for that student's OWN functions: the exact gradient of a wrong forward.
    ``remarks`` plays a student's functions once more where the claim holds, and says what costs no points.
    A ``supporting`` claim (inputs stay as they were) holds for a function that does nothing: it earns its points only
    where some other claim of the exercise holds.
    """

    claim: str
    points: float
    observe: Observe
    judge: Judge
    alternatives: tuple[Check, ...] = ()
    consistent: Callable[[Functions, np.random.Generator], bool] | None = None
    supporting: bool = False
    remarks: Callable[[Functions, np.random.Generator], tuple[str, ...]] | None = None


@dataclass(frozen=True)
class Misconception:
    """A wrong idea that can be run: ``functions`` stand in for the reference's, and the message is for the student."""

    id: str
    message: str
    functions: Mapping[str, Callable[..., Any]]


@dataclass(frozen=True)
class Exercise:
    """All that the course knows about one function.

    ``returns`` names the results in order; one called ``"cache"`` stays with the student and is never looked into.
    ``needs`` names the student's functions that the checks call besides this one; ``builds_on`` those that a student may
    well call from it, so that a mistake there shows here too. ``composed`` is this function written with those, played
    by name: what a right answer gives that calls them. A wrong answer that equals it is wrong because of them.
    """

    name: str
    asks: str
    reference: Callable[..., Any]
    returns: tuple[str, ...]
    checks: tuple[Check, ...]
    misconceptions: tuple[Misconception, ...] = ()
    hints: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    builds_on: tuple[str, ...] = ()
    composed: Callable[[Functions], Callable[..., Any]] | None = None

    @property
    def points(self) -> float:
        """The sum of the checks' points."""
        return sum(check.points for check in self.checks)

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The names of the arguments, in order."""
        return tuple(inspect.signature(self.reference).parameters)


Status = Literal["passed", "failed", "not_started", "error", "timeout"]


@dataclass(frozen=True)
class CheckResult:
    """One check's claim, the points it earned and why."""

    claim: str
    points: float
    max_points: float
    evidence: Evidence


@dataclass(frozen=True)
class Diagnosis:
    """The likely mistake: the id of a misconception and the sentence for the student.

    ``cause`` names the function to mend first where the mistake is another's.
    """

    id: str
    message: str
    cause: str = ""


@dataclass(frozen=True)
class Result:
    """The verdict on one exercise."""

    exercise: str
    status: Status
    checks: tuple[CheckResult, ...]
    diagnosis: tuple[Diagnosis, ...] = ()
    remarks: tuple[str, ...] = ()
    message: str = ""
    """One line about the whole function where there is something to say: why it was not started, or could not run."""

    @property
    def points(self) -> float:
        return sum(check.points for check in self.checks)

    @property
    def max_points(self) -> float:
        return sum(check.max_points for check in self.checks)


ErrorKind = Literal["missing", "not_started", "raised", "timeout", "crash", "not_plain", "form"]


class StudentError(Exception):
    """A call of a student's function gave no answer.

    ``kind``: ``missing`` (no such function), ``not_started`` (NotImplementedError), ``raised`` (any other exception),
    ``timeout``, ``crash`` (the process ended), ``not_plain`` (an answer that is not numbers, text or containers of them),
    ``form`` (a wrong number of results).
    """

    def __init__(self, kind: ErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.function = ""
        """The exercise whose function was called; the engine fills it in."""


@dataclass(frozen=True)
class Handle:
    """An object that stays with the student (a cache, a function it returned); only its owner knows what is behind it."""

    key: Any


@dataclass(frozen=True)
class Answer:
    """What a call came back with: the result as plain data, the arguments as they were left, and what was printed."""

    value: Any
    arguments: tuple[Any, ...]
    printed: str = ""


@dataclass(frozen=True)
class CellOutcome:
    """What happened when one cell or file of a submission ran: ``error`` is one line, empty when all went well."""

    name: str
    printed: str = ""
    error: str = ""
    skipped: bool = False
    """True where the cell hung or ended the process and was therefore left out when the functions were called."""


class Student(Protocol):
    """Where a student's functions live: a notebook's namespace or a sandboxed process. One interface for the engine."""

    def defines(self, name: str) -> bool:
        """Whether there is a function of that name."""
        ...

    def call(self, function: str | Handle, arguments: Sequence[Any], keep: Sequence[int] = ()) -> Answer:
        """Call a function with plain data, handles from earlier answers, and callables as arguments.

        ``keep`` lists the positions of the returned tuple that stay with the student and come back as handles
        (``keep=(0,)`` also for a function that returns one kept object and no tuple).
        Raises `StudentError` when there is no answer.
        """
        ...


@dataclass
class Course:
    """Exercises by name, in course order, and the names that belong to each assignment."""

    exercises: dict[str, Exercise] = field(default_factory=dict)
    assignments: dict[str, tuple[str, ...]] = field(default_factory=dict)
