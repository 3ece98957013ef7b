"""The course's own ensembles: averages of predictions and of weights, with the names, signatures and conventions of the
exercises. An experiment uses them where the reader's function does not pass its check yet.

Predictions are probabilities (N, K), one row an example; a network's parameters are a dict, name to array.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from nnlab.layers import Array
from nnlab.network import Labels

Params = dict[str, Array]


def average_probabilities(prob_list: Sequence[Array]) -> Array:
    """The mean (N, K) of the members' probabilities, each (N, K)."""
    total = np.zeros_like(prob_list[0])
    for probabilities in prob_list:
        total += probabilities
    return total / len(prob_list)


def ensemble_accuracy(prob_list: Sequence[Array], y: Labels) -> float:
    """The share of examples whose right class `y` (N,) has the largest averaged probability."""
    return float(np.mean(average_probabilities(prob_list).argmax(axis=1) == y))


def polyak_average(average: Mapping[str, Array], params: Mapping[str, Array], t: int) -> Params:
    """The mean of t + 1 parameter sets: `average` is that of the first t, `params` the newest (Polyak & Juditsky 1992).

    With t = 0 it does not matter what `average` holds.
    """
    return {name: average[name] + (value - average[name]) / (t + 1) for name, value in params.items()}


def exponential_moving_average(
    average: Mapping[str, Array], params: Mapping[str, Array], decay: float, t: int | None = None
) -> Params:
    """decay · average + (1 - decay) · params.

    With `t`, the number of sets already in `average`, the weights of all sets sum to 1 at every step: the sum
    1 - decay^(t + 1) that they would have after a start at zero is divided out, as in Adam (Kingma & Ba 2015,
    arXiv:1412.6980, section 3).
    """
    newest = 1 - decay if t is None else (1 - decay) / (1 - decay ** (t + 1))
    return {name: (1 - newest) * average[name] + newest * value for name, value in params.items()}


def snapshot_steps(T: int, cycles: int) -> list[int]:
    """The last step (0-based) of each of `cycles` cycles of T // cycles steps (Huang et al. 2017, arXiv:1704.00109)."""
    length = T // cycles
    return [length * number - 1 for number in range(1, cycles + 1)]


def snapshot_learning_rate(t: int, T: int, cycles: int, lr0: float) -> float:
    """Half a cosine from `lr0` towards 0 in each cycle of T // cycles steps (the same paper, equation 2); t from 0."""
    length = T // cycles
    return lr0 / 2 * (1 + math.cos(math.pi * (t % length) / length))


def recompute_batchnorm_statistics(
    batches: Iterable[ArrayLike], forward: Callable[[ArrayLike], Array]
) -> tuple[Array, Array]:
    """Mean and biased variance (D,) of `forward(batch)` (n, D) over all examples of all batches, of any sizes.

    `forward` gives what the batch norm layer will see (Izmailov et al. 2018, arXiv:1803.05407, section 3.2).
    """
    seen = np.concatenate([forward(batch) for batch in batches])
    return seen.mean(axis=0), seen.var(axis=0)
