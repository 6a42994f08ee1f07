"""The result of a training as text, as plain data, as pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import manual
from verify.course.scores import Score, score, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from verify.cli.training_session import Session
    from verify.course.datasets import Dataset
    from verify.course.model_files import Model
    from verify.course.training import Training

METHODS = {
    ("manual", "loop"): "NumPy, by hand",
    ("manual", "span"): "NumPy, by hand, the first layer in the span of the data",
    ("autodiff", "loop"): "JAX",
    ("autodiff", "span"): "JAX, the first layer in the span of the data",
}
"""Each backend and strategy in words."""


Part = tuple[str, np.ndarray, np.ndarray]
"""A part of a data set: its name, X and labels."""


def parts(dataset: Dataset, m: int | None = None) -> Iterator[Part]:
    """Yield the (first m) examples that a data set has to train on, and those to test on."""
    yield "train", dataset.X[:, :m], dataset.labels[:m]
    if dataset.X_test is not None and dataset.labels_test is not None:
        yield "test", dataset.X_test, dataset.labels_test


@dataclass(frozen=True, eq=False)
class TrainingReport:
    """A training that has run, its model, and the accuracy of that."""

    session: Session
    training: Training
    model: Model
    seconds: float
    scores: Mapping[str, Score]

    @property
    def good(self) -> bool:
        """Whether there are parameters of finite loss."""
        return self.training.iteration != self.training.diverged_at

    @property
    def method(self) -> str:
        """How the steps were taken, in words."""
        method = METHODS[self.session.settings["backend"], self.training.strategy]
        devices = self.training.devices
        return method if devices == 1 else f"{method}, on {devices} devices"

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data; numbers that are not finite are None."""
        from verify.report import finite

        model, settings = self.model, self.session.settings
        data: dict[str, Any] = finite(
            {
                "data": model.data,
                "layers": list(model.layers),
                "settings": {**settings, "strategy": self.training.strategy},
                "iterations": self.training.iteration,
                "cost": self.training.cost,
                "costs": [
                    {"iteration": index * settings["every"], "cost": float(cost)}
                    for index, cost in enumerate(model.costs)
                ],
                "devices": self.training.devices,
                "diverged_at": self.training.diverged_at,
                "seconds": self.seconds,
                **{part: scored.to_dict() for part, scored in self.scores.items()},
            }
        )
        return data

    def text(self) -> str:
        """Return the report as text: what was trained and how, then a table for each part."""
        model, problem = self.model, self.session.problem
        taken = self.training.iteration - self.session.start
        network = "-".join(map(str, model.layers))
        activations = ", ".join([*dict.fromkeys(model.hidden), model.output])
        first = f"cost {model.costs[0]:.6f} at the start, " if len(model.costs) else "cost "
        lines = [
            f"{model.data}: {self.session.m} examples; network {network} ({activations}), "
            f"{problem.dtype}",
            f"{self.method}: {taken} iterations in {self.seconds:.2f} s"
            + (f", {self.training.iteration} in all" if self.session.start else ""),
            f"{first}{model.cost:.6f} at the end",
        ]
        for part, scored in self.scores.items():
            lines += ["", accuracy(part, scored), table(scored, model.classes)]
        for part, scored in self.scores.items():
            if scored.only is not None:
                lines += ["", f"It answers {model.classes[scored.only]} to all of {part}."]
        return "\n".join(lines)


def report_training(
    session: Session, training: Training, model: Model, seconds: float
) -> TrainingReport:
    """Return the report of a training, its model scored on the training and the test examples."""
    dataset, problem = session.dataset, session.problem
    classes, stored = len(model.classes), session.stored
    if stored is not None:
        scores = {"train": score(stored.predicted(model.predict), stored.labels, classes)}
    else:
        scores = {
            part: score(model.predict(X), labels, classes)
            for part, X, labels in parts(dataset, problem.m)
        }
    return TrainingReport(session, training, model, seconds, scores)


def accuracy(part: str, scored: Score) -> str:
    """Return one line: the accuracy and the counts."""
    return f"{part} accuracy {scored.accuracy:.4f} ({scored.right} of {scored.count})"


def draw(report: TrainingReport, folder: Path) -> list[Path]:
    """Draw the cost curve and whatever else the data allow; return the paths."""
    from verify.show import plots

    session, model = report.session, report.model
    dataset, every = session.dataset, session.settings["every"]
    title = f"Cost during training, learning rate {session.settings['learning_rate']:g}"
    figures = {"cost": plots.cost_curve(*curve(model, every), title=title)}
    if model.features == 2:
        m = session.problem.m
        figures["boundary"] = plots.decision_boundary(
            network(model), dataset.X[:, :m], dataset.labels[:m], model.classes
        )
    if model.image_shape is not None:
        part, X, labels = list(parts(dataset))[-1]
        figures["mislabelled"] = mislabelled(model, X, labels, part)
    return [plots.save(figure, folder / f"{name}.png") for name, figure in figures.items()]


def curve(model: Model, every: int) -> tuple[list[int], list[float]]:
    """Return the iterations whose costs are known, and the costs."""
    recorded = range(0, len(model.costs) * every, every)
    return [*recorded, model.iteration], [*map(float, model.costs), model.cost]


def network(model: Model) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function from X to the output AL that the plots take."""
    return lambda X: manual.forward(model.params, X, hidden=model.hidden, output=model.output)[0]


def mislabelled(model: Model, X: np.ndarray, labels: np.ndarray, part: str) -> Figure:
    """Draw the pictures among X (features, m) that a model got wrong."""
    from verify.show import plots

    predicted = model.predict(X)
    wrong = np.flatnonzero(predicted != labels)
    return plots.mislabelled(
        [X[:, example].reshape(model.image_shape) for example in wrong],
        [model.classes[labels[example]] for example in wrong],
        [model.classes[predicted[example]] for example in wrong],
        title=f"{len(wrong)} of {len(labels)} {part} images mislabelled",
    )


def sweep_text(reports: Mapping[int, TrainingReport]) -> str:
    """Return several sizes of one hidden layer as text, a row each."""
    first = next(iter(reports.values()))
    parts = list(first.scores)
    problem, settings = first.session.problem, first.session.settings
    heading = ("hidden units", "cost", *(f"{part} accuracy" for part in parts))
    rows = [
        (
            str(size),
            f"{each.model.cost:.6f}",
            *(f"{each.scores[part].accuracy:.4f}" for part in parts),
        )
        for size, each in reports.items()
    ]
    widths = [max(map(len, column)) for column in zip(heading, *rows, strict=True)]
    aligned = (
        "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
        for row in (heading, *rows)
    )
    title = (
        f"{first.model.data}: {problem.m} examples; one hidden layer ({problem.hidden[0]}), "
        f"{settings['iterations']} iterations, learning rate {settings['learning_rate']:g}"
    )
    return "\n".join([title, "", *aligned])


def draw_sweep(reports: Mapping[int, TrainingReport], folder: Path) -> list[Path]:
    """Draw the costs of each size and, for two features, its decision boundary."""
    from verify.show import plots

    session = next(iter(reports.values())).session
    dataset, settings = session.dataset, session.settings
    models = {f"{size} unit{'s' * (size != 1)}": each.model for size, each in reports.items()}
    every = settings["every"]
    figures = {
        "sweep-costs": plots.cost_curves(
            {name: curve(each, every) for name, each in models.items()},
            title=f"Cost during training, learning rate {settings['learning_rate']:g}",
        )
    }
    if dataset.X.shape[0] == 2:
        figures["sweep"] = plots.decision_boundaries(
            {name: network(model) for name, model in models.items()},
            dataset.X,
            dataset.labels,
            dataset.classes,
            title="One hidden layer",
        )
    return [plots.save(figure, folder / f"{name}.png") for name, figure in figures.items()]
