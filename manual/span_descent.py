"""Gradient descent with the first layer kept in the span of the data, by hand.

Where features far outnumber examples, full-batch training spends its time in the first layer's
two products, Z1 = W1 X + b1 and dW1 = G X^T + l2 / m * W1, where G = dZ1 / m. But every step
moves W1 within the span of X, and the penalty only shrinks it:

    W1 <- c W1 - rate * G X^T,   c = 1 - rate * l2 / m.

So W1 need not be touched. With K = X^T X, (m, m), computed once, its product P = W1 X obeys

    P <- c P - rate * G K

on its own, S <- c S + G collects what W1 is owed, and the penalty's share of it follows from

    |W1|^2 <- c^2 |W1|^2 - rate * <c P + P', G>,   P' the P after the step.

After t steps W1 = c^t W1_0 - rate * S X^T. All else is `manual.network`'s own. Its first layer
is given P as weights and the identity as data, so that Z1 = P I + b1 and the gradient by P is
dZ1 I^T / m = G. It is told of no penalty, since P has none; every other W is shrunk by c, as W1
is, before its step.

It is the same algorithm in exact arithmetic, and differs in rounding. So that a run has the
same bits wherever it stopped, W1 is recovered, and P computed afresh, at every multiple of
`BLOCK` iterations, whether or not anyone stops there.

Source: the representer theorem (Kimeldorf & Wahba, 1971), read off the algorithm.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from manual.losses import l2_penalty
from manual.network import loss_and_grads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from jaxtyping import Float

    from manual.network import Grads, Masks, Params

    Array = np.ndarray

BLOCK = 250
"""Steps from one recovery of W1 to the next."""


def gram(X: Float[Array, "n_0 m"]) -> Float[Array, "m m"]:
    """Return K = X^T X, of which BLAS, knowing that it is symmetric, multiplies half."""
    K: Array = X.T @ X
    return K


def operations(n_0: int, n_1: int, m: int, n: int) -> int:
    """Return the floating-point operations that n steps spend on the first layer, K included.

    A step has three products of (n_1, m) and (m, m): with K, and twice with the identity.
    """
    return 2 * n_0 * m * m + n * 3 * 2 * n_1 * m * m + ceil(n / BLOCK) * 4 * n_1 * n_0 * m


def steps(
    params: Params,
    X: Float[Array, "n_0 m"],
    Y: Float[Array, "n_L m"],
    masks: Callable[[int], Masks | None],
    *,
    n: int,
    learning_rate: float,
    start: int,
    K: Float[Array, "m m"],
    l2: float,
    **how: Any,
) -> tuple[Grads, Float[Array, " n"]]:
    """Take n steps from iteration `start`; return the new parameters and the n losses.

    `masks` is a function of the iteration; K is the data's `gram`; `how` is hidden, output and
    keep_prob.
    """
    costs = np.empty(n, X.dtype)
    first = start
    while first < start + n:
        last = min(first - first % BLOCK + BLOCK, start + n)
        drawn = (masks(iteration) for iteration in range(first, last))
        block = costs[first - start : last - start]
        params = _block(params, X, Y, K, drawn, block, float(learning_rate), float(l2), how)
        first = last
    return dict(params), costs


def _block(
    params: Params,
    X: Float[Array, "n_0 m"],
    Y: Float[Array, "n_L m"],
    K: Float[Array, "m m"],
    masks: Iterable[Masks | None],
    costs: Float[Array, " n"],
    rate: float,
    l2: float,
    how: Mapping[str, Any],
) -> Params:
    """Take a step for each of the masks, write each loss into `costs`; return the parameters."""
    m = X.shape[1]
    shrink = 1 - rate * l2 / m
    W1, identity = params["W1"], np.eye(m, dtype=X.dtype)
    P = W1 @ X
    S, power, norm = np.zeros_like(P), 1.0, float(np.vdot(W1, W1))
    upper = {name: value.copy() for name, value in params.items() if name != "W1"}
    weights = [value for name, value in upper.items() if name[0] == "W"]
    for step, drawn in enumerate(masks):
        costs[step], grads = loss_and_grads({"W1": P, **upper}, identity, Y, drawn, **how)
        if l2:
            costs[step] += l2_penalty(weights, l2, m) + l2 / (2 * m) * norm
        G = grads.pop("W1")
        for W in weights:
            W *= shrink
        for name, grad in grads.items():
            upper[name] -= rate * grad
        shrunk = shrink * P
        P = shrunk - rate * (G @ K)
        norm = shrink * shrink * norm - rate * float(np.vdot(shrunk + P, G))
        S = shrink * S + G
        power *= shrink
    recovered = {**upper, "W1": power * W1 - rate * (S @ X.T)}
    return {name: recovered[name] for name in params}
