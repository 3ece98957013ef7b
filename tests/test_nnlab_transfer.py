"""The laboratory's transfer learning, against scikit-learn, PyTorch and values worked out by hand; the network that ships."""

from __future__ import annotations

import importlib.util
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from autograder.exercises import COURSE
from nnlab import DataError, Norm, glyphs, softmax_loss
from nnlab.transfer import (
    LETTERS,
    PRETRAINED,
    SIZE,
    STRATEGIES,
    extract_features,
    fine_tune_step,
    layerwise_learning_rates,
    linear_probe,
    load_state,
    pretrained,
    reinitialize_head,
    source_net,
    split_frozen,
    state,
    transfer_strategy,
)

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch is not installed: pip install '.[torch]'"
)
PROBES = {"nnlab": linear_probe, "course": COURSE.exercises["linear_probe"].reference}


def some_features(seed: int, scales: tuple[float, ...] = (1, 1, 1, 1)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((80, 4))
    y = (x @ rng.standard_normal((4, 3)) + rng.gumbel(size=(80, 3))).argmax(axis=1)
    return x * scales + rng.uniform(-2, 2, 4), y


@pytest.fixture(scope="module")
def params() -> dict[str, np.ndarray]:
    return source_net(24, rng=0).params


@pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES)
@pytest.mark.parametrize("scales", [(1, 1, 1, 1), (0.1, 1, 5, 20)], ids=str)
@pytest.mark.parametrize("l2", [0.01, 1.0])
def test_the_probe_is_scikit_learns(probe, scales, l2) -> None:  # type: ignore[no-untyped-def]
    from sklearn.linear_model import LogisticRegression

    x, y = some_features(1, scales)
    W, b = probe(x, y, l2)
    theirs = LogisticRegression(C=1 / (len(x) * l2), tol=1e-10, max_iter=20_000).fit(x, y)
    np.testing.assert_allclose(W, theirs.coef_.T, atol=1e-4 * np.abs(W).max())
    np.testing.assert_allclose(b - b.mean(), theirs.intercept_ - theirs.intercept_.mean(), atol=1e-3)


@needs_torch
@pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES)
def test_pytorchs_gradient_vanishes_at_the_probe(probe) -> None:  # type: ignore[no-untyped-def]
    import torch

    x, y = some_features(2, (0.3, 1, 3, 1))
    W, b = (torch.tensor(part, requires_grad=True) for part in probe(x, y, 0.1))
    loss = torch.nn.functional.cross_entropy(torch.tensor(x) @ W + b, torch.tensor(y)) + 0.05 * (W**2).sum()
    loss.backward()
    assert W.grad is not None and b.grad is not None
    assert float(W.grad.abs().max()) < 1e-5 and float(b.grad.abs().max()) < 1e-5


def test_the_probe_makes_a_column_for_a_class_without_examples_and_keeps_float32() -> None:
    x, y = some_features(3)
    W, b = linear_probe(x.astype(np.float32), y, 0.1, num_classes=5)
    assert W.shape == (4, 5) and b.shape == (5,) and W.dtype == b.dtype == np.float32
    scores = x @ W + b
    assert set(scores.argmax(axis=1)) <= {0, 1, 2}
    assert softmax_loss(scores, y)[0] < math.log(3)


def test_a_new_head_has_the_wanted_spread_and_everything_else_is_copied(params: dict[str, np.ndarray]) -> None:
    fresh = reinitialize_head(params, 2000, np.random.default_rng(0))
    assert list(fresh) == list(params)
    assert fresh["12.W"].shape == (48, 2000) and fresh["12.W"].dtype == np.float32
    assert fresh["12.W"].std() == pytest.approx(1 / math.sqrt(48), rel=0.01)
    assert not fresh["12.b"].any()
    for name in params:
        assert not np.shares_memory(fresh[name], params[name])
        if not name.startswith("12."):
            np.testing.assert_array_equal(fresh[name], params[name])


def test_layers_are_split_whole_and_by_number(params: dict[str, np.ndarray]) -> None:
    frozen, trainable = split_frozen(params, {1, 12})
    assert sorted(trainable) == ["1.beta", "1.gamma", "12.W", "12.b"]
    assert sorted([*frozen, *trainable]) == sorted(params)
    assert not any(np.shares_memory({**frozen, **trainable}[name], params[name]) for name in params)


def test_features_keep_their_order_and_the_last_batch() -> None:
    x = np.arange(7 * 2 * 3 * 3.0).reshape(7, 2, 3, 3)
    sizes: list[int] = []

    def forward_to(batch: np.ndarray) -> np.ndarray:
        sizes.append(len(batch))
        return 2 * batch

    np.testing.assert_array_equal(extract_features(forward_to, x, 3), 2 * x.reshape(7, 18))
    assert sizes == [3, 3, 1]


def test_rates_by_hand() -> None:
    names = ["0.W", "0.b", "9.gamma", "12.W", "10.W"]
    assert layerwise_learning_rates(names, 0.8, 0.5) == {"0.W": 0.1, "0.b": 0.1, "9.gamma": 0.2, "10.W": 0.4, "12.W": 0.8}


def test_what_is_frozen_stays_to_the_last_bit_and_nothing_is_shared(params: dict[str, np.ndarray]) -> None:
    grads = {name: np.ones_like(value) for name, value in params.items()}
    rates = dict.fromkeys(params, 0.25)
    found = params
    for _ in range(3):
        found = fine_tune_step(found, grads, rates, ["12.W", "9.gamma"])
    for name, value in params.items():
        moved = 0.75 if name in ("12.W", "9.gamma") else 0.0
        np.testing.assert_allclose(found[name], value - moved, rtol=1e-6, atol=1e-6 * bool(moved))
        assert found[name].dtype == np.float32 and not np.shares_memory(found[name], value)


def test_the_table_has_each_strategy_once() -> None:
    table = {(similar, much): transfer_strategy(similar, much) for similar in (True, False) for much in (True, False)}
    assert sorted(table.values()) == sorted(STRATEGIES)
    assert table[True, False] == "train a linear classifier on the top features"


def test_the_network_that_ships_reads_letters_and_a_copy_of_its_state_is_the_same_network() -> None:
    net, letters = pretrained(), glyphs(400, seed=77, size=SIZE, characters=LETTERS)
    assert net.accuracy(letters.x_train, letters.y_train) > 0.97
    other = source_net(len(LETTERS), rng=5)
    load_state(other, state(net))
    np.testing.assert_array_equal(other.forward(letters.x_train[:9], "test"), net.forward(letters.x_train[:9], "test"))
    for theirs, own in zip(other.layers, net.layers, strict=True):
        if isinstance(theirs, Norm) and isinstance(own, Norm):
            assert not np.shares_memory(theirs.param["running_mean"], own.param["running_mean"])


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    damaged = tmp_path / PRETRAINED.name
    shutil.copyfile(PRETRAINED, damaged)
    with damaged.open("r+b") as file:
        file.seek(1000)
        file.write(b"other")
    with pytest.raises(DataError, match="damaged"):
        pretrained(damaged)
    with pytest.raises(DataError, match="missing"):
        pretrained(tmp_path / "pretrained-none.npz")
