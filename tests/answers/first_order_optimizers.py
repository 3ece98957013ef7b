"""Answers to assignment 03, right and wrong: as in files written for the public course, and as people write them anew."""

from __future__ import annotations

import numpy as np

# --- right ----------------------------------------------------------------------------------------------------------


def descent_looping(f_grad, x0, lr, steps):
    path = np.zeros((steps + 1, len(x0)))
    path[0] = x0
    for k in range(steps):
        path[k + 1] = path[k] - lr * f_grad(path[k])
    return path


def descent_by_list(f_grad, x0, lr, steps):
    x, path = x0.copy(), [list(x0)]
    for _ in range(steps):
        x = x - np.multiply(f_grad(x), lr)
        path.append(x.tolist())
    return path


def public(name, defaults, states, body):
    """The public course's form: setdefault for everything, state read, updated, written back."""

    def optimizer(w, dw, config=None):
        if config is None:
            config = {}
        for key, value in defaults.items():
            config.setdefault(key, value)
        for key in states:
            config.setdefault(key, 0 if key == "t" else np.zeros_like(w))
        return body(w, dw, config), config

    optimizer.__name__ = name
    return optimizer


def momentum_body(w, dw, c):
    c["velocity"] = c["momentum"] * c["velocity"] - c["learning_rate"] * dw
    return w + c["velocity"]


def momentum_in_place(w, dw, config=None):
    config = config or {}
    v = config.get("velocity", np.zeros_like(w))
    v *= config.get("momentum", 0.9)
    v -= config.get("learning_rate", 1e-2) * dw
    w += v
    config["velocity"] = v
    return w, config


def nesterov_body(w, dw, c):
    old = c["velocity"]
    c["velocity"] = c["momentum"] * old - c["learning_rate"] * dw
    return w + c["velocity"] + c["momentum"] * (c["velocity"] - old)


def nesterov_new_dict(w, dw, config=None):
    c = {"learning_rate": 1e-2, "momentum": 0.9, "velocity": np.zeros(w.shape), **(config or {})}
    v = c["momentum"] * c["velocity"] - c["learning_rate"] * dw
    return [w - c["momentum"] * c["velocity"] + (1 + c["momentum"]) * v, {**c, "velocity": v}]


def adagrad_body(w, dw, c):
    c["cache"] = c["cache"] + dw * dw
    return w - dw * (c["learning_rate"] / (c["cache"] ** 0.5 + c["epsilon"]))


def adagrad_looping(w, dw, config=None):
    config = {} if config is None else dict(config)
    cache = np.array(config.get("cache", np.zeros(w.shape)))
    lr, eps = config.get("learning_rate", 0.01), config.get("epsilon", 1e-8)
    out = np.empty_like(w)
    for i in np.ndindex(w.shape):
        cache[i] += dw[i] ** 2
        out[i] = w[i] - lr * dw[i] / (cache[i] ** 0.5 + eps)
    return out, {**config, "cache": cache}


def adadelta_body(w, dw, c):
    rho, eps = c["rho"], c["epsilon"]
    c["cache"] = rho * c["cache"] + (1 - rho) * dw**2
    step = np.sqrt((c["delta"] + eps) / (c["cache"] + eps)) * dw
    c["delta"] = rho * c["delta"] + (1 - rho) * step**2
    return w - c["learning_rate"] * step


def adadelta_signed(w, dw, config=None):
    c = {"learning_rate": 1.0, "rho": 0.95, "epsilon": 1e-6, "cache": 0 * w, "delta": 0 * w} | (config or {})
    c["cache"] = c["cache"] + (1 - c["rho"]) * (dw**2 - c["cache"])
    step = -np.sqrt(c["delta"] + c["epsilon"]) / np.sqrt(c["cache"] + c["epsilon"]) * dw
    c["delta"] = c["delta"] + (1 - c["rho"]) * (step**2 - c["delta"])
    return w + c["learning_rate"] * step, c


def rmsprop_body(w, dw, c):
    c["cache"] = c["decay_rate"] * c["cache"] + (1 - c["decay_rate"]) * dw**2
    return w - c["learning_rate"] * dw / (np.sqrt(c["cache"]) + c["epsilon"])


def rmsprop_in_place(w, dw, config=None):
    config = {} if config is None else config
    config.setdefault("cache", np.zeros(w.shape))
    d = config.setdefault("decay_rate", 0.99)
    config["cache"] *= d
    config["cache"] += (1 - d) * np.square(dw)
    w -= config.setdefault("learning_rate", 0.01) * dw / (np.sqrt(config["cache"]) + config.setdefault("epsilon", 1e-8))
    return w, config


def adam_body(w, dw, c):
    c["t"] += 1
    c["m"] = c["beta1"] * c["m"] + (1 - c["beta1"]) * dw
    c["v"] = c["beta2"] * c["v"] + (1 - c["beta2"]) * dw**2
    m_hat = c["m"] / (1 - c["beta1"] ** c["t"])
    v_hat = c["v"] / (1 - c["beta2"] ** c["t"])
    return w - c["learning_rate"] * m_hat / (np.sqrt(v_hat) + c["epsilon"])


def adam_incremental(w, dw, config=None):
    c = dict(config or {})
    b1, b2, t = c.get("beta1", 0.9), c.get("beta2", 0.999), c.get("t", 0) + 1
    m, v = c.get("m", np.zeros_like(w)), c.get("v", np.zeros_like(w))
    m, v = m + (1 - b1) * (dw - m), v + (1 - b2) * (dw * dw - v)
    rate = c.get("learning_rate", 1e-3) / (1 - b1**t)
    print("step", t)
    return w - rate * m / (np.sqrt(v / (1 - b2**t)) + c.get("epsilon", 1e-8)), {**c, "m": m, "v": v, "t": t}


def adamax_body(w, dw, c):
    c["t"] += 1
    c["m"] = c["beta1"] * c["m"] + (1 - c["beta1"]) * dw
    c["u"] = np.maximum(c["beta2"] * c["u"], np.abs(dw))
    return w - c["learning_rate"] / (1 - c["beta1"] ** c["t"]) * c["m"] / (c["u"] + c["epsilon"])


def adamax_by_where(w, dw, config=None):
    c = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "m": 0 * w, "u": 0 * w, "t": 0} | (config or {})
    t, faded, size = c["t"] + 1, c["beta2"] * c["u"], np.sqrt(dw**2)
    m, u = c["beta1"] * c["m"] + (1 - c["beta1"]) * dw, np.where(faded > size, faded, size)
    return w - c["learning_rate"] * (m / (1 - c["beta1"] ** t)) / (u + c["epsilon"]), {**c, "m": m, "u": u, "t": t}


def nadam_body(w, dw, c):
    c["t"] += 1
    b1, b2, t = c["beta1"], c["beta2"], c["t"]
    c["m"] = b1 * c["m"] + (1 - b1) * dw
    c["v"] = b2 * c["v"] + (1 - b2) * dw**2
    ahead = b1 * c["m"] / (1 - b1 ** (t + 1)) + (1 - b1) * dw / (1 - b1**t)
    return w - c["learning_rate"] * ahead / (np.sqrt(c["v"] / (1 - b2**t)) + c["epsilon"])


def nadam_in_parts(w, dw, config=None):
    c = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "m": 0 * w, "v": 0 * w, "t": 0} | (config or {})
    t = c["t"] + 1
    m = c["m"] * c["beta1"] + dw - c["beta1"] * dw
    v = c["v"] * c["beta2"] + dw * dw * (1 - c["beta2"])
    root = np.sqrt(v / (1 - c["beta2"] ** t)) + c["epsilon"]
    from_average = c["beta1"] / (1 - c["beta1"] ** (t + 1)) * m / root
    from_gradient = (1 - c["beta1"]) / (1 - c["beta1"] ** t) * dw / root
    return w - c["learning_rate"] * (from_average + from_gradient), {**c, "m": m, "v": v, "t": t}


def adamw_body(w, dw, c):
    return adam_body(w, dw, c) - c["learning_rate"] * c["weight_decay"] * w


def adamw_shrinking(w, dw, config=None):
    config = {} if config is None else config
    rate, decay = config.setdefault("learning_rate", 1e-3), config.setdefault("weight_decay", 1e-2)
    stepped, config = adam_incremental(w, dw, config)
    return w * (1 - rate * decay) + (stepped - w), config


ADAM_DEFAULTS = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}

RIGHT = {
    "gradient_descent": {"into-an-array": descent_looping, "as-lists": descent_by_list},
    "sgd_momentum": {
        "public-form": public("sgd_momentum", {"learning_rate": 1e-2, "momentum": 0.9}, ["velocity"], momentum_body),
        "in-place": momentum_in_place,
    },
    "nesterov_momentum": {
        "public-form": public("nesterov_momentum", {"learning_rate": 1e-2, "momentum": 0.9}, ["velocity"], nesterov_body),
        "new-dict": nesterov_new_dict,
    },
    "adagrad": {
        "public-form": public("adagrad", {"learning_rate": 1e-2, "epsilon": 1e-8}, ["cache"], adagrad_body),
        "looping": adagrad_looping,
    },
    "adadelta": {
        "public-form": public("adadelta", {"learning_rate": 1.0, "rho": 0.95, "epsilon": 1e-6}, ["cache", "delta"], adadelta_body),
        "signed-step": adadelta_signed,
    },
    "rmsprop": {
        "public-form": public(
            "rmsprop", {"learning_rate": 1e-2, "decay_rate": 0.99, "epsilon": 1e-8}, ["cache"], rmsprop_body
        ),
        "in-place": rmsprop_in_place,
    },
    "adam": {"public-form": public("adam", ADAM_DEFAULTS, ["m", "v", "t"], adam_body), "incremental": adam_incremental},
    "adamax": {"public-form": public("adamax", ADAM_DEFAULTS, ["m", "u", "t"], adamax_body), "by-where": adamax_by_where},
    "nadam": {"public-form": public("nadam", ADAM_DEFAULTS, ["m", "v", "t"], nadam_body), "in-parts": nadam_in_parts},
    "adamw": {
        "public-form": public("adamw", {**ADAM_DEFAULTS, "weight_decay": 1e-2}, ["m", "v", "t"], adamw_body),
        "shrinking": adamw_shrinking,
    },
}

# --- wrong, and in no list of misconceptions ------------------------------------------------------------------------


def state_in_a_global(body, defaults, states):
    """What belongs to one parameter is remembered for all."""
    memory = {}

    def optimizer(w, dw, config=None):
        given = {**defaults, **(config or {})}
        for key in states:
            fits = key == "t" or np.shape(memory.get(key)) == w.shape
            given[key] = memory[key] if key in memory and fits else (0 if key == "t" else np.zeros_like(w))
        next_w = body(w, dw, given)
        memory.update({key: given[key] for key in states})
        return next_w, dict(config or {})

    return optimizer


def clipped(body, defaults, states):
    return public("clipped", defaults, states, lambda w, dw, c: body(w, np.clip(dw, -1, 1), c))


def starting_at_a_tenth(body, defaults, states):
    """As a well-known library starts AdaGrad's sum: the rest right, the arrays of the state not at zero."""

    def optimizer(w, dw, config=None):
        start = {key: np.full(w.shape, 0.1) for key in states if key != "t"}
        return public("started", defaults, states, body)(w, dw, {**start, **(config or {})})

    return optimizer


def averaged_gradient(body, defaults, states):
    return public("averaged", defaults, states, lambda w, dw, c: body(w, np.full_like(dw, dw.mean()), c))


def _wrong(body, defaults, states):
    return {
        "state-in-a-global": state_in_a_global(body, defaults, states),
        "gradient-clipped": clipped(body, defaults, states),
        "gradient-averaged": averaged_gradient(body, defaults, states),
        "state-starts-at-a-tenth": starting_at_a_tenth(body, defaults, states),
        "config-not-returned": lambda w, dw, config=None: (public("x", defaults, states, body)(w, dw, config)[0], None),
        "config-none-not-supported": lambda w, dw, config: public("x", defaults, states, body)(w, dw, {**config})
        if config
        else 1 / 0,
        "gradient-spoiled": lambda w, dw, config=None: _and_spoil(public("x", defaults, states, body)(w, dw, config), dw),
    }


def _and_spoil(result, dw):
    dw *= 0
    return result


WRONG = {
    "gradient_descent": {
        "half-the-rate": lambda f, x0, lr, steps: descent_looping(f, x0, lr / 2, steps),
        "decaying-rate": lambda f, x0, lr, steps: np.stack(
            [descent_looping(f, x0, lr / (1 + k), steps)[k] for k in range(steps + 1)]
        ),
        "momentum": lambda f, x0, lr, steps: _with_momentum(f, x0, lr, steps),
        "last-point-only": lambda f, x0, lr, steps: descent_looping(f, x0, lr, steps)[-1],
        "backwards": lambda f, x0, lr, steps: descent_looping(f, x0, lr, steps)[::-1],
        "transposed": lambda f, x0, lr, steps: descent_looping(f, x0, lr, steps).T,
    },
    "sgd_momentum": _wrong(momentum_body, {"learning_rate": 1e-2, "momentum": 0.9}, ["velocity"]),
    "nesterov_momentum": _wrong(nesterov_body, {"learning_rate": 1e-2, "momentum": 0.9}, ["velocity"]),
    "adagrad": _wrong(adagrad_body, {"learning_rate": 1e-2, "epsilon": 1e-8}, ["cache"]),
    "adadelta": _wrong(adadelta_body, {"learning_rate": 1.0, "rho": 0.95, "epsilon": 1e-6}, ["cache", "delta"]),
    "rmsprop": _wrong(rmsprop_body, {"learning_rate": 1e-2, "decay_rate": 0.99, "epsilon": 1e-8}, ["cache"]),
    "adam": {
        **_wrong(adam_body, ADAM_DEFAULTS, ["m", "v", "t"]),
        "other-default-betas": public("adam", {**ADAM_DEFAULTS, "beta2": 0.99}, ["m", "v", "t"], adam_body),
        "starts-at-t-1": lambda w, dw, config=None: public("adam", ADAM_DEFAULTS, ["m", "v", "t"], adam_body)(
            w, dw, config if config and config.get("t") else {**(config or {}), "t": 1}
        ),
        "starts-at-t-minus-1": lambda w, dw, config=None: public("adam", ADAM_DEFAULTS, ["m", "v", "t"], adam_body)(
            w, dw, {"t": -1, **(config or {})}
        ),
    },
    "adamax": _wrong(adamax_body, ADAM_DEFAULTS, ["m", "u", "t"]),
    "nadam": _wrong(nadam_body, ADAM_DEFAULTS, ["m", "v", "t"]),
    "adamw": _wrong(adamw_body, {**ADAM_DEFAULTS, "weight_decay": 1e-2}, ["m", "v", "t"]),
}


def _with_momentum(f, x0, lr, steps):
    x, v, path = x0, 0 * x0, [x0]
    for _ in range(steps):
        v = 0.9 * v - lr * f(x)
        x = x + v
        path.append(x)
    return np.stack(path)


DEFECTS: dict[tuple[str, str], str] = {}
