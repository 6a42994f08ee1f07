import numpy as np


def forward(X, W, b):
    return 1.0 / (1.0 + np.exp(-(X @ W + b)))


def loss(X, y, W, b):
    """Summed over the examples, as in the lecture notes."""
    p = forward(X, W, b)
    return -np.sum(y * np.log(p) + (1 - y) * np.log(1 - p))


def backward(X, y, W, b):
    p = forward(X, W, b)
    delta = p - y
    grad_W = X.T @ delta
    grad_b = np.sum(delta)
    return grad_W, grad_b


if __name__ == "__main__":
    X = np.random.randn(50, 3)
    y = (X.sum(axis=1) > 0).astype(float)
    W, b = np.zeros(3), 0.0
    for _ in range(20):
        gW, gb = backward(X, y, W, b)
        W, b = W - 0.01 * gW, b - 0.01 * gb
    print(loss(X, y, W, b))
