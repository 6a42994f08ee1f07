import numpy as np
from scipy import signal


class Layer:
    def forward(self, input):
        pass

    def backward(self, output_gradient, learning_rate):
        pass


class Convolution(Layer):
    """One image at a time; kernels and biases are moved here."""

    def __init__(self, input_shape, kernel_size, depth):
        self.channels, height, width = input_shape
        self.depth = depth
        self.input_shape = input_shape
        self.kernels = np.random.randn(depth, self.channels, kernel_size, kernel_size)
        self.biases = np.random.randn(depth, height - kernel_size + 1, width - kernel_size + 1)

    def forward(self, input):
        self.input = input
        output = np.copy(self.biases)
        for i in range(self.depth):
            for j in range(self.channels):
                output[i] += signal.correlate2d(self.input[j], self.kernels[i, j], "valid")
        return output

    def backward(self, output_gradient, learning_rate):
        dkernels = np.zeros(self.kernels.shape)
        dinput = np.zeros(self.input_shape)
        for i in range(self.depth):
            for j in range(self.channels):
                dkernels[i, j] = signal.correlate2d(self.input[j], output_gradient[i], "valid")
                dinput[j] += signal.convolve2d(output_gradient[i], self.kernels[i, j], "full")
        self.kernels -= learning_rate * dkernels
        self.biases -= learning_rate * output_gradient
        return dinput


class Tanh(Layer):
    def forward(self, input):
        self.input = input
        return np.tanh(self.input)

    def backward(self, output_gradient, learning_rate):
        return output_gradient * (1 - np.tanh(self.input) ** 2)
