"""The results of a training: costs, decision boundaries, mislabelled pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from verify.show.plots.canvas import MAP, MARKERS, blank, labelled, line_styles, titled

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Array = np.ndarray

Network = Callable[[np.ndarray], np.ndarray]
"""A function from X (2, k) to AL, (1, k) or (classes, k)."""

RESOLUTION = 240
"""Grid points along each side of a decision boundary."""

MARGIN = 0.06
"""Empty space around the points of a decision boundary, in parts of their range."""

LEGEND, LINE_SAMPLE = 80, 8
"""Width of the legend of cost curves, and of the line before a label there, in characters."""


def cost_curve(
    iterations: Sequence[int], costs: Sequence[float], *, title: str = "Cost during training"
) -> Figure:
    """Draw the cost against the iteration at which it was recorded."""
    return cost_curves({"": (iterations, costs)}, title=title)


def cost_curves(
    curves: Mapping[str, tuple[Sequence[int], Sequence[float]]],
    *,
    title: str = "Cost during training",
) -> Figure:
    """Draw several cost curves, each from its iterations and its costs, under its label.

    Costs that are not finite are gaps. The cost axis is logarithmic where the curves span more
    than a factor of 30.
    """
    figure = blank(6.4, 4)
    axes = figure.add_subplot()
    for (label, (iterations, costs)), style in zip(
        curves.items(), line_styles(len(curves)), strict=True
    ):
        shown = np.where(np.isfinite(costs), costs, np.nan)
        axes.plot(
            iterations, shown, label=label or None, markevery=max(1, len(costs) // 12), **style
        )
    values = np.concatenate([np.asarray(costs, float) for _, costs in curves.values()])
    values = values[np.isfinite(values)]
    if values.size and 0 < 30 * values.min() < values.max():
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=min(0, values.min(initial=0)))
    axes.grid(axis="y", color="0.9", linewidth=0.8)
    if any(curves):
        widest = max(map(len, curves)) + LINE_SAMPLE
        columns = min(len(curves), 4, max(1, LEGEND // widest))
        figure.legend(loc="outside lower center", ncols=columns, frameon=False)
    return titled(labelled(axes, "iteration", "cost (nats per example)"), title)


def decision_boundary(
    network: Network,
    X: Float[Array, "2 m"],
    labels: Int[Array, " m"],
    classes: Sequence[str],
    *,
    title: str = "Decision boundary",
    features: tuple[str, str] = ("x₁ (data units)", "x₂ (data units)"),
) -> Figure:
    """Draw a network's probabilities over the plane, its boundary, and the examples.

    Raises ValueError for data of other than two features.
    """
    return decision_boundaries({title: network}, X, labels, classes, features=features)


def decision_boundaries(
    networks: Mapping[str, Network],
    X: Float[Array, "2 m"],
    labels: Int[Array, " m"],
    classes: Sequence[str],
    *,
    title: str = "",
    features: tuple[str, str] = ("x₁ (data units)", "x₂ (data units)"),
) -> Figure:
    """Draw the decision boundaries of several networks on the same examples, in a grid.

    Filled is the probability of the second class or, for three classes and more, of the class
    that wins; the line is where the winner changes. Raises ValueError for data of other than
    two features.
    """
    if X.shape[0] != 2:
        raise ValueError(f"X: got {X.shape[0]} features, expected 2 to draw a decision boundary")
    down = ceil(len(networks) / 4)
    across = ceil(len(networks) / down)
    figure = blank(3 * across + 1.6, 3.3 * down + 1.1)
    # Square panels: "compressed" brings bar and legend up to them.
    figure.set_layout_engine("compressed")
    grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
    panels, unused = grid[: len(networks)], grid[len(networks) :]
    low, high = X.min(axis=1), X.max(axis=1)
    pad = MARGIN * np.where(high > low, high - low, 1)
    x1, x2 = (np.linspace(a, b, RESOLUTION) for a, b in zip(low - pad, high + pad, strict=True))
    plane = np.stack([grid.ravel() for grid in np.meshgrid(x1, x2)])
    several = len(classes) > 2
    levels = np.linspace(1 / len(classes) if several else 0, 1, 11)
    for number, (axes, (name, network)) in enumerate(zip(panels, networks.items(), strict=True)):
        AL = np.asarray(network(plane), float).reshape(-1, RESOLUTION, RESOLUTION)
        filled = _regions(axes, x1, x2, AL, levels)
        _examples(axes, X, labels, classes)
        below, left = number + across >= len(networks), number % across == 0
        labelled(axes, features[0] if below else "", features[1] if left else "")
        axes.tick_params(labelbottom=below, labelleft=left)
        axes.set_title(name, fontsize=11)
        axes.set_box_aspect(1)
    for axes in unused:
        axes.remove()
    bar = figure.colorbar(filled, ax=panels.tolist(), pad=0.02, format="%.2g")
    bar.set_label(f"probability of {'the winning class' if several else classes[1]} (1)")
    handles, names = panels[0].get_legend_handles_labels()
    columns = min(len(names), 6)
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False)
    if title:
        figure.suptitle(title, fontsize=13)
    return figure


def mislabelled(
    images: Sequence[np.ndarray],
    true: Sequence[str],
    predicted: Sequence[str],
    *,
    title: str = "",
    most: int = 20,
) -> Figure:
    """Draw at most `most` pictures with their true and predicted class.

    Each image is (rows, columns), (rows, columns, 1) or (rows, columns, 3), of bytes or of
    numbers from 0 to 1.
    """
    count = min(len(images), most)
    across = max(1, min(count, 5))
    down = max(1, ceil(count / across))
    figure = blank(max(1.9 * across, 4.2), 2.25 * down + 0.5)
    panels = figure.subplots(down, across, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for axes, image, is_class, called in zip(panels.flat, images, true, predicted, strict=False):
        image = np.asarray(image)
        top = 255 if image.dtype == np.uint8 else 1
        shown = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
        axes.imshow(shown / top, cmap="gray", vmin=0, vmax=1)
        axes.set_title(f"is {is_class}\ncalled {called}", fontsize=10)
    figure.suptitle(title or _counted(count, len(images)), fontsize=13)
    return figure


def _regions(axes: Axes, x1: np.ndarray, x2: np.ndarray, AL: np.ndarray, levels: np.ndarray) -> Any:
    """Fill a panel with probabilities, draw the boundary; return what a colour bar is made of."""
    winner, margins = _winner(AL)
    filled = axes.contourf(x1, x2, winner, levels=levels, cmap=MAP)
    for margin in margins:
        if margin.min() < 0 < margin.max():
            for colour, width in (("white", 3.5), ("black", 1.6)):
                axes.contour(x1, x2, margin, levels=[0], colors=colour, linewidths=width)
    return filled


def _winner(AL: Float[Array, "n rows columns"]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the probability to fill with, and the functions whose zeros are the boundary."""
    if len(AL) <= 2:
        return AL[-1], [AL[-1] - 0.5]
    others = (np.delete(AL, label, axis=0).max(axis=0) for label in range(len(AL)))
    return AL.max(axis=0), [own - other for own, other in zip(AL, others, strict=True)]


def _examples(
    axes: Axes, X: Float[Array, "2 m"], labels: Int[Array, " m"], classes: Sequence[str]
) -> None:
    faces = np.linspace(1, 0, len(classes))
    for label, (name, marker, face) in enumerate(zip(classes, cycle(MARKERS), faces, strict=False)):
        x1, x2 = X[:, labels == label]
        edge = "black" if face > 0.5 else "white"
        style: dict[str, Any] = {
            "color": str(face),
            "edgecolors": edge,
            "linewidths": 0.7,
            "zorder": 3,
        }
        axes.scatter(x1, x2, s=22, marker=marker, label=name, **style)


def _counted(shown: int, count: int) -> str:
    if count == 0:
        return "No image is mislabelled"
    return f"{count} mislabelled" + (f", {shown} shown" if shown < count else "")
