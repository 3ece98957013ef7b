"""A student's own functions from the earlier notebooks, and the course's own where theirs do not pass yet.

The notebooks are read as data. Of their code only definitions are run (functions, classes, imports, plain constants): no
experiment, no training, no download happens again.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from autograder.exercises import COURSE
from autograder.grading import grade
from autograder.students import NamespaceStudent

Function = Callable[..., Any]

YOURS, OURS = "yours", "the course's own"


@dataclass(frozen=True)
class Piece:
    """One function of the portfolio: whose it is, and why where it is not the student's."""

    name: str
    assignment: str
    function: Function
    origin: str
    reason: str = ""


class Portfolio(Mapping[str, Function]):
    """Functions by name: ``mine["adam"]`` or ``mine.adam``. Shown in a notebook it says which are whose."""

    def __init__(self, pieces: Mapping[str, Piece], troubles: tuple[str, ...] = ()) -> None:
        self.pieces = dict(pieces)
        self.troubles = troubles

    def __getitem__(self, name: str) -> Function:
        return self.pieces[name].function

    def __iter__(self) -> Iterator[str]:
        return iter(self.pieces)

    def __len__(self) -> int:
        return len(self.pieces)

    def __getattr__(self, name: str) -> Function:
        if name.startswith("_") or name not in self.pieces:
            raise AttributeError(f"no function {name} in the portfolio")
        return self.pieces[name].function

    def origin(self, name: str) -> str:
        """ "yours" or "the course's own"."""
        return self.pieces[name].origin

    @property
    def yours(self) -> list[str]:
        """The names of the functions that are the student's own."""
        return [name for name, piece in self.pieces.items() if piece.origin == YOURS]

    def _rows(self) -> Iterator[tuple[str, list[str], dict[str, list[str]]]]:
        """For each assignment: its name, the student's functions, and the course's own by reason."""
        for assignment in dict.fromkeys(piece.assignment for piece in self.pieces.values()):
            pieces = [piece for piece in self.pieces.values() if piece.assignment == assignment]
            others: dict[str, list[str]] = {}
            for piece in pieces:
                if piece.origin == OURS:
                    others.setdefault(piece.reason, []).append(piece.name)
            yield assignment, [piece.name for piece in pieces if piece.origin == YOURS], others

    def __repr__(self) -> str:
        lines = [f"{len(self.yours)} of {len(self)} functions are yours"]
        for assignment, yours, others in self._rows():
            lines.append(f"{assignment}: {len(yours)} yours")
            lines += [f"  the course's own {', '.join(names)}: {reason}" for reason, names in others.items()]
        return "\n".join([*lines, *self.troubles])

    def _repr_html_(self) -> str:
        rows = []
        for assignment, yours, others in self._rows():
            ours = "<br>".join(f"{escape(', '.join(names))}: <i>{escape(reason)}</i>" for reason, names in others.items())
            cells = (escape(assignment), escape(", ".join(yours)) or "–", ours or "–")
            rows.append("<tr>" + "".join(f"<td style='text-align:left;vertical-align:top'>{c}</td>" for c in cells) + "</tr>")
        head = "".join(f"<th style='text-align:left'>{c}</th>" for c in ("notebook", "yours", "the course's own"))
        said = "".join(f"<div>{escape(trouble)}</div>" for trouble in self.troubles)
        counted = f"<b>{len(self.yours)} of {len(self)} functions are yours.</b>"
        return f"<div>{counted}<table><tr>{head}</tr>{''.join(rows)}</table>{said}</div>"


def portfolio(otherwise: Mapping[str, Function] | None = None, folder: str | Path = "..") -> Portfolio:
    """The functions of all earlier notebooks: yours where they pass their checks, the course's own for the rest.

    ``folder`` holds the assignments' folders (``01-batch-normalization/01-batch-normalization.ipynb``, ...); notebooks that lie
    together in one folder are found there and beside the notebook that asks. ``otherwise`` gives the course's own functions;
    the grader's references stand in for what it lacks. A notebook that is missing or damaged costs its own functions only.
    """
    from autograder.notebooks.submission import SubmissionError  # here, since nbformat takes a second to import

    pieces: dict[str, Piece] = {}
    troubles: list[str] = []
    own = {name: exercise.reference for name, exercise in COURSE.exercises.items()} | dict(otherwise or {})
    for assignment, names in COURSE.assignments.items():
        names = tuple(name for name in names if name != "predict")
        path = _find(assignment, Path(folder))
        if path is None:
            reasons = dict.fromkeys(names, f"there is no {assignment}.ipynb here")
            space: dict[str, Any] = {}
        else:
            try:
                space = definitions(path)
                reasons = {name: _why_not(name, space) for name in names}
            except SubmissionError as problem:
                reasons, space = dict.fromkeys(names, "the notebook cannot be read"), {}
                troubles.append(str(problem))
        reasons = {name: reason or _partner(name, reasons) for name, reason in reasons.items()}
        for name in names:
            if not reasons[name]:
                pieces[name] = Piece(name, assignment, space[name], YOURS)
            elif not _needs_a_cache_of_yours(name, reasons):
                pieces[name] = Piece(name, assignment, own[name], OURS, reasons[name])
    return Portfolio(pieces, tuple(troubles))


def _find(assignment: str, folder: Path) -> Path | None:
    places = (folder / assignment, folder, Path())
    return next((p for place in places if (p := place / f"{assignment}.ipynb").is_file()), None)


def definitions(path: Path) -> dict[str, Any]:
    """What a notebook defines: a namespace made by running nothing but its definitions, cell by cell.

    A cell that is not Python, or a definition that fails, is left out; the rest counts. Raises SubmissionError for a file
    that is no notebook.
    """
    from autograder.notebooks.submission import cells_to_run, read_notebook

    space: dict[str, Any] = {"__name__": path.stem}
    for cell in cells_to_run(read_notebook(path)):
        try:
            body = ast.parse(cell.code).body
        except (SyntaxError, ValueError):
            continue
        for statement in filter(_defines, body):
            code = compile(ast.Module([statement], []), f"{path.name}, {cell.name}", "exec")
            try:
                exec(code, space)
            except Exception:
                continue
    return space


def _defines(statement: ast.stmt) -> bool:
    """Whether running a statement only gives something a name."""
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)):
        return True
    if not isinstance(statement, (ast.Assign, ast.AnnAssign)) or statement.value is None:
        return False
    if isinstance(statement.value, ast.Lambda):
        return True
    try:
        ast.literal_eval(statement.value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def _why_not(name: str, space: Mapping[str, Any]) -> str:
    """Why a function is not used although its notebook is there; empty where it passes."""
    result = grade(COURSE.exercises[name], NamespaceStudent(space))
    said = {"not_started": "not started", "error": "could not run", "timeout": "took too long"}
    return "" if result.status == "passed" else said.get(result.status, "does not pass its check yet")


def _partner(name: str, reasons: Mapping[str, str]) -> str:
    """Why a function that passes is not used all the same: a forward and its backward share a cache and come together."""
    backward = name.replace("_forward", "_backward")
    if backward != name and reasons.get(backward):
        return f"yours passes, but {backward} does not yet, and they belong together"
    forwards = [needed for needed in COURSE.exercises[name].needs if reasons.get(needed)]
    return f"{forwards[0]} is not yours" if forwards else ""


def _needs_a_cache_of_yours(name: str, reasons: Mapping[str, str]) -> bool:
    """Whether the course's own would be handed the cache of a forward that is the student's, and could not use it."""
    return any(not reasons.get(needed, "-") for needed in COURSE.exercises[name].needs)
