"""The command ``autograder``: build the notebooks, check a file, grade a class, see what a machine lacks."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from autograder.exercise import Result
from autograder.reports import as_text
from autograder.sandbox import SandboxUnavailable, SandboxWarning, sandbox_problem

app = typer.Typer(
    help="Build, check and grade the course's notebooks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

UNUSABLE = 2
"""Exit status for input that cannot be used; 1 means that something is wrong in what was checked."""


def _stop(message: str) -> typer.Exit:
    err.print(f"[bold red]autograder:[/] {escape(message)}", soft_wrap=True)
    return typer.Exit(UNUSABLE)


def _say_loudly_if_not_isolated() -> None:
    if problem := sandbox_problem():
        err.print(
            f"[bold white on red] student code runs WITHOUT ISOLATION [/] {escape(problem)}\n"
            "It could read and change your files. `autograder doctor` says more; --require-sandbox refuses instead.",
            soft_wrap=True,
        )


def _checkout() -> Path:
    """The checkout with ``solutions/`` that this command belongs to: the folder it is run in, one above it, or its own."""
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[1]):
        if (folder / "solutions").is_dir() and (folder / "nbgrader_config.py").is_file():
            return folder
    raise _stop(
        "found no folder with solutions/ and nbgrader_config.py here or above; run it inside the course's checkout"
    )


# --- build ----------------------------------------------------------------------------------------------------------


@app.command()
def build(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail when something is out of step.")] = False,
) -> None:
    """Make the notebooks in solutions/ and assignments/ from the text notebooks, and docs/exercises.md."""
    from autograder.notebooks.build import KEPT, BuildError, check_build
    from autograder.notebooks.build import build as build_all
    from autograder.reports.reference import PAGE, reference_page

    root = _checkout()
    page = root / PAGE
    try:
        if check:
            differences = check_build(root)
            if not page.is_file() or page.read_text(encoding="utf-8") != reference_page():
                differences.append(f"{PAGE}: out of step with autograder/exercises/")
            for line in differences:
                err.print(escape(line), soft_wrap=True)
            if differences:
                err.print("Run `autograder build` and commit what it writes.")
                raise typer.Exit(1)
            out.print("assignments/ and solutions/ are in step with the text notebooks.")
        else:
            changed = build_all(root)
            if not page.is_file() or page.read_text(encoding="utf-8") != reference_page():
                page.parent.mkdir(exist_ok=True)
                page.write_text(reference_page(), encoding="utf-8")
                changed.append(page)
            for path in changed:
                kept = path.parent.name == KEPT
                said = "had been worked in; your copy is now" if kept else "wrote"
                out.print(f"{said} {escape(str(path.relative_to(root)))}")
            if not changed:
                out.print("nothing to do: all notebooks are up to date.")
    except BuildError as error:
        raise _stop(str(error)) from None


# --- check ----------------------------------------------------------------------------------------------------------


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="Notebooks and Python files; together they are one submission.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the inputs that the checks draw.")] = 0,
    require_sandbox: Annotated[bool, typer.Option(help="Refuse where student code cannot be isolated.")] = False,
) -> None:
    """Grade the exercises whose functions are found in FILES.

    Exit status: 0 when all are passed, 1 when something is not, 2 when the input cannot be used.
    """
    from autograder.notebooks.submission import SubmissionError, cells_to_run, data_files, python_file, read_notebook
    from autograder.sandbox import Cell
    from autograder.submissions import grade_cells

    cells: list[Cell] = []
    try:
        for path in files:
            if path.suffix == ".ipynb":
                cells += [*data_files(path.parent), *cells_to_run(read_notebook(path))]
            elif path.suffix == ".py":
                cells.append(python_file(path))
            else:
                raise SubmissionError(f"found {path.name}; expected a notebook (.ipynb) or a Python file (.py)")
    except SubmissionError as error:
        raise _stop(str(error)) from None

    _say_loudly_if_not_isolated()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SandboxWarning)
            graded = grade_cells(cells, seed=seed, require_sandbox=require_sandbox)
    except SandboxUnavailable as error:
        raise _stop(f"student code cannot be isolated: {error}") from None
    if not graded.results:
        for outcome in graded.outcomes:
            if outcome.error:
                err.print(escape(f"{outcome.name}: {outcome.error}"), soft_wrap=True)
        names = ", ".join(path.name for path in files)
        raise _stop(
            f"found no function of this course in {names}; expected e.g. batchnorm_forward (see docs/exercises.md)"
        )

    for outcome in graded.outcomes:
        if outcome.error and outcome.name.endswith((".npz", ".npy")):
            err.print(f"left out: {escape(outcome.error)}", soft_wrap=True)
    if as_json:
        print(json.dumps({"exercises": {result.exercise: _as_dict(result) for result in graded.results}}))
    else:
        _print_results(graded.results)
    raise typer.Exit(0 if all(result.status == "passed" for result in graded.results) else 1)


def _print_results(results: tuple[Result, ...]) -> None:
    colours = {"passed": "green", "not_started": "dim"}
    for result in results:
        for number, line in enumerate(as_text(result).splitlines()):
            if line.strip().startswith("hint("):
                continue  # hints are for a notebook
            style = colours.get(result.status, "yellow") if number == 0 else "red" if line.startswith(" ✗") else ""
            out.print(escape(line), style=style or None, soft_wrap=True)
        out.print()
    points, most = sum(r.points for r in results), sum(r.max_points for r in results)
    passed = sum(r.status == "passed" for r in results)
    out.print(f"[bold]{points:g} of {most:g} points[/], {passed} of {len(results)} exercises passed")


def _as_dict(result: Result) -> dict[str, Any]:
    """The result as plain data for ``--json``."""
    return {
        "status": result.status,
        "points": result.points,
        "max_points": result.max_points,
        "message": result.message,
        "checks": [
            {
                "claim": check.claim,
                "passed": check.evidence.passed,
                "points": check.points,
                "max_points": check.max_points,
                "error": _finite(check.evidence.error),
                "tolerance": check.evidence.tolerance,
                "message": check.evidence.message,
            }
            for check in result.checks
        ],
        "diagnosis": [{"id": d.id, "message": d.message, "cause": d.cause} for d in result.diagnosis],
        "remarks": list(result.remarks),
    }


def _finite(number: float | None) -> float | None:
    """JSON knows no infinity."""
    return number if number is not None and math.isfinite(number) else None


# --- grade and demo -------------------------------------------------------------------------------------------------


@app.command()
def grade(
    assignment: Annotated[str, typer.Argument(help="Name of the assignment, e.g. 01-batch-normalization.")],
    course: Annotated[Path, typer.Option(help="nbgrader course directory; submissions are under submitted/.")] = Path(
        "."
    ),
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON: {student: points}.")] = False,
    workers: Annotated[int | None, typer.Option(help="Processes; default: one for each core.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the inputs that the checks draw.")] = None,
    require_sandbox: Annotated[bool, typer.Option(help="Refuse where student code cannot be isolated.")] = False,
    report: Annotated[
        Path | None, typer.Option(help="Where to write the class report; default: COURSE/reports/.")
    ] = None,
) -> None:
    """Grade everything under submitted/: gradebook, autograded notebooks, feedback pages, class report.

    Exit status: 0 when all submissions were graded, 1 when some could not be (they are named), 2 for unusable input.
    """
    _grade(assignment, course, as_json, workers, seed, require_sandbox or None, report)


def _grade(
    assignment: str,
    course: Path,
    as_json: bool,
    workers: int | None,
    seed: int | None,
    require_sandbox: bool | None,
    report: Path | None,
) -> None:
    from autograder.batch import BatchError, StudentReport, grade_course
    from autograder.reports.classroom import write_class_page

    logging.getLogger("autograder").setLevel(logging.ERROR)  # what is wrong with a submission stands in the table
    if not course.is_dir():
        raise _stop(f"found no folder {course}; expected an nbgrader course directory with submitted/")
    _say_loudly_if_not_isolated()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=err, transient=True) as bar, warnings.catch_warnings():
            warnings.simplefilter("ignore", SandboxWarning)
            task = bar.add_task(f"grading {assignment}", total=None)

            def tick(done: int, total: int, student: StudentReport) -> None:
                bar.update(task, completed=done, total=total)

            graded = grade_course(
                course, assignment, workers=workers, seed=seed, require_sandbox=require_sandbox, progress=tick
            )
    except (BatchError, SandboxUnavailable) as error:
        raise _stop(str(error)) from None

    page = report or course / "reports" / f"{assignment}.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    write_class_page(page, assignment, graded.students, graded.warnings)

    table = Table(
        title=f"{assignment}: {len(graded.students)} submissions in {graded.seconds:.1f} s", title_justify="left"
    )
    table.add_column("student")
    table.add_column("points", justify="right")
    table.add_column("of", justify="right")
    table.add_column("what stood out")
    for student in graded.students:
        marks = "–" if student.points is None else f"{student.points:g}"
        table.add_row(escape(student.student), marks, f"{student.max_points:g}", escape(_stands_out(student)))
    out.print(table)
    if any(student.needs_manual_grade for student in graded.students):
        out.print("Written answers wait for you in `nbgrader formgrader`.")
    for name, path in (
        ("gradebook", course / "gradebook.db"),
        ("autograded notebooks", course / "autograded"),
        ("feedback pages", course / "feedback"),
        ("class report", page),
    ):
        if path.exists():
            out.print(f"{name:<21} {escape(os.path.relpath(path))}", soft_wrap=True)
    if as_json:
        print(json.dumps({student.student: student.points for student in graded.students}))
    if any(student.points is None for student in graded.students):
        raise typer.Exit(1)


def _stands_out(student: Any) -> str:
    """One line on a submission: why it has no mark, or the named mistakes, or what is open."""
    if student.reason:
        return str(student.reason)
    named = [f"{r.exercise}: {r.diagnosis[0].id}" for r in student.results if r.diagnosis and not r.diagnosis[0].cause]
    broken = [
        f"{r.exercise}: {r.status.replace('_', ' ')}" for r in student.results if r.status in ("error", "timeout")
    ]
    idle = sum(r.status == "not_started" for r in student.results)
    parts = broken + named
    if len(parts) > 2:
        parts = [*parts[:2], f"{len(parts) - 2} more"]
    if idle:
        parts.append("nothing started" if idle == len(student.results) else f"{idle} not started")
    return ", ".join(parts)


@app.command()
def demo(
    course: Annotated[
        Path, typer.Option(help="Folder to make the course in; an earlier demo there is replaced.")
    ] = Path("demo-course"),
    workers: Annotated[int | None, typer.Option(help="Processes; default: one for each core.")] = None,
) -> None:
    """Make a class of made-up submissions, grade it, write feedback and a report, and say where they are."""
    from autograder.demo import ASSIGNMENT, make_class

    try:
        make_class(_checkout(), course)
    except ValueError as error:
        raise _stop(str(error)) from None
    out.print(
        f"A made-up class has handed in {ASSIGNMENT}: right, wrong in known ways, hanging, hostile and damaged.\n"
    )
    try:
        _grade(ASSIGNMENT, course, False, workers, None, None, None)
    except typer.Exit as stop:
        if stop.exit_code != 1:  # the damaged submission is part of the show
            raise
    _say_loudly_if_not_isolated()


# --- doctor ---------------------------------------------------------------------------------------------------------


@app.command()
def doctor() -> None:
    """Say what this machine has, what it lacks, and how to get it. Exit status 1 when something needed is missing."""
    problem = sandbox_problem()
    rows = [
        ("Python", sys.version.split()[0], sys.version_info >= (3, 11), "Python 3.11 or newer"),
        (
            "sandbox",
            "bubblewrap works" if problem is None else problem,
            problem is None,
            "",
        ),
        *(_library(name) for name in ("numpy", "nbgrader", "jupyterlab", "matplotlib", "sklearn")),
        _browser(),
    ]
    table = Table(show_header=False, box=None)
    for name, found, fine, advice in rows:
        table.add_row(
            "[green]✓[/]" if fine else "[red]✗[/]", name, escape(found if fine or not advice else f"{found}: {advice}")
        )
    out.print(table)
    if not all(fine for _, _, fine, _ in rows[:-1]):
        raise typer.Exit(1)


def _library(name: str) -> tuple[str, str, bool, str]:
    import importlib

    try:
        module = importlib.import_module(name)
    except ImportError as error:
        return name, f"cannot be imported ({error})", False, "pip install -e ."
    return name, str(getattr(module, "__version__", "found")), True, ""


def _browser() -> tuple[str, str, bool, str]:
    import shutil

    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    advice = "only the browser test needs it; Debian and Ubuntu: apt-get install chromium"
    return "Chromium", found or "not found", found is not None, advice


if __name__ == "__main__":
    app()
