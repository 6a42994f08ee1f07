import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def sigmoid_prime(x):
    s = sigmoid(x)
    return s * (1 - s)


def tanh(x):
    return np.tanh(x)


def tanh_derivative(y):
    # y is tanh(x)
    return 1 - y * y


def softplus(x):
    return np.log1p(np.exp(x))


def d_softplus(x):
    return 1 / (1 + np.exp(-x))


def swish(x):
    return x * sigmoid(x)


def swish_prime(x):
    s = sigmoid(x)
    return s + x * s * (1 - s)


def gelu(x):
    return 0.5 * x * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x**3)))


def gelu_prime(x):
    t = np.tanh(0.7978845608 * (x + 0.044715 * x**3))
    inner = 0.7978845608 * (1 + 3 * 0.044715 * x**2)
    return 0.5 * (1 + t) + 0.5 * x * (1 - t**2) * inner


def softsign(x):
    return x / (1 + np.abs(x))


def softsign_prime(x):
    return 1 / (1 + np.abs(x)) ** 2
