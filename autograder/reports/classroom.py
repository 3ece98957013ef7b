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
    mistakes, felt = _mistakes(graded)
    page = environment.get_template("class.html.j2").render(
        assignment=assignment,
        graded=graded,
        ungraded=sorted((s for s in submissions if s.points is None), key=lambda s: s.student),
        exercises=exercises,
        shares={name: _shares(name, graded) for name in exercises},
        by_name={s.student: {result.exercise: result for result in s.results} for s in graded},
        bars=_histogram([(s.points or 0.0) / s.max_points for s in graded if s.max_points]),
        mistakes=mistakes.most_common(),
        felt=felt,
        warnings=warnings,
    )
    path.write_text(page, encoding="utf-8")
    return path


Mistake = tuple[str, str, str]
"""The function, the mistake's id and what the student was told."""


def _mistakes(graded: Sequence[Submission]) -> tuple[Counter[Mistake], dict[Mistake, Counter[str]]]:
    """How often each mistake was made, and the other functions in which it was felt: it counts where it was made only."""
    made: Counter[Mistake] = Counter()
    felt: dict[Mistake, Counter[str]] = {}
    for submission in graded:
        own = {
            result.exercise: [(result.exercise, d.id, d.message) for d in result.diagnosis if not d.cause]
            for result in submission.results
        }
        elsewhere = [(d.cause, result.exercise) for result in submission.results for d in result.diagnosis if d.cause]
        for cause, _ in elsewhere:
            own[cause] = own.get(cause) or [(cause, "", "A mistake without a name. Other functions build on this one.")]
        made.update(mistake for mistakes in own.values() for mistake in mistakes)
        for cause, exercise in elsewhere:
            for mistake in own[cause]:
                felt.setdefault(mistake, Counter())[exercise] += 1
    return made, felt


def _shares(exercise: str, graded: Sequence[Submission]) -> dict[str, int]:
    """How many submissions ended in each status."""
    return Counter(result.status for s in graded for result in s.results if result.exercise == exercise)


def _histogram(shares: Sequence[float]) -> list[tuple[str, int]]:
    """Submissions per tenth of the points; full marks count to the last."""
    counts = Counter(min(9, int(share * 10)) for share in shares)
    return [(f"{tenth * 10}–{tenth * 10 + 10}%", counts[tenth]) for tenth in range(10)]
