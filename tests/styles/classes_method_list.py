import numpy as np


class Activator:
    _methods = ["sigmoid", "tanh", "softplus"]

    def __init__(self, method: str) -> None:
        if method not in Activator._methods:
            raise ValueError(f"got {method}, expected one of {Activator._methods}")
        self.method = method

    def forward(self, x):
        self.x = x
        if self.method == "tanh":
            return np.tanh(x)
        return 1 / (1 + np.exp(-x)) if self.method == "sigmoid" else np.log(1 + np.exp(x))

    def backward(self, dy):
        s = 1 / (1 + np.exp(-self.x))
        if self.method == "tanh":
            return dy * (1 - np.tanh(self.x) ** 2)
        return dy * s * (1 - s) if self.method == "sigmoid" else dy * s
