import numpy as np

def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)

def linear_forward(x, weight, bias):
    return x @ weight.T + bias

def linear_backward(grad_output, x, weight):
    flat = grad_output.reshape(-1, grad_output.shape[-1])
    return grad_output @ weight, flat.T @ x.reshape(-1, x.shape[-1]), flat.sum(0)

def layernorm_forward(x, weight, bias, eps=1e-5):
    mean = x.mean(-1, keepdims=True)
    var = x.var(-1, keepdims=True)
    xhat = (x - mean) / np.sqrt(var + eps)
    return xhat * weight + bias, (xhat, var, weight, eps)

def layernorm_backward(dy, cache):
    xhat, var, weight, eps = cache
    dxhat = dy * weight
    dx = (dxhat - dxhat.mean(-1, keepdims=True) - xhat * (dxhat * xhat).mean(-1, keepdims=True)) / np.sqrt(var + eps)
    axes = tuple(range(dy.ndim - 1))
    return dx, (dy * xhat).sum(axes), dy.sum(axes)

def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x ** 3)))

def gelu_backward(dout, x):
    t = np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x ** 3))
    return dout * (0.5 * (1 + t) + 0.5 * x * (1 - t ** 2) * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x ** 2))

def mha_forward(x, Wq, Wk, Wv, Wo, n_heads):
    B, T, C = x.shape
    hs = C // n_heads
    q = (x @ Wq).reshape(B, T, n_heads, hs).transpose(0, 2, 1, 3)
    k = (x @ Wk).reshape(B, T, n_heads, hs).transpose(0, 2, 1, 3)
    v = (x @ Wv).reshape(B, T, n_heads, hs).transpose(0, 2, 1, 3)
    att = softmax(q @ k.transpose(0, 1, 3, 2) / np.sqrt(hs))
    y = (att @ v).transpose(0, 2, 1, 3).reshape(B, T, C)
    return y @ Wo, (x, q, k, v, att, y, Wq, Wk, Wv, Wo, n_heads)

def mha_backward(dout, cache):
    x, q, k, v, att, y, Wq, Wk, Wv, Wo, n_heads = cache
    B, T, C = x.shape
    hs = C // n_heads
    dWo = y.reshape(-1, C).T @ dout.reshape(-1, C)
    dy = (dout @ Wo.T).reshape(B, T, n_heads, hs).transpose(0, 2, 1, 3)
    datt, dv = dy @ v.transpose(0, 1, 3, 2), att.transpose(0, 1, 3, 2) @ dy
    ds = att * (datt - (datt * att).sum(-1, keepdims=True)) / np.sqrt(hs)
    dq, dk = ds @ k, ds.transpose(0, 1, 3, 2) @ q
    dq, dk, dv = (d.transpose(0, 2, 1, 3).reshape(B, T, C) for d in (dq, dk, dv))
    flat = x.reshape(-1, C)
    dx = dq @ Wq.T + dk @ Wk.T + dv @ Wv.T
    return dx, flat.T @ dq.reshape(-1, C), flat.T @ dk.reshape(-1, C), flat.T @ dv.reshape(-1, C), dWo
