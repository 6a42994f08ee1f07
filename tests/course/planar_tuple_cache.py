import numpy
from scipy.special import expit

def forward_propagation(X, params):
    W1, b1, W2, b2 = params["W1"], params["b1"], params["W2"], params["b2"]
    A1 = numpy.tanh(W1.dot(X) + b1)
    A2 = expit(W2.dot(A1) + b2)
    return A2, (A1, A2)

def cost_function(A2, Y):
    m = Y.shape[1]
    return (-1 / m) * numpy.sum(numpy.where(Y == 1, numpy.log(A2), numpy.log(1 - A2)))

def backward_propagation(params, cache, X, Y):
    (A1, A2), m = cache, X.shape[1]
    dZ2 = A2 - Y
    dZ1 = numpy.multiply(params["W2"].T.dot(dZ2), 1 - A1 * A1)
    dW2, db2 = dZ2.dot(A1.T) / m, dZ2.sum(axis=1, keepdims=True) / m
    dW1, db1 = dZ1.dot(X.T) / m, dZ1.sum(axis=1, keepdims=True) / m
    return dW1, db1, dW2, db2
