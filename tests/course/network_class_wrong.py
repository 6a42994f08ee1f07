import numpy as np


class NeuralNetwork:
    """A deep network that keeps its parameters, caches and gradients to itself."""

    def __init__(self, layer_dims, learning_rate=0.01, seed=1):
        np.random.seed(seed)
        self.learning_rate = learning_rate
        self.L = len(layer_dims) - 1
        self.params = {}
        for l in range(1, self.L + 1):
            self.params["W%d" % l] = np.random.randn(layer_dims[l], layer_dims[l - 1]) * 0.1
            self.params["b%d" % l] = np.zeros((layer_dims[l], 1))
        self.grads = {}

    @staticmethod
    def sigmoid(Z):
        return 1 / (1 + np.exp(-Z))

    def forward(self, X):
        self.cache = {"A0": X}
        A = X
        for l in range(1, self.L + 1):
            Z = self.params["W%d" % l] @ A + self.params["b%d" % l]
            A = self.sigmoid(Z) if l == self.L else np.maximum(0, Z)
            self.cache["Z%d" % l], self.cache["A%d" % l] = Z, A
        return A

    def compute_cost(self, AL, Y):
        return -np.mean(Y * np.log(AL) + (1 - Y) * np.log(1 - AL))

    def backward(self, X, Y):
        m = X.shape[1]
        dZ = self.cache["A%d" % self.L] - Y
        for l in range(self.L, 0, -1):
            self.grads["dW%d" % l] = dZ @ self.cache["A%d" % (l - 1)].T / m
            self.grads["db%d" % l] = dZ.sum(axis=1, keepdims=True) / m
            if l > 1:
                dZ = self.params["W%d" % l].T @ dZ

    def fit(self, X, Y, epochs=1000):
        for _ in range(epochs):
            AL = self.forward(X)
            self.backward(X, Y)
            for name in self.params:
                self.params[name] -= self.learning_rate * self.grads["d" + name]


net = NeuralNetwork([2, 4, 1])
net.fit(*load_moons())
