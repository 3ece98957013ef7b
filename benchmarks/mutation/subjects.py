"""Whose functions are mutated: the reference of an exercise with its helpers, and the solution in the notebook."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import jupytext

from autograder.exercises import COURSE
from benchmarks.mutation.operators import compiled

ROOT = Path(__file__).resolve().parents[2]
REFERENCE, NOTEBOOK = "reference", "notebook"
ORIGINS = (REFERENCE, NOTEBOOK)

MEASURED = ("predict",)
"""Not mutated: the capstone's function is a trained network, and its points follow the share of images that are right."""

Namespace = dict[str, Any]


@dataclass(frozen=True)
class Subject:
    """One definition that is mutated: a function, a class or a table; a helper belongs to the first exercise that uses it.

    ``users`` are the exercises whose right answers lead to it. ``before`` and ``after`` are the texts that are run around
    it, ``around`` is the namespace they are run in.
    """

    exercise: str
    origin: str
    text: str
    users: tuple[str, ...]
    around: Mapping[str, Any]
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    @property
    def judges(self) -> tuple[str, ...]:
        """The exercises that may notice: the users, then those that call a user's function and not this definition.

        The latter are how a cache is judged: no check looks into it, but a backward pass needs it right.
        """
        users = set(self.users)
        others = [name for name, each in COURSE.exercises.items() if name not in users and users & set(each.needs)]
        return (*self.users, *others)

    def functions(self, judge: str, text: str) -> dict[str, Callable[..., Any]]:
        """What the judge is given: its own function by the (mutated) text, or else the one it needs; the rest is right."""
        namespace: Namespace = dict(self.around)
        for part in (*self.before, text, *self.after):
            exec(compiled(part), namespace)
        mutated = {judge} if judge in self.users else set(self.users)
        given = (judge, *COURSE.exercises[judge].needs)
        return {name: (namespace if name in mutated else self.around)[name] for name in given}


def subjects(exercise: str, origin: str) -> list[Subject]:
    """What is mutated for an exercise; nothing where the notebook is not written yet."""
    if exercise in MEASURED:
        return []
    return _of_reference(exercise) if origin == REFERENCE else _of_notebook(exercise)


# --- references -----------------------------------------------------------------------------------------------------


def _of_reference(exercise: str) -> list[Subject]:
    module = sys.modules[_module_of(exercise)]
    users: dict[str, list[str]] = {}  # of each definition, in course order
    for name in COURSE.exercises:
        if _module_of(name) == module.__name__:
            for reached in _reached(module, name):
                users.setdefault(reached, []).append(name)
    texts = {name: text for name, (text, _) in _definitions(module).items() if name in users}
    found = []
    for name, text in texts.items():
        if users[name][0] == exercise:
            concerned = [other for other in texts if set(users[other]) & set(users[name])]
            at = concerned.index(name)
            before, after = (tuple(texts[other] for other in part) for part in (concerned[:at], concerned[at + 1 :]))
            found.append(Subject(exercise, REFERENCE, text, tuple(users[name]), vars(module), before, after))
    return found


def _module_of(exercise: str) -> str:
    reference = COURSE.exercises[exercise].reference
    return reference.__module__ if inspect.isfunction(reference) else type(reference).__module__


@cache
def _definitions(module: ModuleType) -> dict[str, tuple[str, ast.stmt]]:
    """What a module's source defines at the top, as text and as a statement."""
    source = inspect.getsource(module)
    return {
        name: (_text(source, statement), statement)
        for statement in ast.parse(source).body for name in _binds(statement)
    }  # fmt: skip


def _binds(statement: ast.stmt) -> Sequence[str]:
    """The names that a statement gives a meaning; type aliases and imports aside."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant | ast.Dict | ast.Tuple | ast.Call):
        return [target.id for target in statement.targets if isinstance(target, ast.Name)]
    if isinstance(statement, ast.AnnAssign) and statement.value and isinstance(statement.target, ast.Name):
        return [statement.target.id]
    return []


def _text(source: str, statement: ast.stmt) -> str:
    """The lines of a statement, decorators included."""
    first = min([statement.lineno, *(each.lineno for each in getattr(statement, "decorator_list", []))])
    return "\n".join(source.splitlines()[first - 1 : statement.end_lineno]) + "\n"


@cache
def _reached(module: ModuleType, exercise: str) -> frozenset[str]:
    """The definitions that the reference leads to. Other exercises' references are not among them: they stay right."""
    (begin,) = [name for name, value in vars(module).items() if value is COURSE.exercises[exercise].reference]
    definitions = _definitions(module)
    reached, waiting = {begin}, [begin]
    while waiting:
        used = {node.id for node in ast.walk(definitions[waiting.pop()][1]) if isinstance(node, ast.Name)}
        new = (used & set(definitions)) - set(COURSE.exercises) - reached
        reached |= new
        waiting += sorted(new)
    return frozenset(reached)


# --- notebooks ------------------------------------------------------------------------------------------------------


def _of_notebook(exercise: str) -> list[Subject]:
    assignment = next(name for name, exercises in COURSE.assignments.items() if exercise in exercises)
    cells, namespace = _notebook(assignment)
    return [Subject(exercise, NOTEBOOK, cells[exercise], (exercise,), namespace)] if exercise in cells else []


@cache
def _notebook(assignment: str) -> tuple[dict[str, str], Namespace]:
    """The solved cells of a text notebook, by exercise, and all their functions in one namespace."""
    path = ROOT / "solutions" / assignment / f"{assignment}.py"
    if not path.is_file():
        return {}, {}
    cells = [cell for cell in jupytext.read(path, fmt="py:percent").cells if cell.cell_type == "code"]
    solved = {cell.metadata["exercise"]: cell.source + "\n" for cell in cells if "exercise" in cell.metadata}
    namespace: Namespace = {}
    for cell in cells:
        if cell.metadata.get("setup"):
            exec(compiled(_plain_imports(cell.source)), namespace)
    for source in solved.values():
        exec(compiled(source), namespace)
    return solved, namespace


def _plain_imports(source: str) -> str:
    """The imports of a setup cell that solutions may use: not the laboratory, the grader or the plots."""
    left_out = ("nnlab", "autograder", "matplotlib", "IPython")
    lines = []
    for statement in ast.parse(source).body:
        modules = [a.name for a in statement.names] if isinstance(statement, ast.Import) else []
        if isinstance(statement, ast.ImportFrom):
            modules = [statement.module or ""]
        if modules and not any(module.split(".")[0] in left_out for module in modules):
            lines.append(ast.unparse(statement))
    return "\n".join(lines)
