"""The gallery: every mistake that is known by name, planted to see whether the check names it.

A bug is a wrong formula in place of one operation of a right backward pass
(`verify.diagnose.mistakes`). It is planted in every layer where it can be written and changes
something. The check is given the gradients, and not what was planted; it must say that they
are wrong, in which layer, and by which mistake.

A bug that changes nothing on a problem (an L2 term of strength 0) is not planted there, and
neither is one that makes the same numbers as another (with a keep_prob of 0.5, a missing
division looks like a factor of 2). `Gallery.left_out` says which and why.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from verify.catalogue import in_words
from verify.diagnose import right_chain
from verify.diagnose.chain import Chain, Tape
from verify.diagnose.formulas import expected, general_names
from verify.diagnose.given_gradients import one_blas_thread, prepare
from verify.diagnose.mistakes import MISTAKES, AnyMistake, Fault
from verify.diagnose.search import rms
from verify.evidence.built_in_network import Witnesses
from verify.findings import Finding
from verify.network import weigh
from verify.problem import Problem

Grads = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Bug:
    """One bug of the gallery: its name, and the formulas by which it can be written."""

    id: str
    forms: tuple[AnyMistake, ...]

    @property
    def sentence(self) -> str:
        """What is wrong, for any layer."""
        return self.forms[0].sentence.format_map(general_names())

    @property
    def found(self) -> str:
        """The wrong formula, for any layer."""
        return self.forms[0].found.format_map(general_names())

    @property
    def expected(self) -> str:
        """The right formula, for any layer."""
        return expected(self.forms[0].operation).format_map(general_names())

    def fits(self, tape: Tape, layers: Iterable[int]) -> bool:
        """Whether the bug can be written in one of these layers."""
        return any(form.at(tape, layer) for form in self.forms for layer in layers)


BUGS: Mapping[str, Bug] = {
    name: Bug(name, tuple(form for form in MISTAKES if form.bug == name))
    for name in dict.fromkeys(form.bug for form in MISTAKES)
}
"""Every bug of the gallery by its id."""


@dataclass(frozen=True)
class Place:
    """A bug in one layer of a problem's backward pass, by one of its formulas."""

    bug: Bug
    fault: Fault


@dataclass(frozen=True)
class Outcome:
    """What the check said of a planted bug."""

    bug: str
    layer: int
    caught: bool
    findings: tuple[Finding, ...]

    @property
    def layer_right(self) -> bool:
        """Whether this layer was found to be wrong, and no other."""
        return {finding.layer for finding in self.findings} == {self.layer}

    @property
    def named_right(self) -> bool:
        """Whether the bug was named, and nothing else."""
        return [finding.bug for finding in self.findings] == [self.bug]


class LeftOut(NamedTuple):
    """Why a bug is not planted: it does not fit the network, or makes the numbers of `same_as`.

    `same_as` is another bug, or "" for the right pass.
    """

    fits: bool
    same_as: str = ""

    @property
    def why(self) -> str:
        """The reason, in words."""
        if not self.fits:
            return "cannot be written in this network"
        if not self.same_as:
            return "changes nothing here"
        return f"makes the same numbers as {in_words([self.same_as])}"


@dataclass(frozen=True)
class Gallery:
    """The places where bugs can be told apart on a problem; the other bugs, with the reason."""

    places: Sequence[Place]
    left_out: Mapping[str, LeftOut]


def with_biases(problem: Problem, seed: int) -> Problem:
    """Return the problem with its biases drawn: at 0 a penalty on them would change nothing."""
    rng = np.random.default_rng(seed)
    return problem.with_params(
        {
            name: value
            if name[0] == "W"
            else (0.1 * rng.standard_normal(value.shape)).astype(value.dtype)
            for name, value in problem.params.items()
        }
    )


def plant(problem: Problem, faults: Sequence[Fault]) -> tuple[Grads, Grads]:
    """Return the gradients, and the dZ and dA, of a right pass with these mistakes put in."""
    with np.errstate(all="ignore"):
        chain = _planted(right_chain(problem), faults)
        grads = {name: chain[f"d{name[0]}", int(name[1:])] for name in problem.params}
        inner = {f"dZ{layer}": chain["dZ", layer] for layer in chain.tape.layers}
        inner |= {f"dA{layer}": chain["kept", layer] for layer in chain.tape.hidden}
        return _cast(grads, problem), _cast(inner, problem)


def _planted(right: Chain, faults: Sequence[Fault]) -> Chain:
    return right.planted({fault.key: fault.formula for fault in faults})


def _cast(arrays: Grads, problem: Problem) -> Grads:
    return {name: array.astype(problem.dtype, copy=False) for name, array in arrays.items()}


def fill_gallery(problem: Problem, bars: Grads, layers: Iterable[int]) -> Gallery:
    """Find the places in `layers` where a bug makes numbers that no other bug makes.

    `bars` are the error bars of right gradients of the problem.
    """
    with np.errstate(all="ignore"), one_blas_thread():
        places, equal = _told_apart(problem, bars, layers)
    left_out = {
        name: _reason([other for bug, other in equal if bug == name])
        for name in BUGS.keys() - {place.bug.id for place in places}
    }
    return Gallery(places, {name: left_out[name] for name in BUGS if name in left_out})


def _reason(equal: Sequence[str]) -> LeftOut:
    bugs = [other for other in equal if other]
    return LeftOut(bool(equal), max(bugs, key=bugs.count, default=""))


def _told_apart(
    problem: Problem, bars: Grads, layers: Iterable[int]
) -> tuple[list[Place], list[tuple[str, str]]]:
    """Return the places that differ from the right pass and from all places before.

    Also return each other bug, with the bug whose numbers it makes, "" if they are right. The
    diagnosis compares; a random projection of each gradient saves most of the comparisons.
    """
    right = right_chain(problem)
    rng = np.random.default_rng(0)
    weights = {name: rng.standard_normal(bar.shape) for name, bar in bars.items()}
    slack = [np.vdot(np.abs(weights[n]), bars[n] + rms(bars[n])) for n in problem.params]
    places: list[Place] = []
    equal: list[tuple[str, str]] = []
    marks: list[list[float]] = []
    forms = ((form, layer) for form in MISTAKES for layer in layers)
    for fault in (fault for form, layer in forms for fault in form.at(right.tape, layer)):
        grads, _ = plant(problem, [fault])
        tested, _ = prepare(problem, grads, bars)
        if not any(tested.stands_out(right, key) for key in tested.seen):
            equal.append((fault.bug, ""))
            continue
        mark = [float(np.vdot(weights[name], grads[name])) for name in problem.params]
        near = np.isclose(marks, mark, rtol=1e-2, atol=slack, equal_nan=True) if marks else None
        candidates = [] if near is None else [places[i] for i in np.flatnonzero(near.all(axis=1))]
        for place in candidates:
            chain = _planted(right, [place.fault])
            if all(tested.agrees(chain, key) for key in tested.seen):
                equal.append((fault.bug, place.bug.id))
                break
        else:
            marks.append(mark)
            places.append(Place(BUGS[fault.bug], fault))
    return places, equal


def outcomes(
    problem: Problem, witnesses: Witnesses, loss: float, places: Iterable[Place]
) -> Iterator[Outcome]:
    """Plant a bug in each place, check the gradients, and yield what the check says."""
    for place in places:
        grads, _ = plant(problem, [place.fault])
        report = weigh(problem, witnesses, loss, grads)
        caught = report.verdict == "disagree"
        yield Outcome(place.bug.id, place.fault.layer, caught, tuple(report.diagnosis))


def summary(results: Sequence[Outcome], left_out: Mapping[str, LeftOut]) -> dict[str, Any]:
    """Return the JSON of `backproof bugs`: a bug is caught if it is in all of its layers."""
    counts = ("caught", "layer_right", "named_right")
    bugs = []
    for name in dict.fromkeys(outcome.bug for outcome in results):
        own = [outcome for outcome in results if outcome.bug == name]
        bug: dict[str, Any] = {"id": name}
        bug |= {count: all(getattr(outcome, count) for outcome in own) for count in counts}
        bug["layers"] = sorted({outcome.layer for outcome in own})
        bugs.append(bug | {"sentence": BUGS[name].sentence})
    return {
        "bugs": bugs,
        "total": len(bugs),
        **{count: sum(bug[count] for bug in bugs) for count in counts},
        "left_out": [
            {"id": name, "why": reason.why, "twin": reason.same_as or None}
            for name, reason in left_out.items()
        ],
    }
