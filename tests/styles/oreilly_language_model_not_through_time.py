import numpy as np


class Embedding:
    def __init__(self, W):
        self.params = [W]
        self.grads = [np.zeros_like(W)]

    def forward(self, idx):
        self.idx = idx
        return self.params[0][idx]

    def backward(self, dout):
        dW = np.zeros_like(self.params[0])
        np.add.at(dW, self.idx, dout)
        self.grads[0][...] = dW


class Step:
    def __init__(self, Wx, Wh):
        self.params = [Wx, Wh]
        self.grads = [np.zeros_like(Wx), np.zeros_like(Wh)]

    def forward(self, x, h_prev):
        h_next = np.tanh(x @ self.params[0] + h_prev @ self.params[1])
        self.cache = (x, h_prev, h_next)
        return h_next

    def backward(self, dh_next):
        x, h_prev, h_next = self.cache
        dt = dh_next * (1 - h_next**2)
        self.grads[0][...] = x.T @ dt
        self.grads[1][...] = h_prev.T @ dt
        return dt @ self.params[0].T, dt @ self.params[1].T


class TimeRNN:
    def __init__(self, Wx, Wh):
        self.params = [Wx, Wh]
        self.grads = [np.zeros_like(Wx), np.zeros_like(Wh)]

    def forward(self, xs):
        N, T, D = xs.shape
        H = self.params[1].shape[0]
        hs, h = np.empty((N, T, H), dtype="f"), np.zeros((N, H), dtype="f")
        self.layers = []
        for t in range(T):
            layer = Step(*self.params)
            h = layer.forward(xs[:, t], h)
            hs[:, t] = h
            self.layers.append(layer)
        return hs

    def backward(self, dhs):
        N, T, H = dhs.shape
        dxs, dh = np.empty((N, T, self.params[0].shape[0]), dtype="f"), 0
        sums = [0, 0]
        for t in reversed(range(T)):
            dxs[:, t], dh = self.layers[t].backward(dhs[:, t])
            sums = [s + g for s, g in zip(sums, self.layers[t].grads)]
        for grad, s in zip(self.grads, sums):
            grad[...] = s
        return dxs


class Affine:
    def __init__(self, W, b):
        self.params = [W, b]
        self.grads = [np.zeros_like(W), np.zeros_like(b)]

    def forward(self, x):
        self.x = x
        return x @ self.params[0] + self.params[1]

    def backward(self, dout):
        flat = dout.reshape(-1, dout.shape[-1])
        self.grads[0][...] = self.x.reshape(-1, self.x.shape[-1]).T @ flat
        self.grads[1][...] = flat.sum(axis=0)
        return dout @ self.params[0].T


class TimeSoftmaxWithLoss:
    def forward(self, xs, ts):
        N, T, V = xs.shape
        e = np.exp(xs - xs.max(axis=2, keepdims=True))
        self.ys, self.ts = (e / e.sum(axis=2, keepdims=True)).reshape(N * T, V), ts.reshape(N * T)
        self.shape = xs.shape
        return -np.log(self.ys[np.arange(N * T), self.ts]).sum() / (N * T)

    def backward(self, dout=1):
        dx = self.ys.copy()
        dx[np.arange(len(dx)), self.ts] -= 1
        return (dx * dout / len(dx)).reshape(self.shape)


class Rnnlm:
    def __init__(self, vocab_size=10000, wordvec_size=100, hidden_size=100):
        V, D, H = vocab_size, wordvec_size, hidden_size
        rn = np.random.randn
        self.layers = [
            Embedding((rn(V, D) / 100).astype("f")),
            TimeRNN((rn(D, H) / np.sqrt(D)).astype("f"), (rn(H, H) / np.sqrt(H)).astype("f")),
            Affine((rn(H, V) / np.sqrt(H)).astype("f"), np.zeros(V).astype("f")),
        ]
        self.loss_layer = TimeSoftmaxWithLoss()
        self.params, self.grads = [], []
        for layer in self.layers:
            self.params += layer.params
            self.grads += layer.grads

    def predict(self, xs):
        for layer in self.layers:
            xs = layer.forward(xs)
        return xs

    def forward(self, xs, ts):
        return self.loss_layer.forward(self.predict(xs), ts)

    def backward(self, dout=1):
        dout = self.loss_layer.backward(dout)
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        return dout
