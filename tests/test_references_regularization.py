"""The references of assignment 07 against PyTorch, SciPy and probabilities: oracles that share nothing with them.

A random layer is held against PyTorch with the mask that it drew, which its output shows.
"""

from __future__ import annotations

import importlib.util
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from autograder.exercises import COURSE, regularization
from autograder.grading import grade
from autograder.students import NamespaceStudent
from nnlab import regularization as laboratory

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")

COURSE_FUNCTIONS = {exercise.name: exercise.reference for exercise in regularization.EXERCISES}
IMPLEMENTATIONS = {"course": COURSE_FUNCTIONS, "nnlab": {name: getattr(laboratory, name) for name in COURSE_FUNCTIONS}}
both = pytest.mark.parametrize("which", IMPLEMENTATIONS)
SEEDS = range(3)


def by_torch(f: Any, dout: np.ndarray, *arrays: np.ndarray) -> list[np.ndarray]:
    """The value of f, then its gradients by the arrays."""
    import torch

    given = [torch.tensor(array, requires_grad=True) for array in arrays]
    out = f(*given)
    out.backward(torch.tensor(dout))
    return [out.detach().numpy(), *(value.grad.numpy() for value in given)]


def assert_all_close(found: Any, wanted: Any) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert np.shape(one) == np.shape(other)
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


def test_every_exercise_of_the_assignment_has_two_implementations() -> None:
    assert list(COURSE.assignments["07-regularization-and-dropout"]) == list(COURSE_FUNCTIONS)


# --- with PyTorch ---------------------------------------------------------------------------------------------------


@needs_torch
@both
@pytest.mark.parametrize("seed", SEEDS)
def test_penalties_are_what_pytorch_differentiates(which: str, seed: int) -> None:
    import torch

    w, one = np.random.default_rng(seed).standard_normal((3, 4, 2)), np.ones(())
    w[1] = 0
    f = IMPLEMENTATIONS[which]
    assert_all_close(f["l2_penalty"](w, 0.3), by_torch(lambda w: 0.3 * (w * w).sum() / 2, one, w))
    assert_all_close(f["l1_penalty"](w, 0.3), by_torch(lambda w: 0.3 * torch.linalg.vector_norm(w, 1), one, w))
    elastic = by_torch(lambda w: 0.3 * w.abs().sum() + 0.7 * (w**2).sum() / 2, one, w)
    assert_all_close(f["elastic_net_penalty"](w, 0.3, 0.7), elastic)


@needs_torch
@both
@pytest.mark.parametrize("shape", [(50,), (6, 10), (3, 4, 5, 6)], ids=str)
def test_dropout_is_pytorchs_with_the_same_mask(which: str, shape: tuple[int, ...]) -> None:
    """PyTorch's p is the probability to drop; its own mask is found by dropping from ones."""
    import torch

    rng = np.random.default_rng(0)
    x, dout, p = rng.standard_normal(shape), rng.standard_normal(shape), 0.3
    f = IMPLEMENTATIONS[which]
    ones, _ = f["dropout_forward"](np.ones(shape), {"p": p, "mode": "train", "seed": 5})
    torch.manual_seed(0)
    theirs = torch.nn.functional.dropout(torch.ones(10_000, dtype=torch.float64), 1 - p).unique().numpy()
    np.testing.assert_allclose(np.unique(ones), theirs)  # 0 and 1/p, in both
    out, cache = f["dropout_forward"](x, {"p": p, "mode": "train", "seed": 5})
    assert_all_close((out, f["dropout_backward"](dout, cache)), by_torch(lambda x: x * torch.tensor(ones), dout, x))
    out, cache = f["dropout_forward"](x, {"p": p, "mode": "test"})
    passed = by_torch(lambda x: torch.nn.functional.dropout(x, 1 - p, training=False), dout, x)
    assert_all_close((out, f["dropout_backward"](dout, cache)), passed)


@needs_torch
@both
@pytest.mark.parametrize("mode", ["train", "test"])
def test_dropconnect_is_pytorchs_linear_layer_with_the_weights_that_were_used(which: str, mode: str) -> None:
    import torch

    rng = np.random.default_rng(1)
    x, W, b, dout = (rng.standard_normal(shape) for shape in ((6, 5), (5, 4), (4,), (6, 4)))
    forward, backward = (IMPLEMENTATIONS[which][f"dropconnect_{way}"] for way in ("forward", "backward"))
    used = forward(np.eye(5), W, 0 * b, 0.6, mode, np.random.default_rng(2))[0]
    factor = torch.tensor(used / W)
    out, cache = forward(x, W, b, 0.6, mode, np.random.default_rng(2))
    linear = by_torch(lambda x, W, b: torch.nn.functional.linear(x, (W * factor).T, b), dout, x, W, b)
    assert_all_close((out, *backward(dout, cache)), linear)


@needs_torch
@both
@pytest.mark.parametrize("overlapping", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_fractional_pooling_is_the_maximum_that_pytorch_differentiates(which: str, overlapping: bool, seed: int) -> None:
    import torch

    rng = np.random.default_rng(seed)
    x, dout = rng.standard_normal((2, 3, 9, 7)), rng.standard_normal((2, 3, 6, 5))
    f = IMPLEMENTATIONS[which]
    rows, cols = f["fractional_pool_regions"](9, 6, rng), f["fractional_pool_regions"](7, 5, rng)

    def pooled(x: Any) -> Any:
        more = 1 if overlapping else 0
        bands = [x[:, :, rows[i] : rows[i + 1] + more] for i in range(6)]
        rows_out = [
            torch.stack([band[:, :, :, cols[j] : cols[j + 1] + more].amax(dim=(2, 3)) for j in range(5)], -1)
            for band in bands
        ]
        return torch.stack(rows_out, 2)

    out, cache = f["fractional_max_pool_forward"](x, rows, cols, overlapping)
    assert_all_close((out, f["fractional_max_pool_backward"](dout, cache)), by_torch(pooled, dout, x))


# --- with SciPy and probabilities -----------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_number_of_kept_entries_is_binomial(which: str, p: float) -> None:
    f = IMPLEMENTATIONS[which]
    x = np.ones((50, 40))
    rng = np.random.default_rng(3)
    for out in (
        f["dropout_forward"](x, {"p": p, "mode": "train", "seed": 3})[0],
        f["vanilla_dropout_forward"](x, p, "train", rng)[0],
        f["dropconnect_forward"](np.eye(50), x, np.zeros(40), p, "train", rng)[0],
    ):
        assert stats.binomtest(int((out != 0).sum()), 2_000, p).pvalue > 1e-6
    counts = [
        int((f["vanilla_dropout_forward"](np.ones(12), p, "train", rng)[0] != 0).sum()) for _ in range(2_000)
    ]
    cells = np.bincount(counts, minlength=13)
    expected = 2_000 * stats.binom.pmf(np.arange(13), 12, p)
    likely = expected > 5
    grouped = [np.append(part[likely], part[~likely].sum()) for part in (cells, expected)]
    assert stats.chisquare(*grouped).pvalue > 1e-6


@both
def test_the_noise_is_normal(which: str) -> None:
    out, _ = IMPLEMENTATIONS[which]["gaussian_noise_forward"](np.full(5_000, 3.0), 0.4, "train", np.random.default_rng(0))
    assert stats.kstest(out, stats.norm(3.0, 0.4).cdf).pvalue > 1e-6


@both
def test_a_branch_survives_at_its_rate(which: str) -> None:
    rng, forward = np.random.default_rng(0), IMPLEMENTATIONS[which]["stochastic_depth_forward"]
    survived = sum(float(forward(np.zeros(1), np.ones(1), 0.35, "train", rng)[0][0]) for _ in range(3_000))
    assert stats.binomtest(int(survived), 3_000, 0.35).pvalue > 1e-6


@both
@pytest.mark.parametrize(("size", "out"), [(6, 4), (7, 5), (8, 5)])
def test_all_orders_of_regions_come_alike(which: str, size: int, out: int) -> None:
    rng, regions = np.random.default_rng(0), IMPLEMENTATIONS[which]["fractional_pool_regions"]
    orders: dict[bytes, int] = {}
    for _ in range(3_000):
        steps = np.diff(regions(size, out, rng)).astype(np.int64)
        assert steps.sum() == size and set(steps.tolist()) <= {1, 2}
        orders[steps.tobytes()] = orders.get(steps.tobytes(), 0) + 1
    assert len(orders) == math.comb(out, size - out)
    assert stats.chisquare(list(orders.values())).pvalue > 1e-6


@both
def test_noise_is_averaged_out(which: str) -> None:
    """The mean of many samples of a linear layer with dropout is the layer at test time: within 6 standard errors."""
    f, rng = IMPLEMENTATIONS[which], np.random.default_rng(0)
    x, W, samples = rng.standard_normal((3, 8)), rng.standard_normal((8, 2)), 4_000

    def forward(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.asarray(f["dropconnect_forward"](x, W, np.zeros(2), 0.5, "train", rng)[0])

    found = f["predict_marginalized"](forward, x, samples, rng)
    spread = np.sqrt((x**2) @ (W**2) / samples)  # each product has variance x² W² (1 - p) / p
    assert np.all(np.abs(found - x @ W) < 6 * spread)


# --- unfinished files -----------------------------------------------------------------------------------------------


@both
def test_a_starter_dropout_is_not_started(which: str) -> None:
    def dropout_forward(x: Any, dropout_param: Any) -> Any:
        out, mask = None, None
        return out.astype(x.dtype, copy=False), (dropout_param, mask)  # type: ignore[attr-defined]

    def dropout_backward(dout: Any, cache: Any) -> Any:
        param, _ = cache
        return dout if param["mode"] == "test" else None

    untouched = {"dropout_forward": dropout_forward, "dropout_backward": dropout_backward}
    handing_through = {**untouched, "dropout_forward": lambda x, param: (x, (param, None))}
    half_written = {
        "dropout_forward": IMPLEMENTATIONS[which]["dropout_forward"],
        "dropout_backward": lambda dout, cache: None,
    }
    for functions in (untouched, handing_through):
        for name in functions:
            assert grade(name, NamespaceStudent(functions)).status == "not_started"
    assert grade("dropout_backward", NamespaceStudent(half_written)).status == "not_started"
