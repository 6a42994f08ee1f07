import numpy as np
from dnn_utils_v2 import sigmoid, relu, sigmoid_backward, relu_backward

def L_model_forward_with_dropout(X, parameters, keep_prob=0.9):
    np.random.seed(3)
    caches, A = [], X
    L = len(parameters) // 2
    for l in range(1, L):
        Z = parameters["W" + str(l)].dot(A) + parameters["b" + str(l)]
        A_new, _ = relu(Z)
        D = (np.random.rand(*A_new.shape) < keep_prob).astype(int)
        A_new = A_new * D / keep_prob
        caches.append((A, Z, D))
        A = A_new
    Z = parameters["W" + str(L)].dot(A) + parameters["b" + str(L)]
    AL, _ = sigmoid(Z)
    caches.append((A, Z, None))
    return AL, caches

def compute_cost_with_regularization(AL, Y, parameters, lambd):
    m = Y.shape[1]
    logprobs = Y * np.log(AL) + (1 - Y) * np.log(1 - AL)
    penalty = 0
    for l in range(len(parameters) // 2):
        penalty += np.sum(parameters["W%d" % (l + 1)] ** 2)
    return float(-np.sum(logprobs) / m + lambd * penalty / (2 * m))

def L_model_backward_with_dropout(AL, Y, caches, parameters, lambd, keep_prob=0.9):
    grads, L, m = {}, len(caches), Y.shape[1]
    dA = -(Y / AL) + (1 - Y) / (1 - AL)
    for l in range(L, 0, -1):
        A_prev, Z, D = caches[l - 1]
        if l == L:
            dZ = sigmoid_backward(dA, Z)
        else:
            dZ = relu_backward(dA * D / keep_prob, Z)
        W = parameters["W" + str(l)]
        grads["dW" + str(l)] = np.dot(dZ, A_prev.T) / m + lambd * W / m
        grads["db" + str(l)] = np.sum(dZ, axis=1, keepdims=True) / m
        dA = np.dot(W.T, dZ)
    return grads
