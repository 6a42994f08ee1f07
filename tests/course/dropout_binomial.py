import numpy as np
def relu(z): return z * (z > 0)
def sigmoid(z): return 1/(1+np.exp(-z))
def forward_propagation_with_dropout(X, parameters, keep_prob=0.5):
    cache = {}
    A = X
    L = len(parameters)//2
    for l in range(1, L):
        Z = parameters['W%i' % l] @ A + parameters['b%i' % l]
        A = relu(Z)
        D = np.random.binomial(1, keep_prob, size=A.shape)
        A = A * D / keep_prob
        cache['Z%i' % l] = Z; cache['A%i' % l] = A; cache['D%i' % l] = D
    Z = parameters['W%i' % L] @ A + parameters['b%i' % L]
    AL = sigmoid(Z)
    cache['Z%i' % L] = Z; cache['A%i' % L] = AL
    return AL, cache
def backward_propagation_with_dropout(X, Y, cache, parameters, keep_prob):
    m = X.shape[1]
    L = len(parameters)//2
    grads = {}
    dZ = cache['A%i' % L] - Y
    for l in range(L, 0, -1):
        A_prev = X if l == 1 else cache['A%i' % (l-1)]
        grads['dW%i' % l] = dZ @ A_prev.T / m
        grads['db%i' % l] = dZ.sum(1, keepdims=True) / m
        if l > 1:
            dA = parameters['W%i' % l].T @ dZ
            dA = dA * cache['D%i' % (l-1)] / keep_prob
            dZ = dA * (cache['Z%i' % (l-1)] > 0)
    return grads
