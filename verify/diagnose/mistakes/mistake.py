"""`Mistake`, a wrong formula in place of one operation; `Fault`, a mistake in one layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from verify.diagnose.chain import Chain, Formula, Key, Tape
from verify.diagnose.formulas import names, tensor

Layers = Callable[[Tape], Iterable[int]]
"""The layers in which a mistake can be written."""


class Fault(NamedTuple):
    """A mistake in one layer.

    `found` is the wrong formula as text, `formula` the same as code, `sentence` what is wrong.
    Texts are templates, filled with the layer's names (`formulas`), with k of a
    `ParametricMistake`, and with `values`, which were read off the gradients. One of these is
    `factor`, a constant that was fitted.
    """

    bug: str
    operation: str
    layer: int
    found: str
    formula: Formula
    sentence: str
    k: int = 0
    values: Mapping[str, Any] = MappingProxyType({})

    @property
    def key(self) -> Key:
        """The operation that is replaced, and its layer."""
        return self.operation, self.layer

    @property
    def tensor(self) -> str:
        """The gradient that the mistake is in."""
        return tensor(self.key)

    def names(self, t: Tape) -> dict[str, Any]:
        """Return what its templates are filled with."""
        return names(t, self.layer, self.k) | dict(self.values)


@dataclass(frozen=True)
class Mistake:
    """A wrong formula in place of one operation, and the layers in which it can be written."""

    bug: str
    operation: str
    layers: Layers
    found: str
    formula: Formula
    sentence: str

    def at(self, t: Tape, layer: int) -> list[Fault]:
        """Return the mistake in a layer, or nothing where it cannot be written."""
        fault = Fault(self.bug, self.operation, layer, self.found, self.formula, self.sentence)
        return [fault] if layer in self.layers(t) else []


@dataclass(frozen=True)
class ParametricMistake:
    """A wrong formula with a number k in it, mostly another layer that is read by mistake.

    `choices` are the k that are possible in a layer, none where the mistake cannot be written.
    """

    bug: str
    operation: str
    choices: Callable[[Tape, int], Iterable[int]]
    found: str
    formula: Callable[[Tape, Chain, int, int], np.ndarray]
    sentence: str

    def at(self, t: Tape, layer: int) -> list[Fault]:
        """Return the mistake in a layer, once for every k."""
        return [
            Fault(self.bug, self.operation, layer, self.found, self._with(k), self.sentence, k)
            for k in self.choices(t, layer)
        ]

    def _with(self, k: int) -> Formula:
        return lambda t, c, layer: self.formula(t, c, layer, k)


AnyMistake = Mistake | ParametricMistake


# Layers in which mistakes can be written.


def every(t: Tape) -> Iterable[int]:
    """Every layer."""
    return t.layers


def hidden(t: Tape) -> Iterable[int]:
    """Every layer but the last."""
    return t.hidden


def last(t: Tape) -> Iterable[int]:
    """The output layer."""
    return (t.L,)


def above_first(t: Tape) -> Iterable[int]:
    """Layers that read an activation, not X."""
    return range(2, t.L + 1)


def penalised(t: Tape) -> Iterable[int]:
    """Every layer, where there is an L2 penalty."""
    return t.layers if t.l2 else ()


def dropped(t: Tape) -> Iterable[int]:
    """Layers whose activation is dropped out."""
    return [layer for layer in t.hidden if t.drops(layer)]


def reads_dropped(t: Tape) -> Iterable[int]:
    """Layers that read what dropout has left."""
    return [layer + 1 for layer in dropped(t)]


def several_units(t: Tape) -> Iterable[int]:
    """Layers of more than one unit."""
    return [layer for layer in t.layers if len(t.W[layer]) > 1]


def square(t: Tape) -> Iterable[int]:
    """Layers whose W is square, so that a transpose goes unnoticed."""
    return [layer for layer in t.layers if t.W[layer].shape[0] == t.W[layer].shape[1] > 1]


def below_square(t: Tape) -> Iterable[int]:
    """Layers whose next W is square."""
    return [layer - 1 for layer in square(t) if layer > 1]


def with_activation(*names: str) -> Callable[[Tape], Iterable[int]]:
    """Hidden layers of these activations."""
    return lambda t: [layer for layer in t.hidden if t.g[layer] in names]


def softmax_output(t: Tape) -> Iterable[int]:
    """The output layer, where it is a softmax."""
    return (t.L,) if t.g[t.L] == "softmax" else ()


def sigmoid_output(t: Tape) -> Iterable[int]:
    """The output layer, where it is a sigmoid."""
    return (t.L,) if t.g[t.L] == "sigmoid" else ()


def others(arrays: Sequence[np.ndarray], layer: int, layers: Iterable[int]) -> list[int]:
    """Return the other layers whose array has the shape of this layer's."""
    return [k for k in layers if k != layer and arrays[k].shape == arrays[layer].shape]


def without(array: np.ndarray, column: int) -> np.ndarray:
    """Return an array with one column set to 0."""
    left = array.copy()
    left[:, column] = 0
    return left
