"""One progress bar at a time, and none where nobody watches: a graded cell with anything on stderr scores 0."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_bars = 0


def somebody_watches() -> bool:
    """True in a notebook or terminal, False under nbgrader, in continuous integration and in scripts' logs."""
    if os.environ.get("NBGRADER_EXECUTION") or os.environ.get("CI"):
        return False
    return "ipykernel" in sys.modules or sys.stderr.isatty()


@contextmanager
def progress_bar(total: int, label: str, wanted: bool | None = None) -> Iterator[Callable[[], object]]:
    """Yields a function to call after each of `total` steps. `wanted=None`: a bar if `somebody_watches`. A bar inside
    another one (a training inside `repeat`) is not shown."""
    global _bars
    if _bars or not (somebody_watches() if wanted is None else wanted):
        yield lambda: None
        return
    from tqdm.auto import tqdm

    _bars += 1
    try:
        with tqdm(total=total, desc=label, leave=False) as bar:
            yield bar.update
    finally:
        _bars -= 1
