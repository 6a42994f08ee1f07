"""The two pictures of a report, as inline SVG that follows the page's colours and width.

    heat_map    where in a matrix two gradients differ, the worst entries ringed and numbered
    bar_chart   the differences in units of their error bars, tensor by tensor

In every picture light cells are within their error bars and dark cells are not, so that it reads
in greyscale and a matrix that agrees looks light.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from verify.show.page.markup import Html, element

WIDTH = 340
"""Width of a picture in its own units: one unit is a pixel on a small telephone."""

CELLS = 300
"""Rows and columns of a picture at most; a larger matrix shows the worst of each block."""

LARGEST = 30.0
"""Width and height of an entry of a small matrix."""

RING = 7.5
"""Radius of the ring around an entry."""

WITHIN = np.array([[247, 249, 252], [203, 215, 232]])
BEYOND = np.array([[214, 126, 60], [74, 10, 28]])
UNSEEN = np.array([255, 255, 255])
"""Colours of entries within their bars (0 to 1 bar), beyond, and not compared."""


def heat_map(
    name: str,
    pair: str,
    difference: np.ndarray,
    ratio: np.ndarray,
    worst: Sequence[tuple[int, int]],
    axes: tuple[str, str] = ("row", "column"),
) -> Html:
    """Draw |difference| of a matrix, (rows, columns), NaN where they were not compared.

    `ratio` is |difference| over its error bar. An entry within its bar is light, more so the
    smaller the ratio; one beyond it is dark, more so the larger |difference|. The entries
    `worst` are ringed and numbered from 1, except those under an earlier ring.
    """
    rows, columns = ratio.shape
    image = _pixels(_largest(np.abs(difference)), _largest(ratio))
    left, top = 44, 12
    width, height = _size(len(image), image.shape[1], WIDTH - left - 12)
    places = [
        (left + (j + 0.5) / columns * width, top + (i + 0.5) / rows * height) for i, j in worst
    ]
    marks = [
        _ring(*place, k + 1)
        for k, place in enumerate(places)
        if all(math.dist(place, earlier) > 2 * RING for earlier in places[:k])
    ]
    box = {"x": left, "y": top, "width": f"{width:.2f}", "height": f"{height:.2f}"}
    key, key_top = _key(difference, ratio), top + height + 24
    return element(
        "svg",
        element("image", href=_png(image), preserveAspectRatio="none", class_="cells", **box),
        element("rect", class_="rim", **box),
        _ticks(ratio.shape, axes, left, top, width, height),
        marks,
        [_swatch(left, key_top + 15 * i, *entry) for i, entry in enumerate(key)],
        viewBox=f"0 0 {WIDTH} {key_top + 15 * len(key) + 4:.0f}",
        role="img",
        aria_label=_said(name, pair, difference, ratio, worst),
        class_="picture",
    )


def _size(rows: int, columns: int, room: float) -> tuple[float, float]:
    """Return the width and height of a heat map: square entries, unless it would be too flat."""
    cell = min(room / columns, LARGEST)
    tall = min(LARGEST, max(cell, min(10.0, 160 / rows)), max(1.0, 260 / rows))
    return cell * columns, tall * rows


def _ticks(
    shape: tuple[int, ...], axes: tuple[str, str], left: float, top: float, width: float,
    height: float,
) -> list[Html | None]:  # fmt: skip
    """Return the names of both axes, with their first and last index where there is room."""
    (rows, columns), below = shape, top + height + 13
    across = [
        element("text", 0, x=left, y=below),
        element("text", axes[1], x=left + max(width / 2, 34), y=below, text_anchor="middle"),
        element("text", columns - 1, x=left + width, y=below, text_anchor="end")
        if width > 80 else None,
    ]  # fmt: skip
    if rows == 1:
        return across
    return [
        *across,
        element("text", 0, x=left - 6, y=top + 9, text_anchor="end"),
        element("text", axes[0], **_upright(left - 30, top + max(height / 2, 14))),
        element("text", rows - 1, x=left - 6, y=top + height, text_anchor="end")
        if height > 24 else None,
    ]  # fmt: skip


def _key(difference: np.ndarray, ratio: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, str]]:
    """Return the colours of a heat map, from light to dark, with what they mean."""
    key = [(WITHIN[0], WITHIN[1], "within its error bar")]
    if (ratio > 1).any():
        largest = np.nanmax(np.abs(difference), initial=0)
        key.append((BEYOND[0], BEYOND[1], f"beyond it, up to {largest:.2g}"))
    if np.isnan(ratio).any():
        key.append((UNSEEN, UNSEEN, "not compared"))
    return key


def bar_chart(ratios: Mapping[str, Mapping[str, np.ndarray]]) -> Html:
    """Draw the differences in units of their error bars: {tensor: {pair: |difference| / bar}}.

    Each line runs from the median entry to the largest, on a logarithmic axis; what crosses the
    line at 1 disagrees.
    """
    pairs = list(dict.fromkeys(pair for of_tensor in ratios.values() for pair in of_tensor))
    finite = [r[np.isfinite(r)].max(initial=0) for t in ratios.values() for r in t.values()]
    low, high = -4, max(2, math.ceil(math.log10(max(1, *finite))) + 1)
    left, right, top, row = 72, 22, 16 * len(pairs) + 26, 11 * len(pairs) + 10

    def x(ratio: float) -> float:
        exponent = math.log10(ratio) if ratio > 0 else low
        part = (min(max(exponent, low), high) - low) / (high - low)
        return left + part * (WIDTH - left - right)

    bottom = top + row * len(ratios)
    step = max(1, math.ceil((high - low) / 6))
    ticks = [t for t in range(low, high + 1) if t % step == 0]
    parts = [
        element("rect", x=x(1), y=top, width=x(math.inf) - x(1), height=bottom - top,
                class_="beyond"),
        [
            [
                element("line", x1=x(10.0**t), x2=x(10.0**t), y1=top, y2=bottom,
                        class_="one" if t == 0 else "grid"),
                element("text", _power(t), x=x(10.0**t), y=bottom + 13, text_anchor="middle"),
            ]
            for t in ticks
        ],
        element("text", "difference, in error bars", x=(left + WIDTH - right) / 2, y=bottom + 28,
                text_anchor="middle"),
        [
            [_mark(k, 8, 9 + 16 * k), element("text", pair, x=18, y=13 + 16 * k)]
            for k, pair in enumerate(pairs)
        ],
        element("text", "agree", x=x(1) - 4, y=top - 4, text_anchor="end"),
        element("text", "differ", x=x(1) + 4, y=top - 4),
    ]  # fmt: skip
    for i, (name, of_tensor) in enumerate(ratios.items()):
        y = top + row * i
        short = name if len(name) <= 10 else name[:9] + "…"
        parts.append(element("text", short, x=left - 9, y=y + row / 2 + 4, text_anchor="end"))
        parts += [
            _line(pairs.index(pair), ratio, x, y + 10 + 11 * pairs.index(pair))
            for pair, ratio in of_tensor.items()
        ]
    worst = {name: max(r.max(initial=0) for r in t.values()) for name, t in ratios.items() if t}
    said = ", ".join(f"{name} at most {most:.2g}" for name, most in worst.items())
    return element(
        "svg",
        parts,
        viewBox=f"0 0 {WIDTH} {bottom + 34}",
        role="img",
        aria_label="Chart of the differences between the gradients over their error bars, from the "
        f"median entry to the largest of each gradient; beyond 1 they differ: {said}.",
        class_="picture",
    )


def _line(kind: int, ratio: np.ndarray, x: Callable[[float], float], at: float) -> list[Html]:
    """Return the line from the median ratio to the largest, which is marked."""
    median, most = x(float(np.median(ratio))), x(float(ratio.max()))
    line = element("line", x1=median, x2=most, y1=at, y2=at, class_="span")
    return [line, _mark(kind, most, at)]


def is_vector(shape: Sequence[int]) -> bool:
    """Whether an array of this shape is one vector, a column of the network's biases included."""
    return len(shape) < 2 or math.prod(shape) == max(shape)


def as_matrix(array: np.ndarray) -> np.ndarray:
    """Return an array as rows and columns: a vector as one row, more axes flattened."""
    if is_vector(array.shape):
        return array.reshape(1, -1)
    return array.reshape(array.shape[0], -1)


def _largest(array: np.ndarray) -> np.ndarray:
    """Return the largest of each block, so that at most CELLS rows and columns are left."""
    for axis in (0, 1):
        block = math.ceil(array.shape[axis] / CELLS)
        starts = np.arange(0, array.shape[axis], block)
        array = np.fmax.reduceat(array, starts, axis=axis)
    return array


def _pixels(size: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """Return a colour an entry, (rows, columns, 3)."""
    with np.errstate(invalid="ignore"):
        within = np.clip(np.nan_to_num(ratio), 0, 1)[..., None]
        top = np.max(size[np.isfinite(size)], initial=0) or 1
        beyond = np.clip(np.nan_to_num(size / top, nan=1, posinf=1), 0, 1)[..., None]
        colours = np.where(
            (ratio > 1)[..., None],
            BEYOND[0] + beyond * (BEYOND[1] - BEYOND[0]),
            WITHIN[0] + within * (WITHIN[1] - WITHIN[0]),
        )
    return np.where(np.isnan(ratio)[..., None], UNSEEN, colours).round().astype(np.uint8)


def _png(image: np.ndarray) -> str:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def _ring(x: float, y: float, label: int) -> list[Html]:
    """Ring a place, with its number inside."""
    at = {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": RING}
    return [
        element("circle", **at, class_="halo"),
        element("circle", **at, class_="ring"),
        element("text", label, x=f"{x:.1f}", y=f"{y + 3.5:.1f}", class_="label"),
    ]


def _swatch(x: float, y: float, light: np.ndarray, dark: np.ndarray, text: str) -> list[Html]:
    colours = [f"rgb({', '.join(map(str, colour))})" for colour in (light, dark)]
    halves = [
        element("rect", x=x + 13 * i, y=y, width=13, height=10, fill=colour)
        for i, colour in enumerate(colours)
    ]
    rim = element("rect", x=x, y=y, width=26, height=10, class_="rim")
    return [*halves, rim, element("text", text, x=x + 32, y=y + 9)]


def _mark(kind: int, x: float, y: float) -> Html:
    if kind == 0:
        return element("circle", cx=f"{x:.1f}", cy=y, r=4, class_="mark full")
    if kind == 1:
        return element("rect", x=f"{x - 3.5:.1f}", y=y - 3.5, width=7, height=7, class_="mark")
    corners = ((-4.5, 3.5), (4.5, 3.5), (0, -4.5))
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return element("polygon", points=points, class_="mark")


def _power(exponent: int) -> Html | str:
    if exponent == 0:
        return "1"
    return Html(f'10<tspan dy="-4" font-size="8">{exponent}</tspan>'.replace(">-", ">−"))


def _upright(x: float, y: float) -> dict[str, Any]:
    return {"x": x, "y": y, "transform": f"rotate(-90 {x:.1f} {y:.1f})", "text_anchor": "middle"}


def _said(
    name: str,
    pair: str,
    difference: np.ndarray,
    ratio: np.ndarray,
    worst: Sequence[tuple[int, int]],
) -> str:
    rows, columns = ratio.shape
    compared = int((~np.isnan(ratio)).sum())
    beyond = int((ratio > 1).sum())
    picture = f"Heat map of {name}, {pair}, {rows} by {columns}: "
    if not beyond:
        top = np.nanmax(ratio, initial=0)
        return (
            f"{picture}all {compared} compared entries are within their error bars, "
            f"the largest at {top:.2g} of its own."
        )
    i, j = worst[0]
    return (
        f"{picture}{beyond} of {compared} compared entries are beyond their error bars; the "
        f"largest difference, marked 1, is {abs(difference[i, j]):.2g} at row {i}, column {j}."
    )
