import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class RNN:
    def __init__(self, Wx, Wh):
        self.Wx, self.Wh = Wx, Wh
        self.dWx, self.dWh = None, None
        self.cache = None

    def forward(self, x, h_prev):
        h_next = np.tanh(np.dot(x, self.Wx) + np.dot(h_prev, self.Wh))
        self.cache = (x, h_prev, h_next)
        return h_next

    def backward(self, dh_next):
        x, h_prev, h_next = self.cache
        dt = dh_next * (1 - h_next**2)
        self.dWx = np.dot(x.T, dt)
        self.dWh = np.dot(h_prev.T, dt)
        return np.dot(dt, self.Wx.T), np.dot(dt, self.Wh.T)


class TimeRNN:
    def __init__(self, Wx, Wh):
        self.Wx, self.Wh = Wx, Wh
        selfdWx, self.dWh = None, None
        self.layers = None

    def forward(self, xs):
        N, T, D = xs.shape
        H = self.Wh.shape[0]
        self.layers = []
        hs = np.empty((N, T, H))
        h = np.zeros((N, H))
        for t in range(T):
            layer = RNN(self.Wx, self.Wh)
            h = layer.forward(xs[:, t, :], h)
            hs[:, t, :] = h
            self.layers.append(layer)
        return hs

    def backward(self, dhs):
        N, T, H = dhs.shape
        dxs = np.empty((N, T, self.Wx.shape[0]))
        self.dWx, self.dWh = 0, 0
        dh = 0
        for t in reversed(range(T)):
            layer = self.layers[t]
            dx, dh = layer.backward(dhs[:, t, :] + dh)
            dxs[:, t, :] = dx
            self.dWx = layer.dWx
            self.dWh += layer.dWh
        return dxs
