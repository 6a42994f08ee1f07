"""A network whose constructor takes several sizes, and as many chances, where it has defaults."""

import numpy as np


class Stack:
    def __init__(self, input_dim=6, num_filters=(64, 128, 192), dropout=(0, 0, 0), num_classes=3):
        rng = np.random.RandomState(0)
        self.dropout = [chance for chance in dropout]
        sizes = [input_dim, num_filters[0], num_filters[1], num_filters[2], num_classes]
        self.params = {}
        for i in range(4):
            self.params["W" + str(i + 1)] = rng.randn(sizes[i], sizes[i + 1]) / np.sqrt(sizes[i])
            self.params["b" + str(i + 1)] = np.zeros(sizes[i + 1])

    def loss(self, X, y=None):
        kept, a = [], X
        for i in range(4):
            kept.append(a)
            a = a.dot(self.params["W" + str(i + 1)]) + self.params["b" + str(i + 1)]
            if i < 3:
                a = np.tanh(a)
        if y is None:
            return a
        p = np.exp(a - a.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        n = len(y)
        loss = -np.log(p[np.arange(n), y]).mean()
        d = p.copy()
        d[np.arange(n), y] -= 1
        d /= n
        grads = {}
        for i in reversed(range(4)):
            grads["W" + str(i + 1)] = kept[i].T.dot(d)
            grads["b" + str(i + 1)] = d.sum(axis=0)
            d = d.dot(self.params["W" + str(i + 1)].T) * (1 - kept[i] ** 2)
        return loss, grads
