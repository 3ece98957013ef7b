"""The course's references, and the laboratory's norms, against PyTorch in float64: an oracle that shares nothing with them.

Where PyTorch is not installed, the values that it gave are read from `data/references.json`; that part always runs.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autograder.exercises import COURSE
from nnlab import norms

_spec = importlib.util.spec_from_file_location("make_references", Path(__file__).parent / "data" / "make_references.py")
assert _spec is not None and _spec.loader is not None
stored = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(stored)

STORED = json.loads(stored.PATH.read_text(encoding="utf-8"))
needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None,
    reason="PyTorch is not installed: pip install '.[torch]' to compare with it directly. The stored values are compared.",
)

COURSE_FUNCTIONS = {name: exercise.reference for name, exercise in COURSE.exercises.items()}
LABORATORY = {name: getattr(norms, name) for name in COURSE_FUNCTIONS if hasattr(norms, name)}
IMPLEMENTATIONS = {"course": COURSE_FUNCTIONS, "nnlab": LABORATORY}
NORMS = ("batchnorm", "spatial_batchnorm", "layernorm", "instancenorm", "spatial_groupnorm")
CASES = [(kind, shape) for kind, (_, shapes) in stored.DRAW.items() for shape in shapes]
SEEDS = range(3)

Functions = dict[str, Callable[..., Any]]


def ours(kind: str, functions: Functions, inputs: dict[str, np.ndarray], backward: str = "_backward") -> dict[str, Any]:
    """What an implementation gives, under the oracle's names. The inputs must survive."""
    given = {name: value.copy() for name, value in inputs.items()}
    found = _played(kind, functions, given, backward)
    for name, value in inputs.items():
        np.testing.assert_array_equal(given[name], value, err_msg=f"{kind} changed {name}")
    return found


def _played(kind: str, functions: Functions, i: dict[str, np.ndarray], backward: str) -> dict[str, Any]:
    if kind == "fold_batchnorm":
        layer = (i[name] for name in ("W", "b", "gamma", "beta", "running_mean", "running_var"))
        W2, b2 = functions[kind](*layer, stored.EPS)
        return {"W2": W2, "b2": b2, "out": i["x"] @ W2 + b2}
    if kind == "rnn_layernorm_step":
        return {"h_t": functions[kind](*i.values(), stored.EPS)}
    if kind == "gradients":

        def f(x: np.ndarray) -> np.ndarray:
            return np.asarray(stored.smooth(x, i["A"], np.exp))

        return {
            "grad": functions["numerical_gradient"](f, i["x"], i["df"]),
            "along": functions["directional_gradient"](f, i["x"], i["df"], i["v"]),
        }
    forward, groups = functions[f"{kind}_forward"], (stored.GROUPS,) if kind == "spatial_groupnorm" else ()
    param: dict[str, Any] = {"eps": stored.EPS}
    found = {}
    if "batch" in kind:
        param |= {"momentum": stored.MOMENTUM, "mode": "test"}
        param |= {name: i[name].copy() for name in ("running_mean", "running_var")}
        found["test_out"] = forward(i["x"], i["gamma"], i["beta"], dict(param))[0]
        param["mode"] = "train"
    out, cache = forward(i["x"], i["gamma"], i["beta"], *groups, param)
    if "batch" in kind:
        found |= {name: param[name] for name in ("running_mean", "running_var")}
    dx, dgamma, dbeta = functions[kind + backward](i["dout"], cache)
    return found | {"out": out, "dx": dx, "dgamma": dgamma, "dbeta": dbeta}


def assert_same(found: dict[str, Any], wanted: dict[str, Any], kind: str) -> None:
    rtol = 1e-6 if kind == "gradients" else 1e-9  # central differences of step 1e-5 are good to about 1e-9 of the scale
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        value = np.asarray(value)
        assert np.shape(found[name]) == value.shape, name
        scale = float(np.max(np.abs(value), initial=0.0))
        np.testing.assert_allclose(found[name], value, rtol=rtol, atol=rtol * max(scale, 1e-3), err_msg=name)


def implemented(kind: str) -> list[str]:
    return [
        which for which, functions in IMPLEMENTATIONS.items() if which == "course" or f"{kind}_forward" in functions
    ]


RUNS = [pytest.param(kind, shape, which, id=f"{kind} {shape} {which}")
        for kind, shape in CASES for which in implemented(kind)]  # fmt: skip


# --- always ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "shape", "which"), RUNS)
def test_a_reference_gives_the_stored_values(kind: str, shape: tuple[int, ...], which: str) -> None:
    draw, _ = stored.DRAW[kind]
    assert_same(ours(kind, IMPLEMENTATIONS[which], draw(kind, shape, 0)), STORED[stored.key(kind, shape, 0)], kind)


@pytest.mark.parametrize("shape", stored.FLAT_SHAPES, ids=str)
def test_the_backward_on_paper_gives_the_stored_values(shape: tuple[int, ...]) -> None:
    found = ours("batchnorm", COURSE_FUNCTIONS, stored.norm_inputs("batchnorm", shape, 0), "_backward_alt")
    assert_same(found, STORED[stored.key("batchnorm", shape, 0)], "batchnorm")


def test_the_stored_values_cover_every_case_and_no_other() -> None:
    assert set(STORED) == {stored.key(kind, shape, 0) for kind, shape in CASES}
    assert stored.PATH.stat().st_size < 100_000


def test_every_reference_is_held_against_something() -> None:
    covered = {f"{kind}_{way}" for kind in NORMS for way in ("forward", "backward")}
    covered |= {"batchnorm_backward_alt", "fold_batchnorm", "rnn_layernorm_step", "numerical_gradient"}
    covered |= {"directional_gradient", "relative_error", "normalization_axes", "statistics_count"}
    normalization = [name for assignment in list(COURSE.assignments)[:3] for name in COURSE.assignments[assignment]]
    assert covered >= set(normalization), "a reference without an oracle: add a case to data/make_references.py"


@pytest.mark.parametrize(
    ("a", "b", "wanted"),
    [
        (3.0, 1.0, 0.5),
        ([1.0, -2.0], [1.0, 2.0], 1.0),
        ([[0.0, 4.0]], [[0.0, 6.0]], 0.2),
        (0.0, 0.0, 0.0),
        (0.0, 2.0, 1.0),
        ([1e-3, 1e3], [3e-3, 1e3], 0.5),
    ],
)
def test_relative_error_is_what_a_hand_computes(a: Any, b: Any, wanted: float) -> None:
    assert COURSE_FUNCTIONS["relative_error"](a, b) == pytest.approx(wanted, abs=1e-15)


@pytest.mark.parametrize("G", [1, 2, 3, 6])
def test_group_norm_with_one_group_is_layer_norm_and_with_a_group_a_channel_instance_norm(G: int) -> None:
    i = stored.norm_inputs("identity", (2, 6, 3, 5), 0)
    out, _ = COURSE_FUNCTIONS["spatial_groupnorm_forward"](i["x"], i["gamma"], i["beta"], G, {})
    if G == 1:
        ones = np.ones(6 * 3 * 5)
        plain, _ = COURSE_FUNCTIONS["layernorm_forward"](i["x"].reshape(2, -1), ones, 0 * ones, {})
        wanted = plain.reshape(i["x"].shape) * i["gamma"][:, None, None] + i["beta"][:, None, None]
    else:
        wanted, _ = COURSE_FUNCTIONS["instancenorm_forward"](i["x"], i["gamma"], i["beta"], {})
    assert np.allclose(out, wanted, rtol=1e-12) == (G in (1, 6))


@pytest.mark.parametrize("which", IMPLEMENTATIONS)
def test_group_norm_gives_parameters_gradients_in_their_own_shape(which: str) -> None:
    functions, i = IMPLEMENTATIONS[which], stored.norm_inputs("shapes", (2, 6, 3, 5), 0)
    for shape in ((6,), (1, 6, 1, 1)):
        gamma, beta = i["gamma"].reshape(shape), i["beta"].reshape(shape)
        _, cache = functions["spatial_groupnorm_forward"](i["x"], gamma, beta, 3, {"eps": stored.EPS})
        _, dgamma, dbeta = functions["spatial_groupnorm_backward"](i["dout"], cache)
        assert np.shape(dgamma) == np.shape(dbeta) == shape


@pytest.mark.parametrize("which", IMPLEMENTATIONS)
def test_running_statistics_start_at_zeros_with_momentum_and_eps_at_their_defaults(which: str) -> None:
    forward, i = IMPLEMENTATIONS[which]["batchnorm_forward"], stored.norm_inputs("defaults", (5, 4), 0)
    param: dict[str, Any] = {"mode": "train"}
    out, _ = forward(i["x"], i["gamma"], i["beta"], param)
    mean, var = i["x"].mean(axis=0), ((i["x"] - i["x"].mean(axis=0)) ** 2).sum(axis=0) / 5
    np.testing.assert_allclose(param["running_mean"], 0.1 * mean, rtol=1e-12)
    np.testing.assert_allclose(param["running_var"], 0.1 * var, rtol=1e-12)
    np.testing.assert_allclose(out, i["gamma"] * (i["x"] - mean) / np.sqrt(var + 1e-5) + i["beta"], rtol=1e-11)


# --- with PyTorch ---------------------------------------------------------------------------------------------------


@needs_torch
@pytest.mark.parametrize(("kind", "shape", "which"), RUNS)
def test_a_reference_agrees_with_pytorch(kind: str, shape: tuple[int, ...], which: str) -> None:
    draw, _ = stored.DRAW[kind]
    for seed in SEEDS:
        inputs = draw(kind, shape, seed)
        assert_same(ours(kind, IMPLEMENTATIONS[which], inputs), stored.oracle(kind, inputs), kind)


@needs_torch
@pytest.mark.parametrize("shape", stored.FLAT_SHAPES, ids=str)
def test_the_backward_on_paper_agrees_with_pytorch(shape: tuple[int, ...]) -> None:
    for seed in SEEDS:
        inputs = stored.norm_inputs("batchnorm", shape, seed)
        found = ours("batchnorm", COURSE_FUNCTIONS, inputs, "_backward_alt")
        assert_same(found, stored.oracle("batchnorm", inputs), "batchnorm")


@needs_torch
def test_the_stored_values_are_what_the_script_makes() -> None:
    made = stored.make()
    assert made.keys() == STORED.keys()
    for case, values in made.items():
        assert values.keys() == STORED[case].keys()
        for name, value in values.items():  # the last of 12 digits may differ from one processor to another
            np.testing.assert_allclose(value, STORED[case][name], rtol=1e-10, atol=1e-11, err_msg=f"{case}: {name}")


@needs_torch
@pytest.mark.parametrize("kind", ["batch", "layer", "instance", "group"])
@pytest.mark.parametrize("shape", [(4, 6, 3, 5), (2, 12, 1, 3)], ids=str)
def test_axes_and_counts_are_those_that_pytorchs_gradients_reach(kind: str, shape: tuple[int, ...]) -> None:
    import torch
    from torch.nn import functional

    layers: dict[str, Callable[[Any], Any]] = {
        "batch": lambda x: functional.batch_norm(x, None, None, training=True),
        "layer": lambda x: functional.layer_norm(x, x.shape[1:]),
        "instance": functional.instance_norm,
        "group": lambda x: functional.group_norm(x, 3),
    }
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (reached,) = torch.autograd.grad(layers[kind](x)[0, 0, 0, 0], x)  # one output depends on all that share its mean
    places = torch.nonzero(reached)
    count = COURSE_FUNCTIONS["statistics_count"](kind, shape, 3 if kind == "group" else None)
    assert count == len(places)
    if kind != "group":
        axes = COURSE_FUNCTIONS["normalization_axes"](kind)
        assert {axis for axis in range(4) if len(places[:, axis].unique()) > 1} == {a for a in axes if shape[a] > 1}


@needs_torch
def test_pytorchs_own_gradient_check_accepts_the_course_backward() -> None:
    """The layer as a PyTorch function whose forward and backward are the course's."""
    import torch

    forward, backward = COURSE_FUNCTIONS["batchnorm_forward"], COURSE_FUNCTIONS["batchnorm_backward_alt"]

    class Ours(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, gamma: Any, beta: Any) -> Any:
            arrays = (value.detach().numpy() for value in (x, gamma, beta))
            out, ctx.kept = forward(*arrays, {"mode": "train", "eps": stored.EPS})
            return torch.from_numpy(out)

        @staticmethod
        def backward(ctx: Any, dout: Any) -> Any:
            return tuple(torch.from_numpy(np.array(part)) for part in backward(dout.numpy(), ctx.kept))

    i = stored.norm_inputs("gradcheck", (6, 3), 0)
    given = tuple(torch.tensor(i[name], requires_grad=True) for name in ("x", "gamma", "beta"))
    assert torch.autograd.gradcheck(Ours.apply, given)


@needs_torch
def test_the_gradient_checks_of_the_course_accept_pytorchs_gradients() -> None:
    import torch

    functions = COURSE_FUNCTIONS
    for seed in SEEDS:
        i = stored.point_inputs("own check", (3, 4), seed)
        A, df = torch.tensor(i["A"]), torch.tensor(i["df"])
        x = torch.tensor(i["x"], requires_grad=True)
        (grad,) = torch.autograd.grad((stored.smooth(x, A, torch.exp) * df).sum(), x)

        def f(value: np.ndarray, A: Any = i["A"]) -> Any:
            return stored.smooth(value, A, np.exp)

        numerical = functions["numerical_gradient"](f, i["x"], i["df"])
        assert functions["relative_error"](numerical, grad.numpy()) < 1e-6
        assert functions["relative_error"](numerical, 1.01 * grad.numpy()) > 1e-3
