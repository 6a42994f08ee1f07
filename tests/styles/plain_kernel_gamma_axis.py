import numpy as np


def rbf_forward(X, C, gamma):
    """Radial basis features exp(-gamma |x - c|^2). X: (n, d), C: (k, d), gamma: (k,)"""
    diff = X[:, None, :] - C[None, :, :]
    sq = np.sum(diff**2, axis=2)
    phi = np.exp(-gamma * sq)
    return phi, (diff, sq, phi, gamma)


def rbf_backward(dphi, cache):
    diff, sq, phi, gamma = cache
    g = dphi * phi
    dX = np.sum(-2 * (g * gamma)[:, :, None] * diff, axis=1)
    dC = np.sum(2 * (g * gamma)[:, :, None] * diff, axis=0)
    dgamma = np.sum(-g * sq)
    return dX, dC, dgamma


def pairwise_forward(X):
    """Distances |x_i - x_j|^2 of all pairs. X: (n, d), returns (n, n)"""
    diff = X[:, None, :] - X[None, :, :]
    return np.sum(diff**2, axis=2), diff


def pairwise_backward(dD, diff):
    dX = 2 * np.sum((dD + dD.T)[:, :, None] * diff, axis=1)
    return dX
