"""Drawings of a dense network: its units, and its operations forward and back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from verify.show.plots.canvas import blank

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 8
"""Units of a layer that are drawn; of more, the first few and dots."""


def network(layers: Sequence[int], *, title: str = "") -> Figure:
    """Draw the units of a network with these sizes n0, n1, ..., nL, and every weight as a line.

    Raises ValueError for fewer than two layers or a layer without units.
    """
    if len(layers) < 2 or min(layers) < 1:
        raise ValueError(f"layers: got {tuple(layers)}, expected two sizes or more, from 1 on")
    shown = [min(size, MOST) for size in layers]
    figure = blank(2.2 * len(layers) + 0.6, 0.5 * max(shown) + 1.2)
    axes = _canvas(figure, title)
    columns = [
        [(2.2 * layer, 0.8 * ((count - 1) / 2 - unit)) for unit in range(count)]
        for layer, count in enumerate(shown)
    ]
    for left, right in pairwise(columns):
        for x1, y1 in left:
            for x2, y2 in right:
                axes.plot([x1, x2], [y1, y2], color="0.65", linewidth=0.9, zorder=1)
    low = min(y for column in columns for _, y in column) - 0.5
    for layer, (column, size) in enumerate(zip(columns, layers, strict=True)):
        for unit, (x, y) in enumerate(column):
            text = "⋮" if size > MOST and unit == MOST - 1 else ""
            axes.plot(x, y, "o", markersize=18, color="black", markerfacecolor="white", zorder=2)
            axes.text(x, y, text, ha="center", va="center", zorder=3)
        last = layer == len(layers) - 1
        kind = "input X" if layer == 0 else "output" if last else f"layer {layer}"
        what = "unit" if layer else "feature"
        count = f"{size} {what}" if size == 1 else f"{size} {what}s"
        axes.text(column[0][0], low, f"{kind}\n{count}", ha="center", va="top")
    for layer, (left, right) in enumerate(pairwise(columns), start=1):
        x = (left[0][0] + right[0][0]) / 2
        top = max(left[0][1], right[0][1]) + 0.35
        shape = f"({layers[layer]}, {layers[layer - 1]})"
        axes.text(x, top, f"$W_{{{layer}}}$ {shape}, $b_{{{layer}}}$", ha="center", va="bottom")
    axes.set_xlim(-1, 2.2 * (len(layers) - 1) + 1)
    axes.set_ylim(low - 0.9, -low + 0.7)
    return figure


def computation_graph(activations: Sequence[str], *, title: str = "") -> Figure:
    """Draw the operations of a network with one activation a layer, up to the loss.

    Above, the forward pass from left to right; below, dashed, the backward pass from right to
    left, each gradient under the value it belongs to. Raises ValueError for no activation.
    """
    if not activations:
        raise ValueError("activations: got none, expected at least one")
    steps = [("X", "")]
    for layer, activation in enumerate(activations, start=1):
        steps += [(f"Z_{{{layer}}}", "linear"), (f"A_{{{layer}}}", activation)]
    steps.append(("J", "cross-entropy"))
    figure = blank(2 * len(steps) - 0.4, 3.4)
    axes = _canvas(figure, title)
    for place, (value, operation) in enumerate(steps):
        x = 2.0 * place
        _circle(axes, x, 1, f"${value}$")
        if place:
            _arrow(axes, (x - 1.68, 1), (x - 0.32, 1), "-")
            axes.text(x - 1, 1.12, operation, ha="center", va="bottom", fontsize=10)
        if 0 < place < len(steps) - 1:
            axes.text(x, 0, f"$d{value}$", ha="center", va="center", fontsize=13)
        if place > 1:
            start = "1" if place == len(steps) - 1 else ""
            axes.text(x, 0, start, ha="center", va="center", fontsize=13)
            _arrow(axes, (x - 0.32, 0), (x - 1.62, 0), "--")
        if operation == "linear":
            layer = (place + 1) // 2
            names = f"$W_{{{layer}}}, b_{{{layer}}}$", f"$dW_{{{layer}}}, db_{{{layer}}}$"
            axes.text(x - 1, 1.95, names[0], ha="center", va="center", fontsize=13)
            _arrow(axes, (x - 1, 1.8), (x - 1, 1.42), "-")
            axes.text(x - 1, -0.95, names[1], ha="center", va="center", fontsize=13)
            _arrow(axes, (x - 0.3, -0.12), (x - 0.95, -0.75), "--")
    axes.set_xlim(-0.6, 2 * (len(steps) - 1) + 0.6)
    axes.set_ylim(-1.25, 2.2)
    return figure


def _canvas(figure: Figure, title: str) -> Axes:
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.set_title(title, fontsize=12)
    return axes


def _circle(axes: Axes, x: float, y: float, text: str) -> None:
    axes.plot(x, y, "o", markersize=30, color="black", markerfacecolor="white", zorder=2)
    axes.text(x, y, text, ha="center", va="center", fontsize=13, zorder=3)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], line: Any) -> None:
    style = {"arrowstyle": "->", "linestyle": line, "linewidth": 1.3, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops={**style, "color": "black"})
