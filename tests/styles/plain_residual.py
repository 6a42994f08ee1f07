import numpy as np


def block_forward(x, W, b):
    """x: (n, d), W: (d, d), b: (d,); returns x + relu(x W + b)."""
    z = x @ W + b
    return x + np.maximum(z, 0), (x, W, z)


def block_backward(dout, cache):
    x, W, z = cache
    dz = dout.copy()
    dz[z <= 0] = 0
    dW = x.T @ dz
    db = dz.sum(axis=0)
    dx = dout + dz @ W.T
    return dx, dW, db


def highway_forward(x, W, V):
    """x: (n, d), W: (d, d), V: (d, d)"""
    gate = 1 / (1 + np.exp(-x @ V))
    h = np.tanh(x @ W)
    return gate * h + (1 - gate) * x, (x, W, V, gate, h)


def highway_backward(dout, cache):
    x, W, V, gate, h = cache
    dh = dout * gate * (1 - h**2)
    dgate = dout * (h - x) * gate * (1 - gate)
    dW = x.T @ dh
    dV = x.T @ dgate
    dx = dh @ W.T + dgate @ V.T + dout * (1 - gate)
    return dx, dW, dV
