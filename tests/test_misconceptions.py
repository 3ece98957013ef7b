"""What real learners get wrong, most frequent first, as files that they would hand in: the first line that
`autograder check` prints on a mistake names it.

The list was counted on public solutions to a course with the same functions. The functions are written out here, as a
student would write them, so that recognising a mistake does not rest on how the exercise module spells it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from autograder.cli import _print_results, out
from autograder.exercise import Diagnosis
from autograder.exercises import COURSE
from autograder.sandbox import Cell
from autograder.submissions import grade_cells

ROOT = Path(__file__).resolve().parents[1]

# --- right functions, in which one line at a time goes wrong ------------------------------------------------------------

BATCHNORM = """
def batchnorm_forward(x, gamma, beta, bn_param):
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    momentum = bn_param.get("momentum", 0.9)
    D = x.shape[1]
    running_mean = bn_param.get("running_mean", np.zeros(D))
    running_var = bn_param.get("running_var", np.zeros(D))
    cache = None
    if mode == "train":
        mu = np.mean(x, axis=0)
        var = np.mean((x - mu) ** 2, axis=0)
        std = np.sqrt(var + eps)
        x_hat = (x - mu) / std
        out = gamma * x_hat + beta
        running_mean = momentum * running_mean + (1 - momentum) * mu
        running_var = momentum * running_var + (1 - momentum) * var
        cache = x_hat, std, gamma, x - mu
    else:
        x_hat = (x - running_mean) / np.sqrt(running_var + eps)
        out = gamma * x_hat + beta
    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return out, cache
"""

BATCHNORM_BACKWARD = """
def batchnorm_backward(dout, cache):
    x_hat, std, gamma, xmu = cache
    N = len(dout)
    dgamma, dbeta = np.sum(dout * x_hat, axis=0), np.sum(dout, axis=0)
    dx_hat = dout * gamma
    dvar = np.sum(-0.5 * dx_hat * xmu / std ** 3, axis=0)
    dmu = np.sum(-dx_hat / std, axis=0)
    dx = dx_hat / std + dvar * 2 * xmu / N + dmu / N
    return dx, dgamma, dbeta
"""

SPATIAL = """
def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    N, C, H, W = x.shape
    out, cache = batchnorm_forward(x.transpose(0, 2, 3, 1).reshape(N * H * W, C), gamma, beta, bn_param)
    return out.reshape(N, H, W, C).transpose(0, 3, 1, 2), cache
"""

SPATIAL_PER_PIXEL = """
def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    shape = (1,) + x.shape[1:]
    running_mean = bn_param.get("running_mean", np.zeros(shape))
    running_var = bn_param.get("running_var", np.zeros(shape))
    gamma, beta = gamma.reshape(1, -1, 1, 1), beta.reshape(1, -1, 1, 1)
    if bn_param["mode"] == "train":
        mean, var = x.mean(axis=0, keepdims=True), x.var(axis=0, keepdims=True)
        running_mean = momentum * running_mean + (1 - momentum) * mean
        running_var = momentum * running_var + (1 - momentum) * var
        bn_param["running_mean"], bn_param["running_var"] = running_mean, running_var
    else:
        mean, var = running_mean.reshape(1, -1, 1, 1), running_var.reshape(1, -1, 1, 1)
    return gamma * (x - mean) / np.sqrt(var + eps) + beta, None
"""

LAYERNORM = """
def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    mu = x.mean(axis=1).reshape(-1, 1)
    std = np.sqrt(x.var(axis=1).reshape(-1, 1) + eps)
    x_hat = (x - mu) / std
    return gamma * x_hat + beta, (x_hat, std, gamma)


def layernorm_backward(dout, cache):
    x_hat, std, gamma = cache
    N, D = dout.shape
    dgamma = np.sum(dout * x_hat, axis=0)
    dbeta = np.sum(dout, axis=0)
    g = dout * gamma
    rows = np.sum(g, axis=1, keepdims=True)
    weighted = np.sum(g * x_hat, axis=1, keepdims=True)
    dx = (D * g - rows - x_hat * weighted) / (D * std)
    return dx, dgamma, dbeta
"""

GROUPNORM = """
def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    N, C, H, W = x.shape
    eps = gn_param.get("eps", 1e-5)
    groups = x.reshape(N, G, C // G, H, W)
    mean = groups.mean(axis=AXES, keepdims=True)
    std = np.sqrt(groups.var(axis=AXES, keepdims=True) + eps)
    x_hat = ((groups - mean) / std).reshape(x.shape)
    return gamma * x_hat + beta, (x_hat, std, gamma, G)


def spatial_groupnorm_backward(dout, cache):
    x_hat, std, gamma, G = cache
    N, C, H, W = dout.shape
    g = (dout * gamma).reshape(N, G, C // G, H, W)
    h = x_hat.reshape(g.shape)
    dx = (g - g.mean(axis=AXES, keepdims=True) - h * (g * h).mean(axis=AXES, keepdims=True)) / std
    dgamma = np.sum(dout * x_hat, axis=(0, 2, 3), keepdims=True)
    return dx.reshape(dout.shape), dgamma, np.sum(dout, axis=(0, 2, 3), keepdims=True)
"""

MOMENTUM = """
def sgd_momentum(w, dw, config=None):
    if config is None:
        config = {}
    lr = config.setdefault("learning_rate", 1e-2)
    mu = config.setdefault("momentum", 0.9)
    v = config.get("velocity", np.zeros_like(w))
    v = mu * v - lr * dw
    config["velocity"] = v
    return w + v, config
"""

RMSPROP = """
def rmsprop(w, dw, config=None):
    if config is None:
        config = {}
    lr = config.setdefault("learning_rate", 1e-2)
    decay = config.setdefault("decay_rate", 0.99)
    eps = config.setdefault("epsilon", 1e-8)
    cache = config.get("cache", np.zeros_like(w))
    cache = decay * cache + (1 - decay) * dw * dw
    config["cache"] = cache
    next_w = w - lr * dw / (np.sqrt(cache) + eps)
    return next_w, config
"""

ADAM = """
def adam(w, dw, config=None):
    if config is None:
        config = {}
    config.setdefault("learning_rate", 1e-3)
    config.setdefault("beta1", 0.9)
    config.setdefault("beta2", 0.999)
    config.setdefault("epsilon", 1e-8)
    config.setdefault("m", np.zeros_like(w))
    config.setdefault("v", np.zeros_like(w))
    config.setdefault("t", 0)
    lr, b1, b2, eps = (config[key] for key in ("learning_rate", "beta1", "beta2", "epsilon"))
    config["t"] += 1
    t = config["t"]
    m = config["m"] = b1 * config["m"] + (1 - b1) * dw
    v = config["v"] = b2 * config["v"] + (1 - b2) * dw ** 2
    m_hat = m / (1 - b1 ** t)
    v_hat = v / (1 - b2 ** t)
    next_w = w - lr * m_hat / (np.sqrt(v_hat) + eps)
    return next_w, config
"""

DROPOUT = """
def dropout_forward(x, dropout_param):
    p, mode = dropout_param["p"], dropout_param["mode"]
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    mask, out = None, None
    if mode == "train":
        mask = (np.random.rand(*x.shape) < p) / p
        out = x * mask
    elif mode == "test":
        out = x
    cache = (dropout_param, mask)
    out = out.astype(x.dtype, copy=False)
    return out, cache


def dropout_backward(dout, cache):
    dropout_param, mask = cache
    if dropout_param["mode"] == "train":
        dx = dout * mask
    else:
        dx = dout
    return dx
"""


@dataclass(frozen=True)
class Mistake:
    """A file with one mistake: ``base`` with ``changes`` made to it, the function that is wrong and the mistake's id."""

    rank: int
    exercise: str
    id: str
    base: str
    changes: tuple[str, ...] = ()
    """Old and new text in turn; every old text stands in the base."""

    def code(self) -> str:
        code = self.base
        for old, new in zip(self.changes[::2], self.changes[1::2], strict=True):
            assert old in code
            code = code.replace(old, new)
        return f"import numpy as np\n\n{code}"

    def __str__(self) -> str:
        return f"{self.rank}-{self.exercise}-{self.id}"


_MASK = "mask = (np.random.rand(*x.shape) < p) / p\n"
_TEST_ROOT = "np.sqrt(running_var + eps)"
_TRAIN_ROOT = "np.sqrt(var + eps)"
_ADAM_STEP = "m_hat / (np.sqrt(v_hat) + eps)"

MISTAKES = [
    Mistake(1, "dropout_forward", "p-is-dropped", DROPOUT, (_MASK, "mask = (np.random.rand(*x.shape) >= p) / (1 - p)\n")),
    Mistake(2, "batchnorm_forward", "eps-outside-the-root-at-test-time", BATCHNORM,
            (_TEST_ROOT, "(np.sqrt(running_var) + eps)")),
    Mistake(2, "batchnorm_forward", "no-eps-at-test-time", BATCHNORM, (_TEST_ROOT, "np.sqrt(running_var)")),
    Mistake(2, "batchnorm_forward", "not-scaled-at-test-time", BATCHNORM,
            ("        out = gamma * x_hat + beta\n    bn_param", "        out = x_hat\n    bn_param")),
    Mistake(3, "dropout_forward", "not-scaled", DROPOUT, (_MASK, "mask = np.random.rand(*x.shape) < p\n")),
    Mistake(3, "dropout_forward", "scaled-at-test-time-instead", DROPOUT,
            (_MASK, "mask = np.random.rand(*x.shape) < p\n", "        out = x\n", "        out = x * p\n")),
    Mistake(4, "rmsprop", "epsilon-inside-the-root", RMSPROP, ("(np.sqrt(cache) + eps)", "np.sqrt(cache + eps)")),
    Mistake(5, "adam", "no-bias-correction", ADAM, (_ADAM_STEP, "m / (np.sqrt(v) + eps)")),
    Mistake(6, "dropout_forward", "normal-numbers", DROPOUT, ("np.random.rand(", "np.random.randn(")),
    Mistake(7, "dropout_forward", "two-axes-only", DROPOUT,
            (_MASK, "N, D = x.shape\n        mask = (np.random.rand(N, D) < p) / p\n")),
    Mistake(7, "dropout_forward", "two-axes-only", DROPOUT,
            (_MASK, "mask = (np.random.rand(x.shape[0], x.shape[1]) < p) / p\n")),
    Mistake(8, "adam", "step-not-counted", ADAM,
            ('    config["t"] += 1\n', "", 't = config["t"]', 't = config["t"] + 1')),
    Mistake(9, "spatial_groupnorm_forward", "over-the-channels-per-pixel", GROUPNORM.split("\n\n\n")[0], ("AXES", "2")),
    Mistake(10, "spatial_groupnorm_forward", "over-the-channels-per-pixel", GROUPNORM, ("AXES", "2")),
    Mistake(10, "spatial_groupnorm_forward", "over-the-batch-too", GROUPNORM, ("AXES", "(0, 2, 3, 4)")),
    Mistake(10, "layernorm_forward", "over-the-batch", LAYERNORM,
            ("axis=1).reshape(-1, 1)", "axis=0)", "axis=1, keepdims=True", "axis=0, keepdims=True",
             "D * g", "N * g", "D * std", "N * std")),
    Mistake(11, "adam", "epsilon-scaled-by-the-correction", ADAM,
            (_ADAM_STEP, "np.sqrt(1 - b2 ** t) / (1 - b1 ** t) * m / (np.sqrt(v) + eps)")),
    Mistake(12, "batchnorm_forward", "running-variance-with-eps", BATCHNORM,
            ("var = np.mean((x - mu) ** 2, axis=0)", "var = np.mean((x - mu) ** 2, axis=0) + eps", _TRAIN_ROOT, "np.sqrt(var)")),
    Mistake(13, "adam", "epsilon-inside-the-root", ADAM, (_ADAM_STEP, "m_hat / np.sqrt(v_hat + eps)")),
    Mistake(14, "dropout_forward", "scaled-by-one-minus-p", DROPOUT, (_MASK, _MASK.replace("/ p", "/ (1 - p)"))),
    Mistake(15, "spatial_batchnorm_forward", "over-the-batch-axis-only", SPATIAL_PER_PIXEL),
    Mistake(16, "layernorm_backward", "gamma-pulled-out-of-the-sums", LAYERNORM,
            ("g = dout * gamma", "g = dout", "/ (D * std)", "* gamma / (D * std)")),
    Mistake(17, "batchnorm_forward", "no-eps-in-training", BATCHNORM, (_TRAIN_ROOT, "np.sqrt(var)")),
    Mistake(18, "adam", "correction-without-exponent", ADAM, ("b1 ** t", "b1", "b2 ** t", "b2")),
    Mistake(19, "dropout_forward", "one-mask-for-all-rows", DROPOUT, ("rand(*x.shape)", "rand(*x.shape[1:])")),
    Mistake(19, "dropout_forward", "one-mask-for-all-columns", DROPOUT,
            ("rand(*x.shape)", "rand(x.shape[0], *[1] * (x.ndim - 1))")),
    Mistake(20, "rmsprop", "state-not-stored", RMSPROP, ('    config["cache"] = cache\n', "")),
    Mistake(20, "sgd_momentum", "state-not-stored", MOMENTUM, ('    config["velocity"] = v\n', "")),
    Mistake(21, "dropout_backward", "divided-by-p-again", DROPOUT, ("dx = dout * mask", 'dx = dout * mask / dropout_param["p"]')),
    Mistake(22, "layernorm_backward", "divided-by-N", LAYERNORM,
            ("(D * g - rows - x_hat * weighted) / (D * std)", "(N * g - rows - x_hat * weighted) / (N * std)")),
    Mistake(23, "layernorm_backward", "dgamma-summed-over-features", LAYERNORM,
            ("dgamma = np.sum(dout * x_hat, axis=0)", "dgamma = np.sum(dout * x_hat, axis=1)")),
    Mistake(23, "layernorm_backward", "parameters-summed-over-features", LAYERNORM,
            ("dgamma = np.sum(dout * x_hat, axis=0)", "dgamma = np.sum(dout * x_hat, axis=1)",
             "dbeta = np.sum(dout, axis=0)", "dbeta = np.sum(dout, axis=1)")),
    Mistake(24, "adam", "learning-rate-hard-coded", ADAM, ("w - lr *", "w - 1e-3 *")),
    Mistake(24, "rmsprop", "learning-rate-hard-coded", RMSPROP,
            ('config.setdefault("learning_rate", 1e-2)', '1e-2')),
    Mistake(24, "rmsprop", "epsilon-hard-coded", RMSPROP, ('config.setdefault("epsilon", 1e-8)', "1e-8")),
    Mistake(24, "batchnorm_forward", "eps-hard-coded", BATCHNORM, ('bn_param.get("eps", 1e-5)', "1e-5")),
    Mistake(24, "batchnorm_forward", "momentum-hard-coded", BATCHNORM, ('bn_param.get("momentum", 0.9)', "0.9")),
    Mistake(25, "batchnorm_forward", "running-statistics-not-stored", BATCHNORM,
            ('    bn_param["running_mean"] = running_mean\n    bn_param["running_var"] = running_var\n', "")),
    Mistake(25, "batchnorm_forward", "running-statistics-are-the-last-batch", BATCHNORM,
            ("momentum * running_mean + (1 - momentum) * mu", "mu",
             "momentum * running_var + (1 - momentum) * var", "var")),
    Mistake(26, "batchnorm_backward", "variance-path-dropped", BATCHNORM + BATCHNORM_BACKWARD,
            (" + dvar * 2 * xmu / N", "")),
    Mistake(26, "batchnorm_backward", "eps-forgotten", BATCHNORM + BATCHNORM_BACKWARD,
            ("cache = x_hat, std, gamma, x - mu", "cache = x_hat, np.sqrt(var), gamma, x - mu",
             "    dvar =", "    right = np.sum(dx_hat * x_hat, axis=0)\n    dvar =",
             "dx = dx_hat / std + dvar * 2 * xmu / N + dmu / N", "dx = (dx_hat - dx_hat.mean(0) - x_hat * right / N) / std")),
    Mistake(27, "adam", "config-none-not-supported", ADAM, ("    if config is None:\n        config = {}\n", "")),
    Mistake(27, "sgd_momentum", "config-none-not-supported", MOMENTUM, ("    if config is None:\n        config = {}\n", "")),
]  # fmt: skip

FOUND = [mistake for mistake in MISTAKES if mistake.exercise in COURSE.exercises]
KNOWN = {(name, idea.id): idea.message for name, exercise in COURSE.exercises.items() for idea in exercise.misconceptions}


def printed(code: str) -> tuple[str, dict[str, tuple[Diagnosis, ...]]]:
    """What the command prints on a file, on lines of any length, and the diagnoses of each function."""
    graded = grade_cells([Cell("layers.py", code, "file")])
    with out.capture() as captured:
        _print_results(graded.results)
    joined = re.sub(r"\n   (?=\S)", " ", captured.get())
    return joined, {result.exercise: result.diagnosis for result in graded.results}


def first_named(text: str) -> str:
    return next((line for line in text.splitlines() if line.startswith(" Looks like: ")), "").removeprefix(" Looks like: ")


@pytest.mark.parametrize("base", [BATCHNORM + BATCHNORM_BACKWARD + SPATIAL, LAYERNORM, GROUPNORM.replace("AXES", "(2, 3, 4)"),
                                  MOMENTUM, RMSPROP, ADAM, DROPOUT], ids=lambda base: base.split("(")[0][5:])  # fmt: skip
def test_the_file_is_right_before_the_mistake_is_made(base: str) -> None:
    text, found = printed(f"import numpy as np\n\n{base}")
    assert found.keys() <= set(COURSE.exercises) and not any(found.values())
    assert "✗" not in text


def waiting(mistake: Mistake) -> list[pytest.MarkDecorator]:
    """A mark on a mistake that its exercise does not list yet."""
    known = (mistake.exercise, mistake.id) in KNOWN
    return [] if known else [pytest.mark.xfail(strict=True, reason=f"{mistake.exercise} does not list {mistake.id} yet")]


@pytest.mark.parametrize("mistake", [pytest.param(m, id=str(m), marks=waiting(m)) for m in FOUND])
def test_the_first_line_that_looks_like_something_names_the_mistake(mistake: Mistake) -> None:
    text, found = printed(mistake.code())
    assert [diagnosis.id for diagnosis in found[mistake.exercise]] == [mistake.id]
    assert first_named(text) == KNOWN[mistake.exercise, mistake.id]
    assert text.count(" Looks like: ") == 1, "one mistake is named once"


def test_all_of_the_list_is_here() -> None:
    assert {mistake.rank for mistake in MISTAKES} == set(range(1, 28))


@pytest.mark.parametrize("mistake", [mistake for mistake in FOUND if mistake.rank == 10], ids=str)
def test_a_gradient_of_a_wrong_forward_is_told_what_it_is_and_where_to_begin(mistake: Mistake) -> None:
    _, found = printed(mistake.code())
    backward = found[mistake.exercise.replace("forward", "backward")]
    assert [(diagnosis.id, diagnosis.cause) for diagnosis in backward] == [
        ("gradient-of-a-wrong-forward", mistake.exercise)
    ]


def test_the_command_itself_says_the_same(tmp_path: Path) -> None:
    mistake = next(mistake for mistake in FOUND if mistake.rank == 5)
    (tmp_path / "optim.py").write_text(mistake.code())
    command = [sys.executable, "-m", "autograder.cli", "check", str(tmp_path / "optim.py")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert first_named(re.sub(r"\n   (?=\S)", " ", done.stdout)) == KNOWN["adam", "no-bias-correction"]
