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
# # 06 · Model ensembles
#
# **After this notebook you can average networks in two ways, by their predictions and by their weights, say what each
# costs, and know from your own measurements when it brings nothing.**
#
# *About 90 minutes. You need: notebook 01 for the last exercise and experiment E, the cosine schedule of notebook 04.*

# %% setup=true
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np

from autograder import check, hint, yours
from nnlab import Data, Norm, digits, ensembles, mlp, norms, repeat, softmax_loss, sweep, train
from nnlab.experiments import record, seeds
from nnlab.palette import COLOURS, GREY
from nnlab.plots import curves_with_errors, use_style

use_style()

# %% [markdown]
# ## The idea
#
# Train the same network twice, from two random starts. Both are right on 94% of the test images, but not on the same ones.
# The data say clearly what to do with most images; on the others each network has its own opinion, which depends on where
# it began. **If opinions differ by chance, their average is better than a single one.** That is an ensemble: train several
# models, average what they predict.
#
# The picture shows it in the plane. Thirty noisy points of two classes, five networks with two hidden layers of 50 units,
# each from its own random weights. On the left, where each of them draws the line between the classes; on the right, the
# average of the five.

# %% experiment=true
def probabilities(net, x):
    """Softmax of the network's scores at test time, (N, K), in float64."""
    scores = net.forward(x.astype(net.dtype), "test").astype(np.float64)
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def two_arcs(count, rng):
    """Points (N, 2) on two half circles that reach into each other, with noise, and their classes (N,)."""
    y = np.arange(count) % 2
    angle = np.pi * rng.random(count) + np.pi * y
    x = np.stack([np.cos(angle) + y - 0.5, np.sin(angle) + 0.5 * y - 0.25], axis=1)
    return (x + 0.2 * rng.standard_normal(x.shape)).astype(np.float32), y


rng = np.random.default_rng(0)
plane = Data(*two_arcs(30, rng), *two_arcs(100, rng), *two_arcs(2000, rng), name="two arcs")
side = np.linspace(-2.4, 2.4, 121)
grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)  # (121 · 121, 2)
on_grid, on_test = [], []
for seed in range(5):
    net = mlp([2, 50, 50, 2], rng=seed)
    train(net, plane, steps=400, batch_size=20, learning_rate=0.05, rng=seed, eval_every=0)
    on_grid.append(probabilities(net, grid)[:, 1].reshape(121, 121))
    on_test.append(probabilities(net, plane.x_test))

fig, axes = plt.subplots(1, 2, figsize=(10, 4.2), sharex=True, sharey=True)
for member, colour in zip(on_grid, COLOURS, strict=False):
    axes[0].contour(side, side, member, [0.5], colors=colour, linewidths=1.8)
shades = axes[1].contourf(side, side, sum(on_grid) / 5, np.linspace(0, 1, 11), cmap="RdBu", alpha=0.8)
axes[1].contour(side, side, sum(on_grid) / 5, [0.5], colors="black", linewidths=1.8)
for ax in axes:
    for label, mark, colour in ((0, "o", COLOURS[1]), (1, "s", COLOURS[0])):
        which = plane.y_train == label
        ax.plot(*plane.x_train[which].T, mark, color=colour, ms=5, mec="white", mew=0.6)
    ax.grid(False)
axes[0].set_title("five networks")
axes[1].set_title("the average of their probabilities")
fig.colorbar(shades, ax=axes[1], label="probability of the blue class")
plt.show()
truth = np.eye(2)[plane.y_test]
for name, found in (("one network, mean of five", on_test), ("the average of the five", [sum(on_test) / 5])):
    right = np.mean([np.mean(p.argmax(axis=1) == plane.y_test) for p in found])
    error = np.mean([((p - truth) ** 2).sum(axis=1).mean() for p in found])
    print(f"2000 new points, {name}: {right:.1%} right, squared error {error:.4f}")

# %% [markdown]
# The five lines run together where there are points, and apart where there are none. The average is sure where all agree
# and shows a pale colour where they do not. In the plane this matters little, because few new points fall where the
# networks differ: the squared error shrinks by 5%, the share of right answers hardly moves. An image of 64 pixels is a
# point in 64 dimensions. There is far more room there in which to differ.
#
# **Why is this no accident?** Let $p_m$ be the probabilities that member $m$ of $M$ gives for one image, a vector of $K$
# numbers, $\bar p$ their mean, and $e$ the truth: 1 for the right class, 0 elsewhere. Then, whatever the numbers are,
#
# $$
# \underbrace{\lVert \bar p - e \rVert^2}_{\text{error of the average}}
# = \underbrace{\frac1M \sum_m \lVert p_m - e \rVert^2}_{\text{average of the errors}}
# - \underbrace{\frac1M \sum_m \lVert p_m - \bar p \rVert^2}_{\text{how much the members differ}}
# $$
#
# (Krogh & Vedelsby 1995. Write $p_m - e = (p_m - \bar p) + (\bar p - e)$ and square: the mixed terms add up to zero.) In
# squared error the ensemble is never worse than its members are on average, and it is better by exactly their disagreement.
# For accuracy there is no such law, only the experience.
#
# **The price** is $M$ trainings and $M$ forward passes. So people looked for cheaper ways, and you build two of them:
#
# | | trainings | forward passes at test time | what is averaged |
# | --- | --- | --- | --- |
# | independent models | $M$ | $M$ | predictions |
# | snapshots of one run | 1 | $M$ | predictions |
# | average of the weights of one run | 1 | 1 | weights |

# %% [markdown]
# ## Convention card
#
# | | this course | PyTorch | papers |
# | --- | --- | --- | --- |
# | what is averaged | the probabilities | yours to choose | also: the scores, or votes |
# | `polyak_average`: `t` | sets averaged already | `AveragedModel.n_averaged`: the same | the mean of all iterates [1] |
# | `decay` | weight of the OLD average | `get_ema_multi_avg_fn(decay)`: the same | the same |
# | moving average's start | zeros, corrected if `t` is given | a copy of the first weights | zeros, corrected [2] |
# | snapshot cycle | `T // cycles`, $t$ from 0 | `CosineAnnealingWarmRestarts`, $t$ from 0 | `ceil(T / cycles)`, $t$ from 1 [3] |
# | new batch norm statistics | examples alike, biased variance | `update_bn`: batches alike, unbiased | one more pass [4] |
#
# [1] Polyak & Juditsky 1992. [2] Kingma & Ba 2015 (arXiv:1412.6980), section 3, for Adam. [3] Huang et al. 2017
# (arXiv:1704.00109). [4] Izmailov et al. 2018 (arXiv:1803.05407).

# %% [markdown]
# ## 1 · Averaging predictions
#
# **It computes** what the ensemble predicts, from what its members predict. Each member gives probabilities `(N, K)`: for
# $N$ images one row of $K$ numbers that sum to 1.
#
# $$ \bar p_{ik} = \frac1M \sum_{m=1}^M p^{(m)}_{ik} $$

# %% exercise="average_probabilities"
def average_probabilities(prob_list):
    """What an ensemble predicts: the mean of its members' probabilities.

    Inputs:
    - prob_list: list of M arrays (N, K), the probabilities of each member

    Returns an array (N, K). The arrays in prob_list are left as they were.
    """
    ### BEGIN SOLUTION
    return sum(prob_list) / len(prob_list)
    ### END SOLUTION


# %% check="average_probabilities" points=3

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* Three members, four images, five classes. How many numbers come in, how many go out?
# 2. *A pointer.* Arrays of one shape can be added, or laid on top of each other with `np.stack`. To what must a row of the
#    result sum? (A running total with `+=` that begins as the first array changes that array.)
# 3. *An outline.* Add up the members entry by entry, into something new; divide by how many there are.
#
# </details>

# %% [markdown]
# ## 2 · How often is the ensemble right?
#
# **It computes** one number: the share of images for which the *averaged* probability is largest for the right class.
#
# $$ \text{accuracy} = \frac1N \sum_{i=1}^N \big[\, \operatorname{argmax}_k \bar p_{ik} = y_i \,\big] $$
#
# `y` has shape $(N,)$ and holds classes from $0$ to $K-1$. The bracket is 1 where the statement is true and 0 where it is
# not. The order matters: average first, then decide. Counting the members' decisions would be a vote, in which one that is
# sure counts no more than one that is nearly undecided.

# %% exercise="ensemble_accuracy"
def ensemble_accuracy(prob_list, y):
    """How often the ensemble is right.

    Inputs:
    - prob_list: list of M arrays (N, K), the probabilities of each member
    - y: array (N,) of the right classes

    Returns a float between 0 and 1.
    """
    ### BEGIN SOLUTION
    decisions = np.argmax(average_probabilities(prob_list), axis=1)
    return float(np.mean(decisions == y))
    ### END SOLUTION


# %% check="ensemble_accuracy" points=4

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* Two members say 55% cat, the third says 95% dog. What does the average say, and what would a vote say?
# 2. *A pointer.* You have a function for the average. `np.argmax` along the right axis turns (N, K) into (N,).
# 3. *An outline.* Average; decide for each row; compare with `y`; the mean of the comparison.
#
# </details>

# %% [markdown]
# ## 3 · Averaging weights: all of them
#
# SGD never comes to rest: every mini-batch pushes the weights another way, and at a constant learning rate they keep
# circling around a good place without arriving. The mean of the places they visit is closer to the middle (Polyak &
# Juditsky 1992, who proved it for convex problems). To take the mean we need not keep thousands of weight vectors.
#
# **It computes** the mean of $t+1$ parameter sets from the mean $a_t$ of the first $t$ and the newest set $w$:
#
# $$ a_{t+1} = a_t + \frac{1}{t+1}\,(w - a_t) $$
#
# A parameter set is a dict, name to array: `{"0.W": ..., "0.b": ..., ...}`; the formula holds for each array in it. For
# $t = 0$ there is nothing in the average yet, and the result is $w$ whatever `average` holds.

# %% exercise="polyak_average"
def polyak_average(average, params, t):
    """The mean of all parameter sets so far, one at a time.

    Inputs:
    - average: dict, name to array: the mean of the first t sets
    - params: dict with the same names and shapes: the newest set
    - t: how many sets are in the average already (0, 1, 2, ...)

    Returns a new dict of new arrays: the mean of t + 1 sets. Both inputs are left as they were.
    """
    ### BEGIN SOLUTION
    share = 1 / (t + 1)
    return {name: average[name] + share * (params[name] - average[name]) for name in params}
    ### END SOLUTION


# %% check="polyak_average" points=4

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* The mean of three numbers is 5, and a fourth number is 9. What is the mean of all four?
# 2. *A pointer.* The newest set counts as much as each of the others, so its weight is one over their number, itself
#    included. Is that $t$ or $t + 1$?
# 3. *An outline.* Make a new dict. For each name: the old mean, moved towards the newest array by that share of the way.
#
# </details>

# %% [markdown]
# ## 4 · Averaging weights: the recent ones
#
# The plain mean never forgets, not even the first steps, when the network knew nothing. One way out is to begin late. The
# other is to let the past fade: keep a share `decay` of the old average at each step.
#
# $$ a \leftarrow \texttt{decay} \cdot a + (1 - \texttt{decay}) \cdot w $$
#
# With `decay` 0.99 this looks back over about $1 / (1 - 0.99) = 100$ steps. You know it from batch norm's running
# statistics and from Adam, and with it the trouble at the start: an average that began at zero is too small at first. After
# $t$ sets their weights sum only to $1 - \texttt{decay}^t$. Dividing by that sum makes it a true mean.
#
# **It computes** one step of this average. If `t` is `None`, the formula above. If `t` is a number, it is how many sets are
# in the average already; `average` is then the *corrected* average of those $t$ sets, and the result is the corrected
# average of $t+1$. If $b_t$ is what the formula above gives after $t$ sets from a start at zero:
#
# $$ a_t = \frac{b_t}{1 - \texttt{decay}^t} \qquad b_{t+1} = \texttt{decay} \cdot b_t + (1 - \texttt{decay}) \cdot w \qquad
# a_{t+1} = \frac{b_{t+1}}{1 - \texttt{decay}^{t+1}} $$
#
# You are given $a_t$ and return $a_{t+1}$. For $t = 0$ that is $w$, whatever $a_0$ is.

# %% exercise="exponential_moving_average"
def exponential_moving_average(average, params, decay, t=None):
    """An average of parameter sets that forgets slowly; with t a true mean from the first step on.

    Inputs:
    - average: dict, name to array: the average so far (the corrected one where t is given)
    - params: dict with the same names and shapes: the newest set
    - decay: weight of the old average, between 0 and 1
    - t: None for no correction, or how many sets are in the average already (0, 1, 2, ...)

    Returns a new dict of new arrays. Both inputs are left as they were.
    """
    ### BEGIN SOLUTION
    old, new = decay, 1 - decay
    if t is not None:
        total = 1 - decay ** (t + 1)
        old, new = decay * (1 - decay**t) / total, (1 - decay) / total
    return {name: old * average[name] + new * params[name] for name in params}
    ### END SOLUTION


# %% check="exponential_moving_average" points=5

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* After the very first set, what should a true mean be? Does yours give that for any `average`?
# 2. *A pointer.* You are handed $a_t$, but the plain formula wants $b_t$. What must $a_t$ be multiplied with?
# 3. *An outline.* Without `t`: one line per name. With `t`: undo the old correction, do the plain step, correct with the
#    new sum. All of it is a weight for the old average and a weight for the new set, and the two sum to 1.
#
# </details>

# %% [markdown]
# **Look at it.** A network (64 inputs, 100 hidden units, 10 classes) learns from 1100 digits, one label in ten of them
# wrong, at a high constant rate: 300 steps with batches of 10. From step 150 on we average the weights. Three weight
# vectors span a plane: that of step 150, the last one, and the average. On the left is the loss on the *test* images at
# every point of this plane. The line is the path of the weights from step 150 to 300. It does not lie in the plane, so we
# see its shadow, and along the line the true loss is not the one that the colour says; at the three marked points it is.
#
# On the right: straight lines in the space of weights. How does the loss change on the way between two weight vectors of
# one run, and between the ends of two independent runs?

# %% experiment=true
(polyak_average_,) = yours(["polyak_average"], [ensembles.polyak_average])


def task(seed, examples=300, wrong=0.0):
    """Digits made hard: few training examples and a share of them with a wrong label. All that is left is for testing.

    The seed draws the split, the wrong labels and nothing else. Validation and test labels are always right."""
    data = digits(validation=100, test=1697 - examples, seed=seed).flat
    rng = np.random.default_rng(seed)
    labels = data.y_train.copy()
    spoiled = rng.random(examples) < wrong
    labels[spoiled] = (labels[spoiled] + rng.integers(1, 10, spoiled.sum())) % 10
    return replace(data, y_train=labels)


def test_loss(net, data):
    """Mean cross-entropy on the test images."""
    return softmax_loss(net.forward(data.x_test, "test"), data.y_test)[0]


data = task(0, 1100, wrong=0.1)
print(data)
path, average = [], None


def keep(t, net):
    """After step 150: the weights themselves, and their average."""
    global average
    if t >= 149:
        average = polyak_average_(average or net.params, net.params, t - 149)
        path.append(net.weights.copy())


runs = [mlp([64, 100, 10], rng=seed) for seed in (0, 1)]
train(runs[0], data, steps=300, batch_size=10, learning_rate=0.03, rng=0, eval_every=0, on_step=keep)
train(runs[1], data, steps=300, batch_size=10, learning_rate=0.03, rng=1, eval_every=0)
averaged = runs[0].copy()
averaged.load(average)
path = np.array(path, dtype=np.float64)  # (151, parameters)
early, last, middle = path[0], path[-1], averaged.weights.astype(np.float64)

# Two directions at a right angle: from the early weights to the last, and from that line to the average.
along = (last - early) / np.linalg.norm(last - early)
across = (middle - early) - ((middle - early) @ along) * along
across /= np.linalg.norm(across)
probe = runs[0].copy()


def loss_at(weights):
    probe.weights[...] = weights
    return test_loss(probe, data)


length, height = (last - early) @ along, (middle - early) @ across
horizontal = np.linspace(-0.5 * length, 1.5 * length, 31)
vertical = np.linspace(-1.2 * height, 2.2 * height, 31)
losses = np.array([[loss_at(early + a * along + b * across) for a in horizontal] for b in vertical])

fig, axes = plt.subplots(1, 2, figsize=(12, 4.4), width_ratios=(1.25, 1))
levels = np.linspace(losses.min(), np.quantile(losses, 0.9), 15)
shades = axes[0].contourf(horizontal, vertical, losses, levels, extend="max", cmap="viridis_r")
axes[0].plot((path - early) @ along, (path - early) @ across, color="white", lw=0.9)
for point, name, mark, place in (
    (early, "step 150", "o", (-8, -16)), (last, "last", "s", (6, -16)), (middle, "average", "*", (8, 6)),
):
    at = (point - early) @ along, (point - early) @ across
    axes[0].plot(*at, mark, color=COLOURS[1], ms=13 if mark == "*" else 8, mec="white")
    axes[0].annotate(name, at, place, textcoords="offset points", color="black", fontsize=11, weight="bold")
    print(f"{name}: test loss {loss_at(point):.3f}, accuracy {np.mean(probe.predict(data.x_test) == data.y_test):.3f}")
print(f"lowest test loss of any of the steps from 150 to 300: {min(map(loss_at, path)):.3f}")
fig.colorbar(shades, ax=axes[0], label="test loss", format="%.2f")
axes[0].set(title="the plane through three weight vectors", xlabel="from step 150 to the last", ylabel="towards the average")
axes[0].grid(False)

way = np.linspace(0, 1, 41)
for other, name, colour in (
    (early, "one run: step 300 to step 150", COLOURS[0]), (runs[1].weights, "two independent runs", COLOURS[1]),
):
    between = [loss_at(last + w * (other.astype(np.float64) - last)) for w in way]
    axes[1].plot(way, between, color=colour, label=name)
    print(f"{name}: test loss {between[0]:.2f} and {between[-1]:.2f} at the ends, {between[20]:.2f} half way")
axes[1].set(xlabel="share of the way", ylabel="test loss", title="straight lines between weights", ylim=(0, None))
axes[1].legend()
plt.show()

# %% [markdown]
# The shadow of the path swings once around the low ground (light), and the average lies inside: its test loss is 0.224 and it
# is right on 96.5% of the images, where the last weights have 0.265 and 94.0%. One of the steps on the way comes close,
# with 0.227, but to know which one, we had to look at the test images after every step. (This is one run; experiment D asks
# how often it is so.)
#
# The right-hand picture says when weights can be averaged at all. Between two points of one run the loss sags a little:
# they lie in one valley. Half way between two independent runs it is 1.18, four times as high, although both ends are
# good. Their hidden units do different things under the same number, and half of the one plus half of the other is
# neither. **Predictions of any networks can be averaged; weights only of networks that share most of their history.**

# %% [markdown]
# ## 5 · Snapshots: when to keep them
#
# Huang et al. (2017) get several different networks from one training. The learning rate falls almost to zero, the network
# settles, a copy is kept; then the rate jumps up again and kicks the network out of where it sat. $T$ steps in all are cut
# into `cycles` cycles of equal length.
#
# **It computes** the steps at which a copy is kept: the last one of each cycle. Steps count from 0, a cycle has $L =
# \lfloor T / \texttt{cycles} \rfloor$ steps (`T // cycles`), and a rest of fewer than `cycles` steps at the end is left
# alone:
#
# $$ L - 1,\quad 2L - 1,\quad \dots,\quad \texttt{cycles} \cdot L - 1 $$

# %% exercise="snapshot_steps"
def snapshot_steps(T, cycles):
    """When to keep a snapshot: at the last step of each cycle.

    Inputs:
    - T: number of steps of the whole training
    - cycles: number of cycles, each T // cycles steps long

    Returns a list of `cycles` integers, steps counted from 0.
    """
    ### BEGIN SOLUTION
    length = T // cycles
    return [(number + 1) * length - 1 for number in range(cycles)]
    ### END SOLUTION


# %% check="snapshot_steps" points=3

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* With 12 steps and 3 cycles, which steps belong to the first cycle? Which of them is the last?
# 2. *A pointer.* `//` divides and drops the rest. The result is a list with one integer for each cycle.
# 3. *An outline.* The length of a cycle; its multiples from one to `cycles`; each less 1, because steps count from 0.
#
# </details>

# %% [markdown]
# ## 6 · Snapshots: the learning rate
#
# **It computes** the learning rate at step $t$: half a cosine from $\texttt{lr0}$ towards 0 in each cycle.
#
# $$ \alpha(t) = \frac{\texttt{lr0}}{2} \left( 1 + \cos \frac{\pi \, (t \bmod L)}{L} \right), \qquad
# L = \lfloor T / \texttt{cycles} \rfloor $$
#
# $t \bmod L$ (`t % L`) is how far step $t$ is into its cycle. At its last step the rate is small but not zero; zero would
# come one step later, where the next cycle starts with `lr0` instead.

# %% exercise="snapshot_learning_rate"
def snapshot_learning_rate(t, T, cycles, lr0):
    """The rate of snapshot ensembles: a cosine that starts again in each cycle.

    Inputs:
    - t: step, counted from 0
    - T: number of steps of the whole training
    - cycles: number of cycles, each T // cycles steps long
    - lr0: the rate at the start of each cycle

    Returns a float.
    """
    ### BEGIN SOLUTION
    length = T // cycles
    return float(0.5 * lr0 * (1 + np.cos(np.pi * (t % length) / length)))
    ### END SOLUTION


# %% check="snapshot_learning_rate" points=4

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* How many steps into its cycle is step 25 if a cycle has 10 steps?
# 2. *A pointer.* The cosine goes from 1 to $-1$ while its argument goes from 0 to $\pi$. Both ends of a cycle come out
#    right if you divide by the same length that you took the rest by.
# 3. *An outline.* Length of a cycle; steps into the cycle; the formula.
#
# </details>

# %% [markdown]
# **Snapshots on their schedule.** One training on 300 digits (one label in ten wrong): 200 steps with batches of 20 in five
# cycles, from 0.1. Above the learning rate, in the middle the training loss of each mini-batch, below the test accuracy of
# the network as it goes along, of each snapshot, and of all snapshots so far.

# %% experiment=true
snapshot_steps_, snapshot_learning_rate_ = yours(
    ["snapshot_steps", "snapshot_learning_rate"], [ensembles.snapshot_steps, ensembles.snapshot_learning_rate]
)
average_probabilities_, ensemble_accuracy_ = yours(
    ["average_probabilities", "ensemble_accuracy"], [ensembles.average_probabilities, ensembles.ensemble_accuracy]
)

data, T, cycles = task(0, 300, wrong=0.1), 200, 5
every_step, marks = [], [int(step) for step in snapshot_steps_(T, cycles)]
net = mlp([64, 100, 10], rng=0)
history = train(
    net, data, steps=T, batch_size=20, rng=0, eval_every=0,
    schedule=lambda t: snapshot_learning_rate_(t, T, cycles, 0.1),
    on_step=lambda t, net: every_step.append(probabilities(net, data.x_test)),
)  # fmt: skip
as_it_goes = [ensemble_accuracy_([p], data.y_test) for p in every_step]
so_far = [ensemble_accuracy_([every_step[m] for m in marks[: n + 1]], data.y_test) for n in range(cycles)]

fig, axes = plt.subplots(3, 1, figsize=(9, 6.4), sharex=True, height_ratios=(1, 1, 1.6))
axes[0].plot([snapshot_learning_rate_(t, T, cycles, 0.1) for t in range(T)], color=COLOURS[0])
axes[0].set(ylabel="learning rate", title="Five cycles, five snapshots (dotted)")
axes[1].semilogy(history.losses, color=COLOURS[0], lw=1.2)
axes[1].set(ylabel="training loss")
axes[2].plot(as_it_goes, color=GREY, lw=1.2, label="as it goes along")
axes[2].plot(marks, np.array(as_it_goes)[marks], "o", color=COLOURS[0], ms=8, label="snapshot")
axes[2].plot(marks, so_far, "D-", color=COLOURS[1], ms=7, label="all snapshots so far, averaged")
axes[2].set(ylabel="test accuracy", xlabel="step", ylim=(0.65, 0.95))
axes[2].legend(loc="lower right", ncols=3, fontsize=9)
for ax in axes:
    for mark in marks:
        ax.axvline(mark, color=GREY, ls=":", lw=1)
plt.show()
print("snapshots:       ", *(f"{as_it_goes[m]:.3f}" for m in marks))
print("averaged so far: ", *(f"{a:.3f}" for a in so_far))

# %% [markdown]
# After each jump of the rate the accuracy swings, and mostly settles as the rate falls. The five snapshots are right on
# 79.6%, 84.3%, 86.9%, 85.6% and 77.5%. The last one is a bad draw: had this been the end of an ordinary training, that
# would have been the result. The average of all five is at 88.3%, better than any of them.

# %% [markdown]
# ## 7 · What averaging weights breaks
#
# A batch norm layer carries two things that are not weights: its running mean and variance. They belong to the activations
# of the network that was trained. The average of many weight vectors is *another* network, one that has never seen a batch.
# Its activations have their own mean and variance, and nobody has measured them.
#
# **It computes** the statistics anew. `forward(batch)` gives what the batch norm layer gets to see for a batch of inputs,
# an array $(n, D)$; the batches together are the training set. Wanted are the mean and the biased variance of each
# feature over *all examples of all batches*. Batches may differ in size: an example counts the same in a large batch and
# in a small one.
#
# $$
# \mu = \frac{1}{n_1 + n_2 + \dots} \sum_{\text{batches } B} \; \sum_{i \in B} h_i \qquad
# v = \frac{1}{n_1 + n_2 + \dots} \sum_{\text{batches } B} \; \sum_{i \in B} (h_i - \mu)^2
# \qquad \text{with rows } h_i \text{ of } \texttt{forward}(B)
# $$

# %% exercise="recompute_batchnorm_statistics"
def recompute_batchnorm_statistics(batches, forward):
    """New running statistics for one batch norm layer, from the data.

    Inputs:
    - batches: list of arrays (n, ...), n examples each; n may differ from batch to batch
    - forward: function from a batch to an array (n, D), what the batch norm layer gets to see

    Returns:
    - running_mean: array (D,)
    - running_var: array (D,), the biased variance over all examples
    """
    ### BEGIN SOLUTION
    count, total, squares = 0, 0.0, 0.0
    outputs = [forward(batch) for batch in batches]
    for out in outputs:
        count += len(out)
        total = total + out.sum(axis=0)
    mean = total / count
    for out in outputs:
        squares = squares + ((out - mean) ** 2).sum(axis=0)
    return mean, squares / count
    ### END SOLUTION


# %% check="recompute_batchnorm_statistics" points=5

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* A batch of 9 has mean 1, a batch of 1 has mean 11. What is the mean of the ten?
# 2. *A pointer.* The mean of the batches' variances is too small: it does not see that the batches' means differ. Put the
#    outputs together first, or collect sums over all batches.
# 3. *An outline.* Run `forward` on each batch; one long array of all outputs; mean and variance along the examples.
#
# </details>

# %% [markdown]
# ## Experiments
#
# **Digits are easy, so we make them hard.** With all its training examples a small network is right on 98% of the digits,
# and there is nothing left to gain. So most experiments train on 300 examples, or on 100, and some give one training label
# in ten a wrong value. All other images are for testing: 1397 with 300 training examples. Test labels are always right. The
# seed draws the split, the wrong labels, the initial weights and the order of the batches. The network is 64-100-10 with
# ReLU, trained by SGD with momentum 0.9, unless something else is said. Error bars are standard errors over the seeds.
#
# ### A · One to ten independent models
#
# **The claim** (CS231n, Lecture 7): train several independent models, average their results at test time, "enjoy 2% extra
# performance". And (CS231n notes, *Neural Networks Part 3*): more models help more, with diminishing returns.
#
# Ten networks for each seed, 300 steps with batches of 20, rate 0.02. For each number of members we average over 20 random
# choices from the ten.
#
# **Your guess first:** is the gain the same 2 points on an easy and on a hard task? How many models bring half of it?

# %% experiment=true
MEMBERS = 10
counts = np.arange(1, MEMBERS + 1)
TASKS = {
    "300 examples": (300, 0.0),
    "100 examples": (100, 0.0),
    "300 examples, 1 in 10 labels wrong": (300, 0.1),
}


def member(data, rng, order=None, steps=300, on_step=None):
    """One trained network; `rng` draws its initial weights and, if `order` is not given, the order of the batches."""
    net = mlp([64, 100, 10], rng=rng)
    order = rng if order is None else order
    train(net, data, steps=steps, batch_size=20, learning_rate=0.02, rng=order, eval_every=0, on_step=on_step)
    return net


def by_number(setting, seed):
    """Test accuracy of ensembles of 1 to 10 members, (10,)."""
    data = task(seed, *setting)
    found = [probabilities(member(data, 100 * seed + m), data.x_test) for m in range(MEMBERS)]
    choice = np.random.default_rng(seed)
    return [
        np.mean([ensemble_accuracy_([found[m] for m in choice.permutation(MEMBERS)[:n]], data.y_test) for _ in range(20)])
        for n in counts
    ]


number = seeds(quick=3, full=10)
fig, axes = plt.subplots(1, 2, figsize=(12, 4))
gains = {}
for (name, setting), colour in zip(TASKS.items(), COLOURS, strict=False):
    result = repeat(lambda seed, setting=setting: by_number(setting, seed), seeds=number)
    curves_with_errors(counts, result, name, axes[0], style="bars", color=colour)
    gains[name] = result.values - result.values[:, :1]  # (seeds, 10)
    curves_with_errors(counts, 100 * gains[name], name, axes[1], style="bars", color=colour)
    alone, all_ten = result.mean[0], result.mean[-1]
    error = gains[name][:, -1].std(ddof=1) / np.sqrt(number)
    half = counts[np.argmax(gains[name].mean(axis=0) > 0.5 * gains[name].mean(axis=0)[-1])]
    print(
        f"{name}: one {alone:.3f}, ten {all_ten:.3f}, gain {100 * (all_ten - alone):.2f} ± {100 * error:.2f} points, "
        f"{(all_ten - alone) / (1 - alone):.0%} of the errors; half of the gain with {half} models"
    )
axes[0].set(xlabel="number of models", ylabel="test accuracy", title=f"Averaged predictions, {number} seeds")
axes[1].axhline(2, color=GREY, ls="--", lw=1.5, label="the lecture's 2%")
axes[1].set(xlabel="number of models", ylabel="gain over one model, points", title="The gain")
axes[1].legend(fontsize=9)
plt.show()
points = [100 * gain[:, -1].mean() for gain in gains.values()]
near = [1 <= gain <= 3 for gain in points]
record(
    "06/independent-models",
    claim="averaging independent models gives about 2% extra",
    source="CS231n, Lecture 7",
    measured="ten models gain " + ", ".join(f"{p:.1f} points ({n})" for p, n in zip(points, TASKS, strict=True)),
    agrees="yes" if all(near) else "partly" if any(near) else "no",
    seeds=number,
)

# %% [markdown]
# **What was seen.** Ten models gain 0.8 points on the easiest task (from 94.4%), 1.5 with 100 examples (from 89.2%) and 2.4
# with wrong labels (from 87.9%). **The claim holds in part:** "2%" is the right size, but no constant. In terms of the
# *errors* the three are more alike: the ensemble avoids 15%, 14% and 20% of them. Who is right on 98% could gain 2
# points only by avoiding every error. A gain of 2 points is a sixth of the errors at 88%, a twelfth at 76%.
#
# The second claim holds: more models help more, and the second one brings the most. Half of the gain is there with two
# models (three with wrong labels), most of it with five.
#
# *When it would not hold:* with data enough that all networks agree, or with members that make the same mistakes. What an
# ensemble cannot mend is what all of them have wrong.

# %% [markdown]
# ### B · Disagreement explains the gain
#
# **The claim** (CS231n notes, *Neural Networks Part 3*): the improvement is larger when the models of the ensemble are more
# varied.
#
# Ensembles of five, made in six ways. *Last passes*: one training, kept after each of its last five passes over the data.
# *Order*: five trainings from the same initial weights, with different orders of the batches. *Start*: different initial
# weights, too. *Bootstrap*: besides, each member learns from examples drawn with replacement (Breiman's bagging, 1996).
# *Half*: each learns from half of the examples. *Pixels*: each sees a random half of the pixels. Two tasks.
#
# We measure how often two members give different answers (mean over pairs), and the gain: accuracy of the ensemble less the
# mean accuracy of its members. We also check the equation of Krogh and Vedelsby on these numbers.
#
# **Your guess first:** which of the six has the largest gain? And which is the best ensemble? Is that the same question?

# %% experiment=true
WAYS = ("last passes", "order", "start", "bootstrap", "half", "pixels")


def members(way, data, seed):
    """Test probabilities of five members that were made in one of the ways."""
    count = len(data.y_train)
    if way == "last passes":
        kept = {}
        member(data, 100 * seed, on_step=lambda t, net: t in passes and kept.update({t: probabilities(net, data.x_test)}))
        return list(kept.values())
    found = []
    for m in range(5):
        one = 100 * seed + m
        rng = np.random.default_rng(one)
        rows, seen = np.arange(count), np.ones(64, dtype=np.float32)
        if way == "bootstrap":
            rows = rng.integers(0, count, count)
        elif way == "half":
            rows = rng.permutation(count)[: count // 2]
        elif way == "pixels":
            seen[rng.permutation(64)[:32]] = 0
        own = replace(data, x_train=data.x_train[rows] * seen, y_train=data.y_train[rows], x_val=data.x_val * seen)
        net = member(own, 100 * seed, order=one) if way == "order" else member(own, one)
        found.append(probabilities(net, data.x_test * seen))
    return found


passes = [300 - 15 * back - 1 for back in range(5)]  # 300 steps are 20 passes of 15 batches


def measure(setting, way, seed):
    """Accuracy of a member, of the ensemble; disagreement; squared errors of a member, of the ensemble; their spread."""
    data = task(seed, *setting)
    found = members(way, data, seed)
    answers = [p.argmax(axis=1) for p in found]
    mean, truth = average_probabilities_(found), np.eye(10)[data.y_test]
    return [
        np.mean([ensemble_accuracy_([p], data.y_test) for p in found]),
        ensemble_accuracy_(found, data.y_test),
        np.mean([np.mean(a != b) for n, a in enumerate(answers) for b in answers[:n]]),
        np.mean([((p - truth) ** 2).sum(axis=1).mean() for p in found]),
        ((mean - truth) ** 2).sum(axis=1).mean(),
        np.mean([((p - mean) ** 2).sum(axis=1).mean() for p in found]),
    ]


number = seeds(quick=3, full=10)
fig, axes = plt.subplots(1, 2, figsize=(12, 4.2))
correlations, best, largest_gap = {}, {}, 0.0
for ax, name in zip(axes, ("300 examples", "300 examples, 1 in 10 labels wrong"), strict=True):
    result = sweep(lambda way, seed, name=name: measure(TASKS[name], way, seed), WAYS, seeds=number)
    alone, together, differ, error_alone, error_together, spread = np.moveaxis(result.values, 2, 0)  # (seeds, ways) each
    gain = together - alone
    largest_gap = max(largest_gap, np.abs(error_together - (error_alone - spread)).max())
    correlations[name] = np.corrcoef(differ.ravel(), gain.ravel())[0, 1]
    best[name] = WAYS[np.argmax(together.mean(axis=0))]
    print(name)
    for n, (way, colour) in enumerate(zip(WAYS, COLOURS, strict=True)):
        x, y = 100 * differ[:, n], 100 * gain[:, n]
        mean, error = (x.mean(), y.mean()), np.array([x.std(ddof=1), y.std(ddof=1)]) / np.sqrt(number)
        ax.errorbar(*mean, xerr=error[0], yerr=error[1], fmt="o", ms=7, capsize=3, color=colour, label=way)
        print(
            f"   {way:11s}: member {alone[:, n].mean():.3f}, ensemble {together[:, n].mean():.3f}, "
            f"gain {mean[1]:4.1f} ± {error[1]:.1f} points, disagreement {mean[0]:4.1f}%"
        )
    ax.set(xlabel="share of images on which two members differ, %", ylabel="gain, points", title=name)
axes[0].legend(fontsize=9)
plt.show()
print(f"squared errors: the equation holds to {largest_gap:.0e}")
record(
    "06/disagreement",
    claim="the gain is larger for ensembles of more varied models",
    source="CS231n notes, Neural Networks Part 3",
    measured="correlation of gain and disagreement over six kinds of ensembles: "
    + ", ".join(f"{c:.2f} ({n}; best ensemble: {best[n]})" for n, c in correlations.items()),
    agrees="yes" if min(correlations.values()) > 0.8 else "partly" if max(correlations.values()) > 0.5 else "no",
    seeds=number,
)

# %% [markdown]
# **What was seen.** The points lie close to a line: the correlation is 0.98 on the one task and 0.99 on the other. **The
# claim holds.** And the equation holds to rounding, as an identity must: for squared errors the spread of the members is
# not one cause of the gain, it *is* the gain.
#
# Five passes of one training, or another order of the batches from the *same* initial weights, bring next to nothing with
# right labels: the members differ on fewer than 1% of the images. What makes networks different is where they start (4.0%),
# and even more what they see (8% to 12%).
#
# **But the largest gain is not the best ensemble.** With right labels it belongs to the half-blind networks (*pixels*:
# 4.0 points), but from 90.4% it leads only to 94.4%; *start* gains 0.7 and ends at 95.1%. Disagreement bought with worse
# members can cost more than it brings. With wrong labels it pays: *pixels* ends at 91.6%, *start* at 90.3%. *Half* also
# reaches 90.3%, with members that saw 150 examples and are 4.6 points worse. Our guess at the reason: a wrong label that
# all members have learned by heart becomes everybody's mistake, and one that only half of them have seen is outvoted.
#
# *When it would not hold:* members can also differ by being bad in different ways. Networks that answer at random differ on
# 90% of the images, and their average is no good.

# %% [markdown]
# ### C · An ensemble at the cost of one training
#
# **The claim** (Huang et al. 2017, *Snapshot Ensembles: Train 1, get M for free*): the snapshots of one training with a
# cyclic rate, averaged, beat a single network that was trained for as long.
#
# The whole budget is $T$ steps, from 50 to 800, with batches of 20 (15 steps are one pass), and four ways to spend it:
# *one network* with one cosine from 0.1 to 0; *five snapshots* of five cycles; *no cycles*: the same five moments of a run
# with a constant rate of 0.05; *five short trainings* from new initial weights, $T/5$ steps each, with one cosine each. All
# but the first are ensembles of five. No way gets more steps than another.
#
# **Your guess first:** five short trainings throw away all that was learned four times. Can they ever win?

# %% experiment=true
BUDGETS = np.array([50, 100, 200, 400, 800])
SPENT = ("one network", "five snapshots", "no cycles", "five short trainings")
LR0 = 0.1


def spend(setting, T, seed):
    """Test accuracies of the four ways and, for all but the first, the disagreement of the members: (7,)"""
    data = task(seed, *setting)

    def run(steps, schedule, start, keep=()):
        """Probabilities on the test images after the steps to keep, and at the end."""
        kept = []
        net = mlp([64, 100, 10], rng=start)

        def look(t, net):
            if t in keep or t == steps - 1:
                kept.append(probabilities(net, data.x_test))

        train(net, data, steps=steps, batch_size=20, schedule=schedule, rng=start, eval_every=0, on_step=look)
        return kept

    def one_cosine(steps):
        return lambda t: snapshot_learning_rate_(t, steps, 1, LR0)

    marks, start = [int(step) for step in snapshot_steps_(T, 5)], 100 * seed
    ways = [
        run(T, one_cosine(T), start),
        run(T, lambda t: snapshot_learning_rate_(t, T, 5, LR0), start, marks),
        run(T, lambda t: LR0 / 2, start, marks),
        [run(T // 5, one_cosine(T // 5), start + m)[-1] for m in range(5)],
    ]
    answers = [[p.argmax(axis=1) for p in way] for way in ways[1:]]
    differ = [np.mean([np.mean(a != b) for n, a in enumerate(way) for b in way[:n]]) for way in answers]
    return [*(ensemble_accuracy_(way, data.y_test) for way in ways), *differ]


number = seeds(quick=5, full=10)
fig, axes = plt.subplots(1, 3, figsize=(13.5, 4.2))
wins = []
for ax, name in zip(axes, ("300 examples", "300 examples, 1 in 10 labels wrong"), strict=False):
    result = sweep(lambda T, seed, name=name: spend(TASKS[name], T, seed), BUDGETS, seeds=number)
    print(f"{name} ({result.seconds:.0f} s)")
    for n, (way, colour) in enumerate(zip(SPENT, COLOURS, strict=False)):
        curves_with_errors(BUDGETS, result[:, n], way, ax, style="bars", color=colour)
        pairs = zip(BUDGETS, result[:, n].mean, result[:, n].error, strict=True)
        print(f"   {way:20s}:", *(f"{T}: {m:.3f} ± {e:.3f} " for T, m, e in pairs))
        if n:
            curves_with_errors(
                BUDGETS, 100 * result[:, 3 + n].values, None, axes[2], style="bars", color=colour,
                ls="-" if name == "300 examples" else "--",
            )  # fmt: skip
            print(f"   {'':20s}  members differ on", *(f"{d:.1%}" for d in result[:, 3 + n].mean))
    better = result[:, 1].values - result[:, 0].values  # (seeds, budgets)
    error = better.std(axis=0, ddof=1) / np.sqrt(number)
    print("   snapshots less one network, points:",
          *(f"{T}: {100 * b:.1f} ± {100 * e:.1f} " for T, b, e in zip(BUDGETS, better.mean(axis=0), error, strict=True)))
    wins += list(better.mean(axis=0) > 2 * error)
    ax.set(xscale="log", xlabel="steps in all", ylabel="test accuracy", title=name)
axes[0].legend(fontsize=9, loc="lower right")
axes[2].set(xscale="log", xlabel="steps in all", ylabel="members differ on, %", title="disagreement (dashed: wrong labels)")
for ax in axes:
    ax.set_xticks(BUDGETS, BUDGETS)
    ax.minorticks_off()
for ax in axes[:2]:
    ax.set_ylim(0.78, 0.97)
plt.show()
record(
    "06/snapshots",
    claim="snapshots of one run, averaged, beat one network trained for as long",
    source="Huang et al. 2017, arXiv:1704.00109",
    measured=f"snapshots better by more than two standard errors in {sum(wins)} of {len(wins)} cases "
    "(2 tasks, 5 budgets from 50 to 800 steps)",
    agrees="yes" if all(wins) else "partly" if any(wins) else "no",
    seeds=number,
)

# %% [markdown]
# **What was seen.** With right labels the snapshots never beat the one network clearly: the difference lies between $-1.3$
# and $+0.3$ points. With wrong labels they do, by 5.2 ± 2.2, 0.7 ± 0.9, 1.6 ± 0.3, 0.9 ± 0.3 and 1.1 ± 0.5 points from the
# smallest budget to the largest. **The claim holds in part here: 4 of 10 cases, all on the second task.**
#
# The right-hand panel shows why it fails. With 800 steps on right labels the snapshots differ on 0.7% of the images. A
# likely reason: the network has learned its 300 examples by heart, the loss is near zero and so is the gradient, and a
# large rate times no gradient is no kick. Every snapshot is the same network. With few steps there is the other failure:
# they differ a lot (33%), because the first ones are hardly trained.
#
# **What the claim does not say.** *No cycles* is as good as the snapshots almost everywhere (ahead at 50 and 100 steps on
# both tasks, behind at 200 with wrong labels): what helps is to average several moments of a run, more than the schedule.
# And *five short trainings*, the worst way at 50 and 100 steps, are the best from 400 on, on both tasks: 95.8% and 91.4%
# at 800 steps, where the snapshots have 95.1% and 88.8%. Once a fifth of the budget is enough for a good network, fresh
# starts bring more variety. (With wrong labels they also stop before they have learned all of those by heart.)
#
# *When it would not hold:* Huang et al. trained deep networks on CIFAR and other large sets, and there fresh starts in each
# cycle were mostly behind the snapshots. Presumably a fifth of that budget is *not* enough for a good network, which would
# be the left part of our picture.

# %% [markdown]
# ### D · The average of the weights against the last weights
#
# **The claim** (CS231n notes, *Neural Networks Part 3*): a running average of the weights with exponentially fading memory,
# used at test time, almost always does better than the last weights. (In the lecture: Polyak averaging.)
#
# 300 steps with batches of 10 at constant rates from 0.003 to 0.1, on two tasks. *300 examples* with right labels are
# seen ten times over, and learned by heart. *1100 examples with 1 label in 10 wrong* are seen fewer than three times: the
# gradients stay noisy to the end. (There are 597 images left to test on.) Three networks from each run: the last weights;
# the mean of the last 150; a moving average with decay 0.98, which looks back over about 50 steps. And from a second run,
# for comparison, the last weights when the rate falls from the same value along a cosine.
#
# **Your guess first:** at which rates does the average help most? Is there a rate at which it is worse than the last
# weights? And what is left of its advantage if the rate is lowered instead?

# %% experiment=true
(exponential_moving_average_,) = yours(["exponential_moving_average"], [ensembles.exponential_moving_average])
rates = np.array([0.003, 0.006, 0.01, 0.02, 0.03, 0.06, 0.1])
KINDS = ("last weights", "mean of the last 150", "moving average, decay 0.98", "falling rate, last weights")


def averaged_weights(setting, rate, seed):
    """Test accuracy of the four kinds; then the training loss of the last weights at a constant rate: (5,)"""
    data = task(seed, *setting)
    net, falling = (mlp([64, 100, 10], rng=seed) for _ in range(2))
    mean = moving = net.params

    def look(t, net):
        nonlocal mean, moving
        moving = exponential_moving_average_(moving, net.params, 0.98, t)
        if t >= 150:
            mean = polyak_average_(mean, net.params, t - 150)

    train(net, data, steps=300, batch_size=10, learning_rate=rate, rng=seed, eval_every=0, on_step=look)
    train(falling, data, steps=300, batch_size=10, rng=seed, eval_every=0,
          schedule=lambda t: snapshot_learning_rate_(t, 300, 1, rate))  # fmt: skip
    with_mean, with_moving = net.copy(), net.copy()
    with_mean.load(mean)
    with_moving.load(moving)
    found = [each.accuracy(data.x_test, data.y_test) for each in (net, with_mean, with_moving, falling)]
    return [*found, softmax_loss(net.forward(data.x_train, "test"), data.y_train)[0]]


number = seeds(quick=3, full=10)
fig, axes = plt.subplots(1, 2, figsize=(12, 4.2), sharey=True)
better = worse = 0
at_best = {}
for ax, (name, setting) in zip(
    axes, {"300 examples": (300, 0.0), "1100 examples, 1 in 10 labels wrong": (1100, 0.1)}.items(), strict=True
):
    result = sweep(lambda rate, seed, setting=setting: averaged_weights(setting, rate, seed), rates, seeds=number)
    print(f"{name} ({result.seconds:.0f} s)")
    for n, (kind, colour) in enumerate(zip(KINDS, COLOURS, strict=False)):
        curves_with_errors(rates, result[:, n], kind, ax, style="bars", color=colour)
        pairs = zip(rates, result[:, n].mean, result[:, n].error, strict=True)
        print(f"   {kind:27s}", *(f"{r:g}: {m:.3f} ± {e:.3f} " for r, m, e in pairs))
    pairs = zip(rates, result[:, 4].mean, strict=True)
    print(f"   {'training loss, last weights':27s}", *(f"{r:g}: {m:.3f}" for r, m in pairs))
    gain = result.values[:, :, 2] - result.values[:, :, 0]  # (seeds, rates)
    error = gain.std(axis=0, ddof=1) / np.sqrt(number)
    better += int(np.sum(gain.mean(axis=0) > 2 * error))
    worse += int(np.sum(gain.mean(axis=0) < -2 * error))
    choice = result.mean[:, :3].argmax(axis=0)  # the best rate for each kind
    gain = result.values[:, choice[2], 2] - result.values[:, choice[0], 0]
    at_best[name] = 100 * gain.mean(), 100 * gain.std(ddof=1) / np.sqrt(number)
    ax.set(xscale="log", xlabel="learning rate (at the start)", title=name, ylim=(0.86, 0.98))
    ax.set_xticks(rates, [f"{r:g}" for r in rates])
    ax.minorticks_off()
axes[0].set_ylabel("test accuracy")
axes[0].legend(fontsize=9, loc="lower left")
plt.show()
cases = 2 * len(rates)
record(
    "06/averaged-weights",
    claim="a running average of the weights almost always does better than the last weights",
    source="CS231n notes, Neural Networks Part 3",
    measured=f"better by more than two standard errors in {better} of {cases} cases, worse in {worse}; at the best rates: "
    + ", ".join(f"{g:+.1f} ± {e:.1f} points ({n})" for n, (g, e) in at_best.items()),
    agrees="yes" if better > 0.9 * cases else "partly" if better > worse else "no",
    seeds=number,
)

# %% [markdown]
# **What was seen.** With noisy gradients (right panel; what is below 86% is cut off) the average helps much at the higher
# rates: 96.1% against 93.6% at 0.03, 94.4% against 88.7% at 0.06. The best average is 1.1 ± 0.3 points above the best
# last weights, and any rate from 0.01 to 0.03 gives an average that is better than the last weights at *their* best rate.
# With 300 examples learned by heart (left) there is nothing to average: the training loss is near zero, the weights stand
# still, and from 0.006 to 0.06 the last ones are as good as their averages. Only at 0.1, where the steps are too large to
# settle, does averaging help (93.2% against 91.1% for the moving one). At the lowest rate the mean of 150 is *worse*,
# 92.0% against 93.1%: the network is still on its way, and the average lags.
#
# **So "almost always" is too much here:** clearly better in 4 of 14 cases, clearly worse in 1, and no clear difference in
# the other 9. The average removes the noise of the last steps. It can't help where there is none.
#
# **The rival is the schedule.** Letting the rate fall does the same job: with noisy gradients it ends at 96.0% and 95.9%
# for rates of 0.02 and 0.03, level with the averages, and at 0.06 and 0.1 it is ahead of them. (At the lowest rates it is
# behind, as it learns too little.) What the average has for itself: it can be taken at any moment of a training at a
# constant rate, without knowing beforehand when that will end.
#
# *When it would not hold:* the best rate was chosen on the test images, for each kind alike. With other values of `decay`
# the picture shifts: looking back over more steps removes more noise and lags more.

# %% [markdown]
# ### E · Averaged weights and batch norm
#
# **The claim** (Izmailov et al. 2018, section 3.2): a network with batch norm needs one more pass over the training data
# after its weights were averaged, to compute the running statistics of the averaged network.
#
# A network with five hidden layers of 50 units and batch norm, 300 examples, 300 steps with batches of 20; the weights of
# the last 150 steps are averaged. Four ways to test: the last weights as they are; the averaged weights with the running
# statistics *left over* from the last step; with the *mean* of the running statistics of these 150 steps; with statistics
# *recomputed* by your function. For the last one we go from the lowest batch norm layer to the highest: what the second one
# sees depends on the statistics of the first.
#
# **Your guess first:** how much accuracy can two wrong vectors per layer cost? More at a low rate or at a high one?

# %% experiment=true
(recompute_batchnorm_statistics_,) = yours(
    ["recompute_batchnorm_statistics"], [ensembles.recompute_batchnorm_statistics]
)
bn_rates = np.array([0.01, 0.03, 0.1, 0.3])
TESTED = ("last weights", "average, statistics left over", "average, mean of the statistics", "average, recomputed")


def batchnorms(net):
    """(index, layer) of each batch norm layer, from the lowest up."""
    return [(index, layer) for index, layer in enumerate(net.layers) if isinstance(layer, Norm)]


def mended(net, data):
    """A copy whose running statistics are those of the training set."""
    net = net.copy()
    for index, layer in batchnorms(net):

        def what_it_sees(x, below=net.layers[:index]):
            for lower in below:
                x = lower.forward(x, "test")
            return x

        mean, var = recompute_batchnorm_statistics_(np.array_split(data.x_train, 5), what_it_sees)
        layer.param.update(running_mean=np.float32(mean), running_var=np.float32(var))
    return net


def spread_inside(net, data):
    """The root mean square of the normalised features in each batch norm layer, at test time: 1 if statistics fit."""
    x, found = data.x_train, []
    for layer in net.layers:
        if isinstance(layer, Norm):
            normalised = (x - layer.param["running_mean"]) / np.sqrt(layer.param["running_var"] + 1e-5)
            found.append(np.sqrt(np.mean(normalised**2)))
        x = layer.forward(x, "test")
    return found


def four_tests(rate, seed):
    """Test accuracies, (4,), then the spread inside for the statistics left over, (5,), and recomputed, (5,)."""
    data = task(seed, 300)
    net = mlp([64] + [50] * 5 + [10], (norms.batchnorm_forward, norms.batchnorm_backward), rng=seed)
    mean = statistics = None

    def look(t, net):
        nonlocal mean, statistics
        if t >= 150:
            now = {f"{index} {name}": layer.param[name] for index, layer in batchnorms(net)
                   for name in ("running_mean", "running_var")}  # fmt: skip
            mean = polyak_average_(mean or net.params, net.params, t - 150)
            statistics = polyak_average_(statistics or now, now, t - 150)

    train(net, data, steps=300, batch_size=20, learning_rate=rate, rng=seed, eval_every=0, on_step=look)
    left_over = net.copy()
    left_over.load(mean)
    with_means = left_over.copy()
    for index, layer in batchnorms(with_means):
        layer.param.update({name: statistics[f"{index} {name}"] for name in ("running_mean", "running_var")})
    recomputed = mended(left_over, data)
    accuracies = [each.accuracy(data.x_test, data.y_test) for each in (net, left_over, with_means, recomputed)]
    return [*accuracies, *spread_inside(left_over, data), *spread_inside(recomputed, data)]


number = seeds(quick=4, full=10)
result = sweep(four_tests, bn_rates, seeds=number)
fig, axes = plt.subplots(1, 2, figsize=(12, 4.2))
for n, (name, colour) in enumerate(zip(TESTED, (GREY, *COLOURS[1:4]), strict=True)):
    mean, error = result[:, n].mean, result[:, n].error
    aside = bn_rates * 1.05 ** (n - 1.5)  # so that the bars do not hide each other
    curves_with_errors(aside, result[:, n], name, axes[0], style="bars", color=colour)
    print(f"{name:31s}", *(f"{r:g}: {m:.3f} ± {e:.3f} " for r, m, e in zip(bn_rates, mean, error, strict=True)))
axes[0].set(xscale="log", xlabel="learning rate", ylabel="test accuracy", title=f"Averaged weights, {number} seeds")
axes[0].set_xticks(bn_rates, [f"{r:g}" for r in bn_rates])
axes[0].minorticks_off()
axes[0].legend(fontsize=9, loc="lower left")
layers = np.arange(1, 6)
for n, (rate, colour) in enumerate(zip(bn_rates, COLOURS, strict=False)):
    curves_with_errors(layers, result[n, 4:9], f"left over, rate {rate:g}", axes[1], style="bars", color=colour)
    print(f"left over, rate {rate:g}: spread of normalised features", *(f"{s:.2f}" for s in result[n, 4:9].mean))
axes[1].axhline(1, color="black", ls="--", lw=1.5, label="recomputed")
axes[1].set(xlabel="batch norm layer", ylabel="root mean square", title="normalised features, averaged network")
axes[1].set_xticks(layers)
axes[1].legend(fontsize=9)
plt.show()
print(f"recomputed: the same spread is within {np.abs(result.values[:, :, 9:] - 1).max():.0e} of 1")
better = 100 * (result.values[:, :, 3] - result.values[:, :, 1])  # (seeds, rates)
error = better.std(axis=0, ddof=1) / np.sqrt(number)
clear = better.mean(axis=0) > 2 * error
against = 100 * (result[:, 3].mean - result[:, 2].mean)
record(
    "06/batch-norm-after-averaging",
    claim="after averaging weights, batch norm's statistics must be computed anew",
    source="Izmailov et al. 2018, arXiv:1803.05407",
    measured="recomputed less left over, points: "
    + ", ".join(f"{b:+.1f} ± {e:.1f} (rate {r:g})" for r, b, e in zip(bn_rates, better.mean(axis=0), error, strict=True))
    + f"; recomputed less mean of the statistics: between {against.min():+.1f} and {against.max():+.1f}",
    agrees="yes" if clear.all() else "partly" if clear.any() else "no",
    seeds=number,
)

# %% [markdown]
# **What was seen.** At a rate of 0.3 the averaged network with the statistics left over is right on 80.1% ± 6.1%; the last
# weights had 91.4%. Who stopped there would conclude that averaging does harm. With statistics recomputed, not one weight
# changed, it is at 94.6%. The lower the rate, the less is lost: 1.2 points at 0.1, 0.7 at 0.03, 0.4 at 0.01. **The claim
# holds at the higher rates;** at the lowest it hardly matters.
#
# The right-hand picture shows what is wrong. Normalised features should have a root mean square of 1. In the averaged
# network at 0.3 it is 0.96 in the first layer and 0.59 in the fifth. An average of vectors is never longer than they are on
# average, and shorter if they jump about. Its activations shrink as well, the running variance left over is too large for
# them, and each layer passes its fault on to the next. With recomputed statistics it is 1 in all layers, as it must be.
#
# One surprise: the *mean* of the statistics along the way is as good as computing them anew, within 0.2 points at all four
# rates. It costs no extra pass over the data. Nothing guarantees that, since these are statistics of other networks: for
# 150 neighbours on one path it works, we would not rely on it for weights that lie farther apart.
#
# *When it would not hold:* without batch norm there is nothing to mend, and with layer or group norm (notebook 02) neither,
# as they keep no statistics.

# %% [markdown]
# ## Questions
#
# Answer in a few sentences each, in your own words.

# %% [markdown] question="why-averaging-wins" points=3
# **Q1.** Five members are each right on 90% of the images. Why is their averaged prediction usually right on more than 90%?
# What does the equation of *The idea* guarantee, and what does it not? Name an ensemble for which averaging brings nothing.
#
# ### BEGIN SOLUTION
# **A good answer:** The members are not wrong on the same images. Where one is wrong by chance, the others mostly favour
# the right class (and put their doubt into different wrong ones), so that the mean of the probabilities is still largest
# there. The equation says that the squared error of the mean is the mean squared error less the spread of the members:
# never worse than the members on average, better by as much as they differ. It says nothing of accuracy (an average can
# turn a right answer of some members into a wrong one) and does not promise to beat the *best* member. Nothing is gained
# if all members predict the same: copies of one network, last passes of a training that has come to rest, or mistakes
# that all of them share.
#
# **Marking scheme:** 1 point for mistakes that differ from member to member and so cancel; 1 point for the guarantee and
# its limit (squared error, or another convex loss, against the members' average; not accuracy, or not the best member);
# 1 point for a valid example without gain.
# ### END SOLUTION

# %% [markdown] question="when-snapshots-fail" points=3
# **Q2.** When do snapshots of one training bring less than they cost? Give two situations that fail for opposite reasons,
# say how you would notice each from numbers that you can measure, and name a fair comparison at the same cost.
#
# ### BEGIN SOLUTION
# **A good answer:** (a) The snapshots are too much alike: the restarts do not carry the network away, because the rate is
# too low or because the training loss, and with it the gradient, is near zero. One sees it in a disagreement near zero
# (0.7% in experiment C) and in an ensemble as good as its members. (b) The cycles are too short: the single snapshots are
# badly trained, they differ, but for being bad; one sees it in members far worse than one network that got the whole
# budget. The fair comparison spends the same number of steps: one network trained for all of them (with a good schedule),
# or several short trainings from new initial weights. At test time snapshots also cost as many forward passes as they
# are.
#
# **Marking scheme:** 1 point for members too similar, with a cause; 1 point for cycles too short (or early snapshots too
# weak to help); 1 point for a measurement (disagreement, or members' accuracy) and a comparison at equal cost.
# ### END SOLUTION

# %% [markdown] question="why-not-average-strangers" points=2
# **Q3.** Predictions of two independently trained networks can be averaged, their weights cannot. Why not? And why must
# batch norm's running statistics be looked at even when the averaged weights come from one run?
#
# ### BEGIN SOLUTION
# **A good answer:** The hidden units of a network can be renumbered (columns of one weight matrix and rows of the next)
# without changing its function, and two independent trainings number theirs differently. The mean of two weights under the
# same number mixes units that have nothing to do with each other; the loss is not convex, and half way lies a ridge (1.18
# against 0.27 in the picture). Predictions have no such freedom: class 3 is class 3 in both. Within one run the units keep
# their meaning. But running mean and variance were measured on the activations of another network than the averaged one,
# so its features are normalised by numbers that are not theirs.
#
# **Marking scheme:** 1 point for the units' order (permutation), or for a loss that is not convex with the ridge seen in
# the picture; 1 point for statistics that belong to other weights.
# ### END SOLUTION

# %% [markdown]
# ## Remember
#
# 1. Average the probabilities of several networks and the squared error falls by exactly as much as they differ. Accuracy
#    follows: here ten models avoided 14% to 20% of the errors, half of that with two or three.
# 2. Members must differ, but not by being bad. Another start differs more than another order of the batches; other data
#    differ even more, and cost the members accuracy.
# 3. Snapshots are one training's ensemble. They fail where restarts lead back to the same network; and where a fraction of
#    the budget is enough, fresh starts are better.
# 4. Averaging the *weights* of one run costs nothing at test time and removes the noise of the last steps. So does lowering
#    the rate. Weights of independent networks cannot be averaged.
# 5. After averaging weights, look to batch norm: its statistics belong to another network.
#
# **Where to read on.** A. Krogh and J. Vedelsby, *Neural Network Ensembles, Cross Validation, and Active Learning*, 1995:
# the equation. L. Breiman, *Bagging Predictors*, 1996. B. Lakshminarayanan et al., *Simple and Scalable Predictive
# Uncertainty Estimation using Deep Ensembles*, 2017 (arXiv:1612.01474): what an ensemble knows about its own doubt. G.
# Huang et al., *Snapshot Ensembles: Train 1, get M for free*, 2017 (arXiv:1704.00109). B. Polyak and A. Juditsky,
# *Acceleration of Stochastic Approximation by Averaging*, 1992. P. Izmailov et al., *Averaging Weights Leads to Wider
# Optima and Better Generalization*, 2018 (arXiv:1803.05407): the plane of the loss, and the mend for batch norm. S. Fort
# et al., *Deep Ensembles: A Loss Landscape Perspective*, 2019 (arXiv:1912.02757): why starts matter more than moments of
# one run. S. Ainsworth et al., *Git Re-Basin*, 2022 (arXiv:2209.04836): renumber the units first, and independent
# networks can be averaged after all.
