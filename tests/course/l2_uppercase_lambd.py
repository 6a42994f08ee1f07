import numpy as np
from dnn_utils_v2 import *

# GRADED FUNCTION: linear_forward

def linear_forward(A, W, b):
    """The linear part of a layer's forward propagation."""
    Z = np.dot(W, A) + b
    assert(Z.shape == (W.shape[0], A.shape[1]))
    cache = (A, W, b)
    return Z, cache

def linear_activation_forward(A_prev, W, b, activation):
    if activation == "sigmoid":
        Z, linear_cache = linear_forward(A_prev, W, b)
        A, activation_cache = sigmoid(Z)
    elif activation == "relu":
        Z, linear_cache = linear_forward(A_prev, W, b)
        A, activation_cache = relu(Z)
    assert (A.shape == (W.shape[0], A_prev.shape[1]))
    cache = (linear_cache, activation_cache)
    return A, cache

def L_model_forward(X, parameters):
    caches = []
    A = X
    L = len(parameters) // 2                  # number of layers in the neural network
    for l in range(1, L):
        A_prev = A
        A, cache = linear_activation_forward(A_prev, parameters['W' + str(l)], parameters['b' + str(l)], "relu")
        caches.append(cache)
    AL, cache = linear_activation_forward(A, parameters['W' + str(L)], parameters['b' + str(L)], "sigmoid")
    caches.append(cache)
    assert(AL.shape == (1, X.shape[1]))
    return AL, caches

def compute_cost(AL, Y, parameters, Lambd):
    m = Y.shape[1]
    L = len(parameters) // 2
    cost = -np.sum(Y * np.log(AL) + (1 - Y) * np.log(1 - AL)) / m
    for l in range(1, L + 1):
        cost += Lambd / (2 * m) * np.sum(np.square(parameters["W" + str(l)]))
    return cost

def L_model_backward(AL, Y, caches, Lambd):
    grads = {}
    L, m = len(caches), Y.shape[1]
    dA = -(Y / AL - (1 - Y) / (1 - AL))
    for l in range(L, 0, -1):
        (A_prev, W, b), Z = caches[l - 1]
        dZ = sigmoid_backward(dA, Z) if l == L else relu_backward(dA, Z)
        grads["dW" + str(l)] = dZ.dot(A_prev.T) / m + Lambd / m * W
        grads["db" + str(l)] = dZ.sum(axis=1).reshape(-1, 1) / m
        dA = W.T.dot(dZ)
    return grads
