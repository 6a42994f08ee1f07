import numpy as np

from mylab.kernels import gather_windows


def scale_shift_forward(x, g, b):
    """x: (n, d), g: (d,), b: (d,)"""
    return g * x + b, (x, g)


def scale_shift_backward(dout, cache):
    x, g = cache
    dx = dout * g
    dg = np.sum(dout * x, axis=0)
    db = np.sum(dout, axis=0)
    return dx, dg, db


def deform_backward(dout, cache):
    windows, offsets, weights = cache
    dweights = np.einsum("nk,nkj->j", dout, gather_windows(windows, offsets))
    doffsets = np.einsum("nk,j->nkj", dout, weights)
    return dweights, doffsets
