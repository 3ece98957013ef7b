"""The made-up class of `autograder demo`: the real assignment 01, graded by the command and by `nbgrader autograde`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from courses import marks, nbgrader

from autograder.demo import ANSWERS, ASSIGNMENT, TRICKS, make_class

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.xdist_group("demo")  # one class is graded for all of them

FULL = {"batchnorm_forward": 10, "batchnorm_backward": 6, "batchnorm_backward_alt": 6, "spatial_batchnorm_forward": 7,
        "spatial_batchnorm_backward": 6, "fold_batchnorm": 6}  # fmt: skip
FORWARD, BACKWARD, SPATIAL, SPATIAL_BACK = (
    "batchnorm_forward", "batchnorm_backward", "spatial_batchnorm_forward", "spatial_batchnorm_backward",
)  # fmt: skip

LOST: dict[str, dict[str, float]] = {
    "abena": {},
    "bao": {},
    "carla": {},
    "xenia": {},
    "dmitri": {FORWARD: 3, SPATIAL: 3},  # batch statistics at test time: the claim about them and the one about its eps
    "viktor": {FORWARD: 3, SPATIAL: 3},  # the same, behind a hook
    "elif": {FORWARD: 2, SPATIAL: 1},  # momentum swapped: both running averages
    "farid": {FORWARD: 1, SPATIAL: 1},  # running variance never stored
    "jonas": {FORWARD: 1, SPATIAL: 1},
    "lena": {BACKWARD: 3},
    "mateo": {BACKWARD: 3},
    "nadia": {BACKWARD: 3},
    "wanjiru": {BACKWARD: 3},
    "oskar": {"fold_batchnorm": 3},
    "rosa": {BACKWARD: 6},  # ends the process: that function's points, no others
    "sven": {"batchnorm_backward_alt": 6, SPATIAL_BACK: 6},  # hangs, and the other calls it
    "yusuf": FULL,
}
"""What each mistake costs."""


@pytest.fixture(scope="module")
def by_command(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float | None], str]:
    course = make_class(ROOT, tmp_path_factory.mktemp("demo") / "course")
    command = [sys.executable, "-m", "autograder.cli", "grade", ASSIGNMENT, "--course", str(course), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 1, done.stderr  # one submission is damaged
    return course, json.loads(done.stdout.splitlines()[-1]), done.stdout


def test_the_class_has_at_least_twenty_submissions_of_every_sort() -> None:
    assert len(ANSWERS) + len(TRICKS) + 2 >= 20


def test_every_submission_is_graded_but_the_damaged_one_which_is_named(by_command: tuple[Path, dict[str, float | None], str]) -> None:
    course, points, said = by_command
    assert set(points) == {path.name for path in (course / "submitted").iterdir()}
    assert [student for student, mark in points.items() if mark is None] == ["zoe"]
    assert "damaged" in said


@pytest.mark.parametrize("student", LOST)
def test_a_mistake_costs_what_it_breaks_and_nothing_else(
    by_command: tuple[Path, dict[str, float | None], str], student: str
) -> None:
    stored = marks(by_command[0])[student]
    expected = {f"check-{name}": points - LOST[student].get(name, 0) for name, points in FULL.items()}
    assert {name: stored[name] for name in expected} == expected


def test_nbgrader_autograde_stores_the_same_marks(
    by_command: tuple[Path, dict[str, float | None], str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    course = make_class(ROOT, tmp_path_factory.mktemp("demo") / "course")
    assert nbgrader(course, "generate_assignment", ASSIGNMENT).returncode == 0
    done = nbgrader(course, "autograde", ASSIGNMENT)
    assert "zoe" in done.stderr
    ours, theirs = marks(by_command[0]), marks(course)
    assert {student for student in ours if student != "zoe"} == {student for student in theirs if student != "zoe"}
    assert all(ours[student] == theirs[student] for student in ours if student != "zoe")


def test_feedback_and_a_class_report_are_written_and_show_no_solution(by_command: tuple[Path, dict[str, float | None], str]) -> None:
    course, points, _ = by_command
    report = (course / "reports" / f"{ASSIGNMENT}.html").read_text()
    assert all(student in report for student in points)
    for student in ("dmitri", "yusuf"):
        page = (course / "feedback" / student / ASSIGNMENT / f"{ASSIGNMENT}.html").read_text()
        assert "Marking scheme" not in page and "BEGIN SOLUTION" not in page
    assert "Looks like:" in (course / "feedback" / "dmitri" / ASSIGNMENT / f"{ASSIGNMENT}.html").read_text()


def test_a_folder_that_is_not_a_demo_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="is not a demo course"):
        make_class(ROOT, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
