"""One submission from cells to verdicts: its code runs apart, every function that is asked for is judged from outside.

The command and the nbgrader plug-in both end here, so that a file gets the same verdict by either way.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from autograder.exercise import CellOutcome, Result
from autograder.exercises import COURSE
from autograder.grading import grade
from autograder.sandbox import Cell, Limits, Sandbox


@dataclass(frozen=True)
class Graded:
    """The verdicts, how each cell fared, whether the student's code was kept apart from the machine, and the time it took."""

    results: tuple[Result, ...]
    outcomes: tuple[CellOutcome, ...]
    isolated: bool
    seconds: float = 0.0


def grade_cells(
    cells: Sequence[Cell],
    exercises: Sequence[str] | None = None,
    *,
    seed: int = 0,
    limits: Limits | None = None,
    require_sandbox: bool = False,
) -> Graded:
    """Run the cells in the sandbox and grade the exercises named, or all whose functions the cells have.

    Raises `autograder.sandbox.SandboxUnavailable` where isolation is required and not to be had.
    """
    started = time.perf_counter()
    with Sandbox(cells, limits or Limits(), require_sandbox) as student:
        outcomes = student.outcomes
        if exercises is None:
            exercises = [name for name in COURSE.exercises if student.defines(name) or _defining(name, cells)]
        results = []
        for name in exercises:
            results.append(grade(COURSE.exercises[name], student, seed, _why_missing(name, cells, outcomes)))
            student.forget()
        return Graded(tuple(results), tuple(student.outcomes), student.isolated, time.perf_counter() - started)


def _defining(name: str, cells: Sequence[Cell]) -> list[int]:
    """The cells whose text defines a function of that name, whether or not they could be run."""
    definition = re.compile(rf"^\s*def\s+{name}\s*\(", re.MULTILINE)
    return [index for index, cell in enumerate(cells) if definition.search(cell.code)]


def _why_missing(name: str, cells: Sequence[Cell], outcomes: Sequence[CellOutcome]) -> str:
    """What went wrong in the cell that should have defined the function; empty when nothing did."""
    for index in _defining(name, cells):
        if outcomes[index].error:
            return f"{outcomes[index].name}: {outcomes[index].error}"
    return ""
