"""The laboratory's own functions, written apart from the references and held against PyTorch and SciPy in their own tests,
get full points: reference and laboratory vouch for each other."""

from __future__ import annotations

from types import ModuleType

import pytest

from autograder.exercises import COURSE
from autograder.grading import grade
from autograder.students import NamespaceStudent
from nnlab import (
    augmentation,
    checking,
    ensembles,
    norms,
    optimizers,
    regularization,
    schedules,
    second_order,
    transfer,
)

MODULES: tuple[ModuleType, ...] = (
    checking, norms, optimizers, schedules, second_order, ensembles, transfer, augmentation, regularization
)  # fmt: skip
FUNCTIONS = {name: vars(module)[name] for module in MODULES for name in COURSE.exercises if name in vars(module)}
ONLY_IN_THE_NOTEBOOKS = {
    "batchnorm_backward_alt",
    "fold_batchnorm",
    "normalization_axes",
    "statistics_count",
    "rnn_layernorm_step",
    "predict",
}
"""Held against PyTorch in test_references.py; their experiments need no stand-in."""


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_the_laboratory_gets_full_points(name: str, seed: int) -> None:
    result = grade(name, NamespaceStudent(FUNCTIONS), seed)
    assert result.status == "passed", [(check.claim, check.evidence.message) for check in result.checks]


def test_every_exercise_has_a_second_author() -> None:
    assert set(COURSE.exercises) - set(FUNCTIONS) == ONLY_IN_THE_NOTEBOOKS
