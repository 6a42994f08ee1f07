"""The backward pass as a chain of operations, any of which can be replaced by a wrong one.

Every layer l of a backward pass makes, in this order and each from what came before,

    dA       W_next.T @ dZ_next            the gradient at what the next layer reads
    kept     dA * mask / keep_prob         ... before dropout
    dZ       kept * g'(Z)                  ... before the activation; at the output A - Y
    product  dZ @ A_prev.T / m             the loss's share of dW
    penalty  l2 / m * W                    the penalty's share of dW
    dW       product + penalty
    db       mean of dZ over the examples

`OPERATIONS` is that table. A `Tape` is one forward pass, recorded. A `Chain` is one backward pass
over it, in which some operations may be replaced: a mistake is a formula in place of an
operation, and what it does to every gradient below follows by itself.

dZ and dA are m times the derivative of the loss, as in the course. At the output dA is the
derivative of the cross-entropy by A: nothing right is computed from it, but wrong passes are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

import manual
from verify.activations import ACTIVATIONS
from verify.evidence.bars import sum_rounding
from verify.problem import Problem

Key = tuple[str, int]
"""An operation and its layer."""


class Tape(NamedTuple):
    """One forward pass, recorded: what a backward pass reads, by layer; index 0 is the input.

    A is g(Z), `out` is what the next layer reads, after the mask. Where nothing is dropped,
    as at the output, the mask is True everywhere and `keep` is 1. `eps` is the machine epsilon
    of the dtype that the pass under test computes in.
    """

    eps: float
    m: int
    L: int
    l2: float
    Y: np.ndarray
    g: tuple[str, ...]
    W: tuple[np.ndarray, ...]
    b: tuple[np.ndarray, ...]
    Z: tuple[np.ndarray, ...]
    A: tuple[np.ndarray, ...]
    out: tuple[np.ndarray, ...]
    mask: tuple[np.ndarray, ...]
    keep: tuple[float, ...]

    @property
    def layers(self) -> range:
        """The layers with parameters, 1 to L."""
        return range(1, self.L + 1)

    @property
    def hidden(self) -> range:
        """The layers below the output."""
        return range(1, self.L)

    def drops(self, layer: int) -> bool:
        """Whether dropout changes the output of a layer."""
        return self.keep[layer] < 1 or not self.mask[layer].all()


def record(problem: Problem) -> Tape:
    """Run the forward pass of a problem, in float64 at its parameters, and keep what it made."""
    exact = problem.astype(np.float64)
    L = len(exact.layers) - 1
    undropped = [np.ones((width, exact.m), bool) for width in exact.layers[1:]]
    masks = undropped if exact.masks is None else (*exact.masks, undropped[-1])
    inputs = Tape(
        eps=float(np.finfo(problem.dtype).eps),
        m=exact.m,
        L=L,
        l2=exact.l2,
        Y=exact.Y,
        g=("", *exact.hidden, exact.output),
        W=(_NONE, *(exact.params[f"W{layer}"] for layer in range(1, L + 1))),
        b=(_NONE, *(exact.params[f"b{layer}"] for layer in range(1, L + 1))),
        Z=(),
        A=(exact.X,),
        out=(),
        mask=(_NONE.astype(bool), *masks),
        keep=(1.0, *exact.keep_prob, 1.0),
    )
    return run(inputs)


def run(t: Tape, errors: Sequence[np.ndarray] | None = None) -> Tape:
    """Return a tape with Z, A and out as its input, parameters, activations and masks make them.

    `errors`, where given, are added to each Z.
    """
    A, Z, out = [t.A[0]], [_NONE], [t.A[0]]
    for layer in t.layers:
        Z.append(manual.linear(out[-1], t.W[layer], t.b[layer]))
        if errors is not None:
            Z[-1] += errors[layer]
        g = t.g[layer]
        A.append(Z[-1] if g == "none" else manual.ACTIVATIONS[g].forward(Z[-1]))
        out.append(manual.dropout(A[-1], t.mask[layer], t.keep[layer]))
    return t._replace(Z=tuple(Z), A=tuple(A), out=tuple(out))


_NONE = np.empty((0, 0))


def shaken(t: Tape, rng: np.random.Generator) -> Tape:
    """Return the same forward pass with a rounding error in every Z.

    Z itself stands for its partial sums; the error goes on to the layers above.
    """
    errors = [_NONE]
    for layer in t.layers:
        W, A = t.W[layer], t.out[layer - 1]
        size = sum_rounding.deviation(
            t.eps, W.shape[1], np.abs(t.Z[layer]), sum_rounding.product_norm(W, A.T)
        )
        errors.append(size * rng.standard_normal(size.shape))
    return run(t, errors)


def slope(t: Tape, layer: int) -> np.ndarray:
    """Return g'(Z) of a layer whose activation works entry by entry."""
    return slope_of(t.g[layer], t.Z[layer])


def slope_of(activation: str, Z: np.ndarray) -> np.ndarray:
    """Return the derivative of an elementwise activation at Z; "none" is the identity."""
    if activation == "none":
        return np.ones_like(Z)
    return ACTIVATIONS[activation].slope(Z)


def cross_entropy_slope(t: Tape) -> np.ndarray:
    """Return m times the derivative of the cross-entropy by the output A."""
    A, Y = t.A[t.L], t.Y
    with np.errstate(divide="ignore", invalid="ignore"):
        right = np.where(Y == 1, -1 / A, 0)
        return right if t.g[t.L] == "softmax" else np.where(Y == 1, right, 1 / (1 - A))


class Chain(dict[Key, np.ndarray]):
    """The gradients of one backward pass, {(operation, layer): array}, made when asked for.

    `formulas` stand in place of operations; `given` are values used instead of computed ones.
    A gradient that a change cannot reach is shared with the chain that was changed.
    """

    def __init__(self, tape: Tape, formulas: Formulas | None = None) -> None:
        super().__init__()
        self.tape = tape
        self.formulas = dict(formulas or {})
        self.given: Mapping[Key, np.ndarray] = {}

    def __missing__(self, key: Key) -> np.ndarray:
        operation, layer = key
        formula = self.formulas.get(key, OPERATIONS[operation])
        value: np.ndarray = formula(self.tape, self, layer)
        self[key] = value
        return value

    def planted(self, formulas: Formulas) -> Chain:
        """Return the same pass with further operations replaced."""
        return self._changed(list(formulas), formulas, {})

    def knowing(self, key: Key, value: np.ndarray) -> Chain:
        """Return the same pass with this value instead of its own."""
        return self._changed([key], {}, {key: value})

    def over(self, tape: Tape) -> Chain:
        """Return the same pass, mistakes and given values included, over another forward pass."""
        return Chain(tape, self.formulas)._changed([], {}, self.given)

    def _changed(
        self, touched: Sequence[Key], formulas: Formulas, given: Mapping[Key, np.ndarray]
    ) -> Chain:
        chain = Chain(self.tape, {**self.formulas, **formulas})
        chain.given = {**self.given, **given}
        chain.update(_unreached(self, touched))
        chain.update(chain.given)
        return chain


Formula = Callable[[Tape, Chain, int], np.ndarray]
"""One operation: the tape, the gradients made so far, the layer -> the gradient it makes."""

Formulas = Mapping[Key, Formula]
"""Formulas that stand in place of operations of a right backward pass."""


OPERATIONS: dict[str, Formula] = {
    "dA": lambda t, c, n: cross_entropy_slope(t) if n == t.L else t.W[n + 1].T @ c["dZ", n + 1],
    "kept": lambda t, c, n: manual.dropout_backward(c["dA", n], t.mask[n], t.keep[n]),
    "dZ": lambda t, c, n: t.A[n] - t.Y if n == t.L else c["kept", n] * slope(t, n),
    "product": lambda t, c, n: c["dZ", n] @ t.out[n - 1].T / t.m,
    "penalty": lambda t, c, n: t.l2 / t.m * t.W[n],
    "dW": lambda t, c, n: c["product", n] + c["penalty", n],
    "db": lambda t, c, n: c["dZ", n].sum(axis=1, keepdims=True) / t.m,
}
"""The right backward pass, an operation a line."""

_READERS = {
    "dA": ("dA", "kept", "dZ", "product", "dW", "db"),
    "kept": ("kept", "dZ", "product", "dW", "db"),
    "dZ": ("dZ", "product", "dW", "db"),
    "product": ("product", "dW"),
    "penalty": ("penalty", "dW"),
    "dW": ("dW",),
    "db": ("db",),
}
"""What depends on each operation in its own layer."""

UPSTREAM = ("dA", "kept", "dZ")
"""The operations that the layers below depend on."""


def _unreached(values: Mapping[Key, np.ndarray], touched: Sequence[Key]) -> dict[Key, np.ndarray]:
    """Return the values that replacing the touched operations cannot change."""
    reached = {(reader, layer) for what, layer in touched for reader in _READERS[what]}
    top = max((layer for what, layer in touched if what in UPSTREAM), default=0)
    return {
        key: value
        for key, value in values.items()
        if key not in reached and (key[1] >= top or key[0] == "penalty")
    }
