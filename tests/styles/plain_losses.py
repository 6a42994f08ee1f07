import numpy as np


def mse(pred, target):
    return np.mean((pred - target) ** 2)


def mse_grad(pred, target):
    return 2 * (pred - target) / pred.size


def binary_cross_entropy(p, y):
    eps = 1e-8
    return -np.sum(y * np.log(p + eps) + (1 - y) * np.log(1 - p + eps))


def binary_cross_entropy_grad(p, y):
    return (p - y) / (p * (1 - p))


def huber(pred, target):
    r = pred - target
    return np.sum(np.where(np.abs(r) < 1, 0.5 * r**2, np.abs(r) - 0.5)) / len(pred)


def huber_grad(pred, target):
    r = pred - target
    return np.where(np.abs(r) < 1, r, np.sign(r)) / len(pred)


def log_cosh(pred, target):
    return np.log(np.cosh(pred - target)).sum()


def log_cosh_grad(pred, target):
    return np.tanh(pred - target)
