"""nbgrader whole, on a temporary course with a real gradebook and the real sandbox: by its own commands and by `grade_course`.

One class is handed in twice and graded in both ways; each attack in it must get exactly what its functions deserve.
"""

from __future__ import annotations

import html.parser
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import pytest
from courses import HALF, MINI, RIGHT, SCHEME, cell, filled, make_course, marks, nbgrader, submit
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from autograder import batch
from autograder.batch import ClassReport, StudentReport, grade_course
from autograder.nbgrader_plugin import clean_markdown

pytestmark = pytest.mark.xdist_group("nbgrader")  # one class is graded for all of them

CHECKS = ("check-relative_error", "check-layernorm_forward")
STUB = "def layernorm_forward(x, gamma, beta, ln_param):\n    raise NotImplementedError()\n"
DISHONEST = RIGHT | {"layernorm_forward": STUB}
"""One right function (5 of 5) and one that was never written (0 of 5): what an attack starts from."""


@dataclass(frozen=True)
class Attack:
    """What a student does to an honest notebook, and the marks that it must get."""

    change: Callable[[NotebookNode], object] = lambda notebook: None
    marks: tuple[float, float] = (5, 0)
    functions: dict[str, str] = field(default_factory=lambda: dict(DISHONEST))
    says: str = ""
    """What the graded notebook must contain."""


def first(source: str) -> Callable[[NotebookNode], None]:
    """Put a cell before everything else."""
    return lambda notebook: notebook.cells.insert(0, new_code_cell(source))


def last(source: str) -> Callable[[NotebookNode], None]:
    return lambda notebook: notebook.cells.append(new_code_cell(source))


def each_check(change: Callable[[NotebookNode, NotebookNode], None]) -> Callable[[NotebookNode], None]:
    def change_all(notebook: NotebookNode) -> None:
        for grade_id in CHECKS:
            change(notebook, cell(notebook, grade_id))

    return change_all


def with_metadata(**values: object) -> Callable[[NotebookNode], None]:
    return each_check(lambda _, check: check.metadata.nbgrader.update(values))


def copy_of(grade_id: str) -> Callable[[NotebookNode], None]:
    return lambda notebook: notebook.cells.append(nbformat.from_dict(dict(cell(notebook, grade_id)) | {"id": "copy"}))


def remove(*grade_ids: str) -> Callable[[NotebookNode], None]:
    def change(notebook: NotebookNode) -> None:
        gone = [cell(notebook, grade_id) for grade_id in grade_ids]
        notebook.cells = [c for c in notebook.cells if c not in gone]

    return change


def set_source(source: str) -> Callable[[NotebookNode], None]:
    return each_check(lambda _, check: check.update(source=source))


def to_markdown(notebook: NotebookNode) -> None:
    for place, found in enumerate(notebook.cells):
        if found.metadata.get("nbgrader", {}).get("grade_id") in CHECKS:
            notebook.cells[place] = new_markdown_cell(found.source, metadata=found.metadata, id=found.id)


def swap_ids(notebook: NotebookNode) -> None:
    one, two = (cell(notebook, grade_id) for grade_id in CHECKS)
    one.metadata.nbgrader.grade_id, two.metadata.nbgrader.grade_id = reversed(CHECKS)


def garbage_metadata(notebook: NotebookNode) -> None:
    """Only what still is JSON: each kind of nonsense on another cell."""
    nonsense = [
        [],
        "x",
        {"grade_id": ["x"]},
        {"grade_id": None, "grade": "yes"},
        {"schema_version": 99, "grade_id": "setup"},
    ]
    for place, found in enumerate(notebook.cells):
        found.metadata["nbgrader"] = nonsense[place % len(nonsense)]


EQUAL = """
class Agreeable(np.ndarray):
    def __eq__(self, other): return True
    def __sub__(self, other): return 0 * self
    def __array_ufunc__(self, *a, **k): return np.zeros(1)
def layernorm_forward(x, gamma, beta, ln_param):
    return np.zeros_like(x).view(Agreeable), None
"""
EXPLODING = """
class Everything:
    def __eq__(self, other): return True
    def __array__(self, *a, **k): raise SystemExit(0)
def layernorm_forward(x, gamma, beta, ln_param):
    return Everything(), None
"""
PATCHED = """
import numpy as np
np.allclose = np.array_equal = lambda *a, **k: True
np.testing.assert_allclose = np.testing.assert_array_equal = lambda *a, **k: None
np.abs = np.max = lambda *a, **k: 0.0
np.ndarray.__eq__ if False else None
"""
HOOKED = """
ip = get_ipython()
ip.events.register("post_run_cell", lambda result: setattr(result, "error_in_exec", None))
ip.set_custom_exc((Exception,), lambda *a, **k: None)
ip.ast_transformers.append(lambda tree: tree)
"""
FRAMES = """
import sys, gc
for frame in iter(lambda f=[sys._getframe()]: f.__setitem__(0, f[0].f_back) or f[0], None):
    frame.f_globals.update(points=5, passed=True, check=lambda name: 5.0)
for thing in gc.get_objects():
    if isinstance(thing, dict) and "max_points" in thing: thing["points"] = thing["max_points"]
"""


def database_attack(path: str) -> str:
    trigger = "create trigger t after update on grade begin update grade set auto_score = 5; end"
    return f"""
import sqlite3, glob, os
for place in [{path!r}, *glob.glob("/**/gradebook.db", recursive=True), "../../../gradebook.db", "gradebook.db"]:
    try:
        db = sqlite3.connect(place); db.execute({trigger!r}); db.execute("update grade set auto_score = 5, manual_score = 5"); db.commit()
    except Exception: pass
    try: os.remove(place)
    except Exception: pass
"""


ATTACKS: dict[str, Attack] = {
    "honest-right": Attack(functions=RIGHT, marks=(5, 5), says="layernorm_forward"),
    "honest-half": Attack(functions=RIGHT | {"layernorm_forward": HALF}, marks=(5, 4), says="wanted"),
    "honest-untouched": Attack(functions={}, marks=(0, 0), says="not started"),
    "skip-execution": Attack(each_check(lambda _, c: c.metadata.update(tags=["skip-execution", "remove-cell", "raises-exception"]))),
    "experiment-on-checks": Attack(each_check(lambda _, c: c.metadata.update(tags=["experiment"]))),
    "experiment-on-stub": Attack(lambda nb: cell(nb, "relative_error").metadata.update(tags=["experiment"])),
    "patched-numpy": Attack(first(PATCHED), marks=(0, 0), functions=DISHONEST),
    "patched-after": Attack(last(PATCHED), functions=RIGHT | {"relative_error": "def relative_error(a, b):\n    return 0.0\n"},
                            marks=(0, 5)),
    "ipython-hook": Attack(first(HOOKED)),
    "walks-frames": Attack(first(FRAMES), says="Error"),
    "copied-check": Attack(copy_of("check-relative_error")),
    "copied-stub": Attack(copy_of("relative_error")),
    "deleted-checks": Attack(remove(*CHECKS)),
    "deleted-everything": Attack(lambda nb: nb.cells.clear(), marks=(0, 0)),
    "deleted-setup": Attack(remove("setup")),
    "edited-source": Attack(set_source("5.0")),
    "other-check": Attack(set_source('check("relative_error")')),
    "edited-points": Attack(with_metadata(points=1000)),
    "text-points": Attack(with_metadata(points="lots", locked=False, solution=True)),
    "no-grade": Attack(with_metadata(grade=False)),
    "forged-id": Attack(with_metadata(grade_id="check-everything")),
    "same-id": Attack(with_metadata(grade_id=CHECKS[0])),
    "swapped-ids": Attack(swap_ids),
    "old-schema": Attack(with_metadata(schema_version=1)),
    "future-schema": Attack(with_metadata(schema_version=99)),
    "as-markdown": Attack(to_markdown),
    "no-metadata": Attack(lambda nb: [c.metadata.pop("nbgrader", None) for c in nb.cells]),
    "garbage-metadata": Attack(garbage_metadata),
    "replaced-by-number": Attack(each_check(lambda nb, c: nb.cells.__setitem__(nb.cells.index(c), new_code_cell("10")))),
    "forged-outputs": Attack(each_check(lambda _, c: c.update(outputs=[nbformat.v4.new_output(
        "execute_result", data={"text/plain": "5.0"})]))),
    "changed-setup": Attack(lambda nb: cell(nb, "setup").update(source="class np: pass")),
    "redefined-check": Attack(first("def check(name): return 5.0\nhint = check")),
    "redefined-after": Attack(last("def check(name): return 5.0")),
    "equal-to-all": Attack(functions=RIGHT | {"layernorm_forward": EQUAL}),
    "exploding-array": Attack(functions=RIGHT | {"layernorm_forward": EXPLODING}),
    "prints-and-warns": Attack(last("import sys, warnings\nprint('hello from the student')\nprint('x', file=sys.stderr)"),
                               functions={n: "import warnings, sys\n" + s.replace("):\n", "):\n    warnings.warn('careful')\n"
                                                                                  "    print('noise', file=sys.stderr)\n", 1)
                                          for n, s in RIGHT.items()}, marks=(5, 5), says="hello from the student"),
    "divides-by-zero": Attack(functions=RIGHT | {"relative_error": RIGHT["relative_error"].replace(
        "    size =", "    np.ones(2) / np.zeros(2)\n    size =")}, marks=(5, 5)),
    "crash": Attack(functions=RIGHT | {"layernorm_forward": STUB.replace("raise NotImplementedError()", "import os; os._exit(0)")}),
    "crash-in-cell": Attack(last("import os; os._exit(0)"), says="without this cell"),
    "segfault": Attack(functions=RIGHT | {"layernorm_forward": STUB.replace(
        "raise NotImplementedError()", "import ctypes; ctypes.string_at(0)")}),
    "hang-in-cell": Attack(last("while True: pass"), says="without this cell"),
    "hang": Attack(functions=RIGHT | {"layernorm_forward": STUB.replace("raise NotImplementedError()", "while True: pass")}),
    "magics": Attack(lambda nb: [first("%matplotlib inline\n%load_ext autoreload\n!pip install torch\nnp?")(nb),
                                 cell(nb, "relative_error").update(source="%%time\n" + RIGHT["relative_error"])]),
    "syntax-error": Attack(last("def broken(:"), says="SyntaxError"),
    "surrogates": Attack(last("print('\ud800' + chr(0xd800))")),
}  # fmt: skip

DAMAGED = {
    "empty-file": (b"", "is empty"),
    "half-a-file": (b'{"cells": [', "JSON is damaged"),
    "not-utf8": (b'{"cells": "\xff"}', "not UTF-8"),
    "a-picture": (b"\x89PNG\r\n\x1a\n", "not UTF-8"),
    "a-list": (b"[]", 'no list of "cells"'),
    "deep": (b'{"cells":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too deeply"),
    "huge": (b" " * 20_000_001, "larger than 20 MB"),
}
STRANGE = ("Zoë Ångström", "李雷", "o'brien", "a.b.c", "x-1 (late)", "{curly}")


def hand_in(course: Path) -> None:
    for student, attack in ATTACKS.items():
        notebook = filled(course, attack.functions)
        attack.change(notebook)
        text = nbformat.v4.writes(notebook) if student != "garbage-metadata" else __import__("json").dumps(notebook)
        submit(course, student, text.encode("utf-8", "surrogatepass").replace(b"\xed\xa0\x80", rb"\ud800"))
    own = course / "gradebook.db"
    notebook = filled(course, DISHONEST)
    notebook.cells.insert(0, new_code_cell(database_attack(str(own))))
    submit(course, "writes-gradebook", notebook)
    for student, (content, _) in DAMAGED.items():
        submit(course, student, content)
    for student in STRANGE:
        submit(course, student, filled(course, RIGHT))


@pytest.fixture(scope="module")
def by_nbgrader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The class, graded by `nbgrader autograde` and `nbgrader generate_feedback`; what was said is in ``log.txt``."""
    course = make_course(tmp_path_factory.mktemp("by-nbgrader"))
    hand_in(course)
    run = nbgrader(course, "autograde", MINI)
    (course / "log.txt").write_text(run.stderr)
    assert run.returncode == 1  # some submissions are damaged
    feedback = nbgrader(course, "generate_feedback", MINI)
    assert feedback.returncode == 0, feedback.stderr
    return course


@pytest.fixture(scope="module")
def by_batch(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ClassReport]:
    """The same class, graded by `grade_course`, which has to register the assignment itself."""
    course = make_course(tmp_path_factory.mktemp("by-batch"), register=False)
    hand_in(course)
    return course, grade_course(course, MINI)


def of(report: ClassReport, student: str) -> StudentReport:
    return next(s for s in report.students if s.student == student)


EXPECTED = (
    {name: attack.marks for name, attack in ATTACKS.items()}
    | {"writes-gradebook": (5, 0)}
    | dict.fromkeys(STRANGE, (5, 5))
)


@pytest.mark.parametrize("student", EXPECTED)
def test_nbgrader_stores_exactly_what_the_functions_deserve(by_nbgrader: Path, student: str) -> None:
    stored = marks(by_nbgrader)[student]
    assert tuple(stored[check] for check in CHECKS) == EXPECTED[student]


@pytest.mark.parametrize("student", EXPECTED)
def test_the_batch_stores_exactly_what_the_functions_deserve(by_batch: tuple[Path, ClassReport], student: str) -> None:
    course, report = by_batch
    stored = marks(course)[student]
    assert tuple(stored[check] for check in CHECKS) == EXPECTED[student]
    assert of(report, student).points == sum(EXPECTED[student])
    assert of(report, student).reason == ""


def test_both_ways_store_the_same_marks(by_nbgrader: Path, by_batch: tuple[Path, ClassReport]) -> None:
    assert marks(by_nbgrader) == marks(by_batch[0])


def test_both_ways_write_the_same_notebooks(by_nbgrader: Path, by_batch: tuple[Path, ClassReport]) -> None:
    for student in ("honest-half", "deleted-checks", "garbage-metadata", "as-markdown"):
        name = Path("autograded", student, MINI, f"{MINI}.ipynb")
        assert (by_nbgrader / name).read_bytes() == (by_batch[0] / name).read_bytes()


def test_no_attack_left_anything_in_the_gradebook(by_nbgrader: Path, by_batch: tuple[Path, ClassReport]) -> None:
    for course in (by_nbgrader, by_batch[0]):
        with sqlite3.connect(course / "gradebook.db") as database:
            assert database.execute("select name from sqlite_master where type = 'trigger'").fetchall() == []
            assert database.execute("select count(*) from grade where manual_score is not null").fetchone() == (0,)


@pytest.mark.parametrize("student", [name for name, attack in ATTACKS.items() if attack.says])
def test_the_graded_notebook_says_what_happened(by_nbgrader: Path, student: str) -> None:
    text = (by_nbgrader / "autograded" / student / MINI / f"{MINI}.ipynb").read_text("utf-8")
    assert ATTACKS[student].says in text


@pytest.mark.parametrize("student", DAMAGED)
def test_a_damaged_notebook_is_named_and_the_rest_is_graded(
    by_nbgrader: Path, by_batch: tuple[Path, ClassReport], student: str
) -> None:
    reason = DAMAGED[student][1]
    log = (by_nbgrader / "log.txt").read_text()
    assert any(student in line and reason in line for line in log.splitlines() if "ERROR" in line)
    report = of(by_batch[1], student)
    assert report.points is None and reason in report.reason and "\n" not in report.reason
    assert marks(by_nbgrader)[student] == dict.fromkeys((*CHECKS, "question-why"))
    assert not (by_batch[0] / "autograded" / student / MINI).exists()


# -- feedback and formgrader


class Active(html.parser.HTMLParser):
    """Everything in a page that could run or call out, apart from the page's own scripts and formgrader's own button."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if (
                (name.startswith("on") and not (value or "").startswith("toggle_name("))
                or "javascript:" in (value or "").lower()
                or "evil" in (value or "")
            ):
                self.found.append(f"<{tag} {name}={value!r}>")
        if tag in ("iframe", "object", "embed", "form", "base"):
            self.found.append(f"<{tag}>")


HOSTILE = (
    "<script>evil()</script><img src=x onerror='evil()'><a href='javascript:evil()'>x</a><iframe src='//evil'></iframe>"
)


def hostile_notebook(course: Path) -> NotebookNode:
    notebook = filled(
        course, RIGHT | {"layernorm_forward": f'def layernorm_forward(*a):\n    raise ValueError("""{HOSTILE}""")\n'}
    )
    notebook.metadata.update(title=HOSTILE, language_info={"name": HOSTILE, "pygments_lexer": HOSTILE},
                             widgets={"application/vnd.jupyter.widget-state+json": {"state": {HOSTILE: 1}}})  # fmt: skip
    cell(
        notebook, "question-why"
    ).source = f"Because {HOSTILE} [x](javascript:evil()) ![y](http://evil/y.png) `<script>`"
    html_output = nbformat.v4.new_output(
        "display_data", data={"text/html": HOSTILE, "application/javascript": "evil()"}
    )
    notebook.cells += [
        new_code_cell(f'print("""{HOSTILE}""")\nraise KeyError("""{HOSTILE}""")', outputs=[html_output]),
        new_code_cell("1", metadata={"tags": [HOSTILE], HOSTILE: HOSTILE, "magics_language": HOSTILE}),
        new_markdown_cell(HOSTILE + "\n\n$<script>evil()</script>$\n\n<svg onload=evil()></svg>\n\n<style>body{}</style>",
                          attachments={"x.png": {"text/html": HOSTILE}}),
        nbformat.v4.new_raw_cell(HOSTILE, metadata={"raw_mimetype": "text/html"}),
    ]  # fmt: skip
    notebook.cells[1].id = "a"
    return notebook


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    course = make_course(tmp_path_factory.mktemp("pages"))
    submit(course, "mallory", hostile_notebook(course))
    submit(course, "half", filled(course, RIGHT | {"layernorm_forward": HALF}))
    report = grade_course(course, MINI)
    assert [s.reason for s in report.students] == ["", ""]
    assert [len(s.feedback) for s in report.students] == [1, 1]
    return course, of(report, "mallory").feedback[0].read_text("utf-8")


def test_nothing_of_a_students_is_live_in_the_feedback_page(pages: tuple[Path, str]) -> None:
    parser = Active()
    parser.feed(pages[1])
    assert parser.found == []
    assert "<script>evil" not in pages[1] and "&lt;script&gt;evil()" in pages[1]


def test_nothing_of_a_students_is_live_in_formgraders_view(pages: tuple[Path, str]) -> None:
    """The page of formgrader's submission view, made as its server makes it."""
    from nbconvert.exporters import HTMLExporter
    from nbgrader.server_extensions.formgrader import handlers

    config = batch.course_config(pages[0])
    config.HTMLExporter.template_name = "formgrade"
    config.HTMLExporter.extra_template_basedirs = [handlers.template_path]
    resources = {"assignment_id": MINI, "notebook_id": MINI, "submission_id": "1", "index": 0, "total": 1, "base_url": "/",
                 "student": "mallory", "last_name": "", "first_name": "", "notebook_path": "x"}  # fmt: skip
    name = pages[0] / "autograded" / "mallory" / MINI / f"{MINI}.ipynb"
    page, _ = HTMLExporter(config=config).from_filename(str(name), resources=resources)
    parser = Active()
    parser.feed(page)
    assert parser.found == []
    assert "<script>evil" not in page and "autograder-result" in page


def test_feedback_shows_the_table_with_its_styles_and_no_hidden_material(pages: tuple[Path, str]) -> None:
    page = (pages[0] / "feedback" / "half" / MINI / f"{MINI}.html").read_text("utf-8")
    assert 'class="autograder-result" style="' in page and "4 of 5 points" in page
    assert "(Score: 9.0 / 12.0)" in page
    assert SCHEME not in page and "x_hat" not in page and "mean_and_variance(x)\n    x_hat" not in page


@pytest.mark.parametrize("source", ["a $x<y$ b", "<details><summary>Stuck?</summary>\n\nlook\n</details>", "| a |\n|---|\n| 1 |",
                                    "![p](data:image/png;base64,iVBORw0K)", "[link](https://arxiv.org)"])  # fmt: skip
def test_honest_markdown_survives_the_cleaning(source: str) -> None:
    page = clean_markdown({}, source)  # type: ignore[arg-type]
    assert any(mark in page for mark in ("$x&lt;y$", "<details>", "<table>", "data:image/png", "https://arxiv.org"))


@pytest.mark.parametrize("piece", ["\\begin{a}", "<div>", "<b>*", "[", "|a", "\n- a", "**a", "> "])
def test_hostile_markdown_takes_little_time(piece: str) -> None:
    for size in (9_000, 100_000):
        started = time.perf_counter()
        assert "<script" not in clean_markdown({}, piece * (size // len(piece)))  # type: ignore[arg-type]
        assert time.perf_counter() - started < 3


# -- the gradebook over time


def test_grading_again_replaces_automatic_marks_and_keeps_manual_ones(tmp_path: Path) -> None:
    course = make_course(tmp_path)
    notebook = filled(course, DISHONEST)
    cell(notebook, "question-why").source = "Because sizes differ."
    submit(course, "ada", notebook)
    report = of(grade_course(course, MINI, feedback=False), "ada")
    assert (report.points, report.needs_manual_grade) == (5, True)
    with sqlite3.connect(course / "gradebook.db") as database:
        database.execute("update grade set manual_score = 1.5, needs_manual_grade = 0 where auto_score is null")
    for function in RIGHT:
        cell(notebook, function).source = RIGHT[function]
    submit(course, "ada", notebook)
    again = of(grade_course(course, MINI, feedback=False), "ada")
    assert again.points == 11.5 and again.max_points == 12
    assert marks(course)["ada"] == {CHECKS[0]: 5, CHECKS[1]: 5, "question-why": None}


def test_marks_are_scaled_where_the_gradebook_gives_other_points(tmp_path: Path) -> None:
    course = make_course(tmp_path, register=False)
    source = course / "solutions" / MINI / f"{MINI}.ipynb"
    notebook = nbformat.read(source, as_version=4)
    for check in CHECKS:
        cell(notebook, check).metadata.nbgrader.points = 20
    nbformat.write(notebook, source)
    submit(course, "ada", filled(course, RIGHT | {"layernorm_forward": HALF}))
    grade_course(course, MINI, feedback=False)
    assert [marks(course)["ada"][check] for check in CHECKS] == [20, 16]


def test_a_failure_of_the_engine_leaves_the_submission_ungraded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check cell without a number would count as right, so no cell may be left without one."""
    from autograder import nbgrader_plugin
    from autograder.nbgrader_plugin import Graded, source_cells, write_outputs

    course = make_course(tmp_path)
    submit(course, "ada", filled(course, RIGHT))
    known = source_cells(f"sqlite:///{course}/gradebook.db", MINI, MINI)
    with pytest.raises(KeyError):
        write_outputs(filled(course, RIGHT), known, Graded((), (), True))
    with pytest.raises(RuntimeError, match="not in the notebook"):
        write_outputs(nbformat.v4.new_notebook(), known, Graded((), (), True))

    def broken(*_: object) -> Graded:
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr(batch, "grade_notebook", broken)
    monkeypatch.setattr(nbgrader_plugin, "grade_notebook", broken)
    monkeypatch.setattr(
        batch._Pool,
        "_new",
        staticmethod(lambda workers: __import__("concurrent.futures").futures.ThreadPoolExecutor(1)),
    )
    report = of(grade_course(course, MINI), "ada")
    assert report.points is None and report.reason == "ZeroDivisionError: a bug of ours"
    assert set(marks(course)["ada"].values()) == {None}


def test_a_graded_cell_that_is_no_check_of_ours_is_refused(tmp_path: Path) -> None:
    course = make_course(tmp_path)
    submit(course, "ada", filled(course, RIGHT))
    with sqlite3.connect(course / "gradebook.db") as database:
        database.execute("update source_cell set source = 'assert True' where name = 'check-relative_error'")
    with pytest.raises(ValueError, match="graded cell check-relative_error is not check"):
        grade_course(course, MINI)


def test_export_and_validate_work_in_the_course(pages: tuple[Path, str]) -> None:
    course = pages[0]
    assert nbgrader(course, "export").returncode == 0
    assert "half" in (course / "grades.csv").read_text() and ",9.0,12.0" in (course / "grades.csv").read_text()
    solved = nbgrader(course, "validate", f"solutions/{MINI}/{MINI}.ipynb")
    assert solved.returncode == 0 and "Success!" in solved.stdout, solved.stderr
    untouched = nbgrader(course, "validate", f"assignments/{MINI}/{MINI}.ipynb")
    assert untouched.returncode == 0 and "VALIDATION FAILED ON 3 CELL(S)" in untouched.stdout


# -- folders


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> ClassReport:
    course = make_course(tmp_path_factory.mktemp("folders"), register=False)
    right = submit(course, "right", filled(course, RIGHT)).read_bytes()

    def place(student: str, name: str, content: bytes = right) -> Path:
        target = course / "submitted" / student / MINI / name
        target.parent.mkdir(parents=True)
        target.write_bytes(content)
        return target

    place("copy-one", f"{MINI} (1).ipynb")
    place("copy-two", f"{MINI}-Copy1.ipynb")
    place("only-python", "solution.py", b"x = 1")
    (course / "submitted" / "nothing" / MINI).mkdir(parents=True)
    (course / "submitted" / "a-file").mkdir(parents=True)
    (course / "submitted" / "a-file" / MINI).write_text("x")
    place("broken-link", "notes.txt").parent.joinpath(f"{MINI}.ipynb").symlink_to("/nowhere")
    (submit(course, "stolen", right).parent / "notes.txt").symlink_to("/etc/passwd")
    (submit(course, "bad-date", right).parent / "timestamp.txt").write_text("yesterday")
    os.mkfifo(submit(course, "pipe", right).parent / "pipe")
    for student in (" space", ".hidden", "x<script>", "what?", "[1]"):
        submit(course, student, right)
    (course / "submitted" / "other" / "91-other").mkdir(parents=True)
    return grade_course(course, MINI, feedback=False)


@pytest.mark.parametrize(("student", "reason"), [
    ("copy-one", f"found '{MINI} (1).ipynb', expected {MINI}.ipynb: if this is the submission, rename it"),
    ("copy-two", f"found '{MINI}-Copy1.ipynb', expected {MINI}.ipynb: if this is the submission, rename it"),
    ("only-python", "found no notebook, expected"), ("nothing", "found no notebook"), ("a-file", "is not a folder"),
    ("broken-link", "is a link"), ("stolen", "notes.txt is a link"), ("bad-date", "timestamp.txt is not a date"), ("pipe", "pipe"),
    (" space", "starts or ends with a space"), (".hidden", "starts with a dot"), ("x<script>", "contains < >"),
    ("what?", "contains ?"), ("[1]", "contains [ ]"),
])  # fmt: skip
def test_a_strange_folder_gets_one_line(folders: ClassReport, student: str, reason: str) -> None:
    report = of(folders, student)
    assert report.points is None and reason in report.reason and "\n" not in report.reason


def test_strange_folders_stop_nobody_else(folders: ClassReport) -> None:
    assert of(folders, "right").points == 10
    assert "other" not in [s.student for s in folders.students]


def test_an_unknown_assignment_is_named(tmp_path: Path) -> None:
    course = make_course(tmp_path, register=False)
    with pytest.raises(batch.BatchError, match="assignment 99-none is neither in the gradebook"):
        grade_course(course, "99-none")


def test_a_class_without_submissions_is_an_empty_report(tmp_path: Path) -> None:
    report = grade_course(make_course(tmp_path, register=False), MINI)
    assert report.students == () and report.max_points == 12


# -- isolation


def test_without_bubblewrap_nbgrader_warns_and_refuses_when_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    course = make_course(tmp_path)
    submit(course, "ada", filled(course, RIGHT))
    without = tmp_path / "bin"
    without.mkdir()
    for tool in ("alembic", "nbgrader"):
        source = shutil.which(tool) or str(Path(os.sys.executable).parent / tool)  # type: ignore[attr-defined]
        (without / tool).symlink_to(source)
    monkeypatch.setenv("PATH", str(without))
    run = nbgrader(course, "autograde", MINI)
    assert run.returncode == 0 and "WITHOUT ISOLATION" in run.stderr
    assert sum(v or 0 for v in marks(course)["ada"].values()) == 10
    refused = nbgrader(course, "autograde", MINI, "--force", "--GradeInSandbox.require_sandbox=True")
    assert refused.returncode == 1 and "bubblewrap" in refused.stderr


# -- the pool


def _die() -> None:
    os._exit(1)


def test_a_worker_that_dies_costs_only_its_own_job() -> None:
    jobs = [batch._Job(name, ()) for name in ("one", "dies", "three")]
    with batch._Pool(2) as pool:
        for job, work in zip(jobs, (os.getpid, _die, os.getpid), strict=True):
            pool.submit(work, job)
        ended: dict[str, object] = {}
        while pool.busy:
            ended |= {job.student: answer for job, answer in pool.finished(block=True)}
        pool.submit(os.getpid, jobs[0])
        ((_, again),) = pool.finished(block=True)
    assert isinstance(ended["one"], int) and isinstance(ended["three"], int) and isinstance(again, int)
    assert isinstance(ended["dies"], Exception)


@pytest.fixture(autouse=True)
def _same_directory() -> Iterator[None]:
    """nbgrader changes the working directory; it must be as before afterwards."""
    before = Path.cwd()
    yield
    assert Path.cwd() == before


def test_progress_is_told_of_every_submission(tmp_path: Path) -> None:
    course = make_course(tmp_path, register=False)
    submit(course, "ada", filled(course, RIGHT))
    submit(course, "bob", b"")
    seen: list[tuple[int, int, str]] = []
    grade_course(
        course, MINI, workers=1, progress=lambda done, total, report: seen.append((done, total, report.student))
    )
    assert seen == [(1, 2, "bob"), (2, 2, "ada")]
