"""Experiments over several seeds: one run proves nothing."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnlab.progress import progress_bar


@dataclass(frozen=True)
class Summary:
    """The numbers of one experiment: a row for each seed. `print` shows mean ± standard error."""

    values: NDArray[np.float64]  # (seeds, ...)
    seconds: float

    @property
    def mean(self) -> NDArray[np.float64]:
        """(...) over the seeds; a plain number if each run gave one."""
        mean: NDArray[np.float64] = np.mean(self.values, axis=0)
        return mean

    @property
    def error(self) -> NDArray[np.float64]:
        """Standard error of the mean, (...); 0 for a single seed, of which nothing is known."""
        return standard_error(self.values)

    def __getitem__(self, index: Any) -> "Summary":
        """The same for a part of what each run gave: `summary[0]` for the first number."""
        index = index if isinstance(index, tuple) else (index,)
        return Summary(self.values[(slice(None), *index)], self.seconds)

    def __str__(self) -> str:
        pairs = zip(np.ravel(self.mean), np.ravel(self.error), strict=True)
        numbers = ", ".join(f"{mean:.3f} ± {error:.3f}" for mean, error in pairs)
        return f"{numbers}  ({len(self.values)} seeds, {self.seconds:.1f} s)"


def standard_error(samples: ArrayLike) -> NDArray[np.float64]:
    """Standard error of the mean over the first axis: (S, ...) -> (...); zeros if S is 1."""
    samples = np.asarray(samples, dtype=np.float64)
    count = len(samples)
    if count < 2:
        return np.zeros(samples.shape[1:])
    error: NDArray[np.float64] = np.std(samples, axis=0, ddof=1) / np.sqrt(count)
    return error


def repeat(run: Callable[[int], Any], seeds: int | Iterable[int] = 5, progress: bool | None = None) -> Summary:
    """`run(seed)` for each seed, one after another. It gives a number or an array of the same shape each time.

    `seeds` is their number (0, 1, ...) or the seeds themselves.
    """
    seeds = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    begin = time.perf_counter()
    values = []
    with progress_bar(len(seeds), "seeds", progress) as advance:
        for seed in seeds:
            values.append(np.asarray(run(seed), dtype=np.float64))
            advance()
    return Summary(np.stack(values), time.perf_counter() - begin)


def sweep(
    run: Callable[[Any, int], Any],
    settings: Sequence[Any],
    seeds: int | Iterable[int] = 5,
    progress: bool | None = None,
) -> Summary:
    """`run(setting, seed)` for every setting and seed: `values` (seeds, settings, ...), as the plots like them."""
    seeds = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    with progress_bar(len(seeds) * len(settings), "runs", progress) as advance:

        def over_settings(seed: int) -> list[Any]:
            row = []
            for setting in settings:
                row.append(run(setting, seed))
                advance()
            return row

        return repeat(over_settings, seeds, progress=False)
