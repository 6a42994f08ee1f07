"""Several classes: relu, relu, ..., softmax. Y is one-hot, one column an example."""
import numpy as np


def softmax(Z):
    e = np.exp(Z - np.max(Z, axis=0, keepdims=True))
    return e / e.sum(axis=0, keepdims=True)


def L_model_forward(X, parameters):
    A, caches = X, []
    L = len(parameters) // 2
    for l in range(1, L + 1):
        A_prev = A
        Z = parameters[f"W{l}"] @ A_prev + parameters[f"b{l}"]
        A = softmax(Z) if l == L else np.maximum(0, Z)
        caches.append((A_prev, parameters[f"W{l}"], Z))
    return A, caches


def compute_cost(AL, Y):
    return -np.sum(Y * np.log(AL)) / Y.shape[1]


def L_model_backward(AL, Y, caches):
    grads, m, L = {}, Y.shape[1], len(caches)
    dZ = AL - Y
    for l in range(L, 0, -1):
        A_prev, W, Z = caches[l - 1]
        grads[f"dW{l}"] = dZ @ A_prev.T / m
        grads[f"db{l}"] = dZ.sum(axis=1, keepdims=True) / m
        if l > 1:
            dZ = (W.T @ dZ) * (caches[l - 2][2] > 0)
    return grads
