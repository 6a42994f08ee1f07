import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def cost_function_reg(theta, X, y, lambda_):
    theta = theta.reshape(-1, 1)
    m = len(y)
    h = sigmoid(X.dot(theta))
    cost = -(y.T.dot(np.log(h)) + (1 - y).T.dot(np.log(1 - h))).item() / m
    cost += lambda_ / (2 * m) * np.sum(theta[1:] ** 2)
    grad = np.zeros(theta.size)
    # the first column of X is all ones
    grad[0] = np.sum(h - y) / m
    grad[1:] = X[:, 1:].T.dot(h - y).ravel() / m + lambda_ / m * theta[1:, 0]
    return cost, grad
