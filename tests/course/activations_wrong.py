import numpy as np

def sigmoid(x):
    return 1 / (1 + np.exp(-x))

def sigmoid_backward(dA, cache):
    Z = cache
    return dA * Z * (1 - Z)

def tanh_backward(dA, Z):
    return dA * (1 - np.tanh(Z))
