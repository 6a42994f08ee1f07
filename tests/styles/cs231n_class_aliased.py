"""A network that keeps a second name of its parameters, and returns its gradients as they come."""

import numpy as np


class TwoLayerNet:
    def __init__(self, input_size, hidden_size, output_size, std=1e-1):
        self.params = {}
        self.params["W1"] = std * np.random.randn(input_size, hidden_size)
        self.params["b1"] = np.zeros(hidden_size)
        self.params["W2"] = std * np.random.randn(hidden_size, output_size)
        self.params["b2"] = np.zeros(output_size)
        self.best_params = self.params

    def loss(self, X, y=None, reg=0.0):
        W1, b1 = self.params["W1"], self.params["b1"]
        W2, b2 = self.params["W2"], self.params["b2"]
        N = X.shape[0]
        pre = np.dot(X, W1) + b1
        act = np.vectorize(lambda x: x * (x > 0))(pre)
        scores = np.dot(act, W2) + b2
        if y is None:
            return scores
        rows = np.sum(np.exp(scores), axis=1)
        loss = np.sum(-scores[np.arange(N), y] + np.log(rows)) / N
        loss += 0.5 * reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        up = np.exp(scores) / rows[:, None]
        up[np.arange(N), y] -= 1
        up /= N
        down = np.dot(up, W2.T) * (pre >= 0)
        return loss, {
            "W1": np.dot(X.T, down) + reg * W1,
            "b1": down.sum(axis=0),
            "W2": np.dot(act.T, up) + reg * W2,
            "b2": up.sum(axis=0),
        }
