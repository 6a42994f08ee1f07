import numpy as np


class Momentum:
    def __init__(self, rate=0.1, keep=0.9):
        self.rate, self.keep, self.speed = rate, keep, 0.0

    def moved(self, value, gradient):
        self.speed = self.keep * self.speed + gradient
        return value - self.rate * self.speed


class Affine:
    """Its weights are moved by an optimiser, which alone is given their gradient."""

    def __init__(self, input_size, output_size):
        self.weights = np.random.randn(input_size, output_size) * 0.1
        self.optimiser = Momentum()

    def forward(self, x):
        self.x = x
        return x @ self.weights

    def backward(self, dout):
        dx = dout @ self.weights.T
        self.weights = self.optimiser.moved(self.weights, self.x.T @ dout)
        return dx
