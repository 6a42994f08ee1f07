import numpy as np


def bce_with_logits(z, y):
    """Mean binary cross entropy of logits, safe from overflow. z: (n, k), y: (n, k)"""
    per_entry = np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z)))
    return per_entry.mean()


def bce_with_logits_backward(z, y):
    p = 1 / (1 + np.exp(-z))
    dz = (p - y) / z.size
    return dz


def focal(z, y, gamma=2.0):
    """Sum of focal losses of logits. z: (n,), y: (n,) of 0 and 1"""
    s = 1 / (1 + np.exp(-z))
    pt = np.where(y == 1, s, 1 - s)
    return np.sum(-((1 - pt) ** gamma) * np.log(pt))


def focal_backward(z, y, gamma=2.0):
    s = 1 / (1 + np.exp(-z))
    pt = np.where(y == 1, s, 1 - s)
    dpt = gamma * (1 - pt) ** (gamma - 1) * np.log(pt) - (1 - pt) ** gamma / pt
    dz = dpt * np.where(y == 1, 1, -1) * s * (1 - s)
    return dz
