"""The mutation run (`make mutation`): it makes the slips that it should, tells what survives, and its list is sound."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from autograder.checks import equals
from autograder.exercise import Exercise, Functions, Observations
from autograder.exercises import COURSE
from benchmarks.mutation import report, trial
from benchmarks.mutation.operators import Mutant, mutants
from benchmarks.mutation.subjects import NOTEBOOK, ORIGINS, REFERENCE, Subject, subjects

TOY = '''
def centred(x: Literal[5], scale=0.5):
    """Not 7 but 8 words."""
    if scale == 0:
        raise ValueError("scale is 0")
    mean = x.mean(axis=1, keepdims=True)
    x = scale * (x - mean)  # about 0
    return x, np.sqrt(mean**2)
'''


def slips(source: str) -> set[tuple[str, str]]:
    return {(mutant.slip, mutant.mutated) for mutant in mutants(source)}


@pytest.mark.parametrize(
    ("slip", "line"),
    [
        ("constant", "def centred(x: Literal[5], scale=0.25):"),
        ("comparison", "if scale != 0:"),
        ("condition negated", "if not (scale == 0):"),
        ("another function", "mean = x.sum(axis=1, keepdims=True)"),
        ("axis dropped", "mean = x.mean(keepdims=True)"),
        ("constant", "mean = x.mean(axis=0, keepdims=True)"),
        ("constant", "mean = x.mean(axis=1, keepdims=False)"),
        ("assignment dropped", "pass  # about 0"),
        ("operator", "x = scale / (x - mean)  # about 0"),
        ("operator", "x = scale * (x + mean)  # about 0"),
        ("term dropped", "x = scale * (x)  # about 0"),
        ("term dropped", "x = scale  # about 0"),
        ("operands swapped", "x = scale * ((mean - x))  # about 0"),
        ("another name", "x = scale * (scale - mean)  # about 0"),
        ("results swapped", "return np.sqrt(mean**2), x"),
        ("call dropped", "return x, (mean**2)"),
        ("operator", "return x, np.sqrt((mean * 2))"),
    ],
)
def test_the_slip_is_made(slip: str, line: str) -> None:
    assert (slip, line) in slips(TOY)


def test_words_annotations_and_error_messages_are_left_alone() -> None:
    changed = "\n".join(line for _, line in slips(TOY))
    assert "Not 7 but 8 words" not in changed and "ValueError" not in changed
    assert all("Literal[5]" in line for line in changed.splitlines() if "Literal" in line)


@pytest.mark.parametrize(
    ("line", "mutated"),
    [
        ("a = b and not c", "a = b or not c"),
        ("a = b and not c", "a = b and c"),
        ("a = max(b, c)", "a = min(b, c)"),
        ("a = max(b, c)", "a = b"),
        ("a = b.var(axis=0)", "a = b.var(axis=0, ddof=1)"),
        ("a = b.sum(axis=(0, 2, 3))", "a = b.sum(axis=(0, 2))"),
        ("a = 1e-8", "a = 1e-07"),
        ("a = b[-c:]", "a = b[c:]"),
        ("a = b.copy()", "a = b"),
        ("a = f(b, c)", "a = f(c, b)"),
        ("b += c", "b = c"),
        ("b += c", "b -= c"),
        ("b[0] = c", "pass"),
        ("b.append(c)", "pass"),
        ("a = [b for _ in range(c)]", "a = [b for _ in range(c - 1)]"),
        ("a = b @ c.T", "a = b @ c"),
    ],
)
def test_other_slips(line: str, mutated: str) -> None:
    assert mutated in {after for _, after in slips(f"def f(b, c):\n    {line}\n    return a\n")}


def test_mutants_run_differently_and_are_told_apart() -> None:
    twice = "def f(a):\n    a = a + 1\n    b = 2\n    a = a + 1\n    return a, b\n"
    found = mutants(twice)
    assert len({mutant.source for mutant in found}) == len(found)
    assert all(mutant.source != twice for mutant in found)
    assert [m.occurrence for m in found if m.mutated == "a = a - 1"] == [1, 2]
    refusing = "def f(a):\n    if not a:\n        return 1\n    return 2\n"
    conditions = [mutant.mutated for mutant in mutants(refusing) if "if" in mutant.mutated]
    assert conditions == ["if not (not a):"]  # and not "if a:" beside it, which does the same


# --- a toy exercise whose check has a hole ---------------------------------------------------------------------------


def added(x: np.ndarray, y: np.ndarray, shift: float = 1.0) -> np.ndarray:
    """The sum, shifted."""
    return x + y + shift


def _alike(play: Functions, rng: np.random.Generator) -> Observations:
    """Blind for x and y swapped, and for the default of ``shift``."""
    x = rng.standard_normal(3)
    return {"sum": play.added(x, x, 2.0)}


def seen_by_chance(play: Functions, rng: np.random.Generator) -> Observations:
    """Gives a default of ``shift`` away with one seed in two."""
    x = rng.standard_normal(3)
    return {"sum": play.added(x, x, *(() if rng.integers(0, 2) else (2.0,)))}


def outcomes_of_the_toy(monkeypatch: pytest.MonkeyPatch, scenario: Any) -> list[trial.Outcome]:
    check = equals("adds", 1, scenario)
    monkeypatch.setitem(COURSE.exercises, "added", Exercise("added", "", added, ("sum",), (check,)))
    trial._quick.cache_clear()
    text = "def added(x, y, shift=1.0):\n    return x + y + shift\n"
    toy = Subject("added", REFERENCE, text, ("added",), {"np": np, "added": added})
    return [trial.Outcome("added", REFERENCE, mutant, *trial.judged(toy, mutant)) for mutant in mutants(text)]


def test_a_survivor_is_reported_and_an_explained_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    found = outcomes_of_the_toy(monkeypatch, _alike)
    survivors = {outcome.mutant.mutated for outcome in report.unexplained(found, {})}
    assert {"def added(x, y, shift=1.1):", "return x + x + shift"} <= survivors
    assert "return x - y + shift" not in survivors
    assert all(outcome.tried == (0, 1, 2, 3, 4) for outcome in found if not outcome.killed)

    reasons = {report.key_of(outcome): "a toy" for outcome in report.unexplained(found, {})}
    total = report.score(found, reasons)
    assert (total.equivalent, total.survivors, total.share) == (len(reasons), 0, 1.0)
    assert total.killed == len(found) - len(reasons) > 0
    assert report.stale(found, reasons) == []
    (fault,) = report.stale(found, {("added", "return x + y + shift", "return x - y + shift", 1): "wrong"})
    assert "not equivalent" in fault
    (fault,) = report.stale(found, {("added", "return 1", "return 2", 1): "old"})
    assert "no mutant" in fault

    text = report.difference(next(o for o in found if o.mutant.mutated == "return x + x + shift"))
    assert text.splitlines()[-2:] == ["-return x + y + shift", "+return x + x + shift"]


def test_a_mutant_that_is_rejected_by_luck_counts_as_a_survivor(monkeypatch: pytest.MonkeyPatch) -> None:
    found = outcomes_of_the_toy(monkeypatch, seen_by_chance)
    (default,) = [outcome for outcome in found if outcome.mutant.mutated == "def added(x, y, shift=1.1):"]
    if default.killed:  # with the first seed already: the others are tried on request only
        default = trial.Outcome("added", REFERENCE, default.mutant, (0, 1), (1,))
    assert default.weak and default in report.unexplained([*found, default], {report.key_of(default): "listed"})
    assert "seeds" in report.difference(default)


def _spin() -> None:
    trial._allow(0.1)
    while True:
        pass


def test_a_mutant_that_never_ends_costs_its_process() -> None:
    process = multiprocessing.get_context("fork").Process(target=_spin)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGPROF
    assert process.exitcode in trial.ENDED_BY_A_MUTANT


# --- what is mutated, and the list of equivalent mutants -------------------------------------------------------------


def test_a_helper_belongs_to_one_exercise_and_is_judged_by_all_that_use_it() -> None:
    (moments,) = [subject for subject in subjects("adam", REFERENCE) if subject.text.startswith("def moments")]
    assert moments.users == ("adam", "nadam", "adamw")
    assert not [s for name in ("nadam", "adamw") for s in subjects(name, REFERENCE) if s.text == moments.text]


def test_what_a_forward_keeps_is_judged_by_its_backward() -> None:
    (forward,) = subjects("layernorm_forward", NOTEBOOK)
    assert forward.judges == ("layernorm_forward", "layernorm_backward")
    text = forward.text.replace("(x_hat, std, gamma)", "(x_hat, x_hat, gamma)")
    assert text != forward.text
    assert trial.passes(forward, forward.text, 0) and not trial.passes(forward, text, 0)


def test_every_entry_of_the_list_has_a_reason(tmp_path: Path) -> None:
    assert all(len(reason) > 10 and key[0] in COURSE.exercises for key, reason in report.equivalent().items())
    bare = tmp_path / "list.toml"
    bare.write_text('[[equivalent]]\nexercise = "adam"\noriginal = "a"\nmutated = "b"\n')
    with pytest.raises(report.ListError, match="reason"):
        report.equivalent(bare)


def test_the_list_is_not_stale_for_the_first_assignment() -> None:
    first = COURSE.assignments["00-gradient-checking"]
    listed = {key: reason for key, reason in report.equivalent().items() if key[0] in first}
    assert listed
    found = []
    for name, origin in [(name, origin) for name in {key[0] for key in listed} for origin in ORIGINS]:
        for subject in subjects(name, origin):
            known = [m for m in mutants(subject.text) if (name, m.original, m.mutated, m.occurrence) in listed]
            for mutant in known:
                passed = (0,) if trial.passes(subject, mutant.source, 0) else ()
                found.append(trial.Outcome(name, origin, mutant, (0,), passed))
    assert report.stale(found, listed) == []


def test_the_page_keeps_the_rows_of_assignments_that_were_not_tried(tmp_path: Path) -> None:
    path = tmp_path / "mutation.md"
    path.write_text(report.page({"00-first": report.Score(10, 9, 1), "01-second": report.Score(4, 2, 0)}, path))
    text = report.page({"01-second": report.Score(4, 4, 0)}, path)
    assert "| 00-first | 10 | 9 | 1 | 0 | 100.0% |\n| 01-second | 4 | 4 | 0 | 0 | 100.0% |\n" in text


def test_a_mutant_says_where_it_is() -> None:
    first = mutants(TOY.lstrip())[0]
    assert isinstance(first, Mutant) and first.line == 1 and first.original.startswith("def centred")
