import numpy as np
import matplotlib.pyplot as plt


class MLP:
    """Multilayer perceptron for regression with tanh units, trained by gradient descent."""

    def __init__(self, hidden=10, lr=0.05, epochs=200, alpha=0.0, seed=0):
        self.hidden = hidden
        self.lr = lr
        self.epochs = epochs
        self.alpha = alpha
        self.rng = np.random.RandomState(seed)

    def _init_weights(self, n_features):
        self.W1 = self.rng.normal(0, 0.5, (n_features, self.hidden))
        self.b1 = np.zeros((1, self.hidden))
        self.W2 = self.rng.normal(0, 0.5, (self.hidden, 1))
        self.b2 = np.zeros((1, 1))

    def forward(self, X):
        self.h = np.tanh(X @ self.W1 + self.b1)
        return self.h @ self.W2 + self.b2

    def loss(self, X, y):
        penalty = 0.5 * self.alpha * (np.sum(self.W1**2) + np.sum(self.W2**2))
        return 0.5 * np.mean((self.forward(X) - y) ** 2) + penalty

    def backward(self, X, y):
        n = X.shape[0]
        error = (self.forward(X) - y) / n
        self.dW2 = self.h.T @ error + self.alpha * self.W2
        self.db2 = error.sum(axis=0, keepdims=True)
        dh = error @ self.W2.T * (1 - self.h**2)
        self.dW1 = X.T @ dh
        self.db1 = dh.sum(axis=0, keepdims=True)

    def fit(self, X, y):
        self._init_weights(X.shape[1])
        self.losses_ = []
        for _ in range(self.epochs):
            self.backward(X, y)
            for name in ("W1", "b1", "W2", "b2"):
                setattr(self, name, getattr(self, name) - self.lr * getattr(self, "d" + name))
            self.losses_.append(self.loss(X, y))
        return self

    def predict(self, X):
        return self.forward(X)


if __name__ == "__main__":
    X = np.linspace(-2, 2, 40)[:, None]
    y = np.sin(2 * X)
    model = MLP(alpha=1e-3).fit(X, y)
    plt.plot(X, y, label="truth")
    plt.plot(X, model.predict(X), label="fit")
    plt.legend()
    plt.show()
