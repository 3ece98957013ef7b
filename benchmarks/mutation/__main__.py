"""The command: grade all mutants, print what survived, write the page. See the package's docstring."""

from __future__ import annotations

import argparse
import os
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # arrays of 50 entries: threads only cost

from tqdm import tqdm

import benchmarks.mutation
from autograder.exercises import COURSE
from benchmarks.mutation import report
from benchmarks.mutation.subjects import MEASURED, ORIGINS
from benchmarks.mutation.trial import Outcome, outcomes


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.mutation",
        description=benchmarks.mutation.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--exercise", nargs="+", default=[], metavar="NAME", help="only these exercises; writes no page")
    parser.add_argument("--assignment", nargs="+", default=[], metavar="NN", help="only these assignments")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--thorough", action="store_true", help="try all five seeds on every mutant")
    given = parser.parse_args()
    if unknown := set(given.exercise) - set(COURSE.exercises):
        parser.error(f"no exercise {', '.join(sorted(unknown))}; known are {', '.join(COURSE.exercises)}")
    if unheard := [n for n in given.assignment if not any(name.startswith(n) for name in COURSE.assignments)]:
        parser.error(f"no assignment {', '.join(unheard)}; known are {', '.join(COURSE.assignments)}")

    assignments = {
        name: exercises for name, exercises in COURSE.assignments.items()
        if not given.assignment or name.startswith(tuple(given.assignment))
    }  # fmt: skip
    chosen = [
        e for exercises in assignments.values() for e in exercises
        if e not in MEASURED and (not given.exercise or e in given.exercise)
    ]  # fmt: skip
    found = _grade(chosen, given.workers, given.thorough)

    listed = report.equivalent()
    everything = [outcome for name in chosen for outcome in found[name]]
    total = report.score(everything, listed)
    print(report.row("all", total))
    for outcome in report.unexplained(everything, listed):
        print(f"\n{report.difference(outcome)}")
    faults = report.stale(everything, listed)
    print(*(f"\n{fault}" for fault in faults), sep="")
    if not given.exercise:
        scores = {
            name: report.score([outcome for e in exercises for outcome in found[e]], listed)
            for name, exercises in assignments.items() if set(exercises) <= set(chosen)
        }
        report.PAGE.write_text(report.page(scores))
        print(f"wrote {report.PAGE.relative_to(report.ROOT)}")
    return 1 if total.survivors or faults else 0


def _grade(exercises: list[str], workers: int, thorough: bool) -> dict[str, list[Outcome]]:
    """All outcomes by exercise; prints a row as soon as an exercise is done."""
    listed = report.equivalent()
    tasks = [(name, origin) for name in exercises for origin in ORIGINS]
    found: dict[str, list[Outcome]] = {name: [] for name in exercises}
    print(report.HEADER)
    with tqdm(total=len(tasks), unit="answer", disable=None, leave=False) as bar:
        for (name, origin), each in zip(tasks, outcomes(tasks, workers, thorough=thorough), strict=True):
            found[name] += each
            bar.update()
            if origin == ORIGINS[-1]:
                bar.write(report.row(name, report.score(found[name], listed)), file=sys.stdout)
                sys.stdout.flush()
    return found


if __name__ == "__main__":
    sys.exit(main())
