import numpy as np
import pandas as pd
from scipy.optimize import minimize


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def costFunctionReg(theta, reg, X, y):
    """theta: (n,), X: (m, n), y: (m, 1); theta[0] is not penalised."""
    m = y.size
    h = sigmoid(X.dot(theta))
    J = -1 * (1 / m) * (np.log(h).T.dot(y) + np.log(1 - h).T.dot(1 - y))
    J = J + (reg / (2 * m)) * np.sum(np.square(theta[1:]))
    return J[0]


def gradientReg(theta, reg, X, y):
    m = y.size
    h = sigmoid(X.dot(theta.reshape(-1, 1)))
    grad = (1 / m) * X.T.dot(h - y)
    grad[1:] += (reg / m) * theta[1:, None]
    return grad.flatten()


if __name__ == "__main__":
    data = pd.read_csv("ex2data2.txt", header=None).values
    X, y = np.c_[np.ones(len(data)), data[:, :2]], data[:, 2:]
    res = minimize(costFunctionReg, np.zeros(X.shape[1]), args=(1, X, y), jac=gradientReg)
    print(res.x)
