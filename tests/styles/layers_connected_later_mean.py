import numpy as np


class Zero:
    def __call__(self, shape):
        return np.zeros(shape)


_zero = Zero()


class Linear:
    def __init__(self, n_out, n_in=None):
        self.n_out = n_out
        self.n_in = n_in
        self.W, self.dW = None, None
        self.b, self.db = None, None

    def connect_to(self, prev_layer=None):
        n_in = self.n_in if prev_layer is None else prev_layer.out_shape[-1]
        self.W = np.random.randn(n_in, self.n_out) / 4
        self.b = _zero((self.n_out,))

    def forward(self, input, *args, **kwargs):
        self.last_input = input
        return input @ self.W + self.b

    def backward(self, pre_grad, *args, **kwargs):
        self.dW = self.last_input.T @ pre_grad
        self.db = np.mean(pre_grad, axis=0)
        return pre_grad @ self.W.T


class Scaled(Linear):
    def __init__(self, strength, **kwargs):
        super().__init__(**kwargs)
        self.strength = strength

    def forward(self, input, *args, **kwargs):
        return self.strength * super().forward(input)

    def backward(self, pre_grad, *args, **kwargs):
        return super().backward(self.strength * pre_grad)


class MeanPooling:
    def __init__(self, pool_size):
        self.pool_size = pool_size

    def forward(self, input):
        self.shape = input.shape
        pool_h, pool_w = self.pool_size
        n, c, h, w = input.shape
        parts = input[:, :, : h // pool_h * pool_h, : w // pool_w * pool_w]
        return parts.reshape(n, c, h // pool_h, pool_h, w // pool_w, pool_w).mean(axis=(3, 5))

    def backward(self, pre_grad):
        pool_h, pool_w = self.pool_size
        back = np.zeros(self.shape)
        spread = pre_grad.repeat(pool_h, axis=2).repeat(pool_w, axis=3) / (pool_h * pool_w)
        back[:, :, : spread.shape[2], : spread.shape[3]] = spread
        return back
