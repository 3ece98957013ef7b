"""Mutants graded by the engine, each under a limit of CPU time: one that never ends costs its process and nothing else."""

from __future__ import annotations

import multiprocessing
import resource
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from multiprocessing.connection import Connection

from autograder.exercise import Exercise
from autograder.exercises import COURSE
from autograder.grading import grade
from autograder.students import NamespaceStudent
from benchmarks.mutation.operators import Mutant, mutants
from benchmarks.mutation.subjects import Subject, subjects

SEEDS = range(5)
SECONDS = 0.5
"""CPU time that a mutant may use, besides five times what the right answer needs (a tenth of a second, mostly)."""

MEMORY = 4 << 30

ENDED_BY_A_MUTANT = (-signal.SIGPROF, -signal.SIGKILL, -signal.SIGSEGV)


@dataclass(frozen=True)
class Outcome:
    """One mutant and what came of it. ``passed`` holds the seeds with which it got all points; ``tried`` all seeds."""

    exercise: str
    origin: str
    mutant: Mutant
    tried: tuple[int, ...]
    passed: tuple[int, ...]
    hung: bool = False

    @property
    def killed(self) -> bool:
        """Rejected with every seed that was tried."""
        return not self.passed

    @property
    def weak(self) -> bool:
        """Rejected with some seeds and not with others: the check looks at the mistake and seldom sees it."""
        return 0 < len(self.passed) < len(self.tried)


def outcomes(
    tasks: Sequence[tuple[str, str]], workers: int = 1, seconds: float = SECONDS, thorough: bool = False
) -> Iterator[list[Outcome]]:
    """For each (exercise, origin), in order, what came of its mutants.

    A mutant that the first seed kills is done with; ``thorough`` tries the other seeds on it, too.
    """
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(lambda task: _in_processes(task[0], task[1], seconds, thorough), tasks)


def _all(exercise: str, origin: str) -> list[tuple[Subject, Mutant]]:
    return [(subject, mutant) for subject in subjects(exercise, origin) for mutant in mutants(subject.text)]


def _in_processes(exercise: str, origin: str, seconds: float, thorough: bool) -> list[Outcome]:
    """Grade in one process as long as it lives; the mutant that ends it has hung, and a new process goes on after it."""
    every = [mutant for _, mutant in _all(exercise, origin)]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # a process that follows a hanging one starts at once
    done: list[Outcome] = []
    while len(done) < len(every):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(sender, exercise, origin, len(done), seconds, thorough), daemon=True)
        process.start()
        sender.close()
        try:
            while len(done) < len(every):
                tried, passed = receiver.recv()
                done.append(Outcome(exercise, origin, every[len(done)], tried, passed))
        except EOFError:
            process.join()
            if process.exitcode not in ENDED_BY_A_MUTANT:
                raise RuntimeError(f"grading mutants of {exercise} ended with {process.exitcode}") from None
            done.append(Outcome(exercise, origin, every[len(done)], (SEEDS[0],), (), hung=True))
        finally:
            process.join()
            receiver.close()
    return done


def _work(sender: Connection, exercise: str, origin: str, first: int, seconds: float, thorough: bool) -> None:
    """Grade the mutants from number ``first`` on and send what came of each. Runs in a process of its own."""
    needed = {subject.text: _needed(subject, SEEDS if first == 0 else SEEDS[:1]) for subject in subjects(exercise, origin)}
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for subject, mutant in _all(exercise, origin)[first:]:
        sender.send(judged(subject, mutant, thorough, partial(_allow, seconds + 5 * needed[subject.text])))
    _allow(0)
    sender.close()


def _needed(subject: Subject, seeds: Sequence[int]) -> float:
    """The most CPU time that the right answer takes with a seed. It also fills the memory of what references show."""
    longest = 0.0
    for seed in seeds:
        start = time.process_time()
        assert passes(subject, subject.text, seed), f"the {subject.origin} of {subject.exercise} fails with seed {seed}"
        longest = max(longest, time.process_time() - start)
    return longest


def _allow(seconds: float) -> None:
    """End this process when it has used so much more CPU time, even inside a library's loop; 0 allows any."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


def judged(
    subject: Subject, mutant: Mutant, thorough: bool = False, before_each: Callable[[], object] = lambda: None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The seeds that were tried on a mutant, and those with which nobody noticed it."""
    tried, passed = [], []
    for seed in SEEDS:
        before_each()
        tried.append(seed)
        passed += [seed] if passes(subject, mutant.source, seed) else []
        if not passed and not thorough:
            break
    return tuple(tried), tuple(passed)


def passes(subject: Subject, text: str, seed: int) -> bool:
    """Whether no judge notices that a subject reads so."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for judge in subject.judges:
            try:
                functions = subject.functions(judge, text)
            except Exception:  # a mutated default or table may fail where it is defined
                return False
            result = grade(_quick(judge), NamespaceStudent(functions), seed)
            if result.points < result.max_points:
                return False
    return True


@cache
def _quick(name: str) -> Exercise:
    """The same checks, and no search for the likely mistake."""
    exercise = COURSE.exercises[name]
    checks = tuple(replace(check, consistent=None) for check in exercise.checks)
    return replace(exercise, misconceptions=(), checks=checks)
