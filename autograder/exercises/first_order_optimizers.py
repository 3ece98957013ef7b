"""Assignment 03, first-order optimizers: nine update rules, and gradient descent itself.

Every rule is ``(w, dw, config=None) -> (next_w, config)``. It is judged by its path: several steps on gradients that are
given beforehand, so that one wrong step cannot hide behind the next, with settings that are not the defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from autograder.checks import equals, leaves_inputs
from autograder.compare import describe
from autograder.exercise import Check, Evidence, Exercise, Functions, Misconception, Observations, StudentError

Array = np.ndarray
Config = dict[str, Any]
Step = Callable[[Array, Array, SimpleNamespace], tuple[Array, Config]]
"""One step: (w, gradient, settings and old state) -> (next w, new state)."""

FIRST_STEPS = 6


@dataclass(frozen=True)
class Rule:
    """An update rule: what one step does, its default settings, and the arrays it remembers (``t`` counts, the others
    have the shape of w and start at zero)."""

    step: Step
    defaults: Mapping[str, float]
    state: tuple[str, ...]

    def __call__(self, w: Array, dw: Array, config: Config | None = None) -> tuple[Array, Config]:
        config = {} if config is None else config
        for name, value in self.defaults.items():
            config.setdefault(name, value)
        for name in self.state:
            config.setdefault(name, 0 if name == "t" else np.zeros_like(w))
        next_w, new_state = self.step(w, dw, SimpleNamespace(**config))
        config.update(new_state)
        return next_w, config


# --- the rules, in order of increasing complexity -------------------------------------------------------------------


def momentum_step(w: Array, g: Array, c: SimpleNamespace) -> tuple[Array, Config]:
    v = c.momentum * c.velocity - c.learning_rate * g
    return w + v, {"velocity": v}


def nesterov_step(w: Array, g: Array, c: SimpleNamespace) -> tuple[Array, Config]:
    v = c.momentum * c.velocity - c.learning_rate * g
    return w - c.momentum * c.velocity + (1 + c.momentum) * v, {"velocity": v}


def adagrad_step(w: Array, g: Array, c: SimpleNamespace) -> tuple[Array, Config]:
    cache = c.cache + g**2
    return w - c.learning_rate * g / (np.sqrt(cache) + c.epsilon), {"cache": cache}


def adadelta_step(w: Array, g: Array, c: SimpleNamespace) -> tuple[Array, Config]:
    cache = c.rho * c.cache + (1 - c.rho) * g**2
    d = np.sqrt(c.delta + c.epsilon) / np.sqrt(cache + c.epsilon) * g
    return w - c.learning_rate * d, {"cache": cache, "delta": c.rho * c.delta + (1 - c.rho) * d**2}


def rmsprop_step(w: Array, g: Array, c: SimpleNamespace) -> tuple[Array, Config]:
    cache = c.decay_rate * c.cache + (1 - c.decay_rate) * g**2
    return w - c.learning_rate * g / (np.sqrt(cache) + c.epsilon), {"cache": cache}


def moments(g: Array, c: SimpleNamespace) -> tuple[Array, Array, int]:
    """Adam's averages of the gradient and of its square, and the step counted from 1."""
    return c.beta1 * c.m + (1 - c.beta1) * g, c.beta2 * c.v + (1 - c.beta2) * g**2, c.t + 1


def adam_step(w: Array, g: Array, c: SimpleNamespace) -> tuple[Array, Config]:
    m, v, t = moments(g, c)
    m_hat, v_hat = m / (1 - c.beta1**t), v / (1 - c.beta2**t)
    return w - c.learning_rate * m_hat / (np.sqrt(v_hat) + c.epsilon), {"m": m, "v": v, "t": t}


def adamax_step(w: Array, g: Array, c: SimpleNamespace) -> tuple[Array, Config]:
    m, t = c.beta1 * c.m + (1 - c.beta1) * g, c.t + 1
    u = np.maximum(c.beta2 * c.u, np.abs(g))
    return w - c.learning_rate / (1 - c.beta1**t) * m / (u + c.epsilon), {"m": m, "u": u, "t": t}


def nadam_step(w: Array, g: Array, c: SimpleNamespace) -> tuple[Array, Config]:
    m, v, t = moments(g, c)
    m_hat = c.beta1 * m / (1 - c.beta1 ** (t + 1)) + (1 - c.beta1) * g / (1 - c.beta1**t)
    v_hat = v / (1 - c.beta2**t)
    return w - c.learning_rate * m_hat / (np.sqrt(v_hat) + c.epsilon), {"m": m, "v": v, "t": t}


def adamw_step(w: Array, g: Array, c: SimpleNamespace) -> tuple[Array, Config]:
    next_w, state = adam_step(w, g, c)
    return next_w - c.learning_rate * c.weight_decay * w, state


_ADAM_DEFAULTS = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}

sgd_momentum = Rule(momentum_step, {"learning_rate": 1e-2, "momentum": 0.9}, ("velocity",))
nesterov_momentum = Rule(nesterov_step, {"learning_rate": 1e-2, "momentum": 0.9}, ("velocity",))
adagrad = Rule(adagrad_step, {"learning_rate": 1e-2, "epsilon": 1e-8}, ("cache",))
adadelta = Rule(adadelta_step, {"learning_rate": 1.0, "rho": 0.95, "epsilon": 1e-6}, ("cache", "delta"))
rmsprop = Rule(rmsprop_step, {"learning_rate": 1e-2, "decay_rate": 0.99, "epsilon": 1e-8}, ("cache",))
adam = Rule(adam_step, _ADAM_DEFAULTS, ("m", "v", "t"))
adamax = Rule(adamax_step, _ADAM_DEFAULTS, ("m", "u", "t"))
nadam = Rule(nadam_step, _ADAM_DEFAULTS, ("m", "v", "t"))
adamw = Rule(adamw_step, {**_ADAM_DEFAULTS, "weight_decay": 1e-2}, ("m", "v", "t"))


# --- the checks -----------------------------------------------------------------------------------------------------
# A step from a given state shows the formula alone; a run of steps shows that the state is carried. So that Adam's bias
# correction has a claim of its own, given states are old: at t = 10**6 nothing is left to correct.

LATE = 10**6

_SETTINGS: dict[str, tuple[float, float]] = {
    "learning_rate": (0.02, 0.3),
    "momentum": (0.5, 0.8),
    "rho": (0.6, 0.85),
    "decay_rate": (0.6, 0.85),
    "beta1": (0.6, 0.8),
    "beta2": (0.85, 0.95),
    "weight_decay": (0.2, 0.5),
}
"""Ranges from which settings are drawn: none holds its default."""


def _settings(rule: Rule, rng: np.random.Generator, epsilon: float) -> Config:
    drawn = {name: float(rng.uniform(*bounds)) for name, bounds in _SETTINGS.items() if name in rule.defaults}
    return {**drawn, "epsilon": epsilon} if "epsilon" in rule.defaults else drawn


def _old_state(rule: Rule, rng: np.random.Generator, shape: tuple[int, ...], size: float = 1.0) -> Config:
    """A state as after a long run: first moments of both signs, second ones positive."""
    state: Config = {}
    for name in rule.state:
        if name == "t":
            state[name] = LATE
        elif name in ("velocity", "m"):
            state[name] = size * rng.standard_normal(shape)
        else:
            power = 1 if name == "u" else 2
            state[name] = (size * rng.uniform(0.5, 1.5, shape)) ** power
    return state


def _stepped(play: Functions, name: str, w: Array, g: Array, config: Config | None) -> tuple[Any, Config]:
    next_w, returned = getattr(play, name)(w, g, config)
    if not isinstance(returned, dict):
        raise StudentError("form", f"the second result is {describe(returned)}, wanted the config dict with the state")
    return next_w, returned


def _gradient(rng: np.random.Generator, shape: tuple[int, ...], size: float = 1.0) -> Array:
    """A gradient whose entries have sizes from a third of ``size`` to three times it, and both signs."""
    return size * rng.choice([-1.0, 1.0], shape) * 3.0 ** rng.uniform(-1, 1, shape)


def _single_steps(name: str, rule: Rule) -> Callable[[Functions, np.random.Generator], Observations]:
    def observe(play: Functions, rng: np.random.Generator) -> Observations:
        found = {}
        for number, shape in enumerate(((4, 3), (5,), (2, 1, 3)) * 2):
            config = {**_settings(rule, rng, 1e-9), **_old_state(rule, rng, shape)}
            w, g = rng.standard_normal(shape), _gradient(rng, shape)
            found[f"w after single step {number + 1}"] = _stepped(play, name, w, g, config)[0]
        return found

    return observe


def _carried(name: str, rule: Rule) -> Callable[[Functions, np.random.Generator], Observations]:
    """Two parameters in turn, each with its own config: a state kept elsewhere than in config would mix them up."""

    def observe(play: Functions, rng: np.random.Generator) -> Observations:
        shapes = {"first": (3, 2), "second": (4,)}
        w: dict[str, Any] = {which: rng.standard_normal(shape) for which, shape in shapes.items()}
        config = {
            which: {**_settings(rule, rng, 1e-9), **_old_state(rule, rng, shape)} for which, shape in shapes.items()
        }
        found = {}
        for step in range(FIRST_STEPS):
            for which, shape in shapes.items():
                w[which], config[which] = _stepped(play, name, w[which], _gradient(rng, shape), config[which])
                found[f"{which} parameter after step {step + 1}"] = w[which]
        return found

    return observe


def _defaults(name: str, rule: Rule) -> Callable[[Functions, np.random.Generator], Observations]:
    def observe(play: Functions, rng: np.random.Generator) -> Observations:
        found: Observations = {}
        for number, shape in enumerate(((3, 2), (4,))):
            w, g = rng.standard_normal(shape), _gradient(rng, shape)
            moved = _stepped(play, name, w, g, _old_state(rule, rng, shape))[0]
            found[f"step {number + 1} without settings"] = moved if moved is None else np.asarray(moved) - w
        first, config = _stepped(play, name, rng.standard_normal((2, 3)), _gradient(rng, (2, 3)), None)
        found["config=None works"] = bool(np.shape(first) == (2, 3) and np.all(np.isfinite(first)) and config)
        if "t" not in rule.state:  # where steps are counted, the start at zero has a claim of its own
            w, g = rng.standard_normal((3, 4)), _gradient(rng, (3, 4))
            moved = _stepped(play, name, w, g, _settings(rule, rng, 1e-9))[0]
            found["step without a state"] = moved if moved is None else np.asarray(moved) - w
        return found

    return observe


def _first_steps(name: str, rule: Rule) -> Callable[[Functions, np.random.Generator], Observations]:
    def observe(play: Functions, rng: np.random.Generator) -> Observations:
        shape = (3, 2)
        w: Any = rng.standard_normal(shape)
        config: Config = {**_settings(rule, rng, 1e-9), **({"t": 0} if "t" in rule.state else {})}
        found = {}
        for step in range(FIRST_STEPS):
            w, config = _stepped(play, name, w, _gradient(rng, shape), config)
            found[f"w after step {step + 1} from nothing"] = w
        return found

    return observe


def _small_gradients(name: str, rule: Rule) -> Callable[[Functions, np.random.Generator], Observations]:
    """Gradients of the size of epsilon, with a large one given and with the default; late, and in the first steps."""

    def observe(play: Functions, rng: np.random.Generator) -> Observations:
        shape, found = (3, 2), {}
        for epsilon, size in ((0.05, 0.05), (None, rule.defaults["epsilon"])):
            settings = _settings(rule, rng, epsilon or 0.0)
            if epsilon is None:
                del settings["epsilon"]
            config = {**settings, **_old_state(rule, rng, shape, size)}
            w, g = rng.standard_normal(shape), _gradient(rng, shape, size)
            given = "the default epsilon" if epsilon is None else f"epsilon={epsilon}"
            found[f"step for small gradients with {given}"] = np.asarray(_stepped(play, name, w, g, config)[0]) - w
        if "t" in rule.state:
            w, config = rng.standard_normal(shape), {**_settings(rule, rng, 0.05), "t": 0}
            for step in range(2):
                w, config = _stepped(play, name, w, _gradient(rng, shape, 0.05), config)
                found[f"w after step {step + 1} from nothing with epsilon=0.05"] = w
        return found

    return observe


def _leaves_gradient(points: float, name: str, rule: Rule) -> Check:
    """``dw`` must stay; a ``w`` that is updated in place is common and harmless here: a remark, not a zero."""
    scenario = _single_steps(name, rule)

    def watch(play: Functions, rng: np.random.Generator) -> Observations:
        scenario(play, rng)
        return {"changed": tuple(dict.fromkeys(play.changed))}

    def judge(seen: Observations, wanted: Observations, rng: np.random.Generator) -> Evidence:
        in_place = (
            ("w is updated in place: the caller's array changes, too. Accepted.",) if "w" in seen["changed"] else ()
        )
        if "dw" in seen["changed"]:
            return Evidence(False, "changed in place: dw. Work on a copy: the caller still needs its arrays.")
        return Evidence(True, remarks=in_place)

    return Check("leaves the gradient as it was", points, watch, judge, supporting=True)


# --- mistakes -------------------------------------------------------------------------------------------------------


def _with(rule: Rule, step: Step | None = None, **changed: Any) -> Rule:
    return Rule(step or rule.step, {**rule.defaults, **changed}, rule.state)


def _forgetful(rule: Rule, *names: str) -> Rule:
    """The rule, but what it learns about the named state is not written back."""

    def step(w: Array, g: Array, c: SimpleNamespace) -> tuple[Array, Config]:
        next_w, state = rule.step(w, g, c)
        return next_w, {name: value for name, value in state.items() if name not in names}

    return _with(rule, step)


def _stubborn(rule: Rule, name: str) -> Rule:
    """The rule with one setting fixed at its default, whatever config says."""

    def step(w: Array, g: Array, c: SimpleNamespace) -> tuple[Array, Config]:
        return rule.step(w, g, SimpleNamespace(**{**vars(c), name: rule.defaults[name]}))

    return _with(rule, step)


Idea = tuple[str, str, Callable[..., Any]]


def _not_without_config(rule: Rule) -> Callable[..., tuple[Array, Config]]:
    def demanding(w: Array, dw: Array, config: Config | None = None) -> tuple[Array, Config]:
        if config is None:
            raise TypeError("None is no dict")
        return rule(w, dw, config)

    return demanding


def _starting_at_ones(rule: Rule) -> Callable[..., tuple[Array, Config]]:
    def started(w: Array, dw: Array, config: Config | None = None) -> tuple[Array, Config]:
        config = {} if config is None else config
        for name in rule.state:
            if name != "t":
                config.setdefault(name, np.ones_like(w))
        return rule(w, dw, config)

    return started


def _shared_ideas(rule: Rule) -> list[Idea]:
    """Mistakes that any rule can have."""
    arrays = [name for name in rule.state if name != "t"]
    ideas: list[Idea] = [
        (
            "state-not-stored",
            f"Each step starts from the old state again: write {' and '.join(arrays)} back to config before you return it.",
            _forgetful(rule, *rule.state),
        ),
        (
            "learning-rate-hard-coded",
            f"You always use the learning rate {rule.defaults['learning_rate']:g}. Take it from config; that is only the default.",
            _stubborn(rule, "learning_rate"),
        ),
        (
            "uphill",
            "Your step goes uphill: the gradient points to where the loss grows, so step against it.",
            _with(rule, lambda w, g, c: rule.step(w, -g, c)),
        ),
        (
            "config-none-not-supported",
            "Your function needs a config. It must work without one, too: config=None means all defaults, so begin with {}.",
            _not_without_config(rule),
        ),
        (
            "state-starts-at-ones",
            f"Where config holds no {' and no '.join(arrays)} yet, yours starts at ones. It starts at zeros.",
            _starting_at_ones(rule),
        ),
    ]
    settings = [name for name in rule.defaults if name not in ("learning_rate", "epsilon")]
    ideas += [
        (
            f"{name.replace('_', '-')}-hard-coded",
            f"You always use {name} = {rule.defaults[name]:g}. Take it from config; that is only the default.",
            _stubborn(rule, name),
        )
        for name in settings
    ]
    return ideas


_EPSILON_FIXED = (
    "epsilon-hard-coded",
    "You always use the default epsilon. Take it from config.",
)


def _epsilon_ideas(rule: Rule, inside: Step, without: Step) -> list[Idea]:
    return [
        (
            "epsilon-inside-the-root",
            "You add epsilon inside the root. In this rule it is added to the root: sqrt(...) + epsilon.",
            _with(rule, inside),
        ),
        ("no-epsilon", "epsilon is not used: a gradient that was always 0 would divide 0 by 0.", _with(rule, without)),
        (*_EPSILON_FIXED, _stubborn(rule, "epsilon")),
    ]


def _without_epsilon(rule: Rule) -> Step:
    return lambda w, g, c: rule.step(w, g, SimpleNamespace(**{**vars(c), "epsilon": 0.0}))


def _momentum_like(
    apply: Callable[[Array, Array, Array, SimpleNamespace], Array], velocity: Callable[..., Array]
) -> Step:
    def step(w: Array, g: Array, c: SimpleNamespace) -> tuple[Array, Config]:
        v = velocity(c, g)
        return apply(w, v, g, c), {"velocity": v}

    return step


def _velocity(c: SimpleNamespace, g: Array) -> Array:
    return np.asarray(c.momentum * c.velocity - c.learning_rate * g)


_MOMENTUM_IDEAS: list[Idea] = [
    *_shared_ideas(sgd_momentum),
    (
        "velocity-ignored",
        "Your step is plain SGD: the old velocity plays no part. Add momentum times the velocity.",
        _with(sgd_momentum, _momentum_like(lambda w, v, g, c: w + v, lambda c, g: -c.learning_rate * g)),
    ),
    (
        "gradient-damped",
        "You weigh the gradient by 1 - momentum, as in an average. Here the velocity is a sum: momentum * v - learning_rate * dw.",
        _with(
            sgd_momentum,
            _momentum_like(
                lambda w, v, g, c: w + v, lambda c, g: c.momentum * c.velocity - (1 - c.momentum) * c.learning_rate * g
            ),
        ),
    ),
    (
        "learning-rate-outside",
        "You keep the velocity without the learning rate and multiply by it in the step. Here the velocity holds it: "
        "momentum * v - learning_rate * dw.",
        _with(
            sgd_momentum,
            _momentum_like(lambda w, v, g, c: w - c.learning_rate * v, lambda c, g: c.momentum * c.velocity + g),
        ),
    ),
    (
        "velocity-with-the-other-sign",
        "Your velocity points uphill and is subtracted. Here it points downhill and is added; a stored state would clash.",
        _with(
            sgd_momentum,
            _momentum_like(lambda w, v, g, c: w - v, lambda c, g: c.momentum * c.velocity + c.learning_rate * g),
        ),
    ),
    (
        "old-velocity",
        "You step by the old velocity. Update it first, then step.",
        _with(sgd_momentum, _momentum_like(lambda w, v, g, c: w + c.velocity, _velocity)),
    ),
    (
        "nesterov",
        "That is Nesterov's step, which looks ahead. Plain momentum adds the new velocity.",
        _with(sgd_momentum, nesterov_step),
    ),
]


def _rate_outside(w: Array, g: Array, c: SimpleNamespace) -> tuple[Array, Config]:
    """Nesterov's rule as PyTorch has it: the velocity is a sum of gradients, the rate comes in with the step."""
    v = c.momentum * c.velocity + g
    return w - c.learning_rate * (g + c.momentum * v), {"velocity": v}


_NESTEROV_IDEAS: list[Idea] = [
    *_shared_ideas(nesterov_momentum),
    (
        "learning-rate-outside",
        "You keep the velocity without the learning rate and multiply by it in the step. Here the velocity holds it: "
        "momentum * v - learning_rate * dw.",
        _with(nesterov_momentum, _rate_outside),
    ),
    (
        "plain-momentum",
        "That is plain momentum. Nesterov's step looks ahead: w - mu v_old + (1 + mu) v_new.",
        _with(nesterov_momentum, momentum_step),
    ),
    (
        "old-velocity-added",
        "The correction by the old velocity has the wrong sign: subtract momentum times the old velocity.",
        _with(
            nesterov_momentum,
            _momentum_like(lambda w, v, g, c: w + c.momentum * c.velocity + (1 + c.momentum) * v, _velocity),
        ),
    ),
    (
        "old-velocity-forgotten",
        "The correction by the old velocity is missing: w - mu v_old + (1 + mu) v_new.",
        _with(nesterov_momentum, _momentum_like(lambda w, v, g, c: w + (1 + c.momentum) * v, _velocity)),
    ),
    (
        "velocities-swapped",
        "Old and new velocity are swapped in your step: -mu goes with the old one, 1 + mu with the new.",
        _with(
            nesterov_momentum,
            _momentum_like(lambda w, v, g, c: w - c.momentum * v + (1 + c.momentum) * c.velocity, _velocity),
        ),
    ),
]


def _cached(
    divisor: Callable[[Array, SimpleNamespace], Array], cache: Callable[[Array, SimpleNamespace], Array]
) -> Step:
    def step(w: Array, g: Array, c: SimpleNamespace) -> tuple[Array, Config]:
        new = cache(g, c)
        return w - c.learning_rate * g / divisor(new, c), {"cache": new}

    return step


def _sum_of_squares(g: Array, c: SimpleNamespace) -> Array:
    return np.asarray(c.cache + g**2)


def _mean_of_squares(g: Array, c: SimpleNamespace) -> Array:
    return np.asarray(c.decay_rate * c.cache + (1 - c.decay_rate) * g**2)


def _outside(cache: Array, c: SimpleNamespace) -> Array:
    return np.asarray(np.sqrt(cache) + c.epsilon)


def _inside(cache: Array, c: SimpleNamespace) -> Array:
    return np.asarray(np.sqrt(cache + c.epsilon))


_ADAGRAD_IDEAS: list[Idea] = [
    *_shared_ideas(adagrad),
    *_epsilon_ideas(adagrad, _cached(_inside, _sum_of_squares), _without_epsilon(adagrad)),
    (
        "root-forgotten",
        "You divide by the sum of squares itself. Divide by its root.",
        _with(adagrad, _cached(lambda cache, c: cache + c.epsilon, _sum_of_squares)),
    ),
    (
        "gradients-not-squared",
        "Your cache sums the gradients without squaring them.",
        _with(adagrad, _cached(lambda cache, c: np.sqrt(np.abs(cache)) + c.epsilon, lambda g, c: c.cache + g)),
    ),
    (
        "sizes-summed",
        "Your cache sums the sizes of the gradients. It sums their squares.",
        _with(adagrad, _cached(_outside, lambda g, c: c.cache + np.abs(g))),
    ),
    (
        "cache-replaced",
        "Your cache holds the last squared gradient only. Add to the old cache.",
        _with(adagrad, _cached(_outside, lambda g, c: g**2)),
    ),
    (
        "cache-averaged",
        "Your cache is a moving average: that is RMSProp. AdaGrad adds up all squares, for good.",
        _with(adagrad, _cached(_outside, lambda g, c: 0.99 * c.cache + 0.01 * g**2)),
    ),
    (
        "old-cache",
        "You divide by the old cache. Add the new squares first, then step.",
        _with(
            adagrad,
            lambda w, g, c: (w - c.learning_rate * g / (np.sqrt(c.cache) + c.epsilon), {"cache": c.cache + g**2}),
        ),
    ),
]

_RMSPROP_IDEAS: list[Idea] = [
    *_shared_ideas(rmsprop),
    *_epsilon_ideas(rmsprop, _cached(_inside, _mean_of_squares), _without_epsilon(rmsprop)),
    (
        "decay-swapped",
        "The weights of your average are swapped: decay_rate belongs to the old cache, 1 - decay_rate to the new squares.",
        _with(rmsprop, _cached(_outside, lambda g, c: (1 - c.decay_rate) * c.cache + c.decay_rate * g**2)),
    ),
    (
        "squares-added-up",
        "Your cache adds up all squares: that is AdaGrad. RMSProp lets the old ones fade.",
        _with(rmsprop, _cached(_outside, _sum_of_squares)),
    ),
    (
        "complement-forgotten",
        "You add the new squares whole. Weigh them by 1 - decay_rate, so that the cache is an average.",
        _with(rmsprop, _cached(_outside, lambda g, c: c.decay_rate * c.cache + g**2)),
    ),
    (
        "root-forgotten",
        "You divide by the mean square itself. Divide by its root.",
        _with(rmsprop, _cached(lambda cache, c: cache + c.epsilon, _mean_of_squares)),
    ),
    (
        "gradients-not-squared",
        "Your cache averages the gradients without squaring them.",
        _with(
            rmsprop,
            _cached(
                lambda cache, c: np.sqrt(np.abs(cache)) + c.epsilon,
                lambda g, c: c.decay_rate * c.cache + (1 - c.decay_rate) * g,
            ),
        ),
    ),
    (
        "old-cache",
        "You divide by the old cache. Update it first, then step.",
        _with(
            rmsprop,
            lambda w, g, c: (
                w - c.learning_rate * g / (np.sqrt(c.cache) + c.epsilon),
                {"cache": _mean_of_squares(g, c)},
            ),
        ),
    ),
]


def _adadelta_like(
    ratio: Callable[[Array, Array, SimpleNamespace], Array] = lambda delta, cache, c: (
        np.sqrt(delta + c.epsilon) / np.sqrt(cache + c.epsilon)
    ),
    remembered: Callable[[Array, Array], Array] = lambda d, g: d,
    rated: bool = True,
) -> Step:
    def step(w: Array, g: Array, c: SimpleNamespace) -> tuple[Array, Config]:
        cache = c.rho * c.cache + (1 - c.rho) * g**2
        d = ratio(c.delta, cache, c) * g
        new_delta = c.rho * c.delta + (1 - c.rho) * remembered(d, g) ** 2
        return w - (c.learning_rate if rated else 1.0) * d, {"cache": cache, "delta": new_delta}

    return step


_ADADELTA_IDEAS: list[Idea] = [
    *(idea for idea in _shared_ideas(adadelta) if idea[0] != "learning-rate-hard-coded"),
    (
        "learning-rate-ignored",
        "The learning rate plays no part in your step. Its default is 1, but a caller may give another.",
        _with(adadelta, _adadelta_like(rated=False)),
    ),
    (
        "epsilon-outside-the-roots",
        "You add epsilon to the roots. In AdaDelta it stands inside both: sqrt(delta + eps) / sqrt(cache + eps).",
        _with(
            adadelta,
            _adadelta_like(lambda delta, cache, c: (np.sqrt(delta) + c.epsilon) / (np.sqrt(cache) + c.epsilon)),
        ),
    ),
    (
        "epsilon-below-only",
        "epsilon is missing in the numerator: with delta = 0 at the start, the first step would be 0 and all others too.",
        _with(adadelta, _adadelta_like(lambda delta, cache, c: np.sqrt(delta) / np.sqrt(cache + c.epsilon))),
    ),
    (*_EPSILON_FIXED, _stubborn(adadelta, "epsilon")),
    (
        "roots-forgotten",
        "You divide the mean squares themselves. Take the root of both.",
        _with(adadelta, _adadelta_like(lambda delta, cache, c: (delta + c.epsilon) / (cache + c.epsilon))),
    ),
    (
        "delta-remembers-gradients",
        "Your delta averages the squared gradients. It averages the squared STEPS, which gives the step its unit.",
        _with(adadelta, _adadelta_like(remembered=lambda d, g: g)),
    ),
    (
        "upside-down",
        "Your ratio is upside down: the steps' root mean square goes on top, the gradients' below.",
        _with(
            adadelta,
            _adadelta_like(lambda delta, cache, c: np.sqrt(cache + c.epsilon) / np.sqrt(delta + c.epsilon)),
        ),
    ),
]


def _adam_like(
    moving: Callable[[Array, Array, int, SimpleNamespace], Array],
    update: Callable[[Array, SimpleNamespace], tuple[Array, Array, int]] = moments,
) -> Step:
    """An Adam whose step is ``moving(m, v, t, settings)`` times the learning rate."""

    def step(w: Array, g: Array, c: SimpleNamespace) -> tuple[Array, Config]:
        m, v, t = update(g, c)
        return w - c.learning_rate * moving(m, v, t, c), {"m": m, "v": v, "t": t}

    return step


def _corrected(m: Array, v: Array, t: int, c: SimpleNamespace) -> tuple[Array, Array]:
    return m / (1 - c.beta1**t), v / (1 - c.beta2**t)


def _adam_moving(m: Array, v: Array, t: int, c: SimpleNamespace) -> Array:
    m_hat, v_hat = _corrected(m, v, t, c)
    return np.asarray(m_hat / (np.sqrt(v_hat) + c.epsilon))


def _inside_moving(m: Array, v: Array, t: int, c: SimpleNamespace) -> Array:
    m_hat, v_hat = _corrected(m, v, t, c)
    return np.asarray(m_hat / np.sqrt(v_hat + c.epsilon))


def _efficient_moving(m: Array, v: Array, t: int, c: SimpleNamespace) -> Array:
    """The paper's faster form with its own epsilon: the root is not corrected before epsilon is added."""
    return np.asarray(np.sqrt(1 - c.beta2**t) / (1 - c.beta1**t) * m / (np.sqrt(v) + c.epsilon))


_ADAM_PROPER_IDEAS: list[tuple[str, str, Step]] = [
    (
        "no-bias-correction",
        "The first steps are not corrected for the start at zero: divide m by 1 - beta1**t and v by 1 - beta2**t.",
        _adam_like(lambda m, v, t, c: m / (np.sqrt(v) + c.epsilon)),
    ),
    (
        "first-moment-not-corrected",
        "Only v is corrected for the start at zero. Divide m by 1 - beta1**t, too.",
        _adam_like(lambda m, v, t, c: m / (np.sqrt(v / (1 - c.beta2**t)) + c.epsilon)),
    ),
    (
        "second-moment-not-corrected",
        "Only m is corrected for the start at zero. Divide v by 1 - beta2**t, too.",
        _adam_like(lambda m, v, t, c: m / (1 - c.beta1**t) / (np.sqrt(v) + c.epsilon)),
    ),
    (
        "correction-without-exponent",
        "You correct by 1 - beta in every step. The correction fades: 1 - beta**t with the number t of the step.",
        _adam_like(lambda m, v, t, c: m / (1 - c.beta1) / (np.sqrt(v / (1 - c.beta2)) + c.epsilon)),
    ),
    (
        "step-counted-too-late",
        "Your correction uses t before it is incremented. The first step has t = 1.",
        _adam_like(lambda m, v, t, c: _adam_moving(m, v, max(t - 1, 1), c)),
    ),
    (
        "step-counted-twice",
        "Your t is ahead by one: the first step has t = 1.",
        _adam_like(lambda m, v, t, c: _adam_moving(m, v, t + 1, c)),
    ),
    (
        "corrected-moments-stored",
        "You write the corrected moments back to config. Store m and v as they are; the correction is for the step only.",
        lambda w, g, c: _storing_corrected(w, g, c),
    ),
    (
        "betas-swapped",
        "beta1 and beta2 are swapped: beta1 belongs to the gradient's average, beta2 to that of its square.",
        lambda w, g, c: adam_step(w, g, SimpleNamespace(**{**vars(c), "beta1": c.beta2, "beta2": c.beta1})),
    ),
    (
        "weights-swapped",
        "The weights of your averages are swapped: beta belongs to the old average, 1 - beta to the new gradient.",
        lambda w, g, c: adam_step(w, g, SimpleNamespace(**{**vars(c), "beta1": 1 - c.beta1, "beta2": 1 - c.beta2})),
    ),
    (
        "gradient-not-squared",
        "Your v averages the gradient, not its square.",
        _adam_like(
            _adam_moving,
            lambda g, c: (c.beta1 * c.m + (1 - c.beta1) * g, np.abs(c.beta2 * c.v + (1 - c.beta2) * g), c.t + 1),
        ),
    ),
    (
        "root-forgotten",
        "You divide by v itself. Divide by its root.",
        _adam_like(lambda m, v, t, c: (m / (1 - c.beta1**t)) / (v / (1 - c.beta2**t) + c.epsilon)),
    ),
    (
        "gradient-instead-of-average",
        "Your step follows the gradient itself: the average m plays no part. That is RMSProp with a correction.",
        lambda w, g, c: _raw_gradient(w, g, c),
    ),
    (
        "epsilon-scaled-by-the-correction",
        "Your epsilon is scaled by the bias correction, as in the paper's faster form. Here it is added to the corrected root.",
        _adam_like(_efficient_moving),
    ),
    (
        "epsilon-inside-the-root",
        "You add epsilon inside the root. It is added to the root: sqrt(v_hat) + epsilon.",
        _adam_like(_inside_moving),
    ),
    ("no-epsilon", "epsilon is not used: a gradient that was always 0 would divide 0 by 0.", _without_epsilon(adam)),
]


def _storing_corrected(w: Array, g: Array, c: SimpleNamespace) -> tuple[Array, Config]:
    m, v, t = moments(g, c)
    m, v = _corrected(m, v, t, c)
    return w - c.learning_rate * m / (np.sqrt(v) + c.epsilon), {"m": m, "v": v, "t": t}


def _raw_gradient(w: Array, g: Array, c: SimpleNamespace) -> tuple[Array, Config]:
    m, v, t = moments(g, c)
    return w - c.learning_rate * g / (np.sqrt(v / (1 - c.beta2**t)) + c.epsilon), {"m": m, "v": v, "t": t}


_T_NOT_COUNTED = (
    "step-not-counted",
    "t never grows, so every step is corrected as if it were the first. Increment t and write it back to config.",
)

_ADAM_IDEAS: list[Idea] = [
    *_shared_ideas(adam),
    (*_EPSILON_FIXED, _stubborn(adam, "epsilon")),
    (*_T_NOT_COUNTED, _forgetful(adam, "t")),
    *((id, message, _with(adam, step)) for id, message, step in _ADAM_PROPER_IDEAS),
]


def _adamax_like(moving: Callable[[Array, Array, int, SimpleNamespace], Array], u_of: Callable[..., Array]) -> Step:
    def step(w: Array, g: Array, c: SimpleNamespace) -> tuple[Array, Config]:
        m, u, t = c.beta1 * c.m + (1 - c.beta1) * g, u_of(g, c), c.t + 1
        return w - c.learning_rate * moving(m, u, t, c), {"m": m, "u": u, "t": t}

    return step


def _adamax_moving(m: Array, u: Array, t: int, c: SimpleNamespace) -> Array:
    return np.asarray(m / (1 - c.beta1**t) / (u + c.epsilon))


def _infinity_norm(g: Array, c: SimpleNamespace) -> Array:
    return np.maximum(c.beta2 * c.u, np.abs(g))


_ADAMAX_IDEAS: list[Idea] = [
    *_shared_ideas(adamax),
    (*_EPSILON_FIXED, _stubborn(adamax, "epsilon")),
    (
        "no-epsilon",
        "epsilon is not used: a gradient that was always 0 would divide 0 by 0.",
        _with(adamax, _without_epsilon(adamax)),
    ),
    (*_T_NOT_COUNTED, _forgetful(adamax, "t")),
    (
        "no-bias-correction",
        "The first steps are not corrected for the start of m at zero: divide by 1 - beta1**t.",
        _with(adamax, _adamax_like(lambda m, u, t, c: m / (u + c.epsilon), _infinity_norm)),
    ),
    (
        "maximum-corrected-too",
        "You correct u for the start at zero. A maximum has no such bias: only m is corrected.",
        _with(
            adamax,
            _adamax_like(lambda m, u, t, c: m / (1 - c.beta1**t) / (u / (1 - c.beta2**t) + c.epsilon), _infinity_norm),
        ),
    ),
    (
        "correction-without-exponent",
        "You correct by 1 - beta1 in every step. The correction fades: 1 - beta1**t.",
        _with(adamax, _adamax_like(lambda m, u, t, c: m / (1 - c.beta1) / (u + c.epsilon), _infinity_norm)),
    ),
    (
        "maximum-without-decay",
        "Your u is the largest gradient ever seen. Let the old maximum fade: beta2 * u.",
        _with(adamax, _adamax_like(_adamax_moving, lambda g, c: np.maximum(c.u, np.abs(g)))),
    ),
    (
        "sign-kept",
        "Your u takes the maximum with the gradient itself. Take its size: abs(dw).",
        _with(adamax, _adamax_like(_adamax_moving, lambda g, c: np.maximum(c.beta2 * c.u, g))),
    ),
    (
        "average-instead-of-maximum",
        "Your u is an average of sizes. AdaMax takes the larger of the faded u and the new size.",
        _with(adamax, _adamax_like(_adamax_moving, lambda g, c: c.beta2 * c.u + (1 - c.beta2) * np.abs(g))),
    ),
    (
        "root-of-the-maximum",
        "You take the root of u. u is a size already, not a square.",
        _with(adamax, _adamax_like(lambda m, u, t, c: m / (1 - c.beta1**t) / (np.sqrt(u) + c.epsilon), _infinity_norm)),
    ),
]


def _nadam_like(
    blend: Callable[[Array, Array, int, SimpleNamespace], Array],
    divisor: Callable[[Array, SimpleNamespace], Array] = lambda v_hat, c: np.sqrt(v_hat) + c.epsilon,
    correct_v: bool = True,
) -> Step:
    """A NAdam whose numerator is ``blend(m, g, t, settings)``."""

    def step(w: Array, g: Array, c: SimpleNamespace) -> tuple[Array, Config]:
        m, v, t = moments(g, c)
        v_hat = v / (1 - c.beta2**t) if correct_v else v
        return w - c.learning_rate * blend(m, g, t, c) / divisor(v_hat, c), {"m": m, "v": v, "t": t}

    return step


def _looking_ahead(m: Array, g: Array, t: int, c: SimpleNamespace) -> Array:
    return np.asarray(c.beta1 * m / (1 - c.beta1 ** (t + 1)) + (1 - c.beta1) * g / (1 - c.beta1**t))


def _old_average_blended(w: Array, g: Array, c: SimpleNamespace) -> tuple[Array, Config]:
    m, v, t = moments(g, c)
    ahead = _looking_ahead(c.m, g, t, c)
    return w - c.learning_rate * ahead / (np.sqrt(v / (1 - c.beta2**t)) + c.epsilon), {"m": m, "v": v, "t": t}


_NADAM_IDEAS: list[Idea] = [
    *_shared_ideas(nadam),
    (
        "old-average-blended",
        "You blend the OLD average with this step's gradient. Update m first: looking ahead uses the new one.",
        _with(nadam, _old_average_blended),
    ),
    *_epsilon_ideas(
        nadam, _nadam_like(_looking_ahead, lambda v_hat, c: np.sqrt(v_hat + c.epsilon)), _without_epsilon(nadam)
    ),
    (*_T_NOT_COUNTED, _forgetful(nadam, "t")),
    (
        "plain-adam",
        "That is Adam. NAdam looks ahead: it blends the average with the gradient of this step.",
        _with(nadam, adam_step),
    ),
    (
        "no-bias-correction",
        "The first steps are not corrected for the start at zero.",
        _with(nadam, _nadam_like(lambda m, g, t, c: c.beta1 * m + (1 - c.beta1) * g, correct_v=False)),
    ),
    (
        "same-correction-for-both",
        "Both parts of your numerator are corrected by 1 - beta1**t. The average is used one step ahead: 1 - beta1**(t + 1).",
        _with(nadam, _nadam_like(lambda m, g, t, c: (c.beta1 * m + (1 - c.beta1) * g) / (1 - c.beta1**t))),
    ),
    (
        "gradient-not-corrected",
        "The gradient's part of your numerator is not corrected: divide it by 1 - beta1**t.",
        _with(nadam, _nadam_like(lambda m, g, t, c: c.beta1 * m / (1 - c.beta1 ** (t + 1)) + (1 - c.beta1) * g)),
    ),
    (
        "average-not-weighed",
        "The average enters whole. Weigh it by beta1, and the gradient by 1 - beta1.",
        _with(
            nadam, _nadam_like(lambda m, g, t, c: m / (1 - c.beta1 ** (t + 1)) + (1 - c.beta1) * g / (1 - c.beta1**t))
        ),
    ),
]


def _decayed(before: bool = False, rated: bool = True, sign: float = 1.0) -> Step:
    """AdamW with its decay in another place: in the gradient (plain L2), without the rate, or with the wrong sign."""

    def step(w: Array, g: Array, c: SimpleNamespace) -> tuple[Array, Config]:
        if before:
            return adam_step(w, g + c.weight_decay * w, c)
        next_w, state = adam_step(w, g, c)
        return next_w - sign * (c.learning_rate if rated else 1.0) * c.weight_decay * w, state

    return step


def _decay_after(w: Array, g: Array, c: SimpleNamespace) -> tuple[Array, Config]:
    next_w, state = adam_step(w, g, c)
    return next_w - c.learning_rate * c.weight_decay * next_w, state


def _with_decay(step: Step) -> Step:
    """A wrong Adam, decayed as AdamW is."""

    def decayed(w: Array, g: Array, c: SimpleNamespace) -> tuple[Array, Config]:
        next_w, state = step(w, g, c)
        return next_w - c.learning_rate * c.weight_decay * w, state

    return decayed


_ADAMW_IDEAS: list[Idea] = [
    *_shared_ideas(adamw),
    (*_EPSILON_FIXED, _stubborn(adamw, "epsilon")),
    (*_T_NOT_COUNTED, _forgetful(adamw, "t")),
    (
        "decay-in-the-gradient",
        "You add the decay to the gradient: that is Adam with an L2 penalty, which the root then rescales. AdamW takes it "
        "from w directly.",
        _with(adamw, _decayed(before=True)),
    ),
    ("no-decay", "That is Adam: the weight decay is missing.", _with(adamw, adam_step)),
    (
        "decay-without-the-rate",
        "Your decay is not multiplied by the learning rate.",
        _with(adamw, _decayed(rated=False)),
    ),
    (
        "decay-with-the-wrong-sign",
        "Your decay makes the weights grow. It pulls them towards 0.",
        _with(adamw, _decayed(sign=-1.0)),
    ),
    (
        "decay-after-the-step",
        "You decay the weights that Adam has already moved. The decay is taken from the old w.",
        _with(adamw, _decay_after),
    ),
    *((id, message, _with(adamw, _with_decay(step))) for id, message, step in _ADAM_PROPER_IDEAS),
]

# --- the exercises --------------------------------------------------------------------------------------------------


def _exercise(
    rule: Rule, name: str, asks: str, claim: str, ideas: Sequence[Idea], hints: tuple[str, ...], epsilon_claim: str
) -> Exercise:
    checks = [
        equals(claim, 3, _single_steps(name, rule), single=True),
        equals("carries its state in config, apart for each parameter", 2, _carried(name, rule)),
        equals("takes its defaults where config says nothing", 1, _defaults(name, rule)),
    ]
    if "t" in rule.state:
        checks.append(equals("corrects the first steps for the start at zero", 2, _first_steps(name, rule)))
    if "epsilon" in rule.defaults:
        checks.append(equals(epsilon_claim, 1, _small_gradients(name, rule)))
    checks.append(_leaves_gradient(1, name, rule))
    return Exercise(
        name=name,
        asks=asks,
        reference=rule,
        returns=("next_w", "config"),
        checks=tuple(checks),
        misconceptions=tuple(Misconception(id, message, {name: wrong}) for id, message, wrong in ideas),
        hints=hints,
    )


_ADDED_TO_THE_ROOT = "adds epsilon to the root, not inside it"


SGD_MOMENTUM = _exercise(
    sgd_momentum,
    "sgd_momentum",
    "Gradient descent with a velocity (Polyak 1964).",
    "adds the new velocity: momentum times the old one, less rate times gradient",
    _MOMENTUM_IDEAS,
    (
        "A ball rolls down a bowl. What does it keep from one moment to the next?",
        "Look up the velocity in config, make the new one from it and from the gradient, and step by the new one.",
        "v = momentum * v - learning_rate * dw; the next w is w + v; v goes back to config.",
    ),
    "",
)
NESTEROV_MOMENTUM = _exercise(
    nesterov_momentum,
    "nesterov_momentum",
    "Momentum that looks where it is about to go (Nesterov 1983), written for the looked-ahead parameters.",
    "steps by the new velocity and the correction from the old one",
    _NESTEROV_IDEAS,
    (
        "The velocity is updated as in plain momentum. What differs is the step.",
        "You need both velocities in the step: keep the old one before you update it.",
        "Step by -momentum times the old velocity plus (1 + momentum) times the new one.",
    ),
    "",
)
ADAGRAD = _exercise(
    adagrad,
    "adagrad",
    "A rate of its own for each coordinate, from the sum of its squared gradients (Duchi et al. 2011).",
    "divides each coordinate's step by the root of its summed squares",
    _ADAGRAD_IDEAS,
    (
        "Which coordinates should take smaller steps: those with large or with small gradients so far?",
        "The cache grows by the squared gradient in each step and is never made smaller.",
        "Add dw squared to the cache; divide learning_rate * dw by the cache's root plus epsilon.",
    ),
    _ADDED_TO_THE_ROOT,
)
ADADELTA = _exercise(
    adadelta,
    "adadelta",
    "Steps in the parameters' own unit: the ratio of two running root mean squares (Zeiler 2012).",
    "scales the gradient by the steps' root mean square over the gradients'",
    _ADADELTA_IDEAS,
    (
        "If the loss were measured in cents instead of dollars, should the steps change?",
        "Two averages: of the squared gradients (before the step) and of the squared steps (after it).",
        "Update cache; d = root of (delta + eps) over root of (cache + eps), times dw; then average d squared into delta.",
    ),
    "adds epsilon inside both roots",
)
RMSPROP = _exercise(
    rmsprop,
    "rmsprop",
    "AdaGrad with a memory that fades (Hinton's lecture, 2012).",
    "divides each coordinate's step by the root of its running mean square",
    _RMSPROP_IDEAS,
    (
        "AdaGrad's cache only grows. How could it forget?",
        "A running average: part of the old cache, and the rest of the new squares.",
        "cache = decay_rate * cache + (1 - decay_rate) * dw squared; then the step as in AdaGrad.",
    ),
    _ADDED_TO_THE_ROOT,
)
ADAM = _exercise(
    adam,
    "adam",
    "Momentum and RMSProp together, corrected for their start at zero (Kingma & Ba 2015).",
    "divides the averaged gradient by the root of the averaged square",
    _ADAM_IDEAS,
    (
        "After one step, how large is m compared with the gradient it should estimate?",
        "Count t first. Then both averages, then both corrections (for this step only), then the step.",
        "m and v are running averages; m_hat = m / (1 - beta1**t), v_hat likewise; step by learning_rate * m_hat over the "
        "root of v_hat plus epsilon; store m, v and t.",
    ),
    _ADDED_TO_THE_ROOT,
)
ADAMAX = _exercise(
    adamax,
    "adamax",
    "Adam with the largest recent gradient instead of the root mean square (Kingma & Ba 2015, section 7).",
    "divides the averaged gradient by the fading maximum of its size",
    _ADAMAX_IDEAS,
    (
        "A maximum does not start too small as an average does. Which of the two states needs a correction?",
        "np.maximum compares two arrays entry by entry; the old maximum fades by beta2 first.",
        "m as in Adam; u = the larger of beta2 * u and abs(dw); step by learning_rate / (1 - beta1**t) * m / (u + epsilon).",
    ),
    "adds epsilon to the maximum",
)
NADAM = _exercise(
    nadam,
    "nadam",
    "Adam with Nesterov's look ahead (Dozat 2016).",
    "blends the averaged gradient, one step ahead, with the gradient of this step",
    _NADAM_IDEAS,
    (
        "Adam steps by m. Where would m be after the next step, if the gradient stayed as it is?",
        "Two summands in the numerator, each with its own correction: one is for step t + 1, the other for step t.",
        "beta1 * m / (1 - beta1**(t+1)) + (1 - beta1) * dw / (1 - beta1**t), over the same denominator as Adam's.",
    ),
    _ADDED_TO_THE_ROOT,
)
ADAMW = _exercise(
    adamw,
    "adamw",
    "Adam with weight decay that the root does not touch (Loshchilov & Hutter 2019).",
    "takes Adam's step and decays the old weights beside it",
    _ADAMW_IDEAS,
    (
        "An L2 penalty adds to the gradient, and Adam divides the gradient by its size. What is left of the decay?",
        "Leave the gradient alone. The decay is one more summand in the step.",
        "Adam's step, and learning_rate * weight_decay * w taken away as well, with the w from before the step.",
    ),
    _ADDED_TO_THE_ROOT,
)

# --- gradient descent itself ----------------------------------------------------------------------------------------


def gradient_descent(f_grad: Callable[[Array], Array], x0: Array, lr: float, steps: int) -> Array:
    """The path (steps + 1, D) of plain gradient descent from x0 (D,), x0 included."""
    path = [np.asarray(x0, dtype=float)]
    for _ in range(steps):
        path.append(path[-1] - lr * np.asarray(f_grad(path[-1])))
    return np.stack(path)


def _bowl(rng: np.random.Generator, d: int) -> Callable[[Array], Array]:
    """The gradient of a bowl that is not round, with a bend so that every point has a gradient of its own."""
    half = rng.standard_normal((d, d))
    curvature = half @ half.T / d + np.eye(d)
    return lambda x: curvature @ np.asarray(x, dtype=float) + 0.1 * np.sin(np.asarray(x, dtype=float))


def _descent_path(play: Functions, rng: np.random.Generator) -> Observations:
    found = {}
    for d, steps in ((2, 7), (3, 4)):
        f_grad, x0 = _bowl(rng, d), rng.standard_normal(d) * 3
        found[f"path of {steps} steps in {d} dimensions"] = play.gradient_descent(
            f_grad, x0, float(rng.uniform(0.05, 0.2)), steps
        )
    return found


def _no_step(play: Functions, rng: np.random.Generator) -> Observations:
    return {"path of 0 steps": play.gradient_descent(_bowl(rng, 2), rng.standard_normal(2), 0.1, 0)}


def _descent_inputs(play: Functions, rng: np.random.Generator) -> Observations:
    return {"path": play.gradient_descent(_bowl(rng, 3), rng.standard_normal(3), 0.1, 3)}


def _descent_idea(id: str, message: str, wrong: Callable[..., Array]) -> Misconception:
    return Misconception(id, message, {"gradient_descent": wrong})


GRADIENT_DESCENT = Exercise(
    name="gradient_descent",
    asks="The path of plain gradient descent, for the pictures.",
    reference=gradient_descent,
    returns=("path",),
    checks=(
        equals("steps against the gradient at each point of the path", 2, _descent_path),
        equals("starts the path with x0, also when no step is taken", 1, _no_step),
        leaves_inputs(1, _descent_inputs),
    ),
    misconceptions=(
        _descent_idea(
            "uphill",
            "Your path climbs: step against the gradient.",
            lambda f_grad, x0, lr, steps: gradient_descent(f_grad, x0, -lr, steps),
        ),
        _descent_idea(
            "start-left-out",
            "Your path lacks its start. It has steps + 1 points, and x0 is the first.",
            lambda f_grad, x0, lr, steps: gradient_descent(f_grad, x0, lr, steps + 1)[1:],
        ),
        _descent_idea(
            "one-step-short",
            "Your path has steps points. With x0 in front it needs steps + 1.",
            lambda f_grad, x0, lr, steps: gradient_descent(f_grad, x0, lr, steps)[: max(steps, 0)],
        ),
        _descent_idea(
            "gradient-of-the-start",
            "You follow the gradient at x0 all the way. Ask for it anew at each point.",
            lambda f_grad, x0, lr, steps: np.asarray(x0) - np.arange(steps + 1)[:, None] * lr * np.asarray(f_grad(x0)),
        ),
        _descent_idea(
            "one-array-for-all-points",
            "All points of your path are the same: you store one array and change it. Store a copy of each point.",
            lambda f_grad, x0, lr, steps: np.stack([gradient_descent(f_grad, x0, lr, steps)[-1]] * (steps + 1)),
        ),
        _descent_idea(
            "rate-ignored",
            "You step by the whole gradient. Multiply it by lr.",
            lambda f_grad, x0, lr, steps: gradient_descent(f_grad, x0, 1.0, steps),
        ),
        _descent_idea(
            "gradient-normalised",
            "Your steps all have the length lr. Gradient descent's steps are as long as lr times the gradient.",
            lambda f_grad, x0, lr, steps: gradient_descent(
                lambda x: np.asarray(f_grad(x)) / np.linalg.norm(f_grad(x)), x0, lr, steps
            ),
        ),
    ),
    hints=(
        "How many points does a path of `steps` steps have?",
        "Start a list with a copy of x0; each step adds one point, made from the last.",
        "Next point = last point - lr * f_grad(last point). np.stack turns the list into an array.",
    ),
)

EXERCISES = (
    GRADIENT_DESCENT,
    SGD_MOMENTUM,
    NESTEROV_MOMENTUM,
    ADAGRAD,
    ADADELTA,
    RMSPROP,
    ADAM,
    ADAMAX,
    NADAM,
    ADAMW,
)
