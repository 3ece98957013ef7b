"""The command, run as a user runs it: in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autograder.exercises import COURSE
from autograder.sandbox import sandbox_problem

ROOT = Path(__file__).resolve().parents[1]
NAMES = sorted(path.parent.name for path in (ROOT / "solutions").glob("*/*.py"))


def autograder(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "autograder.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


def checked(*files: Path) -> tuple[int, dict[str, Any]]:
    done = autograder("check", *files, "--json")
    return done.returncode, json.loads(done.stdout)["exercises"] if done.stdout else {}


BATCHNORM = """
import numpy as np
from builtins import range
from .missing_helpers import *

def batchnorm_forward(x, gamma, beta, bn_param):
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    N, D = x.shape
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))
    if bn_param["mode"] == "train":
        mean, var = np.mean(x, axis=0), np.var(x, axis=0)
        running_mean = momentum * running_mean + (1 - momentum) * mean
        running_var = momentum * running_var + (1 - momentum) * var
    else:
        mean, var = running_mean, running_var
    bn_param["running_mean"], bn_param["running_var"] = running_mean, running_var
    x_hat = (x - mean) / np.sqrt(var + eps)
    return gamma * x_hat + beta, (x_hat, gamma, np.sqrt(var + eps))
"""


@pytest.mark.parametrize("name", NAMES)
def test_check_passes_everything_in_a_solutions_notebook(name: str) -> None:
    status, found = checked(ROOT / "solutions" / name / f"{name}.ipynb")
    assert status == 0
    assert list(found) == list(COURSE.assignments[name])
    for exercise, result in found.items():
        assert (result["status"], result["points"]) == ("passed", COURSE.exercises[exercise].points)


@pytest.mark.parametrize("name", NAMES)
def test_check_finds_nothing_started_in_a_released_notebook(name: str) -> None:
    status, found = checked(ROOT / "assignments" / name / f"{name}.ipynb")
    assert status == 1
    assert list(found) == list(COURSE.assignments[name])
    assert {(result["status"], result["points"]) for result in found.values()} == {("not_started", 0)}


def test_check_takes_several_python_files_as_one_submission_and_leaves_out_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "layers.py").write_text(BATCHNORM)
    (tmp_path / "more.py").write_text(
        "from .layers import *\n\n\ndef spatial_batchnorm_forward(x, gamma, beta, bn_param):\n"
        "    N, C, H, W = x.shape\n"
        "    out, cache = batchnorm_forward(x.transpose(0, 2, 3, 1).reshape(-1, C), gamma, beta, bn_param)\n"
        "    return out.reshape(N, H, W, C).transpose(0, 3, 1, 2), cache\n"
    )
    status, found = checked(tmp_path / "layers.py", tmp_path / "more.py")
    assert status == 0
    assert {name: result["status"] for name, result in found.items()} == {
        "batchnorm_forward": "passed",
        "spatial_batchnorm_forward": "passed",
    }


def test_check_names_a_known_mistake_and_takes_its_points_only(tmp_path: Path) -> None:
    (tmp_path / "layers.py").write_text(BATCHNORM.replace("mean, var = running_mean, running_var", "mean, var = x.mean(0), x.var(0)"))
    status, found = checked(tmp_path / "layers.py")
    result = found["batchnorm_forward"]
    assert status == 1
    assert result["status"] == "failed"
    assert [diagnosis["id"] for diagnosis in result["diagnosis"]] == ["batch-statistics-at-test-time"]
    lost = {check["claim"] for check in result["checks"] if not check["passed"]}
    assert lost == {"uses the running statistics at test time", "adds eps inside the root at test time, too"}
    assert set(result["checks"][0]) == {"claim", "passed", "points", "max_points", "error", "tolerance", "message"}
    assert "batch-statistics-at-test-time" not in autograder("check", tmp_path / "layers.py").stdout
    assert "Looks like: Your test-time output equals" in autograder("check", tmp_path / "layers.py").stdout


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("raise NotImplementedError()", "not_started"),
        ("out, cache = None, None\n    return out, cache", "not_started"),
        ("pass", "not_started"),
        ("return x[0, 0, 0, 0, 0], None", "error"),
        ("while True: pass", "timeout"),
        ("import os; os._exit(0)", "error"),
        ("return x, None", "failed"),
    ],
)
def test_check_tells_unstarted_broken_hanging_and_wrong_apart(tmp_path: Path, body: str, status: str) -> None:
    (tmp_path / "layers.py").write_text(f"def batchnorm_forward(x, gamma, beta, bn_param):\n    {body}\n")
    code, found = checked(tmp_path / "layers.py")
    assert (code, found["batchnorm_forward"]["status"], found["batchnorm_forward"]["points"]) == (1, status, 0)


def test_check_says_why_a_function_is_missing_when_its_file_does_not_compile(tmp_path: Path) -> None:
    (tmp_path / "layers.py").write_text("def batchnorm_forward(x, gamma, beta, bn_param)\n    return x\n")
    code, found = checked(tmp_path / "layers.py")
    assert (code, found["batchnorm_forward"]["status"]) == (1, "error")
    assert "line 1" in found["batchnorm_forward"]["message"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("work.ipynb", b'{"cells": [', "damaged"),
        ("work.ipynb", b"", "is empty"),
        ("work.txt", b"text", "expected a notebook (.ipynb) or a Python file (.py)"),
        ("other.py", b"def something_else():\n    pass\n", "found no function of this course"),
        ("latin.py", b"\x80\x81\xff", "save it as UTF-8"),
    ],
)
def test_unusable_input_gets_one_clear_line_and_status_2(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    done = autograder("check", tmp_path / name)
    assert done.returncode == 2
    assert done.stdout == ""
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_a_file_that_is_not_there_is_named_with_status_2(tmp_path: Path) -> None:
    done = autograder("check", tmp_path / "nowhere.py")
    assert done.returncode == 2
    assert "nowhere.py" in done.stderr and "Traceback" not in done.stderr


def test_grading_an_unknown_assignment_or_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    for arguments in (("01-batch-normalization", "--course", tmp_path / "none"), ("99-nothing", "--course", tmp_path)):
        done = autograder("grade", *arguments)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr and done.stderr.strip()


@pytest.mark.skipif(sandbox_problem() is not None, reason="needs bubblewrap: apt-get install bubblewrap")
def test_the_doctor_finds_this_machine_fit() -> None:
    done = autograder("doctor")
    assert done.returncode == 0
    assert "bubblewrap works" in done.stdout


def test_build_check_finds_the_committed_notebooks_in_step() -> None:
    done = autograder("build", "--check")
    assert (done.returncode, done.stderr) == (0, "")
