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
# # 04 · Learning-rate schedules
#
# **After this notebook you can write every schedule that is in common use, read a rate off one short run, and say from your
# own measurements what a decay, a warm-up and a restart buy.**
#
# *About 75 minutes. You need: notebook 03 (SGD with momentum); functions that return functions.*

# %% setup=true
import math
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np

from autograder import check, hint, yours
from nnlab import ReLU, digits, mlp, optimizers, repeat, schedules, standard_error, sweep, train
from nnlab.experiments import record, seeds
from nnlab.palette import COLOURS, GREY
from nnlab.plots import curves_with_errors, use_style

use_style()

# %% [markdown]
# ## The idea
#
# All the update rules of notebook 03 have a learning rate, and you have seen that no other number matters as much. Which
# one should it be? The answer of this notebook: **more than one**. A large rate and a small rate are good at different
# things, and a run has time for both.
#
# The smallest example is a bowl, $f(x) = \tfrac12 x^2$, with a noisy gradient: $g = x + \xi$, where $\xi$ is random with
# mean 0 and variance 1, as it is when a mini-batch stands for all the data. One step is $x \leftarrow x - \eta\,(x + \xi)$,
# with learning rate $\eta$. On the left one walk for each of three rates, from $x = 10$. On the right the root mean square
# distance from the minimum over 1000 walks.

# %% experiment=true
walk_steps = 300
walk_rates = {
    "large: 0.5": lambda t: 0.5,
    "small: 0.02": lambda t: 0.02,
    "falling: 0.5 / (1 + t/4)": lambda t: 0.5 / (1 + t / 4),
}
fig, axes = plt.subplots(1, 2, figsize=(11.5, 4))
for (name, rate_at), colour in zip(walk_rates.items(), (COLOURS[1], COLOURS[0], COLOURS[2]), strict=True):
    rng = np.random.default_rng(1)
    walks = np.full((1000, walk_steps + 1), 10.0)  # (walks, steps + 1)
    for t in range(walk_steps):
        noisy_gradient = walks[:, t] + rng.standard_normal(len(walks))
        walks[:, t + 1] = walks[:, t] - rate_at(t) * noisy_gradient
    distance = np.sqrt(np.mean(walks**2, axis=0))
    axes[0].plot(walks[0], color=colour, lw=1.3, label=name)
    axes[1].plot(distance, color=colour, label=name)
    print(f"rate {name}: distance {distance[30]:.2f} after 30 steps, {distance[-1]:.3f} after {walk_steps}")
for eta in (0.5, 0.02):
    floor = "√(η / (2 - η))" if eta == 0.5 else None
    axes[1].axhline(math.sqrt(eta / (2 - eta)), color=GREY, ls="--", lw=1.5, label=floor)
axes[0].set(title="one walk", xlabel="step", ylabel="x", ylim=(-3, 10.5))
axes[1].set(title="1000 walks", xlabel="step", ylabel="root mean square distance", yscale="log", ylim=(0.04, 12))
axes[0].legend(fontsize=9)
axes[1].legend(fontsize=9, loc="upper right")
plt.show()

# %% [markdown]
# The large rate is near the minimum in ten steps, and then it never settles: each step carries the noise of one gradient
# into $x$. The distance stops falling at a **noise floor**. On the bowl it can be computed: the variance $V$ of $x$ obeys
# $V \leftarrow (1 - \eta)^2 V + \eta^2$, which stands still at $V = \eta / (2 - \eta)$ (dashed). The small rate has a floor
# a fifth as high, but it takes more than 200 steps to get there. The falling rate has both: nearly the speed of the large
# one, and then a floor that sinks with the rate.
#
# That is the whole idea of a decay. What is left is *how* to let the rate fall, and for that there are many recipes, each a
# formula of one line. So this notebook has more exercises than the others, and shorter ones. A **schedule** is a function
# of the step $t$ that returns the rate of that step.

# %% [markdown]
# ## Convention card
#
# | | this course | PyTorch (`torch.optim.lr_scheduler`) | papers |
# | --- | --- | --- | --- |
# | time | steps; the first has $t = 0$ | calls of `scheduler.step()`, by habit one per epoch | mostly epochs |
# | form | a pure function of $t$ | an object that changes the optimizer | a formula |
# | step decay | `drop` multiplies: 0.1 is a tenth | `StepLR(step_size, gamma)`, the same | He et al.: 0.1 at a plateau |
# | exponential | $\eta_0 e^{-kt}$ | `ExponentialLR(gamma)`, with $\gamma = e^{-k}$ | |
# | cosine | from $\eta_0$ at 0 to `lr_min` at $T$ | `CosineAnnealingLR(T_max, eta_min)`, the same | SGDR, 2017 |
# | warm-up | from `schedule(0) / warmup` | `LinearLR`, by default from a third | Goyal et al. 2017: five epochs |
# | restarts | each cycle `mult` times as long | `CosineAnnealingWarmRestarts(T_0, T_mult)`, the same | SGDR, 2017 |
#
# $\eta_0$ is `lr0` in code, $T$ the number of steps of the whole run. All schedules return a float.

# %% [markdown]
# ## 1 · Step decay
#
# **It computes** a rate that is constant for `every` steps and is then multiplied by `drop`, again and again.
#
# $$ \eta_t = \eta_0 \cdot \texttt{drop}^{\lfloor t / \texttt{every} \rfloor} $$
#
# $\lfloor\cdot\rfloor$ rounds down. With `every = 5` the rate is $\eta_0$ for $t = 0, \dots, 4$ and falls for the first time
# at $t = 5$.

# %% exercise="step_decay"
def step_decay(t, lr0, drop, every):
    """A rate that is multiplied by drop after every so many steps.

    Inputs:
    - t: step, an int that counts from 0
    - lr0: rate at t = 0
    - drop: factor at each drop, below 1
    - every: number of steps between drops, an int

    Returns the rate at step t, a float.
    """
    ### BEGIN SOLUTION
    drops_so_far = t // every
    return lr0 * drop**drops_so_far
    ### END SOLUTION


# %% check="step_decay" points=3

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* With a drop every 5 steps, how many drops have there been at $t = 4$, at $t = 5$, at $t = 12$?
# 2. *A pointer.* `//` divides and forgets the remainder. A factor that is applied $n$ times is its $n$-th power.
# 3. *An outline.* Count the full intervals that lie behind step `t`; raise `drop` to that number; multiply by `lr0`.
#
# </details>

# %% [markdown]
# ## 2 · Exponential decay
#
# **It computes** a rate that shrinks by the same factor, $e^{-k}$, in every step: a step decay without the steps.
#
# $$ \eta_t = \eta_0\, e^{-k t} $$

# %% exercise="exponential_decay"
def exponential_decay(t, lr0, k):
    """A rate that falls by the same factor in every step.

    Inputs:
    - t: step, an int that counts from 0
    - lr0: rate at t = 0
    - k: speed of the decay, per step, above 0

    Returns the rate at step t, a float.
    """
    ### BEGIN SOLUTION
    return lr0 * math.exp(-k * t)
    ### END SOLUTION


# %% check="exponential_decay" points=2

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* After how many steps has the rate fallen to $1/e$, a bit more than a third, of `lr0`?
# 2. *A pointer.* `math.exp` raises $e$ to a power. Should the power grow or fall with `t`?
# 3. *An outline.* One line: the exponential of minus `k` times `t`, times `lr0`.
#
# </details>

# %% [markdown]
# ## 3 · Inverse-time decay
#
# **It computes** a rate that falls like one over the time. The lecture calls it "1/t decay".
#
# $$ \eta_t = \frac{\eta_0}{1 + k t} $$
#
# It falls fast at first and ever more slowly then: from half of $\eta_0$ at $t = 1/k$ to a quarter only at $t = 3/k$. On a
# bowl with noise it is the classical choice. (Robbins and Monro, 1951: the rates must add up to infinity, so that every
# distance can be travelled, and their squares must not, so that the noise dies out.)

# %% exercise="inverse_time_decay"
def inverse_time_decay(t, lr0, k):
    """A rate that falls like one over the time.

    Inputs:
    - t: step, an int that counts from 0
    - lr0: rate at t = 0
    - k: speed of the decay, per step, above 0

    Returns the rate at step t, a float.
    """
    ### BEGIN SOLUTION
    return lr0 / (1 + k * t)
    ### END SOLUTION


# %% check="inverse_time_decay" points=2

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* What must the denominator be at $t = 0$, whatever `k` is? And at $t = 1/k$?
# 2. *A pointer.* A division binds before an addition: the denominator needs its brackets.
# 3. *An outline.* One plus `k` times `t`; `lr0` divided by all of it.
#
# </details>

# %% [markdown]
# ## 4 · Inverse-root decay
#
# **It computes** a rate that falls like one over the root of the time, and has no parameter beside $\eta_0$.
#
# $$ \eta_t = \frac{\eta_0}{\sqrt{t + 1}} $$
#
# It halves at $t = 3$, at $t = 15$, at $t = 63$, …: each halving takes four times as long as the one before. After a
# warm-up it is the schedule of the first Transformer (Vaswani et al. 2017).

# %% exercise="inverse_sqrt_decay"
def inverse_sqrt_decay(t, lr0):
    """A rate that falls like one over the root of the time.

    Inputs:
    - t: step, an int that counts from 0
    - lr0: rate at t = 0

    Returns the rate at step t, a float.
    """
    ### BEGIN SOLUTION
    return lr0 / math.sqrt(t + 1)
    ### END SOLUTION


# %% check="inverse_sqrt_decay" points=2

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* What would a division by the root of `t` give in the very first step?
# 2. *A pointer.* `math.sqrt`. The first step is number 0, so it is the first plus one that goes into the root.
# 3. *An outline.* The root of `t` plus one, and `lr0` divided by it.
#
# </details>

# %% [markdown]
# ## 5 · Linear decay
#
# **It computes** a straight line from $\eta_0$ at $t = 0$ to 0 at $t = T$. The last step of a run of $T$ steps is
# $t = T - 1$, so no step is lost to a rate of 0.
#
# $$ \eta_t = \eta_0 \Big(1 - \frac{t}{T}\Big) $$

# %% exercise="linear_decay"
def linear_decay(t, lr0, T):
    """A straight line to zero.

    Inputs:
    - t: step, an int from 0 to T
    - lr0: rate at t = 0
    - T: the step at which the rate is 0

    Returns the rate at step t, a float.
    """
    ### BEGIN SOLUTION
    return lr0 * (1 - t / T)
    ### END SOLUTION


# %% check="linear_decay" points=2

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* Which share of the run is over at step `t`? Which is still to come?
# 2. *A pointer.* Divide with `/` and not with `//`. The line must reach 0 for any `lr0`.
# 3. *An outline.* The share that is still to come, times `lr0`.
#
# </details>

# %% [markdown]
# ## 6 · Cosine decay
#
# **It computes** half a period of a cosine, from $\eta_0$ at $t = 0$ down to $\eta_{\min}$ (`lr_min`) at $t = T$. Flat at
# both ends, steepest in the middle.
#
# $$ \eta_t = \eta_{\min} + \tfrac12\, (\eta_0 - \eta_{\min}) \Big(1 + \cos \frac{\pi t}{T}\Big) $$

# %% exercise="cosine_decay"
def cosine_decay(t, lr0, T, lr_min=0.0):
    """Half a cosine from lr0 to lr_min.

    Inputs:
    - t: step, an int from 0 to T
    - lr0: rate at t = 0
    - T: the step at which the rate is lr_min
    - lr_min: rate at t = T

    Returns the rate at step t, a float.
    """
    ### BEGIN SOLUTION
    still_to_go = 0.5 * (1 + math.cos(math.pi * t / T))  # from 1 to 0
    return lr_min + still_to_go * (lr0 - lr_min)
    ### END SOLUTION


# %% check="cosine_decay" points=3

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* Between which values does $1 + \cos(x)$ move while $x$ goes from 0 to $\pi$?
# 2. *A pointer.* Bring that to the range from 1 to 0 first. Then stretch it to the span between `lr_min` and `lr0`. Angles
#    are in radians.
# 3. *An outline.* The angle is $\pi$ times the share of the run that is over. Half of one plus its cosine; times the span;
#    plus the lower end.
#
# </details>

# %% [markdown]
# ## 7 · Warm-up
#
# At the start of a run the weights are random, the gradients are large and change quickly. A rate that is right for the
# rest of the run may be too large for the first steps. A warm-up climbs to it.
#
# **It computes** a new schedule from any other one: `warmup` equal steps up to `schedule(0)`, then `schedule` from its own
# beginning.
#
# $$
# \eta_t = \begin{cases}
# \texttt{schedule}(0) \cdot \dfrac{t + 1}{\texttt{warmup}} & \text{for } t < \texttt{warmup} \\[2mm]
# \texttt{schedule}(t - \texttt{warmup}) & \text{from there on}
# \end{cases}
# $$
#
# What you return is not a number but a function of `t`, like those above.

# %% exercise="linear_warmup"
def linear_warmup(schedule, warmup):
    """Put a linear warm-up before a schedule.

    Inputs:
    - schedule: a function of the step t (0, 1, 2, ...) that returns a rate
    - warmup: number of steps of the warm-up, an int

    Returns a schedule: a function of the step t (an int that counts from 0, the warm-up included) that returns a float.
    """
    ### BEGIN SOLUTION

    def with_warmup(t):
        steps_since = t - warmup
        if steps_since < 0:
            return (t + 1) / warmup * schedule(0)
        return schedule(steps_since)

    return with_warmup
    ### END SOLUTION


# %% check="linear_warmup" points=4

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* With a warm-up of 5 steps, what share of `schedule(0)` has step 0, and what share has step 4? Which `t`
#    should the schedule see at step 5?
# 2. *A pointer.* `def` inside `def`: the inner function may use `schedule` and `warmup`, and it is what you return (its
#    name, without brackets).
# 3. *An outline.* The inner function takes `t` and has two cases. During the warm-up a share of `schedule(0)`; after it, the
#    schedule, asked for the number of steps since the warm-up ended.
#
# </details>

# %% [markdown]
# ## 8 · Cosine with restarts
#
# **It computes** cosine decays to 0, one after another. The first cycle has `T0` steps, each further one `mult` times as
# many as the one before; each starts at $\eta_0$ again. Let $i$ be the number of steps since the cycle began, and $L$ the
# length of the cycle:
#
# $$ \eta_t = \tfrac12\, \eta_0 \Big(1 + \cos \frac{\pi i}{L}\Big) $$
#
# With `T0 = 2` and `mult = 3` the cycles begin at $t = 0$, $2$, $8$, $26$, …

# %% exercise="cosine_restarts"
def cosine_restarts(t, lr0, T0, mult):
    """Cosine decay to 0 with restarts (SGDR).

    Inputs:
    - t: step, an int that counts from 0
    - lr0: rate at the start of each cycle
    - T0: number of steps of the first cycle, an int
    - mult: factor from the length of one cycle to the next, an int from 1 on

    Returns the rate at step t, a float.
    """
    ### BEGIN SOLUTION
    into_cycle, length = t, T0
    while into_cycle >= length:
        into_cycle -= length
        length *= mult
    return cosine_decay(into_cycle, lr0, length)
    ### END SOLUTION


# %% check="cosine_restarts" points=5

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* For `T0 = 2`, `mult = 3`: in which cycle is step 12, how long is that cycle, and how many steps into it
#    are you?
# 2. *A pointer.* A `while` loop can take whole cycles away from `t` until what is left fits into the next one.
# 3. *An outline.* Begin with `t` and the length `T0`. As long as the rest is not smaller than the length: subtract the
#    length, then make it `mult` times as long. What is left goes into your cosine decay, with the present length as its `T`.
#
# </details>

# %% [markdown]
# ### The gallery
#
# All schedules over a run of 700 steps, from your own functions if they pass. Where a recipe has a parameter beside
# $\eta_0$, it is chosen so that the rate ends at a hundredth of $\eta_0$; the step decay drops to a tenth twice. Those
# that know the end of the run go to 0.

# %% experiment=true
names = [
    "step_decay", "exponential_decay", "inverse_time_decay", "inverse_sqrt_decay", "linear_decay", "cosine_decay",
    "linear_warmup", "cosine_restarts",
]  # fmt: skip
(
    step_decay_, exponential_decay_, inverse_time_decay_, inverse_sqrt_decay_, linear_decay_, cosine_decay_,
    linear_warmup_, cosine_restarts_,
) = yours(names, [getattr(schedules, name) for name in names])  # fmt: skip


def constant(t, lr0):
    return lr0


def family(T):
    """Every schedule for a run of T steps, as a function from lr0 to a function of t."""
    warmup = T // 10
    return {
        "constant": lambda lr0: lambda t: constant(t, lr0),
        "step": lambda lr0: lambda t: step_decay_(t, lr0, 0.1, -(-T // 3)),
        "exponential": lambda lr0: lambda t: exponential_decay_(t, lr0, math.log(100) / T),
        "inverse time": lambda lr0: lambda t: inverse_time_decay_(t, lr0, 99 / T),
        "inverse root": lambda lr0: lambda t: inverse_sqrt_decay_(t, lr0),
        "linear": lambda lr0: lambda t: linear_decay_(t, lr0, T),
        "cosine": lambda lr0: lambda t: cosine_decay_(t, lr0, T),
        "warm-up, cosine": lambda lr0: linear_warmup_(lambda t: cosine_decay_(t, lr0, T - warmup), warmup),
        "restarts": lambda lr0: lambda t: cosine_restarts_(t, lr0, -(-T // 7), 2),
    }


fig, axes = plt.subplots(3, 3, figsize=(11, 6.6), sharex=True, sharey=True)
shown = family(700)
for ax, (name, make), colour in zip(axes.flat, shown.items(), [*COLOURS, *COLOURS], strict=False):
    rates = np.array([make(1.0)(t) for t in range(700)])
    ax.plot(rates, color=colour)
    ax.fill_between(np.arange(700), rates, color=colour, alpha=0.15, linewidth=0)
    ax.set_title(f"{name}: mean rate {rates.mean():.2f}")
    halved = np.argmax(rates < 0.5) if name != "warm-up, cosine" else 70 + np.argmax(rates[70:] < 0.5)
    print(f"{name:16s} at half after {f'{halved} steps' if rates.min() < 0.5 else 'never':10s} mean rate {rates.mean():.3f}")
for ax in axes[-1]:
    ax.set_xlabel("step")
for ax in axes[:, 0]:
    ax.set_ylabel("rate / lr0")
plt.show()

# %% [markdown]
# Look at the filled areas: their size is the sum of the rates, and on a slope without noise that is how far you get. From
# the same $\eta_0$ the inverse root travels a tenth as far as a constant rate, the inverse time a twentieth. So $\eta_0$
# does not mean the same for two schedules, and comparing them at one and the same $\eta_0$ would be unfair. Experiment D
# gives each its own.

# %% [markdown]
# ## 9 · The range test
#
# Where should $\eta_0$ come from? Trying ten rates takes ten runs. The range test (Smith, 2017) takes one short run, in
# which the rate grows exponentially, from far too small to far too large. At first the loss does not move. Then it falls,
# faster and faster, until the rate is too large and the loss climbs or explodes. A rate from the middle of the fall makes
# quick progress and is clear of the explosion.
#
# **It computes**, from the $n$ losses of such a run and the $n$ rates, the rate at which the *smoothed* loss falls fastest,
# per *factor* of the rate:
#
# $$
# \texttt{lr} = \operatorname*{arg\,min}_{\eta} \frac{d\,\text{smoothed loss}}{d \log \eta}
# $$
#
# How to smooth is up to you: a moving average over a tenth of the run is fine. Single losses are noisy, and some at the end
# may be `inf` or `nan`. Take the slope against $\log\eta$: the rates at the left are so close to each other that, per unit
# of rate, every wiggle there looks like a cliff.

# %% exercise="learning_rate_range_test"
def learning_rate_range_test(losses, lrs):
    """The rate at which the smoothed loss falls fastest.

    Inputs:
    - losses: (n,) the loss at each step of a run with growing rate; the last ones may be inf or nan
    - lrs: (n,) the rate at each step, growing by the same factor from step to step

    Returns one rate, a float, near the steepest fall of the smoothed loss against log(lr).
    """
    ### BEGIN SOLUTION
    losses, lrs = np.asarray(losses, dtype=float), np.asarray(lrs, dtype=float)
    finite = np.isfinite(losses)
    losses, lrs = losses[finite], lrs[finite]

    width = max(5, len(losses) // 10)
    smooth = np.convolve(losses, np.ones(width) / width, mode="valid")  # (n - width + 1,): full windows only
    middle = lrs[width // 2 :][: len(smooth)]  # the rate in the middle of each window
    slope = np.gradient(smooth, np.log(middle))
    return float(middle[np.argmin(slope)])
    ### END SOLUTION


# %% check="learning_rate_range_test" points=5

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* On a drawing of the curve, is the place you look for its lowest point, or the place where it goes down
#    most steeply? Why would you not want the lowest point?
# 2. *A pointer.* `np.isfinite` finds the usable losses. `np.convolve` with equal weights is a moving average; mind what it
#    does at the two ends. `np.gradient(y, x)` gives slopes for any spacing of `x`.
# 3. *An outline.* Drop what is not finite, from both arrays. Smooth the losses. Slope against the log of the rates. The
#    rate where that slope is most negative.
#
# </details>

# %% [markdown]
# ## Experiments
#
# The digits alone are too easy here. A small network learns them by heart, its loss goes to zero, and with it goes the noise
# that all of this is about. So we make them hard: 80 copies of each training image, each copy with its own random noise on
# every pixel, as strong as the image itself. That is 95 760 different images. No run below sees many of them twice, and
# nobody reaches 100%. The networks have two hidden layers of 50 units unless we say otherwise, learn by SGD with momentum
# 0.9, and start with half of He's weights, so that the first loss is near the $\ln 10 = 2.30$ of guessing.
#
# They use your own schedules where these pass their checks. Error bars and bands are standard errors of the mean over the
# seeds; your numbers may differ a little from those in the text.

# %% experiment=true
def with_noise(data, train_copies=80, eval_copies=5, noise=1.0):
    """Each image several times, each time with its own normal noise on every pixel."""
    rng = np.random.default_rng(0)
    parts = {}
    for part, copies in (("train", train_copies), ("val", eval_copies), ("test", eval_copies)):
        x = np.tile(getattr(data, f"x_{part}"), (copies, 1))  # (copies · N, 64)
        parts[f"x_{part}"] = x + np.float32(noise) * rng.standard_normal(x.shape, dtype=np.float32)
        parts[f"y_{part}"] = np.tile(getattr(data, f"y_{part}"), copies)
    return replace(data, name="noisy digits", **parts)


clean = digits().flat
data = with_noise(clean)
print(data)

SHALLOW, DEEP = [64, 50, 50, 10], [64, 50, 50, 50, 50, 50, 10]


def run(schedule, seed, steps, batch_size=32, sizes=SHALLOW, update=None, eval_every=0):
    """A fresh network and the history of its training; the deep one has He's weights."""
    net = mlp(sizes, rng=seed, init_scale=0.5 if sizes is SHALLOW else 1.0)
    needed = data.first(steps * batch_size)
    settings = {"steps": steps, "batch_size": batch_size, "schedule": schedule, "update": update, "rng": seed}
    return net, train(net, needed, **settings, eval_every=eval_every, progress=False)


def losses_of(schedule, seed, steps, batch_size=32):
    """The loss of every step; nan after a divergence."""
    losses = run(schedule, seed, steps, batch_size)[1].losses
    return np.concatenate([losses, np.full(steps - len(losses), np.nan)])


def moving_average(losses, width=40):
    """(seeds, steps) -> (seeds, steps - width + 1), means over windows of steps."""
    return np.array([np.convolve(row, np.ones(width) / width, "valid") for row in losses])


fig, axes = plt.subplots(2, 8, figsize=(11, 3), subplot_kw={"xticks": [], "yticks": []})
for column, (above, below) in enumerate(axes.T):
    above.imshow(clean.x_train[column].reshape(8, 8), cmap="gray_r")
    below.imshow(data.x_train[column].reshape(8, 8), cmap="gray_r")
    above.set_title(f"{data.y_train[column]}", loc="center")
axes[0, 0].set_ylabel("clean")
axes[1, 0].set_ylabel("with noise")
plt.show()

# %% [markdown]
# ### A · Four rates, four curves
#
# **The claim** (CS231n notes, *Neural Networks Part 3*, and the lecture's sketch): with a low rate the loss falls nearly in
# a straight line; with a high one it falls faster at first but gets stuck at a worse value; at a very high one it explodes.
#
# Constant rates of 0.001, 0.03, 0.1 and 3, for 800 steps with batches of 32.
#
# **Your guess first:** which of the four has the lowest loss after 20 steps? And after 800?

# %% experiment=true
four = {"low: 0.001": 0.001, "good: 0.03": 0.03, "high: 0.1": 0.1, "very high: 3": 3.0}
runs = seeds(quick=3, full=5)
ax = plt.subplots(figsize=(8.5, 4.2))[1]
begin, end, exploded = {}, {}, {}
for (name, rate), colour in zip(four.items(), (COLOURS[0], COLOURS[2], COLOURS[3], COLOURS[1]), strict=True):
    losses = np.array([losses_of(lambda t, rate=rate: constant(t, rate), seed, 800) for seed in range(runs)])
    begin[name], end[name] = losses[:, :30].mean(axis=1), losses[:, -200:].mean(axis=1)
    exploded[name] = np.sum(~(losses.max(axis=1) < 10 * math.log(10)))  # a nan counts, too
    if exploded[name]:
        ax.plot(losses[:, :12].T, color=colour, lw=1.5, label=[name] + ["_"] * (runs - 1))
    else:
        curves_with_errors(np.arange(781) + 10, moving_average(losses, 20), name, ax, color=colour)
    print(
        f"{name:12s} mean loss of the first 30 steps {begin[name].mean():.2f}, of the last 200 {end[name].mean():.3f} "
        f"± {standard_error(end[name]):.3f}; {exploded[name]} of {runs} runs exploded"
    )
ax.axhline(math.log(10), color=GREY, ls="--", lw=1.5, label="guessing")
ax.set(ylim=(0, 4), xlabel="step", ylabel="training loss", title=f"Constant rates, {runs} seeds (means over 20 steps)")
ax.legend(loc="upper right")
plt.show()

low, good, high, very_high = four
stuck = end[high].mean() - end[good].mean() > 2 * np.hypot(standard_error(end[high]), standard_error(end[good]))
faster = begin[high].mean() < begin[good].mean()
too_slow = end[low].mean() > end[good].mean()
record(
    "04/four-curves",
    claim="A low rate learns slowly, a high one falls fast and gets stuck higher, a very high one explodes",
    source="CS231n notes, Neural Networks Part 3",
    measured="mean loss of the last 200 of 800 steps: "
    + ", ".join(f"{end[name].mean():.2f} (rate {rate:g})" for name, rate in four.items() if not exploded[name])
    + f"; {exploded[very_high]} of {runs} runs exploded at rate 3",
    agrees="yes" if stuck and faster and too_slow and exploded[very_high] == runs else "partly" if stuck else "no",
    seeds=runs,
)

# %% [markdown]
# **What was seen.** Over the first 30 steps the high rate is ahead (mean loss 1.68, against 2.04 for the good and 2.32 for
# the low one). Then it gets stuck: over the last 200 steps its loss is 0.783 ± 0.014, where the good rate has 0.465. The
# low rate is on its way, at 0.91, and still falling. The very high rate exploded in all three runs, within a dozen steps.
# **The claim holds**, with one difference: the curve of the low rate is no straight line. It hardly moves for 100 steps and
# then bends down. A network that starts with small weights has small gradients at first.
#
# *When it would not hold:* "low" and "high" belong to a budget. With ten times as many steps the low rate would no longer
# be too low; what is too high stays too high.

# %% [markdown]
# ### B · The drop of the loss at each drop of the rate
#
# **The claim** (Lecture 7): when the loss has stopped falling, a step decay makes it fall again. Training curves of residual
# networks show a cliff at each decay (He et al. 2016, arXiv:1512.03385).
#
# Rate 0.05, a tenth of it after 800 steps, a hundredth after 1600. Beside it the same run without any decay. We compare the
# mean loss of the 200 steps before each drop with that of the steps 100 to 300 after it.
#
# **Your guess first:** the rate falls by the same factor twice. Are the two cliffs equally high?

# %% experiment=true
runs = seeds(quick=4, full=8)
every, lr0 = 800, 0.05
curves = {
    name: np.array([losses_of(lambda t, d=drop: step_decay_(t, lr0, d, every), seed, 3 * every) for seed in range(runs)])
    for name, drop in (("step decay", 0.1), ("no decay", 1.0))
}  # each (seeds, steps)
ax = plt.subplots(figsize=(9.5, 4.2))[1]
for (name, losses), colour in zip(curves.items(), (COLOURS[0], COLOURS[1]), strict=True):
    curves_with_errors(np.arange(3 * every - 39) + 20, moving_average(losses), name, ax, color=colour, lw=1.3)
drops = {}
for name, losses in curves.items():
    for number, at in enumerate((every, 2 * every)):
        drops[name, number] = losses[:, at - 200 : at].mean(axis=1) - losses[:, at + 100 : at + 300].mean(axis=1)
for number, at in enumerate((every, 2 * every)):
    ax.axvline(at, color=GREY, ls="--", lw=1.5)
    fall = drops["step decay", number].mean()
    ax.text(at + 15, 1.0, f"rate / 10:\nloss falls by {fall:.3f}", fontsize=10, va="top")
    print(
        f"around step {at}: loss falls by {fall:.3f} ± {standard_error(drops['step decay', number]):.3f} with the drop, "
        f"by {drops['no decay', number].mean():.3f} ± {standard_error(drops['no decay', number]):.3f} without"
    )
last = {name: losses[:, -300:].mean(axis=1) for name, losses in curves.items()}
for name, values in last.items():
    print(f"{name}: mean loss of the last 300 steps {values.mean():.3f} ± {standard_error(values):.3f}")
ax.set(ylim=(0.25, 1.05), xlabel="step", ylabel="training loss", title=f"Means over 40 steps, {runs} seeds")
ax.legend(loc="upper right")
plt.show()

gain = [drops["step decay", number] - drops["no decay", number] for number in (0, 1)]
clear = [g.mean() > 2 * standard_error(g) for g in gain]
record(
    "04/step-decay-drop",
    claim="When the loss has stopped falling, dividing the rate by ten makes it fall again, each time",
    source="Lecture 7; He et al. 2016 (arXiv:1512.03385)",
    measured="beyond what the run without decay gains in the same steps, the loss falls by "
    + " and by ".join(f"{g.mean():.3f} ± {standard_error(g):.3f} (drop {n})" for n, g in enumerate(gain, start=1)),
    agrees="yes" if all(clear) else "partly" if any(clear) else "no",
    seeds=runs,
)

# %% [markdown]
# **What was seen.** At the first drop the loss falls by 0.129 ± 0.012, where the run without decay gains 0.039 in the same
# steps: 0.089 ± 0.004 are the doing of the drop. At the second drop, nothing: 0.004 ± 0.006. **The claim holds for the
# first drop and not for the second.** In the end the run with decay has a loss of 0.353, the one without 0.460.
#
# A likely reason, and it fits the size: by the idea above the part of the loss that comes from noise is about in proportion
# to the rate. The first drop takes away nine tenths of it. For the second there is one tenth left, so that it can bring
# about 0.01 at most. Networks that are trained for far longer, on far more classes, show a second cliff; there the rest
# that is left to learn may be larger.
#
# *When it would not hold:* without noise (all the data in each step) there is no floor to be lowered, and a drop only slows
# the run down.

# %% [markdown]
# **When should the rate drop?** One drop from 0.05 to 0.005, at different places of a run of 1200 steps: from the first step
# on (so that the large rate is never used), and up to the last. We look at the accuracy on the validation images at the end.

# %% experiment=true
drop_at = np.array([0, 50, 200, 400, 600, 900, 1200])
timing_runs = seeds(quick=5, full=10)


def accuracy_with_drop(at, seed):
    """Validation accuracy after 1200 steps with a drop to a tenth at step `at`."""
    return run(lambda t: 0.05 if t < at else 0.005, seed, 1200)[1].val_accuracy


timing = sweep(accuracy_with_drop, drop_at, timing_runs)
ax = plt.subplots(figsize=(8, 3.8))[1]
curves_with_errors(drop_at, timing, None, ax, style="bars", color=COLOURS[0])
ax.set(xlabel="step of the drop from 0.05 to 0.005 (of 1200)", ylabel="validation accuracy", title=f"{timing_runs} seeds")
plt.show()
print(*(f"drop at {at}: {m:.4f} ± {e:.4f}" for at, m, e in zip(drop_at, timing.mean, timing.error, strict=True)), sep="\n")
best_at, best_values = drop_at[np.argmax(timing.mean)], timing.values[:, np.argmax(timing.mean)]
over_start, over_never = best_values - timing.values[:, 0], best_values - timing.values[:, -1]
record(
    "04/not-from-the-first-step",
    claim="Train at a large rate first and decay later: a small rate from the first step ends worse",
    source="Lecture 7",
    measured=f"one drop from 0.05 to 0.005 in 1200 steps is best at step {best_at}: {100 * over_start.mean():.1f} ± "
    f"{100 * standard_error(over_start):.1f} points better than from the first step, {100 * over_never.mean():.1f} ± "
    f"{100 * standard_error(over_never):.1f} better than never",
    agrees=over_start.mean() > 2 * standard_error(over_start),
    seeds=timing_runs,
)

# %% [markdown]
# From the first step at the small rate: 0.837. A mere 50 large steps before the drop give 0.849, and the best place is near
# the middle, 0.860 ± 0.003, 2.2 ± 0.4 points above the start. Without any drop it is 0.837 again. The top is broad: 400,
# 600 and 900 cannot be told apart. So it is an easy choice, as long as it is neither at once nor never. The lecture gives
# the same advice: find a good rate without any decay first, look at where the loss stops falling, then add the decay.

# %% [markdown]
# ### C · The range test
#
# **The claim** (Smith 2017, arXiv:1506.01186): one short run with a growing rate is enough to find a good rate.
#
# First a run of 200 steps, with rates from $10^{-5}$ to 10; we stop it when the loss is above 1.3 times its first value.
# Your `learning_rate_range_test` marks its pick. Beside it the truth, found the long way: the accuracy after 800 steps at
# each of eight constant rates. Then the same test with 50, 100, 400 and 800 steps from $10^{-5}$ to 10. If a good rate is a
# property of network and data, the pick should stay where it is.
#
# **Your guess first:** does the pick depend on how quickly the rate grows?

# %% experiment=true
(learning_rate_range_test_,) = yours(["learning_rate_range_test"], [schedules.learning_rate_range_test])
runs = seeds(quick=3, full=6)


def range_run(steps, seed):
    """Losses and rates of a run whose rate grows from 1e-5 to 10, up to the step at which it is broken off."""
    lrs = np.logspace(-5, 1, steps)
    losses = losses_of(lambda t: lrs[t], seed, steps)
    too_high = np.flatnonzero(~(losses <= 1.3 * losses[0]))
    stop = too_high[0] if len(too_high) else steps
    return losses[:stop], lrs[:stop]


tried = np.array([0.001, 0.003, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2])
truth = sweep(lambda rate, seed: run(lambda t: constant(t, rate), seed, 800)[1].val_accuracy, tried, runs)
lengths = (50, 100, 200, 400, 800)
picks = {n: np.array([learning_rate_range_test_(*range_run(n, seed)) for seed in range(runs)]) for n in lengths}
reached = sweep(lambda n, seed: run(lambda t: constant(t, picks[n][seed]), 100 + seed, 800)[1].val_accuracy, lengths, runs)
with_pick = dict(zip(lengths, reached.mean, strict=True))
typical = {n: np.exp(np.log(picks[n]).mean()) for n in lengths}

fig, axes = plt.subplots(1, 3, figsize=(14, 4))
for seed in range(runs):
    losses, lrs = range_run(200, seed)
    axes[0].plot(lrs, losses, color=COLOURS[seed % 6], lw=1.3)
    axes[0].axvline(picks[200][seed], color=COLOURS[seed % 6], ls="--", lw=1.5)
axes[0].set(xscale="log", ylim=(0.5, 3.2), xlabel="rate, growing", ylabel="training loss")
axes[0].set_title(f"200 steps, {runs} seeds; dashed: the picks")
curves_with_errors(tried, truth, None, axes[1], style="bars", color=COLOURS[0])
for pick in picks[200]:
    axes[1].axvline(pick, color=GREY, ls="--", lw=1.5)
axes[1].set(xscale="log", xlabel="constant rate", ylabel="accuracy after 800 steps", title="the long way")
axes[2].plot(lengths, [picks[n] for n in lengths], "o", color=COLOURS[0])
axes[2].plot(lengths, list(typical.values()), color=COLOURS[0])
good_rates = tried[truth.mean > truth.mean.max() - 0.01]
axes[2].axhspan(good_rates.min(), good_rates.max(), color=COLOURS[2], alpha=0.2, label="within 1 point of the best")
axes[2].set(xscale="log", yscale="log", xlabel="steps of the range test", ylabel="pick", title="how long is a short run?")
axes[2].set_xticks(lengths, lengths)
axes[2].minorticks_off()
axes[2].legend(loc="upper right", fontsize=9)
plt.show()
print(*(f"rate {r:g}: {m:.3f} ± {e:.3f}" for r, m, e in zip(tried, truth.mean, truth.error, strict=True)), sep="\n")
best_rate, best_accuracy = tried[np.argmax(truth.mean)], truth.mean.max()
for n, error in zip(lengths, reached.error, strict=True):
    print(f"test of {n} steps: pick {typical[n]:.3g}, accuracy with it {with_pick[n]:.3f} ± {error:.3f}")
near = [n for n in lengths if with_pick[n] > best_accuracy - 0.01]
record(
    "04/range-test",
    claim="One short run with a growing rate finds a good learning rate",
    source="Smith 2017 (arXiv:1506.01186)",
    measured=f"best of eight constant rates: {best_rate:g} (accuracy {best_accuracy:.3f}); picks of tests with "
    + ", ".join(f"{n} steps: {typical[n]:.2g} ({with_pick[n]:.3f})" for n in lengths),
    agrees="yes" if len(near) == len(lengths) else "partly" if near else "no",
    seeds=runs,
)

# %% [markdown]
# **What was seen.** The loss does what the books say: flat, a fall, a rise, an explosion. The test of 200 steps picks
# 0.057, and a run at that rate reaches 0.828 ± 0.007; the best constant rate is 0.02, with 0.841 ± 0.006. So 200 steps are
# enough to come within about a point.
#
# But the pick does not stay where it is. With 800 steps it is 0.0094, with 400 it is 0.023, with 200 it is 0.057: twice the
# steps, less than half the rate. The loss falls when the *sum* of the rates so far is large enough, and a test that grows
# quickly has a small sum behind it when it arrives at a good rate. With 100 and 50 steps the picks are about 0.3, they
# scatter (right), and most runs at such a rate fail. **The claim holds in part:** the range test finds the right decade if
# it is long enough, here a few hundred steps. The pick is a property of the test as well as of the network. If in doubt,
# take a rate somewhat below it.
#
# *When it would not hold:* if the run is not broken off. After the explosion the loss can fall back from any height, and
# that is a steeper fall than all before; a good implementation does not look there.

# %% [markdown]
# ### D · All schedules at the same budget
#
# **The claim** (Lecture 7): start with a large rate and decay it. And, more exactly (Li et al. 2020, arXiv:1905.04753): at
# any budget of steps a *linear* decay to zero is hard to beat, if it ends where the budget ends.
#
# All nine schedules of the gallery, for a budget of 500 steps and for one of 125. Each gets its own $\eta_0$, the best of
# seven from 0.01 to 0.64, chosen by the accuracy on the validation images with two seeds. Then fresh seeds, and the accuracy
# on the *test* images, which had no say in the choice.
#
# **Your guess first:** order them: constant, step, inverse time, linear, cosine. How many points lie between the first and
# the last?

# %% experiment=true
runs = seeds(quick=6, full=12)
grid = 0.01 * 2.0 ** np.arange(7)
budgets = (125, 500)
pairs = [(T, name) for T in budgets for name in family(T)]
trials = [(T, name, rate) for T, name in pairs for rate in grid]


def trained(T, name, rate, seed):
    """Network and history after T steps of a schedule."""
    return run(family(T)[name](rate), seed, T)


tuning = sweep(lambda trial, seed: trained(*trial, seed)[1].val_accuracy, trials, [1000, 1001])
best_of_grid = tuning.mean.reshape(len(pairs), len(grid)).argmax(axis=1)
chosen = {pair: grid[index] for pair, index in zip(pairs, best_of_grid, strict=True)}
tests = sweep(lambda pair, seed: trained(*pair, chosen[pair], seed)[0].accuracy(data.x_test, data.y_test), pairs, runs)
tested = {pair: tests.values[:, index] for index, pair in enumerate(pairs)}  # each (seeds,)

fig, axes = plt.subplots(1, 2, figsize=(12, 4.4))
for ax, T in zip(axes, budgets, strict=True):
    order = sorted(family(T), key=lambda name, T=T: tested[T, name].mean())
    for place, name in enumerate(order):
        result = tested[T, name]
        colour = COLOURS[1] if name == "constant" else COLOURS[0]
        ax.plot(result, np.full(runs, place), ".", color=GREY, ms=4)
        ax.errorbar(result.mean(), place, xerr=standard_error(result), fmt="o", capsize=4, color=colour)
    ax.set_yticks(range(len(order)), [f"{name}, {chosen[T, name]:g}" for name in order])
    ax.set(xlabel="test accuracy", title=f"{T} steps, {runs} seeds; schedule and its best rate")
    print(f"{T} steps")
    for name in reversed(order):
        edge = " (end of the grid)" if chosen[T, name] in (grid[0], grid[-1]) else ""
        result = tested[T, name]
        print(f"   {name:16s} rate {chosen[T, name]:<5g} {result.mean():.3f} ± {standard_error(result):.3f}{edge}")
plt.show()


def points_ahead(T, name, other):
    """By how many points one schedule is ahead of another, seed by seed: mean and standard error."""
    difference = 100 * (tested[T, name] - tested[T, other])
    return difference.mean(), standard_error(difference)


decays = [name for name in family(500) if name != "constant"]
ahead = {(T, name): points_ahead(T, name, "constant") for T in budgets for name in decays}
clearly = {T: [name for name in decays if ahead[T, name][0] > 2 * ahead[T, name][1]] for T in budgets}
for T in budgets:
    others = [f"{name} ({ahead[T, name][0]:+.1f} ± {ahead[T, name][1]:.1f})" for name in decays if name not in clearly[T]]
    print(f"{T} steps, not clearly ahead of the constant rate: {', '.join(others) or 'none'}")
record(
    "04/decay-beats-constant",
    claim="Start with a large rate and decay it: better than a constant rate at the same budget",
    source="Lecture 7",
    measured="; ".join(
        f"{T} steps: {len(clearly[T])} of {len(decays)} schedules beat the best constant rate clearly, cosine by "
        f"{ahead[T, 'cosine'][0]:.1f} ± {ahead[T, 'cosine'][1]:.1f} points"
        for T in budgets
    ),
    agrees="yes" if all(clearly[T] == decays for T in budgets) else "partly" if any(clearly.values()) else "no",
    seeds=runs,
)
best = {T: max(decays, key=lambda name, T=T: tested[T, name].mean()) for T in budgets}
behind = {T: points_ahead(T, best[T], "linear") for T in budgets}
unbeaten = all(behind[T][0] <= 2 * behind[T][1] for T in budgets)
record(
    "04/linear-decay",
    claim="At any budget, linear decay to zero is hard to beat",
    source="Li et al. 2020 (arXiv:1905.04753)",
    measured="; ".join(
        f"{T} steps: linear {tested[T, 'linear'].mean():.3f}, {best[T]} {behind[T][0]:.1f} ± {behind[T][1]:.1f} points ahead"
        if best[T] != "linear"
        else f"{T} steps: linear is best, {tested[T, 'linear'].mean():.3f}"
        for T in budgets
    ),
    agrees="yes" if unbeaten else "partly" if all(behind[T][0] < 1 for T in budgets) else "no",
    seeds=runs,
)

# %% [markdown]
# **What was seen.** With 500 steps linear is first (0.814 ± 0.002) and the constant rate last (0.796 ± 0.003); with 125
# steps exponential, cosine and linear lead together (0.773 to 0.775), and constant, restarts and step are behind by three
# points. **Decay beats a constant rate:** six of the eight schedules do so clearly, at either budget. The others are those
# that spend much of a small budget at a rate that is too small for it (step, restarts), or are too noisy to tell
# (exponential). **Linear is hard to beat:** at both budgets nobody is ahead of it by more than the error. Nor is it clearly
# the best. The four or five leaders lie within a point, and their order is chance: in trial runs with budgets of 150 and
# 600 steps linear was behind: by 0.7 ± 0.2 points (warm-up and cosine) and by 0.4 ± 0.2 points (cosine).
#
# Look at the rates, too. The constant rate does best with 0.02, most decays with 0.08, the inverse root with 0.32: it falls
# so fast that it must start high. A schedule that is tried at the rate of another looks worse than it is.
#
# *When it would not hold:* if the decay ends before the run does, or the run before the decay. "Linear to zero" needs to
# know the budget.

# %% [markdown]
# **And the restarts?** Loshchilov and Hutter did not only want a good end. They wanted a network that is good *at any time*:
# at the end of each cycle the rate is 0, and whoever must stop there has a finished network. The same three schedules, 800
# steps, rate 0.04 for all. Here we follow the accuracy during the run.

# %% experiment=true
runs = seeds(quick=3, full=6)
watched = np.arange(1, 41) * 20
cycle_ends = np.array([115, 345, 800])
ax = plt.subplots(figsize=(9.5, 4.2))[1]
during = {}
for name, colour in (("constant", COLOURS[1]), ("cosine", COLOURS[0]), ("restarts", COLOURS[2])):
    schedule = family(800)[name](0.04)
    found = repeat(lambda seed, schedule=schedule: run(schedule, seed, 800, eval_every=20)[1].val_accuracies, runs)
    during[name] = found.values  # (seeds, 40)
    curves_with_errors(watched, found, name, ax, color=colour, marker=".")
for end_of_cycle in cycle_ends:
    ax.axvline(end_of_cycle, color=GREY, ls="--", lw=1.5)
ax.set(xlabel="step", ylabel="validation accuracy", ylim=(0.7, 0.9))
ax.set_title(f"Dashed: a cycle of the restarts ends ({runs} seeds)")
ax.legend(loc="upper left")
plt.show()
anytime = {}
for step in (100, 140, 340, 380, 800):
    values = {name: v[:, step // 20 - 1] for name, v in during.items()}
    anytime[step] = 100 * (values["restarts"] - values["cosine"])
    print(f"step {step}: " + ", ".join(f"{name} {v.mean():.3f} ± {standard_error(v):.3f}" for name, v in values.items()))
early = anytime[340]
record(
    "04/restarts-anytime",
    claim="With restarts there is a good network at the end of each cycle, long before the end of the run",
    source="Loshchilov & Hutter 2017 (arXiv:1608.03983)",
    measured=f"restarts against one cosine: {early.mean():+.1f} ± {standard_error(early):.1f} points at step 340 of 800, "
    f"where a cycle ends; {anytime[800].mean():+.1f} ± {standard_error(anytime[800]):.1f} at the end of the run",
    agrees=early.mean() > 2 * standard_error(early),
    seeds=runs,
)

# %% [markdown]
# The restarts keep that promise. At step 340, where their second cycle ends, they are at 0.832 ± 0.001, the single cosine,
# still in mid-fall, at 0.814 ± 0.008: 1.9 ± 0.8 points ahead. Just after the restart (step 380) they drop to 0.796. At the
# end of the run there is no gain, −0.4 ± 0.5 points. What they do not bring here is a better end.

# %% [markdown]
# ### E · Does Adam need a decay, too?
#
# **The claim** (Lecture 7): decay is more critical with SGD and momentum, and less common with Adam.
#
# Adam divides each step by the size of recent gradients, so it seems to look after its own step size. We train with both, at
# a constant rate and with a cosine decay, 400 steps. For each of the four the rate is the best of five (validation, two
# seeds); then fresh seeds, test accuracy.
#
# **Your guess first:** by how many points does the decay improve each?

# %% experiment=true
runs = seeds(quick=6, full=12)
T = 400
rules = {"SGD with momentum": (None, 0.005 * 2.0 ** np.arange(5)), "Adam": (optimizers.adam, 0.0025 * 2.0 ** np.arange(5))}
arms = [(rule, form) for rule in rules for form in ("constant", "cosine")]


def trained_with(rule, form, rate, seed):
    """Network and history after T steps of an update rule."""
    return run(family(T)[form](rate), seed, T, update=rules[rule][0])


trials = [(rule, form, rate) for rule, form in arms for rate in rules[rule][1]]
tuning = sweep(lambda trial, seed: trained_with(*trial, seed)[1].val_accuracy, trials, [1000, 1001])
best_of_grid = tuning.mean.reshape(len(arms), -1).argmax(axis=1)
chosen = {arm: rules[arm[0]][1][index] for arm, index in zip(arms, best_of_grid, strict=True)}
tests = sweep(lambda arm, seed: trained_with(*arm, chosen[arm], seed)[0].accuracy(data.x_test, data.y_test), arms, runs)
outcome = {arm: tests.values[:, index] for index, arm in enumerate(arms)}  # each (seeds,)
for (rule, form), result in outcome.items():
    edge = " (end of the grid)" if chosen[rule, form] in (rules[rule][1][0], rules[rule][1][-1]) else ""
    print(f"{rule}, {form}, rate {chosen[rule, form]:g}: {result.mean():.3f} ± {standard_error(result):.3f}{edge}")
decay_gain = {rule: 100 * (outcome[rule, "cosine"] - outcome[rule, "constant"]) for rule in rules}
ax = plt.subplots(figsize=(7, 3))[1]
for place, (rule, gained) in enumerate(decay_gain.items()):
    ax.errorbar(gained.mean(), place, xerr=standard_error(gained), fmt="o", capsize=4, color=COLOURS[place])
    ax.plot(gained, np.full(runs, place), ".", color=GREY, ms=5)
ax.axvline(0, color=GREY, lw=1)
ax.set_yticks(range(2), decay_gain)
ax.set(ylim=(-0.5, 1.5), xlabel="points of test accuracy gained by the cosine decay", title=f"{runs} seeds")
plt.show()
sgd_gain, adam_gain = decay_gain.values()
more = sgd_gain - adam_gain
record(
    "04/decay-for-adam",
    claim="Decay is more critical with SGD and momentum than with Adam",
    source="Lecture 7",
    measured=f"a cosine decay gains {sgd_gain.mean():.1f} ± {standard_error(sgd_gain):.1f} points with SGD and momentum, "
    f"{adam_gain.mean():.1f} ± {standard_error(adam_gain):.1f} with Adam; the difference is {more.mean():.1f} ± "
    f"{standard_error(more):.1f}",
    agrees=more.mean() > 2 * standard_error(more),
    seeds=runs,
)

# %% [markdown]
# **What was seen.** The decay gains 2.7 ± 0.4 points with SGD and momentum (0.784 to 0.812), and 2.6 ± 0.4 with Adam (0.788
# to 0.814). **Here the claim does not hold:** Adam needs the decay as much. Less common it may be, but not less useful.
# That should not surprise: Adam divides by the size of the gradients, and where only noise is left it divides by the size
# of the noise. Its steps do not become small when the minimum is near; they keep the size of the rate.
#
# *When it would hold:* the lecture may have had in mind that Adam works tolerably without any tuning. With its default rate
# and enough steps a constant rate may be small enough for the floor not to matter. And this is one small network.

# %% [markdown]
# ### F · Larger batches, larger rates: until it breaks
#
# **The claim** (Goyal et al. 2017, arXiv:1706.02677): multiply the batch size by $k$ and the rate by $k$, and training goes
# on as before, up to a batch size at which it breaks. (On ImageNet that was 8192.)
#
# The reason is simple: $k$ small steps with rate $\eta$ along gradients that hardly change between them are one step with
# rate $k\eta$ along their mean. We train on 48 000 images, whatever the batch size, so that a batch 64 times as large means
# 64 times fewer steps. The rate is 0.02 for batches of 32. Three rules: the rate stays; it grows with the root of the batch
# size; it grows in proportion.
#
# **Your guess first:** at which batch size does each of the rules break?

# %% experiment=true
runs = seeds(quick=3, full=5)
sizes = np.array([32, 64, 128, 256, 512, 1024, 2048])
examples = 48_000
rules = {"rate stays 0.02": 0.0, "rate grows with the root": 0.5, "rate in proportion": 1.0}


def scaled(size, seed, power, base=0.02, net=SHALLOW, warm=0.0):
    """Validation accuracy and losses when the rate grows with a power of the batch size."""
    steps, rate = examples // size, base * (size / 32) ** power
    warmup = round(warm * steps)

    def flat(t):
        return constant(t, rate)

    return run(linear_warmup_(flat, warmup) if warmup else flat, seed, steps, size, net)


fig, axes = plt.subplots(1, 2, figsize=(12.5, 4.3))
scaling = {}
for (name, power), colour in zip(rules.items(), (COLOURS[1], COLOURS[3], COLOURS[0]), strict=True):
    scaling[name] = sweep(lambda size, seed, power=power: scaled(size, seed, power)[1].val_accuracy, sizes, runs)
    curves_with_errors(sizes, scaling[name], name, axes[0], style="bars", color=colour)
    pairs = zip(sizes, scaling[name].mean, scaling[name].error, strict=True)
    print(name, *(f"{n}: {m:.3f} ± {e:.3f}" for n, m, e in pairs), sep="\n   ")
axes[0].set(xscale="log", xlabel="batch size", ylabel="validation accuracy", title=f"After 48 000 images, {runs} seeds")
axes[0].set_xticks(sizes, sizes)
axes[0].minorticks_off()
axes[0].legend(loc="lower left")
for size, colour in ((32, COLOURS[2]), (256, COLOURS[5]), (1024, COLOURS[0]), (2048, COLOURS[1])):
    losses = np.array([scaled(size, seed, 1.0)[1].losses for seed in range(runs)])
    width = max(1, 2048 // size)
    seen_images = (np.arange(losses.shape[1] - width + 1) + width) * size
    curves_with_errors(seen_images / 1000, moving_average(losses, width), f"{size}", axes[1], color=colour, lw=1.5)
axes[1].set(ylim=(0.2, 3), xlabel="thousand images seen", ylabel="training loss")
axes[1].set_title("Rate in proportion: the same curve?")
axes[1].legend(title="batch size")
plt.show()


def holds_up_to(result):
    """The largest batch size up to which no accuracy is more than 2 points below that at 32."""
    fine = result.mean > result.mean[0] - 0.02
    return sizes[len(fine) - 1 if fine.all() else max(0, np.argmin(fine) - 1)]


limits = {name: holds_up_to(result) for name, result in scaling.items()}
record(
    "04/linear-scaling",
    claim="Scale the rate in proportion to the batch size and training goes on as before, until it breaks",
    source="Goyal et al. 2017 (arXiv:1706.02677)",
    measured="accuracy within 2 points of that at 32 up to batches of "
    + ", ".join(f"{limit} ({name})" for name, limit in limits.items()),
    agrees=limits["rate in proportion"] >= 8 * 32 and limits["rate in proportion"] > limits["rate stays 0.02"],
    seeds=runs,
)

# %% [markdown]
# **What was seen.** With the rate in proportion the accuracy stays at 0.85 from 32 to 256, loses a point and a half at 512
# (0.832), wavers at 1024 (0.763 ± 0.038) and is at guessing at 2048, where the rate is 1.28. With the rate as it was, the
# loss of accuracy begins at 256 (0.825) and reaches 0.442 at 2048: that run is not broken, it has only 23 small steps.
# **The claim holds up to a factor of 8, nearly up to 16.** On the right, the curve for 256 starts later, as it has had
# fewer steps, and from about 20 000 images on it runs with that of 32. The curve for 1024 explodes in its first steps,
# comes back, and never catches up.
#
# What the claim does not say: the *root* does as well up to 512 (0.839), and better beyond: 0.806 at 1024, 0.636 at 2048.
#
# *When it would not hold:* the reason given above asks for gradients that hardly change during $k$ steps. At the start of a
# run they change fastest. That is what a warm-up is for.

# %% [markdown]
# ### G · Warm-up for large batches
#
# **The claim** (the same paper): where the scaled rate is too large for the beginning of the run, a warm-up mends it.
#
# The network above is shallow and forgiving. Here is a deeper one, five hidden layers, with the rate in proportion to the
# batch size (0.02 at 32) and 48 000 images. Once it starts at full rate, once your `linear_warmup` climbs during the first
# fifth of the steps. Then one batch size, 512, and a sweep of rates: is the best rate with warm-up better than the best
# rate without? Last, the share of hidden units that are *dead* in the end: 0 for each of 500 images.
#
# **Your guess first:** does a warm-up help at the best rate, too, or only at rates that are too large?

# %% experiment=true
runs = seeds(quick=3, full=8)
large = np.array([128, 256, 512, 1024])
arms = {"without warm-up": 0.0, "with warm-up": 0.2}
batch, swept = 512, np.array([0.04, 0.08, 0.16, 0.32, 0.64])


def dead_share(net):
    """The share of hidden units that no image wakes."""
    with np.errstate(all="ignore"):  # where training exploded, nothing is awake
        hidden = [values for _, values in net.activations(data.x_val[:500], after=ReLU)]  # each (500, units)
    return np.mean([np.mean(~(values > 0).any(axis=0)) for values in hidden])


def at_rate(rate, seed, warm):
    """Accuracy and dead units of the deep net with batches of 512."""
    net, history = scaled(batch, seed, 0.0, rate, DEEP, warm)
    return history.val_accuracy, dead_share(net)


fig, axes = plt.subplots(1, 3, figsize=(14, 4))
by_size, by_rate = {}, {}
for (name, warm), colour in zip(arms.items(), (COLOURS[1], COLOURS[0]), strict=True):
    by_size[name] = sweep(lambda size, seed, w=warm: scaled(size, seed, 1.0, 0.02, DEEP, w)[1].val_accuracy, large, runs)
    by_rate[name] = sweep(lambda rate, seed, w=warm: at_rate(rate, seed, w), swept, runs)
    curves_with_errors(large, by_size[name], name, axes[0], style="bars", color=colour)
    curves_with_errors(swept, by_rate[name].values[..., 0], name, axes[1], style="bars", color=colour)
    curves_with_errors(swept, by_rate[name].values[..., 1], name, axes[2], style="bars", color=colour)
    pairs = zip(large, by_size[name].mean, by_size[name].error, strict=True)
    print(f"{name}, rate in proportion", *(f"{n}: {m:.3f} ± {e:.3f}" for n, m, e in pairs), sep="\n   ")
    rows = zip(swept, by_rate[name].mean, by_rate[name].error, strict=True)
    print(f"{name}, batches of {batch}")
    print(*(f"   rate {r:g}: {m[0]:.3f} ± {e[0]:.3f}, {m[1]:.0%} ± {e[1]:.0%} dead" for r, m, e in rows), sep="\n")
axes[0].set(xscale="log", xlabel="batch size", ylabel="validation accuracy", title=f"Rate in proportion, {runs} seeds")
axes[0].set_xticks(large, large)
axes[1].set(xscale="log", xlabel="rate", ylabel="validation accuracy", title=f"Batches of {batch}")
axes[2].set(xscale="log", xlabel="rate", ylabel="share of dead units", title=f"Batches of {batch}")
for ax in axes[1:]:
    ax.set_xticks(swept, swept)
for ax in axes:
    ax.minorticks_off()
    ax.legend(fontsize=9)
plt.show()

too_large = by_size["with warm-up"].values[:, -2:] - by_size["without warm-up"].values[:, -2:]  # 512, 1024
rescued = 100 * too_large.mean(axis=1)
best_of = {name: by_rate[name].values[:, np.argmax(by_rate[name].mean[:, 0]), 0] for name in arms}
at_best = 100 * (best_of["with warm-up"] - best_of["without warm-up"])
record(
    "04/warm-up",
    claim="A warm-up mends training with large batches and rates scaled in proportion",
    source="Goyal et al. 2017 (arXiv:1706.02677)",
    measured=f"at the scaled rate a warm-up gains {rescued.mean():.0f} ± {standard_error(rescued):.0f} points on average "
    f"over batches of 512 and 1024; best against best rate, {at_best.mean():.1f} ± {standard_error(at_best):.1f} at 512",
    agrees=rescued.mean() > 2 * standard_error(rescued),
    seeds=runs,
)

# %% [markdown]
# **What was seen.** With the rate in proportion the deeper network breaks down at 512 (0.442 ± 0.113) and guesses at 1024.
# With a warm-up it has 0.808 at 512, and fails at 1024, too (0.140). **The claim holds**, and has its limit: the warm-up
# moved the break by one doubling. At 1024 the rate of 0.64 is too large for the rest of the run as well.
#
# At 512 the best rate with warm-up reaches 0.820 and the best without 0.807, a gain of 1.3 ± 0.5 points. So it helps at
# good rates, too, but most of its gain is that a rate four times as large does no harm. The right-hand picture hints at
# how: at a rate of 0.32 the share of dead units is 44% without a warm-up and 14% with, at 0.08 it is 8% and 2%. A step that
# is too large can push a ReLU below zero for every image; then its gradient is zero, and it stays there. That the first
# steps do it is our reading; the picture shows only the end.
#
# *When it would not hold:* with normalization layers and good initial weights there is less to protect. With few steps a
# long warm-up is itself a loss.

# %% [markdown]
# ## Questions
#
# Answer in a few sentences each, in your own words.

# %% [markdown] question="why-not-decay-at-once" points=3
# **Q1.** A smaller rate has a lower noise floor. Why, then, not decay from the first step? Say what limits the progress
# early and late in a run, how you would find the moment for the first drop, and which of your measurements shows the price
# of decaying too early.
#
# ### BEGIN SOLUTION
# **A good answer:** Early in the run the weights are far from a good place and the gradient is large against its noise:
# progress is limited by how far a step carries, so a large rate is best. Late the distance is small and the loss is held up
# by noise, which is in proportion to the rate: only then does a smaller rate help. After a decay the run hardly travels any
# more (the sum of the remaining rates is small), so a run that decays too early stops far from the goal and cannot make up
# for it. In practice: first find a good rate without any decay, look where the training loss stops falling, and put the
# first drop there; or use a schedule that stays high long enough and ends with the budget (linear, cosine). Experiment B:
# with the small rate from the first step, or with an early drop, the accuracy after the same number of steps is lower than
# with a drop in the middle. In A the low rate is still far up when the good one has long arrived; in D the schedules that
# fall fastest at first (inverse time, inverse root) need an initial rate several times as large as linear or cosine.
#
# **Marking scheme:** 1 point for what limits progress early (distance, size of step) and late (noise); 1 point for a way to
# find the moment (plateau of a run without decay, or validation, or: tied to the budget); 1 point for a measurement with a
# number or a comparison.
# ### END SOLUTION

# %% [markdown] question="what-a-restart-buys" points=3
# **Q2.** A cosine restart throws the rate back up, and the accuracy falls. What does it buy? Name two things, and say when
# you would rather use a single cosine.
#
# ### BEGIN SOLUTION
# **A good answer:** (a) A finished network at the end of each cycle: the rate has gone to 0 there, so whoever must stop, or
# does not know the budget in advance, has something good in hand at $t = T_0$, $3 T_0$, $7 T_0$, …; a single cosine that is
# broken off half-way is still noisy. (b) Several different networks from one run: the large rate after a restart carries
# the weights away to another place, and the networks at the ends of the cycles can be averaged as an ensemble at the cost
# of one training (snapshot ensembles, notebook 06). (Also accepted: a chance to leave a bad region; one need not fix the
# total number of steps.) A single cosine is better, or at least simpler, if the budget is known and only the end counts:
# the steps that the early cycles spend at low rates are then of little use. In our run the restarts were ahead at the ends
# of the first cycles, and not ahead at the end.
#
# **Marking scheme:** 1 point for the good network at the end of each cycle (anytime); 1 point for a second valid benefit
# (snapshots, unknown budget, leaving a region); 1 point for when a single cosine is preferable, with the reason.
# ### END SOLUTION

# %% [markdown]
# ## Remember
#
# 1. The noise of mini-batches keeps the loss on a floor that sinks with the rate. Large first to get there, small last to
#    settle: that is every decay.
# 2. Not from the first step. First a good constant rate, then a decay that ends where the budget ends; linear or cosine will
#    do.
# 3. Compare schedules only with a rate of its own for each. $\eta_0$ means something else in every formula.
# 4. Batch size times $k$, rate times $k$: good for a while. A warm-up extends it a little, by protecting the first steps.
# 5. A range test finds the decade of a good rate in one run, if the run is long enough and you break it off in time.
#
# **Where to read on.** CS231n notes, *Neural Networks Part 3*: the four curves, and annealing. L. N. Smith, *Cyclical
# Learning Rates for Training Neural Networks*, 2017 (arXiv:1506.01186): the range test. I. Loshchilov and F. Hutter, *SGDR:
# Stochastic Gradient Descent with Warm Restarts*, 2017 (arXiv:1608.03983): the cosine, and the restarts. P. Goyal et al.,
# *Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour*, 2017 (arXiv:1706.02677): linear scaling and warm-up. S. L.
# Smith et al., *Don't Decay the Learning Rate, Increase the Batch Size*, 2018 (arXiv:1711.00489): the other way to less
# noise. M. Li et al., *Budgeted Training*, 2020 (arXiv:1905.04753): linear decay. Y. Li et al., *Towards Explaining the
# Regularization Effect of Initial Large Learning Rate in Training Neural Networks*, 2019 (arXiv:1907.04595): another reason
# not to start small.
