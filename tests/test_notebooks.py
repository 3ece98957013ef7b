"""Every notebook of the course, run from top to bottom as a reader would, solved and untouched."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
Execute = Callable[[str, str], NotebookNode]
NAMES = sorted(path.parent.name for path in (ROOT / "solutions").glob("*/*.py"))


@pytest.fixture
def executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], NotebookNode]:
    """Runs a notebook in a copy of its folder, its neighbours beside it: what it writes stays out of the repository."""
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)

    def execute(kind: str, name: str) -> NotebookNode:
        home = tmp_path / kind
        shutil.copytree(ROOT / kind, home, ignore=shutil.ignore_patterns("model.npz", "tries.json", ".*"))
        notebook = nbformat.read(home / name / f"{name}.ipynb", as_version=4)
        place = {"metadata": {"path": str(home / name)}}
        return NotebookClient(notebook, timeout=300, allow_errors=True, resources=place).execute()

    return execute


def outputs(notebook: NotebookNode) -> list[tuple[int, NotebookNode]]:
    return [(n, output) for n, cell in enumerate(notebook.cells) if cell.cell_type == "code" for output in cell.outputs]


def verdicts(notebook: NotebookNode) -> dict[str, str]:
    """What each check cell says, by its source."""
    cells = [cell for cell in notebook.cells if cell.get("metadata", {}).get("nbgrader", {}).get("grade")]
    return {
        cell.source: "".join(output.get("data", {}).get("text/plain", "") for output in cell.outputs)
        for cell in cells
        if cell.cell_type == "code"
    }


def has_tag(cell: NotebookNode, tag: str) -> bool:
    return tag in cell.metadata.get("tags", [])


def said_on_stderr(notebook: NotebookNode) -> list[str]:
    return [output.text for _, output in outputs(notebook) if output.output_type == "stream" and output.name == "stderr"]


def errors(notebook: NotebookNode) -> list[str]:
    return [f"cell {n + 1}: {output.ename}: {output.evalue}" for n, output in outputs(notebook) if output.output_type == "error"]


@pytest.mark.parametrize("name", NAMES)
def test_a_solved_notebook_runs_through_and_passes_every_check(name: str, executed: Execute) -> None:
    notebook = executed("solutions", name)
    assert errors(notebook) == []
    assert said_on_stderr(notebook) == []
    found = verdicts(notebook)
    assert found
    assert [source for source, text in found.items() if "✗" in text or "✓" not in text] == []
    own = [output.text for _, output in outputs(notebook) if output.output_type == "stream" and "Running" in output.text]
    assert own and all("Running your own" in text for text in own)


@pytest.mark.parametrize("name", NAMES)
def test_an_untouched_notebook_says_not_started_and_its_experiments_run(name: str, executed: Execute) -> None:
    notebook = executed("assignments", name)
    assert errors(notebook) == []
    assert said_on_stderr(notebook) == []
    found = verdicts(notebook)
    assert found
    assert [source for source, text in found.items() if "not started" not in text] == []
    experiments = [cell for cell in notebook.cells if has_tag(cell, "experiment")]
    pictures = [cell for cell in experiments if any("image/png" in output.get("data", {}) for output in cell.outputs)]
    assert len(pictures) >= 3


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_has_all_that_a_reader_needs(name: str) -> None:
    notebook = nbformat.read(ROOT / "solutions" / name / f"{name}.ipynb", as_version=4)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for heading in ("## The idea", "## Convention card", "## Experiments", "## Questions", "## Remember", "**Where to read on.**"):
        assert heading in text, heading
    checks = sum(cell.source.startswith("check(") for cell in notebook.cells)
    assert text.count("<summary><b>Stuck?</b>") == checks
    assert text.count("**The claim**") >= 2
    assert text.count("**Your guess first:**") >= 2
    assert text.count("**What was seen") >= text.count("**Your guess first:**")
    assert text.count("**Marking scheme:**") >= 2
