"""The commands of `backproof`, each imported when it is used.

So `backproof --help` loads neither JAX nor matplotlib. A command returns its exit status.
"""

from __future__ import annotations

import difflib
import importlib

import click

COMMANDS = {
    "verify": "Check the built-in network on a data set: by hand, by JAX, by finite differences.",
    "check": "Check the backward passes in somebody's .py or .ipynb files.",
    "bugs": "Plant each bug of the gallery, and show whether the check finds and names it.",
    "train": "Train a network, report its accuracy, save it.",
    "predict": "Label images, or a data set, with a trained model.",
    "reproduce": "Recompute every figure that is printed in the course documents.",
    "speed": "Time a training step by each implementation, and an exhaustive check.",
}
"""Every command and its summary; each lives in the module of its name in `verify.cli`."""


class Commands(click.Group):
    """The commands, each imported when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import and return one command, or None if there is none of that name."""
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"verify.cli.{name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; where there is none of that name, raise with the nearest."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            ctx.fail(f"command: got {args[0]!r}, expected {', '.join(COMMANDS)}{meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 agrees or done, 1 disagrees or undecided, 2 the input is wrong.",
)
@click.version_option(package_name="backproof", prog_name="backproof")
def app() -> None:
    """Prove hand-written backpropagation right, three ways."""
