"""Our grader inside nbgrader: what ``nbgrader_config.py`` names.

nbgrader keeps its commands, gradebook, formgrader and feedback. Ours are three places in its pipeline: submissions are read
without trust (`SubmissionExporter`), the instructor's cells are put back from the gradebook whatever the student made of them
(`RestoreCells`), and instead of running the tests in the student's process the cells run in the sandbox and the verdict is formed
outside it (`GradeInSandbox`). Pages are cleaned when they are rendered (`clean_markdown`, `clean_output`).
"""

from __future__ import annotations

import math
import os
import re
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import bleach
import nbformat
from bleach.css_sanitizer import ALLOWED_CSS_PROPERTIES, CSSSanitizer
from jinja2 import pass_context
from jinja2.runtime import Context
from nbconvert.exporters import NotebookExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.api import Gradebook
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import NbGraderPreprocessor
from sqlalchemy.exc import SAWarning
from traitlets import Bool, Dict, Int
from traitlets.config import Config

from autograder.exercise import CellOutcome, Result
from autograder.exercises import COURSE
from autograder.notebooks.build import LEFT_BEHIND
from autograder.notebooks.submission import SubmissionError, cell_name, cells_to_run, data_files, read_notebook
from autograder.reports import as_html, as_text
from autograder.sandbox import Limits, sandbox_problem
from autograder.submissions import Graded, grade_cells

MAX_PRINTED = 20_000
MAX_MARKDOWN = 10_000
_CHECK = re.compile(r'check\("(\w+)"\)')
_HERE = "autograder.nbgrader_plugin."


def configure(config: Config) -> None:
    """Set everything that nbgrader needs to work on this course; ``nbgrader_config.py`` calls it."""
    tools = str(Path(sys.executable).parent)
    if tools not in os.environ.get("PATH", "").split(
        os.pathsep
    ):  # nbgrader calls `alembic` by name to make a gradebook
        os.environ["PATH"] = tools + os.pathsep + os.environ.get("PATH", os.defpath)
    hush()
    config.CourseDirectory.source_directory = "solutions"
    config.CourseDirectory.release_directory = "assignments"
    config.CourseDirectory.ignore = [
        ".*", "__pycache__", "*.pyc", "feedback", "*.py", "*.md", "*.nbconvert.ipynb", *sorted(LEFT_BEHIND)
    ]  # fmt: skip
    config.ClearSolutions.code_stub = {"python": "# YOUR CODE HERE\nraise NotImplementedError()"}
    config.Autograde.exporter_class = _HERE + "SubmissionExporter"
    config.Autograde.sanitize_preprocessors = [
        _HERE + "RestoreCells",
        "nbgrader.preprocessors.ClearOutput",
        "nbgrader.preprocessors.DeduplicateIds",
        "nbgrader.preprocessors.OverwriteKernelspec",
        "nbgrader.preprocessors.OverwriteCells",
        "nbgrader.preprocessors.CheckCellMetadata",
    ]
    config.Autograde.autograde_preprocessors = [
        _HERE + "GradeInSandbox",
        "nbgrader.preprocessors.LimitOutput",
        "nbgrader.preprocessors.SaveAutoGrades",
        "nbgrader.preprocessors.AssignLatePenalties",
        "nbgrader.preprocessors.CheckCellMetadata",
    ]
    config.HTMLExporter.sanitize_html = True
    config.HTMLExporter.filters = {"markdown2html": _HERE + "clean_markdown", "clean_html": _HERE + "clean_output"}


def hush() -> None:
    """Silence what SQLAlchemy 2.1 says of nbgrader's way to add a submission; it is harmless and would drown our warnings."""
    warnings.filterwarnings("ignore", r"Object of type <Submitted\w+> not in session", SAWarning)


# -- what the gradebook knows of a notebook


@dataclass(frozen=True)
class SourceCell:
    """One of the instructor's cells as the gradebook keeps it; ``points`` is None where it earns none."""

    grade_id: str
    kind: str
    source: str
    checksum: str
    locked: bool
    solution: bool
    task: bool
    points: float | None

    @property
    def exercise(self) -> str | None:
        """The exercise that an automatically graded cell checks; None for the cells that are not of that sort."""
        match = _CHECK.fullmatch(self.source.strip())
        return match[1] if match and self.automatic else None

    @property
    def automatic(self) -> bool:
        """Whether nbgrader takes this cell's points from its outputs."""
        return self.points is not None and self.kind == "code" and not self.solution

    @property
    def metadata(self) -> dict[str, Any]:
        """The cell's nbgrader metadata, as `nbgrader generate_assignment` wrote it."""
        grade = self.points is not None and not self.task
        made = {"grade_id": self.grade_id, "schema_version": 3, "grade": grade, "solution": self.solution,
                "locked": self.locked, "task": self.task, "cell_type": self.kind, "checksum": self.checksum}  # fmt: skip
        return made | ({} if self.points is None else {"points": self.points})


def source_cells(db_url: str, notebook: str, assignment: str) -> list[SourceCell]:
    """The instructor's cells of a notebook, in the order in which they were registered."""
    with Gradebook(db_url) as gradebook:
        known = gradebook.find_notebook(notebook, assignment)
        points = {c.name: float(c.max_score) for c in [*known.grade_cells, *known.task_cells]}
        solutions = {c.name for c in known.solution_cells}
        tasks = {c.name for c in known.task_cells}
        return [SourceCell(c.name, c.cell_type, c.source or "", c.checksum or "", bool(c.locked), c.name in solutions,
                           c.name in tasks, points.get(c.name)) for c in known.source_cells]  # fmt: skip


def _known(names: dict[str, Any]) -> Sequence[SourceCell]:
    """The source cells of the notebook at hand: those that `autograder.batch` has brought along, else from the gradebook."""
    brought: Sequence[SourceCell] | None = names.get("source_cells")
    return source_cells(names["db_url"], names["notebook"], names["assignment"]) if brought is None else brought


def student_problem(student: str) -> str | None:
    """Why a folder's name cannot be a student id in nbgrader (patterns match on it, pages show it), or None."""
    if not student or student.startswith(".") or student != student.strip() or len(student) > 128:
        return "starts or ends with a space, starts with a dot, or is longer than 128 characters"
    if bad := sorted({c for c in student if c in '<>&"[]*?\\' or not c.isprintable()}):
        return "contains " + " ".join(c if c.isprintable() else repr(c)[1:-1] for c in bad)
    return None


def check_folder(folder: Path, student: str) -> None:
    """Raises `SubmissionError` for a submission that must not be copied: nbgrader would follow a link to any of your files."""
    if problem := student_problem(student):
        raise SubmissionError(f"the folder name {student!r} {problem}; rename the folder")
    if not folder.is_dir():
        raise SubmissionError(f"{folder.name} is not a folder; expected a folder with the notebook in it")
    for place, _, files in os.walk(folder):
        if links := sorted(name for name in files if Path(place, name).is_symlink()):
            raise SubmissionError(f"{links[0]} is a link; expected the file itself: copy it into the folder")
    try:
        utils.parse_utc((folder / "timestamp.txt").read_text("utf-8").strip() or None)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, OverflowError):
        raise SubmissionError("timestamp.txt is not a date (2026-01-31 12:00:00 UTC); mend it or remove it") from None


# -- reading and restoring


class SubmissionExporter(NotebookExporter):
    """nbgrader's exporter, except that a submitted file is read without trust."""

    def from_filename(self, filename: str, resources: Any = None, **kw: Any) -> tuple[Any, Any]:
        path = Path(filename)
        student = (resources or {}).get("nbgrader", {}).get("student", "")
        try:
            check_folder(path.parent, student)
            notebook = read_notebook(path)
        except SubmissionError as error:
            self.log.error("%s cannot be graded: %s", student, error)
            raise
        return self.from_notebook_node(notebook, resources, **kw)


class RestoreCells(NbGraderPreprocessor):
    """Gives every instructor's cell its metadata, type and locked source back from the gradebook.

    A grade id that the gradebook doesn't know, or knows for another cell already, is taken away: the cell stays as an ordinary one.
    Of copied answers the last one that was filled in keeps the id. Locked and graded cells that were deleted come back.
    """

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        nb.cells = restored(nb.cells, _known(resources["nbgrader"]))
        return nb, resources


def restored(cells: Sequence[NotebookNode], known: Sequence[SourceCell]) -> list[NotebookNode]:
    """A student's cells with the instructor's cells among them as the gradebook knows them."""
    by_id = {source.grade_id: source for source in known}
    chosen: dict[str, int] = {}
    for place, cell in enumerate(cells):
        source = by_id.get(cell.metadata.get("nbgrader", {}).get("grade_id"))
        if source and (source.grade_id not in chosen or _answered(cell, source)):
            chosen[source.grade_id] = place
    made = []
    for place, cell in enumerate(cells):
        source = by_id.get(cell.metadata.pop("nbgrader", {}).get("grade_id"))
        if source and chosen[source.grade_id] == place:
            made.append(_as_known(source, source.source if source.locked else cell.source, cell))
        else:
            made.append(cell)
    for number, source in enumerate(known):
        if source.grade_id not in chosen and (source.locked or source.points is not None):
            before = [s.grade_id for s in known[:number]]
            places = [i for i, c in enumerate(made) if c.metadata.get("nbgrader", {}).get("grade_id") in before]
            made.insert(places[-1] + 1 if places else 0, _as_known(source, source.source))
    ids: set[str] = set()
    for cell in made:
        if cell.id in ids:
            cell.id = next(i for i in (f"{cell.id[:50]}-{k}" for k in range(len(made))) if i not in ids)
        ids.add(cell.id)
    return made


def _answered(cell: NotebookNode, source: SourceCell) -> bool:
    """Whether a student has changed the text of an answer that is to be read by a person, or of a stub."""
    probe = nbformat.from_dict(
        {"cell_type": source.kind, "source": cell.source, "metadata": {"nbgrader": source.metadata}}
    )
    return not source.locked and utils.compute_checksum(probe) != source.checksum


def _as_known(source: SourceCell, text: str, cell: NotebookNode | None = None) -> NotebookNode:
    make = nbformat.v4.new_code_cell if source.kind == "code" else nbformat.v4.new_markdown_cell
    made: NotebookNode = make(source=text, metadata={"nbgrader": source.metadata})
    made.id = cell.id if cell is not None else re.sub(r"[^A-Za-z0-9_-]", "-", source.grade_id)[:60]
    if cell is not None and source.kind == "markdown" and "attachments" in cell:
        made.attachments = cell.attachments
    return made


# -- grading


@dataclass(frozen=True)
class Options:
    """How submissions are graded; small and plain, so that it travels to another process."""

    seed: int = 0
    require_sandbox: bool = False
    limits: dict[str, Any] = field(default_factory=dict)


def exercises_of(known: Sequence[SourceCell]) -> list[str]:
    """The exercises that a notebook's checks ask for. Raises ValueError for a graded cell that is not a check of ours."""
    for source in known:
        if source.automatic and source.exercise not in COURSE.exercises:
            raise ValueError(f'graded cell {source.grade_id} is not check("…") of an exercise of this course; '
                             "nbgrader would give it full marks")  # fmt: skip
    return list(dict.fromkeys(source.exercise for source in known if source.exercise))


def grade_notebook(notebook: NotebookNode, exercises: Sequence[str], options: Options, folder: Path) -> Graded:
    """Run a notebook's cells in the sandbox and judge the exercises from outside. The arrays beside it come from the
    ``folder`` that was handed in: among the autograded copies nbgrader puts the instructor's files in their place."""
    return grade_cells(
        [*data_files(folder), *cells_to_run(notebook)],
        exercises,
        seed=options.seed,
        limits=Limits(**options.limits),
        require_sandbox=options.require_sandbox,
    )


class GradeInSandbox(NbGraderPreprocessor):
    """Takes the place of nbgrader's Execute: outputs are written by us, never by the student's process.

    A check's outputs are its table and then, as the only ``execute_result``, the points, which nbgrader takes as the mark.
    """

    require_sandbox = Bool(False, help="Refuse to grade where student code cannot be isolated").tag(config=True)
    seed = Int(0, help="Seed of the inputs that the checks draw").tag(config=True)
    limits = Dict({}, help="Limits of the sandbox that differ from its defaults, by name").tag(config=True)

    @property
    def options(self) -> Options:
        return Options(self.seed, self.require_sandbox, dict(self.limits))

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        known = _known(resources["nbgrader"])
        graded = resources["nbgrader"].get("graded")
        if graded is None:
            course, names = CourseDirectory(config=self.config), resources["nbgrader"]
            folder = course.format_path(course.submitted_directory, names["student"], names["assignment"])
            graded = grade_notebook(nb, exercises_of(known), self.options, Path(folder))
        if not graded.isolated:
            self.log.warning(NOT_ISOLATED, sandbox_problem())
        write_outputs(nb, known, graded)
        return nb, resources


NOT_ISOLATED = (
    "STUDENT CODE RUNS WITHOUT ISOLATION on this machine: %s. It can read and change your files. "
    "`autograder doctor` says how to get it; GradeInSandbox.require_sandbox = True refuses instead."
)


def write_outputs(nb: NotebookNode, known: Sequence[SourceCell], graded: Graded) -> None:
    """Put the verdicts and what the student's cells printed into the notebook, in place of whatever was there."""
    results = {result.exercise: result for result in graded.results}
    outcomes = {outcome.name: outcome for outcome in graded.outcomes}
    checks = {source.grade_id: source for source in known if source.exercise}
    locked = {
        source.grade_id: source.locked for source in known
    }  # what fails in the course's own cells is not their fault
    for place, cell in enumerate(nb.cells):
        if cell.cell_type != "code":
            continue
        source = checks.pop(cell.metadata.get("nbgrader", {}).get("grade_id"), None)
        if source is not None and source.exercise is not None:
            cell.outputs = _verdict(results[source.exercise], source.points or 0.0)
        else:
            theirs = not locked.get(cell.metadata.get("nbgrader", {}).get("grade_id"), False)
            cell.outputs = _said(outcomes.get(cell_name(place))) if theirs else []
    left_out = [outcome for outcome in graded.outcomes if outcome.error and outcome.name.endswith((".npz", ".npy"))]
    first = next((cell for cell in nb.cells if cell.cell_type == "code"), None)
    if first is not None:
        first.outputs += [output for outcome in left_out for output in _said(outcome)]
    if checks:
        raise RuntimeError(f"check cells {', '.join(checks)} are not in the notebook; their marks would be lost")


def scaled_points(result: Result, max_score: float) -> float:
    """A result's points as a part of what the gradebook gives for it. Raises ValueError for a number that is no mark."""
    share = result.points / result.max_points
    if not (math.isfinite(share) and -1e-9 <= share <= 1 + 1e-9):
        raise ValueError(f"{result.exercise}: {result.points} of {result.max_points} points is not a mark")
    return min(max(round(share * max_score, 6), 0.0), max_score)


def _verdict(result: Result, max_score: float) -> list[NotebookNode]:
    shown = {"text/html": as_html(result), "text/plain": as_text(result)}
    points = {"text/plain": repr(scaled_points(result, max_score))}
    return [nbformat.v4.new_output("display_data", data=shown),
            nbformat.v4.new_output("execute_result", data=points, execution_count=None)]  # fmt: skip


def _said(outcome: CellOutcome | None) -> list[NotebookNode]:
    outputs = []
    if outcome is not None and outcome.printed:
        cut = "" if len(outcome.printed) <= MAX_PRINTED else "\n… output truncated …\n"
        text = outcome.printed[:MAX_PRINTED].encode("utf-8", "replace").decode() + cut
        outputs.append(nbformat.v4.new_output("stream", name="stdout", text=text))
    if outcome is not None and outcome.error:
        error = outcome.error.encode("utf-8", "replace").decode()
        name, _, message = re.sub(r"^line \d+: ", "", error).partition(": ")
        lines = [error] + ["The checks were run without this cell."] * outcome.skipped
        outputs.append(nbformat.v4.new_output("error", ename=name, evalue=message, traceback=lines))
    return outputs


# -- pages

_INLINE = set("a abbr b br code del em i kbd mark s small span strong sub sup u".split())  # noqa: SIM905
_BLOCK = set(
    "blockquote caption dd details div dl dt h1 h2 h3 h4 h5 h6 hr img li ol p pre summary "  # noqa: SIM905
    "table tbody td tfoot th thead tr ul".split()
)
_COMMON = {"*": ["class", "title"], "ol": ["start"], "details": ["open"],
           "td": ["colspan", "rowspan", "align"], "th": ["colspan", "rowspan", "align", "scope"]}  # fmt: skip
_PICTURE = re.compile(r"data:image/(png|jpeg|gif|svg\+xml);base64,[A-Za-z0-9+/=\s]*")
_STYLES = frozenset(
    {
        *ALLOWED_CSS_PROPERTIES,
        "align-items",
        "background",
        "border",
        "border-collapse",
        "display",
        "gap",
        "max-width",
        "opacity",
    }
    | {f"{box}{side}" for box in ("border", "margin", "padding") for side in ("", "-top", "-right", "-bottom", "-left")}
)


def _allowed(tag: str, name: str, value: str) -> bool:
    """Pictures only from within the page: nothing that a student writes makes the reader's browser call anywhere."""
    if tag == "img":
        return name in ("alt", "width", "height") or (name == "src" and _PICTURE.fullmatch(value) is not None)
    if name == "href":
        return tag == "a" and re.match(r"\s*(https?:|mailto:|#|[^:]*$)", value, re.IGNORECASE) is not None
    return name in _COMMON["*"] or name in _COMMON.get(tag, ())


_markdown = bleach.Cleaner(
    tags=[*_INLINE, *_BLOCK], attributes=_allowed, protocols=["http", "https", "mailto", "data"], strip_comments=True
)
_DRAWN = {"svg": ["width", "height", "role", "aria-label"], "rect": ["x", "y", "width", "height", "fill"]}
_output = bleach.Cleaner(
    tags=[*_INLINE, *_BLOCK, *_DRAWN],
    attributes=lambda tag, name, value: name in ("style", *_DRAWN.get(tag, ())) or _allowed(tag, name, value),
    protocols=["http", "https", "mailto", "data"],
    css_sanitizer=CSSSanitizer(allowed_css_properties=_STYLES),
)


@pass_context
def clean_markdown(context: Context, source: str) -> str:
    """nbconvert's ``markdown2html`` with the page's safety in mind: everything that could run or call out is shown as text.

    So is a very long cell, because rendering takes a time that grows with the square of some texts.
    """
    if len(source) > MAX_MARKDOWN:
        return f"<pre>{escape(source)}</pre>"
    cell = context.get("cell", {})
    renderer = IPythonRenderer(
        escape=False, attachments=cell.get("attachments", {}), embed_images=False, exclude_anchor_links=True
    )
    return str(_markdown.clean(MarkdownWithMath(renderer=renderer).render(source)))


def clean_output(html: Any) -> str:
    """nbconvert's ``clean_html`` for outputs, which are ours alone: the result table keeps its inline styles."""
    return str(_output.clean(html.decode() if isinstance(html, bytes) else str(html)))
