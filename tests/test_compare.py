"""How far apart two values are: one rule, stated in numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from autograder.compare import (
    FALSE_REJECT,
    FLOAT32_TOLERANCE,
    TOLERANCE,
    Sample,
    Share,
    describe,
    difference,
    matches,
    same_as_reference,
)

WANTED = np.array([[1.0, -2.0], [3.0, 4.0]])
RMS = float(np.sqrt(np.mean(WANTED**2)))
RNG = np.random.default_rng(0)


def test_equal_values_have_no_error() -> None:
    for value in (WANTED, 3.5, 0.0, 7, "text", True, None, (0, 2, 3)):
        found = difference("value", value, value)
        assert found.same and found.error == 0.0 and found.message == ""


@pytest.mark.parametrize("index", [(0, 0), (1, 1)])
@pytest.mark.parametrize(("factor", "same"), [(0.9, True), (1.1, False)])
def test_an_entry_may_be_off_by_the_tolerance_times_its_size_plus_the_root_mean_square(
    index: tuple[int, int], factor: float, same: bool
) -> None:
    seen = WANTED.copy()
    seen[index] += factor * TOLERANCE * (abs(WANTED[index]) + RMS)
    found = difference("out", seen, WANTED)
    assert found.same == same
    assert found.error == pytest.approx(factor * TOLERANCE, rel=1e-6)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_the_rule_does_not_know_units(scale: float) -> None:
    assert difference("out", scale * WANTED * (1 + 1e-7), scale * WANTED).same
    assert not difference("out", scale * WANTED * (1 + 1e-4), scale * WANTED).same


def test_what_should_be_zero_is_judged_absolutely() -> None:
    assert difference("out", np.full(3, 1e-7), np.zeros(3)).same
    assert not difference("out", np.full(3, 1e-5), np.zeros(3)).same
    assert difference("number", 1e-7, 0.0).same


def test_the_message_names_the_first_wrong_entry_both_values_and_how_many_differ() -> None:
    seen = WANTED.copy()
    seen[1, 0], seen[1, 1] = 5.0, 9.0
    assert difference("out", seen, WANTED).message == "out[1, 0]: 5, wanted 3 (2 of 4 entries differ)"
    assert difference("count", 4, 6).message == "count: 4, wanted 6"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_wrong_where_a_finite_one_is_wanted(bad: float) -> None:
    seen = WANTED.copy()
    seen[0, 1] = bad
    found = difference("out", seen, WANTED)
    assert not found.same and found.error == np.inf
    assert found.message.startswith(f"out[0, 1]: {bad:g}, wanted -2")


@pytest.mark.parametrize("huge", [1e308, -1e308, np.finfo(float).max])
def test_values_near_the_end_of_the_floats_are_wrong_and_no_alarm(huge: float) -> None:
    assert not difference("out", np.full((2, 2), huge), -np.sign(huge) * np.full((2, 2), 1e308)).same


@pytest.mark.parametrize(
    "seen",
    [np.ones((2, 1)), np.ones((4,)), np.ones((2, 2, 2)), np.ones(()), 1.0, np.ones((0, 2)), np.ones((1, 2))],
    ids=lambda seen: str(np.shape(seen)),
)
@pytest.mark.parametrize("loose", [False, True])
def test_a_shape_that_would_only_broadcast_is_wrong_even_with_the_right_values(seen: Any, loose: bool) -> None:
    found = difference("out", seen, np.ones((2, 2)), loose=loose)
    assert not found.same and found.error == np.inf
    assert f"has shape {np.shape(seen)}, wanted (2, 2)" in found.message


@pytest.mark.parametrize("shape", [(1, 3), (3, 1, 1), (1, 3, 1, 1)], ids=str)
def test_axes_of_length_one_are_accepted_with_a_remark_where_the_check_is_loose(shape: tuple[int, ...]) -> None:
    values = np.array([1.0, 2.0, 3.0])
    assert not difference("dgamma", values.reshape(shape), values).same
    found = difference("dgamma", values.reshape(shape), values, loose=True)
    assert found.same and str(shape) in found.remark and "(3,)" in found.remark
    assert not difference("dgamma", values[::-1].reshape(shape), values, loose=True).same


def test_one_number_may_come_in_an_array() -> None:
    for seen in (np.array(2.0), np.array([2.0]), np.array([[2.0]]), [2.0], np.float64(2.0), np.int64(2), True + True):
        found = difference("error", seen, 2.0)
        assert found.same and found.remark == ""


def test_numbers_in_lists_are_arrays() -> None:
    assert difference("out", WANTED.tolist(), WANTED).same
    assert difference("out", tuple(map(tuple, WANTED.tolist())), WANTED).same
    assert difference("out", np.array([[1, -2], [3, 4]]), WANTED).same


@pytest.mark.parametrize(
    "seen",
    [None, "1.0", [["1", "-2"], ["3", "4"]], [[1.0], [1.0, 2.0]], {"a": 1}, [None, None], WANTED.astype(object), WANTED + 0j,
     [2**4000, 1], [{}], np.array(["a"]), object()],
    ids=lambda seen: f"{type(seen).__name__} {str(seen)[:12]}",
)  # fmt: skip
def test_what_is_not_numbers_is_wrong_and_described_without_its_content(seen: Any) -> None:
    found = difference("out", seen, WANTED)
    assert not found.same and found.error == np.inf
    assert found.message.startswith("out is ") and "wanted an array of shape (2, 2)" in found.message
    assert len(found.message) < 90


def test_an_integer_beyond_all_floats_is_wrong() -> None:
    assert not difference("count", 2**4000, 60).same


def test_a_message_never_says_that_something_is_what_was_wanted() -> None:
    message = difference("out", WANTED + 0j, WANTED).message
    assert describe(WANTED + 0j) != describe(WANTED)
    assert "complex" in message


def test_float32_is_judged_by_its_own_precision_and_says_so() -> None:
    seen = (WANTED * (1 + 1e-5)).astype(np.float32)
    found = difference("out", seen, WANTED)
    assert found.same and found.tolerance == FLOAT32_TOLERANCE and "float32" in found.remark
    assert not difference("out", seen.astype(float), WANTED).same
    assert not difference("out", (WANTED * (1 + 1e-3)).astype(np.float32), WANTED).same


def test_the_tolerance_lies_between_rounding_and_wrong_ideas() -> None:
    assert 1e-9 < TOLERANCE < 1e-5 and 1e-6 < FLOAT32_TOLERANCE < 1e-3


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [("train", "test"), (True, False), (None, "x"), ("x", None), ((0, 2), (0, 3)), (1, True), (1.0, "1")],
)
def test_plain_values_must_be_equal_and_of_one_kind(seen: Any, wanted: Any) -> None:
    assert not difference("value", seen, wanted).same
    assert difference("value", wanted, wanted).same


def test_descriptions_are_a_few_words() -> None:
    assert describe(None) == "None"
    assert describe(np.zeros((2, 3))) == "an array of shape (2, 3)"
    assert describe((1, 2)) == "a tuple of 2"
    assert describe("short") == "'short'"
    assert describe("x" * 100) == "a str"
    assert describe({}) == "a dict"


def test_two_observations_match_when_every_value_does() -> None:
    one = {"dx": WANTED, "dgamma": np.arange(3.0)}
    assert matches({"dx": WANTED + 1e-9, "dgamma": np.arange(3.0)[None]}, one)
    assert not matches({"dx": WANTED}, one)
    assert not matches({"dx": WANTED, "dgamma": np.arange(3.0) + 0.1}, one)


def test_a_judge_passes_only_what_is_right_throughout_and_shows_at_most_two_differences() -> None:
    judge = same_as_reference()
    wanted = dict.fromkeys("abc", WANTED)
    assert judge(dict(wanted), wanted, RNG).passed
    found = judge(dict.fromkeys("abc", WANTED + 1), wanted, RNG)
    assert not found.passed and len(found.message.splitlines()) == 2 and found.error is not None
    found = judge({"a": WANTED, "b": WANTED, "c": None}, wanted, RNG)
    assert not found.passed and found.message.startswith("c is None") and found.error is None


# --- what is random ---------------------------------------------------------------------------------------------------


def exact_tail(hits: int, trials: int, p: float) -> float:
    """The binomial probability of a count at least as far from its mean on its side."""
    if hits < trials * p:
        hits, p = trials - hits, 1 - p
    logs = [math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1) + k * math.log(p)
            + (trials - k) * math.log1p(-p) for k in range(hits, trials + 1)]  # fmt: skip
    return sum(map(math.exp, logs))


@pytest.mark.parametrize("p", [0.03, 0.3, 0.5, 0.8])
@pytest.mark.parametrize("trials", [50, 2000])
def test_the_bound_on_a_share_keeps_its_promise_by_the_exact_binomial(trials: int, p: float) -> None:
    verdicts = [difference("share", Share(hits, trials, p), Share(0, trials, p)).same for hits in range(trials + 1)]
    assert verdicts[round(trials * p)]
    rejected = [hits for hits, same in enumerate(verdicts) if not same]
    lower = max((h for h in rejected if h < trials * p), default=None)
    upper = min((h for h in rejected if h > trials * p), default=None)
    assert sum(exact_tail(h, trials, p) for h in (lower, upper) if h is not None) <= FALSE_REJECT
    if trials == 2000:  # and it is not blind: nine standard deviations are enough
        assert max(h / trials for h, same in enumerate(verdicts) if same) < p + 9 * math.sqrt(p * (1 - p) / trials)


def test_a_share_of_none_or_all_is_exact() -> None:
    for expected, right, wrong in ((0.0, 0, 1), (1.0, 900, 899)):
        assert difference("share", Share(right, 900, expected), Share(0, 900, expected)).same
        assert not difference("share", Share(wrong, 900, expected), Share(0, 900, expected)).same


def test_a_wrong_share_is_said_in_numbers() -> None:
    found = difference("share kept", Share(800, 1000, 0.3), Share(301, 1000, 0.3))
    assert found.message == "share kept: 0.8 (800 of 1000), wanted about 0.3"
    assert not difference("share kept", 0.3, Share(300, 1000, 0.3)).same
    assert not difference("share kept", Share(0, 0, 0.3), Share(300, 1000, 0.3)).same


def test_shares_match_where_they_can_have_one_probability() -> None:
    assert matches({"share": Share(701, 1000, 0.3)}, {"share": Share(690, 1000, 0.3)})
    assert not matches({"share": Share(701, 1000, 0.3)}, {"share": Share(300, 1000, 0.3)})
    assert not matches({"share": 0.7}, {"share": Share(700, 1000, 0.3)})


def test_a_sample_is_judged_by_its_distribution_alone() -> None:
    draws = np.random.default_rng(1).standard_normal((3, 4000))
    wanted = Sample(draws[0])
    assert difference("noise", Sample(draws[1]), wanted).same
    assert difference("noise", Sample(np.sort(draws[0])[::-1]), wanted).same
    for wrong in (2 * draws[1], draws[1] + 0.3, draws[1] ** 2, np.zeros(4000)):
        assert not difference("noise", Sample(wrong), wanted).same
    assert "wanted about" in difference("noise", Sample(draws[1] + 1), wanted).message
    for nothing in (Sample(np.zeros(0)), Sample(np.full(5, np.nan)), 3.0):
        assert "finite" in difference("noise", nothing, wanted).message


def test_the_bound_on_samples_holds_where_the_distribution_has_steps() -> None:
    rng = np.random.default_rng(2)
    for _ in range(200):
        one, other = rng.integers(0, 3, (2, 300))
        assert difference("steps", Sample(one), Sample(other)).same
    assert not difference("steps", Sample(rng.integers(0, 2, 3000)), Sample(rng.integers(0, 3, 3000))).same
