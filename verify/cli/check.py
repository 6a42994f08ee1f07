"""`backproof check`: the backward passes in somebody's .py and .ipynb files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from verify.cli.output import output_options, write, write_json
from verify.printable import printable
from verify.problem import check_choice

if TYPE_CHECKING:
    from collections.abc import Callable

    from verify.cli.journal import Journal
    from verify.homework.marks import Rubric
    from verify.homework.report import FileReport
    from verify.homework.run.sandbox import Limits, NamedFunctions

FORMATS = (
    "table", "json", "csv", "junit", "html", "gradescope", "prairielearn", "github", "sarif",
)  # fmt: skip
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
@click.option(
    "--written",
    type=float,
    default=512.0,
    show_default=True,
    help="Bytes that it may write in all, in MB, also to what is gone or printed.",
)
@click.option("--jobs", type=int, help="Files to check at a time; by default one for each core.")
@click.option(
    "--fence",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="Keep the file's code in by the kernel: auto (as far as it can), require, or off.",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Draw the inputs of each file from this and from its text.",
)
@click.option(
    "--resume", is_flag=True, help="Go on with an interrupted check of the same --output-file."
)
@click.option(
    "--points",
    metavar="TEXT|FILE.toml",
    help="Points for each pass, as in linear_backward=3,L_model_backward=5, or a rubric.",
)
@output_options(*FORMATS)
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
    written: float,
    jobs: int | None,
    fence: str,
    seed: int,
    resume: bool,
    points: str | None,
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

    Each file is checked in a process group of its own, with limits, in a temporary folder. On
    Linux the kernel keeps a fence around it: its code reads Python, itself and the modules beside
    it that it imports, writes to its own folder, and reaches nothing else. Where there is no fence
    the report says so, and only accidents are contained. SECURITY.md says what is promised.

    With --points the report gives marks, by a list or by a rubric in a TOML file ([points] of each
    pass, [mistakes] and [verdicts] with the share that they leave). --format gradescope and
    prairielearn write what these graders read, github and sarif what shows a mistake on its line.

    With --output-file FILE every verdict is written to FILE.journal as soon as it is there, until
    FILE itself is written at the end. After an interruption the same command with --resume goes on.

    Exit status: 0 all agree, 1 any disagrees, is undecided, crashed or timed out, 2 any is
    unreadable or has nothing to check.
    """  # fmt: skip
    from verify.cli.journal import open_journal
    from verify.homework.marks import check_names
    from verify.homework.run.fence import MODES
    from verify.homework.run.sandbox import Limits
    from verify.show.files import status

    files = find(paths)
    rubric = rubric_of(points)
    limits = Limits(timeout, memory, processes, output_limit, file_size, written)
    named = named_functions(loss, grads, params)
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs: got {jobs}, expected a whole number of at least 1")
    check_choice("fence", fence, MODES)
    options = {"limits": asdict(limits), "named": named and asdict(named), "fence": fence,
               "seed": seed}  # fmt: skip
    with open_journal(output_file, files, options, resume) as journal:
        reports = dict(journal.known)
        try:
            _judge(files, reports, journal, limits, jobs or cores(), named, fence, seed)
        except KeyboardInterrupt:
            _show_unfinished(files, reports, journal, format_, rubric)
            raise
        in_order = [reports[number] for number in range(len(files))]
        if rubric is not None:
            check_names(rubric, in_order)
        _show(in_order, format_, output_file, rubric)
        journal.remove()
    return status(in_order)


def _judge(
    files: Sequence[Path],
    reports: dict[int, FileReport],
    journal: Journal,
    limits: Limits,
    jobs: int,
    named: NamedFunctions | None,
    fence: str,
    seed: int,
) -> None:
    """Judge the files of which there is no report, and add theirs to `reports` and the journal."""
    from verify.homework.judge import judge_all

    left = [number for number in range(len(files)) if number not in reports]
    with progress(len(left)) as advance:

        def done(place: int, report: FileReport) -> None:
            number = left[place]
            reports[number] = report
            journal.add(number, report)
            advance()

        judge_all([files[number] for number in left], limits, jobs, named, done, fence, seed)


def rubric_of(text: str | None) -> Rubric | None:
    """Return the rubric that --points gives, as a list or as a file, or None without any."""
    from verify.homework.marks import parse_points, read_rubric

    if text is None:
        return None
    return read_rubric(Path(text)) if text.endswith(".toml") else parse_points(text)


def _show(
    reports: Sequence[FileReport],
    format_: str,
    output_file: Path | None,
    rubric: Rubric | None,
) -> None:
    """Write the reports in a format, to standard output or whole into a file."""
    from verify.show import files, graders

    data = {"json": files.to_dict, "gradescope": graders.gradescope,
            "prairielearn": graders.prairielearn}  # fmt: skip
    if format_ in data:
        write_json(data[format_](reports, rubric), output_file)
    elif format_ == "sarif":
        write_json(graders.sarif(reports), output_file)
    elif format_ == "table":
        write(files.table(reports, rubric), output_file)
    elif format_ == "html":
        from verify.show.page import files_page

        write(files_page(reports, rubric), output_file)
    else:
        text = {
            "csv": lambda: files.to_csv(reports, rubric),
            "junit": lambda: files.to_junit(reports),
            "github": lambda: graders.github(reports),
        }[format_]()
        write(text.rstrip("\n"), output_file)


def _show_unfinished(
    files: Sequence[Path],
    reports: Mapping[int, FileReport],
    journal: Journal,
    format_: str,
    rubric: Rubric | None,
) -> None:
    """Say what an interrupted check has found: where it is kept, or the reports themselves."""
    if not reports:
        return
    if journal.path is None:
        _show([reports[number] for number in sorted(reports)], format_, None, rubric)
    kept = f", kept in {journal.path}; --resume goes on" if journal.path else ""
    click.echo(f"{len(reports)} of {len(files)} files were checked{kept}.", err=True)


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
            if path.suffix not in SUFFIXES or name[0] == "." or not path.is_file():
                continue
            if path.resolve().is_relative_to(folder.resolve()):
                yield path
            else:
                click.echo(f"{printable(str(path))}: left out, a link out of its folder", err=True)


@contextmanager
def progress(total: int) -> Iterator[Callable[[], None]]:
    """Show how many files are done, on a terminal only, until all are."""
    if total <= 1 or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("files", total=total)
        yield lambda: bar.advance(task)
