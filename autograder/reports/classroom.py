"""A page for the instructor: how a class did, on which exercises, and which mistakes it makes. One file, no script."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from jinja2 import Environment, PackageLoader

from autograder.exercise import Result


class Submission(Protocol):
    """What the page needs to know of one submission; ``reason`` says why there are no points."""

    @property
    def student(self) -> str: ...
    @property
    def points(self) -> float | None: ...
    @property
    def max_points(self) -> float: ...
    @property
    def results(self) -> tuple[Result, ...]: ...
    @property
    def reason(self) -> str: ...


def write_class_page(
    path: Path, assignment: str, submissions: Sequence[Submission], warnings: Sequence[str] = ()
) -> Path:
    """Write the page and return its path."""
    environment = Environment(
        loader=PackageLoader("autograder", "reports/templates"), autoescape=True, trim_blocks=True
    )
    graded = sorted((s for s in submissions if s.points is not None), key=lambda s: (-(s.points or 0.0), s.student))
    exercises = list(dict.fromkeys(result.exercise for s in graded for result in s.results))
    mistakes = Counter(
        (result.exercise, diagnosis.id, diagnosis.message)
        for s in graded
        for result in s.results
        for diagnosis in result.diagnosis
    )
    page = environment.get_template("class.html.j2").render(
        assignment=assignment,
        graded=graded,
        ungraded=sorted((s for s in submissions if s.points is None), key=lambda s: s.student),
        exercises=exercises,
        shares={name: _shares(name, graded) for name in exercises},
        by_name={s.student: {result.exercise: result for result in s.results} for s in graded},
        bars=_histogram([(s.points or 0.0) / s.max_points for s in graded if s.max_points]),
        mistakes=mistakes.most_common(),
        warnings=warnings,
    )
    path.write_text(page, encoding="utf-8")
    return path


def _shares(exercise: str, graded: Sequence[Submission]) -> dict[str, int]:
    """How many submissions ended in each status."""
    return Counter(result.status for s in graded for result in s.results if result.exercise == exercise)


def _histogram(shares: Sequence[float]) -> list[tuple[str, int]]:
    """Submissions per tenth of the points; full marks count to the last."""
    counts = Counter(min(9, int(share * 10)) for share in shares)
    return [(f"{tenth * 10}–{tenth * 10 + 10}%", counts[tenth]) for tenth in range(10)]
