import numpy as np


def conv_forward(x, w, b, conv_param):
    stride, pad = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, C, HH, WW = w.shape
    xp = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    Ho, Wo = (H + 2 * pad - HH) // stride + 1, (W + 2 * pad - WW) // stride + 1
    out = np.zeros((N, F, Ho, Wo))
    for i in range(Ho):
        for j in range(Wo):
            patch = xp[:, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
            out[:, :, i, j] = np.tensordot(patch, w, axes=([1, 2, 3], [1, 2, 3])) + b
    return out, (xp, w, stride, pad)


def conv_backward(dout, cache):
    xp, w, stride, pad = cache
    F, C, HH, WW = w.shape
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            rows = slice(i * stride, i * stride + HH)
            cols = slice(j * stride, j * stride + WW)
            dw += np.tensordot(dout[:, :, i, j], xp[:, :, rows, cols], axes=(0, 0))
            dxp[:, :, rows, cols] += np.tensordot(dout[:, :, i, j], w, axes=(1, 0))
    dx = dxp[:, :, pad : xp.shape[2] - pad, pad : xp.shape[3] - pad]
    db = dout.sum(axis=(0, 2, 3))
    return dx, dw, db


class TinyConvNet:
    """conv - relu - affine - softmax"""

    def __init__(self, input_dim=(3, 8, 6), num_filters=4, filter_size=3, num_classes=5,
                 weight_scale=1e-1, reg=0.0):
        C, H, W = input_dim
        self.reg = reg
        self.params = {
            "W1": weight_scale * np.random.randn(num_filters, C, filter_size, filter_size),
            "b1": np.zeros(num_filters),
            "W2": weight_scale * np.random.randn(num_filters * H * W, num_classes),
            "b2": np.zeros(num_classes),
        }

    def loss(self, X, y=None):
        W1, b1, W2, b2 = (self.params[k] for k in ("W1", "b1", "W2", "b2"))
        pad = (W1.shape[2] - 1) // 2
        z, cache = conv_forward(X, W1, b1, {"stride": 1, "pad": pad})
        h = np.maximum(z, 0)
        scores = h.reshape(len(X), -1).dot(W2) + b2
        if y is None:
            return scores
        N = X.shape[0]
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        loss = -np.log(p[np.arange(N), y]).sum() / N
        loss += 0.5 * self.reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        dscores = p
        dscores[np.arange(N), y] -= 1
        dscores /= N
        grads = {"W2": h.reshape(N, -1).T.dot(dscores), "b2": dscores.sum(axis=0)}
        dz = dscores.dot(W2.T).reshape(h.shape) * (z > 0)
        _, grads["W1"], grads["b1"] = conv_backward(dz, cache)
        grads["W1"] += self.reg * W1
        grads["W2"] += self.reg * W2
        return loss, grads
