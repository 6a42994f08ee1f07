"""Random problems with one entry of one gradient off by 1e-3 to 1 of itself.

Where extended precision calls it a mistake, it may agree only if the error is within the
resolution that the report states.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from field import oracle
from soak import ARCHITECTURES, architectures, draw_problem

import manual
from verify import Problem, Report, compare, three_way

from . import Outcome, outcome

COUNT = 1000
SMALLEST = 1e-3


def outcomes(count: int, seed: int) -> Iterator[Outcome]:
    """Judge `count` random problems by both checks."""
    shapes = architectures(seed)
    for number in range(count):
        rng = np.random.default_rng([seed, number, 1])
        kind, problem = draw_problem(shapes[number % ARCHITECTURES], rng)
        yield from _judged(f"problem {number}, {kind}", problem, rng)


def _judged(where: str, problem: Problem, rng: np.random.Generator) -> Iterator[Outcome]:
    loss, right = manual.loss_and_grads(*problem.arguments, **problem.options)
    if not np.isfinite(loss) or not any(g.any() for g in right.values()):
        return
    name = str(rng.choice([name for name, g in right.items() if g.any()]))
    entry = int(rng.choice(np.flatnonzero(right[name])))
    factor = 1 + rng.choice((-1, 1)) * SMALLEST ** rng.uniform()
    exact = oracle.exact_entries(problem, {name: np.array([entry])})[name][0]
    correct = [grads[name].reshape(-1)[entry] for grads in oracle.reordered(problem)]
    rounding = max(np.finfo(problem.dtype).eps * abs(exact), np.abs(correct - exact).max())
    off = abs(right[name].reshape(-1)[entry] * factor - exact)
    if off <= oracle.FACTOR * rounding:
        return

    def grads(params, *_, **__):
        _, found = manual.loss_and_grads(params, *problem.arguments[1:], **problem.options)
        found[name] = found[name].copy()
        found[name].reshape(-1)[entry] *= found[name].dtype.type(factor)
        return found

    def value(params):
        return manual.loss(params, *problem.arguments[1:], **problem.options)

    where = f"{where}, {name}[{entry}] times {factor:.4g}"
    for way, report in (
        ("three_way", three_way(problem, grads=grads)),
        ("compare", compare(value, grads, dict(problem.params))),
    ):
        allowed = ("disagree", "undecided", *(["agree"] if _within(report, name, off) else []))
        yield outcome(f"one entry off, {way}", report, allowed, where)


def _within(report: Report, name: str, off: float) -> bool:
    """Return whether an error is within the resolution that a report states."""
    (tensor,) = (tensor for tensor in report.tensors if tensor.name == name)
    return bool(off <= tensor.resolution.entry * tensor.resolution.size)
