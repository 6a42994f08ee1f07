"""What the outcomes of two ways to call a pass say beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from verify.homework.passes.experiment import Experiment
from verify.homework.passes.inputs import is_label
from verify.homework.passes.measure import Measured, Measurement
from verify.homework.passes.verdicts import Outcome, gaps, relative_error, shaped


def shapes_of(experiment: Experiment) -> str:
    """Return how a pass is called in an experiment: the shapes of arrays, and what is set."""
    shapes = {
        name: value.shape if isinstance(value, np.ndarray) else value
        for name, value in experiment.given.items()
    }
    return repr((shapes, experiment.forward, experiment.backward[-1], experiment.weights))


def arrays_of(outcomes: Sequence[Outcome]) -> set[str]:
    """Return the arrays of experiments in which a pass is right, whatever else is set in them."""
    return {
        repr(
            [(n, v.shape) for n, v in outcome.experiment.given.items() if isinstance(v, np.ndarray)]
        )
        for outcome in outcomes
    }


def called_alike(one: Outcome, other: Outcome) -> bool:
    """Say whether a pass is called in the same way in two experiments, on other inputs."""
    return one.experiment.backward[-1] == other.experiment.backward[-1]


def hides(one: Outcome, wrong: Sequence[Outcome]) -> bool:
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
    return called_alike(one, wrong[0]) and fewer and (layer or not misshapen(wrong))


def is_thin(outcome: Outcome) -> bool:
    """Say whether an input has an axis of one entry, in which mistakes do not show."""
    shape = np.shape(outcome.experiment.given.get(outcome.experiment.main, 0.0))
    return len(shape) > 1 and 1 in shape


def is_square(outcome: Outcome) -> bool:
    """Say whether two axes of an input have the same size, so that one may stand for the other."""
    shape = np.shape(outcome.experiment.given.get(outcome.experiment.main, 0.0))
    return len(set(shape)) < len(shape)


def misshapen(outcomes: Sequence[Outcome]) -> list[Measured]:
    """Return the wrong gradients that have another shape than what they are of."""
    return [
        wrong.tensor
        for outcome in outcomes
        for wrong in outcome.wrong
        if wrong.tensor.found_shape != wrong.tensor.shape
    ]


def accuse(outcomes: Sequence[Outcome]) -> bool:
    """Say whether what is wrong is the pass's fault, and not what was guessed of it."""
    return outcomes[0].experiment.accuses and any(
        wrong.tensor.gradient.of not in outcome.experiment.ordered
        and not _is_spread(outcome, wrong.tensor)
        for outcome in outcomes
        for wrong in outcome.wrong
    )


def _is_spread(outcome: Outcome, tensor: Measured) -> bool:
    """Say whether an input's gradient has the output's shape, over which the input was spread.

    An input with an axis of one entry, which broadcasting fills up, is nobody's input.
    """
    measured, experiment = outcome.measurement, outcome.experiment
    if not isinstance(measured, Measurement) or tensor.gradient.of != experiment.main:
        return False
    shapes = zip(tensor.shape, tensor.found_shape, strict=False)
    return (
        tensor.found_shape == measured.outputs[0].shape
        and len(tensor.shape) == len(tensor.found_shape)
        and all(due in (found, 1) for due, found in shapes)
        and tensor.shape != tensor.found_shape
    )


def is_apart(outcome: Outcome) -> bool:
    """Say whether gradients are wrong in their first entries alone, where all were looked at."""
    for tensor in (each.tensor for each in outcome.wrong):
        if tensor.found is None or tensor.found_shape != tensor.shape or not tensor.whole:
            return False
        gap, most = gaps(tensor, tensor.found.reshape(len(tensor.found), -1), 1.0)
        first = tensor.index[tensor.smooth] < np.prod(tensor.shape[1:], dtype=int)
        if (gap > most)[:, ~first].any():
            return False
    return True


def is_right_in_another_shape(outcome: Outcome) -> bool:
    """Say whether all that is wrong is that gradients have an axis of one entry too many.

    `(h - y).T @ X` is of the shape (1, n) where the parameters are (n,). What is wrong with other
    labels then, (m,) where these are (m, 1), is no mistake of the pass.
    """
    return bool(outcome.wrong) and all(_is_right_reshaped(each.tensor) for each in outcome.wrong)


def _is_right_reshaped(tensor: Measured) -> bool:
    alike = without_ones(tensor.found_shape) == without_ones(tensor.shape)
    if tensor.found is None or tensor.found_shape == tensor.shape or not alike:
        return False
    gap, most = gaps(tensor, tensor.found.reshape(len(tensor.found), -1), 1.0)
    return bool((gap <= most).all())


def without_ones(shape: Sequence[int]) -> list[int]:
    """Return a shape without its axes of one entry."""
    return [size for size in shape if size != 1]


def better(before: list[Outcome], now: list[Outcome]) -> list[Outcome]:
    """Return the way to call a pass in which least is wrong, the first of those.

    Of a loss that is the mean or the sum of the same outputs, it is the one that is nearer.
    """
    if not before:
        return now
    one, other = (replace(o[0].experiment, weights="") for o in (before, now))
    if shapes_of(one) == shapes_of(other):
        return min(before, now, key=lambda outcomes: (wrongness(outcomes), _distance(outcomes)))
    return min(before, now, key=wrongness)


def wrongness(outcomes: Sequence[Outcome]) -> tuple[float, float]:
    """Return which share of the gradients is wrong, and which has a wrong shape."""
    count = sum(len(outcome.experiment.gradients) for outcome in outcomes)
    wrong = [each for outcome in outcomes for each in outcome.wrong]
    misshapen = [each for each in wrong if shaped(each.tensor) is None]
    return len(wrong) / max(count, 1), len(misshapen) / max(count, 1)


def _distance(outcomes: Sequence[Outcome]) -> float:
    errors = [relative_error(wrong) for outcome in outcomes for wrong in outcome.wrong]
    return max(errors, default=0.0)
