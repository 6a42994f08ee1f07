"""The same loss as a pure JAX function, differentiated by JAX.

The contract is that of the network by hand, argument for argument:

    loss(params, X, Y, masks=None, *, hidden="relu", output="sigmoid", l2=0.0, keep_prob=1.0)

with params {"W1": (n1, n0), "b1": (n1, 1), ...}, X (features, m), Y (1, m) or one-hot
(classes, m), and one boolean mask (n_l, m) a hidden layer. `loss` follows JAX's ambient
settings, so it can be traced, differentiated and composed. `loss_and_grads` and
`intermediate_grads` compute in the dtype of the parameters, with 64-bit types enabled for the
call alone, and return NumPy arrays.

No derivative is written here. relu is a choice between Z and 0, so that JAX differentiates it
to 0 at 0, which is the convention of every course; `jnp.maximum` would give 0.5. So is the leaky
relu, between Z and 0.01 Z, and its derivative at 0 is 0.01.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from jaxtyping import Bool, Float

    Array = jax.Array | np.ndarray
    Params = Mapping[str, Float[Array, "_ _"]]
    Masks = Sequence[Bool[Array, "_ m"]]

ACTIVATIONS: dict[str, Callable[[Any], jax.Array]] = {
    "relu": lambda Z: jnp.where(jnp.greater(Z, 0), Z, 0),
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "leaky-relu": lambda Z: jnp.where(jnp.greater(Z, 0), Z, 0.01 * Z),
}
"""Every hidden activation by its name."""

LOSSES: dict[str, Callable[[Any, Any, Any], jax.Array]] = {
    "sigmoid": lambda Z, Y, counted: jnp.sum(jax.nn.softplus(Z) - Y * Z, where=counted),
    "softmax": lambda Z, Y, counted: (
        jnp.sum(jax.nn.logsumexp(Z, axis=0), where=counted) - jnp.sum(Y * Z, where=counted)
    ),
}
"""The cross-entropy of each output, from its logits, summed over the examples that count."""


def loss(
    params: Params,
    X: Float[Array, "n_0 m"],
    Y: Float[Array, "n_L m"],
    masks: Masks | None = None,
    *,
    hidden: str | Sequence[str] = "relu",
    output: str = "sigmoid",
    l2: float = 0.0,
    keep_prob: float | Sequence[float] = 1.0,
) -> Float[jax.Array, ""]:
    """Return the mean cross-entropy plus l2 / (2 m) times the sum of squared weights.

    Raises ValueError if keep_prob is below 1 and there are no masks.
    """
    L = len(params) // 2
    hidden, keep_probs = per_layer(hidden, L - 1), per_layer(keep_prob, L - 1)
    require_masks(masks, keep_probs)
    return _loss(params, {}, X, Y, masks, hidden, output, l2, keep_probs)


def loss_and_grads(
    params: Params,
    X: Float[Array, "n_0 m"],
    Y: Float[Array, "n_L m"],
    masks: Masks | None = None,
    *,
    hidden: str | Sequence[str] = "relu",
    output: str = "sigmoid",
    l2: float = 0.0,
    keep_prob: float | Sequence[float] = 1.0,
) -> tuple[np.floating, dict[str, np.ndarray]]:
    """Return the loss and its gradient by every parameter, differentiated by JAX."""
    arguments = _prepare(params, X, Y, masks, hidden, output, l2, keep_prob)
    with full_precision():
        value, grads = _value_and_grad(*arguments)
        return value.dtype.type(value), {name: np.asarray(grads[name]) for name in params}


def intermediate_grads(
    params: Params,
    X: Float[Array, "n_0 m"],
    Y: Float[Array, "n_L m"],
    masks: Masks | None = None,
    *,
    hidden: str | Sequence[str] = "relu",
    output: str = "sigmoid",
    l2: float = 0.0,
    keep_prob: float | Sequence[float] = 1.0,
) -> dict[str, np.ndarray]:
    """Return dZ1, dA1, ..., dZL: m times the loss's gradient at each Z and at each A.

    Each is the gradient by a probe, a zero added to that Z or A; A is what the next layer
    reads, after the mask.
    """
    arguments = _prepare(params, X, Y, masks, hidden, output, l2, keep_prob)
    m, L = arguments[1].shape[1], len(params) // 2
    names = [name for layer in range(1, L + 1) for name in (f"Z{layer}", f"A{layer}")][:-1]
    with full_precision():
        probes = {
            name: np.zeros((len(params[f"b{name[1:]}"]), m), arguments[1].dtype) for name in names
        }
        grads = _probe_grads(probes, *arguments)
        return {f"d{name}": m * np.asarray(grads[name]) for name in names}


@contextmanager
def full_precision() -> Iterator[None]:
    """Let float64 be float64, and float32 products float32, whatever the device prefers."""
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        yield


def per_layer(value: Any, count: int) -> tuple[Any, ...]:
    """Return one value a hidden layer from one for all or one each."""
    if isinstance(value, str) or not hasattr(value, "__len__"):
        return (value,) * count
    return tuple(value)


def require_masks(masks: object, keep_probs: Sequence[float]) -> None:
    """Raise ValueError if anything is dropped and there are no masks."""
    if masks is None and any(not isinstance(k, jax.core.Tracer) and k < 1 for k in keep_probs):
        raise ValueError(
            f"masks: got none with keep_prob {keep_probs}, expected one mask a hidden layer"
        )


def _loss(
    params: Params,
    probes: Params,
    X: Float[Array, "n_0 m"],
    Y: Float[Array, "n_L m"],
    masks: Masks | None,
    hidden: Sequence[str],
    output: str,
    l2: Any,
    keep_probs: Sequence[Any],
    m: int | None = None,
) -> Float[jax.Array, ""]:
    """Return the loss. An l2 of None is no penalty: no square is added.

    m is the number of examples, where X has more columns than that: the others do not count.
    """
    columns = X.shape[1]
    m = columns if m is None else m
    counted = None if m == columns else jnp.arange(columns) < m
    A = X
    for layer, activation in enumerate((*hidden, None), start=1):
        Z = params[f"W{layer}"] @ A + params[f"b{layer}"] + probes.get(f"Z{layer}", 0)
        if activation is None:
            break
        A = ACTIVATIONS[activation](Z)
        if masks is not None:
            A = A * masks[layer - 1] / keep_probs[layer - 1]
        A = A + probes.get(f"A{layer}", 0)
    mean: jax.Array = LOSSES[output](Z, Y, counted) / m
    if l2 is None:
        return mean
    squares = sum(jnp.sum(jnp.square(value)) for name, value in params.items() if name[0] == "W")
    penalised: jax.Array = mean + l2 / (2 * m) * squares
    return penalised


_static = partial(jax.jit, static_argnames=("hidden", "output"))


@_static
def _value_and_grad(
    params: Any, X: Any, Y: Any, masks: Any, hidden: Any, output: Any, l2: Any, keep_probs: Any
) -> Any:
    return jax.value_and_grad(_loss)(params, {}, X, Y, masks, hidden, output, l2, keep_probs)


@_static
def _probe_grads(
    probes: Any, params: Any, X: Any, Y: Any, masks: Any, hidden: Any, output: Any, l2: Any,
    keep_probs: Any,
) -> Any:  # fmt: skip
    return jax.grad(_loss, argnums=1)(params, probes, X, Y, masks, hidden, output, l2, keep_probs)


def _prepare(
    params: Params,
    X: Float[Array, "n_0 m"],
    Y: Float[Array, "n_L m"],
    masks: Masks | None,
    hidden: str | Sequence[str],
    output: str,
    l2: float,
    keep_prob: float | Sequence[float],
) -> tuple[Any, ...]:
    """Return the arguments of the compiled functions, in the dtype of the parameters."""
    dtype = params["W1"].dtype
    L = len(params) // 2
    keep_probs = per_layer(keep_prob, L - 1)
    require_masks(masks, keep_probs)
    return (
        dict(params),
        np.asarray(X, dtype),
        np.asarray(Y, dtype),
        None if masks is None else list(masks),
        per_layer(hidden, L - 1),
        output,
        float(l2),
        tuple(map(float, keep_probs)),
    )
