"""Which statements of a pass ran while it was judged: what did not run, was not judged."""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence

from verify.homework.passes.case import Case
from verify.homework.passes.experiment import cotangent_name
from verify.homework.passes.guards import outcome_of
from verify.homework.passes.measure import Measurement
from verify.homework.passes.states import in_other_states
from verify.homework.passes.verdicts import Outcome
from verify.homework.read.discover import Candidate
from verify.homework.read.extract import Extract
from verify.homework.run.door import Door, Recipe

Unrun = Sequence[tuple[int | None, ast.stmt]]


def statements_of(found: Extract, candidate: Candidate) -> Unrun:
    """Return what a pass computes, statement by statement, each with its cell."""
    statement = found.statement_of(candidate.owner or candidate.function)
    cell = statement.cell if statement is not None else None
    return [
        (cell, part)
        for part in ast.walk(candidate.node)
        if isinstance(part, ast.Assign | ast.AugAssign | ast.Return)
        and part.value is not None
        and not isinstance(part.value, ast.Name | ast.Constant | ast.Attribute)
        and getattr(getattr(part.value, "func", None), "attr", "") not in _CONVERSIONS
    ]


_CONVERSIONS = frozenset("astype copy reshape ravel flatten array asarray atleast_2d".split())
"""Calls that compute nothing."""


def still_unrun(case: Case, unrun: Unrun, outcomes: Sequence[Outcome]) -> Unrun:
    """Return the statements that do not run in any of these experiments either."""
    for outcome in outcomes:
        if not unrun:
            break
        ran = lines_of(case.door, outcome)
        case.lines |= ran if outcome.agrees else set()
        unrun = not_among(ran, unrun)
    return unrun


def lines_of(door: Door, outcome: Outcome) -> set[tuple[int | None, int]]:
    """Return the lines of the file, each with its cell, that run in an experiment."""
    experiment, measurement = outcome.experiment, outcome.measurement
    if not isinstance(measurement, Measurement):
        return set()
    drawn = {cotangent_name(i): c for i, c in enumerate(measurement.cotangents[0])}
    recipe = Recipe(experiment.backward, tuple(g.where for g in experiment.gradients))
    return door.lines(recipe, {**experiment.given, **drawn})


def not_among(ran: Collection[tuple[int | None, int]], statements: Unrun) -> Unrun:
    """Return the statements of which no line is among those that ran."""
    return [
        (cell, part)
        for cell, part in statements
        if not any((cell, n) in ran for n in range(part.lineno, (part.end_lineno or 0) + 1))
    ]


def unrun_in_any_state(
    case: Case, candidate: Candidate, right: Outcome, unrun: Unrun, seed: int
) -> Unrun:
    """Return the statements that do not run either where the pass is right in another state.

    What is kept in the object there is not judged, so what keeps it is among them.
    """
    kept = [(cell, part) for cell, part in unrun if _keeps(part)]
    rest: Unrun = [each for each in unrun if each not in kept]
    for other in in_other_states(right.experiment, candidate.owner or "", candidate.node):
        if not rest:
            break
        outcome = outcome_of(case, other, seed, averages=True)
        if outcome.agrees:
            rest = still_unrun(case, rest, [outcome])
    return [*kept, *rest]


def _keeps(statement: ast.stmt) -> bool:
    """Say whether a statement puts a value into something, and does not name or return it."""
    targets = getattr(statement, "targets", [getattr(statement, "target", None)])
    return any(isinstance(target, ast.Attribute | ast.Subscript) for target in targets)
