"""The layers and norms of the laboratory, against numerical differentiation and against PyTorch, in float64."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnlab import Affine, Conv2d, Flatten, GlobalAveragePool, MaxPool2d, Norm, ReLU, Tanh, norms

EXACT: Any = {"rtol": 1e-9, "atol": 1e-10}


def numerical_gradient(f: Callable[[], np.ndarray], x: np.ndarray, dout: np.ndarray, h: float = 1e-6) -> np.ndarray:
    """Central difference of sum(f() * dout) by each entry of x, which f looks at."""
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        kept = x[index]
        x[index] = kept + h
        above = np.sum(f() * dout)
        x[index] = kept - h
        below = np.sum(f() * dout)
        x[index] = kept
        gradient[index] = (above - below) / (2 * h)
    return gradient


def group_norm(channels: int, groups: int, dtype: type = np.float64) -> Norm:
    return Norm(norms.spatial_groupnorm_forward, norms.spatial_groupnorm_backward, channels, G=groups, dtype=dtype)


# name: (a layer in some dtype, the shape of its input); all sizes odd or different from each other
LAYERS: dict[str, tuple[Callable[[type], Any], tuple[int, ...]]] = {
    "affine": (lambda dtype: Affine(5, 3, rng=1, dtype=dtype), (7, 5)),
    "affine of images": (lambda dtype: Affine(12, 3, rng=1, dtype=dtype), (4, 2, 3, 2)),
    "relu": (lambda dtype: ReLU(), (6, 5)),
    "tanh": (lambda dtype: Tanh(), (2, 3, 4, 5)),
    "flatten": (lambda dtype: Flatten(), (3, 2, 4, 5)),
    "conv 1x1": (lambda dtype: Conv2d(3, 2, kernel=1, rng=2, dtype=dtype), (2, 3, 4, 5)),
    "conv 3x3": (lambda dtype: Conv2d(3, 4, kernel=3, rng=2, dtype=dtype), (2, 3, 5, 4)),
    "conv 5x5": (lambda dtype: Conv2d(2, 3, kernel=5, rng=2, dtype=dtype), (2, 2, 3, 7)),
    "max pool 2": (lambda dtype: MaxPool2d(2), (3, 2, 5, 7)),
    "max pool 3": (lambda dtype: MaxPool2d(3), (2, 3, 6, 8)),
    "average pool": (lambda dtype: GlobalAveragePool(), (3, 4, 5, 2)),
    "batch norm": (lambda dtype: Norm(norms.batchnorm_forward, norms.batchnorm_backward, 5, dtype=dtype), (7, 5)),
    "layer norm": (lambda dtype: Norm(norms.layernorm_forward, norms.layernorm_backward, 5, dtype=dtype), (4, 5)),
    "spatial batch norm": (
        lambda dtype: Norm(norms.spatial_batchnorm_forward, norms.spatial_batchnorm_backward, 3, dtype=dtype),
        (2, 3, 5, 4),
    ),
    "instance norm": (
        lambda dtype: Norm(norms.instancenorm_forward, norms.instancenorm_backward, 3, dtype=dtype),
        (2, 3, 5, 4),
    ),
    "group norm": (lambda dtype: group_norm(6, 3, dtype), (2, 6, 3, 4)),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


def make(name: str, dtype: type = np.float64) -> tuple[Any, np.ndarray, np.random.Generator]:
    rng = np.random.default_rng(3)
    build, shape = LAYERS[name]
    layer = build(dtype)
    for value in layer.params.values():  # gamma and beta, b: nothing constant
        value += rng.normal(size=value.shape).astype(dtype)
    return layer, (2 * rng.normal(size=shape) + 1).astype(dtype), rng


@every_layer
@pytest.mark.parametrize("mode", ["train", "test"])
def test_a_layers_gradients_are_those_of_numerical_differentiation(name: str, mode: Any) -> None:
    layer, x, rng = make(name)
    if "param" in vars(layer) and mode == "test":
        layer.forward(x, "train")  # running statistics to use
    dout = rng.normal(size=layer.forward(x, mode).shape)
    dx = layer.backward(dout)
    assert dx.shape == x.shape
    found = {"x": dx, **{key: value.copy() for key, value in layer.grads.items()}}
    for key, value in {"x": x, **layer.params}.items():
        wanted = numerical_gradient(lambda: layer.forward(x, mode), value, dout)
        np.testing.assert_allclose(found[key], wanted, rtol=1e-6, atol=1e-7, err_msg=f"{name}: gradient by {key}")


@every_layer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_layer_keeps_its_inputs_dtype_and_leaves_its_inputs_alone(name: str, dtype: type) -> None:
    layer, x, rng = make(name, dtype)
    x_before = x.copy()
    out = layer.forward(x, "train")
    dout = rng.normal(size=out.shape).astype(dtype)
    dout_before, out_before = dout.copy(), out.copy()
    dx = layer.backward(dout)
    assert {out.dtype, dx.dtype, *(g.dtype for g in layer.grads.values())} == {np.dtype(dtype)}
    assert layer.forward(x, "test").dtype == dtype
    np.testing.assert_array_equal(x, x_before)
    np.testing.assert_array_equal(dout, dout_before)
    np.testing.assert_array_equal(out, out_before)


@pytest.mark.parametrize("name", [name for name, (_, shape) in LAYERS.items() if len(shape) == 4])
def test_a_layer_gives_the_same_for_either_layout_in_memory(name: str) -> None:
    layer, x, rng = make(name)
    other = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    out = layer.forward(x, "train").copy()
    dout = rng.normal(size=out.shape)
    dx = layer.backward(dout).copy()
    np.testing.assert_allclose(layer.forward(other, "train"), out, **EXACT)
    if dout.ndim == 4:
        dout = np.ascontiguousarray(dout.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(layer.backward(dout), dx, **EXACT)


def torch_twin(name: str, layer: Any, x: np.ndarray, dout: np.ndarray) -> dict[str, np.ndarray]:
    """The layer's output and gradients as PyTorch has them."""
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    arrays = {"x": x, **layer.params}
    t = {key: torch.tensor(value, requires_grad=True) for key, value in arrays.items()}
    if name.startswith("affine"):
        out = t["x"].reshape(len(x), -1) @ t["W"] + t["b"]
    elif name.startswith("conv"):  # W (k, k, C, F) -> (F, C, k, k)
        out = functional.conv2d(t["x"], t["W"].permute(3, 2, 0, 1), t["b"], padding=layer.kernel // 2)
    elif name.startswith("max pool"):
        out = functional.max_pool2d(t["x"], layer.size)
    elif name == "batch norm" or name == "spatial batch norm":
        out = functional.batch_norm(t["x"], None, None, t["gamma"], t["beta"], training=True, eps=1e-5)
    elif name == "layer norm":
        out = functional.layer_norm(t["x"], (5,), t["gamma"], t["beta"], eps=1e-5)
    elif name == "instance norm":
        out = functional.instance_norm(t["x"], weight=t["gamma"], bias=t["beta"], eps=1e-5)
    elif name == "group norm":
        out = functional.group_norm(t["x"], 3, t["gamma"].reshape(-1), t["beta"].reshape(-1), eps=1e-5)
    else:
        out = {
            "relu": torch.relu,
            "tanh": torch.tanh,
            "flatten": lambda a: a.reshape(len(a), -1),
            "average pool": lambda a: a.mean((2, 3)),
        }[name](t["x"])
    out.backward(torch.tensor(dout))
    return {"out": out.detach().numpy(), **{key: value.grad.numpy() for key, value in t.items()}}


@every_layer
def test_a_layer_computes_what_pytorch_computes(name: str) -> None:
    layer, x, rng = make(name)
    out = layer.forward(x, "train")
    dout = rng.normal(size=out.shape)
    wanted = torch_twin(name, layer, x, dout)
    np.testing.assert_allclose(out, wanted.pop("out"), **EXACT)
    np.testing.assert_allclose(layer.backward(dout), wanted.pop("x"), **EXACT)
    assert wanted.keys() == layer.grads.keys()
    for key, value in wanted.items():
        np.testing.assert_allclose(layer.grads[key], value, **EXACT)


def test_equal_maxima_give_the_gradient_to_the_first_as_in_pytorch() -> None:
    torch = pytest.importorskip("torch")
    x = np.zeros((1, 1, 4, 4))
    x[0, 0, 2:, 2:] = [[1, 2], [2, 2]]
    pool = MaxPool2d(2)
    dout = 1.0 + np.arange(4.0).reshape(pool.forward(x).shape)
    t = torch.tensor(x, requires_grad=True)
    torch.nn.functional.max_pool2d(t, 2).backward(torch.tensor(dout))
    np.testing.assert_array_equal(pool.backward(dout), t.grad.numpy())


@pytest.mark.parametrize("shape", [(7, 5), (3, 5, 4, 6)])
def test_running_statistics_are_pytorchs_with_its_momentum_and_our_biased_variance(shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(4)
    forward = norms.batchnorm_forward if len(shape) == 2 else norms.spatial_batchnorm_forward
    ours: dict[str, Any] = {"momentum": 0.8, "eps": 1e-3}
    theirs = {"running_mean": torch.zeros(5, dtype=torch.float64), "running_var": torch.zeros(5, dtype=torch.float64)}
    count = np.prod(shape) / 5
    gamma, beta = rng.normal(size=(2, 5))
    for _ in range(3):
        x = 3 + 2 * rng.normal(size=shape)
        ours["mode"] = "train"
        forward(x, gamma, beta, ours)
        torch.nn.functional.batch_norm(torch.tensor(x), **theirs, training=True, momentum=1 - 0.8)
    np.testing.assert_allclose(ours["running_mean"], theirs["running_mean"], **EXACT)
    # PyTorch puts the unbiased variance into its running average: n / (n - 1) times ours
    np.testing.assert_allclose(ours["running_var"] * count / (count - 1), theirs["running_var"], **EXACT)

    x, ours["mode"] = rng.normal(size=shape), "test"
    out, _ = forward(x, gamma, beta, ours)
    theirs["running_var"] *= (count - 1) / count
    wanted = torch.nn.functional.batch_norm(
        torch.tensor(x), **theirs, weight=torch.tensor(gamma), bias=torch.tensor(beta), training=False, eps=1e-3
    )
    np.testing.assert_allclose(out, wanted, **EXACT)


def test_batch_norm_at_test_time_uses_and_keeps_the_running_statistics() -> None:
    rng = np.random.default_rng(5)
    layer = Norm(norms.batchnorm_forward, norms.batchnorm_backward, 3, dtype=np.float64, momentum=0.5)
    x = 2 + rng.normal(size=(8, 3))
    layer.forward(x, "train")
    np.testing.assert_allclose(layer.param["running_mean"], 0.5 * x.mean(axis=0))
    np.testing.assert_allclose(layer.param["running_var"], 0.5 * x.var(axis=0))
    before = {key: np.copy(layer.param[key]) for key in ("running_mean", "running_var")}
    out = layer.forward(x[:1], "test")
    np.testing.assert_allclose(out, (x[:1] - before["running_mean"]) / np.sqrt(before["running_var"] + 1e-5))
    for key, value in before.items():
        np.testing.assert_array_equal(layer.param[key], value)


def test_group_norm_with_one_group_is_layer_norm_and_with_all_groups_is_instance_norm() -> None:
    rng = np.random.default_rng(6)
    x, gamma, beta = rng.normal(size=(3, 6, 5, 4)), rng.normal(size=6), rng.normal(size=6)
    one, _ = norms.spatial_groupnorm_forward(x, gamma, beta, 1, {})
    as_rows, _ = norms.layernorm_forward(x.reshape(3, -1), np.repeat(gamma, 20), np.repeat(beta, 20), {})
    np.testing.assert_allclose(one.reshape(3, -1), as_rows, **EXACT)
    alone, _ = norms.spatial_groupnorm_forward(x, gamma.reshape(1, 6, 1, 1), beta.reshape(1, 6, 1, 1), 6, {})
    instance, _ = norms.instancenorm_forward(x, gamma, beta, {})
    np.testing.assert_allclose(alone, instance, **EXACT)


def test_every_norm_adds_the_eps_it_is_given_to_the_variance() -> None:
    x = np.array([[1.0, -1.0], [-1.0, 1.0]])
    images = x.reshape(1, 1, 2, 2)
    one, two, param = np.ones(1), np.ones(2), {"mode": "train", "eps": 3.0}
    for out in (
        norms.batchnorm_forward(x, two, 0 * two, dict(param))[0],
        norms.layernorm_forward(x, two, 0 * two, param)[0],
        norms.spatial_batchnorm_forward(images, one, 0 * one, dict(param))[0],
        norms.instancenorm_forward(images, one, 0 * one, param)[0],
        norms.spatial_groupnorm_forward(images, one, 0 * one, 1, param)[0],
    ):
        np.testing.assert_allclose(out.reshape(2, 2), x / 2)  # the variance is 1


def test_norms_are_the_same_at_training_and_test_time_except_batch_norm() -> None:
    for name in ("layer norm", "instance norm", "group norm"):
        layer, x, _ = make(name)
        assert np.max(np.abs(layer.forward(x, "train") - layer.forward(x, "test"))) == 0
    for name in ("batch norm", "spatial batch norm"):
        layer, x, _ = make(name)
        assert np.max(np.abs(layer.forward(x, "train") - layer.forward(x, "test"))) > 0.1


def test_a_readers_function_plugs_in_even_if_it_answers_in_float64_and_another_gradient_shape() -> None:
    seen: list[Any] = []

    def groupnorm_forward(x: Any, gamma: Any, beta: Any, G: int, gn_param: dict[str, Any]) -> Any:
        seen.append((gamma.shape, G, gn_param["mode"], gn_param["eps"]))
        return x.astype(np.float64) * gamma, None

    def groupnorm_backward(dout: Any, cache: Any) -> Any:
        return dout.astype(np.float64), np.arange(4.0), np.ones((4,))

    layer = Norm(groupnorm_forward, groupnorm_backward, 4, G=2, eps=1e-3)
    x = np.ones((2, 4, 3, 3), np.float32)
    assert layer.forward(x, "train").dtype == np.float32
    assert layer.backward(x).dtype == np.float32
    assert layer.name == "groupnorm"
    assert layer.grads["gamma"].ravel().tolist() == [0, 1, 2, 3] and layer.grads["gamma"].dtype == np.float32
    layer.forward(x, "test")
    assert seen == [((1, 4, 1, 1), 2, "train", 1e-3), ((1, 4, 1, 1), 2, "test", 1e-3)]


def test_a_norm_that_returns_another_shape_is_named() -> None:
    layer = Norm(lambda x, gamma, beta, param: (x[:1], None), norms.batchnorm_backward, 4)
    with pytest.raises(ValueError, match=r"given an array \(3, 4\) and returned one \(1, 4\)"):
        layer.forward(np.ones((3, 4)))


def test_wrong_settings_are_refused_in_plain_words() -> None:
    with pytest.raises(ValueError, match="odd kernel"):
        Conv2d(1, 1, kernel=4)
    with pytest.raises(ValueError, match="have 2 channels; this convolution takes 3"):
        Conv2d(3, 1).forward(np.ones((1, 2, 4, 4), np.float32))
    with pytest.raises(ValueError, match="5 channels cannot be split into 2"):
        norms.spatial_groupnorm_forward(np.ones((1, 5, 2, 2)), np.ones(5), np.ones(5), 2, {})
    with pytest.raises(ValueError, match="'validation'"):
        norms.batchnorm_forward(np.ones((2, 2)), np.ones(2), np.ones(2), {"mode": "validation"})
