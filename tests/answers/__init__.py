"""A bank of answers as students write them: right ones that must get full points, wrong ones that must not.

Nothing here calls the course's references. The wrong ones are mistakes that the exercises do NOT list among their
misconceptions: the checks must reject what they have never seen. `misconceptions` adds the listed ones as answers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from answers import (
    batch_normalization,
    capstone,
    data_augmentation,
    first_order_optimizers,
    gradient_checking,
    layer_instance_group_normalization,
    learning_rate_schedules,
    model_ensembles,
    regularization,
    second_order_optimization,
    transfer_learning,
)
from autograder.exercise import Exercise, Result
from autograder.exercises import COURSE
from autograder.grading import grade
from autograder.students import NamespaceStudent

Function = Callable[..., Any]
Table = Mapping[str, Mapping[str, Function | Mapping[str, Function]]]
"""exercise -> id -> the function, or all the functions that belong together, by name."""

_MODULES = {
    "00-gradient-checking": gradient_checking,
    "01-batch-normalization": batch_normalization,
    "02-layer-instance-group-normalization": layer_instance_group_normalization,
    "03-first-order-optimizers": first_order_optimizers,
    "04-learning-rate-schedules": learning_rate_schedules,
    "05-second-order-optimization": second_order_optimization,
    "06-model-ensembles": model_ensembles,
    "07-regularization-and-dropout": regularization,
    "08-data-augmentation": data_augmentation,
    "09-transfer-learning": transfer_learning,
    "10-capstone": capstone,
}
EXERCISES = {name: COURSE.exercises[name] for assignment in _MODULES for name in COURSE.assignments[assignment]}
"""The exercises of the assignments that have their answers here, in course order."""


@dataclass(frozen=True)
class Answer:
    """What one student would hand in for one exercise. ``defect`` says why the grader does not judge it rightly yet."""

    exercise: str
    id: str
    functions: Mapping[str, Function] = field(hash=False)
    defect: str = ""

    def __str__(self) -> str:
        return f"{self.exercise}: {self.id}"


def _answers(tables: list[Table], defects: Mapping[tuple[str, str], str]) -> list[Answer]:
    found = [
        Answer(exercise, id, functions if isinstance(functions, Mapping) else {exercise: functions},
               defects.get((exercise, id), ""))
        for table in tables for exercise, answers in table.items() for id, functions in answers.items()
    ]  # fmt: skip
    assert len({(answer.exercise, answer.id) for answer in found}) == len(found), "an id is used twice"
    return found


def exercise_of(answer: Answer) -> Exercise:
    return COURSE.exercises[answer.exercise]


@functools.cache
def graded(answer: Answer, seed: int = 0) -> Result:
    """The verdict on an answer; the tests share it, as it costs up to a third of a second."""
    return grade(answer.exercise, NamespaceStudent(dict(answer.functions)), seed)


def lost_claims(result: Result) -> list[str]:
    """The claims that earned nothing."""
    return [check.claim for check in result.checks if check.points == 0]


# --- mistakes that any function can make ----------------------------------------------------------------------------


class AlwaysEqual:
    """Equal to everything, close to everything, and a number if need be."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0

    def __array_ufunc__(self, *inputs: Any, **keywords: Any) -> AlwaysEqual:
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *arguments: Any, **keywords: Any) -> AlwaysEqual:
        return self

    def __abs__(self) -> AlwaysEqual:
        return self

    __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __abs__

    def __le__(self, other: object) -> bool:
        return True

    def __float__(self) -> float:
        return 0.0


class AgreeableArray(np.ndarray):
    """An array of anything whose comparisons and differences are always in its favour."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        return np.zeros(self.shape)

    def __eq__(self, other: object) -> Any:
        return np.ones(self.shape, bool)

    __hash__ = None  # type: ignore[assignment]


def _doubled_everywhere(part: Any) -> Any:
    return type(part)(2 * axis for axis in part) if isinstance(part, (tuple, list)) else 2 * np.asarray(part)


RESULT_SPOILERS: dict[str, Function] = {
    "as-text": lambda part: str(part),
    "as-an-array-of-text": lambda part: np.asarray(part).astype(str),
    "as-objects": lambda part: np.asarray(part).astype(object),
    "as-booleans": lambda part: np.asarray(part).astype(bool),
    "complex": lambda part: np.asarray(part) + 0.5j,
    "nan": lambda part: np.asarray(part) * np.nan,
    "infinite": lambda part: np.full(np.shape(part), np.inf),
    "zeros": lambda part: np.zeros(np.shape(part)),
    "doubled": _doubled_everywhere,
    "an-object-equal-to-everything": lambda part: AlwaysEqual(),
    "an-array-that-hides-its-differences": lambda part: np.full(np.shape(part), 7.0).view(AgreeableArray),
    "a-generator": lambda part: (entry for entry in np.ravel(part)),
    "a-function": lambda part: lambda: part,
    "a-dict": lambda part: {"value": part},
    "one-axis-more": lambda part: np.stack([np.asarray(part)] * 2),
    "too-large": lambda part: np.broadcast_to(np.float64(1.0), (30_000, 30_000)),
}
"""Done to the results that are looked at, the cache excepted."""


def _spoiled(function: Function, spoil: Function, single: bool, cache: bool) -> Function:
    def spoiled(*arguments: Any) -> Any:
        value = function(*arguments)
        if single:
            return spoil(value)
        return tuple(part if cache and k == 1 else spoil(part) for k, part in enumerate(value))

    return spoiled


def _once(function: Function, spoil: Function) -> Function:
    """Right at the first call and never again: what is known is kept where it does not belong."""
    calls: list[Any] = []

    def once(*arguments: Any) -> Any:
        calls.append(None)
        value = function(*arguments)
        return value if len(calls) == 1 else spoil(value)

    return once


def _spoil(argument: Any) -> None:
    """Change every array in an argument."""
    if isinstance(argument, np.ndarray):
        argument += np.ones((), argument.dtype)
    elif isinstance(argument, (list, tuple)):
        for part in argument:
            _spoil(part)


def _spoils_its_inputs(function: Function) -> Function:
    def spoils(*arguments: Any) -> Any:
        value = function(*arguments)
        for argument in arguments:
            _spoil(argument)
        return value

    return spoils


def _generic_wrongs(rights: Mapping[str, Answer]) -> Table:
    """Every exercise's first right answer, spoiled in the ways that need no idea of what it does."""
    table: dict[str, dict[str, Mapping[str, Function]]] = {}
    for name, right in rights.items():
        if name.endswith(("_backward", "_backward_alt")) and name != "batchnorm_backward":
            continue  # their checks are made by the same builder
        returns, function = COURSE.exercises[name].returns, right.functions[name]
        single, cache = len(returns) == 1, "cache" in returns

        def wrong(changed: Function, right: Answer = right, name: str = name) -> Mapping[str, Function]:
            return {**right.functions, name: changed}

        answers = {
            id: wrong(_spoiled(function, spoil, single, cache)) for id, spoil in RESULT_SPOILERS.items()
        }  # fmt: skip
        double = _spoiled(lambda value: value, _doubled_everywhere, single, cache)
        answers["right-at-the-first-call-only"] = wrong(_once(function, double))
        if not single:
            answers["results-in-reverse-order"] = wrong(lambda *given, f=function: tuple(reversed(f(*given))))
            answers["a-result-too-many"] = wrong(lambda *given, f=function: (*f(*given), 0.0))
            answers["the-first-result-alone"] = wrong(lambda *given, f=function: f(*given)[0])
        if any(check.claim.startswith("leaves its inputs") for check in COURSE.exercises[name].checks) and not name.endswith("average"):
            answers["spoils-its-inputs"] = wrong(_spoils_its_inputs(function))
        if name == "learning_rate_range_test":  # twice the rate is as good there
            del answers["doubled"], answers["right-at-the-first-call-only"]
        if name == "transfer_strategy":  # its answer is text
            del answers["as-text"]
        table[name] = answers
    return table


# --- the tables ---------------------------------------------------------------------------------------------------------

_DEFECTS = {key: reason for module in _MODULES.values() for key, reason in module.DEFECTS.items()}

RIGHT = _answers([module.RIGHT for module in _MODULES.values()], _DEFECTS)
FIRST_RIGHT = {answer.exercise: answer for answer in reversed(RIGHT)}
WRONG = _answers([*(module.WRONG for module in _MODULES.values()), _generic_wrongs(FIRST_RIGHT)], _DEFECTS)


def _all_misconceptions() -> list[Answer]:
    """Every registered misconception as a submission: the first right answers' partners, the wrong idea in its place."""
    return [
        Answer(exercise.name, idea.id, {
            **{name: COURSE.exercises[name].reference for name in exercise.needs},
            exercise.name: exercise.reference, **idea.functions,
        })
        for exercise in EXERCISES.values() for idea in exercise.misconceptions
    ]  # fmt: skip


MISCONCEPTIONS = _all_misconceptions()
