"""Whether the verdict depends on luck: right answers, known mistakes and other wrong answers over many seeds.

    python benchmarks/seeds.py                          1000 seeds of everything; hours
    python benchmarks/seeds.py --assignment 07 --assignment 08
    python benchmarks/seeds.py --seeds 200 --wrong 50

A right answer must get all points with every seed. A wrong one must lose some with every seed; a known mistake must besides be
named as itself and nothing else (tried with a twentieth of the seeds, as that takes most of the time). Prints what went
otherwise (nothing is expected) and how long grading takes; exits with 1 if anything did.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # arrays of 50 entries: threads only cost
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from answers import EXERCISES, MISCONCEPTIONS, RIGHT, WRONG, Answer, exercise_of, lost_claims

from autograder.exercise import Exercise
from autograder.exercises import COURSE
from autograder.grading import grade, try_check
from autograder.students import NamespaceStudent

CHUNK = 100
TABLES = {"right": RIGHT, "misconception": MISCONCEPTIONS, "wrong": WRONG}


@dataclass(frozen=True)
class Task:
    """One answer, by its place in a table (functions cannot be sent to another process), and some seeds."""

    table: str
    number: int
    seeds: range
    name_it: bool = False
    caught_by: list[int] = field(default_factory=list, compare=False)

    @property
    def answer(self) -> Answer:
        return TABLES[self.table][self.number]


@dataclass(frozen=True)
class Outcome:
    task: Task
    seconds: tuple[float, ...]
    failures: tuple[tuple[int, str], ...]


def trouble(task: Task, seed: int) -> str:
    """What is wrong with the verdict, in a line; empty where it is as it should be."""
    answer = task.answer
    exercise, student = exercise_of(answer), NamespaceStudent(dict(answer.functions))
    if task.table != "right" and not task.name_it and _loses(exercise, student, seed, task.caught_by):
        return ""
    result = grade(exercise, student, seed)
    if task.table == "right":
        return "" if result.status == "passed" else f"{result.status}, lost: {'; '.join(lost_claims(result))}"
    if result.status == "passed" or result.points >= result.max_points:
        return f"{result.status} with {result.points:g} of {result.max_points:g} points"
    if not task.name_it:
        return ""
    named = [diagnosis.id for diagnosis in result.diagnosis]
    return "" if result.status == "failed" and named == [answer.id] else f"taken for {', '.join(named) or 'nothing known'}"


def _loses(exercise: Exercise, student: NamespaceStudent, seed: int, caught_by: list[int]) -> bool:
    """Whether one check at least fails: those that caught the answer before are tried first, and one is enough."""
    others = [number for number in range(len(exercise.checks)) if number not in caught_by]
    for number in [*caught_by, *others]:
        if not try_check(exercise, number, student, seed).evidence.passed:
            if number not in caught_by:
                caught_by.insert(0, number)
            return True
    return False


def run(task: Task) -> Outcome:
    seconds, failures = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the engine's own: a student's are swallowed
        for seed in task.seeds:
            start = time.perf_counter()
            try:
                found = trouble(task, seed)
            except Exception as problem:
                found = f"grade() raised {type(problem).__name__}: {problem}"
            seconds.append(time.perf_counter() - start)
            if found:
                failures.append((seed, found))
    return Outcome(task, tuple(seconds), tuple(failures))


def tasks(right: int, wrong: int, exercises: Collection[str]) -> Iterator[Task]:
    for table, answers in TABLES.items():
        count = right if table == "right" else wrong
        for number, answer in enumerate(answers):
            if answer.exercise in exercises:
                for first in range(0, count, CHUNK):
                    yield Task(table, number, range(first, min(count, first + CHUNK)))
                if table == "misconception":
                    yield Task(table, number, range(max(1, count // 20)), name_it=True)


def print_times(seconds: dict[tuple[str, str], list[float]]) -> None:
    print(f"\n{'median time of grade(), ms':<32}{'right':>10}{'wrong':>10}")
    for name in EXERCISES:
        if seconds["right", name]:
            right, wrong = (1e3 * median(seconds[table, name]) for table in ("right", "wrong"))
            print(f"{name:<32}{right:>10.1f}{wrong:>10.1f}")


def print_failures(failures: list[tuple[Task, int, str]]) -> None:
    by_kind: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for task, seed, found in failures:
        by_kind[task.table, str(task.answer), found].append(seed)
    print(f"\n{'kind':<15}{'answer':<70}{'seeds':>6}  first  what")
    for (table, answer, found), where in sorted(by_kind.items()):
        print(f"{table:<15}{answer:<70}{len(where):>6}  {min(where):>5}  {found}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1000, help="seeds of each right answer")
    parser.add_argument("--wrong", type=int, help="seeds of each wrong answer; as many unless given")
    parser.add_argument("--assignment", action="append", help="e.g. 07; all unless given")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    wanted = tuple(options.assignment or ("",))
    exercises = {name for title, names in COURSE.assignments.items() if title.startswith(wanted) for name in names}
    wrong = options.seeds if options.wrong is None else options.wrong

    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    failures: list[tuple[Task, int, str]] = []
    graded: Counter[str] = Counter()
    start = time.perf_counter()
    with ProcessPoolExecutor(options.workers) as pool:
        for outcome in pool.map(run, tasks(options.seeds, wrong, exercises), chunksize=4):
            seconds[outcome.task.table, outcome.task.answer.exercise] += outcome.seconds
            failures += [(outcome.task, seed, found) for seed, found in outcome.failures]
            graded[outcome.task.table] += len(outcome.seconds)
    took = time.perf_counter() - start

    print_times(seconds)
    if failures:
        print_failures(failures)
    answers = {table: sum(a.exercise in exercises for a in TABLES[table]) for table in TABLES}
    counts = ", ".join(f"{count} of {answers[table]} {table} answers" for table, count in graded.items())
    print(f"\n{len(failures)} unexpected verdicts in {counts}; {took:.0f} s with {options.workers} workers")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
