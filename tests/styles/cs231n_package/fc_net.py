import numpy as np

from .layers import *


class FullyConnectedNet(object):
    """
    A fully-connected neural network with an arbitrary number of hidden layers, ReLU
    nonlinearities, and a softmax loss function:
    {affine - relu} x (L - 1) - affine - softmax
    """

    def __init__(self, hidden_dims, input_dim=3 * 32 * 32, num_classes=10, reg=0.0,
                 weight_scale=1e-2, dtype=np.float32, seed=None):
        self.reg = reg
        self.num_layers = 1 + len(hidden_dims)
        self.dtype = dtype
        self.params = {}
        dims = [input_dim] + list(hidden_dims) + [num_classes]
        for i in range(self.num_layers):
            self.params["W%d" % (i + 1)] = weight_scale * np.random.randn(dims[i], dims[i + 1])
            self.params["b%d" % (i + 1)] = np.zeros(dims[i + 1])
        for k, v in self.params.items():
            self.params[k] = v.astype(dtype)

    def loss(self, X, y=None):
        X = X.astype(self.dtype)
        mode = "test" if y is None else "train"
        caches = []
        out = X
        for i in range(1, self.num_layers):
            out, fc = affine_forward(out, self.params["W%d" % i], self.params["b%d" % i])
            out, relu = relu_forward(out)
            caches.append((fc, relu))
        last = self.num_layers
        scores, cache = affine_forward(out, self.params["W%d" % last], self.params["b%d" % last])
        if mode == "test":
            return scores

        loss, grads = 0.0, {}
        loss, dout = softmax_loss(scores, y)
        for i in range(1, last + 1):
            loss += 0.5 * self.reg * np.sum(self.params["W%d" % i] ** 2)
        dout, grads["W%d" % last], grads["b%d" % last] = affine_backward(dout, cache)
        for i in range(last - 1, 0, -1):
            fc, relu = caches[i - 1]
            dout = relu_backward(dout, relu)
            dout, grads["W%d" % i], grads["b%d" % i] = affine_backward(dout, fc)
        for i in range(1, last + 1):
            grads["W%d" % i] += self.reg * self.params["W%d" % i]
        return loss, grads
