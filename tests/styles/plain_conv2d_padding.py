import numpy as np

def conv2d(x, kernel, bias, stride, padding):
    n, c, h, w = x.shape
    f, _, kh, kw = kernel.shape
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    oh = (h + 2 * padding - kh) // stride + 1
    ow = (w + 2 * padding - kw) // stride + 1
    out = np.zeros((n, f, oh, ow))
    for i in range(oh):
        for j in range(ow):
            patch = xp[:, :, i * stride:i * stride + kh, j * stride:j * stride + kw]
            out[:, :, i, j] = np.tensordot(patch, kernel, axes=([1, 2, 3], [1, 2, 3])) + bias
    return out

def conv2d_backward(dout, x, kernel, stride, padding):
    n, c, h, w = x.shape
    f, _, kh, kw = kernel.shape
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    dxp, dk = np.zeros_like(xp), np.zeros_like(kernel)
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            patch = xp[:, :, i * stride:i * stride + kh, j * stride:j * stride + kw]
            dk += np.tensordot(dout[:, :, i, j], patch, axes=([0], [0]))
            dxp[:, :, i * stride:i * stride + kh, j * stride:j * stride + kw] += np.tensordot(dout[:, :, i, j], kernel, axes=([1], [0]))
    dx = dxp[:, :, :h, :w]
    return dx, dk, dout.sum(axis=(0, 2, 3))
