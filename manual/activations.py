"""Activations, each beside its backward.

An activation maps the pre-activation Z to A = g(Z), entry by entry (softmax: column by column).
Its backward turns dA, the gradient at A, into dZ = dA * g'(Z), the gradient at Z.

Every backward takes Z, and optionally the A that the forward pass already made of it, so that
no exponential is computed twice, and `out`, where dZ is written: dA itself, say, once nobody
else needs it. Results have the dtype of their arguments.

Formulas: Goodfellow, Bengio & Courville, *Deep Learning* (2016), sections 3.10 and 6.2.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

    Array = np.ndarray

LEAK = 0.01
"""The slope of leaky_relu where Z is not positive."""


def sigmoid(Z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return 1 / (1 + e^-Z), without overflow and with full relative precision on both sides."""
    A: Array = np.exp(np.minimum(Z, 0)) / (1 + np.exp(-np.abs(Z)))
    return A


def sigmoid_backward(
    dA: Float[Array, "*shape"],
    Z: Float[Array, "*shape"],
    A: Float[Array, "*shape"] | None = None,
    out: Float[Array, "*shape"] | None = None,
) -> Float[Array, "*shape"]:
    """Return dZ = dA * s(Z) * (1 - s(Z))."""
    A = sigmoid(Z) if A is None else A
    dZ: Array = np.multiply(dA * A, 1 - A, out=out)
    return dZ


def relu(Z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return max(0, Z)."""
    A: Array = np.maximum(Z, 0)
    return A


def relu_backward(
    dA: Float[Array, "*shape"],
    Z: Float[Array, "*shape"],
    A: Float[Array, "*shape"] | None = None,
    out: Float[Array, "*shape"] | None = None,
) -> Float[Array, "*shape"]:
    """Return dZ = dA where Z > 0, else 0: the convention is relu'(0) = 0."""
    dZ: Array = np.multiply(dA, Z > 0, out=out)
    return dZ


def leaky_relu(Z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return Z where Z > 0, else 0.01 Z (Maas, Hannun & Ng, 2013)."""
    A: Array = np.maximum(Z, LEAK * Z)
    return A


def leaky_relu_backward(
    dA: Float[Array, "*shape"],
    Z: Float[Array, "*shape"],
    A: Float[Array, "*shape"] | None = None,
    out: Float[Array, "*shape"] | None = None,
) -> Float[Array, "*shape"]:
    """Return dZ = dA where Z > 0, else 0.01 dA: the convention is leaky_relu'(0) = 0.01."""
    dZ: Array = np.multiply(dA, np.where(Z > 0, 1, LEAK).astype(dA.dtype), out=out)
    return dZ


def tanh(Z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return tanh(Z)."""
    A: Array = np.tanh(Z)
    return A


def tanh_backward(
    dA: Float[Array, "*shape"],
    Z: Float[Array, "*shape"],
    A: Float[Array, "*shape"] | None = None,
    out: Float[Array, "*shape"] | None = None,
) -> Float[Array, "*shape"]:
    """Return dZ = dA * (1 - tanh(Z)^2)."""
    A = np.tanh(Z) if A is None else A
    dZ: Array = np.multiply(dA, 1 - A * A, out=out)
    return dZ


def softmax(Z: Float[Array, "classes m"]) -> Float[Array, "classes m"]:
    """Return e^Z / sum(e^Z) down each column, shifted by the column's maximum against overflow."""
    e = np.exp(Z - Z.max(axis=0, keepdims=True))
    A: Array = e / e.sum(axis=0, keepdims=True)
    return A


def softmax_backward(
    dA: Float[Array, "classes m"],
    Z: Float[Array, "classes m"],
    A: Float[Array, "classes m"] | None = None,
    out: Float[Array, "classes m"] | None = None,
) -> Float[Array, "classes m"]:
    """Return dZ = A * (dA - sum(A * dA)): the Jacobian diag(A) - A A^T applied to each column."""
    A = softmax(Z) if A is None else A
    dZ: Array = np.multiply(A, dA - (A * dA).sum(axis=0, keepdims=True), out=out)
    return dZ


class _Forward(Protocol):
    def __call__(self, Z: np.ndarray, /) -> np.ndarray: ...


class _Backward(Protocol):
    def __call__(
        self,
        dA: np.ndarray,
        Z: np.ndarray,
        A: np.ndarray | None = None,
        out: np.ndarray | None = None,
        /,
    ) -> np.ndarray: ...


class Activation(NamedTuple):
    """A forward function and the backward that belongs to it."""

    forward: _Forward
    backward: _Backward


ACTIVATIONS = {
    "relu": Activation(relu, relu_backward),
    "tanh": Activation(tanh, tanh_backward),
    "sigmoid": Activation(sigmoid, sigmoid_backward),
    "leaky-relu": Activation(leaky_relu, leaky_relu_backward),
    "softmax": Activation(softmax, softmax_backward),
}
"""Every activation by its name."""
