"""What is graded on hidden images: where they come from, that their labels stay here, and what a share of right ones earns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answers.capstone import in_single_precision

from autograder.exercise import Answer, Handle
from autograder.exercises import capstone
from autograder.grading import grade
from autograder.notebooks.submission import MAX_DATA, data_files
from autograder.sandbox import Cell, Limits
from autograder.students import NamespaceStudent
from autograder.submissions import grade_cells

ACCURACY = f"is right on at least {capstone.TARGET:.0%} of the hidden images"

PREDICT = """
import numpy as np

def predict(images):
    x = images.reshape(len(images), -1)
    with np.load("model.npz") as model:
        for n in range(3):
            x = x @ model[f"W{n}"].astype(float) + model[f"b{n}"]
            x = np.maximum(x, 0) if n < 2 else x
    return x.argmax(axis=1)
"""


class Watched:
    """A student whose calls are written down."""

    def __init__(self) -> None:
        self.student, self.given = NamespaceStudent({"predict": in_single_precision}), []  # type: ignore[var-annotated]

    def defines(self, name: str) -> bool:
        return self.student.defines(name)

    def call(self, function: str | Handle, arguments: Sequence[Any], keep: Sequence[int] = ()) -> Answer:
        self.given.append(arguments)
        return self.student.call(function, arguments, keep)


def points_for(predict: Any) -> float:
    result = grade("predict", NamespaceStudent({"predict": predict}))
    (found,) = [check.points for check in result.checks if check.claim == ACCURACY]
    return found


def test_labels_never_reach_the_student() -> None:
    watched = Watched()
    assert grade("predict", watched).status == "passed"
    assert len(watched.given) > 10
    for arguments in watched.given:
        (images,) = arguments
        assert isinstance(images, np.ndarray) and images.shape[1:] == (1, 16, 16)


def test_the_order_of_the_hidden_images_differs_from_seed_to_seed() -> None:
    images = []
    for seed in (0, 1):
        watched = Watched()
        grade("predict", watched, seed)
        images.append(next(a[0] for a in watched.given if len(a[0]) == 1000))
    assert not np.array_equal(*images)
    assert np.array_equal(np.sort(images[0], axis=None), np.sort(images[1], axis=None))


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.8, 0.9, 1.0])
def test_points_grow_evenly_from_the_baseline_to_the_target(share: float) -> None:
    images, labels = capstone.hidden_set()
    known = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    wrong = {image.tobytes() for image in images[: round((1 - share) * len(images))]}

    def predict(given: np.ndarray) -> list[int]:
        return [int(known[i.tobytes()] + (i.tobytes() in wrong)) % 20 for i in given]

    exactly = 10 * (share - capstone.BASELINE) / (capstone.TARGET - capstone.BASELINE)
    assert points_for(predict) == pytest.approx(min(max(exactly, 0), 10), abs=0.051)


def write_hidden(path: Path, **changed: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    arrays = {"images": rng.integers(0, 16, (200, 1, 16, 16)), "labels": rng.integers(0, 20, 200)} | changed
    np.savez(path, allow_pickle=False, **arrays)


def test_an_instructors_own_hidden_set_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUTOGRADER_HIDDEN_SET", raising=False)
    monkeypatch.setattr(capstone, "DATA", tmp_path)
    assert capstone.hidden_file() == tmp_path / "capstone-hidden.npz"
    (tmp_path / "hidden").mkdir()
    write_hidden(tmp_path / "hidden" / "10-capstone.npz")
    assert capstone.hidden_file() == tmp_path / "hidden" / "10-capstone.npz"
    assert len(capstone.hidden_set()[1]) == 200
    monkeypatch.setenv("AUTOGRADER_HIDDEN_SET", str(tmp_path / "elsewhere.npz"))
    assert capstone.hidden_file() == tmp_path / "elsewhere.npz"


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"labels": np.full(200, 20)}, "expected"), ({"images": np.zeros((200, 28, 28))}, r"holds images \(200, 28, 28\)"),
     ({"labels": np.zeros(199)}, "expected"), (None, "cannot be read")],
)  # fmt: skip
def test_an_unusable_hidden_set_is_one_line_that_says_what_to_do(
    changed: Any, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "hidden.npz"
    monkeypatch.setenv("AUTOGRADER_HIDDEN_SET", str(path))
    if changed is not None:
        write_hidden(path, **changed)
    with pytest.raises(capstone.HiddenSetError, match=said) as caught:
        capstone.hidden_set()
    assert "make_capstone.py" in str(caught.value) and "\n" not in str(caught.value)


# --- the weights that are handed in -----------------------------------------------------------------------------------


def handed_in(folder: Path) -> Path:
    (folder / "model.npz").write_bytes((capstone.DATA / "capstone-reference.npz").read_bytes())
    return folder


def test_weights_beside_a_notebook_are_there_in_the_sandbox_after_a_restart_too(tmp_path: Path) -> None:
    crash = "import os\ndef adam(w, dw, config=None): os._exit(3)"
    cells = [*data_files(handed_in(tmp_path)), Cell("cell 1", PREDICT), Cell("cell 2", crash)]
    graded = grade_cells(cells, ["adam", "predict"], limits=Limits(call_seconds=5))
    assert [result.status for result in graded.results] == ["error", "passed"]


def test_without_its_weights_a_submission_is_told_what_is_missing() -> None:
    (result,) = grade_cells([Cell("cell 1", PREDICT)], ["predict"]).results
    assert result.status == "error" and "model.npz" in result.message


def test_weights_that_are_too_large_or_no_files_are_left_out_with_a_reason(tmp_path: Path) -> None:
    handed_in(tmp_path)
    (tmp_path / "zz-huge.npy").write_bytes(bytes(MAX_DATA))
    (tmp_path / "aa link.npz").symlink_to("/etc/passwd")
    (tmp_path / "folder.npz").mkdir()
    found = {cell.name: cell for cell in data_files(tmp_path)}
    assert not found["model.npz"].problem and len(found["model.npz"].data) > 100_000
    assert "8 MB" in found["zz-huge.npy"].problem
    assert "expected a name of letters" in found["aa link.npz"].problem
    assert "not a regular file" in found["folder.npz"].problem
    graded = grade_cells([*found.values(), Cell("cell 1", PREDICT)], ["predict"])
    assert graded.results[0].status == "passed"
    assert {o.name: o.skipped for o in graded.outcomes} == {
        "aa link.npz": True, "folder.npz": True, "model.npz": False, "zz-huge.npy": True, "cell 1": False,
    }  # fmt: skip
