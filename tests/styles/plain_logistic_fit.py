import numpy as np


class LogisticRegression:
    def __init__(self, lr=0.1, n_iter=100, C=1.0):
        self.lr = lr
        self.n_iter = n_iter
        self.C = C
        self.w = None
        self.b = 0.0

    @staticmethod
    def _sigmoid(z):
        return 1.0 / (1.0 + np.exp(-z))

    def _loss(self, X, y):
        p = self._sigmoid(X @ self.w + self.b)
        nll = -np.mean(y * np.log(p + 1e-12) + (1 - y) * np.log(1 - p + 1e-12))
        return nll + self.w @ self.w / (2 * self.C * len(y))

    def _gradient(self, X, y):
        p = self._sigmoid(X @ self.w + self.b)
        dw = X.T @ (p - y) / len(y) + self.w / (self.C * len(y))
        db = np.mean(p - y)
        return dw, db

    def fit(self, X, y):
        self.w = np.zeros(X.shape[1])
        self.b = 0.0
        for _ in range(self.n_iter):
            dw, db = self._gradient(X, y)
            self.w = self.w - self.lr * dw
            self.b = self.b - self.lr * db
        return self

    def predict(self, X):
        return (self._sigmoid(X @ self.w + self.b) > 0.5).astype(int)


if __name__ == "__main__":
    X = np.random.randn(80, 4)
    y = (X[:, 0] - X[:, 1] > 0).astype(float)
    model = LogisticRegression().fit(X, y)
    print((model.predict(X) == y).mean())
