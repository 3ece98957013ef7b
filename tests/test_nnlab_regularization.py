"""The laboratory's regularization, against values worked out by hand, probabilities and PyTorch."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest

from nnlab.regularization import (
    dropconnect_backward,
    dropconnect_forward,
    dropout_backward,
    dropout_forward,
    elastic_net_penalty,
    fractional_max_pool_backward,
    fractional_max_pool_forward,
    fractional_pool_regions,
    gaussian_noise_backward,
    gaussian_noise_forward,
    l1_penalty,
    l2_penalty,
    predict_marginalized,
    stochastic_depth_backward,
    stochastic_depth_forward,
    vanilla_dropout_forward,
)

W = np.array([[3.0, -4.0], [0.0, 1.0]])


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- penalties ------------------------------------------------------------------------------------------------------


def test_penalties_by_hand() -> None:
    loss, grad = l2_penalty(W, 0.5)
    assert loss == 6.5
    np.testing.assert_array_equal(grad, [[1.5, -2.0], [0.0, 0.5]])
    loss, grad = l1_penalty(W, 0.5)
    assert loss == 4.0
    np.testing.assert_array_equal(grad, [[0.5, -0.5], [0.0, 0.5]])
    loss, grad = elastic_net_penalty(W, 0.5, 0.5)
    assert loss == 10.5
    np.testing.assert_array_equal(grad, [[2.0, -2.5], [0.0, 1.0]])


@pytest.mark.parametrize("strength", [0.0, 0.3])
def test_an_elastic_net_with_one_strength_zero_is_the_other_penalty(strength: float) -> None:
    w = generator().standard_normal((2, 3, 4))
    for found, wanted in (
        (elastic_net_penalty(w, strength, 0.0), l1_penalty(w, strength)),
        (elastic_net_penalty(w, 0.0, strength), l2_penalty(w, strength)),
    ):
        assert found[0] == pytest.approx(wanted[0])
        np.testing.assert_allclose(found[1], wanted[1])


# --- dropout --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(40_000,), (200, 200), (10, 20, 10, 20)], ids=str)
@pytest.mark.parametrize("p", [0.25, 0.8])
def test_dropout_keeps_a_share_p_and_divides_it_by_p(shape: tuple[int, ...], p: float) -> None:
    x = generator().uniform(1, 2, shape)
    out, cache = dropout_forward(x, {"p": p, "mode": "train", "seed": 3})
    kept = out != 0
    assert abs(kept.mean() - p) < 6 * np.sqrt(p * (1 - p) / x.size)
    np.testing.assert_allclose(out[kept], x[kept] / p)
    np.testing.assert_allclose(dropout_backward(x, cache), out)


def test_dropout_does_nothing_at_test_time_and_keeps_all_at_one() -> None:
    x = generator().standard_normal((4, 5))
    for param in ({"p": 0.3, "mode": "test"}, {"p": 1.0, "mode": "train"}):
        out, cache = dropout_forward(x, param)
        np.testing.assert_array_equal(out, x)
        np.testing.assert_array_equal(dropout_backward(x, cache), x)
        assert not np.shares_memory(out, x)


def test_a_seed_makes_dropout_repeatable_and_nothing_else_does() -> None:
    x = np.ones((20, 20))
    outs = [
        dropout_forward(x, {"p": 0.5, "mode": "train", **seed})[0].tobytes()
        for seed in ({"seed": 0}, {"seed": 0}, {"seed": 1}, {}, {})
    ]
    assert outs[0] == outs[1]
    assert len(set(outs)) == 4


def test_vanilla_dropout_is_inverted_dropout_times_p() -> None:
    x = generator().standard_normal((30, 20))
    inverted, _ = dropout_forward(x, {"p": 0.4, "mode": "train", "seed": 7})
    vanilla, _ = vanilla_dropout_forward(x, 0.4, "train", generator(7))
    np.testing.assert_allclose(vanilla, 0.4 * inverted)
    np.testing.assert_allclose(vanilla_dropout_forward(x, 0.4, "test", generator())[0], 0.4 * x)


def test_dropconnect_is_an_affine_layer_with_masked_weights() -> None:
    rng = generator()
    x, W, b = rng.standard_normal((5, 30)), rng.uniform(1, 2, (30, 20)), rng.standard_normal(20)
    used = dropconnect_forward(np.eye(30), W, 0 * b, 0.3, "train", generator(4))[0]
    assert set(np.round((used / W).ravel(), 9)) == {0.0, round(1 / 0.3, 9)}
    out, cache = dropconnect_forward(x, W, b, 0.3, "train", generator(4))
    np.testing.assert_allclose(out, x @ used + b)
    dout = rng.standard_normal(out.shape)
    dx, dW, db = dropconnect_backward(dout, cache)
    np.testing.assert_allclose(dx, dout @ used.T)
    np.testing.assert_allclose(dW, x.T @ dout * used / W)
    np.testing.assert_allclose(db, dout.sum(axis=0))
    np.testing.assert_allclose(dropconnect_forward(x, W, b, 0.3, "test", generator())[0], x @ W + b)


# --- noise ----------------------------------------------------------------------------------------------------------


def test_gaussian_noise_has_standard_deviation_sigma_around_x() -> None:
    x = generator().standard_normal((400, 100))
    out, cache = gaussian_noise_forward(x, 0.7, "train", generator(1))
    z = (out - x) / 0.7
    assert abs(z.mean()) < 6 / 200
    assert abs(z.std() - 1) < 6 / np.sqrt(2 * z.size)
    np.testing.assert_array_equal(gaussian_noise_forward(x, 0.7, "test", generator(1))[0], x)
    np.testing.assert_array_equal(gaussian_noise_backward(out, cache), out)


def test_stochastic_depth_adds_the_branch_or_not_and_on_average_what_it_adds_at_test_time() -> None:
    rng = generator()
    x, branch, dout = rng.standard_normal((3, 4, 5))
    fates = []
    for _ in range(4_000):
        out, cache = stochastic_depth_forward(x, branch, 0.3, "train", rng)
        survived = not np.array_equal(out, x)
        fates.append(survived)
        np.testing.assert_array_equal(out, x + branch if survived else x)
        dx, dbranch = stochastic_depth_backward(dout, cache)
        np.testing.assert_array_equal(dx, dout)
        np.testing.assert_array_equal(dbranch, dout if survived else 0 * dout)
    assert abs(np.mean(fates) - 0.3) < 6 * np.sqrt(0.21 / 4_000)
    out, cache = stochastic_depth_forward(x, branch, 0.3, "test", rng)
    np.testing.assert_allclose(out, x + 0.3 * branch)
    np.testing.assert_allclose(stochastic_depth_backward(dout, cache)[1], 0.3 * dout)


@pytest.mark.parametrize(
    "forward",
    [
        lambda x, mode: dropout_forward(x, {"p": 0.5, "mode": mode}),
        lambda x, mode: vanilla_dropout_forward(x, 0.5, mode, generator()),
        lambda x, mode: dropconnect_forward(x, x.T, x[0, :1], 0.5, mode, generator()),
        lambda x, mode: gaussian_noise_forward(x, 0.5, mode, generator()),
        lambda x, mode: stochastic_depth_forward(x, x, 0.5, mode, generator()),
    ],
)
def test_layers_keep_float32_leave_their_inputs_and_know_two_modes(forward: Any) -> None:
    x = generator().standard_normal((4, 3)).astype(np.float32)
    before = x.copy()
    for mode in ("train", "test"):
        out, _ = forward(x, mode)
        assert out.dtype == np.float32
        np.testing.assert_array_equal(x, before)
        assert not np.shares_memory(out, x)
    with pytest.raises(ValueError, match="'Train'"):
        forward(x, "Train")


# --- fractional pooling ---------------------------------------------------------------------------------------------


def test_regions_cover_the_side_in_ones_and_twos_and_all_orders_come_alike() -> None:
    rng, seen = generator(), Counter()
    for _ in range(6_000):
        steps = np.diff(fractional_pool_regions(6, 4, rng))
        seen[tuple(steps.tolist())] += 1
    assert set(seen) == set(itertools.permutations((1, 1, 2, 2)))
    assert all(abs(count - 1_000) < 6 * np.sqrt(6_000 / 6 * 5 / 6) for count in seen.values())
    np.testing.assert_array_equal(fractional_pool_regions(5, 5, rng), np.arange(6))
    np.testing.assert_array_equal(fractional_pool_regions(10, 5, rng), np.arange(0, 12, 2))


@pytest.mark.parametrize(("size", "out"), [(4, 5), (11, 5)])
def test_regions_that_cannot_be_are_refused(size: int, out: int) -> None:
    with pytest.raises(ValueError, match=f"cover {out} to {2 * out} pixels, not {size}"):
        fractional_pool_regions(size, out, generator())


def test_fractional_pooling_by_hand() -> None:
    x = np.array([[5.0, 1.0, 2.0], [0.0, 3.0, 9.0], [4.0, 8.0, 7.0]])[None, None]
    rows, cols = np.array([0, 1, 3]), np.array([0, 2, 3])
    out, cache = fractional_max_pool_forward(x, rows, cols)
    np.testing.assert_array_equal(out[0, 0], [[5, 2], [8, 9]])
    np.testing.assert_array_equal(
        fractional_max_pool_backward(np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), cache)[0, 0], [[1, 0, 2], [0, 0, 4], [0, 3, 0]]
    )
    out, cache = fractional_max_pool_forward(x, rows, cols, overlapping=True)
    np.testing.assert_array_equal(out[0, 0], [[9, 9], [9, 9]])
    np.testing.assert_array_equal(fractional_max_pool_backward(out, cache)[0, 0], [[0, 0, 0], [0, 0, 36], [0, 0, 0]])


@pytest.mark.parametrize("overlapping", [False, True])
def test_fractional_pooling_is_the_maximum_of_each_slice(overlapping: bool) -> None:
    rng = generator()
    x = rng.standard_normal((2, 3, 11, 8)).astype(np.float32)
    rows, cols = fractional_pool_regions(11, 7, rng), fractional_pool_regions(8, 6, rng)
    out, cache = fractional_max_pool_forward(x, rows, cols, overlapping)
    for i, j in np.ndindex(7, 6):
        window = x[:, :, rows[i] : rows[i + 1] + overlapping, cols[j] : cols[j + 1] + overlapping]
        np.testing.assert_array_equal(out[:, :, i, j], window.max(axis=(2, 3)))
    dx = fractional_max_pool_backward(np.ones_like(out), cache)
    assert out.dtype == dx.dtype == np.float32
    assert dx.sum() == out.size
    assert set(x[dx > 0]) == set(out.ravel())


def test_regions_of_two_everywhere_are_pytorchs_max_pooling() -> None:
    torch = pytest.importorskip("torch")
    rng = generator()
    x, every_two = rng.standard_normal((2, 3, 8, 6)), (np.arange(0, 10, 2), np.arange(0, 8, 2))
    for overlapping, size in ((False, 2), (True, 3)):
        out, cache = fractional_max_pool_forward(x, *every_two, overlapping)
        theirs_x = torch.tensor(x, requires_grad=True)
        padded = torch.nn.functional.pad(theirs_x, (0, 1, 0, 1), value=-np.inf) if overlapping else theirs_x
        theirs = torch.nn.functional.max_pool2d(padded, size, stride=2)
        np.testing.assert_array_equal(out, theirs.detach().numpy())
        dout = rng.standard_normal(out.shape)
        theirs.backward(torch.tensor(dout))
        np.testing.assert_allclose(fractional_max_pool_backward(dout, cache), theirs_x.grad.numpy())


# --- test time ------------------------------------------------------------------------------------------------------


def test_a_marginalized_prediction_is_the_mean_of_the_samples() -> None:
    x = generator().standard_normal((3, 4))

    def forward(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return gaussian_noise_forward(x, 2.0, "train", rng)[0]

    rng = generator(5)
    wanted = np.mean([forward(x, rng) for _ in range(7)], axis=0)
    np.testing.assert_allclose(predict_marginalized(forward, x, 7, generator(5)), wanted)
    np.testing.assert_allclose(predict_marginalized(forward, x, 40_000, rng), x, atol=6 * 2 / 200)
