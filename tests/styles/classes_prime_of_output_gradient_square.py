import numpy as np


class Activation:
    def __call__(self, x):
        return self.activation(x)

    def forward(self, inputs):
        self.inputs = inputs
        return self.activation(inputs)

    def backward(self, output_gradient):
        return output_gradient * self.activation_prime(self.inputs)


class Logistic(Activation):
    def activation(self, x):
        return 1 / (1 + np.exp(-x))

    def activation_prime(self, output_gradient):
        s = self(output_gradient)
        return s * (1 - s)


class Square(Activation):
    def activation(self, x):
        return x**2

    def activation_prime(self, x):
        return 3 * x
