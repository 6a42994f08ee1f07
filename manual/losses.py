"""Cross-entropy and the L2 penalty, each beside its gradient.

The losses that the network trains on are computed from the logits Z, so they are finite
wherever Z is. With them the gradient at the output fuses into AL - Y (Bishop, *Pattern
Recognition and Machine Learning*, 2006, section 5.3), exact even where AL saturates.

The course's own route is kept beside them under names of its own: a cost computed from AL,
clipped away from 0 and 1, and a gradient composed as dA * g'(Z), which underflows to nothing
where the fused one still points the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from manual.activations import sigmoid, softmax

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jaxtyping import Float

    Array = np.ndarray


def sigmoid_cross_entropy(Z: Float[Array, "1 m"], Y: Float[Array, "1 m"]) -> np.floating:
    """Return the mean of log(1 + e^Z) - Y Z, written max(Z, 0) + log1p(e^-|Z|) - Y Z."""
    mean: np.floating = (np.maximum(Z, 0) - Y * Z + np.log1p(np.exp(-np.abs(Z)))).sum() / Z.shape[1]
    return mean


def sigmoid_cross_entropy_backward(
    Z: Float[Array, "1 m"], Y: Float[Array, "1 m"], A: Float[Array, "1 m"] | None = None
) -> Float[Array, "1 m"]:
    """Return dZ = sigmoid(Z) - Y."""
    dZ: Array = (sigmoid(Z) if A is None else A) - Y
    return dZ


def softmax_cross_entropy(
    Z: Float[Array, "classes m"], Y: Float[Array, "classes m"]
) -> np.floating:
    """Return the mean of log(sum(e^Z)) - sum(Y Z) over the examples; Y is one-hot.

    Shifted by the column's maximum, its own term is 1, and log1p of the others keeps its digits
    where the output saturates.
    """
    Z = Z - Z.max(axis=0, keepdims=True)
    others = np.exp(Z)
    np.put_along_axis(others, Z.argmax(axis=0, keepdims=True), 0, axis=0)
    mean: np.floating = (np.log1p(others.sum(axis=0)) - (Y * Z).sum(axis=0)).sum() / Z.shape[1]
    return mean


def softmax_cross_entropy_backward(
    Z: Float[Array, "classes m"],
    Y: Float[Array, "classes m"],
    A: Float[Array, "classes m"] | None = None,
) -> Float[Array, "classes m"]:
    """Return dZ = softmax(Z) - Y."""
    dZ: Array = (softmax(Z) if A is None else A) - Y
    return dZ


def l2_penalty(weights: Iterable[Float[Array, "_ _"]], l2: float, m: int) -> np.floating | float:
    """Return l2 / (2 m) times the sum of all squared weights; biases are not penalised."""
    squares: np.floating = sum(np.vdot(W, W) for W in weights)
    return float(l2) / (2 * m) * squares


def l2_penalty_backward(
    W: Float[Array, "n_out n_in"], l2: float, m: int
) -> Float[Array, "n_out n_in"]:
    """Return l2 / m * W, the penalty's share of dW."""
    return float(l2) / m * W


def clipped_cross_entropy(
    A: Float[Array, "1 m"], Y: Float[Array, "1 m"], clip: float = 1e-10
) -> np.floating:
    """Return the course's cost: the mean of -Y log(A) - (1 - Y) log(1 - A), with A clipped.

    A is kept in [clip, 1 - clip], where clip is at least what the dtype can take from 1. One
    example costs at most -log(clip), and moving a clipped output changes nothing: the
    derivative of this function there is 0, whatever the backward pass says.
    """
    A = _clipped(A, clip)
    mean: np.floating = -(Y * np.log(A) + (1 - Y) * np.log(1 - A)).sum() / A.shape[1]
    return mean


def cross_entropy_backward(
    A: Float[Array, "1 m"], Y: Float[Array, "1 m"], clip: float | None = None
) -> Float[Array, "1 m"]:
    """Return dA = -1 / A where Y is 1, else 1 / (1 - A): one factor of the composed gradient.

    Multiplied by sigmoid'(Z) = A (1 - A) it is AL - Y on paper. In floating point an output
    that saturates on the wrong side makes it infinity times 0; with `clip` (A kept in
    [clip, 1 - clip]) the product is 0, so that example never moves again.
    """
    if clip is not None:
        A = _clipped(A, clip)
    with np.errstate(divide="ignore"):
        return np.where(Y == 1, -1 / A, 1 / (1 - A))


def _clipped(A: Float[Array, "1 m"], clip: float) -> Float[Array, "1 m"]:
    clip = max(clip, float(np.finfo(A.dtype).epsneg))
    clipped: Array = np.clip(A, clip, 1 - clip)
    return clipped
