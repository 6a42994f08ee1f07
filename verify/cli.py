"""The command line: `backproof COMMAND`.

Only the command that was asked for is imported, so that `backproof --help` loads neither JAX
nor matplotlib. A command returns its exit status. What is wrong with the input is a
ValueError, an OSError or a MemoryError somewhere below, and becomes one sentence on stderr
and status 2.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import click

COMMANDS = {
    "verify": "Check the built-in network on a data set, three ways.",
    "check": "Check the backward passes in somebody's .py or .ipynb files.",
    "bugs": "Plant each bug of the gallery and show what the check says of it.",
    "train": "Train a network, report its accuracy, save it.",
    "predict": "Label images, or a data set, with a trained model.",
    "reproduce": "Recompute every figure that the course documents print.",
    "speed": "Time a training step and an exhaustive check, by each way, side by side.",
}
"""Every command and its summary; each lives in the module of its name in `verify.commands`."""

AGREES, BAD_INPUT, INTERRUPTED = 0, 2, 130


class Commands(click.Group):
    """The commands, each loaded when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import and return one command, or None if there is none of that name."""
        if name not in COMMANDS:
            return None
        return importlib.import_module(f"verify.commands.{name}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 agrees or done, 1 disagrees or undecided, 2 the input is at fault.",
)
@click.version_option(package_name="backproof", prog_name="backproof")
def app() -> None:
    """Prove hand-written backpropagation right, three ways."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    try:
        with _interruptible():
            status = app.main(arguments, standalone_mode=False) or AGREES
    except click.exceptions.NoArgsIsHelpError as fault:
        click.echo(fault.format_message(), err=True)
        status = BAD_INPUT
    except click.ClickException as fault:
        status = _refuse(fault.format_message())
    except (ValueError, OSError) as fault:
        status = _refuse(str(fault))
    except MemoryError as fault:
        status = _refuse(f"not enough memory: {fault}")
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted.", err=True)
        status = INTERRUPTED
    sys.exit(status)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Deliver Ctrl-C anew where it struck in a callback of C code, which drops all exceptions.

    JAX runs such a callback at every garbage collection.
    """
    hook = sys.unraisablehook

    def deliver(unraisable) -> None:
        if unraisable.exc_type is KeyboardInterrupt:
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        else:
            hook(unraisable)

    sys.unraisablehook = deliver
    try:
        yield
    finally:
        sys.unraisablehook = hook


def _refuse(sentence: str) -> int:
    click.echo(f"Error: {' '.join(sentence.split())}", err=True)
    return BAD_INPUT
