import numpy as np


class SoftmaxClassifier:
    """The labels of a batch are set by the code that trains."""

    def __init__(self, scores_shape):
        self.gradient = np.zeros(scores_shape)

    def set_batch_labels(self, batch_labels):
        self.batch_labels = batch_labels

    def forward(self, scores):
        rows = np.arange(scores.shape[0])
        chances = np.exp(scores - scores.max(axis=1, keepdims=True))
        chances /= chances.sum(axis=1, keepdims=True)
        loss = -np.log(chances[rows, self.batch_labels]).sum() / scores.shape[0]
        self.gradient = chances
        self.gradient[rows, self.batch_labels] -= 1
        self.gradient /= scores.shape[0]
        return loss

    def backward(self, gradient=1):
        return self.gradient


class Rectifier:
    """It keeps the slope under the name of a gradient on its way forward."""

    def forward(self, input):
        self.d_input = (np.sign(input) + 1) / 2
        return np.maximum(input, 0)

    def backward(self, gradient):
        return gradient * self.d_input
