"""An experiment: one way to call a pass, beside the forward pass that it should differentiate.

Whatever the pair is (two functions, two methods, a function that returns a loss and its
gradient), it becomes two recipes on named inputs: the forward one gives outputs, the backward one
gradients, of <c, outputs> for the cotangents c that it is given. Here too is how its inputs are
drawn anew, with the calls as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from verify.homework.run.door import Expression, Step

COTANGENT = "cotangent"
"""The name of the input that holds the cotangent of the first output; of the next, with a 1."""


def cotangent_name(number: int) -> str:
    """Return the name of the input that holds the cotangent of an output."""
    return COTANGENT if number == 0 else f"{COTANGENT}{number}"


@dataclass(frozen=True, eq=False)
class Gradient:
    """A gradient that a pass returns or keeps: its name there, of which input, and where it is.

    `line` is that of the step along it, where it is read off one.
    """

    label: str
    of: str
    where: Expression
    line: int | None = None
    applied: bool = False
    """Whether it is read off how an optimiser moved the parameter: it may be a multiple then."""


@dataclass(frozen=True, eq=False)
class Experiment:
    """How to call a pass and its forward pass.

    `given` are the inputs by name. `forward` are steps after which `outputs` are there, and
    `backward` steps after which the gradients are. `weights` says what the loss is made of: a
    drawn cotangent for each output ("drawn"), or 1 for each of its numbers ("ones"), or their
    mean ("mean"). `setting` is what is special about the inputs, in words.
    """

    given: Mapping[str, Any]
    forward: tuple[Step, ...]
    outputs: tuple[Expression, ...]
    backward: tuple[Step, ...]
    gradients: tuple[Gradient, ...]
    weights: str = "drawn"
    fixed: tuple[np.ndarray, ...] = ()
    """The cotangents where they are given: `weights` is "fixed" then."""
    setting: str = ""
    forward_name: str = ""
    main: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Numbers that the diagnosis may meet as a factor, by name: reg, keep_prob."""
    tier: int = 0
    """How sure the inputs are, as of `inputs.Arguments`."""
    certain: bool = True
    """Whether nothing in how the pass is called was guessed."""
    unmatched: tuple[str, ...] = ()
    """Gradients of parameters that it makes and that were matched to no input."""
    held: tuple[str, ...] = ()
    """The parameters of its object, of each of which there should be a gradient somewhere."""
    moved: tuple[str, ...] = ()
    """Parameters that it moves by itself, in a way that shows no gradient."""
    implied: tuple[str, str] | None = None
    """What a pass starts with that has no loss beside it, and by what that is its derivative."""
    made_surely: bool = True
    """Whether nothing was guessed of the object whose method it is."""
    ordered: frozenset[str] = frozenset()
    """The inputs whose gradients are results without names, which were matched by their order."""
    accuses: bool = True
    """Whether a gradient that is wrong in it is the pass's fault; else it may be the guess."""
    reshaped: tuple[str, ...] = ()
    """The inputs that have the shapes of their gradients, and not those of the docstring."""
    with_ones: str = ""
    """The input of which one feature is 1 in every example, "" if there is none."""

    @property
    def is_loss(self) -> bool:
        """Whether the pass starts at a loss, and is given no cotangent."""
        return self.weights in ("ones", "mean")

    @property
    def tensors(self) -> dict[str, np.ndarray]:
        """The inputs of which there are gradients."""
        return {gradient.of: np.asarray(self.given[gradient.of]) for gradient in self.gradients}


SHRUNK = 0.85
"""How much of a number is left at least where inputs are drawn anew."""


def stirred(experiment: Experiment, seed: int) -> Experiment:
    """Return an experiment on other inputs of the same kind, drawn from a seed.

    Every number that is not whole is made a little smaller: it keeps its sign and stays between 0
    and 1 if it was there. Labels, masks and settings stay, and so do inputs that are alike. Where
    cotangents are given, they belong to the inputs, which stay.
    """
    if experiment.fixed:
        return experiment
    return replace(
        experiment, given={name: _stirred(value, seed) for name, value in experiment.given.items()}
    )


def _stirred(value: Any, seed: int) -> Any:
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return value
    factor = np.random.default_rng((seed, *value.shape)).uniform(SHRUNK, 1, value.shape)
    return np.where(value % 1 == 0, value, value * factor).astype(value.dtype)


def redrawn(experiment: Experiment, seed: int) -> Experiment:
    """Return an experiment with its numbers exchanged, turned in sign, and further apart."""
    rng = np.random.default_rng(seed)
    return replace(
        experiment, given={name: _exchanged(v, rng) for name, v in experiment.given.items()}
    )


def _exchanged(value: Any, rng: np.random.Generator) -> Any:
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or value.size < 2:
        return value
    if np.isin(value, (0.0, 1.0)).all():
        return value
    other = rng.permutation(value.ravel()).reshape(value.shape)
    if (value > 0).all() or (value < 0).all():
        return other
    return np.asarray(1.5 * other * rng.choice((-1.0, 1.0), value.shape)).astype(value.dtype)


def with_several(experiment: Experiment) -> Experiment | None:
    """Return an experiment of one example, a column, with several of them; None if it has more."""
    main = np.asarray(experiment.given.get(experiment.main, 0.0))
    if experiment.weights != "drawn" or main.ndim != 2 or main.shape[1] != 1:
        return None
    columns = main * np.array([[1.0, -0.8, 0.6, 1.3]])
    return replace(experiment, given={**experiment.given, experiment.main: columns})


def with_more(experiment: Experiment) -> Experiment | None:
    """Return an experiment with each example a second time, a little moved; None if none can be.

    Examples are along the first axis of the main input, or the last, if no input of another kind
    has as many of anything, and labels are not one of as many classes.
    """
    main = np.asarray(experiment.given.get(experiment.main, 0.0))
    arrays = {k: v for k, v in experiment.given.items() if isinstance(v, np.ndarray)}
    for axis in (0, -1) if main.ndim else ():
        size = main.shape[axis]
        counted = {k for k, v in arrays.items() if v.ndim and v.shape[axis] == size}
        elsewhere = any(
            size in (np.delete(v.shape, axis % v.ndim) if k in counted else v.shape)
            for k, v in arrays.items()
            if v.ndim
        )
        classes = any(_is_one_hot(arrays[k], axis) for k in counted)
        if not elsewhere and not classes and not experiment.fixed:
            twice = {k: np.concatenate([arrays[k], _stirred(arrays[k], 43)], axis) for k in counted}
            return replace(experiment, given={**experiment.given, **twice})
    return None


def with_one_output(experiment: Experiment) -> Experiment | None:
    """Return a loss's experiment with one output an example, in rows; None if it has one.

    Labels of 0 and 1 are 1 every second time, which no labels of one example in classes are.
    """
    main = np.asarray(experiment.given.get(experiment.main, 0.0))
    if not experiment.is_loss or main.ndim != 2 or main.shape[1] == 1:
        return None
    labels = np.arange(len(main))[:, None] % 2.0
    first = {
        name: labels.astype(value.dtype) if np.isin(value, (0, 1)).all() else value[:, :1]
        for name, value in experiment.given.items()
        if isinstance(value, np.ndarray) and value.shape == main.shape
    }
    return replace(experiment, given={**experiment.given, **first})


def with_ones(experiment: Experiment) -> Experiment | None:
    """Return a loss's experiment whose examples have 1 for their first feature; None if none can.

    The features are along the axis of the main input that the parameters' first axis matches.
    """
    if not experiment.is_loss or len(experiment.gradients) != 1:
        return None
    of = experiment.gradients[0].of
    size = np.shape(experiment.given[of])[:1]
    for name, value in experiment.given.items():
        if name == of or np.ndim(value) != 2 or value.dtype.kind != "f":
            continue
        axis = next((axis for axis in (1, 0) if value.shape[axis : axis + 1] == size), None)
        if axis is not None:
            ones = value.copy()
            ones[(slice(None),) * axis + (0,)] = 1.0
            return replace(experiment, given={**experiment.given, name: ones}, with_ones=name)
    return None


def with_one_hot(experiment: Experiment) -> Experiment | None:
    """Return a loss's experiment with one label an example, in rows; None where it has that.

    Labels are of 0 and 1, and have the shape of the main input.
    """
    main = np.asarray(experiment.given.get(experiment.main, 0.0))
    if not experiment.is_loss or main.ndim != 2:
        return None
    hot = np.eye(main.shape[1])[np.arange(main.shape[0]) % main.shape[1]]
    first = {
        name: hot.astype(value.dtype)
        for name, value in experiment.given.items()
        if isinstance(value, np.ndarray) and value.shape == main.shape
        if np.isin(value, (0, 1)).all() and not _is_one_hot(value, -1)
    }
    return replace(experiment, given={**experiment.given, **first}) if first else None


def _is_one_hot(value: np.ndarray, axis: int) -> bool:
    """Say whether all is 0 but for a single 1 along an axis."""
    return bool(np.isin(value, (0.0, 1.0)).all() and (value.sum(axis) == 1).all())
