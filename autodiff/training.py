"""Full-batch gradient descent as one computation: many steps a call, compiled once.

A chunk of steps is a loop that XLA compiles whole. Learning rate, keep_prob and L2, where there
is any, are its arguments, the parameters are donated to it, and no loss leaves the device
before the run is over.

There are two strategies, which differ only by rounding: "loop" is gradient descent as it is
written, and "span", which keeps the first layer in the span of the
data (`autodiff.span_descent`) and wins where features far outnumber examples.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from autodiff import span_descent, step_chunks
from autodiff.mesh import by_columns, kept_everywhere, mesh_under
from autodiff.network import _loss, full_precision, per_layer, require_masks
from autodiff.step_chunks import of_step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jax.sharding import Mesh
    from jaxtyping import Float

    from autodiff.network import Array, Masks, Params

CHUNK = 1024
"""Steps a call of the compiled loop: long beside a dispatch, short beside a human's patience."""

STRATEGIES = ("loop", "span")

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
    strategy: str | None = None,
    gram: Float[Array, "columns columns"] | None = None,
    m: int | None = None,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Take n steps of gradient descent; return the new parameters and the n losses.

    Each loss is that of the parameters before its step, with that step's masks. `masks` is one
    list for all steps, or a NumPy function of the iteration, which counts from `start`; where
    several processes take the steps, of the iteration and of a slice of the examples.

    `strategy` is "loop", "span" or, by default, the one that `choose_strategy` names. `gram` is
    XᵀX where the caller has it from `span.gram`. X and Y may be JAX arrays already, which
    saves their transfer. Where `on_device` has shared them out over a mesh, the steps are taken
    there, by all of its devices together; `m` is then the number of examples, without the
    columns that fill up.

    A run cut into several calls, each from the `start` where the last one ended, gives the
    bits of one: with "loop" wherever it is cut, with "span" at multiples of `span.BLOCK`.
    """
    L = len(params) // 2
    hidden, keep_probs = per_layer(hidden, L - 1), per_layer(keep_prob, L - 1)
    if not callable(masks):
        require_masks(masks, keep_probs)
    n_1, n_0 = params["W1"].shape
    strategy = strategy or choose_strategy((n_0, n_1), X.shape[1], n)
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy: got {strategy!r}, expected {', '.join(STRATEGIES)}")
    dtype = params["W1"].dtype
    with full_precision():
        X, Y = on_device(X, dtype), on_device(Y, dtype)
        mesh, count = mesh_under(X), X.shape[1] if m is None else m
        rates = np.array([learning_rate, l2, *keep_probs], dtype)
        static = {
            "hidden": hidden,
            "output": output,
            "scheduled": callable(masks),
            "penalised": l2 != 0,  # a penalty of 0 would be summed up all the same
            "m": m,
            "mesh": mesh,
        }
        if strategy == "span":
            K = span_descent.gram(X) if gram is None else gram
            chunk, length = (
                partial(span_descent.chunk, X, Y, K, rates, **static),
                span_descent.BLOCK,
            )
        else:
            length = _length(params, count) if callable(masks) else CHUNK
            chunk = partial(_chunk, X, Y, rates, **static, length=length)
        return step_chunks.run(
            chunk, params, masks, n=n, start=start, length=length, m=count, mesh=mesh
        )


def on_device(
    array: Float[Array, "..."], dtype: np.dtype | None = None, *, mesh: Mesh | None = None
) -> Float[jax.Array, "..."]:
    """Return the array on JAX's device, in its own dtype or in this one.

    On a mesh its columns are shared out, filled up to a multiple of the devices.
    """
    if isinstance(array, jax.Array) and dtype in (None, array.dtype) and mesh is None:
        return array
    with full_precision():
        host = np.asarray(array, dtype)
        placed: jax.Array = jax.device_put(host) if mesh is None else by_columns(host, mesh)
        return placed


def choose_strategy(layers: Sequence[int], m: int, n: int) -> str:
    """Return the cheaper strategy for n steps on m examples, from layer sizes n0, n1, ....

    What counts is the first layer's floating-point operations; every other layer costs both
    the same. "span" has to halve them, for its products are small and its memory is more.
    """
    n_0, n_1 = layers[:2]
    loop = n * 4 * n_1 * n_0 * m
    return "span" if 2 * span_descent.operations(n_0, n_1, m, n) < loop else "loop"


def _length(params: Params, m: int) -> int:
    """Return of how many steps the masks take no more than they may."""
    units = sum(len(params[f"b{layer}"]) for layer in range(1, len(params) // 2))
    return max(1, min(CHUNK, MASK_BYTES // max(1, units * m)))


@partial(
    jax.jit,
    static_argnames=("hidden", "output", "scheduled", "penalised", "length", "m", "mesh"),
    donate_argnames="params",
)
def _chunk(
    X: Any, Y: Any, rates: Any, params: dict[str, Any], masks: Any, count: Any,
    *, hidden: Sequence[str], output: str, scheduled: bool, penalised: bool, length: int,
    m: int | None = None, mesh: Mesh | None = None,
) -> tuple[dict[str, jax.Array], jax.Array]:  # fmt: skip
    rate, l2, *keep_probs = rates
    penalty = l2 if penalised else None

    def step(i: Any, state: Any) -> Any:
        params, losses = state
        drawn = of_step(masks, i, params) if scheduled else masks
        loss, grads = jax.value_and_grad(_loss)(
            params, {}, X, Y, drawn, hidden, output, penalty, keep_probs, m
        )
        params = {name: params[name] - rate * grads[name] for name in params}
        return params, losses.at[i].set(loss)

    params, losses = jax.lax.fori_loop(0, count, step, (params, jnp.zeros(length, X.dtype)))
    params, losses = kept_everywhere((params, losses), mesh)
    return params, losses
