"""`backproof speed`: the time of a training step by each implementation, and of a check."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from verify.cli.options import problem_from, problem_options
from verify.cli.output import output_options, write, write_json

if TYPE_CHECKING:
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
@output_options("table", "json", "markdown")
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
    dtypes, two of them in float64 with L2 and dropout too, and a whole training of the first.
    With any option that describes a problem, such as --data or --layers, only that problem is
    timed. scikit-learn is timed beside ours, and autograd, numba and PyTorch if they are
    installed (extra `peers`).
    """  # fmt: skip
    from verify.course import speed
    from verify.problem import check_learning_rate
    from verify.show import speed as show

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

    result: dict[str, Any] = {"machine": speed.described()}
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
    elif format_ == "markdown":
        write(show.markdown(result), output_file)
    else:
        write(show.text(result), output_file)
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
