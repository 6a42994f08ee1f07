import numpy as np

def convolve(image, filt, bias, s=1):
    n_f, n_c, f, _ = filt.shape
    _, h, w = image.shape
    oh, ow = (h - f) // s + 1, (w - f) // s + 1
    out = np.zeros((n_f, oh, ow))
    for k in range(n_f):
        for i in range(oh):
            for j in range(ow):
                out[k, i, j] = np.sum(filt[k] * image[:, i * s:i * s + f, j * s:j * s + f]) + bias[k]
    return out

def convolve_backward(dout, image, filt, s=1):
    n_f, n_c, f, _ = filt.shape
    dimage, dfilt, dbias = np.zeros(image.shape), np.zeros(filt.shape), np.zeros(n_f)
    for k in range(n_f):
        for i in range(dout.shape[1]):
            for j in range(dout.shape[2]):
                dfilt[k] += dout[k, i, j] * image[:, i * s:i * s + f, j * s:j * s + f]
                dimage[:, i * s:i * s + f, j * s:j * s + f] += dout[k, i, j] * filt[k]
        dbias[k] = dout[k].sum()
    return dimage, dfilt, dbias

def maxpool(image, f=2, s=2):
    c, h, w = image.shape
    oh, ow = (h - f) // s + 1, (w - f) // s + 1
    out = np.zeros((c, oh, ow))
    for k in range(c):
        for i in range(oh):
            for j in range(ow):
                out[k, i, j] = image[k, i * s:i * s + f, j * s:j * s + f].max()
    return out

def maxpool_backward(dpool, orig, f, s):
    dorig = np.zeros(orig.shape)
    for k in range(orig.shape[0]):
        for i in range(dpool.shape[1]):
            for j in range(dpool.shape[2]):
                win = orig[k, i * s:i * s + f, j * s:j * s + f]
                a, b = np.unravel_index(win.argmax(), win.shape)
                dorig[k, i * s + a, j * s + b] += dpool[k, i, j]
    return dorig
