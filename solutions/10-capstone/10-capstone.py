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
# # 10 · Capstone
#
# **After this notebook you have trained a network out of the functions that you wrote yourself, handed it in as a file of
# numbers and one function, and measured what each of its pieces was worth.**
#
# *About two hours, more if you like to tinker. You need: whatever you have finished of notebooks 00 to 09. Where your own
# function is missing or does not pass yet, the course's own stands in.*

# %% setup=true
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from autograder import check, hint, portfolio
from nnlab import Norm, ReLU, capstone, glyphs, minibatches, mlp, sweep
from nnlab.course import own_functions
from nnlab.experiments import record, seeds
from nnlab.palette import COLOURS, GREY, INK
from nnlab.plots import curves_with_errors, use_style

use_style()

# %% [markdown]
# ## The idea
#
# Nine notebooks took training apart. Each piece was looked at alone, in an experiment made to show what it does. A real
# task asks another question: **with so much data and so much computing time, which pieces do I take, and how do I set
# them?** No formula answers it. What helps is a way of working: begin with something plain, look at what limits it,
# change one thing, measure, write it down.
#
# The task: 1000 small images of twenty letters and digits to train on, 500 to validate, and others that nobody but the
# grader has.

# %% experiment=true
data = capstone()
print(data)
print("classes:", " ".join(f"{label} = {name}" for label, name in enumerate(data.classes)))
fig, axes = plt.subplots(5, 20, figsize=(13, 3.6))
for label, column in enumerate(axes.T):
    for ax, image in zip(column, data.x_train[data.y_train == label], strict=False):
        ax.imshow(image[0], cmap="gray", vmin=0, vmax=1)
        ax.axis("off")
    column[0].set_title(f"{data.classes[label]}", loc="center")
plt.show()

# %% [markdown]
# The same letter comes in several fonts, turned, sheared, larger or smaller, faint, in noise. There are fifty of each:
# too few for a network to have seen every way in which an 8 can lean. Keep that in mind when you choose your pieces.
#
# Here is where they act in one step of a training run, and what each is there for.
#
# | when | piece | notebook | it is there for |
# | --- | --- | --- | --- |
# | before the step | augmentation: `random_affine`, `cutout`, `mixup`, ... | 08 | data that you do not have |
# | forward and backward | norm: `batchnorm_forward`, `batchnorm_backward` | 01, 02 | larger steps, easier training |
# | forward and backward | dropout; the gradient of `l2_penalty` | 07 | a network that learns less by heart |
# | the update | optimizer: `sgd_momentum`, `adam`, ... | 03 | getting far in few steps |
# | the update | schedule: `cosine_decay`, `linear_warmup`, ... | 04 | large steps first, small ones at the end |
# | after the step | `exponential_moving_average` of the weights | 06 | less noise in what is kept |
# | after training | `recompute_batchnorm_statistics`, `fold_batchnorm` | 06, 01 | a network that is ready for use |
# | at test time | several networks, several views of an image | 06, 08 | mistakes that cancel |

# %% [markdown]
# ## Convention card
#
# | | this notebook |
# | --- | --- |
# | the budget | 60,000 training images shown to the network in a run: 1200 steps of 50, or 600 of 100, ... |
# | what counts | each showing of a training image, in all networks that are averaged and for new batch norm statistics |
# | what is free | validation, and as many runs as you like (experiment B tells what choosing among them does) |
# | training data | the 1000 training images and what augmentation makes of them; no more from `nnlab.glyphs` |
# | `predict` gets | images (N, 1, 16, 16), pixels in [0, 1], as they are in `data.x_val` |
# | `predict` returns | labels (N,), whole numbers from 0 to 19 |
# | where it is graded | in a sandbox: NumPy, the cells that do not train or draw, and `model.npz` (at most 8 MB) |
# | in `model.npz` | `"0.W0"`, `"0.b0"`, `"0.W1"`, ...: network 0, batch norm folded in; `"1.W0"`, ...: network 1 |
# | points | 6 for form and for depending on the image alone; up to 10 for accuracy: 0 at 50%, 10 from 90% on |
#
# Labels of hidden images never come near your code. The images that ship with the course are for practice; an instructor
# draws others.

# %% [markdown]
# ## 1 · Your portfolio
#
# `portfolio` reads your notebooks 00 to 09 where they lie, in the folders beside this one, and takes every function that
# passes its check. For all others it takes the course's own and says why. From now on `mine.adam` is *your* Adam if there
# is one.

# %% experiment=true
mine = portfolio(own_functions())
PIECES = [
    "batchnorm_forward", "batchnorm_backward", "fold_batchnorm", "sgd_momentum", "adam", "cosine_decay", "linear_decay",
    "step_decay", "linear_warmup", "exponential_moving_average", "recompute_batchnorm_statistics", "l2_penalty",
    "dropout_forward", "dropout_backward", "random_affine", "average_probabilities",
]  # fmt: skip
for origin, said in (("yours", "your own"), ("the course's own", "the course's own")):
    if names := [name for name in PIECES if mine.origin(name) == origin]:
        print(f"Running {said} {', '.join(names)}.")
mine

# %% [markdown]
# ## 2 · The rules in code, and a training function
#
# Whoever counts the steps by hand miscounts. A `Budget` is told of every batch, says how much is left and refuses when it
# is used up.

# %% experiment=true
IMAGES = 60_000


class OutOfBudget(Exception):
    """The run asks for more training images than it may see."""

    def _render_traceback_(self):  # IPython asks for this: one line says it all
        return [f"OutOfBudget: {self}"]


class Budget:
    """How many training images a run may still show to its networks."""

    def __init__(self, images=IMAGES):
        self.images, self.used = images, 0

    @property
    def left(self):
        return self.images - self.used

    def spend(self, count):
        if count > self.left:
            raise OutOfBudget(f"{count:,} more images asked for, but {self}. Fewer steps, or smaller batches.")
        self.used += count

    def __str__(self):
        return f"{self.left:,} of {self.images:,} are left"


budget = Budget()
budget.spend(59_980)
print(budget)
try:
    budget.spend(50)
except OutOfBudget as no:
    print(f"OutOfBudget: {no}")

# %% [markdown]
# The training loop is the one that you know, written out so that every piece has its place in it. A *design* is a dict that
# says which pieces to use and how to set them; what it does not name is as in `PLAIN`: stochastic gradient descent, nothing
# else. The keys:
#
# | key | what it may be |
# | --- | --- |
# | `units`, `batch`, `seed` | units of the hidden layers, images in a batch, where chance begins |
# | `images`, `members` | how many training images are shown, to how many networks in equal parts |
# | `norm` | batch norm after each hidden layer: `True` or `False` |
# | `optimizer`, `settings`, `rate` | any optimizer of notebook 03, its other settings, its (first) rate |
# | `schedule` | `"constant"`, `"cosine"`, `"linear"`, `"step"`, `"warm-up"` |
# | `augment` | a dict, name to settings, in the order of use: `{"cutout": [4]}` calls `mine.cutout(x, 4, rng)` |
# | `mixup` | `alpha`; 0 is none |
# | `keep`, `l2` | dropout's probability to keep a unit; the strength of the L2 penalty |
# | `average` | `decay` of the weights' moving average; 0 is none |
# | `views` | whether to average over five views of each image at test time (section 4) |

# %% experiment=true
PLAIN = {
    "units": [128, 128], "batch": 50, "seed": 0, "images": IMAGES, "members": 1,
    "norm": False, "optimizer": "sgd_momentum", "settings": {"momentum": 0.0}, "rate": 0.1, "schedule": "constant",
    "augment": {}, "mixup": 0.0, "keep": 1.0, "l2": 0.0, "average": 0.0, "views": False,
}  # fmt: skip
SCHEDULES = {
    "constant": lambda t, rate, T: rate,
    "cosine": lambda t, rate, T: mine.cosine_decay(t, rate, T),
    "linear": lambda t, rate, T: mine.linear_decay(t, rate, T),
    "step": lambda t, rate, T: mine.step_decay(t, rate, 0.1, max(1, T // 3)),
    "warm-up": lambda t, rate, T: mine.linear_warmup(lambda s: mine.cosine_decay(s, rate, T - T // 10), T // 10)(t),
}
ONE_HOT = np.eye(len(data.classes), dtype=np.float32)


class ThinnedReLU(ReLU):
    """ReLU, then dropout, which keeps a unit with probability `keep`."""

    def __init__(self, keep, rng):
        super().__init__()
        self.keep, self.rng = keep, rng

    def forward(self, x, mode="train"):
        param = {"p": self.keep, "mode": mode, "seed": int(self.rng.integers(2**31))}
        out, self.cache = mine.dropout_forward(super().forward(x, mode), param)
        return out.astype(x.dtype, copy=False)

    def backward(self, dout):
        return super().backward(mine.dropout_backward(dout, self.cache).astype(dout.dtype, copy=False))


def completed(design):
    """The design with everything from PLAIN that it does not name."""
    if unknown := sorted(design.keys() - PLAIN.keys()):
        raise ValueError(f"a design has no key {', '.join(unknown)}; the keys are {', '.join(PLAIN)}")
    return PLAIN | design


def new_network(design, rng):
    """A network that has learned nothing yet."""
    norm = (mine.batchnorm_forward, mine.batchnorm_backward) if design["norm"] else None
    thinned = design["keep"] < 1
    activation = (lambda: ThinnedReLU(design["keep"], rng)) if thinned else ReLU
    return mlp([256, *design["units"], len(data.classes)], norm, rng, activation=activation)


def train_network(design, budget, images, seed):
    """One network, trained on `images` training images. Returns it, and the loss and the rate of each step."""
    rng = np.random.default_rng(seed)
    net = new_network(design, rng)
    update, rate_at = mine[design["optimizer"]], SCHEDULES[design["schedule"]]
    config = {name: dict(design["settings"]) for name in net.params}
    batches = minibatches(data.x_train, data.y_train, design["batch"], rng)
    for_statistics = len(data.x_train) if design["average"] and design["norm"] else 0
    steps = (images - for_statistics) // design["batch"]
    losses, rates, average = [], [], None
    with np.errstate(all="ignore"):  # a run that diverges is a bad run, not an error
        for t in range(steps):
            x, labels = next(batches)
            budget.spend(len(x))
            targets = ONE_HOT[labels]  # (N, K)
            for name, settings in design["augment"].items():
                x = mine[name](x, *settings, rng)
            if design["mixup"]:
                x, targets = mine.mixup(x, targets, design["mixup"], rng)
            scores = net.forward(x.reshape(len(x), -1).astype(np.float32))  # (N, 1, 16, 16) -> (N, 256) -> (N, K)
            found = softmax(scores)
            net.backward(((found - targets) / len(x)).astype(np.float32))
            rate = rate_at(t, design["rate"], steps)
            for name, w in net.params.items():
                gradient = net.grads[name]
                if design["l2"] and name.endswith(".W"):
                    gradient = gradient + mine.l2_penalty(w, design["l2"])[1]
                config[name]["learning_rate"] = rate
                w[...], config[name] = update(w, gradient, config[name])
            if design["average"]:
                average = mine.exponential_moving_average(average or net.params, net.params, design["average"], t)
            losses.append(float(-np.mean(np.sum(targets * np.log(found + 1e-12), axis=1))))
            rates.append(rate)
    if average:
        net.load(average)
        if design["norm"]:
            budget.spend(for_statistics)
            fit_statistics(net)
    return net, losses, rates


def fit_statistics(net):
    """Batch norm's running statistics anew, from the training images, layer by layer from below."""
    x = data.x_train.reshape(len(data.x_train), -1)
    for layer in net.layers:
        if isinstance(layer, Norm):
            mean, var = mine.recompute_batchnorm_statistics([x], lambda batch: batch)
            layer.param.update(running_mean=np.float32(mean), running_var=np.float32(var))
        x = layer.forward(x, "test")


def run(design):
    """A whole run under the budget: its networks, and the losses and rates of the last one."""
    design, budget = completed(design), Budget()
    share, nets = design["images"] // design["members"], []
    for number in range(design["members"]):
        net, losses, rates = train_network(design, budget, share, 1000 * design["seed"] + number)
        nets.append(net)
    return nets, losses, rates


def probabilities(nets, x, several_views=False):
    """The average over networks, and over five views of each image if so wished: (N, K)."""
    looks = views(x) if several_views else [x]
    rows = [look.reshape(len(x), -1).astype(np.float32) for look in looks]
    with np.errstate(all="ignore"):
        return mine.average_probabilities([softmax(net.forward(r, "test").astype(float)) for net in nets for r in rows])


def accuracy(nets, x, y, several_views=False):
    """The share of images whose class has the largest average probability."""
    return float(np.mean(probabilities(nets, x, several_views).argmax(axis=1) == y))


# %% [markdown]
# Two small functions that the loop needs, and that `predict` may use as well. (This cell is there in the sandbox, too;
# the ones that train are not.)

# %%
def softmax(scores):
    """Probabilities (N, K) of scores (N, K); each row sums to 1."""
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def views(images):
    """Images (N, 1, H, W) five times, (5, N, 1, H, W): as they are, and moved one pixel up, down, left and right."""
    height, width = images.shape[2:]
    framed = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    corners = ((1, 1), (2, 1), (0, 1), (1, 2), (1, 0))
    return np.stack([framed[:, :, top : top + height, left : left + width] for top, left in corners])


# %% [markdown]
# ## 3 · Tries
#
# A try that was not written down did not happen. The leaderboard keeps what was in each run and what it reached, in
# `tries.json` beside this notebook; it is still there when the kernel starts again. A try of the same name takes the
# place of the old one.

# %% experiment=true
class Leaderboard:
    """Tries and their accuracy on the validation images, best first, kept in a file."""

    def __init__(self, file):
        self.file, self.tries = Path(file), {}
        try:
            self.tries = json.loads(self.file.read_text())
        except FileNotFoundError:
            pass
        except ValueError:
            print(f"{self.file} cannot be read and is begun anew.")

    def add(self, name, design, reached):
        changes = {key: value for key, value in design.items() if value != PLAIN[key]}
        self.tries[name] = {"design": changes, "accuracy": reached}
        self.file.write_text(json.dumps(self.tries, indent=1))

    def rows(self):
        """(name, what differs from PLAIN, accuracy, its standard error)"""
        for name, found in sorted(self.tries.items(), key=lambda item: -item[1]["accuracy"]):
            p, said = found["accuracy"], []
            for key, value in found["design"].items():
                said.append(f"{key} {' '.join(value) if isinstance(value, dict) and key == 'augment' else value}")
            yield name, ", ".join(said) or "nothing", p, np.sqrt(p * (1 - p) / len(data.y_val))

    def __repr__(self):
        return "\n".join(f"{p:6.1%} ± {e:.1%}  {name}: {said}" for name, said, p, e in self.rows())

    def _repr_html_(self):
        cells = [(name, said, f"{p:.1%} ± {e:.1%}") for name, said, p, e in self.rows()]
        lines = [("try", "what was in it, beside PLAIN", "validation"), *cells]
        left = "style='text-align:left'"
        return "<table>" + "".join(f"<tr><td {left}>{f'</td><td {left}>'.join(c)}</td></tr>" for c in lines) + "</table>"


board = Leaderboard("tries.json")


def attempt(name, design):
    """Train, put it on the leaderboard, and say how it did. Returns the networks, losses and rates."""
    nets, losses, rates = run(design)
    design = completed(design)
    found = [accuracy(nets, x, y, design["views"]) for x, y in ((data.x_train, data.y_train), (data.x_val, data.y_val))]
    board.add(name, design, found[1])
    print(f"{name}: right on {found[0]:.1%} of the training images, {found[1]:.1%} of the validation images")
    return nets, losses, rates


attempt("plain", {})
attempt("batch norm and Adam", {"norm": True, "optimizer": "adam", "settings": {}, "rate": 0.003})
attempt("a falling rate as well", {
    "norm": True, "optimizer": "adam", "settings": {}, "rate": 0.003, "schedule": "cosine",
})  # fmt: skip
board

# %% [markdown]
# Compare the two numbers of each try before you go on. The training images are learned by heart every time, and batch
# norm with Adam, which learn faster, make it worse: 57% of the validation images against 65%. **What limits these runs is
# not the optimization.** Which pieces of the table in *The idea* are made for that?
#
# The ± is the standard error of a share measured on 500 images. Two tries that differ by less than that do not differ.

# %% [markdown]
# ## 4 · Your run, and `predict`
#
# The next cell has two functions, and both are yours.
#
# **`my_design` says** which run you hand in. It is called by the training cell below, not by the grader. Change it,
# train, look at the leaderboard, and change it again.
#
# **`predict` computes** labels with nothing but NumPy and the file `model.npz`, which the training cell writes. In the file
# batch norm is folded into the layers (`fold_batchnorm`, notebook 01), so that hidden layer $n$ of member $m$ is
#
# $$ h_n = \max\big(h_{n-1} W_n + b_n,\; 0\big), \qquad h_{-1} \in \mathbb{R}^{N \times 256} \text{ the pixels as rows}, $$
#
# the last layer has no maximum, and its scores $s^{(m)}$ have the shape $(N, 20)$. The label of image $i$ is
#
# $$ \operatorname{argmax}_k \; \sum_m \operatorname{softmax}\big(s^{(m)}\big)_{ik} . $$
#
# With `views(images)` you can go one step further and sum over five views of each image as well: its letter does not change
# if it is moved by a pixel, but the network's mistake often does. (Mirror images, as in `ten_crop`, are another matter: a
# mirrored letter is another sign.)
#
# The images are given as in `data.x_val`. Whatever you did to them in training before they reached the first layer, and
# which is not random, must be done here, too.

# %% exercise="predict"
def my_design():
    """The design of the run that you hand in: a dict with those keys of PLAIN that you want to be different."""
    ### BEGIN SOLUTION
    pieces = {"norm": True, "augment": {"random_affine": [12, 0.1, [0.85, 1.15], 10]}, "l2": 1e-4}
    steps = {"units": [256, 256], "optimizer": "adam", "settings": {}, "schedule": "cosine", "rate": 0.01}
    return pieces | steps | {"views": True}
    ### END SOLUTION


def predict(images):
    """The class of each image, by the networks in model.npz.

    Inputs:
    - images: array (N, 1, 16, 16), pixels in [0, 1]; N is any number from 1 on

    Reads model.npz: arrays "m.Wn" (inputs, units) and "m.bn" (units,) for network m = 0, 1, ... and layer n = 0, 1, ...

    Returns an integer array (N,) of labels from 0 to 19. The images are left as they were.
    """
    ### BEGIN SOLUTION
    with np.load("model.npz") as file:
        weights = {name: file[name].astype(float) for name in file.files}
    members = sorted({name.split(".")[0] for name in weights})
    last = len(weights) // (2 * len(members)) - 1
    total = np.zeros((len(images), 20))
    for view in views(images):
        for m in members:
            h = view.reshape(len(view), -1)  # (N, 1, 16, 16) -> (N, 256)
            for n in range(last):
                h = np.maximum(h @ weights[f"{m}.W{n}"] + weights[f"{m}.b{n}"], 0)
            total += softmax(h @ weights[f"{m}.W{last}"] + weights[f"{m}.b{last}"])
    return total.argmax(axis=1)
    ### END SOLUTION


# %% [markdown]
# **Train and hand in.** This cell trains your design, puts it on the leaderboard and writes `model.npz`. It stores the
# weights in half precision (`float16`): three digits are plenty for weights, and the file is a quarter as large.

# %% experiment=true
def folded(net):
    """The affine layers of a network as (W, b), each with the batch norm that follows it folded in."""
    found = []
    for index, layer in enumerate(net.layers):
        if "W" in layer.params:
            W, b = layer.params["W"], layer.params["b"]
            above = net.layers[index + 1] if index + 1 < len(net.layers) else None
            if isinstance(above, Norm):
                gamma, beta, param = above.params["gamma"], above.params["beta"], above.param
                W, b = mine.fold_batchnorm(W, b, gamma, beta, param["running_mean"], param["running_var"])
            found.append((W, b))
    return found


def hand_in(nets, file="model.npz"):
    """Write the weights of all networks into a file that `predict` can read."""
    arrays = {}
    with np.errstate(all="ignore"):
        for m, net in enumerate(nets):
            for n, (W, b) in enumerate(folded(net)):
                arrays |= {f"{m}.W{n}": W.astype(np.float16), f"{m}.b{n}": b.astype(np.float16)}
    np.savez_compressed(file, allow_pickle=False, **arrays)
    print(f"{file}: {len(nets)} network(s), {Path(file).stat().st_size / 1000:,.0f} KB")


try:
    my_run = my_design()
except NotImplementedError:
    print("my_design is not written yet: the plain design is trained.")
    my_run = {}
my_nets, my_losses, my_rates = attempt("handed in", my_run)
hand_in(my_nets)

names, _, reached, errors = zip(*board.rows(), strict=True)
fig, axes = plt.subplots(1, 2, figsize=(12, 3.4))
axes[0].plot(my_losses, color=GREY, lw=0.7, label="loss of each batch")
smooth = np.convolve(my_losses, np.ones(50) / 50, "valid")
axes[0].plot(np.arange(len(smooth)) + 25, smooth, color=COLOURS[0], label="mean over 50")
axes[0].set(xlabel="step", ylabel="loss", yscale="log", title="the run that is handed in")
right = axes[0].twinx()
right.plot(my_rates, color=COLOURS[1], ls="--", label="learning rate")
right.set(ylabel="learning rate", ylim=(0, None))
right.grid(False)
axes[0].legend([*axes[0].lines, *right.lines], ["loss of each batch", "mean over 50", "learning rate"], loc="lower left")
axes[1].errorbar(reached, np.arange(len(names)), xerr=errors, fmt="o", capsize=3, color=COLOURS[0])
axes[1].set_yticks(np.arange(len(names)), names)
axes[1].invert_yaxis()
axes[1].axvline(0.5, color=GREY, ls=":")
axes[1].axvline(0.9, color=GREY, ls=":")
axes[1].set(xlabel="validation accuracy; credit between dotted lines", title="leaderboard", xlim=(0.45, 1))
plt.show()
board

# %% check="predict" points=16

# %% [markdown]
# <details><summary><b>Stuck?</b> One step at a time</summary>
#
# 1. *A question.* What reaches the first layer in `train_network`, and what shape does it have? How many layers are in your
#    file, and which of them has no maximum after it?
# 2. *A pointer.* `np.load("model.npz")` gives a file object with `.files`, the names in it. Half-precision weights lose
#    digits in long sums: `.astype(float)` first. Whatever is computed from several images together (a mean over the
#    batch) makes a label depend on its company.
# 3. *An outline.* Read the weights. For each network, and each view if you use them: pixels as rows, layer after layer,
#    softmax of the scores; add up. The position of the largest sum in each row is the label. For the design: first the
#    piece that gives you images which you do not have, then a rate that falls to zero, then width.
#
# </details>

# %% [markdown]
# **Before you hand in.** Variables that only a training cell makes, `mine` and `nnlab` are not there in the sandbox, and
# nor is a `model.npz` that was never written. To see the notebook as the grader sees it, save it and type in a terminal:
#
# ```
# autograder check 10-capstone.ipynb
# ```
#
# Notebook and `model.npz` are handed in together.

# %% [markdown]
# **Look at the mistakes.** Two numbers should agree before you trust `predict`: what the networks in memory say, with
# batch norm as a layer of its own, and what `predict` makes of the file. On the left, which class is taken for which. On
# the right the worst: images of which the network was most certain, and wrong.

# %% experiment=true
several = completed(my_run)["views"]
in_memory = probabilities(my_nets, data.x_val, several)
decided = in_memory.argmax(axis=1)
try:
    labels = np.asarray(predict(data.x_val))
    print(f"predict and the networks in memory agree on {np.sum(labels == decided)} of {len(decided)} validation images")
except NotImplementedError:
    print("predict is not written yet: these are the mistakes of the networks in memory.")
except Exception as problem:
    print(f"predict could not run ({type(problem).__name__}: {problem}): these are the mistakes of the networks in memory.")

confusion = np.zeros((20, 20), int)
np.add.at(confusion, (data.y_val, decided), 1)
mistakes = np.flatnonzero(decided != data.y_val)
worst = mistakes[np.argsort(-in_memory[mistakes, decided[mistakes]])][:12]
fig = plt.figure(figsize=(13, 5))
left, other = fig.subfigures(1, 2, width_ratios=(1, 1.15))
ax = left.subplots()
off_diagonal = np.where(np.eye(20, dtype=bool), 0, confusion)
ax.imshow(off_diagonal, cmap="Oranges", vmin=0, vmax=max(3, off_diagonal.max()))
for row, column in zip(*np.nonzero(confusion), strict=True):
    dark = off_diagonal[row, column] > 0.6 * max(3, off_diagonal.max())
    colour = GREY if row == column else "white" if dark else INK
    ax.text(column, row, confusion[row, column], ha="center", va="center", fontsize=8, color=colour)
ax.set_xticks(range(20), data.classes)
ax.set_yticks(range(20), data.classes)
ax.grid(False)
ax.set(xlabel="decided", ylabel="true class", title=f"{len(mistakes)} mistakes on {len(decided)} validation images")
for ax, image in zip(other.subplots(3, 4).flat, worst, strict=False):
    ax.imshow(data.x_val[image, 0], cmap="gray", vmin=0, vmax=1)
    said, true = (data.classes[label] for label in (decided[image], data.y_val[image]))
    ax.set_title(f"{true} taken for {said}: {in_memory[image, decided[image]]:.0%}", fontsize=9)
for ax in other.axes:
    ax.axis("off")
plt.show()
pairs = off_diagonal + off_diagonal.T
first, second = np.unravel_index(np.triu(pairs).argmax(), pairs.shape)
print(f"most often confused: {data.classes[first]} and {data.classes[second]}, {pairs[first, second]} times")

# %% [markdown]
# In the course's own run half of the mistakes are an 8 that is taken for a B, and never a B taken for an 8. The two
# differ in the left edge alone, by a pixel or two. Which of your pieces could help there, and which would do harm? A
# mistake that you can name is worth more than a tenth of a point on the leaderboard.

# %% [markdown]
# ## Experiments
#
# Your own leaderboard has one run of each design. To say what a piece is worth takes several. The runs below are measured
# on 4000 fresh images, drawn by the generator that made the task, from another seed. They are for measuring: nothing is
# trained on them, and nothing was chosen by them.

# %% [markdown]
# ### A · Everything minus one
#
# **The claim** (lecture 7): batch norm, an adaptive optimizer, a falling learning rate, data augmentation, dropout and
# averages each improve what a network reaches.
#
# Whether a piece improves things depends on what else is there. So we begin with *everything*: a network with two hidden
# layers of 128 units, batch norm, Adam with a cosine from 0.01, `random_affine`, dropout (keep 0.9), a moving average of
# the weights (decay 0.98) and the average over five views; 30,000 images, half of the budget, to keep it short. Then one
# piece at a time is taken out, all others stay. Plain SGD gets a rate of its own, chosen on the validation images as
# Adam's was: 2 (out of 0.1, 0.3, 1 and 2) against 0.01 (out of 0.003, 0.01 and 0.02, which is level). Taking over Adam's
# would prove nothing. Below are three more runs: two pieces missing at once, half as many images, and two networks with
# half of the images each.
#
# **Your guess first:** order the seven pieces by what is lost without them. For which one is it most, and is there one
# without which the network gets *better*?

# %% experiment=true
fresh = glyphs(10_000, 2468, characters=data.classes, validation=0, test=0, standardize=False)
x_fresh, y_fresh = np.rint(15 * fresh.x_train) / np.float32(15), fresh.y_train  # 16 grey levels, as the task has
x_test, y_test = x_fresh[:4000], y_fresh[:4000]

EVERYTHING = {
    "images": 30_000, "norm": True, "optimizer": "adam", "settings": {}, "rate": 0.01, "schedule": "cosine", "keep": 0.9,
    "average": 0.98, "augment": {"random_affine": [12, 0.1, [0.85, 1.15], 10]},
}  # fmt: skip
CHANGES = {
    "everything": {},
    "no batch norm": {"norm": False},
    "plain SGD for Adam": {"optimizer": "sgd_momentum", "settings": {"momentum": 0.0}, "rate": 2.0},
    "constant rate": {"schedule": "constant"},
    "no augmentation": {"augment": {}},
    "no dropout": {"keep": 1.0},
    "no average of weights": {"average": 0.0},
    "constant rate, no average of weights": {"schedule": "constant", "average": 0.0},
    "half as many images": {"images": 15_000},
    "two networks, half each": {"members": 2},
}
ASIDE = list(CHANGES)[-3:]  # not of the kind "everything minus one"


def one_and_five_views(change, seed):
    """Accuracy on fresh images with one view and with five, (2,)."""
    nets, _, _ = run(EVERYTHING | change | {"seed": seed})
    return [accuracy(nets, x_test, y_test, several) for several in (False, True)]


number = seeds(quick=3, full=8)
result = sweep(one_and_five_views, list(CHANGES.values()), seeds=number)
one, five = result.values[..., 0], result.values[..., 1]  # (seeds, changes)
runs = dict(zip(CHANGES, five.T, strict=True))
runs["no average of views"] = one[:, 0]
order = [name for name in runs if name not in ("everything", *ASIDE)]
order.sort(key=lambda name: runs[name].mean())
shown = ["everything", *order, *ASIDE]
lost = {name: 100 * (runs[name] - runs["everything"]) for name in shown[1:]}  # the same seeds on both sides
spread = {name: values.std(ddof=1) / np.sqrt(number) for name, values in lost.items()}
print(f"everything: {runs['everything'].mean():.1%} ± {runs['everything'].std(ddof=1) / np.sqrt(number):.1%}")
for name in shown[1:]:
    print(f"{name:37s}{runs[name].mean():.1%}, that is {lost[name].mean():+5.1f} ± {spread[name]:.1f} points")

fig, axes = plt.subplots(1, 2, figsize=(12.5, 4.4), sharey=True, width_ratios=(1.2, 1))
places = np.arange(len(shown[1:])) + np.repeat([0, 0.6], [len(order), 3])
colours = [COLOURS[0]] * len(order) + [COLOURS[2]] * 3
for ax, limits in zip(axes, ((None, 3), (-5.5, 2.5)), strict=True):
    for place, name, colour in zip(places, shown[1:], colours, strict=True):
        ax.barh(place, lost[name].mean(), color=colour, alpha=0.85)
        ax.errorbar(lost[name].mean(), place, xerr=spread[name], color=INK, capsize=3, lw=1.2)
        ax.plot(lost[name], np.full(number, place), "o", color="white", mec=INK, ms=4)
    ax.axvline(0, color=INK, lw=1)
    ax.set(xlabel="points gained or lost against everything", xlim=limits)
axes[0].set_yticks(places, shown[1:])
axes[0].invert_yaxis()
axes[0].set_title(f"everything minus one, {number} seeds")
axes[1].set_title("the same, closer")
plt.show()
helps = [name for name in order if lost[name].mean() < -2 * spread[name]]
hurts = [name for name in order if lost[name].mean() > 2 * spread[name]]
record(
    "10/everything-minus-one",
    claim="batch norm, Adam, a falling rate, augmentation, dropout and averages each improve the result",
    source="CS231n, Lecture 7",
    measured=f"everything {runs['everything'].mean():.1%} on fresh images; points against it: "
    + ", ".join(f"{name} {lost[name].mean():+.1f} ± {spread[name]:.1f}" for name in shown[1:]),
    agrees="yes" if len(helps) == len(order) else "partly" if helps else "no",
    seeds=number,
)

# %% [markdown]
# **What was seen.** Everything together is right on 92.0% of the fresh images. Without augmentation it is 77%, fifteen
# points less. That is three times what batch norm is worth (4.7), and five times the average over five views (2.9), which
# needs no training at all. Then nothing comes for a long while. Adam and plain SGD are level, once each has a rate of its
# own (SGD's is two hundred times Adam's: take over the one for the other and the comparison is worthless). **Without
# dropout the network is better**, by 1.3 points. A hypothesis: dropout is there against learning by heart, and with
# augmented images the network never sees the same image twice; what it lacks is time, and dropout makes learning slower.
#
# A constant rate is better by 1.0 points than a falling one, and the average of the weights is worth nothing? Look at the
# first green bar. With a constant rate *and* the last weights it is 2.2 ± 0.6 points worse than with everything. Both
# pieces take the noise out of the last steps, as notebook 06 has shown; each can stand in for the other. *Everything
# minus one* asks what a piece adds to all others, not what it is worth.
#
# The budget counts as much as a good piece: half as many images cost 5.8 points. Two networks that share the images cost
# 5.0 points: two half-trained opinions are worse than one that is well trained. **So three of the seven pieces improve
# the result here.** Four do not, two of these because they stand in for each other. The lecture's two per cent for
# ensembles are for networks that are all trained to the end.
#
# *When it would not hold:* with a hundred times the budget the network would come to know the augmented images by heart
# as well, and dropout and ensembles would have something to do. With fifty thousand training images augmentation would be
# worth less. On a deep network batch norm would be worth more.

# %% [markdown]
# ### B · The best of many tries
#
# **The claim** (CS231n notes, *Image Classification*; Cawley & Talbot 2010): who chooses among tries by their accuracy on
# the validation images must not report that accuracy: it is too good.
#
# Two kinds of tries, ten of each, with 8000 training images a try. *Designs*: rate, units, dropout and strength of
# augmentation drawn at random. *Seeds*: one design ten times, nothing differs but the seed. We take the first $k$ of
# them, choose the best by a validation set and ask two questions. What did it reach on that set? And what does it reach
# on other images? Ten thousand fresh images, cut into pieces, give twenty validation sets of 500 images, or a hundred
# sets of 100; the truth is measured on all images that are not in the set.
#
# **Your guess first:** by how many points is the best of ten too good with 500 images, and with 100? And is it worth
# while to try several seeds?

# %% experiment=true
TRIES = 10


def a_design(rng):
    """Drawn at random."""
    turn, shift, zoom = rng.uniform(0, 25), rng.uniform(0, 0.15), rng.uniform(0, 0.3)
    return {
        "norm": True, "optimizer": "adam", "settings": {}, "schedule": "cosine",
        "rate": float(np.exp(rng.uniform(np.log(0.001), np.log(0.05)))), "keep": float(rng.uniform(0.8, 1)),
        "units": [int(rng.integers(50, 200))] * 2,
        "augment": {"random_affine": [turn, shift, [1 - zoom, 1 + zoom], rng.uniform(0, 20)]},
    }  # fmt: skip


def right_answers(kind, seed):
    """Which of the fresh images each of ten tries gets right, (tries, 10,000)."""
    rng = np.random.default_rng(seed)
    same = EVERYTHING | {"average": 0.0, "keep": 1.0}
    found = []
    for n in range(TRIES):
        design = (a_design(rng) if kind == "designs" else same) | {"images": 8000, "seed": 100 * seed + n}
        nets, _, _ = run(design)
        found.append(probabilities(nets, x_fresh).argmax(axis=1) == y_fresh)
    return np.array(found)


def chosen_by(right, images, rng):
    """What the best of the first 1..10 tries reached on the set that chose it, and on all other images: (2, tries).

    The mean over all sets of `images` images, each with ten orders of the tries."""
    sets = right.reshape(TRIES, -1, images)
    reached = sets.mean(axis=2).T  # (sets, tries)
    truth = ((right.sum(axis=1)[:, None] - sets.sum(axis=2)) / (right.shape[1] - images)).T
    found = np.zeros((2, TRIES))
    for _ in range(10):
        order = rng.permuted(np.tile(np.arange(TRIES), (len(reached), 1)), axis=1)
        in_order = np.take_along_axis(reached, order, axis=1)
        for k in range(TRIES):
            best = order[np.arange(len(order)), in_order[:, : k + 1].argmax(axis=1)]
            found[:, k] += [values[np.arange(len(order)), best].mean() / 10 for values in (reached, truth)]
    return found


def best_of(kind, seed):
    """With sets of 500 images, then of 100: accuracy on the set that chose, and the truth: (2, 2, tries)."""
    right, rng = right_answers(kind, seed), np.random.default_rng(seed)
    return [chosen_by(right, images, rng) for images in (500, 100)]


number = seeds(quick=3, full=6)
result = sweep(best_of, ["designs", "seeds"], seeds=number)  # (seeds, kinds, 2, 2, tries)
counts = np.arange(1, TRIES + 1)
fig, axes = plt.subplots(1, 2, figsize=(12, 4.2), sharey=True)
said = []
for kind, (name, ax) in enumerate(zip(("designs", "seeds"), axes, strict=True)):
    values = 100 * result.values[:, kind]
    for row, images, colour in ((0, 500, COLOURS[0]), (1, 100, COLOURS[1])):
        found, truth = values[:, row, 0], values[:, row, 1]  # (seeds, tries)
        curves_with_errors(counts, found, f"on the {images} images that chose", ax, color=colour)
        curves_with_errors(counts, truth, f"in truth, chosen by {images}", ax, color=colour, ls="--")
        gap, gain = found[:, -1] - truth[:, -1], truth[:, -1] - truth[:, 0]
        errors = [part.std(ddof=1) / np.sqrt(number) for part in (gap, gain)]
        print(f"best of {TRIES} {name} by {images} images: too good by {gap.mean():.1f} ± {errors[0]:.1f} points, "
              f"in truth {gain.mean():+.1f} ± {errors[1]:.1f} against the first try")  # fmt: skip
        said.append((f"{name}, {images} images", gap.mean(), errors[0], gain.mean()))
    ax.set(xlabel="tries to choose from", title=f"{TRIES} {name}, {number} times")
axes[0].set_ylabel("accuracy, %")
axes[0].legend(fontsize=9)
plt.show()
record(
    "10/best-of-many-tries",
    claim="the validation accuracy of the best of many tries is too good",
    source="CS231n notes, Image Classification; Cawley & Talbot 2010",
    measured=f"best of {TRIES}, points above the truth: "
    + "; ".join(f"{name} {gap:.1f} ± {error:.1f} (truly gained {gain:+.1f})" for name, gap, error, gain in said),
    agrees="yes" if all(gap > 2 * error for _, gap, error, _ in said) else "partly",
    seeds=number,
)

# %% [markdown]
# **What was seen.** Both things happen at once. Among *designs* the search is worth its price: the best of ten is in
# truth 12 points better than the first one, since bad rates are weeded out. But it is not as good as it looks: 3.0 ± 0.3
# points too good by 100 images. By 500 it is 0.6 ± 0.3, which is at the edge of what three repetitions can tell.
#
# Among *seeds* nearly all of the gain is an illusion. By 500 images the best of ten seems to be two points better than
# the first and is 0.2 better; by 100 images it seems to be almost five better and is 0.1 better. Tries that are alike
# differ by luck, and the maximum of ten lucky draws is a lucky draw. A larger validation set shrinks the luck, more tries
# make it grow.
#
# So: search among designs, don't search among seeds (average their predictions instead, if the budget allows), and do not
# be surprised when the hidden images say less than your leaderboard. It is not bad luck, it is the end of the good luck.
#
# *When it would not hold:* with 50,000 validation images the standard error is a tenth of a point, and one may choose among
# hundreds of tries before it shows.

# %% [markdown]
# ## Questions
#
# Answer in a few sentences each, in your own words.

# %% [markdown] question="what-each-piece-brought" points=4
# **Q1.** What did each piece of *your* design bring, by your own numbers? Name the tries that you compare, say how large
# the differences are against their standard errors, and name one piece that you would leave out next time. Why can a
# table of "everything minus one" make two useful pieces look useless?
#
# ### BEGIN SOLUTION
# **A good answer** names pairs of tries that differ in one piece, with their accuracies: in experiment A the augmented
# images are worth fifteen points, most other pieces a few points or nothing. It holds a difference of one or two points
# on 500 images against its standard error of about one point and does not call it a finding, or repeats it with several
# seeds. A piece is left out because its runs show no gain (dropout, here) or because another does its work. Everything
# minus one asks what a piece adds *to all the others*. If two pieces do the same job (a falling rate and an average of
# the weights both take out the noise of the last steps), either can go without loss, and only without both does one see
# what they are worth.
#
# **Marking scheme:** 1 point for comparisons that change one thing, with numbers of the reader's own; 1 point for
# standard errors or seeds; 1 point for a piece to leave out, with a reason from the numbers; 1 point for pieces that
# replace each other.
# ### END SOLUTION

# %% [markdown] question="what-to-expect-on-hidden-images" points=3
# **Q2.** The best of your tries is right on so many percent of the validation images. What do you expect on the hidden
# ones: the same, more or less? Give two reasons for a difference, and say which of them a larger validation set makes
# smaller.
#
# ### BEGIN SOLUTION
# **A good answer:** Less, by one or two points. First, it was chosen: the best of several tries is partly the best one
# and partly the luckiest on these 500 images, and luck does not repeat itself. The more tries, the more alike they are
# and the smaller the validation set, the larger is this part (experiment B). Second, chance: even with nothing chosen, a
# share measured on 500 images has a standard error of about one point, and so has one on 1000 hidden images (0.7 points),
# in either direction. A larger validation set makes both smaller. (The model run: 97.4% on validation, 95.8% on the
# hidden set that ships.)
#
# **Marking scheme:** 1 point for selection, with its direction; 1 point for the chance of the sample, in either
# direction; 1 point for the role of the set's size.
# ### END SOLUTION

# %% [markdown] question="why-no-batch-at-test-time" points=2
# **Q3.** Somebody's `predict` normalises the features with the mean and variance of the images that it is given, and is
# right on 93% of a batch of 1000. Why does it lose points all the same, and what happens to an image that comes alone?
# What does folding do about it?
#
# ### BEGIN SOLUTION
# **A good answer:** The label of an image then depends on the images that happen to come with it: the same letter can be
# an 8 in one batch and a B in another, and nobody can rely on such an answer. Alone, an image is its own mean: every
# feature becomes 0 before gamma and beta, whatever was in the picture, and all images get the same label. With running
# statistics batch norm is one fixed affine map; folding multiplies it into the weights and the bias of the layer below,
# and there is no statistic left that could come from the batch.
#
# **Marking scheme:** 1 point for the dependence on company, or for the single image whose features all become 0; 1 point
# for running statistics as constants that are folded into the layer.
# ### END SOLUTION

# %% [markdown]
# ## Remember
#
# 1. Begin plain, look at what limits you, change one thing, measure, write it down. The gap between training and validation
#    accuracy says which half of the table of pieces to look at.
# 2. A piece has no worth of its own: it depends on what else is there. Here augmented images were worth more than
#    everything else, and batch norm with Adam did harm without them.
# 3. Pieces that do the same job replace each other. Taking out one at a time does not show it.
# 4. What was chosen is not as good as it looked when it was chosen. Keep images for the last question, and ask it once.
# 5. At test time nothing may come from the batch. Fold what can be folded, and compare the folded network with the one
#    that was trained before you trust it.
#
# **Where to read on.** A. Karpathy, *A Recipe for Training Neural Networks*, 2019: the way of working, by somebody who
# has done it often. L. Smith, *A disciplined approach to neural network hyper-parameters*, 2018 (arXiv:1803.09820). J.
# Bergstra and Y. Bengio, *Random Search for Hyper-Parameter Optimization*, 2012: why designs are drawn at random. G.
# Cawley and N. Talbot, *On Over-fitting in Model Selection and Subsequent Selection Bias in Performance Evaluation*,
# 2010. C. Dwork et al., *The reusable holdout*, 2015: how often one may ask the same images. T. He et al., *Bag of Tricks
# for Image Classification with Convolutional Neural Networks*, 2019 (arXiv:1812.01187): the same exercise on a large
# network, with an ablation.
