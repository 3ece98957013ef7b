"""`check`, `hint` and `yours` as a notebook calls them: in a plain namespace, in IPython and in a real kernel."""

from __future__ import annotations

import io
import logging
import sys
import types
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import nbformat
import numpy as np
import pytest
from answers.gradient_checking import relative_error_in_one_line, relative_error_noisily
from answers.layer_instance_group_normalization import layer_backward_graph, layer_forward_plain

from autograder import check, hint, yours
from autograder import notebook as notebook_module
from autograder.exercises import COURSE


def half_right(a: Any, b: Any) -> float:
    """Takes arrays only: 4 of 5 points before anything else is wrong."""
    return float(np.max(np.abs(a - b) / np.maximum(1e-12, np.abs(a) + np.abs(b)), axis=tuple(range(a.ndim))))


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """No hints given yet, not under nbgrader, not in a kernel."""
    monkeypatch.setattr(notebook_module, "_hints_given", {})
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)


# --- check ------------------------------------------------------------------------------------------------------------


def test_check_prints_the_table_and_returns_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    assert check("relative_error", {"relative_error": relative_error_in_one_line}) is None
    shown = capfd.readouterr()
    assert shown.out.splitlines()[0].split() == ["relative_error", "5", "of", "5", "points"]
    assert shown.out.count("✓") == len(COURSE.exercises["relative_error"].checks) and "✗" not in shown.out
    assert shown.err == ""


@pytest.mark.parametrize("phase", ["autograde", "validate"])
@pytest.mark.parametrize(("function", "points"), [(relative_error_in_one_line, 5.0), (half_right, 4.0), (None, 0.0)])
def test_under_nbgrader_check_returns_the_points_as_well(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], phase: str, function: Any, points: float
) -> None:
    monkeypatch.setenv("NBGRADER_EXECUTION", phase)
    found = check("relative_error", {"relative_error": function} if function else {})
    assert type(found) is float and found == points
    shown = capfd.readouterr()
    assert f"{points:g} of 5 points" in shown.out and shown.err == ""


def test_check_looks_at_the_functions_of_whoever_calls_it(capsys: pytest.CaptureFixture[str]) -> None:
    namespace: dict[str, Any] = {"check": check}
    exec("def relative_error(a, b):\n    raise NotImplementedError\ncheck('relative_error')", namespace)
    assert "not started" in capsys.readouterr().out
    exec("import numpy as np\ndef relative_error(a, b):\n    return 0.0\ncheck('relative_error')", namespace)
    assert "0 of 5 points" in capsys.readouterr().out


def log_and_write(a: Any, b: Any) -> Any:
    logging.getLogger("a student's").warning("logged")
    print("to stderr", file=sys.stderr)
    sys.stdout.write("to stdout")
    return relative_error_in_one_line(a, b)


def shut_the_streams(a: Any, b: Any) -> Any:
    sys.stdout = sys.stderr = io.StringIO()
    return relative_error_in_one_line(a, b)


def turn_warnings_to_errors(a: Any, b: Any) -> Any:
    warnings.simplefilter("error")
    np.seterr(all="raise")
    return relative_error_in_one_line(a, b)


@pytest.mark.parametrize("function", [relative_error_noisily, log_and_write, shut_the_streams, turn_warnings_to_errors])
def test_prints_warnings_and_worse_of_the_student_are_swallowed(
    capfd: pytest.CaptureFixture[str], function: Callable[..., Any]
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check("relative_error", {"relative_error": function})
        np.seterr(**np.geterr())
    shown = capfd.readouterr()
    assert shown.err == "" and caught == []
    assert shown.out.startswith("relative_error") and "a, b:" not in shown.out and "to stdout" not in shown.out


@pytest.mark.parametrize(
    ("function", "line"),
    [(lambda a, b: 1 / 0, "ZeroDivisionError"), (lambda a: 0, "TypeError"), (lambda a, b: sys.exit(3), "SystemExit")],
)
def test_a_failing_function_shows_one_line_and_no_traceback(
    capfd: pytest.CaptureFixture[str], function: Callable[..., Any], line: str
) -> None:
    check("relative_error", {"relative_error": function})
    shown = capfd.readouterr()
    assert "could not run: " + line in shown.out and "Traceback" not in shown.out and shown.err == ""


def test_the_namespace_is_left_as_it_was() -> None:
    namespace: dict[str, Any] = {"relative_error": relative_error_in_one_line, "x": np.arange(3)}
    before = dict(namespace)
    with redirect_stdout(io.StringIO()):
        check("relative_error", namespace)
    assert namespace == before


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("face", [check, hint], ids=["check", "hint"])
@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("relative_eror", "relative_error"),
        ("batchnorm", "batchnorm_forward"),
        ("layer_norm_forward", "layernorm_forward"),
    ],
)
def test_a_misspelt_name_is_a_value_error_that_suggests_the_right_one(
    face: Callable[[str], Any], name: str, meant: str
) -> None:
    with pytest.raises(ValueError, match=rf"no exercise '{name}'; did you mean .*{meant}"):
        face(name)


def test_a_name_like_no_other_is_a_value_error_without_a_suggestion() -> None:
    with pytest.raises(ValueError, match=r"^no exercise '123456789'$"):
        check("123456789")


def test_a_function_in_place_of_its_name_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="no exercise"):
        check(relative_error_in_one_line)  # type: ignore[arg-type]


# --- hint -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COURSE.exercises)
def test_hints_come_one_at_a_time_and_start_again_after_the_last(capfd: pytest.CaptureFixture[str], name: str) -> None:
    hints = COURSE.exercises[name].hints
    assert len(hints) >= 2
    for number in [*range(len(hints)), 0]:
        assert hint(name) is None  # type: ignore[func-returns-value]
        shown = capfd.readouterr()
        assert shown.out == f"Hint {number + 1} of {len(hints)} for {name}: {hints[number]}\n"
        assert shown.err == ""


def test_each_exercise_counts_its_own_hints(capsys: pytest.CaptureFixture[str]) -> None:
    hint("relative_error")
    hint("layernorm_forward")
    assert capsys.readouterr().out.count("Hint 1 of") == 2


# --- yours ------------------------------------------------------------------------------------------------------------


def run_yours(functions: dict[str, Any]) -> tuple[Any, str]:
    course = (lambda *given: "course", lambda *given: "course")
    namespace: dict[str, Any] = {**functions, "yours": yours, "course": course}
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        exec('found = yours(["layernorm_forward", "layernorm_backward"], otherwise=course)', namespace)
    assert err.getvalue() == ""
    return namespace["found"], out.getvalue()


def test_yours_gives_a_readers_own_functions_when_all_of_them_pass() -> None:
    found, said = run_yours({"layernorm_forward": layer_forward_plain, "layernorm_backward": layer_backward_graph})
    assert found == (layer_forward_plain, layer_backward_graph)
    assert said == "Running your own layernorm_forward, layernorm_backward.\n"


def test_yours_gives_the_courses_functions_when_one_does_not_pass_and_says_which() -> None:
    def wrong(dout: Any, cache: Any) -> Any:
        dx, dgamma, dbeta = layer_backward_graph(dout, cache)
        return 2 * dx, dgamma, dbeta

    found, said = run_yours({"layernorm_forward": layer_forward_plain, "layernorm_backward": wrong})
    assert [function() for function in found] == ["course", "course"]
    assert "your layernorm_backward does not pass its check yet" in said
    found, said = run_yours({})
    assert [function() for function in found] == ["course", "course"]
    assert "your layernorm_forward, layernorm_backward do not pass their checks yet" in said


# --- IPython ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Any:
    """An IPython shell in this process, with its display hooks and nothing of the user's."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config)
    yield shell
    shell.restore_sys_module_state()  # it has put its own module in the place of __main__
    InteractiveShell.clear_instance()


DEFINITION = """
import numpy as np
from autograder import check, hint
def relative_error(a, b):
    print("noise"); np.log(np.zeros(1))
    return float(np.max(np.abs(np.subtract(a, b)) / np.maximum(1e-12, np.abs(a) + np.abs(b))))
"""


def test_in_ipython_check_displays_the_table_in_both_forms_and_leaves_no_result(
    shell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from IPython.utils.capture import capture_output

    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    shell.run_cell(DEFINITION).raise_error()
    with capture_output() as shown:
        result = shell.run_cell('check("relative_error")')
    result.raise_error()
    assert result.result is None and shown.stderr == "" and shown.stdout == ""
    (output,) = shown.outputs
    assert output.data["text/plain"].startswith("relative_error")
    assert output.data["text/html"].lstrip().startswith("<div") and "5 of 5 points" in output.data["text/html"]


def test_in_a_terminals_ipython_check_prints_text(shell: Any) -> None:
    from IPython.utils.capture import capture_output

    shell.run_cell(DEFINITION).raise_error()
    with capture_output() as shown:
        shell.run_cell('check("relative_error")').raise_error()
    assert shown.stdout.startswith("relative_error") and shown.outputs == [] and shown.stderr == ""


CELLS = (
    DEFINITION,
    'check("relative_error")',
    'hint("relative_error")',
    "import os; os.environ['NBGRADER_EXECUTION'] = 'autograde'",
    'check("relative_error")',
    'check("layernorm_forward")',
    "def layernorm_forward(x, gamma, beta, ln_param):\n    import warnings; warnings.warn('noise')\n    return 1 / 0",
    'check("layernorm_forward")',
)


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The outputs of the cells in a real kernel, as nbgrader runs them; one kernel for all the tests below."""
    from nbclient import NotebookClient

    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    place = str(tmp_path_factory.mktemp("kernel"))
    NotebookClient(book, timeout=120, kernel_name="python3", resources={"metadata": {"path": place}}).execute()
    return [cell.outputs for cell in book.cells]


def test_in_a_kernel_the_table_is_html_with_the_text_beside_it(executed: list[Any]) -> None:
    for outputs in executed[1:3]:
        (output,) = outputs
        assert output.output_type == "display_data"
        assert {"text/html", "text/plain"} <= output.data.keys()
    assert "5 of 5 points" in executed[1][0].data["text/html"]
    assert "Hint 1 of" in executed[2][0].data["text/html"]


@pytest.mark.parametrize(("cell", "points"), [(4, 5.0), (5, 0.0), (7, 0.0)])
def test_under_nbgrader_the_first_result_of_the_cell_is_the_number_of_points(
    executed: list[Any], cell: int, points: float
) -> None:
    results = [output for output in executed[cell] if output.output_type == "execute_result"]
    assert [float(result.data["text/plain"]) for result in results] == [points]
    assert any(output.output_type == "display_data" and "text/html" in output.data for output in executed[cell])


def test_in_a_kernel_nothing_reaches_the_streams(executed: list[Any]) -> None:
    streams = [output for outputs in executed for output in outputs if output.output_type in ("stream", "error")]
    assert streams == []
