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
# # 00 · Gradient checking: how your work will be checked
#
# **After this notebook you can tell a right gradient from a nearly right one, without trusting anybody's formula.**
#
# *About 45 minutes. You need: NumPy arrays, the derivative of a function of one variable. No notebook before this one.*
#
# Every layer of this course has a forward function, which is easy to get right, and a backward function, which is not. A
# wrong backward pass rarely crashes. It trains, only a little worse, and you blame the learning rate. So before the first
# layer you build the tool that finds such mistakes: a comparison with derivatives computed from the forward function alone.
#
# **How a notebook works.** Fill in each function where it says `# YOUR CODE HERE` (the line that raises
# `NotImplementedError` goes), run its cell, then run the `check(...)` cell below it. The table says what is right, what is not, and often which mistake it looks like. `hint("...")` gives one hint at a
# time. Nothing you run here is sent anywhere.

# %% setup=true
import matplotlib.pyplot as plt
import numpy as np

from autograder import check, hint, yours
from nnlab import checking, standard_error
from nnlab.experiments import record, seeds
from nnlab.palette import COLOURS, GREY
from nnlab.plots import use_style

use_style()

# %% [markdown]
# ## The idea
#
# The derivative of a function of one number is the slope of its tangent. We cannot draw a tangent with function calls, but
# we can draw a **secant**: a line through two points of the curve. Move the points together and the secant turns into the
# tangent. The picture shows the two ways to choose the points: one of them at $x$ itself (*one-sided*), or both at the same
# distance from $x$ (*central*).

# %% experiment=true
curve = np.sin
x0, h = 0.5, 0.9
line = np.linspace(-0.8, 2.2, 200)

fig, axes = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True)
for ax, left, name in ((axes[0], x0, "one-sided: from x to x + h"), (axes[1], x0 - h, "central: from x - h to x + h")):
    slope = (curve(x0 + h) - curve(left)) / (x0 + h - left)
    ax.plot(line, curve(line), color=COLOURS[0], label="f")
    ax.plot(line, curve(x0) + np.cos(x0) * (line - x0), color=GREY, ls="--", label=f"tangent, slope {np.cos(x0):.3f}")
    ax.plot(line, curve(left) + slope * (line - left), color=COLOURS[1], label=f"secant, slope {slope:.3f}")
    ax.plot([left, x0 + h], curve(np.array([left, x0 + h])), "o", color=COLOURS[1])
    ax.plot(x0, curve(x0), "o", color=COLOURS[0])
    ax.set(title=name, xlabel="x", ylim=(-1.1, 1.6))
    ax.legend(loc="upper left", fontsize=9)
axes[0].set_ylabel("f(x)")
plt.show()

# %% [markdown]
# Both secants miss the tangent, but the central one misses by far less: it is nearly parallel to the tangent. The reason is
# in the Taylor series. With $f(x \pm h) = f(x) \pm h f'(x) + \tfrac{h^2}{2} f''(x) \pm \tfrac{h^3}{6} f'''(x) + \dots$
#
# $$
# \frac{f(x+h) - f(x)}{h} = f'(x) + \frac{h}{2} f''(x) + \dots
# \qquad\qquad
# \frac{f(x+h) - f(x-h)}{2h} = f'(x) + \frac{h^2}{6} f'''(x) + \dots
# $$
#
# In the central difference the terms with even powers cancel. Its error shrinks like $h^2$, the other's only like $h$.
#
# **From one number to a layer.** A layer takes an array $x$ and gives an array $f(x)$. Training needs the gradient of one
# number, the loss $L$. The rest of the network hands us $\texttt{df} = \partial L / \partial f$, an array with the shape of
# $f(x)$: the *upstream gradient*. To the layer the loss is, up to first order, $\sum f(x) \cdot \texttt{df}$, the sum over
# all entries of the output, each weighed by its upstream gradient. That is the number whose derivative we take.

# %% [markdown]
# ## Convention card
#
# | | this course | elsewhere |
# | --- | --- | --- |
# | relative error | $\max \dfrac{\lvert a-b\rvert}{\max(\text{tiny},\ \lvert a\rvert + \lvert b\rvert)}$, between 0 and 1 | some divide by $\max(\lvert a\rvert, \lvert b\rvert)$: up to twice as large. `np.allclose` mixes an absolute with a relative tolerance |
# | numerical derivative | central, $h = 10^{-5}$, float64 | PyTorch's `gradcheck`: central, $10^{-6}$, float64 |
# | what is differentiated | $\sum f(x) \cdot \texttt{df}$ with a random `df` | the same: a vector–Jacobian product |
# | good enough | below $10^{-6}$ in float64 for a smooth layer | CS231n notes: below $10^{-7}$ is good, above $10^{-2}$ is wrong |

# %% [markdown]
# ## 1 · Relative error
#
# **It computes** one number that says how different two arrays are, whatever their scale.
#
# $$ \texttt{relative\_error}(a, b) = \max_i \frac{|a_i - b_i|}{\max(\text{tiny},\ |a_i| + |b_i|)} $$
#
# `a` and `b` have the same shape (any), or are plain numbers. The result is one float: 0 for equal arrays, 1 where an entry
# has the wrong sign or should have been 0. Where both entries are 0 the error is 0. (`tiny`, say $10^{-12}$, is there for
# just that: 0 divided by 0 would be `nan`.)

# %% exercise="relative_error"
def relative_error(a, b):
    """The largest relative difference between two arrays.

    Inputs:
    - a, b: arrays of the same shape (any number of axes), or two numbers.

    Returns a float: the maximum over all entries of |a - b| / max(tiny, |a| + |b|).
    """
    ### BEGIN SOLUTION
    a, b = np.asarray(a), np.asarray(b)
    return float(np.max(np.abs(a - b) / np.maximum(1e-12, np.abs(a) + np.abs(b))))
    ### END SOLUTION


# %% check="relative_error" points=5

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* Two gradients near 1000 differ by 0.1; two near 0.001 differ by 0.0005. Which pair is worse, and which
#    number says so?
# 2. *A pointer.* Everything happens entry by entry. `np.abs` and `np.maximum` work on whole arrays; `np.max` gives one number.
# 3. *An outline.* Make arrays of both arguments; the numerator is the size of the difference, the denominator the sum of the
#    sizes but never below tiny; take the largest of the quotients.
#
# </details>

# %% [markdown]
# ## 2 · The gradient in every entry
#
# **It computes** the gradient of $\sum f(x) \cdot \texttt{df}$ with respect to every entry of `x`, by moving one entry at a
# time.
#
# $$
# \texttt{grad}_i = \frac{\sum f(x + h e_i) \cdot \texttt{df} \;-\; \sum f(x - h e_i) \cdot \texttt{df}}{2h}
# $$
#
# Here $e_i$ is zero everywhere but in entry $i$, where it is 1. `x` may have any shape, `f(x)` any other; `grad` has the
# shape of `x`, `df` that of `f(x)`. After the call `x` must hold the same numbers as before.

# %% exercise="numerical_gradient"
def numerical_gradient(f, x, df, h=1e-5):
    """The gradient of sum(f(x) * df) by central differences, one entry of x at a time.

    Inputs:
    - f: a function from an array like x to an array like df
    - x: array of any shape, where the gradient is taken
    - df: upstream gradient, of the shape of f(x)
    - h: step

    Returns an array of the shape of x. x is left as it was.
    """
    ### BEGIN SOLUTION
    grad = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        kept = x[index]
        x[index] = kept + h
        above = f(x)
        x[index] = kept - h
        below = f(x)
        x[index] = kept
        grad[index] = np.sum((above - below) * df) / (2 * h)
    return grad
    ### END SOLUTION


# %% check="numerical_gradient" points=7

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* How many numbers does the result hold, and how often must `f` be called for each of them?
# 2. *A pointer.* `np.ndindex(x.shape)` walks over all entries, whatever the number of axes. Keep the old value of an entry
#    before you change it. (If your result is zero everywhere: does `f` perhaps see the same array twice?)
# 3. *An outline.* For each entry: step up, call `f`; step down from the old value, call `f`; put the old value back. Weigh
#    the difference by `df`, sum, divide by the distance of the two points.
#
# </details>

# %% [markdown]
# ## 3 · One direction instead of every entry
#
# A layer with a million weights would cost two million calls. But to *find out whether* a gradient is right, we need not know
# every entry. Walk from $x$ in some direction $v$ (an array of the shape of $x$). The loss then depends on one number, the
# distance, and its derivative is $\sum_i \texttt{grad}_i v_i$. So:
#
# **It computes** the derivative of $\sum f(x)\cdot\texttt{df}$ along $v$ with two calls of `f`, however large `x` is:
#
# $$ \frac{\sum f(x + h v) \cdot \texttt{df} \;-\; \sum f(x - h v) \cdot \texttt{df}}{2h} \;\approx\; \sum_i \texttt{grad}_i\, v_i $$
#
# Compare that number with `np.sum(grad * v)` for the gradient that you want to check. If they differ for one random $v$, the
# gradient is wrong. If they agree for a few random $v$, it is right: a wrong one would have to be off at a right angle to
# all of them. The grader of this course works like that, and looks at single entries only to show you *where* a gradient is
# wrong.

# %% exercise="directional_gradient"
def directional_gradient(f, x, df, v, h=1e-5):
    """The derivative of sum(f(x) * df) along v, with two calls of f.

    Inputs:
    - f: a function from an array like x to an array like df
    - x: array of any shape
    - df: upstream gradient, of the shape of f(x)
    - v: direction, of the shape of x; its length counts
    - h: step

    Returns a float. x and v are left as they were.
    """
    ### BEGIN SOLUTION
    return float(np.sum((f(x + h * v) - f(x - h * v)) * df) / (2 * h))
    ### END SOLUTION


# %% check="directional_gradient" points=5

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* Along `v`, on how many numbers does the loss depend?
# 2. *A pointer.* The two points are `x + h * v` and `x - h * v`: new arrays, so there is nothing to put back, and no loop.
# 3. *An outline.* Difference of the two outputs, weighed by `df`, summed, divided by the distance of the two points in
#    units of `v`.
#
# </details>

# %% [markdown]
# **Try your tools on a wrong gradient.** Below, the gradient of an affine layer $y = xW$ is $\texttt{dx} = \texttt{df}\,W^T$.
# The second version forgets one row of the sum. All three numbers should convince you, each in its way.

# %% experiment=true
relative_error_, numerical_gradient_, directional_gradient_ = yours(
    ["relative_error", "numerical_gradient", "directional_gradient"],
    [checking.relative_error, checking.numerical_gradient, checking.directional_gradient],
)

rng = np.random.default_rng(0)
x, W, df = rng.standard_normal((4, 3)), rng.standard_normal((3, 5)), rng.standard_normal((4, 5))
v = rng.standard_normal(x.shape)


def affine(x):
    return x @ W


right = df @ W.T
wrong = right.copy()
wrong[2] -= df[2, 0] * W[:, 0]

for name, grad in (("right", right), ("wrong", wrong)):
    entries = relative_error_(grad, numerical_gradient_(affine, x, df))
    along = relative_error_(np.sum(grad * v), directional_gradient_(affine, x, df, v))
    print(f"{name} gradient: relative error {entries:.1e} over all entries, {along:.1e} along one direction")

# %% [markdown]
# ## Experiments
#
# ### A · Central differences win by one order
#
# **The claim** (CS231n notes, *Neural Networks Part 3*): use the central difference; its error is of order $h^2$ where the
# one-sided one has $h$. And: check in double precision; in single precision even a right gradient may show a relative error
# as high as $10^{-2}$.
#
# We take a small layer, $f(x) = \tanh(xW)$, whose gradient we know exactly, and measure the relative error of both
# differences for steps $h$ from $1$ down to $10^{-12}$: in float64, the usual precision of Python, and in float32, the usual
# precision of training. Twenty random layers; the band is the standard error of the mean.
#
# **Your guess first:** what happens to the error when $h$ becomes very small? Does it go to zero?

# %% experiment=true
count = seeds(quick=20, full=200)
steps = 10.0 ** np.arange(-12, 0.01, 0.5)


def error_at(h, seed, central, dtype):
    """Relative error of a directional derivative of tanh(x W) at step h."""
    rng = np.random.default_rng(seed)
    x, W, v = rng.standard_normal((6, 5)), rng.standard_normal((5, 4)), rng.standard_normal((6, 5))
    df = rng.standard_normal((6, 4))
    exact = np.sum(((df * (1 - np.tanh(x @ W) ** 2)) @ W.T) * v)
    x, W, df, v, h = (np.asarray(array, dtype=dtype) for array in (x, W, df, v, h))

    def layer(x):
        return np.tanh(x @ W)

    if central:
        found = directional_gradient_(layer, x, df, v, h)
    else:
        found = np.sum((layer(x + h * v) - layer(x)) * df) / h
    return max(relative_error_(exact, np.float64(found)), 1e-17)


fig, axes = plt.subplots(1, 2, figsize=(11, 4), sharey=True)
slopes, logs = {}, {}
for ax, dtype in zip(axes, (np.float64, np.float32), strict=True):
    for central, name, colour in ((False, "one-sided", COLOURS[1]), (True, "central", COLOURS[0])):
        found = np.log10([[error_at(h, seed, central, dtype) for h in steps] for seed in range(count)])
        logs[name, dtype] = found  # (layers, steps)
        mean, error = found.mean(axis=0), standard_error(found)
        ax.loglog(steps, 10**mean, "o-", ms=3, color=colour, label=name)
        ax.fill_between(steps, 10 ** (mean - error), 10 ** (mean + error), color=colour, alpha=0.25)
        if dtype is np.float64:
            fitted = (steps >= (1e-3 if central else 1e-6)) & (steps <= 0.1)
            each = [np.polyfit(np.log10(steps[fitted]), log[fitted], 1)[0] for log in found]
            slopes[name] = np.mean(each), standard_error(each)
        best, usual = np.argmin(mean), np.argmin(np.abs(np.log10(steps) + 5))
        print(
            f"{np.dtype(dtype).name}, {name:9s}: smallest error {10 ** mean[best]:.0e} at h = {steps[best]:.0e}; "
            f"{10 ** mean[usual]:.0e} at h = 1e-5"
        )
    ax.set(title=np.dtype(dtype).name, xlabel="step h")
    ax.legend()
axes[0].set_ylabel("relative error")
plt.show()
for name, (slope, error) in slopes.items():
    print(f"float64, {name}: the right-hand branch has slope {slope:.2f} ± {error:.2f}")

(one, one_error), (two, two_error) = slopes["one-sided"], slopes["central"]
gained = logs["one-sided", np.float64][:, usual] - logs["central", np.float64][:, usual]  # decades, at h = 1e-5
as_said = [abs(one - 1) < max(0.05, 2 * one_error), abs(two - 2) < max(0.05, 2 * two_error)]
record(
    "00/central-differences",
    claim="Use the central difference: its error is of order h², where the one-sided one has h",
    source="CS231n notes, Neural Networks Part 3",
    measured=f"slope of the error against h in float64: one-sided {one:.3f} ± {one_error:.3f}, central {two:.3f} ± "
    f"{two_error:.3f}; at h = 1e-5 the central difference is better by {gained.mean():.1f} ± {standard_error(gained):.1f} decades",
    agrees="yes" if all(as_said) and gained.mean() > 0 else "partly" if two > one + 0.5 else "no",
    seeds=count,
)
single, double = logs["central", np.float32], logs["central", np.float64][:, usual]
at_usual, least = single[:, usual], single[:, np.argmin(single.mean(axis=0))]
record(
    "00/float32",
    claim="In float32 a right gradient may show a relative error as high as 1e-2: check in float64",
    source="CS231n notes, Neural Networks Part 3",
    measured=f"log10 of the error of the central difference at h = 1e-5: {at_usual.mean():.2f} ± {standard_error(at_usual):.2f} "
    f"in float32, {double.mean():.2f} ± {standard_error(double):.2f} in float64; above 1e-2 for {np.mean(at_usual > -2):.1%} of the "
    f"layers in float32; at the best step for float32 {least.mean():.2f} ± {standard_error(least):.2f}",
    agrees="yes" if (at_usual > -2).any() else "partly" if at_usual.mean() > -6 else "no",
    seeds=count,
)

# %% [markdown]
# **What was seen.** Each curve is a V. On the right the formula errs (*truncation*): the branch falls with slope 1 for the
# one-sided and slope 2 for the central difference, as the Taylor series says. On the left the arithmetic errs (*rounding*):
# the two values of `f` agree in ever more digits, their difference keeps only the last ones, and dividing by a small $h$
# blows up what rounding left there. So a smaller step is not a better one. In float64 the central difference is at its best
# between $h = 10^{-6}$ and $10^{-5}$, with errors below $10^{-10}$; that is where our default $h$ comes from.
#
# **In float32** the whole left-hand branch lies higher, as its numbers carry 7 digits instead of 16. With the usual
# $h = 10^{-5}$ the error is near $10^{-3}$: such a check cannot tell a right gradient from one that is off by a tenth of a
# percent. Some layers fare worse: in the course's run 13 of 200 exceed $10^{-2}$. With a step chosen for float32 (about
# $3 \cdot 10^{-3}$) this layer reaches $10^{-5}$, no better. Check in float64, train in whatever you like.
#
# *When it would not hold:* where $f'''$ is huge (a very curved function) the right-hand branch moves up, and the best step
# becomes smaller.

# %% [markdown]
# ### B · A kink breaks the check
#
# **The claim** (same notes): a ReLU network may fail a gradient check although its gradient is right, because a step may
# carry a unit across its kink at 0, where there is no derivative.
#
# We check the (right) gradient of $f(x) = \max(0, xW)$ with 5000 hidden units along random directions, and count how often
# the relative error exceeds $10^{-6}$, for several steps $h$; beside it the same for the smooth $\tanh(xW)$.
#
# **Your guess first:** a unit at distance $d$ from its kink is carried across if the step is longer than $d$. How does the
# share of failing checks grow with $h$?

# %% experiment=true
count = seeds(quick=100, full=400)
kink_steps = 10.0 ** np.arange(-7, -1.9, 0.5)


def fails(h, seed, activation, derivative):
    """Whether a central difference with step h rejects the right gradient of activation(x W)."""
    rng = np.random.default_rng(seed)
    x, W, df = rng.standard_normal((1, 50)), rng.standard_normal((50, 5000)) / 7, rng.standard_normal((1, 5000))
    v = rng.standard_normal(x.shape)
    grad = (df * derivative(x @ W)) @ W.T
    found = directional_gradient_(lambda x: activation(x @ W), x, df, v, h)
    return relative_error_(np.sum(grad * v), found) > 1e-6


fig, axes = plt.subplots(1, 2, figsize=(11, 4))
smooth = (np.tanh, lambda a: 1 - np.tanh(a) ** 2)
kinked = (lambda a: np.maximum(a, 0), lambda a: a > 0)
rejected = {}
for (activation, derivative), name, colour in ((kinked, "ReLU", COLOURS[1]), (smooth, "tanh", COLOURS[0])):
    share = np.array([[fails(h, seed, activation, derivative) for h in kink_steps] for seed in range(count)])
    rejected[name] = share.mean(axis=0), standard_error(share)
    axes[0].errorbar(kink_steps, *rejected[name], marker="o", capsize=3, color=colour, label=name)
    print(name, *(f"{h:.0e}: {mean:.0%}" for h, mean in zip(kink_steps, share.mean(axis=0), strict=True)), sep="  ")
axes[0].set(xscale="log", xlabel="step h", ylabel="share of right gradients rejected", title=f"{count} random layers")
axes[0].legend()

around = np.linspace(-1, 1, 401)
for h, colour in ((0.5, COLOURS[2]), (0.2, COLOURS[3]), (0.05, COLOURS[4])):
    relu = kinked[0]
    axes[1].plot(around, (relu(around + h) - relu(around - h)) / (2 * h), color=colour, label=f"h = {h}")
axes[1].plot(around, around > 0, color=GREY, ls="--", lw=1.5, label="derivative")
axes[1].set(xlabel="x", ylabel="central difference of max(0, x)", title="within h of the kink it is neither 0 nor 1")
axes[1].legend()
plt.show()

(relu_share, relu_error), (tanh_share, tanh_error) = rejected["ReLU"], rejected["tanh"]
shown = [int(np.argmin(np.abs(np.log10(kink_steps) - power))) for power in (-6, -5, -4, -3)]
fails_more = (relu_share - tanh_share > 2 * np.hypot(relu_error, tanh_error))[shown[2]]  # at h = 1e-4
grows = np.all(np.diff(relu_share[shown]) > 0)
record(
    "00/kink",
    claim="A ReLU network may fail a check although its gradient is right, as a step carries units across their kinks",
    source="CS231n notes, Neural Networks Part 3",
    measured="right gradients rejected with ReLU: "
    + ", ".join(f"{relu_share[k]:.1%} ± {relu_error[k]:.1%} (h = {kink_steps[k]:.0e})" for k in shown)
    + "; with tanh: "
    + ", ".join(f"{tanh_share[k]:.1%} ± {tanh_error[k]:.1%} (h = {kink_steps[k]:.0e})" for k in shown),
    agrees="yes" if fails_more and grows else "partly" if fails_more else "no",
    seeds=count,
)

# %% [markdown]
# **What was seen.** With ReLU the share of false alarms grows with $h$: 3% at $10^{-5}$, 25% at $10^{-4}$, 90% at $10^{-3}$.
# (With 400 layers instead of 100: 4%, 31%, 94%.) Among 5000 units some are always close to their kink, and a longer
# step meets more of them. The smooth tanh raises no alarm up to $10^{-4}$ (one with 400 layers); from $10^{-3}$ on it
# fails as well, for another reason, the truncation of experiment A. The right-hand picture shows what happens at one
# kink: within $h$ of it the central difference reads something between 0 and 1, where the derivative is one or the
# other.
#
# **How to recognise a kink** when a check fails: make $h$ ten times smaller. A wrong gradient stays wrong. A false alarm from
# a kink mostly goes away; from truncation it shrinks a hundredfold. The checks of this course draw inputs that stay clear of kinks.

# %% [markdown]
# ## Questions
#
# Answer in a few sentences each, in your own words.

# %% [markdown] question="why-relative" points=2
# **Q1.** Your numerical and your analytic gradient differ by at most $10^{-4}$. Why is that number alone no reason to trust
# or to distrust the gradient, and what does the relative error do about it? Is there a case in which the relative error
# itself misleads?
#
# ### BEGIN SOLUTION
# **A good answer:** Whether $10^{-4}$ is much depends on the size of the gradient: for entries near 1000 it is rounding, for
# entries near $10^{-4}$ it means that not one digit is right. Dividing by $|a| + |b|$ makes the number independent of the
# scale. It misleads where both values should be (nearly) zero: rounding noise of $10^{-17}$ against $0$ gives an error of 1,
# though nothing is wrong.
#
# **Marking scheme:** 1 point for the dependence on scale, with both directions or an example; 1 point for entries near zero
# (or: for saying that one tiny entry can dominate the maximum).
# ### END SOLUTION

# %% [markdown] question="why-random-upstream" points=2
# **Q2.** Why do the checks weigh the output by a *random* upstream gradient `df` and not by ones? Name one mistake in a
# backward pass that ones would never show.
#
# ### BEGIN SOLUTION
# **A good answer:** With ones only the sum of the outputs is differentiated. Whatever leaves that sum alone cannot be seen:
# outputs that are swapped or transposed, or a `dout` that is ignored altogether. In batch norm it is worst: each normalised
# feature sums to zero over the batch whatever `x` is, so for an upstream gradient of ones the true `dx` is zero, and a
# backward pass that returns zeros passes. Random weights make every output count with a different share, so that a mistake
# cannot cancel.
#
# **Marking scheme:** 1 point for the idea (only the sum is seen, mistakes can cancel); 1 point for a valid example.
# ### END SOLUTION

# %% [markdown]
# ## Remember
#
# 1. A numerical gradient needs the forward function only; that is why it can be trusted.
# 2. Central difference: error of order $h^2$. Best step in float64 near $10^{-5}$; smaller steps lose to rounding.
# 3. Compare by relative error, in float64, with a random upstream gradient.
# 4. A few random directions tell *whether* a gradient is wrong; single entries tell *where*.
# 5. A check of your backward through your own *wrong* forward proves nothing: it may be the exact gradient of the wrong function.
#
# **Where to read on.** CS231n notes, *Neural Networks Part 3*, section on gradient checks. A. G. Baydin et al., *Automatic
# differentiation in machine learning: a survey*, 2018 (arXiv:1502.05767), section 2, on why numerical derivatives are
# for checking and not for training. N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, 2002, chapter 1, on rounding.
