"""The gallery: bugs that people write into a backward pass, planted to see them named.

Every mistake that the diagnosis knows by name (`verify.diagnose.mistakes`) is a bug here: a
formula in the place of one operation of a right backward pass. It is planted in every layer,
in every form, where it makes sense and changes something. The gradients then go to the
three-way check like anybody's, and the check must say that they are wrong, in which layer, and
by which mistake. It is given numbers; it is not told what was planted.

What cannot be told on a problem is not planted there: a bug that changes nothing (an L2 term
of strength 0), and one that makes the same numbers as another (a keep_prob of 0.5 looks like a
factor of 2). `Gallery.left_out` says which and why.
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
from verify.diagnose.inputs import one_blas_thread, prepare
from verify.diagnose.mistakes import MISTAKES, AnyMistake, Fault
from verify.diagnose.search import rms
from verify.evidence.network import Witnesses
from verify.findings import Finding
from verify.network import weigh
from verify.problem import Problem

Grads = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Bug:
    """One bug of the gallery: its name, and the forms that it takes."""

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

    def makes_sense(self, tape: Tape, layers: Iterable[int]) -> bool:
        """Whether any form of the bug can be written in one of these layers."""
        return any(form.at(tape, layer) for form in self.forms for layer in layers)


BUGS: Mapping[str, Bug] = {
    name: Bug(name, tuple(form for form in MISTAKES if form.bug == name))
    for name in dict.fromkeys(form.bug for form in MISTAKES)
}
"""Every bug of the gallery by its id."""


@dataclass(frozen=True)
class Place:
    """A bug in one layer of a problem's backward pass, in one of its forms."""

    bug: Bug
    fault: Fault


@dataclass(frozen=True)
class Trial:
    """What the check said of a planted bug."""

    bug: str
    layer: int
    caught: bool
    findings: tuple[Finding, ...]

    @property
    def layer_right(self) -> bool:
        """Whether the layer was found, and no other accused."""
        return {finding.layer for finding in self.findings} == {self.layer}

    @property
    def named_right(self) -> bool:
        """Whether the bug was called by its name, and nothing else was said."""
        return [finding.bug for finding in self.findings] == [self.bug]


class LeftOut(NamedTuple):
    """Why a bug is not planted: it makes the same numbers as its twin, or as no bug at all."""

    makes_sense: bool
    twin: str = ""

    @property
    def why(self) -> str:
        """The reason, in words."""
        if not self.makes_sense:
            return "makes no sense in this network"
        if not self.twin:
            return "changes nothing here"
        return f"makes the same numbers as {in_words([self.twin])}"


@dataclass(frozen=True)
class Gallery:
    """Where bugs can be told on a problem, and those that can nowhere, with the reason."""

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
    """Find the places in `layers` where a bug makes numbers that are not another's.

    `bars` are how far right gradients of the problem may be off.
    """
    with np.errstate(all="ignore"), one_blas_thread():
        places, twins = _told_apart(problem, bars, layers)
    reasons = {}
    for name in BUGS:
        others = [twin for bug, twin in twins if bug == name]
        if name not in {place.bug.id for place in places}:
            reasons[name] = _reason(others)
    return Gallery(places, reasons)


def _reason(twins: Sequence[str]) -> LeftOut:
    bugs = [twin for twin in twins if twin]
    return LeftOut(bool(twins), max(bugs, key=bugs.count, default=""))


def _told_apart(
    problem: Problem, bars: Grads, layers: Iterable[int]
) -> tuple[list[Place], list[tuple[str, str]]]:
    """Return the places that can be told from right and from all before, and the twins.

    A twin is a bug and what it cannot be told from: another, or "" for none. Whether two can be
    told apart is for the diagnosis to say; a random projection of each gradient spares it most
    of the comparisons.
    """
    right = right_chain(problem)
    rng = np.random.default_rng(0)
    weights = {name: rng.standard_normal(bar.shape) for name, bar in bars.items()}
    slack = [np.vdot(np.abs(weights[n]), bars[n] + rms(bars[n])) for n in problem.params]
    places: list[Place] = []
    twins: list[tuple[str, str]] = []
    marks: list[list[float]] = []
    faults = (
        fault for form in MISTAKES for layer in layers for fault in form.at(right.tape, layer)
    )
    for fault in faults:
        grads, _ = plant(problem, [fault])
        tested, _ = prepare(problem, grads, bars)
        if not any(tested.stands_out(right, key) for key in tested.seen):
            twins.append((fault.bug, ""))
            continue
        mark = [float(np.vdot(weights[name], grads[name])) for name in problem.params]
        near = np.isclose(marks, mark, rtol=1e-2, atol=slack, equal_nan=True) if marks else None
        candidates = [] if near is None else [places[i] for i in np.flatnonzero(near.all(axis=1))]
        for place in candidates:
            chain = _planted(right, [place.fault])
            if all(tested.agrees(chain, key) for key in tested.seen):
                twins.append((fault.bug, place.bug.id))
                break
        else:
            marks.append(mark)
            places.append(Place(BUGS[fault.bug], fault))
    return places, twins


def trials(
    problem: Problem, witnesses: Witnesses, loss: float, places: Iterable[Place]
) -> Iterator[Trial]:
    """Plant a bug in each place, put it to the check, and yield what the check says."""
    for place in places:
        grads, _ = plant(problem, [place.fault])
        report = weigh(problem, witnesses, loss, grads)
        yield Trial(
            place.bug.id,
            place.fault.layer,
            report.verdict == "disagree",
            tuple(report.diagnosis),
        )


def summary(results: Sequence[Trial], left_out: Mapping[str, LeftOut]) -> dict[str, Any]:
    """Return the JSON of `backproof bugs`: a bug counts where it counts in all of its layers."""
    bugs = []
    for name in dict.fromkeys(trial.bug for trial in results):
        own = [trial for trial in results if trial.bug == name]
        bugs.append(
            {
                "id": name,
                "caught": all(trial.caught for trial in own),
                "layer_right": all(trial.layer_right for trial in own),
                "named_right": all(trial.named_right for trial in own),
                "layers": sorted({trial.layer for trial in own}),
                "sentence": BUGS[name].sentence,
            }
        )
    counts = ("caught", "layer_right", "named_right")
    return {
        "bugs": bugs,
        "total": len(bugs),
        **{count: sum(bug[count] for bug in bugs) for count in counts},
        "left_out": [
            {"id": name, "why": reason.why, "twin": reason.twin or None}
            for name, reason in left_out.items()
        ],
    }
