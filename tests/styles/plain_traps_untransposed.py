import numpy as np


def dense(x, w, b):
    return x @ w + b


def dense_backward(dout, x, w):
    dx = dout @ w
    dw = x.T @ dout
    db = dout.sum(axis=0)
    return dx, dw, db


def dropout(x, p):
    mask = (np.random.rand(*x.shape) < p) / p
    return x * mask


def clip_gradients(grads, limit=1.0):
    return [np.clip(g, -limit, limit) for g in grads]


def gradient_norm(grads):
    return np.sqrt(sum(np.sum(g**2) for g in grads))


def gradient_descent(params, grads, lr=0.01):
    return [p - lr * g for p, g in zip(params, grads)]


def momentum_update(params, grads, velocity, lr=0.01, beta=0.9):
    for i, g in enumerate(grads):
        velocity[i] = beta * velocity[i] + (1 - beta) * g
        params[i] = params[i] - lr * velocity[i]
    return params, velocity


def gradient_penalty_weight(step, warmup=100):
    return min(1.0, step / warmup)


def backup(params):
    return [p.copy() for p in params]


def derivatives_table(names):
    return {name: "d" + name for name in names}
