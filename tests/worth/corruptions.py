"""The field test's right gradients, right and with one tensor corrupted, by both checks.

A corrupted gradient may not agree wherever the oracle calls it a mistake, and at ordinary scale it
must disagree. A right one may not disagree, and must agree at ordinary scale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from field import cases, oracle

import manual
from verify import Problem, compare
from verify.evidence.built_in_network import call_witnesses, evidence_on
from verify.verdict import decide

from . import Outcome, outcome

Grads = dict[str, np.ndarray]


def without_largest(g: np.ndarray) -> np.ndarray:
    """Return a gradient with its largest entry zeroed."""
    wrong = g.copy()
    wrong.reshape(-1)[np.argmax(np.abs(g))] = 0
    return wrong


CORRUPTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "zeroed": lambda g: 0 * g,
    "doubled": lambda g: 2 * g,
    "negated": lambda g: -g,
    "times 1.1": lambda g: g * g.dtype.type(1.1),
    "largest entry zeroed": without_largest,
}
DTYPES = (np.float64, np.float32)
ORDINARY, HARD = "ordinary", "hard"


def problems() -> list[tuple[str, str, Problem]]:
    """Return the field test's problems with a right gradient: how hard, its name, the problem."""
    ordinary = [
        (ORDINARY, place, cases.make_problem(**options, seed=100 + number))
        for number, (place, options) in enumerate(cases.PLACES.items())
    ]
    hard = [(HARD, case.name, case.problem) for case in cases.hard()]
    return [*ordinary, *hard]


def outcomes(count: int | None, seed: int) -> Iterator[Outcome]:
    """Judge right and corrupted gradients of `count` problems, all by default."""
    drawn = problems()
    rng = np.random.default_rng(seed)
    order = np.arange(len(drawn)) if count is None else rng.permutation(len(drawn))[:count]
    for number in order:
        hardness, name, problem = drawn[number]
        for dtype in DTYPES if problem.dtype == np.float64 else (problem.dtype,):
            yield from _judged(hardness, name, problem.astype(dtype), rng)


def _judged(
    hardness: str, name: str, problem: Problem, rng: np.random.Generator
) -> Iterator[Outcome]:
    exact = oracle.exact_gradients(problem)
    errors = oracle.rounding(problem, exact)
    witnesses = call_witnesses(problem, finite_difference="exhaustive")
    loss, right = manual.loss_and_grads(*problem.arguments, **problem.options)
    where = f"{name}, {problem.dtype}"

    def value(params: Grads) -> float:
        return manual.loss(params, *problem.arguments[1:], **problem.options)

    def grads_at(params: Grads) -> Grads:
        return manual.loss_and_grads(params, *problem.arguments[1:], **problem.options)[1]

    def corrupted(tensor: str, corruption: str) -> Callable[[Grads], Grads]:
        def grads(params: Grads) -> Grads:
            found = grads_at(params)
            return found | {tensor: CORRUPTIONS[corruption](found[tensor])}

        return grads

    allowed = ("agree",) if hardness == ORDINARY else ("agree", "undecided")
    report = decide({"": evidence_on(witnesses, float(loss), right)})
    yield outcome(f"right, {hardness}, three_way", report, allowed, where)
    report = compare(value, grads_at, dict(problem.params))
    yield outcome(f"right, {hardness}, compare", report, allowed, where)

    allowed = ("disagree",) if hardness == ORDINARY else ("disagree", "undecided")
    sampled = str(rng.choice(list(right)))
    for tensor, g in right.items():
        for corruption, change in CORRUPTIONS.items():
            off = np.abs(change(g) - exact[tensor])
            if not (off > oracle.FACTOR * errors[tensor]).any():
                continue
            here = f"{where}, {tensor} {corruption}"
            wrong = {**right, tensor: change(g)}
            report = decide({"": evidence_on(witnesses, float(loss), wrong)})
            yield outcome(f"corrupted, {hardness}, three_way", report, allowed, here)
            if tensor == sampled:
                report = compare(value, corrupted(tensor, corruption), dict(problem.params))
                yield outcome(f"corrupted, {hardness}, compare", report, allowed, here)
