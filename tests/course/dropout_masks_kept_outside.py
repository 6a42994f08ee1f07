"""Dropout in a dict cache, without the masks in it: they come from a seeded generator."""
import numpy as np
from reg_utils import relu, sigmoid


def forward_propagation_with_dropout(X, parameters, keep_prob=0.8):
    rng = np.random.default_rng(7)
    A, cache = X, {"A0": X}
    for l in (1, 2):
        Z = parameters[f"W{l}"] @ A + parameters[f"b{l}"]
        A = relu(Z) * (rng.random(Z.shape) < keep_prob) / keep_prob
        cache[f"Z{l}"], cache[f"A{l}"] = Z, A
    cache["A3"] = sigmoid(parameters["W3"] @ A + parameters["b3"])
    return cache["A3"], cache


def backward_propagation_with_dropout(X, Y, cache, parameters, keep_prob=0.8):
    m = X.shape[1]
    grads, dZ = {}, cache["A3"] - Y
    for l in (3, 2, 1):
        A_prev = cache[f"A{l - 1}"]
        grads[f"dW{l}"] = dZ @ A_prev.T / m
        grads[f"db{l}"] = dZ.mean(axis=1, keepdims=True)
        if l > 1:
            # A > 0 is both: relu was on, and the unit was kept
            dZ = (parameters[f"W{l}"].T @ dZ) * (A_prev > 0) / keep_prob
    return grads
