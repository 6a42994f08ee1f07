import numpy as np


class Dense:
    def __init__(self, in_size, out_size):
        self.weights = {"W": np.random.randn(out_size, in_size), "b": np.zeros((out_size, 1))}

    def forward(self, inputs):
        return np.matmul(self.weights["W"], inputs) + self.weights["b"]

    def backward(self, inputs, delta):
        """Return gradients, summed over the batch.

        Args:
            inputs: [batch_size, input_dim, 1]
            delta: [batch_size, output_dim, 1]
        """
        dx = np.matmul(self.weights["W"].T, delta)
        dW = np.matmul(delta, np.transpose(inputs, [0, 2, 1])).sum(axis=0)
        return {"W": dW, "b": delta.sum(axis=0), "x": dx}
