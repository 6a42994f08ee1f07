import functools

import numpy as np


def as_float(function):
    def called(x, *args, **kwargs):
        return np.asarray(function(np.asarray(x, float), *args, **kwargs))

    return called


@as_float
def soft(x, slope=0.3):
    return np.where(x > 0, x, slope * x)


@as_float
def soft_deriv(a, slope=0.3):
    return np.where(a > 0, 1.0, slope)


class Module:
    """What all layers keep; how they compute is theirs."""

    def __init__(self):
        self.input = self.output = self.retrograde = self.count = None
        self._is_training = False

    def forward(self, data):
        self.input, self.count = data, data.shape[0]
        self._forward(data)
        self.count = None
        return self.output

    def backward(self, upstream_gradients):
        assert self.input is not None, "go forward first"
        self.count = upstream_gradients.shape[0]
        self._backward(upstream_gradients)
        self.count = None
        return self.retrograde

    def _forward(self, data):
        raise NotImplementedError

    def _backward(self, upstream_gradients):
        raise NotImplementedError


class Centred(Module):
    def _forward(self, data):
        if self._is_training:
            self.mean = data.sum(axis=0) / self.count
            self.output = (data - self.mean) ** 2
        else:
            self.output = data

    def _backward(self, upstream_gradients):
        inner = 2 * (self.input - self.mean) * upstream_gradients
        self.retrograde = inner
