"""How the course's figures look, and the plots that several notebooks share. A plot draws into `ax` if it is given one
and into a new figure otherwise; a new figure's size and fonts come from `use_style`."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.computation_graph import Edge as Edge
from nnlab.computation_graph import Node as Node
from nnlab.computation_graph import batchnorm_graph as batchnorm_graph
from nnlab.computation_graph import computation_graph as computation_graph
from nnlab.layers import Array
from nnlab.norm_cube import norm_cube as norm_cube
from nnlab.palette import COLOURS, GREY, INK
from nnlab.seeds import Summary, standard_error


def use_style() -> None:
    """The house style for all figures from here on: readable fonts, colours that colour-blind readers can tell apart
    (Okabe & Ito 2008), a light grid."""
    mpl.rcParams.update(
        {
            "figure.figsize": (7, 4),
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "savefig.dpi": 150,
            "font.size": 11,
            "axes.titlesize": 12,
            "axes.titlelocation": "left",
            "axes.labelsize": 11,
            "axes.edgecolor": GREY,
            "axes.labelcolor": INK,
            "axes.titlecolor": INK,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.prop_cycle": cycler(color=list(COLOURS)),
            "grid.color": "#e3e6ea",
            "grid.linewidth": 0.8,
            "lines.linewidth": 2,
            "lines.markersize": 5,
            "legend.frameon": False,
            "xtick.color": INK,
            "ytick.color": INK,
            "image.cmap": "viridis",
        }
    )


def curves_with_errors(
    x: ArrayLike,
    samples: ArrayLike | Summary,
    label: str | None = None,
    ax: Axes | None = None,
    style: str = "band",
    **line: Any,
) -> Axes:
    """The mean over seeds against `x`, with its standard error as a "band" or as "bars".

    `samples` is (seeds, points), or the `Summary` that `sweep` gave; `line` goes to matplotlib (color, marker, ...).
    """
    samples = np.asarray(samples.values if isinstance(samples, Summary) else samples, dtype=float)
    x = np.asarray(x)
    if samples.shape[1:] != x.shape:
        raise ValueError(f"samples {samples.shape} should be (seeds, points) with {len(x)} points, as x has")
    ax = plt.subplots()[1] if ax is None else ax
    mean, error = samples.mean(axis=0), standard_error(samples)
    if style == "bars":
        ax.errorbar(x, mean, yerr=error, label=label, **{"marker": "o", "capsize": 3, **line})
    else:
        (drawn,) = ax.plot(x, mean, label=label, **line)
        ax.fill_between(x, mean - error, mean + error, color=drawn.get_color(), alpha=0.2, linewidth=0)
    return ax


def activation_histograms(
    nets: Mapping[str, Sequence[tuple[str, Array]]],
    bins: int = 40,
    axes: np.ndarray | None = None,
    same_range: bool = False,
) -> Figure:
    """A row of small histograms for each net, a column for each layer, with the layer's standard deviation.

    `nets` maps a label to what `net.activations(x, after=ReLU)` gave. Each panel's range is its own, as the spread can
    differ a thousandfold between layers; its ends are marked. `same_range` gives all panels one range and scale
    instead, so that a layer whose values die out becomes a spike, cut at the top. `axes` (rows, columns) draws into existing panels.
    """
    columns = max(len(layers) for layers in nets.values())
    if axes is None:
        size = (1.2 + 1.75 * columns, 0.4 + 1.65 * len(nets))
        axes = plt.subplots(len(nets), columns, figsize=size, squeeze=False, layout="constrained")[1]
    axes = np.reshape(np.asarray(axes), (len(nets), columns))
    everything = [np.asarray(values).ravel() for layers in nets.values() for _, values in layers]
    common = _range(np.concatenate(everything)) if same_range else None
    for row, (label, layers) in enumerate(nets.items()):
        for column in range(columns):
            ax: Axes = axes[row, column]
            if column >= len(layers):
                ax.axis("off")
                continue
            name, values = layers[column]
            flat = np.asarray(values, dtype=float).ravel()
            low, high = common or _range(flat)
            counts, edges = np.histogram(flat, bins=bins, range=(low, high))
            share = counts / max(1, len(flat))
            ax.bar(edges[:-1], share, np.diff(edges), align="edge", color=COLOURS[row % len(COLOURS)], linewidth=0)
            if common:
                ax.set_ylim(0, 3 / bins)  # three times the height of evenly spread values
            else:
                _cut_lone_spike(ax, flat, share, edges)
            ax.set_xlim(low, high)
            ax.set_xticks([low, high], [_short(low), _short(high)], fontsize=8)
            ax.get_xticklabels()[0].set_horizontalalignment("left")
            ax.get_xticklabels()[1].set_horizontalalignment("right")
            ax.set_yticks([])
            ax.grid(False)
            ax.spines["left"].set_visible(False)
            ax.set_title(f"{name}\nstd {_short(flat.std())}", fontsize=9, loc="center")
            if column == 0:
                ax.set_ylabel(label, fontsize=11)
    figure = axes[0, 0].get_figure()
    assert isinstance(figure, Figure)
    return figure


def _cut_lone_spike(ax: Axes, values: np.ndarray, share: np.ndarray, edges: np.ndarray) -> None:
    """A ReLU's zeros would dwarf all the rest: such a bar is cut, and the share of exact zeros written beside it."""
    highest = int(share.argmax())
    top = 1.15 * max(np.delete(share, highest).max(), 1e-9)
    if share[highest] <= 3 * top:
        return
    ax.set_ylim(0, 1.3 * top)
    in_left_half = highest < len(share) / 2
    ax.annotate(
        f"{np.mean(values == 0):.0%} are 0",
        (edges[highest], 1),
        (9 if in_left_half else -9, 0),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="left" if in_left_half else "right",
        va="top",
        fontsize=8,
        color=INK,
    )


def _range(values: np.ndarray) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _short(number: float) -> str:
    return f"{number:.2g}"
