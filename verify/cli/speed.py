"""`backproof speed`: the time of a training step by each implementation, and of a check."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from verify.cli.options import problem_from, problem_options
from verify.cli.output import output_options, write, write_json

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from verify.course.speed import Workload

DTYPES = ("float64", "float32")


@click.command("speed")
@problem_options()
@click.option(
    "--learning-rate",
    type=float,
    default=0.01,
    show_default=True,
    metavar="NUMBER",
    help="Learning rate for a problem of your own.",
)
@click.option(
    "--repetitions",
    type=click.IntRange(1),
    default=11,
    show_default=True,
    metavar="N",
    help="Repetitions of every implementation, interleaved.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, 60, min_open=True),
    default=0.1,
    show_default=True,
    metavar="NUMBER",
    help="Seconds that one repetition takes.",
)
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw a bar chart into this file.",
)
@output_options("table", "json")
@click.pass_context
def command(
    context: click.Context,
    /,
    learning_rate: float,
    repetitions: int,
    seconds: float,
    plot: Path | None,
    format_: str,
    output_file: Path | None,
    **options: Any,
) -> int:
    """Time a training step by each implementation, and an exhaustive check.

    By default four workloads (cats, football, flower and a wide network) are timed in both
    dtypes, and a whole training of the first. With any option that describes a problem, such as
    --data or --layers, only that problem is timed. PyTorch is timed too if it is installed (extra
    `peers`).
    """  # fmt: skip
    from verify.course import speed
    from verify.problem import check_learning_rate

    check_learning_rate(learning_rate)
    if plot is not None:
        from verify.show.plots.canvas import picture_format

        picture_format(plot)
    given = _given(context)
    dtypes = (options["dtype"],) if "dtype" in given else DTYPES
    own = given & {"data", "layers", "hidden", "output", "init", "l2", "keep_prob", "examples"}
    if own:
        workloads = [_workload(options | {"dtype": dtype}, learning_rate) for dtype in dtypes]
    else:
        workloads = [each for dtype in dtypes for each in speed.standard_workloads(dtype)]

    result: dict[str, Any] = {}
    with _progress() as progress:
        if not own:
            progress(f"{workloads[0].name}: a whole training")
            result["training"] = speed.training_speed(workloads[0])
        result["workloads"] = rows = [
            speed.time_steps(
                workload, repetitions=repetitions, seconds_each=seconds, progress=progress
            )
            for workload in workloads
        ]
        progress(f"{workloads[0].name}: an exhaustive check")
        result["exhaustive"] = speed.exhaustive_speed(workloads[0].problem)
    if plot is not None:
        from verify.show import plots

        plots.save(plots.speed(rows), plot)
    if format_ == "json":
        write_json(result, output_file)
    else:
        write(_table(result), output_file)
    return 0


def _given(context: click.Context) -> set[str]:
    return {
        name
        for name in context.params
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    }


def _workload(options: dict[str, Any], learning_rate: float) -> Workload:
    from verify.course.speed import Workload

    dataset, problem = problem_from(options)
    return Workload(dataset.name, problem, learning_rate)


@contextmanager
def _progress() -> Iterator[Callable[[str], object]]:
    """Show what is being timed, on a terminal only; yield the function that does."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda what: None
        return
    with console.status("") as status:
        yield status.update


def _table(result: dict[str, Any]) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    rows = result["workloads"]
    steps = (
        _steps(dtype, [row for row in rows if row["dtype"] == dtype])
        for dtype in dict.fromkeys(row["dtype"] for row in rows)
    )
    compiling = ", ".join(
        f"{row['name']} {row['dtype']} {name} {seconds:.1f} s"
        for row in rows
        for name, seconds in row["compile_s"].items()
        if seconds >= 0.1
    )
    lines = [f"compiling, apart: {compiling or 'under 0.1 s each'}"]
    if training := result.get("training"):
        lines.append(
            f"{training['iterations']} iterations on {rows[0]['name']}: {training['warm_s']:.2f} s "
            f"warm, {training['cold_s']:.2f} s with compilation; the course's composition would "
            f"take {training['course_s']:.0f} s, {training['warm_ratio']:.0f} and "
            f"{training['cold_ratio']:.0f} times as long"
        )
    check = result["exhaustive"]
    lines.append(
        f"differences of all {check['parameters']} weights of {rows[0]['name']}: "
        f"{check['warm_s']:.3f} s, as long as {check['steps']:.1f} training steps by hand "
        f"({check['cold_s']:.2f} s the first time); the black-box loop would take "
        f"{check['black_box_s']:.0f} s, {check['ratio']:.0f} times as long"
    )
    return Group(*steps, *_products(rows), *map(Text, lines))


def _steps(dtype: str, rows: Sequence[dict[str, Any]]) -> Table:
    """Return the table of a dtype: a column for each workload, a row for each implementation."""
    from rich.table import Table

    from verify.course.speed import OURS, PEERS

    title = f"milliseconds a step, {dtype}"
    table = Table(box=None, pad_edge=False, header_style="bold", title=title)
    table.add_column("")
    for row in rows:
        table.add_column(row["name"], justify="right")
    for name in (*PEERS, *OURS):
        times = [row["ms_per_step"].get(name) for row in rows]
        if any(times):
            table.add_row(name, *map(_number, times))
    ratios = [min(row["ratio_to_best_peer"].values(), default=None) for row in rows]
    if any(ratios):
        table.add_row("best of ours / best peer", *map(_number, ratios))
    table.add_row("machine's bound", *(_number(row["roofline"]["bound_ms"]) for row in rows))
    return table


def _products(rows: Sequence[dict[str, Any]]) -> Iterator[Table]:
    """Yield the table of the matrix products alone, if any were timed."""
    from rich.table import Table

    measured = [row for row in rows if row["roofline"]["products_ms"]]
    if not measured:
        return
    libraries = list(measured[0]["roofline"]["products_ms"])
    title = "the matrix products of a step alone: forward + dW + dA"
    table = Table(box=None, pad_edge=False, header_style="bold", title=title)
    table.add_column("workload")
    table.add_column("dtype")
    for library in libraries:
        table.add_column(library, justify="right")
    for row in measured:
        products = row["roofline"]["products_ms"]
        cells = (" + ".join(map(_number, products[each].values())) for each in libraries)
        table.add_row(row["name"], row["dtype"], *cells)
    yield table


def _number(ms: float | None) -> str:
    return "" if ms is None else f"{ms:.3g}"
