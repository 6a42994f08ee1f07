import numpy as np


class Conv1d_stride1:

    def __init__(self, in_channels, out_channels, kernel_size, weight_init_fn=None, bias_init_fn=None):
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        if weight_init_fn is None:
            self.W = np.random.normal(0, 1.0, (out_channels, in_channels, kernel_size))
        else:
            self.W = weight_init_fn(out_channels, in_channels, kernel_size)
        if bias_init_fn is None:
            self.b = np.zeros(out_channels)
        else:
            self.b = bias_init_fn(out_channels)
        self.dLdW = np.zeros(self.W.shape)
        self.dLdb = np.zeros(self.b.shape)

    def forward(self, A):
        """
        Argument:
            A (np.array): (batch_size, in_channels, input_size)
        Return:
            Z (np.array): (batch_size, out_channels, output_size)
        """
        self.A = A
        output_size = A.shape[2] - self.kernel_size + 1
        Z = np.zeros((A.shape[0], self.out_channels, output_size))
        for i in range(output_size):
            Z[:, :, i] = np.tensordot(A[:, :, i : i + self.kernel_size], self.W, axes=([1, 2], [1, 2]))
        return Z + self.b[None, :, None]

    def backward(self, dLdZ):
        """
        Argument:
            dLdZ (np.array): (batch_size, out_channels, output_size)
        Return:
            dLdA (np.array): (batch_size, in_channels, input_size)
        """
        output_size = dLdZ.shape[2]
        self.dLdb = dLdZ.sum(axis=(0, 2))
        for k in range(self.kernel_size):
            self.dLdW[:, :, k] = np.tensordot(dLdZ, self.A[:, :, k : k + output_size], axes=([0, 2], [0, 2]))
        pad = self.kernel_size - 1
        padded = np.pad(dLdZ, ((0, 0), (0, 0), (pad, pad)))
        flipped = self.W
        dLdA = np.zeros(self.A.shape)
        for i in range(self.A.shape[2]):
            dLdA[:, :, i] = np.tensordot(padded[:, :, i : i + self.kernel_size], flipped, axes=([1, 2], [0, 2]))
        return dLdA


class Downsample1d:

    def __init__(self, downsampling_factor):
        self.downsampling_factor = downsampling_factor

    def forward(self, A):
        self.W_in = A.shape[2]
        return A[:, :, :: self.downsampling_factor]

    def backward(self, dLdZ):
        dLdA = np.zeros((dLdZ.shape[0], dLdZ.shape[1], self.W_in))
        dLdA[:, :, :: self.downsampling_factor] = dLdZ
        return dLdA


class Upsample1d:

    def __init__(self, upsampling_factor):
        self.upsampling_factor = upsampling_factor

    def forward(self, A):
        N, C, W = A.shape
        Z = np.zeros((N, C, self.upsampling_factor * (W - 1) + 1))
        Z[:, :, :: self.upsampling_factor] = A
        return Z

    def backward(self, dLdZ):
        dLdA = dLdZ[:, :, :: self.upsampling_factor]
        return dLdA
