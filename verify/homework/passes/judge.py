"""The general judge: any backward pass, by the derivative of its own forward pass."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from verify.catalogue import UNNAMED
from verify.homework.passes.case import Case
from verify.homework.passes.clearance import cleared
from verify.homework.passes.composed import composed
from verify.homework.passes.coverage import (
    Unrun,
    statements_of,
    still_unrun,
    unrun_in_any_state,
)
from verify.homework.passes.crashes import fault_of, is_plain
from verify.homework.passes.diagnosis import findings_of
from verify.homework.passes.engine import operators
from verify.homework.passes.experiment import (
    Experiment,
    redrawn,
    stirred,
    with_more,
    with_one_hot,
    with_one_output,
    with_ones,
    with_several,
)
from verify.homework.passes.guards import outcome_of
from verify.homework.passes.inputs import is_label
from verify.homework.passes.measure import Measurement, Obstacle, is_summed
from verify.homework.passes.outcomes import (
    accuse,
    arrays_of,
    better,
    called_alike,
    hides,
    is_apart,
    is_right_in_another_shape,
    is_square,
    is_thin,
    misshapen,
    shapes_of,
    without_ones,
    wrongness,
)
from verify.homework.passes.plans import plans, plans_by_search
from verify.homework.passes.scores import of_scores
from verify.homework.passes.undecided import (
    INSIDE,
    UNKNOWN_LOSS,
    by_scores,
    for_one_example,
    for_one_output,
    handed_on,
    missing_of,
    not_run,
    obstacle_of,
)
from verify.homework.passes.verdicts import Outcome, Verdict, hands_on, multiple, times_by_scores
from verify.homework.read.discover import Candidate, name_parts
from verify.homework.read.usage import takes_any_number
from verify.homework.report import CRASHED, DISAGREE, UNDECIDED

MOST_PLANS = 32
"""Ways to call a pass that are measured before it is given up."""


def judge_pass(case: Case, candidate: Candidate, seconds: float, seed: int) -> Verdict:
    """Judge one candidate within about this many seconds."""
    if candidate.inside:
        return Verdict(candidate, UNDECIDED, INSIDE.format(name=candidate.name))
    case.until = time.monotonic() + seconds
    trial = _Trial(case, candidate, seed, statements_of(case.found, candidate))
    for planned in _ways(case, candidate):
        if trial.number >= MOST_PLANS or case.late:
            break
        if shapes_of(planned[0]) in trial.settled:
            continue
        if (verdict := trial.hear(planned)) is not None:
            return verdict
        if trial.closed:
            break
    return trial.conclude(case.late, seconds)


def _ways(case: Case, candidate: Candidate) -> Iterator[list[Experiment]]:
    """Yield the ways in which a pass may be called, the likeliest first: experiments of each."""
    return itertools.chain(
        of_scores(case, candidate),
        plans(case, candidate),
        composed(case, candidate),
        operators(case, candidate),
        plans_by_search(case, candidate),
    )


@dataclass(eq=False)
class _Trial:
    """What the ways to call one pass have shown of it so far."""

    case: Case
    candidate: Candidate
    seed: int
    unrun: Unrun
    """The statements that did not run yet where the pass is right."""
    number: int = 0
    """How many ways were measured."""
    closed: bool = False
    """Whether no other way can change what is known."""
    agreed: list[Outcome] = field(default_factory=list)
    wrong: list[Outcome] = field(default_factory=list)
    """The way in which least is wrong, of those that are no guess."""
    guessed: list[Outcome] = field(default_factory=list)
    """The way in which least is wrong, of those that are a guess."""
    unseen: list[Outcome] = field(default_factory=list)
    """A way in which an error of a tenth would not have shown."""
    crashed: Obstacle | None = None
    partial: bool = False
    """Whether the pass was right in a part of what it returns, and the rest is of nothing known, or
    right but for an axis of one entry."""
    start: tuple[str, str] | None = None
    """With what a pass starts whose loss is nowhere, and by what that would be the derivative."""
    settled: set[str] = field(default_factory=set)
    """The ways, by their shapes, that need not be measured again."""
    half_right: set[str] = field(default_factory=set)
    """The arrays with which it is right in some settings and wrong in others."""

    def hear(self, planned: Sequence[Experiment]) -> Verdict | None:
        """Measure one way to call the pass; return the verdict where that decides."""
        experiments = [stirred(experiment, self.seed) for experiment in planned]
        self.number += 1
        averages = _may_average(self.case, experiments[0])
        outcomes = [self._outcome(experiment, averages) for experiment in experiments]
        if self.candidate.owner is None:
            self.partial = self.partial or any(map(is_right_in_another_shape, outcomes))
            outcomes = [_in_its_shapes(self.case, each, self.seed, averages) for each in outcomes]
        judged = [outcome for outcome in outcomes if outcome.judged]
        if scaled := next(filter(None, map(multiple, judged)), ""):
            self.case.note(self.candidate, scaled)
            self.partial = self.partial or not (self.wrong or self.guessed)
            return None
        if judged and all(outcome.agrees for outcome in judged):
            return self._hear_right(outcomes, judged, averages)
        if self.agreed and len(still_unrun(self.case, self.unrun, judged)) == len(self.unrun):
            return None  # other inputs, of which it has shown already that it is right
        if any(outcome.wrong for outcome in judged):
            self._hear_wrong(judged)
        elif not judged:
            self._hear_nothing(outcomes)
        return None

    def _outcome(self, experiment: Experiment, averages: bool) -> Outcome:
        return outcome_of(self.case, experiment, self.seed, averages)

    def _hear_right(
        self, outcomes: Sequence[Outcome], judged: list[Outcome], averages: bool
    ) -> Verdict | None:
        """Take a way in which the pass is right, unless it says less than one that is wrong."""
        case, candidate, first = self.case, self.candidate, judged[0]
        if arrays_of(judged) <= self.half_right:
            return None
        if self.wrong and _says_less(first, self.wrong[0]):
            self.closed = True
            return None
        if self.wrong and hides(first, self.wrong):
            return _of_several(case, candidate, self.wrong, self.seed)
        if self.guessed and is_thin(first) and not misshapen(self.guessed):
            return None
        if (self.guessed or self.wrong) and is_square(first):
            return None  # where two sizes are equal a mistake may not show
        if (fault := next(filter(None, map(fault_of, outcomes)), "")) and not self.partial:
            return Verdict(candidate, CRASHED, fault)
        if missing := missing_of(outcomes[0].experiment):
            case.note(candidate, missing)
            self.partial = True
            return None
        if self._is_wrong_otherwise(first, averages):
            return None
        several = with_several(first.experiment) if self._asks_for_several(first) else None
        if several is not None and (other := self._outcome(several, averages)).wrong:
            return _of_several(case, candidate, [other], self.seed)
        self.settled.add(shapes_of(outcomes[0].experiment))
        before = len(self.unrun)
        self.unrun = still_unrun(case, self.unrun, judged)
        self.agreed += judged if not self.agreed or len(self.unrun) < before else []
        return None if self.unrun else cleared(case, candidate, self.agreed)

    def _is_wrong_otherwise(self, right: Outcome, averages: bool) -> bool:
        """Say whether what is right is wrong for other values or for more examples."""
        if right.experiment.weights != "fixed":
            other = self._outcome(redrawn(right.experiment, self.seed + self.number), averages)
            if other.wrong and not self.partial:
                self.wrong, self.closed = [other], True
                return True
        more = with_more(right.experiment) if self.wrong or not _is_layer(right) else None
        if more is not None and (other := self._outcome(more, averages)).wrong:
            self.wrong = better(self.wrong, [other])  # right for so many examples by chance
            return True
        return False

    def _asks_for_several(self, right: Outcome) -> bool:
        return right.experiment.tier >= 2 and self.candidate.owner is None

    def _hear_wrong(self, judged: list[Outcome]) -> None:
        """Take a way in which the pass is wrong, as one that is guessed or as one that is not."""
        first = judged[0].experiment
        unfit = first.tier >= 3 and misshapen([outcome for outcome in judged if outcome.wrong])
        if unfit or not accuse(judged):
            self.guessed = better(self.guessed, judged)
            self.start = first.implied or self.start
            return
        self.wrong = better(self.wrong, judged)
        self.half_right |= arrays_of([outcome for outcome in judged if outcome.agrees])
        self.closed = first.certain and (first.tier <= 1 or self._takes_any_number(first))

    def _takes_any_number(self, loss: Experiment) -> bool:
        """Say whether a loss is meant for any numbers, and here is of arrays of one shape.

        Then what it is right of elsewhere, some labels or numbers between 0 and 1, clears nothing.
        """
        arrays = [value for value in loss.given.values() if np.ndim(value)]
        node = self.case.found.functions.get(loss.forward_name)
        alike = len({np.shape(value) for value in arrays}) == 1 < len(arrays)
        return loss.is_loss and alike and node is not None and takes_any_number(node)

    def _hear_nothing(self, outcomes: Sequence[Outcome]) -> None:
        """Take a way that says nothing: the pass raised, or an error would not have shown."""
        if isinstance(outcomes[0].measurement, Obstacle):
            self.settled.add(shapes_of(outcomes[0].experiment))
        for outcome in outcomes:
            obstacle = outcome.measurement
            if not isinstance(obstacle, Obstacle):
                if outcomes[0].experiment.tier < 3:
                    self.unseen = self.unseen or [outcome]
                continue
            own = outcome.experiment.certain and is_plain(self.case, self.candidate, outcome)
            if obstacle.crashed and own:
                self.crashed = self.crashed or obstacle
                self.case.fed.add(self.candidate.name)
            if obstacle.raised is None:
                self.case.note(self.candidate, obstacle.says)

    def conclude(self, late: bool, seconds: float) -> Verdict:
        """Return the verdict where no way to call the pass decided alone."""
        case, candidate = self.case, self.candidate
        if self.agreed and not self.wrong and candidate.owner is not None:
            first = self.agreed[0]
            self.unrun = unrun_in_any_state(case, candidate, first, self.unrun, self.seed)
            if not self.unrun:
                return cleared(case, candidate, self.agreed)
        if self.agreed and not (self.wrong and called_alike(self.wrong[0], self.agreed[0])):
            return Verdict(candidate, UNDECIDED, not_run(case, candidate, self.unrun))
        if self.wrong and not self.partial:
            return self._accusation()
        if self.crashed is not None and not self.unseen and candidate.name not in case.ran:
            return Verdict(candidate, CRASHED, self.crashed.says)
        if self.guessed and not self.partial:
            if (accused := self._accusation_of_guess()) is not None:
                return accused
            if self.start is not None:
                case.note(candidate, UNKNOWN_LOSS.format(self.start[0]))
        return Verdict(
            candidate, UNDECIDED, obstacle_of(case, candidate, self.unseen, late, seconds)
        )

    def _accusation(self) -> Verdict:
        """Return the verdict on a pass that is wrong, unless it is right for what it is meant."""
        case, candidate = self.case, self.candidate
        if hands_on(self.wrong[0]) and _is_output(candidate):
            return Verdict(candidate, UNDECIDED, handed_on(case, candidate))
        hot = with_one_hot(self.wrong[0].experiment)
        loss = self.wrong[0] if hot is None else self._outcome(hot, averages=False)
        if (of := times_by_scores(loss)) is not None:
            return Verdict(candidate, UNDECIDED, by_scores(case, candidate, *of))
        if _is_right_for_one_output(case, self.wrong[0], self.seed):
            return Verdict(candidate, UNDECIDED, for_one_output(case, candidate, self.wrong[0]))
        wrong = self.wrong
        if ones := self._with_ones():
            if all(one.agrees for one in ones) and not still_unrun(case, self.unrun, ones):
                return cleared(case, candidate, ones)
            wrong = [one for one in ones if one.wrong] if all(map(is_apart, wrong)) else wrong
        findings = findings_of(case, candidate, wrong)
        return Verdict(candidate, DISAGREE, "", findings)

    def _with_ones(self) -> list[Outcome]:
        """Return what the wrong way says where the first feature is 1, [] where none can be.

        The first entry of a gradient that is wrong alone is that of a bias among the parameters.
        """
        found: list[Outcome] = []
        for experiment in (outcome.experiment for outcome in self.wrong):
            others = [experiment, redrawn(experiment, self.seed), with_more(experiment)]
            for each in (with_ones(other) for other in others if other is not None):
                if each is None:
                    return []
                found.append(self._outcome(each, _may_average(self.case, each)))
        return found

    def _accusation_of_guess(self) -> Verdict | None:
        """Return the verdict on a pass that is wrong if a guess of ours is right, and that is sure.

        Where a loss is implied, one gradient that is right shows that it was guessed right.
        """
        share, one = wrongness(self.guessed)[0], self.guessed[0].experiment
        if share >= 1:
            return None
        findings = findings_of(self.case, self.candidate, self.guessed)
        explained = all(finding.right and finding.bug not in _RENAMED for finding in findings)
        known = one.implied is not None and one.made_surely
        if known or (share < 0.5 and explained):
            return Verdict(self.candidate, DISAGREE, "", findings)
        return None


_OUTPUTS = frozenset({"softmax", "sigmoid"})


def _is_output(candidate: Candidate) -> bool:
    """Say whether a pass is that of an activation whose derivative a loss may take, too."""
    names = (candidate.owner or "", candidate.function)
    return bool(_OUTPUTS & {part for name in names for part in name_parts(name)})


def _may_average(case: Case, experiment: Experiment) -> bool:
    """Say whether a pass may take the average over examples that its forward pass does not."""
    return experiment.weights in ("drawn", "fixed") or is_summed(case.door, experiment)


def _is_layer(outcome: Outcome) -> bool:
    """Say whether a pass is given the gradient of its output, and does not start at a loss."""
    return outcome.experiment.weights == "drawn"


def _says_less(right: Outcome, wrong: Outcome) -> bool:
    """Say whether a right way was found less surely than a wrong one, or is of less.

    It may be the derivative of fewer outputs, or have fewer gradients.

    A loss that is one number there, and an array in the wrong way, was not meant for the latter.
    """
    one, other = right.experiment, wrong.experiment
    if _is_number(right) and not _is_number(wrong):
        return False
    fewer = len(one.gradients) < len(other.gradients) or len(one.outputs) < len(other.outputs)
    return other.tier < one.tier or fewer


def _is_number(outcome: Outcome) -> bool:
    """Say whether a loss is one number in an experiment."""
    measured = outcome.measurement
    return (
        isinstance(measured, Measurement)
        and not _is_layer(outcome)
        and (all(output.size == 1 for output in measured.outputs))
    )


def _is_right_for_one_output(case: Case, outcome: Outcome, seed: int) -> bool:
    one = with_one_output(outcome.experiment)
    return one is not None and outcome_of(case, one, seed, averages=False).agrees


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
        and without_ones(tensor.found_shape) == without_ones(tensor.shape)
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
    if experiment.tier < 2:
        said = outcome_of(case, replace(again, reshaped=tuple(shapes)), seed, averages)
        return said if said.agrees else outcome
    said = outcome_of(case, again, seed, averages)
    if isinstance(said.measurement, Obstacle):
        first = alike[0]
        return Outcome(
            again,
            Obstacle(
                f"its {first.gradient.label} has the shape {first.found_shape}, and with "
                f"{first.gradient.of} in that shape {experiment.forward_name} does not run"
            ),
        )
    return said


def _of_several(case: Case, candidate: Candidate, wrong: list[Outcome], seed: int) -> Verdict:
    """Return the verdict on a pass that is right for one example, and wrong for several.

    It may be meant for one, where its gradients have other shapes for several; or for labels of
    another kind than were tried, unless its mistake has a name.
    """
    if _is_right_for_one_output(case, wrong[0], seed):
        return Verdict(candidate, UNDECIDED, for_one_output(case, candidate, wrong[0]))
    findings = findings_of(case, candidate, wrong)
    named = all(finding.bug not in UNNAMED for finding in findings)
    if not misshapen(wrong) and (named or not any(map(is_label, wrong[0].experiment.given))):
        return Verdict(candidate, DISAGREE, "", findings)
    return Verdict(candidate, UNDECIDED, for_one_example(case, candidate, wrong))


_RENAMED = frozenset(
    """gradient-of-another-argument derivative-of-another-layer upstream-from-da
    mask-of-another-layer""".split()
)
"""Mistakes that a wrong guess of ours, what a pass is called with, would look like."""
