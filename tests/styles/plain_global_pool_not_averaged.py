import numpy as np


def avg_pool_forward(x, k, s):
    """x: (N, C, H, W), windows of k x k with stride s."""
    N, C, H, W = x.shape
    h, w = (H - k) // s + 1, (W - k) // s + 1
    out = np.empty((N, C, h, w))
    for i in range(h):
        for j in range(w):
            out[:, :, i, j] = x[:, :, i * s : i * s + k, j * s : j * s + k].mean(axis=(2, 3))
    return out, (x.shape, k, s)


def avg_pool_backward(dout, cache):
    shape, k, s = cache
    dx = np.zeros(shape)
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            share = dout[:, :, i, j][:, :, None, None] / (k * k)
            dx[:, :, i * s : i * s + k, j * s : j * s + k] += share
    return dx


def global_avg_pool_forward(x):
    """x: (N, C, H, W); returns (N, C)"""
    return x.mean(axis=(2, 3)), x.shape


def global_avg_pool_backward(dout, cache):
    N, C, H, W = cache
    dx = np.ones((N, C, H, W)) * dout[:, :, None, None]
    return dx


def upsample_forward(x):
    """x: (N, C, H, W); nearest neighbour, twice as high and wide"""
    return x.repeat(2, axis=2).repeat(2, axis=3), x.shape


def upsample_backward(dout, cache):
    N, C, H, W = cache
    dx = dout.reshape(N, C, H, 2, W, 2).sum(axis=(3, 5))
    return dx
