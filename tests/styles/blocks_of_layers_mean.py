import numpy as np


class Linear:
    def __init__(self, num_in: int, num_out: int) -> None:
        self.params = {"W": np.random.randn(num_in, num_out) / 4, "b": np.zeros(num_out)}
        self.grads = {}

    def __call__(self, x):
        self.x = x
        return x @ self.params["W"] + self.params["b"]

    def backward(self, d_prev):
        flat = d_prev.reshape(-1, d_prev.shape[-1])
        self.grads["dW"] = self.x.reshape(-1, self.x.shape[-1]).T @ flat
        self.grads["db"] = flat.mean(axis=0)
        return d_prev @ self.params["W"].T


class Relu:
    def __call__(self, x):
        self.mask = x > 0
        return x * self.mask

    def backward(self, d_prev):
        return d_prev * self.mask


class FeedForward:
    def __init__(self, layer_dim: int = 128, expansion: int = 4) -> None:
        self.input_layer = Linear(layer_dim, layer_dim * expansion)
        self.activation = Relu()
        self.output_layer = Linear(layer_dim * expansion, layer_dim)

    def forward(self, x):
        return self.output_layer(self.activation(self.input_layer(x)))

    def backward(self, d_prev):
        d_prev = self.output_layer.backward(d_prev)
        return self.input_layer.backward(self.activation.backward(d_prev))
