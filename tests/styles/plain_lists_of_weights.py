import numpy as np


class Net:
    """Its weights are items of lists; it ends in sigmoids and starts back before them."""

    def __init__(self, layer_sizes):
        pairs = list(zip(layer_sizes[:-1], layer_sizes[1:]))
        self.weights = [np.random.randn(a, b) for a, b in pairs]
        self.biases = [np.zeros((1, b)) for _, b in pairs]

    def forward(self, X):
        self.activations = [X]
        for W, b in zip(self.weights, self.biases):
            X = 1 / (1 + np.exp(-(X @ W + b)))
            self.activations.append(X)
        return X

    def backward(self, y, lr):
        delta = (self.activations[-1] - y) / y.shape[0]
        for i in reversed(range(len(self.weights))):
            a = self.activations[i]
            dW = a.T @ delta
            db = delta.sum(axis=0, keepdims=True)
            if i:
                delta = (delta @ self.weights[i].T) * a * (1 - a)
            self.weights[i] -= lr * dW
            self.biases[i] -= lr * db
