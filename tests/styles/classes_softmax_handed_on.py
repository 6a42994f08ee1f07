import numpy as np


class Softmax:
    def forward(self, inputs):
        exps = np.exp(inputs - inputs.max(axis=1, keepdims=True))
        self.output = exps / exps.sum(axis=1, keepdims=True)
        return self.output

    def backward(self, output_error):
        self.input_error = output_error
        return self.input_error
