"""Every figure, each a function that returns a matplotlib `Figure` with one message.

    cost_curve(iterations, costs)                    the cost of one training
    cost_curves({label: (iterations, costs)})        of several, to compare
    decision_boundary(network, X, labels, classes)   what a network of two features has learnt
    decision_boundaries({title: network}, X, ...)    of several: sizes, initialisers, penalties
    mislabelled(images, true, predicted)             the pictures that a model got wrong
    save(figure, path)                               whole or not at all

A `network` is a function from X (2, k) to the output AL, (1, k) for sigmoid or (classes, k)
for softmax: `lambda X: manual.forward(params, X, hidden=hidden, output=output)[0]`.

Nothing here touches pyplot or matplotlib's global settings, so it draws the same in a thread,
a notebook and a pipe; matplotlib is imported when a figure is asked for. Every figure reads in
greyscale: maps are perceptually uniform (Nuñez, Anderton & Renslow, 2018), and what differs in
colour differs in marker, line or hatch too.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Array = np.ndarray
    Network = Callable[[Float[Array, "2 k"]], Float[Array, "n k"]]

MAP = "cividis"
MARKERS = "o^sDvPX*<>"
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))

RESOLUTION = 240
"""Grid points along each side of a decision boundary."""

MARGIN = 0.06
"""Empty space around the points of a decision boundary, in parts of their range."""


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
    figure = _figure(6.4, 4)
    axes = figure.add_subplot()
    for (label, (iterations, costs)), style in zip(
        curves.items(), _styles(len(curves)), strict=True
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
        axes.legend(frameon=False)
    return _titled(_labelled(axes, "iteration", "cost (nats per example)"), title)


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
        raise ValueError(f"X: got {X.shape[0]} features, takes 2 to draw a decision boundary")
    across = min(len(networks), 4 if len(networks) != 6 else 3)
    down = ceil(len(networks) / across)
    figure = _figure(3.4 * across + 1.6, 3.2 * down + 0.9)
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    low, high = X.min(axis=1), X.max(axis=1)
    pad = MARGIN * np.where(high > low, high - low, 1)
    x1, x2 = (np.linspace(a, b, RESOLUTION) for a, b in zip(low - pad, high + pad, strict=True))
    plane = np.stack([grid.ravel() for grid in np.meshgrid(x1, x2)])
    several = len(classes) > 2
    for axes, (name, network) in zip(panels.flat, networks.items(), strict=False):
        AL = np.asarray(network(plane), float).reshape(-1, RESOLUTION, RESOLUTION)
        winner, margins = _winner(AL)
        filled = axes.contourf(
            x1, x2, winner, levels=np.linspace(1 / len(classes) if several else 0, 1, 11), cmap=MAP
        )
        for margin in margins:
            if margin.min() < 0 < margin.max():
                for colour, width in (("white", 3.5), ("black", 1.6)):
                    axes.contour(x1, x2, margin, levels=[0], colors=colour, linewidths=width)
        _examples(axes, X, labels, classes)
        _labelled(axes, *features)
        axes.label_outer()
        axes.set_title(name, fontsize=11)
    for axes in panels.flat[len(networks) :]:
        axes.remove()
    bar = figure.colorbar(filled, ax=panels.ravel().tolist(), shrink=0.9, pad=0.02)
    bar.set_label(
        "probability of the winning class (1)" if several else f"probability of {classes[1]} (1)"
    )
    handles, names = panels.flat[0].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside lower center", ncols=min(len(names), 6), frameon=False
    )
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
    """Draw pictures with their true and predicted class, at most `most` of them.

    Each image is (rows, columns), (rows, columns, 1) or (rows, columns, 3), of bytes or of
    numbers from 0 to 1.
    """
    count = min(len(images), most)
    across = max(1, min(count, 5))
    down = max(1, ceil(count / across))
    figure = _figure(max(1.9 * across, 4.2), 2.25 * down + 0.5)
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


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure in the format of the path's suffix, whole or not at all; return the path.

    Missing folders are made. Raises ValueError for a suffix that is no picture format.
    """
    path = Path(path)
    formats = figure.canvas.get_supported_filetypes()
    suffix = path.suffix.removeprefix(".").lower()
    if suffix not in formats:
        raise ValueError(f"path: got {path.name}, takes a suffix of {', '.join(sorted(formats))}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        draft = Path(folder) / path.name
        figure.savefig(draft, format=suffix, dpi=160)
        os.replace(draft, path)
    return path


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", dpi=100)


def _labelled(axes: Axes, x: str, y: str) -> Axes:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    return axes


def _titled(axes: Axes, title: str) -> Figure:
    axes.set_title(title, fontsize=12)
    return axes.figure  # type: ignore[return-value]


def _styles(count: int) -> list[dict[str, Any]]:
    """Return one line style a curve: dark to light, and different in dash and marker too."""
    from matplotlib import colormaps

    shades = colormaps[MAP](np.linspace(0, 0.8, count))
    return [
        {"color": shade, "linestyle": line, "marker": marker, "markersize": 5, "linewidth": 1.8}
        for shade, line, marker in zip(shades, cycle(LINES), cycle(MARKERS), strict=False)
    ]


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
        axes.scatter(
            x1,
            x2,
            s=22,
            marker=marker,
            color=str(face),
            edgecolors=edge,
            linewidths=0.7,
            label=name,
            zorder=3,
        )


def _counted(shown: int, count: int) -> str:
    if count == 0:
        return "No image is mislabelled"
    return f"{count} mislabelled" + (f", {shown} shown" if shown < count else "")
