"""From a pass's measurements to its verdict.

A pass is right if every gradient is that of its own forward pass within error bars, in every
setting. Gradients of parameters that are all 1/N of the derivative are right too: the average
over N examples is taken there. So is a gradient of the input that is N times the derivative of an
average, where all gradients of parameters are right: that is the course's dA. An agreement counts
where an error of a tenth would have shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from verify.findings import Finding
from verify.homework.passes.experiment import Experiment
from verify.homework.passes.measure import SLIGHT, Measured, Measurement, Obstacle
from verify.homework.read.discover import Candidate

TENTH = 0.1
"""The error that must have shown where a gradient agrees."""


@dataclass(frozen=True, eq=False)
class Wrong:
    """A gradient that is not the derivative, in one experiment; `scale` is the convention 1/N."""

    tensor: Measured
    scale: float


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one experiment says of a pass."""

    experiment: Experiment
    measurement: Measurement | Obstacle
    wrong: tuple[Wrong, ...] = ()
    unseen: tuple[Measured, ...] = ()
    averaged: int = 0
    """The N by which the gradients of the parameters are divided, 0 if they are not."""
    slight: float = 0.0
    carried: int = 0
    """The N by which the gradient of the input is not divided, 0 if it is."""

    @property
    def judged(self) -> bool:
        """Whether it says anything."""
        return isinstance(self.measurement, Measurement) and not (self.unseen and not self.wrong)

    @property
    def agrees(self) -> bool:
        """Whether everything is right in it."""
        return self.judged and not self.wrong


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


def weigh(experiment: Experiment, measurement: Measurement | Obstacle, averages: bool) -> Outcome:
    """Return what an experiment says of a pass; `averages` says that it may take an average.

    A loss that takes the average itself leaves none to take.
    """
    if isinstance(measurement, Obstacle):
        return Outcome(experiment, measurement)
    tensors = measurement.tensors
    plain = [t for t in tensors if not is_right(t, 1.0)]
    chosen, averaged = plain, 0
    if plain and averages:
        for size in _batches(experiment):
            rest = [
                t for t in tensors
                if not is_right(t, 1.0 if _is_main(t, experiment) else 1 / size)
            ]  # fmt: skip
            if len(rest) < len(chosen) and _averages(tensors, size):
                chosen, averaged = rest, size
    chosen, carried = _without_course_input(experiment, tensors, chosen)
    scale = 1 / averaged if averaged else 1.0
    unseen = tuple(t for t in tensors if t not in chosen and not _resolved(t))
    scales = [(t, 1.0 if _is_main(t, experiment) else scale) for t in tensors if t not in chosen]
    if carried:
        scales = [(t, carried if t.gradient.of == experiment.main else s) for t, s in scales]
    worst = max((_slight(t, s) for t, s in scales), default=0.0)
    return Outcome(
        experiment,
        measurement,
        tuple(Wrong(t, scale) for t in chosen),
        tensors if all(map(_is_zero, tensors)) else unseen,
        averaged,
        worst,
        carried,
    )


def _without_course_input(
    experiment: Experiment, tensors: Sequence[Measured], wrong: list[Measured]
) -> tuple[list[Measured], int]:
    """Return what is wrong without a gradient of the input in the course's convention, and its N.

    Its dA is m times the derivative, and the average is taken in the gradients of the parameters.
    """
    inputs = [t for t in wrong if t.gradient.of == experiment.main]
    if experiment.weights == "drawn" or inputs != wrong or len(tensors) == len(wrong):
        return wrong, 0
    for size in _batches(experiment):
        if all(is_right(t, size) for t in inputs) and inputs:
            return [], size
    return wrong, 0


def _is_main(tensor: Measured, experiment: Experiment) -> bool:
    """Say whether a gradient is of a layer's input, which no average is taken of."""
    return tensor.gradient.of == experiment.main and experiment.weights == "drawn"


def _averages(tensors: Sequence[Measured], size: int) -> bool:
    """Say whether any gradient that is not 0 is the derivative over the number of examples."""
    return any(is_right(t, 1 / size) and not is_right(t, 1.0) for t in tensors)


def _batches(experiment: Experiment) -> list[int]:
    """Return what the number of examples may be: a size of the main input that no other has."""
    main = np.shape(experiment.given.get(experiment.main, ()))
    if len(main) < 2:
        return []
    others = {
        size
        for name in experiment.tensors
        if name != experiment.main
        for size in np.shape(experiment.given[name])
    }
    found = [size for size in (main[0], main[-1]) if size not in others and size > 1]
    return list(dict.fromkeys(found))


def shaped(tensor: Measured) -> np.ndarray | None:
    """Return the found gradients, (c, entries), or None if their shape does not broadcast."""
    if tensor.found is None:
        return None
    size = int(np.prod(tensor.shape))
    if tensor.found[0].size != size:
        return None
    if tensor.found_shape != tensor.shape:
        try:
            joined = np.broadcast_shapes(tensor.shape, tensor.found_shape)
        except ValueError:
            return None
        if joined != tensor.shape:
            return None
    return np.asarray(tensor.found.reshape(len(tensor.found), size))


def is_right(tensor: Measured, scale: float) -> bool:
    """Say whether a gradient is `scale` times the derivative, within its bars."""
    found = shaped(tensor)
    if found is None:
        return False
    if not tensor.smooth.any():
        return True  # nothing to compare: it is not resolved
    gap, allowed = gaps(tensor, found, scale)
    return bool((gap <= allowed).all())


def gaps(tensor: Measured, found: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return how far off the smooth entries are, and how far they may be, each (c, k)."""
    kept = tensor.smooth
    some = found[:, tensor.index][:, kept]
    expected, bar = scale * tensor.expected[:, kept], scale * tensor.bar[:, kept]
    size = np.maximum(np.abs(expected).max(initial=0.0), np.abs(bar).max(initial=0.0))
    with np.errstate(invalid="ignore"):
        gap = np.abs(some - expected)
    return np.where(np.isfinite(gap), gap, np.inf), 2 * bar + SLIGHT * size


def times_by_scores(outcome: Outcome) -> tuple[float, str] | None:
    """Return how many times a wrong gradient is that by the scores, and of what activation.

    None where it is no multiple of that. Of L(s(z)), with the sigmoid s, the derivative by z is
    s(z) (1 - s(z)) times that by s(z); with the softmax it is p (g - sum of g p), with p = s(z)
    and g the derivative by p: both are `out - y`, of a cross-entropy.
    """
    experiment = outcome.experiment
    tensors = [wrong.tensor for wrong in outcome.wrong if wrong.tensor.whole]
    found = shaped(tensors[0]) if len(tensors) == len(experiment.gradients) == 1 else None
    if found is None or experiment.weights == "drawn" or not tensors[0].smooth.all():
        return None
    out = np.asarray(experiment.given[tensors[0].gradient.of], float)
    if ((out <= 0) | (out >= 1)).any():
        return None
    by_out = tensors[0].expected.reshape(len(found), *out.shape)
    by_scores = {"sigmoid": out * (1 - out) * by_out}
    for axis in range(1, by_out.ndim):
        mean = (by_out * out).sum(axis, keepdims=True)
        by_scores[f"softmax{axis}"] = out * (by_out - mean)
    for activation, each in by_scores.items():
        expected = each.reshape(found.shape)
        times = float(np.vdot(expected, found) / max(np.vdot(expected, expected), 1e-300))
        gap = np.abs(found - times * expected).max()
        if times > 0 and gap <= SLIGHT * np.abs(found).max():
            return times, activation.rstrip("0123456789")
    return None


def hands_on(outcome: Outcome) -> bool:
    """Say whether a pass gives the gradient of its output back as that of its input, unchanged."""
    measured = outcome.measurement
    if not isinstance(measured, Measurement) or len(outcome.experiment.gradients) != 1:
        return False
    found, cotangents = measured.tensors[0].found, measured.cotangents
    return (
        found is not None
        and outcome.experiment.weights == "drawn"
        and all(
            len(each) == 1 and np.array_equal(each[0], gradient)
            for each, gradient in zip(cotangents, found, strict=True)
        )
    )


def relative_error(wrong: Wrong) -> float:
    """Return how far off a gradient is, over the larger of it and what it should be."""
    tensor, found = wrong.tensor, shaped(wrong.tensor)
    if found is None or not tensor.smooth.any():
        return np.inf
    gap, _ = gaps(tensor, found, wrong.scale)
    size = max(np.abs(tensor.expected[:, tensor.smooth]).max() * wrong.scale, np.abs(found).max())
    return float(gap.max() / size) if size else 0.0


def multiple(outcome: Outcome) -> str:
    """Say that an optimiser's step is a multiple of the derivative, "" where none is.

    Whether the pass or the optimiser has the factor (1 - momentum, say) is not known.
    """
    for wrong in outcome.wrong:
        tensor, found = wrong.tensor, shaped(wrong.tensor)
        if not tensor.gradient.applied or found is None or not tensor.smooth.any():
            continue
        some = found[:, tensor.index][:, tensor.smooth]
        expected = tensor.expected[:, tensor.smooth]
        factor = float((some * expected).sum() / max((expected**2).sum(), 1e-300))
        if np.abs(some - factor * expected).max() <= 1e-3 * np.abs(some).max():
            return (
                f"its optimiser moves {tensor.gradient.of} by {factor:.3g} times the learning rate "
                "times the derivative"
            )
    return ""


def _slight(tensor: Measured, scale: float) -> float:
    """Return the largest difference beyond the bars, over the size of the gradient."""
    found = shaped(tensor)
    if found is None or not tensor.smooth.any():
        return 0.0
    gap, _ = gaps(tensor, found, scale)
    expected = np.abs(scale * tensor.expected[:, tensor.smooth])
    size = expected.max(initial=0.0)
    over = gap - 8 * scale * tensor.bar[:, tensor.smooth]
    return float(over.max(initial=0.0) / size) if size else 0.0


def _resolved(tensor: Measured) -> bool:
    """Say whether an error of a tenth in any of what was compared would have shown."""
    if tensor.smooth.sum() * 2 < tensor.smooth.size:
        return False
    expected = tensor.expected[:, tensor.smooth]
    bar = tensor.bar[:, tensor.smooth]
    size = float(np.abs(expected).max(initial=0.0))
    return bool(2 * bar.max(initial=0.0) + SLIGHT * size <= TENTH * size) or _is_zero(tensor)


def _is_zero(tensor: Measured) -> bool:
    """Say whether a derivative is 0 up to rounding, and was found to be 0."""
    found = shaped(tensor)
    small = np.abs(tensor.expected) <= 4 * tensor.bar
    return bool(small[:, tensor.smooth].all() and found is not None and np.abs(found).max() < 1e-7)
