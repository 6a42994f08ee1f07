"""A training from its settings to its model: begun, or continued where a file left it.

Settings are the options of the command line as plain data; a model file holds them, so that a
training can be continued from nothing else. They name the data set but do not hold it, so its
fingerprint is kept with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from verify.cli.options import problem_from
from verify.course.models import Model, is_model, save
from verify.course.training import Training, train
from verify.masks import mask_schedule
from verify.problem import check_whole

if TYPE_CHECKING:
    from verify.course.datasets import Dataset
    from verify.problem import Problem

KEPT = (
    "data", "layers", "hidden", "output", "init", "l2", "keep_prob", "examples", "dtype", "seed",
    "learning_rate", "backend", "strategy", "every",
)  # fmt: skip
"""The settings that a training keeps from its first iteration to its last."""


@dataclass(frozen=True, eq=False)
class Session:
    """A training that is about to run.

    `problem` is at the parameters of iteration `start`; `costs` were recorded before it.
    """

    settings: Mapping[str, Any]
    dataset: Dataset
    problem: Problem
    start: int
    costs: np.ndarray


def begin(settings: Mapping[str, Any]) -> Session:
    """Return the session of a new training: `KEPT`, and how many `iterations`."""
    dataset, problem = problem_from(dict(settings))
    kept = {name: settings[name] for name in (*KEPT, "iterations")}
    return Session({**kept, "data_sha256": fingerprint(problem)}, dataset, problem, 0, np.empty(0))


def resume(model: Model, path: Path, iterations: int | None) -> Session:
    """Return the session that continues a model's training, by default to its own end.

    Raises ValueError if there is no training in it, if it has come further than `iterations`
    already, or if its data are not what they were.
    """
    settings = dict(model.settings)
    missing = {*KEPT, "iterations", "data_sha256"} - set(settings)
    if missing:
        raise ValueError(f"{path}: a model whose training has no {min(missing)} to continue with")
    if iterations is not None:
        settings["iterations"] = iterations
    check_whole("iterations", settings["iterations"], model.iteration)
    dataset, problem = problem_from(settings)
    if fingerprint(problem) != settings["data_sha256"]:
        raise ValueError(
            f"{path}: trained on {settings['data']} of other contents than it has now; "
            "train anew, or bring the old data back"
        )
    start, params = model.checkpoint
    recorded = model.costs[: -(-start // settings["every"])]
    return Session(settings, dataset, problem.with_params(params), start, recorded)


def run(
    session: Session,
    *,
    stop: Callable[[], bool],
    callback: Callable[[Training], Any] = lambda training: None,
) -> Training:
    """Train, with masks drawn anew for each iteration where there is dropout."""
    settings, problem = session.settings, session.problem
    return train(
        problem,
        learning_rate=settings["learning_rate"],
        iterations=settings["iterations"],
        backend=settings["backend"],
        strategy=settings["strategy"],
        masks=mask_schedule(settings["seed"], problem.layers[1:-1], problem.m, problem.keep_prob),
        start=session.start,
        every=settings["every"],
        callback=callback,
        stop=stop,
    )


def model_of(session: Session, training: Training) -> Model:
    """Return what a training has come to, ready to be saved."""
    from verify.report import versions

    dataset, problem = session.dataset, session.problem
    return Model(
        params=training.params,
        hidden=problem.hidden,
        output=problem.output,
        classes=dataset.classes,
        data=dataset.name,
        iteration=training.iteration,
        cost=training.cost,
        costs=np.concatenate([session.costs, training.costs]),
        checkpoint=training.checkpoint,
        normalisation=dataset.normalisation,
        image_shape=dataset.image_shape,
        settings={**session.settings, "strategy": training.strategy},
        versions=versions(),
    )


def keep(session: Session, path: Path | None, seconds: float) -> Callable[[Training], None]:
    """Return a callback that saves when so many seconds have passed since it last did.

    Raises ValueError if nothing can be, or had better be, written there.
    """
    if path is None:
        return lambda training: None
    if not path.parent.is_dir():
        raise ValueError(f"save: got {path}, but there is no folder {path.parent}")
    if path.exists() and not is_model(path):
        raise ValueError(f"save: {path} is no model, and would be overwritten; name another file")
    last = monotonic()

    def callback(training: Training) -> None:
        nonlocal last
        if monotonic() - last >= seconds:
            save(model_of(session, training), path)
            last = monotonic()

    return callback


def fingerprint(problem: Problem) -> str:
    """Return the SHA-256 of the data that a problem trains on."""
    digest = hashlib.sha256(problem.X.tobytes())
    digest.update(problem.Y.tobytes())
    return digest.hexdigest()
