import numpy as np


class Autoencoder:
    """Tied weights: the decoder is the encoder transposed."""

    def __init__(self, n_visible, n_hidden):
        self.W = np.random.randn(n_visible, n_hidden) * 0.1
        self.b = np.zeros(n_hidden)
        self.c = np.zeros(n_visible)

    def loss(self, X):
        h = np.tanh(X @ self.W + self.b)
        R = h @ self.W.T + self.c - X
        return 0.5 * np.sum(R**2) / len(X)

    def gradients(self, X):
        h = np.tanh(X @ self.W + self.b)
        R = (h @ self.W.T + self.c - X) / len(X)
        dh = (R @ self.W) * (1 - h**2)
        dW = X.T @ dh
        db = dh.sum(axis=0)
        dc = R.sum(axis=0)
        return dW, db, dc

    def fit(self, X, steps=50, rate=0.1):
        for _ in range(steps):
            dW, db, dc = self.gradients(X)
            self.W -= rate * dW
            self.b -= rate * db
            self.c -= rate * dc
        return self


if __name__ == "__main__":
    X = np.random.rand(30, 6)
    model = Autoencoder(6, 3)
    print(model.loss(X), model.fit(X).loss(X))
