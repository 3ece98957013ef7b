"""From the text notebooks of the course to what students open.

``solutions/NN-topic/NN-topic.py`` is the one source. Its few cell keys become nbgrader's metadata in the ``.ipynb`` beside
it, and nbgrader's own generator takes the solutions out of that for ``assignments/``. The same text always gives the same
bytes, so that a rebuild shows no diff and `check_build` can say what is out of step.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode
from nbgrader.converters import GenerateAssignment, NbGraderException
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config, PyFileConfigLoader

from autograder.exercise import Exercise
from autograder.exercises import COURSE

CONFIG = "nbgrader_config.py"
SOURCE, RELEASE, DATA, KEPT = "solutions", "assignments", "data", "kept"
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
LEFT_BEHIND = {"model.npz", "tries.json"}
"""What a reader's run of a notebook writes beside it: handed in, never released (see `nbgrader_plugin.configure`)."""
KEYS = {"exercise", "check", "question", "points", "experiment", "setup", "tags", "lines_to_next_cell"}


class BuildError(Exception):
    """A text notebook that cannot be built: one line with the file, what was found and what was expected."""


def build(root: Path, names: Iterable[str] | None = None) -> list[Path]:
    """Write the source and release notebooks of the assignments called ``names`` (default: all); return what changed."""
    changed = []
    for path, content in _render(root, names).items():
        target = root / path
        if not target.is_file() or target.read_bytes() != content:
            if kept := _kept(root, target):
                changed.append(kept)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            changed.append(target)
    return changed


def _kept(root: Path, target: Path) -> Path | None:
    """A copy under ``kept/`` of a notebook that somebody has worked in, before it is written anew; None where nobody has.

    A release has neither outputs nor numbers at its cells, so one that has them was run by a reader.
    """
    try:
        cells = nbformat.read(target, as_version=4).cells
    except (OSError, ValueError, AttributeError, nbformat.reader.NotJSONError):
        return None
    if not any(cell.get("outputs") or cell.get("execution_count") for cell in cells):
        return None
    number = next(k for k in count(1) if not (root / KEPT / f"{target.stem}-{k}.ipynb").exists())
    copy = root / KEPT / f"{target.stem}-{number}.ipynb"
    copy.parent.mkdir(exist_ok=True)
    shutil.copy(target, copy)
    return copy


def check_build(root: Path) -> list[str]:
    """What is out of step: one line and a short diff for each file that a build would write, change or not know."""
    wanted = _render(root, None)
    faults = []
    for path, content in wanted.items():
        target = root / path
        if not target.is_file():
            faults.append(f"{path}: missing; run `autograder build`")
        elif target.read_bytes() != content:
            faults.append(f"{path}: out of step with its source; run `autograder build`\n" + _diff(target, content))
    for path in sorted(_files(root / RELEASE), key=str):
        relative = path.relative_to(root)
        if relative not in wanted and path.name not in LEFT_BEHIND:
            faults.append(f"{relative}: not made by the build and must not be released; remove it")
        elif path.suffix == ".ipynb" and re.search(rb"(BEGIN|END) SOLUTION", path.read_bytes()):
            faults.append(f"{relative}: contains a solution; run `autograder build`")
    for path in sorted(_files(root / SOURCE), key=str):
        relative = path.relative_to(root)
        name = relative.parts[1]
        if (
            len(relative.parts) > 2
            and relative not in wanted
            and path.name not in LEFT_BEHIND
            and relative != Path(SOURCE, name, f"{name}.py")
            and DATA not in relative.parts[2:3]
        ):
            faults.append(f"{relative}: not the text notebook {name}.py nor under {name}/{DATA}/; "
                          "nbgrader would release it with the assignment")  # fmt: skip
    return faults


def source_notebook(name: str, text: str) -> NotebookNode:
    """The source notebook of the text notebook ``text`` of the assignment ``name``: cell keys become nbgrader metadata."""
    try:
        read = jupytext.reads(text, fmt="py:percent")
    except Exception as error:
        raise BuildError(f"{name}.py: not a notebook in percent format: {_line(error)}") from error
    cells: list[NotebookNode] = []
    for number, cell in enumerate(read.cells, 1):
        try:
            cells.extend(_expand(cell))
        except BuildError as error:
            raise BuildError(f"{name}.py, cell {number}: {error}") from None
    ids = [cell.metadata.nbgrader.grade_id for cell in cells if "nbgrader" in cell.metadata]
    if repeated := sorted({i for i in ids if ids.count(i) > 1}):
        raise BuildError(f"{name}.py: more than one cell makes {', '.join(repeated)}; each key may be used once")
    for check in (i for i in ids if i.startswith("check-") and i.removeprefix("check-") not in ids):
        raise BuildError(f'{name}.py: {check} has no cell exercise="{check.removeprefix("check-")}"')
    if missing := [e for e in COURSE.assignments.get(name, ()) if f"check-{e}" not in ids]:
        raise BuildError(f"{name}.py: the course also asks for {', '.join(missing)}: no check cell found")
    for cell, cell_id in zip(cells, _cell_ids(cells), strict=True):
        cell.id = cell_id
    notebook = nbformat.v4.new_notebook(
        cells=cells,
        metadata={
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
    )
    nbformat.validate(notebook)
    return notebook


def _expand(cell: NotebookNode) -> list[NotebookNode]:
    """One cell of the text notebook as the one or two cells that nbgrader knows."""
    keys = {k: v for k, v in cell.metadata.items() if k != "lines_to_next_cell"}
    if unknown := set(keys) - KEYS:
        raise BuildError(f"unknown key {', '.join(sorted(unknown))}; known are {', '.join(sorted(KEYS))}")
    code = cell.cell_type == "code"
    if roles := [k for k in ("exercise", "check", "question", "experiment", "setup") if k in keys]:
        if len(roles) > 1:
            raise BuildError(f"has both {roles[0]} and {roles[1]}; a cell has one role")
        if code == (roles[0] == "question"):
            raise BuildError(f"{roles[0]} belongs to a {'markdown' if code else 'code'} cell")
    if "exercise" in keys:
        name = _exercise(keys["exercise"]).name
        _require_solution(cell.source, name)
        return [_cell("code", cell.source, _nbgrader(name, solution=True), keys)]
    if "check" in keys:
        exercise = _exercise(keys["check"])
        if keys.get("points") != exercise.points:
            raise BuildError(
                f"points={keys.get('points')}, but the checks of {exercise.name} sum to {exercise.points:g}"
            )
        call = f'check("{exercise.name}")'
        if cell.source.strip() not in ("", call):
            raise BuildError(f"a check cell is empty or reads exactly {call}")
        return [
            _cell("code", call, _nbgrader(f"check-{exercise.name}", grade=True, locked=True, points=keys["points"]))
        ]
    if "question" in keys:
        return _question(str(keys["question"]), keys.get("points"), cell.source)
    if "setup" in keys:
        return [_cell("code", cell.source, _nbgrader("setup", locked=True), keys)]
    if BEGIN in cell.source or END in cell.source:
        raise BuildError(f'"{BEGIN}" outside an exercise or question cell')
    return [_cell(cell.cell_type, cell.source, None, keys)]


def _question(name: str, points: Any, source: str) -> list[NotebookNode]:
    """The question's text as a read-only cell, and its answer with the marking scheme as a manually graded one."""
    before, begin, rest = source.partition(BEGIN)
    answer, end, after = rest.partition(END)
    if not (begin and end) or after.strip() or not before.strip():
        raise BuildError(
            f'question {name} needs a text, then "{BEGIN}", the model answer, "{END}" and nothing after it'
        )
    if not isinstance(points, int | float) or points <= 0:
        raise BuildError(f"question {name} needs points=…, a number above 0")
    return [
        _cell("markdown", before.strip(), _nbgrader(f"question-{name}-text", locked=True)),
        _cell(
            "markdown", begin + answer + end, _nbgrader(f"question-{name}", grade=True, solution=True, points=points)
        ),
    ]


def _exercise(name: Any) -> Exercise:
    if name not in COURSE.exercises:
        raise BuildError(f"unknown exercise {name!r}; is it in autograder/exercises?")
    return COURSE.exercises[name]


def _require_solution(source: str, name: str) -> None:
    if BEGIN not in source or END not in source:
        raise BuildError(f'exercise {name} needs its solution between "{BEGIN}" and "{END}"')
    try:
        body = ast.parse(source).body
    except SyntaxError as error:
        raise BuildError(f"exercise {name} is not valid Python: {_line(error)}") from None
    if not any(isinstance(node, ast.FunctionDef) and node.name == name for node in body):
        raise BuildError(f"exercise {name} does not define a function of that name")


def _nbgrader(grade_id: str, *, points: float | None = None, **roles: bool) -> dict[str, Any]:
    flags = {"grade": False, "solution": False, "locked": False, "task": False} | roles
    return {"grade_id": grade_id, "schema_version": 3} | flags | ({} if points is None else {"points": points})


def _cell(
    kind: str, source: str, nbgrader: Mapping[str, Any] | None, keys: Mapping[str, Any] | None = None
) -> NotebookNode:
    metadata: dict[str, Any] = {} if nbgrader is None else {"nbgrader": dict(nbgrader)}
    tags = [*(keys or {}).get("tags", []), *(["experiment"] if (keys or {}).get("experiment") else [])]
    if tags:
        metadata["tags"] = tags
    make = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}.get(
        kind, nbformat.v4.new_raw_cell
    )
    cell: NotebookNode = make(source=source, metadata=metadata)
    return cell


def _cell_ids(cells: Iterable[NotebookNode]) -> Iterator[str]:
    """From the cell's key, else from its content; a repeat gets a number."""
    seen: dict[str, int] = {}
    for cell in cells:
        key = cell.metadata.get("nbgrader", {}).get("grade_id")
        name = key or hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        name = re.sub(r"[^A-Za-z0-9_-]", "-", name)[:60]
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name}-{seen[name]}"


def _render(root: Path, names: Iterable[str] | None) -> dict[Path, bytes]:
    """Every file that the build owns, relative to ``root``, with its content. Made in a temporary course."""
    chosen = sorted(set(names)) if names is not None else _assignments(root)
    made: dict[Path, bytes] = {}
    with tempfile.TemporaryDirectory() as temporary:
        course = Path(temporary).resolve()
        for name in chosen:
            text = root / SOURCE / name / f"{name}.py"
            if not text.is_file():
                raise BuildError(f"{text}: no such text notebook; there are {', '.join(_assignments(root)) or 'none'}")
            notebook = nbformat.writes(source_notebook(name, text.read_text("utf-8"))) + "\n"
            folder = course / SOURCE / name
            folder.mkdir(parents=True)
            (folder / f"{name}.ipynb").write_text(notebook, "utf-8")
            made[Path(SOURCE, name, f"{name}.ipynb")] = notebook.encode()
            if (text.parent / DATA).is_dir():
                shutil.copytree(text.parent / DATA, folder / DATA)
        if chosen:
            _generate(root, course)
        made.update({p.relative_to(course): p.read_bytes() for p in sorted(_files(course / RELEASE), key=str)})
    return made


def _generate(root: Path, course: Path) -> None:
    """nbgrader's generator, without a gradebook, on all assignments of the temporary ``course``."""
    config = load_config(root)
    config.merge(Config({
        "CourseDirectory": {"root": str(course), "source_directory": SOURCE, "release_directory": RELEASE,
                            "assignment_id": "*"},
        "GenerateAssignment": {"no_database": True},
        "SaveCells": {"enabled": False},
    }))  # fmt: skip
    try:
        GenerateAssignment(coursedir=CourseDirectory(config=config), config=config).start()
    except NbGraderException as error:
        raise BuildError(f"nbgrader could not make the release: {_line(error)} (its log says more)") from error


def load_config(root: Path) -> Config:
    """The nbgrader configuration of a course, or this repository's where the course has none."""
    home = root if (root / CONFIG).is_file() else Path(__file__).resolve().parents[2]
    return Config(PyFileConfigLoader(CONFIG, path=str(home)).load_config() if (home / CONFIG).is_file() else {})


def _assignments(root: Path) -> list[str]:
    return sorted(path.stem for path in (root / SOURCE).glob("*/*.py") if path.stem == path.parent.name)


def _files(folder: Path) -> Iterator[Path]:
    """All files below, without what editors and tools leave behind."""
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden:
            yield path


def _diff(target: Path, content: bytes, lines: int = 20) -> str:
    now = target.read_bytes().decode("utf-8", "replace").splitlines()
    diff = list(difflib.unified_diff(now, content.decode().splitlines(), "as it is", "as built", n=1, lineterm=""))
    return "\n".join([*diff[:lines], *([f"… {len(diff) - lines} more lines"] if len(diff) > lines else [])])


def _line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
