"""The evidence of a check, and the times of a comparison: heat maps, error bars, bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from verify.report import PAIRS, over_bar
from verify.show.plots.canvas import MAP, bar_styles, blank, labelled, point_styles, titled

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from verify.report import Pair, Report, Tensor

    Array = np.ndarray

_SUBTRACTED = ("by hand − JAX", "by hand − finite difference", "JAX − finite difference")
DIFFERENCES = dict(zip(PAIRS, _SUBTRACTED, strict=True))
"""What each pair of witnesses subtracts."""

MAP_SIDE = 256
"""Cells along a side of a heat map; of a larger matrix each cell shows its worst entry."""

SCATTERED = 2000
"""Points a tensor in a scatter of error bars: the worst, and a regular sample of the others."""


def difference_maps(report: Report, pair: str = PAIRS[0], *, marked: int = 3) -> Figure:
    """Draw a heat map a tensor of |difference| over its error bar; circle the worst beyond it.

    At most `marked` are circled. An entry that was not compared is grey. Raises ValueError if
    the report has no entries compared by this pair.
    """
    from matplotlib.colors import LogNorm

    tensors = _compared(report, pair)
    if pair != PAIRS[0] and any(tensor.directions_checked for tensor in tensors):
        raise ValueError(f"pair: got {pair!r}, whose differences along directions have no entries")
    maps = [_over_bar(tensor, tensor.pairs[pair]) for tensor in tensors]
    across, widths = _matrix_grid(tensors)
    down = len(tensors) // across
    heights = [0.95 + 0.13 * min(max(len(m) for m in maps[i * across :][:across]), 12)
               for i in range(down)]  # fmt: skip
    figure = blank(7.2, sum(heights) + 1.2)
    panels = figure.subplots(
        down, across, squeeze=False, width_ratios=widths, height_ratios=heights
    )
    norm = LogNorm(1e-3, max(10.0, *(_largest(values) for values in maps)), clip=True)
    for axes, tensor, values in zip(panels.flat, tensors, maps, strict=True):
        rows, columns = values.shape
        image = axes.imshow(
            _block_maximum(values),
            norm=norm,
            cmap=MAP,
            aspect="auto",
            interpolation="nearest",
            extent=(-0.5, columns - 0.5, rows - 0.5, -0.5),
        )
        axes.set_facecolor("0.8")
        _circle_worst(axes, values, marked)
        labelled(axes, "column", "row")
        axes.locator_params(integer=True, nbins=5, min_n_ticks=1)
        axes.set_title(_worst_title(tensor.name, values), fontsize=9, loc="left")
    bar = figure.colorbar(
        image, ax=panels.ravel().tolist(), location="bottom", extend="min", aspect=45, pad=0.02
    )
    bar.set_label(f"|{DIFFERENCES[pair]}| / error bar (1); beyond the line at 1 they disagree")
    bar.ax.axvline(1, color="white", linewidth=2)
    figure.suptitle(f"Where the gradients differ: {DIFFERENCES[pair]}", fontsize=12)
    return figure


def error_bars(report: Report, pair: str = PAIRS[0]) -> Figure:
    """Draw every entry's |difference| against its error bar, both logarithmic.

    Two gradients agree where all points are on the line or below it. Equal entries lie along the
    lower edge. Raises ValueError if the report has no entries compared by this pair.
    """
    tensors = _compared(report, pair)
    gaps = [np.abs(tensor.pairs[pair].difference) for tensor in tensors]
    bars = [tensor.pairs[pair].bar for tensor in tensors]
    low, high = _shown_range(np.concatenate(gaps), np.concatenate(bars))
    figure = blank(6.2, 5)
    axes = figure.add_subplot()
    styles = point_styles(len(tensors))
    for tensor, gap, bar, style in zip(tensors, gaps, bars, styles, strict=True):
        shown = _worst_and_sample(gap, bar)
        x, y = (np.clip(values[shown], 1.5 * low, high) for values in (bar, gap))
        axes.scatter(x, y, s=16, label=f"d{tensor.name}", rasterized=True, zorder=3, **style)
    axes.plot([low, high], [low, high], color="black", linewidth=1.4, zorder=4)
    axes.fill_between([low, high], [low, high], high, color="0.92", zorder=0, linewidth=0)
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    axes.text(0.03, 0.97, "beyond the error bar: disagreement", transform=axes.transAxes, va="top")
    edge = "lower edge: no difference"
    axes.text(0.97, 0.03, edge, transform=axes.transAxes, ha="right", fontsize=9)
    figure.legend(loc="outside lower center", ncols=min(len(tensors), 4), frameon=False)
    difference = f"|{DIFFERENCES[pair]}| (nats per unit)"
    labelled(axes, "error bar of an entry (nats per unit)", difference)
    return titled(axes, f"Each difference against its error bar: {report.verdict}")


def speed(rows: Sequence[Mapping[str, Any]], *, title: str = "Time of a training step") -> Figure:
    """Draw bars of the time that a step takes by each implementation, on a logarithmic scale.

    A row is a workload: its "name", its "dtype", and "ms_per_step", the milliseconds by the
    name of the implementation. What was not timed on a workload has no bar there.
    """
    names = list(dict.fromkeys(name for row in rows for name in row["ms_per_step"]))
    figure = blank(7.2, 1.4 + 0.24 * len(names) * len(rows))
    axes = figure.add_subplot()
    height = 0.84 / len(names)
    for place, (name, style) in enumerate(zip(names, bar_styles(len(names)), strict=True)):
        timed = {
            number + (place + 0.5) * height - 0.42: row["ms_per_step"][name]
            for number, row in enumerate(rows)
            if name in row["ms_per_step"]
        }
        bars = axes.barh([*timed], [*timed.values()], height=0.9 * height, label=name, **style)
        axes.bar_label(bars, [f" {time:.3g}" for time in timed.values()], fontsize=8)
    axes.set_yticks(range(len(rows)), [f"{row['name']}\n{row['dtype']}" for row in rows])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.margins(x=0.12, y=0.02)
    axes.grid(axis="x", color="0.9", linewidth=0.8)
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside lower center", ncols=min(len(names), 4), frameon=False)
    return titled(labelled(axes, "time of a step (ms)", ""), title)


def _compared(report: Report, pair: str) -> list[Tensor]:
    """Return the tensors that have entries compared by this pair."""
    tensors = [t for t in report.tensors if pair in t.pairs and t.pairs[pair].index.size]
    if not tensors:
        raise ValueError(f"pair: got {pair!r}, of which this report has no entries")
    return tensors


def _over_bar(tensor: Tensor, pair: Pair) -> Float[Array, "rows columns"]:
    """Return |difference| / bar as a matrix, NaN where nothing was compared."""
    flat = np.full(max(tensor.value.size, 1), np.nan)
    flat[pair.index] = over_bar(pair.difference, pair.bar)
    return flat.reshape(tensor.shape[0] if tensor.shape else 1, -1)


def _matrix_grid(tensors: Sequence[Tensor]) -> tuple[int, list[float]]:
    """Return columns and their widths: W beside b for a network, else one under the other."""
    names = [tensor.name for tensor in tensors]
    layers = range(1, len(names) // 2 + 1)
    if names == [f"{kind}{layer}" for layer in layers for kind in "Wb"]:
        return 2, [5, 1]
    return 1, [1]


def _block_maximum(values: Float[Array, "rows columns"]) -> Float[Array, "fewer less"]:
    """Return a matrix of at most MAP_SIDE by MAP_SIDE cells, each the largest of its block."""
    rows, columns = (
        np.unique(np.linspace(0, size, min(size, MAP_SIDE), endpoint=False).astype(int))
        for size in values.shape
    )
    return np.fmax.reduceat(np.fmax.reduceat(values, rows, axis=0), columns, axis=1)


def _circle_worst(axes: Axes, values: Float[Array, "rows columns"], count: int) -> None:
    flat = np.nan_to_num(values.ravel(), nan=0.0, posinf=np.inf)
    worst = np.argsort(flat)[::-1][:count]
    rows, columns = np.unravel_index(worst[flat[worst] > 1], values.shape)
    ring: dict[str, Any] = {"facecolors": "none", "linewidths": 1.6, "clip_on": False, "zorder": 5}
    for size, colour in ((130, "black"), (100, "white")):
        axes.scatter(columns, rows, s=size, edgecolors=colour, **ring)


def _worst_title(name: str, values: Float[Array, "rows columns"]) -> str:
    if not np.nanmax(values, initial=0):
        return f"d{name}\nequal"
    row, column = np.unravel_index(np.nanargmax(values), values.shape)
    where = f"[{row}, {column}]" if values.shape[1] > 1 else f"[{row}]"
    return f"d{name}\n{values[row, column]:.2g} at {where}"


def _largest(values: Float[Array, "rows columns"]) -> float:
    return float(values[np.isfinite(values)].max(initial=0.0))


def _shown_range(gaps: Float[Array, " k"], bars: Float[Array, " k"]) -> tuple[float, float]:
    """Return powers of ten around the differences that are not 0, with their bars."""
    differ = (gaps > 0) & np.isfinite(gaps)
    values = np.concatenate([gaps[differ], bars[differ]]) if differ.any() else bars
    values = values[(values > 0) & np.isfinite(values)]
    if not values.size:
        return 1e-17, 1e-15
    low, high = np.log10(values.min()), np.log10(values.max())
    return float(10 ** np.floor(low - 0.5)), float(10 ** np.ceil(high + 1))


def _worst_and_sample(gap: Float[Array, " k"], bar: Float[Array, " k"]) -> Int[Array, " shown"]:
    """Return the indices to draw: all of a few, of many the worst and every so many-th."""
    if len(gap) <= SCATTERED:
        return np.arange(len(gap))
    worst = np.argsort(over_bar(gap, bar))[-SCATTERED // 4 :]
    return np.union1d(worst, np.linspace(0, len(gap) - 1, SCATTERED).astype(int))
