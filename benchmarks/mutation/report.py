"""What the mutants say about the checks: which survivors are explained, which are not, and the tables of both."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.mutation.subjects import ROOT as ROOT
from benchmarks.mutation.trial import Outcome

EQUIVALENT = ROOT / "benchmarks" / "mutation_equivalent.toml"
PAGE = ROOT / "docs" / "mutation.md"

Key = tuple[str, str, str, int]
"""An exercise, a line of its answer, the line as a mutant has it, and which of the lines that read so (1 for the first)."""


class ListError(Exception):
    """The list of equivalent mutants has an entry that says too little."""


def equivalent(path: Path = EQUIVALENT) -> dict[Key, str]:
    """The mutants that no check need reject, and why; ``mutated`` may be one line or several, ``occurrence`` be left out."""
    found: dict[Key, str] = {}
    for entry in tomllib.loads(path.read_text()).get("equivalent", []):
        if not all(entry.get(field) for field in ("exercise", "original", "mutated", "reason")):
            raise ListError(f"{path.name}: an entry needs exercise, original, mutated and reason, and has {entry}")
        mutated = entry["mutated"] if isinstance(entry["mutated"], list) else [entry["mutated"]]
        where = entry.get("occurrence", 1)
        found |= {(entry["exercise"], entry["original"], line, where): entry["reason"] for line in mutated}
    return found


def key_of(outcome: Outcome) -> Key:
    return outcome.exercise, outcome.mutant.original, outcome.mutant.mutated, outcome.mutant.occurrence


@dataclass(frozen=True)
class Score:
    """One exercise or several: how many mutants there were and what became of them."""

    mutants: int = 0
    killed: int = 0
    equivalent: int = 0

    @property
    def survivors(self) -> int:
        return self.mutants - self.killed - self.equivalent

    @property
    def share(self) -> float:
        """Killed among those that a check could reject."""
        possible = self.mutants - self.equivalent
        return self.killed / possible if possible else 1.0

    def __add__(self, other: Score) -> Score:
        return Score(self.mutants + other.mutants, self.killed + other.killed, self.equivalent + other.equivalent)


def score(outcomes: Sequence[Outcome], listed: Mapping[Key, str]) -> Score:
    killed = sum(outcome.killed for outcome in outcomes)
    explained = sum(not outcome.killed and not outcome.weak and key_of(outcome) in listed for outcome in outcomes)
    return Score(len(outcomes), killed, explained)


def unexplained(outcomes: Iterable[Outcome], listed: Mapping[Key, str]) -> list[Outcome]:
    """Survivors that are not listed, and mutants whose fate depends on the seed, listed or not."""
    return [each for each in outcomes if each.weak or (not each.killed and key_of(each) not in listed)]


def stale(outcomes: Sequence[Outcome], listed: Mapping[Key, str]) -> list[str]:
    """Entries of the list, for exercises that were tried, that name no mutant or one that is rejected after all."""
    exercises = {outcome.exercise for outcome in outcomes}
    made = {key_of(outcome) for outcome in outcomes}
    alive = {key_of(outcome) for outcome in outcomes if not outcome.killed}
    faults = []
    for key in listed:
        if key[0] in exercises and key not in alive:
            what = "is rejected: not equivalent" if key in made else "is no mutant of the code as it stands"
            faults.append(f"{EQUIVALENT.name}: {key[0]}: {key[2]}\n    {what}; remove the entry")
    return faults


def difference(outcome: Outcome) -> str:
    """A survivor as a diff of the mutated line."""
    mutant = outcome.mutant
    rejected = len(outcome.tried) - len(outcome.passed)
    luck = f"; rejected with {rejected} of {len(outcome.tried)} seeds" if outcome.weak else ""
    again = f", occurrence {mutant.occurrence}" if mutant.occurrence > 1 else ""
    return (
        f"--- {outcome.exercise}, {outcome.origin}\n+++ {mutant.slip}{luck}\n"
        f"@@ line {mutant.line}{again} @@\n-{mutant.original}\n+{mutant.mutated}"
    )


HEADER = f"{'exercise':<34}{'mutants':>8}{'killed':>8}{'equivalent':>12}{'survivors':>11}{'score':>8}"


def row(name: str, total: Score) -> str:
    numbers = f"{total.mutants:>8}{total.killed:>8}{total.equivalent:>12}{total.survivors:>11}{total.share:>8.1%}"
    return f"{name:<34}{numbers}"


def page(scores: Mapping[str, Score], path: Path = PAGE) -> str:
    """The page of the table by assignment. Assignments that were not tried keep the row that they had."""
    rows = _rows(path.read_text()) if path.is_file() else {}
    rows |= {
        name: f"| {name} | {s.mutants} | {s.killed} | {s.equivalent} | {s.survivors} | {s.share:.1%} |"
        for name, s in scores.items()
    }
    return INTRODUCTION + "\n".join(rows[name] for name in sorted(rows)) + "\n"


def _rows(text: str) -> dict[str, str]:
    return {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith(("| 0", "| 1"))}


INTRODUCTION = """# The checks against small mistakes

This page is written by `make mutation`; edit nothing here.

Every right answer (the reference of each exercise and the solution in its notebook) is spoiled in one small way after
another: a sign, a factor, an axis, a bound, a default, a dropped line, a variable taken for its neighbour. Each such
*mutant* is graded as if a student had handed it in. One that gets all points shows either a hole in the checks or a change
that leaves the answer right, or within what the course accepts: *equivalent*. Those are listed one by one, with the reason,
in `benchmarks/mutation_equivalent.toml`.

*Killed* mutants lost points in their own exercise or, where the slip is in what a forward pass keeps for the backward
pass, in the latter. The *score* is the share of killed mutants among those that are not equivalent. A survivor is tried with
five seeds; rejected with some of them only, it still counts as a survivor. The capstone is left out: its one function is a
trained network, and its points follow the share of images that it gets right.

| assignment | mutants | killed | equivalent | survivors | score |
| --- | ---: | ---: | ---: | ---: | ---: |
"""
