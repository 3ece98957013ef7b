"""Answers to assignment 00, right and wrong."""

from __future__ import annotations

import warnings

import numpy as np

# --- relative_error, right ------------------------------------------------------------------------------------------


def relative_error_in_one_line(a, b):
    return np.max(np.abs(a - b) / np.maximum(1e-8, np.abs(a) + np.abs(b)))


def relative_error_looping(a, b):
    worst = 0.0
    for one, other in zip(np.ravel(a).tolist(), np.ravel(b).tolist(), strict=True):
        if one != other:
            worst = max(worst, abs(one - other) / (abs(one) + abs(other)))
    return worst


def relative_error_noisily(a, b):
    print("a, b:", a, b)
    warnings.warn("a student's own warning", stacklevel=1)
    np.log(0.0)
    quotient = np.abs(np.subtract(a, b)) / (np.abs(a) + np.abs(b))  # 0 / 0 warns as well
    return np.nanmax(np.append(np.ravel(quotient), 0.0))


def relative_error_in_float32(a, b):
    a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
    return (np.abs(a - b) / (np.abs(a) + np.abs(b) + np.float32(1e-12))).max(keepdims=True).ravel()


def relative_error_by_where(a, b):
    total = np.atleast_1d(np.abs(a) + np.abs(b))
    return np.divide(np.atleast_1d(np.abs(np.subtract(a, b))), total, out=np.zeros(total.shape), where=total > 0).max()


# --- numerical_gradient, right --------------------------------------------------------------------------------------


def numerical_gradient_by_nditer(f, x, df, h=1e-5):
    """As in the public course's ``gradient_check.py``."""
    grad = np.zeros_like(x)
    it = np.nditer(x, flags=["multi_index"], op_flags=["readwrite"])
    while not it.finished:
        ix = it.multi_index
        oldval = x[ix]
        x[ix] = oldval + h
        pos = f(x).copy()
        x[ix] = oldval - h
        neg = f(x).copy()
        x[ix] = oldval
        grad[ix] = np.sum((pos - neg) * df) / (2 * h)
        it.iternext()
    return grad


def numerical_gradient_by_unit_vectors(f, x, df, h=1e-5):
    """A list where x has one axis."""
    units = np.eye(x.size).reshape(-1, *x.shape)
    slopes = [np.vdot(f(x + h * e), df) / (2 * h) - np.vdot(f(x - h * e), df) / (2 * h) for e in units]
    return slopes if x.ndim == 1 else np.array(slopes).reshape(x.shape)


def numerical_gradient_stepping_back(f, x, df, h=1e-5):
    """Steps the flat view and undoes the steps, which leaves rounding behind."""
    flat, grad = x.reshape(-1), []
    for k in range(len(flat)):
        flat[k] += h
        above = float((f(x) * df).sum())
        flat[k] -= 2 * h
        below = float((f(x) * df).sum())
        flat[k] += h
        grad.append((above - below) / (2 * h))
    return np.array(grad).reshape(x.shape)


# --- directional_gradient, right ------------------------------------------------------------------------------------


def directional_gradient_in_one_line(f, x, df, v, h=1e-5):
    return np.sum(df * (f(x + h * v) - f(x - h * v))) / (2 * h)


def directional_gradient_looping(f, x, df, v, h=1e-5):
    above, below = np.array(x), np.array(x)
    for index in np.ndindex(x.shape):
        above[index] += h * v[index]
        below[index] -= h * v[index]
    total = 0.0
    for up, down, weight in zip(np.ravel(f(above)), np.ravel(f(below)), np.ravel(df), strict=True):
        total += (up - down) * weight
    return np.array([total / (2 * h)])


def directional_gradient_in_place(f, x, df, v, h=1e-5):
    print("along", v)
    x += h * v
    above = np.tensordot(f(x), df, df.ndim)
    x -= 2 * h * v
    below = np.tensordot(f(x), df, df.ndim)
    x += h * v
    return (above - below) * 0.5 / h


RIGHT = {
    "relative_error": {
        "in-one-line": relative_error_in_one_line,
        "looping": relative_error_looping,
        "noisily": relative_error_noisily,
        "in-float32": relative_error_in_float32,
        "by-where": relative_error_by_where,
    },
    "numerical_gradient": {
        "by-nditer": numerical_gradient_by_nditer,
        "by-unit-vectors": numerical_gradient_by_unit_vectors,
        "stepping-back": numerical_gradient_stepping_back,
    },
    "directional_gradient": {
        "in-one-line": directional_gradient_in_one_line,
        "looping": directional_gradient_looping,
        "in-place": directional_gradient_in_place,
    },
}

# --- wrong ----------------------------------------------------------------------------------------------------------


def quotients(a, b):
    return np.abs(np.subtract(a, b)) / np.maximum(1e-12, np.abs(a) + np.abs(b))


def subtracting_in_place(a, b):
    worst = np.max(quotients(a, b))
    if isinstance(a, np.ndarray):
        a -= b
    return worst


def wrong_sign(f, x, df, h=1e-5):
    return -numerical_gradient_by_nditer(f, x, df, h)


def last_entry_left_stepped(f, x, df, h=1e-5):
    grad = numerical_gradient_by_nditer(f, x, df, h)
    x.flat[-1] += h
    return grad


def gradient_of_the_sums(f, x, df, h=1e-5):
    return numerical_gradient_by_nditer(lambda x: np.sum(f(x)), x, np.sum(df), h)


def matrices_only(f, x, df, h=1e-5):
    if x.ndim != 2:
        raise ValueError("x should be a matrix")
    return numerical_gradient_by_nditer(f, x, df, h)


def five_points(f, x, df, h=1e-5):
    fine = numerical_gradient_by_nditer(f, x, df, h)
    return (4 * fine - numerical_gradient_by_nditer(f, x, df, 2 * h)) / 3


def all_entries_at_once(f, x, df, h=1e-5):
    return np.full(x.shape, np.sum((f(x + h) - f(x - h)) * df) / (2 * h))


def directional_backward_only(f, x, df, v, h=1e-5):
    return np.sum((f(x) - f(x - h * v)) * df) / h


def directional_left_stepped(f, x, df, v, h=1e-5):
    slope = directional_gradient_in_one_line(f, x, df, v, h)
    x += h * v
    return slope


WRONG = {
    "relative_error": {
        "entry-by-entry": quotients,
        "the-smallest": lambda a, b: np.min(quotients(a, b)),
        "the-median": lambda a, b: np.median(quotients(a, b)),
        "the-sum": lambda a, b: np.sum(quotients(a, b)),
        "in-percent": lambda a, b: 100 * np.max(quotients(a, b)),
        "squared": lambda a, b: np.max(quotients(a, b)) ** 2,
        "twice": lambda a, b: np.max(2 * quotients(a, b)),
        "only-the-first-array-below": lambda a, b: np.max(np.abs(a - b) / np.maximum(1e-12, np.abs(a))),
        "tiny-is-not-tiny": lambda a, b: np.max(np.abs(a - b) / np.maximum(1.0, np.abs(a) + np.abs(b))),
        "tiny-is-added-and-not-tiny": lambda a, b: np.max(np.abs(a - b) / (1e-3 + np.abs(a) + np.abs(b))),
        "a-truth-value": lambda a, b: bool(np.any(quotients(a, b) > 0)),
        "always-1": lambda a, b: 1.0,
        "always-close": lambda a, b: 0.0 if np.allclose(a, b, rtol=10) else 1.0,
        "matrices-only": lambda a, b: np.max(quotients(a, b), axis=(0, 1)),
        "largest-of-the-first-row": lambda a, b: np.max(np.atleast_2d(quotients(a, b))[0]),
        "an-integer-beyond-all-floats": lambda a, b: 2**4000,
        "subtracting-in-place": subtracting_in_place,
    },
    "numerical_gradient": {
        "wrong-sign": wrong_sign,
        "flattened": lambda f, x, df, h=1e-5: numerical_gradient_by_nditer(f, x, df, h).ravel(),
        "transposed": lambda f, x, df, h=1e-5: numerical_gradient_by_nditer(f, x, df, h).T,
        "of-the-sums": gradient_of_the_sums,
        "half-the-step": lambda f, x, df, h=1e-5: numerical_gradient_by_nditer(f, x, df, h / 2),
        "another-default-step": lambda f, x, df, h=1e-3: numerical_gradient_by_nditer(f, x, df, h),
        "five-points": five_points,
        "matrices-only": matrices_only,
        "all-entries-at-once": all_entries_at_once,
        "last-entry-left-stepped": last_entry_left_stepped,
        "its-input": lambda f, x, df, h=1e-5: x,
        "its-df": lambda f, x, df, h=1e-5: df,
        "rounded": lambda f, x, df, h=1e-5: np.round(numerical_gradient_by_nditer(f, x, df, h), 2),
        "of-the-square": lambda f, x, df, h=1e-5: numerical_gradient_by_nditer(lambda x: f(x) ** 2, x, df, h),
    },
    "directional_gradient": {
        "wrong-sign": lambda f, x, df, v, h=1e-5: -directional_gradient_in_one_line(f, x, df, v, h),
        "the-size-only": lambda f, x, df, v, h=1e-5: abs(directional_gradient_in_one_line(f, x, df, v, h)),
        "not-summed": lambda f, x, df, v, h=1e-5: (f(x + h * v) - f(x - h * v)) * df / (2 * h),
        "backward-only": directional_backward_only,
        "along-the-sign": lambda f, x, df, v, h=1e-5: directional_gradient_in_one_line(f, x, df, np.sign(v), h),
        "divided-by-the-square": lambda f, x, df, v, h=1e-5: (
            directional_gradient_in_one_line(f, x, df, v, h) / np.sum(v * v)
        ),
        "half-the-step": lambda f, x, df, v, h=1e-5: directional_gradient_in_one_line(f, x, df, v, h / 2),
        "another-default-step": lambda f, x, df, v, h=1e-2: directional_gradient_in_one_line(f, x, df, v, h),
        "called-once-more": lambda f, x, df, v, h=1e-5: (
            0 * np.sum(f(x)) + directional_gradient_in_one_line(f, x, df, v, h)
        ),
        "left-stepped": directional_left_stepped,
        "df-normalised": lambda f, x, df, v, h=1e-5: directional_gradient_in_one_line(
            f, x, df / np.linalg.norm(df), v, h
        ),
    },
}

DEFECTS: dict[tuple[str, str], str] = {}
