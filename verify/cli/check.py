"""`backproof check`: the backward passes in somebody's .py and .ipynb files."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from verify.cli.output import output_options, write, write_atomically, write_json
from verify.printable import printable
from verify.problem import check_choice

if TYPE_CHECKING:
    from collections.abc import Callable

    from verify.cli.cache import Cache
    from verify.cli.journal import Journal
    from verify.homework.marks import Rubric
    from verify.homework.report import FileReport
    from verify.homework.run.cluster import Cluster
    from verify.homework.run.sandbox import NamedFunctions

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
    "--no-cache", is_flag=True, help="Check files again that are as they were when last checked."
)
@click.option(
    "--output-dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write a page for each file here, and index.html, the class as a whole.",
)
@click.option(
    "--points",
    metavar="TEXT|FILE.toml",
    help="Points for each pass, as in linear_backward=3,L_model_backward=5, or a rubric.",
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Check on a cluster of Dask, as in tcp://host:8786; local starts one on this machine.",
)
@click.option(
    "--tls-ca-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The certificate authority of a scheduler at tls://.",
)
@click.option(
    "--tls-cert",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The certificate to show to it.",
)
@click.option(
    "--tls-key",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The key of that certificate.",
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
    no_cache: bool,
    output_dir: Path | None,
    points: str | None,
    scheduler: str | None,
    tls_ca_file: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
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

    With --output-dir DIR there is a page for each file, which holds nothing of any other, and an
    index with the mistakes of the class by frequency: HTML that asks nothing of the network.

    With --output-file FILE every verdict is written to FILE.journal as soon as it is there, until
    FILE itself is written at the end. After an interruption the same command with --resume goes on.

    What was found of a file is kept in the user's cache folder, and found again there as long as
    the file, what it imports, the options and the versions are the same; --no-cache checks it anew.

    Exit status: 0 all agree, 1 any disagrees, is undecided, crashed or timed out, 2 any is
    unreadable or has nothing to check.
    """  # fmt: skip
    from verify.cli.cache import open_cache
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
    cluster = cluster_of(scheduler, jobs, (tls_ca_file, tls_cert, tls_key))
    check_choice("fence", fence, MODES)
    options = {"limits": asdict(limits), "named": named and asdict(named), "fence": fence,
               "seed": seed}  # fmt: skip
    index = pages_in(output_dir)
    with open_journal(output_file or index, files, options, resume) as journal:
        reports = dict(journal.known)
        cache = open_cache(options, not no_cache)
        _look_up(files, reports, cache)
        try:
            judge = judge_where(cluster, jobs or cores())
            _judge(
                files,
                reports,
                (journal, cache),
                partial(judge, limits=limits, named=named, fence=fence, seed=seed),
            )
        except KeyboardInterrupt:
            _show_unfinished(files, reports, journal, format_, rubric)
            raise
        in_order = [reports[number] for number in range(len(files))]
        if rubric is not None:
            check_names(rubric, in_order)
        _show(in_order, format_, output_file, rubric)
        if output_dir is not None:
            write_pages(output_dir, files, in_order, rubric)
        journal.remove()
    return status(in_order)


def _judge(
    files: Sequence[Path],
    reports: dict[int, FileReport],
    kept: tuple[Journal, Cache],
    judge: Callable[..., Any],
) -> None:
    """Judge the files of which there is no report, and add theirs to `reports` and what is kept."""
    journal, cache = kept
    left = [number for number in range(len(files)) if number not in reports]
    if not left:
        return
    with progress(len(left)) as advance:

        def done(place: int, report: FileReport) -> None:
            number = left[place]
            reports[number] = report
            journal.add(number, report)
            cache.keep(files[number], report)
            advance(report)

        judge([files[number] for number in left], done=done)


def judge_where(cluster: Cluster | None, jobs: int) -> Callable[..., Any]:
    """Return what judges files: `jobs` at a time here, or on a cluster."""

    def judge(paths: Sequence[Path], **how: Any) -> None:
        from verify.homework.judge import judge_all, judge_on

        if cluster is None:
            judge_all(paths, jobs=jobs, **how)
        else:
            judge_on(cluster, paths, said=partial(click.echo, err=True), **how)

    return judge


def cluster_of(
    scheduler: str | None, jobs: int | None, tls: tuple[Path | None, Path | None, Path | None]
) -> Cluster | None:
    """Return the cluster to judge on, or None; raise ValueError if the options do not fit."""
    from verify.homework.run.cluster import LOCAL, Cluster

    if scheduler is None:
        if any(tls):
            raise ValueError("scheduler: got none, expected one with --tls-ca-file and the others")
        return None
    if jobs is not None and scheduler != LOCAL:
        raise ValueError(
            f"jobs: got {jobs} with the scheduler {scheduler}, expected none: its workers decide"
        )
    if scheduler != LOCAL and not _ADDRESS.fullmatch(scheduler):
        raise ValueError(
            f"scheduler: got {scheduler}, expected {LOCAL} or an address as tcp://10.0.0.1:8786"
        )
    return Cluster(scheduler, jobs or cores(), *tls)


_ADDRESS = re.compile(r"(?:\w+://)?(?:\[[0-9a-fA-F:.]+\]|[^\s/:\[\]]+):\d{1,5}")
"""Of a scheduler: a protocol, a host and a port. Dask waits 40 seconds for one without a port."""


def _look_up(files: Sequence[Path], reports: dict[int, FileReport], cache: Cache) -> None:
    """Add the reports of files that are as they were when they were last checked, and say so."""
    found = 0
    for number, path in enumerate(files):
        if number not in reports and (report := cache.find(path)) is not None:
            reports[number] = report
            found += 1
    cache.remove_old()
    if found and len(files) > 1:
        click.echo(
            f"{found} of {len(files)} files are as they were when they were last checked; "
            "--no-cache checks them again.",
            err=True,
        )


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


def pages_in(folder: Path | None) -> Path | None:
    """Return the index of a folder of pages, which is made if it is not there."""
    if folder is None:
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise ValueError(
            f"output-dir: got {folder}, which cannot be made ({fault.strerror})"
        ) from fault
    return folder / "index.html"


def write_pages(
    folder: Path, files: Sequence[Path], reports: Sequence[FileReport], rubric: Rubric | None
) -> None:
    """Write the page of each file, and the index of all."""
    from verify.homework.read.excerpt import excerpt
    from verify.show.page import class_index, own_page, page_names

    names = page_names([report.path for report in reports])
    for path, name, report in zip(files, names, reports, strict=True):
        excerpts = [excerpt(path, each.cell, each.line) for each in report.diagnosis]
        write_atomically(folder / name, own_page(report, excerpts, rubric))
    write_atomically(folder / "index.html", class_index(reports, names, rubric))


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
def progress(total: int) -> Iterator[Callable[[FileReport], None]]:
    """Show which file was judged last, and how many came to which verdict.

    On a terminal that is a bar; elsewhere a line a file. Nothing is shown of a single file.
    """
    counts: Counter[str] = Counter()

    def so_far(report: FileReport) -> str:
        counts[report.verdict] += 1
        return ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())

    if total <= 1:
        yield lambda report: None
        return
    if not sys.stderr.isatty():

        def line(report: FileReport) -> None:
            so_far(report)
            done = f"{counts.total()} of {total}"
            click.echo(f"{done}: {report.verdict} {report.path}", err=True)

        yield line
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Left

    columns = (BarColumn(), MofNCompleteColumn(), Left(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda report: bar.update(
            task, advance=1, description=f"{so_far(report)}; {escape(report.path)}"
        )
