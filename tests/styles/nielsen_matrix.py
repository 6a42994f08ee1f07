import numpy as np


class Network:
    """Nielsen's network, a whole mini batch at a time: X (inputs, m), Y (outputs, m)."""

    def __init__(self, layers):
        self.L = len(layers)
        self.weights = [np.random.randn(n, m) for m, n in zip(layers[:-1], layers[1:])]
        self.biases = [np.zeros((n, 1)) for n in layers[1:]]

    def feedforward(self, X):
        A = X
        for W, b in zip(self.weights, self.biases):
            A = np.tanh(W @ A + b)
        return A

    def cost(self, X, Y):
        return np.sum((self.feedforward(X) - Y) ** 2) / (2 * X.shape[1])

    def backprop(self, X, Y):
        activations = [X]
        for W, b in zip(self.weights, self.biases):
            activations.append(np.tanh(W @ activations[-1] + b))
        m = X.shape[1]
        nabla_w, nabla_b = [], []
        delta = (activations[-1] - Y) / m * (1 - activations[-1] ** 2)
        for l in range(self.L - 2, -1, -1):
            nabla_w.insert(0, delta @ activations[l].T)
            nabla_b.insert(0, delta.sum(axis=1, keepdims=True))
            if l > 0:
                delta = (self.weights[l].T @ delta) * (1 - activations[l] ** 2)
        return nabla_w, nabla_b
