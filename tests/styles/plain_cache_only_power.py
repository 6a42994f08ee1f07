import numpy as np


def product_forward(x, y):
    out = x * y
    cache = (x, y)
    return out, cache


def product_backward(cache):
    """The gradient of the sum of the outputs."""
    x, y = cache
    return y, x


def distance_forward(x, y):
    out = np.sqrt(x**2 + y**2)
    cache = (x, y, out)
    return out, cache


def distance_backward(cache):
    x, y, out = cache
    dx = x / out
    dy = y / out**2
    return dx, dy
