"""The dense network: the layers composed, forward and backward.

    Z1 = W1 X + b1        A1 = g(Z1) * mask1 / keep_prob
    ...                   ...
    ZL = WL A(L-1) + bL   AL = sigmoid(ZL) or softmax(ZL)

    J = cross-entropy(ZL, Y) + l2 / (2 m) * sum of squared weights

and, backwards, with dZ and dA standing for m times the derivative of J,

    dZL = AL - Y          dW = dZ A_prev^T / m + l2 / m * W
    dA_prev = W^T dZ      db = mean of dZ
    dZ = (dA * mask / keep_prob) * g'(Z)

Shapes: X (features, m); Y (1, m) of 0 and 1 for a sigmoid output, (classes, m) one-hot for a
softmax one; W_l (n_l, n_(l-1)); b_l (n_l, 1); one boolean mask (n_l, m) a hidden layer.
Everything is computed in the dtype of the parameters. Inputs are not checked here, except for a
keep_prob without masks, which would give a wrong answer: `verify.Problem` checks them.

Source: Rumelhart, Hinton & Williams (1986); the notation is the course's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from manual.activations import ACTIVATIONS
from manual.layers import (
    dropout,
    dropout_backward,
    linear,
    linear_backward_input,
    linear_backward_params,
)
from manual.losses import (
    l2_penalty,
    l2_penalty_backward,
    sigmoid_cross_entropy,
    sigmoid_cross_entropy_backward,
    softmax_cross_entropy,
    softmax_cross_entropy_backward,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jaxtyping import Bool, Float, Int

    Array = np.ndarray
    Params = Mapping[str, Float[Array, "_ _"]]
    Grads = dict[str, Float[Array, "_ _"]]
    Masks = Sequence[Bool[Array, "_ m"]]

LOSSES = {
    "sigmoid": (sigmoid_cross_entropy, sigmoid_cross_entropy_backward),
    "softmax": (softmax_cross_entropy, softmax_cross_entropy_backward),
}
"""The cross-entropy that belongs to each output, beside its backward."""


class LayerCache(NamedTuple):
    """What the backward pass needs of one layer's forward pass."""

    activation: str
    A_prev: Float[Array, "n_in m"]
    W: Float[Array, "n_out n_in"]
    Z: Float[Array, "n_out m"]
    A: Float[Array, "n_out m"]
    """g(Z), before any mask."""


def depth(params: Params) -> int:
    """Return L, the number of layers, from keys W1, b1, ..., WL, bL."""
    return len(params) // 2


def per_layer(value: Any, count: int) -> tuple[Any, ...]:
    """Return one value a hidden layer from one for all or one each."""
    if isinstance(value, str) or not hasattr(value, "__len__"):
        return (value,) * count
    return tuple(value)


def forward(
    params: Params,
    X: Float[Array, "n_0 m"],
    masks: Masks | None = None,
    *,
    hidden: str | Sequence[str] = "relu",
    output: str = "sigmoid",
    keep_prob: float | Sequence[float] = 1.0,
) -> tuple[Float[Array, "n_L m"], list[LayerCache]]:
    """Return AL and one `LayerCache` a layer, in order.

    Raises ValueError if keep_prob is below 1 and there are no masks.
    """
    L = depth(params)
    activations = (*per_layer(hidden, L - 1), output)
    keep_probs = per_layer(keep_prob, L - 1)
    if masks is None and min(keep_probs, default=1) < 1:
        raise ValueError(
            f"masks: got none with keep_prob {keep_prob}, expected one mask a hidden layer"
        )
    A = np.asarray(X, params["W1"].dtype)
    cache = []
    for layer, activation in enumerate(activations, start=1):
        A_prev, W = A, params[f"W{layer}"]
        Z = linear(A_prev, W, params[f"b{layer}"])
        A = ACTIVATIONS[activation].forward(Z)
        cache.append(LayerCache(activation, A_prev, W, Z, A))
        if masks is not None and layer < L:
            A = dropout(A, masks[layer - 1], keep_probs[layer - 1])
    return A, cache


def backward(
    dZ: Float[Array, "n_L m"],
    cache: Sequence[LayerCache],
    masks: Masks | None = None,
    *,
    l2: float = 0.0,
    keep_prob: float | Sequence[float] = 1.0,
    input_gradient: bool = False,
) -> tuple[Grads, dict[str, Float[Array, "_ m"]]]:
    """Carry dZ, the gradient at the last layer's Z, back through the cached layers.

    Returns the gradients of the parameters, and those of the intermediates: dZ1, dA1, ..., dZL,
    with dA0, the gradient of X, if `input_gradient` asks for it.
    """
    grads, intermediates = {}, {}
    downwards = _downwards(dZ, cache, masks, keep_prob, input_gradient=input_gradient)
    for layer, dZ, dA in downwards:
        grads[f"W{layer}"], grads[f"b{layer}"] = _grads(dZ, cache[layer - 1], l2)
        intermediates[f"dZ{layer}"] = dZ
        if dA is not None:
            intermediates[f"dA{layer - 1}"] = dA
    return grads, intermediates


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
) -> np.floating:
    """Return the mean cross-entropy plus the L2 penalty."""
    _, cache = forward(params, X, masks, hidden=hidden, output=output, keep_prob=keep_prob)
    return _loss(cache, Y, l2)


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
) -> tuple[np.floating, Grads]:
    """Return the loss and its gradient by every parameter, under the parameters' own keys."""
    _, cache = forward(params, X, masks, hidden=hidden, output=output, keep_prob=keep_prob)
    grads = {}
    downwards = _downwards(output_backward(cache, Y), cache, masks, keep_prob, in_place=True)
    for layer, dZ, _ in downwards:
        grads[f"W{layer}"], grads[f"b{layer}"] = _grads(dZ, cache[layer - 1], l2)
    return _loss(cache, Y, l2), {name: grads[name] for name in params}


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
) -> dict[str, Float[Array, "_ m"]]:
    """Return dZ1, dA1, ..., dZL: m times the loss's gradient at each Z and at each A.

    A is what the next layer reads, after the mask. The penalty reaches none of them.
    """
    _, cache = forward(params, X, masks, hidden=hidden, output=output, keep_prob=keep_prob)
    intermediates = {}
    for layer, dZ, dA in _downwards(output_backward(cache, Y), cache, masks, keep_prob):
        intermediates[f"dZ{layer}"] = dZ
        if dA is not None:
            intermediates[f"dA{layer - 1}"] = dA
    return dict(reversed(intermediates.items()))


def predict(
    params: Params,
    X: Float[Array, "n_0 m"],
    *,
    hidden: str | Sequence[str] = "relu",
    output: str = "sigmoid",
) -> Int[Array, " m"]:
    """Return each example's class, (m,) integers: whether AL > 0.5, or for softmax the largest."""
    AL, _ = forward(params, X, hidden=hidden, output=output)
    classes: Array = (AL[0] > 0.5).astype(int) if output == "sigmoid" else AL.argmax(axis=0)
    return classes


def output_backward(cache: Sequence[LayerCache], Y: Float[Array, "n_L m"]) -> Float[Array, "n_L m"]:
    """Return dZL = AL - Y, the cross-entropy's gradient fused with the output's."""
    last = cache[-1]
    return LOSSES[last.activation][1](last.Z, np.asarray(Y, last.Z.dtype), last.A)


def _downwards(
    dZ: Float[Array, "n_L m"],
    cache: Sequence[LayerCache],
    masks: Masks | None,
    keep_prob: float | Sequence[float],
    *,
    input_gradient: bool = False,
    in_place: bool = False,
) -> Iterator[tuple[int, Float[Array, "_ m"], Float[Array, "_ m"] | None]]:
    """Yield (layer, dZ, dA_prev) from the last layer to the first.

    One layer's gradients are freed before the next one's are computed, unless the caller keeps
    them: on a wide network that halves the memory of a step. With `in_place` a layer's dZ is
    written over the dA that was yielded before it, which the caller then must not keep. The first
    layer has a dA_prev, the gradient of X, only if `input_gradient` asks for it.
    """
    keep_probs = per_layer(keep_prob, len(cache) - 1)
    for layer in range(len(cache), 0, -1):
        needed = layer > 1 or input_gradient
        dA = linear_backward_input(dZ, cache[layer - 1].W) if needed else None
        yield layer, dZ, dA
        if dA is not None and layer > 1:
            below = cache[layer - 2]
            out = dA if in_place else None
            if masks is not None:
                dA = dropout_backward(dA, masks[layer - 2], keep_probs[layer - 2], out)
            dZ = ACTIVATIONS[below.activation].backward(dA, below.Z, below.A, out)


def _grads(
    dZ: Float[Array, "n_out m"], layer: LayerCache, l2: float
) -> tuple[Float[Array, "n_out n_in"], Float[Array, "n_out 1"]]:
    dW, db = linear_backward_params(dZ, layer.A_prev)
    if l2:
        dW += l2_penalty_backward(layer.W, l2, dZ.shape[1])
    return dW, db


def _loss(cache: Sequence[LayerCache], Y: Float[Array, "n_L m"], l2: float) -> np.floating:
    last = cache[-1]
    value = LOSSES[last.activation][0](last.Z, np.asarray(Y, last.Z.dtype))
    if l2:
        value += l2_penalty((layer.W for layer in cache), l2, last.Z.shape[1])
    return value
