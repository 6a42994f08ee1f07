"""Layers whose mode is set by the network that they are in."""

import numpy as np


class Layer:
    def __init__(self):
        self.mode = "train"
        self.params, self.grads = {}, {}


class Norm(Layer):
    def __init__(self, dim, momentum=0.9, eps=1e-5):
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.params["gamma"], self.params["beta"] = np.ones(dim), np.zeros(dim)
        self.running_mean, self.running_var = np.zeros(dim), np.ones(dim)

    def forward(self, x):
        if self.mode == "train":
            mean, var = x.mean(axis=0), x.var(axis=0)
            self.std = np.sqrt(var + self.eps)
            self.x_hat = (x - mean) / self.std
            self.running_mean = self.momentum * self.running_mean + (1 - self.momentum) * mean
            self.running_var = self.momentum * self.running_var + (1 - self.momentum) * var
        else:
            self.x_hat = (x - self.running_mean) / np.sqrt(self.running_var + self.eps)
        return self.params["gamma"] * self.x_hat + self.params["beta"]

    def backward(self, dout):
        if self.mode == "test":
            return dout * self.params["gamma"] / np.sqrt(self.running_var + self.eps)
        self.grads["gamma"] = (dout * self.x_hat).sum(axis=0)
        self.grads["beta"] = dout.sum(axis=0)
        d = dout * self.params["gamma"]
        centred = d - d.mean(axis=0) - self.x_hat * (d * self.x_hat).mean(axis=0)
        return centred / self.std


class Dropout(Layer):
    def __init__(self, keep=0.8):
        super().__init__()
        self.keep, self.training = keep, True

    def forward(self, x):
        if not self.training:
            return x
        self.mask = (np.random.rand(*x.shape) < self.keep) / self.keep
        return x * self.mask

    def backward(self, dout):
        if not self.training:
            return dout * 1.0
        return dout * self.mask
