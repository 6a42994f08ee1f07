"""A fully connected net in a dataclass."""
from dataclasses import dataclass, field
from typing import Dict, List
import numpy as np

def sigmoid(Z): return 1 / (1 + np.exp(-Z))
def relu(Z): return np.maximum(0, Z)

@dataclass
class Net:
    layer_dims: List[int]
    learning_rate: float = 0.0075
    parameters: Dict[str, np.ndarray] = field(default_factory=dict)
    caches: list = field(default_factory=list)

    def __post_init__(self):
        rng = np.random.RandomState(3)
        for l in range(1, len(self.layer_dims)):
            self.parameters[f"W{l}"] = rng.randn(self.layer_dims[l], self.layer_dims[l-1]) * 0.01
            self.parameters[f"b{l}"] = np.zeros((self.layer_dims[l], 1))

    def forward(self, X):
        self.caches = []
        A = X
        L = len(self.layer_dims) - 1
        for l in range(1, L + 1):
            A_prev = A
            Z = self.parameters[f"W{l}"] @ A_prev + self.parameters[f"b{l}"]
            A = sigmoid(Z) if l == L else relu(Z)
            self.caches.append((A_prev, Z))
        return A

    def compute_cost(self, AL, Y):
        m = Y.shape[1]
        return float(np.squeeze(-(Y @ np.log(AL).T + (1 - Y) @ np.log(1 - AL).T) / m))

    def backward(self, AL, Y):
        m = Y.shape[1]
        grads = {}
        L = len(self.caches)
        dZ = AL - Y
        for l in reversed(range(1, L + 1)):
            A_prev, Z = self.caches[l - 1]
            grads[f"dW{l}"] = dZ @ A_prev.T / m
            grads[f"db{l}"] = dZ.sum(axis=1, keepdims=True) / m
            if l > 1:
                dA = self.parameters[f"W{l}"].T @ dZ
                dZ = dA * (self.caches[l - 2][1] > 0)
        return grads
