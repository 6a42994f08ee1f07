"""Logistic regression, exported: returns (dw, db, cost) and not a dictionary."""
import numpy as np


def propagate(w, b, X, Y):
    m = X.shape[1]
    Z = w.T @ X + b
    A = 1 / (1 + np.exp(-Z))
    logprobs = Y * np.log(A) + (1 - Y) * np.log(1 - A)
    cost = -logprobs.sum(axis=1, keepdims=True) / m      # (1, 1)
    dZ = A - Y
    dw = X @ dZ.T / m
    db = dZ.sum(axis=1, keepdims=True) / m
    return dw, db, cost


if __name__ == "__main__":
    data = np.load("cats.npz")
    print(propagate(np.zeros((12288, 1)), 0.0, data["x"], data["y"]))
