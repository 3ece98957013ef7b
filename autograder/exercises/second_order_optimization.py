"""Assignment 05, second-order optimization: Newton's step, Hessians without Hessians, line search, BFGS and L-BFGS
(Nocedal & Wright 2006, chapters 3, 6 and 7)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograder.checks import equals, leaves_inputs
from autograder.exercise import Exercise, Functions, Misconception, Observations

Array = np.ndarray
Scalar = Callable[[Array], float]
Gradient = Callable[[Array], Array]

# --- functions to minimise ------------------------------------------------------------------------------------------


class Bowl:
    """A strictly convex quadratic with a bend: f(x) = x.A.x/2 + b.x + sum(cosh(x)) / 5. Value, gradient, Hessian."""

    def __init__(self, rng: np.random.Generator, d: int, condition: float = 10.0) -> None:
        rotation, _ = np.linalg.qr(rng.standard_normal((d, d)))
        self.A = (rotation * np.geomspace(1, condition, d)) @ rotation.T
        self.b = rng.standard_normal(d)
        self.calls = 0

    def f(self, x: Any) -> float:
        self.calls += 1
        x = np.asarray(x, dtype=float)
        return float(x @ self.A @ x / 2 + self.b @ x + np.sum(np.cosh(np.clip(x, -50, 50))) / 5)

    def grad(self, x: Any) -> Array:
        x = np.asarray(x, dtype=float)
        return np.asarray(self.A @ x + self.b + np.sinh(np.clip(x, -50, 50)) / 5)

    def hess(self, x: Any) -> Array:
        x = np.asarray(x, dtype=float)
        return np.asarray(self.A + np.diag(np.cosh(np.clip(x, -50, 50)) / 5))

    def f_and_grad(self, x: Any) -> tuple[float, Array]:
        return self.f(x), self.grad(x)

    def bottom(self) -> Array:
        """The minimum, by Newton's method."""
        x = np.zeros(len(self.b))
        for _ in range(30):
            x = x - np.linalg.solve(self.hess(x), self.grad(x))
        return x


def rosenbrock(x: Any) -> tuple[float, Array]:
    """Rosenbrock's curved valley in 2 dimensions, minimum 0 at (1, 1): value and gradient."""
    a, b = (float(v) for v in np.clip(np.asarray(x, dtype=float), -1e6, 1e6))
    value = (1 - a) ** 2 + 100 * (b - a * a) ** 2
    return value, np.array([-2 * (1 - a) - 400 * a * (b - a * a), 200 * (b - a * a)])


# --- quadratic_model ------------------------------------------------------------------------------------------------


def quadratic_model(f: Scalar, grad: Gradient, hess: Gradient, x0: Array, x: Array) -> float:
    """The second-order Taylor model of f around x0 (D,), at x (D,)."""
    d = np.asarray(x) - np.asarray(x0)
    return float(f(x0) + np.asarray(grad(x0)) @ d + d @ np.asarray(hess(x0)) @ d / 2)


def _model(play: Functions, rng: np.random.Generator) -> Observations:
    found = {}
    for d in (2, 4):
        bowl, x0 = Bowl(rng, d), rng.standard_normal(d)
        for size in (0.5, 2.0):
            x = x0 + size * rng.standard_normal(d)
            found[f"model in {d} dimensions, {size} away"] = play.quadratic_model(bowl.f, bowl.grad, bowl.hess, x0, x)
    return found


def _model_at_home(play: Functions, rng: np.random.Generator) -> Observations:
    bowl, x0 = Bowl(rng, 3), rng.standard_normal(3)
    return {"model at x0 itself": play.quadratic_model(bowl.f, bowl.grad, bowl.hess, x0, x0.copy())}


def _model_idea(id: str, message: str, wrong: Callable[..., float]) -> Misconception:
    def model(f: Scalar, grad: Gradient, hess: Gradient, x0: Array, x: Array) -> float:
        d = np.asarray(x) - np.asarray(x0)
        return wrong(f, np.asarray(grad(x0)), np.asarray(hess(x0)), d, x0, x)

    return Misconception(id, message, {"quadratic_model": model})


QUADRATIC_MODEL = Exercise(
    name="quadratic_model",
    asks="The bowl that Newton's method sees: the second-order Taylor model.",
    reference=quadratic_model,
    returns=("value",),
    checks=(
        equals("is the second-order Taylor model around x0", 2, _model),
        equals("equals f at x0 itself", 1, _model_at_home),
    ),
    misconceptions=(
        _model_idea(
            "half-forgotten",
            "The quadratic term lacks its factor of one half.",
            lambda f, g, H, d, x0, x: f(x0) + g @ d + d @ H @ d,
        ),
        _model_idea(
            "first-order-only",
            "The quadratic term is missing: that is the tangent.",
            lambda f, g, H, d, x0, x: f(x0) + g @ d,
        ),
        _model_idea(
            "gradient-term-forgotten",
            "The gradient's term is missing.",
            lambda f, g, H, d, x0, x: f(x0) + d @ H @ d / 2,
        ),
        _model_idea("value-forgotten", "The value at x0 is missing.", lambda f, g, H, d, x0, x: g @ d + d @ H @ d / 2),
        _model_idea(
            "x-instead-of-the-difference",
            "The model is in x - x0, the step away from x0. You put in x itself.",
            lambda f, g, H, d, x0, x: f(x0) + g @ x + x @ H @ x / 2,
        ),
        _model_idea(
            "difference-turned-round",
            "Your difference is x0 - x. It is x - x0; in the gradient's term the sign matters.",
            lambda f, g, H, d, x0, x: f(x0) - g @ d + d @ H @ d / 2,
        ),
        _model_idea(
            "diagonal-only",
            "You use the diagonal of the Hessian only: d @ H @ d takes all of it.",
            lambda f, g, H, d, x0, x: f(x0) + g @ d + np.sum(np.diag(H) * d**2) / 2,
        ),
    ),
    hints=(
        "What is the model's value, slope and curvature at x0?",
        "Everything is evaluated at x0; only the step d = x - x0 depends on x.",
        "f(x0), plus gradient times d, plus one half of d times Hessian times d.",
    ),
)

# --- newton_step ----------------------------------------------------------------------------------------------------


def newton_step(grad: Array, hess: Array) -> Array:
    """The step (D,) to the stationary point of the quadratic model: solves hess @ step = -grad. To be added to x."""
    return -np.linalg.solve(hess, grad)


def _newton(play: Functions, rng: np.random.Generator) -> Observations:
    found = {}
    for d in (2, 5):
        bowl, x = Bowl(rng, d), rng.standard_normal(d)
        found[f"step in {d} dimensions"] = play.newton_step(bowl.grad(x), bowl.hess(x))
    return found


def _newton_at_saddle(play: Functions, rng: np.random.Generator) -> Observations:
    """With one negative eigenvalue Newton's step climbs towards the saddle: that is what it does."""
    rotation, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    hess = (rotation * np.array([2.0, 0.5, -1.0])) @ rotation.T
    return {"step near a saddle": play.newton_step(rng.standard_normal(3), hess)}


def _newton_near_singular(play: Functions, rng: np.random.Generator) -> Observations:
    """A residual rather than the step: what an explicit inverse loses, solving keeps."""
    d = 8
    left, _ = np.linalg.qr(rng.standard_normal((d, d)))
    hess = (left * np.geomspace(1, 1e-11, d)) @ left.T
    hess = (hess + hess.T) / 2
    step = play.newton_step(grad := hess @ rng.standard_normal(d), hess)
    try:
        residual = float(np.linalg.norm(hess @ np.asarray(step, dtype=float) + grad) / np.linalg.norm(grad))
    except (TypeError, ValueError):
        residual = float("nan")
    return {"residual is small": bool(residual < 1e-9)}


NEWTON_STEP = Exercise(
    name="newton_step",
    asks="The step to the bottom of the quadratic model.",
    reference=newton_step,
    returns=("step",),
    checks=(
        equals("goes to the stationary point of the model", 2, _newton),
        equals("does so at a saddle, too", 1, _newton_at_saddle),
        equals("solves rather than inverts", 1, _newton_near_singular),
        leaves_inputs(1, _newton),
    ),
    misconceptions=(
        Misconception(
            "uphill",
            "Your step has the wrong sign. It is to be ADDED to x, so it is minus the solution.",
            {"newton_step": lambda g, H: np.linalg.solve(H, g)},
        ),
        Misconception(
            "multiplied",
            "You multiply by the Hessian. The step divides by it: solve hess @ step = -grad.",
            {"newton_step": lambda g, H: -H @ g},
        ),
        Misconception(
            "gradient-step",
            "That is the gradient step: the Hessian plays no part.",
            {"newton_step": lambda g, H: -g},
        ),
        Misconception(
            "diagonal-only",
            "You divide by the Hessian's diagonal. The other entries count, too.",
            {"newton_step": lambda g, H: -g / np.diag(H)},
        ),
        Misconception(
            "divided-entrywise",
            "You divide entry by entry. A matrix is divided by solving a system of equations.",
            {"newton_step": lambda g, H: -(g / H).sum(axis=1)},
        ),
        Misconception(
            "curvature-made-positive",
            "You turn negative curvature round. That can be wise, but it is not Newton's step, which walks to the saddle.",
            {"newton_step": lambda g, H: _with_positive_curvature(g, H)},
        ),
    ),
    hints=(
        "Set the gradient of the quadratic model to zero. Which linear system appears?",
        "np.linalg.solve, once. No inverse is needed, and none is as accurate.",
        "Minus the solution of hess @ s = grad.",
    ),
)


def _with_positive_curvature(g: Array, H: Array) -> Array:
    values, vectors = np.linalg.eigh(H)
    return np.asarray(-vectors @ ((vectors.T @ g) / np.abs(values)))


# --- hessian_vector_product -----------------------------------------------------------------------------------------


def hessian_vector_product(grad_fn: Gradient, x: Array, v: Array, h: float = 1e-5) -> Array:
    """H(x) v (D,) by a central difference of the gradient: two calls of grad_fn, no matrix (Pearlmutter 1994)."""
    return (np.asarray(grad_fn(x + h * v)) - np.asarray(grad_fn(x - h * v))) / (2 * h)


class _Counted:
    def __init__(self, function: Gradient) -> None:
        self.function, self.calls = function, 0

    def __call__(self, x: Any) -> Array:
        self.calls += 1
        return self.function(x)


def _product(play: Functions, rng: np.random.Generator) -> Observations:
    found = {}
    for d in (3, 6):
        bowl = Bowl(rng, d)
        x, v = rng.standard_normal(d), 2 * rng.standard_normal(d)
        found[f"product in {d} dimensions"] = play.hessian_vector_product(bowl.grad, x, v)
    return found


def _product_large_step(play: Functions, rng: np.random.Generator) -> Observations:
    bowl = Bowl(rng, 4)
    x, v = rng.standard_normal(4), 2 * rng.standard_normal(4)
    found = {f"product with h={h}": play.hessian_vector_product(bowl.grad, x, v, h) for h in (0.3, 0.1)}
    steps = []

    def grad(at: Any) -> Array:
        steps.append(float(np.max(np.abs(np.asarray(at, dtype=float) - x))))
        return bowl.grad(at)

    play.hessian_vector_product(grad, x, np.array([1.0, -2.0, 0.5, 0.0]))
    return found | {"longest step without h": max(steps, default=0.0)}


def _product_calls(play: Functions, rng: np.random.Generator) -> Observations:
    found = {}
    for d in (2, 9):
        counted = _Counted(Bowl(rng, d).grad)
        play.hessian_vector_product(counted, rng.standard_normal(d), rng.standard_normal(d))
        found[f"calls of grad_fn in {d} dimensions"] = counted.calls
    return found


def _product_idea(id: str, message: str, wrong: Callable[..., Array]) -> Misconception:
    return Misconception(id, message, {"hessian_vector_product": lambda g, x, v, h=1e-5: wrong(g, x, v, h)})


HESSIAN_VECTOR_PRODUCT = Exercise(
    name="hessian_vector_product",
    asks="The Hessian times a vector, without the Hessian.",
    reference=hessian_vector_product,
    returns=("product",),
    checks=(
        equals("is the Hessian times v", 2, _product, tolerance=1e-4),
        equals(
            "uses the central difference with the step h, 1e-5 where none is given",
            1,
            _product_large_step,
            tolerance=1e-7,
        ),
        equals("asks for two gradients, whatever the dimension", 1, _product_calls),
        leaves_inputs(1, _product),
    ),
    misconceptions=(
        _product_idea(
            "one-sided",
            "Your difference is one-sided: its error shrinks only like h. Step to both sides.",
            lambda g, x, v, h: (np.asarray(g(x + h * v)) - np.asarray(g(x))) / h,
        ),
        _product_idea(
            "divided-by-h",
            "Your product is twice the right one: the two points are 2h apart.",
            lambda g, x, v, h: (np.asarray(g(x + h * v)) - np.asarray(g(x - h * v))) / h,
        ),
        _product_idea(
            "unit-direction",
            "You divide v by its length. The product grows with v: leave it as it is.",
            lambda g, x, v, h: hessian_vector_product(g, x, v / np.linalg.norm(v), h),
        ),
        _product_idea(
            "h-ignored",
            "You always step by 1e-5. Use the h that you are given.",
            lambda g, x, v, h: hessian_vector_product(g, x, v),
        ),
        _product_idea(
            "column-by-column",
            "You build the whole Hessian and multiply. Right, but it costs two gradients for every dimension.",
            lambda g, x, v, h: np.stack([hessian_vector_product(g, x, e, h) for e in np.eye(len(x))], axis=1) @ v,
        ),
        _product_idea(
            "squared-step",
            "You divide by h squared: that is for a second difference of f. Here the gradient is differenced, once.",
            lambda g, x, v, h: (np.asarray(g(x + h * v)) - np.asarray(g(x - h * v))) / (2 * h * h),
        ),
    ),
    hints=(
        "The Hessian says how the gradient changes. How does it change along v?",
        "Two gradients: at x + h v and at x - h v.",
        "Their difference, divided by 2 h.",
    ),
)

# --- backtracking_line_search ---------------------------------------------------------------------------------------


def backtracking_line_search(
    f: Scalar, x: Array, direction: Array, grad: Array, alpha0: float = 1.0, rho: float = 0.5, c: float = 1e-4
) -> float:
    """The first alpha in alpha0, rho alpha0, ... with f(x + alpha d) <= f(x) + c alpha grad.d (Armijo 1966)."""
    alpha, here, slope = alpha0, f(x), c * float(np.dot(grad, direction))
    while f(x + alpha * direction) > here + alpha * slope:
        alpha *= rho
    return alpha


def _searches(
    settings: Callable[[np.random.Generator], tuple[float, ...]], steep: float
) -> Callable[..., Observations]:
    def observe(play: Functions, rng: np.random.Generator) -> Observations:
        found = {}
        for number in range(4):
            bowl, x = Bowl(rng, 3), 2 * rng.standard_normal(3)
            g = bowl.grad(x)
            direction = -steep * (1 + 3 * number) * g
            alpha = play.backtracking_line_search(bowl.f, x, direction, g, *settings(rng))
            found[f"alpha of search {number + 1}"] = alpha
        return found

    return observe


def _strict_search(play: Functions, rng: np.random.Generator) -> Observations:
    """On a parabola along a line, with c = 0.6: a decrease alone is not enough."""
    found = {}
    for stretch in (0.7, 1.5, 2.5):
        x, g = np.array([stretch, 0.0]), np.array([stretch, 0.0])
        search = play.backtracking_line_search(lambda z: float(np.sum(np.square(z))) / 2, x, -g, g, 2.1, 0.8, 0.6)
        found[f"alpha from {stretch}"] = search
    return found


def _default_search(play: Functions, rng: np.random.Generator) -> Observations:
    """Besides searches on bowls: steps on a parabola that pay, or do not, by a hair more than c = 1e-4 asks for."""
    found = _searches(lambda rng: (), 1.0)(play, rng)
    x = np.array([1.0, 0.0])
    for stretch in (1.0, 1.9994, 1.99994):  # the whole step pays where stretch <= 2 - 2 c
        search = play.backtracking_line_search(lambda z: float(np.sum(np.square(z))) / 2, x, -stretch * x, x)
        found[f"alpha for a step of {stretch} on a parabola"] = search
    return found


def _first_is_fine(play: Functions, rng: np.random.Generator) -> Observations:
    bowl, x = Bowl(rng, 3), 2 * rng.standard_normal(3)
    g = bowl.grad(x)
    return {"alpha where the first step is fine": play.backtracking_line_search(bowl.f, x, -0.01 * g, g, 0.9)}


def _search_with(
    condition: Callable[..., bool],
    shrink: Callable[[float, float], float] = lambda alpha, rho: alpha * rho,
    fixed_start: bool = False,
) -> dict[str, Callable[..., float]]:
    def search(
        f: Scalar, x: Array, d: Array, grad: Array, alpha0: float = 1.0, rho: float = 0.5, c: float = 1e-4
    ) -> float:
        alpha, here, slope = 1.0 if fixed_start else alpha0, f(x), float(np.dot(grad, d))
        for _ in range(200):
            if condition(f(x + alpha * d), here, alpha, slope, c):
                break
            alpha = shrink(alpha, rho)
        return alpha

    return {"backtracking_line_search": search}


def _armijo(value: float, here: float, alpha: float, slope: float, c: float) -> bool:
    return value <= here + c * alpha * slope


BACKTRACKING_LINE_SEARCH = Exercise(
    name="backtracking_line_search",
    asks="Shorten a step until it pays (Armijo's rule).",
    reference=backtracking_line_search,
    returns=("alpha",),
    checks=(
        equals(
            "shrinks alpha by rho until the step pays",
            2,
            _searches(lambda rng: (float(rng.uniform(0.8, 1.5)), float(rng.uniform(0.3, 0.7))), 1.0),
        ),
        equals("asks for a decrease in proportion to the slope, not just any", 1, _strict_search),
        equals("keeps alpha0 where it is good enough", 1, _first_is_fine),
        equals("takes alpha0 = 1, rho = 0.5 and c = 1e-4 by default", 1, _default_search),
        leaves_inputs(1, _first_is_fine),
    ),
    misconceptions=(
        Misconception(
            "any-decrease",
            "You accept any decrease. Armijo asks for c * alpha * grad . direction of it: c is not used.",
            _search_with(lambda value, here, alpha, slope, c: value <= here),
        ),
        Misconception(
            "step-length-forgotten",
            "The decrease you ask for does not shrink with alpha: it is c * alpha * slope.",
            _search_with(lambda value, here, alpha, slope, c: value <= here + c * slope),
        ),
        Misconception(
            "rho-ignored",
            "You always halve alpha. Multiply by rho.",
            _search_with(_armijo, lambda alpha, rho: alpha * 0.5),
        ),
        Misconception(
            "alpha0-ignored",
            "You always begin with 1. Begin with alpha0.",
            _search_with(_armijo, fixed_start=True),
        ),
        Misconception(
            "one-shrink-too-many",
            "You shrink once more after the condition holds.",
            {
                "backtracking_line_search": lambda f, x, d, g, alpha0=1.0, rho=0.5, c=1e-4: (
                    rho * backtracking_line_search(f, x, d, g, alpha0, rho, c)
                )
            },
        ),
        Misconception(
            "alpha0-never-tried",
            "You shrink before the first test: alpha0 itself is never tried.",
            {
                "backtracking_line_search": lambda f, x, d, g, alpha0=1.0, rho=0.5, c=1e-4: backtracking_line_search(
                    f, x, d, g, alpha0 * rho, rho, c
                )
            },
        ),
        Misconception(
            "slope-without-sign",
            "You take the size of the slope: the condition then allows the value to grow. grad . direction is negative.",
            _search_with(lambda value, here, alpha, slope, c: value <= here + c * alpha * abs(slope)),
        ),
        Misconception(
            "curvature-ignored-slope",
            "You measure the slope by the direction's length instead of grad . direction.",
            _search_with(lambda value, here, alpha, slope, c: value <= here - c * alpha * np.sqrt(abs(slope))),
        ),
    ),
    hints=(
        "By how much would f fall if it were a straight line along the direction?",
        "Compute f(x) and grad . direction once. Only f(x + alpha * direction) is asked again.",
        "While f at the step lies above f(x) + c * alpha * (grad . direction), multiply alpha by rho.",
    ),
)

# --- bfgs_update ----------------------------------------------------------------------------------------------------


def bfgs_update(B_inv: Array, s: Array, y: Array) -> Array:
    """The BFGS update of an inverse Hessian (D, D) by a step s (D,) and its change of gradient y (D,); none if s.y <= 0."""
    sy = float(s @ y)
    if sy <= 0:
        return B_inv
    left = np.eye(len(s)) - np.outer(s, y) / sy
    return left @ B_inv @ left.T + np.outer(s, s) / sy


def _pair(rng: np.random.Generator, d: int) -> tuple[Array, Array, Array]:
    """A positive definite B_inv and a pair (s, y) with s.y > 0."""
    half = rng.standard_normal((d, d))
    bowl = Bowl(rng, d)
    s = rng.standard_normal(d)
    return half @ half.T / d + np.eye(d), s, bowl.A @ s


def _updates(play: Functions, rng: np.random.Generator) -> Observations:
    found = {f"B_inv in {d} dimensions": play.bfgs_update(*_pair(rng, d)) for d in (2, 4)}
    B_inv, s, y = _pair(rng, 3)
    return found | {"B_inv after a short step": play.bfgs_update(B_inv, 0.01 * s, 0.01 * y)}


def _secant(play: Functions, rng: np.random.Generator) -> Observations:
    B_inv, s, y = _pair(rng, 5)
    new = np.asarray(play.bfgs_update(B_inv, s, y))
    with np.errstate(all="ignore"):  # it may hold anything
        return {
            "B_inv @ y": new @ y if new.shape == B_inv.shape else new,
            "B_inv is symmetric": bool(np.allclose(new, new.T)),
        }


def _skipped(play: Functions, rng: np.random.Generator) -> Observations:
    B_inv, s, y = _pair(rng, 4)
    orthogonal = y - s * (s @ y) / (s @ s)
    orthogonal -= s * 1e-3
    return {
        "B_inv for s.y < 0": play.bfgs_update(B_inv, s, -y),
        "B_inv for a slightly negative s.y": play.bfgs_update(B_inv, s, orthogonal),
        "B_inv for s.y = 0": play.bfgs_update(B_inv, np.array([1.0, 2.0, 0.0, 0.0]), np.array([2.0, -1.0, 3.0, 0.0])),
    }


def _update_idea(id: str, message: str, wrong: Callable[..., Array], skips: bool = True) -> Misconception:
    def update(B: Array, s: Array, y: Array) -> Array:
        sy = float(s @ y)
        return B if skips and sy <= 0 else wrong(B, s, y, sy)

    return Misconception(id, message, {"bfgs_update": update})


def _left(s: Array, y: Array, sy: float) -> Array:
    return np.asarray(np.eye(len(s)) - np.outer(s, y) / sy)


BFGS_UPDATE = Exercise(
    name="bfgs_update",
    asks="Learn curvature from the last step: the BFGS update of the inverse Hessian.",
    reference=bfgs_update,
    returns=("B_inv",),
    checks=(
        equals("is the BFGS update", 2, _updates),
        equals("satisfies the secant equation, B_inv y = s, and stays symmetric", 1, _secant),
        equals("skips the update when s . y is not positive", 1, _skipped),
        leaves_inputs(1, _updates),
    ),
    misconceptions=(
        _update_idea(
            "not-skipped",
            "You update also when s . y is negative: the matrix then loses its positive curvature. Return it as it was.",
            lambda B, s, y, sy: _left(s, y, sy) @ B @ _left(s, y, sy).T + np.outer(s, s) / sy,
            skips=False,
        ),
        _update_idea(
            "last-term-forgotten",
            "The last term, s s^T / (s . y), is missing.",
            lambda B, s, y, sy: _left(s, y, sy) @ B @ _left(s, y, sy).T,
        ),
        _update_idea(
            "factors-swapped",
            "The two outer factors are swapped: on the left I - s y^T / (s . y), on the right its transpose.",
            lambda B, s, y, sy: _left(s, y, sy).T @ B @ _left(s, y, sy) + np.outer(s, s) / sy,
        ),
        _update_idea(
            "s-and-y-swapped",
            "s and y are swapped: that updates the Hessian itself, not its inverse.",
            lambda B, s, y, sy: _left(y, s, sy) @ B @ _left(y, s, sy).T + np.outer(y, y) / sy,
        ),
        _update_idea(
            "not-divided",
            "The outer products are not divided by s . y.",
            lambda B, s, y, sy: _left(s, y, 1.0) @ B @ _left(s, y, 1.0).T + np.outer(s, s),
        ),
        _update_idea(
            "one-side-only",
            "You multiply on one side only: the result is not symmetric.",
            lambda B, s, y, sy: _left(s, y, sy) @ B + np.outer(s, s) / sy,
        ),
        _update_idea(
            "dfp",
            "That is the DFP update. BFGS is its mirror image: it also satisfies the secant equation, and works better.",
            lambda B, s, y, sy: B - np.outer(B @ y, B @ y) / (y @ B @ y) + np.outer(s, s) / sy,
        ),
        _update_idea(
            "old-matrix-forgotten",
            "The old B_inv plays no part in your update.",
            lambda B, s, y, sy: _left(s, y, sy) @ _left(s, y, sy).T + np.outer(s, s) / sy,
        ),
    ),
    hints=(
        "Which vector must the new inverse turn into which? (The secant equation.)",
        "np.outer makes s y^T. With rho = 1 / (s . y) the left factor is I - rho s y^T, the right one its transpose.",
        "(I - rho s y^T) B_inv (I - rho y s^T) + rho s s^T, unless s . y <= 0.",
    ),
)

# --- L-BFGS ---------------------------------------------------------------------------------------------------------


def lbfgs_direction(grad: Array, s_list: Sequence[Array], y_list: Sequence[Array]) -> Array:
    """Minus the L-BFGS inverse Hessian times grad (D,), by the two-loop recursion; oldest pair first (Nocedal 1980)."""
    q = np.array(grad, dtype=float)
    pairs = list(zip(s_list, y_list, strict=True))
    alphas = []
    for s, y in reversed(pairs):
        alphas.append((s @ q) / (s @ y))
        q = q - alphas[-1] * y
    if pairs:
        s, y = pairs[-1]
        q = q * (s @ y) / (y @ y)
    for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
        q = q + s * (alpha - (y @ q) / (s @ y))
    return -q


def _history(rng: np.random.Generator, d: int, pairs: int) -> tuple[Array, list[Array], list[Array]]:
    bowl = Bowl(rng, d, condition=30)
    points = [rng.standard_normal(d) for _ in range(pairs + 1)]
    s_list = [b - a for a, b in itertools.pairwise(points)]
    y_list = [bowl.grad(b) - bowl.grad(a) for a, b in itertools.pairwise(points)]
    return rng.standard_normal(d), s_list, y_list


def _directions(pairs: Sequence[int]) -> Callable[[Functions, np.random.Generator], Observations]:
    def observe(play: Functions, rng: np.random.Generator) -> Observations:
        return {f"direction from {n} pairs": play.lbfgs_direction(*_history(rng, 6, n)) for n in pairs}

    return observe


def _downhill(play: Functions, rng: np.random.Generator) -> Observations:
    found = {}
    for n in (1, 3):
        grad, s_list, y_list = _history(rng, 5, n)
        direction = np.asarray(play.lbfgs_direction(grad, s_list, y_list), dtype=float)
        with np.errstate(all="ignore"):  # it may hold anything
            found[f"goes downhill with {n} pairs"] = bool(direction.shape == grad.shape and direction @ grad < 0)
    return found


def _two_loops(
    scaled: Callable[[list[tuple[Array, Array]]], float],
    sign: float = -1.0,
    newest_first: bool = False,
    second: bool = True,
) -> Callable[..., Array]:
    def direction(grad: Array, s_list: Sequence[Array], y_list: Sequence[Array]) -> Array:
        pairs = list(zip(s_list, y_list, strict=True))
        pairs = pairs[::-1] if newest_first else pairs
        q, alphas = np.array(grad, dtype=float), []
        for s, y in reversed(pairs):
            alphas.append((s @ q) / (s @ y))
            q = q - alphas[-1] * y
        q = q * (scaled(pairs) if pairs else 1.0)
        for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
            if second:
                q = q + s * (alpha - (y @ q) / (s @ y))
        return np.asarray(sign * q)

    return direction


def _newest(pairs: list[tuple[Array, Array]]) -> float:
    s, y = pairs[-1]
    return float((s @ y) / (y @ y))


def _direction_idea(id: str, message: str, wrong: Callable[..., Array]) -> Misconception:
    return Misconception(id, message, {"lbfgs_direction": wrong})


LBFGS_DIRECTION = Exercise(
    name="lbfgs_direction",
    asks="BFGS without its matrix: the two-loop recursion.",
    reference=lbfgs_direction,
    returns=("direction",),
    checks=(
        equals("is minus the gradient when there are no pairs", 1, _directions((0,))),
        equals("is right for one pair", 1, _directions((1,))),
        equals("is right for several pairs, oldest first", 2, _directions((2, 4))),
        equals("goes downhill", 1, _downhill),
        leaves_inputs(1, _directions((2,))),
    ),
    misconceptions=(
        _direction_idea(
            "uphill",
            "Your direction goes uphill: the recursion gives the inverse Hessian times the gradient; return its negative.",
            _two_loops(_newest, sign=1.0),
        ),
        _direction_idea(
            "newest-first",
            "You take the newest pair for the oldest. The lists begin with the oldest: the first loop runs backwards.",
            _two_loops(_newest, newest_first=True),
        ),
        _direction_idea(
            "not-scaled",
            "Between the loops the vector is not scaled. Multiply by s . y / y . y of the newest pair.",
            _two_loops(lambda pairs: 1.0),
        ),
        _direction_idea(
            "scaled-by-the-oldest",
            "You scale by the oldest pair. The newest knows the curvature here best.",
            _two_loops(lambda pairs: float(pairs[0][0] @ pairs[0][1] / (pairs[0][1] @ pairs[0][1]))),
        ),
        _direction_idea(
            "scaled-by-s-squared",
            "You scale by s . s / s . y. The scaling is s . y / y . y.",
            _two_loops(lambda pairs: float(pairs[-1][0] @ pairs[-1][0] / (pairs[-1][0] @ pairs[-1][1]))),
        ),
        _direction_idea(
            "scaling-upside-down",
            "Your scaling is upside down: s . y over y . y.",
            _two_loops(lambda pairs: 1 / _newest(pairs)),
        ),
        _direction_idea(
            "second-loop-forgotten",
            "The second loop is missing.",
            _two_loops(_newest, second=False),
        ),
        _direction_idea(
            "gradient-only",
            "That is minus the gradient: the pairs play no part.",
            lambda grad, s_list, y_list: -np.asarray(grad),
        ),
        _direction_idea(
            "newest-pair-only",
            "You use the newest pair only. All pairs take part in both loops.",
            lambda grad, s_list, y_list: lbfgs_direction(grad, s_list[-1:], y_list[-1:]),
        ),
    ),
    hints=(
        "bfgs_update applied once per pair: what would you do to the gradient from the outside in, and from the inside out?",
        "First loop from the newest pair to the oldest: alpha = s.q / s.y, then q loses alpha y. Keep the alphas.",
        "Scale q by s.y / y.y of the newest pair. Second loop from the oldest: beta = y.q / s.y, q gains (alpha - beta) s. "
        "Return -q.",
    ),
)


def lbfgs_minimize(
    f_and_grad: Callable[[Array], tuple[float, Array]], x0: Array, m: int = 10, max_iter: int = 100, tol: float = 1e-6
) -> tuple[Array, list[float]]:
    """Minimise with the last m pairs and Armijo steps, until max|grad| <= tol. Returns x (D,) and the values, f(x0) first."""
    x = np.array(x0, dtype=float)
    value, grad = f_and_grad(x)
    s_list: list[Array] = []
    y_list: list[Array] = []
    history = [float(value)]
    for _ in range(max_iter):
        if np.max(np.abs(grad)) <= tol:
            break
        direction = lbfgs_direction(grad, s_list, y_list)
        start = 1.0 if s_list else min(1.0, 1.0 / float(np.sum(np.abs(grad))))
        alpha = start
        while True:
            new_value, new_grad = f_and_grad(x + alpha * direction)
            if new_value <= value + 1e-4 * alpha * float(grad @ direction) or alpha < 1e-12:
                break
            alpha /= 2
        s, y = alpha * direction, np.asarray(new_grad) - grad
        if s @ y > 1e-12:
            s_list, y_list = [*s_list, s][-m:], [*y_list, y][-m:]
        x, value, grad = x + s, new_value, np.asarray(new_grad)
        history.append(float(value))
    return x, history


BUDGET = 400
"""Evaluations within which a bowl of condition 100 must be solved: ours takes about 40, gradient descent over a thousand."""


def _minimised(
    f_and_grad: Callable[..., Any], x0: Array, *settings: Any
) -> Callable[[Functions], tuple[Any, list[float], int]]:
    def run(play: Functions) -> tuple[Any, list[float], int]:
        calls = 0

        def counted(x: Any) -> tuple[float, Array]:
            nonlocal calls
            calls += 1
            found: tuple[float, Array] = f_and_grad(x)
            return found

        x, history = play.lbfgs_minimize(counted, x0, *settings)
        try:
            values = [float(v) for v in np.ravel(np.asarray(history, dtype=float))]
        except (TypeError, ValueError):
            values = []
        return x, values, calls

    return run


def _solves(play: Functions, rng: np.random.Generator) -> Observations:
    bowl = Bowl(rng, 8, condition=100)
    x, _, _ = _minimised(bowl.f_and_grad, rng.standard_normal(8), 10, 100)(play)
    valley, _, _ = _minimised(rosenbrock, np.array([-1.0, -1.0]), 10, 100)(play)
    return {"minimum of an ill-conditioned bowl": x, "minimum of Rosenbrock's valley": valley, **_from_a_hill(play, rng)}


def _wells(x: Any) -> tuple[float, Array]:
    """sum((x^2 - 1)^2), a well at every corner of a cube and a hill between them: value and gradient."""
    x = np.clip(np.asarray(x, dtype=float), -1e3, 1e3)
    return float(np.sum((x**2 - 1) ** 2)), 4 * x * (x**2 - 1)


def _from_a_hill(play: Functions, rng: np.random.Generator) -> Observations:
    """Near the top of a hill the first steps have s.y < 0: a pair kept there sends the next step uphill, for good. From one
    start in a thousand it comes back by luck, so there are three."""
    found: Observations = {}
    for number in (1, 2, 3):
        x, _, _ = _minimised(_wells, rng.choice([-1.0, 1.0], 3) * rng.uniform(0.002, 0.006, 3))(play)
        ends = bool(np.shape(x) == (3,) and _wells(x)[0] < 1e-8)
        found[f"ends in a well when it starts on a hill, start {number}"] = ends
    return found


def _is_thrifty(play: Functions, rng: np.random.Generator) -> Observations:
    bowl = Bowl(rng, 8, condition=100)
    x, _, calls = _minimised(bowl.f_and_grad, rng.standard_normal(8), 10, 120)(play)
    solved = np.shape(x) == (8,) and bool(np.max(np.abs(bowl.grad(x))) <= 1e-5)
    _, of_two, _ = _minimised(bowl.f_and_grad, bowl.b, 2, 12)(play)
    _, of_three, _ = _minimised(bowl.f_and_grad, bowl.b, 3, 12)(play)
    return {
        "bowl solved within the budget": bool(solved and 0 < calls <= BUDGET),
        "with m=3 it remembers more than with m=2": of_two != of_three,
    }


def _keeps_books(play: Functions, rng: np.random.Generator) -> Observations:
    bowl, x0 = Bowl(rng, 8, condition=100), rng.standard_normal(8)
    x, history, _ = _minimised(bowl.f_and_grad, x0, 5, 100)(play)
    last = bool(history and np.shape(x) == (8,) and abs(bowl.f(x) - history[-1]) <= 1e-9 * abs(history[-1]))
    found = {"first value is f(x0)": history[0] if history else None, "last value is f(x)": last}
    _, beyond, _ = _minimised(_beyond_the_bottom, np.array([-0.4, 0.0]))(play)
    x, one, _ = _minimised(_wide, np.array([20.0, -30.0]), 10, 1)(play)
    taken = bool(len(one) == 2 and np.shape(x) == (2,) and abs(_wide(x)[0] - one[-1]) <= 1e-9 * abs(one[-1]))
    return found | {
        "the second value is f(x) after one step": taken,
        "values never grow": _never_grows(history),
        "values never grow where the first trial lands a hair too high": _never_grows(beyond),
    }


def _never_grows(values: Sequence[float]) -> bool:
    return len(values) > 1 and all(b <= a + 1e-9 * abs(a) for a, b in itertools.pairwise(values))


def _wide(x: Any) -> tuple[float, Array]:
    """A bowl so wide that steps of very different lengths all pay: value and gradient."""
    x = np.asarray(x, dtype=float)
    return 0.05 * float(x @ x), 0.1 * x


def _beyond_the_bottom(x: Any) -> tuple[float, Array]:
    """A parabola, value and gradient, steeper than x^2 by a hair: the step -g leads to the other side and, from (-0.4, 0), 2e-5
    higher. That is too little for a line search that forgives 1e-4 of the slope. All values are negative."""
    x = np.asarray(x, dtype=float)
    return (1 + 3e-5) * float(x @ x) - 5.0, 2 * (1 + 3e-5) * x


def _flat(x: Any) -> tuple[float, Array]:
    """sum(x^4), so flat at the bottom that each step makes the gradient two or three times smaller, no more."""
    x = np.clip(np.asarray(x, dtype=float), -1e3, 1e3)
    return float(np.sum(x**4)), 4 * x**3


def _stops(play: Functions, rng: np.random.Generator) -> Observations:
    bowl, x0 = Bowl(rng, 6, condition=100), 3 * rng.standard_normal(6)
    _, short, _ = _minimised(bowl.f_and_grad, x0, 5, 3, 1e-12)(play)
    x, _, _ = _minimised(bowl.f_and_grad, x0, 5, 60, 1.0)(play)
    _, at_once, _ = _minimised(bowl.f_and_grad, bowl.bottom(), 5, 20)(play)
    steep = Bowl(rng, 12, condition=1e5)
    plain, told = (_minimised(steep.f_and_grad, steep.b, *settings)(play)[1] for settings in ((), (10, 100, 1e-6)))
    slow, slow_told = (_minimised(_flat, np.array([1.0, -0.7]), *settings)(play)[1] for settings in ((), (10, 100, 1e-6)))
    try:
        slope = float(np.max(np.abs(bowl.grad(x))))
    except (TypeError, ValueError):
        slope = float("nan")
    return {
        "m=10, max_iter=100 and tol=1e-6 where none is given": plain == told and slow == slow_told,
        "values after max_iter=3": len(short),
        "stops once the gradient is below a large tol": bool(1e-3 < slope <= 1.0),
        "takes no step from a minimum": len(at_once),
    }


MINIMUM_TOLERANCE = 1e-4
"""tol = 1e-6 on the gradient leaves x within about 1e-6; in Rosenbrock's flat valley within 1e-5."""

LBFGS_MINIMIZE = Exercise(
    name="lbfgs_minimize",
    asks="Put it together: L-BFGS with a line search.",
    reference=lbfgs_minimize,
    returns=("x", "history"),
    checks=(
        equals("finds the minimum of a bowl and of Rosenbrock's valley", 3, _solves, tolerance=MINIMUM_TOLERANCE),
        equals("does so in few evaluations, remembering m pairs", 1, _is_thrifty),
        equals("returns the values, f(x0) first, f(x) last and never growing", 1, _keeps_books),
        equals("stops at max_iter, 100 by default, and when no entry of the gradient exceeds tol, 1e-6", 1, _stops),
        leaves_inputs(1, _keeps_books),
    ),
    misconceptions=(
        Misconception(
            "gradient-descent",
            "Your minimiser learns no curvature: it needs as many steps as gradient descent. Use the pairs.",
            {"lbfgs_minimize": lambda fg, x0, m=10, max_iter=100, tol=1e-6: _without_pairs(fg, x0, max_iter, tol)},
        ),
        Misconception(
            "start-left-out",
            "Your history lacks f(x0).",
            {
                "lbfgs_minimize": lambda fg, x0, m=10, max_iter=100, tol=1e-6: _change_history(
                    lbfgs_minimize(fg, x0, m, max_iter, tol), lambda h: h[1:]
                )
            },
        ),
        Misconception(
            "tol-ignored",
            "You always run until max_iter. Stop when no entry of the gradient exceeds tol.",
            {"lbfgs_minimize": lambda fg, x0, m=10, max_iter=100, tol=1e-6: lbfgs_minimize(fg, x0, m, max_iter, 0.0)},
        ),
        Misconception(
            "m-ignored",
            "You keep every pair, or a fixed number of them. Forget the oldest when there are more than m.",
            {"lbfgs_minimize": lambda fg, x0, m=10, max_iter=100, tol=1e-6: lbfgs_minimize(fg, x0, 10, max_iter, tol)},
        ),
        Misconception(
            "max-iter-ignored",
            "You do not stop at max_iter.",
            {"lbfgs_minimize": lambda fg, x0, m=10, max_iter=100, tol=1e-6: lbfgs_minimize(fg, x0, m, 60, tol)},
        ),
        Misconception(
            "gradient-norms-recorded",
            "Your history holds the sizes of the gradients. It holds the values of f.",
            {
                "lbfgs_minimize": lambda fg, x0, m=10, max_iter=100, tol=1e-6: _change_history(
                    lbfgs_minimize(fg, x0, m, max_iter, tol), lambda h: [float(np.linalg.norm(fg(x0)[1]))] * len(h)
                )
            },
        ),
    ),
    hints=(
        "Which of your functions give the direction, and which the length of the step?",
        "After each step keep s (the step) and y (the change of the gradient), and forget the oldest when there are more than m.",
        "Loop: stop if the gradient is small; direction; shorten the step until it pays; new pair if s . y > 0; note the value.",
    ),
    builds_on=("lbfgs_direction",),
)


def _change_history(result: tuple[Array, list[float]], change: Callable[[list[float]], list[float]]) -> Any:
    x, history = result
    return x, change(history)


def _without_pairs(f_and_grad: Callable[..., Any], x0: Array, max_iter: int, tol: float) -> tuple[Array, list[float]]:
    x = np.array(x0, dtype=float)
    value, grad = f_and_grad(x)
    history = [float(value)]
    for _ in range(max_iter):
        if np.max(np.abs(grad)) <= tol:
            break
        alpha = 1.0
        while alpha > 1e-12 and f_and_grad(x - alpha * grad)[0] > value - 1e-4 * alpha * float(grad @ grad):
            alpha /= 2
        x = x - alpha * grad
        value, grad = f_and_grad(x)
        history.append(float(value))
    return x, history


# --- newton_memory_bytes --------------------------------------------------------------------------------------------


def newton_memory_bytes(n_params: int) -> int:
    """Bytes of a Hessian of ``n_params`` parameters in float64: 8 n^2."""
    return 8 * n_params**2


def _memory(play: Functions, rng: np.random.Generator) -> Observations:
    return {f"bytes for {n:,} parameters": play.newton_memory_bytes(n) for n in (3, 1000, 10_000_000)}


NEWTON_MEMORY_BYTES = Exercise(
    name="newton_memory_bytes",
    asks="What Newton's matrix would weigh.",
    reference=newton_memory_bytes,
    returns=("bytes",),
    checks=(equals("counts the bytes of a full Hessian in float64", 1, _memory, tolerance=1e-9),),
    misconceptions=(
        Misconception(
            "entries-not-bytes",
            "You count the entries. Each takes 8 bytes in float64.",
            {"newton_memory_bytes": lambda n: n**2},
        ),
        Misconception(
            "gradient-only",
            "That is the gradient's memory. A Hessian has a row for each parameter.",
            {"newton_memory_bytes": lambda n: 8 * n},
        ),
        Misconception(
            "float32",
            "You count 4 bytes an entry: float32. Here it is float64.",
            {"newton_memory_bytes": lambda n: 4 * n**2},
        ),
        Misconception("bits", "You count bits. A byte has 8.", {"newton_memory_bytes": lambda n: 64 * n**2}),
        Misconception(
            "one-triangle",
            "You store one triangle only. Asked for is the full matrix.",
            {"newton_memory_bytes": lambda n: 8 * n * (n + 1) // 2},
        ),
    ),
    hints=(
        "How many second derivatives does a function of n variables have?",
        "A float64 takes 8 bytes.",
        "Rows times columns times bytes.",
    ),
)

EXERCISES = (
    QUADRATIC_MODEL,
    NEWTON_STEP,
    HESSIAN_VECTOR_PRODUCT,
    BACKTRACKING_LINE_SEARCH,
    BFGS_UPDATE,
    LBFGS_DIRECTION,
    LBFGS_MINIMIZE,
    NEWTON_MEMORY_BYTES,
)
