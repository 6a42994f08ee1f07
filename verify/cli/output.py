"""Where a command's result goes: to the terminal, or whole into a file."""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from verify.problem import check_choice

Command = TypeVar("Command", bound=Callable[..., Any])


def offering(*values: str) -> Callable[..., list[CompletionItem]]:
    """Return a function by which the shell completes an option, or the last item of its list."""

    def complete(ctx: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
        before, comma, last = typed.rpartition(",")
        return [CompletionItem(f"{before}{comma}{value}") for value in values
                if value.startswith(last)]  # fmt: skip

    return complete


def output_options(*formats: str) -> Callable[[Command], Command]:
    """Return a decorator that adds --format, by default the first of these, and --output-file."""

    def check(ctx: click.Context, param: click.Parameter, value: str) -> str:
        return check_choice("format", value, formats)

    def check_target(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
        if value is None:
            return None
        if value.is_dir():
            raise click.UsageError(f"output-file: got {value}, which is a folder, expected a file")
        if not value.parent.is_dir():
            raise click.UsageError(
                f"output-file: got {value}, expected a file in a folder that exists"
            )
        return value

    def decorate(command: Command) -> Command:
        command = click.option(
            "--output-file",
            type=click.Path(path_type=Path),
            metavar="FILE",
            callback=check_target,
            help="Write to this file instead of standard output.",
        )(command)
        return click.option(
            "--format",
            "format_",
            default=formats[0],
            show_default=True,
            metavar="NAME",
            callback=check,
            shell_complete=offering(*formats),
            help=f"One of {', '.join(formats)}.",
        )(command)

    return decorate


def write(result: Any, output_file: Path | None) -> None:
    """Write text, or what rich can print, to standard output or whole into a file."""
    if isinstance(result, str):
        text = result.removesuffix("\n") + "\n"
    else:
        from rich.console import Console

        terminal = Console()
        if output_file is None and terminal.is_terminal:
            terminal.print(result)
            return
        stream = io.StringIO()
        Console(file=stream, width=120).print(result)
        text = stream.getvalue()
    if output_file is None:
        click.echo(text, nl=False)
    else:
        write_atomically(output_file, text)


def write_json(result: Any, output_file: Path | None) -> None:
    """Write plain data as JSON that every parser reads: no NaN, no infinity."""
    write(json.dumps(result, indent=2, allow_nan=False, ensure_ascii=False), output_file)


def write_atomically(path: Path, text: str) -> None:
    """Write a file whole or not at all: to a file next to it first, which is then renamed.

    A device or a pipe, as /dev/stdout, is written to directly. Raises ValueError if the file
    cannot be written.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
        else:
            _write_beside(path.resolve(), text)
    except OSError as fault:
        raise ValueError(
            f"output-file: got {path}, which cannot be written ({fault.strerror})"
        ) from fault


def _write_beside(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
