"""Whether the verdict depends on luck: right answers over many seeds, known mistakes over a twentieth as many.

    python benchmarks/seeds.py              1000 seeds; a quarter of an hour on two cores
    python benchmarks/seeds.py --seeds 200

A right answer must get all points with every seed; a known mistake must lose some, and be named as itself and nothing
else. Prints what went otherwise (nothing is expected) and how long grading takes; exits with 1 if anything did.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # arrays of 50 entries: threads only cost
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from answers import EXERCISES, MISCONCEPTIONS, RIGHT, Answer, lost_claims

from autograder.grading import grade
from autograder.students import NamespaceStudent

CHUNK = 25
TABLES = {"right": [a for a in RIGHT if not a.defect], "misconception": MISCONCEPTIONS}


@dataclass(frozen=True)
class Task:
    """One answer, by its place in a table (functions cannot be sent to another process), and some seeds."""

    table: str
    number: int
    seeds: range

    @property
    def answer(self) -> Answer:
        return TABLES[self.table][self.number]


@dataclass(frozen=True)
class Outcome:
    task: Task
    seconds: tuple[float, ...]
    failures: tuple[tuple[int, str], ...]


def trouble(table: str, answer: Answer, seed: int) -> str:
    """What is wrong with the verdict, in a line; empty where it is as it should be."""
    result = grade(answer.exercise, NamespaceStudent(dict(answer.functions)), seed)
    if table == "right":
        return "" if result.status == "passed" else f"{result.status}, lost: {'; '.join(lost_claims(result))}"
    if result.status != "failed" or result.points >= result.max_points:
        return f"{result.status} with {result.points:g} of {result.max_points:g} points"
    named = [diagnosis.id for diagnosis in result.diagnosis]
    return "" if named == [answer.id] else f"taken for {', '.join(named) or 'nothing known'}"


def run(task: Task) -> Outcome:
    seconds, failures = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the engine's own: a student's are swallowed
        for seed in task.seeds:
            start = time.perf_counter()
            try:
                found = trouble(task.table, task.answer, seed)
            except Exception as problem:
                found = f"grade() raised {type(problem).__name__}: {problem}"
            seconds.append(time.perf_counter() - start)
            if found:
                failures.append((seed, found))
    return Outcome(task, tuple(seconds), tuple(failures))


def tasks(seeds: int) -> Iterator[Task]:
    for table, answers in TABLES.items():
        count = seeds if table == "right" else max(1, seeds // 20)
        for number in range(len(answers)):
            for first in range(0, count, CHUNK):
                yield Task(table, number, range(first, min(count, first + CHUNK)))


def print_times(seconds: dict[tuple[str, str], list[float]]) -> None:
    print(f"\n{'median time of grade(), ms':<32}{'right':>10}{'wrong':>10}")
    for name in EXERCISES:
        right, wrong = (1e3 * median(seconds[table, name]) for table in TABLES)
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
    parser.add_argument("--seeds", type=int, default=1000, help="seeds for a right answer; a mistake gets a twentieth")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()

    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    failures: list[tuple[Task, int, str]] = []
    graded: Counter[str] = Counter()
    start = time.perf_counter()
    with ProcessPoolExecutor(options.workers) as pool:
        for outcome in pool.map(run, tasks(options.seeds), chunksize=4):
            seconds[outcome.task.table, outcome.task.answer.exercise] += outcome.seconds
            failures += [(outcome.task, seed, found) for seed, found in outcome.failures]
            graded[outcome.task.table] += len(outcome.seconds)
    took = time.perf_counter() - start

    print_times(seconds)
    if failures:
        print_failures(failures)
    skipped = [str(answer) for answer in RIGHT if answer.defect]
    if skipped:
        print(f"\nleft out, as the grader is known to misjudge them: {', '.join(skipped)}")
    counts = ", ".join(f"{count} of {len(TABLES[table])} {table} answers" for table, count in graded.items())
    print(f"\n{len(failures)} unexpected verdicts in {counts}; {took:.0f} s with {options.workers} workers")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
