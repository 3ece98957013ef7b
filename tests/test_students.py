"""A notebook's namespace and a sandboxed process are one interface: what holds for the one holds for the other."""

import sys
import time

import numpy as np
import pytest

from autograder.exercise import Handle, StudentError
from autograder.sandbox import Cell, Sandbox, sandbox_problem
from autograder.students import NamespaceStudent

CODE = '''
import sys, warnings
import numpy as np

def double(x): return 2 * x
def in_place(x):
    x *= 2
    return x
def same(x): return x
def forward(x, config):
    config["steps"] = config.get("steps", 0) + 1
    cache = (x, lambda: 1)
    return x.sum(), cache
def backward(dout, cache): return dout * np.ones_like(cache[0])
def as_list(x): return [x, {"secret": x}]
def one_kept(): return object()
def make_adder(n): return lambda x: x + n
def nothing(x): return None
def loud(x):
    print("out")
    print("err", file=sys.stderr)
    warnings.warn("careful")
    return np.log(-np.ones(1)) + 1 / np.zeros(1)
def stub(x):
    raise NotImplementedError("write me")
def wrong(x):
    y = np.ones(3)
    return y @ np.ones(4)
def leave(x): raise SystemExit(3)
def endless(x): return endless(x)
def generator(x): return (i for i in range(3))
def nested(x): return x, {"mask": {1, 2}}
def integrate(f, points): return sum(f(point) for point in points)
def with_keyword(f): return f(1.0, scale=3.0)
def hands_function(f): return f(lambda: 0)
def fails_inside(f):
    try:
        f(1.0)
    except Exception as error:
        return f"caught {error}"
def average(forward, x, rng): return (forward(x, rng) + forward(x, rng=rng)) / 2
def average_of_own(forward, x): return forward(x, np.random.default_rng(7))
def draw(rng): return rng.standard_normal(3)
def stash(config, x):
    config["x"] = x
    config["model"] = make_adder(3)
    return x
def use_stash(config): return config["model"](1)
def cyclic(config):
    config["self"] = config
    return 1
not_a_function = 3
class Layer:
    def __call__(self, x): return x + 1
    def __len__(self): return 0
layer = Layer()
'''


@pytest.fixture(scope="module", params=["namespace", "sandbox"])
def student(request):
    if request.param == "namespace":
        namespace: dict = {"__name__": "__main__"}
        exec(compile(CODE, "<notebook>", "exec"), namespace)
        yield NamespaceStudent(namespace)
    else:
        if sandbox_problem():
            pytest.skip("needs bubblewrap")
        with Sandbox([Cell("cell 1", CODE)]) as sandbox:
            assert [outcome.error for outcome in sandbox.outcomes] == [""]
            yield sandbox


def error(student, *call, **keywords):
    with pytest.raises(StudentError) as caught:
        student.call(*call, **keywords)
    assert "\n" not in caught.value.message
    return caught.value.kind, caught.value.message


def test_it_knows_which_functions_there_are(student):
    assert student.defines("double") and student.defines("Layer") and student.defines("layer")
    assert not student.defines("triple") and not student.defines("not_a_function")
    assert error(student, "triple", []) == ("missing", "triple is not defined")


def test_a_call_gives_the_result_the_arguments_and_what_was_printed(student):
    x = np.arange(3.0)
    answer = student.call("double", [x])
    np.testing.assert_array_equal(answer.value, 2 * x)
    np.testing.assert_array_equal(answer.arguments[0], x)
    assert answer.printed == ""
    assert student.call("layer", [1]).value == 2


def test_the_callers_arrays_are_never_touched_and_changes_are_seen(student):
    x = np.arange(3.0)
    answer = student.call("in_place", [x])
    np.testing.assert_array_equal(x, [0, 1, 2])
    np.testing.assert_array_equal(answer.arguments[0], [0, 2, 4])
    answer = student.call("same", [x])
    answer.value[0] = 100
    assert x[0] == 0 and answer.arguments[0][0] == 0


def test_a_dict_argument_comes_back_as_it_was_left_and_the_callers_own_does_not_change(student):
    config: dict = {}
    for step in (1, 2):
        answer = student.call("forward", [np.ones(2), config], keep=(1,))
        assert answer.arguments[1] == {"steps": step}
        assert config.get("steps", 0) == step - 1
        config = answer.arguments[1]


def test_a_cache_stays_and_goes_back_in_by_its_handle(student):
    loss, cache = student.call("forward", [np.ones((2, 3)), {}], keep=(1,)).value
    assert loss == 6.0 and isinstance(cache, Handle)
    answer = student.call("backward", [2.0, cache])
    np.testing.assert_array_equal(answer.value, 2 * np.ones((2, 3)))
    assert answer.arguments[1] == cache
    assert len({cache, cache}) == 1


def test_keep_takes_lists_and_single_objects_too(student):
    x, cache = student.call("as_list", [1.0], keep=(1,)).value
    assert x == 1.0 and isinstance(cache, Handle)
    assert isinstance(student.call("one_kept", [], keep=(0,)).value, Handle)
    assert student.call("double", [1.0], keep=(1,)).value == 2.0
    assert student.call("nothing", [1.0], keep=(1,)).value is None
    first, second = student.call("as_list", [1.0], keep=(0, 1, 2)).value
    assert isinstance(first, Handle) and isinstance(second, Handle)
    assert student.call("nothing", [1], keep=(0,)).value is None  # a stub: there is nothing to keep
    assert student.call("same", [None]).arguments == (None,)


def test_a_function_that_was_returned_can_be_called(student):
    adder = student.call("make_adder", [3], keep=(0,)).value
    assert student.call(adder, [4]).value == 7
    kept = student.call("one_kept", [], keep=(0,)).value
    assert error(student, kept, [4]) == ("raised", "TypeError: 'object' object is not callable")


def test_printing_and_warnings_go_nowhere_else(student, capfd):
    answer = student.call("loud", [1])
    assert answer.printed == "out\nerr\n"
    assert capfd.readouterr() == ("", "")


def test_what_is_not_written_yet_is_told_from_what_fails(student):
    assert error(student, "stub", [1])[0] == "not_started"
    kind, message = error(student, "wrong", [1])
    assert kind == "raised" and message.startswith("ValueError: matmul") and "line 28)" in message
    assert error(student, "leave", [1])[0] == "raised"
    kind, message = error(student, "endless", [1])
    assert kind == "raised" and message.startswith("RecursionError")
    assert error(student, "double", [])[0] == "raised"


def test_what_is_not_plain_is_named(student):
    assert error(student, "generator", [1]) == ("not_plain", "returned a generator")
    assert error(student, "nested", [1]) == ("not_plain", "returned a set inside a dict")
    assert error(student, "make_adder", [1]) == ("not_plain", "returned a function")
    assert error(student, "cyclic", [{}])[1].endswith("in an argument")


def test_a_function_can_be_handed_in(student):
    seen = []

    def square(x):
        seen.append(x)
        return x * x

    answer = student.call("integrate", [square, np.arange(4.0)])
    assert answer.value == 14.0 and seen == [0, 1, 2, 3]
    assert all(type(x) is float for x in seen)
    assert answer.arguments[0] is square
    assert student.call("with_keyword", [lambda x, scale: x * scale]).value == 3.0
    assert student.call("integrate", [lambda x: x * np.ones(2), [1.0, 2.0]]).value.tolist() == [3.0, 3.0]


def test_a_function_handed_in_that_fails_raises_inside(student):
    def fail(x):
        raise ValueError("outside the range")

    assert "outside the range" in student.call("fails_inside", [fail]).value
    kind, message = error(student, "integrate", [fail, [1.0]])
    assert kind == "raised" and "outside the range" in message
    kind, message = error(student, "hands_function", [fail])
    assert kind == "raised" and "takes arrays and numbers, not a function" in message


def test_a_random_generator_draws_the_same_and_is_advanced(student):
    rng, twin = np.random.default_rng(5), np.random.default_rng(5)
    answer = student.call("draw", [rng])
    np.testing.assert_array_equal(answer.value, twin.standard_normal(3))
    assert answer.arguments[0] is rng
    assert rng.random() == twin.random()


def test_a_function_that_was_lent_draws_from_the_generator_it_is_handed(student):
    def forward(x, rng):
        return np.asarray(x) + rng.standard_normal(2)

    rng, twin = np.random.default_rng(5), np.random.default_rng(5)
    draws = twin.standard_normal((2, 2))
    np.testing.assert_allclose(student.call("average", [forward, [1.0, 2.0], rng]).value, np.array([1, 2]) + draws.mean(axis=0))
    assert rng.random() == twin.random()
    own = student.call("average_of_own", [forward, [1.0, 2.0]]).value
    np.testing.assert_allclose(own, np.array([1, 2]) + np.random.default_rng(7).standard_normal(2))


def test_what_a_student_puts_into_a_dict_and_is_not_plain_is_carried_along(student):
    config = student.call("stash", [{}, 2.0]).arguments[0]
    assert config["x"] == 2.0 and isinstance(config["model"], Handle)
    assert student.call("use_stash", [config]).value == 4


def test_a_call_inside_a_call_works(student):
    answer = student.call("integrate", [lambda x: student.call("double", [x]).value, [1.0, 2.0]])
    assert answer.value == 6.0


def test_an_argument_that_nobody_can_hand_over_is_the_callers_mistake(student):
    with pytest.raises(ValueError, match="object"):
        student.call("double", [object()])


def test_in_a_notebook_the_stop_button_works():
    def stopped(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        NamespaceStudent({"f": stopped}).call("f", [1])


def test_in_a_notebook_streams_are_put_back_after_a_failure():
    out, err = sys.stdout, sys.stderr
    with pytest.raises(StudentError):
        NamespaceStudent({"f": lambda: 1 / 0}).call("f", [])
    assert (sys.stdout, sys.stderr) == (out, err)


def test_a_handle_from_elsewhere_is_refused():
    with pytest.raises(StudentError) as caught:
        NamespaceStudent({"f": len}).call("f", [Handle((1, 2))])
    assert caught.value.kind == "crash"


def test_a_call_in_a_notebook_costs_little():
    student = NamespaceStudent({"f": lambda x: x + 1})
    x = np.ones((10, 10))
    best = min(timed(lambda: [student.call("f", [x]) for _ in range(100)]) for _ in range(5)) / 100
    assert best < 1e-3  # 0.03 ms on the machine that this was written on


def timed(action):
    started = time.perf_counter()
    action()
    return time.perf_counter() - started
