"""A result as text and as HTML: what it must say, and what it must never say."""

from __future__ import annotations

import re
import textwrap
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answers import FIRST_RIGHT, MISCONCEPTIONS, WRONG, graded

from autograder.exercise import CheckResult, Diagnosis, Evidence, Result
from autograder.exercises import COURSE
from autograder.grading import grade
from autograder.reports import as_html, as_text
from autograder.reports.classroom import write_class_page
from autograder.reports.result import CELL, MOST_CELLS, WIDTH, explanation, heat_map
from autograder.students import NamespaceStudent

SOME = MISCONCEPTIONS[::6] + [answer for answer in WRONG if not answer.defect][::20] + list(FIRST_RIGHT.values())
LONG = "word " * 100
HOSTILE = '<script>alert("1")</script> & </div> <b>bold</b>'


def result(*evidence: Evidence, status: str = "failed", **more: Any) -> Result:
    checks = tuple(CheckResult(f"claim {k}", float(e.passed), 1.0, e) for k, e in enumerate(evidence))
    return Result("relative_error", status, checks, **more)  # type: ignore[arg-type]


def parsed(html: str) -> ElementTree.Element:
    return ElementTree.fromstring(html.strip())


def words(element: ElementTree.Element) -> str:
    return " ".join(" ".join(element.itertext()).split())


# --- text -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", SOME, ids=str)
def test_a_result_as_text_is_narrow_says_each_claim_once_and_the_score_first(answer: Any) -> None:
    found = graded(answer)
    text = as_text(found)
    lines = text.splitlines()
    assert max(map(len, lines)) <= WIDTH == 96
    assert lines[0].startswith(found.exercise) and lines[0].endswith(f"{found.points:g} of {found.max_points:g} points")
    assert len([line for line in lines if line[1:2] in "✓✗" and line.startswith(" ")]) == len(found.checks)
    for check in found.checks:
        first_line = textwrap.wrap(check.claim, WIDTH - 15)[0]
        assert f" {'✓' if check.evidence.passed else '✗'} {first_line}" in text
    assert "array([" not in text and "[[" not in text and "Traceback" not in text
    assert ("hint(" in text) == (found.status != "passed")




def explained_in(text: str) -> int:
    """The most lines under one claim."""
    most = following = 0
    for line in text.splitlines()[1:]:
        following = following + 1 if line.startswith("     ") else 0
        most = max(most, following)
    return most


def test_a_failed_claim_takes_at_most_three_lines_of_explanation() -> None:
    assert {str(answer): lines for answer in SOME if (lines := explained_in(as_text(graded(answer)))) > 3} == {}


def test_a_long_message_takes_at_most_three_lines_too() -> None:
    assert explained_in(as_text(result(Evidence(False, LONG[:300]), Evidence(True)))) <= 3


def test_the_exception_that_stopped_all_checks_is_told_once() -> None:
    def batchnorm_forward(*arguments: Any) -> Any:
        raise ValueError("only once")

    found = grade("batchnorm_forward", NamespaceStudent({"batchnorm_forward": batchnorm_forward}))
    assert as_text(found).count("only once") == 1


def test_a_long_claim_keeps_to_the_width() -> None:
    found = Result("adam", "failed", (CheckResult("claims " * 14, 0.0, 1.0, Evidence(False, error=0.5)),))
    assert max(map(len, as_text(found).splitlines())) <= WIDTH


@pytest.mark.parametrize("part", ["message", "diagnosis", "remarks"])
def test_long_sentences_are_wrapped(part: str) -> None:
    more: dict[str, Any] = {
        "message": {"status": "error", "message": LONG},
        "diagnosis": {"diagnosis": (Diagnosis("id", LONG),)},
        "remarks": {"remarks": (LONG,)},
    }[part]
    text = as_text(result(Evidence(False), **more))
    assert max(map(len, text.splitlines())) <= WIDTH and text.count("word") == 100


def test_a_word_longer_than_a_line_is_broken() -> None:
    text = as_text(result(Evidence(False, "x" * 300), status="error", message="y" * 300))
    assert max(map(len, text.splitlines())) <= WIDTH
    assert text.count("y") == 300
    assert "x" * 80 in text and text.count("x") < 300 and "…" in text  # three lines on a claim, no more


@pytest.mark.parametrize("form", [as_text, lambda found: words(parsed(as_html(found)))], ids=["text", "html"])
def test_what_was_not_started_shows_no_claims_and_no_traceback(form: Any) -> None:
    for functions in ({}, {"batchnorm_backward": lambda *given: None}):
        found = grade("batchnorm_backward", NamespaceStudent(functions))
        shown = form(found)
        assert found.status == "not_started" and "not started" in shown and "0 of 6 points" in shown
        assert "Traceback" not in shown and "NotImplementedError" not in shown
        assert "✗" not in shown and not any(check.claim in shown for check in found.checks)


def test_points_have_no_decimals_where_there_are_none() -> None:
    checks = (CheckResult("a", 2.5, 2.5, Evidence(True)), CheckResult("b", 0.0, 1.5, Evidence(False)))
    assert "2.5 of 4 points" in as_text(Result("adam", "failed", checks))


# --- HTML -------------------------------------------------------------------------------------------------------------


def without_pictures(found: Result) -> Result:
    return replace(found, checks=tuple(replace(c, evidence=replace(c.evidence, heat=None)) for c in found.checks))


@pytest.mark.parametrize("answer", SOME, ids=str)
def test_html_is_one_well_formed_element_that_says_what_the_text_says(answer: Any) -> None:
    found = without_pictures(graded(answer))
    root = parsed(as_html(found))
    assert root.tag == "div"
    shown = words(root)
    assert found.exercise in shown and f"{found.points:g} of {found.max_points:g} points" in shown
    for check in found.checks:
        assert " ".join(check.claim.split()) in shown
        for line in explanation(check, found.message):
            assert " ".join(line.split()) in shown
    for diagnosis in found.diagnosis:
        assert " ".join(diagnosis.message.split()) in shown


def test_html_with_a_heat_map_is_well_formed() -> None:
    parsed(as_html(graded(next(a for a in MISCONCEPTIONS if a.id == "variance-path-dropped"))))


@pytest.mark.parametrize("part", ["evidence", "message", "diagnosis", "remarks", "claim", "exercise"])
def test_html_escapes_whatever_a_student_wrote(part: str) -> None:
    found = result(Evidence(False, HOSTILE if part == "evidence" else ""), Evidence(True))
    more: dict[str, Any] = {
        "message": {"message": HOSTILE, "status": "error"},
        "diagnosis": {"diagnosis": (Diagnosis("id", HOSTILE),)},
        "remarks": {"remarks": (HOSTILE,)},
        "claim": {"checks": (CheckResult(HOSTILE, 0.0, 1.0, Evidence(False)),)},
        "exercise": {"exercise": HOSTILE},
    }.get(part, {})
    html = as_html(replace(found, **more))
    assert "<script" not in html and "<b>bold" not in html
    root = parsed(html)
    assert [element.tag for element in root.iter("script")] == []
    assert HOSTILE in words(root)


def test_an_exceptions_markup_does_not_reach_the_notebook() -> None:
    def relative_error(a: Any, b: Any) -> Any:
        raise ValueError(HOSTILE)

    html = as_html(grade("relative_error", NamespaceStudent({"relative_error": relative_error})))
    assert "<script" not in html and "&lt;script&gt;" in html
    parsed(html)


def test_html_needs_no_script_no_style_sheet_and_nothing_from_elsewhere() -> None:
    html = as_html(graded(MISCONCEPTIONS[0]))
    assert not re.search(r"<(script|style|link|img|iframe)|https?:|url\(|on\w+=", html)


# --- heat maps --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", SOME, ids=str)
def test_a_heat_map_is_shown_for_wrong_gradients_only(answer: Any) -> None:
    found = graded(answer)
    wrong_gradients = [check for check in found.checks if check.evidence.heat is not None]
    assert as_html(found).count("<svg") == sum(check.evidence.heat.size <= MOST_CELLS for check in wrong_gradients)  # type: ignore[union-attr]
    for check in wrong_gradients:
        assert not check.evidence.passed and check.claim.startswith(("dx", "dgamma", "dbeta"))
    if found.status == "passed" or "backward" not in found.exercise:
        assert wrong_gradients == []


@pytest.mark.parametrize("shape", [(3,), (1,), (4, 5), (2, 3, 4), (2, 3, 4, 2), (1, 6, 1, 1)], ids=str)
def test_a_heat_map_has_a_square_for_each_entry_and_darkens_the_wrong_ones(shape: tuple[int, ...]) -> None:
    heat = np.zeros(shape)
    heat.flat[-1] = 1.0
    svg = parsed(heat_map(heat, 1e-6))
    squares = svg.findall("rect")
    assert len(squares) == heat.size
    assert len({(square.get("x"), square.get("y")) for square in squares}) == heat.size
    fills = [square.get("fill") for square in squares]
    assert fills.count("#d9ead3") == heat.size - 1 and fills[-1] != "#d9ead3"
    assert int(svg.get("width", 0)) * int(svg.get("height", 0)) == heat.size * CELL**2


def test_a_larger_error_is_darker_and_an_infinite_one_the_darkest() -> None:
    fills = [r.get("fill", "") for r in parsed(heat_map(np.array([1e-5, 1e-2, 1.0, np.inf]), 1e-6)).findall("rect")]
    reds = [int(fill[4:].split(",")[0]) for fill in fills]
    assert reds == sorted(reds, reverse=True) and reds[0] > reds[2] and reds[2] == reds[3]


@pytest.mark.parametrize("heat", [None, np.array(1.0), np.ones((30, 30))], ids=["none", "a number", "too many"])
def test_there_is_no_heat_map_where_there_is_nothing_to_see(heat: Any) -> None:
    assert heat_map(heat, 1e-6) == ""


def test_an_explanation_stays_short_in_every_exercise() -> None:
    """Messages for students are a sentence or two, not a lecture: at most five lines of a table."""
    for exercise in COURSE.exercises.values():
        for idea in exercise.misconceptions:
            assert len(textwrap.wrap(idea.message, WIDTH - 14)) <= 5, f"{exercise.name}: {idea.id}"


# --- the class --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Handed:
    """What the class report needs of one submission."""

    student: str
    results: tuple[Result, ...]
    points: float | None = 1.0
    max_points: float = 10.0
    reason: str = ""


def test_the_class_report_counts_a_mistake_where_it_was_made_and_says_where_it_was_felt(tmp_path: Path) -> None:
    lost = Evidence(False, "wrong")
    made = replace(result(lost, diagnosis=(Diagnosis("id", "Your eps is outside."),)), exercise="batchnorm_forward")
    unnamed = replace(result(lost), exercise="batchnorm_forward")
    felt = [
        replace(result(lost, diagnosis=(Diagnosis("x", "Mend it there.", "batchnorm_forward"),)), exercise=name)
        for name in ("spatial_batchnorm_forward", "batchnorm_backward")
    ]
    students = [Handed("ada", (made, *felt)), Handed("bob", (made, felt[0])), Handed("eve", (unnamed, felt[1]))]
    html = write_class_page(tmp_path / "class.html", "01", students).read_text()
    rows = [" ".join(re.sub(r"<[^>]*>", " ", row).split()) for row in re.findall(r'<tr><td class="points">.*?</tr>', html, re.DOTALL)]
    assert rows == [
        "2 batchnorm_forward Your eps is outside. Felt in spatial_batchnorm_forward (2), batchnorm_backward (1).",
        "1 batchnorm_forward A mistake without a name. Other functions build on this one. Felt in batchnorm_backward (1).",
    ]
