"""A student's own functions from notebooks that lie about: read as data, of their code nothing but definitions is run."""

from __future__ import annotations

from pathlib import Path

import nbformat
import numpy as np
import pytest

from autograder.exercises import COURSE
from autograder.portfolio import OURS, YOURS, definitions, portfolio

ADAM = """
import numpy as np
def adam(w, dw, config=None):
    config = {} if config is None else config
    for name, value in (("learning_rate", 1e-3), ("beta1", .9), ("beta2", .999), ("epsilon", 1e-8), ("t", 0)):
        config.setdefault(name, value)
    config["t"] += 1
    for name, beta, g in (("m", config["beta1"], dw), ("v", config["beta2"], dw ** 2)):
        config[name] = beta * config.get(name, np.zeros_like(w)) + (1 - beta) * g
    m = config["m"] / (1 - config["beta1"] ** config["t"])
    v = config["v"] / (1 - config["beta2"] ** config["t"])
    return w - config["learning_rate"] * m / (np.sqrt(v) + config["epsilon"]), config
"""
RMSPROP_WITHOUT_ITS_ROOT = """
def rmsprop(w, dw, config=None):
    config = config or {}
    config["cache"] = 0.99 * config.get("cache", 0 * w) + 0.01 * dw ** 2
    return w - config.get("learning_rate", 1e-2) * dw / (config["cache"] + 1e-8), config
"""
LAYERNORM_FORWARD = """
def layernorm_forward(x, gamma, beta, ln_param):
    mean, var = x.mean(1, keepdims=True), x.var(1, keepdims=True)
    x_hat = (x - mean) / np.sqrt(var + ln_param.get("eps", EPS))
    return gamma * x_hat + beta, (x_hat, gamma, var)
"""


def save(path: Path, *cells: str, experiment: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = [nbformat.v4.new_code_cell(cell) for cell in cells]
    if experiment:
        made.append(nbformat.v4.new_code_cell(experiment, metadata={"tags": ["experiment"]}))
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a student who works on notebook 10, with some earlier notebooks beside it."""
    here = tmp_path / "10-capstone"
    here.mkdir()
    monkeypatch.chdir(here)
    first = "03-first-order-optimizers"
    save(tmp_path / first / f"{first}.ipynb", ADAM, RMSPROP_WITHOUT_ITS_ROOT, "def nadam(w, dw):\n  not python here")
    norms = "02-layer-instance-group-normalization"
    save(tmp_path / norms / f"{norms}.ipynb", "import numpy as np\nEPS = 1e-5", LAYERNORM_FORWARD)
    return tmp_path


def test_functions_that_pass_are_the_students_and_the_rest_is_the_courses_own(home: Path) -> None:
    mine = portfolio()
    assert mine.yours == ["adam"]
    assert mine.origin("adam") == YOURS and mine.origin("rmsprop") == OURS
    assert mine.pieces["rmsprop"].reason == "does not pass its check yet"
    assert mine.pieces["nadam"].reason == "not started"
    assert mine.pieces["batchnorm_forward"].reason == "there is no 01-batch-normalization.ipynb here"
    assert mine["adam"] is mine.adam and mine.adam.__code__.co_filename.startswith("03-first-order-optimizers.ipynb, cell 1")
    w, config = mine.adam(np.ones(3), np.ones(3))
    np.testing.assert_allclose(w, 1 - 1e-3)
    assert mine.rmsprop is COURSE.exercises["rmsprop"].reference
    assert set(mine) == set(COURSE.exercises) - {"predict"}


def test_a_forward_without_its_backward_is_not_mixed_with_the_courses_backward(home: Path) -> None:
    piece = portfolio().pieces["layernorm_forward"]
    assert piece.origin == OURS
    assert piece.reason == "yours passes, but layernorm_backward does not yet, and they belong together"


def test_the_courses_own_can_be_given(home: Path) -> None:
    mine = portfolio({"rmsprop": abs, "adam": abs})
    assert mine.rmsprop is abs and mine.adam is not abs


def test_nothing_but_definitions_is_run(tmp_path: Path) -> None:
    traces = "open('trace', 'w')", "print('ran')", "x = [open('trace', 'w')]", "for k in range(3): raise SystemExit"
    source = "RATE = -1e-3\nGRID = [1, (2, 3)]\nhalf = lambda x: x / 2\nclass Net:\n    size = 3\n" + "\n".join(traces)
    path = save(tmp_path / "note.ipynb", source, "%matplotlib inline\ndef f(): return half(4)", "check('f')",
                "import no_such_module_anywhere", "def broken(x=1 / 0): pass", experiment="GRID = open('trace', 'w')")  # fmt: skip
    space = definitions(path)
    assert space["RATE"] == -1e-3 and space["GRID"] == [1, (2, 3)] and space["f"]() == 2 and space["Net"].size == 3
    assert "x" not in space and "broken" not in space
    assert not list(tmp_path.glob("**/trace")) and not Path("trace").exists()


def test_a_damaged_notebook_costs_its_own_functions_only(home: Path) -> None:
    folder = home / "04-learning-rate-schedules"
    folder.mkdir()
    (folder / "04-learning-rate-schedules.ipynb").write_text("{ not json")
    mine = portfolio()
    assert mine.yours == ["adam"]
    assert mine.pieces["cosine_decay"].reason == "the notebook cannot be read"
    assert len(mine.troubles) == 1 and "its JSON is damaged" in mine.troubles[0]
    assert "its JSON is damaged" in repr(mine) and "its JSON is damaged" in mine._repr_html_()


def test_notebooks_may_lie_together_in_one_folder(home: Path) -> None:
    (home / "03-first-order-optimizers" / "03-first-order-optimizers.ipynb").rename("03-first-order-optimizers.ipynb")
    assert portfolio().yours == ["adam"]


def test_it_says_which_are_whose_in_text_and_in_html(home: Path) -> None:
    mine = portfolio()
    text, html = repr(mine), mine._repr_html_()
    assert text.startswith(f"1 of {len(mine)} functions are yours") and f"1 of {len(mine)} functions are yours" in html
    assert "03-first-order-optimizers: 1 yours" in text
    with pytest.raises(AttributeError, match="no function adamm"):
        mine.adamm  # noqa: B018


def test_all_of_a_finished_course_is_the_students_own(monkeypatch: pytest.MonkeyPatch) -> None:
    solutions = Path(__file__).resolve().parents[1] / "solutions"
    monkeypatch.chdir(solutions)
    mine = portfolio(folder=".")
    there = {path.stem for path in solutions.glob("*/*.ipynb")}
    wanted = [name for assignment in COURSE.assignments if assignment in there for name in COURSE.assignments[assignment]]
    assert mine.yours == [name for name in wanted if name != "predict"]
