"""The course's own update rules, in order of increasing complexity, with the conventions of the exercises.

A rule is `(w, dw, config=None) -> (next_w, config)`: parameters and their gradient, of one shape, and a dict that holds
its settings and what it remembers from step to step. What `config` lacks is filled in with the defaults named in each
rule. An experiment uses these where the reader's function does not pass its check yet.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from nnlab.layers import Array

Config = dict[str, Any]
Step = tuple[Array, Config]


def gradient_descent(f_grad: Callable[[Array], Array], x0: Array, lr: float, steps: int) -> Array:
    """The path (steps + 1, D) of plain gradient descent from `x0` (D,), which is its first point."""
    path = np.empty((steps + 1, *np.shape(x0)))
    path[0] = x0
    for t in range(steps):
        path[t + 1] = path[t] - lr * f_grad(path[t].copy())
    return path


def _filled(config: Config | None, w: Array, remembers: tuple[str, ...], **defaults: float) -> Config:
    """`config` with what it lacks: settings from `defaults`, arrays to remember as zeros of the shape of w."""
    config = {} if config is None else config
    for name, value in defaults.items():
        config.setdefault(name, value)
    for name in remembers:
        if name not in config:
            config[name] = np.zeros_like(w)
    return config


def sgd_momentum(w: Array, dw: Array, config: Config | None = None) -> Step:
    """v = mu v - lr g; w + v (Polyak 1964). learning_rate 1e-2, momentum 0.9; remembers velocity."""
    config = _filled(config, w, ("velocity",), learning_rate=1e-2, momentum=0.9)
    config["velocity"] = config["momentum"] * config["velocity"] - config["learning_rate"] * dw
    return w + config["velocity"], config


def nesterov_momentum(w: Array, dw: Array, config: Config | None = None) -> Step:
    """v' = mu v - lr g; w - mu v + (1 + mu) v' (Nesterov 1983; Sutskever et al. 2013), which is w + mu v' - lr g: w is
    the point that has looked ahead. learning_rate 1e-2, momentum 0.9; remembers velocity."""
    config = _filled(config, w, ("velocity",), learning_rate=1e-2, momentum=0.9)
    down = config["learning_rate"] * dw
    config["velocity"] = config["momentum"] * config["velocity"] - down
    return w + config["momentum"] * config["velocity"] - down, config


def adagrad(w: Array, dw: Array, config: Config | None = None) -> Step:
    """c += g²; w - lr g / (√c + eps) (Duchi et al. 2011). learning_rate 1e-2, epsilon 1e-8; remembers cache."""
    config = _filled(config, w, ("cache",), learning_rate=1e-2, epsilon=1e-8)
    config["cache"] = config["cache"] + dw * dw
    return w - config["learning_rate"] * dw / (np.sqrt(config["cache"]) + config["epsilon"]), config


def adadelta(w: Array, dw: Array, config: Config | None = None) -> Step:
    """d = √(delta + eps) / √(c + eps) g, with c and delta the running means of g² and of d²; w - lr d (Zeiler 2012,
    arXiv:1212.5701). learning_rate 1, rho 0.95, epsilon 1e-6; remembers cache (c) and delta."""
    config = _filled(config, w, ("cache", "delta"), learning_rate=1.0, rho=0.95, epsilon=1e-6)
    rho, epsilon = config["rho"], config["epsilon"]
    config["cache"] = rho * config["cache"] + (1 - rho) * dw * dw
    d = np.sqrt((config["delta"] + epsilon) / (config["cache"] + epsilon)) * dw
    config["delta"] = rho * config["delta"] + (1 - rho) * d * d
    return w - config["learning_rate"] * d, config


def rmsprop(w: Array, dw: Array, config: Config | None = None) -> Step:
    """c = d c + (1 - d) g²; w - lr g / (√c + eps) (Hinton 2012). learning_rate 1e-2, decay_rate (d) 0.99, epsilon 1e-8;
    remembers cache."""
    config = _filled(config, w, ("cache",), learning_rate=1e-2, decay_rate=0.99, epsilon=1e-8)
    config["cache"] = config["decay_rate"] * config["cache"] + (1 - config["decay_rate"]) * dw * dw
    return w - config["learning_rate"] * dw / (np.sqrt(config["cache"]) + config["epsilon"]), config


def _with_average(w: Array, dw: Array, config: Config | None, second: str, **more: float) -> Config:
    """What the rules of Adam's family share: settings filled in, the step counted, m averaged."""
    defaults = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, **more}
    config = _filled(config, w, ("m", second), **defaults)
    config["t"] = config.get("t", 0) + 1
    config["m"] = config["beta1"] * config["m"] + (1 - config["beta1"]) * dw
    return config


def _adam_divisor(dw: Array, config: Config) -> Array:
    """Averages v, and gives √v̂ + eps."""
    config["v"] = config["beta2"] * config["v"] + (1 - config["beta2"]) * dw * dw
    divisor: Array = np.sqrt(config["v"] / (1 - config["beta2"] ** config["t"])) + config["epsilon"]
    return divisor


def adam(w: Array, dw: Array, config: Config | None = None) -> Step:
    """w - lr m̂ / (√v̂ + eps), the averages of g and g² corrected for their start at zero (Kingma & Ba 2015,
    arXiv:1412.6980). learning_rate 1e-3, beta1 0.9, beta2 0.999, epsilon 1e-8; remembers m, v, t."""
    config = _with_average(w, dw, config, "v")
    m_hat = config["m"] / (1 - config["beta1"] ** config["t"])
    return w - config["learning_rate"] * m_hat / _adam_divisor(dw, config), config


def adamax(w: Array, dw: Array, config: Config | None = None) -> Step:
    """u = max(beta2 u, |g|); w - lr m̂ / (u + eps) (Kingma & Ba 2015, section 7). Settings as Adam's; remembers m, u, t."""
    config = _with_average(w, dw, config, "u")
    config["u"] = np.maximum(config["beta2"] * config["u"], np.abs(dw))
    m_hat = config["m"] / (1 - config["beta1"] ** config["t"])
    return w - config["learning_rate"] * m_hat / (config["u"] + config["epsilon"]), config


def nadam(w: Array, dw: Array, config: Config | None = None) -> Step:
    """Adam with m̂ = beta1 m / (1 - beta1^(t+1)) + (1 - beta1) g / (1 - beta1^t) (Dozat 2016, with a constant beta1).
    Settings and memory as Adam's."""
    config = _with_average(w, dw, config, "v")
    beta1, t = config["beta1"], config["t"]
    m_hat = beta1 / (1 - beta1 ** (t + 1)) * config["m"] + (1 - beta1) / (1 - beta1**t) * dw
    return w - config["learning_rate"] * m_hat / _adam_divisor(dw, config), config


def adamw(w: Array, dw: Array, config: Config | None = None) -> Step:
    """Adam's step and lr weight_decay w taken away beside it (Loshchilov & Hutter 2019, arXiv:1711.05101). Settings and
    memory as Adam's, and weight_decay 1e-2."""
    config = _filled(config, w, (), weight_decay=1e-2)
    stepped, config = adam(w, dw, config)
    return stepped - config["learning_rate"] * config["weight_decay"] * w, config
