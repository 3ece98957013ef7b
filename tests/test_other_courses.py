"""Files written for CS231n's second assignment, of any year, are graded as they are.

The signatures and what surrounds them (who imports what, what a starter leaves open) are that course's; the code is ours.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from autograder.exercise import Result
from autograder.exercises import COURSE
from autograder.reports import as_text
from autograder.sandbox import Cell
from autograder.submissions import Graded, grade_cells

ROOT = Path(__file__).resolve().parents[1]


def run(**files: str) -> Graded:
    """What `autograder check` makes of these files, by name without ``.py``."""
    return grade_cells([Cell(f"{name}.py", code, "file") for name, code in files.items()])


def results(**files: str) -> dict[str, Result]:
    return {result.exercise: result for result in run(**files).results}


def only(code: str) -> Result:
    (result,) = results(layers=code).values()
    return result


LAYERS = '''
def affine_forward(x, w, b):
    rows = x.reshape(x.shape[0], -1)
    return rows.dot(w) + b, (x, w, b)


def relu_forward(x):
    return np.maximum(0, x), x


def batchnorm_forward(x, gamma, beta, bn_param):
    mode = bn_param['mode']
    eps = bn_param.get('eps', 1e-5)
    momentum = bn_param.get('momentum', 0.9)
    N, D = x.shape
    running_mean = bn_param.get('running_mean', np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get('running_var', np.zeros(D, dtype=x.dtype))
    out, cache = None, None
    if mode == 'train':
        mu = x.sum(axis=0) / N
        centred = x - mu
        var = (centred ** 2).sum(axis=0) / N
        std = np.sqrt(var + eps)
        x_hat = centred / std
        out = gamma * x_hat + beta
        cache = (x_hat, centred, std, gamma)
        running_mean = momentum * running_mean + (1 - momentum) * mu
        running_var = momentum * running_var + (1 - momentum) * var
    elif mode == 'test':
        out = gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta
    else:
        raise ValueError('no such mode: %s' % mode)
    bn_param['running_mean'] = running_mean
    bn_param['running_var'] = running_var
    return out, cache


def batchnorm_backward(dout, cache):
    x_hat, centred, std, gamma = cache
    N = dout.shape[0]
    dbeta = dout.sum(axis=0)
    dgamma = (dout * x_hat).sum(axis=0)
    dx_hat = dout * gamma
    dcentred = dx_hat / std
    dvar = (dx_hat * centred).sum(axis=0) * -0.5 / std ** 3
    dcentred += 2.0 * centred * dvar / N
    dx = dcentred - dcentred.sum(axis=0) / N
    return dx, dgamma, dbeta


def batchnorm_backward_alt(dout, cache):
    x_hat, _, std, gamma = cache
    g = dout * gamma
    dx = (g - g.mean(0) - x_hat * (g * x_hat).mean(0)) / std
    return dx, (dout * x_hat).sum(0), dout.sum(0)


def layernorm_forward(x, gamma, beta, ln_param):
    ln_param['mode'] = 'train'
    ones, zeros = np.ones(x.shape[0]), np.zeros(x.shape[0])
    turned, cache = batchnorm_forward(x.T, ones, zeros, ln_param)
    return gamma * turned.T + beta, (cache, gamma)


def layernorm_backward(dout, cache):
    inner, gamma = cache
    dx, _, _ = batchnorm_backward((dout * gamma).T, inner)
    return dx.T, (dout * inner[0].T).sum(axis=0), dout.sum(axis=0)


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    N, C, H, W = x.shape
    rows = np.moveaxis(x, 1, -1).reshape(-1, C)
    out, cache = batchnorm_forward(rows, gamma, beta, bn_param)
    return np.moveaxis(out.reshape(N, H, W, C), -1, 1), cache


def spatial_batchnorm_backward(dout, cache):
    N, C, H, W = dout.shape
    dx, dgamma, dbeta = batchnorm_backward(np.moveaxis(dout, 1, -1).reshape(-1, C), cache)
    return np.moveaxis(dx.reshape(N, H, W, C), -1, 1), dgamma, dbeta


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    N, C, H, W = x.shape
    eps = gn_param.get('eps', 1e-5)
    x_hat = np.zeros(x.shape)
    stds = []
    for n in range(N):
        for first in range(0, C, C // G):
            part = x[n, first:first + C // G]
            stds.append(np.sqrt(part.var() + eps))
            x_hat[n, first:first + C // G] = (part - part.mean()) / stds[-1]
    return x_hat * gamma + beta, (x_hat, np.array(stds), gamma, G)


def spatial_groupnorm_backward(dout, cache):
    x_hat, stds, gamma, G = cache
    N, C, H, W = dout.shape
    g = (dout * gamma).reshape(N * G, -1)
    h = x_hat.reshape(N * G, -1)
    dx = g - g.mean(axis=1)[:, None] - h * (g * h).mean(axis=1)[:, None]
    dx = (dx / stds[:, None]).reshape(dout.shape)
    axes = (0, 2, 3)
    return dx, (dout * x_hat).sum(axis=axes, keepdims=True), dout.sum(axis=axes, keepdims=True)


def dropout_forward(x, dropout_param):
    p, mode = dropout_param['p'], dropout_param['mode']
    if 'seed' in dropout_param:
        np.random.seed(dropout_param['seed'])
    mask = None
    out = None
    if mode == 'train':
        mask = (np.random.rand(*x.shape) < p) / p
        out = x * mask
    elif mode == 'test':
        out = x
    cache = (dropout_param, mask)
    out = out.astype(x.dtype, copy=False)
    return out, cache


def dropout_backward(dout, cache):
    dropout_param, mask = cache
    return dout * mask if dropout_param['mode'] == 'train' else dout


def conv_forward_naive(x, w, b, conv_param):
    raise NotImplementedError
'''

OPTIM = '''
def sgd(w, dw, config=None):
    if config is None: config = {}
    config.setdefault('learning_rate', 1e-2)
    w -= config['learning_rate'] * dw
    return w, config


def sgd_momentum(w, dw, config=None):
    if config is None: config = {}
    config.setdefault('learning_rate', 1e-2)
    config.setdefault('momentum', 0.9)
    v = config.get('velocity', np.zeros_like(w))
    v = config['momentum'] * v - config['learning_rate'] * dw
    next_w = w + v
    config['velocity'] = v
    return next_w, config


def rmsprop(x, dx, config=None):
    if config is None: config = {}
    config.setdefault('learning_rate', 1e-2)
    config.setdefault('decay_rate', 0.99)
    config.setdefault('epsilon', 1e-8)
    config.setdefault('cache', np.zeros_like(x))
    kept = config['decay_rate']
    config['cache'] = kept * config['cache'] + (1 - kept) * dx ** 2
    next_x = x - config['learning_rate'] * dx / (np.sqrt(config['cache']) + config['epsilon'])
    return next_x, config


def adam(x, dx, config=None):
    if config is None: config = {}
    config.setdefault('learning_rate', 1e-3)
    config.setdefault('beta1', 0.9)
    config.setdefault('beta2', 0.999)
    config.setdefault('epsilon', 1e-8)
    config.setdefault('m', np.zeros_like(x))
    config.setdefault('v', np.zeros_like(x))
    config.setdefault('t', 1)
    config['t'] += 1
    config['m'] = config['beta1'] * config['m'] + (1 - config['beta1']) * dx
    config['v'] = config['beta2'] * config['v'] + (1 - config['beta2']) * dx * dx
    m = config['m'] / (1 - config['beta1'] ** config['t'])
    v = config['v'] / (1 - config['beta2'] ** config['t'])
    return x - config['learning_rate'] * m / (np.sqrt(v) + config['epsilon']), config
'''

LAYER_UTILS = '''
def affine_relu_forward(x, w, b):
    a, fc_cache = affine_forward(x, w, b)
    out, relu_cache = relu_forward(a)
    return out, (fc_cache, relu_cache)


def conv_relu_forward(x, w, b, conv_param):
    a, conv_cache = conv_forward_fast(x, w, b, conv_param)
    return relu_forward(a)
'''

FAST_LAYERS = '''
try:
    from cs231n.im2col_cython import col2im_cython, im2col_cython
    from cs231n.im2col_cython import col2im_6d_cython
except ImportError:
    print('compile the extension first')


def conv_forward_fast(x, w, b, conv_param):
    return im2col_cython(x, w.shape[2], w.shape[3], conv_param['pad'], conv_param['stride'])
'''

FC_NET = '''
class FullyConnectedNet(object):
    def __init__(self, hidden_dims, reg=0.0, weight_scale=1e-2, dtype=np.float32):
        self.params = {}
        self.bn_params = [{'mode': 'train'} for _ in hidden_dims]

    def loss(self, X, y=None):
        out, _ = affine_relu_forward(X, self.params['W1'], self.params['b1'])
        return out
'''

GRADIENT_CHECK = '''
def eval_numerical_gradient_array(f, x, df, h=1e-5):
    grad = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        old = x[index]
        x[index] = old + h
        up = f(x).copy()
        x[index] = old - h
        down = f(x).copy()
        x[index] = old
        grad[index] = np.sum((up - down) * df) / (2 * h)
    return grad
'''

STARS = [
    "batchnorm_forward", "batchnorm_backward", "batchnorm_backward_alt", "spatial_batchnorm_forward",
    "spatial_batchnorm_backward", "layernorm_forward", "layernorm_backward", "spatial_groupnorm_forward",
    "spatial_groupnorm_backward", "sgd_momentum", "rmsprop", "adam", "dropout_forward", "dropout_backward",
]  # fmt: skip
STARS = [name for name in COURSE.exercises if name in STARS]

PACKAGE = {"layer_utils": "from cs231n.layers import *\nfrom cs231n.fast_layers import *\n",
           "fc_net": "from cs231n.layers import *\nfrom cs231n.layer_utils import *\n"}  # fmt: skip
RELATIVE = {"layer_utils": "from .layers import *\nfrom .fast_layers import *\n",
            "fc_net": "from ..layers import *\nfrom ..layer_utils import *\nfrom .. import optim\n"}  # fmt: skip

HEADERS = {
    "2016": ("import numpy as np\n", PACKAGE),
    "2017": ("from builtins import range, object\nfrom past.builtins import xrange\nimport numpy as np\n", PACKAGE),
    "2019": ("from __future__ import print_function, absolute_import\nfrom builtins import range\nimport numpy as np\n",
             RELATIVE),
    "2024": ("import numpy as np\n", RELATIVE),
    "futurized": ("from __future__ import division\nfrom future import standard_library\n"
                  "standard_library.install_aliases()\nfrom past.utils import old_div\nimport numpy as np\n", PACKAGE),
    "an editor's own imports": (
        "from turtle import forward\nfrom re import X\nfrom tkinter import NO\nfrom IPython.core.debugger import set_trace\n"
        "from numpy.lib.shape_base import column_stack\nfrom matplotlib.pyplot import axis\nfrom torch import dropout, rms_norm\n"
        "from numpy import float\nimport ipdb, pdb\nimport cPickle as pickle\nimport numpy as np\n", RELATIVE),
}  # fmt: skip


def submission(style: str) -> dict[str, str]:
    header, imports = HEADERS[style]
    layers, optim = LAYERS, OPTIM
    if style in ("2016", "2017"):
        layers = layers.replace("in range(", "in xrange(")
    if style == "futurized":
        layers = layers.replace("C // G", "old_div(C, G)")
    return {
        "layers": header + layers,
        "optim": header + optim,
        "fast_layers": header + FAST_LAYERS,
        "layer_utils": imports["layer_utils"] + LAYER_UTILS,
        "fc_net": header + imports["fc_net"] + FC_NET,
        "gradient_check": "from random import randrange\n" + header + GRADIENT_CHECK,
    }


# --- right ones ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", HEADERS)
def test_the_files_of_a_year_pass_as_they_are(style: str) -> None:
    found = results(**submission(style))
    assert list(found) == STARS
    assert {name: as_text(result) for name, result in found.items() if result.status != "passed"} == {}


def test_the_command_takes_the_files_where_they_lie(tmp_path: Path) -> None:
    for name, code in submission("2019").items():
        (tmp_path / f"{name}.py").write_text(code)
    (tmp_path / "__init__.py").write_text("")
    command = [sys.executable, "-m", "autograder.cli", "check", *map(str, sorted(tmp_path.glob("*.py"))), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(json.loads(done.stdout)["exercises"]) == STARS


def test_a_submission_of_layers_alone_misses_nothing(tmp_path: Path) -> None:
    found = results(layers=HEADERS["2024"][0] + LAYERS)
    assert {result.status for result in found.values()} == {"passed"} and "adam" not in found


# --- not started --------------------------------------------------------------------------------------------------------

STARTER = {
    "batchnorm_forward": """(x, gamma, beta, bn_param):
    mode = bn_param['mode']
    N, D = x.shape
    running_mean = bn_param.get('running_mean', np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get('running_var', np.zeros(D, dtype=x.dtype))
    out, cache = None, None
    if mode == 'train':
        pass
    elif mode == 'test':
        pass
    else:
        raise ValueError(mode)
    bn_param['running_mean'] = running_mean
    bn_param['running_var'] = running_var
    return out, cache""",
    "batchnorm_backward": "(dout, cache):\n    dx, dgamma, dbeta = None, None, None\n    pass\n    return dx, dgamma, dbeta",
    "batchnorm_backward_alt": "(dout, cache):\n    dx, dgamma, dbeta = None, None, None\n    return dx, dgamma, dbeta",
    "spatial_batchnorm_forward": "(x, gamma, beta, bn_param):\n    out, cache = None, None\n    pass\n    return out, cache",
    "spatial_batchnorm_backward": "(dout, cache):\n    dx, dgamma, dbeta = None, None, None\n    return dx, dgamma, dbeta",
    "layernorm_forward": """(x, gamma, beta, ln_param):
    out, cache = None, None
    eps = ln_param.get('eps', 1e-5)
    return out, cache""",
    "layernorm_backward": "(dout, cache):\n    dx, dgamma, dbeta = None, None, None\n    return dx, dgamma, dbeta",
    "spatial_groupnorm_forward": """(x, gamma, beta, G, gn_param):
    out, cache = None, None
    eps = gn_param.get('eps', 1e-5)
    return out, cache""",
    "spatial_groupnorm_backward": "(dout, cache):\n    dx, dgamma, dbeta = None, None, None\n    return dx, dgamma, dbeta",
    "dropout_forward": """(x, dropout_param):
    p, mode = dropout_param['p'], dropout_param['mode']
    mask = None
    out = None
    if mode == 'train':
        pass
    elif mode == 'test':
        pass
    cache = (dropout_param, mask)
    out = out.astype(x.dtype, copy=False)
    return out, cache""",
    "dropout_backward": """(dout, cache):
    dropout_param, mask = cache
    mode = dropout_param['mode']
    dx = None
    if mode == 'train':
        pass
    elif mode == 'test':
        dx = dout
    return dx""",
    "sgd_momentum": """(w, dw, config=None):
    if config is None: config = {}
    config.setdefault('learning_rate', 1e-2)
    v = config.get('velocity', np.zeros_like(w))
    next_w = None
    config['velocity'] = v
    return next_w, config""",
    "rmsprop": """(w, dw, config=None):
    if config is None: config = {}
    config.setdefault('cache', np.zeros_like(w))
    next_w = None
    return next_w, config""",
    "adam": """(w, dw, config=None):
    if config is None: config = {}
    config.setdefault('t', 0)
    next_w = None
    return next_w, config""",
}


def test_the_starter_files_are_not_started() -> None:
    code = "import numpy as np\n" + "".join(f"\ndef {name}{body}\n" for name, body in STARTER.items())
    found = results(layers=code)
    assert list(found) == STARS
    assert {name: result.status for name, result in found.items()} == dict.fromkeys(STARS, "not_started")
    assert not any(result.points or result.diagnosis for result in found.values())


@pytest.mark.parametrize("name", STARS)
def test_a_stub_among_finished_functions_is_not_started_and_what_needs_it_says_so(name: str) -> None:
    code = "import numpy as np\n" + LAYERS + OPTIM + f"\ndef {name}{STARTER[name]}\n"
    found = results(layers=code)
    assert (found[name].status, found[name].points) == ("not_started", 0)
    others = {other: result for other, result in found.items() if other != name and result.status != "passed"}
    for other, result in others.items():
        assert name.split("_")[-1] in ("forward", "backward") and result.status == "not_started", as_text(result)
        assert result.message.startswith("it needs your ") and result.message.endswith(" first"), other


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("None, None", "out is None: not written yet"),
        ("None, (x, gamma)", "out is None: not written yet"),
        ("None, x", "out is None: not written yet"),
        ("None, {}", "out is None: not written yet"),
        ("None", "it returns None"),
        ("[None, None]", "out is None: not written yet"),
    ],
)
def test_a_forward_without_its_output_is_not_started(returned: str, said: str) -> None:
    result = only(f"def layernorm_forward(x, gamma, beta, ln_param):\n    return {returned}\n")
    assert (result.status, result.points) == ("not_started", 0)
    assert result.message.startswith(said)


def test_a_backward_without_one_of_its_gradients_keeps_the_points_of_the_others() -> None:
    code = "import numpy as np\n" + LAYERS.replace("return dx, dgamma, dbeta\n\n\ndef batchnorm_backward_alt", "return None, None, dbeta\n\n\ndef batchnorm_backward_alt")
    result = results(layers=code)["batchnorm_backward"]
    assert result.status == "failed"
    assert [check.points > 0 for check in result.checks] == [False, False, True, True]
    assert result.checks[0].evidence.message == "dx is None, wanted an array of shape (6, 4)"


def test_results_in_the_wrong_order_are_no_stub() -> None:
    code = "def layernorm_forward(x, gamma, beta, ln_param):\n    out = gamma * (x - x.mean(1)[:, None]) + beta\n    return None, out\n"
    result = only(code)
    assert (result.status, result.message) == ("error", "returned None, then an array; wanted out and cache, in this order")


# --- what cannot run ----------------------------------------------------------------------------------------------------

GONE = {
    "np.float": "write float",
    "np.int": "write int",
    "np.object": "write object",
    "np.complex": "write complex",
    "np.product": "write np.prod",
    "np.cumproduct": "write np.cumprod",
    "np.float_": "write np.float64",
    "np.Inf": "write np.inf",
    "np.alltrue": "write np.all",
    "np.asscalar": "write x.item()",
}


@pytest.mark.parametrize("name", GONE)
def test_a_name_that_numpy_has_no_more_costs_the_functions_that_use_it_only(name: str) -> None:
    code = f"import numpy as np\n{LAYERS}\ndef rmsprop(w, dw, config=None):\n    size = {name}\n    return w, config\n"
    found = results(layers=code)
    broken = found.pop("rmsprop")
    assert {result.status for result in found.values()} == {"passed"}
    assert (broken.status, broken.points) == ("error", 0)
    assert broken.message.startswith(f"AttributeError: {name} is no longer in NumPy: {GONE[name]} (layers.py, line ")
    assert len(broken.message) < 96


def test_a_default_that_numpy_has_no_more_is_the_reason_why_a_function_is_missing() -> None:
    result = only("import numpy as np\n\ndef rmsprop(w, dw, config=None, dtype=np.float):\n    return w, config\n")
    assert result.status == "error"
    assert result.message == "layers.py: line 3: AttributeError: np.float is no longer in NumPy: write float"


def test_a_file_in_python_2_says_so_in_one_line_and_the_others_are_graded() -> None:
    old = "import numpy as np\n\ndef rmsprop(x, dx, config=None):\n    print 'step', x.shape\n    return x, config\n"
    found = results(layers=HEADERS["2016"][0] + LAYERS, optim=old)
    broken = found.pop("rmsprop")
    assert {result.status for result in found.values()} == {"passed"}
    assert broken.message == (
        "optim.py: line 4: this is Python 2, so nothing in it can run (Missing parentheses in call to 'print')"
    )
    text = as_text(broken).splitlines()
    assert len(text) == 4 and not any("✗" in line for line in text)  # title, the reason on two lines, the hint


def test_an_old_except_clause_is_python_2_too() -> None:
    result = only("def rmsprop(x, dx, config=None):\n    try:\n        pass\n    except ValueError, e:\n        pass\n")
    assert "this is Python 2" in result.message


# --- dropout's two conventions ------------------------------------------------------------------------------------------

KEPT = "mask = (np.random.rand(*x.shape) < p) / p"
DROPPED = "mask = (np.random.rand(*x.shape) > p) / (1 - p)"

needs_dropout = pytest.mark.skipif("dropout_forward" not in COURSE.exercises, reason="assignment 07 is not there")


@needs_dropout
def test_the_older_convention_of_dropout_is_named_and_costs_what_it_changes_only() -> None:
    assert KEPT in LAYERS
    found = results(layers="import numpy as np\n" + LAYERS.replace(KEPT, DROPPED))
    forward = found.pop("dropout_forward")
    assert [diagnosis.id for diagnosis in forward.diagnosis] == ["p-is-dropped"]
    assert "probability to DROP" in forward.diagnosis[0].message and "probability to KEEP" in forward.diagnosis[0].message
    assert 0 < forward.points < forward.max_points
    backward = found.pop("dropout_backward")
    assert backward.status == "passed" or backward.diagnosis[0].cause == "dropout_forward", as_text(backward)
    assert {result.status for result in found.values()} == {"passed"}


# --- one mistake that fails several functions ---------------------------------------------------------------------------

ROOT_OF_THE_BATCH = ("std = np.sqrt(var + eps)", "std = np.sqrt(var) + eps")


def test_a_mistake_in_batch_norm_is_named_there_and_nowhere_else() -> None:
    found = results(layers="import numpy as np\n" + LAYERS.replace(*ROOT_OF_THE_BATCH))
    wrong = {name: result for name, result in found.items() if result.status != "passed"}
    assert list(wrong) == [
        "batchnorm_forward", "batchnorm_backward", "batchnorm_backward_alt", "spatial_batchnorm_forward",
        "spatial_batchnorm_backward", "layernorm_forward", "layernorm_backward",
    ]  # fmt: skip
    first = wrong.pop("batchnorm_forward")
    assert [(d.id, d.cause) for d in first.diagnosis] == [("eps-outside-the-root-in-training", "")]
    for name in ("spatial_batchnorm_forward", "spatial_batchnorm_backward", "layernorm_forward"):
        assert [d.cause for d in wrong[name].diagnosis] == ["batchnorm_forward"], name
        assert "mend batchnorm_forward first" in wrong[name].diagnosis[0].message
    text = "\n".join(as_text(result) for result in wrong.values())
    assert "Looks like:" not in text


def test_a_mistake_of_its_own_is_not_blamed_on_the_function_that_it_calls() -> None:
    code = "import numpy as np\n" + LAYERS.replace(*ROOT_OF_THE_BATCH).replace("np.moveaxis(x, 1, -1).reshape(-1, C)", "x.reshape(-1, C)")
    result = results(layers=code)["spatial_batchnorm_forward"]
    assert not any(diagnosis.cause for diagnosis in result.diagnosis)


def test_an_exception_in_the_function_below_sends_there_too() -> None:
    code = "import numpy as np\n" + LAYERS.replace("mu = x.sum(axis=0) / N", "mu = x.sum(axis=0) / M")
    found = results(layers=code)
    assert found["batchnorm_forward"].status == "failed" and found["spatial_batchnorm_forward"].status == "failed"
    assert [d.cause for d in found["spatial_batchnorm_forward"].diagnosis] == ["batchnorm_forward"]
    assert found["layernorm_forward"].status == "error"
    assert [d.cause for d in found["layernorm_forward"].diagnosis] == ["batchnorm_forward"]
