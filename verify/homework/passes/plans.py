"""From a candidate to experiments: which forward pass is its own, and how both are called.

A pair is two functions of one stem, two methods of one class, a function that returns a loss and
its gradient, or a cost and a gradient of the same arguments. Which forward pass is meant
(`forwards`), what a backward pass is given (`bindings`) and what its gradients are of (`matching`)
is tried here one way after the other.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from verify.homework.passes.bindings import bindings
from verify.homework.passes.case import Case
from verify.homework.passes.experiment import Experiment
from verify.homework.passes.forward_runs import Ready, forward_steps, run_forward
from verify.homework.passes.forwards import (
    Forward,
    forwards,
    returns_its_loss,
    stem_of,
    takes_the_same,
)
from verify.homework.passes.inputs import (
    Arguments,
    argument_sets,
    arguments_in,
    form_sets,
    likely_forms,
)
from verify.homework.passes.loss_and_gradient import of_loss_and_gradient
from verify.homework.passes.objects import Side, sides
from verify.homework.passes.pairs import back_steps, drawn_for, of_pair
from verify.homework.passes.recordings import arguments_of, globals_of, side_of
from verify.homework.passes.search import Forms, Reach, searched
from verify.homework.read.discover import (
    BACK,
    Candidate,
    is_hinted,
    methods_of,
    name_parts,
)
from verify.homework.read.extract import Extract
from verify.homework.read.usage import axes_of_pair
from verify.homework.run.door import Raised, Recipe


def plans(case: Case, candidate: Candidate) -> Iterator[list[Experiment]]:
    """Yield the ways to judge a candidate, the likeliest first: the experiments of each."""
    if case.observed:
        yield from _of_recorded(case, candidate)
    if (outer := _caller_of(case.found, candidate)) is not None:
        yield from plans(case, outer)
    for side in _sides(case, candidate.owner):
        if side.again and candidate.name in case.ran:
            continue
        others = (
            methods_of(case.found, candidate.owner) if candidate.owner else (case.found.functions)
        )
        if is_hinted(candidate.function, others):
            for forward in forwards(case.found, candidate):
                yield from of_pair(case, candidate, side, forward, None)
        yield from of_loss_and_gradient(case, candidate, side, None)
    if not case.observed:
        yield from _of_recorded(case, candidate)


def _caller_of(found: Extract, candidate: Candidate) -> Candidate | None:
    """Return the method of the same class through which a backward pass is called, if there is one.

    A base has `forward` and `backward`, which keep what all layers keep, and call `_backward`.
    """
    if candidate.owner is None or not candidate.function.startswith("_"):
        return None
    for name, node in methods_of(found, candidate.owner).items():
        inner = any(
            isinstance(part, ast.Call)
            and isinstance(part.func, ast.Attribute)
            and part.func.attr == candidate.function
            and getattr(part.func.value, "id", "") == "self"
            for part in ast.walk(node)
        )
        if inner and name != candidate.function and BACK & set(name_parts(name)):
            return replace(candidate, function=name, node=node)
    return None


def plans_by_search(case: Case, candidate: Candidate) -> Iterator[list[Experiment]]:
    """Yield ways to judge a candidate on inputs that are searched for, if no others were found."""
    if candidate.name in case.fed:
        return
    for side in itertools.islice(_sides(case, candidate.owner), SEARCHED):
        for forward in forwards(case.found, candidate)[:SEARCHED]:
            known = _inputs_by_search(case, candidate, side, forward)
            yield from of_pair(case, candidate, side, forward, known)
        if returns_its_loss(candidate):
            own = Forward(candidate.function, candidate.node)
            known = _inputs_by_search(case, candidate, side, own)
            yield from of_loss_and_gradient(case, candidate, side, known)


SEARCHED = 2
"""Objects, and forward passes, for which inputs are searched for."""

SEARCHED_TIER = 4
"""How sure inputs are that were searched for, as of `inputs.Arguments`."""


def _inputs_by_search(
    case: Case, candidate: Candidate, side: Side, forward: Forward
) -> Iterator[list[Arguments]]:
    """Yield arguments for a function, searched for by how far it runs with them.

    Where that is another than the candidate, by how far the candidate runs, too.
    """
    name, method, known = stem_of(candidate), candidate.owner is not None, Arguments({}, {})

    def of(forms: Forms) -> list[Arguments]:
        return arguments_in(forward.node, method, forms, known, SEARCHED_TIER)

    def reach(forms: Forms) -> Reach | None:
        if not (sets := of(forms)):
            return None
        steps = forward_steps(side, forward.name, sets[0])
        there = case.door.reach(Recipe(steps, ()), {**side.given, **sets[0].given})
        if not there[2] or forward.name == candidate.function:
            return there
        return _reach_back(case, candidate, forward, run_forward(case, side, forward, sets[0]))

    sets = form_sets(case.found, forward.node, method, name, known, side.given, candidate.node)
    starts = likely_forms(forward.node, method, (forms for _, forms in sets))
    axes = axes_of_pair(forward.node, candidate.node)
    yield from map(of, searched(starts, side.given, axes, reach, case.door.clock))


def _reach_back(
    case: Case, candidate: Candidate, forward: Forward, ready: Ready | Raised
) -> Reach | None:
    """Return how far a backward pass runs after its forward pass, in the likeliest ways."""
    if isinstance(ready, Raised) or not ready.outputs:
        return None
    found: list[Reach] = []
    for binding in itertools.islice(bindings(candidate, forward, ready), MOST_TRIED):
        back = back_steps(candidate, ready, binding)
        drawn = drawn_for(ready, binding)
        lines, place, whole = case.door.reach(Recipe(back, ()), {**ready.given, **drawn})
        found.append((FORWARD_LINES + lines, place, whole))
    return max(found, key=lambda each: (each[2], each), default=None)


MOST_TRIED = 3
"""Ways in which a backward pass is called while inputs are searched for."""

FORWARD_LINES = 10_000
"""More lines than a forward pass has: what comes after it is further."""


def _sides(case: Case, owner: str | None) -> Iterator[Side]:
    """Yield the objects of a class that can be made, and note where there are none."""
    raised: list[Raised] = []
    made = 0
    for side in sides(case.found, case.door, owner, raised.append):
        if case.late:
            return
        made += 1
        yield side
    if owner is not None and raised and not made:
        case.unmade[owner] = raised[-1]


def _of_recorded(case: Case, candidate: Candidate) -> Iterator[list[Experiment]]:
    """Yield ways to judge a candidate on what the file's own statements call it with."""
    own = case.recorded(candidate.name)
    side = Side()
    if candidate.owner is not None:
        made = side_of(candidate.owner, own) if own is not None else None
        if made is None:
            return
        side = made
    elif own is not None and own.get("globals"):
        side = globals_of(own)
    if own is not None:
        known = _completed(case, own, candidate.node, candidate.owner)
        yield from of_loss_and_gradient(case, candidate, side, known)
    for forward in forwards(case.found, candidate):
        qualified = f"{candidate.owner}.{forward.name}" if candidate.owner else forward.name
        call = case.recorded(qualified)
        if call is None:
            call = own if takes_the_same(forward.node, candidate) else None
        if call is None:
            continue
        if candidate.owner is not None:
            other = side_of(candidate.owner, call)
            side = other if other is not None and _alike(other.given, side.given) else side
        known = _completed(case, call, forward.node, candidate.owner)
        yield from of_pair(case, candidate, side, forward, known)


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Say whether the arrays that two have in common are of one shape: none was trained wrong."""
    return all(np.shape(one[name]) == np.shape(other[name]) for name in one.keys() & other.keys())


def _completed(
    case: Case, call: Mapping[str, Any], node: ast.FunctionDef, owner: str | None
) -> Iterator[list[Arguments]]:
    """Yield a recorded call's arguments; what it does not tell of them is tried."""
    arguments = arguments_of(call)
    if arguments.expressions.keys() == call["arguments"].keys():
        yield [arguments]
    elif arguments.expressions:
        yield from argument_sets(case.found, node, owner is not None, "", arguments)
