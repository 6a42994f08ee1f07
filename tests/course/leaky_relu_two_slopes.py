import numpy as np

def leaky_relu(Z, alpha=0.2):
    A = np.maximum(alpha * Z, Z)
    return A, Z

def leaky_relu_backward(dA, cache):
    Z = cache
    return dA * np.where(Z > 0, 1, 0.01)
