from __future__ import annotations
from dataclasses import dataclass
import numpy as np

@dataclass
class Cache:
    A: np.ndarray
    loaded = np.load("nowhere.npz")
    print("never")

class Net:
    """Made with its data."""
    def __init__(self, X, Y, n_h=5):
        self.X, self.Y = X, Y
        self.parameters = {}

    def forward_propagation(self, X):
        p = self.parameters
        self.A1 = np.tanh(p["W1"] @ X + p["b1"])
        self.A2 = 1 / (1 + np.exp(-(p["W2"] @ self.A1 + p["b2"])))
        return self.A2, Cache(self.A1)

    def compute_cost(self, A2, Y):
        return -np.mean(Y * np.log(A2) + (1 - Y) * np.log(1 - A2))

    def backward_propagation(self, X, Y):
        m = X.shape[1]
        dZ2 = self.A2 - Y
        dZ1 = self.parameters["W2"].T @ dZ2 * (1 - self.A1 ** 2)
        return {"dW1": dZ1 @ X.T / m, "db1": dZ1.mean(1, keepdims=True), "dW2": dZ2 @ self.A1.T / m, "db2": dZ2.mean(1, keepdims=True)}
