import numpy as np


def triplet_loss(a, p, n, margin=0.5):
    """Mean triplet loss. a, p, n: (batch, d)"""
    gap = np.sum((a - p) ** 2, axis=1) - np.sum((a - n) ** 2, axis=1) + margin
    return np.mean(np.maximum(gap, 0))


def triplet_loss_grad(a, p, n, margin=0.5):
    gap = np.sum((a - p) ** 2, axis=1) - np.sum((a - n) ** 2, axis=1) + margin
    on = (gap > 0)[:, None] / len(a)
    da = 2 * on * (n - p)
    dp = 2 * on * (a - p)
    dn = 2 * on * (a - n)
    return da, dp, dn
