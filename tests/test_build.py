"""From text notebook to release: what students get, what they must not get, and that a rebuild changes nothing."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from courses import MINI, REPOSITORY, SCHEME, TEXT, cell, make_course
from nbgrader import utils

from autograder.exercises import COURSE
from autograder.notebooks.build import BuildError, build, check_build, source_notebook


@pytest.fixture
def course(tmp_path: Path) -> Path:
    return make_course(tmp_path, register=False)


def release(course: Path) -> nbformat.NotebookNode:
    return nbformat.read(course / "assignments" / MINI / f"{MINI}.ipynb", as_version=4)


def test_an_exercise_becomes_a_stub_and_its_check_a_locked_graded_cell(course: Path) -> None:
    stub, check = cell(release(course), "relative_error"), cell(release(course), "check-relative_error")
    assert "raise NotImplementedError()" in stub.source and "np.abs" not in stub.source
    assert utils.is_solution(stub) and not utils.is_grade(stub) and not utils.is_locked(stub)
    assert check.source == 'check("relative_error")' and check.metadata.nbgrader.points == 5
    assert utils.is_grade(check) and utils.is_locked(check) and check.metadata.editable is False


def test_a_question_becomes_a_locked_text_and_an_answer_without_the_marking_scheme(course: Path) -> None:
    text, answer = cell(release(course), "question-why-text"), cell(release(course), "question-why")
    assert text.source == "Why relative?" and utils.is_locked(text) and not utils.is_grade(text)
    assert answer.source == "YOUR ANSWER HERE"
    assert utils.is_grade(answer) and utils.is_solution(answer) and answer.metadata.nbgrader.points == 2


def test_experiments_are_tagged_setup_is_locked_and_the_rest_is_ordinary(course: Path) -> None:
    notebook = release(course)
    assert [c.source.split("(")[0] for c in notebook.cells if c.metadata.get("tags") == ["experiment"]] == [
        "raise SystemExit"
    ]
    assert utils.is_locked(cell(notebook, "setup"))
    helper = next(c for c in notebook.cells if c.source.startswith("def mean_and_variance"))
    assert dict(helper.metadata) == {}


def test_nothing_of_the_solutions_reaches_the_release(course: Path) -> None:
    files = [path for path in (course / "assignments").rglob("*") if path.is_file()]
    assert [path.suffix for path in files] == [".ipynb"]
    text = files[0].read_text("utf-8")
    assert SCHEME not in text and "SOLUTION" not in text and "x_hat" not in text and "1e-12" not in text


def test_building_again_and_elsewhere_gives_the_same_bytes(course: Path, tmp_path: Path) -> None:
    assert build(course) == []
    there = make_course(tmp_path / "elsewhere", register=False)
    for folder in ("solutions", "assignments"):
        name = Path(folder, MINI, f"{MINI}.ipynb")
        assert (course / name).read_bytes() == (there / name).read_bytes()
    assert check_build(course) == []


def test_cells_have_unique_ids_no_outputs_and_little_metadata(course: Path) -> None:
    for folder in ("solutions", "assignments"):
        notebook = nbformat.read(course / folder / MINI / f"{MINI}.ipynb", as_version=4)
        nbformat.validate(notebook)
        ids = [c.id for c in notebook.cells]
        assert len(set(ids)) == len(ids) and "check-relative_error" in ids
        assert all(c.outputs == [] and c.execution_count is None for c in notebook.cells if c.cell_type == "code")
        assert set(notebook.metadata) == {"kernelspec", "language_info"}


def test_equal_cells_get_different_ids_that_do_not_depend_on_the_others() -> None:
    one, two = (source_notebook(MINI, TEXT + more) for more in ("\n# %%\n1 + 1\n\n# %%\n1 + 1\n", "\n# %%\n1 + 1\n"))
    assert [c.id for c in one.cells[:-1]] == [c.id for c in two.cells]
    assert one.cells[-1].id == one.cells[-2].id + "-2"


@pytest.mark.parametrize(("found", "put", "message"), [
    ('exercise="relative_error"', 'exercise="relative_eror"', "unknown exercise 'relative_eror'"),
    ('check="relative_error" points=5', 'check="relative_error" points=4', "points=4, but the checks of relative_error sum to 5"),
    ('check="relative_error" points=5', 'check="relative_error"', "points=None, but"),
    ('experiment=true', 'experimental=true', "unknown key experimental"),
    ('experiment=true', 'experiment=true setup=true', "has both experiment and setup"),
    ('# %% setup=true', '# %% [markdown] setup=true', "setup belongs to a code cell"),
    ("def relative_error", "def relativ_error", "does not define a function of that name"),
    ("    ### END SOLUTION\n\n# %% check=\"relative_error\"", "\n# %% check=\"relative_error\"", "needs its solution between"),
    ("# ### BEGIN SOLUTION\n# Because", "# Because", "question why needs a text"),
    ('question="why" points=2', 'question="why"', "question why needs points"),
    ("raise SystemExit", "### BEGIN SOLUTION\nraise SystemExit", "outside an exercise or question cell"),
    ('check="layernorm_forward"', 'check="relative_error"', "more than one cell makes check-relative_error"),
])  # fmt: skip
def test_a_mistake_in_the_text_is_named_in_one_line(found: str, put: str, message: str) -> None:
    text = TEXT.replace(found, put)
    assert text != TEXT
    with pytest.raises(BuildError) as error:
        source_notebook(MINI, text)
    assert message in str(error.value) and str(error.value).startswith(f"{MINI}.py") and "\n" not in str(error.value)


def test_an_assignment_of_the_course_must_check_all_its_exercises() -> None:
    with pytest.raises(BuildError, match="the course also asks for numerical_gradient, directional_gradient"):
        source_notebook("00-gradient-checking", TEXT)


def test_a_file_out_of_step_is_shown_with_a_diff(course: Path) -> None:
    for path in (course / "solutions" / MINI / f"{MINI}.ipynb", course / "assignments" / MINI / f"{MINI}.ipynb"):
        path.write_text(path.read_text("utf-8").replace("A small assignment", "A large assignment"), "utf-8")
    source, released = check_build(course)
    assert source.startswith(f"solutions/{MINI}/{MINI}.ipynb: out of step") and released.startswith("assignments/")
    assert re.search(r"^-.*A large assignment", source, re.MULTILINE) and re.search(
        r"^\+.*A small", source, re.MULTILINE
    )


def test_a_changed_text_is_named_until_it_is_built(course: Path) -> None:
    text = course / "solutions" / MINI / f"{MINI}.py"
    text.write_text(TEXT.replace("A small", "A tiny"), "utf-8")
    assert len(check_build(course)) == 2
    assert len(build(course)) == 2 and check_build(course) == []


@pytest.mark.parametrize("stray", ["assignments/90-mini/90-mini.py", "assignments/old/old.ipynb", "solutions/90-mini/notes.md",
                                   "assignments/notes.txt", "solutions/90-mini/second.py"])  # fmt: skip
def test_a_file_that_does_not_belong_is_named(course: Path, stray: str) -> None:
    (course / stray).parent.mkdir(exist_ok=True)
    (course / stray).write_text("{}")
    (fault,) = check_build(course)
    assert fault.startswith(stray)


def test_a_missing_file_is_named(course: Path) -> None:
    (course / "assignments" / MINI / f"{MINI}.ipynb").unlink()
    assert check_build(course) == [f"assignments/{MINI}/{MINI}.ipynb: missing; run `autograder build`"]


def test_data_beside_the_text_is_released_with_it(course: Path) -> None:
    (course / "solutions" / MINI / "data").mkdir()
    (course / "solutions" / MINI / "data" / "digits.csv").write_text("1,2\n")
    assert build(course) == [course / "assignments" / MINI / "data" / "digits.csv"]
    assert check_build(course) == []


def test_nbgrader_itself_makes_the_same_release(course: Path, tmp_path: Path) -> None:
    other = make_course(tmp_path / "by-nbgrader", register=False)
    shutil.rmtree(other / "assignments")
    from courses import nbgrader

    run = nbgrader(other, "generate_assignment", MINI)
    assert run.returncode == 0, run.stderr
    name = Path("assignments", MINI, f"{MINI}.ipynb")
    assert (other / name).read_bytes() == (course / name).read_bytes()


@pytest.mark.parametrize("name", sorted(COURSE.assignments))
def test_the_course_is_built(name: str) -> None:
    if not (REPOSITORY / "solutions" / name / f"{name}.py").is_file():
        pytest.skip(f"{name} is not written yet")
    assert [fault for fault in check_build(REPOSITORY) if name in fault] == []
