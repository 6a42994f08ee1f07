"""`backproof check`: the backward passes in somebody's .py and .ipynb files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from verify.cli.output import output_options, write, write_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from verify.homework.report import FileReport
    from verify.homework.run.sandbox import NamedFunctions

SUFFIXES = (".py", ".ipynb")
SKIPPED = ("__pycache__", "__MACOSX", "node_modules", "site-packages")
"""Folders without homework, as are those whose names begin with a dot."""


@click.command("check")
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH..."
)
@click.option("--loss", metavar="NAME", help="Name of your loss(params), which returns one number.")
@click.option(
    "--grads", metavar="NAME", help="Name of your grads(params), which returns a tree like params."
)
@click.option(
    "--params", metavar="NAME", help="Name of your params(), which returns arrays in any tree."
)
@click.option(
    "--timeout", type=float, default=30.0, show_default=True, help="Seconds that a file may take."
)
@click.option(
    "--memory", type=float, default=2048.0, show_default=True, help="Memory that it may use, in MB."
)
@click.option(
    "--processes", type=int, default=32, show_default=True, help="Processes that it may run."
)
@click.option(
    "--output-limit",
    type=float,
    default=16.0,
    show_default=True,
    help="Output that it may print, in MB.",
)
@click.option(
    "--file-size",
    type=float,
    default=64.0,
    show_default=True,
    help="Size of a file that it may write, in MB.",
)
@click.option("--jobs", type=int, help="Files to check at a time; by default one for each core.")
@output_options("table", "json", "csv", "junit", "html")
def command(
    paths: tuple[Path, ...],
    loss: str | None,
    grads: str | None,
    params: str | None,
    timeout: float,
    memory: float,
    processes: int,
    output_limit: float,
    file_size: float,
    jobs: int | None,
    format_: str,
    output_file: Path | None,
) -> int:
    """Check the backward passes in .py and .ipynb files, or in all of a folder.

    Looked for is every function or method that computes a gradient, whatever the course: pairs
    (conv_forward, conv_backward), layers of a class (forward, backward), functions that return a
    loss and its gradient, a cost and its gradient, f and f_prime. Each is compared with finite
    differences of the file's own forward pass, and gets a row; what was not judged is undecided,
    and the row says why.

    Definitions, imports and plain constants of a file are run; where they do not say what a pass is
    to be called with, its other statements are run too, for a few seconds, to see how it calls it.
    The exercises of deeplearning.ai are compared with the textbook as well; the course's helper
    modules are replaced by ours where they are missing.

    Where a pass could not be judged, name three functions of the file: params() returns the
    parameters (an array, or dicts, lists and tuples of arrays), loss(params) one number,
    grads(params) the gradients in the same structure:

    \b
        backproof check my.py --loss my_loss --grads my_grads --params my_params

    Each file is checked in a process group of its own, with limits, in a temporary folder. That
    protects against accidents (endless loops, sys.exit, forks, too much output); it is no security
    boundary against malicious code.

    Exit status: 0 all agree, 1 any disagrees, is undecided, crashed or timed out, 2 any is
    unreadable or has nothing to check.
    """  # fmt: skip
    from verify.homework.judge import judge_all
    from verify.homework.run.sandbox import Limits
    from verify.show import files as shown

    files = find(paths)
    limits = Limits(timeout, memory, processes, output_limit, file_size)
    named = named_functions(loss, grads, params)
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs: got {jobs}, expected a whole number of at least 1")
    with progress(len(files)) as done:
        reports = judge_all(files, limits, min(jobs or cores(), len(files)), named, done)
    if format_ == "json":
        write_json(shown.to_dict(reports), output_file)
    elif format_ == "table":
        write(shown.table(reports), output_file)
    elif format_ == "html":
        from verify.show.page import files_page

        write(files_page(reports), output_file)
    else:
        text = shown.to_csv(reports) if format_ == "csv" else shown.to_junit(reports)
        write(text.rstrip("\n"), output_file)
    return shown.status(reports)


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def named_functions(
    loss: str | None, grads: str | None, params: str | None
) -> NamedFunctions | None:
    """Return the names of the user's functions, or None; raise ValueError if some are missing."""
    from verify.homework.run.sandbox import NamedFunctions

    given = {"loss": loss, "grads": grads, "params": params}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == len(given):
        return None
    if missing:
        raise ValueError(
            f"{missing[0]}: got none, expected the name of a function: --loss, --grads and "
            "--params go together"
        )
    return NamedFunctions(**{name: str(value) for name, value in given.items()})


def find(paths: Sequence[Path]) -> list[Path]:
    """Return the files to check: those named, and those in the folders named.

    Raises ValueError for a path that does not exist or is no file, and for a folder without any.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = sorted(_inside(path))
            if not inside:
                raise ValueError(
                    f"{path}: got a folder without any .py or .ipynb file, expected at least one"
                )
            found.update(dict.fromkeys(inside))
        elif not path.exists():
            raise ValueError(f"{path}: got a path that does not exist, expected a file or folder")
        elif not path.is_file():
            raise ValueError(
                f"{path}: got no ordinary file, expected .py, .ipynb or a folder of them"
            )
        elif path.suffix not in SUFFIXES:
            raise ValueError(
                f"{path}: got a {path.suffix or 'nameless'} file, expected .py or .ipynb"
            )
        else:
            found[path] = None
    return list(found)


def _inside(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in sorted(folders) if name[0] != "." and name not in SKIPPED]
        for name in names:
            path = Path(place, name)
            if path.suffix in SUFFIXES and name[0] != "." and path.is_file():
                yield path


@contextmanager
def progress(total: int) -> Iterator[Callable[[FileReport], None]]:
    """Show how many files are done, on a terminal only, until all are."""
    if total == 1 or not sys.stderr.isatty():
        yield lambda report: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("files", total=total)
        yield lambda report: bar.advance(task)
