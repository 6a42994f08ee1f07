"""The gallery: bugs that people write into a backward pass, planted to see them named.

Every mistake that the diagnosis knows by name (`verify.diagnosis.mistakes`) is a bug here: a
formula in the place of one operation of a right backward pass. It is planted in every layer,
in every form, where it makes sense and changes something. The gradients then go to the
three-way check like anybody's, and the check must say that they are wrong, in which layer, and
by which mistake. It is given numbers; it is not told what was planted.

What cannot be told on a problem is not planted there: a bug that changes nothing (an L2 term
of strength 0), and one that makes the same numbers as another (a keep_prob of 0.5 looks like a
factor of 2). `Gallery.left_out` says which and why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from verify.agreement import Witnesses, weigh
from verify.diagnosis import Finding, one_blas_thread
from verify.diagnosis.chain import Chain, Tape
from verify.diagnosis.mistakes import MISTAKES, Fault, Misplaced, Mistake
from verify.diagnosis.search import beyond, rms
from verify.diagnosis.words import expected, fill
from verify.problem import Problem

Grads = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Bug:
    """One bug of the gallery: its name, and the forms that it takes."""

    id: str
    forms: tuple[Mistake | Misplaced, ...]

    @property
    def sentence(self) -> str:
        """What is wrong, for any layer."""
        return fill(self.forms[0].sentence, None)

    @property
    def found(self) -> str:
        """The wrong formula, for any layer."""
        return fill(self.forms[0].found, None)

    @property
    def expected(self) -> str:
        """The right formula, for any layer."""
        return expected(None, self.forms[0].operation)

    def at(self, tape: Tape, layer: int) -> list[Fault]:
        """Return every form of the bug that makes sense in a layer."""
        return [fault for form in self.forms for fault in form.at(tape, layer)]


BUGS: Mapping[str, Bug] = {
    name: Bug(name, tuple(form for form in MISTAKES if form.bug == name))
    for name in dict.fromkeys(form.bug for form in MISTAKES)
}
"""Every bug of the gallery by its id."""


@dataclass(frozen=True, eq=False)
class Planted:
    """A bug in one layer of a problem's backward pass, and the gradients that this makes."""

    bug: Bug
    fault: Fault
    grads: Grads
    intermediates: Grads


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


@dataclass(frozen=True, eq=False)
class Gallery:
    """The bugs that can be told on a problem, planted, and those that cannot, with the reason."""

    planted: Sequence[Planted]
    left_out: Mapping[str, str]


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


def plant(problem: Problem, right: Chain, faults: Sequence[Fault]) -> tuple[Grads, Grads]:
    """Return the gradients, and the dZ and dA, of a right pass with these mistakes put in."""
    with np.errstate(all="ignore"):
        chain = right.planted({fault.key: fault.formula for fault in faults})
        grads = {name: chain[f"d{name[0]}", int(name[1:])] for name in problem.params}
        inner = {f"dZ{layer}": chain["dZ", layer] for layer in right.tape.layers}
        inner |= {f"dA{layer}": chain["kept", layer] for layer in right.tape.hidden}
        return _cast(grads, problem), _cast(inner, problem)


def _cast(arrays: Grads, problem: Problem) -> Grads:
    return {name: array.astype(problem.dtype, copy=False) for name, array in arrays.items()}


def fill_gallery(problem: Problem, right: Chain, bars: Grads, layers: Iterable[int]) -> Gallery:
    """Plant every bug in every one of `layers` where its numbers are its own.

    `right` is the problem's own backward pass, `bars` how far its gradients may be off.
    """
    with one_blas_thread():
        return _filled(problem, right, bars, layers)


def _filled(problem: Problem, right: Chain, bars: Grads, layers: Iterable[int]) -> Gallery:
    same = _comparison(bars, float(np.finfo(problem.dtype).eps) * np.sqrt(right.tape.m))
    rng = np.random.default_rng(0)
    weights = {name: rng.standard_normal(bar.shape) for name, bar in bars.items()}
    planted: list[Planted] = []
    left_out = {}
    names, known, marks = ["nothing"], [plant(problem, right, ())[0]], []
    marks.append(_mark(known[0], weights))
    for bug in BUGS.values():
        faults = [f for layer in layers for f in bug.at(right.tape, layer)]
        twins = []
        for fault in faults:
            grads, intermediates = plant(problem, right, [fault])
            mark = _mark(grads, weights)
            near = np.isclose(marks, mark, rtol=1e-3, atol=1e-12, equal_nan=True).all(axis=1)
            twin = next((i for i in np.flatnonzero(near) if same(grads, known[i])), None)
            if twin is None:
                names, known, marks = [*names, bug.id], [*known, grads], [*marks, mark]
                planted.append(Planted(bug, fault, grads, intermediates))
            else:
                twins.append(names[twin])
        if not faults:
            left_out[bug.id] = "makes no sense in this network"
        elif len(twins) == len(faults):
            left_out[bug.id] = (
                "changes nothing here"
                if set(twins) == {"nothing"}
                else f"makes the same numbers as {max(set(twins) - {'nothing'}, key=twins.count)}"
            )
    return Gallery(planted, left_out)


def _mark(grads: Grads, weights: Grads) -> np.ndarray:
    """Return one number a tensor, by which most gradients differ at first sight."""
    return np.array([np.vdot(weights[name], grad) for name, grad in grads.items()])


def _comparison(bars: Grads, rounding: float) -> Callable[[Grads, Grads], bool]:
    """Return whether gradients are the same within rounding, as a function of two of them."""

    def same(a: Grads, b: Grads) -> bool:
        return all(a[name] is b[name] or close(name, a[name], b[name]) for name in a)

    def close(name: str, a: np.ndarray, b: np.ndarray) -> bool:
        tolerance = bars[name] + rms(bars[name]) + rounding * (np.abs(b) + rms(b))
        return not beyond(a, b, tolerance).any()

    return same


def trials(
    problem: Problem, witnesses: Witnesses, loss: float, planted: Sequence[Planted]
) -> Iterator[Trial]:
    """Put every planted bug to the check, and yield what it says."""
    for one in planted:
        report = weigh(problem, witnesses, loss, one.grads)
        yield Trial(
            one.bug.id,
            one.fault.layer,
            report.verdict == "disagree",
            tuple(report.diagnosis),
        )


def summary(results: Sequence[Trial], left_out: Mapping[str, str]) -> dict:
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
        "left_out": [{"id": name, "why": why} for name, why in left_out.items()],
    }
