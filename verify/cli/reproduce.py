"""`backproof reproduce`: every figure of the course documents, printed and computed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from verify.cli.output import output_options, write, write_json

if TYPE_CHECKING:
    from verify.course.reproduce import Figure, Reproduction

Show = Callable[[str], None]
"""Show the name of what is being computed."""

ROW = "{:<26}  {:<21}  {:>22}  {:>22}  {:>10}  {}"
HEADING = ROW.format("figure", "agrees least", "printed", "computed", "agreeing", "").rstrip()


@click.command("reproduce")
@click.argument("figures", nargs=-1, metavar="[FIGURE]...")
@click.option(
    "--plot",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Draw into this folder the course's comparisons of initialisation and regularisation.",
)
@output_options("table", "json")
def command(
    figures: tuple[str, ...], folder: Path | None, format_: str, output_file: Path | None
) -> int:
    """Recompute the figures that are printed in the course documents: all, or those named.

    They are named as the first column of the table names them. Those of the cats and of the
    football field need the course's files, in the folder that BACKPROOF_DATA names.

    Exit status 0 if all that could be computed agree, 1 if any differs.
    """  # fmt: skip
    chosen = choose(figures)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    start = perf_counter()
    with progress(len(chosen)) as show:
        results = list(computed(chosen, show))
        if folder is not None:
            draw(folder, show)
    counted = [result for result in results if result.agree is not None]
    if not counted:
        raise ValueError(results[0].remark)
    if format_ == "json":
        write_json(summary(results), output_file)
    else:
        write(table(results, perf_counter() - start), output_file)
    return 0 if all(result.agree for result in counted) else 1


def choose(names: Sequence[str]) -> list[Figure]:
    """Return the figures of these ids, or all of them; raise ValueError for an unknown id."""
    from verify.course.reproduce import load_figures

    figures = {figure["id"]: figure for figure in load_figures()}
    for name in names:
        if name not in figures:
            raise ValueError(f"figure: got {name}, expected {', '.join(figures)}")
    return [figures[name] for name in names or figures]


def computed(figures: Sequence[Figure], show: Show) -> Iterator[Reproduction]:
    """Compute each figure, showing its name meanwhile."""
    from verify.course.reproduce import reproduce

    for figure in figures:
        show(figure["id"])
        yield reproduce(figure)


def draw(folder: Path, show: Show) -> None:
    """Write the pictures of every comparison whose data is there."""
    from verify.course.datasets import DataAbsentError
    from verify.show.course_comparisons import COMPARISONS, draw_comparison
    from verify.show.plots import save

    for comparison in COMPARISONS:
        show(f"pictures: {comparison}")
        try:
            pictures = draw_comparison(comparison)
        except DataAbsentError as absent:
            click.echo(f"Not drawn: {comparison}. {absent}", err=True)
            continue
        for name, picture in pictures.items():
            save(picture, folder / f"{name}.png")


def summary(results: Sequence[Reproduction]) -> dict[str, Any]:
    """Return the JSON object: every figure, how many agree, and of how many."""
    counted = [result for result in results if result.agree is not None]
    return {
        "figures": [result.to_dict() for result in results],
        "agree": sum(bool(result.agree) for result in counted),
        "total": len(counted),
    }


def table(results: Sequence[Reproduction], seconds: float) -> str:
    """Return one line a figure, then the remarks, then the count."""
    counts = summary(results)
    absent = [result for result in results if result.agree is None]
    remarks = [
        f"{result.id}: {result.remark}."
        for result in results
        if result.remark and result.agree is not None
    ]
    cures = sorted({result.remark for result in absent})
    return "\n".join(
        [
            HEADING,
            *map(row, results),
            "",
            *remarks,
            *(f"Not computed: {cure}." for cure in cures),
            *[""] * bool(remarks or cures),
            f"{counts['agree']} of {counts['total']} figures agree"
            + (f", {len(absent)} without their data" if absent else "")
            + f" ({seconds:.0f} s).",
        ]
    )


def row(result: Reproduction) -> str:
    """Return one line of the table."""
    if result.agree is None:
        return ROW.format(result.id, "data absent", "", "", "", "").rstrip()
    agreeing = "" if result.digits is None else f"{result.digits} {result.unit}"
    word = "" if result.agree else "DIFFERS"
    return ROW.format(
        result.id, result.entry, _fit(result.printed), _fit(result.computed), agreeing, word
    ).rstrip()


def _fit(text: str) -> str:
    """Return a text as short as the longest number."""
    return text if len(text) <= 22 else f"{text[:21]}…"


@contextmanager
def progress(total: int) -> Iterator[Show]:
    """Show which figure is being computed, on a terminal only; yield the function that does."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    console = Console(stderr=True)
    hidden = not sys.stderr.isatty()
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("", total=total)
        begun = count()
        yield lambda name: bar.update(task, description=name, completed=min(next(begun), total))
