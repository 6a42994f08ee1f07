import numpy as np


def softmax(s):
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def attention_forward(Q, K, V):
    """Scaled dot-product attention.

    Q: (T, d)
    K: (S, d)
    V: (S, e)
    returns out (T, e) and the cache
    """
    d = Q.shape[1]
    A = softmax(Q @ K.T / np.sqrt(d))
    return A @ V, (Q, K, V, A)


def attention_backward(dout, cache):
    Q, K, V, A = cache
    d = Q.shape[1]
    dV = A.T @ dout
    dA = dout @ V.T
    dS = A * (dA - np.sum(dA * A, axis=-1, keepdims=True))
    dS = dS / np.sqrt(d)
    dQ = dS @ K
    dK = dS.T @ Q
    return dQ, dK, dV
