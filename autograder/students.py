"""A notebook's own namespace as a source of student functions, with the same manners as the sandbox.

In a student's notebook their functions are called where they are: no process, no time limit (there is a stop button), but the
same copies in and plain data out, so that a check sees there what it will see when the submission is graded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any

import numpy as np

from autograder.exercise import Answer, ErrorKind, Handle, StudentError
from autograder.sandbox import wire


class _Kept:
    """Holds what stays with the student: compared and hashed by identity, whatever the object itself would say."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing


class _Lent:
    """A function of the engine's as the student's function sees it: plain copies in, plain copies out."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        try:
            positional = [_handed_on(argument) for argument in arguments]
            named = {name: _handed_on(argument) for name, argument in keywords.items()}
        except wire.NotPlain as problem:
            raise TypeError(f"this function takes arrays and numbers, not {problem}") from None
        return wire.plain(self.function(*positional, **named))


def _handed_on(argument: Any) -> Any:
    """What a student's function gives to a function that it was lent: a copy of data, a random generator as it is."""
    return argument if isinstance(argument, np.random.Generator) else wire.plain(argument)


class NamespaceStudent:
    """The functions in a namespace, such as a notebook's `globals()`, as a `Student`."""

    def __init__(self, namespace: Mapping[str, Any]) -> None:
        self._namespace = namespace

    def defines(self, name: str) -> bool:
        """Whether there is a function of that name."""
        return callable(self._namespace.get(name))

    def call(self, function: str | Handle, arguments: Sequence[Any], keep: Sequence[int] = ()) -> Answer:
        """Call a function of the notebook's. See `autograder.exercise.Student.call`; `KeyboardInterrupt` passes through."""
        called = self._find(function)
        given = [_hand_in(argument) for argument in arguments]
        with wire.quiet() as printed:
            try:
                result = called(*given)
            except KeyboardInterrupt:
                raise
            except BaseException as problem:
                kind: ErrorKind = "not_started" if wire.unwritten(problem) else "raised"
                raise StudentError(kind, self._say(problem, called)) from problem
        try:
            value = wire.hand_out(result, keep, _keep)
        except wire.NotPlain as problem:
            raise StudentError("not_plain", f"returned {problem}") from None
        try:
            left = tuple([_hand_back(was, now) for was, now in zip(arguments, given, strict=True)])
        except wire.NotPlain as problem:
            raise StudentError("not_plain", f"left {problem} in an argument") from None
        return Answer(value, left, printed.text)

    def _find(self, function: str | Handle) -> Any:
        if isinstance(function, Handle):
            return _hand_in(function)
        if not self.defines(function):
            raise StudentError("missing", f"{function} is not defined")
        return self._namespace[function]

    def _say(self, problem: BaseException, called: Any) -> str:
        """The exception in one line, with the innermost line that is the student's own."""
        file = getattr(getattr(called, "__code__", None), "co_filename", None)

        def own(frame: FrameType) -> bool:
            return frame.f_globals is self._namespace or frame.f_code.co_filename == file

        place = wire.innermost(problem, own)
        where = f" ({place[0].f_code.co_name}, line {place[1]})" if place else ""
        return wire.describe(problem) + where


def _keep(thing: Any) -> Any:
    """A handle for what stays here; a function that was lent comes back as what it is outside."""
    if isinstance(thing, np.random.Generator):
        return thing
    return thing.function if isinstance(thing, _Lent) else Handle(_Kept(thing))


def _hand_in(argument: Any) -> Any:
    """An argument as the student's function gets it: a fresh copy, the kept object itself, or a function to call."""
    return wire.plain(argument, _unwrap)


def _unwrap(value: Any) -> Any:
    if isinstance(value, Handle):
        if not isinstance(value.key, _Kept):
            raise StudentError("crash", "the object belongs to another process")
        return value.key.thing
    if isinstance(value, np.random.Generator):
        return value  # the caller's own: it is advanced as the student draws from it
    if callable(value):
        return _Lent(value)
    raise wire.NotPlain(f"{type(value).__name__} is not plain data, a function or a random generator")


def _hand_back(was: Any, now: Any) -> Any:
    """An argument as the student's function left it."""
    return was if isinstance(was, Handle) else wire.plain(now, _keep)
