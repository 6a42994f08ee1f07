import numpy as np

def rnn_forward(inputs, h_init, params):
    Wxh, Whh, Why, bh, by = params
    hs, ys = [h_init], []
    for x in inputs:
        h = np.tanh(x @ Wxh + hs[-1] @ Whh + bh)
        hs.append(h)
        ys.append(h @ Why + by)
    return np.stack(ys), (inputs, hs, params)

def rnn_backward(dys, cache):
    inputs, hs, (Wxh, Whh, Why, bh, by) = cache
    dWxh, dWhh, dWhy, dbh, dby = (np.zeros_like(p) for p in (Wxh, Whh, Why, bh, by))
    dinputs = np.zeros_like(inputs)
    dh_next = np.zeros_like(hs[0])
    for t in reversed(range(len(inputs))):
        dWhy += hs[t + 1].T @ dys[t]
        dby = dys[t].sum(0)
        dz = (dys[t] @ Why.T + dh_next) * (1 - hs[t + 1] ** 2)
        dWxh += inputs[t].T @ dz
        dWhh += hs[t].T @ dz
        dbh += dz.sum(0)
        dinputs[t] = dz @ Wxh.T
        dh_next = dz @ Whh.T
    return dinputs, dh_next, dWxh, dWhh, dWhy, dbh, dby
