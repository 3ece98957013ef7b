# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03 · First-order optimizers
#
# **After this notebook you can write every update rule from SGD to AdamW, say which trouble each one was made for, and
# choose between them from measurements of your own.**
#
# *About two and a half hours. You need: gradients, running averages, notebook 00. Notebooks 01 and 02 are not needed.*

# %% setup=true
import base64
import io

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML, display
from PIL import Image

from autograder import check, hint, yours
from nnlab import digits, mlp, optimizers, standard_error, sweep, train
from nnlab.experiments import record, seeds
from nnlab.palette import COLOURS, GREY
from nnlab.plots import curves_with_errors, use_style

use_style()

# %% [markdown]
# ## The idea
#
# Training a network means walking downhill on its loss. The gradient says which way is up, so plain gradient descent
# steps the other way: $w \leftarrow w - \eta\, g$, with a fixed rate $\eta$. (With the gradient of a mini-batch it is
# called stochastic gradient descent, SGD.) That is nearly right. Three things go wrong with it:
#
# 1. **The bowl is not round.** If the loss bends a hundred times more strongly in one direction than in another, the rate
#    must be small enough for the steep direction, and is then far too small for the flat one. The path zigzags across the
#    valley and creeps along it. The ratio of the strongest to the weakest curvature is called the *condition number*.
# 2. **The ground is flat where it should not be.** At a saddle point the gradient is zero although the loss falls off on
#    two sides; on a plateau it is tiny over a long distance. A step proportional to the gradient hardly moves there.
# 3. **The gradient is noisy.** A mini-batch gives the true gradient plus an error. With a fixed rate the path arrives
#    near the minimum and keeps jumping about.
#
# The picture shows plain gradient descent with each trouble alone.

# %% experiment=true
STEEP = 20.0  # the bowl's condition number


def bowl(p):
    return 0.5 * (p[..., 0] ** 2 + STEEP * p[..., 1] ** 2)


def bowl_gradient(p):
    return p * np.array([1.0, STEEP])


def saddle(p):
    """A valley along the first axis; along the second a hilltop at 0 between two minima at -1 and 1."""
    return 0.5 * p[..., 0] ** 2 + 0.25 * (p[..., 1] ** 2 - 1) ** 2


def saddle_gradient(p):
    return np.stack([p[..., 0], p[..., 1] ** 3 - p[..., 1]], axis=-1)


def round_bowl(p):
    return 0.5 * (p[..., 0] ** 2 + 2 * p[..., 1] ** 2)


def noisy_gradient(rng, size=1.5):
    """The gradient of the round bowl, with an error of the given standard deviation in each coordinate."""
    return lambda p: p * np.array([1.0, 2.0]) + size * rng.standard_normal(p.shape)


SURFACES = {  # name: (loss, gradient for a random generator, start, half-widths of the picture)
    "a bowl that is not round": (bowl, lambda rng: bowl_gradient, [-2.8, 0.9], (3.2, 1.5)),
    "a saddle": (saddle, lambda rng: saddle_gradient, [-1.8, 1e-3], (2.2, 1.5)),
    "a noisy bowl": (round_bowl, noisy_gradient, [-2.5, 1.0], (3.2, 1.5)),
}


def draw_surface(ax, name):
    loss, _, start, (wide, high) = SURFACES[name]
    x, y = np.meshgrid(np.linspace(-wide, wide, 120), np.linspace(-high, high, 120))
    heights = loss(np.stack([x, y], axis=-1))
    ax.contour(x, y, np.sqrt(heights), levels=7, colors="#c9cfd6", linewidths=0.8)
    ax.plot(*start, "o", color="black", ms=4)
    for goal in ([0, 1], [0, -1]) if name == "a saddle" else ([0, 0],):
        ax.plot(*goal, "*", color="black", ms=9)
    ax.set(title=name, xlim=(-wide, wide), ylim=(-high, high), xticks=[], yticks=[])
    ax.grid(False)


fig, axes = plt.subplots(1, 3, figsize=(11, 3.1))
for ax, name, rate, steps in zip(axes, SURFACES, (0.094, 0.25, 0.25), (40, 40, 60), strict=True):
    draw_surface(ax, name)
    path = optimizers.gradient_descent(SURFACES[name][1](np.random.default_rng(0)), SURFACES[name][2], rate, steps)
    ax.plot(*path.T, "o-", color=COLOURS[1], ms=3, lw=1.2)
    ax.set_xlabel(f"{steps} steps at rate {rate:g}")
plt.show()

# %% [markdown]
# (Black dot: start. Star: minimum.) Two ideas mend these troubles, alone or together.
#
# **Momentum: remember where you were going.** Add up the gradients of the past, with weights that fade. What points to
# alternating sides, as in the zigzag, cancels; what always points the same way, as along the valley, adds up. On flat
# ground the old velocity carries on. Momentum and Nesterov's form of it are built on this.
#
# **A rate for each coordinate.** Keep track of how large each coordinate's gradient usually is and divide by it. Steep
# coordinates get shorter steps and flat ones longer steps. AdaGrad, RMSProp and AdaDelta do this; Adam and its relatives
# do both.
#
# Mind what the second idea does *not* know: it looks at the coordinates one by one. If the valley does not run along a
# coordinate axis, no rate per coordinate can make it round. Experiment A measures how much is lost.

# %% [markdown]
# ## Convention card
#
# Every rule of this notebook is a function `(w, dw, config=None) -> (next_w, config)`. `w` and `dw` have the same
# shape, and so has every array that the rule remembers; all operations are entry by entry. `config` holds the settings
# and the memory.
#
# | | this course | PyTorch (`torch.optim`) | paper |
# | --- | --- | --- | --- |
# | momentum | $v \leftarrow \mu v - \eta g$; $w + v$: the rate is in the velocity | $b \leftarrow \mu b + g$; $w - \eta b$: the rate is outside. The same path while $\eta$ is constant; after a change of rate, ours carries the old rate on for a while | Polyak 1964: as ours |
# | Nesterov | the parameters are the looked-ahead point: $w - \mu v_{\text{old}} + (1 + \mu)\, v_{\text{new}}$ | $w - \eta\,(g + \mu b_{\text{new}})$: the same path at constant $\eta$ | Nesterov 1983, Sutskever et al. 2013: gradient at $w + \mu v$ |
# | AdaGrad | $\sqrt{c} + \varepsilon$, $10^{-8}$ | the same, $10^{-10}$ | Duchi et al. 2011: $\delta$ outside the root |
# | AdaDelta | $\varepsilon$ inside both roots, $10^{-6}$; $\rho = 0.95$ | inside, $10^{-6}$; $\rho = 0.9$ | Zeiler 2012: inside; no rate |
# | RMSProp | $\sqrt{c} + \varepsilon$; `decay_rate` 0.99 | outside; the same number is called `alpha`, 0.99 | Hinton's lecture 2012: 0.9 |
# | Adam | $\sqrt{\hat v} + \varepsilon$, $10^{-8}$ | the same | Kingma & Ba 2015: the same; their faster form has another $\varepsilon$ |
# | AdaMax | $\max(\beta_2 u, \lvert g\rvert)$, then $+\,\varepsilon$; rate 0.001 | $\max(\beta_2 u, \lvert g\rvert + \varepsilon)$; rate 0.002 | no $\varepsilon$; rate 0.002 |
# | NAdam | $\beta_1$ is constant; rate 0.001 | $\beta_1$ grows by a schedule (`momentum_decay`); rate 0.002 | Dozat 2016: a schedule |
# | AdamW | $w - \eta\,(\dots + \lambda w)$ | the same, `weight_decay` 0.01 | Loshchilov & Hutter 2019: decay times the schedule's factor only, not times $\eta$ |
# | first step | `t` is 0 in an empty config and is incremented before it is used: the first step has $t = 1$ | the same | the same |

# %% [markdown]
# ## 1 · Gradient descent
#
# **It computes** the whole path of plain gradient descent, so that we can draw it. With $x_t$ of shape $(D,)$:
#
# $$ x_{t+1} = x_t - \eta\, \nabla f(x_t), \qquad t = 0, 1, \dots, \texttt{steps} - 1 $$
#
# The path has shape $(\texttt{steps} + 1, D)$; its first row is $x_0$.

# %% exercise="gradient_descent"
def gradient_descent(f_grad, x0, lr, steps):
    """The path of plain gradient descent.

    Inputs:
    - f_grad: a function from a point (D,) to the gradient there (D,)
    - x0: array (D,), the start; it stays as it was
    - lr: the learning rate
    - steps: how many steps to take, 0 or more

    Returns an array (steps + 1, D): the start and the point after each step.
    """
    ### BEGIN SOLUTION
    x = np.array(x0, dtype=float)
    path = [x]
    for _ in range(steps):
        x = x - lr * f_grad(x)
        path.append(x)
    return np.array(path)
    ### END SOLUTION


# %% check="gradient_descent" points=4

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* With three steps, how many points are there to draw?
# 2. *A pointer.* The gradient changes along the way: ask for it at every point. If all rows of your path are equal, you
#    stored one array many times and changed it in place.
# 3. *An outline.* Begin a list with the start. In each round make a new array from the last point and the gradient there,
#    and add it to the list. At the end turn the list into one array.
#
# </details>

# %% [markdown]
# ## 2 · SGD with momentum
#
# **It computes** a step that is a fading sum of all steps so far: the gradient changes the velocity, the velocity
# changes the parameters. $w$, $g$ (`dw`) and $v$ (`velocity`) have the same shape; $\mu$ is `momentum`, $\eta$ is
# `learning_rate`.
#
# $$ v \leftarrow \mu\, v - \eta\, g \qquad\qquad w \leftarrow w + v $$
#
# **How much faster?** If the gradient stays the same, $v$ settles where $v = \mu v - \eta g$, at
# $v = -\dfrac{\eta}{1 - \mu}\, g$. With $\mu = 0.9$ that is ten times plain SGD's step.

# %% exercise="sgd_momentum"
def sgd_momentum(w, dw, config=None):
    """One step of gradient descent with momentum.

    Inputs:
    - w: array of any shape, the parameters
    - dw: array of that shape, the gradient of the loss with respect to w; it stays as it was
    - config: dict or None (an empty one); a missing key has the value in brackets
      - learning_rate (1e-2)
      - momentum: the share of the velocity that is kept (0.9)
      - velocity: array of the shape of w (zeros); updated and written back

    Returns:
    - next_w: array of the shape of w
    - config: the dict for the next step
    """
    ### BEGIN SOLUTION
    config = {} if config is None else config
    rate = config.setdefault("learning_rate", 1e-2)
    mu = config.setdefault("momentum", 0.9)
    old = config.setdefault("velocity", np.zeros_like(w))
    config["velocity"] = mu * old - rate * dw
    return w + config["velocity"], config
    ### END SOLUTION


# %% check="sgd_momentum" points=7

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* Where is the velocity between two calls of your function? It cannot be in a local variable.
# 2. *A pointer.* `config.setdefault(key, value)` fills in what is missing and gives back what is there. Do that for the two
#    settings and for the velocity.
# 3. *An outline.* An empty dict for None; the settings; the new velocity from the old one and the gradient; store it under
#    its key; return the parameters plus the new velocity, and the dict.
#
# </details>

# %% [markdown]
# ## 3 · Nesterov momentum
#
# **It computes** a momentum step whose gradient was taken where the velocity is about to lead, not where we stand. If the
# velocity overshoots, the gradient over there already points back.
#
# In its first form, with $\theta$ the parameters, all of one shape:
#
# $$ v' = \mu v - \eta\, \nabla f(\theta + \mu v) \qquad\qquad \theta' = \theta + v' $$
#
# That is awkward: a training loop gives us the gradient at the parameters it knows. So we let it know the looked-ahead
# point, $w = \theta + \mu v$, and write the step in terms of $w$. With $g = \nabla f(w)$ and $w' = \theta' + \mu v'$:
#
# $$ v' = \mu v - \eta\, g \qquad\qquad w' = (w - \mu v) + v' + \mu v' = w - \mu v + (1 + \mu)\, v' $$
#
# Read it: go back from the looked-ahead point, step by the new velocity, look ahead again.

# %% exercise="nesterov_momentum"
def nesterov_momentum(w, dw, config=None):
    """One step of Nesterov momentum, for the parameters that have looked ahead.

    Inputs:
    - w: array of any shape, the looked-ahead parameters
    - dw: array of that shape, the gradient at w; it stays as it was
    - config: dict or None (an empty one); a missing key has the value in brackets
      - learning_rate (1e-2)
      - momentum: the share of the velocity that is kept (0.9)
      - velocity: array of the shape of w (zeros); updated and written back

    Returns:
    - next_w: array of the shape of w
    - config: the dict for the next step
    """
    ### BEGIN SOLUTION
    config = {} if config is None else config
    rate = config.setdefault("learning_rate", 1e-2)
    mu = config.setdefault("momentum", 0.9)
    before = config.setdefault("velocity", np.zeros_like(w))
    after = mu * before - rate * dw
    config["velocity"] = after
    return (w - mu * before) + after + mu * after, config
    ### END SOLUTION


# %% check="nesterov_momentum" points=7

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* Two velocities stand in the formula. Which of them do you lose first if you are not careful?
# 2. *A pointer.* The velocity itself is updated as in section 2. Give the old and the new one different names.
# 3. *An outline.* Settings; the new velocity; store it; then the last line of the formula, with three summands.
#
# </details>

# %% [markdown]
# ## 4 · AdaGrad
#
# **It computes** for each coordinate a step divided by the root of the sum of all its squared gradients so far. All
# arrays have the shape of $w$; $c$ is `cache`.
#
# $$ c \leftarrow c + g^2 \qquad\qquad w \leftarrow w - \eta\, \frac{g}{\sqrt{c} + \varepsilon} $$
#
# In the first step $g / \sqrt{g^2} = \pm 1$: every coordinate moves by $\eta$, however large or small its gradient.
# Only $\varepsilon$, which guards against $0/0$, spoils that a little. Multiply the loss by 1000, and the path stays
# the same.

# %% exercise="adagrad"
def adagrad(w, dw, config=None):
    """One step of AdaGrad.

    Inputs:
    - w: array of any shape, the parameters
    - dw: array of that shape, the gradient; it stays as it was
    - config: dict or None (an empty one); a missing key has the value in brackets
      - learning_rate (1e-2)
      - epsilon: added to the root, not inside it (1e-8)
      - cache: array of the shape of w, the sum of the squared gradients (zeros); updated and written back

    Returns:
    - next_w: array of the shape of w
    - config: the dict for the next step
    """
    ### BEGIN SOLUTION
    config = {} if config is None else config
    rate = config.setdefault("learning_rate", 1e-2)
    epsilon = config.setdefault("epsilon", 1e-8)
    total = config.setdefault("cache", np.zeros_like(w)) + np.square(dw)
    config["cache"] = total
    return w - rate * dw / (np.sqrt(total) + epsilon), config
    ### END SOLUTION


# %% check="adagrad" points=8

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* What would happen to a coordinate whose gradient was 0 in every step so far?
# 2. *A pointer.* The squares of this step belong to the sum already when you divide by its root.
# 3. *An outline.* Settings; the old sum plus the squares; store it; divide the gradient by the root with epsilon beside it;
#    step against it by the rate.
#
# </details>

# %% [markdown]
# ## 5 · AdaDelta
#
# AdaGrad's sum only grows, so its steps only shrink. AdaDelta and RMSProp replace the sum by a running average, which
# forgets. AdaDelta mends a second flaw: **units**. If $w$ is measured in metres, a gradient is in "loss per metre", and a
# rate must be found that turns one into the other. Instead let the past *steps*, which are in metres, set the scale.
#
# **It computes** the gradient times a ratio: the root mean square of the recent steps over that of the recent
# gradients. All arrays have the shape of $w$; $c$ is `cache`, $\Delta$ is `delta`.
#
# $$
# c \leftarrow \rho\, c + (1 - \rho)\, g^2 \qquad
# d = \frac{\sqrt{\Delta + \varepsilon}}{\sqrt{c + \varepsilon}}\; g \qquad
# \Delta \leftarrow \rho\, \Delta + (1 - \rho)\, d^2 \qquad
# w \leftarrow w - \eta\, d
# $$
#
# The paper has no rate: $\eta = 1$. At the start $\Delta = 0$, and only $\varepsilon$ in the numerator sets things
# moving. That is why it must stand inside the root here, and why it matters more than in the other rules.

# %% exercise="adadelta"
def adadelta(w, dw, config=None):
    """One step of AdaDelta.

    Inputs:
    - w: array of any shape, the parameters
    - dw: array of that shape, the gradient; it stays as it was
    - config: dict or None (an empty one); a missing key has the value in brackets
      - learning_rate (1.0)
      - rho: the weight of the old averages (0.95)
      - epsilon: added inside both roots (1e-6)
      - cache: array of the shape of w, running average of the squared gradients (zeros); updated and written back
      - delta: array of the shape of w, running average of the squared steps d, without the rate (zeros); likewise

    Returns:
    - next_w: array of the shape of w
    - config: the dict for the next step
    """
    ### BEGIN SOLUTION
    config = {} if config is None else config
    rate = config.setdefault("learning_rate", 1.0)
    rho = config.setdefault("rho", 0.95)
    epsilon = config.setdefault("epsilon", 1e-6)
    gradients = config.setdefault("cache", np.zeros_like(w))
    steps = config.setdefault("delta", np.zeros_like(w))

    gradients = rho * gradients + (1 - rho) * np.square(dw)
    d = dw * np.sqrt(steps + epsilon) / np.sqrt(gradients + epsilon)
    config["cache"] = gradients
    config["delta"] = rho * steps + (1 - rho) * np.square(d)
    return w - rate * d, config
    ### END SOLUTION


# %% check="adadelta" points=8

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* The step $d$ needs an average of steps. Can $d$ itself be in that average already?
# 2. *A pointer.* Of the two averages one is updated before $d$ is made, the other after. The rate stays out of both.
# 3. *An outline.* Settings and two memories; new average of squared gradients; the ratio of the two roots, times the
#    gradient; new average of squared steps; store both; step by rate times $d$.
#
# </details>

# %% [markdown]
# ## 6 · RMSProp
#
# **It computes** AdaGrad's step with a running average in place of the sum. All arrays have the shape of $w$; $c$ is
# `cache`, $\delta$ is `decay_rate`.
#
# $$ c \leftarrow \delta\, c + (1 - \delta)\, g^2 \qquad\qquad w \leftarrow w - \eta\, \frac{g}{\sqrt{c} + \varepsilon} $$
#
# The average remembers about $1 / (1 - \delta)$ steps: 100 with the default. It starts at zero, so the first steps are
# too long: in step 1 the cache is $(1 - \delta)\, g^2$, and the step has the size
# $\eta / \sqrt{1 - \delta} = 10\, \eta$.

# %% exercise="rmsprop"
def rmsprop(w, dw, config=None):
    """One step of RMSProp.

    Inputs:
    - w: array of any shape, the parameters
    - dw: array of that shape, the gradient; it stays as it was
    - config: dict or None (an empty one); a missing key has the value in brackets
      - learning_rate (1e-2)
      - decay_rate: the weight of the old average (0.99)
      - epsilon: added to the root, not inside it (1e-8)
      - cache: array of the shape of w, running average of the squared gradients (zeros); updated and written back

    Returns:
    - next_w: array of the shape of w
    - config: the dict for the next step
    """
    ### BEGIN SOLUTION
    config = {} if config is None else config
    rate = config.setdefault("learning_rate", 1e-2)
    decay = config.setdefault("decay_rate", 0.99)
    epsilon = config.setdefault("epsilon", 1e-8)
    average = decay * config.setdefault("cache", np.zeros_like(w)) + (1 - decay) * np.square(dw)
    config["cache"] = average
    return w - rate * dw / (np.sqrt(average) + epsilon), config
    ### END SOLUTION


# %% check="rmsprop" points=8

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* Which line of your AdaGrad lets the sum only grow?
# 2. *A pointer.* In a running average two weights add up to 1. The old value has the large one.
# 3. *An outline.* As AdaGrad, with one more setting and the weighted sum of the old cache and the new squares.
#
# </details>

# %% [markdown]
# ## 7 · Adam
#
# **It computes** momentum and RMSProp at once: an average of the gradients, divided by the root of an average of their
# squares, both corrected for their start at zero. All arrays have the shape of $w$; $t$ counts the steps from 1.
#
# $$
# m \leftarrow \beta_1 m + (1 - \beta_1)\, g \qquad v \leftarrow \beta_2 v + (1 - \beta_2)\, g^2 \qquad
# \hat m = \frac{m}{1 - \beta_1^t} \qquad \hat v = \frac{v}{1 - \beta_2^t} \qquad
# w \leftarrow w - \eta\, \frac{\hat m}{\sqrt{\hat v} + \varepsilon}
# $$
#
# **Why the correction?** After $t$ steps $m$ is the sum of $(1 - \beta_1)\, \beta_1^{t-i} g_i$ over $i = 1 \dots t$.
# The weights add up to $1 - \beta_1^t$, not to 1: the average is too small by just that factor. With $\beta_1 = 0.9$
# that is over after some 50 steps, with $\beta_2 = 0.999$ only after some thousands. Experiment D shows what happens
# without it. Since $|\hat m|$ is mostly no larger than $\sqrt{\hat v}$, a coordinate moves by about $\eta$ at most,
# mostly by less.

# %% exercise="adam"
def adam(w, dw, config=None):
    """One step of Adam.

    Inputs:
    - w: array of any shape, the parameters
    - dw: array of that shape, the gradient; it stays as it was
    - config: dict or None (an empty one); a missing key has the value in brackets
      - learning_rate (1e-3)
      - beta1, beta2: the weights of the old averages of the gradient and of its square (0.9, 0.999)
      - epsilon: added to the corrected root, not inside it (1e-8)
      - m, v: arrays of the shape of w, the two averages, not corrected (zeros); updated and written back
      - t: the number of steps taken (0); incremented before it is used, and written back

    Returns:
    - next_w: array of the shape of w
    - config: the dict for the next step
    """
    ### BEGIN SOLUTION
    config = {} if config is None else config
    rate = config.setdefault("learning_rate", 1e-3)
    beta1, beta2 = config.setdefault("beta1", 0.9), config.setdefault("beta2", 0.999)
    epsilon = config.setdefault("epsilon", 1e-8)

    t = config["t"] = config.get("t", 0) + 1
    m = config["m"] = beta1 * config.get("m", np.zeros_like(w)) + (1 - beta1) * dw
    v = config["v"] = beta2 * config.get("v", np.zeros_like(w)) + (1 - beta2) * np.square(dw)
    unbiased_m = m / (1 - beta1**t)
    unbiased_v = v / (1 - beta2**t)
    return w - rate * unbiased_m / (np.sqrt(unbiased_v) + epsilon), config
    ### END SOLUTION


# %% check="adam" points=10

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* Three things must survive until the next call. Which? And which two are good for this step only?
# 2. *A pointer.* Increment `t` first. The exponent is `t`, so both corrections fade. Never store a corrected average: the
#    next step would correct it again.
# 3. *An outline.* Settings; t plus one; both averages, stored as they are; both quotients, under other names; the step.
#
# </details>

# %% [markdown]
# **What the division does: the effective step.** Three coordinates, whose gradients have the sizes 100, 1 and 0.01 and
# 30% noise. After 300 steps all gradients become a hundred times smaller, as when training gets to flatter ground. We
# look at how far each rule moves each coordinate, with the same rate 0.01 for all rules and beside it the default of
# Adam's $\beta_2$, 0.999.

# %% experiment=true
sgd_momentum_, adagrad_, rmsprop_, adam_ = (
    yours([name], [getattr(optimizers, name)])[0] for name in ("sgd_momentum", "adagrad", "rmsprop", "adam")
)


def step_sizes(rule, settings, sizes=(100.0, 1.0, 0.01), steps=1500, drop=300):
    """How far each coordinate is moved in each step, (steps, 3)."""
    rng, w, config, found = np.random.default_rng(0), np.zeros(3), {"learning_rate": 0.01, **settings}, []
    for t in range(steps):
        g = np.array(sizes) * (1 + 0.3 * rng.standard_normal(3)) * (1 if t < drop else 0.01)
        moved, config = rule(w.copy(), g, config)
        found.append(np.abs(moved - w))
        w = moved
    return np.array(found)


fig, axes = plt.subplots(1, 4, figsize=(12, 3.2), sharey=True)
for ax, (name, rule, settings) in zip(
    axes,
    (
        ("plain SGD", sgd_momentum_, {"momentum": 0.0}),
        ("AdaGrad", adagrad_, {}),
        ("RMSProp", rmsprop_, {}),
        ("Adam", adam_, {}),
    ),
    strict=True,
):
    moved = step_sizes(rule, settings)
    for coordinate, (size, colour) in enumerate(zip((100, 1, 0.01), COLOURS, strict=False)):
        ax.semilogy(np.arange(1, len(moved) + 1), moved[:, coordinate], color=colour, lw=1, label=f"gradient {size:g}")
    ax.axvline(300, color=GREY, ls="--", lw=1)
    ax.set(title=name, xlabel="step")
    middle = [moved[part, 1].mean() for part in (slice(0, 1), slice(200, 300), slice(301, 400), slice(1400, 1500))]
    print(f"{name:10s} middle coordinate: step 1 {middle[0]:.1e}, steps 201-300 {middle[1]:.1e},", end=" ")
    print(f"302-400 {middle[2]:.1e}, 1401-1500 {middle[3]:.1e}")
axes[0].set_ylabel("size of the step")
axes[0].legend(fontsize=9)
plt.show()

# %% [markdown]
# **What was to be seen.** Plain SGD's steps are as different as the gradients: a factor of 10,000 between the
# coordinates. In the other three panels the curves lie on top of each other: dividing by its own usual size makes all
# coordinates alike.
#
# They differ in what they remember. AdaGrad's steps shrink like $1/\sqrt t$, to $6 \cdot 10^{-4}$ by step 250. When the
# gradients become a hundred times smaller, so do its steps ($5.5 \cdot 10^{-6}$), and there they stay: the sum holds
# the large gradients for ever. RMSProp forgets them and is back at 0.009 at the end. Adam forgets more slowly, since
# its $\beta_2$ of 0.999 remembers ten times as long as RMSProp's 0.99: after 1200 steps it is at $3 \cdot 10^{-4}$. At
# the start RMSProp's step is ten times too long, Adam's is right from step 1.

# %% [markdown]
# ## 8 · AdaMax
#
# **It computes** Adam's step with another measure of a gradient's usual size: not the root mean square but the largest
# size in recent memory. All arrays have the shape of $w$.
#
# $$
# m \leftarrow \beta_1 m + (1 - \beta_1)\, g \qquad u \leftarrow \max(\beta_2 u,\ |g|) \qquad
# w \leftarrow w - \frac{\eta}{1 - \beta_1^t} \cdot \frac{m}{u + \varepsilon}
# $$
#
# The maximum is taken entry by entry. It does not start too small as an average does: after one step $u = |g|$. So only
# $m$ is corrected. A single huge gradient makes $u$ large at once, and it fades slowly.

# %% exercise="adamax"
def adamax(w, dw, config=None):
    """One step of AdaMax.

    Inputs:
    - w: array of any shape, the parameters
    - dw: array of that shape, the gradient; it stays as it was
    - config: dict or None (an empty one); a missing key has the value in brackets
      - learning_rate (1e-3)
      - beta1: the weight of the old average (0.9)
      - beta2: what the old maximum is multiplied by (0.999)
      - epsilon: added to the maximum (1e-8)
      - m, u: arrays of the shape of w, the average and the maximum, not corrected (zeros); updated and written back
      - t: the number of steps taken (0); incremented before it is used, and written back

    Returns:
    - next_w: array of the shape of w
    - config: the dict for the next step
    """
    ### BEGIN SOLUTION
    config = {} if config is None else config
    rate = config.setdefault("learning_rate", 1e-3)
    beta1, beta2 = config.setdefault("beta1", 0.9), config.setdefault("beta2", 0.999)
    epsilon = config.setdefault("epsilon", 1e-8)

    t = config["t"] = config.get("t", 0) + 1
    m = config["m"] = beta1 * config.get("m", np.zeros_like(w)) + (1 - beta1) * dw
    largest = config["u"] = np.maximum(beta2 * config.get("u", np.zeros_like(w)), np.abs(dw))
    return w - rate / (1 - beta1**t) * m / (largest + epsilon), config
    ### END SOLUTION


# %% check="adamax" points=10

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* Is $u$ a square or a size? Does it need a root?
# 2. *A pointer.* `np.maximum` compares two arrays entry by entry. The old maximum fades before the comparison.
# 3. *An outline.* Settings, counter and m as in Adam; the maximum; the step, with one correction only.
#
# </details>

# %% [markdown]
# ## 9 · NAdam
#
# **It computes** Adam's step with Nesterov's look ahead in the numerator. All arrays have the shape of $w$.
#
# Adam's numerator is $\hat m = \dfrac{\beta_1 m_{t-1} + (1 - \beta_1)\, g}{1 - \beta_1^t}$: the old average and the new
# gradient. As in Nesterov's form, we apply the average of *now* instead, one step ahead of time, with the correction
# that it will have in the next step. $m$ and $v$ are updated as in Adam, and then
#
# $$
# \bar m = \frac{\beta_1\, m}{1 - \beta_1^{t+1}} + \frac{(1 - \beta_1)\, g}{1 - \beta_1^t} \qquad\qquad
# w \leftarrow w - \eta\, \frac{\bar m}{\sqrt{\hat v} + \varepsilon}
# $$

# %% exercise="nadam"
def nadam(w, dw, config=None):
    """One step of NAdam, with a constant beta1.

    Inputs:
    - w: array of any shape, the parameters
    - dw: array of that shape, the gradient; it stays as it was
    - config: dict or None (an empty one); a missing key has the value in brackets
      - learning_rate (1e-3)
      - beta1, beta2: the weights of the old averages of the gradient and of its square (0.9, 0.999)
      - epsilon: added to the corrected root, not inside it (1e-8)
      - m, v: arrays of the shape of w, the two averages, not corrected (zeros); updated and written back
      - t: the number of steps taken (0); incremented before it is used, and written back

    Returns:
    - next_w: array of the shape of w
    - config: the dict for the next step
    """
    ### BEGIN SOLUTION
    config = {} if config is None else config
    rate = config.setdefault("learning_rate", 1e-3)
    beta1, beta2 = config.setdefault("beta1", 0.9), config.setdefault("beta2", 0.999)
    epsilon = config.setdefault("epsilon", 1e-8)

    t = config["t"] = config.get("t", 0) + 1
    m = config["m"] = beta1 * config.get("m", np.zeros_like(w)) + (1 - beta1) * dw
    v = config["v"] = beta2 * config.get("v", np.zeros_like(w)) + (1 - beta2) * np.square(dw)
    from_average = beta1 / (1 - beta1 ** (t + 1)) * m
    from_gradient = (1 - beta1) / (1 - beta1**t) * dw
    return w - rate * (from_average + from_gradient) / (np.sqrt(v / (1 - beta2**t)) + epsilon), config
    ### END SOLUTION


# %% check="nadam" points=10

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* The two parts of the numerator have different corrections. Which part belongs to the next step?
# 2. *A pointer.* The $m$ in the numerator is the new one, which has this step's gradient in it already. That gradient enters
#    twice, and should.
# 3. *An outline.* All as in Adam up to the two averages; then two quotients that add up to the numerator; Adam's divisor.
#
# </details>

# %% [markdown]
# ## 10 · AdamW
#
# **It computes** Adam's step and, apart from it, lets the weights decay. All arrays have the shape of $w$; $\lambda$ is
# `weight_decay`.
#
# $$ w \leftarrow w - \eta \left( \frac{\hat m}{\sqrt{\hat v} + \varepsilon} + \lambda\, w \right) $$
#
# **Why apart?** With plain SGD, an L2 penalty $\tfrac{\lambda}{2} \lVert w \rVert^2$ in the loss and a decay of the
# weights are the same thing: the penalty's gradient is $\lambda w$. In Adam they are not. A penalty's gradient goes
# into $m$ and is divided by $\sqrt{\hat v}$ like all else: weights with large gradients then hardly decay at all. AdamW
# keeps the decay out of $m$ and $v$, so that all weights decay at the same relative speed, $\eta \lambda$ per step.

# %% exercise="adamw"
def adamw(w, dw, config=None):
    """One step of Adam with decoupled weight decay.

    Inputs:
    - w: array of any shape, the parameters
    - dw: array of that shape, the gradient without any penalty; it stays as it was
    - config: dict or None (an empty one); a missing key has the value in brackets
      - learning_rate (1e-3)
      - weight_decay: times the rate, the share that the old w loses (1e-2)
      - beta1, beta2, epsilon, m, v, t: as in adam (0.9, 0.999, 1e-8, zeros, zeros, 0)

    Returns:
    - next_w: array of the shape of w
    - config: the dict for the next step
    """
    ### BEGIN SOLUTION
    config = {} if config is None else config
    decay = config.setdefault("weight_decay", 1e-2)
    moved, config = adam(w, dw, config)
    return moved - config["learning_rate"] * decay * w, config
    ### END SOLUTION


# %% check="adamw" points=10

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* Does the decay appear in $m$ or in $v$?
# 2. *A pointer.* You have Adam already, and you may call it. The $w$ that decays is the one from before the step.
# 3. *An outline.* One more setting; Adam's step; take away rate times decay times the old weights.
#
# </details>

# %% [markdown]
# ## All of them on three surfaces
#
# From here on all experiments use your own function for each rule that passes its check, and the course's for the others.
#
# Below, six rules on the three surfaces of the beginning: first one picture with the whole paths, then the same as an
# animation. The rates were chosen by hand, one for each rule, so that the paths can be told apart; this is a picture,
# not a race.

# %% experiment=true
NAMES = (
    "sgd_momentum", "nesterov_momentum", "adagrad", "adadelta", "rmsprop", "adam", "adamax", "nadam", "adamw",
)  # fmt: skip
RULES = {name: yours([name], [getattr(optimizers, name)])[0] for name in NAMES}
(gradient_descent_,) = yours(["gradient_descent"], [optimizers.gradient_descent])


def walk(rule, gradient, start, steps, **settings):
    """The path (steps + 1, D) of a rule from a start (D,)."""
    w, config, path = np.array(start, dtype=float), dict(settings), [np.array(start, dtype=float)]
    for _ in range(steps):
        w, config = rule(w, gradient(w), config)
        path.append(np.array(w))
    return np.array(path)


SHOWN = {
    "gradient descent": ("sgd_momentum", {"learning_rate": 0.09, "momentum": 0.0}),
    "momentum": ("sgd_momentum", {"learning_rate": 0.02}),
    "Nesterov": ("nesterov_momentum", {"learning_rate": 0.02}),
    "AdaGrad": ("adagrad", {"learning_rate": 0.5}),
    "RMSProp": ("rmsprop", {"learning_rate": 0.06, "decay_rate": 0.9}),
    "Adam": ("adam", {"learning_rate": 0.2}),
}
PATHS = {
    surface: {
        label: walk(RULES[name], gradient(np.random.default_rng(1)), start, 80, **settings)
        for label, (name, settings) in SHOWN.items()
    }
    for surface, (_, gradient, start, _) in SURFACES.items()
}

fig, axes = plt.subplots(1, 3, figsize=(11, 3.5))
for ax, (surface, paths) in zip(axes, PATHS.items(), strict=True):
    draw_surface(ax, surface)
    for (label, path), colour in zip(paths.items(), COLOURS, strict=True):
        ax.plot(*path.T, color=colour, lw=1.3, label=label)
        ax.plot(*path[-1], "o", color=colour, ms=6)
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
plt.show()
for surface, paths in PATHS.items():
    ends = (f"{label} {SURFACES[surface][0](path[-20:]).mean():.2g}" for label, path in paths.items())
    print(f"{surface}, mean loss of steps 61 to 80:", *ends, sep="\n   ")

# %% experiment=true
fig, axes = plt.subplots(1, 3, figsize=(9.6, 3.1), dpi=80)
moving = []
for ax, (surface, paths) in zip(axes, PATHS.items(), strict=True):
    draw_surface(ax, surface)
    ax.title.set_fontsize(10)
    for (label, path), colour in zip(paths.items(), COLOURS, strict=True):
        (line,) = ax.plot([], [], color=colour, lw=1.2, label=label, animated=True)
        (head,) = ax.plot([], [], "o", color=colour, ms=5, animated=True)
        moving.append((ax, path, line, head))
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=6, fontsize=9)
fig.canvas.draw()
background = fig.canvas.copy_from_bbox(fig.bbox)  # drawn once; only the paths move

frames = []
for step in (*range(0, 40), *range(40, 81, 4)):
    fig.canvas.restore_region(background)
    for ax, path, line, head in moving:
        line.set_data(*path[max(0, step - 15) : step + 1].T)
        head.set_data(*path[step : step + 1].T)
        ax.draw_artist(line)
        ax.draw_artist(head)
    frames.append(Image.fromarray(np.asarray(fig.canvas.buffer_rgba())[..., :3]))
plt.close(fig)
palette = frames[30].quantize(128)  # one palette for all: then only what moves is stored again
frames = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in frames]
film = io.BytesIO()
frames[0].save(film, "GIF", save_all=True, append_images=frames[1:], duration=[150] * (len(frames) - 1) + [2000], loop=0)
address = "data:image/gif;base64," + base64.b64encode(film.getvalue()).decode()
display(HTML(f"<img src='{address}' alt='Six rules on the three surfaces, step by step'>"))

# %% [markdown]
# **What was to be seen.** *On the bowl* gradient descent zigzags. Momentum swings past the minimum and back, Nesterov
# less, since its gradient is taken ahead. AdaGrad and RMSProp begin with equal steps in both coordinates, diagonally,
# and then head for the middle.
#
# *At the saddle* gradient descent and the two momentum rules run down the valley first, because across it the gradient is
# only 0.001. AdaGrad, RMSProp and Adam leave at once: they divide that 0.001 by itself. *On the noisy bowl* none comes to
# rest. Only AdaGrad's steps shrink as it goes; the others jump about for ever, at a distance that depends on their rates
# (experiment B). Momentum, whose long-run step is the longest here, has the largest mean loss late in the run, 0.09;
# gradient descent has 0.06.

# %% [markdown]
# ## Experiments
#
# Error bars are standard errors over the seeds. Your numbers may differ a little from those in the text.
#
# ### A · Steps and the condition number
#
# **The claim** (lecture 7: on a badly conditioned loss SGD jitters along the steep direction and crawls along the flat
# one; Polyak 1964): gradient descent needs a number of steps proportional to the condition number $\kappa$, momentum
# one proportional to $\sqrt\kappa$.
#
# Bowls $f(x) = \tfrac12 x^T A x$ in ten dimensions, turned at random, with curvatures between 1 and $\kappa$. Each
# method gets the rate that theory says is best for it: gradient descent $\eta = \frac{2}{1 + \kappa}$, momentum
# $\eta = \big(\frac{2}{1 + \sqrt\kappa}\big)^2$ with $\mu = \big(\frac{\sqrt\kappa - 1}{\sqrt\kappa + 1}\big)^2$,
# Nesterov $\eta = \frac1\kappa$ with $\mu = \frac{\sqrt\kappa - 1}{\sqrt\kappa + 1}$. We count steps until the loss is
# a millionth of that at the start.
#
# **Your guess first:** at $\kappa = 1000$, how many steps does each take? Hundreds, thousands, more?

# %% experiment=true
conditions = np.array([3, 10, 30, 100, 300, 1000])
count = seeds(quick=10, full=30)


def random_bowl(kappa, seed, turned=True, dims=10):
    """A (D, D) with curvatures from 1 to kappa, and a start (D,). Turned or not, it is the same bowl and the same start."""
    rng = np.random.default_rng(seed)
    curvatures = np.concatenate([[1.0, kappa], np.exp(rng.uniform(0, np.log(kappa), dims - 2))])
    start = rng.standard_normal(dims)
    axes = np.linalg.qr(rng.standard_normal((dims, dims)))[0] if turned else np.eye(dims)
    return axes * curvatures @ axes.T, axes @ start


def first_below(losses, share):
    """The first step whose loss is below the given share of the first; infinity if none is."""
    below = np.flatnonzero(losses <= share * losses[0])
    return below[0] if len(below) else np.inf


def steps_needed(method, kappa, seed):
    A, start = random_bowl(kappa, seed)
    root, limit = np.sqrt(kappa), 4 * kappa + 100
    if method == "gradient descent":
        path = np.asarray(gradient_descent_(lambda x: A @ x, start, 2 / (1 + kappa), limit))
    elif method == "momentum":
        settings = {"learning_rate": (2 / (1 + root)) ** 2, "momentum": ((root - 1) / (root + 1)) ** 2}
        path = walk(RULES["sgd_momentum"], lambda x: A @ x, start, int(20 * root) + 100, **settings)
    else:
        settings = {"learning_rate": 1 / kappa, "momentum": (root - 1) / (root + 1)}
        path = walk(RULES["nesterov_momentum"], lambda x: A @ x, start, int(20 * root) + 100, **settings)
    return first_below(np.einsum("ti,ij,tj->t", path, A, path), 1e-6)


ax = plt.subplots(figsize=(7.5, 4.2))[1]
slopes = {}
for method, colour in (("gradient descent", COLOURS[1]), ("momentum", COLOURS[0]), ("Nesterov", COLOURS[2])):
    result = sweep(lambda kappa, seed, method=method: steps_needed(method, kappa, seed), conditions, seeds=count)
    each = np.array([np.polyfit(np.log(conditions[1:]), np.log(row[1:]), 1)[0] for row in result.values])
    slopes[method] = each.mean(), float(standard_error(each))
    curves_with_errors(
        conditions, result, f"{method}, slope {each.mean():.2f}", ax, style="bars", color=colour
    )
    pairs = zip(conditions, result.mean, result.error, strict=True)
    print(f"{method:17s}", *(f"κ={k}: {m:.0f} ± {e:.0f}" for k, m, e in pairs), sep="  ")
ax.set(xscale="log", yscale="log", xlabel="condition number κ", ylabel="steps to a millionth of the loss")
ax.set_title("Bowls in ten dimensions, best rates")
ax.legend()
plt.show()
(gd, gd_error), (mu, mu_error), (nag, nag_error) = slopes.values()
record(
    "03/condition-number",
    claim="Steps grow like the condition number for gradient descent, like its root for momentum",
    source="lecture 7; Polyak 1964",
    measured=f"slopes on the log plot, κ from 10 to 1000: gradient descent {gd:.2f} ± {gd_error:.2f}, momentum {mu:.2f} ± "
    f"{mu_error:.2f}, Nesterov {nag:.2f} ± {nag_error:.2f}",
    agrees=abs(gd - 1) < 0.1 and abs(mu - 0.5) < 0.1 and abs(nag - 0.5) < 0.1,
    seeds=count,
)

# %% [markdown]
# **What was seen.** Gradient descent: slope 1.00, 3243 ± 80 steps at $\kappa = 1000$. Momentum: slope 0.56, 197 steps.
# Nesterov: slope 0.45, 143 steps. (Errors of the slopes: 0.01 or less.) **The claim holds**, and the gain grows with
# $\kappa$: a factor of 6 at 100, of 16 or more at 1000. The slopes of momentum and Nesterov are near $\tfrac12$, not
# equal to it; the square root is what theory promises for large $\kappa$ and after many steps.
#
# *When it would not hold:* these rates need the curvatures, which nobody knows in a network. The gain is for exact
# gradients: experiment B looks at noise. And a loss that is no bowl has another condition number at every place.

# %% [markdown]
# **And a rate for each coordinate?**
#
# **The claim** (lecture 7, on AdaGrad): dividing by each coordinate's gradients slows the steep directions down and
# speeds the flat ones up, and so makes up for bad conditioning.
#
# The same bowls with $\kappa = 100$, once with the valley along a coordinate axis, once turned at random. Each rule
# gets the best rate of a grid with four values per decade, found on these very bowls. We count steps to a
# ten-thousandth of the loss.
#
# **Your guess first:** gradient descent and momentum do not care how a bowl is turned (why?). Which of the others do?

# %% experiment=true
count = seeds(quick=5, full=20)
CANDIDATES = {
    "gradient descent": ("sgd_momentum", {"momentum": 0.0}, 10.0 ** np.arange(-3, 0, 0.25)),
    "momentum": ("sgd_momentum", {}, 10.0 ** np.arange(-3, 0, 0.25)),
    "AdaGrad": ("adagrad", {}, 10.0 ** np.arange(-1, 2.1, 0.25)),
    "RMSProp": ("rmsprop", {}, 10.0 ** np.arange(-2.5, 1.6, 0.25)),
    "Adam": ("adam", {}, 10.0 ** np.arange(-2.5, 1.1, 0.25)),
}


def steps_on_bowls(name, settings, rate, turned, limit=1500):
    """Steps to the target on each of the bowls, (seeds,); all bowls are walked down at the same time, one in each row."""
    A, w = (np.array(part) for part in zip(*(random_bowl(100, seed, turned) for seed in range(count)), strict=True))
    config, found = {"learning_rate": rate, **settings}, np.full(count, np.inf)
    g = np.einsum("sij,sj->si", A, w)
    target = 1e-4 * np.sum(w * g, axis=1)
    for t in range(1, limit + 1):
        w, config = RULES[name](w, g, config)
        g = np.einsum("sij,sj->si", A, w)
        found = np.where((np.sum(w * g, axis=1) <= target) & np.isinf(found), t, found)
        if np.isfinite(found).all() or not np.isfinite(g).all():
            break
    return found


turned_counts = {}
print(f"{'':18s}{'along the axes':>24s}{'turned':>28s}")
for label, (name, settings, rates) in CANDIDATES.items():
    line = f"{label:18s}"
    for turned in (False, True):
        with np.errstate(all="ignore"):
            tried = np.array([steps_on_bowls(name, settings, rate, turned) for rate in rates])  # (rates, seeds)
        best = np.argmin(tried.mean(axis=1))
        turned_counts[label, turned] = tried[best]
        line += f"{tried[best].mean():10.0f} ± {standard_error(tried[best]):3.0f} (rate {rates[best]:.2g})".rjust(28)
    print(line)
ratio = {label: turned_counts[label, True].mean() / turned_counts[label, False].mean() for label in CANDIDATES}
record(
    "03/turned-bowl",
    claim="A rate for each coordinate makes up for bad conditioning",
    source="lecture 7, on AdaGrad",
    measured="steps to a ten-thousandth at κ = 100, along the axes and turned: "
    + ", ".join(
        f"{label} {turned_counts[label, False].mean():.0f} and {turned_counts[label, True].mean():.0f}"
        for label in CANDIDATES
    ),
    agrees="partly" if ratio["AdaGrad"] > 2 and ratio["RMSProp"] > 2 else "yes",
    seeds=count,
)

# %% [markdown]
# **What was seen.** Along the axes AdaGrad and RMSProp need 4 and 3 steps, where gradient descent takes 110. There each
# coordinate is a bowl of its own, and dividing by its own gradients cancels its curvature altogether: with a huge rate
# (the best is the last of the grid) the second step lands close to the minimum, in every coordinate alike. **On the
# same bowls, turned, the miracle is gone:** AdaGrad needs 131 ± 24 steps, RMSProp 351 ± 87, no fewer than gradient
# descent. Gradient descent and momentum have not noticed that the bowl was turned: their steps are sums of gradients,
# which turn with it. Adam changes little (65 and 79) and does about as well as momentum (64); whether that is its own
# momentum's doing, this experiment does not tell.
#
# **The claim holds in part:** a rate for each coordinate mends bad conditioning *between coordinates*, such as features
# of different scale. It does not mend a valley that runs across them. In a network there is some of both.

# %% [markdown]
# ### B · Noise and the rate
#
# **The claim** (lecture 7: gradients of mini-batches are noisy; Bottou, Curtis & Nocedal 2018, Mandt et al. 2017): with
# a fixed rate SGD does not arrive. It jumps about the minimum, at a distance that grows like $\sqrt{\eta / B}$ for
# batches of $B$ examples.
#
# Least squares with 500 examples and 10 weights, whose best weights we know exactly. We start *at* the minimum, take
# 2000 steps, and measure the root mean square distance from it over the last 1500: for several rates with $B = 8$, and
# for several $B$ with $\eta = 0.03$. Then the rates once more with momentum 0.9 and a tenth of the rate, the same step
# in the long run.
#
# **Your guess first:** does momentum average the noise away?

# %% experiment=true
count = seeds(quick=3, full=10)
noise_rates, noise_batches = np.array([0.003, 0.01, 0.03, 0.1]), np.array([1, 4, 16, 64])


def wandering(rate, batch, mu, seed, start_away=False, steps=2000):
    """The distance from the minimum after each step, (steps,)"""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((500, 10))
    y = x @ rng.standard_normal(10) + rng.standard_normal(500)
    best = np.linalg.lstsq(x, y, rcond=None)[0]
    w, config, found = best + start_away * np.ones(10), {"learning_rate": rate, "momentum": mu}, []
    for _ in range(steps):
        rows = rng.integers(500, size=batch)
        w, config = RULES["sgd_momentum"](w, x[rows].T @ (x[rows] @ w - y[rows]) / batch, config)
        found.append(np.linalg.norm(w - best))
    return np.array(found)


def spread(rate, batch, mu, seed):
    return np.sqrt(np.mean(wandering(rate, batch, mu, seed)[500:] ** 2))


over_rates = sweep(lambda rate, seed: spread(rate, 8, 0.0, seed), noise_rates, seeds=count)
with_momentum = sweep(lambda rate, seed: spread(rate / 10, 8, 0.9, seed), noise_rates, seeds=count)
over_batches = sweep(lambda batch, seed: spread(0.03, batch, 0.0, seed), noise_batches, seeds=count)


def slope(x, summary):
    """The slope on the log plot and its standard error."""
    each = np.array([np.polyfit(np.log(x), np.log(row), 1)[0] for row in summary.values])
    return each.mean(), float(standard_error(each))


fig, axes = plt.subplots(1, 3, figsize=(13, 3.8))
for rate, colour in zip((0.1, 0.01, 0.003), COLOURS, strict=False):
    axes[0].semilogy(wandering(rate, 8, 0.0, 0, start_away=True), color=colour, lw=0.8, label=f"rate {rate:g}")
axes[0].set(xlabel="step", ylabel="distance from the minimum", title="one run each, B = 8")
curves_with_errors(noise_rates, over_rates, "plain SGD", axes[1], style="bars", color=COLOURS[0])
curves_with_errors(noise_rates, with_momentum, "momentum 0.9, rate / 10", axes[1], style="bars", color=COLOURS[1], ls=":")
axes[1].set(xscale="log", yscale="log", xlabel="learning rate", ylabel="spread", title="B = 8")
curves_with_errors(noise_batches, over_batches, "plain SGD", axes[2], style="bars", color=COLOURS[0])
axes[2].set(xscale="log", yscale="log", xlabel="batch size B", title="rate 0.03")
for ax in axes:
    ax.legend(fontsize=9)
plt.show()
for name, x, summary in (
    ("rates", noise_rates, over_rates),
    ("rates / 10, momentum 0.9", noise_rates, with_momentum),
    ("batches", noise_batches, over_batches),
):
    pairs = zip(x, summary.mean, summary.error, strict=True)
    print(f"{name}:", *(f"{k:g}: {m:.3f} ± {e:.3f}" for k, m, e in pairs), sep="  ")
(rate_slope, rate_error), (batch_slope, batch_error) = slope(noise_rates, over_rates), slope(noise_batches, over_batches)
kept = with_momentum.mean / over_rates.mean
record(
    "03/noise",
    claim="At a fixed rate SGD jumps about the minimum, at a distance that grows like the root of rate / batch size",
    source="lecture 7; Bottou et al. 2018, arXiv:1606.04838; Mandt et al. 2017, arXiv:1704.04289",
    measured=f"slope of the spread {rate_slope:.2f} ± {rate_error:.2f} against the rate, {batch_slope:.2f} ± "
    f"{batch_error:.2f} against the batch size; with momentum at the same long-run step {kept.min():.2f} to "
    f"{kept.max():.2f} times the spread",
    agrees=abs(rate_slope - 0.5) < 0.1 and abs(batch_slope + 0.5) < 0.1,
    seeds=count,
)

# %% [markdown]
# **What was seen.** The spread grows with the slope 0.53 ± 0.02 against the rate and falls with 0.53 against the batch
# size, from 0.43 with single examples to 0.048 with 64. **The claim holds.** The left panel shows the bargain: the
# large rate is near the minimum after 50 steps and stays 0.26 away; the rate 0.003 takes 1500 steps and comes six times
# closer. Large first, small later would have both: that is what a schedule does (notebook 04).
#
# Momentum does not average the noise away. At a tenth of the rate, so that the long-run step is the same, its spread is
# 0.97 to 1.00 times that of plain SGD. At the *same* rate the step is ten times as long, and by the law above the
# spread about $\sqrt{10}$ times as large.
#
# *When it would not hold:* if a model fits every single example, all gradients are zero at the minimum, so the noise
# is, too, and SGD does arrive with a fixed rate (Ma, Bassily & Belkin 2018, arXiv:1712.06559).

# %% [markdown]
# ### C · Leaving a saddle
#
# **The claim** (lecture 7): at a saddle point the gradient is zero and SGD gets stuck; momentum and the adaptive rules
# get away.
#
# A valley with curvature 1 leads to a saddle. Across it the ground falls off with curvature $-0.02$, to two minima at
# distance 1. We start in the valley, beside its middle line by $10^{-1}$ down to $10^{-9}$, and count the steps until
# the loss has lost half of its fall from saddle to minimum *and stays below that* for 100 steps. Each rule has the best
# rate of a grid: the one with the fewest steps, summed over the starts at $10^{-1}$, $10^{-2}$ and $10^{-5}$. Once with
# the valley along a coordinate axis, once turned by 30°. One more run: plain gradient descent with a little noise in
# the gradient (standard deviation $10^{-3}$).
#
# **Your guess first:** along the flat direction gradient descent multiplies its distance from the middle by a constant in
# every step. How then does the number of steps depend on the distance at the start?

# %% experiment=true
count = seeds(quick=5, full=20)
FALL = 0.02


def saddle_loss(p):
    """0 at the minima, FALL / 4 at the saddle; p (..., 2)."""
    return 0.5 * p[..., 0] ** 2 + FALL * 0.25 * (p[..., 1] ** 2 - 1) ** 2


def steps_to_escape(name, settings, rate, beside, angle, noise=0.0, limit=2000, stay=100):
    """Steps until the loss stays half-way down, for each random start, (seeds,); `limit` for never."""
    rng = np.random.default_rng(0)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    start = rng.uniform(0.5, 1.5, (count, 2)) * rng.choice([-1, 1], (count, 2)) * np.array([1, beside])
    w, config, last = start @ turn, {"learning_rate": rate, **settings}, np.zeros(count)
    for t in range(1, limit + 1):
        p = w @ turn.T
        g = np.stack([p[:, 0], FALL * (p[:, 1] ** 3 - p[:, 1])], axis=1) @ turn
        w, config = RULES[name](w, g + noise * rng.standard_normal(g.shape), config)
        loss = saddle_loss(w @ turn.T)
        last = np.where(loss < 0.5 * FALL / 4, last, t)
        if np.all(t - last >= stay) or not np.isfinite(loss).all():
            break
    return np.where(t - last >= stay, last + 1, limit)


ESCAPERS = {
    "gradient descent": ("sgd_momentum", {"momentum": 0.0}, 10.0 ** np.arange(-1, 0.4, 0.25), 0.0),
    "…with noise": ("sgd_momentum", {"momentum": 0.0}, 10.0 ** np.arange(-1, 0.4, 0.25), 1e-3),
    "momentum": ("sgd_momentum", {}, 10.0 ** np.arange(-1, 0.6, 0.25), 0.0),
    "AdaGrad": ("adagrad", {}, 10.0 ** np.arange(-1, 0.6, 0.25), 0.0),
    "RMSProp": ("rmsprop", {}, 10.0 ** np.arange(-3, -0.4, 0.25), 0.0),
    "Adam": ("adam", {}, 10.0 ** np.arange(-1.5, 0.1, 0.25), 0.0),
}
distances = 10.0 ** -np.arange(1, 10, 2)
escaped = {}
fig, axes = plt.subplots(1, 2, figsize=(11.5, 4), sharey=True)
for ax, angle, title in ((axes[0], 0.0, "valley along an axis"), (axes[1], np.pi / 6, "turned by 30°")):
    for (label, (name, settings, rates, noise)), colour in zip(ESCAPERS.items(), COLOURS, strict=True):
        with np.errstate(all="ignore"):
            tried = [
                sum(steps_to_escape(name, settings, rate, d, angle, noise).mean() for d in (1e-1, 1e-2, 1e-5))
                for rate in rates
            ]
            rate = rates[np.argmin(tried)]
            found = np.array([steps_to_escape(name, settings, rate, d, angle, noise) for d in distances]).T
        escaped[label, angle > 0] = found
        curves_with_errors(distances, found, f"{label}", ax, style="bars", color=colour)
        pairs = zip(found.mean(axis=0), standard_error(found), strict=True)
        print(f"{title:20s} {label:17s} rate {rate:<5.2g}", *(f"{m:.0f} ± {e:.0f}" for m, e in pairs), sep="  ")
    ax.set(xscale="log", yscale="log", xlabel="distance from the middle line at the start", title=title)
    ax.invert_xaxis()
axes[0].set_ylabel("steps to escape")
axes[1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
plt.show()
far = {key: found[:, -1].mean() for key, found in escaped.items()}
quicker = [far[label, turned] < far["gradient descent", turned] for label in list(ESCAPERS)[1:] for turned in (False, True)]
never = (escaped["gradient descent", False] == 2000).any()
record(
    "03/saddle",
    claim="At a saddle SGD gets stuck; momentum and the adaptive rules get away",
    source="lecture 7",
    measured="steps from 1e-9 beside the middle, valley along an axis and turned: "
    + ", ".join(f"{label.strip('…')} {far[label, False]:.0f} and {far[label, True]:.0f}" for label in ESCAPERS),
    agrees="no" if not any(quicker) else "yes" if never and all(quicker) else "partly",
    seeds=count,
)

# %% [markdown]
# **What was seen.** Gradient descent takes 53 steps from $10^{-1}$, 185 from $10^{-3}$, 581 from $10^{-9}$: 132 more
# for each factor of 100. It is slow, not stuck, as its distance from the middle grows by a constant factor per step.
# Momentum grows faster, 30 more steps for a factor of 100: 139 from $10^{-9}$. Noise puts an end to the growth of the
# count: below $10^{-3}$ always 127 ± 5, since the noise itself kicks the path that far off the middle. AdaGrad and
# RMSProp need 5 steps and Adam 41, *whatever* the distance. Turned by 30° AdaGrad and RMSProp need 29 and 27, still the
# same for all distances: a rate for each coordinate bends the path, so that it does not even run down the middle.
#
# **The claim holds in part:** the others do get away sooner, up to a hundred times; but SGD proper has noise, and with
# it this saddle costs about a hundred steps.
#
# *When it would not hold:* exactly on the middle line, with the valley along an axis and without noise, every rule stays
# there, as the gradient across is exactly 0. And chains of many saddles can hold up gradient descent for very long (Du et
# al. 2017, arXiv:1705.10412).

# %% [markdown]
# ### D · Adam's first hundred steps
#
# **The claim** (lecture 7; Kingma & Ba 2015, sections 3 and 6.4): both averages start at zero, and without the correction
# the first steps are far too long, all the more for $\beta_2$ near 1, which can make training diverge.
#
# A network with two hidden layers of 50 units on the digits, batches of 64, Adam with and without the correction, at
# rates from $10^{-4}$ to 0.3. (How to switch it off in your own function: a config that begins with $t = 10^6$. Then
# nothing is left to correct.) We look at the size of each step, the root mean square over all weights in units of the
# rate, and at the loss on the training set after 100 steps.
#
# **Your guess first:** in step 1, $m = 0.1\, g$ and $v = 0.001\, g^2$. How long is the step? Is a long first step
# always bad?

# %% experiment=true
count = seeds(quick=3, full=10)
data = digits().flat
adam_rates = 10.0 ** np.arange(-4, -0.4, 0.5)


def first_hundred(rate, corrected, beta2, seed):
    """Training loss after 100 steps, then the size of each step in units of the rate: (101,)"""
    net, sizes = mlp([64, 50, 50, 10], rng=seed), []
    before = net.weights.copy()

    def measure(t, net):
        sizes.append(np.sqrt(np.mean((net.weights - before) ** 2)) / rate)
        before[...] = net.weights

    config = {"beta2": beta2} if corrected else {"beta2": beta2, "t": 10**6}
    train(
        net, data, steps=100, batch_size=64, learning_rate=rate, rng=seed, update=RULES["adam"], config=config,
        eval_every=0, on_step=measure, progress=False,
    )  # fmt: skip
    return [net.loss_and_grads(data.x_train, data.y_train)[0], *sizes]


fig, axes = plt.subplots(1, 2, figsize=(12, 4))
bias, steps = {}, np.arange(1, 101)
for beta2, colour in ((0.999, COLOURS[0]), (0.9999, COLOURS[1])):
    for corrected, style in ((True, "-"), (False, "--")):
        label = f"β₂ = {beta2}, {'corrected' if corrected else 'not corrected'}"
        runs = bias[beta2, corrected] = sweep(
            lambda rate, seed, c=corrected, b=beta2: first_hundred(rate, c, b, seed), adam_rates, seeds=count
        )
        at = list(adam_rates).index(1e-3)
        curves_with_errors(steps, runs[at, 1:], label, axes[0], color=colour, ls=style)
        curves_with_errors(adam_rates, runs[:, 0], label, axes[1], style="bars", color=colour, ls=style)
        size = runs[at, 1:].mean
        longest = size.argmax()
        print(f"{label}: at rate 0.001 step 1 has {size[0]:.2f} rates, the longest {size[longest]:.2f} (step {longest + 1})")
        pairs = zip(adam_rates, runs[:, 0].mean, runs[:, 0].error, strict=True)
        print("   loss after 100 steps", *(f"{k:.2g}: {m:.3f} ± {e:.3f}" for k, m, e in pairs), sep="  ")
axes[0].set(xlabel="step", ylabel="step, in units of the rate", title="rate 0.001")
axes[1].set(xscale="log", yscale="log", xlabel="learning rate", ylabel="loss after 100 steps", title="training loss")
axes[0].legend(fontsize=9)
plt.show()


def largest_good(beta2, corrected):
    """The largest rate of the grid at which the loss after 100 steps is below 0.1."""
    return adam_rates[np.flatnonzero(bias[beta2, corrected][:, 0].mean < 0.1)[-1]]


def lowest(corrected):
    runs = bias[0.999, corrected][:, 0]
    best = runs.mean.argmin()
    return runs.mean[best], runs.error[best], adam_rates[best]


(with_loss, with_error, with_rate), (without_loss, without_error, without_rate) = lowest(True), lowest(False)
longer = bias[0.999, False].values[:, :, 1].mean() / bias[0.999, True].values[:, :, 1].mean()
narrower = all(largest_good(beta2, False) < largest_good(beta2, True) for beta2 in (0.999, 0.9999))
better = with_loss + with_error < without_loss - without_error
record(
    "03/bias-correction",
    claim="Without bias correction Adam's first steps are too long and large rates fail",
    source="lecture 7; Kingma & Ba 2015, arXiv:1412.6980",
    measured=f"the first step is {longer:.2f} times as long; largest rate with a loss below 0.1 after 100 steps "
    f"{largest_good(0.999, True):.2g} with the correction, {largest_good(0.999, False):.2g} without, "
    f"{largest_good(0.9999, False):.2g} with β₂ = 0.9999; lowest loss {with_loss:.3f} ± {with_error:.3f} "
    f"(rate {with_rate:.2g}) with, {without_loss:.3f} ± {without_error:.3f} (rate {without_rate:.2g}) without",
    agrees="yes" if narrower and better else "partly" if narrower or better else "no",
    seeds=count,
)

# %% [markdown]
# **What was seen.** Without the correction the first step is 3.16 times as long, which is $0.1 / \sqrt{0.001}$, and ten
# times with $\beta_2 = 0.9999$. With it, both values of $\beta_2$ begin at one rate and stay alike. The largest rate
# that still learns well falls from 0.032 to 0.01, and to 0.003 with $\beta_2 = 0.9999$. **That much of the claim
# holds.**
#
# But a long first step is not always bad. At the small rates the uncorrected rule learns *faster*: at 0.001 the loss is
# 0.063 ± 0.008 after 100 steps instead of 0.373 ± 0.027. In the right-hand panel the dashed curves are the solid one
# moved to the left. Each at its best rate, the uncorrected rule is not worse but a little better here: 0.020 ± 0.003
# (rate 0.003) against 0.031 ± 0.004 (rate 0.01). It has a schedule built in: long steps first, shorter ones later. What
# the correction buys is that a rate means what it says, from the first step on and for any $\beta_2$.
#
# *When it would not hold:* after some thousands of steps nothing is left to correct, and the two differ only by what the
# first steps have done. In large networks even corrected first steps can be too long; there one warms the rate *up*
# (notebook 04).

# %% [markdown]
# ### E · All rules on one network
#
# **The claim** (lecture 7): Adam is a good default; SGD with momentum and a decaying rate can end better, but needs
# more tuning.
#
# Two hidden layers of 50 units on the digits, 300 steps with batches of 64. Every rule is run at seven rates, two per
# decade. A seed changes the split of the data, the initial weights and the order of the batches. Two rules also with a
# cosine schedule that brings the rate down to zero (notebook 04). For each rule: the rate with the best mean
# *validation* accuracy, the *test* accuracy there, and the width of the range of rates within one percentage point of
# the best, in decades (linear between the rates, for each seed against that seed's own best).
#
# **Your guess first:** how far apart are the best and the worst of the twelve, each at its best rate? And is Adam's
# range wider than momentum's?

# %% experiment=true
count = seeds(quick=3, full=10)
splits = [digits(seed=seed).flat for seed in range(count)]
BUDGET = 300
CONTENDERS = {  # label: (rule, settings, exponents of the smallest and largest rate, does the rate decay)
    "SGD": ("sgd_momentum", {"momentum": 0.0}, (-2.5, 0.5), False),
    "momentum": ("sgd_momentum", {}, (-3, 0), False),
    "Nesterov": ("nesterov_momentum", {}, (-3, 0), False),
    "AdaGrad": ("adagrad", {}, (-2.5, 0.5), False),
    "AdaDelta": ("adadelta", {}, (-1, 2), False),
    "momentum, decay": ("sgd_momentum", {}, (-3, 0), True),
    "RMSProp": ("rmsprop", {}, (-4, -1), False),
    "Adam": ("adam", {}, (-4, -1), False),
    "AdaMax": ("adamax", {}, (-3.5, -0.5), False),
    "NAdam": ("nadam", {}, (-4, -1), False),
    "AdamW": ("adamw", {}, (-4, -1), False),
    "Adam, decay": ("adam", {}, (-4, -1), True),
}


def rates_of(label):
    low, high = CONTENDERS[label][2]
    return 10.0 ** np.arange(low, high + 0.01, 0.5)


def trained(label, rate, seed):
    """Validation and test accuracy, then the loss of each mini-batch: (2 + BUDGET,), nan after a divergence."""
    name, settings, _, decays = CONTENDERS[label]
    net = mlp([64, 50, 50, 10], rng=seed)
    history = train(
        net, splits[seed], steps=BUDGET, batch_size=64, rng=seed, update=RULES[name], config=settings, eval_every=0,
        schedule=lambda t: rate * (0.5 * (1 + np.cos(np.pi * t / BUDGET)) if decays else 1.0), progress=False,
    )  # fmt: skip
    lost = np.full(BUDGET - len(history.losses), np.nan)
    return [history.val_accuracy, net.accuracy(splits[seed].x_test, splits[seed].y_test), *history.losses, *lost]


def width(rates, accuracies, within=0.01):
    """How many decades around the best rate lose less than `within`, linear between the rates."""
    fine = np.linspace(np.log10(rates[0]), np.log10(rates[-1]), 2001)
    good = np.interp(fine, np.log10(rates), accuracies) >= accuracies.max() - within
    return good.mean() * (fine[-1] - fine[0])


def paired(one, other):
    """Mean difference of two rules' test accuracies and its standard error, which is never taken to be less than that of
    one image of 300 in each run: three equal differences are luck, not certainty."""
    difference = tests[one] - tests[other]
    return difference.mean(), max(float(standard_error(difference)), 1 / 300 / np.sqrt(count))


results = {
    label: sweep(lambda k, seed, label=label: trained(label, k, seed), rates_of(label), count) for label in CONTENDERS
}
best = {label: int(result[:, 0].mean.argmax()) for label, result in results.items()}
tests = {label: result.values[:, best[label], 1] for label, result in results.items()}  # (seeds,) each
widths = {
    label: np.array([width(rates_of(label), row) for row in result.values[:, :, 0]]) for label, result in results.items()
}
print(f"{'':17s} best rate  validation       test             test - Adam's      width in decades")
for label, result in results.items():
    at, (behind, behind_error) = result[best[label]], paired(label, "Adam")
    print(
        f"{label:17s} {rates_of(label)[best[label]]:8.2g}   {at[0].mean:.3f} ± {at[0].error:.3f}   "
        f"{tests[label].mean():.3f} ± {standard_error(tests[label]):.3f}   {behind:+.3f} ± {behind_error:.3f}    "
        f"{widths[label].mean():.2f} ± {standard_error(widths[label]):.2f}"
    )
last = (f"{label} {np.nanmean(result.values[:, best[label], -20:]):.4f}" for label, result in results.items())
print("training loss over the last 20 steps:", *last, sep="  ")

fig, axes = plt.subplots(2, 2, figsize=(11.5, 7.2))
groups = list(CONTENDERS)[:6], list(CONTENDERS)[6:]
for ax, group in zip(axes[0], groups, strict=True):
    for label, colour in zip(group, COLOURS, strict=True):
        curves_with_errors(rates_of(label), results[label][:, 0], label, ax, style="bars", color=colour)
    ax.set(xscale="log", xlabel="learning rate", ylim=(0.85, 1.03), title="validation accuracy after 300 steps")
    ax.legend(fontsize=9, loc="upper center", ncols=3)
window = np.ones(10) / 10
for label, colour in zip(("SGD", "momentum", "AdaGrad", "RMSProp", "Adam", "momentum, decay"), COLOURS, strict=True):
    losses = results[label].values[:, best[label], 2:]
    smooth = np.array([np.convolve(row, window, "valid") for row in losses])
    curves_with_errors(np.arange(10, BUDGET + 1), smooth, label, axes[1, 0], color=colour, lw=1.5)
axes[1, 0].set(yscale="log", xlabel="step", title="training loss at each rule's best rate (mean of 10 steps)")
axes[1, 0].legend(fontsize=9)
for row, label in enumerate(CONTENDERS):
    colour = COLOURS[1] if row < 6 else COLOURS[0]
    axes[1, 1].errorbar(
        tests[label].mean(), -row, xerr=standard_error(tests[label]), fmt="o", capsize=3, color=colour, ms=4
    )
    axes[1, 1].plot(tests[label], np.full(count, -row), ".", color=GREY, ms=4)
axes[1, 1].set_yticks(-np.arange(len(CONTENDERS)), list(CONTENDERS))
axes[1, 1].set(title="test accuracy at the best rate (grey: each seed)")
plt.show()

gap, gap_error = paired("Adam", "momentum")
wider = (widths["Adam"] - widths["momentum"]).mean(), float(standard_error(widths["Adam"] - widths["momentum"]))
at_default = results["Adam"].mean[list(rates_of("Adam").round(6)).index(0.001), 0]
best_of_all = max(result[:, 0].mean.max() for result in results.values())
signs = [gap > -2 * gap_error, wider[0] > 0, at_default > best_of_all - 0.01]
record(
    "03/adam-as-default",
    claim="Adam is a good default: as good as tuned momentum, easy to tune, good at its default rate",
    source="lecture 7",
    measured=f"at its best rate {gap:+.3f} ± {gap_error:.3f} of test accuracy against momentum; range of rates within a "
    f"point of the best {widths['Adam'].mean():.2f} decades against {widths['momentum'].mean():.2f} (difference "
    f"{wider[0]:+.2f} ± {wider[1]:.2f}); at its default 0.001 a validation accuracy of {at_default:.3f}, the best of all "
    f"{best_of_all:.3f}",
    agrees="yes" if all(signs) else "partly" if any(signs) else "no",
    seeds=count,
)
lead, lead_error = paired("momentum, decay", "Adam")
both, both_error = paired("momentum, decay", "Adam, decay")
record(
    "03/momentum-with-decay",
    claim="SGD with momentum and a decaying rate can end better than Adam",
    source="lecture 7",
    measured=f"test accuracy of momentum with a cosine decay, against Adam at a constant rate: {lead:+.3f} ± "
    f"{lead_error:.3f}; against Adam with the same decay: {both:+.3f} ± {both_error:.3f}",
    agrees="yes" if lead > 2 * lead_error else "no" if lead < -2 * lead_error else "partly",
    seeds=count,
)

# %% [markdown]
# **What was seen.** Each at its best rate, the twelve are close: 0.967 to 0.974 on the test set, and none differs from
# Adam by more than twice the error of the difference. With ten seeds the range is 0.971 to 0.978; plain SGD is behind
# Adam by 0.005 ± 0.002, AdamW and Adam with decay by 0.002 ± 0.001, a little more than two errors. Among eleven
# comparisons that is no surprise. **Choosing the rate matters far more than choosing the rule:** one step of the grid
# to the right of the best rate can cost everything. (The training losses do differ: over the last 20 steps Adam's is
# 0.0014, momentum's 0.0086. The test accuracy does not show it.)
#
# *Adam as a default:* its range of good rates is 1.04 ± 0.22 decades wide, momentum's 0.90 ± 0.01; with ten seeds 1.05
# and 1.02. So it is no easier to tune here. And at its default rate, 0.001, it reaches 0.962 on the validation set
# after our 300 steps, two points below the best: with so few steps that rate is too small. **The claim holds in part.**
# What is mostly said for Adam, that much the same rates serve for very different networks, one network cannot test.
#
# *Momentum with a decaying rate* has the highest test accuracy, 0.003 ± 0.002 above Adam. That is one image in 300;
# with ten seeds it is 0.002 ± 0.002. **It cannot be decided here**, and the same is true of its price: its good range
# is 0.64 ± 0.04 decades wide, with ten seeds 0.84 ± 0.12 against Adam's 1.05 ± 0.07, narrower but hardly beyond the
# error.
#
# *When it would not hold:* on large problems differences do appear, in both directions: transformers are trained with
# Adam's family, since SGD lags far behind there; image classifiers often end a little better with momentum. And where
# the rules' other settings ($\beta$, $\varepsilon$, schedule) are tuned as well, the more general rule hardly ever
# loses to the one it contains (Choi et al. 2019, arXiv:1910.05446).

# %% [markdown]
# ### F · A problem on which adaptive rules fail
#
# **The claim** (Wilson et al. 2017, arXiv:1705.08292, section 3.3): there are problems on which AdaGrad, RMSProp and Adam
# reach zero training error and a test error as bad as that of a constant answer, while SGD makes no mistake.
#
# Their construction. Labels are $y = \pm 1$, with $+1$ for a share of 60%. Example $i$ has as its first feature its own
# label: who looks at that alone is always right. Features 2 and 3 are 1 for everybody. All others are private: an
# example with $y = 1$ has one feature that is 1 for it alone, one with $y = -1$ has five such. The rest is 0. The model
# is linear, the loss is the squared error, the start is at zero; 100 training and 500 test examples, 1000 steps with
# all 100 examples, then the same with mini-batches of 50 and of 10.
#
# **Your guess first:** which weights does a rule choose whose steps have the same size in every coordinate? And what
# does that do to features 2 and 3?

# %% experiment=true
count = seeds(quick=3, full=10)
SEPARABLE = {
    "SGD": ("sgd_momentum", {"momentum": 0.0, "learning_rate": 0.2}),
    "momentum": ("sgd_momentum", {"learning_rate": 0.05}),
    "Nesterov": ("nesterov_momentum", {"learning_rate": 0.05}),
    "AdaGrad": ("adagrad", {"learning_rate": 0.1}),
    "AdaDelta": ("adadelta", {"learning_rate": 1.0}),
    "RMSProp": ("rmsprop", {"learning_rate": 0.001}),
    "Adam": ("adam", {"learning_rate": 0.003}),
    "AdaMax": ("adamax", {"learning_rate": 0.003}),
    "NAdam": ("nadam", {"learning_rate": 0.003}),
    "AdamW": ("adamw", {"learning_rate": 0.003}),
}


def examples(n, first, rng, private=3 + 5 * 600):
    """x (n, 3003) and y (n,) of Wilson et al.'s problem; the private features of example i begin at 3 + 5 i."""
    y = np.where(rng.random(n) < 0.6, 1.0, -1.0)
    x = np.zeros((n, private))
    x[:, 0], x[:, 1:3] = y, 1.0
    for row in range(n):
        own = 3 + 5 * (first + row)
        x[row, own : own + (1 if y[row] > 0 else 5)] = 1.0
    return x, y


def separable_errors(label, batch, seed, steps=1000):
    """Share of wrong answers in training and test, share of negative test labels, first weight over the second."""
    name, settings = SEPARABLE[label]
    rng = np.random.default_rng(seed)
    (x, y), (x_test, y_test) = examples(100, 0, rng), examples(500, 100, rng)
    used = 3 + 5 * 100  # no training example has any of the others: their gradient is always 0, their weights stay 0
    w, config = np.zeros(used), dict(settings)
    for _ in range(steps):
        rows = slice(None) if batch == 100 else rng.choice(100, batch, replace=False)
        w, config = RULES[name](w, x[rows, :used].T @ (x[rows, :used] @ w - y[rows]) / batch, config)
    return [
        np.mean(np.sign(x[:, :used] @ w) != y),
        np.mean(np.where(x_test[:, :used] @ w > 0, 1, -1) != y_test),
        np.mean(y_test < 0),
        w[0] / w[1],
    ]


batches = (100, 50, 10)
found = {label: sweep(lambda b, seed, label=label: separable_errors(label, b, seed), batches, count) for label in SEPARABLE}
print("test error (training error in brackets)", *(f"batches of {b}" for b in batches), sep="   ")
for label, result in found.items():
    cells = (
        f"{100 * result[k, 1].mean:5.1f}% ± {100 * result[k, 1].error:4.1f} ({result[k, 0].mean:.0%})"
        for k in range(len(batches))
    )
    print(f"{label:10s}", *cells, f"w1 / w2, all examples: {result[0, 3].mean:.3g}", sep="   ")
print(f"always answering +1: {100 * found['SGD'][0, 2].mean:.1f}%")

ax = plt.subplots(figsize=(10, 3.8))[1]
for k, (b, colour) in enumerate(zip(batches, COLOURS, strict=False)):
    places = np.arange(len(SEPARABLE)) + 0.27 * (k - 1)
    means = [100 * result[k, 1].mean for result in found.values()]
    bars = [100 * result[k, 1].error for result in found.values()]
    ax.bar(places, means, 0.25, yerr=bars, capsize=2, color=colour, label="all 100" if b == 100 else f"batches of {b}")
ax.axhline(100 * found["SGD"][0, 2].mean, color=GREY, ls="--", lw=1.5, label="always +1")
ax.set_xticks(range(len(SEPARABLE)), list(SEPARABLE), rotation=20)
ax.set(ylabel="test error, %", title="Training error is 0 everywhere")
ax.legend(fontsize=9, ncols=4, loc="upper left", bbox_to_anchor=(0, 1.0))
ax.set_ylim(0, 60)
plt.show()
plain = max(float(found[label][0, 1].mean) for label in ("SGD", "momentum", "Nesterov"))
adaptive = min(float(found[label][0, 1].mean) for label in ("AdaGrad", "RMSProp", "Adam"))
small = max(float(found[label][2, 1].mean) for label in ("AdaGrad", "RMSProp", "Adam"))
record(
    "03/separable",
    claim="On a separable problem adaptive rules reach zero training error and fail on the test set, where SGD does not",
    source="Wilson et al. 2017, arXiv:1705.08292, section 3.3",
    measured=f"full batch: test error at most {plain:.1%} for SGD, momentum and Nesterov, at least {adaptive:.1%} for "
    f"AdaGrad, RMSProp and Adam; with mini-batches of 10 at most {small:.1%} for the latter three",
    agrees=plain < 0.01 and adaptive > 0.3,
    seeds=count,
)

# %% [markdown]
# **What was seen.** With all 100 examples in each step, every rule that divides by the gradient's size answers $+1$ to
# everything: 40.7% ± 1.3% wrong, just the share of negative labels, though no training example is wrong. SGD, momentum
# and Nesterov make no mistake. **The claim holds, to the letter.**
#
# Why: at zero, the gradient is $-X^T y / n$. Rules with steps of equal size follow its *signs*. These are $+1$ for
# feature 1, $+1$ for features 2 and 3 (there are more positive labels), and $y_i$ for the private ones. Give all of
# them the same size $\tau$: an example with $y = 1$ scores $\tau(1 + 2 + 1) = 4\tau$, one with $y = -1$ scores
# $\tau(-1 + 2 - 5) = -4\tau$. All are right by the same margin, the residuals stay equal in size, and so the signs
# never change: the measured $w_1 / w_2$ is 1.00 (1.12 for AdaDelta). But a *new* example has private features that
# nobody has seen. Its score is $\tau(y + 2)$, positive whatever $y$ is. SGD's weights are a sum of examples instead: in
# $w_1$ all add up, in $w_2$ the two classes nearly cancel, and $w_1 / w_2$ is 84.
#
# *When it would not hold:* it did not hold with mini-batches of 10, where every rule makes no mistake at all. Our
# explanation, as a hypothesis: a private feature occurs in every tenth batch, feature 1 in all of them, so that $w_1$
# grows first and does the work before the private weights are large. (With batches of 50 most rules still fail.) The
# construction shows what *can* happen; experiment E shows no sign of it on the digits.

# %% [markdown]
# ## Questions
#
# Answer in a few sentences each, in your own words.

# %% [markdown] question="why-adagrad-stalls" points=3
# **Q1.** Suppose a coordinate's gradient has the constant size $G$. How long is AdaGrad's step $t$, and how far has the
# coordinate moved after $T$ steps? Why is that called stalling, when is it even wanted, and what do RMSProp and AdaDelta
# change?
#
# ### BEGIN SOLUTION
# **A good answer:** The cache is $t G^2$, so the step is $\eta G / (\sqrt t\, G) = \eta / \sqrt t$, whatever $G$ is.
# The sum of the steps grows like $2 \eta \sqrt T$: it does not stop, but it becomes ever slower. In a network it is
# worse: the large gradients of the first steps stay in the sum for ever, so when the gradients become small later, the
# steps become far smaller still, and nothing brings them back (the picture of the effective step: a drop by a hundred
# that stays). It is wanted where the rate must fall anyway: on a convex problem with noisy gradients a rate that falls
# like $1 / \sqrt t$ lets SGD arrive. RMSProp and AdaDelta use a running average instead of the sum: it forgets, so the
# step keeps its size (and the rate must be lowered by a schedule instead).
#
# **Marking scheme:** 1 point for the step $\eta / \sqrt t$ (or: the sum only grows, so the steps only shrink, with an
# argument); 1 point for the early large gradients that are never forgotten, or for the case in which the decay is
# wanted; 1 point for the running average.
# ### END SOLUTION

# %% [markdown] question="when-leave-adam" points=3
# **Q2.** The lecture recommends Adam as a default. Give two reasons for it. When would you leave it for SGD with
# momentum, and what must you then do that Adam spares you? Use at least one of your own measurements.
#
# ### BEGIN SOLUTION
# **A good answer:** For Adam: steps do not depend on the scale of the loss or of a coordinate's gradient, so rates near
# 0.001 work for very different networks and for layers whose gradients differ in size; flat places and saddles hold it
# up little (experiment C); its first steps are safe (D). I would leave it when the training is going to be long or
# repeated, so that tuning pays, and when the validation accuracy at the end counts, above all for image classifiers,
# where momentum with a schedule often ends a little better; or when memory is scarce (Adam keeps two arrays for each
# weight, momentum one). Then I must tune the rate, choose a schedule and its length, and take care of badly scaled
# layers (norms, initial weights). Own measurements: on the digits the two could not be told apart, with ranges of good
# rates of about one decade each, so neither the advantage nor the price showed; experiment F shows that a better
# training error need not mean a better test error.
#
# **Marking scheme:** 1 point for two valid reasons for Adam; 1 point for a situation in which to leave it, with the
# reason; 1 point for the price (tuning the rate and the schedule) with at least one measured number or result used
# correctly. An answer that says "SGD always generalises better" gets at most 2.
# ### END SOLUTION

# %% [markdown]
# ## Remember
#
# 1. Plain SGD has three troubles: valleys (steps grow with the condition number), flat places, noise.
# 2. Momentum adds up gradients: about $\sqrt\kappa$ steps instead of $\kappa$, and a step that is $1 / (1 - \mu)$ times
#    as long in the long run. It does not remove noise; a smaller rate or a larger batch does.
# 3. AdaGrad, RMSProp and Adam divide by each coordinate's usual gradient. That cures bad scaling *between* coordinates,
#    not a valley that runs across them. AdaGrad's sum never forgets.
# 4. Adam is an average of gradients over the root of an average of squares, both corrected by $1 - \beta^t$, with
#    $\varepsilon$ outside the root. AdamW keeps weight decay out of both averages.
# 5. Tune the rate before you change the rule. Start with Adam; try momentum with a schedule when the last bit counts.
#
# **Where to read on.** B. T. Polyak, *Some methods of speeding up the convergence of iteration methods*, 1964. I.
# Sutskever et al., *On the importance of initialization and momentum in deep learning*, 2013 (ICML). G. Goh, *Why
# momentum really works*, 2017 (distill.pub). J. Duchi et al., *Adaptive subgradient methods*, 2011 (JMLR 12): AdaGrad.
# M. D. Zeiler, *ADADELTA*, 2012 (arXiv:1212.5701). T. Tieleman and G. Hinton, *Lecture 6.5: RMSProp*, 2012 (Coursera).
# D. P. Kingma and J. Ba, *Adam*, 2015 (arXiv:1412.6980): AdaMax is in its section 7. T. Dozat, *Incorporating Nesterov
# momentum into Adam*, 2016 (ICLR workshop). I. Loshchilov and F. Hutter, *Decoupled weight decay regularization*, 2019
# (arXiv:1711.05101). A. C. Wilson et al., *The marginal value of adaptive gradient methods in machine learning*, 2017
# (arXiv:1705.08292), and against it D. Choi et al., *On empirical comparisons of optimizers for deep learning*, 2019
# (arXiv:1910.05446). L. Bottou, F. E. Curtis and J. Nocedal, *Optimization methods for large-scale machine learning*,
# 2018 (arXiv:1606.04838): the noise of experiment B, with proofs. C. Jin et al., *How to escape saddle points
# efficiently*, 2017 (arXiv:1703.00887).
