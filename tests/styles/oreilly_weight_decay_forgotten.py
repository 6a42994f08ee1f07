import numpy as np


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def cross_entropy_error(y, t):
    delta = 1e-5
    return -np.sum(t * np.log(y + delta)) / y.shape[0]


class Affine:
    def __init__(self, W, b):
        self.W = W
        self.b = b

    def forward(self, x):
        self.x = x
        return np.dot(x, self.W) + self.b

    def backward(self, dout):
        self.dW = np.dot(self.x.T, dout)
        self.db = np.sum(dout, axis=0)
        return np.dot(dout, self.W.T)


class SoftmaxWithLoss:
    def forward(self, x, t):
        self.t = t
        self.y = softmax(x)
        return cross_entropy_error(self.y, self.t)

    def backward(self, dout=1):
        return (self.y - self.t) / self.t.shape[0]


class OneLayerNet:
    def __init__(self, input_size, output_size, weight_decay_lambda=0):
        self.params = {"W1": np.random.randn(input_size, output_size), "b1": np.zeros(output_size)}
        self.weight_decay_lambda = weight_decay_lambda
        self.layers = {"Affine1": Affine(self.params["W1"], self.params["b1"])}
        self.last_layer = SoftmaxWithLoss()

    def loss(self, x, t):
        y = self.layers["Affine1"].forward(x)
        weight_decay = 0.5 * self.weight_decay_lambda * np.sum(self.params["W1"] ** 2)
        return self.last_layer.forward(y, t) + weight_decay

    def gradient(self, x, t):
        self.loss(x, t)
        self.layers["Affine1"].backward(self.last_layer.backward())
        layer = self.layers["Affine1"]
        grads = {}
        grads["W1"] = layer.dW
        grads["b1"] = layer.db
        return grads
