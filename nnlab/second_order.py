"""The course's own second-order methods, with the conventions of the exercises (Nocedal & Wright 2006, chapters 3, 6, 7).

An experiment uses these where the reader's function does not pass its check yet. Points, gradients and directions are
arrays (D,); a step or a direction is to be added.
"""

from collections.abc import Callable, Sequence

import numpy as np

from nnlab.layers import Array

Scalar = Callable[[Array], float]
Gradient = Callable[[Array], Array]
ValueAndGradient = Callable[[Array], tuple[float, Array]]

SUFFICIENT = 1e-4
"""The share of the decrease that a straight line would give which Armijo's rule asks for."""

SHORTEST = 1e-10
"""A line search that has come down to this part of its first step finds rounding (or noise) and nothing else."""


def quadratic_model(f: Scalar, grad: Gradient, hess: Gradient, x0: Array, x: Array) -> float:
    """f(x0) + g·d + d·H d / 2 with d = x - x0: the second-order Taylor model of f around x0, at x."""
    d = x - x0
    return float(f(x0) + grad(x0) @ d + d @ (hess(x0) @ d) / 2)


def newton_step(grad: Array, hess: Array) -> Array:
    """The step to the point where the quadratic model is level: the solution of hess (D, D) @ step = -grad."""
    step: Array = np.linalg.solve(hess, -grad)
    return step


def hessian_vector_product(grad_fn: Gradient, x: Array, v: Array, h: float = 1e-5) -> Array:
    """H(x) v by a central difference of the gradient: two gradients, no matrix."""
    ahead, behind = np.array(grad_fn(x + h * v)), np.array(grad_fn(x - h * v))  # copies: both may be one array
    product: Array = (ahead - behind) / (2 * h)
    return product


def backtracking_line_search(
    f: Scalar, x: Array, direction: Array, grad: Array, alpha0: float = 1.0, rho: float = 0.5, c: float = SUFFICIENT
) -> float:
    """The first alpha of alpha0, rho alpha0, rho² alpha0, ... with f(x + alpha d) <= f(x) + c alpha g·d (Armijo 1966)."""
    start, slope, alpha = f(x), float(grad @ direction), alpha0
    while f(x + alpha * direction) > start + c * alpha * slope:
        alpha *= rho
    return alpha


def bfgs_update(B_inv: Array, s: Array, y: Array) -> Array:
    """The BFGS update of an inverse Hessian (D, D) after a step s that changed the gradient by y; B_inv as it was if
    s·y <= 0. The three products of the formula are multiplied out, so that it takes D² operations and not D³."""
    sy = float(s @ y)
    if sy <= 0:
        return B_inv
    By = B_inv @ y
    mixed = np.outer(By, s)
    updated: Array = B_inv - (mixed + mixed.T) / sy + np.outer(s, s) * ((1 + y @ By / sy) / sy)
    return updated


def lbfgs_direction(grad: Array, s_list: Sequence[Array], y_list: Sequence[Array]) -> Array:
    """Minus the gradient times the inverse Hessian that BFGS would have built from these pairs, oldest first, had it begun
    with s·y / y·y of the newest times the identity; -grad without pairs (two loops, no matrix: Nocedal 1980)."""
    q = -grad
    pairs = [(s, y, float(s @ y)) for s, y in zip(s_list, y_list, strict=True)]
    shares = []
    for s, y, sy in reversed(pairs):
        shares.append(float(s @ q) / sy)
        q = q - shares[-1] * y
    if pairs:
        _, y, sy = pairs[-1]
        q = q * (sy / float(y @ y))
    for s, y, sy in pairs:
        q = q + (shares.pop() - float(y @ q) / sy) * s
    return q


def lbfgs_minimize(
    f_and_grad: ValueAndGradient, x0: Array, m: int = 10, max_iter: int = 100, tol: float = 1e-6
) -> tuple[Array, list[float]]:
    """Minimise by L-BFGS with the last m pairs and a backtracking line search.

    Its first trial is the whole step; before there are pairs, at most a step whose entries sum to 1 in size. Stops after max_iter steps, when no entry of the gradient exceeds tol in size, or when no step pays any more. Returns
    x (D,) and the values of f at x0 and after each step.
    """
    x = np.array(x0, dtype=np.float64)
    value, grad = _noted(f_and_grad, x)
    history = [value]
    s_list: list[Array] = []
    y_list: list[Array] = []
    while len(history) <= max_iter and np.max(np.abs(grad)) > tol:
        step = lbfgs_direction(grad, s_list, y_list)
        share, slope = 1.0 if s_list else min(1.0, 1.0 / float(np.abs(grad).sum())), float(grad @ step)
        new_value, new_grad = _noted(f_and_grad, x + share * step)
        while not new_value <= value + SUFFICIENT * share * slope and share > SHORTEST:
            share /= 2
            new_value, new_grad = _noted(f_and_grad, x + share * step)
        if share <= SHORTEST:
            break
        s, y = share * step, new_grad - grad
        if s @ y > 0:
            s_list, y_list = [*s_list, s][-m:], [*y_list, y][-m:]
        x, value, grad = x + s, new_value, new_grad
        history.append(value)
    return x, history


def _noted(f_and_grad: ValueAndGradient, x: Array) -> tuple[float, Array]:
    """Value and gradient, the latter copied: networks write theirs into one array again and again."""
    value, grad = f_and_grad(x)
    return float(value), np.array(grad, dtype=np.float64)


def newton_memory_bytes(n_params: int) -> int:
    """Bytes of the Hessian of n_params parameters in float64."""
    return 8 * n_params**2
