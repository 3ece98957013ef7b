"""The laboratory's ensembles, against values worked out by hand and against PyTorch's averaged models."""

import math
from typing import Any

import numpy as np
import pytest

from nnlab import Norm, digits, mlp, norms, train
from nnlab.ensembles import (
    average_probabilities,
    ensemble_accuracy,
    exponential_moving_average,
    polyak_average,
    recompute_batchnorm_statistics,
    snapshot_learning_rate,
    snapshot_steps,
)


def some_params(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"0.W": rng.standard_normal((3, 2)), "0.b": rng.standard_normal(2)}


def test_the_average_of_two_members_is_half_way() -> None:
    members = [np.array([[1.0, 0.0], [0.2, 0.8]]), np.array([[0.5, 0.5], [0.6, 0.4]])]
    np.testing.assert_allclose(average_probabilities(members), [[0.75, 0.25], [0.4, 0.6]])
    np.testing.assert_array_equal(members[0], [[1.0, 0.0], [0.2, 0.8]])


def test_one_sure_member_outweighs_two_doubtful_ones() -> None:
    members = [np.array([[0.55, 0.45]]), np.array([[0.55, 0.45]]), np.array([[0.05, 0.95]])]
    assert ensemble_accuracy(members, np.array([1])) == 1
    assert ensemble_accuracy(members[:2], np.array([1])) == 0


def test_the_ensembles_squared_error_is_the_members_mean_less_their_spread() -> None:
    """Krogh & Vedelsby 1995."""
    rng = np.random.default_rng(0)
    members = rng.dirichlet(np.ones(4), (5, 20))  # (members, N, K)
    truth = np.eye(4)[rng.integers(0, 4, 20)]
    mean = average_probabilities(list(members))
    of_each, spread = ((members - truth) ** 2).sum(axis=2).mean(), ((members - mean) ** 2).sum(axis=2).mean()
    assert ((mean - truth) ** 2).sum(axis=1).mean() == pytest.approx(of_each - spread)


def test_polyaks_average_is_the_mean_of_all_sets_whatever_it_began_with() -> None:
    average = {name: np.full_like(value, 9.0) for name, value in some_params(0).items()}
    for t in range(5):
        average = polyak_average(average, some_params(t), t)
    for name in average:
        np.testing.assert_allclose(average[name], np.mean([some_params(t)[name] for t in range(5)], axis=0))


def test_a_moving_average_by_hand() -> None:
    average, newest = {"w": np.array([1.0])}, {"w": np.array([5.0])}
    assert exponential_moving_average(average, newest, 0.75)["w"] == 2.0
    assert exponential_moving_average(average, newest, 0.75, t=0)["w"] == 5.0
    # After two sets the weights are 0.75 · 0.25 and 0.25, over their sum: 3/7 and 4/7.
    assert exponential_moving_average(average, newest, 0.75, t=1)["w"] == pytest.approx(3 / 7 + 20 / 7)


def test_with_t_a_moving_average_is_the_plain_one_from_zero_over_its_weights() -> None:
    plain = corrected = {name: np.zeros_like(value) for name, value in some_params(0).items()}
    for t in range(6):
        plain = exponential_moving_average(plain, some_params(t), 0.8)
        corrected = exponential_moving_average(corrected, some_params(t), 0.8, t)
        for name in plain:
            np.testing.assert_allclose(corrected[name], plain[name] / (1 - 0.8 ** (t + 1)))


@pytest.mark.parametrize("name", ["swa", "ema"])
def test_averages_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    net = torch.nn.Linear(3, 2, dtype=torch.float64)
    theirs = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.8)) if name == "ema" else AveragedModel(net)
    ours: Any = None
    for t in range(5):
        values = some_params(t)
        with torch.no_grad():
            net.weight.copy_(torch.tensor(values["0.W"].T))
            net.bias.copy_(torch.tensor(values["0.b"]))
        theirs.update_parameters(net)  # the first call copies
        if t == 0:
            ours = values
        else:
            ours = polyak_average(ours, values, t) if name == "swa" else exponential_moving_average(ours, values, 0.8)
    np.testing.assert_allclose(theirs.module.weight.detach().numpy(), ours["0.W"].T)
    np.testing.assert_allclose(theirs.module.bias.detach().numpy(), ours["0.b"])


def test_averages_leave_their_inputs_and_keep_float32() -> None:
    average, params = ({name: value.astype(np.float32) for name, value in some_params(k).items()} for k in (0, 1))
    before = {name: value.copy() for name, value in average.items()}
    for found in (polyak_average(average, params, 3), exponential_moving_average(average, params, 0.9, 3)):
        assert all(value.dtype == np.float32 for value in found.values())
        assert not any(np.shares_memory(found[name], params[name]) for name in found)
    for name, value in before.items():
        np.testing.assert_array_equal(average[name], value)


def test_snapshots_are_taken_at_the_last_step_of_each_cycle() -> None:
    assert snapshot_steps(12, 3) == [3, 7, 11]
    assert snapshot_steps(11, 3) == [2, 5, 8]
    assert snapshot_steps(7, 1) == [6]


def test_the_snapshot_rate_starts_anew_and_is_lowest_at_the_snapshots() -> None:
    rates = [snapshot_learning_rate(t, 30, 3, 0.4) for t in range(30)]
    assert rates[0] == rates[10] == rates[20] == 0.4
    assert rates[5] == pytest.approx(0.2)
    assert rates[9] == pytest.approx(0.2 * (1 + math.cos(0.9 * math.pi)))
    assert sorted(np.argsort(rates)[:3]) == snapshot_steps(30, 3)


def test_statistics_are_those_of_all_examples_at_once() -> None:
    rng = np.random.default_rng(0)
    batches = [rng.normal(k, 1 + k, (n, 3)) for k, n in enumerate((5, 2, 9))]
    mean, var = recompute_batchnorm_statistics(batches, lambda x: np.tanh(x) * 2)
    everything = 2 * np.tanh(np.concatenate(batches))
    np.testing.assert_allclose(mean, everything.mean(axis=0))
    np.testing.assert_allclose(var, ((everything - everything.mean(axis=0)) ** 2).mean(axis=0))


def test_a_networks_batch_norm_then_centres_the_training_set() -> None:
    data = digits(test=0.5).flat
    net = mlp([64, 20, 10], (norms.batchnorm_forward, norms.batchnorm_backward), rng=0)
    train(net, data, steps=20, rng=0, eval_every=0)
    affine, norm = net.layers[:2]
    assert isinstance(norm, Norm)
    mean, var = recompute_batchnorm_statistics(np.array_split(data.x_train, 7), lambda x: affine.forward(x, "test"))
    norm.param |= {"running_mean": mean, "running_var": var}
    out = norm.forward(affine.forward(data.x_train, "test"), "test")
    np.testing.assert_allclose(out.mean(axis=0), norm.params["beta"], atol=1e-4)
    np.testing.assert_allclose(out.std(axis=0), np.abs(norm.params["gamma"]), rtol=1e-2)
