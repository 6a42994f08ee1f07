import numpy as np


def init(n_in, n_hidden, n_out):
    return {
        "W1": np.random.randn(n_in, n_hidden) * 0.1,
        "b1": np.zeros(n_hidden),
        "W2": np.random.randn(n_hidden, n_out) * 0.1,
        "b2": np.zeros(n_out),
    }


def forward(params, X):
    """X is (m, n_in): one example a row. Returns predictions (m, n_out)."""
    H = np.tanh(X @ params["W1"] + params["b1"])
    return H @ params["W2"] + params["b2"], H


def mse(params, X, T):
    out, _ = forward(params, X)
    return np.mean(np.sum((out - T) ** 2, axis=1))


def gradients(params, X, T):
    """Gradients of mse, T is (m, n_out)."""
    m = len(X)
    out, H = forward(params, X)
    d_out = 2 * (out - T) / m
    dW2 = H.T @ d_out
    db2 = d_out.sum(axis=0)
    d_hidden = (d_out @ params["W2"].T) * (1 - H**2)
    dW1 = X.T @ d_hidden
    db1 = d_hidden.sum(axis=0)
    return {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}


def train(X, T, steps=100, rate=0.1):
    params = init(X.shape[1], 8, T.shape[1])
    for _ in range(steps):
        grads = gradients(params, X, T)
        for key in params:
            params[key] -= rate * grads[key]
    return params


if __name__ == "__main__":
    X = np.random.randn(30, 3)
    T = np.stack([X[:, 0] * X[:, 1], X[:, 2]], axis=1)
    params = train(X, T)
    print(mse(params, X, T))
