r"""How far rounding carries a sum: the one model that every error bar of a sum is made of.

A sum of n terms t makes one rounding error a partial sum, of the order of the unit roundoff u
times that partial sum. The errors are taken to be independent and as often up as down, so they
add up like a random walk, to a standard deviation of at most

    u sqrt(n) (P + T),    P = max |partial sum|,    T = ||t||_2.

P belongs to one order of the terms. Another library may add in another order, in which the
partial sums wander by about T from these. Where all terms have one sign, every partial sum in
any order is at most the sum itself, and T is left out. An inner product rounds each product
too, once, which is less than one further term.

Terms that are all there c times are not rounded independently: each may make the same error c
times, and in another order equal terms meet. That is a random walk of n / c steps, each c times as
long, for the roundings as for the terms:

    u sqrt(n c) (P + sqrt(c) T),

which for c = n, all terms equal, is the worst case, u n (P + sum |t|).

Sources: Higham & Mary, *A new approach to probabilistic rounding error analysis*, SIAM J. Sci.
Comput. 41 (2019), theorem 2.4; Higham, *Accuracy and Stability of Numerical Algorithms* (2002),
section 4.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

    Array = np.ndarray

BLOCKS = 8
"""Blocks of consecutive terms at whose ends the partial sums of an inner product are measured."""


class Unit(NamedTuple):
    """The unit roundoff of a dtype, and the size below which it loses relative precision."""

    u: float
    tiny: float

    @classmethod
    def of(cls, dtype: Any) -> Unit:
        """Return those of a floating-point dtype."""
        info = np.finfo(dtype)
        return cls(float(info.eps) / 2, float(info.tiny))


def deviation(u: float, n: int | float, partial: Any, terms: Any = 0.0) -> Any:
    """Return the standard deviation u sqrt(n) (P + T) of a sum of n terms.

    `partial` is P, the largest partial sum, and `terms` T, the Euclidean norm of the terms, 0
    where all have one sign: numbers, or arrays of one value a sum.
    """
    return u * np.sqrt(n) * (partial + terms)


def product_deviation(
    left: Float[Array, "rows n"],
    right: Float[Array, "n columns"],
    unit: Unit,
    copies: float = 1.0,
) -> Float[Array, "rows columns"]:
    """Return the standard deviation of every inner product of left @ right.

    P is the largest partial sum at the ends of `BLOCKS` blocks of consecutive terms. Every term
    is there `copies` times on average.
    """
    n = left.shape[1]
    partial = np.zeros((left.shape[0], right.shape[1]))
    largest = np.zeros_like(partial)
    for block in np.array_split(np.arange(n), min(BLOCKS, n)):
        rows = slice(block[0], block[-1] + 1)
        partial += left[:, rows] @ right[rows]
        np.maximum(largest, np.abs(partial), out=largest)
    terms = np.sqrt(copies) * product_norm(left, right.T)
    error = deviation(unit.u, n * copies, largest, terms)
    return np.asarray(error + unit.tiny * (error > 0))


def product_norm(
    left: Float[Array, "rows n"], right: Float[Array, "columns n"]
) -> Float[Array, "rows columns"]:
    """Return sqrt(sum_k left[i, k]^2 right[j, k]^2), the T of every inner product.

    Rows are scaled against underflow. Where a row spans so many orders of magnitude that the
    squares underflow all the same, the sum of absolute values, which is no less, replaces it.
    """
    left_scale, right_scale = _row_scale(left), _row_scale(right)
    squares = np.square(left / left_scale) @ np.square(right / right_scale).T
    result: Array = left_scale * np.sqrt(squares) * right_scale.T
    lost = squares < 1e-280
    return np.where(lost, np.abs(left) @ np.abs(right).T, result) if lost.any() else result


def norm(errors: Float[Array, "n *rest"]) -> Float[Array, "*rest"]:
    """Return the Euclidean norm over the first axis, scaled so that no square underflows."""
    largest = np.abs(errors).max(axis=0, initial=0.0)
    scale = np.where(largest > 0, largest, 1)
    return np.asarray(scale * np.sqrt(np.square(errors / scale).sum(axis=0)))


def _row_scale(array: Array) -> Array:
    largest = np.abs(array).max(axis=1, keepdims=True)
    return np.where(largest > 0, largest, 1)
