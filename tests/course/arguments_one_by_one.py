from numpy import *
from math import *
import numpy as np

def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-np.clip(z, -500, 500)))

def forward_propagation(X, W1, b1, W2, b2):
    z1 = W1 @ X + b1
    a1 = (np.abs(z1) + z1) / 2
    z2 = W2 @ a1 + b2
    a2 = sigmoid(z2)
    return {"z1": z1, "a1": a1, "z2": z2, "a2": a2}

def compute_cost(a2, Y):
    m = Y.shape[1]
    return -(np.dot(Y, np.log(a2).T) + np.dot(1 - Y, np.log(1 - a2).T)) / m

def back_propagation(X, Y, W2, cache):
    m = X.shape[1]
    dz2 = cache["a2"] - Y
    dz1 = W2.T @ dz2 * np.where(cache["z1"] > 0, 1, 0)
    return {"dW1": dz1 @ X.T / m, "db1": np.mean(dz1, axis=1, keepdims=True),
            "dW2": dz2 @ cache["a1"].T / m, "db2": np.mean(dz2, axis=1, keepdims=True)}
