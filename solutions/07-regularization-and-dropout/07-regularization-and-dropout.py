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
# # 07 · Regularization and dropout
#
# **After this notebook you can keep a network from learning its training set by heart in eight ways, say what each of them
# does at training and at test time and why the two must fit together, and know from your own measurements what they buy.**
#
# *About two and a half hours; the exercises are many, but most of them are short. You need: notebook 01 for experiment D,
# expected values, broadcasting in NumPy.*

# %% setup=true
import time
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np

from autograder import check, hint, yours
from nnlab import (
    Affine,
    Data,
    Norm,
    ReLU,
    Sequential,
    digits,
    norms,
    photos,
    regularization,
    repeat,
    softmax_loss,
    sweep,
    train,
)
from nnlab.experiments import record, seeds
from nnlab.layers import he_weights
from nnlab.palette import COLOURS, GREY
from nnlab.plots import curves_with_errors, use_style

use_style()

# %% [markdown]
# ## The idea
#
# A network with two hidden layers of 100 units has 17,000 weights. Give it 300 images, and it learns every label by heart,
# the wrong ones as well. The training error falls to zero and says nothing any more about new images. What we want is the
# opposite: a network that would rather get a few training images wrong than bend itself around them. **Regularization is
# whatever makes the training data harder to fit, so that what is learned holds beyond them.** There are two families.
#
# *A price on the weights.* Add a penalty to the loss; a weight stays large only if the data pay for it.
#
# *Noise.* Disturb the network at each training step: switch off units, weights, whole layers, or add random numbers. What
# depends on a single unit or a single pixel does not survive. At test time nobody wants random answers, so the noise is
# averaged out. With $z$ for the noise, all of these methods are one pattern:
#
# $$
# \text{training:}\quad y = f(x, z), \quad z \text{ drawn anew each time} \qquad\qquad
# \text{testing:}\quad y = \mathbb{E}_z\big[ f(x, z) \big] = \int p(z)\, f(x, z)\, dz
# $$
#
# The integral can hardly ever be done exactly. Most of this notebook is about cheap ways around it, and how good they are.
#
# The picture shows 80 points of two classes in the plane, one in six with the wrong label, and the same network (two hidden
# layers of 100 units) trained on them three times. The line is where it is undecided.

# %% experiment=true
class PenalisedAffine(Affine):
    """`x @ W + b` whose weights cost something: `penalty(W)` is (loss, gradient). The bias is free."""

    def __init__(self, inputs, outputs, rng, penalty):
        super().__init__(inputs, outputs, rng)
        self.penalty = penalty

    def weight_gradients(self, dout):
        super().weight_gradients(dout)
        self.grads["W"] += self.penalty(self.params["W"])[1]


class WithNoise:
    """A layer around a pair `forward(x, mode, rng) -> (out, cache)`, `backward(dout, cache) -> dx`. It keeps the dtype."""

    def __init__(self, forward, backward, rng):
        self.params, self.grads = {}, {}
        self.pair, self.rng = (forward, backward), np.random.default_rng(rng)

    def forward(self, x, mode="train"):
        out, self.cache = self.pair[0](x, mode, self.rng)
        return np.asarray(out).astype(x.dtype, copy=False)

    def backward(self, dout):
        return np.asarray(self.pair[1](dout, self.cache)).astype(dout.dtype, copy=False)


def dropout_layer(p, rng, pair):
    """Dropout by a pair of functions of this notebook, with a new seed for each mini-batch."""

    def forward(x, mode, rng):
        return pair[0](x, {"p": p, "mode": mode, "seed": int(rng.integers(2**31))})

    return WithNoise(forward, pair[1], rng.integers(2**32))


def falling(rate, steps):
    """The learning rate of all experiments here: half a cosine from `rate` to 0."""
    return lambda t: rate * (1 + np.cos(np.pi * t / steps)) / 2


def probabilities(net, x, mode="test"):
    """Softmax of the network's scores, (N, K), in float64."""
    scores = net.forward(x.astype(net.dtype), mode).astype(np.float64)
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def two_arcs(count, wrong, rng):
    """Points (N, 2) on two half circles, with noise, and their classes (N,), a share of them wrong."""
    y = np.arange(count) % 2
    angle = np.pi * rng.random(count) + np.pi * y
    x = np.stack([np.cos(angle) + y - 0.5, np.sin(angle) + 0.5 * y - 0.25], axis=1)
    return (x + 0.2 * rng.standard_normal(x.shape)).astype(np.float32), y ^ (rng.random(count) < wrong)


rng = np.random.default_rng(3)
plane = Data(*two_arcs(80, 1 / 6, rng), *two_arcs(100, 0, rng), *two_arcs(2000, 0, rng), name="two arcs")
course_dropout = (regularization.dropout_forward, regularization.dropout_backward)
side = np.linspace(-2.6, 2.6, 161)
grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2).astype(np.float32)  # (161 · 161, 2)

fig, axes = plt.subplots(1, 3, figsize=(12.5, 4), sharex=True, sharey=True)
for ax, (name, strength, p) in zip(axes, (("nothing", 0, None), ("L2", 0.01, None), ("dropout", 0, 0.5)), strict=True):
    rng, layers = np.random.default_rng(0), []
    for inputs, units in ((2, 100), (100, 100), (100, 2)):
        layers += [PenalisedAffine(inputs, units, rng, lambda w, s=strength: regularization.l2_penalty(w, s))]
        if units == 100:
            layers += [ReLU(), *([dropout_layer(p, rng, course_dropout)] if p else [])]
    net = Sequential(layers)
    train(net, plane, steps=2000, batch_size=40, schedule=falling(0.1, 2000), rng=0, eval_every=0, progress=False)
    shades = probabilities(net, grid)[:, 1].reshape(161, 161)
    ax.contourf(side, side, shades, np.linspace(0, 1, 11), cmap="RdBu", alpha=0.6)
    ax.contour(side, side, shades, [0.5], colors="black", linewidths=1.6)
    for label, mark, colour in ((0, "o", COLOURS[1]), (1, "s", COLOURS[0])):
        ax.plot(*plane.x_train[plane.y_train == label].T, mark, color=colour, ms=5, mec="white", mew=0.6)
    found = [np.mean(net.predict(x) == y) for x, y in ((plane.x_train, plane.y_train), (plane.x_test, plane.y_test))]
    ax.set_title(f"{name}: training {found[0]:.0%}, new {found[1]:.0%}")
    ax.grid(False)
    print(f"{name:8s} right on {found[0]:.1%} of the 80 points, on {found[1]:.1%} of 2000 new ones without wrong labels")
plt.show()

# %% [markdown]
# Without regularization the line winds around single points, and there are islands where a wrong label sits: 95% of the
# training labels are fitted, and only 82% of new points. One label in six is wrong, so a *good* line fits 83% of them. L2
# gives up on the odd points, 82% and 88%; so does dropout, 88% and 92%. (One training of each, with one strength: a
# picture, not a measurement. Experiment A measures.)

# %% [markdown]
# ## Convention card
#
# | | this course | PyTorch | papers |
# | --- | --- | --- | --- |
# | L2 penalty | $\tfrac12 \lambda \sum w^2$ | `weight_decay`: adds $\lambda w$: the same | with or without $\tfrac12$ |
# | L1 at $w = 0$ | subgradient 0 | `abs`: the same | any from $-\lambda$ to $\lambda$ |
# | `p` of dropout | probability to KEEP | probability to DROP | keep [1] |
# | dropout divides by `p` | in training | in training | multiplies at test time [1] |
# | DropConnect's mask | one for a mini-batch | not there | one for an example [2] |
# | DropConnect's test | the mean: all weights | not there | draws from a Gaussian [2] |
# | `survival` | probability to stay | torchvision's `p`: to be lost | to stay [3] |
# | stochastic depth scales | at test time | in training | at test time [3] |
# | who loses a branch | the whole mini-batch | `mode`: `"batch"` or `"row"` | the whole mini-batch [3] |
# | fractional pooling | steps of 1 and 2 | regions of one fixed size | steps of 1 and 2 [4] |
# | its regions | `overlapping=False` by default | may overlap | both kinds [4] |
#
# [1] Srivastava et al. 2014. [2] Wan et al. 2013. [3] Huang et al. 2016 (arXiv:1603.09382). [4] Graham 2014
# (arXiv:1412.6071).
#
# `mode` is `"train"` or `"test"`. Functions with an argument `rng` get a `numpy.random.Generator` and draw from it anew at
# each call. Which of its methods you use, and in which order, is up to you: the checks look at *how often* things happen.

# %% [markdown]
# ## 1 · L2: small weights
#
# **It computes** what the weights cost, and the gradient of that. $w$ may have any shape, the gradient has the same;
# $\lambda$ is `strength`:
#
# $$ L = \tfrac12 \lambda \sum_i w_i^2 \qquad \frac{\partial L}{\partial w_i} = \lambda w_i $$
#
# The $\tfrac12$ is there for the sake of the gradient. In a step of gradient descent each weight loses the same *share* of
# itself, so the penalty is also called weight decay.

# %% exercise="l2_penalty"
def l2_penalty(w, strength):
    """Half the sum of the squared weights, times strength.

    Inputs:
    - w: array of any shape
    - strength: a number, 0 or larger

    Returns:
    - loss: a float
    - grad: array of the shape of w
    """
    ### BEGIN SOLUTION
    return 0.5 * strength * float(np.sum(w**2)), strength * w
    ### END SOLUTION


# %% check="l2_penalty" points=3

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* One weight of 3, a strength of 2: what does it cost, and how fast does that grow with the weight?
# 2. *A pointer.* The loss is one number for all weights together, the gradient one number for each. Half of the square,
#    derived, leaves no factor 2.
# 3. *An outline.* Sum of squares, times strength, halved. Then the gradient, entry by entry. Return both.
#
# </details>

# %% [markdown]
# ## 2 · L1: few weights
#
# **It computes** the same for absolute values:
#
# $$ L = \lambda \sum_i |w_i| \qquad \frac{\partial L}{\partial w_i} = \lambda \operatorname{sign}(w_i), \quad
# \text{with } \operatorname{sign}(0) = 0 $$
#
# Each weight loses the same *amount* at each step, however small it is. Small weights that the data do not hold go all the
# way to zero. At zero itself $|w|$ has a kink and no derivative. Any slope between those on the left and on the right is
# called a subgradient; we take 0.

# %% exercise="l1_penalty"
def l1_penalty(w, strength):
    """The sum of the absolute weights, times strength.

    Inputs:
    - w: array of any shape
    - strength: a number, 0 or larger

    Returns:
    - loss: a float
    - grad: array of the shape of w; 0 where w is 0
    """
    ### BEGIN SOLUTION
    return strength * float(np.sum(np.abs(w))), strength * np.sign(w)
    ### END SOLUTION


# %% check="l1_penalty" points=4

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* How does the cost of a weight of $-3$ change when it grows to $-2.9$?
# 2. *A pointer.* NumPy has a function for the absolute value and one that gives $-1$, 0 or 1.
# 3. *An outline.* Sum of absolute values times strength; signs times strength.
#
# </details>

# %% [markdown]
# ## 3 · Elastic net: both
#
# **It computes** the sum of the two penalties, each with its own strength $\lambda_1$ (`l1`) and $\lambda_2$ (`l2`), and the
# gradient of the sum (Zou & Hastie 2005):
#
# $$ L = \lambda_1 \sum_i |w_i| + \tfrac12 \lambda_2 \sum_i w_i^2 $$

# %% exercise="elastic_net_penalty"
def elastic_net_penalty(w, l1, l2):
    """The L1 and the L2 penalty together.

    Inputs:
    - w: array of any shape
    - l1: strength of the L1 penalty
    - l2: strength of the L2 penalty

    Returns:
    - loss: a float
    - grad: array of the shape of w
    """
    ### BEGIN SOLUTION
    loss1, grad1 = l1_penalty(w, l1)
    loss2, grad2 = l2_penalty(w, l2)
    return loss1 + loss2, grad1 + grad2
    ### END SOLUTION


# %% check="elastic_net_penalty" points=4

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* What is the gradient of a sum of two functions?
# 2. *A pointer.* You have written both parts already.
# 3. *An outline.* Call the two penalties, each with its own strength; add losses, add gradients.
#
# </details>

# %% [markdown]
# **Look at the weights.** A small network (64 inputs, 50 hidden units, 10 classes) learns 300 digits, four times: without a
# penalty, with L2, with L1, with both. Above, the 3200 weights of its first layer; the counts are on a logarithmic scale.
# Below, what eight of the hidden units look at: 64 weights each, drawn as an image (red negative, blue positive), with one
# scale for all 32 images. The eight are those with the largest weights.

# %% experiment=true
(l1_penalty_,) = yours(["l1_penalty"], [regularization.l1_penalty])
(l2_penalty_,) = yours(["l2_penalty"], [regularization.l2_penalty])
(elastic_net_penalty_,) = yours(["elastic_net_penalty"], [regularization.elastic_net_penalty])


def task(seed, examples=300, wrong=0.0):
    """Digits made hard: few training examples and a share of them with a wrong label. 200 are for validation, the rest for
    testing. The seed draws the split, the wrong labels and nothing else. Validation and test labels are always right."""
    data = digits(validation=200, test=1597 - examples, seed=seed).flat
    rng = np.random.default_rng(seed)
    labels = data.y_train.copy()
    spoiled = rng.random(examples) < wrong
    labels[spoiled] = (labels[spoiled] + rng.integers(1, 10, spoiled.sum())) % 10
    return replace(data, y_train=labels)


def no_penalty(w):
    return 0.0, np.zeros_like(w)


PENALTIES = {
    "no penalty": no_penalty,
    "L2, 0.03": lambda w: l2_penalty_(w, 0.03),
    "L1, 0.003": lambda w: l1_penalty_(w, 0.003),
    "elastic, 0.002 and 0.01": lambda w: elastic_net_penalty_(w, 0.002, 0.01),
}


def penalised_net(penalty, seed, hidden=50):
    rng = np.random.default_rng(seed)
    return Sequential([PenalisedAffine(64, hidden, rng, penalty), ReLU(), PenalisedAffine(hidden, 10, rng, penalty)])


data = task(0)
fig = plt.figure(figsize=(12.5, 5))
above, below = fig.subfigures(2, 1, height_ratios=(1.5, 1))
panels, images = above.subplots(1, 4, sharex=True, sharey=True), below.subplots(2, 19)
for ax in images.ravel():
    ax.axis("off")
bins, looks = np.linspace(-0.8, 0.8, 65), []
for n, (name, penalty) in enumerate(PENALTIES.items()):
    net = penalised_net(penalty, 0)
    train(net, data, steps=600, batch_size=20, schedule=falling(0.05, 600), rng=0, eval_every=0, progress=False)
    w = net.params["0.W"]  # (64, 50)
    panels[n].hist(np.clip(w.ravel(), -0.8, 0.8), bins=bins, color=COLOURS[n], log=True)
    panels[n].set(title=name, xlabel="weight")
    looks.append(w[:, np.argsort(-np.abs(w).sum(axis=0))[:8]])
    print(
        f"{name:24s} standard deviation {w.std():.3f}, within 0.01 of zero {np.mean(np.abs(w) < 0.01):4.0%}, exactly zero "
        f"{np.sum(w == 0)}; training accuracy {net.accuracy(data.x_train, data.y_train):.3f}, "
        f"test {net.accuracy(data.x_test, data.y_test):.3f}"
    )
panels[0].set_ylabel("number of weights")
largest = max(np.abs(look).max() for look in looks)
for n, look in enumerate(looks):
    for unit in range(8):
        ax = images[unit // 4, 5 * n + unit % 4]
        ax.imshow(look[:, unit].reshape(8, 8), cmap="RdBu", vmin=-largest, vmax=largest)
plt.show()

# %% [markdown]
# Without a penalty the weights look much as they did at the start, a bell curve. (He's initial weights have a standard
# deviation of 0.177; these have 0.211.) L2 shrinks all of them, to 0.064, and no weight is left that stands out. L1
# leaves some weights as large as 0.7 and puts 87% of them within 0.01 of zero: in the images a few strokes on a white
# ground. The elastic net lies between the two. All four networks are right on 93% or 94% of the test images; with right
# labels and a network this small there is not much to regularize.
#
# Note what the printed lines say of *exact* zeros: not one in 3200, not even with L1. Experiment F asks why, and counts.

# %% [markdown]
# ## 4 · Dropout, forward
#
# In training, dropout sets each unit to zero with probability $1 - p$, each by itself and anew for each example (Hinton et
# al. 2012; Srivastava et al. 2014). No unit can rely on another one being there.
#
# **It computes**, for `x` of any shape and a mask $M$ of the same shape whose entries are 1 with probability $p$ and 0
# otherwise:
#
# $$
# \text{training:}\quad y = \frac{x \odot M}{p} \qquad\qquad \text{testing:}\quad y = x
# $$
#
# $\odot$ multiplies entry by entry. Why divide? $\mathbb{E}[M] = p$, so $\mathbb{E}[y] = x$: on average the next layer gets
# what it will get at test time. This form is called *inverted* dropout; the first one comes in section 6.
#
# `p` is the probability to **keep** a unit. (In PyTorch it is the probability to drop one. In the public solutions to the
# CS231n assignment that we looked at, this was the most frequent mistake of all.)

# %% exercise="dropout_forward"
def dropout_forward(x, dropout_param):
    """Inverted dropout.

    Inputs:
    - x: array of any shape
    - dropout_param: dict with these keys
      - p: probability to keep an entry
      - mode: "train" or "test"
      - seed: optional; two calls with the same seed draw the same mask. Without it each call draws a new one.

    Returns:
    - out: array of the shape of x
    - cache: whatever your backward function needs
    """
    ### BEGIN SOLUTION
    if dropout_param["mode"] == "test":
        return x.copy(), None
    p = dropout_param["p"]
    rng = np.random.default_rng(dropout_param.get("seed"))
    scale = (rng.random(x.shape) < p).astype(x.dtype) / p  # 1/p where kept, 0 where dropped
    return x * scale, scale
    ### END SOLUTION


# %% check="dropout_forward" points=10

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* Uniform random numbers between 0 and 1: which share of them lies below 0.3? Below `p`?
# 2. *A pointer.* A comparison gives an array of True and False, and these count as 1 and 0 in a product. `x.shape` works
#    for any number of axes. `dropout_param.get("seed")` is None where there is no seed, and `np.random.default_rng(None)`
#    is always different.
# 3. *An outline.* Test: hand `x` on. Train: one uniform number for each entry; the mask where it is small enough; divide by
#    what the mask is on average; multiply. Keep for later what you multiplied with.
#
# </details>

# %% [markdown]
# ## 5 · Dropout, backward
#
# **It computes** the gradient by `x`, of the same shape as `dout`. For a given mask dropout is a multiplication by
# constants, so the same constants come back:
#
# $$
# \text{training:}\quad dx = \frac{dy \odot M}{p} \qquad\qquad \text{testing:}\quad dx = dy
# $$
#
# What was dropped had no influence on the loss and gets no gradient. It must be the mask of *that* forward pass.

# %% exercise="dropout_backward"
def dropout_backward(dout, cache):
    """The gradient of dropout_forward, in the mode in which it ran.

    Inputs:
    - dout: upstream gradient, of the shape of the output
    - cache: what dropout_forward returned

    Returns dx, of the same shape.
    """
    ### BEGIN SOLUTION
    return dout.copy() if cache is None else dout * cache
    ### END SOLUTION


# %% check="dropout_backward" points=7

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* If an entry was multiplied by 2 on the way forward, what is its gradient multiplied by?
# 2. *A pointer.* Is the $1/p$ in what you kept already, or must it be applied here? Once, not twice. And at test time?
# 3. *An outline.* If nothing was done on the way forward, hand `dout` on. Else multiply by the same factors.
#
# </details>

# %% [markdown]
# ## 6 · Dropout as first published
#
# **It computes** dropout the other way round: no scaling in training, and at test time every entry times $p$.
#
# $$
# \text{training:}\quad y = x \odot M \qquad\qquad \text{testing:}\quad y = p\, x
# $$
#
# Again both are equal on average, $p\,x$ this time. There is no backward pass to write for this one.

# %% exercise="vanilla_dropout_forward"
def vanilla_dropout_forward(x, p, mode, rng):
    """Dropout that scales at test time.

    Inputs:
    - x: array of any shape
    - p: probability to keep an entry
    - mode: "train" or "test"
    - rng: a numpy.random.Generator

    Returns:
    - out: array of the shape of x
    - cache: anything
    """
    ### BEGIN SOLUTION
    if mode == "test":
        return p * x, None
    mask = rng.random(x.shape) < p
    return x * mask, mask
    ### END SOLUTION


# %% check="vanilla_dropout_forward" points=8

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* Four units of value 1, each kept half of the time. What does their sum come to on average?
# 2. *A pointer.* Draw from the `rng` that you are given, not from a new one: a new one with a fixed seed would give the
#    same mask each time.
# 3. *An outline.* Train: mask, multiply, no division. Test: multiply by the probability.
#
# </details>

# %% [markdown]
# ## 7 · DropConnect, forward
#
# Dropout removes a unit with all that leads out of it. DropConnect (Wan et al. 2013) removes single weights.
#
# **It computes** an affine layer, `x` of shape $(N, D)$, `W` $(D, M)$, `b` $(M,)$, with a mask $K$ of the shape of $W$
# that is drawn once for the whole mini-batch. Entries of $K$ are 1 with probability $p$ and 0 otherwise:
#
# $$
# \text{training:}\quad y = x \Big( \frac{W \odot K}{p} \Big) + b \qquad\qquad \text{testing:}\quad y = x W + b
# $$
#
# The bias is never dropped. (The paper draws a mask for each example, which costs a matrix for each, and at test time it
# draws a unit's input from a Gaussian of the right mean and variance. We take the mean.)

# %% exercise="dropconnect_forward"
def dropconnect_forward(x, W, b, p, mode, rng):
    """An affine layer that loses weights in training.

    Inputs:
    - x: array (N, D)
    - W: array (D, M)
    - b: array (M,)
    - p: probability to keep a weight
    - mode: "train" or "test"
    - rng: a numpy.random.Generator

    Returns:
    - out: array (N, M)
    - cache: whatever your backward function needs
    """
    ### BEGIN SOLUTION
    scale = np.ones_like(W)
    if mode == "train":
        scale = (rng.random(W.shape) < p).astype(W.dtype) / p
    return x @ (W * scale) + b, (x, W, scale)
    ### END SOLUTION


# %% check="dropconnect_forward" points=9

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* How many random numbers are needed for a mini-batch of 50 with `W` of shape (20, 10)?
# 2. *A pointer.* Mask the weights before the matrix product. What is divided by $p$: the weights, or all of the output? The
#    bias is always there in full.
# 3. *An outline.* Factors for the weights: mask over $p$ in training, ones at test time. Then the affine layer with the
#    weights times the factors.
#
# </details>

# %% [markdown]
# ## 8 · DropConnect, backward
#
# **It computes** the gradients of that layer: `dx` $(N, D)$, `dW` $(D, M)$, `db` $(M,)$. With $S = K/p$ in training and
# $S = 1$ at test time:
#
# $$
# dx = dy\, (W \odot S)^\top \qquad dW = (x^\top dy) \odot S \qquad db = \sum_i dy_i
# $$

# %% exercise="dropconnect_backward"
def dropconnect_backward(dout, cache):
    """The gradients of dropconnect_forward, in the mode in which it ran.

    Inputs:
    - dout: upstream gradient, array (N, M)
    - cache: what dropconnect_forward returned

    Returns:
    - dx: array (N, D)
    - dW: array (D, M)
    - db: array (M,)
    """
    ### BEGIN SOLUTION
    x, W, scale = cache
    return dout @ (W * scale).T, (x.T @ dout) * scale, dout.sum(axis=0)
    ### END SOLUTION


# %% check="dropconnect_backward" points=7

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* Which weights did `x` meet on the way forward: all, or those that were left?
# 2. *A pointer.* Call $V = W \odot S$. The layer is an ordinary affine one with weights $V$; you know its gradients. One
#    step more leads from $V$ back to $W$.
# 3. *An outline.* `dx` through the masked weights; the gradient by the masked weights, times the factors; `db` as always.
#
# </details>

# %% [markdown]
# ## 9 · Gaussian noise, forward and backward
#
# The oldest of these methods: blur what goes into a layer. For small noise on the inputs it acts like a penalty on how fast
# the output changes (Bishop 1995).
#
# **It computes**, for `x` of any shape, with $\epsilon$ from the standard normal distribution, new for each entry and call:
#
# $$
# \text{training:}\quad y = x + \sigma\, \epsilon \qquad\qquad \text{testing:}\quad y = x
# $$
#
# $\sigma$ is the standard deviation, not the variance.

# %% exercise="gaussian_noise_forward"
def gaussian_noise_forward(x, sigma, mode, rng):
    """Adds normal noise in training.

    Inputs:
    - x: array of any shape
    - sigma: standard deviation of the noise
    - mode: "train" or "test"
    - rng: a numpy.random.Generator

    Returns:
    - out: array of the shape of x
    - cache: whatever your backward function needs
    """
    ### BEGIN SOLUTION
    if mode == "test":
        return x.copy(), None
    return x + sigma * rng.standard_normal(x.shape).astype(x.dtype), None
    ### END SOLUTION


# %% check="gaussian_noise_forward" points=6

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* What is added on average? So what has to be mended at test time?
# 2. *A pointer.* A generator has a method for standard normal numbers of a given shape. A normal number times $\sigma$ has
#    standard deviation $\sigma$.
# 3. *An outline.* Test: hand `x` on. Train: one normal number for each entry, scaled, added.
#
# </details>

# %% [markdown]
# **Its backward pass computes** the gradient by `x`. The noise does not depend on `x`: it is a constant that was added.

# %% exercise="gaussian_noise_backward"
def gaussian_noise_backward(dout, cache):
    """The gradient of gaussian_noise_forward, in the mode in which it ran.

    Inputs:
    - dout: upstream gradient, of the shape of the output
    - cache: what gaussian_noise_forward returned

    Returns dx, of the same shape.
    """
    ### BEGIN SOLUTION
    return dout.copy()
    ### END SOLUTION


# %% check="gaussian_noise_backward" points=3

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* If `x` grows by 0.001, by how much does the output grow?
# 2. *A pointer.* A multiplied noise would come back in the gradient, as in dropout. This one is added.
# 3. *An outline.* One line, the same for both modes.
#
# </details>

# %% [markdown]
# ## 10 · Stochastic depth, forward and backward
#
# A residual block computes $x + f(x)$: the input, and what a branch of a few layers adds to it. If the branch is left out,
# what remains is the identity, and a network goes on working. Huang et al. (2016) leave out branches at random: in each
# training step the network is a different, shallower one. And what is left out need not be computed.
#
# **It computes** the sum at the end of the block. `x` and `branch_out` have the same shape. $B$ is 1 with probability
# `survival` and 0 otherwise: **one** draw for the whole mini-batch.
#
# $$
# \text{training:}\quad y = x + B \cdot \texttt{branch\_out} \qquad\qquad
# \text{testing:}\quad y = x + \texttt{survival} \cdot \texttt{branch\_out}
# $$
#
# This is the scaling of section 6, at test time, as in the paper.

# %% exercise="stochastic_depth_forward"
def stochastic_depth_forward(x, branch_out, survival, mode, rng):
    """The sum of skip and branch, the branch at random.

    Inputs:
    - x: array of any shape, what came into the block
    - branch_out: array of the same shape, what the branch made of it
    - survival: probability that the branch takes part
    - mode: "train" or "test"
    - rng: a numpy.random.Generator

    Returns:
    - out: array of the shape of x
    - cache: whatever your backward function needs
    """
    ### BEGIN SOLUTION
    weight = survival if mode == "test" else float(rng.random() < survival)
    return x + weight * branch_out, weight
    ### END SOLUTION


# %% check="stochastic_depth_forward" points=8

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* How many random numbers are drawn for a mini-batch of 50 images?
# 2. *A pointer.* Both modes are the same sum with another weight for the branch. In training nothing is divided.
# 3. *An outline.* The weight: 1 or 0 by chance, or `survival`. The sum. Keep the weight.
#
# </details>

# %% [markdown]
# **Its backward pass computes** two gradients. The skip hands everything on, always; the branch gets its share:
#
# $$
# dx = dy \qquad\qquad d\texttt{branch\_out} = \begin{cases} B \cdot dy & \text{training} \\
# \texttt{survival} \cdot dy & \text{testing} \end{cases}
# $$
#
# (The gradient that reaches $x$ through the branch is not in this `dx`. It comes out of the branch's own backward pass.)

# %% exercise="stochastic_depth_backward"
def stochastic_depth_backward(dout, cache):
    """The gradients of stochastic_depth_forward, in the mode in which it ran.

    Inputs:
    - dout: upstream gradient, of the shape of the output
    - cache: what stochastic_depth_forward returned

    Returns:
    - dx: the gradient through the skip, of the same shape
    - dbranch_out: the gradient by the branch's output, of the same shape
    """
    ### BEGIN SOLUTION
    return dout.copy(), cache * dout
    ### END SOLUTION


# %% check="stochastic_depth_backward" points=6

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* When the branch was left out, what does the loss depend on: `x`, `branch_out`, both?
# 2. *A pointer.* A sum hands its gradient to both terms. One of them has a factor.
# 3. *An outline.* Two arrays: `dout` itself, and `dout` times the weight of the forward pass.
#
# </details>

# %% [markdown]
# **Look at the noise.** What do the five methods do to one mini-batch of 24 examples with 16 features? The picture shows
# your functions at work, in training, each drawn once (stochastic depth for 24 mini-batches, one column each, and 16
# blocks one above the other). The inputs are chosen so that the output shows the mask itself: ones for dropout, the
# identity matrix for DropConnect, zeros for the noise.

# %% experiment=true
dropout_forward_, dropout_backward_ = yours(["dropout_forward", "dropout_backward"], course_dropout)
(vanilla_dropout_forward_,) = yours(["vanilla_dropout_forward"], [regularization.vanilla_dropout_forward])
dropconnect_forward_, dropconnect_backward_ = yours(
    ["dropconnect_forward", "dropconnect_backward"],
    [regularization.dropconnect_forward, regularization.dropconnect_backward],
)
gaussian_noise_forward_, gaussian_noise_backward_ = yours(
    ["gaussian_noise_forward", "gaussian_noise_backward"],
    [regularization.gaussian_noise_forward, regularization.gaussian_noise_backward],
)
stochastic_depth_forward_, stochastic_depth_backward_ = yours(
    ["stochastic_depth_forward", "stochastic_depth_backward"],
    [regularization.stochastic_depth_forward, regularization.stochastic_depth_backward],
)

rng, ones = np.random.default_rng(0), np.ones((16, 24))
lost = [[stochastic_depth_forward_(np.zeros(1), np.ones(1), 0.7, "train", rng)[0][0] for _ in range(24)] for _ in range(16)]
shown = {
    "inverted dropout\n$x = 1$, $p = 0.7$": dropout_forward_(ones, {"p": 0.7, "mode": "train", "seed": 0})[0],
    "vanilla dropout\n$x = 1$, $p = 0.7$": vanilla_dropout_forward_(ones, 0.7, "train", rng)[0],
    "DropConnect\n$W = 1$, $p = 0.7$": dropconnect_forward_(np.eye(16), ones, np.zeros(24), 0.7, "train", rng)[0],
    "Gaussian noise\n$x = 0$, $\\sigma = 0.7$": gaussian_noise_forward_(np.zeros((16, 24)), 0.7, "train", rng)[0],
    "stochastic depth\nbranch 1, survival 0.7": np.array(lost),
}
axes_names = [("example", "feature")] * 2 + [("output unit", "input")] + [("example", "feature"), ("mini-batch", "block")]
fig, axes = plt.subplots(1, 5, figsize=(14, 3.1))
for ax, (name, values), (across, down) in zip(axes, shown.items(), axes_names, strict=True):
    drawn = ax.imshow(values, cmap="RdBu", vmin=-2, vmax=2, aspect="auto")
    ax.set(title=name, xlabel=across, ylabel=down, xticks=[], yticks=[])
    ax.title.set_fontsize(11)
    ax.grid(False)
    label = name.replace("\n", ", ").replace("$", "").replace("\\", "")
    print(f"{label:40s} values from {values.min():.2f} to {values.max():.2f}, mean {values.mean():.2f}")
fig.colorbar(drawn, ax=axes[-1], ticks=[-2, -1, 0, 1, 2])
plt.show()

# %% [markdown]
# Inverted dropout gives 0 or $1/0.7 = 1.43$, vanilla dropout 0 or 1. In DropConnect the pattern belongs to the weights:
# all examples of a mini-batch see the same one. The noise has no zeros, it spares no entry and removes none. In the last
# panel each small square stands for a whole mini-batch in a whole block: one number decides for all.
#
# The means should be 1, 0.7, 1, 0 and 0.7 on average. With 384 draws each they are off by a few hundredths, here 0.07 at
# most.

# %% [markdown]
# ## 11 · Fractional pooling: the regions
#
# A 2 × 2 max pool halves the image: 32, 16, 8, 4. Graham (2014) shrinks it more slowly, by a factor between 1 and 2, and
# does it at random. Rows are grouped in ones and twos in random order, columns as well, and each region hands on its
# maximum. The next mini-batch gets other regions, as if the image had been stretched a little here and squeezed there.
#
# **It computes** the boundaries of the regions along one axis: integers $a_0, a_1, \dots, a_n$ with $n$ = `out` and
#
# $$
# a_0 = 0 \qquad a_n = \texttt{size} \qquad a_{i+1} - a_i \in \{1, 2\}
# $$
#
# where the order of the ones and twos is random. Region $i$ holds the pixels from $a_i$ to $a_{i+1} - 1$. It can only be
# done for $\texttt{out} \le \texttt{size} \le 2 \cdot \texttt{out}$, and then the *number* of twos is fixed.

# %% exercise="fractional_pool_regions"
def fractional_pool_regions(size, out, rng):
    """Cuts an axis into regions of 1 and 2 pixels in random order.

    Inputs:
    - size: number of pixels
    - out: number of regions, with out <= size <= 2 * out
    - rng: a numpy.random.Generator

    Returns an integer array (out + 1,), from 0 to size.
    """
    ### BEGIN SOLUTION
    twos = size - out
    steps = np.array([2] * twos + [1] * (out - twos))
    return np.concatenate([[0], np.cumsum(rng.permutation(steps))])
    ### END SOLUTION


# %% check="fractional_pool_regions" points=5

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* Seven pixels in five regions: how many regions of two pixels are there? And for 10 in 7?
# 2. *A pointer.* Drawing each step by itself will rarely end at `size`. Fix the steps first, then put them in random
#    order. A running sum makes boundaries out of steps.
# 3. *An outline.* So many twos, the rest ones; shuffle; running sum; a 0 in front.
#
# </details>

# %% [markdown]
# ## 12 · Fractional pooling: forward
#
# **It computes** the maximum of each region. `x` has shape $(N, C, H, W)$; `rows` are boundaries from $0$ to $H$, `cols`
# from $0$ to $W$, and all images and channels share them. The output is $(N, C, \texttt{len(rows)} - 1,
# \texttt{len(cols)} - 1)$:
#
# $$
# y_{n,c,i,j} = \max \big\{\, x_{n,c,h,w} \;:\; \texttt{rows}_i \le h < \texttt{rows}_{i+1},\;\;
# \texttt{cols}_j \le w < \texttt{cols}_{j+1} \,\big\}
# $$
#
# With `overlapping=True` each region takes one more row and one more column at its end, as far as the image reaches: the
# last row and the last column of regions are cut off at the border.

# %% exercise="fractional_max_pool_forward"
def fractional_max_pool_forward(x, rows, cols, overlapping=False):
    """The maximum of each region of an image.

    Inputs:
    - x: array (N, C, H, W)
    - rows: integer array (h + 1,), boundaries from 0 to H
    - cols: integer array (w + 1,), boundaries from 0 to W
    - overlapping: whether regions reach one row and one column further

    Returns:
    - out: array (N, C, h, w)
    - cache: whatever your backward function needs
    """
    ### BEGIN SOLUTION
    N, C, H, W = x.shape
    more = 1 if overlapping else 0
    h, w = len(rows) - 1, len(cols) - 1
    out = np.empty((N, C, h, w), dtype=x.dtype)
    place = np.empty((N, C, h, w), dtype=int)  # of the maximum, in the flattened image
    for i in range(h):
        for j in range(w):
            window = x[:, :, rows[i] : rows[i + 1] + more, cols[j] : cols[j + 1] + more]
            flat = window.reshape(N, C, -1)
            best = flat.argmax(axis=2)
            out[:, :, i, j] = flat.max(axis=2)
            down, across = np.divmod(best, window.shape[3])
            place[:, :, i, j] = (rows[i] + down) * W + cols[j] + across
    return out, (place, x.shape)
    ### END SOLUTION


# %% check="fractional_max_pool_forward" points=5

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* `rows` is 0, 2, 3, 5. Which rows of the image belong to region 1? Which if regions overlap?
# 2. *A pointer.* Two loops over the regions are fine; all images and channels go at once. A slice that ends beyond the
#    border stops at the border by itself.
# 3. *An outline.* For each pair of regions: cut out the window, take its maximum over the last two axes. For the way back
#    you will need where each maximum was.
#
# </details>

# %% [markdown]
# ## 13 · Fractional pooling: backward
#
# **It computes** `dx`, of the shape of `x`: each entry of `dout` goes to the pixel that was the maximum of its region,
# and all other pixels get 0. Where regions overlap, one pixel can be the maximum of several. Its gradients add up.

# %% exercise="fractional_max_pool_backward"
def fractional_max_pool_backward(dout, cache):
    """The gradient of fractional_max_pool_forward.

    Inputs:
    - dout: upstream gradient, array (N, C, h, w)
    - cache: what fractional_max_pool_forward returned

    Returns dx, array (N, C, H, W).
    """
    ### BEGIN SOLUTION
    place, shape = cache
    N, C, H, W = shape
    dx = np.zeros((N, C, H * W), dtype=dout.dtype)
    n, c = np.arange(N)[:, None, None, None], np.arange(C)[:, None, None]
    np.add.at(dx, (n, c, place), dout)
    return dx.reshape(shape)
    ### END SOLUTION


# %% check="fractional_max_pool_backward" points=5

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* Two overlapping regions have the same pixel as their maximum. What is the derivative of the sum of both
#    outputs by that pixel?
# 2. *A pointer.* `dx[indices] += values` counts an index that occurs twice only once; `np.add.at` counts it twice. Or go
#    region by region in a loop, as on the way forward.
# 3. *An outline.* Zeros of the shape of `x`. For each region, each image, each channel: add `dout` at the place of the
#    maximum.
#
# </details>

# %% [markdown]
# **Look at the regions.** A piece of a photo, 48 × 48 pixels; its middle with the regions of two draws (white lines: 48
# pixels in 34 regions, a factor of $\sqrt2$); and how far the boundaries of 50 draws are off an even grid (the two draws
# in colour). Below: what one ordinary 2 × 2 max pool leaves of the photo, 24 × 24; what two fractional pools leave, 48 to
# 34 to 24, for the two draws; and the mean over 50 draws.

# %% experiment=true
(fractional_pool_regions_,) = yours(["fractional_pool_regions"], [regularization.fractional_pool_regions])
fractional_max_pool_forward_, fractional_max_pool_backward_ = yours(
    ["fractional_max_pool_forward", "fractional_max_pool_backward"],
    [regularization.fractional_max_pool_forward, regularization.fractional_max_pool_backward],
)

photo = photos(crop=(60, 200, 240, 240), size=48)[:1]  # (1, 3, 48, 48)


def pooled(image, rng):
    """48 to 34 to 24, and the first boundaries."""
    first = None
    for out in (34, 24):
        regions = [fractional_pool_regions_(image.shape[2], out, rng) for _ in range(2)]
        first = first or regions
        image = fractional_max_pool_forward_(image, *regions)[0]
    return image, first


def show(ax, image, title):
    ax.imshow(image[0].transpose(1, 2, 0))
    ax.set_title(title)
    ax.axis("off")


rng = np.random.default_rng(0)
draws = [pooled(photo, rng) for _ in range(50)]
halves = fractional_max_pool_forward_(photo, np.arange(0, 49, 2), np.arange(0, 49, 2))[0]
fig, axes = plt.subplots(2, 4, figsize=(12.5, 6.4))
show(axes[0, 0], photo, "48 × 48")
for n in range(2):
    show(axes[0, n + 1], photo, f"regions in the middle, draw {n + 1}")
    for line in draws[n][1][0]:
        axes[0, n + 1].axhline(line - 0.5, color="white", lw=1.3)
    for line in draws[n][1][1]:
        axes[0, n + 1].axvline(line - 0.5, color="white", lw=1.3)
    axes[0, n + 1].set(xlim=(11.5, 35.5), ylim=(35.5, 11.5))
    show(axes[1, n + 1], draws[n][0], f"two fractional pools, draw {n + 1}")
show(axes[1, 0], halves, "one 2 × 2 pool")
show(axes[1, 3], np.mean([image for image, _ in draws], axis=0), "mean of 50 draws")
boundaries = np.array([regions[0] for _, regions in draws])  # (50, 35)
off = boundaries - np.arange(35) * 48 / 34  # from an even grid
axes[0, 3].plot(off.T, color=GREY, lw=0.7, alpha=0.5)
axes[0, 3].plot(off[:2].T, lw=1.8)
axes[0, 3].set(title="boundaries off an even grid", xlabel="boundary", ylabel="pixels")
plt.show()
apart = np.abs(draws[0][0] - draws[1][0]).mean()
print(f"mean difference of a pixel between the two draws: {apart:.3f} (pixels are from 0 to 1)")
print(f"farthest from an even grid: {np.abs(off).max():.1f} pixels")

# %% [markdown]
# The boundaries of one draw stray up to 4.2 pixels from an even grid, and each draw in another way. The two small images
# look as if the photo had been stretched in one place and squeezed in another: the eaves sit at different heights, and on
# average a pixel differs by 0.085. A network that pools like this never sees the same picture twice. The noise works like
# the distorted copies of notebook 08, inside the network. The mean of 50 draws is blurred, because they do not lie on top
# of each other. So at test time one does not average the *images*; Graham averages the network's *predictions* over
# several draws. That is the last exercise.

# %% [markdown]
# ## 14 · Averaging the noise out
#
# For a network with noise inside, $\mathbb{E}_z[f(x, z)]$ can be estimated as any expected value: draw and average. Gal and
# Ghahramani (2016) call it Monte-Carlo dropout.
#
# **It computes** the mean of `samples` predictions, each with new noise. `forward(x, rng)` gives the probabilities $(N, K)$
# of one noisy pass; hand your `rng` on to each call.
#
# $$ \bar p = \frac1S \sum_{s=1}^S \texttt{forward}(x, \texttt{rng}) $$

# %% exercise="predict_marginalized"
def predict_marginalized(forward, x, samples, rng):
    """The mean prediction of a network with noise.

    Inputs:
    - forward: function (x, rng) -> array (N, K), other noise at each call
    - x: array (N, ...), the inputs
    - samples: how many predictions to average
    - rng: a numpy.random.Generator

    Returns an array (N, K).
    """
    ### BEGIN SOLUTION
    return sum(forward(x, rng) for _ in range(samples)) / samples
    ### END SOLUTION


# %% check="predict_marginalized" points=5

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* If you called `forward` once and multiplied the result by `samples`, what would be missing?
# 2. *A pointer.* This is the average of notebook 06, where the members are not trained but drawn.
# 3. *An outline.* Call `forward` as often as asked, add up, divide.
#
# </details>

# %% [markdown]
# ## Experiments
#
# **Digits are easy, so we make them hard.** Most experiments train on 300 digits of which one in five has a wrong label:
# a network with 17,000 weights learns them all, and that is the harm that a regularizer should prevent. 200 images are
# for validation, 1297 for testing; their labels are right. (*Right labels* below: 1100 training images without mistakes,
# 497 for testing.) The seed draws the split, the wrong labels, the initial weights, the order of the batches and the
# noise. Training is SGD with momentum 0.9 at a rate that falls along half a cosine. Error bars are standard errors over
# the seeds.
#
# The numbers in the text come from functions that draw in one particular way. Yours may draw in another way, just as
# right, and then your numbers differ by about the error bars.
#
# ### A · An over-fitted network with each regularizer
#
# **The claim** (CS231n, Lecture 7): after all the work on the training error, regularization is what improves a single
# model on *new* data.
#
# A network 64-100-100-10, 600 steps with batches of 20. Six regularizers with four strengths each: L2, L1, elastic net on
# the weights of all layers; dropout behind both hidden layers; DropConnect in the upper two layers; Gaussian noise on the
# input of every layer. For each regularizer the validation images choose the strength (the one with the best mean over
# the seeds), the test images give the number.
#
# **Your guess first:** which one wins? And how high should the *training* accuracy be when a fifth of the labels is wrong?

# %% experiment=true
STEPS = 600
STRENGTHS = {
    "none": (0.0,),
    "L2": (0.003, 0.01, 0.03, 0.1),
    "L1": (0.002, 0.004, 0.008, 0.016),
    "elastic net": (0.001, 0.002, 0.003, 0.005),  # of L1; L2 is five times as strong
    "dropout": (0.8, 0.6, 0.5, 0.4),
    "DropConnect": (0.8, 0.6, 0.5, 0.4),
    "Gaussian noise": (0.3, 0.6, 0.8, 1.0),
}
SETTINGS = [(kind, strength) for kind, strengths in STRENGTHS.items() for strength in strengths]
KIND_COLOURS = dict(zip(STRENGTHS, (GREY, *COLOURS), strict=True))
dropout_pair = dropout_forward_, dropout_backward_


class DropConnect(Affine):
    """An affine layer with the pair of section 7 and 8."""

    def __init__(self, inputs, outputs, rng, p):
        super().__init__(inputs, outputs, rng)
        self.p, self.rng = p, np.random.default_rng(rng.integers(2**32))

    def forward(self, x, mode="train"):
        out, self.cache = dropconnect_forward_(x, self.params["W"], self.params["b"], self.p, mode, self.rng)
        return out.astype(x.dtype, copy=False)

    def backward(self, dout):
        dx, self.grads["W"][...], self.grads["b"][...] = dropconnect_backward_(dout, self.cache)
        return dx.astype(dout.dtype, copy=False)


def noise_layer(sigma, rng):
    """Gaussian noise on whatever comes in."""
    return WithNoise(
        lambda x, mode, rng: gaussian_noise_forward_(x, sigma, mode, rng), gaussian_noise_backward_, rng.integers(2**32)
    )


def regularized_net(kind, strength, seed, sizes=(64, 100, 100, 10)):
    """The same initial weights for one seed, whatever the regularizer."""
    weights, noise = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    penalty = {
        "L2": lambda w: l2_penalty_(w, strength),
        "L1": lambda w: l1_penalty_(w, strength),
        "elastic net": lambda w: elastic_net_penalty_(w, strength, 5 * strength),
    }.get(kind, no_penalty)
    layers = []
    for n, (inputs, units) in enumerate(zip(sizes, sizes[1:], strict=False)):
        if kind == "Gaussian noise":
            layers.append(noise_layer(strength, noise))
        affine = PenalisedAffine(inputs, units, weights, penalty)
        if kind == "DropConnect" and n > 0:
            dropping = DropConnect(inputs, units, noise, strength)
            dropping.params["W"] = affine.params["W"]
            affine = dropping
        layers.append(affine)
        if n < len(sizes) - 2:
            layers.append(ReLU())
            if kind == "dropout":
                layers.append(dropout_layer(strength, noise, dropout_pair))
    return Sequential(layers)


def learn(setting, seed):
    """Accuracy on the training set after each tenth of the steps, on the test set, at last on the validation set: (21,)"""
    data = task(seed, wrong=0.2)
    net = regularized_net(*setting, seed)
    watched = replace(data, x_val=data.x_test, y_val=data.y_test)
    history = train(net, watched, steps=STEPS, batch_size=20, schedule=falling(0.03, STEPS), rng=seed)
    return [*history.train_accuracies, *history.val_accuracies, net.accuracy(data.x_val, data.y_val)]


number = seeds(quick=3, full=10)
result = sweep(learn, SETTINGS, seeds=number)
at = np.arange(1, 11) * STEPS // 10
training, testing, validation = result[:, :10], result[:, 10:20], result[:, 20]
fig, axes = plt.subplots(1, 3, figsize=(14, 4.6))
chosen, gains = {}, {}
for kind, colour in KIND_COLOURS.items():
    own = [n for n, setting in enumerate(SETTINGS) if setting[0] == kind]
    best = own[int(np.argmax(validation.mean[own]))]
    chosen[kind] = best
    curves_with_errors(at, training[best], kind, axes[0], color=colour)
    curves_with_errors(at, testing[best], None, axes[1], color=colour)
    mark = {"marker": "o", "ms": 4, "lw": 1.4}
    axes[2].plot(training.mean[own, -1], testing.mean[own, -1], color=colour, **mark)
    axes[2].plot(training.mean[best, -1], testing.mean[best, -1], "o", color=colour, ms=10, mec="black")
    gain = 100 * (testing.values[:, best, -1] - testing.values[:, 0, -1])
    gains[kind] = gain.mean(), gain.std(ddof=1) / np.sqrt(number)
    print(
        f"{kind:14s} strength {SETTINGS[best][1]:<5g} training {training.mean[best, -1]:.3f}, "
        f"test {testing.mean[best, -1]:.3f} ± {testing.error[best, -1]:.3f}, "
        f"{gains[kind][0]:+5.1f} ± {gains[kind][1]:.1f} points; all strengths:",
        *(f"{SETTINGS[n][1]:g}: {testing.mean[n, -1]:.3f} " for n in own),
    )
stopped = int(np.argmax(testing.mean[0]))
print(f"none, stopped after {at[stopped]} steps: {testing.mean[0, stopped]:.3f} (the best of ten, by the test images)")
axes[0].axhline(0.8, color="black", ls=":", lw=1.2)
axes[0].set(xlabel="steps", ylabel="accuracy, training labels", title=f"training set, {number} seeds")
axes[1].set(xlabel="steps", ylabel="accuracy, test images", title="test set")
axes[2].axvline(0.8, color="black", ls=":", lw=1.2, label="labels that are right")
axes[2].set(xlabel="accuracy, training labels", ylabel="accuracy, test images", title="at the end, all strengths")
axes[2].legend(fontsize=9, loc="lower right")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=7)
plt.show()
clear = {kind: mean > 2 * error for kind, (mean, error) in gains.items() if kind != "none"}
record(
    "07/each-regularizer",
    claim="regularization improves a single model on new data",
    source="CS231n, Lecture 7",
    measured="300 digits, one label in five wrong; test accuracy less that without regularizer, points: "
    + ", ".join(f"{kind} {m:+.1f} ± {e:.1f}" for kind, (m, e) in gains.items() if kind != "none"),
    agrees="yes" if all(clear.values()) else "partly" if any(clear.values()) else "no",
    seeds=number,
)

# %% [markdown]
# **What was seen.** Without regularization the network learns all training labels, and after a first peak (85% after 60
# steps) the test accuracy falls to 81.0%. All six regularizers end higher: Gaussian noise by 10.0 ± 1.2 points, L2 by 8.5
# ± 1.0, elastic net by 8.3 ± 0.8, dropout by 7.2 ± 0.8, L1 by 6.9 ± 0.9, DropConnect by 3.8 ± 0.9. **The claim holds.**
# Stopping the plain training after 60 steps would have brought 4 points for nothing. (That moment was picked by the test
# images, so it flatters.)
#
# The right-hand panel shows all 25 settings. The more a setting fits the training labels beyond 80%, the worse it is on
# new images: 80% of the labels are right, so whoever fits more has learned mistakes. Towards the left, where even the
# right labels are not learned any more, the curves come down again. The best setting of nearly every regularizer lies
# near the dotted line. *How strong* a regularizer is matters more than which one it is: L2 at 0.01 gains 2.5 points, at
# 0.03 8.5, at 0.1 next to nothing.
#
# *When it would not hold:* the ranking is that of this task. That noise on the pixels comes first may have to do with the
# data: a digit with grainy pixels is still the same digit. With right labels and more data we expect all of them to gain
# less, and experiment D has a case in which dropout harms. And the validation set chose among four strengths only.

# %% [markdown]
# ### B · The same on average?
#
# **The claim** (CS231n, Lecture 7): at test time all units are on, and we scale so that the output at test time equals the
# *expected* output at training time.
#
# First in pictures: one unit of an affine layer, one digit as its input, $p = 0.5$, 20,000 masks. Its output in training
# is a whole distribution; at test time it is one number.
#
# Then by numbers, for all noise layers. What goes in are four digits, the layer on top has 50 units. 4000 draws give the
# mean output in training. We compare it with the output at test time twice. *Before the ReLU* the layer on top is affine:
# we give the largest difference of the 200 units and images, in standard errors of the mean. *Behind the ReLU* we compare
# the mean output over all units with the output at test time. *Forgotten* is vanilla dropout without the factor at test
# time.
#
# **Your guess first:** does it hold before the ReLU? Behind it? If not, which of the two is larger?

# %% experiment=true
p = 0.5
data = task(0)
W = Affine(64, 50, np.random.default_rng(0)).params["W"].astype(np.float64)
b = np.zeros(50)
one = data.x_test[:1].astype(np.float64)
unit = int(np.argmax(one @ W))
many = np.repeat(one, 20_000, axis=0)
rng = np.random.default_rng(0)
examples = {
    "inverted dropout": (
        dropout_forward_(many, {"p": p, "mode": "train", "seed": 0})[0] @ W[:, unit],
        dropout_forward_(one, {"p": p, "mode": "test"})[0] @ W[:, unit],
    ),
    "vanilla dropout": (
        vanilla_dropout_forward_(many, p, "train", rng)[0] @ W[:, unit],
        vanilla_dropout_forward_(one, p, "test", rng)[0] @ W[:, unit],
    ),
}
low = int(np.argmin(np.abs(one @ W + 0.5)))  # a unit that is usually off
examples["inverted, ReLU, another unit"] = (
    np.maximum(dropout_forward_(many, {"p": p, "mode": "train", "seed": 0})[0] @ W[:, low], 0),
    np.maximum(one @ W[:, low], 0),
)
fig, axes = plt.subplots(1, 3, figsize=(13, 3.6))
for ax, (name, (in_training, at_test)), colour in zip(axes, examples.items(), COLOURS, strict=False):
    ax.hist(in_training, bins=60, color=colour, alpha=0.5, label="in training")
    ax.axvline(in_training.mean(), color=colour, lw=3, label="mean in training")
    ax.axvline(at_test[0], color="black", ls="--", lw=2, label="at test time")
    ax.set(title=f"{name}, $p = {p}$", xlabel="output of one unit", yticks=[])
    print(f"{name}: {in_training.mean():.3f} ± {in_training.std():.3f} in training, {at_test[0]:.3f} at test time")
axes[2].set_yscale("log")
axes[0].legend(fontsize=9)
plt.show()

DRAWS = 4000


def noisy_outputs(kind, x, mode, rng):
    """What the 50 units get, (4, 50), before the ReLU: one draw."""
    if kind == "inverted dropout":
        return dropout_forward_(x, {"p": p, "mode": mode, "seed": int(rng.integers(2**31))})[0] @ W
    if kind in ("vanilla dropout", "forgotten"):
        mode = "off" if (kind, mode) == ("forgotten", "test") else mode
        return (x if mode == "off" else vanilla_dropout_forward_(x, p, mode, rng)[0]) @ W
    if kind == "DropConnect":
        return dropconnect_forward_(x, W, b, p, mode, rng)[0]
    if kind == "Gaussian noise":
        return gaussian_noise_forward_(x, 1.0, mode, rng)[0] @ W
    return stochastic_depth_forward_(x, np.roll(x, 1, axis=1), p, mode, rng)[0] @ W


NOISES = ("inverted dropout", "vanilla dropout", "DropConnect", "Gaussian noise", "stochastic depth", "forgotten")


def equal_on_average(kind, seed):
    """Largest difference before the ReLU in standard errors; mean behind the ReLU over that at test time: (2,)"""
    rng = np.random.default_rng([seed, 2])
    x = data.x_test[4 * seed : 4 * seed + 4].astype(np.float64)
    drawn = np.array([noisy_outputs(kind, x, "train", rng) for _ in range(DRAWS)])  # (draws, 4, 50)
    at_test = noisy_outputs(kind, x, "test", rng)
    apart = np.abs(drawn.mean(axis=0) - at_test) / (drawn.std(axis=0) / np.sqrt(DRAWS))
    return [apart.max(), np.maximum(drawn, 0).mean() / np.maximum(at_test, 0).mean()]


number = seeds(quick=3, full=10)
result = sweep(equal_on_average, NOISES, seeds=number)
largest, behind = result[:, 0].values.max(axis=0), result[:, 1]
for n, kind in enumerate(NOISES):
    print(
        f"{kind:17s} before the ReLU: at most {largest[n]:5.1f} standard errors apart; behind it: mean in training is "
        f"{behind.mean[n]:.2f} ± {behind.error[n]:.2f} of the output at test time"
    )
expected = np.sqrt(2 * np.log(5 * 200 * number))
print(f"by chance alone the largest of {5 * 200 * number} such differences is about {expected:.1f} standard errors")
right = [n for n, kind in enumerate(NOISES) if kind != "forgotten"]
before_holds = bool((largest[right] < 5).all())
behind_holds = bool((np.abs(behind.mean[right] - 1) < 2 * behind.error[right]).all())
record(
    "07/same-on-average",
    claim="the output at test time equals the expected output at training time",
    source="CS231n, Lecture 7",
    measured=f"before the ReLU at most {largest[right].max():.1f} standard errors apart (five kinds of noise); behind it "
    f"the mean in training is {behind.mean[right].min():.2f} to {behind.mean[right].max():.2f} of the output at test time",
    agrees="yes" if before_holds and behind_holds else "partly" if before_holds else "no",
    seeds=number,
)

# %% [markdown]
# **What was seen.** Before the ReLU the mean over the draws and the output at test time agree for all five kinds: the
# largest of 3000 differences is 3.8 standard errors, and chance alone makes about 4. Without the factor at test time
# (*forgotten*) it is 224 standard errors. In the first two panels the lines lie on top of each other, at 2.92 for
# inverted and at 1.46 for vanilla dropout: the same thing on two scales.
#
# Behind the ReLU it is over. With dropout, DropConnect and Gaussian noise the mean in training is a third larger than the
# output at test time. The third panel shows why: this unit gets about $-0.5$ at test time and puts out 0. In training the
# noise often lifts it above zero, and then it puts out something: 0.38 on average. The ReLU is convex, so
# $\mathbb{E}[\max(s, 0)] \ge \max(\mathbb{E}[s], 0)$ for any random $s$ (Jensen's inequality), with equality only if $s$
# never changes its sign. **The claim holds in part: exactly up to the first nonlinearity, roughly beyond.** Stochastic
# depth comes close, 1.03, because its two possible inputs (with and without branch) mostly have the same sign here.
#
# *When it would not hold:* with milder noise the gap is smaller ($p = 0.5$ and $\sigma = 1$ are strong), in a trained
# network it may be different, and without nonlinearity there is none.

# %% [markdown]
# ### C · The scaled network against the true average
#
# **The claim** (Srivastava et al. 2014, section 7.5): the scaled network is a good stand-in for the average over masks.
# About 50 sampled networks are needed to do as well; more are slightly better, well within the error.
#
# The network of A with dropout, $p = 0.5$, is trained once for each seed. Then it predicts the test images: scaled, in one
# pass, and as the mean of 1 to 200 noisy passes, by your `predict_marginalized`. Besides the accuracy we look at the loss
# (minus the logarithm of the probability of the right class), which also notices how sure the network is.
#
# **Your guess first:** how much worse than the scaled network is *one* noisy pass? How many passes make up for it?

# %% experiment=true
(predict_marginalized_,) = yours(["predict_marginalized"], [regularization.predict_marginalized])
PASSES = np.array([1, 2, 5, 10, 20, 50, 100, 200])


def scaled_and_sampled(seed):
    """Accuracy and loss of the scaled network, then of the mean of 1 to 200 noisy passes: (9, 2)"""
    data = task(seed, wrong=0.2)
    net = regularized_net("dropout", 0.5, seed)
    train(net, data, steps=STEPS, batch_size=20, schedule=falling(0.03, STEPS), rng=seed, eval_every=0)

    def forward(x, rng):
        for layer in net.layers:
            if isinstance(layer, WithNoise):
                layer.rng = rng
        return probabilities(net, x, "train")

    found = [probabilities(net, data.x_test)]
    found += [predict_marginalized_(forward, data.x_test, int(n), np.random.default_rng([seed, n])) for n in PASSES]
    rows = np.arange(len(data.y_test))
    return [[np.mean(q.argmax(axis=1) == data.y_test), -np.log(q[rows, data.y_test]).mean()] for q in found]


number = seeds(quick=4, full=10)
result = repeat(scaled_and_sampled, seeds=number)
fig, axes = plt.subplots(1, 2, figsize=(11, 4))
for n, (ax, name) in enumerate(zip(axes, ("test accuracy", "test loss"), strict=True)):
    one_pass, sampled = result[0, n], result[1:, n]
    curves_with_errors(PASSES, sampled, "mean of noisy passes", ax, style="bars", color=COLOURS[0])
    ax.axhline(one_pass.mean, color=COLOURS[1], label="scaled network, one pass")
    ax.axhspan(one_pass.mean - one_pass.error, one_pass.mean + one_pass.error, color=COLOURS[1], alpha=0.15, lw=0)
    ax.set(xscale="log", xlabel="noisy passes averaged", ylabel=name)
    ax.set_xticks(PASSES, PASSES)
    ax.minorticks_off()
    pairs = zip(PASSES, sampled.mean, sampled.error, strict=True)
    print(f"{name}: scaled {one_pass}", *(f"{k} passes {m:.3f} ± {e:.3f}" for k, m, e in pairs), sep="\n   ")
axes[0].legend(fontsize=9, loc="lower right")
plt.show()
better = 100 * (result.values[:, 1:, 0] - result.values[:, :1, 0])  # (seeds, passes)
error = better.std(axis=0, ddof=1) / np.sqrt(number)
print("noisy passes less scaled network, points:",
      *(f"{k}: {m:+.2f} ± {e:.2f} " for k, m, e in zip(PASSES, better.mean(axis=0), error, strict=True)))
lower = result.values[:, 1:, 1] - result.values[:, :1, 1]
loss_error = lower.std(axis=0, ddof=1) / np.sqrt(number)
worse = better.mean(axis=0) < -np.maximum(2 * error, 0.1)  # a tenth of a point is no difference
as_good = PASSES[np.flatnonzero(worse).max(initial=-1) + 1] if not worse[-1] else None
record(
    "07/scaled-against-sampled",
    claim="the scaled network is as good as the average of about 50 noisy passes",
    source="Srivastava et al. 2014",
    measured=f"not clearly less accurate from {as_good} passes on; 200 passes less the scaled network: "
    f"{better.mean(axis=0)[-1]:+.2f} ± {error[-1]:.2f} points, {lower.mean(axis=0)[-1]:+.3f} ± {loss_error[-1]:.3f} in loss",
    agrees="no" if as_good is None else "yes" if as_good <= 50 else "partly",
    seeds=number,
)

# %% [markdown]
# **What was seen.** One noisy pass is right on 75.4% of the test images, the scaled network on 88.8%. The mean of 2
# passes has 83.4%, of 10 passes 88.2%; from 20 passes on it is not clearly worse than the scaled network, and with 200
# the difference is $-0.06 \pm 0.12$ points. **The claim holds** for the accuracy: one pass of the scaled network is worth
# dozens of noisy ones. Whether the average ends slightly *better* cannot be told from four seeds: with the course's own
# functions, which draw other masks, it was ahead by $0.31 \pm 0.19$.
#
# But the two are not the same predictor. The loss of the average settles at 0.655, that of the scaled network is 0.555:
# the average is less sure of itself. After experiment B this is no surprise, since scaling does not give the expected
# output of a network with ReLUs, and softmax is not linear either. We think that the scaled network comes out better
# because training with wrong labels and strong noise has made this network doubt more than it should; test labels are
# right, and a surer network pays less.
#
# *When it would not hold:* where doubt is wanted. An average of noisy passes also has a spread, and a large one says "I
# have not seen such an image" (Gal & Ghahramani 2016). One pass cannot say that.

# %% [markdown]
# ### D · Dropout and batch norm together
#
# **The claim** (Li et al. 2018, arXiv:1801.05134): dropout below a batch norm layer makes the variance in training
# another one than at test time, batch norm keeps the wrong one, and the two together are often worse than batch norm
# alone. Dropout above the last batch norm does no such harm.
#
# Dropout keeps the mean of what it lets through, not the variance: $\mathbb{E}[(xM/p)^2] = \mathbb{E}[x^2]/p$. A network
# with four hidden layers of 100 units, each affine, batch norm, ReLU; 300 steps with batches of 50. Dropout behind
# *every* hidden layer (so below three batch norms), behind the *last* only (above all), or nowhere. For each batch norm
# layer we compare the variance that reaches it at test time, on the training images, with its running variance. At last
# we compute the running statistics anew, without dropout (the *mend*; the paper tries it, too). Two tasks.
#
# **Your guess first:** is the ratio above 1 or below? Does a wrong ratio mean a bad network?

# %% experiment=true
PLACES = (
    ("nowhere", 1.0), ("every", 0.9), ("every", 0.7), ("every", 0.5), ("last", 0.7), ("last", 0.5),
)  # fmt: skip
TASKS = {"300 examples, 1 in 5 labels wrong": (300, 0.2), "1100 examples, right labels": (1100, 0.0)}


def norm_net(place, p, seed):
    weights, noise, layers = np.random.default_rng(seed), np.random.default_rng([seed, 1]), []
    for n, inputs in enumerate((64, 100, 100, 100)):
        layers += [Affine(inputs, 100, weights), Norm(norms.batchnorm_forward, norms.batchnorm_backward, 100), ReLU()]
        if place == "every" or (place, n) == ("last", 3):
            layers.append(dropout_layer(p, noise, dropout_pair))
    return Sequential([*layers, Affine(100, 10, weights)])


def shift(setting, place, seed):
    """Test accuracy, with mended statistics, then the ratio of variances of each batch norm layer: (6,)"""
    data = task(seed, *setting)
    net = norm_net(*place, seed)
    train(net, data, steps=300, batch_size=50, schedule=falling(0.05, 300), rng=seed, eval_every=0)
    mended, ratios = net.copy(), []
    x = y = data.x_train
    for layer, other in zip(net.layers, mended.layers, strict=True):
        if isinstance(layer, Norm):
            ratios.append(x.var(axis=0).mean() / layer.param["running_var"].mean())
            other.param.update(running_mean=y.mean(axis=0), running_var=y.var(axis=0))
        x, y = layer.forward(x, "test"), other.forward(y, "test")
    return [net.accuracy(data.x_test, data.y_test), mended.accuracy(data.x_test, data.y_test), *ratios]


number = seeds(quick=3, full=10)
fig, axes = plt.subplots(1, 3, figsize=(14, 4.2), width_ratios=(1.2, 1, 1))
worse, shifted, harmless = [], [], []
labels = [place if place == "nowhere" else f"{place}, {p:g}" for place, p in PLACES]
for ax, (name, setting) in zip(axes[1:], TASKS.items(), strict=True):
    result = sweep(lambda place, seed, setting=setting: shift(setting, place, seed), PLACES, seeds=number)
    print(f"{name} ({result.seconds:.0f} s)")
    for n, label in enumerate(labels):
        accuracy, mended, ratios = result[n, 0], result[n, 1], result[n, 2:]
        less = 100 * (accuracy.values - result.values[:, 0, 0])
        error = less.std(ddof=1) / np.sqrt(number)
        gain = 100 * (mended.values - accuracy.values)
        gain_error = gain.std(ddof=1) / np.sqrt(number)
        print(
            f"   {label:10s} accuracy {accuracy.mean:.3f} ± {accuracy.error:.3f} ({less.mean():+.1f} ± {error:.1f} points), "
            f"mended {gain.mean():+.1f} ± {gain_error:.1f}; variance ratios",
            *(f"{ratio:.2f}" for ratio in ratios.mean),
        )
        if n and PLACES[n][0] == "every":
            worse.append(less.mean() < -2 * error)
            shifted.append(ratios.mean[-1])
        elif n:
            harmless.append(less.mean() > -2 * error)
        if ax is axes[1] and n < 4:
            curves_with_errors(np.arange(1, 5), ratios, label, axes[0], style="bars", color=(GREY, *COLOURS)[n])
    places = np.arange(len(labels))
    bars = {"capsize": 3, "fmt": "o", "ms": 7}
    ax.errorbar(places - 0.1, result[:, 0].mean, yerr=result[:, 0].error, color=COLOURS[0], label="as trained", **bars)
    ax.errorbar(places + 0.1, result[:, 1].mean, yerr=result[:, 1].error, color=COLOURS[1], label="mended", **bars)
    ax.axhline(result[0, 0].mean, color=GREY, ls="--", lw=1.2)
    ax.set_xticks(places, labels, rotation=40, ha="right")
    ax.set(title=name, ylabel="test accuracy")
axes[0].axhline(1, color="black", ls="--", lw=1.2)
axes[0].set(xlabel="batch norm layer", ylabel="variance at test time / running variance", title="dropout: where, and $p$")
axes[0].set_xticks(np.arange(1, 5))
axes[0].legend(fontsize=9, loc="lower left")
axes[1].legend(fontsize=9, loc="upper right")
plt.show()
record(
    "07/dropout-and-batch-norm",
    claim="dropout below batch norm shifts the variance and makes the network worse than batch norm alone",
    source="Li et al. 2018, arXiv:1801.05134",
    measured="variance at test time over running variance in the last batch norm: "
    + ", ".join(f"{r:.2f}" for r in shifted)
    + f" (p 0.9, 0.7, 0.5, two tasks); worse than batch norm alone by two standard errors in {sum(worse)} of {len(worse)} "
    f"cases; dropout above all batch norms not worse in {sum(harmless)} of {len(harmless)}",
    agrees="yes" if max(shifted) < 0.95 and all(worse) else "partly" if max(shifted) < 0.95 else "no",
    seeds=number,
)

# %% [markdown]
# **What was seen.** The shift is there, as the paper says. With dropout below, the variance that reaches the last batch
# norm at test time is only 0.86, 0.67 and 0.49 of the one it kept ($p$ = 0.9, 0.7, 0.5; first task), and it sinks from
# layer to layer. The first batch norm has no dropout below it; its ratio is 1.02, as without dropout. If dropout
# comes last, the ratios stay between 1.02 and 1.07. (Not 1: variances within batches of 50 are 2% too small on average,
# and the upper layers lag a little.)
#
# **Whether it harms is another matter, and here the claim holds only in part.** With right labels dropout at $p = 0.5$
# costs 3.8 ± 1.2 points, at 0.7 0.5 ± 0.3, at 0.9 nothing: one clear case of six. With wrong labels the combination is
# *better* than batch norm alone, by 9.1 ± 1.5 points at $p = 0.7$, although a third of the variance is missing there.
# Regularization was needed, and the shift cost less than it brought. Dropout behind the last layer alone shifts nothing
# and brings nothing either.
#
# How much of the harm is the shift's? The mend removes the shift and nothing else. At $p = 0.5$ it brings 2.7 ± 1.2
# points with wrong labels and 0.7 ± 0.4 with right ones, in the other cases half a point or less. So of the 3.8 points
# most are *not* due to the shift; 300 steps are probably too few for so much noise.
#
# *When it would not hold:* the paper's networks are deep convolutional ones with dozens of batch norms, where small
# shifts add up; four layers are few. And its tasks have right labels, so that there is less to gain from dropout. Its
# authors themselves found *wide* networks in which the two get on well (the version of 2019).

# %% [markdown]
# ### E · A residual network that loses layers
#
# **The claim** (Huang et al. 2016, arXiv:1603.09382): with survival falling linearly from 1 at the first block to 0.5 at
# the last, a quarter of the training time is saved, and the test error is lower.
#
# An affine layer 64-100, twelve residual blocks (affine, ReLU, affine; 100 units), ReLU, affine. 300 steps with batches
# of 20. The last block survives with probability $q$ = 1 (nothing is lost), 0.5 and 0.25; block $l$ of 12 with $1 -
# \tfrac{l}{12}(1 - q)$.
#
# Your `stochastic_depth_forward` wants the branch's output before it decides whether to use it. To save time, our block
# asks it first with a single zero and a single one, and a generator with the same seed: if the result is 0, the branch is
# not computed, neither forward nor backward.
#
# We count the branches that were computed, and measure the CPU seconds of the training as a share of those at $q = 1$ (the
# same machine, the same seed, one after the other). The count is exact. The seconds depend on your machine, and we draw no
# conclusion from them alone.
#
# **Your guess first:** what share of the branches is computed at $q = 0.5$? Is the saved time as large?

# %% experiment=true
class ResidualBlock:
    """x + branch(x), the branch affine, ReLU, affine, and lost at random in training."""

    def __init__(self, units, survival, rng, scale):
        self.params = {
            "W1": he_weights(rng, (units, units), units, 1, np.float32),
            "b1": np.zeros(units, np.float32),
            "W2": he_weights(rng, (units, units), units, scale, np.float32),
            "b2": np.zeros(units, np.float32),
        }
        self.grads = {name: np.zeros_like(value) for name, value in self.params.items()}
        self.survival, self.rng = survival, np.random.default_rng(rng.integers(2**32))
        self.taken = []  # 1 where the branch was computed, 0 where not

    def forward(self, x, mode="train"):
        self.alive, seed = True, int(self.rng.integers(2**32)) if mode == "train" else 0
        if mode == "train":
            zero, one = np.zeros((1, 1)), np.ones((1, 1))
            asked = stochastic_depth_forward_(zero, one, self.survival, mode, np.random.default_rng(seed))[0]
            self.alive = bool(asked[0, 0] > 0)
            self.taken.append(self.alive)
        if not self.alive:
            return x
        self.x, self.h = x, np.maximum(x @ self.params["W1"] + self.params["b1"], 0)
        branch = self.h @ self.params["W2"] + self.params["b2"]
        out, self.cache = stochastic_depth_forward_(x, branch, self.survival, mode, np.random.default_rng(seed))
        return out.astype(x.dtype, copy=False)

    def backward(self, dout):
        if not self.alive:
            for gradient in self.grads.values():
                gradient[...] = 0
            return dout
        dx, dbranch = stochastic_depth_backward_(dout, self.cache)
        dh = (dbranch @ self.params["W2"].T) * (self.h > 0)
        self.grads["W2"][...], self.grads["b2"][...] = self.h.T @ dbranch, dbranch.sum(axis=0)
        self.grads["W1"][...], self.grads["b1"][...] = self.x.T @ dh, dh.sum(axis=0)
        return (dx + dh @ self.params["W1"].T).astype(dout.dtype, copy=False)


BLOCKS, LAST = 12, np.array([1.0, 0.5, 0.25])
alive = []  # who took part in each training, in the order of the trainings


def residual_run(setting, seed):
    """For each q: test accuracy, training accuracy, share of branches computed, CPU seconds: (3, 4)"""
    data, found = task(seed, *setting), []
    for q in LAST:
        rng = np.random.default_rng(seed)
        survival = 1 - np.arange(1, BLOCKS + 1) / BLOCKS * (1 - q)
        blocks = [ResidualBlock(100, s, rng, 1 / BLOCKS) for s in survival]
        net = Sequential([Affine(64, 100, rng), *blocks, ReLU(), Affine(100, 10, rng)])
        begin = time.process_time()
        train(net, data, steps=300, batch_size=20, schedule=falling(0.01, 300), rng=seed, eval_every=0, progress=False)
        seconds = time.process_time() - begin
        alive.append(np.array([block.taken for block in blocks]))  # (12, 300)
        accuracies = net.accuracy(data.x_test, data.y_test), net.accuracy(data.x_train, data.y_train)
        found.append([*accuracies, np.mean(alive[-1]), seconds])
    return found


number = seeds(quick=3, full=10)
fig, axes = plt.subplots(1, 3, figsize=(14, 4), width_ratios=(1.3, 1, 1))
differences, all_runs = {}, []
for (name, setting), colour in zip(TASKS.items(), COLOURS, strict=False):
    result = repeat(lambda seed, setting=setting: residual_run(setting, seed), seeds=number)
    all_runs.append(result.values)
    curves_with_errors(LAST, result[:, 0], name, axes[1], style="bars", color=colour)
    print(name)
    for n, q in enumerate(LAST):
        less = 100 * (result.values[:, n, 0] - result.values[:, 0, 0])
        error = less.std(ddof=1) / np.sqrt(number)
        if n:
            differences[name, q] = less.mean(), error
        print(
            f"   q = {q:<4g} branches {result.mean[n, 2]:.0%}, test accuracy {result.mean[n, 0]:.3f} ± "
            f"{result.error[n, 0]:.3f} ({less.mean():+.1f} ± {error:.1f} points), training {result.mean[n, 1]:.3f}"
        )
runs = np.concatenate(all_runs)  # (seeds of both tasks, q, 4)
share, cpu = runs[:, :, 2], runs[:, :, 3] / runs[:, :1, 3]
axes[0].imshow(alive[1][:, :80], cmap="Blues", vmin=-0.2, vmax=1.2, aspect="auto", interpolation="nearest", origin="lower")
axes[0].set(title="$q = 0.5$: blocks that took part (dark)", xlabel="training step", ylabel="block")
axes[0].set_yticks([0, 3, 7, 11], [1, 4, 8, 12])
axes[0].grid(False)
for ax in axes[1:]:
    ax.set_xticks(LAST, [f"{q:g}" for q in LAST])
axes[1].set(xlabel="survival of the last block, $q$", ylabel="test accuracy", title=f"accuracy, {number} seeds")
axes[1].legend(fontsize=9, loc="center left")
curves_with_errors(LAST, share, "branches computed", axes[2], style="bars", color=COLOURS[0])
curves_with_errors(LAST, cpu, "CPU seconds", axes[2], style="bars", color=COLOURS[1])
axes[2].set(xlabel="survival of the last block, $q$", ylabel="share of that at $q = 1$", title="what a training costs")
axes[2].set_ylim(0, 1.1)
axes[2].legend(fontsize=9, loc="lower right")
plt.show()
for n, q in enumerate(LAST):
    expected = np.mean(1 - np.arange(1, BLOCKS + 1) / BLOCKS * (1 - q))
    counted, seconds = share[:, n].mean(), cpu[:, n].mean()
    print(f"q = {q:<4g} branches computed {counted:.1%} (expected {expected:.1%}), CPU seconds {seconds:.0%}")
half = {name: differences[name, 0.5] for name in TASKS}
saved = share[:, 1].mean() < 0.8  # by the count, not by the clock
better = [mean > 2 * error for mean, error in half.values()]
record(
    "07/stochastic-depth",
    claim="losing layers at random saves a quarter of the training and lowers the test error (last survival 0.5)",
    source="Huang et al. 2016, arXiv:1603.09382",
    measured=f"{share[:, 1].mean():.0%} of the branches computed, {cpu[:, 1].mean():.0%} of the CPU seconds; test accuracy "
    + ", ".join(f"{m:+.1f} ± {e:.1f} points ({name})" for name, (m, e) in half.items()),
    agrees="yes" if saved and all(better) else "partly" if saved or any(better) else "no",
    seeds=number,
)

# %% [markdown]
# **What was seen.** At $q = 0.5$ 72% of the branches are computed, as the formula says (72.9% on average), and at 0.25
# 59%. The CPU seconds fall as well, but by less: in several runs on our (busy) machine to 77% to 84%, and to 70% to
# 78%. The rest is work that is done anyway:
# the first and the last layer, the loss, and the step, which updates *all* weights. With the matrices as small as here,
# that is a good part. In a large convolutional network the branches are nearly all of the work, and there the paper's
# quarter is plausible.
#
# The test accuracy rises by 2.6 ± 1.1 points at $q = 0.5$ and 3.0 ± 0.4 at 0.25 where labels are wrong; with right labels
# it stays where it was (+0.1 ± 0.2 and −0.1 ± 0.4). **The claim holds in part:** fewer computations always, a better
# network where overfitting was the trouble. The regularization is mild: the training accuracy is still 97% with a fifth
# of the labels wrong, where dropout in experiment A brings it down to 84%.
#
# *When it would not hold:* with few blocks, each of which is needed. And the error of the paper's *deep* networks may
# fall for another reason as well, which ours cannot show: gradients reach the lowest layers of a shallower network more
# easily.

# %% [markdown]
# ### F · L1's zeros, counted
#
# **The claim** (CS231n notes, *Neural Networks Part 2*): L1 makes weight vectors sparse during training, "very close to
# exactly zero"; the final weights of L2 are diffuse, small numbers.
#
# A network 64-100-10, 300 digits with right labels, 600 steps of plain SGD (no momentum) at a constant rate of 0.1; no
# penalty, L2 with 0.03, L1 with 0.003, and a fourth one below.
#
# How does one count zeros? A weight that only the penalty moves goes towards zero by rate times strength, 0.0003 a step.
# It does not stop at zero. It steps over it and comes back, forever: **a subgradient step hardly ever lands on exactly
# 0.** So we count weights that are within one such step of zero, for all four networks with the same limit of 0.0003.
# Beside it we count those that are 0 exactly, and we show the whole distribution. The fourth network is trained with a
# step that *can* land on 0: after each step of SGD without penalty every weight goes towards zero by 0.0003, but not
# beyond (soft thresholding; the proximal step of the L1 penalty).
#
# A weight near zero is of use only if one can do without it. So at last we set the smallest weights to zero, more and
# more of them, and look at the test accuracy.
#
# **Your guess first:** what share of the weights can be removed after training without penalty, and what share after L1?

# %% experiment=true
RATE, L1_STRENGTH = 0.1, 0.003
LIMIT = RATE * L1_STRENGTH
SPARSE = {
    "no penalty": no_penalty,
    "L2, 0.03": lambda w: l2_penalty_(w, 0.03),
    "L1, 0.003": lambda w: l1_penalty_(w, L1_STRENGTH),
    "L1, soft threshold": no_penalty,
}
REMOVED = np.array([0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95])
sizes_of_weights = np.logspace(-6, 0, 61)


def soft_threshold(t, net):
    for name in ("0.W", "2.W"):
        w = net.params[name]
        w[...] = np.sign(w) * np.maximum(np.abs(w) - LIMIT, 0)


def sparse_run(name, seed):
    """Shares of weights below each size, (61,); exactly zero, within the limit, (2,); test accuracy after removal, (9,)."""
    data, net = task(seed), penalised_net(SPARSE[name], seed, hidden=100)
    after_step = soft_threshold if name == "L1, soft threshold" else None
    train(net, data, steps=600, batch_size=20, learning_rate=RATE, momentum=0.0, rng=seed, eval_every=0, on_step=after_step)
    size = np.abs(np.concatenate([net.params[layer].ravel() for layer in ("0.W", "2.W")]))
    accuracies = []
    for share in REMOVED:
        smaller, limit = net.copy(), np.quantile(size, share) if share else -1.0
        for layer in ("0.W", "2.W"):
            smaller.params[layer][np.abs(smaller.params[layer]) <= limit] = 0
        accuracies.append(smaller.accuracy(data.x_test, data.y_test))
    below = [np.mean(size <= limit) for limit in sizes_of_weights]
    return [*below, np.mean(size == 0), np.mean(size <= 1.001 * LIMIT), *accuracies]


number = seeds(quick=3, full=10)
result = sweep(sparse_run, list(SPARSE), seeds=number)
fig, axes = plt.subplots(1, 2, figsize=(12, 4.2))
zeros, removable = {}, {}
for n, (name, colour) in enumerate(zip(SPARSE, COLOURS, strict=False)):
    curves_with_errors(sizes_of_weights, 100 * result.values[:, n, :61], name, axes[0], color=colour)
    curves_with_errors(100 * REMOVED, result[n, 63:], name, axes[1], style="bars", color=colour)
    exact, near, accuracy = result.mean[n, 61], result.mean[n, 62], result.mean[n, 63:]
    zeros[name] = exact, near
    removable[name] = REMOVED[np.flatnonzero(accuracy > accuracy[0] - 0.01)].max()
    print(
        f"{name:19s} exactly zero {exact:5.1%}, within {LIMIT:g} of it {near:5.1%}; test accuracy {accuracy[0]:.3f}, less "
        f"than a point lost with {removable[name]:.0%} removed; with 90%: {accuracy[list(REMOVED).index(0.9)]:.3f}"
    )
axes[0].axvline(LIMIT, color="black", ls="--", lw=1.2, label="rate times strength")
axes[0].set(xscale="log", xlabel="size of a weight", ylabel="weights that are smaller, %")
axes[0].set_title(f"all weights, {number} seeds")
axes[0].legend(fontsize=9, loc="upper left")
axes[1].set(xlabel="smallest weights set to zero, %", ylabel="test accuracy", title="doing without them")
axes[1].legend(fontsize=9, loc="lower left")
plt.show()
l1, l2, none = (zeros[name][1] for name in ("L1, 0.003", "L2, 0.03", "no penalty"))
record(
    "07/l1-zeros",
    claim="L1 leads many weights very close to zero, L2 makes them small but diffuse",
    source="CS231n notes, Neural Networks Part 2",
    measured=f"within 0.0003 of zero: {l1:.0%} with L1, {l2:.1%} with L2, {none:.1%} without; exactly zero: "
    f"{zeros['L1, 0.003'][0]:.1%} with the subgradient, {zeros['L1, soft threshold'][0]:.0%} with a soft threshold",
    agrees=bool(l1 > 0.2 and l1 > 10 * l2),
    seeds=number,
)

# %% [markdown]
# **What was seen.** Within 0.0003 of zero lie 36.5% of the weights with L1, 0.5% with L2 and 0.1% without a penalty. **The
# claim holds, including its careful wording:** *very close to* zero. Exactly zero there is none, with the subgradient.
# With a soft threshold 39% of the weights are exactly 0, the test accuracy is the same (0.936), and the curves on the
# left run together above 0.001. So the two find much the same network; only one of them tidies up. The count depends on the
# limit: on the left, the green curve has no edge at the dashed line, it rises from $10^{-5}$ to $10^{-3}$.
#
# Sparse is not the same as useful, so look at the right. Without a penalty 30% of the weights can go before a point of
# accuracy is lost; with L2 it is 70%, with L1 80%. L2 makes hardly any zeros, and still most of its weights can be done
# without. What it has in common with L1 is that weights which the data do not hold get *relatively* small.
#
# *When it would not hold:* with a falling rate the limit falls too and the weights come closer to zero; with Adam, which
# divides by the size of the gradient, a penalty added to the loss acts differently (Loshchilov & Hutter 2019, notebook
# 03).

# %% [markdown]
# ## Questions
#
# Answer in a few sentences each, in your own words.

# %% [markdown] question="why-divide-in-training" points=3
# **Q1.** Dropout can multiply by $p$ at test time or divide by $p$ in training. Show that both make the input of the next
# layer the same on average in training and at test time. Why is the division in training preferred today? And for which
# part of a network do *both* fail to give the expected output?
#
# ### BEGIN SOLUTION
# **A good answer:** For one unit with value $x$ and a mask $M$ that is 1 with probability $p$: in training the vanilla
# form gives $\mathbb{E}[xM] = px$, and $px$ is what it puts out at test time; the inverted form gives $\mathbb{E}[xM/p] =
# x$, and at test time it does nothing. An affine layer on top keeps this equality, as it is linear. Dividing in training
# leaves the network at test time without any trace of dropout: nothing can be forgotten there, it costs no time where
# time matters most, $p$ may be changed during training or be different in each layer, and the trained weights can be used
# elsewhere as they are. Both forms fail behind a nonlinearity: $\mathbb{E}[\max(s,0)]$ is not $\max(\mathbb{E}[s],0)$
# (experiment B: a third larger), so the output of a network with several layers is only approximated.
#
# **Marking scheme:** 1 point for both expected values; 1 point for a valid reason (test-time code or cost unchanged,
# nothing to forget, $p$ not needed any more); 1 point for the nonlinearity.
# ### END SOLUTION

# %% [markdown] question="what-is-marginalised" points=3
# **Q2.** What is marginalised at test time? Write down the quantity for dropout in a layer of 100 units, say why it is not
# computed exactly, and name two ways to approximate it with what each costs. Which variable takes the place of the mask in
# stochastic depth and in fractional pooling?
#
# ### BEGIN SOLUTION
# **A good answer:** The noise $z$ of training: $y = \mathbb{E}_z[f(x,z)] = \sum_z p(z) f(x,z)$. For 100 units $z$ is one
# of $2^{100}$ masks, with probability $p^{k}(1-p)^{100-k}$ if $k$ units are kept; a sum over that many forward passes is
# out of the question. (1) Replace the noise by its mean, i.e. scale: one pass, exact for what is linear in the noise and
# biased behind a nonlinearity. (2) Monte Carlo: draw $S$ masks and average the predictions: $S$ passes, error falls as
# $1/\sqrt{S}$; here about 20 passes were needed to be as accurate as one pass of the scaled network. In stochastic depth
# $z$ is which blocks take part (one bit each), in fractional pooling the boundaries of the regions; there no scaling can
# stand in, and one averages over draws.
#
# **Marking scheme:** 1 point for the expected value over the noise (formula or clear words) and the number of masks; 1
# point for two approximations with costs; 1 point for the two other variables.
# ### END SOLUTION

# %% [markdown] question="training-below-validation" points=2
# **Q3.** A friend trains with dropout. The log shows the accuracy on each training mini-batch and on the validation set;
# the training accuracy is the lower one throughout. "There must be a bug: it is better on images that it has never seen."
# Give two reasons why there need not be one, and for each a measurement that would show whether it is the cause.
#
# ### BEGIN SOLUTION
# **A good answer:** (a) The training accuracy was measured with the noise on, as it comes out of the training step, the
# validation accuracy without. In experiment C one noisy pass has 75% where the same network scaled has 89%. Measurement:
# run the training set (or a part of it) through the network in test mode. (b) The training labels are worse, or the
# training images harder (augmented), than those of the validation set: in experiment A nobody should fit more than 80% of
# the training labels. Measurement: look through a sample of the training images that it gets wrong; or compare with
# validation images whose labels were spoiled, or which were augmented, in the same way. Also valid: the accuracy of a
# mini-batch is taken before the step, and an average over an epoch lags; measure both at the same moment.
#
# **Marking scheme:** 1 point for each of two valid reasons with a measurement that tells (half a point without).
# ### END SOLUTION

# %% [markdown]
# ## Remember
#
# 1. Regularization trades training accuracy for test accuracy. How strong it is matters more than which one it is: choose
#    by the validation set.
# 2. L2 shrinks every weight by a share of itself, L1 by a fixed amount. L1's weights gather *near* zero; to land on it
#    takes a soft threshold.
# 3. Noise in training, its average at test time: dropout, DropConnect, Gaussian noise, stochastic depth, fractional
#    pooling, and batch norm as well. A forgotten switch or factor gives no error message.
# 4. Scaling makes training and test time equal on average before the next nonlinearity, not behind it. It is nevertheless
#    as accurate as the average of many noisy passes.
# 5. Dropout below batch norm shifts the variances. Whether that matters depends on how much regularization is needed.
#
# **Where to read on.** G. Hinton et al., *Improving neural networks by preventing co-adaptation of feature detectors*,
# 2012 (arXiv:1207.0580), and N. Srivastava et al., *Dropout: A Simple Way to Prevent Neural Networks from Overfitting*,
# 2014: the method, its reasons and many measurements. L. Wan et al., *Regularization of Neural Networks using
# DropConnect*, 2013. C. Bishop, *Training with Noise is Equivalent to Tikhonov Regularization*, 1995. G. Huang et al.,
# *Deep Networks with Stochastic Depth*, 2016 (arXiv:1603.09382). B. Graham, *Fractional Max-Pooling*, 2014
# (arXiv:1412.6071). Y. Gal and Z. Ghahramani, *Dropout as a Bayesian Approximation*, 2016 (arXiv:1506.02142): what the
# spread of noisy passes may mean. X. Li et al., *Understanding the Disharmony between Dropout and Batch Normalization by
# Variance Shift*, 2018 (arXiv:1801.05134). H. Zou and T. Hastie, *Regularization and Variable Selection via the Elastic
# Net*, 2005.
