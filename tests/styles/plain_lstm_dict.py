import numpy as np

def sigmoid(v):
    return 1 / (1 + np.exp(-v))

def lstm_forward(x, h, c, p):
    z = np.concatenate([h, x])
    f = sigmoid(p['Wf'] @ z + p['bf'])
    i = sigmoid(p['Wi'] @ z + p['bi'])
    g = np.tanh(p['Wg'] @ z + p['bg'])
    o = sigmoid(p['Wo'] @ z + p['bo'])
    c_new = f * c + i * g
    h_new = o * np.tanh(c_new)
    return h_new, c_new, (z, f, i, g, o, c, c_new)

def lstm_backward(dh, dc, cache, p):
    z, f, i, g, o, c, c_new = cache
    do = dh * np.tanh(c_new) * o * (1 - o)
    dc = dc + dh * o * (1 - np.tanh(c_new) ** 2)
    df = dc * c * f * (1 - f)
    di = dc * g * i * (1 - i)
    dg = dc * i * (1 - g ** 2)
    grads = {}
    dz = np.zeros_like(z)
    for name, d in (('f', df), ('i', di), ('g', dg), ('o', do)):
        grads['W' + name] = d @ z.T
        grads['b' + name] = d.sum(axis=1, keepdims=True)
        dz += p['W' + name].T @ d
    n = len(dh)
    return dz[n:], dz[:n], f * dc, grads
