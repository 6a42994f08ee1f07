"""Full-batch gradient descent: the gradient of the whole set, then W - learning_rate * dW.

The loop alone is here. Recording, progress, signals and files belong to whoever calls it; a run
cut into several calls, each with the `start` where the last one ended, gives the bits of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from manual.network import loss_and_grads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxtyping import Float

    from manual.network import Grads, Masks, Params

    Array = np.ndarray


def steps(
    params: Params,
    X: Float[Array, "n_0 m"],
    Y: Float[Array, "n_L m"],
    masks: Masks | Callable[[int], Masks] | None = None,
    *,
    n: int,
    learning_rate: float,
    start: int = 0,
    hidden: str | Sequence[str] = "relu",
    output: str = "sigmoid",
    l2: float = 0.0,
    keep_prob: float | Sequence[float] = 1.0,
) -> tuple[Grads, Float[Array, " n"]]:
    """Take n steps of gradient descent; return the new parameters and the n losses.

    Each loss is that of the parameters before its step, with that step's masks. `masks` is one
    list for all steps, or a function of the iteration, which counts from `start`.
    """
    params = {name: value.copy() for name, value in params.items()}
    dtype = params["W1"].dtype
    X, Y = np.asarray(X, dtype), np.asarray(Y, dtype)
    rate, costs = float(learning_rate), np.empty(n, dtype)
    for step in range(n):
        drawn = masks(start + step) if callable(masks) else masks
        costs[step], grads = loss_and_grads(
            params, X, Y, drawn, hidden=hidden, output=output, l2=l2, keep_prob=keep_prob
        )
        for name, grad in grads.items():
            grad *= rate
            params[name] -= grad
    return params, costs


def descend(params: Params, grads: Params, learning_rate: float) -> Grads:
    """Return params - learning_rate * grads: one step of gradient descent."""
    return {name: params[name] - learning_rate * grads[name] for name in params}
