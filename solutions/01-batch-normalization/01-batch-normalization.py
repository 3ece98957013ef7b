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
# # 01 · Batch normalization
#
# **After this notebook you can build the layer that made deep networks easy to train, derive its gradient in two ways, and
# say from your own measurements what it buys and where it breaks.**
#
# *About two hours. You need: notebook 00, the chain rule, `mean` and `sum` along an axis in NumPy.*

# %% setup=true
import time

import matplotlib.pyplot as plt
import numpy as np

from autograder import check, hint, yours
from nnlab import Affine, Norm, Sequential, digits, minibatches, mlp, norms, repeat, standard_error, sweep, train
from nnlab.experiments import record, seeds
from nnlab.palette import COLOURS, GREY
from nnlab.plots import (
    activation_histograms,
    batchnorm_graph,
    computation_graph,
    curves_with_errors,
    norm_cube,
    use_style,
)

use_style()

# %% [markdown]
# ## The idea
#
# In a deep network each layer works on what the layer below puts out. If every layer makes its input a little smaller, the
# effect multiplies: a factor of one half per layer is a factor of one thousandth after ten. The gradient on its way back
# suffers the same. Well-chosen initial weights keep the factor near 1, but only for the first step. After that the weights
# move, and nothing keeps the spread where it was.
#
# Batch normalization takes the direct way. **If we want a feature to have mean 0 and variance 1, we compute its mean and
# variance and make it so.** Mean and variance come from the examples at hand, the mini-batch, and the whole computation is
# a layer like any other: gradients flow through it, through the mean and the variance too.
#
# The picture shows networks with ten hidden layers of 50 units on handwritten digits (8 × 8 pixels), before any training:
# what goes into the ReLU of hidden layers 1, 3, 5, 7 and 10. The first has initial weights half as large as He's rule says,
# the second twice as large. The third has the small weights again, and a batch norm after each affine layer.

# %% experiment=true
data = digits().flat
print(data)
DEEP = [64] + [50] * 10 + [10]
course_batchnorm = (norms.batchnorm_forward, norms.batchnorm_backward)


def before_relu(norm, init_scale):
    """What goes into some of the ReLUs of a fresh network, as (name, array) for each."""
    net = mlp(DEEP, norm, rng=0, init_scale=init_scale)
    found = net.activations(data.x_train[:500], mode="train", after=Affine if norm is None else Norm)
    return [(f"hidden layer {layer}", found[layer - 1][1]) for layer in (1, 3, 5, 7, 10)]


activation_histograms(
    {
        "half of He": before_relu(None, 0.5),
        "twice He": before_relu(None, 2.0),
        "half, batch norm": before_relu(course_batchnorm, 0.5),
    }
)
plt.show()

# %% [markdown]
# Look at the standard deviations above the panels and at the ends of the axes. Without batch norm the spread shrinks or
# grows by a factor of about two in every layer: at layer 10 it is 0.0026 in the one network and 2700 in the other. (The
# shapes are the same, since a ReLU network without biases only rescales.) With batch norm each layer sees a spread of 1.
#
# **Is nothing lost?** A layer that must always put out mean 0 and variance 1 can say less than one that need not. So each
# feature gets two learned numbers, a scale $\gamma$ and a shift $\beta$. With $\gamma$ equal to the standard deviation and
# $\beta$ equal to the mean the layer would do nothing at all. The network can learn that; what matters is that it starts
# elsewhere and that the spread is now one number, $\gamma$, and no longer the outcome of all the weights below.
#
# **Why it helps** is less clear than that it helps. Ioffe and Szegedy (2015) argued that it reduces *internal covariate
# shift*: the inputs of a layer keep changing while the layers below learn. Santurkar et al. (2018) added such a shift on
# purpose, after batch norm, and the networks trained just as well; they found instead that batch norm makes the loss
# smoother. So the first explanation is disputed. The experiments below test *what* happens, which is safer ground.

# %% [markdown]
# ## Convention card
#
# | | this course | PyTorch (`nn.BatchNorm1d`) | paper (Ioffe & Szegedy 2015, arXiv:1502.03167) |
# | --- | --- | --- | --- |
# | `momentum` | weight of the OLD average, 0.9 | weight of the NEW batch, 0.1: the complement | says moving averages, gives no number |
# | variance in training | biased: divided by $N$ | biased | biased |
# | variance kept for test time | biased | unbiased: $\frac{N}{N-1}$ times as large | unbiased |
# | running statistics start at | zeros, both | mean 0, variance 1 | no running start: computed after training |
# | `eps` | $10^{-5}$, added to the variance, inside the root | the same | inside the root, no number |
# | names of $\gamma$, $\beta$ | `gamma`, `beta` | `weight`, `bias` | $\gamma$, $\beta$ |
# | train or test | `bn_param["mode"]` | `model.train()`, `model.eval()` | two algorithms |
# | place | after the affine layer, before the ReLU | yours to choose | the same as here |

# %% [markdown]
# ## 1 · Forward, at training and at test time
#
# **It computes**, for each feature on its own, its deviation from the mean in units of its standard deviation, then scales
# and shifts. In training, with `x` of shape $(N, D)$ and everything else of shape $(D,)$:
#
# $$
# \mu = \frac1N \sum_{i=1}^N x_i \qquad v = \frac1N \sum_{i=1}^N (x_i - \mu)^2 \qquad
# \hat x_i = \frac{x_i - \mu}{\sqrt{v + \varepsilon}} \qquad y_i = \gamma\, \hat x_i + \beta
# $$
#
# Here $x_i$ is row $i$, one example. $\varepsilon$ keeps a feature that never varies from being divided by zero.
#
# **At test time** there may be no batch: an answer is wanted for one image. So in training the layer also keeps a running
# average of $\mu$ and of $v$, and at test time it puts them in the place of the batch's own:
#
# $$
# \texttt{running} \leftarrow \texttt{momentum} \cdot \texttt{running} + (1 - \texttt{momentum}) \cdot \texttt{batch}
# $$

# %% exercise="batchnorm_forward"
def batchnorm_forward(x, gamma, beta, bn_param):
    """Batch normalization of each feature, at training or at test time.

    Inputs:
    - x: array (N, D), N examples with D features
    - gamma, beta: arrays (D,), scale and shift
    - bn_param: dict with these keys; a missing one has the value in brackets
      - mode: "train" or "test" (must be given)
      - eps: added to the variance, inside the root (1e-5)
      - momentum: weight of the old running average (0.9)
      - running_mean, running_var: arrays (D,) (zeros). In train mode both are updated and written back to bn_param; in
        test mode both are used and stay as they are.

    Returns:
    - out: array (N, D)
    - cache: whatever your backward functions need
    """
    ### BEGIN SOLUTION
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    momentum = bn_param.get("momentum", 0.9)
    running_mean = bn_param.get("running_mean", np.zeros(x.shape[1], dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(x.shape[1], dtype=x.dtype))

    if mode == "train":
        mean = x.mean(axis=0)
        centred = x - mean
        var = (centred * centred).mean(axis=0)
        bn_param["running_mean"] = momentum * running_mean + (1 - momentum) * mean
        bn_param["running_var"] = momentum * running_var + (1 - momentum) * var
    elif mode == "test":
        centred = x - running_mean
        var = running_var
    else:
        raise ValueError(f'bn_param["mode"] is {mode!r}; it should be "train" or "test"')

    std = np.sqrt(var + eps)
    out = gamma * (centred / std) + beta
    return out, (centred, std, gamma)
    ### END SOLUTION


# %% check="batchnorm_forward" points=10

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* How many means are there for `x` of shape (N, D)? And at test time: whose mean is it?
# 2. *A pointer.* `axis=0` runs over the examples. `bn_param.get(key, default)` covers a missing key. A new running average
#    lives on only if you store it under its key.
# 3. *An outline.* Read the settings. Train: statistics of the batch, both running averages updated and stored. Test: the
#    stored ones, nothing updated. Then the same lines for both modes: subtract, divide by the root, scale, shift.
#
# </details>

# %% [markdown]
# **Watch the running average catch up.** One feature (a unit of a random affine layer on the digits), whose true mean and
# variance over the whole training set we know. Mini-batches of 32 go through your layer, and we look at `running_mean` and
# `running_var` after each, for two values of `momentum`. The weights are fixed, so the true values stand still.

# %% experiment=true
(batchnorm_forward_,) = yours(["batchnorm_forward"], [norms.batchnorm_forward])

features = mlp([64, 50], rng=0).forward(data.x_train).astype(np.float64)
feature = features[:, [np.argmax(np.abs(features.mean(axis=0)))]]  # (N, 1): the unit whose mean is farthest from 0
true = {"running_mean": feature.mean(), "running_var": feature.var()}
after = np.arange(1, 601)

fig, axes = plt.subplots(1, 2, figsize=(11, 3.8))
for momentum, colour in ((0.9, COLOURS[0]), (0.99, COLOURS[1])):
    bn_param = {"mode": "train", "momentum": momentum}
    batches = minibatches(feature, data.y_train, 32, np.random.default_rng(0))
    seen = {"running_mean": [], "running_var": []}
    for _ in after:
        batchnorm_forward_(next(batches)[0], np.ones(1), np.zeros(1), bn_param)
        for name in seen:
            seen[name].append(float(np.squeeze(bn_param[name])))
    for ax, name in zip(axes, seen, strict=True):
        relative = np.array(seen[name]) / true[name]
        ax.plot(after, seen[name], color=colour, lw=1.3, label=f"momentum {momentum}")
        ax.plot(after, true[name] * (1 - momentum**after), color=colour, ls=":", lw=2, label=f"true · (1 - {momentum}ᵗ)")
        near, late = np.argmax(relative > 0.9) + 1, relative[300:]
        print(
            f"momentum {momentum}, {name}: {relative[9]:.0%} of the true value after 10 steps, 90% first at step {near}; "
            f"from step 301 on {late.mean():.1%} ± {late.std():.1%}"
        )
for ax, name in zip(axes, true, strict=True):
    ax.axhline(true[name], color=GREY, ls="--", lw=1.5, label="whole training set")
    ax.set(xlabel="training steps", title=name)
axes[0].legend(fontsize=9, loc="best")
plt.show()

# %% [markdown]
# **What was seen.** The average starts at zero and creeps up: after $t$ steps it is, but for noise, the true value times
# $1 - \texttt{momentum}^t$ (dotted). With 0.9 the running mean has 64% of its true value after 10 steps and 90% at step 23;
# with 0.99 it takes ten times as long, 229 steps. A network tested after 50 steps with momentum 0.99 would divide by a far
# too small deviation. The price of the quick average is noise: late in the run the running variance jitters by 5.9% with
# 0.9, by 1.6% with 0.99.
#
# One thing stays: with 0.9 the running *variance* settles at 97% of the true one. The mean of a biased variance over
# batches of 32 is $\frac{31}{32} = 96.9\%$ of the variance of all. That is why the paper and PyTorch multiply what they
# keep by $\frac{N}{N-1}$. We do not, and at this batch size it hardly matters.
#
# *When it would not hold:* here the weights stood still. In training the true values move, and the average lags behind them
# by about $1 / (1 - \texttt{momentum})$ steps.

# %% [markdown]
# ## 2 · Backward, along the graph
#
# The output depends on `x` in more ways than one: each $x_i$ also moves the mean and the variance, and these move *every*
# row of the output. A graph keeps the paths apart. First forward: each box is one operation, the letters on the arrows name
# its result. $x_c$ is $x$ less its mean, $\sigma = \sqrt{v + \varepsilon}$, $s = 1/\sigma$. The output is called $y$.

# %% experiment=true
computation_graph(*batchnorm_graph(), upto=0, title="Forward: from x to y. Only dy is known so far.")
plt.show()

# %% [markdown]
# Now back, box by box, from the right. $dy$ is `dout`; $dz$ stands for the gradient of the loss with respect to $z$, and so
# on. Three rules are enough:
#
# - **One operation:** the gradient that arrives at a box is multiplied by the local derivative. Behind
#   $\gamma \cdot \hat x$: $d\hat x = \gamma\, dz$.
# - **Broadcast forward, sum backward.** $\beta$, shape $(D,)$, was added to all $N$ rows. So all $N$ rows add to its
#   gradient: $d\beta = \sum_i dy_i$. The same for $\gamma$, $s$ and $\mu$. The other way round, a sum over the batch
#   forward is a broadcast backward.
# - **Where arrows part forward, gradients add backward.** $x_c$ goes into two boxes and gets a gradient from each.
#
# After three steps we are through the scale and shift and have passed the product $\hat x = x_c \cdot s$, which hands a
# gradient to both its factors:

# %% experiment=true
computation_graph(*batchnorm_graph(), upto=3, highlight={"normalise"}, title="Three steps back: shift, scale, product")
plt.show()

# %% [markdown]
# The rest: through $1/\sigma$ (derivative $-1/\sigma^2$), the root (derivative $1/(2\sigma)$), the mean of the squares
# ($1/N$ for each), the square ($2 x_c$). There the two gradients of $x_c$ meet and add. Then through the subtraction, where
# $\mu$ gets the negative sum, and at last through the mean. At $x$ two gradients meet again.

# %% experiment=true
computation_graph(*batchnorm_graph(), title="All nine steps")
plt.show()

# %% [markdown]
# **It computes** the gradients of the loss with respect to the three inputs of the forward, for a forward in train mode.
# `dout` has the shape of the output, $(N, D)$; `dx` is $(N, D)$; `dgamma` and `dbeta` are $(D,)$:
#
# $$
# d\beta = \sum_i dy_i \qquad d\gamma = \sum_i \hat x_i\, dy_i \qquad
# dx_i = dx_{c,i} + \tfrac1N\, d\mu \quad\text{with } dx_c,\ d\mu \text{ from the graph}
# $$

# %% exercise="batchnorm_backward"
def batchnorm_backward(dout, cache):
    """The gradients of batch normalization in train mode, node by node through the graph.

    Inputs:
    - dout: upstream gradient, array (N, D), of the shape of the output
    - cache: what batchnorm_forward returned

    Returns:
    - dx: array (N, D)
    - dgamma, dbeta: arrays (D,)
    """
    ### BEGIN SOLUTION
    centred, std, gamma = cache
    N = len(dout)

    # y = z + beta, z = gamma * x_hat
    dbeta = dout.sum(axis=0)
    dgamma = (dout * (centred / std)).sum(axis=0)
    dx_hat = dout * gamma
    # x_hat = centred * s, s = 1 / std
    dcentred = dx_hat / std
    ds = (dx_hat * centred).sum(axis=0)
    # std = sqrt(var + eps), var = mean of the squares
    dstd = -ds / std**2
    dvar = dstd / (2 * std)
    dsquares = dvar / N  # (D,), the same for every row
    dcentred = dcentred + 2 * centred * dsquares
    # centred = x - mean
    dmean = -dcentred.sum(axis=0)
    dx = dcentred + dmean / N
    return dx, dgamma, dbeta
    ### END SOLUTION


# %% check="batchnorm_backward" points=6

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* On how many paths does one `x[i, j]` reach the output? Follow the arrows.
# 2. *A pointer.* Write one line for each arrow of the picture, from right to left, and note the shape beside it: is it
#    (N, D) or (D,)? What is (D,) was summed over the batch.
# 3. *An outline.* Gradients of beta, gamma and x_hat. From x_hat to s (summed) and to x_c (not summed). From s by way of
#    sigma, v and q a second gradient to x_c. Add the two. Their negative sum is the mean's gradient; each row gets one N-th.
#
# </details>

# %% [markdown]
# ## 3 · Backward, on paper
#
# The graph is safe but long. Since it is one formula, it can be derived at once. Take **one feature**, so that $x$,
# $\hat x$, $y$ are vectors of length $N$ and $\mu, v, s, \gamma, \beta$ are numbers. As before
# $s = (v + \varepsilon)^{-1/2}$ and $\hat x_k = s\,(x_k - \mu)$. Indices $i$ and $k$ run over the batch.
#
# **Step 1: how mean and variance react** when one $x_i$ moves.
#
# $$
# \frac{\partial \mu}{\partial x_i} = \frac1N
# \qquad\qquad
# \frac{\partial v}{\partial x_i} = \frac1N \sum_k 2\,(x_k - \mu) \Big(\delta_{ki} - \frac1N\Big)
# = \frac2N (x_i - \mu) - \frac{2}{N^2} \underbrace{\sum_k (x_k - \mu)}_{=\,0} = \frac2N (x_i - \mu)
# $$
#
# ($\delta_{ki}$ is 1 for $k = i$ and 0 otherwise.) The variance does move with the mean, but that part adds up to zero.
#
# **Step 2: the inverse deviation.** By the chain rule, and with $s\,(x_i - \mu) = \hat x_i$:
#
# $$
# \frac{\partial s}{\partial x_i} = -\tfrac12 (v + \varepsilon)^{-3/2} \cdot \frac2N (x_i - \mu)
# = -\frac{s^3}{N} (x_i - \mu) = -\frac{s^2}{N}\, \hat x_i
# $$
#
# **Step 3: the normalised value** of example $k$, by the product rule, and with $x_k - \mu = \hat x_k / s$:
#
# $$
# \frac{\partial \hat x_k}{\partial x_i}
# = s \Big(\delta_{ki} - \frac1N\Big) + (x_k - \mu)\, \frac{\partial s}{\partial x_i}
# = s \Big(\delta_{ki} - \frac1N - \frac1N\, \hat x_k\, \hat x_i\Big)
# $$
#
# That is an $N \times N$ matrix for each feature. We never build it.
#
# **Step 4: the sum over all outputs.** With $d\hat x_k = \gamma\, dy_k$:
#
# $$
# dx_i = \sum_k \gamma\, dy_k\, \frac{\partial \hat x_k}{\partial x_i}
# = \gamma\, s \Big( dy_i - \frac1N \sum_k dy_k - \frac1N\, \hat x_i \sum_k \hat x_k\, dy_k \Big)
# $$
#
# The two sums are old friends: $\sum_k dy_k = d\beta$ and $\sum_k \hat x_k\, dy_k = d\gamma$. Written for all features at
# once, with `dout`, $\hat x$ of shape $(N, D)$ and $\gamma, s, d\gamma, d\beta$ of shape $(D,)$:
#
# $$
# \boxed{\;\texttt{dx} = \frac{\gamma\, s}{N} \big( N\, \texttt{dout} - d\beta - \hat x\, d\gamma \big)\;}
# $$
#
# **Read it.** The gradient loses its mean over the batch: shifting all $x_i$ together changes nothing. And it loses its
# part along $\hat x$: stretching the batch about its mean changes nothing either (up to $\varepsilon$). What is left is
# divided by the standard deviation.
#
# **It computes** the same three gradients by that formula.

# %% exercise="batchnorm_backward_alt"
def batchnorm_backward_alt(dout, cache):
    """The gradients of batch normalization in train mode, in closed form.

    Inputs:
    - dout: upstream gradient, array (N, D), of the shape of the output
    - cache: what batchnorm_forward returned (the same as for batchnorm_backward)

    Returns:
    - dx: array (N, D)
    - dgamma, dbeta: arrays (D,)
    """
    ### BEGIN SOLUTION
    centred, std, gamma = cache
    x_hat = centred / std
    dbeta = np.sum(dout, axis=0)
    dgamma = np.sum(x_hat * dout, axis=0)
    dx = (gamma / std) * (dout - (dbeta + x_hat * dgamma) / len(dout))
    return dx, dgamma, dbeta
    ### END SOLUTION


# %% check="batchnorm_backward_alt" points=6

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* Which of the quantities in the box have shape (N, D), which (D,)? Does broadcasting do the rest?
# 2. *A pointer.* Compute dgamma and dbeta first; both appear in dx. If your dx is right only for large variances, look for
#    the eps in your s.
# 3. *An outline.* Normalised x and s from the cache; the two sums over the batch; then the box, which is one line.
#
# </details>

# %% [markdown]
# ## 4 · Batch norm after a convolution
#
# A convolution puts out images, `x` of shape $(N, C, H, W)$. The same filter made all pixels of a channel, so they should
# all be treated alike: **one mean and one variance for each channel**, over all images *and* all pixels. Numbers of one
# colour share a mean:

# %% experiment=true
norm_cube((0, 2, 3), "Batch norm, axes (0, 2, 3)")
plt.show()

# %% [markdown]
# **It computes** what `batchnorm_forward` does, with a channel in the place of a feature and every pixel of every image in
# the place of an example: $N \cdot H \cdot W$ numbers go into each mean. `gamma`, `beta` and the running statistics have
# shape $(C,)$.
#
# $$
# \mu_c = \frac{1}{N H W} \sum_{n, h, w} x_{nchw} \qquad
# v_c = \frac{1}{N H W} \sum_{n, h, w} (x_{nchw} - \mu_c)^2 \qquad
# y_{nchw} = \gamma_c\, \frac{x_{nchw} - \mu_c}{\sqrt{v_c + \varepsilon}} + \beta_c
# $$

# %% exercise="spatial_batchnorm_forward"
def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    """Batch normalization of each channel, at training or at test time.

    Inputs:
    - x: array (N, C, H, W)
    - gamma, beta: arrays (C,)
    - bn_param: dict with the keys of batchnorm_forward: mode, eps (1e-5), momentum (0.9), and running_mean, running_var,
      arrays (C,) (zeros), which are written back in train mode

    Returns:
    - out: array (N, C, H, W)
    - cache: whatever your backward function needs
    """
    ### BEGIN SOLUTION
    N, C, H, W = x.shape
    rows = np.moveaxis(x, 1, 3).reshape(N * H * W, C)
    out, cache = batchnorm_forward(rows, gamma, beta, bn_param)
    return np.moveaxis(out.reshape(N, H, W, C), 3, 1), cache
    ### END SOLUTION


# %% check="spatial_batchnorm_forward" points=7

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* You have a layer for (examples, features). Which of the four axes are examples here?
# 2. *A pointer.* `reshape` cuts the numbers in the order in which they lie. So the channel axis must be last *before* you
#    reshape: `transpose` or `np.moveaxis`.
# 3. *An outline.* Channels last, flatten the other three axes to rows, call your `batchnorm_forward`; then undo the two
#    steps in reverse order: first back to four axes, then the channel axis to its place.
#
# </details>

# %% [markdown]
# ## 5 · …and its gradient
#
# **It computes** `dx` $(N, C, H, W)$, `dgamma` $(C,)$ and `dbeta` $(C,)$ from `dout` $(N, C, H, W)$. Moving numbers to other
# places has a simple gradient: the gradients move back. So the formulas are those of section 3, with $N H W$ for $N$:
#
# $$
# d\beta_c = \sum_{n,h,w} dy_{nchw} \qquad d\gamma_c = \sum_{n,h,w} \hat x_{nchw}\, dy_{nchw} \qquad
# dx_{nchw} = \frac{\gamma_c\, s_c}{N H W} \big( N H W\, dy_{nchw} - d\beta_c - \hat x_{nchw}\, d\gamma_c \big)
# $$

# %% exercise="spatial_batchnorm_backward"
def spatial_batchnorm_backward(dout, cache):
    """The gradients of convolutional batch normalization in train mode.

    Inputs:
    - dout: upstream gradient, array (N, C, H, W)
    - cache: what spatial_batchnorm_forward returned

    Returns:
    - dx: array (N, C, H, W)
    - dgamma, dbeta: arrays (C,)
    """
    ### BEGIN SOLUTION
    N, C, H, W = dout.shape
    rows = np.moveaxis(dout, 1, 3).reshape(N * H * W, C)
    dx, dgamma, dbeta = batchnorm_backward_alt(rows, cache)
    return np.moveaxis(dx.reshape(N, H, W, C), 3, 1), dgamma, dbeta
    ### END SOLUTION


# %% check="spatial_batchnorm_backward" points=6

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* The forward moved numbers, normalised, and moved them back. What does each of the three do to a gradient?
# 2. *A pointer.* `dout` must get the same (rows, channels) form that `x` had when your forward called batch norm.
# 3. *An outline.* Bring `dout` to rows, call one of your two backward functions, bring `dx` back. `dgamma` and `dbeta` have
#    the right shape already.
#
# </details>

# %% [markdown]
# ## 6 · Folding: batch norm for nothing
#
# At test time the statistics are constants. Then batch norm multiplies each feature by one number and adds another: an
# affine map, right behind the affine layer $xW + b$. Two affine maps in a row are one affine map. The picture follows one
# feature that depends on one input, a pixel: each step turns a line into a line. In the last panel the slope and the
# intercept of the final line were read off from two of its points.

# %% experiment=true
pixel = data.x_train[:, [np.argmax(data.x_train.var(axis=0))]].astype(np.float64)  # (N, 1), the pixel that varies most
w, offset, scale, shift = np.array([[0.8]]), np.array([1.0]), np.array([-1.5]), np.array([0.5])
affine_out = pixel @ w + offset
statistics = {"running_mean": affine_out.mean(axis=0), "running_var": affine_out.var(axis=0)}


def at_test_time(x, gamma, beta):
    return batchnorm_forward_(x @ w + offset, gamma, beta, {"mode": "test", **statistics})[0]


line = np.linspace(pixel.min(), pixel.max(), 50)[:, None]  # (50, 1)
stages = {
    "x W + b": line @ w + offset,
    "normalised": at_test_time(line, np.ones(1), np.zeros(1)),
    "scaled and shifted": at_test_time(line, scale, shift),
}
at_zero, at_one = at_test_time(np.array([[0.0], [1.0]]), scale, shift)[:, 0]

fig, axes = plt.subplots(1, 4, figsize=(13, 3.2), sharey=True)
for ax, (name, values), colour in zip(axes, stages.items(), COLOURS, strict=False):
    ax.plot(line, values, color=colour)
    ax.set(title=name, xlabel="pixel x")
axes[3].plot(line, stages["scaled and shifted"], color=COLOURS[2], lw=5, alpha=0.35, label="the three steps")
axes[3].plot(line, (at_one - at_zero) * line + at_zero, color="black", ls="--", lw=1.5, label="one line")
axes[3].set(title=f"{at_one - at_zero:.2f} x + {at_zero:.2f}", xlabel="pixel x")
axes[3].legend(fontsize=9)
plt.show()

# %% [markdown]
# **It computes** a new weight matrix and bias such that $x W_2 + b_2$ equals test-time batch norm of $xW + b$, for every
# $x$. With $W$ of shape $(D, M)$, and $b, \gamma, \beta, \mu, v$ (the running mean and variance) of shape $(M,)$:
#
# $$
# x W_2 + b_2 = \gamma\, \frac{(x W + b) - \mu}{\sqrt{v + \varepsilon}} + \beta \qquad \text{for all } x
# $$
#
# What multiplies $x$ is $W_2$, $(D, M)$; everything else is $b_2$, $(M,)$. To collect the terms is your part.

# %% exercise="fold_batchnorm"
def fold_batchnorm(W, b, gamma, beta, running_mean, running_var, eps=1e-5):
    """One affine layer that does the work of an affine layer and the test-time batch norm behind it.

    Inputs:
    - W: array (D, M), b: array (M,): the affine layer x @ W + b
    - gamma, beta: arrays (M,), scale and shift of the batch norm
    - running_mean, running_var: arrays (M,), its running statistics
    - eps: added to the variance, inside the root

    Returns:
    - W2: array (D, M)
    - b2: array (M,)
    """
    ### BEGIN SOLUTION
    per_feature = gamma / np.sqrt(running_var + eps)
    W2 = W * per_feature
    b2 = b * per_feature + (beta - running_mean * per_feature)
    return W2, b2
    ### END SOLUTION


# %% check="fold_batchnorm" points=6

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* At test time batch norm multiplies each feature by one number. Which one? And what is the output for
#    $x = 0$?
# 2. *A pointer.* Feature $j$ of $xW$ comes from column $j$ of $W$ alone. Multiplying a (D, M) array by a (M,) array scales
#    its columns.
# 3. *An outline.* One scale per feature from gamma, running_var and eps. It multiplies the columns of W. For b2 put $x = 0$
#    into the equation and keep all four terms: b, the running mean, the scale, beta.
#
# </details>

# %% [markdown]
# ## Experiments
#
# All networks below learn the 8 × 8 digits (1197 to train on) by SGD with momentum 0.9. They use your own layer where it
# passes its checks. An error bar is the standard error of the mean over the seeds. Your numbers may differ a little from
# those in the text: at a large rate, a difference in the last digit of one sum is enough for another path.
#
# ### A · Larger learning rates train
#
# **The claim** (Ioffe & Szegedy 2015): batch norm allows much higher learning rates. (They raised theirs by factors of 5
# and 30.)
#
# A network with ten hidden layers of 50 units, 200 steps with batches of 64, with learning rates from 0.001 to 3. Five
# seeds, which change the initial weights and the order of the batches. We look at the accuracy on the validation set at the
# end.
#
# **Your guess first:** by what factor does the largest rate that works grow? And is the network with batch norm also better
# at the smallest rate?

# %% experiment=true
count = seeds(quick=5, full=10)
batchnorm = yours(["batchnorm_forward", "batchnorm_backward"], course_batchnorm)
nets = {"without": None, "with batch norm": batchnorm}


def val_accuracy(norm, learning_rate, seed, init_scale=1.0):
    """Accuracy of the deep net after 200 steps."""
    net = mlp(DEEP, norm, rng=seed, init_scale=init_scale)
    return train(net, data, steps=200, batch_size=64, learning_rate=learning_rate, rng=seed, eval_every=0).val_accuracy


rates = 10.0 ** np.arange(-3, 0.6, 0.5)
by_rate = {}
ax = plt.subplots(figsize=(8, 4))[1]
for (name, norm), colour in zip(nets.items(), (COLOURS[1], COLOURS[0]), strict=True):
    result = by_rate[name] = sweep(lambda rate, seed, norm=norm: val_accuracy(norm, rate, seed), rates, seeds=count)
    curves_with_errors(rates, result, name, ax, style="bars", color=colour)
    pairs = zip(rates, result.mean, result.error, strict=True)
    print(f"{name} ({result.seconds:.0f} s)", *(f"{r:.2g}: {m:.3f} ± {e:.3f}" for r, m, e in pairs), sep="\n   ")
ax.axhline(0.1, color=GREY, ls="--", lw=1.5, label="guessing")
ax.set(xscale="log", xlabel="learning rate", ylabel="validation accuracy", title=f"Ten hidden layers, {count} seeds")
ax.legend()
plt.show()


plain, normed = by_rate["without"], by_rate["with batch norm"]
last = {name: np.flatnonzero(result.mean > 0.9)[-1] for name, result in by_rate.items()}  # the largest rate that works
factor = rates[last["with batch norm"]] / rates[last["without"]]
ahead = 100 * (normed.values[:, normed.mean.argmax()] - plain.values[:, plain.mean.argmax()])  # best against best
at_smallest = 100 * (normed.values[:, 0] - plain.values[:, 0])
record(
    "01/larger-rates",
    claim="Batch norm allows much higher learning rates",
    source="Ioffe & Szegedy 2015, arXiv:1502.03167",
    measured="largest rate with a validation accuracy above 0.9: "
    + ", ".join(f"{rates[k]:.2g} {n} ({by_rate[n].mean[k]:.3f} ± {by_rate[n].error[k]:.3f})" for n, k in last.items())
    + f"; batch norm's gain, best against best, {ahead.mean():+.1f} ± {standard_error(ahead):.1f} points, "
    + f"at the smallest rate 0.001 {at_smallest.mean():+.1f} ± {standard_error(at_smallest):.1f}",
    agrees="yes" if factor > 4.9 else "partly" if factor > 1.1 else "no",  # the paper's own factors were 5 and 30
    seeds=count,
)

# %% [markdown]
# **What was seen.** Without batch norm the network learns at rates up to 0.03, at best to 0.951 ± 0.002; from 0.1 on every
# run ends at guessing. With batch norm it is between 0.969 and 0.975 from 0.01 to 0.3. At 1 it is damaged (0.62), at 3 it
# fails as well. **The largest rate that works grew tenfold: the claim holds here.**
#
# What the claim does not say: at the *same small* rate batch norm is no gain. At 0.003 the two are alike, and at 0.001 the
# network with batch norm is behind, 0.652 ± 0.021 against 0.831 ± 0.011. Its advantage is that it can be trained faster.
# Best against best it wins by 2.5 ± 0.2 points (with ten seeds 3.2 ± 0.6). Whether that comes from the larger steps or
# from the noise of the batch statistics, which may act as a regularizer, this experiment cannot tell.
#
# *When it would not hold:* with few layers there is less to repair (look at the orange curve of experiment D). And there are
# other ways to the same end: residual networks with a suitable initialization were trained at large rates without any norm
# (Zhang et al. 2019, *Fixup*, arXiv:1901.09321).

# %% [markdown]
# ### B · Less sensitive to the initial weights
#
# **The claim** (the same paper): with batch norm one can be less careful about initialization.
#
# The same network and steps. The initial weights are He's times a factor from 0.01 to 10. Each network gets the rate that
# was best for it in A: 0.01 without batch norm, 0.03 with. Three seeds.
#
# **Your guess first:** batch norm divides a feature by its standard deviation, so in the *forward* pass the scale of the
# weights cancels. Should the accuracy then be the same for all factors?

# %% experiment=true
count = seeds(quick=3, full=10)
scales = np.array([0.01, 0.03, 0.1, 0.3, 0.6, 1.0, 1.7, 3.0, 10.0])
by_scale = {}
ax = plt.subplots(figsize=(8, 4))[1]
for (name, norm), rate, colour in zip(nets.items(), (0.01, 0.03), (COLOURS[1], COLOURS[0]), strict=True):
    result = by_scale[name] = sweep(lambda k, seed, norm=norm, rate=rate: val_accuracy(norm, rate, seed, k), scales, count)
    curves_with_errors(scales, result, f"{name}, rate {rate}", ax, style="bars", color=colour)
    pairs = zip(scales, result.mean, result.error, strict=True)
    print(f"{name} ({result.seconds:.0f} s)", *(f"{k:.2g}: {m:.3f} ± {e:.3f}" for k, m, e in pairs), sep="\n   ")
ax.axhline(0.1, color=GREY, ls="--", lw=1.5, label="guessing")
ax.set(xscale="log", xlabel="initial weights, times He's", ylabel="validation accuracy", title=f"Ten hidden layers, {count} seeds")
ax.legend()
plt.show()

for k in (0.01, 1.0, 10.0):
    net = mlp(DEEP, batchnorm, rng=0, init_scale=k)
    loss, grads = net.loss_and_grads(data.x_train, data.y_train)
    ratio = np.linalg.norm(grads["0.W"]) / np.linalg.norm(net.params["0.W"])
    print(f"factor {k:g}, with batch norm, before training: loss {loss:.1f}, first W: |gradient| / |W| = {ratio:.2g}")

plain, normed = by_scale["without"], by_scale["with batch norm"]
more = (normed.values > 0.9).sum(axis=1) - (plain.values > 0.9).sum(axis=1)  # of the factors, for each seed
good = {name: scales[result.mean > 0.9] for name, result in by_scale.items()}
record(
    "01/initial-weights",
    claim="With batch norm one can be less careful about the initial weights",
    source="Ioffe & Szegedy 2015, arXiv:1502.03167",
    measured="factors of He's weights with a mean accuracy above 0.9, of nine from 0.01 to 10: "
    + ", ".join(f"{len(kept)} {name} ({', '.join(f'{k:g}' for k in kept)})" for name, kept in good.items())
    + f", that is {more.mean():.1f} ± {standard_error(more):.1f} more; accuracy with batch norm at 0.01 "
    + f"{normed.mean[0]:.2f} ± {normed.error[0]:.2f}, at 10 {normed.mean[-1]:.2f} ± {normed.error[-1]:.2f}",
    agrees="yes" if more.mean() > max(1, 2 * standard_error(more)) else "partly" if more.mean() > 0 else "no",
    seeds=count,
)

# %% [markdown]
# **What was seen.** Without batch norm the network learns at one of the nine factors, at He's own: 0.950 ± 0.003. At 0.6 it
# reaches 0.26, elsewhere it guesses. With batch norm it stays above 0.95 from 0.1 to 1.7, above 0.9 up to 3, and still
# learns something at 0.01 (0.82 ± 0.10) and at 10 (0.73 ± 0.06). **The claim holds: less sensitive. But not insensitive.**
#
# Why not, if the forward pass cancels the scale? The last lines show two reasons. The *backward* pass does not cancel it:
# if $W$ is ten times larger, the gradient with respect to $W$ gets no larger, so that a step changes $W$ by a far smaller
# part of itself (0.015 instead of 0.12 per unit of rate); with tiny weights it is the other way round, and the first steps
# are far too large. And the last affine layer has no batch norm behind it: a factor of 10 goes straight into the scores,
# and the loss starts at 15.
#
# *When it would not hold:* with another rate for each factor the orange peak might be wider; we gave each network one rate.
# With fewer layers it should be, since the factor has fewer layers to multiply through.

# %% [markdown]
# ### C · Batch statistics at test time
#
# **The claim** (the same paper, section 3.1): at test time the output should depend on the input alone, so the batch's
# statistics must give way to fixed ones. What if somebody forgets to switch?
#
# A smaller network (three hidden layers) is trained well. Then it classifies the test set in batches of 1, 2, 8, 32 and 128,
# each normalised with its own statistics: once in random order, once sorted by class, as test files often are. Five seeds.
#
# **Your guess first:** what does the network answer for a batch of one? And which is worse at 128, random or sorted?

# %% experiment=true
count = seeds(quick=5, full=10)
SMALL = [64, 50, 50, 50, 10]
sizes = np.array([1, 2, 8, 32, 128])
by_class = np.argsort(data.y_test, kind="stable")


def test_accuracies(seed):
    """With running statistics, then with batch statistics in random order, then sorted: (1 + 5 + 5,)"""
    net = mlp(SMALL, batchnorm, rng=seed)
    train(net, data, steps=300, batch_size=64, rng=seed, eval_every=0)
    found = [net.accuracy(data.x_test, data.y_test)]
    for order in (np.random.default_rng(seed).permutation(len(by_class)), by_class):
        x, y = data.x_test[order], data.y_test[order]
        found += [net.accuracy(x, y, mode="train", batch_size=size) for size in sizes]
    return found


result = repeat(test_accuracies, seeds=count)
ax = plt.subplots(figsize=(10, 4))[1]
print("running statistics, any batch:", result[0])
for part, name, colour in ((slice(1, 6), "random order", COLOURS[0]), (slice(6, 11), "sorted by class", COLOURS[1])):
    curves_with_errors(sizes, result[part], f"batch statistics, {name}", ax, style="bars", color=colour)
    pairs = zip(sizes, result[part].mean, result[part].error, strict=True)
    print(f"batch statistics, {name}:", *(f"{n}: {m:.3f} ± {e:.3f}" for n, m, e in pairs), sep="\n   ")
ax.axhline(result[0].mean, color="black", ls="--", lw=1.5, label="running statistics, any batch")
ax.set(xscale="log", xlabel="size of the test batch", ylabel="test accuracy", title="Trained well, tested in several ways")
ax.set_xticks(sizes, sizes)
ax.minorticks_off()
ax.legend(loc="upper left", bbox_to_anchor=(1.0, 0.95))
plt.show()

lost = result.values[:, :1] - result.values[:, 1:]  # (seeds, 10): random order, then sorted
clear = lost.mean(axis=0) > 2 * standard_error(lost)
accuracies = [f"{m:.3f} ± {e:.3f}" for m, e in zip(result.mean, result.error, strict=True)]
record(
    "01/batch-statistics-at-test-time",
    claim="At test time fixed statistics must replace the batch's own: the answer should depend on the input alone",
    source="Ioffe & Szegedy 2015, arXiv:1502.03167, section 3.1",
    measured=f"test accuracy {accuracies[0]} with running statistics; with those of test batches of "
    f"{', '.join(str(n) for n in sizes)}: {', '.join(accuracies[1:6])} in random order, "
    f"{', '.join(accuracies[6:])} sorted by class",
    agrees="yes" if clear[0] and clear[5:].all() else "partly" if clear.any() else "no",  # a single image; any sorted batch
    seeds=count,
)

# %% [markdown]
# **What was seen.** With running statistics 0.979 ± 0.004, whatever the batch. With batch statistics in random order: 0.098
# for batches of 1, 0.394 for 2, 0.850 for 8, 0.953 for 32 and 0.975 for 128, where the difference is within the error
# (with ten seeds 0.972 against 0.977).
# Sorted by class it is far worse: 0.105 for 2, 0.286 for 32, and still only 0.736 for 128. **The claim holds.**
#
# A batch of one is its own mean. Every normalised feature is 0, the output depends on $\beta$ alone, and all images get the
# same answer. In a sorted batch the mean contains just what the images have in common, their class, and subtracting it
# takes that away. No error message anywhere: a forgotten switch looks like a bad network.
#
# *When it would not hold:* with large, well-mixed test batches the mistake goes unnoticed, as at 128. And if the test
# images differ from the training images as a whole (noise, another camera), the running statistics are the wrong ones, and
# those of a large test batch can be better (Schneider et al. 2020, arXiv:2006.16971).

# %% [markdown]
# **And folded?** With running statistics the same kind of network can be folded, layer by layer, into one without any batch
# norm.

# %% experiment=true
def fold_by_measuring(W, b, gamma, beta, running_mean, running_var, eps=1e-5):
    """An affine map shows its bias at x = 0 and its weights at the unit vectors."""

    def both_layers(x):
        fixed = {"mode": "test", "eps": eps, "running_mean": running_mean, "running_var": running_var}
        return batchnorm_forward_(x @ W + b, gamma, beta, fixed)[0]

    b2 = both_layers(np.zeros((1, len(W))))
    return both_layers(np.eye(len(W))) - b2, b2[0]


(fold_batchnorm_,) = yours(["fold_batchnorm"], [fold_by_measuring])

net = mlp(SMALL, batchnorm, rng=0)
train(net, data, steps=300, batch_size=64, rng=0, eval_every=0)
kept = []
for layer in net.copy().layers:
    if isinstance(layer, Norm):
        affine, norm, stored = kept[-1].params, layer.params, layer.param
        W2, b2 = fold_batchnorm_(
            affine["W"], affine["b"], norm["gamma"], norm["beta"], stored["running_mean"], stored["running_var"]
        )
        affine["W"][...], affine["b"][...] = W2, b2
    else:
        kept.append(layer)
folded = Sequential(kept)


def microseconds(network, images):
    """Median time of a forward pass."""
    times = []
    for _ in range(300):
        begin = time.perf_counter()
        network.forward(images, "test")
        times.append(time.perf_counter() - begin)
    return 1e6 * np.median(times)


difference = np.abs(net.forward(data.x_test, "test") - folded.forward(data.x_test, "test")).max()
same = np.mean(net.predict(data.x_test) == folded.predict(data.x_test))
print(f"{len(net.layers)} layers before, {len(folded.layers)} after; same answers: {same:.0%}")
print(f"largest difference of a score: {difference:.0e}, scores reach {np.abs(net.forward(data.x_test, 'test')).max():.0f}")
one = data.x_test[:1]
print(f"one image: {microseconds(net, one):.0f} µs before, {microseconds(folded, one):.0f} µs after")

# %% [markdown]
# **What was seen.** Seven layers instead of ten, the same answers, scores equal up to the rounding of float32 (about
# $10^{-5}$ or less), and less than half the time for one image. (The time is that of your machine; for a net so small it is
# mostly the overhead of NumPy calls.) Tools that prepare networks for phones do this as a matter of course. *It would not
# hold* in training, where the statistics depend on the batch, or with a nonlinearity between the affine layer and the norm.

# %% [markdown]
# ### D · Error against the size of the training batch
#
# **The claim** (Wu & He 2018, arXiv:1803.08494): the error of batch norm grows fast when the batch becomes small, because
# few examples give poor statistics.
#
# The small network, five passes over the training set with batches of 2 to 128. The rate is proportional to the size of the
# batch (0.05 at 32), as in that paper. Beside it the same network without batch norm. Validation takes the running
# statistics, so small *test* batches play no part. A third curve asks where the harm is done: after training, we replace the
# running statistics by those of the whole training set. Three seeds.
#
# **Your guess first:** in a batch of two, which values can a normalised feature take?

# %% experiment=true
count = seeds(quick=3, full=10)
batch_sizes = np.array([2, 4, 8, 16, 32, 64, 128])


def with_exact_statistics(net):
    """A copy of the network whose running statistics are those of the whole training set."""
    net = net.copy()
    for layer in net.layers:
        if isinstance(layer, Norm):
            layer.param["momentum"] = 0.0  # forget the old average
    net.forward(data.x_train, "train")
    return net


def val_errors(norm, batch_size, seed):
    """Share of wrong answers with running statistics, with exact ones; training loss over the last pass."""
    net = mlp(SMALL, norm, rng=seed)
    rate = 0.05 * batch_size / 32
    history = train(net, data, epochs=5, batch_size=batch_size, learning_rate=rate, rng=seed, eval_every=0)
    errors = [1 - each.accuracy(data.x_val, data.y_val) for each in (net, with_exact_statistics(net))]
    return [*errors, history.losses[-len(history.losses) // 5 :].mean()]


without = sweep(lambda size, seed: val_errors(None, size, seed), batch_sizes, seeds=count)
with_norm = sweep(lambda size, seed: val_errors(batchnorm, size, seed), batch_sizes, seeds=count)
ax = plt.subplots(figsize=(8, 4))[1]
for name, summary, colour in (
    ("without batch norm", without[:, 0], COLOURS[1]),
    ("batch norm, running statistics", with_norm[:, 0], COLOURS[0]),
    ("batch norm, exact statistics", with_norm[:, 1], COLOURS[2]),
):
    curves_with_errors(batch_sizes, summary, name, ax, style="bars", color=colour)
    pairs = zip(batch_sizes, summary.mean, summary.error, strict=True)
    print(f"{name} ({summary.seconds:.0f} s)", *(f"{n}: {m:.3f} ± {e:.3f}" for n, m, e in pairs), sep="\n   ")
ax.set(xscale="log", yscale="log", xlabel="size of the training batch", ylabel="validation error")
ax.set_xticks(batch_sizes, batch_sizes)
ax.set_yticks([0.01, 0.03, 0.1, 0.3], ["1%", "3%", "10%", "30%"])
ax.minorticks_off()
ax.set_title(f"Three hidden layers, five passes, {count} seeds")
ax.legend()
plt.show()
losses = zip(batch_sizes, with_norm[:, 2].mean, without[:, 2].mean, strict=True)
print("training loss over the last pass (guessing: 2.30)")
print(*(f"   {n}: {b:.2f} with batch norm, {a:.2f} without" for n, b, a in losses), sep="\n")

errors = with_norm.values[:, :, 0]  # (seeds, sizes)
rise = errors[:, :3] - errors[:, [4]]  # at 2, 4 and 8, over that at 32
clear = rise.mean(axis=0) > 2 * standard_error(rise)
record(
    "01/training-batch-size",
    claim="Batch norm's error grows fast when the batch becomes small (in the paper from 8 downwards)",
    source="Wu & He 2018, arXiv:1803.08494",
    measured=f"validation error with batch norm, batches of {', '.join(str(n) for n in batch_sizes)}: "
    + ", ".join(f"{m:.1%} ± {e:.1%}" for m, e in zip(errors.mean(axis=0), standard_error(errors), strict=True))
    + f"; at 2 with exact statistics {with_norm[0, 1].mean:.1%} ± {with_norm[0, 1].error:.1%}, without batch norm "
    + f"{without[0, 0].mean:.1%} ± {without[0, 0].error:.1%}",
    agrees="yes" if clear.all() else "partly" if clear.any() else "no",
    seeds=count,
)

# %% [markdown]
# **What was seen.** With batches of 2 batch norm is wrong on 59% ± 5% of the images, where the network without it is wrong
# on 3%. At 4 it is at 5%, still not better than without; from 8 to 128 it is between 1.3% and 2.2%, nearly flat and below
# the network without. (With ten seeds 2.4% ± 0.2% at 8 against 1.8% ± 0.2% at 32: even there no clear rise yet.) **The
# claim holds for the smallest batches.** On ImageNet the paper saw the rise from 8 downwards, and a milder one: 11
# points at 2.
#
# The harm is done in training. Exact statistics hardly help (56%), and with batches of 2 the training loss stays at 2.1,
# near the 2.3 of guessing. The likely reason is in the guess: two numbers have the same distance from their mean, so a
# normalised feature is $+1$ or $-1$ (up to $\varepsilon$). All that a layer learns about an image is whether it has more of
# a feature than the other image.
#
# The network without batch norm gets *worse* with larger batches, because five passes are then few steps: 45 at 128.
#
# *When it would not hold:* after a convolution every pixel adds to the mean, so that two images give many numbers (though
# not independent ones). We expect a milder rise there; notebook 02 measures it, beside norms that do not look at the batch.

# %% [markdown]
# ## Questions
#
# Answer in a few sentences each, in your own words.

# %% [markdown] question="why-train-and-test-differ" points=3
# **Q1.** Why does batch norm compute something else at test time than in training? Name two things that break if it does
# not, and one that breaks if the running statistics are used in *training* as well.
#
# ### BEGIN SOLUTION
# **A good answer:** In training the batch's statistics keep every feature normalised while the weights move, and gradients
# flow through them. At test time an answer must depend on its own input alone. With batch statistics at test time (a) a
# batch of one gives zero for every normalised feature, so the output is the same whatever the image; (b) the same image
# gets different answers in different company; sorted or otherwise unbalanced batches shift the mean and lose the very
# information that tells classes apart. With running statistics as constants in training, the features would not be
# normalised with respect to the present weights (the averages lag), and no gradient would flow through mean and variance: a
# step may then grow the weights without the layer countering it.
#
# **Marking scheme:** 1 point for the reason (answer depends on one input alone, or: fixed function at test time); 1 point
# for two valid failures at test time (batch of one, dependence on the neighbours, sorted batches, results that cannot be
# repeated); 1 point for a valid failure in training (lagging averages, no gradient through the statistics).
# ### END SOLUTION

# %% [markdown] question="why-dx-zero-for-ones" points=2
# **Q2.** Give your backward pass an upstream gradient of ones in a forward of train mode. `dx` comes out as zero (up to
# rounding). Explain it once without any formula of the backward pass, and once with the formula of section 3. What does it
# mean for somebody who tests a backward pass with `dout = np.ones(...)`?
#
# ### BEGIN SOLUTION
# **A good answer:** An upstream gradient of ones means that the loss is the sum of all outputs. For each feature the
# normalised values sum to zero over the batch, whatever $x$ is, so the sum of the outputs is $N\beta$ and does not depend
# on $x$: its gradient is zero. By formula: $dy = 1$ gives $d\beta = N$ and $d\gamma = \sum \hat x = 0$, hence
# $dx = \frac{\gamma s}{N}(N - N - 0) = 0$. A test with ones accepts a backward pass that returns zeros, or one with a wrong
# term that vanishes here as well (the whole path through the variance, for example).
#
# **Marking scheme:** 1 point for the reason (the sum over the batch is constant; argument or formula, the other at least
# sketched); 1 point for the consequence (a wrong or empty dx passes).
# ### END SOLUTION

# %% [markdown]
# ## Remember
#
# 1. Batch norm gives each feature mean 0 and variance 1 over the batch, then a learned scale and shift. After a
#    convolution: each channel, over images and pixels.
# 2. Training uses the batch's statistics and keeps a running average; testing uses that average. One switch, easily
#    forgotten.
# 3. `dx` loses its mean over the batch and its part along $\hat x$; the statistics depend on `x`, and that is what those
#    terms say.
# 4. It buys larger learning rates and forgives bad initial weights; it costs a dependence on the batch: with two
#    examples in it, batch norm ruins the training.
# 5. At test time it is one affine map and can be folded into the layer before it.
#
# **Where to read on.** S. Ioffe and C. Szegedy, *Batch Normalization: Accelerating Deep Network Training by Reducing
# Internal Covariate Shift*, 2015 (arXiv:1502.03167): the method; its explanation is disputed. S. Santurkar et al., *How
# Does Batch Normalization Help Optimization?*, 2018 (arXiv:1805.11604): a smoother loss instead. J. Bjorck et al.,
# *Understanding Batch Normalization*, 2018 (arXiv:1806.02375): the large learning rates are what helps. T. van Laarhoven,
# *L2 Regularization versus Batch and Weight Normalization*, 2017 (arXiv:1706.05350): the size of the weights as a hidden
# learning rate (experiment B). Y. Wu and J. Johnson, *Rethinking "Batch" in BatchNorm*, 2021 (arXiv:2105.07576): what goes
# wrong in practice, at length.
