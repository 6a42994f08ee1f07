import numpy as np

text = "the quick brown fox jumps over the lazy dog " * 4
chars = sorted(set(text))
V = len(chars)
ix = {c: i for i, c in enumerate(chars)}
H = 16

rng = np.random.RandomState(0)
U = rng.randn(H, V) * 0.1
W = rng.randn(H, H) * 0.1
O = rng.randn(V, H) * 0.1
b = np.zeros(H)
c = np.zeros(V)


def loss_and_grads(inputs, targets, h0):
    h, p = {-1: h0}, {}
    loss = 0.0
    for t, i in enumerate(inputs):
        h[t] = np.tanh(U[:, i] + W @ h[t - 1] + b)
        o = O @ h[t] + c
        e = np.exp(o - o.max())
        p[t] = e / e.sum()
        loss -= np.log(p[t][targets[t]])
    dU, dW, dO = np.zeros_like(U), np.zeros_like(W), np.zeros_like(O)
    db, dc = np.zeros_like(b), np.zeros_like(c)
    dh_next = np.zeros(H)
    for t in range(len(inputs) - 1, -1, -1):
        do = p[t].copy()
        do[targets[t]] -= 1.0
        dO += np.outer(do, h[t])
        dc += do
        dz = (O.T @ do + dh_next) * (1.0 - h[t] ** 2)
        dU[:, inputs[t]] += dz
        dW += np.outer(dz, h[t - 1])
        db += dz
        dh_next = W.T @ dz
    return loss, {"U": dU, "W": dW, "O": dO, "b": db, "c": dc}, h[len(inputs) - 1]


if __name__ == "__main__":
    state = np.zeros(H)
    for start in range(0, 100, 10):
        inputs = [ix[ch] for ch in text[start : start + 10]]
        targets = [ix[ch] for ch in text[start + 1 : start + 11]]
        loss, grads, state = loss_and_grads(inputs, targets, state)
        for name, grad in grads.items():
            globals()[name] -= 0.1 * np.clip(grad, -5, 5)
        print(start, loss)
