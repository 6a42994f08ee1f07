import numpy as np


class Linear:
    def __init__(self, in_features, out_features):
        self.W = np.random.randn(in_features, out_features) / 4
        self.b = np.zeros(out_features)
        self.dW = None
        self.db = None

    def forward(self, X):
        self.cache_input = X
        if X.ndim == 3:
            B, T, C = X.shape
            out = X.reshape(-1, C) @ self.W + self.b
            return out.reshape(B, T, -1)
        return X @ self.W + self.b

    def backward(self, dZ):
        X = self.cache_input
        if X.ndim == 3:
            B, T, C = X.shape
            flat = dZ.reshape(B * T, -1)
            self.dW = X.reshape(-1, C).T @ flat
            self.db = np.sum(flat, axis=0)
            return (flat @ self.W.T).reshape(B, T, C)
        self.dW = X.T @ dZ
        self.db = np.sum(dZ, axis=0)
        return dZ @ self.W.T

    def grads(self):
        return {"W": self.dW, "b": self.db}


class Positions:
    def __init__(self, max_len, d_model):
        self.W = np.random.randn(max_len, d_model) / 4
        self.dW = None

    def forward(self, X):
        B, T, C = X.shape
        return X + self.W[:T, :]

    def backward(self, dZ):
        B, T, C = dZ.shape
        self.dW = np.zeros_like(self.W)
        self.dW[:T, :] = np.sum(dZ, axis=0)
        return dZ

    def grads(self):
        return {name: value for name, value in {"W": self.dW}.items()}
