"""What was timed, as tables and sentences: for a terminal, and as Markdown.

Reads what `verify.course.speed` returns, as `backproof speed --format json` writes it.
`docs/speed.md` and the README hold what `markdown` and `summary` make of the committed run
(`tests/pages.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from verify.course.speed import OURS, PEERS, SPAN

if TYPE_CHECKING:
    from rich.console import RenderableType

Row = Mapping[str, Any]

SHORTEST = 0.05
"""Seconds of compilation below which an implementation is not listed."""


class Grid(NamedTuple):
    """A table: its title, what heads its columns after the first, and its rows of cells."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


def text(result: Mapping[str, Any]) -> RenderableType:
    """Return all tables and sentences for a terminal."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    tables = []
    for grid in grids(result):
        table = Table(box=None, pad_edge=False, header_style="bold", title=grid.title)
        table.add_column("")
        for head in grid.heads:
            table.add_column(head, justify="right")
        for row in grid.rows:
            table.add_row(*row)
        tables.append(table)
    return Group(*tables, *map(Text, sentences(result)))


def markdown(result: Mapping[str, Any]) -> str:
    """Return all tables and sentences as Markdown."""
    parts = []
    for grid in grids(result):
        heads = "| | " + " | ".join(grid.heads) + " |"
        rule = "|---|" + "---:|" * len(grid.heads)
        rows = ("| " + " | ".join(row) + " |" for row in grid.rows)
        title = grid.title[:1].upper() + grid.title[1:]
        parts.append("\n".join([f"**{title}**", "", heads, rule, *rows]))
    return "\n\n".join([*parts, *(f"{line[:1].upper()}{line[1:]}." for line in sentences(result))])


def grids(result: Mapping[str, Any]) -> Iterator[Grid]:
    """Yield the tables: a dtype, of steps, of the span and of compiling; of matrix products."""
    rows = result["workloads"]
    for dtype in dict.fromkeys(row["dtype"] for row in rows):
        of_dtype = [row for row in rows if row["dtype"] == dtype]
        yield _steps(f"milliseconds a step, {dtype}", of_dtype)
        spanned = [row for row in of_dtype if set(SPAN) & set(row["ms_per_step"])]
        if spanned:
            title = f"the same in the span of the data, {dtype}"
            yield Grid(title, _heads(spanned), _lines(SPAN, spanned, "ms_per_step"))
        if compiling := _lines([*PEERS, *OURS], of_dtype, "compile_s", SHORTEST):
            yield Grid(f"seconds before the first step, {dtype}", _heads(of_dtype), compiling)
    measured = [row for row in rows if row["roofline"]["products_ms"]]
    if measured:
        yield _products(measured)


def sentences(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is said of a whole training and of the check of every weight."""
    name = result["workloads"][0]["name"]
    if training := result.get("training"):
        yield (
            f"{training['iterations']} iterations on {name} take {_number(training['warm_s'])} s, "
            f"{_number(training['cold_s'])} s with compilation; the course's composition would "
            f"take {_number(training['course_s'])} s, {_number(training['warm_ratio'])} and "
            f"{_number(training['cold_ratio'])} times as long"
        )
    check = result["exhaustive"]
    yield (
        f"differences of all {check['parameters']} weights of {name}, error bars included, take "
        f"{_number(1e3 * check['warm_s'])} ms, as long as {_number(check['steps'])} training "
        f"steps by hand ({_number(1e3 * check['cold_s'])} ms the first time); the black-box loop "
        f"would take {_number(check['black_box_s'])} s, {_number(check['ratio'])} times as long"
    )


def summary(result: Mapping[str, Any]) -> str:
    """Return one table, the float64 steps of the plain networks, as Markdown for the README."""
    rows = [row for row in result["workloads"] if row["dtype"] == "float64" and not row["l2"]]
    best = [min(set(PEERS) & set(row["ms_per_step"]), key=row["ms_per_step"].get) for row in rows]
    heads = ("course", "best peer", "`manual`", "JAX, eager", "JAX, compiled whole")
    lines = [
        "| milliseconds a step | " + " | ".join(heads) + " |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row, peer in zip(rows, best, strict=True):
        times = row["ms_per_step"]
        cells = [times[name] for name in ("course", "manual", "autodiff-eager", "autodiff-loop")]
        course, *ours = map(_number, cells)
        shape = f"{row['name']} {row['layers']}, m = {row['examples']}"
        peer_cell = f"{_number(times[peer])} ({peer})"
        lines.append("| " + " | ".join([shape, course, peer_cell, *ours]) + " |")
    return "\n".join(lines)


def _steps(title: str, rows: Sequence[Row]) -> Grid:
    """Return a column for each workload, a row for each implementation, and how ours compare."""
    plain = [name for name in OURS if name not in SPAN]
    lines = _lines([*PEERS, *plain], rows, "ms_per_step")
    to_best = [
        min((row["ratio_to_best_peer"][k] for k in plain if k in row["ratio_to_best_peer"]),
            default=None)
        for row in rows
    ]  # fmt: skip
    if any(to_best):
        lines.append(["best of ours / best peer", *map(_number, to_best)])
    bounds = (row["roofline"]["bound_ms"] for row in rows)
    return Grid(title, _heads(rows), [*lines, ["machine's bound", *map(_number, bounds)]])


def _products(rows: Sequence[Row]) -> Grid:
    libraries = list(rows[0]["roofline"]["products_ms"])
    lines = [
        [
            f"{row['name']}, {row['dtype']}",
            *(
                " + ".join(map(_number, row["roofline"]["products_ms"][each].values()))
                for each in libraries
            ),
        ]
        for row in rows
    ]
    return Grid("the matrix products of a step alone: forward + dW + dA, ms", libraries, lines)


def _heads(rows: Sequence[Row]) -> list[str]:
    return [row["name"] for row in rows]


def _lines(
    names: Sequence[str], rows: Sequence[Row], key: str, least: float = 0.0
) -> list[list[str]]:
    """Return a row of cells for each implementation that has a number of at least `least`."""
    lines = []
    for name in names:
        values = [row[key].get(name) for row in rows]
        shown = [value if value is not None and value >= least else None for value in values]
        if any(value is not None for value in shown):
            lines.append([name, *map(_number, shown)])
    return lines


def _number(value: float | None) -> str:
    """Return three digits; nothing for what was not timed."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
