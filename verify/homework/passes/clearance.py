"""The verdict on a pass that is right: of what it is the derivative, and with what remarks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from verify.homework.passes.case import Case
from verify.homework.passes.experiment import Experiment
from verify.homework.passes.verdicts import Outcome, Verdict
from verify.homework.read.discover import Candidate
from verify.homework.report import AGREE
from verify.homework.run.door import Expression, Recipe


def cleared(case: Case, candidate: Candidate, outcomes: Sequence[Outcome]) -> Verdict:
    """Return the verdict on a pass that is right, with remarks on its conventions."""
    remarks = []
    name = candidate.name
    if averaged := next((o.averaged for o in outcomes if o.averaged), 0):
        remarks.append(
            f"{name} divides the gradients of its parameters by the number of examples "
            f"(here {averaged}), which its forward pass does not."
        )
    if carried := next((o.carried for o in outcomes if o.carried), 0):
        remarks.append(
            f"{name} leaves the gradient of its input {carried} times the derivative, as the "
            "course does: the average is taken in the gradients of the parameters."
        )
    if (slight := max(outcome.slight for outcome in outcomes)) > 1e-7:
        remarks.append(
            f"{name} is off by up to {slight:.0e} of its size, as a guard against division by "
            "zero or log(0) makes it."
        )
    for of in outcomes[0].experiment.reshaped:
        shape = np.shape(outcomes[0].experiment.given[of])
        remarks.append(
            f"{name} is right for {of} of the shape {shape}, which is that of its gradient; its "
            "docstring has fewer axes."
        )
    if ones := outcomes[0].experiment.with_ones:
        remarks.append(
            f"{name} is right where the first feature of {ones} is 1 in every example, and its "
            "gradient takes that for granted."
        )
    if _takes_output(candidate, outcomes[0].experiment):
        remarks.append(
            f"{name} takes the output of {outcomes[0].experiment.forward_name}, not its input."
        )
    if implied := outcomes[0].experiment.implied:
        start, by = implied
        remarks.append(
            f"{name} has no loss beside it. It starts with `{start}`, which was taken for the "
            f"derivative of its loss by {by}."
        )
    stand_ins = [said for kind, said in _STAND_INS if kind in _kinds(outcomes[0].experiment)]
    remarks += [f"{name} was judged with {said}." for said in stand_ins]
    scores = [s for s in _arguments_of(outcomes[0].experiment) if s[0] == "softmax"]
    if scores:
        remarks.append(
            f"{name} is the derivative by the scores before a softmax, which is taken elsewhere."
        )
    forward = outcomes[0].experiment.forward_name
    message = "" if forward == candidate.function else f"It is the derivative of {forward}."
    seen = frozenset(g.of for outcome in outcomes for g in outcome.experiment.gradients)
    unseen = _unseen(case, outcomes[0].experiment, seen)
    return Verdict(candidate, AGREE, message, (), tuple(remarks), seen, unseen)


def _takes_output(candidate: Candidate, experiment: Experiment) -> bool:
    """Say whether the derivative of a function is given what this returns, and nothing else."""
    given = list(experiment.backward[-1][3].values()) if experiment.backward[-1][3:] else []
    return len(candidate.arguments) == 1 and given == [experiment.outputs[0]]


def _unseen(case: Case, experiment: Experiment, seen: Collection[str]) -> tuple[str, ...]:
    """Return the parameters of a pass's object that its outputs depend on, but for those seen."""
    recipe = Recipe(experiment.forward, experiment.outputs)
    before = case.door.run(recipe, experiment.given)

    def moves(path: str) -> bool:
        moved = 1.25 * np.asarray(experiment.given[path]) + 0.125
        return repr(case.door.run(recipe, {**experiment.given, path: moved})) != repr(before)

    return tuple(path for path in experiment.held if path not in seen and moves(path))


_STAND_INS = (
    ("descent", "an optimiser of ours, whose steps show the gradients that it is given"),
    ("layer", "layers of ours in its network"),
    ("activation", "tanh for the activation that it is given"),
    ("tanh", "tanh for the function that it is given"),
    ("tanh'", "the derivative of tanh for the one that it is given"),
)
"""What of ours an object may be made with, and how it is said."""


def _kinds(experiment: Experiment) -> set[str]:
    """Return the kinds of all expressions in how a pass is called."""
    found: set[str] = set()
    waiting: list[Any] = [*experiment.forward]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting += part.values()
        elif isinstance(part, (tuple, list)):
            waiting += part
            found |= {part[0]} if part and isinstance(part[0], str) else set()
    return found


def _arguments_of(experiment: Experiment) -> list[Expression]:
    """Return what the forward pass's calls are given."""
    return [e for step in experiment.forward if step[0] == "call" for e in step[3].values()]
