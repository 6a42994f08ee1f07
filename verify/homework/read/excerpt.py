"""A few lines of a file around one of them, as an editor shows them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from verify.homework.read.extract import UnreadableError, decode, read_notebook
from verify.printable import printable

AROUND = 3
"""Lines before and after."""

Excerpt = Sequence[tuple[int, str]]
"""Lines with their numbers."""


def excerpt(path: Path, cell: int | None, line: int | None) -> Excerpt:
    """Return the lines around one, which may be in a cell of a notebook; none if they are gone."""
    if line is None:
        return ()
    lines = _lines(path, cell)
    first = max(line - AROUND, 1)
    return [
        (first + place, printable(text))
        for place, text in enumerate(lines[first - 1 : line + AROUND])
    ]


def _lines(path: Path, cell: int | None) -> list[str]:
    try:
        data = path.read_bytes()
        if cell is None:
            return decode(data).split("\n")
        cells, _ = read_notebook(data)
        return next((each.text for each in cells if each.number == cell), "").split("\n")
    except (OSError, UnreadableError):
        return []
