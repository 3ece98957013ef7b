"""The pictures: what they say must be computed from what they are given."""

import matplotlib

matplotlib.use("Agg")

from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from nnlab import plots
from nnlab.norm_cube import shared_means


@pytest.fixture(autouse=True)
def _fresh_figures() -> Iterator[None]:
    with matplotlib.rc_context():
        plots.use_style()
        yield
    plt.close("all")


@pytest.mark.parametrize(
    ("axes", "groups", "numbers_in_a_mean"),
    [((0, 2, 3), None, 3 * 5), ((1, 2, 3), None, 4 * 5), ((2, 3), None, 5), ((1, 2, 3), 2, 2 * 5)],
)
def test_entries_of_the_cube_share_an_id_exactly_if_they_share_a_mean(
    axes: tuple[int, ...], groups: int | None, numbers_in_a_mean: int
) -> None:
    ids = shared_means(axes, (3, 4, 5), groups)
    assert np.bincount(ids.ravel()).tolist() == [numbers_in_a_mean] * (60 // numbers_in_a_mean)
    # Moving one entry moves the means of NumPy for just the entries with its id.
    x = np.zeros((3, 4, 5, 1))
    x[1, 2, 3] = 1
    if groups:
        grouped = x.reshape(3, groups, -1)
        means = np.broadcast_to(grouped.mean(axis=2, keepdims=True), grouped.shape).reshape(3, 4, 5)
    else:
        means = np.broadcast_to(x.mean(axis=axes, keepdims=True), x.shape)[..., 0]
    np.testing.assert_array_equal(means > 0, ids == ids[1, 2, 3])


def test_the_cube_colours_each_mean_differently_and_counts_them() -> None:
    ax = plots.norm_cube((2, 3), "Instance norm", shape=(3, 4, 2))
    assert ax.get_title() == "Instance norm\n12 means of 2 numbers"
    shown: Any = ax.collections[0].get_facecolor()
    assert len({tuple(colour) for colour in np.round(shown, 3)}) == 12 + 3  # the right side's three are darker
    with pytest.raises(ValueError, match="both or neither"):
        plots.norm_cube((0, 2))
    with pytest.raises(ValueError, match="6 channels cannot be split into 4"):
        plots.norm_cube((1, 2, 3), G=4)


def test_a_curve_is_the_mean_over_seeds_with_its_standard_error() -> None:
    samples = np.array([[1.0, 2.0, 4.0], [3.0, 2.0, 0.0]])
    ax = plots.curves_with_errors([1, 2, 3], samples, "two seeds")
    assert list(ax.lines[0].get_ydata()) == [2, 2, 2]  # type: ignore[arg-type]
    edges: Any = ax.collections[0].get_paths()[0].vertices
    assert edges[edges[:, 0] == 1][:, 1].max() == 3 and edges[edges[:, 0] == 3][:, 1].min() == 0
    plots.curves_with_errors([1, 2, 3], samples, "bars", ax, style="bars")
    assert [text.get_text() for text in ax.legend().get_texts()] == ["two seeds", "bars"]
    with pytest.raises(ValueError, match="3 points"):
        plots.curves_with_errors([1, 2, 3], samples.T)


def test_histograms_have_a_row_for_each_net_and_a_column_for_each_layer() -> None:
    rng = np.random.default_rng(0)
    deep = [(f"{i} ReLU", np.maximum(rng.normal(size=(50, 20)), 0)) for i in range(3)]
    odd = [("constant", np.ones((4, 4))), ("infinite", np.full((3, 3), np.inf))]
    with np.errstate(invalid="ignore"):
        figure = plots.activation_histograms({"without": deep, "with": odd})
    assert len(figure.axes) == 6
    same = plots.activation_histograms({"": deep, "small": [("1 ReLU", 0.01 * deep[0][1])]}, same_range=True)
    ends = {ax.get_xlim() for ax in same.axes if ax.axison}
    assert len(ends) == 1
    assert len({ax.get_ylim() for ax in same.axes if ax.axison}) == 1
    assert texts(figure.axes[0]) == [f"{np.mean(deep[0][1] == 0):.0%} are 0"]
    assert figure.axes[0].get_title().startswith("0 ReLU\nstd 0.")
    assert [figure.axes[i].get_ylabel() for i in (0, 3)] == ["without", "with"]
    own = plt.subplots(1, 3)[1]
    assert plots.activation_histograms({"": deep}, axes=own) is own[0].get_figure()


def texts(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_the_graph_shows_gradients_up_to_the_step_asked_for() -> None:
    nodes, edges = plots.batchnorm_graph()
    assert {edge.source for edge in edges} | {edge.target for edge in edges} == set(nodes)
    gradients = [edge.gradient for edge in edges if edge.step > 3]
    early, late, all_of_it = (texts(plots.computation_graph(nodes, edges, upto=k)) for k in (3, 9, None))
    assert not set(gradients) - {e.gradient for e in edges if e.step <= 3} & set(early)
    assert set(gradients) <= set(late) and sorted(late) == sorted(all_of_it)
    assert sorted({edge.step for edge in edges}) == list(range(10))


def test_nothing_in_the_graph_lies_over_another_box() -> None:
    ax: Any = plots.computation_graph(*plots.batchnorm_graph(), highlight={"centre"})
    figure = ax.figure
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    boxes = [
        patch.get_window_extent(renderer)
        for patch in ax.patches
        if hasattr(patch, "get_boxstyle") and patch.get_width()
    ]
    formulas = {node.formula for node in plots.batchnorm_graph()[0].values()}
    labels = [text for text in ax.texts if text.get_text() not in formulas]
    for text in labels:
        extent = text.get_window_extent(renderer)
        assert not any(extent.shrunk(0.9, 0.9).overlaps(box) for box in boxes), text.get_text()
        assert figure.bbox.x0 <= extent.x0 and extent.x1 <= figure.bbox.x1, text.get_text()
