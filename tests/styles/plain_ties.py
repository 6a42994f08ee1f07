import numpy as np


def relu(x):
    return np.maximum(0, x)


def relu_grad(x):
    return np.where(x >= 0, 1.0, 0.0)


def hard_tanh(x):
    return np.clip(x, -1, 1)


def hard_tanh_grad(x):
    return ((x >= -1) & (x <= 1)).astype(float)


def absolute(x):
    return np.abs(x)


def absolute_grad(x):
    return np.where(x >= 0, 1.0, -1.0)
