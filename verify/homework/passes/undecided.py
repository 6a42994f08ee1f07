"""The sentences of a pass that was not judged: what stood in the way, and the next step."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from verify.findings import where
from verify.homework.passes.case import Case
from verify.homework.passes.coverage import Unrun
from verify.homework.passes.experiment import Experiment
from verify.homework.passes.forwards import forwards, returns_its_loss
from verify.homework.passes.verdicts import Outcome
from verify.homework.read.discover import Candidate
from verify.homework.run.door import Raised

INSIDE = (
    "{name} computes gradients that do not leave it: put them into a function that returns them, "
    "and name three functions with --loss, --grads, --params."
)


UNKNOWN_LOSS = (
    "it has no loss beside it, and starts with `{}`; its gradients are of no loss with that "
    "derivative"
)


def missing_of(experiment: Experiment) -> str:
    """Say which gradients an experiment leaves out, "" where it has all."""
    if experiment.moved:
        moved = ", ".join(experiment.moved)
        return f"it moves {moved} itself, and not down along a gradient times a learning rate"
    if experiment.unmatched:
        return f"no input was found whose gradients {', '.join(experiment.unmatched)} are"
    return ""


def not_run(case: Case, candidate: Candidate, unrun: Unrun) -> str:
    """Say that a pass is right but for statements that no inputs were found for."""
    cell, first = unrun[0]
    return (
        f"It was not judged: {candidate.name} is right as far as it ran, but no inputs were found "
        f"with which `{ast.unparse(first)}` ({where(cell, first.lineno)}) runs. "
        f"{case.next_step}"
    )


def for_one_output(case: Case, candidate: Candidate, outcome: Outcome) -> str:
    """Say that a pass is right for one output an example, and which gradients for several not."""
    labels = ", ".join(wrong.tensor.gradient.label for wrong in outcome.wrong)
    return (
        f"It was not judged: {candidate.name} is right for one output an example, and for several "
        f"{labels} is not. If it is meant for one, say so by the shapes in its docstring, or by a "
        f"call in the file. {case.next_step}"
    )


def for_one_example(case: Case, candidate: Candidate, wrong: Sequence[Outcome]) -> str:
    """Say that a pass is right for one example, and which gradients for several are not."""
    labels = ", ".join(dict.fromkeys(w.tensor.gradient.label for o in wrong for w in o.wrong))
    return (
        f"It was not judged: {candidate.name} is right for one example, and for several {labels} "
        "is not. If it is meant for one, or for other labels than were tried, say so by the shapes "
        f"in its docstring, or by a call in the file. {case.next_step}"
    )


def by_scores(case: Case, candidate: Candidate, times: float, activation: str) -> str:
    """Say that a pass is the derivative by what an activation before the loss is given."""
    factor = "" if abs(times - 1) < 1e-3 else f"{times:.4g} times "
    return (
        f"It was not judged: {candidate.name} is {factor}the derivative by what a {activation} "
        f"before the loss is given, and it was not found where that {activation} is. Check the "
        f"function that calls both. {case.next_step}"
    )


def handed_on(case: Case, candidate: Candidate) -> str:
    """Say that the pass of an output's activation leaves the gradient as it is."""
    return (
        f"It was not judged: {candidate.name} hands the gradient on as it is, which is right where "
        "the gradient of the loss is already by what this activation is given (`output - y` of a "
        f"cross-entropy, say). Check the function that calls both. {case.next_step}"
    )


def obstacle_of(
    case: Case,
    candidate: Candidate,
    unseen: Sequence[Outcome],
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
    unmade = case.unmade.get(candidate.owner or "")
    forward = next((each.name for each in forwards(case.found, candidate)), None)
    if said:
        says = said[0]
    elif unmade is not None:
        says = (
            f"no object of its class could be made (the last try: {_short(unmade)}); one that the "
            "file makes and calls by itself would be taken"
        )
    elif forward is None and all(_is_own(note, candidate) for note in raised):
        says = "no forward pass that belongs to it was found"
    elif raised:
        furthest = max(raised, key=lambda r: (r.kind == "NameError", r.step, r.line or 0))
        says = (
            "no inputs were found on which its forward pass runs (the furthest try: "
            f"{_short(furthest)})"
        )
    else:
        says = (
            f"{forward} looks like its forward pass, but it was not found out with what "
            f"{forward} and {candidate.function} are to be called"
        )
    return f"It was not judged: {says}. {case.next_step}"


def _short(raised: Raised) -> str:
    return raised.sentence.rstrip(".")[:160]


def _is_own(raised: Raised, candidate: Candidate) -> bool:
    """Say whether a pass raised itself, where it was tried as one that returns its loss too."""
    return not returns_its_loss(candidate) and raised.sentence.startswith(f"{candidate.function} ")
