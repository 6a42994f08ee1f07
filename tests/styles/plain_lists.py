import numpy as np


def make(sizes, rng=np.random.RandomState(0)):
    Ws = [rng.randn(a, b) / np.sqrt(a) for a, b in zip(sizes, sizes[1:])]
    bs = [np.zeros(b) for b in sizes[1:]]
    return Ws, bs


def forward(x, Ws, bs):
    acts = [x]
    for i, (W, b) in enumerate(zip(Ws, bs)):
        z = acts[-1] @ W + b
        acts.append(z if i == len(Ws) - 1 else np.tanh(z))
    return acts


def loss(x, t, Ws, bs):
    return 0.5 * np.sum((forward(x, Ws, bs)[-1] - t) ** 2) / len(x)


def backward(x, t, Ws, bs):
    acts = forward(x, Ws, bs)
    dWs, dbs = [None] * len(Ws), [None] * len(bs)
    d = (acts[-1] - t) / len(x)
    for i in reversed(range(len(Ws))):
        dWs[i] = acts[i].T @ d
        dbs[i] = d.sum(axis=0)
        d = (d @ Ws[i].T) * (1 - acts[i] ** 2)
    return dWs, dbs


if __name__ == "__main__":
    Ws, bs = make([3, 5, 4, 2])
    x, t = np.random.randn(12, 3), np.random.randn(12, 2)
    for _ in range(30):
        dWs, dbs = backward(x, t, Ws, bs)
        for W, b, dW, db in zip(Ws, bs, dWs, dbs):
            W -= 0.1 * dW
            b -= 0.1 * db
    print(loss(x, t, Ws, bs))
