"""The verdict: statuses, points, what a student's function can do to it, and what it cannot."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from answers import EXERCISES, FIRST_RIGHT, MISCONCEPTIONS, WRONG, graded
from answers.batch_normalization import backward_graph, forward_plain, spatial_forward_calling

from autograder.exercise import Answer as CallAnswer
from autograder.exercise import Handle, Result, StudentError
from autograder.exercises import COURSE
from autograder.grading import COMES_FROM, Trusted, _Rebuilt, grade
from autograder.reports.result import MOST_LINES, WIDTH, _explanation, explanation
from autograder.students import NamespaceStudent


def grade_of(name: str, function: Callable[..., Any], **others: Callable[..., Any]) -> Result:
    return grade(name, NamespaceStudent({name: function, **others}))


def stub(*arguments: Any) -> Any:
    raise NotImplementedError


def failing(*arguments: Any) -> Any:
    raise ValueError("an example of a mistake")


class Failing:
    """A student whose calls fail as a sandbox's might: from call ``after`` on, with the given kind of error."""

    def __init__(self, name: str, kind: str, after: int = 0) -> None:
        self._student = NamespaceStudent(FIRST_RIGHT[name].functions)
        self._kind, self._left = kind, after
        self.calls = 0

    def defines(self, name: str) -> bool:
        return self._student.defines(name)

    def call(self, function: str | Handle, arguments: Sequence[Any], keep: Sequence[int] = ()) -> CallAnswer:
        self.calls += 1
        if self._left == 0:
            raise StudentError(self._kind, f"{self._kind}: it did")  # type: ignore[arg-type]
        self._left -= 1
        return self._student.call(function, arguments, keep)


# --- the shape of a verdict -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXERCISES)
def test_a_verdict_lists_every_claim_with_its_points_in_the_exercises_order(name: str) -> None:
    result, checks = graded(FIRST_RIGHT[name]), COURSE.exercises[name].checks
    assert [c.claim for c in result.checks] == [c.claim for c in checks]
    assert [c.max_points for c in result.checks] == [c.points for c in checks]
    assert result.max_points == COURSE.exercises[name].points > 0


def test_the_same_functions_and_seed_give_the_same_verdict() -> None:
    def batchnorm_forward(*arguments: Any) -> Any:
        return forward_plain(*arguments[:2], -arguments[2], *arguments[3:])

    np.random.seed(1)
    one = grade_of("batchnorm_forward", batchnorm_forward)
    np.random.seed(2)
    assert repr(grade_of("batchnorm_forward", batchnorm_forward)) == repr(one)


def test_another_seed_draws_other_numbers() -> None:
    seen = []

    def relative_error(a: Any, b: Any) -> float:
        seen.append(np.sum(a))
        return 0.0

    for seed in (0, 1):
        grade("relative_error", NamespaceStudent({"relative_error": relative_error}), seed)
    half = len(seen) // 2
    assert seen[:half] != seen[half:]


def test_grading_does_not_touch_the_global_random_state() -> None:
    np.random.seed(3)
    wanted = np.random.rand()
    np.random.seed(3)
    grade_of("batchnorm_forward", forward_plain)
    assert np.random.rand() == wanted


# --- not started, failing, missing ------------------------------------------------------------------------------------


def test_a_missing_function_is_not_started() -> None:
    result = grade("layernorm_forward", NamespaceStudent({}))
    assert (result.status, result.points, result.max_points) == ("not_started", 0, 5)
    assert "layernorm_forward" in result.message


def test_a_missing_function_with_a_known_reason_is_an_error_that_names_it() -> None:
    result = grade("layernorm_forward", NamespaceStudent({}), trouble="cell 4: SyntaxError")
    assert (result.status, result.message) == ("error", "cell 4: SyntaxError")


def test_a_name_that_is_no_function_is_not_started() -> None:
    assert grade("layernorm_forward", NamespaceStudent({"layernorm_forward": 3})).status == "not_started"


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize("value", [stub, lambda *arguments: None], ids=["raises", "returns None"])
def test_a_stub_is_not_started_and_earns_nothing(name: str, value: Callable[..., Any]) -> None:
    result = grade(name, NamespaceStudent({**FIRST_RIGHT[name].functions, name: value}))
    assert (result.status, result.points) == ("not_started", 0)
    assert result.diagnosis == ()


def test_a_stub_that_returns_its_empty_variables_is_not_started() -> None:
    result = grade_of("batchnorm_forward", lambda x, gamma, beta, bn_param: (None, None))
    assert (result.status, result.points) == ("not_started", 0)


def test_a_backward_without_its_forward_says_what_it_needs() -> None:
    for functions in ({}, {"batchnorm_forward": stub}):
        result = grade("batchnorm_backward", NamespaceStudent({"batchnorm_backward": backward_graph, **functions}))
        assert (result.status, result.message) == ("not_started", "it needs your batchnorm_forward first")


def test_a_stub_is_not_told_to_start_a_forward_that_is_done() -> None:
    result = grade_of("batchnorm_backward", stub, batchnorm_forward=forward_plain)
    assert result.status == "not_started"
    assert "needs your batchnorm_forward" not in result.message


def test_a_forgotten_return_is_mentioned() -> None:
    assert "return" in grade_of("relative_error", lambda a, b: None).message


def test_a_function_that_always_fails_is_an_error_with_its_exception_in_one_line() -> None:
    result = grade_of("batchnorm_forward", failing)
    assert (result.status, result.points) == ("error", 0)
    assert result.message.startswith("ValueError: an example of a mistake") and "line" in result.message
    assert "\n" not in result.message and "Traceback" not in result.message


def test_a_function_that_fails_at_test_time_keeps_its_points_for_training() -> None:
    def batchnorm_forward(x: Any, gamma: Any, beta: Any, bn_param: Any) -> Any:
        if bn_param["mode"] == "test":
            raise KeyError("running_mean")
        return forward_plain(x, gamma, beta, bn_param)

    result = grade_of("batchnorm_forward", batchnorm_forward)
    assert result.status == "failed"
    assert [check.evidence.passed for check in result.checks[:4]] == [True] * 4  # those that play training only
    failed = [check for check in result.checks if not check.evidence.passed]
    assert len(failed) >= 3 and all("KeyError" in check.evidence.message for check in failed)


def test_a_wrong_number_of_arguments_is_an_error() -> None:
    result = grade_of("layernorm_forward", lambda x, gamma, beta: x)
    assert result.status == "error" and result.message.startswith("TypeError")


def test_supporting_claims_alone_earn_nothing() -> None:
    result = grade_of("batchnorm_forward", lambda x, gamma, beta, bn_param: (np.zeros_like(x), None))
    assert (result.status, result.points) == ("failed", 0)
    assert sum("as soon as another claim holds" in check.evidence.message for check in result.checks) == 2


@pytest.mark.parametrize(
    ("kind", "status"),
    [("missing", "not_started"), ("not_started", "not_started"), ("raised", "error"), ("timeout", "timeout"),
     ("crash", "error"), ("not_plain", "error"), ("form", "error")],
)  # fmt: skip
def test_every_kind_of_failure_has_its_status(kind: str, status: str) -> None:
    result = grade("batchnorm_forward", Failing("batchnorm_forward", kind))
    assert (result.status, result.points) == (status, 0)


@pytest.mark.parametrize("kind", ["timeout", "crash"])
def test_after_a_call_that_did_not_come_back_nothing_more_is_called(kind: str) -> None:
    student = Failing("batchnorm_forward", kind, after=7)
    result = grade("batchnorm_forward", student)
    assert student.calls == 8
    assert result.status == ("timeout" if kind == "timeout" else "error")
    messages = [check.evidence.message for check in result.checks]
    broke = messages.index(f"{kind}: it did")
    assert broke > 0 and all(check.evidence.passed for check in result.checks[:broke])  # what was right before it stays
    assert messages[broke + 1 :] == ["not run: an earlier call did not come back"] * (len(messages) - broke - 1)
    assert result.points == sum(check.max_points for check in result.checks[:broke]) > 0


# --- what a function may do ------------------------------------------------------------------------------------------


def test_only_the_claim_about_inputs_is_lost_by_changing_them() -> None:
    def layernorm_forward(x: Any, gamma: Any, beta: Any, ln_param: Any) -> Any:
        x -= x.mean(axis=1, keepdims=True)
        out = gamma * x / np.sqrt(x.var(axis=1, keepdims=True) + ln_param.get("eps", 1e-5)) + beta
        gamma *= 2
        return out, None

    result = grade_of("layernorm_forward", layernorm_forward)
    assert result.points == result.max_points - 1
    (lost,) = [check for check in result.checks if not check.evidence.passed]
    assert lost.claim == "leaves its inputs as they were" and "x, gamma" in lost.evidence.message


def test_what_a_function_keeps_in_its_cache_is_its_own_business() -> None:
    class Secret:
        __slots__ = ("parts",)

    def forward(*arguments: Any) -> Any:
        secret = Secret()
        out, secret.parts = forward_plain(*arguments)
        return out, (secret, open, lambda: 3, {1, 2}, sys)

    result = grade_of(
        "batchnorm_backward", lambda dout, cache: backward_graph(dout, cache[0].parts), batchnorm_forward=forward
    )
    assert result.status == "passed"


def test_extra_entries_in_the_params_of_any_kind_do_no_harm() -> None:
    def forward(x: Any, gamma: Any, beta: Any, bn_param: Any) -> Any:
        bn_param["history"] = {1, 2}
        bn_param["me"] = forward
        return forward_plain(x, gamma, beta, bn_param)

    assert grade_of("batchnorm_forward", forward).status == "passed"


def test_changed_settings_of_numpy_do_not_survive_a_check() -> None:
    def layernorm_forward(x: Any, gamma: Any, beta: Any, ln_param: Any) -> Any:
        np.seterr(all="raise")
        return x, None

    before = np.geterr()
    grade_of("layernorm_forward", layernorm_forward)
    assert np.geterr() == before


class Deaf(dict[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("not for you")


class Lying(float):
    def __float__(self) -> float:
        return 0.5

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = float.__hash__


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def raising(problem: BaseException) -> Callable[..., Any]:
    def function(*arguments: Any) -> Any:
        raise problem

    return function


def recursing(*arguments: Any) -> Any:
    return recursing(*arguments)


def nested(*arguments: Any) -> Any:
    found: list[Any] = []
    found.append(found)
    return found


HOSTILE: dict[str, Callable[..., Any]] = {
    "a huge array": lambda *given: np.broadcast_to(1.0, (100_000, 100_000)),
    "more memory than there is": lambda *given: np.zeros((10**7, 10**8)),
    "an array with 40 axes": lambda *given: np.ones((1,) * 40),
    "an empty array": lambda *given: np.zeros((0, 4)),
    "an empty list": lambda *given: [],
    "a ragged list": lambda *given: [[1.0], [1.0, 2.0]],
    "a list that holds itself": nested,
    "a text": lambda *given: "0.5",
    "many lines": lambda *given: "\n" * 100,
    "half a surrogate pair": lambda *given: "\ud800",
    "bytes": lambda *given: b"0.5",
    "a set": lambda *given: {0.5},
    "a generator": lambda *given: (value for value in range(3)),
    "a dict subclass": lambda *given: Deaf(a=1),
    "a lying float": lambda *given: Lying(3.0),
    "dates": lambda *given: np.array(["2020-01-01"], "M8[D]"),
    "records": lambda *given: np.zeros(3, [("a", "f8")]),
    "objects": lambda *given: np.array([object()] * 3),
    "complex numbers": lambda *given: np.ones(3) * 1j,
    "a masked array": lambda *given: np.ma.masked_all(3),
    "a matrix": lambda *given: np.ones((2, 3)),
    "infinity": lambda *given: [np.inf],
    "half floats": lambda *given: np.ones(3, np.float16),
    "long doubles": lambda *given: np.ones(3, np.longdouble),
    "the end of the floats": lambda *given: np.full(3, np.finfo(float).max),
    "not a number": lambda *given: np.nan,
    "a class": lambda *given: int,
    "an exception": lambda *given: ValueError("returned"),
    "NotImplemented": lambda *given: NotImplemented,
    "an ellipsis": lambda *given: ...,
    "sys.exit": raising(SystemExit(0)),
    "an unspeakable exception": raising(Unspeakable()),
    "GeneratorExit": raising(GeneratorExit()),
    "endless recursion": recursing,
    "an integer beyond all floats": lambda *given: 2**4000,
    "an integer beyond all integers": lambda *given: 2**100_000,
}

@pytest.mark.parametrize(
    ("name", "id"),
    [
        (name, id)
        for name in ("relative_error", "normalization_axes", "statistics_count", "rnn_layernorm_step")
        for id in HOSTILE
    ],
)  # fmt: skip
def test_no_answer_brings_the_grader_down_or_gets_all_points(name: str, id: str) -> None:
    result = grade_of(name, HOSTILE[id])
    assert result.status in ("failed", "error") and result.points == 0


@pytest.mark.parametrize("id", HOSTILE)
@pytest.mark.parametrize("position", [0, 1])
def test_nor_does_a_part_of_an_answer(id: str, position: int) -> None:
    def backward(dout: Any, cache: Any) -> Any:
        parts = list(backward_graph(dout, cache))
        parts[position] = HOSTILE[id]()
        return parts

    result = grade_of("batchnorm_backward", backward, batchnorm_forward=forward_plain)
    assert result.status in ("failed", "error") and result.points < result.max_points


@pytest.mark.parametrize("id", HOSTILE)
def test_nor_does_what_is_left_in_the_params(id: str) -> None:
    def forward(x: Any, gamma: Any, beta: Any, bn_param: Any) -> Any:
        found = forward_plain(x, gamma, beta, bn_param)
        bn_param["running_var"] = HOSTILE[id]()
        return found

    result = grade_of("batchnorm_forward", forward)
    assert result.status in ("failed", "error") and result.points < result.max_points


def test_an_interrupted_check_is_interrupted() -> None:
    with pytest.raises(KeyboardInterrupt):
        grade_of("relative_error", raising(KeyboardInterrupt()))


# --- results that are None --------------------------------------------------------------------------------------------


def test_an_update_rule_without_its_next_w_is_not_started() -> None:
    result = grade_of("adam", lambda w, dw, config=None: (None, {} if config is None else config))
    assert (result.status, result.points) == ("not_started", 0)
    assert result.message == "next_w is None: not written yet, or not returned"


def test_a_forward_without_test_time_keeps_its_points_for_training() -> None:
    def batchnorm_forward(x: Any, gamma: Any, beta: Any, bn_param: Any) -> Any:
        return forward_plain(x, gamma, beta, bn_param) if bn_param["mode"] == "train" else (None, None)

    result = grade_of("batchnorm_forward", batchnorm_forward)
    assert result.status == "failed"
    assert {check.evidence.message for check in result.checks if not check.evidence.passed} == {
        "out is None: not written yet, or not returned"
    }


def test_a_backward_with_a_wrong_dx_and_nothing_else_has_been_started() -> None:
    result = grade_of("batchnorm_backward", lambda dout, cache: (dout, None, None), batchnorm_forward=forward_plain)
    assert result.status == "failed"


def test_an_output_in_the_place_of_the_cache_is_no_stub() -> None:
    result = grade_of("layernorm_forward", lambda x, gamma, beta, ln_param: (None, gamma * (x - x.mean()) + beta))
    assert (result.status, result.points) == ("error", 0)
    assert "wanted out and cache, in this order" in result.message
    kept = grade_of("layernorm_forward", lambda x, gamma, beta, ln_param: (None, x))
    assert (kept.status, kept.message) == ("not_started", "out is None: not written yet, or not returned")


# --- one mistake, named once --------------------------------------------------------------------------------------------

BUILT = [exercise for exercise in COURSE.exercises.values() if exercise.composed is not None]


@pytest.mark.parametrize("exercise", BUILT, ids=lambda exercise: exercise.name)
def test_what_the_course_builds_from_its_own_functions_is_right(exercise: Any) -> None:
    references = {name: other.reference for name, other in COURSE.exercises.items()}
    assert exercise.builds_on
    assert grade(exercise, _Rebuilt(Trusted(references))).status == "passed"


def calling(name: str, functions: dict[str, Any]) -> Any:
    """The function as a student writes it who calls the other ones."""
    composed = COURSE.exercises[name].composed
    return composed(SimpleNamespace(**functions)) if composed else COURSE.exercises[name].reference


@pytest.mark.parametrize(
    ("exercise", "below"), [pytest.param(e, b, id=f"{e.name}-{b}") for e in BUILT for b in e.builds_on]
)
def test_any_known_mistake_that_comes_through_a_call_is_left_to_the_function_that_made_it(exercise: Any, below: str) -> None:
    blamed = 0
    needed = {exercise.name, *exercise.builds_on, *exercise.needs, *COURSE.exercises[below].needs}
    for idea in COURSE.exercises[below].misconceptions:
        functions: dict[str, Any] = {}
        for name in (name for name in COURSE.exercises if name in needed):
            functions[name] = idea.functions[below] if name == below else calling(name, functions)
        result = grade(exercise, NamespaceStudent(functions))
        if result.status == "passed":
            continue  # a mistake that does not show here
        blamed += 1
        assert [(diagnosis.id, diagnosis.cause) for diagnosis in result.diagnosis] == [(COMES_FROM, below)], idea.id
    assert blamed >= 1


def test_a_mistake_below_that_nobody_foresaw_is_blamed_as_well() -> None:
    def batchnorm_forward(x: Any, gamma: Any, beta: Any, bn_param: Any) -> Any:
        out, cache = forward_plain(x, gamma, beta, bn_param)
        return out + 0.01 * out**2, cache

    def spatial_batchnorm_forward(x: Any, gamma: Any, beta: Any, bn_param: Any) -> Any:
        n, c, h, w = x.shape
        out, cache = batchnorm_forward(x.transpose(0, 2, 3, 1).reshape(-1, c), gamma, beta, bn_param)
        return out.reshape(n, h, w, c).transpose(0, 3, 1, 2), cache

    result = grade_of("spatial_batchnorm_forward", spatial_batchnorm_forward, batchnorm_forward=batchnorm_forward)
    assert [diagnosis.cause for diagnosis in result.diagnosis] == ["batchnorm_forward"]


def test_a_right_function_below_is_never_blamed() -> None:
    def spatial_batchnorm_forward(x: Any, gamma: Any, beta: Any, bn_param: Any) -> Any:
        out, cache = spatial_forward_calling(x, gamma, beta, bn_param)
        return 1.01 * out, cache

    result = grade_of("spatial_batchnorm_forward", spatial_batchnorm_forward, batchnorm_forward=forward_plain)
    assert result.status == "failed" and result.diagnosis == ()


def test_a_function_that_calls_one_that_is_not_written_says_what_it_needs() -> None:
    def batchnorm_forward(x: Any, gamma: Any, beta: Any, bn_param: Any) -> Any:
        return None, None

    def spatial_batchnorm_forward(x: Any, gamma: Any, beta: Any, bn_param: Any) -> Any:
        n, c, h, w = x.shape
        out, cache = batchnorm_forward(x.transpose(0, 2, 3, 1).reshape(-1, c), gamma, beta, bn_param)
        return out.reshape(n, h, w, c).transpose(0, 3, 1, 2), cache

    result = grade_of("spatial_batchnorm_forward", spatial_batchnorm_forward, batchnorm_forward=batchnorm_forward)
    assert (result.status, result.message) == ("not_started", "it needs your batchnorm_forward first")


def test_a_gradient_that_is_exact_in_part_is_said_to_be_so() -> None:
    def batchnorm_forward(x: Any, gamma: Any, beta: Any, bn_param: Any) -> Any:
        std = np.sqrt(x.var(axis=0)) + bn_param.get("eps", 1e-5)
        x_hat = (x - x.mean(axis=0)) / std
        return gamma * x_hat + beta, (x_hat, std, gamma)

    def batchnorm_backward(dout: Any, cache: Any) -> Any:
        x_hat, std, gamma = cache
        return dout * gamma / std, (dout * x_hat).sum(0), dout.sum(0)

    result = grade_of("batchnorm_backward", batchnorm_backward, batchnorm_forward=batchnorm_forward)
    assert result.diagnosis[0].message.startswith("Part of this is the exact gradient of your own batchnorm_forward")
    assert result.diagnosis[0].cause == "batchnorm_forward"


# --- clear words --------------------------------------------------------------------------------------------------------

DECIMAL = r"-?\d+\.\d+(?:e[-+]?\d+)?"


@pytest.mark.parametrize("name", EXERCISES)
def test_a_failed_claim_is_explained_in_three_lines_that_hold_a_handful_of_numbers(name: str) -> None:
    for answer in (answer for answer in MISCONCEPTIONS + WRONG if answer.exercise == name):
        result = graded(answer)
        for check in (check for check in result.checks if not check.evidence.passed):
            lines = _explanation(check, result.message)
            assert len(lines) <= MOST_LINES == 3 and all(len(line) <= WIDTH == 96 for line in lines), lines
            assert all(not line.endswith("…") for line in lines) or "(" in lines[-1], lines
            said = " ".join(explanation(check, result.message))
            assert len(re.findall(DECIMAL, said)) <= 10, said
            for wanted in re.findall(r"wanted (.*)", "\n".join(explanation(check, result.message))):
                assert not re.search(rf"array\(|\[\[|{DECIMAL}[,\s]+{DECIMAL}", wanted), f"gives the answer away: {said}"


# --- remarks ------------------------------------------------------------------------------------------------------------

SINGLE = [
    name
    for assignment, names in COURSE.assignments.items() if assignment[:2] in ("01", "02", "03")
    for name in names if any(check.remarks for check in COURSE.exercises[name].checks)
]  # fmt: skip


@pytest.mark.parametrize("name", SINGLE)
def test_the_courses_own_function_keeps_float32_and_its_cache(name: str) -> None:
    references = {name: exercise.reference for name, exercise in COURSE.exercises.items()}
    assert grade(name, Trusted(references)).remarks == ()


def test_forward_backward_and_update_rules_are_all_looked_at() -> None:
    assert len(SINGLE) == 22 and {"batchnorm_forward", "layernorm_backward", "adam", "fold_batchnorm"} <= set(SINGLE)


def wide(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as one that fills arrays made by np.zeros."""

    def widened(*arguments: Any) -> Any:
        return tuple(part.astype(np.float64) if isinstance(part, np.ndarray) else part for part in function(*arguments))

    return widened


@pytest.mark.parametrize("name", ["batchnorm_forward", "spatial_groupnorm_forward", "layernorm_backward", "adam", "fold_batchnorm"])
def test_float64_made_of_float32_is_a_remark_and_costs_nothing(name: str) -> None:
    functions = {other: COURSE.exercises[other].reference for other in (*COURSE.exercises[name].needs, name)}
    result = grade(name, NamespaceStudent({**functions, name: wide(functions[name])}))
    assert result.status == "passed"
    assert result.remarks == (f"Given float32 arrays, {name} returns float64: twice the memory.",)


def test_a_backward_is_not_told_what_its_forward_did() -> None:
    result = grade_of("batchnorm_backward", backward_graph, batchnorm_forward=wide(forward_plain))
    assert (result.status, result.remarks) == ("passed", ())


def test_a_backward_that_spoils_its_cache_is_told_so_and_loses_nothing() -> None:
    def batchnorm_backward(dout: Any, cache: Any) -> Any:
        found = backward_graph(dout, cache)
        for part in cache:
            if isinstance(part, np.ndarray):
                part *= 2
        return found

    result = grade_of("batchnorm_backward", batchnorm_backward, batchnorm_forward=forward_plain)
    assert result.status == "passed"
    assert result.remarks == (
        "A second call of batchnorm_backward with the same cache gives other gradients: it changes what is in the cache.",
    )


def test_the_same_remark_on_many_values_is_made_once() -> None:
    def batchnorm_forward(x: Any, gamma: Any, beta: Any, bn_param: Any) -> Any:
        out, cache = forward_plain(x, gamma, beta, bn_param)
        return out.astype(np.float32), cache

    (remark,) = grade_of("batchnorm_forward", batchnorm_forward).remarks
    assert "came back as float32" in remark and remark.endswith("more like it.)")
