import numpy as np


class Row:
    """One layer, a view of a long vector of weights that others hold."""

    def __init__(self, Inputs, Outputs, WeightArray, BiasArray):
        self.matrix = WeightArray
        self.matrix.shape = (Outputs, Inputs)
        self.offsets = BiasArray
        self.last_in = self.last_out = None

    def remembering_forward(self, batch):
        self.last_in = batch
        self.last_out = 1.0 / (1.0 + np.exp(-batch @ self.matrix.T - self.offsets))
        return self.last_out

    def forward_propagate(self, batch):
        return 1.0 / (1.0 + np.exp(-batch @ self.matrix.T - self.offsets))

    def backward_propagate(self, weighted, learning_rate):
        delta = self.last_out * (1.0 - self.last_out) * weighted
        handed_on = delta @ self.matrix
        self.matrix -= learning_rate * delta.T @ self.last_in
        self.offsets -= learning_rate * np.sum(delta, axis=0)
        return handed_on
