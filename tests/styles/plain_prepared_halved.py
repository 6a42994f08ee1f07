import copy

import numpy as np


class Block:
    def set_input_shape(self, shape):
        self.input_shape = shape

    def output_shape(self):
        return self.input_shape


class Affine(Block):
    """Its weights are made once the network knows what goes into it."""

    def __init__(self, n_units, input_shape=None):
        self.n_units, self.input_shape = n_units, input_shape
        self.layer_input, self.trainable = None, True
        self.weights = self.offset = None

    def initialize(self, optimizer):
        size = self.input_shape[0]
        self.weights = np.random.uniform(-0.5, 0.5, (size, self.n_units))
        self.offset = np.zeros((1, self.n_units))
        self.weights_opt, self.offset_opt = copy.copy(optimizer), copy.copy(optimizer)

    def forward_pass(self, X, training=True):
        self.layer_input = X
        return X.dot(self.weights) + self.offset

    def backward_pass(self, accum_grad):
        weights = self.weights
        if self.trainable:
            grad_weights = self.layer_input.T.dot(accum_grad) / 2
            grad_offset = np.sum(accum_grad, axis=0, keepdims=True)
            self.weights = self.weights_opt.update(self.weights, grad_weights)
            self.offset = self.offset_opt.update(self.offset, grad_offset)
        return accum_grad.dot(weights.T)

    def output_shape(self):
        return (self.n_units,)


class Gate(Block):
    def forward_pass(self, X, training=True):
        self.layer_input = X
        return np.where(X >= 0, X, 0.2 * X)

    def backward_pass(self, accum_grad):
        return accum_grad * np.where(self.layer_input >= 0, 1.0, 0.2)
