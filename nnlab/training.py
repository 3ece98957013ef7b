"""The training loop of all experiments: mini-batches, an optimizer, a learning rate, and a record of what happened."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlab.datasets import Data
from nnlab.layers import Array, Seed
from nnlab.network import Labels, Sequential
from nnlab.progress import progress_bar

Update = Callable[[Array, Array, dict[str, Any]], tuple[Array, dict[str, Any]]]


@dataclass(frozen=True)
class History:
    """What a training run did. Accuracies were taken after `eval_steps` steps, the last ones at the end."""

    losses: NDArray[np.float64]  # (steps,) of each mini-batch
    eval_steps: NDArray[np.int64]  # (evaluations,)
    train_accuracies: NDArray[np.float64]  # (evaluations,) on the first training examples, as many as validation has
    val_accuracies: NDArray[np.float64]  # (evaluations,)
    seconds: float
    diverged: bool  # a loss was not finite, and training stopped there

    @property
    def train_accuracy(self) -> float:
        """At the end."""
        return float(self.train_accuracies[-1])

    @property
    def val_accuracy(self) -> float:
        """At the end."""
        return float(self.val_accuracies[-1])

    def __str__(self) -> str:
        end = f"diverged at step {len(self.losses)}" if self.diverged else f"{len(self.losses)} steps"
        return f"{end} in {self.seconds:.1f} s, accuracy: train {self.train_accuracy:.3f}, val {self.val_accuracy:.3f}"


def minibatches(x: Array, y: Labels, batch_size: int, rng: np.random.Generator) -> Iterator[tuple[Array, Labels]]:
    """Batches without end, in a new random order each epoch. All have `batch_size` examples: what is left over at the
    end of an epoch is left out."""
    batch_size = min(batch_size, len(x))
    while True:
        order = rng.permutation(len(x))
        shuffled_x, shuffled_y = x[order], y[order]
        for start in range(0, len(x) - batch_size + 1, batch_size):
            yield shuffled_x[start : start + batch_size], shuffled_y[start : start + batch_size]


def train(
    net: Sequential,
    data: Data,
    *,
    steps: int | None = None,
    epochs: float | None = None,
    batch_size: int = 100,
    learning_rate: float | None = None,
    rng: Seed = 0,
    momentum: float = 0.9,
    schedule: Callable[[int], float] | None = None,
    update: Update | None = None,
    config: dict[str, Any] | None = None,
    eval_every: int | None = None,
    on_step: Callable[[int, Sequential], object] | None = None,
    progress: bool | None = None,
) -> History:
    """Train `net` in place for `steps` mini-batches, or for `epochs` (10 if neither is given).

    learning_rate: 0.05 for the built-in SGD with `momentum` unless given; the optimizer's own default with `update`.
    schedule:      the learning rate as a function of the step (0-based), instead of `learning_rate`.
    update:        an optimizer `(w, dw, config) -> (next_w, config)`, called for each parameter array with its own
                   config, which starts as a copy of `config` and has the step's `learning_rate` in it.
    eval_every:    steps between accuracies; ten a run by default, only at the end with 0.
    on_step:       called as `on_step(t, net)` after step t (0-based).
    progress:      a progress bar or none; by default only where somebody watches.

    A loss that is not finite ends the run, with `History.diverged` set and no warning. Raises ValueError for both
    `steps` and `epochs`.
    """
    if steps is not None and epochs is not None:
        raise ValueError("give steps or epochs, not both")
    x, y = data.x_train.astype(net.dtype, copy=False), data.y_train
    if steps is None:
        steps = round((10 if epochs is None else epochs) * max(1, len(x) // batch_size))
    eval_every = max(1, steps // 10) if eval_every is None else eval_every or steps
    rate_at = schedule or (lambda t: 0.05 if learning_rate is None else learning_rate)
    if update is None:
        step_by = _momentum(net, momentum)
    else:
        own_rate = schedule is None and learning_rate is None
        step_by = _rule(net, update, config or {}, own_rate)

    sample = slice(0, max(1, len(data.x_val)))
    losses: list[float] = []
    evaluations: list[tuple[int, float, float]] = []

    def evaluate() -> None:
        accuracies = net.accuracy(x[sample], y[sample]), net.accuracy(data.x_val, data.y_val)
        evaluations.append((len(losses), *accuracies))

    begin = time.perf_counter()
    batches = minibatches(x, y, batch_size, np.random.default_rng(rng))
    diverged = False
    with np.errstate(all="ignore"), progress_bar(steps, "training", progress) as advance:
        for t in range(steps):
            loss, _ = net.loss_and_grads(*next(batches))
            losses.append(loss)
            diverged = not math.isfinite(loss)
            if diverged:
                break
            step_by(float(rate_at(t)))
            if on_step:
                on_step(t, net)
            if (t + 1) % eval_every == 0:
                evaluate()
            advance()
        if not evaluations or evaluations[-1][0] != len(losses):
            evaluate()
    eval_steps, train_accuracies, val_accuracies = zip(*evaluations, strict=True)
    return History(
        losses=np.array(losses),
        eval_steps=np.array(eval_steps),
        train_accuracies=np.array(train_accuracies),
        val_accuracies=np.array(val_accuracies),
        seconds=time.perf_counter() - begin,
        diverged=diverged,
    )


def _momentum(net: Sequential, mu: float) -> Callable[[float], None]:
    """SGD with momentum on the whole network at once: v = mu v - lr g; w = w + v."""
    velocity, scratch = np.zeros_like(net.weights), np.empty_like(net.weights)

    def step(rate: float) -> None:
        np.multiply(velocity, mu, out=velocity)
        np.multiply(net.gradient, rate, out=scratch)
        np.subtract(velocity, scratch, out=velocity)
        np.add(net.weights, velocity, out=net.weights)

    return step


def _rule(net: Sequential, update: Update, config: dict[str, Any], own_rate: bool) -> Callable[[float], None]:
    """Any optimizer, one parameter array at a time."""
    configs = {name: dict(config) for name in net.params}

    def step(rate: float) -> None:
        for name, w in net.params.items():
            if not own_rate:
                configs[name]["learning_rate"] = rate
            next_w, configs[name] = update(w, net.grads[name], configs[name])
            w[...] = next_w

    return step
