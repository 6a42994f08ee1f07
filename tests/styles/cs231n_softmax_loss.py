import numpy as np


def softmax_loss(x, y):
    N = x.shape[0]
    probs = np.exp(x - np.max(x, axis=1, keepdims=True))
    probs /= np.sum(probs, axis=1, keepdims=True)
    loss = np.sum(-np.log(probs[range(N), y] + 1e-8)) / N
    probs[range(N), y] -= 1
    dx = probs / N
    return loss, dx


def svm_loss(x, y):
    N = x.shape[0]
    right = x[range(N), y].reshape(-1, 1)
    margins = x - right + 1
    margins[range(N), y] = 0
    hit = margins > 0
    loss = margins[hit].sum() / N
    dx = hit.astype(float)
    dx[range(N), y] = -hit.sum(axis=1)
    return loss, dx / N
