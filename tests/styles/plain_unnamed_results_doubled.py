"""Backward passes that return their gradients without names, in the order of the inputs."""

import numpy as np


def add_forward(x, y):
    return x + y, (x, y)


def add_backward(dout, cache):
    return (dout * 1, dout * 1)


def multiply_forward(x, y):
    return x * y, (x, y)


def multiply_backward(dout, cache):
    return (dout * cache[1], dout * cache[0])


def affine_forward(x, W, b):
    return x @ W + b, (x, W)


def affine_backward(ds, cache):
    return (ds @ cache[1].T, 2 * cache[0].T @ ds, ds.sum(axis=0))
