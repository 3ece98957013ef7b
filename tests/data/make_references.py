"""Writes references.json: what PyTorch, an implementation that shares nothing with ours, gives for inputs drawn from seeds.

    python tests/data/make_references.py        (needs torch)

The tests compare the course's references with PyTorch itself where it is installed, and with these values everywhere.
Each case draws its inputs with NumPy (`CASES`) and asks PyTorch, in float64, for the results (`oracle`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PATH = Path(__file__).with_name("references.json")
DIGITS = 12
EPS, MOMENTUM, GROUPS = 0.03, 0.8, 3

FLAT_SHAPES = ((7, 3), (2, 1), (5, 8), (3, 3))
IMAGE_SHAPES = ((2, 6, 3, 5), (1, 3, 1, 7), (3, 6, 2, 1), (4, 3, 3, 3))

Inputs = dict[str, np.ndarray]


def rng_of(name: str, shape: tuple[int, ...], seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, *shape, *name.encode()])


def norm_inputs(name: str, shape: tuple[int, ...], seed: int) -> Inputs:
    """x and an upstream gradient of the shape; for each of the features on axis 1 parameters and running statistics."""
    rng = rng_of(name, shape, seed)
    features = shape[1]
    return {
        "x": rng.normal(rng.uniform(-4, 4), rng.uniform(0.5, 3), shape),
        "dout": rng.standard_normal(shape),
        "gamma": rng.uniform(0.5, 2, features) * rng.choice([-1, 1], features),
        "beta": rng.uniform(-2, 2, features),
        "running_mean": rng.uniform(-3, 3, features),
        "running_var": rng.uniform(0.3, 4, features),
    }


def layer_inputs(name: str, shape: tuple[int, ...], seed: int) -> Inputs:
    """An affine layer (D, M) followed by a batch norm, and examples x (5, D)."""
    rng = rng_of(name, shape, seed)
    d, m = shape
    return {
        "x": rng.standard_normal((5, d)), "W": rng.standard_normal((d, m)), "b": rng.standard_normal(m),
        **{k: v for k, v in norm_inputs(name, (2, m), seed).items() if k not in ("x", "dout")},
    }  # fmt: skip


def cell_inputs(name: str, shape: tuple[int, ...], seed: int) -> Inputs:
    rng = rng_of(name, shape, seed)
    n, d, h = shape
    return {
        "x_t": rng.standard_normal((n, d)), "h_prev": rng.uniform(-1, 1, (n, h)), "Wx": rng.standard_normal((d, h)),
        "Wh": rng.standard_normal((h, h)), "b": rng.standard_normal(h), "gamma": rng.uniform(0.5, 2, h),
        "beta": rng.uniform(-1, 1, h),
    }  # fmt: skip


def point_inputs(name: str, shape: tuple[int, ...], seed: int) -> Inputs:
    """A point of the shape, a matrix that makes three numbers of it, an upstream gradient and a direction."""
    rng = rng_of(name, shape, seed)
    return {
        "x": rng.standard_normal(shape), "A": rng.standard_normal((int(np.prod(shape)), 3)) / np.prod(shape) ** 0.5,
        "df": rng.standard_normal(3), "v": rng.standard_normal(shape),
    }  # fmt: skip


DRAW: dict[str, tuple[Callable[..., Inputs], tuple[tuple[int, ...], ...]]] = {
    "batchnorm": (norm_inputs, FLAT_SHAPES),
    "spatial_batchnorm": (norm_inputs, IMAGE_SHAPES),
    "layernorm": (norm_inputs, tuple(shape for shape in FLAT_SHAPES if shape[1] > 1)),
    "instancenorm": (norm_inputs, tuple(shape for shape in IMAGE_SHAPES if shape[2] * shape[3] > 1)),
    "spatial_groupnorm": (norm_inputs, IMAGE_SHAPES),
    "fold_batchnorm": (layer_inputs, ((4, 3), (1, 5), (6, 1))),
    "rnn_layernorm_step": (cell_inputs, ((4, 3, 5), (1, 2, 7), (3, 1, 2))),
    "gradients": (point_inputs, ((5,), (2, 3), (2, 1, 3))),
}
"""What the inputs of a kind of layer are, and the shapes that are tried."""


def smooth(x: Any, A: Any, exp: Callable[[Any], Any]) -> Any:
    """A function from any shape to (3,), the same in NumPy and in PyTorch."""
    inner = x.reshape(-1) @ A
    return exp(0.5 * inner) + inner**2


def oracle(kind: str, inputs: Inputs) -> dict[str, Any]:
    """PyTorch's answer, as NumPy arrays by name."""
    import torch

    t = {name: torch.tensor(value, dtype=torch.float64) for name, value in inputs.items()}
    if kind == "fold_batchnorm":
        W2, b2 = torch.nn.utils.fuse_linear_bn_weights(
            t["W"].T, t["b"], t["running_mean"], t["running_var"], EPS, t["gamma"], t["beta"]
        )
        layered = torch.nn.functional.batch_norm(
            t["x"] @ t["W"] + t["b"], t["running_mean"], t["running_var"], t["gamma"], t["beta"], eps=EPS
        )
        return {"W2": W2.detach().numpy().T, "b2": b2.detach().numpy(), "out": layered.numpy()}
    if kind == "rnn_layernorm_step":
        a = torch.nn.functional.linear(t["x_t"], t["Wx"].T, t["b"]) + torch.nn.functional.linear(t["h_prev"], t["Wh"].T)
        return {"h_t": torch.tanh(torch.nn.functional.layer_norm(a, a.shape[1:], t["gamma"], t["beta"], EPS)).numpy()}
    if kind == "gradients":
        x = t["x"].requires_grad_()
        (grad,) = torch.autograd.grad((smooth(x, t["A"], torch.exp) * t["df"]).sum(), x)
        return {"grad": grad.numpy(), "along": float((grad * t["v"]).sum())}
    return _norm_oracle(kind, t)


def _norm_oracle(kind: str, t: dict[str, Any]) -> dict[str, Any]:
    from torch.nn import functional

    x, gamma, beta = (t[name].requires_grad_() for name in ("x", "gamma", "beta"))
    found: dict[str, Any] = {}
    if kind in ("batchnorm", "spatial_batchnorm"):
        mean, var = t["running_mean"].clone(), t["running_var"].clone()
        out = functional.batch_norm(x, mean, var, gamma, beta, training=True, momentum=1 - MOMENTUM, eps=EPS)
        count = x.numel() // x.shape[1]
        # PyTorch averages the variance that is divided by count - 1; ours is divided by count.
        biased = MOMENTUM * t["running_var"] + (var - MOMENTUM * t["running_var"]) * (count - 1) / count
        tested = functional.batch_norm(x, t["running_mean"], t["running_var"], gamma, beta, eps=EPS)
        found |= {"running_mean": mean, "running_var": biased, "test_out": tested}
    elif kind == "layernorm":
        out = functional.layer_norm(x, x.shape[1:], gamma, beta, EPS)
    elif kind == "instancenorm":
        out = functional.instance_norm(x, weight=gamma, bias=beta, eps=EPS)
    else:
        out = functional.group_norm(x, GROUPS, gamma, beta, EPS)
    out.backward(t["dout"])
    found |= {"out": out, "dx": x.grad, "dgamma": gamma.grad, "dbeta": beta.grad}
    return {name: value.detach().numpy() for name, value in found.items()}


def key(kind: str, shape: tuple[int, ...], seed: int) -> str:
    return f"{kind} {'x'.join(map(str, shape))} seed {seed}"


def rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    return [rounded(item) for item in np.asarray(value).tolist()]


def make() -> dict[str, dict[str, Any]]:
    """One seed of every kind and shape."""
    return {
        key(kind, shape, 0): {name: rounded(value) for name, value in oracle(kind, draw(kind, shape, 0)).items()}
        for kind, (draw, shapes) in DRAW.items()
        for shape in shapes
    }


if __name__ == "__main__":
    cases = make()
    lines = (f"{json.dumps(case)}: {json.dumps(values)}" for case, values in cases.items())
    PATH.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{len(cases)} cases, {PATH.stat().st_size:,} bytes")
