"""The course's two comparisons as pictures: by initialisation, and by regularisation.

Each trains three of the printed figures again, and draws their decision boundaries and costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import manual
from verify.course.datasets import load
from verify.course.reproduce.printed_figures import load_figures
from verify.course.reproduce.trainings import problem_of, train
from verify.problem import Problem
from verify.show import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture


class Series(NamedTuple):
    """Printed figures to compare, under the labels that they have in a picture."""

    labels: Mapping[str, str]
    boundaries_title: str
    costs_title: str


COMPARISONS = {
    "initialisation": Series(
        {"init-zeros": "zeros", "init-large": "large: normal × 10", "init-he": "He"},
        "Zeros learn nothing, large weights little, He's initialisation the disc",
        "Cost by initialisation",
    ),
    "regularisation": Series(
        {
            "reg-none": "no regularisation",
            "reg-l2": "L2, λ = 0.7",
            "reg-dropout": "dropout, keep_prob = 0.86",
        },
        "L2 and dropout smooth a boundary that follows single points",
        "Cost by regularisation",
    ),
}
"""Every comparison by its name."""


def draw_comparison(name: str) -> dict[str, Picture]:
    """Train the figures of a comparison; return its pictures by the names of their files.

    Raises DataAbsentError if it needs a data file that is not there.
    """
    series = COMPARISONS[name]
    figures = {figure["id"]: figure for figure in load_figures() if figure["id"] in series.labels}
    dataset = load(next(iter(figures.values()))["data"])
    networks, curves = {}, {}
    for id_, label in series.labels.items():
        figure = figures[id_]
        problem, costs = train(problem_of(figure, dataset), figure, iterations=figure["iterations"])
        networks[label] = network(problem)
        curves[label] = (range(0, figure["iterations"], figure["record_every"]), costs)
    return {
        name: plots.decision_boundaries(
            networks, dataset.X, dataset.labels, dataset.classes, title=series.boundaries_title
        ),
        f"{name}-costs": plots.cost_curves(curves, title=series.costs_title),
    }


def network(problem: Problem) -> plots.Network:
    """Return the function from X to AL at a problem's parameters."""
    return lambda X: manual.forward(
        problem.params, X, hidden=problem.hidden, output=problem.output
    )[0]
