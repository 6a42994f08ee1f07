import numpy as np

def model_forward(X, parameters):
    caches, A = [], X
    L = len(parameters) // 2
    for l in range(1, L + 1):
        Z = np.dot(parameters['W' + str(l)], A) + parameters['b' + str(l)]
        caches.append((A, Z))
        A = np.maximum(0, Z) if l < L else 1 / (1 + np.exp(-Z))
    return A, caches

def model_backward(dAL, caches, parameters):
    grads, dA = {}, dAL
    L = len(caches)
    for l in reversed(range(1, L + 1)):
        A_prev, Z = caches[l - 1]
        if l == L:
            s = 1 / (1 + np.exp(-Z))
            dZ = dA * s * (1 - s)
        else:
            dZ = dA * (Z > 0)
        grads['dW' + str(l)] = np.dot(dZ, A_prev.T)
        grads['db' + str(l)] = dZ.mean(axis=1, keepdims=True)
        dA = np.dot(parameters['W' + str(l)].T, dZ)
    return grads
