import numpy as np


def computeCost(X, y, theta):
    """Cost of linear regression. X is (m, n) with a first column of ones, theta is (n, 1)."""
    m = y.size
    h = X.dot(theta)
    J = np.sum(np.square(h - y)) / (2 * m)
    return J


def computeGradient(X, y, theta):
    m = y.size
    h = X.dot(theta)
    grad = X.T.dot(h - y) / m
    return grad


def featureNormalize(X):
    mu = X.mean(axis=0)
    sigma = X.std(axis=0)
    return (X - mu) / sigma, mu, sigma


def gradientDescent(X, y, theta, alpha=0.01, num_iters=200):
    J_history = []
    for _ in range(num_iters):
        theta = theta - alpha * computeGradient(X, y, theta)
        J_history.append(computeCost(X, y, theta))
    return theta, J_history


if __name__ == "__main__":
    data = np.loadtxt("ex1data1.txt", delimiter=",")
    X = np.c_[np.ones(data.shape[0]), data[:, 0]]
    y = data[:, 1:2]
    theta, J_history = gradientDescent(X, y, np.zeros((2, 1)))
    print(theta)
