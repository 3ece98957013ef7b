"""Experiments in two sizes, and what came out of the large ones.

A notebook runs its experiments with a few seeds, so that it is done in a minute. ``python -m nnlab.experiments`` (or
``make experiments``) runs the very same notebooks with more seeds, stores what each experiment measured in
``data/results/``, and writes ``docs/claims.md`` from that. The notebook shows the stored result beside its own.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Verdict = Literal["yes", "partly", "no"]

FULL = "NNLAB_FULL"
ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "data" / "results"
PAGE = ROOT / "docs" / "claims.md"


@dataclass(frozen=True)
class Claim:
    """What one experiment says of one claim. ``name`` is "NN/what-it-is-about"; ``measured`` is a sentence with numbers."""

    name: str
    claim: str
    source: str
    measured: str
    agrees: Verdict
    seeds: int
    seconds: float
    version: str


_started = time.perf_counter()


def is_full() -> bool:
    """Whether this is a full run (``make experiments``)."""
    return bool(os.environ.get(FULL))


def seeds(quick: int = 3, full: int = 5) -> int:
    """How many seeds to run: ``quick`` in a notebook, ``full`` in a full run. Starts the experiment's clock."""
    global _started
    _started = time.perf_counter()
    return full if is_full() else quick


def record(name: str, *, claim: str, source: str, measured: str, agrees: Verdict | bool, seeds: int) -> None:
    """Say what was measured; in a full run also store it. Shows the stored full run beside the reader's own.

    ``agrees`` must come from the numbers ("yes", "partly", "no", or a comparison), never from the claim.
    """
    verdict: Verdict = agrees if isinstance(agrees, str) else "yes" if agrees else "no"
    print(f"Measured here ({seeds} seeds, {time.perf_counter() - _started:.0f} s): {measured}")
    if is_full():
        found = Claim(name, claim, source, measured, verdict, seeds, round(time.perf_counter() - _started, 1), version(name))
        path = _file(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        others = [entry for entry in stored(path) if entry.name != name]
        path.write_text(json.dumps([asdict(entry) for entry in [*others, found]], indent=1) + "\n", encoding="utf-8")
        return
    for entry in stored(_file(name)):
        if entry.name == name:
            print(f"The course's run ({entry.seeds} seeds): {entry.measured}")


def stored(path: Path) -> list[Claim]:
    """The results in one file; none where there is no file."""
    return [Claim(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))] if path.is_file() else []


def _file(name: str) -> Path:
    return RESULTS / f"{name.partition('/')[0]}.json"


def version(name: str) -> str:
    """A short hash of what a result depends on: the notebook's text and the laboratory's code."""
    prefix = name.partition("/")[0]
    digest = hashlib.sha256()
    for path in [*sorted((ROOT / "solutions").glob(f"{prefix}-*/*.py")), *sorted((ROOT / "nnlab").glob("**/*.py"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def claims_page() -> str:
    """docs/claims.md, made from the stored results alone."""
    lines = [
        "# What the lecture claims, and what was measured here",
        "",
        "Made by `make experiments` from the full runs of the notebooks; do not edit. The data are small and the networks",
        "too: where a line says *no*, the claim may still hold at its own scale, and the notebook says what we think of it.",
    ]
    for path in sorted(RESULTS.glob("*.json")):
        entries = stored(path)
        notebook = next(iter(sorted((ROOT / "solutions").glob(f"{path.stem}-*"))), path)
        lines += ["", f"## {notebook.name}", "", "| claim | source | measured here | agrees |", "| --- | --- | --- | --- |"]
        for entry in entries:
            cells = (entry.claim, entry.source, f"{entry.measured} ({entry.seeds} seeds, {entry.seconds:g} s)", entry.agrees)
            lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
        lines += ["", f"Version of notebook and laboratory: {', '.join(sorted({entry.version for entry in entries}))}."]
    return "\n".join(lines) + "\n"


def run(prefixes: Iterable[str]) -> None:
    """Run the solved notebooks whose names begin with one of the prefixes (all if none) in full, and write the page."""
    import nbformat
    from nbclient import NotebookClient

    wanted = tuple(prefixes) or ("",)
    os.environ[FULL] = "1"
    for path in sorted((ROOT / "solutions").glob("*/*.ipynb")):
        if path.name.startswith(wanted):
            begin = time.perf_counter()
            notebook = nbformat.read(path, as_version=4)
            NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": str(path.parent)}}).execute()
            print(f"{path.stem}: {time.perf_counter() - begin:.0f} s", flush=True)
    write_page()


def write_page() -> None:
    """Write docs/claims.md from the stored results."""
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(claims_page(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    if sys.argv[1:] == ["--page"]:
        write_page()
    else:
        run(sys.argv[1:])
