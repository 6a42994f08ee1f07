"""The general judge: any backward pass, by the derivative of its own forward pass."""

from __future__ import annotations

import ast
import itertools
import re
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from verify.catalogue import UNNAMED
from verify.findings import Finding, where
from verify.homework.passes.composed import composed, of_scores
from verify.homework.passes.diagnosis import findings_of
from verify.homework.passes.engine import operators
from verify.homework.passes.experiment import (
    Experiment,
    cotangent_name,
    redrawn,
    stirred,
    with_more,
    with_one_output,
    with_several,
)
from verify.homework.passes.inputs import is_label
from verify.homework.passes.measure import Measured, Measurement, Obstacle, is_summed, measure
from verify.homework.passes.plans import Case, forwards, plans, plans_by_search, returns_its_loss
from verify.homework.passes.states import in_other_states
from verify.homework.passes.verdicts import (
    Outcome,
    multiple,
    relative_error,
    shaped,
    times_by_scores,
    weigh,
)
from verify.homework.read.discover import Candidate, methods_of
from verify.homework.read.extract import Extract
from verify.homework.read.usage import axes_of
from verify.homework.report import AGREE, CRASHED, DISAGREE, UNDECIDED
from verify.homework.run.door import Expression, Raised, Recipe

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
    seen: frozenset[str] = frozenset()
    """The inputs and parameters whose gradients were judged."""
    unseen: tuple[str, ...] = ()
    """The object's parameters that its forward pass uses and whose gradients it does not give."""


def judge_pass(case: Case, candidate: Candidate, seconds: float, seed: int) -> Verdict:
    """Judge one candidate within about this many seconds."""
    if candidate.inside:
        return Verdict(candidate, UNDECIDED, _INSIDE.format(name=candidate.name))
    case.until = time.monotonic() + seconds
    wrong: list[Outcome] | None = None
    guessed: list[Outcome] | None = None
    crashed: Obstacle | None = None
    agreed: list[Outcome] = []
    unrun = statements_of(case.found, candidate)
    unseen: list[Outcome] | None = None
    partial = False
    start: tuple[str, str] | None = None
    ways = itertools.chain(
        of_scores(case, candidate),
        plans(case, candidate),
        composed(case, candidate),
        operators(case, candidate),
        plans_by_search(case, candidate),
    )
    tried: set[str] = set()
    half_right: set[str] = set()
    number = 0
    for planned in ways:
        if number >= MOST_PLANS or case.late:
            break
        if (called := _shapes(planned[0])) in tried:
            continue
        experiments = [stirred(experiment, seed) for experiment in planned]
        number += 1
        tier = experiments[0].tier
        averages = experiments[0].weights in ("drawn", "fixed") or is_summed(
            case.door, experiments[0]
        )
        outcomes = [weigh(each, measure(case.door, each, seed), averages) for each in experiments]
        if candidate.owner is None:
            outcomes = [_in_its_shapes(case, each, seed, averages) for each in outcomes]
        judged = [outcome for outcome in outcomes if outcome.judged]
        if scaled := next(filter(None, map(multiple, judged)), ""):
            case.note(candidate, scaled)
            partial = partial or (wrong is None and guessed is None)
            continue
        if judged and all(outcome.agrees for outcome in judged):
            if _arrays_of(judged) <= half_right:
                continue  # in other settings it is wrong
            if wrong is not None and (
                wrong[0].experiment.tier < tier
                or len(experiments[0].gradients) < len(wrong[0].experiment.gradients)
            ):
                break
            if wrong is not None and _hides(judged[0], wrong):
                return _of_several(case, candidate, wrong, seed)
            if guessed is not None and _is_thin(judged[0]) and not _misshapen(guessed):
                continue
            if (fault := next(filter(None, map(_fault, outcomes)), "")) and not partial:
                return Verdict(candidate, CRASHED, fault)
            if missing := _missing(experiments[0]):
                case.note(candidate, missing)
                partial = True
                continue
            if judged[0].experiment.weights != "fixed":
                again = redrawn(judged[0].experiment, seed + number)
                other = weigh(again, measure(case.door, again, seed), averages)
                if other.wrong and not partial:
                    wrong = [other]
                    break
            if wrong is not None or experiments[0].weights != "drawn":
                more = with_more(judged[0].experiment)
                if more is not None:
                    other = weigh(more, measure(case.door, more, seed), averages)
                    if other.wrong:  # it was right for so many examples by chance
                        wrong = _better(wrong, [other])
                        continue
            if (
                tier >= 2
                and candidate.owner is None
                and (several := with_several(judged[0].experiment)) is not None
            ):
                other = weigh(several, measure(case.door, several, seed), averages)
                if other.wrong:
                    return _of_several(case, candidate, [other], seed)
            tried.add(called)
            before = len(unrun)
            unrun = _still_unrun(case, unrun, judged)
            agreed += judged if not agreed or len(unrun) < before else []
            if not unrun:
                return _agrees(case, candidate, agreed)
        if agreed and len(_still_unrun(case, unrun, judged)) == len(unrun):
            continue  # other inputs, of which it has shown already that it is right
        unfit = tier >= 3 and _misshapen([outcome for outcome in judged if outcome.wrong])
        if any(outcome.wrong for outcome in judged) and (unfit or not _accuse(judged)):
            guessed = _better(guessed, judged)
            start = experiments[0].implied or start
        elif any(outcome.wrong for outcome in judged):
            wrong = _better(wrong, judged)
            half_right |= _arrays_of([outcome for outcome in judged if outcome.agrees])
            if tier <= 1 and experiments[0].certain:
                break
        elif not judged:
            if isinstance(outcomes[0].measurement, Obstacle):
                tried.add(called)
            for outcome in outcomes:
                if isinstance(outcome.measurement, Obstacle):
                    own = outcome.experiment.certain and _is_plain(case, candidate, outcome)
                    if outcome.measurement.crashed and own:
                        crashed = crashed or outcome.measurement
                        case.fed.add(candidate.name)
                    if outcome.measurement.raised is None:
                        case.note(candidate, outcome.measurement.says)
                elif tier < 3:
                    unseen = unseen or [outcome]
    late = case.late
    if agreed and wrong is None and candidate.owner is not None:
        unrun = _unrun_in_any_state(case, candidate, agreed[0], unrun, seed)
        if not unrun:
            return _agrees(case, candidate, agreed)
    if agreed and (wrong is None or not _called_alike(wrong[0], agreed[0])):
        return Verdict(candidate, UNDECIDED, not_run(case, candidate, unrun))
    if wrong is not None and not partial:
        if (of := times_by_scores(wrong[0])) is not None:
            return Verdict(candidate, UNDECIDED, _by_scores(case, candidate, *of))
        if _is_right_for_one_output(case, wrong[0], seed):
            return Verdict(candidate, UNDECIDED, _for_one_output(case, candidate, wrong[0]))
        findings = findings_of(case.found, case.door, candidate, wrong)
        return Verdict(candidate, DISAGREE, "", findings)
    if crashed is not None and unseen is None and candidate.name not in case.ran:
        return Verdict(candidate, CRASHED, crashed.says)
    if guessed is not None and not partial:
        # Where a loss is implied, one gradient that is right shows that it was guessed right.
        one = guessed[0].experiment
        share, known = _wrongness(guessed)[0], one.implied is not None and one.made_surely
        findings = findings_of(case.found, case.door, candidate, guessed) if share < 1 else []
        explained = all(finding.right and finding.bug not in _RENAMED for finding in findings)
        if share < 1 and (known or (share < 0.5 and explained)):
            return Verdict(candidate, DISAGREE, "", findings)
        if start is not None:
            case.note(candidate, _UNKNOWN_LOSS.format(start[0]))
    return Verdict(candidate, UNDECIDED, _obstacle(case, candidate, unseen, late, seconds))


def _unrun_in_any_state(
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
        outcome = weigh(other, measure(case.door, other, seed), averages=True)
        if outcome.agrees:
            rest = _still_unrun(case, rest, [outcome])
    return [*kept, *rest]


def _keeps(statement: ast.stmt) -> bool:
    """Say whether a statement puts a value into something, and does not name or return it."""
    targets = getattr(statement, "targets", [getattr(statement, "target", None)])
    return any(isinstance(target, ast.Attribute | ast.Subscript) for target in targets)


def _is_right_for_one_output(case: Case, outcome: Outcome, seed: int) -> bool:
    one = with_one_output(outcome.experiment)
    return one is not None and weigh(one, measure(case.door, one, seed), averages=False).agrees


def _for_one_output(case: Case, candidate: Candidate, outcome: Outcome) -> str:
    labels = ", ".join(wrong.tensor.gradient.label for wrong in outcome.wrong)
    return (
        f"It was not judged: {candidate.name} is right for one output an example, and for several "
        f"{labels} is not. If it is meant for one, say so by the shapes in its docstring, or by a "
        f"call in the file. {case.next_step}"
    )


def _by_scores(case: Case, candidate: Candidate, times: float, activation: str) -> str:
    factor = "" if abs(times - 1) < 1e-3 else f"{times:.4g} times "
    return (
        f"It was not judged: {candidate.name} is {factor}the derivative by what a {activation} "
        f"before the loss is given, and it was not found where that {activation} is. Check the "
        f"function that calls both. {case.next_step}"
    )


_UNKNOWN_LOSS = (
    "it has no loss beside it, and starts with `{}`; its gradients are of no loss with that "
    "derivative"
)


def _missing(experiment: Experiment) -> str:
    """Say which gradients an experiment leaves out, "" where it has all."""
    if experiment.moved:
        moved = ", ".join(experiment.moved)
        return f"it moves {moved} itself, and not down along a gradient times a learning rate"
    if experiment.unmatched:
        return f"no input was found whose gradients {', '.join(experiment.unmatched)} are"
    return ""


def _shapes(experiment: Experiment) -> str:
    """Return how a pass is called in an experiment: the shapes of arrays, and what is set."""
    shapes = {
        name: value.shape if isinstance(value, np.ndarray) else value
        for name, value in experiment.given.items()
    }
    return repr((shapes, experiment.forward, experiment.backward[-1], experiment.weights))


def _arrays_of(outcomes: Sequence[Outcome]) -> set[str]:
    """Return the arrays of experiments in which a pass is right, whatever else is set in them."""
    return {
        repr(
            [(n, v.shape) for n, v in outcome.experiment.given.items() if isinstance(v, np.ndarray)]
        )
        for outcome in outcomes
    }


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


def _still_unrun(case: Case, unrun: Unrun, outcomes: Sequence[Outcome]) -> Unrun:
    """Return the statements that do not run in any of these experiments either."""
    for outcome in outcomes:
        experiment, measurement = outcome.experiment, outcome.measurement
        if not unrun or not isinstance(measurement, Measurement):
            continue
        drawn = {cotangent_name(i): c for i, c in enumerate(measurement.cotangents[0])}
        recipe = Recipe(experiment.backward, tuple(g.where for g in experiment.gradients))
        ran = case.door.lines(recipe, {**experiment.given, **drawn})
        case.lines |= ran if outcome.agrees else set()
        unrun = not_among(ran, unrun)
    return unrun


def not_among(ran: Collection[tuple[int | None, int]], statements: Unrun) -> Unrun:
    """Return the statements of which no line is among those that ran."""
    return [
        (cell, part)
        for cell, part in statements
        if not any((cell, n) in ran for n in range(part.lineno, (part.end_lineno or 0) + 1))
    ]


def not_run(case: Case, candidate: Candidate, unrun: Unrun) -> str:
    """Say that a pass is right but for statements that no inputs were found for."""
    cell, first = unrun[0]
    return (
        f"It was not judged: {candidate.name} is right as far as it ran, but no inputs were found "
        f"with which `{ast.unparse(first)}` ({where(cell, first.lineno)}) runs. "
        f"{case.next_step}"
    )


def _called_alike(one: Outcome, other: Outcome) -> bool:
    """Say whether a pass is called in the same way in two experiments, on other inputs."""
    return one.experiment.backward[-1] == other.experiment.backward[-1]


def _hides(one: Outcome, wrong: Sequence[Outcome]) -> bool:
    """Say whether an agreement may hide a mistake: it is of one example, the mistake of several.

    A network whose gradients have other shapes for several examples is meant for one.
    """
    several = wrong[0].experiment
    sizes = [
        (np.shape(value), np.shape(several.given.get(name, 0.0)))
        for name, value in one.experiment.given.items()
        if np.ndim(value) == np.ndim(several.given.get(name, 0.0)) and not is_label(name)
    ]
    fewer = any(a == 1 < b for here, there in sizes for a, b in zip(here, there, strict=True))
    layer = one.experiment.weights == "drawn"
    return _called_alike(one, wrong[0]) and fewer and (layer or not _misshapen(wrong))


def _is_thin(outcome: Outcome) -> bool:
    """Say whether an input has an axis of one entry, in which mistakes do not show."""
    shape = np.shape(outcome.experiment.given.get(outcome.experiment.main, 0.0))
    return len(shape) > 1 and 1 in shape


def _misshapen(outcomes: Sequence[Outcome]) -> list[Measured]:
    """Return the wrong gradients that have another shape than what they are of."""
    return [
        wrong.tensor
        for outcome in outcomes
        for wrong in outcome.wrong
        if wrong.tensor.found_shape != wrong.tensor.shape
    ]


def _accuse(outcomes: Sequence[Outcome]) -> bool:
    """Say whether what is wrong is the pass's fault, and not what was guessed of it."""
    return outcomes[0].experiment.accuses and any(
        wrong.tensor.gradient.of not in outcome.experiment.ordered
        for outcome in outcomes
        for wrong in outcome.wrong
    )


def _in_its_shapes(case: Case, outcome: Outcome, seed: int, averages: bool) -> Outcome:
    """Return what an experiment says with parameters in the shapes that their gradients have.

    A gradient of shape (5, 1) is of a bias of that shape, where (5,) is only what we tried. Where
    (5,) is said by the docstring, it may have more axes, and must be right then.
    """
    wrong, experiment = [each.tensor for each in outcome.wrong], outcome.experiment
    alike = [
        tensor
        for tensor in wrong
        if tensor.found_shape != tensor.shape
        and _without_ones(tensor.found_shape) == _without_ones(tensor.shape)
        and (experiment.tier >= 2 or len(tensor.found_shape) > len(tensor.shape))
    ]
    if not alike or alike != wrong:
        return outcome
    shapes = {tensor.gradient.of: tensor.found_shape for tensor in alike}
    given = {
        name: value.reshape(shapes[name]) if name in shapes else value
        for name, value in experiment.given.items()
    }
    again = replace(experiment, given=given)
    measured = measure(case.door, again, seed)
    if experiment.tier < 2:
        again = replace(again, reshaped=tuple(shapes))
        said = weigh(again, measured, averages)
        return said if said.agrees else outcome
    if isinstance(measured, Obstacle):
        first = alike[0]
        return Outcome(
            again,
            Obstacle(
                f"its {first.gradient.label} has the shape {first.found_shape}, and with "
                f"{first.gradient.of} in that shape {experiment.forward_name} does not run"
            ),
        )
    return weigh(again, measured, averages)


def _without_ones(shape: Sequence[int]) -> list[int]:
    return [size for size in shape if size != 1]


def _of_several(case: Case, candidate: Candidate, wrong: list[Outcome], seed: int) -> Verdict:
    """Return the verdict on a pass that is right for one example, and wrong for several.

    It may be meant for one, where its gradients have other shapes for several; or for labels of
    another kind than were tried, unless its mistake has a name.
    """
    if _is_right_for_one_output(case, wrong[0], seed):
        return Verdict(candidate, UNDECIDED, _for_one_output(case, candidate, wrong[0]))
    findings = findings_of(case.found, case.door, candidate, wrong)
    named = all(finding.bug not in UNNAMED for finding in findings)
    if not _misshapen(wrong) and (named or not any(map(is_label, wrong[0].experiment.given))):
        return Verdict(candidate, DISAGREE, "", findings)
    wrongs = ", ".join(dict.fromkeys(w.tensor.gradient.label for o in wrong for w in o.wrong))
    return Verdict(
        candidate,
        UNDECIDED,
        f"It was not judged: {candidate.name} is right for one example, and for several {wrongs} "
        "is not. If it is meant for one, or for other labels than were tried, say so by the shapes "
        f"in its docstring, or by a call in the file. {case.next_step}",
    )


def _fault(outcome: Outcome) -> str:
    """Say how a pass raises in one of the settings, "" where it does not."""
    obstacle, setting = outcome.measurement, outcome.experiment.setting
    if not isinstance(obstacle, Obstacle) or not obstacle.crashed:
        return ""
    return f"With {setting}: {obstacle.says}" if setting else obstacle.says


def _is_plain(case: Case, candidate: Candidate, outcome: Outcome) -> bool:
    """Say whether what raised is no guess of ours, and nothing that is missing here.

    Inputs are no guess that are known from the file, are as plain as can be, or have as many axes
    as the forward pass names.
    """
    experiment, obstacle = outcome.experiment, outcome.measurement
    raised = obstacle.raised if isinstance(obstacle, Obstacle) else None
    if raised is None or raised.kind in _MISSING or _imported(case.found, raised.sentence):
        return False
    functions = methods_of(case.found, candidate.owner) if candidate.owner else case.found.functions
    node = functions.get(experiment.forward_name)
    axes = axes_of(node).of(experiment.main) if node is not None else 0
    named = axes == np.ndim(experiment.given.get(experiment.main, 0.0))
    plain = all(np.ndim(value) <= 2 for value in experiment.given.values())
    plain = plain and not (node is not None and _goes_through(node, experiment.main))
    return experiment.tier <= 1 or (experiment.tier == 2 and (plain or named))


def _goes_through(node: ast.FunctionDef, name: str) -> bool:
    """Say whether a function goes through an argument item by item: it may want other items."""
    return any(
        isinstance(part, ast.For)
        and any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(part.iter))
        for part in ast.walk(node)
    )


_MISSING = frozenset({"KeyError", "AttributeError", "NotImplementedError"})
"""What is raised where a cache or a part of an object was not made by then."""


def _imported(found: Extract, sentence: str) -> bool:
    """Say whether what raised misses a name that the file has from elsewhere."""
    name = re.search(r"name '(\w+)' is not defined", sentence)
    return name is not None and any(
        isinstance(part, ast.alias) and name[1] in (part.name, part.asname)
        for statement in (*found.statements, *found.rest)
        for part in ast.walk(statement.node)
    )


def _better(before: list[Outcome] | None, now: list[Outcome]) -> list[Outcome]:
    """Return the way to call a pass in which least is wrong, the first of those.

    Of a loss that is the mean or the sum of the same outputs, it is the one that is nearer.
    """
    if before is None:
        return now
    one, other = (replace(o[0].experiment, weights="") for o in (before, now))
    if _shapes(one) == _shapes(other):
        return min(before, now, key=lambda outcomes: (_wrongness(outcomes), _distance(outcomes)))
    return min(before, now, key=_wrongness)


def _wrongness(outcomes: Sequence[Outcome]) -> tuple[float, float]:
    """Return which share of the gradients is wrong, and which has a wrong shape."""
    count = sum(len(outcome.experiment.gradients) for outcome in outcomes)
    wrong = [each for outcome in outcomes for each in outcome.wrong]
    misshapen = [each for each in wrong if shaped(each.tensor) is None]
    return len(wrong) / max(count, 1), len(misshapen) / max(count, 1)


def _distance(outcomes: Sequence[Outcome]) -> float:
    errors = [relative_error(wrong) for outcome in outcomes for wrong in outcome.wrong]
    return max(errors, default=0.0)


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
    for of in outcomes[0].experiment.reshaped:
        shape = np.shape(outcomes[0].experiment.given[of])
        remarks.append(
            f"{name} is right for {of} of the shape {shape}, which is that of its gradient; its "
            "docstring has fewer axes."
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


_RENAMED = frozenset(
    """gradient-of-another-argument derivative-of-another-layer upstream-from-da
    mask-of-another-layer""".split()
)
"""Mistakes that a wrong guess of ours, what a pass is called with, would look like."""

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
