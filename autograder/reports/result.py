"""One result as a compact table, in plain text or in HTML. Both say the same."""

from __future__ import annotations

import functools
import math
import textwrap
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from autograder.exercise import CheckResult, Result
from autograder.exercises import COURSE

WIDTH = 96
MOST_LINES = 3
"""On a claim that failed."""
CELL = 13  # pixels of one entry in a heat map
MOST_CELLS = 400

_HEADINGS = {
    "passed": "passed",
    "failed": "not yet right",
    "not_started": "not started",
    "error": "could not run",
    "timeout": "took too long",
}


def points(value: float) -> str:
    """5, 2.5: no decimals where there are none."""
    return f"{value:g}"


def _score(result: Result) -> str:
    return f"{points(result.points)} of {points(result.max_points)} points"


def _mark(check: CheckResult) -> str:
    return "✓" if check.evidence.passed else "◐" if check.points else "✗"


def _error(check: CheckResult) -> str:
    error = check.evidence.error
    if error is None:
        return ""
    return f"error {error:.0e}" if error else "exact"


def _next_step(result: Result) -> str:
    hints = COURSE.exercises[result.exercise].hints if result.exercise in COURSE.exercises else ()
    return f'hint("{result.exercise}") gives one of {len(hints)} hints at a time.' if hints else ""


def as_text(result: Result) -> str:
    """The result for a terminal, at most 96 columns wide; at most three lines on a claim that failed."""
    lines = [f"{result.exercise:<{WIDTH - 18}}{_score(result):>18}"]
    if result.status in ("not_started", "error", "timeout"):
        lines += _wrapped(
            f"{_HEADINGS[result.status]}: {result.message}" if result.message else _HEADINGS[result.status], 1
        )
    if shows_claims(result):
        for check in result.checks:
            first, *more = textwrap.wrap(check.claim, WIDTH - 15)
            lines.append(f" {_mark(check)} {first:<{WIDTH - 15}}{_error(check):>12}".rstrip())
            lines += [f"   {line}" for line in more]
            lines += _explanation(check, result.message)
    for diagnosis in result.diagnosis:
        lines += _wrapped(diagnosis.message if diagnosis.cause else "Looks like: " + diagnosis.message, 1)
    for remark in result.remarks:
        lines += _wrapped("Remark: " + remark, 1)
    if result.status != "passed" and (step := _next_step(result)):
        lines.append(" " + step)
    return "\n".join(lines)


def shows_claims(result: Result) -> bool:
    """Whether the claims are worth listing: they are not where the function is not there or not begun."""
    silent = result.status == "error" and not any(c.evidence.passed or c.evidence.message for c in result.checks)
    return result.status != "not_started" and not silent


def explanation(check: CheckResult, said: str) -> list[str]:
    """What to say on a claim, a sentence each, as far as three lines of a terminal hold it; nothing where it would repeat
    what was said of the whole function."""
    message = check.evidence.message
    first, *more = [""] if said and message and said.endswith(message) else message.splitlines() or [""]
    kept, room = [first] if first else [], MOST_LINES - len(_wrapped(first, 5))
    for sentence in more:
        room -= len(_wrapped(sentence, 5))
        if room < 0:
            break
        kept.append(sentence)
    return kept


def _explanation(check: CheckResult, said: str) -> list[str]:
    lines = [line for sentence in explanation(check, said) for line in _wrapped(sentence, 5)]
    return lines if len(lines) <= MOST_LINES else [*lines[: MOST_LINES - 1], lines[MOST_LINES - 1][: WIDTH - 2] + " …"]


def _wrapped(text: str, indent: int) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * (indent + 2)) or [""]


def as_html(result: Result) -> str:
    """The result as one HTML element with inline styles: it needs no style sheet and no script, and escapes all text."""
    return _template().render(
        result=result,
        heading=_HEADINGS[result.status],
        score=_score(result),
        show_checks=shows_claims(result),
        next_step="" if result.status == "passed" else _next_step(result),
        error=_error,
        mark=_mark,
        explanation=explanation,
        heat=heat_map,
    )


@functools.cache
def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("autograder", "reports/templates"), autoescape=True, trim_blocks=True
    )
    return environment.get_template("result.html.j2")


def heat_map(heat: np.ndarray | None, tolerance: float | None) -> Markup:
    """A small picture of where a gradient is wrong: one square an entry, the darker the larger its error; empty if there
    is nothing to show. Arrays with more than two axes lie flat: the first two along the rows, the others along the columns."""
    if heat is None or heat.ndim == 0 or heat.size > MOST_CELLS:
        return Markup("")
    flat = heat.reshape(1, -1) if heat.ndim == 1 else heat.reshape(math.prod(heat.shape[: max(1, heat.ndim - 2)]), -1)
    rows, columns = flat.shape
    if heat.ndim > 2:
        rows, columns = math.prod(heat.shape[:2]), math.prod(heat.shape[2:])
        flat = heat.reshape(rows, columns)
    squares = []
    for (row, column), error in np.ndenumerate(flat):
        right = error <= (tolerance or 0)
        shade = 0.0 if right else float(np.clip((np.log10(error) + 6) / 6, 0.25, 1)) if np.isfinite(error) else 1.0
        fill = "#d9ead3" if right else f"rgb({int(250 - 60 * shade)},{int(200 - 160 * shade)},{int(180 - 150 * shade)})"
        squares.append(
            f'<rect x="{column * CELL}" y="{row * CELL}" width="{CELL - 1}" height="{CELL - 1}" fill="{fill}"/>'
        )
    size = f'width="{columns * CELL}" height="{rows * CELL}"'
    return Markup(f'<svg {size} role="img" aria-label="where it is wrong">{"".join(squares)}</svg>')
