"""A forward pass that ran on inputs: what it was given, returned and kept."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from verify.homework.passes.case import Case
from verify.homework.passes.forwards import Forward
from verify.homework.passes.inputs import Arguments
from verify.homework.passes.objects import Side, drawn_anew, parameters_in
from verify.homework.passes.results import Leaf, result_of, state_of
from verify.homework.read.syntax import returned
from verify.homework.run.door import Door, Raised, Recipe, Step


@dataclass(frozen=True, eq=False)
class Ready:
    """A forward pass that runs: on what, and what comes of it."""

    side: Side
    arguments: Arguments
    steps: tuple[Step, ...]
    given: Mapping[str, Any]
    answer: Sequence[Any]
    outputs: Sequence[Leaf]


def run_forward(case: Case, side: Side, forward: Forward, arguments: Arguments) -> Ready | Raised:
    """Run a forward pass; its object's parameters are inputs, those too that it makes itself."""
    steps = forward_steps(side, forward.name, arguments)
    given = {**side.given, **arguments.given}
    answer = case.door.run(Recipe(steps, (result_of(steps), *state_of(side))), given)
    if isinstance(answer, Raised):
        return answer
    if (warmed := _warmed(case.door, side, steps, given, answer)) is not None:
        return run_forward(case, warmed, forward, arguments)
    return Ready(side, arguments, steps, given, answer, outputs_of(answer, forward, steps, side))


def _warmed(
    door: Door,
    side: Side,
    steps: tuple[Step, ...],
    given: Mapping[str, Any],
    answer: Sequence[Any],
) -> Side | None:
    """Return an object whose parameters, made when it first goes forward, are inputs too.

    What it had gathered before it went forward the first time is empty again.
    """
    if side.owner is None or len(answer) < 2:
        return None
    made = [each for each in parameters_in(answer[1]) if _MADE.match(each[0])]
    if all(path in side.given for path, *_ in made):
        return None
    puts, values, _ = drawn_anew(door, steps, answer[1], given, made, 29)
    if not puts:
        return None
    before = door.run(Recipe(side.steps, state_of(side)), given)
    if not isinstance(before, Raised):
        puts += [
            ("put", ("slot", 0), name, ("value", []))
            for name, value in before[0].items()
            if isinstance(value, list) and not value
        ]
    return replace(side, steps=(*steps, *puts), given={**given, **values})


_MADE = re.compile(r"(?:params?|parameters|weights?|W|b|bias|gamma|beta)(?:\.|\d|$)")


def forward_steps(side: Side, name: str, arguments: Arguments) -> tuple[Step, ...]:
    """Return the steps that make an object, where there is one, and go forward."""
    return (*side.steps, ("call", side.target(name), [], dict(arguments.expressions)))


def outputs_of(
    answer: Sequence[Any], forward: Forward, steps: Sequence[Step], side: Side
) -> list[Leaf]:
    """Return the outputs of a forward pass: the arrays of its result, or the one it keeps."""
    result, where = answer[0], result_of(steps)
    if result is None and side.owner is not None:
        for name in ("output", "outputs", "out", "y", "a", "A", "Z", "z"):
            value = answer[1].get(name)
            if isinstance(value, np.ndarray) and value.dtype.kind == "f":
                return [Leaf(name, ("at", ("slot", 0), name), value)]
        return []
    names = returned(forward.node)
    if isinstance(result, tuple):
        labels = names if names is not None and len(names) == len(result) else [""] * len(result)
        return [
            Leaf(label, ("at", where, i), np.asarray(part))
            for i, (part, label) in enumerate(zip(result, labels, strict=True))
            if is_float(part) and not (i and "cache" in label.lower())
        ]
    if is_float(result):
        return [Leaf(names[0] if names else "", where, np.asarray(result))]
    return []


def is_float(value: Any) -> bool:
    """Say whether a value is floating."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "f" and value.size > 0
    return isinstance(value, float)
