"""Which known mistake a wrong answer is.

A misconception is a function that runs. It is played through the same scenarios as the student's, and where both give the
same numbers, the student's mistake has a name. Nothing is read from the student's code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from autograder.compare import matches
from autograder.exercise import Check, Diagnosis, Exercise, Functions, Misconception, Observations

Seeded = Callable[[], np.random.Generator]


@dataclass(frozen=True)
class Trial:
    """One check as it went: ``seen`` is None where the student's function gave no answer."""

    check: Check
    seed: Seeded
    wanted: Observations
    seen: Observations | None
    passed: bool


def diagnose(
    exercise: Exercise,
    trials: Sequence[Trial],
    play: Functions,
    play_with: Callable[[Misconception], Functions],
) -> tuple[Diagnosis, ...]:
    """The fewest known mistakes that explain the failed checks, best explanation first.

    ``play`` plays the student's functions, ``play_with`` the reference's with a misconception in their place. A mistake
    explains a failed check when it gives the student's numbers there and not the reference's. One that agrees with ALL
    that was seen, right and wrong, is named alone.
    """
    failed = [trial for trial in trials if not trial.passed and trial.seen is not None]
    if not failed:
        return ()
    if any(trial.check.consistent is not None and _consistent(trial, play) for trial in failed):
        forward = exercise.needs[0]
        message = f"This is the exact gradient of your own {forward}, but that is not right yet: mend {forward} first."
        return (Diagnosis("gradient-of-a-wrong-forward", message),)

    unexplained = set(range(len(failed)))
    explained: dict[str, set[int]] = {}
    agreeing: dict[str, int] = {}
    passed = [trial for trial in trials if trial.passed]
    for idea in exercise.misconceptions:
        explained[idea.id] = {
            k for k, trial in enumerate(failed) if _gives_what_was_seen(idea, trial, play_with) == "explains"
        }
        if explained[idea.id]:  # only a candidate's answers to the other checks matter
            agreeing[idea.id] = sum(_gives_what_was_seen(idea, trial, play_with) != "differs" for trial in passed)

    found: list[Diagnosis] = []
    candidates = [idea for idea in exercise.misconceptions if explained[idea.id]]
    while unexplained and candidates:
        best = max(candidates, key=lambda idea: (len(explained[idea.id] & unexplained), agreeing[idea.id]))
        if not explained[best.id] & unexplained:
            break
        found.append(Diagnosis(best.id, best.message))
        unexplained -= explained[best.id]
        candidates.remove(best)
    return tuple(found)


def _gives_what_was_seen(
    misconception: Misconception, trial: Trial, play_with: Callable[[Misconception], Functions]
) -> str:
    """``explains`` (same numbers, and wrong ones), ``agrees`` (same numbers, right ones) or ``differs``."""
    assert trial.seen is not None
    try:
        with np.errstate(all="ignore"):
            shown = trial.check.observe(play_with(misconception), trial.seed())
            if not matches(trial.seen, shown):
                return "differs"
            wrong = not trial.check.judge(shown, trial.wanted, trial.seed()).passed
    except Exception:  # a wrong idea may well fail on inputs that the right one handles; then it is not what was seen
        return "differs"
    return "explains" if wrong else "agrees"


def _consistent(trial: Trial, play: Functions) -> bool:
    assert trial.check.consistent is not None
    try:
        return trial.check.consistent(play, trial.seed())
    except Exception:  # the student's functions may fail at the shifted inputs: then nothing is claimed of them
        return False
