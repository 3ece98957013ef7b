"""A computation graph drawn node by node: values flow forward above the arrows, gradients backward below them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch

from nnlab.palette import BLUE, GREY, INK, VERMILION


@dataclass(frozen=True)
class Node:
    """A box at (column, row) of the drawing with a formula in matplotlib's mathtext; inputs and outputs are rounder.
    `gradient` is written over the box from backward step `step` on: the sum of what arrives there."""

    formula: str
    column: float
    row: float
    is_value: bool = False
    gradient: str = ""
    step: int = 0


@dataclass(frozen=True)
class Edge:
    """An arrow between two nodes: the `value` that goes forward, the `gradient` that comes back, and the backward
    `step` (1, 2, ...) at which that is found. `bend` curves the arrow (to the left of its direction if positive);
    `at` is where along the arrow the labels sit; `gradient_shift` moves the gradient's, in columns and rows."""

    source: str
    target: str
    value: str = ""
    gradient: str = ""
    step: int = 0
    bend: float = 0.0
    at: float = 0.5
    gradient_shift: tuple[float, float] = (0.0, 0.0)


def computation_graph(
    nodes: Mapping[str, Node],
    edges: Sequence[Edge],
    upto: int | None = None,
    highlight: Collection[str] = (),
    ax: Axes | None = None,
    title: str = "",
) -> Axes:
    """Draw `nodes` (name -> Node) and `edges`.

    `upto=k` shows the gradients of the backward steps 1..k only (all by default; with 0 just
    the one that comes from above), those of step k boldly;
    `highlight` names nodes to fill. Such as `computation_graph(*batchnorm_graph(), upto=3, highlight={"square"})`.
    """
    columns = [node.column for node in nodes.values()]
    rows = [node.row for node in nodes.values()]
    if ax is None:
        size = (1.2 * (max(columns) - min(columns) + 1), 1.15 * (max(rows) - min(rows) + 1) + 0.3)
        ax = plt.subplots(figsize=size)[1]
    ax.set(xlim=(min(columns) - 0.5, max(columns) + 0.5), ylim=(max(rows) + 0.55, min(rows) - 0.55))
    ax.axis("off")
    for node in nodes.values():
        if node.gradient and (upto is None or node.step <= upto):
            above = (node.column, node.row - 0.3)
            ax.text(*above, node.gradient, ha="center", va="bottom", fontsize=12, color=VERMILION)
    patches = {name: _draw_node(ax, node, name in highlight) for name, node in nodes.items()}
    for edge in edges:
        _draw_edge(ax, edge, nodes, patches, upto)
    if title:
        ax.set_title(title, loc="left", color=INK)
    return ax


def _draw_node(ax: Axes, node: Node, filled: bool) -> Patch:
    width, height = (0.36, 0.4) if node.is_value else (0.72, 0.46)
    shape: Patch = FancyBboxPatch(
        (node.column - width / 2, node.row - height / 2),
        width,
        height,
        boxstyle=f"round,pad=0,rounding_size={0.16 if node.is_value else 0.06}",
        facecolor="#fdf0d5" if filled else "#eef2f6" if node.is_value else "white",
        edgecolor=VERMILION if filled else GREY if node.is_value else INK,
        linewidth=2 if filled else 1.2,
        zorder=3,
    )
    ax.add_patch(shape)
    ax.text(node.column, node.row, node.formula, ha="center", va="center", fontsize=12, color=INK, zorder=4)
    return shape


def _draw_edge(ax: Axes, edge: Edge, nodes: Mapping[str, Node], patches: Mapping[str, Patch], upto: int | None) -> None:
    start = np.array([nodes[edge.source].column, nodes[edge.source].row])
    end = np.array([nodes[edge.target].column, nodes[edge.target].row])
    shows_gradient = bool(edge.gradient) and (upto is None or edge.step <= upto)
    newest = shows_gradient and upto is not None and edge.step == upto
    ax.add_patch(
        FancyArrowPatch(
            (start[0], start[1]),
            (end[0], end[1]),
            patchA=patches[edge.source],
            patchB=patches[edge.target],
            arrowstyle="-|>",
            mutation_scale=12,
            shrinkA=1,
            shrinkB=1,
            connectionstyle=f"arc3,rad={edge.bend}",
            color=VERMILION if newest else GREY,
            linewidth=2 if newest else 1.3,
            zorder=2,
        )
    )
    # arc3 bends a quadratic curve; its middle lies half as far from the straight line as its control point.
    across = np.array([-(end - start)[1], (end - start)[0]])
    bow = 2 * edge.at * (1 - edge.at) * -edge.bend * across
    place = start + edge.at * (end - start) + bow
    upright = abs(end - start)[0] < 0.3 * abs(end - start)[1]  # labels left and right instead of above and below
    value_offset, gradient_offset = ((-5, 0), (5, 0)) if upright else ((0, 4), (0, -4))
    value_ends, gradient_ends = (
        (("right", "center"), ("left", "center")) if upright else (("center", "bottom"), ("center", "top"))
    )
    labels = [(edge.value, place, value_offset, value_ends, BLUE)] if edge.value else []
    if shows_gradient:
        place = place + np.array(edge.gradient_shift)
        labels += [(edge.gradient, place, gradient_offset, gradient_ends, VERMILION)]
    for text, where, offset, (ha, va), colour in labels:
        ax.annotate(
            text,
            (where[0], where[1]),
            offset,
            textcoords="offset points",
            ha=ha,
            va=va,
            fontsize=12,
            color=colour,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4, "alpha": 0.85},
            zorder=5,
        )


def batchnorm_graph() -> tuple[dict[str, Node], list[Edge]]:
    """Batch norm at training time as nodes and edges, with the nine steps of its backward pass in order.

    y is the output, dy the gradient by it; all sums are over the batch of N.
    """
    nodes = {
        "x": Node("$x$", 0, 0, is_value=True, gradient=r"$dx=dx_c+\frac{1}{N}d\mu$", step=9),
        "mean": Node(r"$\frac{1}{N}\sum x$", 0, 1),
        "centre": Node(r"$x-\mu$", 2.3, 0),
        "square": Node(r"$x_c^2$", 2.3, 1),
        "variance": Node(r"$\frac{1}{N}\sum q$", 2.3, 2),
        "root": Node(r"$\sqrt{v+\epsilon}$", 3.7, 2),
        "inverse": Node(r"$1/\sigma$", 5.1, 2),
        "normalise": Node(r"$x_c\cdot s$", 5.1, 0),
        "scale": Node(r"$\gamma\cdot\hat{x}$", 6.5, 0),
        "gamma": Node(r"$\gamma$", 6.5, 1, is_value=True),
        "shift": Node(r"$z+\beta$", 7.8, 0),
        "beta": Node(r"$\beta$", 7.8, 1, is_value=True),
        "y": Node("$y$", 8.8, 0, is_value=True),
    }
    edges = [
        Edge("x", "mean", "$x$", r"$\frac{1}{N}d\mu$", 9),
        Edge("mean", "centre", r"$\mu$", r"$d\mu=-\sum dx_c$", 8, at=0.44, gradient_shift=(0.35, 0.05)),
        Edge("x", "centre", "$x$", r"$dx_c=s\,d\hat{x}+2x_c\,dq$", 8, at=0.46),
        Edge("centre", "square", "$x_c$", r"$2x_c\,dq$", 7),
        Edge("square", "variance", "$q$", r"$dq=\frac{1}{N}dv$", 6),
        Edge("variance", "root", "$v$", r"$dv=\frac{d\sigma}{2\sigma}$", 5),
        Edge("root", "inverse", r"$\sigma$", r"$d\sigma=-\frac{ds}{\sigma^2}$", 4),
        Edge("inverse", "normalise", "$s$", r"$ds=\sum x_c\,d\hat{x}$", 3),
        Edge("centre", "normalise", "$x_c$", r"$s\,d\hat{x}$", 3),
        Edge("normalise", "scale", r"$\hat{x}$", r"$d\hat{x}=\gamma\,dz$", 2),
        Edge("gamma", "scale", r"$\gamma$", r"$d\gamma=\sum\hat{x}\,dz$", 2),
        Edge("scale", "shift", "$z$", "$dz=dy$", 1),
        Edge("beta", "shift", r"$\beta$", r"$d\beta=\sum dy$", 1),
        Edge("shift", "y", "$y$", "$dy$"),
    ]
    return nodes, edges
