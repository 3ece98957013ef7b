"""Assignment 02: layer norm (Ba et al. 2016), instance norm (Ulyanov et al. 2016), group norm (Wu & He 2018), in a recurrent net."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograder.checks import equals, leaves_inputs
from autograder.compare import describe
from autograder.exercise import Check, Evidence, Exercise, Functions, Misconception, Observations
from autograder.exercises.batch_normalization import DX_CLAIM, EPS, NEGLIGIBLE_EPS, backward_checks, gradient_ideas
from autograder.exercises.drawing import affine_parameters, columns

Array = np.ndarray
Params = dict[str, Any]
Shape = tuple[int, ...]

# --- which axes -----------------------------------------------------------------------------------------------------

AXES = {"batch": (0, 2, 3), "layer": (1, 2, 3), "instance": (2, 3)}
"""The axes of (N, C, H, W) that one mean runs over. (Group norm splits C first, so its axes are not among these four.)"""


def normalization_axes(kind: str) -> tuple[int, ...]:
    """The axes of an array (N, C, H, W) over which ``batch``, ``layer`` or ``instance`` norm takes a mean."""
    return AXES[kind]


def statistics_count(kind: str, shape: Shape, G: int | None = None) -> int:
    """How many numbers of an array ``shape`` = (N, C, H, W) go into one mean; ``group`` norm has G groups of channels."""
    n, c, h, w = shape
    return {"batch": n * h * w, "layer": c * h * w, "instance": h * w, "group": c // (G or 1) * h * w}[kind]


def _axes_named(value: Any) -> Any:
    """The axes as a sorted tuple of numbers from 0 to 3: a list, another order and negative axes say the same."""
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "iu":
        value = value.tolist()
    if not isinstance(value, (tuple, list)) or not all(type(axis) is int and -4 <= axis < 4 for axis in value):
        return None
    return tuple(sorted(axis % 4 for axis in value))


def _names_the_axes(kind: str) -> Check:
    name = f"axes of {kind} norm"

    def observe(play: Functions, rng: np.random.Generator) -> Observations:
        answer = play.normalization_axes(kind)
        return {name: _axes_named(answer), "answer": describe(answer)}

    def judge(seen: Observations, wanted: Observations, rng: np.random.Generator) -> Evidence:
        if seen[name] == wanted[name]:
            return Evidence(True)
        if seen[name] is None:
            return Evidence(False, f"{name}: {seen['answer']} names no axes, wanted a tuple of numbers from 0 to 3")
        return Evidence(False, f"{name}: {seen[name]} is not it. Whose numbers share one mean?")

    return Check(f"names the axes that {kind} norm averages over", 1, observe, judge)


NORMALIZATION_AXES = Exercise(
    name="normalization_axes",
    asks="Over which axes of (N, C, H, W) each norm takes its mean.",
    reference=normalization_axes,
    returns=("axes",),
    checks=tuple(_names_the_axes(kind) for kind in AXES),
    misconceptions=(
        Misconception(
            "axes-that-stay",
            "You name the axes that each have a mean of their own. Asked for are the others: those that the mean runs over.",
            {"normalization_axes": lambda kind: tuple(axis for axis in range(4) if axis not in AXES[kind])},
        ),
        Misconception(
            "batch-and-layer-swapped",
            "Batch and layer norm are swapped: batch norm runs over the examples, layer norm over one example's features.",
            {
                "normalization_axes": lambda kind: AXES[
                    {"batch": "layer", "layer": "batch", "instance": "instance"}[kind]
                ]
            },
        ),
        Misconception(
            "batch-axis-only",
            "For images, batch norm's mean also runs over rows and columns: a channel is the same filter everywhere.",
            {"normalization_axes": lambda kind: (0,) if kind == "batch" else AXES[kind]},
        ),
        Misconception(
            "layer-over-channels-only",
            "Layer norm's mean runs over all features of an example, and an image's features are channels, rows and columns.",
            {"normalization_axes": lambda kind: (1,) if kind == "layer" else AXES[kind]},
        ),
    ),
    hints=(
        "Colour the entries of (N, C, H, W) that share one mean. Along which axes does the colour stay the same?",
        "Batch norm: a mean for each channel. Layer norm: a mean for each image. Instance norm: one for each image's channel.",
        "What has a mean of its own is not averaged over: name the other axes.",
    ),
)

_SHAPES = ((4, 6, 3, 5), (2, 12, 7, 3))


def _counts(
    kinds: Sequence[str], groups: Sequence[int | None]
) -> Callable[[Functions, np.random.Generator], Observations]:
    def observe(play: Functions, rng: np.random.Generator) -> Observations:
        return {
            f"count for {kind} norm of {shape}" + (f" with G={G}" if G else ""): play.statistics_count(kind, shape, G)
            for shape in _SHAPES
            for kind in kinds
            for G in groups
        }

    return observe


STATISTICS_COUNT = Exercise(
    name="statistics_count",
    asks="How many numbers go into one mean.",
    reference=statistics_count,
    returns=("count",),
    checks=(
        equals("counts the numbers in one mean of batch, layer and instance norm", 2, _counts(tuple(AXES), (None,))),
        equals("counts the numbers in one mean of group norm", 1, _counts(("group",), (1, 2, 3, 6))),
    ),
    misconceptions=(
        Misconception(
            "number-of-means",
            "You count the means. Asked for is how many numbers go into one of them.",
            {
                "statistics_count": lambda kind, shape, G=None: {
                    "batch": shape[1],
                    "layer": shape[0],
                    "instance": shape[0] * shape[1],
                    "group": shape[0] * (G or 1),
                }[kind]
            },
        ),
        Misconception(
            "group-of-size-G",
            "You take G for the number of channels in a group. G is the number of groups; each holds C / G channels.",
            {
                "statistics_count": lambda kind, shape, G=None: (
                    (G or 1) * shape[2] * shape[3] if kind == "group" else statistics_count(kind, shape)
                )
            },
        ),
        Misconception(
            "group-over-the-batch",
            "Your group norm counts the whole batch. Its mean belongs to one image.",
            {
                "statistics_count": lambda kind, shape, G=None: (
                    statistics_count(kind, shape, G) * (shape[0] if kind == "group" else 1)
                )
            },
        ),
        Misconception(
            "channels-without-pixels",
            "Your group norm counts channels only. Its mean runs over rows and columns, too.",
            {
                "statistics_count": lambda kind, shape, G=None: (
                    shape[1] // (G or 1) if kind == "group" else statistics_count(kind, shape)
                )
            },
        ),
    ),
    hints=(
        "Take the axes of the exercise before. What do their lengths have to do with it?",
        "Multiply the lengths of the axes that the mean runs over. A group holds C / G channels.",
        "batch: N, H, W. layer: C, H, W. instance: H, W. group: C / G, H, W.",
    ),
)

# --- norms without running statistics -------------------------------------------------------------------------------
# Layer, instance and group norm are one formula: only the elements that share a mean differ. ``split`` brings x into a
# shape in which these elements fill whole axes.


def _spread(parameter: Array, x: Array) -> Array:
    """gamma or beta, (C,) or (1, C, 1, 1), so that it meets axis 1 of an image; (D,) meets the last axis of (N, D)."""
    return parameter.reshape(1, -1, 1, 1) if x.ndim == 4 else parameter


Normalize = Callable[[Array, Array, Array, float], Array]


def _inside(x: Array, mean: Array, var: Array, eps: float) -> Array:
    return np.asarray((x - mean) / np.sqrt(var + eps))


def _normed(
    split: Callable[..., Array],
    axes: tuple[int, ...],
    normalize: Normalize = _inside,
    scaled: bool = True,
    ddof: int = 0,
) -> Callable[..., tuple[Array, Any]]:
    """A forward (x, gamma, beta, [G,] param): statistics over ``axes`` of ``split(x, [G])``."""

    def forward(x: Array, gamma: Array, beta: Array, *rest: Any) -> tuple[Array, Any]:
        *groups, param = rest
        eps = param.get("eps", EPS)
        parts = split(x, *groups)
        mean, var = parts.mean(axis=axes, keepdims=True), parts.var(axis=axes, keepdims=True, ddof=ddof)
        x_hat = normalize(parts, mean, var, eps).reshape(x.shape)
        whole_mean = np.broadcast_to(mean, parts.shape).reshape(x.shape)
        whole_var = np.broadcast_to(var, parts.shape).reshape(x.shape)
        scale, shift = _spread(gamma, x), _spread(beta, x)
        out = scale * x_hat + shift if scaled else x_hat
        return out, (x, whole_mean, whole_var, eps, scale, gamma.shape, *groups)

    return forward


def _backed(split: Callable[..., Array], axes: tuple[int, ...], dout: Array, cache: Any) -> tuple[Array, Array, Array]:
    """The gradients of `_normed`: inv_std * (g - mean(g) - x_hat * mean(g * x_hat)), g = dout * gamma, means as in forward."""
    x, mean, var, eps, gamma, parameter_shape, *groups = cache

    def mean_of(array: Array) -> Array:
        parts = split(array, *groups)
        return np.broadcast_to(parts.mean(axis=axes, keepdims=True), parts.shape).reshape(x.shape)

    inv_std = 1 / np.sqrt(var + eps)
    x_hat = (x - mean) * inv_std
    g = dout * gamma
    dx = inv_std * (g - mean_of(g) - x_hat * mean_of(g * x_hat))
    return dx, _per_parameter(dout * x_hat).reshape(parameter_shape), _per_parameter(dout).reshape(parameter_shape)


def _per_parameter(array: Array) -> Array:
    """One number for each feature (N, D) or channel (N, C, H, W)."""
    return array.sum(axis=0) if array.ndim == 2 else array.sum(axis=(0, 2, 3))


def _plain_ideas(split: Callable[..., Array], axes: tuple[int, ...]) -> dict[str, tuple[str, Callable[..., Any]]]:
    """Mistakes that every norm without running statistics shares."""
    return {
        "eps-outside-the-root": (
            "You divide by sqrt(var) + eps. eps is added to the variance, inside the root: sqrt(var + eps).",
            _normed(split, axes, lambda x, mean, var, eps: (x - mean) / (np.sqrt(var) + eps)),
        ),
        "no-eps": (
            "eps is not used. It is added to the variance, inside the root.",
            _normed(split, axes, lambda x, mean, var, eps: (x - mean) / np.sqrt(var)),
        ),
        "eps-hard-coded": (
            "You always use eps = 1e-5. Take it from the param dict; 1e-5 is only the default.",
            _normed(split, axes, lambda x, mean, var, eps: _inside(x, mean, var, EPS)),
        ),
        "divided-by-the-variance": (
            "You divide by the variance. Divide by its root, the standard deviation.",
            _normed(split, axes, lambda x, mean, var, eps: (x - mean) / (var + eps)),
        ),
        "mean-not-subtracted": (
            "The mean is not subtracted before you divide.",
            _normed(split, axes, lambda x, mean, var, eps: x / np.sqrt(var + eps)),
        ),
        "not-scaled": (
            "gamma and beta are not applied: the output is the normalised x itself.",
            _normed(split, axes, scaled=False),
        ),
        "unbiased-variance": (
            "Looks like a variance divided by one less than the number of elements. This course divides by their number.",
            _normed(split, axes, ddof=1),
        ),
    }


def _as_misconceptions(name: str, ideas: dict[str, tuple[str, Callable[..., Any]]]) -> tuple[Misconception, ...]:
    return tuple(Misconception(id, message, {name: wrong}) for id, (message, wrong) in ideas.items())


def _backward_ideas(split: Callable[..., Array], axes: tuple[int, ...]) -> dict[str, tuple[str, Callable[..., Any]]]:
    def total(array: Array, cache: Any) -> Array:
        parts = split(array, *cache[6:])
        return np.broadcast_to(parts.sum(axis=axes, keepdims=True), parts.shape).reshape(array.shape)

    def count(cache: Any) -> int:
        parts = split(cache[0], *cache[6:])
        return int(np.prod([parts.shape[axis] for axis in axes]))

    return gradient_ideas(total, count, _per_parameter)


def _as_it_is(x: Array) -> Array:
    return x


# --- layer norm -----------------------------------------------------------------------------------------------------


def layernorm_forward(x: Array, gamma: Array, beta: Array, ln_param: Params) -> tuple[Array, Any]:
    """gamma * (x - mean) / sqrt(var + eps) + beta, statistics over each example's features. x (N, D), gamma and beta (D,)."""
    return _normed(_as_it_is, (1,))(x, gamma, beta, ln_param)


def layernorm_backward(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
    """dout (N, D) -> dx (N, D), dgamma (D,), dbeta (D,)."""
    return _backed(_as_it_is, (1,), dout, cache)


def _examples(rng: np.random.Generator, n: int, d: int, std: tuple[float, float], offset: float) -> Array:
    """(n, d): every EXAMPLE has its own spread and offset."""
    return columns(rng, d, n, std, offset).T.copy()


def _layer_output(play: Functions, rng: np.random.Generator) -> Observations:
    found = {}
    for n, d in ((4, 9), (6, 5)):
        x, (gamma, beta) = _examples(rng, n, d, std=(4, 8), offset=60), affine_parameters(rng, d)
        found[f"out for x of shape ({n}, {d})"] = play.layernorm_forward(x, gamma, beta, {"eps": NEGLIGIBLE_EPS})[0]
    return found


def _layer_eps(play: Functions, rng: np.random.Generator) -> Observations:
    n, d = 5, 7
    gamma, beta = affine_parameters(rng, d)
    small, smaller = _examples(rng, n, d, std=(0.2, 0.6), offset=3), _examples(rng, n, d, std=(0.002, 0.006), offset=1)
    smaller[1] = smaller[1, 0]  # an example whose features are all alike
    return {
        "out with eps=0.2": play.layernorm_forward(small, gamma, beta, {"eps": 0.2})[0],
        "out with the default eps": play.layernorm_forward(smaller, gamma, beta, {})[0],
    }


def _layer_alone(play: Functions, rng: np.random.Generator) -> Observations:
    """Test mode, one example at a time, with running statistics lying about that only a batch norm would use."""
    d = 6
    gamma, beta = affine_parameters(rng, d)
    x = _examples(rng, 2, d, std=(2, 5), offset=8)
    leftovers: Params = {
        "mode": "test",
        "eps": NEGLIGIBLE_EPS,
        "running_mean": np.full(d, 3.0),
        "running_var": np.full(d, 2.0),
    }
    return {
        f"out of example {k} alone, at test time": play.layernorm_forward(x[k : k + 1], gamma, beta, dict(leftovers))[0]
        for k in (0, 1)
    }


def _of_the_transpose(batchnorm: Callable[..., Any]) -> Callable[..., tuple[Array, Any]]:
    """Layer norm by way of a batch norm, whose features the examples are here."""

    def forward(x: Array, gamma: Array, beta: Array, ln_param: Params) -> tuple[Array, Any]:
        turned, cache = batchnorm(x.T, np.ones(len(x)), np.zeros(len(x)), {**ln_param, "mode": "train"})
        return gamma * turned.T + beta, cache

    return forward


LAYERNORM_FORWARD = Exercise(
    name="layernorm_forward",
    asks="Normalise each example over its own features, then scale and shift. The same at training and test time.",
    reference=layernorm_forward,
    returns=("out", "cache"),
    checks=(
        equals("normalises each example over its own features, then scales and shifts", 2, _layer_output, single=True),
        equals("adds eps to the variance, inside the root", 1, _layer_eps),
        equals("does the same at test time and for one example alone", 1, _layer_alone),
        leaves_inputs(1, _layer_output),
    ),
    misconceptions=(
        Misconception(
            "over-the-batch",
            "Your output equals the one normalised over the batch (axis 0): that is batch norm. Layer norm looks at one "
            "example alone.",
            {"layernorm_forward": _normed(_as_it_is, (0,))},
        ),
        Misconception(
            "one-mean-for-all",
            "You use one mean and one variance for the whole array. Each example has its own.",
            {"layernorm_forward": _normed(_as_it_is, (0, 1))},
        ),
        *_as_misconceptions("layernorm_forward", _plain_ideas(_as_it_is, (1,))),
    ),
    hints=(
        "How many means are there for x of shape (N, D)?",
        "axis=1, and keep the axis so that the (N, 1) statistics broadcast against (N, D).",
        "Subtract each row's mean, divide by the root of each row's variance plus eps; gamma and beta belong to the columns.",
    ),
    builds_on=("batchnorm_forward",),
    composed=lambda play: _of_the_transpose(play.batchnorm_forward),
)


def _layer_backward_inputs(rng: np.random.Generator) -> tuple[Array, Array, Array, Params]:
    n, d = 4, 6
    return _examples(rng, n, d, std=(1, 2), offset=4), *affine_parameters(rng, d), {"eps": 0.4}


def _played(
    forward: str, backward: str, draw: Callable[..., Any]
) -> Callable[[Functions, np.random.Generator], Observations]:
    def observe(play: Functions, rng: np.random.Generator) -> Observations:
        arguments = draw(rng)
        _, cache = getattr(play, forward)(*arguments)
        return {"dx": getattr(play, backward)(rng.standard_normal(arguments[0].shape), cache)[0]}

    return observe


def _gamma_out_of_the_sums(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
    x, mean, var, eps, gamma = cache[:5]
    inv_std = 1 / np.sqrt(var + eps)
    x_hat = (x - mean) * inv_std
    row_means = dout.mean(axis=1, keepdims=True) + x_hat * (dout * x_hat).mean(axis=1, keepdims=True)
    return gamma * inv_std * (dout - row_means), _per_parameter(dout * x_hat), _per_parameter(dout)


def _divided_by_the_batch(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
    x, mean, var, eps, gamma = cache[:5]
    inv_std, n = 1 / np.sqrt(var + eps), len(x)
    x_hat, g = (x - mean) * inv_std, dout * gamma
    sums = g.sum(axis=1, keepdims=True) + x_hat * (g * x_hat).sum(axis=1, keepdims=True)
    return inv_std * (g - sums / n), _per_parameter(dout * x_hat), _per_parameter(dout)


def _parameters_over_features(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
    x, mean, var, eps, _ = cache[:5]
    return layernorm_backward(dout, cache)[0], (dout * (x - mean) / np.sqrt(var + eps)).sum(axis=1), dout.sum(axis=1)


def _dgamma_over_features(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
    dx, _, dbeta = layernorm_backward(dout, cache)
    return dx, _parameters_over_features(dout, cache)[1], dbeta


LAYERNORM_BACKWARD = Exercise(
    name="layernorm_backward",
    asks="The gradients of layer norm.",
    reference=layernorm_backward,
    returns=("dx", "dgamma", "dbeta"),
    checks=(
        *backward_checks(layernorm_forward, "layernorm_backward", _layer_backward_inputs, dx_claim=DX_CLAIM),
        leaves_inputs(1, _played("layernorm_forward", "layernorm_backward", _layer_backward_inputs)),
    ),
    misconceptions=(
        Misconception(
            "gamma-pulled-out-of-the-sums",
            "Your dx multiplies by gamma after the sums over a row. In batch norm gamma is constant along such a sum; here "
            "it differs from feature to feature, so it must stay inside.",
            {"layernorm_backward": _gamma_out_of_the_sums},
        ),
        Misconception(
            "divided-by-N",
            "Your dx divides the sums by the batch size N. A mean here runs over the D features.",
            {"layernorm_backward": _divided_by_the_batch},
        ),
        Misconception(
            "parameters-summed-over-features",
            "Your dgamma and dbeta sum over the features. Each feature has its own gamma, shared by the examples: sum over these.",
            {"layernorm_backward": _parameters_over_features},
        ),
        Misconception(
            "dgamma-summed-over-features",
            "Your dgamma sums over the features. Each feature has its own gamma, shared by the examples: sum over these.",
            {"layernorm_backward": _dgamma_over_features},
        ),
        *_as_misconceptions("layernorm_backward", _backward_ideas(_as_it_is, (1,))),
    ),
    hints=(
        "What changes against batch norm's backward, and what does not? Think of gamma twice.",
        "The sums that come through mean and variance run along a row; those of dgamma and dbeta along a column.",
        "g = dout * gamma first. Then dx = inv_std * (g - row mean of g - x_hat * row mean of g * x_hat).",
    ),
    needs=("layernorm_forward",),
    builds_on=("batchnorm_backward",),
)

# --- instance norm --------------------------------------------------------------------------------------------------


def instancenorm_forward(x: Array, gamma: Array, beta: Array, in_param: Params) -> tuple[Array, Any]:
    """Each channel of each image normalised over its own pixels. x (N, C, H, W), gamma and beta (C,)."""
    return _normed(_as_it_is, (2, 3))(x, gamma, beta, in_param)


def instancenorm_backward(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
    """dout (N, C, H, W) -> dx (N, C, H, W), dgamma (C,), dbeta (C,)."""
    return _backed(_as_it_is, (2, 3), dout, cache)


def _pictures(rng: np.random.Generator, shape: Shape, std: tuple[float, float], offset: float) -> Array:
    """(N, C, H, W): every channel of every image has its own spread and offset, and one pixel unlike the others."""
    n, c, h, w = shape
    return columns(rng, h * w, n * c, std, offset).T.reshape(shape).copy()


def _instance_output(play: Functions, rng: np.random.Generator) -> Observations:
    found = {}
    for shape in ((2, 3, 4, 5), (3, 4, 3, 2)):
        x, (gamma, beta) = _pictures(rng, shape, std=(4, 8), offset=60), affine_parameters(rng, shape[1])
        found[f"out for x of shape {shape}"] = play.instancenorm_forward(x, gamma, beta, {"eps": NEGLIGIBLE_EPS})[0]
    return found


def _instance_eps(play: Functions, rng: np.random.Generator) -> Observations:
    shape = (2, 3, 3, 4)
    gamma, beta = affine_parameters(rng, 3)
    small, smaller = (
        _pictures(rng, shape, std=(0.2, 0.6), offset=3),
        _pictures(rng, shape, std=(0.002, 0.006), offset=1),
    )
    smaller[0, 1] = smaller[0, 1, 0, 0]  # a flat channel
    return {
        "out with eps=0.2": play.instancenorm_forward(small, gamma, beta, {"eps": 0.2})[0],
        "out with the default eps": play.instancenorm_forward(smaller, gamma, beta, {})[0],
    }


def _instance_alone(play: Functions, rng: np.random.Generator) -> Observations:
    gamma, beta = affine_parameters(rng, 3)
    x = _pictures(rng, (2, 3, 2, 5), std=(2, 5), offset=8)
    param: Params = {"mode": "test", "eps": NEGLIGIBLE_EPS}
    return {f"out of image {k} alone": play.instancenorm_forward(x[k : k + 1], gamma, beta, param)[0] for k in (0, 1)}


INSTANCENORM_FORWARD = Exercise(
    name="instancenorm_forward",
    asks="Normalise each channel of each image over its own pixels.",
    reference=instancenorm_forward,
    returns=("out", "cache"),
    checks=(
        equals("normalises each channel of each image over its pixels", 2, _instance_output, single=True),
        equals("adds eps to the variance, inside the root", 1, _instance_eps),
        equals("does the same at test time and for one image alone", 1, _instance_alone),
        leaves_inputs(1, _instance_output),
    ),
    misconceptions=(
        Misconception(
            "over-the-batch-too",
            "Your statistics run over all images of the batch: that is batch norm. Instance norm looks at one image alone.",
            {"instancenorm_forward": _normed(_as_it_is, (0, 2, 3))},
        ),
        Misconception(
            "over-the-channels-too",
            "Your statistics run over all channels of an image: that is layer norm. Here each channel has its own.",
            {"instancenorm_forward": _normed(_as_it_is, (1, 2, 3))},
        ),
        Misconception(
            "over-one-axis",
            "Your statistics run along rows only. A mean here covers the whole plane, H and W.",
            {"instancenorm_forward": _normed(_as_it_is, (3,))},
        ),
        *_as_misconceptions("instancenorm_forward", _plain_ideas(_as_it_is, (2, 3))),
    ),
    hints=(
        "How many means are there for x of shape (N, C, H, W)?",
        "axis=(2, 3) with keepdims=True. What shape must gamma have to meet the channels?",
        "Statistics over (2, 3), normalise, then gamma and beta reshaped to (1, C, 1, 1).",
    ),
)


def _instance_backward_inputs(rng: np.random.Generator) -> tuple[Array, Array, Array, Params]:
    return _pictures(rng, (2, 3, 4, 2), std=(1, 2), offset=4), *affine_parameters(rng, 3), {"eps": 0.4}


INSTANCENORM_BACKWARD = Exercise(
    name="instancenorm_backward",
    asks="The gradients of instance norm.",
    reference=instancenorm_backward,
    returns=("dx", "dgamma", "dbeta"),
    checks=(
        *backward_checks(instancenorm_forward, "instancenorm_backward", _instance_backward_inputs, dx_claim=DX_CLAIM),
        leaves_inputs(1, _played("instancenorm_forward", "instancenorm_backward", _instance_backward_inputs)),
    ),
    misconceptions=_as_misconceptions("instancenorm_backward", _backward_ideas(_as_it_is, (2, 3))),
    hints=(
        "Which sums of the backward pass run over the pixels of one plane, and which over the whole batch?",
        "Those through mean and variance: axis (2, 3). Those of dgamma and dbeta: everything but the channel.",
        "g = dout * gamma; dx = inv_std * (g - mean of g - x_hat * mean of g * x_hat), means over (2, 3) with the axes kept.",
    ),
    needs=("instancenorm_forward",),
)

# --- group norm -----------------------------------------------------------------------------------------------------


def _grouped(x: Array, G: int) -> Array:
    """(N, C, H, W) -> (N, G, C/G, H, W): neighbouring channels form a group."""
    n, c, h, w = x.shape
    return x.reshape(n, G, c // G, h, w)


_GROUP_AXES = (2, 3, 4)


def spatial_groupnorm_forward(x: Array, gamma: Array, beta: Array, G: int, gn_param: Params) -> tuple[Array, Any]:
    """Statistics over each image's groups of C/G neighbouring channels. x (N, C, H, W), gamma and beta (1, C, 1, 1) or (C,)."""
    return _normed(_grouped, _GROUP_AXES)(x, gamma, beta, G, gn_param)


def spatial_groupnorm_backward(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
    """dout (N, C, H, W) -> dx (N, C, H, W), dgamma and dbeta in the shape that gamma had."""
    return _backed(_grouped, _GROUP_AXES, dout, cache)


Scenario = Callable[[Functions, np.random.Generator], Observations]


def _for_both_shapes(
    scenario: Callable[[Functions, np.random.Generator, Shape], Observations],
) -> tuple[Scenario, Scenario]:
    """The scenario with gamma and beta of shape (1, C, 1, 1), and with (C,): right with either is right."""
    return (
        lambda play, rng: scenario(play, rng, (1, -1, 1, 1)),
        lambda play, rng: scenario(play, rng, (-1,)),
    )


def _group_parameters(rng: np.random.Generator, c: int, shape: Shape) -> tuple[Array, Array]:
    gamma, beta = affine_parameters(rng, c)
    return gamma.reshape(shape), beta.reshape(shape)


def _group_output(play: Functions, rng: np.random.Generator, parameters: Shape) -> Observations:
    found = {}
    for shape, G in (((2, 6, 3, 4), 2), ((3, 6, 2, 3), 3)):
        x, (gamma, beta) = _pictures(rng, shape, std=(4, 8), offset=60), _group_parameters(rng, 6, parameters)
        out, _ = play.spatial_groupnorm_forward(x, gamma, beta, G, {"eps": NEGLIGIBLE_EPS})
        found[f"out for x of shape {shape} with G={G}"] = out
    alone, leftovers = (
        _pictures(rng, (1, 6, 2, 3), std=(4, 8), offset=60),
        {"running_mean": np.ones(6), "running_var": np.ones(6)},
    )
    test_param: Params = {"mode": "test", "eps": NEGLIGIBLE_EPS, **leftovers}
    found["out of one image at test time"] = play.spatial_groupnorm_forward(alone, gamma, beta, 3, test_param)[0]
    return found


def _group_limits(play: Functions, rng: np.random.Generator, parameters: Shape) -> Observations:
    found = {}
    for G, name in ((1, "layer"), (4, "instance")):
        x, (gamma, beta) = _pictures(rng, (2, 4, 3, 5), std=(4, 8), offset=60), _group_parameters(rng, 4, parameters)
        out, _ = play.spatial_groupnorm_forward(x, gamma, beta, G, {"eps": NEGLIGIBLE_EPS})
        found[f"out with G={G} ({name} norm) of 4 channels"] = out
    return found


def _group_eps(play: Functions, rng: np.random.Generator, parameters: Shape) -> Observations:
    shape = (2, 6, 3, 4)
    gamma, beta = _group_parameters(rng, 6, parameters)
    small, smaller = rng.normal(1, 0.3, shape), rng.normal(0.02, 0.004, shape)
    smaller[0, :3] = 0.5  # a flat group
    return {
        "out with eps=0.2": play.spatial_groupnorm_forward(small, gamma, beta, 2, {"eps": 0.2})[0],
        "out with the default eps": play.spatial_groupnorm_forward(smaller, gamma, beta, 2, {})[0],
    }


def _interleaved(x: Array, G: int) -> Array:
    n, c, h, w = x.shape
    return x.reshape(n, c // G, G, h, w).swapaxes(1, 2)


def _group_interleaved(x: Array, gamma: Array, beta: Array, G: int, gn_param: Params) -> tuple[Array, Any]:
    """Every G-th channel in one group."""
    n, c, h, w = x.shape
    order = np.arange(c).reshape(c // G, G).T.ravel()
    plain = np.ones(c)
    x_hat = np.empty_like(x)
    x_hat[:, order], cache = spatial_groupnorm_forward(x[:, order], plain, 0 * plain, G, gn_param)
    return _spread(gamma, x) * x_hat + _spread(beta, x), cache


def _of_size_G(x: Array, G: int) -> Array:
    return _grouped(x, x.shape[1] // G)


SPATIAL_GROUPNORM_FORWARD = Exercise(
    name="spatial_groupnorm_forward",
    asks="Normalise each image over groups of neighbouring channels.",
    reference=spatial_groupnorm_forward,
    returns=("out", "cache"),
    checks=(
        equals(
            "normalises each image over groups of C/G neighbouring channels", 3, *_for_both_shapes(_group_output), single=True
        ),
        equals("is layer norm for G=1 and instance norm for G=C", 1, *_for_both_shapes(_group_limits)),
        equals("adds eps to the variance, inside the root", 1, *_for_both_shapes(_group_eps)),
        leaves_inputs(1, *_for_both_shapes(_group_output)),
    ),
    misconceptions=(
        Misconception(
            "over-the-channels-per-pixel",
            "Your mean runs over the group's channels at each pixel. It also runs over the rows and columns.",
            {"spatial_groupnorm_forward": _normed(_grouped, (2,))},
        ),
        Misconception(
            "over-the-batch-too",
            "Your statistics run over the whole batch. Group norm looks at one image alone.",
            {"spatial_groupnorm_forward": _normed(_grouped, (0, 2, 3, 4))},
        ),
        Misconception(
            "groups-of-size-G",
            "You make groups of G channels. G is the number of groups; each holds C / G channels.",
            {"spatial_groupnorm_forward": _normed(_of_size_G, _GROUP_AXES)},
        ),
        Misconception(
            "every-Gth-channel",
            "Your groups take every G-th channel. A group's channels are neighbours: reshape C to (G, C/G), not (C/G, G).",
            {"spatial_groupnorm_forward": _group_interleaved},
        ),
        Misconception(
            "layer-norm",
            "Your output ignores G and normalises over all channels: that is layer norm, the case G = 1.",
            {"spatial_groupnorm_forward": _normed(lambda x, G: _grouped(x, 1), _GROUP_AXES)},
        ),
        Misconception(
            "instance-norm",
            "Your output ignores G and normalises each channel alone: that is instance norm, the case G = C.",
            {"spatial_groupnorm_forward": _normed(lambda x, G: _grouped(x, x.shape[1]), _GROUP_AXES)},
        ),
        *_as_misconceptions("spatial_groupnorm_forward", _plain_ideas(_grouped, _GROUP_AXES)),
    ),
    hints=(
        "Which entries share a mean? How would they look if a group were an axis of its own?",
        "Reshape to (N, G, C // G, H, W); then the elements of one mean fill whole axes.",
        "Statistics over axes (2, 3, 4) with the axes kept, normalise, reshape back to (N, C, H, W), scale and shift by channel.",
    ),
)


def _group_backward_inputs(shape: Shape) -> Callable[[np.random.Generator], tuple[Any, ...]]:
    def draw(rng: np.random.Generator) -> tuple[Any, ...]:
        x = _pictures(rng, (4, 6, 2, 3), std=(1, 2), offset=2)  # 18 numbers in a mean: no other count here is 18
        return x, *_group_parameters(rng, 6, shape), 2, {"eps": 0.4}

    return draw


_BOTH_BACKWARD_INPUTS = (_group_backward_inputs((1, -1, 1, 1)), _group_backward_inputs((-1,)))

SPATIAL_GROUPNORM_BACKWARD = Exercise(
    name="spatial_groupnorm_backward",
    asks="The gradients of group norm.",
    reference=spatial_groupnorm_backward,
    returns=("dx", "dgamma", "dbeta"),
    checks=(
        *backward_checks(
            spatial_groupnorm_forward, "spatial_groupnorm_backward", *_BOTH_BACKWARD_INPUTS, dx_claim=DX_CLAIM
        ),
        leaves_inputs(
            1,
            *(
                _played("spatial_groupnorm_forward", "spatial_groupnorm_backward", draw)
                for draw in _BOTH_BACKWARD_INPUTS
            ),
        ),
    ),
    misconceptions=_as_misconceptions("spatial_groupnorm_backward", _backward_ideas(_grouped, _GROUP_AXES)),
    hints=(
        "gamma belongs to a channel, the statistics to a group. In which shape does each step live?",
        "Multiply by gamma in (N, C, H, W); take the means of the gradient in (N, G, C // G, H, W).",
        "g = dout * gamma, regrouped; dx = inv_std * (g - mean of g - x_hat * mean of g * x_hat), means over (2, 3, 4); reshape "
        "back. dgamma and dbeta sum over (0, 2, 3).",
    ),
    needs=("spatial_groupnorm_forward",),
)

# --- in a recurrent net ---------------------------------------------------------------------------------------------


def rnn_layernorm_step(
    x_t: Array, h_prev: Array, Wx: Array, Wh: Array, b: Array, gamma: Array, beta: Array, eps: float = EPS
) -> Array:
    """h_t (N, H) = tanh(layernorm(x_t Wx + h_prev Wh + b)); x_t (N, D), h_prev (N, H), Wx (D, H), Wh (H, H), others (H,)."""
    a = x_t @ Wx + h_prev @ Wh + b
    return np.tanh(gamma * _inside(a, a.mean(axis=1, keepdims=True), a.var(axis=1, keepdims=True), eps) + beta)


def _cell(rng: np.random.Generator) -> tuple[Array, ...]:
    """Weights of a cell with D = 3 inputs and H = 5 units; gamma and beta small, so that tanh does not saturate."""
    d, h = 3, 5
    gamma, beta = affine_parameters(rng, h)
    return (
        2 * rng.standard_normal((d, h)),
        2 * rng.standard_normal((h, h)),
        4 * rng.standard_normal(h),
        0.3 * gamma,
        0.2 * beta,
    )


def _two_steps(eps: float | None, size: float) -> Scenario:
    def observe(play: Functions, rng: np.random.Generator) -> Observations:
        cell = _cell(rng)
        h = size * rng.uniform(-0.9, 0.9, (4, 5))
        found = {}
        for step in (1, 2):
            x_t = size * step * rng.standard_normal((4, 3))
            Wx, Wh, b, gamma, beta = cell
            arguments = (x_t, h, Wx, Wh, size * b, gamma, beta)
            found[f"h after step {step}"] = play.rnn_layernorm_step(*arguments, *(() if eps is None else (eps,)))
            h = rng.uniform(-0.9, 0.9, (4, 5)) * size  # the same for everyone: one wrong step must not spoil the next
        return found

    return observe


def _rnn_eps(play: Functions, rng: np.random.Generator) -> Observations:
    large, default = _two_steps(0.5, 0.3)(play, rng), _two_steps(None, 0.002)(play, rng)
    return {f"{k} with eps=0.5": v for k, v in large.items()} | {
        f"{k} with the default eps": v for k, v in default.items()
    }


def _normed_rows(a: Array, gamma: Array, beta: Array, eps: float) -> Array:
    return layernorm_forward(a, gamma, beta, {"eps": eps})[0]


_RNN_IDEAS: tuple[tuple[str, str, Callable[..., Array]], ...] = (
    (
        "not-normalised",
        "Your step is the plain recurrent step: x_t Wx + h_prev Wh + b must be normalised before the tanh.",
        lambda x, h, Wx, Wh, b, g, be, e: np.tanh(x @ Wx + h @ Wh + b),
    ),
    (
        "normalised-after-tanh",
        "You normalise after the tanh. The sum is normalised first, then squashed.",
        lambda x, h, Wx, Wh, b, g, be, e: _normed_rows(np.tanh(x @ Wx + h @ Wh + b), g, be, e),
    ),
    (
        "tanh-forgotten",
        "The tanh is missing.",
        lambda x, h, Wx, Wh, b, g, be, e: _normed_rows(x @ Wx + h @ Wh + b, g, be, e),
    ),
    (
        "over-the-batch",
        "Your statistics run over the batch. Layer norm takes each example's own units, which is why it suits sequences.",
        lambda x, h, Wx, Wh, b, g, be, e: np.tanh(_normed(_as_it_is, (0,))(x @ Wx + h @ Wh + b, g, be, {"eps": e})[0]),
    ),
    (
        "summands-normalised-separately",
        "You normalise x_t Wx and h_prev Wh each by itself. Add them (and b) first: there is one normalisation per step.",
        lambda x, h, Wx, Wh, b, g, be, e: np.tanh(_normed_rows(x @ Wx, g, be, e) + _normed_rows(h @ Wh, g, be, e) + b),
    ),
    (
        "bias-after-the-norm",
        "You add b after the normalisation. It belongs to the sum that is normalised; beta is the shift after it.",
        lambda x, h, Wx, Wh, b, g, be, e: np.tanh(_normed_rows(x @ Wx + h @ Wh, g, be, e) + b),
    ),
    (
        "bias-forgotten",
        "b is missing in the sum that is normalised.",
        lambda x, h, Wx, Wh, b, g, be, e: np.tanh(_normed_rows(x @ Wx + h @ Wh, g, be, e)),
    ),
    (
        "not-scaled",
        "gamma and beta are not applied between the normalisation and the tanh.",
        lambda x, h, Wx, Wh, b, g, be, e: np.tanh(_normed_rows(x @ Wx + h @ Wh + b, np.ones_like(g), 0 * be, e)),
    ),
    (
        "scaled-after-tanh",
        "gamma and beta are applied after the tanh. They belong before it.",
        lambda x, h, Wx, Wh, b, g, be, e: (
            g * np.tanh(_normed_rows(x @ Wx + h @ Wh + b, np.ones_like(g), 0 * be, e)) + be
        ),
    ),
    (
        "eps-outside-the-root",
        "You divide by sqrt(var) + eps. eps is added inside the root.",
        lambda x, h, Wx, Wh, b, g, be, e: np.tanh(
            _normed(_as_it_is, (1,), lambda a, m, v, eps: (a - m) / (np.sqrt(v) + eps))(
                x @ Wx + h @ Wh + b, g, be, {"eps": e}
            )[0]
        ),
    ),
    (
        "no-eps",
        "eps is not used. It is added to the variance, inside the root.",
        lambda x, h, Wx, Wh, b, g, be, e: np.tanh(_normed_rows(x @ Wx + h @ Wh + b, g, be, 0.0)),
    ),
    (
        "eps-hard-coded",
        "You always use eps = 1e-5. Use the argument; 1e-5 is only the default.",
        lambda x, h, Wx, Wh, b, g, be, e: np.tanh(_normed_rows(x @ Wx + h @ Wh + b, g, be, EPS)),
    ),
)


def _with_default_eps(wrong: Callable[..., Array]) -> Callable[..., Array]:
    return lambda x, h, Wx, Wh, b, gamma, beta, eps=EPS: wrong(x, h, Wx, Wh, b, gamma, beta, eps)


RNN_LAYERNORM_STEP = Exercise(
    name="rnn_layernorm_step",
    asks="One step of a recurrent net whose summed input is layer-normalised before the tanh.",
    reference=rnn_layernorm_step,
    returns=("h_t",),
    checks=(
        equals("takes the tanh of the normalised, scaled and shifted sum", 3, _two_steps(NEGLIGIBLE_EPS, 1.5), single=True),
        equals("adds eps to the variance, inside the root", 1, _rnn_eps),
        leaves_inputs(1, _two_steps(NEGLIGIBLE_EPS, 1.5)),
    ),
    misconceptions=tuple(
        Misconception(id, message, {"rnn_layernorm_step": _with_default_eps(wrong)})
        for id, message, wrong in _RNN_IDEAS
    ),
    hints=(
        "What is the input of the tanh in a plain recurrent net? Where would the norm go?",
        "First the whole sum, with b; then layer norm over the H units of each example; then tanh.",
        "a = sum; statistics of a over axis 1, axes kept; gamma * normalised + beta; tanh of that.",
    ),
    builds_on=("layernorm_forward",),
    composed=lambda play: (
        lambda x_t, h_prev, Wx, Wh, b, gamma, beta, eps=EPS: np.tanh(
            play.layernorm_forward(x_t @ Wx + h_prev @ Wh + b, gamma, beta, {"eps": eps})[0]
        )
    ),
)

EXERCISES = (
    NORMALIZATION_AXES,
    STATISTICS_COUNT,
    LAYERNORM_FORWARD,
    LAYERNORM_BACKWARD,
    INSTANCENORM_FORWARD,
    INSTANCENORM_BACKWARD,
    SPATIAL_GROUPNORM_FORWARD,
    SPATIAL_GROUPNORM_BACKWARD,
    RNN_LAYERNORM_STEP,
)
