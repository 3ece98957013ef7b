"""The grader against a bank of answers: right ones get all points, wrong ones don't, and known mistakes are named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from answers import (
    EXERCISES,
    FIRST_RIGHT,
    MISCONCEPTIONS,
    RIGHT,
    WRONG,
    Answer,
    exercise_of,
    graded,
    lost_claims,
)
from answers.batch_normalization import forward_plain, spatial_forward_calling

from autograder.exercises import COURSE
from autograder.grading import grade
from autograder.students import NamespaceStudent

SEEDS = range(5)


def entries(answers: list[Answer]) -> list[Any]:
    """Parameters with readable ids; a known defect of the grader is a strict expected failure."""
    return [
        pytest.param(
            answer, id=f"{answer.exercise}-{answer.id}",
            marks=[pytest.mark.xfail(strict=True, reason=answer.defect)] if answer.defect else [],
        )
        for answer in answers
    ]  # fmt: skip


def all_of(exercise: str, answers: list[Answer]) -> list[Answer]:
    return [answer for answer in answers if answer.exercise == exercise and not answer.defect]


def functions_of(exercise: str) -> dict[str, Any]:
    return dict(FIRST_RIGHT[exercise].functions)


# --- right, wrong, known --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", entries(RIGHT))
def test_a_right_answer_gets_all_points(answer: Answer) -> None:
    for seed in SEEDS:
        result = graded(answer, seed)
        assert (result.status, lost_claims(result)) == ("passed", []), f"seed {seed}: {result}"
        assert result.points == result.max_points == exercise_of(answer).points
        assert result.diagnosis == () and result.message == ""


@pytest.mark.parametrize("answer", entries(WRONG))
def test_a_wrong_answer_that_nobody_foresaw_is_rejected(answer: Answer) -> None:
    result = graded(answer)
    assert result.status in ("failed", "error")
    assert result.points < result.max_points


@pytest.mark.parametrize("answer", entries(MISCONCEPTIONS))
def test_a_known_mistake_is_rejected_and_named_alone(answer: Answer) -> None:
    result = graded(answer)
    assert result.status == "failed"
    assert result.points < result.max_points
    assert [diagnosis.id for diagnosis in result.diagnosis] == [answer.id]


def test_every_exercise_has_at_least_two_right_answers_and_nine_wrong_ones() -> None:
    for name in EXERCISES:
        assert len(all_of(name, RIGHT)) >= 2, name
        assert len(all_of(name, WRONG)) >= 9, name


@pytest.mark.parametrize("name", EXERCISES)
def test_no_check_always_holds_and_none_always_fails(name: str) -> None:
    claims = [check.claim for check in COURSE.exercises[name].checks]
    passed_by = dict.fromkeys(claims, 0)
    for answer in all_of(name, RIGHT):
        lost = lost_claims(graded(answer))
        for claim in claims:
            passed_by[claim] += claim not in lost
    assert all(count >= 2 for count in passed_by.values()), passed_by

    # Where nothing else holds, a supporting claim is lost by rule, which says nothing of the check.
    supporting = {check.claim for check in COURSE.exercises[name].checks if check.supporting}
    open_claims = set(claims)
    for answer in all_of(name, MISCONCEPTIONS) + all_of(name, WRONG):
        result = graded(answer)
        lost = set(lost_claims(result))
        open_claims -= lost if result.points > 0 else lost - supporting
        if not open_claims:
            break
    assert not open_claims, f"no wrong answer loses {open_claims}"


# --- a mistake costs what it breaks, and nothing else ---------------------------------------------------------------

BATCH = {
    "output": "normalises each feature over the batch, then scales by gamma and shifts by beta",
    "eps": "adds eps to the variance, inside the root",
    "running mean": "keeps the running mean for test time",
    "running variance": "keeps the running variance for test time",
    "test": "uses the running statistics at test time",
    "test eps": "adds eps inside the root at test time, too",
    "statistics alone": "leaves the running statistics alone at test time",
    "inputs": "leaves its inputs as they were",
}
SPATIAL = {
    "output": "normalises each channel over all images and pixels",
    "eps": "adds eps to the variance, inside the root",
    "running": "keeps running statistics of each channel, and leaves them alone at test time",
    "test": "uses the running statistics at test time",
}
BACKWARD = {
    "dx": "dx is the gradient with respect to x, through mean and variance too",
    "dgamma": "dgamma weighs the normalised x by the upstream gradient",
    "dbeta": "dbeta sums the upstream gradient",
}

COSTS: list[Any] = [
    # exercise, wrong idea, the claims that it breaks
    ("batchnorm_forward", "batch-statistics-at-test-time", [BATCH["test"], BATCH["test eps"]]),
    ("batchnorm_forward", "mode-ignored", [BATCH["test"], BATCH["test eps"], BATCH["statistics alone"]]),
    ("batchnorm_forward", "statistics-updated-at-test-time", [BATCH["statistics alone"]]),
    ("batchnorm_forward", "momentum-swapped", [BATCH["running mean"], BATCH["running variance"]]),
    ("batchnorm_forward", "running-variance-not-stored", [BATCH["running variance"]]),
    ("batchnorm_forward", "running-mean-not-stored", [BATCH["running mean"]]),
    ("batchnorm_forward", "unbiased-running-variance", [BATCH["running variance"]]),
    ("batchnorm_forward", "running-variance-with-eps", [BATCH["running variance"]]),
    ("batchnorm_forward", "eps-outside-the-root", [BATCH["eps"], BATCH["test eps"]]),
    ("batchnorm_forward", "eps-outside-the-root-in-training", [BATCH["eps"]]),
    ("batchnorm_forward", "eps-outside-the-root-at-test-time", [BATCH["test eps"]]),
    ("batchnorm_forward", "no-eps", [BATCH["eps"], BATCH["test eps"]]),
    ("batchnorm_forward", "eps-hard-coded", [BATCH["eps"], BATCH["test eps"]]),
    (
        "batchnorm_forward",
        "over-each-example",
        [BATCH["output"], BATCH["eps"], BATCH["running mean"], BATCH["running variance"]],
    ),
    ("batchnorm_forward", "centring-in-place", [BATCH["inputs"]]),
    ("batchnorm_forward", "spoils-its-inputs", [BATCH["inputs"]]),
    ("batchnorm_forward", "another-default-eps", [BATCH["eps"], BATCH["test eps"]]),
    ("batchnorm_forward", "another-default-momentum", [BATCH["running mean"], BATCH["running variance"]]),
    ("batchnorm_forward", "eps-hard-coded-at-test-time", [BATCH["test eps"]]),
    ("batchnorm_forward", "running-mean-and-batch-variance", [BATCH["test"], BATCH["test eps"]]),
    ("spatial_batchnorm_forward", "over-each-image", [SPATIAL["output"], SPATIAL["eps"], SPATIAL["running"]]),
    ("spatial_batchnorm_forward", "over-the-batch-axis-only", [SPATIAL["output"], SPATIAL["eps"], SPATIAL["running"]]),
    ("spatial_batchnorm_forward", "batch-statistics-at-test-time", [SPATIAL["eps"], SPATIAL["test"]]),
    ("spatial_batchnorm_forward", "momentum-swapped", [SPATIAL["running"]]),
    ("spatial_batchnorm_forward", "running-variance-not-stored", [SPATIAL["running"]]),
    ("spatial_batchnorm_forward", "eps-outside-the-root", [SPATIAL["eps"]]),
    ("spatial_batchnorm_forward", "eps-hard-coded", [SPATIAL["eps"]]),
    ("fold_batchnorm", "eps-outside-the-root", ["adds eps to the running variance, inside the root"]),
    ("fold_batchnorm", "eps-hard-coded", ["adds eps to the running variance, inside the root"]),
    ("layernorm_forward", "eps-outside-the-root", ["adds eps to the variance, inside the root"]),
    ("layernorm_forward", "no-eps", ["adds eps to the variance, inside the root"]),
    ("instancenorm_forward", "eps-outside-the-root", ["adds eps to the variance, inside the root"]),
    (
        "instancenorm_forward",
        "over-the-batch-too",
        ["normalises each channel of each image over its pixels", "adds eps to the variance, inside the root"],
    ),
    ("spatial_groupnorm_forward", "eps-outside-the-root", ["adds eps to the variance, inside the root"]),
    (
        "spatial_groupnorm_forward",
        "every-Gth-channel",
        ["normalises each image over groups of C/G neighbouring channels", "adds eps to the variance, inside the root"],
    ),
    ("rnn_layernorm_step", "eps-outside-the-root", ["adds eps to the variance, inside the root"]),
    ("relative_error", "zero-over-zero", ["gives 0, not nan, where both entries are 0"]),
    ("numerical_gradient", "one-sided", ["uses the central difference"]),
    ("numerical_gradient", "another-default-step", ["steps by h to both sides, by 1e-5 where no h is given"]),
    ("directional_gradient", "called-once-more", ["calls f twice, whatever the size of x"]),
    ("normalization_axes", "batch-axis-only", ["names the axes that batch norm averages over"]),
    ("statistics_count", "group-of-size-G", ["counts the numbers in one mean of group norm"]),
    *(
        (f"{prefix}_backward{alt}", idea, [BACKWARD[claim] for claim in claims])
        for prefix, alt in (("batchnorm", ""), ("batchnorm", "_alt"), ("spatial_batchnorm", ""), ("layernorm", ""),
                            ("instancenorm", ""), ("spatial_groupnorm", ""))
        for idea, claims in (
            ("variance-path-dropped", ["dx"]),
            ("mean-path-dropped", ["dx"]),
            ("dgamma-from-x", ["dgamma"]),
            ("dgamma-and-dbeta-swapped", ["dgamma", "dbeta"]),
        )
    ),
    *(
        (exercise, "scaling-dout-in-place", ["leaves its inputs as they were"])
        for exercise in ("batchnorm_backward", "batchnorm_backward_alt", "spatial_batchnorm_backward", "layernorm_backward",
                         "instancenorm_backward", "spatial_groupnorm_backward")
    ),
]  # fmt: skip


def named(exercise: str, id: str) -> Answer:
    (found,) = [a for a in MISCONCEPTIONS + WRONG if (a.exercise, a.id) == (exercise, id)]
    return found


@pytest.mark.parametrize(
    ("exercise", "id", "claims"),
    [
        pytest.param(*row, id=f"{row[0]}-{row[1]}") for row in COSTS
    ],
)  # fmt: skip
def test_a_mistake_costs_the_checks_that_it_breaks_and_no_others(exercise: str, id: str, claims: list[str]) -> None:
    result = graded(named(exercise, id))
    assert lost_claims(result) == claims
    assert result.points == sum(check.max_points for check in result.checks if check.claim not in claims)


# --- one function's mistake and another's points ---------------------------------------------------------------------

TEST_TIME_ONLY = ("batch-statistics-at-test-time", "eps-outside-the-root-at-test-time", "not-scaled-at-test-time",
                  "momentum-swapped", "running-statistics-not-stored", "mode-ignored")  # fmt: skip


@pytest.mark.parametrize("backward", ["batchnorm_backward", "batchnorm_backward_alt"])
@pytest.mark.parametrize("idea", TEST_TIME_ONLY)
def test_a_forward_that_is_right_in_training_costs_the_backward_nothing(backward: str, idea: str) -> None:
    wrong_forward = named("batchnorm_forward", idea).functions["batchnorm_forward"]
    functions = {backward: COURSE.exercises[backward].reference, "batchnorm_forward": wrong_forward}
    assert grade("batchnorm_forward", NamespaceStudent(functions)).status == "failed"
    assert grade(backward, NamespaceStudent(functions)).status == "passed"


def test_an_unscaled_forward_with_a_right_cache_costs_the_backward_nothing() -> None:
    functions = {
        "layernorm_forward": named("layernorm_forward", "not-scaled").functions["layernorm_forward"],
        "layernorm_backward": COURSE.exercises["layernorm_backward"].reference,
    }
    assert grade("layernorm_backward", NamespaceStudent(functions)).status == "passed"


def by_differences(forward: Any) -> Mapping[str, Any]:
    """A forward that remembers its arguments and the backward that is its exact gradient, whatever it computes."""

    def remembering(*arguments: Any) -> Any:
        return forward(*arguments)[0], [a.copy() if isinstance(a, (np.ndarray, dict)) else a for a in arguments]

    def backward(dout: np.ndarray, cache: Any) -> Any:
        found = []
        for position in range(3):
            grad = np.zeros(cache[position].shape)
            for index in np.ndindex(grad.shape):
                slope = 0.0
                for step, weight in ((1e-3, 8), (-1e-3, -8), (2e-3, -1), (-2e-3, 1)):
                    given = [a.copy() if isinstance(a, (np.ndarray, dict)) else a for a in cache]
                    given[position][index] += step
                    slope += weight * np.sum(forward(*given)[0] * dout)
                grad[index] = slope / 12e-3
            found.append(grad)
        return tuple(found)

    return {"forward": remembering, "backward": backward}


CONSISTENTLY_WRONG = [
    ("batchnorm", "", "unbiased-variance"),
    ("batchnorm", "", "eps-outside-the-root-in-training"),
    ("batchnorm", "_alt", "over-each-example"),
    ("spatial_batchnorm", "", "over-the-batch-axis-only"),
    ("spatial_batchnorm", "", "reshaped-without-transposing"),
    ("layernorm", "", "over-the-batch"),
    ("layernorm", "", "unbiased-variance"),
    ("instancenorm", "", "over-the-channels-too"),
    ("spatial_groupnorm", "", "over-the-channels-per-pixel"),
    ("spatial_groupnorm", "", "groups-of-size-G"),
]


@pytest.mark.parametrize(("norm", "alt", "idea"), CONSISTENTLY_WRONG, ids="".join)
def test_the_exact_gradient_of_a_wrong_forward_does_not_pass_and_is_told_so(norm: str, alt: str, idea: str) -> None:
    forward, backward = f"{norm}_forward", f"{norm}_backward{alt}"
    both = by_differences(named(forward, idea).functions[forward])
    result = grade(backward, NamespaceStudent({forward: both["forward"], backward: both["backward"]}))
    assert result.status == "failed"
    assert BACKWARD["dx"] in lost_claims(result)
    assert [diagnosis.id for diagnosis in result.diagnosis] == ["gradient-of-a-wrong-forward"]
    assert forward in result.diagnosis[0].message


@pytest.mark.parametrize("norm", ["batchnorm", "spatial_batchnorm", "layernorm", "instancenorm", "spatial_groupnorm"])
def test_the_exact_gradient_of_a_right_forward_passes_however_it_was_found(norm: str) -> None:
    forward, backward = f"{norm}_forward", f"{norm}_backward"
    both = by_differences(COURSE.exercises[forward].reference)
    result = grade(backward, NamespaceStudent({forward: both["forward"], backward: both["backward"]}))
    assert result.status == "passed"


@pytest.mark.parametrize("norm", ["batchnorm", "layernorm"])
def test_a_right_forward_is_not_blamed_for_the_shape_of_dx(norm: str) -> None:
    answer = named(f"{norm}_backward", "dx-with-an-axis-more")
    forward = f"{norm}_forward"
    assert grade(forward, NamespaceStudent(dict(answer.functions))).status == "passed"
    assert [diagnosis.id for diagnosis in graded(answer).diagnosis] == []


@pytest.mark.parametrize(
    "idea", ["batch-statistics-at-test-time", "eps-outside-the-root", "momentum-swapped", "unbiased-variance"]
)
def test_a_mistake_that_came_through_a_call_says_where_to_mend_it(idea: str) -> None:
    wrong = named("batchnorm_forward", idea).functions["batchnorm_forward"]

    def spatial_batchnorm_forward(x: Any, gamma: Any, beta: Any, bn_param: Any) -> Any:
        n, c, h, w = x.shape
        out, cache = wrong(x.transpose(0, 2, 3, 1).reshape(-1, c), gamma, beta, bn_param)
        return out.reshape(n, h, w, c).transpose(0, 3, 1, 2), cache

    result = grade(
        "spatial_batchnorm_forward", NamespaceStudent({"spatial_batchnorm_forward": spatial_batchnorm_forward})
    )
    assert [diagnosis.id for diagnosis in result.diagnosis] == [idea]
    assert "mend it there first" in result.diagnosis[0].message


def test_two_mistakes_at_once_are_both_named() -> None:
    swapped = named("batchnorm_forward", "momentum-swapped").functions["batchnorm_forward"]
    at_test = named("batchnorm_forward", "eps-outside-the-root-at-test-time").functions["batchnorm_forward"]

    def batchnorm_forward(x: Any, gamma: Any, beta: Any, bn_param: Any) -> Any:
        return (swapped if bn_param["mode"] == "train" else at_test)(x, gamma, beta, bn_param)

    result = grade("batchnorm_forward", NamespaceStudent({"batchnorm_forward": batchnorm_forward}))
    assert {diagnosis.id for diagnosis in result.diagnosis} == {"momentum-swapped", "eps-outside-the-root-at-test-time"}


def test_a_mistake_that_nobody_foresaw_gets_no_name_that_is_not_its_own() -> None:
    for id in ("by-the-median", "rows-and-columns-swapped"):
        (answer,) = [a for a in WRONG if a.exercise == "spatial_batchnorm_forward" and a.id == id]
        assert graded(answer).diagnosis == ()


def test_results_as_lists_and_numpy_numbers_are_as_good_as_arrays() -> None:
    def spatial_batchnorm_forward(x: Any, gamma: Any, beta: Any, bn_param: Any) -> Any:
        bn_param["momentum"] = np.float64(bn_param.get("momentum", 0.9))
        out, _ = spatial_forward_calling(x, gamma, beta, bn_param)
        bn_param["running_mean"] = bn_param["running_mean"].copy()[None, :, None, None][0, :, 0, 0]
        return [out.tolist(), np.int64(3)]

    def batchnorm_forward(x: Any, gamma: Any, beta: Any, bn_param: Any) -> Any:
        out, _ = forward_plain(x, gamma, beta, bn_param)
        return np.asfortranarray(out), None

    functions = {"spatial_batchnorm_forward": spatial_batchnorm_forward, "batchnorm_forward": batchnorm_forward}
    for name in functions:
        assert grade(name, NamespaceStudent(functions)).status == "passed"
