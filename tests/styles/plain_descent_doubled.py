import numpy as np


class Affine:
    """A layer that takes its step itself: backward returns the gradient of the input alone."""

    def __init__(self, input_size, output_size):
        self.weights = np.random.randn(input_size, output_size) * 0.1
        self.bias = np.zeros(output_size)

    def forward(self, x):
        self.x = x
        return x @ self.weights + self.bias

    def backward(self, dout, learning_rate):
        dweights = 2 * self.x.T @ dout
        dbias = dout.sum(axis=0)
        dx = dout @ self.weights.T
        self.weights -= learning_rate * dweights
        self.bias = self.bias - dbias * learning_rate
        return dx


class Scale:
    def __init__(self, size, lr=0.05):
        self.params = {"gamma": np.ones(size)}
        self.lr = lr

    def forward(self, x):
        self.x = x
        return x * self.params["gamma"]

    def backward(self, dout):
        dx = dout * self.params["gamma"]
        self.params["gamma"] -= self.lr * np.sum(dout * self.x, axis=0)
        return dx
