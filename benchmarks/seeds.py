"""Whether the verdict depends on luck: right answers, known mistakes and other wrong answers over many seeds.

    python benchmarks/seeds.py                          1000 seeds of everything; hours
    python benchmarks/seeds.py --assignment 07 --assignment 08
    python benchmarks/seeds.py --seeds 200 --wrong 50
    python benchmarks/seeds.py --exercise dropout_forward mixup

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
from tqdm import tqdm

from autograder.exercise import Exercise
from autograder.exercises import COURSE
from autograder.grading import grade, try_check
from autograder.students import NamespaceStudent

CHUNK = 50
TABLES = {"right": RIGHT, "misconception": MISCONCEPTIONS, "wrong": WRONG}


@dataclass(frozen=True)
class Task:
    """All answers to an exercise with some seeds: what the reference shows with a seed is then computed once for all of them."""

    exercise: str
    seeds: range
    right: int
    """Right answers are tried with the seeds below this one, wrong ones with those below the next."""
    wrong: int
    named: int
    """Known mistakes are searched for with the seeds below this one."""


@dataclass
class Outcome:
    task: Task
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failures: list[tuple[str, str, int, str]] = field(default_factory=list)
    """Table, answer, seed, what is wrong with the verdict."""


def trouble(table: str, answer: Answer, seed: int, name_it: bool, caught_by: list[int]) -> str:
    """What is wrong with the verdict, in a line; empty where it is as it should be."""
    exercise, student = exercise_of(answer), NamespaceStudent(dict(answer.functions))
    if table != "right" and not name_it and _loses(exercise, student, seed, caught_by):
        return ""
    result = grade(exercise, student, seed)
    if table == "right":
        return "" if result.status == "passed" else f"{result.status}, lost: {'; '.join(lost_claims(result))}"
    if result.status == "passed" or result.points >= result.max_points:
        return f"{result.status} with {result.points:g} of {result.max_points:g} points"
    if not name_it:
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
    outcome = Outcome(task)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the engine's own: a student's are swallowed
        for table, answers in TABLES.items():
            first, last = task.seeds.start, min(task.seeds.stop, task.right if table == "right" else task.wrong)
            for answer in (answer for answer in answers if answer.exercise == task.exercise):
                caught_by: list[int] = []
                for seed in range(first, last):
                    start = time.perf_counter()
                    name_it = table == "misconception" and seed < task.named
                    try:
                        found = trouble(table, answer, seed, name_it, caught_by)
                    except Exception as problem:
                        found = f"grade() raised {type(problem).__name__}: {problem}"
                    outcome.seconds[table].append(time.perf_counter() - start)
                    if found:
                        outcome.failures.append((table, str(answer), seed, found))
    outcome.seconds = dict(outcome.seconds)
    return outcome


def tasks(right: int, wrong: int, exercises: Collection[str]) -> Iterator[Task]:
    for name in EXERCISES:
        if name in exercises:
            for first in range(0, max(right, wrong), CHUNK):
                yield Task(name, range(first, min(first + CHUNK, max(right, wrong))), right, wrong, max(1, wrong // 20))


def print_times(seconds: dict[tuple[str, str], list[float]]) -> None:
    print(f"\n{'median time of a verdict, ms':<32}{'right':>10}{'wrong':>10}")
    for name in EXERCISES:
        if seconds["right", name]:
            right, wrong = (1e3 * median(seconds[table, name]) for table in ("right", "wrong"))
            print(f"{name:<32}{right:>10.1f}{wrong:>10.1f}")


def print_failures(failures: list[tuple[str, str, int, str]]) -> None:
    by_kind: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for table, answer, seed, found in failures:
        by_kind[table, answer, found].append(seed)
    print(f"\n{'kind':<15}{'answer':<70}{'seeds':>6}  first  what")
    for (table, answer, found), where in sorted(by_kind.items()):
        print(f"{table:<15}{answer:<70}{len(where):>6}  {min(where):>5}  {found}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1000, help="seeds of each right answer")
    parser.add_argument("--wrong", type=int, help="seeds of each wrong answer; as many unless given")
    parser.add_argument("--assignment", action="append", help="e.g. 07; all unless given")
    parser.add_argument("--exercise", nargs="+", metavar="NAME", help="only these exercises")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    wanted = tuple(options.assignment or ("",))
    exercises = {name for title, names in COURSE.assignments.items() if title.startswith(wanted) for name in names}
    exercises &= set(options.exercise or exercises)
    wrong = options.seeds if options.wrong is None else options.wrong

    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    failures: list[tuple[str, str, int, str]] = []
    graded: Counter[str] = Counter()
    start = time.perf_counter()
    todo = list(tasks(options.seeds, wrong, exercises))
    with ProcessPoolExecutor(options.workers) as pool, tqdm(total=len(todo), disable=None, leave=False) as bar:
        for outcome in pool.map(run, todo):
            bar.update()
            for table, times in outcome.seconds.items():
                seconds[table, outcome.task.exercise] += times
                graded[table] += len(times)
            if outcome.failures:
                print(*(f"{answer} with seed {seed}: {found}" for _, answer, seed, found in outcome.failures[:3]), sep="\n")
                sys.stdout.flush()
            failures += outcome.failures
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
