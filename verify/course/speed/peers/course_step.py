"""The course's own composition of a training step: the reference for all speeds.

Written as the course's assignments compose it, helper by helper: caches of tuples of tuples,
shapes asserted, a cost from AL at every step, the composed output gradient, dA_prev for every
layer down to the pictures themselves and kept with the gradients, a loop over the parameters. It
is right, and it is what people have. With L2 and dropout it is that of the assignment on
regularisation, but that the masks are given and not drawn, so that all take the same steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from verify.course.speed.timing import Run
    from verify.problem import Problem

Array = np.ndarray
Params = Mapping[str, Array]


def prepare(problem: Problem, learning_rate: float) -> Run:
    """Return run(n): n steps of gradient descent as the course's L_layer_model takes them."""

    def run(n: int) -> Params:
        params: Params = dict(problem.params)
        for _step in range(n):
            AL, caches = _model_forward(problem.X, params, problem)
            _cost(AL, problem.Y, params, problem.l2)
            grads = _model_backward(AL, problem.Y, caches, problem)
            params = _updated(params, grads, learning_rate)
        return params

    return run


def _sigmoid(Z: Array) -> tuple[Array, Array]:
    A = 1 / (1 + np.exp(-Z))
    return A, Z


def _relu(Z: Array) -> tuple[Array, Array]:
    A = np.maximum(0, Z)
    assert A.shape == Z.shape
    return A, Z


def _tanh(Z: Array) -> tuple[Array, Array]:
    return np.tanh(Z), Z


def _sigmoid_backward(dA: Array, Z: Array) -> Array:
    s = 1 / (1 + np.exp(-Z))
    dZ: Array = dA * s * (1 - s)
    assert dZ.shape == Z.shape
    return dZ


def _relu_backward(dA: Array, Z: Array) -> Array:
    dZ = np.array(dA, copy=True)
    dZ[Z <= 0] = 0
    assert dZ.shape == Z.shape
    return dZ


def _tanh_backward(dA: Array, Z: Array) -> Array:
    dZ: Array = dA * (1 - np.power(np.tanh(Z), 2))
    return dZ


_FORWARD: dict[str, Callable[..., Any]] = {"sigmoid": _sigmoid, "relu": _relu, "tanh": _tanh}
_BACKWARD: dict[str, Callable[..., Any]] = {
    "sigmoid": _sigmoid_backward,
    "relu": _relu_backward,
    "tanh": _tanh_backward,
}
ACTIVATIONS = frozenset(_FORWARD)
"""The hidden activations that the course has."""


def _linear_forward(A: Array, W: Array, b: Array) -> tuple[Array, Any]:
    Z = np.dot(W, A) + b
    assert Z.shape == (W.shape[0], A.shape[1])
    return Z, (A, W, b)


def _linear_activation_forward(
    A_prev: Array, W: Array, b: Array, activation: str
) -> tuple[Array, Any]:
    Z, linear_cache = _linear_forward(A_prev, W, b)
    A, activation_cache = _FORWARD[activation](Z)
    assert A.shape == (W.shape[0], A_prev.shape[1])
    return A, (linear_cache, activation_cache)


def _model_forward(X: Array, params: Params, problem: Problem) -> tuple[Array, list[Any]]:
    caches, A = [], X
    for layer, activation in enumerate((*problem.hidden, "sigmoid"), start=1):
        A, cache = _linear_activation_forward(
            A, params["W" + str(layer)], params["b" + str(layer)], activation
        )
        if problem.masks is not None and layer <= len(problem.hidden):
            A = np.multiply(A, problem.masks[layer - 1])
            A = A / problem.keep_prob[layer - 1]
        caches.append(cache)
    assert A.shape == (1, X.shape[1])
    return A, caches


def _cost(AL: Array, Y: Array, params: Params, l2: float) -> Array:
    m = Y.shape[1]
    cost: Array = (-1 / m) * np.sum(np.multiply(Y, np.log(AL)) + np.multiply(1 - Y, np.log(1 - AL)))
    cost = np.squeeze(cost)
    if l2:
        squares = [np.sum(np.square(W)) for name, W in params.items() if name[0] == "W"]
        cost = cost + l2 / (2 * m) * np.sum(squares)
    assert cost.shape == ()
    return cost


def _linear_backward(dZ: Array, cache: Any, l2: float) -> tuple[Array, Array, Array]:
    A_prev, W, b = cache
    m = A_prev.shape[1]
    dW = np.dot(dZ, A_prev.T) / m
    if l2:
        dW = dW + l2 / m * W
    db = np.sum(dZ, axis=1, keepdims=True) / m
    dA_prev = np.dot(W.T, dZ)
    assert dA_prev.shape == A_prev.shape
    assert dW.shape == W.shape
    assert db.shape == b.shape
    return dA_prev, dW, db


def _linear_activation_backward(
    dA: Array, cache: Any, activation: str, l2: float
) -> tuple[Array, Array, Array]:
    linear_cache, activation_cache = cache
    dZ = _BACKWARD[activation](dA, activation_cache)
    return _linear_backward(dZ, linear_cache, l2)


def _model_backward(AL: Array, Y: Array, caches: list[Any], problem: Problem) -> dict[str, Array]:
    grads = {}
    Y = Y.reshape(AL.shape)
    dA = -(np.divide(Y, AL) - np.divide(1 - Y, 1 - AL))
    for layer, activation in reversed(list(enumerate((*problem.hidden, "sigmoid"), start=1))):
        dA, dW, db = _linear_activation_backward(dA, caches[layer - 1], activation, problem.l2)
        if problem.masks is not None and layer > 1:
            dA = dA * problem.masks[layer - 2]
            dA = dA / problem.keep_prob[layer - 2]
        grads["dA" + str(layer - 1)] = dA
        grads["dW" + str(layer)] = dW
        grads["db" + str(layer)] = db
    return grads


def _updated(params: Params, grads: Params, learning_rate: float) -> Params:
    params = dict(params)
    for layer in range(1, len(params) // 2 + 1):
        for name in ("W" + str(layer), "b" + str(layer)):
            params[name] = params[name] - learning_rate * grads["d" + name]
    return params
