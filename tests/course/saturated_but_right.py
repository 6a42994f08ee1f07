import numpy as np

def sigmoid(z):
    """Overflows for neither sign."""
    out = np.empty_like(z)
    positive = z >= 0
    out[positive] = 1 / (1 + np.exp(-z[positive]))
    e = np.exp(z[~positive])
    out[~positive] = e / (1 + e)
    return out

def propagate(w, b, X, Y):
    m = X.shape[1]
    A = sigmoid(np.dot(w.T, X) + b)
    A_safe = np.minimum(np.maximum(A, 1e-7), 1 - 1e-7)
    cost = -np.mean(Y * np.log(A_safe) + (1 - Y) * np.log(1 - A_safe))
    dZ = A - Y
    return {"dw": np.dot(X, dZ.T) / m, "db": np.sum(dZ, axis=1) / m}, np.array([[cost]])
