import numpy as np


def forward(X, params, masks, keep):
    """Two hidden layers with inverted dropout; X is (n, d), the masks are given."""
    W1, b1, W2, b2, W3, b3 = params
    z1 = X @ W1 + b1
    h1 = np.maximum(z1, 0) * masks[0] / keep
    z2 = h1 @ W2 + b2
    h2 = np.maximum(z2, 0) * masks[1] / keep
    return h2 @ W3 + b3, (X, z1, h1, z2, h2)


def loss(X, T, params, masks, keep):
    out, _ = forward(X, params, masks, keep)
    return 0.5 * np.sum((out - T) ** 2) / len(X)


def backward(X, T, params, masks, keep):
    W1, b1, W2, b2, W3, b3 = params
    out, (X, z1, h1, z2, h2) = forward(X, params, masks, keep)
    d = (out - T) / len(X)
    dW3, db3 = h2.T @ d, d.sum(axis=0)
    dh2 = d @ W3.T
    dh2 = dh2 * masks[1] / keep
    dz2 = dh2 * (z2 > 0)
    dW2, db2 = h1.T @ dz2, dz2.sum(axis=0)
    dh1 = dz2 @ W2.T
    dh1 = dh1 * masks[0]
    dz1 = dh1 * (z1 > 0)
    dW1, db1 = X.T @ dz1, dz1.sum(axis=0)
    return [dW1, db1, dW2, db2, dW3, db3]


def example(n=8, d=5, keep=0.8):
    rng = np.random.RandomState(0)
    sizes = [d, 6, 6, 3]
    params = []
    for a, b in zip(sizes, sizes[1:]):
        params += [rng.randn(a, b), rng.randn(b)]
    masks = [rng.rand(n, 6) < keep, rng.rand(n, 6) < keep]
    return rng.randn(n, d), rng.randn(n, 3), params, masks, keep


if __name__ == "__main__":
    print(loss(*example()), [g.shape for g in backward(*example())])
