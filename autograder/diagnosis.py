"""Which known mistake a wrong answer is.

A misconception is a function that runs. It is played through the same scenarios as the student's, and where both give the
same numbers, the student's mistake has a name. Nothing is read from the student's code.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from autograder.compare import matches
from autograder.exercise import Check, Diagnosis, Exercise, Functions, Misconception, Observations


@dataclass(frozen=True)
class Trial:
    """One check as it went: ``seen`` is None where the student's function gave no answer, ``raised`` true where that is
    because of an exception of its own."""

    check: Check
    key: tuple[int, ...]
    """What the scenario's generator is seeded with."""
    wanted: Observations
    seen: Observations | None
    passed: bool
    raised: bool = False

    def seed(self) -> np.random.Generator:
        """A generator as the scenario had it."""
        return np.random.default_rng(self.key)


def diagnose(
    exercise: Exercise,
    trials: Sequence[Trial],
    play: Functions,
    play_with: Callable[[Misconception], Functions],
) -> tuple[Diagnosis, ...]:
    """The fewest known mistakes that explain the failed checks, best explanation first.

    ``play`` plays the student's functions, ``play_with`` the reference's with a misconception in their place. A mistake
    explains a failed check when it gives the student's numbers there and not the reference's, or raises an exception where
    the student's function does. One that agrees with ALL that was seen, right and wrong, is named alone.
    """
    failed = [trial for trial in trials if not trial.passed and (trial.seen is not None or trial.raised)]
    if not failed:
        return ()
    gradients = [_consistent(trial, play) for trial in failed if trial.check.consistent is not None]
    if any(gradients):
        forward, what = exercise.needs[0], "This is" if all(gradients) else "Part of this is"
        message = f"{what} the exact gradient of your own {forward}, but that is not right yet: mend {forward} first."
        return (Diagnosis("gradient-of-a-wrong-forward", message, forward),)

    unexplained = set(range(len(failed)))
    explained: dict[str, set[int]] = {}
    agreeing: dict[str, int] = {}
    passed = [trial for trial in trials if trial.passed]
    for idea in exercise.misconceptions:
        explained[idea.id] = {k for k, trial in enumerate(failed) if _compared(idea, trial, play_with) == "explains"}
        if explained[idea.id]:  # only a candidate's answers to the other checks matter
            agreeing[idea.id] = sum(_compared(idea, trial, play_with) != "differs" for trial in passed)
            if explained[idea.id] == unexplained and agreeing[idea.id] == len(passed):
                return (Diagnosis(idea.id, idea.message),)

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


def _compared(idea: Misconception, trial: Trial, play_with: Callable[[Misconception], Functions]) -> str:
    """``explains`` (same numbers, and wrong ones), ``agrees`` (same numbers, right ones) or ``differs``."""
    shown = remembered(trial.check, trial.key, idea, lambda: play_with(idea))
    if trial.seen is None:
        return "explains" if shown is None else "differs"
    if shown is None or not matches(trial.seen, shown):
        return "differs"
    with np.errstate(all="ignore"):
        return "agrees" if trial.check.judge(shown, trial.wanted, trial.seed()).passed else "explains"


_MOST_REMEMBERED = 5_000
_remembered: dict[Hashable, tuple[object, Observations | None]] = {}


def remembered(
    check: Check, key: tuple[int, ...], idea: Misconception | None, play: Callable[[], Functions]
) -> Observations | None:
    """What the reference (``idea`` is None) or a mistake shows in a scenario; None where it fails.

    With one seed that is the same for every student, so it is kept: in a class almost nothing is computed twice.
    """
    place = (id(idea), id(check), key)
    if place not in _remembered:
        if len(_remembered) >= _MOST_REMEMBERED:
            _remembered.clear()
        try:
            with np.errstate(all="ignore"):
                shown = check.observe(play(), np.random.default_rng(key))
        except Exception:
            if idea is None:
                raise
            shown = (
                None  # a wrong idea may well fail on inputs that the right one handles; then it is not what was seen
            )
        _remembered[place] = ((idea, check), shown)  # kept with its owners, whose ids are then nobody else's
    return _remembered[place][1]


def _consistent(trial: Trial, play: Functions) -> bool:
    assert trial.check.consistent is not None
    try:
        return trial.check.consistent(play, trial.seed())
    except Exception:  # the student's functions may fail at the shifted inputs: then nothing is claimed of them
        return False
