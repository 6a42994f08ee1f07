import numpy as np


def gradient_descent(f, df, x0, lr=0.1, steps=100):
    x = x0
    for _ in range(steps):
        x = x - lr * df(x)
    return x


def clip_gradients(grads, limit):
    norm = np.sqrt(sum(np.sum(g * g) for g in grads))
    scale = min(1.0, limit / (norm + 1e-12))
    return [g * scale for g in grads]


def accumulate_gradients(total, grads):
    return [t + g for t, g in zip(total, grads)]


def average_gradients(gradient_list):
    return [np.mean(np.stack(gs), axis=0) for gs in zip(*gradient_list)]


def dropout(x, keep=0.8, rng=np.random.RandomState(0)):
    return x * (rng.rand(*x.shape) < keep) / keep


def dense(x, w, b):
    return np.maximum(x @ w + b, 0)


def deltas(values):
    return np.diff(values)


class Adam:
    def __init__(self, lr=1e-3):
        self.lr, self.m, self.v, self.t = lr, None, None, 0

    def step(self, params, grads):
        self.t += 1
        self.m = [np.zeros_like(g) for g in grads] if self.m is None else self.m
        self.v = [np.zeros_like(g) for g in grads] if self.v is None else self.v
        for i, (p, g) in enumerate(zip(params, grads)):
            self.m[i] = 0.9 * self.m[i] + 0.1 * g
            self.v[i] = 0.999 * self.v[i] + 0.001 * g * g
            p -= self.lr * self.m[i] / (np.sqrt(self.v[i]) + 1e-8)


if __name__ == "__main__":
    print(gradient_descent(lambda x: x**2, lambda x: 2 * x, 3.0))
