from dataclasses import dataclass
from typing import Dict, List, Tuple

import numpy as np

EPSILON = 1e-15


@dataclass
class Step:
    A_prev: np.ndarray
    W: np.ndarray
    Z: np.ndarray


def relu(Z: np.ndarray) -> np.ndarray:
    return Z * (Z > 0)


def L_model_forward(X: np.ndarray, parameters: Dict[str, np.ndarray]) -> Tuple[np.ndarray, List[Step]]:
    A, steps = X, []
    L = len(parameters) // 2
    for l in range(1, L + 1):
        Z = np.matmul(parameters[f"W{l}"], A) + parameters[f"b{l}"]
        steps.append(Step(A, parameters[f"W{l}"], Z))
        A = relu(Z) if l < L else 1 / (1 + np.exp(-Z))
    return A, steps


def compute_cost(AL, Y, parameters, lambd=0.1):
    m = Y.shape[1]
    AL = np.clip(AL, EPSILON, 1 - EPSILON)
    cost = -np.mean(Y * np.log(AL) + (1 - Y) * np.log(1 - AL), axis=1)
    for name in parameters:
        if name.startswith("W"):
            cost = cost + lambd / (2 * m) * np.linalg.norm(parameters[name]) ** 2
    return cost


def L_model_backward(AL, Y, caches, lambd=0.1):
    grads, m = {}, Y.shape[1]
    dZ = AL - Y
    for l in reversed(range(1, len(caches) + 1)):
        step = caches[l - 1]
        grads[f"dW{l}"] = (dZ @ step.A_prev.T + lambd * step.W) / m
        grads[f"db{l}"] = np.sum(dZ, axis=1)[:, np.newaxis] / m
        if l > 1:
            dZ = np.multiply(step.W.T @ dZ, np.heaviside(caches[l - 2].Z, 0))
    return grads
