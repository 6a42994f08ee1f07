"""Two computations of one gradient, entry by entry: where they differ, and which differ most."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from verify.report import over_bar
from verify.show.page.markup import Html, element, table
from verify.show.page.pictures import as_matrix, heat_map, is_vector

LISTED = 5
"""Entries listed, the worst first."""

RINGED = 3
"""Entries marked in the heat map."""


@dataclass(frozen=True, eq=False)
class Compared:
    """Entries of two gradients, each (k,): flat index, the first's value, difference and bar."""

    index: np.ndarray
    value: np.ndarray
    difference: np.ndarray
    bar: np.ndarray


def worst_entries(
    name: str, shape: tuple[int, ...], pair: tuple[str, str], compared: Compared
) -> Html:
    """Return a heat map of the difference, and a table of the entries that differ most."""
    worst = _worst(compared)
    return element(
        "div",
        _picture(name, pair, shape, compared, worst) if compared.index.size > 1 else None,
        _table(name, shape, pair, compared, worst),
        class_="columns",
    )


def _worst(compared: Compared) -> np.ndarray:
    """Return the places of the entries to list.

    Those beyond their bars come first, the largest difference on top, then those nearest to them.
    """
    ratio = over_bar(compared.difference, compared.bar)
    size = np.where(ratio > 1, np.abs(compared.difference), 0)
    return np.lexsort((-ratio, -size, ratio <= 1))[:LISTED]


def _picture(
    name: str,
    pair: tuple[str, str],
    shape: tuple[int, ...],
    compared: Compared,
    worst: np.ndarray,
) -> Html:
    size = math.prod(shape)
    difference, ratio = np.full((2, size), np.nan)
    difference[compared.index] = compared.difference
    ratio[compared.index] = over_bar(compared.difference, compared.bar)
    difference, ratio = as_matrix(difference.reshape(shape)), as_matrix(ratio.reshape(shape))
    ringed = compared.index[worst[:RINGED]]
    places = [divmod(int(flat), ratio.shape[1]) for flat in ringed if ratio.flat[flat] > 1]
    axes = ("", "entry") if is_vector(shape) else ("row", "column")
    picture = heat_map(name, " and ".join(pair), difference, ratio, places, axes)
    return element("figure", picture)


def _table(
    name: str,
    shape: tuple[int, ...],
    pair: tuple[str, str],
    compared: Compared,
    worst: np.ndarray,
) -> Html:
    rows = []
    for rank, place in enumerate(worst, start=1):
        off, bar = compared.difference[place], compared.bar[place]
        where = ", ".join(str(i) for i in np.unravel_index(compared.index[place], shape))
        value = compared.value[place] + 0.0  # -0 is 0
        ratio = float(over_bar(off, bar))
        rows.append(
            [
                f"{rank}: [{where or 'scalar'}]",
                f"{value:.9g}",
                f"{value - off:.9g}",
                f"{off:.1e}" if off else "0",
                f"{bar:.1e}",
                f"{ratio:.2g}",
            ]
        )
    return table(
        ["entry", *pair, "difference", "error bar", "in bars"],
        rows,
        caption=f"The entries of {name} that differ most",
        class_="numbers",
    )
