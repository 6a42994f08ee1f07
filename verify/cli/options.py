"""The options that say which problem: shared by every command that builds one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from verify.course.build import DTYPES, build_problem, parse_init
from verify.course.datasets import NAMES as DATA_SETS
from verify.course.datasets import load
from verify.problem import HIDDEN, OUTPUTS

if TYPE_CHECKING:
    from verify.course.datasets import Dataset
    from verify.problem import Problem


class ListOf(click.ParamType):
    """Comma-separated values of one type; an empty text is an empty list."""

    def __init__(self, item: Callable[[str], Any], takes: str) -> None:
        self.item, self.name = item, takes

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple:
        """Return the values, or refuse the text in one sentence."""
        if not isinstance(value, str):
            return tuple(value)
        try:
            return tuple(self.item(part.strip()) for part in value.split(",")) if value else ()
        except ValueError:
            option = param.opts[0].lstrip("-").replace("-", "_")
            raise click.UsageError(f"{option}: got {value!r}, expected {self.name}") from None


SIZES = ListOf(int, "whole numbers, as in 20,7,5")
NUMBERS = ListOf(float, "a number or one for each hidden layer, as in 0.9,0.8")
NAMES = ListOf(str, "a name or one for each hidden layer, as in relu,tanh")


def problem_options(*, l2: float = 0.0, keep_prob: float = 1.0) -> Callable:
    """Return a decorator that adds the options of a problem, with these defaults for two."""
    options = [
        click.option("--data", default="breast-cancer", show_default=True, metavar="NAME|FILE.h5",
                     help=f"{', '.join(DATA_SETS)}, or an HDF5 file of the cats' schema."),
        click.option("--layers", type=SIZES, default="20,7,5", show_default=True, metavar="SIZES",
                     help='Hidden layer sizes; "" is none (logistic regression).'),
        click.option("--hidden", type=NAMES, default="relu", show_default=True, metavar="NAMES",
                     help=f"Hidden activation ({', '.join(HIDDEN)}), one for all or one each."),
        click.option("--output", metavar="NAME",
                     help=f"{' or '.join(OUTPUTS)}; by default sigmoid for two classes."),
        click.option("--init", default="he", show_default=True, metavar="NAME",
                     help="zeros, normal:SCALE, fan-in, xavier-in, xavier or he."),
        click.option("--l2", type=float, default=l2, show_default=True, metavar="NUMBER",
                     help="Strength of the L2 penalty."),
        click.option("--keep-prob", type=NUMBERS, default=str(keep_prob), show_default=True,
                     metavar="NUMBERS",
                     help="Dropout's probability to keep a unit, one for all or one each."),
        click.option("--examples", type=int, metavar="N", help="Use the first N examples."),
        click.option("--dtype", default="float64", show_default=True, metavar="NAME",
                     help=f"{' or '.join(DTYPES)}."),
        click.option("--seed", type=int, default=1, show_default=True, metavar="N",
                     help="Seed of parameters and masks."),
    ]  # fmt: skip

    def decorate(command: Callable) -> Callable:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def problem_from(options: dict[str, Any]) -> tuple[Dataset, Problem]:
    """Return the data set and the problem that the options of `problem_options` describe."""
    dataset = load(options["data"])
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


def one_or_each(values: tuple) -> Any:
    """Return a lone value as one for all layers, several as they are."""
    return values[0] if len(values) == 1 else values
