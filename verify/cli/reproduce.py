"""`backproof reproduce`: every figure of the course documents, printed and computed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import click

from verify.cli.output import output_options, write, write_json

if TYPE_CHECKING:
    from verify.course.reproduce import Figure, Outcome

Tell = Callable[[str], None]
"""Says what is at work."""

ROW = "{:<26}  {:<21}  {:>22}  {:>22}  {:>10}  {}"
HEADING = ROW.format("figure", "agrees least", "printed", "computed", "agreeing", "").rstrip()


@click.command("reproduce")
@click.argument("figures", nargs=-1, metavar="[FIGURE]...")
@click.option(
    "--plot",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Draw there the course's comparisons: initialisation and regularisation.",
)
@output_options("table", "json")
def command(
    figures: tuple[str, ...], folder: Path | None, format_: str, output_file: Path | None
) -> int:
    """Recompute every figure that the course documents print, or those that are named.

    Exit status 0 if all that could be computed agree, 1 if any falls short.
    """  # fmt: skip
    chosen = choose(figures)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    start = perf_counter()
    with progress(len(chosen)) as tell:
        outcomes = list(computed(chosen, tell))
        if folder is not None:
            draw(folder, tell)
    counted = [outcome for outcome in outcomes if outcome.agree is not None]
    if not counted:
        raise ValueError(outcomes[0].remark)
    if format_ == "json":
        write_json(summary(outcomes), output_file)
    else:
        write(table(outcomes, perf_counter() - start), output_file)
    return 0 if all(outcome.agree for outcome in counted) else 1


def choose(names: Sequence[str]) -> list[Figure]:
    """Return the figures of these ids, or all of them; raise ValueError for an unknown id."""
    from verify.course.reproduce import load_figures

    figures = {figure["id"]: figure for figure in load_figures()}
    for name in names:
        if name not in figures:
            raise ValueError(f"figure: got {name}, expected {', '.join(figures)}")
    return [figures[name] for name in names or figures]


def computed(figures: Sequence[Figure], tell: Tell) -> Iterator[Outcome]:
    """Yield the outcome of each figure, telling which one is at work."""
    from verify.course.reproduce import reproduce

    for figure in figures:
        tell(figure["id"])
        yield reproduce(figure)


def draw(folder: Path, tell: Tell) -> None:
    """Write the pictures of every comparison whose data is there."""
    from verify.course.datasets import DataAbsentError
    from verify.show.comparisons import COMPARISONS, draw_comparison
    from verify.show.plots import save

    for comparison in COMPARISONS:
        tell(f"pictures: {comparison}")
        try:
            pictures = draw_comparison(comparison)
        except DataAbsentError as absent:
            click.echo(f"Not drawn: {comparison}. {absent}", err=True)
            continue
        for name, picture in pictures.items():
            save(picture, folder / f"{name}.png")


def summary(outcomes: Sequence[Outcome]) -> dict:
    """Return the JSON object: every figure, how many agree, and of how many."""
    counted = [outcome for outcome in outcomes if outcome.agree is not None]
    return {
        "figures": [outcome.to_dict() for outcome in outcomes],
        "agree": sum(bool(outcome.agree) for outcome in counted),
        "total": len(counted),
    }


def table(outcomes: Sequence[Outcome], seconds: float) -> str:
    """Return one line a figure, then the remarks, then the count."""
    counts = summary(outcomes)
    absent = [outcome for outcome in outcomes if outcome.agree is None]
    remarks = [
        f"{outcome.id}: {outcome.remark}."
        for outcome in outcomes
        if outcome.remark and outcome.agree is not None
    ]
    cures = sorted({outcome.remark for outcome in absent})
    return "\n".join(
        [
            HEADING,
            *map(row, outcomes),
            "",
            *remarks,
            *(f"Not computed: {cure}." for cure in cures),
            *[""] * bool(remarks or cures),
            f"{counts['agree']} of {counts['total']} figures agree"
            + (f", {len(absent)} without their data" if absent else "")
            + f" ({seconds:.0f} s).",
        ]
    )


def row(outcome: Outcome) -> str:
    """Return one line of the table."""
    if outcome.agree is None:
        return ROW.format(outcome.id, "data absent", "", "", "", "").rstrip()
    agreeing = "" if outcome.digits is None else f"{outcome.digits} {outcome.unit}"
    word = "" if outcome.agree else "FALLS SHORT"
    return ROW.format(
        outcome.id, outcome.entry, _fit(outcome.printed), _fit(outcome.computed), agreeing, word
    ).rstrip()


def _fit(text: str) -> str:
    """Return a text as short as the longest number."""
    return text if len(text) <= 22 else f"{text[:21]}…"


@contextmanager
def progress(total: int) -> Iterator[Tell]:
    """Show which figure is at work, on a terminal alone; yield the function that tells."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    console = Console(stderr=True)
    shown = sys.stderr.isatty()
    with Progress(*columns, console=console, transient=True, disable=not shown) as bar:
        task = bar.add_task("", total=total)
        begun = count()
        yield lambda name: bar.update(task, description=name, completed=min(next(begun), total))
