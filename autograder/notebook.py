"""`check`, `hint` and `yours` as a reader of a notebook calls them.

In a notebook the table is shown and nothing returned. Under nbgrader (``autograde`` and ``validate`` set
``NBGRADER_EXECUTION``) the points come back as well: the cell's number is its partial credit, and nothing may reach stderr,
which would make it 0. A reader's own prints and warnings during a check are swallowed for the same reason.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autograder.exercise import Result
from autograder.exercises import COURSE
from autograder.grading import grade
from autograder.reports import as_html, as_text
from autograder.students import NamespaceStudent

_hints_given: dict[str, int] = {}


class _Shown:
    """A result as the front end wants it: a table in JupyterLab, text in a terminal."""

    def __init__(self, text: str, html: str) -> None:
        self._text, self._html = text, html

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        return self._html


def _show(shown: _Shown) -> None:
    if "ipykernel" in sys.modules:
        from IPython.display import display

        display(shown)
    else:
        print(shown)


def _exercise(name: str) -> str:
    """The name, if it is one; a ValueError with the likeliest names if not."""
    if name in COURSE.exercises:
        return name
    import difflib

    close = difflib.get_close_matches(str(name), COURSE.exercises, n=3, cutoff=0.4)
    raise ValueError(f"no exercise {name!r}; did you mean {' or '.join(close)}?" if close else f"no exercise {name!r}")


def check(name: str, namespace: Mapping[str, Any] | None = None) -> float | None:
    """Check your function ``name`` as it stands in this notebook and show what is right and what is not.

    Returns None in a notebook, the points when nbgrader runs it. Raises ValueError for a name that is not an exercise.
    """
    exercise = COURSE.exercises[_exercise(name)]
    if namespace is None:
        caller = inspect.currentframe()
        assert caller is not None and caller.f_back is not None
        namespace = caller.f_back.f_globals
    result: Result = grade(exercise, NamespaceStudent(namespace))
    _show(_Shown(as_text(result), as_html(result)))
    return float(result.points) if os.environ.get("NBGRADER_EXECUTION") else None


def yours(names: Sequence[str], otherwise: Sequence[Callable[..., Any]]) -> tuple[Callable[..., Any], ...]:
    """Your functions if all of them pass their checks, else the course's own ones in ``otherwise``; says which.

    Functions that belong together (a forward and its backward) are named together, so that both are yours or none is.
    """
    caller = inspect.currentframe()
    assert caller is not None and caller.f_back is not None
    namespace = caller.f_back.f_globals
    student = NamespaceStudent(namespace)
    open_checks = [name for name in names if grade(COURSE.exercises[_exercise(name)], student).status != "passed"]
    if open_checks:
        verb = "does not pass its check" if len(open_checks) == 1 else "do not pass their checks"
        print(f"Running the course's own {', '.join(names)}: your {', '.join(open_checks)} {verb} yet.")
        return tuple(otherwise)
    print(f"Running your own {', '.join(names)}.")
    return tuple(namespace[name] for name in names)


def hint(name: str) -> None:
    """Show the next hint for an exercise; after the last one they start again."""
    from html import escape

    hints = COURSE.exercises[_exercise(name)].hints
    number = _hints_given.get(name, 0) % len(hints)
    _hints_given[name] = number + 1
    text = f"Hint {number + 1} of {len(hints)} for {name}: {hints[number]}"
    html = f"<div style='max-width: 860px;'><b>Hint {number + 1} of {len(hints)}</b> for <code>{name}</code>: "
    _show(_Shown(text, html + escape(hints[number]) + "</div>"))
