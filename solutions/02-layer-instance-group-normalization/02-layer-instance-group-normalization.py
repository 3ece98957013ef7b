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
# # 02 · Layer, instance and group normalization
#
# **After this notebook you can say, for each norm, whose numbers share a mean, and choose the one that fits the job.**
#
# *About 120 minutes. You need: notebook 01 (batch normalization and its backward pass).*
#
# Batch norm made deep networks easy to train, at a price: what the network says about one image depends on the other
# images in the batch. The three norms of this notebook take their statistics from one example alone. The formula stays
# the same; only the set of numbers that share a mean changes. That sounds like a detail. It decides whether you can
# train with batches of one, whether training and test time differ, whether an image's contrast survives, and what you
# can do at each step of a sequence.

# %% setup=true
import matplotlib.pyplot as plt
import numpy as np

from autograder import check, hint, yours
from nnlab import (
    Conv2d,
    Norm,
    checking,
    digits,
    mlp,
    norms,
    photos,
    small_convnet,
    softmax_loss,
    standard_error,
    sweep,
    train,
)
from nnlab.experiments import record, seeds
from nnlab.palette import COLOURS
from nnlab.plots import curves_with_errors, norm_cube, use_style

use_style()

# %% [markdown]
# ## The idea
#
# A normalization subtracts a mean $\mu$ and divides by a standard deviation. Then each channel (or feature) is scaled by a
# learned $\gamma$ and shifted by a learned $\beta$:
#
# $$ \texttt{out} = \gamma\,\hat x + \beta, \qquad \hat x = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} $$
#
# All that tells the norms apart is one question: **which numbers go into one mean?** You can find out without reading any
# code. Take a batch of images, nudge a single number, and look which outputs move. They all share a mean with it. The cell
# below does that with four norms and colours the numbers that share a mean. A batch of images is drawn as a cube: examples
# to the back ($N$), channels to the right ($C$), the pixels of a channel upwards ($H \times W$ in one edge).

# %% experiment=true
ones, zeros, groups = np.ones(6), np.zeros(6), 3
normalise = {
    "Batch norm": lambda x: norms.spatial_batchnorm_forward(x, ones, zeros, {"mode": "train"})[0],
    "Layer norm": lambda x: norms.spatial_groupnorm_forward(x, ones, zeros, 1, {})[0],
    "Instance norm": lambda x: norms.instancenorm_forward(x, ones, zeros, {})[0],
    "Group norm": lambda x: norms.spatial_groupnorm_forward(x, ones, zeros, groups, {})[0],
}


def axes_of(norm):
    """Along which axes of (N, C, H, W) the outputs move when one single number of the input does."""
    x = np.random.default_rng(0).standard_normal((4, 6, 2, 2))
    nudged = x.copy()
    nudged[0, 0, 0, 0] += 1
    places = np.nonzero(np.abs(norm(nudged) - norm(x)) > 1e-9)
    return tuple(axis for axis in range(4) if len(np.unique(places[axis])) > 1)


fig, panels = plt.subplots(1, 4, figsize=(12, 3.4))
for ax, (name, norm) in zip(panels, normalise.items(), strict=True):
    norm_cube(axes_of(norm), name, G=groups if name == "Group norm" else None, ax=ax)
plt.show()

# %% [markdown]
# Equal colour means: one mean, one variance. (The visible faces show the pattern; inside it goes on.)
#
# - **Batch norm** has one mean for each channel. Its colours run through the whole depth: the examples are tied together.
# - **Layer norm** has one mean for each example. The colours run across all channels.
# - **Instance norm** has one mean for each channel of each example: the smallest sets.
# - **Group norm** lies between these two. It splits the channels into $G$ groups of neighbours (here 3 groups of 2) and has
#   one mean for each group of each example. With $G = 1$ it is layer norm, with $G = C$ instance norm.
#
# Only batch norm's colours cross from one example to the next. The others need no batch, hence no running averages, and
# have no second mode for test time.

# %% [markdown]
# ## Convention card
#
# | | this course | PyTorch | the paper |
# | --- | --- | --- | --- |
# | layer norm | mean over D; gamma (D,) | `LayerNorm(D)`, `elementwise_affine=True` | Ba et al.: gain *g*, bias *b* |
# | instance norm | mean over H, W; gamma (C,) | `InstanceNorm2d(C)`, **`affine=False`** | Ulyanov et al.: no gamma |
# | group norm | gamma (1, C, 1, 1) or (C,) | `GroupNorm(G, C)`, `affine=True`, gamma (C,) | Wu & He: the same, G = 32 |
# | `eps` | in the root; `param.get("eps", 1e-5)` | in the root; 1e-5 for all three | in the root; none in Ba et al. |
# | variance | divided by the number of elements | the same | the same |
# | training and test | no difference; a `"mode"` in the param dict is ignored | the same | the same |
#
# (beta has gamma's shape.) The papers: Ba et al. 2016, arXiv:1607.06450; Ulyanov et al. 2016, arXiv:1607.08022; Wu & He
# 2018, arXiv:1803.08494.
#
# Two traps in PyTorch. `InstanceNorm2d` has no gamma and beta unless you ask for them. And `LayerNorm((C, H, W))` on
# images learns a gamma for each *pixel* of each channel; with one gamma for each channel, as in exercise 7, it is
# `GroupNorm(1, C)`.

# %% [markdown]
# ## 1 · Which axes
#
# **It computes** the axes of $(N, C, H, W)$ that a norm averages over, as a tuple of numbers from 0 to 3.
#
# In NumPy's words: the tuple that you would give to `x.mean(axis=...)`. Group norm is not asked for here: its groups
# are not whole axes of this array.

# %% exercise="normalization_axes"
def normalization_axes(kind):
    """The axes of an array (N, C, H, W) that one mean of a norm runs over.

    Inputs:
    - kind: "batch", "layer" or "instance"

    Returns a tuple of axes, each a number from 0 to 3 (0 is N, 1 is C, 2 is H, 3 is W).
    """
    ### BEGIN SOLUTION
    if kind == "batch":
        return (0, 2, 3)
    if kind == "layer":
        return (1, 2, 3)
    return (2, 3)
    ### END SOLUTION


# %% check="normalization_axes" points=3

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* In the cubes: start at one number and walk along one axis. Does the colour change?
# 2. *A pointer.* An axis along which the colour stays the same is one that the mean runs over. H and W share an edge in the
#    drawing, so they go together.
# 3. *An outline.* For each norm, say what has a mean of its own: a channel, an example, a channel of an example. Those axes
#    are kept. Name the others.
#
# </details>

# %% [markdown]
# ## 2 · How many numbers share a mean
#
# **It computes** how many numbers go into one mean: the fewer, the noisier the mean. For `x` of shape $(N, C, H, W)$:
#
# | batch | layer | instance | group |
# | --- | --- | --- | --- |
# | a channel, whole batch | a whole example | a channel of an example | a group of an example: $C / G$ channels |
#
# The counts of the four cubes stand above them, for $N = 4$, $C = 6$, $H \cdot W = 4$.

# %% exercise="statistics_count"
def statistics_count(kind, shape, G=None):
    """How many numbers of an array go into one mean of a norm.

    Inputs:
    - kind: "batch", "layer", "instance" or "group"
    - shape: (N, C, H, W)
    - G: the number of groups, for "group"; C is a multiple of G

    Returns an int.
    """
    ### BEGIN SOLUTION
    N, C, H, W = shape
    pixels = H * W
    if kind == "batch":
        return N * pixels
    channels_together = {"layer": C, "instance": 1, "group": C // G if G else C}[kind]
    return channels_together * pixels
    ### END SOLUTION


# %% check="statistics_count" points=3

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* In which of the four norms does the batch size make a difference?
# 2. *A pointer.* The count is a product of lengths of axes: those that you named in exercise 1. For group norm one of the
#    lengths is that of a part of the channels.
# 3. *An outline.* Unpack the shape. All norms count $H \cdot W$. Multiply by the number of examples that share a mean, and
#    by the number of channels that share one.
#
# </details>

# %% [markdown]
# ## 3 · Layer norm, forward
#
# **It computes** each example normalised over its own features, then scaled and shifted feature by feature.
#
# $$
# \mu_i = \frac1D \sum_{j} x_{ij}, \qquad \sigma_i^2 = \frac1D \sum_j (x_{ij} - \mu_i)^2, \qquad
# \texttt{out}_{ij} = \gamma_j\, \frac{x_{ij} - \mu_i}{\sqrt{\sigma_i^2 + \epsilon}} + \beta_j
# $$
#
# `x` and `out` are $(N, D)$; there are $N$ means and $N$ variances; `gamma` and `beta` are $(D,)$. So statistics belong to
# *rows*, parameters to *columns*. What you put into `cache` is up to you: whatever your backward pass will want.

# %% exercise="layernorm_forward"
def layernorm_forward(x, gamma, beta, ln_param):
    """Layer normalization: each example over its own features. The same at training and test time.

    Inputs:
    - x: (N, D)
    - gamma: scale, (D,)
    - beta: shift, (D,)
    - ln_param: dict with
      - eps: added to the variance, inside the root (default 1e-5)

    Returns a tuple of:
    - out: (N, D)
    - cache: whatever layernorm_backward needs
    """
    ### BEGIN SOLUTION
    eps = ln_param.get("eps", 1e-5)
    centred = x - x.mean(axis=1, keepdims=True)
    std = np.sqrt((centred**2).mean(axis=1, keepdims=True) + eps)  # (N, 1)
    x_hat = centred / std
    return gamma * x_hat + beta, (x_hat, std, gamma)
    ### END SOLUTION


# %% check="layernorm_forward" points=5

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* How many means are there, and along which axis of $(N, D)$ does each of them run?
# 2. *A pointer.* `keepdims=True` leaves a mean of shape $(N, 1)$, which can be subtracted from $(N, D)$. Without it you get
#    $(N,)$, which NumPy lines up with the columns: an error, or worse, none if $N = D$.
# 3. *An outline.* Row means; subtract; row variances; divide by the root of variance plus eps; multiply by gamma and add
#    beta, which line up with the columns by themselves.
#
# </details>

# %% [markdown]
# ## 4 · Layer norm, backward
#
# **It computes** the gradients of the loss with respect to `x`, `gamma` and `beta` from the upstream gradient `dout`.
#
# The parameters are easy. Feature $j$'s $\gamma_j$ and $\beta_j$ serve every example, so their gradients are sums over the
# examples, as in batch norm:
#
# $$ \texttt{dgamma}_j = \sum_i \texttt{dout}_{ij}\, \hat x_{ij}, \qquad \texttt{dbeta}_j = \sum_i \texttt{dout}_{ij} $$
#
# For `dx` let $g = \texttt{dout} \cdot \gamma$, the gradient that arrives at $\hat x$. Write $m[\cdot]$ for the mean over
# *the numbers that share a mean in the forward pass*; here that is the mean along a row. Then
#
# $$ \texttt{dx} = \frac{1}{\sqrt{\sigma^2 + \epsilon}} \Big( g - m[g] - \hat x \; m[\,g\, \hat x\,] \Big) $$
#
# Why it must look like that: adding a constant to a row changes nothing in the output, so `dx` must not contain a constant
# part; $m[g]$ takes it out. Multiplying a centred row by a constant changes (up to $\epsilon$) nothing either, so `dx` must
# not point along $\hat x$; the last term takes that part out. This holds for every norm of this notebook, each with its own
# $m$. In batch norm, $\gamma$ is constant within one mean and can be pulled out. Here it is not.
#
# `dout` and `dx` are $(N, D)$; `dgamma` and `dbeta` are $(D,)$.

# %% exercise="layernorm_backward"
def layernorm_backward(dout, cache):
    """Gradients of layer normalization.

    Inputs:
    - dout: upstream gradient, (N, D)
    - cache: what layernorm_forward returned

    Returns a tuple of:
    - dx: (N, D)
    - dgamma: (D,)
    - dbeta: (D,)
    """
    ### BEGIN SOLUTION
    x_hat, std, gamma = cache
    g = dout * gamma
    shift = g.mean(axis=1, keepdims=True)  # the part of g that only moves the mean
    stretch = (g * x_hat).mean(axis=1, keepdims=True)  # the part that only scales the row
    dx = (g - shift - stretch * x_hat) / std
    return dx, (dout * x_hat).sum(axis=0), dout.sum(axis=0)
    ### END SOLUTION


# %% check="layernorm_backward" points=6

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* Two kinds of sums occur: one belongs to the statistics, one to the parameters. Along which axis does
#    each of them run?
# 2. *A pointer.* Multiply by `gamma` first and take the means afterwards; the other way round is right only if all
#    gammas are equal. Each mean divides by $D$, not by $N$.
# 3. *An outline.* From the cache: $\hat x$, the root, gamma. Form $g$; its row mean; the row mean of $g \hat x$; put
#    them together. Then two column sums for the parameters.
#
# </details>

# %% [markdown]
# ## 5 · Instance norm, forward
#
# **It computes** each channel of each image normalised over its own pixels, then scaled and shifted channel by channel.
#
# $$
# \mu_{nc} = \frac{1}{HW} \sum_{h,w} x_{nchw}, \qquad \sigma_{nc}^2 = \frac{1}{HW} \sum_{h,w} (x_{nchw} - \mu_{nc})^2, \qquad
# \texttt{out}_{nchw} = \gamma_c\, \frac{x_{nchw} - \mu_{nc}}{\sqrt{\sigma_{nc}^2 + \epsilon}} + \beta_c
# $$
#
# `x` and `out` are $(N, C, H, W)$; there are $N \cdot C$ means; `gamma` and `beta` are $(C,)$.

# %% exercise="instancenorm_forward"
def instancenorm_forward(x, gamma, beta, in_param):
    """Instance normalization: each channel of each image over its own pixels. The same at training and test time.

    Inputs:
    - x: (N, C, H, W)
    - gamma: scale, (C,)
    - beta: shift, (C,)
    - in_param: dict with
      - eps: added to the variance, inside the root (default 1e-5)

    Returns a tuple of:
    - out: (N, C, H, W)
    - cache: whatever instancenorm_backward needs
    """
    ### BEGIN SOLUTION
    planes = {"axis": (2, 3), "keepdims": True}
    scale, shift = gamma[:, None, None], beta[:, None, None]  # (C,) -> (C, 1, 1)
    inv_std = 1 / np.sqrt(x.var(**planes) + in_param.get("eps", 1e-5))  # (N, C, 1, 1)
    x_hat = (x - x.mean(**planes)) * inv_std
    return scale * x_hat + shift, (x_hat, inv_std, scale)
    ### END SOLUTION


# %% check="instancenorm_forward" points=5

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* How many means are there? Which shape must they have to be subtracted from `x`?
# 2. *A pointer.* `mean` and `var` take a tuple of axes. A `gamma` of shape $(C,)$ would line up with $W$, the last
#    axis; which shape makes it line up with axis 1?
# 3. *An outline.* Statistics over both pixel axes, axes kept; normalise; reshape gamma and beta to $(1, C, 1, 1)$;
#    scale and shift.
#
# </details>

# %% [markdown]
# ## 6 · Instance norm, backward
#
# **It computes** the gradients of instance norm. It is the formula of exercise 4, where $m[\cdot]$ is now the mean over the
# pixels of one plane (one channel of one image):
#
# $$
# \texttt{dx} = \frac{1}{\sqrt{\sigma^2 + \epsilon}} \Big( g - m[g] - \hat x \; m[\,g\, \hat x\,] \Big), \qquad
# g = \texttt{dout} \cdot \gamma
# $$
#
# $$
# \texttt{dgamma}_c = \sum_{n,h,w} \texttt{dout}_{nchw}\, \hat x_{nchw}, \qquad
# \texttt{dbeta}_c = \sum_{n,h,w} \texttt{dout}_{nchw}
# $$
#
# `dout` and `dx` are $(N, C, H, W)$; `dgamma` and `dbeta` are $(C,)$: they collect from all images and all pixels.

# %% exercise="instancenorm_backward"
def instancenorm_backward(dout, cache):
    """Gradients of instance normalization.

    Inputs:
    - dout: upstream gradient, (N, C, H, W)
    - cache: what instancenorm_forward returned

    Returns a tuple of:
    - dx: (N, C, H, W)
    - dgamma: (C,)
    - dbeta: (C,)
    """
    ### BEGIN SOLUTION
    x_hat, inv_std, scale = cache
    planes = {"axis": (2, 3), "keepdims": True}
    g = dout * scale
    dx = (g - g.mean(**planes) - x_hat * (g * x_hat).mean(**planes)) * inv_std
    return dx, (dout * x_hat).sum(axis=(0, 2, 3)), dout.sum(axis=(0, 2, 3))
    ### END SOLUTION


# %% check="instancenorm_backward" points=6

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* Which means of the formula belong to one plane, and which sums go over the whole batch?
# 2. *A pointer.* The means run over the same axes as in your forward pass. The sums for the parameters leave only the
#    channel axis.
# 3. *An outline.* Take your layer norm backward, exchange the axes of the two means and those of the two sums, and take
#    care that gamma meets the channels.
#
# </details>

# %% [markdown]
# ## 7 · Group norm, forward
#
# **It computes** each image normalised over groups of neighbouring channels, then scaled and shifted channel by channel.
#
# Split the channels into $G$ groups: the first $C/G$ channels, the next $C/G$, and so on. All pixels of all channels of a
# group share one mean and one variance, so there are $N \cdot G$ of each, over $(C/G) \cdot H \cdot W$ numbers:
#
# $$
# \mu_{nk} = \operatorname{mean} \big\{ x_{nchw} : c \text{ in group } k,\ \text{all } h, w \big\}, \qquad
# \texttt{out}_{nchw} = \gamma_c\, \frac{x_{nchw} - \mu_{nk(c)}}{\sqrt{\sigma^2_{nk(c)} + \epsilon}} + \beta_c
# $$
#
# `x` and `out` are $(N, C, H, W)$. Note that $\gamma$ and $\beta$ still belong to a *channel*, not to a group. They come as
# $(1, C, 1, 1)$ here (the CS231n convention) or as $(C,)$ (PyTorch's); `gamma.reshape(1, -1, 1, 1)` takes both.

# %% exercise="spatial_groupnorm_forward"
def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    """Group normalization: each image over groups of neighbouring channels. The same at training and test time.

    Inputs:
    - x: (N, C, H, W)
    - gamma: scale, (1, C, 1, 1) or (C,)
    - beta: shift, of gamma's shape
    - G: number of groups; C is a multiple of it
    - gn_param: dict with
      - eps: added to the variance, inside the root (default 1e-5)

    Returns a tuple of:
    - out: (N, C, H, W)
    - cache: whatever spatial_groupnorm_backward needs
    """
    ### BEGIN SOLUTION
    rows = x.reshape(len(x) * G, -1)  # one row for each group of each image: (N·G, C/G·H·W)
    rows = rows - rows.mean(axis=1, keepdims=True)
    std = np.sqrt((rows**2).mean(axis=1, keepdims=True) + gn_param.get("eps", 1e-5))
    x_hat = (rows / std).reshape(x.shape)
    out = gamma.reshape(1, -1, 1, 1) * x_hat + beta.reshape(1, -1, 1, 1)
    return out, (x_hat, std, gamma)
    ### END SOLUTION


# %% check="spatial_groupnorm_forward" points=6

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* If a group were an axis of its own, which shape would `x` have, and which axes would a mean run over?
# 2. *A pointer.* `reshape` splits an axis without moving a number: $C$ into ($G$, $C/G$), in that order, keeps neighbours
#    together. The other order would put every $G$-th channel into a group.
# 3. *An outline.* Reshape so that the numbers of one group fill whole axes; normalise there; reshape back; only then scale
#    and shift by channel.
#
# </details>

# %% [markdown]
# ## 8 · Group norm, backward
#
# **It computes** the gradients of group norm: once more the formula of exercise 4, with $m[\cdot]$ the mean over a
# group of one image.
#
# $$
# \texttt{dx} = \frac{1}{\sqrt{\sigma^2 + \epsilon}} \Big( g - m[g] - \hat x \; m[\,g\, \hat x\,] \Big), \qquad
# g = \texttt{dout} \cdot \gamma
# $$
#
# $$
# \texttt{dgamma}_c = \sum_{n,h,w} \texttt{dout}_{nchw}\, \hat x_{nchw}, \qquad
# \texttt{dbeta}_c = \sum_{n,h,w} \texttt{dout}_{nchw}
# $$
#
# `dout` and `dx` are $(N, C, H, W)$; `dgamma` and `dbeta` have the shape that `gamma` had. Within a group $\gamma$ differs
# from channel to channel, so it must be inside both means.

# %% exercise="spatial_groupnorm_backward"
def spatial_groupnorm_backward(dout, cache):
    """Gradients of group normalization.

    Inputs:
    - dout: upstream gradient, (N, C, H, W)
    - cache: what spatial_groupnorm_forward returned

    Returns a tuple of:
    - dx: (N, C, H, W)
    - dgamma: of gamma's shape, (1, C, 1, 1) or (C,)
    - dbeta: the same
    """
    ### BEGIN SOLUTION
    x_hat, std, gamma = cache
    g = (dout * gamma.reshape(1, -1, 1, 1)).reshape(len(std), -1)  # rows as in the forward pass: (N·G, C/G·H·W)
    rows = x_hat.reshape(g.shape)
    dx = (g - g.mean(axis=1, keepdims=True) - rows * (g * rows).mean(axis=1, keepdims=True)) / std
    dgamma, dbeta = (dout * x_hat).sum(axis=(0, 2, 3)), dout.sum(axis=(0, 2, 3))
    return dx.reshape(dout.shape), dgamma.reshape(gamma.shape), dbeta.reshape(gamma.shape)
    ### END SOLUTION


# %% check="spatial_groupnorm_backward" points=6

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* Which steps live in the shape $(N, C, H, W)$, and which in the grouped shape?
# 2. *A pointer.* Everything with `gamma`, `dgamma`, `dbeta` is by channel. The two means are by group.
# 3. *An outline.* Multiply `dout` by gamma; regroup the product and $\hat x$ as in the forward pass; apply the formula
#    there; reshape `dx` back. The sums for the parameters need no groups at all.
#
# </details>

# %% [markdown]
# **Look at what the norms do to real activations.** The network below is trained on handwritten digits without any norm. We
# take what its second convolution puts out for 16 images: 16 channels of 4 × 4 pixels. Each square in the heat maps is one
# channel of one image: its mean over the pixels above, its standard deviation below. Then each norm is applied to these
# same numbers.

# %% experiment=true
layer_pair = yours(["layernorm_forward", "layernorm_backward"], [norms.layernorm_forward, norms.layernorm_backward])
instance_pair = yours(
    ["instancenorm_forward", "instancenorm_backward"], [norms.instancenorm_forward, norms.instancenorm_backward]
)
group_pair = yours(
    ["spatial_groupnorm_forward", "spatial_groupnorm_backward"],
    [norms.spatial_groupnorm_forward, norms.spatial_groupnorm_backward],
)

data = digits()
net = small_convnet((8, 16), rng=0)
print(train(net, data, epochs=15, batch_size=25, rng=0, eval_every=0, progress=False))
raw = net.activations(data.x_val[:16], after=Conv2d)[1][1].astype(float)  # (16, 16, 4, 4)
one, none = np.ones(16), np.zeros(16)
after = {
    "before": raw,
    "batch": norms.spatial_batchnorm_forward(raw, one, none, {"mode": "train"})[0],
    "layer (G = 1)": group_pair[0](raw, one, none, 1, {})[0],
    "group (G = 4)": group_pair[0](raw, one, none, 4, {})[0],
    "instance": instance_pair[0](raw, one, none, {})[0],
}

fig, panels = plt.subplots(2, 5, figsize=(12.5, 5.2), sharex=True, sharey=True)
for column, (name, x) in zip(panels.T, after.items(), strict=True):
    top = 15 if name == "before" else 1  # before the norms the numbers are far larger
    for ax, values, of, colours in (
        (column[0], x.mean(axis=(2, 3)), "mean", {"cmap": "RdBu_r", "vmin": -top, "vmax": top}),
        (column[1], x.std(axis=(2, 3)), "std", {"cmap": "viridis", "vmin": 0, "vmax": top * 2}),
    ):
        drawn = ax.imshow(values, **colours)
        ax.set_title(f"{of}, {name}", fontsize=11)
        ax.set(xticks=[0, 4, 8, 12], yticks=[0, 4, 8, 12])
        ax.grid(False)
        if name in ("before", "instance"):
            fig.colorbar(drawn, ax=ax, shrink=0.8, extend="both" if of == "mean" else "max")
for ax in panels[:, 0]:
    ax.set_ylabel("image")
for ax in panels[1]:
    ax.set_xlabel("channel")
plt.show()

print("largest size of a mean taken over ...")
print(f"{'':16s}{'a channel, all images':>24s}{'an image, all channels':>26s}{'a channel of an image':>24s}")
for name, x in after.items():
    sizes = [np.abs(x.mean(axis=axes)).max() for axes in ((0, 2, 3), (1, 2, 3), (2, 3))]
    print(f"{name:16s}{sizes[0]:24.2f}{sizes[1]:26.2f}{sizes[2]:24.2f}")

# %% [markdown]
# **How to read it.** Before any norm the means lie far from zero, and there are stripes: a channel has its own level,
# much the same for every image. *Batch norm* brings each **column** of the upper row to mean zero, and the stripes are
# gone. What is left is what sets one image apart from the others: look at the last row, an image unlike the rest.
# *Layer norm* brings each **row** to mean zero; the stripes between channels stay. *Group norm* does so for each block
# of four neighbouring squares in a row: levels are evened out between the groups, not within them. *Instance norm*
# brings **every square** to mean 0 and standard deviation 1: how strongly a channel answers to an image as a whole
# cannot be seen any more, only where in the image it answers. The table says the same in numbers: a zero wherever the
# norm's own means are taken.

# %% [markdown]
# ## 9 · Layer norm in a recurrent net
#
# A recurrent net reads a sequence. At each time step it mixes the new input $x_t$ with its state $h_{t-1}$, always with the
# *same* weights. Batch norm is awkward here: the sums at step 1 and at step 50 have different statistics, so each
# step would need running averages of its own, and what should a sequence do that is longer than all those in training?
# Layer norm has no such trouble. It takes its statistics anew, at each step, from the units of one example.
#
# **It computes** one step: the tanh of the layer-normalised sum.
#
# $$
# a_t = x_t W_x + h_{t-1} W_h + b, \qquad
# h_t = \tanh\!\Big( \gamma\, \frac{a_t - \mu_t}{\sqrt{\sigma_t^2 + \epsilon}} + \beta \Big)
# $$
#
# `x_t` is $(N, D)$, `h_prev` and the result $(N, H)$, `Wx` $(D, H)$, `Wh` $(H, H)$; `b`, `gamma`, `beta` are $(H,)$. The
# statistics $\mu_t$ and $\sigma_t^2$ are those of the $H$ sums of one example at this step, $(N, 1)$.

# %% exercise="rnn_layernorm_step"
def rnn_layernorm_step(x_t, h_prev, Wx, Wh, b, gamma, beta, eps=1e-5):
    """One step of a recurrent net with layer normalization before the tanh.

    Inputs:
    - x_t: input at this step, (N, D)
    - h_prev: state after the step before, (N, H)
    - Wx: weights of the input, (D, H)
    - Wh: weights of the state, (H, H)
    - b: bias of the sum that is normalised, (H,)
    - gamma, beta: scale and shift after the normalization, (H,)
    - eps: added to the variance, inside the root

    Returns h_t: the new state, (N, H).
    """
    ### BEGIN SOLUTION
    summed = x_t @ Wx + h_prev @ Wh + b
    normed, _ = layernorm_forward(summed, gamma, beta, {"eps": eps})
    return np.tanh(normed)
    ### END SOLUTION


# %% check="rnn_layernorm_step" points=5

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* What would the step be without the norm? Between which two operations does the norm go?
# 2. *A pointer.* There is one normalization in a step, of the whole sum with its bias; you have a function for it already.
# 3. *An outline.* The sum of two products and `b`; layer norm with `gamma`, `beta` and this function's `eps`; tanh.
#
# </details>

# %% [markdown]
# ## Experiments
#
# ### A · Small batches
#
# **The claim** (Wu & He 2018): batch norm's error grows quickly as the batch gets small, because its statistics get
# noisy; group norm's error hardly depends on the batch size. (On ImageNet, from 32 images a worker to 2, batch norm's
# error went from 23.6% to 34.7%; group norm's stayed at 24%.)
#
# We train a small fully connected net on 600 digits with each norm before the ReLUs, for batch sizes from 1 to 64. All
# runs see each example equally often: **6 epochs**, so a smaller batch means more steps. The learning rate is
# **proportional to the batch size**, $0.1 \cdot \texttt{batch} / 64$ with momentum 0.9, as in the paper (the "linear
# scaling rule": twice the batch, half the steps, twice the rate). For group norm the 64 units of a layer are 64
# channels of one pixel, in 4 groups. Four seeds; the bars are standard errors.
#
# **Your guess first:** in a fully connected layer, how many numbers go into one mean of batch norm at batch size 2? And at
# 1: what does $\hat x$ look like then?

# %% experiment=true
count = seeds(quick=4, full=10)
small = data.flat.first(600)
batch_sizes = [1, 2, 4, 8, 16, 32, 64]


def of_units(pair):
    """A group norm of images, (N, C, H, W), as one of rows, (N, C): channels of a single pixel."""
    forward, backward = pair

    def rows_forward(x, gamma, beta, G, param):
        out, cache = forward(x[:, :, None, None], gamma, beta, G, param)
        return out[:, :, 0, 0], cache

    def rows_backward(dout, cache):
        dx, dgamma, dbeta = backward(dout[:, :, None, None], cache)
        return dx[:, :, 0, 0], dgamma, dbeta

    return rows_forward, rows_backward


norm_of = {
    "batch norm": (norms.batchnorm_forward, norms.batchnorm_backward),
    "layer norm": layer_pair,
    "group norm": lambda units: Norm(*of_units(group_pair), units, G=4),
}


def error_after_training(norm, batch_size, seed):
    """Validation error of a net trained for 6 epochs at a rate proportional to the batch size."""
    net = mlp([64, 64, 64, 10], norm=norm, rng=seed)
    rate = 0.1 * batch_size / 64
    run = train(net, small, epochs=6, batch_size=batch_size, learning_rate=rate, rng=seed, eval_every=0)
    return 1 - run.val_accuracy


by_size = {}
fig, ax = plt.subplots(figsize=(8, 4.2))
print(f"{'batch size':11s}", *(f"{size:>13d}" for size in batch_sizes))
for (name, norm), colour in zip(norm_of.items(), COLOURS, strict=False):
    errors = sweep(lambda size, seed, norm=norm: error_after_training(norm, size, seed), batch_sizes, seeds=count)
    by_size[name] = errors
    curves_with_errors(batch_sizes, errors.values * 100, name, ax, style="bars", color=colour)
    print(f"{name:11s}", *(f"{m:6.1%} ± {e:4.1%}" for m, e in zip(errors.mean, errors.error, strict=True)))
ax.set_xscale("log", base=2)
ax.set_xticks(batch_sizes, [str(size) for size in batch_sizes])
ax.set(xlabel="batch size", ylabel="validation error, %", yscale="log", title="6 epochs, rate proportional to the batch")
ax.set_yticks([2, 5, 10, 20, 50, 100], ["2", "5", "10", "20", "50", "100"])
ax.minorticks_off()
ax.legend()
plt.show()

apart = {name: errors.values - errors.values[:, [5]] for name, errors in by_size.items()}  # from the error at 32
breaks = apart["batch norm"][:, 1].mean() > 2 * standard_error(apart["batch norm"][:, 1])  # at 2
flat = np.all(np.abs(apart["group norm"].mean(axis=0)) <= 2 * standard_error(apart["group norm"]))
shown = (0, 1, 2, 5, 6)
record(
    "02/small-batches",
    claim="Batch norm's error grows quickly as the batch gets small; group norm's hardly depends on the batch size",
    source="Wu & He 2018, arXiv:1803.08494",
    measured=f"validation error, batches of {', '.join(str(batch_sizes[k]) for k in shown)}: "
    + "; ".join(
        f"{name} " + ", ".join(f"{errors.mean[k]:.1%} ± {errors.error[k]:.1%}" for k in shown)
        for name, errors in by_size.items()
    ),
    agrees="yes" if breaks and flat else "partly" if breaks or flat else "no",
    seeds=count,
)

# %% [markdown]
# **What was seen.** At batch size 1 batch norm learns nothing: 90% error is guessing among ten digits. A mean of one
# number is that number, so $\hat x = 0$ for every image and nothing of the image gets through. At 2 the error is 41%:
# of two numbers, one becomes $+1$ and the other $-1$ (almost exactly), so that a unit only says which of the two images
# had more. From 4 on (4.3%) batch norm works, from 16 on it is the best of the three (2.3% against 3.1% and 3.7%).
#
# Layer and group norm do not break anywhere: 2.8% and 2.6% at batch size 1. They are not perfectly flat, though. Their
# error grows to 4.7% and 4.8% at 64. The norm cannot be the reason, as it never looks at the batch. One hypothesis: 6
# epochs at batch size 64 are only 54 steps, and even a large rate does not make up for the 3600 steps at batch size 1.
# To test it, train longer at the large batches. That batch norm is ahead at 16 and above may be due to its noise, which
# acts as a regularizer; this, too, is a hypothesis. On ImageNet batch norm is ahead by half a percent at 32 images.
#
# *When it would not hold:* where many numbers share a mean in spite of a small batch. That is the next run.

# %% [markdown]
# **What counts is the count.** In a convolutional net a mean of batch norm runs over pixels, too: $N \cdot H \cdot W$
# numbers (exercise 2). So batch size 2 should be harmless as long as the last norm still sees enough pixels. We keep
# the batch size at 2 and train two nets on images: one with three convolutions, whose last norm sees 2 × 2 pixels, and
# one with a fourth convolution after one more pool, which is left with 1 × 1. Group norm on the same two nets tells us
# whether it is the depth itself that hurts. 600 digits, 4 epochs, rate $0.2 \cdot 2 / 64$, three seeds.
#
# **Your guess first:** which of the four bars will be high?

# %% experiment=true
count = seeds(quick=3, full=10)
convnets = {(8, 16, 32): 2, (8, 16, 32, 32): 1}  # channels of the convolutions: side of the images at the last one
images = data.first(600)
spatial_norms = {
    "batch norm": (norms.spatial_batchnorm_forward, norms.spatial_batchnorm_backward),
    "group norm": lambda channels: Norm(*group_pair, channels, G=4),
}


def error_of_convnet(channels, norm, seed):
    net = small_convnet(channels, norm=norm, rng=seed)
    run = train(net, images, epochs=4, batch_size=2, learning_rate=0.2 * 2 / 64, rng=seed, eval_every=0)
    return 1 - run.val_accuracy


by_depth = {}
fig, ax = plt.subplots(figsize=(7, 3.6))
counts = {"batch norm": lambda side: 2 * side * side, "group norm": lambda side: 32 // 4 * side * side}
for (name, norm), colour, shift in zip(spatial_norms.items(), (COLOURS[0], COLOURS[2]), (-0.18, 0.18), strict=True):
    errors = sweep(lambda channels, seed, norm=norm: error_of_convnet(channels, norm, seed), list(convnets), seeds=count)
    by_depth[name] = errors
    height, error = errors.mean * 100, errors.error * 100
    bars = ax.bar(np.arange(2) + shift, height, 0.34, yerr=error, capsize=3, color=colour, label=name)
    ax.bar_label(bars, [f"{counts[name](side)} numbers" for side in convnets.values()], padding=3, fontsize=9)
    for channels, m, e in zip(convnets, errors.mean, errors.error, strict=True):
        side = convnets[channels]
        shared = f"{counts[name](side):2d} numbers in a mean of the last norm"
        print(f"{name}, {len(channels)} convolutions, {shared}: {m:.1%} ± {e:.1%}")
ax.set_xticks(range(2), [f"{len(c)} convolutions, last norm on {side} × {side}" for c, side in convnets.items()])
ax.set(ylim=(0, 100), ylabel="validation error, %", title="Batch size 2, and the numbers in a mean of the last norm")
ax.legend(loc="upper left")
plt.show()

deeper = {name: errors.values[:, 1] - errors.values[:, 0] for name, errors in by_depth.items()}
beyond_depth = deeper["batch norm"] - deeper["group norm"]  # what the fourth convolution costs batch norm alone
behind = by_depth["batch norm"].values[:, 0] - by_depth["group norm"].values[:, 0]  # with 8 numbers in a mean
fails_with_two = beyond_depth.mean() > 2 * standard_error(beyond_depth)
fine_with_eight = behind.mean() < 2 * standard_error(behind)
record(
    "02/numbers-in-a-mean",
    claim="At the same small batch, batch norm fails where few numbers share a mean, and not where many do",
    source="this notebook; the batch size is that of Wu & He 2018, arXiv:1803.08494",
    measured="batches of 2, validation error: "
    + ", ".join(
        f"{name} {errors.mean[k]:.1%} ± {errors.error[k]:.1%} ({counts[name](side)} numbers, {len(channels)} convolutions)"
        for name, errors in by_depth.items()
        for k, (channels, side) in enumerate(convnets.items())
    ),
    agrees="yes" if fails_with_two and fine_with_eight else "partly" if fails_with_two else "no",
    seeds=count,
)

# %% [markdown]
# **What was seen.** At the same batch size of 2, batch norm is fine with 8 numbers in each mean of its last norm (4%
# error, less than group norm's 9%, though with three seeds that gap is uncertain) and breaks with 2 (73%). Group norm
# learns with both nets (9% and 11%; with the course's own functions, which round differently, 13%; with ten seeds 8.1% ±
# 1.6% and 14.0% ± 2.0%). So the depth may cost some points, but not the sixty-nine that batch norm loses. "Batch norm
# needs a batch of at least so many" is thus only half the truth: what it needs is numbers in a mean, and
# $N \cdot H \cdot W$ tells you how many there are. Nor is the count the whole truth: a ResNet-50 on ImageNet has 7 × 7
# pixels left at its end, thus 98 numbers in a mean at 2 images a worker, and the paper's error still rises by 11 points. A likely
# reason is that the pixels of one image resemble each other, so that 98 of them are worth far fewer independent
# numbers. Group norm has a limit of the same kind: $(C/G) \cdot H \cdot W$ must not become too small.

# %% [markdown]
# ### B · Training and test time
#
# **The claim** (Ba et al. 2016): layer norm does exactly the same at training and at test time. Batch norm does not.
#
# We train the same net with each of the two, five seeds. Then we send the same 300 test images through it in training
# mode and in test mode and compare all scores. And we send each image through on its own, in training mode, to see what
# the company of the other images is worth.
#
# **Your guess first:** how large is the largest difference between the two modes for layer norm: about $10^{-7}$, the
# rounding of float32, or something else?

# %% experiment=true
count = seeds(quick=5, full=10)


def modes(name, seed):
    """Scores of the test images in training mode, in test mode, and in training mode one image at a time."""
    net = mlp([64, 64, 64, 10], norm=norm_of[name], rng=seed)
    train(net, small, epochs=6, batch_size=32, learning_rate=0.05, rng=seed, eval_every=0, progress=False)
    images = small.x_test
    alone = np.concatenate([net.copy().forward(image[None], "train") for image in images])
    return net.copy().forward(images, "train"), net.forward(images, "test"), alone


compared = {}
fig, panels = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
for ax, name, colour in zip(panels, ("layer norm", "batch norm"), (COLOURS[1], COLOURS[0]), strict=True):
    found = []
    for seed in range(count):
        training, test, alone = modes(name, seed)
        right = small.y_test == training.argmax(axis=1)
        found.append(
            [
                np.abs(training - test).max(),
                np.mean(training.argmax(axis=1) != test.argmax(axis=1)),
                np.abs(training - alone).max(),
                np.mean(alone.argmax(axis=1) != small.y_test),
                1 - right.mean(),
            ]
        )
        if seed == 0:
            ax.plot(training.ravel(), (test - training).ravel(), ".", ms=3, color=colour)
    compared[name] = np.array(found)
    mean, error = np.mean(found, axis=0), standard_error(found)
    worst = np.max(found, axis=0)
    print(f"{name}: training against test mode: largest difference of a score {mean[0]:.2g} ± {error[0]:.1g}")
    print(f"{'':10s}  (largest of all seeds {worst[0]:.2g}); predictions that change {mean[1]:.1%} ± {error[1]:.1%}")
    print(f"{'':10s}  together against alone: largest difference of a score {mean[2]:.2g} ± {error[2]:.1g}")
    together, apart = (f"{mean[k]:.1%} ± {error[k]:.1%}" for k in (4, 3))
    print(f"{'':10s}  test error in training mode: together {together}, alone {apart}")
    ax.set(title=f"{name}, one seed", xlabel="score in training mode")
panels[0].set_ylabel("score in test mode minus\nscore in training mode")
plt.show()

layer_found, batch_found = compared["layer norm"], compared["batch norm"]
moved, moved_error = batch_found.mean(axis=0), standard_error(batch_found)
same, differs = layer_found[:, 0].max() == 0, batch_found[:, 0].min() > 1e-3
record(
    "02/training-and-test-time",
    claim="Layer norm does exactly the same at training and at test time; batch norm does not",
    source="Ba et al. 2016, arXiv:1607.06450",
    measured=f"largest difference of a score between the modes: layer norm {layer_found[:, 0].max():.2g} in the worst seed; "
    f"batch norm {moved[0]:.2f} ± {moved_error[0]:.2f}, and {moved[1]:.1%} ± {moved_error[1]:.1%} of the answers change; "
    f"in training mode, one image at a time: error {layer_found[:, 3].mean():.1%} ± {standard_error(layer_found[:, 3]):.1%} "
    f"(layer norm), {moved[3]:.1%} ± {moved_error[3]:.1%} (batch norm)",
    agrees="yes" if same and differs else "partly" if same or differs else "no",
    seeds=count,
)

# %% [markdown]
# **What was seen.** For layer norm the difference between the modes is 0: not small, but zero in each bit, for every
# seed, because it is the same computation. (Together or alone, scores differ by some $10^{-6}$. That is rounding: a
# matrix product adds up in another order for another batch size.) Batch norm's scores move by up to 0.9 (1.1 in the
# worst seed) when the batch's statistics give way to the running averages. Here that changes 0.5% of the predictions,
# little, as 300 test images make good statistics. Send the images one at a time in training mode, and batch norm's
# error is 90%, where layer norm's stays at 5.1%.
#
# Do not conclude that layer norm is the better choice for this net: with the whole batch, batch norm has the lower
# error (3.7% against 5.1%). The claim is about sameness, not about accuracy.
#
# *When it would not hold:* if other parts of the net differ between the modes, as dropout does.

# %% [markdown]
# ### C · Contrast
#
# **The claim** (Ulyanov et al. 2016): instance norm removes what is specific to one image's contrast, and that helps
# style transfer: the contrast of the result should come from the style, not from the photo.
#
# We take two photos and change them: brightness and contrast ($x \to a\,x + b$ with random $a$ between 0.3 and 1), a
# colour cast (each channel its own $a$ and $b$), the same as the first but clipped to black and white where it leaves
# the range of a screen, with $a$ between 1.5 and 3, and a curve ($x \to x^p$, the "gamma" of photo programs; $p$
# between 0.4 and 2.5). Then we normalise the photo and the changed photo and measure how far apart they are: the root
# mean square of the difference, against that of the normalised photo. "No norm" compares the photos themselves, against
# their spread. Ten draws for each of two photos.
#
# **Your guess first:** which of the four changes does instance norm undo? Which does layer norm undo?

# %% experiment=true
count = seeds(quick=20, full=100)
pictures = photos(size=(120, 180))  # (2, 3, 120, 180) in [0, 1]


def brightness_and_contrast(x, rng):
    return rng.uniform(0.3, 1) * x + rng.uniform(-0.2, 0.5)


def colour_cast(x, rng):
    return rng.uniform(0.3, 1, (3, 1, 1)) * x + rng.uniform(-0.2, 0.5, (3, 1, 1))


def clipped(x, rng):
    return np.clip(rng.uniform(1.5, 3) * (x - 0.5) + 0.5 + rng.uniform(-0.2, 0.2), 0, 1)


def curve(x, rng):
    return x ** 2.0 ** rng.uniform(np.log2(0.4), np.log2(2.5))


def normed(kind, x, eps=1e-5):
    """One photo (3, H, W) after a norm without gamma and beta; for "no norm" only its scale changes."""
    if kind == "layer norm":
        return group_pair[0](x[None], np.ones(3), np.zeros(3), 1, {"eps": eps})[0][0]
    if kind == "instance norm":
        return instance_pair[0](x[None], np.ones(3), np.zeros(3), {"eps": eps})[0][0]
    return x / x.std()


changes = {
    "brightness and contrast": brightness_and_contrast,
    "colour cast": colour_cast,
    "clipped": clipped,
    "curve": curve,
}
kinds = ("no norm", "layer norm", "instance norm")


def distance(kind, change, seed, eps=1e-5):
    """Relative difference between a photo and its changed version after a norm."""
    x = pictures[seed % 2]
    if kind == "no norm":
        return np.sqrt(np.mean((change(x, np.random.default_rng(seed)) - x) ** 2)) / x.std()
    plain, changed = normed(kind, x, eps), normed(kind, change(x, np.random.default_rng(seed)), eps)
    return np.sqrt(np.mean((changed - plain) ** 2) / np.mean(plain**2))


by_change = {}
print(f"{'difference after':25s}", *(f"{kind:>18s}" for kind in kinds))
for name, change in changes.items():
    apart = sweep(lambda kind, seed, change=change: distance(kind, change, seed), kinds, seeds=count, progress=False)
    by_change[name] = apart
    print(f"{name:25s}", *(f"{m:9.4f} ± {e:.4f}" for m, e in zip(apart.mean, apart.error, strict=True)))
tiny = [distance("instance norm", brightness_and_contrast, seed, eps=1e-12) for seed in range(count)]
print(f"instance norm after brightness and contrast with eps = 1e-12: {np.mean(tiny):.1e}")

fig, panels = plt.subplots(3, 5, figsize=(12, 5.4))
shown = {"the photo": lambda x, rng: x, **changes}
for column, (name, change) in zip(panels.T, shown.items(), strict=True):
    x = change(pictures[0], np.random.default_rng(2))
    column[0].set_title(name, fontsize=11)
    for ax, kind in zip(column, kinds, strict=True):
        image = x if kind == "no norm" else 0.5 + 0.22 * normed(kind, x)
        ax.imshow(np.clip(image, 0, 1).transpose(1, 2, 0))
        ax.set(xticks=[], yticks=[])
for ax, kind in zip(panels[:, 0], ("given", "layer norm", "instance norm"), strict=True):
    ax.set_ylabel(kind)
plt.show()

undone = [apart.mean[2] < 0.01 * apart.mean[0] for apart in by_change.values()]
record(
    "02/contrast",
    claim="Instance norm removes what is specific to one image's contrast",
    source="Ulyanov et al. 2016, arXiv:1607.08022",
    measured="distance of a changed photo, without norm and after instance norm: "
    + ", ".join(
        f"{name} {apart.mean[0]:.2f} ± {apart.error[0]:.2f} and {apart.mean[2]:.2g} ± {apart.error[2]:.1g}"
        for name, apart in by_change.items()
    )
    + f"; colour cast after layer norm {by_change['colour cast'].mean[1]:.2f} ± {by_change['colour cast'].error[1]:.2f}",
    agrees="yes" if all(undone) else "partly" if any(undone) else "no",
    seeds=count,
)

# %% [markdown]
# **What was seen.** Changes of brightness and contrast leave photos 0.83 apart; after instance norm they are 0.0002
# apart. Even this rest comes from $\epsilon$: with $\epsilon = 10^{-12}$ it is $2 \cdot 10^{-11}$. The reason is one
# line of algebra: for $a > 0$ the mean of $a x + b$ is $a\mu + b$ and its standard deviation $a\sigma$, so $a$ and $b$
# cancel. Layer norm removes this change just as well. The difference between the two is the **colour cast**: there each
# channel has its own $a$ and $b$, which only separate means can cancel (0.0003 for instance norm, 0.74 for layer norm).
# In the pictures, the first three of the bottom row are alike.
#
# *When it would not hold.* Only an affine change cancels. Clipping destroys what no norm can bring back (0.32, as with
# layer norm), and a curve bends the values (0.13, a third of the 0.39 without a norm, but not nothing). And mind the
# other side of the coin: if contrast or colour carries the answer (is it day or night?), instance norm throws the
# answer away.

# %% [markdown]
# ### D · A recurrent net
#
# **The claim** (Ba et al. 2016): in a plain recurrent net the summed inputs tend to grow or to shrink from step to
# step, so gradients explode or vanish; layer norm makes the hidden state's dynamics much more stable.
#
# First we only *run* a net, with random weights and no training: 40 units, input for 10 steps and then silence (zeros)
# for 40 more. The recurrent weights $W_h$ are normal with standard deviation $s / \sqrt{40}$; the larger $s$ is, the
# more the state counts at the next step.
#
# **Your guess first:** with layer norm, what do the two extremes of $s$ look like, after the input has stopped?

# %% experiment=true
count = seeds(quick=10, full=30)


def course_step(x_t, h_prev, Wx, Wh, b, gamma, beta, eps=1e-5):
    return np.tanh(norms.layernorm_forward(x_t @ Wx + h_prev @ Wh + b, gamma, beta, {"eps": eps})[0])


(normed_step,) = yours(["rnn_layernorm_step"], [course_step])


def plain_step(x_t, h_prev, Wx, Wh, b, gamma, beta):
    return np.tanh(x_t @ Wx + h_prev @ Wh + b)


def states_over_time(step, spread, seed, units=40, inputs=8, talking=10, silent=40):
    """The states (steps, units) of an untrained net that reads noise and then silence."""
    rng = np.random.default_rng(seed)
    Wx = rng.standard_normal((inputs, units)) / np.sqrt(inputs)
    Wh = rng.standard_normal((units, units)) / np.sqrt(units)
    x = np.concatenate([rng.standard_normal((talking, inputs)), np.zeros((silent, inputs))])
    h, states = np.zeros((1, units)), []
    for x_t in x:
        h = step(x_t[None], h, Wx, spread * Wh, np.zeros(units), np.ones(units), np.zeros(units))
        states.append(h[0])
    return np.array(states)


spreads = (0.5, 1.0, 3.0)
steps_of = {"plain": plain_step, "layer norm": normed_step}
late, beyond = {}, {}
fig, panels = plt.subplots(2, 3, figsize=(12, 5), sharex=True, sharey=True)
for row, (name, step) in zip(panels, steps_of.items(), strict=True):
    for ax, spread in zip(row, spreads, strict=True):
        drawn = ax.imshow(states_over_time(step, spread, seed=0).T, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
        ax.axvline(9.5, color="black", lw=1.2, ls="--")
        ax.set_title(f"{name}, s = {spread:g}", fontsize=11)
        ax.grid(False)
        states = np.array([states_over_time(step, spread, seed) for seed in range(count)])
        size = np.sqrt(np.mean(states**2, axis=2))  # (seeds, steps)
        stuck = np.mean(np.abs(states[:, 10:]) > 0.95, axis=(1, 2))
        late[name, spread], beyond[name, spread] = size[:, -1], stuck
        print(
            f"{name:10s} s = {spread:g}: size of the state after step 10: {size[:, 9].mean():.2f}, after step 50: "
            f"{size[:, -1].mean():.2g} ± {standard_error(size[:, -1]):.1g}; "
            f"units beyond ±0.95: {stuck.mean():.0%} ± {standard_error(stuck):.0%}"
        )
    row[0].set_ylabel("unit")
fig.colorbar(drawn, ax=panels, shrink=0.8, label="state h")
for ax in panels[1]:
    ax.set_xlabel("time step")
plt.show()

sizes = {name: [late[name, spread].mean() for spread in spreads] for name in steps_of}
ratio = {name: max(of) / min(of) for name, of in sizes.items()}  # between the largest and the smallest state
record(
    "02/recurrent-state",
    claim="Layer norm makes the hidden state's dynamics in a recurrent net much more stable",
    source="Ba et al. 2016, arXiv:1607.06450",
    measured="size of the state after 40 steps of silence, s = 0.5, 1 and 3: "
    + "; ".join(
        f"{name} "
        + ", ".join(f"{late[name, spread].mean():.2g} ± {standard_error(late[name, spread]):.1g}" for spread in spreads)
        + f", of the values {beyond[name, 3.0].mean():.1%} ± {standard_error(beyond[name, 3.0]):.1%} beyond ±0.95 at s = 3"
        for name in steps_of
    ),
    agrees="yes" if ratio["layer norm"] < 2 < ratio["plain"] else "partly" if ratio["layer norm"] < ratio["plain"] else "no",
    seeds=count,
)

# %% [markdown]
# **What was seen.** Without the norm, $s$ decides everything. At 0.5 the state dies when the input stops (size
# $5 \cdot 10^{-11}$ after 40 steps of silence), at 1 it fades (0.18), and at 3 it is driven into the ends of the tanh:
# 47% of the values lie beyond ±0.95. With layer norm the size of the state is 0.63 for all three, and 6% lie beyond
# ±0.95. In silence $a_t = h_{t-1} W_h$, and the norm divides by whatever factor $s$ brought in: the sum neither grows
# nor shrinks.
#
# Activity is not memory, however. The patterns in the lower row go on, but that does not say that one could still read
# from them what the input was.

# %% [markdown]
# Now with gradients and training. Your step function has no backward pass, so here is a small recurrent net around your
# layer norm pair: the forward pass keeps what each step needs, the backward pass walks through the steps in reverse. We
# check it the way of notebook 00, then use it twice: to measure how the gradient fares on its way back through 50 steps,
# and to learn to read digits row by row (8 steps of 8 pixels; the class is asked for after the last row).
#
# **Your guess first:** layer norm costs time at each step. Do you expect it to be better at every learning rate, or
# only at some?

# %% experiment=true
class RecurrentNet:
    """h_t = tanh(norm(x_t Wx + h Wh + b)), and scores from the last state; `norm` is layer norm or nothing."""

    def __init__(self, inputs, units, classes, spread, norm, rng, dtype=np.float32):
        rng = np.random.default_rng(rng)
        self.params = {
            "Wx": rng.standard_normal((inputs, units)) / np.sqrt(inputs),
            "Wh": rng.standard_normal((units, units)) * spread / np.sqrt(units),
            "b": np.zeros(units),
            "gamma": np.ones(units),
            "beta": np.zeros(units),
            "Wo": rng.standard_normal((units, classes)) / np.sqrt(units),
            "bo": np.zeros(classes),
        }
        self.params = {name: value.astype(dtype) for name, value in self.params.items()}
        self.norm = norm

    def forward(self, x):
        """Scores (N, K) of sequences x (N, T, D)."""
        p = self.params
        self.h, self.steps = np.zeros((len(x), len(p["b"])), x.dtype), []
        for x_t in x.swapaxes(0, 1):  # (N, T, D) -> T times (N, D)
            a, cache = x_t @ p["Wx"] + self.h @ p["Wh"] + p["b"], None
            if self.norm:
                a, cache = self.norm[0](a, p["gamma"], p["beta"], {})
            before, self.h = self.h, np.tanh(a)
            self.steps.append((x_t, before, self.h, cache))
        return self.h @ p["Wo"] + p["bo"]

    def backward(self, dscores):
        """Gradients of all parameters; keeps the size of the gradient by each state, first step first."""
        p = self.params
        grads = {name: np.zeros_like(value) for name, value in p.items()}
        grads["Wo"], grads["bo"] = self.h.T @ dscores, dscores.sum(axis=0)
        dh, self.sizes = dscores @ p["Wo"].T, []
        for x_t, before, h, cache in reversed(self.steps):
            self.sizes.insert(0, np.sqrt(np.mean(dh**2)))
            da = dh * (1 - h * h)
            if self.norm:
                da, dgamma, dbeta = self.norm[1](da, cache)
                grads["gamma"] += dgamma
                grads["beta"] += dbeta
            grads["Wx"] += x_t.T @ da
            grads["Wh"] += before.T @ da
            grads["b"] += da.sum(axis=0)
            dh = da @ p["Wh"].T
        return grads


rng = np.random.default_rng(0)
net, x = RecurrentNet(3, 5, 4, 1.0, layer_pair, rng, float), rng.standard_normal((6, 7, 3))
dscores = rng.standard_normal((6, 4))
net.forward(x)
for name, grad in net.backward(dscores).items():
    weights, v = net.params[name], rng.standard_normal(net.params[name].shape)

    def scores_for(value, name=name):
        net.params[name] = value
        return net.forward(x)

    found = checking.directional_gradient(scores_for, weights, dscores, v)
    net.params[name] = weights
    assert checking.relative_error(np.sum(grad * v), found) < 1e-6, name
print("The backward pass agrees with the numerical derivatives of all", len(net.params), "parameters.")


def gradient_over_time(norm, spread, seed, talking):
    """log10 of the size of the gradient by each of 50 states, of a net that reads noise for the steps `talking`."""
    net, rng = RecurrentNet(8, 40, 10, spread, norm, seed, dtype=float), np.random.default_rng(seed)
    x = rng.standard_normal((20, 50, 8))
    x[:, talking:] = 0
    net.forward(x)
    net.backward(rng.standard_normal((20, 10)))
    return np.log10(net.sizes) - np.log10(net.sizes[-1])


count = seeds(quick=10, full=30)
back = {}
fig, panels = plt.subplots(1, 4, figsize=(13, 3.8), sharey=True)
cases = [(name, norm, talking) for talking in (50, 10) for name, norm in (("plain", None), ("layer norm", layer_pair))]
for ax, (name, norm, talking) in zip(panels, cases, strict=True):
    title = name + (", input at every step" if talking == 50 else ", input for 10 steps")
    for spread, colour in zip(spreads, COLOURS, strict=False):
        sizes = np.array([gradient_over_time(norm, spread, seed, talking) for seed in range(count)])
        back[name, talking, spread] = sizes[:, 9]  # 40 steps before the last
        curves_with_errors(range(1, 51), sizes, f"s = {spread:g}", ax, color=colour)
        far, error = sizes[:, 9].mean(), standard_error(sizes[:, 9])
        print(f"{title:32s} s = {spread:<3g}  gradient 40 steps back: times 10^({far:+.1f} ± {error:.1f})")
    ax.set_title(title, fontsize=10)
    ax.set(xlabel="time step")
panels[0].set_ylabel("$\\log_{10}$ size of the gradient by $h_t$\n(last step: 0)")
panels[0].legend()
plt.show()

nearer = {  # how many decades nearer to "neither grown nor shrunk" the norm brings the gradient
    key: np.abs(back["plain", *key]) - np.abs(back["layer norm", *key]) for key in ((t, s) for t in (10, 50) for s in spreads)
}
steadied = [difference.mean() > 2 * standard_error(difference) for difference in nearer.values()]
record(
    "02/recurrent-gradient",
    claim="In a plain recurrent net gradients explode or vanish; with layer norm they do not",
    source="Ba et al. 2016, arXiv:1607.06450",
    measured="log10 of the gradient 40 steps back, s = 0.5, 1 and 3: "
    + "; ".join(
        f"{name}, {'input at every step' if talking == 50 else 'silence after step 10'} "
        + ", ".join(f"{back[name, talking, s].mean():+.1f} ± {standard_error(back[name, talking, s]):.1g}" for s in spreads)
        for name, _, talking in cases
    ),
    agrees="yes" if all(steadied) else "partly" if any(steadied) else "no",
    seeds=count,
)

# %% experiment=true
count = seeds(quick=4, full=10)
rows, rows_val = data.x_train[:, 0], data.x_val[:, 0]  # (N, 8, 8): 8 steps of 8 pixels
rates = (0.01, 0.03, 0.1, 0.3)


def read_rows(norm, spread, rate, seed, steps=150, batch_size=50):
    """The loss of each step of momentum SGD on digits read row by row, then the validation error at the end."""
    net, rng = RecurrentNet(8, 32, 10, spread, norm, seed), np.random.default_rng(seed)
    velocity = {name: np.zeros_like(value) for name, value in net.params.items()}
    losses = []
    for _ in range(steps):
        batch = rng.integers(len(rows), size=batch_size)
        loss, dscores = softmax_loss(net.forward(rows[batch]), data.y_train[batch])
        losses.append(loss)
        for name, grad in net.backward(dscores).items():
            velocity[name] = 0.9 * velocity[name] - rate * grad
            net.params[name] += velocity[name]
    return [*losses, np.mean(net.forward(rows_val).argmax(axis=1) != data.y_val)]


by_cell = {}
fig, panels = plt.subplots(1, 3, figsize=(13, 4))
for ax, (name, norm) in zip(panels, {"plain": None, "layer norm": layer_pair}.items(), strict=False):
    for spread, colour in zip(spreads, COLOURS, strict=False):
        runs = sweep(lambda rate, seed, s=spread, norm=norm: read_rows(norm, s, rate, seed), rates, count)
        errors = by_cell[name, spread] = runs[:, -1]
        curves_with_errors(rates, 100 * errors.values, f"s = {spread:g}", ax, style="bars", color=colour)
        print(
            f"{name:10s} s = {spread:<3g}",
            *(f"rate {r}: {m:5.1%} ± {e:.1%}" for r, m, e in zip(rates, errors.mean, errors.error, strict=True)),
            sep="  ",
        )
        if spread != 1:
            style = "-" if norm else "--"
            loss = runs.values[:, rates.index(0.1), :-1]
            smooth = np.array([np.convolve(one, np.ones(10) / 10, "valid") for one in loss])
            curves_with_errors(np.arange(10, 151), smooth, f"{name}, s = {spread:g}", panels[2], color=colour, ls=style)
    ax.set(xscale="log", ylim=(0, 100), xlabel="learning rate", title=name)
    ax.legend()
panels[0].set_ylabel("validation error, %")
panels[2].set(xlabel="step", ylabel="training loss (mean of 10 steps)", title="rate 0.1")
panels[2].legend()
plt.show()

saved = np.concatenate([by_cell["plain", s].values - by_cell["layer norm", s].values for s in spreads], axis=1)
wins = int(np.sum(saved.mean(axis=0) > 2 * standard_error(saved)))  # of the cells, three s and four rates
losses = int(np.sum(saved.mean(axis=0) < -2 * standard_error(saved)))
ends = {}
for name in ("plain", "layer norm"):
    cells = [(m, e) for s in spreads for m, e in zip(by_cell[name, s].mean, by_cell[name, s].error, strict=True)]
    ends[name] = " to ".join(f"{m:.1%} ± {e:.1%}" for m, e in (min(cells), max(cells)))
record(
    "02/recurrent-training",
    claim="Layer norm steadies the training of a recurrent net",
    source="Ba et al. 2016, arXiv:1607.06450",
    measured=f"validation error after 150 steps at four rates and three s: from {ends['plain']} plain, from "
    f"{ends['layer norm']} with layer norm; better by more than two standard errors in {wins} of 12 cases, worse in {losses}",
    agrees="yes" if wins > 6 and losses == 0 else "partly" if wins > losses else "no",
    seeds=count,
)

# %% [markdown]
# **What was seen, gradients.** With silence after step 10 (two panels on the right) the claim holds well. A plain net's
# gradient, 40 steps back, is $10^{-11.6}$ times as large at $s = 0.5$ and $10^{4.8}$ times at $s = 3$ (it explodes
# although half of the units are near the flat ends of the tanh: the large weights outweigh that). With layer norm it is
# between $10^{1.0}$ and $10^{1.4}$ times as large whatever $s$ is. With fresh input at each step (two panels on the
# left) the claim holds by half. Layer norm tames the explosion (from $10^{4.2}$ to $10^{-0.6}$ at $s = 3$), but the
# gradient still vanishes at $s = 0.5$ and $s = 1$, as fast as without the norm. A likely reason: the norm cancels a
# factor of the *whole* sum $x_t W_x + h_{t-1} W_h$. Here the input's part of that sum stays as it is, and the share of
# the state in it is small when $s$ is small. No rescaling of the whole can change the shares.
#
# **What was seen, training.** At rates of 0.01 and 0.03 the norm brings little: differences within the error bars,
# except for $s = 3$. (With ten seeds, compared seed by seed, 10 of all 12 cases are better by more than two standard
# errors, and none is worse.) At 0.1 it is better for each $s$, most of all at $s = 3$ (5.5% against 30.5%). At 0.3 all
# plain nets fail (about 70% error), while those with layer norm stay between 5% and 8%. The best cell of each: 4.2% ± 0.6% with the norm, 5.8% ± 0.8% without. So with a good rate and a good $s$ the gain
# is small; what the norm buys is that you need not know either.
#
# *When it would not hold:* with LSTM or GRU cells, whose gates already protect the state, the gain may be smaller; and
# on sequences of 8 steps nothing has time to vanish. Try `data.x_train.reshape(len(data.x_train), 64, 1)`, one pixel at
# a time, if you can wait.

# %% [markdown]
# ## Questions
#
# Answer in a few sentences each, in your own words.

# %% [markdown] question="batches-of-one" points=2
# **Q1.** Your images are so large that only one of them fits into memory at a time, so you train with batches of 1.
# Which norm do you put into your convolutional net, and why not batch norm? Would batch norm fail at once in *every*
# layer?
#
# ### BEGIN SOLUTION
# **A good answer:** Group norm (layer norm, its case G = 1, is acceptable): its statistics come from the one image,
# over enough numbers, (C/G)·H·W, and are the same at test time. Batch norm's mean would be that of a single image, so
# that the statistics in training are noisy and do not resemble the running averages used at test time. It does not fail
# at once in every layer: where a channel has many pixels, H·W numbers share a mean (it is instance norm in training).
# Where H·W = 1, as in fully connected layers, the mean is the number itself, the output is beta whatever the image, and
# nothing is learned.
#
# **Marking scheme:** 1 point for group (or layer) norm with a reason that names the statistics of one example; 1 point
# for what batch norm's statistics become, with the difference between many pixels and a single one (or between training
# and test time).
# ### END SOLUTION

# %% [markdown] question="style-transfer" points=2
# **Q2.** A network is to redraw photos in the style of one painting. Why does instance norm suit it better than batch
# norm, and better than layer norm? Name a task for which the same property does harm.
#
# ### BEGIN SOLUTION
# **A good answer:** The result should have the contrast and colours of the painting, not those of the photo. Instance
# norm removes each channel's own mean and scale from each image, so what is left is the content; gamma and beta
# (learned from the style) set the new contrast. Batch norm uses one mean for the whole batch, so that a dull photo
# remains dull beside the others, and the result would depend on its neighbours. Layer norm removes only a common factor
# of all channels; differences between channels, such as a colour cast, stay. It does harm where brightness, contrast or
# how strongly a feature is present as a whole carries the answer: day or night, fog, ripeness of fruit, classification
# in general.
#
# **Marking scheme:** 1 point for contrast (mean and scale of each channel of each image) being removed, and how at
# least one of the other norms differs; 1 point for a task where that information is needed.
# ### END SOLUTION

# %% [markdown] question="recurrent-net" points=2
# **Q3.** Give two reasons why layer norm is easier to use in a recurrent net than batch norm. Then explain, with the
# formula of the step, why multiplying $W_x$, $W_h$ and $b$ all by 10 changes nothing in a layer-normalised step (up to
# $\epsilon$), while multiplying $W_h$ alone by 10 does change something.
#
# ### BEGIN SOLUTION
# **A good answer:** Batch norm would need statistics (and running averages) for every time step, as these differ from
# step to step, and has none for sequences longer than those in training; also sequences of a batch differ in length,
# and at test time there may be one sequence only. Layer norm takes its statistics from the units of one example at this
# step, the same at training and test time. If all three are multiplied by 10, the sum a_t becomes 10 a_t, its mean and
# standard deviation are 10 times as large, and the quotient stays. If only W_h is, the sum is not a multiple of the old
# one: the share of the state in it grows against that of the input, and the norm cannot undo that.
#
# **Marking scheme:** 1 point for two valid reasons; 1 point for both halves of the scaling argument.
# ### END SOLUTION

# %% [markdown]
# ## Remember
#
# 1. One formula, four norms. Batch: one mean a channel. Layer: one an example. Instance: one a channel of an example.
#    Group: one a group of channels of an example.
# 2. Layer, instance and group norm look at one example: the same at training and test time, and for any batch size.
# 3. Batch norm breaks when few numbers share a mean; count them: $N \cdot H \cdot W$.
# 4. In every backward pass, `dx` is $g$ less its mean and less its part along $\hat x$, over the root; $g$ has gamma
#    inside.
# 5. Instance norm throws away contrast; good for style, bad where contrast is the message. Layer norm steadies
#    recurrent nets and forgives rates.
#
# **Where to read on.** J. L. Ba, J. R. Kiros, G. E. Hinton, *Layer Normalization*, 2016 (arXiv:1607.06450); section 5
# compares what each norm is invariant to. D. Ulyanov, A. Vedaldi, V. Lempitsky, *Instance Normalization: The Missing
# Ingredient for Fast Stylization*, 2016 (arXiv:1607.08022). Y. Wu, K. He, *Group Normalization*, 2018
# (arXiv:1803.08494); its first figure is our experiment A on ImageNet.
