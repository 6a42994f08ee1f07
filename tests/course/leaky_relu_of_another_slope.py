import numpy as np

class Net:
    def leaky_relu(self, Z, slope=0.1):
        return np.where(Z > 0, Z, Z * slope)
    def leaky_relu_derivative(self, Z, slope=0.1):
        return np.where(Z > 0, 1, slope)
