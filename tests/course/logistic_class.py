import numpy as np

class LogisticRegression(object):
    def __init__(self, learning_rate=0.01):
        self.learning_rate = learning_rate
        self.w = None
        self.b = 0

    def sigmoid(self, z):
        return 1 / (1 + np.exp(-z))

    def propagate(self, X, Y):
        m = X.shape[1]
        A = self.sigmoid(np.dot(self.w.T, X) + self.b)
        cost = -np.sum(Y * np.log(A) + (1 - Y) * np.log(1 - A)) / m
        dw = np.dot(X, (A - Y).T) / m
        db = np.sum(A - Y) / m
        return {"dw": dw, "db": db}, cost

    def fit(self, X, Y):
        self.w = np.zeros((X.shape[0], 1))
        for i in range(100):
            grads, cost = self.propagate(X, Y)
            self.w -= self.learning_rate * grads["dw"]
            self.b -= self.learning_rate * grads["db"]
