# coding: utf-8
import sys, os
sys.path.append(os.pardir)
import numpy as np
import matplotlib.pyplot as plt
from dataset.mnist import load_mnist


class SimpleNet:
    """One affine layer with tanh, and the mean squared error."""

    def __init__(self, n_in=4, n_out=3):
        self.params = {"W": 0.5 * np.random.randn(n_in, n_out), "b": np.zeros(n_out)}

    def predict(self, x):
        return np.tanh(np.dot(x, self.params["W"]) + self.params["b"])

    def loss(self, x, t):
        return 0.5 * np.sum((self.predict(x) - t) ** 2) / x.shape[0]

    def gradient(self, x, t):
        y = self.predict(x)
        grads = {}
        dy = (y - t) / x.shape[0]
        da = dy * (1.0 - y**2)
        grads["W"] = np.dot(x.T, da)
        grads["b"] = np.sum(da, axis=0)
        return grads


class SGD:
    def __init__(self, lr=0.1):
        self.lr = lr

    def update(self, params, grads):
        for key in params.keys():
            params[key] -= self.lr * grads[key]


(x_train, t_train), (x_test, t_test) = load_mnist(normalize=True, one_hot_label=True)
network, optimizer = SimpleNet(784, 10), SGD()
train_loss_list = []
for i in range(1000):
    batch_mask = np.random.choice(x_train.shape[0], 100)
    x_batch, t_batch = x_train[batch_mask], t_train[batch_mask]
    optimizer.update(network.params, network.gradient(x_batch, t_batch))
    train_loss_list.append(network.loss(x_batch, t_batch))
plt.plot(train_loss_list)
plt.show()
