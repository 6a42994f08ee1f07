"""Full-batch gradient descent as one computation: many steps a call, compiled once.

A chunk of steps is a loop that XLA compiles whole. Its arrays have a fixed length and its trip
count is an argument, so that a last, shorter chunk compiles nothing; learning rate, L2 and
keep_prob are arguments too. Parameters are donated, the losses stay on the device until the
run is over, and chunks are dispatched without waiting, so that the masks of one are drawn
while another runs. A run cut into several calls gives the bits of one: every step is the same
compiled body.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from autodiff.network import _loss, per_layer, require_masks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxtyping import Array, Float

    from autodiff.network import Masks, Params

CHUNK = 1024
"""Steps a call of the compiled loop: long beside a dispatch, short beside a human's patience."""

MASK_BYTES = 2**26
"""What the masks of one chunk may take; a chunk is shorter where they would take more."""


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
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Take n steps of gradient descent; return the new parameters and the n losses.

    Each loss is that of the parameters before its step, with that step's masks. `masks` is one
    list for all steps, or a NumPy function of the iteration, which counts from `start`. X and
    Y may lie on the device already, which saves their transfer.
    """
    dtype = params["W1"].dtype
    L = len(params) // 2
    hidden, keep_probs = per_layer(hidden, L - 1), per_layer(keep_prob, L - 1)
    require_masks(masks, keep_probs)
    drawn = callable(masks)
    length = max(1, min(CHUNK, MASK_BYTES // _bytes(masks(start)))) if drawn else CHUNK
    with jax.enable_x64(True):
        X, Y = jnp.asarray(X, dtype), jnp.asarray(Y, dtype)
        state = {name: jnp.array(value, copy=True) for name, value in params.items()}
        costs = []
        for first in range(0, n, length):
            count = min(length, n - first)
            schedule = _stack(masks, start + first, count, length) if drawn else masks
            state, chunk = _chunk(
                state, X, Y, schedule, count, float(learning_rate), float(l2),
                tuple(map(float, keep_probs)),
                hidden=hidden, output=output, length=length, drawn=drawn,
            )  # fmt: skip
            costs.append(chunk[:count])
        return (
            {name: np.array(state[name]) for name in params},
            np.concatenate([*costs, np.empty(0, dtype)]),
        )


def _bytes(masks) -> int:
    return sum(mask.nbytes for mask in masks)


def _stack(masks, first: int, count: int, length: int) -> list[np.ndarray]:
    """Return the masks of `count` iterations, one array (length, n_l, m) a hidden layer."""
    drawn = [masks(first + step) for step in range(count)]
    schedule = [np.zeros((length, *mask.shape), bool) for mask in drawn[0]]
    for step, step_masks in enumerate(drawn):
        for layer, mask in zip(schedule, step_masks, strict=True):
            layer[step] = mask
    return schedule


@partial(jax.jit, static_argnames=("hidden", "output", "length", "drawn"), donate_argnames="params")
def _chunk(
    params, X, Y, masks, count, learning_rate, l2, keep_probs, *, hidden, output, length, drawn
):
    dtype = X.dtype
    rate, l2 = jnp.asarray(learning_rate, dtype), jnp.asarray(l2, dtype)
    keep_probs = tuple(jnp.asarray(keep, dtype) for keep in keep_probs)

    def step(i, state):
        params, costs = state
        step_masks = [layer[i] for layer in masks] if drawn else masks
        cost, grads = jax.value_and_grad(_loss)(
            params, {}, X, Y, step_masks, hidden, output, l2, keep_probs
        )
        params = {name: params[name] - rate * grads[name] for name in params}
        return params, costs.at[i].set(cost)

    return jax.lax.fori_loop(0, count, step, (params, jnp.zeros(length, dtype)))
