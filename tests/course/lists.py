import numpy as np

def compute_cost(A2, Y):
    total = 0
    for a, y in zip(A2.ravel().tolist(), Y.ravel().tolist()):
        total -= y * np.log(a) + (1 - y) * np.log(1 - a)
    return total / Y.size

def forward_propagation(X, parameters):
    Z1 = np.matmul(parameters['W1'], X) + parameters['b1']
    A1 = (np.exp(Z1) - np.exp(-Z1)) / (np.exp(Z1) + np.exp(-Z1))
    Z2 = np.matmul(parameters['W2'], A1) + parameters['b2']
    A2 = 1 / (1 + np.exp(-Z2))
    return A2, [A1, A2]

def backward_propagation(X, Y, cache, parameters):
    A1, A2 = cache
    m = Y.shape[1]
    dZ2 = (A2 - Y) / m
    dZ1 = np.matmul(parameters['W2'].T, dZ2) * (1 - A1 ** 2)
    return (np.matmul(dZ1, X.T).tolist(), dZ1.sum(1, keepdims=True).tolist(),
            np.matmul(dZ2, A1.T).tolist(), dZ2.sum(1, keepdims=True).tolist())
