import numpy as np

def loss_fn(params, x, y):
    h = np.tanh(x @ params[0] + params[1])
    out = h @ params[2] + params[3]
    return 0.5 * np.mean(np.sum((out - y) ** 2, axis=1))

def grad_fn(params, x, y):
    h = np.tanh(x @ params[0] + params[1])
    out = h @ params[2] + params[3]
    d = (out - y) / len(x)
    dh = (d @ params[2].T) * (1 - h ** 2)
    return [x.T @ dh, dh.sum(0), h.T @ d, d.sum(0)]
