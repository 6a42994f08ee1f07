"""The options that describe a problem, shared by all commands that build one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from verify.cli.output import Command, offering
from verify.cli.processes import is_one_of_several
from verify.course.datasets import NAMES as DATA_SETS
from verify.course.datasets import load
from verify.course.problems import DTYPES, build_problem, parse_init
from verify.problem import HIDDEN, OUTPUTS
from verify.report import Fact

if TYPE_CHECKING:
    from jax.sharding import Mesh

    from verify.course.datasets import Dataset
    from verify.course.stored import Stored
    from verify.problem import Problem
    from verify.report import Report


def listed(item: Callable[[str], Any], expected: str) -> Callable[..., tuple[Any, ...] | None]:
    """Return a callback that reads comma-separated values; an empty text is an empty list."""

    def read(
        ctx: click.Context, param: click.Parameter, text: str | None
    ) -> tuple[Any, ...] | None:
        if text is None:
            return None
        try:
            return tuple(item(part.strip()) for part in text.split(",")) if text else ()
        except ValueError:
            raise click.UsageError(f"{param.name}: got {text!r}, expected {expected}") from None

    return read


INITIALISERS = ("zeros", "normal:", "fan-in", "xavier-in", "xavier", "he")
"""What --init takes; a scale follows normal:."""

sizes = listed(int, "whole numbers, as in 20,7,5")
numbers = listed(float, "a number or one for each hidden layer, as in 0.9,0.8")
names = listed(str, "a name or one for each hidden layer, as in relu,tanh")


def problem_options(*, l2: float = 0.0, keep_prob: float = 1.0) -> Callable[[Command], Command]:
    """Return a decorator that adds the options of a problem, with these defaults for two."""
    options = [
        click.option("--data", default="breast-cancer", show_default=True, metavar="NAME|FILE.h5",
                     shell_complete=offering(*DATA_SETS),
                     help=f"{', '.join(DATA_SETS)}, or an HDF5 file like those of the cats."),
        click.option("--layers", callback=sizes, default="20,7,5", show_default=True,
                     metavar="SIZES",
                     help='Sizes of the hidden layers; "" for none (logistic regression).'),
        click.option("--hidden", callback=names, default="relu", show_default=True,
                     metavar="NAMES", shell_complete=offering(*HIDDEN),
                     help=f"Hidden activation ({', '.join(HIDDEN)}), one for all or one each."),
        click.option("--output", metavar="NAME", shell_complete=offering(*OUTPUTS),
                     help=f"{' or '.join(OUTPUTS)}; by default softmax for over 2 classes."),
        click.option("--init", default="he", show_default=True, metavar="NAME",
                     shell_complete=offering(*INITIALISERS),
                     help="Initial weights: zeros, normal:SCALE, fan-in, xavier-in, xavier or he."),
        click.option("--l2", type=float, default=l2, show_default=True, metavar="NUMBER",
                     help="Strength of the L2 penalty."),
        click.option("--keep-prob", callback=numbers, default=str(keep_prob), show_default=True,
                     metavar="NUMBERS",
                     help="Probability that dropout keeps a unit, one for all layers or one each."),
        click.option("--examples", type=int, metavar="N", help="Use the first N examples."),
        click.option("--dtype", default="float64", show_default=True, metavar="NAME",
                     shell_complete=offering(*DTYPES),
                     help=f"Precision: {' or '.join(DTYPES)}."),
        click.option("--seed", type=int, default=1, show_default=True, metavar="N",
                     help="Seed of the parameters and the dropout masks."),
    ]  # fmt: skip

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def problem_from(options: dict[str, Any]) -> tuple[Dataset, Problem]:
    """Return the data set and the problem that the options of `problem_options` describe."""
    stored = stored_from(options)
    dataset = (
        load(options["data"])
        if stored is None
        else stored.sample(options["sample"], options["seed"])
    )
    problem = build_problem(
        dataset,
        layers=options["layers"],
        hidden=one_or_each(options["hidden"]),
        output=options["output"],
        init=parse_init(options["init"]),
        l2=options["l2"],
        keep_prob=one_or_each(options["keep_prob"]),
        examples=options["examples"],
        dtype=options["dtype"],
        seed=options["seed"],
    )
    return dataset, problem


def sample_option(use: str) -> Callable[[Command], Command]:
    """Return a decorator that adds the option to read a file in parts, and for what."""
    return click.option(
        "--sample", type=click.IntRange(1), metavar="N",
        help=f"Read an HDF5 file in parts, never whole: {use} N examples drawn from all.",
    )  # fmt: skip


def stored_from(options: dict[str, Any]) -> Stored | None:
    """Return the file that is to be read in parts, or None where the data are read whole."""
    if options.get("sample") is None:
        return None
    if options["examples"] is not None:
        raise ValueError(
            f"examples: got {options['examples']} with a sample of {options['sample']}, "
            "expected one of the two"
        )
    from verify.course.stored import open_stored

    return open_stored(options["data"])


def sampled(report: Report, options: dict[str, Any]) -> Report:
    """Return a report that says of how many examples its own were drawn, if they were."""
    stored = stored_from(options)
    if stored is None:
        return report
    drawn = {"count": options["sample"], "of": stored.m, "seed": options["seed"]}
    return dataclasses.replace(report, notes=(*report.notes, Fact("examples-drawn", drawn)))


def devices_option(command: Command) -> Command:
    """Add the option of how many devices work together."""
    return click.option(
        "--devices", type=click.IntRange(1), metavar="N",
        help="Use N of JAX's devices together; by default all, where there are several.",
    )(command)  # fmt: skip


def mesh_from(devices: int | None, backend: str = "autodiff") -> Mesh | None:
    """Return a mesh of so many devices, by default of all; None where one works alone.

    Raises ValueError if there are fewer, or for another backend than JAX.
    """
    if backend != "autodiff":
        if devices is not None:
            raise ValueError(
                f"devices: got {devices} with the backend {backend}, expected it with autodiff"
            )
        if is_one_of_several():
            raise ValueError(f"backend: got {backend} in several processes, expected autodiff")
        return None
    from autodiff import example_mesh

    mesh = example_mesh(devices)
    return None if mesh.size == 1 else mesh


def one_or_each(values: tuple[Any, ...]) -> Any:
    """Return a lone value as one for all layers, several as they are."""
    return values[0] if len(values) == 1 else values
