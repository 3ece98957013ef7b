"""Prices on the weights: L2, L1 and both."""

from __future__ import annotations

import numpy as np

from autograder.checks import equals, leaves_inputs
from autograder.exercise import Exercise, Functions, Observations, Observe
from autograder.exercises.regularization.shared import Array, Generator, both_signs, mistake

# --- penalties ------------------------------------------------------------------------------------------------------


def l2_penalty(w: Array, strength: float) -> tuple[float, Array]:
    """1/2 * strength * sum of w**2, and its gradient strength * w. w of any shape."""
    return float(0.5 * strength * np.sum(w**2)), strength * w


def l1_penalty(w: Array, strength: float) -> tuple[float, Array]:
    """strength * sum of |w|, and its gradient strength * sign(w), 0 where w is 0. w of any shape."""
    return float(strength * np.sum(np.abs(w))), strength * np.sign(w)


def elastic_net_penalty(w: Array, l1: float, l2: float) -> tuple[float, Array]:
    """l1 * sum of |w| + 1/2 * l2 * sum of w**2, and its gradient (Zou & Hastie 2005). w of any shape."""
    loss = l1 * np.sum(np.abs(w)) + 0.5 * l2 * np.sum(w**2)
    return float(loss), l1 * np.sign(w) + l2 * w


_WEIGHTS = ((4, 3), (2, 3, 3, 2), (5,))


def _penalties(name: str, strengths: int) -> Observe:
    """Weights of several shapes, none of them 0, with strengths of their own."""

    def observe(play: Functions, rng: Generator) -> Observations:
        found: Observations = {}
        for shape in _WEIGHTS:
            w = both_signs(rng, *shape)
            given = [float(s) for s in rng.uniform(0.1, 0.7, strengths) + 0.9 * np.arange(strengths)]
            loss, grad = getattr(play, name)(w, *given)
            found |= {f"loss for w of shape {shape}": loss, f"grad for w of shape {shape}": grad}
        return found

    return observe


def only_the(part: str, scenario: Observe) -> Observe:
    """Those observations whose names contain the part."""
    return lambda play, rng: {name: value for name, value in scenario(play, rng).items() if part in name}


def _penalty_at_zeros(name: str, *strengths: float) -> Observe:
    def observe(play: Functions, rng: Generator) -> Observations:
        w = both_signs(rng, 4, 5)
        w[:, 1] = w[2] = 0.0
        w[3, 4] = -0.0
        _, grad = getattr(play, name)(w, *strengths)
        return {"grad for w with zeros": grad}

    return observe


L2_PENALTY = Exercise(
    name="l2_penalty",
    asks="Half the strength times the sum of the squared weights, and its gradient (weight decay).",
    reference=l2_penalty,
    returns=("loss", "grad"),
    checks=(
        equals("the loss is half the strength times the sum of the squares", 1, only_the("loss", _penalties("l2_penalty", 1))),
        equals("the gradient is the strength times w, in the shape of w", 1, only_the("grad", _penalties("l2_penalty", 1))),
        leaves_inputs(1, _penalties("l2_penalty", 1)),
    ),
    misconceptions=(
        mistake(
            "l2_penalty",
            "no-half",
            "Loss and gradient are twice as large as asked. Here the penalty has a factor 1/2, so that its gradient has "
            "none.",
            lambda w, strength: (strength * np.sum(w**2), 2 * strength * w),
        ),
        mistake(
            "l2_penalty",
            "half-forgotten-in-the-loss",
            "Your loss is twice as large as asked; the gradient is right. The 1/2 belongs to the loss.",
            lambda w, strength: (strength * np.sum(w**2), strength * w),
        ),
        mistake(
            "l2_penalty",
            "gradient-doubled",
            "The derivative of w squared is 2w, and the 1/2 of the loss cancels the 2: your gradient is twice too large.",
            lambda w, strength: (0.5 * strength * np.sum(w**2), 2 * strength * w),
        ),
        mistake(
            "l2_penalty",
            "gradient-halved",
            "Your gradient still carries the 1/2 of the loss. It cancels with the 2 of the derivative.",
            lambda w, strength: (0.5 * strength * np.sum(w**2), 0.5 * strength * w),
        ),
        mistake(
            "l2_penalty",
            "mean-of-squares",
            "You average over the entries of w. The penalty is a sum: every weight pays for itself, in a large layer as "
            "in a small one.",
            lambda w, strength: (0.5 * strength * np.mean(w**2), strength * w / w.size),
        ),
        mistake(
            "l2_penalty",
            "norm-not-squared",
            "You penalise the norm of w. The penalty takes its square: no root.",
            lambda w, strength: (0.5 * strength * np.linalg.norm(w), 0.5 * strength * w / np.linalg.norm(w)),
        ),
        mistake(
            "l2_penalty",
            "strength-missing-in-the-gradient",
            "The gradient does not contain the strength.",
            lambda w, strength: (0.5 * strength * np.sum(w**2), w.copy()),
        ),
        mistake(
            "l2_penalty",
            "gradient-downhill",
            "Your gradient has the wrong sign. It points uphill; the optimizer takes the minus.",
            lambda w, strength: (0.5 * strength * np.sum(w**2), -strength * w),
        ),
    ),
    hints=(
        "How many numbers is the loss, and how many the gradient?",
        "Square the entries, add up all of them whatever the shape, times strength / 2.",
        "The derivative of w**2 / 2 is w.",
    ),
)

L1_PENALTY = Exercise(
    name="l1_penalty",
    asks="The strength times the sum of the weights' absolute values, and its (sub)gradient.",
    reference=l1_penalty,
    returns=("loss", "grad"),
    checks=(
        equals(
            "the loss is the strength times the sum of the absolute values", 1, only_the("loss", _penalties("l1_penalty", 1))
        ),
        equals(
            "the gradient is the strength times the sign of w, in the shape of w",
            1,
            only_the("grad", _penalties("l1_penalty", 1)),
        ),
        equals("the subgradient is 0 where w is 0", 1, _penalty_at_zeros("l1_penalty", 0.6)),
        leaves_inputs(1, _penalties("l1_penalty", 1)),
    ),
    misconceptions=(
        mistake(
            "l1_penalty",
            "absolute-value-missing",
            "You add up w itself, so that positive and negative weights cancel. Add up absolute values.",
            lambda w, strength: (strength * np.sum(w), strength * np.ones_like(w)),
        ),
        mistake(
            "l1_penalty",
            "gradient-without-sign",
            "Your gradient is the strength everywhere. For a negative weight |w| falls as w grows: take the sign of w.",
            lambda w, strength: (strength * np.sum(np.abs(w)), strength * np.ones_like(w)),
        ),
        mistake(
            "l1_penalty",
            "gradient-of-l2",
            "Your gradient is that of the L2 penalty. L1 pulls every weight alike, however large it is.",
            lambda w, strength: (strength * np.sum(np.abs(w)), strength * w),
        ),
        mistake(
            "l1_penalty",
            "subgradient-plus-one-at-zero",
            "Where w is 0 your gradient is +strength. A weight that has reached 0 should be left there: choose 0.",
            lambda w, strength: (strength * np.sum(np.abs(w)), strength * np.where(w >= 0, 1.0, -1.0)),
        ),
        mistake(
            "l1_penalty",
            "subgradient-minus-one-at-zero",
            "Where w is 0 your gradient is -strength. A weight that has reached 0 should be left there: choose 0.",
            lambda w, strength: (strength * np.sum(np.abs(w)), strength * np.where(w > 0, 1.0, -1.0)),
        ),
        mistake(
            "l1_penalty",
            "nan-at-zero",
            "Your gradient divides by |w|, which gives nan where w is 0. The subgradient asked for there is 0.",
            lambda w, strength: (strength * np.sum(np.abs(w)), strength * w / np.abs(w)),
        ),
        mistake(
            "l1_penalty",
            "half-too-many",
            "You carried the 1/2 of the L2 penalty over. L1 has none: the derivative of |w| brings no factor 2.",
            lambda w, strength: (0.5 * strength * np.sum(np.abs(w)), 0.5 * strength * np.sign(w)),
        ),
        mistake(
            "l1_penalty",
            "mean",
            "You average over the entries of w. The penalty is a sum.",
            lambda w, strength: (strength * np.mean(np.abs(w)), strength * np.sign(w) / w.size),
        ),
        mistake(
            "l1_penalty",
            "largest-column",
            "np.linalg.norm(w, 1) of a matrix is its largest column sum. The penalty adds up all entries.",
            lambda w, strength: (strength * float(np.abs(w).reshape(len(w), -1).sum(axis=0).max()), strength * np.sign(w)),
        ),
    ),
    hints=(
        "What is the slope of |w| to the right of 0, and to the left?",
        "np.sign gives +1, -1, and at 0 exactly what is wanted.",
        "strength times the sum of np.abs(w); strength times the signs.",
    ),
)

ELASTIC_NET_PENALTY = Exercise(
    name="elastic_net_penalty",
    asks="L1 and L2 together, each with a strength of its own.",
    reference=elastic_net_penalty,
    returns=("loss", "grad"),
    checks=(
        equals(
            "the loss is l1 times the absolute values plus half of l2 times the squares",
            1,
            only_the("loss", _penalties("elastic_net_penalty", 2)),
        ),
        equals("the gradient is the sum of both gradients", 1, only_the("grad", _penalties("elastic_net_penalty", 2))),
        equals("the gradient is 0 where w is 0", 1, _penalty_at_zeros("elastic_net_penalty", 0.4, 1.2)),
        leaves_inputs(1, _penalties("elastic_net_penalty", 2)),
    ),
    misconceptions=(
        mistake(
            "elastic_net_penalty",
            "strengths-swapped",
            "The strengths are swapped: l1 belongs to the absolute values, l2 to the squares.",
            lambda w, l1, l2: elastic_net_penalty(w, l2, l1),
        ),
        mistake(
            "elastic_net_penalty",
            "no-half",
            "Your L2 part lacks the factor 1/2, in the loss and in the gradient.",
            lambda w, l1, l2: elastic_net_penalty(w, l1, 2 * l2),
        ),
        mistake(
            "elastic_net_penalty",
            "half-forgotten-in-the-loss",
            "The L2 part of your loss lacks the factor 1/2; the gradient is right.",
            lambda w, l1, l2: (elastic_net_penalty(w, l1, 2 * l2)[0], elastic_net_penalty(w, l1, l2)[1]),
        ),
        mistake(
            "elastic_net_penalty",
            "l1-only",
            "The L2 part is missing.",
            lambda w, l1, l2: elastic_net_penalty(w, l1, 0.0),
        ),
        mistake(
            "elastic_net_penalty",
            "l2-only",
            "The L1 part is missing.",
            lambda w, l1, l2: elastic_net_penalty(w, 0.0, l2),
        ),
        mistake(
            "elastic_net_penalty",
            "strength-and-ratio",
            "You take the two numbers for a strength and a mixing ratio, as scikit-learn does. Here they are two "
            "strengths.",
            lambda w, l1, l2: elastic_net_penalty(w, l1 * l2, l1 * (1 - l2)),
        ),
        mistake(
            "elastic_net_penalty",
            "subgradient-plus-one-at-zero",
            "Where w is 0 your gradient is l1. The subgradient asked for there is 0.",
            lambda w, l1, l2: (elastic_net_penalty(w, l1, l2)[0], l1 * np.where(w >= 0, 1.0, -1.0) + l2 * w),
        ),
    ),
    hints=(
        "You have written both parts already.",
        "The gradient of a sum is the sum of the gradients.",
        "l1_penalty with l1 plus l2_penalty with l2: losses added, gradients added.",
    ),
    builds_on=("l1_penalty", "l2_penalty"),
    composed=lambda play: lambda w, l1, l2: tuple(
        one + other for one, other in zip(play.l1_penalty(w, l1), play.l2_penalty(w, l2), strict=True)
    ),
)
