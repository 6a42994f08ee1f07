import numpy as np
import somewhere


class Net:
    def __init__(self):
        self.layers = []

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dout):
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        return dout


class Odd:
    """What it does on its way forward is not here."""

    def __init__(self, size):
        self.weights = np.random.randn(size, size)

    def forward(self, x):
        self.x, self.y = x, somewhere.product(x, self.weights)
        return self.y

    def backward(self, dout):
        self.dweights = self.x.T @ dout
        return dout @ self.weights
