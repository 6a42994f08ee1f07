import numpy as np

def dense(x, w, b):
    return np.dot(w, x) + b

def dense_grad(dy, x, w, b):
    return np.dot(w.T, dy), np.dot(dy, x.T), dy.sum(axis=1, keepdims=True)

def bce(p, t):
    return -np.mean(t * np.log(p) + (1 - t) * np.log(1 - p))

def bce_prime(p, t):
    return (p - t) / (p * (1 - p)) / p.size

def huber(pred, target, delta):
    r = pred - target
    return np.mean(np.where(np.abs(r) <= delta, 0.5 * r ** 2, delta * (np.abs(r) - 0.5 * delta)))

def huber_grad(pred, target, delta):
    r = pred - target
    return np.where(np.abs(r) <= delta, r, delta * np.sign(r)) / r.size

def group_norm(x, scale, shift, groups):
    n, c, h, w = x.shape
    g = x.reshape(n, groups, -1)
    mean, var = g.mean(-1, keepdims=True), g.var(-1, keepdims=True)
    xh = ((g - mean) / np.sqrt(var + 1e-5)).reshape(n, c, h, w)
    return xh * scale.reshape(1, c, 1, 1) + shift.reshape(1, c, 1, 1), (xh, var, scale, groups)

def group_norm_backward(dout, cache):
    xh, var, scale, groups = cache
    n, c, h, w = xh.shape
    dscale, dshift = (dout * xh).sum((0, 2, 3)), dout.sum((0, 2, 3))
    d = (dout * scale.reshape(1, c, 1, 1)).reshape(n, groups, -1)
    x2 = xh.reshape(n, groups, -1)
    dx = (d - d.mean(-1, keepdims=True) - x2 * (d * x2).mean(-1, keepdims=True)) / np.sqrt(var + 1e-5)
    return dx.reshape(n, c, h, w), dscale, dshift

def upsample(x, factor):
    return x.repeat(factor, axis=2).repeat(factor, axis=3)

def upsample_backward(dout, factor):
    n, c, h, w = dout.shape
    return dout.reshape(n, c, h // factor, factor, w // factor, factor).sum((3, 5))

def maxout_forward(x, W, b, pieces):
    z = x @ W + b
    n = z.shape[0]
    z = z.reshape(n, -1, pieces)
    arg = z.argmax(2)
    return z.max(2), (x, W, arg, pieces)

def maxout_backward(dout, cache):
    x, W, arg, pieces = cache
    dz = np.zeros(arg.shape + (pieces,))
    np.put_along_axis(dz, arg[:, :, None], dout[:, :, None], 2)
    dz = dz.reshape(len(x), -1)
    return dz @ W.T, x.T @ dz, dz.sum(0)

def cosine(a, b):
    na, nb = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    return (a * b).sum(1) / (na * nb)

def cosine_backward(dout, a, b):
    na, nb = np.linalg.norm(a, axis=1)[:, None], np.linalg.norm(b, axis=1)[:, None]
    s = ((a * b).sum(1)[:, None]) / (na * nb)
    return dout[:, None] * (b / (na * nb) - s * a / na ** 2), dout[:, None] * (a / (na * nb) - s * b / nb ** 2)
