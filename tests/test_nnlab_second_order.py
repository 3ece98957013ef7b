"""The laboratory's second-order methods, against SciPy, against each other, and against steps worked out by hand."""

import itertools

import numpy as np
import pytest

from nnlab import Tanh, mlp
from nnlab.second_order import (
    backtracking_line_search,
    bfgs_update,
    hessian_vector_product,
    lbfgs_direction,
    lbfgs_minimize,
    newton_memory_bytes,
    newton_step,
    quadratic_model,
)


def positive_matrix(rng: np.random.Generator, d: int) -> np.ndarray:
    half = rng.standard_normal((d, d))
    return half @ half.T + np.eye(d)


def rosenbrock(x: np.ndarray) -> tuple[float, np.ndarray]:
    optimize = pytest.importorskip("scipy.optimize")
    return optimize.rosen(x), optimize.rosen_der(x)


def test_the_model_of_a_cube_is_its_parabola() -> None:
    # x³ at 2: value 8, slope 12, curvature 12, so at 3 the model is 8 + 12 + 6
    def grad(x: np.ndarray) -> np.ndarray:
        return 3 * x**2

    found = quadratic_model(
        lambda x: float(x[0] ** 3), grad, lambda x: np.diag(6 * x), np.array([2.0]), np.array([3.0])
    )
    assert found == pytest.approx(26)


def test_newtons_step_lands_where_the_model_is_level_even_at_a_saddle() -> None:
    np.testing.assert_allclose(newton_step(np.array([2.0, 3.0]), np.diag([4.0, -1.0])), [-0.5, 3.0])
    x = np.array([0.3, -2.0, 1.0])
    for hess in (positive_matrix(np.random.default_rng(0), 3), np.diag([1.0, -2.0, 3.0])):
        np.testing.assert_allclose(x + newton_step(hess @ x, hess), 0, atol=1e-12)


def test_a_product_with_the_hessian_of_rosenbrocks_function_is_scipys() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(0)
    x, v = rng.standard_normal((2, 5))
    found = hessian_vector_product(optimize.rosen_der, x, v)
    np.testing.assert_allclose(found, optimize.rosen_hess_prod(x, v), rtol=1e-6)


def test_a_gradient_that_is_always_the_same_array_is_no_trouble() -> None:
    kept = np.zeros(3)

    def grad(x: np.ndarray) -> np.ndarray:
        kept[...] = 2 * x
        return kept

    np.testing.assert_allclose(
        hessian_vector_product(grad, np.ones(3), np.array([1.0, 0.0, -1.0])), [2, 0, -2], atol=1e-8
    )

    def f_and_grad(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float(x @ x), grad(x)

    np.testing.assert_allclose(lbfgs_minimize(f_and_grad, np.array([1.0, 2.0, 3.0]))[0], 0, atol=1e-6)


def test_the_line_search_halves_until_armijo_is_content() -> None:
    x, direction, grad = np.array([1.0]), np.array([-8.0]), np.array([2.0])

    def square(x: np.ndarray) -> float:
        return float(x[0] ** 2)

    assert backtracking_line_search(square, x, direction, grad) == 0.125  # a quarter leads to -1: as high as before
    assert backtracking_line_search(square, x, direction, grad, alpha0=0.1) == 0.1
    assert backtracking_line_search(square, x, direction, grad, alpha0=1.0, rho=0.1) == pytest.approx(0.1)
    assert backtracking_line_search(square, x, direction, grad, c=0.9) == pytest.approx(
        1 / 64
    )  # it asks 8 alpha <= 0.2


def test_a_bfgs_update_is_scipys() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(0)
    scipys, B_inv = optimize.BFGS(init_scale=1.0), np.eye(4)
    scipys.initialize(4, "inv_hess")
    hess = positive_matrix(rng, 4)
    for _ in range(3):
        s = rng.standard_normal(4)
        scipys.update(s, hess @ s)
        B_inv = bfgs_update(B_inv, s, hess @ s)
        np.testing.assert_allclose(B_inv, scipys.get_matrix(), rtol=1e-9)
        np.testing.assert_allclose(B_inv @ (hess @ s), s, rtol=1e-9)


def test_bfgs_is_the_product_of_the_three_matrices_in_the_books_formula() -> None:
    rng = np.random.default_rng(1)
    B_inv, s = positive_matrix(rng, 5), rng.standard_normal(5)
    y = positive_matrix(rng, 5) @ s
    left = np.eye(5) - np.outer(s, y) / (s @ y)
    np.testing.assert_allclose(bfgs_update(B_inv, s, y), left @ B_inv @ left.T + np.outer(s, s) / (s @ y))


def test_a_pair_without_positive_curvature_teaches_nothing() -> None:
    B_inv, s = np.diag([1.0, 2.0]), np.array([1.0, 1.0])
    for y in (np.array([-1.0, 0.0]), np.array([1.0, -1.0])):
        np.testing.assert_array_equal(bfgs_update(B_inv, s, y), B_inv)


@pytest.mark.parametrize("pairs", [0, 1, 2, 5])
def test_the_two_loops_do_what_bfgs_does_with_its_matrix(pairs: int) -> None:
    rng = np.random.default_rng(pairs)
    grad, hess = rng.standard_normal(6), positive_matrix(rng, 6)
    s_list = list(rng.standard_normal((pairs, 6)))
    y_list = [hess @ s for s in s_list]
    B_inv = np.eye(6) * (s_list[-1] @ y_list[-1] / (y_list[-1] @ y_list[-1]) if pairs else 1)
    for s, y in zip(s_list, y_list, strict=True):
        B_inv = bfgs_update(B_inv, s, y)
    direction = lbfgs_direction(grad, s_list, y_list)
    np.testing.assert_allclose(direction, -B_inv @ grad, rtol=1e-9)
    assert direction @ grad < 0


@pytest.mark.parametrize("start", [[-1.2, 1.0], [0.0, 0.0], [2.0, -2.0], [1.3, 0.7, 0.8, 1.9, 1.2]])
def test_lbfgs_finds_rosenbrocks_minimum_where_scipy_does(start: list[float]) -> None:
    optimize = pytest.importorskip("scipy.optimize")
    x, history = lbfgs_minimize(rosenbrock, np.array(start))
    theirs = optimize.minimize(rosenbrock, start, jac=True, method="L-BFGS-B").x
    np.testing.assert_allclose(x, 1, atol=1e-4)
    np.testing.assert_allclose(x, theirs, atol=1e-3)
    assert history[0] == rosenbrock(np.array(start))[0]
    assert all(after < before for before, after in itertools.pairwise(history))


def test_lbfgs_stops_at_once_in_a_minimum_and_after_max_iter_steps_elsewhere() -> None:
    x, history = lbfgs_minimize(rosenbrock, np.ones(2))
    assert len(history) == 1
    np.testing.assert_array_equal(x, np.ones(2))
    assert len(lbfgs_minimize(rosenbrock, np.array([-1.2, 1.0]), max_iter=3)[1]) == 4


def test_lbfgs_gives_up_where_no_step_pays() -> None:
    x, history = lbfgs_minimize(lambda x: (0.0, np.ones(2)), np.zeros(2))  # a gradient that lies
    np.testing.assert_array_equal(x, np.zeros(2))
    assert history == [0.0]


def test_lbfgs_steps_back_from_values_that_are_not_numbers() -> None:
    def logarithmic(x: np.ndarray) -> tuple[float, np.ndarray]:
        if x[0] <= 0:
            return float("nan"), np.full(1, np.nan)
        return float(x[0] - np.log(x[0])), 1 - 1 / x

    np.testing.assert_allclose(lbfgs_minimize(logarithmic, np.array([0.01]))[0], 1, atol=1e-5)


def test_lbfgs_trains_a_network_through_its_weights() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 5)), rng.integers(0, 3, 40)
    net = mlp([5, 8, 3], rng=0, activation=Tanh, dtype=np.float64)

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        net.weights[...] = w
        return net.loss_and_grads(x, y)[0] + 0.005 * float(w @ w), net.gradient + 0.01 * w

    w, history = lbfgs_minimize(loss, net.weights, max_iter=1000)
    assert np.abs(loss(w)[1]).max() <= 1e-6
    assert history[-1] < history[0]


def test_ten_million_parameters_need_800_terabytes() -> None:
    assert newton_memory_bytes(3) == np.zeros((3, 3)).nbytes
    assert newton_memory_bytes(10**7) == 800 * 10**12
