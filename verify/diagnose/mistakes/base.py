"""What a mistake is: a wrong formula for one operation, and where it makes sense."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from verify.diagnose.chain import Chain, Formula, Key, Tape
from verify.diagnose.formulas import names

Layers = Callable[[Tape], Iterable[int]]
"""The layers of a network at which a mistake makes sense."""

TENSORS = {
    "dA": "dA",
    "kept": "dA",
    "dZ": "dZ",
    "product": "dW",
    "penalty": "dW",
    "dW": "dW",
    "db": "db",
}
"""The gradient, as a student calls it, that each operation makes."""


class Fault(NamedTuple):
    """A mistake at a layer (that may read something of another layer k), as a formula.

    `sentence` and `found` say what is wrong and how it was written: templates, filled with the
    layer's names (`formulas`) and with `values`, which are read off the gradients. One of these
    is `factor`, a constant that was fitted.
    """

    bug: str
    operation: str
    layer: int
    sentence: str
    found: str
    formula: Formula
    k: int = 0
    values: Mapping[str, Any] = MappingProxyType({})

    @property
    def key(self) -> Key:
        """The operation that is replaced."""
        return self.operation, self.layer

    @property
    def tensor(self) -> str:
        """The gradient that the mistake is in."""
        return f"{TENSORS[self.operation]}{self.layer}"

    def names(self, t: Tape) -> dict[str, Any]:
        """Return what its templates are filled with."""
        return names(t, self.layer, self.k) | dict(self.values)


@dataclass(frozen=True)
class Mistake:
    """A wrong formula for one operation, and the layers where it makes sense."""

    bug: str
    operation: str
    layers: Layers
    sentence: str
    found: str
    formula: Formula

    def at(self, t: Tape, layer: int) -> list[Fault]:
        """Return the mistake at a layer, or nothing where it makes no sense."""
        fault = Fault(self.bug, self.operation, layer, self.sentence, self.found, self.formula)
        return [fault] if layer in self.layers(t) else []


@dataclass(frozen=True)
class Misplaced:
    """A formula that reads something of another layer k: one of `partners` of the right shape."""

    bug: str
    operation: str
    partners: Callable[[Tape, int], Iterable[int]]
    sentence: str
    found: str
    formula: Callable[[Tape, Chain, int, int], np.ndarray]

    def at(self, t: Tape, layer: int) -> list[Fault]:
        """Return the mistake at a layer, once for every layer k it could have read instead."""
        return [
            Fault(self.bug, self.operation, layer, self.sentence, self.found, self._reading(k), k)
            for k in self.partners(t, layer)
        ]

    def _reading(self, k: int) -> Formula:
        return lambda t, c, layer: self.formula(t, c, layer, k)


# Where mistakes make sense.


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


def with_activation(*names: str) -> Layers:
    """Hidden layers of these activations."""
    return lambda t: [layer for layer in t.hidden if t.g[layer] in names]


def softmax_output(t: Tape) -> Iterable[int]:
    """The output layer, where it is a softmax."""
    return (t.L,) if t.g[t.L] == "softmax" else ()


def sigmoid_output(t: Tape) -> Iterable[int]:
    """The output layer, where it is a sigmoid."""
    return (t.L,) if t.g[t.L] == "sigmoid" else ()


def without(array: np.ndarray, column: int) -> np.ndarray:
    """Return an array with one column set to 0."""
    left = array.copy()
    left[:, column] = 0
    return left
