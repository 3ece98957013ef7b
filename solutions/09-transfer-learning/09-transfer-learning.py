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
# # 09 · Transfer learning
#
# **After this notebook you can take a network that somebody else has trained, keep what fits and train the rest; and you
# have checked the lecture's advice on what to train, cell by cell.**
#
# *About 90 minutes. You need: the softmax gradient; batch norm's running statistics (notebook 01).*

# %% setup=true
from dataclasses import replace
from functools import cache

import matplotlib.pyplot as plt
import numpy as np

from autograder import check, hint, yours
from nnlab import (
    Norm,
    cifar10,
    digits,
    glyphs,
    minibatches,
    mnist,
    repeat,
    softmax_loss,
    standard_error,
    sweep,
    textures,
    transfer,
)  # fmt: skip
from nnlab.datasets import data_directory
from nnlab.experiments import record, seeds
from nnlab.palette import COLOURS, GREY
from nnlab.plots import curves_with_errors, use_style

use_style()

# %% [markdown]
# ## The idea
#
# A network that is trained from random weights needs many examples, because it has to find out everything: that images have
# edges, that edges meet in corners, and only then what tells your classes apart. The first part is nearly the same for all
# images. **So take the first part from a network that has learned it already, where examples were plenty (the source), and
# spend your few examples on the rest (the target).** That is transfer learning, and with convolutional networks it is
# the rule rather than the exception: hardly anybody trains one from scratch on a few hundred images.
#
# What is left to decide is *how much* to keep. The lecture (CS231n, lecture 7) makes it depend on two questions: how similar
# are source and target, and how many examples of the target are there? In this notebook the source is a small network that
# has learned 24 printed letters from 24,000 drawn images. It comes with the course; making it took half a minute. There are
# three targets, each with ten classes: printed digits, handwritten digits, and textures. All images have $12 \times 12$
# grey pixels. Look at them, and guess which targets are similar to the source.

# %% experiment=true
TARGETS = ("printed digits", "handwritten digits", "textures")
DOWNLOADED = {"mnist": "mnist/train-images-idx3-ubyte.gz", "cifar10": "cifar-10-python.tar.gz"}


def halved(data):
    """The middle 24 × 24 pixels in grey, each 2 × 2 of them averaged: (N, C, H, W) -> (N, 1, 12, 12)."""

    def small(x):
        top, left = (x.shape[2] - 24) // 2, (x.shape[3] - 24) // 2
        grey = x.mean(axis=1)[:, top : top + 24, left : left + 24]
        return grey.reshape(len(x), 1, 12, 2, 12, 2).mean(axis=(3, 5))

    parts = {part: small(getattr(data, part)) for part in ("x_train", "x_val", "x_test")}
    return replace(data, **parts, mean=None, std=None)


def framed(data):
    """Handwritten digits fill their 8 × 8 pixels; with two more on each side they are as large as the letters."""
    background, frame = data.x_train.min(), ((0, 0), (0, 0), (2, 2), (2, 2))
    parts = {part: np.pad(getattr(data, part), frame, constant_values=background) for part in ("x_train", "x_val", "x_test")}
    return replace(data, **parts)


@cache
def target(name, examples, seed):
    """`examples` images to train on and 1000 to test, standardized with the mean of the training pixels."""
    if name == "handwritten digits":
        return framed(digits(validation=797 - examples, test=1000, seed=seed))
    if name == "mnist":
        return halved(mnist(train=examples, test=1000, seed=seed))
    if name == "cifar10":
        return halved(cifar10(train=examples, test=1000, seed=seed))
    draw, sizes = {"seed": 100 + seed, "size": 12}, {"count": examples + 1010, "validation": 10, "test": 1000}
    if name == "textures":
        return textures(**draw, **sizes, colour=False)
    return glyphs(**draw, **sizes, characters="0123456789")


source = transfer.pretrained()
letters = glyphs(1530, seed=3, size=12, characters=transfer.LETTERS, validation=10, test=1000)
print(f"the source network is right on {source.accuracy(letters.x_test, letters.y_test):.1%} of 1000 new letters")

fig, axes = plt.subplots(4, 1, figsize=(9, 3))
kinds = {"letters (source)": letters} | {name: target(name, 700, 0) for name in TARGETS}
for ax, (name, data) in zip(axes, kinds.items(), strict=True):
    images = np.pad(data.pixels(data.x_test[:20])[:, 0], ((0, 0), (1, 1), (1, 1)), constant_values=1)
    ax.imshow(np.concatenate(list(images), axis=1), cmap="gray", vmin=0, vmax=1)
    ax.set_title(name, fontsize=10)
    ax.axis("off")
plt.show()

# %% [markdown]
# ## Convention card
#
# | | this course | PyTorch | papers |
# | --- | --- | --- | --- |
# | parameters | a dict, `"INDEX.NAME"` to array | `state_dict()`: the same kind of names | |
# | the head | the layer with the highest index, as a number | `model.fc`, `model.classifier` | "the classifier" |
# | a new head | $W$ normal, deviation $1/\sqrt{D}$; $b = 0$ | `nn.Linear`: both uniform in $\pm 1/\sqrt{D}$ | often zeros |
# | frozen | not handed to the optimizer, unchanged to the last bit | `requires_grad = False` | |
# | frozen, and batch norm | running statistics stay, too (`mode="test"`) | they move unless `.eval()` | [1] |
# | penalty of the probe | $\frac{l_2}{2} \sum W^2$ beside the mean loss | yours to choose | scikit-learn: $C = 1/(N l_2)$ |
# | layerwise rates | factor `decay` from layer to layer | parameter groups | 1/2.6 in [2] |
#
# [1] He et al. 2016 (arXiv:1512.03385), appendix A: statistics fixed while fine-tuning a detector. [2] Howard & Ruder 2018
# (arXiv:1801.06146), section 3.2, "discriminative fine-tuning".
#
# The source network has 13 layers, numbered 0 to 12. Those with parameters: convolution 0, batch norm 1, convolution 4,
# batch norm 5, convolution 8, batch norm 9, and the head 12. ReLUs, max pools and the mean over the pixels (11) lie between.

# %% [markdown]
# ## 1 · A new head
#
# The source's last layer tells 24 letters apart. For ten digits it is useless: it has the wrong number of columns, and
# none of them means a digit. Everything below is kept.
#
# **It computes** a new dict of parameters: the head is drawn anew, all other arrays are copied.
#
# $$ W_{ij} \sim \mathcal N\!\left(0, \tfrac1D\right), \quad W \in \mathbb R^{D \times K}, \qquad b = 0 \in \mathbb R^K $$
#
# $D$ is the number of rows of the head's old $W$, $K$ is `num_classes`. A score is a sum of $D$ products; with this variance
# it stays of the size of a feature. The head is the layer with the highest index. Indices are numbers: 12 is more than 9,
# though as text it comes before. The dict need not be in order.

# %% exercise="reinitialize_head"
def reinitialize_head(params, num_classes, rng):
    """A network's parameters with a new head, everything below as it was learned.

    Inputs:
    - params: dict, "INDEX.NAME" to array, such as {"0.W": ..., "0.b": ..., ..., "12.W": (D, K_old), "12.b": (K_old,)},
      in any order; the head is the layer with the highest index (as a number) and has a W and a b
    - num_classes: number K of new classes
    - rng: numpy.random.Generator, to draw from

    Returns a new dict with the same names in the same order. The head's W is (D, K), normal with mean 0 and standard
    deviation 1/sqrt(D); its b is K zeros; all other arrays are copies, equal to the last bit. params stays as it was.
    """
    ### BEGIN SOLUTION
    last = max(int(name.split(".")[0]) for name in params)
    fresh = {name: value.copy() for name, value in params.items()}
    rows = params[f"{last}.W"].shape[0]
    fresh[f"{last}.W"] = rng.normal(0, 1 / np.sqrt(rows), size=(rows, num_classes))
    fresh[f"{last}.b"] = np.zeros(num_classes)
    return fresh
    ### END SOLUTION


# %% check="reinitialize_head" points=8

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* What does Python say to `max("9", "12")`, and what to `max(9, 12)`?
# 2. *A pointer.* `"12.W".split(".")` takes a name apart. `rng.normal` takes a standard deviation, not a variance.
# 3. *An outline.* Find the highest number. Copy every array into a new dict. Replace two entries of it: a drawn array and
#    zeros.
#
# </details>

# %% [markdown]
# ## 2 · What is frozen, what is trained
#
# **It computes** two dicts from one: the parameters of layers that stay as they are, and of those that will be trained.
# A layer is one or the other as a whole. Batch norm's gamma and beta are parameters as well: people who freeze "the
# convolutions" forget them easily, and then their frozen features move.

# %% exercise="split_frozen"
def split_frozen(params, trainable_layers):
    """Which parameters stay as they are, and which are trained.

    Inputs:
    - params: dict, "INDEX.NAME" to array
    - trainable_layers: the indices (integers) of the layers to train, in a list, tuple or set; may be empty

    Returns (frozen, trainable): two dicts that together hold every name once, with its array as it was. params itself
    stays as it was.
    """
    ### BEGIN SOLUTION
    frozen, trainable = {}, {}
    for name, value in params.items():
        index = int(name.split(".")[0])
        (trainable if index in trainable_layers else frozen)[name] = value.copy()
    return frozen, trainable
    ### END SOLUTION


# %% check="split_frozen" points=6

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* If layer 1 is to be trained, what becomes of `10.gamma`? And is `"1" == 1`?
# 2. *A pointer.* Compare the number before the dot, as a number.
# 3. *An outline.* Two empty dicts. Go through all names once; each array goes into one of the two.
#
# </details>

# %% [markdown]
# ## 3 · Features
#
# If the layers below the head are frozen, their output for an image never changes. There is no need to compute it again in
# each epoch: once is enough. These outputs are the **features**.
#
# **It computes** the features of all images, $(N, D)$. `forward_to(batch)` gives what some layer puts out for a batch of
# images, with any number of axes: $(n, C, H, W)$ after a convolution, $(n, D)$ further up. The images are sent through in
# batches, since all at once may not fit into memory. Image 17 must come out in row 17, or its label no longer fits. And
# in contrast to training, the smaller batch at the end counts.

# %% exercise="extract_features"
def extract_features(forward_to, x, batch_size):
    """The features of all images, batch by batch, one row an image.

    Inputs:
    - forward_to: function from a batch of images (n, ...) to the output of some layer (n, ...)
    - x: array (N, ...) of images
    - batch_size: the most images that forward_to may be given at once

    Returns an array (N, D): row i holds the output for image i, flattened. forward_to is called ceil(N / batch_size)
    times, on consecutive images, and gets each image once.
    """
    ### BEGIN SOLUTION
    rows = []
    for start in range(0, len(x), batch_size):
        out = forward_to(x[start : start + batch_size])
        rows.append(out.reshape(len(out), -1))
    return np.concatenate(rows)
    ### END SOLUTION


# %% check="extract_features" points=6

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* Ten images in batches of four: how many calls, and how many images in each? And twelve images?
# 2. *A pointer.* `range` with three arguments counts in steps. A slice that reaches beyond the end stops at the end.
# 3. *An outline.* For each start: cut out the batch, call, flatten all axes but the first, keep. At the end put the parts
#    together.
#
# </details>

# %% [markdown]
# **Look at them.** The features that the frozen network has for images of the source and of the targets: 48 numbers an
# image, the output of layer 11. To draw them, we take the plane in which they vary most (principal components; each panel
# its own). Ten classes in ten colours. The network has never seen anything but letters.

# %% experiment=true
(extract_features_,) = yours(["extract_features"], [transfer.extract_features])


def up_to(net, layer):
    """The function from images to the output of the layers below number `layer`, at test time."""

    def forward_to(x):
        for each in net.layers[:layer]:
            x = each.forward(x, "test")
        return x

    return forward_to


def spread_between(features, y):
    """The share of the features' variance that lies between the classes' means, 0 to 1."""
    means = np.array([features[y == label].mean(axis=0) for label in np.unique(y)])
    counts = np.bincount(np.searchsorted(np.unique(y), y))
    between = counts @ ((means - features.mean(axis=0)) ** 2).sum(axis=1) / len(y)
    return between / features.var(axis=0).sum()


fig, axes = plt.subplots(1, 4, figsize=(13, 3.6))
first_ten = letters.y_test < 10
shown = [("letters A to K (source)", letters.x_test[first_ten], letters.y_test[first_ten])]
shown += [(name, target(name, 700, 0).x_test, target(name, 700, 0).y_test) for name in TARGETS]
for ax, (name, x, y) in zip(axes, shown, strict=True):
    features = extract_features_(up_to(source, 12), x, 250).astype(np.float64)
    centred = features - features.mean(axis=0)
    _, lengths, axes_of_variation = np.linalg.svd(centred, full_matrices=False)
    plane = centred @ axes_of_variation[:2].T
    ax.scatter(*plane.T, c=y, cmap="tab10", s=7, alpha=0.8, linewidths=0)
    share = (lengths[:2] ** 2).sum() / (lengths**2).sum()
    ax.set_title(f"{name}\n{spread_between(features, y):.0%} of variance between classes", fontsize=10)
    ax.set(xticks=[], yticks=[], xlabel=f"these two axes: {share:.0%} of the variance")
    print(f"{name}: {spread_between(features, y):.0%} of the variance of 48 features lies between the classes")
plt.show()

# %% [markdown]
# On its own letters the network pulls the classes apart: 69% of the variance of the 48 features lies between the classes.
# For classes that it has never seen it is still 53% (printed digits) and 56% (handwritten ones): what tells letters
# apart tells digits apart. For textures it is 26%, and the colours lie on top of each other. Two of 48 dimensions show less
# than half of the variance; a linear classifier sees all of them.

# %% [markdown]
# ## 4 · A linear classifier on features
#
# With the features fixed, all that is left to train is the head: softmax regression, a convex problem with one minimum.
# Such a classifier is called a **linear probe** (Alain & Bengio 2016): it shows what can be read from the features by
# weighing and adding alone.
#
# **It computes** $W$ $(D, K)$ and $b$ $(K,)$ at the minimum of
#
# $$ L(W, b) = \frac1N \sum_{i=1}^N -\log \operatorname{softmax}(x_i W + b)_{y_i} + \frac{l_2}{2} \sum_{jk} W_{jk}^2 $$
#
# for features $x$ $(N, D)$ and labels $y$ $(N,)$ from $0$ to $K-1$. The bias is not penalised: it says how frequent a class
# is, which is no sign of over-fitting. With $P = \operatorname{softmax}(x W + b)$ and the one-hot labels $Y$, both $(N, K)$:
#
# $$ \frac{\partial L}{\partial W} = \frac1N x^\top (P - Y) + l_2 W \qquad
# \frac{\partial L}{\partial b} = \frac1N \sum_i (P - Y)_i $$
#
# How you get there is up to you: plain gradient descent with all examples, or any method of notebooks 03 and 05. The
# check looks at the gradient at what you return, and wants its largest entry to be at most a thousandth of what it is at
# $W = 0, b = 0$, for $W$ and for $b$. Features may have different scales and means. A rate that is safe for descent: 1
# over $\frac12 \lambda + l_2$, where $\lambda$ is the largest eigenvalue of $\frac1N \tilde x^\top \tilde x$ and $\tilde
# x$ is $x$ with a column of ones for the bias.

# %% exercise="linear_probe"
def linear_probe(features, y, l2, num_classes=None):
    """The best linear classifier on features that stay as they are.

    Inputs:
    - features: array (N, D)
    - y: integers (N,) from 0 to K - 1
    - l2: strength of the penalty, positive
    - num_classes: K, or None for one more than the largest label; a class without examples has its column, too

    Returns W (D, K) and b (K,) where mean softmax cross-entropy + l2/2 * sum(W**2) is lowest: no entry of the gradient is
    larger than 1/1000 of the largest one at zeros (by W and by b). The inputs stay as they were.
    """
    ### BEGIN SOLUTION
    count, dim = features.shape
    classes = int(y.max()) + 1 if num_classes is None else num_classes
    centre = features.mean(axis=0)
    x = np.concatenate([features - centre, np.ones((count, 1))], axis=1).astype(np.float64)  # the bias as one more weight
    onehot = np.eye(classes)[y]
    decay = l2 * np.append(np.ones(dim), 0)[:, None]
    rate = 1 / (np.linalg.norm(x, 2) ** 2 / (2 * count) + l2)

    def slope_at(theta):
        scores = x @ theta
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        return x.T @ (p - onehot) / count + decay * theta

    theta = before = np.zeros((dim + 1, classes))
    enough = np.abs(slope_at(theta)).max() / 10_000
    for t in range(5000):
        ahead = theta + t / (t + 3) * (theta - before)  # Nesterov's momentum
        slope = slope_at(ahead)
        if np.abs(slope).max() < enough:
            break
        before, theta = theta, ahead - rate * slope
    W = ahead[:-1]
    return W, ahead[-1] - centre @ W
    ### END SOLUTION


# %% check="linear_probe" points=6

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* How would you notice, from `W` and `b` alone, that you are not yet at the minimum?
# 2. *A pointer.* The gradient is given above. `np.eye(K)[y]` makes one-hot labels; subtract the largest score of each row
#    before `np.exp`. If it crawls, add momentum, or subtract each feature's mean first and put it into `b` at the end.
# 3. *An outline.* Start at zeros. Loop: scores, probabilities, gradient; stop when its largest entry has become small
#    against the first; step.
#
# </details>

# %% [markdown]
# ## 5 · Smaller rates further down
#
# When all layers are trained, they should not all move alike. The head is new and knows nothing. The lowest layers see
# edges, which the target needs as well; there is little to change and much to spoil. So the rate falls from layer to
# layer, on the way down (Howard & Ruder 2018).
#
# **It computes** a rate for each parameter. Let the layers that have parameters be $\ell_1 < \ell_2 < \dots < \ell_m$:
#
# $$ \text{rate}(\ell_j) = \texttt{lr} \cdot \texttt{decay}^{\,m - j} $$
#
# The last layer gets `lr`, the next one below `decay` times as much, and so on. Layers without parameters do not count: from
# layer 12 to layer 9 of our network it is one step. $W$ and $b$ of a layer have the same rate, and so have gamma and beta.

# %% exercise="layerwise_learning_rates"
def layerwise_learning_rates(names, lr, decay):
    """Smaller learning rates for lower layers.

    Inputs:
    - names: the names of parameters, "INDEX.NAME", in any order
    - lr: the rate of the last layer (the highest index, as a number)
    - decay: each layer with parameters has decay times the rate of the next one above it

    Returns a dict: a rate (float) for every name.
    """
    ### BEGIN SOLUTION
    layers = sorted({int(name.split(".")[0]) for name in names}, reverse=True)  # the head first
    rate_of = {layer: lr * decay**steps for steps, layer in enumerate(layers)}
    return {name: rate_of[int(name.split(".")[0])] for name in names}
    ### END SOLUTION


# %% check="layerwise_learning_rates" points=5

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* Layers 0, 4 and 10 have parameters. How many of them lie above layer 4, and above layer 0?
# 2. *A pointer.* A set of the numbers before the dots drops the doubles; `sorted` puts integers into order.
# 3. *An outline.* The sorted layers from the top down; a rate for each, `decay` times the last one; then look up each name's
#    layer.
#
# </details>

# %% [markdown]
# ## 6 · A step that leaves the frozen ones alone
#
# **It computes** one step of gradient descent for a dict of parameters: each name in `trainable` at its own rate, all
# others unchanged, to the last bit.
#
# $$
# w_\text{name} \leftarrow \begin{cases}
# w_\text{name} - \text{rate}_\text{name} \cdot g_\text{name} & \text{if the name is in } \texttt{trainable} \\
# w_\text{name} & \text{if not}
# \end{cases}
# $$

# %% exercise="fine_tune_step"
def fine_tune_step(params, grads, rates, trainable):
    """One step of gradient descent for what is trained; the rest stays.

    Inputs:
    - params: dict, name to array
    - grads: dict with the same names and shapes: the gradient of the loss
    - rates: dict with the same names: a learning rate for each
    - trainable: the names to train, in a list, tuple, set or dict

    Returns a new dict with all names: new arrays for those in trainable, equal copies of the others. What is handed over
    stays as it was.
    """
    ### BEGIN SOLUTION
    stepped = {name: value.copy() for name, value in params.items()}
    for name in trainable:
        stepped[name] -= rates[name] * grads[name]
    return stepped
    ### END SOLUTION


# %% check="fine_tune_step" points=6

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* What should the result hold for a name that is not in `trainable`: nothing, zeros, or something else?
# 2. *A pointer.* `w -= ...` changes the array that the caller still holds, unless you copied it before.
# 3. *An outline.* A new dict over all names; a step where the name is in `trainable`, a copy elsewhere.
#
# </details>

# %% [markdown]
# ## 7 · What would the lecture do?
#
# **It computes** the lecture's advice from the two questions. It is a table with four cells and one strategy in each:
#
# | | source and target are similar | they are quite different |
# | --- | --- | --- |
# | **few examples** | ? | ? |
# | **many examples** | ? | ? |
#
# The four strategies are `"train a linear classifier on the top features"`, `"fine-tune a few layers"`,
# `"train a linear classifier on features of several stages"` and `"fine-tune many layers"`. Two considerations lead to all
# four cells. The weights that you train must be paid for with examples, or they over-fit. And features become more special
# from layer to layer: the lowest fit almost any image, the top ones fit images like the source's.
#
# Write your table down for question Q1 *before* you run the experiments.

# %% exercise="transfer_strategy"
def transfer_strategy(similar, much_data):
    """The lecture's advice: what to train, by how similar the target is and how many examples there are.

    Inputs:
    - similar: True if the target's images are like the source's, False if they are quite different
    - much_data: True if the target has many examples, False if it has few

    Returns one of these four strings; each belongs to one of the four cases:
    "train a linear classifier on the top features"
    "fine-tune a few layers"
    "train a linear classifier on features of several stages"
    "fine-tune many layers"
    """
    ### BEGIN SOLUTION
    if much_data:
        return "fine-tune a few layers" if similar else "fine-tune many layers"
    kept = "the top features" if similar else "features of several stages"
    return f"train a linear classifier on {kept}"
    ### END SOLUTION


# %% check="transfer_strategy" points=4

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* You have 50 images. How many weights dare you train? And with 50,000?
# 2. *A pointer.* Two of the four strategies train a linear classifier only. In which row do they belong?
# 3. *An outline.* Decide the row by the number of examples. Within a row, decide how far up the old features can be
#    trusted.
#
# </details>

# %% [markdown]
# ## Experiments
#
# All of them use your functions where they pass. The training loop is short, so here it is: below the lowest trained
# layer everything is frozen, runs at test time, and is computed once; then 200 steps with batches of 20, each through
# `fine_tune_step`. The rate is 0.5 for all strategies alike (of 0.2, 0.5 and 1 it was the best or close to it, on seeds
# that are not used below), and a tenth of it in the last fifth of the steps. Learning from scratch is the same loop with
# all layers and new weights.

# %% experiment=true
reinitialize_head_, split_frozen_, linear_probe_ = yours(
    ["reinitialize_head", "split_frozen", "linear_probe"],
    [transfer.reinitialize_head, transfer.split_frozen, transfer.linear_probe],
)
layerwise_learning_rates_, fine_tune_step_, transfer_strategy_ = yours(
    ["layerwise_learning_rates", "fine_tune_step", "transfer_strategy"],
    [transfer.layerwise_learning_rates, transfer.fine_tune_step, transfer.transfer_strategy],
)
EVERYTHING, UPPER = range(13), range(8, 13)  # UPPER: the last convolution, its batch norm, the head
L2 = 0.01


def transferred(seed):
    """The source's network with a new head for ten classes; batch norm's running statistics come along."""
    net = transfer.source_net(10, rng=seed)
    params = reinitialize_head_(source.params, 10, np.random.default_rng(seed))
    transfer.load_state(net, {**transfer.state(source), **params})
    return net


def fine_tune(net, data, layers, rate=0.5, decay=1.0, steps=200, batch_size=20, seed=0, statistics="train"):
    """Train `layers` (all from some layer up). With statistics="test" batch norm keeps its running statistics."""
    lowest = min(layers)
    seen = data.x_train
    if lowest:  # what the first trained layer sees never changes
        shape = up_to(net, lowest)(seen[:1]).shape[1:]
        seen = extract_features_(up_to(net, lowest), seen, 250).reshape(-1, *shape).astype(net.dtype)
    trained = net.layers[lowest:]
    _, trainable = split_frozen_(net.params, layers)
    rates = layerwise_learning_rates_(list(net.params), rate, decay)
    low = {name: r / 10 for name, r in rates.items()}
    batches = minibatches(seen, data.y_train, batch_size, np.random.default_rng(seed))
    with np.errstate(all="ignore"):  # rates that are too large are part of the experiments
        for t in range(steps):
            x, y = next(batches)
            for layer in trained:
                x = layer.forward(x, statistics if isinstance(layer, Norm) else "train")
            dout = softmax_loss(x, y)[1]
            for layer in reversed(trained[1:]):
                dout = layer.backward(dout)
            trained[0].weight_gradients(dout)  # no layer below is trained
            net.load(fine_tune_step_(net.params, net.grads, rates if t < 0.8 * steps else low, list(trainable)))
    return net


def probed(features, data, test_features):
    """Test accuracy of a linear probe on standardized features."""
    mean, std = features.mean(axis=0), features.std(axis=0) + 1e-3
    W, b = linear_probe_(((features - mean) / std).astype(np.float64), data.y_train, L2, 10)
    return np.mean(((test_features - mean) / std @ W + b).argmax(axis=1) == data.y_test)


def top_features(net, x):
    return extract_features_(up_to(net, 12), x, 250)


def features_of_stages(net, x):
    """The output of each of the three ReLUs, averaged over its pixels: 12 + 24 + 48 numbers an image."""
    return np.concatenate(
        [extract_features_(lambda part, k=k: up_to(net, k)(part).mean(axis=(2, 3)), x, 250) for k in (3, 7, 11)], axis=1
    )


# %% [markdown]
# ### A · How similar is a target?
#
# **The claim** (Yosinski et al. 2014, arXiv:1411.1792): features are worth less the farther the target is from the source,
# and still more than random ones.
#
# "Similar" needs a measure, or the table can be read to suit any result. Ours: a linear probe on the top features of the
# source's network, against the same on a network with random weights (its batch norm statistics taken from the target's
# images, so that it is not handicapped), 100 examples. What share of the errors do the learned features avoid?
#
# To argue first: printed digits come from the same fonts and are distorted in the same way; only the classes are new.
# Handwritten digits are strokes as well, bright on dark and of the same size; but they come from pens, from an 8 × 8
# grid, and blurred. Textures fill the whole image, have no strokes and no place.
#
# **Your guess first:** what share of the errors is avoided for each of the three? Is there one for which learned features
# are worse than random ones?

# %% experiment=true
extra = [name for name, file in DOWNLOADED.items() if (data_directory() / file).is_file()]
print("and real data:" if extra else "MNIST and CIFAR-10 join in after a call of nnlab.mnist(), nnlab.cifar10()", *extra)
number = seeds(quick=5, full=10)


def learned_and_random(name, seed):
    """Test accuracies of probes on learned and on random features, (2,)."""
    data = target(name, 100, seed)
    blank = transfer.source_net(10, rng=1000 + seed)
    for _ in range(20):  # the running statistics settle
        blank.forward(data.x_train, "train")
    return [probed(top_features(net, data.x_train), data, top_features(net, data.x_test)) for net in (source, blank)]


names = [*TARGETS, *extra]
result = sweep(learned_and_random, names, seeds=number)
avoided = 1 - (1 - result.values[:, :, 0]) / (1 - result.values[:, :, 1])  # (seeds, targets)
fig, axes = plt.subplots(1, 2, figsize=(11, 3.6), width_ratios=(1.5, 1))
for k, (kind, colour) in enumerate((("learned on letters", COLOURS[0]), ("random weights", GREY))):
    accuracies = result.values[:, :, k]
    places = np.arange(len(names)) + 0.36 * (k - 0.5)
    axes[0].bar(places, accuracies.mean(axis=0), 0.34, yerr=standard_error(accuracies), color=colour, capsize=4, label=kind)
axes[0].set_xticks(range(len(names)), names)
axes[0].set(ylim=(0, 1), ylabel="test accuracy", title=f"Probes with 100 examples, {number} seeds")
axes[0].legend(fontsize=9)
axes[1].bar(range(len(names)), avoided.mean(axis=0), 0.5, yerr=standard_error(avoided), color=COLOURS[2], capsize=4)
axes[1].set_xticks(range(len(names)), names, fontsize=9)
axes[1].set(ylim=(0, 1), title="share of errors avoided")
for ax in axes:
    ax.grid(axis="x", visible=False)
plt.show()
for n, name in enumerate(names):
    learned, blank = result.values[:, n].T
    print(f"{name:18s} learned {learned.mean():.3f} ± {standard_error(learned):.3f}, random {blank.mean():.3f} ± "
          f"{standard_error(blank):.3f}, errors avoided {avoided[:, n].mean():.0%} ± {standard_error(avoided[:, n]):.0%}")
three, errors = avoided[:, :3].mean(axis=0), standard_error(avoided[:, :3])
record(
    "09/similarity",
    claim="features are worth less the farther the target is from the source, and still more than random ones",
    source="Yosinski et al. 2014, arXiv:1411.1792",
    measured="share of a random network's errors that learned features avoid: "
    + ", ".join(f"{name} {m:.0%} ± {e:.0%}" for name, m, e in zip(TARGETS, three, errors, strict=True)),
    agrees="yes" if three[0] > three[1] > three[2] > 2 * errors[2] else "partly" if (three > 0).all() else "no",
    seeds=number,
)

# %% [markdown]
# **What was seen.** Printed digits: 89.7% against 33.0%, so that the learned features avoid 85% ± 1% of the errors.
# Handwritten digits: 90.6% against 78.8%, 56% ± 3% of the errors. Textures: 58.2% against 45.2%, 24% ± 2%. **The claim
# holds,** and it puts our three targets into an order: we call printed digits similar, textures different, and
# handwritten digits something in between.
#
# Two things surprised us. Handwritten digits are so easy that *random* features are right on 79%; printed ones, distorted
# and noisy, only on 33%. So accuracy alone says nothing about similarity: handwritten digits have the highest of all. And
# letters help with textures at all: edges of some direction are in both.
#
# *When it would not hold:* the measure depends on the number of examples and on how deep one taps the network; with many
# examples random features catch up. A target can also be farther away than random: features that ignore what it
# depends on (colour, say) are worth nothing there.

# %% [markdown]
# ### B · The two by two
#
# **The claim** (CS231n, lecture 7): with few examples train a linear classifier, on the top features if the target is
# similar and on features of several stages if it is not; with many examples fine-tune, a few layers or many.
#
# Similar: printed digits. Different: textures. Few: 50 examples, five a class. Many: 1000. Five strategies: from scratch; a
# linear probe on the top features; one on the features of three stages; fine-tuning the last convolution, its batch norm
# and the head; fine-tuning everything. Whatever a cell's winner is, one seed's order of places means little: we call the
# advice confirmed if no other strategy is better by more than two standard errors of the difference.
#
# **Your guess first:** write a strategy into each cell, and beside it how many points it is ahead of training from scratch.

# %% experiment=true
WAYS = ("from scratch", "probe, top", "probe, stages", "fine-tune few", "fine-tune all")
ADVICE = dict(zip(transfer.STRATEGIES, (1, 3, 2, 4), strict=True))  # the lecture's words: which of the five


@cache
def accuracy_of(way, name, examples, seed):
    """Test accuracy; what was trained once is not trained again."""
    data = target(name, examples, seed)
    if way.startswith("probe"):
        features = top_features if way.endswith("top") else features_of_stages
        return probed(features(source, data.x_train), data, features(source, data.x_test))
    if way == "from scratch":
        net = fine_tune(transfer.source_net(10, rng=seed), data, EVERYTHING, seed=seed)
    else:
        net = fine_tune(transferred(seed), data, UPPER if way.endswith("few") else EVERYTHING, seed=seed)
    return net.accuracy(data.x_test, data.y_test)


number = seeds(quick=4, full=10)
CELLS = [(name, count) for count in (50, 1000) for name in ("printed digits", "textures")]
result = sweep(lambda cell, seed: [accuracy_of(way, *cell, seed) for way in WAYS], CELLS, seeds=number)  # (seeds, 4, 5)

fig, axes = plt.subplots(2, 2, figsize=(11, 6.6), sharex=True)
verdicts = []
for cell, ax in enumerate(axes.flat):
    name, count = CELLS[cell]
    values = result.values[:, cell]  # (seeds, ways)
    best, advised = int(values.mean(axis=0).argmax()), ADVICE[transfer_strategy_(name == "printed digits", count == 1000)]
    behind = values[:, best] - values[:, advised]
    confirmed = behind.mean() <= 2 * standard_error(behind)
    verdicts.append((name, count, best, advised, behind.mean(), standard_error(behind), confirmed))
    colours = [COLOURS[0] if way == best else GREY for way in range(5)]
    bars = ax.bar(range(5), values.mean(axis=0), 0.7, yerr=standard_error(values), color=colours, capsize=4)
    bars[advised].set(edgecolor=COLOURS[1], linewidth=3)
    for way, mean in enumerate(values.mean(axis=0)):
        ax.text(way, 0.03, f"{mean:.3f}", ha="center", color="white", fontsize=10)
    ax.set(ylim=(0, 1), title=f"{name} ({'similar' if name == 'printed digits' else 'different'}), {count} examples")
    ax.set_xticks(range(5), [way.replace(" ", "\n", 1) for way in WAYS], fontsize=9)
    ax.grid(axis="x", visible=False)
    print(f"{name}, {count}:", *(f"{w} {m:.3f} ± {e:.3f};" for w, m, e in
                                 zip(WAYS, values.mean(axis=0), standard_error(values), strict=True)))
    print(f"    best: {WAYS[best]}; advised: {WAYS[advised]}, behind by {behind.mean():.3f} ± {standard_error(behind):.3f}")
for ax in axes[:, 0]:
    ax.set_ylabel("test accuracy")
fig.suptitle(f"Blue: the best of five. Orange frame: the lecture's advice. {number} seeds", x=0.01, ha="left", fontsize=12)
plt.show()
count_confirmed = sum(verdict[-1] for verdict in verdicts)
gain = 100 * (result.values.mean(axis=0).max(axis=1) - result.values.mean(axis=0)[:, 0])
record(
    "09/two-by-two",
    claim="few examples: a linear classifier, on top features or on several stages; many: fine-tune few or many layers",
    source="CS231n, lecture 7",
    measured="; ".join(
        f"{name}, {n}: best {WAYS[best]}, advised {WAYS[advised]}"
        + ("" if best == advised else f", behind by {100 * by:.1f} ± {100 * e:.1f} points")
        for name, n, best, advised, by, e, _ in verdicts
    ) + f"; the best is ahead of training from scratch by {', '.join(f'{g:.0f}' for g in gain)} points",
    agrees="yes" if count_confirmed == 4 else "partly" if count_confirmed else "no",
    seeds=number,
)  # fmt: skip

# %% [markdown]
# **What was seen.** The advice is confirmed in three cells of four, by our rule.
#
# - *Similar, few:* the advised probe has 85.8% ± 1.1%; fine-tuning, of few or all layers, has 86.8%. The difference, 1.1
#   ± 0.8 points, is too small to call. What matters is that all of them are 40 points ahead of training from scratch
#   (44.8%).
# - *Different, few:* features of several stages win with 57.6%, as advised, 7.6 points ahead of the top features (50.0%),
#   which are no better than training from scratch (51.3%). This is the cell that the lecture calls trouble, and the best is
#   bad.
# - *Different, many:* fine-tuning everything wins with 88.9%, as advised. The top features stop at 76.6%: with a
#   thousand examples they are far behind training from scratch (84.8%).
# - *Similar, many:* **here the lecture is not confirmed.** Fine-tuning a few layers has 96.0%, everything 96.9%: 0.9 ±
#   0.2 points better.
#
# Why? Our guess: the danger that the lecture wants to avoid, over-fitting with too many free weights, hardly exists in a
# network of 14,000 weights with batch norm that starts near a good place and takes 200 steps. In all four cells training
# everything is ahead of training a few layers, or level with it. With the millions of weights of the lecture's networks
# it may well be different, and fewer layers also cost less time: ours took a third.
#
# *When it would not hold:* training from scratch had the same 200 steps as the others. With more it comes closer: that is a
# comparison at equal cost, not of what is possible in the end. Rates were not tuned for each cell.

# %% [markdown]
# ### C · How many examples is a trained network worth?
#
# **The claim** (CS231n, lecture 7): transfer helps most where the target has few examples.
#
# Handwritten digits, which are real and lie between the other two: 20, 50, 200 and 700 examples.
#
# **Your guess first:** with how many examples does training from scratch catch up with fine-tuning? And where does the
# linear probe fall behind both?

# %% experiment=true
number = seeds(quick=3, full=8)
COUNTS = np.array([20, 50, 200, 700])
shown = ("from scratch", "probe, top", "fine-tune all")
result = sweep(
    lambda count, seed: [accuracy_of(way, "handwritten digits", int(count), seed) for way in shown], COUNTS, seeds=number
)
fig, ax = plt.subplots(figsize=(7.5, 4.2))
for k, (way, colour) in enumerate(zip(shown, (GREY, COLOURS[2], COLOURS[0]), strict=True)):
    curves_with_errors(COUNTS * 1.04 ** (k - 1), 1 - result.values[:, :, k], way, ax, style="bars", color=colour)
    pairs = zip(COUNTS, result[:, k].mean, result[:, k].error, strict=True)
    print(f"{way:14s}", *(f"{count}: {mean:.3f} ± {error:.3f} " for count, mean, error in pairs))
ax.set(xscale="log", yscale="log", xlabel="training examples", ylabel="test error")
ax.set_title(f"Handwritten digits, {number} seeds")
ax.set_xticks(COUNTS, COUNTS)
ax.set_yticks([0.02, 0.05, 0.1, 0.2, 0.5], ["2%", "5%", "10%", "20%", "50%"])
ax.minorticks_off()
ax.legend()
plt.show()
gap = 100 * (result.values[:, :, 2] - result.values[:, :, 0])  # (seeds, counts)
mean, error = gap.mean(axis=0), standard_error(gap)
record(
    "09/examples",
    claim="transfer helps most where the target has few examples",
    source="CS231n, lecture 7",
    measured="handwritten digits, fine-tuned less from scratch, points: "
    + ", ".join(f"{m:+.1f} ± {e:.1f} ({count})" for count, m, e in zip(COUNTS, mean, error, strict=True)),
    agrees="yes" if mean[0] - mean[-1] > 2 * standard_error(gap[:, 0] - gap[:, -1]) and mean[0] > 0 else "no",
    seeds=number,
)

# %% [markdown]
# **What was seen.** With 20 examples fine-tuning is at 77.6%, from scratch at 69.0%: 8.6 ± 0.8 points. With 50 it is 2.7
# ± 1.4, with 200 1.4 ± 0.2, with 700 still 1.2 ± 0.2. **The claim holds** in points. In shares of the errors it does not:
# with 20 examples the trained network avoids 28% of them, with 700 almost half (1.3% of the images are wrong, against
# 2.5%). On the logarithmic axes the two lines do not meet.
#
# The probe shows the limit of features that cannot move: level with fine-tuning for 20 examples (75.5% ± 2.7%), level
# with learning from scratch for 50, and behind both from 200 on. Read the blue line from left to right: 50 examples with
# a trained network are worth about 65 without.
#
# *When it would not hold:* with far more data and steps. He et al. (2018, arXiv:1811.08883) trained detectors from
# scratch on 118,000 images as well as from ImageNet, given enough time, and on a tenth of them; with 1000 images they
# could not.

# %% [markdown]
# ### D · Rates that destroy what was learned
#
# **The claim** (CS231n, lecture 7): fine-tune with a smaller learning rate than the one that trained the network, or what it
# has learned is lost.
#
# Printed digits, 50 examples, all layers trained for 60 steps at rates from 0.1 to 10; once with one rate for all layers,
# once with a third of it from layer to layer. (The source was trained at up to 0.1 with momentum 0.9, in plain descent
# about 1.) Beside the accuracy on digits we look at what is left of the letters: the *old* head on top of the new
# features, as a reader of the letters would use it.
#
# **Your guess first:** does the accuracy on digits fall as soon as the letters are forgotten? Which of the two sorts of
# rates can be larger?

# %% experiment=true
number = seeds(quick=3, full=8)
rates_tried = np.array([0.1, 0.3, 1.0, 3.0, 10.0])
DECAYS = {1.0: "one rate for all", 1 / 3: "a third from layer to layer"}


def old_head_on(net):
    """The source's head on this network's features, as a network."""
    old = transfer.source_net(len(transfer.LETTERS), rng=0)
    head = {name: value for name, value in source.params.items() if name.startswith("12.")}
    transfer.load_state(old, {**transfer.state(net), **head})
    return old


def after_fine_tuning(rate, seed):
    """(decays, 3): accuracy on digits, on letters with the old head, and how far the first filters moved, relatively."""
    data, found = target("printed digits", 50, seed), []
    for decay in DECAYS:
        net = fine_tune(transferred(seed), data, EVERYTHING, rate=rate, decay=decay, steps=60, seed=seed)
        moved = np.linalg.norm(net.params["0.W"] - source.params["0.W"]) / np.linalg.norm(source.params["0.W"])
        with np.errstate(all="ignore"):
            found.append([net.accuracy(data.x_test, data.y_test),
                          old_head_on(net).accuracy(letters.x_test, letters.y_test), min(moved, 1e6)])
    return found


result = sweep(after_fine_tuning, rates_tried, seeds=number)  # (seeds, rates, decays, 3)
probe = repeat(lambda seed: accuracy_of("probe, top", "printed digits", 50, seed), seeds=number)
fig, axes = plt.subplots(1, 2, figsize=(11, 4))
for ax, what, title in zip(axes, (0, 1), ("printed digits, the new head", "letters, the old head"), strict=True):
    for k, (name, colour) in enumerate(zip(DECAYS.values(), COLOURS, strict=False)):
        curves_with_errors(rates_tried, result.values[:, :, k, what], name, ax, style="bars", color=colour)
        numbers = zip(rates_tried, result[:, k, what].mean, result[:, k, what].error, strict=True)
        print(f"{title}, {name}:", *(f"{r:g}: {m:.3f} ± {e:.3f} " for r, m, e in numbers))
    ax.set(xscale="log", ylim=(0, 1), xlabel="learning rate of the head", ylabel="test accuracy", title=title)
    ax.set_xticks(rates_tried, [f"{r:g}" for r in rates_tried])
    ax.minorticks_off()
axes[0].axhline(float(probe.mean), color=COLOURS[2], ls="--", lw=1.5, label="linear probe: nothing moved")
axes[1].axhline(source.accuracy(letters.x_test, letters.y_test), color="black", ls=":", lw=1.5, label="before")
for ax in axes:
    ax.legend(fontsize=9, loc="lower left")
plt.show()
for k, name in enumerate(DECAYS.values()):
    way = result[:, k, 2].mean
    print(f"first filters moved, {name}:", *(f"{r:g}: {m:.2f} " for r, m in zip(rates_tried, way, strict=True)))
one = result.values[:, :, 0, 0]  # (seeds, rates): one rate for all, digits
best = int(one.mean(axis=0).argmax())
lost = one[:, best] - one[:, -1]
record(
    "09/rates",
    claim="fine-tune with a small learning rate, or the learned features are lost",
    source="CS231n, lecture 7",
    measured="one rate for all layers: digits "
    + ", ".join(f"{m:.1%} ± {e:.1%} (rate {r:g})" for r, m, e in
                zip(rates_tried, one.mean(axis=0), standard_error(one), strict=True))
    + f"; a probe that moves nothing {float(probe.mean):.1%}; letters left with the old head "
    + ", ".join(f"{m:.0%}" for m in result[:, 0, 1].mean),
    agrees="yes" if best < len(rates_tried) - 1 and lost.mean() > 2 * standard_error(lost) and one[:, -1].mean() < probe.mean
    else "no",
    seeds=number,
)  # fmt: skip

# %% [markdown]
# **What was seen.** Between 0.1 and 1 the accuracy on digits hardly depends on the rate: 85.6%, 87.3%, 83.7%, and the
# probe that moves nothing has 85.9%. At 3 it breaks down to 45.7%, which is what training from scratch reached in B; at
# 10 it is 11%, guessing. **The claim holds:** too large a rate is worse than not moving at all.
#
# The letters tell why. With the old head put back, 89% of them are still right at 0.1 and 83% at 1; 13% at 3. So moderate
# fine-tuning keeps most of what was known, and where digits break down, the letters are gone. A third of the rate from
# layer to layer moves the limit: at 3 it still has 81.9% on digits and 81% on letters. The lowest filters have not moved
# there at all (0.00, against 0.62 with one rate for all).
#
# That even 0.1 costs the letters ten points (99% before) has little to do with weights: at a rate of 0, where nothing but
# batch norm's running statistics moves, we found 89% as well. They belong to digits now.
#
# *When it would not hold:* with a target that is very different there may be little worth saving, and with many examples the
# network recovers.

# %% [markdown]
# **The first filters, before and after.** The twelve $5 \times 5$ filters of layer 0: as learned on letters; after 200
# steps on 1000 textures at the rate of experiment B; after 60 steps on 50 printed digits at a rate that is too large; and
# those of a network trained from scratch on the textures. Blue is positive, red negative; each filter has its own scale.

# %% experiment=true
coarse = fine_tune(transferred(0), target("printed digits", 50, 0), EVERYTHING, rate=10.0, steps=60)
tuned = fine_tune(transferred(0), target("textures", 1000, 0), EVERYTHING)
scratch = fine_tune(transfer.source_net(10, rng=0), target("textures", 1000, 0), EVERYTHING)
rows = {"learned on letters": source, "then 1000 textures, rate 0.5": tuned,
        "then 50 digits, rate 10": coarse, "textures from scratch": scratch}  # fmt: skip
fig, axes = plt.subplots(len(rows), 12, figsize=(11, 4.5), layout="none")
fig.subplots_adjust(left=0.01, right=0.99, top=0.94, bottom=0.01, wspace=0.1, hspace=0.3)
old = source.params["0.W"]
for row, (name, net) in zip(axes, rows.items(), strict=True):
    filters = net.params["0.W"]  # (5, 5, 1, 12)
    for k, ax in enumerate(row):
        limit = np.abs(filters[:, :, 0, k]).max()
        ax.imshow(filters[:, :, 0, k], cmap="RdBu", vmin=-limit, vmax=limit)
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
    row[0].set_title(name, fontsize=10)
    likeness = [np.corrcoef(old[..., k].ravel(), filters[..., k].ravel())[0, 1] for k in range(12)]
    print(f"{name}: median correlation with the filter learned on letters {np.median(likeness):+.2f}")
plt.show()

# %% [markdown]
# A thousand textures have left the filters where they were (median correlation 0.97): a network for textures, right on 89%,
# built on filters for letters. Trained from scratch, other filters do the same task. At rate 10 fifty digits have wiped
# them out, 0.37, and put nothing useful in their place.

# %% [markdown]
# ### E · Batch norm's statistics: frozen or updated?
#
# **The claim** (He et al. 2016, arXiv:1512.03385, appendix A, and common practice since): when batches are small, keep batch
# norm's statistics fixed while fine-tuning.
#
# A batch norm layer has two ways to follow a new target: its statistics, and gamma and beta. We fine-tune all layers on
# handwritten digits (200 examples, 100 steps, rate 0.1) with batches of 2, 5 and 20; with statistics of each batch, and
# their running average at test time; or with the source's statistics throughout. And one more comparison, without
# training: linear probes on frozen features, with the statistics of the source, or with those of the target's 200 images.
#
# **Your guess first:** at which batch size do frozen statistics win, if at any? And do the target's statistics help
# a probe that trains nothing else?

# %% experiment=true
number = seeds(quick=3, full=8)
SIZES = np.array([2, 5, 20])


def both_modes(size, seed):
    """Test accuracies with updated and with frozen statistics, (2,)."""
    data, found = target("handwritten digits", 200, seed), []
    for statistics in ("train", "test"):
        net = fine_tune(transferred(seed), data, EVERYTHING, rate=0.1, steps=100, batch_size=int(size), seed=seed,
                        statistics=statistics)  # fmt: skip
        found.append(net.accuracy(data.x_test, data.y_test))
    return found


def probe_with(name, seed):
    """Test accuracies of probes with the source's statistics and with the target's, (2,)."""
    data, net = target(name, 200, seed), transferred(seed)
    for layer in net.layers:
        if isinstance(layer, Norm):
            layer.param["momentum"] = 0.0  # the statistics of this one batch of 200
    net.forward(data.x_train, "train")
    return [probed(top_features(each, data.x_train), data, top_features(each, data.x_test)) for each in (source, net)]


result = sweep(both_modes, SIZES, seeds=number)
still = sweep(probe_with, TARGETS, seeds=number)
fig, axes = plt.subplots(1, 2, figsize=(11, 3.8))
for k, (name, colour) in enumerate((("updated", COLOURS[1]), ("frozen", COLOURS[0]))):
    curves_with_errors(SIZES, result.values[:, :, k], f"{name} statistics", axes[0], style="bars", color=colour)
    numbers = zip(SIZES, result[:, k].mean, result[:, k].error, strict=True)
    print(f"{name} statistics:", *(f"batches of {n}: {m:.3f} ± {e:.3f} " for n, m, e in numbers))
axes[0].set(xscale="log", xlabel="batch size", ylabel="test accuracy", title=f"all layers fine-tuned, {number} seeds")
axes[0].set_xticks(SIZES, SIZES)
axes[0].minorticks_off()
axes[0].legend()
for k, (name, colour) in enumerate((("the source's statistics", COLOURS[0]), ("the target's statistics", COLOURS[1]))):
    values = still.values[:, :, k]
    axes[1].bar(np.arange(3) + 0.36 * (k - 0.5), values.mean(axis=0), 0.34, yerr=standard_error(values), color=colour,
                capsize=4, label=name)  # fmt: skip
    print(f"probe, {name}:", *(f"{t} {m:.3f} ± {e:.3f};" for t, m, e in
                               zip(TARGETS, values.mean(axis=0), standard_error(values), strict=True)))
axes[1].set_xticks(range(3), TARGETS)
axes[1].set(ylim=(0, 1.2), title="linear probe, 200 examples")
axes[1].legend(fontsize=9, loc="upper right")
axes[1].grid(axis="x", visible=False)
plt.show()
ahead = 100 * (result.values[:, :, 1] - result.values[:, :, 0])  # frozen less updated
mean, error = ahead.mean(axis=0), standard_error(ahead)
record(
    "09/batch-norm",
    claim="with small batches, keep batch norm's statistics fixed while fine-tuning",
    source="He et al. 2016, arXiv:1512.03385, appendix A",
    measured="frozen less updated, points: "
    + ", ".join(f"{m:+.1f} ± {e:.1f} (batches of {n})" for n, m, e in zip(SIZES, mean, error, strict=True)),
    agrees="yes" if mean[0] > 2 * error[0] and mean[0] > mean[-1] else "partly" if mean[0] > 0 else "no",
    seeds=number,
)

# %% [markdown]
# **What was seen. The claim is not confirmed here.** Updated statistics are better at every batch size: 84.1% against
# 77.8% with batches of 2, 93.0% against 86.9% with 5 (± 4.5 points), 93.9% against 93.3% with 20. Small batches do harm,
# as expected, but they harm the network with frozen statistics more.
#
# Our guess at the reason: a batch of 2 is not so small for a convolution. Its statistics run over pixels as well, 2 · 144
# numbers in the first batch norm and 2 · 9 in the last. They are noisy but fit the weights at hand. Frozen ones were
# measured on letters, with weights that by now have moved; so the layer no longer normalises anything, and noisy steps
# are not caught. He et al. fixed theirs mainly to save memory, with large images and small rates. The gap nearly closes
# where steps are less noisy, which fits.
#
# For a probe, which trains nothing else, the statistics of the source are slightly better than those of the target's
# images: 92.3% and 92.1% on printed digits, 93.8% and 93.1% on handwritten ones, 67.0% and 64.9% on textures. The
# differences in mean and spread between letters and textures seem to carry some information that normalising removes.
#
# *When it would not hold:* without pixels to average over (fully connected layers), with batches of one, or with batches
# whose images resemble each other (crops of one photo, frames of one video).

# %% [markdown]
# ## Questions
#
# Answer in a few sentences each, in your own words.

# %% [markdown] question="fill-in-the-table" points=4
# **Q1.** Fill in the lecture's table *before* you run experiment B: what to train for a similar and for a different
# target, with few and with many examples, and one reason for each cell. Then run it: in which cells did your measurement
# disagree, by how much, and what could be the reason? What would you run to find out?
#
# ### BEGIN SOLUTION
# **A good answer:** Similar and few: a linear classifier on the top features; they fit, and only its weights must be paid
# for. Similar and many: fine-tune a few layers; there are examples for more weights, and the lower layers fit already.
# Different and few: a linear classifier on features of several stages; the top ones are too special, and there are no
# examples to change them. Different and many: fine-tune many layers; the examples pay for it, and still the start helps.
# Measured (quick run): agreement in three cells; similar and many favours fine-tuning everything, by 0.9 ± 0.2 points; in
# similar and few the advised probe is not the best, but by no more than chance allows (1.1 ± 0.8). Possible reasons: a
# small network over-fits little when all of it is trained, so the caution costs without gain; batch norm adapts as well.
# To find out: the same cell with a much larger network, with more steps, or the training accuracies of both; or with
# other rates.
#
# **Marking scheme:** 1 point for the four entries; 1 point for reasons that name both the number of weights and how
# special the features are; 1 point for a disagreement (or its absence) with numbers and their errors; 1 point for a
# hypothesis with an experiment that could refute it.
# ### END SOLUTION

# %% [markdown] question="frozen-is-frozen" points=3
# **Q2.** Somebody freezes all convolutions of a network by not handing their $W$ and $b$ to the optimizer, trains a new head
# with the whole network in training mode, and finds that the features of one and the same image change from epoch to epoch.
# Which two things may have moved? And what can you save yourself once the features are really fixed?
#
# ### BEGIN SOLUTION
# **A good answer:** Batch norm's gamma and beta, if they were not frozen with the convolutions (they are parameters); and
# its running statistics, which are no parameters and move with every forward pass in training mode. Moreover, in training
# mode an image is normalised with the statistics of its batch, so its features depend on its neighbours there. All is
# still when the frozen part runs in test mode and gamma and beta stay. Then the features can be computed once and stored:
# every epoch after that trains a linear classifier on a matrix $(N, D)$, with no forward pass through the convolutions.
#
# **Marking scheme:** 1 point for gamma and beta; 1 point for the running (or the batch's) statistics and test mode as the
# mend; 1 point for computing the features once.
# ### END SOLUTION

# %% [markdown] question="which-layers-transfer" points=3
# **Q3.** For 50 textures a classifier on features of several stages beat the one on the top features, for 50 printed
# digits it did not. Explain both. Why, then, are lower rates given to lower layers rather than to upper ones?
#
# ### BEGIN SOLUTION
# **A good answer:** The lowest layers respond to edges and spots, which textures have as well; the top ones to
# combinations that tell letters apart, in which the difference between stripes and checks may be lost. What the top has
# dropped no linear classifier brings back, but the lower stages still have it. For printed digits the top features fit as
# they are, and the 36 more features of the lower stages are only more weights for 50 examples to pay for (84.0% against
# 85.8%). Lower layers get lower rates because they are general: they fit most targets already, have little to gain, and
# everything above depends on them.
#
# **Marking scheme:** 1 point for general features below and special ones on top; 1 point for the price of more features
# with few examples, or for information that the top has lost; 1 point for the reason of layerwise rates.
# ### END SOLUTION

# %% [markdown]
# ## Remember
#
# 1. Keep the lower layers of a trained network, give it a new head, train as much as your examples can pay for.
# 2. "Similar" can be measured: compare a probe on learned features with one on random features.
# 3. Few examples of something different: look at several stages, not at the top alone. Many examples: train everything, and
#    start from the trained network nevertheless.
# 4. A rate that is too large throws away what you came for. Smaller rates further down are an insurance.
# 5. Frozen means to the last bit: gamma, beta and the running statistics too. And whether to freeze is a question for the
#    experiment: here, moving more was mostly better.
#
# **Where to read on.** J. Yosinski et al., *How transferable are features in deep neural networks?*, 2014
# (arXiv:1411.1792): layer by layer. J. Donahue et al., *DeCAF*, 2014 (arXiv:1310.1531), and A. Razavian et al., *CNN
# Features off-the-shelf*, 2014 (arXiv:1403.6382): how far a linear classifier gets. G. Alain and Y. Bengio,
# *Understanding intermediate layers using linear classifier probes*, 2016 (arXiv:1610.01644). J. Howard and S. Ruder,
# *Universal Language Model Fine-tuning*, 2018 (arXiv:1801.06146): rates that fall from layer to layer. S. Kornblith et
# al., *Do Better ImageNet Models Transfer Better?*, 2019 (arXiv:1805.08974). K. He et al., *Rethinking ImageNet
# Pre-training*, 2018 (arXiv:1811.08883): when it is not needed. A. Kumar et al., *Fine-Tuning can Distort Pretrained
# Features*, 2022 (arXiv:2202.10054): first the probe, then the rest.
