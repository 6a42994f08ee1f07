"""The course's own composition of a training step: the reference that speed is measured against.

Written the way the course's assignments compose it, helper by helper: caches of tuples, a cost
from AL every step, the composed output gradient, dA_prev for every layer down to the pictures
themselves, a loop over the parameters. It is right, and it is what people have.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def steps(params, X, Y, *, n, learning_rate, hidden, **_):
    """Take n steps of gradient descent as the course's L_layer_model does."""
    params = dict(params)
    for _step in range(n):
        AL, caches = _model_forward(X, params, hidden)
        _cost(AL, Y)
        grads = _model_backward(AL, Y, caches, hidden)
        for layer in range(1, len(params) // 2 + 1):
            params[f"W{layer}"] = params[f"W{layer}"] - learning_rate * grads[f"dW{layer}"]
            params[f"b{layer}"] = params[f"b{layer}"] - learning_rate * grads[f"db{layer}"]
    return params


def _sigmoid(Z):
    return 1 / (1 + np.exp(-Z))


_FORWARD: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sigmoid": _sigmoid,
    "relu": lambda Z: np.maximum(0, Z),
    "tanh": np.tanh,
}


def _activation_backward(dA, Z, activation):
    if activation == "relu":
        dZ = np.array(dA, copy=True)
        dZ[Z <= 0] = 0
        return dZ
    if activation == "tanh":
        return dA * (1 - np.power(np.tanh(Z), 2))
    s = _sigmoid(Z)
    return dA * s * (1 - s)


def _model_forward(X, params, hidden):
    caches, A = [], X
    for layer, activation in enumerate((*hidden, "sigmoid"), start=1):
        W, b = params[f"W{layer}"], params[f"b{layer}"]
        Z = np.dot(W, A) + b
        caches.append(((A, W, b), Z))
        A = _FORWARD[activation](Z)
    return A, caches


def _cost(AL, Y):
    m = Y.shape[1]
    cost = (-1 / m) * np.sum(np.multiply(Y, np.log(AL)) + np.multiply(1 - Y, np.log(1 - AL)))
    return np.squeeze(cost)


def _model_backward(AL, Y, caches, hidden):
    grads = {}
    dA = -(np.divide(Y, AL) - np.divide(1 - Y, 1 - AL))
    for layer, activation in reversed(list(enumerate((*hidden, "sigmoid"), start=1))):
        (A_prev, W, _b), Z = caches[layer - 1]
        m = A_prev.shape[1]
        dZ = _activation_backward(dA, Z, activation)
        grads[f"dW{layer}"] = np.dot(dZ, A_prev.T) / m
        grads[f"db{layer}"] = np.sum(dZ, axis=1, keepdims=True) / m
        dA = np.dot(W.T, dZ)
    return grads
