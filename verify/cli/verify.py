"""`backproof verify`: the three-way check of the built-in network on a data set."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from verify.cli.options import (
    devices_option,
    mesh_from,
    problem_from,
    problem_options,
    sample_option,
    sampled,
)
from verify.cli.output import offering, output_options, write, write_json
from verify.cli.processes import across_processes, first_alone

if TYPE_CHECKING:
    from jax.sharding import Mesh

    from verify.problem import Problem


@click.command("verify")
@problem_options(l2=0.7, keep_prob=0.8)
@click.option(
    "--train",
    "iterations",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="N",
    help="Take N steps of gradient descent before the check.",
)
@click.option(
    "--learning-rate",
    type=float,
    default=0.0075,
    show_default=True,
    metavar="NUMBER",
    help="Learning rate of those steps.",
)
@click.option(
    "--finite-difference",
    metavar="METHOD",
    shell_complete=offering("exhaustive", "sampled", "directional"),
    default="auto",
    help="exhaustive, sampled or directional; by default exhaustive, which takes a few "
    "training steps.",
)
@sample_option("check")
@devices_option
@output_options("table", "json", "html")
@across_processes
def command(
    iterations: int,
    learning_rate: float,
    finite_difference: str,
    devices: int | None,
    format_: str,
    output_file: Path | None,
    **options: Any,
) -> int:
    """Check the gradients of the built-in network on a data set.

    They are computed by hand in NumPy, by JAX, and by finite differences, with identical
    parameters, data and dropout masks. Exit status 0 if all three agree, 1 if not.
    """  # fmt: skip
    dataset, problem = problem_from(options)
    mesh = mesh_from(devices)
    if iterations:
        problem = trained(problem, iterations, learning_rate, mesh)

    from verify.network import three_way

    report = three_way(
        problem, finite_difference=finite_difference, mesh=mesh, seed=options["seed"]
    )
    report = dataclasses.replace(
        sampled(report, options),
        settings={
            "data": dataset.name,
            **report.settings,
            "init": options["init"],
            "seed": options["seed"],
            "train": iterations,
            "learning_rate": learning_rate,
            "devices": 1 if mesh is None else mesh.size,
        },
    )
    output_file = first_alone(output_file)
    if format_ == "json":
        write_json(report.to_dict(), output_file)
    else:
        write(report.to_html() if format_ == "html" else report, output_file)
    return 0 if report.ok else 1


def trained(problem: Problem, iterations: int, learning_rate: float, mesh: Mesh | None) -> Problem:
    """Return the problem after some steps of gradient descent with its own masks."""
    import autodiff
    from verify.problem import check_learning_rate, check_whole

    check_whole("train", iterations, 0)
    check_learning_rate(learning_rate)
    params, _, _, masks = problem.arguments
    X, Y = (autodiff.on_device(array, mesh=mesh) for array in (problem.X, problem.Y))
    params, _ = autodiff.steps(
        params, X, Y, masks,
        n=iterations, m=problem.m, learning_rate=learning_rate, **problem.options,
    )  # fmt: skip
    return problem.with_params(params)
