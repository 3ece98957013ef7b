"""Temporary courses: a small text notebook with two real exercises, its release, and submissions made from that."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder.notebooks.build import build

REPOSITORY = Path(__file__).resolve().parents[1]
MINI = "90-mini"
SCHEME = "Two marks: one for the scale, one for the zero."

TEXT = f'''# %% [markdown]
# # A small assignment
#
# It asks for $|a - b|$ and more. <details><summary>Stuck?</summary>Look at both sizes.</details>

# %% setup=true
import numpy as np
from autograder import check, hint

# %% exercise="relative_error"
def relative_error(a, b):
    """The largest relative difference of two arrays."""
    ### BEGIN SOLUTION
    a, b = np.asarray(a), np.asarray(b)
    return float(np.max(np.abs(a - b) / np.maximum(1e-12, np.abs(a) + np.abs(b))))
    ### END SOLUTION

# %% check="relative_error" points=5

# %%
def mean_and_variance(x):
    return x.mean(axis=1, keepdims=True), x.var(axis=1, keepdims=True)

# %% exercise="layernorm_forward"
def layernorm_forward(x, gamma, beta, ln_param):
    ### BEGIN SOLUTION
    mean, var = mean_and_variance(x)
    x_hat = (x - mean) / np.sqrt(var + ln_param.get("eps", 1e-5))
    return gamma * x_hat + beta, (x_hat, gamma, var)
    ### END SOLUTION

# %% check="layernorm_forward" points=5

# %% experiment=true
raise SystemExit("an experiment that must not run while grading")

# %% [markdown] question="why" points=2
# Why relative?
#
# ### BEGIN SOLUTION
# Because gradients come in all sizes.
#
# {SCHEME}
# ### END SOLUTION
'''

RIGHT = {
    "relative_error": """
def relative_error(a, b):
    a, b = np.asarray(a, float), np.asarray(b, float)
    size = np.abs(a) + np.abs(b)
    return float(np.max(np.where(size > 0, np.abs(a - b) / np.where(size > 0, size, 1.0), 0.0)))
""",
    "layernorm_forward": """
def layernorm_forward(x, gamma, beta, ln_param):
    mu = x.mean(1)[:, None]
    scale = 1 / np.sqrt(((x - mu) ** 2).mean(1)[:, None] + ln_param.get("eps", 1e-5))
    return (x - mu) * scale * gamma + beta, (x, mu, scale, gamma)
""",
}
HALF = """
def layernorm_forward(x, gamma, beta, ln_param):
    return gamma * (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5) + beta, None
"""
"""Layer norm that never looks at the eps it is given."""


def make_course(root: Path, *, register: bool = True) -> Path:
    """A course directory with built notebooks, the repository's configuration and, if wanted, a gradebook that knows them."""
    shutil.copytree(_template(register), root, dirs_exist_ok=True)
    return root


@functools.cache
def _template(register: bool) -> Path:
    """What `make_course` copies; made once, as an instructor would make it."""
    root = Path(tempfile.mkdtemp(prefix="course-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    if register:
        shutil.copytree(_template(register=False), root, dirs_exist_ok=True)
        run = nbgrader(root, "generate_assignment", MINI, "--force")
        assert run.returncode == 0, run.stderr
    else:
        (root / "solutions" / MINI).mkdir(parents=True)
        (root / "solutions" / MINI / f"{MINI}.py").write_text(TEXT, "utf-8")
        shutil.copy(REPOSITORY / "nbgrader_config.py", root)
        build(root)
    return root


def nbgrader(course: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run nbgrader's command in a course, as an instructor would."""
    command = Path(sys.executable).parent / "nbgrader"
    path = os.pathsep.join(p for p in (os.environ.get("PYTHONPATH"), str(REPOSITORY)) if p)
    return subprocess.run([sys.executable, command, *arguments], cwd=course, capture_output=True, text=True, timeout=900,
                          env=os.environ | {"PYTHONPATH": path, "JUPYTER_CONFIG_DIR": str(course / ".jupyter")})  # fmt: skip


def filled(course: Path, functions: Mapping[str, str], name: str = MINI) -> NotebookNode:
    """The release notebook with the stubs of these functions replaced."""
    notebook = nbformat.read(course / "assignments" / name / f"{name}.ipynb", as_version=4)
    for function, source in functions.items():
        cell(notebook, function).source = source
    return notebook


def cell(notebook: NotebookNode, grade_id: str) -> NotebookNode:
    """The cell with this grade id."""
    return next(c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == grade_id)


def submit(course: Path, student: str, content: NotebookNode | str | bytes, name: str = MINI) -> Path:
    """Hand in a notebook, or any bytes in its place."""
    target = course / "submitted" / student / name / f"{name}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, NotebookNode):
        content = nbformat.writes(content)
    target.write_bytes(content.encode() if isinstance(content, str) else content)
    return target


def marks(course: Path) -> dict[str, dict[str, float | None]]:
    """The automatic mark of every graded cell of every student, read from the gradebook with plain SQL."""
    query = """select submitted_assignment.student_id, base_cell.name, grade.auto_score from grade
        join base_cell on base_cell.id = grade.cell_id
        join submitted_notebook on submitted_notebook.id = grade.notebook_id
        join submitted_assignment on submitted_assignment.id = submitted_notebook.assignment_id"""
    found: dict[str, dict[str, float | None]] = {}
    with sqlite3.connect(course / "gradebook.db") as database:
        for student, grade_id, score in database.execute(query):
            found.setdefault(student, {})[grade_id] = score
    return found
