"""Networks, the training loop, repetition over seeds and the data of the laboratory."""

import copy
import pickle
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest

import nnlab
from nnlab import Norm, ReLU, Sequential, Tanh, digits, mlp, norms, repeat, small_convnet, softmax_loss, sweep, train

BATCH_NORM = (norms.batchnorm_forward, norms.batchnorm_backward)
SPATIAL_BATCH_NORM = (norms.spatial_batchnorm_forward, norms.spatial_batchnorm_backward)


def group_norm(channels: int) -> Norm:
    return Norm(
        norms.spatial_groupnorm_forward, norms.spatial_groupnorm_backward, channels, G=2, dtype=np.float64, eps=1e-3
    )


@pytest.fixture(scope="module")
def data() -> nnlab.Data:
    return digits()


NETS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "mlp": (lambda: mlp([6, 5, 4, 3], rng=0, activation=Tanh, dtype=np.float64), (7, 6)),
    "mlp with batch norm": (
        lambda: mlp([6, 5, 4, 3], BATCH_NORM, rng=0, activation=Tanh, dtype=np.float64),
        (7, 6),
    ),
    "convnet": (
        lambda: small_convnet((4, 2), 3, in_channels=2, rng=0, activation=Tanh, dtype=np.float64),
        (3, 2, 5, 7),
    ),
    "convnet with batch norm": (
        lambda: small_convnet((4, 2), 3, SPATIAL_BATCH_NORM, in_channels=2, rng=0, dtype=np.float64),
        (3, 2, 5, 7),
    ),
    "convnet with group norm": (
        lambda: small_convnet((4, 2), 3, group_norm, in_channels=2, rng=0, dtype=np.float64),
        (3, 2, 5, 7),
    ),
}


@pytest.mark.parametrize("name", NETS)
def test_the_gradient_of_a_whole_network_is_that_of_numerical_differentiation(name: str) -> None:
    build, shape = NETS[name]
    net, rng = build(), np.random.default_rng(1)
    x, y = rng.normal(size=shape), rng.integers(3, size=shape[0])
    net.loss_and_grads(x, y)
    gradient = net.gradient.copy()
    wanted = np.zeros_like(gradient)
    for i, kept in enumerate(net.weights.copy().tolist()):
        losses: list[float] = []
        for h in (1e-6, -1e-6):
            net.weights[i] = kept + h
            losses.append(softmax_loss(net.forward(x), y)[0])
        net.weights[i] = kept
        wanted[i] = (losses[0] - losses[1]) / 2e-6
    np.testing.assert_allclose(gradient, wanted, rtol=1e-5, atol=1e-8)


def test_the_gradient_by_the_images_is_that_of_numerical_differentiation() -> None:
    build, shape = NETS["convnet with group norm"]
    net, rng = build(), np.random.default_rng(1)
    x, y = rng.normal(size=shape), rng.integers(3, size=shape[0])
    dx = net.backward(softmax_loss(net.forward(x), y)[1])
    v = rng.normal(size=shape)
    slope = (softmax_loss(net.forward(x + 1e-6 * v), y)[0] - softmax_loss(net.forward(x - 1e-6 * v), y)[0]) / 2e-6
    assert np.sum(dx * v) == pytest.approx(slope, rel=1e-6)


def test_softmax_loss_is_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    scores, y = 5 * rng.normal(size=(7, 4)), rng.integers(4, size=7)
    t = torch.tensor(scores, requires_grad=True)
    wanted = torch.nn.functional.cross_entropy(t, torch.tensor(y))
    wanted.backward()
    loss, dscores = softmax_loss(scores, y)
    assert loss == pytest.approx(wanted.item(), rel=1e-12)
    np.testing.assert_allclose(dscores, t.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_loss_of_huge_scores_is_finite_and_right(dtype: type) -> None:
    scores: Any = np.array([[1e4, 0, -1e4], [1e30, 1e30, -1e30]], dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss, dscores = softmax_loss(scores, np.array([2, 0]))
    assert loss == pytest.approx((2e4 + np.log(2)) / 2, rel=1e-6)
    np.testing.assert_allclose(dscores, np.array([[1, 0, -1], [-0.5, 0.5, 0]]) / 2)
    assert dscores.dtype == dtype


def test_params_are_views_of_one_vector_and_survive_copying_and_pickling() -> None:
    net = mlp([6, 5, 3], BATCH_NORM, rng=0)
    assert list(net.params) == ["0.W", "0.b", "1.gamma", "1.beta", "3.W", "3.b"]
    assert net.weights.size == 6 * 5 + 5 + 5 + 5 + 5 * 3 + 3
    for twin in (net.copy(), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        twin.params["0.W"][...] = 7
        assert twin.weights[0] == 7 and twin.layers[0].params["0.W"[2:]][0, 0] == 7
        assert net.weights[0] != 7
        net.load(twin.params | net.copy().params)
    with pytest.raises(ValueError, match=r"only in one of the two: 0\.W"):
        net.load({key: value for key, value in net.params.items() if key != "0.W"})


def test_predicting_with_batch_statistics_leaves_the_running_ones_alone() -> None:
    rng = np.random.default_rng(0)
    net = mlp([6, 5, 3], BATCH_NORM, rng=0)
    x, y = rng.normal(size=(40, 6)).astype(np.float32), rng.integers(3, size=40)
    net.loss_and_grads(x, y)
    kept = {key: np.copy(value) for key, value in net.layers[1].param.items()}  # type: ignore[attr-defined]
    one_by_one = net.predict(x, mode="train", batch_size=1)
    assert len(set(one_by_one)) == 1  # a batch of one normalises to zero: always the same class
    assert len(set(net.predict(x))) > 1
    net.activations(x, mode="train")
    for key in ("running_mean", "running_var"):
        np.testing.assert_array_equal(net.layers[1].param[key], kept[key])  # type: ignore[attr-defined]


def test_activations_are_named_bottom_up() -> None:
    net = small_convnet((4, 2), 3, SPATIAL_BATCH_NORM, rng=0)
    found = net.activations(np.zeros((2, 1, 6, 8)))
    assert [name for name, _ in found] == [
        "0 Conv2d", "1 spatial_batchnorm", "2 ReLU", "3 MaxPool2d", "4 Conv2d", "5 spatial_batchnorm", "6 ReLU",
        "7 GlobalAveragePool", "8 Affine",
    ]  # fmt: skip
    assert [a.shape for _, a in found][3] == (2, 4, 3, 4)
    assert [name for name, _ in net.activations(np.zeros((2, 1, 6, 8)), after=ReLU)] == ["2 ReLU", "6 ReLU"]


@pytest.mark.parametrize("norm", [None, BATCH_NORM])
def test_an_mlp_learns_the_digits_in_float32(norm: Any, data: nnlab.Data) -> None:
    net = mlp([64, 100, 100, 10], norm, rng=0)
    first: Any = net.layers[0]
    inputs = set()
    history = train(
        net, digits(np.float64), epochs=20, rng=0, progress=False, on_step=lambda t, _: inputs.add(first._x.dtype)
    )
    assert inputs == {np.dtype(np.float32)}
    assert history.val_accuracy > 0.95
    assert not history.diverged
    assert history.losses[-10:].mean() < 0.2 < history.losses[0]
    assert len(history.eval_steps) == len(history.val_accuracies) == len(history.train_accuracies)
    assert history.eval_steps[-1] == len(history.losses) == 20 * (1197 // 100)
    assert {net.weights.dtype, net.gradient.dtype, net.forward(data.x_val).dtype} == {np.dtype(np.float32)}


def test_a_convnet_learns_the_digits(data: nnlab.Data) -> None:
    net = small_convnet((8, 16), norm=SPATIAL_BATCH_NORM, rng=0)
    assert train(net, data, steps=200, learning_rate=0.2, progress=False).val_accuracy > 0.95


def test_the_same_seeds_give_the_same_training_and_others_another(data: nnlab.Data) -> None:
    runs = [train(mlp([64, 20, 10], rng=0), data, steps=20, rng=seed, progress=False).losses for seed in (1, 1, 2)]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert np.abs(runs[0] - runs[2]).max() > 1e-3


def test_a_diverging_run_stops_and_says_so_without_warnings(data: nnlab.Data) -> None:
    net = mlp([64, 50, 50, 10], rng=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history = train(net, data, steps=500, learning_rate=1e12, progress=False)
    assert history.diverged
    assert len(history.losses) < 500 and not np.isfinite(history.losses[-1])
    assert np.isfinite(history.losses[:-1]).all()
    assert history.val_accuracy < 0.2
    assert "diverged at step" in str(history)


def test_training_is_momentum_step_by_step(data: nnlab.Data) -> None:
    """The loop's own optimizer, and the same rule given as a function, against a plain rewriting of the loop."""

    def momentum_rule(w: np.ndarray, dw: np.ndarray, config: dict[str, Any]) -> Any:
        v = 0.8 * config.get("velocity", 0.0) - config["learning_rate"] * dw
        return w + v, {**config, "velocity": v}

    def rate(t: int) -> float:
        return 0.1 / (t + 1)

    plain = mlp([64, 20, 10], rng=0, dtype=np.float64)
    velocity = {name: np.zeros_like(w) for name, w in plain.params.items()}
    batches = nnlab.minibatches(data.x_train, data.y_train, 50, np.random.default_rng(3))
    for t in range(15):
        x, y = next(batches)
        _, grads = plain.loss_and_grads(x.astype(np.float64), y)
        for name, w in plain.params.items():
            velocity[name] = 0.8 * velocity[name] - rate(t) * grads[name]
            w += velocity[name]
    for options in ({"momentum": 0.8}, {"update": momentum_rule}):
        net = mlp([64, 20, 10], rng=0, dtype=np.float64)
        train(net, data, steps=15, batch_size=50, schedule=rate, rng=3, progress=False, **options)  # type: ignore[arg-type]
        np.testing.assert_allclose(net.weights, plain.weights, rtol=1e-10, atol=1e-12)


def test_an_optimizer_gets_its_own_defaults_unless_a_rate_is_given(data: nnlab.Data) -> None:
    seen = []

    def rule(w: np.ndarray, dw: np.ndarray, config: dict[str, Any]) -> Any:
        seen.append(dict(config))
        return w.astype(np.float64), config

    net = mlp([64, 10], rng=0)
    train(net, data, steps=1, update=rule, config={"beta1": 0.5}, progress=False)
    train(net, data, steps=1, update=rule, learning_rate=0.3, progress=False)
    assert seen == [{"beta1": 0.5}] * 2 + [{"learning_rate": 0.3}] * 2
    assert net.params["0.W"].dtype == np.float32


def test_minibatches_have_one_size_and_show_every_example_once_an_epoch() -> None:
    x, y = np.arange(10.0)[:, None], np.arange(10)
    batches = nnlab.minibatches(x, y, 3, np.random.default_rng(0))
    epoch = [next(batches) for _ in range(3)]
    assert all(len(labels) == 3 and (rows[:, 0] == labels).all() for rows, labels in epoch)
    assert len({label for _, labels in epoch for label in labels.tolist()}) == 9


def test_on_step_is_called_after_every_step_and_accuracies_are_taken_when_asked(data: nnlab.Data) -> None:
    calls: list[int] = []
    net = mlp([64, 10], rng=0)
    history = train(net, data, steps=7, eval_every=3, on_step=lambda t, _: calls.append(t), progress=False)
    assert calls == list(range(7))
    assert history.eval_steps.tolist() == [3, 6, 7]
    assert train(net, data, steps=7, eval_every=0, progress=False).eval_steps.tolist() == [7]
    with pytest.raises(ValueError, match="not both"):
        train(net, data, steps=7, epochs=1)


def test_summaries_have_the_mean_and_its_standard_error() -> None:
    summary = repeat(lambda seed: [seed, 2 * seed], seeds=[1, 2, 4, 5], progress=False)
    assert summary.values.shape == (4, 2)
    np.testing.assert_allclose(summary.mean, [3, 6])
    np.testing.assert_allclose(summary.error, np.array([1, 2]) * np.sqrt(10 / 3) / 2)
    assert float(summary[1].mean) == 6
    assert str(summary[0]).startswith("3.000 ± 0.913  (4 seeds,")
    assert repeat(lambda seed: 1.0, 1, progress=False).error == 0
    table = sweep(lambda rate, seed: rate * seed, [1, 10, 100], seeds=2, progress=False)
    assert table.values.tolist() == [[0, 0, 0], [1, 10, 100]]


def test_nothing_is_written_under_nbgrader_or_without_progress() -> None:
    program = (
        "import sys, nnlab; sys.modules['ipykernel'] = sys; d = nnlab.digits();"
        "nnlab.repeat(lambda s: nnlab.train(nnlab.mlp([64, 10], rng=s), d, steps=50{}).val_accuracy, 2{})"
    )
    for arguments, environment in (
        ("", {"NBGRADER_EXECUTION": "autograde"}),
        ("", {"CI": "1"}),
        (", progress=False", {}),
    ):
        done = subprocess.run(
            [sys.executable, "-c", program.format(arguments, arguments)],
            capture_output=True,
            text=True,
            env={"PATH": "", "PYTHONPATH": nnlab.__path__[0] + "/..", **environment},
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_digits_are_split_the_same_way_each_time_with_each_class_in_each_part(data: nnlab.Data) -> None:
    again = digits(dtype=np.float64)
    np.testing.assert_allclose(again.x_val, data.x_val, rtol=1e-6)
    assert str(data) == "digits: 1197 train, 300 validation, 300 test, images (1, 8, 8)"
    assert data.x_train.dtype == np.float32
    assert again.x_train.mean() == pytest.approx(0) and again.x_train.std() == pytest.approx(1)
    for labels in (data.y_train, data.y_val, data.y_test):
        shares = np.bincount(labels) / len(labels)
        assert shares.min() > 0.09 and shares.max() < 0.11
    images = np.concatenate([part.reshape(len(part), -1) for part in (again.x_train, again.x_val, again.x_test)])
    assert len(images) == 1797
    assert not np.array_equal(digits(seed=1).y_val, data.y_val)
    assert len(digits(validation=0.1, test=0.2).x_val) == 180
    flat = data.flat
    assert flat.x_test.shape == (300, 64) and np.shares_memory(flat.x_test, data.x_test)
    assert len(data.first(50).y_train) == len(data.first(50).x_train) == 50
    with pytest.raises(ValueError, match="read-only"):
        data.x_train[0] = 0


def test_the_photos_are_colour_images_between_0_and_1() -> None:
    pytest.importorskip("PIL")
    whole = nnlab.photos()
    assert whole.shape == (len(nnlab.PHOTO_NAMES), 3, 427, 640)
    assert whole.min() == 0 and whole.max() == 1
    assert nnlab.photos(square=True, size=32).shape == (2, 3, 32, 32)
    np.testing.assert_array_equal(nnlab.photos(crop=(10, 20, 30, 50)), whole[:, :, 10:40, 20:70])
    small = nnlab.photos(size=(61, 80), crop=(0, 0, 61 * 4, 320))
    wanted = whole[:, :, : 61 * 4, :320].reshape(2, 3, 61, 4, 80, 4).mean((3, 5))
    assert np.abs(small - wanted).max() <= 1.001 / 255  # pillow rounds to whole levels twice


def test_a_sequential_is_as_good_as_its_list_of_layers() -> None:
    net = Sequential([nnlab.Flatten(), nnlab.Affine(4, 3, rng=0, dtype=np.float64), Tanh()])
    assert list(net.params) == ["1.W", "1.b"]
    x = np.arange(8.0).reshape(2, 1, 2, 2)
    np.testing.assert_allclose(net.forward(x), np.tanh(x.reshape(2, 4) @ net.params["1.W"] + net.params["1.b"]))


def test_of_nested_progress_bars_only_the_outer_one_is_shown(
    data: nnlab.Data, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(seed: int) -> float:
        return train(mlp([64, 10], rng=seed), data, steps=3, progress=True).val_accuracy

    repeat(run, 2, progress=True)
    shown = capsys.readouterr().err
    assert "seeds" in shown and "training" not in shown
    run(0)
    assert "training" in capsys.readouterr().err
