"""Assignment 01, batch normalization: training and test time, two backward passes, convolutional, folded (Ioffe & Szegedy 2015)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autograder.checks import equals, gradients_of, leaves_inputs
from autograder.exercise import Check, Exercise, Functions, Misconception, Observations, Observe
from autograder.exercises.drawing import affine_parameters, columns, images

Array = np.ndarray
Params = dict[str, Any]

EPS = 1e-5
MOMENTUM = 0.9
NEGLIGIBLE_EPS = 1e-12
"""Where a claim is not about eps, eps is so small beside the variance that no mistake with it shows."""

# --- batchnorm_forward ----------------------------------------------------------------------------------------------


def batchnorm_forward(x: Array, gamma: Array, beta: Array, bn_param: Params) -> tuple[Array, Any]:
    """gamma * (x - mean) / sqrt(var + eps) + beta, per feature; batch statistics in training, running ones at test time.

    x (N, D), gamma and beta (D,). Writes running_mean and running_var (D,) to bn_param in training.
    """
    eps, momentum = bn_param.get("eps", EPS), bn_param.get("momentum", MOMENTUM)
    running_mean = bn_param.get("running_mean", np.zeros(x.shape[1]))
    running_var = bn_param.get("running_var", np.zeros(x.shape[1]))
    if bn_param["mode"] == "train":
        mean, var = x.mean(axis=0), x.var(axis=0)
        bn_param["running_mean"] = momentum * running_mean + (1 - momentum) * mean
        bn_param["running_var"] = momentum * running_var + (1 - momentum) * var
    else:
        mean, var = running_mean, running_var
    x_hat = (x - mean) / np.sqrt(var + eps)
    return gamma * x_hat + beta, (x, mean, var, eps, gamma)


def _train_output(play: Functions, rng: np.random.Generator) -> Observations:
    found = {}
    for n, d in ((9, 4), (5, 6)):
        gamma, beta = affine_parameters(rng, d)
        bn_param: Params = {"mode": "train", "eps": NEGLIGIBLE_EPS}
        for step in (1, 2):  # in the second, running statistics are there, and must play no part
            x = columns(rng, n, d, std=(4, 8), offset=60)
            out, _ = play.batchnorm_forward(x, gamma, beta, bn_param)
            found[f"out of step {step} for x of shape ({n}, {d})"] = out
    return found


def _train_eps(play: Functions, rng: np.random.Generator) -> Observations:
    n, d = 8, 5
    gamma, beta = affine_parameters(rng, d)
    small, smaller = columns(rng, n, d, std=(0.2, 0.6), offset=3), columns(rng, n, d, std=(0.002, 0.006), offset=1)
    smaller[:, 1] = smaller[0, 1]  # a feature that never changes
    given: Params = {"mode": "train", "eps": 0.2}
    return {
        "out with eps=0.2": play.batchnorm_forward(small, gamma, beta, given)[0],
        "out with eps=0.2, next step": play.batchnorm_forward(small[::-1].copy() * 1.5, gamma, beta, given)[0],
        "out with the default eps": play.batchnorm_forward(smaller, gamma, beta, {"mode": "train"})[0],
    }


def _running(statistic: str) -> Callable[[Functions, np.random.Generator], Observations]:
    """Three training steps from nothing with momentum 0.7, then one from given statistics with the default momentum."""

    def observe(play: Functions, rng: np.random.Generator) -> Observations:
        n, d = 6, 4
        gamma, beta = affine_parameters(rng, d)
        found = {}
        fresh: Params = {"mode": "train", "momentum": 0.7, "eps": 0.3}
        for step in (1, 2, 3):
            play.batchnorm_forward(columns(rng, n, d, std=(1, 3), offset=5), gamma, beta, fresh)
            if step != 2:
                found[f"{statistic} after training step {step}"] = fresh.get(statistic)
        given: Params = {"mode": "train", "running_mean": rng.uniform(-2, 2, d), "running_var": rng.uniform(1, 3, d)}
        play.batchnorm_forward(columns(rng, n, d, std=(1, 3), offset=5), gamma, beta, given)
        found[f"{statistic} with the default momentum"] = given.get(statistic)
        return found

    return observe


def _test_params(rng: np.random.Generator, d: int, eps: float | None) -> Params:
    """Statistics of a training set that the test batch does not resemble; large variances where eps is not the point."""
    low, high = (400.0, 900.0) if eps == NEGLIGIBLE_EPS else (0.5, 4.0)
    given: Params = {"mode": "test", "running_mean": rng.uniform(-3, 3, d), "running_var": rng.uniform(low, high, d)}
    return given if eps is None else {**given, "eps": eps}


def _test_output(play: Functions, rng: np.random.Generator) -> Observations:
    d = 4
    gamma, beta = affine_parameters(rng, d)
    found = {}
    for n in (6, 1):
        x = columns(rng, n, d, std=(40, 90), offset=80)
        out, _ = play.batchnorm_forward(x, gamma, beta, _test_params(rng, d, NEGLIGIBLE_EPS))
        found[f"test output for a batch of {n}"] = out
    return found


def _test_eps(play: Functions, rng: np.random.Generator) -> Observations:
    n, d = 3, 5
    gamma, beta = affine_parameters(rng, d)
    x = columns(rng, n, d, std=(1, 2), offset=2)
    nearly_constant = _test_params(rng, d, None)
    nearly_constant["running_var"] = rng.uniform(1e-5, 1e-4, d)
    return {
        "test output with eps=0.3": play.batchnorm_forward(x, gamma, beta, _test_params(rng, d, 0.3))[0],
        "test output with the default eps": play.batchnorm_forward(x, gamma, beta, nearly_constant)[0],
    }


def _both_modes(play: Functions, rng: np.random.Generator) -> Observations:
    return _train_output(play, rng) | _test_output(play, rng)


def _statistics_after_test(play: Functions, rng: np.random.Generator) -> Observations:
    d = 3
    gamma, beta = affine_parameters(rng, d)
    bn_param = _test_params(rng, d, 0.1)
    play.batchnorm_forward(columns(rng, 5, d, std=(1, 3), offset=9), gamma, beta, bn_param)
    return {f"{name} after a test batch": bn_param.get(name) for name in ("running_mean", "running_var")}


Statistics = Callable[[Array], tuple[Any, Any]]
Normalize = Callable[[Array, Any, Any, float], Array]


def _inside(x: Array, mean: Any, var: Any, eps: float) -> Array:
    return np.asarray((x - mean) / np.sqrt(var + eps))


def _outside(x: Array, mean: Any, var: Any, eps: float) -> Array:
    return np.asarray((x - mean) / (np.sqrt(var) + eps))


def _without_eps(x: Array, mean: Any, var: Any, eps: float) -> Array:
    return np.asarray((x - mean) / np.sqrt(var))


def _default_eps(x: Array, mean: Any, var: Any, eps: float) -> Array:
    return _inside(x, mean, var, EPS)


def _over_the_batch(x: Array) -> tuple[Any, Any]:
    return x.mean(axis=0), x.var(axis=0)


def _wrong(
    statistics: Statistics = _over_the_batch,
    train: Normalize = _inside,
    test: Normalize = _inside,
    stored: Callable[[Array, Any, Any, float], Params] = lambda x, mean, var, eps: {
        "running_mean": mean,
        "running_var": var,
    },
    average: Callable[[Any, Any, float], Any] = lambda old, new, momentum: momentum * old + (1 - momentum) * new,
    started_at: Callable[[Any], Any] = np.zeros_like,
    test_statistics: Callable[[Array, Params], tuple[Any, Any]] | None = None,
    updates_at_test: bool = False,
    scaled_in: tuple[str, ...] = ("train", "test"),
) -> Callable[..., tuple[Array, Any]]:
    """A batchnorm_forward that goes wrong in the one way that an argument says."""

    def forward(x: Array, gamma: Array, beta: Array, bn_param: Params) -> tuple[Array, Any]:
        mode, eps, momentum = bn_param["mode"], bn_param.get("eps", EPS), bn_param.get("momentum", MOMENTUM)
        mean, var = statistics(x)
        if mode == "test" and test_statistics is None:
            mean, var = bn_param["running_mean"], bn_param["running_var"]
        elif mode == "test" and test_statistics is not None:
            mean, var = test_statistics(x, bn_param)
        if mode == "train" or updates_at_test:
            for name, new in stored(x, *statistics(x), eps).items():
                bn_param[name] = average(bn_param.get(name, started_at(new)), new, momentum)
        x_hat = (train if mode == "train" else test)(x, mean, var, eps)
        return (gamma * x_hat + beta if mode in scaled_in else x_hat), (x, mean, var, eps, gamma)

    return forward


def _given(x: Array, bn_param: Params) -> tuple[Any, Any]:
    return bn_param["running_mean"], bn_param["running_var"]


_IDEAS: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    (
        "batch-statistics-at-test-time",
        "Your test-time output equals the one computed with the test batch's own statistics. At test time use the running "
        "mean and variance: one example's answer must not depend on its neighbours.",
        _wrong(test_statistics=lambda x, bn_param: _over_the_batch(x)),
    ),
    (
        "mode-ignored",
        "Your function does the same in both modes: at test time it normalises with the test batch and even updates the "
        "running statistics. Look at bn_param['mode'].",
        _wrong(test_statistics=lambda x, bn_param: _over_the_batch(x), updates_at_test=True),
    ),
    (
        "eps-outside-the-root",
        "You divide by sqrt(var) + eps. eps is added to the variance, inside the root: sqrt(var + eps).",
        _wrong(train=_outside, test=_outside),
    ),
    (
        "eps-outside-the-root-at-test-time",
        "At test time you divide by sqrt(running_var) + eps. Inside the root, as in training: sqrt(running_var + eps).",
        _wrong(test=_outside),
    ),
    (
        "eps-outside-the-root-in-training",
        "In training you divide by sqrt(var) + eps. eps is added to the variance, inside the root.",
        _wrong(train=_outside),
    ),
    (
        "no-eps",
        "eps is not used: a feature that hardly varies is blown up, one that never varies gives nan.",
        _wrong(train=_without_eps, test=_without_eps),
    ),
    (
        "no-eps-at-test-time",
        "At test time eps is not used. It belongs inside the root there, too.",
        _wrong(test=_without_eps),
    ),
    ("no-eps-in-training", "In training eps is not used. It belongs inside the root.", _wrong(train=_without_eps)),
    (
        "eps-hard-coded",
        "You always use eps = 1e-5. Take it from bn_param; 1e-5 is only the default.",
        _wrong(train=_default_eps, test=_default_eps),
    ),
    (
        "not-scaled-at-test-time",
        "At test time gamma and beta are not applied. They are learned and belong to both modes.",
        _wrong(scaled_in=("train",)),
    ),
    ("not-scaled", "gamma and beta are not applied: the output is the normalised x itself.", _wrong(scaled_in=())),
    (
        "momentum-swapped",
        "Your running statistics weigh the new batch by momentum. Here the OLD average is weighed by momentum: "
        "momentum * running + (1 - momentum) * batch. (PyTorch's momentum is the complement.)",
        _wrong(average=lambda old, new, momentum: (1 - momentum) * old + momentum * new),
    ),
    (
        "momentum-hard-coded",
        "You always use momentum = 0.9. Take it from bn_param; 0.9 is only the default.",
        _wrong(average=lambda old, new, momentum: MOMENTUM * old + (1 - MOMENTUM) * new),
    ),
    (
        "running-statistics-are-the-last-batch",
        "Your running statistics are those of the last batch alone. Keep an average: momentum of the old, the rest new.",
        _wrong(average=lambda old, new, momentum: new),
    ),
    (
        "running-average-without-complement",
        "You add the whole of the new statistic: the weights momentum and 1 must be momentum and 1 - momentum.",
        _wrong(average=lambda old, new, momentum: momentum * old + new),
    ),
    (
        "running-average-starts-at-the-first-batch",
        "Your running average starts at the first batch's statistics. In this course it starts at zeros.",
        _wrong(started_at=lambda new: new),
    ),
    (
        "running-statistics-not-stored",
        "The running statistics never reach bn_param: at test time nothing would be there. Write both back to the dict.",
        _wrong(stored=lambda x, mean, var, eps: {}),
    ),
    (
        "running-variance-not-stored",
        "The running variance never reaches bn_param['running_var']. Write it back beside the running mean.",
        _wrong(stored=lambda x, mean, var, eps: {"running_mean": mean}),
    ),
    (
        "running-mean-not-stored",
        "The running mean never reaches bn_param['running_mean']. Write it back beside the running variance.",
        _wrong(stored=lambda x, mean, var, eps: {"running_var": var}),
    ),
    (
        "running-variance-with-eps",
        "Your running variance averages var + eps. Store the variance itself; eps is added where the root is taken.",
        _wrong(stored=lambda x, mean, var, eps: {"running_mean": mean, "running_var": var + eps}),
    ),
    (
        "running-standard-deviation",
        "Your running_var averages the standard deviation. Store the variance; take the root only where you normalise.",
        _wrong(stored=lambda x, mean, var, eps: {"running_mean": mean, "running_var": np.sqrt(var)}),
    ),
    (
        "unbiased-running-variance",
        "Your running variance divides by N - 1. This course divides by N (see the convention card).",
        _wrong(stored=lambda x, mean, var, eps: {"running_mean": mean, "running_var": var * len(x) / (len(x) - 1)}),
    ),
    (
        "unbiased-variance",
        "Looks like a variance divided by N - 1. This course divides by N (see the convention card).",
        _wrong(statistics=lambda x: (x.mean(axis=0), x.var(axis=0) * len(x) / max(1, len(x) - 1))),
    ),
    (
        "over-each-example",
        "Your statistics run over each example's features (axis 1): that is layer norm. Batch norm takes one mean for each "
        "feature, over the batch (axis 0).",
        _wrong(statistics=lambda x: (x.mean(axis=1, keepdims=True), x.var(axis=1, keepdims=True))),
    ),
    (
        "one-mean-for-all",
        "You use one mean and one variance for the whole array. Each feature has its own: average over the batch only.",
        _wrong(statistics=lambda x: (x.mean(), x.var())),
    ),
    (
        "statistics-updated-at-test-time",
        "The running statistics change during a test batch. The test data must leave no trace in the model.",
        _wrong(test_statistics=_given, updates_at_test=True),
    ),
    (
        "divided-by-the-variance",
        "You divide by the variance. Divide by its root, the standard deviation.",
        _wrong(
            train=lambda x, mean, var, eps: (x - mean) / (var + eps),
            test=lambda x, mean, var, eps: (x - mean) / (var + eps),
        ),
    ),
    (
        "mean-not-subtracted",
        "The mean is not subtracted before you divide.",
        _wrong(
            train=lambda x, mean, var, eps: x / np.sqrt(var + eps),
            test=lambda x, mean, var, eps: x / np.sqrt(var + eps),
        ),
    ),
)


BATCHNORM_FORWARD = Exercise(
    name="batchnorm_forward",
    asks="Normalise each feature over the batch in training, with running statistics at test time; then scale and shift.",
    reference=batchnorm_forward,
    returns=("out", "cache"),
    checks=(
        equals("normalises each feature over the batch, then scales by gamma and shifts by beta", 2, _train_output, single=True),
        equals("adds eps to the variance, inside the root", 1, _train_eps),
        equals("keeps the running mean for test time", 1, _running("running_mean"), loose=True),
        equals("keeps the running variance for test time", 1, _running("running_var"), loose=True),
        equals("uses the running statistics at test time", 2, _test_output),
        equals("adds eps inside the root at test time, too", 1, _test_eps),
        equals(
            "leaves the running statistics alone at test time", 1, _statistics_after_test, loose=True, supporting=True
        ),
        leaves_inputs(1, _both_modes),
    ),
    misconceptions=tuple(Misconception(id, message, {"batchnorm_forward": wrong}) for id, message, wrong in _IDEAS),
    hints=(
        "In training: how many means are there for x of shape (N, D)? And at test time, whose mean is it?",
        "x.mean(axis=0) and x.var(axis=0) give one number per feature. What must be in bn_param for the next call?",
        "Train: statistics of the batch, write both running averages back to bn_param. Test: take them from bn_param. "
        "Both: subtract, divide by the root of variance plus eps, scale, shift.",
    ),
)

# --- batchnorm_backward and batchnorm_backward_alt ------------------------------------------------------------------


def batchnorm_backward(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
    """Gradients of a training-mode forward, node by node through the graph. dout (N, D) -> dx (N, D), dgamma (D,), dbeta (D,)."""
    x, mean, var, eps, gamma = cache
    n, centred, inv_std = len(x), x - mean, 1 / np.sqrt(var + eps)
    dx_hat = dout * gamma
    dvar = np.sum(dx_hat * centred, axis=0) * -0.5 * inv_std**3
    dmean = -np.sum(dx_hat, axis=0) * inv_std  # the variance's own path to the mean is zero: the centred x sums to 0
    dx = dx_hat * inv_std + dvar * 2 * centred / n + dmean / n
    return dx, np.sum(dout * centred * inv_std, axis=0), np.sum(dout, axis=0)


def batchnorm_backward_alt(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
    """The same gradients in closed form: gamma / std / N * (N dout - sum(dout) - x_hat * sum(dout * x_hat))."""
    x, mean, var, eps, gamma = cache
    n, inv_std = len(x), 1 / np.sqrt(var + eps)
    x_hat = (x - mean) * inv_std
    dgamma, dbeta = np.sum(dout * x_hat, axis=0), np.sum(dout, axis=0)
    return gamma * inv_std / n * (n * dout - dbeta - x_hat * dgamma), dgamma, dbeta


def _backward_inputs(rng: np.random.Generator) -> tuple[Array, Array, Array, Params]:
    n, d = 6, 4
    return columns(rng, n, d, std=(1, 2), offset=4), *affine_parameters(rng, d), {"mode": "train", "eps": 0.4}


def _backward_played(name: str) -> Callable[[Functions, np.random.Generator], Observations]:
    def observe(play: Functions, rng: np.random.Generator) -> Observations:
        x, gamma, beta, bn_param = _backward_inputs(rng)
        _, cache = play.batchnorm_forward(x, gamma, beta, bn_param)
        dx, dgamma, dbeta = getattr(play, name)(rng.standard_normal(x.shape), cache)
        return {"dx": dx, "dgamma": dgamma, "dbeta": dbeta}

    return observe


def backward_checks(
    forward: Callable[..., Any], backward: str, draw: Any, *others: Any, dx_claim: str
) -> tuple[Check, ...]:
    """The three gradients of a normalization: dx counts for most, as it is where the work is."""
    claims = (dx_claim, "dgamma weighs the normalised x by the upstream gradient", "dbeta sums the upstream gradient")
    return gradients_of(forward, backward, ("x", "gamma", "beta"), draw, *others, points=(3, 1, 1), claims=claims)


DX_CLAIM = "dx is the gradient with respect to x, through mean and variance too"


def gradient_ideas(
    total: Callable[[Array, Any], Array], count: Callable[[Any], int], per_parameter: Callable[[Array], Array]
) -> dict[str, tuple[str, Callable[..., Any]]]:
    """Wrong backward passes of any normalization whose cache begins with (x, mean, var, eps, gamma), all broadcastable to x.

    ``total(array, cache)`` sums an array over the elements that share a mean, ``count(cache)`` says how many these are,
    ``per_parameter`` sums an array of the input's shape to one number for each gamma.
    """

    def backward(dx_of: Callable[..., Array]) -> Callable[[Array, Any], tuple[Array, Array, Array]]:
        """A backward pass whose dx comes from (g, x_hat, inv_std, mean_of): g = dout * gamma, mean_of over a mean's elements."""

        def wrong(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
            x, mean, var, eps, gamma = cache[:5]
            inv_std = 1 / np.sqrt(var + eps)
            x_hat = (x - mean) * inv_std
            dx = dx_of(dout * gamma, x_hat, inv_std, lambda array: total(array, cache) / count(cache), dout, cache)
            return dx, per_parameter(dout * x_hat), per_parameter(dout)

        return wrong

    def right(g: Array, x_hat: Array, inv_std: Any, mean_of: Callable[[Array], Array]) -> Array:
        return np.asarray(inv_std * (g - mean_of(g) - x_hat * mean_of(g * x_hat)))

    def parameters(change: Callable[[Array, Array, Any], tuple[Array, Array]]) -> Callable[[Array, Any], Any]:
        """A backward pass whose dx is right and whose dgamma and dbeta come from (dout, x_hat, x)."""

        def wrong(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
            x, mean, var, eps, gamma = cache[:5]
            x_hat = (x - mean) / np.sqrt(var + eps)
            dx, _, _ = backward(lambda g, h, s, m, dout, c: right(g, h, s, m))(dout, cache)
            return dx, *change(dout, x_hat, x)

        return wrong

    return {
        "variance-path-dropped": (
            "Your dx ignores that the variance depends on x: the path x -> variance -> output is missing.",
            backward(lambda g, h, s, m, dout, c: s * (g - m(g))),
        ),
        "mean-path-dropped": (
            "Your dx ignores that the mean depends on x: the path x -> mean -> output is missing.",
            backward(lambda g, h, s, m, dout, c: s * (g - h * m(g * h))),
        ),
        "both-paths-dropped": (
            "Your dx treats mean and variance as constants. Both depend on x; each gives a further term.",
            backward(lambda g, h, s, m, dout, c: s * g),
        ),
        "variance-path-with-the-wrong-sign": (
            "The term of your dx that comes through the variance has the wrong sign.",
            backward(lambda g, h, s, m, dout, c: s * (g - m(g) + h * m(g * h))),
        ),
        "gamma-forgotten": (
            "Your dx is right for gamma = 1. The first step back, from out to x_hat, multiplies by gamma.",
            backward(lambda g, h, s, m, dout, c: right(dout, h, s, m)),
        ),
        "sums-not-divided": (
            "In your dx the sums that come through mean and variance are not divided by the number of elements.",
            backward(lambda g, h, s, m, dout, c: s * (g - count(c) * (m(g) + h * m(g * h)))),
        ),
        "eps-forgotten": (
            "Your dx divides by sqrt(var) instead of sqrt(var + eps): eps is part of the forward and stays in its gradient.",
            backward(lambda g, h, s, m, dout, c: right(g, h, 1 / np.sqrt(c[2]), m)),
        ),
        "standard-deviation-forgotten": (
            "Your dx is too large by the standard deviation: the step from x_hat to x divides by sqrt(var + eps).",
            backward(lambda g, h, s, m, dout, c: right(g, h, 1.0, m)),
        ),
        "dgamma-from-x": (
            "Your dgamma weighs the upstream gradient by x itself; gamma multiplies the NORMALISED x.",
            parameters(lambda dout, h, x: (per_parameter(dout * x), per_parameter(dout))),
        ),
        "dgamma-averaged": (
            "Your dgamma and dbeta are means. They are sums: every example adds its share.",
            parameters(
                lambda dout, h, x: (
                    per_parameter(dout * h) * per_parameter(dout).size / dout.size,
                    per_parameter(dout) * per_parameter(dout).size / dout.size,
                )
            ),
        ),
        "dgamma-and-dbeta-swapped": (
            "Your dgamma and dbeta are swapped: the order is dx, dgamma, dbeta.",
            parameters(lambda dout, h, x: (per_parameter(dout), per_parameter(dout * h))),
        ),
    }


def _total(array: Array, cache: Any) -> Array:
    return array.sum(axis=0, keepdims=True)


def _count(cache: Any) -> int:
    return len(cache[0])


def _per_column(array: Array) -> Array:
    return array.sum(axis=0)


_GRADIENT_IDEAS = gradient_ideas(_total, _count, _per_column)


BATCHNORM_BACKWARD = Exercise(
    name="batchnorm_backward",
    asks="The gradients of batch norm in training, followed node by node through the computation graph.",
    reference=batchnorm_backward,
    returns=("dx", "dgamma", "dbeta"),
    checks=(
        *backward_checks(batchnorm_forward, "batchnorm_backward", _backward_inputs, dx_claim=DX_CLAIM),
        leaves_inputs(1, _backward_played("batchnorm_backward")),
    ),
    misconceptions=tuple(
        Misconception(id, message, {"batchnorm_backward": wrong}) for id, (message, wrong) in _GRADIENT_IDEAS.items()
    ),
    hints=(
        "On how many paths does one x[i, j] reach the output? Draw the graph: directly, through the mean, through the variance.",
        "Walk the graph from the end. A node that broadcasts forward sums backward; where paths meet, gradients add.",
        "dx_hat = dout * gamma. From it the gradients of var, then of mean, each summed over the batch; dx adds three terms: "
        "direct, through the variance (2 (x - mean) / N) and through the mean (1 / N).",
    ),
    needs=("batchnorm_forward",),
)

BATCHNORM_BACKWARD_ALT = Exercise(
    name="batchnorm_backward_alt",
    asks="The same gradients from the formula that you simplified on paper.",
    reference=batchnorm_backward_alt,
    returns=("dx", "dgamma", "dbeta"),
    checks=(
        *backward_checks(batchnorm_forward, "batchnorm_backward_alt", _backward_inputs, dx_claim=DX_CLAIM),
        leaves_inputs(1, _backward_played("batchnorm_backward_alt")),
    ),
    misconceptions=tuple(
        Misconception(id, message, {"batchnorm_backward_alt": wrong})
        for id, (message, wrong) in _GRADIENT_IDEAS.items()
    ),
    hints=(
        "Write dx with x_hat wherever you can. Which sums over the batch are left?",
        "The two sums are dbeta and dgamma, up to gamma. Both are divided by N.",
        "dx = gamma / sqrt(var + eps) / N times (N dout, minus one sum, minus x_hat times the other).",
    ),
    needs=("batchnorm_forward",),
)

# --- spatial batch norm ---------------------------------------------------------------------------------------------


def _rows(x: Array) -> Array:
    """(N, C, H, W) -> (N*H*W, C): every pixel of every image is one example with C features."""
    return x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1])


def _unrows(rows: Array, shape: tuple[int, ...]) -> Array:
    """(N*H*W, C) -> (N, C, H, W)."""
    n, c, h, w = shape
    return rows.reshape(n, h, w, c).transpose(0, 3, 1, 2)


def _row_by_row(
    forward: Callable[..., tuple[Array, Any]], rows: Array, gamma: Array, beta: Array, bn_param: Params
) -> tuple[Array, Any]:
    """A batch norm of rows whose running statistics may be given as (C,) or (1, C, 1, 1)."""
    given = {name: np.reshape(value, -1) for name, value in bn_param.items() if name.startswith("running_")}
    out, cache = forward(rows, gamma, beta, flat := bn_param | given)
    bn_param.update(flat)
    return out, cache


def _spatial(forward: Callable[..., Any]) -> Callable[..., tuple[Array, Any]]:
    """A batch norm for (N, D) used on images: statistics for each channel over all images and pixels."""

    def spatial_forward(x: Array, gamma: Array, beta: Array, bn_param: Params) -> tuple[Array, Any]:
        out, cache = _row_by_row(forward, _rows(x), gamma, beta, bn_param)
        return _unrows(out, x.shape), cache

    return spatial_forward


def spatial_batchnorm_forward(x: Array, gamma: Array, beta: Array, bn_param: Params) -> tuple[Array, Any]:
    """Batch norm of images: x (N, C, H, W), gamma and beta (C,), statistics over axes (0, 2, 3)."""
    out, cache = _row_by_row(batchnorm_forward, _rows(x), gamma, beta, bn_param)
    return _unrows(out, x.shape), cache


def spatial_batchnorm_backward(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
    """dout (N, C, H, W) -> dx (N, C, H, W), dgamma (C,), dbeta (C,)."""
    dx, dgamma, dbeta = batchnorm_backward(_rows(dout), cache)
    return _unrows(dx, dout.shape), dgamma, dbeta


StatisticsShape = tuple[int, ...]
_FLAT: StatisticsShape = (-1,)
_SPREAD: StatisticsShape = (1, -1, 1, 1)
"""Running statistics are (C,) here; a function that keeps them as (1, C, 1, 1) for itself is as right."""


def _spatial_test_params(rng: np.random.Generator, c: int, eps: float, shape: StatisticsShape) -> Params:
    given = _test_params(rng, c, eps)
    return given | {name: given[name].reshape(shape) for name in ("running_mean", "running_var")}


def _spatial_train(play: Functions, rng: np.random.Generator) -> Observations:
    found = {}
    for shape in ((3, 4, 2, 5), (2, 3, 4, 1)):
        gamma, beta = affine_parameters(rng, shape[1])
        bn_param: Params = {"mode": "train", "eps": NEGLIGIBLE_EPS}
        for step in (1, 2):
            x = images(rng, *shape, std=(4, 8), offset=60)
            out, _ = play.spatial_batchnorm_forward(x, gamma, beta, bn_param)
            found[f"out of step {step} for x of shape {shape}"] = out
    return found


def _spatial_eps(statistics: StatisticsShape) -> Observe:
    def observe(play: Functions, rng: np.random.Generator) -> Observations:
        shape = (2, 3, 4, 3)
        gamma, beta = affine_parameters(rng, 3)
        small, smaller = (
            images(rng, *shape, std=(0.2, 0.6), offset=3),
            images(rng, *shape, std=(0.002, 0.006), offset=1),
        )
        x = images(rng, *shape, std=(1, 2), offset=2)
        test_params = _spatial_test_params(rng, 3, 0.3, statistics)
        return {
            "out with eps=0.2": play.spatial_batchnorm_forward(small, gamma, beta, {"mode": "train", "eps": 0.2})[0],
            "out with the default eps": play.spatial_batchnorm_forward(smaller, gamma, beta, {"mode": "train"})[0],
            "test output with eps=0.3": play.spatial_batchnorm_forward(x, gamma, beta, test_params)[0],
        }

    return observe


def _spatial_running(statistics: StatisticsShape) -> Observe:
    def observe(play: Functions, rng: np.random.Generator) -> Observations:
        c = 4
        gamma, beta = affine_parameters(rng, c)
        found: Observations = {}
        for settings, name in (({"momentum": 0.7, "eps": 0.3}, "momentum 0.7"), ({}, "the default momentum")):
            bn_param: Params = {"mode": "train", **settings}
            for _ in range(3):
                play.spatial_batchnorm_forward(images(rng, 3, c, 2, 5, std=(1, 3), offset=5), gamma, beta, bn_param)
            for kept in ("running_mean", "running_var"):
                found[f"{kept} after three steps with {name}"] = bn_param.get(kept)
        given = _spatial_test_params(rng, c, 0.1, statistics)
        play.spatial_batchnorm_forward(images(rng, 3, c, 2, 5, std=(1, 3), offset=9), gamma, beta, given)
        return found | {f"{kept} after a test batch": given.get(kept) for kept in ("running_mean", "running_var")}

    return observe


def _spatial_test(statistics: StatisticsShape) -> Observe:
    def observe(play: Functions, rng: np.random.Generator) -> Observations:
        c = 3
        gamma, beta = affine_parameters(rng, c)
        found = {}
        for n in (4, 1):
            x = images(rng, n, c, 2, 5, std=(40, 90), offset=80)
            test_params = _spatial_test_params(rng, c, NEGLIGIBLE_EPS, statistics)
            out, _ = play.spatial_batchnorm_forward(x, gamma, beta, test_params)
            found[f"test output for a batch of {n}"] = out
        return found

    return observe


def _spatial_both_modes(statistics: StatisticsShape) -> Observe:
    return lambda play, rng: _spatial_train(play, rng) | _spatial_test(statistics)(play, rng)


def _directly(axes: tuple[int, ...]) -> Callable[..., tuple[Array, Any]]:
    """Statistics over other axes than (0, 2, 3)."""

    def forward(x: Array, gamma: Array, beta: Array, bn_param: Params) -> tuple[Array, Any]:
        def statistics(x: Array) -> tuple[Any, Any]:
            return x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)

        def tested(x: Array, bn_param: Params) -> tuple[Any, Any]:
            mean, var = bn_param["running_mean"], bn_param["running_var"]
            return (mean[:, None, None], var[:, None, None]) if np.ndim(mean) == 1 else (mean, var)

        wrong = _wrong(statistics=statistics, test_statistics=tested)
        return wrong(x, gamma[:, None, None], beta[:, None, None], bn_param)

    return forward


def _reshaped_only(x: Array, gamma: Array, beta: Array, bn_param: Params) -> tuple[Array, Any]:
    out, cache = _row_by_row(batchnorm_forward, x.reshape(-1, x.shape[1]), gamma, beta, bn_param)
    return out.reshape(x.shape), cache


def _not_transposed_back(x: Array, gamma: Array, beta: Array, bn_param: Params) -> tuple[Array, Any]:
    out, cache = _row_by_row(batchnorm_forward, _rows(x), gamma, beta, bn_param)
    return out.reshape(x.shape), cache


_MEND_FIRST = " If your function calls batchnorm_forward, mend it there first."

SPATIAL_BATCHNORM_FORWARD = Exercise(
    name="spatial_batchnorm_forward",
    asks="Batch norm after a convolution: one mean and variance for each channel, over all images and pixels.",
    reference=spatial_batchnorm_forward,
    returns=("out", "cache"),
    checks=(
        equals("normalises each channel over all images and pixels", 2, _spatial_train, single=True),
        equals("adds eps to the variance, inside the root", 1, _spatial_eps(_FLAT), _spatial_eps(_SPREAD)),
        equals(
            "keeps running statistics of each channel, and leaves them alone at test time",
            1,
            _spatial_running(_FLAT),
            _spatial_running(_SPREAD),
            loose=True,
        ),
        equals("uses the running statistics at test time", 2, _spatial_test(_FLAT), _spatial_test(_SPREAD)),
        leaves_inputs(1, _spatial_both_modes(_FLAT), _spatial_both_modes(_SPREAD)),
    ),
    misconceptions=(
        Misconception(
            "over-the-batch-axis-only",
            "Your statistics run over the batch axis only: one mean per pixel. A channel is the same filter everywhere, so "
            "its mean runs over images, rows and columns: axes (0, 2, 3).",
            {"spatial_batchnorm_forward": _directly((0,))},
        ),
        Misconception(
            "over-each-image",
            "Your statistics run over each image's pixels alone: that is instance norm. Batch norm takes the batch in, too.",
            {"spatial_batchnorm_forward": _directly((2, 3))},
        ),
        Misconception(
            "over-all-channels",
            "You use one mean for all channels. Each channel has its own.",
            {"spatial_batchnorm_forward": _directly((0, 1, 2, 3))},
        ),
        Misconception(
            "reshaped-without-transposing",
            "You reshape (N, C, H, W) to (-1, C) without moving the channel axis last first: the rows then mix channels.",
            {"spatial_batchnorm_forward": _reshaped_only},
        ),
        Misconception(
            "not-transposed-back",
            "The statistics are right, but the result is reshaped to (N, C, H, W) without moving the channels back: "
            "reshape to (N, H, W, C), then transpose.",
            {"spatial_batchnorm_forward": _not_transposed_back},
        ),
        *(
            Misconception(id, message + _MEND_FIRST, {"spatial_batchnorm_forward": _spatial(wrong)})
            for id, message, wrong in _IDEAS
            if id not in ("over-each-example", "one-mean-for-all")
        ),
    ),
    hints=(
        "A convolution's channel is one feature, seen at N * H * W places. How many means are there?",
        "You have a batch norm for (examples, features). Which axes are the examples here?",
        "Move the channels last, flatten all the rest to rows, call batchnorm_forward, and undo both steps in reverse order.",
    ),
    builds_on=("batchnorm_forward",),
    composed=lambda play: _spatial(play.batchnorm_forward),
)


def _spatial_backward_inputs(rng: np.random.Generator) -> tuple[Array, Array, Array, Params]:
    return images(rng, 2, 3, 4, 5, std=(1, 2), offset=4), *affine_parameters(rng, 3), {"mode": "train", "eps": 0.4}


def _spatial_backward_played(play: Functions, rng: np.random.Generator) -> Observations:
    x, gamma, beta, bn_param = _spatial_backward_inputs(rng)
    _, cache = play.spatial_batchnorm_forward(x, gamma, beta, bn_param)
    return {"dx": play.spatial_batchnorm_backward(rng.standard_normal(x.shape), cache)[0]}


def _spatial_back(backward: Callable[..., Any]) -> Callable[..., Any]:
    """A backward pass for (N, D) used on images."""

    def spatial_backward(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
        dx, dgamma, dbeta = backward(_rows(dout), cache)
        return _unrows(dx, dout.shape), dgamma, dbeta

    return spatial_backward


def _spatial_backward_misconceptions() -> tuple[Misconception, ...]:
    def not_transposed_back(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
        dx, dgamma, dbeta = batchnorm_backward(_rows(dout), cache)
        return dx.reshape(dout.shape), dgamma, dbeta

    def reshaped_only(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
        dx, dgamma, dbeta = batchnorm_backward(dout.reshape(-1, dout.shape[1]), cache)
        return dx.reshape(dout.shape), dgamma, dbeta

    return (
        Misconception(
            "reshaped-without-transposing",
            "You reshape dout to (-1, C) without moving the channel axis last first: the rows then mix channels.",
            {"spatial_batchnorm_backward": reshaped_only},
        ),
        Misconception(
            "not-transposed-back",
            "dx is reshaped to (N, C, H, W) without moving the channels back: reshape to (N, H, W, C), then transpose.",
            {"spatial_batchnorm_backward": not_transposed_back},
        ),
        *(
            Misconception(
                id,
                message + " If your function calls batchnorm_backward, mend it there first.",
                {"spatial_batchnorm_backward": _spatial_back(wrong)},
            )
            for id, (message, wrong) in _GRADIENT_IDEAS.items()
        ),
    )


SPATIAL_BATCHNORM_BACKWARD = Exercise(
    name="spatial_batchnorm_backward",
    asks="The gradients of convolutional batch norm.",
    reference=spatial_batchnorm_backward,
    returns=("dx", "dgamma", "dbeta"),
    checks=(
        *backward_checks(
            spatial_batchnorm_forward, "spatial_batchnorm_backward", _spatial_backward_inputs, dx_claim=DX_CLAIM
        ),
        leaves_inputs(1, _spatial_backward_played),
    ),
    misconceptions=_spatial_backward_misconceptions(),
    hints=(
        "The forward was a reshaping, a batch norm and a reshaping. What does the gradient of a reshaping do?",
        "Bring dout to the same (rows, C) form as x before.",
        "Channels last, flatten, call batchnorm_backward, and bring dx back as you brought out back. dgamma and dbeta are done.",
    ),
    needs=("spatial_batchnorm_forward",),
    builds_on=("batchnorm_backward",),
    composed=lambda play: _spatial_back(play.batchnorm_backward),
)

# --- fold_batchnorm -------------------------------------------------------------------------------------------------


def fold_batchnorm(
    W: Array, b: Array, gamma: Array, beta: Array, running_mean: Array, running_var: Array, eps: float = EPS
) -> tuple[Array, Array]:
    """Weights and bias (D, M), (M,) of one affine map that equals ``x @ W + b`` followed by test-time batch norm."""
    scale = gamma / np.sqrt(running_var + eps)
    return W * scale, (b - running_mean) * scale + beta


def _layer(rng: np.random.Generator, variances: tuple[float, float] = (400, 900)) -> tuple[Array, ...]:
    d, m = 4, 3
    gamma, beta = affine_parameters(rng, m)
    return (
        rng.standard_normal((d, m)),
        rng.standard_normal(m),
        gamma,
        beta,
        rng.uniform(-2, 2, m),
        rng.uniform(*variances, m),
    )


def _folded(play: Functions, rng: np.random.Generator) -> Observations:
    W2, b2 = play.fold_batchnorm(*_layer(rng), NEGLIGIBLE_EPS)
    return {"W2": W2, "b2": b2}


def _folded_part(name: str) -> Callable[[Functions, np.random.Generator], Observations]:
    return lambda play, rng: {name: _folded(play, rng)[name]}


def _folded_eps(play: Functions, rng: np.random.Generator) -> Observations:
    given = _layer(rng, variances=(0.5, 4))
    small = (*given[:5], rng.uniform(1e-5, 1e-4, len(given[5])))
    W2, b2 = play.fold_batchnorm(*given, 0.5)
    W3, b3 = play.fold_batchnorm(*small)
    return {"W2 with eps=0.5": W2, "b2 with eps=0.5": b2, "W2 with the default eps": W3, "b2 with the default eps": b3}


def _with_default_eps(wrong: Callable[..., Any]) -> Callable[..., Any]:
    return lambda W, b, gamma, beta, mean, var, eps=EPS: wrong(W, b, gamma, beta, mean, var, eps)


FOLD_BATCHNORM = Exercise(
    name="fold_batchnorm",
    asks="Make test-time batch norm disappear into the affine layer before it.",
    reference=fold_batchnorm,
    returns=("W2", "b2"),
    checks=(
        equals("W2 scales each column of W as batch norm scales its feature", 2, _folded_part("W2"), single=True),
        equals("b2 takes the running mean away before it scales", 2, _folded_part("b2"), loose=True),
        equals("adds eps to the running variance, inside the root", 1, _folded_eps, loose=True),
        leaves_inputs(1, _folded),
    ),
    misconceptions=tuple(
        Misconception(id, message, {"fold_batchnorm": _with_default_eps(wrong)})
        for id, message, wrong in (
            (
                "bias-not-scaled",
                "Your b2 leaves b outside the scaling. Batch norm sees x @ W + b: b is shifted and scaled with the rest.",
                lambda W, b, g, be, m, v, e: (W * g / np.sqrt(v + e), b - m * g / np.sqrt(v + e) + be),
            ),
            (
                "running-mean-not-subtracted",
                "Your b2 lacks the running mean: batch norm subtracts it before it scales.",
                lambda W, b, g, be, m, v, e: (W * g / np.sqrt(v + e), b * g / np.sqrt(v + e) + be),
            ),
            (
                "running-mean-not-scaled",
                "In your b2 the running mean is subtracted after the scaling. It goes first, so it is scaled as well.",
                lambda W, b, g, be, m, v, e: (W * g / np.sqrt(v + e), b * g / np.sqrt(v + e) - m + be),
            ),
            (
                "beta-forgotten",
                "Your b2 lacks beta, which batch norm adds at the end.",
                lambda W, b, g, be, m, v, e: (W * g / np.sqrt(v + e), (b - m) * g / np.sqrt(v + e)),
            ),
            (
                "bias-forgotten",
                "Your b2 does not hold the old bias b.",
                lambda W, b, g, be, m, v, e: (W * g / np.sqrt(v + e), be - m * g / np.sqrt(v + e)),
            ),
            (
                "gamma-forgotten",
                "gamma is missing: the scale of each feature is gamma / sqrt(running_var + eps).",
                lambda W, b, g, be, m, v, e: (W / np.sqrt(v + e), (b - m) / np.sqrt(v + e) + be),
            ),
            (
                "divided-by-the-variance",
                "You divide by the running variance. Divide by its root.",
                lambda W, b, g, be, m, v, e: (W * g / (v + e), (b - m) * g / (v + e) + be),
            ),
            (
                "eps-outside-the-root",
                "You divide by sqrt(running_var) + eps. eps is added inside the root.",
                lambda W, b, g, be, m, v, e: (W * g / (np.sqrt(v) + e), (b - m) * g / (np.sqrt(v) + e) + be),
            ),
            (
                "no-eps",
                "eps is not used. It is added to the running variance, inside the root.",
                lambda W, b, g, be, m, v, e: (W * g / np.sqrt(v), (b - m) * g / np.sqrt(v) + be),
            ),
            (
                "eps-hard-coded",
                "You always use eps = 1e-5. Use the argument; 1e-5 is only the default.",
                lambda W, b, g, be, m, v, e: fold_batchnorm(W, b, g, be, m, v),
            ),
        )
    ),
    hints=(
        "At test time batch norm multiplies each feature by one number and adds another. Which ones?",
        "Write gamma * ((x @ W + b) - mean) / std + beta and collect what multiplies x.",
        "One scale per column of W: gamma over the root of running_var + eps. The rest goes into b2.",
    ),
)

EXERCISES = (
    BATCHNORM_FORWARD,
    BATCHNORM_BACKWARD,
    BATCHNORM_BACKWARD_ALT,
    SPATIAL_BATCHNORM_FORWARD,
    SPATIAL_BATCHNORM_BACKWARD,
    FOLD_BATCHNORM,
)
