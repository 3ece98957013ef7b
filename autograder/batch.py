"""A whole class at once: the same converter and plug-in as ``nbgrader autograde``, with the slow part in a pool.

nbgrader grades one submission after the other. Here the parent reads, restores and registers each submission and hands the cleaned
copy to a pool of processes; the verdicts come back and go through nbgrader's autograding pass as they would have there. Only
the parent writes to the gradebook. Pages are rendered in the pool, too.
"""

from __future__ import annotations

import functools
import glob
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from nbconvert.writers import FilesWriter
from nbgrader import utils
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters import Autograde, GenerateAssignment, GenerateFeedback, NbGraderException
from nbgrader.converters.base import BaseConverter
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config

from autograder.exercise import Result
from autograder.nbgrader_plugin import (
    NOT_ISOLATED,
    GradeInSandbox,
    Options,
    SourceCell,
    check_folder,
    configure,
    exercises_of,
    grade_notebook,
    hush,
    source_cells,
    student_problem,
)
from autograder.notebooks.build import load_config
from autograder.notebooks.submission import SubmissionError, read_notebook
from autograder.sandbox import sandbox_problem
from autograder.submissions import Graded

log = logging.getLogger(__name__)

Progress = Callable[[int, int, "StudentReport"], None]
"""Called in the parent after each submission: how many are done, how many there are, and the one that was just finished."""


class BatchError(Exception):
    """A course that cannot be graded at all: one line with what is missing and what to do."""


@dataclass(frozen=True)
class StudentReport:
    """One submission: its mark as the gradebook has it, the verdicts behind it, or the one reason why it has none.

    ``seconds`` is what running and judging it took in its worker.
    """

    student: str
    points: float | None
    max_points: float
    results: tuple[Result, ...] = ()
    reason: str = ""
    needs_manual_grade: bool = False
    feedback: tuple[Path, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class ClassReport:
    """All submissions of one assignment, by student; ``warnings`` hold for the whole run."""

    assignment: str
    max_points: float
    students: tuple[StudentReport, ...]
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0


def grade_course(
    course_dir: Path | str,
    assignment: str,
    *,
    workers: int | None = None,
    require_sandbox: bool | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
    feedback: bool = True,
) -> ClassReport:
    """Grade every submission of ``assignment`` under ``submitted/``, write gradebook, autograded copies and feedback pages.

    ``workers`` defaults to the number of cores, ``require_sandbox`` and ``seed`` to the course's ``nbgrader_config.py``.
    An assignment that the gradebook doesn't know is registered from ``solutions/`` first, the course's own or this repository's.
    Manual scores of an earlier grading stay. Raises `BatchError` when nothing can be graded.
    """
    started = time.perf_counter()
    root = Path(course_dir).resolve()
    config = course_config(root)
    if require_sandbox is not None:
        config.GradeInSandbox.require_sandbox = require_sandbox
    if seed is not None:
        config.GradeInSandbox.seed = seed
    options = GradeInSandbox(config=config).options
    problem = sandbox_problem()
    if problem and options.require_sandbox:
        raise BatchError(f"student code cannot be isolated: {problem}; `autograder doctor` says how to get it")
    if problem:
        log.warning(NOT_ISOLATED, problem)
    _register(config, root, assignment)
    converter = _Halves(coursedir=CourseDirectory(config=config), config=config)
    run = _Run(converter, assignment, options, root if feedback else None, progress)
    students = run.grade_all(workers or os.cpu_count() or 1)
    warnings = (NOT_ISOLATED % problem,) if problem else ()
    return ClassReport(assignment, run.max_points, students, warnings, time.perf_counter() - started)


@functools.lru_cache(maxsize=4)
def _base_config(root: Path) -> Config:
    """The course's own settings over ours; the plug-in takes part whether the course's file names it or not."""
    config, ours = Config(), Config()
    configure(config)
    configure(ours)
    config.merge(load_config(root))
    if not any("GradeInSandbox" in str(step) for step in config.Autograde.get("autograde_preprocessors", [])):
        config.Autograde.merge(ours.Autograde)
    config.HTMLExporter.merge(ours.HTMLExporter)
    config.CourseDirectory.root = str(root)
    return config


def course_config(root: Path) -> Config:
    """A fresh copy of the settings with which the course at ``root`` is graded."""
    hush()
    return Config(_base_config(root).copy())


def _register(config: Config, root: Path, assignment: str) -> None:
    """Make the gradebook know the assignment, as `nbgrader generate_assignment` would; nothing is released."""
    course = CourseDirectory(config=config)
    shipped = Path(__file__).resolve().parents[1] / "solutions"
    if not any((root / course.source_directory / assignment).glob("*.ipynb")) and (shipped / assignment).is_dir():
        config.CourseDirectory.source_directory = str(shipped)
    with Gradebook(course.db_url, course.course_id or "default_course") as gradebook:
        try:
            if gradebook.find_assignment(assignment).notebooks:
                return
        except MissingEntry:
            pass
    with tempfile.TemporaryDirectory() as released:
        own_config = Config(config.copy())
        own_config.merge(Config({
            "CourseDirectory": {"release_directory": str(Path(released).resolve()), "assignment_id": assignment},
            "GenerateAssignment": {"force": True},
        }))  # fmt: skip
        try:
            GenerateAssignment(coursedir=CourseDirectory(config=own_config), config=own_config).start()
        except NbGraderException as error:
            raise BatchError(
                f"assignment {assignment} is neither in the gradebook nor can it be registered from "
                f"{own_config.CourseDirectory.source_directory}/{assignment} ({_line(error)})"
            ) from None


class _Halves(Autograde):
    """nbgrader's autograding in two halves, so that what lies between them can run elsewhere."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.force = True
        self.writer = FilesWriter(parent=self, config=self.config)
        self.exporter = self.exporter_class(parent=self, config=self.config)
        self.known: dict[str, list[SourceCell]] = {}
        self.graded: Mapping[str, Graded] = {}

    def exercises(self, assignment: str) -> dict[str, list[str]]:
        """The exercises of each notebook of the assignment. What the gradebook knows of them is read once, here."""
        with Gradebook(self.coursedir.db_url, self.coursedir.course_id or "default_course") as gradebook:
            names = [notebook.name for notebook in gradebook.find_assignment(assignment).notebooks]
        self.known = {name: source_cells(self.coursedir.db_url, name, assignment) for name in names}
        return {name: exercises_of(cells) for name, cells in self.known.items()}

    def sanitize(self, assignment: str, student: str, notebooks: Sequence[Path]) -> list[Path]:
        """Register the submission and write its cleaned notebooks under ``autograded/``; return these."""
        self.notebooks = [str(path) for path in notebooks]
        self._sanitizing = True
        if not self.init_destination(assignment, student):
            raise SubmissionError("left out by CourseDirectory.student_id_exclude")
        self.init_assignment(assignment, student)
        self._init_preprocessors()
        for path in self.notebooks:
            BaseConverter.convert_single_notebook(self, path)
        return [Path(self._format_dest(assignment, student), Path(path).name) for path in self.notebooks]

    def store(self, assignment: str, student: str, cleaned: Sequence[Path], graded: Mapping[str, Graded]) -> None:
        """nbgrader's autograding pass with verdicts that are there already."""
        self._sanitizing, self.graded = False, graded
        self._init_preprocessors()
        try:
            for path in cleaned:
                BaseConverter.convert_single_notebook(self, str(path))
        finally:
            self._sanitizing, self.graded = True, {}
        self.set_permissions(assignment, student)

    def discard(self, assignment: str, student: str) -> None:
        """Remove a half-made autograded copy, as nbgrader does after a failure."""
        if (folder := Path(self._format_dest(assignment, student))).exists():
            utils.rmtree(str(folder))

    def init_single_notebook_resources(self, notebook_filename: str) -> Any:
        resources = super().init_single_notebook_resources(notebook_filename)
        name = resources["nbgrader"]["notebook"]
        resources["nbgrader"] |= {"source_cells": self.known[name], "graded": self.graded.get(name)}
        return resources


@dataclass(frozen=True)
class _Job:
    """A submission on its way through the pool: first to be graded, then to have its page rendered."""

    student: str
    cleaned: tuple[Path, ...]
    report: StudentReport | None = None


class _Run:
    """One grading of one assignment: what is shared by its submissions."""

    def __init__(
        self,
        converter: _Halves,
        assignment: str,
        options: Options,
        pages_of: Path | None,
        progress: Progress | None,
    ) -> None:
        self.converter, self.assignment, self.options = converter, assignment, options
        self.known = converter.exercises(assignment)
        self.pages_of, self.progress = pages_of, progress
        with self._gradebook() as gradebook:
            self.max_points = float(gradebook.find_assignment(assignment).max_score or 0)
        self.reports: list[StudentReport] = []
        self.total = 0

    def grade_all(self, workers: int) -> tuple[StudentReport, ...]:
        folders = self._folders()
        self.total = len(folders)
        with _quiet(), _Pool(max(1, min(workers, len(folders)))) as pool:
            for folder in folders:
                self._start(pool, folder)
                self._collect(pool, pool.finished(block=False))
            while pool.busy:
                self._collect(pool, pool.finished(block=True))
        return tuple(sorted(self.reports, key=lambda report: report.student))

    def _folders(self) -> list[Path]:
        course = self.converter.coursedir
        pattern = course.format_path(course.submitted_directory, "*", glob.escape(self.assignment))
        hidden = course.format_path(course.submitted_directory, ".*", glob.escape(self.assignment))
        return sorted(Path(path) for path in {*glob.glob(pattern), *glob.glob(hidden)})

    def _start(self, pool: _Pool, folder: Path) -> None:
        """The parent's first half: find the notebook, clean it, hand it to the pool."""
        student = folder.parent.name
        try:
            check_folder(folder, student)
            notebooks = self._notebooks(folder)
            cleaned = self.converter.sanitize(self.assignment, student, notebooks)
        except Exception as error:
            self._ungraded(student, error)
        else:
            parts = tuple((path, tuple(self.known[path.stem])) for path in cleaned)
            work = functools.partial(_grade, parts, self.options, folder)
            pool.submit(work, _Job(student, tuple(cleaned)))

    def _notebooks(self, folder: Path) -> list[Path]:
        """The submitted notebooks that the gradebook knows; a `SubmissionError` says what is there instead."""
        wanted = [folder / f"{name}.ipynb" for name in self.known]
        found = sorted(p.name for p in folder.iterdir() if p.suffix == ".ipynb")
        if present := [path for path in wanted if path.name in found]:
            return present
        names = ", ".join(path.name for path in wanted)
        if len(found) == 1:
            raise SubmissionError(
                f"found {found[0]!r}, expected {names}: if this is the submission, rename it and grade again"
            )
        what = f"found {', '.join(found[:5])}" if found else "found no notebook"
        raise SubmissionError(f"{what}, expected {names}: ask the student for it")

    def _collect(self, pool: _Pool, finished: Sequence[tuple[_Job, Any]]) -> None:
        """The parent's second half: store verdicts that came back, have the page made, report."""
        for job, answer in finished:
            failed = isinstance(answer, BaseException)
            if job.report is not None:
                note = f"graded, but its page could not be made: {_line(answer)}"
                self._done(replace(job.report, **({"reason": note} if failed else {"feedback": answer})))
                continue
            try:
                if failed:
                    raise answer
                self.converter.store(self.assignment, job.student, job.cleaned, answer)
                report = self._stored(job.student, list(answer.values()))
            except Exception as error:
                self._ungraded(job.student, error)
                continue
            if self.pages_of is None:
                self._done(report)
            else:
                work = functools.partial(_write_page, self.pages_of, self.assignment, job.student)
                pool.submit(work, replace(job, report=report))

    def _stored(self, student: str, graded: Sequence[Graded]) -> StudentReport:
        with self._gradebook() as gradebook:
            stored = gradebook.find_submission(self.assignment, student)
            return StudentReport(
                student,
                float(stored.score),
                float(stored.max_score),
                tuple(result for part in graded for result in part.results),
                needs_manual_grade=bool(stored.needs_manual_grade),
                seconds=sum(part.seconds for part in graded),
            )

    def _ungraded(self, student: str, error: BaseException) -> None:
        if not student_problem(student):
            self.converter.discard(self.assignment, student)
        self._done(StudentReport(student, None, self.max_points, reason=_line(error)))

    def _done(self, report: StudentReport) -> None:
        if report.reason:
            log.info("%s: %s", report.student, report.reason)
        self.reports.append(report)
        if self.progress:
            self.progress(len(self.reports), self.total, report)

    def _gradebook(self) -> Gradebook:
        return Gradebook(self.converter.coursedir.db_url, self.converter.coursedir.course_id or "default_course")


class _Pool:
    """A process pool that survives the death of a worker: what was running then is tried again, one by one.

    A job that kills its worker while it runs alone comes back as the error.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.busy: dict[Future[Any], tuple[Callable[[], Any], _Job]] = {}
        self.executor = self._new(workers)

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.executor.shutdown(cancel_futures=True)

    def submit(self, work: Callable[[], Any], job: _Job) -> None:
        try:
            future = self.executor.submit(work)
        except BrokenProcessPool as error:
            future = Future()
            future.set_exception(error)
        self.busy[future] = work, job

    def finished(self, block: bool) -> list[tuple[_Job, Any]]:
        """The jobs that have ended since the last time, each with what it returned or raised."""
        ended, _ = wait(self.busy, timeout=None if block else 0, return_when=FIRST_COMPLETED)
        if any(isinstance(future.exception(), BrokenProcessPool) for future in ended):
            return list(self._one_by_one())
        return [(self.busy.pop(future)[1], future.exception() or future.result()) for future in ended]

    def _one_by_one(self) -> Iterator[tuple[_Job, Any]]:
        wait(self.busy)
        for future, (work, job) in list(self.busy.items()):
            del self.busy[future]
            if not isinstance(future.exception(), BrokenProcessPool):
                yield job, future.exception() or future.result()
                continue
            with self._new(1) as alone:
                again = alone.submit(work)
                yield job, again.exception() or again.result()
        self.executor.shutdown()
        self.executor = self._new(self.workers)

    @staticmethod
    def _new(workers: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))


def _grade(notebooks: Sequence[tuple[Path, Sequence[str]]], options: Options, submitted: Path) -> dict[str, Graded]:
    """In a worker: the verdicts on one submission's cleaned notebooks, by name; ``submitted`` is where they came from."""
    return {
        path.stem: grade_notebook(read_notebook(path), exercises, options, submitted) for path, exercises in notebooks
    }


def _write_page(root: Path, assignment: str, student: str) -> tuple[Path, ...]:
    """In a worker: nbgrader's own feedback for one submission; the gradebook is only read."""
    with _quiet():
        return _pages(root).write(assignment, student)


@functools.lru_cache(maxsize=1)
def _pages(root: Path) -> _Pages:
    config = course_config(root)
    return _Pages(coursedir=CourseDirectory(config=config), config=config)


class _Pages(GenerateFeedback):
    """nbgrader's feedback, one student at a time, with templates that are compiled once in each worker."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.force = True
        self.writer = FilesWriter(parent=self, config=self.config)
        self.exporter = self.exporter_class(parent=self, config=self.config)
        for step in self.preprocessors:
            self.exporter.register_preprocessor(step)

    def write(self, assignment: str, student: str) -> tuple[Path, ...]:
        self.notebooks = sorted(map(str, Path(self._format_source(assignment, student)).glob("*.ipynb")))
        self.init_destination(assignment, student)
        self.init_assignment(assignment, student)
        for path in self.notebooks:
            self.convert_single_notebook(path)
        self.set_permissions(assignment, student)
        return tuple(sorted(Path(self._format_dest(assignment, student)).glob("*.html")))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep nbgrader's and nbconvert's own logging down to what nobody here reports."""
    logger = logging.getLogger("traitlets")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _line(error: BaseException) -> str:
    text = str(error).strip()
    kind = "" if isinstance(error, SubmissionError | BatchError) else f"{type(error).__name__}: "
    return kind + text.splitlines()[0] if text else type(error).__name__
