"""`backproof train`: train a network, report its accuracy, save it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from verify.cli.options import (
    devices_option,
    mesh_from,
    problem_options,
    sample_option,
    sampled,
    sizes,
)
from verify.cli.output import output_options, write, write_json
from verify.cli.processes import across_processes, first_alone, in_any_process

if TYPE_CHECKING:
    from verify.cli.training_report import TrainingReport
    from verify.cli.training_session import Session
    from verify.course.training import Training
    from verify.report import Report


@click.command("train")
@problem_options()
@click.option(
    "--learning-rate", type=float, default=0.0075, show_default=True, help="Learning rate."
)
@click.option(
    "--iterations",
    type=click.IntRange(0),
    default=2500,
    show_default=True,
    metavar="N",
    help="Steps of gradient descent in total.",
)
@click.option(
    "--backend",
    default="autodiff",
    show_default=True,
    metavar="NAME",
    help="autodiff (JAX) or manual (NumPy, by hand).",
)
@click.option(
    "--strategy",
    metavar="NAME",
    help="loop, or span, which keeps the first layer in the span of the data; by default "
    "the faster one.",
)
@sample_option("train on all, and --check")
@devices_option
@click.option(
    "--record-every",
    "every",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    metavar="N",
    help="Record the cost every N iterations.",
)
@click.option(
    "--print-costs",
    "print_every",
    type=click.IntRange(1),
    metavar="N",
    help="Print the cost every N iterations, as they are trained.",
)
@click.option(
    "--save",
    "save_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="MODEL.h5",
    help="Write the model to this file, at the end and during the training.",
)
@click.option(
    "--save-every",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Seconds between two saves during the training.",
)
@click.option(
    "--resume",
    "resume_path",
    type=click.Path(path_type=Path),
    metavar="MODEL.h5",
    help="Continue a saved training with its settings; the result goes to the same file "
    "unless --save names another.",
)
@click.option(
    "--plot",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Draw into this folder the cost curve, and the decision boundary or the mislabelled "
    "images.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Check the gradients at the trained parameters, as `backproof verify` does: every weight, "
    "for the price of a few steps.",
)
@click.option("--baseline", is_flag=True, help="Compare with scikit-learn's LogisticRegressionCV.")
@click.option(
    "--sweep",
    callback=sizes,
    metavar="SIZES",
    help="Train a network of one hidden layer for each of these sizes, as in 1,2,3,4,5,10,20.",
)
@output_options("table", "json")
@across_processes
@click.pass_context
def command(
    ctx: click.Context,
    /,
    devices: int | None,
    print_every: int | None,
    save_path: Path | None,
    save_every: float,
    resume_path: Path | None,
    folder: Path | None,
    check: bool,
    baseline: bool,
    sweep: tuple[int, ...] | None,
    format_: str,
    output_file: Path | None,
    **settings: Any,
) -> int:
    """Train a network on a data set, report its accuracy, and save it.

    Full-batch gradient descent. Ctrl-C finishes the step and saves; --resume continues to the
    same result as a training that was not stopped. Exit status 0 if it trained, 1 if it diverged
    (or --check disagrees), 130 or 143 if it was stopped.
    """  # fmt: skip
    output_file, folder = first_alone(output_file), first_alone(folder)
    if sweep is not None:
        if save_path or resume_path or check or print_every:
            raise ValueError(
                "sweep: expected neither --save nor --resume nor --check nor --print-costs with it"
            )
        return swept(settings, devices, sweep, folder, baseline, format_, output_file)

    from verify.cli.training_report import draw
    from verify.cli.training_session import begin, keep
    from verify.course.model_files import save
    from verify.course.training import interruptible

    if print_every and ctx.get_parameter_source("every") is ParameterSource.DEFAULT:
        settings["every"] = print_every
    session = begin(settings) if resume_path is None else resumed(ctx, resume_path)
    save_path = first_alone(save_path or resume_path)
    callbacks = [keep(session, save_path, save_every)]
    if print_every:
        callbacks.append(printing(session, print_every, to_stderr=format_ == "json"))
    with interruptible() as caught:
        training_report = trained(
            session,
            devices,
            caught,
            lambda training: [callback(training) for callback in callbacks],
            progress=False if print_every else None,
        )
        saved = save_path if training_report.good else None
        if saved is not None:
            save(training_report.model, saved)
    if in_any_process(caught):
        click.echo(interruption(training_report, saved), err=True)
        return 128 + caught[0]

    result = training_report.to_dict()
    facts = []
    if saved is not None:
        result["saved"] = str(saved)
        facts.append(f"saved to {saved}")
    if folder is not None:
        add_pictures(result, facts, draw(training_report, folder))
    if baseline:
        add_baseline(result, facts, session)
    report = add_check(result, training_report) if check else None
    text = "\n".join([training_report.text(), *([""] if facts else []), *facts])
    if format_ == "json":
        write_json(result, output_file)
    else:
        write(text if report is None else together(text, report), output_file)
    if training_report.training.diverged_at is not None:
        click.echo(divergence(training_report, saved), err=True)
        return 1
    return 0 if report is None or report.ok else 1


def resumed(ctx: click.Context, path: Path) -> Session:
    """Return the session that continues a saved training; its settings cannot be changed."""
    from verify.cli.training_session import KEPT, resume
    from verify.course.model_files import load

    given = {
        param.name: param.opts[0]
        for param in ctx.command.params
        if param.name is not None
        and ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE
    }
    for name in KEPT:
        if name in given:
            raise ValueError(
                f"{given[name]}: got a value with --resume, expected none: the model has its own"
            )
    iterations = ctx.params["iterations"] if "iterations" in given else None
    return resume(load(path), path, iterations)


def printing(session: Session, every: int, *, to_stderr: bool) -> Callable[[Training], None]:
    """Return a callback that prints the costs that are recorded since it was last called.

    Raises ValueError if costs are not recorded at multiples of `every`.
    """
    recorded = session.settings["every"]
    if every % recorded:
        raise ValueError(
            f"print-costs: got {every}, expected a multiple of {recorded}, the iterations from "
            "one recorded cost to the next"
        )
    first = -(-session.start // recorded)
    printed = 0

    def show(training: Training) -> None:
        nonlocal printed
        for index in range(printed, len(training.costs)):
            iteration = (first + index) * recorded
            if iteration % every == 0:
                click.echo(
                    f"iteration {iteration}: cost {training.costs[index]:.6f}", err=to_stderr
                )
        printed = len(training.costs)

    return show


def trained(
    session: Session,
    devices: int | None,
    caught: list[int],
    callback: Callable[[Training], Any],
    *,
    progress: bool | None = None,
) -> TrainingReport:
    """Train until the end, or until a signal is caught, and report the result."""
    from verify.cli.training_report import report_training
    from verify.cli.training_session import model_of, run

    mesh = mesh_from(devices, session.settings["backend"])
    began = perf_counter()
    training = run(
        session,
        mesh=mesh,
        stop=lambda: in_any_process(caught),
        callback=callback,
        progress=progress,
    )
    return report_training(session, training, model_of(session, training), perf_counter() - began)


def swept(
    settings: Mapping[str, Any],
    devices: int | None,
    sizes: Sequence[int],
    folder: Path | None,
    baseline: bool,
    format_: str,
    output_file: Path | None,
) -> int:
    """Train one hidden layer of each size; compare them."""
    from verify.cli.training_report import draw_sweep, sweep_text
    from verify.cli.training_session import begin
    from verify.course.training import interruptible

    if not sizes:
        raise ValueError("sweep: got no sizes, expected at least one, as in 1,2,3")
    sessions = {size: begin({**settings, "layers": (size,)}) for size in sizes}
    reports = {}
    with interruptible() as caught:
        for size, session in sessions.items():
            reports[size] = trained(session, devices, caught, lambda training: None)
            if in_any_process(caught):
                click.echo(interruption(reports[size], None), err=True)
                return 128 + caught[0]

    result: dict[str, Any] = {
        "sweep": [{"hidden_units": size, **each.to_dict()} for size, each in reports.items()]
    }
    facts: list[str] = []
    if folder is not None:
        add_pictures(result, facts, draw_sweep(reports, folder))
    if baseline:
        add_baseline(result, facts, sessions[sizes[0]])
    if format_ == "json":
        write_json(result, output_file)
    else:
        write("\n".join([sweep_text(reports), *([""] if facts else []), *facts]), output_file)
    diverged = [each for each in reports.values() if each.training.diverged_at is not None]
    for each in diverged:
        click.echo(divergence(each, None), err=True)
    return 1 if diverged else 0


def add_pictures(result: dict[str, Any], facts: list[str], paths: Sequence[Path]) -> None:
    """Add the paths of the pictures."""
    result["pictures"] = [str(path) for path in paths]
    facts.append(f"drawn: {', '.join(result['pictures'])}")


def add_baseline(result: dict[str, Any], facts: list[str], session: Session) -> None:
    """Add the accuracy of logistic regression on the same data."""
    from verify.cli.training_report import accuracy, parts
    from verify.course.scores import logistic_regression, score

    names, Xs, labels = zip(*parts(session.dataset, session.problem.m), strict=True)
    strength, predicted = logistic_regression(Xs[0], labels[0], Xs[1:])
    classes = len(session.dataset.classes)
    scores = {
        name: score(*each, classes)
        for name, each in zip(names, zip(predicted, labels, strict=True), strict=True)
    }
    result["baseline"] = {name: scored.to_dict() for name, scored in scores.items()}
    result["baseline"]["C"] = strength
    for each in scores.items():
        only = each[1].only
        one = "" if only is None else f"; it answers {session.dataset.classes[only]} to all"
        facts.append(f"LogisticRegressionCV, C = {strength:.3g}: {accuracy(*each)}{one}")


def add_check(result: dict[str, Any], training_report: TrainingReport) -> Report:
    """Check the trained parameters three ways; add the report, and return it."""
    from verify.network import three_way

    session = training_report.session
    problem = session.problem.with_params(training_report.training.params)
    settings = dict(session.settings)
    report = sampled(three_way(problem, seed=settings["seed"]), settings)
    result["check"] = report.to_dict()
    return report


def together(text: str, report: Report) -> Any:
    """Return what prints as the text and then the report."""
    from rich.console import Group
    from rich.text import Text

    return Group(Text(text), Text(), report)


def interruption(training_report: TrainingReport, saved: Path | None) -> str:
    """Return where a training was stopped, and how to continue it."""
    where = (
        f"{training_report.training.iteration} of {training_report.session.settings['iterations']}"
    )
    if saved is None:
        return f"Interrupted at iteration {where}; nothing was saved."
    return (
        f"Interrupted at iteration {where}; saved to {saved}, and "
        f"backproof train --resume {saved} continues."
    )


def divergence(training_report: TrainingReport, saved: Path | None) -> str:
    """Return from which iteration the loss was not finite, and which model was kept."""
    training, rate = training_report.training, training_report.session.settings["learning_rate"]
    at = training.diverged_at
    if training.iteration == at:
        return f"Diverged: the loss is not finite at iteration {at}, before any step."
    kept = f"is in {saved}" if saved is not None else "is the last good one"
    return (
        f"Diverged: the loss is not finite from iteration {at} on, so the learning rate "
        f"{rate:g} is too large; the model of iteration {training.iteration} {kept}."
    )
