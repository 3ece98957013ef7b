"""A class that never was: two dozen submissions of assignment 01, right, wrong in known ways, hostile and damaged.

It shows an instructor what grading looks like before the first student hands in, and it is what the tests grade.
"""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
from nbformat import NotebookNode

ASSIGNMENT = "01-batch-normalization"

_FORWARD = """
def batchnorm_forward(x, gamma, beta, bn_param):
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    running_mean = bn_param.get("running_mean", np.zeros({features}))
    running_var = bn_param.get("running_var", np.zeros({features}))
    if bn_param["mode"] == "train":
        mean, var = x.mean(axis={axis}, keepdims={keepdims}), x.var(axis={axis}, keepdims={keepdims})
        running_mean = {running_mean}
        running_var = {running_var}
    else:
        mean, var = {test_statistics}
    {store}
    x_hat = (x - mean) / ({divisor})
    return {output}, (x_hat, gamma, {divisor})
"""
_RIGHT_SLOTS = {
    "features": "x.shape[1]",
    "axis": "0",
    "keepdims": "False",
    "running_mean": "momentum * running_mean + (1 - momentum) * mean",
    "running_var": "momentum * running_var + (1 - momentum) * var",
    "test_statistics": "running_mean, running_var",
    "store": 'bn_param["running_mean"], bn_param["running_var"] = running_mean, running_var',
    "divisor": "np.sqrt(var + eps)",
    "output": "gamma * x_hat + beta",
}

_BACKWARD = """
def batchnorm_backward(dout, cache):
    x_hat, gamma, std = cache
    dx_hat = dout * gamma
    dx = ({dx}) / std
    return dx, np.sum(dout * x_hat, axis=0), np.sum(dout, axis=0)
"""
_RIGHT_DX = "dx_hat - dx_hat.mean(axis=0) - x_hat * (dx_hat * x_hat).mean(axis=0)"

_ALT = _BACKWARD.replace("batchnorm_backward", "batchnorm_backward_alt")


def _forward(**slots: str) -> dict[str, str]:
    """Answers whose forward deviates in the slots named; both backward passes fit its cache."""
    return {
        "batchnorm_forward": _FORWARD.format(**{**_RIGHT_SLOTS, **slots}),
        "batchnorm_backward": _BACKWARD.format(dx=_RIGHT_DX),
        "batchnorm_backward_alt": _ALT.format(dx=_RIGHT_DX),
    }


def _backward(dx: str) -> dict[str, str]:
    return {**_forward(), "batchnorm_backward": _BACKWARD.format(dx=dx)}


ANSWERS: dict[str, dict[str, str]] = {
    "abena": {},
    "bao": _forward(),
    "carla": {**_forward(), "batchnorm_backward_alt": _ALT.format(dx=_RIGHT_DX) + "    print('done', dx.shape)\n"},
    "dmitri": _forward(test_statistics="x.mean(axis=0), x.var(axis=0)"),
    "elif": _forward(
        running_mean="(1 - momentum) * running_mean + momentum * mean",
        running_var="(1 - momentum) * running_var + momentum * var",
    ),
    "farid": _forward(store='bn_param["running_mean"] = running_mean'),
    "grace": _forward(divisor="np.sqrt(var) + eps"),
    "hiroshi": _forward(axis="1", keepdims="True"),
    "ines": _forward(divisor="np.sqrt(var)"),
    "jonas": _forward(running_var="momentum * running_var + (1 - momentum) * (var + eps)"),
    "kofi": _forward(output="gamma * x_hat + beta if bn_param['mode'] == 'train' else x_hat"),
    "lena": _backward("dx_hat - dx_hat.mean(axis=0)"),
    "mateo": _backward("dx_hat - x_hat * (dx_hat * x_hat).mean(axis=0)"),
    "nadia": _backward("dx_hat - dx_hat.sum(axis=0) - x_hat * (dx_hat * x_hat).sum(axis=0)"),
    "oskar": {
        "fold_batchnorm": "def fold_batchnorm(W, b, gamma, beta, running_mean, running_var, eps=1e-5):\n"
        "    scale = gamma / np.sqrt(running_var + eps)\n    return W * scale, b + beta - running_mean * scale\n"
    },
    "priya": {
        "spatial_batchnorm_forward": "def spatial_batchnorm_forward(x, gamma, beta, bn_param):\n"
        "    out, cache = batchnorm_forward(x.reshape(-1, x.shape[1]), gamma, beta, bn_param)\n"
        "    return out.reshape(x.shape), cache\n"
    },
    "quentin": {"batchnorm_forward": "def batchnorm_forward(x, gamma, beta, bn_param)\n    return x\n"},
    "rosa": {"batchnorm_backward": "def batchnorm_backward(dout, cache):\n    import os\n    os._exit(1)\n"},
    "sven": {"batchnorm_backward_alt": "def batchnorm_backward_alt(dout, cache):\n    while True:\n        pass\n"},
    "tariq": {"batchnorm_forward": "while True:\n    pass\n"},
}
"""Student -> the answers that differ from the course's own solution."""


def _patched_numpy(notebook: NotebookNode) -> None:
    notebook.cells.insert(
        1, nbformat.v4.new_code_cell("import numpy as np\nnp.allclose = lambda *a, **k: True\nnp.testing = None")
    )


def _hooked_ipython(notebook: NotebookNode) -> None:
    hook = "get_ipython().events.register('post_run_cell', lambda result: setattr(result, 'result', 99))"
    notebook.cells.insert(1, nbformat.v4.new_code_cell(hook))


def _skipped_tests(notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade"):
            cell.metadata["tags"] = ["skip-execution"]


def _copied_checks(notebook: NotebookNode) -> None:
    notebook.cells += [copy.deepcopy(c) for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade")]


TRICKS: dict[str, tuple[Callable[[NotebookNode], None], dict[str, str]]] = {
    "uma": (_patched_numpy, _forward(divisor="np.sqrt(var) + eps")),
    "viktor": (_hooked_ipython, _forward(test_statistics="x.mean(axis=0), x.var(axis=0)")),
    "wanjiru": (_skipped_tests, _backward("dx_hat")),
    "xenia": (_copied_checks, {}),
}
"""Student -> what is done to the notebook besides the answers: none of it may change a mark."""


def make_class(root: Path, course: Path) -> Path:
    """Write the class to ``course/submitted``, from the notebooks of the checkout at ``root``. An older class is replaced.

    Raises ValueError when ``course`` is a folder that this function did not make.
    """
    marker = course / ".made-by-autograder-demo"
    if course.exists() and any(course.iterdir()) and not marker.exists():
        raise ValueError(f"{course} exists and is not a demo course; expected an empty or new folder: name another one")
    shutil.rmtree(course, ignore_errors=True)
    course.mkdir(parents=True)
    marker.touch()
    shutil.copy(root / "nbgrader_config.py", course)
    shutil.copytree(root / "solutions" / ASSIGNMENT, course / "solutions" / ASSIGNMENT)

    file = f"{ASSIGNMENT}.ipynb"
    released = nbformat.read(root / "assignments" / ASSIGNMENT / file, as_version=4)
    solved = nbformat.read(root / "solutions" / ASSIGNMENT / file, as_version=4)
    solutions = {_grade_id(cell): cell.source for cell in solved.cells if _is_solution(cell)}
    for student, answers in ANSWERS.items():
        _write(course, student, _filled(released, {**solutions, **answers}))
    for student, (trick, answers) in TRICKS.items():
        notebook = _filled(released, {**solutions, **answers})
        trick(notebook)
        _write(course, student, notebook)
    _write(course, "yusuf", released)  # handed in as it was given out
    damaged = _write(course, "zoe", _filled(released, solutions))
    damaged.write_text(damaged.read_text(encoding="utf-8")[: 9 * damaged.stat().st_size // 10], encoding="utf-8")
    return course


def _grade_id(cell: NotebookNode) -> str:
    return str(cell.metadata.get("nbgrader", {}).get("grade_id", ""))


def _is_solution(cell: NotebookNode) -> bool:
    return bool(cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("solution"))


def _filled(released: NotebookNode, answers: dict[str, str]) -> NotebookNode:
    """The release notebook with its stubs filled in."""
    notebook = copy.deepcopy(released)
    for cell in notebook.cells:
        if _is_solution(cell) and _grade_id(cell) in answers:
            cell.source = re.sub(
                r"^\s*### (BEGIN|END) SOLUTION\n?", "", answers[_grade_id(cell)], flags=re.MULTILINE
            ).strip()
    return notebook


def _write(course: Path, student: str, notebook: NotebookNode) -> Path:
    folder = course / "submitted" / student / ASSIGNMENT
    folder.mkdir(parents=True)
    path = folder / f"{ASSIGNMENT}.ipynb"
    path.write_text(json.dumps(notebook), encoding="utf-8")  # as it is: nbformat would mend what a student broke
    return path
