import numpy as np
from numpy.lib.stride_tricks import as_strided


class Conv2D:
    def __init__(self, output_channels, ksize=3):
        self.output_channels = output_channels
        self.ksize = ksize

    def build(self, shape):
        self.weights = np.random.randn(self.ksize, self.ksize, shape[3], self.output_channels) / 4

    def forward(self, x):
        self.shape = x.shape
        self.col_image = self.split_by_strides(x)
        return np.tensordot(self.col_image, self.weights, axes=([3, 4, 5], [0, 1, 2]))

    def backward(self, eta):
        self.w_gradient = np.tensordot(self.col_image, eta, axes=([0, 1, 2], [0, 1, 2]))
        pad = self.ksize - 1
        pad_eta = np.pad(eta, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        parts = self.split_by_strides(pad_eta)
        flipped = self.weights[::-1, ::-1]
        return np.tensordot(parts, flipped, axes=([3, 4, 5], [0, 1, 3]))

    def split_by_strides(self, x):
        N, H, W, C = x.shape
        shape = (N, H - self.ksize + 1, W - self.ksize + 1, self.ksize, self.ksize, C)
        return as_strided(x, shape=shape, strides=(*x.strides[:3], *x.strides[1:]))
