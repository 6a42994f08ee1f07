import numpy as np

def pool_forward(x, kind):
    n, d = x.shape
    pairs = x.reshape(n, d // 2, 2) if d % 2 == 0 else x[:, :-1].reshape(n, d // 2, 2)
    if kind == "sum":
        out = pairs.sum(axis=2)
    elif kind == "mean":
        out = pairs.mean(axis=2)
    return out, (x, kind)

def pool_backward(dout, cache):
    x, kind = cache
    dx = np.zeros_like(x)
    share = 1.0 if kind == "sum" else 0.5
    half = dout.shape[1]
    dx[:, :2 * half] = share * np.repeat(dout, 2, axis=1)
    return dx

def noisy_forward(feats, drop_prob):
    keep = np.random.rand(*feats.shape) > drop_prob
    return feats * keep / (1 - drop_prob), (keep, drop_prob)

def noisy_backward(upstream, stored):
    keep, drop_prob = stored
    return upstream * keep / (1 - drop_prob)

def picked_nll(table, rows):
    n = len(rows)
    e = np.exp(table - table.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    return -np.log(p[np.arange(n), rows]).mean()

def picked_nll_grad(table, rows):
    n = len(rows)
    e = np.exp(table - table.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    p[np.arange(n), rows] -= 1
    return p / n
