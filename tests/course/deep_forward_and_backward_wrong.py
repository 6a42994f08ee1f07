import numpy as np
from dnn_utils_v2 import *

def L_model_forward(X, parameters):
    caches, A = [], X
    L = len(parameters) // 2
    for l in range(1, L + 1):
        W, b = parameters["W" + str(l)], parameters["b" + str(l)]
        Z = np.dot(W, A)                      # forgets b
        cache = ((A, W, b), Z)
        A = sigmoid(Z)[0] if l == L else relu(Z)[0]
        caches.append(cache)
    return A, caches

def compute_cost(AL, Y):
    return -np.mean(Y * np.log(AL) + (1 - Y) * np.log(1 - AL))

def L_model_backward(AL, Y, caches):
    grads, m, L = {}, Y.shape[1], len(caches)
    dZ = AL - Y
    for l in range(L, 0, -1):
        (A_prev, W, b), Z = caches[l - 1]
        grads["dW" + str(l)] = np.dot(dZ, A_prev.T)      # forgets 1/m
        grads["db" + str(l)] = np.sum(dZ, axis=1, keepdims=True) / m
        if l > 1:
            dZ = relu_backward(np.dot(W.T, dZ), caches[l - 2][1])
    return grads
