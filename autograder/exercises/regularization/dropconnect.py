"""DropConnect: weights are dropped, not units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from autograder.checks import equals, leaves_inputs, shaped
from autograder.exercise import Exercise, Functions, Misconception, Observations, Observe
from autograder.exercises.regularization.dropout import RNG_IGNORED, SEED_INSIDE, always_the_same, fresh_draws, new_mask
from autograder.exercises.regularization.penalties import only_the
from autograder.exercises.regularization.shared import (
    KEEP_MESSAGES,
    Array,
    Generator,
    Keep,
    both_signs,
    draws_from_rng,
    dropping,
    entries_decide_alone,
    extremes,
    fixed_number,
    for_all_columns,
    for_all_rows,
    generator_of_its_own,
    kept_scale,
    kept_shares,
    mistake,
    normal_numbers,
    uniform_numbers,
)

# --- dropconnect ----------------------------------------------------------------------------------------------------


def dropconnect_forward(x: Array, W: Array, b: Array, p: float, mode: str, rng: Generator) -> tuple[Array, Any]:
    """x @ (W * M / p) + b in training, x @ W + b at test time; x (N, D), W (D, K), b (K,).

    M keeps each weight with probability p, one mask a call. (Wan et al. 2013 draw one for each example and sample a
    Gaussian at test time.)
    """
    mask = rng.random(W.shape) < p if mode == "train" else np.full(W.shape, p)
    return x @ (W * mask / p) + b, (x, W, mask, p)


def dropconnect_backward(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
    """dx = dout @ (W * M / p).T, dW = (x.T @ dout) * M / p, db the sum of dout over the examples; M / p is 1 at "
    "test time."""
    x, W, mask, p = cache[:4]
    return dout @ (W * mask / p).T, (x.T @ dout) * mask / p, dout.sum(axis=0)


def _connection_factors(play: Functions, rng: Generator, shape: tuple[int, ...], p: float) -> Array:
    """What each weight was multiplied by: with the identity for x and no bias, the output is the weights that were used."""
    d, k = shape
    W = both_signs(rng, d, k)
    out, _ = play.dropconnect_forward(np.eye(d), W, np.zeros(k), p, "train", generator_of_its_own(rng))
    return shaped("out", out, W) / W


def _one_mask_for_the_batch(play: Functions, rng: Generator) -> Observations:
    """The first 40 examples are the identity and show the weights; the other 10 must have been multiplied by the same. With
    masks of their own that happens with probability 2**-160, and 40 outputs are all kept with probability 2**-40."""
    W, mixed = both_signs(rng, 40, 4), both_signs(rng, 10, 40)
    x = np.concatenate([np.eye(40), mixed])
    out, _ = play.dropconnect_forward(x, W, np.zeros(4), 0.5, "train", generator_of_its_own(rng))
    seen = shaped("out", out, np.zeros((50, 4)))
    wanted = mixed @ seen[:40]
    return {
        "all examples are multiplied by the same weights": bool(np.allclose(seen[40:], wanted, rtol=1e-4, atol=1e-3)),
        "outputs of some examples are dropped": bool(np.any((seen[40:] == 0) & (wanted != 0))),
    }


def _bias(play: Functions, rng: Generator) -> Observations:
    """With W = 0 the output is the bias. 60 outputs all have one fate with probability 2**-59."""
    b = both_signs(rng, 60)
    out, _ = play.dropconnect_forward(both_signs(rng, 7, 5), np.zeros((5, 60)), b, 0.5, "train", generator_of_its_own(rng))
    return extremes("out / b in training where W is 0", shaped("out", out, np.zeros((7, 60))) / b)


def _dropconnect_test_time(play: Functions, rng: Generator) -> Observations:
    found: Observations = {}
    for p in (0.3, 0.8):
        W, b = both_signs(rng, 20, 12), both_signs(rng, 12)
        of_weights, _ = play.dropconnect_forward(np.eye(20), W, 0 * b, p, "test", generator_of_its_own(rng))
        of_bias, _ = play.dropconnect_forward(both_signs(rng, 3, 20), 0 * W, b, p, "test", generator_of_its_own(rng))
        found |= extremes(f"weight used / weight of W at test time at p={p}", shaped("out", of_weights, W) / W)
        found |= extremes(f"out / b at test time where W is 0, at p={p}", shaped("out", of_bias, np.zeros((3, 12))) / b)
    return found


def _dropconnect_repeat(rng: Generator) -> Callable[[Functions, Generator], Any]:
    x, W, b = both_signs(rng, 3, 20), both_signs(rng, 20, 10), both_signs(rng, 10)
    return lambda play, generator: play.dropconnect_forward(x, W, b, 0.5, "train", generator)[0]


def _dropconnect_both_modes(play: Functions, rng: Generator) -> Observations:
    for mode in ("train", "test"):
        x, W, b = both_signs(rng, 4, 3), both_signs(rng, 3, 5), both_signs(rng, 5)
        play.dropconnect_forward(x, W, b, 0.6, mode, generator_of_its_own(rng))
    return {}


def _dropconnect(
    keep: Keep = uniform_numbers,
    scale: Callable[[float], float] = lambda p: 1 / p,
    test_scale: Callable[[float], float] = lambda p: 1.0,
    generator: Callable[[Generator], Generator] = lambda rng: rng,
    trains_in: Sequence[str] = ("train",),
    combine: Callable[[Array, Array, Array, float, Generator], Array] = lambda x, W, b, p, rng: x @ W + b,
) -> Callable[..., tuple[Array, Any]]:
    """A dropconnect_forward that goes wrong in the one way that an argument says."""

    def forward(x: Array, W: Array, b: Array, p: float, mode: str, rng: Generator) -> tuple[Array, Any]:
        if mode not in trains_in:
            return x @ (W * test_scale(p)) + b, None
        mask = keep(generator(rng), W.shape, p) * scale(p)
        return combine(x, W * mask, b, p, rng), mask

    return forward


def _instead(wrong: Callable[[Array, Array, Array, float, Generator], Array]) -> Callable[..., tuple[Array, Any]]:
    """A dropconnect_forward that does something else in training and is right at test time."""

    def forward(x: Array, W: Array, b: Array, p: float, mode: str, rng: Generator) -> tuple[Array, Any]:
        return (wrong(x, W, b, p, rng) if mode == "train" else x @ W + b), None

    return forward


def _mask_for_each_example(x: Array, W: Array, b: Array, p: float, rng: Generator) -> Array:
    masks = rng.random((len(x), *W.shape)) < p
    return np.asarray(np.einsum("nd,ndk->nk", x, W * masks / p) + b)


DROPCONNECT_FORWARD = Exercise(
    name="dropconnect_forward",
    asks="Drop weights instead of outputs: a mask on W in training, all of W at test time.",
    reference=dropconnect_forward,
    returns=("out", "cache"),
    checks=(
        equals("keeps each weight with probability p", 1, kept_shares(_connection_factors, (40, 60))),
        equals(
            "divides the weights it keeps by p", 1, kept_scale(_connection_factors, (31, 41), "weight used / weight of W")
        ),
        equals("decides on each weight by itself", 1, entries_decide_alone(_connection_factors)),
        equals("uses one mask for the whole mini-batch", 1, _one_mask_for_the_batch),
        equals("keeps the whole bias", 1, _bias),
        equals("uses all weights as they are at test time", 2, _dropconnect_test_time),
        equals("draws from rng, anew at each call", 1, draws_from_rng(_dropconnect_repeat)),
        leaves_inputs(1, _dropconnect_both_modes),
    ),
    misconceptions=tuple(
        mistake("dropconnect_forward", *idea)
        for idea in (
            (
                "not-scaled",
                "The weights that are kept are not scaled: divide them by p, so that the mean output stays x @ W + b.",
                _dropconnect(scale=lambda p: 1.0),
            ),
            (
                "scaled-at-test-time-instead",
                "You multiply W by p at test time instead of dividing in training. Here it is inverted: all of W at test "
                "time.",
                _dropconnect(scale=lambda p: 1.0, test_scale=lambda p: p),
            ),
            (
                "scaled-at-test-time-too",
                "You divide by p in training and multiply by p at test time: one of the two is enough, here the first.",
                _dropconnect(test_scale=lambda p: p),
            ),
            (
                "multiplied-by-p",
                "You multiply the kept weights by p. They must grow to make up for those that are dropped: divide.",
                _dropconnect(scale=lambda p: p),
            ),
            (
                "p-is-dropped",
                "You take p for the probability to DROP: you keep a weight with probability 1 - p and divide by 1 - p. p "
                "is the probability to KEEP.",
                _dropconnect(keep=dropping, scale=lambda p: 1 / (1 - p)),
            ),
            (
                "mask-turned-round",
                "You keep a weight with probability 1 - p. p is the probability to KEEP: turn the comparison round.",
                _dropconnect(keep=dropping),
            ),
            ("normal-numbers", KEEP_MESSAGES["normal"], _dropconnect(keep=normal_numbers)),
            (
                "fixed-number-kept",
                "Every mask of yours keeps the same number of weights. Each weight is kept or dropped by itself, so the "
                "number varies from call to call.",
                _dropconnect(keep=fixed_number),
            ),
            (
                "one-mask-for-all-inputs",
                "All rows of W share one mask. Every connection is decided by itself: draw a mask of the shape of W.",
                _dropconnect(keep=for_all_rows),
            ),
            (
                "one-mask-for-all-outputs",
                "All columns of W share one mask: an input is dropped for every unit at once. That is dropout of x. Draw "
                "a mask of the shape of W.",
                _dropconnect(keep=for_all_columns),
            ),
            (
                "mask-for-each-example",
                "Every example has a mask of its own (so do Wan et al. 2013). Here one mask is drawn a call, for the "
                "whole mini-batch: it has the shape of W.",
                _instead(_mask_for_each_example),
            ),
            (
                "outputs-dropped",
                "You drop outputs: that is dropout. DropConnect drops weights, before the product with x.",
                _instead(lambda x, W, b, p, rng: x @ W * (rng.random((len(x), W.shape[1])) < p) / p + b),
            ),
            (
                "outputs-dropped-with-their-bias",
                "You drop outputs, bias and all: that is dropout after the layer. DropConnect drops weights, before the "
                "product.",
                _instead(lambda x, W, b, p, rng: (x @ W + b) * (rng.random((len(x), W.shape[1])) < p) / p),
            ),
            (
                "inputs-dropped",
                "You drop inputs, each example's by themselves: that is dropout of x. DropConnect puts the mask on W.",
                _instead(lambda x, W, b, p, rng: (x * (rng.random(x.shape) < p) / p) @ W + b),
            ),
            (
                "bias-dropped",
                "Some of the bias is dropped, too. The mask is for W alone.",
                _dropconnect(combine=lambda x, W, b, p, rng: x @ W + b * (rng.random(b.shape) < p) / p),
            ),
            (
                "bias-divided-by-p",
                "You divide the bias by p as well. Nothing of it was dropped: divide W * M alone.",
                _dropconnect(combine=lambda x, W, b, p, rng: x @ W + b / p),
            ),
            (
                "bias-missing",
                "The bias is missing in training.",
                _dropconnect(combine=lambda x, W, b, p, rng: x @ W),
            ),
            (
                "mode-ignored",
                "You drop weights at test time, too. There the whole network is used.",
                _dropconnect(trains_in=("train", "test")),
            ),
            ("rng-ignored", RNG_IGNORED, _dropconnect(generator=fresh_draws)),
            ("seed-inside", SEED_INSIDE, _dropconnect(generator=always_the_same)),
            (
                "in-place",
                "You change W in place: the dropped weights are lost for good. Make a new array.",
                _instead(lambda x, W, b, p, rng: x @ np.multiply(W, (rng.random(W.shape) < p) / p, out=W) + b),
            ),
        )
    ),
    hints=(
        "What has the shape of the mask: x, W, or the output?",
        "The same layer as always, with W * M / p in the place of W.",
        "Train: M = (uniform numbers from rng of W.shape < p); x @ (W * M / p) + b. Test: x @ W + b.",
    ),
)


def _connected(play: Functions, rng: Generator) -> tuple[Observations, bool]:
    """Two forward passes, then the backward pass of the first; twice. And whether the gradients fit the student's forward.

    The identity among the examples shows which weights the forward used. In the first run every upstream row reaches one
    output only, so that an entry of dx is one weight that was used times one number; in the second nothing cancels in
    x.T @ dout. The quotients are therefore exact. Of 45 weights some are kept and some are not with probability 1 - 2e-10.
    """
    (n, d, k), p = (12, 9, 5), 0.4
    W, b = both_signs(rng, d, k), np.zeros(k)
    x = np.concatenate([np.eye(d), rng.uniform(0.5, 2, (n - d, d))])
    reached = rng.permutation(np.arange(n) % k)
    dense = rng.uniform(0.5, 2, (n, k)) * both_signs(rng, k)
    sparse = np.where(reached[:, None] == np.arange(k), dense, 0)

    def played(dout: Array) -> tuple[Array, Any]:
        out, cache = play.dropconnect_forward(x, W, b, p, "train", generator_of_its_own(rng))
        play.dropconnect_forward(x, W, b, p, "train", generator_of_its_own(rng))
        return shaped("out", out, dout)[:d] / W, play.dropconnect_backward(dout, cache)

    used, results = played(sparse)
    weights, of_x = used.T[reached], shaped("dx", results[0], x) / (sparse @ W.T)  # (N, D)
    used, results = played(dense)
    of_W = shaped("dW", results[1], W) / (x.T @ dense)  # (D, K)
    found = {
        **extremes("dx / (dout @ W.T) where the weight was kept", of_x[weights != 0]),
        **extremes("dx / (dout @ W.T) where the weight was dropped", of_x[weights == 0]),
        **extremes("dW / (x.T @ dout) where the weight was kept", of_W[used != 0]),
        **extremes("dW / (x.T @ dout) where the weight was dropped", of_W[used == 0]),
    }
    consistent = np.allclose(of_x, weights, rtol=1e-4, atol=1e-6) and np.allclose(of_W, used, rtol=1e-4, atol=1e-6)
    return found, bool(consistent)


def _connected_part(name: str) -> Observe:
    return only_the(f" {name} /", lambda play, rng: _connected(play, rng)[0])


def _dense_dropconnect(mode: str) -> Callable[[Functions, Generator], Observations]:
    def observe(play: Functions, rng: Generator) -> Observations:
        x, W, b = both_signs(rng, 6, 4), both_signs(rng, 4, 3), both_signs(rng, 3)
        dout = both_signs(rng, 6, 3)
        _, cache = play.dropconnect_forward(x, W, b, 0.6, mode, generator_of_its_own(rng))
        dx, dW, db = play.dropconnect_backward(dout, cache)
        return {"dx": dx, "dW": dW, "db": db}

    return observe


def _dropconnect_db(play: Functions, rng: Generator) -> Observations:
    return {"db in training": _dense_dropconnect("train")(play, rng)["db"]}


def _dropconnect_backward_at_test_time(play: Functions, rng: Generator) -> Observations:
    return {f"{name} at test time": value for name, value in _dense_dropconnect("test")(play, rng).items()}


def _connected_idea(
    id: str, message: str, wrong: Callable[[Array, Array, Array, Array, float], tuple[Array, Array, Array]]
) -> Misconception:
    """A dropconnect_backward that returns ``wrong(dout, x, W, mask, p)`` in training and is right at test time."""

    def backward(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
        x, W, mask, p = cache[:4]
        return wrong(dout, x, W, mask, p) if mask.dtype == bool else dropconnect_backward(dout, cache)

    return mistake("dropconnect_backward", id, message, backward)


def _connected_at_test(scale: Callable[[float], float]) -> Callable[..., tuple[Array, Array, Array]]:
    def backward(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
        dx, dW, db = dropconnect_backward(dout, cache)
        factor = 1.0 if cache[2].dtype == bool else scale(cache[3])
        return dx * factor, dW * factor, db

    return backward


def _dropconnect_backward_in_place(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
    dx, dW, db = dropconnect_backward(dout, cache)
    dout /= cache[3]
    return dx, dW, db


DROPCONNECT_BACKWARD = Exercise(
    name="dropconnect_backward",
    asks="The gradients through DropConnect, with the mask of the forward pass.",
    reference=dropconnect_backward,
    returns=("dx", "dW", "db"),
    checks=(
        replace(
            equals("dx goes through the weights that were used", 2, _connected_part("dx")),
            consistent=lambda play, rng: _connected(play, rng)[1],
        ),
        equals("dW reaches the weights that were used, divided by p", 2, _connected_part("dW")),
        equals("db sums dout over the examples", 1, _dropconnect_db),
        equals("is the gradient of x @ W + b at test time", 1, _dropconnect_backward_at_test_time),
        leaves_inputs(1, _dense_dropconnect("train")),
    ),
    misconceptions=(
        _connected_idea(
            "dx-through-all-weights",
            "dx goes through all of W. The output came from W * M / p, so the gradient goes back through it.",
            lambda dout, x, W, mask, p: (dout @ W.T, x.T @ dout * mask / p, dout.sum(axis=0)),
        ),
        _connected_idea(
            "dW-not-masked",
            "dW reaches weights that were dropped. They had no part in the output: multiply by M / p.",
            lambda dout, x, W, mask, p: (dout @ (W * mask / p).T, x.T @ dout, dout.sum(axis=0)),
        ),
        _connected_idea(
            "mask-ignored",
            "Your gradients are those of a layer that drops nothing. Keep the mask in the cache and use it for dx and for "
            "dW.",
            lambda dout, x, W, mask, p: (dout @ W.T, x.T @ dout, dout.sum(axis=0)),
        ),
        _connected_idea(
            "dW-not-scaled",
            "dW is masked but not divided by p. The factor of each weight is M / p.",
            lambda dout, x, W, mask, p: (dout @ (W * mask / p).T, x.T @ dout * mask, dout.sum(axis=0)),
        ),
        _connected_idea(
            "dx-not-scaled",
            "dx goes through W * M. The forward used W * M / p.",
            lambda dout, x, W, mask, p: (dout @ (W * mask).T, x.T @ dout * mask / p, dout.sum(axis=0)),
        ),
        _connected_idea(
            "not-scaled",
            "Your gradients are masked but not divided by p. The factor of each weight is M / p.",
            lambda dout, x, W, mask, p: (dout @ (W * mask).T, x.T @ dout * mask, dout.sum(axis=0)),
        ),
        _connected_idea(
            "divided-by-p-again",
            "You divide by p twice: what your forward kept has its 1/p already.",
            lambda dout, x, W, mask, p: (dout @ (W * mask / p**2).T, x.T @ dout * mask / p**2, dout.sum(axis=0)),
        ),
        _connected_idea(
            "new-mask",
            "Your gradients have another mask than the output of their own forward call. Keep the mask in the cache.",
            lambda dout, x, W, mask, p: dropconnect_backward(dout, (x, W, new_mask(p, W), p)),
        ),
        _connected_idea(
            "db-mean",
            "You average dout for db. Each example adds the bias once: sum.",
            lambda dout, x, W, mask, p: (dout @ (W * mask / p).T, x.T @ dout * mask / p, dout.mean(axis=0)),
        ),
        _connected_idea(
            "db-divided-by-p",
            "You divide db by p. The bias is not dropped, and not scaled.",
            lambda dout, x, W, mask, p: (dout @ (W * mask / p).T, x.T @ dout * mask / p, dout.sum(axis=0) / p),
        ),
        mistake(
            "dropconnect_backward",
            "scaled-at-test-time",
            "You multiply by p at test time. There the forward used W as it is.",
            _connected_at_test(lambda p: p),
        ),
        mistake(
            "dropconnect_backward",
            "divided-at-test-time",
            "You divide by p at test time. There the forward used W as it is.",
            _connected_at_test(lambda p: 1 / p),
        ),
        mistake(
            "dropconnect_backward",
            "in-place",
            "You change dout. The caller still needs it: make a new array.",
            _dropconnect_backward_in_place,
        ),
    ),
    hints=(
        "The layer is x @ V + b with V = W * M / p. What are the gradients of x @ V + b?",
        "dx needs V; dV is x.T @ dout. How does V depend on W?",
        "dx = dout @ V.T, dW = (x.T @ dout) * M / p, db = the sum over the examples; at test time without M / p.",
    ),
    needs=("dropconnect_forward",),
)
