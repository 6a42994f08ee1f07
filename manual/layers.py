"""Linear layer and inverted dropout, each beside its backward.

Gradients of activations follow the course: dZ and dA are m times the derivative of the mean
loss, so that dW = dZ A_prev^T / m carries the mean.

Inverted dropout: Srivastava et al., *Dropout* (2014), section 10, scaled at training time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    Array = np.ndarray


def linear(
    A_prev: Float[Array, "n_in m"], W: Float[Array, "n_out n_in"], b: Float[Array, "n_out 1"]
) -> Float[Array, "n_out m"]:
    """Return Z = W A_prev + b.

    Flattened pictures are in memory one after the other. If each has more pixels than Z has
    entries, the time of the product is that of reading them, and BLAS reads them faster as rows.
    """
    as_rows = A_prev.flags.f_contiguous and len(A_prev) > len(W) * A_prev.shape[1]
    Z: Array = (A_prev.T @ W.T).T if as_rows else W @ A_prev
    Z += b
    return Z


def linear_backward(
    dZ: Float[Array, "n_out m"], A_prev: Float[Array, "n_in m"], W: Float[Array, "n_out n_in"]
) -> tuple[Float[Array, "n_in m"], Float[Array, "n_out n_in"], Float[Array, "n_out 1"]]:
    """Return dA_prev, dW and db."""
    return linear_backward_input(dZ, W), *linear_backward_params(dZ, A_prev)


def linear_backward_input(
    dZ: Float[Array, "n_out m"], W: Float[Array, "n_out n_in"]
) -> Float[Array, "n_in m"]:
    """Return dA_prev = W^T dZ, which the first layer of a network does not need.

    With a single output it is an outer product, and a plain multiplication is faster.
    """
    dA_prev: Array = W.T * dZ if len(W) == 1 else W.T @ dZ
    return dA_prev


def linear_backward_params(
    dZ: Float[Array, "n_out m"], A_prev: Float[Array, "n_in m"]
) -> tuple[Float[Array, "n_out n_in"], Float[Array, "n_out 1"]]:
    """Return dW = dZ A_prev^T / m and db = the mean of dZ over the m examples."""
    m = dZ.shape[1]
    dW = dZ @ A_prev.T
    dW /= m
    return dW, dZ.sum(axis=1, keepdims=True) / m


def dropout(
    A: Float[Array, "n m"], mask: Bool[Array, "n m"], keep_prob: float
) -> Float[Array, "n m"]:
    """Return A * mask / keep_prob: what is kept is scaled up, so that the mean is unchanged."""
    kept: Array = A * mask / float(keep_prob)  # a NumPy float64 would make a float32 A double
    return kept


def dropout_backward(
    dA: Float[Array, "n m"],
    mask: Bool[Array, "n m"],
    keep_prob: float,
    out: Float[Array, "n m"] | None = None,
) -> Float[Array, "n m"]:
    """Return dA * mask / keep_prob, the gradient before the mask from the one after it.

    It is written into `out` if that is given, which may be dA itself.
    """
    kept: Array = np.divide(np.multiply(dA, mask, out=out), float(keep_prob), out=out)
    return kept
