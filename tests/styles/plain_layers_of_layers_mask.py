import numpy as np


def affine_forward(x, w, b):
    return x.reshape(x.shape[0], -1).dot(w) + b, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    return dout.dot(w.T).reshape(x.shape), x.reshape(x.shape[0], -1).T.dot(dout), dout.sum(axis=0)


def batchnorm_forward(x, gamma, beta, bn_param):
    eps = bn_param.get("eps", 1e-5)
    if bn_param["mode"] == "train":
        mean, var = x.mean(axis=0), x.var(axis=0)
    else:
        mean, var = bn_param["mean"], bn_param["var"]
    x_hat = (x - mean) / np.sqrt(var + eps)
    return gamma * x_hat + beta, (x_hat, gamma, var + eps)


def batchnorm_backward(dout, cache):
    x_hat, gamma, var = cache
    d = dout * gamma
    dx = (d - d.mean(axis=0) - x_hat * (d * x_hat).mean(axis=0)) / np.sqrt(var)
    return dx, (dout * x_hat).sum(axis=0), dout.sum(axis=0)


def layernorm_forward(x, gamma, beta, ln_param):
    x_hat = x - x.mean(axis=1, keepdims=True)
    std = np.sqrt((x_hat**2).mean(axis=1, keepdims=True) + ln_param.get("eps", 1e-5))
    return gamma * x_hat / std + beta, (x_hat / std, gamma, std)


def layernorm_backward(dout, cache):
    x_hat, gamma, std = cache
    d = dout * gamma
    dx = d - d.mean(axis=1, keepdims=True) - x_hat * (d * x_hat).mean(axis=1, keepdims=True)
    return dx / std, (dout * x_hat).sum(axis=0), dout.sum(axis=0)


def block_forward(x, w, b, gamma, beta, norm_param, norm):
    a, fc_cache = affine_forward(x, w, b)
    if norm == "batch":
        n, norm_cache = batchnorm_forward(a, gamma, beta, norm_param)
    else:
        n, norm_cache = layernorm_forward(a, gamma, beta, norm_param)
    return np.maximum(0, n), (fc_cache, norm_cache, n)


def block_backward(dout, cache, norm):
    fc_cache, norm_cache, n = cache
    dn = dout
    if norm == "batch":
        da, dgamma, dbeta = batchnorm_backward(dn, norm_cache)
    else:
        da, dgamma, dbeta = layernorm_backward(dn, norm_cache)
    dx, dw, db = affine_backward(da, fc_cache)
    return dx, dw, db, dgamma, dbeta
