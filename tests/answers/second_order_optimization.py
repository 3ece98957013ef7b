"""Answers to assignment 05, right and wrong."""

from __future__ import annotations

import numpy as np

# --- right ----------------------------------------------------------------------------------------------------------


def model_by_einsum(f, grad, hess, x0, x):
    step = x - x0
    return f(x0) + np.einsum("i,i", grad(x0), step) + 0.5 * np.einsum("i,ij,j", step, hess(x0), step)


def model_looping(f, grad, hess, x0, x):
    value, g, H = f(x0), grad(x0), hess(x0)
    for i in range(len(x0)):
        value += g[i] * (x[i] - x0[i])
        for j in range(len(x0)):
            value += 0.5 * H[i][j] * (x[i] - x0[i]) * (x[j] - x0[j])
    return value


def newton_by_lstsq(grad, hess):
    return np.linalg.lstsq(hess, -grad, rcond=1e-15)[0]


def product_along(grad_fn, x, v, h=1e-5):
    above, below = grad_fn(x + h * v), grad_fn(x - h * v)
    return np.array([(a - b) / (h + h) for a, b in zip(above, below, strict=True)])


def search_for_loop(f, x, direction, grad, alpha0=1.0, rho=0.5, c=1e-4):
    here, promised = f(x), c * np.sum(grad * direction)
    for k in range(1000):
        alpha = alpha0 * rho**k
        if f(x + alpha * direction) <= here + alpha * promised:
            return alpha
    raise RuntimeError("no step pays")


def search_recursive(f, x, direction, grad, alpha0=1.0, rho=0.5, c=1e-4):
    if f(x + alpha0 * direction) - f(x) <= c * alpha0 * (grad @ direction):
        return np.float64(alpha0)
    return search_recursive(f, x, direction, grad, alpha0 * rho, rho, c)


def bfgs_expanded(B, s, y):
    """Multiplied out: no matrix products of cubic cost."""
    sy = s @ y
    if not sy > 0:
        return B.copy()
    By = B @ y
    return B + (1 + y @ By / sy) * np.outer(s, s) / sy - (np.outer(By, s) + np.outer(s, By)) / sy


def bfgs_by_columns(B_inv, s, y):
    s, y = s[:, None], y[:, None]
    rho_inverse = float((s.T @ y)[0, 0])
    if rho_inverse <= 0:
        return B_inv
    V = np.eye(len(s)) - y @ s.T / rho_inverse
    return V.T @ B_inv @ V + s @ s.T / rho_inverse


def lbfgs_by_matrix(grad, s_list, y_list):
    """The matrix that the two loops avoid, built pair by pair."""
    if not len(s_list):
        return -grad
    B = np.eye(len(grad)) * (s_list[-1] @ y_list[-1]) / (y_list[-1] @ y_list[-1])
    for s, y in zip(s_list, y_list, strict=True):
        B = bfgs_expanded(B, s, y)
    return -(B @ grad)


def lbfgs_by_index(grad, s_list, y_list):
    q, k = grad.copy(), len(s_list)
    a, rho = np.zeros(k), [1.0 / np.dot(y_list[i], s_list[i]) for i in range(k)]
    for i in range(k - 1, -1, -1):
        a[i] = rho[i] * np.dot(s_list[i], q)
        q -= a[i] * y_list[i]
    r = q if k == 0 else q * (np.dot(s_list[-1], y_list[-1]) / np.dot(y_list[-1], y_list[-1]))
    for i in range(k):
        b = rho[i] * np.dot(y_list[i], r)
        r = r + s_list[i] * (a[i] - b)
    return -r


def minimizer(
    direction_of, shrink, first=None, share=1e-4, keeps=lambda sy: sy > 0, size=lambda g: max(1.0, np.linalg.norm(g))
):
    """``first`` is the first trial step; None divides the very first by the gradient's ``size``. A step pays that falls by
    ``share`` of the slope; ``keeps`` says of s . y whether the pair is remembered."""

    def minimize(f_and_grad, x0, m=10, max_iter=100, tol=1e-6):
        x = x0.copy()
        f, g = f_and_grad(x)
        values, ss, ys = [f], [], []
        for _ in range(max_iter):
            if np.abs(g).max() <= tol:
                break
            d = direction_of(g, ss, ys)
            alpha = first or (1.0 if ss else 1.0 / size(g))
            for _ in range(60):
                new_f, new_g = f_and_grad(x + alpha * d)
                if new_f <= f + share * alpha * (g @ d):
                    break
                alpha *= shrink
            s, y = alpha * d, new_g - g
            x, f, g = x + s, new_f, new_g
            values.append(f)
            if keeps(s @ y):
                ss.append(s)
                ys.append(y)
                if len(ss) > m:
                    ss.pop(0)
                    ys.pop(0)
        return x, values

    return minimize


MINIMIZE = minimizer(lbfgs_by_index, 0.5)


def _with_another_second(f_and_grad, x0, result):
    """The value after the first step is that of a whole step, where that pays, too."""
    x, values = result
    whole = f_and_grad(x0 - f_and_grad(x0)[1])[0]
    return x, [*values[:1], *(min(max(whole, *values[2:3]), value) for value in values[1:2]), *values[2:]]


def _without_the_last(result):
    x, values = result
    return x, values[:-1] if len(values) > 2 else values


RIGHT = {
    "quadratic_model": {"einsum": model_by_einsum, "looping": model_looping},
    "newton_step": {"solve": lambda g, H: np.linalg.solve(H, -g), "least-squares": newton_by_lstsq},
    "hessian_vector_product": {
        "one-line": lambda g, x, v, h=1e-5: (g(x + h * v) - g(x - h * v)) / (2 * h),
        "entry-by-entry": product_along,
    },
    "backtracking_line_search": {"for-loop": search_for_loop, "recursive": search_recursive},
    "bfgs_update": {"multiplied-out": bfgs_expanded, "columns": bfgs_by_columns},
    "lbfgs_direction": {"by-the-matrix": lbfgs_by_matrix, "by-index": lbfgs_by_index},
    "lbfgs_minimize": {
        "halving": minimizer(lbfgs_by_index, 0.5),
        "by-thirds": minimizer(lbfgs_by_matrix, 1 / 3),
        "always-from-one": minimizer(lbfgs_by_index, 0.5, first=1.0),
    },
    "newton_memory_bytes": {
        "as-a-float": lambda n: 8.0 * n * n,
        "by-numpy": lambda n: n * n * np.dtype(np.float64).itemsize,
    },
}

# --- wrong ----------------------------------------------------------------------------------------------------------

WRONG = {
    "quadratic_model": {
        "hessian-at-x": lambda f, g, H, x0, x: f(x0) + g(x0) @ (x - x0) + (x - x0) @ H(x) @ (x - x0) / 2,
        "f-itself": lambda f, g, H, x0, x: f(x),
        "quarter": lambda f, g, H, x0, x: f(x0) + g(x0) @ (x - x0) + (x - x0) @ H(x0) @ (x - x0) / 4,
    },
    "newton_step": {
        "explicit-inverse": lambda g, H: -(np.linalg.inv(H) @ g),
        "half-a-step": lambda g, H: -np.linalg.solve(H, g) / 2,
        "damped": lambda g, H: -np.linalg.solve(H + 0.1 * np.eye(len(g)), g),
        "normalised": lambda g, H: -np.linalg.solve(H, g) / np.linalg.norm(np.linalg.solve(H, g)),
    },
    "hessian_vector_product": {
        "gradient-times-v": lambda g, x, v, h=1e-5: np.asarray(g(x)) * v,
        "elementwise": lambda g, x, v, h=1e-5: (np.asarray(g(x + h)) - np.asarray(g(x - h))) / (2 * h) * v,
        "minus": lambda g, x, v, h=1e-5: -product_along(g, x, v, h),
        "another-default-step": lambda g, x, v, h=1e-4: product_along(g, x, v, h),
    },
    "backtracking_line_search": {
        "c-of-one-half": lambda f, x, d, g, alpha0=1.0, rho=0.5, c=1e-4: search_for_loop(f, x, d, g, alpha0, rho, 0.5),
        "another-default-alpha0": lambda f, x, d, g, alpha0=0.5, rho=0.5, c=1e-4: search_for_loop(f, x, d, g, alpha0, rho, c),
        "another-default-c": lambda f, x, d, g, alpha0=1.0, rho=0.5, c=1e-3: search_for_loop(f, x, d, g, alpha0, rho, c),
        "alpha0-always": lambda f, x, d, g, alpha0=1.0, rho=0.5, c=1e-4: alpha0,
        "the-power-not-alpha": lambda f, x, d, g, alpha0=1.0, rho=0.5, c=1e-4: round(
            np.log(search_for_loop(f, x, d, g, alpha0, rho, c) / alpha0) / np.log(rho)
        ),
    },
    "bfgs_update": {
        "short-steps-skipped": lambda B, s, y: bfgs_by_columns(B, s, y) if s @ y > 0.5 else B,
        "updates-where-s.y-is-0": lambda B, s, y: B if s @ y < 0 else bfgs_by_columns(B, s, y) / (1.0 if s @ y else np.nan),
        "symmetric-rank-one": lambda B, s, y: B + np.outer(s - B @ y, s - B @ y) / ((s - B @ y) @ y),
        "skips-always": lambda B, s, y: B,
        "skips-small-ones": lambda B, s, y: B if s @ y < 1e3 else bfgs_expanded(B, s, y),
        "identity-where-skipped": lambda B, s, y: np.eye(len(s)) if s @ y <= 0 else bfgs_expanded(B, s, y),
    },
    "lbfgs_direction": {
        "oldest-forgotten": lambda g, s, y: lbfgs_by_index(g, s[1:], y[1:]),
        "lists-swapped": lambda g, s, y: lbfgs_by_index(g, y, s),
        "unit-length": lambda g, s, y: lbfgs_by_index(g, s, y) / np.linalg.norm(lbfgs_by_index(g, s, y)),
    },
    "lbfgs_minimize": {
        "start-returned": lambda fg, x0, m=10, max_iter=100, tol=1e-6: (
            x0,
            minimizer(lbfgs_by_index, 0.5)(fg, x0, m, max_iter, tol)[1],
        ),
        "one-pair-of-memory-and-few-steps": lambda fg, x0, m=10, max_iter=100, tol=1e-6: minimizer(lbfgs_by_index, 0.5)(
            fg, x0, 1, min(max_iter, 6), tol
        ),
        "history-of-points": lambda fg, x0, m=10, max_iter=100, tol=1e-6: (
            minimizer(lbfgs_by_index, 0.5)(fg, x0, m, max_iter, tol)[0],
            [list(x0)] * 3,
        ),
        "keeps-pairs-of-negative-curvature": minimizer(lbfgs_by_index, 0.5, keeps=lambda sy: True),
        "sized-by-the-sum-of-the-gradient": minimizer(lbfgs_by_index, 0.5, size=lambda g: g.sum() or 1.0),
        "second-value-of-another-step": lambda fg, x0, m=10, max_iter=100, tol=1e-6: _with_another_second(
            fg, x0, MINIMIZE(fg, x0, m, max_iter, tol)
        ),
        "climbs-a-little": minimizer(lbfgs_by_index, 0.5, share=-1e-4),
        "another-default-tol": lambda fg, x0, m=10, max_iter=100, tol=1e-5: MINIMIZE(fg, x0, m, max_iter, tol),
        "another-default-max-iter": lambda fg, x0, m=10, max_iter=99, tol=1e-6: MINIMIZE(fg, x0, m, max_iter, tol),
        "another-default-m": lambda fg, x0, m=11, max_iter=100, tol=1e-6: MINIMIZE(fg, x0, m, max_iter, tol),
        "last-value-left-out": lambda fg, x0, m=10, max_iter=100, tol=1e-6: _without_the_last(MINIMIZE(fg, x0, m, max_iter, tol)),
    },
    "newton_memory_bytes": {
        "cubed": lambda n: 8 * n**3,
        "in-gigabytes": lambda n: 8 * n**2 / 1e9,
        "gradient-too": lambda n: 8 * n**2 + 8 * n,
    },
}

DEFECTS: dict[tuple[str, str], str] = {}
