# old habit: everything is a matrix, and * is the product
import numpy as np

def propagate(w, b, X, Y):
    w, X, Y = np.matrix(w), np.matrix(X), np.matrix(Y)
    m = X.shape[1]
    A = 1.0 / (1.0 + np.exp(-(w.T * X + b)))
    cost = -(Y * np.log(A).T + (1 - Y) * np.log(1 - A).T) / m
    dw = X * (A - Y).T / m
    db = np.sum(A - Y) / m
    return {'dw': dw, 'db': db}, cost
