"""What is timed: four typical networks, and the implementations of a training step."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import manual
from verify.course.problems import build_problem
from verify.course.speed import course_step, torch_step
from verify.course.speed.timing import Run
from verify.problem import Problem


class Workload(NamedTuple):
    """A problem, named, and the learning rate of its steps."""

    name: str
    problem: Problem
    learning_rate: float


def standard_workloads(dtype: str) -> list[Workload]:
    """Return four workloads: cats, football, flower and a wide one, in this dtype.

    Without `BACKPROOF_DATA` the course's pictures and points are replaced by random numbers of
    the same shapes, which take as long.
    """
    from verify.course import datasets

    rng = np.random.default_rng(0)
    flower = build_problem(
        datasets.load("flower"), layers=(4,), hidden="tanh", init=0.01, dtype=dtype
    )
    wide = _random((784, 512, 256, 1), 4096, dtype, rng)
    return [
        Workload("cats", _course_data("cats", (12288, 20, 7, 5, 1), 209, dtype, rng), 0.0075),
        Workload("football", _course_data("football", (2, 20, 3, 1), 211, dtype, rng), 0.3),
        Workload("flower", flower, 1.2),
        Workload("wide", wide, 0.01),
    ]


def _course_data(
    name: str, sizes: tuple[int, ...], m: int, dtype: str, rng: np.random.Generator
) -> Problem:
    """Return a problem of the course's data, or of random numbers of its shape if it is absent."""
    from verify.course import datasets

    try:
        dataset = datasets.load(name)
    except datasets.DataAbsentError:
        return _random(sizes, m, dtype, rng)
    return build_problem(dataset, layers=sizes[1:-1], init="fan-in", dtype=dtype)


def _random(sizes: tuple[int, ...], m: int, dtype: str, rng: np.random.Generator) -> Problem:
    params = manual.initialize(sizes, "fan-in", rng, np.dtype(dtype).type)
    return Problem(params, rng.random((m, sizes[0])).T, rng.random((1, m)) < 0.5)


def implementations(workload: Workload) -> dict[str, Callable[[], Run]]:
    """Return every installed implementation of this workload's training step.

    Each is a function that prepares it and returns run(n): n steps from the parameters that the
    workload starts with.

    "course" is the reference; "manual" and "manual-span" are `manual.steps` by either strategy;
    "autodiff-step" has its gradient compiled and its loop in Python; "autodiff-loop" and
    "autodiff-span" are `autodiff.steps`. The span is listed only where it would be chosen.
    """
    import autodiff

    problem, rate = workload.problem, workload.learning_rate
    plain = problem.output == "sigmoid" and problem.masks is None and problem.l2 == 0
    plain &= course_step.ACTIVATIONS.issuperset(problem.hidden)
    table: dict[str, Callable[[], Run]] = {}
    if plain:
        table["course"] = lambda: _course(problem, rate)
    table["manual"] = lambda: _manual(problem, rate, "loop")
    table["autodiff-step"] = lambda: partial(_one_by_one, problem, rate)
    table["autodiff-loop"] = lambda: _autodiff(problem, rate, "loop")

    for name, package, prepare in (("manual", manual, _manual), ("autodiff", autodiff, _autodiff)):
        if package.choose_strategy(problem.layers, problem.m, 1000) == "span":
            table[f"{name}-span"] = partial(prepare, problem, rate, "span")
    if plain and importlib.util.find_spec("torch"):
        table["torch"] = lambda: torch_step.eager(problem, rate)
        table["torch-compile"] = lambda: torch_step.compiled(problem, rate)
    return table


def _course(problem: Problem, rate: float) -> Run:
    how: dict[str, Any] = {"learning_rate": rate, "hidden": problem.hidden}
    return lambda n: course_step.steps(*problem.arguments[:3], n=n, **how)


def _manual(problem: Problem, rate: float, strategy: str) -> Run:
    return _bound(manual, problem.X, problem.Y, problem, rate, strategy)


def _autodiff(problem: Problem, rate: float, strategy: str) -> Run:
    """Hold the data on the device, as a training run does, and step from there."""
    import autodiff

    X, Y = autodiff.on_device(problem.X), autodiff.on_device(problem.Y)
    return _bound(autodiff, X, Y, problem, rate, strategy)


def _bound(package: Any, X: Any, Y: Any, problem: Problem, rate: float, strategy: str) -> Run:
    """Bind a package's `steps` to data that are multiplied out once, as in a training run."""
    gram = package.span_descent.gram(X) if strategy == "span" else None
    how = problem.options | {"learning_rate": rate, "strategy": strategy, "gram": gram}
    return lambda n: package.steps(problem.params, X, Y, problem.masks, n=n, **how)


def _one_by_one(problem: Problem, rate: float, n: int) -> Mapping[str, np.ndarray]:
    import autodiff

    params = problem.params
    for _ in range(n):
        _, grads = autodiff.loss_and_grads(params, *problem.arguments[1:], **problem.options)
        params = manual.descend(params, grads, rate)
    return params
