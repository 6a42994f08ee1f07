"""A loss whose backward pass has the softmax before it in it."""

import numpy as np


class NLL:
    def __init__(self, eps=1e-12):
        self.eps = eps

    def forward(self, probabilities, labels):
        self.probabilities, self.labels = probabilities, labels
        rows = np.arange(len(labels))
        return -np.log(np.clip(probabilities[rows, labels], self.eps, 1)).mean()

    def backward(self):
        grad = self.probabilities.copy()
        grad[np.arange(len(self.labels)), self.labels] -= 1
        return grad / len(self.labels)
