"""Assignment 06, model ensembles: averaging predictions, averaging weights, and what averaging breaks.

Networks are dicts of parameters, name to array; predictions are probabilities (N, K), one row an example.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from autograder.checks import equals, leaves_inputs
from autograder.exercise import Exercise, Functions, Misconception, Observations, StudentError

Array = np.ndarray
Params = dict[str, Array]

# --- average_probabilities and ensemble_accuracy --------------------------------------------------------------------


def average_probabilities(prob_list: Sequence[Array]) -> Array:
    """The mean (N, K) of the members' probabilities, each (N, K)."""
    return np.mean(np.stack(list(prob_list)), axis=0)


def ensemble_accuracy(prob_list: Sequence[Array], y: Array) -> float:
    """The share of examples on which the averaged probabilities are largest for the right class. y (N,) of classes."""
    return float(np.mean(np.argmax(average_probabilities(prob_list), axis=1) == np.asarray(y)))


def _probabilities(rng: np.random.Generator, members: int, n: int, k: int, sharp: float = 2.0) -> list[Array]:
    scores = np.exp(sharp * rng.standard_normal((members, n, k)))
    return list(scores / scores.sum(axis=2, keepdims=True))


def _averages(play: Functions, rng: np.random.Generator) -> Observations:
    return {
        f"average of {members} members": play.average_probabilities(_probabilities(rng, members, n, k))
        for members, n, k in ((3, 4, 5), (5, 6, 3), (1, 2, 4))
    }


def _idea(name: str, id: str, message: str, wrong: Callable[..., Any]) -> Misconception:
    return Misconception(id, message, {name: wrong})


def _geometric(prob_list: Sequence[Array]) -> Array:
    product = np.exp(np.mean(np.log(np.stack(prob_list)), axis=0))
    return np.asarray(product / product.sum(axis=1, keepdims=True))


def _one_hot_votes(prob_list: Sequence[Array]) -> Array:
    return np.mean([np.eye(p.shape[1])[np.argmax(p, axis=1)] for p in prob_list], axis=0)


AVERAGE_PROBABILITIES = Exercise(
    name="average_probabilities",
    asks="What an ensemble predicts: the mean of its members' probabilities.",
    reference=average_probabilities,
    returns=("probabilities",),
    checks=(
        equals("is the mean of the members' probabilities, for each example and class", 2, _averages),
        leaves_inputs(1, _averages),
    ),
    misconceptions=(
        _idea(
            "average_probabilities",
            "summed",
            "You add the members up. Divide by their number, so that each row sums to 1.",
            lambda prob_list: np.sum(prob_list, axis=0),
        ),
        _idea(
            "average_probabilities",
            "geometric-mean",
            "You average the logarithms: that is the geometric mean. Here it is the ordinary one.",
            _geometric,
        ),
        _idea(
            "average_probabilities",
            "votes",
            "You count votes: each member's favourite. That throws away how sure it was. Average the probabilities.",
            _one_hot_votes,
        ),
        _idea(
            "average_probabilities",
            "over-the-examples",
            "You average over the examples. Average over the members: the first axis once they are stacked.",
            lambda prob_list: np.stack(prob_list).mean(axis=1),
        ),
        _idea(
            "average_probabilities",
            "last-member-only",
            "Your average holds one member only.",
            lambda prob_list: np.array(prob_list[-1]),
        ),
        _idea(
            "average_probabilities",
            "largest",
            "You take the largest probability among the members. Take the mean.",
            lambda prob_list: np.max(prob_list, axis=0),
        ),
        _idea(
            "average_probabilities",
            "median",
            "You take the median of the members. Take the mean.",
            lambda prob_list: np.median(prob_list, axis=0),
        ),
    ),
    hints=(
        "How many numbers does the ensemble predict for one example?",
        "np.stack puts the members along a new first axis.",
        "The mean over that axis.",
    ),
)


def _decisive(rng: np.random.Generator) -> tuple[list[Array], Array]:
    """Members and labels for which averaging, voting, and the mean of the members' accuracies all differ."""
    members = _probabilities(rng, 3, 60, 4, sharp=1.5)
    y = rng.integers(0, 4, 60)
    y[:20] = np.argmax(np.mean(members, axis=0), axis=1)[:20]
    return members, y


def _accuracies(play: Functions, rng: np.random.Generator) -> Observations:
    return {f"accuracy {number}": play.ensemble_accuracy(*_decisive(rng)) for number in (1, 2)}


def _against_the_vote(play: Functions, rng: np.random.Generator) -> Observations:
    """Two members lean a little to class 0, one is sure of class 1: the average says 1, the vote 0."""
    lean, sure = rng.uniform(0.51, 0.6, (2, 5)), rng.uniform(0.9, 0.99, 5)
    members = [np.stack([p, 1 - p], axis=1) for p in (*lean, 1 - sure)]
    return {
        "accuracy where one sure member outweighs two doubtful ones": play.ensemble_accuracy(
            members, np.ones(5, dtype=int)
        )
    }


ENSEMBLE_ACCURACY = Exercise(
    name="ensemble_accuracy",
    asks="How often the ensemble is right.",
    reference=ensemble_accuracy,
    returns=("accuracy",),
    checks=(
        equals("is the share of examples that the averaged prediction gets right", 2, _accuracies),
        equals("averages probabilities rather than votes", 1, _against_the_vote),
        leaves_inputs(1, _accuracies),
    ),
    misconceptions=(
        _idea(
            "ensemble_accuracy",
            "mean-of-accuracies",
            "You average the members' accuracies. The ensemble's is that of the averaged prediction, and usually higher.",
            lambda prob_list, y: float(np.mean([np.mean(np.argmax(p, axis=1) == y) for p in prob_list])),
        ),
        _idea(
            "ensemble_accuracy",
            "votes",
            "You let the members vote. Average their probabilities instead: a sure member then counts for more.",
            lambda prob_list, y: float(np.mean(np.argmax(_one_hot_votes(prob_list), axis=1) == y)),
        ),
        _idea(
            "ensemble_accuracy",
            "best-member",
            "You take the best member's accuracy. The ensemble has one prediction of its own.",
            lambda prob_list, y: float(max(np.mean(np.argmax(p, axis=1) == y) for p in prob_list)),
        ),
        _idea(
            "ensemble_accuracy",
            "any-member-right",
            "You count an example as right when any member is. The ensemble must choose one class.",
            lambda prob_list, y: float(np.mean(np.any([np.argmax(p, axis=1) == y for p in prob_list], axis=0))),
        ),
        _idea(
            "ensemble_accuracy",
            "count-not-share",
            "You count the right answers. Asked for is their share.",
            lambda prob_list, y: float(np.sum(np.argmax(np.mean(prob_list, axis=0), axis=1) == y)),
        ),
        _idea(
            "ensemble_accuracy",
            "error",
            "That is the error. The accuracy is 1 minus it.",
            lambda prob_list, y: 1 - ensemble_accuracy(prob_list, y),
        ),
        _idea(
            "ensemble_accuracy",
            "percent",
            "You return percent. The accuracy lies between 0 and 1.",
            lambda prob_list, y: 100 * ensemble_accuracy(prob_list, y),
        ),
        _idea(
            "ensemble_accuracy",
            "mean-probability",
            "You average the probability of the right class. The accuracy counts decisions.",
            lambda prob_list, y: float(np.mean(np.mean(prob_list, axis=0)[np.arange(len(y)), y])),
        ),
    ),
    hints=(
        "First average, then decide: or first decide, then average?",
        "np.argmax along the classes turns the averaged probabilities into decisions.",
        "The mean of decision == y.",
    ),
    builds_on=("average_probabilities",),
    composed=lambda play: (
        lambda prob_list, y: float(np.mean(np.argmax(play.average_probabilities(prob_list), axis=1) == y))
    ),
)

# --- polyak_average -------------------------------------------------------------------------------------------------


def polyak_average(average: Mapping[str, Array], params: Mapping[str, Array], t: int) -> Params:
    """The mean of t + 1 parameter sets, from the mean of the first t and the newest (Polyak & Juditsky 1992)."""
    return {name: average[name] + (params[name] - average[name]) / (t + 1) for name in params}


def _network(rng: np.random.Generator) -> Params:
    return {"0.W": rng.standard_normal((3, 2)), "0.b": rng.standard_normal(2), "1.W": 5 + rng.standard_normal((2, 4))}


def _as_params(value: Any, what: str) -> Params:
    if not isinstance(value, dict):
        raise StudentError("form", f"{what} is a {type(value).__name__}, wanted a dict of name to array")
    return value


def _named(params: Any, when: str) -> Observations:
    found = _as_params(params, f"the average {when}")
    return {f"{name} {when}": found.get(name) for name in ("0.W", "0.b", "1.W")}


def _polyak_single(play: Functions, rng: np.random.Generator) -> Observations:
    found: Observations = {}
    for t in (1, 2, 7):
        found |= _named(play.polyak_average(_network(rng), _network(rng), t), f"with t={t}")
    return found


def _polyak_from_scratch(play: Functions, rng: np.random.Generator) -> Observations:
    """From nothing in it to the mean of four sets."""
    average: Any = {name: np.full_like(value, 9.0) for name, value in _network(rng).items()}
    found: Observations = {}
    for t in range(4):
        average = play.polyak_average(average, _network(rng), t)
        if t in (0, 3):
            found |= _named(average, f"after {t + 1} sets")
    return found


def _polyak_inputs(play: Functions, rng: np.random.Generator) -> Observations:
    return _unchanged(lambda average, params: play.polyak_average(average, params, 2), rng)


def _unchanged(call: Callable[[Params, Params], Any], rng: np.random.Generator) -> Observations:
    """Whether the dicts that were handed over still hold what they held. (A scenario sees dicts as they were left.)"""
    average, params = _network(rng), _network(rng)
    before = (
        {name: value.copy() for name, value in average.items()},
        {name: value.copy() for name, value in params.items()},
    )
    call(average, params)
    kept = all(
        set(now) == set(then) and all(np.array_equal(now[name], then[name]) for name in then)
        for now, then in zip((average, params), before, strict=True)
    )
    return {"average and params are as before": kept}


def _average_with(weight: Callable[[int], float]) -> Callable[..., Params]:
    def average_of(average: Params, params: Params, t: int) -> Params:
        w = weight(t)
        return {name: (1 - w) * average[name] + w * params[name] for name in params}

    return average_of


def _polyak_in_place(average: Params, params: Params, t: int) -> Params:
    for name in params:
        average[name] += (params[name] - average[name]) / (t + 1)
    return average


POLYAK_AVERAGE = Exercise(
    name="polyak_average",
    asks="The mean of all parameter sets so far, one at a time.",
    reference=polyak_average,
    returns=("average",),
    checks=(
        equals("weighs the newest set by 1 / (t + 1)", 2, _polyak_single),
        equals("is the mean of all sets, also from t = 0", 1, _polyak_from_scratch),
        equals("leaves its inputs as they were", 1, _polyak_inputs, supporting=True),
    ),
    misconceptions=(
        _idea(
            "polyak_average",
            "t-already-counted",
            "You weigh the new set by 1 / t. t sets are in the average already; the new one is number t + 1.",
            _average_with(lambda t: 1 / max(t, 1)),
        ),
        _idea(
            "polyak_average",
            "halved",
            "You average the average and the newest set: the first sets then fade. Weigh the newest by 1 / (t + 1).",
            _average_with(lambda t: 0.5),
        ),
        _idea(
            "polyak_average",
            "weights-swapped",
            "The weights are swapped: the newest set gets 1 / (t + 1), the average the rest.",
            _average_with(lambda t: t / (t + 1)),
        ),
        _idea(
            "polyak_average",
            "one-too-many",
            "You weigh the new set by 1 / (t + 2): the average is pulled to where it began.",
            _average_with(lambda t: 1 / (t + 2)),
        ),
        _idea(
            "polyak_average",
            "newest-only",
            "You return the newest set.",
            _average_with(lambda t: 1.0),
        ),
        _idea(
            "polyak_average",
            "running-sum",
            "You add the new set whole: that is a sum. Divide by the number of sets.",
            lambda average, params, t: {name: average[name] + params[name] / (t + 1) for name in params},
        ),
        _idea(
            "polyak_average",
            "in-place",
            "You change the old average in place. Return a new dict with new arrays.",
            _polyak_in_place,
        ),
    ),
    hints=(
        "The mean of three numbers is 5, and a fourth number is 9. What is the mean of the four?",
        "New mean = old mean + (newest - old mean) / how many there are now.",
        "A new dict; for each name that formula with t + 1.",
    ),
)

# --- exponential_moving_average -------------------------------------------------------------------------------------


def exponential_moving_average(
    average: Mapping[str, Array], params: Mapping[str, Array], decay: float, t: int | None = None
) -> Params:
    """decay * average + (1 - decay) * params; with t (the number of sets averaged before) a mean that is not biased to a
    start at zero: the weights are divided by 1 - decay**(t + 1) (Kingma & Ba 2015, section 3)."""
    if t is None:
        return {name: decay * average[name] + (1 - decay) * params[name] for name in params}
    before, after = 1 - decay**t, 1 - decay ** (t + 1)
    return {name: (decay * before * average[name] + (1 - decay) * params[name]) / after for name in params}


def _ema_plain(play: Functions, rng: np.random.Generator) -> Observations:
    found: Observations = {}
    for decay in (0.7, 0.95):
        found |= _named(play.exponential_moving_average(_network(rng), _network(rng), decay), f"with decay {decay}")
    return found


def _ema_corrected(play: Functions, rng: np.random.Generator) -> Observations:
    average: Any = {name: np.zeros_like(value) for name, value in _network(rng).items()}
    found: Observations = {}
    for t in range(4):
        average = play.exponential_moving_average(average, _network(rng), 0.8, t)
        found |= _named(average, f"after {t + 1} sets with t")
    return found


def _ema_inputs(play: Functions, rng: np.random.Generator) -> Observations:
    return _unchanged(lambda average, params: play.exponential_moving_average(average, params, 0.9), rng)


def _ema_idea(id: str, message: str, weights: Callable[[float, int | None], tuple[float, float]]) -> Misconception:
    """A moving average that weighs (old, new) by what ``weights(decay, t)`` says."""

    def average_of(average: Params, params: Params, decay: float, t: int | None = None) -> Params:
        old, new = weights(decay, t)
        return {name: old * average[name] + new * params[name] for name in params}

    return Misconception(id, message, {"exponential_moving_average": average_of})


def _right_weights(decay: float, t: int | None) -> tuple[float, float]:
    if t is None:
        return decay, 1 - decay
    after = 1 - decay ** (t + 1)
    return decay * (1 - decay**t) / after, (1 - decay) / after


def _ema_in_place(average: Params, params: Params, decay: float, t: int | None = None) -> Params:
    old, new = _right_weights(decay, t)
    for name in params:
        average[name] *= old
        average[name] += new * params[name]
    return average


EXPONENTIAL_MOVING_AVERAGE = Exercise(
    name="exponential_moving_average",
    asks="An average of the weights that forgets slowly; unbiased from the first step where t is given.",
    reference=exponential_moving_average,
    returns=("average",),
    checks=(
        equals("keeps decay of the old average and adds 1 - decay of the new set", 2, _ema_plain),
        equals("is not biased to its start at zero where t is given", 2, _ema_corrected),
        equals("leaves its inputs as they were", 1, _ema_inputs, supporting=True),
    ),
    misconceptions=(
        _ema_idea(
            "decay-swapped",
            "The weights are swapped: decay belongs to the old average.",
            lambda decay, t: (1 - decay, decay) if t is None else _right_weights(1 - decay, t),
        ),
        _ema_idea(
            "t-ignored",
            "t is not used: the average stays near its start at zero in the first steps.",
            lambda decay, t: (decay, 1 - decay),
        ),
        _ema_idea(
            "correction-of-the-corrected",
            "You divide by 1 - decay**(t+1), but the old average you are given is corrected already. Undo its correction first.",
            lambda decay, t: (
                (decay, 1 - decay)
                if t is None
                else (decay / (1 - decay ** (t + 1)), (1 - decay) / (1 - decay ** (t + 1)))
            ),
        ),
        _ema_idea(
            "t-one-behind",
            "Your correction uses decay**t. With t sets in the average, the new one makes it t + 1.",
            lambda decay, t: (decay, 1 - decay) if t is None else _right_weights(decay, max(t - 1, 0)),
        ),
        _ema_idea(
            "t-one-ahead",
            "Your correction is one step ahead: with t sets in the average, the new one makes it t + 1.",
            lambda decay, t: (decay, 1 - decay) if t is None else _right_weights(decay, t + 1),
        ),
        _ema_idea(
            "new-set-whole",
            "You add the new set whole. Weigh it by 1 - decay.",
            lambda decay, t: (decay, 1.0) if t is None else _right_weights(decay, t),
        ),
        _idea(
            "exponential_moving_average",
            "in-place",
            "You change the old average in place. Return a new dict with new arrays.",
            _ema_in_place,
        ),
    ),
    hints=(
        "Without t it is one line per parameter. With t: what should the average be after the very first set?",
        "The plain average after t sets has weights that sum to 1 - decay**t. The corrected one is that, divided by the sum.",
        "Undo the old correction (times 1 - decay**t), average, correct anew (divide by 1 - decay**(t + 1)).",
    ),
)

# --- snapshots ------------------------------------------------------------------------------------------------------


def snapshot_steps(T: int, cycles: int) -> list[int]:
    """The last step (counted from 0) of each of ``cycles`` cycles of T // cycles steps: when to keep a snapshot."""
    length = T // cycles
    return [length * (number + 1) - 1 for number in range(cycles)]


def snapshot_learning_rate(t: int, T: int, cycles: int, lr0: float) -> float:
    """The cosine of Huang et al. (2017): lr0 / 2 (1 + cos(pi (t mod T//cycles) / (T//cycles))), t from 0."""
    length = T // cycles
    return lr0 / 2 * (1 + math.cos(math.pi * (t % length) / length))


def _snapshots(play: Functions, rng: np.random.Generator) -> Observations:
    found: Observations = {}
    for T, cycles in ((12, 3), (100, 5), (7, 1)):
        steps = play.snapshot_steps(T, cycles)
        found[f"steps for T={T} and {cycles} cycles"] = np.asarray(steps) if isinstance(steps, (list, tuple)) else steps
    return found


def _snapshots_with_rest(play: Functions, rng: np.random.Generator) -> Observations:
    steps = play.snapshot_steps(11, 3)
    return {"steps for T=11 and 3 cycles": np.asarray(steps) if isinstance(steps, (list, tuple)) else steps}


SNAPSHOT_STEPS = Exercise(
    name="snapshot_steps",
    asks="When to keep a snapshot: at the last step of each cycle.",
    reference=snapshot_steps,
    returns=("steps",),
    checks=(
        equals("names the last step of each cycle, counted from 0", 2, _snapshots),
        equals("makes all cycles equally long, T // cycles, where T does not divide", 1, _snapshots_with_rest),
    ),
    misconceptions=(
        _idea(
            "snapshot_steps",
            "first-steps",
            "You name the first step of each cycle, where the rate is highest. Keep the network at the END of a cycle.",
            lambda T, cycles: [T // cycles * number for number in range(cycles)],
        ),
        _idea(
            "snapshot_steps",
            "one-late",
            "Your steps are one late: steps count from 0, so the last of the first n is n - 1.",
            lambda T, cycles: [T // cycles * (number + 1) for number in range(cycles)],
        ),
        _idea(
            "snapshot_steps",
            "last-one-missing",
            "The end of the last cycle is missing.",
            lambda T, cycles: [T // cycles * (number + 1) - 1 for number in range(max(cycles - 1, 1))],
        ),
        _idea(
            "snapshot_steps",
            "rest-spread",
            "Your cycles are not equally long. Each has T // cycles steps.",
            lambda T, cycles: [round(T * (number + 1) / cycles) - 1 for number in range(cycles)],
        ),
        _idea(
            "snapshot_steps",
            "every-cycles-steps",
            "You take `cycles` for the length of a cycle. It is their number.",
            lambda T, cycles: [step for step in range(T) if (step + 1) % cycles == 0],
        ),
    ),
    hints=(
        "With 12 steps and 3 cycles, which steps are the first cycle?",
        "A cycle has T // cycles steps.",
        "length, 2 length, 3 length ..., each minus 1.",
    ),
)


def _snapshot_rates(
    steps: Sequence[int], T: int, cycles: int
) -> Callable[[Functions, np.random.Generator], Observations]:
    def observe(play: Functions, rng: np.random.Generator) -> Observations:
        lr0 = float(rng.uniform(0.2, 2))
        return {f"rate at t={t}": play.snapshot_learning_rate(t, T, cycles, lr0) for t in steps}

    return observe


SNAPSHOT_LEARNING_RATE = Exercise(
    name="snapshot_learning_rate",
    asks="The rate of snapshot ensembles: a cosine that starts again in each cycle.",
    reference=snapshot_learning_rate,
    returns=("rate",),
    checks=(
        equals("follows the cosine within a cycle", 1, _snapshot_rates((0, 1, 4, 9), 30, 3), tolerance=1e-9),
        equals("starts again at lr0 in each cycle", 2, _snapshot_rates((9, 10, 13, 20, 29), 30, 3), tolerance=1e-9),
        equals("has cycles of T // cycles steps", 1, _snapshot_rates((2, 3, 5, 6, 8), 11, 3), tolerance=1e-9),
    ),
    misconceptions=(
        _idea(
            "snapshot_learning_rate",
            "no-restart",
            "Your rate falls once, over all T steps. It starts again in each cycle.",
            lambda t, T, cycles, lr0: lr0 / 2 * (1 + math.cos(math.pi * t / T)),
        ),
        _idea(
            "snapshot_learning_rate",
            "half-forgotten",
            "Your rate starts at twice lr0: 1 + cos reaches 2.",
            lambda t, T, cycles, lr0: lr0 * (1 + math.cos(math.pi * (t % (T // cycles)) / (T // cycles))),
        ),
        _idea(
            "snapshot_learning_rate",
            "whole-cosine",
            "Your cosine falls and climbs within a cycle: half a period is enough.",
            lambda t, T, cycles, lr0: lr0 / 2 * (1 + math.cos(2 * math.pi * (t % (T // cycles)) / (T // cycles))),
        ),
        _idea(
            "snapshot_learning_rate",
            "T-in-the-cosine",
            "Within a cycle you still divide by T. Divide by the length of the cycle.",
            lambda t, T, cycles, lr0: lr0 / 2 * (1 + math.cos(math.pi * (t % (T // cycles)) / T)),
        ),
        _idea(
            "snapshot_learning_rate",
            "steps-from-one",
            "Your t is one ahead. It counts from 0, so the first rate is lr0.",
            lambda t, T, cycles, lr0: snapshot_learning_rate(t + 1, T, cycles, lr0),
        ),
        _idea(
            "snapshot_learning_rate",
            "reaches-zero",
            "Your rate reaches 0 at the last step of a cycle, which is then lost. It would reach 0 one step later.",
            lambda t, T, cycles, lr0: lr0 / 2 * (1 + math.cos(math.pi * (t % (T // cycles)) / max(T // cycles - 1, 1))),
        ),
        _idea(
            "snapshot_learning_rate",
            "rest-spread",
            "Your cycles have T / cycles steps, which need not be a whole number. They have T // cycles.",
            lambda t, T, cycles, lr0: lr0 / 2 * (1 + math.cos(math.pi * (t % (T / cycles)) / (T / cycles))),
        ),
    ),
    hints=(
        "How many steps into its cycle is step t?",
        "% gives the rest of a division.",
        "lr0 / 2 * (1 + cos(pi * steps into the cycle / length of the cycle)).",
    ),
)

# --- recompute_batchnorm_statistics ---------------------------------------------------------------------------------


def recompute_batchnorm_statistics(batches: Sequence[Array], forward: Callable[[Array], Array]) -> tuple[Array, Array]:
    """Mean and biased variance (D,) of ``forward(batch)`` (n, D) over all examples of all batches, which may differ in size."""
    outputs = np.concatenate([np.asarray(forward(batch)) for batch in batches])
    return outputs.mean(axis=0), outputs.var(axis=0)


def _layer(rng: np.random.Generator, d: int, out: int) -> Callable[[Any], Array]:
    W, b = rng.standard_normal((d, out)), 3 * rng.standard_normal(out)
    return lambda x: np.tanh(np.asarray(x, dtype=float) @ W) + b


def _batches(rng: np.random.Generator, sizes: Sequence[int], d: int) -> list[Array]:
    """Batches that do not resemble each other."""
    return [rng.normal(rng.uniform(-1, 1), rng.uniform(0.2, 1), (n, d)) for n in sizes]


def _recomputed(sizes: Sequence[int]) -> Callable[[Functions, np.random.Generator], Observations]:
    def observe(play: Functions, rng: np.random.Generator) -> Observations:
        mean, var = play.recompute_batchnorm_statistics(_batches(rng, sizes, 3), _layer(rng, 3, 4))
        return {"running_mean": mean, "running_var": var}

    return observe


def _recompute_idea(id: str, message: str, wrong: Callable[[list[Array]], tuple[Array, Array]]) -> Misconception:
    def recompute(batches: Sequence[Array], forward: Callable[[Array], Array]) -> tuple[Array, Array]:
        return wrong([np.asarray(forward(batch)) for batch in batches])

    return Misconception(id, message, {"recompute_batchnorm_statistics": recompute})


def _weighted(outputs: list[Array], of: Callable[[Array], Array]) -> Array:
    return np.average([of(out) for out in outputs], axis=0, weights=[len(out) for out in outputs])


RECOMPUTE_BATCHNORM_STATISTICS = Exercise(
    name="recompute_batchnorm_statistics",
    asks="Averaged weights need new running statistics: take them from the data again.",
    reference=recompute_batchnorm_statistics,
    returns=("running_mean", "running_var"),
    checks=(
        equals("is the mean and variance over all examples of all batches", 2, _recomputed((6, 6, 6)), loose=True),
        equals("weighs every example alike where batches differ in size", 2, _recomputed((9, 4, 2)), loose=True),
        leaves_inputs(1, _recomputed((3, 2))),
    ),
    misconceptions=(
        _recompute_idea(
            "mean-of-batch-variances",
            "Your variance is the mean of the batches' variances. It misses how the batches' means differ.",
            lambda outputs: (
                _weighted(outputs, lambda out: out.mean(axis=0)),
                _weighted(outputs, lambda out: out.var(axis=0)),
            ),
        ),
        _recompute_idea(
            "batches-weighed-alike",
            "You weigh every batch alike. A batch of two then counts as much as one of nine: weigh by the examples.",
            lambda outputs: (
                np.mean([out.mean(axis=0) for out in outputs], axis=0),
                np.mean([(out**2).mean(axis=0) for out in outputs], axis=0)
                - np.mean([out.mean(axis=0) for out in outputs], axis=0) ** 2,
            ),
        ),
        _recompute_idea(
            "last-batch-only",
            "Your statistics are those of the last batch.",
            lambda outputs: (outputs[-1].mean(axis=0), outputs[-1].var(axis=0)),
        ),
        _recompute_idea(
            "running-average",
            "You keep a running average with momentum 0.9 from zero: it has not arrived yet. Take the plain mean.",
            lambda outputs: _running(outputs),
        ),
        _recompute_idea(
            "unbiased-variance",
            "Your variance divides by one less than the number of examples. This course divides by their number.",
            lambda outputs: (np.concatenate(outputs).mean(axis=0), np.concatenate(outputs).var(axis=0, ddof=1)),
        ),
        _recompute_idea(
            "standard-deviation",
            "You return the standard deviation. Running statistics hold the variance.",
            lambda outputs: (np.concatenate(outputs).mean(axis=0), np.concatenate(outputs).std(axis=0)),
        ),
        _recompute_idea(
            "mean-of-squares",
            "You return the mean of the squares. Take the square of the mean away.",
            lambda outputs: (np.concatenate(outputs).mean(axis=0), (np.concatenate(outputs) ** 2).mean(axis=0)),
        ),
        Misconception(
            "inputs-not-outputs",
            "Your statistics are those of the inputs. Batch norm sees what forward(batch) gives.",
            {
                "recompute_batchnorm_statistics": lambda batches, forward: (
                    np.concatenate(batches).mean(axis=0),
                    np.concatenate(batches).var(axis=0),
                )
            },
        ),
    ),
    hints=(
        "Whose mean is it: that of the batches' means, or that of all examples?",
        "Either put all outputs together, or keep three sums: how many, of the values, of the squares.",
        "Concatenate forward(batch) over the batches; mean and variance over the first axis.",
    ),
)


def _running(outputs: list[Array]) -> tuple[Array, Array]:
    mean, var = np.zeros(outputs[0].shape[1]), np.zeros(outputs[0].shape[1])
    for out in outputs:
        mean, var = 0.9 * mean + 0.1 * out.mean(axis=0), 0.9 * var + 0.1 * out.var(axis=0)
    return mean, var


EXERCISES = (
    AVERAGE_PROBABILITIES,
    ENSEMBLE_ACCURACY,
    POLYAK_AVERAGE,
    EXPONENTIAL_MOVING_AVERAGE,
    SNAPSHOT_STEPS,
    SNAPSHOT_LEARNING_RATE,
    RECOMPUTE_BATCHNORM_STATISTICS,
)
