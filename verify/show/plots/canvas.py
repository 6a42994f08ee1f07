"""What all figures share: canvas, axes, styles that differ in greyscale too, saving."""

from __future__ import annotations

import os
import tempfile
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAP = "cividis"
"""The colour map of everything: perceptually uniform, dark to light."""

MARKERS = "o^sDvPX*<>"
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
HATCHES = ("", "///", "...", "xx", "\\\\")


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure in the format of the path's suffix, whole or not at all; return the path.

    Missing folders are made. Raises ValueError for a suffix that is no picture format.
    """
    path = Path(path)
    suffix = picture_format(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        draft = Path(folder) / path.name
        figure.savefig(draft, format=suffix, dpi=160)
        os.replace(draft, path)
    return path


def picture_format(path: Path) -> str:
    """Return the format that a path's suffix names; raise ValueError if it is no picture's."""
    from matplotlib.backend_bases import FigureCanvasBase

    formats = FigureCanvasBase.get_supported_filetypes()
    suffix = path.suffix.removeprefix(".").lower()
    if suffix not in formats:
        raise ValueError(
            f"path: got {path.name}, expected a suffix of {', '.join(sorted(formats))}"
        )
    return suffix


def blank(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", dpi=100)


def labelled(axes: Axes, x: str, y: str) -> Axes:
    """Label both axes, with their units, and clear the frame; return the axes."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    return axes


def titled(axes: Axes, title: str) -> Figure:
    """Give a figure of one panel its title; return the figure."""
    axes.set_title(title, fontsize=12)
    return axes.figure  # type: ignore[return-value]


def line_styles(count: int) -> list[dict[str, Any]]:
    """Return one line style a curve: dark to light, and different in dash and marker too."""
    from matplotlib import colormaps

    shades = colormaps[MAP](np.linspace(0, 0.8, count))
    return [
        {"color": shade, "linestyle": line, "marker": marker, "markersize": 5, "linewidth": 1.8}
        for shade, line, marker in zip(shades, cycle(LINES), cycle(MARKERS), strict=False)
    ]


def point_styles(count: int) -> list[dict[str, Any]]:
    """Return one marker and shade a tensor, filled and hollow in turn."""
    from matplotlib import colormaps

    shades = colormaps[MAP](np.linspace(0, 0.85, count))
    return [
        {
            "marker": marker,
            "facecolors": [shade] if number % 2 == 0 else "none",
            "edgecolors": [shade],
            "linewidths": 0.8,
        }
        for number, (marker, shade) in enumerate(zip(cycle(MARKERS), shades, strict=False))
    ]


def bar_styles(count: int) -> list[dict[str, Any]]:
    """Return one shade and hatch a series of bars."""
    from matplotlib import colormaps

    shades = colormaps[MAP](np.linspace(0.05, 0.95, count))
    return [
        {"color": shade, "hatch": hatch, "edgecolor": "white"}
        for shade, hatch in zip(shades, cycle(HATCHES), strict=False)
    ]
