import numpy as np


def affine_forward(x, w, b):
    N = x.shape[0]
    out = np.dot(x.reshape((N, -1)), w) + b
    return out, (x, w, b)


def affine_backward(dout, cache):
    x, w, b = cache
    N = x.shape[0]
    dx = np.dot(dout, w.T).reshape(x.shape)
    dw = np.dot(x.reshape((N, -1)).T, dout)
    db = dout.sum(axis=0)
    return dx, dw, db


def relu_forward(x):
    out = x * (x > 0)
    cache = out
    return out, cache


def relu_backward(dout, cache):
    out = cache
    dx = np.array(dout, copy=True)
    dx[dx <= 0] = 0
    return dx


def sigmoid_forward(x):
    s = 1.0 / (1.0 + np.exp(-x))
    return s, s


def sigmoid_backward(dout, cache):
    s = cache
    return dout * s * (1 - s)
