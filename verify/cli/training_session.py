"""A training from its settings to its model: a new one, or the continuation of a saved one.

Settings are the options of the command line as plain data. A model file has them, so that it is
all that a continuation needs. They name the data set but do not contain it, so its fingerprint is
saved with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from verify.cli.options import problem_from, stored_from
from verify.course.model_files import Model, is_model, save
from verify.course.training import Training, train
from verify.masks import mask_schedule
from verify.problem import check_whole

if TYPE_CHECKING:
    from jax.sharding import Mesh

    from verify.course.datasets import Dataset
    from verify.course.stored import Stored
    from verify.problem import Problem

KEPT = (
    "data", "layers", "hidden", "output", "init", "l2", "keep_prob", "examples", "sample", "dtype",
    "seed",
    "learning_rate", "backend", "strategy", "every",
)  # fmt: skip
"""The settings that do not change during a training."""


@dataclass(frozen=True, eq=False)
class Session:
    """A training that is about to run.

    `problem` is at the parameters of iteration `start`; `costs` were recorded before it. Where the
    data are `stored`, `dataset` and `problem` hold a sample of them.
    """

    settings: Mapping[str, Any]
    dataset: Dataset
    problem: Problem
    start: int
    costs: np.ndarray
    stored: Stored | None = None

    @property
    def m(self) -> int:
        """The number of examples that are trained on."""
        return self.problem.m if self.stored is None else self.stored.m


def begin(settings: Mapping[str, Any]) -> Session:
    """Return the session of a new training: `KEPT`, and how many `iterations`."""
    dataset, problem = problem_from(dict(settings))
    kept = {name: settings[name] for name in (*KEPT, "iterations")}
    stored = stored_from(dict(settings))
    kept["data_sha256"] = fingerprint(problem, stored)
    return Session(kept, dataset, problem, 0, np.empty(0), stored)


def resume(model: Model, path: Path, iterations: int | None) -> Session:
    """Return the session that continues a model's training, by default to the end it had.

    Raises ValueError if the model has no training to continue, if it is past `iterations`
    already, or if its data have changed.
    """
    settings = {"sample": None, **model.settings}  # models of before it have none
    missing = {*KEPT, "iterations", "data_sha256"} - set(settings)
    if missing:
        raise ValueError(
            f"{path}: got a model without the setting {min(missing)}, expected one to continue"
        )
    if iterations is not None:
        settings["iterations"] = iterations
    check_whole("iterations", settings["iterations"], model.iteration)
    dataset, problem = problem_from(settings)
    stored = stored_from(settings)
    if fingerprint(problem, stored) != settings["data_sha256"]:
        raise ValueError(
            f"{path}: got a model of other data than {settings['data']} has now, "
            "expected the same; restore the old data, or train again"
        )
    start, params = model.checkpoint
    recorded = model.costs[: -(-start // settings["every"])]
    return Session(settings, dataset, problem.with_params(params), start, recorded, stored)


def run(
    session: Session,
    *,
    mesh: Mesh | None,
    stop: Callable[[], bool],
    callback: Callable[[Training], Any] = lambda training: None,
    progress: bool | None = None,
) -> Training:
    """Train, with new masks for each iteration if there is dropout."""
    settings, problem = session.settings, session.problem
    return train(
        problem,
        learning_rate=settings["learning_rate"],
        iterations=settings["iterations"],
        backend=settings["backend"],
        strategy=settings["strategy"],
        masks=mask_schedule(settings["seed"], problem.layers[1:-1], session.m, problem.keep_prob),
        mesh=mesh,
        examples=session.stored,
        start=session.start,
        every=settings["every"],
        callback=callback,
        stop=stop,
        progress=progress,
    )


def model_of(session: Session, training: Training) -> Model:
    """Return the model of a training, ready to be saved."""
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
    """Return a callback that saves the model every so many seconds.

    Raises ValueError if the file cannot be written, or is something else than a model.
    """
    if path is None:
        return lambda training: None
    if not path.parent.is_dir():
        raise ValueError(f"save: got {path}, expected a file in a folder that exists")
    if path.exists() and not is_model(path):
        raise ValueError(f"save: got {path}, which is not a model, expected a model or a new file")
    last = monotonic()

    def callback(training: Training) -> None:
        nonlocal last
        if monotonic() - last >= seconds:
            save(model_of(session, training), path)
            last = monotonic()

    return callback


def fingerprint(problem: Problem, stored: Stored | None) -> str:
    """Return the SHA-256 of the data that a problem trains on."""
    if stored is not None:
        return stored.fingerprint()
    digest = hashlib.sha256(problem.X.tobytes())
    digest.update(problem.Y.tobytes())
    return digest.hexdigest()
