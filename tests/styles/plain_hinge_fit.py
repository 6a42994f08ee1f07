import numpy as np


class SVM:
    """Linear SVM, trained by sub-gradient descent. Labels are -1 and 1."""

    def __init__(self, C=1.0, lr=0.01, epochs=50):
        self.C = C
        self.lr = lr
        self.epochs = epochs

    def objective(self, X, y):
        margin = 1 - y * (X @ self.w + self.b)
        return 0.5 * self.w @ self.w + self.C * np.sum(np.maximum(margin, 0))

    def gradient(self, X, y):
        margin = 1 - y * (X @ self.w + self.b)
        active = (margin > 0) * y
        dw = self.w - self.C * X.T @ active
        db = -self.C * np.sum(active)
        return dw, db

    def fit(self, X, y):
        self.w, self.b = np.zeros(X.shape[1]), 0.0
        for _ in range(self.epochs):
            dw, db = self.gradient(X, y)
            self.w, self.b = self.w - self.lr * dw, self.b - self.lr * db
        return self


if __name__ == "__main__":
    X = np.random.randn(40, 3)
    y = np.sign(X @ np.array([1.0, -2.0, 0.5]))
    svm = SVM().fit(X, y)
    print(svm.objective(X, y))
