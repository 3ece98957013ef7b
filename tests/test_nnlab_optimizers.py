"""The laboratory's update rules, against PyTorch's and against steps worked out by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnlab import optimizers
from nnlab.optimizers import gradient_descent

RULES: dict[str, Callable[..., tuple[Any, dict[str, Any]]]] = {
    name: getattr(optimizers, name)
    for name in (
        "sgd_momentum", "nesterov_momentum", "adagrad", "adadelta", "rmsprop", "adam", "adamax", "nadam", "adamw",
    )
}  # fmt: skip

BETAS = {"beta1": 0.8, "beta2": 0.95}
TORCH: dict[str, tuple[dict[str, float], str, dict[str, Any]]] = {
    "sgd_momentum": ({"momentum": 0.8}, "SGD", {"momentum": 0.8}),
    "nesterov_momentum": ({"momentum": 0.8}, "SGD", {"momentum": 0.8, "nesterov": True}),
    "adagrad": ({"epsilon": 1e-3}, "Adagrad", {"eps": 1e-3}),
    "adadelta": ({"rho": 0.8, "epsilon": 1e-3}, "Adadelta", {"rho": 0.8, "eps": 1e-3}),
    "rmsprop": ({"decay_rate": 0.8, "epsilon": 1e-3}, "RMSprop", {"alpha": 0.8, "eps": 1e-3}),
    "adam": ({**BETAS, "epsilon": 1e-3}, "Adam", {"betas": (0.8, 0.95), "eps": 1e-3}),
    # PyTorch adds eps to the gradient before it takes the maximum: the two agree without it.
    "adamax": ({**BETAS, "epsilon": 0.0}, "Adamax", {"betas": (0.8, 0.95), "eps": 0.0}),
    # PyTorch's beta1 has a schedule, which is over at once with so fast a decay.
    "nadam": ({**BETAS, "epsilon": 1e-3}, "NAdam", {"betas": (0.8, 0.95), "eps": 1e-3, "momentum_decay": 1e9}),
    "adamw": (
        {**BETAS, "epsilon": 1e-3, "weight_decay": 0.3},
        "AdamW",
        {"betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.3},
    ),
}
"""Our settings, PyTorch's optimizer, PyTorch's settings."""


@pytest.mark.parametrize("name", RULES)
def test_ten_steps_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs, settings = TORCH[name]
    rng = np.random.default_rng(0)
    w = rng.standard_normal((4, 3))
    tensor = torch.tensor(w, requires_grad=True)
    optimizer = getattr(torch.optim, theirs)([tensor], lr=0.1, **settings)
    config: dict[str, Any] = {"learning_rate": 0.1, **ours}
    for _ in range(10):
        dw = rng.standard_normal(w.shape)
        w, config = RULES[name](w, dw, config)
        tensor.grad = torch.tensor(dw)
        optimizer.step()
        close = 1e-6 if name == "nadam" else 1e-12  # PyTorch keeps NAdam's product of betas in float32
        np.testing.assert_allclose(w, tensor.detach().numpy(), rtol=close, atol=close)


HALF_SETTINGS = {"learning_rate": 0.1, "beta1": 0.5, "beta2": 0.75, "epsilon": 1.0}
BY_HAND: dict[str, tuple[dict[str, float], list[float]]] = {
    # w = 1, then the gradients 2 and 4.
    "sgd_momentum": ({"learning_rate": 0.1, "momentum": 0.5}, [1 - 0.2, 0.8 - 0.1 - 0.4]),
    "nesterov_momentum": ({"learning_rate": 0.1, "momentum": 0.5}, [1 - 0.1 - 0.2, 0.7 - 0.25 - 0.4]),
    "adagrad": ({"learning_rate": 0.1, "epsilon": 1.0}, [1 - 0.2 / 3, 1 - 0.2 / 3 - 0.4 / (20**0.5 + 1)]),
    "adadelta": (
        {"learning_rate": 1.0, "rho": 0.5, "epsilon": 1.0},  # c = 2, then 9; delta = 2/3
        [1 - 2 / 3**0.5, 1 - 2 / 3**0.5 - (5 / 3) ** 0.5 / 10**0.5 * 4],
    ),
    "rmsprop": (
        {"learning_rate": 0.1, "decay_rate": 0.75, "epsilon": 1.0},  # c = 1, then 4.75
        [1 - 0.2 / 2, 0.9 - 0.4 / (4.75**0.5 + 1)],
    ),
    # m = 1, m̂ = 2, then m = 2.5, m̂ = 10/3; v = 1, v̂ = 4, then v = 4.75, v̂ = 4.75/(7/16) = 76/7
    "adam": (HALF_SETTINGS, [1 - 0.2 / 3, 1 - 0.2 / 3 - 0.1 * (10 / 3) / ((76 / 7) ** 0.5 + 1)]),
    "adamax": (HALF_SETTINGS, [1 - 0.2 / 3, 1 - 0.2 / 3 - 0.1 * (10 / 3) / 5]),
    # 0.5·1/0.75 + 0.5·2/0.5 = 8/3, then 0.5·2.5/0.875 + 0.5·4/0.75 = 10/7 + 8/3
    "nadam": (HALF_SETTINGS, [1 - 0.8 / 9, 1 - 0.8 / 9 - 0.1 * (10 / 7 + 8 / 3) / ((76 / 7) ** 0.5 + 1)]),
    "adamw": (
        {**HALF_SETTINGS, "weight_decay": 0.5},
        [0.95 - 0.2 / 3, (0.95 - 0.2 / 3) * 0.95 - 0.1 * (10 / 3) / ((76 / 7) ** 0.5 + 1)],
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_two_steps_are_those_worked_out_by_hand(name: str) -> None:
    settings, wanted = BY_HAND[name]
    w, config, found = np.array([1.0]), dict(settings), []
    for gradient in (2.0, 4.0):
        w, config = RULES[name](w, np.array([gradient]), config)
        found.append(w[0])
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "first_step"),
    {
        "sgd_momentum": 0.05,
        "nesterov_momentum": 0.05 * 1.9,
        "adagrad": 0.01,
        "adadelta": 5 * 1e-3 / (0.05 * 25 + 1e-6) ** 0.5,
        "rmsprop": 0.1,
        "adam": 1e-3,
        "adamax": 1e-3,
        "nadam": 1e-3 * (0.9 * 0.5 / 0.19 + 0.1 * 5 / 0.1) / 5,
        "adamw": 1e-3 + 1e-5,
    }.items(),
)
def test_without_config_the_first_step_has_the_size_of_the_defaults(name: str, first_step: float) -> None:
    w, dw = np.ones((2, 3)), np.full((2, 3), 5.0)
    next_w, config = RULES[name](w, dw)
    np.testing.assert_allclose(w - next_w, first_step, rtol=1e-6)
    assert config["learning_rate"] in (1e-2, 1e-3, 1.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", RULES)
def test_a_rule_keeps_the_dtype_and_leaves_its_arrays_alone(name: str, dtype: type) -> None:
    w, dw = np.full((3, 2), 2.0, dtype), np.full((3, 2), 0.5, dtype)
    config: dict[str, Any] = {}
    for _ in range(3):
        before = {key: np.copy(value) for key, value in config.items()}
        arrays = dict(config)
        next_w, config = RULES[name](w, dw, config)
        assert next_w.dtype == dtype
        assert all(value.dtype == dtype for value in config.values() if isinstance(value, np.ndarray))
        for key, value in before.items():  # new arrays take the place of the old ones, which stay as they were
            np.testing.assert_array_equal(arrays[key], value)
    np.testing.assert_array_equal(w, np.full((3, 2), 2.0))
    np.testing.assert_array_equal(dw, np.full((3, 2), 0.5))


@pytest.mark.parametrize("name", RULES)
def test_a_gradient_that_is_always_0_moves_nothing_and_warns_of_nothing(name: str) -> None:
    w, config = np.ones(3), {"weight_decay": 0.0}
    for _ in range(2):
        w, config = RULES[name](w, np.zeros(3), config)
    np.testing.assert_array_equal(w, np.ones(3))


def test_gradient_descent_keeps_its_path() -> None:
    path = gradient_descent(lambda x: np.array([2.0, 1.0]) * x, np.array([1.0, -8.0]), 0.5, 3)
    np.testing.assert_allclose(path, [[1, -8], [0, -4], [0, -2], [0, -1]])
    np.testing.assert_array_equal(gradient_descent(lambda x: x, np.array([1.0, 2.0]), 0.5, 0), [[1, 2]])


def test_a_gradient_function_that_changes_its_argument_cannot_spoil_the_path() -> None:
    def careless(x: np.ndarray) -> np.ndarray:
        x *= 2
        return x

    np.testing.assert_allclose(gradient_descent(careless, np.array([1.0]), 0.25, 2)[:, 0], [1, 0.5, 0.25])
