"""Numerical derivatives, and the verdict on a claimed gradient."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from autograder.checks import judge_gradient
from autograder.compare import FLOAT32_TOLERANCE, TOLERANCE
from autograder.exercise import Evidence
from autograder.gradients import along, everywhere, slope

Array = np.ndarray


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# name: (f from (3, 4) to some shape, the gradient of sum(f(x) * df))
FUNCTIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]] = {
    "linear": (lambda x: 3 * x, lambda x, df: 3 * df),
    "tanh": (np.tanh, lambda x, df: df / np.cosh(x) ** 2),
    "product": (lambda x: x @ x.T, lambda x, df: (df + df.T) @ x),
    "row sums": (lambda x: (x**3).sum(axis=1), lambda x, df: 3 * x**2 * df[:, None]),
    "one number": (lambda x: np.exp(0.3 * x).sum(), lambda x, df: 0.3 * np.exp(0.3 * x) * df),
    "constant": (lambda x: np.ones(2), lambda x, df: np.zeros_like(x)),
}


def drawn(name: str, seed: int = 0) -> tuple[Callable[[Array], Array], Array, Array, Array]:
    f, gradient = FUNCTIONS[name]
    x = rng(seed).standard_normal((3, 4))
    df = rng(seed + 1).standard_normal(np.shape(f(x)))
    return f, x, df, gradient(x, df)


def judged(f: Callable[[Array], Array], seen: object, x: Array, df: Array, loose: bool = False) -> Evidence:
    return judge_gradient("dx", seen, f, x, df, rng(9), loose=loose)


@pytest.mark.parametrize("power", range(5))
def test_the_slope_is_exact_for_polynomials_up_to_the_fourth_power(power: int) -> None:
    for at in (-1.0, 0.0, 0.7):
        found = slope(lambda step, at=at: (at + step) ** power, h=0.1)  # type: ignore[misc]
        assert found == pytest.approx(power * at ** (power - 1) if power else 0.0, abs=1e-12)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_derivative_in_every_entry_is_that_of_calculus(name: str) -> None:
    f, x, df, gradient = drawn(name)
    np.testing.assert_allclose(everywhere(f, x, df), gradient, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_derivative_along_a_direction_is_the_gradients_part_along_it(name: str) -> None:
    f, x, df, gradient = drawn(name)
    v = rng(5).standard_normal(x.shape)
    assert along(f, x, df, v) == pytest.approx(float(np.sum(gradient * v)), rel=1e-9, abs=1e-10)
    assert along(f, x, df, -2 * v) == pytest.approx(-2 * along(f, x, df, v), rel=1e-8, abs=1e-10)


def test_differentiating_leaves_the_point_as_it_was_and_costs_four_calls_a_direction() -> None:
    calls = []

    def counting(x: Array) -> Array:
        calls.append(x)
        return x**2

    x = rng().standard_normal((2, 3))
    kept = x.copy()
    along(counting, x, np.ones((2, 3)), x)
    assert len(calls) == 4
    everywhere(counting, x, np.ones((2, 3)))
    assert len(calls) == 4 + 4 * x.size
    np.testing.assert_array_equal(x, kept)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("seed", range(5))
def test_a_right_gradient_is_accepted(name: str, seed: int) -> None:
    f, x, df, gradient = drawn(name, seed)
    found = judged(f, gradient, x, df)
    assert found.passed and found.heat is None and found.message == ""
    assert found.error is not None and found.error < 1e-8


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "constant"])
@pytest.mark.parametrize("seed", range(5))
def test_a_gradient_off_by_a_hundred_thousandth_of_its_size_is_rejected(name: str, seed: int) -> None:
    f, x, df, gradient = drawn(name, seed)
    noise = rng(seed + 7).standard_normal(x.shape)
    wrong = gradient + 1e-5 * np.linalg.norm(gradient) / np.linalg.norm(noise) * noise
    assert not judged(f, wrong, x, df).passed


@pytest.mark.parametrize("index", [(0, 0), (1, 2), (2, 3)])
def test_one_wrong_entry_is_found_and_shown(index: tuple[int, int]) -> None:
    f, x, df, gradient = drawn("tanh")
    wrong = gradient.copy()
    wrong[index] += 0.1
    found = judged(f, wrong, x, df)
    assert not found.passed and found.heat is not None and found.heat.shape == x.shape
    assert found.message.startswith(f"dx[{index[0]}, {index[1]}]: ") and "1 of 12 entries differ" in found.message
    assert np.argmax(found.heat) == np.ravel_multi_index(index, x.shape)
    assert np.sum(found.heat > TOLERANCE) == 1


@pytest.mark.parametrize(
    "wrong",
    [lambda g: -g, lambda g: 2 * g, lambda g: 0 * g, lambda g: g[::-1], lambda g: np.ones_like(g), lambda g: g > 0,
     lambda g: np.round(g).astype(int)],
    ids=["negated", "doubled", "zero", "reversed", "ones", "truth values", "rounded"],
)  # fmt: skip
def test_a_wrong_gradient_is_rejected(wrong: Callable[[Array], Array]) -> None:
    f, x, df, gradient = drawn("product")
    assert not judged(f, wrong(gradient), x, df).passed


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_entry_that_is_not_finite_is_named(bad: float) -> None:
    f, x, df, gradient = drawn("tanh")
    gradient[2, 1] = bad
    found = judged(f, gradient, x, df)
    assert not found.passed and found.message == f"dx[2, 1] is {bad}, wanted a finite number"


@pytest.mark.parametrize("huge", [1e308, -1e300])
def test_an_overflowing_gradient_is_wrong_and_no_alarm(huge: float) -> None:
    f, x, df, gradient = drawn("tanh")
    with np.errstate(all="ignore"):  # as grade() does
        assert not judged(f, np.full_like(gradient, huge), x, df).passed


@pytest.mark.parametrize("seen", [None, "dx", 3.0, np.zeros((4, 3)), np.zeros(12), np.zeros((3, 1)), [[1.0]], {}, 1j])
def test_what_is_no_gradient_of_this_shape_is_rejected_in_words(seen: object) -> None:
    f, x, df, _ = drawn("tanh")
    found = judged(f, seen, x, df)
    assert not found.passed and "(3, 4)" in found.message and found.error is None


def test_axes_of_length_one_pass_only_where_the_check_is_loose() -> None:
    f, x, df, gradient = drawn("tanh")
    assert not judged(f, gradient[None], x, df).passed
    found = judged(f, gradient[None], x, df, loose=True)
    assert found.passed and "(1, 3, 4)" in found.remarks[0]


def test_a_gradient_in_float32_is_judged_by_its_own_precision() -> None:
    f, x, df, gradient = drawn("tanh")
    found = judged(f, gradient.astype(np.float32), x, df)
    assert found.passed and found.tolerance == FLOAT32_TOLERANCE and "float32" in found.remarks[0]
    assert not judged(f, (1.01 * gradient).astype(np.float32), x, df).passed
