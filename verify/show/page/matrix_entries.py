"""One gradient by two witnesses, entry by entry: where they differ, and which differ most."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from verify.report import over_bar
from verify.show.page.charts import as_matrix, heat_map, is_vector
from verify.show.page.markup import Html, element, table

LISTED = 5
"""Entries listed, the worst first."""

RINGED = 3
"""Entries marked in the heat map."""


@dataclass(frozen=True, eq=False)
class Entries:
    """Entries of one gradient, of this name and shape, by two witnesses.

    `called` returns how an entry is called, by its flat index. Of each entry, (k,): that index,
    the first witness's value, the difference, its error bar.
    """

    name: str
    shape: tuple[int, ...]
    called: Callable[[int], str]
    witnesses: tuple[str, str]
    index: np.ndarray
    value: np.ndarray
    difference: np.ndarray
    bar: np.ndarray


def worst_entries(entries: Entries) -> Html:
    """Return a heat map of the difference, and a table of the entries that differ most."""
    worst = _worst(entries)
    picture = _picture(entries, worst) if entries.index.size > 1 else None
    return element("div", picture, _table(entries, worst), class_="columns")


def _worst(entries: Entries) -> np.ndarray:
    """Return the places of the entries to list.

    Those beyond their bars come first, the largest difference on top, then those nearest to them.
    """
    ratio = over_bar(entries.difference, entries.bar)
    size = np.where(ratio > 1, np.abs(entries.difference), 0)
    return np.lexsort((-ratio, -size, ratio <= 1))[:LISTED]


def _picture(entries: Entries, worst: np.ndarray) -> Html:
    shape = entries.shape
    difference, ratio = np.full((2, math.prod(shape)), np.nan)
    difference[entries.index] = entries.difference
    ratio[entries.index] = over_bar(entries.difference, entries.bar)
    difference, ratio = as_matrix(difference.reshape(shape)), as_matrix(ratio.reshape(shape))
    ringed = entries.index[worst[:RINGED]]
    places = [divmod(int(flat), ratio.shape[1]) for flat in ringed if ratio.flat[flat] > 1]
    axes = ("", "entry") if is_vector(shape) else ("row", "column")
    pair = " and ".join(entries.witnesses)
    return element("figure", heat_map(entries.name, pair, difference, ratio, places, axes))


def _table(entries: Entries, worst: np.ndarray) -> Html:
    rows = []
    for rank, place in enumerate(worst, start=1):
        off, bar = entries.difference[place], entries.bar[place]
        value = entries.value[place] + 0.0  # -0 is 0
        rows.append(
            [
                f"{rank}: {entries.called(int(entries.index[place])) or '[scalar]'}",
                f"{value:.9g}",
                f"{value - off:.9g}",
                f"{off:.1e}" if off else "0",
                f"{bar:.1e}",
                f"{float(over_bar(off, bar)):.2g}",
            ]
        )
    head = ["entry", *entries.witnesses, "difference", "error bar", "in bars"]
    caption = f"The entries of {entries.name} that differ most"
    return table(head, rows, caption=caption, class_="numbers")
