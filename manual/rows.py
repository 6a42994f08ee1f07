"""Softmax and normalisation where examples are rows, beside the form where they are columns.

Everything else here has examples in columns. Files of other courses, and the first exercises of
this one, have them in rows: `softmax_rows(Z)` is `softmax(Z.T).T`, and so on.

Normalising divides an example by its length (Euclidean), A = X / ||X||, so that only its
direction is left. For an example that is 0 throughout there is none: the result is not finite.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from manual.activations import softmax, softmax_backward

if TYPE_CHECKING:
    from jaxtyping import Float

    Array = np.ndarray


def normalize(X: Float[Array, "n m"]) -> Float[Array, "n m"]:
    """Return X with each column divided by its length."""
    A: Array = X / np.sqrt((X * X).sum(axis=0, keepdims=True))
    return A


def normalize_backward(dA: Float[Array, "n m"], X: Float[Array, "n m"]) -> Float[Array, "n m"]:
    """Return dX = (dA - A sum(A * dA)) / ||X||: what of dA is along the column changes nothing."""
    A = normalize(X)
    dX: Array = dA - A * (A * dA).sum(axis=0, keepdims=True)
    dX /= np.sqrt((X * X).sum(axis=0, keepdims=True))
    return dX


def normalize_rows(X: Float[Array, "m n"]) -> Float[Array, "m n"]:
    """Return X with each row divided by its length."""
    return normalize(X.T).T


def normalize_rows_backward(dA: Float[Array, "m n"], X: Float[Array, "m n"]) -> Float[Array, "m n"]:
    """Return dX, as `normalize_backward` does for columns."""
    return normalize_backward(dA.T, X.T).T


def softmax_rows(Z: Float[Array, "m classes"]) -> Float[Array, "m classes"]:
    """Return e^Z / sum(e^Z) along each row."""
    return softmax(Z.T).T


def softmax_rows_backward(
    dA: Float[Array, "m classes"], Z: Float[Array, "m classes"]
) -> Float[Array, "m classes"]:
    """Return dZ, as `softmax_backward` does for columns."""
    return softmax_backward(dA.T, Z.T).T
