# -*- coding: utf-8 -*-
import numpy as np

def sigmoid(x):
    return 1.0 / (1 + np.exp(-x))

def propagate(w, b, X, Y):
    m = X.shape[1]
    A = sigmoid(np.dot(w.T, X) + b)
    cost = -1.0 / m * np.sum(Y * np.log(A) + (1 - Y) * np.log(1 - A))
    return {"dw": 1.0 / m * np.dot(X, (A - Y).T), "db": 1.0 / m * np.sum(A - Y)}, cost

for i in xrange(10):
    print "iteration", i
