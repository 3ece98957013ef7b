"""The page of all exercises, `docs/exercises.md`: what each asks, its claims and points. Made from the exercises themselves."""

from __future__ import annotations

import inspect

from autograder.exercises import COURSE

PAGE = "docs/exercises.md"


def reference_page() -> str:
    """The page as Markdown. The same course gives the same bytes."""
    lines = [
        "# All exercises",
        "",
        "Made by `autograder build` from `autograder/exercises/`; do not edit. Conventions stand in each notebook's",
        "convention card. A claim's points are given in full or not at all; a function's points are the sum.",
    ]
    for assignment, names in COURSE.assignments.items():
        exercises = [COURSE.exercises[name] for name in names]
        lines += ["", f"## {assignment} ({sum(exercise.points for exercise in exercises):g} points)"]
        for exercise in exercises:
            parameters = ", ".join(str(p).split(":")[0] + _default(p) for p in _parameters(exercise.reference))
            lines += ["", f"### `{exercise.name}({parameters})` → {', '.join(exercise.returns)}", "", exercise.asks, ""]
            lines += ["| points | claim |", "| ---: | --- |"]
            lines += [f"| {check.points:g} | {check.claim.replace('|', chr(92) + '|')} |" for check in exercise.checks]
            known = len(exercise.misconceptions)
            lines += ["", f"Recognises {known} known mistakes by their numbers."] if known else []
    return "\n".join(lines) + "\n"


def _parameters(function: object) -> list[inspect.Parameter]:
    assert callable(function)
    return list(inspect.signature(function).parameters.values())


def _default(parameter: inspect.Parameter) -> str:
    return "" if parameter.default is inspect.Parameter.empty else f"={parameter.default!r}"
