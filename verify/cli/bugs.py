"""`backproof bugs`: plant every bug of the gallery, and report what the check finds."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from verify.cli.options import problem_from, problem_options
from verify.cli.output import output_options, write, write_json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from verify.diagnose.mistakes import Fault
    from verify.gallery import Gallery, Outcome, Place
    from verify.problem import Problem

NUMBERS_SHOWN = 4
"""Entries of each gradient that `--show` prints."""


@click.command("bugs")
@problem_options(l2=0.7, keep_prob=0.8)
@click.option("--show", metavar="ID", help="Explain this bug, with numbers.")
@click.option(
    "--layer", type=int, metavar="N", help="Plant in this layer only; by default in every layer."
)
@output_options("table", "json")
def command(
    show: str | None,
    layer: int | None,
    format_: str,
    output_file: Path | None,
    **options: Any,
) -> int:
    """Plant each bug of the gallery, and show whether the check finds and names it.

    Biases are drawn at random, so that a wrong penalty on them shows. Exit status 0 if every bug
    is caught in its layer and by its name, else 1.
    """
    from verify.diagnose import right_chain
    from verify.diagnose.wrong_losses import cost
    from verify.evidence.built_in_network import call_witnesses
    from verify.gallery import BUGS, fill_gallery, outcomes, summary, with_biases

    if show is not None:
        check_id(show)
    _, problem = problem_from(options)
    problem = with_biases(problem, options["seed"])
    right = right_chain(problem)
    if layer is not None and layer not in right.tape.layers:
        raise ValueError(f"layer: got {layer}, expected 1 to {right.tape.L}")
    layers = right.tape.layers if layer is None else [layer]
    if show is not None and not BUGS[show].fits(right.tape, layers):
        raise ValueError(f"show: got {show}, expected a bug that can be written in this network")
    witnesses = call_witnesses(problem, seed=options["seed"])
    if witnesses.rounding is None:
        raise ValueError("data: got a problem whose loss is not finite, expected a finite loss")
    gallery = fill_gallery(problem, witnesses.rounding.bars, layers)
    places = gallery.places if show is None else chosen(gallery, show)
    results = list(
        progress(outcomes(problem, witnesses, cost(right.tape), places), total=len(places))
    )
    found = summary(results, gallery.left_out if show is None else {})
    if format_ == "json":
        write_json(found, output_file)
    elif show is None:
        write(overview(problem, results, found), output_file)
    else:
        write(explanation(problem, places, results), output_file)
    counts = ("caught", "layer_right", "named_right")
    return 0 if found["total"] and all(found[c] == found["total"] for c in counts) else 1


def check_id(name: str) -> None:
    """Raise ValueError, with the ids that contain it or the nearest, if no bug has this name."""
    from verify.gallery import BUGS

    if name not in BUGS:
        near = [bug for bug in BUGS if name and name in bug]
        near = near or difflib.get_close_matches(name, BUGS, n=1, cutoff=0)
        raise ValueError(
            f"show: got {name!r}, expected an id that `backproof bugs` lists, such as "
            f"{', '.join(near)}"
        )


def chosen(gallery: Gallery, name: str) -> Sequence[Place]:
    """Return the places of one bug, or raise ValueError with the reason that it has none."""
    places = [place for place in gallery.places if place.bug.id == name]
    if not places:
        raise ValueError(
            f"show: got {name}, expected a bug that shows here: it {gallery.left_out[name].why}"
        )
    return places


def progress(results: Iterable[Outcome], total: int) -> Iterable[Outcome]:
    """Yield the results, with a progress bar on stderr if that is a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(
        results,
        "Planting",
        total=total,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def overview(problem: Problem, results: Sequence[Outcome], found: dict[str, Any]) -> RenderableType:
    """Return the table of the gallery: one row a bug."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    for heading in ("bug", "planted in", "caught", "layer", "named", "what it is"):
        table.add_column(heading, no_wrap=heading in ("bug", "planted in"))
    for bug in found["bugs"]:
        marks = [
            Text("yes") if bug[key] else Text("NO", style="bold red")
            for key in ("caught", "layer_right", "named_right")
        ]
        table.add_row(bug["id"], _layers(bug["layers"]), *marks, Text(bug["sentence"]))
    parts: list[RenderableType] = [table]
    for outcome in results:
        if not (outcome.caught and outcome.named_right):
            said = "; ".join(f"{f.bug} in {f.tensor}" for f in outcome.findings) or "nothing"
            parts.append(
                Text(f"{outcome.bug} in layer {outcome.layer} was reported as: {said}", "red")
            )
    if found["left_out"]:
        parts.append(
            Text("Not planted, because they cannot be told apart on this problem:", "bold")
        )
        for why in dict.fromkeys(one["why"] for one in found["left_out"]):
            ids = ", ".join(one["id"] for one in found["left_out"] if one["why"] == why)
            parts.append(Text(f"  {why}: {ids}"))
    total = found["total"]
    parts.append(
        Text(
            f"{total} bugs in {len(results)} places of a network of "
            f"{' × '.join(map(str, problem.layers))} units, {problem.m} examples: "
            f"caught {found['caught']}, layer right {found['layer_right']}, "
            f"named right {found['named_right']}.",
            "bold",
        )
    )
    return Group(*parts)


def explanation(
    problem: Problem, places: Sequence[Place], results: Sequence[Outcome]
) -> RenderableType:
    """Return one bug in words, formulas and numbers, in the highest of its layers."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    from verify.diagnose import right_chain
    from verify.diagnose.formulas import expected

    tape, fault, outcome = right_chain(problem).tape, places[-1].fault, results[-1]
    names = fault.names(tape)
    right = expected(fault.operation, fault.layer == tape.L)
    layers = sorted({place.fault.layer for place in places} - {fault.layer})
    elsewhere = f" (--layer for {', '.join(map(str, layers))})" if layers else ""
    said = [
        Text.assemble((f"{finding.tensor}: {finding.bug}. ", "bold"), finding.detail)
        for finding in outcome.findings
    ]
    return Group(
        Text(fault.bug, "bold"),
        Text(fault.sentence.format_map(names)),
        Text(f"  wrong  {fault.found.format_map(names)}"),
        Text(f"  right  {right.format_map(names)}"),
        Text(f"\nPlanted in layer {fault.layer}{elsewhere}, it changes the gradients:"),
        _spoiled(problem, fault),
        Text(f"\nThe check {'disagrees:' if outcome.caught else 'AGREES.'}"),
        *(Padding(line, (0, 0, 0, 2)) for line in said),
    )


def _spoiled(problem: Problem, fault: Fault) -> RenderableType:
    """Return the table of the gradients that a mistake changes, with their worst entries."""
    from rich.table import Table

    from verify.gallery import plant

    right, wrong = plant(problem, [])[0], plant(problem, [fault])[0]
    table = Table(
        box=None, pad_edge=False, header_style="bold", padding=(0, 2), caption_justify="left"
    )
    for heading in ("gradient", "relative difference", "entry", "right", "with the bug", "ratio"):
        table.add_column(heading, justify="left" if heading in ("gradient", "entry") else "right")
    same = [name for name in right if np.array_equal(right[name], wrong[name])]
    for name in right:
        if name not in same:
            for row in _rows(f"d{name}", right[name], wrong[name]):
                table.add_row(*row)
    if same:
        table.caption = f"unchanged: {', '.join(f'd{name}' for name in same)}"
    return table


def _rows(name: str, right: np.ndarray, wrong: np.ndarray) -> Iterable[tuple[str, ...]]:
    """Yield the rows of one gradient: its relative difference, and its worst entries."""
    gap = np.linalg.norm(wrong - right) / (np.linalg.norm(wrong) + np.linalg.norm(right))
    heads = [name, f"{gap:.1e}"]
    for flat in np.argsort(-np.abs(wrong - right), axis=None)[:NUMBERS_SHOWN]:
        row, column = (int(i) for i in np.unravel_index(flat, right.shape))
        a, b = right[row, column], wrong[row, column]
        yield (*heads, f"[{row}, {column}]", f"{a:.6g}", f"{b:.6g}", f"{b / a:.6g}" if a else "")
        heads = ["", ""]


def _layers(layers: Sequence[int]) -> str:
    """Return layers as a range if they are consecutive."""
    if len(layers) == 1:
        return f"layer {layers[0]}"
    if list(layers) == list(range(layers[0], layers[-1] + 1)):
        return f"layers {layers[0]} to {layers[-1]}"
    return f"layers {', '.join(map(str, layers))}"
