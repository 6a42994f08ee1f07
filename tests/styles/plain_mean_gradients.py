import numpy as np


class LinearRegression:
    """Reports the summed loss, and steps along the mean gradient."""

    def __init__(self, n_features):
        self.w = np.zeros(n_features)
        self.b = np.zeros(1)

    def predict(self, X):
        return X @ self.w + self.b

    def loss(self, X, y):
        return 0.5 * np.sum((self.predict(X) - y) ** 2)

    def gradients(self, X, y):
        residual = self.predict(X) - y
        dw = X.T @ residual / len(X)
        db = np.array([residual.sum() / len(X)])
        return dw, db

    def fit(self, X, y, rate=0.1, steps=100):
        for _ in range(steps):
            dw, db = self.gradients(X, y)
            self.w -= rate * dw
            self.b -= rate * db
        return self


if __name__ == "__main__":
    X = np.random.randn(20, 3)
    y = X @ np.array([1.0, -2.0, 0.5]) + 0.3
    model = LinearRegression(3).fit(X, y)
    print(model.w, model.b, model.loss(X, y))
