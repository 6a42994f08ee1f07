"""Full-batch gradient descent: the gradient of the whole set, then W - learning_rate * dW.

The loop alone is here. Recording, progress, signals and files belong to whoever calls it.

There are two strategies, which differ only by rounding: "loop" is gradient descent as it is
written, and "span", which keeps the first layer in the span of the data
(`manual.span_descent`) and wins where features far outnumber examples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from manual import span_descent
from manual.network import loss_and_grads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxtyping import Float

    from manual.network import Grads, Masks, Params

    Array = np.ndarray

STRATEGIES = ("loop", "span")


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
    strategy: str | None = None,
    gram: Float[Array, "m m"] | None = None,
) -> tuple[Grads, Float[Array, " n"]]:
    """Take n steps of gradient descent; return the new parameters and the n losses.

    Each loss is that of the parameters before its step, with that step's masks. `masks` is one
    list for all steps, or a function of the iteration, which counts from `start`.

    `strategy` is "loop", "span" or, by default, the one that `choose_strategy` names. `gram` is
    X^T X where the caller has it from `span.gram`.

    A run cut into several calls, each with the `start` where the last one ended, gives the bits
    of one: with "loop" wherever it is cut, with "span" at multiples of `span.BLOCK`.
    """
    n_1, n_0 = params["W1"].shape
    dtype = params["W1"].dtype
    X, Y = np.asarray(X, dtype), np.asarray(Y, dtype)
    strategy = strategy or choose_strategy((n_0, n_1), X.shape[1], n)
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy: got {strategy!r}, expected {', '.join(STRATEGIES)}")
    drawn = masks if callable(masks) else lambda iteration: masks
    how: dict[str, Any] = {"hidden": hidden, "output": output, "l2": l2, "keep_prob": keep_prob}
    if strategy == "span":
        K = span_descent.gram(X) if gram is None else gram
        return span_descent.steps(
            params, X, Y, drawn, n=n, learning_rate=learning_rate, start=start, K=K, **how
        )
    params = {name: value.copy() for name, value in params.items()}
    rate, costs = np.array(learning_rate, dtype), np.empty(n, dtype)
    for step in range(n):
        costs[step], grads = loss_and_grads(params, X, Y, drawn(start + step), **how)
        for name, grad in grads.items():
            grad *= rate
            params[name] -= grad
    return params, costs


def choose_strategy(layers: Sequence[int], m: int, n: int) -> str:
    """Return the cheaper strategy for n steps on m examples, from layer sizes n0, n1, ....

    What counts is the first layer's floating-point operations; every other layer costs both
    the same. "span" has to halve them, for its products are small and its memory is more.
    """
    n_0, n_1 = layers[:2]
    loop = n * 4 * n_1 * n_0 * m
    return "span" if 2 * span_descent.operations(n_0, n_1, m, n) < loop else "loop"


def descend(params: Params, grads: Params, learning_rate: float) -> Grads:
    """Return params - learning_rate * grads: one step of gradient descent."""
    return {name: params[name] - learning_rate * grads[name] for name in params}
