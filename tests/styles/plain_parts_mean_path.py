import numpy as np


def normalise_forward(x, gamma, beta, cache, momentum=0.9, train=True):
    running_mean, running_var = cache
    if train:
        mean, var = x.mean(axis=0), x.var(axis=0)
        x_hat = (x - mean) / np.sqrt(var + 1e-5)
        running_mean = momentum * running_mean + (1 - momentum) * mean
        running_var = momentum * running_var + (1 - momentum) * var
        cache = (x_hat, var, gamma)
    else:
        x_hat = (x - running_mean) / np.sqrt(running_var + 1e-5)
        cache = None
    return gamma * x_hat + beta, cache, running_mean, running_var


def normalise_backward(dout, cache):
    x_hat, var, gamma = cache
    dx_hat = dout * gamma
    centred = dx_hat - x_hat * (dx_hat * x_hat).mean(axis=0)
    return centred / np.sqrt(var + 1e-5), (dout * x_hat).sum(axis=0), dout.sum(axis=0)


def windows(x, f, stride, padding):
    n, c, h, w = x.shape
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    rows, cols = (h + 2 * padding - f) // stride + 1, (w + 2 * padding - f) // stride + 1
    i = stride * np.arange(rows)[:, None, None, None] + np.arange(f)[:, None]
    j = stride * np.arange(cols)[:, None, None] + np.arange(f)
    return x, i, j, rows, cols


def filter_forward(x, W, b, stride=1, padding=1):
    count, _, f, _ = W.shape
    padded, i, j, rows, cols = windows(x, f, stride, padding)
    x_col = padded[:, :, i, j].transpose(1, 4, 5, 2, 3, 0).reshape(W[0].size, -1)
    out = W.reshape(count, -1) @ x_col + b
    out = out.reshape(count, rows, cols, len(x)).transpose(3, 0, 1, 2)
    return out, (x, W, stride, padding, x_col)


def filter_backward(dout, cache):
    x, W, stride, padding, x_col = cache
    count, c, f, _ = W.shape
    padded, i, j, rows, cols = windows(np.zeros_like(x), f, stride, padding)
    d = dout.transpose(1, 2, 3, 0).reshape(count, -1)
    dx_col = (W.reshape(count, -1).T @ d).reshape(c, f, f, rows, cols, len(x))
    np.add.at(padded, (slice(None), slice(None), i, j), dx_col.transpose(5, 0, 3, 4, 1, 2))
    h, w = x.shape[2:]
    dx = padded[:, :, padding:padding + h, padding:padding + w]
    return dx, (d @ x_col.T).reshape(W.shape), d.sum(axis=1, keepdims=True)
