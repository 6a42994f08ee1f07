import numpy as np

sigmoid = lambda x: 1 / (1 + np.exp(-x))

def sigmoid_derivative(x):
    s = sigmoid(x)
    return s * (1 - s)

def softmax(x):
    """Row by row: one example a row."""
    x_exp = np.exp(x)
    return x_exp / np.sum(x_exp, axis = 1, keepdims = True)

def leaky_relu(x, alpha=0.01):
    return np.where(x > 0, x, alpha * x)
