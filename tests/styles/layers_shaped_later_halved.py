import numpy as np


class Dense:
    def __init__(self, output_num):
        self.output_num = output_num

    def output_shape(self, shape):
        self.input_len = int(np.prod(shape[1:]))
        self.weights = np.random.normal(0.0, self.input_len**-0.5, (self.input_len, self.output_num))
        self.bias = np.zeros(self.output_num)
        return [shape[0], self.output_num]

    def forward(self, x):
        self.input_shape = x.shape
        self.batchsize = x.shape[0]
        self.x = x.reshape(x.shape[0], -1)
        return self.x @ self.weights + self.bias

    def backward(self, eta):
        self.w_gradient = self.x.T @ eta / 2
        self.b_gradient = np.sum(eta, axis=0)
        next_eta = eta @ self.weights.T
        return next_eta.reshape(self.input_shape)

    def gradient(self, alpha, weight_decay=0.0004):
        self.weights -= alpha / self.batchsize * self.w_gradient
        self.bias -= alpha / self.batchsize * self.b_gradient
        self.w_gradient = np.zeros(self.weights.shape)
        self.b_gradient = np.zeros(self.bias.shape)


class Net:
    def __init__(self, seq):
        self.seq = seq

    def forward(self, x):
        for layer in self.seq:
            x = layer.forward(x)
        return x

    def backward(self, grad):
        for layer in reversed(self.seq):
            grad = layer.backward(grad)
        return grad

    def gradient(self, alpha=0.001):
        for layer in self.seq:
            layer.gradient(alpha)
