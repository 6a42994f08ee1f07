"""The implementations of a training step: ours, and those of the peers that are installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

import manual
from verify.course.speed.peers import peers_for
from verify.course.speed.timing import Run
from verify.course.speed.workloads import Workload
from verify.problem import Problem

OURS = (
    "manual",
    "manual-span",
    "autodiff-eager",
    "autodiff-numpy",
    "autodiff-jit",
    "autodiff-loop",
    "autodiff-span",
)

SPAN = ("manual-span", "autodiff-span")
"""Those that walk the same descent by another algorithm, in the span of the data."""


def implementations(workload: Workload) -> dict[str, Callable[[], Run]]:
    """Return every installed implementation of this workload's training step.

    Each is a function that prepares it and returns run(n): n steps from the parameters that the
    workload starts with, which returns the new parameters.

    "course" is the reference, the other peers are in `peers`. "manual" and "manual-span" are
    `manual.steps` by either strategy. "autodiff-eager" is JAX's gradient without compilation;
    "autodiff-numpy" is `autodiff.loss_and_grads`, compiled, which takes and returns NumPy arrays
    at every step; "autodiff-jit" is a compiled step whose parameters and data stay on the device;
    "autodiff-loop" and "autodiff-span" are `autodiff.steps`, which compile the loop as well. The
    span is listed only where it would be chosen.
    """
    import autodiff

    problem, rate = workload.problem, workload.learning_rate
    table: dict[str, Callable[[], Run]] = {
        name: partial(peer.prepare, problem, rate) for name, peer in peers_for(problem).items()
    }
    table["manual"] = partial(_manual, problem, rate, "loop")
    table["autodiff-eager"] = partial(_eager, problem, rate)
    table["autodiff-numpy"] = lambda: partial(_from_numpy, problem, rate)
    table["autodiff-jit"] = partial(_jit, problem, rate)
    table["autodiff-loop"] = partial(_autodiff, problem, rate, "loop")
    for name, package, prepare in (("manual", manual, _manual), ("autodiff", autodiff, _autodiff)):
        if package.choose_strategy(problem.layers, problem.m, 1000) == "span":
            table[f"{name}-span"] = partial(prepare, problem, rate, "span")
    return table


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
    return lambda n: package.steps(problem.params, X, Y, problem.masks, n=n, **how)[0]


def _from_numpy(problem: Problem, rate: float, n: int) -> Mapping[str, np.ndarray]:
    import autodiff

    params = problem.params
    for _ in range(n):
        _, grads = autodiff.loss_and_grads(params, *problem.arguments[1:], **problem.options)
        params = manual.descend(params, grads, rate)
    return params


def _eager(problem: Problem, rate: float) -> Run:
    return _on_device(problem, rate, lambda step: step)


def _jit(problem: Problem, rate: float) -> Run:
    import jax

    return _on_device(problem, rate, jax.jit)


def _on_device(problem: Problem, rate: float, compiled: Callable[..., Any]) -> Run:
    """Return run(n): n calls of one step of JAX, of arrays that stay on its device."""
    import jax

    import autodiff
    from autodiff.network import full_precision

    with full_precision():
        start, *data = jax.device_put([dict(problem.params), *problem.arguments[1:]])
        gradient = jax.grad(partial(autodiff.loss, **problem.options))

    @compiled
    def step(params: Any, *data: Any) -> Any:
        return jax.tree.map(lambda p, g: p - rate * g, params, gradient(params, *data))

    def run(n: int) -> Any:
        with full_precision():
            params = start
            for _ in range(n):
                params = step(params, *data)
            return jax.tree.map(lambda value: value.block_until_ready(), params)

    return run
