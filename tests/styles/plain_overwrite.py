import numpy as np


def glu_forward(a, b):
    """Gated linear unit. a: (n, d), b: (n, d)"""
    s = 1 / (1 + np.exp(-b))
    return a * s, (a, s)


def glu_backward(dout, cache):
    a, s = cache
    da = dout.copy()
    da *= s
    db = dout * a * s * (1 - s)
    return da, db


def softmax_forward(x):
    """x: (n, d)"""
    p = np.exp(x - x.max(axis=1, keepdims=True))
    p = p / p.sum(axis=1, keepdims=True)
    return p, p


def softmax_backward(dout, p):
    g = np.multiply(p, dout)
    dx = g - p * g.sum(axis=1, keepdims=True)
    return dx
