"""Experiments of a function that returns its loss and the gradient."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import starmap
from typing import Any

import numpy as np

from verify.homework.passes.case import Case
from verify.homework.passes.experiment import Experiment
from verify.homework.passes.forward_runs import forward_steps
from verify.homework.passes.forwards import returns_its_loss, shorter
from verify.homework.passes.inputs import (
    Arguments,
    argument_sets,
    is_weight,
    main_of,
    said,
)
from verify.homework.passes.matching import match
from verify.homework.passes.objects import Side
from verify.homework.passes.pairs import MOST_SETTINGS
from verify.homework.passes.repair import STATEMENTS, Source, target_of
from verify.homework.passes.results import leaves_of, result_of
from verify.homework.read.discover import (
    Candidate,
    is_gradient,
    stem,
)
from verify.homework.read.syntax import returned
from verify.homework.run.door import Raised, Recipe, Step


def of_loss_and_gradient(
    case: Case,
    candidate: Candidate,
    side: Side,
    known: Iterable[list[Arguments]] | None,
) -> Iterator[list[Experiment]]:
    """Yield experiments of a function that may return its loss and the gradient together."""
    if not _may_return_several(candidate.node):
        return
    for sets in known or argument_sets(
        case.found,
        candidate.node,
        candidate.owner is not None,
        shorter(stem(candidate.function)),
        held=side.given,
    ):
        if case.late:
            return
        tried = [
            _loss_and_gradient(case, candidate, variant, arguments)
            for variant in (side, *side.variants)
            for arguments in sets
        ]
        if experiments := [each for each in tried[:MOST_SETTINGS] if each is not None]:
            case.fed.add(candidate.name)
            yield experiments


def _may_return_several(node: ast.FunctionDef) -> bool:
    """Say whether a function may return a loss beside a gradient, by what it returns."""
    values = [part.value for part in ast.walk(node) if isinstance(part, ast.Return) and part.value]
    return any(
        not isinstance(value, (ast.Attribute, ast.BinOp, ast.UnaryOp, ast.Constant))
        and not (isinstance(value, ast.Name) and is_gradient(value.id))
        for value in values
    )


def _loss_and_gradient(
    case: Case, candidate: Candidate, side: Side, arguments: Arguments
) -> Experiment | None:
    """Return how a function that gives a loss and its gradient is called, None if it does not.

    Of one that raises once it has its loss, the experiment raises too.
    """
    names = returned(candidate.node)
    steps = forward_steps(side, candidate.function, arguments)
    base = Experiment(
        given={**side.given, **arguments.given},
        forward=steps,
        outputs=(),
        backward=steps,
        gradients=(),
        weights="ones",
        setting=", ".join(filter(None, (arguments.setting, *starmap(said, side.settings.items())))),
        forward_name=candidate.function,
        main=main_of(arguments.given),
        settings={**side.settings, **arguments.settings},
        tier=arguments.tier,
    )
    slot = result_of(steps)
    answer = case.door.run(Recipe(steps, (slot,)), base.given)
    if isinstance(answer, Raised):
        case.note(candidate, answer)
        if _has_its_loss(case, candidate, answer, base):
            return replace(base, forward=(), outputs=(("value", np.ones(1)),))
        return None
    result = answer[0]
    if not isinstance(result, tuple) or len(result) < 2:
        return None
    at = _loss_place(result, names)
    if at is None:
        return None
    leaves = [
        leaf
        for i, part in enumerate(result)
        if i != at
        for leaf in leaves_of(
            part, ("at", slot, i),
            [names[i]] if names and len(names) == len(result) and names[i] else None,
        )
    ]  # fmt: skip
    gradients = match(leaves, base.given, base.main)
    if not gradients:
        if returns_its_loss(candidate):
            case.note(candidate, "returns nothing that has the shape of an input")
        return None
    # A gradient beside weights that has the shape of the data alone is of other labels than these.
    weights = [name for name in base.given if is_weight(name)]
    sure = not weights or any(gradient.of in weights for gradient in gradients)
    return replace(base, outputs=(("at", slot, at),), gradients=gradients, accuses=sure)


def _has_its_loss(case: Case, candidate: Candidate, raised: Raised, experiment: Experiment) -> bool:
    """Say whether a function that raises has a finite loss by then, so that it is no bad input."""
    names = returned(candidate.node)
    if not names or not names[0] or raised.kind in ("NameError", "AttributeError"):
        return False
    for place, part in enumerate(ast.walk(candidate.node)):
        if not isinstance(part, STATEMENTS) or part.lineno != raised.line:
            continue
        holder = ast.unparse(getattr(part, "target", None) or getattr(part, "targets", [part])[0])
        makes = isinstance(part, ast.Return) or is_gradient(target_of(part))
        if makes or "grad" in holder or re.fullmatch(r"d\d", holder):
            loss = ast.Return(ast.Name(names[0], ast.Load()))
            text = Source(candidate.node).replaced(place, loss)
            define: Step = ("define", candidate.owner, candidate.function, text)
            steps = experiment.backward
            recipe = Recipe((define, *steps), (result_of(steps),))
            answer = case.door.run(recipe, experiment.given)
            return not isinstance(answer, Raised) and bool(
                isinstance(answer[0], float | np.ndarray)
                and np.size(answer[0]) == 1
                and np.isfinite(answer[0]).all()
            )
    return False


def _loss_place(result: Sequence[Any], names: Sequence[str] | None) -> int | None:
    numbers = [
        i for i, part in enumerate(result)
        if isinstance(part, float) or (isinstance(part, np.ndarray) and part.size == 1)
    ]  # fmt: skip
    if names is not None and len(names) == len(result):
        named = [i for i in numbers if _LOSS.search(names[i])]
        numbers = named or [i for i in numbers if not is_gradient(names[i]) and names[i] != "b"]
    return numbers[0] if numbers else None


_LOSS = re.compile(r"loss|cost|err|^J|obj|^L$", re.I)
