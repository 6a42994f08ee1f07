"""The general judge: any backward pass, by the derivative of its own forward pass."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from verify.findings import Finding
from verify.homework.passes.composed import composed
from verify.homework.passes.diagnosis import findings_of
from verify.homework.passes.engine import operators
from verify.homework.passes.experiment import Experiment, stirred
from verify.homework.passes.measure import Obstacle, is_summed, measure
from verify.homework.passes.plans import Case, plans
from verify.homework.passes.verdicts import Outcome, weigh
from verify.homework.read.discover import Candidate
from verify.homework.report import AGREE, CRASHED, DISAGREE, UNDECIDED
from verify.homework.run.door import Expression, Raised

MOST_PLANS = 32
"""Ways to call a pass that are measured before it is given up."""


@dataclass(frozen=True, eq=False)
class Verdict:
    """What was found of one candidate."""

    candidate: Candidate
    verdict: str
    message: str = ""
    findings: Sequence[Finding] = ()
    remarks: Sequence[str] = field(default_factory=tuple)


def judge_pass(case: Case, candidate: Candidate, seconds: float, seed: int) -> Verdict:
    """Judge one candidate within about this many seconds."""
    if candidate.inside:
        return Verdict(candidate, UNDECIDED, _INSIDE.format(name=candidate.name))
    deadline = time.monotonic() + seconds
    wrong: list[Outcome] | None = None
    crashed: Obstacle | None = None
    unseen: list[Outcome] | None = None
    late = partial = False
    ways = itertools.chain(
        plans(case, candidate), composed(case, candidate), operators(case, candidate)
    )
    for number, planned in enumerate(ways):
        if number >= MOST_PLANS or (late := time.monotonic() > deadline):
            break
        experiments = [stirred(experiment, seed) for experiment in planned]
        share = max((deadline - time.monotonic()) / 4, 0.2)
        averages = experiments[0].weights in ("drawn", "fixed") or is_summed(
            case.door, experiments[0]
        )
        outcomes = [
            weigh(each, measure(case.door, each, share / len(experiments), seed), averages)
            for each in experiments
        ]
        judged = [outcome for outcome in outcomes if outcome.judged]
        tier = experiments[0].tier
        if judged and all(outcome.agrees for outcome in judged):
            if wrong is not None and wrong[0].experiment.tier < tier:
                break
            if unmatched := experiments[0].unmatched:
                labels = ", ".join(unmatched)
                case.note(candidate, f"no input was found whose gradients {labels} are")
                partial = True
                continue
            return _agrees(case, candidate, judged)
        if any(outcome.wrong for outcome in judged) and experiments[0].accuses:
            wrong = _better(wrong, judged)
            if tier <= 1 and experiments[0].certain:
                break
        elif not judged:
            for outcome in outcomes:
                if isinstance(outcome.measurement, Obstacle):
                    if outcome.measurement.crashed and _is_its_own(outcome.experiment):
                        crashed = crashed or outcome.measurement
                    if outcome.measurement.raised is None:
                        case.note(candidate, outcome.measurement.says)
                else:
                    unseen = unseen or [outcome]
    if wrong is not None and not partial:
        findings = findings_of(case.found, case.door, candidate, wrong)
        return Verdict(candidate, DISAGREE, "", findings)
    if crashed is not None and unseen is None and not partial:
        return Verdict(candidate, CRASHED, crashed.says)
    return Verdict(candidate, UNDECIDED, _obstacle(case, candidate, unseen, late, seconds))


def _is_its_own(experiment: Experiment) -> bool:
    """Say whether a pass that raises is to blame, and not inputs that were only tried."""
    plain = all(np.ndim(value) <= 2 for value in experiment.given.values())
    return experiment.certain and (experiment.tier <= 1 or (experiment.tier == 2 and plain))


def _better(before: list[Outcome] | None, now: list[Outcome]) -> list[Outcome]:
    """Return the way to call a pass in which least is wrong, the first of those."""
    if before is None:
        return now
    return min(before, now, key=_wrongness)


def _wrongness(outcomes: Sequence[Outcome]) -> float:
    counts = [
        len(outcome.wrong) / max(len(outcome.experiment.gradients), 1) for outcome in outcomes
    ]
    return sum(counts) / len(counts)


def _agrees(case: Case, candidate: Candidate, outcomes: Sequence[Outcome]) -> Verdict:
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
    scores = [s for s in _arguments_of(outcomes[0].experiment) if s[0] == "softmax"]
    if scores:
        remarks.append(
            f"{name} is the derivative by the scores before a softmax, which is taken elsewhere."
        )
    forward = outcomes[0].experiment.forward_name
    message = "" if forward == candidate.function else f"It is the derivative of {forward}."
    return Verdict(candidate, AGREE, message, (), tuple(remarks))


def _arguments_of(experiment: Experiment) -> list[Expression]:
    """Return what the forward pass's calls are given."""
    return [e for step in experiment.forward if step[0] == "call" for e in step[3].values()]


_INSIDE = (
    "{name} computes gradients that do not leave it: put them into a function that returns them, "
    "and name three functions with --loss, --grads, --params."
)


def _obstacle(
    case: Case,
    candidate: Candidate,
    unseen: Sequence[Outcome] | None,
    late: bool,
    seconds: float,
) -> str:
    """Say in a sentence why a pass was not judged, and what would help."""
    name = candidate.name
    if late:
        return (
            f"It was not judged: {seconds:.0f} s were not enough to evaluate {name} and its "
            "forward pass. Give it more with --timeout."
        )
    if unseen:
        labels = ", ".join(t.gradient.label for t in unseen[0].unseen)
        return (
            f"It was not judged: differences of its forward pass say too little of {labels} to "
            f"see an error of a tenth. {case.next_step}"
        )
    notes = case.obstacles.get(name, [])
    raised = [note for note in notes if isinstance(note, Raised)]
    said = [note for note in notes if isinstance(note, str)]
    if said:
        return f"It was not judged: {said[0]}. {case.next_step}"
    if raised:
        return (
            f"It was not judged: no inputs were found on which its forward pass runs (the last "
            f"try: {raised[-1].sentence.rstrip('.')[:160]}). {case.next_step}"
        )
    return f"It was not judged: no forward pass that belongs to it was found. {case.next_step}"
