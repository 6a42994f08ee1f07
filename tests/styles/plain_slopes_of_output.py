import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def d_sigmoid(x):
    # x is a sigmoid already
    return x * (1 - x)


def elu(z):
    return np.where(z > 0, z, np.exp(z) - 1)


def elu_derivative(z):
    # in terms of what elu gives
    return np.where(z > 0, 1.0, z + 1)


def deriv_tanh(t):
    return 1 - t**2


def tanh(x):
    return np.tanh(x)
