"""Layers that are given their inputs again, and a gradient whose name is nobody else's."""

import numpy as np


class Rectifier:
    def forward(self, inputs):
        inputs[inputs <= 0] = 0
        return inputs

    def backward(self, inputs, prev_dev):
        prev_dev[inputs <= 0] = 0
        return prev_dev


class Squashing:
    def forward(self, inputs):
        return np.tanh(inputs)

    def backward(self, inputs, above):
        return above * (1 - inputs ** 2)
